"""``/_local/…``: what this machine alone may ask of a served issuer, and tell it; no web page from elsewhere may.

``/_local/faults``: ``GET`` says what is wrong and what can be; ``POST`` with JSON such as ``{"fault": "hanging", "at":
"token", "seconds": 3}`` breaks an endpoint (the keys', unless ``at`` names another) and with ``{"fault": null}`` heals
it; ``DELETE`` heals everything.

``/_local/verdicts``: ``POST`` a list of what guards say (:mod:`kinde_guard.net.verdict_reporter`).

``/_local/events``: ``GET`` what has happened; with ``?since=7`` only what came after the entry of that number.

``/_local/tokens``: ``GET`` the presets, and for what a guard refuses each; ``POST`` with JSON such as ``{"preset":
"expired"}`` gives a new token of that name.

``/_local/api_keys``: ``POST`` with JSON such as ``{"name": "…", "audience": "…", "scopes": ["…"], "user": "…",
"org_code": "…", "lifetime": 3600}``, each of which may be left out, makes an API key.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs

from ..errors import ConfigurationError
from . import api_key_administration, verdicts
from .faults import FAULTS, break_down
from .messages import MAX_BODY, Request, Response, error_response, json_response
from .origin import is_our_page
from .presets import PRESETS, preset
from .tenant import PLACE_NAMES, Tenant

_NUMBER = re.compile(r"[0-9]{1,15}")
_OF_API_KEYS = {"name", "audience", "scopes", "user", "org_code", "lifetime"}
_UNSHARED = {  # nor as a script, an image or a frame of another page
    "cache-control": "no-store",
    "cross-origin-resource-policy": "same-origin",
    "x-content-type-options": "nosniff",
}


def respond(tenant: Tenant, request: Request, client: tuple[str, int] | None) -> Response:
    """The answer to *request*, whose path is in ``ROUTES``; *client* is its address, if it came by one."""
    if not is_our_page(replace(request, client=client)):
        return error_response(403, "access_denied", "This is for the machine that the local Kinde runs on.")
    methods = ROUTES[request.path]
    if request.method not in methods:
        allowed = ", ".join(methods)
        return error_response(405, "method_not_allowed", f"Here it is {allowed}.", {"allow": allowed})
    try:
        return json_response(200, methods[request.method](tenant, request), _UNSHARED)
    except ConfigurationError as error:
        return error_response(400, "invalid_request", f"{error}.")


def _faults(tenant: Tenant, request: Request) -> object:
    faults = {place: {"fault": fault.name, **fault.options} for place, fault in tenant.faults.items()}
    return {"faults": faults, "known": {name: fault.summary for name, fault in FAULTS.items()}}


def _change(tenant: Tenant, request: Request) -> object:
    wish = _json(request)
    if not isinstance(wish, dict) or "fault" not in wish:
        raise ConfigurationError('the body must be a JSON object such as {"fault": "hanging"} or {"fault": null}')
    name, at = wish.pop("fault"), wish.pop("at", "keys")
    if at not in PLACE_NAMES:
        raise ConfigurationError(f"there is no endpoint {at!r} to break: use one of {', '.join(PLACE_NAMES)}")
    if name is not None:
        break_down(tenant, name, at, wish)
    elif wish:
        raise ConfigurationError("options are a fault's: name it")
    else:
        tenant.heal(at)
    return _faults(tenant, request)


def _heal(tenant: Tenant, request: Request) -> object:
    tenant.heal()
    return _faults(tenant, request)


def _note_verdicts(tenant: Tenant, request: Request) -> object:
    found = verdicts.read(_json(request))
    for verdict in found:
        verdicts.note(tenant.journal, verdict)
    return {"noted": len(found)}


def _events(tenant: Tenant, request: Request) -> object:
    since = parse_qs(request.query, keep_blank_values=True).get("since", ["0"])[-1]
    if not _NUMBER.fullmatch(since):
        raise ConfigurationError("since must be the number of an entry")
    entries = tenant.journal.since(int(since))
    return {"last": tenant.journal.last, "events": [entry.as_json() for entry in entries]}


def _presets(tenant: Tenant, request: Request) -> object:
    return {"presets": {name: {"summary": each.summary, "reason": each.reason} for name, each in PRESETS.items()}}


def _mint(tenant: Tenant, request: Request) -> object:
    wish = _json(request)
    if not isinstance(wish, dict) or set(wish) != {"preset"}:
        raise ConfigurationError('the body must be a JSON object such as {"preset": "expired"}')
    return {"access_token": preset(tenant, str(wish["preset"])), "token_type": "Bearer"}


def _make_api_key(tenant: Tenant, request: Request) -> object:
    wish = _json(request)
    if not isinstance(wish, dict) or not wish.keys() <= _OF_API_KEYS:
        raise ConfigurationError(f"the body must be a JSON object with some of {', '.join(sorted(_OF_API_KEYS))}")
    named = {name: wish[name] for name in ("user", "org_code", "audience", "name") if name in wish}
    if not all(isinstance(value, str) for value in named.values()) or not isinstance(wish.get("scopes", []), list):
        raise ConfigurationError("scopes must be a list, and names, users and audiences text")
    key = api_key_administration.create(
        tenant,
        named.get("name", "API key"),
        api=tenant.registry.own_api(named.get("audience", tenant.audience)),
        scopes=wish.get("scopes"),
        user_id=named.get("user"),
        org_code=named.get("org_code"),
        lifetime=wish.get("lifetime"),
    )
    return {"id": key.id, "key": key.key, "type": key.key_type, "scopes": key.scopes}


def _json(request: Request) -> Any:
    """The body; ``None`` if it cannot be read."""
    # A form of another page's, which needs nobody's leave to be sent here, cannot say this type.
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise ConfigurationError("the content type must be application/json")
    try:
        return json.loads(request.body) if len(request.body) <= MAX_BODY else None
    except (ValueError, RecursionError):
        return None


ROUTES: Mapping[str, Mapping[str, Callable[[Tenant, Request], object]]] = {
    "/_local/faults": {"GET": _faults, "POST": _change, "DELETE": _heal},
    "/_local/verdicts": {"POST": _note_verdicts},
    "/_local/events": {"GET": _events},
    "/_local/tokens": {"GET": _presets, "POST": _mint},
    "/_local/api_keys": {"POST": _make_api_key},
}
