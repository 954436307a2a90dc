"""``revocations.current``: a route that is not served by an old copy, while the others are."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import fastapi
import flask
import pytest
from helpers import USER, Issuer, guard_of, mint
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient
from test_with_redis import Worker, raw_token
from waiting import until
from werkzeug.test import Client

import kinde_guard.asgi
import kinde_guard.fastapi
import kinde_guard.flask
import kinde_guard.starlette
import kinde_guard.wsgi
from kinde_guard import Guard, InsufficientScope, org, scope
from kinde_guard.errors import RevocationsUnavailable
from kinde_guard.events import CannotTell, Event
from kinde_guard.issuer import LocalIssuer
from kinde_guard.requirements import Requirement
from kinde_guard.revocation import Revocations
from kinde_guard.testing import caller, headers, trust

RAW = mint()
NOWHERE = "redis://127.0.0.1:1"


@pytest.fixture
def revocations() -> Iterator[Revocations]:
    """Of a Redis that is away, of whom tokens are let in all the same."""
    made = Revocations(NOWHERE, unloaded="accept")
    yield made
    made.close()


@pytest.fixture
def told() -> list[Event]:
    return []


@pytest.fixture
def guard(revocations: Revocations, told: list[Event]) -> Guard:
    class Observer:
        def observe(self, event: Event) -> None:
            told.append(event)

    return guard_of(Issuer(), revocations=revocations, observer=Observer())


def hears(revocations: Revocations) -> None:
    """The copy is known to be complete, as it is when Redis has answered."""
    revocations.copy.heard(revocations._clocks.monotonic())


async def served(request: Request) -> PlainTextResponse:
    return PlainTextResponse("served")


def fastapi_app(guard: Guard, current: Requirement) -> TestClient:
    app = fastapi.FastAPI()
    kinde_guard.fastapi.KindeGuard(app, guard=guard)

    @app.get("/current")
    @kinde_guard.fastapi.requires(current)
    def demanded() -> str:
        return "served"

    @app.get("/other")
    @kinde_guard.fastapi.requires_auth
    def other() -> str:
        return "served"

    return TestClient(app)


def starlette_app(guard: Guard, current: Requirement) -> TestClient:
    decorated = kinde_guard.starlette.requires(current)(served)
    other = kinde_guard.starlette.requires_auth(served)
    app = Starlette(routes=[Route("/current", decorated), Route("/other", other)])
    kinde_guard.starlette.KindeGuard(app, guard=guard)
    return TestClient(app)


def flask_app(guard: Guard, current: Requirement) -> Client:
    app = flask.Flask("an_app")
    kinde_guard.flask.KindeGuard(app, guard=guard)
    app.add_url_rule("/current", "current", kinde_guard.flask.requires(current)(lambda: "served"))
    app.add_url_rule("/other", "other", kinde_guard.flask.requires_auth(lambda: "served"))
    return Client(app)


def flask_app_in_a_view(guard: Guard, current: Requirement) -> Client:
    """It asks for it by the token."""
    app = flask.Flask("an_app")
    kinde_guard.flask.KindeGuard(app, guard=guard)

    def view() -> str:
        kinde_guard.flask.current_token.require(current)
        return "served"

    app.add_url_rule("/current", "current", view)
    app.add_url_rule("/other", "other", kinde_guard.flask.requires_auth(lambda: "served"))
    return Client(app)


def asgi_app(guard: Guard, current: Requirement) -> TestClient:
    app = Starlette(routes=[Route("/current", served), Route("/other", served)])
    demanding = kinde_guard.asgi.GuardMiddleware(app, guard, requires=current)
    plain = kinde_guard.asgi.GuardMiddleware(app, guard)

    async def either(scope: Any, receive: Any, send: Any) -> None:
        await (demanding if scope["path"] == "/current" else plain)(scope, receive, send)

    return TestClient(either)


def wsgi_app(guard: Guard, current: Requirement) -> Client:
    app = flask.Flask("an_app")
    app.add_url_rule("/<path>", "any", lambda path: "served")
    demanding = kinde_guard.wsgi.GuardMiddleware(app, guard, requires=current)
    plain = kinde_guard.wsgi.GuardMiddleware(app, guard)
    return Client(lambda environ, start: (demanding if environ["PATH_INFO"] == "/current" else plain)(environ, start))


Make = Callable[[Guard, Requirement], Any]
ADAPTERS = [fastapi_app, starlette_app, flask_app, flask_app_in_a_view, asgi_app, wsgi_app]
every_adapter = pytest.mark.parametrize("make", ADAPTERS)


@every_adapter
def test_it_is_served_by_a_fresh_copy_alone_and_other_routes_by_any(
    guard: Guard, revocations: Revocations, told: list[Event], make: Make
) -> None:
    client = make(guard, revocations.current)
    refused = client.get("/current", headers=headers(RAW))
    assert refused.status_code == 503
    assert refused.headers["Retry-After"] == "1"
    assert client.get("/other", headers=headers(RAW)).status_code == 200
    if make is not flask_app_in_a_view:  # which asks for itself
        assert [event for event in told if isinstance(event, CannotTell)]
    hears(revocations)
    assert client.get("/current", headers=headers(RAW)).status_code == 200


def test_an_old_copy_is_not_current(guard: Guard, revocations: Revocations) -> None:
    token = guard.verify(RAW)
    hears(revocations)
    token.require(revocations.current)
    revocations.copy.heard(revocations._clocks.monotonic() - 3.1)
    with pytest.raises(RevocationsUnavailable):
        token.require(revocations.current)


def test_it_is_a_requirement_among_others(guard: Guard, revocations: Revocations) -> None:
    token = guard.verify(RAW)
    both = org(USER["org_code"]) & revocations.current
    assert str(both) == f"org('{USER['org_code']}') & current revocations"
    assert isinstance(both.refusal(token), RevocationsUnavailable)
    assert isinstance((scope("x") & revocations.current).refusal(token), InsufficientScope)
    assert (org(USER["org_code"]) | revocations.current).refusal(token) is None
    assert isinstance((revocations.current | scope("x")).refusal(token), InsufficientScope)
    hears(revocations)
    assert both.refusal(token) is None


def test_in_memory_it_always_is() -> None:
    revocations = Revocations.in_memory()
    guard = guard_of(Issuer(), revocations=revocations)
    guard.verify(RAW).require(revocations.current)


def test_revocations_that_no_guard_follows_are_not_current() -> None:
    guard = guard_of(Issuer())
    assert not Revocations(NOWHERE).current.met_by(guard.verify(RAW))


@pytest.mark.parametrize("make", [fastapi_app, starlette_app, asgi_app])
def test_tests_of_an_app_are_served(guard: Guard, revocations: Revocations, make: Make) -> None:
    """Nobody follows the app's own Redis there."""
    issuer = LocalIssuer()
    client = make(guard, revocations.current)
    if make is asgi_app:
        app = Starlette(routes=[Route("/current", served)])
        place: Any = kinde_guard.asgi.GuardMiddleware(app, guard, requires=revocations.current)
        client = TestClient(place)
    else:
        place = client.app
    with trust(place, issuer):
        assert client.get("/current", headers=headers(issuer.user_token())).status_code == 200
    with caller(place):
        assert client.get("/current").status_code == 200
    assert not revocations.current.met_by(guard.verify(RAW))


def test_with_a_redis(redis_server: Any) -> None:
    worker = Worker(redis_server.url)
    raw = raw_token()
    token = worker.guard.verify(raw)
    token.require(worker.revocations.current)
    redis_server.kill()
    until(lambda: worker.revocations.health().problem)
    worker.clock.passes(3)
    assert not worker.revocations.current.met_by(token)
    worker.guard.verify(raw)
    worker.revocations.close()
