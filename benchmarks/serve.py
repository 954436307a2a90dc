"""serve: what a request costs a real server, (utime + stime) ÷ requests, under load from ``wrk``."""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from .apps import NOTHING
from .apps.entry import PYJWT
from .bench import Bench
from .measure import spread
from .report import Bar, Report, Table
from .server import free_port, gunicorn, running, uvicorn
from .verify import OURS

LIMIT = 1.15
CALLERS = 100
CONNECTIONS = 16
MOST = 50_000  # requests in a run
FRONTS = (NOTHING, OURS, PYJWT)
SERVED: Mapping[tuple[str, str], Callable[[int], list[str]]] = {
    ("uvicorn", "Starlette"): uvicorn,
    ("uvicorn", "FastAPI"): uvicorn,
    ("gunicorn gthread", "Flask"): gunicorn,
}


WHY_NOT = "Skipped: it needs Linux and wrk (Debian: apt-get install wrk)."


class Loaded(Protocol):
    """What answers, and what it takes; :class:`Server` is one."""

    @property
    def url(self) -> str: ...

    def cpu_seconds(self) -> float: ...

    def pin(self, processor: int) -> None: ...


@dataclass(frozen=True, slots=True)
class Load:
    """What one run came to."""

    micros: float
    """Server CPU for each request."""
    p99: float
    """Milliseconds."""
    rate: float
    """Requests a second."""


def run(bench: Bench) -> Report:
    """A table for each server and stack; none without ``wrk``."""
    if not can_be_loaded():
        return Report("serve", [Table("serve", [], [], notes=[WHY_NOT])])
    return Report("serve", [_table(bench, server, stack) for server, stack in SERVED])


def can_be_loaded() -> bool:
    """Whether there is ``wrk`` here, and CPU times to be read."""
    return shutil.which("wrk") is not None and Path("/proc/self/stat").exists()


def _table(bench: Bench, server: str, stack: str) -> Table:
    return compared(bench, f"{stack} on {server}", LIMIT, lambda front: _started(bench, server, stack, front))


def compared(bench: Bench, title: str, limit: float, started: Callable[[str], AbstractContextManager[Loaded]]) -> Table:
    """What *started* gives with each of FRONTS, under the same load in turn."""
    effort = bench.effort
    loads: dict[str, list[Load]] = {front: [] for front in FRONTS}
    with ExitStack() as exits, tempfile.TemporaryDirectory() as folder:
        bench.progress.say(f"{title}: starting")
        tokens = Path(folder, "tokens")
        tokens.write_bytes(b"\n".join(bench.site.tokens("M2M", CALLERS)) + b"\n")
        servers = {front: exits.enter_context(started(front)) for front in FRONTS}
        for number in range(effort.serve_runs):
            bench.progress.say(title, number + 1, effort.serve_runs)
            for front in FRONTS[number % 3 :] + FRONTS[: number % 3]:
                loads[front].append(_load(servers[front], tokens, effort.serve_seconds))
    bench.progress.clear()
    return _as_table(title, limit, loads)


def _as_table(title: str, limit: float, loads: Mapping[str, list[Load]]) -> Table:
    ratios = {
        front: spread([mine.micros / floor.micros for mine, floor in zip(runs, loads[NOTHING], strict=True)])
        for front, runs in loads.items()
    }
    rows: list[tuple[str, list[Any]]] = [
        (
            front,
            [
                ratios[front].median,
                f"{ratios[front].low:.2f}-{ratios[front].high:.2f}",
                *(statistics.median(getattr(load, name) for load in runs) for name in ("micros", "p99", "rate")),
            ],
        )
        for front, runs in loads.items()
    ]
    columns = ["x no-op", "quartiles", "server CPU µs", "p99 ms", "requests/s"]
    bar = Bar(f"{title}: server CPU of a request", ratios[OURS].median, limit, unit="x no-op")
    runs = len(loads[OURS])
    about = f"Medians of {runs} runs, interleaved; {CALLERS} callers in turn over {CONNECTIONS} connections."
    return Table(f"{title}: server CPU of a request", columns, rows, bars=[bar], notes=[about], charted=0)


def _started(bench: Bench, server: str, stack: str, front: str) -> AbstractContextManager[Loaded]:
    site, port = bench.site, free_port()
    wanted = {
        "stack": stack,
        "front": front,
        "jwks_url": site.jwks_url,
        "issuer": site.issuer.url,
        "audience": site.audience,
    }
    return running(SERVED[server, stack](port), wanted, port, site.tokens("M2M", CALLERS))


def _load(server: Loaded, tokens: Path, seconds: int) -> Load:
    """Make requests for *seconds*, from the server's own processor: to wake one that idles costs whoever wakes it, here
    the server, several µs a request, and the more the longer it has idled. (The p99 holds wrk's own work, therefore.)
    """
    processor = min(os.sched_getaffinity(0))
    server.pin(processor)
    before = server.cpu_seconds()
    result = _wrk(server.url, tokens, seconds, processor)
    spent = server.cpu_seconds() - before
    return Load(spent / result["requests"] * 1e6, result["p99_ms"], result["requests"] / result["seconds"])


def _wrk(url: str, tokens: Path, seconds: int, processor: int) -> dict[str, float]:
    """What wrk.lua says of a run; every request has to be answered with 200."""
    options = ["-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "-s", str(Path(__file__).with_name("wrk.lua"))]
    said = subprocess.run(
        ["wrk", *options, url, "--", str(tokens), str(MOST)],
        stdout=subprocess.PIPE,
        check=True,
        timeout=60,
        preexec_fn=lambda: os.sched_setaffinity(0, {processor}),
    )
    result: dict[str, float] = json.loads(said.stdout.splitlines()[-1])
    if result["failed"] or not result["requests"]:
        raise RuntimeError(f"{url}: {result}")
    return result
