"""What guards decide reaches a local Kinde: from any process, without anybody waiting for it, and no token with it."""

from __future__ import annotations

import _thread
import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any

import pytest
from faults import Server, after, answering, hanging, nobody, sending
from helpers import AUDIENCE, Issuer, fork, guard_of, mint, reason_of, rsa_key
from servers import clean_environment
from waiting import LONG, running, settle, until

from kinde_guard import ConfigurationError, Guard, InsufficientScope, KeysUnavailable, scope
from kinde_guard.cli.serving import listen, serving, url_of
from kinde_guard.events import Event, KeysStale, Refused, Revoked
from kinde_guard.issuer import LocalIssuer, SigningKey
from kinde_guard.issuer.journal import Entry
from kinde_guard.net import joining, verdict_reporter
from kinde_guard.net.request_above import NONE
from kinde_guard.net.verdict_reporter import Reporter

VARIABLE = "KINDE_REPORT_VERDICTS_TO"
KEY = SigningKey.make()


@pytest.fixture
def kinde() -> Iterator[LocalIssuer]:
    """Served on loopback."""
    with listen(0) as sock:
        issuer = LocalIssuer(url_of(sock), key=KEY)
        with serving(issuer.asgi, sock):
            yield issuer


@pytest.fixture
def listener() -> Iterator[Server]:
    """Somebody who takes reports, and keeps them as they come."""
    with Server(answering()) as server:
        yield server


def verdicts(issuer: LocalIssuer) -> list[Entry]:
    return [entry for entry in issuer.journal.since() if entry.kind == "verdict"]


def reported(server: Server) -> list[dict[str, Any]]:
    """All that *server* was told, in order."""
    return [verdict for request in list(server.requests) for verdict in json.loads(request.partition(b"\r\n\r\n")[2])]


def refused(number: int = 0, hint: str = "") -> Refused:
    return Refused("expired", f"{number:012d}", hint)


def numbers(server: Server) -> list[int]:
    return [int(verdict["fingerprint"]) for verdict in reported(server)]


# From a guard to the journal


API = """
import sys, time
from kinde_guard import Guard, InsufficientScope, InvalidToken, scope
guard = Guard()
for raw in sys.argv[1:]:
    try:
        guard.demand(guard.verify(raw), scope("read:users"))
    except (InvalidToken, InsufficientScope):
        pass
sys.stdin.read()
"""


def in_process(code: str, *arguments: str, **variables: str) -> AbstractContextManager[subprocess.Popen[str]]:
    return running([sys.executable, "-c", code, *arguments], env=clean_environment() | variables)


def test_verdicts_of_another_process(kinde: LocalIssuer) -> None:
    """It has the variable set, and nothing else done about it."""
    raws = [kinde.preset(name) for name in ("m2m", "no_scope", "expired", "bad_signature")]
    variables = {"KINDE_DOMAIN": kinde.url, "KINDE_AUDIENCE": kinde.audience, VARIABLE: kinde.url}
    with in_process(API, *raws, raws[0], raws[0], **variables) as process:
        until(lambda: sum(entry.details["times"] for entry in verdicts(kinde)) == 9)  # type: ignore[misc]
        process.communicate("", timeout=LONG)
    told = verdicts(kinde)
    assert {(entry.details["process"], entry.details["pid"]) for entry in told} == {("python", process.pid)}
    found = {(entry.details["verdict"], entry.details.get("reason")) for entry in told}
    assert found == {
        ("keys_fetched", None),
        ("verified", None),
        ("refused", "insufficient_scope"),
        ("refused", "expired"),
        ("refused", "bad_signature"),
    }
    verified = next(entry.details for entry in told if entry.details["verdict"] == "verified")
    client = kinde.app.client_id
    assert verified["scopes"] == "read:users write:flags"
    assert (verified["subject"], verified["client"], verified["issuer"]) == (client, client, kinde.url)
    assert all(entry.details["hint"] for entry in told if entry.details["verdict"] == "refused")


def test_each_kind_of_event(listener: Server) -> None:
    """Equal ones are put together, and what is no verdict is left out."""
    issuer = Issuer()
    guard = guard_of(issuer, observer=Reporter(listener.url))
    token = guard.verify(mint())
    guard.verify(mint())
    with pytest.raises(InsufficientScope) as refusal:
        guard.demand(token, scope("read:users"))
    assert reason_of(guard, mint(key=rsa_key("another"))) == "bad_signature"
    settle(guard)  # it has the keys fetched
    issuer.status = 503
    with pytest.raises(KeysUnavailable):
        guard_of(issuer, observer=Reporter(listener.url)).verify(mint())
    until(lambda: sum(verdict["times"] for verdict in reported(listener)) == 8)
    told = {(verdict["verdict"], verdict.get("reason")): verdict for verdict in reported(listener)}
    assert set(told) == {
        ("keys_fetched", None),
        ("verified", None),
        ("refused", "insufficient_scope"),
        ("refused", "bad_signature"),
        ("cannot_tell", "keys_unavailable"),
        ("keys_failed", "503"),
    }
    assert told["keys_fetched", None]["hint"] == "1 key in 0 ms, fresh for 600 s"
    assert told["keys_failed", "503"]["hint"] == "the issuer answered 503"
    assert told["cannot_tell", "keys_unavailable"]["hint"].startswith("try again in ")
    assert told["refused", "insufficient_scope"]["hint"] == refusal.value.hint
    verified = told["verified", None]
    assert (verified["subject"], verified["client"]) == (token.subject, token.client_id)
    assert verified["fingerprint"] in repr(token)
    assert verified["fingerprint"] == told["refused", "insufficient_scope"]["fingerprint"]


def test_what_is_revoked_from_now_on(kinde: LocalIssuer) -> None:
    """And how long after the time from which on it counts."""
    reporter = Reporter(kinde.url)
    reporter.observe(Revoked("subject", "event_1", "webhook", 0.0064))
    until(lambda: verdicts(kinde))
    (entry,) = verdicts(kinde)
    assert entry.summary.endswith(" refuses what is revoked (subject), 6 ms later")


def test_no_report_holds_a_token(listener: Server) -> None:
    guard = guard_of(Issuer(), observer=Reporter(listener.url))
    raws = [mint(), mint(key=rsa_key("another")), "eyJ.not.a-token"]
    for raw in raws:
        reason_of(guard, raw)
    settle(guard)
    until(lambda: sum(verdict["times"] for verdict in reported(listener)) == 5)
    sent = b"".join(listener.requests).decode()
    for part in [part for raw in raws for part in raw.split(".") if len(part) > 3]:
        assert part not in sent
    assert "authorization" not in sent.lower()


def test_what_a_local_kinde_takes(kinde: LocalIssuer) -> None:
    """However much there is to say."""
    reporter = Reporter(kinde.url)
    for number in range(120):
        reporter.observe(Refused("expired", f"{number:012d}", "x" * 1_000))
    until(lambda: len(verdicts(kinde)) == 120)
    assert [int(str(entry.details["fingerprint"])) for entry in verdicts(kinde)] == list(range(120))


def test_what_takes_more_bytes_than_characters(kinde: LocalIssuer) -> None:
    """What does not fit waits for the next report, and what comes after it is told, too."""
    reporter = Reporter(kinde.url)
    for number in range(120):
        reporter.observe(Refused("expired", f"{number:012d}", "ü" * 300))
    until(lambda: len(verdicts(kinde)) == 120)
    assert [int(str(entry.details["fingerprint"])) for entry in verdicts(kinde)] == list(range(120))


def test_both_observers_are_told(kinde: LocalIssuer) -> None:
    """The one that is given, and the one that the variable asks for."""
    seen: list[Event] = []

    class Recorder:
        def observe(self, event: Event) -> None:
            seen.append(event)

    variables = {"KINDE_DOMAIN": kinde.url, "KINDE_AUDIENCE": kinde.audience, VARIABLE: kinde.url}
    guard = Guard(observer=Recorder(), variables=[variables])
    assert reason_of(guard, kinde.preset("expired")) == "expired"
    assert [type(event) for event in seen] == [Refused]
    until(lambda: len(verdicts(kinde)) == 1)


def test_without_the_variable_there_is_no_reporter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "http://127.0.0.1:9")
    assert guard_of(Issuer())._emit is None  # its variables= are others
    monkeypatch.setenv("KINDE_DOMAIN", "acme.kinde.com")
    monkeypatch.setenv("KINDE_AUDIENCE", AUDIENCE)
    assert Guard()._emit is not None


# Nobody waits, and nobody is bothered


def test_nobody_who_answers(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """Nothing is said, and as soon as somebody answers, it is told what happens from then on."""
    caplog.set_level(logging.DEBUG, "kinde_guard")
    monkeypatch.setattr(verdict_reporter, "WAIT_FOR_NOBODY", 0.0)
    with nobody() as url:
        reporter = Reporter(url)
        for number in range(50):
            reporter.observe(refused(number))
        until(lambda: reporter._flight.under_way is None and not reporter._waiting)
    assert not caplog.records
    with Server(answering()) as server:
        reporter._url = server.url
        reporter.observe(refused(77))
        until(lambda: numbers(server) == [77])


def test_an_attempt_that_came_to_nothing_is_not_repeated_at_once(
    monkeypatch: pytest.MonkeyPatch, listener: Server
) -> None:
    monkeypatch.setattr(verdict_reporter, "GATHERING", 0.0)
    listener.behave = sending(b"")
    reporter = Reporter(listener.url)
    reporter.observe(refused(0))
    until(lambda: listener.requests)
    under_way = reporter._flight.under_way
    for number in range(20):
        reporter.observe(refused(number))
        time.sleep(0.005)
    assert reporter._flight.under_way is under_way is not None
    assert len(listener.requests) == 1


@pytest.mark.parametrize("status", [302, 403, 500])
def test_an_answer_of_any_kind_is_an_answer(listener: Server, status: int) -> None:
    """A redirect leads nowhere."""
    listener.behave = answering(b"no", status, headers={"location": f"{listener.url}/elsewhere"})
    reporter = Reporter(listener.url)
    reporter.observe(refused(1))
    until(lambda: listener.requests)
    reporter.observe(refused(2))
    until(lambda: numbers(listener) == [1, 2])
    assert {request.split(b" ")[1] for request in listener.requests} == {b"/_local/verdicts"}


def test_one_that_hangs_holds_up_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is cut off in time, and what happened since is sent with what happens next."""
    monkeypatch.setattr(verdict_reporter, "DEADLINE", 0.3)
    with Server(hanging) as server:
        guard = guard_of(Issuer(), observer=Reporter(server.url))
        guard.verify(mint())
        until(lambda: server.requests)
        assert reason_of(guard, mint({"exp": 1})) == "expired"
        assert not server.deserted.is_set()
        assert server.deserted.wait(LONG)
        server.behave = answering()
        assert reason_of(guard, mint({"aud": ["x"]})) == "wrong_audience"
        until(lambda: {"expired", "wrong_audience"} <= {verdict.get("reason") for verdict in reported(server)})


def test_what_happens_while_a_report_is_under_way_is_in_the_next(listener: Server) -> None:
    """Also if nothing more happens afterwards."""
    free = threading.Event()
    listener.behave = after(free, answering())
    reporter = Reporter(listener.url)
    reporter.observe(refused(1))
    until(lambda: listener.requests)
    for _ in range(3):
        reporter.observe(refused(2))
    reporter.observe(refused(3))
    reporter.observe(refused(2))
    free.set()
    until(lambda: len(listener.requests) == 2)
    until(lambda: [verdict["times"] for verdict in reported(listener)] == [1, 4, 1])
    assert numbers(listener) == [1, 2, 3]


def test_too_much_is_dropped(monkeypatch: pytest.MonkeyPatch, listener: Server) -> None:
    """The oldest first."""
    monkeypatch.setattr(verdict_reporter, "MAX_WAITING", 10)
    free = threading.Event()
    listener.behave = after(free, answering())
    reporter = Reporter(listener.url)
    reporter.observe(refused(0))
    until(lambda: listener.requests)
    for number in range(1, 100):
        reporter.observe(refused(number))
    free.set()
    until(lambda: len(listener.requests) == 2)
    until(lambda: numbers(listener) == [0, *range(90, 100)])


def test_no_thread_to_be_had(monkeypatch: pytest.MonkeyPatch, listener: Server) -> None:
    """A verdict is a verdict all the same; what it was is told later."""
    reporter = Reporter(listener.url)

    def exhausted(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(_thread, "start_new_thread", exhausted)
        reporter.observe(refused(1))
        reporter.observe(refused(2))
    assert not listener.requests
    reporter.observe(refused(3))
    until(lambda: numbers(listener) == [1, 2, 3])


def test_a_proxy_in_the_environment_is_not_asked(monkeypatch: pytest.MonkeyPatch, listener: Server) -> None:
    with Server(answering()) as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        monkeypatch.delenv("no_proxy", raising=False)
        Reporter(listener.url).observe(refused(1))
        until(lambda: numbers(listener) == [1])
        assert not proxy.requests


def test_what_is_no_verdict_starts_nothing(listener: Server) -> None:
    reporter = Reporter(listener.url)
    reporter.observe(KeysStale("https://acme.kinde.com", "stale", 600.0))
    assert reporter._flight.under_way is None


# Processes


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_forked_child_reports_for_itself(listener: Server) -> None:
    """In the middle of its parent's report, and not what is its parent's to tell."""
    free = threading.Event()
    listener.behave = after(free, answering())
    reporter = Reporter(listener.url)
    reporter.observe(refused(1))
    until(lambda: listener.requests)
    reporter.observe(refused(2))
    child = fork()
    if child == 0:
        try:
            signal.alarm(int(2 * LONG))
            reporter.observe(refused(3))
            joining.join(reporter._flight.start(reporter._send), LONG)
        finally:
            os._exit(0)
    until(lambda: len(listener.requests) == 2)
    free.set()
    os.waitpid(child, 0)
    until(lambda: len(listener.requests) == 3)
    told = {(verdict["pid"], int(verdict["fingerprint"])) for verdict in reported(listener)}
    assert told == {(os.getpid(), 1), (os.getpid(), 2), (child, 3)}


def test_what_a_parent_has_left_is_not_sent(listener: Server) -> None:
    """As it is found in a child."""
    reporter = Reporter(listener.url)
    reporter._waiting.append((os.getppid(), refused(1), NONE))
    joining.join(reporter._flight.start(reporter._send), LONG)
    assert not reporter._waiting
    assert not listener.requests


ENDING = """
import sys
from kinde_guard.net import exchange
exchange.TOTAL_TIMEOUT = 1000  # before anything else is loaded
from kinde_guard.net import verdict_reporter as reports
from kinde_guard.events import Refused
reports.DEADLINE = 1000
reporter = reports.Reporter(sys.argv[1])
reporter.observe(Refused("expired", "0" * 12, ""))
sys.stdin.readline()
"""


def test_a_report_keeps_no_process_alive(listener: Server) -> None:
    """In the middle of one it ends, and not when that is given up, and without a word."""
    listener.behave = hanging
    with in_process(ENDING, listener.url) as process:
        until(lambda: listener.requests)
        printed = process.communicate("\n", timeout=LONG)
    assert (process.returncode, printed) == (0, ("", ""))


@pytest.mark.parametrize(
    ("argv", "name"),
    [
        (["/usr/bin/uvicorn", "app:app"], "uvicorn"),  # no such module: it may be anything
        (["/usr/bin/uvicorn", "--port", "8000", "json:app"], "uvicorn json:app"),
        (["/usr/bin/gunicorn", "-b", "127.0.0.1:8000", "json.decoder:make()"], "gunicorn json.decoder:make()"),
        (["/usr/bin/tool", "json", "a:secret"], "tool"),
        (["/usr/lib/python3/uvicorn/__main__.py"], "uvicorn"),
        (["app.py"], "app.py"),
        (["-c"], "python"),
        ([""], "python"),
        ([], "python"),
        (["/srv/" + "x" * 100], "x" * 60),
    ],
)
def test_the_name_of_the_process(monkeypatch: pytest.MonkeyPatch, listener: Server, argv: list[str], name: str) -> None:
    """What people have typed to start it."""
    monkeypatch.setattr(sys, "argv", argv)
    Reporter(listener.url).observe(refused())
    until(lambda: reported(listener))
    assert [(verdict["process"], verdict["pid"]) for verdict in reported(listener)] == [(name, os.getpid())]


# Where to


@pytest.mark.parametrize("url", ["https://127.0.0.1:9400", "http://192.0.2.1", "acme.kinde.com", "", None])
def test_to_this_machine_alone(url: Any) -> None:
    with pytest.raises(ConfigurationError, match="the http URL of a local Kinde"):
        Reporter(url)
