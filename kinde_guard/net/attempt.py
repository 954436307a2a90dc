"""One attempt at a call: its sockets, and whether anybody waits for it still. Whatever does the work is given it."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress


class Frozen(Exception):
    """A call has failed, and the process was frozen while it was under way: the failure tells nothing."""


class Attempt:
    """An attempt has sockets, which are cut when its time is up. A call that a freeze has cut is attempted anew."""

    def __init__(self, frozen: Callable[[], bool] = lambda: False) -> None:
        self._sockets: list[socket.socket] = []
        self._frozen = frozen
        self.over = False
        """Nobody waits any more: whoever could start something new should not."""
        self.hangs_in = ""
        """What the working thread is in that has no socket to be cut; empty if nothing."""

    def add(self, sock: socket.socket) -> None:
        """Called by the working thread as soon as it has a socket."""
        self._sockets.append(sock)
        if self.over:  # the deadline passed while the connection was being made
            self.cut()

    @contextmanager
    def hanging_in(self, what: str) -> Iterator[None]:
        """Around something that cannot be cut, in words for a log."""
        self.hangs_in = what
        try:
            yield
        finally:
            self.hangs_in = ""

    def failed(self) -> None:
        """Called by the working thread before it says that it has failed; raises :class:`Frozen` if that counts for
        nothing."""
        if self._frozen():
            raise Frozen

    def cut(self) -> None:
        """End every read and write on the sockets at once; called when the time is up."""
        self.over = True
        for sock in self._sockets:
            with suppress(OSError):  # closed already
                # The base class's method: SSLSocket.shutdown would take the TLS state away from under the reader.
                socket.socket.shutdown(sock, socket.SHUT_RDWR)
