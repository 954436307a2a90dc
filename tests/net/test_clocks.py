"""Ages go on while the machine sleeps."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest
from waiting import LONG

from kinde_guard.net.clocks import ageing_clock

ASLEEP = """
import sys, time

slept, real = 0.0, time.clock_gettime
time.clock_gettime = lambda clock: real(clock) + slept  # time.monotonic stands still meanwhile

sys.path.insert(0, sys.argv[1])
from helpers import Issuer, AUDIENCE, DOMAIN
from kinde_guard import Guard

guard = Guard(DOMAIN, audience=AUDIENCE, variables=(), transport=Issuer().transport)
guard.warm()
for slept in (0, 599, 601, 86_401):
    print(*(health.state for health in guard.health().values()))
"""


@pytest.mark.skipif(not hasattr(time, "CLOCK_BOOTTIME"), reason="there is no CLOCK_BOOTTIME here")
def test_keys_age_while_the_machine_sleeps() -> None:
    """A laptop that is opened after a day asks for the keys anew."""
    helpers = str(Path(__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-c", ASLEEP, helpers], capture_output=True, text=True, timeout=LONG, check=False
    )
    assert done.stdout.split() == ["fresh", "fresh", "stale", "expired"], done.stderr


@pytest.mark.parametrize("missing", [(), ("CLOCK_BOOTTIME",), ("CLOCK_BOOTTIME", "CLOCK_MONOTONIC")])
def test_the_best_clock_that_there_is(missing: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """On macOS, on Windows."""
    for name in missing:
        monkeypatch.delattr(time, name, raising=False)
    clock = ageing_clock()
    assert clock() <= clock()
    assert (clock is time.monotonic) == (len(missing) == 2)


def test_a_clock_that_the_kernel_does_not_know(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(clock: int) -> float:
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr(time, "clock_gettime", refuse)
    assert ageing_clock() is time.monotonic
