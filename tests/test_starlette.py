"""The Starlette adapter."""

from __future__ import annotations

import contextlib
import functools
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, cast

import pytest
import trio
from asgi_calls import Counting, Reply, ask, bearing, http, lifespan, talk, websocket
from fastapi import FastAPI
from helpers import AUDIENCE, CLIENT, DOMAIN, M2M, Issuer, guard_of, mint, older
from servers import served, uvicorn_command
from starlette.applications import Starlette
from starlette.authentication import AuthenticationBackend, AuthenticationError, UnauthenticatedUser
from starlette.authentication import requires as stock_requires
from starlette.endpoints import HTTPEndpoint, WebSocketEndpoint
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Host, Mount, Route, Router, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect
from waiting import LONG
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from kinde_guard import (
    AuthError,
    ConfigurationError,
    Guard,
    InsufficientScope,
    InvalidToken,
    KeysUnavailable,
    KindeGuardError,
    MissingToken,
    permission,
    scope,
)
from kinde_guard.asgi import GuardMiddleware
from kinde_guard.starlette import (
    KindeBackend,
    KindeGuard,
    KindeUser,
    on_error,
    requires,
    requires_auth,
    requires_org,
    requires_permission,
    requires_role,
    requires_scope,
)
from kinde_guard.web.decorators import enforced

PREFLIGHT = [("origin", "https://app.example"), ("access-control-request-method", "POST")]
ORIGIN = PREFLIGHT[:1]
MISSING = (401, 'Bearer realm="api"')


def guarded(*routes: BaseRoute, guard: Any, public: Any = None, **options: Any) -> Starlette:
    app = Starlette(routes=routes, **options)
    KindeGuard(app, guard=guard, public=public)
    return app


def who(request: HTTPConnection) -> JSONResponse:
    return JSONResponse({"user": request.user.identity, "scopes": sorted(request.auth.scopes)})


async def awho(request: HTTPConnection) -> JSONResponse:
    return who(request)


async def open_to_all(request: Request) -> JSONResponse:
    return who(request)


def outcome(reply: Reply) -> tuple[int, str]:
    return reply.status, reply.challenge


def traced(function: Callable[..., Any]) -> Callable[..., Any]:
    """A decorator of somebody else's, for ``def``."""

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


class Endpoint(HTTPEndpoint):
    @requires_scope("read:users")
    async def get(self, request: Request) -> Response:
        return who(request)

    @requires_scope("read:users")
    def post(self, request: Request) -> Response:
        return who(request)

    async def put(self, request: Request) -> Response:
        return JSONResponse("open")


class Instance:
    async def __call__(self, request: Request) -> Response:
        return who(request)

    def bound(self, request: Request) -> Response:
        return who(request)


def with_more(more: str, request: Request) -> Response:
    return who(request)


FORMS = {
    "async def": Route("/", requires_scope("read:users")(awho)),
    "def": Route("/", requires_scope("read:users")(who)),
    "partial": Route("/", requires_scope("read:users")(functools.partial(with_more, "more"))),
    "partial outside": Route("/", functools.partial(requires_scope("read:users")(with_more), "more")),
    "async partial": Route("/", requires_scope("read:users")(functools.partial(awho))),
    "callable instance": Route("/", requires_scope("read:users")(Instance())),
    "bound method": Route("/", requires_scope("read:users")(Instance().bound)),
    "class-based": Route("/", Endpoint),
    "decorator outside": Route("/", traced(requires_scope("read:users")(who))),
    "decorator inside": Route("/", requires_scope("read:users")(traced(who))),
    "in a mount": Mount("/", routes=[Route("/", requires_scope("read:users")(awho))]),
    "in a mounted app": Mount("/", Starlette(routes=[Route("/", requires_scope("read:users")(awho))])),
    "in a host": Host("testserver", Router([Route("/", requires_scope("read:users")(awho))])),
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_forms(form: str, guard: Guard, token: str) -> None:
    """Every kind of endpoint demands, and knows its caller."""
    app = guarded(FORMS[form], guard=guard)
    assert outcome(ask(app, "/")) == MISSING
    assert ask(app, "/", "forged").json["error"] == "invalid_token"
    refused = ask(app, "/", mint({"scope": "write:flags"}, base=M2M))
    assert (refused.status, refused.json["error"]) == (403, "insufficient_scope")
    assert 'scope="read:users"' in refused.challenge
    assert ask(app, "/", token).json == {"user": CLIENT, "scopes": ["authenticated", "read:users", "write:flags"]}


def test_methods_of_a_class(guard: Guard, token: str) -> None:
    """Each has its own demand, or none."""
    app = guarded(Route("/", Endpoint), guard=guard)
    assert outcome(ask(app, "/", method="POST")) == MISSING
    assert ask(app, "/", token, method="POST").status == 200
    assert ask(app, "/", method="PUT").json == "open"


@pytest.mark.parametrize(
    ("decorator", "claims", "status"),
    [
        (requires_auth, {}, 200),
        (requires_scope("read:users", "write:flags"), {}, 200),
        (requires_scope("read:users", "write:all"), {}, 403),
        (requires_permission("users:read"), {}, 403),
        (requires_permission("users:read"), {"permissions": ["users:read"]}, 200),
        (requires_role("admin"), {}, 403),
        (requires_role("admin"), {"roles": [{"id": "1", "key": "admin", "name": "Admin"}]}, 200),
        (requires_org("org_1"), {}, 403),
        (requires_org("org_1"), {"org_code": "org_1"}, 200),
        (requires(permission("users:read") | scope("read:users")), {}, 200),
        (requires(permission("users:read") & scope("read:users")), {}, 403),
    ],
)
def test_demands(guard: Guard, decorator: Any, claims: Any, status: int) -> None:
    app = guarded(Route("/", decorator(awho)), guard=guard)
    assert ask(app, "/", mint(claims, base=M2M)).status == status
    assert outcome(ask(app, "/")) == MISSING


@pytest.mark.parametrize(
    ("path", "claims", "status"),
    [
        ("/orgs/org_1/report", {"org_code": "org_1"}, 200),
        ("/orgs/org_2/report", {"org_code": "org_1"}, 403),
        ("/orgs/org_1/report", {}, 403),
        ("/orgs/org_1/report", {"org_code": ""}, 403),
        ("/orgs/None/report", {"org_code": None}, 403),
    ],
)
def test_organization_in_the_path(guard: Guard, path: str, claims: Any, status: int) -> None:
    """Also of a mount around the route."""
    endpoint = requires_org(path="org_code")(awho)
    app = guarded(Mount("/orgs/{org_code}", routes=[Route("/report", endpoint)]), guard=guard)
    assert ask(app, path, mint(claims, base=M2M)).status == status


def test_organization_in_a_path_without_it(guard: Guard, token: str) -> None:
    app = guarded(Route("/orgs/{code}", requires_org(path="org_code")(awho)), guard=guard)
    with pytest.raises(ConfigurationError, match="no path parameter of that name"):
        ask(app, "/orgs/org_1", token)


def test_stack_is_one_requirement(guard: Guard) -> None:
    """The challenge names all of its scopes; the outermost is judged first; the token is verified once."""
    counting = Counting(guard)
    stack: Any = requires_scope("read:users")(requires_permission("p")(requires_scope("write:flags")(awho)))
    app = guarded(
        Route("/", stack), Route("/traced", requires_scope("a")(traced(requires_scope("b")(who)))), guard=counting
    )
    lacking = ask(app, "/", mint({"scope": ""}, base=M2M))
    assert lacking.challenge.endswith('scope="read:users write:flags"')
    assert (
        ask(app, "/", mint(base=M2M)).json["detail"] == "The access token lacks a permission that this resource needs."
    )
    assert ask(app, "/", mint({"permissions": ["p"]}, base=M2M)).status == 200
    assert ask(app, "/traced", mint({"scope": "a"}, base=M2M)).challenge.endswith('scope="a b"')
    assert counting.verified == 4
    assert str(enforced(stack)) == "scope('read:users') & permission('p') & scope('write:flags')"
    assert stack.__wrapped__ is awho


def test_def_is_guarded_in_the_thread_that_it_gets(guard: Guard, token: str) -> None:
    """There is no second hop, and none at all for ``async def``."""
    threads: list[int] = []

    class Noting(Counting):
        def authenticate(self, values: list[str]) -> Any:
            threads.append(threading.get_ident())
            return super().authenticate(values)

        async def aauthenticate(self, values: list[str]) -> Any:
            threads.append(threading.get_ident())
            return await super().aauthenticate(values)

    def endpoint(request: Request) -> Response:
        threads.append(threading.get_ident())
        return JSONResponse("")

    app = guarded(Route("/", requires_auth(endpoint)), Route("/async", requires_auth(awho)), guard=Noting(guard))
    assert ask(app, "/", token).status == ask(app, "/async", token).status == 200
    assert threads[0] == threads[1] != threading.get_ident() == threads[2]


def test_open_routes(guard: Guard, token: str) -> None:
    """Nothing is verified where nothing is demanded, and the user is nobody."""

    async def endpoint(request: Request) -> Response:
        assert type(request.user) is UnauthenticatedUser
        return JSONResponse(request.auth.scopes)

    counting = Counting(guard)
    app = guarded(Route("/", endpoint), guard=counting)
    assert ask(app, "/", token).json == ask(app, "/", "forged").json == []
    assert counting.verified == 0


def test_user(guard: Guard, token: str) -> None:
    async def endpoint(request: Request) -> Response:
        user = request.user
        assert isinstance(user, KindeUser)
        assert user.token is request.scope["kinde_guard.token"]
        assert user.token.scopes == {"read:users", "write:flags"}
        assert token not in repr(user)
        return JSONResponse([user.is_authenticated, user.identity, user.display_name])

    assert ask(guarded(Route("/", requires_auth(endpoint)), guard=guard), "/", token).json == [True, CLIENT, CLIENT]


class OnConnect(WebSocketEndpoint):
    encoding = "text"

    @requires_scope("read:users")
    async def on_connect(self, websocket: WebSocket) -> None:
        await websocket.accept()


class OnReceive(WebSocketEndpoint):
    encoding = "text"

    @requires_scope("read:users")
    async def on_receive(self, websocket: WebSocket, data: str) -> None:
        await websocket.send_text(data)


@requires_scope("read:users")
async def socket(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_text(websocket.user.identity)
    await websocket.close()


@pytest.mark.parametrize("endpoint", [socket, OnConnect])
def test_websockets(endpoint: Any, guard: Guard, token: str) -> None:
    app = guarded(WebSocketRoute("/ws", endpoint), guard=guard)
    refused = talk(app, websocket("/ws")).reply
    assert (outcome(refused), refused.json["error"]) == (MISSING, "missing_token")
    lacking = talk(app, websocket("/ws", bearing(mint({"scope": ""}, base=M2M)))).reply
    assert (lacking.status, lacking.json["error"]) == (403, "insufficient_scope")
    let_in = websocket("/ws", bearing(token))
    let_in.incoming.append({"type": "websocket.disconnect", "code": 1000})
    assert talk(app, let_in).sent[0]["type"] == "websocket.accept"


@pytest.mark.parametrize("public", [None, []])
def test_websocket_is_closed_where_a_status_cannot_be_had(public: Any, guard: Guard) -> None:
    """Whatever handlers the app has: a response would be an error of protocol."""

    async def handler(conn: Any, error: Exception) -> Response:
        return JSONResponse("mine", 401)

    app = guarded(WebSocketRoute("/ws", socket), guard=guard, public=public, exception_handlers={401: handler})
    plain = guarded(WebSocketRoute("/ws", socket), guard=guard, public=public)
    assert talk(plain, websocket("/ws", answers=False)).sent == [
        {"type": "websocket.close", "code": 1008, "reason": ""}
    ]
    if public is not None:
        assert talk(app, websocket("/ws", answers=False)).sent[0]["type"] == "websocket.close"
    assert talk(app, websocket("/ws")).reply.json == "mine"


def test_refusal_of_an_open_websocket_closes_it(guard: Guard, token: str) -> None:
    """What is asked of the token after ``accept`` cannot be answered with a status any more."""

    @requires_auth
    async def endpoint(websocket: WebSocket) -> None:
        await websocket.accept()
        websocket.user.token.require(scope("delete:users"))

    app = guarded(WebSocketRoute("/ws", endpoint), WebSocketRoute("/late", OnReceive), guard=guard)
    accepted, closed = talk(app, websocket("/ws", bearing(token))).sent
    assert (accepted["type"], closed["type"], closed["code"]) == ("websocket.accept", "websocket.close", 1008)
    with TestClient(app).websocket_connect("/late") as session:
        session.send_text("hello")
        with pytest.raises(WebSocketDisconnect) as caught:
            session.receive_text()
    assert caught.value.code == 1008


def test_websocket_through_a_server(guard: Guard, token: str) -> None:
    with served(guarded(WebSocketRoute("/ws", socket), guard=guard)) as address:
        with pytest.raises(InvalidStatus) as caught:
            connect(f"ws://{address}/ws", proxy=None)
        assert caught.value.response.status_code == 401
        assert caught.value.response.headers["www-authenticate"] == MISSING[1]
        with connect(f"ws://{address}/ws", additional_headers=dict(bearing(token)), proxy=None) as session:
            assert session.recv(timeout=LONG) == CLIENT


def test_everything_but_public_paths(guard: Guard, token: str) -> None:
    """With ``public``, whatever an app serves, and what it does not; before the body is read."""
    app = guarded(
        Route("/healthz", _nobody),
        Route("/users", open_to_all, methods=["GET", "POST"]),
        WebSocketRoute("/ws", _open_socket),
        Mount("/static", Starlette(routes=[Route("/{name}", _nobody)])),
        guard=guard,
        public=["/healthz", "/static/*"],
    )
    assert ask(app, "/healthz").json == ask(app, "/static/a.js").json == "nobody"
    assert ask(app, "/healthz", "forged").json == "nobody"
    for path in ("/users", "/unknown", "/", "/static/../users", "/healthz/"):
        assert outcome(talk(app, http(path, method="POST")).reply) == MISSING
    assert outcome(talk(app, websocket("/ws")).reply) == MISSING
    assert ask(app, "/users", token).json["user"] == CLIENT
    assert ask(app, "/unknown", token).status == 404
    assert ask(app, "/users", "forged").json["error"] == "invalid_token"


@pytest.mark.parametrize("kind", [Starlette, FastAPI], ids=["starlette", "fastapi"])
def test_a_mounted_app_that_is_public_is_found_where_its_redirect_leads(kind: Any, guard: Guard) -> None:
    """Starlette sends ``/metrics`` to ``/metrics/``, which is where the mounted app answers."""
    app = kind()
    app.mount("/metrics", Starlette(routes=[Route("/", _nobody), Route("/below", _nobody)]))
    app.mount("/other", Starlette(routes=[Route("/", _nobody)]))
    KindeGuard(app, guard=guard, public=["/metrics", "/metrics/*"])
    with TestClient(app) as client:
        assert [response.status_code for response in client.get("/metrics").history] == [307]
        assert client.get("/metrics").json() == client.get("/metrics/").json() == "nobody"
        assert client.get("/metrics/below").json() == "nobody"
        assert [client.get(path).status_code for path in ("/other", "/other/", "/metrics//")] == [401] * 3


def test_below_a_path_is_not_the_path(guard: Guard) -> None:
    """``POST /items`` is another route than ``/items/logo``."""
    app = guarded(Route("/items", _nobody), Route("/items/logo", _nobody), guard=guard, public=["/items/*"])
    assert ask(app, "/items/logo").status == 200
    assert outcome(ask(app, "/items")) == MISSING


def _nobody(request: Request) -> Response:
    assert type(request.user) is UnauthenticatedUser
    return JSONResponse("nobody")


async def _open_socket(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.close()


def test_empty_list_makes_nothing_public(guard: Guard) -> None:
    assert outcome(ask(guarded(Route("/", _nobody), guard=guard, public=[]), "/")) == MISSING
    assert ask(guarded(Route("/", _nobody), guard=guard), "/").status == 200


def test_verified_once_with_public_paths(guard: Guard, token: str) -> None:
    """By what denies by default and by the decorators together; and by a middleware outside with the same guard."""
    counting: Any = Counting(guard)
    app = guarded(Route("/", requires_auth(requires_scope("read:users")(awho))), guard=counting, public=[])
    assert ask(GuardMiddleware(app, counting), "/", token).status == 200
    assert counting.verified == 1


def test_cors_headers_of_a_decorators_refusal(guard: Guard) -> None:
    """Without ``public`` the order of the middleware does not matter."""
    app = Starlette(routes=[Route("/", requires_auth(awho))])
    app.add_middleware(CORSMiddleware, allow_origins=["*"])
    KindeGuard(app, guard=guard)
    assert ask(app, "/", headers=ORIGIN).headers["access-control-allow-origin"] == "*"


@pytest.mark.parametrize("app", [
    pytest.param(Starlette(routes=[Route("/users/{id}", requires_auth(awho))]), id="async"),
    pytest.param(Starlette(routes=[Route("/users/{id}", requires_auth(who))]), id="def"),
    pytest.param(Starlette(routes=[Mount("/", app=Starlette(routes=[Route("/users/{id}", requires_auth(who))]))]),
                 id="mounted"),
])  # fmt: skip
def test_no_guard(app: Starlette, token: str) -> None:
    """A demand that nobody can answer is never open; the error says which route."""
    path = "/users/1" if older("starlette", "1.8") else "/users/{id}"  # what the request says of its route
    with pytest.raises(ConfigurationError) as caught:
        ask(app, "/users/1", token)
    assert str(caught.value) == (
        f"no guard is attached to the app that serves '{path}': "
        "call KindeGuard(app) on it, or on the app it is mounted in, before it starts"
    )
    with TestClient(app, raise_server_exceptions=False) as client:
        assert client.get("/users/1").status_code == 500


def test_a_mounted_app_in_middleware_without_end(guard: Guard, token: str) -> None:
    """Some layers of it are looked through for what they demand, and no more: the app starts, and is guarded."""

    class Loop:
        def __init__(self) -> None:
            self.app = self

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            await PlainTextResponse("served")(scope, receive, send)

    app = guarded(Mount("/loop", app=Loop()), guard=guard, public=[])
    assert ask(app, "/loop/").status == 401
    assert ask(app, "/loop/", token).body == b"served"


def test_attached(guard: Guard) -> None:
    app = Starlette()
    attached = KindeGuard(app, guard=guard)
    assert app.state.kinde_guard is attached
    assert attached.guard is guard

    later = KindeGuard(guard=guard)
    later.init_app(other := Starlette())
    assert other.state.kinde_guard is later


def test_wrong_use_fails_at_once(guard: Guard) -> None:
    app = guarded(guard=guard)
    with pytest.raises(ConfigurationError, match="has a KindeGuard already"):
        KindeGuard(app, guard=guard)
    with pytest.raises(ConfigurationError, match="is not a Starlette app"):
        KindeGuard(guard)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="give either guard= or audience="):
        KindeGuard(Starlette(), guard=guard, audience="x")
    with pytest.raises(ConfigurationError, match="list of paths"):
        KindeGuard(Starlette(), guard=guard, public="/healthz")
    for misspelt, mend in {"audiense": "audience", "domian": "domain", "pubic": "public", "health": "healthz"}.items():
        with pytest.raises(ConfigurationError, match=rf"KindeGuard has no setting '{misspelt}': did you mean {mend}\?"):
            KindeGuard(Starlette(), **{misspelt: cast(Any, "x")})
    with pytest.raises(ConfigurationError, match="has no setting 'x': there are algorithms, api_keys, audience"):
        KindeGuard(Starlette(), guard=guard, x="x")  # type: ignore[call-arg]
    started = Starlette()
    ask(started, "/")
    with pytest.raises(ConfigurationError, match="has started already"):
        KindeGuard(started, guard=guard)


@pytest.mark.parametrize("decorator", [requires_auth, requires_scope("a")])
def test_what_cannot_be_decorated(decorator: Any) -> None:
    with pytest.raises(ConfigurationError, match="methods of a class"):
        decorator(Endpoint)
    with pytest.raises(ConfigurationError, match="decorates functions"):
        decorator("endpoint")


def test_mistakes_in_demands_are_errors_at_import() -> None:
    with pytest.raises(ConfigurationError):
        requires_scope(awho)  # type: ignore[arg-type]  # no parentheses
    with pytest.raises(ConfigurationError):
        requires_scope()
    with pytest.raises(ConfigurationError):
        requires("read:users")  # type: ignore[arg-type]
    for decorator in (requires_auth, requires_scope("a")):
        with pytest.raises(ConfigurationError, match=r"write @requires_auth without parentheses"):
            decorator()  # type: ignore[call-arg]


def test_called_without_a_request(guard: Guard) -> None:
    """In a test of one's own, say: closed, and the error says where the function itself is."""
    with pytest.raises(ConfigurationError, match="was called without a request"):
        requires_auth(lambda: "open")()


@pytest.mark.usefixtures("no_settings")
def test_settings_are_read_when_the_app_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    app = guarded(Route("/", requires_auth(awho)), guard=None)
    conversation = lifespan()
    with pytest.raises(ConfigurationError, match="KINDE_DOMAIN"):
        talk(app, conversation)
    assert [message["type"] for message in conversation.sent] == ["lifespan.startup.failed"]
    with pytest.raises(ConfigurationError, match="KINDE_DOMAIN"), TestClient(app):
        pass
    with pytest.raises(ConfigurationError, match="KINDE_DOMAIN"):
        ask(app, "/")
    monkeypatch.setenv("KINDE_DOMAIN", DOMAIN)
    monkeypatch.setenv("KINDE_AUDIENCE", AUDIENCE)
    assert talk(app, lifespan()).sent[0]["type"] == "lifespan.startup.complete"
    assert repr(app.state.kinde_guard.guard) == f"<Guard of https://{DOMAIN} for {AUDIENCE}>"


@pytest.mark.usefixtures("no_settings")
def test_settings_given_in_the_call() -> None:
    app = Starlette(routes=[Route("/", requires_auth(awho))])
    KindeGuard(app, domain=DOMAIN, audience=AUDIENCE, transport=Issuer().transport, leeway=300)
    assert outcome(ask(app, "/")) == MISSING
    wrong = KindeGuard(Starlette(), domain=DOMAIN, audience=AUDIENCE, leeway=10_000)
    with pytest.raises(ConfigurationError, match="leeway"):
        wrong.ready()


@pytest.mark.usefixtures("no_settings")
def test_environment_is_not_read_if_a_guard_was_set(guard: Guard, token: str) -> None:
    """That is how a test puts its own in place, and takes it away again."""
    app = guarded(Route("/", requires_auth(awho)), guard=None)
    attached = app.state.kinde_guard
    before = attached.guard
    attached.guard = guard
    with TestClient(app) as client:
        assert client.get("/", headers=dict(bearing(token))).status_code == 200
        attached.guard = guard_of(Issuer(), audience="https://other")
        assert client.get("/", headers=dict(bearing(token))).status_code == 401
        attached.guard = before
        with pytest.raises(ConfigurationError, match="KINDE_DOMAIN"):
            client.get("/", headers=dict(bearing(token)))


@pytest.mark.usefixtures("no_settings")
def test_guards_of_mounted_apps_are_made_at_the_start_too(guard: Guard) -> None:
    inner = guarded(guard=None)
    with pytest.raises(ConfigurationError, match="KINDE_DOMAIN"):
        talk(guarded(Mount("/admin", inner), guard=guard), lifespan())


def test_lifespan_of_the_app_runs(guard: Guard) -> None:
    events: list[str] = []

    @contextlib.asynccontextmanager
    async def own(app: Starlette) -> AsyncIterator[None]:
        events.append("up")
        yield
        events.append("down")

    talk(guarded(guard=guard, lifespan=own), lifespan())
    assert events == ["up", "down"]


def test_mistake_in_the_settings_stops_uvicorn(tmp_path: Path) -> None:
    """With uvicorn's defaults; what it prints is the sentence, and no traceback."""
    code = """
from starlette.applications import Starlette
from kinde_guard.starlette import KindeGuard

app = Starlette()
KindeGuard(app)
"""
    done = uvicorn_command(tmp_path, code, KINDE_DOMAIN="acme.kinde.com")
    assert done.returncode == 3
    assert "set the environment variable KINDE_AUDIENCE" in done.stderr
    assert "Traceback" not in done.stderr


def bare_route() -> Route:
    """A route that got hold of a function before it was decorated."""

    async def endpoint(request: Request) -> Response:
        return JSONResponse("open")

    requires_auth(endpoint)
    return Route("/users", endpoint)


@pytest.mark.parametrize(
    ("around", "path"),
    [
        pytest.param(lambda route: route, "/users", id="in the app"),
        pytest.param(lambda route: Mount("/a", routes=[route]), "/a/users", id="in a mount"),
        pytest.param(lambda route: Mount("/a", Starlette(routes=[route])), "/a/users", id="in a mounted app"),
        pytest.param(lambda route: Host("testserver", Router([route])), "/users", id="in a host"),
        pytest.param(
            lambda route: Mount("/a", GuardMiddleware(Starlette(routes=[route]), public=["/users"])),
            "/a/users",
            id="behind another middleware",
        ),
    ],
)
def test_demand_that_is_not_enforced(around: Callable[[Route], BaseRoute], path: str, guard: Guard) -> None:
    """Found when the app starts, or with the first request, whichever route that is for."""
    app = guarded(around(bare_route()), Route("/other", _nobody), guard=guard)
    sentence = r"endpoint\(\), which serves '/users', is not enforced"
    with pytest.raises(ConfigurationError, match=sentence):
        talk(app, lifespan())
    for _ in range(2):
        with pytest.raises(ConfigurationError, match=sentence):
            ask(app, "/other")
        with pytest.raises(ConfigurationError, match=sentence):
            ask(app, path)


def test_endpoint_that_is_open_on_one_route_and_guarded_on_another(guard: Guard) -> None:
    """Which is no mistake where both routes take it as it is."""

    async def endpoint(request: Request) -> Response:
        return JSONResponse("")

    app = guarded(Route("/open", endpoint), Route("/guarded", requires_auth(endpoint)), guard=guard)
    assert [ask(app, path).status for path in ("/open", "/guarded")] == [200, 401]


class Mine(Exception):
    """An error of the app's own."""


def mine(conn: Any, error: Any) -> Response:
    status = getattr(error, "status_code", 403)
    return JSONResponse({"mine": type(error).__name__, "reason": getattr(error, "reason", "")}, status)


async def amine(conn: Any, error: Any) -> Response:
    return mine(conn, error)


@requires_auth
async def lacking(request: Request) -> Response:
    request.user.token.require(scope("delete:users"))
    raise AssertionError


HANDLED: dict[str, tuple[str, str, Any]] = {
    "a decorator": ("/decorated", "InvalidToken", None),
    "deny by default": ("/unknown", "InvalidToken", []),
}


@pytest.mark.parametrize("refusal", HANDLED)
@pytest.mark.parametrize("key", [401, HTTPException, AuthError, InvalidToken, KindeGuardError])
@pytest.mark.parametrize("handler", [mine, amine])
@pytest.mark.parametrize("when", ["constructor", "before", "after"])
def test_handlers_of_the_app_win(refusal: str, key: Any, handler: Any, when: str, guard: Guard) -> None:
    """For the status, the framework's exception or ours, sync or async, registered before us or after."""
    path, name, public = HANDLED[refusal]
    app = Starlette(
        routes=[Route("/decorated", requires_auth(awho))],
        exception_handlers={key: handler} if when == "constructor" else None,
    )
    if when == "before":
        app.add_exception_handler(key, handler)
    KindeGuard(app, guard=guard, public=public)
    if when == "after":
        app.add_exception_handler(key, handler)
    reply = ask(app, path, "forged")
    assert (reply.status, reply.json) == (401, {"mine": name, "reason": "malformed"})


@pytest.mark.parametrize(
    ("keys", "winner"),
    [
        ([401, AuthError, HTTPException], 401),
        ([AuthError, HTTPException], AuthError),
        ([KindeGuardError, HTTPException], KindeGuardError),
        ([403, HTTPException], HTTPException),
    ],
)
@pytest.mark.parametrize("public", [None, []])
def test_precedence_of_handlers(keys: list[Any], winner: Any, public: Any, guard: Guard) -> None:
    """As Starlette has it: the status, then the nearest class; the same wherever the refusal comes from."""

    def handler_for(key: Any) -> Any:
        return lambda request, error: PlainTextResponse(str(key))

    handlers = {key: handler_for(key) for key in keys}
    app = guarded(Route("/", requires_auth(awho)), guard=guard, public=public, exception_handlers=handlers)
    assert ask(app, "/").body.decode() == str(winner)


@pytest.mark.parametrize("key", [403, HTTPException, AuthError, InsufficientScope])
def test_handlers_of_the_app_win_over_what_an_endpoint_requires(key: Any, guard: Guard, token: str) -> None:
    app = guarded(Route("/", lacking), guard=guard, exception_handlers={key: mine})
    assert ask(app, "/", token).json == {"mine": "InsufficientScope", "reason": "insufficient_scope"}


def test_handler_for_websockets_may_answer_itself(guard: Guard) -> None:
    async def handler(conn: Any, error: Exception) -> None:
        await conn.close(4001)

    app = guarded(WebSocketRoute("/ws", socket), guard=guard, public=[], exception_handlers={401: handler})
    assert talk(app, websocket("/ws")).sent[0]["code"] == 4001


@pytest.mark.parametrize("key", [500, Exception])
def test_handler_for_everything_does_not_swallow_refusals(key: Any, guard: Guard) -> None:
    app = guarded(Route("/", requires_auth(awho)), guard=guard, exception_handlers={key: mine})
    assert outcome(ask(app, "/")) == MISSING


def test_mistakes_of_ours_are_no_bad_requests(guard: Guard, token: str) -> None:
    """A ConfigurationError is a ValueError; a handler for those would make a 400 of it."""

    def handler(request: Request, error: Exception) -> Response:
        return Response("", 400)

    route = Route("/orgs/{code}", requires_org(path="org_code")(awho))
    with pytest.raises(ConfigurationError):
        ask(guarded(route, guard=guard, exception_handlers={ValueError: handler}), "/orgs/1", token)


def test_what_an_endpoint_requires(guard: Guard, token: str) -> None:
    """``token.require(…)`` ends as a 403 with a challenge, in a mounted app as well."""
    mounted = Mount("/mounted", Starlette(routes=[Route("/", lacking)]))
    app = guarded(Route("/", lacking), mounted, guard=guard)
    for path in ("/", "/mounted/"):
        reply = ask(app, path, token)
        assert (reply.status, reply.json["error"]) == (403, "insufficient_scope")
        assert reply.challenge.endswith('scope="delete:users"')


def test_errors_of_the_app_are_untouched(guard: Guard, token: str) -> None:
    """Its own answers are what they would be without us, byte for byte."""

    async def raising(request: Request) -> Response:
        raise HTTPException(401, "mine", {"www-authenticate": "Mine"})

    async def failing(request: Request) -> Response:
        raise Mine

    routes = [Route("/raising", raising), Route("/failing", failing), Route("/get", _nobody)]
    app, plain = guarded(*routes, guard=guard), Starlette(routes=routes[:1])
    assert ask(app, "/raising") == ask(plain, "/raising")
    assert ask(app, "/nowhere") == ask(plain, "/nowhere")
    assert ask(app, "/raising", method="POST") == ask(plain, "/raising", method="POST")
    with pytest.raises(Mine):
        ask(app, "/failing")


def test_refusal_is_both_exceptions(guard: Guard) -> None:
    """The framework's and ours: whoever catches either has the whole of it."""
    caught: list[Any] = []

    async def around(request: Request, call: Any) -> Response:
        try:
            return await requires_auth(awho)(request)
        except HTTPException as error:
            caught.append(error)
            raise

    app = Starlette()
    app.add_middleware(BaseHTTPMiddleware, dispatch=around)
    KindeGuard(app, guard=guard)
    with pytest.raises(MissingToken):
        ask(app, "/")
    (error,) = caught
    assert {MissingToken, AuthError, HTTPException} <= set(type(error).__mro__)
    assert (error.status_code, error.reason, error.hint) == (401, "missing_token", "")
    assert error.headers["WWW-Authenticate"] == MISSING[1]
    assert "Content-Type" not in error.headers


def test_cannot_tell(token: str) -> None:
    issuer = Issuer()
    issuer.status = 500
    app = guarded(Route("/", requires_auth(awho)), guard=guard_of(issuer), exception_handlers={KeysUnavailable: mine})
    reply = ask(app, "/", token)
    assert (reply.status, reply.json) == (503, {"mine": "KeysUnavailable", "reason": "keys_unavailable"})
    plain = ask(guarded(Route("/", requires_auth(awho)), guard=guard_of(issuer)), "/", token)
    assert (plain.status, plain.challenge, "retry-after" in plain.headers) == (503, "", True)


def test_mounted_app_with_a_guard_of_its_own(guard: Guard) -> None:
    """The nearest guard decides; what the outer one verified opens nothing, and its user is nobody there."""
    admin = guard_of(Issuer(), audience="https://admin.acme.com")
    routes = [Route("/users", requires_auth(awho)), Route("/open", _nobody)]
    app = guarded(
        Route("/users", requires_auth(awho)), Mount("/admin", guarded(*routes, guard=admin)), guard=guard, public=None
    )
    ours, theirs = mint(base=M2M), mint({"aud": "https://admin.acme.com"}, base=M2M)
    assert [ask(app, "/users", raw).status for raw in (ours, theirs)] == [200, 401]
    assert [ask(app, "/admin/users", raw).status for raw in (ours, theirs)] == [401, 200]

    strict = guarded(Mount("/admin", guarded(*routes, guard=admin)), guard=guard, public=[])
    assert ask(strict, "/admin/open", ours).json == "nobody"
    both = mint({"aud": [AUDIENCE, "https://admin.acme.com"]}, base=M2M)
    assert ask(strict, "/admin/users", both).status == 200


def test_mounted_app_that_the_guard_never_saw(guard: Guard, token: str) -> None:
    """Mounted after the start, it answers in its own words, with the right status and challenge."""
    app = guarded(guard=guard)
    ask(app, "/")
    app.mount("/late", Starlette(routes=[Route("/", requires_auth(awho))]))
    assert outcome(ask(app, "/late/")) == MISSING
    assert ask(app, "/late/", token).status == 200


def test_middleware_that_replaces_the_scope(guard: Guard, token: str) -> None:
    """BaseHTTPMiddleware on either side of ours."""

    async def through(request: Request, call: Callable[[Request], Awaitable[Response]]) -> Response:
        return await call(request)

    for first in (True, False):
        app = Starlette(routes=[Route("/", requires_auth(awho))])
        if first:
            app.add_middleware(BaseHTTPMiddleware, dispatch=through)
        KindeGuard(app, guard=guard, public=[])
        if not first:
            app.add_middleware(BaseHTTPMiddleware, dispatch=through)
        assert outcome(ask(app, "/")) == MISSING
        assert ask(app, "/", token).json["user"] == CLIENT


def with_backend(backend: AuthenticationBackend, *routes: BaseRoute, handler: Any = on_error) -> Starlette:
    return Starlette(
        routes=routes, middleware=[Middleware(AuthenticationMiddleware, backend=backend, on_error=handler)]
    )


@stock_requires("read:users")
async def stock(request: Request) -> Response:
    return who(request)


@stock_requires("authenticated")
def stock_authenticated(request: Request) -> Response:
    return who(request)


def test_backend_for_the_stock_middleware(guard: Guard, token: str) -> None:
    """Starlette's own ``@requires`` works, and whoever has no good token gets a proper 401."""
    app = with_backend(KindeBackend(guard), Route("/", stock), Route("/any", stock_authenticated))
    assert ask(app, "/", token).json["user"] == CLIENT
    assert ask(app, "/any", token).status == 200
    assert outcome(ask(app, "/")) == MISSING
    bad = ask(app, "/", "forged")
    assert (bad.status, bad.headers["content-type"]) == (401, "application/problem+json")
    assert 'error="invalid_token"' in bad.challenge
    assert ask(app, "/", headers=bearing(token) * 2).status == 400
    assert ask(app, "/", mint({"scope": ""}, base=M2M)).status == 403


def test_backend_cannot_tell(token: str) -> None:
    issuer = Issuer()
    issuer.status = 500
    reply = ask(with_backend(KindeBackend(guard_of(issuer)), Route("/", stock)), "/", token)
    assert (reply.status, "retry-after" in reply.headers) == (503, True)


def test_backend_refuses_preflights(guard: Guard, caplog: pytest.LogCaptureFixture) -> None:
    app = with_backend(KindeBackend(guard), Route("/", _nobody, methods=["OPTIONS"]))
    assert outcome(ask(app, "/", headers=PREFLIGHT, method="OPTIONS")) == MISSING
    assert outcome(ask(app, "/", method="OPTIONS")) == MISSING
    # Of keys, the thread of an earlier test may have something to say.
    assert [record.message for record in caplog.records if "preflight" in record.message] == [
        "a CORS preflight was refused: if pages of other origins call this API, "
        "put CORSMiddleware before AuthenticationMiddleware: it answers preflights then"
    ]
    assert ask(app, "/", "forged", headers=PREFLIGHT, method="OPTIONS").status == 401


def test_backend_that_allows_anonymous_callers(guard: Guard, token: str) -> None:
    """Who shows no token is nobody; who shows a bad one is refused. Our decorators know the guard of the backend."""
    app = with_backend(
        KindeBackend(guard, anonymous=True),
        Route("/", _nobody),
        Route("/stock", stock),
        Route("/ours", requires_scope("read:users")(awho)),
        WebSocketRoute("/ws", socket),
    )
    assert ask(app, "/").json == "nobody"
    assert ask(app, "/", "forged").status == 401
    assert outcome(ask(app, "/stock")) == (403, "")
    assert outcome(ask(app, "/ours")) == MISSING
    assert ask(app, "/stock", token).status == ask(app, "/ours", token).status == 200
    assert talk(app, websocket("/ws")).reply.status == 401


def test_backend_with_the_guard_of_the_app(guard: Guard, token: str) -> None:
    """One guard, one verification."""
    counting: Any = Counting(guard)
    app = with_backend(KindeBackend(), Route("/", requires_scope("read:users")(stock)))
    KindeGuard(app, guard=counting)
    assert ask(app, "/", token).status == 200
    assert counting.verified == 1
    with pytest.raises(ConfigurationError, match="no guard is attached"):
        ask(with_backend(KindeBackend(), Route("/", stock)), "/")


def test_user_of_a_middleware_outside_stays(guard: Guard, token: str) -> None:
    """Starlette's middleware around ours, with the same guard."""
    app = guarded(Route("/", stock_authenticated), guard=guard)
    app.add_middleware(AuthenticationMiddleware, backend=KindeBackend(guard), on_error=on_error)
    assert ask(app, "/", token).json["user"] == CLIENT


def test_errors_of_other_backends_are_starlettes(guard: Guard) -> None:
    class Other(AuthenticationBackend):
        async def authenticate(self, conn: HTTPConnection) -> None:
            raise AuthenticationError("mine")

    reply = ask(with_backend(Other(), Route("/", _nobody)), "/")
    assert (reply.status, reply.body) == (400, b"mine")


def test_trio(guard: Guard, token: str) -> None:
    app = guarded(Route("/", requires_auth(awho)), Route("/def", requires_auth(who)), guard=guard)
    for path in ("/", "/def"):
        conversation = http(path, bearing(token))
        conversation.incoming.append({"type": "http.request", "body": b""})
        trio.run(conversation.with_app, app)
        assert conversation.reply.status == 200


@pytest.mark.parametrize(("module", "extra"), [("starlette", "starlette"), ("fastapi", "fastapi")])
def test_missing_extra(module: str, extra: str) -> None:
    """One sentence says what to install."""
    code = f"import sys; sys.modules['{module}'] = None; import kinde_guard.{module}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stderr.splitlines()[-1].endswith(f"pip install 'kinde-guard[{extra}]'")


def test_what_starlette_needs_is_all_that_is_imported() -> None:
    """Neither of the other frameworks, nor what they bring."""
    code = "import sys, kinde_guard.starlette; print({'fastapi', 'flask', 'pydantic', 'werkzeug'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
