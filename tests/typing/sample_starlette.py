"""What a user of ``kinde_guard.starlette`` writes; mypy and pyright, both strict, say nothing but where it is wrong."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from kinde_guard import AccessToken, KeysUnavailable, machine, scope
from kinde_guard.starlette import (
    KindeGuard,
    KindeUser,
    atoken_or_none,
    requires,
    requires_auth,
    requires_org,
    requires_scope,
    token_or_none,
)


@requires_scope("read:users")
async def users(request: Request) -> Response:
    user = request.user
    assert isinstance(user, KindeUser)
    token: AccessToken = user.token
    token.require(scope("write:users") | machine)
    return JSONResponse({"caller": token.subject, "scopes": sorted(token.scopes)})


@requires_auth
@requires_org(path="org_code")
def organization(request: Request) -> Response:
    return JSONResponse({})


async def home(request: Request) -> Response:
    token = await atoken_or_none(request)
    return JSONResponse({"caller": None if token is None else token.client_id})


def limits(request: Request) -> str:
    token = token_or_none(request)
    return "nobody" if token is None else token.subject


class Orders(HTTPEndpoint):
    @requires(scope("read:orders") & machine)
    async def get(self, request: Request) -> Response:
        return JSONResponse([])


@requires_auth
async def feed(websocket: WebSocket) -> None:
    await websocket.accept()


async def busy(request: Request, error: Exception) -> Response:
    assert isinstance(error, KeysUnavailable)
    return Response(error.body(), error.status, error.headers, error.media_type)


app = Starlette(
    routes=[
        Route("/users", users),
        Route("/orgs/{org_code}", organization),
        Route("/", home),
        Route("/orders", Orders),
        WebSocketRoute("/feed", feed),
    ],
    exception_handlers={KeysUnavailable: busy},
)
kinde = KindeGuard(app, public=["/"], domain="acme.kinde.com", audience=["https://api.acme.com"], leeway=10)
KindeGuard().init_app(app)
print(kinde.guard)

KindeGuard(app, audiance="https://api.acme.com")  # type: ignore[call-arg]
KindeGuard(app, leeway="10")  # type: ignore[arg-type]
requires_scope(["read:users"])  # type: ignore[arg-type]
requires_org(organization="org_1")  # type: ignore[call-arg]
