"""Every route of a Django project and what it demands, and the testing kit in front of one."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import test_django
import test_drf
import test_ninja
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from django.test import AsyncClient, Client, RequestFactory, override_settings
from django.urls import include, path, re_path
from django_project import CORS, MIDDLEWARE
from helpers import Issuer, guard_of
from servers import clean_environment
from starlette.testclient import TestClient
from waiting import LONG

from kinde_guard import ConfigurationError, Requirement, org, scope
from kinde_guard.hostile import assert_resists_hostile_tokens
from kinde_guard.hostile.clients import asking, takes_api_keys, webhook_path_of
from kinde_guard.hostile.forge import Forge
from kinde_guard.hostile.trial import api_key_findings
from kinde_guard.issuer import LocalIssuer
from kinde_guard.routes import routes_of
from kinde_guard.testing import (
    api_keys_for,
    assert_no_unprotected_routes,
    assert_requires,
    caller,
    headers,
    mint,
    trust,
)

urlpatterns = [
    path("drf/", include((test_drf.urlpatterns, "drf"))),
    path("", include((test_django.urlpatterns, "django"))),
    path("ninja/", test_ninja.api.urls),
    re_path(r"^files/(?P<name>.+)/(?:raw|shown)/$", test_django.plain),
]


@contextmanager
def project(urls: Any = __name__, middleware: Any = (MIDDLEWARE,), **options: Any) -> Iterator[None]:
    test_django.asked.clear()
    options.setdefault("guard", guard_of(Issuer()))
    with override_settings(ROOT_URLCONF=urls, KINDE_GUARD=options, MIDDLEWARE=list(middleware)):
        yield


def listed(**options: Any) -> dict[tuple[str, str], tuple[str, str]]:
    """By methods and path: the kind, and the demand."""
    with project(**options):
        found = routes_of(get_wsgi_application())
        assert found == routes_of(get_asgi_application())
    return {(" ".join(route.methods), route.path): (route.kind, _shown(route.demand)) for route in found}


def _shown(demand: Requirement | None) -> str:
    return "" if demand is None else str(demand)


USERS, FLAGS = "scope('read:users')", "scope('write:flags')"
BOTH = "scope('read:users', 'write:flags')"


@pytest.mark.parametrize(("route", "shown"), [
    (("", "/users"), ("protected", USERS)),
    (("", "/ausers"), ("protected", USERS)),
    (("", "/stacked"), ("protected", "scope('write:flags', 'read:users')")),
    (("", "/orgs/<org_code>/report"), ("protected", "org(path='org_code')")),
    (("", "/codes/<org_code>"), ("protected", "org(path='org_code')")),
    (("GET", "/decorated"), ("protected", USERS)),
    (("POST", "/decorated"), ("protected", "scope('write:flags', 'read:users')")),
    (("GET", "/dispatched"), ("protected", USERS)),
    (("POST", "/dispatched"), ("protected", BOTH)),
    (("GET", "/around"), ("protected", USERS)),
    (("", "/plain"), ("unprotected", "")),
    (("", "/optional"), ("unprotected", "")),
    (("", "/cached"), ("protected", USERS)),
    (("GET", "/drf/default"), ("protected", "any valid token")),
    (("GET", "/drf/open"), ("optional", "")),
    (("GET", "/drf/scope"), ("protected", USERS)),
    (("GET", "/drf/two"), ("protected", BOTH)),
    (("GET", "/drf/function"), ("protected", USERS)),
    (("GET", "/drf/function/decorated"), ("protected", USERS)),
    (("GET", "/drf/router/users/"), ("protected", USERS)),
    (("GET", "/drf/router/users/flags/"), ("protected", FLAGS)),
    (("GET", "/drf/keys"), ("optional", "")),
    (("GET", "/drf/keys/scope"), ("protected", USERS)),
    (("GET", "/drf/and"), ("protected", USERS)),
    (("GET", "/drf/or"), ("optional", "")),
    (("GET", "/drf/either"), ("protected", "scope('read:users') | permission('view:stats')")),
    (("POST", "/drf/decorated"), ("protected", FLAGS)),
    (("GET", "/ninja/users"), ("protected", USERS)),
    (("GET", "/ninja/ausers"), ("protected", USERS)),
    (("GET", "/ninja/keys"), ("optional", "")),
    (("GET", "/ninja/decorated"), ("protected", USERS)),
    (("GET", "/ninja/orgs/<org_code>"), ("protected", "org(path='org_code')")),
    (("POST", "/ninja/router/flags"), ("protected", FLAGS)),
    (("GET", "/ninja/open"), ("unprotected", "")),
])  # fmt: skip
def test_what_each_route_demands(route: tuple[str, str], shown: tuple[str, str]) -> None:
    kind, demand = listed()[route]
    assert kind == shown[0]
    assert set(demand.split(" & ")) == set(shown[1].split(" & "))


def test_a_regular_expression_may_take_slashes() -> None:
    """What cannot be read for certain may be reached by any public path below."""
    assert ("", "/files/<path:name>/<path:any>/") in listed()


def test_the_gate_and_what_stands_in_front_of_it() -> None:
    found = listed(middleware=["django.middleware.security.SecurityMiddleware", CORS, MIDDLEWARE], public=["/healthz"])
    assert found["", "/healthz"][0] == "public"
    assert found["", "/plain"] == ("protected", "any valid token")
    assert found["", "/users"] == ("protected", USERS)
    assert [kind for kind, _ in listed(public=[]).values()].count("protected") == len(listed(public=[]))
    with project(middleware=["django.middleware.security.SecurityMiddleware", CORS, MIDDLEWARE], public=[]):
        outside = [route.where for route in routes_of(get_wsgi_application()) if route.kind == "outside"]
    assert outside == ["django.middleware.security.SecurityMiddleware", CORS]


def test_what_the_guard_answers_itself() -> None:
    with project(type("Urls", (), {"urlpatterns": []}), healthz="/up", webhooks="/webhooks/kinde", on_event=print):
        assert [(str(route), route.kind) for route in routes_of(get_wsgi_application())] == [
            ("GET /up", "public"),
            ("POST /webhooks/kinde", "public"),
        ]
    with project(type("Urls", (), {"urlpatterns": []}), middleware=(), webhooks="/webhooks/kinde", on_event=print):
        assert routes_of(get_wsgi_application()) == []


def test_what_is_not_enforced() -> None:
    urls = type("Urls", (), {"urlpatterns": [
        path("bare", test_django.bare), path("order", test_django.WrongOrder.as_view()),
        path("forgetful", test_django.Forgetful.as_view()),
    ]})  # fmt: skip
    kinds = {path: kind for (_, path), (kind, _) in listed(urls=urls).items()}
    assert kinds == dict.fromkeys(["/bare", "/order", "/forgetful"], "misplaced")
    without = {path: kind for (_, path), (kind, _) in listed(middleware=[]).items()}
    assert without["/users"] == without["/ninja/decorated"] == "misplaced"
    assert without["/drf/scope"] == without["/ninja/users"] == "protected"
    with project(urls=urls), pytest.raises(AssertionError, match="/order: its decorator is above"):
        assert_no_unprotected_routes(get_wsgi_application())


def test_no_route_was_forgotten() -> None:
    with project(public=["/healthz"]):
        assert_no_unprotected_routes(get_wsgi_application())
    with project(), pytest.raises(AssertionError, match="/plain: unprotected"):
        assert_no_unprotected_routes(get_wsgi_application())


def test_the_command_line() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "kinde_guard", "routes", "examples.django_app.wsgi:application", "--fail-unprotected"],
        cwd=Path(__file__).parents[2], env=clean_environment(), capture_output=True, text=True, timeout=LONG,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    lines = {tuple(line.split()[:2]): line for line in done.stdout.splitlines()}
    assert "public" in lines["ANY", "/healthz"]
    assert USERS in lines["GET", "/ninja/users"]
    assert FLAGS in lines["POST", "/flags"]
    assert "examples.django_app.views:users" in lines["ANY", "/users"]


@pytest.mark.parametrize("of", [Client, RequestFactory, AsyncClient])
def test_callers(of: Any, no_settings: None) -> None:
    """Whichever of the clients is named, the project has one guard; and needs no settings."""
    with override_settings(ROOT_URLCONF=__name__, KINDE_GUARD={}, MIDDLEWARE=[MIDDLEWARE]):
        with caller(of(), scope="read:users") as token:
            client = Client()
            assert client.get("/users").content.decode() == token.client_id
            assert client.get("/drf/scope").status_code == client.get("/ninja/users").status_code == 200
            assert client.get("/drf/two").status_code == client.post("/dispatched").status_code == 403
        with pytest.raises(ConfigurationError):
            Client().get("/users")


@pytest.mark.parametrize("of", [get_wsgi_application, get_asgi_application])
def test_callers_by_application(of: Any) -> None:
    with project(), caller(of(), scope="write:flags"):
        assert Client().get("/users").status_code == 403


def test_fixtures(kinde_caller: Any, kinde_issuer: LocalIssuer, kinde_trust: Any) -> None:
    with project():
        client = Client()
        kinde_caller(client, scope="write:flags")
        assert client.get("/users").status_code == 403
        kinde_trust(client)
        token = mint(kinde_issuer, scope="read:users")
        assert client.get("/users", headers=headers(token)).status_code == 200
        assert client.get("/users").status_code == 401


def test_assert_requires() -> None:
    client = Client()
    with project():
        for route in ("/users", "/drf/scope", "/ninja/users", "/decorated"):
            assert_requires(client, "GET", route, scope("read:users"))
        assert_requires(client, "POST", "/drf/decorated", scope("write:flags"), request={"json": {"on": True}})
        assert_requires(client, "GET", "/orgs/org_1/report", org("org_1"))
        assert_requires(client, "GET", "/drf/default")
        with pytest.raises(AssertionError, match="does not require exactly"):
            assert_requires(client, "GET", "/users", scope("write:users"))
        with pytest.raises(AssertionError, match="does not require exactly"):
            assert_requires(client, "GET", "/plain", scope("read:users"))


@pytest.mark.parametrize("route", ["/users", "/ausers", "/drf/scope", "/ninja/users", "/ninja/ausers"])
@pytest.mark.parametrize("over", ["Django's test client", "ASGI"])
def test_it_resists_hostile_tokens(route: str, over: str) -> None:
    issuer = LocalIssuer("https://local.kinde.test")
    with project(public=["/healthz"]), trust(get_asgi_application(), issuer):
        client: Any = Client() if over == "Django's test client" else TestClient(get_asgi_application())
        assert_resists_hostile_tokens(client, route, issuer=issuer)


@pytest.mark.parametrize("client", [Client, lambda: TestClient(get_asgi_application())], ids=["Django's", "ASGI"])
def test_it_resists_hostile_api_keys(client: Any) -> None:
    """Where the project takes keys, which is seen; without them it is as before."""
    issuer = LocalIssuer("https://local.kinde.test")
    with project(public=["/healthz"], webhooks="/hooks", on_event=print):
        with trust(Client(), issuer):
            assert not takes_api_keys(client())
            assert webhook_path_of(client()) == "/hooks"
        with trust(Client(), issuer, api_keys=api_keys_for(issuer)), asking(client(), "/users", "GET") as ask:
            assert takes_api_keys(client())
            found, count = api_key_findings(ask, Forge(issuer, issuer.audience, "read:users"), "/users")
    assert (found, count > 60) == ([], True)


def test_who_lets_strangers_in_is_found() -> None:
    issuer = LocalIssuer("https://local.kinde.test")
    with project(), trust(Client(), issuer), pytest.raises(AssertionError, match="were answered wrongly"):
        assert_resists_hostile_tokens(Client(), "/optional", issuer=issuer)
