"""An exchange over a connection of its own, on the standard library: for whoever has given no transport."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from contextlib import closing
from importlib import import_module
from typing import TYPE_CHECKING, Protocol

from . import http1
from .connect import Plain, connected
from .exchange import FetchFailed, HttpAnswer, one_line
from .in_between import unused_proxy

if TYPE_CHECKING:
    import ssl

    from .attempt import Attempt
    from .tls import Authorities


class _Connection(Protocol):
    def send(self, data: bytes) -> None: ...
    def receive(self) -> bytes: ...
    def close(self) -> None: ...


class Direct:
    """Connects, asks, and hangs up. Environment variables for proxies are not looked at."""

    def __init__(self, tls: bool) -> None:
        """*tls*: whether hosts are asked over https. What that takes is loaded here and now, or never."""
        import_module("encodings.idna")  # by the socket module, for a host's name
        self.authorities: Authorities | None = None
        if tls:
            from .tls import Secured, authorities, context

            self.authorities = authorities()
            self._secured = Secured
            self._context: ssl.SSLContext = context(self.authorities)

    def send(self, method: str, url: str, attempt: Attempt, headers: Mapping[str, str], body: bytes) -> HttpAnswer:
        """One request and its whole answer, or :class:`FetchFailed`."""
        asked = http1.target(url)
        if asked.secure and self.authorities is None:
            raise FetchFailed("https was not prepared for")
        request = http1.request(method, asked, headers, body)
        with (
            closing(Plain(_connected(asked, attempt))) as plain,
            closing(self._opened(plain, asked)) as connection,
        ):
            try:
                connection.send(request)
            except OSError as error:
                raise _failed("Write", error) from None
            return http1.answer(lambda: _received(connection))

    def _opened(self, plain: Plain, asked: http1.Target) -> _Connection:
        if not asked.secure:
            return plain
        connection = self._secured(plain, self._context, asked.host)
        try:
            connection.shake_hands()
        except OSError as error:
            connection.close()
            raise _failed("Connect", error) from None
        return connection


def _connected(asked: http1.Target, attempt: Attempt) -> socket.socket:
    try:
        return connected(asked.host, asked.port, attempt)
    except FetchFailed as error:
        raise FetchFailed(f"{error}{unused_proxy(asked.host, os.environ)}") from None


def _received(connection: _Connection) -> bytes:
    try:
        return connection.receive()
    except OSError as error:
        raise _failed("Read", error) from None


def _failed(doing: str, error: OSError) -> FetchFailed:
    """The failure in the words that httpx has for it, as with a transport of its."""
    kind = "Timeout" if isinstance(error, TimeoutError) else "Error"
    return FetchFailed(f"{doing}{kind}: {one_line(error)}")
