"""What is to be said once is said once, however many threads come to it in one moment."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

from waiting import LONG

from kinde_guard.net.once import Once


def test_one_of_many_threads_is_the_first() -> None:
    once, start = Once(), Barrier(8)

    def ask(_: int) -> bool:
        start.wait(LONG)
        return once.is_first()

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(ask, range(8))) == [False] * 7 + [True]
    assert not once.is_first()
    assert Once().is_first()
