"""Something short that waits for a network, done in a thread for an event loop, of asyncio or of trio."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from .bounded import Call
from .joining import ajoin
from .workers import workers

T = TypeVar("T")
PATIENCE = 15.0
"""Seconds: what is done has time-outs of its own."""


async def apart(do: Callable[[], T]) -> T:
    """What *do* gives or raises; ``TimeoutError`` after 15 s. Whoever cancels, or waits no longer, leaves it to itself:
    it is done all the same."""
    errand = Call(do)
    workers.start(errand)
    await ajoin(errand.future, PATIENCE)
    return errand.outcome(f"nothing has come of it within {PATIENCE:g} s")
