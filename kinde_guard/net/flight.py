"""One call at a time, in one short-lived thread, awaited by any number of threads and event loops.

The rules of this file:

* There is one :class:`Flight` for each thing that is called (an issuer's keys, an app's token). While a call is under
  way, everybody joins it: :meth:`Flight.start` hands out the same future.
* The future carries neither result nor exception. The outcome is *landed* in its owner first, then the future
  resolves, and whoever waited reads the owner. So a waiter that is cancelled takes nothing away from the others.
* Starting waits for nothing: not for a lock, as there is none (who starts a call and who ends it is settled in one
  step each), and not for a thread to come up. How many of those there are is bounded (:mod:`.net.workers`): a call may
  have to wait for its turn, and its time is counted from then on.
* At the deadline the call is over, whatever its thread does: a ``TimeoutError`` is landed in its place, its sockets
  are cut, and an answer that comes later is dropped. So an old answer never overwrites a newer one.
* What hangs in a look-up of a name, which nothing can cut, has no second thread put beside it (else there would be one
  more for each deadline that passes), and what hangs in something else two at most: the next call waits for its thread.
* What a freeze of the process has cut is no outcome: the call is made again, at once, and has all its time again. An
  answer is taken if it comes before that, and in time.
* A forked child has none of its parent's threads: it forgets the parent's call and starts its own.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent import futures
from typing import Any, Generic, TypeVar

from . import forks
from .attempt import Attempt
from .clocks import ageing
from .watchdog import FREEZE, watchdog
from .workers import MOST, workers

T = TypeVar("T")
Callback = Callable[[], None]
"""What is left to be done about an outcome once nobody waits any more, such as logging it."""
GRACE = 1.0
"""Seconds that a call may stay beyond its deadline before it is given up for lost."""
MOST_HANGING = 3
"""Calls of one flight whose threads go on beyond their deadlines; another then waits for one of them."""


class _Call:
    """A call of *flight*: waits for its turn, is watched from then on, and is claimed by the thread that makes it."""

    def __init__(self, flight: Flight[Any], work: Callable[[Attempt], Any]) -> None:
        self.work = work
        self.future: futures.Future[None] = futures.Future()
        self.future.set_running_or_notify_cancel()  # from here on no waiter can cancel it
        self.watched = False
        self._flight = flight
        self._claim, self._end = threading.Lock(), threading.Lock()
        self._began, self._froze = self._now(), False
        self.renew()

    def renew(self) -> None:
        """Begin, or begin anew, with all the time that there is."""
        now = self._now()
        if self._froze:
            self._began = now
        self._froze, self._seen, self._due = False, now, now + self._flight._deadline
        self.attempt = Attempt(self.frozen)

    def claim(self) -> bool:
        """True for the one thread that is to make the call."""
        return self._claim.acquire(blocking=False)

    def end(self) -> bool:
        """True for whoever comes first, the working thread or the watchdog."""
        return self._end.acquire(blocking=False)

    @property
    def claimed(self) -> bool:
        """Whether a thread makes it, or has made it."""
        return self._claim.locked()

    @property
    def over(self) -> bool:
        """Whether an outcome has been landed."""
        return self._end.locked()

    @property
    def age(self) -> float:
        """The seconds that it has been under way, or 0 if the process was not."""
        return 0.0 if self._froze or self._just_thawed() else self._now() - self._began

    def left(self) -> float:
        """How many seconds it has left; none after a freeze. The watchdog asks, all the time."""
        return 0.0 if self.frozen() else self._due - self._now()

    def late(self) -> bool:
        """Whether its time is up."""
        return self._now() >= self._due

    def frozen(self) -> bool:
        """Whether the process was frozen since the call began."""
        self._froze = self._just_thawed() or self._froze
        self._seen = self._now()
        return self._froze

    def lost(self) -> bool:
        """Whether it will never have its turn: an exception came out of a signal handler as it was to start, say."""
        return not self.watched and workers.idle and self._now() > self._due + GRACE

    def expire(self) -> None:
        """Called by the watchdog."""
        self._flight.expire(self)

    def run(self) -> None:
        """Called by the workers."""
        self._flight.run(self)

    def turn_down(self, error: Exception) -> None:
        """Called by the workers."""
        self._flight.turn_down(self, error)

    def _just_thawed(self) -> bool:
        return self.watched and self._now() - self._seen > FREEZE

    def _now(self) -> float:
        return self._flight._clock()


class Flight(Generic[T]):
    """One call at a time: see the rules at the top of this file."""

    def __init__(
        self,
        land: Callable[[T], Callback],
        crashed: Callable[[Exception], T],
        *,
        deadline: float,
        clock: Callable[[], float] = ageing,
    ) -> None:
        """*land* stores an outcome (never two at a time; no I/O); *crashed* makes one of an exception; *deadline*:
        seconds, by *clock*."""
        self._land = land
        self._crashed = crashed
        self._deadline = deadline
        self._clock = clock
        self.renew()
        forks.when_forked(self)

    def renew(self) -> None:
        """A forked child has none of its parent's threads, and so none of its calls."""
        self._calls: dict[None, _Call] = {}  # one at most; a dict for its setdefault and pop, which are single steps
        self._busy: dict[_Call, Attempt] = {}  # those that a thread is in, whether they are over or not

    def start(self, work: Callable[[Attempt], T]) -> futures.Future[None]:
        """The future of the call under way; if there is none, *work* is started.

        A call may have landed since the caller found that *work* is called for: *work* itself has to look again.
        """
        current = self._current()
        if current is None:
            call = _Call(self, work)
            current = self._calls.setdefault(None, call)
            if current is call:
                workers.start(call)
        return current.future

    @property
    def under_way(self) -> futures.Future[None] | None:
        """The future of the call under way, if there is one."""
        call = self._current()
        return None if call is None else call.future

    @property
    def age(self) -> float:
        """The seconds that the call under way has been under way; 0 if there is none."""
        call = self._current()
        return 0.0 if call is None else call.age

    @property
    def trouble(self) -> str:
        """What keeps a call from being made, in words for a log; empty if nothing does."""
        hanging = [attempt for call, attempt in list(self._busy.items()) if call.over]
        look_up = next((attempt.hangs_in for attempt in hanging if attempt.hangs_in), "")
        if look_up:
            return f"{look_up} still hangs"
        if len(hanging) >= MOST_HANGING:
            return f"{len(hanging)} attempts before still hang"
        call = self._calls.get(None)
        return f"it is not its turn: {MOST} others are made" if call and not call.watched and workers.full else ""

    def run(self, call: _Call) -> None:
        """Make *call*, whose turn it is. Runs in a worker's thread."""
        if call.over or not self._attended(call):
            return
        if self.trouble or not call.claim():
            return  # who makes the trouble hands it on when that is over
        try:
            callback = self._finish(call, self._outcome(call))
        finally:
            self._busy.pop(call, None)
            self._hand_on()
        callback()

    def turn_down(self, call: _Call, error: Exception) -> None:
        """There are no more threads to be had: a failed attempt like any other."""
        self._finish(call, self._crashed(error))()

    def expire(self, call: _Call) -> None:
        """The time of *call* is up, or the process was frozen for some of it."""
        attempt = self._busy.get(call, call.attempt)
        if call.frozen():
            call.renew()
            attempt.cut()
        if not call.late():  # the working thread may have been the first to see that it was frozen
            watchdog.watch(call)
            if call.over:  # pragma: no cover  # since this very moment
                watchdog.leave(call)
            return
        why = f": {attempt.hangs_in} hangs" if attempt.hangs_in else f": {self.trouble}" if self.trouble else ""
        callback = self._finish(call, self._crashed(TimeoutError(f"no whole answer within {self._deadline:g} s{why}")))
        attempt.cut()
        callback()

    def _current(self) -> _Call | None:
        call = self._calls.get(None)
        if call is not None and call.lost():
            self._calls.pop(None, None)
            return None
        return call

    def _attended(self, call: _Call) -> bool:
        """Whether the watchdog has an eye on *call*, or has had: no work is done without."""
        if not call.watched:
            call.renew()
            call.watched = True
            try:
                watchdog.watch(call)
            except Exception as error:
                self.turn_down(call, error)
                return False
        return True

    def _hand_on(self) -> None:
        """The call that came meanwhile, and found that it had to wait for a thread to come out of another."""
        call = self._calls.get(None)
        if call is not None and call.watched and not call.claimed:
            workers.start(call)

    def _outcome(self, call: _Call) -> T:
        """What *call* comes to, made as often as a freeze has cut it."""
        while True:
            self._busy[call] = attempt = call.attempt
            try:
                outcome: T = call.work(attempt)
                failed = False
            except Exception as error:  # what is no Exception, such as SystemExit, is left to the watchdog
                outcome, failed = self._crashed(error), True
            if call.over:
                return outcome  # and nobody is interested
            if call.attempt is attempt:
                if not (call.frozen() and (failed or call.late())):
                    return outcome
                call.renew()

    def _finish(self, call: _Call, outcome: T) -> Callback:
        watchdog.leave(call)
        if not call.end() or self._calls.get(None) is not call:
            return _nothing  # over already: cut at the deadline, given up for lost, or left behind by a fork
        try:
            return self._land(outcome)
        finally:
            self._calls.pop(None, None)
            call.work = _nothing_to_do  # or it would hold on to what it was made of for as long as its thread is ending
            call.future.set_result(None)


def _nothing() -> None:
    """Nothing is left to be done."""


def _nothing_to_do(_: Attempt) -> None:
    """The work of a call that is over."""
