"""Refusals as Starlette and FastAPI know them: exceptions of theirs, responses, and the handlers that an app has.

A refusal is raised as the framework's ``HTTPException``, so that an app which knows nothing of us answers it with the
right status and challenge; and the app's own handlers for it, if there are any, have the last word.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, cast

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..adapters import Refusal, answer, as_framework_error, asgi_scope
from ..errors import (
    AuthError,
    Forbidden,
    InsufficientScope,
    KeysUnavailable,
    KindeGuardError,
    MissingToken,
    Unavailable,
)
from .starlette_routes import is_async

_ONE_OF_EACH = (MissingToken(), InsufficientScope(("any",)), Forbidden("missing_permission"), KeysUnavailable(1))


class RefusalResponse(Response):
    """A refusal as a response: challenge and problem body."""

    def __init__(self, refusal: Refusal, metadata_url: str = "") -> None:
        self.refusal = refusal
        made = answer(refusal, metadata_url)
        super().__init__(made.body, made.status, dict(made.headers), made.media_type)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if asgi_scope.can_answer(scope):
            await super().__call__(scope, receive, send)
        else:
            await asgi_scope.refuse(self.refusal, scope, send)


def refused(error: Refusal, base: type[HTTPException] = HTTPException, metadata_url: str = "") -> HTTPException:
    """*error* as an exception of the framework's, and still what it was: ``except`` and handlers find it as either."""
    if isinstance(error, HTTPException):
        return error
    raised = as_framework_error(error, base)
    if metadata_url:
        raised.name_metadata(metadata_url)
    base.__init__(raised, raised.status, raised.detail, raised.headers)
    return cast(HTTPException, raised)


class Handlers:
    """An app's exception handlers for refusals: ours, which asks those that the app has itself first.

    A refusal is raised as *http_exception*, besides the :class:`AuthError` that it is.
    """

    def __init__(self, http_exception: type[HTTPException]) -> None:
        self._http_exception = http_exception

    def add_to(self, app: Starlette) -> None:
        """Be the handler of *app* for refusals, and pass those on that it has a handler of its own for."""
        app.exception_handlers.setdefault(KindeGuardError, self.answer)
        if getattr(app.build_middleware_stack, "func", None) != self._build:
            app.build_middleware_stack = functools.partial(  # type: ignore[method-assign]
                self._build, app, app.build_middleware_stack
            )

    def restyled_by(self, app: Starlette) -> frozenset[int]:
        """The statuses of refusals that *app* has a handler of its own for."""
        handlers = ((error, _own_handler(app, refused(error, self._http_exception))) for error in _ONE_OF_EACH)
        return frozenset(error.status for error, handler in handlers if handler is not None)

    async def answer(self, conn: HTTPConnection, error: Exception) -> Response | None:
        """The exception handler: the app's own handler for a refusal has precedence over ours."""
        if not isinstance(error, AuthError | Unavailable):
            raise error  # ours, not the caller's: 500
        asgi_scope.note_refusal(conn.scope, asgi_scope.nearest(conn.scope))
        url = asgi_scope.metadata_url(conn.scope)
        raised = refused(error, self._http_exception, url).with_traceback(error.__traceback__)
        handler = _own_handler(conn.app, raised) if asgi_scope.can_answer(conn.scope) else None
        return RefusalResponse(error, url) if handler is None else await _called(handler, conn, raised)

    def _build(self, app: Starlette, build: Callable[[], ASGIApp]) -> ASGIApp:
        """Handlers for errors of ours are told of each refusal as the exception of the framework's that it is: what
        ``token.require(…)`` raises knows neither the framework nor the app."""
        theirs = app.exception_handlers
        app.exception_handlers = {
            key: functools.partial(self._answer_or, handler) if _is_of_ours(key) else handler
            for key, handler in theirs.items()
        }
        try:
            return build()
        finally:
            app.exception_handlers = theirs

    async def _answer_or(self, handler: Callable[..., Any], conn: HTTPConnection, error: Exception) -> Response | None:
        if isinstance(error, AuthError | Unavailable):
            return await self.answer(conn, error)
        return await _called(handler, conn, error)


def closing_when_too_late(send: Send) -> Send:
    """``token.require(…)`` may refuse when the WebSocket is accepted, and nothing but closing is left to do."""
    accepted = False

    async def closing(message: Message) -> None:
        nonlocal accepted
        if message["type"] == "websocket.accept":
            accepted = True
        elif accepted and message["type"] == "websocket.http.response.start":
            message = {"type": "websocket.close", "code": 1008, "reason": ""}
        elif accepted and message["type"] == "websocket.http.response.body":
            return
        await send(message)

    return closing


async def _called(handler: Callable[..., Any], conn: HTTPConnection, error: Exception) -> Response | None:
    if is_async(handler):
        return cast("Response | None", await handler(conn, error))
    return cast("Response | None", await run_in_threadpool(handler, conn, error))


def _is_of_ours(key: object) -> bool:
    """Whether handlers for *key* are handlers for errors of ours."""
    return isinstance(key, type) and issubclass(key, KindeGuardError)


def _own_handler(app: Starlette, error: HTTPException) -> Callable[..., Any] | None:
    """The handler that *app* would have for *error* without us, found as Starlette finds it."""
    kinds = [kind for kind in type(error).__mro__ if issubclass(kind, Exception) and kind is not Exception]
    for key in (error.status_code, *kinds):
        handler: Any = app.exception_handlers.get(key)
        if handler is not None and not _is_default(handler):
            return cast("Callable[..., Any]", handler)
    return None


def _is_default(handler: Any) -> bool:
    """FastAPI's, or ours (of this app or of one it is mounted in)."""
    ours = isinstance(getattr(handler, "__self__", None), Handlers)
    return ours or getattr(handler, "__module__", "") == "fastapi.exception_handlers"
