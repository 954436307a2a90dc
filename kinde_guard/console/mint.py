"""The first page: a token by name or by hand, explained, decoded, and sent to an API."""

from __future__ import annotations

import shlex
from typing import Any

from ..errors import ConfigurationError
from ..issuer import PRESETS
from . import sending
from .by_hand import FIELDS, KINDS, made
from .decoded import decoded
from .desk import Desk, Target
from .explaining import told
from .forms import Form
from .pages import Page, Values, View
from .variables import exports

RESULT, ANSWER = "result.html", "answer.html"
EXPLAINED = ("token", "audience", "demands")


def show(desk: Desk, form: Form) -> Values:
    """The page, around a token that *form* may bring with it."""
    registry = desk.issuer.registry
    given = {name: form.text(name) for name in FIELDS}
    return {
        "good": {name: each for name, each in PRESETS.items() if each.reason is None},
        "wrong": {name: each for name, each in PRESETS.items() if each.reason is not None},
        "kinds": KINDS,
        "exports": exports(desk.issuer),
        "organizations": {one.org_code: one.name for user in registry.users for one in user.memberships},
        "by_hand": given if "kind" in form else {**given, "kind": "m2m", "aud": desk.issuer.audience},
        **_around(desk, form),
    }


def by_name(desk: Desk, form: Form) -> View:
    """Mint a token of ``PRESETS``."""
    name = form.text("preset")
    token = desk.issuer.preset(name)
    lacks_scope = PRESETS[name].reason == "insufficient_scope"  # which shows only where one is demanded
    demands = " ".join(desk.issuer.registry.apis[0].scopes[:1]) if lacks_scope else ""
    form = form.having(token=token, audience="", demands=demands)
    return _minted(desk, form, f"{name}: {PRESETS[name].summary}")


def by_hand(desk: Desk, form: Form) -> View:
    """Mint a token as the fields say."""
    return _minted(desk, form.having(token=made(desk.issuer, form)), f"by hand: of {KINDS[form.text('kind')]}")


def explained(desk: Desk, form: Form) -> View:
    """Explain the token that is in the form, wherever it comes from."""
    _token(form)
    values = _around(desk, form, strict=True)
    return View(values, f"Explained: {_verdict(values)}", RESULT)


async def sent(desk: Desk, form: Form) -> View:
    """Send the token that is in the form to an API on this machine."""
    token = _token(form)
    desk.target = sending.checked(_target(desk, form))
    answer = await sending.send(desk.target, token)
    desk.issuer.journal.add("sent", f"{desk.target.method} {desk.target.url}: {answer.summary}")
    return View({**_around(desk, form), "answer": answer}, f"Sent: {answer.summary}", ANSWER)


def _minted(desk: Desk, form: Form, title: str) -> View:
    values = _around(desk, form, strict=True)
    desk.issuer.journal.add("minted", title)
    return View({**values, "title": title}, f"Minted {title}. {_verdict(values)}", RESULT)


def _around(desk: Desk, form: Form, *, strict: bool = False) -> dict[str, Any]:
    """All that is shown of the token in the form. Unless *strict*, what it cannot be explained for is passed over."""
    token, audience, demands = (latest(form, name) for name in EXPLAINED)
    audience, target = audience or desk.issuer.audience, _target(desk, form)
    try:
        explanation = told(desk.issuer, token, audience.split(), demands.replace(",", " ").split()) if token else None
    except ConfigurationError:
        if strict:
            raise
        explanation = None
    return {
        "title": "",
        "token": token,
        "audience": audience,
        "demands": demands,
        "told": explanation,
        "decoded": decoded(token) if token else None,
        "target": target,
        "methods": sending.METHODS,
        "curl": curl(target, token),
        "answer": None,
    }


def latest(form: Form, name: str) -> str:
    """Field *name*; else as it was when the form was made, for browsers that send no other form's fields along."""
    return form.text(name if name in form else f"last_{name}")


def curl(target: Target, token: str) -> str:
    """The request in one line for a POSIX shell."""
    words = ["curl", "-isS", target.url, "-H", f"Authorization: Bearer {token}"]
    if target.method != "GET":
        words += ["-X", target.method]
    if target.body:
        words += ["-H", "Content-Type: application/json", "-d", target.body]
    return shlex.join(words)


def _token(form: Form) -> str:
    token = latest(form, "token")
    if not token:
        raise ConfigurationError("there is no token here: mint one, or paste one")
    return token


def _target(desk: Desk, form: Form) -> Target:
    if "url" not in form:
        return desk.target
    return Target(form.text("method") or "GET", form.text("url"), form.text("body"))


def _verdict(values: Values) -> str:
    """In words, for who cannot see the page."""
    decisive, status = values["told"].explanation.decisive, values["told"].status
    return "A guard lets it in." if decisive is None else f"A guard refuses it: {status}, {decisive.reason}."


PAGE = Page(
    "/",
    "Tokens",
    "mint.html",
    show,
    {"/mint/preset": by_name, "/mint/by-hand": by_hand, "/explain": explained, "/send": sent},
)
