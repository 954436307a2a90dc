"""``POST /oauth2/token`` (RFC 6749 §3.2) with Kinde's parameters and Kinde's error codes.

docs.kinde.com/machine-to-machine-applications/troubleshooting-m2m/troubleshoot-m2m-token-errors

A new grant is a function and a line in :data:`GRANTS`.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING
from urllib.parse import unquote_plus

from .code_grants import NOT_AUTHORISED, authorization_code, refresh_token
from .forms import NO_STORE, Form, Refused
from .messages import Request, Response, json_response
from .registry import App, ConfidentialApp, new_client_secret

if TYPE_CHECKING:
    from .local import LocalIssuer

_BASIC = {"www-authenticate": 'Basic realm="kinde"'}
_NOBODY = ConfidentialApp("nobody", client_id="", client_secret=new_client_secret())


def token(issuer: LocalIssuer, request: Request) -> Response:
    """The endpoint."""
    try:
        form = Form.of_body(request)
        grant = GRANTS.get(form.one("grant_type") or "")
        if grant is None:  # RFC 6749 §5.2 has unsupported_grant_type for this; Kinde says invalid_request
            raise Refused("invalid_request", f"grant_type is missing or unsupported: send {' or '.join(GRANTS)}.")
        return json_response(200, grant(issuer, authenticated(issuer, request, form), form), NO_STORE)
    except Refused as refused:
        return refused.response


def client_credentials(issuer: LocalIssuer, app: App, form: Form) -> dict[str, object]:
    """RFC 6749 §4.4, with Kinde's ``audience``."""
    if app.client_secret is None:
        raise Refused("unauthorized_client", "A front-end app gets tokens for people alone (RFC 6749 §4.4).")
    audience = form.words("audience")
    if issuer.audience_required and not audience:
        raise Refused("invalid_request", "audience is missing: send the audience of the API that the token is for.")
    asked = list(dict.fromkeys((form.one("scope") or "").split()))
    allowed = _allowed(issuer, app, audience)
    if not set(asked) <= set(allowed):
        raise Refused("invalid_scope", "A scope is not the API's, or not assigned to the app (Kinde: app, Scopes).")
    scope = " ".join(asked or allowed)
    # Kinde: "scope" is what was granted, "scp" what the request asked for: empty if it asked for nothing in particular.
    access_token = issuer.m2m_token(app, audience=audience, scope=scope, scp=asked)
    return {"access_token": access_token, "expires_in": int(app.lifetime), "scope": scope, "token_type": "bearer"}


Grant = Callable[["LocalIssuer", App, Form], dict[str, object]]
GRANTS: Mapping[str, Grant] = {
    "client_credentials": client_credentials,
    "authorization_code": authorization_code,
    "refresh_token": refresh_token,
}


def _allowed(issuer: LocalIssuer, app: App, audience: list[str]) -> list[str]:
    """Every scope that *app* may have of the APIs it asks for."""
    allowed: dict[str, None] = {}
    for name in audience:
        scopes = issuer.registry.granted(app, name)
        if scopes is None:
            raise Refused("unauthorized_client", NOT_AUTHORISED)
        allowed.update(dict.fromkeys(scopes))
    return list(allowed)


def authenticated(issuer: LocalIssuer, request: Request, form: Form) -> App:
    """The app whose id and secret were sent, in the form as Kinde's SDKs do it, or by Basic; or, if it is one that can
    keep no secret, the app whose id was sent."""
    client_id, client_secret = form.one("client_id"), form.one("client_secret")
    authorization = request.headers.get("authorization")
    if authorization is not None:
        if client_secret is not None:  # RFC 6749 §2.3
            raise Refused("invalid_request", "The client is authenticated twice: by the form and by a header.")
        named, (client_id, client_secret) = client_id, _basic(authorization)
        client_id = client_id if named in (None, client_id) else ""  # two of them are nobody
    app = issuer.registry.app(client_id or "") or _NOBODY
    if not _proves(app, client_secret or "") or app is _NOBODY:
        headers = None if authorization is None else _BASIC  # RFC 6749 §5.2
        raise Refused("invalid_client", "client_id or client_secret is wrong.", status=401, headers=headers)
    return app


def _proves(app: App, client_secret: str) -> bool:
    if app.client_secret is None:
        return not client_secret
    return hmac.compare_digest(client_secret.encode(), app.client_secret.encode())


def _basic(authorization: str) -> tuple[str, str]:
    """RFC 7617, and the form encoding that RFC 6749 §2.3.1 puts inside; unreadable credentials are nobody's."""
    scheme, _, encoded = authorization.partition(" ")
    try:
        text = base64.b64decode(encoded.strip(), validate=True).decode("utf-8") if scheme.lower() == "basic" else ""
    except (binascii.Error, UnicodeDecodeError):
        text = ""
    client_id, _, client_secret = text.partition(":")
    return unquote_plus(client_id), unquote_plus(client_secret)
