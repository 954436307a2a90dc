"""Threads verify while others publish: what was published before a check began is never accepted by it.

``python tests/revocation/test_race.py 1000000`` makes that many checks.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # for who runs it by hand

import pytest
from helpers import USER, Issuer, guard_of, mint, reason_of

from kinde_guard import InvalidToken
from kinde_guard.revocation import Revocations
from kinde_guard.revocation.entry import Marks

CALLERS = 20
VERIFIERS = 3


@contextmanager
def switching_often() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


class Race:
    """Every caller is revoked and lifted over and over, each time with a marker of its own: what a verifier has seen
    published before it began has to be refused, or be lifted by the time it looks again."""

    def __init__(self) -> None:
        self.revocations = Revocations.in_memory()
        self.guard = guard_of(Issuer(), revocations=self.revocations)
        self.tokens = [mint({"sub": f"kp_{number}", "jti": str(number)}) for number in range(CALLERS)]
        self.published: list[object | None] = [None] * CALLERS
        self.checks = self.wrong = self.refused = 0
        self.turn = self.publications = 0
        """Whom all of them look at."""
        self.over = threading.Event()
        self._lock = threading.Lock()

    def publish(self) -> None:
        number = 0
        while not self.over.is_set():
            self.turn = number = (number + 1) % CALLERS
            entry = self.revocations.revoke_subject(f"kp_{number}")
            self.published[number] = object()
            time.sleep(0)
            self.published[number] = None  # first: from now on anything is right
            self.revocations.lift(entry)
            self.publications += 1

    def verify(self, checks: int) -> None:
        wrong = refused = 0
        for _ in range(checks):
            number = self.turn
            before = self.published[number]
            try:
                self.guard.verify(self.tokens[number])
            except InvalidToken:
                refused += 1
            else:
                wrong += before is not None and self.published[number] is before
        with self._lock:
            self.checks, self.wrong, self.refused = self.checks + checks, self.wrong + wrong, self.refused + refused

    def run(self, checks: int) -> Race:
        publisher = threading.Thread(target=self.publish)
        verifiers = [threading.Thread(target=self.verify, args=(checks // VERIFIERS,)) for _ in range(VERIFIERS)]
        for thread in (publisher, *verifiers):
            thread.start()
        for thread in verifiers:
            thread.join()
        self.over.set()
        publisher.join()
        return self


def test_what_was_published_before_is_refused() -> None:
    with switching_often():
        race = Race().run(21_000)
    assert race.checks == 21_000
    assert race.wrong == 0
    assert race.refused  # or there was no race


@pytest.mark.parametrize("remembered", [False, True])
def test_a_revocation_that_comes_while_a_token_is_looked_at_counts_at_the_next_request(
    remembered: bool,
) -> None:
    """Whoever takes the edition after looking would have looked at maps of before, and never look again."""
    revocations = Revocations.in_memory()
    guard, raw = guard_of(Issuer(), revocations=revocations), mint()
    if remembered:
        guard.verify(raw)
        revocations.revoke_subject("somebody else")  # so that it is looked at again
    look = revocations.copy.may_refuse

    def late(marks: Marks) -> bool:
        found = look(marks)
        revocations.revoke_subject(USER["sub"])  # from then on another one is asked
        return found

    revocations.copy.may_refuse = late
    assert reason_of(guard, raw) == "accepted"
    assert [reason_of(guard, raw) for _ in range(3)] == ["revoked"] * 3


if __name__ == "__main__":
    with switching_often():
        race = Race().run(int(sys.argv[1]))
    print(f"{race.checks} checks, {race.refused} refused, {race.publications} publications, {race.wrong} wrong")
    sys.exit(race.wrong != 0)
