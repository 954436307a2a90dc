"""Keys that an issuer publishes and that must verify nothing: weak, private, shared, doubled, or for another use.

Not part of the corpus, as they change the issuer: publish them before the app has loaded its keys.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..issuer import LocalIssuer, SigningKey
from .cases import Hostile, invalid
from .forge import Forge, encoded
from .signatures import as_if_exponent_1

WEAK = "RFC 7518 §3.3: 2048 bits or more"
USE = "RFC 7517 §4.2 and §4.3: a key that is not for verifying verifies nothing"
BOUND = "RFC 7517 §4.4, RFC 8725 §3.1: a key's alg is the only one it verifies"
TYPE = "RFC 7518 §3.1, RFC 8725 §3.1: the algorithm must fit the key's type"
PUBLIC = "RFC 7517 §9.2: whoever reads a published private key can sign with it"
SHARED = "RFC 8725 §2.1 and §3.1: no shared secrets, least of all published ones"
TWICE = "RFC 7517 §4.5: distinct keys have distinct names, and no key is guessed"
EXPONENT = "RFC 8017 §3.1: an odd exponent of 3 or more; with 1 everybody can sign"
MEMBERS = "RFC 7517 §4: members of the wrong type are no key"


@dataclass(frozen=True, slots=True, eq=False)
class OddKey(SigningKey):
    """A key whose JWK is published with *changes*."""

    changes: Mapping[str, object] = field(default_factory=dict)

    def public_jwk(self) -> dict[str, Any]:
        return {**SigningKey.public_jwk(self), **self.changes}


def publish_odd_keys(issuer: LocalIssuer, audience: str, scope: str | None) -> list[Hostile]:
    """Publish them, and return the tokens that they signed: good in all but the key."""
    forge = Forge(issuer, audience, scope)
    return [*_signed(forge), _shared(forge), *_doubled(forge), _signed_by_nobody(forge)]


def _signed(forge: Forge) -> Iterator[Hostile]:
    strong, weak, curve = forge.issuer.stranger, SigningKey.make(bits=1024), SigningKey.make("ES256")
    odd: dict[str, tuple[SigningKey, dict[str, object], str]] = {
        "RSA of 1024 bits": (weak, {}, WEAK),
        "use enc": (strong, {"use": "enc"}, USE),
        "use of a wrong type": (strong, {"use": ["sig"]}, MEMBERS),
        "key_ops encrypt": (strong, {"key_ops": ["encrypt"]}, USE),
        "key_ops empty": (strong, {"key_ops": []}, USE),
        "alg RS512": (strong, {"alg": "RS512"}, BOUND),
        "alg PS256": (strong, {"alg": "PS256"}, BOUND),
        "alg none": (strong, {"alg": "none"}, BOUND),
        "alg of a wrong type": (strong, {"alg": ["RS256"]}, MEMBERS),
        "an unknown kty": (strong, {"kty": "XYZ"}, MEMBERS),
        "kty oct": (strong, {"kty": "oct", "k": "c2VjcmV0"}, SHARED),
        "its private half": (strong, {"d": encoded(b"d" * 256)}, PUBLIC),
        "an elliptic curve": (curve, {}, TYPE),
    }
    for name, (key, changes, why) in odd.items():
        published = OddKey(f"odd-{name}", key.alg, key.private, changes)
        forge.issuer.publish(published)
        token = forge.forged({"alg": "RS256"}, key=published)
        yield invalid(f"published: {name}", token, "unknown_key", why)


def _shared(forge: Forge) -> Hostile:
    secret = b"a secret that everybody can read"
    jwk = {"kty": "oct", "k": encoded(secret), "alg": "HS256"}
    forge.issuer.publish(OddKey("odd-shared", "RS256", forge.issuer.stranger.private, jwk))
    token = forge.forged(key=SigningKey("odd-shared", "HS256", secret))
    return invalid("published: a shared secret", token, "unsupported_algorithm", SHARED)


def _doubled(forge: Forge) -> Iterator[Hostile]:
    first = SigningKey("odd-twice", "RS256", forge.issuer.stranger.private)
    second = SigningKey.make(kid="odd-twice")
    for name, key in {"first": first, "second": second}.items():
        forge.issuer.publish(key)
        yield invalid(f"published: two of one name, the {name}", forge.forged(key=key), "unknown_key", TWICE)


def _signed_by_nobody(forge: Forge) -> Hostile:
    key = OddKey("odd-exponent", "RS256", forge.issuer.stranger.private, {"e": "AQ"})
    forge.issuer.publish(key)
    signing_input = forge.forged(key=key).rpartition(".")[0]
    token = f"{signing_input}.{encoded(as_if_exponent_1(signing_input.encode(), 256))}"
    return invalid("published: the exponent 1", token, "unknown_key", EXPONENT)
