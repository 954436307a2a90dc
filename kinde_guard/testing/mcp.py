"""An MCP server as a place to put another guard: for calls without HTTP, and for its ``auth=``, if that is ours.

No SDK is imported but by those whose server is given.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any


class ServerPlace:
    """Holds the guard of a server for as long as a test lasts."""

    def __init__(self, server: Any, say_who_calls: Callable[..., Callable[[], None]]) -> None:
        self._server = server
        self._say_who_calls = say_who_calls
        self._end: Callable[[], None] | None = None

    @property
    def guard(self) -> Any:
        """That of its ``auth=``; ``None`` if it has none."""
        return getattr(self._auth, "guard", None)

    @guard.setter
    def guard(self, guard: Any) -> None:
        if hasattr(self._auth, "guard"):
            self._auth.guard = guard
        if self._end is None:
            self._end = self._say_who_calls(self._server, lambda: _call_of(guard))
        else:
            self._end()
            self._end = None

    @property
    def settings(self) -> Any:
        return getattr(self._auth, "settings", {})

    @property
    def _auth(self) -> Any:
        """A KindeProvider of fastmcp's, or the KindeVerifier of the official SDK's server."""
        return getattr(self._server, "auth", None) or getattr(self._server, "_token_verifier", None)


def server_place(server: Any) -> ServerPlace | None:
    """The place in *server*; ``None`` if it is no MCP server."""
    if _is_a(server, "mcp.server.mcpserver", "MCPServer"):
        from ..web.mcp_local import say_who_calls

        return ServerPlace(server, say_who_calls)
    if _is_a(server, "fastmcp", "FastMCP"):
        from ..web.mcp_local_fastmcp import say_who_calls as say_of_fastmcp

        return ServerPlace(server, say_of_fastmcp)
    return None


def _call_of(guard: Any) -> Any:
    """A call without a header."""
    from ..errors import MissingToken
    from ..web.mcp_decorators import Call

    try:
        return Call(guard, guard.authenticate(()))
    except MissingToken:
        return Call(guard, None)


def _is_a(thing: Any, module: str, name: str) -> bool:
    kind = getattr(sys.modules.get(module), name, None)
    return isinstance(kind, type) and isinstance(thing, kind)
