"""What an app asks for when it sends somebody to sign in: the authorization request (RFC 6749 §4.1.1), read strictly.

First who asks and where the answer goes; only when that is certain may anything be sent there (§4.1.2.1).
"""

from __future__ import annotations

import re

from ..errors import OAuthError
from ..redirects import allowed
from ..registry import App
from ..sessions import SignIn, secret
from ..tenant import Tenant
from .parameters import Parameters
from .user_grants import NOT_AUTHORISED

SCOPES = ("openid", "profile", "email", "offline", "phone", "address")
PROMPTS = frozenset({"none", "login", "create", "consent", "select_account"})
_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")  # RFC 7636 §4.2: 32 bytes in base64url


def destination(tenant: Tenant, parameters: Parameters) -> tuple[App, str]:
    """The app that asks, and where the answer goes. What is refused here is for the eyes of people, not to be sent."""
    app = tenant.registry.app(parameters.needed("client_id"))
    if app is None:
        raise OAuthError("invalid_request", "No app has this client_id.")
    redirect_uri = parameters.needed("redirect_uri")
    if not allowed(app.redirect_uris, redirect_uri):
        what = "The redirect_uri is not one of the app's (Kinde: Applications, the app, Allowed callback URLs)."
        raise OAuthError(
            "invalid_request", what if app.redirect_uris else "The app signs nobody in: it has no callback."
        )
    return app, redirect_uri


def read(tenant: Tenant, parameters: Parameters, app: App, redirect_uri: str) -> SignIn:
    """What is asked for; raises :class:`OAuthError`."""
    _check_response(parameters)
    audience = tuple(parameters.words("audience"))
    if any(tenant.registry.granted(app, name) is None for name in audience):
        raise OAuthError("unauthorized_client", NOT_AUTHORISED)
    asked = (parameters.one("scope") or "").split()
    return SignIn(
        id=secret(),
        app=app,
        redirect_uri=redirect_uri,
        audience=audience,
        scopes=tuple(dict.fromkeys(scope for scope in asked if scope in SCOPES)),
        org_code=parameters.one("org_code"),
        state=parameters.one("state"),
        nonce=parameters.one("nonce"),
        challenge=_challenge(parameters, app),
        login_hint=parameters.one("login_hint"),
        made_at=tenant.now(),
    )


def prompts(parameters: Parameters) -> frozenset[str]:
    """The values of ``prompt`` (OpenID Connect Core §3.1.2.1), with Kinde's ``create``."""
    prompt = frozenset((parameters.one("prompt") or "").split())
    if not prompt <= PROMPTS or ("none" in prompt and len(prompt) > 1):
        raise OAuthError(
            "invalid_request", f"prompt must be one of {', '.join(sorted(PROMPTS))}, and none stands alone."
        )
    return prompt


def _check_response(parameters: Parameters) -> None:
    if parameters.needed("response_type") != "code":
        raise OAuthError("unsupported_response_type", "The local Kinde knows the response_type code alone.")
    if (parameters.one("response_mode") or "query") != "query":
        raise OAuthError("invalid_request", "The local Kinde knows the response_mode query alone.")
    for name in ("request", "request_uri"):  # OpenID Connect Core §3.1.2.6
        if parameters.one(name) is not None:
            raise OAuthError(f"{name}_not_supported", f"The local Kinde reads no {name}.")


def _challenge(parameters: Parameters, app: App) -> str | None:
    """The PKCE challenge (RFC 7636 §4.3).

    Without a method it would be ``plain``, which whoever sees the request can answer.
    """
    challenge, method = parameters.one("code_challenge"), parameters.one("code_challenge_method")
    if challenge is None and method is None:
        if app.client_secret is None:
            raise OAuthError("invalid_request", "code_challenge is missing: an app without a secret has to use PKCE.")
        return None
    if method != "S256":
        raise OAuthError("invalid_request", "code_challenge_method must be S256.")
    if challenge is None or not _CHALLENGE.fullmatch(challenge):
        raise OAuthError("invalid_request", "code_challenge must be the 43 characters of a SHA-256 in base64url.")
    return challenge
