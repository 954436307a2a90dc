"""``kinde-guard revocations``: what is revoked, as it comes, what refuses a token, and how a mistake is undone."""

from __future__ import annotations

import json
from collections.abc import Iterable
from enum import StrEnum
from typing import Annotated

import typer

from ...errors import ConfigurationError
from ...net import joining
from ...revocation import Revocation
from .. import ctrl_c
from ..messages import write_message
from ..options import AsJson, Audiences, Domains
from . import shown
from .store import asking_redis, issuers_of, revocations_of, verified

LOAD = 10.0
"""Seconds that loading all revocations may take."""


class Action(StrEnum):
    """What is to be done."""

    LIST = "list"
    WATCH = "watch"
    EXPLAIN = "explain"
    LIFT = "lift"


def revocations(
    action: Annotated[Action, typer.Argument(help="What to do.", show_default=False)],
    what: Annotated[
        str | None, typer.Argument(metavar="FILE|-|ID", help="The token for explain, the id for lift.")
    ] = None,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why it is lifted, for people.")] = "",
    domain: Domains = None,
    audience: Audiences = None,
    as_json: AsJson = False,
) -> None:
    """List what is revoked, watch it, explain a token by it, lift a mistake.

    list shows what stands in the Redis in KINDE_REVOCATIONS_URL, watch what arrives from now on, until Ctrl-C. explain
    takes a token from a file or from stdin, and shows which revocations refuse it: exit status 1 if any does. lift
    undoes one, by its id; what was revoked again since stays revoked. Other exit statuses: 2 usage or settings, 3
    cannot tell.

    \b
    Example:
      kinde-guard revocations explain token.txt
    """
    if (what is None) != (action in (Action.LIST, Action.WATCH)):
        raise ConfigurationError(f"{action.value} takes {_TAKES[action]}")
    issuers = issuers_of(domain)
    if action is Action.EXPLAIN:
        _explain(issuers, what or "-", audience, as_json)
    elif action is Action.LIFT:
        _lift(issuers, what or "", reason, as_json)
    elif action is Action.WATCH:
        _watch(issuers, as_json)
    else:
        _list(issuers, as_json)


_TAKES = {
    Action.LIST: "nothing else",
    Action.WATCH: "nothing else",
    Action.EXPLAIN: "a file with a token, or - for stdin",
    Action.LIFT: "the id of a revocation, as list shows it",
}


def _list(issuers: tuple[str, ...], as_json: bool) -> None:
    with asking_redis(as_json=as_json):
        entries = list(revocations_of(issuers).entries())
    if as_json:
        print(json.dumps([shown.as_json(entry) for entry in entries], indent=2))
    elif entries:
        _print(entries)
    else:
        write_message("nothing is revoked")


def _print(entries: Iterable[Revocation]) -> None:
    for entry in entries:
        print("  ".join(filter(None, (entry.id, shown.what(entry), shown.why(entry)))), flush=True)


def _watch(issuers: tuple[str, ...], as_json: bool) -> None:
    ctrl_c.heed([ctrl_c.WATCHING])
    with asking_redis(as_json=as_json):
        for entry in revocations_of(issuers).watch():
            if as_json:
                print(json.dumps(shown.as_json(entry)), flush=True)
            else:
                _print([entry])


def _explain(issuers: tuple[str, ...], file: str, audience: list[str] | None, as_json: bool) -> None:
    token = verified(file, issuers, audience, as_json=as_json)
    with asking_redis(as_json=as_json):
        found = revocations_of(issuers)
        if (loading := found.load_behind()) is not None:
            joining.join(loading, LOAD)
        found.check_usable()
        matching = found.matching(token)
    found.close()
    _say_what_matches(matching, found.health().entries, as_json)
    raise typer.Exit(1 if matching else 0)


def _say_what_matches(matching: tuple[Revocation, ...], of: int, as_json: bool) -> None:
    if as_json:
        print(json.dumps({"revoked": bool(matching), "by": [shown.as_json(entry) for entry in matching]}, indent=2))
        return
    if not matching:
        print(f"not revoked: none of {of} revocations refuses it")
        return
    print(f"revoked, by {len(matching)} of {of}:")
    _print(matching)


def _lift(issuers: tuple[str, ...], name: str, reason: str, as_json: bool) -> None:
    with asking_redis(as_json=as_json):
        found = revocations_of(issuers)
        entry = next((entry for entry in found.entries() if entry.id == name), None)
        if entry is None:
            raise ConfigurationError(f"no revocation has the id {name[:100]!r}, or it has been lifted")
        found.lift(entry, reason)
    if as_json:
        print(json.dumps({"lifted": shown.as_json(entry)}, indent=2))
    else:
        print(f"lifted: {shown.what(entry)} (id {entry.id})")
