"""What headers of an answer say in seconds. Pure; header names are in lower case."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime

_DECIMAL = re.compile(r"[0-9]+(?:\.[0-9]+)?")
_TIME = r"(?P<hour>[0-9]{2}):(?P<minute>[0-9]{2}):(?P<second>[0-9]{2})"
_DATE = re.compile(
    rf"(?:[A-Za-z]+, ?)?(?P<day>[0-9]{{1,2}})[ -](?P<month>[A-Za-z]{{3}})[ -](?P<year>[0-9]{{2}}|[0-9]{{4}}) {_TIME}"
    r"(?: (?:GMT|UTC|(?P<zone>[+-][0-9]{4})))?"
)
_ASCTIME = re.compile(
    rf"[A-Za-z]{{3}} (?P<month>[A-Za-z]{{3}}) +(?P<day>[0-9]{{1,2}}) {_TIME} (?P<year>[0-9]{{4}})(?P<zone>)"
)
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")


def delta_seconds(value: str) -> float | None:
    """RFC 9111 §1.2.2: digits and nothing else; ``None`` otherwise."""
    return float(value[:9]) if value.isascii() and value.isdigit() else None


def date_in(value: str) -> float | None:
    """RFC 9110 §5.6.7, in seconds since the epoch; ``None`` if it is no date. In GMT, also where it does not say so.

    Read here, as the standard library's reader of dates comes with all of ``email``, which takes longer to load than
    the rest of what a fetch needs.
    """
    found = _DATE.fullmatch(value.strip()) or _ASCTIME.fullmatch(value.strip())
    if found is None:
        return None
    day, hour, minute, second = (int(found[part]) for part in ("day", "hour", "minute", "second"))
    try:
        month = _MONTHS.index(found["month"].lower()) + 1
        date = datetime(_year(found["year"]), month, day, hour, minute, second, tzinfo=UTC)
    except ValueError:
        return None
    return date.timestamp() - _ahead(found["zone"] or "+0000")


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


def _year(digits: str) -> int:
    """The year of two digits, as dates of RFC 850 have them: 1969 to 2068."""
    year = int(digits)
    return year if len(digits) == 4 else year + (2000 if year < 69 else 1900)


def _ahead(zone: str) -> int:
    """Seconds by which a zone (RFC 5322 §3.3) is ahead of GMT. HTTP has none, but other software writes them."""
    hours, minutes = int(zone[:3]), int(zone[0] + zone[3:])
    return hours * 3600 + minutes * 60


def _wait(value: str, now: float) -> float | None:
    if _DECIMAL.fullmatch(value):
        return float(value[:12])  # no wait has more digits
    until = date_in(value)
    return None if until is None else float(math.ceil(until - now))  # dates are cut to seconds: not a moment too early
