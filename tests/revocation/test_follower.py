"""The thread that follows, and what it is made of: what a real Redis does seldom, or on another day."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from typing import Any

import pytest
from helpers import NOW, Issuer, Time, guard_of, mint, reason_of
from redis_server import RedisServer
from waiting import until

from kinde_guard.errors import RevocationsUnavailable
from kinde_guard.net import errands
from kinde_guard.net.workers import workers
from kinde_guard.revocation import Revocations
from kinde_guard.revocation.entry import fields_of, made
from kinde_guard.revocation.followed import Followed
from kinde_guard.revocation.follower import Follower, problem_of
from kinde_guard.revocation.notices import RevocationNotices
from kinde_guard.revocation.redis_streams import (
    RedisStreams,
    StreamFacts,
    mending_of,
    position,
    stream_of,
    text_of,
)
from kinde_guard.revocation.replica import Replica

ISSUER = "https://acme.kinde.com"
STREAM = stream_of(ISSUER)


# How far a stream has been read.


def followed(*positions: tuple[int, int]) -> Followed:
    it = Followed(STREAM, ISSUER, lifts=False)
    it.saw(positions)
    return it


@pytest.mark.parametrize(("facts", "agrees"), [
    (StreamFacts(3, (1, 0), (3, 0), 3), True),
    (StreamFacts(3, (1, 0), (3, 0), None), True),  # before Redis 7
    (StreamFacts(2, (2, 0), (3, 0), 3), True),  # trimmed
    (StreamFacts(2, (1, 0), (3, 0), 3), False),  # one was deleted from the middle
    (StreamFacts(3, (1, 0), (3, 0), 4), False),  # another was there, and is gone
    (StreamFacts(3, (1, 0), (4, 0), 4), False),  # there is more
    (StreamFacts(1, (9, 0), (9, 0), 1), False),  # emptied, and written to again
    (StreamFacts(0, (0, 0), (0, 0), None), False),  # gone
    (StreamFacts(0, (0, 0), (3, 0), 3), True),  # all of it trimmed
])  # fmt: skip
def test_whether_it_is_still_the_stream_that_was_read(facts: StreamFacts, agrees: bool) -> None:
    assert followed((1, 0), (2, 0), (3, 0)).agrees(facts) is agrees


def test_what_was_trimmed_is_not_counted_for_ever() -> None:
    it = followed(*((number, 0) for number in range(1, 3_001)))
    facts = StreamFacts(500, (2_501, 0), (3_000, 0), 3_000)
    assert it.agrees(facts)
    it.forget_trimmed(facts)
    assert len(it._seen) == 500
    assert it.agrees(facts)


def test_ids_that_were_written_by_hand_end_nothing() -> None:
    most = 2**64 - 1
    it = followed((1, 0), (most, most))
    assert it.at == (most, most)
    it.agrees(StreamFacts(2, (1, 0), (most, most), 2))
    assert position(text_of((most, 7))) == (most, 7)
    assert position(b"12") == (12, 0)


class Answers:
    """A client that answers what it is told to."""

    def __init__(self, **answers: Any) -> None:
        self._answers = answers

    def __getattr__(self, name: str) -> Any:
        return lambda *_, **__: self._answers[name]


def test_a_page_that_was_trimmed_meanwhile_ends_the_reading() -> None:
    assert list(RedisStreams(Answers(xrange=[])).pages("s", (0, 0), (9, 0))) == []


def test_a_lock_of_somebody_else_s_stays(redis_server: RedisServer) -> None:
    with redis_server.client() as client:
        streams = RedisStreams(client)
        assert streams.lock(ISSUER, "one")
        assert not streams.lock(ISSUER, "two")
        streams.unlock(ISSUER, "two")
        assert client.get(mending_of(ISSUER)) == "one"
        streams.unlock(ISSUER, "one")
        assert client.get(mending_of(ISSUER)) is None
        streams.unlock(ISSUER, "one")


def test_sentinel_is_asked_who_the_primary_is() -> None:
    asked: list[int] = []

    class Pool:
        def get_master_address(self) -> None:
            asked.append(1)

    class Client:
        connection_pool = Pool()

    RedisStreams(Client()).ask_for_primary()
    RedisStreams(object()).ask_for_primary()
    assert asked == [1]


@pytest.mark.parametrize(("error", "said"), [
    (ConnectionError("Error 111 connecting to secret.host:6379. Connection refused."), "ConnectionError"),
    (ValueError("WRONGPASS invalid username-password pair"), "WRONGPASS"),
    (ValueError("NOPERM User me has no permissions"), "NOPERM"),
    (ValueError(""), "ValueError"),
])  # fmt: skip
def test_a_problem_is_said_without_addresses_and_names(error: Exception, said: str) -> None:
    assert problem_of(error) == f"Redis cannot be asked ({said})"


def test_a_wrong_password_is_a_problem_that_says_so(
    redis_server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    with redis_server.client() as client:
        client.config_set("requirepass", "sesame")
    revocations = Revocations(f"redis://:open-wide@127.0.0.1:{redis_server.port}/0")
    guard = guard_of(Issuer(), revocations=revocations)
    with pytest.raises(RevocationsUnavailable):
        guard.verify(mint())
    assert "cannot be asked" in revocations.health().problem
    assert not any(word in caplog.text + repr(revocations.health()) for word in ("open-wide", "sesame", "127.0.0.1"))
    revocations.close()


# The thread.


def test_a_thread_that_cannot_start_is_a_failed_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_more(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", no_more)
    revocations = Revocations("redis://127.0.0.1:1/0").bind([ISSUER])
    revocations.load_behind()
    assert revocations.health().problem == "Redis cannot be asked (RuntimeError)"
    assert revocations.health().state == "never_loaded"


def test_too_many_are_told_of_once(redis_server: RedisServer, caplog: pytest.LogCaptureFixture) -> None:
    revocations = Revocations(redis_server.url, max_entries=5).bind([ISSUER])
    with redis_server.client() as client:
        now = float(int(time.time()))
        for number in range(9):
            client.xadd(STREAM, fields_of(made("subject", f"kp_{number}", now + number), ISSUER))
    revocations.load_behind()
    until(lambda: "max_entries=5" in caplog.text)
    assert revocations.health().floor == now + 4
    assert caplog.text.count("max_entries=5") == 1
    revocations.close()
    notices = RevocationNotices()
    for floor in (NOW, NOW, None, NOW):
        notices.of_floor(floor, 5)
    assert caplog.text.count("max_entries=5") == 3


def test_a_child_has_a_client_of_its_own(redis_server: RedisServer) -> None:
    revocations = Revocations(redis_server.url).bind([ISSUER])
    before = revocations.client
    revocations.renew()
    assert revocations.client is not before
    assert revocations.client is revocations.client


def test_who_is_behind_is_named(redis_server: RedisServer) -> None:
    revocations = Revocations(redis_server.url).bind([ISSUER])
    streams = RedisStreams(revocations.client)
    revocations.revoke_subject("kp_1")
    streams.report(ISSUER, "late", '{"applied": "0-0", "lifts": "0-0", "entries": 0, "state": "fresh"}')
    streams.report(ISSUER, "odd", "no JSON")
    streams.report(ISSUER, "ahead", '{"applied": "99999999999999-0", "lifts": "0-0", "entries": 1, "state": "fresh"}')
    reached = revocations.reached()
    assert (reached.applied, reached.behind) == (("ahead",), ("late",))


def test_what_expires_is_trimmed_by_redis_s_own_clock(redis_server: RedisServer) -> None:
    """Of a Redis whose clock is days behind, nothing new is trimmed."""
    revocations = Revocations(redis_server.url).bind([ISSUER])
    with redis_server.client() as client:
        client.xadd(STREAM, fields_of(made("subject", "kp_old", 1.0), ISSUER), id="1000-0")
        for number in range(300):  # trimming by whole nodes leaves some
            client.xadd(STREAM, fields_of(made("subject", f"kp_{number}", 1.0), ISSUER), id=f"{2000 + number}-0")
        revocations.load_behind()
        until(lambda: revocations.health().state == "fresh")
        revocations.revoke_subject("kp_new")  # by the clock here, all others are very old
        assert client.xlen(STREAM) == 302
        until(lambda: revocations._follower is not None and revocations._follower.last_time > 1e6)
        revocations.revoke_subject("kp_newer")
        assert client.xlen(STREAM) < 302
    revocations.close()


def test_health_says_that_it_lets_in_without_having_loaded() -> None:
    revocations = Revocations("redis://127.0.0.1:1/0", unloaded="accept").bind([ISSUER])
    assert "unloaded='accept'" in revocations.health().problem


def test_a_change_is_told_of_to_watchers_and_nothing_else_is() -> None:
    revocations = Revocations.in_memory()
    told: list[int] = []
    revocations.copy.watchers["me"] = lambda: told.append(1)
    revocations.copy.publish()
    entry = revocations.copy.hold(made("subject", "kp_1", NOW))
    revocations.copy.publish()
    assert (entry, told) == (True, [1])


def test_what_somebody_else_has_put_back_meanwhile_is_not_put_back_twice(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    revocations = Revocations(redis_server.url).bind([ISSUER])
    revocations.load_behind()
    until(lambda: revocations.health().state == "fresh")
    entry = revocations.revoke_subject("kp_1")
    lock = RedisStreams.lock

    def late(self: RedisStreams, issuer: str, name: str) -> bool:
        monkeypatch.setattr(RedisStreams, "lock", lock)
        self.client.xadd(STREAM, fields_of(entry, ISSUER))
        return lock(self, issuer, name)

    with redis_server.client() as client:
        until(lambda: client.xlen(STREAM) == 1)
        monkeypatch.setattr(RedisStreams, "lock", late)
        client.delete(STREAM)
        until(lambda: client.xlen(STREAM) == 1 and not client.exists(mending_of(ISSUER)))
        follower = revocations._follower
        assert follower is not None
        until(lambda: not follower._there)
        assert client.xlen(STREAM) == 1
    assert "put back" not in caplog.text
    revocations.close()


def test_who_does_not_get_the_lock_looks_again_when_it_is_free(redis_server: RedisServer) -> None:
    revocations = Revocations(redis_server.url).bind([ISSUER])
    revocations.load_behind()
    until(lambda: revocations.health().state == "fresh")
    revocations.revoke_subject("kp_1")
    follower = revocations._follower
    assert follower is not None
    with redis_server.client() as client:
        client.set(mending_of(ISSUER), "somebody else", px=60_000)
        client.delete(STREAM)
        until(lambda: follower._there.get(ISSUER, ()) is None)  # it has asked for the lock
        assert client.xlen(STREAM) == 0
        client.delete(mending_of(ISSUER))
        until(lambda: client.xlen(STREAM) == 1)
    revocations.close()


def test_an_answer_that_lay_about_while_the_process_was_frozen_is_no_news(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It counts from when the question was put."""
    from helpers import Time

    clock, facts = Time(), RedisStreams.facts
    revocations = Revocations(redis_server.url).bind([ISSUER], clocks=clock.clocks)

    def frozen(self: RedisStreams, name: str) -> StreamFacts:
        found = facts(self, name)
        clock.passes(100)
        return found

    follower = revocations._follower
    assert follower is not None
    monkeypatch.setattr(RedisStreams, "facts", frozen)
    follower._compare()
    assert revocations.health().state == "stale"
    monkeypatch.setattr(RedisStreams, "facts", facts)
    follower._compare()
    assert revocations.health().state == "fresh"
    revocations.close()


def test_a_loss_that_stays_is_told_of_once(caplog: pytest.LogCaptureFixture) -> None:
    notices = RevocationNotices()
    for _ in range(3):
        notices.of_loss_that_stays("Redis has lost all")
    assert caplog.text.count("Redis has lost all") == 1


# Errands.


def test_an_errand_that_nobody_can_run_or_that_takes_too_long(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "start", lambda errand: errand.turn_down(RuntimeError("no thread")))
    with pytest.raises(RuntimeError, match="no thread"):
        asyncio.run(errands.apart(lambda: 1))
    monkeypatch.setattr(workers, "start", lambda errand: None)
    monkeypatch.setattr(errands, "PATIENCE", 0.01)
    with pytest.raises(TimeoutError):
        asyncio.run(errands.apart(lambda: 1))
    with pytest.raises(RevocationsUnavailable):
        asyncio.run(Revocations(redis_server.url).bind([ISSUER]).arevoke_all())


def test_a_lift_that_cannot_be_written_is_a_503(redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "start", lambda errand: None)
    monkeypatch.setattr(errands, "PATIENCE", 0.01)
    with pytest.raises(RevocationsUnavailable):
        asyncio.run(Revocations(redis_server.url).bind([ISSUER]).alift("entry"))


def test_confirmed_is_what_stands_in_every_stream(redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = {"https://acme.kinde.com": False, "https://login.acme.com": True}
    monkeypatch.setattr(RedisStreams, "mark_and_wait", lambda _, issuer: answers[issuer])
    revocations = Revocations(redis_server.url).bind(answers)
    revocations.revoke_all()
    assert not revocations.confirmed
    answers.update(dict.fromkeys(answers, True))
    revocations.revoke_org("org_1")
    assert revocations.confirmed


def test_a_request_waits_for_the_first_load_and_hardly_at_all_for_news(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Follower, "ensure", lambda _: None)
    clock = Time()
    revocations = Revocations(redis_server.url, clocks=clock.clocks).bind([ISSUER])
    cold = revocations.awaited(clock.monotonic)
    assert cold is not None
    assert cold[1] == 5.0
    revocations.copy.heard(clock.monotonic)
    assert revocations.awaited(clock.monotonic) is None
    clock.passes(3_600)  # frozen
    assert revocations._follower is not None
    revocations._follower._tell()
    thawed = revocations.awaited(clock.monotonic)
    assert thawed is not None
    assert thawed[1] == 0.25


def test_many_lifted_entries_hold_up_no_room() -> None:
    """Places of what was lifted are found empty when room is made."""
    replica = Replica(Time().clocks, lifetime=10.0, usable_for=1.0, accept_unloaded=False, max_entries=2)
    lifted = [made("subject", f"kp_{number}", NOW) for number in range(2)]
    for entry in lifted:
        replica.hold(entry)
        replica.lift(entry.id)
    for number in range(3):
        replica.hold(made("subject", f"kp_new_{number}", NOW + number))
    assert replica.entries == 2
    assert replica.floor == NOW + 1


def test_a_verdict_after_all_of_it(redis_server: RedisServer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "kinde_guard")
    revocations = Revocations(redis_server.url)
    guard = guard_of(Issuer(), revocations=revocations)

    async def ask() -> None:
        await guard.averify(mint())

    asyncio.run(ask())  # waits for the first load
    assert reason_of(guard, mint()) == "accepted"
    until(lambda: "revocations: loaded, 0 entries" in caplog.text)
    revocations.close()
