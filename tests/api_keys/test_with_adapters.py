"""A key through every adapter: let in where its scopes do, 403 where they do not, 401 and 503 as for a token."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import asgi_calls
import django_project
import pytest
from api_keys_server import ORG_KEY, OTHER_API, USER_KEY, VERIFY, KindeServer, api_keys, errors, kinde_server
from django.http import HttpRequest, HttpResponse
from django.test import override_settings
from django.urls import path
from fastapi import FastAPI
from flask import Flask
from helpers import AUDIENCE
from ninja import NinjaAPI
from rest_framework import decorators as drf
from rest_framework.request import Request as DRFRequest
from rest_framework.response import Response as DRFResponse
from servers_mcp import RESOURCE, Notes, app_of, server_of, text_of
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from waiting import LONG
from werkzeug.test import Client

import kinde_guard.asgi
import kinde_guard.django
import kinde_guard.drf
import kinde_guard.fastapi
import kinde_guard.flask
import kinde_guard.ninja
import kinde_guard.starlette
import kinde_guard.wsgi
from kinde_guard import Guard, scope
from kinde_guard.forward import ForwardAuth
from kinde_guard.testing import local_issuer

Ask = Callable[[str | None], tuple[int, dict[str, str], bytes]]
"""What is answered to a key, by a route that demands write:users."""
STRANGER = "k_live_" + "0" * 32


@pytest.fixture
def kinde() -> Iterator[KindeServer]:
    with kinde_server() as server:
        yield server


def of_asgi(app: Any, path: str = "/users") -> Ask:
    def asked(key: str | None) -> tuple[int, dict[str, str], bytes]:
        reply = asgi_calls.ask(app, path, key)
        return reply.status, reply.headers, reply.body

    return asked


def of_wsgi(app: Any) -> Ask:
    def asked(key: str | None) -> tuple[int, dict[str, str], bytes]:
        answer = Client(app).get("/users", headers=None if key is None else {"Authorization": f"Bearer {key}"})
        return answer.status_code, {name.lower(): value for name, value in answer.headers.items()}, answer.data

    return asked


def fastapi_app(settings: dict[str, Any]) -> Ask:
    app = FastAPI()
    kinde_guard.fastapi.KindeGuard(app, **settings)

    @app.get("/users")
    @kinde_guard.fastapi.requires_scope("write:users")
    def users(token: kinde_guard.fastapi.Token) -> str | None:
        return token.org_code

    return of_asgi(app)


def starlette_app(settings: dict[str, Any]) -> Ask:
    @kinde_guard.starlette.requires_scope("write:users")
    async def users(request: Request) -> Response:
        return PlainTextResponse(request.user.token.org_code)

    app = Starlette(routes=[Route("/users", users)])
    kinde_guard.starlette.KindeGuard(app, **settings)
    return of_asgi(app)


def asgi_app(settings: dict[str, Any]) -> Ask:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await PlainTextResponse("org_1")(scope, receive, send)

    return of_asgi(kinde_guard.asgi.GuardMiddleware(app, Guard(**settings), requires=scope("write:users")))


def flask_app(settings: dict[str, Any]) -> Ask:
    app = Flask(__name__)
    kinde_guard.flask.KindeGuard(app, **settings)

    @app.get("/users")
    @kinde_guard.flask.requires_scope("write:users")
    def users() -> str:
        return kinde_guard.flask.current_token.org_code or ""

    return of_wsgi(app)


def wsgi_app(settings: dict[str, Any]) -> Ask:
    def app(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"org_1"]

    return of_wsgi(kinde_guard.wsgi.GuardMiddleware(app, Guard(**settings), requires=scope("write:users")))


def forward_app(settings: dict[str, Any]) -> Ask:
    asked = of_asgi(ForwardAuth(Guard(**settings)), "/verify/scope=write:users")

    def answered(key: str | None) -> tuple[int, dict[str, str], bytes]:
        status, headers, body = asked(key)
        return status, headers, body or b"org_1"  # it says nothing of a caller

    return answered


def envoy_app(settings: dict[str, Any]) -> Ask:
    grpc = pytest.importorskip("grpc", reason="kinde-guard[envoy] is not installed")
    service = pytest.importorskip("envoy.service.auth.v3.external_auth_pb2_grpc", reason="so is Envoy's interface")
    interface = pytest.importorskip("envoy.service.auth.v3.external_auth_pb2")
    from kinde_guard.ext_authz import served

    guard = Guard(**settings)

    def asked(key: str | None) -> tuple[int, dict[str, str], bytes]:
        request = interface.CheckRequest()
        request.attributes.context_extensions["require"] = "scope:write:users"
        if key is not None:
            request.attributes.request.http.headers["authorization"] = f"Bearer {key}"
        server = served(guard, "127.0.0.1:0")
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        try:
            with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
                answer = service.AuthorizationStub(channel).Check(request, timeout=LONG)
        finally:
            server.stop(0).wait(LONG)
        denied = answer.denied_response
        headers = {option.header.key: option.header.value for option in denied.headers}
        if not answer.HasField("denied_response"):
            return 200, {}, b"org_1"  # it says nothing of a caller
        return denied.status.code, headers, denied.body.encode()

    return asked


@kinde_guard.django.requires_scope("write:users")
def django_users(request: HttpRequest) -> HttpResponse:
    return HttpResponse(request.kinde_token.org_code)


@drf.api_view(["GET"])
@drf.authentication_classes([kinde_guard.drf.KindeAuthentication])
@drf.permission_classes([kinde_guard.drf.HasScope("write:users")])
def drf_users(request: DRFRequest) -> DRFResponse:
    return DRFResponse(request.auth.org_code)


ninja = NinjaAPI(urls_namespace="api keys")


@ninja.get("/users", auth=kinde_guard.ninja.KindeAuth(scope("write:users")))
def ninja_users(request: HttpRequest) -> str:
    return str(request.auth.org_code)


@ninja.get("/ausers", auth=kinde_guard.ninja.KindeAuth(scope("write:users")))
async def ninja_ausers(request: HttpRequest) -> str:
    return str(request.auth.org_code)


urlpatterns = [path("users", django_users), path("drf/users", drf_users), path("ninja/", ninja.urls)]


def django_app(ask: django_project.Ask, path: str = "/users") -> Callable[[dict[str, Any]], Ask]:
    def made(settings: dict[str, Any]) -> Ask:
        options = {"MIDDLEWARE": [django_project.MIDDLEWARE], "KINDE_GUARD": settings, "ROOT_URLCONF": __name__}

        def asked(key: str | None) -> tuple[int, dict[str, str], bytes]:
            with override_settings(**options):
                answer = ask("GET", path, headers={} if key is None else django_project.bearer(key))
            return answer.status_code, {**answer.headers}, answer.content

        return asked

    return made


APPS: dict[str, Callable[[dict[str, Any]], Ask]] = {
    "fastapi": fastapi_app,
    "starlette": starlette_app,
    "asgi": asgi_app,
    "flask": flask_app,
    "wsgi": wsgi_app,
    "django over WSGI": django_app(django_project.over_wsgi),
    "django over ASGI": django_app(django_project.over_asgi),
    "REST framework over WSGI": django_app(django_project.over_wsgi, "/drf/users"),
    "REST framework over ASGI": django_app(django_project.over_asgi, "/drf/users"),
    "Ninja over WSGI": django_app(django_project.over_wsgi, "/ninja/users"),
    "Ninja over ASGI": django_app(django_project.over_asgi, "/ninja/ausers"),
    "forward auth": forward_app,
    "Envoy over gRPC": envoy_app,
}


@pytest.mark.parametrize("made", APPS.values(), ids=APPS)
def test_every_adapter(kinde: KindeServer, made: Callable[[dict[str, Any]], Ask]) -> None:
    """``api_keys=`` is given to it as every other setting."""
    kinde.keys["k_live_" + "d4" * 16] = {**kinde.keys[ORG_KEY], "id": "api_key_other", "api_ids": [OTHER_API]}
    ask = made({"domain": kinde.url, "audience": AUDIENCE, "api_keys": api_keys(kinde)})
    for _ in range(2):
        status, _, body = ask(ORG_KEY)
        assert (status, body.strip(b'"')) == (200, b"org_1")
    status, headers, _ = ask(USER_KEY)
    assert (status, "write:users" in headers["www-authenticate"]) == (403, True)
    for key, words in (
        (STRANGER, "The API key is not valid."),
        ("k_live_" + "d4" * 16, "The API key is for another API."),
    ):
        status, headers, body = ask(key)
        assert status == 401
        assert f'error="invalid_token", error_description="{words}"' in headers["www-authenticate"]
    assert ask(None)[0] == 401
    kinde.answers[VERIFY] = errors(429, "TOO_MANY_REQUESTS", RateLimit_Reset="9")
    status, headers, _ = ask("k_live_" + "e5" * 16)
    assert (status, headers["retry-after"]) == (503, "9")
    assert ask(ORG_KEY)[0] == 200
    assert kinde.verified == 5


@pytest.mark.parametrize("kind", ["official", "fastmcp"])
def test_mcp(kind: str) -> None:
    """As Kinde's MCP connections send them on."""
    issuer = local_issuer()
    with kinde_server() as kinde:
        kinde.add(USER_KEY, user_id="kp_1", scopes=["notes:read", "notes:write"])
        guard = Guard(kinde.url, audience=[AUDIENCE], api_keys=api_keys(kinde), variables=())
        with Notes(kind, issuer=issuer, guard=guard).running() as notes:
            answers = {key: notes.call("add", key, text="a") for key in (USER_KEY, ORG_KEY, STRANGER)}
    assert [answer.status_code for answer in answers.values()] == [200, 403, 401]
    assert notes.ran != []


def test_mcp_with_the_servers_auth() -> None:
    """A verifier that the SDK asks takes a key; so does a KindeProvider, unless it signs people in: its endpoint takes
    the tokens of the proxy alone then."""
    pytest.importorskip("fastmcp", reason="fastmcp is not installed")
    from key_value.aio.stores.memory import MemoryStore

    from kinde_guard.fastmcp import KindeProvider
    from kinde_guard.mcp import KindeVerifier, auth_settings

    base, signing_in = "https://notes.acme.com", {"client_id": "the_app", "client_secret": "s" * 40}
    with kinde_server() as kinde:
        kinde.add(USER_KEY, user_id="kp_1", scopes=["notes:read", "notes:write"])
        guard = Guard(kinde.url, audience=[RESOURCE], api_keys=api_keys(kinde), variables=())
        alone = KindeProvider(base_url=base, guard=guard)
        proxy = KindeProvider(base_url=base, guard=guard, client_storage=MemoryStore(), **signing_in)  # type: ignore[arg-type]
        verifier = {"token_verifier": KindeVerifier(guard), "auth": auth_settings(RESOURCE, guard)}
        provided = _asked_with_keys(server_of("fastmcp", [], auth=alone))
        proxied = _asked_with_keys(server_of("fastmcp", [], auth=proxy))
        verified = _asked_with_keys(server_of("official", [], **verifier))
    assert [answer.status_code for answer in provided] == [200, 403, 401]
    assert provided[2].json()["detail"] == "The API key is not valid."
    assert [answer.status_code for answer in proxied] == [401, 401, 401]
    assert "has added a" in text_of(verified[0])
    assert "lacks a scope" in verified[1].text
    assert verified[2].status_code == 401


def _asked_with_keys(server: Any) -> list[Any]:
    notes = Notes("official")
    notes.app = app_of(server, stateless_http=True)
    with notes.running():
        return [notes.call("add", key, text="a") for key in (USER_KEY, ORG_KEY, STRANGER)]
