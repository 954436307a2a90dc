"""What a function declares by its decorators, and where a person finds it."""

from __future__ import annotations

from collections.abc import Container
from typing import Any

from ..web import decorators
from .front import Declared


def declared_by(function: Any, guarded: Container[int] = (), *, strict: bool = True) -> Declared:
    """What the decorators on *function* say; *guarded* and *strict* as :func:`.misplaced` has them."""
    if decorators.misplaced(function, guarded, strict=strict):
        return Declared(decorators.unmet(function), misplaced=True)
    return Declared(decorators.enforced(function))


def place_of(thing: Any) -> str:
    """The place where a person finds *thing*."""
    for thing in decorators.within(thing):  # noqa: B007, B020  (the last is the one they wrote)
        pass
    if not hasattr(thing, "__qualname__"):
        thing = type(thing)
    return f"{thing.__module__}:{thing.__qualname__}"
