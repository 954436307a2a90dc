"""What one exchange is asked for, comes to, and may take at most."""

from __future__ import annotations

from collections.abc import Mapping

CONNECT_TIMEOUT = 2.0
TOTAL_TIMEOUT = 5.0
MAX_BODY = 512 * 1024
MAX_HEAD = 64 * 1024
"""Of everything that comes before a body, or between its parts."""


class HttpAnswer:
    """A whole answer. Header names are in lower case. Its ``repr`` shows no body: that may be a token."""

    __slots__ = ("body", "headers", "status")

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body

    def __eq__(self, other: object) -> bool:
        return isinstance(other, HttpAnswer) and (self.status, self.headers, self.body) == (
            other.status,
            other.headers,
            other.body,
        )

    __hash__ = None  # type: ignore[assignment]  # as of everything that is equal to others and holds a dict

    def __repr__(self) -> str:
        return f"HttpAnswer(status={self.status!r}, headers={self.headers!r})"


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
