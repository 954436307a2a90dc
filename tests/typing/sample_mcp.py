"""What a user of ``kinde_guard.mcp`` writes; mypy and pyright, both strict, say nothing but where it is wrong."""

from __future__ import annotations

from mcp.server.mcpserver import MCPServer

from kinde_guard import machine, scope
from kinde_guard.mcp import KindeGuard, current_token, requires, requires_auth, requires_scope, token_or_none

server = MCPServer("notes")


@server.tool()
@requires_scope("notes:write")
def add(text: str) -> str:
    return f"{current_token.client_id} has added {text}"


@server.tool()
@requires(scope("notes:read") & machine)
async def everything() -> list[str]:
    token = token_or_none()
    return [] if token is None else [token.subject]


app = server.streamable_http_app()
KindeGuard(app, public=["echo"], resource="https://notes.acme.com/mcp", audience="https://notes.acme.com/mcp")

KindeGuard(app, audiance="https://notes.acme.com/mcp")  # type: ignore[call-arg]
KindeGuard(app, leeway="30")  # type: ignore[arg-type]
requires_auth()  # type: ignore[call-arg]
requires_scope(add)  # type: ignore[arg-type]
