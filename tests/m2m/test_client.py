"""Machine to machine: one token for all, held and refreshed, put where it belongs, and errors that say what to do."""

from __future__ import annotations

import asyncio
import logging
import os
import pickle
import subprocess
import sys
import threading
import traceback
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote_plus

import anyio
import httpx
import httpx2
import pytest
from helpers import fork
from token_endpoint import API, APP, DAY, SECRET, Answer, Api, Clock, Kinde, credentials, issued, refusal, settle
from waiting import LONG, until

from kinde_guard import ConfigurationError, KindeGuardError
from kinde_guard.issuer import LocalIssuer
from kinde_guard.m2m import (
    ClientCredentials,
    TokenEndpointUnavailable,
    TokenRefused,
    TokenRequestFailed,
    TooManyTokenRequests,
)

REFUSED = 'Bearer realm="api", error="invalid_token", error_description="The access token has expired."'
CLIENTS = [httpx.Client, httpx.AsyncClient, httpx2.Client, httpx2.AsyncClient]
every_client = pytest.mark.parametrize("client", CLIENTS, ids=lambda kind: f"{kind.__module__}.{kind.__name__}")


def ask(client: Any, auth: ClientCredentials, api: Api, *args: Any, **kwargs: Any) -> int:
    """One request through any of the four clients; its status."""
    library = sys.modules[client.__module__]
    settings = {"auth": auth, "transport": library.MockTransport(api), "follow_redirects": True}
    if client.__name__ == "Client":
        with client(**settings) as sync_client:
            return int(sync_client.request(*args, **kwargs).status_code)

    async def main() -> int:
        async with client(**settings) as async_client:
            return int((await async_client.request(*args, **kwargs)).status_code)

    return asyncio.run(main())


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(autouse=True)
def _no_environment(no_settings: None) -> None:
    """Applications are what each test says."""


# The request


def test_asks_as_kinde_wants_it_and_holds_the_token() -> None:
    """Form-encoded, the credentials in the body, one audience parameter each; the second call costs nothing."""
    kinde = Kinde()
    auth = credentials(kinde, audience=["https://api.acme.com", "hasura"], scopes="read:users write:flags")

    assert auth.token() == auth.token() == "token-1"

    (request,) = kinde.requests
    assert (request.method, str(request.url)) == ("POST", "https://acme.kinde.com/oauth2/token")
    assert request.headers["content-type"] == "application/x-www-form-urlencoded"
    assert "authorization" not in request.headers
    assert parse_qs(request.content.decode()) == {
        "grant_type": ["client_credentials"],
        "client_id": [APP["client_id"]],
        "client_secret": [SECRET],
        "audience": ["https://api.acme.com", "hasura"],
        "scope": ["read:users write:flags"],
    }


def test_without_scopes_none_is_sent() -> None:
    """Kinde then grants all that the application has."""
    kinde = Kinde()
    credentials(kinde).token()
    assert "scope" not in parse_qs(kinde.requests[0].content.decode(), keep_blank_values=True)


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"token_type": "Bearer"}, id="Bearer"),
        pytest.param({"token_type": "BEARER", "expires_in": 86399.5}, id="a fraction"),
        pytest.param({"expires_in": 10**30}, id="for ever"),
        pytest.param({"expires_in": float("inf")}, id="for ever and ever"),
        pytest.param({"expires_in": 1}, id="the shortest life"),
    ],
)
def test_accepted_answers(changes: dict[str, Any]) -> None:
    assert credentials(Kinde(issued(1, **changes))).token() == "token-1"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "not JSON"),
        (b"<html>", "not JSON"),
        (b"\xff{}", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b'["access_token"]', "not a JSON object"),
        (issued(1, access_token=None)[2], "access_token"),
        (issued(1, access_token="")[2], "access_token"),
        (issued(1, access_token="two words")[2], "access_token"),
        (issued(1, access_token="a\r\nX-Header: b")[2], "access_token"),
        (issued(1, token_type="mac")[2], "token_type"),
        (issued(1, token_type=None)[2], "token_type"),
        (issued(1, expires_in=0)[2], "expires_in"),
        (issued(1, expires_in=-1)[2], "expires_in"),
        (issued(1, expires_in=True)[2], "expires_in"),
        (issued(1, expires_in="3600")[2], "expires_in"),
        (issued(1, expires_in=None)[2], "expires_in"),
        (issued(1, expires_in=float("nan"))[2], "expires_in"),
        (issued(1, expires_in=1e-300)[2], "expires_in"),
        (issued(1, expires_in=0.99)[2], "expires_in"),
        (issued(1, expires_in=[3600])[2], "expires_in"),
    ],
)
def test_an_answer_that_is_not_right_is_no_token(body: bytes, words: str) -> None:
    with pytest.raises(TokenEndpointUnavailable, match=words) as caught:
        credentials(Kinde((200, {}, body))).token()
    assert caught.value.error == "temporarily_unavailable"
    assert caught.value.retryable
    assert caught.value.retry_after == (60 if words == "expires_in" else 1)  # where there is a token, there is a bill


# One for all


def test_two_hundred_cold_callers_cost_one_request() -> None:
    """Threads and tasks, at once."""
    kinde = Kinde()
    kinde.open.clear()
    auth = credentials(kinde)
    start = threading.Barrier(102)

    def call() -> str:
        start.wait(LONG)
        return auth.token()

    async def tasks() -> list[str]:
        start.wait(LONG)
        return await asyncio.gather(*(auth.atoken() for _ in range(100)))

    with ThreadPoolExecutor(101) as pool:
        threads = [pool.submit(call) for _ in range(100)]
        loop = pool.submit(lambda: asyncio.run(tasks()))
        start.wait(LONG)
        assert kinde.arrived.wait(LONG)
        kinde.open.set()
        answers = [thread.result(LONG) for thread in threads] + loop.result(LONG)

    assert answers == ["token-1"] * 200
    assert len(kinde.requests) == 1


@pytest.mark.anyio
async def test_tasks_of_any_loop_share_one_request() -> None:
    kinde, api = Kinde(), Api()
    auth = credentials(kinde)

    async def call() -> None:
        async with httpx.AsyncClient(auth=auth, transport=httpx.MockTransport(api)) as client:
            await client.get(API)

    async with anyio.create_task_group() as group:
        for _ in range(20):
            group.start_soon(call)

    assert api.tokens == ["Bearer token-1"] * 20
    assert await auth.atoken() == "token-1"
    assert len(kinde.requests) == 1


@pytest.mark.anyio
async def test_a_cancelled_waiter_harms_nobody() -> None:
    kinde = Kinde()
    kinde.open.clear()
    auth = credentials(kinde)
    async with anyio.create_task_group() as group:
        group.start_soon(auth.atoken)
        while not kinde.arrived.is_set():
            await anyio.sleep(0.001)
        group.cancel_scope.cancel()
    kinde.open.set()

    assert await auth.atoken() == "token-1"
    assert len(kinde.requests) == 1


def test_another_event_loop_finds_the_same_token() -> None:
    kinde = Kinde()
    auth = credentials(kinde)
    assert [asyncio.run(auth.atoken()) for _ in range(3)] == ["token-1"] * 3
    assert len(kinde.requests) == 1


def test_a_caller_that_comes_late_does_not_ask_again() -> None:
    """It saw that there was no token, and was held up until another's request had come and gone."""
    kinde = Kinde()
    late: list[str] = []

    class HeldUp(Clock):
        def __call__(self) -> float:
            if not late:
                late.append("")
                late.append(auth.token())
            return super().__call__()

    auth = credentials(kinde, HeldUp())

    assert auth.token() == late[1] == "token-1"
    assert len(kinde.requests) == 1


def test_a_child_forked_in_the_middle_of_a_fetch_gets_its_own() -> None:
    kinde = Kinde()
    kinde.open.clear()
    auth = credentials(kinde)
    with ThreadPoolExecutor(1) as pool:
        parent = pool.submit(auth.token)
        assert kinde.arrived.wait(LONG)
        reader, writer = os.pipe()
        child = fork()
        if child == 0:
            try:
                kinde.open = threading.Event()
                kinde.open.set()
                os.write(writer, auth.token().encode())
            finally:
                os._exit(0)
        os.close(writer)
        with os.fdopen(reader) as pipe:
            assert pipe.read() == "token-2"
        os.waitpid(child, 0)
        kinde.open.set()
        assert parent.result(LONG) == "token-1"


# Time


@pytest.mark.parametrize(
    ("life", "young", "due", "over"),
    [
        pytest.param(DAY, DAY - 301, DAY - 299, DAY - 9, id="a day"),
        pytest.param(3600, 3299, 3301, 3591, id="an hour"),
        pytest.param(100, 79, 81, 96, id="100 seconds"),
        pytest.param(None, 239, 241, 291, id="not said: five minutes"),
    ],
)
def test_refreshed_ahead_of_its_end(life: float | None, young: float, due: float, over: float) -> None:
    """Young: kept. Due: handed out while another is fetched behind the caller. Over: waited for."""
    changes = {"expires_in": life}
    answer = issued(1, **changes) if life else (200, {}, b'{"access_token": "token-1", "token_type": "bearer"}')
    kinde, clock = Kinde(answer), Clock()
    auth = credentials(kinde, clock)
    auth.token()

    clock.now = 1_000 + young
    assert auth.token() == "token-1"
    settle(auth)
    assert len(kinde.requests) == 1

    clock.now = 1_000 + due
    kinde.open.clear()
    assert [auth.token() for _ in range(9)] == ["token-1"] * 9
    kinde.open.set()
    settle(auth)
    assert auth.token() == "token-2"
    assert len(kinde.requests) == 2

    clock.now = 1_000 + due + DAY - 9
    assert auth.token() == "token-3"


def test_a_token_that_is_over_on_arrival_is_used_once() -> None:
    """By those who waited for it: one request a call, and no loop."""
    kinde, clock = Kinde(issued(1, expires_in=1), issued(2, expires_in=1)), Clock()
    auth = credentials(kinde, clock)
    kinde.open.clear()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(auth.token)
        assert kinde.arrived.wait(LONG)
        clock.now += 1
        kinde.open.set()
        assert waiting.result(LONG) == "token-1"
    assert auth.token() == "token-2"
    assert len(kinde.requests) == 2


def test_the_clock_of_the_library_goes_on_by_itself() -> None:
    kinde = Kinde(issued(1, expires_in=1))
    auth = ClientCredentials("acme.kinde.com", **APP, transport=kinde)
    auth.token()
    until(lambda: auth.token() == "token-2")


@pytest.mark.parametrize(
    ("ageing", "wall"),
    [
        pytest.param(3_592, 0, id="the wall clock was set back, or stands still"),
        pytest.param(3_592, -1e9, id="the wall clock starts anew"),
        pytest.param(0, 3_592, id="the machine was stopped, and its snapshot goes on"),
        pytest.param(-900, 3_592, id="the machine was started anew"),
    ],
)
def test_over_as_soon_as_either_clock_says_so(ageing: float, wall: float) -> None:
    kinde, clock, calendar = Kinde(issued(1, expires_in=3_600)), Clock(), Clock(1.8e9)
    auth = credentials(kinde, clock, wall=calendar)
    assert auth.token() == auth.token() == "token-1"

    clock.now += ageing
    calendar.now += wall
    assert auth.token() == "token-2"


@pytest.mark.parametrize(("ageing", "wall"), [(3_000, 0), (0, 3_000), (3_000, 3_000), (3_000, -1e9), (0, -1e9)])
def test_good_while_both_clocks_say_so(ageing: float, wall: float) -> None:
    kinde, clock, calendar = Kinde(issued(1, expires_in=3_600)), Clock(), Clock(1.8e9)
    auth = credentials(kinde, clock, wall=calendar)
    auth.token()
    clock.now += ageing
    calendar.now += wall
    assert auth.token() == "token-1"
    assert len(kinde.requests) == 1


# Failures


@pytest.mark.parametrize(
    ("answer", "kind", "error", "words"),
    [
        (refusal("invalid_client", 401), TokenRefused, "invalid_client", "Rotating the secret"),
        (refusal("invalid_client"), TokenRefused, "invalid_client", "one environment, here https://acme.kinde.com"),
        (refusal("unauthorized_client"), TokenRefused, "unauthorized_client", "then APIs, and authorise it"),
        (refusal("invalid_scope"), TokenRefused, "invalid_scope", "'read:users'.*Manage scopes"),
        (refusal("invalid_request"), TokenRefused, "invalid_request", "audience https://api.acme.com"),
        (refusal("unsupported_grant_type"), TokenRefused, "unsupported_grant_type", "machine to machine"),
        (refusal(SECRET), TokenRefused, "unexpected_answer", "answered 400"),
        ((404, {}, b"<html>"), TokenRefused, "unexpected_answer", "answered 404.*KINDE_M2M_DOMAIN"),
        (
            (403, {"cf-mitigated": "challenge"}, b"<html>"),
            TokenEndpointUnavailable,
            "temporarily_unavailable",
            "Cloudflare in front of the issuer refused this machine",
        ),
        ((403, {"server": "cloudflare"}, b'{"error": "invalid_client"}'), TokenRefused, "invalid_client", "Rotating"),
        ((403, {}, b"<html>"), TokenRefused, "unexpected_answer", "answered 403"),
        ((302, {"location": "https://evil.example"}, b""), TokenRefused, "unexpected_answer", "answered 302"),
        ((400, {}, b'{"error": ["invalid_client"]}'), TokenRefused, "unexpected_answer", "answered 400"),
        (refusal("invalid_client", 429), TooManyTokenRequests, "too_many_requests", "one ClientCredentials"),
        (refusal("server_error", 503), TokenEndpointUnavailable, "temporarily_unavailable", "answered 503"),
        (httpx.ConnectError("[Errno 111] refused"), TokenEndpointUnavailable, "temporarily_unavailable", "Errno 111"),
        (httpx.ReadError(f"b'…={SECRET}'"), TokenEndpointUnavailable, "temporarily_unavailable", r"\*\*\*"),
        (httpx.WriteError(quote_plus(SECRET)), TokenEndpointUnavailable, "temporarily_unavailable", r"\*\*\*"),
        (TimeoutError(SECRET), TokenEndpointUnavailable, "temporarily_unavailable", "in time"),
        (LookupError(SECRET), TokenEndpointUnavailable, "temporarily_unavailable", "LookupError"),
    ],
)
def test_each_failure_says_what_to_do(
    answer: Answer | Exception, kind: type[TokenRequestFailed], error: str, words: str
) -> None:
    with pytest.raises(KindeGuardError, match=words) as caught:
        credentials(Kinde(answer), scopes=["read:users"]).token()

    failure = caught.value
    assert type(failure) is kind
    assert (failure.error, failure.retry_after) == (error, 1)
    assert failure.retryable == (kind is not TokenRefused)
    assert str(failure).startswith(f"{error}: ")
    assert str(pickle.loads(pickle.dumps(failure))) == str(failure)
    shown = repr(failure) + "".join(traceback.format_exception(failure))
    assert SECRET not in shown
    assert quote_plus(SECRET) not in shown
    assert "<echo>" not in shown


def test_a_failure_is_told_again_without_a_request_until_the_wait_is_over() -> None:
    kinde, clock = Kinde(refusal("invalid_client"), refusal("invalid_client")), Clock()
    auth = credentials(kinde, clock)
    for _ in range(3):
        with pytest.raises(TokenRefused):
            auth.token()
    assert len(kinde.requests) == 1

    clock.now += 1
    with pytest.raises(TokenRefused):
        asyncio.run(auth.atoken())
    assert len(kinde.requests) == 2

    clock.now += 2
    assert auth.token() == "token-3"


def test_the_wait_doubles_to_half_a_minute() -> None:
    """With full jitter: at most 1, 2, 4, … seconds, of which the error tells what is left, rounded up."""
    kinde, clock = Kinde(*[refusal("invalid_client")] * 40), Clock()
    auth = credentials(kinde, clock)
    waits = []
    for _ in range(40):
        with pytest.raises(TokenRefused) as caught:
            auth.token()
        waits.append(caught.value.retry_after)
        clock.now += caught.value.retry_after
    assert all(1 <= wait <= min(2**attempt, 30) for attempt, wait in enumerate(waits))
    assert max(waits) > 8
    assert len(kinde.requests) == 40


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        pytest.param({"RateLimit-Reset": "7"}, 7, id="as Kinde says"),
        pytest.param({"RateLimit-Reset": "1735689600"}, 300, id="bounded"),
        pytest.param({"RateLimit-Reset": "9" * 400}, 300, id="bounded, however long"),
        pytest.param({"RateLimit-Reset": "59.5"}, 60, id="a fraction"),
        pytest.param({"Retry-After": "9"}, 9, id="Retry-After"),
        pytest.param({"Retry-After": "9.25"}, 10, id="Retry-After, a fraction"),
        pytest.param({"Retry-After": "Wed, 01 Jan 2025 00:01:00 GMT"}, 60, id="a date"),
        pytest.param({"Retry-After": "Wednesday, 01-Jan-25 00:01:00 GMT"}, 60, id="a date of RFC 850"),
        pytest.param({"Retry-After": "Wed Jan  1 00:01:00 2025"}, 60, id="a date of C's asctime, in GMT too"),
        pytest.param({"RateLimit-Reset": "Wed, 01 Jan 2025 00:01:00 GMT"}, 60, id="a date there"),
        pytest.param({"Retry-After": "Thu, 01 Jan 2026 00:00:00 GMT"}, 300, id="a date far ahead"),
        pytest.param({"Retry-After": "Wed, 01 Jan 2020 00:00:00 GMT"}, 1, id="a date that has passed"),
        pytest.param(
            {"Retry-After": "Wed, 01 Jan 2020 00:01:00 GMT", "Date": "Wed, 01 Jan 2020 00:00:00 GMT"},
            60,
            id="a date, and by which clock",
        ),
        pytest.param({"RateLimit-Reset": "soon", "Retry-After": "9"}, 9, id="one of two can be read"),
        pytest.param({"RateLimit-Reset": "5", "Retry-After": "9"}, 9, id="the longer of two"),
        pytest.param({"Retry-After": "9 s"}, 1, id="a unit"),
        pytest.param({"Retry-After": "1e2"}, 1, id="not digits"),
        pytest.param({"Retry-After": "Wed, 99 Jan 2025 00:01:00 GMT"}, 1, id="no date"),
        pytest.param({"RateLimit-Reset": "soon"}, 1, id="not a number"),
        pytest.param({"RateLimit-Reset": "-5"}, 1, id="negative"),
    ],
)
def test_the_wait_that_kinde_asks_for(headers: dict[str, str], wait: int) -> None:
    kinde, clock = Kinde((429, headers, b"")), Clock()
    auth = credentials(kinde, clock, wall=lambda: 1_735_689_600.0)  # 2025-01-01 00:00 GMT
    with pytest.raises(TooManyTokenRequests) as caught:
        auth.token()
    assert caught.value.retry_after == wait

    clock.now += wait
    assert auth.token() == "token-2"


@pytest.mark.parametrize("headers", [{"Retry-After": "Wed, 01 Jan 2025 00:01:00 GMT"}, {"RateLimit-Reset": "59.75"}])
@pytest.mark.parametrize("status", [429, 503, 400])
def test_who_is_asked_to_wait_asks_once(headers: dict[str, str], status: int) -> None:
    """Not a moment too early: a date is cut to whole seconds."""
    kinde, clock, calendar = Kinde((status, headers, b"")), Clock(), Clock(1_735_689_600.9)
    auth = credentials(kinde, clock, wall=calendar)
    for _ in range(120):
        with pytest.raises(TokenRequestFailed):
            auth.token()
        clock.now += 0.5
        calendar.now += 0.5
    assert len(kinde.requests) == 1

    clock.now += 2
    assert auth.token() == "token-2"


@pytest.mark.parametrize("expires_in", [1e-300, 0.5, 0, -1, float("nan"), float("-inf"), True, "3600", None, {}])
def test_a_life_that_cannot_be_does_not_cost_a_token_a_call(expires_in: Any) -> None:
    """Kinde bills it, though it is of no use: the next one is asked for after a minute, two, four, and each five."""
    kinde, clock = Kinde(*[issued(1, expires_in=expires_in)] * 99), Clock()
    auth = credentials(kinde, clock)
    asked: list[int] = []
    for second in range(0, 3_600, 10):
        clock.now = 1_000.0 + second
        with pytest.raises(TokenEndpointUnavailable):
            auth.token()
        if len(kinde.requests) > len(asked):
            asked.append(second)
    assert asked == [0, 60, 180, *range(420, 3_600, 300)]


def test_every_waiter_of_a_failed_attempt_is_told_at_once() -> None:
    """Each with an exception of its own."""
    kinde = Kinde(refusal("", 500))
    kinde.open.clear()
    auth = credentials(kinde)
    with ThreadPoolExecutor(20) as pool:
        waiting = [pool.submit(auth.token) for _ in range(20)]
        assert kinde.arrived.wait(LONG)
        kinde.open.set()
        failures = [future.exception(10) for future in waiting]
    assert {type(failure) for failure in failures} == {TokenEndpointUnavailable}
    assert len({id(failure) for failure in failures}) == 20
    assert len(kinde.requests) == 1


def test_an_outage_leaves_the_token_that_is_held(caplog: pytest.LogCaptureFixture) -> None:
    """Until its end, with one attempt after each wait, and a warning that says so."""
    kinde, clock = Kinde(issued(1), refusal("", 503), refusal("", 503)), Clock()
    auth = credentials(kinde, clock)
    auth.token()

    clock.now += DAY - 250
    for _ in range(3):
        assert auth.token() == "token-1"
        settle(auth)
    assert len(kinde.requests) == 2
    until(lambda: caplog.records)
    (warning,) = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert "the token is kept" in warning.getMessage()
    assert "answered 503" in warning.getMessage()

    clock.now += 245
    with pytest.raises(TokenEndpointUnavailable):
        auth.token()
    assert len(kinde.requests) == 3


# Where the token goes


@every_client
def test_every_client_sends_the_token(client: Any) -> None:
    kinde, api = Kinde(), Api()
    auth = credentials(kinde)
    assert [ask(client, auth, api, "GET", API) for _ in range(2)] == [200, 200]
    assert api.tokens == ["Bearer token-1"] * 2
    assert len(kinde.requests) == 1


@every_client
def test_without_a_token_no_request_is_sent(client: Any) -> None:
    api = Api()
    with pytest.raises(TokenRefused):
        ask(client, credentials(Kinde(refusal("invalid_client"))), api, "GET", API)
    assert api.seen == []


@pytest.mark.parametrize(
    ("api", "url", "carried"),
    [
        (None, "https://api.acme.com/users", True),
        (None, "https://api.acme.com:8443/users", True),
        (None, "http://127.0.0.1:8000/users", True),
        (None, "http://localhost:8000/users", True),
        (None, "http://[::1]:8000/users", True),
        (None, "http://api.acme.com/users", False),
        (None, "http://127.0.0.1.acme.com/users", False),
        (None, "http://localhost.acme.com/users", False),
        (None, "http://127.0.0.1@acme.com/users", False),
        ("https://api.acme.com", "https://api.acme.com/users", True),
        ("https://api.acme.com/", "https://API.acme.com:443/users", True),
        ("https://API.acme.com:443", "https://api.acme.com", True),
        ("https://api.acme.com", "http://api.acme.com/users", False),
        ("https://api.acme.com", "http://localhost/users", False),
        ("https://api.acme.com", "https://api.acme.com:8443/users", False),
        ("https://api.acme.com", "https://acme.com/users", False),
        ("https://api.acme.com", "https://api.acme.com.evil.example/users", False),
        ("https://api.acme.com", "https://api.acme.com@evil.example/users", False),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000/users", True),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8001/users", False),
        ("http://[::1]", "http://[::1]:80/", True),
        (None, "wss://api.acme.com/live", True),
        (None, "ws://api.acme.com/live", False),
        ("https://api.acme.com", "wss://api.acme.com/live", True),
    ],
)
def test_origins(api: str | None, url: str, carried: bool) -> None:
    """Elsewhere the request goes without the token, and none is fetched for it."""
    for client in CLIENTS:
        kinde, seen = Kinde(), Api()
        assert ask(client, credentials(kinde, api=api), seen, "GET", url) == 200
        assert seen.tokens == (["Bearer token-1"] if carried else [None])
        assert len(kinde.requests) == carried


def test_plain_http_is_warned_of_once(caplog: pytest.LogCaptureFixture) -> None:
    """Or the API's 401 would be a riddle; with *api* it is what was asked for."""
    auth = credentials()
    for _ in range(2):
        ask(httpx.Client, auth, Api(), "GET", "http://user:pass@api.acme.com/users?key=1")
    ask(httpx.Client, credentials(api="https://api.acme.com"), Api(), "GET", "http://api.acme.com/users")
    (warning,) = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert "no token is sent to http://api.acme.com: " in warning.getMessage()


def test_a_second_origin_is_warned_of_once(caplog: pytest.LogCaptureFixture) -> None:
    """Whoever gets the token can use it. Loopback is this machine, and no other origin."""
    auth = credentials()
    for url in ("http://localhost/1?key=1", API, "https://api.acme.com:443/2", "wss://api.acme.com/live"):
        ask(httpx.Client, auth, Api(), "GET", url)
    assert not caplog.records
    for url in ("https://user:pass@evil.example/path?key=1", "https://third.example/", API):
        ask(httpx.Client, auth, Api(), "GET", url)
    (warning,) = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert "the token of https://api.acme.com is sent to https://evil.example too: " in warning
    assert "api=" in warning
    assert all(word not in warning for word in ("path", "key", "user", "pass@"))


def test_the_one_api_is_no_second_origin(caplog: pytest.LogCaptureFixture) -> None:
    """With *api* the token goes there alone, whatever is asked for first."""
    auth = credentials(api="https://api.acme.com")
    for url in ("https://evil.example/", "http://evil.example/", API, "https://third.example/"):
        ask(httpx.Client, auth, Api(), "GET", url)
    assert not [record for record in caplog.records if record.levelno == logging.WARNING]


@every_client
@pytest.mark.parametrize("api", [None, "https://api.acme.com"])
def test_a_redirect_elsewhere_does_not_take_the_token_along(client: Any, api: str | None) -> None:
    """Not even when the other place answers as if it had been sent an old one."""
    kinde, clock = Kinde(), Clock()
    auth = credentials(kinde, clock, api=api)
    auth.token()
    clock.now += 61
    seen = Api((302, {"location": "https://evil.example/"}), (401, {"WWW-Authenticate": REFUSED}))

    assert ask(client, auth, seen, "GET", API) == 401
    assert seen.seen == [("GET", API, "Bearer token-1"), ("GET", "https://evil.example/", None)]
    assert len(kinde.requests) == 1


def test_the_other_token_does_not_follow_the_one_before_it_elsewhere() -> None:
    """httpx keeps a header when it is redirected from http to https on one host: from loopback to itself, at worst."""
    clock = Clock()
    auth = credentials(clock=clock, api="http://localhost")
    auth.token()
    clock.now += 61
    seen = Api((302, {"location": "https://localhost/"}), (401, {"WWW-Authenticate": REFUSED}))
    assert ask(httpx.Client, auth, seen, "GET", "http://localhost/") == 401
    assert seen.tokens == ["Bearer token-1"] * 2


# The API refuses the token


@every_client
@pytest.mark.parametrize(("age", "renewed"), [(61, True), (60, False), (1, False)])
@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({"WWW-Authenticate": REFUSED}, id="invalid_token"),
        pytest.param({}, id="no challenge"),
        pytest.param({"WWW-Authenticate": 'Bearer realm="api"'}, id="no error"),
        pytest.param({"WWW-Authenticate": 'Basic realm="proxy"'}, id="a proxy's"),
    ],
)
def test_a_refused_token_is_renewed_once(client: Any, age: int, headers: dict[str, str], renewed: bool) -> None:
    """Whatever the form of the 401: many APIs do not say why."""
    kinde, clock = Kinde(), Clock()
    auth = credentials(kinde, clock)
    auth.token()
    clock.now += age
    api = Api((401, headers))

    assert ask(client, auth, api, "POST", API, json={"name": "Ada"}) == (200 if renewed else 401)
    assert api.tokens == ["Bearer token-1", "Bearer token-2"][: 1 + renewed]
    assert len(kinde.requests) == 1 + renewed


@pytest.mark.parametrize("status", [400, 403, 503])
def test_other_answers_are_handed_on(status: int) -> None:
    clock = Clock()
    auth = credentials(clock=clock)
    auth.token()
    clock.now += 61
    api = Api((status, {"WWW-Authenticate": REFUSED}))
    assert ask(httpx.Client, auth, api, "GET", API) == status
    assert len(api.seen) == 1


@every_client
def test_the_other_token_is_not_renewed_in_turn(client: Any) -> None:
    kinde, clock = Kinde(), Clock()
    auth = credentials(kinde, clock)
    auth.token()
    clock.now += 61
    api = Api(*[(401, {})] * 9)
    assert [ask(client, auth, api, "GET", API) for _ in range(3)] == [401, 401, 401]
    assert api.tokens == ["Bearer token-1", *["Bearer token-2"] * 3]
    assert len(kinde.requests) == 2


class Told:
    """A handler: each path answers as it is told; ``GET /users`` goes through while its token is the one it wants."""

    def __init__(self, **statuses: int) -> None:
        self.statuses = statuses
        self.wanted: str | None = None

    def __call__(self, request: httpx.Request) -> httpx.Response:
        status = self.statuses.get(request.url.path[1:], 200)
        wrong = self.wanted is not None and request.headers["authorization"] != f"Bearer {self.wanted}"
        return httpx.Response(401 if wrong else status)


def billed(auth: ClientCredentials, kinde: Kinde, clock: Clock, api: Told, *paths: str, hours: int) -> list[int]:
    """In which seconds a token was asked for, where each of *paths* is called every ten seconds."""
    begin, asked = clock.now, []
    with httpx.Client(auth=auth, transport=httpx.MockTransport(api), base_url="https://api.acme.com") as client:
        for second in range(0, hours * 3_600, 10):
            clock.now = begin + second
            for path in paths:
                before = len(kinde.requests)
                client.get(path)
                settle(auth)
                asked += [second] * (len(kinde.requests) - before)
    return asked


def test_an_api_that_always_says_no_costs_few_tokens() -> None:
    """The wait doubles from a minute to an hour: six in the first hour, and one in each after that."""
    kinde, clock = Kinde(), Clock()
    asked = billed(credentials(kinde, clock), kinde, clock, Told(users=401), "/users", hours=8)
    waits = [after - before for before, after in pairwise(asked)]
    assert waits == [70, 130, 250, 490, 970, 1930, *[3610] * 6]
    assert len([second for second in asked if second < 3_600]) == 6


def test_one_route_that_always_says_no_beside_one_that_does_not() -> None:
    """What the other route says of the new token is no reason to fetch the next one sooner."""
    kinde, clock = Kinde(), Clock()
    asked = billed(credentials(kinde, clock), kinde, clock, Told(admin=401), "/users", "/admin", "/users", hours=8)
    assert len([second for second in asked if second < 3_600]) == 6
    assert len(asked) == 13


def test_every_rotation_is_met_at_once_after_one_that_was() -> None:
    """A token that helped, and for more than four minutes, starts the waits anew."""
    kinde, clock, api = Kinde(), Clock(), Told()
    auth = credentials(kinde, clock)
    with httpx.Client(auth=auth, transport=httpx.MockTransport(api)) as client:
        for number in range(1, 9):
            api.wanted = f"token-{number}"
            assert client.get(API).status_code == 200
            clock.now += 241
    assert len(kinde.requests) == 8


class AtRandom(Told):
    """An API of several machines, one of which refuses all tokens: each *nth* request is for that one."""

    def __init__(self, nth: int) -> None:
        super().__init__()
        self.asked, self.nth = 0, nth

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked += 1
        return httpx.Response(200 if self.asked % self.nth else 401)


@pytest.mark.parametrize("nth", [2, 3, 5])
def test_an_api_that_says_no_at_random_costs_few_tokens(nth: int) -> None:
    """The request that is sent once more gets through, and the new token is refused as soon as the one before."""
    kinde, clock = Kinde(), Clock()
    asked = billed(credentials(kinde, clock), kinde, clock, AtRandom(nth), "/users", hours=8)
    assert len([second for second in asked if second < 3_600]) <= 6
    assert len(asked) <= 6 + 8


def test_after_an_hour_of_no_a_rotation_is_met_within_an_hour() -> None:
    """And the one after it at once."""
    kinde, clock, api = Kinde(), Clock(), Told(users=401)
    auth = credentials(kinde, clock)
    billed(auth, kinde, clock, api, "/users", hours=2)
    del api.statuses["users"]
    api.wanted = f"token-{len(kinde.requests) + 1}"
    assert len(billed(auth, kinde, clock, api, "/users", hours=2)) == 1
    api.wanted = f"token-{len(kinde.requests) + 1}"
    assert len(billed(auth, kinde, clock, api, "/users", hours=1)) == 1


def test_the_waits_go_on_when_the_token_is_refreshed_in_between() -> None:
    """An hour's token is renewed every 55 minutes, and its refusals do not begin at a minute each time."""
    kinde, clock = Kinde(*[issued(number, expires_in=3_600) for number in range(1, 99)]), Clock()
    asked = billed(credentials(kinde, clock), kinde, clock, Told(users=401), "/users", hours=8)
    assert len(asked) < 6 + 1 + 8 * 60 / 55


@every_client
def test_a_401_for_a_token_no_longer_held_is_met_with_the_one_that_is(client: Any) -> None:
    """Another request has had it renewed meanwhile; that costs nothing."""
    kinde, clock = Kinde(), Clock()
    auth = credentials(kinde, clock)
    auth.token()
    clock.now += 61

    class Slow(Api):
        def __call__(self, request: Any) -> Any:
            if not self.seen:
                with ThreadPoolExecutor(1) as pool:
                    assert pool.submit(ask, httpx.Client, auth, Api((401, {})), "GET", API).result(LONG) == 200
            return super().__call__(request)

    slow = Slow((401, {}))
    assert ask(client, auth, slow, "GET", API) == 200
    assert slow.tokens == ["Bearer token-1", "Bearer token-2"]
    assert len(kinde.requests) == 2


@pytest.mark.parametrize("refuses", ["token-1", "all tokens"])
def test_many_refused_at_once_cost_one_request(refuses: str) -> None:
    """In threads and tasks; each of them is sent once more."""
    kinde, clock = Kinde(), Clock()
    auth = credentials(kinde, clock)
    auth.token()
    clock.now += 61
    together = threading.Barrier(20)

    def api(request: httpx.Request) -> httpx.Response:
        if request.headers["authorization"] == "Bearer token-1":
            together.wait(LONG)
            return httpx.Response(401)
        return httpx.Response(401 if refuses == "all tokens" else 200)

    async def task() -> int:
        async with httpx.AsyncClient(auth=auth, transport=httpx.MockTransport(api)) as client:
            return (await client.get(API)).status_code

    with httpx.Client(auth=auth, transport=httpx.MockTransport(api)) as client, ThreadPoolExecutor(20) as pool:
        answers = [pool.submit(lambda: client.get(API).status_code) for _ in range(10)]
        answers += [pool.submit(asyncio.run, task()) for _ in range(10)]
        statuses = {answer.result(LONG) for answer in answers}
    assert statuses == {401 if refuses == "all tokens" else 200}
    assert len(kinde.requests) == 2


@every_client
def test_no_other_token_to_be_had_hands_the_401_on(client: Any) -> None:
    """And the wait after the failure is kept."""
    kinde, clock = Kinde(issued(1), refusal("", 500)), Clock()
    auth = credentials(kinde, clock)
    auth.token()
    clock.now += 61
    api = Api(*[(401, {"WWW-Authenticate": REFUSED})] * 2)
    assert [ask(client, auth, api, "GET", API) for _ in range(2)] == [401, 401]
    assert api.tokens == ["Bearer token-1"] * 2
    assert len(kinde.requests) == 2


@every_client
def test_after_a_redirect_only_the_refused_request_is_sent_again(client: Any) -> None:
    """The POST was accepted: sending it twice could do its work twice."""
    clock = Clock()
    auth = credentials(clock=clock)
    auth.token()
    clock.now += 61
    api = Api((303, {"location": "/users/7"}), (401, {"WWW-Authenticate": REFUSED}))
    assert ask(client, auth, api, "POST", API, json={}) == 200
    assert api.seen == [
        ("POST", API, "Bearer token-1"),
        ("GET", f"{API}/7", "Bearer token-1"),
        ("GET", f"{API}/7", "Bearer token-2"),
    ]


# The token is to be forgotten


def test_forgotten_means_fetched_anew() -> None:
    """However young it is: the caller knows why. Held again after that."""
    kinde = Kinde()
    auth = credentials(kinde)
    auth.forget()
    assert auth.token() == "token-1"
    auth.forget()
    auth.forget()
    assert auth.token() == auth.token() == "token-2"
    assert asyncio.run(auth.atoken()) == "token-2"
    assert len(kinde.requests) == 2


@every_client
def test_the_next_request_carries_the_other_token(client: Any) -> None:
    api = Api()
    auth = credentials()
    ask(client, auth, api, "GET", API)
    auth.forget()
    ask(client, auth, api, "GET", API)
    assert api.tokens == ["Bearer token-1", "Bearer token-2"]


def test_what_is_forgotten_does_not_come_back_when_kinde_is_down(caplog: pytest.LogCaptureFixture) -> None:
    """And the wait after a failed attempt is kept: forgetting is no way around it."""
    caplog.set_level(logging.INFO)
    kinde, clock = Kinde(issued(1), refusal("", 503, **{"Retry-After": "9"})), Clock()
    auth = credentials(kinde, clock)
    auth.token()
    for _ in range(3):
        auth.forget()
        with pytest.raises(TokenEndpointUnavailable):
            auth.token()
    assert len(kinde.requests) == 2
    clock.now += 9
    assert auth.token() == "token-3"
    until(lambda: caplog.text.count("good for") >= 2)  # or more: a test before may have had its last word
    assert "the token is kept" not in caplog.text


def test_forgotten_while_its_refresh_is_under_way() -> None:
    """The one that is being fetched is the other one."""
    kinde, clock = Kinde(), Clock()
    auth = credentials(kinde, clock)
    auth.token()
    clock.now += DAY - 200
    kinde.arrived.clear()
    kinde.open.clear()
    assert auth.token() == "token-1"
    assert kinde.arrived.wait(LONG)
    auth.forget()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(auth.token)
        kinde.open.set()
        assert waiting.result(LONG) == "token-2"
    assert auth.token() == "token-2"
    assert len(kinde.requests) == 2


def test_forgotten_before_its_refusal_arrives() -> None:
    """Then there is no other to be had, and the 401 is the caller's."""
    kinde, clock = Kinde(), Clock()
    auth = credentials(kinde, clock)
    auth.token()
    clock.now += 61

    def api(request: httpx.Request) -> httpx.Response:
        auth.forget()
        return httpx.Response(401)

    with httpx.Client(auth=auth, transport=httpx.MockTransport(api)) as client:
        assert client.get(API).status_code == 401
    assert len(kinde.requests) == 1
    assert auth.token() == "token-2"


# Sockets


class Server(ThreadingHTTPServer):
    """A token endpoint and an API on loopback; the API refuses token-1."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.bodies: list[tuple[str, bytes]] = []


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.bodies.append((self.path, body))
        if self.path == "/oauth2/token":
            issues = [path for path, _ in self.server.bodies if path == "/oauth2/token"]
            self._answer(*issued(len(issues)))
        else:
            refused = self.headers["Authorization"] == "Bearer token-1"
            self._answer(401 if refused else 200, {"WWW-Authenticate": REFUSED} if refused else {}, b"{}")

    def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None: ...


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def chunks() -> Iterator[bytes]:
    yield b"body"


async def async_chunks() -> AsyncIterator[bytes]:
    yield b"body"


@every_client
@pytest.mark.parametrize(
    ("body", "again"),
    [
        pytest.param(lambda _: {"content": b"body"}, True, id="bytes"),
        pytest.param(lambda _: {"data": {"body": ""}}, True, id="form"),
        pytest.param(lambda _: {}, True, id="none"),
        pytest.param(lambda stream: {"content": stream(), "headers": {"Content-Length": "4"}}, False, id="stream"),
        pytest.param(lambda _: {"files": {"f": b"body"}}, False, id="multipart"),
    ],
)
def test_only_a_body_in_memory_is_sent_again(
    server: Server, client: Any, body: Callable[[Any], dict[str, Any]], again: bool
) -> None:
    """A stream has been consumed; what is left of it would be a truncated request."""
    clock = Clock()
    auth = ClientCredentials(server.url, **APP, clock=clock)
    auth.token()
    clock.now += 61
    url = f"{server.url}/users"
    if client.__name__ == "Client":
        with client(auth=auth, trust_env=False) as sync_client:
            status = sync_client.post(url, **body(chunks)).status_code
    else:

        async def main() -> int:
            async with client(auth=auth, trust_env=False) as async_client:
                return int((await async_client.post(url, **body(async_chunks))).status_code)

        status = asyncio.run(main())

    sent = [content for path, content in server.bodies if path == "/users"]
    assert (status, len(sent)) == ((200, 2) if again else (401, 1))
    assert len(set(sent)) == 1
    settle(auth)
    assert auth.token() == "token-2"  # for the next request, if not for this one


def test_the_secret_is_in_no_log(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    """Nor is the token, with every logger at DEBUG and real sockets."""
    caplog.set_level(logging.DEBUG)
    clock = Clock()
    auth = ClientCredentials(server.url, **APP, clock=clock)
    with httpx.Client(auth=auth, trust_env=False) as client:
        assert client.post(f"{server.url}/users").status_code == 401
        clock.now += 61
        assert client.post(f"{server.url}/users").status_code == 200
    until(lambda: caplog.text.count("good for 86400 s") >= 2)
    assert "httpcore" in caplog.text
    for word in (SECRET, "s3cr3t", "token-1", "token-2"):
        assert word not in caplog.text
        assert word not in repr(auth)


def test_the_fetch_imports_nothing(server: Server) -> None:
    """A process that forks while a thread imports leaves the child waiting for ever."""
    script = f"""
import sys
from kinde_guard.m2m import ClientCredentials
auth = ClientCredentials({server.url!r}, **{APP!r})
before = set(sys.modules)
assert auth.token() == "token-1"
print(sorted(set(sys.modules) - before))
"""
    assert run(script) == "[]"


@pytest.mark.parametrize(
    "prelude",
    [
        pytest.param("sys.modules['httpx2'] = None; import httpx as library", id="httpx alone"),
        pytest.param("import httpx2 as library; sys.modules['httpx'] = library", id="httpx2 under both names"),
    ],
)
def test_one_library_is_enough(prelude: str) -> None:
    script = f"""
import sys; {prelude}
from kinde_guard.m2m import ClientCredentials
print(isinstance(ClientCredentials("acme.kinde.com", **{APP!r}), library.Auth))
"""
    assert run(script) == "True"


def run(script: str) -> str:
    command = [sys.executable, "-W", "error", "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_it_is_an_auth_of_either_library_to_a_type_checker_too() -> None:
    auth = credentials()
    with httpx.Client(auth=auth) as client, httpx2.Client(auth=auth) as client2:
        assert [client.auth, client2.auth] == [auth, auth]


def test_the_plain_flow_is_not_to_be_used() -> None:
    """Inherited, it would send the request without a token."""
    with pytest.raises(NotImplementedError, match="sync_auth_flow"):
        credentials().auth_flow(httpx.Request("GET", API))


def test_against_the_local_kinde() -> None:
    """A token as Kinde makes it; then the application's secret is rotated."""
    kinde = LocalIssuer("https://acme.kinde.com")
    app = kinde.add_app("reports")
    auth = ClientCredentials(
        kinde.url,
        client_id=app.client_id,
        client_secret=app.client_secret,
        audience=kinde.audience,
        transport=kinde.transport,
        clock=(clock := Clock()),
    )
    with pytest.raises(TokenRefused, match="unauthorized_client"):
        auth.token()
    kinde.authorize(app, kinde.audience, ["read:users"])
    clock.now += 1
    assert auth.token() == auth.token()
    assert kinde.token_requests == 2

    kinde.add_app("reports", client_id=app.client_id)
    clock.now += DAY
    with pytest.raises(TokenRefused, match="invalid_client"):
        auth.token()


# Settings


def test_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    variables = {
        "KINDE_M2M_DOMAIN": "https://acme.kinde.com/",
        "KINDE_M2M_CLIENT_ID": "an-app",
        "KINDE_M2M_CLIENT_SECRET": SECRET,
        "KINDE_M2M_AUDIENCE": "https://api.acme.com, hasura",
        "KINDE_M2M_SCOPES": "read:users write:flags",
        "KINDE_DOMAIN": "other.kinde.com",
        "KINDE_AUDIENCE": "https://what-this-process-accepts",
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    kinde = Kinde()
    ClientCredentials(transport=kinde).token()

    (request,) = kinde.requests
    form = parse_qs(request.content.decode())
    assert request.url.host == "acme.kinde.com"
    assert (form["client_id"], form["client_secret"]) == (["an-app"], [SECRET])
    assert form["audience"] == ["https://api.acme.com", "hasura"]
    assert form["scope"] == ["read:users write:flags"]


@pytest.mark.parametrize(
    ("variables", "host"),
    [
        ({"KINDE_DOMAIN": "acme.kinde.com"}, "acme.kinde.com"),
        ({"KINDE_ISSUER_URL": "https://auth.acme.com"}, "auth.acme.com"),
        ({"KINDE_DOMAIN": "auth.acme.com acme.kinde.com"}, "acme.kinde.com"),
    ],
)
def test_the_domain_of_the_guard_will_do(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], host: str) -> None:
    """Of several, the kinde.com one: Kinde issues M2M tokens there."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    kinde = Kinde()
    credentials(kinde, domain=None).token()
    assert kinde.requests[0].url.host == host


@pytest.mark.parametrize(
    ("settings", "variables", "words"),
    [
        ({"domain": None}, {}, "no Kinde domain is set"),
        ({"domain": "<your_subdomain>.kinde.com"}, {}, "placeholder"),
        ({"domain": "http://acme.kinde.com"}, {}, "must be https"),
        ({"domain": None}, {"KINDE_M2M_DOMAIN": ""}, "KINDE_M2M_DOMAIN is empty"),
        ({"domain": None}, {"KINDE_DOMAIN": "a.acme.com b.acme.com"}, "KINDE_M2M_DOMAIN.*https://b.acme.com"),
        ({"client_id": None}, {}, "set KINDE_M2M_CLIENT_ID"),
        ({"client_id": "<your-client-id>"}, {}, "placeholder"),
        ({"client_id": 7}, {}, "must be text"),
        ({"client_secret": None}, {}, "set KINDE_M2M_CLIENT_SECRET"),
        ({"client_secret": ""}, {}, "not empty"),
        ({"client_secret": f"{SECRET}\n"}, {}, "line ends"),
        ({"client_secret": f"<{SECRET}>"}, {}, "placeholder"),
        ({"client_secret": SECRET.encode()}, {}, "must be text"),
        ({"client_secret": None}, {"KINDE_M2M_CLIENT_SECRET": f" {SECRET}"}, "without spaces"),
        ({"audience": None}, {}, "set KINDE_M2M_AUDIENCE"),
        ({"audience": None}, {"KINDE_AUDIENCE": "https://api.acme.com"}, "accepts, not what it calls"),
        ({"audience": ()}, {}, "set KINDE_M2M_AUDIENCE"),
        ({"audience": ""}, {}, "audience is empty"),
        ({"audience": ["<your-api>"]}, {}, "audience must be"),
        ({"audience": ["two words"]}, {}, "audience must be"),
        ({"audience": 7}, {}, "audience must be"),
        ({}, {"KINDE_M2M_SCOPES": " "}, "unset KINDE_M2M_SCOPES"),
        ({"scopes": [None]}, {}, "scopes must be"),
        ({"api": "api.acme.com"}, {}, "api must be an origin"),
        ({"api": "https://api.acme.com/v1"}, {}, "without a path"),
        ({"api": "https://api.acme.com?x=1"}, {}, "api must be an origin"),
        ({"api": "https://user@api.acme.com"}, {}, "api must be an origin"),
        ({"api": "http://api.acme.com"}, {}, "http is for localhost alone"),
        ({"api": "https://"}, {}, "api must be an origin"),
        ({"api": "https://[::"}, {}, "api must be an origin"),
        ({"api": 7}, {}, "api must be an origin"),
        ({"transport": httpx.AsyncHTTPTransport()}, {}, "transport must be"),
    ],
)
def test_settings_fail_at_once_in_words(
    monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any], variables: dict[str, str], words: str
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError, match=words) as caught:
        ClientCredentials(**{"domain": "acme.kinde.com", **APP, **settings})
    assert SECRET not in "".join(traceback.format_exception(caught.value))
