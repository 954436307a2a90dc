"""From a webhook that is posted to one of several HTTP servers, until the last of them answers 401."""

from __future__ import annotations

import http.client
import json
import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path

from .apps.hooked import PATH, VARIABLE, WEBHOOKS
from .bench import Bench
from .report import Bar, Table, Value
from .server import free_port
from .tokens import Site

START, GIVEN_UP = 300.0, 30.0
"""Seconds until a server is up, and until it is taken that a revocation has got lost."""
BETWEEN = 0.002
"""Seconds from an answer to the next request."""
MOST = 1_000.0
"""Milliseconds."""


def table(bench: Bench, url: str, servers: int, times: int) -> Table:
    """*times* users are deleted, of whom each of *servers* knows a token; the revocations are in the Redis at *url*."""
    took = []
    with ExitStack() as stack:
        ports = [stack.enter_context(_server(bench.site, url, number)) for number in range(servers)]
        for port in ports:
            _wait_for(port)
        for number in range(times):
            bench.progress.say(f"revocation: a webhook, {servers} servers", number + 1, times)
            took.append(_until_the_last(bench.site, ports, number) * 1000)
    bench.progress.clear()
    row: list[Value] = [statistics.median(took), statistics.quantiles(took, n=100)[98], max(took)]
    title = f"revocation: from POSTing a webhook to a 401 from the last of {servers} servers"
    bars = [Bar("the last server answers 401, at most", max(took), MOST, unit="ms")]
    notes = ["Half of them FastAPI on uvicorn, half Flask on gunicorn; all are asked all the time, and know the token."]
    return Table(title, ["p50, ms", "p99", "max"], [(f"{times:,} webhooks", row)], bars, notes)


@contextmanager
def _server(site: Site, url: str, number: int) -> Iterator[int]:
    """One of the servers; gives its port."""
    port = free_port()
    settings = {"domain": site.issuer.url, "audience": site.audience, "jwks_url": site.jwks_url}
    variables = {VARIABLE: json.dumps(settings), "KINDE_REVOCATIONS_URL": url}
    with subprocess.Popen(
        [sys.executable, "-m", *_command(number, port)], env=os.environ | variables, cwd=Path(__file__).parent.parent
    ) as process:
        try:
            yield port
        finally:
            process.terminate()


def _command(number: int, port: int) -> list[str]:
    if number % 2:
        return [
            *("gunicorn", "benchmarks.apps.hooked:by_flask()", "--bind", f"127.0.0.1:{port}", "--log-level", "warning"),
            *("--worker-class", "gthread", "--threads", "4"),
        ]
    return [
        *("uvicorn", "benchmarks.apps.hooked:by_fastapi", "--factory", "--port", str(port)),
        *("--no-access-log", "--log-level", "warning"),
    ]


def _wait_for(port: int) -> None:
    end = time.monotonic() + START
    while time.monotonic() < end:
        with suppress(OSError), closing(Asker(port, "")) as asker:
            asker.ask()
            return
        time.sleep(0.05)
    raise RuntimeError("a server does not answer")


def _until_the_last(site: Site, ports: Sequence[int], number: int) -> float:
    """Seconds."""
    user, now = f"kp_{number:032x}", site.issuer.now()
    token = site.issuer.user_token(user, iat=int(now) - 60)
    askers = [Asker(port, token) for port in ports]
    for asker in askers:
        if asker.ask() != 200:
            raise RuntimeError("a good token is refused")
    threads = [threading.Thread(target=asker.ask_until_401) for asker in askers]
    for thread in threads:
        thread.start()
    body = site.issuer.webhook_jwt("user.deleted", data={"user": {"id": user}})
    began = time.monotonic()
    _post(ports[number % len(ports)], body)
    for thread in threads:
        thread.join()
    return max(asker.refused_at for asker in askers) - began


def _post(port: int, body: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=GIVEN_UP)
    connection.request("POST", WEBHOOKS, body, {"Content-Type": "application/jwt"})
    if (status := connection.getresponse().status) != 200:
        raise RuntimeError(f"the webhook is answered with {status}")
    connection.close()


class Asker:
    """Whoever calls one server with one token, on one connection."""

    def __init__(self, port: int, token: str) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=GIVEN_UP)
        self._headers = {"Authorization": f"Bearer {token}"}
        self.refused_at = float("inf")

    def ask(self) -> int:
        """The status of the answer."""
        self._connection.request("GET", PATH, headers=self._headers)
        answer = self._connection.getresponse()
        answer.read()
        return answer.status

    def ask_until_401(self) -> None:
        """Again and again."""
        end = time.monotonic() + GIVEN_UP
        while time.monotonic() < end:
            if self.ask() == 401:
                self.refused_at = time.monotonic()
                break
            time.sleep(BETWEEN)
        self.close()

    def close(self) -> None:
        """The connection."""
        self._connection.close()
