"""All of HTTP: an Authorization header in (RFC 6750 §2.1); status, challenge and problem body out."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from .errors import AuthError, InvalidRequest, KeysUnavailable, MissingToken
from .web.wording import MEDIA_TYPE
from .web.wording import TEXTS as TEXTS

Refusal = AuthError | KeysUnavailable

_CREDENTIALS = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]*)(.*)", re.S)  # RFC 9110 §11.4: a token, and the rest
_B64TOKEN = re.compile(r" +([A-Za-z0-9\-._~+/]+=*)")  # RFC 6750 §2.1


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a refused request."""

    status: int
    headers: tuple[tuple[str, str], ...]
    """Without Content-Type and Content-Length, which belong to the body."""
    body: bytes
    media_type: str = MEDIA_TYPE

    @property
    def all_headers(self) -> tuple[tuple[str, str], ...]:
        return (*self.headers, ("Content-Type", self.media_type), ("Content-Length", str(len(self.body))))


def token_from(values: Sequence[str]) -> str:
    """The bearer token in *values*, all Authorization values of a request.

    Raises :class:`MissingToken` without bearer credentials, :class:`InvalidRequest` if they are not one token.
    """
    if len(values) > 1:
        raise InvalidRequest("there is more than one Authorization header")
    value = values[0].strip(" \t") if values else ""
    scheme, rest = _CREDENTIALS.fullmatch(value).groups()  # type: ignore[union-attr]  # it matches any text
    if scheme.lower() != "bearer":
        raise MissingToken()
    token = _B64TOKEN.fullmatch(rest)
    if token is None:
        raise InvalidRequest("the header is not `Bearer`, a space and one token")
    return token[1]


def answer(refusal: Refusal, metadata_url: str = "") -> Answer:
    """Status, headers and body for *refusal*; *metadata_url* is that of the resource, if it has any (RFC 9728)."""
    if metadata_url:
        refusal.name_metadata(metadata_url)
    return Answer(refusal.status, tuple(refusal.headers.items()), refusal.body())
