"""A strict reader of compact JWS (RFC 7515 §7.1). Pure: text in, parts out; it judges form and nothing else.

Reading is strict because two readers who disagree about a token are two tokens (RFC 8725 §3.7 and §3.10): no padding,
no white space, one spelling for each byte string, UTF-8 alone, every member once.
"""

from __future__ import annotations

import binascii
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn

from .errors import InvalidToken

MAX_TOKEN = 16 * 1024
MAX_NESTING = 32

Json = dict[str, Any]

# base64url to base64; what base64 has and base64url has not becomes "!", which the strict decoder refuses.
_TO_BASE64 = bytes.maketrans(b"-_+/=", b"+/!!!")
_PADDING = (b"", b"", b"==", b"=")
# The last character of a segment 2 or 3 over a multiple of 4 has bits to spare, which must be zero (RFC 4648 §3.5).
_CANONICAL_LAST = (None, b"", b"AQgw", b"AEIMQUYcgkosw048")
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")

HINT_API_KEY = "this is a Kinde API key, not an access token: verify it with Kinde's api_keys/verify"
HINT_JWE = "this is an encrypted token (JWE, five parts): Kinde's access tokens are signed (JWS, three parts)"
HINT_JSON = "this is the JSON serialisation of a JWS: send the compact one, three parts joined by dots"
HINT_OPAQUE = "this is not a JWT: request the token with audience=…, and send the access_token of the answer"


@dataclass(frozen=True, slots=True)
class Segments:
    """The three parts of a compact JWS, still encoded, and what the signature covers."""

    header: bytes
    payload: bytes
    signature: bytes
    signing_input: bytes


def split(raw: str) -> Segments:
    """The parts of *raw*; raises :class:`InvalidToken` (``malformed``)."""
    if len(raw) > MAX_TOKEN:
        raise InvalidToken("malformed", f"the token is longer than {MAX_TOKEN} characters")
    try:
        text = raw.encode("ascii")
    except UnicodeEncodeError:
        raise InvalidToken("malformed", HINT_OPAQUE) from None
    signing_input, _, signature = text.rpartition(b".")
    header, dot, payload = signing_input.partition(b".")
    if not dot or b"." in payload:
        _refuse_shape(raw)
    return Segments(header, payload, signature, signing_input)


def decode(segment: bytes) -> bytes:
    """base64url without padding, in its one canonical spelling (RFC 7515 §2)."""
    over = len(segment) & 3
    canonical = _CANONICAL_LAST[over]
    if (canonical is not None and segment[-1:] not in canonical) or over == 1:
        raise InvalidToken("malformed", "a part of the token is not canonical base64url")
    try:
        return binascii.a2b_base64(segment.translate(_TO_BASE64) + _PADDING[over], strict_mode=True)
    except binascii.Error:
        raise InvalidToken("malformed", "a part of the token is not base64url") from None


def read_object(segment: bytes) -> Json:
    """The JSON object in *segment* (RFC 7519 §7.2): UTF-8, every member once, finite numbers, not nested too deep."""
    try:
        text = decode(segment).decode("utf-8")
        value = _parse(text)
    except (ValueError, RecursionError):  # UnicodeDecodeError and JSONDecodeError are ValueErrors
        raise InvalidToken("malformed", "a part of the token is not plain JSON in UTF-8") from None
    if type(value) is not dict:
        raise InvalidToken("malformed", "a part of the token is not a JSON object")
    # Brackets inside strings count here too: this only says when a closer look is needed.
    if text.count("{") + text.count("[") > MAX_NESTING and _depth(value) > MAX_NESTING:
        raise InvalidToken("malformed", f"a part of the token is nested deeper than {MAX_NESTING}")
    if "\\u" in text and _SURROGATE.search(text):
        _refuse_lone_surrogates(value)
    return value


def _unique(pairs: list[tuple[str, Any]]) -> Json:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member occurs twice")
    return members


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_decoder = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_no_constant)
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


def _refuse_shape(raw: str) -> NoReturn:
    if raw.startswith("k_live_"):
        raise InvalidToken("malformed", HINT_API_KEY)
    if raw.lstrip().startswith("{"):
        raise InvalidToken("malformed", HINT_JSON)
    if raw.count(".") == 4:
        raise InvalidToken("malformed", HINT_JWE)
    raise InvalidToken("malformed", HINT_OPAQUE)
