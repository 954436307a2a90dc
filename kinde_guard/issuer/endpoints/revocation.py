"""``POST /oauth2/revoke`` (RFC 7009), for refresh tokens: an access token is good until it expires."""

from __future__ import annotations

from ..errors import OAuthError
from ..messages import NO_STORE, Request, Response
from ..tenant import Tenant
from .client_authentication import authenticated
from .parameters import Parameters


def revoke(tenant: Tenant, request: Request) -> Response:
    """200 for a token that is good no more, known or not (RFC 7009 §2.2)."""
    try:
        parameters = Parameters.of_body(request)
        app, token = authenticated(tenant, request, parameters), parameters.needed("token")
        if token.count(".") == 2:
            raise OAuthError("unsupported_token_type", "Access tokens cannot be revoked: whoever gets one asks nobody.")
        tenant.grants.revoke(token, app.client_id)
        tenant.journal.add("revoked", f"{app.name} revoked a refresh token", client_id=app.client_id)
    except OAuthError as error:
        return error.response
    return Response(200, {"content-length": "0", **NO_STORE})
