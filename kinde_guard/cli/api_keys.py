"""What the commands need to judge an API key: a guard that asks Kinde, by the settings that an API has."""

from __future__ import annotations

from typing import Any

from ..api_keys import ApiKeys
from ..guard import Guard
from ..m2m import ClientCredentials
from ..m2m.token_request import Application


def guard_for_keys(domains: list[str] | None, **settings: Any) -> Guard:
    """A guard that takes API keys, too. It asks by ``KINDE_M2M_CLIENT_ID`` and its secret, about keys for the APIs of
    ``KINDE_API_IDS``; what is missing is a ``ConfigurationError`` that names it."""
    transport = settings.get("transport")
    named = domains[0] if domains else None
    issuer = Application.load(named, client_id=None, client_secret=None, audience="any", scopes=None).issuer
    auth = ClientCredentials(
        issuer, audience=f"{issuer}/api", scopes="read:api_keys", shared=False, transport=transport
    )
    return Guard(domains or None, api_keys=ApiKeys(auth, transport=transport), **settings)
