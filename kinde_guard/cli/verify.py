"""``kinde-guard verify``: the guard's verdict on one token."""

from __future__ import annotations

import re
from typing import Any

import typer

from ..errors import AuthError, ConfigurationError, Unavailable
from ..explain.spelling import spelled
from ..guard import Guard
from ..requirements import Requirement
from ..settings import KINDE_AUDIENCE
from . import verdict
from .options import AsJson, Audiences, Demands, Domains, TokenFile
from .proxy import Proxy, through
from .reading import read_token

_KEY = re.compile(r"k_(?:live|test)_")


def verify(
    file: TokenFile = "-",
    domain: Domains = None,
    audience: Audiences = None,
    require: Demands = None,
    proxy: Proxy = None,
    as_json: AsJson = False,
) -> None:
    """Verify an access token, as the guard in front of an API does.

    Prints the claims of a good one; of another the reason and what to do about it. The token comes from a file or from
    stdin, alone or as the JSON of the token endpoint. Exit status: 0 valid, 1 refused, 2 usage or settings, 3 cannot
    tell. --require takes scope:NAME, permission:KEY, role:KEY, org:CODE, flag:KEY[=VALUE], machine
    and user, and '(scope:NAME & permission:KEY) | role:KEY'.

    Kinde is asked about a Kinde API key, by the application of KINDE_M2M_CLIENT_ID and KINDE_M2M_CLIENT_SECRET. The key
    has to be for an API of KINDE_API_IDS.

    \b
    Example, with the variables that kinde-guard dev prints:
      kinde-guard token | kinde-guard verify --require scope:read:users
    """
    demands = [requirement(text) for text in require or ()]
    settings: dict[str, Any] = {"audience": audience or KINDE_AUDIENCE, "transport": through(proxy)}
    guard = Guard(domain or None, **settings)
    try:
        raw = read_token(file)
        guard = _asking_kinde(domain, settings) if _KEY.match(raw) else guard
        token = guard.verify(raw)
        for demand in demands:
            token.require(demand)
    except AuthError as refusal:
        verdict.refused(refusal, as_json)
        raise typer.Exit(1) from None
    except Unavailable as unknown:
        verdict.cannot_tell(unknown, guard.health(), as_json, proxied=proxy is not None)
        raise typer.Exit(3) from None
    verdict.valid(token, as_json)


def requirement(text: str) -> Requirement:
    """What ``--require`` says."""
    try:
        return spelled(text)
    except ConfigurationError as error:
        raise ConfigurationError(f"--require: {error}") from None


def _asking_kinde(domain: list[str] | None, settings: dict[str, Any]) -> Guard:
    from .api_keys import guard_for_keys  # tokens need none of it

    return guard_for_keys(domain, **settings)
