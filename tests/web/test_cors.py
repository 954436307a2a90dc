"""CORS: nothing passes for calling itself a preflight, and browsers are answered in every usual order of things."""

from __future__ import annotations

import contextlib
import functools
import logging
from collections.abc import Callable, Iterator
from typing import Any
from unittest.mock import AsyncMock, MagicMock, Mock

import httpx
import pytest
from asgi_calls import ask, bearing, lifespan, talk
from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware as FastapisCORSMiddleware
from helpers import M2M, mint
from servers import served
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Host, Mount, Route, Router

import kinde_guard.fastapi as fa
import kinde_guard.starlette as st
from kinde_guard import ConfigurationError, Guard, asgi, wsgi

ORIGIN = "https://app.example"
PREFLIGHT = [("origin", ORIGIN), ("access-control-request-method", "GET"), ("access-control-request-headers", "x-a")]
ALLOWED: dict[str, Any] = {"allow_origins": [ORIGIN], "allow_methods": ["*"], "allow_headers": ["x-a", "authorization"]}
Told = Callable[[], list[str]]
REFUSED = "a CORS preflight was refused: if pages of other origins call this API, "


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture) -> Told:
    """The warnings since it was asked for last; but for those of keys, which the thread of an earlier test may log."""

    def told() -> list[str]:
        found = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
        caplog.clear()
        return [message for message in found if not message.startswith("keys of ")]

    return told


class Handlers:
    """Endpoints that remember what they were asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def endpoint(self, request: Request) -> Response:
        self.asked.append(request.method)
        return PlainTextResponse("data")

    async def app(self, scope: Any, receive: Any, send: Any) -> None:
        self.asked.append(scope["method"])
        await PlainTextResponse("data")(scope, receive, send)


@pytest.fixture
def handlers() -> Handlers:
    return Handlers()


def starlette_app(handlers: Handlers, **options: Any) -> Starlette:
    """With a handler that answers OPTIONS itself, and a raw app that answers everything."""
    methods = ["GET", "OPTIONS"]
    routes = [Route("/users", handlers.endpoint, methods=methods), Mount("/raw", app=handlers.app)]
    return Starlette(routes=routes, **options)


def fastapi_app(handlers: Handlers, **options: Any) -> FastAPI:
    app = FastAPI(**options)
    app.api_route("/users", methods=["GET", "OPTIONS"])(handlers.endpoint)
    app.mount("/raw", handlers.app)
    return app


Make = Callable[..., Any]
both = pytest.mark.parametrize("make", [starlette_app, fastapi_app])


def attach(app: Any, **options: Any) -> Any:
    return (fa if isinstance(app, FastAPI) else st).KindeGuard(app, **options)


@both
@pytest.mark.parametrize("path", ["/users", "/raw", "/raw/x", "/unknown"])
def test_a_forged_preflight_runs_nothing(make: Make, path: str, guard: Guard, handlers: Handlers) -> None:
    """Three headers that anybody can write, with and without a token that is no good."""
    app = make(handlers)
    attach(app, guard=guard, public=[])
    for more in ([], bearing("forged"), [("x-http-method-override", "GET")]):
        assert ask(app, path, headers=[*PREFLIGHT, *more], method="OPTIONS").status == 401
    assert handlers.asked == []


def add_before(app: Any, **options: Any) -> None:
    app.add_middleware(CORSMiddleware, **ALLOWED)
    attach(app, **options)


def add_after(app: Any, **options: Any) -> None:
    attach(app, **options)
    app.add_middleware(FastapisCORSMiddleware, **ALLOWED)


class OwnCORSMiddleware(CORSMiddleware):
    """A team's own."""


def add_own(app: Any, **options: Any) -> None:
    app.add_middleware(OwnCORSMiddleware, **ALLOWED)
    attached = (fa if isinstance(app, FastAPI) else st).KindeGuard(**options)
    attached.init_app(app)


def give(app: Any, **options: Any) -> None:
    """As ``middleware=[…]`` does."""
    app.user_middleware.append(Middleware(CORSMiddleware, **ALLOWED))
    attach(app, **options)


@both
@pytest.mark.parametrize("order", [add_before, add_after, add_own, give])
def test_browsers_are_answered_in_every_order(
    make: Make, order: Callable[..., None], guard: Guard, handlers: Handlers, told: Told
) -> None:
    """The preflight, the request with a token, and a refusal, which the page may read; and no handler runs for less."""
    app = make(handlers, middleware=[Middleware(GZipMiddleware)])
    order(app, guard=guard, public=[])
    for path in ("/users", "/raw", "/unknown"):
        reply = ask(app, path, headers=PREFLIGHT, method="OPTIONS")
        assert (reply.status, reply.body) == (200, b"OK")
        assert reply.headers["access-control-allow-origin"] == ORIGIN
        refusal = ask(app, path, headers=PREFLIGHT[:1])
        assert (refusal.status, refusal.headers["access-control-allow-origin"]) == (401, ORIGIN)
    assert (
        ask(app, "/users", headers=[("origin", "https://evil.example"), PREFLIGHT[1]], method="OPTIONS").status == 400
    )
    assert handlers.asked == []
    answer = ask(app, "/users", mint(base=M2M), headers=PREFLIGHT[:1])
    assert (answer.status, answer.headers["access-control-allow-origin"]) == (200, ORIGIN)
    assert told() == []


@both
def test_middleware_given_to_the_app(make: Make, guard: Guard, handlers: Handlers) -> None:
    """Only Starlette's CORS middleware moves; of several each, and all else stays in its order."""
    seen: list[str] = []

    class Noting:
        def __init__(self, app: Any, name: str) -> None:
            self.app, self.name = app, name

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            seen.append(self.name)
            await self.app(scope, receive, send)

    class NotingCORS(Noting, CORSMiddleware):
        __init__ = Noting.__init__

    kinds = (Noting, NotingCORS, Noting, NotingCORS)
    app = make(handlers, middleware=[Middleware(kind, str(number)) for number, kind in enumerate(kinds)])
    attach(app, guard=guard, public=[])
    app.add_middleware(Noting, "later")
    assert ask(app, "/users").status == 401
    assert seen == ["later", "1", "3"]
    seen.clear()
    assert ask(app, "/users", mint(base=M2M)).status == 200
    assert seen == ["later", "1", "3", "0", "2"]


def test_without_public_nothing_moves(guard: Guard) -> None:
    """There the routes demand, and CORS middleware is in front of them wherever it stands."""

    async def endpoint(request: Request) -> Response:
        raise AssertionError("it runs")

    app = Starlette(routes=[Route("/users", st.requires_auth(endpoint))])
    app.add_middleware(CORSMiddleware, **ALLOWED)
    before = list(app.user_middleware)
    attach(app, guard=guard)
    assert app.user_middleware[1:] == before
    assert ask(app, "/users", headers=PREFLIGHT, method="OPTIONS").status == 200
    assert ask(app, "/users", headers=PREFLIGHT[:1]).headers["access-control-allow-origin"] == ORIGIN


@both
def test_a_mounted_app_with_a_guard_and_cors_of_its_own(make: Make, guard: Guard, handlers: Handlers) -> None:
    """In an app that is open, and in one whose guard leaves it alone."""
    inner = make(handlers)
    add_before(inner, guard=guard, public=[])
    for options in ({}, {"public": ["/sub/*"]}):
        outer = make(Handlers())
        outer.mount("/sub", inner)
        attach(outer, guard=guard, **options)
        reply = ask(outer, "/sub/users", headers=PREFLIGHT, method="OPTIONS")
        assert (reply.status, reply.headers["access-control-allow-origin"]) == (200, ORIGIN)
        assert ask(outer, "/sub/users", headers=PREFLIGHT[:1]).headers["access-control-allow-origin"] == ORIGIN
    assert handlers.asked == []


def started(app: Any) -> None:
    """Through the lifespan of a server, twice, and then a request: what is said once is said once."""
    for _ in range(2):
        talk(app, lifespan())
    ask(app, "/users")


MEND = (
    "add CORSMiddleware to the app that KindeGuard(app) guards, before or after: it is asked before the guard then, "
    "and answers preflights; pass_preflights=True is for an app that answers every preflight itself"
)
HIDDEN = "cannot answer preflights, because the guard in front refuses them: "
CACHE = (
    "is asked before the token: if it keeps answers, strangers get them; "
    "what is added before KindeGuard(app, public=[…]) is asked after it"
)
CORS = "starlette.middleware.cors:CORSMiddleware"


@both
def test_cors_that_is_hidden_in_a_mounted_app(make: Make, guard: Guard, told: Told) -> None:
    """Start-up says so, wherever it is, and what to do; and the first preflight does."""
    outer, inner = make(Handlers()), make(Handlers())
    inner.add_middleware(CORSMiddleware, **ALLOWED)
    around = CORSMiddleware(GZipMiddleware(make(Handlers())), **ALLOWED)
    for route in (
        Mount("/v1", app=Router(routes=[Mount("/sub", app=inner)])),
        Mount("/around", app=around),
        Host("api.example", app=inner),
        Route("/feed", Handlers().endpoint, middleware=[Middleware(CORSMiddleware, **ALLOWED)]),
        Route("/open", Handlers().endpoint, middleware=[Middleware(CORSMiddleware, **ALLOWED)]),
        Mount("/free", app=CORSMiddleware(make(Handlers()), **ALLOWED)),
    ):
        outer.router.routes.append(route)
    attach(outer, guard=guard, public=["/open", "/free/*"])
    started(outer)
    assert told() == [f"{CORS} (on /v1/sub/*), {CORS} (on /around/*), {CORS} (on /feed) {HIDDEN}{MEND}"]
    for _ in range(2):
        assert ask(outer, "/v1/sub/users", headers=PREFLIGHT, method="OPTIONS").status == 401
    assert told() == [REFUSED + MEND]


@both
def test_cors_that_is_hidden_and_needless(make: Make, guard: Guard, told: Told) -> None:
    """Where preflights are answered outside, or pass, there is nothing to say."""
    for order, options in ((add_before, {}), (attach, {"pass_preflights": True})):
        outer, inner = make(Handlers()), make(Handlers())
        inner.add_middleware(CORSMiddleware, **ALLOWED)
        outer.mount("/sub", inner)
        order(outer, guard=guard, public=[], **options)
        started(outer)
        assert ask(outer, "/sub/users", headers=PREFLIGHT, method="OPTIONS").status == 200
        assert told() == []


@both
def test_cors_that_comes_too_late(make: Make, guard: Guard, told: Told) -> None:
    """Appended to the list, it is innermost."""
    app = make(Handlers())
    attach(app, guard=guard, public=[])
    app.user_middleware.append(Middleware(CORSMiddleware, **ALLOWED))
    started(app)
    assert told() == [f"{CORS} {HIDDEN}{MEND}"]


class MakesCORS:
    """As a class without a name of its own for what it makes."""

    __name__ = "cors"

    def __call__(self, app: Any) -> Any:
        return CORSMiddleware(app, **ALLOWED)


@both
@pytest.mark.parametrize(
    ("makes", "name"), [(functools.partial(CORSMiddleware, **ALLOWED), CORS), (MakesCORS(), "test_cors:MakesCORS")]
)
def test_what_makes_cors_middleware(make: Make, makes: Any, name: str, guard: Guard, told: Told) -> None:
    """It stays where it is, as it may make more than that; and is known all the same."""
    app = make(Handlers(), middleware=[Middleware(makes)])
    attach(app, guard=guard, public=[])
    started(app)
    assert told() == [f"{name} {HIDDEN}{MEND}"]
    assert ask(app, "/users", headers=PREFLIGHT, method="OPTIONS").status == 401


def test_a_demand_of_a_route_refuses_preflights_too(guard: Guard, told: Told) -> None:
    """Whoever refuses it; and who asks for no more than an optional token refuses nothing."""

    async def endpoint(request: Request, token: fa.OptionalToken) -> str:
        return "nobody" if token is None else token.subject

    async def users(request: Request) -> str:
        raise AssertionError("it runs")

    app = FastAPI()
    app.add_api_route("/open", endpoint, methods=["OPTIONS"])
    app.add_api_route("/users", fa.requires_auth(users), methods=["OPTIONS"])
    attach(app, guard=guard, pass_preflights=True)
    assert ask(app, "/open", headers=PREFLIGHT, method="OPTIONS").json == "nobody"
    assert told() == []
    for _ in range(2):
        assert ask(app, "/users", headers=PREFLIGHT, method="OPTIONS").status == 401
    assert told() == [REFUSED + MEND]


@both
def test_pass_preflights(make: Make, guard: Guard, handlers: Handlers) -> None:
    """By that name, and for what a browser sends: not for what asks to be another method."""
    app = make(handlers)
    attach(app, guard=guard, public=[], pass_preflights=True)
    assert ask(app, "/users", headers=PREFLIGHT, method="OPTIONS").body == b"data"
    for headers in (PREFLIGHT[:1], PREFLIGHT[1:], [*PREFLIGHT, ("x-method-override", "GET")]):
        assert ask(app, "/users", headers=headers, method="OPTIONS").status == 401
    assert ask(app, "/users", headers=PREFLIGHT).status == 401
    assert handlers.asked == ["OPTIONS"]


@pytest.mark.parametrize("value", [None, 1, "yes", []])
def test_pass_preflights_is_a_bool(value: Any, guard: Guard, handlers: Handlers) -> None:
    for make in (
        lambda: fa.KindeGuard(pass_preflights=value),
        lambda: st.KindeGuard(Starlette(), guard=guard, public=[], pass_preflights=value),
        lambda: asgi.GuardMiddleware(handlers.app, guard, pass_preflights=value),
        lambda: wsgi.GuardMiddleware(handlers.app, guard, pass_preflights=value),  # type: ignore[arg-type]
    ):
        with pytest.raises(ConfigurationError, match="pass_preflights must be True or False, not"):
            make()


class TestMiddleware:
    """``asgi.GuardMiddleware``."""

    MEND = (
        "put CORS middleware around the guard, CORSMiddleware(GuardMiddleware(app), …), or add it to the app after the "
        "guard; pass_preflights=True is for an app inside that answers every preflight itself, as Django does with "
        "django-cors-headers"
    )

    def test_cors_around_it(self, guard: Guard, handlers: Handlers, told: Told) -> None:
        """By hand, and by adding it later."""
        added = Starlette(routes=[Mount("/", app=handlers.app)])
        added.add_middleware(asgi.GuardMiddleware, guard=guard)
        added.add_middleware(CORSMiddleware, **ALLOWED)
        for app in (CORSMiddleware(asgi.GuardMiddleware(handlers.app, guard), **ALLOWED), added):
            assert ask(app, "/", headers=PREFLIGHT, method="OPTIONS").status == 200
            assert ask(app, "/", headers=PREFLIGHT[:1]).headers["access-control-allow-origin"] == ORIGIN
        assert handlers.asked == []
        assert told() == []

    def test_cors_inside(self, guard: Guard, told: Told) -> None:
        """Start-up and the first preflight say what to do, once each."""
        inner = starlette_app(Handlers())
        inner.add_middleware(OwnCORSMiddleware, **ALLOWED)
        added = starlette_app(Handlers())
        added.add_middleware(CORSMiddleware, **ALLOWED)
        added.add_middleware(asgi.GuardMiddleware, guard=guard)
        for app, name in (
            (asgi.GuardMiddleware(inner, guard), "test_cors:OwnCORSMiddleware"),
            (asgi.GuardMiddleware(CORSMiddleware(GZipMiddleware(Handlers().app)), guard), CORS),
            (added, CORS),
        ):
            with contextlib.suppress(KeyError):  # a raw app without lifespan
                talk(app, lifespan())
            assert told() == [f"{name} {HIDDEN}{self.MEND}"]
            for _ in range(2):
                assert ask(app, "/users", headers=PREFLIGHT, method="OPTIONS").status == 401
            assert told() == [REFUSED + self.MEND]

    def test_cors_inside_with_the_opt_in(self, guard: Guard, told: Told) -> None:
        inner = starlette_app(handlers := Handlers())
        inner.add_middleware(CORSMiddleware, **ALLOWED)
        app = asgi.GuardMiddleware(inner, guard, pass_preflights=True)
        talk(app, lifespan())
        assert ask(app, "/users", headers=PREFLIGHT, method="OPTIONS").status == 200
        assert handlers.asked == told() == []
        # What CORS middleware does not take for a preflight is none to the guard.
        spelled = [(name.replace("-", "_"), value) for name, value in PREFLIGHT]
        assert ask(app, "/users", headers=spelled, method="OPTIONS").status == 401
        assert handlers.asked == []

    def test_what_looks_like_a_starlette_app(self, guard: Guard, told: Told) -> None:
        """Attributes of these names mean other things elsewhere; and nothing is followed for ever."""

        class Odd:
            routes, user_middleware = {"/": 1}, 5

            @property
            def app(self) -> Odd:
                return Odd()

            async def __call__(self, scope: Any, receive: Any, send: Any) -> None: ...

        talk(asgi.GuardMiddleware(Odd(), guard), lifespan())
        assert told() == []


class ResponseCacheMiddleware:
    """Keeps what it has seen."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app(scope, receive, send)


def made_by_a_function(app: Any) -> Any:
    return ResponseCacheMiddleware(app)


async def timing(request: Request, call_next: Any) -> Any:
    return await call_next(request)


@both
def test_what_stands_outside_is_said_at_start(
    make: Make, guard: Guard, told: Told, caplog: pytest.LogCaptureFixture
) -> None:
    """By name and once; what seems to keep answers, with a warning."""
    caplog.set_level(logging.INFO, "kinde_guard")
    app = make(Handlers(), middleware=[Middleware(GZipMiddleware), Middleware(CORSMiddleware, **ALLOWED)])
    attach(app, guard=guard, public=[])
    app.add_middleware(ResponseCacheMiddleware)
    app.add_middleware(made_by_a_function)
    app.add_middleware(BaseHTTPMiddleware, dispatch=timing)
    started(app)
    cache = "test_cors:ResponseCacheMiddleware"
    informed = [record.getMessage() for record in caplog.records if record.levelno == logging.INFO]
    assert [message for message in informed if not message.startswith("keys of ")] == [
        f"outside of the guard: test_cors:timing, test_cors:made_by_a_function, {cache}, {CORS}"
    ]
    assert told() == [f"{cache} {CACHE}"]


@both
def test_what_is_added_before_stands_inside(make: Make, guard: Guard, told: Told) -> None:
    """Without ``public=`` there is no inside: only the route asks for the token."""
    for public, warnings in (([], []), (None, [f"test_cors:ResponseCacheMiddleware {CACHE}"])):
        app = make(Handlers(), middleware=[Middleware(ResponseCacheMiddleware), Middleware(GZipMiddleware)])
        attach(app, guard=guard, public=public)
        started(app)
        assert told() == warnings


@pytest.fixture
def server(guard: Guard) -> Iterator[str]:
    app = fastapi_app(Handlers())
    add_before(app, guard=guard, public=[])
    with served(app) as address:
        yield f"http://{address}"


def test_over_a_socket(server: str) -> None:
    """A browser's own three steps, over a real server."""
    with httpx.Client(base_url=server) as client:
        preflight = client.options("/users", headers=dict(PREFLIGHT))
        assert (preflight.status_code, preflight.headers["access-control-allow-origin"]) == (200, ORIGIN)
        refusal = client.get("/users", headers={"origin": ORIGIN})
        assert (refusal.status_code, refusal.headers["access-control-allow-origin"]) == (401, ORIGIN)
        answer = client.get("/users", headers={"origin": ORIGIN, "authorization": f"Bearer {mint(base=M2M)}"})
        assert (answer.text, answer.headers["access-control-allow-origin"]) == ("data", ORIGIN)
        assert client.options("/users").status_code == 401


@pytest.mark.parametrize("kind", [Mock, MagicMock, AsyncMock])
def test_a_mock_in_place_of_an_app_is_not_looked_through(kind: type[Mock], guard: Guard) -> None:
    """It has an ``app`` in an ``app`` in an ``app``; to make them takes minutes."""
    app = kind()
    wsgi.GuardMiddleware(app, guard)
    ask(asgi.GuardMiddleware(app, guard), "/", method="OPTIONS", headers=PREFLIGHT)
    around = Starlette(routes=[Mount("/mounted", app)], middleware=[Middleware(lambda inner: app)])
    st.KindeGuard(around, guard=guard, public=[])
    ask(around, "/")
    assert "app" not in app._mock_children
