"""``kinde-guard explain``: why a token is let in or not, check by check."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from ..errors import AuthError
from ..explain import Check, Explanation
from ..explain import explain as explanation_of
from ..explain import explain_header as explanation_of_header
from ..settings import KINDE_AUDIENCE, Settings
from ..web.bearer import TEXTS
from .options import AsJson, Audiences, Demands, Domains, TokenFile
from .progress import working
from .proxy import Proxy, through
from .published import PublishedKeys, SavedKeys
from .reading import read_token
from .reasons import show_reason
from .remedies import remedy
from .screen import Screen
from .verify import requirement

STATUS = {"valid": 0, "refused": 1, "cannot_tell": 3}
_MARKS = {
    "passed": ("✓", "bold green"),
    "failed": ("✗", "bold red"),
    "cannot_tell": ("?", "bold yellow"),
    "not_reached": ("-", "dim"),
}
_COLOURS = {"valid": "green", "refused": "red", "cannot_tell": "yellow"}
Keys = PublishedKeys | SavedKeys


def explain(
    file: TokenFile = "-",
    domain: Domains = None,
    audience: Audiences = None,
    require: Demands = None,
    jwks: Annotated[
        str | None, typer.Option("--jwks", metavar="FILE", help="Take the keys from a JWK Set in a file: offline.")
    ] = None,
    reason: Annotated[
        str | None,
        typer.Option("--reason", metavar="WORD", help="Say what this reason of a log line means; ? lists them."),
    ] = None,
    proxy: Proxy = None,
    as_json: AsJson = False,
) -> None:
    """Explain why a token is let in or not.

    Shows every check of the guard in its order, with what was expected, what was found, and for what fails how to fix
    it. The token itself is not shown. It comes from a file or from stdin, as for verify, and --require takes what
    it takes there. Exit status: 0 valid, 1 refused, 2 usage or settings, 3 cannot tell.

    \b
    Example, with the variables that kinde-guard dev prints:
      kinde-guard token | kinde-guard explain --require scope:read:users
      kinde-guard explain --reason expired
    """
    if reason is not None:
        return show_reason(reason, as_json=as_json)
    demands = [requirement(text) for text in require or ()]
    settings = Settings.load(
        domain or None, audience=audience or KINDE_AUDIENCE, transport=through(proxy), variables=(os.environ,)
    )
    keys: Keys = PublishedKeys(settings) if jwks is None else SavedKeys(jwks, settings)
    try:
        raw = read_token(file)
    except AuthError as refusal:
        explanation = explanation_of_header(refusal, settings, time.time())
    else:
        with working("Asking for keys"):
            explanation = with_problems(
                explanation_of(raw, settings, time.time(), keys, demands), keys.problems, proxied=proxy is not None
            )
    if as_json:
        print(json.dumps(document(explanation), indent=2))
    else:
        _show(explanation)
    raise typer.Exit(STATUS[explanation.verdict])


def with_problems(explanation: Explanation, problems: Mapping[str, str], *, proxied: bool) -> Explanation:
    """*explanation*, with why keys cannot be had, which only those who asked for them know."""
    for issuer, problem in problems.items():
        fix = remedy(problem, issuer, proxied=proxied)
        checks = [
            replace(each, found=problem, fix=fix) if each.reason == "keys_unavailable" else each
            for each in explanation.checks
        ]
        return replace(explanation, checks=tuple(checks))
    return explanation


def document(explanation: Explanation) -> dict[str, object]:
    """The explanation as programs read it."""
    decisive = explanation.decisive
    return {
        "verdict": explanation.verdict,
        "reason": None if decisive is None else decisive.reason,
        "check": None if decisive is None else decisive.name,
        "fix": "" if decisive is None else decisive.fix,
        "verified": explanation.verified,
        "fingerprint": explanation.fingerprint,
        "checks": [asdict(check) for check in explanation.checks],
    }


def _show(explanation: Explanation) -> None:
    screen = Screen()
    if explanation.fingerprint:
        screen.say(f"Token {explanation.fingerprint}, as the log calls it.")
    screen.table(_checks(explanation))
    screen.table(_conclusion(explanation))


def _checks(explanation: Explanation) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    last = "found" if explanation.verified else "found (unverified)"
    for name, width in (("", 1), ("check", None), ("expected", 27), (last, None)):
        table.add_column(name, overflow="fold", max_width=width)
    for check in explanation.checks:
        dim = "dim" if check.outcome == "not_reached" else ""
        found = Text(_found(check), "yellow" if check.also == "failed" else dim)
        table.add_row(Text(*_MARKS[check.outcome]), Text(check.name, dim), Text(check.expected, dim), found)
    return table


def _found(check: Check) -> str:
    found = check.found.replace("; ", "\n")
    if check.outcome != "not_reached":
        return found
    return {"passed": found, "failed": f"{found} (fails too)", None: "not reached"}[check.also]


def _conclusion(explanation: Explanation) -> Table:
    table = Table.grid(padding=(0, 2))
    for label, style, text in _sentences(explanation):
        table.add_row(Text(label, style), Text(text))
    return table


def _sentences(explanation: Explanation) -> Iterator[tuple[str, str, str]]:
    verdict, decisive = explanation.verdict, explanation.decisive
    style = f"bold {_COLOURS[verdict]}"
    if decisive is None or decisive.reason is None:
        yield "valid", style, "Every check passes."
    else:
        yield verdict.replace("_", " "), style, f"{decisive.reason}, at {decisive.name}. {TEXTS[decisive.reason]}"
        yield "fix", "bold", decisive.fix
    for check in explanation.also_wrong:
        yield "also", "yellow", f"{check.name} ({check.reason}). {check.fix}"
    if explanation.fingerprint and not explanation.verified:
        yield "note", "bold", "What was found is unverified: no signature over it was seen to hold."
    if any(check.outcome == "not_reached" for check in explanation.checks):
        text = "The guard stops at the first failure, and does not reach this check."
        yield "-", "dim", f"{text} `explain` tries it anyway, if it can."
