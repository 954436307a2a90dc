"""What ``kinde-guard doctor`` says of a Redis, and the users that ``doctor --acl`` prints: each may do what it is for,
and no more."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import redis
from commands import outcome_of
from helpers import Outcome
from redis_server import RedisServer, running_redis
from servers import served_issuer
from token_endpoint import Clock, Kinde, credentials
from waiting import until

from kinde_guard import Guard, InvalidToken
from kinde_guard.cli.doctor import acl
from kinde_guard.cli.doctor.redis_server import Server, examine
from kinde_guard.errors import RevocationsUnavailable
from kinde_guard.issuer import LocalIssuer
from kinde_guard.revocation import Revocations
from kinde_guard.testing import mint

Doctor = Callable[..., Outcome]


@pytest.fixture(scope="module")
def kinde() -> Iterator[LocalIssuer]:
    with served_issuer() as issuer:
        yield issuer


@pytest.fixture
def doctor(
    kinde: LocalIssuer,
    redis_server: RedisServer,
    no_settings: None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Doctor:
    settings = {"KINDE_DOMAIN": kinde.url, "KINDE_AUDIENCE": kinde.audience}

    def doctor(*arguments: str, **more: str) -> Outcome:
        for name, value in (settings | ({"KINDE_REVOCATIONS_URL": redis_server.url} | more)).items():
            monkeypatch.setenv(name, value)
        return outcome_of(capsys, "doctor", *arguments)

    return doctor


@pytest.fixture
def admin(redis_server: RedisServer) -> Iterator[redis.Redis]:
    with redis_server.client() as client:
        yield client


def findings(outcome: Outcome) -> dict[str, tuple[str, str]]:
    """By step: the state, and what was found, of the Redis."""
    found = outcome.document["findings"]
    return {each["step"]: (each["state"], each["found"]) for each in found if each["about"].startswith("redis")}


def test_of_a_server_as_debian_ships_it(doctor: Doctor, redis_server: RedisServer) -> None:
    found = findings(done := doctor("--json"))
    assert done.status == 0
    assert {step: state for step, (state, _) in found.items()} == {
        "reach": "well",
        "version": "well",
        "eviction": "well",
        "persistence": "warning",
        "role": "well",
        "user": "warning",
        "clock": "well",
        "workers": "skipped",
    }
    shown = doctor().out
    assert f"redis 127.0.0.1:{redis_server.port}" in shown
    assert "All is well" in shown


@pytest.mark.parametrize(
    ("settings", "step", "state", "words"),
    [
        ({"maxmemory-policy": "allkeys-lru"}, "eviction", "failed", "may throw away what is revoked"),
        ({"maxmemory-policy": "volatile-lru"}, "eviction", "well", "volatile-lru"),
        ({"appendonly": "yes"}, "persistence", "well", "an append-only file"),
    ],
    ids=str,
)
def test_how_it_is_set_up(
    doctor: Doctor, admin: redis.Redis, settings: dict[str, Any], step: str, state: str, words: str
) -> None:
    for name, value in settings.items():
        admin.config_set(name, value)
    done = doctor("--json")
    assert findings(done)[step][0] == state
    assert words in findings(done)[step][1]
    assert done.status == (1 if state == "failed" else 0)


@pytest.mark.parametrize(("lifetime", "state"), [(86_400, None), (172_800, "warning")])
def test_tokens_that_live_longer_than_revocations_are_kept(
    doctor: Doctor, kinde: LocalIssuer, lifetime: float, state: str | None
) -> None:
    app = kinde.add_app(f"an app {lifetime}", lifetime=lifetime)
    kinde.authorize(app, kinde.audience)
    done = doctor(
        "--json",
        KINDE_M2M_CLIENT_ID=app.client_id,
        KINDE_M2M_CLIENT_SECRET=app.client_secret,
        KINDE_M2M_AUDIENCE=kinde.audience,
    )
    found = {each["step"]: each for each in done.document["findings"] if each["about"] == "end to end"}
    assert found["verify"]["state"] == "well"
    assert found.get("lifetime", {}).get("state") == state
    if state:
        assert "Revocations(token_lifetime=172800)" in found["lifetime"]["fix"]


def test_a_replica_is_no_place_to_write(doctor: Doctor, redis_server: RedisServer) -> None:
    with redis_server.replica() as replica:
        found = findings(doctor("--json", KINDE_REVOCATIONS_URL=replica.url))
        assert found["role"] == ("failed", "a replica: nothing can be written there")
        until(lambda: findings(doctor("--json"))["role"] == ("well", "a primary, with 1 replicas"))


def test_it_is_not_there(doctor: Doctor, redis_server: RedisServer) -> None:
    redis_server.kill()
    done = doctor("--json", KINDE_REVOCATIONS_URL=redis_server.url.replace("//", "//:geheim@"))
    assert done.status == 1
    assert list(findings(done)) == ["reach"]
    assert findings(done)["reach"][0] == "failed"
    assert "geheim" not in done.out + done.err


def test_an_address_that_is_none(doctor: Doctor) -> None:
    done = doctor("--json", KINDE_REVOCATIONS_URL="redis://:geheim@")
    assert findings(done)["redis"] == ("failed", "KINDE_REVOCATIONS_URL cannot be used")
    assert "geheim" not in done.out


def test_one_server_for_both_is_examined_once(doctor: Doctor, redis_server: RedisServer) -> None:
    done = doctor("--json", KINDE_M2M_SHARED_URL=redis_server.url)
    steps = [each["step"] for each in done.document["findings"] if each["about"].startswith("redis")]
    assert len(steps) == len(set(steps))


def test_what_a_token_needs_is_less(
    doctor: Doctor, redis_server: RedisServer, admin: redis.Redis, tmp_path: Path
) -> None:
    """It may be thrown away, or lost: another one is fetched."""
    admin.config_set("maxmemory-policy", "allkeys-lru")
    with running_redis(tmp_path / "other") as other:
        done = doctor("--json", KINDE_REVOCATIONS_URL=other.url, KINDE_M2M_SHARED_URL=redis_server.url)
        mine = f"redis 127.0.0.1:{redis_server.port}"
        steps = {each["step"] for each in done.document["findings"] if each["about"] == mine}
        assert steps == {"reach", "version", "role", "user", "clock"}
        assert done.status == 0


def test_the_workers(doctor: Doctor, kinde: LocalIssuer, redis_server: RedisServer, admin: redis.Redis) -> None:
    revocations = Revocations(redis_server.url)
    guard = Guard(kinde.url, audience=kinde.audience, revocations=revocations, variables=[])
    guard.warm()
    until(lambda: revocations.reached().applied)
    assert findings(doctor("--json"))["workers"] == ("well", "1 follow, and have applied everything")
    admin.set(
        f"kinde_guard:{{revocations}}:{kinde.url}:worker:late",
        '{"applied": "0-0", "lifts": "0-0", "entries": 0, "state": "stale"}',
    )
    admin.sadd(f"kinde_guard:{{revocations}}:{kinde.url}:workers", "late")
    revocations.revoke_subject("kp_1234")
    until(lambda: revocations.reached().applied)
    done = doctor("--json")
    assert findings(done)["workers"] == ("failed", "1 of 2 lag behind: late")
    assert done.status == 1
    revocations.close()


@pytest.mark.parametrize(
    ("info", "state", "words"),
    [
        ({"redis_version": "6.0.16"}, "failed", "Redis 6.0.16"),
        ({"redis_version": "6.2.14"}, "warning", "who may revoke may lift"),
        ({"redis_version": "7.2.4"}, "well", "Redis 7.2.4"),
        ({"redis_version": "7.2.4", "server_name": "valkey", "valkey_version": "8.1.0"}, "well", "Valkey 8.1.0"),
        ({"redis_version": "7.2.4", "server_name": "valkey"}, "well", "Valkey 7.2.4"),
    ],
    ids=str,
)
def test_versions(info: dict[str, str], state: str, words: str) -> None:
    from kinde_guard.cli.doctor.redis_server import _version

    found = _version(Server("redis://localhost", ("KINDE_REVOCATIONS_URL",), info))
    assert found.state == state
    assert words in found.found


# Users


class Users:
    """The users that ``doctor --acl`` prints, at a real Redis."""

    def __init__(self, kinde: LocalIssuer, server: RedisServer, stack: ExitStack) -> None:
        self.kinde, self.server, self._stack = kinde, server, stack
        self.admin = stack.enter_context(server.client())
        for line in acl.lines((kinde.url,)).values():
            self.admin.execute_command(*shlex.split(line.replace("<password>", "geheim")))

    def url(self, role: str) -> str:
        return self.server.url.replace("//", f"//kinde_guard_{role}:geheim@")

    def client(self, role: str) -> redis.Redis:
        client: redis.Redis = redis.Redis.from_url(self.url(role))
        self._stack.callback(client.close)
        return client

    def worker(self, role: str) -> tuple[Guard, Revocations]:
        revocations = Revocations(self.url(role))
        guard = Guard(self.kinde.url, audience=self.kinde.audience, revocations=revocations, variables=[])
        guard.warm()
        self._stack.callback(revocations.close)
        return guard, revocations


@pytest.fixture
def users(kinde: LocalIssuer, redis_server: RedisServer) -> Iterator[Users]:
    with ExitStack() as stack:
        yield Users(kinde, redis_server, stack)


def refused(guard: Guard, token: str) -> bool:
    try:
        guard.verify(token)
    except InvalidToken:
        return True
    return False


def test_a_reader_follows_and_says_so(users: Users) -> None:
    token = mint(users.kinde, subject="kp_1234")
    guard, reader = users.worker("reader")
    operator = Revocations(users.url("operator")).bind((users.kinde.url,))
    until(lambda: operator.reached().applied)
    entry = operator.revoke_subject("kp_1234")
    until(lambda: refused(guard, token))
    until(lambda: operator.reached().applied and not operator.reached().behind)
    operator.lift(entry)
    until(lambda: not refused(guard, token))
    assert reader.health().problem == ""
    with pytest.raises(RevocationsUnavailable):
        reader.revoke_subject("kp_4321")


def test_a_receiver_revokes_and_cannot_lift(users: Users) -> None:
    guard, receiver = users.worker("receiver")
    token = mint(users.kinde, subject="kp_1234")
    entry = receiver.revoke_subject("kp_1234")
    assert refused(guard, token)
    assert receiver.ledger is not None
    assert receiver.ledger.begin("event_1") == "mine"
    receiver.ledger.finish("event_1")
    assert receiver.ledger.begin("event_1") == "done"
    receiver.ledger.give_up("event_1")
    with users.client("receiver") as client:  # a replica is waited for, where there is one
        assert client.role()[0] == b"master"
        assert client.wait(0, 1) == 0
    with pytest.raises(RevocationsUnavailable):
        receiver.lift(entry)
    operator = Revocations(users.url("operator")).bind((users.kinde.url,))
    assert [each.id for each in operator.entries()] == [entry.id]


def test_what_redis_has_lost_a_receiver_puts_back(users: Users) -> None:
    _, receiver = users.worker("receiver")
    entry = receiver.revoke_subject("kp_1234")
    operator = Revocations(users.url("operator")).bind((users.kinde.url,))
    users.admin.delete(f"kinde_guard:{{revocations}}:{users.kinde.url}")
    until(lambda: [each.id for each in operator.entries()] == [entry.id])


def test_the_operator_has_all_commands(doctor: Doctor, users: Users, monkeypatch: pytest.MonkeyPatch) -> None:
    operator = Revocations(users.url("operator")).bind((users.kinde.url,), by="cli")
    operator.fetch_keys()
    entry = operator.revoke_all()
    assert [each.kind for each in operator.entries()] == ["keys", "all"]
    operator.lift(entry)
    assert [each.kind for each in operator.entries()] == ["keys"]
    assert operator.workers() == ()
    assert operator.confirmed
    with users.client("operator") as client:
        assert client.role()[0] == b"master"
        assert client.wait(0, 1) == 0


def test_who_shares_a_token_can_do_nothing_else(users: Users) -> None:
    kinde, clock = Kinde(), Clock()
    one, other = (credentials(kinde, clock, shared=users.url("shared")) for _ in range(2))
    assert [one.token(), other.token()] == ["token-1", "token-1"]
    assert users.admin.keys("*turn*") == []
    one.forget()
    assert [one.token(), credentials(kinde, clock, shared=users.url("shared")).token()] == ["token-2", "token-2"]


@pytest.mark.parametrize(
    ("role", "commands"),
    [
        (
            "reader",
            ["XADD {s} * a b", "XADD {s}:lifts * id x", "DEL {s}", "SET {s} x", "SET {s}:marker x", "GET {s}:x"],
        ),
        ("receiver", ["XADD {s}:lifts * id x", "SET {s}:lifts x", "DEL {s}:lifts", "GET other", "FLUSHALL", "KEYS *"]),
        ("operator", ["GET other", "FLUSHALL", "CONFIG GET *", "KEYS *", "XADD {o} * a b"]),
        ("shared", ["GET {s}", "XADD {s} * a b", "XRANGE {s} - +", "GET other", "KEYS *", "FLUSHALL"]),
        ("doctor", ["XADD {s} * a b", "DEL {s}", "SET {s}:marker x", "CONFIG GET *", "KEYS *", "FLUSHALL"]),
    ],
)
def test_nobody_may_do_more(users: Users, role: str, commands: list[str]) -> None:
    """Nor to what another issuer's are."""
    stream, other = (f"kinde_guard:{{revocations}}:{issuer}" for issuer in (users.kinde.url, "https://other.kinde.com"))
    client = users.client(role)
    for command in commands:
        words = [word.format(s=stream, o=other) for word in command.split()]
        with pytest.raises(redis.exceptions.NoPermissionError):
            client.execute_command(*words)  # type: ignore[no-untyped-call]


def test_the_doctor_s_user_may_see_all_that_there_is_to_see(doctor: Doctor, users: Users) -> None:
    found = findings(doctor("--json", KINDE_REVOCATIONS_URL=users.url("doctor")))
    assert found["user"] == ("well", "'kinde_guard_doctor'")
    assert {step for step, (state, _) in found.items() if state in ("failed", "skipped")} == {"workers"}
    assert "none says that it follows" in found["workers"][1]


@pytest.mark.parametrize("role", ["reader", "receiver", "shared"])
def test_another_s_user_may_not_see_all_and_that_is_no_failure(doctor: Doctor, users: Users, role: str) -> None:
    done = doctor("--json", KINDE_REVOCATIONS_URL=users.url(role))
    found = findings(done)
    assert (done.status, found["reach"][0]) == (0, "well")
    assert found["version"] == ("skipped", "this user may not use INFO")
    assert "geheim" not in done.out + done.err


def test_the_lines_are_printed(doctor: Doctor, kinde: LocalIssuer) -> None:
    done = doctor("--acl")
    assert done.status == 0
    assert [line for line in done.out.splitlines() if line.startswith("ACL SETUSER")] == list(
        acl.lines((kinde.url,)).values()
    )
    assert doctor("--acl", "--json").document == acl.lines((kinde.url,))


def test_an_issuer_is_compared_letter_by_letter(users: Users) -> None:
    """Its host may be an IPv6 address, in brackets."""
    line = acl.lines(("http://[::1]:9400",))["receiver"]
    assert r"~kinde_guard:{revocations}:http://\[::1\]:9400 " in line
    users.admin.execute_command(*line.replace("<password>", "geheim").split())
    stream = "kinde_guard:{revocations}:http://[::1]:9400"
    client = users.client("receiver")
    client.xadd(stream, {"a": "b"})
    with pytest.raises(redis.exceptions.NoPermissionError):
        client.xadd(stream.replace("[::1]", ":"), {"a": "b"})


def test_every_server_of_the_settings_is_examined(no_settings: None) -> None:
    assert list(examine(("https://acme.kinde.com",))) == []
