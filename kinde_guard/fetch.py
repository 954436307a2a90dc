"""One bounded HTTP exchange: no redirects, no cookies, no credentials of its own, no content-encoding, 512 KiB.

Used by the key store and by the client half, each in the thread of a :class:`~kinde_guard.flight.Flight`, which also
enforces the total time: the timeouts below bound a single read, and a server that drips a byte a second would never
exceed them.

What is used of httpx is its transports. A client would only have to be talked out of redirects, cookies, proxies and
credentials found in the environment, and decoding.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any

from .flight import Watch

if TYPE_CHECKING:
    import httpx

CONNECT_TIMEOUT = 2.0
TOTAL_TIMEOUT = 5.0
MAX_BODY = 512 * 1024
# A connection is for one exchange: one that a pool had kept could not be watched from its beginning, and would be
# shared with a forked child.
_HEADERS = {"accept-encoding": "identity", "connection": "close", "user-agent": "kinde_guard"}

_LOADED_LATE = ("encodings.idna", "httpcore")  # by the socket module for a host's name, and by httpx


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer. Header names are in lower case. Its ``repr`` shows no body: that may be a token."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


class FetchFailed(Exception):
    """There is no whole answer; the text says why, in words fit for a log (no header, no body, no credentials)."""


class Fetcher:
    """Makes exchanges, over *transport* (an ``httpx.BaseTransport``) or over a new connection each."""

    def __init__(self, transport: httpx.BaseTransport | None = None) -> None:
        # Whatever a fetch needs is loaded here, in the caller's thread: a process that forks while another thread is
        # in the middle of an import leaves the child waiting for that import for ever.
        import ssl

        import httpx

        for name in _LOADED_LATE:
            import_module(name)
        self._httpx = httpx
        self._timeout = httpx.Timeout(TOTAL_TIMEOUT, connect=CONNECT_TIMEOUT).as_dict()
        self._given = transport
        self._ssl = ssl
        self._verify: ssl.SSLContext | None = httpx.create_ssl_context(trust_env=False) if transport is None else None

    def send(self, method: str, url: str, watch: Watch, *, headers: Mapping[str, str], body: bytes = b"") -> Answer:
        """One request and its whole answer, or :class:`FetchFailed`."""
        request = self._httpx.Request(
            method,
            url,
            headers={**_HEADERS, **headers},
            content=body or None,
            extensions={"timeout": self._timeout, "trace": _watching(watch)},
        )
        try:
            with self._transport() as transport:
                return _exchange(transport, request)
        except self._httpx.HTTPError as error:
            raise FetchFailed(f"{type(error).__name__}: {self._reason(error)}") from None

    def _transport(self) -> AbstractContextManager[httpx.BaseTransport]:
        if self._given is not None:
            return nullcontext(self._given)  # the user's transport is the user's to close
        if not isinstance(self._verify, self._ssl.SSLContext):  # gevent has put another class in its place since
            self._verify = self._httpx.create_ssl_context(trust_env=False)
        return self._httpx.HTTPTransport(verify=self._verify, trust_env=False)

    def _reason(self, error: httpx.HTTPError) -> str:
        """Of what broke the protocol, only in which respect: the text goes on to quote what was sent."""
        text = one_line(error)
        return text.partition(":")[0] if isinstance(error, self._httpx.ProtocolError) else text


def one_line(error: BaseException) -> str:
    """The text of an error, in one bounded line."""
    return " ".join(str(error).split())[:200] or "no further detail"


def _exchange(transport: httpx.BaseTransport, request: httpx.Request) -> Answer:
    response = transport.handle_request(request)
    try:
        if response.headers.get("content-encoding", "identity").strip().lower() != "identity":
            raise FetchFailed("the answer has a content-encoding, which was not asked for")
        body = _whole(response)
    finally:
        response.close()
    return Answer(response.status_code, {name.lower(): value for name, value in response.headers.items()}, body)


def _whole(response: httpx.Response) -> bytes:
    body = bytearray()
    for chunk in response.iter_bytes():  # nothing is decoded: there is no content-encoding
        body += chunk
        if len(body) > MAX_BODY:
            raise FetchFailed(f"the answer is larger than {MAX_BODY // 1024} KiB")
    return bytes(body)


def _watching(watch: Watch) -> Callable[[str, Mapping[str, Any]], None]:
    """An httpcore trace that gives *watch* each socket, plain, to a proxy, or with TLS, as soon as there is one."""

    def trace(event: str, info: Mapping[str, Any]) -> None:
        if event.endswith((".connect_tcp.complete", ".connect_unix_socket.complete", ".start_tls.complete")):
            sock = info["return_value"].get_extra_info("socket")
            if sock is not None:
                watch.add(sock)

    return trace
