"""Hostile encoding and shape: base64url that another reader takes for something else, and what is no compact JWS."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator

from .cases import Hostile, invalid, unreadable
from .forge import Forge, encoded, segment

Segments = tuple[str, str, str]

BASE64 = "RFC 7515 §2 and §5.2: base64url without padding, white space or anything else"
ONE_SPELLING = "RFC 4648 §3.5, RFC 7515 §10.12: one spelling for each value; PyJWT GHSA-hxm8-2xgr-2p9m"
ALPHABET = "RFC 6750 §2.1: not a b64token"
SHAPE = "RFC 7515 §7.1, RFC 7519 §7.2: exactly three parts, none of them absent"
ENCRYPTED = "RFC 7516 §9: five parts are a JWE; CVE-2023-51774, CVE-2023-52428, CVE-2022-36083"
COMPACT = "RFC 7519 §3, 8725bis §3.14: a JWT is always compact"
SIZE = "RFC 8725 §3.10; CVE-2025-61920, CVE-2025-30204: a size cap before any work"

_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
_STANDARD = str.maketrans("-_", "+/")
_JUNK = {
    "a tilde": "~",
    "an exclamation mark": "!",
    "a star": "*",
    "a comma": ",",
    "a space": " ",
    "a tab": "\t",
    "a line break": "\n",
    "CR LF": "\r\n",
    "NUL": "\0",
    "a no-break space": "\xa0",
    "a letter in UTF-8": "\xc3\xa9",
}


def cases(forge: Forge) -> Iterator[Hostile]:
    """Tokens whose header or payload is bent. The signature is over the bent text: a lenient reader would let it in."""
    uneven = _uneven(forge)
    for position, part in enumerate(("header", "payload", "signature")):
        yield from _bent(forge, uneven, position, part)
        yield from _polluted(forge, position, part)
    for what, text in {**_miscounted(forge), **_no_tokens(forge)}.items():
        yield invalid(f"instead of a token: {what}", text, "malformed", SHAPE)
    yield from _encrypted(forge)
    yield from _other_serialisations(forge)
    yield from _large(forge)


def _uneven(forge: Forge) -> Segments:
    """A good token whose parts end in spare bits, and have characters that the standard alphabet spells otherwise."""
    odd = "\u00bf?\u00bf?\u00be>\u00be>~~~"
    headers = (segment({"alg": "RS256", "kid": forge.kid, "odd": odd + "x" * n}) for n in range(3))
    payloads = (segment({**forge.m2m, "odd": odd + "x" * n}) for n in range(3))
    header, payload = next(filter(_spare, headers)), next(filter(_spare, payloads))
    return header, payload, forge.signed(header, payload).rpartition(".")[2]


def _spare(text: str) -> int:
    """The bits that the last character has and does not use; a last group of 2 characters has 4, of 3 has 2."""
    return {2: 15, 3: 3}.get(len(text) % 4, 0)


def _rebuilt(forge: Forge, segments: Segments, position: int, text: str) -> str:
    """The token with another segment, signed anew unless that is the signature."""
    header, payload, signature = (text if i == position else old for i, old in enumerate(segments))
    return f"{header}.{payload}.{signature}" if position == 2 else forge.signed(header, payload)


def _bent(forge: Forge, uneven: Segments, position: int, part: str) -> Iterator[Hostile]:
    text = uneven[position]
    for bits in {1, _spare(text)} if _spare(text) else ():
        last = _ALPHABET[_ALPHABET.index(text[-1]) | bits]
        token = _rebuilt(forge, uneven, position, text[:-1] + last)
        yield invalid(f"spare bits {bits} at the end of the {part}", token, "malformed", ONE_SPELLING)
    token = _rebuilt(forge, uneven, position, text + "A" * ((1 - len(text)) % 4))
    yield invalid(f"{part} of a length that base64 has not", token, "malformed", BASE64)
    token = _rebuilt(forge, uneven, position, text.translate(_STANDARD))
    yield invalid(f"{part} in the standard alphabet", token, "malformed", f"RFC 4648 §5; {BASE64}")
    for what, padding in {"padding": "=" * (-len(text) % 4) or "=", "too much padding": "====", "%3D": "%3D"}.items():
        token = _rebuilt(forge, uneven, position, text + padding)
        name = f"{what} behind the {part}"
        if position == 2 and "%" not in padding:
            yield invalid(name, token, "malformed", BASE64)
        else:
            yield unreadable(name, f"Bearer {token}", f"{BASE64}; {ALPHABET}")


def _polluted(forge: Forge, position: int, part: str) -> Iterator[Hostile]:
    """Python's lenient decoder drops what is not in the alphabet."""
    text = forge.parts[position]
    middle = len(text) // 2
    for what, junk in _JUNK.items():
        token = _rebuilt(forge, forge.parts, position, text[:middle] + junk + text[middle:])
        name = f"{what} in the {part}"
        if junk == "~":
            yield invalid(name, token, "malformed", BASE64)
        else:
            yield unreadable(name, f"Bearer {token}", f"{BASE64}; {ALPHABET}")


def _miscounted(forge: Forge) -> dict[str, str]:
    header, payload, signature = forge.parts
    return {
        "one part": header,
        "two parts": f"{header}.{payload}",
        "four parts, the last empty": f"{forge.good}.",
        "four parts, the first empty": f".{forge.good}",
        "four parts": f"{forge.good}.{signature}",
        "six parts": f"{forge.good}.{forge.good}",
        "a dot too many in the middle": f"{header}..{payload}.{signature}",
        "one dot": ".",
        "two dots": "..",
        "four dots": "....",
        "5,000 dots": "." * 5_000,
        "no header": f".{payload}.{signature}",
        "no header, signed so": forge.signed("", payload),
        "no payload": f"{header}..{signature}",
        "no payload, signed so": forge.signed(header, ""),
        "the signature first": f"{signature}.{header}.{payload}",
        "its parts joined by ~": forge.good.replace(".", "~"),
        "an SD-JWT": f"{forge.good}~{encoded(b'[1,2,3]')}~",
    }


def _no_tokens(forge: Forge) -> dict[str, str]:
    whole = forge.good.encode()
    return {
        "base64url of the whole": encoded(whole),
        "hexadecimal": whole.hex(),
        "its hash": hashlib.sha256(whole).hexdigest(),
        "one character": "A",
        "an opaque token": "2YotnFZFEjr1zCsicMWpAA",
        "a Kinde API key": "k_live_0123456789abcdef0123456789abcdef",
        "the word null": "null",
        "the word undefined": "undefined",
    }


def _encrypted(forge: Forge) -> Iterator[Hostile]:
    """Whoever opens one of these works for the attacker: PBES2 hashes p2c times, zip unpacks without a bound."""
    headers: dict[str, dict[str, object]] = {
        "RSA-OAEP": {"alg": "RSA-OAEP", "enc": "A256GCM", "kid": forge.kid},
        "dir": {"alg": "dir", "enc": "A256GCM", "kid": forge.kid},
        "PBES2, p2c 2^31": {"alg": "PBES2-HS256+A128KW", "enc": "A128GCM", "p2c": 2_147_483_647, "p2s": "c2FsdA"},
        "zip": {"alg": "RSA-OAEP", "enc": "A256GCM", "zip": "DEF", "kid": forge.kid},
        "alg RS256": {"alg": "RS256", "kid": forge.kid, "typ": "JWT"},
    }
    key, vector, tag = encoded(b"k" * 256), encoded(b"i" * 12), encoded(b"t" * 16)
    for name, header in headers.items():
        token = f"{segment(header)}.{key}.{vector}.{forge.parts[1]}.{tag}"
        yield invalid(f"JWE, {name}", token, "malformed", ENCRYPTED)


def _other_serialisations(forge: Forge) -> Iterator[Hostile]:
    header, payload, signature = forge.parts
    flattened = {"protected": header, "payload": payload, "signature": signature}
    general = {"payload": payload, "signatures": [{"protected": header, "signature": signature}]}
    for name, value in (("flattened", flattened), ("general", general)):
        text = json.dumps(value)
        yield unreadable(f"JSON serialisation, {name}", f"Bearer {text}", f"{COMPACT}; {ALPHABET}")
        yield invalid(f"JSON serialisation, {name}, in base64url", encoded(text.encode()), "malformed", COMPACT)


def _large(forge: Forge) -> Iterator[Hostile]:
    for size in (17_000, 40_000):
        token = forge.token({"pad": "x" * (size * 3 // 4)})
        yield invalid(f"{size:,} characters, truly signed", token, "malformed", SIZE)
    yield invalid("16,000 characters of header", forge.token(header={"pad": "x" * 12_000}), "malformed", SIZE)
    yield invalid("30,000 characters without a dot", "A" * 30_000, "malformed", SIZE)
