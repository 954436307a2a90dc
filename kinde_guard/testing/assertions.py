"""Assertions about an app: a route demands what it should, and no route was forgotten. For pytest and unittest alike.

``assert_requires`` asks the real app, by a real guard and with signed tokens of an issuer that lives in the test.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

from ..errors import ConfigurationError
from ..guard import Guard
from ..hostile.clients import is_djangos
from ..requirements import AllOf, Requirement
from ..routes import routes_of
from .apps import trust
from .callers import accepted, lacking
from .tokens import headers, local_issuer, mint


class _Try(NamedTuple):
    """One request, and whether its answer was the right one."""

    what: str
    status: int
    wanted: str
    right: bool

    def __str__(self) -> str:
        return f"  {self.status} {self.what}" + ("" if self.right else f" (should be {self.wanted})")


def assert_requires(
    client: Any,
    method: str,
    path: str,
    *demands: Requirement,
    request: Mapping[str, Any] | None = None,
    **caller: Any,
) -> None:
    """The route refuses without a token (401), refuses who lacks any part of *demands* (403), and lets in who has all.

    *client* is a test client of Starlette, FastAPI, Flask or Django; *method* may be ``"WEBSOCKET"``.
    Without *demands*, any valid token. *request* is what else the client sends (``{"json": …}``); *caller* is what all
    callers have besides, as in :func:`caller`. A caller is let in by any status but 401, 403, 404, 405 and 5xx. Raises
    :class:`AssertionError`, which shows all that was tried.
    """
    __tracebackhide__ = True
    demand = AllOf(()) if not demands else demands[0] if len(demands) == 1 else AllOf(demands)
    issuer = local_issuer()
    ask = _asking(client, method.upper(), path, dict(request or {}))
    with _trusting(client, issuer):
        status = ask("")
        tries = [_Try("without a token", status, "401", status == 401)]
        for missing, options in lacking(demand, caller):
            status = ask(mint(issuer, **options))
            tries.append(_Try(f"with a token that lacks {missing}", status, "403", status == 403))
        for held, options in accepted(demand, caller):
            status = ask(mint(issuer, **options))
            tries.append(_Try(f"with a token that has {held}", status, "let in", _let_in(status)))
    if not all(one.right for one in tries):
        raise AssertionError(
            "\n".join([f"{method.upper()} {path} does not require exactly {demand}:", *map(str, tries)])
        )


def assert_no_unprotected_routes(app: Any, public: Iterable[str] = ()) -> None:
    """Every route of *app* demands a token or takes one, but those that are *public* (``"/static/*"``: all below).

    A path that the ``KindeGuard`` of the app makes public needs no second mention. A demand that is declared and not
    enforced fails too. No route is called. Raises :class:`AssertionError` with a line for each route.
    """
    __tracebackhide__ = True
    found = [route for route in routes_of(app, public) if route.kind in ("unprotected", "misplaced")]
    if found:
        lines = [f"  {route}: {route.note or 'unprotected'} ({route.where})" for route in found]
        raise AssertionError("\n".join(["routes are open that should not be:", *lines]))


def _let_in(status: int) -> bool:
    return status < 500 and status not in (401, 403, 404, 405)


def _trusting(client: Any, issuer: Any) -> AbstractContextManager[Guard]:
    app = getattr(client, "app", None) or getattr(client, "application", None)
    if is_djangos(client):
        app = client
    if app is None:
        raise ConfigurationError(f"assert_requires takes a test client first, such as TestClient(app), not {client!r}")
    if hasattr(getattr(app, "wsgi_app", None), "guard"):  # Flask behind a GuardMiddleware
        app = app.wsgi_app
    return trust(app, issuer)


def _asking(client: Any, method: str, path: str, request: dict[str, Any]) -> Callable[[str], int]:
    """What sends the request with this token, or with none, and gives the status of the answer."""
    given = request.pop("headers", {})

    def ask(token: str) -> int:
        # An empty header takes the place of one that the client would send.
        every = {**given, **(headers(token) if token else {"Authorization": ""})}
        if method == "WEBSOCKET":
            return _connected(client, path, headers=every, **request)
        if is_djangos(client):
            return int(client.generic(method, path, headers=every, **_for_django(request)).status_code)
        if hasattr(client, "open"):  # Flask
            return int(client.open(path, method=method, headers=every, **request).status_code)
        return int(client.request(method, path, headers=every, **request).status_code)

    return ask


def _for_django(request: Mapping[str, Any]) -> dict[str, Any]:
    """``{"json": …}`` is written as everywhere; what else there is, is what Django's ``client.generic`` takes."""
    given = dict(request)
    if "json" in given:
        given |= {"data": json.dumps(given.pop("json")), "content_type": "application/json"}
    return given


def _connected(client: Any, path: str, **request: Any) -> int:
    """The status of a connection, as of a request; 101 if it is accepted."""
    from starlette.testclient import WebSocketDenialResponse

    try:
        with client.websocket_connect(path, **request):
            return 101
    except WebSocketDenialResponse as refusal:
        return int(refusal.status_code)
