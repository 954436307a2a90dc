"""``healthz=`` and ``readyz=``: answered in front of everything, by every adapter alike."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from asgi_calls import ask, bearing, http, talk
from fastapi import FastAPI
from flask import Flask, abort
from helpers import DOMAIN, ISSUER, NOW, Issuer, Time, guard_of, mint
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route
from waiting import settle
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.test import Client, TestResponse

import kinde_guard.asgi
import kinde_guard.fastapi
import kinde_guard.flask
import kinde_guard.starlette
import kinde_guard.wsgi
from kinde_guard import ConfigurationError, Guard
from kinde_guard.api_keys import ApiKeys
from kinde_guard.errors import RevocationsUnavailable
from kinde_guard.m2m import ClientCredentials
from kinde_guard.revocation import Revocations
from kinde_guard.testing import caller

Answer = tuple[int, dict[str, str], bytes]
Ask = Callable[..., Answer]
PATHS: dict[str, Any] = {"healthz": "/healthz", "readyz": "/readyz"}


async def served(request: Request) -> Response:
    return PlainTextResponse("served")


def of_asgi(app: Any) -> Ask:
    def asked(path: str, method: str = "GET", token: str | None = None) -> Answer:
        reply = ask(app, path, token, method=method)
        return reply.status, reply.headers, reply.body

    return asked


def of_wsgi(app: Any) -> Ask:
    def asked(path: str, method: str = "GET", token: str | None = None) -> Answer:
        reply: TestResponse = Client(app).open(path, method=method, headers=dict(bearing(token)))
        return reply.status_code, {name.lower(): value for name, value in reply.headers.items()}, reply.data

    return asked


def asgi_middleware(guard: Guard, **pages: Any) -> Ask:
    app = Starlette(routes=[Route("/{any:path}", served)])
    return of_asgi(kinde_guard.asgi.GuardMiddleware(app, guard, **pages))


def starlette(guard: Guard, **pages: Any) -> Ask:
    app = Starlette(routes=[Route("/{any:path}", served)])
    kinde_guard.starlette.KindeGuard(app, guard=guard, public=[], **pages)
    return of_asgi(app)


def fastapi(guard: Guard, **pages: Any) -> Ask:
    app = FastAPI()
    app.add_route("/{any:path}", served)
    kinde_guard.fastapi.KindeGuard(app, guard=guard, public=[], **pages)
    return of_asgi(app)


def flask(guard: Guard, **pages: Any) -> Ask:
    app = Flask("an_app")
    app.add_url_rule("/<path:path>", "served", lambda path: "served")
    app.before_request(lambda: abort(418))  # a function of the app's that lets nobody pass, after ours
    kinde_guard.flask.KindeGuard(app, guard=guard, public=[], **pages)
    return of_wsgi(app)


def wsgi_middleware(guard: Guard, **pages: Any) -> Ask:
    app = Flask("an_app")
    app.add_url_rule("/<path:path>", "served", lambda path: "served")
    return of_wsgi(kinde_guard.wsgi.GuardMiddleware(app, guard, **pages))


ADAPTERS = [asgi_middleware, starlette, fastapi, flask, wsgi_middleware]
every_adapter = pytest.mark.parametrize("adapter", ADAPTERS, ids=lambda adapter: adapter.__name__)


@every_adapter
def test_alive_while_the_process_answers(adapter: Callable[..., Ask]) -> None:
    """Whatever becomes of the keys, which it does not ask for."""
    issuer = Issuer()
    issuer.status = 503
    ask = adapter(guard_of(issuer), **PATHS)
    status, headers, body = ask("/healthz")
    assert (status, json.loads(body)) == (200, {"status": "ok"})
    assert headers["content-type"] == "application/json"
    assert headers["cache-control"] == "no-store"
    assert issuer.fetches == []


@every_adapter
def test_ready_once_there_are_keys(adapter: Callable[..., Ask]) -> None:
    """Nobody sends requests to what is not ready, so that asking whether it is has the keys fetched."""
    issuer, time = Issuer(), Time()
    guard = guard_of(issuer, time)
    ask = adapter(guard, **PATHS)
    status, _, body = ask("/readyz")
    assert (status, json.loads(body)["status"]) == (503, "not_ready")
    assert json.loads(body)["no_keys_of"] == [ISSUER]
    settle(guard)
    status, headers, body = ask("/readyz")
    assert status == 200
    assert headers["cache-control"] == "no-store"
    assert json.loads(body) == {
        "status": "ready",
        "keys": {ISSUER: {"state": "fresh", "since": time.wall, "keys": 1, "clock_drift": None}},
    }
    assert len(issuer.fetches) == 1


@every_adapter
def test_ready_through_an_outage_while_keys_last(adapter: Callable[..., Ask]) -> None:
    issuer, time = Issuer(), Time()
    guard = guard_of(issuer, time, usable_for=3600)
    ask = adapter(guard, **PATHS)
    guard.warm()
    issuer.status = 503
    time.passes(3000)
    assert json.loads(ask("/readyz")[2])["keys"][ISSUER]["state"] == "stale"
    assert ask("/readyz")[0] == 200
    time.passes(600)
    assert ask("/readyz")[0] == 503
    settle(guard)
    fetches = len(issuer.fetches)
    assert ask("/readyz")[0] == 503
    settle(guard)
    assert len(issuer.fetches) == fetches  # a failed fetch is waited for, however often it is asked


def test_ready_only_with_the_keys_of_every_issuer() -> None:
    issuer = Issuer(others={"auth.acme.com": b"not keys"})
    guard = guard_of(issuer, domain=["acme.kinde.com", "auth.acme.com"])
    ask = starlette(guard, **PATHS)
    ask("/readyz")
    settle(guard)
    status, _, body = ask("/readyz")
    assert status == 503
    assert [keys["state"] for keys in json.loads(body)["keys"].values()] == ["fresh", "never_loaded"]
    assert json.loads(body)["no_keys_of"] == ["https://auth.acme.com"]


@every_adapter
def test_why_a_fetch_failed_is_for_the_log(adapter: Callable[..., Ask]) -> None:
    """It may name a proxy, or what else lies behind the API."""
    issuer = Issuer()
    issuer.status = 418
    guard = guard_of(issuer)
    ask = adapter(guard, **PATHS)
    ask("/readyz")
    settle(guard)
    assert "418" in guard.health()[ISSUER].problem
    assert b"418" not in ask("/readyz")[2]


@every_adapter
def test_off_unless_asked_for(adapter: Callable[..., Ask]) -> None:
    ask = adapter(guard_of(Issuer()))
    assert ask("/healthz")[0] == 401
    assert ask("/readyz")[0] == 401
    only_one = adapter(guard_of(Issuer()), healthz="/alive")
    assert only_one("/alive")[0] == 200
    assert only_one("/readyz")[0] == 401


@every_adapter
@pytest.mark.parametrize("path", ["/healthz/", "//healthz", "/Healthz", "/healthz/x", "/healthz%2f", "/x/healthz"])
def test_that_very_path_and_no_other_is_public(adapter: Callable[..., Ask], path: str) -> None:
    ask = adapter(guard_of(Issuer()), **PATHS)
    assert ask(path)[0] in (401, 400, 308)
    assert ask("/users")[0] == 401


@every_adapter
def test_methods(adapter: Callable[..., Ask]) -> None:
    ask = adapter(guard_of(Issuer()), **PATHS)
    status, headers, body = ask("/healthz", "HEAD")
    assert (status, body, headers["content-length"]) == (200, b"", str(len(ask("/healthz")[2])))
    status, headers, _ = ask("/healthz", "POST")
    assert (status, headers["allow"]) == (405, "GET, HEAD")


def test_the_app_is_served_as_before() -> None:
    token = mint()
    for adapter in (asgi_middleware, starlette, fastapi, wsgi_middleware):
        assert adapter(guard_of(Issuer()), **PATHS)("/users", token=token)[2] == b"served"


@pytest.mark.parametrize("pages", [
    {"healthz": "healthz"}, {"healthz": ""}, {"healthz": "/health?z"}, {"readyz": "/ready/*"}, {"readyz": 1},
    {"healthz": "/health", "readyz": "/health"}, {"readyz": "/.well-known/oauth-protected-resource/x"},
])  # fmt: skip
@every_adapter
def test_what_is_no_path_is_refused_at_import(adapter: Callable[..., Ask], pages: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=r"healthz|readyz"):
        adapter(guard_of(Issuer()), **pages)


def test_without_a_guard_yet() -> None:
    """Being alive needs no settings; being ready does, and they may be wrong."""
    app = Starlette(routes=[Route("/", served)])
    kinde_guard.starlette.KindeGuard(app, audience="https://api.acme.com", domain="", **PATHS)
    assert ask(app, "/healthz").status == 200
    with pytest.raises(ConfigurationError, match="domain is empty"):
        ask(app, "/readyz")


def test_in_an_app_that_is_mounted() -> None:
    """The path is as the mounted app sees it."""
    inner = Starlette(routes=[Route("/", served)])
    kinde_guard.starlette.KindeGuard(inner, guard=guard_of(Issuer()), **PATHS)
    outer = Starlette(routes=[Mount("/v1", inner)])
    assert ask(outer, "/v1/healthz").status == 200
    assert ask(outer, "/healthz").status == 404
    flask_app = Flask("an_app")
    kinde_guard.flask.KindeGuard(flask_app, guard=guard_of(Issuer()), **PATHS)
    mounted = Client(DispatcherMiddleware(Flask("outer"), {"/v1": flask_app}))
    assert mounted.get("/v1/healthz").status_code == 200
    assert mounted.get("/healthz").status_code == 404


def test_a_web_socket_at_that_path_is_no_health_check() -> None:
    from asgi_calls import websocket

    app = kinde_guard.asgi.GuardMiddleware(Starlette(), guard_of(Issuer()), **PATHS)
    assert talk(app, websocket("/healthz")).reply.status == 401
    assert talk(app, http("/healthz")).reply.status == 200


def test_a_guard_that_stands_in_is_ready() -> None:
    """Tests that put a caller in place of tokens ask for no keys."""
    app = Starlette(routes=[Route("/", served)])
    kinde_guard.starlette.KindeGuard(app, guard=guard_of(Issuer()), **PATHS)
    with caller(app):
        assert ask(app, "/readyz").json == {"status": "ready", "keys": {}}


def test_readyz_tells_of_api_keys_and_does_not_wait_for_them() -> None:
    """Tokens are judged without them."""
    auth = ClientCredentials(DOMAIN, client_id="c", client_secret="s", audience=f"{ISSUER}/api")
    guard = guard_of(Issuer(), api_keys=ApiKeys(auth, api_ids="api_1"))
    guard.warm()
    status, _, body = asgi_middleware(guard, **PATHS)("/readyz")
    assert (status, json.loads(body)["api_keys"]) == (200, {"state": "never_asked", "since": NOW})


def test_readyz_waits_for_the_revocations_too() -> None:
    """Who cannot know who is revoked is sent no requests; and has the copy loaded meanwhile."""
    away = Revocations("redis://127.0.0.1:1/0")
    guard = guard_of(Issuer(), revocations=away)
    with pytest.raises(RevocationsUnavailable):
        guard.warm()
    status, _, body = asgi_middleware(guard, **PATHS)("/readyz")
    found = json.loads(body)
    assert (status, found["status"], found["no_keys_of"]) == (503, "not_ready", [])
    assert found["revocations"] == {"state": "never_loaded", "since": NOW, "entries": 0}
    away.close()
    here = guard_of(Issuer(), revocations=Revocations.in_memory())
    here.warm()
    status, _, body = asgi_middleware(here, **PATHS)("/readyz")
    assert (status, json.loads(body)["revocations"]["state"]) == (200, "fresh")
