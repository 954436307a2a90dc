"""What a fork must not cut in two, and what a forked child needs anew.

OpenSSL keeps locks for the whole process, and a child gets a copy of each as it stands: one that was held in that
moment is never let go, and the child's next call of OpenSSL waits for it, with the interpreter's own lock in its hand.
Nothing in the child helps then. So a fork waits for two things:

* for the step that is being taken. Whatever this package has OpenSSL do in a thread of its own, it does with
  :data:`steady` in hand; nothing waits for a network, nor for anything else, while that is held.
* for threads that are *ending*: OpenSSL clears up after each, when Python has long said that it is over. A thread says
  :func:`ending` last of all, and is waited for until the system has it no more, a quarter of a second at most.

Python's own locks are copied as they stand, too. :class:`Lock` is one that a child has anew.
"""

from __future__ import annotations

import os
import sys
import threading
import time
import weakref
from typing import TYPE_CHECKING, Protocol

PATIENCE = 0.25
_TASKS = "/proc/self/task"  # Linux; elsewhere nothing tells, and nothing is waited for


class _Steady:
    """A lock, held while a step is taken that a fork must not cut. The thread that holds it may fork all the same: out
    of a signal handler, which Python runs between such steps and never within one."""

    def __init__(self) -> None:
        self.renew()

    def renew(self) -> None:
        self._lock = threading.RLock()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()


steady = _Steady()
_ending: set[int] = set()
_anew: weakref.WeakSet[Renewed] = weakref.WeakSet()


class Renewed(Protocol):
    """Something that a forked child needs anew."""

    def renew(self) -> None:
        """Be as it was when it was made."""


def when_forked(something: Renewed) -> None:
    """Have *something* renewed in every forked child, before anything else is done there."""
    _anew.add(something)


class Lock:
    """A lock that nobody holds in a forked child: ``with lock.now: …``."""

    def __init__(self) -> None:
        self.renew()
        when_forked(self)

    def renew(self) -> None:
        """Another one, which is free."""
        self.now = threading.Lock()


if TYPE_CHECKING:
    import functools

    once = functools.cached_property
else:

    class once:  # noqa: N801  # as property is
        """A property that is made when it is first asked for, and kept. Until Python 3.12 ``functools.cached_property``
        takes a lock meanwhile, which is one for all objects of the class."""

        def __init__(self, make):
            self._make, self._name, self.__doc__ = make, make.__name__, make.__doc__

        def __get__(self, found, owner=None):
            return self if found is None else vars(found).setdefault(self._name, self._make(found))


def ending() -> None:
    """Called by a thread that may have used OpenSSL, as the last thing it does."""
    with steady:  # or it could end in the middle of a fork
        _ending.add(threading.get_native_id())
        _forget_the_gone()


def _forget_the_gone() -> None:
    _ending.difference_update([thread for thread in _ending if not os.path.exists(f"{_TASKS}/{thread}")])


def _before() -> None:  # pragma: no cover  # it is called where no tracer is
    steady.__enter__()
    _ending.discard(threading.get_native_id())  # it was a greenlet in this very thread that ended
    end = time.monotonic() + PATIENCE
    _forget_the_gone()
    while _ending and time.monotonic() < end:
        _sleep(0.0005)
        _forget_the_gone()
    _ending.clear()


def _sleep(seconds: float) -> None:  # pragma: no cover  # the same
    """Sleep with the whole thread: gevent's would go on with others of it, while the lock is held."""
    monkey = sys.modules.get("gevent.monkey")
    sleep = time.sleep if monkey is None else monkey.get_original("time", "sleep")
    sleep(seconds)


def _in_child() -> None:  # pragma: no cover  # the same
    steady.renew()
    _ending.clear()
    for something in list(_anew):
        something.renew()


if hasattr(os, "register_at_fork"):  # pragma: no branch
    os.register_at_fork(before=_before, after_in_parent=steady.__exit__, after_in_child=_in_child)
