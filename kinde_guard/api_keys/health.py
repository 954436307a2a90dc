"""How asking Kinde about API keys goes. Pure."""

from __future__ import annotations

from typing import Literal, NamedTuple

State = Literal["never_asked", "answering", "failing"]


class ApiKeysHealth(NamedTuple):
    """Whether Kinde answers when it is asked about API keys, since when, and if not, why."""

    state: State
    since: float
    """When the state began, in seconds since the epoch; for ``never_asked``, when the object was made."""
    known: int
    """How many good keys are remembered."""
    problem: str = ""
    """Why the last call failed, in a sentence; empty if it did not."""
    retry_in: float = 0.0
    """Seconds until Kinde is asked again."""
