"""Reads a JWK Set (RFC 7517), and each JWK in it, into keys that can verify. Pure."""

from __future__ import annotations

import binascii
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from importlib import import_module
from typing import Any, NamedTuple

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey, RSAPublicNumbers

from ..net.frozen import Frozen
from ..tokens.jws import MAX_NESTING
from ..tokens.rules import MAX_KID
from .signatures import Verifier, load_pyjwt, of_pyjwt, verifier

MIN_RSA_BITS, MAX_RSA_BITS = 2048, 8192
Verifiers = Mapping[str, Verifier]
KeyId = tuple[str, str]
"""kid and kty: RFC 7517 §4.5 allows the same kid for keys of different types."""
_RSA = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
_CURVES = {"P-256": "ES256", "P-384": "ES384", "P-521": "ES512"}  # RFC 7518 §3.4: one curve, one algorithm
KTY = {**dict.fromkeys(_RSA, "RSA"), **dict.fromkeys(_CURVES.values(), "EC"), "EdDSA": "OKP"}
"""The key type (RFC 7518 §6.1) of each algorithm."""
_PRIVATE = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})  # RFC 7518 §6.3.2, §6.4.1
_TO_BASE64 = bytes.maketrans(b"-_", b"+/")
# Brackets, and strings, which may hold some. A string without an end goes to the end of the text: or it would be looked
# for anew behind each quote in it, which takes half an hour.
_MARKS = re.compile(r'"(?:[^"\\]++|\\.)*+"?|[\[\]{}]', re.S)
_HALF = re.compile(r"[\ud800-\udfff]")  # half a character: no token has it, and whoever writes it out crashes
# No number in a key is used, so each may be of any length and size: int() would refuse more than 4,300 digits.
_decoder = json.JSONDecoder(parse_int=float, strict=False)


class UnusableKeySet(Exception):
    """An answer that is no key set, or holds no key to use; the text says why, and is fit for a log."""


class UnusableKey(Exception):
    """A key that is skipped; the text says why."""


class WeakKey(UnusableKey):
    """An RSA key of fewer than 2048 bits (RFC 7518 §3.3)."""


class Key(Frozen):
    """A public key of an issuer, and the algorithms whose signatures it may verify."""

    __slots__ = ("algorithms", "kid", "kty", "material", "public", "verifiers")

    kid: str
    kty: str
    algorithms: frozenset[str]
    material: Any
    """The numbers that the key consists of, however they were spelled: they tell it from others of the same kid."""
    public: Any
    verifiers: Verifiers
    """One for each of ``algorithms``."""

    def __init__(
        self, kid: str, kty: str, algorithms: frozenset[str], material: Any, public: Any, verifiers: Verifiers
    ) -> None:
        self._fill(locals())

    def __repr__(self) -> str:
        return f"Key(kid={self.kid!r}, kty={self.kty!r}, algorithms={self.algorithms!r})"

    def verifies(self, alg: str, signing_input: bytes, signature: bytes) -> bool:
        """Whether *signature* holds; *alg* is one of ``algorithms``."""
        try:
            return self.verifiers[alg](signing_input, signature)
        except Exception:  # whatever a hostile signature makes of the library, it is no good signature
            return False

    def joined(self, twin: Key) -> Key:
        """This key where *twin*, of the same material, is listed beside it: it may verify what either may."""
        both = self.algorithms | twin.algorithms
        if both == self.algorithms:
            return self
        verifiers = {**self.verifiers, **twin.verifiers}
        return Key(self.kid, self.kty, both, self.material, self.public, verifiers)

    def is_like(self, other: Key) -> bool:
        """Whether *other* has the same material and may verify the same algorithms."""
        return self.material == other.material and self.algorithms == other.algorithms


class KeysRead(NamedTuple):
    """The keys that were read from a JWK Set, and those that were skipped."""

    keys: Mapping[KeyId, Key]
    """The usable ones."""
    skipped: tuple[str, ...]
    """A sentence for each of the others."""
    weak: tuple[str, ...] = ()
    """The kids of keys with too few bits."""
    private: tuple[str, ...] = ()
    """The kids of keys published with their private half, and of shared secrets."""


def read_jwk_set(body: bytes, algorithms: Sequence[str], known: Mapping[KeyId, Key]) -> KeysRead:
    """The keys in *body*, a JWK Set, that verify one of *algorithms*; raises :class:`UnusableKeySet` if there are none.

    RFC 7517 §5: a key that cannot be used is skipped, and never spoils the others. The same key listed twice is one
    key. One of *known* that is unchanged stays the same object.
    """
    usable: dict[KeyId, Key | None] = {}
    skipped, weak, private = [], [], []
    for number, jwk in enumerate(_listed(body)):
        if isinstance(jwk, dict) and not _PRIVATE.isdisjoint(jwk):
            private.append(_called(jwk, number))
        try:
            _add(usable, _read_key(jwk, algorithms))
        except UnusableKey as problem:
            skipped.append(f"key {number}: {problem}")
            if isinstance(problem, WeakKey):
                weak.append(_called(jwk, number))
    keys = {key_id: _same_object(key, known.get(key_id)) for key_id, key in usable.items() if key is not None}
    if not keys:
        raise UnusableKeySet("; ".join(["no usable key in the set", *skipped[:5]]))
    return KeysRead(keys, tuple(skipped), tuple(weak), tuple(private))


def load_libraries(algorithms: Iterable[str]) -> None:
    """Import what reading keys for *algorithms* takes, in the caller's thread and not in the one that fetches: before
    version 47 cryptography imports a part of itself with the first key that is no RSA key."""
    load_pyjwt(algorithms)
    if any(KTY[alg] != "RSA" for alg in algorithms):
        import_module("cryptography.hazmat.backends.openssl.backend")


def _add(usable: dict[KeyId, Key | None], key: Key) -> None:
    """The same material under the same kid is the same key; with other material nobody can say which is meant."""
    key_id = key.kid, key.kty
    twin = usable.setdefault(key_id, key)
    if twin is None or twin.material != key.material:
        usable[key_id] = None
        raise UnusableKey("another key has the same kid and kty but other material, so neither is used")
    usable[key_id] = twin.joined(key)


def _same_object(key: Key, old: Key | None) -> Key:
    """*old*, if it is the same key: what was verified with it need not be verified anew."""
    return old if old is not None and old.is_like(key) else key


def _called(jwk: dict[str, Any], number: int) -> str:
    return _kid(jwk) or f"key {number}"


def _kid(jwk: dict[str, Any]) -> str | None:
    """The kid of *jwk*; ``None`` if no token can name it."""
    kid = jwk.get("kid")
    return kid if isinstance(kid, str) and 1 <= len(kid) <= MAX_KID and not _HALF.search(kid) else None


def _listed(body: bytes) -> list[Any]:
    """The list of JWKs in *body*. It is read leniently, as what spoils one of them is not to spoil the others: bytes
    that are no UTF-8, control characters, numbers of any length, a member nested thousands deep."""
    try:
        document = _decoder.decode(_shallow(body.decode("utf-8", "surrogateescape")))
    except ValueError:
        raise UnusableKeySet("the answer is not JSON") from None
    listed = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(listed, list):
        raise UnusableKeySet("the answer is not a JWK Set: it has no list of keys")
    return listed


def _shallow(text: str) -> str:
    """*text* with ``null`` for whatever is nested so deep that nothing of a key can be in it."""
    kept: list[str] = []
    depth = begin = 0
    for mark in _MARKS.finditer(text):
        if mark[0] in "[{":
            depth += 1
            if depth == MAX_NESTING + 1:
                kept += text[begin : mark.start()], "null"
        elif mark[0] in "]}":
            if depth == MAX_NESTING + 1:
                begin = mark.end()
            depth -= 1
    if depth > MAX_NESTING:
        raise ValueError("a bracket is not closed")
    return "".join(kept) + text[begin:]


def _read_key(jwk: Any, algorithms: Sequence[str]) -> Key:
    kid, kty = _identify(jwk)
    allowed = _allowed(jwk, kty).intersection(algorithms)
    if not allowed:
        raise UnusableKey("it is for an algorithm that is not accepted")
    public = _public(jwk, kty, min(allowed))
    verifiers = {alg: verifier(alg, public) for alg in allowed}
    return Key(kid, kty, allowed, _material(public), public, verifiers)


def _material(public: Any) -> Any:
    return public.public_bytes_raw() if hasattr(public, "public_bytes_raw") else public.public_numbers()


def _identify(jwk: Any) -> KeyId:
    if not isinstance(jwk, dict):
        raise UnusableKey("it is not a JSON object")
    kid, kty = _kid(jwk), jwk.get("kty")
    if kid is None:
        raise UnusableKey("it has no usable kid")
    if kty == "oct":
        raise UnusableKey("it is a shared secret, published")
    if not isinstance(kty, str) or kty not in KTY.values():
        raise UnusableKey("its kty is unknown")
    if not _PRIVATE.isdisjoint(jwk):
        raise UnusableKey("its private part is published")
    return kid, kty


def _allowed(jwk: dict[str, Any], kty: str) -> frozenset[str]:
    """The algorithms this key may verify: kty, crv, use, key_ops and alg must agree (RFC 7517 §4.1 to §4.4)."""
    if jwk.get("use", "sig") != "sig":
        raise UnusableKey("its use is not sig")
    operations = jwk.get("key_ops", ["verify"])
    if not isinstance(operations, list) or "verify" not in operations:
        raise UnusableKey("its key_ops lack verify")
    possible = _possible(jwk, kty)
    if "alg" not in jwk:
        return possible
    alg = jwk["alg"]
    if not isinstance(alg, str) or alg not in possible:
        raise UnusableKey("its alg does not go with its kty or crv, or is unknown")
    return frozenset({alg})


def _possible(jwk: dict[str, Any], kty: str) -> frozenset[str]:
    if kty == "RSA":
        return frozenset(_RSA)
    crv = jwk.get("crv")
    if kty == "EC" and isinstance(crv, str) and crv in _CURVES:
        return frozenset({_CURVES[crv]})
    if kty == "OKP" and crv in ("Ed25519", "Ed448"):
        return frozenset({"EdDSA"})
    raise UnusableKey("its crv is unknown")


def _public(jwk: dict[str, Any], kty: str, alg: str) -> Any:
    try:
        public = _rsa(jwk) if kty == "RSA" else of_pyjwt(alg).from_jwk(jwk)
    except Exception as error:  # whatever an odd key makes of the libraries, it spoils no other key
        raise UnusableKey(f"it cannot be read ({type(error).__name__})") from None
    if kty == "RSA":
        _check_rsa(public)
    return public


def _rsa(jwk: dict[str, Any]) -> RSAPublicKey:
    """RFC 7518 §6.3.1."""
    return RSAPublicNumbers(e=_number(jwk["e"]), n=_number(jwk["n"])).public_key()


def _number(text: str) -> int:
    """Base64urlUInt (RFC 7518 §2), read leniently, as PyJWT reads it: of a key that an issuer publishes it is no
    matter how it is spelled."""
    data = text.encode().translate(_TO_BASE64)
    return int.from_bytes(binascii.a2b_base64(data + b"=" * (-len(data) % 4)), "big")


def _check_rsa(public: RSAPublicKey) -> None:
    """RFC 7518 §3.3: 2048 bits or more. The upper bound keeps a published giant from costing a second a token."""
    if not MIN_RSA_BITS <= public.key_size <= MAX_RSA_BITS:
        kind = WeakKey if public.key_size < MIN_RSA_BITS else UnusableKey
        raise kind(f"it has {public.key_size} bits, not {MIN_RSA_BITS} to {MAX_RSA_BITS}")
    if public.public_numbers().e.bit_length() > 64:  # cryptography itself refuses tiny and even ones
        raise UnusableKey("its exponent has more than 64 bits")
