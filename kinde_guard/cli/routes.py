"""``kinde-guard routes``: what every route of an app demands."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated

import typer

from ..routes import ProtectedRoute, routes_of, unserved
from .loading import load
from .messages import write_message
from .options import AsJson


def routes(
    app: Annotated[
        str,
        typer.Argument(
            metavar="MODULE:APP", help="A FastAPI, Starlette, Flask or MCP app; Django's wsgi or asgi application."
        ),
    ],
    fail_unprotected: Annotated[
        bool, typer.Option("--fail-unprotected", help="Exit with 1 if a route is open that is not public.")
    ] = False,
    public: Annotated[
        list[str] | None,
        typer.Option(metavar="PATH", help="A route that is open on purpose; /static/* is all below. May be repeated."),
    ] = None,
    as_json: AsJson = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Write a Markdown table.")] = False,
) -> None:
    """List every route of an app, and what it demands; and the middleware that is asked before the guard.

    The app is imported; none of its handlers is called, and no settings are needed. A factory is named with its
    parentheses: "api:create_app()". Exit status: 0 good, 1 a demand is declared that nothing enforces (or, with
    --fail-unprotected, a route is open), 2 usage.

    \b
    Example:
      kinde-guard routes kinde_guard.cli.sample:app --fail-unprotected --public /healthz
    """
    module, found = load(app)
    listed = routes_of(found, public or ())
    write = _as_json if as_json else _as_markdown if markdown else _as_text
    typer.echo(write(listed))
    for name in unserved(vars(module), found):
        write_message(f"kinde-guard: {module.__name__}:{name} is not included in the app: its routes do not exist")
    if not as_json:
        write_message(_summary(listed))
    for route in listed:
        if route.note:
            write_message(f"kinde-guard: {route}, {route.where}: {route.note}")
    failing = {"misplaced", "unprotected"} if fail_unprotected else {"misplaced"}
    if any(route.kind in failing for route in listed):
        raise typer.Exit(1)


def _as_text(listed: Sequence[ProtectedRoute]) -> str:
    rows = [(_methods(route), route.path, _verdict(route), route.where) for route in listed]
    widths = [max((len(row[column]) for row in rows), default=0) for column in range(3)]
    lines = ("  ".join([*map(str.ljust, row, widths), row[3]]) for row in rows)
    return "\n".join(lines)


def _as_markdown(listed: Sequence[ProtectedRoute]) -> str:
    lines = ["| Method | Path | Demands | Where |", "|---|---|---|---|"]
    for route in listed:
        cells = (_methods(route), f"`{route.path}`", _verdict(route), f"`{route.where}`")
        lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    return "\n".join(lines)


def _as_json(listed: Sequence[ProtectedRoute]) -> str:
    return json.dumps([
        {
            "path": route.path,
            "methods": list(route.methods),
            "kind": route.kind,
            "demand": None if route.demand is None else str(route.demand),
            "where": route.where,
            "note": route.note,
        }
        for route in listed
    ], indent=2)  # fmt: skip


def _verdict(route: ProtectedRoute) -> str:
    """What it demands; in capitals what somebody has to look at."""
    if route.kind == "misplaced":
        return f"NOT ENFORCED: {route.demand}" if route.demand is not None else "NOT ENFORCED"
    if route.kind == "optional":
        return "optional token"
    if route.kind == "outside":
        return "outside of the guard"
    if route.demand is not None:
        return str(route.demand)
    return "UNPROTECTED" if route.kind == "unprotected" else route.kind


def _methods(route: ProtectedRoute) -> str:
    return " ".join(route.methods) or "ANY"


def _summary(listed: Sequence[ProtectedRoute]) -> str:
    kinds = [route.kind for route in listed if route.kind != "outside"]  # which is no route
    counts = [f"{kinds.count(kind)} {word}" for kind, word in _WORDS.items() if kind in kinds]
    return f"{len(kinds)} route{'s' if len(kinds) != 1 else ''}: {', '.join(counts) or 'nothing to protect'}"


_WORDS = {
    "protected": "protected",
    "optional": "optional",
    "public": "public",
    "unprotected": "unprotected",
    "misplaced": "not enforced",
}
