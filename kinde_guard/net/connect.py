"""A connection to a host, by the first of its addresses that answers (RFC 8305, Happy Eyeballs).

A host has several addresses, and any of them may be dead: a whole family of them where a network has IPv6 in name
only. The next is tried as soon as one has failed, or has not answered for a quarter of a second; the others go on
meanwhile. So a dead address costs that quarter of a second, and not the patience for a connection.

Sockets do not block here. Every one is given to the :class:`Attempt` before it is connected, so that it can be cut.
"""

from __future__ import annotations

import errno
import os
import selectors
import socket
import time
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import chain, zip_longest
from typing import TYPE_CHECKING, Any

from .exchange import CONNECT_TIMEOUT, TOTAL_TIMEOUT, FetchFailed, one_line

if TYPE_CHECKING:
    from .attempt import Attempt

ATTEMPT_DELAY = 0.25  # RFC 8305 §5, Connection Attempt Delay
_UNDER_WAY = (0, errno.EINPROGRESS, errno.EWOULDBLOCK)
AddressInfo = tuple[Any, Any, int, str, Any]
"""An element of what ``socket.getaddrinfo`` returns."""


def connected(host: str, port: int, attempt: Attempt) -> socket.socket:
    """A connected socket, which does not block."""
    race = _Race(interleaved(_resolved(host, port, attempt)), attempt)
    try:
        return race.winner()
    except TimeoutError:
        raise FetchFailed("ConnectTimeout: timed out") from None
    except OSError as error:
        raise FetchFailed(f"ConnectError: {one_line(error)}") from None
    finally:
        race.close()


def interleaved(addresses: Iterable[AddressInfo]) -> list[AddressInfo]:
    """The addresses in the order given, but families by turns (RFC 8305 §4): one that is dead is left after one
    address."""
    families: dict[int, list[AddressInfo]] = {}
    for address in addresses:
        families.setdefault(address[0], []).append(address)
    return [address for address in chain(*zip_longest(*families.values())) if address is not None]


def _resolved(host: str, port: int, attempt: Attempt) -> list[AddressInfo]:
    """Once for each connection. Nothing can hurry a look-up, or end it: see :mod:`kinde_guard.net.flight`."""
    try:
        with attempt.hanging_in(f"the look-up of {host}"):
            return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise FetchFailed(f"ConnectError: {one_line(error)}") from None


class _Race:
    """The attempts under way, one for each address, started a quarter of a second apart."""

    def __init__(self, addresses: Iterable[AddressInfo], attempt: Attempt) -> None:
        self._left = deque(addresses)
        self._attempt = attempt
        # Looked up each time: gevent has another one since it replaced what blocks.
        self._selector = selectors.DefaultSelector()
        self._ends: dict[socket.socket, float] = {}
        """Until when each of those under way is waited for."""
        self._next_at = time.monotonic()
        self._failure: OSError = OSError("the host has no address")

    def winner(self) -> socket.socket:
        """The first socket that is connected; raises the last failure if none ever is."""
        while (self._left or self._ends) and not self._attempt.over:
            if self._left and time.monotonic() >= self._next_at:
                self._start(*self._left.popleft())
            for sock in self._settled():
                failed = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                self._leave(sock)
                if not failed:
                    return sock
                self._give_up(sock, OSError(failed, os.strerror(failed)))
        raise self._failure

    def close(self) -> None:
        """Ends every attempt that has not been won."""
        self._selector.close()
        for sock in self._ends:
            sock.close()

    def _start(self, family: Any, kind: Any, protocol: int, _: str, address: Any) -> None:
        try:
            sock = socket.socket(family, kind, protocol)
        except OSError as error:  # no such family here
            self._failure = error
            return
        sock.setblocking(False)
        self._attempt.add(sock)
        now = time.monotonic()
        self._next_at = now + ATTEMPT_DELAY
        failed = sock.connect_ex(address)
        if failed not in _UNDER_WAY:
            self._give_up(sock, OSError(failed, os.strerror(failed)))
            return
        self._ends[sock] = now + CONNECT_TIMEOUT
        self._selector.register(sock, selectors.EVENT_WRITE)

    def _settled(self) -> Iterator[socket.socket]:
        """Those that are connected or have failed, if need be after some waiting."""
        if not self._ends:
            return
        until = min(self._ends.values())
        until = min(until, self._next_at) if self._left else until
        for key, _ in self._selector.select(max(0.0, until - time.monotonic())):
            yield key.fileobj  # type: ignore[misc]  # what was registered
        for sock in [sock for sock, end in self._ends.items() if time.monotonic() >= end]:
            self._leave(sock)
            self._give_up(sock, TimeoutError("timed out"))

    def _leave(self, sock: socket.socket) -> None:
        self._selector.unregister(sock)
        del self._ends[sock]

    def _give_up(self, sock: socket.socket, failure: OSError) -> None:
        sock.close()
        self._failure = failure
        self._next_at = time.monotonic()  # RFC 8305 §5: no need to wait for what has failed


class Plain:
    """The bytes of a connection. Whatever keeps it waiting for longer than it is given is a ``TimeoutError``."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    def send(self, data: bytes, seconds: float = TOTAL_TIMEOUT) -> None:
        """All of *data*."""
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[self._sock.send(rest) :]
            except BlockingIOError:
                self._wait(selectors.EVENT_WRITE, seconds)

    def receive(self, seconds: float = TOTAL_TIMEOUT) -> bytes:
        """Some bytes; none at the end."""
        while True:
            try:
                return self._sock.recv(65_536)
            except BlockingIOError:
                self._wait(selectors.EVENT_READ, seconds)

    def close(self) -> None:
        """End the connection."""
        self._sock.close()

    def _wait(self, event: int, seconds: float) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._sock, event)
            if not selector.select(max(0.0, seconds)):
                raise TimeoutError("timed out")
