"""What a broken issuer publishes for keys: lists of JWKs, each odd in one respect."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

import jwt

from .keys import SigningKey, new_kid
from .tokens import b64url

if TYPE_CHECKING:
    from .local import LocalIssuer

Jwk = dict[str, Any]


def unusable(issuer: LocalIssuer) -> list[object]:
    """RFC 7517 §4 has a reason against each; the kid is that of the key that signs."""
    jwk = issuer.key.public_jwk()
    return [
        {**jwk, "use": "enc"},
        {**jwk, "key_ops": ["encrypt"]},
        {**jwk, "alg": "RSA-OAEP"},
        {**jwk, "n": _modulus(1024)},
        {name: value for name, value in jwk.items() if name != "kid"},
        {name: value for name, value in jwk.items() if name != "n"},
        "a key",
    ]


def many(issuer: LocalIssuer, count: int) -> list[Jwk]:
    """*count* RSA keys, the right ones last. The private halves of the others are known to nobody."""
    right = _published(issuer)
    usual = {"alg": "RS256", "e": "AQAB", "kty": "RSA", "use": "sig"}
    others = [{**usual, "kid": new_kid(), "n": _modulus(2048)} for _ in range(count - len(right))]
    return [*others, *right]


def duplicate_kid(issuer: LocalIssuer) -> list[Jwk]:
    """The other key is ``issuer.stranger``."""
    return [*_published(issuer), *replaced(issuer)[:1]]


def replaced(issuer: LocalIssuer) -> list[Jwk]:
    """The material is that of ``issuer.stranger``."""
    others = [key.public_jwk() for key in issuer.keys if key is not issuer.key]
    return [{**issuer.stranger.public_jwk(), "kid": issuer.key.kid}, *others]


def private(issuer: LocalIssuer) -> list[Jwk]:
    """Theirs indeed: made at the start, worth nothing after the end, and burnt by this."""
    return [_private_jwk(key) for key in issuer.keys]


def with_oct(issuer: LocalIssuer) -> list[Jwk]:
    """Under the kid of the key that signs, which another kty may have (RFC 7517 §4.5)."""
    secret = b64url(secrets.token_bytes(32)).decode()
    return [{"alg": "HS256", "k": secret, "kid": issuer.key.kid, "kty": "oct", "use": "sig"}, *_published(issuer)]


def with_unknown_kty(issuer: LocalIssuer) -> list[Jwk]:
    """Of a kind that is still to come."""
    public = b64url(secrets.token_bytes(1312)).decode()
    return [{"alg": "NEW-1", "kid": new_kid(), "kty": "NEW", "pub": public, "use": "sig"}, *_published(issuer)]


def with_unknown_crv(issuer: LocalIssuer) -> list[Jwk]:
    """On a curve that JOSE has no name for."""
    x, y = (b64url(secrets.token_bytes(32)).decode() for _ in range(2))
    return [{"crv": "BP-256", "kid": new_kid(), "kty": "EC", "use": "sig", "x": x, "y": y}, *_published(issuer)]


def _published(issuer: LocalIssuer) -> list[Jwk]:
    return [key.public_jwk() for key in issuer.keys]


def _private_jwk(key: SigningKey) -> Jwk:
    jwk = {**jwt.get_algorithm_by_name(key.alg).to_jwk(key.private, as_dict=True), **key.public_jwk()}
    del jwk["key_ops"]  # which says "sign"
    return jwk


def _modulus(bits: int) -> str:
    """As long as a real one, and odd as one."""
    number = secrets.randbits(bits) | 1 << (bits - 1) | 1
    return b64url(number.to_bytes(bits // 8, "big")).decode()
