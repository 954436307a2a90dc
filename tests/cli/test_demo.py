"""``kinde-guard demo`` as people run it, and what it says when an answer is wrong."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from waiting import LONG

from kinde_guard import Guard
from kinde_guard.cli import main

DEMO = [sys.executable, "-W", "error", "-m", "kinde_guard.cli", "demo"]
ENVIRONMENT = {
    **{name: value for name, value in os.environ.items() if name not in ("COLUMNS", "FORCE_COLOR")},
    "PYTHONUTF8": "1",
}
SCENES = [
    *(f"{step}  " for step in range(1, 7)),
    "Refused: no token",
    "Refused: expired",
    "Refused: a token for another API",
    "Refused: a token without the scope",
    "Kinde rotates its keys",
    "Refused: forged, signed with another key",
    "Refused: forged, a scope written into",
    "Two workers, one and two",
    "Ada Lovelace is suspended in Kinde",
    "Kinde is down",
    "An API that starts now",
    "Kinde is back",
    "   asked ",
    "All 25 answers were the right ones",
]


@pytest.fixture(scope="module")
def played() -> subprocess.CompletedProcess[str]:
    """One run of the demo, piped."""
    return subprocess.run(DEMO, capture_output=True, env=ENVIRONMENT, encoding="utf-8", timeout=LONG, check=False)


def test_every_answer_is_the_right_one(played: subprocess.CompletedProcess[str]) -> None:
    """Exit status 0, nothing on stderr, and a table in which every row is marked as right."""
    rows = [line for line in played.stdout.splitlines() if line.startswith(("✓", "✗"))]
    assert (played.returncode, played.stderr, len(rows)) == (0, "", 25)
    assert all(row.startswith("✓") for row in rows)


def test_the_scenes_come_in_order(played: subprocess.CompletedProcess[str]) -> None:
    """The six steps of the quick start, the refusals, the rotation, the outage, the table."""
    places = [re.search(f"^{scene}", played.stdout, re.M) for scene in SCENES]
    assert [scene for scene, place in zip(SCENES, places, strict=True) if place is None] == []
    starts = [place.start() for place in places if place is not None]
    assert starts == sorted(starts)


@pytest.mark.parametrize(
    "text",
    [
        "client → Kinde POST /oauth2/token",
        "grant_type=client_credentials",
        "API → Kinde    GET /.well-known/jwks",
        'WWW-Authenticate: Bearer realm="api", error="invalid_token"',
        'scope="write:flags"',
        "INFO refused (wrong_audience) token ",
        "Kinde → client no answer",
        "Kinde → one    POST /webhooks/kinde",
        "user.updated sent: is_suspended",
        "INFO refused (revoked) token ",
        "Retry-After: ",
    ],
)
def test_requests_answers_and_log_are_shown(played: subprocess.CompletedProcess[str], text: str) -> None:
    """What goes over the wire is shown, with the challenge, and what the log says."""
    assert text in played.stdout


def test_the_output_can_be_piped(played: subprocess.CompletedProcess[str]) -> None:
    """No colours, and no line is longer than a narrow terminal's."""
    assert "\x1b" not in played.stdout
    assert max(map(len, played.stdout.splitlines())) <= 80


def test_no_token_and_no_secret_is_shown(played: subprocess.CompletedProcess[str]) -> None:
    """Tokens are shown by their first letters and their fingerprint, which the log uses too."""
    assert re.search(r"eyJ[\w-]+\.", played.stdout) is None
    assert set(re.findall(r"client_secret(?:=| +)(\S+)", played.stdout)) == {"•" * 8}
    shown = re.findall(r"Bearer eyJhbGci… \((\w{12})\)", played.stdout)
    logged = re.findall(r"refused \(\w+\) token (\w{12})", played.stdout)
    assert len(logged) == 7
    assert set(logged) <= set(shown)


async def anything_goes(request: Request) -> JSONResponse:
    """A careless handler."""
    return JSONResponse({"users": []})


def careless(guard: Guard) -> Starlette:
    """An API that asks nobody for a token."""
    return Starlette(
        routes=[
            Route("/users", anything_goes),
            Route("/flags", anything_goes, methods=["POST"]),
            Route("/me", anything_goes),
            Route("/webhooks/kinde", anything_goes, methods=["POST"]),
            Route("/healthz", anything_goes),
        ]
    )


def test_a_wrong_answer_is_seen(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """In front of an API that lets everybody in, the demo fails, and says where."""
    monkeypatch.setattr("kinde_guard.cli.demo.run.protected_api", careless)
    with pytest.raises(SystemExit) as end:
        main(["demo"])
    out = capsys.readouterr().out
    wrong = {tuple(re.split(r"\s{2,}", line.rstrip())[1:]) for line in out.splitlines() if line.startswith("✗ wrong")}
    assert end.value.code == 1
    assert ("No token", "401", "200") in wrong
    assert ("Forged scope", "401 bad_signature", "200") in wrong
    assert ("User suspended, worker two", "401 revoked", "200") in wrong
    assert "answers were wrong." in out.splitlines()[-1]


def test_ctrl_c_ends_it_cleanly() -> None:
    """In the middle of the play: no traceback, and the exit status of an interrupt."""
    with subprocess.Popen(
        DEMO, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8", env=ENVIRONMENT
    ) as demo:
        assert demo.stdout is not None
        while not demo.stdout.readline().startswith("Refused"):
            assert demo.poll() is None
        demo.send_signal(signal.SIGINT)
        _, err = demo.communicate(timeout=LONG)
    assert (demo.returncode, err) == (130, "")
