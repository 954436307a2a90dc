"""Three verdicts and a closed list of reasons; errors travel, and say nothing that is not public."""

from __future__ import annotations

import copy
import pickle
from typing import Any, get_args

import pytest

from kinde_guard import (
    AuthError,
    ConfigurationError,
    Forbidden,
    InsufficientScope,
    InvalidRequest,
    InvalidToken,
    KeysUnavailable,
    KindeGuardError,
    MissingToken,
    errors,
)

REASONS = {
    "missing_token", "invalid_request",
    "malformed", "unsupported_algorithm", "unsupported_header", "wrong_token_type", "unknown_issuer", "wrong_audience",
    "empty_audience", "wrong_client", "expired", "not_yet_valid", "unknown_key", "bad_signature",
    "insufficient_scope", "missing_permission", "missing_role", "wrong_org", "missing_flag", "wrong_subject",
    "keys_unavailable",
}  # fmt: skip

REFUSALS: list[tuple[AuthError, str, str]] = [
    (MissingToken(), "missing_token", ""),
    (InvalidRequest(), "invalid_request", ""),
    (InvalidRequest("a hint"), "invalid_request", "a hint"),
    (InvalidToken("expired"), "expired", ""),
    (InvalidToken("malformed", "a hint"), "malformed", "a hint"),
    (InsufficientScope(["b", "a"], "a hint"), "insufficient_scope", "a hint"),
    (InsufficientScope(iter(["a"])), "insufficient_scope", ""),
    (Forbidden("wrong_org", "a hint"), "wrong_org", "a hint"),
]


def literals(kind: Any) -> set[str]:
    """The texts of a union of Literals."""
    return {kind} if isinstance(kind, str) else set().union(*map(literals, get_args(kind)))


def test_the_reasons_are_a_closed_list() -> None:
    assert literals(errors.Reason) == REASONS


def test_the_tree() -> None:
    """Deny and cannot tell are kept apart, so that no ``except AuthError`` answers 401 when the issuer is down."""
    for kind in (MissingToken, InvalidRequest, InvalidToken, InsufficientScope, Forbidden):
        assert kind.__bases__ == (AuthError,)
    for branch in (AuthError, ConfigurationError, KeysUnavailable):
        assert issubclass(branch, KindeGuardError)
        assert not any(issubclass(branch, other) for other in (AuthError, KeysUnavailable) if other is not branch)
    assert issubclass(ConfigurationError, ValueError)


@pytest.mark.parametrize(("error", "reason", "hint"), REFUSALS)
def test_a_refusal_says_its_reason_and_keeps_its_hint(error: AuthError, reason: str, hint: str) -> None:
    """``str`` is safe to show; the hint is for whoever runs the API."""
    assert (str(error), error.reason, error.hint) == (reason, reason, hint)


@pytest.mark.parametrize(("error", "reason", "hint"), REFUSALS)
@pytest.mark.parametrize("travel", [copy.copy, copy.deepcopy, lambda error: pickle.loads(pickle.dumps(error))],
                         ids=["copy", "deepcopy", "pickle"])  # fmt: skip
def test_a_refusal_survives_a_journey(error: AuthError, reason: str, hint: str, travel: Any) -> None:
    """To a worker process and back, say."""
    arrived = travel(error)
    assert type(arrived) is type(error)
    assert (arrived.reason, arrived.hint, str(arrived)) == (reason, hint, reason)
    assert getattr(arrived, "required", None) == getattr(error, "required", None)


def test_scopes_keep_their_order() -> None:
    assert InsufficientScope(name for name in ("b", "a")).required == ("b", "a")


def test_cannot_tell_says_when_to_come_back() -> None:
    error = KeysUnavailable(7)
    for found in (error, copy.copy(error), pickle.loads(pickle.dumps(error))):
        assert (found.retry_after, found.reason) == (7, "keys_unavailable")
        assert "try again in 7 s" in str(found)


def test_a_configuration_error_is_its_text() -> None:
    assert str(ConfigurationError("set KINDE_DOMAIN")) == "set KINDE_DOMAIN"
