"""The same small API in front of which stands nothing, kinde_guard, or what people write by hand.

In each stack ``GET /users`` answers ``{"ok": true}``, to callers whose token grants the scope ``read:users``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from kinde_guard import Guard

from ..peers import Verify
from . import asgi, fastapi, flask, forward, starlette

PATH = "/users"
NOTHING = "no-op"
STACKS: Mapping[str, Any] = {"ASGI": asgi, "Starlette": starlette, "FastAPI": fastapi, "Flask": flask}
FORWARD_AUTH = "forward auth"
_ALL = {**STACKS, FORWARD_AUTH: forward}


def nothing(stack: str) -> Any:
    """The app with something of the stack's own in the guard's place that does nothing."""
    return _ALL[stack].nothing()


def guarded(stack: str, guard: Guard) -> Any:
    """The app behind kinde_guard."""
    return _ALL[stack].guarded(guard)


def by_hand(stack: str, verify: Verify) -> Any:
    """The app with the checks written by hand around *verify*, as in the stack's tutorials."""
    build: Callable[[Verify], Any] = _ALL[stack].by_hand
    return build(verify)
