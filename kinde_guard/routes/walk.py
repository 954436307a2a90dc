"""From the outermost layer to every route. A framework is looked at only if the app has loaded it."""

from __future__ import annotations

import functools
import sys
from collections.abc import Container, Iterator
from typing import Any

from ..errors import ConfigurationError
from ..web import decorators
from ..web.attributes import named
from ..web.paths import PublicPaths
from ..web.way_in import way_in
from .front import Declared, Front, ProtectedRoute

MOST_LAYERS = 100  # around one app; that many are a loop


def walk(app: Any, front: Front, *, mounted: bool = False) -> Iterator[ProtectedRoute]:
    """Every route of *app*, and what stands in front of them that is no guard. Raises :class:`ConfigurationError` if it
    is of no framework known here, and not *mounted* in one that is."""
    layers, inner = _layers(app) if mounted else _looked_through(app)
    for layer in layers:
        outer, front = front, behind(layer, front)
        if outer is front and not mounted and (is_a(inner, "flask", "Flask") or not hasattr(layer, "app")):
            yield front.layer(place_of(layer))
    yield from _routes(app, inner, front, mounted)


def _routes(app: Any, inner: Any, front: Front, mounted: bool) -> Iterator[ProtectedRoute]:
    if is_a(inner, "starlette.applications", "Starlette") or is_a(inner, "starlette.routing", "Router"):
        from .starlette import routes

        yield from routes(inner, front)
    elif is_a(inner, "werkzeug.middleware.dispatcher", "DispatcherMiddleware"):
        for prefix, part in (*inner.mounts.items(), ("", inner.app)):
            yield from walk(part, front.below(prefix), mounted=True)
    elif is_a(inner, "flask", "Flask"):
        from .flask import routes as flask_routes

        yield from flask_routes(inner, front)
    elif is_a(getattr(inner, "__self__", None), "flask", "Flask"):
        from .flask import views

        yield from views(inner.__self__, front)
    elif mounted and callable(inner):  # static files and the like, which have no routes
        answers_options = not is_a(inner, "starlette.staticfiles", "StaticFiles")
        yield from front.routes("/*", (), Declared(answers_options=answers_options), place_of(inner))
    else:
        raise ConfigurationError(f"{app!r} is no FastAPI, Starlette or Flask app, nor middleware around one")


def peeled(app: Any, front: Front) -> tuple[Front, Any]:
    """What is inside all middleware around *app*, and what then stands in front of it."""
    layers, inner = _layers(app)
    return functools.reduce(lambda front, layer: behind(layer, front), [*layers, inner], front), inner


def behind(layer: Any, front: Front) -> Front:
    """In front of what is inside *layer*."""
    for module, attached in (("kinde_guard.asgi", True), ("kinde_guard.wsgi", False)):
        if is_a(layer, module, "GuardMiddleware"):
            passes = layer.preflights.passes
            return front.behind(layer.public, layer.requires, attached=attached, passes_preflights=passes)
    if is_a(layer, "starlette.middleware.authentication", "AuthenticationMiddleware"):
        return behind_backend(layer.backend, front)
    return front.behind_cors() if is_a(layer, "starlette.middleware.cors", "CORSMiddleware") else front


def behind_backend(backend: Any, front: Front) -> Front:
    """Behind Starlette's AuthenticationMiddleware."""
    if not is_a(backend, "kinde_guard.starlette", "KindeBackend"):
        return front
    return front.behind(None if backend.anonymous else PublicPaths(()), attached=backend.has_guard)


def is_a(thing: Any, module: str, name: str) -> bool:
    """``isinstance``, of a class that is not loaded for it: if it is not yet, *thing* is none."""
    kind = getattr(sys.modules.get(module), name, None)
    return kind is not None and isinstance(thing, kind)


def declared_by(function: Any, guarded: Container[int] = (), *, strict: bool = True) -> Declared:
    """What the decorators on *function* say; *guarded* and *strict* as :func:`.misplaced` has them."""
    if decorators.misplaced(function, guarded, strict=strict):
        return Declared(decorators.unmet(function), misplaced=True)
    return Declared(decorators.enforced(function))


def place_of(thing: Any) -> str:
    """Where a person finds *thing*."""
    for thing in decorators.within(thing):  # noqa: B007, B020  (the last is the one they wrote)
        pass
    if not hasattr(thing, "__qualname__"):
        thing = type(thing)
    return f"{thing.__module__}:{thing.__qualname__}"


def _layers(app: Any) -> tuple[list[Any], Any]:
    """Middleware that keeps what is inside of it as ``app``, and what is inside of all."""
    layers: list[Any] = []
    while len(layers) < MOST_LAYERS:
        inner = None if _is_app(app) else named(app, "app")
        if inner is None:
            return layers, app
        layers.append(app)
        app = inner
    raise ConfigurationError(f"{app!r} is in more middleware than can be looked through")


def _looked_through(app: Any) -> tuple[list[Any], Any]:
    """The same, and of what keeps it in another way."""
    layers, inner = _layers(app)
    more, found = way_in(inner, _is_app)
    return (layers, inner) if found is None else ([*layers, *more], found)


def _is_app(thing: Any) -> bool:
    """Whether it is known what is in *thing*."""
    return any(is_a(thing, *kind) for kind in _APPS) or is_a(named(thing, "__self__"), "flask", "Flask")


_APPS = (
    ("flask", "Flask"),
    ("starlette.applications", "Starlette"),
    ("starlette.routing", "Router"),
    ("werkzeug.middleware.dispatcher", "DispatcherMiddleware"),
)
