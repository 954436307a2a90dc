"""The access tokens that are sent to a local Kinde's own endpoints."""

from __future__ import annotations

from typing import Any

import jwt

from ..keys import SigningKey
from ..tenant import Tenant

_SIGNATURE_ALONE: Any = {
    f"verify_{claim}": False for claim in ("aud", "exp", "iat", "iss", "jti", "nbf", "sub")
}  # PyJWT goes by another clock


def claims_of(tenant: Tenant, token: str) -> dict[str, Any]:
    """What an access token says that was signed here and is valid now; nothing for any other. Whom it is for
    (``aud``) is left to who asks."""
    claims = _signed_here(tenant, token)
    begins, expires = claims.get("nbf", 0), claims.get("exp")
    if not isinstance(begins, int | float) or not isinstance(expires, int | float):
        return {}
    if not begins <= tenant.now() < expires:
        return {}
    if claims.get("iss") != tenant.url or "at_hash" in claims:  # an ID token opens nothing
        return {}
    return claims


def _signed_here(tenant: Tenant, token: str) -> dict[str, Any]:
    try:
        kid = jwt.get_unverified_header(token).get("kid")
        key = next((key for key in tenant.keys if key.kid == kid and _is_sound(key)), None)
        if key is None:
            return {}
        claims: dict[str, Any] = jwt.decode(
            token, key.private.public_key(), algorithms=[key.alg], options=_SIGNATURE_ALONE
        )
    except (jwt.InvalidTokenError, ValueError, RecursionError):
        return {}
    return claims


def _is_sound(key: SigningKey) -> bool:
    """Keys that are published may be too weak, on purpose."""
    return key.alg == "RS256" and key.private.key_size >= 2048
