"""Reading a JWK Set: one odd key never spoils the others, and none is used for what it is not for (RFC 7517)."""

from __future__ import annotations

import base64
import functools
import hashlib
import itertools
import json
import time
import warnings
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa, utils
from cryptography.hazmat.primitives.hashes import SHA256, SHA384
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from helpers import ABSENT, KID, Issuer, b64, b64_int, guard_of, jwk, key_set, mint, reason_of, rsa_key
from hypothesis import given, settings
from hypothesis import strategies as st
from jwt.algorithms import RSAAlgorithm

from kinde_guard.keys.jwk import Key, KeysRead, UnusableKeySet, read_jwk_set
from kinde_guard.keys.key_set import KeySet, changes_between, life_of
from kinde_guard.settings import ASYMMETRIC

RSA = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"})
Json = dict[str, Any]


def read(*keys: object, algorithms: tuple[str, ...] = ("RS256",), known: Any = None) -> KeysRead:
    return read_jwk_set(key_set(*keys), algorithms, known or {})


@functools.cache
def curve_key(curve: ec.EllipticCurve) -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(curve)


P256, P384, P521, K1 = ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1(), ec.SECP256K1()


def ec_jwk(curve: ec.EllipticCurve = P256, crv: str = "P-256", **changes: Any) -> Json:
    numbers = curve_key(curve).public_key().public_numbers()
    size = (curve.key_size + 7) // 8
    x, y = (b64(number.to_bytes(size, "big")) for number in (numbers.x, numbers.y))
    return {"kty": "EC", "kid": KID, "crv": crv, "x": x, "y": y, **changes}


@functools.cache
def ed_key() -> ed25519.Ed25519PrivateKey:
    return ed25519.Ed25519PrivateKey.generate()


def ed_jwk(**changes: Any) -> Json:
    x = b64(ed_key().public_key().public_bytes(Encoding.Raw, PublicFormat.Raw))
    return {"kty": "OKP", "kid": KID, "crv": "Ed25519", "x": x, **changes}


def rsa_jwk(bits: int, e: int = 65537) -> Json:
    """Of a number that looks like a modulus of that many bits."""
    return jwk({"kid": "odd", "n": b64_int((1 << bits - 1) | (1 << bits // 2) | 1), "e": b64_int(e)})


def odd(**changes: Any) -> Json:
    return jwk({"kid": "odd", **changes})


NO_OBJECTS: list[object] = [None, 1, "key", [], [{}]]
NO_NUMBERS: list[object] = [ABSENT, None, "", 1, ["AQAB"], {}, "A"]
SKIPPED = [
    *(pytest.param(value, "not a JSON object", id=f"{value!r}") for value in NO_OBJECTS),
    *(pytest.param(odd(kid=kid), "kid", id=f"kid {kid!r:.20}") for kid in (ABSENT, None, "", 1, ["odd"], "k" * 257)),
    *(pytest.param(odd(kty=kty), "kty is unknown", id=f"kty {kty!r}")
      for kty in (ABSENT, None, "", "rsa", "AKP", 1, ["RSA"])),
    pytest.param({"kty": "oct", "kid": "odd", "k": "AAAA", "alg": "HS256"}, "shared secret", id="a shared secret"),
    *(pytest.param(odd(**{name: "AAAA"}), "private part", id=f"private member {name}")
      for name in ("d", "p", "q", "dp", "dq", "qi", "oth", "k")),
    *(pytest.param(odd(use=use), "use is not sig", id=f"use {use!r}") for use in ("enc", "", "SIG", None, ["sig"], 1)),
    *(pytest.param(odd(key_ops=ops), "key_ops lack verify", id=f"key_ops {ops!r}")
      for ops in ([], ["sign"], ["encrypt"], "verify", None, {"verify": 1}, [["verify"]])),
    *(pytest.param(odd(alg=alg), "alg does not go with", id=f"alg {alg!r}")
      for alg in ("HS256", "none", "RSA-OAEP", "ES256", "EdDSA", "rs256", "", None, 1, ["RS256"])),
    *(pytest.param(odd(alg=alg), "not accepted", id=f"alg {alg!r}") for alg in ("PS256", "RS512")),
    pytest.param(ec_jwk(kid="odd", alg="ES256"), "not accepted", id="a key of another type than is accepted"),
    *(pytest.param(odd(**{name: value}), "cannot be read", id=f"{name} {value!r:.20}")
      for name in ("n", "e") for value in NO_NUMBERS),
    *(pytest.param(rsa_jwk(2048, e), "", id=f"exponent {e:.3g}") for e in (0, 1, 2, 65536)),
    pytest.param(rsa_jwk(2048, (1 << 64) + 1), "exponent", id="an exponent of 65 bits"),
    pytest.param(rsa_jwk(512), "", id="512 bits"),
    pytest.param(rsa_jwk(1024), "1024 bits", id="1024 bits"),
    pytest.param(rsa_jwk(2047), "2047 bits", id="2047 bits"),
    pytest.param(rsa_jwk(8193), "8193 bits", id="8193 bits"),
    pytest.param(rsa_jwk(2_000_000), "", id="two million bits"),
]  # fmt: skip


@pytest.mark.parametrize(("key", "words"), SKIPPED)
def test_an_odd_key_is_skipped_and_spoils_no_other(key: Any, words: str) -> None:
    for number, keys in enumerate(((key, jwk()), (jwk(), key))):
        found = read(*keys)
        assert list(found.keys) == [(KID, "RSA")]
        assert len(found.skipped) == 1
        assert found.skipped[0].startswith(f"key {number}: ")
        assert words in found.skipped[0]


def with_pyjwt(key: Json) -> rsa.RSAPublicNumbers | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of Python 3.15, for + and /
            public = RSAAlgorithm.from_jwk(key)
    except Exception:
        return None
    return public.public_numbers() if isinstance(public, rsa.RSAPublicKey) else None


def misspelled(number: str) -> st.SearchStrategy[str]:
    """base64url of a number, and what comes near it: padding, other alphabets, white space, leading zeros, a cut."""
    odd_characters = st.text("=+/-_ \n\0.A\u00e9\ud800", max_size=3)
    return st.builds(
        lambda at, odd, cut: number[: at - cut if at > cut else 0] + odd + number[at:],
        st.one_of(st.sampled_from([0, len(number)]), st.integers(0, len(number))), odd_characters, st.integers(0, 3),
    )  # fmt: skip


@settings(max_examples=300)
@given(st.data())
def test_an_rsa_key_is_read_as_pyjwt_reads_it(data: st.DataObject) -> None:
    """Which is told by its numbers; it is not loaded for them."""
    right = jwk({"kid": "odd"})
    key = {**right, **{name: data.draw(misspelled(right[name]), name) for name in ("n", "e")}}
    ours = read(jwk(), key).keys.get(("odd", "RSA"))
    theirs = with_pyjwt(key)
    in_bounds = theirs is not None and 2048 <= theirs.n.bit_length() <= 8192 and theirs.e.bit_length() <= 64
    assert (ours and ours.public.public_numbers()) == (theirs if in_bounds else None)


LONG_NUMBER = "9" * 5_000
MEMBERS = [
    pytest.param('"n":' + LONG_NUMBER, id="a number of 5,000 digits"),
    pytest.param('"e":-' + LONG_NUMBER, id="and below zero"),
    pytest.param('"kid":' + LONG_NUMBER, id="for a kid"),
    pytest.param('"e":1' + "0" * 400_000, id="a number of 400,000 digits"),
    pytest.param('"e":0.' + LONG_NUMBER, id="5,000 places"),
    pytest.param('"e":1e' + LONG_NUMBER, id="an exponent of 5,000 digits"),
    pytest.param('"e":1e-' + LONG_NUMBER, id="and below zero, again"),
    pytest.param('"e":NaN', id="NaN"),
    pytest.param('"e":-Infinity', id="-Infinity"),
    pytest.param('"x5c":' + "[" * 100_000 + "]" * 100_000, id="nested 100,000 deep"),
    pytest.param('"oth":' + '{"a":[' * 50_000 + "1" + "]}" * 50_000, id="nested 100,000 deep, again"),
    pytest.param('"e":"\x00\x1f\n"', id="control characters"),
    pytest.param('"kid":"a\nb"', id="a kid of two lines"),
    pytest.param('"e":"\udc80\udcff"', id="bytes that are no UTF-8"),
    pytest.param('"kid":"\udcc3"', id="a kid that is no UTF-8"),
    pytest.param('"kid":"\\ud800"', id="a kid that is half a character"),
    pytest.param('"kid":"\\ude00\\ud83d"', id="a kid of two halves in the wrong order"),
    pytest.param('"n":"AQAB","n":"AQAC"', id="a member twice"),
    pytest.param('"kid":"[[[{{{\\"[[["', id="brackets in a kid"),
]


@pytest.mark.parametrize("member", MEMBERS)
def test_an_odd_member_spoils_no_other_key(member: str) -> None:
    """RFC 7517 §5. What a JSON parser would refuse the whole document for included."""
    odd_key = json.dumps(odd(alg="RS256"))[:-1].encode() + b"," + member.encode("utf-8", "surrogateescape") + b"}"
    for keys in ((odd_key, json.dumps(jwk()).encode()), (json.dumps(jwk()).encode(), odd_key)):
        found = read_jwk_set(b'{"keys":[' + b",".join(keys) + b"]}", ("RS256",), {})
        assert (KID, "RSA") in found.keys
        assert all(kid.encode() for kid, _ in found.keys)
        assert len(found.keys) + len(found.skipped) == 2


def test_a_member_that_is_not_read_may_be_nested_however_deep() -> None:
    deep = json.dumps(jwk())[:-1] + ',"mine":' + "[" * 5_000 + "]" * 5_000 + "}"
    (key,) = read_jwk_set(f'{{"keys":[{deep}]}}'.encode(), ("RS256",), {}).keys.values()
    assert key.kid == KID


def test_a_number_of_5000_digits_in_one_key_keeps_no_token_out() -> None:
    issuer = Issuer()
    odd_key = json.dumps(odd(n="N")).replace('"N"', LONG_NUMBER)
    issuer.body = f'{{"keys":[{odd_key},{json.dumps(jwk())}]}}'.encode()
    assert reason_of(guard_of(issuer), mint()) == "accepted"


@pytest.mark.parametrize(("key", "words"), SKIPPED)
def test_a_set_of_odd_keys_is_no_answer(key: Any, words: str) -> None:
    with pytest.raises(UnusableKeySet, match="no usable key") as caught:
        read(key)
    assert words in str(caught.value)


@pytest.mark.parametrize("curve", [
    pytest.param(ec_jwk(crv="P-257"), id="unknown"),
    pytest.param(ec_jwk(K1, "secp256k1"), id="secp256k1"),
    pytest.param(ec_jwk(crv="Ed25519"), id="of another type"),
    pytest.param(ed_jwk(crv="P-256"), id="of another type, the other way round"),
    pytest.param(ed_jwk(crv="X25519"), id="for key agreement"),
    pytest.param({**ec_jwk(), "crv": None}, id="null"),
    pytest.param({**ec_jwk(), "crv": ["P-256"]}, id="a list"),
    pytest.param({**ed_jwk(), "crv": ["Ed25519"]}, id="a list, again"),
    pytest.param(ec_jwk(crv="P-384"), id="not the point's"),
    pytest.param(ec_jwk(P384, "P-384", alg="ES256"), id="not the algorithm's"),
    pytest.param(ec_jwk(x=b64(bytes(32))), id="with a point beside it"),
    pytest.param(ec_jwk(d="AAAA"), id="with its private part"),
    pytest.param(ed_jwk(x="AAAA"), id="with a short point"),
    pytest.param(ed_jwk(d="AAAA"), id="with its private part, again"),
])  # fmt: skip
def test_an_odd_curve_is_skipped(curve: Json) -> None:
    assert list(read(curve, jwk({"kid": "good"}), algorithms=ASYMMETRIC).keys) == [("good", "RSA")]


def test_a_curve_for_key_agreement_is_not_even_read() -> None:
    assert read(ed_jwk(crv="X25519"), jwk(), algorithms=ASYMMETRIC).skipped == ("key 0: its crv is unknown",)


@pytest.mark.parametrize(("key", "algorithms"), [
    pytest.param(jwk(), {"RS256"}, id="as Kinde publishes it"),
    pytest.param(jwk({"alg": ABSENT}), RSA, id="RSA without alg"),
    pytest.param(jwk({"alg": "PS384"}), {"PS384"}, id="RSA with another alg"),
    pytest.param(jwk({"use": ABSENT, "key_ops": ["sign", "verify"]}), {"RS256"}, id="RSA with key_ops"),
    pytest.param(jwk({"x5c": ["?"], "x5t": 1, "nonsense": {}}), {"RS256"}, id="RSA with members that are not read"),
    pytest.param(jwk({"kid": "k" * 256}), {"RS256"}, id="RSA under the longest kid"),
    pytest.param(rsa_jwk(8192, (1 << 63) + 1), {"RS256"}, id="RSA of the most bits"),
    pytest.param(ec_jwk(), {"ES256"}, id="P-256"),
    pytest.param(ec_jwk(P384, "P-384"), {"ES384"}, id="P-384"),
    pytest.param(ec_jwk(P521, "P-521", alg="ES512", use="sig"), {"ES512"}, id="P-521"),
    pytest.param(ed_jwk(), {"EdDSA"}, id="Ed25519"),
    pytest.param(
        {"kty": "OKP", "kid": KID, "crv": "Ed448", "x": b64(
            ed448.Ed448PrivateKey.generate().public_key().public_bytes(Encoding.Raw, PublicFormat.Raw))},
        {"EdDSA"}, id="Ed448",
    ),
])  # fmt: skip
def test_a_key_verifies_what_its_members_agree_on(key: Json, algorithms: set[str]) -> None:
    (found,) = read(key, algorithms=ASYMMETRIC).keys.values()
    assert found.algorithms == algorithms
    known = KeySet({(found.kid, found.kty): found})
    assert {alg for alg in ASYMMETRIC if known.find(found.kid, alg) is not None} == algorithms
    assert known.find("another", min(algorithms)) is None


def test_a_key_without_alg_verifies_no_more_than_is_accepted() -> None:
    (found,) = read(jwk({"alg": ABSENT}), algorithms=("RS256", "ES256")).keys.values()
    assert found.algorithms == {"RS256"}


HASHES = {"RS256": "sha256", "RS384": "sha384", "RS512": "sha512"}
OTHERS = {"RS256": "RS512", "RS384": "RS256", "RS512": "RS384"}
INFO = {  # RFC 8017 §9.2, note 1
    "RS256": bytes.fromhex("3031300d060960864801650304020105000420"),
    "RS384": bytes.fromhex("3041300d060960864801650304020205000430"),
    "RS512": bytes.fromhex("3051300d060960864801650304020305000440"),
}


def encoded(
    alg: str, message: bytes, *, info: bytes | None = None, gap: bytes = b"\x00", behind: bytes = b"", kind: int = 1
) -> bytes:
    """What an RSA signature of 2048 bits over *message* has to hold (EMSA-PKCS1-v1_5), or something near it."""
    told = (INFO[alg] if info is None else info) + hashlib.new(HASHES[alg], message).digest() + behind
    return bytes((0, kind)) + b"\xff" * (256 - 2 - len(gap) - len(told)) + gap + told


def without_null(alg: str, message: bytes) -> bytes:
    """The parameters of the hash left out, as some old signers did."""
    info = INFO[alg].replace(b"\x05\x00", b"")
    info = bytes((info[0], info[1] - 2, info[2], info[3] - 2)) + info[4:]
    told = info + hashlib.new(HASHES[alg], message).digest()
    return b"\x00\x01" + b"\xff" * (256 - 3 - len(told)) + b"\x00" + told


def raised(number: bytes) -> bytes:
    """*number* to the private exponent: a signature that holds whatever one likes."""
    private = rsa_key().private_numbers()
    return pow(int.from_bytes(number, "big"), private.d, private.public_numbers.n).to_bytes(256, "big")


@pytest.mark.parametrize("alg", HASHES)
@pytest.mark.parametrize(("make", "good"), [
    pytest.param(encoded, True, id="as it has to be"),
    pytest.param(lambda alg, m: encoded(alg, m + b"!"), False, id="of another message"),
    pytest.param(without_null, False, id="without NULL"),
    pytest.param(lambda alg, m: encoded(alg, m, behind=b"\x00"), False, id="a byte behind the digest"),
    pytest.param(lambda alg, m: encoded(alg, m, behind=bytes(99)), False, id="room behind the digest (CVE-2006-4339)"),
    pytest.param(lambda alg, m: encoded(alg, m, gap=b"\x00\x00"), False, id="two zeros before it"),
    pytest.param(lambda alg, m: encoded(alg, m, gap=b""), False, id="no zero before it"),
    pytest.param(lambda alg, m: encoded(alg, m, gap=b"\xfe\x00"), False, id="padding that is not all ones"),
    pytest.param(lambda alg, m: encoded(alg, m, kind=2), False, id="padded as for encryption"),
    pytest.param(lambda alg, m: encoded(alg, m, kind=0), False, id="padded with zeros"),
    pytest.param(lambda alg, m: encoded(alg, m, info=INFO[OTHERS[alg]]), False, id="another hash"),
    pytest.param(lambda alg, m: encoded(alg, m, info=b""), False, id="the digest alone"),
    pytest.param(lambda alg, m: bytes(256), False, id="nothing"),
])  # fmt: skip
def test_a_signature_holds_the_one_right_encoding(make: Callable[[str, bytes], bytes], good: bool, alg: str) -> None:
    """RFC 8017 §8.2.2: compared whole, so that there is nothing in it to be parsed, and nowhere to hide anything."""
    (key,) = read(jwk({"alg": ABSENT}), algorithms=ASYMMETRIC).keys.values()
    assert key.verifies(alg, b"a.b", raised(make(alg, b"a.b"))) is good


@functools.cache
def signed_with_leading_zero() -> tuple[bytes, bytes]:
    """A message whose signature begins with a zero, as one in 256 does."""
    for number in itertools.count():
        message = b"a.%d" % number
        signature = rsa_key().sign(message, padding.PKCS1v15(), SHA256())
        if signature[0] == 0:
            return message, signature
    raise AssertionError


@given(
    flip=st.one_of(st.just(0), st.integers(0, 255)),
    at=st.integers(0, 255),
    lead=st.sampled_from([b"", b"\x00", b"\x00\x00", b"\x01"]),
    cut=st.integers(0, 2),
    tail=st.binary(max_size=2),
)
def test_of_every_signature_it_says_what_cryptography_says(
    flip: int, at: int, lead: bytes, cut: int, tail: bytes
) -> None:
    (key,) = read(jwk()).keys.values()
    message, right = signed_with_leading_zero()
    signature = bytearray(lead + right[cut:] + tail)
    signature[at % len(signature)] ^= flip
    try:
        rsa_key().public_key().verify(bytes(signature), message, padding.PKCS1v15(), SHA256())
        good = True
    except InvalidSignature:
        good = False
    assert key.verifies("RS256", message, bytes(signature)) is good


@pytest.mark.parametrize("change", [
    pytest.param(lambda right: b"", id="empty"),
    pytest.param(lambda right: right.lstrip(b"\x00"), id="without its leading zeros"),
    pytest.param(lambda right: right[1:], id="a byte short"),
    pytest.param(lambda right: right[:-1], id="a byte short behind"),
    pytest.param(lambda right: b"\x00" + right, id="a zero before"),
    pytest.param(lambda right: right + b"\x00", id="a zero behind"),
    pytest.param(lambda right: right + right, id="twice"),
])  # fmt: skip
def test_a_signature_is_as_long_as_the_modulus(change: Callable[[bytes], bytes]) -> None:
    """RFC 8017 §8.2.2 step 1: as numbers some of these are the same."""
    (key,) = read(jwk()).keys.values()
    message, right = signed_with_leading_zero()
    assert key.verifies("RS256", message, right)
    assert not key.verifies("RS256", message, change(right))


@pytest.mark.parametrize("body", [
    b"", b"[]", b"null", b'"keys"', b"{}", b'{"keys":null}', b'{"keys":{}}', b'{"keys":"x"}', b'{"keys":[]}',
    b'{"KEYS":[]}', b"<html>", b'{"keys":[', b"\xff\xfe{", b"\xef\xbb\xbf{}", b"[" * 100_000, b'{"keys":[1e',
    b'{"keys":[' + b"9" * 5000 + b"]}",
    b'{"keys":[' + b"[" * 5000, b'{"keys":' + b"[" * 5000 + b"]" * 5000 + b"}",
    b'{"keys":[[]]}', json.dumps(jwk()).encode(),
], ids=lambda body: repr(body[:16]) + str(len(body)))  # fmt: skip
def test_what_is_no_key_set(body: bytes) -> None:
    with pytest.raises(UnusableKeySet):
        read_jwk_set(body, ("RS256",), {})


def test_text_without_an_end_is_told_in_one_pass() -> None:
    """Looked for anew behind each of its quotes, the end of 30,000 takes half a minute, and that of all that an answer
    may hold half an hour, in which no other thread runs."""
    before = time.thread_time()
    with pytest.raises(UnusableKeySet, match="not JSON"):
        read_jwk_set(b'{"keys":["' + b'\\"' * 30_000, ("RS256",), {})
    assert time.thread_time() - before < 5


def test_two_keys_with_one_name_are_neither_used() -> None:
    """Nor three; but another type under the same kid is another key (RFC 7517 §4.5), and so is an unusable one."""
    stranger, other = jwk(key=rsa_key("a stranger's")), jwk({"e": "Aw"})
    for keys in ((jwk(), stranger), (jwk(), stranger, jwk()), (jwk(), jwk(), stranger), (jwk(), other)):
        found = read(*keys, jwk({"kid": "good"}))
        assert list(found.keys) == [("good", "RSA")]
        assert "another key has the same kid and kty" in found.skipped[0]
    with pytest.raises(UnusableKeySet):
        read(jwk(), stranger)
    both = read(jwk(), ec_jwk(), algorithms=("RS256", "ES256"))
    assert set(both.keys) == {(KID, "RSA"), (KID, "EC")}
    assert not both.skipped
    assert list(read(jwk(), jwk({"use": "enc"}), jwk({"alg": "PS256"})).keys) == [(KID, "RSA")]


def respelt(number: str) -> str:
    """With zeros in front, which RFC 7518 §2 does not have."""
    return b64(bytes(3) + base64.urlsafe_b64decode(number + "=="))


TWINS = [
    pytest.param({}, id="quite the same"),
    pytest.param({"alg": ABSENT}, id="without alg"),
    pytest.param({"use": ABSENT, "key_ops": ["verify"]}, id="key_ops for use"),
    pytest.param({"x5c": ["MIIC"], "x5t": "abc", "x5u": "https://acme.kinde.com/x", "iat": 1}, id="more members"),
    pytest.param({"e": "AAEAAQ"}, id="e with zeros in front"),
    pytest.param({"n": respelt(jwk()["n"])}, id="n with zeros in front"),
    pytest.param({"n": jwk()["n"] + "=="}, id="n with padding"),
]


@pytest.mark.parametrize("change", TWINS)
def test_the_same_key_listed_twice_is_one_key(change: Json) -> None:
    """Or three times, in whatever order; nothing is skipped, and the next answer may list it once."""
    twin = jwk(change)
    for keys in ((jwk(), twin), (twin, jwk()), (jwk(), twin, twin)):
        found = read(*keys)
        assert list(found.keys) == [(KID, "RSA")]
        assert not found.skipped
        assert read(jwk(), known=found.keys).keys == found.keys


def test_the_same_curve_listed_twice_is_one_key() -> None:
    assert len(read(ec_jwk(), ec_jwk(alg="ES256"), ed_jwk(), ed_jwk(use="sig"), algorithms=ASYMMETRIC).keys) == 2


def test_a_key_listed_once_for_each_algorithm_verifies_all_of_them() -> None:
    """And none that it is not listed for."""
    listed = [jwk({"alg": alg}) for alg in ("RS256", "PS256", "RS256")]
    (key,) = read(*listed, algorithms=ASYMMETRIC).keys.values()
    assert key.algorithms == {"RS256", "PS256"}
    signing_input, _, signature = mint().rpartition(".")
    held = base64.urlsafe_b64decode(signature + "==")
    assert [alg for alg in sorted(RSA) if key.verifies(alg, signing_input.encode(), held)] == ["RS256"]
    again = read(*reversed(listed), algorithms=ASYMMETRIC, known={(KID, "RSA"): key})
    assert again.keys[KID, "RSA"] is key


def test_500_keys_are_as_good_as_one() -> None:
    found = read(*(jwk({"kid": str(n)}) for n in range(500)))
    assert len(found.keys) == 500


def test_an_unchanged_key_stays_the_same_object() -> None:
    """And anything that is not quite the same is another key."""
    before = read(jwk())
    again = read(jwk({"x5t": "new", "use": ABSENT}), jwk({"kid": "new"}), known=before.keys)
    assert again.keys[KID, "RSA"] is before.keys[KID, "RSA"]
    respelt_key = read(jwk({"e": "AAEAAQ"}), known=before.keys)
    assert respelt_key.keys[KID, "RSA"] is before.keys[KID, "RSA"]
    others = [jwk(key=rsa_key("a stranger's")), jwk({"alg": "RS512"}), jwk({"e": "Aw"})]
    for other in others:
        found = read(other, known=before.keys, algorithms=("RS256", "RS512"))
        assert found.keys[KID, "RSA"] is not before.keys[KID, "RSA"]
    wide = read(jwk({"alg": ABSENT}), algorithms=("RS256", "PS256"))
    assert read(jwk({"alg": ABSENT}), known=wide.keys).keys[KID, "RSA"] is not wide.keys[KID, "RSA"]
    holder = KeySet(again.keys)
    assert holder.holds(before.keys[KID, "RSA"])
    assert not holder.holds(read(jwk()).keys[KID, "RSA"])
    assert not holder.holds(read(jwk({"kid": "gone"})).keys["gone", "RSA"])


def test_a_sentence_for_a_log_holds_nothing_of_the_key() -> None:
    secret = jwk({"kid": "KID-OF-IT", "d": "D-OF-IT", "n": "N-OF-IT"})
    with pytest.raises(UnusableKeySet) as caught:
        read(*[secret] * 50)
    assert "OF-IT" not in str(caught.value)
    assert len(str(caught.value)) < 1000
    assert "RSAPublicKey" not in repr(read(jwk()))


class TestVerifies:
    """The signature layer alone."""

    def key(self, jwk: Json) -> Key:
        (key,) = read(jwk, algorithms=ASYMMETRIC).keys.values()
        return key

    def test_an_algorithm_is_a_hash_and_a_padding(self) -> None:
        key, private = self.key(jwk({"alg": ABSENT})), rsa_key()
        signatures = {
            "RS256": private.sign(b"text", padding.PKCS1v15(), SHA256()),
            "RS384": private.sign(b"text", padding.PKCS1v15(), SHA384()),
            "PS256": private.sign(b"text", padding.PSS(padding.MGF1(SHA256()), 32), SHA256()),
        }
        for name, signature in signatures.items():
            assert [alg for alg in sorted(RSA) if key.verifies(alg, b"text", signature)] == [name]

    def test_an_elliptic_signature_is_two_numbers_and_not_der(self) -> None:
        """RFC 7518 §3.4; and two zeros sign nothing (CVE-2022-21449)."""
        key = self.key(ec_jwk())
        der = curve_key(P256).sign(b"text", ec.ECDSA(SHA256()))
        raw = b"".join(number.to_bytes(32, "big") for number in utils.decode_dss_signature(der))
        assert key.verifies("ES256", b"text", raw)
        for wrong in (der, bytes(64), b"", raw[:63], raw + b"\0", raw[32:] + raw[:32]):
            assert not key.verifies("ES256", b"text", wrong)

    def test_an_edwards_signature(self) -> None:
        key, good = self.key(ed_jwk()), ed_key().sign(b"text")
        assert key.verifies("EdDSA", b"text", good)
        for wrong in (b"", bytes(64), good[:-1], good + b"\0"):
            assert not key.verifies("EdDSA", b"text", wrong)

    @pytest.mark.parametrize("jwk", [jwk({"alg": ABSENT}), ec_jwk(), ed_jwk()], ids=["RSA", "EC", "OKP"])
    @pytest.mark.parametrize("alg", ["none", "HS256", "", *ASYMMETRIC])
    def test_nothing_hostile_is_an_error(self, jwk: Json, alg: str) -> None:
        """Whatever the algorithm, the answer is no."""
        key = self.key(jwk)
        for signature in (b"", b"\0", bytes(64), b"\xff" * 256, bytes(5000)):
            assert key.verifies(alg, b"text", signature) is False


def test_a_guard_that_accepts_other_algorithms_holds_each_key_to_its_own() -> None:
    guard = guard_of(Issuer(jwk(), ec_jwk(kid="ec")), algorithms=["RS256", "PS256", "ES256"])
    signing_input = mint(header={"alg": "ES256", "kid": "ec"}).rpartition(".")[0]
    r, s = utils.decode_dss_signature(curve_key(P256).sign(signing_input.encode(), ec.ECDSA(SHA256())))
    signature = b64(r.to_bytes(32, "big") + s.to_bytes(32, "big"))
    assert reason_of(guard, f"{signing_input}.{signature}") == "accepted"
    assert reason_of(guard, mint()) == "accepted"
    assert reason_of(guard, mint(header={"alg": "PS256"})) == "unknown_key"
    assert reason_of(guard, mint(header={"alg": "ES256"})) == "unknown_key"
    assert reason_of(guard, mint(header={"kid": "ec"})) == "unknown_key"


@pytest.mark.parametrize(("cache_control", "life"), [
    ("max-age=X900X", 600),
    ("", 600), ("no-cache", 600), ("public", 600), ("max-age", 600), ("max-age=", 600), ("max-age=x", 600),
    ("max-age=-1", 600), ("max-age=1.5", 600), ("s-maxage=900", 600), ("x-max-age=900", 600), ("max-age=²", 600),
    ("max-age=900", 900), ("MAX-AGE=900", 900), ("public, max-age=900", 900), ('max-age="900"', 900),
    ("max-age=0", 60), ("max-age=59", 60), ("max-age=60", 60), ("max-age=3600", 3600), ("max-age=3601", 3600),
    ("max-age=" + "9" * 5000, 3600), ("max-age=100,max-age=900", 100), (" max-age=900 ,public", 900),
])  # fmt: skip
def test_how_long_keys_are_fresh(cache_control: str, life: float) -> None:
    assert life_of({"cache-control": cache_control}) == life
    assert life_of({"cache-control": cache_control, "age": "0"}) == life


@pytest.mark.parametrize(("age", "life"), [
    ("1", 1799), ("900", 900), ("1740", 60), ("1790", 60), ("1800", 60), ("86400", 60), ("9" * 5000, 60),
    ("900, 20", 900), (" 900 ", 900),
    ("", 1800), ("-900", 1800), ("900.5", 1800), ("x", 1800), ("²", 1800), (",900", 1800),
])  # fmt: skip
def test_the_time_that_caches_held_the_keys_counts_against_their_life(age: str, life: float) -> None:
    """RFC 9111 §4.2: ``Age`` is taken off ``max-age``; but for a minute they are fresh in any case."""
    assert life_of({"cache-control": "max-age=1800", "age": age}) == life


@pytest.mark.parametrize(("cache_control", "life"), [("max-age=86400", 3600), ("max-age=4000", 3100), ("", 600)])
def test_age_is_taken_off_before_the_bounds(cache_control: str, life: float) -> None:
    """And off ``max-age`` alone: the ten minutes without it are our own."""
    assert life_of({"cache-control": cache_control, "age": "900"}) == life


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(["RSA", "sig", "verify"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=4,
)
members = st.dictionaries(
    st.sampled_from(["kty", "kid", "use", "key_ops", "alg", "n", "e", "crv", "x", "y"]), json_values, max_size=3
)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([odd(), ec_jwk(kid="odd"), ed_jwk(kid="odd")]), members), max_size=4))
def test_whatever_is_published_a_good_key_is_read(changes: list[tuple[Json, Json]]) -> None:
    keys = [{**base, **change} for base, change in changes]
    found = read(*keys, jwk({"kid": "good key"}), algorithms=ASYMMETRIC)
    assert ("good key", "RSA") in found.keys


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200) | json_values.map(lambda value: json.dumps({"keys": value}).encode()))
def test_whatever_the_answer_is_it_is_keys_or_unusable(body: bytes) -> None:
    with pytest.raises(UnusableKeySet):
        read_jwk_set(body, ASYMMETRIC, {})


def loaded(*keys: object, before: KeySet | None = None) -> KeySet:
    return (before or KeySet()).loaded(read(*keys), 0.0, life=600, usable_for=86_400, chance=0.5)


def test_keys_that_should_not_be_published_are_called_by_their_kid() -> None:
    """Or by their place, where they have none to be called by."""
    private = [odd(d="AAAA", kid=kid) for kid in ("p", "", 1, "k" * 256, "k" * 257)]
    found = loaded(jwk(), rsa_jwk(1024), rsa_jwk(8200), *private)
    assert found.weak == ("odd",)
    assert found.private == ("p", "key 4", "key 5", "k" * 256, "key 7")


def test_what_changes_from_one_set_to_the_next() -> None:
    """Nothing is new in the first set but what should not be there."""
    first = loaded(jwk(), odd(), odd(kid="p", d="AAAA"))
    other = jwk({"kid": "odd"}, key=rsa_key("a stranger's"))
    second = loaded(other, jwk({"kid": "new"}), {**rsa_jwk(1024), "kid": "w"}, odd(kid="p", d="AAAA"), before=first)
    assert changes_between(KeySet(), first) == ((), (), (), (), ("p",))
    assert changes_between(first, second) == (("new",), (KID,), ("odd",), ("w",), ())
    assert changes_between(second, second) == ((), (), (), (), ())
