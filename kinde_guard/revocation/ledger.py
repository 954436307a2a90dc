"""Which events have been handled, in a book that a fleet shares: ``on_event`` is called once for each.

Who begins has a minute; a worker that is ended in the middle of one loses nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, cast

from ..net.errands import apart
from .redis_streams import RedisStreams, event_of

BUSY_FOR = 60
"""Seconds."""
Turn = Literal["mine", "done", "busy"]


class RedisLedger:
    """The book in Redis, beside the revocations of *issuer*."""

    def __init__(self, streams: Callable[[], RedisStreams], issuer: str) -> None:
        self._streams, self._issuer = streams, issuer

    def begin(self, key: str) -> Turn:
        """Take the turn, if it is to be had."""
        return cast(Turn, self._streams().begin(self._name(key), BUSY_FOR))

    def finish(self, key: str) -> None:
        """It is done, and is not to be done again for 48 hours."""
        self._streams().finish(self._name(key))

    def give_up(self, key: str) -> None:
        """It has failed: the next who asks gets the turn."""
        self._streams().give_up(self._name(key))

    async def abegin(self, key: str) -> Turn:
        """:meth:`begin` for event loops."""
        return await apart(lambda: self.begin(key))

    async def afinish(self, key: str) -> None:
        """:meth:`finish` for event loops."""
        await apart(lambda: self.finish(key))

    async def agive_up(self, key: str) -> None:
        """:meth:`give_up` for event loops."""
        await apart(lambda: self.give_up(key))

    def _name(self, key: str) -> str:
        return event_of(self._issuer, key)
