"""The same for the ASGI, Starlette and FastAPI adapters: what a type checker must accept, and what it must refuse."""

from __future__ import annotations

from typing import Annotated, assert_type

from fastapi import APIRouter, FastAPI, Security
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from kinde_guard import AccessToken, Guard, permission, scope
from kinde_guard import fastapi as on_fastapi
from kinde_guard import starlette as on_starlette
from kinde_guard.asgi import GuardMiddleware
from kinde_guard.fastapi import (
    OptionalToken,
    Token,
    access_token,
    requires,
    requires_auth,
    requires_org,
    requires_scope,
)

guard = Guard("acme.kinde.com", audience="https://api.acme.com")
app = FastAPI(dependencies=[requires_auth, Security(access_token, scopes=["a"])])
starlette_app = Starlette(
    middleware=[
        Middleware(AuthenticationMiddleware, backend=on_starlette.KindeBackend(guard), on_error=on_starlette.on_error),
        Middleware(GuardMiddleware, guard=guard, public=["/healthz"], requires=scope("a")),
    ]
)
app.add_middleware(GuardMiddleware, guard=guard, public=("/healthz",))
assert_type(on_fastapi.KindeGuard(app, public=[], leeway=60).guard, Guard | None)
on_fastapi.KindeGuard(app, guard)  # type: ignore[call-arg]
on_fastapi.KindeGuard(guard)  # type: ignore[arg-type]
on_fastapi.KindeGuard(app, guard="acme.kinde.com")  # type: ignore[arg-type]
on_starlette.KindeGuard(starlette_app, public=7)  # type: ignore[arg-type]
GuardMiddleware(starlette_app, guard, requires="a")  # type: ignore[arg-type]
GuardMiddleware(starlette_app, guard, ["/healthz"])  # type: ignore[call-arg]

router = APIRouter(dependencies=[requires_scope("a"), requires(permission("p"))])


@app.get("/users/{number}", dependencies=[requires_org(path="org_code")])
@requires_scope("read:users")
def users(number: int, token: Token, maybe: OptionalToken, same: Annotated[AccessToken, requires_auth]) -> list[str]:
    assert_type(token, AccessToken)
    assert_type(maybe, AccessToken | None)
    assert_type(same, AccessToken)
    return [token.subject]


assert_type(users(1, guard.verify("eyJ…"), None, guard.verify("eyJ…")), list[str])
users("1", guard.verify("eyJ…"), None, guard.verify("eyJ…"))  # type: ignore[arg-type]


@on_starlette.requires_scope("read:users")
async def endpoint(request: Request) -> Response:
    return Response()


Route("/", endpoint)
requires_scope(users)  # type: ignore[arg-type]
requires_scope(1)  # type: ignore[arg-type]
requires_auth()  # type: ignore[call-arg]
on_starlette.requires_auth()  # type: ignore[call-arg]
requires("read:users")  # type: ignore[arg-type]
requires_org(code=1)  # type: ignore[arg-type]
on_starlette.requires_org(organization="org_1")  # type: ignore[call-arg]
