"""The table of endpoints: what each path answers to each method. A new endpoint is a file and a line here."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ..faults import spoilt
from ..messages import MAX_BODY, Request, Response, error_response
from ..tenant import Tenant
from . import api_keys, apis, authorization
from .discovery import discovery
from .jwks import jwks
from .logout import log_out
from .paths import (
    API_KEY_PATH,
    API_KEYS_PATH,
    API_SCOPES_PATH,
    APIS_PATH,
    AUTH_PATH,
    DISCOVERY_PATHS,
    JWKS_PATHS,
    LOGOUT_PATH,
    PROFILE_PATH,
    REVOKE_PATH,
    TOKEN_PATH,
    VERIFY_PATH,
    place_of,
    route_of,
)
from .profile import user_profile
from .revocation import revoke
from .token import token

Endpoint = Callable[[Tenant, Request], Response]

# Visited by browsers, or asked by APIs alone: never read by a page of another origin, so no CORS.
_UNREAD = (AUTH_PATH, LOGOUT_PATH, VERIFY_PATH, API_KEYS_PATH, API_KEY_PATH, APIS_PATH, API_SCOPES_PATH)
_CORS = {"access-control-allow-origin": "*"}
_PREFLIGHT = {
    "access-control-allow-headers": "authorization, content-type, x-requested-with",
    "access-control-max-age": "600",
}

ENDPOINTS: Mapping[str, Mapping[str, Endpoint]] = {
    **{path: {"GET": discovery} for path in DISCOVERY_PATHS},
    **{path: {"GET": jwks} for path in JWKS_PATHS},
    TOKEN_PATH: {"POST": token},
    AUTH_PATH: {"GET": authorization.ask, "POST": authorization.choose},
    LOGOUT_PATH: {"GET": log_out},
    PROFILE_PATH: {"GET": user_profile},
    REVOKE_PATH: {"POST": revoke},
    VERIFY_PATH: {"POST": api_keys.verify},
    API_KEYS_PATH: api_keys.ALL_OF_THEM,
    API_KEY_PATH: api_keys.ONE_OF_THEM,
    APIS_PATH: apis.APIS,
    API_SCOPES_PATH: apis.SCOPES,
}


def respond(tenant: Tenant, request: Request) -> Response:
    """The answer to *request*, readable by pages of any origin unless it is for people, and as broken as *tenant* is
    told to be."""
    response, place = _routed(tenant, request), place_of(request.path)
    if place is not None and request.method != "OPTIONS":
        response = spoilt(tenant, place, request, response)
    if route_of(request.path) not in _UNREAD:
        response = response.with_headers(_CORS)
    return response.without_body() if request.method == "HEAD" else response


def _routed(tenant: Tenant, request: Request) -> Response:
    methods = ENDPOINTS.get(route_of(request.path))
    if methods is None:
        return error_response(404, "not_found", f"The local Kinde serves {', '.join(ENDPOINTS)} and nothing else.")
    allowed = ", ".join([*methods, *(["HEAD"] if "GET" in methods else []), "OPTIONS"])
    if request.method == "OPTIONS":
        preflight = {} if route_of(request.path) in _UNREAD else {"access-control-allow-methods": allowed, **_PREFLIGHT}
        return Response(204, {"allow": allowed, **preflight})
    endpoint = methods.get("GET" if request.method == "HEAD" else request.method)
    if endpoint is None:
        return error_response(405, "method_not_allowed", f"Here it is {allowed}.", {"allow": allowed})
    if len(request.body) > MAX_BODY:
        return error_response(413, "invalid_request", f"The body is larger than {MAX_BODY // 1024} KiB.")
    return endpoint(tenant, request)
