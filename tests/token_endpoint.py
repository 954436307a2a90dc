"""A token endpoint without a socket, and what asks it: :class:`ClientCredentials` of one application."""

from __future__ import annotations

import json
import threading
from typing import Any

import httpx
import httpx2
from waiting import LONG

from kinde_guard.m2m import ClientCredentials

SECRET = "s3cr3t+Of/The=App"
APP: dict[str, Any] = {
    "client_id": "d4d3c5b74e064badb9625a4aa6241bcc",
    "client_secret": SECRET,
    "audience": "https://api.acme.com",
}
API = "https://api.acme.com/users"
DAY = 86_400

Answer = tuple[int, dict[str, str], bytes]


def issued(number: int, **changes: Any) -> Answer:
    body = {"access_token": f"token-{number}", "expires_in": DAY, "scope": "", "token_type": "bearer", **changes}
    return 200, {}, json.dumps(body).encode()


def refusal(code: str, status: int = 400, **headers: str) -> Answer:
    return status, headers, json.dumps({"error": code, "error_description": f"<echo> {SECRET}"}).encode()


class Kinde(httpx.MockTransport):
    """A token endpoint without a socket. It issues token-1, token-2, …, unless it is given other *answers*."""

    def __init__(self, *answers: Answer | Exception) -> None:
        super().__init__(self._respond)
        self.answers = list(answers)
        self.requests: list[httpx.Request] = []
        self.arrived, self.open = threading.Event(), threading.Event()
        self.open.set()

    def _respond(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self.answers.pop(0) if self.answers else issued(len(self.requests))
        self.arrived.set()
        assert self.open.wait(LONG)
        if isinstance(answer, Exception):
            raise answer
        status, headers, body = answer
        return httpx.Response(status, headers=headers, content=body)


class Clock:
    def __init__(self, now: float = 1_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class Api:
    """A handler for either library's MockTransport: keeps what it sees, answers 200 unless given other *answers*."""

    def __init__(self, *answers: tuple[int, dict[str, str]]) -> None:
        self.answers = list(answers)
        self.seen: list[tuple[str, str, str | None]] = []

    def __call__(self, request: Any) -> Any:
        self.seen.append((request.method, str(request.url), request.headers.get("authorization")))
        status, headers = self.answers.pop(0) if self.answers else (200, {})
        library = httpx if isinstance(request, httpx.Request) else httpx2
        return library.Response(status, headers=headers)

    @property
    def tokens(self) -> list[str | None]:
        return [authorization for _, _, authorization in self.seen]


def credentials(kinde: Kinde | None = None, clock: Clock | None = None, **settings: Any) -> ClientCredentials:
    domain = settings.pop("domain", "acme.kinde.com")
    return ClientCredentials(domain, **APP | settings, transport=kinde or Kinde(), clock=clock or Clock())


def settle(auth: ClientCredentials) -> None:
    """Wait until no fetch is under way, behind the callers' backs though it be."""
    future = auth.holder._flight.under_way
    if future is not None:
        future.result(LONG)
