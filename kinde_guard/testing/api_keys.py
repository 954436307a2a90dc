"""Kinde's API keys in tests: made by an issuer that lives in the test, and asked about there without a socket."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..api_keys import ApiKeys
from ..issuer import LocalIssuer, User
from ..m2m import ClientCredentials
from .tokens import Texts


def mint_api_key(
    issuer: LocalIssuer,
    *,
    scope: Texts = (),
    subject: str | None = None,
    org_code: str | None = None,
    audience: str | None = None,
    lifetime: float | None = None,
) -> str:
    """The text of an API key by *issuer*. It is a user's if it has a *subject*, an organization's
    if it has an *org_code*, and has the scopes in *scope*.

    *audience*: of the API that it opens, if not the issuer's sample one. *lifetime*: seconds, or for ever. It is ended
    by ``issuer.revoke_api_key(key)``. A scope, a user or an API that the issuer does not know yet is added to it.
    """
    scopes = scope.split() if isinstance(scope, str) else list(scope)
    wanted = issuer.audience if audience is None else audience
    api = issuer.registry.api(wanted)
    issuer.add_api(wanted, dict.fromkeys([*(api.scopes if api else ()), *scopes]))
    if subject is not None and issuer.registry.user(subject) is None:
        issuer.registry.add_user(User(subject, "", "", "somebody@example.com"))
    made = issuer.create_api_key(audience=wanted, scopes=scopes, user=subject, org_code=org_code, lifetime=lifetime)
    return made.key


def api_keys_for(issuer: LocalIssuer, **settings: Any) -> ApiKeys:
    """An :class:`~kinde_guard.api_keys.ApiKeys` that asks *issuer* about keys for its sample API, without a socket.

    *settings* are those of :class:`~kinde_guard.api_keys.ApiKeys`. The environment is not read.
    """
    auth = ClientCredentials(
        issuer.url,
        client_id=issuer.app.client_id,
        client_secret=issuer.app.client_secret,
        audience=issuer.management_audience,
        scopes="read:api_keys",
        shared=False,
        transport=issuer.transport,
    )
    ids = issuer.registry.own_api(issuer.audience).id
    return ApiKeys(auth, **{"api_ids": ids, "transport": issuer.transport, **settings})


def local_api_keys(issuer: LocalIssuer, guard: Any, settings: Mapping[str, Any]) -> ApiKeys | None:
    """The same for an app that takes keys: by its *settings*, or by the *guard* that was made of them."""
    own = settings.get("api_keys") or getattr(guard, "api_keys", None)
    return api_keys_for(issuer) if isinstance(own, ApiKeys) else None
