"""A Django project for tests. Settings are made once for a process: each file of tests has its own routes, and changes
what it needs by ``override_settings``. Asked as servers ask, over WSGI and over ASGI.
"""

from __future__ import annotations

import asyncio
import io
import sys
from collections.abc import Callable, Coroutine
from typing import Any

import django
import httpx
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application

MIDDLEWARE = "kinde_guard.django.KindeGuardMiddleware"
CORS = "corsheaders.middleware.CorsMiddleware"
CSRF = "django.middleware.csrf.CsrfViewMiddleware"
urlpatterns: list[Any] = []
Ask = Callable[..., httpx.Response]

if not settings.configured:
    settings.configure(
        ALLOWED_HOSTS=["testserver", "localhost", "127.0.0.1"],
        INSTALLED_APPS=[
            "django.contrib.contenttypes",
            "django.contrib.auth",
            "rest_framework",
            "drf_spectacular",
            "kinde_guard.django",
        ],
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
        LOGGING_CONFIG=None,
        MIDDLEWARE=[],
        REST_FRAMEWORK={
            "DEFAULT_AUTHENTICATION_CLASSES": ["kinde_guard.drf.KindeAuthentication"],
            "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
            "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
        },
        ROOT_URLCONF=__name__,
        SECRET_KEY="made up",
        USE_TZ=True,
    )
    django.setup()


def over_wsgi(method: str, path: str, **request: Any) -> httpx.Response:
    transport = httpx.WSGITransport(get_wsgi_application(), wsgi_errors=sys.stderr)
    with httpx.Client(transport=transport, base_url="http://testserver") as client:
        return client.request(method, path, **request)


class _Unread(io.RawIOBase):
    """A body that nobody may read."""

    def read(self, size: int = -1, /) -> bytes:
        raise AssertionError("the body was read")

    readline = read  # type: ignore[assignment]  # of which there are two forms


def with_an_unread_body(path: str, **request: Any) -> httpx.Response:
    """The answer to a POST over WSGI whose body must not be read: 500 if it is."""
    application = get_wsgi_application()

    def unread(environ: dict[str, Any], start_response: Any) -> Any:
        return application({**environ, "wsgi.input": _Unread(), "CONTENT_LENGTH": "12"}, start_response)

    transport = httpx.WSGITransport(unread, raise_app_exceptions=False)
    with httpx.Client(transport=transport, base_url="http://testserver") as client:
        return client.post(path, **request)


def over_asgi(method: str, path: str, **request: Any) -> httpx.Response:
    async def ask(client: httpx.AsyncClient) -> httpx.Response:
        return await client.request(method, path, **request)

    answer: httpx.Response = with_asgi_client(ask)
    return answer


def with_asgi_client(use: Callable[[httpx.AsyncClient], Coroutine[Any, Any, Any]]) -> Any:
    """What *use* returns, in a loop of its own."""

    async def main() -> Any:
        transport = httpx.ASGITransport(get_asgi_application(), raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:
            return await use(client)

    return asyncio.run(main())


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}
