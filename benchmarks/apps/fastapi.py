"""FastAPI: a route with a security dependency; by hand with its own HTTPBearer."""

# No `from __future__ import annotations`: FastAPI reads the annotations of functions that are made in functions.

from typing import Annotated, Any

from fastapi import Depends, FastAPI, HTTPException, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer, SecurityScopes

from kinde_guard import Guard
from kinde_guard.fastapi import KindeGuard, requires_scope

from ..peers import Verify
from . import claims


def app_with(endpoint: Any, **options: Any) -> FastAPI:
    app = FastAPI()
    app.get("/users", **options)(endpoint)
    return app


async def users() -> dict[str, bool]:
    return {"ok": True}


def nothing() -> Any:
    async def no_demand(scopes: SecurityScopes) -> None:
        pass

    return app_with(users, dependencies=[Security(no_demand, scopes=[claims.SCOPE])])


def guarded(guard: Guard) -> Any:
    app = app_with(requires_scope(claims.SCOPE)(users))
    KindeGuard(app, guard=guard)
    return app


def by_hand(verify: Verify) -> Any:
    credentials_of = HTTPBearer()

    async def verified(
        scopes: SecurityScopes, credentials: Annotated[HTTPAuthorizationCredentials, Depends(credentials_of)]
    ) -> object:
        try:
            token = verify(credentials.credentials)
        except Exception:
            raise HTTPException(401, headers={"WWW-Authenticate": "Bearer"}) from None
        if not set(scopes.scopes) <= set(claims.scopes(token)):
            raise HTTPException(403)
        return token

    return app_with(users, dependencies=[Security(verified, scopes=[claims.SCOPE])])
