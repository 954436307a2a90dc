"""``/logout``: ends the session of the browser, and sends it on to where an app may have it sent."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from .forms import NO_STORE, Form, Refused
from .messages import Request, Response
from .origin import is_addressed
from .pages import page, refusal
from .redirects import allowed, with_parameters
from .registry import App
from .sessions import cookie, cookie_of

if TYPE_CHECKING:
    from .local import LocalIssuer


def log_out(issuer: LocalIssuer, request: Request) -> Response:
    """Kinde's ``redirect``, or ``post_logout_redirect_uri`` (OpenID Connect RP-Initiated Logout §2)."""
    try:
        if not is_addressed(request, issuer.url):
            raise Refused("access_denied", "The local Kinde is not known by this host name.", status=403)
        form = Form(request.query)
        uri = _next(issuer, form)
        state = None if form.one("redirect") is not None else form.one("state")
    except Refused as refused:
        answer = refusal(request, refused.status, refused.error, refused.description)
        return answer if refused.status == 403 else _ended(issuer, request, answer)
    if uri is None:
        return _ended(issuer, request, page(200, "Signed out", "You are signed out of the local Kinde."))
    location = with_parameters(uri, {"state": state})
    return _ended(issuer, request, Response(303, {"location": location, "content-length": "0", **NO_STORE}))


def _next(issuer: LocalIssuer, form: Form) -> str | None:
    """Where to go now, if anywhere. The app may be named; else it may be any."""
    uri = form.one("redirect") or form.one("post_logout_redirect_uri")
    client_id = form.one("client_id")
    apps: Iterable[App] = issuer.registry.apps
    if client_id is not None:
        apps = [app for app in apps if app.client_id == client_id]
    if uri is not None and not any(allowed(app.logout_uris, uri) for app in apps):
        where = "Kinde: Applications, the app, Allowed logout redirect URLs"
        raise Refused("invalid_request", f"You are signed out, but not sent on: no app has this URL ({where}).")
    return uri


def _ended(issuer: LocalIssuer, request: Request, answer: Response) -> Response:
    session = issuer.sessions.take(cookie_of(request))
    if session is not None:
        user = issuer.registry.user(session.user_id)
        name = session.user_id if user is None else user.name
        issuer.journal.add("signed_out", f"{name} signed out", subject=session.user_id)
    return answer.with_headers(cookie(issuer.url, None))
