"""What can go wrong. Three verdicts: allow, deny (:class:`AuthError`), cannot tell (:class:`KeysUnavailable`).

The text of an error never holds anything that came from a token, a header or the network: ``str(error)`` is safe to
show. What only the people who run the API should read is in ``hint``, and goes to the log.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

InvalidTokenReason = Literal[
    "malformed",
    "unsupported_algorithm",
    "unsupported_header",
    "wrong_token_type",
    "unknown_issuer",
    "wrong_audience",
    "empty_audience",
    "wrong_client",
    "expired",
    "not_yet_valid",
    "unknown_key",
    "bad_signature",
]
ForbiddenReason = Literal["missing_permission", "missing_role", "wrong_org", "missing_flag", "wrong_subject"]
Reason = (
    Literal["missing_token", "invalid_request", "insufficient_scope", "keys_unavailable"]
    | InvalidTokenReason
    | ForbiddenReason
)


class KindeGuardError(Exception):
    """The root of everything kinde_guard raises."""


class ConfigurationError(KindeGuardError, ValueError):
    """A setting or a use of the library is wrong; the text says what to change. Raised at import or
    start-up; of a route without a guard, or a demand that is not enforced, at the latest at the first request."""


class KeysUnavailable(KindeGuardError):
    """Cannot tell: no usable key of the issuer is at hand. Answered 503 with ``Retry-After``, never 401."""

    reason: Reason = "keys_unavailable"

    def __init__(self, retry_after: int) -> None:
        super().__init__(retry_after)
        self.retry_after = retry_after
        """Seconds until asking again can help (at least 1)."""

    def __str__(self) -> str:
        return f"{self.reason}: the issuer's keys are not available, try again in {self.retry_after} s"


class AuthError(KindeGuardError):
    """Denied. ``reason`` is one of a closed list, made for programs, logs and metrics."""

    def __init__(self, reason: Reason, hint: str = "") -> None:
        super().__init__(reason, hint)
        self.reason: Reason = reason
        self.hint = hint
        """What to change, for the people who run the API; made of fixed words and our own settings."""

    def __str__(self) -> str:
        return self.reason


class MissingToken(AuthError):
    """No credentials: 401 with a challenge that carries no error code (RFC 6750 §3.1)."""

    def __init__(self) -> None:
        super().__init__("missing_token")

    def __reduce__(self) -> tuple[type[MissingToken], tuple[()]]:
        return type(self), ()


class InvalidRequest(AuthError):
    """The Authorization header cannot be read: 400 ``invalid_request`` (RFC 6750 §3.1)."""

    def __init__(self, hint: str = "") -> None:
        super().__init__("invalid_request", hint)

    def __reduce__(self) -> tuple[type[InvalidRequest], tuple[str]]:
        return type(self), (self.hint,)


class InvalidToken(AuthError):
    """The token is not good: 401 ``invalid_token`` (RFC 6750 §3.1)."""

    def __init__(self, reason: InvalidTokenReason, hint: str = "") -> None:
        super().__init__(reason, hint)


class InsufficientScope(AuthError):
    """The token is good and lacks a scope: 403 ``insufficient_scope`` with ``scope="…"`` (RFC 6750 §3.1)."""

    def __init__(self, required: Iterable[str], hint: str = "") -> None:
        super().__init__("insufficient_scope", hint)
        self.required = tuple(required)
        """Every scope of the requirement that failed, in the order it was written."""

    def __reduce__(self) -> tuple[type[InsufficientScope], tuple[tuple[str, ...], str]]:
        return type(self), (self.required, self.hint)


class Forbidden(AuthError):
    """The token is good and no scope would help: 403 ``insufficient_scope`` without ``scope=`` (RFC 6750 §3.1)."""

    def __init__(self, reason: ForbiddenReason, hint: str = "") -> None:
        super().__init__(reason, hint)
