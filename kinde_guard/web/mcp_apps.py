"""The app of an MCP server: which server is behind it, and the gates in front of its endpoints.

Starlette's routes lead there, of the official SDK and of fastmcp alike.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator
from typing import Any

from mcp.server.auth.middleware.bearer_auth import RequireAuthMiddleware
from mcp.server.mcpserver import MCPServer
from starlette.applications import Starlette
from starlette.routing import Route

from ..errors import ConfigurationError
from .mcp_calls import MOST_BYTES
from .mcp_endpoint import Endpoint
from .mcp_gate import McpGate, Starting
from .mcp_operations import Demands, FastMCPOperations, OfficialOperations, Operations
from .mcp_provider import Provider

BOTH = "the server has auth= already: leave it out, or KindeGuard(app), which does all of that"
BESIDE = (
    "the server has a KindeProvider, which guards its MCP endpoint: the KindeGuard beside it takes no {}, and in "
    "public= paths of other routes alone"
)
WRITE = "KindeGuard(server.streamable_http_app()), or of fastmcp KindeGuard(server.http_app())"


def split(public: Iterable[str] | None) -> tuple[frozenset[str] | None, list[str] | None]:
    """Tools and paths, which begin with a slash, of those that need no token."""
    if public is None:
        return None, None
    if isinstance(public, str):
        raise ConfigurationError(f"public= is a list of tools: write public=[{public!r}]")
    names = list(public)
    if wrong := [name for name in names if not isinstance(name, str) or not name]:
        raise ConfigurationError(f"public= names tools, not {wrong[0]!r}")
    return frozenset(name for name in names if name[0] != "/"), [name for name in names if name[0] == "/"]


def provider_of(app: Any) -> Provider | None:
    """What guards the endpoint of *app* already, as the server's ``auth=``, if that is ours."""
    given = (layer.kwargs.get("provider") for layer in getattr(app, "user_middleware", ()))
    return next((provider for provider in given if isinstance(provider, Provider)), None)


def demands_of(app: Any) -> Demands:
    """What the operations of the server behind *app* demand."""
    return Demands(_operations_of(app))


def put_gates(app: Starlette, endpoint: Endpoint) -> list[str]:
    """Put a gate in front of each MCP endpoint of *app*; their paths."""
    routes = list(_endpoints(app))
    if not routes:
        raise ConfigurationError(f"{app!r} serves no MCP over streamable HTTP: write {WRITE}")
    for route in routes:
        gate = McpGate(route.app, endpoint, functools.partial(_most_bytes, route))
        route.app = gate
        app.add_middleware(Starting, check=gate.check)
    return [route.path for route in routes]


def _operations_of(app: Any) -> Operations:
    if (fastmcp := getattr(getattr(app, "state", None), "fastmcp_server", None)) is not None:
        return FastMCPOperations(fastmcp)
    server = next(filter(None, map(_server_behind, _endpoints(app))), None)
    if server is None:
        raise ConfigurationError(f"{app!r} is no app of an MCP server whose tools are known by name: write {WRITE}")
    return OfficialOperations(server)


def _endpoints(app: Any) -> Iterator[Route]:
    """The routes that lead to a server; those of an app for server-sent events lead elsewhere."""
    for route in getattr(app, "routes", ()):
        if isinstance(route, Route) and isinstance(route.endpoint, RequireAuthMiddleware):
            raise ConfigurationError(BOTH)
        if _manager_of(route) is not None:
            yield route


def _server_behind(route: Route) -> MCPServer[Any] | None:
    """The server whose tools are known by name. One of the SDK's low level has none, but handlers."""
    schema_of = getattr(getattr(_manager_of(route), "app", None), "get_tool_input_schema", None)
    server = getattr(schema_of, "__self__", None)
    return server if isinstance(server, MCPServer) else None


def _most_bytes(route: Route) -> int:
    """What the server takes; ours would be in its way."""
    return getattr(_manager_of(route), "max_request_body_size", MOST_BYTES)


def _manager_of(route: Any) -> Any:
    """The session manager that serves *route*, if that is an MCP endpoint; ``True`` for one that has yet to be made."""
    endpoint = getattr(route, "endpoint", None)
    return (getattr(endpoint, "session_manager", None) or True) if hasattr(endpoint, "session_manager") else None
