"""What a user of ``kinde_guard.django``, ``.drf`` and ``.ninja`` writes; mypy and pyright, both strict, say nothing but
where it is wrong."""

from __future__ import annotations

from typing import Any

from kinde_guard import machine, scope
from kinde_guard.django import (
    atoken_or_none,
    requires,
    requires_auth,
    requires_org,
    requires_permission,
    requires_role,
    requires_scope,
    token_or_none,
)
from kinde_guard.drf import HasOrg, HasScope, KindeUser, Requires
from kinde_guard.guard import GuardSettings
from kinde_guard.ninja import KindeAuth

KINDE_GUARD: GuardSettings = {"audience": "https://api.acme.com", "leeway": 5}


@requires_scope("read:users")
def users(request: Any) -> str:
    return ""


@requires_org(path="org_code")
@requires_role("clerk")
async def organization(request: Any, org_code: str) -> str:
    token = await atoken_or_none(request)
    return "nobody" if token is None else token.subject


@requires(scope("a") | machine)
@requires_permission("view:stats")
@requires_auth
def home(request: Any) -> str:
    token = token_or_none(request)
    return "nobody" if token is None else token.subject


permission_classes = (HasScope("read:users"), HasOrg(path="org_code"), Requires(scope("a") & machine))
auth = [KindeAuth(), KindeAuth(scope("read:users"))]


def staff(user: KindeUser) -> bool:
    return user.is_staff


requires_scope(users)  # type: ignore[arg-type]
HasScope(1)  # type: ignore[arg-type]
KindeAuth("read:users")  # type: ignore[arg-type]
KindeAuth(scopes="read:users")  # type: ignore[call-arg]
users(1, 2)  # type: ignore[call-arg]
requires_auth()  # type: ignore[call-arg]
requires("a")  # type: ignore[arg-type]
misspelt: GuardSettings = {"audiance": "https://api.acme.com"}  # type: ignore[typeddict-unknown-key]
