"""The console: the pages of a local Kinde, in the browser of whoever runs it. Needs the ``dev`` extra.

A form goes the same way on every page: a POST with the stamp of its path (:mod:`.csrf`) to an *action*, which does
something and returns a *view*. Plainly sent, the view is a whole page; sent by htmx, the part of it that has changed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .app import Console

__all__ = ["Console"]


def __getattr__(name: str) -> Any:
    if name != "Console":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        from .app import Console
    except ModuleNotFoundError as missing:
        if (missing.name or "").partition(".")[0] not in ("jinja2", "markupsafe", "starlette"):
            raise
        raise ImportError(
            "kinde_guard.console needs Jinja2 and Starlette: pip install 'kinde-guard[dev]'", name=missing.name
        ) from missing
    return Console
