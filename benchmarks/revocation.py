"""revocation: what a request pays for it, what it takes, and how long it is until the last process refuses.

The processes are ``python -m benchmarks.revocation … URL``, which follow a ``redis-server`` of this machine.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from kinde_guard import Guard
from kinde_guard.events import Event, Revoked
from kinde_guard.revocation import Revocations
from kinde_guard.revocation.entry import fields_of, made
from kinde_guard.revocation.redis_streams import stream_of

from . import webhook
from .bench import Bench
from .measure import FULL, Case, Run, Samples, calls, interleave
from .memory import MB, resident
from .report import Bar, Report, Table, Value

ISSUER = "https://acme.kinde.com"
OFF, ON, CHANGED, ASKED = "without revocations", "with them", "with them, after a change", "a Redis call per request"
TOKENS = 100
MOST_CACHED, MOST_CHANGED, MOST_MB, MOST_LAG, MOST_LATE = 0.1, 0.3, 30.0, 50.0, 500.0
WORTH_MEASURING = 10_000
"""Entries; of fewer it cannot be said what each takes."""
MILLION, AT_ONCE = 1_000_000, 10_000
CONTROL, SHORT = 5.0, 0.5
"""Seconds of counting, which say what lag is the machine's."""
SERVERS, WEBHOOKS = 8, 50


def run(bench: Bench) -> Report:
    """A table of a request's cost; with a redis-server here, of memory and of the time to the last process as well."""
    with ExitStack() as stack:
        url = stack.enter_context(_redis()) if shutil.which("redis-server") else None
        tables = [_cost(bench, url)]
        if url is not None:
            tables += [_memory(bench, url), _latency(bench, url), _webhooks(bench, url)]
    return Report("revocation", tables)


def _cost(bench: Bench, url: str | None) -> Table:
    """Of a token that was verified before."""
    tokens = bench.site.tokens("M2M", TOKENS)
    count = bench.effort.cached[-1]
    revocations, changing = _with_entries(count), _with_entries(count)
    off, on = bench.site.guard(), bench.site.guard(revocations=revocations)
    changed = bench.site.guard(revocations=changing)
    cases = [
        Case(OFF, calls(off.verify, tokens)),
        Case(ON, calls(on.verify, tokens), f"{count:,} revocations"),
        Case(CHANGED, _after_changes(changed, changing, tokens), "the first request of a token"),
    ]
    samples = interleave(
        cases, bench.effort.rounds * 3, bench.effort.calls, bench.progress, "revocation: cached tokens"
    )
    rows: list[tuple[str, list[Value]]] = [(case.name, [samples.micros(case.name), case.note]) for case in cases]
    notes = []
    if url is not None:
        asked = _asked_each_time(url)
        rows.append((ASKED, [asked[0], f"wall time, on loopback: p99 {asked[1]:.0f} µs"]))
    else:
        notes.append("There is no redis-server here: nothing else is measured.")
    bars = [
        Bar("a cached token pays", _added(samples, ON, OFF), MOST_CACHED, unit="µs"),
        Bar("after a change, once", _added(samples, CHANGED, ON), MOST_CHANGED, unit="µs"),
    ]
    return Table("revocation: a token that was verified before", ["µs", ""], rows, bars, notes)


def _with_entries(count: int) -> Revocations:
    revocations = Revocations.in_memory()
    for number in range(count):
        revocations.copy.hold(made("subject", f"kp_{number:032x}", 1.0))
    revocations.copy.publish()
    return revocations


def _added(samples: Samples, name: str, floor: str) -> float:
    """Microseconds, within each round."""
    rounds = zip(samples.seconds[name], samples.seconds[floor], strict=True)
    return statistics.median(cost - least for cost, least in rounds) * 1e6


def _after_changes(guard: Guard, revocations: Revocations, tokens: Sequence[bytes]) -> Run:
    """Each token once after each change."""
    verify = calls(guard.verify, tokens)

    def run(first: int, count: int) -> float:
        spent, done = 0.0, 0
        while done < count:
            part = min(len(tokens), count - done)
            revocations.copy.edition = object()
            spent += verify(first + done, part) * part
            done += part
        return spent / count

    return run


def _asked_each_time(url: str) -> tuple[float, float]:
    """Microseconds, median and p99."""
    import redis

    with redis.Redis.from_url(url) as client:
        took = []
        for number in range(2_000):
            began = time.perf_counter()
            client.exists(f"revoked:{number}")
            took.append((time.perf_counter() - began) * 1e6)
    return statistics.median(took), statistics.quantiles(took, n=100)[98]


def _memory(bench: Bench, url: str) -> Table:
    """A process that finds many entries, and catches up beside an event loop."""
    count, rows, bars = bench.effort.cached[-1], list[tuple[str, list[Value]]](), list[Bar]()
    for entries in (count, MILLION)[: 2 if bench.effort is FULL else 1]:
        found = _caught_up(bench, url, entries)
        megabytes = found["bytes"] / MB
        lags = [found[name] for name in ("lag_p50", "lag_p99", "lag_max", "control_p99")]
        values: list[Value] = [megabytes, found["seconds"], *lags]
        rows.append((f"{entries:,} entries", values))
        doubt = f"beside a thread that only counts it lags {found['control_p99']:.0f} ms on this machine"
        bars.append(
            Bar(
                f"an event loop beside {entries:,} lags, p99",
                found["lag_p99"],
                MOST_LAG,
                unit="ms",
                doubt=doubt if found["control_p99"] > MOST_LAG / 2 else "",
            )
        )
        if WORTH_MEASURING <= entries < MILLION:
            bars.append(Bar("100,000 entries take", megabytes * 1e5 / entries, MOST_MB, unit="MB"))
    bench.progress.clear()
    columns = ["resident, MB", "s to catch up", "lag of a loop, p50, ms", "p99", "max", "p99 beside a counter"]
    return Table("revocation: a process that starts", columns, rows, bars)


def _caught_up(bench: Bench, url: str, count: int) -> dict[str, Any]:
    bench.progress.say(f"revocation: {count:,} entries")
    _fill(url, count)
    found = _said(_started(url, "catch-up", CONTROL if bench.effort is FULL else SHORT))
    if found["entries"] != count:
        raise RuntimeError(f"it holds {found['entries']} of {count}")
    return found


def _latency(bench: Bench, url: str) -> Table:
    """From XADD until each of several busy processes refuses."""
    times, workers = bench.effort.calls * 10, 8 if bench.effort.calls > 10 else 2
    bench.progress.say(f"revocation: {times} revocations, {workers} processes")
    tool = Revocations(url).bind([ISSUER])
    tool.client.flushall()  # also of the processes before
    processes = [_started(url, "follow") for _ in range(workers)]
    while len(tool.workers()) < workers:
        time.sleep(0.01)
    sent = {}
    for number in range(times):
        now = time.monotonic()
        sent[tool.revoke_subject(f"kp_late_{number}").id] = now
        time.sleep(0.005)
    while len(tool.reached().applied) < workers:
        time.sleep(0.01)
    heard = [_said(process) for process in processes]
    by_all = {name: began for name, began in sent.items() if all(name in times for times in heard)}
    late = [max(times[name] - began for times in heard) * 1000 for name, began in by_all.items()]
    p99 = statistics.quantiles(late, n=100)[98]
    row: list[Value] = [statistics.median(late), p99, max(late), len(sent) - len(by_all)]
    title = f"revocation: from XADD to the last of {workers} processes"
    bars = [Bar("the last process refuses, p99", p99, MOST_LATE, unit="ms")]
    return Table(title, ["p50, ms", "p99", "max", "missed"], [(f"{times:,} revocations", row)], bars)


def _webhooks(bench: Bench, url: str) -> Table:
    servers, times = (SERVERS, WEBHOOKS) if bench.effort is FULL else (2, 5)
    return webhook.table(bench, url, servers, times)


def _fill(url: str, count: int) -> None:
    """By the server itself: a client would take minutes for a million."""
    import redis

    entry = fields_of(made("subject", "kp_%032x", time.time(), name="%016x", by="app"), ISSUER)
    fields = [text for pair in entry.items() for text in pair]
    with redis.Redis.from_url(url) as client:
        client.delete(stream_of(ISSUER))
        for start in range(0, count, AT_ONCE):
            client.eval(_ADD, 1, stream_of(ISSUER), start, min(count, start + AT_ONCE) - 1, *fields)


_ADD = """
for number = ARGV[1], ARGV[2] do
    local fields = {}
    for place = 3, #ARGV do fields[place - 2] = string.format(ARGV[place], number) end
    redis.call('XADD', KEYS[1], '*', unpack(fields))
end
"""


def _started(url: str, what: str, *settings: float) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "benchmarks.revocation", what, url, *map(str, settings)]
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parent.parent
    )


def _said(process: subprocess.Popen[str]) -> dict[str, Any]:
    out, _ = process.communicate(timeout=600)
    answer: dict[str, Any] = json.loads(out)
    return answer


@contextmanager
def _redis() -> Iterator[str]:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", folder]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
            try:
                _wait_for(port)
                yield f"redis://127.0.0.1:{port}/0"
            finally:
                process.kill()


def _wait_for(port: int) -> None:
    end = time.monotonic() + 30
    while time.monotonic() < end:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.01)
    raise RuntimeError("redis-server does not answer")


# In a process of its own.


def catch_up(url: str, control: str) -> dict[str, Any]:
    """What it takes to load all there is, and how late an event loop is meanwhile; and how late it is beside a thread
    that only counts for *control* seconds, which says what of that is the machine's."""
    revocations = Revocations(url).bind([ISSUER])
    revocations.client.ping()  # a connection, and what is made once
    counting = asyncio.run(_lags_beside(lambda: _counting(float(control))))
    before, began = resident(), time.monotonic()
    lags = asyncio.run(_lags_beside(revocations.load_behind))
    seconds = time.monotonic() - began
    return {
        "bytes": resident() - before,
        "seconds": seconds,
        "entries": revocations.health().entries,
        "lag_p50": lags[49],
        "lag_p99": lags[98],
        "lag_max": lags[-1],
        "control_p99": counting[98],
    }


async def _lags_beside(start: Callable[[], Future[None] | None]) -> list[float]:
    """By how many milliseconds a loop is late, until what is started is over: the hundredths, and the most."""
    lags = [0.0, 0.0]
    news = start()
    while news is not None and not news.done():
        due = time.perf_counter() + 0.001
        await asyncio.sleep(0.001)
        lags.append((time.perf_counter() - due) * 1000)
    return [*statistics.quantiles(lags, n=100), max(lags)]


def _counting(seconds: float) -> Future[None]:
    done: Future[None] = Future()
    end = time.monotonic() + seconds

    def count() -> None:
        while time.monotonic() < end:
            sum(number for number in range(1_000))
        done.set_result(None)

    threading.Thread(target=count, daemon=True).start()
    return done


class Heard:
    """When each revocation came into force here, by a clock that all processes of a machine share."""

    def __init__(self) -> None:
        self.at: dict[str, float] = {}

    def __call__(self, event: Event) -> None:
        if isinstance(event, Revoked):
            self.at[event.id] = time.monotonic()


def follow(url: str) -> dict[str, float]:
    """Follow, and be busy all the time, until nobody says more on standard input."""
    heard = Heard()
    revocations = Revocations(url).bind([ISSUER], emit=heard)
    revocations.load_behind()
    over = threading.Event()

    def busy() -> None:
        while not over.is_set():
            sum(number for number in range(1_000))
            time.sleep(0)  # as a server does that reads and writes

    thread = threading.Thread(target=busy)
    thread.start()
    sys.stdin.read()
    over.set()
    thread.join()
    return heard.at


if __name__ == "__main__":
    commands: dict[str, Callable[..., Any]] = {"catch-up": catch_up, "follow": follow}
    print(json.dumps(commands[sys.argv[1]](*sys.argv[2:])))
