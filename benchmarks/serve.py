"""serve: what a request costs a real server, (utime + stime) ÷ requests, under load from ``wrk``."""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .apps import NOTHING
from .apps.entry import PYJWT
from .bench import Bench
from .measure import spread
from .report import Bar, Report, Table
from .server import Server, free_port, gunicorn, running, uvicorn
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
    if shutil.which("wrk") is None or not Path("/proc/self/stat").exists():
        why = "Skipped: it needs Linux and wrk (Debian: apt-get install wrk)."
        return Report("serve", [Table("serve", [], [], notes=[why])])
    with tempfile.TemporaryDirectory() as folder:
        tokens = Path(folder, "tokens")
        tokens.write_bytes(b"\n".join(bench.site.tokens("M2M", CALLERS)) + b"\n")
        return Report("serve", [_table(bench, server, stack, tokens) for server, stack in SERVED])


def _table(bench: Bench, server: str, stack: str, tokens: Path) -> Table:
    effort, what = bench.effort, f"serve: {stack} on {server}"
    loads: dict[str, list[Load]] = {front: [] for front in FRONTS}
    with ExitStack() as exits:
        bench.progress.say(f"{what}: starting")
        servers = {front: exits.enter_context(_started(bench, server, stack, front)) for front in FRONTS}
        for number in range(effort.serve_runs):
            bench.progress.say(what, number + 1, effort.serve_runs)
            for front in FRONTS[number % 3 :] + FRONTS[: number % 3]:
                loads[front].append(_load(servers[front], tokens, effort.serve_seconds))
    bench.progress.clear()
    return _as_table(f"{stack} on {server}", loads)


def _as_table(title: str, loads: Mapping[str, list[Load]]) -> Table:
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
    bar = Bar(f"{title}: server CPU of a request", ratios[OURS].median, LIMIT, unit="x no-op")
    runs = len(loads[OURS])
    about = f"Medians of {runs} runs, interleaved; {CALLERS} callers in turn over {CONNECTIONS} connections."
    return Table(f"{title}: server CPU of a request", columns, rows, bars=[bar], notes=[about], charted=0)


def _started(bench: Bench, server: str, stack: str, front: str) -> Any:
    site, port = bench.site, free_port()
    wanted = {
        "stack": stack,
        "front": front,
        "jwks_url": site.jwks_url,
        "issuer": site.issuer.url,
        "audience": site.audience,
    }
    return running(SERVED[server, stack](port), wanted, port, site.tokens("M2M", CALLERS))


def _load(server: Server, tokens: Path, seconds: int) -> Load:
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
