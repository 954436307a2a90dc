"""An exchange over a transport that somebody has given: httpx's, or that of httpx2, its successor.

What is used of the library is its transports. A client would only have to be talked out of redirects, cookies, proxies
and credentials found in the environment, and decoding.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any

from .exchange import CONNECT_TIMEOUT, MAX_BODY, TOTAL_TIMEOUT, FetchFailed, HttpAnswer, encoded, one_line, too_large

if TYPE_CHECKING:
    import httpx

    from .attempt import Attempt

_LOADED_LATE = ("encodings.idna", "httpcore", "httpcore2")  # by the socket module for a host's name, and by transports


class OverTransport:
    """Leaves the connection to *transport*, which stays its owner's to close."""

    authorities = None

    def __init__(self, transport: httpx.BaseTransport) -> None:
        self._transport = transport
        self._library: Any = import_module(_library_of(transport))
        for name in _LOADED_LATE:
            with suppress(ImportError):
                import_module(name)
        self._timeout = self._library.Timeout(TOTAL_TIMEOUT, connect=CONNECT_TIMEOUT).as_dict()

    def send(self, method: str, url: str, attempt: Attempt, headers: Mapping[str, str], body: bytes) -> HttpAnswer:
        """One request and its whole answer, or :class:`FetchFailed`."""
        extensions = {"timeout": self._timeout, "trace": _watching(attempt)}
        try:
            request = self._library.Request(method, url, headers=headers, content=body or None, extensions=extensions)
            return _exchanged(self._transport, request)
        except self._library.InvalidURL:
            raise FetchFailed("the URL cannot be read") from None
        except self._library.HTTPError as error:
            raise FetchFailed(f"{type(error).__name__}: {self._reason(error)}") from None

    def _reason(self, error: httpx.HTTPError) -> str:
        """The respect in which the protocol was broken, and no more: the text goes on to quote what was sent."""
        text = one_line(error)
        return text.partition(":")[0] if isinstance(error, self._library.ProtocolError) else text


def _library_of(transport: object) -> str:
    """The library whose requests *transport* takes: httpx2's own transports take no others than its own."""
    theirs = getattr(sys.modules.get("httpx2"), "BaseTransport", None)
    return "httpx2" if theirs is not None and isinstance(transport, theirs) else "httpx"


def _exchanged(transport: httpx.BaseTransport, request: httpx.Request) -> HttpAnswer:
    response = transport.handle_request(request)
    try:
        if response.headers.get("content-encoding", "identity").strip().lower() != "identity":
            raise encoded()
        body = _whole(response)
    finally:
        response.close()
    return HttpAnswer(response.status_code, {name.lower(): value for name, value in response.headers.items()}, body)


def _whole(response: httpx.Response) -> bytes:
    body = bytearray()
    for chunk in response.iter_bytes():  # nothing is decoded: there is no content-encoding
        body += chunk
        if len(body) > MAX_BODY:
            raise too_large()
    return bytes(body)


def _watching(attempt: Attempt) -> Callable[[str, Mapping[str, Any]], None]:
    """An httpcore trace that gives *attempt* each socket, plain, to a proxy, or with TLS, as soon as there is one."""

    def trace(event: str, info: Mapping[str, Any]) -> None:
        if event.endswith((".connect_tcp.complete", ".connect_unix_socket.complete", ".start_tls.complete")):
            sock = info["return_value"].get_extra_info("socket")
            if sock is not None:
                attempt.add(sock)

    return trace
