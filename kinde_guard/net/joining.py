"""Waiting for a call that is under way, in a thread or in a task. Who stops waiting takes nothing from the others."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from concurrent import futures
from contextlib import suppress

from .clocks import ageing
from .watchdog import FREEZE
from .workers import MOST


def in_turn(loading: Sequence[futures.Future[None]], each: float) -> Iterator[tuple[futures.Future[None], float]]:
    """What is to be waited for, and how long: for all together, *each* as often as they have to take turns."""
    end = ageing() + each * -(-len(loading) // MOST)
    for future in loading:
        yield future, max(0.0, end - ageing())


def join(future: futures.Future[None], timeout: float) -> None:
    """Wait for *future* in this thread, at most *timeout* seconds (in which the process is not frozen)."""
    began = ageing()
    futures.wait([future], timeout)
    if _slept(future, began, timeout):
        futures.wait([future], timeout)


async def ajoin(future: futures.Future[None], timeout: float) -> None:
    """Wait for *future* in this task, of asyncio or of trio, at most *timeout* seconds.

    The future is watched, not chained (as ``asyncio.wrap_future`` would): a cancellation, a time-out and a loop that
    is closed while the call is still under way concern this waiter alone.
    """
    wait = _ajoin_asyncio if in_asyncio_task() else _ajoin_trio
    began = ageing()
    await wait(future, timeout)
    if _slept(future, began, timeout):
        await wait(future, timeout)


def in_asyncio_task() -> bool:
    """Whether this is a task of asyncio's; where not, and there is a loop, it is trio's."""
    asyncio = sys.modules.get("asyncio")  # if nobody has loaded it, it is not running: trio's loop is not held up
    try:
        return asyncio is not None and asyncio.current_task() is not None
    except RuntimeError:
        return False


def _slept(future: futures.Future[None], began: float, timeout: float) -> bool:
    """Whether the process was frozen for the time in which *future* might have resolved."""
    return not future.done() and ageing() - began > timeout + FREEZE


async def _ajoin_asyncio(future: futures.Future[None], timeout: float) -> None:
    import asyncio

    loop = asyncio.get_running_loop()
    landed = loop.create_future()

    def wake(_: futures.Future[None]) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody is waiting any more
            loop.call_soon_threadsafe(landed.set_result, None)

    future.add_done_callback(wake)
    await asyncio.wait([landed], timeout=timeout)


async def _ajoin_trio(future: futures.Future[None], timeout: float) -> None:
    # Not in a worker thread: waiting callers would hold the few there are, which other requests need.
    import trio

    token = trio.lowlevel.current_trio_token()
    landed = trio.Event()

    def wake(_: futures.Future[None]) -> None:
        with suppress(trio.RunFinishedError):
            token.run_sync_soon(landed.set)

    future.add_done_callback(wake)
    with trio.move_on_after(timeout):
        await landed.wait()
