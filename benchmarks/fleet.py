"""Real servers on loopback, started together, each before an issuer of its own that can be told to be slow."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kinde_guard.cli.serving import App, Message, listen, serving, url_of
from kinde_guard.issuer import LocalIssuer
from kinde_guard.issuer.endpoints.paths import JWKS_PATHS

ROOT = Path(__file__).parents[1]
EVERY_FETCH = 10**9


@dataclass(frozen=True, slots=True)
class Kind:
    """A server: how it is started, how many processes of it answer, and whether its keys are loaded before it forks
    (see ``paced``)."""

    command: str
    workers: int = 1
    warm: str = ""

    def on(self, fd: int) -> list[str]:
        """The command that serves on this inherited socket."""
        place = ["--fd", str(fd)] if self.command.startswith("uvicorn") else ["--bind", f"fd://{fd}"]
        return [sys.executable, "-m", *self.command.split(), *place]


class Front:
    """Stands before an issuer: counts fetches, says how long keys are fresh, and keeps callers waiting."""

    def __init__(self, app: App) -> None:
        self.max_age = 3600
        self.fetches = 0
        self.to_hold = 0
        """How many of the fetches to come get no answer before :meth:`free`."""
        self.held = 0
        self._app = app
        self._freed = threading.Event()

    def free(self) -> None:
        """Answer all."""
        self.to_hold = self.held = 0
        self._freed.set()
        self._freed = threading.Event()

    async def __call__(self, scope: Message, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and scope["path"] == "/asked":
            return await self._once_asked(send)
        if scope["type"] == "http" and scope["path"] in JWKS_PATHS:
            self.fetches += 1
            await self._hold()
            send = self._with_max_age(send)
        await self._app(scope, receive, send)
        return None

    async def _hold(self) -> None:
        if self.to_hold:
            self.to_hold, self.held, freed = self.to_hold - 1, self.held + 1, self._freed
            while not freed.is_set():
                await asyncio.sleep(0.01)

    async def _once_asked(self, send: Any) -> None:
        """Answer as soon as there has been a fetch."""
        while not self.fetches:
            await asyncio.sleep(0.01)
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    def _with_max_age(self, send: Any) -> Any:
        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                fresh = (b"cache-control", f"max-age={self.max_age}".encode())
                message = {**message, "headers": [*message["headers"], fresh]}
            await send(message)

        return sending


@dataclass(frozen=True, slots=True)
class Standing:
    """A server that has been started, on a socket that queues connections before it is up."""

    name: str
    kind: Kind
    issuer: LocalIssuer
    front: Front
    url: str
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def port(self) -> int:
        """On 127.0.0.1."""
        return int(self.url.rpartition(":")[2])


@contextmanager
def fleet(kinds: Mapping[str, Kind], folder: Path, **environment: str) -> Iterator[dict[str, Standing]]:
    """A server of each of *kinds*, at once; their logs are in *folder*."""
    standing: dict[str, Standing] = {}
    with ExitStack() as stack:
        try:
            for name, kind in kinds.items():
                standing[name] = _started(name, kind, stack, folder / f"{name}.log", environment)
            yield standing
        finally:
            for server in standing.values():
                server.front.free()
                server.process.terminate()
            for server in standing.values():
                _ended(server.process)


def _started(name: str, kind: Kind, stack: ExitStack, log: Path, environment: Mapping[str, str]) -> Standing:
    sock, issuers = listen(0), listen(0)
    stack.callback(sock.close)
    issuer = LocalIssuer(url_of(issuers))
    front = Front(issuer.asgi)
    stack.enter_context(serving(front, issuers))
    env = {name: value for name, value in os.environ.items() if not name.startswith("KINDE_")}
    env |= {"KINDE_DOMAIN": issuer.url, "KINDE_AUDIENCE": issuer.audience, "WARM": kind.warm}
    env |= {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}", **environment}
    env.pop("PYTHONDONTWRITEBYTECODE", None)  # or each of many processes compiles it all
    front.to_hold = 1 if kind.warm == "meanwhile" else 0
    with log.open("wb") as file:
        process = subprocess.Popen(
            kind.on(sock.fileno()), env=env, pass_fds=[sock.fileno()], stdout=file, stderr=subprocess.STDOUT
        )
    return Standing(name, kind, issuer, front, url_of(sock), process, log)


def _ended(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
