"""Values from tokens and from the network, made fit for people's eyes: ASCII, one line, not endless."""

from __future__ import annotations

import json
from collections.abc import Iterable

MOST_SHOWN = 200


def shown(value: object) -> str:
    """*value*, fit for a terminal: ASCII, in one line, at most so long."""
    text = json.dumps(value)
    return _cut(text[1:-1] if isinstance(value, str) else text)


def listed(values: Iterable[object]) -> str:
    """*values*, each as :func:`shown` has it, with commas between them."""
    return _cut(", ".join(map(shown, values)))


def _cut(text: str) -> str:
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}..."
