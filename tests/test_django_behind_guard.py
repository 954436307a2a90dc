"""Both middlewares around a Django project, which itself knows nothing of the guard: under WSGI and under ASGI."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse
from django.test import override_settings
from django.urls import path
from django.utils.log import AdminEmailHandler
from django_project import bearer
from helpers import CLIENT, M2M, Issuer, guard_of, mint
from werkzeug.test import Client

from kinde_guard import AccessToken, Guard, asgi, scope, wsgi
from kinde_guard.hostile import assert_resists_hostile_tokens
from kinde_guard.issuer import LocalIssuer

PREFLIGHT = {"Origin": "https://app.example", "Access-Control-Request-Method": "POST"}
asked: list[str] = []


def token_of(request: HttpRequest) -> AccessToken | None:
    """Under ASGI the request has the scope, under WSGI its META is the environ."""
    place: Any = getattr(request, "scope", request.META)
    token: AccessToken | None = place.get("kinde_guard.token")
    return token


def whoami(request: HttpRequest) -> HttpResponse:
    asked.append(request.path)
    token = token_of(request)
    return HttpResponse(token.client_id if token else f"nobody {request.body.decode()}")


async def awhoami(request: HttpRequest) -> HttpResponse:
    return whoami(request)


def broken(request: HttpRequest) -> HttpResponse:
    return HttpResponse("Django's own", status=403)


def failing(request: HttpRequest) -> HttpResponse:
    raise RuntimeError("a mistake of the app's")


urlpatterns = [
    path("failing", failing),
    path("whoami", whoami),
    path("awhoami", awhoami),
    path("healthz", whoami),
    path("static/<path:name>", lambda request, name: whoami(request)),
    path("forbidden", broken),
]

Ask = Callable[..., httpx.Response]


@pytest.fixture(autouse=True)
def project() -> Iterator[None]:
    with override_settings(ROOT_URLCONF=__name__):
        yield


def warnings_in(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    """But for those of keys, which the thread of an earlier test may log."""
    found = [record for record in caplog.records if record.levelno == logging.WARNING and record.name == "kinde_guard"]
    return [record for record in found if not record.message.startswith("keys of ")]


def over_wsgi(guard: Guard, **options: Any) -> Ask:
    application = wsgi.GuardMiddleware(get_wsgi_application(), guard, public=["/healthz", "/static/*"], **options)

    def ask(method: str, path: str, **kwargs: Any) -> httpx.Response:
        transport = httpx.WSGITransport(application, wsgi_errors=sys.stderr)
        with httpx.Client(transport=transport, base_url="http://testserver") as client:
            return client.request(method, path, **kwargs)

    return ask


def over_asgi(guard: Guard, **options: Any) -> Ask:
    application = asgi.GuardMiddleware(get_asgi_application(), guard, public=["/healthz", "/static/*"], **options)

    async def aask(method: str, path: str, **kwargs: Any) -> httpx.Response:
        transport = httpx.ASGITransport(application)
        async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:
            return await client.request(method, path, **kwargs)

    return lambda method, path, **kwargs: asyncio.run(aask(method, path, **kwargs))


@pytest.fixture(params=[over_wsgi, over_asgi])
def serve(request: pytest.FixtureRequest) -> Callable[..., Ask]:
    """Django behind a guard, under WSGI and under ASGI; the options are those of the middleware."""
    asked.clear()
    over: Callable[..., Ask] = request.param
    return lambda **options: over(guard_of(Issuer()), **options)


@pytest.mark.parametrize("path", ["/whoami", "/awhoami"])
def test_token(serve: Callable[..., Ask], path: str) -> None:
    """Django is asked with a good token alone, and finds it in the request."""
    ask = serve()
    assert ask("GET", path).status_code == 401
    assert ask("GET", path, headers=bearer(mint({"exp": 1}))).status_code == 401
    assert ask("POST", path, content=b"never read").status_code == 401
    assert asked == []
    assert ask("GET", path, headers=bearer(mint())).text == CLIENT


def test_form_of_refusals(serve: Callable[..., Ask]) -> None:
    answer = serve()("GET", "/whoami")
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="api"'
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["error"] == "missing_token"


def test_public(serve: Callable[..., Ask]) -> None:
    """What is public is Django's own affair, its body included."""
    ask = serve()
    assert ask("POST", "/healthz", content=b"sent this").text == "nobody sent this"
    assert ask("GET", "/static/app.js").status_code == 200
    assert ask("GET", "/static/..%2fwhoami").status_code == 401
    assert ask("GET", "/unknown").status_code == 401
    assert ask("GET", "/unknown", headers=bearer(mint())).status_code == 404


def test_requires(serve: Callable[..., Ask]) -> None:
    ask = serve(requires=scope("read:users"))
    assert ask("GET", "/whoami", headers=bearer(mint())).status_code == 403
    assert ask("GET", "/whoami", headers=bearer(mint(base=M2M))).text == CLIENT


@pytest.mark.parametrize("path", ["/whoami", "/awhoami", "/unknown"])
def test_a_forged_preflight_runs_no_view(
    serve: Callable[..., Ask], path: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Django has no answer of its own to OPTIONS: a function view would run for whoever writes three headers."""
    ask = serve()
    for headers in ({}, PREFLIGHT, PREFLIGHT, {**PREFLIGHT, **bearer("forged")}):
        assert ask("OPTIONS", path, headers=headers).status_code == 401
    assert serve(requires=scope("read:users"))("OPTIONS", path, headers=PREFLIGHT).status_code == 401
    assert asked == []
    assert ["a CORS preflight was refused" in record.message for record in warnings_in(caplog)] == [True, True]


@pytest.fixture
def cors() -> Iterator[None]:
    """django-cors-headers, as its documentation has it."""
    middleware = ["corsheaders.middleware.CorsMiddleware", "django.middleware.common.CommonMiddleware"]
    with override_settings(MIDDLEWARE=middleware, CORS_ALLOWED_ORIGINS=[PREFLIGHT["Origin"]]):
        yield


@pytest.mark.usefixtures("cors")
def test_django_cors_headers(serve: Callable[..., Ask], caplog: pytest.LogCaptureFixture) -> None:
    """Inside of the guard it answers every preflight, if those are let through, and no view runs."""
    ask = serve(pass_preflights=True)
    answer = ask("OPTIONS", "/whoami", headers=PREFLIGHT)
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["Access-Control-Allow-Origin"] == PREFLIGHT["Origin"]
    for headers in ({}, {"Origin": PREFLIGHT["Origin"]}, {**PREFLIGHT, "X-HTTP-Method-Override": "GET"}):
        assert ask("OPTIONS", "/whoami", headers=headers).status_code == 401
    assert asked == []
    answer = ask("GET", "/whoami", headers={"Origin": PREFLIGHT["Origin"], **bearer(mint())})
    assert (answer.text, answer.headers["Access-Control-Allow-Origin"]) == (CLIENT, PREFLIGHT["Origin"])
    assert warnings_in(caplog) == []


@pytest.mark.usefixtures("cors")
def test_django_cors_headers_without_the_opt_in(serve: Callable[..., Ask], caplog: pytest.LogCaptureFixture) -> None:
    """Start-up says that it is not asked, and what to do."""
    assert serve()("OPTIONS", "/whoami", headers=PREFLIGHT).status_code == 401
    first, last = [record.message for record in warnings_in(caplog)]
    assert first.startswith(
        "corsheaders.middleware.CorsMiddleware cannot answer preflights, because the guard in front"
    )
    assert "a CORS preflight was refused" in last
    assert "pass_preflights=True" in first
    assert "pass_preflights=True" in last


def resists(issuer: LocalIssuer, **options: Any) -> None:
    guard = Guard(issuer.url, audience=issuer.audience, transport=issuer.transport, variables=())
    application = wsgi.GuardMiddleware(get_wsgi_application(), guard, requires=scope("read:users"), **options)
    assert_resists_hostile_tokens(Client(application), "/whoami", issuer=issuer)


def test_it_resists_hostile_tokens() -> None:
    resists(LocalIssuer("https://local.kinde.test"))


@pytest.mark.usefixtures("cors")
def test_it_resists_hostile_tokens_with_django_cors_headers() -> None:
    resists(LocalIssuer("https://local.kinde.test"), pass_preflights=True)


def test_who_lets_preflights_pass_and_answers_none_is_found() -> None:
    with pytest.raises(AssertionError, match=r"\* a forged preflight\n *expected: 401 without an error code, or an"):
        resists(LocalIssuer("https://local.kinde.test"), pass_preflights=True)


def test_djangos_own_answers(serve: Callable[..., Ask]) -> None:
    """A refusal by Django stays Django's."""
    answer = serve()("GET", "/forbidden", headers=bearer(mint()))
    assert (answer.status_code, answer.text) == (403, "Django's own")
    assert "WWW-Authenticate" not in answer.headers


@pytest.mark.parametrize("over", [over_wsgi, over_asgi])
def test_the_mail_to_the_admins_shows_no_token(over: Any, caplog: pytest.LogCaptureFixture) -> None:
    """Django hides the header, and prints everything else that is in the environ."""
    token = mint(base=M2M)
    guard = guard_of(Issuer())
    mails: list[str] = []

    class Mailing(AdminEmailHandler):  # type: ignore[misc]
        def send_mail(self, subject: str, message: str, *args: Any, html_message: str = "", **kwargs: Any) -> None:
            mails.extend([subject, message, html_message])

    handler = Mailing(include_html=True)
    logging.getLogger("django.request").addHandler(handler)
    try:
        with override_settings(ADMINS=["admin@acme.com"]):
            reply = over(guard)("GET", "/failing", headers={"Authorization": f"Bearer {token}"})
    finally:
        logging.getLogger("django.request").removeHandler(handler)
    assert reply.status_code == 500
    assert "a mistake of the app" in "".join(mails)
    assert token not in "".join(mails)
    assert token.rpartition(".")[2] not in "".join(mails)
