"""Local issuers behind an httpx client, without a socket. The one module here that needs httpx."""

from __future__ import annotations

from collections.abc import Mapping

import httpx

from .messages import Delivery, Request
from .service import answer
from .tenant import Tenant


class LocalTransport(httpx.BaseTransport, httpx.AsyncBaseTransport):
    """A transport to *issuers* and nobody else; for ``httpx.Client``, ``AsyncClient`` and ``Guard(transport=…)``."""

    def __init__(self, *issuers: Tenant) -> None:
        self._issuers = {_origin(httpx.URL(issuer.url)): issuer for issuer in issuers}

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """The answer to a request of an ``httpx.Client``."""
        return self._answered(request, request.read())

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """The answer to a request of an ``httpx.AsyncClient``."""
        return self._answered(request, await request.aread())

    def _answered(self, request: httpx.Request, body: bytes) -> httpx.Response:
        issuer, url = self._issuers.get(_origin(request.url)), request.url
        if issuer is None:
            raise httpx.ConnectError("no local issuer has this address", request=request)
        headers = {name.lower(): value for name, value in request.headers.items()}
        response = answer(issuer, Request(request.method, url.path, headers, body, url.query.decode("ascii")))
        if response is None:
            raise httpx.ConnectError("the local issuer is down", request=request)
        if response.delivery != "whole":
            raise _lost(response.delivery, request)
        stream = httpx.ByteStream(response.body)  # not content=, which would unpack what is packed
        return httpx.Response(response.status, headers=dict(response.headers), stream=stream, request=request)


def _lost(delivery: Delivery, request: httpx.Request) -> httpx.TransportError:
    """What a client sees of an answer that does not arrive. Nobody really waits: a slow one has run out of time."""
    error, text = _LOST[delivery]
    return error(text, request=request)


_LOST: Mapping[Delivery, tuple[type[httpx.TransportError], str]] = {
    "refused": (httpx.ConnectError, "the local issuer refuses connections"),
    "wrong_tls_name": (httpx.ConnectError, "the certificate of the local issuer is for another name"),
    "hanging": (httpx.ReadTimeout, "the local issuer hangs"),
    "dripping": (httpx.ReadTimeout, "the local issuer drips"),
    "cut": (httpx.RemoteProtocolError, "the local issuer hung up before its answer was complete"),
}


def _origin(url: httpx.URL) -> tuple[str, str, int]:
    return url.scheme, url.host, url.port or {"https": 443, "http": 80}.get(url.scheme, 0)
