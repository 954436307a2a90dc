"""``/.well-known/jwks``: the keys that tokens are checked with."""

from __future__ import annotations

from ..messages import Request, Response, json_response
from ..tenant import Tenant


def jwks(tenant: Tenant, request: Request) -> Response:
    """The JWK Set (RFC 7517 §5)."""
    return json_response(200, tenant.jwks())
