"""MCP servers judged by others: the hostile corpus, and the scanners that are to be had."""

from __future__ import annotations

import json
from typing import Any

import pytest

pytest.importorskip("mcp", reason="the MCP SDK is not installed")

from servers_mcp import MODERN, app_of, message, server_of
from starlette.testclient import TestClient

from kinde_guard.hostile import assert_resists_hostile_tokens
from kinde_guard.mcp import KindeGuard, requires_scope
from kinde_guard.testing.tokens import guard_for, local_issuer


class EachIsACall:
    """Whatever is asked for, with all that goes with it, is asked of a tool; a body that a request has may stay."""

    def __init__(self, app: Any, tool: str, *, bodies_stay: bool = True) -> None:
        self.app = app
        self.bodies_stay = bodies_stay
        body, headers = message("tools/call", {"name": tool, "arguments": {"text": "x"}}, MODERN)
        self.body = json.dumps(body).encode()
        self.headers = [(name.lower().encode(), value.encode()) for name, value in headers.items()]

    async def __call__(self, scope: Any, receive: Any, send: Any) -> Any:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        theirs = [(name, value) for name, value in scope["headers"] if name not in dict(self.headers)]
        scope = {**scope, "path": "/mcp", "raw_path": b"/mcp", "headers": [*theirs, *self.headers]}
        first = await receive()
        own = {"type": "http.request", "body": self.body, "more_body": False}
        sent = [first if self.bodies_stay and first.get("body") else own]

        async def receiving() -> Any:
            return sent.pop() if sent else await receive()

        return await self.app(scope, receiving, send)


def write_alone(server: Any, kind: str) -> None:
    """A tool for which one scope is enough."""
    tool: Any = server.tool() if kind == "official" else server.tool

    def write(text: str) -> str:
        return text

    tool(requires_scope("read:users")(write))


@pytest.mark.parametrize(("kind", "public"), [("official", None), ("fastmcp", [])])
def test_hostile_tokens(kind: str, public: list[str] | None) -> None:
    issuer = local_issuer()
    server = server_of(kind, [])
    write_alone(server, kind)
    app = app_of(server, stateless_http=True)
    KindeGuard(app, guard=guard_for(issuer), public=public)
    # What is no JSON is answered before anybody is asked for a token, where tools may be public.
    asked = EachIsACall(app, "write", bodies_stay=public is not None)
    with TestClient(asked, base_url="http://127.0.0.1:8000") as client:
        assert_resists_hostile_tokens(client, "/users", issuer=issuer, method="POST")


def test_hostile_tokens_of_a_provider() -> None:
    pytest.importorskip("fastmcp", reason="fastmcp is not installed")
    from fastmcp import FastMCP

    from kinde_guard.fastmcp import KindeProvider

    issuer = local_issuer()
    guard = guard_for(issuer, audience=[issuer.audience, "https://notes.acme.com/mcp"])
    server = FastMCP("notes", auth=KindeProvider(base_url="https://notes.acme.com", guard=guard))
    write_alone(server, "fastmcp")
    app = EachIsACall(server.http_app(stateless_http=True), "write")
    with TestClient(app, base_url="http://127.0.0.1:8000") as client:
        assert_resists_hostile_tokens(client, "/users", issuer=issuer, method="POST")
