"""``POST /oauth2/token`` (RFC 6749 §3.2) with Kinde's parameters and Kinde's error codes.

docs.kinde.com/machine-to-machine-applications/troubleshooting-m2m/troubleshoot-m2m-token-errors

A new grant type is a function and a line in :data:`GRANT_TYPES`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ..errors import OAuthError
from ..messages import NO_STORE, Request, Response, json_response
from ..registry import App
from ..tenant import Tenant
from .client_authentication import authenticated
from .parameters import Parameters
from .user_grants import NOT_AUTHORISED, authorization_code, refresh_token


def token(tenant: Tenant, request: Request) -> Response:
    """A token for the app that asks, or an error of RFC 6749 §5.2."""
    try:
        parameters = Parameters.of_body(request)
        grant_type = GRANT_TYPES.get(parameters.one("grant_type") or "")
        if grant_type is None:  # RFC 6749 §5.2 has unsupported_grant_type for this; Kinde says invalid_request
            raise OAuthError(
                "invalid_request", f"grant_type is missing or unsupported: send {' or '.join(GRANT_TYPES)}."
            )
        return json_response(200, grant_type(tenant, authenticated(tenant, request, parameters), parameters), NO_STORE)
    except OAuthError as error:
        return error.response


def client_credentials(tenant: Tenant, app: App, parameters: Parameters) -> dict[str, object]:
    """A token of the app itself (RFC 6749 §4.4), with Kinde's ``audience``."""
    if app.client_secret is None:
        raise OAuthError("unauthorized_client", "A front-end app gets tokens for people alone (RFC 6749 §4.4).")
    audience = parameters.words("audience")
    if tenant.audience_required and not audience:
        raise OAuthError("invalid_request", "audience is missing: send the audience of the API that the token is for.")
    asked = list(dict.fromkeys((parameters.one("scope") or "").split()))
    allowed = _allowed(tenant, app, audience)
    if not set(asked) <= set(allowed):
        raise OAuthError("invalid_scope", "A scope is not the API's, or not assigned to the app (Kinde: app, Scopes).")
    scope = " ".join(asked or allowed)
    # Kinde: "scope" is what was granted, "scp" what the request asked for: empty if it asked for nothing in particular.
    access_token = tenant.m2m_token(app, audience=audience, scope=scope, scp=asked)
    return {"access_token": access_token, "expires_in": int(app.lifetime), "scope": scope, "token_type": "bearer"}


GrantType = Callable[[Tenant, App, Parameters], dict[str, object]]
GRANT_TYPES: Mapping[str, GrantType] = {
    "client_credentials": client_credentials,
    "authorization_code": authorization_code,
    "refresh_token": refresh_token,
}


def _allowed(tenant: Tenant, app: App, audience: list[str]) -> list[str]:
    """Every scope that *app* may have of the APIs it asks for."""
    allowed: dict[str, None] = {}
    for name in audience:
        scopes = tenant.registry.granted(app, name)
        if scopes is None:
            raise OAuthError("unauthorized_client", NOT_AUTHORISED)
        allowed.update(dict.fromkeys(scopes))
    return list(allowed)
