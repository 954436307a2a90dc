"""``/.well-known/openid-configuration`` (OpenID Connect Discovery 1.0 §4): where everything is."""

from __future__ import annotations

from ..messages import Request, Response, json_response
from ..tenant import Tenant
from .paths import AUTH_PATH, JWKS_PATHS, LOGOUT_PATH, PROFILE_PATH, REVOKE_PATH, TOKEN_PATH


def discovery(tenant: Tenant, request: Request) -> Response:
    """The metadata (§3, RFC 8414), member for member as Kinde's (September 2026).

    What the local one lacks is named, not served.
    """
    url = tenant.url
    return json_response(
        200,
        {
            "issuer": url,
            "jwks_uri": f"{url}{JWKS_PATHS[0]}",
            "token_endpoint": f"{url}{TOKEN_PATH}",
            "authorization_endpoint": f"{url}{AUTH_PATH}",
            "userinfo_endpoint": f"{url}{PROFILE_PATH}",
            "introspection_endpoint": f"{url}/oauth2/introspect",
            "revocation_endpoint": f"{url}{REVOKE_PATH}",
            "end_session_endpoint": f"{url}{LOGOUT_PATH}",
            **_SUPPORTED,
        },
    )


_SUPPORTED = {
    "claims_supported": ["aud", "exp", "iat", "iss", "sub"],
    "scopes_supported": ["address", "email", "event_hooks", "offline", "openid", "phone", "profile"],
    "subject_types_supported": ["public"],
    "response_modes_supported": ["form_post", "query", "fragment"],
    "response_types_supported": ["code"],
    "request_uri_parameter_supported": False,
    "code_challenge_methods_supported": ["S256"],
    "id_token_signing_alg_values_supported": ["RS256"],
    "token_endpoint_auth_methods_supported": ["client_secret_post"],
}
