"""All of HTTP: an Authorization header in; status, challenge and problem body out (RFC 6750 §2.1 and §3, RFC 9457).

The public text of a refusal is looked up here by its reason. Nothing from a token, an exception or a URL enters it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from .errors import (
    AuthError,
    Forbidden,
    InsufficientScope,
    InvalidRequest,
    InvalidToken,
    KeysUnavailable,
    MissingToken,
    Reason,
)

REALM = "api"
Refusal = AuthError | KeysUnavailable

_CREDENTIALS = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]*)(.*)", re.S)  # RFC 9110 §11.4: a token, and the rest
_B64TOKEN = re.compile(r" +([A-Za-z0-9\-._~+/]+=*)")  # RFC 6750 §2.1

TEXTS: dict[Reason, str] = {
    "missing_token": "This resource needs an access token.",
    "invalid_request": "The Authorization header is not one bearer token.",
    "malformed": "The access token is not well formed.",
    "unsupported_algorithm": "The access token is signed with an algorithm that is not accepted.",
    "unsupported_header": "The access token has a header that is not accepted.",
    "wrong_token_type": "The token is not an access token.",
    "unknown_issuer": "The access token is from another issuer.",
    "wrong_audience": "The access token is for another audience.",
    "empty_audience": "The access token has no audience.",
    "wrong_client": "The access token was issued to a client that is not accepted.",
    "expired": "The access token has expired.",
    "not_yet_valid": "The access token is not valid yet.",
    "unknown_key": "The access token is signed with an unknown key.",
    "bad_signature": "The signature of the access token does not hold.",
    "insufficient_scope": "The access token lacks a scope that this resource needs.",
    "missing_permission": "The access token lacks a permission that this resource needs.",
    "missing_role": "The access token lacks a role that this resource needs.",
    "wrong_org": "The access token does not belong to this organization.",
    "missing_flag": "A feature that this resource needs is not switched on for the caller.",
    "wrong_subject": "This resource is not for this kind of caller.",
    "keys_unavailable": "Access tokens cannot be verified at the moment.",
}
_STATUS: tuple[tuple[type[Exception], int, str, str], ...] = (
    (MissingToken, 401, "Unauthorized", ""),  # RFC 6750 §3.1: no error code where there were no credentials
    (InvalidRequest, 400, "Bad Request", "invalid_request"),
    (InvalidToken, 401, "Unauthorized", "invalid_token"),
    (InsufficientScope, 403, "Forbidden", "insufficient_scope"),
    (Forbidden, 403, "Forbidden", "insufficient_scope"),
    (KeysUnavailable, 503, "Service Unavailable", ""),
)


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a refused request."""

    status: int
    headers: tuple[tuple[str, str], ...]
    """Without Content-Type and Content-Length, which belong to the body."""
    body: bytes
    media_type: str = "application/problem+json"

    @property
    def all_headers(self) -> tuple[tuple[str, str], ...]:
        return (*self.headers, ("Content-Type", self.media_type), ("Content-Length", str(len(self.body))))


def token_from(values: Sequence[str]) -> str:
    """The bearer token in *values*, all Authorization values of a request.

    Raises :class:`MissingToken` without bearer credentials, :class:`InvalidRequest` if they are not one token.
    """
    if len(values) > 1:
        raise InvalidRequest("there is more than one Authorization header")
    value = values[0].strip(" \t") if values else ""
    scheme, rest = _CREDENTIALS.fullmatch(value).groups()  # type: ignore[union-attr]  # it matches any text
    if scheme.lower() != "bearer":
        raise MissingToken()
    token = _B64TOKEN.fullmatch(rest)
    if token is None:
        raise InvalidRequest("the header is not `Bearer`, a space and one token")
    return token[1]


def answer(refusal: Refusal, metadata_url: str = "") -> Answer:
    """Status, headers and body for *refusal*; *metadata_url* is that of the resource, if it has any (RFC 9728)."""
    status, title, code = _status(refusal)
    body = {"title": title, "status": status, "detail": TEXTS[refusal.reason], "error": code or refusal.reason}
    return Answer(status, _headers(refusal, metadata_url), json.dumps(body).encode())


def status_of(refusal: Refusal) -> int:
    """The HTTP status for *refusal*."""
    return _status(refusal)[0]


def challenge(error: AuthError, metadata_url: str = "") -> str:
    """The WWW-Authenticate value (RFC 6750 §3, RFC 9728 §5.1): fixed words, our own scopes, and a URL that was checked
    at start-up; their alphabets need no escaping."""
    code = _status(error)[2]
    params = {"realm": REALM}
    if code:
        params |= {"error": code, "error_description": TEXTS[error.reason]}
    if isinstance(error, InsufficientScope):
        params["scope"] = " ".join(error.required)
    if metadata_url:
        params["resource_metadata"] = metadata_url
    return "Bearer " + ", ".join(f'{name}="{value}"' for name, value in params.items())


def _headers(refusal: Refusal, metadata_url: str) -> tuple[tuple[str, str], ...]:
    if isinstance(refusal, KeysUnavailable):
        return (("Retry-After", str(refusal.retry_after)), ("Cache-Control", "no-store"))
    return (("WWW-Authenticate", challenge(refusal, metadata_url)), ("Cache-Control", "no-store"))


def _status(refusal: Refusal) -> tuple[int, str, str]:
    return next((status, title, code) for kind, status, title, code in _STATUS if isinstance(refusal, kind))
