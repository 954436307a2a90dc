"""The thread that has an eye on calls outlives whatever happens in between."""

from __future__ import annotations

import threading

from kinde_guard.net.watchdog import Watchdog, Watched


class LeftMeanwhile(dict[Watched, None]):
    """Not empty when it is asked, and empty when it is looked through: the last call has left in between."""

    asked = 0

    def __bool__(self) -> bool:
        self.asked += 1
        return self.asked == 1


def test_the_last_call_may_leave_while_it_is_looked_for() -> None:
    dog, watched = Watchdog(), LeftMeanwhile()
    dog._watched = watched
    awake = threading.Event()
    dog._seat[None] = awake
    dog._look_after(awake)
    assert watched.asked >= 2
