"""Settings of a guard, given to an adapter: what a type checker must accept, and what it must refuse. Never run."""

# pyright: reportUnnecessaryTypeIgnoreComment=true

from __future__ import annotations

from pathlib import Path
from typing import Any

from fastapi import FastAPI
from flask import Flask
from starlette.applications import Starlette

from kinde_guard import fastapi as on_fastapi
from kinde_guard import flask as on_flask
from kinde_guard import starlette as on_starlette
from kinde_guard.guard import GuardSettings

typed: GuardSettings = {"domain": "acme.kinde.com", "audience": ["https://api.acme.com"], "leeway": 0.5}
untyped: dict[str, Any] = {"domain": "acme.kinde.com"}

fastapi_app = FastAPI()
on_fastapi.KindeGuard(fastapi_app, domain=["acme.kinde.com", "account.acme.com"], audience=None, clients=("a",))
on_fastapi.KindeGuard(fastapi_app, public=[], **typed)
on_fastapi.KindeGuard(fastapi_app, **untyped)
on_fastapi.KindeGuard(fastapi_app, audiance="https://api.acme.com")  # type: ignore[call-arg]
on_fastapi.KindeGuard(fastapi_app, leeway="30")  # type: ignore[arg-type]
on_fastapi.KindeGuard(fastapi_app, audience=1)  # type: ignore[arg-type]
on_fastapi.KindeGuard(fastapi_app, transport="http://proxy")  # type: ignore[arg-type]

on_fastapi.KindeGuard(fastapi_app, jwks="keys.json")
on_fastapi.KindeGuard(fastapi_app, jwks={"keys": []})
on_fastapi.KindeGuard(fastapi_app, jwks=[Path("keys.json"), {"keys": []}])
on_fastapi.KindeGuard(fastapi_app, jwks=b"{}")  # type: ignore[arg-type]
on_fastapi.KindeGuard(fastapi_app, jwks=[1])  # type: ignore[list-item]

starlette_app = Starlette()
on_starlette.KindeGuard(starlette_app, permissions_as_scopes=True, algorithms=["ES256"])
on_starlette.KindeGuard(starlette_app, public=[], **typed)
on_starlette.KindeGuard(starlette_app, **untyped)
on_starlette.KindeGuard(starlette_app, verify=False)  # type: ignore[call-arg]
on_starlette.KindeGuard(starlette_app, cache_size="16_384")  # type: ignore[arg-type]
on_starlette.KindeGuard(starlette_app, swagger_client_id="a")  # type: ignore[call-arg]

flask_app = Flask(__name__)
on_flask.KindeGuard(flask_app, usable_for=3_600, retry_after=1.5, variables=[flask_app.config])
on_flask.KindeGuard(flask_app, public=[], **typed)
on_flask.KindeGuard(**untyped)
on_flask.KindeGuard(flask_app, issuer="acme.kinde.com")  # type: ignore[call-arg]
on_flask.KindeGuard(flask_app, jwks_url=True)  # type: ignore[arg-type]
