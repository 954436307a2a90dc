"""Options that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

Domains = Annotated[
    list[str] | None,
    typer.Option("--domain", metavar="DOMAIN", help="Kinde domain, or its URL; may be repeated. [env: KINDE_DOMAIN]"),
]
Audiences = Annotated[
    list[str] | None,
    typer.Option("--audience", metavar="AUDIENCE", help="Audience of the API; may be repeated. [env: KINDE_AUDIENCE]"),
]
AsJson = Annotated[bool, typer.Option("--json", help="Write JSON, for programs.")]
