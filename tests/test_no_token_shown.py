"""No token of anybody's lies about: what error reporters print of a request shows none under a name of ours."""

from __future__ import annotations

import pprint
from collections.abc import Callable
from io import BytesIO
from typing import Any
from wsgiref.util import setup_testing_defaults

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
from kinde_guard import Guard

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
