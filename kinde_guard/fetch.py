"""One bounded HTTP exchange: no redirects, no cookies, no credentials of its own, no content-encoding, 512 KiB.

Used by the key store and by the client half, each in the thread of a :class:`~kinde_guard.flight.Flight`, which also
enforces the total time: the timeouts below bound a single read, and a server that drips a byte a second would never
exceed them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .flight import Watch

if TYPE_CHECKING:
    import httpx

CONNECT_TIMEOUT = 2.0
TOTAL_TIMEOUT = 5.0
MAX_BODY = 512 * 1024
_HEADERS = {"accept-encoding": "identity", "user-agent": "kinde_guard"}


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class FetchFailed(Exception):
    """There is no whole answer; the text says why, in words fit for a log (no header, no body, no credentials)."""


class Fetcher:
    """Makes exchanges, over *transport* (an ``httpx.BaseTransport``) or over a new connection each."""

    def __init__(self, transport: httpx.BaseTransport | None = None) -> None:
        # Whatever a fetch needs is loaded here, in the caller's thread: a process that forks while another thread is
        # in the middle of an import leaves the child waiting for that import for ever.
        import ssl

        import httpx

        self._httpx = httpx
        self._timeout = httpx.Timeout(TOTAL_TIMEOUT, connect=CONNECT_TIMEOUT)
        self._verify: ssl.SSLContext | None = None if transport else httpx.create_ssl_context(trust_env=False)
        self._kept = self._new_client(transport) if transport else None
        self._rehearse()

    def send(self, method: str, url: str, watch: Watch, *, headers: Mapping[str, str], body: bytes = b"") -> Answer:
        """One request and its whole answer, or :class:`FetchFailed`."""
        try:
            with self._client() as client:
                return self._send(client, method, url, watch, {**_HEADERS, **headers}, body)
        except self._httpx.HTTPError as error:
            raise FetchFailed(f"{type(error).__name__}: {_reason(error)}") from None

    def _client(self) -> AbstractContextManager[httpx.Client]:
        if self._kept is not None:
            return nullcontext(self._kept)  # the user's transport is the user's to close
        assert self._verify is not None
        return self._new_client(self._httpx.HTTPTransport(verify=self._verify, trust_env=False))

    def _new_client(self, transport: httpx.BaseTransport) -> httpx.Client:
        return self._httpx.Client(
            transport=transport, timeout=self._timeout, trust_env=False, follow_redirects=False, headers={}
        )

    @staticmethod
    def _send(
        client: httpx.Client, method: str, url: str, watch: Watch, headers: Mapping[str, str], body: bytes
    ) -> Answer:
        request = client.build_request(
            method, url, headers=headers, content=body or None, extensions={"trace": _watching(watch)}
        )
        response = client.send(request, stream=True, auth=None)
        try:
            encoding = response.headers.get("content-encoding", "identity").strip().lower()
            if encoding != "identity":
                raise FetchFailed("the answer has a content-encoding, which was not asked for")
            content = _whole(response)
        finally:
            response.close()
        return Answer(response.status_code, {k.lower(): v for k, v in response.headers.items()}, content)

    def _rehearse(self) -> None:
        """One exchange with nobody, so that whatever httpx loads late is loaded now."""
        httpx = self._httpx
        reply = httpx.MockTransport(lambda request: httpx.Response(200, content=b"{}"))
        with self._new_client(reply) as client:
            self._send(client, "GET", "https://localhost/", Watch(), _HEADERS, b"")


def _whole(response: httpx.Response) -> bytes:
    content = bytearray()
    for chunk in response.iter_bytes():  # nothing is decoded: there is no content-encoding
        content += chunk
        if len(content) > MAX_BODY:
            raise FetchFailed(f"the answer is larger than {MAX_BODY // 1024} KiB")
    return bytes(content)


def _watching(watch: Watch) -> Callable[[str, Mapping[str, Any]], None]:
    """An httpcore trace that gives *watch* each socket as soon as there is one."""

    def trace(event: str, info: Mapping[str, Any]) -> None:
        if event in ("connection.connect_tcp.complete", "connection.start_tls.complete"):
            sock = info["return_value"].get_extra_info("socket")
            if sock is not None:
                watch.add(sock)

    return trace


def _reason(error: Exception) -> str:
    """The text of a network error, which names no more than an address and an errno, in one bounded line."""
    return " ".join(str(error).split())[:200] or "no further detail"
