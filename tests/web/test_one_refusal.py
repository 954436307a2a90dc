"""Refusals of any origin look alike to a handler of the app's: decorator, middleware, dependency, or the endpoint."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from asgi_calls import App, ask
from fastapi import APIRouter, Depends, FastAPI
from helpers import M2M, Issuer, guard_of, mint
from starlette.applications import Starlette
from starlette.authentication import AuthenticationError
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route

import kinde_guard.fastapi as on_fastapi
import kinde_guard.starlette as on_starlette
from kinde_guard import (
    AuthError,
    ConfigurationError,
    Forbidden,
    Guard,
    InsufficientScope,
    KeysUnavailable,
    KindeGuardError,
    scope,
)
from kinde_guard.web.well_known import metadata_url

RESOURCE = "https://api.acme.com/v1"
DELETE = scope("delete:users")
PATHS = ("/decorated", "/async", "/endpoint", "/mounted/endpoint", "/mounted/decorated")


def told(request: HTTPConnection, error: Any) -> Response:
    """Tells of all that a handler can see."""
    return JSONResponse(
        {
            "kind": type(error).__name__,
            "is": sorted(kind.__name__ for kind in type(error).__mro__),
            "status": [error.status, error.status_code],
            "headers": dict(error.headers),
            "body": error.body().decode(),
            "detail": error.detail,
            "args": [str(error), error.reason],
        },
        error.status,
        error.headers,
    )


async def atold(request: HTTPConnection, error: Any) -> Response:
    return told(request, error)


def starlette_app(guard: Guard, **options: Any) -> Starlette:
    @on_starlette.requires(DELETE)
    def decorated(request: Request) -> Response:
        raise AssertionError

    @on_starlette.requires(DELETE)
    async def adecorated(request: Request) -> Response:
        raise AssertionError

    @on_starlette.requires_auth
    async def endpoint(request: Request) -> Response:
        request.user.token.require(DELETE)
        raise AssertionError

    routes = [Route("/decorated", decorated), Route("/async", adecorated), Route("/endpoint", endpoint)]
    handlers = options.pop("exception_handlers")
    inner = Starlette(routes=routes, exception_handlers=handlers)
    app = Starlette(routes=[*routes, Mount("/mounted", inner)], exception_handlers=handlers)
    on_starlette.KindeGuard(app, guard=guard, resource=RESOURCE, **options)
    return app


def fastapi_app(guard: Guard, **options: Any) -> FastAPI:
    def decorated() -> None:
        raise AssertionError

    async def adecorated() -> None:
        raise AssertionError

    def endpoint(token: on_fastapi.Token) -> None:
        token.require(DELETE)

    async def dependency(token: on_fastapi.Token) -> None:
        token.require(DELETE)

    handlers = options.pop("exception_handlers")
    app, inner = FastAPI(exception_handlers=handlers), FastAPI(exception_handlers=handlers)
    for each in (app, inner):
        router = APIRouter()
        router.get("/decorated")(on_fastapi.requires(DELETE)(decorated))
        router.get("/async")(on_fastapi.requires(DELETE)(adecorated))
        router.get("/endpoint")(endpoint)
        each.include_router(router)
        each.get("/dependency", dependencies=[Depends(dependency)])(lambda: None)
    app.mount("/mounted", inner)
    on_fastapi.KindeGuard(app, guard=guard, resource=RESOURCE, **options)
    return app


APPS: dict[str, Callable[..., Any]] = {"starlette": starlette_app, "fastapi": fastapi_app}
each_app = pytest.mark.parametrize("make", APPS.values(), ids=APPS)


@pytest.fixture(scope="module")
def guard() -> Guard:
    return guard_of(Issuer())


@pytest.fixture(scope="module")
def token() -> str:
    return mint(base=M2M)


@each_app
@pytest.mark.parametrize("handler", [told, atold])
@pytest.mark.parametrize("key", [AuthError, InsufficientScope, KindeGuardError, HTTPException, 403], ids=str)
def test_whoever_refuses_a_handler_sees_the_same(make: Any, handler: Any, key: Any, guard: Guard, token: str) -> None:
    """The framework's exception and ours, with status, challenge (and the metadata it points to) and body."""
    app = make(guard, exception_handlers={key: handler})
    paths = (*PATHS, "/dependency", "/mounted/dependency") if make is fastapi_app else PATHS
    replies = [ask(app, path, token) for path in paths]
    seen = replies[0].json
    assert all(reply.json == seen for reply in replies)
    assert (replies[0].status, seen["kind"], seen["status"]) == (403, "InsufficientScope", [403, 403])
    assert {"AuthError", "HTTPException"} <= set(seen["is"])
    assert f'resource_metadata="{metadata_url(RESOURCE)}"' in seen["headers"]["WWW-Authenticate"]
    assert 'scope="delete:users"' in seen["headers"]["WWW-Authenticate"]
    assert json.loads(seen["body"])["detail"] == seen["detail"]
    assert all(reply.challenge == seen["headers"]["WWW-Authenticate"] for reply in replies)


@each_app
def test_the_middleware_refuses_as_a_decorator_does(make: Any, guard: Guard) -> None:
    replies = [
        ask(make(guard, exception_handlers={AuthError: told}, public=public), path)
        for public, path in ((None, "/decorated"), ([], "/decorated"), ([], "/unknown"))
    ]
    assert replies[0].json == replies[1].json == replies[2].json
    assert replies[0].json["status"] == [401, 401]


@each_app
def test_cannot_tell_looks_alike_too(make: Any, token: str) -> None:
    """Also for an endpoint that verifies a token itself."""
    issuer = Issuer()
    issuer.status = 500
    guard = guard_of(issuer)
    app = make(guard, exception_handlers={KeysUnavailable: told})

    async def verifying(request: Request) -> None:
        await guard.averify(token)

    app.add_route("/verifying", verifying)
    replies = [ask(app, path, token) for path in ("/decorated", "/verifying")]
    for reply in replies:
        assert (reply.status, reply.json["status"]) == (503, [503, 503])
        assert set(reply.json["headers"]) == {"Retry-After", "Cache-Control"}
    assert replies[0].json["is"] == replies[1].json["is"]


class Banned(Forbidden):
    """A team's own."""

    def __init__(self, user: str) -> None:
        super().__init__("wrong_subject", f"{user} is banned")


@each_app
@pytest.mark.parametrize(
    "handlers",
    [{}, {AuthError: told}, {Banned: atold}, {Forbidden: told}],
    ids=["ours", "for all", "for itself", "for its kind"],
)
def test_a_kind_of_a_teams_own(make: Any, handlers: Any, guard: Guard) -> None:
    app = make(guard, exception_handlers=handlers)

    async def banning(request: Request) -> Response:
        raise Banned("kp_1")

    app.add_route("/banning", banning)
    reply = ask(app, "/banning")
    assert reply.status == 403
    assert 'error="insufficient_scope"' in reply.challenge
    assert "kp_1" not in reply.body.decode()
    if handlers:
        assert reply.json["kind"] == "Banned"


@each_app
@pytest.mark.parametrize("key", [AuthError, KindeGuardError])
def test_the_family_itself_is_a_mistake_that_says_so(make: Any, key: Any, guard: Guard) -> None:
    """Nothing else than a sentence: a StopIteration in a coroutine would be a RuntimeError about that."""
    seen: list[Exception] = []

    def noting(request: Request, error: Exception) -> Response:
        seen.append(error)
        return PlainTextResponse("", 500)

    app = make(guard, exception_handlers={key: noting})

    async def raising(request: Request) -> Response:
        raise AuthError("expired")

    app.add_route("/raising", raising)
    if key is KindeGuardError:  # their own handler for whatever is ours is asked
        assert ask(app, "/raising").status == 500
        assert isinstance(seen[0], ConfigurationError)
    else:
        with pytest.raises(ConfigurationError, match="raise a kind of it"):
            ask(app, "/raising")


@each_app
def test_handlers_are_asked_in_an_app_that_something_else_builds(make: Any, guard: Guard, token: str) -> None:
    """As OpenTelemetry does, which puts a function of its own in place of ``build_middleware_stack``."""
    app = make(guard, exception_handlers={AuthError: told})
    build = app.build_middleware_stack
    app.build_middleware_stack = lambda: _through(build())
    assert ask(app, "/endpoint", token).json == ask(app, "/decorated", token).json
    assert app.exception_handlers[AuthError] is told  # the app's own table is as it was


def _through(app: App) -> App:
    async def through(scope: Any, receive: Any, send: Any) -> None:
        await app(scope, receive, send)

    return through


def on_error(conn: HTTPConnection, error: AuthenticationError) -> Response:
    assert isinstance(error, AuthError | KeysUnavailable)
    return JSONResponse(error.reason, error.status, error.headers)


def test_starlettes_own_middleware_may_be_told_what_to_answer(guard: Guard) -> None:
    """A team's own ``on_error`` needs nothing of ours but what the refusal knows."""
    backend = on_starlette.KindeBackend(guard)
    middleware = Middleware(AuthenticationMiddleware, backend=backend, on_error=on_error)
    app = Starlette(middleware=[middleware])
    on_starlette.KindeGuard(app, guard=guard, resource=RESOURCE)
    reply = ask(app, "/")
    assert (reply.status, reply.json) == (401, "missing_token")
    assert reply.challenge == f'Bearer realm="api", resource_metadata="{metadata_url(RESOURCE)}"'
