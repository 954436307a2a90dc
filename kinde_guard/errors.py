"""What can go wrong. Three verdicts: allow, deny (:class:`AuthError`), cannot tell (:class:`Unavailable`).

The text of an error never holds anything that came from a token, a header or the network: ``str(error)`` is safe to
show. What only the people who run the API should read is in ``hint``, and goes to the log.

Every refusal knows its answer (``status``, ``headers``, ``body()``), so that an app's own handler sees the same whoever
refused: a middleware, a decorator, or ``token.require(…)`` in an endpoint.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from typing import Any, ClassVar, Literal, get_args

from .net.forks import once
from .web import wording

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
    "revoked",
    "invalid_api_key",
    "wrong_api",
]
ForbiddenReason = Literal["missing_permission", "missing_role", "wrong_org", "missing_flag", "wrong_subject"]
Reason = (
    Literal["missing_token", "invalid_request", "insufficient_scope"]
    | Literal["keys_unavailable", "revocations_unavailable", "api_keys_unavailable"]
    | InvalidTokenReason
    | ForbiddenReason
)


class KindeGuardError(Exception):
    """The root of everything kinde_guard raises."""

    def anew(self, kind: type[Exception] | None = None) -> Any:
        """The same error, not raised yet; one of *kind*, if that is given, which this one's class is part of.

        An exception that was raised holds on to every frame that it came through, and to the tokens in those.
        """
        kind = kind or type(self)
        made = kind.__new__(kind, *self.args)
        vars(made).update(vars(self))
        return made


class ConfigurationError(KindeGuardError, ValueError):
    """A setting or a use of the library is wrong; the text says what to change. Raised at import or
    start-up; of a route without a guard, or a demand that is not enforced, at the latest at the first request."""


class _Answered(KindeGuardError):
    """A refusal as an HTTP answer. Frameworks' exceptions, with which adapters mix it, may set the same attributes."""

    status: ClassVar[int]
    media_type: ClassVar[str] = wording.MEDIA_TYPE
    """That of :meth:`body`."""
    reason: Reason
    metadata_url: str = ""
    """Where the metadata of the resource is (RFC 9728), for the challenge; empty where no adapter knows."""
    _code: ClassVar[str] = ""

    @once
    def detail(self) -> str:
        """The public text, from a fixed table."""
        return wording.TEXTS[self.reason]

    @once
    def headers(self) -> dict[str, str]:
        """Challenge or time to wait, and that no cache keeps it; Content-Type and Content-Length belong to the body."""
        return {**self._header(), "Cache-Control": "no-store"}

    def body(self) -> bytes:
        """The problem body (RFC 9457)."""
        return wording.problem(self.status, self._code, self.reason)

    def name_metadata(self, url: str) -> None:
        """Have the challenge point to *url*; adapters call it."""
        self.metadata_url = url
        vars(self).pop("headers", None)

    @abstractmethod
    def _header(self) -> dict[str, str]:
        """What sets this answer apart."""


class Unavailable(_Answered):
    """Cannot tell: something that the verdict needs is not at hand. Answered 503 with ``Retry-After``, never 401.

    The family of such verdicts: raised are its kinds alone.
    """

    status = 503
    _lacks: ClassVar[str] = ""
    what: ClassVar[str] = ""
    """What there is none of, in a word."""

    def __init__(self, retry_after: int) -> None:
        if not self._lacks:
            raise ConfigurationError(f"{type(self).__name__} is a family: raise a kind of it, such as KeysUnavailable")
        super().__init__(retry_after)
        self.retry_after = retry_after
        """Seconds until asking again can help (at least 1)."""

    def __str__(self) -> str:
        return f"{self.reason}: {self._lacks} not available, try again in {self.retry_after} s"

    def _header(self) -> dict[str, str]:
        return {"Retry-After": str(self.retry_after)}


class KeysUnavailable(Unavailable):
    """No usable key of the issuer is at hand."""

    reason: Reason = "keys_unavailable"
    _lacks = "the issuer's keys are"
    what = "keys"


class RevocationsUnavailable(Unavailable):
    """Which tokens are revoked cannot be told: this process's copy of the revocations is too old, or was never loaded;
    or what was to be revoked could not be written."""

    reason: Reason = "revocations_unavailable"
    _lacks = "the revocations are"
    what = "copy of the revocations"


class ApiKeysUnavailable(Unavailable):
    """Whether an API key is good cannot be told: Kinde does not answer, or takes no more questions for now."""

    reason: Reason = "api_keys_unavailable"
    _lacks = "answers about API keys are"
    what = "answer about the API key"


class AuthError(_Answered):
    """Denied. ``reason`` is one of a closed list, made for programs, logs and metrics.

    The family of refusals: raised are its kinds alone, and subclasses of those, which are answered as their kind is.
    """

    _reasons: ClassVar[tuple[str, ...]] = ()
    _asked_for: tuple[str, ...] = ()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if AuthError in cls.__bases__ and cls.__module__ != __name__:
            raise ConfigurationError(
                f"{cls.__name__} cannot be derived from AuthError, which has no answer of its own: derive it from a "
                "kind that has one, such as Forbidden (403) or InvalidToken (401)"
            )

    def __init__(self, reason: Reason, hint: str = "") -> None:
        if reason not in self._reasons:
            raise ConfigurationError(_not_made(type(self), reason))
        super().__init__(reason, hint)
        self.reason = reason
        self.hint = hint
        """What to change, for the people who run the API; made of fixed words and our own settings."""

    def __str__(self) -> str:
        return self.reason

    def name_scopes(self, scopes: Iterable[str]) -> None:
        """Have the challenge tell a client without a good token which *scopes* to ask for (RFC 6750 §3); adapters call
        it.

        A 401 alone does: what a 403 names is what the refused requirement names.
        """
        names = _checked(scopes, "a challenge names")
        if self.status == 401:
            self._asked_for = names
            vars(self).pop("headers", None)

    def _header(self) -> dict[str, str]:
        return {"WWW-Authenticate": wording.challenge(self._code, self.reason, self._scopes(), self.metadata_url)}

    def _scopes(self) -> tuple[str, ...]:
        """Those that the challenge names."""
        return self._asked_for


class MissingToken(AuthError):
    """No credentials: 401 with a challenge that carries no error code (RFC 6750 §3.1)."""

    status = 401
    _reasons = ("missing_token",)

    def __init__(self, hint: str = "") -> None:
        super().__init__("missing_token", hint)

    def __reduce__(self) -> tuple[type[MissingToken], tuple[str]]:
        return type(self), (self.hint,)


class InvalidRequest(AuthError):
    """The Authorization header cannot be read: 400 ``invalid_request`` (RFC 6750 §3.1)."""

    status = 400
    _code = "invalid_request"
    _reasons = ("invalid_request",)

    def __init__(self, hint: str = "") -> None:
        super().__init__("invalid_request", hint)

    def __reduce__(self) -> tuple[type[InvalidRequest], tuple[str]]:
        return type(self), (self.hint,)


class InvalidToken(AuthError):
    """The token is not good: 401 ``invalid_token`` (RFC 6750 §3.1)."""

    status = 401
    _code = "invalid_token"
    _reasons = get_args(InvalidTokenReason)

    def __init__(self, reason: InvalidTokenReason, hint: str = "") -> None:
        super().__init__(reason, hint)


class InsufficientScope(AuthError):
    """The token is good and lacks a scope: 403 ``insufficient_scope`` with ``scope="…"`` (RFC 6750 §3.1)."""

    status = 403
    _code = "insufficient_scope"
    _reasons = ("insufficient_scope",)

    def __init__(self, required: Iterable[str], hint: str = "") -> None:
        super().__init__("insufficient_scope", hint)
        self.required = _checked(required, "InsufficientScope takes")
        """Every scope of the requirement that failed, in the order it was written."""

    def __reduce__(self) -> tuple[type[InsufficientScope], tuple[tuple[str, ...], str]]:
        return type(self), (self.required, self.hint)

    def _scopes(self) -> tuple[str, ...]:
        return self.required


class Forbidden(AuthError):
    """The token is good and no scope would help: 403 ``insufficient_scope`` without ``scope=`` (RFC 6750 §3.1)."""

    status = 403
    _code = "insufficient_scope"
    _reasons = get_args(ForbiddenReason)

    def __init__(self, reason: ForbiddenReason, hint: str = "") -> None:
        super().__init__(reason, hint)


def _checked(required: Iterable[str], which: str) -> tuple[str, ...]:
    """They go into a header: of other text than scopes, a caller's say, a second header could be made."""
    names = () if isinstance(required, str) else tuple(required)
    if not names or not all(map(wording.SCOPE_TOKEN.fullmatch, names)):
        raise ConfigurationError(f"{which} a list of scopes, such as ['read:users'], not {required!r}")
    return names


def _not_made(kind: type[AuthError], reason: object) -> str:
    if kind is AuthError:
        return (
            "AuthError is the family of refusals, and never made itself: raise a kind of it, such as "
            "Forbidden('missing_permission', 'what to change') or InvalidToken('expired')"
        )
    return f"{kind.__name__} has no reason {reason!r}: its reasons are {', '.join(kind._reasons)}; words go into hint="
