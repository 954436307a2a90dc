"""What an MCP endpoint serves: each tool, prompt and resource, and what it demands.

No SDK is imported: whoever has such an app has loaded one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from ..requirements import Requirement, authenticated
from .declared import declared_by, place_of
from .front import NOT_AROUND, Kind, ProtectedRoute, combined
from .layers import is_a

LISTED = "clients without a token may list what there is"


class Served(NamedTuple):
    """The operations behind an endpoint, and the tools that need no token, as the gate in front of it has them."""

    operations: Any
    public: frozenset[str] | None


def served(app: Any, route: Any) -> Served | None:
    """What *route* of *app* serves; ``None`` if it is no MCP endpoint with a gate of ours."""
    gate: Any = getattr(route, "app", None)
    if is_a(gate, "kinde_guard.web.mcp_gate", "McpGate"):
        return Served(gate.endpoint.demands.operations, gate.endpoint.public)
    provider = _provider_of(app)
    if provider is not None and getattr(route, "path", None) == app.state.path:
        return Served(provider.operations_of(app), frozenset())
    return None


def is_the_providers(app: Any, route: Any) -> bool:
    """Whether *route* is one that a KindeProvider answers itself: metadata, and what signing in takes."""
    provider = _provider_of(app)
    return provider is not None and getattr(route, "path", None) in provider.own_paths


def routes(path: str, served: Served) -> Iterator[ProtectedRoute]:
    """The endpoint at *path*, and each operation that it serves."""
    shut = served.public is not None and not served.public
    where = place_of(served.operations)
    yield ProtectedRoute(
        path, (), authenticated if shut else None, "protected" if shut else "public", where, "" if shut else LISTED
    )
    for operation in _every(served.operations):
        yield _route(path, operation, served.public, where)


def _route(path: str, operation: Any, public: frozenset[str] | None, where: str) -> ProtectedRoute:
    declared = declared_by(operation.function)
    demand = None if declared.demand is None else combined([declared.demand])
    named = public is not None and operation.method == "tools/call" and operation.name in public
    if demand is None and public is not None and not named:
        demand = authenticated
    kind: Kind = "misplaced" if declared.misplaced else _kind(demand, named)
    place = where if operation.function is None else place_of(operation.function)
    # Two slashes are none of a path that may be called public.
    shown, note = operation.name.replace("://", ":"), NOT_AROUND if declared.misplaced else ""
    return ProtectedRoute(f"{path} {shown}", (operation.method,), demand, kind, place, note)


def _kind(demand: Requirement | None, named: bool) -> Kind:
    if demand is not None:
        return "protected"
    return "public" if named else "unprotected"


def _every(operations: Any) -> list[Any]:
    """All operations, in a loop of its own: one may run in this thread."""
    with ThreadPoolExecutor(1) as thread:
        return list(thread.submit(lambda: asyncio.run(operations.every())).result())


def _provider_of(app: Any) -> Any:
    for layer in getattr(app, "user_middleware", ()):
        provider = layer.kwargs.get("provider")
        if is_a(provider, "kinde_guard.fastmcp", "KindeProvider"):
            return provider
    return None
