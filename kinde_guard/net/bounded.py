"""Calls that nothing can cut, each in a thread of its own, and waited for only so long.

For clients of others, such as Redis's: what time-outs they have is for whoever made them to say, and a look-up of a
name has none at all. A call that has been given up may go on in its thread for as long as it likes; while two of one
kind do, no other is begun.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

from . import forks
from .joining import ajoin, join
from .workers import workers

T = TypeVar("T")
MOST_HANGING = 2


class BoundedCalls:
    """Calls of one kind, each given up with a ``TimeoutError`` after so many seconds, *deadline* if nothing is said.

    Whatever a call raises, whoever waits for it is raised. In event loops (asyncio's and trio's) nothing else waits.
    """

    def __init__(self, deadline: float) -> None:
        self._deadline = deadline
        self.renew()
        forks.when_forked(self)

    def renew(self) -> None:
        """A forked child has none of its parent's threads, and so none that hangs."""
        self._given_up: list[Call[object]] = []

    def make(self, work: Callable[[], T], seconds: float | None = None) -> T:
        """What *work* returns; waits in this thread."""
        call, seconds = self._start(work), self._deadline if seconds is None else seconds
        join(call.future, seconds)
        return self._result(call, seconds)

    async def amake(self, work: Callable[[], T]) -> T:
        """What *work* returns; waits in this task."""
        call = self._start(work)
        await ajoin(call.future, self._deadline)
        return self._result(call, self._deadline)

    def _start(self, work: Callable[[], T]) -> Call[T]:
        self._given_up = [call for call in self._given_up if not call.future.done()]
        if len(self._given_up) >= MOST_HANGING:
            raise TimeoutError(f"{MOST_HANGING} calls before still hang")
        call = Call(work)
        workers.start(call)
        return call

    def _result(self, call: Call[T], seconds: float) -> T:
        if not call.future.done():
            call.wanted = False
            self._given_up.append(call)  # type: ignore[arg-type]  # of its result nothing is asked
        return call.outcome(f"no answer within {seconds:.2g} s")


class Call(Generic[T]):
    """A job for the workers. The future says that it is over, and nothing else: who waits in a loop watches it."""

    result: T

    def __init__(self, work: Callable[[], T]) -> None:
        self._work = work
        self.wanted = True
        self.error: Exception | None = None
        self.future: Future[None] = Future()
        self.future.set_running_or_notify_cancel()

    def run(self) -> None:
        """Unless it is too late: nobody would know that it was done."""
        try:
            if self.wanted:
                self.result = self._work()
        except Exception as error:
            self.error = error
        finally:
            self.future.set_result(None)

    def outcome(self, without: str) -> T:
        """What it returned or raised; a ``TimeoutError`` that says *without* if there is neither."""
        if self.error is not None:
            raise self.error
        if not hasattr(self, "result"):
            raise TimeoutError(without)
        return self.result

    def turn_down(self, error: Exception) -> None:
        """There is no thread for it."""
        self.error = error
        self.future.set_result(None)
