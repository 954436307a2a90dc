"""Hostile JSON, truly signed: what two parsers read in two ways, and what costs or crashes one of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

from .cases import Hostile, invalid
from .forge import Forge, dumped

ONCE = "RFC 7519 §4, RFC 7515 §4, RFC 8259 §4: every member once, or two readers see two tokens"
NUMBERS = "RFC 8259 §6, RFC 7519 §2: no NaN, no Infinity, nothing beyond a double; Python's limit on digits"
DEEP = "RFC 8259 §9; CVE-2025-53864, PyJWT GHSA-8wjv-2p76-3863: nesting has a limit, and no recursion reaches it"
UTF8 = "RFC 8725 §3.7, RFC 8259 §8.1: UTF-8 and nothing else, without a byte order mark"
HALF = "RFC 8259 §8.2, RFC 8725 §3.7: half a character is no character, and crashes whoever writes it out"
GRAMMAR = "RFC 7519 §7.2 step 10, RFC 8259 §2: a completely valid JSON object, and nothing else"

_OTHERS = {
    "aud": "https://other.example",
    "iss": "https://other.example",
    "exp": 1,
    "azp": "x",
    "gty": "x",
    "scope": "x",
    "scp": ["x"],
}
_HEADER_OTHERS = {"alg": '"alg":"none"', "kid": '"kid":"x"', "typ": '"typ":"x"', "an unknown one": '"a":1,"a":2'}
_NUMBERS = {
    "NaN": "NaN",
    "Infinity": "Infinity",
    "-Infinity": "-Infinity",
    "1e400": "1e400",
    "-1e400": "-1e400",
    "5,000 digits": "9" * 5_000,
    "-5,000 digits": "-" + "9" * 5_000,
}
_ENCODINGS = ("utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be")
_BAD_UTF8 = {
    "Latin-1": b'"a":"caf\xe9"',
    "an overlong slash": b'"a":"\xc0\xaf"',
    "a surrogate in UTF-8": b'"a":"\xed\xa0\x80"',
    "a character cut short": b'"a":"\xe2\x82"',
    "a character beyond Unicode": b'"a":"\xf5\x80\x80\x80"',
    "a stray continuation byte": b'"a":"\x80"',
}
_HALVES = {
    "the first half of a character": r'"a":"\ud83d"',
    "the second half of a character": r'"a":"\ude00"',
    "two halves in the wrong order": r'"a":"\ude00\ud83d"',
    "half a character in a name": r'"\ud83d":1',
    "half a character deep down": r'"a":[{"b":["\uD83D x"]}]',
}
_NOT_OBJECTS = ("[]", '"text"', "1", "null", "true", "", "  ")
_WRAPPED: dict[str, Callable[[bytes], bytes]] = {
    "in a list": lambda text: b"[" + text + b"]",
    "in a text": lambda text: json.dumps(text.decode()).encode(),
    "twice": lambda text: text + text,
    "and a comma": lambda text: text + b",",
    "and a word": lambda text: text + b"x",
    "and NUL": lambda text: text + b"\0",
    "and a brace": lambda text: text + b"}",
    "cut short": lambda text: text[:-1],
    "with a comma at the end": lambda text: text[:-1] + b",}",
}
_NOT_JSON = {
    "a comment": '/**/"a":1',
    "single quotes": "'a':1",
    "a name without quotes": "a:1",
    "a leading zero": '"a":01',
    "a plus sign": '"a":+1',
    "a bare decimal point": '"a":.5',
    "a hexadecimal number": '"a":0x10',
    "Python's True": '"a":True',
    "a line break in a text": '"a":"\n"',
    "a tab in a text": '"a":"\t"',
    "NUL in a text": '"a":"\0"',
    "an unknown escape": r'"a":"\x41"',
    "an escape cut short": r'"a":"\u12"',
    "a no-break space for a space": '\u00a0"a":1',
    "a form feed for a space": '\f"a":1',
}


def cases(forge: Forge) -> Iterator[Hostile]:
    """Every one is signed by the issuer's key, byte for byte as it stands."""
    yield from _twice(forge)
    yield from _numbers(forge)
    yield from _deep(forge)
    yield from _characters(forge)
    for part, make, good in _both(forge):
        texts = {f"are {text!r}": text.encode() for text in _NOT_OBJECTS}
        texts |= {name: wrap(good) for name, wrap in _WRAPPED.items()}
        yield from forge.each(part, texts, make, "malformed", GRAMMAR)
    yield from forge.each("claims with", _NOT_JSON, forge.with_text, "malformed", GRAMMAR)


def _both(forge: Forge) -> Iterator[tuple[str, Callable[[bytes], str], bytes]]:
    """Claims and header: what they are called, how to make a token of their bytes, and the good bytes."""
    yield "claims", forge.token, dumped(forge.m2m)
    yield "header's members", lambda text: forge.token(header=text), forge.header


def _twice(forge: Forge) -> Iterator[Hostile]:
    firsts = {name: f'"{name}":{json.dumps(value)}' for name, value in _OTHERS.items()}
    lasts = {name: dumped(forge.m2m)[:-1] + f",{text}}}".encode() for name, text in firsts.items()}
    yield from forge.each("twice, the good one last:", firsts, forge.with_text, "malformed", ONCE)
    yield from forge.each("twice, the good one first:", lasts, forge.token, "malformed", ONCE)
    escaped = forge.with_text(r'"\u0061ud":"https://other.example"')
    yield invalid("twice, one of them escaped: aud", escaped, "malformed", ONCE)
    yield invalid("twice, within a claim", forge.with_text('"a":{"b":1,"b":2}'), "malformed", ONCE)
    yield from forge.each("twice in the header:", _HEADER_OTHERS, forge.with_header_text, "malformed", ONCE)
    last = forge.token(header=forge.header[:-1] + b',"alg":"none"}')
    yield invalid("twice in the header: alg, none last", last, "malformed", ONCE)
    same = forge.with_header_text(f'"kid":{json.dumps(forge.kid)}')
    yield invalid("twice in the header: kid, both good", same, "malformed", ONCE)


def _numbers(forge: Forge) -> Iterator[Hostile]:
    undated = dumped({name: claim for name, claim in forge.m2m.items() if name != "exp"})[1:]
    dates = {name: f'{{"exp":{number},'.encode() + undated for name, number in _NUMBERS.items()}
    yield from forge.each("exp is", dates, forge.token, "malformed", NUMBERS)
    within = {name: f'"a":[{number}]' for name, number in _NUMBERS.items()}
    yield from forge.each("within a claim:", within, forge.with_text, "malformed", NUMBERS)
    yield from forge.each("within the header:", within, forge.with_header_text, "malformed", NUMBERS)


def _deep(forge: Forge) -> Iterator[Hostile]:
    for depth in (32, 100, 1_000, 4_000):
        text = '"a":' + "[" * depth + "]" * depth
        yield invalid(f"claims: lists {depth} deep", forge.with_text(text), "malformed", DEEP)
        yield invalid(f"header: lists {depth} deep", forge.with_header_text(text), "malformed", DEEP)
    for depth in (32, 1_300):
        text = '"a":' + '{"a":' * depth + "1" + "}" * depth
        yield invalid(f"claims: objects {depth} deep", forge.with_text(text), "malformed", DEEP)
    yield invalid("claims: 11,000 brackets, none closed", forge.token(b"[" * 11_000), "malformed", DEEP)
    yield invalid("header: 8,000 brackets, none closed", forge.token(header=b"[" * 8_000), "malformed", DEEP)


def _characters(forge: Forge) -> Iterator[Hostile]:
    for part, make, good in _both(forge):
        texts = {encoding: good.decode().encode(encoding) for encoding in _ENCODINGS}
        yield from forge.each(f"{part} in", texts, make, "malformed", UTF8)
    for part, insert in (("claims", forge.with_text), ("header", forge.with_header_text)):
        yield from forge.each(f"{part} with", _BAD_UTF8, insert, "malformed", UTF8)
        yield from forge.each(f"{part} with", _HALVES, insert, "malformed", HALF)
