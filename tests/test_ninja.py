"""Django Ninja: ``auth=KindeAuth(…)`` on an API, a router, an operation."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import httpx
import pytest
from django.core.checks import run_checks
from django.http import HttpRequest, HttpResponse
from django.test import override_settings
from django.urls import path
from django_project import MIDDLEWARE, Ask, bearer, over_asgi, over_wsgi, with_an_unread_body, with_asgi_client
from helpers import CLIENT, M2M, Issuer, guard_of, mint
from ninja import Body, NinjaAPI, Router
from ninja.errors import AuthenticationError
from ninja.security import APIKeyHeader
from ninja.testing import TestClient
from openapi_spec_validator import validate
from waiting import LONG

from kinde_guard import AuthError, ConfigurationError, Guard, permission, scope
from kinde_guard.django import requires_org, requires_scope
from kinde_guard.errors import KindeGuardError
from kinde_guard.ninja import KindeAuth

ORG = "org_1486622b2cd"
asked: list[str] = []
USERS = bearer(mint())
APPS = bearer(mint(base=M2M))  # with read:users and write:flags


def answer(request: HttpRequest) -> dict[str, str]:
    asked.append(request.path)
    token = request.auth
    return {"caller": getattr(token, "client_id", str(token))}


class Key(APIKeyHeader):
    param_name = "X-Key"

    def authenticate(self, request: HttpRequest, key: str | None) -> str | None:
        return "a key" if key == "right" else None


api = NinjaAPI(auth=KindeAuth(), urls_namespace="api")
router = Router(auth=KindeAuth(scope("write:flags")))


@api.get("/any")
def anybody(request: HttpRequest) -> dict[str, str]:
    return answer(request)


@api.get("/users", auth=KindeAuth(scope("read:users")))
def users(request: HttpRequest) -> dict[str, str]:
    return answer(request)


@api.get("/ausers", auth=KindeAuth(scope("read:users")))
async def ausers(request: HttpRequest) -> dict[str, str]:
    return answer(request)


@api.get("/keys", auth=[KindeAuth(scope("read:users")), Key()])
def keys(request: HttpRequest) -> dict[str, str]:
    return answer(request)


@api.get("/akeys", auth=[KindeAuth(scope("read:users")), Key()])
async def akeys(request: HttpRequest) -> dict[str, str]:
    return answer(request)


@api.get("/keyed", auth=Key())
def keyed(request: HttpRequest) -> dict[str, str]:
    return answer(request)


@api.get("/open", auth=None)
def opened(request: HttpRequest) -> str:
    return "open"


@api.get("/asking")
def asking(request: HttpRequest) -> dict[str, str]:
    request.auth.require(permission("view:secrets"))
    return answer(request)


@api.get("/orgs/{org_code}")
@requires_org(path="org_code")
def report(request: HttpRequest, org_code: str) -> dict[str, str]:
    return answer(request)


@api.get("/decorated", auth=None)
@requires_scope("read:users")
def decorated(request: HttpRequest) -> dict[str, str]:
    asked.append(request.path)
    return {"caller": request.kinde_token.client_id}


@api.get("/adecorated", auth=None)
@requires_scope("read:users")
async def adecorated(request: HttpRequest) -> dict[str, str]:
    asked.append(request.path)
    return {"caller": request.kinde_token.client_id}


@router.get("/flags")
def flags(request: HttpRequest) -> dict[str, str]:
    return answer(request)


@router.post("/flags")
def set_flags(request: HttpRequest) -> dict[str, str]:
    return answer(request)


api.add_router("/router", router)

restyled = NinjaAPI(auth=KindeAuth(scope("read:users")), urls_namespace="restyled")


@restyled.get("/users")
def restyled_users(request: HttpRequest) -> dict[str, str]:
    return answer(request)


@restyled.exception_handler(AuthError)
def in_our_words(request: HttpRequest, refusal: AuthError) -> HttpResponse:
    return HttpResponse("in our words", status=refusal.status, headers=refusal.headers)


@restyled.exception_handler(AuthenticationError)
def who_are_you(request: HttpRequest, error: AuthenticationError) -> HttpResponse:
    return HttpResponse("who are you?", status=401)


sending = NinjaAPI(auth=KindeAuth(scope("read:users")), urls_namespace="sending")


@sending.post("/sent")
def sent(request: HttpRequest, flags: Annotated[dict[str, bool], Body()]) -> dict[str, str]:
    return answer(request)


@sending.post("/asent")
async def asent(request: HttpRequest, flags: Annotated[dict[str, bool], Body()]) -> dict[str, str]:
    return answer(request)


urlpatterns = [path("api/", api.urls), path("sending/", sending.urls), path("restyled/", restyled.urls)]


@contextmanager
def project(
    guard: Guard | None = None, *, middleware: Any = (MIDDLEWARE,), urls: Any = None, **options: Any
) -> Iterator[None]:
    asked.clear()
    debug = options.pop("debug", False)
    options["guard"] = guard or guard_of(Issuer())
    changes = {"KINDE_GUARD": options, "MIDDLEWARE": list(middleware), "DEBUG": debug}
    with override_settings(ROOT_URLCONF=urls or __name__, **changes):
        yield


@pytest.fixture(params=[over_wsgi, over_asgi])
def ask(request: pytest.FixtureRequest) -> Ask:
    found: Ask = request.param
    return found


GUARDED = [
    "/api/users",
    "/api/ausers",
    "/api/keys",
    "/api/akeys",
    "/api/decorated",
    "/api/adecorated",
    "/api/router/flags",
]


@pytest.mark.parametrize("debug", [False, True])
@pytest.mark.parametrize("path", GUARDED)
def test_auth(ask: Ask, path: str, debug: bool) -> None:
    """Also with DEBUG on, where Ninja answers exceptions by a page of its own."""
    with project(debug=debug):
        stranger, lacking = ask("GET", path), ask("GET", path, headers=USERS)
        forged = ask("GET", path, headers=bearer("forged"))
        assert asked == []
        let_in = ask("GET", path, headers=APPS)
    assert let_in.json() == {"caller": CLIENT}
    assert (stranger.status_code, stranger.headers["WWW-Authenticate"]) == (401, 'Bearer realm="api"')
    assert (lacking.status_code, "insufficient_scope" in lacking.headers["WWW-Authenticate"]) == (403, True)
    assert (forged.status_code, "invalid_token" in forged.headers["WWW-Authenticate"]) == (401, True)
    for refusal in (lacking, forged):
        assert refusal.headers["Content-Type"] == "application/problem+json"


def test_without_the_middleware(ask: Ask) -> None:
    """What is said by ``auth=`` needs none."""
    with project(middleware=[]):
        for path in ("/api/users", "/api/ausers"):
            assert ask("GET", path).headers["WWW-Authenticate"] == 'Bearer realm="api"'
            assert ask("GET", path, headers=USERS).status_code == 403
            assert ask("GET", path, headers=APPS).status_code == 200


def test_another_way_in(ask: Ask) -> None:
    """Who has no token may be known to another one; a bad token is refused at once."""
    with project():
        for path in ("/api/keys", "/api/akeys"):
            assert ask("GET", path, headers={"X-Key": "right"}).json() == {"caller": "a key"}
            assert ask("GET", path, headers={"X-Key": "wrong"}).headers["WWW-Authenticate"] == 'Bearer realm="api"'
            assert ask("GET", path, headers={"X-Key": "right", **bearer("forged")}).status_code == 401
        assert ask("GET", "/api/open").json() == "open"
        assert "WWW-Authenticate" not in ask("GET", "/api/keyed").headers  # a token would let nobody in
        assert ask("GET", "/api/any", headers=USERS).status_code == 200


def test_deny_by_default(ask: Ask) -> None:
    with project(public=[]):
        assert ask("GET", "/api/open").status_code == ask("GET", "/api/openapi.json").status_code == 401
        assert ask("GET", "/api/open", headers=USERS).json() == "open"


@pytest.mark.parametrize("debug", [False, True])
def test_what_an_operation_demands_itself_is_a_403(ask: Ask, debug: bool) -> None:
    with project(debug=debug):
        refused = ask("GET", "/api/asking", headers=USERS)
        other = ask("GET", "/api/orgs/org_of_another", headers=USERS)
        assert ask("GET", f"/api/orgs/{ORG}", headers=USERS).status_code == 200
    for answer in (refused, other):
        assert (answer.status_code, answer.headers["Content-Type"]) == (403, "application/problem+json")


def test_an_outage_is_503_with_the_time_to_wait(ask: Ask) -> None:
    down = Issuer()
    down.status = 503
    with project(guard_of(down)):
        for path in ("/api/users", "/api/ausers"):
            answer = ask("GET", path, headers=APPS)
            assert (answer.status_code, int(answer.headers["Retry-After"]) >= 1) == (503, True)


@pytest.mark.parametrize("path", ["/sending/sent", "/sending/asent"])
def test_a_refused_body_is_not_read(path: str) -> None:
    """Under WSGI, where it is still on its way."""
    with project():
        for status, headers in ((401, {}), (401, bearer("forged")), (403, USERS)):
            refused = with_an_unread_body(path, headers={"Content-Type": "application/json", **headers})
            assert (refused.status_code, refused.headers["WWW-Authenticate"][:6]) == (status, "Bearer")
        assert asked == []
        assert over_wsgi("POST", path, headers=APPS, json={"dark": True}).status_code == 200
        assert over_wsgi("POST", path, headers=APPS, json="none").status_code == 422


def test_two_authorization_headers_are_400() -> None:
    with project():
        for path in ("/api/users", "/api/ausers"):
            assert over_asgi("GET", path, headers=[*APPS.items(), *APPS.items()]).status_code == 400


def test_handlers_of_the_project_come_first(ask: Ask) -> None:
    with project():
        refused = ask("GET", "/restyled/users", headers=USERS)
        assert (refused.status_code, refused.text) == (403, "in our words")
        stranger = ask("GET", "/restyled/users")
        assert (stranger.status_code, stranger.text) == (401, "who are you?")
        assert stranger.headers["WWW-Authenticate"] == 'Bearer realm="api"'


own = NinjaAPI(auth=KindeAuth(scope("read:users")), urls_namespace="own")


@own.get("/users")
def own_users(request: HttpRequest) -> dict[str, str]:
    return answer(request)


@own.exception_handler(KindeGuardError)
def whatever_is_ours(request: HttpRequest, error: KindeGuardError) -> HttpResponse:
    return HttpResponse(type(error).__name__, status=418)


def test_a_handler_for_all_that_is_ours_comes_first_too(ask: Ask) -> None:
    urls = type("Urls", (), {"urlpatterns": [path("", own.urls)]})
    with project(urls=urls):
        assert (ask("GET", "/users", headers=USERS).status_code, ask("GET", "/users").status_code) == (418, 401)


def test_metadata_is_named_in_challenges(ask: Ask) -> None:
    with project(resource="https://api.acme.com"):
        for token in ({}, USERS):
            assert "resource_metadata=" in ask("GET", "/api/users", headers=token).headers["WWW-Authenticate"]
        found = ask("GET", "/.well-known/oauth-protected-resource").json()
    assert found["scopes_supported"] == ["read:users", "write:flags"]


def test_ninja_s_test_client() -> None:
    """Its requests are mocks, which have an answer for whoever asks; with neither middleware nor routes."""
    with project():
        client = TestClient(router)
        assert client.get("/flags", headers=APPS).status_code == 200
        assert client.get("/flags").status_code == 401
        assert client.get("/flags", headers=USERS).status_code == 403


def test_openapi() -> None:
    document = api.get_openapi_schema(path_prefix="/api/")
    validate({**document, "paths": {}})
    security = {path: item["get"].get("security") for path, item in document["paths"].items()}
    assert security["/api/users"] == security["/api/router/flags"] == [{"KindeAuth": []}]
    assert security["/api/open"] is None
    scheme = document["components"]["securitySchemes"]["KindeAuth"]
    assert (scheme["type"], scheme["scheme"], scheme["bearerFormat"]) == ("http", "bearer", "JWT")


def test_no_loop_waits_for_keys() -> None:
    entered, go = threading.Event(), threading.Event()

    def slowly(request: httpx.Request) -> httpx.Response:
        entered.set()
        assert go.wait(LONG)
        return httpx.Response(200, content=Issuer().body)

    issuer = Issuer()
    issuer.transport = httpx.MockTransport(slowly)

    async def both(client: httpx.AsyncClient) -> list[int]:
        waiting = asyncio.create_task(client.get("/api/ausers", headers=APPS))
        while not entered.is_set():
            assert not waiting.done()
            await asyncio.sleep(0.002)
        meanwhile = [await client.get(path) for path in ("/api/ausers", "/api/akeys")]
        assert not waiting.done()
        go.set()
        return [answer.status_code for answer in (*meanwhile, await waiting)]

    with project(guard_of(issuer)):
        assert with_asgi_client(both) == [401, 401, 200]


bare_api = NinjaAPI(urls_namespace="bare")


@requires_scope("read:users")
@bare_api.get("/bare")
def bare(request: HttpRequest) -> dict[str, str]:
    return answer(request)


def test_a_decorator_above_the_route_is_found(ask: Ask, caplog: pytest.LogCaptureFixture) -> None:
    urls = type("Urls", (), {"urlpatterns": [path("", bare_api.urls)]})
    with project(urls=urls), caplog.at_level(logging.CRITICAL, "django.request"):
        (message,) = run_checks()
        assert (message.id, "test_ninja.bare" in message.msg) == ("kinde_guard.E003", True)
        assert ask("GET", "/bare").status_code == 500
    assert asked == []


def test_a_wrong_requirement() -> None:
    with pytest.raises(ConfigurationError, match="a requirement is needed"):
        KindeAuth("read:users")  # type: ignore[arg-type]
