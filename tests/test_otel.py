"""Telemetry, read back through the SDK: its in-memory exporters, and a scrape as Prometheus makes it."""

from __future__ import annotations

import threading
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
import webhook_bodies
from helpers import ISSUER, M2M, NOW, Issuer, Time, guard_of, jwk, key_set, mint, reason_of, rsa_key
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import HistogramDataPoint, InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from prometheus_client import start_http_server
from waiting import LONG, until

from kinde_guard import AuthError, Guard, KeysUnavailable, permission, scope
from kinde_guard.events import (
    ApiKeyAnswered,
    ApiKeyUnanswered,
    RevocationsCompared,
    RevocationsLoaded,
    RevocationsStale,
    Revoked,
)
from kinde_guard.net import joining
from kinde_guard.otel import Telemetry
from kinde_guard.webhooks import WebhookEvent, WebhookReceiver

Points = dict[tuple[tuple[str, Any], ...], Any]


class Backend:
    """What a collector would have been sent."""

    def __init__(self, time: Time) -> None:
        self.reader, self.spans = InMemoryMetricReader(), InMemorySpanExporter()
        self.meters = MeterProvider([self.reader], shutdown_on_exit=False)
        self.traces = TracerProvider(shutdown_on_exit=False)
        self.traces.add_span_processor(SimpleSpanProcessor(self.spans))
        self.telemetry = Telemetry(
            meter_provider=self.meters, tracer_provider=self.traces, monotonic=lambda: time.monotonic
        )

    def metrics(self) -> dict[str, Any]:
        data = self.reader.get_metrics_data()
        found = [metric for scope in data.resource_metrics[0].scope_metrics for metric in scope.metrics] if data else []
        return {metric.name: metric for metric in found}

    def points(self, name: str) -> Points:
        """By their attributes, without the common prefix."""
        return {
            tuple(sorted((key.removeprefix("kinde_guard."), value) for key, value in point.attributes.items())): (
                point.count if isinstance(point, HistogramDataPoint) else point.value
            )
            for point in self.metrics()[name].data.data_points
        }

    def finished(self) -> tuple[ReadableSpan, ...]:
        return self.spans.get_finished_spans()


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def backend(time: Time) -> Iterator[Backend]:
    backend = Backend(time)
    yield backend
    backend.meters.shutdown()
    backend.traces.shutdown()


def fetch(guard: Guard, time: Time, seconds: float = 0.0) -> None:
    time.passes(seconds)
    for store in guard._stores.values():
        future = store.load()
        assert future is not None
        joining.join(future, 10)
        settle()


def settle() -> None:
    """What there is to say of the last fetch has been said."""
    for thread in threading.enumerate():
        if thread.name == "kinde_guard-call":
            thread.join(LONG)


def run(guard: Guard, issuer: Issuer, time: Time) -> None:
    """Some of everything."""
    fetch(guard, time)
    token = guard.verify(mint(base=M2M))
    guard.verify(mint(base=M2M))
    guard.verify(mint(base=M2M))
    for demand in (scope("delete:users"), permission("p")):
        with suppress(AuthError):
            guard.demand(token, demand)
    with suppress(AuthError):
        guard.authenticate([])
    assert reason_of(guard, mint({"exp": NOW - 3600})) == "expired"
    assert reason_of(guard, mint(key=rsa_key("another"))) == "bad_signature"
    until(lambda: len(issuer.fetches) == 2)  # behind the request, for a signature that does not hold
    settle()
    issuer.body = key_set(jwk(key=rsa_key("another")), jwk({"kid": "new"}), jwk({"kid": "leaked", "d": "AQAB"}))
    fetch(guard, time, 600)
    issuer.status = 503
    fetch(guard, time, 650)


def test_verdicts(backend: Backend, time: Time) -> None:
    issuer = Issuer()
    run(guard_of(issuer, time, observer=backend.telemetry), issuer, time)
    assert backend.points("kinde_guard.verifications") == {
        (("remembered", False), ("verdict", "allow")): 1,
        (("remembered", True), ("verdict", "allow")): 2,
        (("error.type", "missing_token"), ("verdict", "deny")): 1,
        (("error.type", "expired"), ("verdict", "deny")): 1,
        (("error.type", "bad_signature"), ("verdict", "deny")): 1,
    }
    assert backend.points("kinde_guard.demands.unmet") == {
        (("error.type", "insufficient_scope"),): 1,
        (("error.type", "missing_permission"),): 1,
    }


def test_what_cannot_be_told_is_a_verdict(backend: Backend, time: Time) -> None:
    issuer = Issuer()
    issuer.status = 500
    guard = guard_of(issuer, time, observer=backend.telemetry)
    with pytest.raises(KeysUnavailable):
        guard.verify(mint())
    assert backend.points("kinde_guard.verifications") == {
        (("error.type", "keys_unavailable"), ("verdict", "cannot_tell")): 1
    }


def test_keys(backend: Backend, time: Time) -> None:
    issuer = Issuer()
    run(guard_of(issuer, time, observer=backend.telemetry), issuer, time)
    here = ("issuer", ISSUER)
    assert backend.points("kinde_guard.keys.fetch.duration") == {
        (here,): 3,
        (("error.type", "503"), here): 1,
    }
    assert backend.points("kinde_guard.keys.changes") == {
        (here, ("keys.change", change)): 1 for change in ("added", "replaced", "private")
    }
    assert backend.points("kinde_guard.keys.age") == {(here,): 650.0}
    assert backend.points("kinde_guard.keys.count") == {(here,): 2}
    assert backend.points("kinde_guard.keys.status") == {
        (here, ("keys.state", state)): int(state == "stale") for state in ("fresh", "stale", "expired", "never_loaded")
    }
    assert "kinde_guard.clock.drift" not in backend.metrics()  # the answers had no Date


def test_the_state_of_keys_follows_the_clock(backend: Backend, time: Time) -> None:
    """Though nothing happens."""
    issuer = Issuer()
    guard = guard_of(issuer, time, observer=backend.telemetry, usable_for=3600)

    def state() -> list[Any]:
        points = backend.points("kinde_guard.keys.status")
        return [dict(attributes)["keys.state"] for attributes, value in points.items() if value]

    issuer.status = 503
    fetch(guard, time)
    assert state() == ["never_loaded"]
    issuer.status = 200
    fetch(guard, time, 60)
    states = []
    for seconds in (0, 599, 1, 2999, 1):
        time.passes(seconds)
        states += state()
        assert states[-1] == guard.health()[ISSUER].state
    assert states == ["fresh", "fresh", "stale", "stale", "expired"]


def test_drift_is_a_gauge(backend: Backend) -> None:
    from kinde_guard.events import KeysFetched

    backend.telemetry.observe(KeysFetched(ISSUER, 0.1, 1, 600, 3600, clock_drift=-412.0))
    assert backend.points("kinde_guard.clock.drift") == {(("issuer", ISSUER),): -412.0}


def test_names_and_units_are_as_opentelemetry_has_them(backend: Backend, time: Time) -> None:
    """Seconds, countable things in braces, and buckets that a fetch falls into."""
    issuer = Issuer()
    run(guard_of(issuer, time, observer=backend.telemetry), issuer, time)
    metrics = backend.metrics()
    assert {name: metric.unit for name, metric in metrics.items()} == {
        "kinde_guard.verifications": "{verification}",
        "kinde_guard.demands.unmet": "{demand}",
        "kinde_guard.keys.changes": "{key}",
        "kinde_guard.keys.fetch.duration": "s",
        "kinde_guard.keys.age": "s",
        "kinde_guard.keys.count": "{key}",
        "kinde_guard.keys.status": "1",
    }
    assert all(metric.description for metric in metrics.values())
    [point, _] = metrics["kinde_guard.keys.fetch.duration"].data.data_points
    assert point.explicit_bounds[0] <= 0.01
    assert point.explicit_bounds[-1] == 5.0


def test_a_fetch_is_a_span_and_nothing_else_is(backend: Backend, time: Time) -> None:
    issuer = Issuer()
    guard = guard_of(issuer, time, observer=backend.telemetry)
    run(guard, issuer, time)
    good, behind, again, failed = backend.finished()
    assert {span.name for span in (good, behind, again, failed)} == {"kinde_guard.keys.fetch"}
    assert good.kind is SpanKind.CLIENT
    assert dict(good.attributes or {}) == {"kinde_guard.issuer": ISSUER, "kinde_guard.keys.count": 1}
    assert good.status.status_code is StatusCode.UNSET
    assert failed.status.status_code is StatusCode.ERROR
    assert failed.status.description == "the issuer answered 503"
    assert dict(failed.attributes or {}) == {"kinde_guard.issuer": ISSUER, "error.type": "503"}


def test_a_span_is_as_long_as_its_fetch(backend: Backend) -> None:
    from kinde_guard.events import KeysFetched

    backend.telemetry.observe(KeysFetched(ISSUER, 0.25, 1, 600, 3600))
    [span] = backend.finished()
    assert (span.end_time or 0) - (span.start_time or 0) == 250_000_000


def test_nothing_of_a_token_is_recorded(backend: Backend, time: Time) -> None:
    issuer = Issuer()
    raw = mint(base=M2M)
    run(guard_of(issuer, time, observer=backend.telemetry), issuer, time)
    recorded = str(backend.reader.get_metrics_data()) + str([span.to_json() for span in backend.finished()])
    for private in (*raw.split("."), M2M["azp"], M2M["jti"]):
        assert private not in recorded


def test_a_scrape(time: Time) -> None:
    """As Prometheus makes it: over HTTP."""
    reader = PrometheusMetricReader()
    meters = MeterProvider([reader], shutdown_on_exit=False)
    server, thread = start_http_server(0, "127.0.0.1")
    try:
        issuer = Issuer()
        run(guard_of(issuer, time, observer=Telemetry(meter_provider=meters)), issuer, time)
        with urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}/metrics") as answer:
            text = answer.read().decode()
    finally:
        server.shutdown()
        server.server_close()
        thread.join(LONG)
        meters.shutdown()
    samples = {family.name: family.samples for family in _families(text)}
    verifications = {
        (sample.labels.get("error_type", ""), sample.labels["kinde_guard_verdict"]): sample.value
        for sample in samples["kinde_guard_verifications"]
        if sample.labels.get("kinde_guard_remembered") != "true"
    }
    assert verifications == {
        ("", "allow"): 1.0,
        ("missing_token", "deny"): 1.0,
        ("expired", "deny"): 1.0,
        ("bad_signature", "deny"): 1.0,
    }
    counts = [sample.value for sample in samples["kinde_guard_keys_fetch_duration_seconds"] if "count" in sample.name]
    assert sum(counts) == 4
    assert {"kinde_guard_keys_age_seconds", "kinde_guard_demands_unmet"} < samples.keys()


def _families(text: str) -> Any:
    from prometheus_client.parser import text_string_to_metric_families

    return text_string_to_metric_families(text)


def test_it_works_without_an_sdk(time: Time) -> None:
    """The API alone does nothing, and breaks nothing."""
    issuer = Issuer()
    run(guard_of(issuer, time, observer=Telemetry()), issuer, time)


def test_webhooks_are_counted_by_type_and_by_what_became_of_them() -> None:
    backend = Backend(Time())
    failing = [OSError("away")]

    def on_event(event: WebhookEvent) -> None:
        if failing:
            raise failing.pop()

    receiver = WebhookReceiver(guard_of(Issuer(), observer=backend.telemetry), on_event)
    for body in (webhook_bodies.body(), webhook_bodies.body(), webhook_bodies.body(), b"x"):
        receiver.receive("POST", {}, body)
    receiver.receive("GET", {}, b"")
    assert backend.points("kinde_guard.webhooks") == {
        (("webhook.type", "user.updated"),): 2,
        (("error.type", "not_handled"), ("webhook.type", "user.updated")): 1,
        (("error.type", "malformed"),): 1,
    }


def test_calls_about_api_keys_are_measured(backend: Backend) -> None:
    """A key that is refused is no error: Kinde has answered."""
    observe = backend.telemetry.observe
    for event in (
        ApiKeyAnswered(ISSUER, 0.1, ""),
        ApiKeyAnswered(ISSUER, 0.2, ""),
        ApiKeyAnswered(ISSUER, 0.1, "wrong_api"),
        ApiKeyUnanswered(ISSUER, 5.0, "no_answer", "why", 1.0),
    ):
        observe(event)
    assert backend.points("kinde_guard.api_keys.call.duration") == {
        (("api_key.reason", "good"), ("issuer", ISSUER)): 2,
        (("api_key.reason", "wrong_api"), ("issuer", ISSUER)): 1,
        (("error.type", "no_answer"), ("issuer", ISSUER)): 1,
    }


def test_revocations_are_counted_and_their_state_is_a_gauge(backend: Backend) -> None:
    assert "kinde_guard.revocations.status" not in backend.metrics()  # a guard without any has no state
    observe = backend.telemetry.observe
    observe(RevocationsLoaded(3, 0.1))
    observe(Revoked("subject", "id", "webhook", 0.25))
    assert backend.points("kinde_guard.revocations") == {
        (("revocation.by", "webhook"), ("revocation.kind", "subject")): 1
    }
    assert backend.points("kinde_guard.revocations.delay") == {(("revocation.kind", "subject"),): 1}
    states = {}
    for event in (
        None,
        RevocationsStale("stale", 4.0),
        RevocationsStale("expired", 4_000.0),
        RevocationsLoaded(3, 0.1),
    ):
        if event is not None:
            observe(event)
        points = backend.points("kinde_guard.revocations.status")
        states[str(event)] = [dict(names)["revocations.state"] for names, value in points.items() if value]
    assert list(states.values()) == [["fresh"], ["stale"], ["expired"], ["fresh"]]


def test_the_age_and_the_size_of_the_copy_are_gauges(backend: Backend, time: Time) -> None:
    names = {"kinde_guard.revocations.age": "s", "kinde_guard.revocations.entries": "{revocation}"}
    observe = backend.telemetry.observe
    observe(RevocationsStale("never_loaded", float("inf")))
    assert not names.keys() & backend.metrics().keys()  # there is no copy yet
    observe(RevocationsCompared(3))
    time.passes(2)
    assert [backend.points(name) for name in names] == [{(): 2.0}, {(): 3}]
    observe(RevocationsCompared(4))
    time.passes(40)
    assert [backend.points(name) for name in names] == [{(): 40.0}, {(): 4}]
    assert {name: backend.metrics()[name].unit for name in names} == names
