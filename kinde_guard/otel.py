"""OpenTelemetry: metrics of what a guard decides and of its keys, and a span for each fetch.

    guard = Guard("acme.kinde.com", audience="https://api.acme.com", observer=Telemetry())

Nothing of a token is recorded but why it was refused; every attribute has few values.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import get_args

try:
    from opentelemetry.metrics import CallbackOptions, Meter, MeterProvider, Observation, get_meter
    from opentelemetry.trace import SpanKind, Status, StatusCode, TracerProvider, get_tracer
except ModuleNotFoundError as missing:
    raise ImportError(
        "kinde_guard.otel needs OpenTelemetry: pip install 'kinde-guard[otel]'", name=missing.name
    ) from missing

from . import __version__
from .errors import ForbiddenReason
from .events import (
    ApiKeyAnswered,
    ApiKeyUnanswered,
    CannotTell,
    Event,
    KeysChanged,
    KeysFailed,
    KeysFetched,
    Refused,
    RevocationsCompared,
    RevocationsLoaded,
    RevocationsStale,
    Revoked,
    Verified,
    WebhookAnswered,
)
from .net.clocks import ageing

_OF_DEMANDS = frozenset(("insufficient_scope", *get_args(ForbiddenReason)))
_STATES = ("fresh", "stale", "expired", "never_loaded")
_SECONDS = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0]
_ISSUER, _ERROR = "kinde_guard.issuer", "error.type"
_KIND, _BY, _STATE = "kinde_guard.revocation.kind", "kinde_guard.revocation.by", "kinde_guard.revocations.state"
_TYPE = "kinde_guard.webhook.type"
Attributes = dict[str, str | bool]


@dataclass(slots=True)
class _Keys:
    """What was last heard of an issuer."""

    fetched: KeysFetched | None = None
    at: float = 0.0

    def state(self, now: float) -> str:
        if self.fetched is None:
            return "never_loaded"
        age = now - self.at
        if age >= self.fetched.usable_for:
            return "expired"
        return "fresh" if age < self.fetched.fresh_for else "stale"


class Telemetry:
    """An observer that makes OpenTelemetry metrics and spans: ``Guard(observer=Telemetry())``.

    One will do for all guards of a process; two would count the keys of one issuer twice. *meter_provider* and
    *tracer_provider*: left out, those that are set globally. *monotonic*: for tests, a clock in seconds.
    """

    def __init__(
        self,
        *,
        meter_provider: MeterProvider | None = None,
        tracer_provider: TracerProvider | None = None,
        monotonic: Callable[[], float] = ageing,
    ) -> None:
        self._issuers: dict[str, _Keys] = {}
        self._revocations = ""
        self._compared: RevocationsCompared | None = None
        self._compared_at = 0.0
        self._now = monotonic
        self._tracer = get_tracer("kinde_guard", __version__, tracer_provider)
        self._count(get_meter("kinde_guard", __version__, meter_provider))

    def observe(self, event: Event) -> None:
        """Called by the guard with each event."""
        match event:
            case Verified():
                self._judged("allow", {"kinde_guard.remembered": event.remembered})
            case Refused() if event.reason in _OF_DEMANDS:
                self._unmet.add(1, {_ERROR: event.reason})
            case Refused():
                self._judged("deny", {_ERROR: event.reason})
            case CannotTell():
                self._judged("cannot_tell", {_ERROR: event.reason})
            case KeysFetched():
                self._issuers[event.issuer] = _Keys(event, self._now())
                self._fetched(event, {_ISSUER: event.issuer})
            case KeysFailed():
                self._issuers.setdefault(event.issuer, _Keys())
                self._fetched(event, {_ISSUER: event.issuer, _ERROR: event.kind})
            case KeysChanged():
                self._note_changes(event)
            case ApiKeyAnswered() | ApiKeyUnanswered():
                self._api_keys.record(event.seconds, _of_api_key(event))
            case WebhookAnswered():
                self._webhooks.add(1, _of_webhook(event))
            case _:
                self._observe_revocations(event)

    def _observe_revocations(self, event: Event) -> None:
        match event:
            case Revoked():
                self._revoked.add(1, {_KIND: event.kind, _BY: event.by})
                self._delay.record(event.seconds, {_KIND: event.kind})
            case RevocationsLoaded():
                self._revocations = "fresh"
            case RevocationsStale():
                self._revocations = event.state
            case RevocationsCompared():
                self._compared, self._compared_at = event, self._now()

    def _count(self, meter: Meter) -> None:
        self._verifications = meter.create_counter(
            "kinde_guard.verifications", "{verification}", "Tokens judged, and requests without one, by verdict"
        )
        self._unmet = meter.create_counter(
            "kinde_guard.demands.unmet", "{demand}", "Verified tokens that did not meet what a route demands"
        )
        self._changes = meter.create_counter("kinde_guard.keys.changes", "{key}", "Keys that a new key set changed")
        self._webhooks = meter.create_counter("kinde_guard.webhooks", "{webhook}", "Webhooks that were answered")
        self._revoked = meter.create_counter(
            "kinde_guard.revocations", "{revocation}", "Revocations that came into force in this process"
        )
        self._delay = meter.create_histogram(
            "kinde_guard.revocations.delay",
            "s",
            "From the time of a revocation until it was in force in this process",
            explicit_bucket_boundaries_advisory=_SECONDS,
        )
        self._duration = meter.create_histogram(
            "kinde_guard.keys.fetch.duration",
            "s",
            "Duration of fetches of an issuer's keys",
            explicit_bucket_boundaries_advisory=_SECONDS,
        )
        self._api_keys = meter.create_histogram(
            "kinde_guard.api_keys.call.duration",
            "s",
            "Duration of calls to Kinde about an API key",
            explicit_bucket_boundaries_advisory=_SECONDS,
        )
        gauges = (
            ("kinde_guard.keys.age", "s", "Time since an issuer's keys were fetched", self._ages),
            ("kinde_guard.keys.count", "{key}", "Usable keys of an issuer", self._counts),
            ("kinde_guard.keys.status", "1", "1 for the state that an issuer's keys are in, else 0", self._status),
            (
                "kinde_guard.revocations.status",
                "1",
                "1 for the state that this process's copy of the revocations is in, else 0",
                self._revocations_status,
            ),
            (
                "kinde_guard.revocations.age",
                "s",
                "Time since this process's copy of the revocations was known to be complete",
                self._revocations_age,
            ),
            (
                "kinde_guard.revocations.entries",
                "{revocation}",
                "Revocations that this process's copy holds",
                self._revocations_entries,
            ),
            ("kinde_guard.clock.drift", "s", "How far the clock here is ahead of the issuer's", self._drifts),
        )
        for name, unit, description, callback in gauges:
            meter.create_observable_gauge(name, [callback], unit, description)

    def _judged(self, verdict: str, attributes: Attributes) -> None:
        self._verifications.add(1, {"kinde_guard.verdict": verdict, **attributes})

    def _note_changes(self, event: KeysChanged) -> None:
        for change in ("added", "removed", "replaced", "weak", "private"):
            kids: tuple[str, ...] = getattr(event, change)
            if kids:
                self._changes.add(len(kids), {_ISSUER: event.issuer, "kinde_guard.keys.change": change})

    def _fetched(self, event: KeysFetched | KeysFailed, attributes: Attributes) -> None:
        """The span is made when its time is over: the fetch itself knows nothing of it."""
        self._duration.record(event.seconds, attributes)
        end = time.time_ns()
        span = self._tracer.start_span(
            "kinde_guard.keys.fetch",
            kind=SpanKind.CLIENT,
            attributes=attributes,
            start_time=end - int(event.seconds * 1e9),
        )
        if isinstance(event, KeysFailed):
            span.set_status(Status(StatusCode.ERROR, event.problem))
        else:
            span.set_attribute("kinde_guard.keys.count", event.keys)
        span.end(end)

    def _held(self) -> Iterator[tuple[Attributes, _Keys, KeysFetched]]:
        for issuer, keys in list(self._issuers.items()):
            if keys.fetched is not None:
                yield {_ISSUER: issuer}, keys, keys.fetched

    def _ages(self, _: CallbackOptions) -> Iterable[Observation]:
        return [Observation(self._now() - keys.at, attributes) for attributes, keys, _ in self._held()]

    def _counts(self, _: CallbackOptions) -> Iterable[Observation]:
        return [Observation(fetched.keys, attributes) for attributes, _, fetched in self._held()]

    def _drifts(self, _: CallbackOptions) -> Iterable[Observation]:
        return [
            Observation(fetched.clock_drift, attributes)
            for attributes, _, fetched in self._held()
            if fetched.clock_drift is not None
        ]

    def _revocations_status(self, _: CallbackOptions) -> Iterable[Observation]:
        return [Observation(int(state == self._revocations), {_STATE: state}) for state in _STATES if self._revocations]

    def _revocations_age(self, _: CallbackOptions) -> Iterable[Observation]:
        return [] if self._compared is None else [Observation(self._now() - self._compared_at)]

    def _revocations_entries(self, _: CallbackOptions) -> Iterable[Observation]:
        return [] if self._compared is None else [Observation(self._compared.entries)]

    def _status(self, _: CallbackOptions) -> Iterable[Observation]:
        now = self._now()
        for issuer, keys in list(self._issuers.items()):
            current = keys.state(now)
            for state in _STATES:
                yield Observation(int(state == current), {_ISSUER: issuer, "kinde_guard.keys.state": state})


def _of_webhook(event: WebhookAnswered) -> Attributes:
    named: Attributes = {_TYPE: event.event_type, _ERROR: event.reason}
    return {name: value for name, value in named.items() if value}


def _of_api_key(event: ApiKeyAnswered | ApiKeyUnanswered) -> Attributes:
    """An answer by which a key is refused is none that went wrong."""
    if isinstance(event, ApiKeyUnanswered):
        return {_ISSUER: event.issuer, _ERROR: event.kind}
    return {_ISSUER: event.issuer, "kinde_guard.api_key.reason": event.reason or "good"}
