"""Forward auth: the requirement stands in the path that the proxy calls; nothing that a caller writes changes it."""

from __future__ import annotations

import logging
from typing import Any
from urllib.parse import unquote

import asgi_calls
import pytest
from asgi_calls import Reply
from helpers import Issuer, Time, guard_of, mint
from starlette.testclient import TestClient

from kinde_guard import ConfigurationError, flag, permission, scope
from kinde_guard.forward import ForwardAuth, requirement_in
from kinde_guard.requirements import authenticated
from kinde_guard.testing import assert_resists_hostile_tokens, guard_for, local_issuer


def ask(app: ForwardAuth, path: str, *headers: tuple[str, str], method: str = "GET") -> Reply:
    """As a proxy writes it, letter by letter."""
    path, _, query = path.partition("?")
    raw: dict[str, Any] = {"raw_path": path.encode(), "query_string": query.encode(), "method": method}
    lower = [(name.lower(), value) for name, value in headers]
    return asgi_calls.ask(app, unquote(path), headers=lower, **raw)


def bearer(**changes: Any) -> tuple[str, str]:
    return "Authorization", f"Bearer {mint(changes)}"


@pytest.fixture
def app() -> ForwardAuth:
    return ForwardAuth(guard_of(Issuer()))


@pytest.mark.parametrize(
    ("path", "requirement"),
    [
        ("/verify/authenticated", authenticated),
        ("/verify/scope=read:users", scope("read:users")),
        ("/verify/scope=read%3Ausers", scope("read:users")),
        ("/verify/permission=view%20report", permission("view report")),
        ("/verify/permission=a%2Fb", permission("a/b")),
        ("/verify/permission=a%2525", permission("a%25")),
        ("/verify/permission=%22quoted%22%26", permission('"quoted"&')),
        ("/verify/flag=beta", flag("beta")),
        ("/verify/flag=beta=false", flag("beta", False)),
        ("/verify/flag=theme=dark%20mode", flag("theme", "dark mode")),
        ("/verify/flag=limit=5", flag("limit", 5)),
        ("/verify/scope=a/scope=b/permission=c", scope("a") & scope("b") & permission("c")),
    ],
)
def test_the_path_is_the_requirement(path: str, requirement: object) -> None:
    assert str(requirement_in(path)) == str(requirement)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/verify", 500),
        ("/verify/scop=read", 500),
        ("/verify/scope", 500),
        ("/verify/scope=", 500),
        ("/verify/Scope=read", 500),
        ("/verify/authenticated=yes", 500),
        ("/verify/scope=a b", 500),
        ("/verify/scope=%zz", 500),
        ("/verify/scope=%ff", 500),
        ("/verify/scope=read/", 404),
        ("/verify//scope=read", 404),
        ("/verify/scope=read//authenticated", 404),
        ("/verify/scope=read/../authenticated", 404),
        ("/verify/scope=read/%2e%2e/authenticated", 404),
        ("/verify/scope=read/./authenticated", 404),
        ("/verify/scope=read/users", 500),  # what a proxy appends, as Envoy's HTTP mode does
        ("/verify/authenticated/verify/authenticated", 500),
        ("/verify/authenticated/", 404),
        ("/", 404),
        ("/verifyx/authenticated", 404),
        ("/VERIFY/authenticated", 404),
        ("/other", 404),
    ],
)
def test_what_is_no_requirement_lets_nobody_in(app: ForwardAuth, path: str, status: int) -> None:
    answer = ask(app, path, bearer())
    assert (answer.status, answer.headers["cache-control"]) == (status, "no-store")


@pytest.mark.parametrize(
    "appended", ["/authenticated", "/machine", "/scope=read:users", "/authenticated/scope=read:users"]
)
def test_what_a_proxy_appends_to_the_path_can_only_add(app: ForwardAuth, appended: str) -> None:
    assert ask(app, f"/verify/scope=write:all{appended}", bearer()).status == 403
    assert ask(app, "/verify/authenticated/scope=write:all", bearer()).status == 403


@pytest.mark.parametrize(
    "query", ["authenticated", "scope=", "/verify/authenticated", "permission=x", "scope=a&scope=read:users", "%2e%2e"]
)
def test_the_query_is_ignored(app: ForwardAuth, query: str) -> None:
    """Some proxies hand on the caller's own."""
    assert ask(app, f"/verify/scope=write:all?{query}", bearer()).status == 403
    assert ask(app, f"/verify?{query}", bearer()).status == 500
    assert ask(app, f"/verify/authenticated?{query}", bearer()).status == 200


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("X-Forwarded-Uri", "/healthz"),
        ("X-Original-URI", "/verify/authenticated"),
        ("X-Forwarded-Prefix", "/verify/authenticated"),
        ("X-Forwarded-Method", "OPTIONS"),
        ("X-Forwarded-Host", "PUBLIC.acme.com"),
        ("Host", "Api.Acme.Com"),
        ("X-Forwarded-User", "root"),
        ("X_Forwarded_User", "root"),
        ("X-Kinde-Subject", "root"),
        ("X_Kinde_Subject", "root"),
        ("X-Kinde-Scopes", "write:all"),
    ],
)
def test_nothing_that_a_request_says_about_itself_is_believed(name: str, value: str) -> None:
    """Neither where it goes, by host or path, nor who sends it; and no answer repeats it."""
    app = ForwardAuth(guard_of(Issuer()), identity_headers=True)
    assert ask(app, "/verify/authenticated", (name, value)).status == 401
    assert ask(app, "/verify/scope=write:all", bearer(), (name, value)).status == 403
    allowed = ask(app, "/verify/authenticated", bearer(), (name, value))
    assert (allowed.status, allowed.headers) == (200, ask(app, "/verify/authenticated", bearer()).headers)
    assert value not in allowed.headers.values()


def test_verdicts(app: ForwardAuth) -> None:
    """As of an API: status, challenge and body."""
    path = "/verify/scope=read:users/permission=view:report"
    assert ask(app, path).headers["www-authenticate"] == 'Bearer realm="api"'
    refused = ask(app, path, bearer(scope="other"))
    assert refused.status == 403
    assert 'scope="read:users"' in refused.headers["www-authenticate"]
    assert refused.json["detail"]
    allowed = ask(app, path, bearer(scope="read:users", permissions=["view:report"]))
    assert (allowed.status, allowed.body, allowed.headers["cache-control"]) == (200, b"", "no-store")
    assert ask(app, path, bearer(), bearer()).status == 400
    assert ask(app, path, ("Authorization", f"{bearer()[1]}, {bearer()[1]}")).status == 400


def test_cannot_tell() -> None:
    issuer, time = Issuer(), Time()
    issuer.status = 503
    answer = ask(ForwardAuth(guard_of(issuer, time)), "/verify/authenticated", bearer())
    assert (answer.status, int(answer.headers["retry-after"]) > 0) == (503, True)


def test_as_nginx_understands_it() -> None:
    app = ForwardAuth(guard_of(Issuer()), statuses="nginx")
    assert ask(app, "/verify/authenticated", bearer(), bearer()).status == 401
    assert ask(app, "/verify/scope=x", bearer()).status == 403


@pytest.mark.parametrize("name", ["X-Original-URI", "X-Original-URL", "X-Forwarded-Uri"])
@pytest.mark.parametrize(
    "original",
    [
        "/x/../admin",
        "/x/..;/admin",
        "/x/..%2fadmin",
        "/x/%2e%2e/admin",
        "//admin",
        "/a\\b",
        "/a;b",
        "/a%252e",
        "/.",
        "/a%00",
        "/admin%2fusers",
        "/admin%2Fusers",
        "/%c0%ae%c0%ae",
    ],
)
def test_a_path_that_two_read_in_two_ways_is_refused(app: ForwardAuth, name: str, original: str) -> None:
    for written in (original, f"https://api.example.com{original}", f"{original}?x=1"):
        assert ask(app, "/verify/authenticated", bearer(), (name, written)).status == 403


@pytest.mark.parametrize(
    "original", ["/", "/users/1", "/a%20b", "/a.b/c..d", "/x?next=/../y;z%25", "https://api.example.com/users"]
)
def test_what_the_original_path_says_opens_and_closes_nothing(app: ForwardAuth, original: str) -> None:
    assert ask(app, "/verify/authenticated", bearer(), ("X-Original-URI", original)).status == 200
    assert ask(app, "/verify/scope=x", bearer(), ("X-Original-URI", original)).status == 403


def test_identity_headers_are_asked_for_and_then_all_are_set() -> None:
    guard = guard_of(Issuer())
    assert not any(
        name.startswith("x-kinde") for name in ask(ForwardAuth(guard), "/verify/authenticated", bearer()).headers
    )
    app = ForwardAuth(guard, identity_headers=True)
    said = ask(app, "/verify/authenticated", bearer(org_code=None, permissions=["a b", "c"])).headers
    assert (said["x-kinde-org-code"], said["x-kinde-permissions"]) == ("", "a%20b c")
    assert {name for name in said if name.startswith("x-kinde")} == {
        *("x-kinde-subject", "x-kinde-client-id", "x-kinde-org-code"),
        *("x-kinde-issuer", "x-kinde-scopes", "x-kinde-permissions"),
    }
    odd = ask(app, "/verify/authenticated", bearer(org_code="é\r\nX-Kinde-Subject: root %")).headers
    assert odd["x-kinde-org-code"] == "%C3%A9%0D%0AX-Kinde-Subject:%20root%20%25"


def test_a_mistake_of_the_proxys_is_told_once(app: ForwardAuth, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR, "kinde_guard"):
        for _ in range(3):
            ask(app, "/verify/scop=read", bearer())
    assert [
        "the proxy asks for '/verify/scop=read': 'scop=read' is no requirement" in line for line in caplog.messages
    ] == [True]


def test_wrong_settings_are_told_at_once() -> None:
    with pytest.raises(ConfigurationError, match="statuses='envoy' is none of 'plain', 'nginx'"):
        ForwardAuth(statuses="envoy")  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="audiense"):
        ForwardAuth(audiense="x")  # type: ignore[call-arg]


def test_it_resists_hostile_tokens() -> None:
    issuer = local_issuer()
    app = ForwardAuth(guard_for(issuer))

    with TestClient(app) as client:
        assert_resists_hostile_tokens(client, "/verify/scope=read:users", issuer=issuer, scope="read:users")


def test_health_checks_and_websockets() -> None:
    """The first need no token; the second are no way in."""
    app = ForwardAuth(guard_of(Issuer()), healthz="/healthz", readyz="/readyz")
    assert [ask(app, path).status for path in ("/healthz", "/readyz", "/verify/authenticated")] == [200, 503, 401]
    closed = asgi_calls.talk(app, asgi_calls.websocket("/verify/authenticated", [bearer()]))
    assert [message["type"] for message in closed.sent] == ["websocket.close"]
