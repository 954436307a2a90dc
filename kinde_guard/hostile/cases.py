"""A case: what is sent, the verdict it must get, and why.

Header values are text of one character a byte (latin-1), as ASGI and WSGI hand them on.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

Verdict = tuple[int, str | None]
"""A status, and the error code of the challenge (RFC 6750 §3.1); ``None`` where there must not be one."""
Pairs = list[tuple[str, str]]

LONG = 8_000  # gunicorn takes 8190 bytes a field
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
FORM = ("Content-Type", "application/x-www-form-urlencoded")


@dataclass(frozen=True, slots=True)
class Hostile:
    """A request that must be refused."""

    name: str
    headers: Pairs = field(repr=False)
    status: int
    error: str | None
    """The code that the challenge must carry; ``None``: none."""
    why: str
    """RFC and section, or the advisory."""
    reason: str | None = None
    """Why :class:`kinde_guard.Guard` refuses it."""
    also: tuple[Verdict, ...] = ()
    """Other verdicts that can be defended from the same text."""
    server: tuple[int, ...] = ()
    """What an HTTP server in front of the app may answer by itself, without a challenge."""
    query: str = field(default="", repr=False)
    body: bytes = field(default=b"", repr=False)
    method: str = ""
    """If not that of the trial. To OPTIONS, who runs no handler may answer as well."""

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """All that will do, the best first."""
        return ((self.status, self.error), *self.also)

    @property
    def authorization(self) -> list[str]:
        """The values of its Authorization headers."""
        return [value for name, value in self.headers if name.lower() == "authorization"]


@dataclass(frozen=True, slots=True)
class Benign:
    """A request that must be let in, odd as it may look: a verifier that refuses everything is not safe but broken."""

    name: str
    headers: Pairs = field(repr=False)
    why: str

    @property
    def authorization(self) -> list[str]:
        """The values of its Authorization headers."""
        return [value for name, value in self.headers if name.lower() == "authorization"]


def bearer(token: str) -> Pairs:
    """The one right way to send a token (RFC 6750 §2.1)."""
    return [("Authorization", f"Bearer {token}")]


def invalid(name: str, token: str, reason: str, why: str) -> Hostile:
    """A token that is no good: 401 ``invalid_token``."""
    return _case(name, bearer(token), 401, "invalid_token", why, reason)


def lacking(name: str, token: str, why: str) -> Hostile:
    """A good token that was not granted the scope: 403 ``insufficient_scope``."""
    return _case(name, bearer(token), 403, "insufficient_scope", why, "insufficient_scope")


def unreadable(name: str, values: str | Iterable[str], why: str) -> Hostile:
    """Bearer credentials that are not one b64token: 400 ``invalid_request``.

    Also a 401: RFC 6750 §3.1 calls a malformed *request* ``invalid_request`` and a malformed *token*
    ``invalid_token``, and to some readers such a header holds no credentials at all.
    """
    headers = [("Authorization", value) for value in ([values] if isinstance(values, str) else values)]
    also: tuple[Verdict, ...] = ((401, "invalid_token"), (401, None))
    return _case(name, headers, 400, "invalid_request", why, "invalid_request", also)


def foreign(name: str, value: str, why: str) -> Hostile:
    """Credentials of another scheme, which are none: 401 without an error code. Also a 400, for a malformed header."""
    also: tuple[Verdict, ...] = ((400, "invalid_request"),)
    return _case(name, [("Authorization", value)], 401, None, why, "missing_token", also)


def missing(name: str, headers: Pairs, why: str, *, query: str = "", body: bytes = b"") -> Hostile:
    """No credentials where credentials belong: 401 without an error code (RFC 6750 §3.1), and nothing else will do."""
    headers = [*headers, FORM] if body else headers
    return Hostile(name, headers, 401, None, why, "missing_token", query=query, body=body)


def _case(
    name: str,
    headers: Pairs,
    status: int,
    error: str | None,
    why: str,
    reason: str,
    also: tuple[Verdict, ...] = (),
) -> Hostile:
    return Hostile(name, headers, status, error, why, reason, also, _by_servers([value for _, value in headers]))


def _by_servers(values: list[str]) -> tuple[int, ...]:
    """What servers answer by themselves to a header value that is long (RFC 6585 §5) or no field value at all
    (RFC 9110 §5.5)."""
    if sum(map(len, values)) > LONG:
        return 400, 413, 431
    return (400,) if any(_CONTROL.search(value) for value in values) else ()
