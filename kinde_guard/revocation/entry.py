"""A revocation: "what was issued to X before T is refused". And the marks of a token, by which it is found. Pure.

Entries only refuse, and only grow: of all that are about one thing the latest T counts. So it does not matter in what
order they arrive, nor how often.
"""

from __future__ import annotations

import math
import secrets
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

from ..tokens.access_token import AccessToken, digest_of

Kind = Literal["token", "subject", "member", "client", "org", "all", "keys"]
About = str | tuple[str, str]
KINDS: tuple[Kind, ...] = get_args(Kind)
_KIND: dict[str, Kind] = {kind: kind for kind in get_args(Kind)}
MAX_TEXT, MAX_REASON, MAX_WORD = 1_000, 200, 20
AHEAD = 300.0
"""Seconds by which T may be in the future: clocks differ."""
_WITHOUT_VALUE = ("all", "keys")


@dataclass(frozen=True, slots=True)
class Revocation:
    """One entry. Of a *kind*:

    ``token``: the one token with this id. ``subject``: a user, or the client id of a machine-to-machine app.
    ``member``: a user in the organization *org*. ``client``: an app. ``org``: an organization. ``all``: everybody.
    ``keys``: refuses nothing; every worker fetches its issuer's keys at once.
    """

    kind: Kind
    value: str
    """The id of whom or what it is about; empty for ``all`` and ``keys``."""
    issued_before: float
    """T, in seconds since the epoch: what was issued in this second or before it is refused. (``iat`` has no fractions:
    of two things in one second nobody knows which came first.)"""
    id: str
    """Its own: a webhook's ``event_id``, else random. A lift names it."""
    org: str = ""
    """The organization's code, for ``member`` alone."""
    reason: str = ""
    """Why, for people."""
    by: str = ""
    """Where it comes from, in a word: ``webhook``, ``app``, ``cli``."""

    @property
    def before(self) -> int:
        """A token is refused if its ``iat`` is smaller."""
        return math.floor(self.issued_before) + 1

    @property
    def about(self) -> About:
        """What it is filed under, beside others of its kind."""
        return (self.org, self.value) if self.kind == "member" else self.value


class Marks(NamedTuple):
    """What of a token revocations are compared with, as its own readers give it."""

    token: str
    subject: str
    client: str | None
    org: str | None
    member: tuple[str, str] | None
    issued_at: float
    """Minus infinity where the token does not say: then every revocation of its caller is newer."""


class Unreadable(ValueError):
    """An entry in the stream that means nothing. It is skipped, and counted."""


def made(
    kind: Kind, value: str, issued_before: float, *, org: str = "", reason: str = "", by: str = "", name: str = ""
) -> Revocation:
    """A new entry; *name* is its id, a random one if there is none."""
    return Revocation(kind, alike(value), issued_before, name or secrets.token_hex(8), org, reason[:MAX_REASON], by)


def alike(subject: str) -> str:
    """Kinde's subjects of 2023 begin with ``kp:``, those in webhooks with ``kp_``: they are the same."""
    return f"kp_{subject[3:]}" if subject[:3] == "kp:" else subject


def marks_of(token: AccessToken) -> Marks:
    """Made once for each token that is verified."""
    subject, org, issued_at = alike(token.subject), token.org_code, token.issued_at
    return Marks(
        id_of(token),
        subject,
        token.client_id,
        org,
        None if org is None else (org, subject),
        -math.inf if issued_at is None else issued_at,
    )


def id_of(token: AccessToken) -> str:
    """``jti``, or what stands for it where there is none that is fit for an entry."""
    name = token.token_id
    return name if name and len(name) <= MAX_TEXT else f"sha256:{digest_of(token).hex()}"


def record_of(entry: Revocation) -> str:
    """*entry*, but for kind and whom it is about, as one text: a third of the room of an object."""
    return f"{entry.issued_before!r} {entry.id} {entry.by} {entry.reason}"


def revocation_of(kind: Kind, about: About, record: str) -> Revocation:
    """What :func:`record_of` was made of."""
    before, name, by, reason = record.split(" ", 3)
    org, value = about if isinstance(about, tuple) else ("", about)
    return Revocation(kind, value, float(before), name, org, reason, by)


def time_in(record: str) -> float:
    """T."""
    return float(record[: record.index(" ")])


def id_in(record: str) -> str:
    """The entry's own id."""
    return record.split(" ", 2)[1]


def fields_of(entry: Revocation, issuer: str) -> dict[str, str]:
    """The fields of an entry, as it stands in the stream."""
    fields = {"kind": entry.kind, "of": entry.value, "before": repr(entry.issued_before), "id": entry.id}
    more = {"org": entry.org, "reason": entry.reason, "by": entry.by}
    return {**fields, "issuer": issuer, **{name: text for name, text in more.items() if text}}


def read(fields: Mapping[str, str], issuer: str, now: float) -> Revocation:
    """What stands in the stream of *issuer*; raises :class:`Unreadable`. A T that lies too far ahead of *now* (seconds
    since the epoch) counts as if it lay as far as it may."""
    kind, value, org = fields.get("kind", ""), fields.get("of", ""), fields.get("org", "")
    name = fields.get("id", "")
    if kind not in _KIND or fields.get("issuer") != issuer or not name:
        raise Unreadable("an unknown kind, another issuer, or no id")
    if (not value) != (kind in _WITHOUT_VALUE) or (not org) != (kind != "member"):
        raise Unreadable("it does not say whom it is about")
    if max(map(len, (value, org, name))) > MAX_TEXT or len(name.split()) != 1:
        raise Unreadable("a text without end, or an id of several words")
    reason, by = fields.get("reason", "")[:MAX_REASON], next(iter(fields.get("by", "").split()), "")[:MAX_WORD]
    before = _time(fields.get("before", ""), now)
    return Revocation(_KIND[kind], alike(value), before, name, org, reason, sys.intern(by))


def _time(text: str, now: float) -> float:
    try:
        before = float(text)
    except ValueError:
        raise Unreadable("T is no number") from None
    if not 0 <= before < math.inf:  # and not NaN
        raise Unreadable("T is no time")
    return min(before, now + AHEAD)
