"""What headers of an answer say in seconds. Pure; header names are in lower case."""

from __future__ import annotations

from collections.abc import Mapping
from email.utils import parsedate_to_datetime


def delta_seconds(value: str) -> float | None:
    """RFC 9111 §1.2.2: digits and nothing else; ``None`` otherwise."""
    return float(value[:9]) if value.isascii() and value.isdigit() else None


def date_in(value: str) -> float | None:
    """RFC 9110 §5.6.7, in seconds since the epoch; ``None`` if it is no date."""
    try:
        return parsedate_to_datetime(value).timestamp()
    except (ValueError, OverflowError):
        return None


def age_of(headers: Mapping[str, str]) -> float:
    """RFC 9111 §5.1: for how long caches have held the answer; of several values the first counts."""
    return delta_seconds(headers.get("age", "").partition(",")[0].strip()) or 0.0
