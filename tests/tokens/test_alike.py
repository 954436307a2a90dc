"""That every token is refused for one reason of settings is seen at the terminal, once, whatever logging is set up."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import threading
from typing import Any

import pytest
from helpers import ABSENT, AUDIENCE, DOMAIN, ISSUER, Issuer, Time, guard_of, jwk, key_set, mint, reason_of, rsa_key

from kinde_guard import Guard, InvalidRequest, MissingToken
from kinde_guard.tokens.alike import ENOUGH, OF_SETTINGS, Alike

WRONG = {"aud": "https://other.acme.com"}
EMPTY: dict[str, Any] = {"aud": []}
FOREIGN = {"iss": "https://other.kinde.com"}
GOOD: dict[str, Any] = {}
EXPIRED = {"exp": 1_700_000_000, "iat": 1_600_000_000}


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.mark.parametrize(("claims", "reason"), [
    (WRONG, "wrong_audience"), (EMPTY, "empty_audience"), ({"aud": ABSENT}, "empty_audience"),
    (FOREIGN, "unknown_issuer"),
], ids=str)  # fmt: skip
def test_it_is_said_once(guard: Guard, caplog: pytest.LogCaptureFixture, claims: Any, reason: str) -> None:
    for count in range(1, 20):
        assert reason_of(guard, mint({**claims, "jti": str(count)})) == reason
        assert len(warnings(caplog)) == (1 if count >= ENOUGH else 0)
    assert warnings(caplog)[0].startswith(
        f"no token has been let in yet, and the last 3 were refused for one reason, {reason}."
    )
    assert "`kinde-guard explain`" in warnings(caplog)[0]
    record = next(record for record in caplog.records if record.levelno == logging.WARNING)
    assert (record.__dict__["event"], record.__dict__["reason"]) == ("refused_alike", reason)


@pytest.mark.parametrize("sent", [
    [WRONG, WRONG], [WRONG, EMPTY] * 10, [WRONG, FOREIGN] * 10, [WRONG, WRONG, EXPIRED] * 10,
    [GOOD, *[WRONG] * 10], [WRONG, WRONG, GOOD, *[WRONG] * 10], [EXPIRED] * 10, [{"sub": 1}] * 10,
], ids=str)  # fmt: skip
def test_it_is_not_said(guard: Guard, caplog: pytest.LogCaptureFixture, sent: list[Any]) -> None:
    """Of a token or two, of other reasons, of different ones, nor where a token was let in: then settings are right."""
    for claims in sent:
        reason_of(guard, mint(claims))
    assert warnings(caplog) == []


def test_what_is_no_token_says_nothing_of_settings(guard: Guard, caplog: pytest.LogCaptureFixture) -> None:
    """Nor does it hide what others say of them."""
    for count in range(ENOUGH):
        assert warnings(caplog) == []
        assert reason_of(guard, mint({**WRONG, "jti": str(count)})) == "wrong_audience"
        assert reason_of(guard, "garbage") == "malformed"
        assert reason_of(guard, mint(header={"alg": "none"})) == "unsupported_algorithm"
        for values in ([], ["Bearer a b"]):
            with pytest.raises((MissingToken, InvalidRequest)):
                guard.authenticate(values)
    assert len(warnings(caplog)) == 1


def test_a_forged_token_of_ours_ends_the_row(guard: Guard, caplog: pytest.LogCaptureFixture) -> None:
    """It names issuer and audience as the settings do: not every token fails for that."""
    for count in range(9):
        reason_of(guard, mint({**WRONG, "jti": str(count)}) if count % 3 else mint(key=rsa_key("a stranger's")))
    assert warnings(caplog) == []


def test_each_guard_says_it(caplog: pytest.LogCaptureFixture) -> None:
    """Each has settings of its own."""
    for _ in range(2):
        guard = guard_of(Issuer())
        for _ in range(9):
            reason_of(guard, mint(WRONG))
    assert len(warnings(caplog)) == 2


def test_threads_say_it_once(caplog: pytest.LogCaptureFixture) -> None:
    guard, start = guard_of(Issuer()), threading.Barrier(16)
    raw = mint(WRONG)

    def send() -> None:
        start.wait(30)
        for _ in range(50):
            reason_of(guard, raw)

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=send) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(before)
    assert len(warnings(caplog)) == 1


SERVICE = """
import json, sys
import logging
from kinde_guard import Guard, InvalidToken
guard = Guard({domain!r}, audience={audience!r})
if {level!r}:
    logging.basicConfig(level={level!r})
for raw in json.load(sys.stdin):
    try:
        guard.verify(raw)
    except InvalidToken as refusal:
        print(refusal.reason)
"""


@pytest.mark.parametrize(("level", "lines"), [(None, 1), ("WARNING", 1), ("ERROR", 0)])
def test_it_is_seen_without_any_logging_set_up(level: str | None, lines: int) -> None:
    """Python prints warnings where nobody has said what becomes of them; no line of a token's own is among them."""
    code = SERVICE.format(domain=DOMAIN, audience=AUDIENCE, level=level)
    tokens = json.dumps([mint({**WRONG, "jti": str(count)}) for count in range(9)])
    done = subprocess.run(
        [sys.executable, "-c", code], input=tokens, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.split() == ["wrong_audience"] * 9
    assert done.stderr.count("\n") == lines
    assert done.stderr.count("`kinde-guard explain`") == lines
    assert "other.acme.com" not in done.stderr


def test_the_decision() -> None:
    """By itself: which reasons, in which order."""
    row = Alike()
    for reason in ("wrong_audience", "malformed", "wrong_audience"):
        row = row.after(reason)
    assert (row.reason, row.times, row.enough) == ("wrong_audience", 2, False)
    assert row.after("wrong_audience").enough
    assert row.after("empty_audience") == Alike("empty_audience", 1)
    for reason in ("expired", "bad_signature", "unknown_key", "wrong_client", "keys_unavailable"):
        assert row.after(reason) == Alike()
    assert len(OF_SETTINGS) == 3


def test_a_token_that_is_let_in_later_ends_the_doubt(caplog: pytest.LogCaptureFixture) -> None:
    """Also one whose keys had to be waited for."""
    issuer, time = Issuer(jwk({"kid": "other"})), Time()
    guard = guard_of(issuer, time)
    for _ in range(2):
        reason_of(guard, mint(WRONG))
    assert reason_of(guard, mint()) == "unknown_key"
    issuer.body = key_set(jwk())
    time.passes(60)
    assert reason_of(guard, mint()) == "accepted"
    for _ in range(9):
        reason_of(guard, mint({**WRONG, "iss": ISSUER}))
    assert warnings(caplog) == []
