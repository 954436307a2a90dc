"""What a guard tells an observer, as it happens. Frozen; no event holds the text of a token.

An observer is called in the thread or task that the event happens in, under no lock, and should return at once. What
it raises is logged, the first time, and changes nothing: no verdict, and no fetch.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from .errors import ConfigurationError, Reason
from .net.once import Once
from .web.log_lines import log as log

if TYPE_CHECKING:
    from .tokens.access_token import AccessToken


@dataclass(frozen=True, slots=True)
class Verified:
    """A token is good. Whether it is good enough for a route comes after: see :class:`Refused`."""

    token: AccessToken
    remembered: bool
    """It had been verified before, and was found in the cache."""


@dataclass(frozen=True, slots=True)
class Refused:
    """Denied: no token, none that can be read, one that is not good, or one that does not meet a route's demand."""

    reason: Reason
    fingerprint: str
    """Of the token, as it is in the log; empty if there was none to read."""
    hint: str
    """What to change, for the people who run the API; may be empty."""


@dataclass(frozen=True, slots=True)
class CannotTell:
    """A token could not be judged, for want of its issuer's keys, or of news of what is revoked; or an API key, for
    want of Kinde's answer."""

    fingerprint: str
    retry_after: int
    """Seconds."""
    reason: Reason = "keys_unavailable"
    """Or ``revocations_unavailable``, ``api_keys_unavailable``."""


@dataclass(frozen=True, slots=True)
class KeysFetched:
    """An issuer has answered with usable keys."""

    issuer: str
    seconds: float
    """How long it took."""
    keys: int
    fresh_for: float
    """Seconds, from now."""
    usable_for: float
    """Seconds, from now."""
    clock_drift: float | None = None
    """As in :class:`~kinde_guard.keys.health.IssuerHealth`."""


@dataclass(frozen=True, slots=True)
class KeysFailed:
    """An attempt to fetch an issuer's keys came to nothing; what was held is held still."""

    issuer: str
    seconds: float
    """How long it took."""
    kind: str
    """In a word, for metrics: a status, such as ``503``, or the name of an exception."""
    problem: str
    """In a sentence, fit for a log."""
    retry_in: float
    """Seconds; no attempt before."""


@dataclass(frozen=True, slots=True)
class KeysStale:
    """Told after each :class:`KeysFailed` that leaves keys past their life: ``stale`` ones serve on, others do not."""

    issuer: str
    state: Literal["stale", "expired"]
    age: float
    """Seconds since they were fetched."""


@dataclass(frozen=True, slots=True)
class KeysChanged:
    """What a new key set changes, by kid; *weak* and *private* are keys that are not used, seen for the first time."""

    issuer: str
    added: tuple[str, ...]
    removed: tuple[str, ...]
    replaced: tuple[str, ...]
    """New material under a kid that had another: an issuer has no reason to do that."""
    weak: tuple[str, ...]
    """Published RSA keys of too few bits."""
    private: tuple[str, ...]
    """Published together with their private half, or shared secrets."""


@dataclass(frozen=True, slots=True)
class Revoked:
    """A revocation is in force in this process from now on."""

    kind: str
    """``token``, ``subject``, ``member``, ``client``, ``org``, ``all``; ``keys`` has the issuer's keys fetched."""
    id: str
    """Of the revocation."""
    by: str
    """Where it comes from, in a word."""
    seconds: float
    """How long after the time from which on it counts."""


@dataclass(frozen=True, slots=True)
class RevocationsLoaded:
    """This process's copy of the revocations is complete: for the first time, or again after it was stale."""

    entries: int
    seconds: float
    """How long it took to read what was new."""


@dataclass(frozen=True, slots=True)
class RevocationsStale:
    """Nothing is heard of revocations any more. A ``stale`` copy serves on; with one that is ``expired`` or
    ``never_loaded`` tokens cannot be judged."""

    state: Literal["stale", "expired", "never_loaded"]
    age: float
    """Seconds since the copy was complete; infinite if it never was."""


@dataclass(frozen=True, slots=True)
class RevocationsCompared:
    """This process's copy of the revocations was compared with what Redis holds, and is complete: about once a
    second."""

    entries: int


@dataclass(frozen=True, slots=True)
class ApiKeyAnswered:
    """Kinde was asked about an API key, and has said whether it is good."""

    issuer: str
    seconds: float
    """How long it took, until it was its turn included."""
    reason: str
    """Why it is refused; empty if it is good."""


@dataclass(frozen=True, slots=True)
class ApiKeyUnanswered:
    """Kinde was asked about an API key, and nothing came of it: keys that are known go on for a while."""

    issuer: str
    seconds: float
    """How long it took, until it was its turn included."""
    kind: str
    """In a word, for metrics: a status, such as ``429``, or ``no_answer``, ``no_token``, ``unreadable``."""
    problem: str
    """In a sentence, fit for a log."""
    retry_in: float
    """Seconds; Kinde is asked about no key before."""


@dataclass(frozen=True, slots=True)
class WebhookAnswered:
    """A webhook, or what was sent to its path by POST, has its answer."""

    event_type: str
    """Such as ``user.updated``; empty if it was no event of this tenant's."""
    reason: str
    """Why it was refused, or could not be taken now; empty if all has been done."""


Event = (
    Verified
    | Refused
    | CannotTell
    | KeysFetched
    | KeysFailed
    | KeysStale
    | KeysChanged
    | Revoked
    | RevocationsLoaded
    | RevocationsStale
    | RevocationsCompared
    | ApiKeyAnswered
    | ApiKeyUnanswered
    | WebhookAnswered
)
Emit = Callable[[Event], None]
"""Passes an event to whoever observes."""


class Observer(Protocol):
    """What ``Guard(observer=…)`` takes; there may be one for many guards."""

    def observe(self, event: Event) -> None:
        """Called with each *event*, in whichever thread it happens: return soon, and raise nothing."""


def emitter(*observers: Observer | None) -> Emit | None:
    """The function that passes an event to all *observers*; ``None`` if there are none, and then no event is made."""
    emits = [_emitter(observer) for observer in observers if observer is not None]

    def emit_to_all(event: Event) -> None:
        for emit in emits:
            emit(event)

    return emit_to_all if len(emits) > 1 else next(iter(emits), None)


def _emitter(observer: Observer) -> Emit:
    observe = getattr(observer, "observe", None)
    if not callable(observe) or inspect.iscoroutinefunction(observe):
        raise ConfigurationError(f"observer needs a method observe(event), which is no coroutine, not {observer!r}")
    failure = Once()

    def emit(event: Event) -> None:
        try:
            observe(event)
        except Exception:
            if failure.is_first():
                log.exception("the observer failed at %s; this is said once", type(event).__name__)

    return emit
