"""What the commands ask of a local Kinde that somebody has started: tokens by name, and API keys."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import httpx
import typer

from ..errors import ConfigurationError
from ..settings import is_loopback, issuer_urls
from .messages import write_message

_TOKENS = "/_local/tokens"
_API_KEYS = "/_local/api_keys"


def print_preset(name: str, domain: str | None, as_json: bool) -> None:
    """Write a new token of the preset *name*; for ``?`` the list of names. Raises :class:`ConfigurationError` where no
    local Kinde is meant, or it has no such preset; ends with 3 if it does not answer."""
    issuer = _local_issuer("--preset", domain)
    if name == "?":
        presets = _ask("GET", issuer, _TOKENS, None, as_json=as_json)["presets"]
        print(json.dumps(presets, indent=2) if as_json else "\n".join(_listed(presets)))
        return
    found = _ask("POST", issuer, _TOKENS, {"preset": name}, as_json=as_json)
    print(json.dumps(found) if as_json else found["access_token"])


def print_api_key(wish: Mapping[str, object], domain: str | None, as_json: bool) -> None:
    """Write a new API key, made as *wish* says; what is ``None`` there is left to the local Kinde. Raises as
    :func:`print_preset` does."""
    asked = {name: value for name, value in wish.items() if value is not None}
    found = _ask("POST", _local_issuer("--api-key", domain), _API_KEYS, asked, as_json=as_json)
    print(json.dumps(found) if as_json else found["key"])


def _local_issuer(option: str, domain: str | None) -> str:
    """The one that ``KINDE_DOMAIN`` or *domain* names; *option* is what needs it."""
    issuers = issuer_urls(domain, (os.environ,))
    local = [issuer for issuer in issuers if is_loopback(urlsplit(issuer).hostname or "")]
    if not local:
        raise ConfigurationError(
            f"{option} is for a local Kinde, and {issuers[0]} is none: start one with kinde-guard dev, and set the "
            "variables that it prints"
        )
    return local[0]


def _listed(presets: dict[str, Any]) -> list[str]:
    width = max(map(len, presets))
    return [f"{name:{width}}  {each['reason'] or 'let in'}: {each['summary']}" for name, each in presets.items()]


def _ask(method: str, issuer: str, path: str, wish: object, *, as_json: bool) -> Any:
    try:
        answer = httpx.request(method, f"{issuer}{path}", json=wish, timeout=5, trust_env=False)
        found = answer.json()
    except (httpx.HTTPError, ValueError):
        raise _no_answer(issuer, as_json=as_json) from None
    if answer.status_code != 200:
        raise ConfigurationError(str(found.get("error_description", found)).rstrip("."))
    return found


def _no_answer(issuer: str, *, as_json: bool) -> typer.Exit:
    sentence = f"no local Kinde answers at {issuer}: start it with kinde-guard dev"
    if as_json:
        print(json.dumps({"error": "local_kinde_unavailable", "message": sentence, "retryable": True}))
    else:
        write_message(f"kinde-guard: {sentence}")
    return typer.Exit(3)
