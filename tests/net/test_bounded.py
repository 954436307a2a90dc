"""Calls that nothing can cut: each is waited for only so long, and hanging ones do not pile up."""

from __future__ import annotations

import _thread
import threading

import anyio
import pytest
from waiting import LONG

from kinde_guard.net import bounded, workers
from kinde_guard.net.bounded import BoundedCalls


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.anyio
async def test_what_it_returns_and_what_it_raises() -> None:
    calls = BoundedCalls(LONG)

    def fail() -> None:
        raise LookupError("of its own")

    assert calls.make(lambda: 1) == 1
    assert await calls.amake(lambda: 2) == 2
    with pytest.raises(LookupError, match="of its own"):
        calls.make(fail)
    with pytest.raises(LookupError, match="of its own"):
        await calls.amake(fail)


def test_two_that_hang_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another is not begun; and it is, once one of them is over."""
    calls, end, begun = BoundedCalls(0.05), threading.Event(), threading.Semaphore(0)
    threads: list[threading.Thread] = []

    def hang() -> None:
        threads.append(threading.current_thread())
        begun.release()
        end.wait(LONG)

    with monkeypatch.context() as patch:
        patch.setattr(bounded, "join", lambda future, seconds: begun.acquire(timeout=LONG))  # a busy machine's time
        for _ in range(2):
            with pytest.raises(TimeoutError, match=r"no answer within 0\.05 s"):
                calls.make(hang)
        with pytest.raises(TimeoutError, match="2 calls before still hang"):
            calls.make(hang)
    assert BoundedCalls(LONG).make(lambda: "another kind") == "another kind"
    end.set()
    for thread in threads:
        thread.join(LONG)
    assert len(threads) == 2
    assert calls.make(lambda: "again", LONG) == "again"


def test_what_has_been_given_up_before_its_turn_is_not_done(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody would know that it was: of a lock, say, that nobody has."""
    waiting: list[workers.Job] = []
    done: list[str] = []
    monkeypatch.setattr(workers.workers, "start", waiting.append)
    calls = BoundedCalls(0.01)
    with pytest.raises(TimeoutError):
        calls.make(lambda: done.append("too late"))
    waiting[0].run()
    assert done == []


def test_where_there_are_no_threads_to_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(_thread, "start_new_thread", none)
    with pytest.raises(RuntimeError, match="can't start"):
        BoundedCalls(LONG).make(lambda: 1)


@pytest.mark.anyio
async def test_a_waiter_that_is_cancelled_harms_nobody() -> None:
    calls, end = BoundedCalls(LONG), threading.Event()
    with anyio.move_on_after(0.01):
        await calls.amake(lambda: end.wait(LONG))
    end.set()
    assert await calls.amake(lambda: "next") == "next"
