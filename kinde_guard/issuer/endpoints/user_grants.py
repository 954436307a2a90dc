"""The grants of people: a code (RFC 6749 §4.1.3, RFC 7636) or a refresh token (§6) for tokens in Kinde's shapes."""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import replace

from ..errors import OAuthError
from ..grants import AuthorizationCode, Family, Grant
from ..registry import App
from ..tenant import Tenant
from ..tokens import ABSENT, Claims, b64url
from ..users import User
from .parameters import Parameters

NOT_AUTHORISED = "The app is not authorised for the audience (Kinde: Applications, the app, APIs, Authorize)."
_VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}")  # RFC 7636 §4.1


def authorization_code(tenant: Tenant, app: App, parameters: Parameters) -> dict[str, object]:
    """The tokens that a code is good for (RFC 6749 §4.1.3)."""
    text, redirect_uri, verifier = (
        parameters.needed("code"),
        parameters.needed("redirect_uri"),
        parameters.one("code_verifier"),
    )
    code = tenant.grants.redeem(text)
    if code.family.grant.client_id != app.client_id:
        raise OAuthError("invalid_grant", "The code was given to another app.")
    if code.redirect_uri != redirect_uri:
        raise OAuthError("invalid_grant", "redirect_uri is not the one that the code was sent to.")
    _check_verifier(code, verifier)
    return _answer(tenant, app, code.family, nonce=code.nonce)


def refresh_token(tenant: Tenant, app: App, parameters: Parameters) -> dict[str, object]:
    """The tokens that a refresh token is good for (RFC 6749 §6).

    The one that is sent is used up, and the answer has the next one (RFC 9700 §4.14.2).
    """
    text, scopes = parameters.needed("refresh_token"), tuple(dict.fromkeys((parameters.one("scope") or "").split()))
    family = tenant.grants.rotate(text, app.client_id, scopes)
    keeps = tenant.refresh_returns_existing_token and not scopes and tenant.now() < family.access_token_ends_at
    return _answer(tenant, app, family, scopes=scopes, keeps=keeps)


def _check_verifier(code: AuthorizationCode, verifier: str | None) -> None:
    """The verifier has to fit the challenge (RFC 7636 §4.6).

    Where no challenge was sent there is no verifier to it (RFC 9700 §4.8.2).
    """
    if code.challenge is None and verifier is None:
        return
    if code.challenge is None or verifier is None or not _VERIFIER.fullmatch(verifier):
        raise OAuthError("invalid_grant", "code_verifier is missing, malformed, or was never announced by a challenge.")
    if not hmac.compare_digest(b64url(hashlib.sha256(verifier.encode()).digest()), code.challenge.encode()):
        raise OAuthError("invalid_grant", "code_verifier does not fit the code_challenge.")


def _answer(
    tenant: Tenant,
    app: App,
    family: Family,
    *,
    nonce: str | None = None,
    scopes: tuple[str, ...] = (),
    keeps: bool = False,
) -> dict[str, object]:
    """The answer with the tokens (RFC 6749 §5.1, OpenID Connect Core §3.1.3.3).

    *scopes*: all that were granted, unless given. *keeps*: the access token is the one that was given out before.
    """
    grant = replace(family.grant, scopes=scopes or family.grant.scopes)
    user = _user(tenant, app, grant)
    expires_in = int(family.access_token_ends_at - tenant.now()) if keeps else int(app.lifetime)
    access_token = family.access_token if keeps else _access_token(tenant, app, user, grant)
    if not keeps and not scopes:
        family.access_token, family.access_token_ends_at = access_token, tenant.now() + app.lifetime
    answer: dict[str, object] = {"access_token": access_token, "expires_in": expires_in}
    if "openid" in grant.scopes:
        claims = _id_claims(user, grant, access_token)
        answer["id_token"] = tenant.id_token(user.id, app=app, nonce=ABSENT if nonce is None else nonce, **claims)
    if "offline" in family.grant.scopes:
        answer["refresh_token"] = tenant.grants.refresh_token(family)
    return {**answer, "scope": " ".join(grant.scopes), "token_type": "bearer"}


def _user(tenant: Tenant, app: App, grant: Grant) -> User:
    """The user as they are now, if the whole grant still stands."""
    user = tenant.registry.user(grant.user_id)
    if user is None or (grant.org_code is not None and user.membership(grant.org_code) is None):
        raise OAuthError("invalid_grant", "The user, or the user's membership of the organization, is gone.")
    if user.is_suspended:
        raise OAuthError("invalid_grant", "The user is suspended.")
    if any(tenant.registry.granted(app, name) is None for name in grant.audience):
        raise OAuthError("unauthorized_client", NOT_AUTHORISED)
    return user


def _access_token(tenant: Tenant, app: App, user: User, grant: Grant) -> str:
    membership = user.membership(grant.org_code)
    return tenant.user_token(
        user.id,
        audience=grant.audience,
        scp=grant.scopes,
        permissions=() if membership is None else membership.permissions,
        roles=ABSENT if membership is None or not membership.roles else membership.roles,
        org_code=grant.org_code,
        feature_flags=user.feature_flags,
        app=app,
        lifetime=app.lifetime,
    )


def _id_claims(user: User, grant: Grant, access_token: str) -> Claims:
    """What an ID token says of *user*: as much as the scopes open (OpenID Connect Core §5.4)."""
    person = {"family_name": user.family_name, "given_name": user.given_name, "name": user.name}
    profile: Claims = {**person, "picture": user.picture, "updated_at": grant.signed_in_at}
    return {
        **(profile if "profile" in grant.scopes else dict.fromkeys(profile, ABSENT)),
        "at_hash": b64url(hashlib.sha256(access_token.encode()).digest()[:16]).decode(),  # Core §3.1.3.6
        "auth_time": grant.signed_in_at,
        "email": user.email if "email" in grant.scopes else ABSENT,
        "org_codes": [membership.org_code for membership in user.memberships],
    }
