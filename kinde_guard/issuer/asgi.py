"""A local Kinde as an ASGI app, for a server on loopback. No framework."""

from __future__ import annotations

from . import control, service
from .delivery import Message, Receive, Send, deliver, write
from .endpoints.paths import place_of
from .messages import MAX_BODY, Request
from .tenant import Tenant


class IssuerApp:
    """The ASGI app of *tenant* reads a request whole, has it answered, and delivers the answer, broken or not."""

    def __init__(self, tenant: Tenant) -> None:
        self._tenant = tenant

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1000})
        elif scope["type"] == "http":
            body = await _body(receive)
            if body is not None:
                await self._answer(scope, _request(scope, body), receive, send)

    async def _answer(self, scope: Message, request: Request, receive: Receive, send: Send) -> None:
        if request.path in control.ROUTES:
            await write(control.respond(self._tenant, request, scope.get("client")), send)
            return
        place = place_of(request.path) or "discovery"
        fault = self._tenant.faults.get(place)
        answer = service.answer(self._tenant, request) or service.DOWN
        await deliver(answer, receive, send, mended=lambda: self._tenant.faults.get(place) is not fault)


def _request(scope: Message, body: bytes) -> Request:
    headers: dict[str, str] = {}
    for name, value in ((name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]):
        # RFC 9110 §5.2: none of several is passed over, least of all a second Host or Origin.
        headers[name] = f"{headers[name]}{'; ' if name == 'cookie' else ', '}{value}" if name in headers else value
    query, client = scope["query_string"].decode("latin-1"), scope.get("client")
    return Request(scope["method"], scope["path"], headers, body, query, None if client is None else tuple(client))


async def _body(receive: Receive) -> bytes | None:
    """The whole body, or just more of it than is allowed; ``None`` if the client went away."""
    body, more = b"", True
    while more and len(body) <= MAX_BODY:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
