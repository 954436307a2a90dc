"""Options that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

TokenFile = Annotated[
    str, typer.Argument(metavar="FILE|-", help="File with the token; - is stdin.", show_default=False)
]
Domains = Annotated[
    list[str] | None,
    typer.Option("--domain", metavar="DOMAIN", help="Kinde domain, or its URL; may be repeated. [env: KINDE_DOMAIN]"),
]
Audiences = Annotated[
    list[str] | None,
    typer.Option("--audience", metavar="AUDIENCE", help="Audience of the API; may be repeated. [env: KINDE_AUDIENCE]"),
]
Demands = Annotated[
    list[str] | None,
    typer.Option(
        "--require", metavar="DEMAND", help="What a route demands, such as scope:read:users; may be repeated."
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Write JSON, for programs.")]
