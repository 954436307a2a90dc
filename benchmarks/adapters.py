"""adapters: what MCP, Django, forward auth and Envoy's authorization add to a call, beside what people use in their
place; in this process. Through a real nginx it is a request's whole way that counts."""

from __future__ import annotations

import asyncio
import importlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from . import behind_nginx
from .apps import NOTHING, forward, mcp
from .bench import Bench
from .measure import Case, Run, interleave
from .report import Bar, Report, Table, Value
from .request import asgi_requests, check, event_loop, in_batches, wsgi_requests
from .verify import BARE, OURS

PEERS = ("PyJWT + PyJWKClient", "Authlib")
STOCK = "the SDK's bearer check with fastmcp's JWTVerifier"
BARS = {
    "MCP": 8.0,
    "Django": 1.6,
    "Django REST framework": 1.6,
    "Django Ninja": 1.8,
    "forward auth": 0.4,
    "Envoy over gRPC": 1.2,
}
"""At most, with a repeated token, as multiples of a bare verification."""

Requests = Callable[..., Run]


def run(bench: Bench) -> Report:
    """A table each. Tokens are repeated, as they are on most calls."""
    token = bench.site.tokens("M2M", 1)
    with event_loop() as loop:
        tables = [*_services(bench, token, loop), *_django(bench, token, loop)]
        with _mcp_apps(bench, loop) as apps:
            tables.append(_table(bench, "MCP", apps, token, loop, mcp_requests))
    return Report("adapters", [*tables, behind_nginx.table(bench)])


def _services(bench: Bench, token: Sequence[bytes], loop: asyncio.AbstractEventLoop) -> Iterator[Table]:
    """What a reverse proxy asks: over HTTP, and over gRPC as Envoy does."""
    from .apps import ext_authz

    verifiers = bench.found.in_process(*PEERS)
    services: tuple[tuple[str, Any, Requests], ...] = (
        ("forward auth", forward, asgi_requests),
        ("Envoy over gRPC", ext_authz, grpc_requests),
    )
    for what, service, requests in services:
        apps = {
            NOTHING: service.nothing(),
            OURS: service.guarded(bench.site.guard()),
            **{name: service.by_hand(verify) for name, verify in verifiers.items()},
        }
        yield _table(bench, what, apps, token, loop, requests)


def _django(bench: Bench, token: Sequence[bytes], loop: asyncio.AbstractEventLoop) -> Iterator[Table]:
    from .apps import django

    verifiers = bench.found.in_process(*PEERS)
    for framework, apps in django.apps(bench.site.guard(), verifiers, NOTHING, OURS).items():
        yield _table(bench, framework, apps, token, loop, wsgi_requests)


def _table(
    bench: Bench,
    what: str,
    apps: Mapping[str, Any],
    token: Sequence[bytes],
    loop: asyncio.AbstractEventLoop,
    requests: Requests,
) -> Table:
    for name, app in apps.items():
        check(requests, app, loop, bench.site, demands=name != NOTHING)
    cases = [Case(BARE, bench.site.bare(token))]
    cases += [Case(name, requests(app, token, loop)) for name, app in apps.items()]
    effort = bench.effort
    samples = interleave(cases, effort.rounds, effort.calls, bench.progress, f"adapters: {what}")
    rows: list[tuple[str, Sequence[Value]]] = []
    for name in sorted(apps, key=samples.micros):
        added = samples.added(name, NOTHING, BARE).median
        rows.append((name, [samples.micros(name), samples.micros(name) - samples.micros(NOTHING), added]))
    bar = Bar(f"{what}, repeated token", samples.added(OURS, NOTHING, BARE).median, BARS[what])
    return Table(f"{what}: CPU time of a call", ["CPU µs", "added µs", "added (x bare)"], rows, [bar], charted=2)


@contextmanager
def _mcp_apps(bench: Bench, loop: asyncio.AbstractEventLoop) -> Iterator[dict[str, Any]]:
    """The servers, as long as they run."""
    apps = {NOTHING: mcp.nothing(), OURS: mcp.guarded(bench.site.guard())}
    if not bench.alone and (verifier := _stock_verifier(bench)) is not None:
        apps[STOCK] = mcp.stock(bench.site.issuer.url, verifier)
    over = asyncio.Event()
    running = loop.create_task(_serve(list(apps.values()), over))
    try:
        loop.run_until_complete(asyncio.sleep(0))
        yield apps
    finally:
        over.set()
        loop.run_until_complete(running)


async def _serve(apps: Sequence[Any], over: asyncio.Event) -> None:
    if not apps:
        await over.wait()
        return
    async with apps[0].router.lifespan_context(apps[0]):
        await _serve(apps[1:], over)


def _stock_verifier(bench: Bench) -> Any:
    try:
        jwt = importlib.import_module("fastmcp.server.auth.providers.jwt")
    except ImportError:
        return None
    site = bench.site
    return jwt.JWTVerifier(jwks_uri=site.jwks_url, issuer=site.issuer.url, audience=site.audience, algorithm="RS256")


def grpc_requests(servicer: Any, tokens: Sequence[bytes], loop: object, statuses: list[int] | None = None) -> Run:
    """Questions of Envoy's, each about a request with one of *tokens*."""
    from .apps import ext_authz

    def answer(batch: list[str]) -> int:
        asked = [ext_authz.asked(token) for token in batch]
        began = time.process_time_ns()
        for question in asked:
            said = ext_authz.answer(servicer, question)
            if statuses is not None:
                statuses.append(ext_authz.status_of(said))
        return time.process_time_ns() - began

    return in_batches(answer, tokens)


def mcp_requests(
    app: Any, tokens: Sequence[bytes], loop: asyncio.AbstractEventLoop, statuses: list[int] | None = None
) -> Run:
    """Calls of the tool, each by a request of its own."""

    async def answer(batch: list[str]) -> int:
        began = time.process_time_ns()
        for token in batch:
            status = await _call(app, token)
            if statuses is not None:
                statuses.append(status)
        return time.process_time_ns() - began

    return in_batches(lambda batch: loop.run_until_complete(answer(batch)), tokens)


async def _call(app: Any, token: str) -> int:
    sent: list[dict[str, Any]] = []
    came = [{"type": "http.request", "body": mcp.BODY, "more_body": False}]

    async def receive() -> dict[str, Any]:
        if came:
            return came.pop()
        await asyncio.Future()  # the client stays, and says no more
        raise AssertionError

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await app(_scope(token), receive, send)
    return int(sent[0]["status"])


def _scope(token: str) -> dict[str, Any]:
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": mcp.PATH,
        "raw_path": mcp.PATH.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"127.0.0.1:8000"), (b"authorization", b"Bearer " + token.encode()), *mcp.HEADERS],
        "client": ("127.0.0.1", 50000),
        "server": ("127.0.0.1", 8000),
        "state": {},
    }
