"""Threads: what many of them get done together, and how long one waits beside a thread that is always busy.

Wall time, alone in these benchmarks: what threads cost each other is waiting.
"""

from __future__ import annotations

import os
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256

from .bench import Bench
from .measure import fresh, spread
from .report import Bar, Table, Value
from .tokens import KINDS, Site, signed_parts
from .verify import BARE

LEAST = 0.7
FIFTIETH = 1 / 50
REPEATED, FRESH = "kinde_guard, repeated token", "kinde_guard, fresh token"
CHEAPER = {REPEATED: 20, FRESH: 1, BARE: 1}  # calls for each call of the others, so that all last about as long
SETTLE = 0.0005  # seconds between two moments: a request comes to a thread that has slept


def throughput(bench: Bench) -> Table:
    """What 1 … 32 threads get done in a second, beside what one does."""
    effort = bench.effort
    tokens = bench.site.tokens("M2M", effort.calls)
    works = _works(bench.site)
    rates: dict[tuple[str, int], list[float]] = {(name, count): [] for name in works for count in effort.threads}
    for number in range(effort.thread_rounds):
        bench.progress.say("scale: threads", number + 1, effort.thread_rounds)
        for name, (work, prepare) in works.items():
            for count in effort.threads:
                share = effort.thread_calls * CHEAPER[name] // count
                rates[name, count].append(_rate(work, [prepare(tokens, share) for _ in range(count)]))
    bench.progress.clear()
    rows: list[tuple[str, list[Value]]] = []
    for name in works:
        rows.append((name, [_kept(rates, name, count, effort.threads) for count in effort.threads]))
    last = effort.threads[-1]
    bars = [
        Bar(f"{name}: throughput of {last} threads", _kept(rates, name, last, effort.threads), LEAST, True, "of one's")
        for name in (REPEATED, FRESH)
    ]
    columns = [f"{count} threads" for count in effort.threads]
    return Table("scale: throughput of threads, as a share of one's (wall time)", columns, rows, bars)


def _works(site: Site) -> dict[str, tuple[Callable[[Any], object], Callable[[Sequence[bytes], int], list[Any]]]]:
    """What to do with each item, and how to make so many items."""
    verify = bare(site)

    def strings(tokens: Sequence[bytes], count: int) -> list[Any]:
        return list(fresh(tokens, 0, count))

    def parts(tokens: Sequence[bytes], count: int) -> list[Any]:
        made = [signed_parts(token) for token in tokens]
        return [made[number % len(made)] for number in range(count)]

    return {
        REPEATED: (site.guard().verify, strings),
        FRESH: (site.guard(cache_size=0).verify, strings),
        BARE: (verify, parts),
    }


def bare(site: Site) -> Callable[[tuple[bytes, bytes]], object]:
    """The bare check as a function of one argument."""
    check, padding, digest = site.issuer.key.private.public_key().verify, PKCS1v15(), SHA256()
    return lambda parts: check(parts[0], parts[1], padding, digest)


def _kept(rates: dict[tuple[str, int], list[float]], name: str, count: int, counts: Sequence[int]) -> float:
    pairs = zip(rates[name, count], rates[name, counts[0]], strict=True)
    return spread([many / one for many, one in pairs]).median


def _rate(work: Callable[[Any], object], shares: list[list[Any]]) -> float:
    """Items a second, all threads together."""
    together = threading.Barrier(len(shares) + 1)
    ends: list[float] = []

    def thread(items: list[Any]) -> None:
        together.wait()
        for item in items:
            work(item)
        ends.append(time.perf_counter())

    running = [threading.Thread(target=thread, args=(items,)) for items in shares]
    for each in running:
        each.start()
    began = time.perf_counter()  # before the barrier opens: none has begun
    together.wait()
    for each in running:
        each.join()
    return sum(map(len, shares)) / (max(ends) - began)


def beside_a_busy_one(bench: Bench) -> Table:
    """A token at a time beside a thread that computes: whoever gives the interpreter's lock away waits for it."""
    rows: list[tuple[str, list[Value]]] = []
    bars = []
    for kind in KINDS:
        waits = _waits(bench, bench.site.tokens(kind, 1)[0], kind)
        medians = {name: statistics.median(seconds) for name, seconds in waits.items()}
        for name, seconds in waits.items():
            rows.append((f"{kind}: {name}", [medians[name] * 1e6, sorted(seconds)[len(seconds) * 99 // 100] * 1e6]))
        share = medians[REPEATED] / medians[BARE]
        what = f"{kind} token, repeated, beside a busy thread: median"
        bars.append(Bar(what, share, FIFTIETH, unit="x bare verify's", doubt=_doubt(medians[BARE])))
    columns = ["median, wall µs", "p99, wall µs"]
    return Table("scale: one call beside a thread that is always busy", columns, rows, bars)


def _doubt(bare_median: float) -> str:
    """The busy thread takes the lock that a bare check gives away, if a processor is free for it in that moment: then
    the check waits for a switch interval. Without one there is nothing to compare with."""
    if bare_median > sys.getswitchinterval() / 2:
        return ""
    return "no processor was free for the busy thread, or bare verify would have waited 5 ms: ask a quieter machine"


def _waits(bench: Bench, token: bytes, kind: str) -> dict[str, list[float]]:
    site = bench.site
    remembers, forgets, verify = site.guard().verify, site.guard(cache_size=0).verify, bare(site)
    remembers(token.decode())
    waits: dict[str, list[float]] = {BARE: [], REPEATED: [], FRESH: []}
    with _busy_thread():
        for number in range(bench.effort.moments):
            bench.progress.say(f"scale: {kind} token beside a busy thread", number + 1, bench.effort.moments)
            waits[BARE].append(_moment(verify, signed_parts(token)))
            waits[REPEATED].append(_moment(remembers, token.decode()))
            waits[FRESH].append(_moment(forgets, token.decode()))
    bench.progress.clear()
    return waits


def _moment(work: Callable[[Any], object], item: Any) -> float:
    time.sleep(SETTLE)
    began = time.perf_counter()
    work(item)
    return time.perf_counter() - began


@contextmanager
def _busy_thread() -> Iterator[None]:
    """It has a processor of its own, where there are two: on the same one it could not take the lock meanwhile."""
    stop = threading.Event()
    ours = _processors()

    def spin() -> None:
        _stay_on(ours[-1:])
        while not stop.is_set():
            sum(range(500))

    thread = threading.Thread(target=spin, daemon=True)
    thread.start()
    _stay_on(ours[:1])
    try:
        yield
    finally:
        stop.set()
        thread.join()
        _stay_on(ours)


def _processors() -> list[int]:
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


def _stay_on(processors: Sequence[int]) -> None:
    """The calling thread alone: sched_setaffinity(2). Elsewhere than on Linux it goes where the system likes."""
    if processors:
        os.sched_setaffinity(0, processors)
