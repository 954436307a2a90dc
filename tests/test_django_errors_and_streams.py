"""Django: error handlers that carry a demand, and streams that end with their token (``close_expired``)."""

from __future__ import annotations

import logging
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import anyio
import httpx
import pytest
from django.core.asgi import get_asgi_application
from django.core.exceptions import BadRequest, PermissionDenied
from django.core.wsgi import get_wsgi_application
from django.http import FileResponse, HttpRequest, HttpResponse, StreamingHttpResponse
from django.test import RequestFactory, override_settings
from django.urls import path
from django.utils.decorators import method_decorator
from django.views import View
from django.views.decorators.vary import vary_on_headers
from django_project import MIDDLEWARE, Ask, bearer, over_asgi, over_wsgi
from helpers import M2M, Issuer, Time, guard_of, mint
from servers import served
from waiting import LONG

from kinde_guard import Guard
from kinde_guard.django import requires_scope
from kinde_guard.revocation import Revocations

APPS = bearer(mint(base=M2M))
USERS = bearer(mint())


@contextmanager
def project(urls: Any, guard: Guard | None = None, **options: Any) -> Iterator[None]:
    changes = {"KINDE_GUARD": {"guard": guard or guard_of(Issuer()), **options}, "MIDDLEWARE": [MIDDLEWARE]}
    with override_settings(ROOT_URLCONF=urls, **changes):
        yield


@pytest.fixture(params=[over_wsgi, over_asgi])
def ask(request: pytest.FixtureRequest) -> Ask:
    found: Ask = request.param
    return found


# Error handlers.


@requires_scope("read:users")
def function(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    return HttpResponse("what is unknown", status=404)


class Handler(View):
    def dispatch(self, request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
        return HttpResponse("what is unknown", status=404)


@method_decorator(requires_scope("read:users"), name="dispatch")
class Dispatched(Handler):
    pass


class Got(View):
    @requires_scope("read:users")
    def get(self, request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
        return HttpResponse("what is unknown", status=404)


HANDLERS = {
    "a function": function,
    "decorated once more": vary_on_headers("Accept")(function),
    "what as_view() returns": requires_scope("read:users")(Handler.as_view()),
    "dispatch": Dispatched.as_view(),
    "a method": Got.as_view(),
}


def raising(error: Exception) -> Callable[[HttpRequest], HttpResponse]:
    def view(request: HttpRequest) -> HttpResponse:
        raise error

    return view


ERRORS = {404: "/unknown", 403: "/forbidden", 400: "/bad", 500: "/broken"}
PATTERNS = [
    path("forbidden", raising(PermissionDenied())),
    path("bad", raising(BadRequest())),
    path("broken", raising(RuntimeError("a mistake of the project's"))),
]


@pytest.mark.parametrize("handler", HANDLERS)
@pytest.mark.parametrize("status", ERRORS)
def test_an_error_handler_answers_what_it_refuses(
    ask: Ask, handler: str, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Django asks nobody what to answer where an error handler raises: it would be a 500 with a traceback."""
    urls = type("Urls", (), {"urlpatterns": PATTERNS, f"handler{status}": staticmethod(HANDLERS[handler])})
    with project(urls):
        refused, lacking = ask("GET", ERRORS[status]), ask("GET", ERRORS[status], headers=USERS)
        let_in = ask("GET", ERRORS[status], headers=APPS)
    assert (refused.status_code, refused.headers["WWW-Authenticate"]) == (401, 'Bearer realm="api"')
    assert (lacking.status_code, 'scope="read:users"' in lacking.headers["WWW-Authenticate"]) == (403, True)
    assert (let_in.status_code, let_in.text) == (404, "what is unknown")
    shown = [record for record in caplog.records if record.exc_info and status != 500]
    assert [record.message for record in shown if "Refusal" in str(record.exc_info)] == []


def test_an_outage_is_answered_by_an_error_handler_too(ask: Ask) -> None:
    down = Issuer()
    down.status = 503
    with project(type("Urls", (), {"urlpatterns": [], "handler404": staticmethod(function)}), guard_of(down)):
        answer = ask("GET", "/unknown", headers=APPS)
    assert (answer.status_code, int(answer.headers["Retry-After"]) >= 1) == (503, True)


def test_a_view_that_is_no_error_handler_raises_as_ever() -> None:
    """So that what a project does about refusals is asked."""
    from kinde_guard import MissingToken

    request = RequestFactory().get("/users")
    request.kinde_token = None
    with project(type("Urls", (), {"urlpatterns": []})), pytest.raises(MissingToken):
        function(request)


# Streams.


class Api:
    """A guard, and streams behind it."""

    def __init__(self) -> None:
        self.time = Time()
        self.revocations = Revocations.in_memory()
        self.guard = guard_of(Issuer(), self.time, revocations=self.revocations)
        self.go_on, self.is_closed = threading.Event(), threading.Event()
        self.urls = type(
            "Urls",
            (),
            {"urlpatterns": [path("items", self.items), path("chunks", self.chunks), path("file", self.file)]},
        )

    @property
    def items(self) -> Any:
        @requires_scope("read:users")
        def items(request: HttpRequest) -> StreamingHttpResponse:
            return StreamingHttpResponse(self._items())

        return items

    @property
    def chunks(self) -> Any:
        @requires_scope("read:users")
        async def chunks(request: HttpRequest) -> StreamingHttpResponse:
            return StreamingHttpResponse(self._chunks())

        return chunks

    @property
    def file(self) -> Any:
        @requires_scope("read:users")
        def file(request: HttpRequest) -> FileResponse:
            return FileResponse(open(__file__, "rb"))  # the response closes it

        return file

    def _items(self) -> Iterator[bytes]:
        try:
            yield from (b"one ", b"two ", b"three ")
        finally:
            self.is_closed.set()

    async def _chunks(self) -> AsyncIterator[bytes]:
        yield b"one "
        while not self.go_on.is_set():
            await anyio.sleep(0.002)
        for _ in range(3):
            yield b"two "


ENDS: dict[str, Callable[[Api], object]] = {
    "revoked": lambda api: api.revocations.revoke_client(str(M2M["azp"])),
    "expired": lambda api: api.time.passes(2_592_000),
}


@pytest.fixture
def api() -> Api:
    return Api()


def over_plain_wsgi(url: str) -> Any:
    """The answer as a server gets it."""
    request = RequestFactory(headers=APPS).get(url)
    return get_wsgi_application()(request.environ, lambda status, headers: None)


@pytest.mark.parametrize("end", ENDS)
def test_a_stream_over_wsgi_is_cut_at_its_next_item(api: Api, end: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "kinde_guard")
    with project(api.urls, api.guard, close_expired=True):
        answer = over_plain_wsgi("/items")
        items = iter(answer)
        assert next(items) == b"one "
        ENDS[end](api)
        with pytest.raises(BrokenPipeError):
            next(items)
        answer.close()
    assert api.is_closed.is_set()
    assert [record.message for record in caplog.records if f"refused ({end})" in record.message] != []
    assert api.revocations.copy.watchers == {}


@pytest.mark.parametrize("end", ENDS)
def test_a_stream_over_asgi_is_cut(api: Api, end: str) -> None:
    with (
        project(api.urls, api.guard, close_expired=True),
        served(get_asgi_application()) as address,
        httpx.stream("GET", f"http://{address}/chunks", headers=APPS, timeout=LONG) as answer,
    ):
        parts = answer.iter_bytes()
        assert next(parts) == b"one "
        ENDS[end](api)
        api.go_on.set()
        with pytest.raises(httpx.RemoteProtocolError):
            next(parts)
    assert api.revocations.copy.watchers == {}


def test_what_is_not_over_goes_on(api: Api) -> None:
    api.go_on.set()
    with project(api.urls, api.guard, close_expired=True):
        assert over_asgi("GET", "/chunks", headers=APPS).text == "one two two two "
        assert over_wsgi("GET", "/items", headers=APPS).text == "one two three "
        assert over_wsgi("GET", "/file", headers=APPS).content.startswith(b'"""Django: error handlers')
    assert api.revocations.copy.watchers == {}


def test_without_the_setting_nothing_ends(api: Api) -> None:
    with project(api.urls, api.guard):
        answer = over_plain_wsgi("/items")
        items = iter(answer)
        assert next(items) == b"one "
        api.revocations.revoke_client(str(M2M["azp"]))
        assert b"".join(items) == b"two three "
        answer.close()
