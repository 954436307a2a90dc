"""The two clocks. One is set, by people and by NTP; the other is set by nobody, and may start anywhere.

What has a date of its own (a token's ``exp``) is over as soon as either says so: the wall clock can be set back, and
the other one stands still where a whole machine is stopped and goes on later, as a snapshot of it does.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import NamedTuple


def ageing_clock() -> Callable[[], float]:
    """A clock in seconds that also goes on while the machine sleeps, where there is one.

    On Linux ``time.monotonic`` stands still then, and so it does on macOS, whose ``CLOCK_MONOTONIC`` goes on.
    """
    for name in ("CLOCK_BOOTTIME", "CLOCK_MONOTONIC"):
        with suppress(AttributeError, OSError):  # not every system has it, nor every kernel of one that has
            look: Callable[[], float] = partial(time.clock_gettime, getattr(time, name))
            look()
            return look
    return time.monotonic


ageing: Callable[[], float] = ageing_clock()
"""For ages and waits."""


class Moment(NamedTuple):
    """One moment by both clocks, in seconds."""

    wall: float
    ageing: float

    def since(self, earlier: Moment) -> float:
        """How long ago *earlier* was, by the clock that says more."""
        return max(self.wall - earlier.wall, self.ageing - earlier.ageing)


class Clocks(NamedTuple):
    """Wall time for claims and for people; for ages the one that goes on while the machine sleeps. In seconds."""

    wall: Callable[[], float] = time.time
    monotonic: Callable[[], float] = ageing

    def now(self) -> Moment:
        """This moment."""
        return Moment(self.wall(), self.monotonic())
