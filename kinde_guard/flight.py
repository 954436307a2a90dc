"""One call at a time, in one short-lived thread, awaited by any number of threads and event loops.

The rules of this file:

* There is one :class:`Flight` for each thing that is called (an issuer's keys, an app's token). While a call is under
  way, everybody joins it: :meth:`Flight.start` hands out the same future.
* The future carries neither result nor exception. The outcome is *landed* in its owner first, then the future
  resolves, and whoever waited reads the owner. So a waiter that is cancelled takes nothing away from the others.
* At the deadline the call is over, whatever its thread does: its sockets are cut, a ``TimeoutError`` is landed in its
  place, and an answer that comes later is dropped. So an old answer never overwrites a newer one.
* A forked child has none of its parent's threads: it forgets the parent's call and starts its own.
"""

from __future__ import annotations

import os
import socket
import threading
import weakref
from collections.abc import Callable
from concurrent import futures
from contextlib import suppress
from functools import partial
from typing import Any, Generic, TypeVar

T = TypeVar("T")
Say = Callable[[], None]
"""What is left to be done about an outcome once no lock is held, such as logging it."""


class Watch:
    """The sockets of one call, to be cut when its time is up."""

    def __init__(self) -> None:
        self._sockets: list[socket.socket] = []
        self._over = False

    def add(self, sock: socket.socket) -> None:
        """Called by the working thread as soon as it has a socket."""
        self._sockets.append(sock)
        if self._over:  # the deadline passed while the connection was being made
            self.cut()

    def cut(self) -> None:
        """End every read and write on the sockets at once; called by the watchdog."""
        self._over = True
        for sock in self._sockets:
            with suppress(OSError):  # closed already
                # The base class's method: SSLSocket.shutdown would take the TLS state away from under the reader.
                socket.socket.shutdown(sock, socket.SHUT_RDWR)


class _Call:
    def __init__(self) -> None:
        self.watch = Watch()
        self.future: futures.Future[None] = futures.Future()
        self.future.set_running_or_notify_cancel()  # from here on no waiter can cancel it


class Flight(Generic[T]):
    """One call at a time: see the rules at the top of this file."""

    def __init__(self, land: Callable[[T], Say], crashed: Callable[[Exception], T], *, deadline: float) -> None:
        """*land* stores an outcome (under a lock: no I/O); *crashed* makes one of an exception; *deadline*: seconds."""
        self._land = land
        self._crashed = crashed
        self._deadline = deadline
        self._lock = threading.Lock()
        self._current: _Call | None = None
        _flights.add(self)

    def start(self, work: Callable[[Watch], T]) -> futures.Future[None]:
        """The future of the call under way; if there is none, *work* is started."""
        with self._lock:
            if self._current is not None:
                return self._current.future
            call = self._current = _Call()
        self._take_off(call, work)
        return call.future

    def start_behind(self, work: Callable[[Watch], T]) -> None:
        """Start *work* unless a call is under way; never waits, not even for the lock."""
        if self._current is not None or not self._lock.acquire(blocking=False):
            return  # under way, starting or landing
        try:
            if self._current is not None:
                return
            call = self._current = _Call()
        finally:
            self._lock.release()
        self._take_off(call, work)

    @property
    def under_way(self) -> futures.Future[None] | None:
        """The future of the call under way, if there is one."""
        call = self._current
        return None if call is None else call.future

    def forget(self) -> None:
        """Begin anew in a forked child: the parent's thread, and whoever held the lock, are not here."""
        self._lock = threading.Lock()
        self._current = None

    def _take_off(self, call: _Call, work: Callable[[Watch], T]) -> None:
        thread = threading.Thread(target=self._run, args=(call, work), name="kinde_guard-call", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:  # no more threads to be had: a failed attempt like any other
            self._finish(call, self._crashed(error))

    def _run(self, call: _Call, work: Callable[[Watch], T]) -> None:
        watchdog = threading.Timer(self._deadline, partial(self._cut, call))
        watchdog.daemon = True
        try:
            watchdog.start()
            outcome = work(call.watch)
        except Exception as error:  # a waiter must never be left behind
            outcome = self._crashed(error)
        finally:
            watchdog.cancel()
        self._finish(call, outcome)

    def _cut(self, call: _Call) -> None:
        self._finish(call, self._crashed(TimeoutError(f"no whole answer within {self._deadline:g} s")))
        call.watch.cut()

    def _finish(self, call: _Call, outcome: T) -> None:
        with self._lock:
            if self._current is not call:
                return  # over already: cut at the deadline, or left behind by a fork
            say = self._land(outcome)
            self._current = None
        try:
            say()
        finally:
            call.future.set_result(None)


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
    """Wait for *future* in this task, at most *timeout* seconds; under trio a worker thread waits."""
    import asyncio

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        import anyio.to_thread

        await anyio.to_thread.run_sync(join, future, timeout, abandon_on_cancel=True)
    else:
        # asyncio.wait, not wait_for: on a time-out or a cancellation it leaves the future alone.
        await asyncio.wait([asyncio.wrap_future(future)], timeout=timeout)
