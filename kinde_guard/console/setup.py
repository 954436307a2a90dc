"""Apps, APIs, which app may use which API, and what to export."""

from __future__ import annotations

from ..errors import ConfigurationError
from ..issuer import Api, App, LocalIssuer
from ..issuer.redirects import LOOPBACK
from .desk import Desk
from .forms import Form
from .pages import Page, Values, View
from .variables import exports


def show(desk: Desk, form: Form) -> Values:
    """All that is set up, and a token request to paste."""
    issuer = desk.issuer
    registry = issuer.registry
    return {
        "apps": registry.apps,
        "apis": registry.apis,
        "granted": registry.granted,
        "exports": exports(issuer),
        "token_request": token_request(issuer),
        "given": {name: form.text(name) for name in ("audience", "scopes", "name", "org_code", "redirect_uris")},
    }


def token_request(issuer: LocalIssuer) -> str:
    """A token for the sample app, in a line for a shell."""
    app = issuer.app
    form = f"client_id={app.client_id}&client_secret={app.client_secret}&audience={issuer.audience}"
    return f"curl -sS {issuer.url}/oauth2/token -d 'grant_type=client_credentials&{form}'"


def save_api(desk: Desk, form: Form) -> View:
    """Add an API, or give it other scopes."""
    api = desk.issuer.add_api(form.text("audience"), form.words("scopes"))
    return View(notice=f"{api.audience} has {len(api.scopes)} scopes.")


def add_app(desk: Desk, form: Form) -> View:
    """Add a machine-to-machine app, or a front-end app."""
    name, uris = form.text("name"), form.text("redirect_uris").split()
    if not name:
        raise ConfigurationError("the app needs a name")
    if form.text("kind") == "front_end":
        app: App = desk.issuer.add_front_end_app(name, redirect_uris=uris or LOOPBACK)
    else:
        app = desk.issuer.add_app(name, org_code=form.text("org_code") or None, redirect_uris=uris)
    return View(notice=f"{app.name} is added. Authorise it for an API next.")


def authorize(desk: Desk, form: Form) -> View:
    """Let an app use an API, with the scopes that are ticked."""
    app = desk.issuer.registry.app(form.text("app"))
    if app is None:
        raise ConfigurationError("there is no such app")
    api = _api(desk.issuer, form.text("api"))
    desk.issuer.authorize(app, api.audience, form.all("scope"))
    return View(notice=f"{app.name} may use {api.audience}.")


def _api(issuer: LocalIssuer, audience: str) -> Api:
    api = next((api for api in issuer.registry.apis if api.audience == audience), None)
    if api is None:
        raise ConfigurationError("there is no such API")
    return api


PAGE = Page(
    "/setup",
    "Setup",
    "setup.html",
    show,
    {"/setup/api": save_api, "/setup/app": add_app, "/setup/authorize": authorize},
)
