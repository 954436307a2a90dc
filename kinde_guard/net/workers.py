"""The threads that calls are made in: as many as are needed, thirty-two at most, each gone when nothing is left to do.

Having something done waits for nothing: not for a lock, as there is none (each step that counts is a single one of a
deque), and not for a new thread to come up. So it may be asked for anywhere, in an event loop too.
"""

from __future__ import annotations

import _thread
import threading
from collections import deque
from typing import Protocol

from . import forks

MOST = 32
NAME = "kinde_guard-call"


class Job(Protocol):
    """A job is something to be done in a thread."""

    def run(self) -> None:
        """Do it."""

    def turn_down(self, error: Exception) -> None:
        """There is no thread for it."""


class Workers:
    """The threads of the process, and what waits for one of them."""

    def __init__(self) -> None:
        self.renew()
        forks.when_forked(self)

    def renew(self) -> None:
        """A forked child has none of its parent's threads, and none of what they had to do."""
        self._seats = deque(range(MOST))
        self._jobs: deque[Job] = deque()

    @property
    def idle(self) -> bool:
        """Whether no thread is there, so that nothing that waits will ever be done."""
        return len(self._seats) == MOST

    @property
    def full(self) -> bool:
        """Whether something may be waiting until another thing is done."""
        return not self._seats

    def start(self, job: Job) -> None:
        """Have *job* run, once it is its turn; or turned down, if there can be no thread."""
        if not self._employ(job):
            self._jobs.append(job)
            self._go_on()  # somebody may have left since, and looked before

    def _employ(self, job: Job) -> bool:
        """Whether there is a seat for it."""
        try:
            seat = self._seats.pop()
        except IndexError:
            return False
        try:
            # Thread.start waits until the new thread has run, which beside busy threads takes many milliseconds. A
            # caller whose key is held must not wait that long, nor must an event loop: so a bare thread does it.
            _thread.start_new_thread(self._hire, (job, seat))
        except BaseException as error:
            self._seats.append(seat)
            if not isinstance(error, Exception):  # a signal handler's
                raise
            job.turn_down(error)
        return True

    def _hire(self, job: Job, seat: int) -> None:  # pragma: no cover  # tracers do not see it
        try:
            threading.Thread(target=self._work, args=(job, seat), name=NAME, daemon=True).start()
        except Exception as error:
            self._seats.append(seat)
            job.turn_down(error)

    def _work(self, job: Job | None, seat: int) -> None:
        try:
            while job is not None:
                job.run()
                job = self._next()
        finally:
            threading.current_thread().name = f"{NAME}, ending"
            self._seats.append(seat)
            self._go_on()
            forks.ending()

    def _go_on(self) -> None:
        """Go on with what was left waiting in the moment in which a seat was left."""
        while self._seats and (job := self._next()) is not None:
            if not self._employ(job):  # pragma: no cover  # somebody else was faster
                self._jobs.appendleft(job)

    def _next(self) -> Job | None:
        try:
            return self._jobs.popleft()
        except IndexError:
            return None


workers = Workers()
