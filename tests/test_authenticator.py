"""What adapters need of a guard, and no more: an authenticator inherits nothing, and every adapter works with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any

import flask
import httpx
import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

import kinde_guard.asgi
import kinde_guard.fastapi
import kinde_guard.flask
import kinde_guard.starlette
import kinde_guard.wsgi
from kinde_guard import AccessToken, InvalidToken, Requirement, scope
from kinde_guard.authenticator import Authenticator
from kinde_guard.keys.health import IssuerHealth
from kinde_guard.testing import caller_token
from kinde_guard.web import bearer

CALLERS = {"reader": caller_token(scope="read"), "stranger": caller_token(scope="")}
ASK: Any = {"healthz": "/healthz", "readyz": "/readyz", "resource": "https://api.example.com"}


class Names:
    """An authenticator to which a name is as good as a token: it has what the Protocol has, and nothing else."""

    @property
    def issuers(self) -> tuple[str, ...]:
        return ("https://names.example.com",)

    def recognise(self, authorization: bytes) -> AccessToken | None:
        return None

    def authenticate(self, authorization: Sequence[str]) -> AccessToken:
        token = CALLERS.get(bearer.token_from(authorization))
        if token is None:
            raise InvalidToken("unknown_key")
        return token

    async def aauthenticate(self, authorization: Sequence[str]) -> AccessToken:
        return self.authenticate(authorization)

    def demand(self, token: AccessToken, requirement: Requirement) -> None:
        token.require(requirement)

    def health(self) -> Mapping[str, IssuerHealth]:
        return {}

    def load_behind(self) -> Sequence[Future[None]]:
        return []


NAMES: Authenticator = Names()
GUARD: Any = NAMES


def of_fastapi() -> Any:
    app = FastAPI()
    kinde_guard.fastapi.KindeGuard(app, guard=GUARD, public=[], **ASK)

    @app.get("/")
    @kinde_guard.fastapi.requires_scope("read")
    def index() -> str:
        return "seen"

    return TestClient(app)


def of_starlette() -> Any:
    @kinde_guard.starlette.requires_scope("read")
    async def index(request: Request) -> PlainTextResponse:
        return PlainTextResponse("seen")

    app = Starlette(routes=[Route("/", index)])
    kinde_guard.starlette.KindeGuard(app, guard=GUARD, public=[], **ASK)
    return TestClient(app)


def of_flask() -> Any:
    app = flask.Flask(__name__)
    kinde_guard.flask.KindeGuard(app, guard=GUARD, public=[], **ASK)

    @app.get("/")
    @kinde_guard.flask.requires_scope("read")
    def index() -> str:
        return "seen"

    return httpx.Client(transport=httpx.WSGITransport(app), base_url="http://testserver")


def of_asgi() -> Any:
    inner = Starlette(routes=[Route("/", lambda request: PlainTextResponse("seen"))])
    return TestClient(kinde_guard.asgi.GuardMiddleware(inner, GUARD, requires=scope("read"), **ASK))


def of_wsgi() -> Any:
    def inner(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        return [b"seen"]

    guarded = kinde_guard.wsgi.GuardMiddleware(inner, GUARD, requires=scope("read"), **ASK)
    return httpx.Client(transport=httpx.WSGITransport(guarded), base_url="http://testserver")


@pytest.mark.parametrize("made", [of_fastapi, of_starlette, of_flask, of_asgi, of_wsgi])
def test_an_adapter_asks_for_nothing_but_what_the_protocol_has(made: Callable[[], Any]) -> None:
    with made() as client:
        statuses = {
            name: client.get("/", headers={"authorization": name}).status_code
            for name in ("", "Bearer reader", "Bearer stranger", "Bearer nobody", "Bearer two words")
        }
        assert statuses == {
            "": 401, "Bearer reader": 200, "Bearer stranger": 403, "Bearer nobody": 401, "Bearer two words": 400
        }  # fmt: skip
        assert client.get("/healthz").status_code == client.get("/readyz").status_code == 200
        metadata = client.get("/.well-known/oauth-protected-resource").json()
        assert metadata["authorization_servers"] == ["https://names.example.com"]
        assert metadata["scopes_supported"] == ["read"]
