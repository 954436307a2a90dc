"""A refusal as Flask knows it: whoever refuses, users' handlers for its status, for ``HTTPException`` and for
:class:`AuthError` find one kind of exception."""

from __future__ import annotations

import functools
import json

from flask import current_app, has_request_context, request
from werkzeug.exceptions import HTTPException, default_exceptions

from ..adapters import closing_error
from ..errors import AuthError, KindeGuardError, Unavailable

EXTENSION = "kinde_guard"


class FlaskRefusal(HTTPException):
    """An :class:`AuthError` or :class:`Unavailable` as well, which answers with the problem body and the
    challenge."""

    def get_body(self, environ: object = None, scope: object = None) -> str:
        body: bytes = self.body()  # type: ignore[attr-defined]  # that of the error it is
        return body.decode()

    def get_headers(self, environ: object = None, scope: object = None) -> list[tuple[str, str]]:
        return [*self.headers.items(), ("Content-Type", self.media_type)]  # type: ignore[attr-defined]


def refused(error: AuthError | Unavailable) -> Exception:
    """*error* as an exception of Flask's."""
    if isinstance(error, FlaskRefusal):
        return error
    refusal = error.anew(_kind(type(error)))  # type: ignore[arg-type]  # a class can be hashed
    refusal.response, refusal.description = None, error.detail
    attached = current_app.extensions.get(EXTENSION)
    if attached is not None and attached.pages is not None:
        refusal.name_metadata(attached.pages.metadata_url)
    return closing_error(refusal, error.detail, json.loads(refusal.body())) if _is_connecting() else refusal


def handle(error: KindeGuardError) -> HTTPException:
    """The app's handler: so that its handler for ``Exception`` does not swallow a refusal."""
    if isinstance(error, FlaskRefusal):
        return error
    raise error  # ours, not the caller's: 500


@functools.cache
def _kind(kind: type[AuthError | Unavailable]) -> type[Exception]:
    """A class for each class of error, because Flask finds a handler by it: that of the status, or of the error."""
    base = default_exceptions.get(kind.status, HTTPException)
    return type(kind.__name__, (FlaskRefusal, base, kind), {"__module__": __name__, "code": kind.status})


def _is_connecting() -> bool:
    """Whether a ``connect`` handler of Flask-SocketIO runs, which says so at the request."""
    event = getattr(request, "event", None) if has_request_context() else None
    return isinstance(event, dict) and event.get("message") == "connect"
