"""What a type checker must refuse: each ``type: ignore`` below is used, or mypy (``warn_unused_ignores``) complains.

Never run; the lines without one show what it must accept.
"""

from __future__ import annotations

from typing import Any, assert_type

from kinde_guard import (
    AccessToken,
    AuthError,
    Guard,
    InvalidToken,
    KeysUnavailable,
    Requirement,
    flag,
    machine,
    org,
    permission,
    role,
    scope,
    user,
)

guard = Guard("acme.kinde.com", audience="https://api.acme.com", clients=("a",), leeway=0.5)
Guard(["acme.kinde.com", "account.acme.com"], audience=None, clients=["a"])
Guard(issuer="https://acme.kinde.com")  # type: ignore[call-arg]
Guard("acme.kinde.com", "https://api.acme.com")  # type: ignore[call-arg]
Guard(audience=1)  # type: ignore[arg-type]
Guard(leeway="30")  # type: ignore[arg-type]
Guard(algorithms=256)  # type: ignore[arg-type]
Guard(transport="http://proxy")  # type: ignore[arg-type]
Guard(verify=False)  # type: ignore[call-arg]

token = guard.verify("eyJ…")
assert_type(token, AccessToken)
guard.verify(b"eyJ")  # type: ignore[arg-type]
guard.verify(None)  # type: ignore[arg-type]
guard.verify("eyJ…", verify_signature=False)  # type: ignore[call-arg]


async def awaits() -> None:
    assert_type(await guard.averify("eyJ…"), AccessToken)
    print(guard.averify("eyJ…").subject)  # type: ignore[attr-defined]
    await guard.verify("eyJ…")  # type: ignore[misc]


assert_type(token.subject, str)
assert_type(token.client_id, str | None)
assert_type(token.scopes, frozenset[str])
assert_type(token.audience, tuple[str, ...])
assert_type(token.org_code, str | None)
assert_type(token.issued_at, float | None)
assert_type(token.expires_at, float)
assert_type(token.claims, dict[str, Any])
token.org_code.upper()  # type: ignore[union-attr]
token.scopes.add("admin")  # type: ignore[attr-defined]
token.subject = "somebody else"  # type: ignore[misc]
print(token.made_up)  # type: ignore[attr-defined]
print(token.scope)  # type: ignore[attr-defined]
AccessToken(subject="somebody")  # type: ignore[call-arg]

demand: Requirement = scope("a", "b") & permission("p") | role("r") & (org("o") | flag("f", 1)) & machine | user
token.require(demand)
assert_type(demand.met_by(token), bool)
token.require("read:users")  # type: ignore[arg-type]
demand & "read:users"  # type: ignore[operator]
scope(["read:users"])  # type: ignore[arg-type]
org()  # type: ignore[call-arg]
flag(True)  # type: ignore[arg-type]
token.require(scope)  # type: ignore[arg-type]


def reasons(error: AuthError, other: KeysUnavailable) -> None:
    assert_type(other.retry_after, int)
    if error.reason == "token_expired":  # type: ignore[comparison-overlap]
        return
    if error.reason == "expired":
        return
    print(error.required)  # type: ignore[attr-defined]
    InvalidToken("missing_role")  # type: ignore[arg-type]
    InvalidToken("made up")  # type: ignore[arg-type]
