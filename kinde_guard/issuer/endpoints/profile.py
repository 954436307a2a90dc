"""``/oauth2/v2/user_profile`` (OpenID Connect Core §5.3): who the access token is for."""

from __future__ import annotations

from ..messages import NO_STORE, Request, Response, error_response, json_response
from ..tenant import Tenant
from ..users import User
from .access_token import claims_of

_REFUSED = "The access token is not a user's, not valid any more, or not from here."


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
    subject = claims_of(tenant, token).get("sub")
    return tenant.registry.user(subject) if isinstance(subject, str) else None
