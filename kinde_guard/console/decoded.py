"""What is in a token, for people: decoded and not verified."""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass

from markupsafe import Markup

from ..errors import InvalidToken
from ..tokens import jws

_MEMBER = re.compile(r'^( +)("(?:[^"\\]|\\.)*")(: )', re.M)
_DATE = re.compile(r"(?m)^ {2}<b>&#34;(?:exp|iat|nbf|auth_time)&#34;</b>: (\d{1,11})\b")
_BREAK = re.compile(r",\n\s+")
_PLAIN_LISTS = re.compile(r"\[\n *+([^\[\]{}]*+)\]")  # possessive, since texts of strangers are read


@dataclass(frozen=True, slots=True)
class Decoded:
    """A token's parts as JSON; empty where one cannot be read."""

    header: Markup
    payload: Markup
    subject: object = None
    """What it says of whom it is for."""


def decoded(raw: str) -> Decoded:
    """What the guard's own strict reader makes of *raw*, part by part."""
    try:
        header, payload, _, _ = jws.split(jws.to_bytes(raw))
    except InvalidToken:
        return Decoded(Markup(), Markup())
    claims = _object(payload)
    return Decoded(_shown(_object(header)), _with_dates(_shown(claims)), (claims or {}).get("sub"))


def pretty(value: object, *, width: int = 0) -> Markup:
    """*value* as JSON, in one line if that is no longer than *width*; the names of members are marked."""
    text = json.dumps(value, ensure_ascii=False)
    if len(text) <= width:
        return Markup.escape(text)
    text = json.dumps(value, indent=2, ensure_ascii=False)
    text = _PLAIN_LISTS.sub(lambda found: "[" + _BREAK.sub(", ", found[1].rstrip()) + "]", text)
    parts, end = [], 0
    for found in _MEMBER.finditer(text):
        parts += [Markup.escape(text[end : found.start()] + found[1]), Markup("<b>{}</b>").format(found[2]), found[3]]
        end = found.end()
    return Markup().join([*parts, Markup.escape(text[end:])])


def _with_dates(payload: Markup) -> Markup:
    """*payload* with its dates in words, too. They stand in an element of their own, and are no part of the JSON."""
    return Markup(_DATE.sub(lambda found: f"{found[0]}{_date(int(found[1]))}", payload))  # noqa: S704 (escaped before)


def _date(seconds: int) -> Markup:
    at = time.gmtime(seconds)
    day, clock = time.strftime("%Y-%m-%d", at), time.strftime("%H:%M:%S", at)
    return Markup(' <time datetime="{0}T{1}Z">{0} {1} UTC</time>').format(day, clock)


def _object(segment: bytes) -> jws.Json | None:
    try:
        return jws.read_object(jws.decode(segment))
    except InvalidToken:
        return None


def _shown(part: jws.Json | None) -> Markup:
    return Markup() if part is None else pretty(part)
