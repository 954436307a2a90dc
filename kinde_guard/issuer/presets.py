"""Tokens by name: good ones, and ones that are wrong in one respect, with the reason for which a guard refuses each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ..errors import ConfigurationError, Reason
from .keys import UNSIGNED, SigningKey
from .tenant import Tenant
from .tokens import ABSENT

HOUR = 3_600
OTHER_AUDIENCE = "https://other-api.example.com"
OTHER_ISSUER = "https://other.kinde.test"


@dataclass(frozen=True, slots=True)
class Preset:
    """A preset is a token that can be had by name; *mint* makes a new one."""

    title: str
    """What people call it."""
    summary: str
    """What is special about it, in a sentence."""
    reason: Reason | None
    """Why a guard of the issuer and of its sample audience refuses it; ``None`` if it does not."""
    mint: Callable[[Tenant], str]


def preset(tenant: Tenant, name: str) -> str:
    """A new token of that name of *tenant*; an unknown name is a ``ConfigurationError``."""
    if name not in PRESETS:
        raise ConfigurationError(f"there is no preset {name!r}: use one of {', '.join(PRESETS)}")
    return PRESETS[name].mint(tenant)


def _expired(tenant: Tenant) -> str:
    now = int(tenant.now())
    return tenant.m2m_token(exp=now - HOUR, iat=now - 25 * HOUR)


def _not_yet_valid(tenant: Tenant) -> str:
    return tenant.m2m_token(nbf=int(tenant.now()) + HOUR)


def _unknown_key(tenant: Tenant) -> str:
    return tenant.token(tenant.m2m_claims(), key=tenant.stranger)


def _bad_signature(tenant: Tenant) -> str:
    return tenant.token(tenant.m2m_claims(), header={"kid": tenant.key.kid}, key=tenant.stranger)


def _tampered(tenant: Tenant) -> str:
    """The scopes are widened after the signing."""
    header, _, signature = tenant.m2m_token(scope="").split(".")
    _, payload, _ = tenant.m2m_token(scope="read:users write:flags").split(".")
    return f"{header}.{payload}.{signature}"


def _weak_key(tenant: Tenant) -> str:
    """The key is published, and too short to be trusted (RFC 7518 §3.3)."""
    weak = next((key for key in tenant.keys if key.alg == "RS256" and key.private.key_size < 2048), None)
    if weak is None:
        weak = SigningKey.make(bits=1024)
        tenant.publish(weak)
    return tenant.token(tenant.m2m_claims(), key=weak)


def _alg_none(tenant: Tenant) -> str:
    return tenant.token(tenant.m2m_claims(), header={"kid": tenant.key.kid}, key=UNSIGNED)


def _hmac_with_public_key(tenant: Tenant) -> str:
    """Algorithm confusion: anybody can sign so (RFC 8725 §2.1)."""
    pem = tenant.key.private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return tenant.token(tenant.m2m_claims(), key=SigningKey(tenant.key.kid, "HS256", pem))


def _with_header(**members: object) -> Callable[[Tenant], str]:
    return lambda tenant: tenant.token(tenant.m2m_claims(), header=members)


PRESETS: Mapping[str, Preset] = MappingProxyType(
    {
        "m2m": Preset("Machine-to-machine app", "It is for the sample app.", None, lambda it: it.m2m_token()),
        "m2m_of_organization": Preset(
            "App of an organization",
            "It names its organization.",
            None,
            lambda it: it.m2m_token(org_code="org_ba4a2311eb1"),
        ),
        "user": Preset("User", "It is for the first person on the page People.", None, lambda it: it.user_token()),
        "no_scope": Preset(
            "No scope", "It is good, but it grants nothing.", "insufficient_scope", lambda it: it.m2m_token(scope="")
        ),
        "expired": Preset("Expired", "It expired an hour ago.", "expired", _expired),
        "not_yet_valid": Preset("Not valid yet", "It will be valid in an hour.", "not_yet_valid", _not_yet_valid),
        "wrong_audience": Preset(
            "Another API",
            "It is for another API.",
            "wrong_audience",
            lambda it: it.m2m_token(audience=OTHER_AUDIENCE, scope="read:users"),
        ),
        "empty_audience": Preset(
            "No audience",
            "It was requested without one.",
            "empty_audience",
            lambda it: it.m2m_token(audience=[]),
        ),
        "wrong_issuer": Preset(
            "Another issuer", "It names another issuer.", "unknown_issuer", lambda it: it.m2m_token(iss=OTHER_ISSUER)
        ),
        "id_token": Preset("ID token", "It is not an access token.", "wrong_token_type", lambda it: it.id_token()),
        "webhook_jwt": Preset(
            "Webhook", "It is the body of a webhook.", "wrong_token_type", lambda it: it.webhook_jwt()
        ),
        "unknown_key": Preset("Unknown key", "Its key is not published.", "unknown_key", _unknown_key),
        "weak_key": Preset("Weak key", "Its RSA key has only 1024 bits.", "unknown_key", _weak_key),
        "bad_signature": Preset("Forged", "Another key signed it.", "bad_signature", _bad_signature),
        "tampered": Preset("Changed", "It was changed after signing.", "bad_signature", _tampered),
        "alg_none": Preset("Not signed", "It says so in its header.", "unsupported_algorithm", _alg_none),
        "hmac_with_public_key": Preset(
            "Public key as secret",
            "It is signed with HS256.",
            "unsupported_algorithm",
            _hmac_with_public_key,
        ),
        "no_kid": Preset("No key id", "It does not name its key.", "malformed", _with_header(kid=ABSENT)),
        "wrong_typ": Preset(
            "Another type", "It says that it is a logout token.", "wrong_token_type", _with_header(typ="logout+jwt")
        ),
        "unknown_crit": Preset(
            "Unknown extension",
            "Nobody knows what it demands.",
            "unsupported_header",
            _with_header(crit=["exp2"], exp2=1),
        ),
    }
)
