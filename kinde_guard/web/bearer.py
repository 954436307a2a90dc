"""All of HTTP: an Authorization header in (RFC 6750 §2.1); status, challenge and problem body out."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import NamedTuple

from ..errors import AuthError, InvalidRequest, MissingToken, Unavailable
from ..net.forks import once
from .wording import MEDIA_TYPE
from .wording import TEXTS as TEXTS

Refusal = AuthError | Unavailable

_CREDENTIALS = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]*)(.*)", re.S)  # RFC 9110 §11.4: a token, and the rest
_B64TOKEN = re.compile(r" +([A-Za-z0-9\-._~+/]+=*)")  # RFC 6750 §2.1
_LONG = re.compile(r"([A-Za-z0-9_-]{32})[A-Za-z0-9_-]+")
_MOST, _MOST_LOOKED_AT = 17_000, 256  # the one for a token as large as may be
_WRITE = "write `Bearer`, a space and the token"


class _Mistakes:
    """What clients send by mistake, and what is said of it in the log. The patterns are compiled when the first client
    makes one, and not whenever a process starts."""

    def __init__(self, *rows: tuple[str, str]) -> None:
        self._rows = rows

    def hint(self, text: str) -> str:
        """The hint of the first row that fits the beginning of *text*. Long rows in it are made short first: strangers
        choose how long they are."""
        short = _LONG.sub(r"\1", text[:_MOST])[:_MOST_LOOKED_AT]
        return next(hint for pattern, hint in self._compiled if pattern.match(short))

    @once
    def _compiled(self) -> list[tuple[re.Pattern[str], str]]:
        return [(re.compile(pattern), hint) for pattern, hint in self._rows]


_WITHOUT_BEARER = _Mistakes(
    (r"$", ""),  # no header, which is everyday
    (r"(?i)(?:proxy-)?authorization\s*[:=]", f"the header's name stands in its value too: {_WRITE} alone"),
    (r"(?i)bearer%20", f"the space after Bearer is written as in a URL (%20): {_WRITE}"),
    (r"(?i)bearer", f"there is no space after Bearer: {_WRITE}"),
    (r"(?i)[\"'`\u2018-\u201f]+\s*bearer", f"there are quotes around the header's value: {_WRITE}"),
    (r"k_(?:live|test)_", f"a Kinde API key stands there, without `Bearer`: {_WRITE}"),
    (r"[\w-]+\.[\w-]+\.[\w-]*$", f"a token stands there without `Bearer` before it: {_WRITE}"),
    (r"[^\x21-\x7e]", f"the value begins with a character that cannot be seen: {_WRITE}"),
    (r"\S+$", f"one word stands there, and it is not `Bearer`: {_WRITE}"),
    (r"(?i)(?:token|jwt|oauth|apikey|api-key)[\s:=]", f"another word stands there for `Bearer`: {_WRITE}"),
    ("", f"the header is of another scheme than Bearer: {_WRITE}"),
)
_AFTER_BEARER = _Mistakes(
    (r"\s*$", "there is no token after Bearer"),
    (r"(?i)\s+bearer[\s:]", "Bearer stands twice"),
    (r"\s*:", "there is a colon after Bearer"),
    (r"\s*=", "there is an equals sign after Bearer"),
    (r"\s*[\"'`\u2018-\u201f]", "there are quotes around the token"),
    (r"\s*[$%]|\s*\{\{", "there is a placeholder, and nothing has put the token in its place"),
    (r"\s*[<({\[]", "there are brackets around the token"),
    (r"[^,]*,", "there is a comma, as between two headers that were made one"),
    (r"[^\r\n]*[\r\n]", "there is a line end"),
    (r" +\S+\s+\S|\s*\t", "there is white space where none belongs"),
    (r"[\x20-\x7e]*[^\x20-\x7e]", "there is a character that no token has"),
    (r"[^%]*%[0-9A-Fa-f]{2}", "the token is written as in a URL (%…)"),
    ("", "there is a character that no token has"),
)


class Answer(NamedTuple):
    """The answer to a refused request."""

    status: int
    headers: tuple[tuple[str, str], ...]
    """Without Content-Type and Content-Length, which belong to the body."""
    body: bytes
    media_type: str = MEDIA_TYPE

    @property
    def all_headers(self) -> tuple[tuple[str, str], ...]:
        """Those of the refusal, and Content-Type and Content-Length of the body."""
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
        raise MissingToken(_WITHOUT_BEARER.hint(value))
    token = _B64TOKEN.fullmatch(rest)
    if token is None:
        raise InvalidRequest(f"{_AFTER_BEARER.hint(rest)}: the header is `Bearer`, a space and one token")
    return token[1]


def answer(refusal: Refusal, metadata_url: str = "", scopes: Collection[str] = ()) -> Answer:
    """Status, headers and body for *refusal*; *metadata_url* is that of the resource, if it has any (RFC 9728).

    *scopes*: what a client has to ask for so as to be let in, which the challenge of a 401 then names (RFC 6750 §3).
    """
    if metadata_url:
        refusal.name_metadata(metadata_url)
    if scopes and isinstance(refusal, AuthError):
        refusal.name_scopes(scopes)
    return Answer(refusal.status, tuple(refusal.headers.items()), refusal.body())
