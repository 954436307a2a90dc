"""A fleet's token, through a real Redis: one for all, sealed, and never in anybody's way."""

from __future__ import annotations

import base64
import logging
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
import redis
import redis.asyncio
from helpers import fork
from redis_server import RedisServer, running_redis
from servers import served_issuer
from token_endpoint import API, APP, DAY, SECRET, Api, Clock, Kinde, credentials, issued, refusal, settle
from waiting import LONG, until

from kinde_guard import ConfigurationError
from kinde_guard.m2m import ClientCredentials, TokenEndpointUnavailable, holder, shared, shared_store
from kinde_guard.net.fetch import TOTAL_TIMEOUT

PATIENT = (0.01,) * 10_000
"""Pauses of somebody who never has the next turn."""


AS_SHIPPED = shared_store.TURN_LASTS


@pytest.fixture(autouse=True)
def _no_environment(no_settings: None) -> None:
    """No setting from outside."""


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine, too, Redis answers in time, and the one whose turn it is gets a token in his turn."""
    monkeypatch.setattr(shared_store, "CALL_TIMEOUT", LONG)
    monkeypatch.setattr(shared_store, "ANSWER_TIMEOUT", LONG)
    monkeypatch.setattr(shared, "PAUSES", PATIENT)
    monkeypatch.setattr(shared_store, "TURN_LASTS", 1_000)
    monkeypatch.setattr(holder, "TOTAL_TIMEOUT", LONG)
    monkeypatch.setattr(holder, "WAIT", LONG)


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class Fleet:
    """Processes, as far as Redis and Kinde can tell: each has a memory of its own."""

    def __init__(self, server: RedisServer, kinde: Kinde | None = None) -> None:
        self.kinde, self.clock = kinde or Kinde(), Clock()
        self.redis, self._url = server.client(), server.url

    def process(self, **settings: Any) -> ClientCredentials:
        return credentials(self.kinde, self.clock, **{"shared": self._url, **settings})

    @property
    def fetched(self) -> int:
        return len(self.kinde.requests)

    def key(self, name: str) -> str:
        """Of the one application that there is."""
        found = {str(key).rpartition("}:")[0] for key in self.redis.keys("kinde_guard:*")}
        assert len(found) == 1, found
        return f"{found.pop()}}}:{name}"

    def ask(self, process: ClientCredentials, *statuses: int) -> tuple[int, list[str | None]]:
        """One request to an API that answers so; the status that is seen, and what it was sent."""
        api = Api(*((status, {}) for status in statuses))
        with httpx.Client(auth=process, transport=httpx.MockTransport(api)) as http:
            status = http.get(API).status_code
        return status, [token and token.removeprefix("Bearer ") for token in api.tokens]


@pytest.fixture
def fleet(redis_server: RedisServer) -> Iterator[Fleet]:
    with (found := Fleet(redis_server)).redis:
        yield found
    found.kinde.open.set()


@pytest.fixture
def ready(redis_server: RedisServer) -> Iterator[Callable[..., redis.Redis]]:
    """A client of the app's own."""
    with ExitStack() as stack:

        def ready(kind: type[redis.Redis] = redis.Redis, **options: Any) -> redis.Redis:
            client = kind(port=redis_server.port, **options)
            stack.callback(client.close)
            return client

        yield ready


# One token for all


def test_one_fetches_and_all_use_it(fleet: Fleet) -> None:
    assert {fleet.process().token() for _ in range(5)} == {"token-1"}
    assert fleet.fetched == 1


EIGHT = """
import os
from kinde_guard.m2m import ClientCredentials, holder, shared, shared_store
holder.TOTAL_TIMEOUT = holder.WAIT = shared_store.CALL_TIMEOUT = shared_store.ANSWER_TIMEOUT = {patience}
shared.PAUSES = (0.02,) * 10_000
reader, writer = os.pipe()
for _ in range(8):
    if os.fork() == 0:
        os.close(writer)
        auth = ClientCredentials()
        os.read(reader, 1)
        os.write(1, auth.token().encode() + b"\\n")
        os._exit(0)
os.close(writer)  # and all begin
print([os.wait()[1] for _ in range(8)])
"""


def test_eight_processes_that_start_at_once_cost_one_token(redis_server: RedisServer) -> None:
    with served_issuer() as kinde:
        app = kinde.add_app("reports")
        kinde.authorize(app, kinde.audience, ["read:users"])
        settings = {
            "KINDE_M2M_DOMAIN": kinde.url,
            "KINDE_M2M_CLIENT_ID": app.client_id,
            "KINDE_M2M_CLIENT_SECRET": app.client_secret,
            "KINDE_M2M_AUDIENCE": kinde.audience,
            "KINDE_M2M_SHARED_URL": redis_server.url,
        }
        *tokens, statuses = run(EIGHT.format(patience=LONG), **settings).splitlines()
        assert statuses == str([0] * 8)
        assert len(tokens) == 8
        assert len(set(tokens)) == 1
        assert tokens[0].count(".") == 2
        assert kinde.token_requests == 1


def test_who_comes_while_it_is_fetched_waits_for_it(fleet: Fleet) -> None:
    fleet.kinde.open.clear()
    one, other = fleet.process(), fleet.process()
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(one.token)
        assert fleet.kinde.arrived.wait(LONG)
        assert 800 < fleet.redis.ttl(fleet.key("turn:0")) <= 1_000
        second = pool.submit(other.token)
        looks = fleet.redis.info("commandstats")["cmdstat_mget"]["calls"]
        until(lambda: fleet.redis.info("commandstats")["cmdstat_mget"]["calls"] > looks + 3)
        fleet.kinde.open.set()
        assert [first.result(LONG), second.result(LONG)] == ["token-1", "token-1"]
    assert fleet.fetched == 1
    assert fleet.redis.keys("*turn*") == []


def test_if_it_comes_to_nothing_nobody_waits_any_longer(fleet: Fleet) -> None:
    fleet.kinde.answers += [(503, {}, b"")]
    fleet.kinde.open.clear()
    one, other = fleet.process(), fleet.process()
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(one.token)
        assert fleet.kinde.arrived.wait(LONG)
        second = pool.submit(other.token)
        looks = fleet.redis.info("commandstats")["cmdstat_mget"]["calls"]
        until(lambda: fleet.redis.info("commandstats")["cmdstat_mget"]["calls"] > looks + 3)
        fleet.kinde.open.set()
        assert second.result(LONG) == "token-2"
        with pytest.raises(TokenEndpointUnavailable):
            first.result(LONG)


def test_a_turn_outlasts_any_fetch() -> None:
    """With all that is asked of Redis before and after."""
    assert AS_SHIPPED > TOTAL_TIMEOUT + 1


def taken_turns(fleet: Fleet, *turns: int) -> dict[str, str]:
    """Somebody has them who says nothing more; what then stands in Redis."""
    fleet.process().token()
    keys = {fleet.key(f"turn:{turn}"): "somebody" for turn in turns}
    fleet.redis.delete(fleet.key("token"))
    for key, owner in keys.items():
        fleet.redis.set(key, owner)
    return keys


@pytest.mark.parametrize("turns", [[0], [0, 1], [0, 1, 2]], ids=str)
def test_who_was_killed_holds_nobody_up(fleet: Fleet, monkeypatch: pytest.MonkeyPatch, turns: list[int]) -> None:
    """And nobody ends the turn of another."""
    monkeypatch.setattr(shared, "PAUSES", (0.001,) * 5)
    keys = taken_turns(fleet, *turns)
    assert fleet.process().token() == "token-2"
    assert {key: fleet.redis.get(key) for key in fleet.redis.keys("*turn*")} == keys
    assert fleet.process().token() == "token-2"


def test_whose_turn_was_over_ends_nobody_else_s(fleet: Fleet) -> None:
    """He was frozen, say, and somebody else began one meanwhile."""
    fleet.kinde.open.clear()
    with ThreadPoolExecutor(1) as pool:
        token = pool.submit(fleet.process().token)
        assert fleet.kinde.arrived.wait(LONG)
        fleet.redis.set(fleet.key("turn:0"), "somebody")
        fleet.kinde.open.set()
        assert token.result(LONG) == "token-1"
    assert fleet.redis.get(fleet.key("turn:0")) == "somebody"


def test_the_next_turn_is_one_s_alone(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of those who wait for somebody who was killed one fetches, and not all."""
    taken_turns(fleet, 0)
    waited = threading.local()  # each process asks in a thread of its own
    fleet.kinde.open.clear()
    fleet.kinde.arrived.clear()

    class FirstShort(tuple[float, ...]):
        """In the first turn nobody waits for long, and in the next one as long as it takes."""

        def __iter__(self) -> Iterator[float]:
            first, waited.before = not hasattr(waited, "before"), True
            return iter((0.001,) * 5 if first else PATIENT)

    monkeypatch.setattr(shared, "PAUSES", FirstShort())
    with ThreadPoolExecutor(4) as pool:
        tokens = [pool.submit(fleet.process().token) for _ in range(4)]
        assert fleet.kinde.arrived.wait(LONG)
        fleet.kinde.open.set()
        assert {token.result(LONG) for token in tokens} == {"token-2"}


def test_a_child_forked_in_the_middle_of_a_turn_gets_its_own(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared, "PAUSES", (0.01,) * 3)
    fleet.kinde.open.clear()
    process = fleet.process()
    with ThreadPoolExecutor(1) as pool:
        parent = pool.submit(process.token)
        assert fleet.kinde.arrived.wait(LONG)
        reader, writer = os.pipe()
        child = fork()
        if child == 0:
            try:
                fleet.kinde.open = threading.Event()
                fleet.kinde.open.set()
                os.write(writer, process.token().encode())
            finally:
                os._exit(0)
        os.close(writer)
        with os.fdopen(reader) as pipe:
            assert pipe.read() == "token-2"
        os.waitpid(child, 0)
        fleet.kinde.open.set()
        assert parent.result(LONG) == "token-1"


def test_refreshed_by_one_behind_all(fleet: Fleet) -> None:
    wall = [1e9]
    one, other = fleet.process(wall=lambda: wall[0]), fleet.process(wall=lambda: wall[0])
    assert [one.token(), other.token()] == ["token-1", "token-1"]
    fleet.clock.now += DAY - 299
    wall[0] += DAY - 299
    for process in (one, other):
        assert process.token() == "token-1"
        settle(process)
    assert [one.token(), other.token()] == ["token-2", "token-2"]
    assert fleet.fetched == 2


@pytest.mark.parametrize("off", [0, -600, 600], ids="{} s off".format)
def test_whoever_reads_it_looks_at_its_end(fleet: Fleet, off: int) -> None:
    """Redis may keep it for longer. A clock that is behind takes it for new, at most for as long as it is."""
    fleet.kinde.answers += [issued(1, expires_in=3600)]
    assert fleet.process(wall=lambda: 1e9).token() == "token-1"
    fleet.redis.persist(fleet.key("token"))
    assert fleet.process(wall=lambda: 1e9 + 3000 + off).token() == ("token-1" if off <= 0 else "token-2")
    fleet.redis.persist(fleet.key("token"))
    assert fleet.process(wall=lambda: 1e9 + 2 * DAY).token() == f"token-{fleet.fetched}"


def test_it_is_kept_for_as_long_as_it_lives(fleet: Fleet) -> None:
    fleet.process().token()
    assert DAY - 60 < fleet.redis.ttl(fleet.key("token")) <= DAY


# Sealed


def everything(client: redis.Redis) -> str:
    """All that a reader of Redis can see, decoded as often as that may help."""
    values = {key: str(client.get(key)) for key in client.scan_iter()}
    found = "".join(f"{key} {value} " for key, value in values.items())
    raw = b"".join(base64.b64decode(value) for value in values.values())
    return found + raw.decode("latin-1")


def test_who_reads_redis_reads_nothing(fleet: Fleet) -> None:
    process = fleet.process(scopes="read:users")
    process.token()
    process.forget()
    process.token()
    seen = everything(fleet.redis)
    for word in ("token-", SECRET, APP["client_id"], "acme", "read:users", "since"):
        assert word not in seen
    assert len(fleet.redis.keys()) == 2


@pytest.mark.parametrize(
    "difference",
    [
        {"audience": "https://admin.acme.com"},
        {"scopes": "read:users"},
        {"client_id": "another"},
        {"domain": "other.kinde.com"},
        {"client_secret": "another"},
    ],
    ids=lambda difference: next(iter(difference)),
)
def test_what_differs_shares_nothing(fleet: Fleet, difference: dict[str, str]) -> None:
    """Nor does it if somebody who may write to Redis puts one's token where the other's belongs."""
    assert fleet.process().token() == "token-1"
    mine = fleet.key("token")
    assert fleet.process(**difference).token() == "token-2"
    (theirs,) = set(fleet.redis.keys("*token")) - {mine}
    fleet.redis.set(theirs, str(fleet.redis.get(mine)))
    assert fleet.process(**difference).token() == "token-3"


def test_the_order_of_words_makes_no_difference(fleet: Fleet) -> None:
    tokens = {fleet.process(audience=["a", "b"], scopes=scopes).token() for scopes in ("c d", "d c")}
    assert tokens == {"token-1"}


def test_a_secret_that_is_rotated_has_two_halves_that_leave_one_another_alone(fleet: Fleet) -> None:
    old, new = fleet.process(), fleet.process(client_secret="rotated")
    for process in (old, new, old, new):
        process.token()
        process.forget()
        process.token()
    assert fleet.fetched == 6  # two to begin with, and one for each time that one was forgotten


BROKEN: dict[str, Callable[[Fleet], Any]] = {
    "nothing": lambda fleet: fleet.redis.set(fleet.key("token"), ""),
    "no base64": lambda fleet: fleet.redis.set(fleet.key("token"), "{}"),
    "no UTF-8": lambda fleet: fleet.redis.set(fleet.key("token"), b"\xff\xfe\x00"),
    "short": lambda fleet: fleet.redis.set(fleet.key("token"), "AAAA"),
    "foreign": lambda fleet: fleet.redis.set(fleet.key("token"), base64.b64encode(bytes(100))),
    "cut": lambda fleet: fleet.redis.setrange(fleet.key("token"), 30, "A" * 8),
    "a list": lambda fleet: (fleet.redis.delete(fleet.key("token")), fleet.redis.lpush(fleet.key("token"), "x")),
    "a mark": lambda fleet: fleet.redis.copy(fleet.key("mark"), fleet.key("token"), replace=True),
}


@pytest.mark.parametrize("texts", [False, True], ids=["bytes", "texts"])
@pytest.mark.parametrize("broken", BROKEN)
def test_what_cannot_be_used_is_as_good_as_none(
    fleet: Fleet, ready: Callable[..., redis.Redis], broken: str, texts: bool
) -> None:
    """It is replaced, whatever kind of answers the client gives."""
    client = ready(decode_responses=texts)
    fleet.process().forget()
    assert fleet.process().token() == "token-1"
    BROKEN[broken](fleet)
    assert fleet.process(shared=client).token() == "token-2"
    assert fleet.process(shared=client).token() == "token-2"


# Refused by the API


def test_a_token_that_is_refused_everywhere_is_replaced_once(fleet: Fleet) -> None:
    one, other = fleet.process(), fleet.process()
    assert fleet.ask(one, 200) == fleet.ask(other, 200) == (200, ["token-1"])
    fleet.clock.now += 61
    assert fleet.ask(one, 401, 200) == (200, ["token-1", "token-2"])
    assert fleet.ask(other, 401, 200) == (200, ["token-1", "token-2"])
    assert fleet.fetched == 2


def test_no_token_is_replaced_twice_within_a_minute(fleet: Fleet) -> None:
    """By Redis's clock, whatever those of the processes say."""
    one, other = fleet.process(), fleet.process()
    fleet.ask(one, 200)
    fleet.ask(other, 200)
    fleet.clock.now += 61
    fleet.ask(one, 401, 200)
    fleet.clock.now += 121
    writes = fleet.redis.info("commandstats")["cmdstat_set"]["calls"]
    assert fleet.ask(one, 401, 200) == (401, ["token-2"])
    assert fleet.redis.info("commandstats")["cmdstat_set"]["calls"] == writes, "nobody takes a turn for nothing"
    assert fleet.ask(other, 401, 200) == (200, ["token-1", "token-2"])
    assert fleet.fetched == 2
    assert 0 < fleet.redis.ttl(fleet.key("replaced")) <= 60

    fleet.redis.delete(fleet.key("replaced"))  # as it does by itself
    assert fleet.ask(one, 401, 200) == (200, ["token-2", "token-3"])


def test_many_that_are_refused_at_once_cost_one(fleet: Fleet) -> None:
    processes = [fleet.process() for _ in range(6)]
    for process in processes:
        process.token()
    fleet.clock.now += 61
    with ThreadPoolExecutor(6) as pool:
        outcomes = list(pool.map(lambda process: fleet.ask(process, 401, 200), processes))
    assert outcomes == [(200, ["token-1", "token-2"])] * 6
    assert fleet.fetched == 2


def test_where_kinde_fails_the_next_one_may_try(fleet: Fleet) -> None:
    one = fleet.process()
    fleet.ask(one, 200)
    fleet.clock.now += 61
    fleet.kinde.answers += [refusal("too_many_requests", 429)]
    assert fleet.ask(one, 401, 200) == (401, ["token-1"])
    assert fleet.redis.keys("*replaced") == []
    assert fleet.ask(fleet.process(), 200) == (200, ["token-1"])


def test_a_token_that_was_billed_and_is_of_no_use_is_one_of_a_minute(fleet: Fleet) -> None:
    one = fleet.process()
    fleet.ask(one, 200)
    fleet.clock.now += 61
    fleet.kinde.answers += [issued(2, expires_in=0)]
    assert fleet.ask(one, 401, 200) == (401, ["token-1"])
    assert fleet.redis.exists(fleet.key("replaced"))


class Meddling(redis.Redis):
    """Somebody else does something in the moment before a key of this name is set."""

    when = "never"
    meddle: Any = None

    def set(self, name: Any, *args: Any, **kwargs: Any) -> Any:
        if str(name).endswith(self.when):
            self.when = "never"
            self.meddle()
        return super().set(name, *args, **kwargs)


def test_what_has_come_in_the_moment_before_its_turn_is_used(fleet: Fleet, ready: Callable[..., Meddling]) -> None:
    client = ready(Meddling)
    client.when, client.meddle = "turn:0", lambda: fleet.process().token()
    assert fleet.process(shared=client).token() == "token-1"
    assert fleet.fetched == 1


def test_what_somebody_has_replaced_in_the_moment_before_is_not_replaced(
    fleet: Fleet, ready: Callable[..., Meddling]
) -> None:
    """And has no other to show for it, as Kinde failed."""
    client = ready(Meddling)
    client.when, client.meddle = "replaced", lambda: fleet.redis.set(fleet.key("replaced"), "somebody")
    one = fleet.process(shared=client)
    fleet.ask(one, 200)
    fleet.clock.now += 61
    assert fleet.ask(one, 401, 200) == (401, ["token-1"])
    assert fleet.fetched == 1
    assert fleet.redis.get(fleet.key("replaced")) == "somebody"


# To be forgotten


def looked(fleet: Fleet, process: ClientCredentials) -> str:
    """Five seconds later, the token of the second request: behind the first it is looked what the others have."""
    fleet.clock.now += 5
    process.token()
    assert process.holder._shared is not None
    until(lambda: process.holder._shared is not None and process.holder._shared._looks.under_way is None)
    settle(process)
    return process.token()


def test_forgotten_by_all(fleet: Fleet) -> None:
    one, other, third = fleet.process(), fleet.process(), fleet.process()
    assert [one.token(), other.token(), third.token()] == ["token-1"] * 3
    one.forget()
    assert one.token() == "token-2"
    assert [looked(fleet, other), looked(fleet, third)] == ["token-2"] * 2
    assert fleet.process().token() == "token-2"
    assert fleet.fetched == 2


def test_forgotten_by_a_process_that_has_none(fleet: Fleet) -> None:
    """As a command does it that ends at once."""
    one = fleet.process()
    assert one.token() == "token-1"
    fleet.process().forget()
    assert looked(fleet, one) == "token-2"


def test_nobody_looks_before_five_seconds_are_over(fleet: Fleet) -> None:
    one = fleet.process()
    one.token()
    looks = fleet.redis.info("commandstats")["cmdstat_mget"]["calls"]
    fleet.clock.now += 4.9
    for _ in range(100):
        assert one.token() == "token-1"
    assert one.holder._shared is not None
    assert one.holder._shared._looks.under_way is None
    assert fleet.redis.info("commandstats")["cmdstat_mget"]["calls"] == looks


@pytest.mark.parametrize("by", ["itself", "another"])
def test_what_was_asked_for_before_it_was_forgotten_is_nobody_else_s(fleet: Fleet, by: str) -> None:
    """It may come with the rights of before."""
    fleet.kinde.open.clear()
    process = fleet.process()
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(process.token)
        assert fleet.kinde.arrived.wait(LONG)
        (process if by == "itself" else fleet.process()).forget()
        fleet.kinde.open.set()
        assert first.result(LONG) == "token-1"
    assert fleet.process().token() == "token-2"


def test_all_that_forget_at_once_cost_one_token(fleet: Fleet) -> None:
    processes = [fleet.process() for _ in range(8)]
    for process in processes:
        process.token()
    for process in processes:
        process.forget()
    assert {process.token() for process in processes} == {"token-2"}


def test_a_redis_that_has_lost_everything_makes_nobody_forget(fleet: Fleet) -> None:
    one = fleet.process()
    one.forget()
    assert one.token() == "token-1"
    fleet.redis.flushall()
    assert looked(fleet, one) == "token-1"
    assert fleet.process().token() == "token-2"
    assert fleet.process().token() == "token-2"


def test_the_mark_alone_is_lost(fleet: Fleet) -> None:
    """What is left carries it on."""
    one = fleet.process()
    one.forget()
    assert one.token() == "token-1"
    fleet.redis.delete(fleet.key("mark"))
    assert [fleet.process().token(), looked(fleet, one)] == ["token-1", "token-1"]


class HeldUp(redis.Redis):
    """What it has read, it hands out only when it is let go."""

    armed = False
    has_read: threading.Event
    go_on: threading.Event

    def mget(self, *args: Any, **kwargs: Any) -> Any:
        found = super().mget(*args, **kwargs)
        if self.armed:
            self.armed = False
            self.has_read.set()
            assert self.go_on.wait(LONG)
        return found


def test_forgotten_while_it_is_looked_what_the_others_have(
    fleet: Fleet, ready: Callable[..., HeldUp], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mark that was read before is none to be told of."""
    fleet.process().forget()
    client = ready(HeldUp)
    client.has_read, client.go_on = threading.Event(), threading.Event()
    one, other = fleet.process(shared=client), fleet.process()
    assert [one.token(), other.token()] == ["token-1", "token-1"]
    client.armed = True
    fleet.clock.now += 5
    one.token()
    assert client.has_read.wait(LONG)
    token = one.holder._shared
    assert token is not None
    tell = token._store.tell

    def told_late() -> None:
        client.go_on.set()
        until(lambda: token._looks.under_way is None)
        tell()

    monkeypatch.setattr(token._store, "tell", told_late)
    one.forget()
    assert looked(fleet, other) == "token-2"


def test_forgotten_again_while_it_is_told(fleet: Fleet, ready: Callable[..., Meddling]) -> None:
    client = ready(Meddling)
    one, other = fleet.process(shared=client), fleet.process()
    assert [one.token(), other.token()] == ["token-1", "token-1"]
    client.when, client.meddle = "mark", one.forget
    one.forget()
    assert looked(fleet, other) == "token-2"
    assert one.token() == "token-2"


def test_what_has_been_told_is_not_told_again(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody who looks may be first."""
    one = fleet.process()
    one.token()
    token = one.holder._shared
    assert token is not None
    tell = token._store.tell
    monkeypatch.setattr(token._store, "tell", lambda: (tell(), tell()))
    writes = fleet.redis.info("commandstats")["cmdstat_set"]["calls"]
    one.forget()
    assert fleet.redis.info("commandstats")["cmdstat_set"]["calls"] == writes + 1


def test_told_later_where_redis_was_away(fleet: Fleet, redis_server: RedisServer) -> None:
    """What has been fetched in the meantime is not forgotten as well."""
    one = fleet.process()
    one.token()
    redis_server.kill()
    one.forget()
    assert one.token() == "token-2"
    redis_server.start()
    assert looked(fleet, one) == "token-2"
    assert fleet.redis.exists(fleet.key("mark"))
    assert fleet.fetched == 2


def test_a_later_token_is_taken_over(fleet: Fleet) -> None:
    """Two processes got one each, as Redis was away; they come together again."""
    wall = [1e9]
    one = fleet.process(wall=lambda: wall[0])
    one.token()
    fleet.redis.delete(fleet.key("token"))
    wall[0] += 10
    assert fleet.process(wall=lambda: wall[0]).token() == "token-2"
    assert looked(fleet, one) == "token-2"


# Redis is away


def refuses_connections(server: RedisServer) -> None:
    server.kill()


def hangs(server: RedisServer) -> None:
    server.hang()


def is_full(server: RedisServer) -> None:
    with server.client() as admin:
        admin.config_set("maxmemory", "1")


def is_a_replica(server: RedisServer) -> None:
    with server.client() as admin:
        admin.replicaof("127.0.0.1", "1")


def may_do_nothing(server: RedisServer) -> None:
    with server.client() as admin:
        admin.acl_setuser("default", enabled=True, commands=["-@all", "+acl"])


@pytest.mark.parametrize("trouble", [refuses_connections, hangs, is_full, is_a_replica, may_do_nothing])
@pytest.mark.parametrize("own", [False, True], ids=["URL", "client without time-outs"])
def test_where_redis_is_away_all_is_as_if_there_were_none(
    redis_server: RedisServer,
    ready: Callable[..., redis.Redis],
    trouble: Callable[[RedisServer], None],
    own: bool,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It is said once; and what hangs is not asked again and again."""
    caplog.set_level(logging.INFO, "kinde_guard")
    kinde, clock = Kinde(), Clock()
    where: Any = ready(socket_timeout=None) if own else redis_server.url
    monkeypatch.setattr(shared_store, "CALL_TIMEOUT", 0.2)
    one, other = (credentials(kinde, clock, shared=where) for _ in range(2))
    trouble(redis_server)
    assert [one.token(), other.token()] == ["token-1", "token-2"]
    for number in range(3, 6):
        one.forget()
        assert one.token() == f"token-{number}"
    said = [record.getMessage() for record in caplog.records if "each process" in record.getMessage()]
    assert len(said) == 2  # one of each
    assert "is not shared for now" in said[0]


class Slow(redis.Redis):
    """Answers in time, and each time late."""

    calls = 0

    def execute_command(self, *args: Any, **options: Any) -> Any:
        self.calls += 1
        time.sleep(0.3)
        return super().execute_command(*args, **options)  # type: ignore[no-untyped-call]


def test_a_redis_that_is_slow_is_away_as_well(
    ready: Callable[..., Slow], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """All that is asked of it for one fetch has a bound, and not each question."""
    monkeypatch.setattr(shared_store, "CALL_TIMEOUT", 0.5)
    client = ready(Slow)
    assert credentials(shared=client).token() == "token-1"
    assert client.calls <= 2
    assert "no answer within 0." in caplog.text


def test_it_goes_away_and_comes_back(fleet: Fleet, redis_server: RedisServer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "kinde_guard")
    one, other = fleet.process(), fleet.process()
    assert [one.token(), other.token()] == ["token-1", "token-1"]
    redis_server.kill()
    assert [looked(fleet, one), looked(fleet, other)] == ["token-1", "token-1"]
    assert "is shared again" not in caplog.text
    redis_server.start()
    looked(fleet, one)
    assert "is shared again" in caplog.text
    assert [fleet.process().token(), fleet.process().token()] == ["token-2", "token-2"]


def test_a_connection_that_was_closed_meanwhile_is_made_anew(
    fleet: Fleet, redis_server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    one = fleet.process()
    one.token()
    for connection in fleet.redis.client_list(_type="normal"):
        if connection["cmd"] != "client|list":
            fleet.redis.client_kill_filter(_id=connection["id"])
    looked(fleet, one)
    assert "not shared" not in caplog.text


def test_a_token_is_used_though_it_can_be_told_nobody(fleet: Fleet, redis_server: RedisServer) -> None:
    """Redis dies while it is fetched."""
    fleet.kinde.open.clear()
    with ThreadPoolExecutor(1) as pool:
        token = pool.submit(fleet.process().token)
        assert fleet.kinde.arrived.wait(LONG)
        redis_server.kill()
        fleet.kinde.open.set()
        assert token.result(LONG) == "token-1"
    assert fleet.fetched == 1


@pytest.mark.anyio
async def test_no_event_loop_waits_for_redis(redis_server: RedisServer) -> None:
    """While Redis hangs, the loop goes on: it is the loop that has it go on."""
    auth = credentials(shared=redis_server.url)

    async def go_on() -> None:
        for _ in range(3):
            await anyio.sleep(0.01)
        redis_server.resume()

    for ask, answer in ((auth.atoken, "token-1"), (auth.aforget, None), (auth.atoken, "token-2")):
        redis_server.hang()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(go_on)
            assert await ask() == answer


@pytest.mark.anyio
async def test_forgotten_by_all_from_a_loop(fleet: Fleet) -> None:
    one, other = fleet.process(), fleet.process()
    assert [await one.atoken(), await other.atoken()] == ["token-1", "token-1"]
    await one.aforget()
    assert await one.atoken() == "token-2"
    assert await anyio.to_thread.run_sync(looked, fleet, other) == "token-2"


@pytest.mark.anyio
async def test_alone_there_is_nothing_to_tell() -> None:
    auth = credentials()
    assert await auth.atoken() == "token-1"
    await auth.aforget()
    assert await auth.atoken() == "token-2"


# Other servers and clients


def test_a_cluster(tmp_path: Path) -> None:
    """What is asked for at once is in one place of it."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        bus = str(free.getsockname()[1])
    with running_redis(tmp_path / "redis", "--cluster-enabled", "yes", "--cluster-port", bus) as server:
        with server.client() as admin:
            admin.cluster("addslots", *range(16384))
            until(lambda: admin.cluster("info")["cluster_state"] == "ok")
        kinde = Kinde()
        with redis.RedisCluster(host="127.0.0.1", port=server.port) as cluster:
            one, other = (credentials(kinde, shared=cluster) for _ in range(2))
            assert [one.token(), other.token()] == ["token-1", "token-1"]
            one.forget()
            assert one.token() == "token-2"


# What is seen of it


def test_no_secret_no_token_and_no_password_is_shown(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """With every logger at DEBUG, where it works and where it does not."""
    caplog.set_level(logging.DEBUG)
    with running_redis(tmp_path / "redis") as server:
        with server.client() as admin:
            admin.config_set("requirepass", "geheim")
        good, bad = (f"redis://:{word}@127.0.0.1:{server.port}/0" for word in ("geheim", "gehiem"))
        processes = [credentials(shared=where) for where in (good, bad)]
        for process in processes:
            process.token()
            process.forget()
            process.token()
    assert "WRONGPASS" in caplog.text or "invalid username-password" in caplog.text
    shown = caplog.text + "".join(repr(process) + repr(process.holder._shared) for process in processes)
    for word in ("geheim", "gehiem", SECRET, "token-1", "token-2"):
        assert word not in shown


def test_a_server_that_repeats_what_it_is_sent_has_no_password_shown(caplog: pytest.LogCaptureFixture) -> None:
    """A Redis whose AUTH has another name does: "unknown command 'AUTH', with args beginning with: …"."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(1000)
                    connection.sendall(b"-ERR unknown command 'AUTH', with args beginning with: 'geheim'\r\n" * 3)

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        assert credentials(shared=f"redis://:geheim@127.0.0.1:{listening.getsockname()[1]}").token() == "token-1"
        listening.shutdown(socket.SHUT_RDWR)
        thread.join(LONG)
    assert "unknown command" in caplog.text
    assert "geheim" not in caplog.text


class Failing(redis.CredentialProvider):
    def get_credentials(self) -> tuple[str]:
        raise LookupError("no geheim here")


def test_an_exception_that_nobody_foresaw_is_shown_by_its_name(
    ready: Callable[..., redis.Redis], caplog: pytest.LogCaptureFixture
) -> None:
    assert credentials(shared=ready(credential_provider=Failing())).token() == "token-1"
    assert "Redis: LookupError" in caplog.text
    assert "geheim" not in caplog.text


@pytest.mark.parametrize(
    "where",
    [
        "",
        "redis://",
        "redis:///0",
        "127.0.0.1:6379",
        "http://127.0.0.1:6379",
        "redis://:ge/heim@127.0.0.1:6379",
        "redis://:geheim@127.0.0.1:99999",
        "redis://:geheim@127.0.0.1:6379/x",
        "redis://:geheim@127.0.0.1:6379/0?socket_timeout=geheim",
        "redis://:geheim@127.0.0.1:6379 # prod",
        '"redis://:geheim@127.0.0.1:6379"',
        "${REDIS_URL}",
        "redis://<host>:6379",
        "unix://",
        redis.asyncio.Redis(),
        redis.Redis,
        object(),
        True,
        6379,
    ],
    ids=lambda where: where if isinstance(where, str) else type(where).__name__,
)
def test_what_is_no_redis_is_an_error_at_once(where: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"^shared ") as raised:
        credentials(shared=where)
    assert "geheim" not in str(raised.value)
    assert raised.value.__cause__ is None


def test_from_the_environment(fleet: Fleet, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KINDE_M2M_SHARED_URL", redis_server.url)
    assert [fleet.process(shared=None).token() for _ in range(2)] == ["token-1", "token-1"]
    assert fleet.process(shared=False).token() == "token-2"
    monkeypatch.setenv("KINDE_M2M_SHARED_URL", "redis")
    with pytest.raises(ConfigurationError, match=r"^KINDE_M2M_SHARED_URL must be a URL"):
        credentials()


def run(script: str, **environment: str) -> str:
    command = [sys.executable, "-W", "error", "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LONG, env={**os.environ, **environment})
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_redis_is_loaded_where_it_is_used() -> None:
    script = f"""
import sys
from kinde_guard.m2m import ClientCredentials
ClientCredentials("acme.kinde.com", **{APP!r}, shared=False)
print("redis" in sys.modules, "kinde_guard.m2m.shared" in sys.modules)
"""
    assert run(script) == "False False"


def test_without_redis_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "redis", None)
    with pytest.raises(ConfigurationError, match=r"^shared needs redis: pip install 'kinde-guard\[redis\]'$"):
        credentials(shared="redis://localhost")


def test_sharing_imports_nothing_in_its_threads(redis_server: RedisServer) -> None:
    """A process that forks while a thread imports leaves the child waiting for ever."""
    with served_issuer() as kinde:
        app = kinde.add_app("reports")
        kinde.authorize(app, kinde.audience, ["read:users"])
        words = {"client_id": app.client_id, "client_secret": app.client_secret, "audience": kinde.audience}
        script = f"""
import sys
from kinde_guard.m2m import ClientCredentials
auth = ClientCredentials({kinde.url!r}, **{words!r}, shared={redis_server.url!r})
before = set(sys.modules)
assert auth.token()
auth.forget()
assert auth.token()
print(sorted(set(sys.modules) - before))
"""
        assert run(script) == "[]"
