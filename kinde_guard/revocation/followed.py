"""How far one stream has been read, and whether it is still the stream that was read. Pure."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable

from .redis_streams import START, Position, StreamFacts

_NUMBERS = 20  # bits for the second half of an id; the first half has 43
_FORGOTTEN_AT = 1_000


class Followed:
    """A stream of *issuer*, as far as it has been read."""

    def __init__(self, name: str, issuer: str, lifts: bool) -> None:
        self.name, self.issuer, self.lifts = name, issuer, lifts
        self.begin()

    def begin(self) -> None:
        """Begin from the start."""
        self.at = START
        self.unreadable = 0
        self._added: int | None = 0
        self._seen = array("Q")

    def saw(self, positions: Iterable[Position]) -> None:
        """These come next, and have been applied."""
        for position in positions:
            self.at = position
            self._seen.append(_packed(position))
            if self._added is not None:
                self._added += 1

    def counted(self, facts: StreamFacts) -> None:
        """It has just been read from the start, when *facts* were so: entries that are gone had been counted, too."""
        self._added = facts.added

    def agrees(self, facts: StreamFacts) -> bool:
        """Whether *facts* are those of a stream of which all has been seen, and nothing else was in it."""
        held = len(self._seen) - bisect_left(self._seen, _packed(facts.first))
        if facts.last != self.at or facts.length != (held if facts.length else 0):
            return False
        return None in (facts.added, self._added) or facts.added == self._added

    def forget_trimmed(self, facts: StreamFacts) -> None:
        """What is no longer in the stream need not be counted."""
        gone = bisect_left(self._seen, _packed(facts.first))
        if gone > _FORGOTTEN_AT:
            del self._seen[:gone]


def _packed(position: Position) -> int:
    """The position in 64 bits, in the order of the ids; whoever writes ids by hand may be too high, and is read over
    and over."""
    return min(position[0], (1 << 43) - 1) << _NUMBERS | min(position[1], (1 << _NUMBERS) - 1)
