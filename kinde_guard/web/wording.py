"""The words of a refusal: challenge (RFC 6750 §3, RFC 9728 §5.1) and problem body (RFC 9457), from plain values; and
how names, of which there may be hundreds, are put into any sentence. Pure.

It stands below the errors and knows none of them. The public text of a refusal is looked up here by its reason: nothing
from a token, an exception or a request enters it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from itertools import islice

REALM = "api"
FEW, MOST_OF_A_NAME = 3, 100
MEDIA_TYPE = "application/problem+json"
SCOPE_TOKEN = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")  # RFC 6749 §3.3: needs no escaping in a challenge

TEXTS = {
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
    "revoked": "The access token has been revoked.",
    "invalid_api_key": "The API key is not valid.",
    "wrong_api": "The API key is for another API.",
    "insufficient_scope": "The access token lacks a scope that this resource needs.",
    "missing_permission": "The access token lacks a permission that this resource needs.",
    "missing_role": "The access token lacks a role that this resource needs.",
    "wrong_org": "The access token does not belong to this organization.",
    "missing_flag": "A feature that this resource needs is not switched on for the caller.",
    "wrong_subject": "This resource is not for this kind of caller.",
    "keys_unavailable": "Access tokens cannot be verified at the moment.",
    "revocations_unavailable": "It cannot be told at the moment whether access tokens have been revoked.",
    "api_keys_unavailable": "API keys cannot be verified at the moment.",
}
_TITLES = {
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    503: "Service Unavailable",
}


def challenge(code: str, reason: str, scopes: tuple[str, ...] = (), metadata_url: str = "") -> str:
    """The WWW-Authenticate value: fixed words, scopes, and a URL that was checked at start-up; their alphabets need no
    escaping. *code* is empty where there were no credentials (RFC 6750 §3.1)."""
    params = {"realm": REALM}
    if code:
        params |= {"error": code, "error_description": TEXTS[reason]}
    if scopes:
        params["scope"] = " ".join(scopes)
    if metadata_url:
        params["resource_metadata"] = metadata_url
    return "Bearer " + ", ".join(f'{name}="{value}"' for name, value in params.items())


def problem(status: int, code: str, reason: str) -> bytes:
    """The body, with ``error`` for clients that look there."""
    title = _TITLES.get(status, "Refused")
    return json.dumps({"title": title, "status": status, "detail": TEXTS[reason], "error": code or reason}).encode()


def few(values: Collection[str], glue: str = ", ", last: str = " and ") -> str:
    """As many of *values* as a sentence can bear, none of them endless; and how many more there are."""
    named = glue.join(shortened(value, MOST_OF_A_NAME) for value in islice(values, FEW))
    return named if len(values) <= FEW else f"{named}{last}{len(values) - FEW:,} more"


def shortened(text: str, most: int) -> str:
    """*text*, if it is not longer in UTF-8 than *most* bytes; else its beginning."""
    data = text.encode("utf-8", "backslashreplace")
    return text if len(data) <= most else data[: most - len("…".encode())].decode("utf-8", "ignore") + "…"
