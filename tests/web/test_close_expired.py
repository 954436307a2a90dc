"""WebSockets and streams that are open end when their token expires or is revoked: ``close_expired=True``."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import anyio
import httpx
import pytest
from asgi_calls import App, Message
from fastapi import FastAPI, WebSocket
from fastapi.responses import StreamingResponse
from flask import Flask, Response
from helpers import HEADER, USER, Issuer, Time, changed, guard_of, mint, sign
from servers import served
from starlette.applications import Starlette
from starlette.routing import Route, WebSocketRoute
from waiting import LONG, until
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from kinde_guard import Guard
from kinde_guard.asgi import GuardMiddleware
from kinde_guard.fastapi import KindeGuard, Token, requires_auth
from kinde_guard.flask import KindeGuard as FlaskGuard
from kinde_guard.net.clocks import Clocks, ageing
from kinde_guard.revocation import Revocations
from kinde_guard.starlette import KindeGuard as StarletteGuard
from kinde_guard.web import open_asgi
from kinde_guard.wsgi import GuardMiddleware as WsgiMiddleware

SUBJECT = USER["sub"]
RAW = mint()
AUTHORIZATION = {"Authorization": f"Bearer {RAW}"}


class Api:
    """A guard, and what happened behind it."""

    def __init__(self) -> None:
        self.time = Time()
        self.revocations = Revocations.in_memory()
        self.guard = guard_of(Issuer(), self.time, revocations=self.revocations)
        self.seen: list[str] = []
        self.go_on = threading.Event()

    async def chunks(self) -> AsyncIterator[bytes]:
        yield b"one "
        while not self.go_on.is_set():
            await anyio.sleep(0.002)
        for _ in range(3):
            yield b"two "
        self.seen.append("all was sent")


ENDS: dict[str, Callable[[Api], object]] = {
    "revoked": lambda api: api.revocations.revoke_subject(SUBJECT),
    "expired": lambda api: api.time.passes(86_031),
}


@pytest.fixture(autouse=True)
def _looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock of these tests is set by hand."""
    monkeypatch.setattr("kinde_guard.web.open_token.MOST_AT_ONCE", 0.01)


@pytest.fixture
def api() -> Api:
    return Api()


def fastapi_app(api: Api, **options: Any) -> FastAPI:
    app = FastAPI()
    KindeGuard(app, guard=api.guard, close_expired=True, **options)

    @app.websocket("/ws")
    async def talk(socket: WebSocket, token: Token) -> None:
        await socket.accept()
        try:
            while True:
                await socket.send_text(await socket.receive_text())
        finally:
            api.seen.append("the socket ended")

    @app.websocket("/stubborn")
    async def stubborn(socket: WebSocket, token: Token) -> None:
        await socket.accept()
        try:
            while True:
                await socket.send_text("tick")
                await asyncio.sleep(0.002)
        finally:
            api.seen.append("the socket ended")

    @app.get("/stream")
    @requires_auth
    def stream() -> StreamingResponse:
        return StreamingResponse(api.chunks())

    @app.get("/whole")
    @requires_auth
    def whole() -> str:
        return "whole"

    return app


def starlette_app(api: Api, **options: Any) -> Starlette:
    async def talk(socket: Any) -> None:
        await socket.accept()
        try:
            while True:
                await socket.send_text(await socket.receive_text())
        finally:
            api.seen.append("the socket ended")

    async def stream(request: Any) -> Any:
        return StreamingResponse(api.chunks())

    app = Starlette(routes=[WebSocketRoute("/ws", talk), Route("/stream", stream)])
    if "middleware" in options:
        app.add_middleware(GuardMiddleware, guard=api.guard, close_expired=True)
    else:
        StarletteGuard(app, guard=api.guard, public=[], close_expired=True)
    return app


APPS: dict[str, Callable[[Api], Any]] = {
    "fastapi": fastapi_app,
    "fastapi, deny by default": lambda api: fastapi_app(api, public=[]),
    "starlette": starlette_app,
    "asgi": lambda api: starlette_app(api, middleware=True),
}
each_app = pytest.mark.parametrize("made", APPS)


@each_app
@pytest.mark.parametrize("end", ENDS)
def test_a_websocket_is_closed_and_what_serves_it_ends(api: Api, made: str, end: str) -> None:
    """With 1008, also where nobody says a word."""
    with (
        served(APPS[made](api)) as address,
        connect(f"ws://{address}/ws", additional_headers=AUTHORIZATION) as socket,
    ):
        socket.send("hello")
        assert socket.recv(LONG) == "hello"
        ENDS[end](api)
        with pytest.raises(ConnectionClosed) as closed:
            socket.recv(LONG)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1008
        until(lambda: api.seen == ["the socket ended"])
    assert api.revocations.copy.watchers == {}


def test_who_only_sends_is_cancelled(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(open_asgi, "PATIENCE", 0.05)
    with served(fastapi_app(api)) as address, connect(
        f"ws://{address}/stubborn", additional_headers=AUTHORIZATION
    ) as socket:  # fmt: skip
        assert socket.recv(LONG) == "tick"
        api.revocations.revoke_subject(SUBJECT)
        with pytest.raises(ConnectionClosed):
            set(socket)
        until(lambda: api.seen == ["the socket ended"])


@each_app
@pytest.mark.parametrize("end", ENDS)
def test_a_stream_is_cut_at_its_next_chunk(api: Api, made: str, end: str, caplog: pytest.LogCaptureFixture) -> None:
    """Whoever reads it sees that it is not whole."""
    caplog.set_level(logging.INFO, "kinde_guard")
    with served(APPS[made](api)) as address, httpx.stream(
        "GET", f"http://{address}/stream", headers=AUTHORIZATION
    ) as answer:  # fmt: skip
        parts = answer.iter_bytes()
        assert next(parts) == b"one "
        ENDS[end](api)
        api.go_on.set()
        with pytest.raises(httpx.RemoteProtocolError):
            next(parts)
    assert api.seen == []
    refused = [record.message for record in caplog.records if record.message.startswith(f"refused ({end})")]
    assert len(refused) == 1
    assert api.revocations.copy.watchers == {}


@each_app
def test_what_is_not_over_goes_on(api: Api, made: str) -> None:
    with served(APPS[made](api)) as address:
        with connect(f"ws://{address}/ws", additional_headers=AUTHORIZATION) as socket:
            api.revocations.revoke_subject("somebody else")
            socket.send("still here")
            assert socket.recv(LONG) == "still here"
        api.go_on.set()
        assert httpx.get(f"http://{address}/stream", headers=AUTHORIZATION).text == "one two two two "
    until(lambda: api.revocations.copy.watchers == {})


def test_without_the_switch_nothing_ends(api: Api) -> None:
    app = FastAPI()
    KindeGuard(app, guard=api.guard)

    @app.get("/stream")
    @requires_auth
    def stream() -> StreamingResponse:
        return StreamingResponse(api.chunks())

    with served(app) as address, httpx.stream("GET", f"http://{address}/stream", headers=AUTHORIZATION) as answer:
        parts = answer.iter_bytes()
        assert next(parts) == b"one "
        api.revocations.revoke_subject(SUBJECT)
        api.go_on.set()
        assert b"".join(parts) == b"two two two "


def test_never_because_redis_is_away(api: Api) -> None:
    """A copy that is too old judges no request, and ends nothing that is open."""
    away = Revocations("redis://127.0.0.1:1/0", unloaded="accept", usable_for=0)
    api.guard = guard_of(Issuer(), api.time, revocations=away)
    with served(fastapi_app(api)) as address, connect(
        f"ws://{address}/ws", additional_headers=AUTHORIZATION
    ) as socket:  # fmt: skip
        away.copy.heard(0.0)
        assert not away.copy.usable(api.time.monotonic)
        socket.send("still here")
        assert socket.recv(LONG) == "still here"
    away.close()


def test_a_stranger_s_connection_stays_as_it_is(api: Api) -> None:
    app = fastapi_app(api)

    @app.websocket("/open")
    async def anybody(socket: WebSocket) -> None:
        await socket.accept()
        await socket.send_text(await socket.receive_text())
        await socket.close()

    @app.get("/open")
    def open_stream() -> StreamingResponse:
        return StreamingResponse(iter([b"a", b"b"]))

    with served(app) as address:
        with connect(f"ws://{address}/open") as socket:
            api.revocations.revoke_all()
            socket.send("hello")
            assert socket.recv(LONG) == "hello"
        assert httpx.get(f"http://{address}/open").text == "ab"


def test_a_mistake_of_the_app_s_is_its_own(api: Api) -> None:
    """Not a group of exceptions, and not swallowed."""

    async def broken(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "websocket.accept"} if scope["type"] == "websocket" else {"type": "http.response.start"})
        raise KeyError("mine")

    app = GuardMiddleware(broken, api.guard, close_expired=True)

    async def nothing(*message: Any) -> Any:
        return {"type": "websocket.connect"}

    for kind in ("websocket", "http"):
        scope = {"type": kind, "path": "/", "method": "GET", "headers": [(b"authorization", f"Bearer {RAW}".encode())]}
        with pytest.raises(KeyError, match="mine"):
            asyncio.run(app(scope, nothing, nothing))


def test_under_trio_as_well(api: Api) -> None:
    """As hypercorn runs it with its trio worker."""
    import trio

    sent: list[Message] = []

    async def talk(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "websocket.accept"})
        assert (await receive())["type"] == "websocket.disconnect"
        assert (await receive())["type"] == "websocket.disconnect"
        api.seen.append("the socket ended")

    async def receive() -> Message:
        await trio.sleep_forever()
        raise AssertionError

    async def send(message: Message) -> None:
        sent.append(message)
        if message["type"] == "websocket.accept":
            threading.Timer(0.01, api.revocations.revoke_subject, [SUBJECT]).start()

    app: App = GuardMiddleware(talk, api.guard, close_expired=True)
    scope = {"type": "websocket", "path": "/", "headers": [(b"authorization", f"Bearer {RAW}".encode())]}
    trio.run(app, scope, receive, send)
    assert [message["type"] for message in sent] == ["websocket.accept", "websocket.close"]
    assert sent[1]["code"] == 1008
    assert api.seen == ["the socket ended"]


def test_who_does_not_listen_is_cancelled_and_who_goes_on_is_told_again(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(open_asgi, "PATIENCE", 0.01)

    async def deaf(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.accept"})
            api.revocations.revoke_subject(SUBJECT)
            await anyio.sleep_forever()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"one", "more_body": True})
        for _ in range(3):
            with pytest.raises(open_asgi.Cut):
                await send({"type": "http.response.body", "body": b"two", "more_body": True})

    async def receive() -> Any:
        raise AssertionError

    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def send_and_expire(message: Message) -> None:
        await send(message)
        api.time.passes(86_031 if message["type"] == "http.response.body" else 0)

    app = GuardMiddleware(deaf, api.guard, close_expired=True)
    scope = {"path": "/", "method": "GET", "headers": [(b"authorization", f"Bearer {RAW}".encode())]}
    asyncio.run(app({"type": "http", **scope}, receive, send_and_expire))
    api.time.passes(-86_031)
    asyncio.run(app({"type": "websocket", **scope}, receive, send))
    kinds = [message["type"] for message in sent]
    assert kinds == ["http.response.start", "http.response.body", "websocket.accept", "websocket.close"]


# WSGI.


class Stream:
    """Of an app that has something to close."""

    def __init__(self, api: Api) -> None:
        self._api, self._items = api, iter([b"one ", b"two ", b"three "])

    def __iter__(self) -> Iterator[bytes]:
        return self._items

    def close(self) -> None:
        self._api.seen.append("closed")


def wsgi_app(api: Api) -> Any:
    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        return Stream(api)

    return WsgiMiddleware(app, api.guard, close_expired=True)


def flask_app(api: Api) -> Any:
    app = Flask(__name__)
    FlaskGuard(app, guard=api.guard, public=[], close_expired=True)

    @app.get("/")
    def stream() -> Response:
        response = Response(iter(Stream(api)))
        response.call_on_close(lambda: api.seen.append("closed"))
        return response

    return app


def asked(app: Any) -> Any:
    from werkzeug.test import EnvironBuilder

    return app(EnvironBuilder("/", headers=list(AUTHORIZATION.items())).get_environ(), lambda *_: lambda _: None)


@pytest.mark.parametrize("made", [wsgi_app, flask_app])
@pytest.mark.parametrize("end", ENDS)
def test_a_wsgi_stream_is_cut_at_its_next_item(api: Api, made: Callable[[Api], Any], end: str) -> None:
    """With the error of a connection that is gone, which servers take quietly."""
    answer = asked(made(api))
    items = iter(answer)
    assert next(items) == b"one "
    ENDS[end](api)
    with pytest.raises(BrokenPipeError):
        next(items)
    answer.close()
    assert api.seen == ["closed"]
    assert api.revocations.copy.watchers == {}


@pytest.mark.parametrize("made", [wsgi_app, flask_app])
def test_a_wsgi_stream_that_is_not_over_goes_on(api: Api, made: Callable[[Api], Any]) -> None:
    answer = asked(made(api))
    assert b"".join(answer) == b"one two three "
    answer.close()
    assert api.revocations.copy.watchers == {}


def test_a_whole_answer_and_a_stranger_s_go_as_they_are(api: Api) -> None:
    def whole(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        return [b"whole"]

    assert asked(WsgiMiddleware(whole, api.guard, close_expired=True)) == [b"whole"]

    def stream(environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        return iter([b"a", b"b"])

    answer = asked(WsgiMiddleware(stream, api.guard, public=["/"], close_expired=True))
    assert list(answer) == [b"a", b"b"]
    answer.close()


def test_the_time_left_is_told_by_a_clock_that_nobody_sets() -> None:
    """And no further than an hour ahead, so that whoever sleeps that long looks again."""
    from kinde_guard.web.open_token import OpenToken

    by = [0.0]
    clocks = Clocks(wall=time.time, monotonic=lambda: ageing() + by[0])
    guard = Guard("acme.kinde.com", audience=USER["aud"], transport=Issuer().transport, variables=(), clocks=clocks)
    import json

    now = int(time.time())
    token = guard.verify(sign(json.dumps(HEADER), json.dumps(changed(USER, {"iat": now, "exp": now + 10}))))
    opened = OpenToken(guard, token)
    assert not opened.is_over
    by[0] = 41.0
    assert opened.is_over
    opened.close()
