"""How this process's copy of the revocations is. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["fresh", "stale", "expired", "never_loaded"]


@dataclass(frozen=True, slots=True)
class RevocationHealth:
    """The state of this process's copy: ``fresh``, ``stale``, ``expired`` or ``never_loaded``, since when, and why."""

    state: State
    since: float
    """When the state began, in seconds since the epoch; for ``never_loaded``, when the copy was made."""
    usable: bool
    """Whether tokens are judged by it; else the answer is 503."""
    entries: int
    """How many revocations it holds."""
    problem: str = ""
    """What is wrong, in a sentence; empty if nothing is."""
    last_heard: float | None = None
    """When it was last known to be complete, in seconds since the epoch."""
    last_webhook: float | None = None
    """T of the latest revocation that came of a webhook."""
    unreadable: int = 0
    """How many entries of the stream meant nothing, and were skipped."""
    floor: float | None = None
    """What was issued before it is refused altogether, because there were more revocations than ``max_entries``; in
    seconds since the epoch."""
