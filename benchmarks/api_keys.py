"""api_keys: what a request with an API key pays, beside asking Kinde about it each time.

Kinde is a process of its own, ``python -m benchmarks.api_keys``, on loopback and without TLS: a real one is farther.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx

from kinde_guard import Guard
from kinde_guard.api_keys import ApiKeys
from kinde_guard.m2m import ClientCredentials

from .bench import Bench
from .measure import FULL, Case, calls, interleave
from .report import Bar, Report, Table, Value

API, PATH = "api_1", "/api/v1/api_keys"
TOKEN, KEY = "a token that is known", "a key that is known"
KEYS, MOST_RATIO = 100, 1.3


def run(bench: Bench) -> Report:
    """A table of what is known, by CPU time, and one of what has to be asked, by the clock on the wall."""
    with _kinde() as url:
        return Report("api_keys", [_known(bench, url), _asked(bench, url)])


def _known(bench: Bench, url: str) -> Table:
    token_guard, key_guard = bench.site.guard(), _guard(url)
    tokens, keys = bench.site.tokens("M2M", KEYS), [_key().encode() for _ in range(KEYS)]
    for key in keys:
        key_guard.verify(key.decode())
    cases = [Case(TOKEN, calls(token_guard.verify, tokens)), Case(KEY, calls(key_guard.verify, keys))]
    samples = interleave(cases, bench.effort.rounds, bench.effort.calls, bench.progress, "api_keys: known ones")
    rows: list[tuple[str, list[Value]]] = [(case.name, [samples.micros(case.name)]) for case in cases]
    bar = Bar("a key that is known", samples.ratio(KEY, TOKEN).median, MOST_RATIO, unit="x a token that is known")
    return Table("api_keys: what is known, CPU time", ["µs"], rows, [bar])


def _asked(bench: Bench, url: str) -> Table:
    times = 300 if bench.effort is FULL else 50
    guard = _guard(url)

    async def new_one(_: httpx.AsyncClient) -> None:
        await guard.averify(_key())

    async def each_time(client: httpx.AsyncClient) -> None:
        (await client.post(f"{url}{PATH}/verify", json={"api_key": _key()})).json()

    async def as_in_kinde_s_sample(_: httpx.AsyncClient) -> None:
        async with httpx.AsyncClient() as client:
            await each_time(client)

    cases: dict[str, Callable[[httpx.AsyncClient], Awaitable[None]]] = {
        "a new key: the guard asks, twice": new_one,
        "verify for each request, connection kept": each_time,
        "verify for each request, a client each (Kinde's sample)": as_in_kinde_s_sample,
    }
    took = {name: asyncio.run(_timed(ask, times)) for name, ask in cases.items()}
    rows: list[tuple[str, list[Value]]] = [(name, [*values]) for name, values in took.items()]
    return Table("api_keys: what has to be asked, wall time", ["µs, median", "µs, p99"], rows)


async def _timed(ask: Callable[[httpx.AsyncClient], Awaitable[None]], times: int) -> tuple[float, float]:
    """Microseconds, median and p99, one after the other."""
    took = []
    async with httpx.AsyncClient() as client:
        for _ in range(times):
            began = time.perf_counter()
            await ask(client)
            took.append((time.perf_counter() - began) * 1e6)
    return statistics.median(took), statistics.quantiles(took, n=100)[98]


def _key() -> str:
    return f"k_live_{secrets.token_hex(16)}"


def _guard(url: str) -> Guard:
    auth = ClientCredentials(url, client_id="c", client_secret="s", audience=f"{url}/api", shared=False)
    api_keys = ApiKeys(auth, api_ids=API, calls_per_minute=100_000)
    return Guard(url, audience="https://api.acme.com", api_keys=api_keys, variables=())


@contextmanager
def _kinde() -> Iterator[str]:
    command = [sys.executable, "-m", "benchmarks.api_keys"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


class _Kinde(BaseHTTPRequestHandler):
    """Every key is good, and another one."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("content-length", 0)))
        if self.path == "/oauth2/token":
            self._answer({"access_token": "m2m", "token_type": "bearer", "expires_in": 86_400})
        elif self.path == f"{PATH}/verify":
            facts = {"status": "active", "scopes": ["read:users"], "org_code": None, "user_id": "kp_1"}
            self._answer({"is_valid": True, "key_id": f"api_key_{secrets.token_hex(16)}", **facts})
        else:
            self._answer({"api_key": {"id": self.path.rpartition("/")[2], "status": "active", "api_ids": [API]}})

    do_GET = do_POST  # noqa: N815  # as http.server calls it

    def _answer(self, said: dict[str, Any]) -> None:
        body = json.dumps(said).encode()
        head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        self.wfile.write(head.encode() + body)

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


if __name__ == "__main__":
    with ThreadingHTTPServer(("127.0.0.1", 0), _Kinde) as server:
        print(f"http://127.0.0.1:{server.server_port}", flush=True)
        server.serve_forever()
