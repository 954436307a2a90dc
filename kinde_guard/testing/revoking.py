"""Revocations in tests: held in memory, by the guards that ``trust`` has put into apps."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Any

from ..errors import AuthError, ConfigurationError
from ..guard import Guard
from ..revocation import Revocation, Revocations
from ..tokens.access_token import AccessToken

_in_force: list[Guard] = []


def revoke(token: str | AccessToken, *, reason: str = "") -> Revocation:
    """Revoke a *token*, given as its text or as a guard returns it. The app that ``trust`` was called for then refuses
    it, with 401 ``revoked``::

        kinde_trust(app)
        revoke(token)
        assert TestClient(app).get("/users", headers=headers(token)).status_code == 401

    The guard of the app has to have revocations, by ``KindeGuard(app, revocations=…)`` or ``KINDE_REVOCATIONS_URL``. In
    the test they are in memory. Or give ``trust(app, issuer, revocations=Revocations.in_memory())``. For whole users,
    apps and organizations, take the guard that ``trust`` returns: ``guard.revocations.revoke_subject("kp_…")``.
    *reason* is for people.

    Raises :class:`~kinde_guard.ConfigurationError` if no such guard accepts the token.
    """
    guards = [(guard, guard.revocations) for guard in _in_force if guard.revocations is not None]
    if not guards:
        raise ConfigurationError(
            "no app under test has revocations: call kinde_trust(app) (or trust) first; and KindeGuard(app, "
            "revocations=…) in the app, or kinde_trust(app, revocations=Revocations.in_memory())"
        )
    revoked = [
        revocations.revoke(known, reason)
        for guard, revocations in guards
        if (known := _known(token, guard)) is not None
    ]
    if not revoked:
        raise ConfigurationError("no app under test takes this token, as it is: there is nothing to revoke")
    return revoked[0]


@contextmanager
def in_force(guard: Guard) -> Iterator[None]:
    """*guard* is one that :func:`revoke` tells."""
    _in_force.append(guard)
    try:
        yield
    finally:
        _in_force.remove(guard)


def in_memory_as(guard: Any, settings: Mapping[str, Any]) -> Revocations | None:
    """Revocations for a test, if the app has some: in its *settings*, or in the *guard* that was made of them."""
    own = _own(guard, settings)
    if own is not None:
        return Revocations.in_memory(token_lifetime=own.token_lifetime)
    return Revocations.in_memory() if guard is None and "KINDE_REVOCATIONS_URL" in os.environ else None


@contextmanager
def current_waived(guard: Any, settings: Mapping[str, Any]) -> Iterator[None]:
    """Routes that demand ``revocations.current`` do so of the app's own, which nobody follows in a test."""
    own = _own(guard, settings)
    with nullcontext() if own is None else own.current.waived():
        yield


def _own(guard: Any, settings: Mapping[str, Any]) -> Revocations | None:
    found = settings.get("revocations") or getattr(guard, "revocations", None)
    return found if isinstance(found, Revocations) else None


def _known(token: str | AccessToken, guard: Guard) -> AccessToken | None:
    if isinstance(token, AccessToken):
        return token
    try:
        return guard.verify(token)
    except AuthError:
        return None
