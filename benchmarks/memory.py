"""Memory: what a full cache takes, against its bound in bytes.

It is measured in a process of its own, ``python -m benchmarks.memory``, which makes nothing else: what counts is the
memory that the system says it has, and room that others had left behind would hide some of it.
"""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from kinde_guard import Guard
from kinde_guard.tokens.cache import BYTES_PER_ENTRY, LEAST_BOUND

from .bench import Bench
from .report import Bar, Table, Value
from .tokens import KINDS
from .verify import DEFAULT_CACHE

MORE = 1.1
MB = 1024 * 1024
ONCE = 50  # tokens that go before, for whatever is made only once


def table(bench: Bench) -> Table:
    """Full caches of each kind of token: as verified, and after an API has read every token's attributes."""
    size = min(DEFAULT_CACHE, bench.effort.tokens - ONCE)
    title = f"scale: memory of a full cache, cache_size={size}"
    if not Path("/proc/self/statm").exists():
        return Table(title, [], [], notes=["Skipped: it needs Linux."])
    rows: list[tuple[str, list[Value]]] = []
    bars = []
    bound = max(size * BYTES_PER_ENTRY, LEAST_BOUND)
    for kind in KINDS:
        bench.progress.say(f"scale: memory of {kind} tokens")
        taken = _measured(bench, kind, size)
        megabytes: list[Value] = [value / MB for value in (bound, taken["said"], taken["verified"], taken["read"])]
        rows.append((f"{kind}: {taken['entries']:,} tokens", megabytes))
        what = f"{kind} tokens: resident memory of a full cache, all read"
        bars.append(Bar(what, taken["read"] / bound, MORE, unit="x its bound"))
    bench.progress.clear()
    columns = ["bound, MB", "as it counts itself", "resident, verified", "resident, read"]
    return Table(title, columns, rows, bars)


def _measured(bench: Bench, kind: str, size: int) -> dict[str, int]:
    with tempfile.NamedTemporaryFile() as file:
        file.write(b"\n".join(bench.site.tokens(kind, bench.effort.tokens)))
        file.flush()
        site = bench.site
        settings = {"domain": site.issuer.url, "audience": site.audience, "jwks_url": site.jwks_url, "cache_size": size}
        command = [sys.executable, "-m", "benchmarks.memory", file.name, json.dumps(settings)]
        done = subprocess.run(
            command, cwd=Path(__file__).parent.parent, stdout=subprocess.PIPE, check=True, timeout=300
        )
    answer: dict[str, int] = json.loads(done.stdout)
    return answer


def fill(path: Path, settings: dict[str, Any]) -> dict[str, int]:
    """Verify the tokens in *path*, one on each line, and look at the process before and after."""
    guard = Guard(**settings)
    with path.open() as lines:
        for _, line in zip(range(ONCE), lines, strict=False):
            _ = guard.verify(line.strip()).scopes
        before = resident()
        for line in lines:
            guard.verify(line.strip())
    verified = resident()
    with path.open() as lines:
        for line in lines:
            _ = guard.verify(line.strip()).scopes
    stats = guard.stats()
    return {"entries": stats.entries, "said": stats.bytes, "verified": verified - before, "read": resident() - before}


def resident() -> int:
    """Bytes of this process that are in memory: proc_pid_statm(5)."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    print(json.dumps(fill(Path(sys.argv[1]), json.loads(sys.argv[2]))))
