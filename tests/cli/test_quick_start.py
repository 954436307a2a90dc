"""The quick start, as a reader follows it: its main.py behind a server, its commands in a shell, what they answer."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from servers import clean_environment, served_issuer
from waiting import LONG

from kinde_guard.cli.serving import listen, serving, url_of
from kinde_guard.console.variables import variables

PAGE = Path(__file__).parents[2].joinpath("docs", "quick-start.md").read_text(encoding="utf-8")
[MAIN] = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
COMMANDS = "".join(re.findall(r"^```bash\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)).splitlines()


@pytest.fixture
def shell() -> Iterator[dict[str, str]]:
    """The third terminal: its variables, with a local Kinde and the page's app behind it."""
    with served_issuer() as issuer, listen(0) as sock, pytest.MonkeyPatch.context() as patch:
        settings = variables(issuer)
        for name, value in settings.items():
            patch.setenv(name, value)
        namespace: dict[str, Any] = {"__name__": "main"}
        exec(compile(MAIN, "main.py", "exec"), namespace)  # that is the test
        with serving(namespace["app"], sock):
            path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
            yield clean_environment() | settings | {"PATH": path, "APP": url_of(sock)}


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_each_command_answers_what_the_page_says(shell: dict[str, str], tmp_path: Path) -> None:
    assert sum(line.startswith("curl") for line in COMMANDS) == 5
    for line in COMMANDS:
        command, _, answer = line.replace("http://127.0.0.1:8000", shell["APP"]).partition("  # ")
        done = subprocess.run(
            ["bash", "-c", command], cwd=tmp_path, env=shell, capture_output=True, text=True, timeout=LONG
        )
        status, words = re.fullmatch(r"\s*(\d{3}|) ?(.*)", answer).groups()  # type: ignore[union-attr]
        assert done.stdout.startswith(f"HTTP/1.1 {status}" if status else ""), line
        assert words in done.stdout, (line, done.stdout, done.stderr)
