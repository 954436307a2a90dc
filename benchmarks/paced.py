"""What the apps under load are made of: a guard whose time runs as fast as another process says, and what it shows."""

from __future__ import annotations

import mmap
import os
import struct
import threading
import time
import urllib.request
from contextlib import suppress
from pathlib import Path

from kinde_guard.net import exchange

# For machines that are too busy for the usual five seconds. Before what reads it is loaded.
if "FETCH_TIMEOUT" in os.environ:
    exchange.TOTAL_TIMEOUT = exchange.CONNECT_TIMEOUT = float(os.environ["FETCH_TIMEOUT"])

from kinde_guard import Guard, KeysUnavailable
from kinde_guard.net.clocks import Clocks

_LAYOUT = struct.Struct("3d")


class Pace:
    """A monotonic clock for several processes, kept in a file: called, it says what time it is, in seconds.

    Keys live for a minute at least and failures are waited out for up to five, so with a faster clock seconds show
    what otherwise takes minutes.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.exists():
            path.write_bytes(_LAYOUT.pack(time.monotonic(), time.monotonic(), 1.0))
        with path.open("r+b") as file:
            self._shared = mmap.mmap(file.fileno(), _LAYOUT.size)

    def __call__(self) -> float:
        then, since, speed = _LAYOUT.unpack_from(self._shared)
        return float(then + (time.monotonic() - since) * speed)

    def run(self, speed: float, *, ahead: float = 0.0) -> None:
        """Leap *ahead* by so many seconds and go on at *speed*; for a time when nobody looks, as it is not atomic."""
        _LAYOUT.pack_into(self._shared, 0, self() + ahead, time.monotonic(), speed)


def the_guard() -> Guard:
    """Of ``KINDE_DOMAIN`` and ``KINDE_AUDIENCE``, with the clock of ``PACE`` and, by ``WARM``, with keys beforehand."""
    guard = Guard(clocks=Clocks(monotonic=Pace(Path(os.environ["PACE"]))), cache_size=256)
    match os.environ.get("WARM"):
        case "before":
            guard.warm()
        case "meanwhile":  # the fetch is under way when this returns, and a server that forks will fork in its middle
            threading.Thread(target=_warm, args=(guard,), daemon=True).start()
            urllib.request.urlopen(f"{os.environ['KINDE_DOMAIN']}/asked", timeout=180).close()
    return guard


def state(guard: Guard) -> dict[str, object]:
    """How the guard of this process is."""
    (health,) = guard.health().values()
    return {"pid": os.getpid(), "state": health.state, "keys": health.keys, "problem": health.problem}


def _warm(guard: Guard) -> None:
    with suppress(KeysUnavailable):
        guard.warm()
