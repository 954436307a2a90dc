"""``/oauth2/v2/user_profile`` (OpenID Connect Core §5.3): who the access token is for."""

from __future__ import annotations

from typing import Any

import jwt

from ..keys import SigningKey
from ..messages import NO_STORE, Request, Response, error_response, json_response
from ..tenant import Tenant
from ..users import User

_REFUSED = "The access token is not a user's, not valid any more, or not from here."
_SIGNATURE_ALONE: Any = {
    f"verify_{claim}": False for claim in ("aud", "exp", "iat", "iss", "jti", "nbf", "sub")
}  # PyJWT goes by another clock


def user_profile(tenant: Tenant, request: Request) -> Response:
    """The profile of the user, or an error of RFC 6750 §3."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        return _refused("Bearer", "An access token is missing: send Authorization: Bearer ….")
    user = _user(tenant, token.strip())
    if user is None:
        return _refused(f'Bearer error="invalid_token", error_description="{_REFUSED}"', _REFUSED)
    return json_response(200, _profile(user), NO_STORE)


def _refused(challenge: str, description: str) -> Response:
    return error_response(401, "invalid_token", description, {"www-authenticate": challenge, **NO_STORE})


def _profile(user: User) -> dict[str, object]:
    return {
        "id": user.id,
        "sub": user.id,
        "provided_id": None,
        "name": user.name,
        "given_name": user.given_name,
        "family_name": user.family_name,
        "email": user.email,
        "email_verified": True,
        "picture": user.picture,
        "preferred_username": None,
    }


def _user(tenant: Tenant, token: str) -> User | None:
    """The user whose access token it is; ``None`` if it is not one that counts here."""
    claims = _claims(tenant, token)
    begins, expires, subject = claims.get("nbf", 0), claims.get("exp"), claims.get("sub")
    if not isinstance(begins, int | float) or not isinstance(expires, int | float) or not isinstance(subject, str):
        return None
    if not begins <= tenant.now() < expires:
        return None
    if claims.get("iss") != tenant.url or "at_hash" in claims:  # an ID token opens nothing
        return None
    return tenant.registry.user(subject)


def _claims(tenant: Tenant, token: str) -> dict[str, Any]:
    """What a token that was signed here says; nothing for any other."""
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
