"""Which app sends a request (RFC 6749 §2.3), for the endpoints that apps call."""

from __future__ import annotations

import base64
import binascii
import hmac
from urllib.parse import unquote_plus

from ..errors import OAuthError
from ..messages import Request
from ..registry import App, ConfidentialApp, new_client_secret
from ..tenant import Tenant
from .parameters import Parameters

_BASIC = {"www-authenticate": 'Basic realm="kinde"'}
_NOBODY = ConfidentialApp("nobody", client_id="", client_secret=new_client_secret())


def authenticated(tenant: Tenant, request: Request, parameters: Parameters) -> App:
    """The app whose id and secret were sent, in the form as Kinde's SDKs do it, or by Basic; or, if it is one that can
    keep no secret, the app whose id was sent."""
    client_id, client_secret = parameters.one("client_id"), parameters.one("client_secret")
    authorization = request.headers.get("authorization")
    if authorization is not None:
        if client_secret is not None:  # RFC 6749 §2.3
            raise OAuthError("invalid_request", "The client is authenticated twice: by the form and by a header.")
        named, (client_id, client_secret) = client_id, _basic(authorization)
        client_id = client_id if named in (None, client_id) else ""  # two of them are nobody
    app = tenant.registry.app(client_id or "") or _NOBODY
    if not _proves(app, client_secret or "") or app is _NOBODY:
        headers = None if authorization is None else _BASIC  # RFC 6749 §5.2
        raise OAuthError("invalid_client", "client_id or client_secret is wrong.", status=401, headers=headers)
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
