"""The endpoints: which there are, and what each answers. Pure but for the tokens that the issuer makes.

A new endpoint is a function and a line in :data:`ENDPOINTS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from . import authorization
from .faults import Place, spoilt
from .messages import MAX_BODY, Request, Response, error_response, json_response
from .profile import user_profile
from .revocation import revoke
from .signing_out import log_out
from .token_endpoint import token

if TYPE_CHECKING:
    from .local import LocalIssuer

Endpoint = Callable[["LocalIssuer", Request], Response]

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

_VISITED = (AUTH_PATH, LOGOUT_PATH)  # by browsers, and never read by a page of another origin: no CORS
_CORS = {"access-control-allow-origin": "*"}
_PREFLIGHT = {
    "access-control-allow-headers": "authorization, content-type, x-requested-with",
    "access-control-max-age": "600",
}


def discovery(issuer: LocalIssuer, request: Request) -> Response:
    """OpenID Connect Discovery 1.0 §3 and RFC 8414, member for member as Kinde's (September 2026); what the local one
    lacks is named, not served."""
    url = issuer.url
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


def jwks(issuer: LocalIssuer, request: Request) -> Response:
    """RFC 7517 §5."""
    return json_response(200, issuer.jwks())


ENDPOINTS: Mapping[str, Mapping[str, Endpoint]] = {
    **{path: {"GET": discovery} for path in DISCOVERY_PATHS},
    **{path: {"GET": jwks} for path in JWKS_PATHS},
    TOKEN_PATH: {"POST": token},
    AUTH_PATH: {"GET": authorization.ask, "POST": authorization.choose},
    LOGOUT_PATH: {"GET": log_out},
    PROFILE_PATH: {"GET": user_profile},
    REVOKE_PATH: {"POST": revoke},
}

DOWN = error_response(503, "temporarily_unavailable", "The local Kinde is down.")
BROKEN = error_response(503, "temporarily_unavailable", "The local Kinde is broken: this answer would not arrive.")


def respond(issuer: LocalIssuer, request: Request) -> Response:
    """The answer to *request*, readable by pages of any origin unless it is for people, and as broken as the issuer is
    told to be."""
    response, place = _routed(issuer, request), PLACES.get(request.path)
    if place is not None and request.method != "OPTIONS":
        response = spoilt(issuer, place, request, response)
    if request.path not in _VISITED:
        response = response.with_headers(_CORS)
    return response.without_body() if request.method == "HEAD" else response


def _routed(issuer: LocalIssuer, request: Request) -> Response:
    methods = ENDPOINTS.get(request.path)
    if methods is None:
        return error_response(404, "not_found", f"The local Kinde serves {', '.join(ENDPOINTS)} and nothing else.")
    allowed = ", ".join([*methods, *(["HEAD"] if "GET" in methods else []), "OPTIONS"])
    if request.method == "OPTIONS":
        preflight = {} if request.path in _VISITED else {"access-control-allow-methods": allowed, **_PREFLIGHT}
        return Response(204, {"allow": allowed, **preflight})
    endpoint = methods.get("GET" if request.method == "HEAD" else request.method)
    if endpoint is None:
        return error_response(405, "method_not_allowed", f"Here it is {allowed}.", {"allow": allowed})
    if len(request.body) > MAX_BODY:
        return error_response(413, "invalid_request", f"The body is larger than {MAX_BODY // 1024} KiB.")
    return endpoint(issuer, request)


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
