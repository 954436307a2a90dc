"""What the processes of a server hold, as Linux says it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Vitals:
    """Of a process and all that it has started."""

    memory: float = 0.0
    """Of their own (what is mapped from files comes and goes as the system likes), swapped out or not, in MiB."""
    threads: int = 0
    descriptors: int = 0
    processes: int = 0


def vitals(pid: int) -> Vitals:
    """Now."""
    memory = threads = descriptors = processes = 0
    for process in _family(pid):
        with suppress(OSError):  # it has ended meanwhile
            told = dict(line.split(":", 1) for line in (PROC / str(process) / "status").read_text().splitlines())
            memory += sum(int(told.get(name, "0 kB").split()[0]) for name in ("RssAnon", "VmSwap"))
            threads += int(told["Threads"])
            descriptors += sum(1 for _ in (PROC / str(process) / "fd").iterdir())
            processes += 1
    return Vitals(memory / 1024, threads, descriptors, processes)


def _family(pid: int) -> Iterator[int]:
    yield pid
    with suppress(OSError):
        for task in (PROC / str(pid) / "task").iterdir():
            for child in (task / "children").read_text().split():
                yield from _family(int(child))
