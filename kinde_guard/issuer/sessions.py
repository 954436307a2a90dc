"""Who is signed in, and who is about to: values under names that nobody can guess, few and not for long."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from .messages import Request

COOKIE = "kinde_local_session"
SESSION_LIFETIME = 86_400
SIGN_IN_LIFETIME = 600
MAX_VALUES = 1_000

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Session:
    """Somebody who signed in with this browser."""

    user_id: str
    org_code: str | None
    signed_in_at: int
    """Seconds since the epoch."""


class Shelf(Generic[T]):
    """Up to a thousand values; when it is full the oldest goes. *lifetime*: seconds. Threads may share it."""

    def __init__(self, lifetime: float, now: Callable[[], float]) -> None:
        self._lifetime, self._now = lifetime, now
        self._lock = threading.Lock()
        self._values: dict[str, tuple[float, T]] = {}

    def put(self, value: T, name: str | None = None) -> str:
        """Keep *value* under *name* (a :func:`secret`), which is returned."""
        name = name or secret()
        with self._lock:
            self._values[name] = (self._now() + self._lifetime, value)
            if len(self._values) > MAX_VALUES:
                del self._values[next(iter(self._values))]
        return name

    def get(self, name: str | None) -> T | None:
        """The value, if it is there and not too old."""
        with self._lock:
            return self._fresh(self._values.get(name or ""))

    def take(self, name: str | None) -> T | None:
        """The same, and it is gone: of several who ask at once one gets it."""
        with self._lock:
            return self._fresh(self._values.pop(name or "", None))

    def _fresh(self, entry: tuple[float, T] | None) -> T | None:
        return entry[1] if entry is not None and self._now() < entry[0] else None


def secret() -> str:
    """256 bits that nobody can guess."""
    return secrets.token_urlsafe(32)


def cookie_of(request: Request) -> str | None:
    """The name of the session that the browser holds."""
    for part in request.headers.get("cookie", "").split(";"):
        name, _, value = part.strip().partition("=")
        if name == COOKIE:
            return value
    return None


def cookie(url: str, session: str | None) -> dict[str, str]:
    """The header that has the browser of *url* hold *session*, or (``None``) drop the one it holds."""
    parts = [f"{COOKIE}={session or ''}", "Path=/", "HttpOnly", "SameSite=Lax"]
    if session is None:
        parts.append("Max-Age=0")
    if url.startswith("https:"):
        parts.append("Secure")
    return {"set-cookie": "; ".join(parts)}
