"""The first page: a token by name or by hand, explained, decoded, and sent to an API."""

from __future__ import annotations

import json
import re
import shlex
from typing import Any

from ..errors import ConfigurationError, Reason
from ..issuer import PRESETS, LocalIssuer
from . import sending
from .by_hand import FIELDS, KINDS, made
from .decoded import Decoded, decoded
from .explaining import expected_answer
from .forms import FieldError, SentForm
from .pages import Page, Values, View
from .state import ConsoleState, Target
from .variables import exports

RESULT, ANSWER, CURL = "result.html", "answer.html", "curl.html"
_AROUND = re.compile(r"(?:authorization:\s*)?bearer\s+", re.I)  # RFC 6750 §2.1


def show(state: ConsoleState, form: SentForm) -> Values:
    """The page, around a token that *form* may bring with it."""
    registry = state.issuer.registry
    given = {name: form.text(name) for name in FIELDS}
    return {
        "good": {name: each for name, each in PRESETS.items() if each.reason is None},
        "wrong_ones": {name: each for name, each in PRESETS.items() if each.reason is not None},
        "kinds": KINDS,
        "apps": [(app.client_id, app.name) for app in registry.apps],
        "users": [(user.id, user.name) for user in registry.users],
        "signing_keys": _signing_keys(state.issuer),
        "requirements": [*registry.apis[0].scopes, "machine", "user", "role:admin", "permission:read:users"],
        "exports": exports(state.issuer),
        "organizations": {one.org_code: one.name for user in registry.users for one in user.memberships},
        "by_hand": given if "kind" in form else {**given, "kind": "m2m", "aud": state.issuer.audience},
        **_around(state, form),
    }


def by_name(state: ConsoleState, form: SentForm) -> View:
    """Mint a token of ``PRESETS``."""
    name = form.text("preset")
    token = state.issuer.preset(name)
    form = form.having(token=token, audience="", demands=_demands(state.issuer, PRESETS[name].reason))
    return _minted(state, form, PRESETS[name].title, PRESETS[name].summary)


def by_hand(state: ConsoleState, form: SentForm) -> View:
    """Mint a token as the fields say."""
    token, registry = made(state.issuer, form), state.issuer.registry
    whose = registry.user(form.text("user")) if form.text("kind") == "user" else registry.app(form.text("app"))
    return _minted(state, form.having(token=token), f"By hand, for {whose.name if whose else 'nobody'}")


def explained(state: ConsoleState, form: SentForm) -> View:
    """Explain the token that is in the form, wherever it comes from."""
    _token(form)
    values = _around(state, form, strict=True)
    return View(values, _verdict(values), RESULT)


async def sent(state: ConsoleState, form: SentForm) -> View:
    """Send the token that is in the form to an API on this machine."""
    token = _token(form)
    state.target = sending.checked(_target(state, form))
    answer = await sending.send(state.target, token)
    where = state.target.url.partition("?")[0]  # behind it may be what is for the API alone
    values = {**_around(state, form), "target": state.target, "curl": curl(state.target, token), "answer": answer}
    state.issuer.journal.add("sent", f"{state.target.method} {where}: {answer.summary}", **_named(values))
    said = f"{answer.summary[:1].upper()}{answer.summary[1:]}." if answer.problem else f"Sent: {answer.summary}"
    if token == form.text("last_token"):
        return View(values, said, ANSWER)
    return View(values, said, RESULT, "#result")  # what the page explains is another token


def as_curl(state: ConsoleState, form: SentForm) -> View:
    """The request as it stands in the form, in a line."""
    return View({"curl": curl(_target(state, form), pasted(latest(form, "token")))}, part=CURL)


def latest(form: SentForm, name: str) -> str:
    """Field *name*; else as it was when the form was made, for browsers that send no other form's fields along."""
    return form.text(name if name in form else f"last_{name}")


def pasted(text: str) -> str:
    """The token in *text*: alone, in a header, or in the answer of a token endpoint (RFC 6749 §5.1)."""
    if text.startswith("{"):
        try:
            return str(json.loads(text)["access_token"])
        except (ValueError, KeyError, RecursionError):
            return text
    return _AROUND.sub("", text, count=1) if _AROUND.match(text) else text


def curl(target: Target, token: str) -> str:
    """The request in one line for a POSIX shell."""
    words = ["curl", "-gisS", target.url, "-H", f"Authorization: Bearer {token}"]
    if target.method != "GET":
        words += ["-X", target.method]
    if target.body:
        words += ["-H", "Content-Type: application/json", "--data-raw", target.body]
    return shlex.join(words)


def _minted(state: ConsoleState, form: SentForm, title: str, summary: str = "") -> View:
    values = _around(state, form, strict=True)
    state.issuer.journal.add("minted", title, **_named(values))
    return View({**values, "title": title, "summary": summary}, f"Minted: {title}. {_verdict(values)}", RESULT)


def _signing_keys(issuer: LocalIssuer) -> list[tuple[str, str]]:
    """What a token can be signed with, and what that is called."""
    older = [(key.kid, f"{key.kid[:17]}…, published") for key in issuer.keys if key is not issuer.key]
    return [("", "the key that signs"), *older, ("stranger", "a key that is not published"), ("none", "nothing")]


def _demands(issuer: LocalIssuer, reason: Reason | None) -> str:
    """That a token lacks a scope shows only where one is demanded."""
    return " ".join(issuer.registry.apis[0].scopes[:1]) if reason == "insufficient_scope" else ""


def _around(state: ConsoleState, form: SentForm, *, strict: bool = False) -> dict[str, Any]:
    """All that is shown of the token in the form. Unless *strict*, what it cannot be explained for is passed over."""
    token, audience, demands = pasted(latest(form, "token")), latest(form, "audience"), latest(form, "demands")
    audience, target = audience or state.issuer.audience, _target(state, form)
    try:
        expected = expected_answer(state.issuer, token, audience.split(), demands) if token else None
    except ConfigurationError:
        if strict:
            raise
        expected = None
    read = decoded(token) if token else None
    return {
        "title": "",
        "summary": "",
        "token": token,
        "audience": audience,
        "demands": demands,
        "expected": expected,
        "decoded": read,
        "suspended": _suspended(state.issuer, read),
        "target": target,
        "methods": sending.METHODS,
        "curl": curl(target, token),
        "answer": None,
    }


def _token(form: SentForm) -> str:
    token = pasted(latest(form, "token"))
    if not token:
        raise FieldError("there is no token here: mint one, or paste one", "token")
    return token


def _target(state: ConsoleState, form: SentForm) -> Target:
    if "url" not in form:
        return state.target
    return Target(form.text("method") or "GET", form.text("url"), form.text("body"))


def _named(values: Values) -> dict[str, str]:
    """What guards call the token in their verdicts."""
    return {"fingerprint": values["expected"].explanation.fingerprint} if values["expected"] else {}


def _suspended(issuer: LocalIssuer, read: Decoded | None) -> str:
    """The name of the person that the token is for, if they are suspended."""
    user = issuer.registry.user(read.subject) if read is not None and isinstance(read.subject, str) else None
    return user.name if user is not None and user.is_suspended else ""


def _verdict(values: Values) -> str:
    """The verdict in words, for who cannot see the page."""
    decisive, status = values["expected"].explanation.decisive, values["expected"].status
    return "A guard lets it in." if decisive is None else f"A guard refuses it with {status}, {decisive.reason}."


PAGE = Page(
    "/",
    "Tokens",
    "mint.html",
    show,
    {"/mint/preset": by_name, "/mint/by-hand": by_hand, "/explain": explained, "/send": sent, "/curl": as_curl},
)
