"""``kinde-guard dev``: the local Kinde and its console, for one's own API to be run against."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Annotated

import typer

from ..console.variables import exports
from ..issuer import LocalIssuer
from ..net import verdict_reporter

if TYPE_CHECKING:
    from .serving import App


def dev(
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port on 127.0.0.1; 0 picks a free one.")] = 9400,
) -> None:
    """Run a local Kinde with sample apps, an API and people.

    Its console, in the browser, mints tokens and explains them, rotates keys, breaks endpoints and lists what happens.
    It serves this machine alone, and everybody on it. Keys, ids and secrets are made at the start and forgotten at the
    end: export the variables anew after each start. Every request is listed on stderr, but for the guards' reports.

    \b
    Example:
      kinde-guard dev --port 9400
    """
    from .serving import listen, reporting, serve, url_of  # only now: the other commands need no server

    with listen(port) as sock:
        issuer = LocalIssuer(url_of(sock))
        listed = reporting(issuer.asgi, _list)
        app = console(issuer, listed)
        print(greeting(issuer, has_console=app is not None), flush=True)
        serve(app or listed, sock)


def console(issuer: LocalIssuer, behind: App) -> App | None:
    """The console in front of *behind*; ``None`` without its extra."""
    try:
        from ..console import Console
    except ImportError as missing:
        if (missing.name or "").partition(".")[0] not in ("jinja2", "markupsafe"):
            raise
        return None
    return Console(issuer, behind=behind)


def greeting(issuer: LocalIssuer, *, has_console: bool = True) -> str:
    """What one needs to know, in lines that can be pasted: no line is wrapped here."""
    api, app = issuer.registry.apis[0], issuer.app
    what = "A local Kinde and its console" if has_console else "A local Kinde"
    form = f"client_id={app.client_id}&client_secret={app.client_secret}&audience={api.audience}"
    return "\n".join(
        [
            f"{what}: {issuer.url} (for this machine alone; Ctrl-C ends it)",
            *([] if has_console else ["For a console in the browser: pip install 'kinde-guard[dev]'"]),
            "",
            f"  app     {app.name}",
            f"  API     {api.audience}",
            f"  scopes  {' '.join(api.scopes)}",
            "",
            "For your API and its clients, in another terminal:",
            "",
            exports(issuer),
            "",
            "Then get a token and look at it:",
            "",
            "kinde-guard token | kinde-guard verify",
            "",
            "Or without kinde-guard:",
            "",
            f"curl -sS {issuer.url}/oauth2/token -d 'grant_type=client_credentials&{form}'",
            "",
        ]
    )


def _list(method: str, path: str, status: int) -> None:
    if path == verdict_reporter.PATH and status < 400:
        return  # a busy API's guard has a lot to tell, and the console tells it better
    print(f"{time.strftime('%H:%M:%S')}  {status}  {method} {path}", file=sys.stderr, flush=True)
