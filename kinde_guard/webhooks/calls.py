"""How ``on_event`` is called: a plain function or a coroutine function, out of a thread or out of an event loop."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine
from typing import Any

from ..errors import ConfigurationError
from ..net import joining
from .events import WebhookEvent

OnEvent = Callable[[WebhookEvent], object]
"""A function, or ``async def``, that is called with each event. What it returns counts for nothing."""


def check(on_event: OnEvent) -> None:
    """Raises :class:`ConfigurationError` for what could not be called with an event, or would then do nothing."""
    if not callable(on_event):
        raise ConfigurationError(f"on_event is a function, def on_event(event), not {on_event!r}")
    if any(is_kind(on_event) for is_kind in (inspect.isgeneratorfunction, inspect.isasyncgenfunction)):
        raise ConfigurationError("on_event has a yield in it, and would do nothing when it is called: take it out")
    try:
        inspect.signature(on_event).bind("an event")
    except TypeError:
        raise ConfigurationError(
            "on_event is called with the event and nothing else: def on_event(event), or async def"
        ) from None
    except ValueError:
        return  # it is made in C, and does not say


def call(on_event: OnEvent, event: WebhookEvent) -> None:
    """Call it, in a thread that has no event loop; a coroutine gets one of asyncio's for itself."""
    result = on_event(event)
    if inspect.isawaitable(result):
        import asyncio  # only here: most have no event loop

        asyncio.run(_awaited(result))


async def acall(on_event: OnEvent, event: WebhookEvent) -> None:
    """Call it: a coroutine function in this loop, any other in a thread, so that the loop is not held up."""
    if _is_async(on_event):
        result = on_event(event)
    else:
        result = await _in_thread(on_event, event)
    if inspect.isawaitable(result):
        await result


def _is_async(on_event: OnEvent) -> bool:
    return inspect.iscoroutinefunction(on_event) or inspect.iscoroutinefunction(getattr(on_event, "__call__", None))  # noqa: B004


async def _awaited(result: Any) -> None:
    await result


def _in_thread(function: OnEvent, event: WebhookEvent) -> Coroutine[Any, Any, object]:
    return _in_thread_of_asyncio(function, event) if joining.in_asyncio_task() else _in_thread_of_trio(function, event)


async def _in_thread_of_asyncio(function: OnEvent, event: WebhookEvent) -> object:
    import asyncio

    under_way = asyncio.ensure_future(asyncio.to_thread(function, event))
    try:
        return await asyncio.shield(under_way)
    except asyncio.CancelledError:
        await asyncio.wait([under_way])  # the thread goes on: another call for this event would be made beside it
        raise


async def _in_thread_of_trio(function: OnEvent, event: WebhookEvent) -> object:
    import trio

    (result,) = await trio.to_thread.run_sync(
        lambda: [function(event)]
    )  # bare, a coroutine would be an error of trio's
    return result
