"""The layers around an app: what is inside of them, and which of them demand something.

A framework is looked at only if the app has loaded it.
"""

from __future__ import annotations

import functools
import sys
from typing import Any

from ..errors import ConfigurationError
from ..web.attributes import named
from ..web.paths import PublicPaths
from ..web.way_in import way_in
from .front import Front

MOST_LAYERS = 100  # around one app; that many are a loop
_APPS = (
    ("flask", "Flask"),
    ("starlette.applications", "Starlette"),
    ("starlette.routing", "Router"),
    ("werkzeug.middleware.dispatcher", "DispatcherMiddleware"),
    ("django.core.handlers.base", "BaseHandler"),
)


def peeled(app: Any, front: Front) -> tuple[Front, Any]:
    """What is inside all middleware around *app*, and what then stands in front of it."""
    layers, inner = layers_of(app)
    return functools.reduce(lambda front, layer: behind(layer, front), [*layers, inner], front), inner


def layers_of(app: Any) -> tuple[list[Any], Any]:
    """Middleware that keeps what is inside of it as ``app``, and what is inside of all."""
    layers: list[Any] = []
    while len(layers) < MOST_LAYERS:
        inner = None if _is_app(app) else named(app, "app")
        if inner is None:
            return layers, app
        layers.append(app)
        app = inner
    raise ConfigurationError(f"{app!r} is in more middleware than can be looked through")


def looked_through(app: Any) -> tuple[list[Any], Any]:
    """What :func:`layers_of` finds, through layers too that keep what is inside of them in another way."""
    layers, inner = layers_of(app)
    more, found = way_in(inner, _is_app)
    return (layers, inner) if found is None else ([*layers, *more], found)


def behind(layer: Any, front: Front) -> Front:
    """What stands in front of the inside of *layer*: *front*, and *layer* if it demands something."""
    for module, attached in (("kinde_guard.asgi", True), ("kinde_guard.wsgi", False)):
        if is_a(layer, module, "GuardMiddleware"):
            passes = layer.preflights.passes
            return front.behind(layer.public, layer.requires, attached=attached, passes_preflights=passes)
    if is_a(layer, "starlette.middleware.authentication", "AuthenticationMiddleware"):
        return behind_backend(layer.backend, front)
    return front.behind_cors() if is_a(layer, "starlette.middleware.cors", "CORSMiddleware") else front


def behind_backend(backend: Any, front: Front) -> Front:
    """What stands in front of the inside of Starlette's AuthenticationMiddleware with this *backend*."""
    if not is_a(backend, "kinde_guard.starlette", "KindeBackend"):
        return front
    return front.behind(None if backend.anonymous else PublicPaths(()), attached=backend.has_guard)


def is_a(thing: Any, module: str, name: str) -> bool:
    """``isinstance``, of a class that is not loaded for it: if it is not yet, *thing* is none."""
    kind = getattr(sys.modules.get(module), name, None)
    return kind is not None and isinstance(thing, kind)


def _is_app(thing: Any) -> bool:
    """Whether it is known what is in *thing*."""
    return any(is_a(thing, *kind) for kind in _APPS) or is_a(named(thing, "__self__"), "flask", "Flask")
