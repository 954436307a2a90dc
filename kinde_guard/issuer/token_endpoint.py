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
from urllib.parse import parse_qs, unquote_plus

from .messages import Request, Response, error_response, json_response
from .registry import App, new_client_secret

if TYPE_CHECKING:
    from .local import LocalIssuer

FORM = "application/x-www-form-urlencoded"
_NOT_AUTHORISED = "The app is not authorised for the audience (Kinde: Applications, the app, APIs, Authorize)."
_NO_STORE = {"cache-control": "no-store", "pragma": "no-cache"}  # RFC 6749 §5.1
_BASIC = {"www-authenticate": 'Basic realm="kinde"'}
_NOBODY = App("nobody", client_id="", client_secret=new_client_secret())


class Refused(Exception):
    """No token: Kinde's code for why, and words on what to do. The words never repeat what was sent."""

    def __init__(self, error: str, description: str, *, status: int = 400, headers: Mapping[str, str] | None = None):
        super().__init__(error)
        self.response = error_response(status, error, description, {**_NO_STORE, **(headers or {})})


class Form:
    """The parameters of a token request. One without a value counts as left out (RFC 6749 §3.2)."""

    def __init__(self, request: Request) -> None:
        media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if media_type != FORM:
            raise Refused("invalid_request", f"The content type must be {FORM}.")
        try:
            self._values = parse_qs(request.body.decode("utf-8"), errors="strict", max_num_fields=100)
        except ValueError:  # UnicodeDecodeError is one
            raise Refused("invalid_request", "The body is not a readable form.") from None

    def one(self, name: str) -> str | None:
        """The value of *name*; more than one is refused (RFC 6749 §3.2)."""
        values = self._values.get(name, [])
        if len(values) > 1:
            raise Refused("invalid_request", f"The parameter {name} is there more than once.")
        return values[0] if values else None

    def words(self, name: str) -> list[str]:
        """The words of *name*, which may be repeated or separated by white space, as Kinde's SDKs do it."""
        return list(dict.fromkeys(word for value in self._values.get(name, []) for word in value.split()))


def token(issuer: LocalIssuer, request: Request) -> Response:
    """The endpoint."""
    try:
        form = Form(request)
        grant = GRANTS.get(form.one("grant_type") or "")
        if grant is None:  # RFC 6749 §5.2 has unsupported_grant_type for this; Kinde says invalid_request
            raise Refused("invalid_request", f"grant_type is missing or unsupported: send {' or '.join(GRANTS)}.")
        return json_response(200, grant(issuer, _authenticated(issuer, request, form), form), _NO_STORE)
    except Refused as refused:
        return refused.response


def client_credentials(issuer: LocalIssuer, app: App, form: Form) -> dict[str, object]:
    """RFC 6749 §4.4, with Kinde's ``audience``."""
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
GRANTS: Mapping[str, Grant] = {"client_credentials": client_credentials}


def _allowed(issuer: LocalIssuer, app: App, audience: list[str]) -> list[str]:
    """Every scope that *app* may have of the APIs it asks for."""
    allowed: dict[str, None] = {}
    for name in audience:
        scopes = issuer.registry.granted(app, name)
        if scopes is None:
            raise Refused("unauthorized_client", _NOT_AUTHORISED)
        allowed.update(dict.fromkeys(scopes))
    return list(allowed)


def _authenticated(issuer: LocalIssuer, request: Request, form: Form) -> App:
    """The app whose id and secret were sent, in the form as Kinde's SDKs do it, or by Basic."""
    client_id, client_secret = form.one("client_id"), form.one("client_secret")
    authorization = request.headers.get("authorization")
    if authorization is not None:
        if client_secret is not None:  # RFC 6749 §2.3
            raise Refused("invalid_request", "The client is authenticated twice: by the form and by a header.")
        client_id, client_secret = _basic(authorization)
    app = issuer.registry.app(client_id or "") or _NOBODY
    if not hmac.compare_digest((client_secret or "").encode(), app.client_secret.encode()) or app is _NOBODY:
        headers = None if authorization is None else _BASIC  # RFC 6749 §5.2
        raise Refused("invalid_client", "client_id or client_secret is wrong.", status=401, headers=headers)
    return app


def _basic(authorization: str) -> tuple[str, str]:
    """RFC 7617, and the form encoding that RFC 6749 §2.3.1 puts inside; unreadable credentials are nobody's."""
    scheme, _, encoded = authorization.partition(" ")
    try:
        text = base64.b64decode(encoded.strip(), validate=True).decode("utf-8") if scheme.lower() == "basic" else ""
    except (binascii.Error, UnicodeDecodeError):
        text = ""
    client_id, _, client_secret = text.partition(":")
    return unquote_plus(client_id), unquote_plus(client_secret)
