"""The key store against all that may happen to it, in any order: time passes, keys rotate, the issuer breaks, hangs
and heals, callers come for all kinds of keys.

After every step: no key was given out that the issuer did not publish, none that is held and usable was refused, nobody
waited for long, and the issuer was asked just as often as the schedule says.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from math import inf

import httpx
import pytest
from helpers import Time, jwk, key_set, rsa_key
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from waiting import LONG

from kinde_guard import InvalidToken, KeysUnavailable
from kinde_guard.keys import store
from kinde_guard.keys.jwk import Key
from kinde_guard.keys.store import KeyStore
from kinde_guard.net.fetch import Fetcher

COOL_DOWN, USABLE_FOR, LIFE, DUE = 30.0, 5_000.0, 600.0, 510.0
URL = "https://acme.kinde.com/.well-known/jwks"
KIDS = ["a", "b", "c"]
MATERIALS = ["first", "second"]
LATER = st.sampled_from([0, 0, 0.5, 1, 4, 29.5, 30, 100, 510, 600, 1_000, 5_000])
"""Seconds: among them the edges of the schedule."""
Published = dict[str, str]
"""The material of each kid."""
End = str
"""What became of a caller: the material of its key, ``unknown_key``, or ``cannot tell``."""


class Kinde(httpx.BaseTransport):
    """Answers when it may, with what was the case when it was asked."""

    def __init__(self) -> None:
        self.keys: Published = {"a": "first"}
        self.broken: tuple[int, str] | None = None
        self.may_answer = threading.Event()
        self.may_answer.set()
        self.asked = 0
        self.last: tuple[Published, float] = {}, 0.0
        """The keys that were answered last, none if it was no good answer; the wait that was asked for."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        keys, broken = dict(self.keys), self.broken
        self.asked += 1  # from here on, what is changed comes too late for this answer
        assert self.may_answer.wait(LONG)
        self.last = keys, 0.0
        if broken is not None:
            self.last = {}, 0.0 if broken[0] == 200 else float(broken[1] or 0)
            return httpx.Response(broken[0], content=b"<html>", headers={"retry-after": broken[1]})
        jwks = [jwk({"kid": kid}, key=rsa_key(material)) for kid, material in keys.items()]
        return httpx.Response(200, content=key_set(*jwks))


class Model:
    """What design and README promise, in a few lines: a second opinion on the schedule."""

    def __init__(self) -> None:
        self.held: Published = {}
        self.loaded_at = self.retry_at = self.cool_until = -inf
        self.failures = 0
        self.under_way: float | None = None
        """When the fetch under way was started for an unknown kid; minus infinity if for another reason."""

    def usable(self, now: float) -> bool:
        return now < self.loaded_at + USABLE_FOR

    def due(self, now: float) -> bool:
        return now >= self.loaded_at + DUE and now >= self.retry_at

    def end_of(self, kid: str, now: float) -> End:
        return self.held.get(kid, "unknown_key") if self.usable(now) else "cannot tell"

    def land(self, answer: Published, asked_wait: float, now: float) -> None:
        assert self.under_way is not None
        self.cool_until = max(self.cool_until, self.under_way + COOL_DOWN)
        self.under_way = None
        if answer:
            self.held, self.loaded_at, self.failures, self.retry_at = answer, now, 0, -inf
            return
        most = 300 if self.usable(now) else 30
        wait = max(min(2.0**self.failures, most), min(asked_wait, most))
        self.retry_at = min(now + wait, max(now, self.loaded_at + USABLE_FOR) + 30)
        self.cool_until = max(self.cool_until, now + COOL_DOWN)
        self.failures += 1


class Machine(RuleBasedStateMachine):
    @initialize()
    def begin(self) -> None:
        self.time, self.kinde, self.model = Time(), Kinde(), Model()
        self.given: list[Key] = []
        self.store = KeyStore(
            "https://acme.kinde.com",
            URL,
            algorithms=("RS256",),
            retry_after=COOL_DOWN,
            usable_for=USABLE_FOR,
            fetcher=Fetcher(self.kinde),
            clocks=self.time.clocks,
            chance=lambda: 1.0,
        )
        self.store._flight._deadline = LONG
        _patience(LONG)

    def teardown(self) -> None:
        self.kinde.may_answer.set()

    @property
    def now(self) -> float:
        return self.time.monotonic

    @property
    def hanging(self) -> bool:
        return not self.kinde.may_answer.is_set()

    # What happens

    @rule(kid=st.sampled_from(KIDS), material=st.sampled_from([*MATERIALS, None]))
    def a_key_is_published_replaced_or_withdrawn(self, kid: str, material: str | None) -> None:
        self.kinde.keys.pop(kid, None)
        if material is not None:
            self.kinde.keys[kid] = material

    @rule(broken=st.none() | st.tuples(st.sampled_from([200, 302, 503]), st.sampled_from(["", "10", "9999"])))
    def the_issuer_breaks_or_heals(self, broken: tuple[int, str] | None) -> None:
        self.kinde.broken = broken

    @rule()
    def the_issuer_hangs(self) -> None:
        self.kinde.may_answer.clear()
        _patience(0.002)

    @rule()
    def the_issuer_hangs_no_more(self) -> None:
        self.kinde.may_answer.set()
        _patience(LONG)
        self._land()

    @rule(later=LATER, kid=st.sampled_from([*KIDS, "unknown"]))
    def a_caller_comes(self, later: float, kid: str) -> None:
        self.time.passes(later)
        model, fetches = self.model, self.kinde.asked
        before, usable, due = model.end_of(kid, self.now), model.usable(self.now), model.due(self.now)
        wants_key = usable and before == "unknown_key" and self.now >= max(model.cool_until, model.retry_at)
        may_fetch = self.now >= model.retry_at and not usable
        starts = model.under_way is None and (due or wants_key or may_fetch)
        if starts:
            model.under_way = self.now if wants_key and not due else -inf
        end = self._ask(kid)
        self._check_fetches(fetches + starts)
        self._land()
        assert end == (before if before in MATERIALS else model.end_of(kid, self.now))

    @rule(later=LATER, kid=st.sampled_from([*KIDS, "unknown"]))
    def many_callers_come(self, later: float, kid: str) -> None:
        """After two, which leave nothing to be fetched: each must find the same."""
        self.a_caller_comes(later, kid)
        self.a_caller_comes(0, kid)
        fetches, expected = self.kinde.asked, self.model.end_of(kid, self.now)
        with ThreadPoolExecutor(4) as pool:
            assert set(pool.map(self._ask, [kid] * 4)) == {expected}
        assert self.kinde.asked == fetches

    @rule(later=LATER, kid=st.sampled_from(KIDS))
    def a_signature_does_not_hold(self, later: float, kid: str) -> None:
        """Under a kid that is held: within the same budget, and nobody waits."""
        self.time.passes(later)
        model, fetches = self.model, self.kinde.asked
        if model.end_of(kid, self.now) in MATERIALS:
            starts = model.under_way is None and self.now >= max(model.cool_until, model.retry_at)
            if starts:
                model.under_way = self.now
            self.store.ask_behind()
            self._check_fetches(fetches + starts)
            self._land()

    @rule(later=LATER, number=st.integers(0, 50))
    @precondition(lambda self: self.given)
    def a_key_given_out_before_is_asked_about(self, later: float, number: int) -> None:
        self.time.passes(later)
        key, fetches = self.given[number % len(self.given)], self.kinde.asked
        starts = self.model.under_way is None and self.model.usable(self.now) and self.model.due(self.now)
        if starts:
            self.model.under_way = -inf
        if self.store.current().holds(key):
            assert self.model.usable(self.now)
            assert self.model.held[key.kid] == _material(key)
        self._check_fetches(fetches + starts)
        self._land()
        assert self.store.current().holds(key) == (self.store.find(key.kid, "RS256") is key)

    # What must be so

    @invariant()
    def health_tells(self) -> None:
        health, model = self.store.health(), self.model
        age = self.now - model.loaded_at
        states = {"never_loaded": age == inf, "expired": USABLE_FOR <= age < inf, "fresh": age < LIFE}
        assert health.state == next((state for state, so in states.items() if so), "stale")
        assert health.keys == len(model.held)
        assert bool(health.problem) == bool(model.failures)

    def _ask(self, kid: str) -> End:
        try:
            key = self.store.get(kid, "RS256")
        except InvalidToken as refusal:
            return refusal.reason
        except KeysUnavailable as refusal:
            return "cannot tell" if 1 <= refusal.retry_after <= 30 else "a wait beyond the bounds"
        self.given.append(key)
        return _material(key)

    def _land(self) -> None:
        """The fetch under way, if there is one and the issuer answers, comes to its end here and in the model."""
        if self.model.under_way is None or self.hanging:
            return
        if (future := self.store._flight.under_way) is not None:
            future.result(LONG)
        self.model.land(*self.kinde.last, self.now)

    def _check_fetches(self, expected: int) -> None:
        end = time.monotonic() + LONG
        while self.kinde.asked < expected and time.monotonic() < end:
            time.sleep(0.0001)  # a fetch behind the callers may take a moment to begin
        assert self.kinde.asked == expected


def _material(key: Key) -> str:
    number = key.public.public_numbers().n
    return next(name for name in MATERIALS if rsa_key(name).public_key().public_numbers().n == number)


def _patience(seconds: float) -> None:
    store.WAIT_COLD = store.WAIT_UNKNOWN = seconds


@pytest.fixture
def _usual_patience() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name in ("WAIT_COLD", "WAIT_UNKNOWN"):
            patch.setattr(store, name, getattr(store, name))
        yield


@pytest.mark.usefixtures("_usual_patience")
def test_whatever_happens() -> None:
    run_state_machine_as_test(
        Machine, settings=settings(max_examples=50, stateful_step_count=40, deadline=None, database=None)
    )
