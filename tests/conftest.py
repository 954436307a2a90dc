"""No test reaches beyond this machine."""

from __future__ import annotations

import base64
import gc
import ipaddress
import os
import socket
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

# A busy machine is no defect: what inputs may cost is measured by the fuzzers, in CPU time.
settings.register_profile("kinde_guard", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("kinde_guard")

# Where Python is told to keep no bytecode, each of the many processes that tests start would compile all it imports.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The real servers first: they take longest, and who is early keeps its tests. A process that took some of them
    from another would start all the servers once more."""
    items.sort(key=lambda item: item.path.name != "test_servers.py")


def pytest_collection_finish() -> None:
    """Thousands of tests are there to stay: no need to look through them again and again."""
    gc.collect()
    gc.freeze()


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
