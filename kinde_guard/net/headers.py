"""What headers of an answer say in seconds. Pure; header names are in lower case."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime

_DECIMAL = re.compile(r"[0-9]+(?:\.[0-9]+)?")


def delta_seconds(value: str) -> float | None:
    """RFC 9111 §1.2.2: digits and nothing else; ``None`` otherwise."""
    return float(value[:9]) if value.isascii() and value.isdigit() else None


def date_in(value: str) -> float | None:
    """RFC 9110 §5.6.7, in seconds since the epoch; ``None`` if it is no date. In GMT, also where it does not say so."""
    try:
        date = parsedate_to_datetime(value)
        return (date.replace(tzinfo=UTC) if date.tzinfo is None else date).timestamp()
    except (ValueError, OverflowError):
        return None


def age_of(headers: Mapping[str, str]) -> float:
    """RFC 9111 §5.1: for how long caches have held the answer; of several values the first counts."""
    return delta_seconds(headers.get("age", "").partition(",")[0].strip()) or 0.0


def asked_wait(headers: Mapping[str, str], wall: float, *names: str) -> float | None:
    """The longest wait, in seconds, that the headers *names* ask for; ``None`` if none of them can be read.

    Each is a number, whole or not, or a date (``Retry-After``: RFC 9110 §10.2.3). A date is compared with the answer's
    own ``Date``, so that a clock here that is off does no harm; without one, with *wall*.
    """
    sent = date_in(headers.get("date", ""))
    waits = [_wait(headers.get(name, "").strip(), wall if sent is None else sent) for name in names]
    return max((wait for wait in waits if wait is not None), default=None)


def _wait(value: str, now: float) -> float | None:
    if _DECIMAL.fullmatch(value):
        return float(value[:12])  # no wait has more digits
    until = date_in(value)
    return None if until is None else float(math.ceil(until - now))  # dates are cut to seconds: not a moment too early
