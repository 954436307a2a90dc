"""Several workers and a real Redis, which is killed, emptied, hung, replaced: nobody who was revoked gets in again."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

import pytest
from helpers import HEADER as JOSE
from helpers import USER, Issuer, changed, reason_of, sign
from redis_server import RedisServer, running_redis
from waiting import LONG, in_thread, until

from kinde_guard import ConfigurationError, Guard
from kinde_guard.errors import RevocationsUnavailable
from kinde_guard.events import Event, RevocationsCompared, RevocationsLoaded, RevocationsStale, Revoked
from kinde_guard.net.clocks import Clocks, ageing
from kinde_guard.revocation import Revocation, Revocations
from kinde_guard.revocation.entry import Marks, fields_of, made
from kinde_guard.revocation.redis_streams import RedisStreams, lifts_of, marker_of, stream_of

ISSUER = "https://acme.kinde.com"
STREAM = stream_of(ISSUER)
NOBODY = Marks("", "", None, None, None, 0.0)


class Skewed:
    """Clocks that go as they do, and are moved by a test."""

    def __init__(self) -> None:
        self.by = 0.0
        self.clocks = Clocks(wall=lambda: time.time() + self.by, monotonic=lambda: ageing() + self.by)

    def passes(self, seconds: float) -> None:
        self.by += seconds


class Worker:
    """A process of a fleet, in this one: a copy of its own, a thread of its own."""

    def __init__(self, where: object, domain: Any = "acme.kinde.com", **settings: Any) -> None:
        self.told: list[Event] = []
        self.clock = Skewed()
        self.revocations = Revocations(where, **settings)
        self.guard = Guard(
            domain,
            audience="https://api.acme.com",
            transport=Issuer().transport,
            variables=(),
            clocks=self.clock.clocks,
            revocations=self.revocations,
            observer=self,
        )

    def observe(self, event: Event) -> None:
        self.told.append(event)

    def follows(self) -> Worker:
        """And has loaded what there is."""
        self.revocations.load_behind()
        until(lambda: self.revocations.health().state == "fresh")
        return self

    def ends(self) -> None:
        """And follows no more."""
        follower = self.revocations._follower
        assert follower is not None
        self.revocations.close()
        until(lambda: follower._thread is None or not follower._thread.is_alive())

    def refuses(self, subject: str) -> bool:
        return self.revocations.copy.refusal(NOBODY._replace(subject=subject)) is not None

    def knows(self, *subjects: str) -> None:
        """Waits until it refuses all of them."""
        until(lambda: all(self.refuses(subject) for subject in subjects))


@pytest.fixture
def workers() -> Iterator[Callable[..., Worker]]:
    made: list[Worker] = []

    def make(*args: Any, **settings: Any) -> Worker:
        made.append(Worker(*args, **settings))
        return made[-1]

    yield make
    for worker in made:
        worker.revocations.close()


Make = Callable[..., Worker]


def raw_token(subject: str = USER["sub"]) -> str:
    import json

    now = int(time.time())
    claims = changed(USER, {"sub": subject, "iat": now - 100, "exp": now + 3_000})
    return sign(json.dumps(JOSE), json.dumps(claims))


def names(server: RedisServer) -> list[str]:
    """Of whom entries in Redis are about."""
    with server.client() as client:
        return sorted(fields.get("of", "") for _, fields in client.xrange(STREAM))


SUBJECTS = tuple(f"kp_{number:03}" for number in range(200))


def revoke(worker: Worker, subjects: tuple[str, ...] = SUBJECTS) -> None:
    for subject in subjects:
        worker.revocations.revoke_subject(subject)


# Everyday.


def test_what_one_worker_revokes_all_of_them_refuse(redis_server: RedisServer, workers: Make) -> None:
    one, two = workers(redis_server.url), workers(redis_server.url)
    raw = raw_token()
    tokens = [worker.guard.verify(raw) for worker in (one, two)]
    entry = one.revocations.revoke(tokens[0], "signed out")
    assert reason_of(one.guard, raw) == "revoked"
    until(lambda: reason_of(two.guard, raw) == "revoked")
    assert list(two.revocations.entries()) == [entry]
    (revoked,) = [event for event in two.told if isinstance(event, Revoked)]
    assert (revoked.kind, revoked.id, revoked.by) == ("token", entry.id, "app")
    one.revocations.lift(entry, "a mistake")
    assert reason_of(one.guard, raw) == "accepted"
    until(lambda: reason_of(two.guard, raw) == "accepted")
    assert list(two.revocations.entries()) == []


def test_out_of_an_event_loop_too(redis_server: RedisServer, workers: Make) -> None:
    one, two = workers(redis_server.url).follows(), workers(redis_server.url).follows()

    async def revoke_and_lift() -> None:
        entry = await one.revocations.arevoke_subject("kp_1")
        until(lambda: two.refuses("kp_1"))
        await one.revocations.alift(entry)

    asyncio.run(revoke_and_lift())
    until(lambda: not two.refuses("kp_1"))


def test_a_worker_that_comes_later_knows_all(redis_server: RedisServer, workers: Make) -> None:
    one = workers(redis_server.url).follows()
    revoke(one)
    lifted = one.revocations.revoke_subject("kp_lifted")
    one.revocations.lift(lifted)
    late = workers(redis_server.url).follows()
    assert all(late.refuses(subject) for subject in SUBJECTS)
    assert not late.refuses("kp_lifted")
    assert not [event for event in late.told if isinstance(event, Revoked)]  # it is no news
    (loaded,) = [event for event in late.told if isinstance(event, RevocationsLoaded)]
    assert loaded.entries == 200


def test_each_second_an_observer_hears_that_the_copy_is_complete(redis_server: RedisServer, workers: Make) -> None:
    def sizes() -> list[int]:
        return [event.entries for event in worker.told if isinstance(event, RevocationsCompared)]

    worker = workers(redis_server.url).follows()
    until(lambda: sizes()[:2] == [0, 0])
    worker.revocations.revoke_subject("kp_1")
    until(lambda: sizes()[-1] == 1)
    redis_server.kill()
    until(lambda: worker.revocations.health().problem)
    before = sizes()
    redis_server.start()
    until(lambda: len(sizes()) > len(before))
    assert sizes()[len(before)] == 1


def test_the_first_request_starts_it_and_waits(redis_server: RedisServer, workers: Make) -> None:
    one = workers(redis_server.url)
    raw = raw_token()
    with redis_server.client() as client:
        client.xadd(STREAM, fields_of(made("subject", USER["sub"], time.time()), ISSUER))
    assert reason_of(one.guard, raw) == "revoked"
    two = workers(redis_server.url)
    two.guard.warm()
    assert two.revocations.health().state == "fresh"
    asyncio.run(workers(redis_server.url).guard.awarm())


def test_two_tenants_on_one_redis_never_see_one_another(redis_server: RedisServer, workers: Make) -> None:
    acme, other = workers(redis_server.url).follows(), workers(redis_server.url, "other.kinde.com").follows()
    acme.revocations.revoke_subject("kp_1")
    other.revocations.revoke_subject("kp_2")
    acme.knows("kp_1")
    other.knows("kp_2")
    with redis_server.client() as client:  # a wrong address, or somebody who copies
        client.xadd(STREAM, fields_of(made("subject", "kp_3", time.time()), "https://other.kinde.com"))
        client.xadd(STREAM, fields_of(made("subject", "kp_4", time.time()), ISSUER))
    acme.knows("kp_4")
    assert [acme.refuses(f"kp_{number}") for number in (2, 3)] == [False, False]
    assert [other.refuses(f"kp_{number}") for number in (1, 3, 4)] == [False, False, False]


def test_a_tenant_of_two_domains_has_a_stream_for_each_in_whatever_order(
    redis_server: RedisServer, workers: Make
) -> None:
    one = workers(redis_server.url, ["acme.kinde.com", "login.acme.com"]).follows()
    two = workers(redis_server.url, ["login.acme.com", "acme.kinde.com"]).follows()
    alone = workers(redis_server.url).follows()
    entry = one.revocations.revoke_subject("kp_1")
    two.knows("kp_1")
    alone.knows("kp_1")
    alone.revocations.revoke_subject("kp_2")
    two.knows("kp_2")
    assert [each.id for each in two.revocations.entries()].count(entry.id) == 1
    two.revocations.lift(entry)
    until(lambda: not alone.refuses("kp_1"))


def test_one_bad_entry_is_skipped_and_counted(redis_server: RedisServer, workers: Make) -> None:
    """Whoever may write may write anything: it never ends the thread."""
    worker = workers(redis_server.url).follows()
    with redis_server.client() as client:
        for bad in ({"kind": "nonsense"}, {"a": "b"}, {"kind": "subject", "of": "kp_1", "before": "inf", "id": "x",
                    "issuer": ISSUER}, {b"\xff": b"\xfe\x00"}):  # fmt: skip
            client.xadd(STREAM, bad)
            client.xadd(lifts_of(ISSUER), bad)
        client.xadd(STREAM, fields_of(made("subject", "kp_2", time.time()), ISSUER))
    worker.knows("kp_2")
    assert worker.revocations.health().unreadable == 4
    assert [entry.value for entry in worker.revocations.entries()] == ["kp_2"]


def test_a_keys_entry_has_every_worker_fetch_its_keys(redis_server: RedisServer, workers: Make) -> None:
    one, two = workers(redis_server.url).follows(), workers(redis_server.url).follows()
    fetched: list[str] = []
    two.revocations._fetches.append(lambda: fetched.append("two"))
    one.revocations.fetch_keys("a key was withdrawn")
    until(lambda: fetched)
    late = workers(redis_server.url).follows()
    late.revocations._fetches.append(lambda: fetched.append("late"))
    one.revocations.revoke_subject("kp_1")
    late.knows("kp_1")
    assert fetched == ["two"]  # who starts has fetched them anyway


def test_who_follows_and_how_far_is_known(redis_server: RedisServer, workers: Make) -> None:
    one, two = workers(redis_server.url).follows(), workers(redis_server.url).follows()
    tool = Revocations(redis_server.url).bind([ISSUER], by="cli")
    until(lambda: len(tool.workers()) == 2)
    entry = tool.revoke_subject("kp_1")
    assert entry.by == "cli"
    until(lambda: len(tool.reached().applied) == 2)
    assert tool.reached().behind == ()
    assert {worker.entries for worker in tool.workers()} == {1}
    assert {worker.state for worker in tool.workers()} == {"fresh"}
    for worker in (one, two):
        worker.knows("kp_1")
    two.revocations.close()
    redis_server.hang()  # so that who is there cannot go on
    redis_server.resume()
    with redis_server.client() as client:
        client.set(f"{STREAM}:worker:{tool.workers()[0].name}", '{"applied": "0-0"}')
        assert len(tool.workers()) == 1


def test_a_command_line_sees_revocations_as_they_arrive(redis_server: RedisServer, workers: Make) -> None:
    tool = Revocations(redis_server.url).bind([ISSUER])
    seen: list[Revocation] = []
    began = threading.Event()

    def watch() -> None:
        arriving = tool.watch()
        began.set()
        seen.extend([next(arriving), next(arriving)])

    thread = in_thread(watch)
    began.wait(LONG)
    one = workers(redis_server.url)
    number = 0
    while thread.is_alive():
        one.revocations.revoke_subject(f"kp_{number}")
        number += 1
        thread.join(0.05)
    assert [entry.kind for entry in seen] == ["subject", "subject"]


# Without Redis.


def test_while_redis_is_down_the_copy_serves_and_says_so(
    redis_server: RedisServer, workers: Make, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "kinde_guard")
    worker = workers(redis_server.url, usable_for=60).follows()
    raw, revoked = raw_token(), raw_token("kp_1")
    worker.revocations.revoke_subject("kp_1")
    redis_server.kill()
    until(lambda: worker.revocations.health().problem)
    assert worker.revocations.health().problem == "Redis cannot be asked (ConnectionError)"
    worker.clock.passes(3)
    assert worker.revocations.health().state == "stale"
    assert [reason_of(worker.guard, each) for each in (raw, revoked)] == ["accepted", "revoked"]
    until(lambda: [event for event in worker.told if isinstance(event, RevocationsStale)])
    worker.clock.passes(60)
    assert worker.revocations.health().state == "expired"
    with pytest.raises(RevocationsUnavailable):
        worker.guard.verify(raw)
    assert worker.guard.recognise(b"Bearer " + raw.encode()) is None
    redis_server.start()
    until(lambda: worker.revocations.health().state == "fresh")
    assert [reason_of(worker.guard, each) for each in (raw, revoked)] == ["accepted", "revoked"]
    lines = "\n".join(record.message for record in caplog.records)
    assert "is fresh" in lines or "is stale" in lines
    assert "heard again" in lines
    assert "127.0.0.1" not in lines


def test_usable_for_zero_fails_closed_at_once(redis_server: RedisServer, workers: Make) -> None:
    worker = workers(redis_server.url, usable_for=0).follows()
    raw = raw_token()
    assert reason_of(worker.guard, raw) == "accepted"
    redis_server.kill()
    until(lambda: worker.revocations.health().problem)
    worker.clock.passes(3)
    with pytest.raises(RevocationsUnavailable):
        worker.guard.verify(raw)


def test_who_starts_without_redis_refuses_everybody_or_nobody_by_name(
    redis_server: RedisServer, workers: Make, caplog: pytest.LogCaptureFixture
) -> None:
    redis_server.kill()
    refuses, accepts = workers(redis_server.url), workers(redis_server.url, unloaded="accept")
    with pytest.raises(RevocationsUnavailable):
        refuses.guard.verify(raw_token())
    assert reason_of(accepts.guard, raw_token()) == "accepted"
    states = [worker.revocations.health() for worker in (refuses, accepts)]
    assert [state.state for state in states] == ["never_loaded", "never_loaded"]
    assert [state.usable for state in states] == [False, True]
    assert any("unloaded='accept'" in record.message for record in caplog.records)
    redis_server.start()
    for worker in (refuses, accepts):
        worker.follows()


def test_what_cannot_be_written_holds_here_and_is_delivered_later(redis_server: RedisServer, workers: Make) -> None:
    one, two = workers(redis_server.url).follows(), workers(redis_server.url).follows()
    redis_server.kill()
    with pytest.raises(RevocationsUnavailable):
        one.revocations.revoke_subject("kp_1")
    assert one.refuses("kp_1")
    with pytest.raises(RevocationsUnavailable):  # and a webhook that is repeated is not told that it is done
        one.revocations.revoke_subject("kp_1")
    with pytest.raises(RevocationsUnavailable):
        asyncio.run(one.revocations.arevoke_subject("kp_2"))
    with pytest.raises(RevocationsUnavailable):
        one.revocations.lift("some-entry")
    redis_server.start()
    two.knows("kp_1", "kp_2")


def test_who_says_the_same_while_it_is_being_written_is_not_told_that_it_is_done(
    redis_server: RedisServer, workers: Make
) -> None:
    """Or a webhook that came twice at once would be answered 200, and lost if the first could not be written."""
    one = workers(redis_server.url).follows()
    redis_server.hang()
    first = in_thread(lambda: _quietly(one.revocations.revoke_subject, "kp_1"))
    until(lambda: one.revocations.copy.says("subject", "kp_1", 0) is not None)
    with pytest.raises(RevocationsUnavailable):
        one.revocations.revoke_subject("kp_1")
    first.join(LONG)
    redis_server.resume()
    until(lambda: "kp_1" in names(redis_server))


def test_what_is_being_written_is_not_written_by_the_thread_as_well(
    redis_server: RedisServer, workers: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = workers(redis_server.url).follows()
    add = RedisStreams.add

    def late(self: RedisStreams, *args: Any) -> None:
        if threading.current_thread() is threading.main_thread():
            for _ in range(2):  # the thread goes round meanwhile
                heard_at = one.revocations.copy.heard_at
                until(lambda heard_at=heard_at: one.revocations.copy.heard_at != heard_at)  # type: ignore[misc]
        add(self, *args)

    monkeypatch.setattr(RedisStreams, "add", late)
    one.revocations.revoke_subject("kp_1")
    assert names(redis_server) == ["kp_1"]


def test_what_no_thread_could_write_is_delivered_later(
    redis_server: RedisServer, workers: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = workers(redis_server.url).follows()

    async def nobody(do: object) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr("kinde_guard.net.errands.apart", nobody)
        with pytest.raises(RuntimeError):
            asyncio.run(one.revocations.arevoke_subject("kp_1"))
    until(lambda: names(redis_server) == ["kp_1"])


def _quietly(function: Callable[[str], object], argument: str) -> None:
    with suppress(RevocationsUnavailable):
        function(argument)


def test_a_replica_is_waited_for_and_it_is_said_once_if_none_confirms(
    redis_server: RedisServer, workers: Make, caplog: pytest.LogCaptureFixture
) -> None:
    """What the primary alone has, a failover loses."""
    worker = workers(redis_server.url).follows()
    with redis_server.replica() as replica:
        worker.revocations.revoke_subject("kp_1")
        assert worker.revocations.confirmed
        assert names(replica) == ["kp_1"]  # at once
        replica.hang()
        for subject in ("kp_2", "kp_3"):
            worker.revocations.revoke_subject(subject)
            assert not worker.revocations.confirmed
        assert caplog.text.count("no replica of Redis has confirmed") == 1
        replica.resume()
    with redis_server.client() as client:
        until(lambda: not client.role()[2])
    worker.revocations.revoke_subject("kp_4")  # there is no replica any more
    assert worker.revocations.confirmed


@pytest.mark.parametrize(("more", "taken"), [((), True), (("+role", "+wait", "-set"), False)])
def test_a_user_that_may_not_ask_or_not_mark(
    redis_server: RedisServer, workers: Make, more: tuple[str, ...], taken: bool
) -> None:
    """Who may not know of replicas writes as if there were none; who may not write the mark has not written."""
    with redis_server.client() as client, redis_server.replica():
        commands = ["+xadd", "+set", "+xread", "+xrange", "+xinfo|stream", "+exists", "+client", "+select", *more]
        client.acl_setuser("app", enabled=True, passwords=["+secret"], keys=["*"], commands=commands)
        worker = workers(f"redis://app:secret@127.0.0.1:{redis_server.port}/0")
        with nullcontext() if taken else pytest.raises(RevocationsUnavailable):
            worker.revocations.revoke_subject("kp_1")
        assert worker.revocations.confirmed
        assert names(redis_server) == ["kp_1"]


def test_a_server_that_dies_between_two_commands_has_not_confirmed(redis_server: RedisServer) -> None:
    import redis

    with redis_server.client() as client:
        redis_server.kill()
        with pytest.raises(redis.ConnectionError):
            RedisStreams(client).mark_and_wait(ISSUER)


# What Redis loses.


def test_after_a_kill_without_persistence_all_is_back(redis_server: RedisServer, workers: Make) -> None:
    fleet = [workers(redis_server.url).follows() for _ in range(3)]
    revoke(fleet[0])
    for worker in fleet:
        worker.knows(*SUBJECTS)
    redis_server.kill()
    redis_server.start()
    until(lambda: names(redis_server) == sorted(SUBJECTS))
    assert all(worker.refuses(subject) for worker in fleet for subject in SUBJECTS)
    late = workers(redis_server.url).follows()
    assert all(late.refuses(subject) for subject in SUBJECTS)
    fleet[0].revocations.revoke_subject("kp_after")
    for worker in [*fleet, late]:
        worker.knows("kp_after")


def test_after_a_kill_with_persistence_nothing_was_lost(tmp_path: Path, workers: Make) -> None:
    with running_redis(tmp_path / "redis", keeps=True) as server:
        fleet = [workers(server.url).follows() for _ in range(2)]
        revoke(fleet[0], SUBJECTS[:50])
        server.kill()
        server.start()
        fleet[0].follows().revocations.revoke_subject("kp_after")
        fleet[1].knows("kp_after", *SUBJECTS[:50])
        assert names(server) == sorted([*SUBJECTS[:50], "kp_after"])


@pytest.mark.parametrize("written_to_again", [False, True])
def test_after_flushall_all_is_back(redis_server: RedisServer, workers: Make, written_to_again: bool) -> None:
    """FLUSHALL and one write is not seen by who looks at the last id alone."""
    fleet = [workers(redis_server.url).follows() for _ in range(2)]
    revoke(fleet[0])
    fleet[1].knows(*SUBJECTS)
    with redis_server.client() as client, client.pipeline(transaction=True) as pipeline:
        pipeline.flushall()
        if written_to_again:
            pipeline.xadd(STREAM, fields_of(made("subject", "kp_new", time.time()), ISSUER))
        pipeline.execute()
    wanted = sorted([*SUBJECTS, *(["kp_new"] if written_to_again else [])])
    until(lambda: names(redis_server) == wanted)
    assert all(worker.refuses(subject) for worker in fleet for subject in SUBJECTS)


def test_what_is_deleted_from_the_middle_comes_back(redis_server: RedisServer, workers: Make) -> None:
    worker = workers(redis_server.url).follows()
    revoke(worker, SUBJECTS[:10])
    with redis_server.client() as client:
        ids = [name for name, _ in client.xrange(STREAM)]
        client.xdel(STREAM, *ids[3:6])
    until(lambda: names(redis_server) == sorted(SUBJECTS[:10]))


def test_what_stands_for_several_is_never_written(
    redis_server: RedisServer, workers: Make, caplog: pytest.LogCaptureFixture
) -> None:
    """Of more than sixteen about one, the earliest are one here; in Redis each stays what it is."""
    worker = workers(redis_server.url).follows()
    now = time.time()
    for number in range(20):
        worker.revocations.revoke_subject("kp_1", issued_before=now - 100 + number)
    with redis_server.client() as client:
        last = client.xrevrange(STREAM, count=1)[0][0]
        client.xdel(STREAM, last)
        until(lambda: "had lost 1 entries" in caplog.text)
        assert client.xlen(STREAM) == 20
    assert not [entry.id for entry in worker.revocations.entries() if entry.id.startswith("merged-")]


def test_after_a_failover_that_lost_acknowledged_writes_all_is_back(tmp_path: Path, workers: Make) -> None:
    """A stream of the old primary goes on in the new one, at the same address, without its last entries."""
    with running_redis(tmp_path / "redis", keeps=True) as server:
        fleet = [workers(server.url).follows() for _ in range(3)]
        revoke(fleet[0], SUBJECTS[:100])
        with server.client() as client:
            kept = client.dump(STREAM)
            revoke(fleet[0], SUBJECTS[100:150])
            for worker in fleet:
                worker.knows(*SUBJECTS[:150])
            client.restore(STREAM, 0, kept, replace=True)
        until(lambda: names(server) == sorted(SUBJECTS[:150]))
        late = workers(server.url).follows()
        assert all(worker.refuses(subject) for worker in [*fleet, late] for subject in SUBJECTS[:150])


def test_exactly_one_worker_puts_it_back(
    redis_server: RedisServer, workers: Make, caplog: pytest.LogCaptureFixture
) -> None:
    fleet = [workers(redis_server.url).follows() for _ in range(4)]
    revoke(fleet[0], SUBJECTS[:30])
    for worker in fleet:
        worker.knows(*SUBJECTS[:30])
    with redis_server.client() as client:
        client.flushall()
    until(lambda: names(redis_server) == sorted(SUBJECTS[:30]))
    followers = [worker.revocations._follower for worker in fleet]
    until(lambda: not any(follower and follower._there for follower in followers))
    told = [record.message for record in caplog.records if "have been put back" in record.message]
    assert len(told) == 1
    assert "had lost 30 entries" in told[0]


def test_a_new_primary_whose_clock_is_behind_is_heard(redis_server: RedisServer, workers: Make) -> None:
    """Its ids are below those that were read: a reader that keeps its last id never hears again."""
    worker = workers(redis_server.url).follows()
    with redis_server.client() as client:
        client.xadd(STREAM, fields_of(made("subject", "kp_1", time.time()), ISSUER))
        worker.knows("kp_1")
        client.delete(STREAM)
        for number in range(2):
            fields = fields_of(made("subject", f"kp_behind_{number}", time.time()), ISSUER)
            client.xadd(STREAM, fields, id=f"1000-{number}")
    worker.knows("kp_behind_0", "kp_behind_1")
    until(lambda: "kp_1" in names(redis_server))


def test_a_worker_that_may_not_write_says_what_was_lost(
    redis_server: RedisServer, workers: Make, caplog: pytest.LogCaptureFixture
) -> None:
    writer = workers(redis_server.url).follows()
    with redis_server.client() as client:
        client.acl_setuser(
            "reader", enabled=True, passwords=["+secret"], keys=["kinde_guard:*"],
            commands=["+xread", "+xrange", "+xinfo|stream", "+exists", "+client", "+hello", "+select"],
        )  # fmt: skip
    reader = workers(f"redis://reader:secret@127.0.0.1:{redis_server.port}/0").follows()
    writer.revocations.revoke_subject("kp_1")
    reader.knows("kp_1")
    with pytest.raises(RevocationsUnavailable):
        reader.revocations.revoke_subject("kp_2")
    writer.ends()
    with redis_server.client() as client:
        client.flushall()
    until(lambda: "not take them" in reader.revocations.health().problem)
    assert reader.refuses("kp_1")
    assert reader.revocations.health().state == "fresh"
    assert "secret" not in caplog.text


def test_an_empty_stream_that_once_had_entries_is_a_problem(redis_server: RedisServer, workers: Make) -> None:
    """Whoever starts then cannot know who is revoked, and says so."""
    with redis_server.client() as client:
        client.set(marker_of(ISSUER), "1")
    worker = workers(redis_server.url).follows()
    until(lambda: "lost all entries" in worker.revocations.health().problem)
    worker.revocations.revoke_subject("kp_1")
    until(lambda: worker.revocations.health().problem == "")


def test_the_first_entry_of_all_is_no_loss(
    redis_server: RedisServer, workers: Make, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is added, and marked, after a worker has looked at the stream and before it looks for the mark."""
    marked = RedisStreams.marked

    def late(self: RedisStreams, issuer: str) -> bool:
        if not marked(self, issuer):
            self.add(STREAM, fields_of(made("subject", "kp_1", time.time()), ISSUER), None)
            self.mark(issuer)
        return marked(self, issuer)

    monkeypatch.setattr(RedisStreams, "marked", late)
    workers(redis_server.url).follows().knows("kp_1")
    assert "lost" not in caplog.text


def test_a_server_that_hangs_is_noticed_and_heard_again(redis_server: RedisServer, workers: Make) -> None:
    worker = workers(redis_server.url).follows()
    worker.revocations.revoke_subject("kp_1")
    redis_server.hang()
    until(lambda: worker.revocations.health().problem)
    assert worker.revocations.health().problem == "Redis cannot be asked (TimeoutError)"
    assert worker.refuses("kp_1")
    redis_server.resume()
    until(lambda: worker.revocations.health().problem == "")
    with redis_server.client() as client:
        client.xadd(STREAM, fields_of(made("subject", "kp_2", time.time()), ISSUER))
    worker.knows("kp_2")


# After a freeze.


def test_the_first_request_after_a_thaw_is_not_judged_by_an_old_copy(
    redis_server: RedisServer, workers: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A virtual machine is paused, a function sleeps: the thread has not been told yet that it is late."""
    monkeypatch.setattr("kinde_guard.revocation.revocations.WAIT_THAW", LONG)
    worker = workers(redis_server.url).follows()
    raw = raw_token()
    assert reason_of(worker.guard, raw) == "accepted"
    monkeypatch.setattr("kinde_guard.revocation.follower.Follower._take_in", _late(worker))
    with redis_server.client() as client:
        client.xadd(STREAM, fields_of(made("subject", USER["sub"], time.time()), ISSUER))
    worker.clock.passes(1_000)
    assert worker.guard.recognise(b"Bearer " + raw.encode()) is None
    for each in (raw, raw_token("kp_new")):  # seen before, and not
        assert worker.guard.authenticate_at_once(b"Bearer " + each.encode()) is None
    assert reason_of(worker.guard, raw) == "revoked"


def _late(worker: Worker) -> Any:
    from kinde_guard.revocation.follower import Follower

    take_in = Follower._take_in

    def late(self: Follower, *args: Any, **options: Any) -> None:
        until(lambda: worker.clock.by)
        time.sleep(0.1)
        take_in(self, *args, **options)

    return late


def test_nobody_waits_for_long_where_nothing_is_heard(redis_server: RedisServer, workers: Make) -> None:
    worker = workers(redis_server.url).follows()
    raw = raw_token()
    assert reason_of(worker.guard, raw) == "accepted"
    redis_server.hang()
    worker.clock.passes(10)
    assert reason_of(worker.guard, raw) == "accepted"  # after 250 ms, by the copy there is
    redis_server.resume()


# Clients of one's own.


def test_a_ready_client_with_or_without_texts(redis_server: RedisServer, workers: Make) -> None:
    import redis

    kinds = [
        redis.Redis(port=redis_server.port, decode_responses=True, socket_timeout=5),
        redis.Redis(port=redis_server.port, socket_timeout=5),
        redis.Redis(port=redis_server.port, protocol=3, socket_timeout=5),
        redis.Redis(port=redis_server.port, protocol=2, decode_responses=True, socket_timeout=5),
    ]
    fleet = [workers(client).follows() for client in kinds]
    for number, worker in enumerate(fleet):
        worker.revocations.revoke_subject(f"kp_{number}")
    for worker in fleet:
        worker.knows(*(f"kp_{number}" for number in range(len(fleet))))
        assert len(list(worker.revocations.entries())) == len(fleet)
        assert worker.revocations.workers()
    for worker, client in zip(fleet, kinds, strict=True):
        worker.ends()
        client.close()


def test_a_client_of_valkey_s(redis_server: RedisServer, workers: Make) -> None:
    valkey = pytest.importorskip("valkey", reason="there is no valkey-py: pip install valkey")
    client = valkey.Valkey(port=redis_server.port, socket_timeout=5)
    one, two = workers(client).follows(), workers(redis_server.url).follows()
    one.revocations.revoke_subject("kp_1")
    two.revocations.revoke_subject("kp_2")
    for worker in (one, two):
        worker.knows("kp_1", "kp_2")
    with redis_server.client() as other:
        other.flushall()
    until(lambda: names(redis_server) == ["kp_1", "kp_2"])
    assert len(one.revocations.workers()) >= 1
    one.ends()
    client.close()


def test_sentinel_hands_over_to_a_replica(redis_server: RedisServer, tmp_path: Path, workers: Make) -> None:
    """The primary is killed; what was acknowledged is there, and what comes later is heard from the new one."""
    import redis.sentinel

    watched = (
        f"sentinel monitor kinde 127.0.0.1 {redis_server.port} 1",
        "sentinel down-after-milliseconds kinde 300",
        "sentinel failover-timeout kinde 1000",
    )
    with redis_server.replica() as replica, running_redis(tmp_path / "sentinel", sentinel=watched) as watcher:
        sentinel: Any = redis.sentinel.Sentinel([("127.0.0.1", watcher.port)], socket_timeout=2)  # type: ignore[no-untyped-call]
        until(lambda: len(sentinel.discover_slaves("kinde")) == 1)
        clients = [sentinel.master_for("kinde", socket_timeout=2) for _ in range(2)]
        one, two = (workers(client).follows() for client in clients)
        one.revocations.revoke_subject("kp_1")
        two.knows("kp_1")
        redis_server.kill()
        until(lambda: _primary(sentinel) == replica.port)
        until(lambda: _is_written(one, "kp_2"))
        two.knows("kp_1", "kp_2")
        until(lambda: names(replica) == ["kp_1", "kp_2"])
        for worker, client in zip((one, two), clients, strict=True):
            worker.ends()
            client.close()
        for each in sentinel.sentinels:
            each.close()


def _primary(sentinel: Any) -> int:
    import redis

    with suppress(redis.ConnectionError):  # there is none, for a moment
        return int(sentinel.discover_master("kinde")[1])
    return 0


def _is_written(worker: Worker, subject: str) -> bool:
    try:
        worker.revocations.revoke_subject(subject)
    except RevocationsUnavailable:
        return False
    return True


def test_an_async_client_is_refused() -> None:
    import redis.asyncio

    with pytest.raises(ConfigurationError, match="not async"):
        Revocations(redis.asyncio.Redis())


# Webhooks.


def test_an_event_is_handled_once_by_the_fleet(redis_server: RedisServer, workers: Make) -> None:
    one, two = workers(redis_server.url).revocations.ledger, workers(redis_server.url).revocations.ledger
    assert one is not None
    assert two is not None
    assert one.begin("a") == "mine"
    assert two.begin("a") == "busy"
    one.give_up("a")
    assert two.begin("a") == "mine"
    two.finish("a")
    assert one.begin("a") == "done"

    async def in_a_loop() -> list[str]:
        turns = [await one.abegin("b"), await two.abegin("b")]
        await one.agive_up("b")
        turns.append(await two.abegin("b"))
        await two.afinish("b")
        return [*turns, await one.abegin("b")]

    assert asyncio.run(in_a_loop()) == ["mine", "busy", "mine", "done"]
