"""What ``doctor`` finds, step by step, and prints as text or as the ``findings`` of its JSON."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

State = Literal["well", "warning", "failed", "skipped"]
_PASSED = re.compile(r",? or pass \w+=,?")


@dataclass(frozen=True, slots=True)
class Finding:
    """A step of the examination, and what came of it. Text that comes from the network is shown in ASCII."""

    step: str
    state: State
    found: str
    fix: str = ""
    about: str = "settings"
    """An issuer, or what else is examined."""


def sentence(text: object) -> str:
    """What the library says, as it is said here: variables are set, and nothing is passed."""
    words = _PASSED.sub("", str(text))
    return words[:1].upper() + words[1:]
