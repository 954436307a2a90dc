"""The ASGI middleware, in front of an app of no framework."""

from __future__ import annotations

import asyncio
import http.client
import logging
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from asgi_calls import Conversation, Counting, Message, Scope, ask, bearing, lifespan, talk, websocket
from asgi_calls import http as request
from helpers import AUDIENCE, CLIENT, DOMAIN, Issuer, Time, guard_of, mint
from servers import served, uvicorn_command
from uvicorn.config import WS_PROTOCOLS
from waiting import LONG
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from kinde_guard import AccessToken, ConfigurationError, Guard, InsufficientScope, permission, scope
from kinde_guard.asgi import GuardMiddleware, aauthenticate, authenticate
from kinde_guard.requirements import org_of_route

PREFLIGHT = [("origin", "https://app.example"), ("access-control-request-method", "POST")]


@dataclass
class App:
    """An app that says who called, and remembers what it was asked."""

    asked: list[Scope] = field(default_factory=list)

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        self.asked.append(scope)
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept"})
            await send({"type": "websocket.close", "code": 1000})
        else:
            token = scope.get("kinde_guard.token")
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": (token.client_id if token else "nobody").encode()})


@pytest.fixture
def app() -> App:
    return App()


def test_valid_token_is_in_the_scope(app: App, guard: Guard, token: str) -> None:
    assert ask(GuardMiddleware(app, guard), "/users", token).body.decode() == CLIENT
    assert isinstance(app.asked[0]["kinde_guard.token"], AccessToken)


def test_denied_by_default(app: App, guard: Guard) -> None:
    """Any path, any method, before the body is read: nobody answers when the app would ask for it."""
    for path in ("/", "/users", "/docs", "/unknown"):
        for method in ("GET", "POST", "DELETE", "OPTIONS", "BREW"):
            reply = talk(GuardMiddleware(app, guard), request(path, method=method)).reply
            assert (reply.status, reply.challenge) == (401, 'Bearer realm="api"')
    assert app.asked == []


def test_problem_body(app: App, guard: Guard) -> None:
    reply = ask(GuardMiddleware(app, guard), "/users", mint({"aud": "https://other"}))
    assert reply.status == 401
    assert reply.headers["content-type"] == "application/problem+json"
    assert reply.headers["content-length"] == str(len(reply.body))
    assert reply.json == {
        "title": "Unauthorized",
        "status": 401,
        "detail": "The access token is for another audience.",
        "error": "invalid_token",
    }


def test_requires(app: App, guard: Guard, token: str) -> None:
    """On top of a valid token, and only of what is not public."""
    middleware = GuardMiddleware(app, guard, public=["/healthz"], requires=scope("read:users", "delete:users"))
    reply = ask(middleware, "/users", token)
    assert reply.status == 403
    assert 'scope="read:users delete:users"' in reply.challenge
    assert ask(middleware, "/healthz").status == 200
    assert ask(GuardMiddleware(app, guard, requires=scope("read:users")), "/users", token).status == 200
    assert ask(GuardMiddleware(app, guard, requires=permission("x")), "/users", token).status == 403


def test_hint_of_a_demand_is_logged(app: App, guard: Guard, token: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "kinde_guard"):
        ask(GuardMiddleware(app, guard, requires=scope("delete:users")), "/users", token)
    assert "authorise the app for it in Kinde" in caplog.text
    assert token not in caplog.text


def test_two_authorization_headers(app: App, guard: Guard, token: str) -> None:
    """They are counted where they arrive, one by one: two good ones are no better, of a token known or not."""
    for _ in ("unknown", "known"):
        for headers in (bearing(token) * 2, bearing(token) + bearing("x"), bearing("x") + bearing(token)):
            reply = ask(GuardMiddleware(app, guard), "/users", headers=headers)
            assert reply.status == 400
            assert 'error="invalid_request"' in reply.challenge
        assert ask(GuardMiddleware(app, guard), "/users", token).status == 200


def test_cannot_tell(app: App, token: str) -> None:
    issuer = Issuer()
    issuer.status = 500
    reply = ask(GuardMiddleware(app, guard_of(issuer)), "/users", token)
    assert reply.status == 503
    assert int(reply.headers["retry-after"]) >= 1
    assert "www-authenticate" not in reply.headers


@pytest.mark.parametrize("path", ["/healthz", "/static/", "/static/app.js", "/static/css/app.css"])
def test_public_paths(app: App, guard: Guard, path: str) -> None:
    """No token is looked at, good or bad."""
    middleware = GuardMiddleware(app, guard, public=["/healthz", "/static/*"])
    assert ask(middleware, path).body == b"nobody"
    assert ask(middleware, path, "forged").body == b"nobody"
    assert ask(middleware, path, mint()).body == b"nobody"


@pytest.mark.parametrize(
    "path",
    [
        "/Healthz",
        "/healthz/",
        "/static",
        "/static//",
        "/static/../users",
        "/static//a",
        "/static/a\\b",
        "/static/\x00",
        "/static/%2e",
    ],
)
def test_paths_that_only_look_public(app: App, guard: Guard, path: str) -> None:
    assert ask(GuardMiddleware(app, guard, public=["/healthz", "/static/*"]), path).status == 401


@pytest.mark.parametrize(
    ("root", "path", "status"),
    [
        pytest.param("/api", "/api/healthz", 200, id="behind a prefix"),
        pytest.param("/api", "/api/users", 401, id="behind a prefix, not public"),
        pytest.param("/api", "/healthz", 200, id="a server that has taken the prefix off"),
        pytest.param("/api", "/apihealthz", 401, id="begins like the prefix"),
        pytest.param("/heal", "/healthz", 200, id="a prefix ends at a slash"),
        pytest.param("/healthz", "/healthz", 401, id="the prefix itself"),
        pytest.param("", "/api/healthz", 401, id="without a prefix"),
        pytest.param("/api", "/api/api/healthz", 401, id="the prefix is taken off once"),
    ],
)
def test_path_is_without_root_path(app: App, guard: Guard, root: str, path: str, status: int) -> None:
    assert ask(GuardMiddleware(app, guard, public=["/healthz"]), path, root_path=root).status == status


@pytest.mark.parametrize(
    ("method", "headers", "status"),
    [
        pytest.param("OPTIONS", PREFLIGHT, 200, id="all of one"),
        pytest.param("OPTIONS", PREFLIGHT[:1], 401, id="no method asked for"),
        pytest.param("OPTIONS", PREFLIGHT[1:], 401, id="no origin"),
        pytest.param("OPTIONS", [], 401, id="plain"),
        pytest.param("POST", PREFLIGHT, 401, id="another method"),
        pytest.param("OPTIONS", [(name.replace("-", "_"), value) for name, value in PREFLIGHT], 401, id="underscores"),
        pytest.param("OPTIONS", [*PREFLIGHT, ("x-http-method-override", "GET")], 401, id="an override"),
        pytest.param("OPTIONS", [*PREFLIGHT, ("x_http_method_override", "GET")], 401, id="an override for WSGI within"),
    ],
)
def test_cors_preflights(app: App, guard: Guard, method: str, headers: Any, status: int) -> None:
    """Nothing passes for calling itself one, unless the owner of the app says that it answers them all."""
    request = {"headers": headers, "method": method}
    assert ask(GuardMiddleware(app, guard), "/users", **request).status == 401
    assert ask(GuardMiddleware(app, guard, requires=scope("a")), "/users", **request).status == 401
    assert app.asked == []
    assert ask(GuardMiddleware(app, guard, pass_preflights=True), "/users", **request).status == status
    assert len(app.asked) == (status == 200)


def test_websocket_is_let_in_by_its_token(app: App, guard: Guard, token: str) -> None:
    conversation = talk(GuardMiddleware(app, guard), websocket("/ws", bearing(token)))
    assert conversation.sent[0] == {"type": "websocket.accept"}


def test_websocket_is_refused_with_a_status(app: App, guard: Guard) -> None:
    """By the extension ``websocket.http.response``; a header for CORS preflights opens nothing."""
    reply = talk(GuardMiddleware(app, guard), websocket("/ws", PREFLIGHT, method="OPTIONS")).reply
    assert (reply.status, reply.json["error"]) == (401, "missing_token")
    assert reply.challenge == 'Bearer realm="api"'
    assert app.asked == []


@pytest.mark.parametrize("extensions", [{}, None])
def test_websocket_is_closed_where_a_status_cannot_be_had(app: App, guard: Guard, extensions: Any) -> None:
    conversation = talk(GuardMiddleware(app, guard), websocket("/ws", extensions=extensions))
    assert conversation.sent == [{"type": "websocket.close", "code": 1008, "reason": ""}]
    assert app.asked == []


def test_websocket_path_can_be_public(app: App, guard: Guard) -> None:
    conversation = talk(GuardMiddleware(app, guard, public=["/ws"]), websocket("/ws"))
    assert conversation.sent[0] == {"type": "websocket.accept"}


def test_unknown_protocols_are_guarded(app: App, guard: Guard) -> None:
    """What ASGI may bring one day is not let through unseen."""
    talk(GuardMiddleware(app, guard), Conversation({**request("/users").scope, "type": "webtransport"}))
    assert app.asked == []


def test_lifespan_is_passed_on(app: App, guard: Guard) -> None:
    conversation = talk(GuardMiddleware(app, guard), lifespan())
    assert [message["type"] for message in conversation.sent] == [
        "lifespan.startup.complete",
        "lifespan.shutdown.complete",
    ]


def test_settings_come_from_the_environment_at_start(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not before, so that an app can be imported without any."""
    middleware = GuardMiddleware(app)
    monkeypatch.setenv("KINDE_DOMAIN", DOMAIN)
    monkeypatch.setenv("KINDE_AUDIENCE", AUDIENCE)
    assert middleware.guard is None
    talk(middleware, lifespan())
    assert repr(middleware.guard) == f"<Guard of https://{DOMAIN} for {AUDIENCE}>"


def test_settings_come_from_the_environment_at_the_first_request(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a server has no lifespan; and there is one guard, however many requests begin at once."""
    monkeypatch.setenv("KINDE_DOMAIN", DOMAIN)
    monkeypatch.setenv("KINDE_AUDIENCE", AUDIENCE)
    middleware = GuardMiddleware(app)
    guards: list[Guard] = []
    threads = [threading.Thread(target=lambda: guards.append(middleware.ready())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ask(middleware, "/users").status == 401
    assert {id(guard) for guard in guards} == {id(middleware.guard)}


@pytest.mark.usefixtures("no_settings")
def test_mistake_in_the_settings_stops_the_start(app: App) -> None:
    """The server is told, since an exception alone would be taken for an app without lifespan."""
    conversation = lifespan()
    with pytest.raises(ConfigurationError, match="KINDE_DOMAIN"):
        talk(GuardMiddleware(app), conversation)
    assert [message["type"] for message in conversation.sent] == ["lifespan.startup.failed"]
    assert "set the environment variable KINDE_DOMAIN" in conversation.sent[0]["message"]
    assert app.asked == []


@pytest.mark.usefixtures("no_settings")
def test_mistake_in_the_settings_opens_nothing(app: App, token: str) -> None:
    middleware = GuardMiddleware(app, public=["/healthz"])
    for _ in range(2):
        with pytest.raises(ConfigurationError, match="KINDE_DOMAIN"):
            ask(middleware, "/users", token)
    assert app.asked == []
    assert ask(middleware, "/healthz").body == b"nobody"


def test_verified_once_by_each_guard(app: App, guard: Guard, token: str) -> None:
    """However often the same guard asks; what another guard said counts for nothing."""
    first: Any = Counting(guard)
    second: Any = Counting(guard)
    inner: Any = GuardMiddleware(GuardMiddleware(GuardMiddleware(app, first), second), first)
    assert ask(inner, "/users", token).status == 200
    assert (first.verified, second.verified) == (1, 1)


def test_token_in_the_scope_is_that_of_the_innermost_guard(app: App, token: str) -> None:
    """Also where that guard has judged the request before, further out."""
    first, second = guard_of(Issuer()), guard_of(Issuer())
    for _ in ("unknown", "known"):
        assert (
            ask(GuardMiddleware(GuardMiddleware(GuardMiddleware(app, first), second), first), "/", token).status == 200
        )
        assert app.asked[-1]["kinde_guard.token"] is first.verify(token) is not second.verify(token)


def test_threads_and_loops_share_what_was_verified(guard: Guard, token: str) -> None:
    counting: Any = Counting(guard)
    asked = request("/users", bearing(token)).scope
    assert authenticate(asked, counting) is asyncio.run(aauthenticate(asked, counting)) is authenticate(asked, counting)
    assert counting.verified == 1


def test_token_for_another_guard_is_refused_by_this_one(app: App, guard: Guard, token: str) -> None:
    """An outer guard's verdict is never taken over."""
    other = guard_of(Issuer(), audience="https://admin.acme.com")
    middleware: Any = GuardMiddleware(GuardMiddleware(app, other), guard)
    assert ask(middleware, "/users", token).status == 401
    assert app.asked == []


def test_copy_of_the_scope_with_another_header_is_verified_anew(guard: Guard, token: str) -> None:
    """An app may make a request of its own to itself that way."""

    async def batch(scope: Scope, receive: Any, send: Any) -> None:
        copy = {**scope, "headers": [(b"authorization", b"Bearer forged")]}
        await GuardMiddleware(App(), guard)(copy, receive, send)

    assert ask(GuardMiddleware(batch, guard), "/users", token).status == 401


def test_what_the_app_raises_is_the_apps(guard: Guard, token: str) -> None:
    """Also if it is one of ours: only a framework knows what to do with it."""
    error = InsufficientScope(["a"])

    async def raising(scope: Scope, receive: Any, send: Any) -> None:
        raise error

    with pytest.raises(InsufficientScope) as caught:
        ask(GuardMiddleware(raising, guard), "/users", token)
    assert caught.value is error


def test_answers_of_the_app_are_its_own(guard: Guard, token: str) -> None:
    async def forbidding(scope: Scope, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 403, "headers": [(b"x-mine", b"1")]})
        await send({"type": "http.response.body", "body": b"mine"})

    reply = ask(GuardMiddleware(forbidding, guard), "/users", token)
    marks = {"cache-control": "private", "vary": "Authorization"}
    assert (reply.status, reply.headers, reply.body) == (403, {"x-mine": "1", **marks}, b"mine")


def test_no_await_with_a_key_at_hand(app: App, token: str) -> None:
    """Once the keys are held, a request runs through without giving the event loop away."""
    guard = guard_of(Issuer())
    guard.warm()
    received: list[Message] = []

    async def send(message: Message) -> None:
        received.append(message)

    conversation = request("/users", bearing(token))
    call = GuardMiddleware(app, guard)(conversation.scope, conversation.receive, send)
    with pytest.raises(StopIteration):
        call.send(None)
    assert received[1]["body"].decode() == CLIENT


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        pytest.param({"app": None}, "takes an ASGI app first", id="no app"),
        pytest.param({"public": "/healthz"}, "list of paths", id="public is text"),
        pytest.param({"requires": "read:users"}, "requirement is needed", id="requires is text"),
        pytest.param({"requires": org_of_route(None, "code")}, "no path parameter", id="requires what a route knows"),
    ],
)
def test_wrong_use_fails_at_once(app: App, guard: Guard, wrong: Any, sentence: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        GuardMiddleware(**{"app": app, "guard": guard, **wrong})
    assert sentence in str(caught.value)


def test_app_and_guard_the_wrong_way_round(app: Any, guard: Any) -> None:
    with pytest.raises(ConfigurationError, match="takes an ASGI app first"):
        GuardMiddleware(guard, app)


def test_expired_while_remembered(app: App, token: str) -> None:
    """The memory of a request is no memory of the guard: the next request asks anew."""
    time = Time()
    middleware = GuardMiddleware(app, guard_of(Issuer(), time))
    assert ask(middleware, "/users", token).status == 200
    time.passes(100_000)
    assert ask(middleware, "/users", token).status == 401


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("/static/app.js", 200),
        ("/static/%61pp.js", 200),
        ("/healthz", 200),
        ("/healthz?token=x", 200),
        ("/%68ealthz", 200),
        ("/users", 401),
        ("/static/../users", 401),
        ("/static/%2e%2e/users", 401),
        ("/static/..%2fusers", 401),
        ("/static/%252e%252e/users", 401),
        ("/static%2f..%2fusers", 401),
        ("/static/%5c..%5cusers", 401),
        ("/static/%00", 401),
        ("/static/%ff", 401),
        ("//healthz", 401),
        ("/healthz%3f", 401),
        ("/healthz%23", 401),
        ("http://elsewhere/users", 401),
    ],
)
def test_paths_as_a_server_decodes_them(behind_uvicorn: str, target: str, status: int) -> None:
    connection = http.client.HTTPConnection(behind_uvicorn, timeout=LONG)
    try:
        connection.request("GET", target)
        assert connection.getresponse().status == status
    finally:
        connection.close()


@pytest.fixture(scope="module")
def behind_uvicorn() -> Any:
    with served(GuardMiddleware(App(), guard_of(Issuer()), public=["/healthz", "/static/*"])) as address:
        yield address


def test_prefix_as_a_server_knows_it(token: str) -> None:
    """``uvicorn --root-path /api`` puts the prefix in front of every path."""
    with served(GuardMiddleware(App(), guard_of(Issuer()), public=["/healthz"]), root_path="/api") as address:
        statuses = []
        for target in ("/healthz", "/users"):
            connection = http.client.HTTPConnection(address, timeout=LONG)
            connection.request("GET", target)
            statuses.append(connection.getresponse().status)
            connection.close()
    assert statuses == [200, 401]


@pytest.mark.parametrize("protocol", [name for name in ("auto", "websockets-sansio") if name in WS_PROTOCOLS])
def test_websocket_through_a_server(protocol: str, token: str) -> None:
    """A real 401 with a challenge, or an open connection."""
    with served(GuardMiddleware(App(), guard_of(Issuer())), ws=protocol) as address:
        with pytest.raises(InvalidStatus) as caught:
            connect(f"ws://{address}/ws", proxy=None)
        response = caught.value.response
        assert response.status_code == 401
        assert response.headers["www-authenticate"] == 'Bearer realm="api"'
        assert b'"missing_token"' in response.body
        with connect(f"ws://{address}/ws", additional_headers=dict(bearing(token)), proxy=None) as socket:
            assert socket.protocol.handshake_exc is None


def test_mistake_in_the_settings_stops_uvicorn(tmp_path: Path) -> None:
    """With uvicorn's defaults; what it prints is the sentence, and no traceback."""
    code = """
from kinde_guard.asgi import GuardMiddleware

async def app(scope, receive, send):
    raise NotImplementedError

app = GuardMiddleware(app)
"""
    done = uvicorn_command(tmp_path, code, KINDE_DOMAIN="<your_subdomain>.kinde.com", KINDE_AUDIENCE=AUDIENCE)
    assert done.returncode == 3
    assert "KINDE_DOMAIN is a placeholder" in done.stderr
    assert "Traceback" not in done.stderr
