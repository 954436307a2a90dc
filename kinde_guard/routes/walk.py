"""The walk from the outermost layer of an app to every route.

A framework is looked at only if the app has loaded it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..errors import ConfigurationError
from .declared import place_of
from .front import Declared, Front, ProtectedRoute
from .layers import behind, is_a, layers_of, looked_through


def walk(app: Any, front: Front, *, mounted: bool = False) -> Iterator[ProtectedRoute]:
    """Every route of *app*, and what stands in front of them that is no guard. Raises :class:`ConfigurationError` if it
    is of no framework known here, and not *mounted* in one that is."""
    layers, inner = layers_of(app) if mounted else looked_through(app)
    for layer in layers:
        outer, front = front, behind(layer, front)
        if is_a(layer, "kinde_guard.asgi", "GuardMiddleware") or is_a(layer, "kinde_guard.wsgi", "GuardMiddleware"):
            yield from outer.answered_by(layer)
        if outer is front and not mounted and (is_a(inner, "flask", "Flask") or not hasattr(layer, "app")):
            yield front.layer(place_of(layer))
    yield from _routes(app, inner, front, mounted)


def _routes(app: Any, inner: Any, front: Front, mounted: bool) -> Iterator[ProtectedRoute]:
    if is_a(inner, "starlette.applications", "Starlette") or is_a(inner, "starlette.routing", "Router"):
        from .starlette import routes

        yield from routes(inner, front, walk)
    elif is_a(inner, "werkzeug.middleware.dispatcher", "DispatcherMiddleware"):
        for prefix, part in (*inner.mounts.items(), ("", inner.app)):
            yield from walk(part, front.below(prefix), mounted=True)
    elif is_a(inner, "flask", "Flask"):
        from .flask import routes as flask_routes

        yield from flask_routes(inner, front, walk)
    elif is_a(getattr(inner, "__self__", None), "flask", "Flask"):
        from .flask import views

        yield from views(inner.__self__, front)
    elif is_a(inner, "django.core.handlers.base", "BaseHandler"):
        from .django import routes as django_routes

        yield from django_routes(front)
    elif mounted and callable(inner):  # static files and the like, which have no routes
        answers_options = not is_a(inner, "starlette.staticfiles", "StaticFiles")
        yield from front.routes("/*", (), Declared(answers_options=answers_options), place_of(inner))
    else:
        raise ConfigurationError(
            f"{app!r} is not a FastAPI, Starlette, Flask or Django app, and not middleware around one"
        )
