"""What an app asks for when it sends somebody to sign in: the authorization request (RFC 6749 §4.1.1), read strictly.

First who asks and where the answer goes; only when that is certain may anything be sent there (§4.1.2.1).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .code_grants import NOT_AUTHORISED
from .forms import Form, Refused
from .redirects import allowed
from .registry import App
from .sessions import secret

if TYPE_CHECKING:
    from .local import LocalIssuer

SCOPES = ("openid", "profile", "email", "offline", "phone", "address")
PROMPTS = frozenset({"none", "login", "create", "consent", "select_account"})
_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")  # RFC 7636 §4.2: 32 bytes in base64url


@dataclass(frozen=True, slots=True)
class SignIn:
    """Somebody who is about to sign in to *app*: what it asked for, all of it checked."""

    id: str = field(repr=False)
    """Names it in the form of the page on which people choose who they are. It cannot be guessed, and works once."""
    app: App
    redirect_uri: str
    audience: tuple[str, ...]
    scopes: tuple[str, ...]
    """The OpenID Connect scopes; of others Kinde makes nothing here."""
    org_code: str | None
    """The organization to sign in to; ``None``: whoever signs in may choose."""
    state: str | None = field(repr=False)
    nonce: str | None = field(repr=False)
    challenge: str | None = field(repr=False)
    """RFC 7636, by S256."""
    login_hint: str | None
    made_at: float
    """By the clock of the issuer."""


def destination(issuer: LocalIssuer, form: Form) -> tuple[App, str]:
    """The app that asks, and where the answer goes. What is refused here is for the eyes of people, not to be sent."""
    app = issuer.registry.app(form.needed("client_id"))
    if app is None:
        raise Refused("invalid_request", "No app has this client_id.")
    redirect_uri = form.needed("redirect_uri")
    if not allowed(app.redirect_uris, redirect_uri):
        what = "The redirect_uri is not one of the app's (Kinde: Applications, the app, Allowed callback URLs)."
        raise Refused("invalid_request", what if app.redirect_uris else "The app signs nobody in: it has no callback.")
    return app, redirect_uri


def read(issuer: LocalIssuer, form: Form, app: App, redirect_uri: str) -> SignIn:
    """What is asked for; raises :class:`Refused`."""
    _check_response(form)
    audience = tuple(form.words("audience"))
    if any(issuer.registry.granted(app, name) is None for name in audience):
        raise Refused("unauthorized_client", NOT_AUTHORISED)
    asked = (form.one("scope") or "").split()
    return SignIn(
        id=secret(),
        app=app,
        redirect_uri=redirect_uri,
        audience=audience,
        scopes=tuple(dict.fromkeys(scope for scope in asked if scope in SCOPES)),
        org_code=form.one("org_code"),
        state=form.one("state"),
        nonce=form.one("nonce"),
        challenge=_challenge(form, app),
        login_hint=form.one("login_hint"),
        made_at=issuer.now(),
    )


def prompts(form: Form) -> frozenset[str]:
    """OpenID Connect Core §3.1.2.1, with Kinde's ``create``."""
    prompt = frozenset((form.one("prompt") or "").split())
    if not prompt <= PROMPTS or ("none" in prompt and len(prompt) > 1):
        raise Refused("invalid_request", f"prompt must be one of {', '.join(sorted(PROMPTS))}, and none stands alone.")
    return prompt


def _check_response(form: Form) -> None:
    if form.needed("response_type") != "code":
        raise Refused("unsupported_response_type", "The local Kinde knows the response_type code alone.")
    if (form.one("response_mode") or "query") != "query":
        raise Refused("invalid_request", "The local Kinde knows the response_mode query alone.")
    for name in ("request", "request_uri"):  # OpenID Connect Core §3.1.2.6
        if form.one(name) is not None:
            raise Refused(f"{name}_not_supported", f"The local Kinde reads no {name}.")


def _challenge(form: Form, app: App) -> str | None:
    """RFC 7636 §4.3. Without a method it would be ``plain``, which whoever sees the request can answer."""
    challenge, method = form.one("code_challenge"), form.one("code_challenge_method")
    if challenge is None and method is None:
        if app.client_secret is None:
            raise Refused("invalid_request", "code_challenge is missing: an app without a secret has to use PKCE.")
        return None
    if method != "S256":
        raise Refused("invalid_request", "code_challenge_method must be S256.")
    if challenge is None or not _CHALLENGE.fullmatch(challenge):
        raise Refused("invalid_request", "code_challenge must be the 43 characters of a SHA-256 in base64url.")
    return challenge
