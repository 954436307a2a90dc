"""``/_local/faults``: break and heal a served issuer over HTTP, from this machine and by no web page.

``GET`` says what is wrong and what can be; ``POST`` with JSON such as ``{"fault": "hanging", "at": "token",
"seconds": 3}`` breaks an endpoint (the keys', unless ``at`` names another) and with ``{"fault": null}`` heals it;
``DELETE`` heals everything.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ..errors import ConfigurationError
from ..settings import is_loopback
from .faults import FAULTS, PLACE_NAMES
from .messages import MAX_BODY, Request, Response, error_response, json_response

if TYPE_CHECKING:
    from .local import LocalIssuer

PATH = "/_local/faults"
_METHODS = "GET, POST, DELETE"


def respond(issuer: LocalIssuer, request: Request, client: tuple[str, int] | None) -> Response:
    """The answer to *request*; *client* is its address, if it came by one."""
    if not _is_ours(request, client):
        return error_response(403, "access_denied", "This is for the machine that the local Kinde runs on.")
    try:
        if request.method == "POST":
            _change(issuer, request)
        elif request.method == "DELETE":
            issuer.heal()
        elif request.method != "GET":
            return error_response(405, "method_not_allowed", f"Here it is {_METHODS}.", {"allow": _METHODS})
    except ConfigurationError as error:
        return error_response(400, "invalid_request", f"{error}.")
    return json_response(200, _state(issuer))


def _is_ours(request: Request, client: tuple[str, int] | None) -> bool:
    """Whether it comes from this machine and from no page: a page elsewhere has another ``Origin``, and one whose
    name has been pointed at this machine (DNS rebinding) another ``Host``."""
    host = request.headers.get("host", "")
    origin = request.headers.get("origin")
    return (
        (client is None or is_loopback(client[0]))
        and is_loopback(_name(host))
        and (origin is None or origin in (f"http://{host}", f"https://{host}"))
    )


def _name(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _change(issuer: LocalIssuer, request: Request) -> None:
    wish = _wish(request)
    name, at = wish.pop("fault", None), wish.pop("at", "keys")
    if at not in PLACE_NAMES:
        raise ConfigurationError(f"there is no endpoint {at!r} to break: use one of {', '.join(PLACE_NAMES)}")
    if name is not None:
        issuer.break_down(name, at, **wish)
    elif wish:
        raise ConfigurationError("options are a fault's: name it")
    else:
        issuer.heal(at)


def _wish(request: Request) -> dict[str, Any]:
    # A form of another page's, which needs nobody's leave to be sent here, cannot say this type.
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise ConfigurationError("the content type must be application/json")
    try:
        wish = json.loads(request.body) if len(request.body) <= MAX_BODY else None
    except (ValueError, RecursionError):
        wish = None
    if not isinstance(wish, dict) or "fault" not in wish:
        raise ConfigurationError('the body must be a JSON object such as {"fault": "hanging"} or {"fault": null}')
    return wish


def _state(issuer: LocalIssuer) -> dict[str, object]:
    faults = {place: {"fault": broken.name, **broken.options} for place, broken in issuer.faults.items()}
    return {"faults": faults, "known": {name: fault.summary for name, fault in FAULTS.items()}}
