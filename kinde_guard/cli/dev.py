"""``kinde-guard dev``: the local Kinde and its console, for one's own API to be run against."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit

import typer

from ..console.variables import exports, variables
from ..issuer import LocalIssuer
from ..net import verdict_reporter
from ..settings import is_loopback
from .options import AsJson

if TYPE_CHECKING:
    from .serving import App


def dev(
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 picks a free one.")] = 9400,
    host: Annotated[
        str,
        typer.Option(metavar="ADDRESS", help="Where to listen; 0.0.0.0 in a container, whose port is then published."),
    ] = "127.0.0.1",
    as_json: AsJson = False,
) -> None:
    """Run a local Kinde with sample apps, an API and people.

    Its console, in the browser, mints tokens and explains them, rotates keys, breaks endpoints and lists what happens.
    It serves this machine alone, and everybody on it; with --host whoever reaches it. Keys, ids and secrets are made at
    the start and forgotten at the end: export the variables anew after each start. Every request is listed on stderr,
    except the reports of guards. With --json the first line is a document with all that one needs to know.

    \b
    Example:
      kinde-guard dev --port 9400
    """
    from .serving import listen, reporting, serve, url_of  # only now: the other commands need no server

    with listen(port, host) as sock:
        issuer = LocalIssuer(url_of(sock))
        listed = reporting(issuer.asgi, _list)
        app = console(issuer, listed)
        is_open = not is_loopback(host)
        words = facts if as_json else greeting
        print(words(issuer, has_console=app is not None, listens_at=host if is_open else ""), flush=True)
        serve(_for_everybody(app or listed) if is_open else app or listed, sock)


def _for_everybody(app: App) -> App:
    """*app*, which takes whoever reaches it for somebody on this machine: a published port of a container has another
    sender's address. A browser's page of another origin, and another host name, are refused as ever."""

    async def asked(scope: Any, receive: Any, send: Any) -> None:
        await app({**scope, "client": ("127.0.0.1", 0)} if scope.get("client") else scope, receive, send)

    return asked


def console(issuer: LocalIssuer, behind: App) -> App | None:
    """The console in front of *behind*; ``None`` without its extra."""
    try:
        from ..console import Console
    except ImportError as missing:
        if (missing.name or "").partition(".")[0] not in ("jinja2", "markupsafe"):
            raise
        return None
    return Console(issuer, behind=behind)


def greeting(issuer: LocalIssuer, *, has_console: bool = True, listens_at: str = "") -> str:
    """What one needs to know, in lines that can be pasted: no line is wrapped here. *listens_at*: the address, if
    others than this machine can reach it."""
    api, app = issuer.registry.apis[0], issuer.app
    what = "A local Kinde and its console" if has_console else "A local Kinde"
    form = f"client_id={app.client_id}&client_secret={app.client_secret}&audience={api.audience}"
    port = urlsplit(issuer.url).port
    return "\n".join(
        [
            f"{what}: {issuer.url} ({'OPEN, see below' if listens_at else 'for this machine alone'}; Ctrl-C ends it)",
            *(_opened(listens_at, port) if listens_at else ()),
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
            "Or an API key, for an API that takes Kinde's:",
            "",
            "kinde-guard token --api-key | kinde-guard verify",
            "",
            "Or without kinde-guard:",
            "",
            f"curl -sS {issuer.url}/oauth2/token -d 'grant_type=client_credentials&{form}'",
            "",
        ]
    )


def facts(issuer: LocalIssuer, *, has_console: bool = True, listens_at: str = "") -> str:
    """The same for a program, in one line of JSON."""
    api = issuer.registry.apis[0]
    document = {
        "url": issuer.url,
        "console": has_console,
        "open_at": listens_at or None,
        "app": issuer.app.name,
        "audience": api.audience,
        "scopes": list(api.scopes),
        "variables": variables(issuer),
    }
    return json.dumps(document)


def _opened(listens_at: str, port: int | None) -> list[str]:
    return [
        "",
        f"It listens at {listens_at}: whoever can reach port {port} of this machine can be anybody here, mint any",
        "token, and read and change everything. Publish the port of a container to your own machine alone:",
        "",
        f"docker run -p 127.0.0.1:{port}:{port} …",
    ]


def _list(method: str, path: str, status: int) -> None:
    if path == verdict_reporter.PATH and status < 400:
        return  # a busy API's guard has a lot to tell, and the console tells it better
    print(f"{time.strftime('%H:%M:%S')}  {status}  {method} {path}", file=sys.stderr, flush=True)
