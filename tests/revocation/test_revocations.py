"""What an app says of revocations, and what its guard makes of it: in one process, without Redis."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from typing import Any

import pytest
import trio
from helpers import ABSENT, CLIENT, M2M, NOW, USER, Issuer, Time, guard_of, jwk, key_set, mint, reason_of, rsa_key
from waiting import settle, until

from kinde_guard import AccessToken, ConfigurationError, Guard, InvalidToken
from kinde_guard.errors import RevocationsUnavailable
from kinde_guard.events import Event, Refused, Revoked
from kinde_guard.revocation import Revocation, Revocations

SUBJECT, ORG = USER["sub"], USER["org_code"]
RAW = mint()


class Fleet:
    """One process of it."""

    def __init__(self, **settings: Any) -> None:
        self.time, self.issuer, self.told = Time(), Issuer(), list[Event]()
        self.revocations = Revocations.in_memory(**settings)
        self.guard = guard_of(self.issuer, self.time, revocations=self.revocations, observer=self)

    def observe(self, event: Event) -> None:
        self.told.append(event)


@pytest.fixture
def fleet() -> Fleet:
    return Fleet()


WAYS: dict[str, Callable[[Revocations, AccessToken], Revocation]] = {
    "token": lambda it, token: it.revoke(token, "why"),
    "subject": lambda it, token: it.revoke_subject(SUBJECT, reason="why"),
    "client": lambda it, token: it.revoke_client(CLIENT, reason="why"),
    "org": lambda it, token: it.revoke_org(ORG, reason="why"),
    "member": lambda it, token: it.revoke_member(ORG, SUBJECT, reason="why"),
    "all": lambda it, token: it.revoke_all(reason="why"),
}
ASYNC_WAYS: dict[str, Callable[[Revocations, AccessToken], Any]] = {
    "token": lambda it, token: it.arevoke(token, "why"),
    "subject": lambda it, token: it.arevoke_subject(SUBJECT, reason="why"),
    "client": lambda it, token: it.arevoke_client(CLIENT, reason="why"),
    "org": lambda it, token: it.arevoke_org(ORG, reason="why"),
    "member": lambda it, token: it.arevoke_member(ORG, SUBJECT, reason="why"),
    "all": lambda it, token: it.arevoke_all(reason="why"),
}


@pytest.mark.parametrize("kind", WAYS)
def test_a_token_that_was_remembered_is_refused_at_the_next_request(fleet: Fleet, kind: str) -> None:
    token = fleet.guard.verify(RAW)
    entry = WAYS[kind](fleet.revocations, token)
    assert (entry.kind, entry.reason, entry.by, entry.issued_before) == (kind, "why", "app", NOW)
    assert reason_of(fleet.guard, RAW) == "revoked"
    assert fleet.guard.recognise(b"Bearer " + RAW.encode()) is None
    with pytest.raises(InvalidToken, match="revoked"):
        fleet.guard.authenticate([f"Bearer {RAW}"])
    assert fleet.revocations.matching(token) == (entry,)
    fleet.revocations.lift(entry, "a mistake")
    assert reason_of(fleet.guard, RAW) == "accepted"


@pytest.mark.parametrize("run", [asyncio.run, trio.run], ids=["asyncio", "trio"])
@pytest.mark.parametrize("kind", ASYNC_WAYS)
def test_event_loops_say_the_same(fleet: Fleet, kind: str, run: Any) -> None:
    token = fleet.guard.verify(RAW)

    async def revoke() -> None:
        entry = await ASYNC_WAYS[kind](fleet.revocations, token)
        with pytest.raises(InvalidToken, match="revoked"):
            await fleet.guard.averify(RAW)
        await fleet.revocations.alift(entry.id)
        assert (await fleet.guard.averify(RAW)).subject == SUBJECT

    run(revoke() if run is asyncio.run else revoke)


def test_a_token_that_was_not_seen_before_is_refused_and_then_remembered_as_refused(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A signature is checked once, however often a revoked token comes."""
    fleet.revocations.revoke_subject(SUBJECT)
    assert reason_of(fleet.guard, RAW) == "revoked"
    monkeypatch.setattr("kinde_guard.keys.jwk.Key.verifies", None)
    assert [reason_of(fleet.guard, RAW) for _ in range(3)] == ["revoked"] * 3
    assert fleet.guard.stats().entries == 1


def test_without_a_cache_it_is_refused_as_well() -> None:
    issuer, revocations = Issuer(), Revocations.in_memory()
    guard = guard_of(issuer, revocations=revocations, cache_size=0)
    assert reason_of(guard, RAW) == "accepted"
    revocations.revoke_subject(SUBJECT)
    assert reason_of(guard, RAW) == "revoked"


def test_what_is_issued_later_is_let_in(fleet: Fleet) -> None:
    """Lifting a suspension needs no message."""
    fleet.revocations.revoke_subject(SUBJECT)
    assert reason_of(fleet.guard, mint({"iat": int(NOW)})) == "revoked"
    assert reason_of(fleet.guard, mint({"iat": int(NOW) + 1})) == "accepted"


def test_only_a_token_whose_signature_holds_is_called_revoked(fleet: Fleet) -> None:
    """Made-up tokens learn nothing."""
    fleet.revocations.revoke_all()
    assert reason_of(fleet.guard, mint(key=rsa_key("a stranger's"))) == "bad_signature"
    assert reason_of(fleet.guard, mint({"exp": int(NOW) - 100})) == "expired"


def test_a_machine_is_revoked_by_its_client_id(fleet: Fleet) -> None:
    raw = mint(base=M2M)
    fleet.revocations.revoke_subject(CLIENT)
    assert reason_of(fleet.guard, raw) == "revoked"


def test_what_the_log_and_observers_are_told(fleet: Fleet, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "kinde_guard")
    entry = fleet.revocations.revoke_subject(SUBJECT, issued_before=NOW - 3, reason="ticket\n4711")
    assert reason_of(fleet.guard, RAW) == "revoked"
    (line,) = [record.message for record in caplog.records if "refused" in record.message]
    assert line.endswith(rf"revoked for its subject: entry '{entry.id}', 'ticket\n4711'")
    (revoked,) = [event for event in fleet.told if isinstance(event, Revoked)]
    assert (revoked.kind, revoked.id, revoked.by, revoked.seconds) == ("subject", entry.id, "app", 3.0)
    (refused,) = [event for event in fleet.told if isinstance(event, Refused)]
    assert refused.reason == "revoked"


def test_what_is_said_already_is_not_said_again(fleet: Fleet) -> None:
    first = fleet.revocations.revoke_subject(SUBJECT)
    assert fleet.revocations.revoke_subject(SUBJECT) == first
    assert fleet.revocations.revoke_subject(SUBJECT, issued_before=NOW - 50) == first
    assert len(fleet.revocations.copy.held()) == 1
    fleet.revocations.lift(first)
    second = fleet.revocations.revoke_subject(SUBJECT)
    assert second != first
    assert reason_of(fleet.guard, RAW) == "revoked"


def test_more_than_sixteen_tokens_of_one_user_are_all_of_them(fleet: Fleet) -> None:
    """A flood of sign-outs is one entry."""
    tokens = [fleet.guard.verify(mint({"jti": f"token-{number}"})) for number in range(18)]
    entries = [fleet.revocations.revoke(token) for token in tokens]
    assert [entry.kind for entry in entries] == ["token"] * 16 + ["subject"] * 2
    assert fleet.revocations.revoke(tokens[0]) == entries[0]
    assert entries[16] == entries[17]


def test_sign_outs_of_other_days_do_not_count(fleet: Fleet) -> None:
    """Somebody who signs out every other day is never signed out everywhere for that."""
    for number in range(40):
        claims = {"jti": f"token-{number}", "iat": int(fleet.time.wall) - 10, "exp": int(fleet.time.wall) + 3_600}
        assert fleet.revocations.revoke(fleet.guard.verify(mint(claims))).kind == "token"
        fleet.time.passes(2 * 86_400)


def test_a_token_that_is_revoked_is_not_revoked_again(fleet: Fleet) -> None:
    token = fleet.guard.verify(RAW)
    first = fleet.revocations.revoke(token)
    fleet.time.passes(2)
    assert fleet.revocations.revoke(token) == first
    assert fleet.revocations.copy.held() == [first]


def test_what_stands_for_several_cannot_be_lifted_and_says_so(fleet: Fleet) -> None:
    for number in range(20):
        fleet.revocations.revoke_subject(SUBJECT, issued_before=NOW - 100 + number)
    (merged,) = [entry for entry in fleet.revocations.copy.held() if entry.id.startswith("merged-")]
    for name in (merged, merged.id):
        with pytest.raises(ConfigurationError, match="stands for several"):
            fleet.revocations.lift(name)


def test_an_entry_is_kept_for_as_long_as_any_guard_lets_its_tokens_in() -> None:
    """A guard with the largest leeway; and one more whose clock is five minutes behind."""
    time = Time()
    revocations = Revocations.in_memory(token_lifetime=3_600, clocks=time.clocks)
    guard = guard_of(Issuer(), time, revocations=revocations, leeway=300)
    revocations.revoke_subject(SUBJECT)
    time.passes(3_600 + 299)
    revocations.copy.prune()
    assert reason_of(guard, mint({"iat": int(NOW), "exp": int(NOW) + 3_600})) == "revoked"
    time.passes(300)
    revocations.copy.prune()
    assert revocations.copy.held()
    time.passes(2)
    revocations.copy.prune()
    assert not revocations.copy.held()


def test_a_remembered_token_is_over_in_its_time_though_the_clock_was_set_back(fleet: Fleet) -> None:
    """Also where revocations are looked at."""
    token = fleet.guard.verify(RAW)
    fleet.time.passes(token.expires_at - NOW + 31)
    fleet.time.wall = NOW
    with pytest.raises(InvalidToken, match="set back") as refused:
        fleet.guard.verify(RAW)
    assert refused.value.reason == "expired"


def test_the_count_of_sign_outs_has_an_end(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kinde_guard.revocation.revocations._MOST_COUNTED", 3)
    for number in range(10):
        fleet.revocations.revoke(fleet.guard.verify(mint({"jti": f"t{number}", "sub": f"kp_{number}"})))
    assert len(fleet.revocations._of_late) <= 3


# For what stays open.


def test_check_raises_once_a_token_is_revoked(fleet: Fleet) -> None:
    token = fleet.guard.verify(RAW)
    fleet.guard.check(token)
    fleet.revocations.revoke_subject(SUBJECT)
    with pytest.raises(InvalidToken) as raised:
        fleet.guard.check(token)
    assert raised.value.reason == "revoked"
    (refused,) = [event for event in fleet.told if isinstance(event, Refused)]
    assert refused.fingerprint == token.fingerprint


def test_check_raises_once_a_token_has_expired_also_without_revocations() -> None:
    time = Time()
    guard = guard_of(Issuer(), time)
    token = guard.verify(RAW)
    time.passes(86_029)
    guard.check(token)
    time.passes(1)
    with pytest.raises(InvalidToken) as raised:
        guard.check(token)
    assert raised.value.reason == "expired"


# Lifetimes.


def test_a_token_is_over_when_its_revocations_are_forgotten() -> None:
    """Or it would live again."""
    fleet = Fleet(token_lifetime=600)
    raw = mint({"iat": int(NOW) - 500})
    assert reason_of(fleet.guard, raw) == "accepted"
    fleet.time.passes(129)
    assert reason_of(fleet.guard, raw) == "accepted"
    fleet.time.passes(1)
    with pytest.raises(InvalidToken) as raised:
        fleet.guard.verify(raw)
    assert raised.value.reason == "expired"
    assert "token_lifetime=600 s" in raised.value.hint
    assert "Revocations(token_lifetime=…)" in raised.value.hint


def test_a_token_that_does_not_say_when_it_was_issued_is_good_until_it_expires(fleet: Fleet) -> None:
    raw = mint({"iat": ABSENT})
    assert reason_of(fleet.guard, raw) == "accepted"
    fleet.revocations.revoke_subject(SUBJECT, issued_before=1.0)
    assert reason_of(fleet.guard, raw) == "revoked"


def test_tokens_that_live_longer_than_entries_are_warned_of_once(caplog: pytest.LogCaptureFixture) -> None:
    fleet = Fleet(token_lifetime=3_600)
    for number in range(3):
        fleet.guard.verify(mint({"jti": str(number)}))
    (line,) = [record.message for record in caplog.records if "token_lifetime" in record.message]
    assert "86400 s" in line


# Keys.


def test_a_keys_entry_has_the_keys_fetched_now(fleet: Fleet) -> None:
    """A key that was withdrawn is no longer good, though the key set is fresh."""
    fleet.guard.warm()
    settle(fleet.guard)
    fleet.issuer.body = key_set(jwk({"kid": "another"}, key=rsa_key("another")))
    assert reason_of(fleet.guard, RAW) == "accepted"
    fleet.revocations.fetch_keys("the key was stolen")
    until(lambda: reason_of(fleet.guard, RAW) == "unknown_key")
    asyncio.run(fleet.revocations.afetch_keys())
    until(lambda: len(fleet.issuer.fetches) >= 3)


def test_keys_that_are_being_fetched_are_fetched_once_more(fleet: Fleet) -> None:
    """The answer that is under way may be one of before."""
    (store,) = fleet.guard.key_stores.values()
    fleet.guard.load_behind()
    store.fetch_again()
    until(lambda: len(fleet.issuer.fetches) == 2)
    settle(fleet.guard)


# Mistakes.


MISTAKES: list[tuple[str, Any]] = [
    ("revoke_subject", ("",)), ("revoke_subject", (None,)), ("revoke_subject", ("x" * 1_001,)),
    ("revoke_client", (7,)), ("revoke_org", ("",)), ("revoke_member", ("", "kp_1")), ("revoke_member", ("org", "")),
    ("revoke_subject", ("kp_1", NOW + 301)), ("revoke_all", (-1,)), ("revoke_all", (True,)),
    ("revoke_all", (float("nan"),)), ("revoke_all", ("yesterday",)), ("revoke_all", (None, None)),
    ("revoke", ("eyJ.x.y",)), ("lift", ("",)), ("lift", (None,)), ("lift", ("two words",)),
]  # fmt: skip


@pytest.mark.parametrize(("name", "given"), MISTAKES)
def test_what_cannot_be_meant_is_said_and_revokes_nobody(fleet: Fleet, name: str, given: tuple[Any, ...]) -> None:
    positional = {"revoke_all": 0, "revoke_member": 2}.get(name, 1)
    options = dict(zip(("issued_before", "reason"), given[positional:], strict=False))
    with pytest.raises(ConfigurationError):
        getattr(fleet.revocations, name)(*given[:positional], **options)
    assert fleet.revocations.copy.held() == []


@pytest.mark.parametrize("settings", [
    {"usable_for": -1}, {"usable_for": 2_592_001}, {"usable_for": None}, {"token_lifetime": 59}, {"unloaded": "maybe"},
    {"token_lifetime": 2_592_001}, {"max_entries": 0}, {"max_entries": True},
])  # fmt: skip
def test_settings_are_checked(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(settings))):
        Revocations("redis://127.0.0.1:1/0", **settings)


def test_no_address_is_an_error(no_settings: None) -> None:
    with pytest.raises(ConfigurationError, match="KINDE_REVOCATIONS_URL") as raised:
        Revocations()
    assert "Revocations.in_memory()" in str(raised.value)


def test_the_address_may_come_from_the_environment_and_is_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KINDE_REVOCATIONS_URL", "redis://me:open-sesame@127.0.0.1:1/0")
    revocations = Revocations()
    guard = Guard("acme.kinde.com", audience="a:b")
    assert guard.revocations is not None
    shown = f"{revocations!r} {guard!r} {guard.settings!r} {revocations.health()!r} {guard.revocations!r}"
    assert "sesame" not in shown
    assert "127.0.0.1" not in shown
    assert repr(revocations) == "<Revocations in Redis, 0 entries>"
    assert repr(Revocations.in_memory()) == "<Revocations in memory, 0 entries>"


def test_a_variable_that_is_no_address_stops_the_start() -> None:
    for value in ("", "localhost", 7, "http://127.0.0.1", "${REDIS_URL}"):
        with pytest.raises(ConfigurationError, match="KINDE_REVOCATIONS_URL"):
            Guard("acme.kinde.com", audience="a:b", variables=[{"KINDE_REVOCATIONS_URL": value}])


def test_without_revocations_nothing_is_there() -> None:
    guard = guard_of(Issuer())
    guard.verify(RAW)
    assert guard.revocations is None
    assert all(health.revocations is None for health in guard.health().values())


@pytest.mark.parametrize("wrong", ["rediss://:secret@redis.internal", object(), True])
def test_what_is_no_revocations_is_refused_without_quoting_it(wrong: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"revocations=Revocations\(") as refused:
        guard_of(Issuer(), revocations=wrong)
    assert "secret" not in str(refused.value)


def test_one_tenant_s_revocations_are_not_another_s() -> None:
    revocations = Revocations.in_memory()
    one = guard_of(Issuer(), revocations=revocations)
    two = guard_of(Issuer(), revocations=revocations)
    assert one.revocations is two.revocations
    with pytest.raises(ConfigurationError, match="another tenant's"):
        guard_of(Issuer(), domain="other.kinde.com", revocations=revocations)


def test_revocations_that_no_guard_has_say_so() -> None:
    revocations = Revocations("redis://127.0.0.1:1/0")
    with pytest.raises(ConfigurationError, match=r"Guard\(revocations=…\)"):
        revocations.revoke_subject("kp_1")


def test_in_memory_health_is_fresh_and_knows_no_redis(fleet: Fleet) -> None:
    entry = fleet.revocations.revoke_subject(SUBJECT)
    health = fleet.revocations.health()
    assert (health.state, health.usable, health.entries, health.last_heard) == ("fresh", True, 1, NOW)
    assert fleet.guard.health()["https://acme.kinde.com"].revocations == health
    fleet.time.passes(10**6)
    assert fleet.revocations.health().state == "fresh"
    assert fleet.revocations.client is None
    assert fleet.revocations.ledger is None
    assert list(fleet.revocations.entries()) == [entry]
    assert fleet.revocations.load_behind() is None
    fleet.revocations.check_usable()
    fleet.revocations.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_in_memory_says_once_that_a_fork_makes_it_two(fleet: Fleet, caplog: pytest.LogCaptureFixture) -> None:
    fleet.guard.verify(RAW)
    fleet.revocations.revoke_subject(SUBJECT)
    child = os.fork()
    if child == 0:
        told = any("in_memory() in a forked process" in record.message for record in caplog.records)
        os._exit(0 if told and reason_of(fleet.guard, RAW) == "revoked" else 1)
    assert os.waitpid(child, 0)[1] == 0
    for _ in range(2):
        fleet.revocations.renew()
    assert len(caplog.records) == 1


def test_a_copy_that_is_not_usable_is_a_503_and_no_refusal() -> None:
    """Not by the bytes of a token: only one that is good in all else gets so far."""
    revocations = Revocations("redis://127.0.0.1:1/0")
    guard = guard_of(Issuer(), revocations=revocations)
    assert reason_of(guard, mint(key=rsa_key("a stranger's"))) == "bad_signature"
    with pytest.raises(RevocationsUnavailable) as raised:
        guard.verify(RAW)
    assert (raised.value.status, raised.value.headers["Retry-After"]) == (503, "1")
    with pytest.raises(RevocationsUnavailable):
        guard.warm()
    revocations.close()
