"""Apps, APIs, which app may use which API, and what to export."""

from __future__ import annotations

from ..errors import ConfigurationError
from ..issuer import WEBHOOK_FAULTS, Api, App, LocalIssuer
from ..issuer.names import word
from ..issuer.redirects import LOOPBACK
from ..issuer.webhook_events import TYPES
from .forms import FieldError, SentForm, at_field
from .pages import Page, Values, View
from .state import ConsoleState
from .variables import exports


def show(state: ConsoleState, form: SentForm) -> Values:
    """All that is set up, and a token request to paste. What *form* brings stays in its place."""
    issuer = state.issuer
    registry = issuer.registry
    return {
        "apps": registry.apps,
        "apis": registry.apis,
        "granted": registry.granted,
        "exports": exports(issuer),
        "token_request": token_request(issuer),
        "given": {
            name: form.text(name) for name in ("audience", "scopes", "kind", "name", "org_code", "redirect_uris")
        },
        "adding": "api" if "audience" in form else "app" if "name" in form else "",
        "opened": form.text("app") or issuer.app.client_id,
        "webhooks": issuer.webhooks.all,
        "types": TYPES,
        "webhook_faults": [
            ("", "none"),
            *((name, f"{name.replace('_', ' ')}: {WEBHOOK_FAULTS[name]}") for name in WEBHOOK_FAULTS),
        ],
        "webhook_fault": issuer.webhook_fault or "",
        "webhook": {name: form.text(name) for name in ("url", "types")},
    }


def token_request(issuer: LocalIssuer) -> str:
    """A token for the sample app, in a line for a shell."""
    app = issuer.app
    form = f"client_id={app.client_id}&client_secret={app.client_secret}&audience={issuer.audience}"
    return f"curl -sS {issuer.url}/oauth2/token -d 'grant_type=client_credentials&{form}'"


def save_api(state: ConsoleState, form: SentForm) -> View:
    """Add an API, or give it other scopes."""
    with at_field("audience"):
        api = state.issuer.add_api(form.text("audience"), form.words("scopes"))
    many = f"{len(api.scopes) or 'no'} scope{'' if len(api.scopes) == 1 else 's'}"
    return View(notice=state.changed(f"{api.audience} has {many}"))


def add_app(state: ConsoleState, form: SentForm) -> View:
    """Add a machine-to-machine app, or a front-end app."""
    name, uris, org_code = form.text("name"), form.text("redirect_uris").split(), form.text("org_code")
    if not name:
        raise FieldError("the app needs a name", "name")
    with at_field("org_code"):
        org_code = word("an organization's code", org_code) if org_code else ""
    with at_field("redirect_uris"):
        if form.text("kind") == "front_end":
            app: App = state.issuer.add_front_end_app(name, redirect_uris=uris or LOOPBACK)
        else:
            app = state.issuer.add_app(name, org_code=org_code or None, redirect_uris=uris)
    added = state.changed(f"{app.name} is added")
    return View({"opened": app.client_id}, f"{added} Authorise it for an API now.")


def authorize(state: ConsoleState, form: SentForm) -> View:
    """Let an app use an API, with the scopes that are ticked."""
    app, api, scopes = _app(state.issuer, form), _api(state.issuer, form), form.all("scope")
    with at_field("scope"):
        state.issuer.authorize(app, api.audience, scopes)
    with_what = f", with {' '.join(scopes)}" if scopes else ", with no scope" if api.scopes else ""
    return View({"opened": app.client_id}, state.changed(f"{app.name} may use {api.audience}{with_what}"))


def forbid(state: ConsoleState, form: SentForm) -> View:
    """Let an app use an API no more."""
    app, api = _app(state.issuer, form), _api(state.issuer, form)
    state.issuer.registry.forbid(app, api.audience)
    forbidden = state.changed(f"{app.name} may not use {api.audience} any more")
    return View({"opened": app.client_id}, f"{forbidden} Tokens that were issued before stay good until they expire.")


def add_webhook(state: ConsoleState, form: SentForm) -> View:
    """Have events sent to a URL, of the types that are named, or all."""
    types = form.words("types")
    with at_field("url" if set(types) <= set(TYPES) else "types"):
        webhook = state.issuer.add_webhook(form.text("url"), types)
    return View(notice=state.changed(f"{webhook.url} gets {', '.join(webhook.types) or 'every event'}"))


def remove_webhook(state: ConsoleState, form: SentForm) -> View:
    """Have nothing sent to a webhook any more."""
    webhook = next((one for one in state.issuer.webhooks.all if one.id == form.text("webhook")), None)
    if webhook is None:
        raise ConfigurationError("there is no such webhook any more")
    state.issuer.remove_webhook(webhook)
    return View(notice=state.changed(f"{webhook.url} gets no events any more"))


def break_webhooks(state: ConsoleState, form: SentForm) -> View:
    """Have something wrong with every webhook from now on, or nothing."""
    fault = form.text("fault") or None
    state.issuer.webhook_fault = fault
    return View(
        notice="Webhooks work again." if fault is None else f"Webhooks: broken from now on ({WEBHOOK_FAULTS[fault]})."
    )


def _app(issuer: LocalIssuer, form: SentForm) -> App:
    app = issuer.registry.app(form.text("app"))
    if app is None:
        raise ConfigurationError("there is no such app")
    return app


def _api(issuer: LocalIssuer, form: SentForm) -> Api:
    api = next((api for api in issuer.registry.apis if api.audience == form.text("api")), None)
    if api is None:
        raise ConfigurationError("there is no such API")
    return api


PAGE = Page(
    "/setup",
    "Setup",
    "setup.html",
    show,
    {
        "/setup/api": save_api,
        "/setup/app": add_app,
        "/setup/authorize": authorize,
        "/setup/forbid": forbid,
        "/setup/webhook": add_webhook,
        "/setup/webhook/remove": remove_webhook,
        "/setup/webhook/break": break_webhooks,
    },
)
