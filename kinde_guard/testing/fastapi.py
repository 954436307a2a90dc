"""What those need who override FastAPI's dependencies themselves; ``caller(app, …)`` spares it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

try:
    from fastapi import HTTPException
    from fastapi.security import SecurityScopes
except ModuleNotFoundError as missing:
    raise ImportError("as_caller needs FastAPI: pip install 'kinde-guard[fastapi]'", name=missing.name) from missing

from ..errors import AuthError
from ..requirements import scope
from ..tokens.access_token import AccessToken
from ..web.starlette_refusal import refused
from .tokens import caller_token


def as_caller(**options: Any) -> Callable[[SecurityScopes], Awaitable[AccessToken]]:
    """``app.dependency_overrides[access_token] = as_caller(scope="read:users")``, for ``optional_access_token`` too.

    A plain ``lambda: token`` would drop what ``Security(access_token, scopes=[…])`` demands; this one judges it.
    """
    token = caller_token(**options)

    async def caller(scopes: SecurityScopes) -> AccessToken:
        if scopes.scopes:
            try:
                token.require(scope(*scopes.scopes))
            except AuthError as refusal:
                raise refused(refusal, HTTPException) from None
        return token

    return caller
