"""One call at a time, in one short-lived thread, awaited by any number of threads and event loops.

The rules of this file:

* There is one :class:`Flight` for each thing that is called (an issuer's keys, an app's token). While a call is under
  way, everybody joins it: :meth:`Flight.start` hands out the same future.
* The future carries neither result nor exception. The outcome is *landed* in its owner first, then the future
  resolves, and whoever waited reads the owner. So a waiter that is cancelled takes nothing away from the others.
* Starting waits for nothing: not for a lock, as there is none (who starts a call and who ends it is settled in one
  step each), and not for the new thread to come up.
* At the deadline the call is over, whatever its thread does: a ``TimeoutError`` is landed in its place, its sockets
  are cut, and an answer that comes later is dropped. So an old answer never overwrites a newer one.
* A forked child has none of its parent's threads: it forgets the parent's call and starts its own.
"""

from __future__ import annotations

import _thread
import os
import socket
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from concurrent import futures
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, Generic, TypeVar

T = TypeVar("T")
Say = Callable[[], None]
"""What is left to be done about an outcome once nobody waits any more, such as logging it."""
GRACE = 1.0
"""Seconds that a call may stay beyond its deadline before it is given up for lost."""


class Watch:
    """The sockets of one call, to be cut when its time is up."""

    def __init__(self) -> None:
        self._sockets: list[socket.socket] = []
        self.over = False
        """Nobody waits any more: whoever could start something new should not."""
        self.hangs_in = ""
        """What the working thread is in that has no socket to be cut; empty if nothing."""

    def add(self, sock: socket.socket) -> None:
        """Called by the working thread as soon as it has a socket."""
        self._sockets.append(sock)
        if self.over:  # the deadline passed while the connection was being made
            self.cut()

    @contextmanager
    def hanging_in(self, what: str) -> Iterator[None]:
        """Around something that cannot be cut, in words for a log."""
        self.hangs_in = what
        try:
            yield
        finally:
            self.hangs_in = ""

    def cut(self) -> None:
        """End every read and write on the sockets at once; called by the watchdog."""
        self.over = True
        for sock in self._sockets:
            with suppress(OSError):  # closed already
                # The base class's method: SSLSocket.shutdown would take the TLS state away from under the reader.
                socket.socket.shutdown(sock, socket.SHUT_RDWR)


class _Call:
    def __init__(self, began: float, lost_at: float) -> None:
        self.watch = Watch()
        self.began = began
        self.lost_at = lost_at
        self.future: futures.Future[None] = futures.Future()
        self.future.set_running_or_notify_cancel()  # from here on no waiter can cancel it
        self._end = threading.Lock()

    def end(self) -> bool:
        """True for whoever comes first, the working thread or the watchdog."""
        return self._end.acquire(blocking=False)


class Flight(Generic[T]):
    """One call at a time: see the rules at the top of this file."""

    def __init__(self, land: Callable[[T], Say], crashed: Callable[[Exception], T], *, deadline: float) -> None:
        """*land* stores an outcome (never two at a time; no I/O); *crashed* makes one of an exception; *deadline*:
        seconds."""
        self._land = land
        self._crashed = crashed
        self._deadline = deadline
        self._calls: dict[None, _Call] = {}  # one at most; a dict for its setdefault and pop, which are single steps
        _flights.add(self)

    def start(self, work: Callable[[Watch], T]) -> futures.Future[None]:
        """The future of the call under way; if there is none, *work* is started.

        A call may have landed since the caller found that *work* is called for: *work* itself has to look again.
        """
        current = self._current()
        if current is None:
            now = time.monotonic()
            call = _Call(now, now + self._deadline + GRACE)
            current = self._calls.setdefault(None, call)
            if current is call:
                self._take_off(call, work)
        return current.future

    @property
    def under_way(self) -> futures.Future[None] | None:
        """The future of the call under way, if there is one."""
        call = self._current()
        return None if call is None else call.future

    @property
    def age(self) -> float:
        """For how many seconds the call under way has been under way; 0 if there is none."""
        call = self._current()
        return 0.0 if call is None else time.monotonic() - call.began

    def forget(self) -> None:
        """Begin anew in a forked child: the parent's thread is not here."""
        self._calls = {}

    def _current(self) -> _Call | None:
        call = self._calls.get(None)
        if call is not None and time.monotonic() > call.lost_at:
            # It never took off, or its watchdog is gone: an exception came out of a signal handler, say.
            self._calls.pop(None, None)
            return None
        return call

    def _take_off(self, call: _Call, work: Callable[[Watch], T]) -> None:
        try:
            # Thread.start waits until the new thread has run, which beside busy threads takes many milliseconds. A
            # caller whose key is held must not wait that long, nor must an event loop: so a bare thread does it.
            _thread.start_new_thread(self._launch, (call, work))
        except Exception as error:  # no more threads to be had: a failed attempt like any other
            self._finish(call, self._crashed(error))()

    def _launch(self, call: _Call, work: Callable[[Watch], T]) -> None:  # pragma: no cover  # tracers do not see it
        try:
            threading.Thread(target=self._run, args=(call, work), name="kinde_guard-call", daemon=True).start()
        except Exception as error:
            self._finish(call, self._crashed(error))()

    def _run(self, call: _Call, work: Callable[[Watch], T]) -> None:
        watchdog = threading.Timer(self._deadline, partial(self._cut, call))
        watchdog.daemon = True
        try:
            watchdog.start()
            outcome = work(call.watch)
        except Exception as error:  # what is no Exception, such as SystemExit, is left to the watchdog
            outcome = self._crashed(error)
        watchdog.cancel()
        self._finish(call, outcome)()

    def _cut(self, call: _Call) -> None:
        say = self._finish(call, self._crashed(TimeoutError(f"no whole answer within {self._deadline:g} s")))
        call.watch.cut()
        say()

    def _finish(self, call: _Call, outcome: T) -> Say:
        if not call.end() or self._calls.get(None) is not call:
            return _nothing  # over already: cut at the deadline, given up for lost, or left behind by a fork
        try:
            return self._land(outcome)
        finally:
            self._calls.pop(None, None)
            call.future.set_result(None)


def _nothing() -> None:
    """Nothing is left to be done."""


_flights: weakref.WeakSet[Flight[Any]] = weakref.WeakSet()


def _forget_all() -> None:
    for flight in list(_flights):
        flight.forget()


if hasattr(os, "register_at_fork"):  # pragma: no branch
    os.register_at_fork(after_in_child=_forget_all)


def join(future: futures.Future[None], timeout: float) -> None:
    """Wait for *future* in this thread, at most *timeout* seconds."""
    futures.wait([future], timeout)


async def ajoin(future: futures.Future[None], timeout: float) -> None:
    """Wait for *future* in this task, of asyncio or of trio, at most *timeout* seconds.

    The future is watched, not chained (as ``asyncio.wrap_future`` would): a cancellation, a time-out and a loop that
    is closed while the call is still under way concern this waiter alone.
    """
    if _in_asyncio_task():
        await _ajoin_asyncio(future, timeout)
    else:
        await _ajoin_trio(future, timeout)


def _in_asyncio_task() -> bool:
    asyncio = sys.modules.get("asyncio")  # if nobody has loaded it, it is not running: trio's loop is not held up
    try:
        return asyncio is not None and asyncio.current_task() is not None
    except RuntimeError:
        return False


async def _ajoin_asyncio(future: futures.Future[None], timeout: float) -> None:
    import asyncio

    loop = asyncio.get_running_loop()
    landed = loop.create_future()

    def wake(_: futures.Future[None]) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody is waiting any more
            loop.call_soon_threadsafe(landed.set_result, None)

    future.add_done_callback(wake)
    await asyncio.wait([landed], timeout=timeout)


async def _ajoin_trio(future: futures.Future[None], timeout: float) -> None:
    # Not in a worker thread: waiting callers would hold the few there are, which other requests need.
    import trio

    token = trio.lowlevel.current_trio_token()
    landed = trio.Event()

    def wake(_: futures.Future[None]) -> None:
        with suppress(trio.RunFinishedError):
            token.run_sync_soon(landed.set)

    future.add_done_callback(wake)
    with trio.move_on_after(timeout):
        await landed.wait()
