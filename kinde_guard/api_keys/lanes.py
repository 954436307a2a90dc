"""Verifications: one at a time for each key, a few at a time altogether, awaited by any number of threads and loops.

A lane is a :class:`~kinde_guard.net.flight.Flight`: its deadline holds whatever its thread does, and what hangs in one
has no second thread put beside it. As there are few lanes, strangers with made-up keys cannot take the threads that
fetching an issuer's keys needs.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Generic, TypeVar

from ..net import forks
from ..net.attempt import Attempt
from ..net.clocks import ageing
from ..net.flight import Callback, Flight

T = TypeVar("T")
LANES = 8
PATIENCE = 10.0
"""Seconds: who waited for longer has gone."""
LOST = 3 * PATIENCE
"""Seconds after which nothing will come of a verification: its deadline fell into the moment in which it was begun."""


class Verification(Generic[T]):
    """A key that is asked about. The future says that it is over, and nothing else."""

    def __init__(self, digest: bytes, key: bytes) -> None:
        self.digest = digest
        self.key = key
        self.since = ageing()
        self.outcome: T | None = None
        self.future: Future[None] = Future()
        self.future.set_running_or_notify_cancel()  # from here on no waiter can cancel it

    def over(self, outcome: T | None) -> None:
        """It has come to *outcome*; or nobody asks any more. The key itself is let go."""
        if not self.future.done():
            self.key, self.outcome = b"", outcome
            self.future.set_result(None)


class Lanes(Generic[T]):
    """*judge* asks, in a thread. *land* takes what came of it, before waiters are told; it says what is left to be
    done. *crashed* makes an outcome of an exception. *deadline*: seconds for each."""

    def __init__(
        self,
        judge: Callable[[bytes, Attempt], T],
        land: Callable[[Verification[T], T], Callback],
        crashed: Callable[[Exception], T],
        deadline: float,
    ) -> None:
        self.judge, self.land = judge, land
        self._lanes = [_Lane(self, crashed, deadline) for _ in range(LANES)]
        self.renew()
        forks.when_forked(self)

    def renew(self) -> None:
        """A forked child has none of its parent's threads, and none of what they were asked."""
        self._pending: dict[bytes, Verification[T]] = {}
        self._waiting: deque[Verification[T]] = deque()
        for lane in self._lanes:
            lane.current = None

    def under_way(self, digest: bytes) -> Verification[T] | None:
        """The one of this key, if it is asked about."""
        found = self._pending.get(digest)
        if found is not None and ageing() - found.since > LOST:
            self.end(found, None)
            return None
        return found

    def start(self, digest: bytes, key: bytes) -> Verification[T]:
        """The verification of this key; it is begun unless it is under way."""
        mine: Verification[T] = Verification(digest, key)
        current = self._pending.setdefault(digest, mine)
        if current is mine:
            self._waiting.append(mine)
            self.go_on()
        return current

    def go_on(self) -> None:
        """Have what waits done, if a lane is idle."""
        if self._waiting:
            lane = next((lane for lane in self._lanes if lane.flight.under_way is None), None)
            if lane is not None:
                lane.flight.start(lane.work)

    def take(self) -> Verification[T] | None:
        """The next one. What has waited for too long is dropped: it would cost a call that nobody needs."""
        while self._waiting:
            try:
                taken = self._waiting.popleft()
            except IndexError:  # pragma: no cover  # another lane was faster
                return None
            if ageing() - taken.since <= PATIENCE:
                return taken
            self.end(taken, None)
        return None

    def end(self, ended: Verification[T], outcome: T | None) -> None:
        """Tell those who wait."""
        if self._pending.get(ended.digest) is ended:
            self._pending.pop(ended.digest)
        ended.over(outcome)


class _Lane(Generic[T]):
    def __init__(self, lanes: Lanes[T], crashed: Callable[[Exception], T], deadline: float) -> None:
        self._lanes = lanes
        self.current: Verification[T] | None = None
        self.flight: Flight[T | None] = Flight(self._land, crashed, deadline=deadline)

    def work(self, attempt: Attempt) -> T | None:
        """Ask about the key that is next; about the same one again if a freeze of the process has cut it."""
        if self.current is None:
            self.current = self._lanes.take()
        current = self.current
        if current is None:
            return None
        self._lanes.go_on()  # there may be more than one lane is enough for
        return self._lanes.judge(current.key, attempt)

    def _land(self, outcome: T | None) -> Callback:
        current, self.current = self.current, None
        callback: Callback | None = None
        if current is not None and outcome is not None:
            callback = self._lanes.land(current, outcome)
            self._lanes.end(current, outcome)
        return partial(self._after, callback)

    def _after(self, callback: Callback | None) -> None:
        self._lanes.go_on()
        if callback is not None:
            callback()
