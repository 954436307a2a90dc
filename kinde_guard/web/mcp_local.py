"""Calls to a server of the official SDK that come without HTTP: over stdio, or within the process, as in tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.mcpserver import MCPServer

from .mcp_decorators import CALL, Call, TrustedCall

Made = Callable[[], Call | TrustedCall]


class LocalCalls:
    """Middleware that says who makes a call without HTTP. Others have been judged at their gate."""

    def __init__(self, make: Made) -> None:
        self._make = make

    async def __call__(self, ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        if ctx.request is not None:
            return await call_next(ctx)
        before = CALL.set(self._make())
        try:
            return await call_next(ctx)
        finally:
            CALL.reset(before)


def say_who_calls(server: MCPServer[Any], make: Made) -> Callable[[], None]:
    """Have *make* say who calls *server* without HTTP; what ends it."""
    added = LocalCalls(make)
    server.middleware.append(added)
    return lambda: server.middleware.remove(added)
