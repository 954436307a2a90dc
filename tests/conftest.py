"""No test reaches beyond this machine."""

from __future__ import annotations

import base64
import gc
import ipaddress
import os
import signal
import socket
import sys
import threading
import warnings
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers import M2M, Issuer, guard_of, mint
from hypothesis import HealthCheck, settings
from redis_server import RedisServer, running_redis
from servers import clean_environment
from waiting import LONG

from kinde_guard import Guard
from kinde_guard.keys import store
from kinde_guard.revocation.follower import Follower

# A busy machine is no defect: what inputs may cost is measured by the fuzzers, in CPU time.
settings.register_profile("kinde_guard", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("kinde_guard")

AS_SHIPPED = store.WAIT_UNKNOWN

# Where Python is told to keep no bytecode, each of the many processes that tests start would compile all it imports.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False


# What a shell runs behind it ignores Ctrl-C, and so would every process that a test starts and presses it for.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def nobody_follows_any_more(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What a test has had follow a Redis would look for it for ever, in the middle of the tests after it."""
    started: list[Follower] = []
    ensure = Follower.ensure

    def recorded(follower: Follower) -> None:
        ensure(follower)
        started.append(follower)

    monkeypatch.setattr(Follower, "ensure", recorded)
    yield
    for follower in started:
        follower.stop()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The real servers first: they take longest, and who is early keeps its tests. A process that took some of them
    from another would start all the servers once more."""
    items.sort(key=lambda item: item.path.name != "test_servers.py")


def pytest_collection_finish() -> None:
    """Thousands of tests are there to stay: no need to look through them again and again."""
    gc.collect()
    gc.freeze()


_told: list[BaseException] = []


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """What a fixture of a module failed with, pytest raises again for every test that wants it: one error, and for the
    others a word."""
    report = yield
    if call.when == "setup" and call.excinfo is not None and report.failed:
        if any(call.excinfo.value is told for told in _told):
            report.outcome = "skipped"
            report.longrepr = (str(item.path), item.location[1] or 0, "Skipped: a fixture of it has failed before")
        _told.append(call.excinfo.value)
    return report


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """One more than there are processors: many a test waits, for a server or a browser."""
    return len(os.sched_getaffinity(0)) + 1 if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1) + 1


@pytest.fixture(autouse=True)
def _calls_of_tests_before() -> None:
    """Tests find the threads of their calls by name; what a test before left waiting, in whatever order they run, is
    none of theirs."""
    for thread in threading.enumerate():
        if thread.name == "kinde_guard-call":
            thread.name = "kinde_guard-call of a test before"


@pytest.fixture(scope="session", autouse=True)
def _warned_as_by_later_pythons() -> Iterator[None]:
    """From 3.15 on, and in older ones that were patched, reading "+" or "/" as base64url is warned of (gh-125346); and
    warnings are errors here, as they are in many a project that uses ``kinde_guard.testing``."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(base64, "urlsafe_b64decode", _warning_of_base64(base64.urlsafe_b64decode))
        yield


def _warning_of_base64(decode: Callable[[str | bytes], bytes]) -> Callable[[str | bytes], bytes]:
    def urlsafe_b64decode(text: str | bytes) -> bytes:
        if set(text.decode() if isinstance(text, bytes) else text) & set("+/"):
            warnings.warn("invalid character in base64 data", FutureWarning, stacklevel=2)
        return decode(text)

    return urlsafe_b64decode


@pytest.fixture(scope="module", autouse=True)
def _patient_callers(request: pytest.FixtureRequest) -> Iterator[None]:
    """Callers wait a second for a key that is not held, which on a busy machine may be too little for a fetch: here
    they wait as long as it takes, but in a module that says ``AS_SHIPPED = True``."""
    with pytest.MonkeyPatch.context() as patch:
        if not getattr(request.module, "AS_SHIPPED", False):
            patch.setattr(store, "WAIT_UNKNOWN", LONG)
        yield


@pytest.fixture
def guard() -> Guard:
    return guard_of(Issuer())


@pytest.fixture
def token() -> str:
    """A machine-to-machine app's, for read:users and write:flags."""
    return mint(base=M2M)


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[RedisServer]:
    """A real one, empty, which keeps nothing if it is killed (``running_redis(…, keeps=True)`` does)."""
    with running_redis(tmp_path / "redis") as server:
        yield server


@pytest.fixture
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable of ours is set, whatever whoever runs the tests has exported."""
    for name in os.environ.keys() - clean_environment().keys():
        monkeypatch.delenv(name)


@pytest.fixture
def as_shipped(monkeypatch: pytest.MonkeyPatch) -> None:
    """For one test in a module of patient callers."""
    monkeypatch.setattr(store, "WAIT_UNKNOWN", AS_SHIPPED)


@pytest.fixture(scope="session", autouse=True)
def _loopback_only() -> Iterator[None]:
    """Sockets connect to loopback alone, and only its names are looked up. What is blocked is no OSError: a library
    that lives with network errors would make the test pass."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("connect", "connect_ex"):
            patch.setattr(socket.socket, name, _guarded(getattr(socket.socket, name)))
        patch.setattr(socket, "getaddrinfo", _guarded_lookup(socket.getaddrinfo))
        yield


def _guarded(method: Callable[..., Any]) -> Callable[..., Any]:
    def connect(sock: socket.socket, address: Any) -> Any:
        if sock.family in (socket.AF_INET, socket.AF_INET6):
            _check(address[0])
        return method(sock, address)

    return connect


def _guarded_lookup(method: Callable[..., Any]) -> Callable[..., Any]:
    def getaddrinfo(host: Any, *args: Any, **kwargs: Any) -> Any:
        if host is not None:
            _check(host.decode() if isinstance(host, bytes) else host)
        return method(host, *args, **kwargs)

    return getaddrinfo


def _check(host: str) -> None:
    if host in ("", "localhost"):
        return
    try:
        local = ipaddress.ip_address(host)
    except ValueError:
        raise RuntimeError(f"a test looked up {host!r}: tests stay on loopback") from None
    if not (local.is_loopback or local.is_unspecified):
        raise RuntimeError(f"a test tried to reach {host}: tests stay on loopback")
