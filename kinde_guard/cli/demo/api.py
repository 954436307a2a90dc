"""The API of the demo: four routes, and a guard in front of them."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from ...guard import Guard
from ...starlette import KindeGuard, requires_scope

WEBHOOKS = "/webhooks/kinde"


@requires_scope("read:users")
async def users(request: Request) -> JSONResponse:
    """Needs a scope."""
    return JSONResponse({"users": ["Ada", "Grace"]})


@requires_scope("write:flags")
async def flags(request: Request) -> JSONResponse:
    """Needs another."""
    return JSONResponse({"flag": "on"}, status_code=201)


async def me(request: Request) -> JSONResponse:
    """Needs a token, and no scope."""
    return JSONResponse({"caller": request.user.display_name})


async def healthz(request: Request) -> JSONResponse:
    """Open to all."""
    return JSONResponse({"status": "up"})


def protected_api(guard: Guard) -> Starlette:
    """Every path but /healthz demands a valid token; that of webhooks, where the guard has revocations, a signature."""
    app = Starlette(
        routes=[
            Route("/users", users),
            Route("/flags", flags, methods=["POST"]),
            Route("/me", me),
            Route("/healthz", healthz),
        ]
    )
    KindeGuard(app, guard=guard, public=["/healthz"], webhooks=None if guard.revocations is None else WEBHOOKS)
    return app
