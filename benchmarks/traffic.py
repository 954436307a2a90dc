"""What servers are asked: good requests of every key in use, and strangers whose kids nobody knows."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from kinde_guard.issuer import LocalIssuer, SigningKey
from kinde_guard.issuer.keys import new_kid
from kinde_guard.issuer.tokens import b64url

from .fleet import Standing
from .load import Caller, Tally, Ticket, burst, calls, met

LONG = 180.0
"""Seconds that what should come about at once may take on a busy machine."""


@dataclass
class Wallet:
    """Good tokens of every key in use: by turns one of a few that are used again and again, and a new one."""

    issuer: LocalIssuer
    _kept: dict[SigningKey, list[Ticket]] = field(default_factory=dict)
    _turn: Iterator[int] = field(default_factory=itertools.count)

    def __post_init__(self) -> None:
        self.add(self.issuer.key)

    def __call__(self) -> Ticket:
        turn = next(self._turn)
        keys = tuple(self._kept)
        key = keys[turn % len(keys)]
        if turn // len(keys) % 2:
            return self.new(key)
        return self._kept[key][turn % len(self._kept[key])]

    def add(self, key: SigningKey) -> None:
        """Have tokens of this key, too."""
        self._kept = {**self._kept, key: [self.new(key) for _ in range(20)]}

    def drop(self, key: SigningKey) -> None:
        """Have none of this key any more."""
        self._kept = {kept: tickets for kept, tickets in self._kept.items() if kept is not key}

    def new(self, key: SigningKey | None = None) -> Ticket:
        """A token that nobody has seen before."""
        token_id = f"t{next(_numbers)}"
        claims = self.issuer.m2m_claims(scope="read:users", jti=token_id)
        return Ticket(self.issuer.token(claims, key=key), token_id)

    def stranger(self) -> Ticket:
        """A token whose kid is unknown, and was never seen before."""
        kid = new_kid()
        _, rest = next(iter(self._kept.values()))[0].token.split(".", 1)
        header = f'{{"alg":"RS256","kid":"{kid}","typ":"JWT"}}'
        return Ticket(f"{b64url(header.encode()).decode()}.{rest}", kid)


@dataclass
class Traffic:
    """What a server is asked, and what it answers."""

    wallet: Wallet
    good: Tally = field(default_factory=Tally)
    strangers: Tally = field(default_factory=Tally)

    async def drop(self, key: SigningKey) -> None:
        """Use tokens of this key no more, and wait for the answers to those that are under way."""
        self.wallet.drop(key)
        under_way = set(self.good.under_way)

        async def answered() -> bool:
            return under_way.isdisjoint(self.good.under_way)

        assert await met(answered, LONG), "no answer"


@asynccontextmanager
async def traffic(server: Standing, this: Traffic | None = None, *, flood: int = 0) -> AsyncIterator[Traffic]:
    """Meanwhile, 40 good requests a second, and *flood* with unknown kids; on top of what there was in *this*."""
    this, over = this or Traffic(Wallet(server.issuer)), asyncio.Event()

    def on() -> bool:
        return not over.is_set()

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(calls(server.port, this.wallet, this.good, on, callers=4, every=0.1))
        tasks.create_task(calls(server.port, this.wallet.stranger, this.strangers, on, callers=flood, every=1.0))
        try:
            yield this
        finally:
            over.set()


async def roll(server: Standing, this: Traffic, *, lead: Awaitable[None], overlap: float) -> SigningKey:
    """Rotate as an issuer should: the new key is published, signs when *lead* is over, and the old one is withdrawn
    *overlap* seconds later, when it is out of use. The old one."""
    issuer, old = server.issuer, server.issuer.key
    await asyncio.to_thread(issuer.publish_next)
    await lead
    this.wallet.add(await asyncio.to_thread(issuer.rotate))
    await asyncio.sleep(overlap)
    await this.drop(old)
    issuer.withdraw(old.kid)
    return old


async def call_all(server: Standing, wallet: Wallet) -> Tally:
    """Good calls until each process has answered one; AssertionError if one never does."""
    tally = Tally()

    async def all_called() -> bool:
        await burst(server.port, [wallet.new() for _ in range(4)], tally)
        return len(tally.workers) >= server.kind.workers

    assert await met(all_called, LONG), f"{tally}\n{server.log.read_text()}"
    return tally


async def states(server: Standing) -> list[dict[str, Any]]:
    """How the guard of each process says it is; AssertionError if one never says so."""
    found: dict[int, dict[str, Any]] = {}

    async def all_found() -> bool:
        caller = Caller(server.port)
        said = (await caller.get("/state")).json()
        await caller.close()
        found[said["pid"]] = said
        return len(found) >= server.kind.workers

    assert await met(all_found, LONG), f"{found}\n{server.log.read_text()}"
    return list(found.values())


async def all_say(server: Standing, wallet: Wallet, **what: object) -> None:
    """Good calls until each process says this of its guard; AssertionError if one never does."""

    async def said() -> bool:
        await call_all(server, wallet)
        return all(what.items() <= state.items() for state in await states(server))

    assert await met(said, LONG), f"not {what}: {await states(server)}\n{server.log.read_text()}"


_numbers = itertools.count()
