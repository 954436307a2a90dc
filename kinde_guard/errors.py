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
    """The root of every exception of kinde_guard. Catch :class:`AuthError` and :class:`Unavailable` instead, unless you
    mean settings (:class:`ConfigurationError`) too."""

    def anew(self, kind: type[Exception] | None = None) -> Any:
        """The same error, not raised yet; one of *kind*, if that is given, which this one's class is part of.

        An exception that was raised holds on to every frame that it came through, and to the tokens in those.
        """
        kind = kind or type(self)
        made = kind.__new__(kind, *self.args)
        vars(made).update(vars(self))
        return made


class ConfigurationError(KindeGuardError, ValueError):
    """A setting is wrong, or the library is used wrongly. The text says what to change.

    It is raised when a module is imported or when the app starts. A route without a guard, and a demand that is not
    enforced, raise it at the first request at the latest. Let it stop the program, or show it::

        try:
            guard = Guard(settings.kinde_domain, audience=settings.audience)
        except ConfigurationError as wrong:
            sys.exit(f"Kinde: {wrong}")
    """


class _Answered(KindeGuardError):
    """A refusal as an HTTP answer. Frameworks' exceptions, with which adapters mix it, may set the same attributes."""

    status: ClassVar[int]
    """That of the answer: 400, 401, 403 or 503."""
    media_type: ClassVar[str] = wording.MEDIA_TYPE
    """That of :meth:`body`."""
    reason: Reason
    """Why, in a word of a closed list: for programs, logs and metrics."""
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
    """Cannot tell: something is missing that the verdict needs. The answer is 503 with ``Retry-After``, and never 401.

    This is a family, and to raise it is a :class:`ConfigurationError`. What is raised is one of its kinds, such as
    :class:`KeysUnavailable`. *retry_after* is in seconds.
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
    """There is no usable key of the issuer, so nobody can say whether a token is good: 503.

    *retry_after*: the seconds until it may be worth asking again::

        try:
            token = guard.verify(raw)
        except Unavailable as cannot_tell:
            return 503, {"Retry-After": str(cannot_tell.retry_after)}
    """

    reason: Reason = "keys_unavailable"
    _lacks = "the issuer's keys are"
    what = "keys"


class RevocationsUnavailable(Unavailable):
    """Nobody can say which tokens are revoked: this process's copy of the revocations is too old, or was never loaded.
    Or a revocation could not be written. *retry_after* is in seconds."""

    reason: Reason = "revocations_unavailable"
    _lacks = "the revocations are"
    what = "copy of the revocations"


class ApiKeysUnavailable(Unavailable):
    """Nobody can say whether an API key is good: Kinde does not answer, or takes no more questions for now.
    *retry_after* is in seconds."""

    reason: Reason = "api_keys_unavailable"
    _lacks = "answers about API keys are"
    what = "answer about the API key"


class AuthError(_Answered):
    """The request is refused. ``reason`` is one of a closed list, for programs, logs and metrics.

    This is a family. What is raised is one of its kinds (:class:`InvalidToken`, :class:`InsufficientScope` …), or your
    subclass of one. Each knows its answer: ``status``, ``headers`` and ``body()``::

        try:
            token = guard.verify(raw)
        except AuthError as refused:
            log.info("refused: %s, %s", refused.reason, refused.hint)     # the hint is for your log alone
            return refused.status, refused.headers, refused.body()

    *hint*: what to change, for the people who run the API. Raises :class:`ConfigurationError` for a *reason* that the
    kind does not have.
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

    @once
    def __notes__(self) -> list[str]:  # type: ignore[override]  # it is kept, and can be added to
        """The hint, below the traceback of a refusal that nobody has caught (PEP 678); it is no part of the text."""
        return [self.hint] if self.hint else []

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
    """The request has no access token: 401. The challenge has no error code then (RFC 6750 §3.1). *hint* is for the
    log. Let callers without a token in, and refuse those with a bad one::

        try:
            token = guard.authenticate(authorization)     # all Authorization values of the request
        except MissingToken:
            token = None
    """

    status = 401
    _reasons = ("missing_token",)

    def __init__(self, hint: str = "") -> None:
        super().__init__("missing_token", hint)

    def __reduce__(self) -> tuple[type[MissingToken], tuple[str]]:
        return type(self), (self.hint,)


class InvalidRequest(AuthError):
    """The Authorization header cannot be read as one bearer token: 400 ``invalid_request`` (RFC 6750 §3.1). *hint* is
    for the log::

        guard.authenticate(["Bearer eyJ…", "Bearer eyJ…"])     # raises InvalidRequest: two values
    """

    status = 400
    _code = "invalid_request"
    _reasons = ("invalid_request",)

    def __init__(self, hint: str = "") -> None:
        super().__init__("invalid_request", hint)

    def __reduce__(self) -> tuple[type[InvalidRequest], tuple[str]]:
        return type(self), (self.hint,)


class InvalidToken(AuthError):
    """The token is not good: 401 ``invalid_token`` (RFC 6750 §3.1). *reason* says why, such as ``"expired"``; *hint* is
    for the log::

        try:
            guard.check(token)                     # of a WebSocket that stays open
        except InvalidToken as over:
            await websocket.close(1008, over.reason)
    """

    status = 401
    _code = "invalid_token"
    _reasons = get_args(InvalidTokenReason)

    def __init__(self, reason: InvalidTokenReason, hint: str = "") -> None:
        super().__init__(reason, hint)


class InsufficientScope(AuthError):
    """The token is good, but it lacks a scope: 403 ``insufficient_scope``, and the challenge names the *required*
    scopes (RFC 6750 §3.1). *hint* is for the log. Raise it yourself where a scope depends on the data::

        if report.is_secret and "read:secrets" not in token.scopes:
            raise InsufficientScope(["read:secrets"])
    """

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
    """The token is good, but the caller may not do this, and no scope would help: 403 (RFC 6750 §3.1).

    *reason* says why, such as ``"missing_permission"``; *hint* is for the log. Raise it yourself to refuse::

        if report.owner != token.subject:
            raise Forbidden("wrong_subject", "this report belongs to somebody else")
    """

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
