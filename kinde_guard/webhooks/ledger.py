"""Which events have been handled: so that ``on_event`` is called once for each, however often Kinde tells of it."""

from __future__ import annotations

from typing import Literal, Protocol

from ..net import forks

Turn = Literal["mine", "done", "busy"]
"""Whose turn it is: the asker's; nobody's any more; somebody else's, who has not finished."""
MOST_KEPT = 65_536
_BUSY, _DONE = False, True


class EventLedger(Protocol):
    """A book of events that workers share. A *key* is a short text, one for each event.

    Threads and event loops may ask at once. What any of its methods raises makes the answer to Kinde a 503. A turn that
    is neither finished nor given up, because its process was ended, has to end by itself.
    """

    def begin(self, key: str) -> Turn:
        """Take the turn, if it is to be had: of several who ask, one gets it."""

    def finish(self, key: str) -> None:
        """What was begun is done, and is not to be done again for 48 hours at least."""

    def give_up(self, key: str) -> None:
        """What was begun has failed: the next who asks gets the turn."""

    async def abegin(self, key: str) -> Turn:
        """:meth:`begin` for event loops."""

    async def afinish(self, key: str) -> None:
        """:meth:`finish` for event loops."""

    async def agive_up(self, key: str) -> None:
        """:meth:`give_up` for event loops."""


class ProcessLedger:
    """The book of one process: it keeps the last 65,536 events."""

    def __init__(self) -> None:
        self._lock = forks.Lock()
        self._kept: dict[str, bool] = {}
        forks.when_forked(self)

    def renew(self) -> None:
        """A forked child has none of the turns that its parent was in the middle of."""
        self._kept = {key: state for key, state in self._kept.items() if state is _DONE}

    def begin(self, key: str) -> Turn:
        """Begin, as :meth:`EventLedger.begin` says."""
        with self._lock.now:
            if key in self._kept:
                return "done" if self._kept[key] is _DONE else "busy"
            self._kept[key] = _BUSY
            if len(self._kept) > MOST_KEPT:
                del self._kept[next(iter(self._kept))]
        return "mine"

    def finish(self, key: str) -> None:
        """Finish, as :meth:`EventLedger.finish` says."""
        with self._lock.now:
            self._kept[key] = _DONE

    def give_up(self, key: str) -> None:
        """Give up, as :meth:`EventLedger.give_up` says."""
        with self._lock.now:
            self._kept.pop(key, None)

    async def abegin(self, key: str) -> Turn:
        """Begin, as :meth:`EventLedger.begin` says."""
        return self.begin(key)

    async def afinish(self, key: str) -> None:
        """Finish, as :meth:`EventLedger.finish` says."""
        self.finish(key)

    async def agive_up(self, key: str) -> None:
        """Give up, as :meth:`EventLedger.give_up` says."""
        self.give_up(key)
