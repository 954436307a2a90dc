"""Which request a verdict is of, for a local Kinde to show. For development, and for whoever reports verdicts alone.

A guard judges tokens, and knows no request; to hand one on with every token would cost every request something. So who
reports verdicts looks for it in the frames above, as :mod:`logging` does for the caller: an adapter holds it there, in
the few functions that ask a guard. What a route demands is asked later in the same request, by then under a name of the
framework's: the token that was verified tells which one it is.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any, NamedTuple

_HELD_AS = {
    "kinde_guard.web.asgi_scope": "scope",
    "kinde_guard.web.wsgi_environ": "environ",
    "kinde_guard.web.judging": "request",
}


class JudgedRequest(NamedTuple):
    """A request by its method and path; both are empty where none is known."""

    method: str = ""
    path: str = ""
    """Without the query, which may hold what is for the API alone."""


NONE = JudgedRequest()
_LAST: ContextVar[tuple[str, JudgedRequest]] = ContextVar("kinde_guard.net.request_above", default=("", NONE))


def request_above(fingerprint: str) -> JudgedRequest:
    """The request for which somebody further up the stack asks about the token with that *fingerprint*."""
    held = _held_above()
    if held is not None:
        found = _named(held)
        _LAST.set((fingerprint, found))
        return found
    last, request = _LAST.get()
    return request if fingerprint == last else NONE


def _held_above() -> Mapping[str, Any] | None:
    frame = sys._getframe(1)
    while frame is not None:
        name = _HELD_AS.get(frame.f_globals.get("__name__", ""))
        held = None if name is None else frame.f_locals.get(name)
        if held is not None:
            return held  # type: ignore[no-any-return]
        frame = frame.f_back  # type: ignore[assignment]
    return None


def _named(held: Mapping[str, Any]) -> JudgedRequest:
    """Of an ASGI scope, or of a WSGI environ (PEP 3333: the bytes of a path, each as the character of that number)."""
    if "type" in held:
        return JudgedRequest(held.get("method", "WebSocket"), held.get("path", ""))
    path = f"{held.get('SCRIPT_NAME', '')}{held.get('PATH_INFO', '')}"
    return JudgedRequest(held.get("REQUEST_METHOD", ""), path.encode("latin-1", "replace").decode("utf-8", "replace"))
