"""Callers over HTTP on loopback: bare, so that a request costs its caller little, and paced, so that many of them can
call at once without outrunning a server."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

HOST = "127.0.0.1"
PATIENCE = 180.0
"""Seconds that a caller waits for an answer."""


@dataclass(frozen=True, slots=True)
class Ticket:
    """A token, and how it is told from others: by its ``jti``."""

    token: str = field(repr=False)
    token_id: str


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    seconds: float

    def json(self) -> Any:
        """What the body says."""
        return json.loads(self.body)


@dataclass(slots=True)
class Tally:
    """What callers saw."""

    seen: Counter[str] = field(default_factory=Counter)
    """How often each status, or what there was instead of an answer."""
    workers: Counter[int] = field(default_factory=Counter)
    """How often each process let a caller in."""
    seconds: list[float] = field(default_factory=list)
    under_way: set[Ticket] = field(default_factory=set)
    """What has been sent and not been answered yet."""

    @property
    def slowest(self) -> float:
        """In seconds."""
        return max(self.seconds, default=0.0)

    def note(self, ticket: Ticket, answer: Answer) -> None:
        """Count *answer*; one that lets a caller in has to say whom, and from which process."""
        self.seconds.append(answer.seconds)
        said = str(answer.status)
        if answer.status == 200:
            body = answer.json()
            self.workers[body["pid"]] += 1
            said = said if body["token_id"] == ticket.token_id else "200 for another caller"
        self.seen[said] += 1


class Caller:
    """A connection, kept alive while the server keeps it, with one request at a time."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._stream: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def get(self, path: str, token: str | None = None) -> Answer:
        """The answer, whatever its status; ``OSError``, ``EOFError`` or ``TimeoutError`` if there is none."""
        credentials = "" if token is None else f"Authorization: Bearer {token}\r\n"
        request = f"GET {path} HTTP/1.1\r\nHost: {HOST}\r\n{credentials}\r\n".encode("latin-1")
        start = time.perf_counter()
        async with asyncio.timeout(PATIENCE):
            if self._stream is not None:
                try:
                    return await self._exchange(request, start)
                except (ConnectionError, EOFError):  # the server was tired of waiting: RFC 9112 §9.3.1 says try again
                    await self.close()
            self._stream = await asyncio.open_connection(HOST, self._port)
            return await self._exchange(request, start)

    async def close(self) -> None:
        """End the connection, if there is one."""
        stream, self._stream = self._stream, None
        if stream is not None:
            stream[1].close()
            with suppress(ConnectionError):
                await stream[1].wait_closed()

    async def _exchange(self, request: bytes, start: float) -> Answer:
        assert self._stream is not None
        reader, writer = self._stream
        writer.write(request)
        first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        body = await reader.readexactly(int(headers["content-length"]))
        answer = Answer(int(first.split(" ")[1]), headers, body, time.perf_counter() - start)
        if headers.get("connection", "").lower() == "close":
            await self.close()
        return answer


async def calls(
    port: int,
    tickets: Callable[[], Ticket],
    tally: Tally,
    while_: Callable[[], bool],
    *,
    callers: int,
    every: float,
    paths: Sequence[str] = ("/users", "/me"),
) -> None:
    """*callers* at once ask one of *paths* each, *every* so many seconds, *while_* that holds."""

    async def one(number: int) -> None:
        caller, due = Caller(port), time.monotonic() + every * number / callers
        while while_():
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            due = max(due + every, time.monotonic())
            await _call(caller, paths[(number := number + 1) % len(paths)], tickets(), tally)
        await caller.close()

    await asyncio.gather(*(one(number) for number in range(callers)))


async def burst(port: int, tickets: Sequence[Ticket], tally: Tally, path: str = "/users") -> None:
    """As many callers as *tickets*, all at once, each on a new connection."""

    async def one(ticket: Ticket) -> None:
        caller = Caller(port)
        await _call(caller, path, ticket, tally)
        await caller.close()

    await asyncio.gather(*(one(ticket) for ticket in tickets))


async def met(condition: Callable[[], Awaitable[bool]], seconds: float) -> bool:
    """Whether *condition* comes to hold within so many seconds; it is asked again and again."""
    end = time.monotonic() + seconds
    while not await condition():
        if time.monotonic() > end:
            return False
        await asyncio.sleep(0.05)
    return True


async def _call(caller: Caller, path: str, ticket: Ticket, tally: Tally) -> None:
    tally.under_way.add(ticket)
    try:
        tally.note(ticket, await caller.get(path, ticket.token))
    except (OSError, EOFError) as error:  # TimeoutError is an OSError
        tally.seen[type(error).__name__] += 1
        await caller.close()
    finally:
        tally.under_way.discard(ticket)
