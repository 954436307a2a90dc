"""What a user of ``kinde_guard.fastmcp`` writes; mypy and pyright, both strict, say nothing but where it is wrong."""

from __future__ import annotations

from fastmcp import FastMCP

from kinde_guard.fastmcp import KindeGuard, KindeProvider, current_token, requires_permission, requires_scope

mcp: FastMCP[None] = FastMCP("notes", auth=KindeProvider(base_url="https://notes.acme.com", domain="acme.kinde.com"))


@mcp.tool
@requires_scope("notes:write")
def add(text: str) -> str:
    return f"{current_token.subject} has added {text}"


@mcp.tool
@requires_permission("notes:share")
async def share(text: str) -> str:
    return text


KindeGuard(mcp.http_app(), public=["/status"], healthz="/healthz")  # beside the provider, which has the settings

open_too: FastMCP[None] = FastMCP("notes")
KindeGuard(open_too.http_app(), public=["add"], audience="https://notes.acme.com/mcp")

KindeGuard(open_too.http_app(), audiance="https://notes.acme.com/mcp")  # type: ignore[call-arg]
KindeProvider(base_url="https://notes.acme.com", leway=5)  # type: ignore[call-arg]
requires_scope(1)  # type: ignore[arg-type]
