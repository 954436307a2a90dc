"""No token of anybody's lies about: what error reporters print of a request shows none under a name of ours."""

from __future__ import annotations

import asyncio
import base64
import pprint
import traceback
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any
from wsgiref.util import setup_testing_defaults

import httpx
import pytest
from asgi_calls import ask
from fastapi import FastAPI
from flask import Flask
from helpers import M2M, Issuer, guard_of, mint
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route

import kinde_guard.asgi
import kinde_guard.fastapi
import kinde_guard.flask
import kinde_guard.starlette
import kinde_guard.wsgi
from kinde_guard import AuthError, Guard, KeysUnavailable, scope
from kinde_guard.m2m import ClientCredentials, TokenRequestFailed
from kinde_guard.net.fetch import HttpAnswer

PACKAGE = str(Path(kinde_guard.__file__).parent)
GOOD = mint(base=M2M)
TOKENS = {"good": GOOD, "expired": mint({"exp": 1}, base=M2M), "forged": f"{GOOD[:-6]}AAAAAA", "broken": "abc.def"}
Shown = Callable[[Guard, str], dict[str, Any]]
"""What an app in which everybody is let in by a guard that looks, or not, finds under names of ours."""


def ours(mapping: Any) -> dict[str, Any]:
    found = {
        name: value for name, value in mapping.items() if name.startswith("kinde_guard") or name in ("user", "auth")
    }
    assert found
    return found


def asgi(guard: Guard, token: str) -> dict[str, Any]:
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope)
        await PlainTextResponse("")(scope, receive, send)

    async def around(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope)
        await kinde_guard.asgi.GuardMiddleware(app, guard)(scope, receive, send)

    ask(around, "/", token)
    return ours(seen[-1])


def starlette(guard: Guard, token: str) -> dict[str, Any]:
    """Two guards, of which one says nothing to the other."""
    seen: list[Any] = []

    async def endpoint(request: Request) -> Response:
        await kinde_guard.starlette.atoken_or_none(request)
        seen.append(request.scope)
        return PlainTextResponse("")

    inner = Starlette(routes=[Route("/", endpoint)])
    kinde_guard.starlette.KindeGuard(inner, guard=guard_of(Issuer()))

    async def first(scope: Any, receive: Any, send: Any) -> None:
        await kinde_guard.starlette.atoken_or_none(Request(scope))
        await inner(scope, receive, send)

    app = Starlette(routes=[Mount("/", first)])
    kinde_guard.starlette.KindeGuard(app, guard=guard)
    ask(app, "/", token)
    return ours(seen[-1])


def fastapi(guard: Guard, token: str) -> dict[str, Any]:
    seen: list[Any] = []
    app = FastAPI()
    kinde_guard.fastapi.KindeGuard(app, guard=guard)

    @app.get("/")
    async def endpoint(request: Request, token: kinde_guard.fastapi.TokenOrNone) -> None:
        seen.append(request.scope)

    ask(app, "/", token)
    return ours(seen[-1])


def over_wsgi(app: Any, token: str) -> dict[str, Any]:
    environ: dict[str, Any] = {"HTTP_AUTHORIZATION": f"Bearer {token}", "wsgi.input": BytesIO()}
    setup_testing_defaults(environ)
    list(app(environ, lambda *arguments: None))
    return ours(environ)


def wsgi(guard: Guard, token: str) -> dict[str, Any]:
    return over_wsgi(kinde_guard.wsgi.GuardMiddleware(lambda environ, start: [], guard), token)


def flask(guard: Guard, token: str) -> dict[str, Any]:
    app = Flask("service")
    kinde_guard.flask.KindeGuard(app, guard=guard)
    app.add_url_rule("/", "view", kinde_guard.flask.requires_auth(lambda: str(kinde_guard.flask.current_token)))
    return over_wsgi(app, token)


@pytest.mark.parametrize("token", TOKENS.values(), ids=TOKENS)
@pytest.mark.parametrize("shown", [asgi, starlette, fastapi, wsgi, flask])
def test_scope_and_environ_show_no_token(shown: Shown, token: str) -> None:
    """Django's mails to ADMINS, Bugsnag and others print them whole, by ``repr`` or ``pprint``, or look into them."""
    found = shown(guard_of(Issuer()), token)
    printed = repr(found) + pprint.pformat(found) + "".join(map(repr, leaves(found)))
    for part in (token, *token.split(".")[1:]):
        assert part not in printed
        assert not any(part.encode() in leaf for leaf in leaves(found) if isinstance(leaf, bytes))


def leaves(value: Any) -> list[Any]:
    """Whatever is in it, in containers and in attributes, but for what a guard and an app keep for themselves."""
    if isinstance(value, dict):
        return [leaf for pair in value.items() for each in pair for leaf in leaves(each)]
    if isinstance(value, list | tuple):
        return [leaf for each in value for leaf in leaves(each)]
    if isinstance(value, Guard | Starlette | kinde_guard.asgi.Attached):
        return [repr(value)]
    inner = [*getattr(value, "__dict__", {}).values(), *(getattr(value, slot, None) for slot in slots(value))]
    return [value, *(leaf for each in inner for leaf in leaves(each))]


def slots(value: Any) -> list[str]:
    return [name for kind in type(value).__mro__ for name in getattr(kind, "__slots__", ()) if name != "__weakref__"]


def test_the_leaves_are_found() -> None:
    """The test above can fail."""

    class Slotted:
        __slots__ = ("inside",)

        def __init__(self) -> None:
            self.inside = [{"a": (GOOD,)}]

    assert GOOD in leaves({"x": Slotted()})


def shown_by(error: BaseException) -> str:
    """What an error reporter that prints the variables of each frame finds in frames of ours. The scope and the environ
    of a request are not ours, and have the header as they had it before."""
    frames: list[traceback.FrameSummary] = []
    told: traceback.TracebackException | None = traceback.TracebackException.from_exception(error, capture_locals=True)
    while told is not None:
        frames += told.stack
        told = told.__cause__ or (None if told.__suppress_context__ else told.__context__)
    ours = [frame for frame in frames if frame.filename.startswith(PACKAGE)]
    assert ours, "the error came through no frame of ours"
    return "\n".join(
        f"{frame.name} {name}={value}"
        for frame in ours
        for name, value in (frame.locals or {}).items()
        if name not in ("scope", "environ")
    )


def told_of(error: Exception) -> str:
    return shown_by(error) + repr(error) + repr(error.args) + repr(vars(error))


async def averified(guard: Guard, values: list[str]) -> None:
    await guard.averify(values[0][7:])


async def aauthenticated(guard: Guard, values: list[str]) -> None:
    await guard.aauthenticate(values)


CALLS: dict[str, Callable[[Guard, list[str]], object]] = {
    "verify": lambda guard, values: guard.verify(values[0][7:]),
    "averify": lambda guard, values: asyncio.run(averified(guard, values)),
    "authenticate": lambda guard, values: guard.authenticate(values),
    "aauthenticate": lambda guard, values: asyncio.run(aauthenticated(guard, values)),
}


@pytest.mark.parametrize("values", [
    *([f"Bearer {token}"] for token in TOKENS.values()), [f"Bearer {GOOD} "] * 2, [f"Bearer {GOOD}, {GOOD}"],
], ids=[*TOKENS, "two headers", "two tokens"])  # fmt: skip
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_tracebacks_with_variables_show_no_token(call: Any, values: list[str]) -> None:
    """As Sentry and Rollbar send them."""
    issuer = Issuer()
    if values == [f"Bearer {GOOD}"]:
        issuer.status = 500
    with pytest.raises((AuthError, KeysUnavailable)) as caught:
        call(guard_of(issuer), values)
    printed = shown_by(caught.value)
    for token in TOKENS.values():
        assert token[-40:] not in printed
        assert str(decoded(token)) not in printed


def decoded(token: str) -> bytes:
    """Of a signature, which may lie about as bytes."""
    return base64.urlsafe_b64decode(f"{token.rpartition('.')[2]}==")[:16]


def in_starlette(guard: Guard, seen: list[str]) -> Any:
    async def handler(request: Request, error: Exception) -> Response:
        seen.append(told_of(error))
        return PlainTextResponse("", 403)

    @kinde_guard.starlette.requires_auth
    def endpoint(request: Request) -> Response:
        request.user.token.require(scope("delete:users"))
        raise AssertionError

    app = Starlette(routes=[Route("/", endpoint)], exception_handlers={AuthError: handler})
    kinde_guard.starlette.KindeGuard(app, guard=guard)
    return lambda token: ask(app, "/", token)


def in_fastapi(guard: Guard, seen: list[str]) -> Any:
    app = FastAPI()
    kinde_guard.fastapi.KindeGuard(app, guard=guard)

    @app.exception_handler(AuthError)
    async def handler(request: Request, error: Exception) -> Response:
        seen.append(told_of(error))
        return PlainTextResponse("", 403)

    @app.get("/")
    @kinde_guard.fastapi.requires_scope("delete:users")
    def endpoint() -> None: ...

    return lambda token: ask(app, "/", token)


def in_flask(guard: Guard, seen: list[str]) -> Any:
    app = Flask("service")
    kinde_guard.flask.KindeGuard(app, guard=guard)

    @app.errorhandler(AuthError)
    def handler(error: Exception) -> str:
        seen.append(told_of(error))
        return ""

    @app.get("/")
    @kinde_guard.flask.requires_scope("delete:users")
    def endpoint() -> str:
        return ""

    return lambda token: app.test_client().get("/", headers={"Authorization": f"Bearer {token}"})


@pytest.mark.parametrize("token", TOKENS.values(), ids=TOKENS)
@pytest.mark.parametrize("make", [in_starlette, in_fastapi, in_flask])
def test_what_a_handler_reports_shows_no_token(make: Any, token: str) -> None:
    seen: list[str] = []
    make(guard_of(Issuer()), seen)(token)
    (printed,) = seen
    assert token not in printed
    assert token[-40:] not in printed


def test_what_the_client_half_holds_shows_neither_token_nor_secret() -> None:
    answer = httpx.Response(200, json={"access_token": "T0KEN", "token_type": "bearer", "expires_in": 3600})
    auth = credentials(httpx.MockTransport(lambda request: answer))
    assert auth.token() == "T0KEN"
    for held in (auth, *vars(auth).values(), HttpAnswer(200, {}, answer.content)):
        assert "T0KEN" not in repr(held)
        assert "s3cret" not in repr(held)


def test_what_the_client_half_reports_shows_no_secret() -> None:
    refusing = httpx.MockTransport(lambda request: httpx.Response(400, json={"error": "invalid_client"}))
    with pytest.raises(TokenRequestFailed) as caught:
        credentials(refusing).token()
    assert "s3cret" not in shown_by(caught.value)


def credentials(transport: httpx.BaseTransport) -> ClientCredentials:
    return ClientCredentials(
        "acme.kinde.com", client_id="c", client_secret="s3cret", audience="https://api", transport=transport
    )
