"""Deny by default holds for the whole Flask app object: what stands in ``app.wsgi_app`` answers no stranger either,
whichever was set up first."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import Mock, call
from xmlrpc.client import ServerProxy

import prometheus_client
import pytest
import socketio as python_socketio  # type: ignore[import-untyped]
from flask import Flask, Response, copy_current_request_context, current_app, request, session
from flask.views import MethodView
from flask_socketio import SocketIO  # type: ignore[import-untyped]
from helpers import CLIENT, Issuer, guard_of, mint
from opentelemetry.instrumentation.flask import FlaskInstrumentor
from opentelemetry.instrumentation.wsgi import OpenTelemetryMiddleware
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.test import Client, TestResponse
from whitenoise import WhiteNoise  # type: ignore[import-untyped]

from kinde_guard import ConfigurationError, Guard, events, scope
from kinde_guard.flask import KindeGuard, current_token, requires_auth, requires_scope
from kinde_guard.routes import routes_of
from kinde_guard.testing import assert_no_unprotected_routes
from kinde_guard.wsgi import GuardMiddleware

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

Put = Callable[[Any], None]
instrument: Any = FlaskInstrumentor().instrument_app


def get(app: Flask, path: str, token: str | None = None, method: str = "GET", **headers: str) -> TestResponse:
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    if token is not None:
        given["Authorization"] = f"Bearer {token}"
    return app.test_client().open(path, method=method, headers=given, buffered=True)


def prometheus(app: Any) -> None:
    metrics = prometheus_client.make_wsgi_app(prometheus_client.CollectorRegistry())
    app.wsgi_app = DispatcherMiddleware(app.wsgi_app, {"/front": metrics})


def admin(app: Any) -> None:
    inner = Flask("admin")
    inner.add_url_rule("/", "index", lambda: "of the admin")
    app.wsgi_app = DispatcherMiddleware(app.wsgi_app, {"/front": inner})


def socketio(app: Any) -> None:
    SocketIO(app, async_mode="threading", path="front")


def whitenoise(app: Any) -> None:
    app.wsgi_app = WhiteNoise(app.wsgi_app, root=Path(__file__).parent, prefix="front")


def closure(app: Any) -> None:
    served = app.wsgi_app

    def answering(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"].startswith("/front"):
            start_response("200 OK", [])
            return [b"of the closure"]
        return served(environ, start_response)  # type: ignore[no-any-return]

    app.wsgi_app = answering


def telemetry(app: Any) -> None:
    instrument(app)
    app.add_url_rule("/front/", "front", lambda: "of a view")


def proxy(app: Any) -> None:
    app.wsgi_app = ProxyFix(app.wsgi_app, x_for=1, x_prefix=1)
    app.add_url_rule("/front/", "front", lambda: f"{request.remote_addr} {request.root_path}")


def another_guard(app: Any) -> None:
    app.wsgi_app = GuardMiddleware(app.wsgi_app, guard_of(Issuer()), public=["/front/", "/front/public/*", "/public"])
    app.add_url_rule("/front/", "front", lambda: "of a view")


def all_at_once(app: Any) -> None:
    for put in (proxy, whitenoise, socketio, prometheus, closure):
        put(app)
    instrument(app)


SETUPS: list[Put] = [
    prometheus,
    admin,
    socketio,
    whitenoise,
    closure,
    telemetry,
    proxy,
    another_guard,
    all_at_once,
]
PATHS = {"socketio": "/front/?EIO=4&transport=polling", "whitenoise": "/front/helpers.py"}


@pytest.fixture(params=["front first", "guard first"])
def build(request: pytest.FixtureRequest, guard: Guard) -> Callable[..., Flask]:
    """An app with one thing in front of it, and a guard."""

    def build(put: Put, public: Iterable[str] | None = (), **options: Any) -> Flask:
        app = Flask("fronted")
        if request.param == "front first":
            put(app)
        KindeGuard(app, **{"guard": guard, "public": public, **options})
        if request.param == "guard first":
            put(app)
        app.add_url_rule("/view", "view", lambda: "a view")
        app.after_request(marked)
        return app

    return build


def marked(response: Response) -> Response:
    response.headers["X-Through"] = "the app"
    return response


@pytest.mark.parametrize("put", SETUPS)
def test_strangers(build: Callable[..., Flask], put: Put) -> None:
    """Whatever is in front, nobody without a good token gets anything but the app's own refusal."""
    app = build(put)
    for path in (PATHS.get(put.__name__, "/front/"), "/front", "/view", "/unknown", "/front/../view"):
        for token in (None, mint({"exp": 1}), "a.b.c"):
            for method in ("GET", "POST", "HEAD"):
                answer = get(app, path, token, method)
                assert (answer.status_code, answer.headers["X-Through"]) == (401, "the app"), (path, method)
                assert answer.content_type == "application/problem+json"


@pytest.mark.parametrize("put", SETUPS)
def test_callers(build: Callable[..., Flask], put: Put) -> None:
    """With a good token all is as it would be without a guard; what is public is so in front as well."""
    app = build(put, public=["/public", "/front/public/*"])
    app.add_url_rule("/public", "public", lambda: "public")
    answer = get(app, PATHS.get(put.__name__, "/front/"), mint())
    assert answer.status_code == 200
    assert get(app, "/view", mint()).text == "a view"
    assert get(app, "/unknown", mint()).status_code == 404
    assert get(app, "/public").text == "public"
    assert get(app, "/front/public/x").status_code != 401


def test_a_front_that_is_public(build: Callable[..., Flask]) -> None:
    """Whoever wants Prometheus to be asked without a token says so."""
    app = build(prometheus, public=["/front", "/front/*"])
    assert get(app, "/front").status_code == 200
    assert get(app, "/view").status_code == 401


def test_without_public(build: Callable[..., Flask]) -> None:
    """Where only decorators demand, what stands in front is nobody's business."""
    app = build(closure, public=None)
    app.add_url_rule("/guarded", "guarded", requires_auth(lambda: "in"))
    assert get(app, "/front/").text == "of the closure"
    assert [get(app, "/guarded").status_code, get(app, "/guarded", mint()).text] == [401, "in"]


def test_behind_a_proxy(build: Callable[..., Flask]) -> None:
    """ProxyFix answers nobody: who calls is known where a request is let in and where it is refused."""
    app, seen = build(all_at_once), []

    @app.after_request
    def log(response: Response) -> Response:
        seen.append((response.status_code, request.remote_addr, request.root_path))
        return response

    for token in (None, mint()):
        get(app, "/view", token, X_Forwarded_For="203.0.113.7", X_Forwarded_Prefix="/api")
    assert seen == [(401, "203.0.113.7", "/api"), (200, "203.0.113.7", "/api")]


def test_a_prefix_that_is_stripped(build: Callable[..., Flask]) -> None:
    """What a middleware makes of a path is known to it alone: the path that was asked for is what is public."""

    def strip(app: Any) -> None:
        served = app.wsgi_app

        def stripping(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
            environ["PATH_INFO"] = environ["PATH_INFO"].removeprefix("/api")
            return served(environ, start_response)  # type: ignore[no-any-return]

        app.wsgi_app = stripping

    app = build(strip, public=["/view"])
    assert [get(app, "/api/view").status_code, get(app, "/api/view", mint()).status_code] == [401, 200]
    app = build(strip, public=["/view", "/api/view"])
    assert get(app, "/api/view").status_code == 200
    app = build(strip, public=["/api/view"])  # what it becomes is judged as well
    assert get(app, "/api/view").status_code == 401


def test_a_front_of_the_apps_class(guard: Guard) -> None:
    """A class of one's own may answer before Flask does, too."""

    class Answering(Flask):
        def wsgi_app(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
            if environ["PATH_INFO"] == "/front":
                start_response("200 OK", [])
                return [b"of the class"]
            return super().wsgi_app(environ, start_response)

    class Calling(Flask):
        def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
            served = Answering if environ["PATH_INFO"] == "/front" else Flask
            return served.wsgi_app(self, environ, start_response)

    class Both(Answering):
        """Inherits it."""

    for kind in (Answering, Calling, Both):
        app = kind("own_class")
        KindeGuard(app, guard=guard, public=[])
        assert [get(app, "/front").status_code, get(app, "/front", mint()).text] == [401, "of the class"]


class Before:
    """Middleware that holds something, which it has ahead of what it calls."""

    def __init__(self, held: Any, calls: WSGIApplication) -> None:
        self.held, self.next = held, calls

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        return self.next(environ, start_response)


HELD: dict[str, Callable[[], Any]] = {
    "request": lambda: request,
    "current_app": lambda: current_app,
    "session": lambda: session,
    "a mock": Mock,
    "a call": lambda: call,
    "an RPC client": lambda: ServerProxy("http://127.0.0.1:9"),
}


@pytest.mark.parametrize("held", HELD.values(), ids=HELD)
def test_what_a_front_holds_is_not_asked(build: Callable[..., Flask], held: Callable[[], Any]) -> None:
    """Flask's proxies raise outside of a request; mocks and RPC clients have an answer for every name."""

    def put(app: Any) -> None:
        app.wsgi_app = Before(held(), app.wsgi_app)

    app = build(put)
    assert [get(app, "/view").status_code, get(app, "/view", mint()).status_code] == [401, 200]
    assert [route.where for route in routes_of(app) if route.kind == "outside" or route.path == "/*"] == [
        f"{__name__}:Before"
    ]


class Told:
    """An observer that keeps what it is told."""

    def __init__(self, told: list[events.Event]) -> None:
        self.observe = told.append


class TestOnce:
    """A request is judged once, however many ask."""

    @pytest.fixture
    def told(self) -> list[events.Event]:
        return []

    @pytest.mark.parametrize("path", ["/front/", "/guarded"])
    def test_each(self, build: Callable[..., Flask], told: list[events.Event], path: str) -> None:
        guard = guard_of(Issuer(), observer=Told(told))
        app = build(admin, guard=guard)
        app.add_url_rule("/guarded", "guarded", requires_auth(lambda: str(current_token.client_id)))
        for token, kind in ((mint(), events.Verified), (mint({"exp": 1}), events.Refused), (None, events.Refused)):
            guard.warm()
            told.clear()
            get(app, path, token)
            assert [type(event) for event in told] == [kind]

    def test_a_refusal_is_not_passed_on(self, build: Callable[..., Flask]) -> None:
        """What a request was refused for says nothing of another that is made of it."""
        app = build(admin)

        @app.errorhandler(401)
        def retried(error: Exception) -> Any:
            environ = {**request.environ, "HTTP_AUTHORIZATION": f"Bearer {mint()}"}
            with app.request_context(environ):
                return current_token.client_id

        assert get(app, "/view", "a.b.c").text == CLIENT


class TestPages:
    """Health checks and metadata are answered before everything else, and need no token."""

    @pytest.mark.parametrize("put", [whitenoise, closure, all_at_once])
    def test_pages(self, build: Callable[..., Flask], put: Put) -> None:
        app = build(put, healthz="/front/healthz", readyz="/readyz", resource="https://api.acme.com")
        assert get(app, "/front/healthz").json == {"status": "ok"}
        assert get(app, "/readyz").status_code == 503
        assert get(app, "/.well-known/oauth-protected-resource").json is not None
        assert "resource_metadata=" in get(app, "/view").headers["WWW-Authenticate"]
        assert get(app, "/front/healthz", method="POST").status_code == 405


class TestTheAppObject:
    """It is still the app that it was, for whoever looks at it."""

    def test_names(self, guard: Guard) -> None:
        class Mine(Flask):
            """What it says."""

        app, kind = Mine("mine"), Mine
        before = repr(app)
        KindeGuard(app, guard=guard)
        assert isinstance(app, Mine)
        assert (type(app).__name__, type(app).__qualname__) == (kind.__name__, kind.__qualname__)
        assert (type(app).__module__, type(app).__doc__) == (kind.__module__, kind.__doc__)
        assert repr(app) == before
        assert type(app).__mro__[2] is kind

    def test_a_class_is_made_once(self, guard: Guard) -> None:
        """Apps of one class stay apps of one class; what a class does when it is derived from is not done again."""
        derived = []

        class Mine(Flask):
            def __init_subclass__(cls, **kwargs: Any) -> None:
                derived.append(cls)

        one, two = Mine("one"), Mine("two")
        KindeGuard(one, guard=guard)
        KindeGuard(two, guard=guard, public=[])
        assert type(one) is type(two)
        assert derived == []

    def test_one_guard_of_two_apps(self, guard: Guard) -> None:
        """Each app has its own way, and nothing of the other's."""
        kinde = KindeGuard(guard=guard, public=["/front/"])
        one, two = Flask("one"), Flask("two")
        for app in (one, two):
            kinde.init_app(app)
        admin(one)
        assert [get(one, "/front/").status_code, get(two, "/front/").status_code] == [200, 404]
        assert [get(one, "/view").status_code, get(two, "/view").status_code] == [401, 401]

    def test_replaced_guard(self, build: Callable[..., Flask], guard: Guard) -> None:
        """Tests of an app put another guard in the place of its own: the front asks that one."""
        app = build(admin, guard=guard_of(Issuer(), audience="https://other.acme.com"))
        assert get(app, "/front/", mint()).status_code == 401
        app.extensions["kinde_guard"].guard = guard
        assert get(app, "/front/", mint()).text == "of the admin"

    def test_swapped_front(self, guard: Guard) -> None:
        """What is put in front or taken away later counts from then on."""
        app = Flask("swapped")
        own = app.wsgi_app
        KindeGuard(app, guard=guard, public=[])
        for put in (closure, admin):
            app.wsgi_app = own  # type: ignore[method-assign]
            put(app)
            assert [get(app, "/front/").status_code, get(app, "/front/", mint()).status_code] == [401, 200]

    def test_copied_contexts(self, build: Callable[..., Flask]) -> None:
        app = build(admin)

        @app.get("/copied")
        def copied() -> str:
            return copy_current_request_context(lambda: str(current_token.client_id))()

        assert get(app, "/copied", mint()).text == CLIENT

    def test_copy(self, build: Callable[..., Flask]) -> None:
        assert get(copy.copy(build(admin)), "/front/").status_code == 401

    def test_in_front_of_the_app_object(self, guard: Guard) -> None:
        """What stands around the app object is not in it: the README says so."""
        app = Flask("inside")
        KindeGuard(app, guard=guard, public=[])
        outer = Flask("outer")
        outer.wsgi_app = DispatcherMiddleware(app, {"/open": outer.wsgi_app})  # type: ignore[method-assign]
        outer.add_url_rule("/", "index", lambda: "outside")
        assert [get(outer, "/open/").text, get(outer, "/").status_code] == ["outside", 401]


class TestFailures:
    """What goes wrong on the way fails closed."""

    def test_no_keys(self, build: Callable[..., Flask]) -> None:
        issuer = Issuer()
        issuer.status = 500
        answer = get(build(admin, guard=guard_of(issuer)), "/front/", mint())
        assert (answer.status_code, answer.headers["Retry-After"].isdigit()) == (503, True)

    def test_a_front_that_makes_the_header(self, build: Callable[..., Flask]) -> None:
        """A middleware that turns a cookie into a token stands around the app, or it is not asked."""

        def from_cookie(app: Any) -> None:
            served = app.wsgi_app

            def wrapped(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
                environ["HTTP_AUTHORIZATION"] = f"Bearer {mint()}"
                return served(environ, start_response)  # type: ignore[no-any-return]

            app.wsgi_app = wrapped

        assert get(build(from_cookie), "/view").status_code == 401

    def test_a_front_that_changes_the_caller(self, build: Callable[..., Flask]) -> None:
        """What comes in is judged again by what the view gets."""

        def other(app: Any) -> None:
            served = app.wsgi_app

            def wrapped(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
                environ["HTTP_AUTHORIZATION"] = "Bearer a.b.c"
                return served(environ, start_response)  # type: ignore[no-any-return]

            app.wsgi_app = wrapped

        assert get(build(other), "/view", mint()).status_code == 401


class Wrapping:
    """Middleware of somebody's, with a name of its own for what it wraps."""

    def __init__(self, served: WSGIApplication) -> None:
        self.whatever = served

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        return self.whatever(environ, start_response)


def wrapped(served: WSGIApplication, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    return served(environ, start_response)


class TestRoutes:
    """``kinde-guard routes`` lists the views, whatever is in front of them, and that too."""

    @pytest.fixture
    def app(self) -> Flask:
        app = Flask("listed")
        app.add_url_rule("/guarded", "guarded", requires_auth(lambda: "in"))
        app.add_url_rule("/view", "view", lambda: "in")
        return app

    @staticmethod
    def seen(app: Any) -> dict[str, str]:
        return {f"{route} {route.where if route.path == '/*' else ''}".strip(): route.kind for route in routes_of(app)}

    @pytest.mark.parametrize(
        ("put", "where"),
        [
            (socketio, "flask_socketio:_SocketIOMiddleware"),
            (whitenoise, "whitenoise.base:WhiteNoise"),
            (closure, f"{__name__}:closure.<locals>.answering"),
            (proxy, "werkzeug.middleware.proxy_fix:ProxyFix"),
            (telemetry, "opentelemetry.instrumentation.flask:_rewrapped_app.<locals>._wrapped_app"),
        ],
    )
    @pytest.mark.parametrize("public", [None, [], ["/healthz"]])
    def test_in_the_app(self, app: Flask, guard: Guard, put: Put, where: str, public: list[str] | None) -> None:
        """It is outside of the guard, or behind it: then only public paths lead strangers there."""
        put(app)
        KindeGuard(app, guard=guard, public=public)
        front, other = ("outside", "unprotected") if public is None else ("protected", "protected")
        views = {"GET /guarded": "protected", "GET /view": other}
        listed = self.seen(app)
        assert listed.pop("GET /front/", None) in (None, other)
        assert listed == {f"ANY /* {where}": front, **views}
        assert [bool(route.note) for route in routes_of(app) if route.path == "/*"] == [bool(public)]

    @pytest.mark.parametrize(
        ("around", "where"),
        [
            (WhiteNoise, "whitenoise.base:WhiteNoise"),
            (ProxyFix, "werkzeug.middleware.proxy_fix:ProxyFix"),
            (OpenTelemetryMiddleware, "opentelemetry.instrumentation.wsgi:OpenTelemetryMiddleware"),
            (lambda app: python_socketio.WSGIApp(python_socketio.Server(), app), "socketio.middleware:WSGIApp"),
            (Wrapping, f"{__name__}:Wrapping"),
            (lambda app: functools.partial(wrapped, app), f"{__name__}:wrapped"),
            (
                lambda app: lambda environ, start: app(environ, start),
                f"{__name__}:TestRoutes.<lambda>.<locals>.<lambda>",
            ),
            (lambda app: Wrapping(app).__call__, f"{__name__}:Wrapping.__call__"),
        ],
    )
    def test_around_the_app(self, app: Flask, guard: Guard, around: Any, where: str) -> None:
        KindeGuard(app, guard=guard, public=[])
        expected = {"GET /guarded": "protected", "GET /view": "protected"}
        assert self.seen(around(app)) == {f"ANY /* {where}": "outside", **expected}
        assert self.seen(around(around(app)))["GET /view"] == "protected"
        assert_no_unprotected_routes(around(app))

    def test_all_at_once(self, app: Flask, guard: Guard) -> None:
        """Mounted apps are listed by what they serve; what is open in them is behind the guard as well."""
        all_at_once(app)
        inner = Flask("inner")
        inner.add_url_rule("/x", "x", lambda: "in")
        app.wsgi_app = DispatcherMiddleware(app.wsgi_app, {"/inner": inner})  # type: ignore[method-assign]
        assert self.seen(app)["GET /inner/x"] == "unprotected"
        KindeGuard(app, guard=guard, public=["/front/*"])
        listed = self.seen(app)
        assert [listed["GET /inner/x"], listed["GET /view"]] == ["protected", "protected"]
        assert sorted(name for name in listed if name.startswith("ANY")) == [
            "ANY /* flask_socketio:_SocketIOMiddleware",
            "ANY /* opentelemetry.instrumentation.flask:_rewrapped_app.<locals>._wrapped_app",
            f"ANY /* {__name__}:closure.<locals>.answering",
            "ANY /* werkzeug.middleware.proxy_fix:ProxyFix",
            "ANY /* whitenoise.base:WhiteNoise",
            "ANY /front/*",
        ]

    def test_guards_in_front(self, app: Flask, guard: Guard) -> None:
        """A guard in front is no row, and what it demands is listed with the views."""
        app.wsgi_app = GuardMiddleware(app.wsgi_app, guard, requires=scope("a"), public=["/view"])  # type: ignore[method-assign]
        KindeGuard(app, guard=guard)
        app.wsgi_app = WhiteNoise(app.wsgi_app)  # type: ignore[method-assign]
        assert self.seen(app) == {
            "ANY /* whitenoise.base:WhiteNoise": "outside",
            "GET /guarded": "protected",
            "GET /view": "public",
        }

    def test_what_calls_its_wsgi_app(self, app: Flask, guard: Guard) -> None:
        """Past the app object only the app's own check is left, and that holds."""
        closure(app)
        KindeGuard(app, guard=guard, public=[])
        served = DispatcherMiddleware(Flask.wsgi_app.__get__(app), {})
        assert self.seen(served) == {"GET /guarded": "protected", "GET /view": "protected"}
        assert Client(served).get("/view").status_code == 401

    def test_what_is_no_app(self) -> None:
        for thing in (object(), Wrapping(wrapped), functools.partial(wrapped, None), Wrapping):  # type: ignore[arg-type]
            with pytest.raises(ConfigurationError, match="is not a FastAPI, Starlette, Flask or Django app"):
                routes_of(thing)

    def test_inherited_handlers(self, app: Flask) -> None:
        """By method, as they are served."""

        class Base(MethodView):
            @requires_scope("a")
            def get(self) -> str:
                return "in"

        class Users(Base):
            def post(self) -> str:
                return "in"

        app.add_url_rule("/users", view_func=Users.as_view("users"))
        KindeGuard(app, guard=guard_of(Issuer()))
        listed = self.seen(app)
        assert [listed["GET /users"], listed["POST /users"]] == ["protected", "unprotected"]
