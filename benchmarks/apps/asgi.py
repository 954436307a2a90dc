"""Pure ASGI: an app of one answer behind a middleware."""

from __future__ import annotations

from typing import Any

from kinde_guard import Guard
from kinde_guard.asgi import GuardMiddleware

from ..peers import Verify
from . import claims

BODY = b'{"ok":true}'
OK = {
    "type": "http.response.start",
    "status": 200,
    "headers": [(b"content-type", b"application/json"), (b"content-length", b"11")],
}
NO = {"type": "http.response.start", "status": 401, "headers": [(b"www-authenticate", b"Bearer")]}


async def app(scope: Any, receive: Any, send: Any) -> None:
    await send(OK)
    await send({"type": "http.response.body", "body": BODY})


class Nothing:
    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app(scope, receive, send)


class ByHand:
    def __init__(self, app: Any, verify: Verify) -> None:
        self.app = app
        self.verify = verify

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            header = dict(scope["headers"]).get(b"authorization", b"").decode("latin-1")
            scope["claims"] = self.verify(claims.bearer(header))
        except Exception:
            await send(NO)
            await send({"type": "http.response.body", "body": b""})
            return
        await self.app(scope, receive, send)


def nothing() -> Any:
    return Nothing(app)


def guarded(guard: Guard) -> Any:
    return GuardMiddleware(app, guard)


def by_hand(verify: Verify) -> Any:
    return ByHand(app, verify)
