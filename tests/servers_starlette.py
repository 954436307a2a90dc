"""A Starlette app for real servers: who called is in the answer, and which process it came from."""

from __future__ import annotations

import os

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from benchmarks.paced import state, the_guard
from kinde_guard.starlette import KindeGuard, requires_auth, requires_scope

guard = the_guard()


@requires_scope("read:users")
async def users(request: Request) -> JSONResponse:
    return JSONResponse({"pid": os.getpid(), "token_id": request.user.token.token_id})


@requires_auth
def me(request: Request) -> JSONResponse:
    return JSONResponse({"pid": os.getpid(), "token_id": request.user.token.token_id})


def shown(request: Request) -> JSONResponse:
    return JSONResponse(state(guard))


app = Starlette(routes=[Route("/users", users), Route("/me", me), Route("/state", shown)])
KindeGuard(app, guard=guard, public=["/state"])
