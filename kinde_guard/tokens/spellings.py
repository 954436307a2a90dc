"""How people who come from elsewhere write what they want of a token, and how it is written here. Loaded only where
somebody has written it the other way."""

from __future__ import annotations

_CLAIMS = {
    "sub": "token.subject",
    "user_id": "token.subject",
    "user": "token.subject",
    "azp": "token.client_id",
    "iss": "token.issuer",
    "aud": "token.audience",
    "exp": "token.expires_at",
    "iat": "token.issued_at",
    "jti": "token.token_id",
    "scope": "token.scopes",
    "scp": "token.scopes",
    "gty": "token.is_m2m",
    "permission": "token.permissions",
    "is_machine": "token.is_m2m",
    "machine": "token.is_m2m",
    "org": "token.org_code",
    "organization": "token.org_code",
    "org_id": "token.org_code",
    "org_codes": 'token.claims["org_codes"]',
    "payload": "token.claims",
}
_METHODS = {
    "get_claim": "token.claims.get(name)",
    "get_flag": "token.flag(key, default)",
    "get_organization": "token.org_code",
    "get_permission": "permission(key).met_by(token)",
    "get_permissions": "token.permissions",
    "has_permission": "permission(key).met_by(token)",
    "has_role": "role(key).met_by(token)",
    "has_scope": "scope(name).met_by(token)",
    "to_dict": "token.claims",
    "model_dump": "token.claims",
}
_PROFILE = {"email", "name", "given_name", "family_name", "picture", "preferred_email", "preferred_username"}
_TEXT = {"raw", "token", "jwt", "encoded"}


def attribute_for(name: str) -> str:
    """What to write in place of ``token.name``, for the end of a sentence; empty if nobody can tell."""
    if name in ("get", "items", "keys", "values"):
        return f": write token.claims.{name}(…), a plain dict"
    if name in _PROFILE:
        return (
            ": Kinde's access tokens have none. Ask Kinde's /oauth2/v2/user_profile, or your database by token.subject"
        )
    if name in _TEXT:
        return ": the text of a token is not kept"
    here = _CLAIMS.get(name) or _METHODS.get(name)
    if here or name.startswith("_"):
        return f": write {here}" if here else ""
    return f": write token.claims[{name!r}], if it is a claim"


def item_for(name: object, attributes: frozenset[str]) -> str:
    """What to write in place of ``token[name]``."""
    if name in attributes:
        return f"write token.{name}"
    here = _CLAIMS.get(str(name))
    return f"write {here}" if here else f"write token.claims[{name!r}]"
