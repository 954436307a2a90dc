"""Started by test_fork.py as a process of its own: forks in the moment that it is told, and counts the children that
freeze. Says ``{"frozen": …, "of": …}``."""

from __future__ import annotations

import json
import os
import signal
import ssl
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from kinde_guard import Guard
from kinde_guard.net import tls

PATIENCE = 20
kept: list[Guard] = []
AUDIENCE = "https://api.acme.com"


def fork(do: Callable[[], object]) -> int:
    """A child that does something and ends; after *PATIENCE* seconds it is ended, as one that is frozen never is."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            signal.alarm(PATIENCE)  # in the kernel's hands: in a frozen child no Python runs
            do()
            status = 0
        finally:
            os._exit(status)
    return child


def frozen(children: list[int]) -> int:
    """How many of *children* did not end by themselves. Whoever failed in another way is an error."""
    states = [os.waitpid(child, 0)[1] for child in children]
    assert all(state == 0 or os.WIFSIGNALED(state) for state in states), states
    return sum(state != 0 for state in states)


def fetch() -> None:
    guard = Guard(sys.argv[1], audience=AUDIENCE, variables=())
    kept.append(guard)  # guards live as long as their process does
    guard.warm()


def begin_a_handshake(made: ssl.SSLContext) -> None:
    """In memory, where it wants to read at once."""
    began = made.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname="localhost")
    with suppress(ssl.SSLWantReadError):
        began.do_handshake()


def busy(stop: threading.Event) -> None:
    while not stop.is_set():
        fetch()


def warm_and_fork(count: int) -> list[int]:
    """As ``gunicorn --preload`` does: the thread that has fetched is still ending."""
    children = []
    for _ in range(count):
        fetch()
        children.append(fork(fetch))
    return children


def fork_beside_fetches(count: int, do: Callable[[], None] = fetch) -> list[int]:
    """While two threads are in handshakes, requests and answers all the time."""
    stop, children = threading.Event(), []
    threads = [threading.Thread(target=busy, args=(stop,)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for number in range(count):
        time.sleep(0.0005 * (number % 7))
        children.append(fork(do))
        if number > 8:  # not all of them at once
            os.waitid(os.P_PID, children[-8], os.WEXITED | os.WNOWAIT)
    stop.set()
    for thread in threads:
        thread.join()
    return children


CASES: dict[str, Callable[[int], list[int]]] = {
    "warm": warm_and_fork,
    "beside": fork_beside_fetches,
    "many": lambda count: fork_beside_fetches(count, partial(begin_a_handshake, tls.context(tls.authorities()))),
}

if __name__ == "__main__":
    of = int(sys.argv[3])
    print(json.dumps({"frozen": frozen(CASES[sys.argv[2]](of)), "of": of}))
