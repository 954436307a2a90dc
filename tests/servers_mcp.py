"""One MCP server, written for the official SDK and for fastmcp alike, and what clients of both versions send."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from typing import Any, Protocol, TypeVar

import pytest
from mcp.server.mcpserver import MCPServer
from starlette.testclient import TestClient

from kinde_guard import permission, scope
from kinde_guard.issuer import LocalIssuer
from kinde_guard.mcp import (
    KindeGuard,
    current_token,
    requires,
    requires_auth,
    requires_org,
    requires_permission,
    requires_scope,
    token_or_none,
)
from kinde_guard.testing.tokens import guard_for, local_issuer, mint

ORIGIN = "http://127.0.0.1:8000"
RESOURCE = "https://notes.acme.com/mcp"
MODERN, BEFORE = "2026-07-28", "2025-11-25"
NAMES = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}
Token = dict[str, Any] | str | None
F = TypeVar("F", bound=Callable[..., Any])
KINDS = ["official", "fastmcp"]


class Registering(Protocol):
    """A decorator of a server's."""

    def __call__(self, function: F, /) -> F: ...


def server_of(kind: str, ran: list[str], **options: Any) -> Any:  # noqa: C901  (one list)
    """The server, with decorators of ours below its own."""
    server: Any
    tool: Registering
    prompt: Registering
    if kind == "official":
        server = MCPServer("notes", **options)
        tool, prompt = server.tool(), server.prompt()
    else:
        server = pytest.importorskip("fastmcp", reason="fastmcp is not installed").FastMCP("notes", **options)
        tool, prompt = server.tool, server.prompt
    resource: Callable[[str], Registering] = server.resource

    @tool
    @requires_scope("notes:write")
    @requires_scope("notes:read")
    def add(text: str) -> str:
        ran.append(f"add {text}")
        return f"{current_token.client_id} has added {text}"

    @tool
    @requires_permission("notes:share")
    async def share(text: str) -> str:
        ran.append(f"share {text}")
        return text

    @tool
    @requires_org(path="org")
    def report(org: str = "org_2") -> str:
        ran.append(f"report {org}")
        return org

    @tool
    def echo(text: str) -> str:
        ran.append(f"echo {text}")
        token = token_or_none()
        return f"{text} of {'nobody' if token is None else token.subject}"

    @tool
    def bury(text: str) -> str:
        ran.append(f"bury {text}")
        current_token.require(scope("notes:bury"))
        return text

    @resource("notes://motto")
    def motto() -> str:
        ran.append("motto")
        return "write it down"

    @resource("notes://diary")
    @requires(scope("notes:read") | permission("notes:diary"))
    def diary() -> str:
        ran.append("diary")
        return "dear diary"

    @resource("notes://of/{name}")
    @requires_scope("notes:read")
    def notes_of(name: str) -> str:
        ran.append(f"notes of {name}")
        return name

    @prompt
    @requires_auth
    def summarise(text: str) -> str:
        ran.append(f"summarise {text}")
        return f"Summarise {text}"

    return server


def app_of(server: Any, **options: Any) -> Any:
    return server.streamable_http_app(**options) if isinstance(server, MCPServer) else server.http_app(**options)


class Notes:
    """The server behind a KindeGuard, and a client of it that speaks HTTP alone."""

    def __init__(self, kind: str, *, issuer: LocalIssuer | None = None, stateless: bool = True, **options: Any) -> None:
        self.issuer = issuer or local_issuer()
        self.ran: list[str] = []
        self.server = server_of(kind, self.ran)
        self.app = app_of(self.server, stateless_http=stateless)
        if "guard" not in options:
            options["guard"] = guard_for(self.issuer, audience=[self.issuer.audience, RESOURCE])
        self.guard = KindeGuard(self.app, **options)
        self.client: Any = None

    @contextlib.contextmanager
    def running(self) -> Iterator[Notes]:
        with TestClient(self.app, base_url=ORIGIN) as self.client:
            yield self

    def ask(
        self,
        method: str,
        params: dict[str, Any] | None = None,
        token: Token = None,
        version: str = MODERN,
        **headers: str,
    ) -> Any:
        """The HTTP answer; *token* is one, or the caller whose it is."""
        if isinstance(token, dict):
            token = mint(self.issuer, **token)
        sent = {} if token is None else {"Authorization": f"Bearer {token}"}
        body, own = message(method, params, version)
        return self.client.post("/mcp", content=json.dumps(body), headers={**own, **sent, **headers})

    def call(
        self, tool: str, token: dict[str, Any] | str | None = None, version: str = MODERN, **arguments: Any
    ) -> Any:
        return self.ask("tools/call", {"name": tool, "arguments": arguments}, token, version)

    def read(self, uri: str, token: dict[str, Any] | None = None, version: str = MODERN) -> Any:
        return self.ask("resources/read", {"uri": uri}, token, version)


def message(method: str, params: dict[str, Any] | None, version: str) -> tuple[dict[str, Any], dict[str, str]]:
    """A request as a client of this version sends it, and its headers."""
    params = dict(params or {})
    headers = {
        "Accept": "application/json, text/event-stream",
        "Content-Type": "application/json",
        "MCP-Protocol-Version": version,
    }
    if version == MODERN:
        params["_meta"] = {
            "io.modelcontextprotocol/protocolVersion": version,
            "io.modelcontextprotocol/clientCapabilities": {},
            **params.get("_meta", {}),
        }
        headers["Mcp-Method"] = method
        if method in NAMES:
            headers["Mcp-Name"] = params[NAMES[method]]
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}, headers


def result(answer: Any) -> Any:
    """The JSON-RPC message of an answer, whether it is JSON or an event."""
    assert answer.status_code == 200, answer.text
    text = answer.text
    if "text/event-stream" in answer.headers["content-type"]:
        text = next(line[6:] for line in text.splitlines() if line.startswith("data: {"))
    return json.loads(text)


def text_of(answer: Any) -> str:
    """What a tool has returned."""
    return str(result(answer)["result"]["content"][0]["text"])
