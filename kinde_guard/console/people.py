"""Who can sign in, to which organizations, and with what."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from ..errors import ConfigurationError
from ..issuer.users import Membership, User
from .forms import FieldError, SentForm, at_field
from .pages import Page, Values, View
from .state import ConsoleState

NEW = ""
"""In place of an id."""
_COLUMNS = ("org_code", "org_name", "roles", "permissions")
_ANOTHER = ("", "", "", "")
_STAY_GOOD = "Tokens that were issued before stay good until they expire, unless a webhook tells your API."
_ANYBODY: dict[str, Any] = {"id": "kp_0", "given_name": "", "family_name": "", "email": "x"}


@dataclass(frozen=True, slots=True)
class PersonForm:
    """What stands in the form of a person: as they are, or as it was filled in and refused."""

    given_name: str = ""
    family_name: str = ""
    email: str = ""
    feature_flags: str = ""
    rows: tuple[tuple[str, ...], ...] = (_ANOTHER,)


def show(state: ConsoleState, form: SentForm) -> Values:
    """Everybody. What *form* brings stays in its place."""
    users = state.issuer.registry.users
    forms = {NEW: PersonForm(), **{user.id: _as_they_are(user) for user in users}}
    opened = (form.text("id") or NEW) if "email" in form else None
    if opened is not None:
        forms[opened] = _as_filled_in(form)
    organizations = {one.org_code: one.name for user in users for one in user.memberships}
    return {"users": users, "forms": forms, "organizations": organizations, "opened": opened}


def save(state: ConsoleState, form: SentForm) -> View:
    """Add a person, or replace who has that id."""
    parts = {name: form.text(name) for name in ("given_name", "family_name", "email")}
    flags = form.members("feature_flags")
    for name, value in {**parts, "feature_flags": flags}.items():
        with at_field(name):
            User(**{**_ANYBODY, name: value})
    user = User(
        form.text("id") or f"kp_{secrets.token_hex(16)}",
        **parts,
        memberships=tuple(_memberships(form)),
        feature_flags=flags,
        is_suspended=_is_suspended(state, form),
    )
    state.issuer.add_user(user)
    return View({"opened": user.id}, f"{state.changed(f'{user.name} is saved')} The next token says so.")


def remove(state: ConsoleState, form: SentForm) -> View:
    """Nobody of that id signs in any more."""
    user = _user(state, form)
    state.issuer.delete_user(user)
    return View(notice=f"{user.name} is removed. {_STAY_GOOD}")


def suspend(state: ConsoleState, form: SentForm) -> View:
    """Nobody of that id signs in or refreshes for now; or again."""
    user = _user(state, form)
    if form.text("how") == "restore":
        state.issuer.restore(user)
        return View({"opened": user.id}, f"{user.name} may sign in again.")
    state.issuer.suspend(user)
    return View({"opened": user.id}, f"{user.name} is suspended. {_STAY_GOOD}")


def sign_out(state: ConsoleState, form: SentForm) -> View:
    """End the sessions and refresh tokens of that id."""
    user = _user(state, form)
    state.issuer.sign_out_everywhere(user)
    return View({"opened": user.id}, f"{user.name} is signed out everywhere. {_STAY_GOOD}")


def _user(state: ConsoleState, form: SentForm) -> User:
    user = state.issuer.registry.user(form.text("id"))
    if user is None:
        raise ConfigurationError("there is no such person any more")
    return user


def _is_suspended(state: ConsoleState, form: SentForm) -> bool:
    """That is no field of the form."""
    user = state.issuer.registry.user(form.text("id"))
    return user is not None and user.is_suspended


def _as_they_are(user: User) -> PersonForm:
    flags = json.dumps(dict(user.feature_flags), ensure_ascii=False) if user.feature_flags else ""
    rows = ((one.org_code, one.name, " ".join(one.roles), " ".join(one.permissions)) for one in user.memberships)
    return PersonForm(user.given_name, user.family_name, user.email, flags, (*rows, _ANOTHER))


def _as_filled_in(form: SentForm) -> PersonForm:
    rows = tuple(zip_longest(*_columns(form), fillvalue="")) or (_ANOTHER,)
    names = form.text("given_name"), form.text("family_name")
    return PersonForm(*names, form.text("email"), form.text("feature_flags"), rows)


def _columns(form: SentForm) -> list[list[str]]:
    return [form.all(name) for name in _COLUMNS]


def _memberships(form: SentForm) -> list[Membership]:
    """One for each row of the form that names an organization."""
    columns = _columns(form)
    if len({len(column) for column in columns}) > 1:
        raise ConfigurationError("the rows of the organizations are incomplete")
    found: dict[str, Membership] = {}
    for row, (code, name, roles, permissions) in enumerate(zip(*columns, strict=True)):
        if not code.strip():
            continue
        with at_field("org_code", row):
            one = Membership(code.strip(), name.strip(), _words(roles), _words(permissions))
        if one.org_code in found:
            raise FieldError("a person belongs to an organization once: put everything into one row", "org_code", row)
        found[one.org_code] = one
    return list(found.values())


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.replace(",", " ").split())


PAGE = Page(
    "/people",
    "People",
    "people.html",
    show,
    {
        "/people/save": save,
        "/people/suspend": suspend,
        "/people/sign-out": sign_out,
        "/people/remove": remove,
    },
)
