"""python-socketio beside Starlette and FastAPI, on a real server: strangers stay outside."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import requests
import socketio  # type: ignore[import-untyped]
from fastapi import FastAPI
from helpers import M2M, mint
from starlette.applications import Starlette

import kinde_guard.fastapi as on_fastapi
import kinde_guard.starlette as on_starlette
from kinde_guard import Guard
from kinde_guard.asgi import GuardMiddleware
from kinde_guard.cli.serving import listen, serving, url_of

GOOD = {"Authorization": f"Bearer {mint(base=M2M)}"}
Seen = list[Any]


def server(seen: Seen, demand: Callable[[Any], Any] = lambda handler: handler) -> Any:
    sio = socketio.AsyncServer(async_mode="asgi", ping_interval=1)  # or a client that ends waits for 25 s

    @demand
    async def connect(sid: str, environ: Any, auth: object = None) -> None:
        seen.append(environ["asgi.scope"].get("kinde_guard.token"))

    sio.on("connect", connect)
    return sio


@contextmanager
def connected(app: Any, headers: dict[str, str]) -> Iterator[Any]:
    sock = listen(0)
    with serving(app, sock):
        session = requests.Session()  # the client's own would send the headers with its first request alone
        session.headers.update(headers)
        client = socketio.SimpleClient(reconnection=False, http_session=session)
        try:
            client.connect(url_of(sock), transports=["polling"], wait_timeout=20)
            yield client
        finally:
            client.disconnect()


def mounted(sio: Any, guard: Guard) -> Any:
    app = FastAPI()
    app.mount("/socket.io", socketio.ASGIApp(sio, socketio_path=""))
    on_fastapi.KindeGuard(app, guard=guard, public=[])
    return app


def wrapped(sio: Any, guard: Guard) -> Any:
    return GuardMiddleware(socketio.ASGIApp(sio, Starlette()), guard)


@pytest.mark.parametrize("make", [mounted, wrapped])
def test_the_guard_in_front_decides(make: Any, guard: Guard) -> None:
    seen: Seen = []
    app = make(server(seen), guard)
    with pytest.raises(socketio.exceptions.ConnectionError), connected(app, {}):
        pass
    assert not seen
    with connected(app, GOOD):
        assert [token.client_id for token in seen] == [M2M["azp"]]


@pytest.mark.parametrize("adapter", [on_starlette, on_fastapi])
@pytest.mark.parametrize("headers", [{}, GOOD], ids=["a stranger", "a caller"])
def test_a_decorator_that_cannot_stand_there_lets_nobody_in(adapter: Any, headers: Any, guard: Guard) -> None:
    """It finds no request, and what it then raises is no open door."""
    seen: Seen = []
    app = FastAPI()
    app.mount("/socket.io", socketio.ASGIApp(server(seen, adapter.requires_auth), socketio_path=""))
    on_fastapi.KindeGuard(app, guard=guard)
    answered = pytest.raises(socketio.exceptions.ConnectionError, match="namespaces failed to connect")
    with answered, connected(app, headers):
        pass
    assert not seen
