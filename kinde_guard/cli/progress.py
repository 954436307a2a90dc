"""What is being done, at a terminal, while it takes its time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from .screen import console


@contextmanager
def working(on: str) -> Iterator[None]:
    """Say so on stderr meanwhile, and take it back afterwards; nothing where nobody watches."""
    screen = console(stderr=True)
    if not screen.is_terminal:
        yield
        return
    with screen.status(f"{on} …", spinner="dots"):
        yield
