"""The paths of the endpoints."""

from __future__ import annotations

from collections.abc import Mapping

from ..tenant import Place

DISCOVERY_PATHS = ("/.well-known/openid-configuration", "/.well-known/oauth-authorization-server")
JWKS_PATHS = ("/.well-known/jwks", "/.well-known/jwks.json")  # Kinde's own material uses both
TOKEN_PATH = "/oauth2/token"  # noqa: S105  # a path
AUTH_PATH = "/oauth2/auth"
LOGOUT_PATH = "/logout"
PROFILE_PATH = "/oauth2/v2/user_profile"
REVOKE_PATH = "/oauth2/revoke"
PLACES: Mapping[str, Place] = {
    **dict.fromkeys(DISCOVERY_PATHS, "discovery"),
    **dict.fromkeys(JWKS_PATHS, "keys"),
    TOKEN_PATH: "token",
}
"""What can be broken, by path."""
