"""Starlette: a route; by hand with its own AuthenticationMiddleware and ``@requires``."""

from __future__ import annotations

import functools
from typing import Any

from starlette.applications import Starlette
from starlette.authentication import AuthCredentials, AuthenticationBackend, AuthenticationError, SimpleUser
from starlette.authentication import requires as starlette_requires
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from kinde_guard import Guard
from kinde_guard.starlette import KindeGuard, requires_scope

from ..peers import Verify
from . import claims
from .asgi import Nothing


async def users(request: Request) -> JSONResponse:
    return JSONResponse({"ok": True})


class Backend(AuthenticationBackend):
    def __init__(self, verify: Verify) -> None:
        self.verify = verify

    async def authenticate(self, conn: HTTPConnection) -> tuple[AuthCredentials, SimpleUser]:
        try:
            verified = self.verify(claims.bearer(conn.headers.get("authorization", "")))
        except Exception:
            raise AuthenticationError("invalid token") from None
        return AuthCredentials(claims.scopes(verified)), SimpleUser("")


def nothing() -> Any:
    @functools.wraps(users)
    async def wrapper(*args: Any, **kwargs: Any) -> JSONResponse:
        return await users(*args, **kwargs)

    return Starlette(routes=[Route("/users", wrapper)], middleware=[Middleware(Nothing)])


def guarded(guard: Guard) -> Any:
    app = Starlette(routes=[Route("/users", requires_scope(claims.SCOPE)(users))])
    KindeGuard(app, guard=guard)
    return app


def by_hand(verify: Verify) -> Any:
    route = Route("/users", starlette_requires(claims.SCOPE)(users))
    return Starlette(routes=[route], middleware=[Middleware(AuthenticationMiddleware, backend=Backend(verify))])
