"""Dates in headers (RFC 9110 §5.6.7): all three forms of HTTP, as the standard library's reader of dates has them."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kinde_guard.net.headers import date_in

DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
MOMENTS = st.datetimes(datetime(1970, 1, 1), datetime(2068, 12, 31), timezones=st.just(UTC))


def forms(moment: datetime) -> list[str]:
    day, month, clock = DAYS[moment.weekday()], MONTHS[moment.month - 1], f"{moment:%H:%M:%S}"
    return [
        f"{day[:3]}, {moment.day:02} {month} {moment.year:04} {clock} GMT",
        f"{day}, {moment.day:02}-{month}-{moment.year % 100:02} {clock} GMT",
        f"{day[:3]} {month} {moment.day:2} {clock} {moment.year:04}",
        f"{moment.day} {month.lower()} {moment.year} {clock} UTC",
        f" {day[:3]}, {moment.day:02} {month} {moment.year} {clock} +0000",
        f"{day[:3]}, {moment.day:02} {month} {moment.year} {clock}",
    ]


@given(MOMENTS)
@example(datetime(1969, 1, 1, tzinfo=UTC))
@example(datetime(2068, 12, 31, 23, 59, 59, tzinfo=UTC))
@example(datetime(2024, 2, 29, tzinfo=UTC))
def test_a_date_in_each_of_its_forms(moment: datetime) -> None:
    seconds = moment.replace(microsecond=0).timestamp()
    for text in forms(moment):
        assert date_in(text) == seconds, text
        theirs = parsedate_to_datetime(text)
        assert theirs.replace(tzinfo=UTC).timestamp() == seconds, text


@given(MOMENTS, st.integers(-23, 23), st.integers(0, 59))
def test_a_zone_of_other_software(moment: datetime, hours: int, minutes: int) -> None:
    text = f"{forms(moment)[-1]} {hours:+03}{minutes:02}"
    assert date_in(text) == parsedate_to_datetime(text).timestamp()


@pytest.mark.parametrize("text", [
    "", " ", "now", "0", "1751200000", "GMT", "Sun, 29 Jun 2025", "12:26:40", "29 Jun 12:26:40 2025",
    "Sun, 99 Jun 2025 12:26:40 GMT", "Sun, 31 Jun 2025 12:26:40 GMT", "Sun, 29 Foo 2025 12:26:40 GMT",
    "Sun, 29 Jun 2025 24:26:40 GMT", "Sun, 29 Jun 2025 12:60:40 GMT", "Sun, 29 Jun 2025 12:26:60 GMT",
    "Sun, 29 Jun 0000 12:26:40 GMT", "Sun, 29 Jun 12025 12:26:40 GMT", "Sun, 29 Jun 2025 12:26:40 GMT, and so on",
    "Sun, 29 Jun 2025 1\u0662:26:40 GMT", "2025-06-29T12:26:40Z", "x" * 100_000, "Sun," * 20_000, "9" * 100_000,
], ids=lambda text: repr(text[:40]))  # fmt: skip
def test_what_is_no_date(text: str) -> None:
    assert date_in(text) is None
