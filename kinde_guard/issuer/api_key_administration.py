"""What is done with API keys in Kinde, by its dashboard, its Management API or a user's own page."""

from __future__ import annotations

from collections.abc import Iterable

from ..errors import ConfigurationError
from .api_keys import ApiKey, NewApiKey, new_api_key_id, new_api_key_text
from .names import line, word, words
from .registry import Api
from .tenant import Tenant

_LONGEST = 1e10  # centuries
_SHOWN = 5


def create(
    tenant: Tenant,
    name: str,
    *,
    api: Api,
    scopes: Iterable[str] | None,
    user_id: str | None,
    org_code: str | None,
    lifetime: float | None = None,
) -> NewApiKey:
    """A new key for *api*, with some of its *scopes* or (``None``) with all that it has now, for *lifetime* seconds."""
    text, now = new_api_key_text(), tenant.now()
    key = NewApiKey(
        id=new_api_key_id(),
        name=line("the name of an API key", name),
        api_id=api.id,
        scopes=_scopes(api, scopes),
        user_id=None if user_id is None else _user(tenant, user_id),
        org_code=None if org_code is None else word("an organization's code", org_code),
        key_prefix=text[:6],
        key_suffix=text[-4:],
        created_at=now,
        expires_at=None if lifetime is None else now + _seconds(lifetime),
        key=text,
    )
    tenant.api_key_store.add(key)
    details = {"key_id": key.id, "audience": api.audience, "scopes": key.scopes, "owner": owner_of(key)}
    tenant.journal.add("api_key_created", f"an API key for {api.audience} is made", **details)
    return key


def rotate(tenant: Tenant, key_id: str) -> NewApiKey:
    """The key of that id has another text from now on, and the old one opens nothing."""
    text = new_api_key_text()
    key = tenant.api_key_store.known(key_id)
    if key.status == "revoked":
        raise ConfigurationError("the API key is revoked: make another one")
    kept = {name: getattr(key, name) for name in ApiKey.__dataclass_fields__}
    rotated = NewApiKey(**{**kept, "key_prefix": text[:6], "key_suffix": text[-4:]}, key=text)
    tenant.api_key_store.add(rotated)
    tenant.journal.add("api_key_rotated", "an API key has another text", key_id=key.id)
    return rotated


def revoke(tenant: Tenant, key_id: str) -> ApiKey:
    """The key of that id is good no more, for ever."""
    key = tenant.api_key_store.mark(key_id, "revoked")
    tenant.journal.add("api_key_revoked", "an API key is revoked", key_id=key.id)
    return key


def deactivate(tenant: Tenant, key_id: str) -> ApiKey:
    """The key of that id is not good for now. A revoked one stays revoked."""
    if tenant.api_key_store.known(key_id).status == "revoked":
        raise ConfigurationError("the API key is revoked already")
    key = tenant.api_key_store.mark(key_id, "inactive")
    tenant.journal.add("changed", "an API key is inactive", key_id=key.id)
    return key


def verified(tenant: Tenant, text: str, ip: str | None) -> ApiKey | None:
    """The key with that text, its use counted if it is good; ``None`` if there is none."""
    key = tenant.api_key_store.of(text)
    if key is None or key.status_at(tenant.now()) != "active":
        return key
    return tenant.api_key_store.count(key.id, tenant.now(), ip)


def id_of(tenant: Tenant, key: ApiKey | str) -> str:
    """The id of *key*: of a value, or of one by its text or its id."""
    if isinstance(key, ApiKey):
        return key.id
    found = tenant.api_key_store.of(key)
    return key if found is None else found.id


def owner_of(key: ApiKey) -> str:
    """Whose *key* is, for people to read."""
    return key.user_id or key.org_code or "the environment"


def _scopes(api: Api, scopes: Iterable[str] | None) -> tuple[str, ...]:
    if scopes is None:
        return api.scopes
    chosen = words("a scope", scopes)
    unknown = sorted(set(chosen).difference(api.scopes))
    if unknown:
        known = f"it has {' '.join(api.scopes)}" if api.scopes else "it has none"
        raise ConfigurationError(f"the API {api.audience!r} has no scope {' '.join(unknown)!r}: {known}")
    return chosen


def _seconds(lifetime: float) -> float:
    if isinstance(lifetime, bool) or not isinstance(lifetime, int | float) or not 0 <= lifetime <= _LONGEST:
        raise ConfigurationError(f"the lifetime of an API key must be a number of seconds, not {lifetime!r}")
    return lifetime


def _user(tenant: Tenant, user_id: str) -> str:
    if tenant.registry.user(user_id) is None:
        known = ", ".join(user.id for user in tenant.registry.users[:_SHOWN])
        raise ConfigurationError(f"there is no user {user_id!r}: use one of {known or 'none'}, or add_user(…) first")
    return user_id
