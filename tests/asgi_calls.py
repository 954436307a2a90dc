"""ASGI apps asked without a server: the scope is written out, so that any request can be made."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from dataclasses import dataclass, field
from typing import Any

import anyio

from kinde_guard import AccessToken, Guard, Requirement

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
App = Callable[..., Awaitable[None]]
Headers = Iterable[tuple[str, str]]
WEBSOCKET_ANSWERS: dict[str, Any] = {"websocket.http.response": {}}


@dataclass(frozen=True)
class Reply:
    """The answer to a request."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def challenge(self) -> str:
        return self.headers.get("www-authenticate", "")


@dataclass
class Conversation:
    """What is sent to an app, and what it sends."""

    scope: Scope
    incoming: list[Message] = field(default_factory=list)
    sent: list[Message] = field(default_factory=list)
    stays: bool = False
    """Whether the client waits for all of the answer, having sent all that it will."""

    async def receive(self) -> Message:
        if self.stays and not self.incoming:
            await anyio.sleep_forever()
        assert self.incoming, "the app waits for what will never come, such as a body that it may not read"
        return self.incoming.pop(0)

    async def send(self, message: Message) -> None:
        self.sent.append(message)

    async def with_app(self, app: App) -> Conversation:
        await app(self.scope, self.receive, self.send)
        return self

    @property
    def reply(self) -> Reply:
        start, *bodies = [message for message in self.sent if ".response." in message["type"]]
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in start["headers"]}
        assert len(headers) == len(start["headers"]), "a header comes twice"
        return Reply(start["status"], headers, b"".join(message.get("body", b"") for message in bodies))


@dataclass
class Counting:
    """A guard that counts what it verifies."""

    guard: Guard
    verified: int = 0

    def recognise(self, values: list[str]) -> AccessToken | None:
        return None  # so that each look at a token is counted

    def authenticate(self, values: list[str]) -> AccessToken:
        self.verified += 1
        return self.guard.authenticate(values)

    async def aauthenticate(self, values: list[str]) -> AccessToken:
        self.verified += 1
        return await self.guard.aauthenticate(values)

    def demand(self, token: AccessToken, requirement: Requirement) -> None:
        self.guard.demand(token, requirement)

    __hash__ = None  # type: ignore[assignment]  # nothing may be kept by it but by identity


def bearing(token: str | None) -> list[tuple[str, str]]:
    """The headers of a request with *token*, or with none."""
    return [] if token is None else [("authorization", f"Bearer {token}")]


def http(path: str, headers: Headers = (), method: str = "GET", **members: Any) -> Conversation:
    """A request whose body nobody has asked for yet."""
    scope = _scope("http", path, headers, {"method": method, "scheme": "http", **members})
    return Conversation(scope)


def websocket(path: str, headers: Headers = (), answers: bool = True, **members: Any) -> Conversation:
    """A WebSocket that is being opened, on a server that can answer with a status or (not *answers*) only close."""
    extensions = WEBSOCKET_ANSWERS if answers else {}
    scope = _scope(
        "websocket", path, headers, {"scheme": "ws", "extensions": extensions, "subprotocols": [], **members}
    )
    return Conversation(scope, [{"type": "websocket.connect"}])


def lifespan() -> Conversation:
    """A server that starts and stops an app."""
    scope = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}
    return Conversation(scope, [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])


def talk(app: App, conversation: Conversation) -> Conversation:
    """Let *app* have its say."""
    return asyncio.run(conversation.with_app(app))


def ask(
    app: App, path: str, token: str | None = None, headers: Headers = (), body: bytes = b"", **members: Any
) -> Reply:
    """The answer of *app* to a request with *token*, on a loop of its own."""
    conversation = http(path, [*bearing(token), *headers], **members)
    conversation.incoming.append({"type": "http.request", "body": body})
    conversation.stays = True
    return talk(app, conversation).reply


def _scope(kind: str, path: str, headers: Headers, members: dict[str, Any]) -> Scope:
    raw = [(b"host", b"testserver"), *((name.encode("latin-1"), value.encode("latin-1")) for name, value in headers)]
    return {
        "type": kind,
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": raw,
        "client": ("127.0.0.1", 1),
        "server": ("testserver", 80),
        **members,
    }
