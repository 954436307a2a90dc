"""What a route demands of a token: ``scope("read:users") & org("org_1") | permission("users:read")``.

A requirement is a value: it is built at import, combined with ``&`` and ``|``, and asked for its *refusal* of a token.
"""

from __future__ import annotations

from .text import DEEPEST_TEXT, LONGEST_TEXT, SPELLED_ALONE, SPELLED_WITH_A_NAME, SPELLINGS, parse
from .values import (
    NOT_PERMITTED,
    OIDC_SCOPES_ALONE,
    AllOf,
    AnyOf,
    ClaimRequirement,
    OrgInPath,
    Requirement,
    Scopes,
    authenticated,
    flag,
    machine,
    org,
    org_of_route,
    permission,
    role,
    scope,
    user,
)

__all__ = [
    "DEEPEST_TEXT",
    "LONGEST_TEXT",
    "NOT_PERMITTED",
    "OIDC_SCOPES_ALONE",
    "SPELLED_ALONE",
    "SPELLED_WITH_A_NAME",
    "SPELLINGS",
    "AllOf",
    "AnyOf",
    "ClaimRequirement",
    "OrgInPath",
    "Requirement",
    "Scopes",
    "authenticated",
    "flag",
    "machine",
    "org",
    "org_of_route",
    "parse",
    "permission",
    "role",
    "scope",
    "user",
]
