"""What caches are told of answers that only callers with a token get."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest
from asgi_calls import ask
from fastapi import FastAPI
from flask import Flask, Response
from helpers import M2M, Issuer, guard_of, mint
from starlette.applications import Starlette
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import Response as StarletteResponse
from starlette.responses import StreamingResponse
from starlette.routing import Route
from werkzeug.test import Client

import kinde_guard.asgi
import kinde_guard.fastapi
import kinde_guard.flask
import kinde_guard.starlette
import kinde_guard.wsgi
from kinde_guard import Guard
from kinde_guard.web.caching import for_asgi, for_wsgi

GOOD = mint(base=M2M)
Headers = dict[str, str]
Ask = Callable[[str, str | None], Headers]
OWN = "private", "Authorization"


def asgi(guard: Guard, headers: Headers) -> Ask:
    start = {"type": "http.response.start", "status": 200, "headers": []}  # one for all requests
    start["headers"] = [(name.encode(), value.encode()) for name, value in headers.items()]

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(start)
        await send({"type": "http.response.body", "body": b"in"})

    return over_asgi(kinde_guard.asgi.GuardMiddleware(app, guard, public=["/public"]))


def starlette(guard: Guard, headers: Headers) -> Ask:
    async def endpoint(request: Request) -> StarletteResponse:
        return StarletteResponse("in", headers=headers)

    app = Starlette(routes=[Route("/public", endpoint), Route("/", endpoint)])
    kinde_guard.starlette.KindeGuard(app, guard=guard, public=["/public"])
    return over_asgi(app)


def starlette_streaming(guard: Guard, headers: Headers) -> Ask:
    async def endpoint(request: Request) -> StarletteResponse:
        return StreamingResponse(iter(["i", "n"]), headers=headers)

    app = Starlette(routes=[Route("/public", endpoint), Route("/", endpoint)])
    kinde_guard.starlette.KindeGuard(app, guard=guard, public=["/public"])
    return over_asgi(app)


def fastapi(guard: Guard, headers: Headers) -> Ask:
    app = FastAPI()
    kinde_guard.fastapi.KindeGuard(app, guard=guard, public=["/public"])

    @app.get("/")
    @app.get("/public")
    def endpoint(response: StarletteResponse) -> str:
        response.headers.update(headers)
        return "in"

    return over_asgi(app)


def wsgi(guard: Guard, headers: Headers) -> Ask:
    def app(environ: Any, start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", list(headers.items()))
        return [b"in"]

    return over_wsgi(kinde_guard.wsgi.GuardMiddleware(app, guard, public=["/public"]))


def flask(guard: Guard, headers: Headers) -> Ask:
    app = Flask("service")
    kinde_guard.flask.KindeGuard(app, guard=guard, public=["/public"])

    @app.get("/")
    @app.get("/public")
    def endpoint() -> Response:
        return Response("in", headers=headers)

    return over_wsgi(app)


def flask_in_front(guard: Guard, headers: Headers) -> Ask:
    """What stands in front of a Flask app answers: it is guarded as well."""
    app = Flask("service")
    kinde_guard.flask.KindeGuard(app, guard=guard, public=["/public"])

    def front(environ: Any, start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", list(headers.items()))
        return [b"in"]

    app.wsgi_app = front  # type: ignore[method-assign]
    return over_wsgi(app)


def over_asgi(app: Any) -> Ask:
    return lambda path, token: {name.lower(): value for name, value in ask(app, path, token).headers.items()}


def over_wsgi(app: Any) -> Ask:
    def asking(path: str, token: str | None) -> Headers:
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        reply = Client(app).get(path, headers=headers)
        assert len(reply.headers) == len({name.lower() for name, _ in reply.headers}), "a header comes twice"
        return {name.lower(): value for name, value in reply.headers}

    return asking


ADAPTERS = [asgi, starlette, starlette_streaming, fastapi, wsgi, flask, flask_in_front]
each_adapter = pytest.mark.parametrize("make", ADAPTERS)


@pytest.fixture(scope="module")
def guard() -> Guard:
    return guard_of(Issuer())


def told(headers: Headers) -> tuple[str | None, str | None]:
    return headers.get("cache-control"), headers.get("vary")


@each_adapter
def test_an_answer_to_a_caller_is_that_callers(make: Any, guard: Guard) -> None:
    asking = make(guard, {"X-Mine": "1"})
    for _ in range(2):
        assert told(asking("/", GOOD)) == OWN
        assert told(asking("/public", None)) == (None, None)
    assert asking("/", GOOD)["x-mine"] == "1"


@each_adapter
@pytest.mark.parametrize("own", ["public, max-age=60", "no-store", "max-age=5"])
@pytest.mark.parametrize("name", ["Cache-Control", "cache-control"])
def test_who_says_it_himself_has_decided(make: Any, own: str, name: str, guard: Guard) -> None:
    assert told(make(guard, {name: own})("/", GOOD)) == (own, None)


@each_adapter
def test_what_else_an_answer_varies_by_is_kept(make: Any, guard: Guard) -> None:
    assert told(make(guard, {"Vary": "Accept-Language"})("/", GOOD)) == ("private", "Accept-Language, Authorization")


@each_adapter
def test_refusals_are_stored_by_nobody(make: Any, guard: Guard) -> None:
    for token in (None, "x"):
        assert told(make(guard, {})("/", token)) == ("no-store", None)


@pytest.mark.parametrize("mark", [for_wsgi, lambda headers: plain(for_asgi(coded(headers)))], ids=["wsgi", "asgi"])
def test_several_headers_of_a_name(mark: Any) -> None:
    several = [("Vary", "Accept"), ("Date", "now"), ("VARY", "Origin"), ("Etag", "1")]
    assert {name.lower(): value for name, value in mark(several)} == {
        "date": "now", "etag": "1", "cache-control": "private", "vary": "Accept, Origin, Authorization",
    }  # fmt: skip
    assert ("vary", "*") in [(name.lower(), value) for name, value in mark([("Vary", "*")])]


def coded(headers: Iterable[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode()) for name, value in headers]


def plain(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[str, str]]:
    return [(name.decode(), value.decode()) for name, value in headers]


def test_middleware_outside_adds_what_it_varies_by(guard: Guard) -> None:
    app = Starlette(routes=[Route("/", lambda request: StarletteResponse("in" * 1000))])
    kinde_guard.starlette.KindeGuard(app, guard=guard, public=[])
    app.add_middleware(GZipMiddleware)
    app.add_middleware(CORSMiddleware, allow_origins=["https://app.acme.com"])
    headers = [("origin", "https://app.acme.com"), ("accept-encoding", "gzip")]
    reply = ask(app, "/", GOOD, headers=headers)
    assert reply.headers["cache-control"] == "private"
    assert {part.strip() for part in reply.headers["vary"].split(",")} == {"Authorization", "Accept-Encoding", "Origin"}
