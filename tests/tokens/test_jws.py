"""The strict reader: two readers who disagree about a token are two tokens (RFC 8725 §3.7)."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from helpers import HEADER, USER, Issuer, b64, guard_of, mint, reason_of, rsa_key, sign
from hypothesis import given, settings
from hypothesis import strategies as st

from kinde_guard import Guard, InvalidToken
from kinde_guard.tokens import jws

GOOD_HEADER, GOOD_PAYLOAD = json.dumps(HEADER), json.dumps(USER)
LIMIT = 16 * 1024


@pytest.fixture(scope="module")
def guard() -> Guard:
    """A guard that holds its issuer's key, so that whatever is refused is refused for its form."""
    guard = guard_of(Issuer())
    guard.warm()
    return guard


def hint_of(guard: Guard, raw: str) -> str:
    with pytest.raises(InvalidToken) as caught:
        guard.verify(raw)
    assert caught.value.reason == "malformed"
    return caught.value.hint


@pytest.mark.parametrize(("raw", "word"), [
    pytest.param("", "not a JWT", id="nothing"),
    pytest.param("opaque", "not a JWT", id="one part"),
    pytest.param("a.b", "not a JWT", id="two parts"),
    pytest.param(mint() + ".", "not a JWT", id="four parts"),
    pytest.param("." + mint(), "not a JWT", id="four parts, the first empty"),
    pytest.param("." * 5000, "not a JWT", id="thousands of dots"),
    pytest.param("a.b.c.d.e", "JWE", id="five parts"),
    pytest.param("eyJhbGciOiJSU0EtT0FFUCJ9....", "JWE", id="five parts, most of them empty"),
    pytest.param('{"payload":"","signatures":[]}', "JSON serialisation", id="JSON serialisation"),
    pytest.param(' \n{"payload":""}', "JSON serialisation", id="JSON serialisation, indented"),
    pytest.param("k_live_4f1c9a", "API key", id="a Kinde API key"),
    pytest.param("tökén", "not a JWT", id="not ASCII"),
    pytest.param(mint().replace("e", "\uff45", 1), "not a JWT", id="a wide letter that folds to an ASCII one"),
    pytest.param("\ud800", "not a JWT", id="half a character"),
    pytest.param("\x00.\x00.\x00", "base64url", id="NUL"),
    pytest.param("..", "JSON", id="three empty parts"),
    pytest.param("a" * (LIMIT + 1), "longer than 16384", id="too long"),
])  # fmt: skip
def test_what_is_no_compact_jws_is_told_apart_by_its_hint(guard: Guard, raw: str, word: str) -> None:
    assert word in hint_of(guard, raw)


@pytest.mark.parametrize("scheme", ["Bearer ", "bearer ", "Bearer  "])
def test_a_whole_header_is_told_apart(guard: Guard, scheme: str) -> None:
    assert "hand over that part alone" in hint_of(guard, scheme + mint())


def test_a_token_may_be_16_kib_long_and_no_longer(guard: Guard) -> None:
    """Padded inside a claim, so that it is signed and right in every other respect."""
    room = LIMIT - len(mint({"pad": ""}))
    longest = next(raw for n in range(room * 3 // 4, 0, -1) if len(raw := mint({"pad": "x" * n})) <= LIMIT)
    assert len(longest) >= LIMIT - 2
    assert reason_of(guard, longest) == "accepted"
    assert "longer" in hint_of(guard, mint({"pad": "x" * (room * 3 // 4 + 2)}))


def respelt(part: int, change: Any) -> str:
    """A good token, one part of which *change* spells otherwise, signed as it then stands where it can be."""
    parts = mint().split(".")
    parts[part] = change(parts[part])
    return ".".join(parts)


def standard(text: str) -> str:
    """In base64 instead of base64url, if that makes a difference."""
    return text.replace("-", "+").replace("_", "/")


def loose_bits(text: str) -> str:
    """With a bit set that encodes nothing: the decoded bytes are the same."""
    spare = {0: 0, 2: 4, 3: 2}[len(text) % 4]
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    last = text[:-1] + alphabet[alphabet.index(text[-1]) + (1 if spare else 0)]
    assert not spare or base64.urlsafe_b64decode(last + "==") == base64.urlsafe_b64decode(text + "==")
    return last


@pytest.mark.parametrize("part", [0, 1, 2], ids=["header", "payload", "signature"])
@pytest.mark.parametrize("change", [
    pytest.param(lambda text: text + "=", id="padding"),
    pytest.param(lambda text: text + "==", id="more padding"),
    pytest.param(lambda text: text + "====", id="four of padding"),
    pytest.param(lambda text: text[:4] + "\n" + text[4:], id="a line break"),
    pytest.param(lambda text: " " + text, id="a space before"),
    pytest.param(lambda text: text + " ", id="a space behind"),
    pytest.param(lambda text: text[:4] + "!" + text[5:], id="an exclamation mark"),
    pytest.param(lambda text: text[:4] + "+" + text[5:], id="a plus"),
    pytest.param(lambda text: text[:4] + "/" + text[5:], id="a slash"),
    pytest.param(lambda text: text[:4] + "%2B" + text[5:], id="percent-encoding"),
    pytest.param(lambda text: text[:4] + "\x00" + text[5:], id="NUL inside"),
    pytest.param(lambda text: text[: len(text) // 4 * 4] + "A", id="a length that nothing encodes to"),
])  # fmt: skip
def test_base64url_has_one_spelling(guard: Guard, part: int, change: Any) -> None:
    assert hint_of(guard, respelt(part, change))


@pytest.mark.parametrize("size", range(8))
def test_base64url_is_read_as_it_was_written(size: int) -> None:
    """And with a bit set that encodes nothing, or in another alphabet, it is not read at all."""
    for data in (bytes([255]) * size, bytes([251, 239, 190, 63] * 2)[:size], bytes(size)):
        text = b64(data)
        assert jws.decode(text.encode()) == data
        other = standard(text) if standard(text) != text else loose_bits(text) if text and len(text) % 4 else None
        if other is not None:
            with pytest.raises(InvalidToken):
                jws.decode(other.encode())


def test_the_last_character_of_a_signature_is_canonical(guard: Guard) -> None:
    """256 bytes leave four bits to spare in the last character: of sixteen spellings one counts."""
    head, last = mint()[:-1], mint()[-1]
    spellings = "AQgw"
    assert last in spellings
    for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_":
        expected = "accepted" if letter == last else "bad_signature" if letter in spellings else "malformed"
        assert reason_of(guard, head + letter) == expected


def deep(levels: int) -> str:
    return "[" * levels + "]" * levels


JSON = [
    pytest.param(b"", id="nothing"),
    pytest.param(b"[]", id="a list"),
    pytest.param(b'"text"', id="text"),
    pytest.param(b"1", id="a number"),
    pytest.param(b"null", id="null"),
    pytest.param(b"{} {}", id="two objects"),
    pytest.param(b"{}x", id="something behind the object"),
    pytest.param(b"{", id="cut"),
    pytest.param(b"{'a':1}", id="single quotes"),
    pytest.param(b'{"a":1,}', id="a comma at the end"),
    pytest.param(b'{"a":01}', id="a zero in front"),
    pytest.param(b'{"a":NaN}', id="NaN"),
    pytest.param(b'{"a":Infinity}', id="Infinity"),
    pytest.param(b'{"a":-Infinity}', id="minus Infinity"),
    pytest.param(b'{"a":1e400}', id="a number beyond any float"),
    pytest.param(b'{"a":[-1e400]}', id="another, inside a list"),
    pytest.param(b'{"a":' + b"9" * 5000 + b"}", id="a number of 5000 digits"),
    pytest.param(b'{"a":"\n"}', id="a line break in text"),
    pytest.param(b'{"a":"\x00"}', id="NUL in text"),
    pytest.param(b'{"a":1,"a":1}', id="a member twice"),
    pytest.param(b'{"a":1,"\\u0061":2}', id="a member twice, spelt otherwise"),
    pytest.param(b'{"a":{"b":1,"b":2}}', id="a member twice, further in"),
    pytest.param(b'{"a":[{"b":1,"b":2}]}', id="a member twice, in a list"),
    pytest.param(b'{"a":"\\ud800"}', id="half a character"),
    pytest.param(b'{"a":"\\uDfFf\\uD800"}', id="two halves the wrong way round"),
    pytest.param(b'{"\\udc00":1}', id="half a character as a name"),
    pytest.param(b'{"a":["\\ud83d"]}', id="half a character in a list"),
    pytest.param(b'\xef\xbb\xbf{"a":1}', id="a byte order mark"),
    pytest.param('{"a":1}'.encode("utf-16"), id="UTF-16"),
    pytest.param('{"a":1}'.encode("utf-16-le"), id="UTF-16 without a mark"),
    pytest.param('{"a":1}'.encode("utf-32"), id="UTF-32"),
    pytest.param(b'{"a":"\xff"}', id="not UTF-8"),
    pytest.param(b'{"a":"\xc0\xaf"}', id="UTF-8 that is longer than it need be"),
    pytest.param(b'{"a":"\xed\xa0\x80"}', id="UTF-8 of half a character"),
    pytest.param(b'{"a":' + deep(32).encode() + b"}", id="33 levels"),
    pytest.param(b'{"a":' + b'{"a":' * 40 + b"1" + b"}" * 41, id="41 levels of objects"),
    pytest.param(b"[" * 5000, id="5000 levels, cut"),
    pytest.param(b'{"a":' + deep(4000).encode() + b"}", id="4001 levels"),
]  # fmt: skip


LONGER = f'"pad":"{"long " * 500}",'.encode()


@pytest.mark.parametrize("text", JSON)
@pytest.mark.parametrize("part", ["header", "payload", "long payload"])
def test_json_is_strict(guard: Guard, part: str, text: bytes) -> None:
    """Signed by the issuer's own key and with all the members of a good token where the text has room for them."""
    if part == "long payload":
        text = text[:1] + LONGER + text[1:] if text[:1] == b"{" else text + b" " * 3_000
    members = (GOOD_HEADER if part == "header" else GOOD_PAYLOAD)[1:].encode()
    if text.startswith((b'{"a":', b"{" + LONGER)) and text.endswith(b"}"):
        text = text[:-1] + b"," + members
    raw = sign(text, GOOD_PAYLOAD) if part == "header" else sign(GOOD_HEADER, text)
    assert hint_of(guard, raw)


@pytest.mark.parametrize("text", [
    pytest.param('{"a":"\\ud83d\\ude00", ', id="both halves of a character"),
    pytest.param('{"a":"\\\\ud800", ', id="a backslash and what looks like half a character"),
    pytest.param('{"a":"\\u00e9\\n", ', id="other escapes"),
    pytest.param('{"a":"\U0001f600 é", ', id="beyond ASCII"),
    pytest.param(' \t\r\n{"a": 1 , ', id="white space"),
    pytest.param('{"a":{"x":1},"b":{"x":1}, ', id="the same name in two objects"),
    pytest.param('{"a":1,"A":2, ', id="names that differ in case"),
    pytest.param('{"a":1e300,"b":-0.5,"c":' + "9" * 400 + ", ", id="numbers"),
    pytest.param('{"a":' + deep(31) + ", ", id="32 levels"),
    pytest.param('{"a":"' + "[" * 100 + '", ', id="brackets in text"),
    pytest.param('{"a":[' + "{}," * 50 + "[]], ", id="many brackets, side by side"),
])  # fmt: skip
@pytest.mark.parametrize("long", [False, True], ids=["short", "long"])
def test_json_that_is_accepted(guard: Guard, text: str, long: bool) -> None:
    payload = text + LONGER.decode() * long + GOOD_PAYLOAD[1:] + " " * text.startswith(" ")
    assert guard.verify(sign(GOOD_HEADER, payload)).claims == json.loads(payload)


def test_json_of_another_kind_is_no_object(guard: Guard) -> None:
    """However long it is."""
    for text in ("9" * 3_000, '"' + "[" * 3_000 + '"', "[" + "1," * 1_400 + "1]", "-" + " " * 3_000, " " * 3_000):
        assert hint_of(guard, sign(GOOD_HEADER, text))


MARKS = '{"[,:1.5e9\\"'
FLAG = {"t": "b", "v": True}
USUAL = [
    pytest.param({"permissions": [f"p{number:03d}" for number in range(1_400)]}, id="1,400 permissions"),
    pytest.param({"permissions": [f"{number:03x}" for number in range(1_780)]}, id="permissions of three letters"),
    pytest.param({"feature_flags": {f"{number:02x}": FLAG for number in range(430)}}, id="430 flags"),
    pytest.param({"roles": [{"id": f"{number:05}", "key": f"{number}", "name": "R"} for number in range(250)]},
                 id="250 roles"),
    pytest.param({"ids": list(range(10_000, 11_800))}, id="1,800 numbers"),
    pytest.param({"at": [number / 8 for number in range(1, 101) if number % 8]}, id="fractions"),
    pytest.param({"text": MARKS * 700}, id="marks in text"),
    pytest.param({MARKS * 100: {MARKS * 50: MARKS * 500}}, id="marks in names"),
    pytest.param({"text": "true false null " * 600}, id="words in text"),
    pytest.param({"on": [True] * 600, "off": [False] * 600, "none": [None] * 600}, id="words"),
]  # fmt: skip


@pytest.mark.parametrize("claims", USUAL)
def test_a_token_full_of_what_kinde_sends_is_read(guard: Guard, claims: dict[str, Any]) -> None:
    """Up to 16 KiB; white space around marks counts for nothing but length."""
    for separators in ((",", ":"), (", ", ": ")):
        payload = json.dumps({**USER, **claims}, separators=separators)
        raw = sign(GOOD_HEADER, payload)
        if len(raw) <= LIMIT:
            assert guard.verify(raw).claims == {**USER, **claims}


def many(unit: str, count: int) -> str:
    return '{"pad":"' + "x" * 2_048 + '","many":[' + ",".join([unit] * count) + "]}"


@pytest.mark.parametrize(("unit", "most"), [
    ("{}", 510), ("[]", 510), ('{"":1}', 510), ("[[],[]]", 170), ("1.5", 100), ("1e9", 100), ("1E-9", 100),
    ("1.5e9", 50), ("1", 2_990), ('""', 2_990), ("true", 2_980), ('{"a":1,"b":2,"c":3,"d":4}', 300),
])  # fmt: skip
def test_what_no_token_of_kindes_holds_is_not_even_parsed(unit: str, most: int) -> None:
    """So many objects, lists, members, values or fractions that to read them would cost more than a signature check."""
    assert len(jws.read_object(many(unit, most).encode())["many"]) == most
    with pytest.raises(InvalidToken, match="malformed") as caught:
        jws.read_object(many(unit, most + 40).encode())
    assert "more objects, lists or numbers" in caught.value.hint


names = st.sampled_from(["a", "b", ":", "{", "\\\\", '\\"', "\\u0061", "e", "true", " ", ""])
scalars = st.sampled_from(['":"', '"a" ', "1", "0.5", "1e5", "true", "false", "null", '"\\\\"', '"\\\\\\""', '"{[,"'])
spaces = st.sampled_from(["", "", " ", "\n", "\t "])


def members_of(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    member = st.tuples(spaces, names, spaces, inner).map(lambda part: f'{part[0]}"{part[1]}"{part[2]}:{part[3]}')
    return st.lists(member, max_size=3).map(lambda members: "{" + ",".join(members) + "}")


texts = st.recursive(
    scalars, lambda inner: members_of(inner) | st.lists(inner, max_size=3).map(lambda items: f"[{','.join(items)}]")
)


def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) != len(pairs):
        raise ValueError
    return dict(pairs)


@settings(max_examples=500, deadline=None)
@given(members_of(texts))
def test_long_and_short_texts_are_read_alike(text: str) -> None:
    """And as Python's own parser reads them, every member once."""
    long = text + " " * jws.LONG
    try:
        expected = json.loads(text, object_pairs_hook=unique)
    except ValueError:
        for each in (text, long):
            with pytest.raises(InvalidToken):
                jws.read_object(each.encode())
    else:
        assert jws.read_object(text.encode()) == jws.read_object(long.encode()) == expected


def test_nesting_is_measured_wherever_it_is(guard: Guard) -> None:
    """Behind something wide, in an object as in a list."""
    for inner in (deep(33), '{"b":' * 32 + "{}" + "}" * 32):
        assert reason_of(guard, sign(GOOD_HEADER, '{"a":[1,[],"x",' + inner + "]," + GOOD_PAYLOAD[1:])) == "malformed"


def test_a_detached_payload_is_no_token(guard: Guard) -> None:
    """RFC 7515 appendix F."""
    header, _, signature = mint().split(".")
    assert reason_of(guard, f"{header}..{signature}") == "malformed"


@settings(max_examples=300, deadline=None)
@given(
    st.text(max_size=60) | st.text("AQgwab-_.", max_size=60) | st.text(st.characters(max_codepoint=255), max_size=60)
)
def test_whatever_text_comes_it_is_malformed(guard: Guard, raw: str) -> None:
    """Never another exception: a token of 60 characters cannot be one."""
    assert reason_of(guard, raw) in ("malformed", "unsupported_algorithm")


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_whatever_bytes_are_signed_they_are_read_or_malformed(guard: Guard, data: bytes) -> None:
    assert reason_of(guard, sign(GOOD_HEADER, data)) in ("malformed", "wrong_token_type")
    assert reason_of(guard, sign(data, GOOD_PAYLOAD)) in ("malformed", "unsupported_algorithm")


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=40))
def test_base64url_is_read_back(data: bytes) -> None:
    assert jws.decode(b64(data).encode()) == data


@settings(max_examples=500, deadline=None)
@given(st.text("ABQgwz09-_+/= \n", max_size=12))
def test_base64url_is_read_in_one_spelling_only(text: str) -> None:
    """What is read is written back as the very same text."""
    try:
        data = jws.decode(text.encode())
    except InvalidToken:
        return
    assert b64(data) == text


def test_a_remembered_token_is_remembered_whole(guard: Guard) -> None:
    """After a token was accepted, its neighbours are still strangers."""
    raw = mint({"jti": "remembered"})
    assert reason_of(guard, raw) == "accepted"
    for other in (raw + "=", raw + " ", " " + raw, raw[:-1], raw + "."):
        assert reason_of(guard, other) == "malformed"
    assert reason_of(guard, mint({"jti": "remembered"}, key=rsa_key("a stranger's"))) == "bad_signature"
