"""mix: what a request costs on average where thousands of callers come again and again, some far more often.

The traffic: each caller has a token for an hour and comes back with another, each at a minute of its own; whose request
is next is drawn by Zipf's law (the n-th busiest caller asks 1/n^s times as often as the busiest). One hour fills the
caches, the next is measured. (The tokens themselves are valid for a day, so that every peer may read them at any time.)
"""

from __future__ import annotations

import random
from itertools import accumulate

from kinde_guard import Guard

from .bench import Bench
from .measure import Case, Run, Samples, calls, interleave
from .peers import Way
from .report import RATIO_COLUMNS, Bar, Report, Table, ratio_rows
from .tokens import Site
from .verify import BARE, DEFAULT_CACHE, OURS, UNCACHED

EXPONENTS = (1.0, 1.2)  # the classical one; and callers who differ more
SMALLER = 4_096  # a cache that cannot hold the tokens of all callers
CALLERS = 10_000
LIMIT = 0.15


def run(bench: Bench) -> Report:
    """A table for each exponent."""
    return Report("mix", [_table(bench, exponent) for exponent in EXPONENTS])


def _table(bench: Bench, exponent: float) -> Table:
    effort, title = bench.effort, f"mix: Zipf {exponent}"
    bench.progress.say(f"{title}: minting the tokens of {effort.callers} callers")
    hours = traffic(bench.site, effort.callers, effort.requests, exponent)
    smaller = effort.callers / CALLERS  # a quick run keeps the proportions
    default, small = (bench.site.guard(cache_size=int(size * smaller)) for size in (DEFAULT_CACHE, SMALLER))
    bench.progress.say(f"{title}: the hour before")
    ours = {OURS: default, f"kinde_guard, cache_size={SMALLER:_}": small}
    cases = [
        Case(BARE, _part(bench.site.bare(hours[1]), effort.calls)),
        *(Case(name, _whole(guard, hours)) for name, guard in ours.items()),
        Case(UNCACHED, _part(calls(bench.site.guard(cache_size=0).verify, hours[1]), effort.calls)),
        *(Case(peer.name, _of_peer(peer.way, hours, effort.calls), peer.note) for peer in bench.found.peers),
    ]
    missed = default.stats().misses
    count = effort.requests // (effort.rounds + 1)
    samples = interleave(cases, effort.rounds, count, bench.progress, title, even=False)
    share = (default.stats().misses - missed) / (count * (effort.rounds + 1))
    return Table(
        f"mix: {effort.callers:,} callers, {effort.requests:,} requests an hour, hourly M2M tokens, Zipf s={exponent}",
        RATIO_COLUMNS,
        ratio_rows(samples, BARE, {case.name: case.note for case in cases}),
        bars=_bars(bench, samples, exponent),
        notes=[f"With the default cache_size={DEFAULT_CACHE}, {share:.1%} of the requests missed.{_scaled(smaller)}"],
        charted=0,
    )


def _scaled(smaller: float) -> str:
    return "" if smaller == 1 else f" (Quick: kinde_guard's caches are smaller by {smaller:g} too; the peers' are not.)"


def traffic(site: Site, callers: int, requests: int, exponent: float) -> tuple[list[bytes], list[bytes]]:
    """The token of every request of two hours: in the first all callers have their old ones, in the second each
    comes with a new one from its own minute on."""
    dice = random.Random(20_261_124)
    weights = list(accumulate(1 / rank**exponent for rank in range(1, callers + 1)))
    renewed = [dice.random() for _ in range(callers)]
    tokens = site.tokens("M2M", 2 * callers)
    first = dice.choices(range(callers), cum_weights=weights, k=requests)
    second = dice.choices(range(callers), cum_weights=weights, k=requests)
    changed = (number / requests >= renewed[caller] for number, caller in enumerate(second))
    return (
        [tokens[caller] for caller in first],
        [tokens[caller + callers * new] for caller, new in zip(second, changed, strict=True)],
    )


def _whole(guard: Guard, hours: tuple[list[bytes], list[bytes]]) -> Run:
    """Every request of the second hour, after all of the first."""
    calls(guard.verify, hours[0])(0, len(hours[0]))
    return calls(guard.verify, hours[1])


def _of_peer(way: Way, hours: tuple[list[bytes], list[bytes]], most: int) -> Run:
    if not way.remembers:
        return _part(way.runs(hours[1]), most)
    way.runs(hours[0])(0, len(hours[0]))
    return way.runs(hours[1])


def _part(run: Run, most: int) -> Run:
    """Without a memory all requests cost alike: the first *most* of a slice stand for it."""
    return lambda first, count: run(first, min(count, most))


def _bars(bench: Bench, samples: Samples, exponent: float) -> list[Bar]:
    cost = samples.ratio(OURS, BARE).median
    bars = [Bar(f"mix, Zipf s={exponent}, default cache_size={DEFAULT_CACHE}", cost, LIMIT)]
    scaled = bench.effort.callers != CALLERS  # then the caches of others are too large to be compared with
    names = [peer.name for peer in bench.found.peers if not (scaled and peer.way.remembers)]
    if names:
        best = min(names, key=lambda name: samples.ratio(name, BARE).median)
        what = f"mix, Zipf s={exponent}: ahead of every peer; the best is {best}"
        bars.append(Bar(what, cost, samples.ratio(best, BARE).median))
    return bars
