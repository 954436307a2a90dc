"""The error that an endpoint answers with, in RFC 6749's words."""

from __future__ import annotations

from collections.abc import Mapping

from .messages import NO_STORE, Response, error_response


class OAuthError(Exception):
    """An OAuth error (RFC 6749 §5.2): a code for why, and words on what to do. The words never repeat what was sent."""

    def __init__(self, error: str, description: str, *, status: int = 400, headers: Mapping[str, str] | None = None):
        super().__init__(error)
        self.error = error
        self.description = description
        self.status = status
        self.response: Response = error_response(status, error, description, {**NO_STORE, **(headers or {})})
