"""Real servers on loopback, started together, each before an issuer of its own that can be told to be slow."""

from __future__ import annotations

import asyncio
import itertools
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kinde_guard.cli.serving import App, Message, listen, serving, url_of
from kinde_guard.issuer import LocalIssuer, SigningKey
from kinde_guard.issuer.endpoints import JWKS_PATHS
from kinde_guard.issuer.keys import new_kid
from kinde_guard.issuer.tokens import b64url

from .load import Ticket

ROOT = Path(__file__).parents[1]
EVERY_FETCH = 10**9


@dataclass(frozen=True, slots=True)
class Kind:
    """A server: how it is started, how many processes of it answer, and whether its keys are loaded before it forks
    (see ``served``)."""

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
                standing[name] = _started(kind, stack, folder / f"{name.replace(' ', '_')}.log", environment)
            yield standing
        finally:
            for server in standing.values():
                server.front.free()
                server.process.terminate()
            for server in standing.values():
                _ended(server.process)


def _started(kind: Kind, stack: ExitStack, log: Path, environment: Mapping[str, str]) -> Standing:
    sock, issuers = listen(0), listen(0)
    stack.callback(sock.close)
    issuer = LocalIssuer(url_of(issuers))
    front = Front(issuer.asgi)
    stack.enter_context(serving(front, issuers))
    env = {name: value for name, value in os.environ.items() if not name.startswith("KINDE_")}
    env |= {"KINDE_DOMAIN": issuer.url, "KINDE_AUDIENCE": issuer.audience, "WARM": kind.warm}
    env |= {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}", **environment}
    front.to_hold = 1 if kind.warm == "meanwhile" else 0
    with log.open("wb") as file:
        process = subprocess.Popen(
            kind.on(sock.fileno()), env=env, pass_fds=[sock.fileno()], stdout=file, stderr=subprocess.STDOUT
        )
    return Standing(kind, issuer, front, url_of(sock), process, log)


def _ended(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@dataclass
class Wallet:
    """Good tokens of every key in use: by turns one of a few that are used again and again, and a new one."""

    issuer: LocalIssuer
    _kept: dict[SigningKey, list[Ticket]] = field(default_factory=dict)
    _turn: Iterator[int] = field(default_factory=itertools.count)

    def __post_init__(self) -> None:
        self.add(self.issuer.key)

    def __call__(self) -> Ticket:
        turn = next(self._turn)
        keys = tuple(self._kept)
        key = keys[turn % len(keys)]
        if turn // len(keys) % 2:
            return self.new(key)
        return self._kept[key][turn % len(self._kept[key])]

    def add(self, key: SigningKey) -> None:
        """Have tokens of this key, too."""
        self._kept = {**self._kept, key: [self.new(key) for _ in range(20)]}

    def drop(self, key: SigningKey) -> None:
        """Have none of this key any more."""
        self._kept = {kept: tickets for kept, tickets in self._kept.items() if kept is not key}

    def new(self, key: SigningKey | None = None) -> Ticket:
        """A token that nobody has seen before."""
        token_id = f"t{next(_numbers)}"
        claims = self.issuer.m2m_claims(scope="read:users", jti=token_id)
        return Ticket(self.issuer.token(claims, key=key), token_id)

    def stranger(self) -> Ticket:
        """A token whose kid is unknown, and was never seen before."""
        kid = new_kid()
        _, rest = self._kept[next(iter(self._kept))][0].token.split(".", 1)
        header = f'{{"alg":"RS256","kid":"{kid}","typ":"JWT"}}'
        return Ticket(f"{b64url(header.encode()).decode()}.{rest}", kid)


_numbers = itertools.count()
