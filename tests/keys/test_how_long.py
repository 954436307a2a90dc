"""How long callers wait for keys, with the waits as they are shipped: five seconds, or one, and no longer."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from typing import NamedTuple

import pytest
from faults import Server, dripping, hanging, head
from helpers import verdict
from test_keys_over_sockets import WORLDS, guard_of, published, token, unknown, verdict_in
from waiting import LONG, patience, patience_is_noted

from kinde_guard import Guard

AS_SHIPPED = True


class Waited(NamedTuple):
    verdict: str
    seconds: float
    patience: float
    """For how many seconds it would have waited."""


def wait_in(world: str, guard: Guard, raw: str) -> Waited:
    started, patience.seconds = time.monotonic(), 0.0
    return Waited(verdict_in(world, guard, raw), time.monotonic() - started, patience.seconds)


@pytest.fixture(scope="module", autouse=True)
def waited() -> Iterator[dict[tuple[str, str], Future[Waited]]]:
    """All of these cases wait side by side, once, and beside the other tests of this file."""
    drip = dripping(b" " * 60, at_once=head(headers={"content-length": "60"}))
    with ExitStack() as stack, patience_is_noted(), ThreadPoolExecutor(9) as pool:
        each = {}
        for world in ("thread", "asyncio", "trio"):
            servers = [stack.enter_context(Server(behave)) for behave in (hanging, drip, published("a"))]
            guards = [guard_of(server) for server in servers]
            assert verdict(guards[2], token(servers[2])) == "accepted"
            servers[2].behave = hanging
            each["hangs, no keys", world] = pool.submit(wait_in, world, guards[0], token(servers[0]))
            each["drips, no keys", world] = pool.submit(wait_in, world, guards[1], token(servers[1]))
            each["hangs, with keys", world] = pool.submit(wait_in, world, guards[2], unknown(servers[2], 1))
        yield each


@WORLDS
@pytest.mark.parametrize(
    ("case", "said", "seconds"),
    [
        ("hangs, no keys", "again in 1 s", 5.0),
        ("drips, no keys", "again in 1 s", 5.0),
        ("hangs, with keys", "unknown_key", 1.0),
    ],
)
def test_how_long_a_caller_waits(
    waited: dict[tuple[str, str], Future[Waited]], world: str, case: str, said: str, seconds: float
) -> None:
    """Five seconds while there are no keys, and a moment for the refusal to say why; one while there are."""
    result = waited[case, world].result(LONG)
    assert result.verdict == said
    assert result.seconds > seconds - 0.1
    assert seconds - 0.1 < result.patience <= seconds + 0.25
