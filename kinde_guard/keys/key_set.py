"""An issuer's keys: read a JWK Set (RFC 7517), choose a key, say when to ask again. Pure and frozen.

A :class:`KeySet` is replaced, never edited, so readers need no lock. Time is an argument: monotonic, in seconds.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import import_module
from typing import Any, Literal, NamedTuple

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt.algorithms import Algorithm, get_default_algorithms

from ..net.headers import age_of, delta_seconds
from ..settings import ASYMMETRIC
from ..tokens.digests import sha256, sha384, sha512
from ..tokens.jws import MAX_NESTING
from ..tokens.rules import MAX_KID

LIFE = 600.0
LEAST_LIFE, MOST_LIFE = 60.0, 3600.0
REFRESH_AT = 0.8
FIRST_WAIT, COLD_WAIT, WARM_WAIT = 1.0, 30.0, 300.0
MIN_RSA_BITS, MAX_RSA_BITS = 2048, 8192
NEVER = float("-inf")

State = Literal["fresh", "stale", "expired", "never_loaded"]
KeyId = tuple[str, str]
"""kid and kty: RFC 7517 §4.5 allows the same kid for keys of different types."""


Check = Callable[[bytes, bytes], bool]
"""Whether a signature holds: signing input and signature in, yes or no out."""


def _check_of(alg: str, public: Any) -> Check:
    if alg in _PKCS1_V1_5:
        return _pkcs1_check(public, *_PKCS1_V1_5[alg])
    implementation = _IMPLEMENTED[alg]
    return lambda signing_input, signature: implementation.verify(signing_input, public, signature)


def _pkcs1_check(public: RSAPublicKey, digest: Callable[[bytes], bytes], prefix: bytes) -> Check:
    """As RFC 8017 §8.2.2 puts it: what the signature holds is compared, byte for byte, with what it has to hold. That
    leaves nothing in the signature to be parsed, costs a fifteenth less than ``public.verify``, and keeps the GIL,
    which beside a busy thread takes 5 ms to get back.
    """
    length, recover = (public.key_size + 7) // 8, public.recover_data_from_signature

    def check(signing_input: bytes, signature: bytes) -> bool:
        if len(signature) != length:  # step 1; OpenSSL would take one whose leading zeros are left out
            return False
        # Without an algorithm: the whole DigestInfo. Its length is fixed, and so is that of the padding in front of it.
        return recover(signature, _PADDING, None) == prefix + digest(signing_input)

    return check


_PADDING = PKCS1v15()
# The encoded DigestInfo up to the digest itself: RFC 8017 §9.2, note 1.
_PKCS1_V1_5 = {
    "RS256": (sha256, bytes.fromhex("3031300d060960864801650304020105000420")),
    "RS384": (sha384, bytes.fromhex("3041300d060960864801650304020205000430")),
    "RS512": (sha512, bytes.fromhex("3051300d060960864801650304020305000440")),
}
_IMPLEMENTED: Mapping[str, Algorithm] = {
    name: algorithm for name, algorithm in get_default_algorithms().items() if name in ASYMMETRIC
}
_RSA = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
_CURVES = {"P-256": "ES256", "P-384": "ES384", "P-521": "ES512"}  # RFC 7518 §3.4: one curve, one algorithm
_KTY = {**dict.fromkeys(_RSA, "RSA"), **dict.fromkeys(_CURVES.values(), "EC"), "EdDSA": "OKP"}
_PRIVATE = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})  # RFC 7518 §6.3.2, §6.4.1
_MARKS = re.compile(r'"(?:[^"\\]++|\\.)*+"|[\[\]{}]', re.S)  # brackets, and strings, which may hold some
_HALF = re.compile(r"[\ud800-\udfff]")  # half a character: no token has it, and whoever writes it out crashes
# No number in a key is used, so each may be of any length and size: int() would refuse more than 4,300 digits.
_decoder = json.JSONDecoder(parse_int=float, strict=False)


class UnusableKeySet(Exception):
    """An answer that is no key set, or holds no key to use; the text says why, and is fit for a log."""


class UnusableKey(Exception):
    """A key that is skipped; the text says why."""


class WeakKey(UnusableKey):
    """It has too few bits."""


@dataclass(frozen=True, slots=True, eq=False)
class Key:
    """One public key, and the algorithms it may verify."""

    kid: str
    kty: str
    algorithms: frozenset[str]
    material: Any = field(repr=False)
    """The numbers that it consists of, however they were spelled: what tells it from another key of the same kid."""
    public: Any = field(repr=False)
    checks: Mapping[str, Check] = field(repr=False)
    """One for each of ``algorithms``."""

    def verifies(self, alg: str, signing_input: bytes, signature: bytes) -> bool:
        """Whether *signature* holds; *alg* is one of ``algorithms``."""
        try:
            return self.checks[alg](signing_input, signature)
        except Exception:  # whatever a hostile signature makes of the library, it is no good signature
            return False

    def joined(self, twin: Key) -> Key:
        """The same material listed twice: it may verify what either may."""
        both = self.algorithms | twin.algorithms
        return (
            self if both == self.algorithms else replace(self, algorithms=both, checks={**self.checks, **twin.checks})
        )

    def is_like(self, other: Key) -> bool:
        """Whether nothing that is read of them differs."""
        return self.material == other.material and self.algorithms == other.algorithms


@dataclass(frozen=True, slots=True)
class KeySet:
    """What is known of an issuer's keys, and when to ask again."""

    keys: Mapping[KeyId, Key] = field(default_factory=dict)
    skipped: tuple[str, ...] = ()
    weak: tuple[str, ...] = ()
    private: tuple[str, ...] = ()
    loaded_at: float = NEVER
    stale_at: float = NEVER
    refresh_at: float = NEVER
    usable_until: float = NEVER
    failures: int = 0
    retry_at: float = NEVER
    """No attempt before, after one that failed."""
    cool_until: float = NEVER
    """No attempt for the sake of an unknown kid, or of a signature that did not hold, before."""
    problem: str = ""
    """Why the last attempt failed; empty if it did not."""
    edition: object = field(default_factory=object, repr=False, compare=False)
    """Something to know these keys by without holding on to them: sets with the very same keys have the same object."""

    def find(self, kid: str, alg: str) -> Key | None:
        """The key that may verify *alg* under this kid."""
        key = self.keys.get((kid, _KTY[alg]))
        return key if key is not None and alg in key.algorithms else None

    def holds(self, key: Key) -> bool:
        """Whether this very key, material and all, is in the set."""
        return self.keys.get((key.kid, key.kty)) is key

    def usable(self, now: float) -> bool:
        """Whether there are keys, fresh or stale, that may still be used."""
        return now < self.usable_until

    def refresh_due(self, now: float) -> bool:
        """Whether the keys should be asked for anew, behind the requests."""
        return now >= self.refresh_at and now >= self.retry_at

    def may_ask_for_unknown(self, now: float) -> bool:
        """Whether a kid that is not held may cause a fetch, or a signature that does not hold. It may be a rotated key
        or an attacker's invention: at most one fetch per cool-down, or anyone could make us hammer the issuer."""
        return now >= self.cool_until and now >= self.retry_at

    def state(self, now: float) -> State:
        """In a word."""
        if self.loaded_at == NEVER:
            return "never_loaded"
        if not self.usable(now):
            return "expired"
        return "fresh" if now < self.stale_at else "stale"

    def loaded(self, read: KeysRead, now: float, *, life: float, usable_for: float, chance: float) -> KeySet:
        """The set after a good answer. *chance*, from 0 to 1, spreads the refreshes of many processes."""
        return KeySet(
            keys=read.keys,
            skipped=read.skipped,
            weak=read.weak,
            private=read.private,
            loaded_at=now,
            stale_at=now + life,
            refresh_at=now + min(life * (REFRESH_AT - 0.05 + 0.1 * chance), usable_for),
            usable_until=now + usable_for,
            cool_until=self.cool_until,
            edition=self.edition if read.keys == self.keys else object(),
        )

    def failed(
        self, problem: str, now: float, *, cool_down: float, chance: float, retry_after: float | None = None
    ) -> KeySet:
        """The set after a failed attempt: it keeps its keys. Waits 1 s, doubling, full jitter (*chance*)."""
        most = WARM_WAIT if self.usable(now) else COLD_WAIT
        wait = chance * min(FIRST_WAIT * 2 ** min(self.failures, 16), most)
        if retry_after is not None:
            wait = max(wait, min(retry_after, most))
        return replace(
            self,
            failures=self.failures + 1,
            retry_at=now + wait,
            cool_until=max(self.cool_until, now + cool_down),
            problem=problem,
        )

    def cooling(self, until: float) -> KeySet:
        """The set when a kid that it does not hold, or a signature, has caused a fetch."""
        return replace(self, cool_until=max(self.cool_until, until))


@dataclass(frozen=True, slots=True)
class KeysRead:
    """The usable keys of a JWK Set, and a sentence for each one skipped."""

    keys: Mapping[KeyId, Key]
    skipped: tuple[str, ...]
    weak: tuple[str, ...] = ()
    """By kid, those of too few bits."""
    private: tuple[str, ...] = ()
    """By kid, those published together with their private half, and shared secrets."""


class Changes(NamedTuple):
    """What one key set has that another had not, by kid: see :class:`~kinde_guard.events.KeysChanged`."""

    added: tuple[str, ...]
    removed: tuple[str, ...]
    replaced: tuple[str, ...]
    weak: tuple[str, ...]
    private: tuple[str, ...]


def changes(before: KeySet, after: KeySet) -> Changes:
    """What has changed since *before*. Of the first set that is loaded, nothing is new but what should not be there."""
    old, new = before.keys, after.keys
    replaced = [key_id for key_id in new if key_id in old and old[key_id].material != new[key_id].material]
    return Changes(
        added=_kids(key_id for key_id in new if key_id not in old and before.loaded_at != NEVER),
        removed=_kids(key_id for key_id in old if key_id not in new),
        replaced=_kids(replaced),
        weak=tuple(kid for kid in after.weak if kid not in before.weak),
        private=tuple(kid for kid in after.private if kid not in before.private),
    )


def _kids(key_ids: Iterable[KeyId]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(kid for kid, _ in key_ids))


def read(body: bytes, algorithms: Sequence[str], known: Mapping[KeyId, Key]) -> KeysRead:
    """Read a JWK Set; raises :class:`UnusableKeySet`.

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


def life_of(headers: Mapping[str, str]) -> float:
    """How long keys are fresh, in seconds: what is left of ``max-age`` (RFC 9111 §5.2.2.1) after the time that caches
    on the way have held them (``Age``), within a minute and an hour; else 10 min."""
    for directive in headers.get("cache-control", "").lower().split(","):
        name, _, value = directive.strip().partition("=")
        seconds = delta_seconds(value.strip('"')) if name == "max-age" else None
        if seconds is not None:
            return min(max(seconds - age_of(headers), LEAST_LIFE), MOST_LIFE)
    return LIFE


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
    """Its kid, if it can be the kid of a token."""
    kid = jwk.get("kid")
    return kid if isinstance(kid, str) and 1 <= len(kid) <= MAX_KID and not _HALF.search(kid) else None


def _listed(body: bytes) -> list[Any]:
    """Read leniently, as what spoils one key in the list is not to spoil the others: bytes that are no UTF-8, control
    characters, numbers of any length, a member nested thousands deep."""
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
    checks = {alg: _check_of(alg, public) for alg in allowed}
    return Key(kid, kty, allowed, _material(public), public, checks)


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
    if not isinstance(kty, str) or kty not in _KTY.values():
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
        public = _IMPLEMENTED[alg].from_jwk(jwk)
    except Exception as error:  # whatever an odd key makes of the libraries, it spoils no other key
        raise UnusableKey(f"it cannot be read ({type(error).__name__})") from None
    if kty == "RSA":
        _check_rsa(public)
    return public


def load_libraries(algorithms: Iterable[str]) -> None:
    """Import what reading keys for *algorithms* takes, in the caller's thread and not in the one that fetches: before
    version 47 cryptography imports a part of itself with the first key that is no RSA key."""
    if any(_KTY[alg] != "RSA" for alg in algorithms):
        import_module("cryptography.hazmat.backends.openssl.backend")


def _check_rsa(public: Any) -> None:
    """RFC 7518 §3.3: 2048 bits or more. The upper bound keeps a published giant from costing a second a token."""
    if not MIN_RSA_BITS <= public.key_size <= MAX_RSA_BITS:
        kind = WeakKey if public.key_size < MIN_RSA_BITS else UnusableKey
        raise kind(f"it has {public.key_size} bits, not {MIN_RSA_BITS} to {MAX_RSA_BITS}")
    if public.public_numbers().e.bit_length() > 64:  # cryptography itself refuses tiny and even ones
        raise UnusableKey("its exponent has more than 64 bits")
