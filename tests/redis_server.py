"""A real Redis on loopback, which a test may kill, hang, empty and start again.

def test_…(redis_server):                     # one of its own for each test, empty
    revocations = Revocations(redis_server.url)
    redis_server.kill()                       # kill -9
    redis_server.start()                      # again, at the same port
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from waiting import LONG, until

if TYPE_CHECKING:
    import redis

VALKEY = shutil.which("valkey-server")
PROGRAM = shutil.which("redis-server") or VALKEY
# A replica need not wait five seconds for others.
_ALONE = ("--bind", "127.0.0.1", "--save", "", "--repl-diskless-sync-delay", "0")
NO_SERVER = "there is no redis-server: apt-get install redis-server"


class RedisServer:
    """A ``redis-server`` (or ``valkey-server``) on 127.0.0.1, in *folder*. *keeps*: whether it writes each command to
    disk, and so has its data after a kill. *options*: more of its command line. *sentinel*: lines of the
    configuration of a Sentinel, which it is then."""

    def __init__(
        self,
        folder: Path,
        *options: str,
        keeps: bool = False,
        program: str | None = PROGRAM,
        sentinel: Sequence[str] = (),
    ) -> None:
        if program is None:
            pytest.skip(NO_SERVER)
        self._program, self._folder, self._options = program, folder, options
        self._keeps, self._sentinel = keeps, sentinel
        self._process: subprocess.Popen[bytes] | None = None
        self.port = free_port()

    @property
    def url(self) -> str:
        """For clients."""
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def pid(self) -> int:
        """Of the process that runs."""
        assert self._process is not None, "it does not run"
        return self._process.pid

    def start(self, *, empty: bool = False) -> None:
        """Start it, at the same port as before; *empty*: without what it has kept."""
        if empty:
            shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir(parents=True, exist_ok=True)
        end = time.monotonic() + LONG
        while not self._comes_up():
            assert time.monotonic() < end, (self._folder / "log").read_text()

    def kill(self) -> None:
        """``kill -9``: it writes nothing more, and says nothing to who is connected."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """As an administrator does."""
        self._end(signal.SIGTERM)

    def hang(self) -> None:
        """Answers nothing from now on, and keeps every connection."""
        os.kill(self.pid, signal.SIGSTOP)
        os.waitpid(self.pid, os.WUNTRACED)  # until it stands still, which may take a moment

    def resume(self) -> None:
        """After :meth:`hang`."""
        os.kill(self.pid, signal.SIGCONT)

    def client(self, **options: Any) -> redis.Redis:
        """A client of redis-py, with texts for answers."""
        import redis  # only here: of the tests that pytest collects, few have a use for it

        return redis.Redis(port=self.port, decode_responses=True, **options)

    @contextmanager
    def replica(self) -> Iterator[RedisServer]:
        """A second server, which follows this one; it is in step before it is handed out."""
        options = (*self._options, "--replicaof", "127.0.0.1", str(self.port))
        folder = self._folder.with_name(f"{self._folder.name}-replica")
        with running_redis(folder, *options, program=self._program) as server:
            with server.client() as client:
                until(lambda: _replication(client)["master_link_status"] == "up")
            with self.client() as client:
                until(lambda: client.role()[2])  # the primary knows of it, too
            yield server

    def _comes_up(self) -> bool:
        disk = ("--appendonly", "yes", "--appendfsync", "always") if self._keeps else ("--appendonly", "no")
        folder = ("--dir", str(self._folder), "--logfile", str(self._folder / "log"))
        settings = (*_ALONE, *disk, *folder, *self._options)
        if self._sentinel:
            config = self._folder / "sentinel.conf"  # which it changes itself
            config.write_text("\n".join(self._sentinel))
            settings = (str(config), "--sentinel")
        self._process = subprocess.Popen(
            [self._program, *settings, "--port", str(self.port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        while self._process.poll() is None:  # it ends by itself where the port is not free yet
            if _pings(self.port):
                return True
            time.sleep(0.005)
        return False

    def _end(self, how: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(how)
            with suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGCONT)  # or one that hangs would never hear of SIGTERM
            self._process.wait(LONG)
            self._process = None


@contextmanager
def running_redis(
    folder: Path,
    *options: str,
    keeps: bool = False,
    program: str | None = PROGRAM,
    sentinel: Sequence[str] = (),
) -> Iterator[RedisServer]:
    """A server that runs for as long as the block; see :class:`RedisServer`."""
    server = RedisServer(folder, *options, keeps=keeps, program=program, sentinel=sentinel)
    try:
        server.start()
        yield server
    finally:
        server.kill()


@contextmanager
def running_cluster(folder: Path, size: int = 3) -> Iterator[list[RedisServer]]:
    """A cluster of so many servers, each of which has a part of the slots."""
    with ExitStack() as stack:
        servers, buses = [], []
        for number in range(size):
            buses.append(str(free_port()))
            options = ("--cluster-enabled", "yes", "--cluster-port", buses[-1], "--cluster-node-timeout", "5000")
            servers.append(stack.enter_context(running_redis(folder / str(number), *options)))
        clients = [stack.enter_context(server.client()) for server in servers]
        for number, client in enumerate(clients):
            client.execute_command("CLUSTER MEET", "127.0.0.1", servers[0].port, buses[0])
            first, last = number * _SLOTS // size, (number + 1) * _SLOTS // size - 1
            client.execute_command("CLUSTER ADDSLOTSRANGE", first, last)
        until(lambda: all(client.execute_command("CLUSTER INFO")["cluster_state"] == "ok" for client in clients))
        yield servers


_SLOTS = 16_384


def _replication(client: redis.Redis) -> dict[str, Any]:
    found: dict[str, Any] = client.info("replication")
    return found


def _pings(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), LONG) as sock:
        sock.sendall(b"PING\r\n")
        return sock.recv(7) == b"+PONG\r\n"
    return False


def free_port() -> int:
    """On 127.0.0.1, for a moment at least."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port
