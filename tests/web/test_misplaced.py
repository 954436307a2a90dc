"""A decorator above the route, where the route serves something that was put around the function: nothing is open."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

import pytest
from asgi_calls import ask, lifespan, talk
from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute
from flask import Flask
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.openapi import OpenAPI
from helpers import M2M, Issuer, guard_of, mint
from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

import kinde_guard.fastapi as on_fastapi
import kinde_guard.flask as on_flask
import kinde_guard.starlette as on_starlette
from kinde_guard import ConfigurationError, Guard
from kinde_guard.routes import routes_of
from kinde_guard.testing import assert_no_unprotected_routes

GOOD = mint(base=M2M)
F = TypeVar("F", bound=Callable[..., Any])


class Place(Protocol):
    """Puts the route's decorator and ours around a function: above, or below."""

    def __call__(self, route: Any, demand: Any) -> Callable[[F], F]: ...


def above(route: Any, demand: Any) -> Any:
    return lambda function: demand(route(function))


def below(route: Any, demand: Any) -> Any:
    return lambda function: route(demand(function))


def logged(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


def alogged(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        return await function(*args, **kwargs)

    return wrapper


def bare(function: Callable[..., Any]) -> Callable[..., Any]:
    """Without functools.wraps."""

    async def wrapper(request: Request) -> Any:
        return await function(request)

    return wrapper


class LoggedRoute(APIRoute):
    """A team's own kind of route, which puts something around every endpoint."""

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        super().__init__(path, logged(endpoint), **options)


def fastapi_route_class(place: Place, guard: Guard) -> Any:
    router = APIRouter(route_class=LoggedRoute)

    @place(router.get("/"), on_fastapi.requires_scope("delete:users"))
    def endpoint() -> str:
        return "in"

    app = FastAPI()
    app.include_router(router)
    on_fastapi.KindeGuard(app, guard=guard)
    return app


def fastapi_team_decorator(place: Place, guard: Guard) -> Any:
    app = FastAPI()
    on_fastapi.KindeGuard(app, guard=guard)

    def route(function: Any) -> Any:
        app.add_api_route("/", alogged(function))
        return function

    @place(route, on_fastapi.requires_scope("delete:users"))
    async def endpoint() -> str:
        return "in"

    return app


def starlette_team_decorator(place: Place, guard: Guard, around: Any = alogged) -> Any:
    app = Starlette()
    on_starlette.KindeGuard(app, guard=guard)

    def route(function: Any) -> Any:
        app.router.routes.append(Route("/", around(function)))
        return function

    @place(route, on_starlette.requires_scope("delete:users"))
    async def endpoint(request: Request) -> Response:
        return JSONResponse("in")

    return app


def starlette_closure(place: Place, guard: Guard) -> Any:
    return starlette_team_decorator(place, guard, bare)


ASGI: dict[str, Any] = {
    "fastapi, a route class": fastapi_route_class,
    "fastapi, a team's decorator": fastapi_team_decorator,
    "starlette, a team's decorator": starlette_team_decorator,
    "starlette, a closure": starlette_closure,
}


def flask_openapi3(place: Place, guard: Guard) -> Any:
    app = OpenAPI("service")
    on_flask.KindeGuard(app, guard=guard)

    @place(app.get("/"), on_flask.requires_scope("delete:users"))
    def view() -> str:
        return "in"

    return app


def flask_openapi3_blueprint(place: Place, guard: Guard) -> Any:
    app, blueprint = OpenAPI("service"), APIBlueprint("users", "service")
    on_flask.KindeGuard(app, guard=guard)

    @place(blueprint.get("/"), on_flask.requires_scope("delete:users"))
    def view() -> str:
        return "in"

    app.register_api(blueprint)
    return app


def flask_team_decorator(place: Place, guard: Guard) -> Any:
    app = Flask("service")
    on_flask.KindeGuard(app, guard=guard)

    def route(function: Any) -> Any:
        app.add_url_rule("/", view_func=logged(function))
        return function

    @place(route, on_flask.requires_scope("delete:users"))
    def view() -> str:
        return "in"

    return app


FLASK: dict[str, Any] = {
    "flask-openapi3": flask_openapi3,
    "flask-openapi3, a blueprint": flask_openapi3_blueprint,
    "flask, a team's decorator": flask_team_decorator,
}
EVERY = ASGI | FLASK


@pytest.fixture(scope="module")
def guard() -> Guard:
    return guard_of(Issuer())


@pytest.mark.parametrize("make", ASGI.values(), ids=ASGI)
def test_a_decorator_above_is_found(make: Any, guard: Guard) -> None:
    with pytest.raises(ConfigurationError, match=r"is not enforced: write @requires_…\(…\) below the route decorator"):
        ask(make(above, guard), "/")


@pytest.mark.parametrize("make", FLASK.values(), ids=FLASK)
def test_a_decorator_above_is_found_in_flask(make: Any, guard: Guard) -> None:
    app = make(above, guard)
    app.testing = True
    with pytest.raises(ConfigurationError, match="below the route decorator"):
        app.test_client().get("/")


@pytest.mark.parametrize("make", EVERY.values(), ids=EVERY)
def test_routes_tell_of_it(make: Any, guard: Guard) -> None:
    (route,) = [route for route in routes_of(make(above, guard)) if route.path == "/"]
    assert (route.kind, str(route.demand)) == ("misplaced", "scope('delete:users')")
    with pytest.raises(AssertionError, match="below the route decorator"):
        assert_no_unprotected_routes(make(above, guard))


@pytest.mark.parametrize("make", ASGI.values(), ids=ASGI)
def test_a_decorator_below_is_right(make: Any, guard: Guard) -> None:
    app = make(below, guard)
    assert [ask(app, "/").status, ask(app, "/", GOOD).status] == [401, 403]


@pytest.mark.parametrize("make", FLASK.values(), ids=FLASK)
def test_a_decorator_below_is_right_in_flask(make: Any, guard: Guard) -> None:
    client = make(below, guard).test_client()
    headers = {"Authorization": f"Bearer {GOOD}"}
    assert [client.get("/").status_code, client.get("/", headers=headers).status_code] == [401, 403]


@pytest.mark.parametrize("name", sorted(set(EVERY) - {"starlette, a closure"}))
def test_routes_tell_what_is_demanded_below(name: str, guard: Guard) -> None:
    (route,) = [route for route in routes_of(EVERY[name](below, guard)) if route.path == "/"]
    assert (route.kind, str(route.demand)) == ("protected", "scope('delete:users')")


def test_a_function_that_is_held_may_be_called_on_purpose(guard: Guard) -> None:
    """Guarded by one route, called by another that is open: nobody has forgotten anything."""

    async def users() -> str:
        return "in"

    app = FastAPI()
    on_fastapi.KindeGuard(app, guard=guard)
    app.get("/users")(on_fastapi.requires_scope("delete:users")(users))

    @app.get("/open")
    async def opened() -> str:
        return await users()

    assert [ask(app, "/users").status, ask(app, "/open").status] == [401, 200]
    assert [route.kind for route in routes_of(app) if route.path == "/open"] == ["unprotected"]


# A decorator of another framework's adapter


def on_a_starlette_route(demand: Any, guard: Guard) -> Any:
    app = Starlette(routes=[Route("/", demand(fresh()))])
    on_starlette.KindeGuard(app, guard=guard)
    return app


def on_a_method(demand: Any, guard: Guard) -> Any:
    async def get(self: HTTPEndpoint, request: Request) -> Response:
        return JSONResponse("in")

    class Users(HTTPEndpoint):
        pass

    Users.get = demand(get)  # type: ignore[attr-defined]

    class Inherited(Users):
        pass

    app = Starlette(routes=[Route("/", Inherited)])
    on_starlette.KindeGuard(app, guard=guard)
    return app


def in_a_mounted_app(demand: Any, guard: Guard) -> Any:
    app = FastAPI()
    app.mount("/", Starlette(routes=[Route("/", demand(fresh()))]))
    on_fastapi.KindeGuard(app, guard=guard)
    return app


def on_a_fastapi_route(demand: Any, guard: Guard) -> Any:
    app = FastAPI()
    router = APIRouter()

    async def endpoint(page: int = 1) -> str:
        return "in"

    router.get("/")(demand(endpoint))
    app.include_router(router)
    on_fastapi.KindeGuard(app, guard=guard)
    return app


def under_another_decorator(demand: Any, guard: Guard) -> Any:
    return on_a_fastapi_route(lambda function: alogged(demand(function)), guard)


def fresh() -> Callable[..., Any]:
    async def endpoint(request: Request) -> Response:
        return JSONResponse("in")

    return endpoint


FOREIGN: dict[str, tuple[Any, Any, str, str]] = {
    "flask on starlette": (on_a_starlette_route, on_flask, "Flask's", "kinde_guard.starlette"),
    "fastapi on starlette": (on_a_starlette_route, on_fastapi, "FastAPI's", "kinde_guard.starlette"),
    "fastapi on a method": (on_a_method, on_fastapi, "FastAPI's", "kinde_guard.starlette"),
    "flask on a method": (on_a_method, on_flask, "Flask's", "kinde_guard.starlette"),
    "fastapi in a mounted app": (in_a_mounted_app, on_fastapi, "FastAPI's", "kinde_guard.starlette"),
    "flask on fastapi": (on_a_fastapi_route, on_flask, "Flask's", "kinde_guard.fastapi"),
    "starlette on fastapi": (on_a_fastapi_route, on_starlette, "Starlette's", "kinde_guard.fastapi"),
    "flask on fastapi, under another": (under_another_decorator, on_flask, "Flask's", "kinde_guard.fastapi"),
}


@pytest.mark.parametrize(("make", "adapter", "whose", "mend"), FOREIGN.values(), ids=FOREIGN)
def test_a_decorator_of_another_framework_is_found(
    make: Any, adapter: Any, whose: str, mend: str, guard: Guard
) -> None:
    """It would let nobody in, with an error that speaks of something else; said when the app starts."""
    sentence = rf"serves '/', is {whose}\. It lets nobody in on .*: write from {mend} import requires_…"
    for demand in (adapter.requires_auth, adapter.requires_scope("read:users")):
        with pytest.raises(ConfigurationError, match=sentence):
            talk(make(demand, guard), lifespan())
        with pytest.raises(ConfigurationError, match=sentence):
            ask(make(demand, guard), "/", GOOD)


@pytest.mark.parametrize("make", [on_a_starlette_route, on_a_method, in_a_mounted_app])
def test_starlettes_decorator_is_right_on_its_routes(make: Any, guard: Guard) -> None:
    app = make(on_starlette.requires_scope("read:users"), guard)
    assert [ask(app, "/").status, ask(app, "/", GOOD).status] == [401, 200]


def test_starlettes_decorator_is_right_where_fastapi_gives_it_the_request(guard: Guard) -> None:
    app = FastAPI()
    on_fastapi.KindeGuard(app, guard=guard)

    @app.get("/")
    @on_starlette.requires_scope("read:users")
    async def endpoint(request: Request, page: int = 1) -> str:
        return "in"

    assert [ask(app, "/").status, ask(app, "/", GOOD).status] == [401, 200]
