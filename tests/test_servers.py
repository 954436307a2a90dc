"""Real servers on loopback: a cold start, forks, a rolling rotation of keys and an outage, under load.

All servers are started together, and go through all of it together, one thing after another. Their guards have the
default settings; their issuers say that keys live for a minute, and the guards' clocks run 45 times as fast while that
is waited for: a minute passes in four thirds of a second.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest
from faults import Server, answering, tls_contexts
from helpers import jwk, key_set
from waiting import LONG

from benchmarks.fleet import EVERY_FETCH, Kind, Standing, fleet
from benchmarks.load import Tally, burst, met
from benchmarks.paced import Pace
from benchmarks.traffic import Traffic, Wallet, all_say, call_all, roll, states, traffic

FLASK = "servers_flask:app --log-level warning --timeout 300"  # a worker that takes its time is left alone
SERVING = {
    "sync": Kind(f"gunicorn --workers 2 {FLASK}", workers=2),
    "preload": Kind(f"gunicorn --workers 2 --preload {FLASK}", workers=2, warm="before"),
    "gthread": Kind(f"gunicorn --threads 8 {FLASK}"),
    "gevent": Kind(f"gunicorn --worker-class gevent {FLASK}"),
    "uvicorn": Kind("uvicorn --workers 4 servers_starlette:app --log-level warning", workers=4),
    "trio": Kind("hypercorn --worker-class trio servers_fastapi:app"),
}
FORKED = {
    "sync": Kind(f"gunicorn --preload {FLASK}", warm="meanwhile"),
    "gevent": Kind(f"gunicorn --preload --worker-class gevent {FLASK}", warm="meanwhile"),
}
FLOODED = ("gthread", "uvicorn", "trio")
SPEED = 45.0
LIFE = 60
RETRY_AFTER = 30
ROTATIONS = 2
T = TypeVar("T")

pytestmark = pytest.mark.skipif(os.name != "posix", reason="gunicorn forks, and sockets are handed on")


@pytest.fixture(scope="module")
def pace(tmp_path_factory: pytest.TempPathFactory) -> Pace:
    return Pace(tmp_path_factory.mktemp("pace") / "pace")


@pytest.fixture(scope="module")
def standing(pace: Pace, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Standing]]:
    forked = {f"{name} forked": kind for name, kind in FORKED.items()}
    with fleet(SERVING | forked, tmp_path_factory.mktemp("logs"), PACE=str(pace.path), FETCH_TIMEOUT="60") as standing:
        yield standing


def with_each(scenario: Callable[[Standing], Awaitable[T]], standing: dict[str, Standing]) -> dict[str, T]:
    """What *scenario* comes to with each of the servers, at once."""

    async def together() -> list[T]:
        return await asyncio.gather(*map(scenario, standing.values()))

    return dict(zip(standing, asyncio.run(together()), strict=True))


@dataclass
class Started:
    cold: Tally
    fetches: int
    held: int
    rotated: Tally
    fetches_rotated: int


@pytest.fixture(scope="module")
def started(standing: dict[str, Standing]) -> dict[str, Started]:
    """Twenty callers wait for each server from before it is up; later, a key signs that nobody has seen."""

    async def scenario(server: Standing) -> Started:
        wallet, cold = Wallet(server.issuer), Tally()
        await burst(server.port, [wallet.new() for _ in range(20)], cold)
        cold.seen += (await call_all(server, wallet)).seen
        fetches, held = server.front.fetches, server.front.held
        await asyncio.to_thread(server.issuer.rotate)
        rotated = await call_all(server, wallet)
        return Started(cold, fetches, held, rotated, server.front.fetches)

    return with_each(scenario, standing)


@pytest.mark.parametrize("name", SERVING)
def test_a_cold_start(started: dict[str, Started], name: str) -> None:
    """Everybody is let in, and each process fetches once; if the keys were loaded before the fork, none does."""
    assert set(started[name].cold.seen) == {"200"}
    assert started[name].fetches == (1 if SERVING[name].warm else SERVING[name].workers)


@pytest.mark.parametrize("name", FORKED)
def test_a_fork_in_the_middle_of_a_fetch(started: dict[str, Started], name: str) -> None:
    """The child fetches for itself: its callers are let in while its parent still waits for the issuer."""
    start = started[f"{name} forked"]
    assert set(start.cold.seen) == {"200"}
    assert (start.fetches, start.held) == (2, 1)


@pytest.mark.parametrize("name", [*SERVING, *(f"{name} forked" for name in FORKED)])
def test_a_key_that_signs_at_once(started: dict[str, Started], standing: dict[str, Standing], name: str) -> None:
    """A soft rotation: the callers with the new key wait for one fetch in each process, a second at most."""
    start = started[name]
    assert set(start.rotated.seen) == {"200"} or (
        start.rotated.slowest > 0.9 and set(start.rotated.seen) == {"200", "401"}
    )
    assert start.fetches_rotated - start.fetches == standing[name].kind.workers


async def asked(this: Traffic) -> None:
    """A hundred good requests have been answered."""

    async def enough() -> bool:
        return this.good.seen.total() > 100

    assert await met(enough, LONG)


@dataclass
class Rolled:
    traffic: Traffic
    fetches: int
    seconds: float
    """Of the guards' time."""
    withdrawn: Tally
    """What callers with a token of a withdrawn key saw, once each process had asked the issuer again."""


@pytest.fixture(scope="module")
def rolled(started: dict[str, Started], standing: dict[str, Standing], pace: Pace) -> dict[str, Rolled]:
    """Under load keys are rotated, twice, as an issuer should: published for 90 seconds before they sign."""

    async def scenario(server: Standing) -> Rolled:
        fetches, start, withdrawn = server.front.fetches, pace(), Tally()
        async with traffic(server, flood=100 if server.name in FLOODED else 0) as this:
            for _ in range(ROTATIONS):
                # Each process fetches behind its callers, and knows the key before it signs: they notice nothing.
                await all_say(server, this.wallet, keys=len(server.issuer.keys))
                known = all_say(server, this.wallet, keys=len(server.issuer.keys) + 1)
                old = await roll(server, this, lead=known, overlap=15 / SPEED)
            await asked(this)
        fetches, seconds = server.front.fetches - fetches, pace() - start
        await all_say(server, this.wallet, keys=len(server.issuer.keys))
        await burst(server.port, [this.wallet.new(old) for _ in range(12)], withdrawn)
        return Rolled(this, fetches, seconds, withdrawn)

    for server in standing.values():
        server.front.max_age = LIFE
    pace.run(SPEED, ahead=3600)  # what was fetched at the cold start is due
    return with_each(scenario, {name: standing[name] for name in SERVING})


@pytest.mark.parametrize("name", SERVING)
def test_a_rolling_rotation(rolled: dict[str, Rolled], name: str) -> None:
    """Not one good request fails, whatever strangers send meanwhile; a withdrawn key opens nothing any more."""
    seen = rolled[name].traffic
    assert set(seen.good.seen) == {"200"}
    assert set(seen.strangers.seen) == ({"401"} if name in FLOODED else set())
    assert set(rolled[name].withdrawn.seen) == {"401"}


@pytest.mark.parametrize("name", SERVING)
def test_what_a_rolling_rotation_costs(rolled: dict[str, Rolled], name: str) -> None:
    """Of each process a fetch when keys are due, at three quarters of their life or later, and for strangers one in 30
    seconds: a key that is published before it signs causes none."""
    each = rolled[name].fetches / SERVING[name].workers
    apart = RETRY_AFTER if name in FLOODED else 0.75 * LIFE
    assert 2 <= each <= 2 + rolled[name].seconds / apart


@dataclass
class Survived:
    traffic: Traffic
    fetches: int
    states: list[dict[str, Any]]
    """At the end of the outage."""


@pytest.fixture(scope="module")
def survived(started: dict[str, Started], standing: dict[str, Standing], pace: Pace) -> dict[str, Survived]:
    """Under load the issuer answers 503 for 80 seconds and then, for as long, not at all."""

    async def scenario(server: Standing) -> Survived:
        await all_say(server, Wallet(server.issuer), state="fresh")
        fetches = server.front.fetches
        async with traffic(server, flood=100 if server.name in FLOODED else 0) as this:
            server.issuer.down = True
            await asyncio.sleep(80 / SPEED)
            server.front.to_hold = EVERY_FETCH
            await asyncio.sleep(80 / SPEED)
            found = await states(server)
            await asked(this)
        fetches = server.front.fetches - fetches
        server.issuer.down = False
        server.front.free()
        return Survived(this, fetches, found)

    for server in standing.values():
        server.front.max_age = LIFE
    pace.run(SPEED, ahead=3600)
    return with_each(scenario, {name: standing[name] for name in SERVING})


@pytest.mark.parametrize("name", SERVING)
def test_an_outage_longer_than_the_keys_live(survived: dict[str, Survived], name: str) -> None:
    """Not one good request fails, and the processes say that their keys are stale."""
    seen = survived[name].traffic
    assert set(seen.good.seen) == {"200"}
    assert set(seen.strangers.seen) == ({"401"} if name in FLOODED else set())
    assert {state["state"] for state in survived[name].states} == {"stale"}


@pytest.mark.parametrize("name", SERVING)
def test_what_an_outage_costs(survived: dict[str, Survived], name: str) -> None:
    """The waits double, up to five minutes: a dozen fetches of each process, or a few more as the waits are random."""
    assert 1 <= survived[name].fetches / SERVING[name].workers <= 20


def test_after_an_outage(survived: dict[str, Survived], standing: dict[str, Standing], pace: Pace) -> None:
    """Once the longest wait is over, the next calls have the keys fetched again."""

    async def scenario(server: Standing) -> None:
        await all_say(server, Wallet(server.issuer), state="fresh", problem="")

    pace.run(1, ahead=300)
    with_each(scenario, {name: standing[name] for name in SERVING})


@pytest.mark.parametrize("name", [*SERVING, *(f"{name} forked" for name in FORKED)])
def test_what_the_logs_say(survived: dict[str, Survived], standing: dict[str, Standing], name: str) -> None:
    """Of all this, no exception and no token."""
    log = standing[name].log.read_text()
    assert "Traceback" not in log
    assert "eyJ" not in log


PATCHED_LATE = """
import sys
from kinde_guard import Guard, KeysUnavailable
guard = Guard(sys.argv[1], audience="https://api.example.com")
from gevent import monkey
monkey.patch_all()
try:
    guard.warm()
except KeysUnavailable:
    print(guard.health()[sys.argv[1]].problem)
"""


def test_a_guard_that_is_older_than_gevent_s_patches(tmp_path: Path) -> None:
    """``gunicorn --preload -k gevent`` loads the app first and then replaces the ssl module under it. A fetch gets as
    far as it should: this certificate is nobody's."""
    context, _ = tls_contexts(tmp_path)
    with Server(answering(key_set(jwk())), context) as server:
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", PATCHED_LATE, server.url],
            capture_output=True,
            text=True,
            timeout=LONG,
        )
    assert "CERTIFICATE_VERIFY_FAILED" in done.stdout, done
