"""What an API key looks like, and what Kinde says of one, read strictly. Pure.

Sources: Kinde's OpenAPI description of its management API (July 2026), and docs.kinde.com/manage-your-apis. Nothing
that is documented nowhere is guessed: an answer of another shape is :class:`Unreadable`, and nobody is let in by it.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from ..errors import InvalidToken, InvalidTokenReason
from ..net.clocks import Moment
from ..tokens.jws import Json, read_object
from ..web.wording import SCOPE_TOKEN

KEY = re.compile(rb"k_(?:live|test)_[A-Za-z0-9_-]{16,128}")
HINT_SHAPE = "it begins as a Kinde API key does (k_live_…), and is none: it was cut off, or something was added to it"
HINT_NOT_VALID = "Kinde says that this API key is not valid: it is unknown, revoked, replaced by another, or over"
HINT_NOT_ACTIVE = "Kinde says that this API key is not active"
HINT_WRONG_API = "this API key is of another API: its api_ids in Kinde are none of ApiKeys(api_ids=…)"
HINT_OVER = "this API key has expired"

_ID = re.compile(r"[A-Za-z0-9_-]{1,200}")  # it becomes a part of a path
MOST = 64 * 1024  # bytes of an answer: it is remembered
_LONGEST = 1_000  # characters of an id, or a date


class Unreadable(ValueError):
    """An answer says nothing that could be relied on; the text says in which respect, and quotes nothing."""


class Facts(NamedTuple):
    """What Kinde says of a good key."""

    key_id: str
    user_id: str | None
    org_code: str | None
    scopes: tuple[str, ...]
    expires_at: float
    """Seconds since the epoch; infinite if Kinde does not say."""


class Refused(NamedTuple):
    """Kinde has answered, and the key is not good."""

    reason: InvalidTokenReason
    hint: str


class Bound(NamedTuple):
    """Which APIs a key is for, and how its text ends."""

    api_ids: frozenset[str]
    expires_at: float
    suffix: str
    """Empty if Kinde does not say."""

    def is_of(self, key: str) -> bool:
        """Whether it may be about *key*."""
        return key.endswith(self.suffix)


class Answer(NamedTuple):
    """What Kinde said of a good key, and until when that is relied on."""

    facts: Facts
    issuer: str
    asked: Moment
    """When Kinde was asked."""
    over: float
    """Until when, by the clock that nobody sets."""
    end: float
    """Until when, in seconds since the epoch."""

    @classmethod
    def of(cls, facts: Facts, issuer: str, asked: Moment, seconds: float) -> Answer:
        """One that is relied on for *seconds*, or until the key is over."""
        seconds = min(seconds, facts.expires_at - asked.wall)
        return cls(facts, issuer, asked, asked.ageing + seconds, asked.wall + seconds)

    def fresh(self, now: Moment) -> bool:
        """Whether it is relied on without asking again."""
        return now.ageing < self.over and now.wall < self.end

    def usable(self, now: Moment, seconds: float) -> bool:
        """Whether it serves while Kinde cannot be asked: it is younger than *seconds*."""
        return now.since(self.asked) < seconds and now.wall < self.facts.expires_at

    def prolonged(self, now: Moment, seconds: float, at_most: float) -> Answer:
        """The same, relied on for *seconds* more, and until it is *at_most* so many seconds old."""
        more = min(seconds, at_most - now.since(self.asked), self.facts.expires_at - now.wall)
        return self._replace(over=now.ageing + more, end=now.wall + more)

    def outdated(self) -> Answer:
        """The same, which is no longer relied on."""
        return self._replace(over=-math.inf, end=-math.inf)

    def claims(self, audiences: Sequence[str]) -> Json:
        """What it says, in the words of an access token's claims.

        It was issued when Kinde was asked: a revocation of before has been asked about by then. A key of nobody is a
        machine's; and ``api_key`` tells it from a token.
        """
        facts = self.facts
        claims: Json = {
            "iss": self.issuer,
            "aud": list(audiences),
            "azp": facts.key_id,
            "scope": " ".join(facts.scopes),
        }
        claims |= {"iat": self.asked.wall, "exp": self.end, "api_key": {"id": facts.key_id}}
        claims |= {"gty": ["client_credentials"]} if facts.user_id is None else {"sub": facts.user_id}
        return claims if facts.org_code is None else {**claims, "org_code": facts.org_code}


def question(key: bytes) -> bytes:
    """The body that asks about *key*."""
    return json.dumps({"api_key": key.decode("ascii")}).encode()


def verdict_in(body: bytes) -> Facts | Refused:
    """What ``POST /api/v1/api_keys/verify`` answers; raises :class:`Unreadable`."""
    said = _object(body)
    valid = said.get("is_valid")
    if type(valid) is not bool:
        raise Unreadable("is_valid is neither true nor false")
    if not valid:
        return Refused("invalid_api_key", HINT_NOT_VALID)
    status = said.get("status")
    if type(status) is not str:
        raise Unreadable("status is no text")
    if status != "active":
        return Refused("invalid_api_key", HINT_NOT_ACTIVE)
    scopes = [] if said.get("scopes") is None else _texts(said, "scopes")
    if not all(map(SCOPE_TOKEN.fullmatch, scopes)):
        raise Unreadable("scopes has something in it that is no scope")
    key_id = said.get("key_id")
    if type(key_id) is not str or _ID.fullmatch(key_id) is None:
        raise Unreadable("key_id is no id")
    return Facts(key_id, _name(said, "user_id"), _name(said, "org_code"), tuple(scopes), _date(said))


def bound_in(body: bytes, key_id: str) -> Bound | Refused:
    """What ``GET /api/v1/api_keys/{key_id}`` answers; raises :class:`Unreadable`."""
    said = _object(body).get("api_key")
    if type(said) is not dict or said.get("id") != key_id:
        raise Unreadable("it is not about the key that was asked about")
    if said.get("status") != "active":
        return Refused("invalid_api_key", HINT_NOT_ACTIVE)
    return Bound(frozenset(_texts(said, "api_ids")), _date(said), _name(said, "key_suffix") or "")


def is_about_our_token(body: bytes) -> bool:
    """Whether an error speaks of a token, or of a scope that is missing, whatever its form. A key is neither."""
    return any(word in body.lower() for word in (b"scope", b"token"))


def _object(body: bytes) -> Json:
    if len(body) > MOST:
        raise Unreadable(f"it is larger than {MOST // 1024} KiB")
    try:
        return read_object(body)
    except InvalidToken:
        raise Unreadable("it is not a plain JSON object") from None


def _texts(said: Json, name: str) -> list[str]:
    values: Any = said.get(name)
    if type(values) is not list or not all(type(value) is str and value for value in values):
        raise Unreadable(f"{name} is no list of texts")
    return values


def _name(said: Json, name: str) -> str | None:
    value = said.get(name)
    if value is None or value == "":
        return None
    if type(value) is not str or len(value) > _LONGEST:
        raise Unreadable(f"{name} is no text")
    return value


def _date(said: Json) -> float:
    """``expires_on``, written as Kinde writes its dates, such as ``2024-11-18T13:32:03+11``."""
    value = said.get("expires_on")
    if value is None:
        return math.inf
    try:
        date = datetime.fromisoformat(value)
        return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, OverflowError):
        raise Unreadable("expires_on is no date") from None
