"""The token on the requests of ``aiohttp``: the library is imported here alone, and only when it is asked for."""

from __future__ import annotations

try:
    from aiohttp import ClientHandlerType, ClientMiddlewareType, ClientRequest, ClientResponse
    from aiohttp.payload import BytesPayload
    from yarl import URL
except ImportError as missing:  # not there, or older
    raise ImportError("aiohttp_middleware needs aiohttp 3.12: pip install 'aiohttp>=3.12'", name="aiohttp") from missing

from ..errors import ConfigurationError
from .client import ClientCredentials
from .holder import Sent, TokenHolder
from .origins import Origin, origin
from .token_request import Held

_NO_BODY = b""


def aiohttp_middleware(credentials: ClientCredentials) -> ClientMiddlewareType:
    """A middleware for ``aiohttp.ClientSession(middlewares=[…])``: the token of *credentials* on requests to their API.

    They have to name it, ``ClientCredentials(api="https://api.acme.com")``, else this raises
    :class:`ConfigurationError`: aiohttp asks a middleware for every step of a redirect anew and does not say that it is
    one, and a token is for no other origin than the first.

    One for all sessions. A 401 to a token older than 60 s is met once with another token, where the body is in memory
    (bytes, text, JSON, form; no file, no multipart, no generator). Where there is no token, the request raises
    :class:`TokenRequestFailed` and is not sent. It needs aiohttp 3.12.
    """
    holder = credentials.holder
    if holder.origins.api is None:
        raise ConfigurationError(
            "aiohttp_middleware needs to know which API the token is for, as aiohttp does not tell a redirect to "
            "elsewhere from a request: ClientCredentials(api='https://api.acme.com')"
        )

    async def put_token(request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
        if not holder.origins.carry(_origin_of(request.url)):
            return await handler(request)
        return await _exchange(holder, request, handler)

    return put_token


async def _exchange(holder: TokenHolder, request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
    held = await holder.aget()
    response = await handler(_signed(request, held))
    other = await holder.aother_for(held, _sent(request, response))
    if other is None:
        return response
    response.close()  # unread: it may have no end, and nobody has asked for it
    response = await handler(_signed(request, other))
    holder.judge(other, response.status)
    return response


def _signed(request: ClientRequest, held: Held) -> ClientRequest:
    request.headers["Authorization"] = held.authorization
    return request


def _sent(request: ClientRequest, response: ClientResponse) -> Sent:
    return Sent(
        response.status,
        _origin_of(request.url),
        request.headers.get("Authorization"),
        repeatable=request.body == _NO_BODY or isinstance(request.body, BytesPayload),
    )


def _origin_of(url: URL) -> Origin:
    return origin(url.scheme, url.raw_host or "", url.port)
