"""A small API to try ``kinde-guard routes`` on; of its four routes one was forgotten."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route

from ..requirements import permission, scope
from ..starlette import KindeGuard, requires, requires_scope


@requires_scope("read:users")
async def users(request: Request) -> JSONResponse:
    """Needs a scope."""
    return JSONResponse({"users": ["Ada", "Grace"]})


@requires(scope("write:users") | permission("users:write"))
async def invite(request: Request) -> JSONResponse:
    """Needs one of two things."""
    return JSONResponse({"invited": True}, status_code=201)


async def export(request: Request) -> JSONResponse:
    """Needs nothing, which nobody meant."""
    return JSONResponse({"users": ["Ada", "Grace"]})


async def healthz(request: Request) -> JSONResponse:
    """Open to all."""
    return JSONResponse({"status": "up"})


app = Starlette(
    routes=[
        Route("/users", users),
        Route("/users", invite, methods=["POST"]),
        Mount("/admin", routes=[Route("/export", export)]),
        Route("/healthz", healthz),
    ]
)
KindeGuard(app)
