"""The paths of the endpoints."""

from __future__ import annotations

import re
from collections.abc import Mapping

from ..tenant import Place

DISCOVERY_PATHS = ("/.well-known/openid-configuration", "/.well-known/oauth-authorization-server")
JWKS_PATHS = ("/.well-known/jwks", "/.well-known/jwks.json")  # Kinde's own material uses both
TOKEN_PATH = "/oauth2/token"  # noqa: S105  # a path
AUTH_PATH = "/oauth2/auth"
LOGOUT_PATH = "/logout"
PROFILE_PATH = "/oauth2/v2/user_profile"
REVOKE_PATH = "/oauth2/revoke"
API_KEYS_PATH = "/api/v1/api_keys"
API_KEY_PATH = f"{API_KEYS_PATH}/{{key_id}}"
VERIFY_PATH = f"{API_KEYS_PATH}/verify"
APIS_PATH = "/api/v1/apis"
API_SCOPES_PATH = f"{APIS_PATH}/{{api_id}}/scopes"
_API_SCOPES = re.compile(rf"{APIS_PATH}/[^/]+/scopes")
_PLACES: Mapping[str, Place] = {
    **dict.fromkeys(DISCOVERY_PATHS, "discovery"),
    **dict.fromkeys(JWKS_PATHS, "keys"),
    TOKEN_PATH: "token",
    VERIFY_PATH: "verify",
    API_KEYS_PATH: "api_keys",
    API_KEY_PATH: "api_keys",
}


def place_of(path: str) -> Place | None:
    """What of a local Kinde is at *path*, if it can be broken."""
    return _PLACES.get(route_of(path))


def route_of(path: str) -> str:
    """The row of the table of endpoints that *path* belongs to: itself, unless there is an id in it."""
    if _API_SCOPES.fullmatch(path):
        return API_SCOPES_PATH
    above, _, key_id = path.rpartition("/")
    return API_KEY_PATH if above == API_KEYS_PATH and key_id and path != VERIFY_PATH else path
