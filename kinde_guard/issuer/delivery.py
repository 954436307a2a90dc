"""How an answer leaves an ASGI app: at once and whole, or as a broken server would do it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from .messages import Response

if TYPE_CHECKING:
    import asyncio

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
POLL = 0.05


async def deliver(response: Response, receive: Receive, send: Send, *, mended: Callable[[], bool]) -> None:
    """Send *response* in its own way. What is slow ends when the client goes away, the server stops, or, with all that
    was missing, when it is *mended*."""
    if response.delivery == "whole":
        await write(response, send)
    elif response.delivery == "cut":
        await send(_start(response))
        await send(_part(response.body[: len(response.body) // 2]))
        # Returning now leaves the server nothing but to hang up.
    elif response.delivery in ("hanging", "dripping"):
        await _slowly(response, receive, send, mended)
    else:
        await _hang_up(send)


async def write(response: Response, send: Send) -> None:
    """Send it at once and whole."""
    await send(_start(response))
    await send(_part(response.body, more=False))


async def _slowly(response: Response, receive: Receive, send: Send, mended: Callable[[], bool]) -> None:
    import asyncio  # only here: most who use an issuer have no event loop

    gone = asyncio.ensure_future(receive())  # after the request nothing comes but its client's end
    try:
        for seconds, message in _timetable(response):
            await _pause(seconds, gone, mended)
            if gone.done():
                return
            await send(message)
    except asyncio.CancelledError:  # the server stops, and would answer 500 if it saw this
        await _hang_up(send)
    finally:
        gone.cancel()


async def _pause(seconds: float, gone: asyncio.Future[Message], mended: Callable[[], bool]) -> None:
    """*seconds*, or less. It looks again and again, since whoever mends the issuer may do so in any thread."""
    import asyncio

    clock = asyncio.get_running_loop().time
    end = clock() + seconds
    while (left := end - clock()) > 0 and not gone.done() and not mended():
        await asyncio.wait([gone], timeout=min(POLL, left))


def _timetable(response: Response) -> Iterator[tuple[float, Message]]:
    """What is sent, and after how many seconds."""
    if response.delivery == "hanging":
        yield response.seconds, _start(response)
        yield 0.0, _part(response.body, more=False)
        return
    yield 0.0, _start(response)
    for position in range(len(response.body)):
        yield response.seconds, _part(response.body[position : position + 1])
    yield 0.0, _part(b"", more=False)


def _start(response: Response) -> Message:
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in response.headers.items()]
    return {"type": "http.response.start", "status": response.status, "headers": headers}


def _part(body: bytes, *, more: bool = True) -> Message:
    return {"type": "http.response.body", "body": body, "more_body": more}


async def _hang_up(send: Send) -> None:
    """ASGI has no word for it. A status that no server can write makes the response begun, and never complete."""
    with suppress(Exception):
        await send({"type": "http.response.start", "status": 0, "headers": []})
