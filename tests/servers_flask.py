"""A Flask app for real servers: who called is in the answer, and which process it came from."""

from __future__ import annotations

import os

from flask import Flask
from flask.typing import ResponseReturnValue

from benchmarks.paced import state, the_guard
from kinde_guard.flask import KindeGuard, current_token, requires_auth, requires_scope

app = Flask(__name__)
guard = the_guard()
KindeGuard(app, guard=guard, public=["/state"])


@app.get("/users")
@requires_scope("read:users")
def users() -> ResponseReturnValue:
    return {"pid": os.getpid(), "token_id": current_token.token_id}


@app.get("/me")
@requires_auth
def me() -> ResponseReturnValue:
    return {"pid": os.getpid(), "token_id": current_token.token_id}


@app.get("/state")
def shown() -> ResponseReturnValue:
    return state(guard)
