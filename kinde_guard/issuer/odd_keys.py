"""What a broken issuer publishes for keys: lists of JWKs, each odd in one respect."""

from __future__ import annotations

import secrets
from typing import Any

import jwt

from .keys import SigningKey, new_kid
from .tenant import Tenant
from .tokens import b64url

Jwk = dict[str, Any]


def unusable(tenant: Tenant) -> list[object]:
    """Keys that may not be used, each for another reason (RFC 7517 §4); the kid is that of the key that signs."""
    jwk = tenant.key.public_jwk()
    return [
        {**jwk, "use": "enc"},
        {**jwk, "key_ops": ["encrypt"]},
        {**jwk, "alg": "RSA-OAEP"},
        {**jwk, "n": _modulus(1024)},
        {name: value for name, value in jwk.items() if name != "kid"},
        {name: value for name, value in jwk.items() if name != "n"},
        "a key",
    ]


def many(tenant: Tenant, count: int) -> list[Jwk]:
    """*count* RSA keys, the right ones last. The private halves of the others are known to nobody."""
    right = _published(tenant)
    usual = {"alg": "RS256", "e": "AQAB", "kty": "RSA", "use": "sig"}
    others = [{**usual, "kid": new_kid(), "n": _modulus(2048)} for _ in range(count - len(right))]
    return [*others, *right]


def duplicate_kid(tenant: Tenant) -> list[Jwk]:
    """The right keys, and ``stranger`` under the kid of the one that signs."""
    return [*_published(tenant), *replaced(tenant)[:1]]


def replaced(tenant: Tenant) -> list[Jwk]:
    """The right keys, but with the material of ``stranger`` in the one that signs."""
    others = [key.public_jwk() for key in tenant.keys if key is not tenant.key]
    return [{**tenant.stranger.public_jwk(), "kid": tenant.key.kid}, *others]


def private(tenant: Tenant) -> list[Jwk]:
    """The right keys with their private halves: made at the start, worth nothing after the end, and burnt by this."""
    return [_private_jwk(key) for key in tenant.keys]


def with_oct(tenant: Tenant) -> list[Jwk]:
    """A shared secret under the kid of the key that signs, which another kty may have (RFC 7517 §4.5)."""
    secret = b64url(secrets.token_bytes(32)).decode()
    return [{"alg": "HS256", "k": secret, "kid": tenant.key.kid, "kty": "oct", "use": "sig"}, *_published(tenant)]


def with_unknown_kty(tenant: Tenant) -> list[Jwk]:
    """A key of a kind that is still to come, before the right ones."""
    public = b64url(secrets.token_bytes(1312)).decode()
    return [{"alg": "NEW-1", "kid": new_kid(), "kty": "NEW", "pub": public, "use": "sig"}, *_published(tenant)]


def with_unknown_crv(tenant: Tenant) -> list[Jwk]:
    """A key on a curve that JOSE has no name for, before the right ones."""
    x, y = (b64url(secrets.token_bytes(32)).decode() for _ in range(2))
    return [{"crv": "BP-256", "kid": new_kid(), "kty": "EC", "use": "sig", "x": x, "y": y}, *_published(tenant)]


def _published(tenant: Tenant) -> list[Jwk]:
    return [key.public_jwk() for key in tenant.keys]


def _private_jwk(key: SigningKey) -> Jwk:
    jwk = {**jwt.get_algorithm_by_name(key.alg).to_jwk(key.private, as_dict=True), **key.public_jwk()}
    del jwk["key_ops"]  # which says "sign"
    return jwk


def _modulus(bits: int) -> str:
    """A number as long as the modulus of a real key, and odd as one."""
    number = secrets.randbits(bits) | 1 << (bits - 1) | 1
    return b64url(number.to_bytes(bits // 8, "big")).decode()
