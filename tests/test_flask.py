"""The Flask adapter. What every adapter answers alike is in ``test_refusals.py``; here is what is Flask's own."""

from __future__ import annotations

import copy
import io
import json
import logging
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
from flask import Blueprint, Flask, Response, abort, g, jsonify, request, stream_with_context
from flask.typing import ResponseReturnValue
from flask.views import MethodView, View
from helpers import AUDIENCE, CLIENT, DOMAIN, M2M, USER, Issuer, Time, guard_of, mint
from werkzeug.exceptions import HTTPException, Unauthorized
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.test import TestResponse

from kinde_guard import (
    AccessToken,
    AuthError,
    ConfigurationError,
    Guard,
    InsufficientScope,
    KeysUnavailable,
    KindeGuardError,
    MissingToken,
    Requirement,
    machine,
    org,
    permission,
    scope,
)
from kinde_guard.flask import (
    KindeGuard,
    current_token,
    optional_token,
    requires,
    requires_auth,
    requires_org,
    requires_permission,
    requires_role,
    requires_scope,
)
from kinde_guard.web import decorators as demands
from kinde_guard.wsgi import GuardMiddleware

PREFLIGHT = {"Origin": "https://app.example", "Access-Control-Request-Method": "POST"}
BARE = 'Bearer realm="api"'


@pytest.fixture
def app(guard: Guard) -> Flask:
    app = Flask("an_app")
    KindeGuard(app, guard=guard)
    return app


def caller() -> str:
    """Views that demand something are made of it; those that demand nothing call it, for a function that was guarded
    somewhere must not be served bare."""
    return str(current_token.client_id)


def serve(place: Flask | Blueprint, path: str, view: Callable[..., Any], *methods: str) -> None:
    """A view without a name of its own."""
    place.add_url_rule(path, f"{methods} {path}", view, methods=methods or ("GET",))


def get(app: Flask, path: str = "/", token: str | None = None, method: str = "GET", **options: Any) -> TestResponse:
    headers = dict(options.pop("headers", {}))
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    return app.test_client().open(path, method=method, headers=headers, **options)


def challenge(answer: TestResponse) -> str:
    return answer.headers.get("WWW-Authenticate", "")


class TestViews:
    """Where a demand can be written."""

    def test_def(self, app: Flask) -> None:
        @app.get("/<int:number>")
        @requires_scope("read:users")
        def view(number: int) -> str:
            """Its docstring."""
            return f"{number} {current_token.client_id}"

        assert get(app, "/7").status_code == 401
        assert get(app, "/7", mint()).status_code == 403
        assert get(app, "/7", mint(base=M2M)).text == f"7 {CLIENT}"
        assert (view.__name__, view.__doc__) == ("view", "Its docstring.")

    def test_async_def(self, app: Flask) -> None:
        @app.get("/")
        @requires_scope("read:users")
        async def view() -> str:
            return caller()

        assert get(app).status_code == 401
        assert get(app, token=mint(base=M2M)).text == CLIENT

    def test_async_def_goes_through_the_apps_ensure_sync(self, guard: Guard) -> None:
        """An app that runs coroutines in a way of its own runs guarded ones in that way too."""

        class Own(Flask):
            def async_to_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
                return lambda *args, **kwargs: f"own way: {func.__name__}"

        app = Own("own")
        KindeGuard(app, guard=guard)

        @app.get("/")
        @requires_auth
        async def view() -> str:
            return "not this way"

        assert get(app, token=mint()).text == "own way: view"

    def test_stack(self, app: Flask) -> None:
        """A stack is one requirement: its challenge names the scopes of all, whichever is missing."""

        @app.get("/")
        @requires_scope("a")
        @requires_permission("view:stats")
        @requires_scope("b")
        async def view() -> str:
            return caller()

        for granted in ("", "a", "b"):
            answer = get(app, token=mint({"scope": granted}))
            assert (answer.status_code, challenge(answer)[-11:]) == (403, 'scope="a b"')
        answer = get(app, token=mint({"scope": "a b", "permissions": []}))
        assert (answer.status_code, "scope=" in challenge(answer)) == (403, False)
        assert get(app, token=mint({"scope": "a b"})).text == CLIENT

    def test_decorator_of_ones_own_in_between(self, app: Flask) -> None:
        def shouting(view: Callable[[], str]) -> Callable[[], str]:
            return lambda: view().upper()

        def quiet() -> str:
            return "quiet"

        app.add_url_rule("/", view_func=requires_scope("a")(shouting(requires_scope("b")(quiet))))
        assert get(app, token=mint({"scope": "a"})).status_code == 403
        assert get(app, token=mint({"scope": "b"})).status_code == 403
        assert get(app, token=mint({"scope": "a b"})).text == "QUIET"

    def test_method_view(self, app: Flask) -> None:
        class Users(MethodView):
            decorators: ClassVar[list[Callable[..., Any]]] = [requires_scope("read:users")]

            def get(self) -> str:
                return caller()

            @requires_scope("delete:users")
            def delete(self) -> str:
                return "deleted"

        app.add_url_rule("/", view_func=Users.as_view("users"))
        assert get(app).status_code == 401
        assert get(app, token=mint(base=M2M)).text == CLIENT
        answer = get(app, token=mint(base=M2M), method="DELETE")
        assert challenge(answer).endswith('scope="read:users delete:users"')
        both = mint({"scope": "read:users delete:users"})
        assert get(app, token=both, method="DELETE").text == "deleted"

    def test_callables_that_are_no_functions(self, app: Flask) -> None:
        class Instance:
            def __call__(self) -> str:
                return caller()

            def method(self) -> str:
                return caller()

        app.add_url_rule("/instance", "instance", requires_auth(Instance()))
        app.add_url_rule("/method", "method", requires_auth(Instance().method))
        for path in ("/instance", "/method"):
            assert get(app, path).status_code == 401
            assert get(app, path, mint()).text == CLIENT

    def test_blueprint(self, app: Flask) -> None:
        """A demand on a blueprint holds for what is nested in it, and adds to what views demand; all scopes of a route
        are in the challenge, whichever demand has failed."""
        outer, inner = Blueprint("outer", __name__), Blueprint("inner", __name__)
        outer.before_request(requires_scope("a"))
        inner.before_request(requires_scope("b"))
        serve(inner, "/view", requires_scope("c")(caller))
        outer.register_blueprint(inner, url_prefix="/inner")
        app.register_blueprint(outer, url_prefix="/outer")
        serve(app, "/elsewhere", lambda: "open")
        assert get(app, "/outer/inner/view").status_code == 401
        for granted in ("", "a", "a b", "b c", "c"):
            answer = get(app, "/outer/inner/view", mint({"scope": granted}))
            assert challenge(answer).endswith('scope="a b c"'), granted
        assert get(app, "/outer/inner/view", mint({"scope": "a b c"})).text == CLIENT
        assert get(app, "/elsewhere").text == "open"

    def test_app_wide(self, app: Flask) -> None:
        """``app.before_request(requires_auth)`` guards unknown paths and static files as well."""
        app.before_request(requires_auth)
        serve(app, "/", lambda: caller())
        for path in ("/", "/unknown", "/static/app.js"):
            assert get(app, path).status_code == 401
        assert get(app, "/", mint()).text == CLIENT
        assert get(app, "/unknown", mint()).status_code == 404

    def test_streaming(self, app: Flask) -> None:
        """The token is there for as long as the answer is being made."""

        @app.get("/")
        @requires_auth
        def view() -> Response:
            return Response(stream_with_context(caller() for _ in range(2)))

        assert get(app, token=mint()).text == CLIENT * 2


ROWS: list[tuple[Any, dict[str, Any], int]] = [
    (requires_auth, {}, 200),
    (requires_scope("read", "write"), {"scope": "write read"}, 200),
    (requires_scope("read", "write"), {"scope": "read"}, 403),
    (requires_permission("view:stats"), {}, 200),
    (requires_permission("edit:stats"), {}, 403),
    (requires_role("admin"), {"roles": [{"key": "admin"}]}, 200),
    (requires_role("admin"), {}, 403),
    (requires_org("org_1"), {"org_code": "org_1"}, 200),
    (requires_org("org_1"), {"org_code": "org_2"}, 403),
    (requires_org(path="code"), {"org_code": "org_9"}, 200),
    (requires_org(path="code"), {"org_code": "org_2"}, 403),
    (requires_org(path="code"), {"org_code": None}, 403),
    (requires(machine), {}, 403),
    (requires(machine | org("org_1")), {"org_code": "org_1"}, 200),
]


@pytest.mark.parametrize(("decorator", "claims", "status"), ROWS)
def test_demand(app: Flask, decorator: Any, claims: dict[str, Any], status: int) -> None:
    """Each decorator, on a view and on a blueprint."""
    serve(app, "/view/<code>", decorator(lambda code: caller()))
    blueprint = Blueprint("of", __name__)
    blueprint.before_request(decorator)
    serve(blueprint, "/blueprint/<code>", lambda code: caller())
    app.register_blueprint(blueprint)
    for path in ("/view/org_9", "/blueprint/org_9"):
        assert get(app, path).status_code == 401
        assert get(app, path, mint(claims)).status_code == status


class TestMistakes:
    """What is written wrongly fails closed, and says so."""

    @pytest.mark.parametrize(
        ("write", "words"),
        [
            pytest.param(lambda: requires_scope(caller), "in parentheses", id="scope without parentheses"),  # type: ignore[arg-type]
            pytest.param(lambda: requires_scope(), "name", id="no scope"),
            pytest.param(lambda: requires_scope("a b"), "one scope", id="two scopes in one"),
            pytest.param(lambda: requires_permission(), "name", id="no permission"),
            pytest.param(lambda: requires_org(caller), "in parentheses", id="org without parentheses"),  # type: ignore[arg-type]
            pytest.param(lambda: requires_org(), "org_123", id="no org"),
            pytest.param(lambda: requires("read:users"), "scope", id="text"),  # type: ignore[arg-type]
            pytest.param(lambda: requires_auth(), "without parentheses", id="auth with parentheses"),
            pytest.param(lambda: requires_scope("a")(View), "class", id="on a class"),
            pytest.param(lambda: requires_scope("a")("view"), "function", id="on text"),  # type: ignore[call-overload]
        ],
    )
    def test_at_import(self, write: Callable[[], object], words: str) -> None:
        with pytest.raises(ConfigurationError, match=words):
            write()

    def test_above_the_route(self, app: Flask) -> None:
        """There the route holds the bare view, and nothing of ours runs: no request is served, of whatever view."""

        @requires_scope("a")
        @app.get("/users")
        def users() -> str:
            return "open"

        serve(app, "/", lambda: "another view")
        for path in ("/users", "/", "/unknown", "/users"):
            assert get(app, path, mint({"scope": "a"})).status_code == 500
        app.testing = True
        with pytest.raises(ConfigurationError, match=r"'users' .* below the route decorator"):
            get(app)

    def test_open_here_and_guarded_there(self, app: Flask) -> None:
        """One function in two routes might be a mistake: the sentence says how to say that it is none."""

        def both() -> str:
            return "open"

        serve(app, "/open", both)
        serve(app, "/guarded", requires_auth(both))
        assert get(app, "/open").status_code == 500
        app.testing = True
        with pytest.raises(ConfigurationError, match=r"at '/open' is not enforced: .*give it its own function"):
            get(app)

    def test_above_and_below_the_route(self, app: Flask) -> None:
        """What the decorator above demands would not be asked, whatever the one below does."""

        @requires_scope("write:flags")
        @app.get("/users")
        @requires_scope("read:users")
        def users() -> str:
            return "half open"

        assert get(app, "/users", mint({"scope": "read:users"})).status_code == 500

    def test_above_the_route_of_a_blueprint(self, app: Flask) -> None:
        blueprint = Blueprint("bp", __name__)

        @requires_auth
        @blueprint.get("/users")
        async def users() -> str:
            return "open"

        app.register_blueprint(blueprint)
        assert get(app, "/users", mint()).status_code == 500

    def test_no_guard(self) -> None:
        """A demand in an app without a guard is nobody's way in."""
        app = Flask("no_guard")
        serve(app, "/", requires_auth(lambda: "open"))
        assert get(app, token=mint()).status_code == 500
        app.testing = True
        with pytest.raises(ConfigurationError, match=r"no guard is attached to the app 'no_guard'.*KindeGuard\(app\)"):
            get(app, token=mint())

    def test_second_guard(self, app: Flask, guard: Guard) -> None:
        with pytest.raises(ConfigurationError, match="'an_app' has a KindeGuard already"):
            KindeGuard(app, guard=guard)

    def test_guard_and_settings(self, guard: Guard) -> None:
        with pytest.raises(ConfigurationError, match="leeway"):
            KindeGuard(guard=guard, leeway=10)

    def test_no_app(self, guard: Guard) -> None:
        with pytest.raises(ConfigurationError, match="is not a Flask app"):
            KindeGuard(guard)  # type: ignore[arg-type]

    def test_misspelt_setting(self) -> None:
        with pytest.raises(ConfigurationError, match=r"KindeGuard has no setting 'leway': did you mean leeway\?"):
            KindeGuard(leway=10)  # type: ignore[call-arg]

    def test_public_is_checked_at_once(self) -> None:
        with pytest.raises(ConfigurationError, match="list of paths"):
            KindeGuard(public="/healthz")

    def test_after_the_first_request(self, guard: Guard) -> None:
        """Flask does not take what would change the app while it serves."""
        app = Flask("late")
        get(app)
        with pytest.raises(AssertionError, match="setup method"):
            KindeGuard(app, guard=guard)

    def test_no_such_path_parameter(self, app: Flask) -> None:
        serve(app, "/<org>", requires_org(path="org_code")(lambda org: "open"))
        assert get(app, "/org_1", mint({"org_code": "org_1"})).status_code == 500

    def test_token_as_answer(self, app: Flask) -> None:
        """A view that returns the token publishes none of its claims."""
        serve(app, "/proxy", requires_auth(lambda: current_token))
        serve(app, "/token", requires_auth(lambda: copy.copy(current_token)))
        serve(app, "/json", requires_auth(lambda: jsonify(current_token)))
        # The proxy passes for an iterator, and is none: when it is asked, the request is over. 3.14 says RuntimeError.
        with pytest.raises((TypeError, RuntimeError)):
            get(app, "/proxy", mint())
        for path in ("/token", "/json"):
            answer = get(app, path, mint())
            assert (answer.status_code, CLIENT in answer.text) == (500, False)

    def test_without_flask(self) -> None:
        """One sentence says what to install."""
        code = "import sys; sys.modules['flask'] = None; import kinde_guard.flask"
        run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert run.stderr.splitlines()[-1] == (
            "ImportError: kinde_guard.flask needs Flask: pip install 'kinde-guard[flask]'"
        )


class TestToken:
    """current_token and optional_token()."""

    def test_on_a_view_that_demands_nothing(self, app: Flask) -> None:
        """Who forgets the decorator and uses the token is guarded all the same."""
        serve(app, "/", lambda: caller())
        answer = get(app)
        assert (answer.status_code, challenge(answer)) == (401, BARE)
        assert get(app, token=mint({"exp": 1})).status_code == 401
        assert get(app, token=mint()).text == CLIENT

    def test_outside_a_request(self, app: Flask) -> None:
        for ask in (caller, optional_token):
            with pytest.raises(RuntimeError, match="of a request"):
                ask()
            with app.app_context(), pytest.raises(RuntimeError, match="of a request"):
                ask()

    def test_is_an_access_token(self, app: Flask, guard: Guard) -> None:
        with app.test_request_context(headers={"Authorization": f"Bearer {mint()}"}):
            assert isinstance(current_token, AccessToken)
            assert current_token.scopes == guard.verify(mint()).scopes

    def test_require_in_a_view(self, app: Flask) -> None:
        """``token.require(…)`` ends as the same 403 as a decorator."""
        serve(app, "/decorated", requires_scope("a")(lambda: "in"))

        @app.get("/required")
        def required() -> str:
            current_token.require(scope("a"))
            return "in"

        by_decorator, by_token = get(app, "/decorated", mint()), get(app, "/required", mint())
        assert (by_token.status_code, by_token.data) == (403, by_decorator.data)
        assert by_token.headers == by_decorator.headers

    @pytest.mark.parametrize(
        ("header", "status", "text"),
        [
            pytest.param(None, 200, "None", id="no header"),
            pytest.param("Basic YTpi", 200, "None", id="another scheme"),
            pytest.param("good", 200, CLIENT, id="good"),
            pytest.param("Bearer a.b.c", 401, "", id="bad"),
            pytest.param("Bearer", 400, "", id="not one token"),
        ],
    )
    def test_optional(self, app: Flask, header: str | None, status: int, text: str) -> None:
        """No credentials are ``None``, bad ones a refusal."""

        @app.get("/")
        def view() -> str:
            token = optional_token()
            return str(None if token is None else token.client_id)

        headers = {} if header is None else {"Authorization": header.replace("good", f"Bearer {mint()}")}
        answer = get(app, headers=headers)
        assert answer.status_code == status
        assert text in answer.text

    def test_optional_when_keys_are_away(self) -> None:
        """Whether the token is good cannot be told: that is no anonymous caller."""
        issuer, app = Issuer(), Flask("down")
        issuer.status = 500
        KindeGuard(app, guard=guard_of(issuer))
        serve(app, "/", lambda: str(optional_token()))
        answer = get(app, token=mint())
        assert (answer.status_code, answer.headers["Retry-After"].isdigit()) == (503, True)

    @pytest.mark.parametrize("surrounding", ["an app context", "a request context"])
    def test_does_not_outlive_its_request(self, app: Flask, guard: Guard, surrounding: str) -> None:
        """Inside a context that a test or a command holds open, a request without a token is without one."""
        serve(app, "/", requires_auth(caller))
        held = app.app_context() if surrounding == "an app context" else app.test_request_context()
        with held:
            assert get(app, token=mint()).text == CLIENT
            assert get(app).status_code == 401
            assert get(app, token=mint({"azp": "another"})).text == "another"
            assert not [name for name in g if "kinde" in name]

    def test_request_within_a_request(self, app: Flask) -> None:
        """A view that asks its own app asks as whom it says, and stays who it is."""
        serve(app, "/inner", requires_auth(caller))

        @app.get("/")
        @requires_auth
        def outer() -> list[str]:
            environ = dict(request.environ)
            with app.request_context({**environ, "HTTP_AUTHORIZATION": f"Bearer {mint({'azp': 'another'})}"}):
                copied = caller()
            return [get(app, "/inner").status, copied, caller()]

        assert get(app, token=mint()).json == ["401 UNAUTHORIZED", "another", CLIENT]


@dataclass
class Counting:
    """A guard that counts what it verifies."""

    guard: Guard
    verified: int = 0

    def recognise(self, values: list[str]) -> AccessToken | None:
        return None  # so that each look at a token is counted

    def authenticate(self, values: list[str]) -> AccessToken:
        self.verified += 1
        return self.guard.authenticate(values)

    def demand(self, token: AccessToken, requirement: Requirement) -> None:
        self.guard.demand(token, requirement)


class TestGuards:
    """Which guard, and how often."""

    def test_verified_once(self, guard: Guard) -> None:
        """However many ask, one guard verifies one request once, a middleware in front included."""
        app, counting = Flask("counted"), Counting(guard)
        KindeGuard(app, guard=counting, public=[])  # type: ignore[arg-type]  # its methods are all that is used
        app.wsgi_app = GuardMiddleware(app.wsgi_app, counting)  # type: ignore[method-assign, arg-type]
        app.before_request(requires_scope("read:users"))

        @app.get("/")
        @requires_auth
        @requires_scope("write:flags")
        def view() -> str:
            return f"{current_token.client_id} {optional_token()}"

        assert get(app, token=mint(base=M2M)).status_code == 200
        assert counting.verified == 1

    def test_another_guard_in_front(self, app: Flask) -> None:
        """What a middleware's guard has let in has yet to satisfy the app's."""
        serve(app, "/", requires_auth(caller))
        other = guard_of(Issuer(), audience="https://other.acme.com")
        app.wsgi_app = GuardMiddleware(app.wsgi_app, other)  # type: ignore[method-assign]
        assert get(app, token=mint({"aud": "https://other.acme.com"})).status_code == 401
        assert get(app, token=mint()).status_code == 401
        assert get(app, token=mint({"aud": [AUDIENCE, "https://other.acme.com"]})).text == CLIENT

    def test_several_apps(self, guard: Guard) -> None:
        """Apps in one process, one mounted in the other, have a guard each; a view may be shared."""
        outer, inner = Flask("outer"), Flask("inner")
        KindeGuard(outer, guard=guard)
        KindeGuard(inner, guard=guard_of(Issuer(), audience="https://inner.acme.com"))
        shared = requires_auth(caller)
        serve(outer, "/", shared)
        serve(inner, "/", shared)
        outer.wsgi_app = DispatcherMiddleware(outer.wsgi_app, {"/inner": inner})  # type: ignore[method-assign]
        of_inner = mint({"aud": "https://inner.acme.com"})
        assert [get(outer, "/", mint()).status_code, get(outer, "/inner/", mint()).status_code] == [200, 401]
        assert [get(outer, "/", of_inner).status_code, get(outer, "/inner/", of_inner).status_code] == [401, 200]

    def test_config_comes_before_the_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Arguments, then ``app.config``, then the environment; of each app its own."""
        monkeypatch.setenv("KINDE_DOMAIN", "environment.kinde.com")
        monkeypatch.setenv("KINDE_AUDIENCE", "https://environment")
        kinde, one, two, three = KindeGuard(), Flask("one"), Flask("two"), Flask("three")
        one.config["KINDE_DOMAIN"] = "config.kinde.com"
        two.config["KINDE_AUDIENCE"] = ["https://config"]
        kinde.init_app(one)
        kinde.init_app(two)
        KindeGuard(three, domain="argument.kinde.com")
        assert [repr(app.extensions["kinde_guard"].guard) for app in (one, two, three)] == [
            "<Guard of https://config.kinde.com for https://environment>",
            "<Guard of https://environment.kinde.com for https://config>",
            "<Guard of https://argument.kinde.com for https://environment>",
        ]
        with one.app_context():
            assert "config.kinde.com" in repr(kinde.guard)
        with three.app_context():
            assert "environment.kinde.com" in repr(kinde.guard)

    def test_settings_are_read_by_init_app(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Missing ones are named there, and leave the app as it was."""
        monkeypatch.delenv("KINDE_DOMAIN", raising=False)
        kinde, app = KindeGuard(), Flask("no_settings")
        with pytest.raises(ConfigurationError, match="KINDE_DOMAIN"):
            kinde.init_app(app)
        with pytest.raises(ConfigurationError, match="init_app"):
            kinde.guard.warm()
        app.config.update(KINDE_DOMAIN=DOMAIN, KINDE_AUDIENCE=AUDIENCE)
        kinde.init_app(app)
        assert DOMAIN in repr(kinde.guard)

    def test_settings_reach_the_guard(self) -> None:
        app = Flask("settings")
        KindeGuard(app, domain=DOMAIN, audience=AUDIENCE, transport=Issuer().transport, clocks=Time().clocks)
        serve(app, "/", requires_auth(caller))
        assert get(app, token=mint()).text == CLIENT

    def test_can_be_replaced(self, guard: Guard) -> None:
        """Tests of an app put another guard in the place of its own."""
        app = Flask("replaced")
        kinde = KindeGuard(app, guard=guard_of(Issuer(), audience="https://other.acme.com"))
        serve(app, "/", requires_auth(caller))
        assert get(app, token=mint()).status_code == 401
        kinde.guard = guard
        assert get(app, token=mint()).text == CLIENT
        assert app.extensions["kinde_guard"].guard is guard


class TestPublic:
    """With ``public=``, whatever is not named demands a token."""

    @pytest.fixture
    def app(self, guard: Guard) -> Flask:
        app = Flask("denies")
        KindeGuard(app, guard=guard, public=["/healthz", "/files/*"])
        serve(app, "/healthz", lambda: "healthy")
        serve(app, "/files/<path:name>", lambda name: name)
        serve(app, "/folder/", lambda: "folder")
        serve(app, "/users", lambda: request.get_data(as_text=True) or "users", "GET", "POST")
        return app

    @pytest.mark.parametrize(
        ("path", "without", "with_token"),
        [
            ("/healthz", 200, 200),
            ("/files/a/b", 200, 200),
            ("/users", 401, 200),
            ("/folder", 401, 308),
            ("/unknown", 401, 404),
            ("/static/unknown.js", 401, 404),
            ("/files/a/../b", 401, 200),
            ("/files/a%2f..%2fb", 401, 200),
            ("//healthz", 401, 200),
            ("/files/unknown", 200, 200),
        ],
    )
    def test_paths(self, app: Flask, path: str, without: int, with_token: int) -> None:
        """Unknown paths, static files and redirects included: a stranger learns nothing about the app."""
        environ = {"PATH_INFO": path.replace("%2f", "/")}  # the client would tidy it up
        assert get(app, environ_overrides=environ).status_code == without
        assert get(app, token=mint(), environ_overrides=environ).status_code == with_token

    def test_method_that_is_not_allowed(self, app: Flask) -> None:
        assert get(app, "/users", method="DELETE").status_code == 401
        assert get(app, "/users", mint(), method="DELETE").status_code == 405

    def test_empty_list(self, guard: Guard) -> None:
        app = Flask("all")
        KindeGuard(app, guard=guard, public=[])
        serve(app, "/", lambda: "in")
        assert [get(app).status_code, get(app, token=mint()).status_code] == [401, 200]

    def test_a_demand_on_a_public_path_holds(self, app: Flask) -> None:
        serve(app, "/files/secret", requires_scope("read:users")(caller))
        assert get(app, "/files/secret").status_code == 401
        assert get(app, "/files/secret", mint()).status_code == 403

    def test_ahead_of_everything_else(self, guard: Guard) -> None:
        """Refused before the app's own functions run, those included that were registered earlier, and before the body
        is read."""
        app, seen = Flask("ahead"), []
        app.url_value_preprocessor(lambda endpoint, values: seen.append("preprocessor"))

        @app.before_request
        def before() -> None:
            seen.append(request.get_data(as_text=True))

        KindeGuard(app, guard=guard, public=[])
        serve(app, "/", lambda: "in", "POST")
        assert get(app, method="POST", data="body").status_code == 401
        assert seen == []
        assert get(app, token=mint(), method="POST", data="body").status_code == 200
        assert seen == ["preprocessor", "body"]

    @pytest.mark.parametrize("public", [None, []])
    def test_a_refused_body_is_not_read(self, guard: Guard, public: list[str] | None) -> None:
        """Neither by the guard nor on the way out: it is still on its way."""

        class Unread(io.BytesIO):
            def read(self, size: int | None = -1, /) -> bytes:
                raise AssertionError("the body was read")

        app = Flask("unread")
        KindeGuard(app, guard=guard, public=public)
        serve(app, "/", requires_scope("read:users")(caller), "POST")
        for token, status in ((None, 401), ("forged", 401), (mint(), 403)):
            answer = get(app, token=token, method="POST", input_stream=Unread(b"{}"), content_type="application/json")
            assert answer.status_code == status

    def test_shows_what_is_public(self, app: Flask) -> None:
        assert app.extensions["kinde_guard"].public.patterns == ("/healthz", "/files/*")


class TestPreflight:
    """CORS preflights carry no token."""

    @pytest.mark.parametrize("public", [None, []])
    def test_of_a_guarded_view(self, guard: Guard, public: list[str] | None) -> None:
        """Flask answers it, and the view is not run."""
        app, ran = Flask("decorated"), []
        KindeGuard(app, guard=guard, public=public)

        @requires_auth
        def view() -> str:
            ran.append("view")
            return "in"

        serve(app, "/", view, "POST")
        answer = get(app, method="OPTIONS", headers=PREFLIGHT)
        assert (answer.status_code, answer.allow, ran) == (200, {"OPTIONS", "POST"}, [])
        assert get(app, token=mint(), method="POST").text == "in"
        assert ran == ["view"]

    @pytest.mark.parametrize("public", [None, []])
    def test_of_a_guarded_app(self, guard: Guard, public: list[str] | None) -> None:
        """What Flask answers by itself passes, if it is genuine; nothing that resembles it."""
        app = Flask("preflights")
        KindeGuard(app, guard=guard, public=public)
        app.before_request(requires_scope("read:users"))
        serve(app, "/", lambda: "in", "POST")
        answer = get(app, method="OPTIONS", headers=PREFLIGHT)
        assert (answer.status_code, answer.allow) == (200, {"OPTIONS", "POST"})
        assert get(app, method="OPTIONS").status_code == 401
        assert get(app, method="OPTIONS", headers={"Origin": "https://app.example"}).status_code == 401
        assert get(app, method="POST", headers=PREFLIGHT).status_code == 401
        assert get(app, "/unknown", method="OPTIONS", headers=PREFLIGHT).status_code == 401

    @pytest.mark.parametrize("public", [None, []])
    def test_view_of_ones_own_for_options(self, guard: Guard, public: list[str] | None) -> None:
        """Whatever a view does for OPTIONS, forged preflights do not reach it."""
        app = Flask("own_options")
        KindeGuard(app, guard=guard, public=public)
        app.before_request(requires_auth)
        serve(app, "/", lambda: "done", "POST", "OPTIONS")
        assert get(app, method="OPTIONS", headers=PREFLIGHT).status_code == 401
        assert get(app, token=mint(), method="OPTIONS", headers=PREFLIGHT).text == "done"

    def test_refusals_can_be_read_by_the_page(self, app: Flask) -> None:
        """An extension that sets CORS headers after the request sets them on refusals too."""

        @app.after_request
        def cors(response: Response) -> Response:
            response.headers["Access-Control-Allow-Origin"] = "*"
            return response

        serve(app, "/", requires_auth(caller))
        answer = get(app)
        assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (401, "*")


HANDLED: list[Any] = [401, Unauthorized, HTTPException, AuthError, MissingToken, KindeGuardError]


class TestErrors:
    """Refusals are Flask's own exceptions and ours; users' handlers win."""

    def test_form(self, app: Flask) -> None:
        """Without a handler: the problem body and the challenge, no cookie, and nothing that says Flask."""
        app.secret_key = "a session is possible"
        serve(app, "/", requires_scope("a")(caller))
        answer = get(app)
        assert answer.content_type == "application/problem+json"
        assert answer.json is not None
        assert answer.json["error"] == "missing_token"
        assert sorted(answer.headers.keys()) == [
            "Cache-Control",
            "Content-Length",
            "Content-Type",
            "WWW-Authenticate",
        ]
        head = get(app, method="HEAD")
        assert (head.status_code, head.data, challenge(head)) == (401, b"", BARE)

    @pytest.mark.parametrize("attached", ["before", "after"])
    @pytest.mark.parametrize("handled", HANDLED)
    @pytest.mark.parametrize("of", ["app", "blueprint"])
    @pytest.mark.parametrize("is_async", [False, True])
    def test_users_handlers_win(self, guard: Guard, attached: str, handled: Any, of: str, is_async: bool) -> None:
        app, blueprint = Flask("handles"), Blueprint("bp", __name__)

        def handler(error: Any) -> ResponseReturnValue:
            assert isinstance(error, MissingToken)
            assert isinstance(error, Unauthorized)
            return f"theirs: {error.reason} {error.code}", 418

        async def async_handler(error: Any) -> ResponseReturnValue:
            return handler(error)

        def register() -> None:
            place = app if of == "app" else blueprint
            place.register_error_handler(handled, async_handler if is_async else handler)

        if attached == "before":
            KindeGuard(app, guard=guard)
        register()
        if attached == "after":
            KindeGuard(app, guard=guard)
        serve(blueprint, "/", requires_auth(caller))
        app.register_blueprint(blueprint)
        answer = get(app)
        assert (answer.status_code, answer.text) == (418, "theirs: missing_token 401")

    @pytest.mark.parametrize("handled", [403, HTTPException, AuthError, InsufficientScope])
    def test_users_handlers_for_require(self, app: Flask, handled: Any) -> None:
        """They are asked as well when a view itself calls ``token.require(…)``."""
        app.register_error_handler(handled, lambda error: (f"theirs: {error.reason}", 418))

        @app.get("/")
        def view() -> str:
            current_token.require(scope("a") & permission("p"))
            return "in"

        answer = get(app, token=mint())
        assert (answer.status_code, answer.text) == (418, "theirs: insufficient_scope")

    @pytest.mark.parametrize("of", ["app", "blueprint", "both"])
    def test_handler_for_exception_swallows_nothing(self, app: Flask, of: str) -> None:
        """It is for what nobody foresaw; refusals were foreseen."""
        blueprint = Blueprint("bp", __name__)

        def required() -> str:
            current_token.require(scope("a"))
            return "in"

        for place, name in ((app, "app"), (blueprint, "blueprint")):
            if of in (name, "both"):
                place.register_error_handler(Exception, lambda error: ("swallowed", 500))
        serve(blueprint, "/", requires_scope("a")(caller))
        serve(blueprint, "/require", required)
        serve(blueprint, "/broken", lambda: str(1 // 0))
        app.register_blueprint(blueprint)
        assert [get(app).status_code, get(app, token=mint()).status_code] == [401, 403]
        assert get(app, "/require", mint()).status_code == 403
        assert get(app, "/broken").text == "swallowed"

    def test_generic_handler_keeps_the_challenge(self, app: Flask) -> None:
        """Flask's documentation shows a handler that turns all HTTP errors into JSON."""

        @app.errorhandler(HTTPException)
        def as_json(error: HTTPException) -> Any:
            response: Any = error.get_response()
            response.data = json.dumps({"code": error.code, "name": error.name, "description": error.description})
            response.content_type = "application/json"
            return response

        serve(app, "/", requires_scope("a")(caller))
        answer = get(app, token=mint())
        assert challenge(answer).endswith('scope="a"')
        assert answer.content_type == "application/json"
        assert answer.json == {
            "code": 403,
            "name": "Forbidden",
            "description": "The access token lacks a scope that this resource needs.",
        }

    @pytest.mark.parametrize("setting", ["TRAP_HTTP_EXCEPTIONS", "TRAP_BAD_REQUEST_ERRORS", "DEBUG", "TESTING"])
    def test_flasks_settings(self, app: Flask, setting: str) -> None:
        """Settings that let errors through for debugging do not make refusals into errors of the server."""
        app.config[setting] = True
        serve(app, "/", requires_auth(caller))
        assert get(app, headers={"Authorization": "Bearer"}).status_code == 400
        assert get(app).status_code == 401

    def test_can_be_caught(self, app: Flask) -> None:
        """Each is what Flask's users catch, and what ours catch, with everything that belongs to either."""
        issuer = Issuer()
        issuer.status = 500
        app.extensions["kinde_guard"].guard = guard_of(issuer)
        with app.test_request_context(headers={"Authorization": f"Bearer {mint()}"}):
            with pytest.raises(KeysUnavailable) as caught:
                caller()
            assert isinstance(caught.value, HTTPException)
            assert (caught.value.code, caught.value.retry_after >= 1) == (503, True)
            assert str(caught.value) == "503 Service Unavailable: Access tokens cannot be verified at the moment."
            assert repr(caught.value) == "<KeysUnavailable '503: Service Unavailable'>"

    def test_the_apps_own_errors(self, guard: Guard) -> None:
        """Other errors are byte for byte those of an app without a guard."""

        def build() -> Flask:
            app = Flask("own_errors")
            serve(app, "/401", lambda: abort(401))
            serve(app, "/broken", lambda: str(1 // 0))
            return app

        plain, guarded = build(), build()
        KindeGuard(guarded, guard=guard)
        for path, method in (("/401", "GET"), ("/broken", "GET"), ("/unknown", "GET"), ("/401", "POST")):
            expected, answer = get(plain, path, method=method), get(guarded, path, method=method)
            assert (answer.status, answer.headers, answer.data) == (expected.status, expected.headers, expected.data)

    def test_no_token_in_the_log(self, app: Flask, caplog: pytest.LogCaptureFixture) -> None:
        """Whatever becomes of a request, its token is in no record."""
        serve(app, "/", requires_scope("a")(caller))
        serve(app, "/broken", requires_auth(lambda: str(1 // 0)))
        with caplog.at_level(logging.DEBUG):
            for token in (mint(), mint({"exp": 1}), mint(base=M2M)):
                get(app, "/", token)
                get(app, "/broken", token)
        assert "insufficient_scope" in caplog.text
        assert not [token for token in (mint(), mint({"exp": 1}), mint(base=M2M)) if token.split(".")[2] in caplog.text]


class TestReadable:
    """What an app demands can be read from outside, without a request."""

    @pytest.fixture
    def demanding(self, app: Flask) -> Flask:
        app.before_request(requires_auth)
        serve(app, "/", requires_scope("a")(requires_permission("p")(caller)))
        return app

    def test_of_views(self, demanding: Flask) -> None:
        (view,) = [view for name, view in demanding.view_functions.items() if name != "static"]
        assert str(demands.enforced(view)) == "scope('a') & permission('p')"
        assert demands.enforced(demanding.view_functions["static"]) is None

    def test_of_functions_before_requests(self, demanding: Flask) -> None:
        (function,) = demanding.before_request_funcs[None]
        assert str(demands.enforced(function)) == "any valid token"


def test_user_claims_are_those_of_the_token(app: Flask) -> None:
    """What a view reads is what was signed."""

    @app.get("/")
    @requires_auth
    def view() -> dict[str, Any]:
        return {"sub": current_token.subject, "org": current_token.org_code, "m2m": current_token.is_m2m}

    assert get(app, token=mint()).json == {"sub": USER["sub"], "org": USER["org_code"], "m2m": False}
