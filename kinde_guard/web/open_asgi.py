"""WebSockets and streams of ASGI apps, which end when their token does; of asyncio or of trio, by anyio.

A WebSocket is closed with 1008, and what serves it is cancelled if it goes on for two seconds. A stream is cut at its
next chunk: whoever reads it sees that it is not whole.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import anyio

from ..net import joining
from ..tokens.access_token import AccessToken
from .open_token import OpenToken

if TYPE_CHECKING:
    from ..guard import Guard

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

PATIENCE = 2.0
"""Seconds from closing a WebSocket to cancelling what serves it."""
VIOLATION = 1008
"""Policy violation (RFC 6455 §7.4.1)."""


class Cut(OSError):
    """The stream is cut. Of the class that ASGI has for sending to somebody who has gone away."""


async def run(guard: Guard, app: App, scope: Scope, receive: Receive, send: Send) -> None:
    """Serve with *app*, until it is done or the token that it found for the request holds no longer."""
    if scope["type"] == "websocket":
        await _WebSocket(guard, scope, receive, send).run(app)
    else:
        await _Stream(guard, scope, send).run(app, receive)


class _Stream:
    """An answer, of which there may be more to come."""

    def __init__(self, guard: Guard, scope: Scope, send: Send) -> None:
        self._guard, self._scope, self._send = guard, scope, send
        self._open: OpenToken | None = None
        self._is_cut = False

    async def run(self, app: App, receive: Receive) -> None:
        try:
            await app(self._scope, receive, self._sending)
        except Exception:
            if not self._is_cut:
                raise
        finally:
            if self._open is not None:
                self._open.close()

    async def _sending(self, message: Message) -> None:
        if self._open is not None and self._open.is_over:
            if not self._is_cut:
                self._open.log_end()
            self._is_cut = True
            raise Cut("the token of this stream has expired or been revoked")
        await self._send(message)
        if self._open is None and message.get("more_body") and message["type"] == "http.response.body":
            self._open = _open(self._guard, self._scope)


class _WebSocket:
    """A connection, which nobody may write to for a long time."""

    def __init__(self, guard: Guard, scope: Scope, receive: Receive, send: Send) -> None:
        self._guard, self._scope, self._receive, self._send = guard, scope, receive, send
        self._receiving: anyio.CancelScope | None = None
        self._serving = anyio.CancelScope()
        self._is_over = False
        self._error: Exception | None = None

    async def run(self, app: App) -> None:
        async with anyio.create_task_group() as group:
            self._group = group
            with self._serving:
                try:
                    await app(self._scope, self._receive_or_end, self._send_or_end)
                except Exception as error:  # not through the group, which would make a group of it
                    self._error = error
            group.cancel_scope.cancel()
        if self._error is not None and not self._is_over:
            raise self._error

    async def _receive_or_end(self) -> Message:
        if not self._is_over:
            with anyio.CancelScope() as self._receiving:
                return await self._receive()
        return {"type": "websocket.disconnect", "code": VIOLATION, "reason": ""}

    async def _send_or_end(self, message: Message) -> None:
        if self._is_over:
            return
        await self._send(message)
        if message["type"] == "websocket.accept" and (token := _open(self._guard, self._scope)) is not None:
            self._group.start_soon(self._end_with, token)

    async def _end_with(self, token: OpenToken) -> None:
        try:
            while not token.is_over:
                await joining.ajoin(token.revoked, token.seconds_left)
            self._is_over = True
            token.log_end()
        finally:
            token.close()
        with suppress(Exception):  # it may have been closed just now
            await self._send({"type": "websocket.close", "code": VIOLATION, "reason": ""})
        if self._receiving is not None:
            self._receiving.cancel()
        await anyio.sleep(PATIENCE)
        self._serving.cancel()


def _open(guard: Guard, scope: Scope) -> OpenToken | None:
    """That of the request, if one was verified for it, by whichever guard."""
    token = scope.get("kinde_guard.token")
    return OpenToken(guard, token) if isinstance(token, AccessToken) else None
