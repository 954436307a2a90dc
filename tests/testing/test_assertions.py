"""``assert_requires`` and ``assert_no_unprotected_routes``: what they accept, and in which words they fail."""

from __future__ import annotations

import unittest
from typing import Any

import pytest
from fastapi import FastAPI, WebSocket
from fastapi.testclient import TestClient
from flask import Flask
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

import kinde_guard.fastapi as of_fastapi
import kinde_guard.flask as of_flask
import kinde_guard.starlette as of_starlette
from kinde_guard import Requirement, flag, machine, org, permission, role, scope, user
from kinde_guard.errors import ConfigurationError
from kinde_guard.testing import assert_no_unprotected_routes, assert_requires, guard_for, local_issuer

READ = scope("read:users")


def fastapi_client(demand: Requirement, *, public: list[str] | None = None) -> Any:
    app = FastAPI(openapi_url=None)
    of_fastapi.KindeGuard(app, public=public)

    @app.get("/users/{org_code}")
    @of_fastapi.requires(demand)
    def users() -> str:
        return "users"

    return TestClient(app)


def starlette_client(demand: Requirement, *, public: list[str] | None = None) -> Any:
    @of_starlette.requires(demand)
    async def users(request: Request) -> PlainTextResponse:
        return PlainTextResponse("users")

    app = Starlette(routes=[Route("/users/{org_code}", users)])
    of_starlette.KindeGuard(app, public=public)
    return TestClient(app)


def flask_client(demand: Requirement, *, public: list[str] | None = None) -> Any:
    app = Flask(__name__)
    of_flask.KindeGuard(app, guard=guard_for(local_issuer()), public=public)

    @app.get("/users/<org_code>")
    @of_flask.requires(demand)
    def users(org_code: str) -> str:
        return "users"

    return app.test_client()


CLIENTS = {"fastapi": fastapi_client, "starlette": starlette_client, "flask": flask_client}
everywhere = pytest.mark.parametrize("client_of", CLIENTS.values(), ids=CLIENTS)
OF_ROUTE = of_starlette.requires_org(path="org_code").requirement
DEMANDS = [
    READ,
    scope("a", "b"),
    permission("p", "q"),
    role("admin"),
    org("org_1"),
    flag("beta"),
    flag("theme", "dark"),
    flag("limit", 3),
    machine,
    user,
    scope("a") & permission("p") & user,
    scope("a") & machine,
    scope("a") | permission("p"),
    (scope("a") | role("r")) & (org("org_1") | permission("p")),
]


@everywhere
@pytest.mark.parametrize("demand", DEMANDS, ids=str)
def test_a_route_requires_what_it_requires(client_of: Any, demand: Requirement) -> None:
    assert_requires(client_of(demand), "GET", "/users/1", demand)


@everywhere
def test_what_all_callers_have_besides(client_of: Any) -> None:
    """An organization in the path has to be known."""
    assert_requires(client_of(READ & OF_ROUTE), "GET", "/users/org_1", READ, OF_ROUTE, org_code="org_1")
    with pytest.raises(ConfigurationError, match="give assert_requires the org_code="):
        assert_requires(client_of(OF_ROUTE), "GET", "/users/org_1", OF_ROUTE)


@everywhere
def test_any_valid_token(client_of: Any) -> None:
    assert_requires(client_of(scope("a") | machine), "GET", "/users/1")


@everywhere
def test_a_route_that_requires_less(client_of: Any) -> None:
    with pytest.raises(AssertionError) as failed:
        assert_requires(client_of(READ), "GET", "/users/1", READ & permission("p"))
    assert str(failed.value) == "\n".join([
        "GET /users/1 does not require exactly scope('read:users') & permission('p'):",
        "  401 without a token",
        "  403 with a token that lacks scope('read:users')",
        "  200 with a token that lacks permission('p') (should be 403)",
        "  200 with a token that has scope('read:users') & permission('p')",
    ])  # fmt: skip


@everywhere
def test_a_route_that_requires_more(client_of: Any) -> None:
    with pytest.raises(AssertionError) as failed:
        assert_requires(client_of(READ & permission("p")), "get", "/users/1", READ)
    assert str(failed.value).splitlines()[-1] == "  403 with a token that has scope('read:users') (should be let in)"


@everywhere
def test_an_alternative_that_does_not_do(client_of: Any) -> None:
    """Each alternative is tried alone."""
    with pytest.raises(AssertionError, match=r"403 with a token that has permission\('p'\) \(should be let in\)"):
        assert_requires(client_of(READ), "GET", "/users/1", READ | permission("p"))


@everywhere
def test_a_path_that_does_not_exist(client_of: Any) -> None:
    """Where all demands a token, 401 alone proves nothing."""
    with pytest.raises(AssertionError, match=r"404 with a token that has any valid token \(should be let in\)"):
        assert_requires(client_of(READ, public=[]), "GET", "/user")


def test_an_open_route() -> None:
    app = Starlette(routes=[Route("/users", lambda request: PlainTextResponse("users"))])
    of_starlette.KindeGuard(app)
    with pytest.raises(AssertionError, match=r"200 without a token \(should be 401\)"):
        assert_requires(TestClient(app), "GET", "/users", READ)


def test_a_client_that_carries_a_token_of_its_own() -> None:
    """Without a token is without that one too."""
    client = starlette_client(READ)
    client.headers["Authorization"] = "Bearer one.two.three"
    assert_requires(client, "GET", "/users/1", READ)


def test_a_body_and_a_websocket() -> None:
    app = FastAPI(openapi_url=None)
    of_fastapi.KindeGuard(app)

    @app.post("/users", status_code=201)
    @of_fastapi.requires_scope("write:users")
    def invite(names: list[str]) -> list[str]:
        assert names == ["Ada"]
        return names

    @app.websocket("/ws")
    async def ws(websocket: WebSocket, token: of_fastapi.Token) -> None:
        await websocket.accept()
        await websocket.close()

    assert_requires(TestClient(app), "POST", "/users", scope("write:users"), request={"json": ["Ada"]})
    assert_requires(TestClient(app), "WEBSOCKET", "/ws")
    with pytest.raises(AssertionError, match=r"101 with a token that lacks scope"):
        assert_requires(TestClient(app), "websocket", "/ws", READ)


def test_in_front_of_flask() -> None:
    """A middleware around the app holds the guard."""
    from kinde_guard.wsgi import GuardMiddleware

    app = Flask(__name__)
    app.add_url_rule("/users", "users", lambda: "users")
    app.wsgi_app = GuardMiddleware(app.wsgi_app, guard_for(local_issuer()), requires=READ)  # type: ignore[method-assign]
    assert_requires(app.test_client(), "GET", "/users", READ)


def test_what_is_no_client_and_what_is_no_requirement_of_ours() -> None:
    with pytest.raises(ConfigurationError, match="takes a test client first"):
        assert_requires(object(), "GET", "/users")

    class Odd(Requirement):
        def refusal(self, token: Any) -> None:
            return None

    with pytest.raises(ConfigurationError, match="knows no caller who meets"):
        assert_requires(starlette_client(READ), "GET", "/users/1", Odd())


def test_no_unprotected_routes() -> None:
    """One line for each, to be compared as it is."""
    app = FastAPI(openapi_url=None)

    @of_fastapi.requires_scope("a")
    @app.get("/users")
    def users() -> None: ...

    @app.get("/export")
    def export() -> None: ...

    of_fastapi.KindeGuard(app)
    here = f"{__name__}:test_no_unprotected_routes.<locals>"
    with pytest.raises(AssertionError) as failed:
        assert_no_unprotected_routes(app, public=["/users"])
    assert str(failed.value) == "\n".join([
        "routes are open that should not be:",
        "  GET /users: its decorator is above the route's, so nothing enforces it: "
        f"write @requires_…(…) below the route decorator ({here}.users)",
        f"  GET /export: unprotected ({here}.export)",
    ])  # fmt: skip


@everywhere
def test_all_is_well(client_of: Any) -> None:
    client = client_of(READ)
    assert_no_unprotected_routes(getattr(client, "app", None) or client.application)


class InUnittest(unittest.TestCase):
    """No fixture is needed."""

    def test_users(self) -> None:
        assert_requires(starlette_client(READ), "GET", "/users/1", READ)
