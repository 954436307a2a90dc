"""Interleaved measurement.

The rules of this file:

* Every round runs a slice of every case, in an order drawn anew. What is reported is the median over the rounds of the
  ratio *within* a round: a slow spell of the machine meets both sides of it.
* Time is CPU time of this process, so that other programs only disturb caches and clock rate.
* A token is handed over as a new ``str`` each time, as from a server, without the hash that an old one would carry. It
  is made outside what is timed, and shortly before: a token that has just arrived is in the CPU's caches.
"""

from __future__ import annotations

import gc
import random
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

Run = Callable[[int, int], float]
"""Do what is measured for the tokens number *first* … *first + count* and say how many CPU seconds each took."""

BATCH = 100  # tokens between two looks at the clock


@dataclass(frozen=True, slots=True)
class Case:
    """One of the things that are compared."""

    name: str
    run: Run
    note: str = ""


@dataclass(frozen=True, slots=True)
class Effort:
    """How much to measure."""

    name: str
    rounds: int
    calls: int
    """Calls in a slice."""
    tokens: int
    """Distinct tokens of a kind."""
    callers: int
    requests: int
    """Requests of all callers in an hour."""
    serve_runs: int
    serve_seconds: int
    starts: int
    cached: tuple[int, ...]
    keys: tuple[int, ...]
    issuers: tuple[int, ...]
    threads: tuple[int, ...]
    thread_rounds: int
    thread_calls: int
    """Calls that the threads share."""
    moments: int
    """Calls beside a busy thread."""


FULL = Effort(
    name="full",
    rounds=25,
    calls=100,
    tokens=4_500,  # more than are asked for in all rounds, so that each is met as a new one
    callers=10_000,
    requests=360_000,
    serve_runs=5,
    serve_seconds=2,
    starts=9,
    cached=(100, 1_000, 10_000, 100_000),
    keys=(1, 10, 100, 500),
    issuers=(1, 10, 100),
    threads=(1, 2, 4, 8, 16, 32),
    thread_rounds=15,
    thread_calls=2_000,
    moments=200,
)
QUICK = Effort(
    name="quick",
    rounds=15,
    calls=40,
    tokens=1_000,
    callers=1_000,
    requests=36_000,
    serve_runs=2,
    serve_seconds=1,
    starts=2,
    cached=(100, 1_000, 10_000),
    keys=(1, 500),
    issuers=(1, 100),
    threads=(1, 8, 32),
    thread_rounds=5,
    thread_calls=800,
    moments=40,
)


@dataclass(frozen=True, slots=True)
class Spread:
    """A median, and the quartiles around it."""

    median: float
    low: float
    high: float


def spread(values: Sequence[float]) -> Spread:
    """The median and the quartiles of *values*."""
    low, _, high = statistics.quantiles(values, n=4, method="inclusive") if len(values) > 1 else (values[0],) * 3
    return Spread(statistics.median(values), low, high)


class Samples:
    """CPU seconds for each operation, by case and round."""

    def __init__(self, seconds: dict[str, list[float]]) -> None:
        self.seconds = seconds

    def micros(self, name: str) -> float:
        """The median cost of an operation, in microseconds."""
        return statistics.median(self.seconds[name]) * 1e6

    def ratio(self, name: str, base: str) -> Spread:
        """*name* as a multiple of *base*, taken within each round."""
        return spread([cost / unit for cost, unit in zip(self.seconds[name], self.seconds[base], strict=True)])

    def added(self, name: str, floor: str, base: str) -> Spread:
        """What *name* costs more than *floor*, as a multiple of *base*, taken within each round."""
        rounds = zip(self.seconds[name], self.seconds[floor], self.seconds[base], strict=True)
        return spread([(cost - least) / unit for cost, least, unit in rounds])


class Progress:
    """Says on standard error what is being measured, so that a long run is seen to be alive."""

    def __init__(self, quiet: bool = False) -> None:
        self._quiet = quiet
        self._live = sys.stderr.isatty()
        self._last = 0.0

    def say(self, what: str, done: int = 0, of: int = 0) -> None:
        """*what*, and how far it is; on a terminal in place, in a log every few seconds."""
        now = time.monotonic()
        if self._quiet or (done and not self._live and now - self._last < 3):
            return
        self._last = now
        text = f"{what} {done}/{of}" if of else what
        sys.stderr.write(f"\r\x1b[K… {text}" if self._live else f"… {text}\n")
        sys.stderr.flush()

    def clear(self) -> None:
        """Make room for a table."""
        if self._live and not self._quiet:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


def calls(function: Callable[[str], object], tokens: Sequence[bytes]) -> Run:
    """One call of *function* for each token, going round in *tokens*."""

    def run(first: int, count: int) -> float:
        spent = 0
        for start in range(first, first + count, BATCH):
            batch = fresh(tokens, start, min(BATCH, first + count - start))
            began = time.process_time_ns()
            for token in batch:
                function(token)
            spent += time.process_time_ns() - began
        return spent / count / 1e9

    return run


def fresh(tokens: Sequence[bytes], first: int, count: int) -> list[str]:
    """New ``str`` objects, going round in *tokens*."""
    return [tokens[number % len(tokens)].decode("ascii") for number in range(first, first + count)]


def interleave(
    cases: Sequence[Case], rounds: int, count: int, progress: Progress, what: str, *, even: bool = True
) -> Samples:
    """Measure *cases* in *rounds* slices of *count* operations each, after one slice to warm up.

    *even*: cases that cost less than the first do more operations, so that all slices last about as long: what comes
    before has driven a case out of the CPU's caches, and a short slice would measure little but its way back in.
    """
    order = random.Random(20_261_124)
    warm = {case.name: case.run(0, count) for case in cases}
    counts = {name: _longer(count, warm[cases[0].name] / cost) if even else count for name, cost in warm.items()}
    done = dict.fromkeys(warm, count)
    seconds: dict[str, list[float]] = {name: [] for name in warm}
    gc.collect()
    gc.freeze()  # what was made so far is not looked through again and again
    try:
        for number in range(1, rounds + 1):
            progress.say(what, number, rounds)
            for case in order.sample(cases, len(cases)):
                seconds[case.name].append(case.run(done[case.name], counts[case.name]))
                done[case.name] += counts[case.name]
    finally:
        gc.unfreeze()
    progress.clear()
    return Samples(seconds)


def _longer(count: int, times: float) -> int:
    return int(count * min(max(times, 1), 20))
