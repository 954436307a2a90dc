"""The commands, and what they have in common. A new command is a module with a function, and a line here."""

from __future__ import annotations

from typing import Annotated

import typer

from .. import __version__
from .demo.command import demo
from .dev import dev
from .doctor.command import doctor
from .explain import explain
from .routes import routes
from .token import token
from .verify import verify

app = typer.Typer(
    help="Verify Kinde access tokens at the terminal, and run a Kinde of your own to try them on.",
    epilog="Start here: kinde-guard demo",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (demo, dev, doctor, explain, routes, token, verify):
    app.command()(command)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"kinde-guard {__version__}")
        raise typer.Exit


@app.callback()
def _kinde_guard(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None: ...
