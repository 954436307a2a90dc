"""``kinde-guard token``: an access token by client credentials."""

from __future__ import annotations

import getpass
import json
import os
from collections.abc import Mapping
from typing import Annotated

import typer

from ..errors import ConfigurationError
from ..m2m import ClientCredentials, TokenEndpointUnavailable, TokenRequestFailed
from ..m2m.token_request import Application
from .local import print_api_key, print_preset
from .messages import write_message
from .options import AsJson
from .proxy import Proxy, through
from .reading import read_bytes
from .remedies import remedy

_VARIABLE = "KINDE_M2M_CLIENT_SECRET"


def token(
    domain: Annotated[
        str | None, typer.Option(metavar="DOMAIN", help="Kinde domain. [env: KINDE_M2M_DOMAIN, KINDE_DOMAIN]")
    ] = None,
    client_id: Annotated[
        str | None, typer.Option(metavar="ID", help="Client id of the app. [env: KINDE_M2M_CLIENT_ID]")
    ] = None,
    audience: Annotated[
        list[str] | None,
        typer.Option(metavar="AUDIENCE", help="Audience of the API; may be repeated. [env: KINDE_M2M_AUDIENCE]"),
    ] = None,
    scope: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SCOPE", help="Ask for this scope, else for all; may be repeated. [env: KINDE_M2M_SCOPES]"
        ),
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="From the local Kinde: a token of this name, such as user or expired; ? lists them."
        ),
    ] = None,
    api_key: Annotated[
        bool, typer.Option("--api-key", help="From the local Kinde: a new API key that belongs to no user.")
    ] = False,
    user: Annotated[
        str | None, typer.Option(metavar="ID", help="With --api-key: a key of the user with this id.")
    ] = None,
    org: Annotated[
        str | None, typer.Option(metavar="CODE", help="With --api-key: a key of the organization with this code.")
    ] = None,
    lifetime: Annotated[
        int | None, typer.Option(metavar="SECONDS", min=0, help="With --api-key: how long it is good; default: no end.")
    ] = None,
    secret_stdin: Annotated[bool, typer.Option("--secret-stdin", help="Read the client secret from stdin.")] = False,
    proxy: Proxy = None,
    as_json: AsJson = False,
) -> None:
    """Get an access token by client credentials.

    It comes from Kinde or from the local one. The token alone goes to stdout.
    The client secret is taken from KINDE_M2M_CLIENT_SECRET, from stdin or from
    a prompt, never from the command line. Kinde bills each token it issues.

    \b
    Example, with the variables that kinde-guard dev prints:
      kinde-guard token --scope read:users | kinde-guard verify
      kinde-guard token --preset expired | kinde-guard explain
      kinde-guard token --api-key --scope read:users
    """
    of_api_keys = {"user": user, "org_code": org, "lifetime": lifetime}
    if api_key:
        _leave_out("--api-key", {"--preset": preset, "--client-id": client_id, "--secret-stdin": secret_stdin or None})
        print_api_key({**of_api_keys, "scopes": scope or None, "audience": _one(audience)}, domain, as_json)
        return
    _leave_out("a token", {"--user": user, "--org": org, "--lifetime": lifetime})
    if preset is not None:
        print_preset(preset, domain, as_json)
        return
    secret = _secret(secret_stdin)
    app = Application.load(
        domain, client_id=client_id, client_secret=secret, audience=audience or None, scopes=scope or None
    )
    _print_token(app, proxy, as_json)


def _print_token(app: Application, proxy: str | None, as_json: bool) -> None:
    credentials = ClientCredentials(
        app.issuer,
        client_id=app.client_id,
        client_secret=app.secret,
        audience=app.audience,
        scopes=app.scopes,
        shared=False,
        transport=through(proxy),
    )
    try:
        text = credentials.token()
    except TokenRequestFailed as failed:
        raise _failed(failed, _fix(failed, app.issuer, proxied=proxy is not None), as_json) from None
    print(json.dumps({"access_token": text, "token_type": "Bearer"}) if as_json else text)


def _leave_out(what: str, options: Mapping[str, object]) -> None:
    """Raise :class:`ConfigurationError` if one of *options*, which *what* cannot have, was given."""
    given = [name for name, value in options.items() if value is not None]
    if given:
        raise ConfigurationError(f"{what} cannot have {given[0]}: leave one of the two out")


def _one(audience: list[str] | None) -> str | None:
    """The audience of a key, which is for one API."""
    if audience and len(audience) > 1:
        raise ConfigurationError("an API key is for one API: give one --audience")
    return audience[0] if audience else None


def _secret(from_stdin: bool) -> str | None:
    """The client secret; ``None`` if it is in the environment, where ``ClientCredentials`` finds it."""
    if from_stdin and not os.isatty(0):
        return read_bytes("-").decode("utf-8", "replace").strip()
    if _VARIABLE in os.environ and not from_stdin:
        return None
    if os.isatty(0):
        return getpass.getpass("Client secret (it is not shown): ")
    raise ConfigurationError(
        f"no client secret: set {_VARIABLE}, or pipe it in with --secret-stdin (Kinde shows it in the app's details)"
    )


def _fix(failed: TokenRequestFailed, issuer: str, *, proxied: bool) -> str:
    """What Kinde refuses comes with advice; where it does not answer, the problem decides."""
    unanswered = isinstance(failed, TokenEndpointUnavailable)
    return f" {remedy(failed.message, issuer, proxied=proxied)}" if unanswered else ""


def _failed(failed: TokenRequestFailed, fix: str, as_json: bool) -> typer.Exit:
    """Refused is 1; where trying again later may help, nothing can be told: 3."""
    if as_json:
        print(json.dumps({"error": failed.error, "message": failed.message, "retryable": failed.retryable}))
    else:
        write_message(f"no token ({failed.error}): {failed.message}{fix and f'.{fix}'}")
    return typer.Exit(3 if failed.retryable else 1)
