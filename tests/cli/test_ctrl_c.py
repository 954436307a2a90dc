"""Ctrl-C ends ``kinde-guard dev`` with 0, and ``demo`` with 130, at any moment and without a word of Python's.

A moment is made certain by a ``sitecustomize`` that interrupts its own process: when a module is loaded, in a
destructor, at the end of the interpreter.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from waiting import LONG, until

CLI = [sys.executable, "-W", "error", "-m", "kinde_guard.cli"]
INTERRUPT = """
import atexit, os, signal, sys

def interrupt():
    os.kill(os.getpid(), signal.SIGINT)

class Destroyed:
    def __del__(self):
        interrupt()

class Moment:
    def find_spec(self, name, path=None, target=None):
        if name == os.environ.get("WHEN_LOADED"):
            interrupt()
        if name == os.environ.get("DESTROYED_WHEN_LOADED"):
            Destroyed()

sys.meta_path.insert(0, Moment())
if "AT_THE_END" in os.environ:
    atexit.register(interrupt)
"""
LOADED = ["kinde_guard.cli.running", "typer", "rich", "kinde_guard.issuer.local", "cryptography", "uvicorn", "asyncio"]


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("site")
    (folder / "sitecustomize.py").write_text(INTERRUPT)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("KINDE_", "COV"))}
    return {**kept, "PYTHONPATH": os.pathsep.join([str(folder), str(Path(__file__).parents[2])])}


def outcome(environment: dict[str, str], *arguments: str, **moment: str) -> tuple[int, str]:
    """Exit status and stderr."""
    done = subprocess.run(
        [*CLI, *arguments], env=environment | moment, capture_output=True, text=True, timeout=LONG, check=False
    )
    return done.returncode, done.stderr


@pytest.mark.parametrize(
    ("command", "module"),
    [
        *(("dev", module) for module in [*LOADED, "jinja2", "uvicorn.protocols.http.auto"]),
        *(("demo", module) for module in [*LOADED, "kinde_guard.cli.demo.scenes", "kinde_guard.m2m"]),
    ],
)
@pytest.mark.parametrize("where", ["WHEN_LOADED", "DESTROYED_WHEN_LOADED"])
def test_while_it_starts(environment: dict[str, str], command: str, module: str, where: str) -> None:
    """Also where a KeyboardInterrupt could not be caught."""
    options = ["--port", "0"] if command == "dev" else []
    expected = (0, "\nStopped.\n") if command == "dev" else (130, "")
    assert outcome(environment, command, *options, **{where: module}) == expected


@pytest.fixture
def dev(environment: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    command = [*CLI, "dev", "--port", "0"]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        yield process
        process.kill()


def url_of(process: subprocess.Popen[str]) -> str:
    """When it can be connected to."""
    assert process.stdout is not None
    first = process.stdout.readline()
    while not process.stdout.readline().startswith("curl "):
        assert process.poll() is None
    return next(word for word in first.split() if word.startswith("http://"))


@pytest.mark.parametrize("times", [1, 2, 3])
def test_while_it_serves(dev: subprocess.Popen[str], times: int) -> None:
    """Once, or impatiently."""
    url_of(dev)
    for _ in range(times):
        dev.send_signal(signal.SIGINT)
    assert (dev.communicate(timeout=LONG)[1], dev.returncode) == ("\nStopped.\n", 0)


@pytest.mark.parametrize("times", [1, 2])
def test_while_it_waits_for_a_request_to_end(dev: subprocess.Popen[str], times: int) -> None:
    """One whose body does not come."""
    parts = urlsplit(url_of(dev))
    address = parts.hostname or "", parts.port or 0
    with socket.create_connection(address) as client:
        client.sendall(b"POST /oauth2/token HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n")
        dev.send_signal(signal.SIGINT)
        until(lambda: refused(address))
        for _ in range(times - 1):
            dev.send_signal(signal.SIGINT)
        err = dev.communicate(timeout=LONG)[1]
    assert dev.returncode == 0
    assert err.endswith("\nStopped.\n")
    assert "Traceback" not in err
    assert "KeyboardInterrupt" not in err


def refused(address: tuple[str, int]) -> bool:
    try:
        socket.create_connection(address).close()
    except ConnectionError:
        return True
    return False


@pytest.mark.parametrize("arguments", [["--version"], ["dev", "-h"], ["demo", "--no-such-option"]])
def test_when_all_is_done(environment: dict[str, str], arguments: list[str]) -> None:
    """The end of the interpreter is not interrupted."""
    usual = outcome(environment, *arguments)
    assert outcome(environment, *arguments, AT_THE_END="1") == usual


def test_other_commands_put_away_what_they_have(environment: dict[str, str], tmp_path: Path) -> None:
    """They are interrupted as ever, once they have begun; while they are loaded they end at once."""
    assert outcome(environment, "routes", "no_such_module:app", WHEN_LOADED="typer") == (130, "")
    code, err = outcome(environment, "routes", "no_such_module:app", WHEN_LOADED="no_such_module")
    assert code != 0
    assert "Traceback" not in err


def test_where_ctrl_c_is_ignored_it_is(environment: dict[str, str]) -> None:
    """As in the background jobs of a shell script."""
    done = subprocess.run(
        [*CLI, "--version"],
        env=environment | {"WHEN_LOADED": "typer"},
        capture_output=True,
        timeout=LONG,
        check=False,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
    )
    assert (done.returncode, done.stderr) == (0, b"")
