"""What one exchange is asked for, comes to, and may take at most."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

CONNECT_TIMEOUT = 2.0
TOTAL_TIMEOUT = 5.0
MAX_BODY = 512 * 1024
MAX_HEAD = 64 * 1024
"""Of everything that comes before a body, or between its parts."""


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """A whole answer. Header names are in lower case. Its ``repr`` shows no body: that may be a token."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


class FetchFailed(Exception):
    """There is no whole answer; the text says why, in words fit for a log (no header, no body, no credentials)."""


def encoded() -> FetchFailed:
    """An answer has a content-encoding."""
    return FetchFailed("the answer has a content-encoding, which was not asked for")


def too_large() -> FetchFailed:
    """An answer has more than 512 KiB."""
    return FetchFailed(f"the answer is larger than {MAX_BODY // 1024} KiB")


def one_line(error: BaseException) -> str:
    """The text of an error, in one bounded line."""
    return " ".join(str(error).split())[:200] or "no further detail"
