"""Real servers on loopback: a cold start, forks, a rolling rotation of keys and an outage, under load."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from benchmarks.fleet import EVERY_FETCH, Kind, Standing, Wallet, fleet
from benchmarks.load import Answer, Caller, Tally, burst, calls, met
from benchmarks.served import Pace

FLASK, FASTAPI = "servers_flask:app --log-level warning", "servers_fastapi:app --log-level warning"
KINDS = {
    "sync": Kind(f"gunicorn --workers 2 {FLASK}", 2),
    "sync preload": Kind(f"gunicorn --workers 3 --preload {FLASK}", 3, "before"),
    "gthread": Kind(f"gunicorn --threads 8 {FLASK}"),
    "gevent": Kind(f"gunicorn --worker-class gevent --workers 2 {FLASK}", 2),
    "uvicorn": Kind(f"uvicorn --workers 4 {FASTAPI}", 4),
    "trio": Kind(f"hypercorn --worker-class trio {FASTAPI}"),
}


@pytest.fixture(scope="module")
def pace(tmp_path_factory: pytest.TempPathFactory) -> Pace:
    return Pace(tmp_path_factory.mktemp("pace") / "pace")


@pytest.fixture(scope="module")
def standing(pace: Pace, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Standing]]:
    with fleet(KINDS, tmp_path_factory.mktemp("logs"), PACE=str(pace.path)) as standing:
        yield standing


async def all_called(server: Standing, tally: Tally, wallet: Wallet) -> bool:
    await burst(server.port, [wallet.new() for _ in range(4)], tally)
    return len(tally.workers) == server.kind.workers


def test_try(standing):
    async def go():
        for name, server in standing.items():
            import time
            tally, wallet = Tally(), Wallet(server.issuer)
            t = time.monotonic()
            await burst(server.port, [wallet.new() for _ in range(20)], tally)
            t2 = time.monotonic()
            ok = await met(lambda: all_called(server, tally, wallet), 10)
            print(name, ok, tally.seen, dict(tally.workers), tally.slowest, server.front.fetches, round(t2-t,2), round(time.monotonic()-t2, 2))
    asyncio.run(go())
    for s in standing.values(): print(s.log.read_text()[:500])
