"""APIs that Kinde's webhooks come to, as their users write them; served by processes of their own."""

from __future__ import annotations

import json
import os
from typing import Any

import kinde_guard.fastapi
import kinde_guard.flask
from kinde_guard import Guard

VARIABLE = "BENCHMARK_GUARD"
WEBHOOKS = "/webhooks/kinde"
PATH = "/users"


def by_fastapi() -> Any:
    """For uvicorn."""
    from fastapi import FastAPI

    app = FastAPI()
    kinde_guard.fastapi.KindeGuard(app, guard=_guard(), public=[], webhooks=WEBHOOKS)

    @app.get(PATH)
    async def users() -> dict[str, bool]:
        return {"ok": True}

    return app


def by_flask() -> Any:
    """For gunicorn."""
    from flask import Flask

    app = Flask(__name__)
    kinde_guard.flask.KindeGuard(app, guard=_guard(), public=[], webhooks=WEBHOOKS)

    @app.get(PATH)
    def users() -> dict[str, bool]:
        return {"ok": True}

    return app


def _guard() -> Guard:
    """With the revocations of ``KINDE_REVOCATIONS_URL``."""
    return Guard(**json.loads(os.environ[VARIABLE]))
