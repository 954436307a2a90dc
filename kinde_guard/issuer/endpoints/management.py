"""What the endpoints of Kinde's Management API have in common: who may call them, JSON in, and their errors.

docs.kinde.com/developer-tools/kinde-api/connect-to-kinde-api
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from ...errors import ConfigurationError
from ..errors import OAuthError
from ..messages import NO_STORE, Request, Response, json_response
from ..tenant import Tenant
from .access_token import claims_of

Answered = Callable[[Tenant, Request], Response]


class ManagementError(Exception):
    """An error of the Management API: a status, a code for programs and words for people, which never repeat what was
    sent."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(code)
        self.response: Response = management_error(status, code, message)


def management_error(status: int, code: str, message: str, headers: dict[str, str] | None = None) -> Response:
    """An error in the form that Kinde's Management API has: of ``errors`` 404 has one, all others have a list."""
    error = {"code": code, "message": message}
    return json_response(status, {"errors": error if status == 404 else [error]}, {**NO_STORE, **(headers or {})})


def scope_missing(scope: str) -> Response:
    """403, for a token that was not granted *scope*."""
    return management_error(403, "SCOPE_MISSING", f"Scope missing: {scope}")


def token_refused() -> Response:
    """401, for a token that is none of the Management API's."""
    return management_error(401, "TOKEN_INVALID", "The access token is missing, expired, or not for this API.")


def managed(endpoint: Answered, scope: str) -> Answered:
    """*endpoint*, for apps whose token is for the Management API and was granted *scope*, with its errors answered."""

    def answered(tenant: Tenant, request: Request) -> Response:
        return refused(tenant, request, scope) or answered_or_error(endpoint, tenant, request)

    return answered


def refused(tenant: Tenant, request: Request, scope: str) -> Response | None:
    """Why the caller may not; ``None`` if it may."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    claims = claims_of(tenant, token.strip()) if scheme.lower() == "bearer" else {}
    if tenant.management_audience not in _texts(claims.get("aud")):
        return token_refused()
    return None if scope in str(claims.get("scope", "")).split() else scope_missing(scope)


def answered_or_error(endpoint: Answered, tenant: Tenant, request: Request) -> Response:
    """The answer of *endpoint*, or the error that it raises."""
    try:
        return endpoint(tenant, request)
    except ManagementError as error:
        return error.response
    except ConfigurationError as error:
        return management_error(400, "INVALID_REQUEST", f"{error}.")
    except OAuthError as error:
        return management_error(400, "INVALID_REQUEST", error.description)


def body_of(request: Request) -> dict[str, Any]:
    """The JSON object that was sent."""
    try:
        body = json.loads(request.body)
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        raise ManagementError(400, "INVALID_REQUEST", "The body must be a JSON object.")
    return body


def text_in(body: dict[str, Any], name: str) -> str | None:
    """The text that *body* has of that name; ``None`` if there is none."""
    value = body.get(name)
    if value is not None and (not isinstance(value, str) or not value):
        raise ManagementError(400, "INVALID_REQUEST", f"{name} must be text.")
    return value


def needed_text_in(body: dict[str, Any], name: str) -> str:
    """The text that *body* must have of that name."""
    value = text_in(body, name)
    if value is None:
        raise ManagementError(400, "INVALID_REQUEST", f"{name} is missing.")
    return value


def _texts(audience: object) -> list[object]:
    return audience if isinstance(audience, list) else [audience]
