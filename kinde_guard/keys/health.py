"""How an issuer's keys are, for health checks and for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from .key_set import State

if TYPE_CHECKING:
    from ..api_keys.health import ApiKeysHealth
    from ..revocation.health import RevocationHealth


class IssuerHealth(NamedTuple):
    """The state of an issuer's keys: ``fresh``, ``stale``, ``expired`` or ``never_loaded``, since when, and why."""

    issuer: str
    state: State
    since: float
    """When the state began, in seconds since the epoch; for ``never_loaded``, when the guard was made."""
    keys: int
    """How many usable keys the last good answer held."""
    problem: str
    """Why the last fetch failed, or that the keys are a seed's and none has ended yet; empty if all is well."""
    clock_drift: float | None = None
    """The seconds by which the clock here is certainly ahead of the issuer's (negative: behind), as the ``Date`` of the
    last good answer shows; ``None`` if it had none."""
    revocations: RevocationHealth | None = None
    """How this process's copy of the revocations is; ``None`` if the guard has none."""
    api_keys: ApiKeysHealth | None = None
    """Whether Kinde answers when it is asked about API keys; ``None`` if the guard takes none of this issuer."""
