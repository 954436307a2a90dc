"""The guard in a Django project: the middleware, the decorators, the checks; over WSGI and over ASGI."""

from __future__ import annotations

import asyncio
import functools
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from django.core.cache import cache
from django.core.checks import run_checks
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.test import Client, RequestFactory, override_settings
from django.urls import include, path, re_path
from django.utils.decorators import method_decorator
from django.views import View
from django.views.decorators.cache import cache_page
from django.views.decorators.csrf import csrf_exempt
from django_project import (
    CORS,
    CSRF,
    MIDDLEWARE,
    Ask,
    bearer,
    over_asgi,
    over_wsgi,
    with_an_unread_body,
    with_asgi_client,
)
from helpers import CLIENT, M2M, Issuer, Time, guard_of, key_set, mint
from waiting import LONG

from kinde_guard import AuthError, ConfigurationError, Guard, KeysUnavailable, permission, scope
from kinde_guard.django import (
    KindeGuardMiddleware,
    atoken_or_none,
    requires,
    requires_auth,
    requires_org,
    requires_permission,
    requires_scope,
    token_or_none,
)
from kinde_guard.events import Refused, Verified
from kinde_guard.web.django_guard import guard_of_project

PREFLIGHT = {"Origin": "https://app.example", "Access-Control-Request-Method": "POST"}
ORG = "org_1486622b2cd"
asked: list[str] = []


def answer(request: HttpRequest) -> HttpResponse:
    asked.append(request.path)
    token = request.kinde_token
    return HttpResponse("nobody" if token is None else token.client_id)


def plain(request: HttpRequest) -> HttpResponse:
    return answer(request)


async def aplain(request: HttpRequest) -> HttpResponse:
    return answer(request)


@requires_scope("read:users")
def users(request: HttpRequest) -> HttpResponse:
    return answer(request)


@requires_scope("read:users")
async def ausers(request: HttpRequest) -> HttpResponse:
    return answer(request)


@requires_scope("write:flags")
@requires_scope("read:users")
def stacked(request: HttpRequest) -> HttpResponse:
    return answer(request)


@requires_org(path="org_code")
def report(request: HttpRequest, org_code: str) -> HttpResponse:
    return answer(request)


@requires_org(path="org_code")
async def areport(request: HttpRequest, org_code: str) -> HttpResponse:
    return answer(request)


@requires_auth
def stats(request: HttpRequest) -> HttpResponse:
    request.kinde_token.require(permission("view:secrets"))
    return answer(request)


@requires_auth
async def astats(request: HttpRequest) -> HttpResponse:
    request.kinde_token.require(permission("view:secrets"))
    return answer(request)


class Decorated(View):
    """By ``method_decorator``, as Django's documentation has it."""

    @method_decorator(requires_scope("read:users"))
    def get(self, request: HttpRequest) -> HttpResponse:
        return answer(request)

    @method_decorator([requires_scope("read:users"), requires_scope("write:flags")])
    def post(self, request: HttpRequest) -> HttpResponse:
        return answer(request)


class AsyncDecorated(View):
    @method_decorator(requires_scope("read:users"))
    async def get(self, request: HttpRequest) -> HttpResponse:
        return answer(request)

    @requires_scope("write:flags")
    async def post(self, request: HttpRequest) -> HttpResponse:
        return answer(request)


@method_decorator(requires_scope("read:users"), name="dispatch")
class AsyncDispatched(View):
    """``dispatch`` itself is ``def``, and called in the event loop."""

    async def get(self, request: HttpRequest) -> HttpResponse:
        return answer(request)


@method_decorator([requires_scope("read:users"), csrf_exempt, requires_auth], name="dispatch")
class AsyncDispatchedByMany(View):
    async def get(self, request: HttpRequest) -> HttpResponse:
        return answer(request)


class AsyncDispatching(View):
    @requires_scope("read:users")
    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        return super().dispatch(request, *args, **kwargs)

    async def get(self, request: HttpRequest) -> HttpResponse:
        return answer(request)


@method_decorator(requires_scope("read:users"), name="dispatch")
class Dispatched(View):
    """The whole class, and a method more."""

    def get(self, request: HttpRequest) -> HttpResponse:
        return answer(request)

    @requires_scope("write:flags")
    def post(self, request: HttpRequest) -> HttpResponse:
        return answer(request)


class Undecorated(View):
    def get(self, request: HttpRequest) -> HttpResponse:
        return answer(request)


def optional(request: HttpRequest) -> HttpResponse:
    token = token_or_none(request)
    return HttpResponse("nobody" if token is None else token.client_id)


async def aoptional(request: HttpRequest) -> HttpResponse:
    token = await atoken_or_none(request)
    return HttpResponse("nobody" if token is None else token.client_id)


def settles_itself(request: HttpRequest) -> HttpResponse:
    """How a project answers for itself is its own affair."""
    return HttpResponse("ok", headers={"Cache-Control": "max-age=60"})


@requires_auth
def streaming(request: HttpRequest) -> StreamingHttpResponse:
    return StreamingHttpResponse([b"a", b"b"])


def broken(request: HttpRequest) -> HttpResponse:
    raise RuntimeError("a mistake of the project's")


urlpatterns = [
    path("plain", plain),
    path("aplain", aplain),
    path("users", users),
    path("ausers", ausers),
    path("stacked", stacked),
    path("orgs/<org_code>/report", report),
    path("orgs/<org_code>/areport", areport),
    re_path(r"^codes/(?P<org_code>\w+)$", report),
    re_path(r"^bare/(\w+)$", report),
    path("stats", stats),
    path("astats", astats),
    path("decorated", Decorated.as_view()),
    path("adecorated", AsyncDecorated.as_view()),
    path("adispatched", AsyncDispatched.as_view()),
    path("adispatched/many", AsyncDispatchedByMany.as_view()),
    path("adispatching", AsyncDispatching.as_view()),
    path("dispatched", Dispatched.as_view()),
    path("around", requires_scope("read:users")(Undecorated.as_view())),
    path("aaround", requires_scope("read:users")(AsyncDecorated.as_view())),
    path("optional", optional),
    path("aoptional", aoptional),
    path("settles", settles_itself),
    path("streaming", streaming),
    path("broken", broken),
    path("static/<path:name>", lambda request, name: answer(request)),
    path("healthz", plain),
    path("cached", cache_page(LONG)(users)),
    path("cached/optional", cache_page(LONG)(optional)),
    path("below/", include([path("users", users)])),
]


class Answering:
    """Middleware of a project, further down than ours, which answers refusals in its own way."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        if not isinstance(error, AuthError | KeysUnavailable):
            return None
        return HttpResponse(f"in our words: {error.detail}", status=error.status, headers=error.headers)


@contextmanager
def project(
    guard: Guard | None = None, *, middleware: Any = (MIDDLEWARE,), urls: Any = None, **options: Any
) -> Iterator[Guard]:
    """The routes above behind *guard*, with these *options* in KINDE_GUARD."""
    guard = guard or guard_of(Issuer())
    asked.clear()
    changes = {"KINDE_GUARD": {"guard": guard, **options}, "MIDDLEWARE": list(middleware)}
    with override_settings(ROOT_URLCONF=urls or __name__, **changes):
        yield guard


@pytest.fixture(params=[over_wsgi, over_asgi])
def ask(request: pytest.FixtureRequest) -> Ask:
    found: Ask = request.param
    return found


@pytest.fixture
def user() -> dict[str, str]:
    return bearer(mint())


@pytest.fixture
def app() -> dict[str, str]:
    """Has read:users and write:flags."""
    return bearer(mint(base=M2M))


def warnings_in(caplog: pytest.LogCaptureFixture) -> list[str]:
    found = [record for record in caplog.records if record.levelno == logging.WARNING and record.name == "kinde_guard"]
    return [record.message for record in found if not record.message.startswith("keys of ")]


GUARDED = [
    "/users",
    "/ausers",
    "/decorated",
    "/adecorated",
    "/dispatched",
    "/adispatched",
    "/adispatching",
    "/around",
    "/aaround",
    "/below/users",
]


@pytest.mark.parametrize("path", GUARDED)
def test_decorators(ask: Ask, path: str, user: dict[str, str], app: dict[str, str]) -> None:
    """On ``def``, ``async def``, methods, ``dispatch`` and around ``as_view()``: 401, 403, 200."""
    with project():
        stranger, lacking = ask("GET", path), ask("GET", path, headers=user)
        assert asked == []
        assert ask("GET", path, headers=app).status_code == 200
        assert asked == [path]
    assert (stranger.status_code, lacking.status_code) == (401, 403)
    assert stranger.headers["WWW-Authenticate"] == 'Bearer realm="api"'
    assert stranger.json()["error"] == "missing_token"
    assert 'scope="read:users"' in lacking.headers["WWW-Authenticate"]
    for refusal in (stranger, lacking):
        assert refusal.headers["Content-Type"] == "application/problem+json"
        assert refusal.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("path", ["/stacked", "/decorated", "/dispatched"])
def test_several_decorators_are_one_demand(ask: Ask, path: str) -> None:
    """One more token is enough: the challenge names every scope."""
    method = "GET" if path == "/stacked" else "POST"
    with project():
        for names in ("read:users", "write:flags"):
            refusal = ask(method, path, headers=bearer(mint({"scope": names, "scp": [names]}, base=M2M)))
            assert refusal.status_code == 403
            named = refusal.headers["WWW-Authenticate"].partition('scope="')[2].rstrip('"').split()
            # dispatch is asked first: it knows nothing of what the method demands
            assert set(named) >= ({"read:users"} if path == "/dispatched" else {"read:users", "write:flags"})
        assert asked == []
        assert ask(method, path, headers=bearer(mint(base=M2M))).status_code == 200


@pytest.mark.parametrize("path", ["/orgs/{}/report", "/orgs/{}/areport", "/codes/{}"])
def test_the_organization_in_the_path(ask: Ask, path: str, user: dict[str, str]) -> None:
    """Of the view's arguments, however the route is written."""
    with project():
        assert ask("GET", path.format(ORG), headers=user).text == CLIENT
        for code in ("org_another", "org_"):
            refusal = ask("GET", path.format(code), headers=user)
            assert (refusal.status_code, refusal.json()["error"]) == (403, "insufficient_scope")
        assert asked == [path.format(ORG)]


def test_a_route_without_the_parameter_is_a_mistake(ask: Ask, user: dict[str, str]) -> None:
    with project():
        assert ask("GET", "/bare/org_1486622b2cd", headers=user).status_code == 500
    assert asked == []


@pytest.mark.parametrize("path", ["/stats", "/astats"])
def test_what_a_view_demands_itself_is_the_same_403(ask: Ask, path: str, user: dict[str, str]) -> None:
    with project():
        refusal = ask("GET", path, headers=user)
        assert ask("GET", path).status_code == 401
    assert (refusal.status_code, refusal.headers["Content-Type"]) == (403, "application/problem+json")
    assert refusal.json()["detail"] == "The access token lacks a permission that this resource needs."
    assert "insufficient_scope" in refusal.headers["WWW-Authenticate"]


def test_other_errors_are_djangos(ask: Ask) -> None:
    with project():
        assert ask("GET", "/broken").status_code == 500


@pytest.mark.parametrize("path", ["/plain", "/aplain", "/unknown", "/static", "/users", "/healthz/", "/HEALTHZ", "/"])
def test_deny_by_default_comes_before_a_view_is_looked_for(ask: Ask, path: str, user: dict[str, str]) -> None:
    with project(public=["/healthz", "/static/*"]):
        for method in ("GET", "POST", "OPTIONS", "BREW"):
            refusal = ask(method, path)
            assert (refusal.status_code, refusal.headers["WWW-Authenticate"]) == (401, 'Bearer realm="api"')
        assert asked == []
        assert ask("GET", path, headers=bearer(mint({"exp": 1}))).json()["error"] == "invalid_token"
        known = path in ("/plain", "/aplain")
        assert ask("GET", path, headers=user).status_code == (403 if path == "/users" else 200 if known else 404)


@pytest.mark.parametrize("path", ["/static/../plain", "/static/..%2fplain", "/static//x", "/static/%00"])
def test_what_can_be_read_in_two_ways_is_never_public(ask: Ask, path: str) -> None:
    with project(public=["/static/*"]):
        assert ask("GET", path).status_code == 401
    assert asked == []


def test_bytes_that_are_no_utf_8_are_never_public() -> None:
    with project(public=["/static/*"]):
        assert Client().get("/static/%ff").status_code == over_asgi("GET", "/static/%ff").status_code == 401
    assert asked == []


def test_public_paths_are_those_that_views_are_looked_for_by(user: dict[str, str]) -> None:
    """Without what the project is mounted under."""
    with project(public=["/healthz"]):
        assert Client().get("/healthz", SCRIPT_NAME="/api").status_code == 200
        assert Client().get("/plain", SCRIPT_NAME="/healthz").status_code == 401


def test_public(ask: Ask) -> None:
    with project(public=["/healthz", "/static/*"]):
        assert ask("GET", "/healthz").text == "nobody"
        assert ask("GET", "/healthz", headers=bearer("forged")).text == "nobody"
        assert ask("GET", "/static/app/x.js").status_code == 200
        assert ask("GET", "/healthz").headers.get("Cache-Control") is None


def test_without_public_only_what_is_decorated_demands_a_token(ask: Ask, user: dict[str, str]) -> None:
    with project():
        assert ask("GET", "/plain").text == "nobody"
        assert ask("GET", "/plain", headers=user).text == "nobody"  # nothing has asked for the token
        assert ask("GET", "/unknown").status_code == 404


def test_everything_public_but_nothing_named(ask: Ask, user: dict[str, str]) -> None:
    with project(public=[]):
        assert ask("GET", "/plain").status_code == 401
        assert ask("GET", "/plain", headers=user).text == CLIENT


@pytest.mark.parametrize("path", ["/optional", "/aoptional"])
def test_token_or_none_refuses_nobody(ask: Ask, path: str, user: dict[str, str]) -> None:
    down = Issuer()
    down.status = 503
    with project():
        assert ask("GET", path).text == ask("GET", path, headers=bearer("forged")).text == "nobody"
        let_in = ask("GET", path, headers=user)
        assert let_in.text == CLIENT
        assert let_in.headers["Cache-Control"] == "private"
    with project(guard_of(down)):
        assert ask("GET", path, headers=user).text == "nobody"
    with project(middleware=[]):
        assert ask("GET", path, headers=user).text == CLIENT


@pytest.mark.parametrize("path", ["/users", "/ausers", "/plain", "/unknown"])
def test_an_outage_is_503_with_the_time_to_wait(ask: Ask, path: str, app: dict[str, str]) -> None:
    down = Issuer()
    down.status = 503
    with project(guard_of(down), public=[]):
        answer = ask("GET", path, headers=app)
    assert (answer.status_code, answer.json()["error"]) == (503, "keys_unavailable")
    assert int(answer.headers["Retry-After"]) >= 1
    assert "WWW-Authenticate" not in answer.headers
    assert asked == []


@pytest.mark.parametrize("path", ["/users", "/ausers", "/plain"])
def test_two_authorization_headers_are_400(path: str, app: dict[str, str]) -> None:
    """Under ASGI Django joins them with a comma; the scope has both."""
    with project(public=[]):
        answer = over_asgi("GET", path, headers=[*app.items(), *app.items()])
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")
        joined = over_wsgi("GET", path, headers={"Authorization": ",".join([app["Authorization"]] * 2)})
        assert (joined.status_code, joined.json()["error"]) == (400, "invalid_request")
    assert asked == []


@pytest.mark.parametrize("path", GUARDED)
def test_a_refused_body_is_not_read(path: str, user: dict[str, str]) -> None:
    """Under WSGI, where it is still on its way."""
    with project():
        stranger, lacking = with_an_unread_body(path), with_an_unread_body(path, headers=user)
    assert (stranger.status_code, stranger.headers["WWW-Authenticate"]) == (401, 'Bearer realm="api"')
    assert (lacking.status_code, lacking.json()["error"]) == (403, "insufficient_scope")
    assert asked == []


@pytest.mark.parametrize("path", ["/plain", "/aplain", "/users", "/unknown"])
def test_a_body_is_not_read_where_every_path_demands_a_token(path: str) -> None:
    """CSRF middleware, which looks into forms, stands below the guard."""
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    with project(public=[], middleware=[MIDDLEWARE, CSRF]):
        for headers in ({}, bearer("forged"), bearer(mint({"exp": 1}))):
            assert with_an_unread_body(path, headers={**form, **headers}).status_code == 401
    assert asked == []


@pytest.mark.parametrize("options", [{}, {"public": []}])
@pytest.mark.parametrize("path", ["/users", "/ausers", "/decorated", "/dispatched"])
def test_a_forged_preflight_runs_no_view(
    ask: Ask, path: str, options: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    """Django has no answer of its own to OPTIONS for function views. One WARNING says what to do."""
    with project(**options):
        answers = [
            ask("OPTIONS", path, headers=headers) for headers in (PREFLIGHT, PREFLIGHT, {"X-HTTP-Method": "GET"})
        ]
    open_to_all = path == "/decorated" and not options  # its class answers OPTIONS, and runs nothing for it
    assert [answer.status_code for answer in answers] == [200 if open_to_all else 401] * 3
    assert asked == []
    assert ["CorsMiddleware, above KindeGuardMiddleware" in text for text in warnings_in(caplog)] == (
        [] if open_to_all else [True]
    )


CORS_ALLOWED = {"CORS_ALLOWED_ORIGINS": [PREFLIGHT["Origin"]]}


def test_cors_middleware_above_the_guard_answers_preflights(
    ask: Ask, user: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    with project(public=[], middleware=[CORS, MIDDLEWARE]), override_settings(**CORS_ALLOWED):
        answer = ask("OPTIONS", "/plain", headers=PREFLIGHT)
        assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (200, PREFLIGHT["Origin"])
        refused = ask("GET", "/plain", headers={"Origin": PREFLIGHT["Origin"]})
        assert (refused.status_code, refused.headers["Access-Control-Allow-Origin"]) == (401, PREFLIGHT["Origin"])
        assert ask("OPTIONS", "/plain", headers={"Origin": PREFLIGHT["Origin"]}).status_code == 401
        assert run_checks() == []
    assert asked == []
    assert warnings_in(caplog) == []


def test_cors_middleware_below_the_guard_is_told_of(ask: Ask, caplog: pytest.LogCaptureFixture) -> None:
    with project(public=[], middleware=[MIDDLEWARE, CORS]), override_settings(**CORS_ALLOWED):
        assert ask("OPTIONS", "/plain", headers=PREFLIGHT).status_code == 401
        assert [message.id for message in run_checks()] == ["kinde_guard.W001"]
    first, last = warnings_in(caplog)
    assert first.startswith(
        f"{CORS} cannot answer preflights, because the guard in front refuses them: put CORS middle"
    )
    assert "a CORS preflight was refused" in last


def test_pass_preflights_is_for_who_answers_every_one(ask: Ask, caplog: pytest.LogCaptureFixture) -> None:
    with project(public=[], middleware=[MIDDLEWARE, CORS], pass_preflights=True), override_settings(**CORS_ALLOWED):
        assert ask("OPTIONS", "/plain", headers=PREFLIGHT).status_code == 200
        assert ask("OPTIONS", "/plain").status_code == 401
        assert run_checks() == []
    assert asked == []
    assert warnings_in(caplog) == []


def test_without_public_the_views_are_what_refuses(caplog: pytest.LogCaptureFixture) -> None:
    """So CORS middleware may stand below the guard's."""
    with project(middleware=[MIDDLEWARE, CORS]), override_settings(**CORS_ALLOWED):
        assert over_wsgi("OPTIONS", "/users", headers=PREFLIGHT).status_code == 200
        assert run_checks() == []
    assert warnings_in(caplog) == []


@pytest.mark.parametrize("path", ["/users", "/ausers", "/dispatched"])
def test_what_is_decorated_needs_no_csrf_token(ask: Ask, path: str, app: dict[str, str]) -> None:
    """No browser sends an access token of its own accord: there is nothing to forge."""
    with project(middleware=[MIDDLEWARE, CSRF]):
        assert ask("POST", path, headers=app).status_code == 200
        assert ask("POST", path).status_code == 401
        assert ask("POST", "/plain").status_code == 403  # Django's


def test_whose_the_answer_is(ask: Ask, app: dict[str, str]) -> None:
    """Caches are told: but where the project has decided."""
    with project():
        assert ask("GET", "/users", headers=app).headers["Cache-Control"] == "private"
        assert "Authorization" in ask("GET", "/users", headers=app).headers["Vary"]
        assert over_wsgi("GET", "/streaming", headers=app).headers["Cache-Control"] == "private"
    with project(public=[]):
        assert ask("GET", "/plain", headers=app).headers["Cache-Control"] == "private"
        assert ask("GET", "/settles", headers=app).headers["Cache-Control"] == "max-age=60"


def test_a_cache_above_a_decorator_keeps_nothing_for_strangers(ask: Ask, app: dict[str, str]) -> None:
    """``@cache_page`` above ``@requires_scope`` is asked first, and has nothing."""
    cache.clear()
    time = Time()
    with project(guard_of(Issuer(), time)):
        for path in ("/cached", "/cached/optional"):
            assert ask("GET", path, headers=app).text == CLIENT
        assert ask("GET", "/cached").status_code == 401
        assert ask("GET", "/cached/optional").text == "nobody"
        time.passes(90_000)  # until the token has expired
        assert ask("GET", "/cached", headers=app).status_code == 401
        assert ask("GET", "/cached/optional", headers=app).text == "nobody"
    update, fetch = (f"django.middleware.cache.{name}CacheMiddleware" for name in ("Update", "FetchFrom"))
    for middleware in ([update, MIDDLEWARE, fetch], [MIDDLEWARE, update, fetch]):
        with project(middleware=middleware):
            assert ask("GET", "/users", headers=app).status_code == 200
            assert ask("GET", "/users").status_code == 401


def test_a_cache_in_front_of_the_guard_is_told_of() -> None:
    fetch = "django.middleware.cache.FetchFromCacheMiddleware"
    with project(middleware=["django.middleware.cache.UpdateCacheMiddleware", fetch, MIDDLEWARE]):
        (message,) = run_checks()
    assert message.id == "kinde_guard.W002"
    assert message.msg.startswith(fetch)


def test_a_project_answers_in_its_own_way(ask: Ask, user: dict[str, str]) -> None:
    """By middleware further down: whoever refuses, it sees one kind of exception."""
    with project(middleware=[MIDDLEWARE, f"{__name__}.Answering"]):
        for path in ("/users", "/ausers", "/stats"):
            answer = ask("GET", path, headers=user)
            assert (answer.status_code, answer.text[:12]) == (403, "in our words")
            assert "insufficient_scope" in answer.headers["WWW-Authenticate"]
        assert ask("GET", "/broken").status_code == 500


def test_pages(ask: Ask) -> None:
    issuer = Issuer()
    with project(guard_of(issuer), public=[], healthz="/up", readyz="/ready", resource="https://api.acme.com/v1"):
        assert ask("GET", "/up").json() == {"status": "ok"}
        assert ask("POST", "/up").status_code == 405
        assert ask("GET", "/ready").status_code in (200, 503)
        metadata = ask("GET", "/.well-known/oauth-protected-resource/v1")
        assert metadata.json()["scopes_supported"] == ["read:users", "write:flags"]
        assert metadata.json()["authorization_servers"] == ["https://acme.kinde.com"]
        for path in ("/plain", "/users"):
            challenge = ask("GET", path).headers["WWW-Authenticate"]
            assert 'resource_metadata="https://api.acme.com/.well-known/oauth-protected-resource/v1"' in challenge


def event_told(event: object) -> None:
    asked.append(type(event).__name__)


def test_webhooks(ask: Ask) -> None:
    """In front of all else; what is no webhook of Kinde's is refused there."""
    with project(public=[], webhooks="/webhooks/kinde", on_event=f"{__name__}.event_told"):
        forged = ask("POST", "/webhooks/kinde", content=b"x.y.z", headers={"Content-Type": "application/jwt"})
        assert forged.status_code in (400, 401)
        assert ask("GET", "/webhooks/kinde").status_code == 405
        assert ask("POST", "/plain", content=b"x").status_code == 401
    assert asked == []
    with project(webhooks="/webhooks/kinde"), pytest.raises(ConfigurationError, match="webhooks= alone does nothing"):
        KindeGuardMiddleware(plain)


def test_settings_of_django_come_before_the_environment(monkeypatch: pytest.MonkeyPatch, no_settings: None) -> None:
    monkeypatch.setenv("KINDE_DOMAIN", "environment.kinde.com")
    monkeypatch.setenv("KINDE_AUDIENCE", "https://environment.acme.com")
    with override_settings(KINDE_DOMAIN="settings.kinde.com"):
        guard = guard_of_project().ready()
        assert guard_of_project().ready() is guard
        assert (guard.issuers, guard.audiences) == (("https://settings.kinde.com",), ("https://environment.acme.com",))
        with override_settings(KINDE_GUARD={"domain": "given.kinde.com", "leeway": 10}):
            assert guard_of_project().ready().issuers == ("https://given.kinde.com",)
            assert guard_of_project().ready().settings.leeway == 10
    assert guard_of_project().ready().issuers == ("https://environment.kinde.com",)


def test_a_setting_that_is_missing_stops_the_server(no_settings: None) -> None:
    with override_settings(MIDDLEWARE=[MIDDLEWARE], KINDE_GUARD={}):
        for ask in (over_wsgi, over_asgi):
            with pytest.raises(ConfigurationError, match="set the environment variable KINDE_DOMAIN"):
                ask("GET", "/")
        assert run_checks() == []  # as in an image that is built without them
        (message,) = [
            found for found in run_checks(include_deployment_checks=True) if "kinde_guard" in (found.id or "")
        ]
        assert message.id == "kinde_guard.E002"
    with override_settings(KINDE_DOMAIN="acme.kinde.com", KINDE_AUDIENCE="https://api.acme.com"):
        assert not [found for found in run_checks(include_deployment_checks=True) if "kinde_guard" in (found.id or "")]


@pytest.mark.parametrize(("options", "sentence"), [
    ({"audiense": "x"}, "has no setting 'audiense': did you mean audience"),
    ({"public": "/healthz"}, "public= is a list of paths"),
    ({"public": ["healthz"]}, "a public path begins with a slash"),
    ({"pass_preflights": "yes"}, "pass_preflights must be True or False"),
    ({"resource": "api"}, "resource must be an https URL"),
    ({"user_of": "no.such.function"}, "user_of: "),
    ({"user_of": 5}, "user_of is a function"),
    ({"user_of": atoken_or_none}, "user_of is a function"),
    (["/healthz"], "the setting KINDE_GUARD is a dict"),
    ({1: 2}, "keywords must be strings"),
])  # fmt: skip
def test_a_wrong_setting_is_said_by_check_and_at_start(options: Any, sentence: str) -> None:
    with override_settings(KINDE_GUARD=options, MIDDLEWARE=[MIDDLEWARE]):
        messages = run_checks()
        with pytest.raises(ConfigurationError, match="KINDE_GUARD"):
            KindeGuardMiddleware(plain)
    assert [message.id for message in messages] == ["kinde_guard.E001"]
    assert sentence in messages[0].msg


def test_a_guard_and_its_settings_are_not_given_both(guard: Guard) -> None:
    with (
        override_settings(KINDE_GUARD={"guard": guard, "leeway": 5}),
        pytest.raises(ConfigurationError, match="leeway="),
    ):
        guard_of_project()


def bare(request: HttpRequest) -> HttpResponse:
    return answer(request)


guarded = requires_scope("read:users")(bare)


class Guarded:
    @method_decorator(requires_scope("read:users"))
    def dispatch(self, request: HttpRequest) -> HttpResponse:
        raise AssertionError("it is never called")


class WrongOrder(View, Guarded):
    """The guarded class comes too late: ``View.dispatch`` is the one that is called."""

    def get(self, request: HttpRequest) -> HttpResponse:
        return answer(request)


class Base(View):
    @requires_scope("read:users")
    def get(self, request: HttpRequest) -> HttpResponse:
        return answer(request)


class Forgetful(Base):
    def get(self, request: HttpRequest) -> HttpResponse:
        return answer(request)


class Between(Forgetful):
    """Calls one that calls nobody."""

    def get(self, request: HttpRequest) -> HttpResponse:
        return super().get(request)


class Careful(Base):
    def get(self, request: HttpRequest) -> HttpResponse:
        return super().get(request)


class Alone(View):
    """Calls what nothing below it has."""

    def get(self, request: HttpRequest) -> HttpResponse:
        return answer(super().request if hasattr(super(), "get") else request)

    @requires_scope("read:users")
    def dispatch(self, request: HttpRequest) -> HttpResponse:
        return super().dispatch(request)


class Further(Base):
    """Has a method of its own beside the guarded one."""

    def post(self, request: HttpRequest) -> HttpResponse:
        return answer(request)


@pytest.mark.parametrize(("view", "named"), [
    (bare, "test_django.bare"),
    (functools.partial(bare), "test_django.bare"),
    pytest.param(WrongOrder.as_view(), "test_django.Guarded.dispatch", id="wrong order"),
    pytest.param(Forgetful.as_view(), "test_django.Base.get", id="forgetful"),
    pytest.param(Between.as_view(), "test_django.Base.get", id="between"),
])  # fmt: skip
def test_a_demand_that_is_not_enforced_is_found(ask: Ask, view: Any, named: str) -> None:
    """By ``manage.py check``, and at the first request: nothing is served until it is mended."""
    urls = type("Urls", (), {"urlpatterns": [path("open", view), path("plain", plain)]})
    with project(urls=urls):
        (message,) = run_checks()
        assert (message.id, named in message.msg, "'/open'" in message.msg) == ("kinde_guard.E003", True, True)
        for each in ("/plain", "/open", "/plain"):
            assert ask("GET", each).status_code == 500
    assert asked == []


def test_a_class_that_is_guarded_twice(ask: Ask, app: dict[str, str], user: dict[str, str]) -> None:
    """``as_view()`` says that it wraps ``View.dispatch``, where that is decorated: it is all other classes', too."""
    twice = requires_scope("write:flags")(Dispatched.as_view())
    urls = type("Urls", (), {"urlpatterns": [path("twice", twice), path("other", Undecorated.as_view())]})
    with project(urls=urls):
        assert run_checks() == []
        assert ask("GET", "/other").status_code == 200
        assert ask("GET", "/twice").status_code == 401
        assert 'scope="write:flags read:users"' in ask("GET", "/twice", headers=user).headers["WWW-Authenticate"]
        assert ask("GET", "/twice", headers=app).status_code == 200
        assert run_checks() == []


def made_too_early() -> Any:
    def view(request: HttpRequest) -> HttpResponse:
        return later(request)  # noqa: F821  # it is gone by then

    later = answer
    del later
    return view


def test_a_view_that_holds_a_variable_without_a_value(ask: Ask) -> None:
    urls = type("Urls", (), {"urlpatterns": [path("early", made_too_early()), path("plain", plain)]})
    with project(urls=urls):
        assert run_checks() == []
        assert ask("GET", "/plain").status_code == 200


@pytest.mark.parametrize("view", [
    pytest.param(guarded, id="guarded"),
    *(pytest.param(kind.as_view(), id=kind.__name__) for kind in (Careful, Alone, Further, Base, Dispatched)),
])  # fmt: skip
def test_what_is_enforced_is_no_mistake(ask: Ask, view: Any, app: dict[str, str]) -> None:
    urls = type("Urls", (), {"urlpatterns": [path("open", view)]})
    with project(urls=urls):
        assert run_checks() == []
        assert ask("GET", "/open").status_code == 401
        assert ask("GET", "/open", headers=app).status_code == 200
        assert run_checks() == []  # also once method_decorator has been at work


def test_decorated_views_without_the_middleware(ask: Ask, app: dict[str, str]) -> None:
    """Nothing is open by mistake: a 500, which ``manage.py check`` says before."""
    urls = type("Urls", (), {"urlpatterns": [path("users", users), path("plain", optional)]})
    with project(middleware=[], urls=urls):
        (message,) = run_checks()
        assert (message.id, "test_django.users" in message.msg) == ("kinde_guard.E004", True)
        assert ask("GET", "/users", headers=app).status_code == 500
        assert ask("GET", "/plain").status_code == 200
        with pytest.raises(ConfigurationError, match=r"add 'kinde_guard\.django\.KindeGuardMiddleware' to MIDDLEWARE"):
            users(RequestFactory().get("/users"))


def test_a_decorator_goes_on_functions() -> None:
    with pytest.raises(ConfigurationError, match=r"method_decorator\(requires_…\(…\), name='dispatch'\)"):
        requires_scope("read:users")(Undecorated)
    with pytest.raises(ConfigurationError, match="decorates functions"):
        requires_scope("read:users")("users")  # type: ignore[type-var]
    with pytest.raises(ConfigurationError, match="without parentheses"):
        requires_auth()  # type: ignore[call-arg]
    with pytest.raises(ConfigurationError, match="a requirement is needed"):
        requires("read:users")  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="called without a request"):
        guarded("no request")


def test_every_decorator(ask: Ask, user: dict[str, str]) -> None:
    made = {
        "permission": requires_permission("view:stats"),
        "requirement": requires(scope("x") | permission("view:stats")),
        "org": requires_org(ORG),
    }
    urls = type("Urls", (), {"urlpatterns": [path(name, decorator(answer)) for name, decorator in made.items()]})
    with project(urls=urls):
        for name in made:
            assert ask("GET", f"/{name}", headers=user).status_code == 200
            assert ask("GET", f"/{name}", headers=bearer(mint(base=M2M))).status_code == 403


def test_the_token_is_verified_once(app: dict[str, str]) -> None:
    """By the middleware, the class and the method: one verdict a request, a refusal too."""
    told: list[object] = []
    observer = SimpleNamespace(observe=told.append)
    with project(guard_of(Issuer(), cache_size=0, observer=observer), public=[]):
        for ask in (over_wsgi, over_asgi):
            for token, status in ((app, 200), (bearer("for.ged.token"), 401)):
                assert ask("POST", "/dispatched", headers=token).status_code == status
                verdicts = [event for event in told if isinstance(event, Verified | Refused)]
                assert len(verdicts) == 1
                told.clear()


def test_no_loop_waits_for_keys() -> None:
    """While one request of an async view waits for keys, the loop answers others."""
    entered, go = threading.Event(), threading.Event()

    def slowly(request: httpx.Request) -> httpx.Response:
        entered.set()
        assert go.wait(LONG)
        return httpx.Response(200, content=Issuer().body)

    issuer = Issuer()
    issuer.transport = httpx.MockTransport(slowly)

    async def both(client: httpx.AsyncClient) -> list[int]:
        paths = ("/ausers", "/aplain", "/adispatched", "/adispatched/many", "/adispatching")
        waiting = [asyncio.create_task(client.get(path, headers=bearer(mint(base=M2M)))) for path in paths]
        while not entered.is_set():
            assert not any(task.done() for task in waiting)
            await asyncio.sleep(0.002)
        meanwhile = [await client.get(path) for path in ("/healthz", "/aplain", "/unknown")]
        assert not any(task.done() for task in waiting)
        go.set()
        return [answer.status_code for answer in (*meanwhile, *await asyncio.gather(*waiting))]

    with project(guard_of(issuer), public=["/healthz", "/adispatched", "/adispatched/many", "/adispatching"]):
        assert with_asgi_client(both) == [200, 401, 401, 200, 200, 200, 200, 200]


def test_an_async_project_with_middleware_for_threads(app: dict[str, str]) -> None:
    """Below it Django runs the guard, too, in a thread."""
    with project(public=[], middleware=[MIDDLEWARE, f"{__name__}.Answering"]):
        assert over_asgi("GET", "/aplain", headers=app).status_code == 200
        assert over_asgi("GET", "/aplain").status_code == 401


def test_expired_meanwhile(ask: Ask, app: dict[str, str]) -> None:
    time = Time()
    with project(guard_of(Issuer(), time), public=[]):
        assert ask("GET", "/plain", headers=app).status_code == 200
        time.passes(90_000)
        assert ask("GET", "/plain", headers=app).json()["detail"] == "The access token has expired."


def test_django_test_client(app: dict[str, str]) -> None:
    with project():
        client = Client(headers=app)
        assert client.get("/users").status_code == 200
        assert Client().get("/users").status_code == 401


def test_no_key_set_that_is_usable(ask: Ask, app: dict[str, str]) -> None:
    issuer = Issuer()
    issuer.body = key_set()
    with project(guard_of(issuer)):
        assert ask("GET", "/users", headers=app).status_code == 503
