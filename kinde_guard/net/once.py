"""What is said or done once in a process, and not by each of the threads that come to it. Pure."""

from __future__ import annotations


class Once:
    """Something that is due once: of all who ask, in whichever threads, one is told that it is the first."""

    __slots__ = ("_due",)

    def __init__(self) -> None:
        self._due = [True]

    def is_first(self) -> bool:
        """Whether nobody has asked before."""
        try:
            self._due.pop()  # in one step: of several threads one gets there first
        except IndexError:
            return False
        return True
