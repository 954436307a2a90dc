"""The gate in front of an MCP endpoint: who calls, what for, and whether that caller may, before anything runs.

What is judged is the body, and the very body that is judged is handed on. A request that carries a token is told
whether it holds, whatever it asks for; one that carries none may ask for what is public.
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from mcp.server.auth.middleware.auth_context import auth_context_var

from .. import adapters
from ..adapters import AccessToken, Requirement, asgi_scope
from ..asgi import ASGIApp, Message, Receive, Scope, Send
from ..errors import AuthError, MissingToken, Unavailable
from ..requirements import authenticated
from .mcp_calls import MOST_BYTES, NAMED_BY, Asked, Unreadable, read, too_large
from .mcp_decorators import CALL, Call
from .mcp_endpoint import Endpoint


class McpGate:
    """The gate in front of *app*, which is the endpoint or what is around it alone."""

    def __init__(self, app: ASGIApp, endpoint: Endpoint, most_bytes: Callable[[], int] = lambda: MOST_BYTES) -> None:
        self.app = app
        self.endpoint = endpoint
        self._most_bytes = most_bytes
        self.checked = False

    async def check(self) -> None:
        """Look at what the server has, once. Raises :class:`ConfigurationError`."""
        if not self.checked:
            await self.endpoint.demands.check(self.endpoint.public or frozenset())
            self.checked = True

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.check()
        asgi_scope.attach(scope, self.endpoint.attached)
        guard = self.endpoint.attached.ready()
        try:
            call, asked, receive = await self._admitted(scope, guard, receive)
        except Unreadable as error:
            return await _answer(send, error.status, [(b"content-type", b"application/json")], error.body)
        except (AuthError, Unavailable) as refusal:
            asgi_scope.note_refusal(scope, self.endpoint.attached)
            return await self._refuse(refusal, scope, send)
        if asked is not None and asked.method in NAMED_BY:
            send = self._answering_refusals(call, scope, send)
        return await self._pass_on(call, scope, receive, send)

    async def _admitted(
        self, scope: Scope, guard: adapters.Authenticator, receive: Receive
    ) -> tuple[Call, Asked | None, Receive]:
        """Raises what refuses the request. Strangers' bodies are not read where nothing is public."""
        call = Call(guard, await self._caller(scope, guard))
        public = self.endpoint.public
        if public is not None and not public and not self._passes(scope):
            await self._demand(authenticated, call, scope)
        if scope["method"] != "POST":
            return call, None, receive
        body = await _body(receive, self._most_bytes())
        asked = read(body)
        demand = await self.endpoint.demands.of(asked) if asked.about else None
        if demand is None and not self._is_public(asked):
            demand = authenticated
        if demand is not None:
            await self._demand(demand, call, scope)
        return call, asked, _replaying(body, receive)

    async def _caller(self, scope: Scope, guard: adapters.Authenticator) -> AccessToken | None:
        """Two headers are refused, and so is a bad token; none of ours is none."""
        if not asgi_scope.authorization(scope):
            return None
        try:
            return await self.endpoint.caller(scope, guard)
        except MissingToken:  # empty, or of another scheme
            return None

    async def _demand(self, demand: Requirement, call: Call, scope: Scope) -> None:
        if call.token is None:
            call.token = await self.endpoint.caller(scope, call.guard)
        if demand is not authenticated:
            adapters.judge(call.guard, call.token, demand, scope)

    def _is_public(self, asked: Asked) -> bool:
        public = self.endpoint.public
        if public is None:
            return True
        return bool(public) and (asked.reaches_tools or asked.tool in public)

    def _passes(self, scope: Scope) -> bool:
        return self.endpoint.attached.preflights.passes and asgi_scope.is_cors_preflight(scope)

    async def _pass_on(self, call: Call, scope: Scope, receive: Receive, send: Send) -> None:
        user = None if call.token is None else self.endpoint.introduced(scope, call.token, call.guard)
        if user is not None:
            scope["user"] = user
        ours, theirs = CALL.set(call), auth_context_var.set(user)
        try:
            await self.app(scope, receive, send)
        finally:
            auth_context_var.reset(theirs)
            CALL.reset(ours)

    async def _refuse(self, refusal: AuthError | Unavailable, scope: Scope, send: Send) -> None:
        """The answer names *all* scopes that the server's tools need: clients ask for those alone (RFC 6750 §3)."""
        scopes = self.endpoint.demands.scopes()
        answer = adapters.answer(refusal, self.endpoint.metadata_url, scopes)
        headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in answer.all_headers]
        await _answer(send, answer.status, headers, answer.body)

    def _answering_refusals(self, call: Call, scope: Scope, send: Send) -> Send:
        """*send*, which holds the head of the answer back until there is a body: what was refused inside is answered
        by HTTP, where the answer has yet to begin."""
        held: list[Message] = []
        over = False

        async def sending(message: Message) -> None:
            nonlocal over
            if message["type"] == "http.response.start":
                held.append(message)
            elif held and call.refusal is not None and _tells_of_an_error(message):
                over = True
                held.clear()
                await self._refuse(call.refusal, scope, send)
            elif not over:
                for head in (*held, message):
                    await send(head)
                held.clear()

        return sending


class Starting:
    """Middleware that has *check* pass before the app starts, or the server is told what is wrong, and stops."""

    def __init__(self, app: ASGIApp, check: Callable[[], Awaitable[None]]) -> None:
        self.app = app
        self._check = check

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            return await self.app(scope, receive, send)
        problem = await self._problem()
        return await asgi_scope.run_lifespan(self.app, functools.partial(_raise, problem), scope, receive, send)

    async def _problem(self) -> Exception | None:
        try:
            await self._check()
        except Exception as error:
            return error
        return None


def _raise(problem: Exception | None) -> None:
    if problem is not None:
        raise problem


def _tells_of_an_error(message: Message) -> bool:
    """Whether a tool that has called what refused it has let the error out, and not made do without."""
    body = message.get("body", b"")
    return b'"error"' in body or b'"isError":true' in body


async def _answer(send: Send, status: int, headers: Iterable[tuple[bytes, bytes]], body: bytes) -> None:
    await send({"type": "http.response.start", "status": status, "headers": list(headers)})
    await send({"type": "http.response.body", "body": body})


async def _body(receive: Receive, most: int) -> bytes:
    """All of it. Raises :class:`Unreadable` if it is larger than *most*, or does not come to its end."""
    parts, size = [], 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise Unreadable(400, -32600, "Invalid Request: the body does not come to its end")
        part = message.get("body", b"")
        parts.append(part)
        size += len(part)
        if size > most:
            raise too_large(most)
        if not message.get("more_body", False):
            return b"".join(parts)


def _replaying(body: bytes, receive: Receive) -> Receive:
    """What the app receives: the very body that was judged, then whatever comes."""
    ahead: list[dict[str, Any]] = [{"type": "http.request", "body": body, "more_body": False}]

    def receiving() -> Awaitable[Message]:
        return _at_once(ahead.pop()) if ahead else receive()

    return receiving


async def _at_once(message: Message) -> Message:
    return message
