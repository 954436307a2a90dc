"""Real servers for a minute under good and hostile load, while keys rotate and issuers break.

    python -m benchmarks.soak [--seconds 60] [--seed 1]

Each server has an issuer of its own. Round after round the issuer breaks in some way and is mended, a new key is
published, signs, and the old one is withdrawn; meanwhile good callers, strangers with unknown kids and the whole corpus
of hostile requests call. The guards' clocks run sixty times as fast, so that a round takes seconds. Early on and at the
end it is quiet for a moment, and the servers must hold the same then.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kinde_guard.hostile import assert_resists_hostile_tokens
from kinde_guard.issuer.faults import FAULTS

from .fleet import Kind, Standing, fleet
from .load import Tally, burst
from .measure import FULL
from .paced import Pace
from .report import Bar, Report, Table
from .traffic import Traffic, Wallet, all_say, call_all, roll, states, traffic
from .vitals import PROC, Vitals, vitals

if TYPE_CHECKING:
    from .bench import Bench

FLASK, FASTAPI = "servers_flask:app --log-level error", "servers_fastapi:app --log-level error"
KINDS = {
    "gthread": Kind(f"gunicorn --threads 8 {FLASK}"),
    "gevent": Kind(f"gunicorn --worker-class gevent {FLASK}"),
    "uvicorn": Kind(f"uvicorn {FASTAPI}"),
    "trio": Kind(f"hypercorn --worker-class trio {FASTAPI}"),
}
SPEED, LIFE = 60.0, 60
STRANGERS = 25  # a second
# Not among them: two that publish another key under the kid that signs and one that dates tokens wrongly, after which
# good tokens are no good; and one that needs TLS.
_OF_KEYS = {name for name, fault in FAULTS.items() if "keys" in fault.places}
BREAKS = sorted(_OF_KEYS - {"duplicate_kid", "replaced_key", "clock_skewed", "wrong_tls_name"})
OPTIONS: dict[str, dict[str, Any]] = {
    "gzip_bomb": {"size": 8 << 20}
}  # to pack a larger one takes the time of everything else
WARM_UP = 0.3
"""The part of the time after which a server holds what it is going to hold: threads, a full cache."""
IDLE_THREAD, IDLE_CONNECTION = 12.0, 6.0
"""Seconds, and longer than any of the servers keeps one."""
MORE_MEMORY = 0.05, 2.0
"""What may be added: a part of it, and MiB."""
MORE_THREADS = 2
"""Pools grow as late as they are needed. A thread that stayed behind each fetch would make a hundred."""


class Soak:
    """One server, and what becomes of it."""

    def __init__(self, server: Standing, chance: random.Random) -> None:
        self.server = server
        self.traffic = Traffic(Wallet(server.issuer))
        self.withdrawn = Tally()
        self.faults: Counter[str] = Counter()
        self.trials: list[str] = []
        """What each trial with the hostile corpus found: empty if nothing."""
        self.vitals: list[Vitals] = []
        self._chance = chance

    async def until(self, end: float) -> None:
        """Round after round; then nobody calls any more, and what the server holds is noted."""
        async with traffic(self.server, self.traffic, flood=STRANGERS):
            while time.monotonic() < end:
                await self._round()
        self.vitals.append(await self._at_rest())

    async def _round(self) -> None:
        issuer, wallet = self.server.issuer, self.traffic.wallet
        trial = asyncio.create_task(asyncio.to_thread(self._trial))
        for name in self._chance.sample(BREAKS, 3):
            self.faults[name] += 1
            issuer.break_down(name, **OPTIONS.get(name, {}))
            await asyncio.sleep(self._chance.uniform(0.2, 1.0))
        await trial  # its tokens are of a key that is about to be withdrawn
        issuer.heal()
        await all_say(self.server, wallet, state="fresh", problem="")
        old = await roll(self.server, self.traffic, lead=asyncio.sleep(120 / SPEED), overlap=20 / SPEED)
        await all_say(self.server, wallet, keys=1)
        await burst(self.server.port, [wallet.new(old) for _ in range(4)], self.withdrawn)

    def _trial(self) -> None:
        try:
            assert_resists_hostile_tokens(self.server.url, "/users", issuer=self.server.issuer)
            self.trials.append("")
        except AssertionError as found:
            self.trials.append(str(found))

    async def _at_rest(self) -> Vitals:
        """When nobody calls any more. At first one still does, as pools tidy up only when they are used."""
        end = time.monotonic() + IDLE_THREAD
        while time.monotonic() < end:
            await states(self.server)
            await asyncio.sleep(0.5)
        await asyncio.sleep(IDLE_CONNECTION)
        return vitals(self.server.process.pid)

    def bars(self) -> list[Bar]:
        """What it is held to."""
        before, after = self.vitals
        part, flat = MORE_MEMORY
        good, strangers, withdrawn = self.traffic.good.seen, self.traffic.strangers.seen, self.withdrawn.seen
        none_of = {
            "good requests that failed": good.total() - good["200"],
            "strangers not answered with 401": strangers.total() - strangers["401"],
            "tokens of withdrawn keys not answered with 401": withdrawn.total() - withdrawn["401"],
            "trials with the hostile corpus that found something": sum(map(bool, self.trials)),
            "exceptions in the log": self.server.log.read_text().count("Traceback"),
            "more file descriptors": after.descriptors - before.descriptors,
            "more processes": after.processes - before.processes,
        }
        name = self.server.name
        return [
            Bar(f"{name}: rotations", len(self.trials), 2, at_least=True, unit=""),
            *(Bar(f"{name}: {what}", number, 0, unit="") for what, number in none_of.items()),
            Bar(f"{name}: more threads", after.threads - before.threads, MORE_THREADS, unit=""),
            Bar(f"{name}: more memory", after.memory - before.memory, part * before.memory + flat, unit="MiB"),
        ]

    def row(self) -> tuple[str, list[float | str | None]]:
        """Of the table."""
        before, after = self.vitals
        good = self.traffic.good
        seconds = sorted(good.seconds)
        return self.server.name, [
            _counts(good),
            _counts(self.traffic.strangers),
            f"{len(self.trials)}",
            f"{self.server.front.fetches}",
            ", ".join(f"{1e3 * seconds[int(part * (len(seconds) - 1))]:.0f}" for part in (0.5, 0.99, 1)),
            f"{before.memory:.1f}, {after.memory:.1f}",
            f"{before.threads}, {after.threads}",
            f"{before.descriptors}, {after.descriptors}",
        ]


COLUMNS = (
    "good requests",
    "strangers",
    "rounds",
    "fetches",
    "ms: median, p99, most",
    "MiB before, after",
    "threads",
    "descriptors",
)


def run(bench: Bench) -> Report:
    """For ``python -m benchmarks``: a minute, or a third of it."""
    return soaked(60 if bench.effort is FULL else 20, random.randrange(1 << 32), bench.progress.say)


def soaked(seconds: float, seed: int, say: Callable[[str], None]) -> Report:
    """At least so many *seconds* of it, and what there is to say."""
    with tempfile.TemporaryDirectory() as folder:
        pace = Pace(Path(folder) / "pace")
        with fleet(KINDS, Path(folder), PACE=str(pace.path), MALLOC_ARENA_MAX="1") as standing:
            soaks = [Soak(server, random.Random(f"{seed} {name}")) for name, server in standing.items()]
            asyncio.run(_all(soaks, pace, seconds, say))
            return _report(soaks, f"soak, {seconds:g} s, seed {seed}")


async def _all(soaks: Sequence[Soak], pace: Pace, seconds: float, say: Callable[[str], None]) -> None:
    for soak in soaks:
        soak.server.front.max_age = LIFE
        await call_all(soak.server, soak.traffic.wallet)
    pace.run(SPEED)
    for part, what in ((WARM_UP, "warming up"), (1 - WARM_UP, "soaking")):
        say(f"{what}, {part * seconds:.0f} s")
        end = time.monotonic() + part * seconds
        await asyncio.gather(*(soak.until(end) for soak in soaks))


def _report(soaks: Sequence[Soak], title: str) -> Report:
    faults: Counter[str] = sum((soak.faults for soak in soaks), Counter())
    notes = [f"issuers broke: {', '.join(f'{name} {count}' for name, count in faults.most_common())}"]
    notes += [f"{soak.server.name}: {found}" for soak in soaks for found in soak.trials if found]
    table = Table(title, COLUMNS, [soak.row() for soak in soaks], [bar for soak in soaks for bar in soak.bars()], notes)
    return Report("soak", [table])


def _counts(tally: Tally) -> str:
    return ", ".join(f"{count} x {what}" for what, count in tally.seen.most_common())


def main(arguments: Sequence[str]) -> int:
    """0 if every bar is met, 1 if one is not, 2 if this system cannot say."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description="Real servers, for a minute.")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32), help="of which faults come when")
    options = parser.parse_args(arguments)
    if not (PROC / "self" / "status").exists():
        print("what a process holds is read from /proc, which this system has not", file=sys.stderr)
        return 2
    logging.getLogger("uvicorn").addHandler(logging.NullHandler())  # it would complain of every fault
    report = soaked(options.seconds, options.seed, lambda what: print(f"... {what}", file=sys.stderr, flush=True))
    print(report.tables[0])
    print("\nVERDICT:", "flat, and every answer right" if all(bar.met for bar in report.bars) else "NOT MET, see above")
    return 0 if all(bar.met for bar in report.bars) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
