"""request: what the guard adds to a request; apps called in this process, without a server and its noise."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from . import apps
from .apps import NOTHING, PATH, STACKS
from .bench import Bench
from .measure import BATCH, Case, Run, Samples, fresh, interleave
from .report import Bar, Report, Table, Value
from .tokens import Site
from .verify import BARE, OURS, full_guard

LEAST = "signature and claims, no rule"
"""What a fresh token costs whoever verifies it: less does not do, and this lets expired ones in."""
PEERS = ("PyJWT + PyJWKClient", "Authlib", "oxyjwt + PyJWKClient", "ryjwt")
REPEATED, FRESH = "repeated", "fresh"
COMPARED = {
    "ASGI": "ASGI middleware over a no-op pure ASGI middleware",
    "Starlette": "Starlette's requires_scope over a no-op decorator",
    "FastAPI": "FastAPI's requires_scope over a no-op security dependency",
    "Flask": "Flask's requires_scope over a no-op decorator",
}
BARS = {  # at most, as multiples of bare verify
    "ASGI": {REPEATED: 0.2, FRESH: 1.8},
    "Starlette": {REPEATED: 0.3, FRESH: 2.3},
    "FastAPI": {REPEATED: 0.4, FRESH: 2.7},
    "Flask": {REPEATED: 0.4, FRESH: 2.5},
}


def run(bench: Bench) -> Report:
    """A table for each stack."""
    with event_loop() as loop:
        return Report("request", [_table(bench, stack, loop) for stack in STACKS])


@contextmanager
def event_loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    try:
        yield loop
    finally:
        loop.close()


def _table(bench: Bench, stack: str, loop: asyncio.AbstractEventLoop) -> Table:
    measured = {how: _samples(bench, stack, how, loop) for how in (REPEATED, FRESH)}
    repeated, fresh = measured[REPEATED], measured[FRESH]
    rows: list[tuple[str, Sequence[Value]]] = []
    for name in sorted(set(repeated.seconds) - {BARE}, key=repeated.micros):
        added, added_fresh = (samples.added(name, NOTHING, BARE).median for samples in (repeated, fresh))
        rows.append((name, [repeated.micros(name), added, added_fresh]))
    bars = [
        Bar(f"{COMPARED[stack]}, {how} token", samples.added(OURS, NOTHING, BARE).median, BARS[stack][how])
        for how, samples in measured.items()
    ]
    columns = ["CPU µs", "added, repeated token (x bare)", "added, fresh token (x bare)"]
    return Table(f"{stack}: CPU time of a request, and what is added to the no-op's", columns, rows, bars, charted=1)


def _samples(bench: Bench, stack: str, how: str, loop: asyncio.AbstractEventLoop) -> Samples:
    effort, what = bench.effort, f"request: {stack}, {how} token"
    bench.progress.say(f"{what}: minting")
    tokens = bench.site.tokens("M2M", effort.tokens if how == FRESH else 1)
    built = {
        NOTHING: apps.nothing(stack),
        OURS: apps.guarded(stack, full_guard(bench.site, tokens)),
        LEAST: apps.by_hand(stack, bench.site.verify_without_rules),
        **{name: apps.by_hand(stack, verify) for name, verify in bench.found.in_process(*PEERS).items()},
    }
    requests = wsgi_requests if stack == "Flask" else asgi_requests
    for name, app in built.items():
        check(requests, app, loop, bench.site, demands=name not in (NOTHING, LEAST))
    cases = [Case(BARE, bench.site.bare(tokens))]
    cases += [Case(name, requests(app, tokens, loop)) for name, app in built.items()]
    return interleave(cases, effort.rounds, effort.calls, bench.progress, what)


def check(requests: Any, app: Any, loop: asyncio.AbstractEventLoop, site: Site, *, demands: bool) -> None:
    """A good token is let in, and an expired one is not: or there would be nothing to measure."""
    for token, refused in ((site.m2m(), False), (site.issuer.preset("expired").encode(), demands)):
        statuses: list[int] = []
        requests(app, [token], loop, statuses)(0, 1)
        if (statuses[0] != 200) is not refused:
            raise RuntimeError(f"{app} answered {statuses}")


def asgi_requests(
    app: Any, tokens: Sequence[bytes], loop: asyncio.AbstractEventLoop, statuses: list[int] | None = None
) -> Run:
    """Requests with *tokens* to an ASGI app, in an event loop."""

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        if statuses is not None and "status" in message:
            statuses.append(message["status"])

    async def answer(scopes: list[dict[str, Any]]) -> int:
        began = time.process_time_ns()
        for scope in scopes:
            await app(scope, receive, send)
        return time.process_time_ns() - began

    return in_batches(lambda batch: loop.run_until_complete(answer([_scope(token) for token in batch])), tokens)


def wsgi_requests(
    app: Any, tokens: Sequence[bytes], loop: asyncio.AbstractEventLoop, statuses: list[int] | None = None
) -> Run:
    """Requests with *tokens* to a WSGI app."""

    def start_response(status: str, headers: list[tuple[str, str]], exc_info: object = None) -> None:
        if statuses is not None:
            statuses.append(int(status[:3]))

    def answer(batch: list[str]) -> int:
        environs = [_environ(token) for token in batch]
        began = time.process_time_ns()
        for environ in environs:
            body = app(environ, start_response)
            b"".join(body)
            body.close()
        return time.process_time_ns() - began

    return in_batches(answer, tokens)


def in_batches(answer: Callable[[list[str]], int], tokens: Sequence[bytes]) -> Run:
    """What is measured of *answer*, which says how many nanoseconds of CPU time a batch of tokens took."""

    def run(first: int, count: int) -> float:
        starts = range(first, first + count, BATCH)
        spent = sum(answer(fresh(tokens, start, min(BATCH, first + count - start))) for start in starts)
        return spent / count / 1e9

    return run


def _scope(token: str) -> dict[str, Any]:
    """As uvicorn makes them."""
    headers = [
        (b"host", b"api.example.com"),
        (b"user-agent", b"bench"),
        (b"accept", b"*/*"),
        (b"authorization", b"Bearer " + token.encode()),
    ]
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": PATH,
        "raw_path": PATH.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": headers,
        "client": ("127.0.0.1", 50000),
        "server": ("127.0.0.1", 8000),
        "state": {},
    }


def _environ(token: str) -> dict[str, Any]:
    """As gunicorn makes them."""
    return {
        "wsgi.errors": None,
        "wsgi.version": (1, 0),
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "wsgi.file_wrapper": None,
        "wsgi.input_terminated": True,
        "SERVER_SOFTWARE": "gunicorn/27.0.1",
        "wsgi.input": None,
        "gunicorn.socket": None,
        "REQUEST_METHOD": "GET",
        "QUERY_STRING": "",
        "RAW_URI": PATH,
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": "api.example.com",
        "HTTP_USER_AGENT": "bench",
        "HTTP_ACCEPT": "*/*",
        "HTTP_AUTHORIZATION": f"Bearer {token}",
        "wsgi.url_scheme": "http",
        "REMOTE_ADDR": "127.0.0.1",
        "REMOTE_PORT": "50000",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "8000",
        "PATH_INFO": PATH,
        "SCRIPT_NAME": "",
        "wsgi.early_hints": None,
    }
