"""Asking for the caller without refusing anybody; and that a guard is asked once for each request, whoever asks."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable
from typing import Annotated, Any

import pytest
from asgi_calls import ask, talk, websocket
from fastapi import FastAPI, Security
from fastapi.routing import APIRouter
from helpers import M2M, Issuer, Time, guard_of, mint
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from kinde_guard import AuthError, ConfigurationError, Guard, KeysUnavailable
from kinde_guard import starlette as on_starlette
from kinde_guard.events import Event, Refused
from kinde_guard.fastapi import KindeGuard, OptionalToken, TokenOrNone, access_token_or_none, requires_scope
from kinde_guard.routes import routes_of
from kinde_guard.starlette import atoken_or_none, token_or_none
from kinde_guard.testing import caller

Headers = list[tuple[str, str]]


def bearing(*values: str) -> Headers:
    return [("authorization", value) for value in values]


GOOD = mint(base=M2M)
STRANGERS: dict[str, Headers] = {
    "no header": [],
    "another scheme": bearing("Basic eDp5"),
    "not one token": bearing("Bearer a b"),
    "two headers": bearing(f"Bearer {GOOD}", f"Bearer {GOOD}"),
    "no token": bearing("Bearer abc"),
    "expired": bearing(f"Bearer {mint({'exp': 1}, base=M2M)}"),
    "forged": bearing(f"Bearer {GOOD[:-4]}AAAA"),
}


def who(request: Request) -> Response:
    token = token_or_none(request)
    return JSONResponse([token and token.client_id, request.user.is_authenticated])


async def awho(request: Request) -> Response:
    token = await atoken_or_none(request)
    return JSONResponse([token and token.client_id, request.user.is_authenticated])


def starlette_app(guard: Guard | None, endpoint: Any = awho, **options: Any) -> Starlette:
    app = Starlette(routes=[Route("/", endpoint)], exception_handlers=options.pop("exception_handlers", None))
    if guard is not None:
        on_starlette.KindeGuard(app, guard=guard, **options)
    return app


def fastapi_app(guard: Guard | None, **options: Any) -> FastAPI:
    app = FastAPI(exception_handlers=options.pop("exception_handlers", None))
    if guard is not None:
        KindeGuard(app, guard=guard, **options)

    @app.get("/")
    def endpoint(request: Request, token: TokenOrNone) -> list[Any]:
        return [token and token.client_id, request.user.is_authenticated]

    return app


APPS: dict[str, Callable[..., Any]] = {
    "starlette, async": starlette_app,
    "starlette, def": lambda guard, **options: starlette_app(guard, who, **options),
    "fastapi": fastapi_app,
}
each_app = pytest.mark.parametrize("make", APPS.values(), ids=APPS)


@pytest.fixture(scope="module")
def guard() -> Guard:
    return guard_of(Issuer())


@each_app
@pytest.mark.parametrize("headers", STRANGERS.values(), ids=STRANGERS)
def test_nobody_is_refused(make: Any, headers: Headers, guard: Guard) -> None:
    reply = ask(make(guard), "/", headers=headers)
    assert (reply.status, reply.json) == (200, [None, False])


@each_app
@pytest.mark.parametrize("public", [None, ["/"]])
def test_the_caller_is_known_where_nothing_is_demanded(make: Any, public: Any, guard: Guard) -> None:
    reply = ask(make(guard, public=public), "/", GOOD)
    assert (reply.status, reply.json) == (200, [M2M["azp"], True])


@each_app
def test_nobody_is_refused_while_it_cannot_be_told(make: Any) -> None:
    issuer = Issuer()
    issuer.status = 500
    reply = ask(make(guard_of(issuer)), "/", GOOD)
    assert (reply.status, reply.json) == (200, [None, False])


@each_app
def test_no_guard_is_a_mistake_all_the_same(make: Any) -> None:
    with pytest.raises(ConfigurationError, match="no guard is attached"):
        ask(make(None), "/", GOOD)


@each_app
def test_a_test_may_say_who_calls(make: Any, guard: Guard) -> None:
    app = make(guard)
    with caller(app, m2m=True) as token:
        assert ask(app, "/").json == [token.client_id, True]


def test_it_waits_for_no_event_loop() -> None:
    """And does not block one: it is a coroutine function where it is for coroutines."""
    assert not inspect.iscoroutinefunction(token_or_none)
    assert inspect.iscoroutinefunction(atoken_or_none)


def test_a_websocket_may_ask(guard: Guard) -> None:
    async def socket(websocket: WebSocket) -> None:
        token = await atoken_or_none(websocket)
        await websocket.accept(subprotocol=None if token is None else token.client_id)
        await websocket.close()

    app = Starlette(routes=[WebSocketRoute("/", socket)])
    on_starlette.KindeGuard(app, guard=guard)
    answers = [talk(app, websocket("/", headers)).sent[0] for headers in (bearing(f"Bearer {GOOD}"), bearing("x"))]
    assert [answer["subprotocol"] for answer in answers] == [M2M["azp"], None]


def test_a_scope_that_is_lacking_makes_nobody_of_a_caller(guard: Guard) -> None:
    app = FastAPI()
    KindeGuard(app, guard=guard)

    @app.get("/{scope}")
    def endpoint(
        read: Annotated[Any, Security(access_token_or_none, scopes=["read:users"])],
        delete: Annotated[Any, Security(access_token_or_none, scopes=["delete:users"])],
    ) -> list[bool]:
        return [read is not None, delete is not None]

    assert ask(app, "/x", GOOD).json == [True, False]


def test_what_is_demanded_beside_it_is_demanded(guard: Guard) -> None:
    router = APIRouter(dependencies=[requires_scope("delete:users")])

    @router.get("/router")
    def routed(token: TokenOrNone) -> None: ...

    app = fastapi_app(guard)
    app.include_router(router)

    @app.get("/decorated")
    @requires_scope("delete:users")
    def decorated(token: TokenOrNone) -> None: ...

    assert [ask(app, path, GOOD).status for path in ("/router", "/decorated")] == [403, 403]
    assert [ask(app, path).status for path in ("/router", "/decorated")] == [401, 401]
    kinds = {route.path: route.kind for route in routes_of(app) if route.path in ("/", "/router", "/decorated")}
    assert kinds == {"/": "optional", "/router": "protected", "/decorated": "protected"}


class Noting:
    """An observer."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def observe(self, event: Event) -> None:
        self.events.append(event)


@each_app
@pytest.mark.parametrize("headers", [*STRANGERS.values()][1:], ids=[*STRANGERS][1:])
def test_a_request_is_refused_once(make: Any, headers: Headers, caplog: pytest.LogCaptureFixture) -> None:
    """Also if a handler asks who it was: one line in the log, one event for the metrics."""
    asked: list[object] = []

    async def handler(request: Request, error: Exception) -> Response:
        asked.append(await atoken_or_none(request))
        return Response("", 401)

    seen = Noting()
    app = make(guard_of(Issuer(), observer=seen), public=[], exception_handlers={AuthError: handler})
    with caplog.at_level(logging.DEBUG, "kinde_guard"):
        assert ask(app, "/", headers=headers).status == 401
    assert asked == [None]
    assert [type(event) for event in seen.events if isinstance(event, Refused)] == [Refused]
    assert len([record for record in caplog.records if "refused" in record.message]) == 1


def test_nothing_is_waited_for_twice_in_a_request() -> None:
    """Cannot tell is a verdict, too: the handler gets it again, and no second fetch."""
    issuer, time = Issuer(), Time()
    issuer.status = 500

    async def handler(request: Request, error: Exception) -> Response:
        time.passes(3600)  # whoever asks the guard now has keys fetched
        with pytest.raises(KeysUnavailable):
            await on_starlette.requires_auth(awho)(request)
        return JSONResponse(await atoken_or_none(request), 503)

    app = starlette_app(guard_of(issuer, time), public=[], exception_handlers={KeysUnavailable: handler})
    assert ask(app, "/", GOOD).status == 503
    assert len(issuer.fetches) == 1


def test_another_header_is_another_verdict(guard: Guard) -> None:
    """An app may copy the scope for a request of its own to itself: who calls there is asked anew, both ways round."""
    seen: list[object] = []

    async def endpoint(request: Request) -> Response:
        seen.append(await atoken_or_none(request))
        for headers in ([(b"authorization", b"Bearer x")], [(b"authorization", f"Bearer {GOOD}".encode())], []):
            inner = Request({**request.scope, "headers": headers})
            seen.append(await atoken_or_none(inner))
            assert inner.scope.get("kinde_guard.token") is seen[-1]
        return Response()

    for headers in (bearing(f"Bearer {GOOD}"), bearing("Bearer y")):
        seen.clear()
        ask(starlette_app(guard, endpoint), "/", headers=headers)
        assert [token is not None for token in seen] == [headers == bearing(f"Bearer {GOOD}"), False, True, False]


def test_optional_tokens_refuse_bad_ones_as_before(guard: Guard) -> None:
    app = fastapi_app(guard)

    @app.get("/optional")
    def optional(token: OptionalToken) -> None: ...

    assert [ask(app, "/optional", token).status for token in (None, "x", GOOD)] == [200, 401, 200]
