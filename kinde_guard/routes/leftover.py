"""Routers that were made and never included: the routes in them do not exist, and what they demand protects nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .front import Front
from .layers import is_a, peeled


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
    from ..web.starlette_routes import endpoint_of

    # Routers that were copied when they were included are known by their functions.
    endpoints = map(endpoint_of, value.routes)
    return id(value) in served or any(id(endpoint) in served for endpoint in endpoints if endpoint is not None)


def _served(app: Any) -> Iterator[int]:
    _, inner = peeled(app, Front())
    yield id(inner)
    if hasattr(inner, "router"):
        yield id(inner.router)
    if is_a(inner, "starlette.applications", "Starlette") or is_a(inner, "starlette.routing", "Router"):
        from ..web.starlette_routes import endpoint_of, leads_to

        for route in inner.routes:
            endpoint = endpoint_of(route)
            yield from _served(leads_to(route)) if endpoint is None else (id(endpoint),)
