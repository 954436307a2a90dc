"""What a fork must not cut in two.

OpenSSL keeps locks of its own for the whole process, and a forked child gets a copy of each as it stands: one that was
held in that moment is never let go, and the child's next call of OpenSSL waits for it, with the interpreter's lock in
its hand. So whatever this package has OpenSSL do takes :data:`steady` first. Nothing waits for a network, nor for
anything else, while it is held.
"""

from __future__ import annotations

import os
import threading


class _Steady:
    """A lock, held while a step is taken that a fork must not cut. A thread that holds it may fork all the same: out
    of a signal handler, which Python runs between two such steps and never within one."""

    def __init__(self) -> None:
        self.renew()

    def renew(self) -> None:
        """A forked child has a lock of its own, which nobody holds."""
        self._lock = threading.RLock()

    def take(self) -> None:
        self._lock.acquire()

    def let_go(self) -> None:
        self._lock.release()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()


steady = _Steady()

if hasattr(os, "register_at_fork"):  # pragma: no branch
    os.register_at_fork(before=steady.take, after_in_parent=steady.let_go, after_in_child=steady.renew)
