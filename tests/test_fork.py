"""A guard in a forked child, as gunicorn makes them: before any request, or in the middle of one.

The child has none of its parent's threads, and must not wait for them.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import shutil
import signal
import ssl
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio
from faults import Behaviour, Exchange, Server, answering, tls_contexts
from helpers import AUDIENCE, NOW, Time, fork, jwk, key_set, mint
from waiting import LONG, in_thread

from kinde_guard import Guard, InvalidToken, KeysUnavailable
from kinde_guard.asgi import Attached
from kinde_guard.errors import MissingToken
from kinde_guard.net import forks
from kinde_guard.net.clocks import Clocks
from kinde_guard.tokens.cache import Entry, TokenCache
from kinde_guard.web import asgi_scope

FORKS = 15

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")


def in_child(function: Callable[[], object]) -> Any:
    """What *function* returns in a forked child, by way of JSON."""
    reader, writer = os.pipe()
    child = fork()
    if child == 0:
        _answer(writer, function)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        said = pipe.read()
    _, status = os.waitpid(child, 0)
    assert status == 0, said
    return json.loads(said)


def _answer(writer: int, function: Callable[[], object]) -> None:
    status = 1
    try:
        signal.alarm(int(LONG))  # whatever happens, the child ends
        said = json.dumps(function())
        status = 0
    except BaseException:
        said = traceback.format_exc()
    finally:
        os.write(writer, said.encode())
        os._exit(status)


def guard_of(server: Server, **settings: Any) -> Guard:
    return Guard(server.url, audience=AUDIENCE, variables=(), **{"clocks": Time().clocks, **settings})


def token(server: Server, kid: str = "a", number: int = 0) -> str:
    return mint({"iss": server.url, "jti": str(number)}, {"kid": kid})


def published(*kids: str) -> Behaviour:
    return answering(key_set(*(jwk({"kid": kid}) for kid in kids)))


def verdict(guard: Guard, raw: str, world: str = "thread") -> str:
    try:
        if world == "thread":
            guard.verify(raw)
        elif world == "asyncio":
            asyncio.run(guard.averify(raw))
        else:
            trio.run(guard.averify, raw)
    except InvalidToken as refusal:
        return refusal.reason
    except KeysUnavailable:
        return "cannot tell"
    return "accepted"


class Hanging:
    """Hangs in its first exchange until *free* is set; goes on with *behave*."""

    def __init__(self, behave: Behaviour) -> None:
        self.free = threading.Event()
        self._first = True
        self._behave = behave

    def __call__(self, exchange: Exchange) -> None:
        first, self._first = self._first, False
        assert not first or self.free.wait(LONG)
        self._behave(exchange)


def verified_in_child(guard: Guard, raw: str, world: str = "thread") -> str:
    """The verdict of a child. To one that waits for a fetch of its parent's, which never lands there, it is
    "cannot tell" or "unknown_key"."""
    return str(in_child(lambda: verdict(guard, raw, world)))


def test_a_guard_that_was_made_before_thefork() -> None:
    """gunicorn --preload: each child fetches once, for itself; and so does the parent."""
    with Server(published("a")) as server:
        guard, raw = guard_of(server), token(server)
        assert [verified_in_child(guard, raw) for _ in range(2)] == ["accepted"] * 2
        assert verdict(guard, raw) == "accepted"
        assert len(server.requests) == 3


def test_keys_that_were_loaded_before_thefork() -> None:
    """Warmed in the parent: the children have them."""
    with Server(published("a")) as server:
        guard = guard_of(server)
        guard.warm()
        assert [verified_in_child(guard, token(server, number=number)) for number in range(2)] == ["accepted"] * 2
        assert len(server.requests) == 1


@pytest.mark.parametrize("world", ["thread", "asyncio", "trio"])
def test_a_fork_in_the_middle_of_the_first_fetch(world: str) -> None:
    """The child makes its own, and does not wait for its parent's; which goes on."""
    hanging = Hanging(published("a"))
    with Server(hanging) as server:
        guard, raw, said = guard_of(server), token(server), []
        waiter = in_thread(lambda: said.append(verdict(guard, raw)))
        assert server.asked.wait(LONG)
        assert verified_in_child(guard, raw, world) == "accepted"
        assert waiter.is_alive()
        hanging.free.set()
        waiter.join(LONG)
        assert said == ["accepted"]
        assert len(server.requests) == 2


def test_a_fork_in_the_middle_of_a_fetch_for_an_unknown_kid() -> None:
    """The cool-down belongs to the fetch, and the child does not have that: a new key is fetched at once."""
    with Server(published("a")) as server:
        guard = guard_of(server)
        guard.warm()
        server.behave, server.asked = (hanging := Hanging(published("a", "b"))), threading.Event()
        stranger = in_thread(lambda: verdict(guard, token(server, "unknown")))
        assert server.asked.wait(LONG)
        assert verified_in_child(guard, token(server, "a")) == "accepted"
        assert len(server.requests) == 2
        assert verified_in_child(guard, token(server, "b")) == "accepted"
        assert len(server.requests) == 3
        hanging.free.set()
        stranger.join(LONG)


def test_a_fork_in_the_middle_of_a_refresh() -> None:
    """The child serves what it holds, and refreshes it by itself."""
    with Server(published("a")) as server:
        clock = Time()
        guard = guard_of(server, clocks=clock.clocks)
        guard.warm()
        server.behave, server.asked = (hanging := Hanging(published("a"))), threading.Event()
        clock.passes(600)
        assert verdict(guard, token(server)) == "accepted"
        assert server.asked.wait(LONG)

        def refreshed() -> list[str]:
            states = [guard.health()[server.url].state, verdict(guard, token(server))]
            end = time.monotonic() + LONG
            while guard.health()[server.url].state != "fresh" and time.monotonic() < end:
                time.sleep(0.01)
            return [*states, guard.health()[server.url].state]

        assert in_child(refreshed) == ["stale", "accepted", "fresh"]
        assert guard.health()[server.url].state == "stale"
        hanging.free.set()


def test_a_fork_while_a_set_is_landing() -> None:
    """Whatever the landing thread holds in that moment, the child does not wait for it."""
    clock, landing, free = Time(), threading.Event(), threading.Event()

    def monotonic() -> float:
        if threading.current_thread().name == "kinde_guard-call" and not free.is_set():
            landing.set()
            assert free.wait(LONG)
        return clock.monotonic

    with Server(published("a")) as server:
        guard = guard_of(server, clocks=Clocks(clock.clocks.wall, monotonic))
        raw = token(server)
        waiter = in_thread(lambda: verdict(guard, raw))
        assert landing.wait(LONG)

        def verify() -> str:
            free.set()  # the child's; the parent's stays as it is
            return verified_in_child(guard, raw)

        assert in_child(verify) == "accepted"
        free.set()
        waiter.join(LONG)
        assert len(server.requests) == 2


@pytest.mark.parametrize("kind", ["http", "https"])
def test_a_fork_with_a_transport_of_the_users(kind: str, tmp_path: Path) -> None:
    """Its pool holds no connection of ours that the child would share: both go on, in the middle of a fetch too."""
    tls = tls_contexts(tmp_path) if kind == "https" else (None, ssl.create_default_context())
    with Server(published("a"), tls[0]) as server, httpx.HTTPTransport(verify=tls[1]) as transport:
        guard = guard_of(server, transport=transport)
        guard.warm()
        assert verified_in_child(guard, token(server, "b")) == "unknown_key"
        assert verdict(guard, token(server, "b")) == "unknown_key"
        assert len(server.requests) == 3

        cold = guard_of(server, transport=transport)
        server.behave, server.asked = (hanging := Hanging(published("a"))), threading.Event()
        waiter = in_thread(lambda: verdict(cold, token(server)))
        assert server.asked.wait(LONG)
        assert verified_in_child(cold, token(server)) == "accepted"
        assert waiter.is_alive()
        hanging.free.set()
        waiter.join(LONG)
        assert len(server.requests) == 5


def test_forks_at_any_moment() -> None:
    """Of a parent whose threads verify, fetch and land all the time: each child makes a fetch of its own."""
    with Server(published("a")) as server:
        over = threading.Event()
        guard = guard_of(server, clocks=Clocks(wall=lambda: NOW), retry_after=0)
        guard.warm()

        # Signed beforehand: a lock of OpenSSL's around the private key would be left behind by a fork.
        strangers = [token(server, "unknown", number) for number in range(20)]

        def busy() -> None:
            for raw in itertools.cycle(strangers):
                verdict(guard, raw)
                if over.is_set():
                    return

        def fetched() -> list[object]:
            started = time.monotonic()
            said = verdict(guard, strangers[0])
            age = NOW - guard.health()[server.url].since
            return [said, age <= time.monotonic() - started]

        threads = [in_thread(busy) for _ in range(3)]
        interval = sys.getswitchinterval()
        sys.setswitchinterval(1e-4)
        try:
            assert [in_child(fetched) for _ in range(FORKS)] == [["unknown_key", True]] * FORKS
        finally:
            sys.setswitchinterval(interval)
            over.set()
            for thread in threads:
                thread.join(LONG)


# OpenSSL's locks: what the processes do is in forking.py


@pytest.fixture(scope="module")
def wide_locks(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Where the library is that has a lock be held for so long that a fork hits it."""
    compiler = shutil.which("cc")
    if compiler is None or not sys.platform.startswith("linux"):
        pytest.skip("needs a C compiler (cc) and Linux' dynamic linker")
    library = tmp_path_factory.mktemp("locks") / "wide.so"
    source = Path(__file__).with_name("wide_locks.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-o", str(library), str(source), "-ldl", "-lpthread"], check=True)
    return str(library)


def forked(folder: Path, case: str, count: int, behave: Behaviour, **environment: str) -> str:
    """What is said of *count* children, forked by a process that fetches over TLS all the time."""
    context, _ = tls_contexts(folder)
    with Server(behave, context) as server:
        done = subprocess.run(
            [sys.executable, "-W", "ignore", str(Path(__file__).with_name("forking.py")), server.url, case, str(count)],
            env={**os.environ, "SSL_CERT_FILE": str(folder / "certificate.pem"), **environment},
            capture_output=True,
            text=True,
            timeout=5 * LONG,
        )
    assert done.returncode == 0, done.stderr
    assert len(server.requests) >= count / 20  # meanwhile; how many more, is the machine's affair
    return done.stdout.strip()


def slowly(behave: Behaviour) -> Behaviour:
    def later(exchange: Exchange) -> None:
        time.sleep(0.02)
        behave(exchange)

    return later


@pytest.mark.parametrize(
    ("case", "wide", "behave"),
    [
        pytest.param("warm", "ending", published("a"), id="the thread that has fetched is still ending"),
        pytest.param("beside", "always", published("a"), id="in the middle of handshakes"),
        pytest.param("beside", "always", slowly(published("a")), id="in the middle of fetches"),
    ],
)
def test_no_child_freezes(case: str, wide: str, behave: Behaviour, wide_locks: str, tmp_path: Path) -> None:
    """Where it freezes it does so for good, with the interpreter's lock in its hand."""
    said = forked(tmp_path, case, 25, behave, LD_PRELOAD=wide_locks, WIDE_LOCKS=wide)
    assert json.loads(said) == {"frozen": 0, "of": 25}


def test_no_child_of_a_thousand_freezes(tmp_path: Path) -> None:
    """With two threads in handshakes all the time, and locks as they are."""
    assert json.loads(forked(tmp_path, "many", 1000, published("a"))) == {"frozen": 0, "of": 1000}


def test_a_thread_that_does_not_end_holds_a_fork_up_no_longer_than_is_bearable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forks, "PATIENCE", 0.01)
    staying, go = threading.Event(), threading.Event()

    def stay() -> None:
        forks.ending()
        staying.set()
        assert go.wait(LONG)

    thread = in_thread(stay)
    assert staying.wait(LONG)
    assert in_child(lambda: "forked") == "forked"
    assert not forks._ending
    go.set()
    thread.join(LONG)


def test_where_no_list_of_threads_is_nothing_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forks, "_TASKS", "/nowhere")
    forks.ending()
    assert not forks._ending


def test_a_fork_out_of_a_signal_handler_in_the_middle_of_a_step() -> None:
    """The lock is this very thread's: a fork does not wait for itself."""
    with forks.steady:
        assert in_child(lambda: "forked") == "forked"


def test_a_fork_waits_for_the_step_of_another_thread() -> None:
    steps: list[str] = []
    begun, go = threading.Event(), threading.Event()

    def step() -> None:
        with forks.steady:
            begun.set()
            assert go.wait(LONG)
            steps.append("taken")

    thread = in_thread(step)
    assert begun.wait(LONG)
    timer = threading.Timer(0.1, go.set)
    timer.start()
    assert in_child(lambda: steps) == ["taken"]
    thread.join(LONG)
    timer.join(LONG)


GEVENT = """
from gevent import monkey; monkey.patch_all()
import os, sys, time
import gevent
from kinde_guard import Guard
from kinde_guard.net import forks

def others():
    while True:
        gevent.sleep(0)
        assert not inside, "another greenlet ran in the middle of a fork"

inside = []
# Runs around ours, which came first.
os.register_at_fork(before=lambda: inside.append(1), after_in_parent=inside.clear, after_in_child=inside.clear)
gevent.spawn(others)
guard = Guard(sys.argv[1], audience="https://api.acme.com", variables=())
for _ in range(5):
    Guard(sys.argv[1], audience="https://api.acme.com", variables=()).warm()
    child = os.fork()
    if child == 0:
        Guard(sys.argv[1], audience="https://api.acme.com", variables=()).warm()
        os._exit(0)
    print(os.waitpid(child, 0)[1], len(forks._ending))
"""


def test_a_fork_under_gevent() -> None:
    """What ends there is a greenlet, in a thread that goes on; and no other greenlet runs in the middle of it."""
    with Server(published("a")) as server:
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", GEVENT, server.url], capture_output=True, text=True, timeout=LONG
        )
    assert (done.stdout.split(), done.stderr) == (["0", "0"] * 5, "")


# Our own locks


def test_a_fork_while_tokens_are_put_into_the_cache() -> None:
    """Three threads do nothing else; the child puts tokens as well."""
    with Server(published("a")) as server:
        over, guard = threading.Event(), guard_of(server, clocks=Clocks(wall=lambda: NOW), cache_size=8)
        guard.warm()
        fresh = [token(server, number=number) for number in range(40)]

        def busy(tokens: list[str]) -> None:
            for raw in itertools.cycle(tokens):
                assert verdict(guard, raw) == "accepted"
                if over.is_set():
                    return

        def verified() -> list[str]:
            return [verdict(guard, raw) for raw in fresh]

        threads = [in_thread(lambda part=fresh[number::3]: busy(part)) for number in range(3)]  # type: ignore[misc]
        interval = sys.getswitchinterval()
        sys.setswitchinterval(1e-5)
        try:
            assert [in_child(verified) for _ in range(36)] == [["accepted"] * 40] * 36
        finally:
            sys.setswitchinterval(interval)
            over.set()
            for thread in threads:
                thread.join(LONG)


def test_a_fork_while_the_cache_is_written() -> None:
    """The child's lock is its own, and so is its count."""
    cache = TokenCache(10)
    nothing: Any = None
    cache.put(b"a", Entry(nothing, nothing, nothing, None, (0.0, 1.0, 1.0), 1000))

    def put() -> int:
        cache.put(b"b", Entry(nothing, nothing, nothing, None, (0.0, 1.0, 1.0), 500))
        return cache.stats().bytes

    with cache._lock:
        cache._bytes = 7  # as in the middle of a change
        assert in_child(put) == 1500


def test_a_fork_while_a_guard_is_made() -> None:
    """By the first request, in another thread."""
    app = Attached(None, {"domain": "acme.kinde.com", "audience": AUDIENCE})

    def ready() -> str:
        return repr(app.ready())

    with asgi_scope._making.now:
        assert in_child(ready) == f"<Guard of https://acme.kinde.com for {AUDIENCE}>"


def test_a_fork_while_a_refusal_is_worded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Until Python 3.12 ``functools.cached_property`` has a lock, for all objects of the class at once."""
    wording, free = threading.Event(), threading.Event()
    said = MissingToken._header

    def slow(refusal: MissingToken) -> dict[str, str]:
        if threading.current_thread() is not threading.main_thread():
            wording.set()
            assert free.wait(LONG)
        return said(refusal)

    monkeypatch.setattr(MissingToken, "_header", slow)
    thread = in_thread(lambda: MissingToken().headers)
    assert wording.wait(LONG)
    assert in_child(lambda: MissingToken().headers["Cache-Control"]) == "no-store"
    free.set()
    thread.join(LONG)
