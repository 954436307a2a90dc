"""What handwritten checks do with a request and with claims."""

from __future__ import annotations

from typing import Any

SCOPE = "read:users"


def bearer(header: str) -> str:
    """The token in an Authorization header."""
    kind, _, token = header.partition(" ")
    if kind.lower() != "bearer" or not token:
        raise ValueError("no bearer token")
    return token


def scopes(claims: Any) -> list[str]:
    """The scopes of claims: those of joserfc and Authlib are dicts too, fastmcp has an object."""
    claims = getattr(claims, "claims", claims)
    return str(claims.get("scope", "")).split()
