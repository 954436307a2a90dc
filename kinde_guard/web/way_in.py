"""Looking through middleware. It calls what it wraps by all kinds of names, and a closure has none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import decorators

MOST_LOOKED_AT = 1_000  # things, on the way in


def way_in(layer: Any, inmost: Callable[[Any], bool]) -> tuple[list[Any], Any]:
    """The layers from *layer* inwards, and behind them what *inmost* says yes to; only *layer*, and ``None``, if there
    is no such thing."""
    ways, seen = [[layer]], {id(layer)}
    for way in ways:  # grows meanwhile: breadth first, so that the shortest way is found
        if inmost(way[-1]):
            return way[:-1], way[-1]
        for inner in () if isinstance(way[-1], type) else (decorators.inner(way[-1]), *decorators.held(way[-1])):
            if callable(inner) and id(inner) not in seen and len(seen) < MOST_LOOKED_AT:
                seen.add(id(inner))
                ways.append([*way, inner])
    return [layer], None
