"""What Kinde's Management API says of API keys, as JSON: docs.kinde.com/kinde-apis/management, API keys."""

from __future__ import annotations

import time

from .api_keys import ApiKey

Json = dict[str, object]


def verification(key: ApiKey | None, now: float) -> Json:
    """Whether an API has to let in who sent *key*; ``None``: there is no such key.

    Kinde documents the codes of what went well alone, and nothing of a key that it does not know: readers go by
    ``is_valid`` and ``status``.
    """
    if key is None:
        return {"code": "API_KEY_INVALID", "message": "API key is not valid", "is_valid": False}
    status = key.status_at(now)
    good = status == "active"
    return {
        "code": "API_KEY_VERIFIED" if good else "API_KEY_INVALID",
        "message": "API key verified" if good else "API key is not valid",
        "is_valid": good,
        "key_id": key.id,
        "status": status,
        "scopes": list(key.scopes),
        "org_code": key.org_code,
        "user_id": key.user_id,
        "last_verified_on": _date(key.last_verified_at),
        "verification_count": key.verification_count,
        **_end(key),
    }


def shown(key: ApiKey, now: float) -> Json:
    """What there is to know of *key* but for its text."""
    return {
        **listed(key, now),
        "verification_count": key.verification_count,
        "organization_id": key.org_code,
        "user_id": key.user_id,
    }


def listed(key: ApiKey, now: float) -> Json:
    """The same, as far as the list of keys has it."""
    return {
        "id": key.id,
        "name": key.name,
        "type": key.key_type,
        "status": key.status_at(now),
        "key_prefix": key.key_prefix,
        "key_suffix": key.key_suffix,
        "created_on": _date(key.created_at),
        "last_verified_on": _date(key.last_verified_at),
        "last_verified_ip": key.last_verified_ip,
        "created_by": None,
        "api_ids": [key.api_id],
        "scopes": list(key.scopes),
        **_end(key),
    }


def _end(key: ApiKey) -> Json:
    return {} if key.expires_at is None else {"expires_on": _date(key.expires_at)}


def _date(seconds: float | None) -> str | None:
    """With the hours of the offset alone, as Kinde writes it."""
    return None if seconds is None else time.strftime("%Y-%m-%dT%H:%M:%S+00", time.gmtime(seconds))
