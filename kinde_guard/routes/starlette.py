"""Routes of Starlette and FastAPI: middleware, mounts, included routers, class-based endpoints, WebSockets."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..asgi import GuardMiddleware
from ..web import decorators
from ..web.starlette_app import AppGuard
from ..web.starlette_middleware import is_starlettes_cors, name_of, outside_of
from ..web.starlette_routes import endpoint_of, is_fastapis, own_routes
from . import mcp
from .declared import declared_by, place_of
from .front import Declared, Front, ProtectedRoute, Walk, combined
from .layers import behind, behind_backend, is_a, peeled

_METHODS = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")


def routes(app: Any, front: Front, walk: Walk) -> Iterator[ProtectedRoute]:
    """Every route of *app*, a Starlette app or a router; *walk* goes through what is mounted there."""
    yield from _outside(app, front)
    yield from _answered_in_front(app, front)
    front = _behind_own_middleware(app, front)
    everything = list(own_routes(app))
    guarded = decorators.guarded_by(map(endpoint_of, everything))
    for route in everything:
        if (served := mcp.served(app, route)) is not None:
            yield from mcp.routes(front.prefix + route.path, served)
        elif mcp.is_the_providers(app, route):
            path, where = front.prefix + route.path, place_of(route.endpoint)
            yield ProtectedRoute(path, tuple(_methods(route)), None, "public", where)
        elif endpoint_of(route) is None:
            # A Mount has a path; a Host has none.
            yield from walk(getattr(route, "app", route), front.below(getattr(route, "path", "")), mounted=True)
        else:
            yield from _of_route(route, front, guarded)


def _behind_own_middleware(app: Any, front: Front) -> Front:
    for layer in getattr(app, "user_middleware", ()):
        attached = layer.kwargs.get("attached")
        if isinstance(attached, AppGuard):
            passes = attached.preflights.passes
            front = front.behind(attached.public, attached=True, passes_preflights=passes)
        elif layer.cls is GuardMiddleware:
            front = behind(GuardMiddleware(app, *layer.args, **layer.kwargs), front)
        elif "backend" in layer.kwargs:
            front = behind_backend(layer.kwargs["backend"], front)
        elif is_starlettes_cors(layer):
            front = front.behind_cors()
    if is_a(app, "starlette.routing", "Router"):
        front, _ = peeled(app.middleware_stack, front)
    return front


def _answered_in_front(app: Any, front: Front) -> Iterator[ProtectedRoute]:
    for layer in getattr(app, "user_middleware", ()):
        attached = layer.kwargs.get("attached")
        if isinstance(attached, AppGuard):
            yield from front.answered_by(attached)
        elif layer.cls is GuardMiddleware:
            yield from front.answered_by(GuardMiddleware(app, *layer.args, **layer.kwargs))


def _outside(app: Any, front: Front) -> Iterator[ProtectedRoute]:
    """What was added to *app* later than what makes it demand tokens, and so is asked before."""
    if not front.gates:
        yield from (front.outside(name_of(layer)) for layer in outside_of(app, _is_gate))


def _is_gate(layer: Any) -> bool:
    attached, backend = layer.kwargs.get("attached"), layer.kwargs.get("backend")
    if isinstance(attached, AppGuard):
        return attached.public is not None
    return layer.cls is GuardMiddleware or bool(behind_backend(backend, Front()).gates)


def _of_route(route: Any, front: Front, guarded: set[int]) -> Iterator[ProtectedRoute]:
    front, _ = peeled(getattr(route, "app", None), front)
    endpoint = route.endpoint
    if isinstance(endpoint, type) and not is_fastapis(route):
        return (yield from _of_class(route, endpoint, front))
    # A plain Starlette route takes its endpoint as it is given: open here, guarded there.
    declared = declared_by(endpoint, guarded, strict=is_fastapis(route))
    if is_fastapis(route):
        declared = _with_dependencies(declared, route)
    yield from front.routes(route.path, _methods(route), declared, place_of(endpoint))


def _of_class(route: Any, endpoint: type, front: Front) -> Iterator[ProtectedRoute]:
    if not is_a(route, "starlette.routing", "Route"):
        # Later than on_connect the connection has been accepted.
        declared = _declared_by_method(endpoint, "on_connect")
        yield from front.routes(route.path, _methods(route), declared, place_of(endpoint))
        return
    for method in _METHODS:
        handler = getattr(endpoint, method.lower(), None)
        if handler is not None:
            declared = _declared_by_method(endpoint, method.lower())
            yield from front.routes(route.path, [method], declared, place_of(handler))


def _declared_by_method(endpoint: type, name: str) -> Declared:
    """What is declared by the method *name*, or by what calls it."""
    parts = [declared_by(getattr(endpoint, part, None)) for part in ("dispatch", name)]
    found = [part.demand for part in parts if part.demand is not None]
    return Declared(combined(found) if found else None, misplaced=any(part.misplaced for part in parts))


def _with_dependencies(declared: Declared, route: Any) -> Declared:
    """FastAPI: what decorators demand is among the dependencies, if they are ours of FastAPI."""
    from ..fastapi import OptionalAccessTokenSecurity, requirements_in, securities

    found = dict.fromkeys(securities(route))
    strict = [security for security in found if not isinstance(security, OptionalAccessTokenSecurity)]
    parts = [demand for security in found for demand in requirements_in(route, security)]
    own = [] if declared.demand is None else [declared.demand]
    return Declared(
        combined([*parts, *own]) if strict or own else None,
        optional=bool(found) and not strict and not own,
        needs_guard=bool(own) or any(security.guard is None for security in found),
        misplaced=declared.misplaced,
    )


def _methods(route: Any) -> list[str]:
    methods = getattr(route, "methods", None)
    if methods is None:
        return ["WEBSOCKET"] if "WebSocket" in type(route).__name__ else []
    return [method for method in methods if method != "HEAD" or "GET" not in methods]
