"""The middleware that has been added to a Starlette or FastAPI app: what stands outside of its guard, and what should.

``user_middleware`` lists it from the outside to the inside: what is added later comes first.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware

from ..adapters import cors

log = logging.getLogger("kinde_guard")
Is = Callable[[Middleware], bool]


def put_cors_outside(app: Starlette) -> None:
    """Move Starlette's CORS middleware outwards past what was added last; all else stays in its order."""
    outer = [layer for layer in app.user_middleware if is_starlettes_cors(layer)]
    app.user_middleware[:] = [*outer, *(layer for layer in app.user_middleware if layer not in outer)]


def outside_of(app: Any, guards: Is) -> list[Middleware]:
    """What stands outside of the first layer of *app* that *guards* it; nothing if none does."""
    layers: list[Middleware] = getattr(app, "user_middleware", [])  # a router has none
    first = next((number for number, layer in enumerate(layers) if guards(layer)), 0)
    return layers[:first]


def hidden_cors(app: Any, guards: Is) -> list[cors.Found]:
    """The CORS middleware that stands inside of the layer of *app* that *guards* it, and is not asked by a browser."""
    outer = outside_of(app, guards)
    if any(cors.is_cors(layer.cls) for layer in outer):
        return []
    inner = app.user_middleware[len(outer) :]
    added = [cors.Found("", cors.name_of(layer.cls)) for layer in inner if cors.is_cors(layer.cls)]
    return [*added, *cors.inside(app.router)]


def name_of(layer: Middleware) -> str:
    """The place where a person finds *layer*: of ``@app.middleware("http")``, the function that they wrote."""
    return cors.name_of(layer.kwargs.get("dispatch") or layer.cls)


def tell_of_outside(layers: list[Middleware]) -> None:
    """Log what stands outside of a guard."""
    names = list(map(name_of, layers))
    if names:
        log.info("outside of the guard: %s", ", ".join(names), extra={"event": "outside_of_guard", "middleware": names})


def tell_of_caches(layers: list[Middleware]) -> None:
    """Warn of those among *layers*, all of which are asked before the token, that seem to keep answers."""
    for name in map(name_of, layers):
        if "cache" in name.lower():
            text = (
                "%s is asked before the token: if it keeps answers, strangers get them; "
                "what is added before KindeGuard(app, public=[…]) is asked after it"
            )
            log.warning(text, name, extra={"event": "cache_outside_of_guard", "middleware": name})


def is_starlettes_cors(layer: Middleware) -> bool:
    """Whether *layer* is what answers every preflight."""
    return isinstance(layer.cls, type) and issubclass(layer.cls, CORSMiddleware)
