"""One call at a time: for threads, for tasks of asyncio and of trio, at once; whatever becomes of its thread."""

from __future__ import annotations

import asyncio
import functools
import gc
import logging
import socket
import subprocess
import sys
import threading
import time
import weakref
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from types import NoneType
from typing import Any, TypeVar

import pytest
import trio
import trio.testing
from waiting import LONG, in_thread, until

from kinde_guard.net import flight, joining
from kinde_guard.net.attempt import Attempt
from kinde_guard.net.flight import Callback, Flight
from kinde_guard.net.joining import ajoin, join
from kinde_guard.net.watchdog import FREEZE, watchdog
from kinde_guard.net.workers import workers

T = TypeVar("T")


class Owner:
    """Has a flight and keeps what lands."""

    def __init__(self, deadline: float = LONG) -> None:
        self.landed: list[object] = []
        self.said: list[object] = []
        self.flight: Flight[object] = Flight(self._land, lambda error: error, deadline=deadline)

    def _land(self, outcome: object) -> Callback:
        self.landed.append(outcome)
        return functools.partial(self.said.append, outcome)


class Work:
    """Begins, and ends when it is let go."""

    def __init__(self, outcome: object = "done") -> None:
        self.outcome = outcome
        self.begun = threading.Event()
        self.free = threading.Event()
        self.ended = threading.Event()
        self.calls = 0

    def __call__(self, attempt: Attempt) -> object:
        self.calls += 1
        self.begun.set()
        assert self.free.wait(LONG)
        self.ended.set()
        return self.outcome


def at_once(attempt: Attempt) -> str:
    return "done"


@contextmanager
def no_threads() -> Iterator[None]:
    """No thread can be started: none has that much stack."""
    size = threading.stack_size(sys.maxsize // 2)
    try:
        yield
    finally:
        threading.stack_size(size)


# One call for everybody


def test_everybody_joins_the_call_under_way() -> None:
    owner, work, other = Owner(), Work(), Work()
    assert owner.flight.under_way is None
    future = owner.flight.start(work)
    assert owner.flight.start(other) is future
    assert owner.flight.under_way is future
    owner.flight.start(other)
    work.free.set()
    join(future, LONG)
    assert owner.flight.under_way is None
    assert owner.landed == ["done"]
    assert (work.calls, other.calls) == (1, 0)


def test_the_next_call_is_another() -> None:
    owner = Owner()
    for _ in range(3):
        join(owner.flight.start(at_once), LONG)
    owner.flight.start(at_once)
    until(lambda: len(owner.said) == 4)
    assert owner.landed == ["done"] * 4


def test_two_hundred_threads_start_one_call() -> None:
    owner, work, barrier = Owner(), Work(), threading.Barrier(200)
    futures: list[object] = []

    def caller() -> None:
        barrier.wait(LONG)
        futures.append(owner.flight.start(work))

    threads = [in_thread(caller) for _ in range(200)]
    for thread in threads:
        thread.join(LONG)
    work.free.set()
    until(lambda: owner.landed)
    assert len(futures) == 200
    assert len(set(futures)) == 1
    assert owner.landed == ["done"]


def test_of_two_who_start_in_the_same_moment_one_does() -> None:
    """The other joins: here it has seen that nothing is under way, and is overtaken before it can start."""
    owner, work, other = Owner(), Work(), Work()
    overtaken = threading.Event()

    class Overtaken(dict[None, Any]):
        def setdefault(self, key: None, call: Any = None) -> Any:
            if not overtaken.is_set():
                overtaken.set()
                in_thread(lambda: owner.flight.start(work)).join(LONG)
            return super().setdefault(key, call)

    owner.flight._calls = Overtaken()
    future = owner.flight.start(other)
    assert owner.flight.under_way is future
    work.free.set()
    join(future, LONG)
    assert (work.calls, other.calls) == (1, 0)


def test_it_has_landed_before_anybody_wakes_and_is_spoken_of_after() -> None:
    """Whoever waited finds the outcome; a log that hangs holds up nobody."""
    order: list[str] = []
    free = threading.Event()

    def land(outcome: object) -> Callback:
        order.append("landed")
        return say

    def say() -> None:
        free.wait(LONG)
        order.append("said")

    hung: Flight[object] = Flight(land, lambda error: error, deadline=LONG)
    future = hung.start(at_once)
    join(future, LONG)
    order.append("woke")
    join(hung.start(at_once), LONG)  # nor does it hold up the next call
    free.set()
    until(lambda: order.count("said") == 2)
    assert order == ["landed", "woke", "landed", "said", "said"]


def test_the_future_tells_nothing_and_cannot_be_cancelled() -> None:
    owner, work = Owner(), Work(outcome=ValueError("as an outcome"))
    future = owner.flight.start(work)
    assert not future.cancel()
    work.free.set()
    assert future.result(LONG) is None
    assert owner.landed == [work.outcome]


# Starting waits for nothing


def test_starting_does_not_wait_for_the_thread_to_come_up() -> None:
    """While this thread keeps the interpreter to itself nothing else runs: neither the work nor what starts it."""
    owner, ran = Owner(), threading.Event()

    def work(attempt: Attempt) -> str:
        ran.set()
        return "done"

    interval = sys.getswitchinterval()
    sys.setswitchinterval(LONG)
    try:
        future = owner.flight.start(work)
        ran_meanwhile = ran.is_set()
    finally:
        sys.setswitchinterval(interval)
    join(future, LONG)
    assert ran.is_set()
    assert not ran_meanwhile


def test_starting_does_not_wait_for_who_is_landing() -> None:
    """There is no lock to wait for: the call is still under way, and is joined."""
    landing, free = threading.Event(), threading.Event()

    def land(outcome: object) -> Callback:
        landing.set()
        assert free.wait(LONG)
        return lambda: None

    slow: Flight[object] = Flight(land, lambda error: error, deadline=LONG)
    future = slow.start(at_once)
    assert landing.wait(LONG)
    assert slow.start(at_once) is future  # would not return, were there a lock
    slow.start(at_once)
    assert not future.done()
    free.set()
    join(future, LONG)
    assert future.done()


# Failures


def test_a_crash_is_an_outcome() -> None:
    owner = Owner()

    def work(attempt: Attempt) -> object:
        raise ZeroDivisionError

    join(owner.flight.start(work), LONG)
    assert [type(outcome) for outcome in owner.landed] == [ZeroDivisionError]
    assert owner.flight.under_way is None


def test_a_thread_that_cannot_start_is_a_failed_attempt() -> None:
    """It has landed when start returns, and the next attempt finds the way free."""
    owner = Owner()
    with no_threads():
        owner.flight.start(at_once)
    assert [type(outcome) for outcome in owner.landed] == [RuntimeError]
    assert owner.said == owner.landed
    assert owner.flight.under_way is None
    join(owner.flight.start(at_once), LONG)
    assert owner.landed[1:] == ["done"]


@pytest.mark.parametrize("allowed", [0, 1], ids=["the worker", "its watchdog"])
def test_a_thread_that_cannot_start_in_the_second_place(allowed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """No work is done without a watchdog."""
    until(lambda: not watchdog._watched)  # of a call that a test before has left, there would be one already
    owner, started = Owner(), 0
    start = threading.Thread.start

    def limited(thread: threading.Thread) -> None:
        nonlocal started
        started += 1
        if started > allowed:
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", limited)
    future = owner.flight.start(at_once)
    assert future.result(LONG) is None
    assert [type(outcome) for outcome in owner.landed] == [RuntimeError]


@pytest.fixture
def uncaught(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """What ends a thread."""
    ends: list[object] = []
    monkeypatch.setattr(threading, "excepthook", lambda end: ends.append(end.exc_type))
    return ends


def test_an_owner_that_cannot_land_leaves_nobody_behind(uncaught: list[object]) -> None:
    """The defect ends the thread; the waiters wake, and the next call finds the way free."""

    def land(outcome: object) -> Callback:
        raise ZeroDivisionError

    broken: Flight[object] = Flight(land, lambda error: error, deadline=LONG)
    assert broken.start(at_once).result(LONG) is None
    assert broken.under_way is None
    until(lambda: uncaught == [ZeroDivisionError])


def test_what_is_no_exception_is_left_to_the_watchdog(uncaught: list[object]) -> None:
    """Such as sys.exit() in a transport."""
    owner = Owner(deadline=0.05)

    def work(attempt: Attempt) -> object:
        raise SystemExit

    assert owner.flight.start(work).result(LONG) is None
    assert [type(outcome) for outcome in owner.landed] == [TimeoutError]
    assert uncaught == [SystemExit]


def test_a_call_that_never_took_off_is_given_up_for_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """An exception out of a signal handler, in the very moment of starting."""
    owner = Owner(deadline=0.0)
    monkeypatch.setattr(flight, "GRACE", 0.0)

    def interrupted(*args: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("_thread.start_new_thread", interrupted)
        with pytest.raises(KeyboardInterrupt):
            owner.flight.start(at_once)
    time.sleep(0.001)
    assert owner.flight.under_way is None
    monkeypatch.setattr(flight, "GRACE", LONG)
    join(owner.flight.start(at_once), LONG)
    assert len(owner.landed) == 1


# The deadline


def test_at_the_deadline_the_call_is_over_whatever_its_thread_does() -> None:
    """The future resolves, the next call starts, and an answer that comes later is dropped."""
    owner, stuck = Owner(deadline=0.05), Work("late")
    assert owner.flight.start(stuck).result(LONG) is None
    assert [str(outcome) for outcome in owner.landed] == ["no whole answer within 0.05 s"]

    owner.flight._deadline = LONG
    join(owner.flight.start(at_once), LONG)
    (worker,) = [thread for thread in threading.enumerate() if thread.name == "kinde_guard-call"]
    stuck.free.set()
    worker.join(LONG)
    assert stuck.ended.is_set()
    assert owner.landed[1:] == ["done"]
    assert owner.said == owner.landed


def test_an_answer_in_the_moment_of_the_deadline_does_not_land_beside_it() -> None:
    """Here while the time-out is landing; only one of them may."""
    landing, free, landed = threading.Event(), threading.Event(), []

    def work(attempt: Attempt) -> object:
        assert landing.wait(LONG)
        return "late"

    def land(outcome: object) -> Callback:
        landed.append(type(outcome))
        landing.set()
        assert free.wait(LONG)
        return lambda: None

    tight: Flight[object] = Flight(land, lambda error: error, deadline=0.05)
    future = tight.start(work)
    assert landing.wait(LONG)
    for thread in threading.enumerate():
        if thread.name == "kinde_guard-call":
            thread.join(LONG)
    free.set()
    join(future, LONG)
    assert landed == [TimeoutError]


def test_at_the_deadline_the_sockets_are_cut() -> None:
    """A read that would never end ends, in a thread that knows nothing of a deadline."""
    owner, ended = Owner(deadline=0.05), threading.Event()
    ours, theirs = socket.socketpair()

    def work(attempt: Attempt) -> object:
        attempt.add(ours)
        assert ours.recv(1) == b""
        ended.set()
        return "late"

    with ours, theirs:
        join(owner.flight.start(work), LONG)
        assert ended.wait(LONG)
        assert [type(outcome) for outcome in owner.landed] == [TimeoutError]


def test_a_socket_that_comes_after_the_deadline_is_cut_at_once() -> None:
    """The connection was slow to be made."""
    attempt = Attempt()
    ours, theirs = socket.socketpair()
    theirs.settimeout(LONG)
    with ours, theirs:
        attempt.cut()
        attempt.add(ours)
        assert theirs.recv(1) == b""


def test_a_socket_that_is_closed_already_does_not_keep_the_others_from_being_cut() -> None:
    attempt = Attempt()
    ours, theirs = socket.socketpair()
    theirs.settimeout(LONG)
    with ours, theirs, socket.socket() as closed:
        attempt.add(closed)
        attempt.add(ours)
        closed.close()
        attempt.cut()
        assert theirs.recv(1) == b""


def test_a_call_leaves_no_thread_behind() -> None:
    """Nor its watchdog, which has all day."""
    owner = Owner(deadline=86_400)
    before = set(threading.enumerate())
    for _ in range(20):
        join(owner.flight.start(at_once), LONG)
    until(lambda: set(threading.enumerate()) <= before)


def test_a_flight_that_nobody_has_any_more_is_not_kept() -> None:
    ghost = weakref.ref(Owner().flight)
    until(lambda: ghost() is None or not gc.collect())
    assert ghost() is None


def test_a_forked_child_forgets_the_call_of_its_parent() -> None:
    """Here in one process: the child's half of it. A real child is in test_fork.py."""
    owner, work = Owner(), Work("the parent's")
    owner.flight.start(work)
    owner.flight.renew()
    assert owner.flight.under_way is None
    join(owner.flight.start(at_once), LONG)
    work.free.set()
    assert work.ended.wait(LONG)
    until(lambda: not any(thread.name == "kinde_guard-call" for thread in threading.enumerate()))
    assert owner.landed == ["done"]


# Waiters

LOOPS = pytest.mark.parametrize("loop", ["asyncio", "trio"])


def run_in(loop: str, main: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """*main* in an event loop of its own."""
    if loop == "trio":
        return trio.run(main)
    return asyncio.run(main())


def test_a_thread_waits_no_longer_than_it_said() -> None:
    owner, work = Owner(), Work()
    future = owner.flight.start(work)
    started = time.monotonic()
    join(future, 0.05)
    assert time.monotonic() - started > 0.04
    assert not future.done()
    work.free.set()
    join(future, LONG)
    assert future.done()


@LOOPS
def test_a_task_waits_no_longer_than_it_said(loop: str) -> None:
    owner, work = Owner(), Work()

    async def main() -> None:
        future = owner.flight.start(work)
        started = time.monotonic()
        await ajoin(future, 0.05)
        assert time.monotonic() - started > 0.04
        assert not future.done()
        work.free.set()
        await ajoin(future, LONG)
        assert future.done()
        await ajoin(future, LONG)  # and not at all for one that has resolved

    run_in(loop, main)


def test_threads_and_tasks_of_several_loops_wait_for_one_call() -> None:
    owner, work, waiting, woken = Owner(), Work(), threading.Semaphore(0), []

    def thread() -> None:
        future = owner.flight.start(work)
        waiting.release()
        join(future, LONG)
        woken.append(("thread", list(owner.landed)))

    def tasks(loop: str) -> None:
        async def task() -> None:
            future = owner.flight.start(work)
            waiting.release()
            await ajoin(future, LONG)
            woken.append((loop, list(owner.landed)))

        async def many() -> None:
            if loop == "asyncio":
                await asyncio.gather(*[task() for _ in range(50)])
            else:
                async with trio.open_nursery() as nursery:
                    for _ in range(50):
                        nursery.start_soon(task)

        run_in(loop, many)

    threads = [in_thread(thread) for _ in range(50)]
    threads += [in_thread(functools.partial(tasks, loop)) for loop in ("asyncio", "asyncio", "trio", "trio")]
    for _ in range(250):
        assert waiting.acquire(timeout=LONG)
    work.free.set()
    for each in threads:
        each.join(LONG)
    assert Counter(world for world, _ in woken) == {"thread": 50, "asyncio": 100, "trio": 100}
    assert all(landed == ["done"] for _, landed in woken)
    assert work.calls == 1


def test_many_tasks_under_trio_hold_no_worker_threads() -> None:
    """There are forty of them, and other requests need them; the forty-first caller would have to queue."""
    owner, work = Owner(), Work()

    async def main() -> None:
        future = owner.flight.start(work)
        async with trio.open_nursery() as nursery:
            for _ in range(200):
                nursery.start_soon(ajoin, future, LONG)
            await trio.testing.wait_all_tasks_blocked()
            assert trio.to_thread.current_default_thread_limiter().borrowed_tokens == 0
            work.free.set()

    run_in("trio", main)


def test_a_cancelled_task_of_asyncio_harms_nobody() -> None:
    owner, work = Owner(), Work()

    async def main() -> None:
        future = owner.flight.start(work)
        waiters = [asyncio.create_task(ajoin(future, LONG)) for _ in range(10)]
        impatient = asyncio.create_task(asyncio.wait_for(ajoin(future, LONG), 0.01))
        await asyncio.sleep(0.05)
        for waiter in waiters[:5]:
            waiter.cancel()
        await asyncio.sleep(0)
        assert future.running()
        work.free.set()
        ends = await asyncio.gather(*waiters, impatient, return_exceptions=True)
        assert [type(end) for end in ends] == [asyncio.CancelledError] * 5 + [NoneType] * 5 + [TimeoutError]

    run_in("asyncio", main)
    assert owner.landed == ["done"]


def test_a_cancelled_task_of_trio_harms_nobody() -> None:
    """And is cancelled at once."""
    owner, work = Owner(), Work()

    async def main() -> None:
        future = owner.flight.start(work)
        async with trio.open_nursery() as patient:
            patient.start_soon(ajoin, future, LONG)
            async with trio.open_nursery() as impatient:
                for _ in range(10):
                    impatient.start_soon(ajoin, future, LONG)
                await trio.testing.wait_all_tasks_blocked()
                impatient.cancel_scope.cancel()
            assert future.running()
            work.free.set()

    run_in("trio", main)
    assert owner.landed == ["done"]


@LOOPS
def test_a_loop_that_is_gone_when_the_call_ends_makes_no_noise(
    loop: str, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """Its waiters had had enough, or were cancelled; a callback of theirs is still with the future."""
    caplog.set_level(logging.DEBUG)
    owner, work = Owner(), Work()
    future = owner.flight.start(work)

    async def main() -> None:
        await ajoin(future, 0.001)
        if loop == "asyncio":
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(ajoin(future, LONG), 0.001)
        else:
            with trio.move_on_after(0.001):
                await ajoin(future, LONG)

    run_in(loop, main)
    work.free.set()
    join(future, LONG)
    until(lambda: not any(thread.name == "kinde_guard-call" for thread in threading.enumerate()))
    gc.collect()
    assert [record.getMessage() for record in caplog.records if record.name != "asyncio"] == []
    assert capfd.readouterr() == ("", "")


def test_a_second_event_loop_finds_everything_in_order() -> None:
    owner = Owner()

    async def main() -> None:
        await ajoin(owner.flight.start(at_once), LONG)

    for number in range(1, 4):
        for loop in ("asyncio", "trio"):
            run_in(loop, main)
        assert owner.landed == ["done"] * 2 * number


def test_trio_as_a_guest_of_asyncio_is_trio() -> None:
    """Then a loop of asyncio is running in this very thread, but what waits is no task of its."""
    owner, work = Owner(), Work()

    async def guest() -> str:
        future = owner.flight.start(work)
        trio.lowlevel.current_trio_token().run_sync_soon(work.free.set)
        await ajoin(future, LONG)
        return "a guest"

    async def host() -> object:
        loop = asyncio.get_running_loop()
        over: asyncio.Future[Any] = loop.create_future()
        trio.lowlevel.start_guest_run(
            guest, run_sync_soon_threadsafe=loop.call_soon_threadsafe, done_callback=over.set_result
        )
        return (await over).unwrap()

    assert run_in("asyncio", host) == "a guest"
    assert owner.landed == ["done"]


def test_waiting_under_trio_does_not_load_asyncio() -> None:
    script = """
import sys, trio
from kinde_guard.net.flight import Flight
from kinde_guard.net.joining import ajoin

async def main():
    await ajoin(Flight(lambda outcome: str, str, deadline=20).start(lambda attempt: attempt), 20)

trio.run(main)
assert "asyncio" not in sys.modules
"""
    assert run_script(script) == ("", "", 0)


@pytest.mark.parametrize("world", ["thread", "asyncio", "trio"])
def test_the_interpreter_ends_while_a_call_is_under_way(world: str) -> None:
    """At once, and without a word."""
    script = """
import asyncio, sys, threading, time
from kinde_guard.net.flight import Flight
from kinde_guard.net.joining import ajoin, join

begun = threading.Event()

def work(attempt):
    begun.set()
    time.sleep(1000)

future = Flight(lambda outcome: str, str, deadline=1000).start(work)
assert begun.wait(120)
if sys.argv[1] == "thread":
    join(future, 0.01)
elif sys.argv[1] == "asyncio":
    asyncio.run(ajoin(future, 0.01))
else:
    import trio
    trio.run(ajoin, future, 0.01)
"""
    assert run_script(script, world) == ("", "", 0)


def run_script(script: str, *arguments: str) -> tuple[str, str, int]:
    """What it printed, what it complained of, and its exit status."""
    # Of a busy machine asyncio says, as a warning, that a step took long; what goes wrong is an error.
    script = f"import logging; logging.getLogger('asyncio').setLevel(logging.ERROR)\n{script}"
    command = [sys.executable, "-W", "error", "-X", "dev", "-c", script, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LONG)
    return done.stdout, done.stderr, done.returncode


# A process that was frozen


class Clock:
    """Goes on while the process is frozen, which no test can wait for."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.ahead

    def freeze(self, seconds: float) -> None:
        self.ahead += seconds


class Again(Work):
    """Work that is made anew: each time it has begun, it ends as the next of *ends* says."""

    def __init__(self, *ends: Callable[[Attempt], object]) -> None:
        super().__init__()
        self.ends = list(ends)
        self.attempts: list[Attempt] = []

    def __call__(self, attempt: Attempt) -> object:
        self.calls += 1
        self.attempts.append(attempt)
        self.begun.set()
        return self.ends.pop(0)(attempt)


def frozen_owner(deadline: float) -> tuple[Owner, Clock]:
    owner, clock = Owner(deadline), Clock()
    owner.flight._clock = clock
    return owner, clock


def failing(attempt: Attempt) -> object:
    """As a fetch does that has nothing but a failure to tell."""
    attempt.failed()
    return "failed"


def test_a_deadline_that_passed_in_a_freeze_has_the_call_made_again() -> None:
    """At once, with all its time again, for the same waiters; and nothing is landed of what was cut."""
    owner, clock = frozen_owner(LONG)
    ours, theirs = socket.socketpair()

    def hanging(attempt: Attempt) -> object:
        attempt.add(ours)
        assert ours.recv(1) == b""  # until it is cut
        return failing(attempt)

    work = Again(hanging, at_once)
    with ours, theirs:
        future = owner.flight.start(work)
        assert work.begun.wait(LONG)
        clock.freeze(3600)
        assert owner.flight.age == 0.0
        join(future, LONG)
    assert owner.landed == ["done"]
    until(lambda: not watchdog._watched)
    assert work.calls == 2
    assert [attempt.over for attempt in work.attempts] == [True, False]


def test_what_fails_right_after_a_freeze_is_made_again() -> None:
    """A connection that the other end has given up meanwhile, say, long before the deadline."""
    owner, clock = frozen_owner(LONG)

    def cut(attempt: Attempt) -> object:
        clock.freeze(FREEZE + 0.5)
        return failing(attempt)

    def broken(attempt: Attempt) -> object:
        clock.freeze(FREEZE + 0.5)
        raise ZeroDivisionError

    work = Again(cut, broken, cut, at_once)
    join(owner.flight.start(work), LONG)
    assert (owner.landed, work.calls) == (["done"], 4)
    until(lambda: not watchdog._watched)


def test_an_answer_that_a_freeze_has_made_old_is_asked_for_again() -> None:
    """Nobody knows what has changed since it was given. One that is in time is taken, freeze or not."""
    owner, clock = frozen_owner(deadline=60.0)

    def answered(seconds: float, answer: str) -> Callable[[Attempt], object]:
        def answer_after_a_freeze(attempt: Attempt) -> object:
            clock.freeze(seconds)
            return answer

        return answer_after_a_freeze

    work = Again(answered(3600, "old"), answered(10, "new"))
    join(owner.flight.start(work), LONG)
    assert owner.landed == ["new"]


def test_a_failure_without_a_freeze_is_a_failure() -> None:
    owner, clock = frozen_owner(LONG)

    def slow(attempt: Attempt) -> object:
        clock.freeze(FREEZE - 0.5)  # on a busy machine
        return failing(attempt)

    join(owner.flight.start(slow), LONG)
    assert owner.landed == ["failed"]


def test_a_freeze_in_something_that_cannot_be_cut() -> None:
    """It has its time again; then the call is over, as ever."""
    owner, clock = frozen_owner(deadline=0.3)
    work = Work("late")
    future = owner.flight.start(work)
    assert work.begun.wait(LONG)
    clock.freeze(3600)
    join(future, LONG)
    assert [str(outcome) for outcome in owner.landed] == ["no whole answer within 0.3 s"]
    work.free.set()
    assert work.ended.wait(LONG)


@pytest.mark.parametrize("loop", ["thread", "asyncio", "trio"])
def test_who_waits_is_not_sent_away_by_a_freeze(loop: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their time is up as soon as the process goes on; but in that time nothing could have come."""
    owner, work, looks = Owner(), Work(), iter([0.0, 3600.0])

    def clock() -> float:
        now = next(looks)
        if now:  # the time is up, and nothing has come
            work.free.set()
        return now

    future = owner.flight.start(work)
    monkeypatch.setattr(joining, "ageing", clock)
    if loop == "thread":
        join(future, 1.0)
    else:
        run_in(loop, functools.partial(ajoin, future, 1.0))
    assert future.done()


# What hangs


def test_nothing_is_put_beside_what_hangs_in_a_look_up() -> None:
    """One thread more for each deadline that passes would be one too many. The next call is made when it ends."""
    owner, hung = Owner(deadline=0.05), Work("late")

    def looking_up(attempt: Attempt) -> object:
        with attempt.hanging_in("the look-up of acme.kinde.com"):
            return hung(attempt)

    assert owner.flight.start(looking_up).result(LONG) is None
    others = [Work("never") for _ in range(3)]
    for other in others:
        assert owner.flight.start(other).result(LONG) is None
    assert [str(outcome) for outcome in owner.landed] == [
        "no whole answer within 0.05 s: the look-up of acme.kinde.com hangs",
        *["no whole answer within 0.05 s: the look-up of acme.kinde.com still hangs"] * 3,
    ]
    assert owner.flight.trouble == "the look-up of acme.kinde.com still hangs"
    assert not any(other.calls for other in others)

    owner.flight._deadline = LONG
    waiting = owner.flight.start(at_once)
    until(lambda: owner.flight._calls[None].watched)
    hung.free.set()
    join(waiting, LONG)
    assert owner.landed[4:] == ["done"]
    assert owner.flight.trouble == ""


def test_three_calls_hang_beside_one_another_at_most() -> None:
    """Whatever they hang in: a transport of somebody's may do that for ever, and yet be of use the next time."""
    owner, hung = Owner(deadline=0.05), [Work("late") for _ in range(5)]
    for work in hung:
        assert owner.flight.start(work).result(LONG) is None
    assert [work.calls for work in hung] == [1, 1, 1, 0, 0]
    assert str(owner.landed[4]) == "no whole answer within 0.05 s: 3 attempts before still hang"
    owner.flight._deadline = LONG
    waiting = owner.flight.start(at_once)
    until(lambda: owner.flight._calls[None].watched)
    hung[1].free.set()
    join(waiting, LONG)
    assert owner.landed[5:] == ["done"]
    for work in hung:
        work.free.set()


# How many threads there are


def test_calls_take_turns() -> None:
    """There are thirty-two threads at most; who has to wait is told, and loses none of its time."""
    until(lambda: workers.idle)
    before = set(threading.enumerate())
    free = threading.Event()
    owners = [Owner() for _ in range(100)]

    def work(attempt: Attempt) -> object:
        assert free.wait(LONG)
        return "done"

    waiting = [owner.flight.start(work) for owner in owners]
    until(lambda: sum(owner.flight.trouble == "" for owner in owners) == 32)
    assert len(set(threading.enumerate()) - before) <= 33  # with their watchdog
    assert sum(owner.flight.trouble == "it is not its turn: 32 others are made" for owner in owners) == 68
    assert all(owner.flight.under_way is future for owner, future in zip(owners, waiting, strict=True))
    free.set()
    for future, seconds in joining.in_turn(waiting, LONG):
        assert LONG < seconds <= 4 * LONG
        join(future, seconds)
    assert [owner.landed for owner in owners] == [["done"]] * 100
    until(lambda: set(threading.enumerate()) <= before)


def test_a_call_that_waits_for_its_turn_when_a_thread_breaks_down(uncaught: list[object]) -> None:
    """Another thread takes its place."""
    free = threading.Event()

    def breaking(attempt: Attempt) -> object:
        assert free.wait(LONG)
        raise SystemExit

    until(lambda: workers.idle)
    owners = [Owner(deadline=LONG) for _ in range(40)]
    for owner in owners[:32]:
        owner.flight.start(breaking)
    waiting = [owner.flight.start(at_once) for owner in owners[32:]]
    free.set()
    for future in waiting:
        join(future, LONG)
    assert [owner.landed for owner in owners[32:]] == [["done"]] * 8
    until(lambda: uncaught == [SystemExit] * 32)


def test_an_outcome_that_cannot_be_logged_holds_up_no_other_deadline() -> None:
    """One thread looks after all of them, and what is said of one of them may hang."""
    free, landed = threading.Event(), threading.Semaphore(0)

    def say() -> None:
        assert free.wait(LONG)

    def land(outcome: object) -> Callback:
        landed.release()
        return say

    stuck = [Work() for _ in range(3)]
    flights: list[Flight[object]] = [Flight(land, lambda error: error, deadline=0.05) for _ in stuck]
    for each, work in zip(flights, stuck, strict=True):
        each.start(work)
    for _ in stuck:
        assert landed.acquire(timeout=LONG)
    free.set()
    for work in stuck:
        work.free.set()


def test_a_deadline_when_there_can_be_no_more_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    owner, work = Owner(deadline=0.3), Work()
    future = owner.flight.start(work)
    assert work.begun.wait(LONG)
    with no_threads():
        join(future, LONG)
    assert [type(outcome) for outcome in owner.landed] == [TimeoutError]
    work.free.set()
