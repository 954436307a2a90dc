"""A FastAPI app for real servers: who called is in the answer, and which process it came from."""

from __future__ import annotations

import os

from fastapi import FastAPI

from benchmarks.paced import state, the_guard
from kinde_guard.fastapi import KindeGuard, Token, requires_scope

app = FastAPI()
guard = the_guard()
KindeGuard(app, guard=guard, public=["/state"])


@app.get("/users")
@requires_scope("read:users")
async def users(token: Token) -> dict[str, object]:
    return {"pid": os.getpid(), "token_id": token.token_id}


@app.get("/me")
def me(token: Token) -> dict[str, object]:
    return {"pid": os.getpid(), "token_id": token.token_id}


@app.get("/state")
def shown() -> dict[str, object]:
    return state(guard)
