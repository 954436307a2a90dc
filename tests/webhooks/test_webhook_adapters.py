"""``webhooks=`` and ``on_event=``: taken in front of everything, by every adapter alike, over real sockets."""

from __future__ import annotations

import contextlib
import functools
import http.client
import io
import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import asgi_calls
import pytest
import trio
from fastapi import FastAPI
from flask import Flask, abort
from helpers import Issuer, guard_of, mint, rsa_key
from servers import served
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.testclient import TestClient
from starlette.websockets import WebSocket
from waiting import LONG
from webhook_bodies import USER_ID, body
from werkzeug.serving import make_server
from werkzeug.test import Client

import kinde_guard.asgi
import kinde_guard.fastapi
import kinde_guard.flask
import kinde_guard.starlette
import kinde_guard.wsgi
from kinde_guard import ConfigurationError, Guard
from kinde_guard.testing import caller
from kinde_guard.web.webhook_endpoint import MOST_READ
from kinde_guard.webhooks import UserUpdated, WebhookEvent

PATH = "/webhooks/kinde"
JWT = {"Content-Type": "application/jwt", "webhook-id": "wh_1"}


async def echoed(request: Request) -> Response:
    return PlainTextResponse(f"served {len(await request.body())}")


class Told:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.events: list[WebhookEvent] = []

    def on_event(self, event: WebhookEvent) -> None:
        self.events.append(event)

    async def on_event_async(self, event: WebhookEvent) -> None:
        self.events.append(event)


def asgi_middleware(guard: Guard, public: Any = (), **options: Any) -> Any:
    app = Starlette(routes=[Route("/{any:path}", echoed, methods=["GET", "POST"])])
    return kinde_guard.asgi.GuardMiddleware(app, guard, public=public or (), **options)


def starlette(guard: Guard, **options: Any) -> Any:
    app = Starlette(routes=[Route("/{any:path}", echoed, methods=["GET", "POST"])])
    kinde_guard.starlette.KindeGuard(app, guard=guard, **options)
    return app


def fastapi(guard: Guard, **options: Any) -> Any:
    app = FastAPI()
    app.add_route("/{any:path}", echoed, methods=["GET", "POST"])
    kinde_guard.fastapi.KindeGuard(app, guard=guard, **options)
    return app


def flask(guard: Guard, **options: Any) -> Any:
    app = Flask("an_app")
    app.add_url_rule("/<path:path>", "served", lambda path: "served", methods=["GET", "POST"])
    if "public" in options:
        app.before_request(lambda: abort(418))  # lets nobody pass, and would read the form
    kinde_guard.flask.KindeGuard(app, guard=guard, **options)
    return app


def wsgi_middleware(guard: Guard, public: Any = (), **options: Any) -> Any:
    app = Flask("an_app")
    app.add_url_rule("/<path:path>", "served", lambda path: "served", methods=["GET", "POST"])
    return kinde_guard.wsgi.GuardMiddleware(app, guard, public=public or (), **options)


ADAPTERS = [asgi_middleware, starlette, fastapi, flask, wsgi_middleware]
WSGI = (flask, wsgi_middleware)
Adapter = Callable[..., Any]
every_adapter = pytest.mark.parametrize("adapter", ADAPTERS, ids=lambda adapter: adapter.__name__)


@contextlib.contextmanager
def served_by_werkzeug(app: Any) -> Iterator[str]:
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"127.0.0.1:{server.port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def serving(adapter: Adapter, app: Any) -> AbstractContextManager[str]:
    return served_by_werkzeug(app) if adapter in WSGI else served(app)


Reply = tuple[int, dict[str, str], bytes]


def ask(address: str, method: str, path: str, data: Any = None, headers: Any = JWT, **options: Any) -> Reply:
    connection = http.client.HTTPConnection(address, timeout=LONG)
    with contextlib.closing(connection):
        connection.request(method, path, data, headers, **options)
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()


@pytest.fixture
def told() -> Told:
    return Told()


@every_adapter
@pytest.mark.parametrize("public", [{}, {"public": []}], ids=["routes demand", "all demand"])
def test_a_webhook_over_a_socket(guard: Guard, told: Told, adapter: Adapter, public: Any) -> None:
    app = adapter(guard, webhooks=PATH, on_event=told.on_event, **public)
    with serving(adapter, app) as address:
        for _ in range(2):  # the second attempt has nothing done twice
            status, headers, answer = ask(address, "POST", PATH, body())
            assert (status, answer) == (200, b"")
            assert headers["cache-control"] == "no-store"
        status, _, answer = ask(address, "POST", PATH, body(key=rsa_key("another tenant's")))
        assert (status, json.loads(answer)["error"]) == (400, "bad_signature")
        status, _, answer = ask(address, "POST", PATH, mint().encode(), {"Authorization": f"Bearer {mint()}"})
        assert (status, json.loads(answer)["error"]) == (400, "not_an_event")
    (event,) = told.events
    assert isinstance(event, UserUpdated)
    assert event.user_id == USER_ID


@every_adapter
def test_bodies_over_a_socket(guard: Guard, told: Told, adapter: Adapter) -> None:
    app = adapter(guard, webhooks=PATH, on_event=told.on_event_async)
    with serving(adapter, app) as address:
        parts = [body()[at : at + 100] for at in range(0, len(body()), 100)]
        assert ask(address, "POST", PATH, iter(parts), JWT, encode_chunked=True)[0] == 200
        assert len(told.events) == 1
        for data in (b"", b"x", b"x" * 65_536, b"x" * 65_537, b"x" * 200_000):
            status, _, answer = ask(address, "POST", PATH, data)
            assert status == 400
            assert json.loads(answer)["error"] == ("too_large" if len(data) > 65_536 else "malformed")
        assert ask(address, "POST", PATH, iter([b"x" * 9_000] * 20), JWT, encode_chunked=True)[0] == 400


@every_adapter
def test_no_more_is_read_than_need_be(guard: Guard, told: Told, adapter: Adapter) -> None:
    """Of a body that never ends."""
    app = adapter(guard, webhooks=PATH, on_event=told.on_event)
    with serving(adapter, app) as address:
        host, _, port = address.partition(":")
        with socket.create_connection((host, int(port)), timeout=LONG) as sock:
            head = ["Host: x", "Content-Type: application/jwt", "Content-Length: 9999999"]
            sock.sendall("\r\n".join([f"POST {PATH} HTTP/1.1", *head, "", ""]).encode() + b"x" * MOST_READ)
            assert sock.makefile("rb").readline().split(b" ")[1] == b"400"


@every_adapter
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH"])
def test_another_method(guard: Guard, told: Told, adapter: Adapter, method: str) -> None:
    app = adapter(guard, webhooks=PATH, on_event=told.on_event)
    client: Any = Client(app) if adapter in WSGI else TestClient(app)
    preflight = {"Origin": "https://a.example", "Access-Control-Request-Method": "POST"}
    send = client.open if adapter in WSGI else functools.partial(client.request, method)
    answer = send(PATH, headers=preflight, **({"method": method} if adapter in WSGI else {}))
    assert (answer.status_code, answer.headers["Allow"]) == (405, "POST")
    assert told.events == []


@every_adapter
@pytest.mark.parametrize("path", [f"{PATH}/", f"{PATH}/x", "/webhooks/Kinde", "/webhooks/../webhooks/kinde"])
def test_no_other_path_is_opened(guard: Guard, told: Told, adapter: Adapter, path: str) -> None:
    app = adapter(guard, webhooks=PATH, on_event=told.on_event, public=[])
    with serving(adapter, app) as address:
        assert ask(address, "POST", path, body())[0] == 401
    assert told.events == []


@every_adapter
def test_the_rest_of_the_app_is_as_it_was(guard: Guard, told: Told, adapter: Adapter) -> None:
    app = adapter(guard, webhooks=PATH, on_event=told.on_event)
    bearer = {"Authorization": f"Bearer {mint()}"}
    with serving(adapter, app) as address:
        status, _, answer = ask(address, "POST", "/another", b"12345", bearer)
        assert (status, answer[:6]) == (200, b"served")


@every_adapter
def test_without_it_the_path_is_like_any_other(guard: Guard, adapter: Adapter) -> None:
    with serving(adapter, adapter(guard, public=[])) as address:
        assert ask(address, "POST", PATH, body())[0] == 401


@every_adapter
def test_without_keys(told: Told, adapter: Adapter) -> None:
    issuer = Issuer()
    issuer.status = 503
    with serving(adapter, adapter(guard_of(issuer), webhooks=PATH, on_event=told.on_event)) as address:
        status, headers, answer = ask(address, "POST", PATH, body())
    assert (status, json.loads(answer)["error"]) == (503, "keys_unavailable")
    assert int(headers["retry-after"]) >= 1


@every_adapter
def test_a_failure(guard: Guard, adapter: Adapter, caplog: pytest.LogCaptureFixture) -> None:
    def on_event(event: WebhookEvent) -> None:
        raise OSError("away")

    with serving(adapter, adapter(guard, webhooks=PATH, on_event=on_event)) as address:
        status, _, answer = ask(address, "POST", PATH, body())
    assert (status, json.loads(answer)["error"]) == (503, "not_handled")
    assert "away" in caplog.text


@every_adapter
def test_under_a_prefix(guard: Guard, told: Told, adapter: Adapter) -> None:
    """The path is the app's own, wherever it is mounted."""
    app = adapter(guard, webhooks=PATH, on_event=told.on_event)
    if adapter in WSGI:
        answer: Any = Client(app).open(PATH, "http://a.example/v1", method="POST", data=body())
        assert answer.status_code == 200
    else:
        outer = Starlette(routes=[Mount("/v1", app)])
        assert TestClient(outer).post(f"/v1{PATH}", content=body()).status_code == 200
        assert TestClient(outer).post(PATH, content=body()).status_code == 404
    assert len(told.events) == 1


@every_adapter
def test_another_guard_takes_over(told: Told, adapter: Adapter) -> None:
    """As in tests, with ``kinde_trust(app)``; a test's stand-in for a guard has no keys to verify with."""
    issuer = Issuer()
    app = adapter(guard_of(issuer), webhooks=PATH, on_event=told.on_event)
    client: Any = Client(app) if adapter in WSGI else TestClient(app)

    def sent() -> int:
        options = {"data": body()} if adapter in WSGI else {"content": body()}
        status: int = client.post(PATH, **options).status_code
        return status

    assert sent() == 200
    with caller(app):
        assert sent() == 503
    assert sent() == 200


class TestSettings:
    @every_adapter
    @pytest.mark.parametrize(("options", "words"), [
        ({"on_event": print}, "needs a path for the webhooks"),
        ({"webhooks": PATH}, "webhooks= alone does nothing"),
        ({"webhooks": "webhooks", "on_event": print}, "webhooks is a path"),
        ({"webhooks": "", "on_event": print}, "webhooks is a path"),
        ({"webhooks": "https://a.example/b", "on_event": print}, "webhooks is a path"),
        ({"webhooks": "/a b", "on_event": print}, "webhooks is a path"),
        ({"webhooks": "/a?b", "on_event": print}, "webhooks is a path"),
        ({"webhooks": "/*", "on_event": print}, "webhooks is a path"),
        ({"webhooks": [PATH], "on_event": print}, "webhooks is a path"),
        ({"webhooks": True, "on_event": print}, "webhooks is a path"),
        ({"webhooks": "/.well-known/oauth-protected-resource", "on_event": print}, "webhooks is a path"),
        ({"webhooks": PATH, "on_event": "print"}, "on_event is a function"),
        ({"webhooks": PATH, "on_event": lambda: None}, "called with the event and nothing else"),
        ({"webhooks": "/healthz", "healthz": "/healthz", "on_event": print}, "where a health check or metadata is"),
    ])  # fmt: skip
    def test_what_is_wrong_is_said_at_the_start(self, guard: Guard, adapter: Adapter, options: Any, words: str) -> None:
        def started() -> None:
            app = adapter(guard, **options)
            if adapter not in WSGI:
                with TestClient(app):
                    pass

        with pytest.raises(ConfigurationError, match=words):
            started()

    @every_adapter
    def test_beside_health_checks(self, guard: Guard, told: Told, adapter: Adapter) -> None:
        app = adapter(guard, webhooks=PATH, on_event=told.on_event, healthz="/healthz")
        client: Any = Client(app) if adapter in WSGI else TestClient(app)
        assert client.get("/healthz").status_code == 200
        assert client.get(PATH).status_code == 405


def test_of_two_flask_apps_each_has_its_own(guard: Guard, told: Told) -> None:
    by = kinde_guard.flask.KindeGuard(guard=guard, webhooks=PATH, on_event=told.on_event)
    for name in ("one", "two"):
        app = Flask(name)
        by.init_app(app)
        assert app.test_client().post(PATH, data=body()).status_code == 200
    assert len(told.events) == 2


def test_a_websocket_at_the_path_is_the_apps(guard: Guard, told: Told) -> None:
    app = FastAPI()

    @app.websocket(PATH)
    async def hello(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.close()

    kinde_guard.fastapi.KindeGuard(app, guard=guard, webhooks=PATH, on_event=told.on_event)
    with TestClient(app).websocket_connect(PATH):
        pass


def posting(*parts: Any) -> asgi_calls.Conversation:
    """A request to the path, whose body comes in *parts*."""
    talk = asgi_calls.http(PATH, method="POST")
    talk.incoming = list(parts)
    return talk


def test_a_client_that_goes_away_is_answered_nothing(guard: Guard, told: Told) -> None:
    app = asgi_middleware(guard, webhooks=PATH, on_event=told.on_event)
    parts: list[Any] = [
        {"type": "http.request", "body": body()[:100], "more_body": True},
        {"type": "http.disconnect"},
    ]
    talk = posting(*parts)
    trio.run(talk.with_app, app)
    assert talk.sent == []
    assert told.events == []


def test_under_trio(guard: Guard, told: Told) -> None:
    app = asgi_middleware(guard, webhooks=PATH, on_event=told.on_event)
    talk = posting({"type": "http.request", "body": body()})
    trio.run(talk.with_app, app)
    assert talk.reply.status == 200
    assert len(told.events) == 1


def test_middleware_that_is_asked_first_stays_outside(guard: Guard, told: Told) -> None:
    seen: list[str] = []

    class Outer:
        def __init__(self, app: Any) -> None:
            self.app = app

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            seen.append(scope["type"])
            await self.app(scope, receive, send)

    app = Starlette(middleware=[Middleware(Outer)])
    kinde_guard.starlette.KindeGuard(app, guard=guard, webhooks=PATH, on_event=told.on_event)
    assert TestClient(app).post(PATH, content=body()).status_code == 200
    assert seen == []


@pytest.mark.parametrize("length", ["", "x", "-1", "+5", "1_0", "٣", "9" * 5_000])
def test_lengths_of_wsgi(guard: Guard, told: Told, length: str) -> None:
    """What a server may hand on. Without a length, and a word from the server that it ends the body, there is none."""
    app = wsgi_middleware(guard, webhooks=PATH, on_event=told.on_event)
    environ = {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": PATH,
        "CONTENT_TYPE": "application/jwt",
        "CONTENT_LENGTH": length,
        "wsgi.input": io.BytesIO(body()),
    }
    statuses: list[str] = []
    app(environ, lambda status, headers: statuses.append(status))
    assert statuses == ["200 OK" if length.startswith("9") else "400 Bad Request"]
    if not length:
        app({**environ, "wsgi.input_terminated": True}, lambda status, headers: statuses.append(status))
        assert statuses[-1] == "200 OK"
