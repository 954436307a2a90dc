"""The insides of a Starlette or FastAPI app: which routes serve its requests, what is mounted, and which middleware of
ours stands in front.

One answer for everybody who asks: the adapters, start-up checks, the metadata, OpenAPI, and ``kinde-guard routes``.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.applications import Starlette
from starlette.routing import Router

from ..adapters import named
from ..asgi import GuardMiddleware

MOST_MIDDLEWARE = 100  # around one mounted app; that many layers are a loop


@dataclass(frozen=True, slots=True)
class Part:
    """An app, or one that is mounted in it, and what stands in between."""

    app: Any
    prefix: str = ""
    gates: tuple[tuple[str, GuardMiddleware], ...] = ()
    """Each one around, with what it is mounted under."""

    def routes(self) -> Iterator[Any]:
        """Its own, mounts among them."""
        return own_routes(self.app)


def parts_of(app: Starlette) -> Iterator[Part]:
    """*app*, and what is mounted in it, further in as well."""
    return _parts_in(Part(app, "", tuple(("", gate) for gate in gates_of(app))))


def routes_of(app: Starlette | Router | None, into: Callable[[Any], bool] | None = None) -> Iterator[Any]:
    """Every route of *app*, those of included routers and of mounted apps too: *into* says of which mounts, ``None`` of
    all."""
    for route in own_routes(app):
        yield route
        if into is None or into(route):
            yield from routes_of(mounted(route), into)


def own_routes(app: Starlette | Router | None) -> Iterator[Any]:
    """The routes of *app*, and those of included routers as they are served there; of a mounted app, its mount."""
    for route in app.routes if app is not None else ():
        yield from _served(route)


def endpoint_of(route: Any) -> Any:
    """The function or class that serves *route*; ``None`` for a mount, an included router and a Host."""
    return getattr(route, "endpoint", None)


def functions_of(route: Any) -> Iterator[Callable[..., Any]]:
    """Whatever runs for *route* and may carry a demand: its endpoint and, of a class, what its instances have."""
    endpoint = endpoint_of(route)
    functions = (endpoint, *_members(endpoint)) if isinstance(endpoint, type) else (endpoint,)
    return (function for function in functions if callable(function))


def places_of(route: Any) -> Iterator[tuple[str, str]]:
    """Path and method, as OpenAPI writes them, of all that *route* answers to."""
    for method in getattr(route, "methods", None) or ():
        yield getattr(route, "path_format", route.path), method.lower()


def leads_to(route: Any) -> Any:
    """The router that *route* includes (FastAPI), or else what it mounts, middleware around it and all."""
    return getattr(route, "original_router", None) or getattr(route, "app", None)


def mounted(route: Any) -> Any:
    """The app or router that is mounted by *route*, whatever middleware is around it."""
    return next((layer for layer in _inside(route) if isinstance(layer, Starlette | Router)), None)


def gates(route: Any) -> Iterator[GuardMiddleware]:
    """Each one in front of what *route* serves or mounts."""
    for layer in _inside(route):
        if isinstance(layer, GuardMiddleware):
            yield layer
        yield from gates_of(layer)


def gates_of(app: Any) -> Iterator[GuardMiddleware]:
    """Each one among the middleware of *app*, an app or a router."""
    for layer in getattr(app, "user_middleware", ()):
        if isinstance(layer.cls, type) and issubclass(layer.cls, GuardMiddleware):
            yield layer.cls(app, *layer.args, **layer.kwargs)
    if isinstance(app, Router):
        around = (app.middleware_stack, *_inside(app.middleware_stack))
        yield from (layer for layer in around if isinstance(layer, GuardMiddleware))


def is_fastapis(route: Any) -> bool:
    """Whether *route* is FastAPI's, which has dependencies."""
    return hasattr(route, "dependant")


def dependencies_of(route: Any) -> Iterator[Any]:
    """Those of *route* of FastAPI, each before its own, in the order in which they are solved; of others none."""
    return _dependencies_in(getattr(route, "dependant", None))


def oauth_scopes_of(dependency: Any) -> list[str]:
    """What ``Security(…, scopes=…)`` demands of *dependency*: what it is reached by, and what it says itself."""
    return [*(dependency.parent_oauth_scopes or ()), *(dependency.own_oauth_scopes or ())]


def serving(scope: Mapping[str, Any]) -> Any:
    """The route that serves the request; of an included router (FastAPI), with what the router adds to it."""
    route = scope.get("route")
    included = scope.get("fastapi", {}).get("effective_route_context")
    if included is not None and getattr(included, "original_route", None) is route:
        return included
    return route


def is_given_a_request(route: Any) -> bool:
    """Whether the endpoint of *route* of FastAPI has a parameter for the request or the WebSocket."""
    names = ("request_param_name", "websocket_param_name", "http_connection_param_name")
    dependant = getattr(route, "dependant", None)
    return any(getattr(dependant, name, None) for name in names)


def is_async(function: Any) -> bool:
    """Whether calling *function* gives something to await."""
    while isinstance(function, functools.partial):
        function = function.func
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__)


def name_of(function: Any) -> str:
    """What a person would call *function*."""
    return getattr(function, "__qualname__", type(function).__qualname__)


def _served(route: Any) -> Iterator[Any]:
    """*route*, or what it is made into where FastAPI includes it."""
    included = getattr(route, "effective_route_contexts", None)
    if included is None:
        yield route
    else:
        for context in included():
            yield from _served(getattr(context, "starlette_route", None) or context)


def _members(kind: type) -> Iterable[Any]:
    """What the instances of *kind* have: what it inherits too, unless it has its own."""
    return {name: value for base in reversed(kind.__mro__) for name, value in vars(base).items()}.values()


def _inside(layer: Any) -> Iterator[Any]:
    """What is inside *layer*, a route or a middleware: from one to the next, until an app or router."""
    for _ in range(MOST_MIDDLEWARE):
        layer = named(layer, "app")
        if layer is None:
            return
        yield layer
        if isinstance(layer, Starlette | Router):
            return


def _parts_in(part: Part) -> Iterator[Part]:
    yield part
    for route in part.routes():
        if (within := mounted(route)) is not None:
            prefix = part.prefix + getattr(route, "path", "").rstrip("/")  # a Host has no path
            yield from _parts_in(Part(within, prefix, (*part.gates, *((prefix, gate) for gate in gates(route)))))


def _dependencies_in(dependant: Any) -> Iterator[Any]:
    for inner in getattr(dependant, "dependencies", ()):
        yield inner
        yield from _dependencies_in(inner)
