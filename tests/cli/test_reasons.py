"""What a reason of a log line means, said at the terminal: for all of them, out of the page, in a wheel as well."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from kinde_guard.cli import main, reasons
from kinde_guard.web import wording

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("reason", wording.TEXTS)
def test_every_reason_is_told_from_its_section(reason: str) -> None:
    found = reasons.meaning_of(reason)
    assert (found.reason, found.detail) == (reason, wording.TEXTS[reason])
    assert found.status in (400, 401, 403, 503)
    assert found.fix
    assert [text for text in found[2:] if "](" in text or "**" in text or "\n" in text] == []


@pytest.fixture
def run(no_settings: None, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """What ``kinde-guard explain`` writes, without any setting."""

    def run(*arguments: str) -> str:
        with pytest.raises(SystemExit, match=r"^0$"):
            main(["explain", *arguments])
        return capsys.readouterr().out

    return run


def test_it_needs_no_settings(run: Callable[..., str]) -> None:
    said = run("--reason", "empty_audience")
    assert "empty_audience (401)" in said
    assert "The access token has no audience." in said
    assert "audience=" in said


def test_nothing_is_said_twice(run: Callable[..., str]) -> None:
    assert run("--reason", "expired").count("has expired.") == 1


def test_a_list_of_all(run: Callable[..., str]) -> None:
    assert [line.split()[0] for line in run("--reason", "?").splitlines()] == list(wording.TEXTS)
    assert json.loads(run("--reason", "?", "--json")) == wording.TEXTS


@pytest.mark.parametrize(("word", "mend"), [("expird", "did you mean expired?"), ("xyz", "--reason '?' lists them")])
def test_a_word_that_is_none(word: str, mend: str) -> None:
    command = [sys.executable, "-m", "kinde_guard", "explain", "--reason", word]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert mend in done.stderr


def test_a_wheel_has_the_page() -> None:
    """Where there is no folder of docs beside the package."""
    wheel = tomllib.loads(ROOT.joinpath("pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    [(page, place)] = wheel["force-include"].items()
    assert ROOT.joinpath(page).read_text() == reasons.page()
    assert ROOT / place == reasons.PACKAGED
