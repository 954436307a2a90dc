"""When an ASGI app starts, its guard begins to load keys, and the start waits for nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from asgi_calls import Message, ask, lifespan, talk
from fastapi import FastAPI
from helpers import AUDIENCE, DOMAIN, Issuer, Time, guard_of, jwk, key_set, mint
from starlette.applications import Starlette
from starlette.routing import Mount
from waiting import LONG, settle

from kinde_guard import Guard
from kinde_guard import fastapi as on_fastapi
from kinde_guard import starlette as on_starlette
from kinde_guard.asgi import GuardMiddleware

Make = Callable[[Guard], Any]


async def plain(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] != "lifespan":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})
        return
    for stage in ("startup", "shutdown"):
        await receive()
        message: Message = {"type": f"lifespan.{stage}.complete"}
        await send(message)


def in_starlette(guard: Guard) -> Starlette:
    app = Starlette(routes=[Mount("/", plain)])
    on_starlette.KindeGuard(app, guard=guard, public=[])
    return app


def in_fastapi(guard: Guard) -> FastAPI:
    app = FastAPI()
    app.mount("/", plain)
    on_fastapi.KindeGuard(app, guard=guard, public=[])
    return app


def within_another(guard: Guard) -> Starlette:
    app = Starlette(routes=[Mount("/", in_starlette(guard))])
    on_starlette.KindeGuard(app, guard=guard_of(Issuer()))
    return app


MAKES = [
    pytest.param(lambda guard: GuardMiddleware(plain, guard), id="asgi"),
    pytest.param(in_starlette, id="starlette"),
    pytest.param(in_fastapi, id="fastapi"),
    pytest.param(within_another, id="mounted in an app with a guard of its own"),
]


@pytest.mark.parametrize("make", MAKES)
def test_keys_are_asked_for_and_nobody_waits(make: Make) -> None:
    """The app has started while the issuer has yet to answer."""
    asked, may_answer = threading.Event(), threading.Event()

    def answer(request: httpx.Request) -> httpx.Response:
        asked.set()
        assert may_answer.wait(LONG)
        return httpx.Response(200, content=key_set(jwk()))

    guard = Guard(DOMAIN, audience=AUDIENCE, variables=(), transport=httpx.MockTransport(answer), clocks=Time().clocks)
    conversation = talk(make(guard), lifespan())
    assert conversation.sent[0]["type"] == "lifespan.startup.complete"
    assert asked.wait(LONG)
    assert guard.health()[f"https://{DOMAIN}"].state == "never_loaded"
    may_answer.set()
    settle(guard)
    assert guard.health()[f"https://{DOMAIN}"].state == "fresh"


@pytest.mark.parametrize("make", MAKES)
def test_the_first_request_finds_the_keys(make: Make) -> None:
    issuer = Issuer()
    guard = guard_of(issuer)
    app = make(guard)
    talk(app, lifespan())
    settle(guard)
    assert len(issuer.fetches) == 1
    assert ask(app, "/", mint()).status == 200
    settle(guard)
    assert len(issuer.fetches) == 1


@pytest.mark.parametrize("make", MAKES)
def test_an_app_starts_while_kinde_is_down(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    """That is a notice, and no reason to stop."""
    issuer, time = Issuer(), Time()
    issuer.status = 500
    guard = guard_of(issuer, time)
    app = make(guard)
    assert talk(app, lifespan()).sent[0]["type"] == "lifespan.startup.complete"
    settle(guard)
    assert len([record for record in caplog.records if "fetch 1 failed" in record.getMessage()]) == 1
    assert ask(app, "/", mint()).status == 503
    issuer.status = 200
    time.passes(30)
    assert ask(app, "/", mint()).status == 200


@pytest.mark.parametrize("make", MAKES)
def test_keys_that_are_fresh_are_not_asked_for_again(make: Make) -> None:
    """Those of a guard that was warmed before."""
    issuer = Issuer()
    guard = guard_of(issuer)
    guard.warm()
    talk(make(guard), lifespan())
    settle(guard)
    assert len(issuer.fetches) == 1
