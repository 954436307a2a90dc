"""Every route of an app, and what it demands: for ``kinde-guard routes``, and for a test that no route is open.

Nothing is called and nothing is fetched: what is read is what the frameworks hold once the app is built.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..web.paths import PublicPaths
from .front import Front, Kind, ProtectedRoute
from .walk import walk

__all__ = ["Kind", "ProtectedRoute", "routes_of", "unserved"]


def routes_of(app: Any, public: Iterable[str] = ()) -> list[ProtectedRoute]:
    """Every route of *app* (FastAPI, Starlette, Flask, Django, or middleware around one), in the order of the app.

    Those that are open on purpose are *public*: a path as it is shown, or ``"/static/*"`` for what is below. What is
    declared and not enforced stays *misplaced*. Raises :class:`ConfigurationError` for an app of another kind.
    """
    allowed = PublicPaths(public)
    return [route.allowed_by(allowed) for route in walk(app, Front())]


def unserved(names: dict[str, Any], app: Any) -> list[str]:
    """Those of the variables *names* that are routers or blueprints with routes, which *app* does not serve."""
    from .leftover import leftover

    return leftover(names, app)
