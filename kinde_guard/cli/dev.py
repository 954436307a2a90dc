"""``kinde-guard dev``: the local Kinde, for one's own API to be run against."""

from __future__ import annotations

import sys
import time
from typing import Annotated

import typer

from ..issuer import LocalIssuer


def dev(
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port on 127.0.0.1; 0 picks a free one.")] = 9400,
) -> None:
    """Run a local Kinde with a sample app, API and scopes.

    It serves discovery, the keys and the token endpoint, to this machine alone. Keys and secrets are made at the
    start and forgotten at the end. Every request is listed on stderr.

    \b
    Example:
      kinde-guard dev --port 9400
    """
    from .serving import listen, serve, told, url_of  # only now: the other commands need no server

    with listen(port) as sock:
        issuer = LocalIssuer(url_of(sock))
        print(greeting(issuer), flush=True)
        try:
            serve(told(issuer.asgi, _list), sock)
        except KeyboardInterrupt:
            print("\nStopped.", file=sys.stderr)


def variables(issuer: LocalIssuer) -> dict[str, str]:
    """What an API that trusts *issuer*, and the sample app that calls it, are configured with."""
    return {
        "KINDE_DOMAIN": issuer.url,
        "KINDE_AUDIENCE": issuer.audience,
        "KINDE_M2M_CLIENT_ID": issuer.app.client_id,
        "KINDE_M2M_CLIENT_SECRET": issuer.app.client_secret,
        "KINDE_M2M_AUDIENCE": issuer.audience,
    }


def greeting(issuer: LocalIssuer) -> str:
    """What one needs to know, in lines that can be pasted: no line is wrapped here."""
    api, app = issuer.registry.apis[0], issuer.app
    form = f"client_id={app.client_id}&client_secret={app.client_secret}&audience={api.audience}"
    return "\n".join(
        [
            f"A local Kinde at {issuer.url} (for this machine alone; Ctrl-C ends it)",
            "",
            f"  app     {app.name}",
            f"  API     {api.audience}",
            f"  scopes  {' '.join(api.scopes)}",
            "",
            "For your API and its clients, in another terminal:",
            "",
            *(f"export {name}={value}" for name, value in variables(issuer).items()),
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
    print(f"{time.strftime('%H:%M:%S')}  {status}  {method} {path}", file=sys.stderr, flush=True)
