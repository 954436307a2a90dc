"""``/oauth2/auth`` (RFC 6749 §3.1, OpenID Connect Core §3.1.2): an app sends somebody here to sign in.

``GET`` asks, and is answered with a page to choose a user on, if there is a chooser; ``POST`` is the form of that page.
Nobody has a password: whoever can open the page may be anybody in it.
"""

from __future__ import annotations

from dataclasses import replace

from ..errors import OAuthError
from ..grants import Grant
from ..messages import NO_STORE, Request, Response
from ..origin import is_addressed, is_our_page
from ..redirects import with_parameters
from ..registry import App
from ..sessions import Session, SignIn
from ..tenant import Tenant
from ..users import User
from .authorization_request import destination, prompts, read
from .pages import error_page
from .parameters import Parameters
from .session_cookie import cookie, cookie_of

MAX_QUERY = 8 * 1024  # what is asked for is kept until it is answered, and longer


def ask(tenant: Tenant, request: Request) -> Response:
    """A page to choose a user on, or the way back to the app."""
    try:
        if not is_addressed(request, tenant.url):
            raise OAuthError("access_denied", "The local Kinde is not known by this host name.", status=403)
        if len(request.query) > MAX_QUERY:
            raise OAuthError("invalid_request", f"The request is larger than {MAX_QUERY // 1024} KiB.", status=414)
        parameters = Parameters(request.query)
        app, redirect_uri = destination(tenant, parameters)
    except OAuthError as error:
        return _error_here(tenant, request, error)
    try:
        sign_in = read(tenant, parameters, app, redirect_uri)
        return _asked(tenant, request, sign_in, prompts(parameters))
    except OAuthError as error:
        return _error_there(tenant, app, redirect_uri, parameters.only("state"), error)


def choose(tenant: Tenant, request: Request) -> Response:
    """The way back to the app for whoever was chosen: ``sign_in``, and ``user`` with ``org_code``, or ``cancel``."""
    try:
        if not is_our_page(request):
            raise OAuthError("access_denied", "This is for the page of the local Kinde, on its machine.", status=403)
        parameters = Parameters.of_body(request)
        user_id, org_code, cancelled = parameters.one("user"), parameters.one("org_code"), parameters.one("cancel")
        sign_in = tenant.sign_ins.take(parameters.needed("sign_in"))
        if sign_in is None:
            raise OAuthError("invalid_request", "This sign-in is too old, or is done: start again in the app.")
    except OAuthError as error:
        return _error_here(tenant, request, error)
    try:
        if cancelled is not None:
            raise OAuthError("access_denied", "The user chose not to sign in.")
        return _signed_in(tenant, sign_in, _chosen(tenant, sign_in, user_id or "", org_code), org_code)
    except OAuthError as error:
        return _error_there(tenant, sign_in.app, sign_in.redirect_uri, sign_in.state, error)


def _asked(tenant: Tenant, request: Request, sign_in: SignIn, prompt: frozenset[str]) -> Response:
    if "none" in prompt:
        session = _session(tenant, request, sign_in)
        return _back(tenant, sign_in, _code(tenant, sign_in, session))
    if tenant.chooser is None:
        user = _picked(tenant, sign_in)
        first = user.memberships[0].org_code if user.memberships else None
        return _signed_in(tenant, sign_in, user, sign_in.org_code or first)
    tenant.sign_ins.put(sign_in, sign_in.id)
    return tenant.chooser(tenant, sign_in).with_headers({**NO_STORE, "x-frame-options": "DENY"})


def _session(tenant: Tenant, request: Request, sign_in: SignIn) -> Session:
    """Whoever is signed in already, if they will do (OpenID Connect Core §3.1.2.6: ``login_required``)."""
    session = tenant.sessions.get(cookie_of(request))
    user = None if session is None else tenant.registry.user(session.user_id)
    if session is None or user is None or not _fits(user, sign_in):
        raise OAuthError("login_required", "Nobody who would do is signed in.")
    org_code = sign_in.org_code or session.org_code
    if org_code is not None and user.membership(org_code) is None:
        raise OAuthError("login_required", "The user who is signed in is not in the organization any more.")
    return replace(session, org_code=org_code)


def _picked(tenant: Tenant, sign_in: SignIn) -> User:
    user = next((user for user in tenant.registry.users if _fits(user, sign_in)), None)
    if user is None:
        raise OAuthError("access_denied", "No user fits the login_hint and the org_code.")
    return user


def _fits(user: User, sign_in: SignIn) -> bool:
    if user.is_suspended:
        return False
    hint = sign_in.login_hint
    return (hint is None or hint.lower() in (user.id.lower(), user.email.lower())) and (
        sign_in.org_code is None or user.membership(sign_in.org_code) is not None
    )


def _chosen(tenant: Tenant, sign_in: SignIn, user_id: str, org_code: str | None) -> User:
    user = tenant.registry.user(user_id)
    if user is None or (org_code is not None and user.membership(org_code) is None):
        raise OAuthError("access_denied", "There is no such user, or not in that organization.")
    if user.is_suspended:
        raise OAuthError("access_denied", "The user is suspended.")
    if sign_in.org_code not in (None, org_code):
        raise OAuthError("access_denied", "The app asked for a user of another organization.")
    return user


def _signed_in(tenant: Tenant, sign_in: SignIn, user: User, org_code: str | None) -> Response:
    session = Session(user.id, org_code, int(tenant.now()))
    tenant.journal.add(
        "signed_in",
        f"{user.name} signed in to {sign_in.app.name}",
        client_id=sign_in.app.client_id,
        subject=user.id,
        org_code=org_code,
        audience=sign_in.audience,
        scopes=sign_in.scopes,
    )
    answer = _back(tenant, sign_in, _code(tenant, sign_in, session))
    return answer.with_headers(cookie(tenant.url, tenant.sessions.put(session)))


def _code(tenant: Tenant, sign_in: SignIn, session: Session) -> str:
    grant = Grant(
        client_id=sign_in.app.client_id,
        user_id=session.user_id,
        org_code=session.org_code,
        audience=sign_in.audience,
        scopes=sign_in.scopes,
        signed_in_at=session.signed_in_at,
    )
    return tenant.grants.code(
        grant, redirect_uri=sign_in.redirect_uri, challenge=sign_in.challenge, nonce=sign_in.nonce
    )


def _back(tenant: Tenant, sign_in: SignIn, code: str) -> Response:
    return _redirect(tenant, sign_in.redirect_uri, code=code, state=sign_in.state)


def _error_there(tenant: Tenant, app: App, redirect_uri: str, state: str | None, error: OAuthError) -> Response:
    """The app is told (RFC 6749 §4.1.2.1)."""
    _note(tenant, app.name, error, client_id=app.client_id)
    return _redirect(tenant, redirect_uri, error=error.error, error_description=error.description, state=state)


def _error_here(tenant: Tenant, request: Request, error: OAuthError) -> Response:
    """Whoever is at the browser is told, since nobody knows where else to send them."""
    _note(tenant, "an app", error)
    return error_page(request, error)


def _note(tenant: Tenant, name: str, error: OAuthError, **details: str) -> None:
    summary = f"sign-in to {name} refused: {error.error}"
    tenant.journal.add("sign_in_refused", summary, error=error.error, hint=error.description, **details)


def _redirect(tenant: Tenant, uri: str, **parameters: str | None) -> Response:
    """A redirect to *uri*, by 303, so that nothing posted goes along (RFC 9700 §4.12); with who answers (RFC 9207)."""
    location = with_parameters(uri, {**parameters, "iss": tenant.url})
    return Response(303, {"location": location, "content-length": "0", **NO_STORE})
