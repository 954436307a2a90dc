"""Servers of this project's apps on loopback, as processes of their own, and the CPU time that they have taken."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from .apps import PATH
from .apps.entry import VARIABLE

TICKS = os.sysconf("SC_CLK_TCK")
START = 30  # seconds


@dataclass(frozen=True)
class Server:
    """A running server."""

    process: subprocess.Popen[bytes]
    name: str
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}{PATH}"

    def cpu_seconds(self) -> float:
        """User and system time of the process and of its children."""
        return sum(map(_ticks, _family(self.process.pid))) / TICKS

    def pin(self, processor: int) -> None:
        """Run on this processor alone."""
        for pid in _family(self.process.pid):
            os.sched_setaffinity(pid, {processor})


def uvicorn(port: int) -> list[str]:
    loop = "uvloop" if find_spec("uvloop") else "asyncio"
    http = "httptools" if find_spec("httptools") else "h11"
    options = ["--loop", loop, "--http", http, "--no-access-log", "--log-level", "warning", "--lifespan", "on"]
    where = ["--host", "127.0.0.1", "--port", str(port)]
    return ["uvicorn", "benchmarks.apps.entry:app", "--factory", *where, *options]


def gunicorn(port: int) -> list[str]:
    options = ["--worker-class", "gthread", "--workers", "1", "--threads", "8", "--log-level", "warning"]
    return ["gunicorn", "benchmarks.apps.entry:app()", "--bind", f"127.0.0.1:{port}", *options]


@contextmanager
def running(command: Sequence[str], wanted: Mapping[str, str], port: int, tokens: Sequence[bytes]) -> Iterator[Server]:
    """The server, once it has answered a request with each of *tokens*; it is ended afterwards."""
    process = subprocess.Popen(
        [sys.executable, "-m", *command],
        cwd=Path(__file__).parent.parent,
        env={**os.environ, VARIABLE: json.dumps(wanted), "PYTHONWARNINGS": "ignore"},
        stdout=subprocess.DEVNULL,
    )
    server = Server(process, command[0], port)
    try:
        until_it_answers(server, tokens)
        yield server
    finally:
        end(process)


def end(process: subprocess.Popen[bytes]) -> None:
    """Ask it to, and see to it that it is."""
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def until_it_answers(server: Server, tokens: Sequence[bytes]) -> None:
    """Until it has answered a request with each of *tokens*: what a server does once is no cost of a request."""
    end = time.monotonic() + START
    while not _answers(server.port, tokens[0]):
        if server.process.poll() is not None or time.monotonic() > end:
            raise RuntimeError(f"{server.name} did not start")
        time.sleep(0.05)
    if not all(_answers(server.port, token) for token in tokens):
        raise RuntimeError(f"{server.name} refuses good tokens")


def _answers(port: int, token: bytes) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", PATH, headers={"Authorization": b"Bearer " + token})
        return connection.getresponse().status == 200
    except ConnectionError:
        return False
    finally:
        connection.close()


def _family(pid: int) -> list[int]:
    """A process and the processes under it."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(inner for child in children for inner in _family(int(child)))]


def _ticks(pid: int) -> int:
    """utime + stime: proc_pid_stat(5), fields 14 and 15; the name before them may hold spaces."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])
