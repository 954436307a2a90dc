"""Tokens by name: good ones, and ones that are wrong in one respect, with the reason for which a guard refuses each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ..errors import ConfigurationError, Reason
from .keys import UNSIGNED, SigningKey
from .tokens import ABSENT

if TYPE_CHECKING:
    from .local import LocalIssuer

HOUR = 3_600
OTHER_AUDIENCE = "https://other-api.example.com"
OTHER_ISSUER = "https://other.kinde.test"


@dataclass(frozen=True, slots=True)
class Preset:
    """A kind of token."""

    summary: str
    reason: Reason | None
    """Why a guard of the issuer and of its sample audience refuses it; ``None`` if it does not."""
    mint: Callable[[LocalIssuer], str]


def preset(issuer: LocalIssuer, name: str) -> str:
    """A new token of that name by *issuer*; an unknown name is a ``ConfigurationError``."""
    if name not in PRESETS:
        raise ConfigurationError(f"there is no preset {name!r}: use one of {', '.join(PRESETS)}")
    return PRESETS[name].mint(issuer)


def _expired(issuer: LocalIssuer) -> str:
    now = int(issuer.now())
    return issuer.m2m_token(exp=now - HOUR, iat=now - 25 * HOUR)


def _not_yet_valid(issuer: LocalIssuer) -> str:
    return issuer.m2m_token(nbf=int(issuer.now()) + HOUR)


def _unknown_key(issuer: LocalIssuer) -> str:
    return issuer.token(issuer.m2m_claims(), key=issuer.stranger)


def _bad_signature(issuer: LocalIssuer) -> str:
    return issuer.token(issuer.m2m_claims(), header={"kid": issuer.key.kid}, key=issuer.stranger)


def _tampered(issuer: LocalIssuer) -> str:
    """The scopes are widened after the signing."""
    header, _, signature = issuer.m2m_token(scope="").split(".")
    _, payload, _ = issuer.m2m_token(scope="read:users write:flags").split(".")
    return f"{header}.{payload}.{signature}"


def _weak_key(issuer: LocalIssuer) -> str:
    """The key is published, and too short to be trusted (RFC 7518 §3.3)."""
    weak = next((key for key in issuer.keys if key.alg == "RS256" and key.private.key_size < 2048), None)
    if weak is None:
        weak = SigningKey.make(bits=1024)
        issuer.publish(weak)
    return issuer.token(issuer.m2m_claims(), key=weak)


def _alg_none(issuer: LocalIssuer) -> str:
    return issuer.token(issuer.m2m_claims(), header={"kid": issuer.key.kid}, key=UNSIGNED)


def _hmac_with_public_key(issuer: LocalIssuer) -> str:
    """Algorithm confusion: anybody can sign so (RFC 8725 §2.1)."""
    pem = issuer.key.private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return issuer.token(issuer.m2m_claims(), key=SigningKey(issuer.key.kid, "HS256", pem))


def _with_header(**members: object) -> Callable[[LocalIssuer], str]:
    return lambda issuer: issuer.token(issuer.m2m_claims(), header=members)


PRESETS: Mapping[str, Preset] = MappingProxyType(
    {
        "m2m": Preset("of the sample machine-to-machine app", None, lambda it: it.m2m_token()),
        "m2m_of_organization": Preset(
            "of a machine-to-machine app of an organization", None, lambda it: it.m2m_token(org_code="org_ba4a2311eb1")
        ),
        "user": Preset("of a user", None, lambda it: it.user_token()),
        "no_scope": Preset("good, and granted nothing", "insufficient_scope", lambda it: it.m2m_token(scope="")),
        "expired": Preset("expired an hour ago", "expired", _expired),
        "not_yet_valid": Preset("valid in an hour", "not_yet_valid", _not_yet_valid),
        "wrong_audience": Preset(
            "for another API", "wrong_audience", lambda it: it.m2m_token(audience=OTHER_AUDIENCE, scope="read:users")
        ),
        "empty_audience": Preset(
            "requested without an audience", "empty_audience", lambda it: it.m2m_token(audience=[])
        ),
        "wrong_issuer": Preset("names another issuer", "unknown_issuer", lambda it: it.m2m_token(iss=OTHER_ISSUER)),
        "id_token": Preset("an ID token, not an access token", "wrong_token_type", lambda it: it.id_token()),
        "webhook_jwt": Preset("the body of a webhook", "wrong_token_type", lambda it: it.webhook_jwt()),
        "unknown_key": Preset("signed with a key that is not published", "unknown_key", _unknown_key),
        "weak_key": Preset("signed with a published RSA key of 1024 bits", "unknown_key", _weak_key),
        "bad_signature": Preset("forged: signed with another key under the right kid", "bad_signature", _bad_signature),
        "tampered": Preset("changed after it was signed", "bad_signature", _tampered),
        "alg_none": Preset("not signed, and says so", "unsupported_algorithm", _alg_none),
        "hmac_with_public_key": Preset(
            "HS256 with the public key as the secret", "unsupported_algorithm", _hmac_with_public_key
        ),
        "no_kid": Preset("does not name its key", "malformed", _with_header(kid=ABSENT)),
        "wrong_typ": Preset("says it is another kind of token", "wrong_token_type", _with_header(typ="logout+jwt")),
        "unknown_crit": Preset(
            "demands an extension nobody knows", "unsupported_header", _with_header(crit=["exp2"], exp2=1)
        ),
    }
)
