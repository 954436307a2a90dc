"""Flask's extensions, the real ones: Flask-CORS, RESTX, Socket.IO and Flask-Caching."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any, ClassVar

import pytest
import socketio as python_socketio  # type: ignore[import-untyped]
from flask import Blueprint, Flask, Response, request, stream_with_context
from flask.views import MethodView
from flask_caching import Cache
from flask_cors import CORS, cross_origin
from flask_socketio import Namespace, SocketIO  # type: ignore[import-untyped]
from helpers import CLIENT, M2M, Issuer, guard_of, mint
from werkzeug.serving import make_server
from werkzeug.test import TestResponse

from kinde_guard import AuthError, ConfigurationError, Guard, scope
from kinde_guard.fastapi import requires_auth as of_fastapi
from kinde_guard.flask import (
    KindeGuard,
    current_token,
    optional_token,
    requires,
    requires_auth,
    requires_org,
    requires_scope,
    token_or_none,
)
from kinde_guard.routes import routes_of
from kinde_guard.starlette import requires_auth as of_starlette
from kinde_guard.wsgi import GuardMiddleware

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # theirs
    from flask_restx import Api, Resource  # type: ignore[import-untyped]

ORIGIN = "https://app.example"
PREFLIGHT = {"Origin": ORIGIN, "Access-Control-Request-Method": "POST"}
OF_A_BROWSER = {**PREFLIGHT, "Access-Control-Request-Headers": "authorization"}


def get(app: Flask, path: str = "/", token: str | None = None, method: str = "GET", **headers: str) -> TestResponse:
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    if token is not None:
        given["Authorization"] = f"Bearer {token}"
    return app.test_client().open(path, method=method, headers=given, buffered=True)


def preflight(app: Flask, path: str = "/", **headers: str) -> TestResponse:
    return app.test_client().options(path, headers={**OF_A_BROWSER, **headers})


def caller() -> str:
    return str(current_token.client_id)


def streamed() -> Iterator[str]:
    """Whether somebody is known, both ways."""
    yield str(optional_token() is not None)
    yield str(token_or_none() is not None)


class TestCors:
    """A browser's preflights are answered and its pages can read refusals; nothing else comes of it."""

    @pytest.fixture(params=["CORS first", "guard first"])
    def build(self, request: pytest.FixtureRequest, guard: Guard) -> Callable[..., Flask]:
        def build(cors: bool = True, **options: Any) -> Flask:
            app = Flask("cors")
            if cors and request.param == "CORS first":
                CORS(app, origins=ORIGIN)
            KindeGuard(app, guard=guard, **options)
            if cors and request.param == "guard first":
                CORS(app, origins=ORIGIN)
            app.add_url_rule("/", "view", requires_auth(caller), methods=["POST", "GET"])
            app.add_url_rule("/own", "own", lambda: "done", methods=["POST", "OPTIONS"])
            return app

        return build

    @pytest.mark.parametrize("public", [None, []])
    def test_a_browser(self, build: Callable[..., Flask], public: list[str] | None) -> None:
        app = build(public=public)
        answer = preflight(app)
        assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (200, ORIGIN)
        assert answer.headers["Access-Control-Allow-Headers"] == "authorization"
        for token, status in ((None, 401), (mint({"exp": 1}), 401), (mint(), 200)):
            answer = get(app, "/", token, "POST", Origin=ORIGIN)
            assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (status, ORIGIN)

    @pytest.mark.parametrize("wrapped", [False, True])
    def test_what_is_no_preflight_of_flasks(self, build: Callable[..., Flask], wrapped: bool) -> None:
        """A view that lists OPTIONS is a view; an unknown path has no answer of Flask's; three headers are nothing."""
        app = build(public=[])
        if wrapped:
            app.wsgi_app = GuardMiddleware(app.wsgi_app, app.extensions["kinde_guard"].guard)  # type: ignore[method-assign]
        assert preflight(app, "/own").status_code == 401
        assert preflight(app, "/unknown").status_code == 401
        assert get(app, "/", None, "GET", **PREFLIGHT).status_code == 401
        assert preflight(app, "/", **{"X-HTTP-Method-Override": "POST"}).status_code == 401
        assert preflight(app, "/own", Authorization=f"Bearer {mint()}").text == "done"

    def test_no_function_of_the_app_runs_for_a_stranger(self, build: Callable[..., Flask]) -> None:
        """Not even those before a request, one of which might answer with data. After the request some do: they set
        the headers."""
        app, seen = build(public=["/open"]), []
        app.url_value_preprocessor(lambda endpoint, values: seen.append("preprocessor"))
        app.add_url_rule("/open", "open", lambda: "open")

        @app.before_request
        def answers() -> str:
            seen.append("before")
            return "data"

        answer = preflight(app)
        assert (answer.status_code, answer.data, seen) == (200, b"", [])
        assert preflight(app, "/", Authorization=f"Bearer {mint()}").text == "data"
        assert preflight(app, "/open").text == "data"

    def test_nor_one_behind_a_demand(self, build: Callable[..., Flask]) -> None:
        """A demand before each request comes before what was registered after it, for preflights as well."""
        app, seen = build(), []
        app.before_request(lambda: seen.append("ahead"))
        app.before_request(requires_auth)
        app.before_request(lambda: seen.append("behind"))
        assert (preflight(app).status_code, seen) == (200, ["ahead"])
        assert preflight(app).headers["Access-Control-Allow-Origin"] == ORIGIN

    def test_a_function_of_ones_own_that_answers(self, build: Callable[..., Flask]) -> None:
        """The opt-in is for apps that answer every preflight themselves. Decorators demand all the same."""
        app = build(cors=False, public=[], pass_preflights=True)
        app.add_url_rule("/guarded", "guarded", requires_auth(lambda: "done"), methods=["OPTIONS"])

        @app.before_request
        def answers() -> Response | None:
            mine = request.method == "OPTIONS" and request.path != "/guarded"
            return Response(headers={"Access-Control-Allow-Origin": "*"}, status=204) if mine else None

        for path in ("/", "/own", "/unknown"):
            answer = preflight(app, path)
            assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (204, "*")
        assert get(app, "/", None, "OPTIONS").status_code == 401
        assert get(app, "/own", None, "POST", **PREFLIGHT).status_code == 401
        assert preflight(app, "/guarded").status_code == 401

    def test_a_function_behind_a_demand_that_answers(self, build: Callable[..., Flask]) -> None:
        """Without the opt-in a demand before requests ends the way of every preflight, with it of none."""
        for passes, status in ((False, 401), (True, 204)):
            app = build(cors=False, pass_preflights=passes)
            app.before_request(requires_auth)
            app.before_request(lambda: Response(status=204) if request.method == "OPTIONS" else None)
            assert preflight(app, "/own").status_code == status
            assert get(app, "/own", None, "POST").status_code == 401

    def test_no_view_behind_a_demand_runs(self, build: Callable[..., Flask]) -> None:
        """If no function answers, the demands before the request are made before the view, as a decorator's is."""
        app = build(cors=False, pass_preflights=True)
        app.before_request(requires_scope("read:users"))
        assert preflight(app, "/own").status_code == 401
        assert preflight(app, "/own", Authorization=f"Bearer {mint()}").status_code == 403
        assert preflight(app, "/own", Authorization=f"Bearer {mint(base=M2M)}").text == "done"
        assert preflight(app).status_code == 200  # Flask's own answer

    def test_opt_in_is_a_bool(self) -> None:
        with pytest.raises(ConfigurationError, match="pass_preflights"):
            KindeGuard(pass_preflights="no")  # type: ignore[arg-type]

    def test_the_first_refused_preflight_says_the_mend(
        self, build: Callable[..., Flask], caplog: pytest.LogCaptureFixture
    ) -> None:
        app = build(public=[])
        with caplog.at_level(logging.WARNING, "kinde_guard"):
            preflight(app)
            get(app, "/")
            assert caplog.records == []
            for _ in range(3):
                preflight(app, "/own")
        (record,) = caplog.records
        assert "Flask-CORS" in record.getMessage()
        assert "KindeGuard(app, pass_preflights=True)" in record.getMessage()

    def test_cross_origin(self, build: Callable[..., Flask]) -> None:
        """Flask-CORS' decorator answers OPTIONS itself: above ours it is asked first, as its owner wants."""
        app = build(cors=False)
        app.add_url_rule("/above", "above", cross_origin(origins=ORIGIN)(requires_auth(lambda: "in")), methods=["POST"])
        answer = preflight(app, "/above")
        assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (200, ORIGIN)
        assert [get(app, "/above", token, "POST").status_code for token in (None, mint())] == [401, 200]


class TestCaching:
    """Whoever keeps answers above our decorator keeps none from the demand."""

    @pytest.fixture
    def cache(self, app: Flask) -> Any:
        return Cache(app, config={"CACHE_TYPE": "SimpleCache"})

    @pytest.fixture
    def app(self, guard: Guard) -> Flask:
        app = Flask("cached")
        KindeGuard(app, guard=guard)
        return app

    def test_above_a_decorator(self, app: Flask, cache: Any) -> None:
        """What the cache has kept for one caller goes to nobody who may not have it."""
        made = []

        @app.get("/<org_code>")
        @cache.cached()  # type: ignore[untyped-decorator]
        @requires_org(path="org_code")
        @requires_scope("read:users")
        def view(org_code: str) -> str:
            made.append(org_code)
            return f"of {org_code}"

        good = mint({"org_code": "org_1", "scope": "read:users"})
        assert [get(app, "/org_1", good).text for _ in range(2)] == ["of org_1"] * 2
        assert made == ["org_1"]  # the cache does work
        assert get(app, "/org_1").status_code == 401
        assert get(app, "/org_1", method="HEAD").status_code == 401
        assert get(app, "/org_1", mint({"exp": 1})).status_code == 401
        assert get(app, "/org_1", mint({"org_code": "org_1", "scope": ""})).status_code == 403
        assert get(app, "/org_1", mint({"org_code": "org_2", "scope": "read:users"})).status_code == 403

    def test_around_a_class(self, app: Flask, cache: Any) -> None:
        """Of a class-based view, whether the cache is around the class or around a method, alone or between ours."""

        def kind(around: list[Any], own: Any) -> Any:
            class Users(MethodView):
                decorators: ClassVar[list[Any]] = around

                @own  # type: ignore[untyped-decorator]
                def get(self) -> str:
                    return "users"

            return Users

        demanding = requires_scope("read:users")
        rows = {
            "class": kind([cache.cached()], demanding),
            "method": kind([], lambda method: cache.cached()(demanding(method))),
            "between": kind([cache.cached(), requires_auth], demanding),
            "below": kind([requires_auth], lambda method: cache.cached()(demanding(method))),
        }
        for name, users in rows.items():
            app.add_url_rule(f"/{name}", view_func=users.as_view(name))
        for name in rows:
            assert get(app, f"/{name}", mint(base=M2M)).text == "users", name
            assert get(app, f"/{name}").status_code == 401, name
            assert get(app, f"/{name}", mint()).status_code == 403, name

    def test_preflights_of_cached_views(self, app: Flask, cache: Any) -> None:
        app.add_url_rule("/", "view", cache.cached()(requires_auth(lambda: "in")))
        assert preflight(app).status_code == 200

    def test_options_of_a_cached_view(self, app: Flask, cache: Any) -> None:
        """A view that lists OPTIONS is served to it from the cache as well."""
        app.add_url_rule("/", "view", cache.cached()(requires_auth(lambda: "in")), methods=["GET", "OPTIONS"])
        assert get(app, "/", mint()).text == "in"
        assert preflight(app).status_code == 401

    def test_values_that_the_app_takes_away(self, app: Flask, cache: Any) -> None:
        """The demand sees what the view would see: what the app's own functions have made of the path."""

        @app.url_value_preprocessor
        def names(endpoint: str | None, values: dict[str, Any] | None) -> None:
            if values:
                values["org_code"] = f"org_{values.pop('number')}"

        app.add_url_rule("/<number>", "view", cache.cached()(requires_org(path="org_code")(lambda org_code: org_code)))
        assert get(app, "/7", mint({"org_code": "org_7"})).text == "org_7"
        assert get(app, "/7", mint({"org_code": "org_8"})).status_code == 403

    def test_without_wraps(self, app: Flask) -> None:
        """The trap that is left: a decorator above ours that hides what it wraps. The README says so."""
        kept: dict[str, Any] = {}

        def hiding(view: Callable[[], Any]) -> Callable[[], Any]:
            return lambda: kept[request.path] if request.path in kept else kept.setdefault(request.path, view())

        app.add_url_rule("/", "view", hiding(requires_auth(lambda: "kept")))
        assert get(app).status_code == 401
        assert get(app, "/", mint()).text == "kept"
        assert get(app).text == "kept"


class TestRestx:
    """Flask-RESTX (and RESTful, which it comes from) answers errors in its resources itself."""

    @pytest.fixture(params=[True, False], ids=["under tests", "in production"])
    def app(self, request: pytest.FixtureRequest, guard: Guard) -> Flask:
        app = Flask("restx")
        app.testing = request.param
        KindeGuard(app, guard=guard)
        return app

    @pytest.fixture
    def add(self, app: Flask) -> Callable[..., None]:
        api = Api(app, doc=False)

        def add(path: str, get: Callable[..., Any], **members: Any) -> None:
            api.add_resource(type(path.strip("/"), (Resource,), {"get": get, **members}), path)

        return add

    def test_refusals(self, app: Flask, add: Callable[..., None]) -> None:
        """Whoever refuses, the status and the challenge are the same, under tests and in production."""
        demand = scope("read:users")

        def by_token(self: Any) -> str:
            current_token.require(demand)
            return caller()

        def by_optional(self: Any) -> str:
            token = optional_token()
            assert token is not None
            token.require(demand)
            return caller()

        def by_core(self: Any) -> str:
            app.extensions["kinde_guard"].guard.verify("a.b.c")
            raise AssertionError("not reached")

        add("/decorated", requires(demand)(lambda self: caller()))
        add("/token", by_token)
        add("/optional", by_optional)
        add("/core", by_core)
        add("/decorators", lambda self: caller(), method_decorators=[requires(demand)])
        for path in ("/decorated", "/token", "/optional", "/decorators"):
            answer = get(app, path, mint())
            assert answer.status_code == 403, path
            assert answer.headers["WWW-Authenticate"].endswith('scope="read:users"'), path
            assert get(app, path, mint(base=M2M)).json == CLIENT, path
        assert get(app, "/core", mint()).status_code == 401
        assert get(app, "/decorated").headers["WWW-Authenticate"] == 'Bearer realm="api"'
        listed = {route.path: (route.kind, str(route.demand)) for route in routes_of(app)}
        assert listed["/decorated"] == listed["/decorators"] == ("protected", str(demand))


class TestHandlers:
    """An app's own handler for AuthError sees one kind of exception, whoever refuses."""

    @pytest.mark.parametrize("public", [None, []])
    def test_all_alike(self, guard: Guard, public: list[str] | None) -> None:
        app = Flask("handled")
        KindeGuard(app, guard=guard, public=public, resource="https://api.acme.com")

        @app.errorhandler(AuthError)
        def restyled(error: AuthError) -> Any:
            return {"why": error.reason, "was": error.body().decode()}, error.status, error.headers

        @app.get("/require")
        def require() -> str:
            current_token.require(scope("a"))
            return "in"

        @app.get("/bare")
        def bare() -> str:
            token = optional_token()
            assert token is not None
            token.require(scope("a"))
            return "in"

        blueprint = Blueprint("bp", __name__)
        blueprint.before_request(lambda: require() and None)
        blueprint.add_url_rule("/blueprint", "view", lambda: "in")
        app.register_blueprint(blueprint)
        app.add_url_rule("/decorated", "decorated", requires_scope("a")(lambda: "in"))
        answers = [get(app, path, mint()) for path in ("/require", "/bare", "/blueprint", "/decorated")]
        first = answers[0]
        assert (first.status_code, first.json and first.json["why"]) == (403, "insufficient_scope")
        assert first.headers["WWW-Authenticate"].count("resource_metadata=") == 1
        for answer in answers:
            assert (answer.status_code, answer.json, answer.headers) == (403, first.json, first.headers)


class TestWhoCalls:
    """``token_or_none()`` refuses nobody, wherever it is asked; ``optional_token()`` only while it can be answered."""

    TOKENS = pytest.mark.parametrize(
        ("header", "known"),
        [
            pytest.param("", False, id="none"),
            pytest.param("Basic YTpi", False, id="another scheme"),
            pytest.param("Bearer", False, id="no token"),
            pytest.param("expired", False, id="expired"),
            pytest.param("good", True, id="good"),
        ],
    )

    @pytest.fixture
    def app(self, guard: Guard) -> Flask:
        app = Flask("logged")
        KindeGuard(app, guard=guard, public=["/open", "/broken", "/streamed"])
        app.add_url_rule("/open", "open", lambda: "open")
        app.add_url_rule("/closed", "closed", lambda: "closed")
        app.add_url_rule("/broken", "broken", lambda: str(1 // 0))
        app.add_url_rule("/streamed", "streamed", lambda: Response(stream_with_context(streamed())))
        return app

    @staticmethod
    def headers(header: str) -> dict[str, str]:
        known = {"good": f"Bearer {mint()}", "expired": f"Bearer {mint({'exp': 1})}"}
        return {"Authorization": known.get(header, header)} if header else {}

    @TOKENS
    @pytest.mark.parametrize("ask", [optional_token, token_or_none])
    def test_after_the_request(self, app: Flask, ask: Any, header: str, known: bool) -> None:
        """A log of who called changes no answer: neither a 401 nor that of a public path."""
        seen: list[Any] = []

        @app.after_request
        def log(response: Response) -> Response:
            seen.append(ask())
            return response

        @app.teardown_request
        def teardown(error: BaseException | None) -> None:
            seen.append(ask())

        @app.errorhandler(404)
        @app.errorhandler(500)
        @app.errorhandler(401)
        def handler(error: Any) -> Any:
            seen.append(ask())
            return error.get_response()

        client = app.test_client()
        refused = 400 if header == "Bearer" else 401
        for path, status in (("/open", 200), ("/closed", 200 if known else refused), ("/broken", 500)):
            answer = client.get(path, headers=self.headers(header))
            assert answer.status_code == status, path
        assert client.get("/unknown", headers=self.headers(header)).status_code == (404 if known else refused)
        assert {token is not None for token in seen} == {known}

    @TOKENS
    def test_while_an_answer_is_streamed(self, app: Flask, header: str, known: bool) -> None:
        answer = app.test_client().get("/streamed", headers=self.headers(header))
        assert (answer.status_code, answer.text) == (200, str(known) * 2)

    @TOKENS
    def test_in_a_view(self, app: Flask, header: str, known: bool) -> None:
        app.view_functions["open"] = lambda: str(token_or_none() is not None)
        answer = app.test_client().get("/open", headers=self.headers(header))
        assert (answer.status_code, answer.text) == (200, str(known))

    def test_when_keys_are_away(self) -> None:
        issuer, app = Issuer(), Flask("down")
        issuer.status = 500
        KindeGuard(app, guard=guard_of(issuer))
        app.add_url_rule("/", "view", lambda: str(token_or_none()))
        assert get(app, "/", mint()).text == "None"

    def test_outside_a_request(self, app: Flask) -> None:
        assert token_or_none() is None
        with app.app_context():
            assert token_or_none() is None

    def test_without_a_guard(self) -> None:
        """That is nobody's doing who calls."""
        app = Flask("no_guard")
        app.testing = True
        app.add_url_rule("/", "view", lambda: str(token_or_none()))
        with pytest.raises(ConfigurationError, match="no guard is attached"):
            get(app)


class TestMethodViews:
    """Who inherits a handler inherits what it demands."""

    @pytest.fixture
    def app(self, guard: Guard) -> Flask:
        class Base(MethodView):
            @requires_scope("b")
            def get(self) -> str:
                return "base"

        class Users(Base):
            """Inherits it."""

            @requires_scope("c")
            def post(self) -> str:
                return "posted"

        app, blueprint = Flask("classes"), Blueprint("bp", __name__)
        KindeGuard(app, guard=guard, resource="https://api.acme.com")
        blueprint.before_request(requires_scope("a"))
        blueprint.add_url_rule("/", view_func=Users.as_view("users"))
        app.register_blueprint(blueprint)
        return app

    @pytest.mark.parametrize("granted", ["", "a", "b"])
    def test_challenge(self, app: Flask, granted: str) -> None:
        """It names what the blueprint and the method demand, whichever is missing, and nothing of other methods."""
        for method, names in (("GET", "a b"), ("HEAD", "a b"), ("POST", "a c")):
            answer = get(app, "/", mint({"scope": granted}), method)
            assert f'scope="{names}"' in answer.headers["WWW-Authenticate"], method

    def test_metadata(self, app: Flask) -> None:
        document = get(app, "/.well-known/oauth-protected-resource").json
        assert document is not None
        assert document["scopes_supported"] == ["a", "b", "c"]


class Listener:
    """A real client, and what it is told."""

    def __init__(self, server: Any, transport: str, token: str | None = None) -> None:
        self.refusals: list[Any] = []
        self.heard: list[Any] = []
        self.hears = threading.Event()
        self.client = python_socketio.Client(reconnection=False)
        self.client.on("connect_error", self.refusals.append)
        self.client.on("news", self.hear)
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        url = f"http://127.0.0.1:{server.server_port}"
        try:
            self.client.connect(url, headers=headers, transports=[transport], wait_timeout=20)
        except python_socketio.exceptions.ConnectionError:
            self.connected = False
        else:
            self.connected = True

    def hear(self, data: object) -> None:
        self.heard.append(data)
        self.hears.set()


class TestSocketIO:
    """A refused ``connect`` handler leaves nobody connected."""

    @pytest.fixture
    def app(self, guard: Guard) -> Flask:
        app = Flask("sockets")
        KindeGuard(app, guard=guard)
        return app

    @pytest.fixture
    def sockets(self, app: Flask) -> Any:
        return SocketIO(app, async_mode="threading", ping_interval=0.5)  # what a poll waits for, at most

    @pytest.fixture
    def serve(self, app: Flask) -> Iterator[Callable[..., Listener]]:
        """Serves the app for real; gives what connects a client to it."""
        listeners: list[Listener] = []
        logging.getLogger("werkzeug").disabled = True
        server = make_server("127.0.0.1", 0, app, threaded=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()

        def connect(transport: str, token: str | None = None) -> Listener:
            listeners.append(Listener(server, transport, token))
            return listeners[-1]

        yield connect
        for listener in listeners:
            listener.client.shutdown()
        server.shutdown()
        thread.join()
        server.server_close()
        logging.getLogger("werkzeug").disabled = False

    @pytest.mark.parametrize("transport", ["polling", "websocket"])
    @pytest.mark.parametrize("handles_errors", [False, True])
    def test_connect(self, sockets: Any, serve: Callable[..., Listener], transport: str, handles_errors: bool) -> None:
        """The stranger hears why, and nothing else; the caller hears what is sent to all."""
        if handles_errors:  # what such a handler returns would count as consent
            sockets.on_error_default(lambda error: None)

        @sockets.on("connect")  # type: ignore[untyped-decorator]
        @requires_auth
        def connect() -> None:
            assert current_token.client_id == CLIENT

        stranger, friend = serve(transport), serve(transport, mint())
        assert [stranger.connected, friend.connected] == [False, True]
        assert stranger.refusals[0] == {
            "message": "This resource needs an access token.",
            "data": {
                "title": "Unauthorized",
                "status": 401,
                "detail": "This resource needs an access token.",
                "error": "missing_token",
            },
        }
        assert len(list(sockets.server.manager.get_participants("/", None))) == 1
        sockets.emit("news", "for callers")
        assert friend.hears.wait(20)
        assert stranger.heard == []

    @pytest.mark.parametrize(
        "handler",
        [
            pytest.param(requires_scope("read:users")(lambda: None), id="decorator"),
            pytest.param(lambda: current_token.require(scope("read:users")), id="require"),
            pytest.param(lambda: current_token.subject and None, id="current_token"),
            pytest.param(lambda: optional_token() and None, id="optional_token"),
        ],
    )
    def test_however_it_is_refused(self, sockets: Any, serve: Callable[..., Listener], handler: Any) -> None:
        sockets.on_event("connect", handler)
        stranger = serve("polling", mint({"exp": 1}))
        assert (stranger.connected, stranger.refusals[0]["data"]["error"]) == (False, "invalid_token")
        assert serve("polling", mint({"scope": "read:users"})).connected
        assert len(list(sockets.server.manager.get_participants("/", None))) == 1

    def test_namespace(self, sockets: Any, serve: Callable[..., Listener]) -> None:
        class Root(Namespace):  # type: ignore[misc]
            @requires_auth
            def on_connect(self, auth: object = None) -> None:
                assert current_token.client_id == CLIENT

        sockets.on_namespace(Root("/"))
        assert [serve("polling").connected, serve("polling", mint()).connected] == [False, True]
        assert len(list(sockets.server.manager.get_participants("/", None))) == 1

    def test_keys_are_away(self, app: Flask, sockets: Any, serve: Callable[..., Listener]) -> None:
        issuer = Issuer()
        issuer.status = 500
        app.extensions["kinde_guard"].guard = guard_of(issuer)
        sockets.on_event("connect", requires_auth(lambda: None))
        stranger = serve("polling", mint())
        assert (stranger.connected, stranger.refusals[0]["data"]["error"]) == (False, "keys_unavailable")

    @pytest.mark.parametrize("app", [Flask("no_guard")])
    def test_no_guard(self, app: Flask, sockets: Any, serve: Callable[..., Listener]) -> None:
        """A guard that was forgotten lets nobody in either."""
        sockets.on_event("connect", requires_auth(lambda: None))
        stranger = serve("polling", mint())
        assert (stranger.connected, stranger.refusals[0]) == (False, {"message": "The server is not set up for this."})

    def test_other_events(self, app: Flask, sockets: Any) -> None:
        """There a refusal is an error as ever: the app's handler for errors is told, and the connection stays."""
        seen: list[Exception] = []
        sockets.on_error_default(seen.append)
        sockets.on_event("message", requires_scope("read:users")(lambda data: "in"))
        client = sockets.test_client(app, headers={"Authorization": f"Bearer {mint()}"})
        client.emit("message", "hello")
        assert [type(error).__name__ for error in seen] == ["InsufficientScope"]
        assert client.is_connected()

    def test_above_the_decorator_of_the_event(self, app: Flask, sockets: Any, serve: Callable[..., Listener]) -> None:
        """There nothing of ours runs, so nobody is served, by whatever way."""
        requires_auth(sockets.on("connect")(lambda: None))
        assert not serve("polling", mint()).connected
        assert get(app, "/").status_code == 500
        app.testing = True
        with pytest.raises(ConfigurationError, match=r"'connect' is not enforced.*below the decorator of the event"):
            get(app, "/")

    @pytest.mark.parametrize("context", ["none", "an app's"])
    def test_without_flask(self, app: Flask, context: str) -> None:
        """In a server of python-socketio's alone there is no request of Flask's: whoever connects is refused."""
        connect: Any = requires_auth(lambda sid, environ: None)
        around = nullcontext() if context == "none" else app.app_context()
        with around, pytest.raises(python_socketio.exceptions.ConnectionRefusedError) as caught:
            connect("sid", {})
        assert isinstance(caught.value, ConfigurationError)

    def test_without_socketio(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Nothing is imported for it."""
        monkeypatch.delitem(sys.modules, "socketio.exceptions")
        with pytest.raises(ConfigurationError) as caught:
            requires_auth(lambda: None)()
        assert type(caught.value) is ConfigurationError

    def test_without_starlette_and_fastapi(self) -> None:
        """The same with the decorators of other frameworks, which know no handlers of Socket.IO."""

        async def connect(sid: str, environ: Any) -> None:
            raise AssertionError("not reached")

        for decorated in (of_starlette(connect), of_fastapi(connect)):
            with pytest.raises(python_socketio.exceptions.ConnectionRefusedError) as caught:
                asyncio.run(decorated("sid", {}))
            assert isinstance(caught.value, ConfigurationError)
