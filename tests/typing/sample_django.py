"""What a user of ``kinde_guard.django`` writes; mypy and pyright say nothing but where it is wrong."""

from __future__ import annotations

from typing import Any

from kinde_guard import permission, scope
from kinde_guard.django import atoken_or_none, requires, requires_auth, requires_org, requires_scope, token_or_none
from kinde_guard.guard import GuardSettings

KINDE_GUARD: GuardSettings = {"audience": "https://api.acme.com", "leeway": 5}


@requires_scope("read:users")
def users(request: Any) -> str:
    return str(request.kinde_token.client_id)


@requires_org(path="org_code")
async def report(request: Any, org_code: str) -> str:
    token = await atoken_or_none(request)
    return org_code if token is None else token.subject


@requires(scope("a") | permission("b"))
def either(request: Any) -> str:
    token = token_or_none(request)
    return "nobody" if token is None else token.subject


users(1, 2)  # type: ignore[call-arg]
requires_auth()  # type: ignore[call-arg]
requires_scope(users)  # type: ignore[arg-type]
requires("a")  # type: ignore[arg-type]
misspelt: GuardSettings = {"audiance": "https://api.acme.com"}  # type: ignore[typeddict-unknown-key]
