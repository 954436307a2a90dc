"""verify: what one token costs, fresh and repeated, of a machine and of a user."""

from __future__ import annotations

import inspect
from collections.abc import Sequence

from kinde_guard import Guard
from kinde_guard.tokens.cache import CacheStats

from .bench import Bench
from .measure import Case, Samples, calls, interleave
from .peers import InProcess
from .report import RATIO_COLUMNS, Bar, Report, Table, ratio_rows
from .tokens import KINDS, Site

BARE = "bare cryptography verify"
OURS = "kinde_guard"
UNCACHED = "kinde_guard, cache_size=0"
DEFAULT_CACHE: int = inspect.signature(Guard).parameters["cache_size"].default
BARS = {  # at most, and the aim: multiples of bare verify
    ("M2M", "fresh"): (1.65, 1.5),
    ("user", "fresh"): (2.1, None),
    ("M2M", "repeated"): (0.08, 0.05),
}


def run(bench: Bench) -> Report:
    """A table for each kind of token, fresh and repeated."""
    hostile = _of_hostile(bench)
    return Report("verify", [_table(bench, kind, how, hostile) for kind in KINDS for how in ("fresh", "repeated")])


def _table(bench: Bench, kind: str, how: str, hostile: str) -> Table:
    bench.progress.say(f"verify: minting {kind} tokens")
    tokens = bench.site.tokens(kind, bench.effort.tokens if how == "fresh" else 1)
    guard = full_guard(bench.site, tokens)
    cases = [
        Case(BARE, bench.site.bare(tokens)),
        Case(OURS, calls(guard.verify, tokens)),
        Case(UNCACHED, calls(bench.site.guard(cache_size=0).verify, tokens)),
        *(Case(peer.name, peer.way.runs(tokens), peer.note) for peer in bench.found.peers),
    ]
    before = guard.stats()
    samples = interleave(cases, bench.effort.rounds, bench.effort.calls, bench.progress, f"verify: {kind} {how}")
    _check_cache(how, before, guard.stats())
    notes = {case.name: case.note for case in cases}
    return Table(
        f"{kind} token of {len(tokens[0])} characters, {how}: CPU time as a multiple of bare verify",
        RATIO_COLUMNS,
        ratio_rows(samples, BARE, notes),
        bars=_bars(bench, samples, kind, how),
        notes=[hostile, *(f"{name}: {why}" for name, why in bench.found.missing.items())],
        charted=0,
    )


def full_guard(site: Site, tokens: Sequence[bytes]) -> Guard:
    """A guard with all defaults whose cache is full, where there are tokens enough to fill it: each new token then
    drives an old one out, as on a busy API."""
    guard = site.guard()
    if len(tokens) > DEFAULT_CACHE:
        for token in tokens:
            guard.verify(token.decode())
    return guard


def _check_cache(how: str, before: CacheStats, after: CacheStats) -> None:
    """Fresh means never a hit, repeated means one miss: else the figures would not be what they are called."""
    if (after.hits > before.hits) if how == "fresh" else (after.misses > before.misses + 1):
        raise RuntimeError(f"the cache says otherwise of {how} tokens: {before}, {after}")


def _bars(bench: Bench, samples: Samples, kind: str, how: str) -> list[Bar]:
    bars = []
    if (kind, how) in BARS:
        limit, aim = BARS[kind, how]
        for name in (OURS, UNCACHED) if how == "fresh" else (OURS,):
            bars.append(Bar(f"{kind} token, {how}, {name}", samples.ratio(name, BARE).median, limit, aim=aim))
    rivals = [peer.name for peer in bench.found.peers if peer.is_strict or how == "repeated"]
    if rivals:
        best = min(rivals, key=lambda name: samples.ratio(name, BARE).median)
        whom = "every peer" if how == "repeated" else "every peer that refuses all hostile tokens"
        what = f"{kind} token, {how}: ahead of {whom}; the best is {best}"
        bars.append(Bar(what, samples.ratio(OURS, BARE).median, samples.ratio(best, BARE).median))
    return bars


def _of_hostile(bench: Bench) -> str:
    """How kinde_guard and the peers fare with the same hostile tokens."""
    guard = bench.site.guard()
    let_in = sum(map(InProcess(guard.verify).accepts, bench.site.hostile()))
    strict = [peer.name for peer in bench.found.peers if peer.is_strict]
    others = ", ".join(strict) or "no peer"
    return f"Of {bench.found.hostile} hostile tokens kinde_guard accepts {let_in}; {others} refuses them all as well."
