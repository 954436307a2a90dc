"""``resource=``: the metadata of a protected resource (RFC 9728), and where challenges say that it is."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from typing import Annotated, Any

import httpx
import pytest
from asgi_calls import Reply, ask, bearing, http, talk, websocket
from fastapi import APIRouter, FastAPI, Security
from fastapi.routing import APIRoute
from flask import Blueprint, Flask
from flask.views import MethodView
from helpers import ISSUER, M2M, Issuer, guard_of, mint
from servers import served
from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Host, Mount, Route, Router
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.test import Client

import kinde_guard.asgi
import kinde_guard.fastapi
import kinde_guard.flask
import kinde_guard.starlette
import kinde_guard.wsgi
from kinde_guard import (
    AccessToken,
    AuthError,
    ConfigurationError,
    Guard,
    InvalidToken,
    KeysUnavailable,
    MissingToken,
    machine,
    permission,
    scope,
)
from kinde_guard.routes import routes_of
from kinde_guard.web import bearer
from kinde_guard.web.well_known import every_scope, metadata_url

RESOURCE = "https://api.acme.com"
PATH = "/.well-known/oauth-protected-resource"
URL = RESOURCE + PATH
POINTER = f', resource_metadata="{URL}"'


def wsgi_get(app: Any, path: str, token: str | None = None, method: str = "GET", **options: Any) -> Reply:
    reply = Client(app).open(path, method=method, headers=dict(bearing(token)), **options)
    headers = {name.lower(): value for name, value in reply.headers.items()}
    assert len(headers) == len(reply.headers)
    return Reply(reply.status_code, headers, reply.data)


def fastapi_app(guard: Guard, **options: Any) -> tuple[Any, Callable[..., Reply]]:
    app, router = FastAPI(), APIRouter(dependencies=[kinde_guard.fastapi.requires_scope("of:router")])

    @app.get("/users")
    @kinde_guard.fastapi.requires_scope("read:users")
    def users() -> str:
        return "users"

    @app.post("/users", dependencies=[kinde_guard.fastapi.requires_scope("write:users")])
    async def create(token: kinde_guard.fastapi.Token) -> str:
        return token.subject

    @router.get("/things")
    async def things(
        token: Annotated[AccessToken, Security(kinde_guard.fastapi.access_token, scopes=["of:parameter"])],
    ) -> str:
        return token.subject

    @app.get("/either")
    @kinde_guard.fastapi.requires((scope("one") | scope("other")) & permission("p"))
    def either() -> str:
        return "either"

    app.include_router(router, prefix="/of")
    kinde_guard.fastapi.KindeGuard(app, guard=guard, **options)
    return app, ask


def starlette_app(guard: Guard, **options: Any) -> tuple[Any, Callable[..., Reply]]:
    @kinde_guard.starlette.requires_scope("read:users")
    async def users(request: Request) -> Response:
        return PlainTextResponse("users")

    class Things(HTTPEndpoint):
        @kinde_guard.starlette.requires_scope("of:router", "of:parameter")
        async def get(self, request: Request) -> Response:
            return PlainTextResponse("things")

        @kinde_guard.starlette.requires_scope("write:users")
        def post(self, request: Request) -> Response:
            return PlainTextResponse("things")

    @kinde_guard.starlette.requires((scope("one") | scope("other")) & permission("p"))
    def either(request: Request) -> Response:
        return PlainTextResponse("either")

    inner = Starlette(routes=[Route("/either", either)])
    app = Starlette(routes=[Route("/users", users), Route("/things", Things), Mount("/of", inner)])
    kinde_guard.starlette.KindeGuard(app, guard=guard, **options)
    return app, ask


def flask_app(guard: Guard, **options: Any) -> tuple[Any, Callable[..., Reply]]:
    app, blueprint = Flask("an_app"), Blueprint("of", "of", url_prefix="/of")
    blueprint.before_request(kinde_guard.flask.requires_scope("of:router"))

    @app.get("/users")
    @kinde_guard.flask.requires_scope("read:users")
    def users() -> str:
        return "users"

    class Things(MethodView):
        @kinde_guard.flask.requires_scope("of:parameter")
        def get(self) -> str:
            return "things"

        @kinde_guard.flask.requires_scope("write:users")
        def post(self) -> str:
            return "things"

    blueprint.add_url_rule("/things", view_func=Things.as_view("things"))

    @app.get("/either")
    @kinde_guard.flask.requires((scope("one") | scope("other")) & permission("p"))
    def either() -> str:
        return "either"

    app.register_blueprint(blueprint)
    kinde_guard.flask.KindeGuard(app, guard=guard, **options)
    return app, wsgi_get


def asgi_app(guard: Guard, **options: Any) -> tuple[Any, Callable[..., Reply]]:
    return kinde_guard.asgi.GuardMiddleware(Starlette(), guard, requires=scope("read:users"), **options), ask


def wsgi_app(guard: Guard, **options: Any) -> tuple[Any, Callable[..., Reply]]:
    return kinde_guard.wsgi.GuardMiddleware(Flask("an_app"), guard, requires=scope("read:users"), **options), wsgi_get


Make = Callable[..., tuple[Any, Callable[..., Reply]]]
FRAMEWORKS: list[Make] = [fastapi_app, starlette_app, flask_app]
MIDDLEWARE: list[Make] = [asgi_app, wsgi_app]
every_app = pytest.mark.parametrize("make", [*FRAMEWORKS, *MIDDLEWARE], ids=lambda make: make.__name__)


# The document


@every_app
def test_what_is_served(make: Make, guard: Guard) -> None:
    """To everybody, by settings and demands alone."""
    app, get = make(guard, resource=RESOURCE)
    reply = get(app, PATH)
    scopes = ["of:parameter", "of:router", "one", "other", "read:users", "write:users"]
    assert reply.status == 200
    assert reply.json == {
        "resource": RESOURCE,
        "authorization_servers": [ISSUER],
        "scopes_supported": scopes if make in FRAMEWORKS else ["read:users"],
        "bearer_methods_supported": ["header"],
    }
    assert get(app, PATH).json == reply.json
    assert reply.headers["content-type"] == "application/json"
    assert reply.headers["access-control-allow-origin"] == "*"
    assert reply.headers["cache-control"] == "public, max-age=3600"


@every_app
def test_deny_by_default_does_not_deny_it(make: Make, guard: Guard) -> None:
    options: dict[str, Any] = {"public": []}
    app, get = make(guard, resource=RESOURCE, **options)
    assert get(app, PATH).status == 200
    assert get(app, PATH + "/").status == 401
    assert get(app, "/.well-known/openid-configuration").status == 401


@every_app
def test_off_unless_asked_for(make: Make, guard: Guard) -> None:
    options: dict[str, Any] = {"public": []}
    app, get = make(guard, **options)
    reply = get(app, PATH)
    assert reply.status == 401
    assert reply.challenge == 'Bearer realm="api"'


@every_app
@pytest.mark.parametrize("host", ["evil.example", "evil.example:443", ""])
def test_the_host_of_a_request_says_nothing(make: Make, guard: Guard, host: str) -> None:
    app, get = make(guard, resource=RESOURCE)
    if get is ask:
        conversation = http(PATH)
        forged = [(b"host", host.encode()), (b"x-forwarded-host", host.encode()), (b"forwarded", b"host=evil.example")]
        conversation.scope["headers"] = forged
        reply = talk(app, conversation).reply
    else:
        headers = {"Host": host, "X-Forwarded-Host": host, "Forwarded": "host=evil.example"}
        reply = Reply(200, {}, Client(app).get(PATH, headers=headers).data)
    assert b"evil" not in reply.body
    assert reply.json["resource"] == RESOURCE


@every_app
def test_a_browser_may_ask_with_headers_of_its_own(make: Make, guard: Guard) -> None:
    app, get = make(guard, resource=RESOURCE)
    reply = get(app, PATH, method="OPTIONS")
    assert (reply.status, reply.body) == (204, b"")
    assert reply.headers["access-control-allow-origin"] == reply.headers["access-control-allow-headers"] == "*"
    assert get(app, PATH, method="HEAD").body == b""
    assert get(app, PATH, method="POST").status == 405


def test_several_issuers_are_all_named() -> None:
    guard = guard_of(Issuer(), domain=["acme.kinde.com", "auth.acme.com"])
    app, get = starlette_app(guard, resource=RESOURCE)
    assert get(app, PATH).json["authorization_servers"] == [ISSUER, "https://auth.acme.com"]


def test_members_without_a_value_are_left_out(guard: Guard) -> None:
    """RFC 9728 §3.2."""
    app = Starlette()
    kinde_guard.starlette.KindeGuard(app, guard=guard, resource=RESOURCE)
    assert ask(app, PATH).json.keys() == {"resource", "authorization_servers", "bearer_methods_supported"}


def test_a_mounted_app_with_a_guard_of_its_own_is_another_resource(guard: Guard) -> None:
    inner, _ = starlette_app(guard, resource="https://inner.acme.com")

    @kinde_guard.starlette.requires_scope("outer")
    async def endpoint(request: Request) -> Response:
        return PlainTextResponse("outer")

    outer = Starlette(routes=[Route("/", endpoint), Mount("/inner", inner)])
    kinde_guard.starlette.KindeGuard(outer, guard=guard, resource=RESOURCE)
    assert ask(outer, PATH).json["scopes_supported"] == ["outer"]
    assert ask(outer, "/").challenge.endswith(POINTER)
    assert "https://inner.acme.com/" in ask(outer, "/inner/users").challenge
    assert ask(outer, "/inner/users").challenge.count("resource_metadata") == 1


class Base(HTTPEndpoint):
    @kinde_guard.starlette.requires_scope("inherited")
    async def get(self, request: Request) -> Response:
        return PlainTextResponse("base")

    @kinde_guard.starlette.requires_scope("overridden")
    async def post(self, request: Request) -> Response:
        return PlainTextResponse("base")


class Users(Base):
    async def post(self, request: Request) -> Response:
        return PlainTextResponse("open")


async def page(request: Request) -> Response:
    return PlainTextResponse("page")


async def raw(scope: Any, receive: Any, send: Any) -> None:
    await PlainTextResponse("raw")(scope, receive, send)


def gate(guard: Guard, name: str) -> Middleware:
    return Middleware(kinde_guard.asgi.GuardMiddleware, guard, requires=scope(name))


def in_layers(kind: Any, guard: Guard, **options: Any) -> Any:
    """An app whose demands stand in every place but on an endpoint of its own."""
    inner = Starlette(routes=[Route("/", kinde_guard.starlette.requires_scope("a")(page))])
    inner.add_middleware(kinde_guard.asgi.GuardMiddleware, guard=guard, requires=scope("b") | permission("p"))
    routes = [
        Route("/users", Users),
        Route("/route", page, middleware=[gate(guard, "c")]),
        Mount("/raw", kinde_guard.asgi.GuardMiddleware(raw, guard, requires=scope("d"))),
        Mount("/from-environment", kinde_guard.asgi.GuardMiddleware(raw, requires=scope("e"))),
        Mount("/app", inner),
        Mount("/mount", routes=[Route("/", page)], middleware=[gate(guard, "f"), gate(guard, "g")]),
        Mount("/router", Router(routes=[Route("/", page)], middleware=[gate(guard, "h")])),
        Host("host.acme.com", kinde_guard.asgi.GuardMiddleware(raw, guard, requires=scope("i"))),
    ]
    app = kind(routes=routes, middleware=[gate(guard, "j")])
    attach = kinde_guard.fastapi.KindeGuard if kind is FastAPI else kinde_guard.starlette.KindeGuard
    attach(app, guard=guard, resource=RESOURCE, **options)
    return app


@pytest.mark.parametrize("kind", [Starlette, FastAPI], ids=["starlette", "fastapi"])
def test_demands_that_are_inherited_and_those_of_middleware(kind: Any, guard: Guard) -> None:
    """What is overridden demands nothing any more. ``kinde-guard routes`` says the same."""
    app = in_layers(kind, guard)
    said = ask(app, PATH).json["scopes_supported"]
    assert said == ["a", "b", "c", "d", "e", "f", "g", "h", "i", "inherited", "j"]
    listed = {name for route in routes_of(app) if route.demand is not None for name in every_scope(route.demand)}
    assert listed == set(said)


def test_middleware_in_a_flask_app(guard: Guard) -> None:
    """Around its views, and around what is mounted in front of them; its challenges name all of it."""
    app, inner = Flask(__name__), Flask("inner").wsgi_app
    kinde_guard.flask.KindeGuard(app, guard=guard, resource=RESOURCE)
    app.get("/")(kinde_guard.flask.requires_scope("a")(lambda: ""))
    others = guard_of(Issuer(), domain="other.kinde.com")
    mounts: dict[str, Any] = {
        "/mounted": kinde_guard.wsgi.GuardMiddleware(inner, guard, requires=scope("b")),
        "/others": kinde_guard.wsgi.GuardMiddleware(inner, others, requires=scope("others")),
        "/own": kinde_guard.wsgi.GuardMiddleware(inner, guard, requires=scope("own"), resource=RESOURCE + "/own"),
    }
    dispatcher: Any = DispatcherMiddleware(app.wsgi_app, mounts)
    app.wsgi_app = kinde_guard.wsgi.GuardMiddleware(dispatcher, guard, requires=scope("c"))  # type: ignore[method-assign]
    assert wsgi_get(app, PATH).json["scopes_supported"] == ["a", "b", "c"]
    assert 'scope="c a"' in wsgi_get(app, "/", mint({"scope": "c"}, base=M2M)).challenge
    assert 'scope="c b"' in wsgi_get(app, "/mounted", mint({"scope": "c"}, base=M2M)).challenge
    assert wsgi_get(app, "/", mint({"scope": "a c"}, base=M2M)).status == 200


def test_what_is_mounted_for_other_tokens_is_another_resource(guard: Guard) -> None:
    """Its scopes could not be had from our issuers; and one with metadata of its own says it there."""
    others = guard_of(Issuer(), domain=["acme.kinde.com", "other.kinde.com"])
    same = guard_of(Issuer(), audience="https://other.acme.com")
    endpoint = kinde_guard.starlette.requires_scope("inner")(page)
    app = Starlette(
        routes=[
            Mount("/others", Starlette(routes=[Route("/", endpoint)], middleware=[gate(others, "others")])),
            Mount("/own", kinde_guard.asgi.GuardMiddleware(
                Starlette(routes=[Route("/", endpoint)]), guard, requires=scope("own"), resource=RESOURCE + "/own"
            )),
            Mount("/same", kinde_guard.asgi.GuardMiddleware(raw, same, requires=scope("same"))),
        ]
    )  # fmt: skip
    kinde_guard.starlette.KindeGuard(app, guard=guard, resource=RESOURCE)
    assert ask(app, PATH).json["scopes_supported"] == ["same"]


@pytest.mark.parametrize(
    "endpoint",
    [
        Route("/", kinde_guard.starlette.requires_scope("inner")(page)),
        APIRoute("/", kinde_guard.fastapi.requires_scope("inner")(lambda: None)),
        APIRoute("/", kinde_guard.fastapi.requires(scope("inner") & machine)(lambda: None)),
    ],
    ids=["starlette", "fastapi", "fastapi, more than scopes"],
)
def test_a_challenge_names_what_the_layers_around_demand_as_well(endpoint: BaseRoute, guard: Guard) -> None:
    """Whoever gave one scope up to get another would be refused for ever. The layers around count once."""
    inner = FastAPI(routes=[endpoint], middleware=[gate(guard, "b")])
    app = kinde_guard.asgi.GuardMiddleware(inner, guard, requires=scope("a"))
    challenges = [ask(app, "/", mint({"scope": held}, base=M2M)).challenge for held in ("", "a", "a b")]
    named = [re.findall('scope="(.*)"', challenge)[0] for challenge in challenges]
    assert named[0] == "a"
    assert [set(scopes.split()) for scopes in named[1:]] == [{"a", "b"}, {"a", "b", "inner"}]
    assert ask(app, "/", mint({"scope": "a b inner"}, base=M2M)).status == 200


@pytest.mark.parametrize(
    "layer", [kinde_guard.asgi.GuardMiddleware, kinde_guard.wsgi.GuardMiddleware], ids=["asgi", "wsgi"]
)
def test_layers_of_middleware_speak_for_one_another(layer: Any, guard: Guard) -> None:
    get: Any = wsgi_get if layer is kinde_guard.wsgi.GuardMiddleware else ask
    app = layer(layer(layer(raw, guard), guard, requires=scope("b")), guard, requires=scope("a"))
    assert 'scope="a"' in get(app, "/", mint({"scope": ""}, base=M2M)).challenge
    assert 'scope="a b"' in get(app, "/", mint({"scope": "a"}, base=M2M)).challenge


def test_the_layers_around_do_not_judge_twice() -> None:
    """A layer may count permissions as scopes where the app does not; what it has let in, it has let in."""
    issuer = Issuer()
    wide, narrow = guard_of(issuer, permissions_as_scopes=True), guard_of(issuer)
    app = Starlette(routes=[Route("/", kinde_guard.starlette.requires_scope("inner")(page))])
    kinde_guard.starlette.KindeGuard(app, guard=narrow)
    around = kinde_guard.asgi.GuardMiddleware(app, wide, requires=scope("p"))
    assert ask(around, "/", mint({"scp": ["inner"], "permissions": ["p"]})).status == 200
    assert ask(around, "/", mint({"scp": ["inner"], "permissions": []})).status == 403
    assert ask(around, "/", mint({"scp": [], "permissions": ["p"]})).status == 403


def test_a_client_that_follows_the_challenge_finds_it(guard: Guard) -> None:
    """Over a real socket: asked for without a token, the API says where to read on, and what it says there fits."""

    class Late:
        app: Any = None

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            await self.app(scope, receive, send)

    late = Late()
    with served(late, lifespan="off") as address:
        resource = f"http://{address}/v1"
        late.app, _ = fastapi_app(guard, resource=resource)
        refused = httpx.get(f"http://{address}/users")
        found = refused.headers["www-authenticate"].partition('resource_metadata="')[2].rstrip('"')
        assert found == f"http://{address}{PATH}/v1"
        metadata = httpx.get(found, headers={"Origin": "https://app.example"})
    assert metadata.json()["resource"] == resource
    assert metadata.headers["access-control-allow-origin"] == "*"


# The setting


@pytest.mark.parametrize(("resource", "url"), [
    ("https://api.acme.com", URL),
    ("https://api.acme.com/", URL),
    ("https://api.acme.com:8443", f"https://api.acme.com:8443{PATH}"),
    ("https://api.acme.com/v1", f"{URL}/v1"),
    ("https://api.acme.com/v1/", f"{URL}/v1/"),
    ("https://API.acme.com/V1", f"https://API.acme.com{PATH}/V1"),
    ("https://[2001:db8::1]/v1", f"https://[2001:db8::1]{PATH}/v1"),
    ("http://127.0.0.1:8000", f"http://127.0.0.1:8000{PATH}"),
    ("http://localhost:8000", f"http://localhost:8000{PATH}"),
])  # fmt: skip
def test_the_well_known_path_goes_between_host_and_path(resource: str, url: str) -> None:
    """RFC 9728 §3.1."""
    assert metadata_url(resource) == url


@pytest.mark.parametrize("resource", [
    "http://api.acme.com", "api.acme.com", "", "https://", "https:///v1", "ftp://api.acme.com", "https://a.example?x=1",
    "https://a.example#f", "https://a.example/#", "https://a.example?", "https://u:p@a.example", "https://a.example:99999",
    "https://a.example/\"x", "https://a.example/\\", "https://a.example/\r\nX: y", "https://ä.example", " https://a.example",
    "https://[", 7, True, ["https://a.example"],
])  # fmt: skip
def test_what_is_no_resource_is_refused_at_import(resource: Any, guard: Guard) -> None:
    for make in (starlette_app, flask_app, asgi_app, wsgi_app):
        with pytest.raises(ConfigurationError, match="resource"):
            make(guard, resource=resource)


def test_the_resource_is_served_as_it_was_written(guard: Guard) -> None:
    """RFC 9728 §3.3: clients compare it letter by letter."""
    app, get = starlette_app(guard, resource="https://API.acme.com/")
    assert get(app, PATH).json["resource"] == "https://API.acme.com/"


# The challenges


@pytest.mark.parametrize("error", [MissingToken(), InvalidToken("expired")])
def test_a_challenge_is_a_pure_function_of_error_and_url(error: AuthError) -> None:
    plain = dict(bearer.answer(error).headers)["WWW-Authenticate"]
    assert dict(bearer.answer(error, URL).headers)["WWW-Authenticate"] == plain + POINTER
    assert "WWW-Authenticate" not in dict(bearer.answer(KeysUnavailable(1), URL).headers)


@every_app
def test_every_challenge_says_where_it_is(make: Make, guard: Guard) -> None:
    """Whatever was refused, by whichever part of the adapter; the rest of the challenge is as without it."""
    app, get = make(guard, resource=RESOURCE)
    bare, _ = make(guard)
    few = mint({"scope": "nothing"}, base=M2M)
    statuses = set()
    for token in (None, "x.y.z", few, "é"):
        with_it, without = get(app, "/users", token), get(bare, "/users", token)
        assert with_it.challenge == without.challenge + POINTER
        assert (with_it.status, with_it.body) == (without.status, without.body)
        statuses.add(with_it.status)
    assert statuses == {400, 401, 403}


@pytest.mark.parametrize("make", FRAMEWORKS, ids=lambda make: make.__name__)
@pytest.mark.parametrize("path", ["/either", "/nowhere", "/of/things", "/of/either"])
def test_also_where_the_whole_app_is_closed(make: Make, guard: Guard, path: str) -> None:
    options: dict[str, Any] = {"public": []}
    app, get = make(guard, resource=RESOURCE, **options)
    few = mint({"scope": "nothing"}, base=M2M)
    assert get(app, path).challenge == f'Bearer realm="api"{POINTER}'
    reply = get(app, path, few)
    assert reply.status == 404 or reply.challenge.endswith(POINTER)


def test_a_demand_inside_an_endpoint() -> None:
    guard = guard_of(Issuer())
    app = FastAPI()

    @app.get("/")
    def endpoint(token: kinde_guard.fastapi.Token) -> None:
        token.require(machine & permission("p"))

    kinde_guard.fastapi.KindeGuard(app, guard=guard, resource=RESOURCE)
    assert ask(app, "/", mint(base=M2M)).challenge.endswith(POINTER)

    flask = Flask("an_app")

    @flask.get("/")
    def view() -> str:
        kinde_guard.flask.current_token.require(permission("p"))
        return "met"

    kinde_guard.flask.KindeGuard(flask, guard=guard, resource=RESOURCE)
    reply = wsgi_get(flask, "/", mint(base=M2M))
    assert (reply.status, reply.challenge.endswith(POINTER)) == (403, True)


def test_an_apps_own_handler_finds_it_in_the_headers() -> None:
    app, _ = starlette_app(guard_of(Issuer()), resource=RESOURCE)

    async def handler(request: Request, error: Exception) -> Response:
        return PlainTextResponse("mine", error.status_code, error.headers)  # type: ignore[attr-defined]

    app.add_exception_handler(AuthError, handler)
    reply = ask(app, "/users")
    assert (reply.body, reply.challenge) == (b"mine", f'Bearer realm="api"{POINTER}')


def test_starlettes_own_middleware() -> None:
    backend = kinde_guard.starlette.KindeBackend()
    options = {"backend": backend, "on_error": kinde_guard.starlette.on_error}
    app = Starlette(middleware=[Middleware(AuthenticationMiddleware, **options)])  # type: ignore[arg-type]
    kinde_guard.starlette.KindeGuard(app, guard=guard_of(Issuer()), resource=RESOURCE)
    assert ask(app, "/").challenge == f'Bearer realm="api"{POINTER}'


def test_a_web_socket_that_is_refused() -> None:
    app = kinde_guard.asgi.GuardMiddleware(Starlette(), guard_of(Issuer()), resource=RESOURCE)
    assert talk(app, websocket("/")).reply.challenge == f'Bearer realm="api"{POINTER}'


def test_flask_apps_with_one_guard_keep_their_own_scopes(guard: Guard) -> None:
    attachment = kinde_guard.flask.KindeGuard(guard=guard, resource=RESOURCE)
    apps = []
    for name in ("a", "b"):
        app = Flask(name)
        app.add_url_rule("/", "view", kinde_guard.flask.requires_scope(name)(lambda: "served"))
        attachment.init_app(app)
        apps.append(app)
    assert [wsgi_get(app, PATH).json["scopes_supported"] for app in apps] == [["a"], ["b"]]


def test_it_is_no_route_of_the_app(guard: Guard) -> None:
    """Nothing is added to OpenAPI or to url_map."""
    app, _ = fastapi_app(guard, resource=RESOURCE)
    assert PATH not in app.openapi()["paths"]
    flask, _ = flask_app(guard, resource=RESOURCE)
    assert PATH not in {rule.rule for rule in flask.url_map.iter_rules()}
    assert json.loads(asyncio.run(http(PATH).with_app(app)).reply.body)["resource"] == RESOURCE
