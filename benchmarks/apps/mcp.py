"""MCP: a server of the official SDK with one tool, called over HTTP; guarded, or with the SDK's own way to verify."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any

from kinde_guard import Guard

from . import claims

PATH = "/mcp"
VERSION = "2025-11-25"
BODY = json.dumps({
    "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "users", "arguments": {"text": "all"}}
}).encode()  # fmt: skip
HEADERS = [
    (b"accept", b"application/json, text/event-stream"),
    (b"content-type", b"application/json"),
    (b"content-length", str(len(BODY)).encode()),
    (b"mcp-protocol-version", VERSION.encode()),
]


def nothing() -> Any:
    return _app(lambda function: function)


def guarded(guard: Guard) -> Any:
    """The demand stands on the tool, and is judged before it runs."""
    from kinde_guard.mcp import KindeGuard, requires_scope

    app = _app(requires_scope(claims.SCOPE))
    KindeGuard(app, guard=guard)
    return app


def stock(url: str, verifier: Any) -> Any:
    """The SDK asks *verifier*; the scope is the server's, since the SDK knows none of a tool's."""
    from mcp.server.auth.settings import AuthSettings
    from pydantic import AnyHttpUrl

    settings = AuthSettings(
        issuer_url=AnyHttpUrl(url),
        resource_server_url=AnyHttpUrl("http://127.0.0.1:8000/mcp"),
        required_scopes=[claims.SCOPE],
        validate_token_resource=False,
    )
    return _app(lambda function: function, token_verifier=verifier, auth=settings)


def _app(around: Callable[[Any], Any], **options: Any) -> Any:
    from mcp.server.mcpserver import MCPServer

    server = MCPServer("users", log_level="CRITICAL", **options)
    for name in ("mcp", "kinde_guard"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # a line for each call would be most of what is measured

    @server.tool()
    @around
    def users(text: str) -> str:
        return text

    return server.streamable_http_app(stateless_http=True, json_response=True)
