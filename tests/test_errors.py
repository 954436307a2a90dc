"""Three verdicts and a closed list of reasons; errors travel, and say nothing that is not public."""

from __future__ import annotations

import copy
import json
import pickle
import traceback
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
    "empty_audience", "wrong_client", "expired", "not_yet_valid", "unknown_key", "bad_signature", "revoked",
    "invalid_api_key", "wrong_api",
    "insufficient_scope", "missing_permission", "missing_role", "wrong_org", "missing_flag", "wrong_subject",
    "keys_unavailable", "revocations_unavailable", "api_keys_unavailable",
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


EVERY: list[tuple[AuthError | KeysUnavailable, int, str]] = [
    (MissingToken(), 401, "WWW-Authenticate"),
    (InvalidRequest(), 400, "WWW-Authenticate"),
    (InvalidToken("expired"), 401, "WWW-Authenticate"),
    (InsufficientScope(["read:users"]), 403, "WWW-Authenticate"),
    (Forbidden("wrong_org"), 403, "WWW-Authenticate"),
    (KeysUnavailable(7), 503, "Retry-After"),
]


@pytest.mark.parametrize(("error", "status", "header"), EVERY)
def test_every_refusal_knows_its_answer(error: AuthError | KeysUnavailable, status: int, header: str) -> None:
    """So a handler needs to know nothing else, and no table of its own."""
    assert error.status == status
    assert set(error.headers) == {header, "Cache-Control"}
    assert all(type(value) is str for value in error.headers.values())
    assert error.media_type == "application/problem+json"
    body = json.loads(error.body())
    assert (body["status"], body["detail"]) == (status, error.detail)


def test_the_metadata_is_named_also_after_the_headers_were_read() -> None:
    error = MissingToken()
    assert "resource_metadata" not in error.headers["WWW-Authenticate"]
    error.name_metadata("https://api.acme.com/.well-known/oauth-protected-resource")
    assert "resource_metadata" in error.headers["WWW-Authenticate"]


def test_headers_may_be_added() -> None:
    """By a handler that answers with them."""
    error = MissingToken()
    error.headers["X-Request-Id"] = "1"
    assert "X-Request-Id" in error.headers


@pytest.mark.parametrize("reason", ["expired", "you are banned"])
def test_the_family_is_not_made_itself(reason: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"raise a kind of it, such as Forbidden\('missing_permission'"):
        raise AuthError(reason)


def test_a_refusal_is_derived_from_a_kind() -> None:
    """Said when the class is made, which is when the app is imported."""
    with pytest.raises(ConfigurationError, match=r"Banned cannot be derived from AuthError.*such as Forbidden"):

        class Banned(AuthError):
            pass


def test_what_is_derived_from_a_kind_answers_as_that() -> None:
    class Banned(Forbidden):
        def __init__(self, user: str) -> None:
            super().__init__("missing_permission", f"{user} is banned")

    kind, banned = Forbidden("missing_permission"), Banned("kp_1")
    assert (banned.status, banned.headers, banned.body()) == (kind.status, kind.headers, kind.body())


def test_words_are_no_reason() -> None:
    """The list is closed: there is a public text for each, and metrics count by it."""
    with pytest.raises(ConfigurationError, match=r"Forbidden has no reason 'you are banned'.*missing_role.*hint="):
        Forbidden("you are banned")  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="InvalidToken has no reason 'wrong_org'"):
        InvalidToken("wrong_org")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "required", ["read:users", [], [""], ["a b"], ['a"'], ["a\r\nSet-Cookie: x"], ["\xe4"]], ids=repr
)
def test_what_is_no_scope_does_not_get_into_a_challenge(required: Any) -> None:
    with pytest.raises(ConfigurationError, match="takes a list of scopes"):
        InsufficientScope(required)


@pytest.mark.parametrize("error", [row[0] for row in EVERY], ids=lambda error: error.reason)
def test_a_refusal_can_be_said_again_without_what_it_came_through(error: Any) -> None:
    """Which frames hold, and with them tokens."""

    class Kind(type(error), RuntimeError):  # type: ignore[misc]
        pass

    error.name_metadata("https://api.acme.com/.well-known/oauth-protected-resource")
    try:
        raise error
    except KindeGuardError:
        again, mixed = error.anew(), error.anew(Kind)
    assert (type(again), type(mixed)) == (type(error), Kind)
    for made in (again, mixed):
        assert made.__traceback__ is None
        assert (made.status, made.headers, str(made)) == (error.status, error.headers, str(error))


def test_what_cannot_be_told_is_one_family_that_is_never_raised_itself() -> None:
    assert KeysUnavailable.__bases__ == errors.RevocationsUnavailable.__bases__ == (errors.Unavailable,)
    assert str(errors.RevocationsUnavailable(2)) == (
        "revocations_unavailable: the revocations are not available, try again in 2 s"
    )
    assert errors.ApiKeysUnavailable.__bases__ == (errors.Unavailable,)
    with pytest.raises(ConfigurationError, match="raise a kind of it, such as KeysUnavailable"):
        errors.Unavailable(1)


def test_a_traceback_ends_with_what_to_change() -> None:
    """Where nobody has caught it; what ``str`` gives may be shown to callers, and has it not. Notes of others stay."""
    refusal = InvalidToken("malformed", "send the access_token of the answer")
    assert str(refusal) == "malformed"
    refusal.add_note("while the report was made")
    lines = "".join(traceback.format_exception_only(refusal)).splitlines()
    assert lines == [
        "kinde_guard.errors.InvalidToken: malformed", "send the access_token of the answer", "while the report was made"
    ]  # fmt: skip
    assert (
        "".join(traceback.format_exception_only(InvalidToken("expired")))
        == "kinde_guard.errors.InvalidToken: expired\n"
    )
