"""Refusals that python-socketio understands.

Whatever else a ``connect`` handler raises leaves the caller connected: only python-socketio's own
``ConnectionRefusedError`` is taken for a refusal. So what is raised there is that as well. Nothing is imported for it:
where python-socketio is not loaded, there is no such handler.
"""

from __future__ import annotations

import sys

from ..errors import ConfigurationError, KindeGuardError
from .framework_errors import as_framework_error


def misuse_error(text: str) -> Exception:
    """A mistake in the app: nobody is let in by it."""
    return closing_error(ConfigurationError(text), "The server is not set up for this.")


def closing_error(error: KindeGuardError, message: str, data: object = None) -> Exception:
    """*error*, as one that ends the connection where it is raised in a ``connect`` handler; *message* and *data* are
    what the client is told."""
    base = getattr(sys.modules.get("socketio.exceptions"), "ConnectionRefusedError", None)
    if base is None or isinstance(error, base):
        return error
    closed = as_framework_error(error, base)
    closed.error_args = {"message": message} | ({} if data is None else {"data": data})
    return closed  # type: ignore[no-any-return]
