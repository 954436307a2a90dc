"""``POST /oauth2/revoke`` (RFC 7009), for refresh tokens: an access token is good until it expires."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .forms import NO_STORE, Form, Refused
from .messages import Request, Response
from .token_endpoint import authenticated

if TYPE_CHECKING:
    from .local import LocalIssuer


def revoke(issuer: LocalIssuer, request: Request) -> Response:
    """200 for a token that is good no more, known or not (RFC 7009 §2.2)."""
    try:
        form = Form.of_body(request)
        app, token = authenticated(issuer, request, form), form.needed("token")
        if token.count(".") == 2:
            raise Refused("unsupported_token_type", "Access tokens cannot be revoked: whoever gets one asks nobody.")
        issuer.grants.revoke(token, app.client_id)
        issuer.journal.add("revoked", f"{app.name} revoked a refresh token", client_id=app.client_id)
    except Refused as refused:
        return refused.response
    return Response(200, {"content-length": "0", **NO_STORE})
