"""Routers that were made and never included: the routes in them do not exist, and what they demand protects nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .front import Front
from .walk import is_a, peeled


def leftover(names: dict[str, Any], app: Any) -> list[str]:
    """The names of those among *names*."""
    served = set(_served(app))
    return [name for name, value in names.items() if _has_routes(value) and not _is_served(value, app, served)]


def _has_routes(value: Any) -> bool:
    if is_a(value, "flask", "Blueprint"):
        return bool(value.deferred_functions)
    return is_a(value, "starlette.routing", "Router") and bool(value.routes)


def _is_served(value: Any, app: Any, served: set[int]) -> bool:
    if is_a(value, "flask", "Blueprint"):
        return value._got_registered_once  # type: ignore[no-any-return]
    # Routers that were copied when they were included are known by their functions.
    endpoints = [getattr(route, "endpoint", None) for route in value.routes]
    return id(value) in served or any(id(endpoint) in served for endpoint in endpoints if endpoint is not None)


def _served(app: Any) -> Iterator[int]:
    _, inner = peeled(app, Front())
    yield id(inner)
    if hasattr(inner, "router"):
        yield id(inner.router)
    for route in getattr(inner, "routes", ()):
        endpoint = getattr(route, "endpoint", None)
        if endpoint is not None:
            yield id(endpoint)
        else:
            yield from _served(getattr(route, "original_router", None) or getattr(route, "app", None))
