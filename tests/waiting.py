"""How tests wait: for something to be so, and never for a time. A machine may be as busy as it likes."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

import pytest

from kinde_guard import Guard
from kinde_guard.keys.store import KeyStore
from kinde_guard.net import joining

LONG = 120.0
"""Seconds that no test is to reach: what takes so long hangs."""


def until(condition: Callable[[], object]) -> None:
    """Wait for what can be waited for in no other way."""
    end = time.monotonic() + LONG
    while not condition():
        assert time.monotonic() < end, "it has not come to pass"
        time.sleep(0.002)


def settle(whose: Guard | KeyStore) -> None:
    """Wait until no fetch is under way, and what there is to say of the last ones has been said."""
    stores = whose._stores.values() if isinstance(whose, Guard) else [whose]
    until(lambda: all(store._flight.under_way is None for store in stores))
    until(lambda: not any(thread.name == "kinde_guard-call" for thread in threading.enumerate()))


class Patience(threading.local):
    """How many seconds the callers in this thread were ready to wait for fetches, at most. A test can bound that; how
    long it then takes is the machine's affair."""

    seconds = 0.0


patience = Patience()


@contextmanager
def patience_is_noted() -> Iterator[None]:
    """Meanwhile, in :data:`patience`."""
    join, ajoin = joining.join, joining.ajoin

    def noting(future: Future[None], timeout: float) -> None:
        patience.seconds += 0 if future.done() else timeout
        join(future, timeout)

    async def anoting(future: Future[None], timeout: float) -> None:
        patience.seconds += 0 if future.done() else timeout
        await ajoin(future, timeout)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(joining, "join", noting)
        patch.setattr(joining, "ajoin", anoting)
        yield


@contextmanager
def running(command: Sequence[str], **options: Any) -> Iterator[subprocess.Popen[str]]:
    """A process with a pipe for each of its streams; it does not outlive a test that fails."""
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, **options) as process:
        try:
            yield process
        finally:
            process.kill()


def in_thread(function: Callable[[], object]) -> threading.Thread:
    """Call it in a thread of its own."""
    thread = threading.Thread(target=function)
    thread.start()
    return thread
