"""Who calls, in the words of a test: claims, signed by an issuer or taken for verified.

The options are the same everywhere: ``scope``, ``permissions``, ``roles``, ``org_code``, ``feature_flags``,
``subject``, ``client_id``, ``audience``, ``lifetime`` (seconds), and any claim by its own name. Nothing is granted that
is not asked for. A caller is a user if it has a subject, permissions, roles or feature flags, else a
machine-to-machine app; ``m2m=True`` or ``m2m=False`` says so outright.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Iterable
from typing import Any

from ..errors import ConfigurationError
from ..guard import Guard
from ..issuer import ABSENT, UNSIGNED, LocalIssuer, SigningKey
from ..issuer.tokens import SUBJECT, granted
from ..net.clocks import Clocks
from ..tokens.access_token import AccessToken, token_of
from ..tokens.claims import Json

Texts = str | Iterable[str]

_OF_USERS = frozenset({"permissions", "roles", "feature_flags"})
_MEANT = {  # a claim of such a name would grant nothing, and the test would fail for no visible reason
    "client": "client_id",
    "flags": "feature_flags",
    "org": "org_code",
    "permission": "permissions",
    "role": "roles",
    "scopes": "scope",
    "sub": "subject",
}


def local_issuer(url: str = "https://local.kinde.test", **options: Any) -> LocalIssuer:
    """A :class:`LocalIssuer` at *url*, for tests. Its first key is made once per process; if you rotate it, this
    changes only this issuer. *options* are those of :class:`LocalIssuer`."""
    return LocalIssuer(url, **{"key": _first_key(), **options})


def guard_for(issuer: LocalIssuer, **settings: Any) -> Guard:
    """A real guard that trusts *issuer*, by its clock and without a socket; *settings* are those of :class:`Guard`.

    ``retry_after`` is 0, so that a test may rotate keys as often as it likes. The environment is not read.
    """
    usual: dict[str, Any] = {
        "audience": issuer.audience,
        "transport": issuer.transport,
        "clocks": Clocks(wall=issuer.clock),
        "retry_after": 0,
        "variables": (),
    }
    return Guard(issuer.url, **{**usual, **settings})


def mint(issuer: LocalIssuer, *, preset: str | None = None, **options: Any) -> str:
    """The text of a token of *issuer*: ``mint(issuer, scope="read:users")``, ``mint(issuer, preset="expired")``.

    *options* say who the caller is (:mod:`kinde_guard.testing.tokens`). *preset* names a whole token, such as
    ``"expired"`` or ``"id_token"``; all are in ``kinde_guard.issuer.PRESETS``. Raises
    :class:`~kinde_guard.ConfigurationError` if both are given.
    """
    if preset is None:
        return issuer.token(claims_of(issuer, **options))
    if options:
        raise ConfigurationError(f"a preset is the whole token: leave out {', '.join(options)}, or preset=")
    return issuer.preset(preset)


def headers(token: str) -> dict[str, str]:
    """The header of a request that carries *token*: ``client.get("/users", headers=headers(token))``."""
    return {"Authorization": f"Bearer {token}"}


def caller_token(*, permissions_as_scopes: bool = False, **options: Any) -> AccessToken:
    """The :class:`~kinde_guard.AccessToken` that a guard would return for such a caller:
    ``caller_token(scope="read:users")``. No token is signed, and none is verified. *permissions_as_scopes* is as in
    :class:`~kinde_guard.Guard`."""
    text = json.dumps(claims_of(_keyless(), **options), sort_keys=True)
    return token_of(text.encode(), hashlib.sha256(text.encode()).digest(), permissions_as_scopes)


def claims_of(
    issuer: LocalIssuer,
    *,
    m2m: bool | None = None,
    subject: str | None = None,
    client_id: str | None = None,
    scope: Texts | None = None,
    **options: Any,
) -> Json:
    """The claims of a caller, in Kinde's shapes."""
    for name in _MEANT.keys() & options.keys():
        raise ConfigurationError(f"write {_MEANT[name]}= instead of {name}=")
    if m2m is None:
        m2m = subject is None and _OF_USERS.isdisjoint(options)
    if client_id is not None:
        options["azp"] = client_id
    if isinstance(options.get("roles"), str):
        options["roles"] = [options["roles"]]
    if m2m:
        return _of_app(issuer, subject, scope, options)
    options["scope"] = ABSENT if scope is None else _joined(scope)
    return issuer.user_claims(SUBJECT if subject is None else subject, **options)


def _of_app(issuer: LocalIssuer, subject: str | None, scope: Texts | None, options: Json) -> Json:
    if subject is not None:
        raise ConfigurationError("a machine-to-machine app has no subject but its client id: write client_id=…")
    rights = granted(**{name: options.get(name, ABSENT) for name in _OF_USERS})
    return issuer.m2m_claims(scope="" if scope is None else _joined(scope), **{**options, **rights})


def _joined(scope: Texts) -> str:
    return scope if isinstance(scope, str) else " ".join(scope)


@functools.cache
def _first_key() -> SigningKey:
    return SigningKey.make()


@functools.cache
def _keyless() -> LocalIssuer:
    """Signs nothing, and so costs no key."""
    return LocalIssuer(key=UNSIGNED)
