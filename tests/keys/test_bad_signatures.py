"""A signature that does not hold may be that of a new key under an old kid: the keys are asked for, behind the request
and seldom."""

from __future__ import annotations

import asyncio
import threading

import httpx
import pytest
from helpers import AUDIENCE, DOMAIN, Issuer, Time, guard_of, jwk, key_set, mint, reason_of, rsa_key
from waiting import LONG, settle

from kinde_guard import Guard, InvalidToken


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def issuer() -> Issuer:
    return Issuer()


def forged(number: int = 0) -> str:
    return mint({"jti": str(number)}, key=rsa_key("nobody's"))


def fetched(guard: Guard, issuer: Issuer, count: int) -> None:
    """The fetch under way has ended, and there were that many by now."""
    settle(guard)
    assert len(issuer.fetches) == count


def test_new_material_under_an_old_kid_is_had_with_the_next_request(issuer: Issuer, time: Time) -> None:
    """Not ten minutes later. The request that finds out is refused: it does not wait."""
    guard = guard_of(issuer, time)
    assert reason_of(guard, mint()) == "accepted"
    issuer.body = key_set(jwk(key=rsa_key("the new one")))
    new = mint(key=rsa_key("the new one"))
    assert reason_of(guard, new) == "bad_signature"
    fetched(guard, issuer, 2)
    assert reason_of(guard, new) == "accepted"
    assert reason_of(guard, mint()) == "bad_signature"


def test_event_loops_find_out_too(issuer: Issuer, time: Time) -> None:
    guard = guard_of(issuer, time)
    guard.warm()
    issuer.body = key_set(jwk(key=rsa_key("the new one")))
    new = mint(key=rsa_key("the new one"))
    with pytest.raises(InvalidToken, match="bad_signature"):
        asyncio.run(guard.averify(new))
    fetched(guard, issuer, 2)
    assert asyncio.run(guard.averify(new)) is guard.verify(new)


@pytest.mark.parametrize("status", [200, 500])
def test_a_thousand_bad_signatures_cost_one_fetch_each_half_minute(issuer: Issuer, time: Time, status: int) -> None:
    """Failures counted, and in one budget with unknown kids."""
    guard = guard_of(issuer, time)
    guard.warm()
    issuer.status = status
    bad, unknown = [forged(number) for number in range(20)], mint(header={"kid": "unknown"})
    for half_minute in range(5):
        for number in range(200):
            assert reason_of(guard, bad[number % 20]) == "bad_signature"
            if number == 0:
                fetched(guard, issuer, 2 + half_minute)
            if number % 50 == 0:
                assert reason_of(guard, unknown) == "unknown_key"
        time.passes(29.9)
        assert reason_of(guard, bad[0]) == "bad_signature"
        settle(guard)
        assert len(issuer.fetches) == 2 + half_minute
        assert reason_of(guard, mint()) == "accepted"
        time.passes(0.1 if status == 200 else 30)


def test_after_an_unknown_kid_has_had_the_keys_fetched_no_bad_signature_does(issuer: Issuer, time: Time) -> None:
    guard = guard_of(issuer, time)
    guard.warm()
    assert reason_of(guard, mint(header={"kid": "unknown"})) == "unknown_key"
    assert reason_of(guard, forged()) == "bad_signature"
    settle(guard)
    assert len(issuer.fetches) == 2


def test_strangers_cannot_make_it_cannot_tell(issuer: Issuer, time: Time) -> None:
    """While the issuer is down, whatever is sent: known keys serve to the end of ``usable_for``."""
    guard = guard_of(issuer, time, usable_for=3_600)
    good = mint()
    assert reason_of(guard, good) == "accepted"
    issuer.status = 503
    for _ in range(11):
        assert reason_of(guard, forged()) == "bad_signature"
        settle(guard)
        time.passes(300)
        assert reason_of(guard, good) == "accepted"
        assert reason_of(guard, mint({"jti": str(time.wall)})) == "accepted"
        settle(guard)


def test_nobody_waits_for_it() -> None:
    """While the issuer hangs, bad signatures and good ones are answered; with one fetch."""
    may_answer, asked = threading.Event(), []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        assert len(asked) == 1 or may_answer.wait(LONG)
        return httpx.Response(200, content=key_set(jwk()))

    transport = httpx.MockTransport(answer)
    guard = Guard(DOMAIN, audience=AUDIENCE, variables=(), transport=transport, clocks=Time().clocks)
    guard.warm()
    for number in range(50):
        assert reason_of(guard, forged(number % 3)) == "bad_signature"
        assert reason_of(guard, mint()) == "accepted"
    assert not may_answer.is_set()
    may_answer.set()
    settle(guard)
    assert len(asked) == 2
