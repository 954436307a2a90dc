"""Who is signed in, and who is about to: values under names that nobody can guess, few and not for long."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from ..net import forks
from .registry import App

SESSION_LIFETIME = 86_400
SIGN_IN_LIFETIME = 600
MAX_VALUES = 1_000

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Session:
    """A session: who signed in with a browser, to which organization, and when."""

    user_id: str
    org_code: str | None
    signed_in_at: int
    """Seconds since the epoch."""


@dataclass(frozen=True, slots=True)
class SignIn:
    """A sign-in that has begun: what *app* asked for when it sent somebody here, all of it checked."""

    id: str = field(repr=False)
    """Names it in the form of the page on which people choose who they are. It cannot be guessed, and works once."""
    app: App
    redirect_uri: str
    audience: tuple[str, ...]
    scopes: tuple[str, ...]
    """The OpenID Connect scopes; of others Kinde makes nothing here."""
    org_code: str | None
    """The organization to sign in to; ``None``: whoever signs in may choose."""
    state: str | None = field(repr=False)
    nonce: str | None = field(repr=False)
    challenge: str | None = field(repr=False)
    """The PKCE challenge (RFC 7636), by S256; ``None`` if the app sent none."""
    login_hint: str | None
    made_at: float
    """Seconds since the epoch, by the clock of the issuer."""


class ExpiringValues(Generic[T]):
    """Up to a thousand values, each under a secret name and for *lifetime* seconds. When it is full the oldest goes.

    Threads may share it.
    """

    def __init__(self, lifetime: float, now: Callable[[], float]) -> None:
        self._lifetime, self._now = lifetime, now
        self._lock = forks.Lock()
        self._values: dict[str, tuple[float, T]] = {}

    def put(self, value: T, name: str | None = None) -> str:
        """Keep *value* under *name* (a :func:`secret`), which is returned."""
        name = name or secret()
        with self._lock.now:
            self._values[name] = (self._now() + self._lifetime, value)
            if len(self._values) > MAX_VALUES:
                del self._values[next(iter(self._values))]
        return name

    def get(self, name: str | None) -> T | None:
        """The value, if it is there and not too old."""
        with self._lock.now:
            return self._fresh(self._values.get(name or ""))

    def take(self, name: str | None) -> T | None:
        """The same, and it is gone: of several who ask at once one gets it."""
        with self._lock.now:
            return self._fresh(self._values.pop(name or "", None))

    def drop(self, is_meant: Callable[[T], bool]) -> None:
        """Forget every value that is meant."""
        with self._lock.now:
            self._values = {name: entry for name, entry in self._values.items() if not is_meant(entry[1])}

    def _fresh(self, entry: tuple[float, T] | None) -> T | None:
        return entry[1] if entry is not None and self._now() < entry[0] else None


def secret() -> str:
    """A name of 256 bits, which nobody can guess."""
    return secrets.token_urlsafe(32)
