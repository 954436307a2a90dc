"""The three verdicts, in words or as JSON. Claims are written as ASCII: no claim can play tricks on the terminal."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping

from rich.table import Table
from rich.text import Text

from ..errors import AuthError, Unavailable
from ..keys.health import IssuerHealth
from ..tokens.access_token import AccessToken
from ..web.bearer import TEXTS
from .remedies import remedy
from .screen import console

_DATES = frozenset({"exp", "iat", "nbf", "auth_time"})


def valid(token: AccessToken, as_json: bool) -> None:
    """The claims, on stdout."""
    if as_json:
        return _json({"verdict": "valid", "claims": token.claims})
    _words("valid", "green", f"{_caller(token)}, good for {span(token.expires_at - time.time())}")
    table = Table.grid(padding=(0, 2))
    for name, value in token.claims.items():
        table.add_row(Text(_ascii(name), "bold"), Text(shown(name, value)))
    console().print(table)
    return None


def refused(refusal: AuthError, as_json: bool) -> None:
    """The reason and the hint."""
    detail = TEXTS[refusal.reason]
    if as_json:
        _json({"verdict": "refused", "reason": refusal.reason, "detail": detail, "hint": refusal.hint})
    else:
        _words("refused", "red", refusal.reason, detail, refusal.hint and f"Hint: {refusal.hint}")


def cannot_tell(
    unknown: Unavailable, health: Mapping[str, IssuerHealth], as_json: bool, *, proxied: bool = False
) -> None:
    """Why there are no keys, or no answer about an API key, and what to do about it."""
    of_keys = {issuer: state.problem for issuer, state in health.items() if state.problem}
    of_api_keys = {
        issuer: state.api_keys.problem
        for issuer, state in health.items()
        if state.api_keys is not None and state.api_keys.problem
    }
    if as_json:
        problems = {**of_keys, **of_api_keys}
        return _json({"verdict": "cannot_tell", "reason": unknown.reason, "problems": problems})
    lines = [f"No keys from {issuer}: {problem}" for issuer, problem in of_keys.items()]
    lines += [f"No answer about API keys from {issuer}: {problem}" for issuer, problem in of_api_keys.items()]
    fixes = dict.fromkeys(remedy(problem, issuer, proxied=proxied) for issuer, problem in of_keys.items())
    return _words(
        "cannot tell", "yellow", unknown.reason, TEXTS[unknown.reason], *lines, *(f"Fix: {fix}" for fix in fixes)
    )


def span(seconds: float) -> str:
    """A time for people: the two largest units."""
    minutes, second = divmod(max(0, int(seconds)), 60)
    hours, minute = divmod(minutes, 60)
    day, hour = divmod(hours, 24)
    parts = [f"{count} {unit}" for count, unit in ((day, "d"), (hour, "h"), (minute, "min"), (second, "s")) if count]
    return " ".join(parts[:2]) or "0 s"


def shown(name: str, value: object) -> str:
    """A claim's value; a date also as one."""
    text = _ascii(value)
    if name not in _DATES or isinstance(value, bool) or not isinstance(value, int | float):
        return text
    distance = value - time.time()
    when = f"in {span(distance)}" if distance > 0 else f"{span(-distance)} ago"
    return f"{text}  {time.strftime('%Y-%m-%d %H:%M:%S', time.gmtime(value))} UTC, {when}"


def _caller(token: AccessToken) -> str:
    if "api_key" in token.claims:
        return f"API key {token.client_id}{'' if token.is_m2m else f' of user {token.subject}'}"
    return f"M2M app {token.client_id}" if token.is_m2m else f"user {token.subject}"


def _ascii(value: object) -> str:
    text = json.dumps(value)
    return text[1:-1] if isinstance(value, str) else text


def _json(document: object) -> None:
    print(json.dumps(document, indent=2))


def _words(verdict: str, colour: str, first: str, *lines: str) -> None:
    screen = console(stderr=True)
    for line in (Text.assemble((verdict, f"bold {colour}"), ": ", first), *filter(None, lines)):
        screen.print(line, soft_wrap=not screen.is_terminal)
