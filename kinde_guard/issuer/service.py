"""What a local Kinde answers: the one way in for sockets and for callers in the same process."""

from __future__ import annotations

from email.utils import formatdate

from . import exchanges
from .endpoints import table
from .endpoints.paths import JWKS_PATHS, TOKEN_PATH, VERIFY_PATH
from .messages import Request, Response, error_response
from .tenant import Tenant

DOWN = error_response(503, "temporarily_unavailable", "The local Kinde is down.")
BROKEN = error_response(503, "temporarily_unavailable", "The local Kinde is broken: this answer would not arrive.")


def answer(tenant: Tenant, request: Request) -> Response | None:
    """The answer to *request*, which is counted and written down; ``None`` while down, when there is nobody to answer.

    Its ``delivery`` is for the caller to carry out.
    """
    _count(tenant, request)
    response = None
    if not tenant.down:
        response = table.respond(tenant, request).with_headers({"date": formatdate(tenant.now(), usegmt=True)})
    exchanges.note(tenant, request, response)
    return response


def respond(tenant: Tenant, request: Request) -> Response:
    """The answer to *request*; 503 while down, and for an answer that a fault keeps from arriving whole."""
    response = answer(tenant, request)
    if response is None:
        return DOWN
    return response if response.delivery == "whole" else BROKEN


def _count(tenant: Tenant, request: Request) -> None:
    if request.path in JWKS_PATHS and request.method in ("GET", "HEAD"):
        tenant.count_jwks_fetch()
    elif request.path == TOKEN_PATH and request.method == "POST":
        tenant.count_token_request()
    elif request.path == VERIFY_PATH and request.method == "POST":
        tenant.count_api_key_verification()
