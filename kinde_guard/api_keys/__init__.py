"""Kinde's API keys (``k_live_…``) as a second kind of credential, beside access tokens.

    management = ClientCredentials(audience="https://acme.kinde.com/api", scopes="read:api_keys")
    guard = Guard("acme.kinde.com", audience="https://api.acme.com", api_keys=ApiKeys(management, api_ids="…"))

An API key is no token that could be verified here: Kinde is asked, once a minute for each key, and an
:class:`~kinde_guard.AccessToken` comes of it, so that requirements and adapters are as they are.
"""

from __future__ import annotations

from .health import ApiKeysHealth
from .keys import ApiKeys

__all__ = ["ApiKeys", "ApiKeysHealth"]
