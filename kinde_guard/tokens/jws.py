"""A strict reader of compact JWS (RFC 7515 §7.1). Pure: text in, parts out; it judges form and nothing else.

Reading is strict because two readers who disagree about a token are two tokens (RFC 8725 §3.7 and §3.10): no padding,
no white space, one spelling for each byte string, UTF-8 alone, every member once.
"""

from __future__ import annotations

import binascii
import json
import math
import re
from collections.abc import Callable
from typing import Any, NamedTuple, NoReturn

from ..errors import InvalidToken

MAX_TOKEN = 16 * 1024
MAX_NESTING = 32
# What a long text may hold, so that no token costs ten times what a usual one costs before its signature is looked at.
# 16 KiB have no room for more feature flags with names of two letters, or permissions with names of three; and Kinde
# sends no fractions.
LONG = 2 * 1024  # characters: in fewer there is no room for much
MAX_CONTAINERS = 512  # objects and lists
MAX_MARKS = 3_000  # commas, colons, and the brackets that open them
MAX_FRACTIONS = 100

Json = dict[str, Any]
_a2b = binascii.a2b_base64

# base64url to base64; what base64 has and base64url has not becomes "!", which the strict decoder refuses.
_TO_BASE64 = bytes.maketrans(b"-_+/=", b"+/!!!")
_PADDING = (b"", b"", b"==", b"=")
# The last character of a segment 2 or 3 over a multiple of 4 has bits to spare, which must be zero (RFC 4648 §3.5);
# 1 over is no length that base64 has.
_LAST = (frozenset(b""), frozenset(b""), frozenset(b"AQgw"), frozenset(b"AEIMQUYcgkosw048"))
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_PAIR = re.compile(r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}")
_NO_MARKS = bytes(set(range(256)) - set(b'"{}[],:.eE'))
_WHITE_SPACE = " \t\r\n"  # RFC 8259 §2

API_KEY = (b"k_live_", b"k_test_")  # what a Kinde API key begins with
HINT_API_KEY = "this is a Kinde API key, not an access token: Guard(api_keys=ApiKeys(…)) takes those, too"
HINT_JWE = "this is an encrypted token (JWE, five parts): Kinde's access tokens are signed (JWS, three parts)"
HINT_JSON = "this is the JSON serialisation of a JWS: send the compact one, three parts joined by dots"
HINT_SCHEME = "the token is what stands behind 'Bearer ' in the header: hand over that part alone"
HINT_TOO_MANY = "a part of the token holds more objects, lists or numbers than Kinde's tokens do"
HINT_OPAQUE = "this is not a JWT: request the token with audience=…, and send the access_token of the answer"


def to_bytes(raw: str) -> bytes:
    """*raw*, if its size and alphabet are a token's; raises :class:`InvalidToken` (``malformed``)."""
    try:
        if len(raw) > MAX_TOKEN:
            raise InvalidToken("malformed", f"the token is longer than {MAX_TOKEN} characters")
        return raw.encode("ascii")
    except UnicodeEncodeError:
        raise InvalidToken("malformed", HINT_OPAQUE) from None
    except (AttributeError, TypeError):
        what = "a token is text, the part of the Authorization header after 'Bearer '"
        raise TypeError(f"{what}, not {type(raw).__name__}") from None


def split(token: bytes) -> tuple[bytes, bytes, bytes, bytes]:
    """Header, payload and signature, still encoded, and the signing input; raises :class:`InvalidToken` (malformed)."""
    signing_input, _, signature = token.rpartition(b".")
    header, dot, payload = signing_input.partition(b".")
    if not dot or b"." in payload:
        _refuse_shape(token)
    return header, payload, signature, signing_input


def decode(segment: bytes) -> bytes:
    """base64url without padding, in its one canonical spelling (RFC 7515 §2)."""
    over = len(segment) & 3
    if over and segment[-1] not in _LAST[over]:
        _refuse_segment(segment, "a part of the token is not canonical base64url")
    try:
        return _a2b(segment.translate(_TO_BASE64) + _PADDING[over], strict_mode=True)
    except binascii.Error:
        _refuse_segment(segment, "a part of the token is not base64url")


def read_object(data: bytes, room: int = 1) -> Json:
    """The JSON object in *data* (RFC 7519 §7.2): UTF-8, every member once, finite numbers, not nested too deep.

    *room*: how many times as much may be in it as in a token.
    """
    try:
        text = data.decode()
        if len(text) > LONG:
            value = _read_long(text, data, room)
        else:
            value = _parse(_scan, text)
            # Brackets inside strings count here too: this only says when a closer look is needed.
            containers = text.count("{") + text.count("[")
            if containers > MAX_NESTING:
                _check_depth(_measured(value, containers).depth)
    except (ValueError, RecursionError):  # UnicodeDecodeError and JSONDecodeError are ValueErrors
        raise InvalidToken("malformed", "a part of the token is not plain JSON in UTF-8") from None
    if type(value) is not dict:
        raise InvalidToken("malformed", "a part of the token is not a JSON object")
    if "\\" in text and _SURROGATE.search(text):
        _refuse_lone_surrogates(text)
    return value


def _refuse_segment(segment: bytes, hint: str) -> NoReturn:
    raise InvalidToken("malformed", HINT_SCHEME if segment[:7].lower() == b"bearer " else hint) from None


def _read_long(text: str, data: bytes, room: int) -> Any:
    """Read it without a look at each object when it is made, as there may be hundreds: that no member occurs twice is
    seen from how many names were written, and how many members there are."""
    marks = _marks_of(data)
    containers, names = marks.count(b"{") + marks.count(b"["), marks.count(b":")
    fractions = marks.count(b".") + marks.count(b"e") + marks.count(b"E")
    too_many = containers > room * MAX_CONTAINERS or containers + names + marks.count(b",") > room * MAX_MARKS
    if too_many or fractions > room * MAX_FRACTIONS:
        raise InvalidToken("malformed", HINT_TOO_MANY)
    value = _parse(_scan_many, text)
    measured = _measured(value, containers)
    if measured.members != names:
        raise ValueError("a member occurs twice")
    _check_depth(measured.depth)
    return value


def _marks_of(data: bytes) -> bytes:
    """The marks that JSON is made of, and those of fractions (``.``, ``e``), as far as they stand outside of strings.

    All at C speed. What is no JSON comes out as something or other: the parser refuses it.
    """
    if b"\\" in data:  # a quote behind a backslash ends no string
        data = data.replace(b"\\\\", b"").replace(b'\\"', b"")
    data = data.replace(b"true", b"").replace(b"false", b"")  # the others outside of strings that have an e
    data = data.translate(None, _NO_MARKS).replace(b'""', b"")  # strings without marks in them are gone
    return b"".join(data.split(b'"')[::2])


def _unique(pairs: list[tuple[str, Any]]) -> Json:
    members = {}
    for name, value in pairs:  # quicker than dict(pairs), which first looks what each pair is
        members[name] = value
    if len(members) != len(pairs):
        raise ValueError("a member occurs twice")
    return members


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError("1e400 is JSON, but no number that could be handed on as JSON")
    return number


Scan = Callable[[str, int], tuple[Any, int]]
# The C scanner itself: a decoder would look for white space around the object, which Kinde's tokens do not have.
_scan: Scan = json.JSONDecoder(  # type: ignore[attr-defined]  # not in typeshed
    object_pairs_hook=_unique, parse_float=_finite, parse_constant=_no_constant
).scan_once
_scan_many: Scan = json.JSONDecoder(  # type: ignore[attr-defined]
    parse_float=_finite, parse_constant=_no_constant
).scan_once


def _parse(scan: Scan, text: str) -> Any:
    try:
        value, end = scan(text, 0)
    except StopIteration:
        return _parse_behind_white_space(scan, text)
    if end != len(text) and text[end:].strip(_WHITE_SPACE):
        raise ValueError("something stands behind the object")
    return value


def _parse_behind_white_space(scan: Scan, text: str) -> Any:
    rest = text.lstrip(_WHITE_SPACE)
    if rest == text or not rest:
        raise ValueError("this is no JSON")
    return _parse(scan, rest)


class _Measured(NamedTuple):
    members: int
    """Of all objects together."""
    depth: int


def _measured(value: Any, containers: int) -> _Measured:
    """Level by level, without recursion, until *containers* (objects and lists) have been seen, or none are left."""
    level: list[Any] = [value] if type(value) is dict else []
    members = depth = seen = 0
    while level:
        depth += 1
        seen += len(level)
        members += sum([len(item) for item in level if type(item) is dict])
        if seen == containers:
            break
        level = [
            inner
            for item in level
            for inner in (item.values() if type(item) is dict else item)
            if type(inner) is dict or type(inner) is list
        ]
    return _Measured(members, depth)


def _check_depth(depth: int) -> None:
    if depth > MAX_NESTING:
        raise InvalidToken("malformed", f"a part of the token is nested deeper than {MAX_NESTING}")


def _refuse_lone_surrogates(text: str) -> None:
    """Text with half a character crashes whoever writes it out later; it is not Unicode (RFC 8259 §8.2)."""
    if _SURROGATE.search(_PAIR.sub("", text.replace("\\\\", "  "))):
        raise InvalidToken("malformed", "a part of the token is not plain JSON in UTF-8")


def _refuse_shape(token: bytes) -> NoReturn:
    if token.startswith(API_KEY):
        raise InvalidToken("malformed", HINT_API_KEY)
    if token.lstrip().startswith(b"{"):
        raise InvalidToken("malformed", HINT_JSON)
    if token.count(b".") == 4:
        raise InvalidToken("malformed", HINT_JWE)
    raise InvalidToken("malformed", HINT_OPAQUE)
