"""``kinde-guard scopes``: what routes and tools demand, beside what the API has in Kinde."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

import typer

from ...errors import ConfigurationError
from ...m2m.token_request import Application
from ...routes import ProtectedRoute, routes_of
from ...settings import leavings
from ...web.well_known import every_scope
from ..loading import load
from ..messages import harmless, write_message
from ..options import AsJson
from ..proxy import Proxy, through
from .enum_source import enum_source
from .management import KindeApi, ManagementApi, ManagementFailed

_NO_SCOPES = (
    "kinde-guard: the API has no scopes at all. Scopes of one's own need Kinde's Plus plan; without it demand "
    "permissions, requires_permission(…)"
)


@dataclass(slots=True)
class Comparison:
    """What an app demands, each scope with the routes that do, and what its API has in Kinde."""

    api: KindeApi
    demanded: dict[str, list[str]]
    added: list[str] = field(default_factory=list)

    @property
    def has(self) -> list[str]:
        return [*self.api.scopes, *self.added]

    @property
    def missing(self) -> list[str]:
        return sorted(set(self.demanded).difference(self.has))

    @property
    def undemanded(self) -> list[str]:
        return sorted(set(self.has).difference(self.demanded))


def scopes(
    app: Annotated[
        str,
        typer.Argument(
            metavar="MODULE:APP", help="A FastAPI, Starlette, Flask or MCP app; Django's wsgi or asgi application."
        ),
    ],
    audience: Annotated[
        str | None, typer.Option(metavar="AUDIENCE", help="Audience of the API. [env: KINDE_AUDIENCE]")
    ] = None,
    domain: Annotated[
        str | None, typer.Option(metavar="DOMAIN", help="Kinde domain. [env: KINDE_M2M_DOMAIN, KINDE_DOMAIN]")
    ] = None,
    client_id: Annotated[
        str | None, typer.Option(metavar="ID", help="Client id of the app that asks. [env: KINDE_M2M_CLIENT_ID]")
    ] = None,
    add: Annotated[bool, typer.Option("--add", help="Add the missing scopes to the API in Kinde.")] = False,
    enum: Annotated[
        bool, typer.Option("--enum", help="Write the scopes that the API has as a Python enum, and nothing else.")
    ] = False,
    proxy: Proxy = None,
    as_json: AsJson = False,
) -> None:
    """Compare the scopes that an app demands with those that its API has in Kinde.

    A scope that Kinde does not have lets nobody in. Kinde is asked by a machine-to-machine application that is
    authorised for the Kinde Management API with read:apis and read:api_scopes, and for --add with create:api_scopes.
    Its secret is taken from KINDE_M2M_CLIENT_SECRET. Nothing is ever deleted. Exit status: 0 good, 1 a scope is
    missing in Kinde, or Kinde refuses, 2 usage or settings, 3 no answer.

    \b
    Example, with the variables that kinde-guard dev prints:
      kinde-guard scopes kinde_guard.cli.sample:app --add
      kinde-guard scopes kinde_guard.cli.sample:app --enum > scopes.py
    """
    if enum and as_json:
        raise ConfigurationError("--enum writes Python, and --json writes JSON: leave one of the two out")
    asker = Application.load(domain, client_id=client_id, client_secret=None, audience="kinde", scopes=())
    kinde = ManagementApi(asker, through(proxy), adds=add)
    try:
        compared = _compared(kinde, load(app)[1], _one(audience), add)
    except ManagementFailed as failed:
        raise _failed(failed, as_json) from None
    if enum:
        typer.echo(enum_source(compared.api.audience, compared.has), nl=False)
    else:
        typer.echo(json.dumps(_document(compared), indent=2) if as_json else _text(compared))
    if not as_json:
        _tell(compared)
    if compared.missing:
        raise typer.Exit(1)


def _one(audience: str | None) -> str:
    name = "KINDE_AUDIENCE" if audience is None else "--audience"
    found = leavings.values(name, os.environ.get(name, "") if audience is None else audience)
    if len(found) != 1:
        raise ConfigurationError("scopes are those of one API: give --audience, or set KINDE_AUDIENCE, to its audience")
    return found[0]


def _compared(kinde: ManagementApi, app: Any, audience: str, add: bool) -> Comparison:
    compared = Comparison(kinde.api(audience), _demanded(routes_of(app)))
    for scope in compared.missing if add else ():
        kinde.add(compared.api, scope)
        compared.added.append(scope)
    return compared


def _demanded(routes: Sequence[ProtectedRoute]) -> dict[str, list[str]]:
    """By scope the routes that demand it, be it as one of several alternatives."""
    found: dict[str, list[str]] = {}
    for route in routes:
        for scope in dict.fromkeys(() if route.demand is None else every_scope(route.demand)):
            found.setdefault(scope, []).append(str(route))
    return dict(sorted(found.items()))


def _text(compared: Comparison) -> str:
    rows = [(scope, _verdict(scope, compared), ", ".join(routes)) for scope, routes in compared.demanded.items()]
    rows += [(harmless(scope), "not demanded", "") for scope in compared.undemanded]
    widths = [max((len(row[column]) for row in rows), default=0) for column in range(2)]
    return "\n".join("  ".join([*map(str.ljust, row, widths), row[2]]).rstrip() for row in rows)


def _verdict(scope: str, compared: Comparison) -> str:
    """In capitals what somebody has to look at."""
    if scope in compared.missing:
        return "MISSING"
    return "added" if scope in compared.added else "in Kinde"


def _document(compared: Comparison) -> dict[str, object]:
    return {
        "audience": compared.api.audience,
        "demanded": [{"scope": scope, "routes": routes} for scope, routes in compared.demanded.items()],
        "missing": compared.missing,
        "undemanded": compared.undemanded,
        "added": compared.added,
    }


def _tell(compared: Comparison) -> None:
    counts = [f"{len(compared.demanded)} demanded", f"{len(compared.missing)} missing in Kinde"]
    counts += [f"{len(compared.added)} added"] if compared.added else []
    write_message(
        f"scopes of {compared.api.audience}: {', '.join([*counts, f'{len(compared.undemanded)} not demanded'])}"
    )
    if compared.missing:
        if not compared.has:
            write_message(_NO_SCOPES)
        missing = " ".join(compared.missing)
        write_message(f"kinde-guard: nobody can be granted {missing}: add it with --add, or fix the demand")


def _failed(failed: ManagementFailed, as_json: bool) -> typer.Exit:
    """Refused is 1; where trying again later may help, nothing can be told: 3."""
    if as_json:
        print(json.dumps({"error": failed.error, "message": failed.message, "retryable": failed.retryable}))
    else:
        write_message(f"kinde-guard: {failed.message}")
    return typer.Exit(3 if failed.retryable else 1)
