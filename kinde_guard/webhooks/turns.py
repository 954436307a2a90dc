"""How many calls of ``on_event`` may be under way at once, in one process."""

from __future__ import annotations

from collections import deque

from ..net import forks

MOST = 64


class TooMany(Exception):
    """As many are under way as may be."""


class Turns:
    """Entered by so many at once, and by no more: :class:`TooMany` is raised for whoever comes then. Threads and event
    loops may enter; nobody waits."""

    def __init__(self) -> None:
        self.renew()
        forks.when_forked(self)

    def renew(self) -> None:
        """A forked child is in the middle of none."""
        self._left = deque(range(MOST))

    def __enter__(self) -> None:
        try:
            self._left.pop()
        except IndexError:
            raise TooMany from None

    def __exit__(self, *_: object) -> None:
        self._left.append(0)
