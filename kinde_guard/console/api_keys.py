"""Kinde's API keys: made, listed, and taken out of use."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import ConfigurationError
from ..issuer import ApiKey, LocalIssuer, NewApiKey
from .forms import FieldError, SentForm, at_field
from .pages import Page, Values, View
from .state import ConsoleState

_FIELDS = ("name", "audience", "scopes", "user", "org_code", "lifetime")


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the list: an API key as people read it."""

    key: ApiKey
    owner: str
    audience: str
    status: str


def show(state: ConsoleState, form: SentForm) -> Values:
    """Every key, and the form for another one. What *form* brings stays in its place."""
    issuer = state.issuer
    return {
        "keys": [_row(issuer, key) for key in issuer.api_keys],
        "made": None,
        "audiences": [(api.audience, api.audience) for api in issuer.registry.apis],
        "users": [("", "none"), *((user.id, user.name) for user in issuer.registry.users)],
        "given": {name: form.text(name) for name in _FIELDS},
    }


def make(state: ConsoleState, form: SentForm) -> View:
    """Make a key. Its text is on the page that comes of it, and on no other."""
    name, audience, lifetime = form.text("name"), form.text("audience"), form.number("lifetime")
    user, org_code = form.text("user") or None, form.text("org_code") or None
    if not name:
        raise FieldError("the key needs a name", "name")
    if lifetime is not None and lifetime <= 0:
        raise FieldError(f"lifetime must be more than 0 seconds, not {lifetime:g}", "lifetime")
    if user and org_code:
        raise FieldError("a person or an organization owns the key, and not both: leave one out", "org_code")
    with at_field(_field_to_blame(state.issuer, form)):
        key = state.issuer.create_api_key(
            name,
            audience=audience,
            scopes=form.words("scopes") or None,
            user=user,
            org_code=org_code,
            lifetime=lifetime,
        )
    return _shown(state, key, f"{key.name} is made.")


def rotate(state: ConsoleState, form: SentForm) -> View:
    """Give a key another text."""
    key = state.issuer.rotate_api_key(_key(state, form).id)
    return _shown(state, key, f"{key.name} has a new text. The old text opens nothing any more.")


def deactivate(state: ConsoleState, form: SentForm) -> View:
    """Let a key be inactive."""
    key = state.issuer.deactivate_api_key(_key(state, form).id)
    return View(notice=f"{key.name} is inactive.")


def revoke(state: ConsoleState, form: SentForm) -> View:
    """Revoke a key."""
    key = state.issuer.revoke_api_key(_key(state, form).id)
    return View(notice=f"{key.name} is revoked. A guard that asked a moment ago still lets it in for up to 60 s.")


def _shown(state: ConsoleState, key: NewApiKey, notice: str) -> View:
    return View({"made": key}, notice)


def _field_to_blame(issuer: LocalIssuer, form: SentForm) -> str:
    """The field that is wrong, if the key cannot be made."""
    api = next((api for api in issuer.registry.apis if api.audience == form.text("audience")), None)
    if api is None:
        return "audience"
    if not set(form.words("scopes")) <= set(api.scopes):
        return "scopes"
    if form.text("user") and issuer.registry.user(form.text("user")) is None:
        return "user"
    return "org_code" if form.text("org_code") else "name"


def _key(state: ConsoleState, form: SentForm) -> ApiKey:
    key = next((key for key in state.issuer.api_keys if key.id == form.text("id")), None)
    if key is None:
        raise ConfigurationError("there is no such API key any more")
    return key


def _row(issuer: LocalIssuer, key: ApiKey) -> Row:
    user = issuer.registry.user(key.user_id) if key.user_id else None
    owner = user.name if user else key.user_id or key.org_code or "the environment"
    audience = next((api.audience for api in issuer.registry.apis if api.id == key.api_id), key.api_id)
    return Row(key, owner, audience, key.status_at(issuer.now()))


PAGE = Page(
    "/api-keys",
    "API keys",
    "api_keys.html",
    show,
    {
        "/api-keys/make": make,
        "/api-keys/rotate": rotate,
        "/api-keys/deactivate": deactivate,
        "/api-keys/revoke": revoke,
    },
)
