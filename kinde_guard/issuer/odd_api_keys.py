"""Answers about API keys that no API may go by, each wrong in one respect."""

from __future__ import annotations

from collections.abc import Callable

from .api_key_answers import Json, shown, verification
from .api_keys import ApiKey, new_api_key_id, new_api_key_text
from .tenant import Tenant

Change = Callable[[Tenant, Json], Json]


def valid_yet_revoked(_: Tenant, answer: Json) -> Json:
    """It contradicts itself."""
    return {**answer, "is_valid": True, "status": "revoked"}


def is_valid_as_text(_: Tenant, answer: Json) -> Json:
    """Any text is true, to a careless reader."""
    return {**answer, "is_valid": str(answer.get("is_valid", False)).lower()}


def scopes_as_text(_: Tenant, answer: Json) -> Json:
    """In which a careless reader looks for parts of words."""
    scopes = answer.get("scopes")
    return {**answer, "scopes": " ".join(scopes) if isinstance(scopes, list) else "read:users"}


def no_scopes(_: Tenant, answer: Json) -> Json:
    """Neither granted nor refused."""
    return {name: value for name, value in answer.items() if name != "scopes"}


def other_key(tenant: Tenant, answer: Json) -> Json:
    """As right as can be, of a good key that is not the one in question."""
    asked = answer.get("api_key")
    named = answer.get("key_id") if asked is None else asked["id"] if isinstance(asked, dict) else None
    other = next((key for key in tenant.api_keys if key.id != named and key.status == "active"), _made_up(tenant))
    now = tenant.now()
    return verification(other, now) if asked is None else {**answer, "api_key": shown(other, now)}


def other_tenant(tenant: Tenant, answer: Json) -> Json:
    """Of a good key of somebody else's: nobody here knows it."""
    return verification(_made_up(tenant), tenant.now())


def no_api_ids(_: Tenant, answer: Json) -> Json:
    """Nobody can tell which API the key is for."""
    return _with_shown(answer, api_ids=None)


def other_api(_: Tenant, answer: Json) -> Json:
    """The key is for another API."""
    return _with_shown(answer, api_ids=["0" * 32])


def _with_shown(answer: Json, **members: object) -> Json:
    key = answer.get("api_key")
    return {**answer, "api_key": {**key, **members}} if isinstance(key, dict) else answer


def _made_up(tenant: Tenant) -> ApiKey:
    """A good key for the sample API, which is not kept: nobody has its text."""
    text, api = new_api_key_text(), tenant.registry.apis[0]
    return ApiKey(
        id=new_api_key_id(),
        name="Somebody else's",
        api_id=api.id,
        scopes=api.scopes,
        user_id="kp_ffffffffffffffffffffffffffffffff",
        key_prefix=text[:6],
        key_suffix=text[-4:],
        created_at=tenant.now(),
    )
