"""The test kit, used as its users use it: apps that are already built, no settings in the environment, no network."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import unittest
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from fastapi import FastAPI, Security, WebSocket
from fastapi.testclient import TestClient
from flask import Flask
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route
from starlette.testclient import WebSocketDenialResponse

import kinde_guard.asgi
import kinde_guard.fastapi as on_fastapi
import kinde_guard.flask as on_flask
import kinde_guard.starlette as on_starlette
import kinde_guard.wsgi
from kinde_guard import AccessToken, ConfigurationError, Guard, InsufficientScope, InvalidToken, KeysUnavailable, scope
from kinde_guard.issuer import PRESETS, LocalIssuer
from kinde_guard.testing import (
    as_caller,
    caller,
    caller_token,
    guard_for,
    headers,
    local_issuer,
    mint,
    tokens,
    trust,
)
from kinde_guard.testing.stand_in import StandInGuard

pytest_plugins = ["pytester"]

Trust = Callable[..., Guard]
Caller = Callable[..., AccessToken]
Token = Callable[..., str]


@dataclass(frozen=True)
class Reply:
    status: int
    challenge: str
    json: Any


@dataclass(frozen=True)
class Service:
    """An app, a way to ask it, and where its guard is."""

    app: Any
    get: Callable[..., Reply]
    place: Any


def asked(client: TestClient) -> Callable[..., Reply]:
    def get(path: str, headers: dict[str, str] | None = None) -> Reply:
        response = client.get(path, headers=headers)
        return Reply(response.status_code, response.headers.get("www-authenticate", ""), response.json())

    return get


def fastapi_service(guard: Guard | None = None, **settings: Any) -> Service:
    app = FastAPI()
    on_fastapi.KindeGuard(app, guard=guard, **settings)

    @app.get("/me")
    async def me(token: on_fastapi.Token) -> dict[str, str]:
        return {"caller": token.subject}

    @app.get("/users")
    @on_fastapi.requires_scope("read:users")
    def users() -> dict[str, str]:
        return {}

    @app.get("/reports")
    @on_fastapi.requires_permission("reports:read")
    def reports() -> dict[str, str]:
        return {}

    @app.get("/orgs/{org_code}")
    @on_fastapi.requires_org(path="org_code")
    def org(org_code: str) -> dict[str, str]:
        return {}

    @app.websocket("/ws")
    @on_fastapi.requires_scope("read:users")
    async def ws(socket: WebSocket) -> None:
        await socket.accept()
        await socket.close()

    return Service(app, asked(TestClient(app)), app.state.kinde_guard)


def starlette_service(guard: Guard | None = None, **settings: Any) -> Service:
    @on_starlette.requires_auth
    async def me(request: Request) -> JSONResponse:
        return JSONResponse({"caller": request.user.identity})

    def nothing(request: Request) -> JSONResponse:
        return JSONResponse({})

    app = Starlette(
        routes=[
            Route("/me", me),
            Route("/users", on_starlette.requires_scope("read:users")(nothing)),
            Route("/reports", on_starlette.requires_permission("reports:read")(nothing)),
            Route("/orgs/{org_code}", on_starlette.requires_org(path="org_code")(nothing)),
        ]
    )
    on_starlette.KindeGuard(app, guard=guard, **settings)
    return Service(app, asked(TestClient(app)), app.state.kinde_guard)


def flask_service(guard: Guard | None = None, **settings: Any) -> Service:
    """Flask reads its settings when the guard is attached, so these have to be somewhere: here in its config."""
    app = Flask("service")
    app.config.update(KINDE_DOMAIN="acme.kinde.com", KINDE_AUDIENCE="https://api.acme.com")
    on_flask.KindeGuard(app, guard=guard, **settings)

    @app.get("/me")
    @on_flask.requires_auth
    def me() -> dict[str, str]:
        return {"caller": on_flask.current_token.subject}

    @app.get("/users")
    @on_flask.requires_scope("read:users")
    def users() -> dict[str, str]:
        return {}

    @app.get("/reports")
    @on_flask.requires_permission("reports:read")
    def reports() -> dict[str, str]:
        return {}

    @app.get("/orgs/<org_code>")
    @on_flask.requires_org(path="org_code")
    def org(org_code: str) -> dict[str, str]:
        return {}

    def get(path: str, headers: dict[str, str] | None = None) -> Reply:
        response = app.test_client().get(path, headers=headers)
        challenge = response.headers.get("WWW-Authenticate", "")
        return Reply(response.status_code, challenge, response.get_json(force=True))

    return Service(app, get, app.extensions["kinde_guard"])


BUILDERS = {"fastapi": fastapi_service, "starlette": starlette_service, "flask": flask_service}


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("KINDE_DOMAIN", "KINDE_ISSUER_URL", "KINDE_HOST", "KINDE_AUDIENCE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(params=BUILDERS)
def build(request: pytest.FixtureRequest) -> Callable[..., Service]:
    return BUILDERS[request.param]


@pytest.fixture
def service(build: Callable[..., Service]) -> Iterator[Service]:
    """Asked for first, it is the last to end: whatever a test has put into the app is out of it again."""
    service = build()
    before = service.place.guard
    yield service
    assert service.place.guard is before


# A caller without cryptography.


ADMITTED = [
    pytest.param("/me", {}, id="any caller"),
    pytest.param("/users", {"scope": "read:users"}, id="scope"),
    pytest.param("/users", {"scope": ["write:flags", "read:users"]}, id="scopes as a list"),
    pytest.param("/users", {"scope": "read:users", "subject": "kp_1"}, id="scope of a user"),
    pytest.param("/reports", {"permissions": ["reports:read"]}, id="permission"),
    pytest.param("/reports", {"permissions": "reports:read", "m2m": True}, id="permission of an app"),
    pytest.param("/orgs/org_1", {"org_code": "org_1"}, id="org of an app"),
    pytest.param("/orgs/org_1", {"org_code": "org_1", "m2m": False}, id="org of a user"),
]


@pytest.mark.parametrize(("path", "options"), ADMITTED)
def test_a_caller_who_may(service: Service, kinde_caller: Caller, path: str, options: dict[str, Any]) -> None:
    """No header, no key, no settings: the request is this caller's."""
    kinde_caller(service.app, **options)
    assert service.get(path).status == 200


@pytest.mark.parametrize(
    ("path", "options", "scopes"),
    [
        pytest.param("/users", {}, ', scope="read:users"', id="nothing is granted that was not asked for"),
        pytest.param("/users", {"scope": "write:flags"}, ', scope="read:users"', id="another scope"),
        pytest.param("/users", {"permissions": ["read:users"]}, ', scope="read:users"', id="a permission is no scope"),
        pytest.param("/reports", {"scope": "reports:read"}, "", id="a scope is no permission"),
        pytest.param("/orgs/org_1", {"org_code": "org_2"}, "", id="another organization"),
        pytest.param("/orgs/org_1", {}, "", id="no organization"),
    ],
)
def test_a_caller_who_may_not(
    service: Service, kinde_caller: Caller, path: str, options: dict[str, Any], scopes: str
) -> None:
    """What the route demands is judged: the 403 is the real one."""
    kinde_caller(service.app, **options)
    reply = service.get(path)
    assert reply.status == 403
    assert 'error="insufficient_scope"' in reply.challenge
    assert reply.challenge.endswith(scopes or '"')
    assert ("scope=" in reply.challenge) == bool(scopes)


def test_the_app_sees_the_caller(service: Service, kinde_caller: Caller) -> None:
    """The fixture returns the token that the app is given; called again, it is somebody else from then on."""
    token = kinde_caller(service.app, subject="kp_1")
    assert token.subject == "kp_1"
    assert service.get("/me").json == {"caller": "kp_1"}
    kinde_caller(service.app, client_id="app_1")
    assert service.get("/me").json == {"caller": "app_1"}


def test_what_the_request_carries_is_not_looked_at(service: Service, kinde_caller: Caller) -> None:
    kinde_caller(service.app)
    assert service.get("/me", headers={"Authorization": "Bearer no.token.atall"}).status == 200


def test_deny_by_default(build: Callable[..., Service]) -> None:
    """With ``public=`` the caller is asked for ahead of the routes, and is there."""
    service = build(public=[])
    with caller(service.app):
        assert service.get("/me").status == 200
        assert service.get("/users").status == 403
    with trust(service.app, local_issuer()):
        assert service.get("/nowhere").status == 401


def test_put_back_after_the_block(service: Service) -> None:
    """In the order of nested blocks, and also when one ends in an exception."""

    def fail() -> None:
        with caller(service.app, client_id="inner"):
            assert service.get("/me").json == {"caller": "inner"}
            raise ZeroDivisionError

    before = service.place.guard
    with caller(service.app, client_id="outer"):
        with pytest.raises(ZeroDivisionError):
            fail()
        assert service.get("/me").json == {"caller": "outer"}
    assert service.place.guard is before


def test_put_back_in_whichever_order(
    service: Service, kinde_caller: Caller, kinde_trust: Trust, kinde_token: Token
) -> None:
    """The two fixtures undo their work together, last first; ``service`` has the last look."""
    kinde_trust(service.app)
    kinde_caller(service.app)
    kinde_trust(service.app)
    assert service.get("/me").status == 401
    assert service.get("/me", headers=headers(kinde_token())).status == 200


def test_no_key_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    def make(**options: object) -> None:
        raise AssertionError("a key was made")

    monkeypatch.setattr(rsa, "generate_private_key", make)
    tokens._keyless.cache_clear()
    service = starlette_service()
    with caller(service.app, scope="read:users"):
        assert service.get("/users").status == 200
    with pytest.raises(AssertionError, match="a key was made"):
        LocalIssuer()


@pytest.mark.parametrize("options", [{"subject": "kp_1"}, {"scope": "a b"}, {"roles": ["admin"], "org_code": "org_1"}])
def test_a_caller_is_what_a_guard_would_have_made_of_a_token(
    options: dict[str, Any], kinde_issuer: LocalIssuer
) -> None:
    """The short way and the long way come to the same caller."""
    options = {"client_id": "app_1", **options}
    verified = guard_for(kinde_issuer).verify(mint(kinde_issuer, **options))
    made = caller_token(**options)
    for name in ("subject", "client_id", "issuer", "audience", "scopes", "permissions", "roles", "org_code", "is_m2m"):
        assert getattr(made, name) == getattr(verified, name)
    assert made.claims.keys() == verified.claims.keys()


def test_the_stand_in_replaces_everything_that_a_guard_has() -> None:
    """It inherits nothing: a method that a guard gets one day is missed here first."""
    public = {name for name in vars(Guard) if not name.startswith("_")}
    public |= {name for name in vars(guard_for(local_issuer())) if not name.startswith("_")} - {"settings"}
    assert public <= vars(StandInGuard).keys() | vars(StandInGuard(caller_token())).keys()
    assert StandInGuard.__mro__ == (StandInGuard, object)


def test_what_the_stand_in_refuses_is_logged_as_ever(caplog: pytest.LogCaptureFixture) -> None:
    """The hint says to whoever writes the test what the caller lacks."""
    token = caller_token(scope="read:users", client_id="app_1")
    StandInGuard(token).demand(token, scope("read:users"))
    assert not caplog.records
    with caplog.at_level("INFO", "kinde_guard"), pytest.raises(InsufficientScope):
        StandInGuard(token).demand(token, scope("write:users"))
    assert "refused (insufficient_scope) token" in caplog.text
    assert "'app_1': the token lacks write:users" in caplog.text


def test_the_stand_in_answers_everything() -> None:
    token = caller_token(scope="read:users")
    guard = StandInGuard(token)
    assert guard.verify("whatever") is guard.authenticate([]) is token
    assert asyncio.run(guard.averify("whatever")) is asyncio.run(guard.aauthenticate([])) is token
    guard.warm()
    asyncio.run(guard.awarm())
    assert guard.health() == {}
    assert guard.stats().hits == 0
    assert repr(token) in repr(guard)


def test_websocket(kinde_caller: Caller) -> None:
    app = fastapi_service().app
    kinde_caller(app, scope="read:users")
    with TestClient(app).websocket_connect("/ws"):
        pass
    kinde_caller(app)
    with pytest.raises(WebSocketDenialResponse) as refused, TestClient(app).websocket_connect("/ws"):
        pass
    assert refused.value.status_code == 403


@pytest.mark.parametrize("build", [fastapi_service, starlette_service])
def test_the_app_starts_without_settings(build: Callable[..., Service], kinde_caller: Caller) -> None:
    """With a lifespan, too, once there is a caller; and without one it says what is missing."""
    app = build().app
    with pytest.raises(ConfigurationError, match="KINDE_DOMAIN"), TestClient(app):
        pass
    kinde_caller(app, scope="read:users")
    with TestClient(app) as client:
        assert client.get("/users").status_code == 200


def test_mounted_apps_each_have_their_own(kinde_caller: Caller) -> None:
    inner, outer = starlette_service(), starlette_service()
    outer.app.router.routes.append(Mount("/inner", inner.app))
    kinde_caller(outer.app, client_id="outside")
    kinde_caller(inner.app, client_id="inside")
    assert outer.get("/me").json == {"caller": "outside"}
    assert outer.get("/inner/me").json == {"caller": "inside"}


def test_middleware(kinde_caller: Caller, kinde_trust: Trust) -> None:
    """In front of apps of no framework there is nothing but the middleware: it is what to give."""

    def wsgi_app(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        return [environ["kinde_guard.token"].client_id.encode()]

    wsgi = kinde_guard.wsgi.GuardMiddleware(wsgi_app, guard_for(local_issuer()))
    asgi = kinde_guard.asgi.GuardMiddleware(starlette_service().app)
    with httpx.Client(transport=httpx.WSGITransport(wsgi), base_url="http://api") as client:
        assert client.get("/").status_code == 401
        kinde_caller(wsgi, client_id="app_1")
        assert client.get("/").text == "app_1"
    kinde_trust(asgi)
    assert TestClient(asgi).get("/nowhere").status_code == 401
    kinde_caller(asgi)
    assert TestClient(asgi).get("/nowhere").status_code == 404


@pytest.mark.parametrize("app", [Starlette(), FastAPI(), Flask("bare"), object()], ids=lambda app: type(app).__name__)
def test_an_app_without_a_guard(app: object, kinde_issuer: LocalIssuer) -> None:
    for put in (lambda: caller(app), lambda: trust(app, kinde_issuer)):
        with pytest.raises(ConfigurationError, match=r"call KindeGuard\(app\) first"), put():
            pass


# A real guard, real tokens, and an issuer that lives in the test.


def test_trust(service: Service, kinde_trust: Trust, kinde_token: Token) -> None:
    guard = kinde_trust(service.app)
    assert service.place.guard is guard
    assert service.get("/users").challenge == 'Bearer realm="api"'
    assert service.get("/users", headers=headers(kinde_token(scope="read:users"))).status == 200
    assert service.get("/users", headers=headers(kinde_token(scope="write:flags"))).status == 403
    assert service.get("/me", headers=headers(kinde_token(subject="kp_1"))).json == {"caller": "kp_1"}


@pytest.mark.parametrize(("path", "options"), ADMITTED)
def test_trusted_tokens_open_the_same_routes(
    service: Service, kinde_trust: Trust, kinde_token: Token, path: str, options: dict[str, Any]
) -> None:
    kinde_trust(service.app)
    assert service.get(path, headers=headers(kinde_token(**options))).status == 200


@pytest.mark.parametrize("preset", ["expired", "wrong_audience", "id_token", "unknown_key", "bad_signature"])
def test_wrong_tokens_by_name(service: Service, kinde_trust: Trust, kinde_token: Token, preset: str) -> None:
    kinde_trust(service.app)
    reply = service.get("/me", headers=headers(kinde_token(preset=preset)))
    assert reply.status == 401
    assert 'error="invalid_token"' in reply.challenge


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_does_what_it_says(preset: str, kinde_issuer: LocalIssuer, kinde_token: Token) -> None:
    expected = PRESETS[preset].reason
    raw = kinde_token(preset=preset)
    if expected is None or expected == "insufficient_scope":
        guard_for(kinde_issuer).verify(raw)
    else:
        with pytest.raises(InvalidToken) as refused:
            guard_for(kinde_issuer).verify(raw)
        assert refused.value.reason == expected


def test_rotation_as_often_as_one_likes(
    service: Service, kinde_trust: Trust, kinde_token: Token, kinde_issuer: LocalIssuer
) -> None:
    """No cool-down between unknown keys, as a guard in production would have."""
    kinde_trust(service.app)
    for _ in range(2):
        assert service.get("/me", headers=headers(kinde_token(preset="unknown_key"))).status == 401
        kinde_issuer.rotate(hard=True)
        assert service.get("/me", headers=headers(kinde_token())).status == 200


def test_rotation_does_not_leak() -> None:
    """One key for all tests, made once; and each test has an issuer of its own."""
    first = local_issuer()
    key = first.key
    first.rotate(hard=True)
    assert local_issuer().key is key is not first.key


def test_outage(service: Service, kinde_trust: Trust, kinde_token: Token, kinde_issuer: LocalIssuer) -> None:
    kinde_trust(service.app)
    kinde_issuer.down = True
    assert service.get("/me", headers=headers(kinde_token())).status == 503
    with pytest.raises(KeysUnavailable):
        guard_for(kinde_issuer).warm()


def test_a_stranger_to_the_issuer_is_refused(service: Service, kinde_trust: Trust) -> None:
    """Another local issuer has the same key and the same audience, and another name."""
    kinde_trust(service.app)
    stranger = local_issuer("https://other.kinde.test")
    assert service.get("/me", headers=headers(mint(stranger))).status == 401


def test_settings_of_the_guard_in_the_test(
    service: Service, kinde_trust: Trust, kinde_token: Token, kinde_issuer: LocalIssuer
) -> None:
    kinde_trust(service.app, audience="https://mine")
    assert service.get("/me", headers=headers(kinde_token())).status == 401
    assert service.get("/me", headers=headers(kinde_token(audience="https://mine"))).status == 200


def test_the_guard_goes_by_the_clock_of_its_issuer() -> None:
    now = 1_751_200_000.0
    issuer = local_issuer(clock=lambda: now)
    raw = mint(issuer, lifetime=60)
    guard = guard_for(issuer)
    assert guard.verify(raw).expires_at == now + 60
    now += 60 + 30  # and the leeway
    with pytest.raises(InvalidToken, match="expired"):
        guard.verify(raw)


@pytest.mark.parametrize("given", ["settings", "guard"])
def test_permissions_as_scopes_is_the_apps_own_choice(
    build: Callable[..., Service],
    given: str,
    kinde_caller: Caller,
    kinde_trust: Trust,
    kinde_token: Token,
    kinde_issuer: LocalIssuer,
) -> None:
    """A test and production must agree on what a token grants."""
    service = (
        build(permissions_as_scopes=True)
        if given == "settings"
        else build(guard=guard_for(kinde_issuer, permissions_as_scopes=True))
    )
    kinde_caller(service.app, permissions=["read:users"])
    assert service.get("/users").status == 200
    kinde_trust(service.app)
    assert service.get("/users", headers=headers(kinde_token(permissions=["read:users"]))).status == 200
    kinde_caller(service.app, permissions=["read:users"], permissions_as_scopes=False)
    assert service.get("/users").status == 403


# Tokens and callers in the words of a test.


def test_an_app_unless_it_is_a_user() -> None:
    assert caller_token().is_m2m
    assert caller_token(org_code="org_1", scope="a").is_m2m
    assert not caller_token(m2m=False).is_m2m
    assert not caller_token(subject="kp_1").is_m2m
    rights: list[dict[str, Any]] = [{"permissions": []}, {"roles": ["a"]}, {"feature_flags": {}}]
    for of_a_user in rights:
        assert not caller_token(**of_a_user).is_m2m
        assert caller_token(m2m=True, **of_a_user).is_m2m


@pytest.mark.parametrize("m2m", [True, False])
def test_everything_that_a_caller_can_have(m2m: bool) -> None:
    token = caller_token(
        m2m=m2m,
        scope=["a", "b"],
        permissions="p",
        roles="admin",
        org_code="org_1",
        feature_flags={"beta": True},
        client_id="app_1",
        audience="https://mine",
        lifetime=60,
        plan="pro",
    )
    assert token.scopes == {"a", "b"}
    assert token.permissions == {"p"}
    assert token.roles == {"admin"}
    assert token.org_code == "org_1"
    assert token.flag("beta") is True
    assert token.client_id == "app_1"
    assert token.audience == ("https://mine",)
    assert token.issued_at is not None
    assert token.expires_at - token.issued_at == 60
    assert token.claims["plan"] == "pro"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        pytest.param({"scopes": "a"}, "write scope= instead of scopes=", id="scopes"),
        pytest.param({"permission": "a"}, "write permissions=", id="permission"),
        pytest.param({"sub": "kp_1"}, "write subject=", id="sub"),
        pytest.param({"m2m": True, "subject": "kp_1"}, "write client_id=", id="an app with a subject"),
    ],
)
def test_slips(options: dict[str, Any], words: str, kinde_token: Token) -> None:
    """What would make a token that grants nothing, for no visible reason, is an error."""
    for make in (caller_token, kinde_token):
        with pytest.raises(ConfigurationError, match=words):
            make(**options)


def test_a_preset_takes_no_options(kinde_token: Token) -> None:
    with pytest.raises(ConfigurationError, match="leave out scope"):
        kinde_token(preset="expired", scope="read:users")
    with pytest.raises(ConfigurationError, match="there is no preset 'stale'"):
        kinde_token(preset="stale")


def test_headers() -> None:
    assert headers("a.b.c") == {"Authorization": "Bearer a.b.c"}


# FastAPI's own overrides.


def test_overrides_that_judge() -> None:
    """A plain lambda would drop the scopes of ``Security(access_token, scopes=…)``."""
    app = FastAPI()
    on_fastapi.KindeGuard(app)

    @app.get("/users", dependencies=[Security(on_fastapi.access_token, scopes=["read:users"])])
    def users(token: on_fastapi.Token) -> dict[str, str]:
        return {"caller": token.subject}

    @app.get("/maybe")
    def maybe(token: on_fastapi.OptionalToken) -> dict[str, str | None]:
        return {"caller": token.subject if token else None}

    app.dependency_overrides[on_fastapi.access_token] = as_caller(subject="kp_1", scope="read:users")
    app.dependency_overrides[on_fastapi.optional_access_token] = as_caller(subject="kp_2")
    get = asked(TestClient(app))
    assert get("/users").json == {"caller": "kp_1"}
    assert get("/maybe").json == {"caller": "kp_2"}
    app.dependency_overrides[on_fastapi.access_token] = as_caller(scope="write:flags")
    refused = get("/users")
    assert refused.status == 403
    assert refused.challenge.endswith('scope="read:users"')
    assert refused.json["error"] == "insufficient_scope"


def test_overrides_and_decorators() -> None:
    service = fastapi_service()
    service.app.dependency_overrides[on_fastapi.access_token] = as_caller(scope="read:users")
    assert service.get("/users").status == 200
    service.app.dependency_overrides[on_fastapi.access_token] = as_caller(scope="write:flags")
    assert service.get("/users").status == 403


def test_overrides_of_a_second_scheme() -> None:
    """``AccessTokenSecurity`` with a guard of its own is a key as well."""
    admin = on_fastapi.AccessTokenSecurity(guard_for(local_issuer()), scheme_name="Admin")
    app = FastAPI()
    on_fastapi.KindeGuard(app)

    @app.get("/", dependencies=[Security(admin, scopes=["admin"])])
    def index() -> dict[str, str]:
        return {}

    get = asked(TestClient(app))
    with caller(app, scope="admin"):
        assert get("/").status == 401
        app.dependency_overrides[admin] = as_caller(scope="admin")
        assert get("/").status == 200
        app.dependency_overrides[admin] = as_caller()
        assert get("/").status == 403


# Around pytest.


class WithUnittest(unittest.TestCase):
    """The same without a fixture."""

    def test_caller(self) -> None:
        service = flask_service()
        token = self.enterContext(caller(service.app, scope="read:users"))
        token.require(scope("read:users"))
        assert service.get("/users").status == 200

    def test_trust(self) -> None:
        issuer, service = local_issuer(), starlette_service()
        self.enterContext(trust(service.app, issuer))
        reply = service.get("/users", headers=headers(mint(issuer, scope="read:users")))
        assert reply.status == 200


def test_in_a_project_of_ones_own(pytester: pytest.Pytester) -> None:
    """Installing the package is enough; a caller does not outlive its test."""
    pytester.makepyfile(
        service="""
        from starlette.applications import Starlette
        from starlette.responses import PlainTextResponse
        from starlette.routing import Route
        from kinde_guard.starlette import KindeGuard, requires_scope

        @requires_scope("read:users")
        async def users(request):
            return PlainTextResponse("")

        app = Starlette(routes=[Route("/users", users)])
        KindeGuard(app)
        """,
        test_service="""
        from service import app
        from starlette.testclient import TestClient
        from kinde_guard.testing import headers

        def test_reader(kinde_caller):
            kinde_caller(app, scope="read:users")
            assert TestClient(app).get("/users").status_code == 200

        def test_put_back():
            assert app.state.kinde_guard.guard is None

        def test_with_a_token(kinde_trust, kinde_token):
            kinde_trust(app)
            assert TestClient(app).get("/users", headers=headers(kinde_token(scope="read:users"))).status_code == 200
        """,
    )
    pytester.runpytest_subprocess().assert_outcomes(passed=3)


def test_import_light(pytester: pytest.Pytester) -> None:
    """Every pytest run in an environment with kinde_guard loads the plugin, whatever the project: it stays cheap."""
    pytester.makeconftest(
        """
        import sys

        def pytest_sessionfinish():
            print("loaded:", *sorted(name for name in sys.modules if name.startswith("kinde_guard")))
        """
    )
    result = pytester.runpytest_subprocess("--collect-only")
    result.stdout.fnmatch_lines(["*loaded: kinde_guard kinde_guard.testing kinde_guard.testing.fixtures"])


def test_what_is_loaded_loads_nothing_else() -> None:
    code = """if True:
        import __future__, importlib, sys, typing, pytest
        before = set(sys.modules)
        import kinde_guard.testing.fixtures
        print(*sorted(set(sys.modules) - before))
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["kinde_guard", "kinde_guard.testing", "kinde_guard.testing.fixtures"]


def test_unittest_needs_no_pytest() -> None:
    code = "import sys; sys.modules['pytest'] = None; from kinde_guard.testing import *; caller; mint; as_caller"
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


def test_names_are_loaded_when_asked_for() -> None:
    import kinde_guard.testing as kit

    for name in kit.__all__:
        assert callable(getattr(kit, name))
    with pytest.raises(AttributeError, match="nonesuch"):
        _ = kit.nonesuch  # type: ignore[attr-defined]
