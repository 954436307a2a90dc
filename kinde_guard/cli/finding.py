"""What ``doctor`` finds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["well", "warning", "failed", "skipped"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One step, and what came of it. Text that comes from the network is ASCII."""

    step: str
    state: State
    found: str
    fix: str = ""
    issuer: str = ""
    """Whom it is about; empty for the settings."""


def worst(*states: State) -> State:
    """The one to be told of."""
    return max(states, key=("skipped", "well", "warning", "failed").index)
