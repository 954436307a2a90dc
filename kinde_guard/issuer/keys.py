"""Signing keys, and the ring of them that an issuer holds. They are made at run time and live in memory alone."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field, replace
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

_CURVES: dict[str, ec.EllipticCurve] = {"ES256": ec.SECP256R1(), "ES384": ec.SECP384R1(), "ES512": ec.SECP521R1()}


@dataclass(frozen=True, slots=True, eq=False)
class SigningKey:
    """A signing key has a name, the algorithm it signs with, and the private half, which is never shown.

    ``SigningKey(kid, "HS256", b"secret")`` is a key too, and so is :data:`UNSIGNED`: wrong tokens need wrong keys.
    """

    kid: str
    alg: str
    private: Any = field(repr=False)

    @classmethod
    def make(cls, alg: str = "RS256", *, bits: int = 2048, kid: str | None = None) -> SigningKey:
        """A new asymmetric key for *alg*. *bits* is the size of an RSA key, the only kind that Kinde has. *kid* is its
        name; left out, it gets a new one."""
        private: Any
        if alg in _CURVES:
            private = ec.generate_private_key(_CURVES[alg])
        elif alg == "EdDSA":
            private = ed25519.Ed25519PrivateKey.generate()
        else:
            private = rsa.generate_private_key(public_exponent=65537, key_size=bits)
        return cls(kid or new_kid(), alg, private)

    def sign(self, message: bytes) -> bytes:
        """The signature of *message* by this key's own algorithm, whatever a header says."""
        return jwt.get_algorithm_by_name(self.alg).sign(message, self.private)

    def public_jwk(self) -> dict[str, Any]:
        """The public half as Kinde publishes it: no ``key_ops``, no ``x5c``."""
        jwk = jwt.get_algorithm_by_name(self.alg).to_jwk(self.private.public_key(), as_dict=True)
        members = {name: value for name, value in jwk.items() if name != "key_ops"}
        return {**members, "alg": self.alg, "kid": self.kid, "use": "sig"}


UNSIGNED = SigningKey(kid="", alg="none", private=None)
"""The key that signs with nothing (RFC 7518 §3.6)."""


@dataclass(frozen=True, slots=True)
class KeyRing:
    """The ring holds the keys that an issuer publishes, and the one it signs with.

    It is replaced whole, so readers need no lock.
    """

    signing: SigningKey
    published: tuple[SigningKey, ...]
    upcoming: SigningKey | None = None
    """The key that is published ahead of its first use; the next rotation takes it. ``None``: there is none yet."""

    @classmethod
    def of(cls, key: SigningKey) -> KeyRing:
        """A ring of one key."""
        return cls(key, (key,))

    def publishing(self, key: SigningKey) -> KeyRing:
        """The ring with *key* shown to everybody and not used."""
        return self if key in self.published else replace(self, published=(*self.published, key))

    def announcing(self, key: SigningKey) -> KeyRing:
        """The ring with *key* shown to everybody and next in line."""
        return replace(self.publishing(key), upcoming=key)

    def signing_with(self, key: SigningKey) -> KeyRing:
        """The ring after a soft rotation to *key*: the old keys stay published."""
        return replace(self.publishing(key), signing=key, upcoming=None)

    def without(self, kid: str) -> KeyRing:
        """The ring with the keys named *kid* withdrawn."""
        if kid == self.signing.kid:
            raise ValueError("this key signs: rotate first, then withdraw it")
        upcoming = None if self.upcoming is not None and self.upcoming.kid == kid else self.upcoming
        return replace(self, published=tuple(key for key in self.published if key.kid != kid), upcoming=upcoming)


def new_kid() -> str:
    """A name in Kinde's form: sixteen bytes in hex, with colons."""
    return secrets.token_bytes(16).hex(":")
