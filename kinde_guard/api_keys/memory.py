"""What is remembered of keys, bounded in number; and how many calls are made in a minute."""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import Generic, TypeVar

from ..net import forks

K = TypeVar("K")
V = TypeVar("V")
MINUTE = 60.0


class Remembered(Generic[K, V]):
    """Values by key, *most* of them: of more, what was put in or kept first is forgotten. Looking takes no lock."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._values: OrderedDict[K, V] = OrderedDict()
        self._lock = forks.Lock()
        self.find = self._values.get

    def __len__(self) -> int:
        return len(self._values)

    def put(self, key: K, value: V) -> None:
        """Remember it, as the youngest."""
        with self._lock.now:
            self._values.pop(key, None)
            while len(self._values) >= self._most:
                self._values.popitem(last=False)
            self._values[key] = value

    def exchange(self, key: K, held: V, value: V) -> None:
        """Remember *value*, if what is remembered is *held* still: somebody else may know better by now."""
        with self._lock.now:
            if self._values.get(key) is held:
                self._values[key] = value

    def drop(self, key: K) -> None:
        """Forget it, if it is there."""
        with self._lock.now:
            self._values.pop(key, None)


class Budget:
    """Calls, *most* of them in a minute, but for those that are given back."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._made: deque[float] = deque()
        self._lock = forks.Lock()

    def wait(self, now: float) -> float:
        """0 if one more call may be made, which is counted; else the seconds until that."""
        with self._lock.now:
            while self._made and now - self._made[0] >= MINUTE:
                self._made.popleft()
            if len(self._made) >= self._most:
                return self._made[0] + MINUTE - now
            self._made.append(now)
            return 0.0

    def give_back(self) -> None:
        """The last call is not to count."""
        with self._lock.now:
            if self._made:
                self._made.pop()
