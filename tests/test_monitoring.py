"""Alerts and dashboard of ``examples/monitoring``: their own checker takes them, and what they ask for is exported."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from helpers import ISSUER, Issuer, Time, guard_of, mint, reason_of
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider
from prometheus_client import REGISTRY, generate_latest

from kinde_guard import InsufficientScope, scope
from kinde_guard.events import KeysFetched, RevocationsCompared, RevocationsLoaded, Revoked
from kinde_guard.otel import Telemetry

ROOT = Path(__file__).parents[1]
ALERTS = ROOT / "examples" / "monitoring" / "prometheus_alerts.yml"
DASHBOARD = ROOT / "examples" / "monitoring" / "grafana_dashboard.json"
METRIC = re.compile(r"\bkinde_guard_(?:verifications|demands|keys|revocations|clock)_\w+(?![\w=])(?!\s*[=!]~?\")")


def expressions() -> list[str]:
    panels = json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]
    asked = [target["expr"] for panel in panels for target in panel["targets"]]
    return asked + re.findall(r"^ +expr: (.*)$", ALERTS.read_text(encoding="utf-8"), re.MULTILINE)


def labels_in(expression: str) -> set[str]:
    by = ",".join(re.findall(r"by \(([^)]*)\)", expression))
    within = re.findall(r"[{,]\s*(\w+)\s*[=!]~?\"", expression)
    return {*re.findall(r"\w+", by), *within} - {"job", "instance", "le"}


@pytest.fixture(scope="module")
def exported() -> str:
    """What a process shows that has judged tokens of every kind."""
    reader = PrometheusMetricReader()
    meters = MeterProvider([reader], shutdown_on_exit=False)
    issuer, time = Issuer(), Time()
    telemetry = Telemetry(meter_provider=meters)
    guard = guard_of(issuer, time, observer=telemetry)
    for token in (mint(), mint(), "", mint({"aud": []})):
        reason_of(guard, token)
    with pytest.raises(InsufficientScope):
        guard.demand(guard.verify(mint()), scope("never"))
    revoked = (RevocationsLoaded(1, 0.1), RevocationsCompared(1), Revoked("subject", "id", "webhook", 0.2))
    for event in revoked:
        telemetry.observe(event)
    telemetry.observe(KeysFetched(ISSUER, 0.1, 1, 600, 3600, clock_drift=-4.0))  # the issuer above sends no Date
    try:
        return generate_latest(REGISTRY).decode()
    finally:
        meters.shutdown()


def test_what_they_ask_for_is_exported(exported: str) -> None:
    asked = {name for expression in expressions() for name in set(METRIC.findall(expression)) - labels_in(expression)}
    assert len(asked) >= 10
    assert [name for name in asked if not re.search(rf"^{name}\b", exported, re.MULTILINE)] == []


def test_labels_that_they_ask_for_are_there(exported: str) -> None:
    asked = {label for expression in expressions() for label in labels_in(expression)}
    assert "kinde_guard_verdict" in asked
    assert [label for label in asked if f'{label}="' not in exported] == []


@pytest.mark.skipif(shutil.which("promtool") is None, reason="no promtool here (Debian: prometheus)")
def test_prometheus_takes_the_alerts() -> None:
    done = subprocess.run(["promtool", "check", "rules", str(ALERTS)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "9 rules found" in done.stdout


def test_every_alert_says_what_to_do() -> None:
    text = ALERTS.read_text(encoding="utf-8")
    assert text.count("- alert:") == text.count("summary:") == text.count("action:") == 9
