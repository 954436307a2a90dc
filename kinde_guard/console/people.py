"""Who can sign in, to which organizations, and with what."""

from __future__ import annotations

import json
import secrets

from ..errors import ConfigurationError
from ..issuer.users import Membership, User
from .desk import Desk
from .forms import Form
from .pages import Page, Values, View

_NOBODY = User("kp_new", "", "", "new@example.com")


def show(desk: Desk, form: Form) -> Values:
    """Everybody."""
    users = desk.issuer.registry.users
    organizations = {one.org_code: one.name for user in users for one in user.memberships}
    return {"users": users, "organizations": organizations, "blank": _NOBODY, "opened": "", "json": json.dumps}


def save(desk: Desk, form: Form) -> View:
    """Add somebody, or replace who has that id."""
    user = User(
        form.text("id") or f"kp_{secrets.token_hex(16)}",
        form.text("given_name"),
        form.text("family_name"),
        form.text("email"),
        tuple(_memberships(form)),
        form.members("feature_flags"),
    )
    desk.issuer.add_user(user)
    return View({"opened": form.text("id")}, f"{user.name} is saved. Tokens from now on say so.")


def remove(desk: Desk, form: Form) -> View:
    """Nobody of that id signs in any more."""
    user = desk.issuer.registry.user(form.text("id"))
    if user is None:
        raise ConfigurationError("there is no such user any more")
    desk.issuer.registry.remove_user(user.id)
    return View(notice=f"{user.name} is removed. Tokens that are out stay good until they expire.")


def _memberships(form: Form) -> list[Membership]:
    """One for each row of the form that names an organization."""
    columns = [form.all(name) for name in ("org_code", "org_name", "roles", "permissions")]
    if len({len(column) for column in columns}) > 1:
        raise ConfigurationError("the rows of the organizations are incomplete")
    return [
        Membership(code.strip(), name.strip(), _words(roles), _words(permissions))
        for code, name, roles, permissions in zip(*columns, strict=True)
        if code.strip()
    ]


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.replace(",", " ").split())


PAGE = Page("/people", "People", "people.html", show, {"/people/save": save, "/people/remove": remove})
