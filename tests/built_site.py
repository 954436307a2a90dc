"""The site for tests, built strictly, and once for all processes of a run. A module that uses it has

pytest_plugins = ["built_site"]
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dead link, a heading that is not there, a name in a docstring that nobody has: each is an error."""
    pytest.importorskip("sphinx", reason="the site is built by Sphinx: dependency group docs")
    built = _folder_of_the_run(tmp_path_factory) / "site"
    said = built.with_name("site.said")
    with built.with_name("site.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # until it is closed: the first process builds
        if not said.exists():
            said.write_text(_build(built), encoding="utf-8")
    assert said.read_text(encoding="utf-8") == ""
    return built


def _build(folder: Path) -> str:
    """What Sphinx has to complain of."""
    command = [sys.executable, "-m", "sphinx", "-q", "-E", "-W", "-n", "-b", "html", str(ROOT / "docs"), str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    return done.stderr if done.returncode else ""


def _folder_of_the_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """That of this process, or, where pytest-xdist runs several, the one around theirs."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
