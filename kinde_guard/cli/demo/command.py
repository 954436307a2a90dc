"""``kinde-guard demo``."""

from __future__ import annotations

import typer

from ..options import AsJson


def demo(as_json: AsJson = False) -> None:
    """Watch a client get a token and call a protected API.

    A local Kinde and an API are served on this machine alone; no account and no network is needed. Shows every request
    and every answer: the good call, the refused ones, a key rotation, an outage. Exit status: 0 if every answer was
    the right one, else 1.

    \b
    Example:
      kinde-guard demo
    """
    from .scenes import run_demo  # only now: the other commands need no server

    if not run_demo(as_json=as_json):
        raise typer.Exit(1)
