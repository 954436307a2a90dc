"""What a guard tells an observer and the log: verdicts, fetches, changed keys, and a clock that is off."""

from __future__ import annotations

import dataclasses
import logging
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

import pytest
from faults import Exchange, Server, answering
from flask import Flask
from helpers import (
    AUDIENCE,
    DOMAIN,
    ISSUER,
    KID,
    M2M,
    NOW,
    Issuer,
    Time,
    b64_int,
    guard_of,
    jwk,
    key_set,
    mint,
    reason_of,
    rsa_key,
)
from waiting import LONG, settle

from kinde_guard import AuthError, ConfigurationError, Guard, InsufficientScope, KeysUnavailable, events, scope
from kinde_guard.events import (
    CannotTell,
    Event,
    KeysChanged,
    KeysFailed,
    KeysFetched,
    KeysStale,
    Refused,
    RevocationsLoaded,
    RevocationsStale,
    Revoked,
    Verified,
    WebhookAnswered,
)
from kinde_guard.flask import KindeGuard
from kinde_guard.keys import notices
from kinde_guard.keys.jwk import read_jwk_set
from kinde_guard.keys.key_set import Changes, KeySet, changes_between
from kinde_guard.net import joining

WEAK = jwk({"kid": "weak", "n": b64_int((1 << 1023) | (1 << 512) | 1)})
LEAKED = jwk({"kid": "leaked", "d": "AQAB"})
SECRET = {"kty": "oct", "kid": "secret", "k": "c2VjcmV0"}


class Recorder:
    """Keeps every event."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def observe(self, event: Event) -> None:
        self.events.append(event)

    def of(self, *kinds: type[Any]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kinds)]


class Failing:
    """Raises whatever it is told."""

    def __init__(self) -> None:
        self.asked = 0

    def observe(self, event: Event) -> None:
        self.asked += 1
        raise ZeroDivisionError("the observer's own")


def refreshed(guard: Guard, time: Time, seconds: float = 600.0) -> None:
    """Time passes, and the keys are asked for anew."""
    time.passes(seconds)
    for store in guard._stores.values():
        future = store.load()
        assert future is not None
        joining.join(future, 10)
    settle(guard)


@pytest.fixture
def seen() -> Recorder:
    return Recorder()


# Verdicts


def test_a_token_is_told_when_it_is_verified_and_when_it_is_recognised(seen: Recorder) -> None:
    guard = guard_of(Issuer(), observer=seen)
    token = guard.authenticate([f"Bearer {mint()}"])
    assert guard.authenticate([f"Bearer {mint()}"]) is token
    settle(guard)
    assert seen.of(Verified) == [Verified(token, remembered=False), Verified(token, remembered=True)]
    assert len(seen.events) == 3  # and the fetch


@pytest.mark.parametrize(("values", "reason"), [
    ([], "missing_token"),
    (["Basic abc"], "missing_token"),
    (["Bearer a", "Bearer b"], "invalid_request"),
    (["Bearer a.b.c"], "malformed"),
    ([f"Bearer {mint({'exp': NOW - 3600})}"], "expired"),
    ([f"Bearer {mint(key=rsa_key('another'))}"], "bad_signature"),
])  # fmt: skip
def test_every_refusal_is_told_with_its_reason(values: list[str], reason: str, seen: Recorder) -> None:
    guard = guard_of(Issuer(), observer=seen)
    with pytest.raises(AuthError, match=reason) as refusal:
        guard.authenticate(values)
    [event] = seen.of(Refused)
    assert (event.reason, event.hint) == (reason, refusal.value.hint)
    assert len(event.fingerprint) == (12 if reason not in ("missing_token", "invalid_request") else 0)


def test_a_demand_that_is_not_met_is_told_after_the_token(seen: Recorder) -> None:
    guard = guard_of(Issuer(), observer=seen)
    token = guard.verify(mint(base=M2M))
    with pytest.raises(InsufficientScope):
        guard.demand(token, scope("delete:users"))
    settle(guard)
    told = seen.of(Verified, Refused)
    assert [type(event) for event in told] == [Verified, Refused]
    assert told[1].reason == "insufficient_scope"
    assert told[1].fingerprint in repr(token)


def test_what_cannot_be_told_is_told(seen: Recorder) -> None:
    issuer = Issuer()
    issuer.status = 503
    guard = guard_of(issuer, observer=seen)
    with pytest.raises(KeysUnavailable) as refusal:
        guard.verify(mint())
    [event] = seen.of(CannotTell)
    assert event.retry_after == refusal.value.retry_after
    assert not seen.of(Refused, Verified)


def test_no_event_holds_a_token(seen: Recorder) -> None:
    guard = guard_of(Issuer(), observer=seen)
    good, bad = mint(), mint(key=rsa_key("another"))
    guard.verify(good)
    reason_of(guard, bad)
    settle(guard)
    for part in (*good.split("."), *bad.split(".")):
        assert part not in repr(seen.events)


def test_without_an_observer_no_event_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    def made(*_: object, **__: object) -> None:
        raise AssertionError("an event was made")

    for kind in (Verified, Refused, CannotTell, KeysFetched, KeysFailed, KeysStale, KeysChanged):
        monkeypatch.setattr(kind, "__init__", made)
    issuer, time = Issuer(), Time()
    guard = guard_of(issuer, time)
    guard.verify(mint())
    guard.verify(mint())
    assert reason_of(guard, mint(key=rsa_key("another"))) == "bad_signature"
    settle(guard)  # it has the keys fetched
    issuer.body = key_set(jwk({"kid": "new"}))
    refreshed(guard, time)
    issuer.status = 500
    refreshed(guard, time)
    assert guard.health()[ISSUER].problem == "the issuer answered 500"
    with pytest.raises(AssertionError, match="an event was made"):
        Verified(None, remembered=True)  # type: ignore[arg-type]


# Observers


def test_an_observer_that_fails_changes_no_verdict_and_no_fetch(caplog: pytest.LogCaptureFixture) -> None:
    """And it is said once."""
    observer = Failing()
    guard = guard_of(Issuer(), observer=observer)
    guard.verify(mint())
    guard.verify(mint())
    assert reason_of(guard, mint(key=rsa_key("another"))) == "bad_signature"
    settle(guard)
    assert guard.health()[ISSUER].state == "fresh"
    assert observer.asked == 5  # two tokens, one of them twice, and two fetches: a bad signature causes one
    [record] = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert record.exc_info is not None
    assert "said once" in record.getMessage()


def test_of_several_observers_one_that_fails_takes_nothing_from_the_others(
    seen: Recorder, caplog: pytest.LogCaptureFixture
) -> None:
    failing = Failing()
    emit = events.emitter(failing, None, seen, failing)
    assert emit is not None
    event = Refused("expired", "0123456789ab", "")
    emit(event)
    emit(event)
    assert seen.events == [event, event]
    assert failing.asked == 4
    assert len(caplog.records) == 2  # once for each


def test_an_observer_may_use_the_guard(seen: Recorder) -> None:
    """It is called under no lock, and nobody waits for it: it would wait for itself."""

    class Asking(Recorder):
        def observe(self, event: Event) -> None:
            super().observe(event)
            if len(self.events) < 10:
                guard.stats()
                guard.health()
                guard.warm()
                guard.verify(mint())

    asking = Asking()
    guard = guard_of(Issuer(), observer=asking)
    thread = threading.Thread(target=guard.verify, args=(mint(),), daemon=True)
    thread.start()
    thread.join(LONG)
    assert not thread.is_alive()
    settle(guard)
    assert asking.of(KeysFetched)
    assert asking.of(Verified)


def test_a_slow_observer_of_a_fetch_holds_up_nobody() -> None:
    release, told = threading.Event(), threading.Event()

    class Slow:
        def observe(self, event: Event) -> None:
            if isinstance(event, KeysFetched):
                told.set()
                assert release.wait(LONG)

    guard = guard_of(Issuer(), observer=Slow())
    guard.verify(mint())
    assert told.wait(LONG)
    guard.verify(mint({"jti": "another"}))
    release.set()
    settle(guard)


def test_an_app_takes_an_observer_as_it_takes_every_setting(seen: Recorder) -> None:
    app = Flask("an_app")
    issuer = Issuer()
    KindeGuard(app, domain=DOMAIN, audience=AUDIENCE, transport=issuer.transport, observer=seen, public=[])
    assert app.test_client().get("/").status_code == 401
    assert seen.events == [Refused("missing_token", "", "")]


@pytest.mark.parametrize("observer", [object(), lambda event: None, type("Async", (), {"observe": None})()])
def test_what_is_no_observer_is_refused_at_start_up(observer: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"observe\(event\)"):
        guard_of(Issuer(), observer=observer)


def test_a_coroutine_is_no_observer() -> None:
    class Async:
        async def observe(self, event: Event) -> None: ...

    with pytest.raises(ConfigurationError, match="no coroutine"):
        guard_of(Issuer(), observer=Async())


def test_events_are_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Refused("expired", "", "").reason = "malformed"  # type: ignore[misc]
    kinds = {kind for kind in vars(events).values() if dataclasses.is_dataclass(kind)}
    of_keys = {KeysFetched, KeysFailed, KeysStale, KeysChanged}
    of_revocations = {Revoked, RevocationsLoaded, RevocationsStale, events.RevocationsCompared}
    of_api_keys = {events.ApiKeyAnswered, events.ApiKeyUnanswered}
    assert kinds == {Verified, Refused, CannotTell, WebhookAnswered} | of_keys | of_revocations | of_api_keys


# Keys


def test_fetches_from_the_first_to_an_outage(seen: Recorder) -> None:
    issuer, time = Issuer(), Time()
    guard = guard_of(issuer, time, observer=seen, usable_for=3600)
    guard.warm()
    settle(guard)
    assert seen.events == [KeysFetched(ISSUER, 0.0, 1, fresh_for=600.0, usable_for=3600.0)]
    issuer.status = 503
    refreshed(guard, time)
    refreshed(guard, time, 3000)
    failures = seen.of(KeysFailed)
    assert [(event.kind, event.problem) for event in failures] == [("503", "the issuer answered 503")] * 2
    assert all(0 <= event.retry_in <= 300 for event in failures)
    assert seen.of(KeysStale) == [KeysStale(ISSUER, "stale", 600.0), KeysStale(ISSUER, "expired", 3600.0)]
    assert not seen.of(KeysChanged)


def test_the_first_failure_of_all_leaves_nothing_stale(seen: Recorder) -> None:
    issuer = Issuer()
    issuer.body = b"<html>"
    guard = guard_of(issuer, observer=seen)
    with pytest.raises(KeysUnavailable):
        guard.warm()
    settle(guard)
    [event] = seen.events
    assert isinstance(event, KeysFailed)
    assert (event.kind, event.problem) == ("UnusableKeySet", "the answer is not JSON")


def test_how_long_a_fetch_took_is_told_by_the_clock(seen: Recorder) -> None:
    time = Time()

    def slow(exchange: Exchange) -> None:
        time.passes(0.25)
        answering(key_set(jwk()))(exchange)

    with Server(slow) as server:
        guard = Guard(server.url, audience=AUDIENCE, observer=seen, clocks=time.clocks, variables=())
        guard.warm()
        settle(guard)
    assert [event.seconds for event in seen.of(KeysFetched)] == [0.25]


def read(*keys: object, at: float = 0.0, before: KeySet | None = None) -> KeySet:
    before = before or KeySet()
    found = read_jwk_set(key_set(*keys), ("RS256",), before.keys)
    return before.loaded(found, at, life=600, usable_for=3600, chance=1.0)


A, B, OTHER = jwk({"kid": "a"}), jwk({"kid": "b"}), jwk({"kid": "a"}, key=rsa_key("another"))


@pytest.mark.parametrize(("before", "after", "changed"), [
    ([A], [A], {}),
    ([A], [A, B], {"added": ("b",)}),
    ([A, B], [B], {"removed": ("a",)}),
    ([A], [B], {"added": ("b",), "removed": ("a",)}),
    ([A, B], [OTHER, B], {"replaced": ("a",)}),
    ([A], [{name: value for name, value in A.items() if name != "alg"}], {}),
    ([A], [A, WEAK], {"weak": ("weak",)}),
    ([A, WEAK], [A, WEAK], {}),
    ([A], [A, LEAKED, SECRET], {"private": ("leaked", "secret")}),
    ([A, LEAKED], [A, LEAKED], {}),
    ([A], [A, {**B, "d": "AQAB"}], {"private": ("b",)}),
    ([A, B], [A, {**B, "d": "AQAB"}], {"removed": ("b",), "private": ("b",)}),
    ([A, B], [A, B, B], {}),
    ([A, B], [B, A, OTHER], {"removed": ("a",)}),
    ([A], [A, {"kty": "RSA", "d": "AQAB"}], {"private": ("key 1",)}),
])  # fmt: skip
def test_what_a_new_key_set_changes(before: list[Any], after: list[Any], changed: dict[str, Any]) -> None:
    old = read(*before)
    nothing = dict.fromkeys(Changes._fields, ())
    assert changes_between(old, read(*after, before=old))._asdict() == {**nothing, **changed}


def test_of_the_first_set_only_what_should_not_be_there_is_news() -> None:
    assert changes_between(KeySet(), read(A, WEAK, LEAKED)) == Changes((), (), (), ("weak",), ("leaked",))


def test_a_changed_key_set_is_told_and_logged(seen: Recorder, caplog: pytest.LogCaptureFixture) -> None:
    """With fields for programs, and no kid can break a line."""
    caplog.set_level(logging.INFO, "kinde_guard")
    issuer, time = Issuer(A, B), Time()
    guard = guard_of(issuer, time, observer=seen)
    refreshed(guard, time, 0)
    caplog.clear()
    issuer.body = key_set(OTHER, jwk({"kid": "new\nline"}), WEAK, LEAKED)
    refreshed(guard, time)
    refreshed(guard, time)
    assert seen.of(KeysChanged) == [KeysChanged(ISSUER, ("new\nline",), ("b",), ("a",), ("weak",), ("leaked",))]
    told = {record.event: record for record in caplog.records if hasattr(record, "event")}
    assert {name: (record.levelname, record.kids) for name, record in told.items()} == {  # type: ignore[attr-defined]
        "keys_added": ("INFO", ["new\nline"]),
        "keys_removed": ("INFO", ["b"]),
        "keys_replaced": ("WARNING", ["a"]),
        "keys_weak": ("WARNING", ["weak"]),
        "keys_private": ("WARNING", ["leaked"]),
    }
    assert len([record for record in caplog.records if hasattr(record, "event")]) == 5  # once
    assert all(record.issuer == ISSUER for record in told.values())  # type: ignore[attr-defined]
    assert not any("\n" in record.getMessage() for record in caplog.records)


def test_a_token_of_a_replaced_key_is_refused_and_of_the_new_one_accepted() -> None:
    issuer, time = Issuer(), Time()
    guard = guard_of(issuer, time)
    guard.verify(mint())
    issuer.body = key_set(jwk(key=rsa_key("another")))
    refreshed(guard, time)
    assert reason_of(guard, mint()) == "bad_signature"
    assert reason_of(guard, mint(key=rsa_key("another"))) == "accepted"


# The clock


def date(moment: float) -> str:
    return format_datetime(datetime.fromtimestamp(moment, UTC), usegmt=True)


@pytest.mark.parametrize(("headers", "ahead"), [
    ({}, None),
    ({"date": "yesterday"}, None),
    ({"date": date(NOW)}, 0.0),
    ({"date": date(NOW - 1)}, 0.0),
    ({"date": date(NOW + 2)}, 0.0),  # the answer took three seconds
    ({"date": date(NOW - 413)}, 412.0),
    ({"date": date(NOW + 603)}, -600.0),
    ({"date": date(NOW - 400), "age": "400"}, 0.0),
    ({"date": date(NOW - 400), "age": "-4"}, 399.0),
])  # fmt: skip
def test_what_the_date_of_an_answer_says_of_the_clock(headers: dict[str, str], ahead: float | None) -> None:
    assert notices.drift(headers, NOW, NOW + 3) == ahead


@pytest.fixture
def issuer() -> Iterator[Server]:
    with Server(answering(key_set(jwk()))) as server:
        yield server


def test_a_clock_that_is_off_is_logged_once_and_shown(
    issuer: Server, seen: Recorder, caplog: pytest.LogCaptureFixture
) -> None:
    """Over a real socket; and when it is right again."""
    caplog.set_level(logging.INFO, "kinde_guard")
    time = Time()
    guard = Guard(issuer.url, audience=AUDIENCE, observer=seen, clocks=time.clocks, variables=())

    def fetch(headers: dict[str, str]) -> float | None:
        issuer.behave = answering(key_set(jwk()), headers=headers)
        refreshed(guard, time)
        return guard.health()[issuer.url].clock_drift

    assert guard.health()[issuer.url].clock_drift is None
    assert fetch({"date": date(time.wall + 600)}) == 0.0
    assert fetch({"date": date(time.wall + 630)}) == -30.0  # within the leeway
    assert not [record for record in caplog.records if getattr(record, "event", "") == "clock_drift"]
    assert fetch({"date": date(time.wall + 600 + 412)}) == -412.0
    assert fetch({"date": date(time.wall + 600 + 412)}) == -412.0
    assert fetch({"date": date(time.wall + 600 - 413)}) == 412.0
    assert fetch({}) is None
    said = [record for record in caplog.records if getattr(record, "event", "") == "clock_drift"]
    assert [record.levelname for record in said] == ["WARNING", "INFO"]
    assert "412 s behind" in said[0].getMessage()
    assert said[0].clock_drift == -412.0  # type: ignore[attr-defined]
    assert [event.clock_drift for event in seen.of(KeysFetched)] == [0.0, -30.0, -412.0, -412.0, 412.0, None]


def test_a_failure_leaves_what_is_known_of_the_clock(issuer: Server) -> None:
    time = Time()
    guard = Guard(issuer.url, audience=AUDIENCE, clocks=time.clocks, variables=())
    issuer.behave = answering(key_set(jwk()), headers={"date": date(NOW - 101)})
    refreshed(guard, time, 0)
    issuer.behave = answering(status=503, headers={"date": date(NOW)})
    refreshed(guard, time)
    health = guard.health()[issuer.url]
    assert (health.clock_drift, health.problem) == (100.0, "the issuer answered 503")
    assert KID in str(guard._stores[issuer.url].current().keys)
