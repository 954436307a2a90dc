"""``kinde-guard routes``: a forgotten route is found wherever it hides, and a demand that nothing enforces too."""

from __future__ import annotations

import importlib
import json
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import flask
import pytest
from fastapi import APIRouter, Depends, FastAPI, Security, WebSocket
from fastapi.testclient import TestClient
from flask.views import MethodView, View
from helpers import older
from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint, WebSocketEndpoint
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.responses import PlainTextResponse
from starlette.routing import Host, Mount, Route, Router, WebSocketRoute
from starlette.staticfiles import StaticFiles
from werkzeug.middleware.dispatcher import DispatcherMiddleware

import kinde_guard.asgi
import kinde_guard.fastapi as fa
import kinde_guard.flask as fl
import kinde_guard.starlette as st
import kinde_guard.wsgi
from kinde_guard import permission, scope
from kinde_guard.cli import main
from kinde_guard.errors import ConfigurationError
from kinde_guard.routes import routes_of, unserved
from kinde_guard.testing import assert_no_unprotected_routes, guard_for, local_issuer, trust
from kinde_guard.web.gate import reaches


async def open_to_all(request: Any) -> PlainTextResponse:
    raise AssertionError("no handler is called")


@st.requires_scope("a")
async def guarded(request: Any) -> PlainTextResponse:
    raise AssertionError("no handler is called")


def view() -> Callable[..., str]:
    """A new one each time: Flask refuses to start if one function is open here and guarded there."""

    def view(**values: str) -> str:
        raise AssertionError("no handler is called")

    return view


def seen(app: Any, *public: str) -> dict[str, str]:
    """Of each route the kind, and what it demands."""
    return {
        str(route): route.kind + ("" if route.demand is None else f": {route.demand}")
        for route in routes_of(app, public)
    }


def fastapi_app(**options: Any) -> FastAPI:
    return FastAPI(openapi_url=None, **options)


def flask_app(**options: Any) -> flask.Flask:
    app = flask.Flask(__name__)
    fl.KindeGuard(app, guard=guard_for(local_issuer()), **options)
    return app


def test_fastapi() -> None:
    """Decorators, parameters, dependencies of routes, routers and the app; and one route that was forgotten."""
    app = fastapi_app()
    fa.KindeGuard(app)
    router = APIRouter(prefix="/r", dependencies=[fa.requires_scope("of:router")])
    inner = APIRouter(prefix="/i")
    app.get("/decorated")(fa.requires_scope("a")(lambda: None))
    app.get("/stacked")(fa.requires_scope("a")(fa.requires_permission("p")(lambda: None)))
    app.get("/either")(fa.requires(scope("a") | permission("p"))(lambda: None))

    @app.get("/token")
    def token(token: fa.Token) -> None: ...
    @app.get("/optional")
    def optional(token: fa.OptionalToken) -> None: ...
    @app.get("/security")
    def security(token: Annotated[Any, Security(fa.access_token, scopes=["s"])]) -> None: ...
    def deep(token: fa.Token) -> None: ...
    @app.get("/deep")
    def far(value: None = Depends(deep)) -> None: ...
    @app.api_route("/forgotten", methods=["GET", "POST"])
    def forgotten() -> None: ...
    @inner.get("/both")
    @fa.requires_permission("p")
    def both() -> None: ...
    @app.websocket("/ws")
    async def ws(websocket: WebSocket, token: fa.Token) -> None: ...
    @app.websocket("/open")
    async def open_ws(websocket: WebSocket) -> None: ...

    router.include_router(inner)
    app.include_router(router, prefix="/v1")
    app.include_router(inner, prefix="/v2", dependencies=[fa.requires_auth])
    app.mount("/sub", fastapi_app())
    assert seen(app) == {
        "GET /decorated": "protected: scope('a')",
        "GET /stacked": "protected: scope('a') & permission('p')",
        "GET /either": "protected: scope('a') | permission('p')",
        "GET /token": "protected: any valid token",
        "GET /optional": "optional",
        "GET /security": "protected: scope('s')",
        "GET /deep": "protected: any valid token",
        "GET POST /forgotten": "unprotected",
        "WEBSOCKET /ws": "protected: any valid token",
        "WEBSOCKET /open": "unprotected",
        "GET /v1/r/i/both": "protected: scope('of:router') & permission('p')",
        "GET /v2/i/both": "protected: permission('p')",
    }


def test_fastapi_app_level() -> None:
    """They hold for the routes of FastAPI, and not for what is mounted."""
    app = fastapi_app(dependencies=[fa.requires_scope("all")])
    fa.KindeGuard(app)
    app.get("/x")(lambda: None)
    app.mount("/m", Starlette(routes=[Route("/open", open_to_all), Route("/shut", guarded)]))
    app.add_route("/plain", open_to_all)
    assert seen(app) == {
        "GET /x": "protected: scope('all')",
        "GET /m/open": "unprotected",
        "GET /m/shut": "protected: scope('a')",
        "GET /plain": "unprotected",
    }


def test_a_scheme_with_a_guard_of_its_own_needs_no_other() -> None:
    app = fastapi_app()
    own = fa.AccessTokenSecurity(guard_for(local_issuer()), scheme_name="Partner")

    @app.get("/partner")
    def partner(token: Any = Security(own, scopes=["p"])) -> None: ...  # noqa: B008

    assert seen(app) == {"GET /partner": "protected: scope('p')"}


def test_an_annotation_that_fastapi_cannot_read() -> None:
    """It takes what it cannot evaluate for a query parameter; the route is open, and listed so."""
    app = fastapi_app()
    fa.KindeGuard(app)
    local = fa.Token

    @app.get("/x")
    def x(token: local) -> None: ...  # type: ignore[valid-type]

    assert seen(app) == {"GET /x": "unprotected"}


class Items(HTTPEndpoint):
    @st.requires_scope("a")
    async def get(self, request: Any) -> PlainTextResponse:
        raise AssertionError("no handler is called")

    async def post(self, request: Any) -> PlainTextResponse:
        raise AssertionError("no handler is called")


class Guarded(WebSocketEndpoint):
    @st.requires_scope("a")
    async def on_connect(self, websocket: Any) -> None: ...


class TooLate(WebSocketEndpoint):
    async def on_connect(self, websocket: Any) -> None: ...
    @st.requires_scope("a")
    async def on_receive(self, websocket: Any, data: Any) -> None: ...


def test_starlette() -> None:
    """Endpoints of both kinds, mounts of all kinds, WebSockets."""
    app = Starlette(routes=[
        Route("/shut", guarded),
        Route("/items", Items),
        WebSocketRoute("/ws", Guarded),
        WebSocketRoute("/late", TooLate),
        Mount("/m", routes=[Mount("/n", Router([Route("/open/{x}", open_to_all), Route("/", guarded)]))]),
        Host("api.example.com", Router([Route("/host", open_to_all)])),
        Mount("/static", StaticFiles(directory=os.path.dirname(__file__))),
        Mount("/", Starlette(routes=[Route("/root", open_to_all)])),
    ])  # fmt: skip
    st.KindeGuard(app)
    assert seen(app, "/static/*", "/host") == {
        "GET /shut": "protected: scope('a')",
        "GET /items": "protected: scope('a')",
        "POST /items": "unprotected",
        "WEBSOCKET /ws": "protected: scope('a')",
        "WEBSOCKET /late": "unprotected",
        "GET /m/n/open/{x}": "unprotected",
        "GET /m/n/": "protected: scope('a')",
        "GET /host": "public",
        "ANY /static/*": "public",
        "GET /root": "unprotected",
    }


ROUTES = [Route("/x", open_to_all), Route("/healthz", open_to_all), Route("/a/{id}", guarded)]
BEHIND = {
    "GET /x": "protected: any valid token",
    "GET /healthz": "public",
    "GET /a/{id}": "protected: scope('a')",
}


def guard_public(app: Starlette) -> Any:
    st.KindeGuard(app, public=["/healthz"])
    return app


def added(app: Starlette) -> Any:
    app.add_middleware(kinde_guard.asgi.GuardMiddleware, public=["/healthz"])
    return app


def around(app: Starlette) -> Any:
    return kinde_guard.asgi.GuardMiddleware(app, public=["/healthz"])


def mounted(app: Starlette) -> Any:
    layer = Middleware(kinde_guard.asgi.GuardMiddleware, public=["/healthz"])
    return Starlette(routes=[Mount("/", app, middleware=[layer])])


@pytest.mark.parametrize("put", [guard_public, added, around, mounted])
def test_in_front_of_everything(put: Callable[[Starlette], Any]) -> None:
    """Whatever demands a token on all paths, but the public ones."""
    assert seen(put(Starlette(routes=ROUTES))) == BEHIND


def test_public_paths_are_those_of_where_the_guard_stands() -> None:
    """A guard within counts its paths from where it is mounted, and that one outside from the root."""
    inner = Starlette(routes=ROUTES)
    st.KindeGuard(inner, public=["/healthz"])
    assert seen(Starlette(routes=[Mount("/api", inner)])) == {
        "GET /api/x": "protected: any valid token",
        "GET /api/healthz": "public",
        "GET /api/a/{id}": "protected: scope('a')",
    }
    outer = Starlette(routes=[Mount("/api", inner)])
    st.KindeGuard(outer, public=["/healthz", "/api/x"])
    assert seen(outer)["GET /api/healthz"] == "protected: any valid token"
    assert seen(outer)["GET /api/x"] == "protected: any valid token"


def test_authentication_middleware() -> None:
    """Starlette's own, with our backend: who has no token is refused, unless anonymous."""
    strict = Starlette(routes=[Route("/x", open_to_all)])
    strict.add_middleware(AuthenticationMiddleware, backend=st.KindeBackend(guard_for(local_issuer())))
    assert seen(strict) == {"GET /x": "protected: any valid token"}
    lax = Starlette(routes=[Route("/x", open_to_all), Route("/a", guarded)])
    lax.add_middleware(AuthenticationMiddleware, backend=st.KindeBackend(guard_for(local_issuer()), anonymous=True))
    assert seen(lax) == {"GET /x": "unprotected", "GET /a": "protected: scope('a')"}


class Methods(MethodView):
    @fl.requires_scope("a")
    def get(self) -> str:
        raise AssertionError("no handler is called")

    def post(self) -> str:
        raise AssertionError("no handler is called")


class Decorated(Methods):
    decorators = [fl.requires_permission("p")]  # noqa: RUF012


def test_flask() -> None:
    """Views, class-based ones, blueprints in one another and what they demand; and what was forgotten."""
    app = flask_app()
    outer, inner, lost = (flask.Blueprint(name, __name__) for name in ("outer", "inner", "lost"))
    outer.before_request(fl.requires_scope("of:outer"))
    app.add_url_rule("/shut", "shut", fl.requires_scope("a")(view()))
    app.add_url_rule("/open/<int:x>", "open", view(), methods=["GET", "PUT"])
    app.add_url_rule("/methods", view_func=Methods.as_view("methods"))
    app.add_url_rule("/decorated", view_func=Decorated.as_view("decorated"))
    inner.add_url_rule("/x", "x", fl.requires_permission("p")(view()))
    inner.add_url_rule("/y", "y", view())
    lost.add_url_rule("/forgotten", "forgotten", view())
    outer.register_blueprint(inner, url_prefix="/i")
    app.register_blueprint(outer, url_prefix="/o")
    app.register_blueprint(lost)
    assert seen(app) == {
        "GET /shut": "protected: scope('a')",
        "GET PUT /open/<int:x>": "unprotected",
        "GET /methods": "protected: scope('a')",
        "POST /methods": "unprotected",
        "GET /decorated": "protected: scope('a') & permission('p')",
        "POST /decorated": "protected: permission('p')",
        "GET /o/i/x": "protected: scope('of:outer') & permission('p')",
        "GET /o/i/y": "protected: scope('of:outer')",
        "GET /forgotten": "unprotected",
    }


def test_flask_view_with_one_function_for_all_methods() -> None:
    class One(View):
        methods = ["GET", "POST"]  # noqa: RUF012

        @fl.requires_scope("a")
        def dispatch_request(self) -> str:
            raise AssertionError("no handler is called")

    app = flask_app()
    app.add_url_rule("/one", view_func=One.as_view("one"))
    app.before_request(lambda: None)
    assert seen(app) == {"GET POST /one": "protected: scope('a')"}


def test_flask_public() -> None:
    app = flask_app(public=["/healthz", "/files/*"], healthz="/up")
    for rule in ("/x", "/healthz", "/files/<path:name>"):
        app.add_url_rule(rule, rule, view())
    assert seen(app) == {
        "GET /up": "public",
        "GET /x": "protected: any valid token",
        "GET /healthz": "public",
        "GET /files/<path:name>": "public",
    }


ANSWERED: dict[str, Any] = {
    "healthz": "/up",
    "readyz": "/ready",
    "resource": "https://api.acme.com/v1",
    "webhooks": "/webhooks/kinde",
    "on_event": print,
}


def answering_fastapi() -> Any:
    app = fastapi_app()
    fa.KindeGuard(app, guard=guard_for(local_issuer()), **ANSWERED)
    return app


def answering_asgi() -> Any:
    return kinde_guard.asgi.GuardMiddleware(Starlette(), guard_for(local_issuer()), **ANSWERED)


def answering_asgi_inside() -> Any:
    given = {"guard": guard_for(local_issuer()), **ANSWERED}
    return Starlette(middleware=[Middleware(kinde_guard.asgi.GuardMiddleware, **given)])


def answering_wsgi() -> Any:
    return kinde_guard.wsgi.GuardMiddleware(flask.Flask(__name__), guard_for(local_issuer()), **ANSWERED)


@pytest.mark.parametrize(
    "made",
    [answering_fastapi, answering_asgi, answering_asgi_inside, answering_wsgi, lambda: flask_app(**ANSWERED)],
)
def test_what_the_guard_answers_itself(made: Callable[[], Any]) -> None:
    """Health checks, metadata and webhooks: public, as they have been named."""
    assert seen(made()) == dict.fromkeys(
        [
            "GET /up",
            "GET /ready",
            "GET /.well-known/oauth-protected-resource/v1",
            "POST /webhooks/kinde",
        ],
        "public",
    )


def test_flask_static_files(tmp_path: Path) -> None:
    """Where there is a folder of them, anybody may read it."""
    app = flask.Flask(__name__, static_folder=str(tmp_path), static_url_path="/static")
    assert seen(app) == {"GET /static/<path:filename>": "unprotected"}
    assert seen(app, "/static/*") == {"GET /static/<path:filename>": "public"}


def test_wsgi_middleware_and_dispatcher() -> None:
    """Around Flask, put in its place, and in front of several apps."""
    app, other = flask.Flask("one"), flask.Flask("two")
    app.add_url_rule("/x", "x", view())
    app.add_url_rule("/healthz", "healthz", view())
    other.add_url_rule("/open", "open", view())
    guard = guard_for(local_issuer())
    app.wsgi_app = kinde_guard.wsgi.GuardMiddleware(app.wsgi_app, guard, public=["/healthz"])  # type: ignore[method-assign]
    shut = {"GET /x": "protected: any valid token", "GET /healthz": "public"}
    assert seen(app) == shut
    assert seen(DispatcherMiddleware(app, {"/other": other})) == {**shut, "GET /other/open": "unprotected"}


def test_flask_in_fastapi() -> None:
    """A guard in front of both counts for both; but Flask's decorators need a guard of Flask's."""
    app, old = fastapi_app(), flask.Flask(__name__)
    old.add_url_rule("/x", "x", view())
    old.add_url_rule("/a", "a", fl.requires_scope("a")(view()))

    class WSGI:
        def __init__(self, app: Any) -> None:
            self.app = app

        async def __call__(self, *asgi: Any) -> None: ...

    app.mount("/old", WSGI(old))
    fa.KindeGuard(app, public=[])
    assert seen(app) == {"GET /old/x": "protected: any valid token", "GET /old/a": "misplaced: scope('a')"}


@pytest.mark.parametrize("name", ["fastapi_app", "starlette_app", "flask_app"])
def test_what_is_listed_is_what_happens(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every route of the examples, asked without a token."""
    monkeypatch.setenv("KINDE_DOMAIN", "acme.kinde.com")
    monkeypatch.setenv("KINDE_AUDIENCE", "https://api.acme.com")
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2]))
    app = importlib.import_module(f"examples.{name}").app
    client: Any = app.test_client() if name == "flask_app" else TestClient(app)
    ask = client.open if name == "flask_app" else lambda path, method: client.request(method, path)
    listed = [route for route in routes_of(app) if route.methods != ("WEBSOCKET",)]
    assert {route.kind for route in listed} == {"protected", "public"}
    with trust(app, local_issuer()):
        for route in listed:
            status = ask(route.path, method=route.methods[0]).status_code
            assert status == (401 if route.kind == "protected" else 200), route


def fastapi_above() -> Any:
    app = fastapi_app()
    fa.KindeGuard(app)
    fa.requires_scope("a")(app.get("/x")(lambda: None))
    return app


def fastapi_above_in_a_router() -> Any:
    app, router = fastapi_app(), APIRouter(dependencies=[fa.requires_auth])
    fa.KindeGuard(app)
    fa.requires_scope("a")(router.get("/x")(lambda: None))
    app.include_router(router)
    return app


def starlette_above() -> Any:
    async def endpoint(request: Any) -> None: ...

    app = Starlette(routes=[Mount("/m", routes=[Route("/x", endpoint)])])
    st.requires_scope("a")(endpoint)
    st.KindeGuard(app)
    return app


def flask_above() -> Any:
    app, blueprint = flask_app(), flask.Blueprint("b", __name__)

    fl.requires_scope("a")(blueprint.get("/x")(view()))
    app.register_blueprint(blueprint)
    return app


def fastapi_without() -> Any:
    app = fastapi_app()
    app.get("/x")(fa.requires_scope("a")(lambda: None))
    return app


def fastapi_optional_without() -> Any:
    app = fastapi_app()

    @app.get("/x")
    def x(token: fa.OptionalToken) -> None: ...

    return app


def starlette_without() -> Any:
    return Starlette(routes=[Route("/x", guarded)])


def flask_without() -> Any:
    app = flask.Flask(__name__)
    app.add_url_rule("/x", "x", fl.requires_scope("a")(view()))
    return app


@pytest.mark.parametrize("make", [fastapi_above, fastapi_above_in_a_router, starlette_above, flask_above])
def test_a_decorator_above_the_route(make: Callable[[], Any]) -> None:
    """An allow-list does not excuse it."""
    (route,) = routes_of(make(), ["/x", "/m/x"])
    assert route.kind == "misplaced"
    assert "scope('a')" in str(route.demand)
    assert "below the route decorator" in route.note


@pytest.mark.parametrize("make", [fastapi_without, fastapi_optional_without, starlette_without, flask_without])
def test_a_demand_without_a_guard(make: Callable[[], Any]) -> None:
    (route,) = routes_of(make(), ["/x"])
    assert route.kind == "misplaced"
    assert "no guard is attached" in route.note


def test_one_function_open_here_and_guarded_there() -> None:
    """As Starlette takes endpoints, that is no mistake; and what is open is open."""

    async def endpoint(request: Any) -> None: ...

    shut = st.requires_scope("a")(endpoint)
    app = Starlette(routes=[Route("/open", endpoint), Route("/shut", shut)])
    st.KindeGuard(app)
    assert seen(app) == {"GET /open": "unprotected", "GET /shut": "protected: scope('a')"}


def test_routers_that_are_not_included() -> None:
    """What they demand protects nothing, not even the router within that is included by itself."""
    app, users, admin = fastapi_app(), APIRouter(), APIRouter(dependencies=[fa.requires_scope("admin")])
    users.get("/users")(lambda: None)
    admin.include_router(users)
    app.include_router(users)
    names = {"app": app, "users": users, "admin": admin, "empty": APIRouter(), "other": 1}
    # Where routes are copied into the app, a router is known by its functions, and these are served.
    assert unserved(names, app) == ([] if older("fastapi", "0.137") else ["admin"])
    assert seen(app) == {"GET /users": "unprotected"}
    blueprint, used = flask.Blueprint("b", __name__), flask.Blueprint("u", __name__)
    for each in (blueprint, used):
        each.add_url_rule("/b", "b", view())
    old = flask.Flask(__name__)
    old.register_blueprint(used)
    assert unserved({"blueprint": blueprint, "used": used}, old) == ["blueprint"]


def test_middleware_without_end() -> None:
    class Loop:
        @property
        def app(self) -> Loop:
            return self

    with pytest.raises(ConfigurationError, match="more middleware than can be looked through"):
        routes_of(Loop())


def test_what_is_no_app() -> None:
    with pytest.raises(ConfigurationError, match="is not a FastAPI, Starlette, Flask or Django app"):
        routes_of(object())


@pytest.mark.parametrize(("pattern", "path", "expected"), [
    ("/a", "/a", True),
    ("/a", "/b", False),
    ("/a", "/a/b", False),
    ("/a/b", "/a", False),
    ("/a/*", "/a/b/c", True),
    ("/a/*", "/a", False),
    ("/a/*", "/a/", True),
    ("/a/*", "/a/{id}", True),
    ("/a/*", "/b/", False),
    ("/users/me", "/users/{id}", True),
    ("/users/me", "/users/<id>", True),
    ("/a/b/c", "/a/{rest:path}", True),
    ("/a/b/c", "/a/<path:rest>", True),
    ("/a/*", "/{x}/b", True),
    ("/report.csv", "/report.{kind}", True),
    ("/report", "/report.{kind}", False),
])  # fmt: skip
def test_a_public_path_that_reaches_a_route(pattern: str, path: str, expected: bool) -> None:
    """A public path opens every route that may answer it."""
    assert reaches(pattern, path) is expected


# The command.

SAMPLE = "kinde_guard.cli.sample:app"


@pytest.fixture
def run(no_settings: None, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:

    def run(*arguments: str) -> tuple[int, str, str]:
        try:
            status = main(["routes", *arguments])
        except SystemExit as end:
            status = int(end.code or 0)
        return status, *capsys.readouterr()

    return run


@pytest.fixture
def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Writes api.py, and is where it lies."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "api", raising=False)

    def write(text: str) -> None:
        (tmp_path / "api.py").write_text(text)
        sys.modules.pop("api", None)

    return write


def test_the_list(run: Any) -> None:
    status, out, err = run(SAMPLE, "--fail-unprotected", "--public", "/healthz")
    assert status == 1
    assert [line.split("  ")[0] for line in out.splitlines()] == ["GET", "POST", "GET", "GET"]
    assert "/admin/export  UNPROTECTED" in out
    assert "scope('write:users') | permission('users:write')" in out
    assert err == "4 routes: 2 protected, 1 public, 1 unprotected\n"


def test_the_example_in_the_help_works_when_pasted(run: Any) -> None:
    _, out, _ = run("--help")
    example = re.search(r"Example:\n +kinde-guard routes (.*)\n", out)
    assert example is not None
    assert run(*example[1].split())[0] == 1


def test_exit_status(run: Any) -> None:
    assert run(SAMPLE)[0] == 0
    assert run(SAMPLE, "--fail-unprotected")[0] == 1
    assert run(SAMPLE, "--fail-unprotected", "--public", "/healthz", "--public", "/admin/*")[0] == 0
    for wrong in ("kinde_guard.cli.sample", ":app", "no_such_module:app", f"{SAMPLE}s", "kinde_guard.cli.sample:users"):
        assert run(wrong)[0] == 2, wrong
    assert run(SAMPLE, "--public", "healthz")[0] == 2


def test_for_programs(run: Any) -> None:
    status, out, err = run(SAMPLE, "--json")
    assert (status, err) == (0, "")
    assert json.loads(out)[0] == {
        "path": "/users", "methods": ["GET"], "kind": "protected", "demand": "scope('read:users')",
        "where": "kinde_guard.cli.sample:users", "note": "",
    }  # fmt: skip


def test_for_documents(run: Any) -> None:
    _, out, _ = run(SAMPLE, "--markdown")
    rows = out.splitlines()
    assert rows[:2] == ["| Method | Path | Demands | Where |", "|---|---|---|---|"]
    assert rows[3].startswith(r"| POST | `/users` | scope('write:users') \| permission('users:write') |")


def test_without_settings_and_by_a_factory(run: Any, api: Any) -> None:
    """Flask reads its settings when the guard is attached; what an app prints does not get into the list."""
    api("""
import os
from flask import Blueprint, Flask
from kinde_guard.flask import KindeGuard
admin = Blueprint("admin", __name__)
admin.add_url_rule("/admin", "admin", print)
def create_app():
    print("hello")
    app = Flask(__name__)
    KindeGuard(app)
    return app
""")
    status, out, err = run("api.py:create_app()", "--json")
    assert (status, json.loads(out)) == (0, [])
    assert "hello" in err
    assert "api:admin is not included in the app: its routes do not exist" in err
    assert "KINDE_DOMAIN" not in os.environ


def test_an_optional_token(run: Any, api: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings that are there are left as they are."""
    monkeypatch.setenv("KINDE_AUDIENCE", "")
    api("""
from fastapi import FastAPI
from kinde_guard.fastapi import KindeGuard, OptionalToken
app = FastAPI(openapi_url=None)
KindeGuard(app)
@app.get("/")
def home(token: OptionalToken): ...
""")
    status, out, err = run("api:app", "--fail-unprotected")
    assert (status, out, err) == (0, "GET  /  optional token  api:home\n", "1 route: 1 optional\n")
    assert os.environ["KINDE_AUDIENCE"] == ""


def test_not_enforced(run: Any, api: Any) -> None:
    api("""
from fastapi import FastAPI
from kinde_guard.fastapi import KindeGuard, requires_scope
app = FastAPI(openapi_url=None)
KindeGuard(app)
@requires_scope("a")
@app.get("/x")
def x(): ...
""")
    status, out, err = run("api:app")
    assert status == 1
    assert "NOT ENFORCED: scope('a')" in out
    assert "kinde-guard: GET /x, api:x: its decorator is above the route's" in err


def test_a_module_that_needs_another(run: Any, api: Any) -> None:
    """Not the user's spelling is wrong then."""
    api("import no_such_library")
    with pytest.raises(ModuleNotFoundError, match="no_such_library"):
        run("api:app")


async def raw(scope: Any, receive: Any, send: Any) -> None:
    raise AssertionError("no handler is called")


def notes(app: Any) -> dict[str, str]:
    return {str(route): route.note for route in routes_of(app) if route.note}


@pytest.mark.parametrize("order", ["before", "after", None])
def test_handlers_that_answer_options(order: str | None) -> None:
    """Between them and whoever says that it is a preflight is the guard alone, or CORS middleware as well."""
    app = fastapi_app()
    app.api_route("/items", methods=["GET", "OPTIONS"])(lambda: None)
    app.api_route("/closed", methods=["GET", "OPTIONS"])(fa.requires_scope("a")(lambda: None))
    app.get("/get")(lambda: None)
    app.mount("/raw", raw)
    app.mount("/static", StaticFiles(directory="."))
    if order == "before":
        app.add_middleware(CORSMiddleware)
    fa.KindeGuard(app, public=[])
    if order == "after":
        app.add_middleware(CORSMiddleware)
    told = "runs for OPTIONS as well: with pass_preflights=True whoever calls it a preflight would be let in"
    assert notes(app) == ({} if order else {"GET OPTIONS /items": told, "ANY /raw/*": told})


def test_handlers_that_pass_preflights_opens() -> None:
    """Each is a row of its own, which is unprotected unless somebody says that it is to be open."""
    opened = "pass_preflights=True lets whatever calls itself a preflight through, and this runs for OPTIONS"
    app = fastapi_app()
    app.api_route("/items", methods=["GET", "OPTIONS"])(lambda: None)
    app.api_route("/only", methods=["OPTIONS"])(lambda: None)
    app.api_route("/closed", methods=["GET", "OPTIONS"])(fa.requires_scope("a")(lambda: None))
    app.mount("/raw", raw)
    fa.KindeGuard(app, public=["/only"], pass_preflights=True)
    assert seen(app, "/raw/*") == {
        "GET /items": "protected: any valid token",
        "OPTIONS /items": "unprotected",
        "OPTIONS /only": "public",
        "GET OPTIONS /closed": "protected: scope('a')",
        "ANY /raw/*": "protected: any valid token",
        "OPTIONS /raw/*": "public",
    }
    assert notes(app) == {"OPTIONS /items": opened, "OPTIONS /raw/*": opened}
    with pytest.raises(AssertionError, match=f"OPTIONS /items: {opened}"):
        assert_no_unprotected_routes(app, ["/raw/*"])


def test_pass_preflights_of_every_guard() -> None:
    """Of several around a handler, each has to pass them; and of CORS middleware, one on the way is enough."""
    guard = guard_for(local_issuer())
    routes = [Route("/x", open_to_all, methods=["OPTIONS"])]
    app = Starlette(routes=routes)
    st.KindeGuard(app, public=[])
    passing = kinde_guard.asgi.GuardMiddleware(app, guard, pass_preflights=True)
    assert seen(passing) == {"OPTIONS /x": "protected: any valid token"}
    bare = Starlette(routes=routes)
    assert seen(kinde_guard.asgi.GuardMiddleware(bare, guard, pass_preflights=True)) == {"OPTIONS /x": "unprotected"}
    around = Starlette(routes=[Mount("/", app=CORSMiddleware(bare))])
    assert seen(kinde_guard.asgi.GuardMiddleware(around, guard, pass_preflights=True)) == {
        "OPTIONS /x": "protected: any valid token"
    }
    wrapped = flask.Flask(__name__)
    wrapped.add_url_rule("/listed", "listed", view(), methods=["GET", "OPTIONS"])
    wrapped.add_url_rule("/automatic", "automatic", view())
    assert seen(kinde_guard.wsgi.GuardMiddleware(wrapped, guard, pass_preflights=True)) == {
        "GET /listed": "protected: any valid token",
        "OPTIONS /listed": "unprotected",
        "GET /automatic": "protected: any valid token",
    }


@pytest.mark.parametrize("passes", [False, True])
def test_handlers_of_flask_that_answer_options(passes: bool) -> None:
    """Flask's own answer is none of a handler."""
    app = flask_app(public=[], pass_preflights=passes)
    app.add_url_rule("/listed", "listed", view(), methods=["GET", "OPTIONS"])
    app.add_url_rule("/automatic", "automatic", view())
    opened = "pass_preflights=True lets whatever calls itself a preflight through, and this runs for OPTIONS"
    told = "runs for OPTIONS as well: with pass_preflights=True whoever calls it a preflight would be let in"
    assert notes(app) == ({"OPTIONS /listed": opened} if passes else {"GET OPTIONS /listed": told})


def test_what_stands_outside_of_the_guard() -> None:
    """A row for each, by name, in the order in which they are asked; what is within another guard stands inside."""
    guard = guard_for(local_issuer())
    app = Starlette(routes=[Route("/x", open_to_all)], middleware=[Middleware(GZipMiddleware)])
    st.KindeGuard(app, guard=guard, public=[])
    app.add_middleware(TrustedHostMiddleware)
    app.add_middleware(CORSMiddleware)
    rows = [
        ("ANY /*", "outside", "starlette.middleware.cors:CORSMiddleware"),
        ("ANY /*", "outside", "starlette.middleware.trustedhost:TrustedHostMiddleware"),
        ("GET /x", "protected", f"{__name__}:open_to_all"),
    ]
    assert [(str(route), route.kind, route.where) for route in routes_of(app)] == rows
    mounted = routes_of(Starlette(routes=[Mount("/sub", app=app)]))
    assert [(str(route), route.kind) for route in mounted[1:]] == [
        ("ANY /sub/*", "outside"),
        ("GET /sub/x", "protected"),
    ]
    within = kinde_guard.asgi.GuardMiddleware(app, guard)
    assert [route.kind for route in routes_of(within)] == ["protected"]


@pytest.mark.parametrize(
    ("cls", "options", "kinds"),
    [
        (kinde_guard.asgi.GuardMiddleware, {}, ["outside", "protected"]),
        (AuthenticationMiddleware, {"backend": st.KindeBackend()}, ["outside", "protected"]),
        (AuthenticationMiddleware, {"backend": st.KindeBackend(anonymous=True)}, ["unprotected"]),
        (GZipMiddleware, {}, ["unprotected"]),
    ],
)
def test_what_stands_outside_of_other_guards(cls: Any, options: dict[str, Any], kinds: list[str]) -> None:
    """Of whatever demands a token for all paths; without it nothing is inside."""
    app = Starlette(routes=[Route("/x", open_to_all)])
    app.add_middleware(cls, **options)
    app.add_middleware(TrustedHostMiddleware)
    assert [route.kind for route in routes_of(app)] == kinds


def test_outside_and_options_at_the_terminal(run: Any, api: Any) -> None:
    api("""
from fastapi import FastAPI
from starlette.middleware.gzip import GZipMiddleware
from kinde_guard.fastapi import KindeGuard
app = FastAPI(openapi_url=None)
KindeGuard(app, public=[])
app.add_middleware(GZipMiddleware)
@app.api_route("/x", methods=["GET", "OPTIONS"])
def x(): ...
""")
    status, out, err = run("api:app", "--fail-unprotected")
    assert status == 0
    assert out.splitlines() == [
        "ANY          /*  outside of the guard  starlette.middleware.gzip:GZipMiddleware",
        "GET OPTIONS  /x  any valid token       api:x",
    ]
    assert err.splitlines() == [
        "1 route: 1 protected",
        "kinde-guard: GET OPTIONS /x, api:x: runs for OPTIONS as well: "
        "with pass_preflights=True whoever calls it a preflight would be let in",
    ]
