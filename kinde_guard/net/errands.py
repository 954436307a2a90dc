"""Something short that waits for a network, done in a thread for an event loop, of asyncio or of trio."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

from . import joining
from .workers import workers

T = TypeVar("T")
PATIENCE = 15.0
"""Seconds: what is done has time-outs of its own."""


class _Errand(Generic[T]):
    """One call, and what it came to."""

    def __init__(self, do: Callable[[], T]) -> None:
        self._do = do
        self.done: Future[None] = Future()
        self.error: BaseException | None = None
        self.results: list[T] = []

    def run(self) -> None:
        """Called by the workers."""
        try:
            self.results.append(self._do())
        except Exception as error:
            self.error = error
        finally:
            self.done.set_result(None)

    def turn_down(self, error: Exception) -> None:
        """Called by the workers."""
        self.error = error
        self.done.set_result(None)


async def apart(do: Callable[[], T]) -> T:
    """What *do* gives or raises; ``TimeoutError`` after 15 s. Whoever cancels leaves it to itself."""
    errand = _Errand(do)
    workers.start(errand)
    await joining.ajoin(errand.done, PATIENCE)
    if errand.error is not None:
        raise errand.error
    if not errand.results:
        raise TimeoutError(f"nothing has come of it within {PATIENCE:g} s")
    return errand.results[0]
