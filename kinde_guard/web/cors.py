"""CORS preflights: nothing passes for calling itself one, and where that is in somebody's way, the mend is said.

A preflight (Fetch standard, CORS-preflight fetch) is ``OPTIONS`` with two headers and without a token, and anybody can
write these. Frameworks that have no answer of their own to OPTIONS run a handler for it. So CORS middleware stands
outside of the guard and answers preflights itself; where it stands inside, none gets there.
"""

from __future__ import annotations

import functools
import logging
import sys
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from ..errors import ConfigurationError
from ..net.once import Once
from .attributes import named
from .paths import PublicPaths

MOST = 20_000  # apps, routes and layers to look at; more than that are made while one looks
log = logging.getLogger("kinde_guard")


class Preflights:
    """What one guard does with preflights: unless it *passes* them, it refuses them, and *mend* says what to do. Raises
    :class:`~kinde_guard.ConfigurationError` if *passes* is neither true nor false."""

    def __init__(self, passes: bool, mend: str) -> None:
        if not isinstance(passes, bool):
            raise ConfigurationError(f"pass_preflights must be True or False, not {passes!r}")
        self.passes = passes
        self._mend = mend
        self._refusal, self._start = Once(), Once()

    def refused(self) -> None:
        """Warn of the first one that is refused; called for each."""
        if self._refusal.is_first():
            text = "a CORS preflight was refused: if pages of other origins call this API, %s"
            log.warning(text, self._mend, extra={"event": "preflight_refused"})

    def check(self, app: Any, public: PublicPaths) -> None:
        """Say once, at start-up, which CORS middleware in *app* will not be asked: preflights end at the guard."""
        self.tell_of(found for found in inside(app) if not public.include(found.paths))

    def tell_of(self, hidden: Iterable[Found]) -> None:
        """Say once which CORS middleware is *hidden* behind the guard."""
        first = self._start.is_first()
        if names := list(dict.fromkeys(map(str, hidden))) if first and not self.passes else []:
            text = "%s cannot answer preflights, because the guard in front refuses them: %s"
            log.warning(text, ", ".join(names), self._mend, extra={"event": "cors_inside"})


class Found(NamedTuple):
    """Middleware, and the paths that it stands on, as ``public=`` would name them; empty: all that the guard has."""

    paths: str
    name: str

    def __str__(self) -> str:
        return self.name + (f" (on {self.paths})" if self.paths else "")


def inside(app: Any) -> Iterator[Found]:
    """The CORS middleware in *app*: around it, added to it, in what is mounted there, and in Django's settings."""
    return _inside(app, "", set())


def is_cors(kind: object) -> bool:
    """Whether middleware of this *kind*, a class or what makes one, is for CORS. By its name: there are many."""
    kind = _whole(kind)
    kinds = kind.__mro__ if isinstance(kind, type) else (kind,)
    return any("cors" in getattr(each, "__name__", "").lower() for each in kinds)


def name_of(kind: object) -> str:
    """The place where a person finds *kind*."""
    kind = _whole(kind)
    if not hasattr(kind, "__qualname__"):
        kind = type(kind)
    return f"{kind.__module__}:{kind.__qualname__}"


def _inside(app: Any, paths: str, seen: set[int]) -> Iterator[Found]:
    while app is not None and id(app) not in seen and len(seen) < MOST:
        seen.add(id(app))
        kinds = (type(app), *(layer.cls for layer in _listed(app, "user_middleware")))
        yield from (Found(paths, name_of(kind)) for kind in kinds if is_cors(kind))
        yield from (Found(paths, name) for name in _of_django(app) if "cors" in name.lower())
        for route in _listed(app, "routes"):
            below = named(route, "original_router") or named(route, "app")
            yield from _inside(below, _paths_of(route, paths), seen)
        app = named(app, "app")


def _paths_of(route: Any, around: str) -> str:
    """Those of *route*, which is on the paths *around*; a Host, and a router that FastAPI has included, have none."""
    if not hasattr(route, "path"):
        return around
    path: str = around.removesuffix("/*") + route.path
    return f"{path}/*" if hasattr(route, "routes") else path


def _whole(kind: Any) -> Any:
    while isinstance(kind, functools.partial):
        kind = kind.func
    return kind


def _listed(app: Any, name: str) -> Iterable[Any]:
    """What Starlette keeps under this *name*; other frameworks have other things there."""
    value = named(app, name)
    return value if isinstance(value, list) else ()


def _of_django(app: Any) -> Iterable[str]:
    """The middleware in the settings, if *app* is Django: which is not loaded in order to find out."""
    handler = getattr(sys.modules.get("django.core.handlers.base"), "BaseHandler", None)
    if handler is None or not isinstance(app, handler):
        return ()
    return tuple(sys.modules["django.conf"].settings.MIDDLEWARE)
