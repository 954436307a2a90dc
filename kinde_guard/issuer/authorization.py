"""``/oauth2/auth`` (RFC 6749 §3.1, OpenID Connect Core §3.1.2): an app sends somebody here to sign in.

``GET`` asks, and is answered with a page to choose a user on, if there is a chooser; ``POST`` is the form of that page.
Nobody has a password: whoever can open the page may be anybody in it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from .forms import NO_STORE, Form, Refused
from .grants import Granted
from .messages import Request, Response
from .origin import is_addressed, is_our_page
from .pages import refusal
from .redirects import with_parameters
from .registry import App
from .sessions import Session, cookie, cookie_of
from .sign_in import SignIn, destination, prompts, read
from .users import User

if TYPE_CHECKING:
    from .local import LocalIssuer

MAX_QUERY = 8 * 1024  # what is asked for is kept until it is answered, and longer


def ask(issuer: LocalIssuer, request: Request) -> Response:
    """The authorization request."""
    try:
        if not is_addressed(request, issuer.url):
            raise Refused("access_denied", "The local Kinde is not known by this host name.", status=403)
        if len(request.query) > MAX_QUERY:
            raise Refused("invalid_request", f"The request is larger than {MAX_QUERY // 1024} KiB.", status=414)
        form = Form(request.query)
        app, redirect_uri = destination(issuer, form)
    except Refused as refused:
        return _refused_here(issuer, request, refused)
    try:
        sign_in = read(issuer, form, app, redirect_uri)
        return _asked(issuer, request, sign_in, prompts(form))
    except Refused as refused:
        return _refused_there(issuer, app, redirect_uri, form.only("state"), refused)


def choose(issuer: LocalIssuer, request: Request) -> Response:
    """The form of the chooser's page: ``sign_in``, and ``user`` with ``org_code``, or ``cancel``."""
    try:
        if not is_our_page(request):
            raise Refused("access_denied", "This is for the page of the local Kinde, on its machine.", status=403)
        form = Form.of_body(request)
        user_id, org_code, cancelled = form.one("user"), form.one("org_code"), form.one("cancel")
        sign_in = issuer.sign_ins.take(form.needed("sign_in"))
        if sign_in is None:
            raise Refused("invalid_request", "This sign-in is too old, or is done: start again in the app.")
    except Refused as refused:
        return _refused_here(issuer, request, refused)
    try:
        if cancelled is not None:
            raise Refused("access_denied", "The user chose not to sign in.")
        return _signed_in(issuer, sign_in, _chosen(issuer, sign_in, user_id or "", org_code), org_code)
    except Refused as refused:
        return _refused_there(issuer, sign_in.app, sign_in.redirect_uri, sign_in.state, refused)


def _asked(issuer: LocalIssuer, request: Request, sign_in: SignIn, prompt: frozenset[str]) -> Response:
    if "none" in prompt:
        session = _session(issuer, request, sign_in)
        return _back(issuer, sign_in, _code(issuer, sign_in, session))
    if issuer.chooser is None:
        user = _picked(issuer, sign_in)
        first = user.memberships[0].org_code if user.memberships else None
        return _signed_in(issuer, sign_in, user, sign_in.org_code or first)
    issuer.sign_ins.put(sign_in, sign_in.id)
    return issuer.chooser(issuer, sign_in).with_headers({**NO_STORE, "x-frame-options": "DENY"})


def _session(issuer: LocalIssuer, request: Request, sign_in: SignIn) -> Session:
    """Whoever is signed in already, if they will do (OpenID Connect Core §3.1.2.6: ``login_required``)."""
    session = issuer.sessions.get(cookie_of(request))
    user = None if session is None else issuer.registry.user(session.user_id)
    if session is None or user is None or not _fits(user, sign_in):
        raise Refused("login_required", "Nobody who would do is signed in.")
    org_code = sign_in.org_code or session.org_code
    if org_code is not None and user.membership(org_code) is None:
        raise Refused("login_required", "The user who is signed in is not in the organization any more.")
    return replace(session, org_code=org_code)


def _picked(issuer: LocalIssuer, sign_in: SignIn) -> User:
    user = next((user for user in issuer.registry.users if _fits(user, sign_in)), None)
    if user is None:
        raise Refused("access_denied", "No user fits the login_hint and the org_code.")
    return user


def _fits(user: User, sign_in: SignIn) -> bool:
    hint = sign_in.login_hint
    return (hint is None or hint.lower() in (user.id.lower(), user.email.lower())) and (
        sign_in.org_code is None or user.membership(sign_in.org_code) is not None
    )


def _chosen(issuer: LocalIssuer, sign_in: SignIn, user_id: str, org_code: str | None) -> User:
    user = issuer.registry.user(user_id)
    if user is None or (org_code is not None and user.membership(org_code) is None):
        raise Refused("access_denied", "There is no such user, or not in that organization.")
    if sign_in.org_code not in (None, org_code):
        raise Refused("access_denied", "The app asked for a user of another organization.")
    return user


def _signed_in(issuer: LocalIssuer, sign_in: SignIn, user: User, org_code: str | None) -> Response:
    session = Session(user.id, org_code, int(issuer.now()))
    issuer.journal.add(
        "signed_in",
        f"{user.name} signed in to {sign_in.app.name}",
        client_id=sign_in.app.client_id,
        subject=user.id,
        org_code=org_code,
        audience=sign_in.audience,
        scopes=sign_in.scopes,
    )
    answer = _back(issuer, sign_in, _code(issuer, sign_in, session))
    return answer.with_headers(cookie(issuer.url, issuer.sessions.put(session)))


def _code(issuer: LocalIssuer, sign_in: SignIn, session: Session) -> str:
    granted = Granted(
        client_id=sign_in.app.client_id,
        user_id=session.user_id,
        org_code=session.org_code,
        audience=sign_in.audience,
        scopes=sign_in.scopes,
        signed_in_at=session.signed_in_at,
    )
    return issuer.grants.code(
        granted, redirect_uri=sign_in.redirect_uri, challenge=sign_in.challenge, nonce=sign_in.nonce
    )


def _back(issuer: LocalIssuer, sign_in: SignIn, code: str) -> Response:
    return _redirect(issuer, sign_in.redirect_uri, code=code, state=sign_in.state)


def _refused_there(issuer: LocalIssuer, app: App, redirect_uri: str, state: str | None, refused: Refused) -> Response:
    """RFC 6749 §4.1.2.1: the app is told."""
    _note(issuer, app.name, refused, client_id=app.client_id)
    error, description = refused.error, refused.description
    return _redirect(issuer, redirect_uri, error=error, error_description=description, state=state)


def _refused_here(issuer: LocalIssuer, request: Request, refused: Refused) -> Response:
    """Whoever is at the browser is told, since nobody knows where else to send them."""
    _note(issuer, "an app", refused)
    return refusal(request, refused.status, refused.error, refused.description)


def _note(issuer: LocalIssuer, name: str, refused: Refused, **details: str) -> None:
    summary = f"sign-in to {name} refused: {refused.error}"
    issuer.journal.add("sign_in_refused", summary, error=refused.error, hint=refused.description, **details)


def _redirect(issuer: LocalIssuer, uri: str, **parameters: str | None) -> Response:
    """303, so that nothing that was posted goes along (RFC 9700 §4.12); with who answers (RFC 9207)."""
    location = with_parameters(uri, {**parameters, "iss": issuer.url})
    return Response(303, {"location": location, "content-length": "0", **NO_STORE})
