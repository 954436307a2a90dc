"""``/logout``: ends the session of the browser, and sends it on to where an app may have it sent."""

from __future__ import annotations

from collections.abc import Iterable

from ..errors import OAuthError
from ..messages import NO_STORE, Request, Response
from ..origin import is_addressed
from ..redirects import allowed, with_parameters
from ..registry import App
from ..tenant import Tenant
from .pages import error_page, page
from .parameters import Parameters
from .session_cookie import cookie, cookie_of


def log_out(tenant: Tenant, request: Request) -> Response:
    """Kinde's ``redirect``, or ``post_logout_redirect_uri`` (OpenID Connect RP-Initiated Logout §2)."""
    try:
        if not is_addressed(request, tenant.url):
            raise OAuthError("access_denied", "The local Kinde is not known by this host name.", status=403)
        parameters = Parameters(request.query)
        uri = _next(tenant, parameters)
        state = None if parameters.one("redirect") is not None else parameters.one("state")
    except OAuthError as error:
        answer = error_page(request, error)
        return answer if error.status == 403 else _ended(tenant, request, answer)
    if uri is None:
        return _ended(tenant, request, page(200, "Signed out", "You are signed out of the local Kinde."))
    location = with_parameters(uri, {"state": state})
    return _ended(tenant, request, Response(303, {"location": location, "content-length": "0", **NO_STORE}))


def _next(tenant: Tenant, parameters: Parameters) -> str | None:
    """The URL to go to now, if any. The app may be named; else it may be any."""
    uri = parameters.one("redirect") or parameters.one("post_logout_redirect_uri")
    client_id = parameters.one("client_id")
    apps: Iterable[App] = tenant.registry.apps
    if client_id is not None:
        apps = [app for app in apps if app.client_id == client_id]
    if uri is not None and not any(allowed(app.logout_uris, uri) for app in apps):
        where = "Kinde: Applications, the app, Allowed logout redirect URLs"
        raise OAuthError("invalid_request", f"You are signed out, but not sent on: no app has this URL ({where}).")
    return uri


def _ended(tenant: Tenant, request: Request, answer: Response) -> Response:
    session = tenant.sessions.take(cookie_of(request))
    if session is not None:
        user = tenant.registry.user(session.user_id)
        name = session.user_id if user is None else user.name
        tenant.journal.add("signed_out", f"{name} signed out", subject=session.user_id)
    return answer.with_headers(cookie(tenant.url, None))
