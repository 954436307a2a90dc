"""Calls to a server of fastmcp that come without HTTP: over stdio, or within the process, as in tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastmcp import FastMCP
from fastmcp.server.dependencies import get_http_request
from fastmcp.server.middleware import CallNext, Middleware, MiddlewareContext

from .mcp_decorators import CALL
from .mcp_local import Made


class LocalCalls(Middleware):
    """Middleware that says who makes a call without HTTP. Others have been judged at their gate."""

    def __init__(self, make: Made) -> None:
        self._make = make

    async def on_message(self, context: MiddlewareContext[Any], call_next: CallNext[Any, Any]) -> Any:
        if _comes_over_http():
            return await call_next(context)
        before = CALL.set(self._make())
        try:
            return await call_next(context)
        finally:
            CALL.reset(before)


def say_who_calls(server: FastMCP[Any], make: Made) -> Callable[[], None]:
    """Have *make* say who calls *server* without HTTP; what ends it."""
    added = LocalCalls(make)
    server.add_middleware(added)
    return lambda: server.middleware.remove(added)


def _comes_over_http() -> bool:
    try:
        get_http_request()
    except RuntimeError:
        return False
    return True
