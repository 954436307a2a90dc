"""The API of the demo: three routes, and a guard in front of them."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from ...guard import Guard
from ...starlette import KindeGuard, requires_scope


@requires_scope("read:users")
async def users(request: Request) -> JSONResponse:
    """Needs a scope."""
    return JSONResponse({"users": ["Ada", "Grace"]})


@requires_scope("write:flags")
async def flags(request: Request) -> JSONResponse:
    """Needs another."""
    return JSONResponse({"flag": "on"}, status_code=201)


async def healthz(request: Request) -> JSONResponse:
    """Open to all."""
    return JSONResponse({"status": "up"})


def protected_api(guard: Guard) -> Starlette:
    """Every path but /healthz demands a valid token."""
    app = Starlette(
        routes=[
            Route("/users", users),
            Route("/flags", flags, methods=["POST"]),
            Route("/healthz", healthz),
        ]
    )
    KindeGuard(app, guard=guard, public=["/healthz"])
    return app
