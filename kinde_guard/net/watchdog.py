"""One thread that looks after all calls under way, while there are any: ends those whose time is up, and notices when
the process has been frozen.

It looks four times a second. So a look that comes seconds late is one that the process has slept through: a function
between two requests, a paused container, a closed laptop. What such a freeze has cut is nobody's failure.
"""

from __future__ import annotations

import threading
from typing import Protocol

from . import forks

PULSE = 0.25
"""Seconds between two looks."""
FREEZE = 2.0
"""Seconds between two looks beyond which the process has not been running."""


class Watched(Protocol):
    """A call with a deadline, as the watchdog sees it."""

    def left(self) -> float:
        """Called at least every :data:`PULSE` seconds, unless the process is frozen: how many seconds are left."""

    def expire(self) -> None:
        """None are left. Called in a thread of its own, which a hanging log does no harm to."""


class Watchdog:
    """Looks after what is handed to :meth:`watch`, until it is handed to :meth:`leave`."""

    def __init__(self) -> None:
        self.renew()
        forks.when_forked(self)

    def renew(self) -> None:
        """A forked child has neither its parent's calls nor its threads."""
        self._watched: dict[Watched, None] = {}
        self._seat: dict[None, threading.Event] = {}  # of the one thread, and what wakes it

    def watch(self, call: Watched) -> None:
        """Look after *call* from now on; raises if there can be no thread for it."""
        self._watched[call] = None
        mine = threading.Event()  # made here, not beforehand: gevent may have replaced the class since
        awake = self._seat.setdefault(None, mine)
        if awake is not mine:
            awake.set()  # this one may be due sooner than the others
            return
        try:
            threading.Thread(target=self._look_after, args=(mine,), name="kinde_guard-watchdog", daemon=True).start()
        except BaseException:
            self._seat.pop(None, None)
            self.leave(call)
            raise

    def leave(self, call: Watched) -> None:
        """It is over; with the last, the thread is dismissed."""
        self._watched.pop(call, None)
        awake = None if self._watched else self._seat.pop(None, None)
        if awake is not None:
            awake.set()

    def _look_after(self, awake: threading.Event) -> None:
        while True:
            while self._watched:
                awake.clear()
                awake.wait(min([PULSE, *map(self._look, list(self._watched))]))  # the last may just have left
            if self._seat.get(None) is awake:  # pragma: no cover  # mostly the last that leaves is faster
                self._seat.pop(None, None)
            # Something may have come in this very moment: see to it, unless somebody else does.
            if not self._watched or self._seat.setdefault(None, awake) is not awake:  # pragma: no branch
                return

    def _look(self, call: Watched) -> float:
        left = call.left()
        if left <= 0 and self._watched.pop(call, call) is None:
            _apart(call)
        return max(left, 0.0)


def _apart(call: Watched) -> None:
    try:
        threading.Thread(target=_expire, args=(call,), name="kinde_guard-expiry", daemon=True).start()
    except Exception:  # there can be no more threads: in this one, then
        call.expire()


def _expire(call: Watched) -> None:
    try:
        call.expire()
    finally:
        forks.ending()  # it may have logged, over TLS


watchdog = Watchdog()
