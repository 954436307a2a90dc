"""Values that are made whole and never changed. Pure.

A frozen dataclass would do as well. But each takes 0.6 ms to define, and the first one loads the standard library's
``inspect`` and all that it needs: together a sixth of what a process takes from nothing to its first verified token. So
what every start defines is one of these or, if it is read seldom, a ``NamedTuple``.
"""

from __future__ import annotations

from collections.abc import Mapping


class Frozen:
    """A value whose attributes are those in ``__slots__``. Its ``__init__`` hands them to :meth:`_fill`."""

    __slots__: tuple[str, ...] = ()

    def _fill(self, values: Mapping[str, object]) -> None:
        for name in self.__slots__:
            object.__setattr__(self, name, values[name])

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__} is never changed: make another one")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{type(self).__name__} is never changed: make another one")
