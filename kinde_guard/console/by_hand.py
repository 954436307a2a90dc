"""A token from the fields of a form: right in Kinde's shapes, or wrong on purpose."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from ..issuer import ABSENT, UNSIGNED, App, LocalIssuer, SigningKey
from ..issuer.minting import OIDC_SCOPES
from .forms import FieldError, SentForm

KINDS = {"m2m": "an app", "user": "a person"}
FIELDS = ("kind", "app", "user", "org", "aud", "scopes", "lifetime", "claims", "header", "drop", "key")
FURTHEST = 1e11  # seconds, some three thousand years


def made(issuer: LocalIssuer, form: SentForm) -> str:
    """The token; ``ConfigurationError`` if a field says nothing that can be made."""
    kind = form.text("kind")
    if kind not in _CLAIMS:
        raise FieldError(f"there is no kind {kind!r} of token: use one of {', '.join(_CLAIMS)}", "kind")
    claims = {**_CLAIMS[kind](issuer, form), **_members(form, "claims"), **dict.fromkeys(form.words("drop"), ABSENT)}
    return issuer.token(claims, header=_members(form, "header"), key=_key(issuer, form.text("key")))


def _members(form: SentForm, name: str) -> dict[str, Any]:
    members = form.members(name)
    try:
        json.dumps(members, ensure_ascii=False).encode()
    except (UnicodeError, RecursionError):
        raise FieldError(f"{name} holds what no token can hold", name) from None
    return members


def _m2m(issuer: LocalIssuer, form: SentForm) -> dict[str, Any]:
    return issuer.m2m_claims(
        _app(issuer, form),
        audience=form.words("aud"),
        scope=form.words("scopes") or None,
        org_code=form.text("org") or None,
        lifetime=_lifetime(form),
    )


def _user(issuer: LocalIssuer, form: SentForm) -> dict[str, Any]:
    """The claims of a user's token, with what the user may do in the organization: nothing in one that they are not
    in."""
    user, app, lifetime = issuer.registry.user(form.text("user")), _app(issuer, form), _lifetime(form)
    if user is None:
        raise FieldError("there is no such person any more: choose another", "user")
    org_code = form.text("org") or next((one.org_code for one in user.memberships), None)
    membership = user.membership(org_code)
    return issuer.user_claims(
        user.id,
        app=app,
        audience=form.words("aud"),
        org_code=org_code,
        permissions=membership.permissions if membership else (),
        roles=(membership.roles if membership else ()) or ABSENT,
        feature_flags=user.feature_flags,
        lifetime=app.lifetime if lifetime is None else lifetime,
        scp=form.words("scopes") or OIDC_SCOPES,
    )


_CLAIMS: Mapping[str, Callable[[LocalIssuer, SentForm], dict[str, Any]]] = {"m2m": _m2m, "user": _user}


def _app(issuer: LocalIssuer, form: SentForm) -> App:
    app = issuer.registry.app(form.text("app"))
    if app is None:
        raise FieldError("there is no such app: choose another", "app")
    return app


def _lifetime(form: SentForm) -> float | None:
    lifetime = form.number("lifetime")
    if lifetime is not None and abs(lifetime) > FURTHEST:
        raise FieldError(f"lifetime must be within {FURTHEST:.0f} seconds", "lifetime")
    return lifetime


def _key(issuer: LocalIssuer, choice: str) -> SigningKey | None:
    """``None``: the one that signs."""
    if choice in ("", "stranger", "none"):
        return {"": None, "stranger": issuer.stranger, "none": UNSIGNED}[choice]
    key = next((key for key in issuer.keys if key.kid == choice), None)
    if key is None:
        raise FieldError("this key is not published any more: choose another", "key")
    return key
