"""Which request a verdict is of: for every adapter, also where the requirement is looked at after the token."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flask
import pytest
from fastapi import FastAPI
from helpers import Issuer, guard_of, mint
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from kinde_guard import Guard, InsufficientScope, asgi, scope, wsgi
from kinde_guard import fastapi as for_fastapi
from kinde_guard import flask as for_flask
from kinde_guard import starlette as for_starlette
from kinde_guard.events import CannotTell, Event, Refused, Verified
from kinde_guard.net.request_above import JudgedRequest, request_above

Ask = Callable[[str, str], object]


class Observer:
    """An observer that notes what is said of which request."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str, str]] = []

    def observe(self, event: Event) -> None:
        if isinstance(event, Verified):
            self.seen.append(("verified", *request_above(event.token.fingerprint)))
        elif isinstance(event, Refused | CannotTell):
            self.seen.append((event.reason, *request_above(event.fingerprint)))


@pytest.fixture
def observer() -> Observer:
    return Observer()


@pytest.fixture
def guard(observer: Observer) -> Guard:
    return guard_of(Issuer(), observer=observer)


def by_asgi(app: Any) -> Ask:
    client = TestClient(app)
    return lambda path, token: client.get(f"{path}?key=secret", headers={"authorization": f"Bearer {token}"})


def by_wsgi(app: flask.Flask) -> Ask:
    client = app.test_client()
    return lambda path, token: client.get(f"{path}?key=secret", headers={"Authorization": f"Bearer {token}"})


def fastapi_app(guard: Guard) -> Ask:
    app = FastAPI()
    for_fastapi.KindeGuard(app, guard=guard, public=[])

    @app.get("/admin")
    @for_fastapi.requires_scope("admin:all")
    def admin() -> str:
        return "done"  # in a thread

    return by_asgi(app)


def fastapi_dependency(guard: Guard) -> Ask:
    app = FastAPI()
    for_fastapi.KindeGuard(app, guard=guard)

    @app.get("/admin", dependencies=[for_fastapi.requires_scope("admin:all")])
    async def admin() -> str:
        return "done"

    return by_asgi(app)


def starlette_app(guard: Guard) -> Ask:
    @for_starlette.requires_scope("admin:all")
    async def admin(request: Any) -> PlainTextResponse:
        return PlainTextResponse("done")

    app = Starlette(routes=[Route("/admin", admin)])
    for_starlette.KindeGuard(app, guard=guard, public=[])
    return by_asgi(app)


def asgi_middleware(guard: Guard) -> Ask:
    return by_asgi(asgi.GuardMiddleware(PlainTextResponse("done"), guard, requires=scope("admin:all")))


def flask_app(guard: Guard) -> Ask:
    app = flask.Flask(__name__)
    for_flask.KindeGuard(app, guard=guard, public=[])

    @app.get("/admin")
    @for_flask.requires_scope("admin:all")
    def admin() -> str:
        return "done"

    return by_wsgi(app)


def wsgi_middleware(guard: Guard) -> Ask:
    app = flask.Flask(__name__)
    app.wsgi_app = wsgi.GuardMiddleware(app.wsgi_app, guard, requires=scope("admin:all"))  # type: ignore[method-assign]
    return by_wsgi(app)


@pytest.mark.parametrize(
    "app", [fastapi_app, fastapi_dependency, starlette_app, asgi_middleware, flask_app, wsgi_middleware]
)
def test_every_verdict_names_its_request(observer: Observer, guard: Guard, app: Callable[[Guard], Ask]) -> None:
    """Whether the token is good, and whether it is good enough; also of one that is remembered. Without the query."""
    ask = app(guard)
    ask("/admin", "no-token")
    ask("/admin", mint())
    ask("/admin", mint())
    assert observer.seen == [
        ("malformed", "GET", "/admin"),
        *[("verified", "GET", "/admin"), ("insufficient_scope", "GET", "/admin")] * 2,
    ]


def test_a_request_that_cannot_be_judged(observer: Observer) -> None:
    issuer = Issuer()
    issuer.status = 503
    asgi_middleware(guard_of(issuer, observer=observer))("/users", mint())
    assert observer.seen == [("keys_unavailable", "GET", "/users")]


def test_the_path_is_as_the_caller_wrote_it(observer: Observer, guard: Guard) -> None:
    """With what the app is mounted under, and decoded."""
    inner = Starlette(routes=[Route("/{rest:path}", PlainTextResponse("done"))])
    for_starlette.KindeGuard(inner, guard=guard, public=[])
    by_asgi(Starlette(routes=[Mount("/v1", inner)]))("/v1/caf%C3%A9", mint())
    flask_app(guard)("/caf%C3%A9", mint())
    assert observer.seen == [("verified", "GET", "/v1/caf\xe9"), ("verified", "GET", "/caf\xe9")]


def test_a_websocket(observer: Observer, guard: Guard) -> None:
    app = Starlette(routes=[WebSocketRoute("/live", PlainTextResponse("done"))])
    for_starlette.KindeGuard(app, guard=guard, public=[])
    client = TestClient(app)
    with pytest.raises(WebSocketDisconnect), client.websocket_connect("/live"):
        raise AssertionError("it is refused")
    assert observer.seen == [("missing_token", "WebSocket", "/live")]


def test_no_request_is_made_up(observer: Observer, guard: Guard) -> None:
    """Whoever verifies a token without a request has none, also where one was judged before."""
    flask_app(guard)("/admin", mint())
    observer.seen.clear()
    with pytest.raises(InsufficientScope):
        guard.demand(guard.verify(mint({"jti": "another"})), scope("admin:all"))
    assert observer.seen == [("verified", "", ""), ("insufficient_scope", "", "")]
    assert request_above("0123456789ab") == JudgedRequest("", "")
