"""The commands, and what they have in common. Each is loaded when it is called: ``--help`` and ``--version`` need none.

A new command is a module with a function of the command's name, and a row in :data:`COMMANDS`.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Annotated, Any, NamedTuple

import typer
from typer.core import TyperCommand
from typer.main import get_command

from .. import __version__
from . import ctrl_c


class Listed(NamedTuple):
    """A command as the help lists it, before it is loaded."""

    module: str
    """Below ``kinde_guard.cli``."""
    summary: str
    """The first paragraph of the docstring, once more: reading it there would load what the command needs."""


COMMANDS = {
    "demo": Listed("demo.command", "Watch a client get a token and call a protected API."),
    "dev": Listed("dev", "Run a local Kinde with sample apps, an API and people."),
    "doctor": Listed("doctor.command", "Examine a Kinde domain and the settings, step by step."),
    "explain": Listed("explain", "Explain why a token is let in or not."),
    "forward-auth": Listed("forward_auth.command", "Answer a reverse proxy that asks whether a caller may go on."),
    "keys": Listed("keys", "Fetch the keys that verify tokens, and save them, so that a guard can start with them."),
    "revocations": Listed(
        "revoking.revocations", "List what is revoked, watch it, explain a token by it, lift a mistake."
    ),
    "revoke": Listed("revoking.revoke", "Make every worker refuse tokens before they expire."),
    "routes": Listed(
        "routes",
        "List every route of an app, and what it demands; and the middleware that is asked before the guard.",
    ),
    "scopes": Listed("scopes.command", "Compare the scopes that an app demands with those that its API has in Kinde."),
    "token": Listed("token", "Get an access token by client credentials."),
    "verify": Listed("verify", "Verify an access token, as the guard in front of an API does."),
}
_OPTIONS: dict[str, Any] = {"pretty_exceptions_enable": False, "rich_markup_mode": None}

app = typer.Typer(
    help="Verify Kinde access tokens at the terminal, and run a Kinde of your own to try them on.",
    epilog="Start here: kinde-guard demo",
    no_args_is_help=True,
    add_completion=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    **_OPTIONS,
)


def function_of(name: str) -> Callable[..., None]:
    """The function of the command *name*, whose module is loaded now."""
    module = importlib.import_module(f".{COMMANDS[name].module}", __package__)
    function: Callable[..., None] = getattr(module, name.replace("-", "_"))
    return function


class CommandToLoad(TyperCommand):
    """A command that knows its name and its summary, and makes room for the real one when it is called."""

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """The context of the real command, which is what is then invoked."""
        command = _loaded(self.name or "")
        ctrl_c.leave_to([self.name or ""])
        return command.make_context(info_name, args, parent=parent, **extra)


def _loaded(name: str) -> Any:
    alone = typer.Typer(add_completion=False, **_OPTIONS)
    alone.command(name)(function_of(name))
    return get_command(alone)


for _name, _listed in COMMANDS.items():
    app.command(_name, cls=CommandToLoad, help=_listed.summary)(lambda: None)


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
