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
from typing import Any, NoReturn

from .errors import InvalidToken

MAX_TOKEN = 16 * 1024
MAX_NESTING = 32

Json = dict[str, Any]
_a2b = binascii.a2b_base64

# base64url to base64; what base64 has and base64url has not becomes "!", which the strict decoder refuses.
_TO_BASE64 = bytes.maketrans(b"-_+/=", b"+/!!!")
_PADDING = (b"", b"", b"==", b"=")
# The last character of a segment 2 or 3 over a multiple of 4 has bits to spare, which must be zero (RFC 4648 §3.5);
# 1 over is no length that base64 has.
_LAST = (frozenset(b""), frozenset(b""), frozenset(b"AQgw"), frozenset(b"AEIMQUYcgkosw048"))
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")

HINT_API_KEY = "this is a Kinde API key, not an access token: verify it with Kinde's api_keys/verify"
HINT_JWE = "this is an encrypted token (JWE, five parts): Kinde's access tokens are signed (JWS, three parts)"
HINT_JSON = "this is the JSON serialisation of a JWS: send the compact one, three parts joined by dots"
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
    """Header, payload, signature, still encoded, and the signing input; raises :class:`InvalidToken` (``malformed``).

    (Plain tuples here and in the guard: a class of one's own costs ten times as much to make, on every request.)
    """
    signing_input, _, signature = token.rpartition(b".")
    header, dot, payload = signing_input.partition(b".")
    if not dot or b"." in payload:
        _refuse_shape(token)
    return header, payload, signature, signing_input


def decode(segment: bytes) -> bytes:
    """base64url without padding, in its one canonical spelling (RFC 7515 §2)."""
    over = len(segment) & 3
    if over and segment[-1] not in _LAST[over]:
        raise InvalidToken("malformed", "a part of the token is not canonical base64url")
    try:
        return _a2b(segment.translate(_TO_BASE64) + _PADDING[over], strict_mode=True)
    except binascii.Error:
        raise InvalidToken("malformed", "a part of the token is not base64url") from None


def read_object(data: bytes) -> Json:
    """The JSON object in *data* (RFC 7519 §7.2): UTF-8, every member once, finite numbers, not nested too deep."""
    try:
        text = data.decode()
        value = _parse(text)
    except (ValueError, RecursionError):  # UnicodeDecodeError and JSONDecodeError are ValueErrors
        raise InvalidToken("malformed", "a part of the token is not plain JSON in UTF-8") from None
    if type(value) is not dict:
        raise InvalidToken("malformed", "a part of the token is not a JSON object")
    # Brackets inside strings count here too: this only says when a closer look is needed.
    if text.count("{") + text.count("[") > MAX_NESTING and _depth(value) > MAX_NESTING:
        raise InvalidToken("malformed", f"a part of the token is nested deeper than {MAX_NESTING}")
    if "\\" in text and _SURROGATE.search(text):
        _refuse_lone_surrogates(value)
    return value


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


_decoder = json.JSONDecoder(object_pairs_hook=_unique, parse_float=_finite, parse_constant=_no_constant)
_scan: Callable[[str, int], tuple[Any, int]] = _decoder.scan_once  # type: ignore[attr-defined]  # not in typeshed


def _parse(text: str) -> Any:
    try:
        value, end = _scan(text, 0)  # the C scanner itself: Kinde's tokens have no white space around the object
        if end == len(text):
            return value
    except StopIteration:
        pass
    return _decoder.decode(text)


def _depth(value: Any) -> int:
    """How deep *value* is nested, counted level by level, without recursion."""
    level, depth = [value], 0
    while level := [item for item in level if type(item) in (dict, list)]:
        depth += 1
        level = [inner for item in level for inner in (item.values() if type(item) is dict else item)]
    return depth


def _refuse_lone_surrogates(value: Json) -> None:
    """Text with half a character crashes whoever writes it out later; it is not Unicode (RFC 8259 §8.2)."""
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        raise InvalidToken("malformed", "a part of the token is not plain JSON in UTF-8") from None


def _refuse_shape(token: bytes) -> NoReturn:
    if token.startswith(b"k_live_"):
        raise InvalidToken("malformed", HINT_API_KEY)
    if token.lstrip().startswith(b"{"):
        raise InvalidToken("malformed", HINT_JSON)
    if token.count(b".") == 4:
        raise InvalidToken("malformed", HINT_JWE)
    raise InvalidToken("malformed", HINT_OPAQUE)
