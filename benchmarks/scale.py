"""scale: whether a request costs more as there are more cached tokens, keys, issuers and threads; and the memory."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import httpx
from cryptography.hazmat.primitives.asymmetric import rsa

from kinde_guard import Guard
from kinde_guard.issuer import LocalIssuer, SigningKey
from kinde_guard.issuer.tenant import AUDIENCE
from kinde_guard.issuer.transport import LocalTransport

from . import memory, threads
from .bench import Bench
from .measure import Case, Run, Samples, calls, interleave
from .report import Bar, Report, Table, Value
from .tokens import quick_issuer, quick_tokens
from .verify import BARE

FLAT = 1.2
MORE = 2.0
HIT, MISS = "repeated", "fresh"


def run(bench: Bench) -> Report:
    """A table for each thing that there may be more of."""
    several = [_cached(bench), _keys(bench), _issuers(bench)]
    return Report("scale", [*several, threads.throughput(bench), threads.beside_a_busy_one(bench), memory.table(bench)])


def _cached(bench: Bench) -> Table:
    """Caches for 10² … 10⁵ tokens, each at its bound, of entries or of bytes; hits come in a random order, as callers
    do."""
    effort, sizes, issuer = bench.effort, bench.effort.cached, quick_issuer()
    bench.progress.say(f"scale: minting {sizes[-1]} tokens")
    tokens = quick_tokens(issuer, sizes[-1] + effort.calls * (effort.rounds + 1))
    old, new = tokens[: sizes[-1]], tokens[sizes[-1] :]
    guards: dict[int, Guard] = {}
    shuffled: dict[int, list[bytes]] = {}
    for size in sizes:
        bench.progress.say(f"scale: filling a cache with {size} tokens")
        guards[size] = _filled(issuer, old[:size])
        held = guards[size].stats().entries  # the newest
        shuffled[size] = random.Random(size).sample(old[size - held : size], held)
    samples = {
        HIT: _samples(bench, {size: calls(guards[size].verify, shuffled[size]) for size in sizes}, HIT),
        MISS: _samples(bench, {size: calls(guards[size].verify, new) for size in sizes}, MISS),
    }
    unit = f"x among {sizes[0]:,}"
    bars = [
        Bar(f"a hit in a full cache for {size:,} tokens", _grown(samples[HIT], size, sizes), MORE, unit=unit)
        for size in sizes
        if size >= 10_000
    ]
    entries = ", ".join(f"{guards[size].stats().entries:,}" for size in sizes)
    note = f"They hold {entries}. Fresh tokens drive old ones out. All are signed with ES256, to fill caches faster."
    return _table("scale: tokens in the cache, which is at its bound", sizes, samples, bars, note)


def _filled(issuer: LocalIssuer, tokens: Sequence[bytes]) -> Guard:
    guard = _guard(issuer.url, issuer.transport, algorithms=["ES256"], cache_size=len(tokens))
    calls(guard.verify, tokens)(0, len(tokens))
    stats = guard.stats()
    if stats.entries + stats.evictions != len(tokens):
        raise RuntimeError(f"the cache has not seen them all: {stats}")
    return guard


def _keys(bench: Bench) -> Table:
    """Sets of 1 … 500 RSA keys; the one that signs is the last."""
    tokens = bench.site.tokens("M2M", bench.effort.calls)
    url, jwks = bench.site.issuer.url, bench.site.issuer.jwks()["keys"]
    transports = {}
    for count in bench.effort.keys:
        document = {"keys": [*(_made_up_jwk() for _ in range(count - 1)), *jwks]}
        transports[count] = httpx.MockTransport(lambda _, document=document: httpx.Response(200, json=document))
    guards = {count: _both(url, transport) for count, transport in transports.items()}
    return _flat(bench, "keys in the set", guards, dict.fromkeys(guards, tokens))


def _issuers(bench: Bench) -> Table:
    """Guards of 1 … 100 issuers, whose tokens come in turn. (They share a key, which takes long to make.)"""
    key = bench.site.issuer.key
    most = [LocalIssuer(f"https://tenant-{number}.kinde.test", key=key) for number in range(max(bench.effort.issuers))]
    guards, tokens = {}, {}
    for count in bench.effort.issuers:
        issuers = most[:count]
        guards[count] = _both([issuer.url for issuer in issuers], LocalTransport(*issuers))
        minted = (issuers[number % count].m2m_token() for number in range(bench.effort.calls))
        tokens[count] = [token.encode() for token in minted]
    return _flat(bench, "issuers", guards, tokens)


def _both(domain: Any, transport: httpx.BaseTransport) -> dict[str, Guard]:
    return {HIT: _guard(domain, transport), MISS: _guard(domain, transport, cache_size=0)}


def _guard(domain: Any, transport: httpx.BaseTransport, **settings: Any) -> Guard:
    guard = Guard(domain, audience=AUDIENCE, transport=transport, **settings)
    guard.warm()
    return guard


def _flat(bench: Bench, what: str, guards: dict[int, dict[str, Guard]], tokens: dict[int, list[bytes]]) -> Table:
    """Costs that must not grow."""
    sizes = list(guards)
    samples = {
        how: _samples(bench, {size: calls(guards[size][how].verify, tokens[size]) for size in sizes}, f"{how}, {what}")
        for how in (HIT, MISS)
    }
    last, unit = sizes[-1], f"x of {sizes[0]}"
    bars = [Bar(f"{last} {what}, {how} token", _grown(samples[how], last, sizes), FLAT, unit=unit) for how in samples]
    return _table(f"scale: {what}", sizes, samples, bars, f"Fresh: with cache_size=0. Bar: flat, ± {FLAT - 1:.0%}.")


def _samples(bench: Bench, runs: dict[int, Run], what: str) -> Samples:
    bare = Case(BARE, bench.site.bare(bench.site.tokens("M2M", 1)))
    cases = [bare, *(Case(f"{size:,}", run) for size, run in runs.items())]
    return interleave(cases, bench.effort.rounds, bench.effort.calls, bench.progress, f"scale: {what}")


def _grown(samples: Samples, size: int, sizes: Sequence[int]) -> float:
    return samples.ratio(f"{size:,}", f"{sizes[0]:,}").median


def _table(title: str, sizes: Sequence[int], samples: dict[str, Samples], bars: list[Bar], note: str) -> Table:
    rows: list[tuple[str, list[Value]]] = []
    for size in sizes:
        values: list[Value] = []
        for how in (HIT, MISS):
            values += [samples[how].micros(f"{size:,}"), _grown(samples[how], size, sizes)]
        rows.append((f"{size:,}", values))
    columns = [f"{HIT}, CPU µs", f"x of {sizes[0]:,}", f"{MISS}, CPU µs", f"x of {sizes[0]:,}"]
    return Table(title, columns, rows, bars, notes=[note])


def _made_up_jwk() -> dict[str, Any]:
    """The public half of an RSA key of which nobody has the other: an odd number of 2048 bits does for one."""
    modulus = random.getrandbits(2048) | 1 << 2047 | 1
    public = rsa.RSAPublicNumbers(65537, modulus).public_key()
    return SigningKey(kid=random.randbytes(16).hex(":"), alg="RS256", private=_Public(public)).public_jwk()


class _Public:
    """Of a key pair, the half that a JWK shows."""

    def __init__(self, key: rsa.RSAPublicKey) -> None:
        self._key = key

    def public_key(self) -> rsa.RSAPublicKey:
        return self._key
