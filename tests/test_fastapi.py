"""The FastAPI adapter."""

from __future__ import annotations

import functools
import inspect
import logging
import sys
import types
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import pytest
from asgi_calls import Counting, Reply, ask, bearing, http, lifespan, talk, websocket
from fastapi import APIRouter, Depends, FastAPI, HTTPException, Request, Response, Security, WebSocket
from fastapi.responses import JSONResponse, StreamingResponse
from fastapi.security import HTTPBearer, SecurityScopes
from fastapi.security.base import SecurityBase
from fastapi.testclient import TestClient
from helpers import AUDIENCE, CLIENT, DOMAIN, ISSUER, M2M, Issuer, guard_of, mint, older
from pydantic import BaseModel
from servers import served, uvicorn_command
from starlette.applications import Starlette
from starlette.authentication import UnauthenticatedUser
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.routing import Mount, Route
from waiting import LONG
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

import kinde_guard.starlette
from kinde_guard import (
    AccessToken,
    AuthError,
    ConfigurationError,
    Guard,
    InsufficientScope,
    InvalidToken,
    KeysUnavailable,
    KindeGuardError,
    MissingToken,
    permission,
    scope,
)
from kinde_guard.asgi import GuardMiddleware
from kinde_guard.fastapi import (
    AccessTokenSecurity,
    KindeGuard,
    OptionalToken,
    Requires,
    Token,
    TokenOrNone,
    access_token,
    optional_access_token,
    requires,
    requires_auth,
    requires_org,
    requires_permission,
    requires_role,
    requires_scope,
)
from kinde_guard.web.decorators import enforced

MISSING = (401, 'Bearer realm="api"')
PREFLIGHT = [("origin", "https://app.example"), ("access-control-request-method", "POST")]


def guarded(guard: Any, public: Any = None, **options: Any) -> FastAPI:
    app = FastAPI(**options)
    KindeGuard(app, guard=guard, public=public)
    return app


def app_with(endpoint: Any, guard: Any, path: str = "/", **options: Any) -> FastAPI:
    app = guarded(guard)
    app.get(path, **options)(endpoint)
    return app


def without(*scopes: str, **claims: Any) -> str:
    """A good token that was granted these scopes only."""
    return mint({"scope": " ".join(scopes), **claims}, base=M2M)


def outcome(reply: Reply) -> tuple[int, str]:
    return reply.status, reply.challenge


def scopes_in(challenge: str) -> list[str]:
    return challenge.partition('scope="')[2].rstrip('"').split()


def traced(function: Callable[..., Any]) -> Callable[..., Any]:
    """A decorator of somebody else's, for ``def``."""

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


def atraced(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same for ``async def``."""

    @functools.wraps(function)
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        return await function(*args, **kwargs)

    return wrapper


# Endpoints, each taking a parameter of its own, so that the injected one is seen to be in nobody's way.


def plain(q: int = 0) -> dict[str, int]:
    return {"q": q}


async def aplain(q: int = 0) -> dict[str, int]:
    return {"q": q}


async def with_token(token: Token, q: int = 0) -> dict[str, int]:
    assert token.client_id == CLIENT
    return {"q": q}


class Views:
    def bound(self, q: int = 0) -> dict[str, int]:
        return {"q": q}

    @requires_scope("read:users")
    async def method(self, q: int = 0) -> dict[str, int]:
        return {"q": q}

    @staticmethod
    @requires_scope("read:users")
    def static(q: int = 0) -> dict[str, int]:
        return {"q": q}

    async def __call__(self, q: int = 0) -> dict[str, int]:
        return {"q": q}


def two(more: str, q: int = 0) -> dict[str, int]:
    return {"q": q}


def fresh(function: Callable[..., Any]) -> Callable[..., Any]:
    """A copy, which carries no mark of another test."""
    copy = types.FunctionType(
        function.__code__, function.__globals__, function.__name__, function.__defaults__, function.__closure__
    )
    copy.__annotations__, copy.__qualname__ = function.__annotations__, function.__qualname__
    return copy


read_users = requires_scope("read:users")
FORMS: dict[str, Callable[[], Any]] = {
    "def": lambda: read_users(fresh(plain)),
    "async def": lambda: read_users(fresh(aplain)),
    "with a token": lambda: read_users(fresh(with_token)),
    "bound method": lambda: read_users(Views().bound),
    "decorated method": lambda: Views().method,
    "static method": lambda: Views.static,
    "callable instance": lambda: read_users(Views()),
    "partial": lambda: read_users(functools.partial(two, "more")),
    "partial of one with a token": lambda: read_users(functools.partial(fresh(with_token))),
    "partial outside": lambda: functools.partial(read_users(fresh(two)), more="more"),
    "decorator outside": lambda: traced(read_users(fresh(plain))),
    "decorator inside": lambda: read_users(traced(fresh(plain))),
    "async decorator outside": lambda: atraced(read_users(fresh(aplain))),
    "async decorator inside": lambda: read_users(atraced(fresh(aplain))),
    "stacked": lambda: read_users(requires_auth(read_users(fresh(plain)))),
    "stacked with another in between": lambda: read_users(traced(requires_auth(fresh(plain)))),
    "any requirement": lambda: requires(scope("read:users"))(fresh(plain)),
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_decorated(form: str, guard: Guard, token: str) -> None:
    """Every kind of endpoint demands, and keeps its own parameters."""
    app = app_with(FORMS[form](), guard)
    assert outcome(ask(app, "/")) == MISSING
    assert ask(app, "/", "forged").json["error"] == "invalid_token"
    refused = ask(app, "/", without("write:flags"))
    assert (refused.status, scopes_in(refused.challenge)) == (403, ["read:users"])
    assert ask(app, "/", token, query_string=b"q=7").json == {"q": 7}
    assert ask(app, "/", token, query_string=b"q=x").status == 422


def router_of(endpoint: Any = plain, **options: Any) -> APIRouter:
    router = APIRouter(**options)
    router.get("/")(fresh(endpoint))
    return router


def including(router: APIRouter, guard: Any, **options: Any) -> FastAPI:
    app = guarded(guard)
    app.include_router(router, **options)
    return app


def nested(guard: Any) -> FastAPI:
    outer = APIRouter(dependencies=[Security(access_token, scopes=["read:users"])])
    outer.include_router(router_of())
    return including(outer, guard)


def with_app_dependencies(guard: Any) -> FastAPI:
    app = guarded(guard, dependencies=[Security(access_token, scopes=["read:users"])])
    app.get("/")(fresh(plain))
    return app


def mounted(guard: Any) -> FastAPI:
    inner = FastAPI()
    inner.get("/")(read_users(fresh(plain)))
    app = guarded(guard)
    app.mount("/", inner)
    return app


def decorated_in_a_router(guard: Any) -> FastAPI:
    router = APIRouter()
    router.get("/")(read_users(fresh(plain)))
    return including(router, guard)


def by_user(user: Annotated[AccessToken, Security(access_token, scopes=["read:users"])]) -> str:
    return user.subject


async def through_a_sub_dependency(user: Annotated[str, Depends(by_user)], q: int = 0) -> dict[str, int]:
    assert user == CLIENT
    return {"q": q}


@requires_scope("read:users")
def decorated_dependency() -> str:
    return "decorated"


async def through_a_decorated_one(what: Annotated[str, Depends(decorated_dependency)], q: int = 0) -> dict[str, int]:
    assert what == "decorated"
    return {"q": q}


async def by_parameter(
    token: Annotated[AccessToken, Security(access_token, scopes=["read:users"])], q: int = 0
) -> dict[str, int]:
    return {"q": q}


async def by_demand(token: Annotated[AccessToken, requires_scope("read:users")], q: int = 0) -> dict[str, int]:
    assert token.client_id == CLIENT
    return {"q": q}


async def by_default(token: AccessToken = read_users, q: int = 0) -> dict[str, int]:  # type: ignore[assignment]
    return {"q": q}


security = Security(access_token, scopes=["read:users"])
PLACES: dict[str, Callable[[Any], FastAPI]] = {
    "parameter": lambda guard: app_with(by_parameter, guard),
    "parameter, our demand": lambda guard: app_with(by_demand, guard),
    "parameter, as its default": lambda guard: app_with(by_default, guard),
    "sub-dependency": lambda guard: app_with(through_a_sub_dependency, guard),
    "decorated dependency": lambda guard: app_with(through_a_decorated_one, guard),
    "route": lambda guard: app_with(fresh(plain), guard, dependencies=[security]),
    "route, our demand": lambda guard: app_with(fresh(plain), guard, dependencies=[read_users]),
    "router": lambda guard: including(router_of(dependencies=[security]), guard),
    "router, our demand": lambda guard: including(router_of(dependencies=[read_users]), guard),
    "include_router": lambda guard: including(router_of(), guard, dependencies=[read_users]),
    "nested routers": nested,
    "app": with_app_dependencies,
    "decorator in a router": decorated_in_a_router,
    "mounted app": mounted,
    "token and decorator": lambda guard: app_with(read_users(fresh(with_token)), guard),
}


@pytest.mark.parametrize("place", PLACES)
def test_dependencies(place: str, guard: Guard, token: str) -> None:
    """Wherever FastAPI takes dependencies, and however many ask: the token is verified once."""
    counting = Counting(guard)
    app = PLACES[place](counting)
    assert ask(app, "/", token, query_string=b"q=7").json == {"q": 7}
    assert counting.verified == 1
    assert outcome(ask(app, "/")) == MISSING
    refused = ask(app, "/", without("write:flags"))
    assert (refused.status, scopes_in(refused.challenge)) == (403, ["read:users"])


def test_verified_once_by_each_guard(guard: Guard, token: str) -> None:
    """FastAPI calls a security dependency once for each set of scopes; what is verified is remembered."""
    first, second = Counting(guard), Counting(guard)
    other = AccessTokenSecurity(second, scheme_name="Other")  # type: ignore[arg-type]
    by_other = Security(other, scopes=["read:users"])
    app = guarded(first, dependencies=[Security(access_token, scopes=["read:users"])])

    @app.get("/", dependencies=[Security(other), Security(access_token, scopes=["write:flags"]), requires_auth])
    @requires_scope("read:users", "write:flags")
    @requires(scope("read:users") | permission("x"))
    def endpoint(one: Token, two: OptionalToken, three: Any = by_other) -> bool:
        assert two is not None
        return bool(one.subject == two.subject == three.subject)

    assert ask(app, "/", token).json is True
    assert (first.verified, second.verified) == (1, 1)


@pytest.mark.parametrize(
    ("decorator", "claims", "status"),
    [
        (requires_auth, {}, 200),
        (requires_scope("read:users", "write:flags"), {}, 200),
        (requires_scope("read:users", "write:all"), {}, 403),
        (requires_permission("users:read"), {}, 403),
        (requires_permission("users:read"), {"permissions": ["users:read"]}, 200),
        (requires_role("admin"), {}, 403),
        (requires_role("admin"), {"roles": [{"id": "1", "key": "admin", "name": "Admin"}]}, 200),
        (requires_org("org_1"), {}, 403),
        (requires_org("org_1"), {"org_code": "org_1"}, 200),
        (requires(permission("users:read") | scope("read:users")), {}, 200),
        (requires(permission("users:read") & scope("read:users")), {}, 403),
        (requires(scope("write:all") & permission("users:read")), {"permissions": ["users:read"]}, 403),
    ],
)
@pytest.mark.parametrize("spelling", ["decorator", "dependency", "parameter"])
def test_demands(guard: Guard, decorator: Any, claims: Any, status: int, spelling: str) -> None:
    app = guarded(guard)
    if spelling == "decorator":
        app.get("/")(decorator(fresh(plain)))
    elif spelling == "dependency":
        app.get("/", dependencies=[decorator])(fresh(plain))
    else:

        async def endpoint(token: Any) -> dict[str, int]:
            return {"q": 0}

        endpoint.__annotations__["token"] = Annotated[AccessToken, decorator]
        app.get("/")(endpoint)
    assert ask(app, "/", mint(claims, base=M2M)).status == status
    assert outcome(ask(app, "/")) == MISSING


@pytest.mark.parametrize(
    ("path", "claims", "status"),
    [
        ("/orgs/org_1/report", {"org_code": "org_1"}, 200),
        ("/orgs/org_2/report", {"org_code": "org_1"}, 403),
        ("/orgs/org_1/report", {}, 403),
        ("/orgs/None/report", {"org_code": None}, 403),
    ],
)
@pytest.mark.parametrize("prefix", ["", "/orgs/{org_code}"])
def test_organization_in_the_path(guard: Guard, path: str, claims: Any, status: int, prefix: str) -> None:
    """Of the route or of a router around it, whether the endpoint takes the parameter or not."""
    router = APIRouter()
    router.get("/report" if prefix else "/orgs/{org_code}/report")(requires_org(path="org_code")(fresh(plain)))
    app = including(router, guard, prefix=prefix)
    assert ask(app, path, mint(claims, base=M2M)).status == status


class Made:
    def __init__(self, factor: int = 2) -> None:
        self.factor = factor

    @requires_scope("read:users")
    def endpoint(self, q: int = 0) -> dict[str, int]:
        return {"q": self.factor * q}


def test_class_based_views(guard: Guard, token: str) -> None:
    """As the libraries for them do it: ``self`` becomes a dependency, all other parameters keyword-only."""
    endpoint: Any = Made.endpoint
    signature = inspect.signature(endpoint)
    made, *others = signature.parameters.values()
    endpoint.__signature__ = signature.replace(
        parameters=[
            made.replace(default=Depends(Made)),
            *(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in others),
        ]
    )
    app = app_with(endpoint, guard)
    assert ask(app, "/", token, query_string=b"q=7&factor=3").json == {"q": 21}
    assert outcome(ask(app, "/")) == MISSING
    assert ask(app, "/", without()).status == 403


def test_organization_in_a_path_without_it(guard: Guard, token: str) -> None:
    app = app_with(requires_org(path="org_code")(fresh(plain)), guard)
    with pytest.raises(ConfigurationError, match="no path parameter of that name"):
        ask(app, "/", token)


def test_optional_token(guard: Guard, token: str) -> None:
    """Nobody is ``None``; whoever shows a bad token is refused, as is one without the scopes asked for."""
    app = guarded(guard)

    @app.get("/")
    def index(token: OptionalToken) -> str | None:
        return token.client_id if token else None

    @app.get("/scoped")
    def scoped(
        token: Annotated[AccessToken | None, Security(optional_access_token, scopes=["read:users"])],
    ) -> str | None:
        return token.client_id if token else None

    assert ask(app, "/").json is None
    assert ask(app, "/", headers=[("authorization", "Basic eDp5")]).json is None
    assert ask(app, "/", token).json == CLIENT
    assert ask(app, "/", "forged").status == 401
    assert ask(app, "/", headers=[("authorization", "Bearer")]).status == 400
    assert ask(app, "/scoped").json is None
    assert ask(app, "/scoped", without("write:flags")).status == 403


def test_request_user(guard: Guard, token: str) -> None:
    """As in Starlette: the caller where a token was demanded, nobody elsewhere."""
    app = guarded(guard)

    @app.get("/me", dependencies=[requires_auth])
    def me(request: Request) -> list[str]:
        return [request.user.identity, *sorted(request.auth.scopes)]

    @app.get("/open")
    def index(request: Request) -> bool:
        return type(request.user) is UnauthenticatedUser and request.auth.scopes == []

    assert ask(app, "/me", token).json == [CLIENT, "authenticated", "read:users", "write:flags"]
    assert ask(app, "/open", token).json is True


def generated() -> Iterator[str]:
    yield "a"


async def agenerated() -> AsyncIterator[str]:
    yield "a"


@pytest.mark.skipif(older("fastapi", "0.134"), reason="it streams nothing that an endpoint yields")
@pytest.mark.parametrize("endpoint", [generated, agenerated])
def test_generators(endpoint: Any, guard: Guard, token: str) -> None:
    """Endpoints that yield what FastAPI streams; refused before the first item."""
    app = app_with(read_users(fresh(endpoint)), guard)
    assert ask(app, "/", token).body == b'"a"\n'
    assert outcome(ask(app, "/")) == MISSING
    assert ask(app, "/", without()).status == 403


def test_streams(guard: Guard, token: str) -> None:
    @requires_scope("read:users")
    def endpoint() -> StreamingResponse:
        return StreamingResponse(iter(["a", "b"]))

    app = app_with(endpoint, guard)
    assert ask(app, "/", token).body == b"ab"
    assert outcome(ask(app, "/")) == MISSING


@requires_scope("read:users")
async def socket(websocket: WebSocket, q: int = 0) -> None:
    await websocket.accept()
    await websocket.send_text(str(q))
    await websocket.close()


async def socket_with_token(websocket: WebSocket, token: Annotated[AccessToken, read_users], q: int = 0) -> None:
    await websocket.accept()
    await websocket.send_text(str(q))
    await websocket.close()


@pytest.mark.parametrize("endpoint", [socket, socket_with_token])
@pytest.mark.parametrize("router", [False, True])
def test_websockets(endpoint: Any, router: bool, guard: Guard, token: str) -> None:
    app = guarded(guard)
    place = APIRouter() if router else app
    place.websocket("/ws")(endpoint)
    if router:
        app.include_router(place)  # type: ignore[arg-type]
    refused = talk(app, websocket("/ws")).reply
    assert (outcome(refused), refused.json["error"]) == (MISSING, "missing_token")
    lacking = talk(app, websocket("/ws", bearing(without()))).reply
    assert (lacking.status, scopes_in(lacking.challenge)) == (403, ["read:users"])
    assert talk(app, websocket("/ws", bearing(token), query_string=b"q=7")).sent[1]["text"] == "7"
    assert talk(app, websocket("/ws", answers=False)).sent == [{"type": "websocket.close", "code": 1008, "reason": ""}]


def test_refusal_of_an_open_websocket_closes_it(guard: Guard, token: str) -> None:
    app = guarded(guard)

    @app.websocket("/ws")
    async def endpoint(websocket: WebSocket, token: Token) -> None:
        await websocket.accept()
        token.require(scope("delete:users"))

    accepted, closed = talk(app, websocket("/ws", bearing(token))).sent
    assert (accepted["type"], closed["type"], closed["code"]) == ("websocket.accept", "websocket.close", 1008)


def test_websocket_through_a_server(guard: Guard, token: str) -> None:
    app = guarded(guard)
    app.websocket("/ws")(socket)
    with served(app) as address:
        with pytest.raises(InvalidStatus) as caught:
            connect(f"ws://{address}/ws", proxy=None)
        assert caught.value.response.status_code == 401
        assert caught.value.response.headers["www-authenticate"] == MISSING[1]
        with connect(f"ws://{address}/ws?q=7", additional_headers=dict(bearing(token)), proxy=None) as session:
            assert session.recv(timeout=LONG) == "7"


MODULE = """
{future}
from typing import TYPE_CHECKING
from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel
from kinde_guard.fastapi import OptionalToken, Token, requires_permission, requires_scope

if TYPE_CHECKING:
    from nowhere import Unknown

router = APIRouter()

class Item(BaseModel):
    name: str

@requires_scope("read:users")
def dependency(token: Token, q: int = 0) -> {unknown}:
    return token.client_id

@router.post("/items/{{number}}")
@requires_scope("read:users")
@requires_permission("p")
async def create(
    number: int, item: Item, request: Request, token: Token, again: OptionalToken, caller: str = Depends(dependency)
) -> Item:
    assert request.url.path == f"/items/{{number}}"
    assert caller == token.client_id == again.client_id
    return item
"""


@pytest.mark.parametrize(
    ("future", "unknown"),
    [
        ("", "'Unknown'"),
        ("from __future__ import annotations", "Unknown"),
        pytest.param("", "Unknown", marks=pytest.mark.skipif(sys.version_info < (3, 14), reason="PEP 649")),
    ],
)
def test_annotations_of_users_modules(future: str, unknown: str, guard: Guard) -> None:
    """As objects or as text, and some that nobody can evaluate: they are left as they are."""
    app = including(loaded(MODULE.format(future=future, unknown=unknown)).router, guard)
    good = mint({"permissions": ["p"]}, base=M2M)
    post: Any = {"headers": [("content-type", "application/json")], "method": "POST", "body": b'{"name": "x"}'}
    assert ask(app, "/items/7", good, **post).json == {"name": "x"}
    assert outcome(ask(app, "/items/7", **post)) == MISSING
    assert ask(app, "/items/7", mint(base=M2M), **post).status == 403
    assert ask(app, "/items/x", good, **post).status == 422


def loaded(code: str) -> Any:
    """*code* as a module, with annotations as it has them and not as this file does."""
    module = types.ModuleType("users_module")
    exec(compile(code, "users_module.py", "exec", dont_inherit=True), module.__dict__)
    return module


class Item(BaseModel):
    name: str


def creating(item: Item) -> None: ...


def existing(item_id: int) -> int:
    raise HTTPException(404)


def test_order_of_checks(guard: Guard, token: str) -> None:
    """The demand comes before the endpoint's own dependencies and before its body is judged: nobody learns what
    exists without a token, nor what a body should look like."""
    app = guarded(guard)

    @app.post("/items/{item_id}")
    @requires_permission("p")
    def create(found: Annotated[int, Depends(existing)], item: Item) -> None: ...

    wrong: Any = {"headers": [("content-type", "application/json")], "method": "POST", "body": b"{}"}
    assert outcome(ask(app, "/items/1", **wrong)) == MISSING
    assert outcome(ask(app, "/items/x", **wrong)) == MISSING
    assert ask(app, "/items/1", token, **wrong).status == 403
    assert ask(app, "/items/1", mint({"permissions": ["p"]}, base=M2M), **wrong).status == 404


def test_malformed_body(guard: Guard) -> None:
    """FastAPI reads JSON before any dependency; with ``public`` the token comes first."""
    malformed: Any = {"headers": [("content-type", "application/json")], "method": "POST", "body": b"{"}
    for public, status in ((None, 422), ([], 401)):
        app = guarded(guard, public)

        @app.post("/")
        @requires_auth
        def create(item: Item) -> None: ...

        assert ask(app, "/", **malformed).status == status


def test_everything_but_public_paths(guard: Guard, token: str) -> None:
    """With ``public``: docs and schema too, unknown paths, mounted apps, WebSockets; before the body is read."""
    app = guarded(guard, public=["/healthz", "/static/*"])
    app.get("/healthz")(fresh(plain))
    app.post("/items")(fresh(creating))
    app.mount("/static", Starlette(routes=[Route("/a", lambda request: JSONResponse("a"))]))
    app.websocket("/ws")(fresh(socket.__wrapped__))  # type: ignore[attr-defined]
    assert ask(app, "/healthz").status == ask(app, "/static/a").status == 200
    for path in ("/docs", "/openapi.json", "/redoc", "/unknown", "/items", "/static/../items"):
        for method in ("GET", "POST"):
            assert outcome(talk(app, http(path, method=method)).reply) == MISSING
    assert outcome(talk(app, websocket("/ws")).reply) == MISSING
    assert ask(app, "/docs", token).status == ask(app, "/openapi.json", token).status == 200
    assert ask(app, "/unknown", token).status == 404
    assert outcome(ask(app, "/items", headers=PREFLIGHT, method="OPTIONS")) == MISSING


def test_docs_without_public_paths(guard: Guard) -> None:
    app = guarded(guard)
    assert [ask(app, path).status for path in ("/docs", "/openapi.json", "/redoc")] == [200, 200, 200]


# What OpenAPI shows


def documented(app: FastAPI) -> Any:
    return app.openapi()["paths"]["/"]["get"]


def test_openapi_shows_the_lock_and_the_scopes(guard: Guard) -> None:
    app = guarded(guard, dependencies=[Security(access_token, scopes=["app"])])
    router = APIRouter(dependencies=[Security(access_token, scopes=["router"])])

    @router.get("/", dependencies=[requires_scope("route"), requires(permission("p") & scope("both"))])
    @requires_permission("p")
    @requires_scope("decorator")
    def endpoint(token: Annotated[AccessToken, Security(access_token, scopes=["parameter"])]) -> None: ...

    app.include_router(router, dependencies=[requires_scope("include")])
    schemes = app.openapi()["components"]["securitySchemes"]
    assert list(schemes) == ["Kinde"]
    assert schemes["Kinde"] == {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "An access token from Kinde. `kinde-guard token` gets one.",
    }
    ((name, scopes),) = [requirement for each in documented(app)["security"] for requirement in each.items()]
    assert name == "Kinde"
    assert set(scopes) == {"app", "include", "router", "route", "decorator", "both", "parameter"}


@pytest.mark.parametrize("place", [*FORMS, *PLACES])
def test_openapi_shows_nothing_of_ours(place: str, guard: Guard) -> None:
    """No parameter, no body, no answer: there is nothing that a caller could set."""
    app = app_with(FORMS[place](), guard) if place in FORMS else PLACES[place](guard)
    if place == "mounted app":
        app = app.routes[-1].app  # type: ignore[attr-defined]
    operation = documented(app)
    assert {parameter["name"] for parameter in operation["parameters"]} - {"more"} == {"q"}
    assert "requestBody" not in operation
    assert operation["security"] == [{"Kinde": ["read:users"]}]
    without_parameters = guarded(guard)
    without_parameters.get("/")(requires_scope("a")(requires_permission("b")(lambda: None)))
    assert set(documented(without_parameters)["responses"]) == {"200", "401", "403", "503"}
    assert "parameters" not in documented(without_parameters)


def test_openapi_of_open_routes(guard: Guard) -> None:
    assert "security" not in documented(app_with(fresh(plain), guard))


@pytest.mark.parametrize(
    "dependency",
    [access_token, optional_access_token, requires_permission("p").dependency, requires_org(path="x").dependency],
)
def test_no_dependency_has_a_parameter_of_its_own(dependency: Any) -> None:
    """A parameter with a default would be the caller's to set, in the query."""
    annotations = {
        parameter.annotation for parameter in inspect.signature(dependency, eval_str=True).parameters.values()
    }
    assert annotations <= {Request.__mro__[1], SecurityScopes, Token}


@pytest.mark.usefixtures("no_settings")
def test_openapi_needs_no_settings() -> None:
    """An app is imported, and its schema written, where there are none."""
    app = FastAPI()
    KindeGuard(app)
    app.get("/")(requires_auth(fresh(plain)))
    assert documented(app)["security"] == [{"Kinde": []}]


def test_security_scheme(guard: Guard) -> None:
    """One stable instance, of the kind that FastAPI knows; its calls need no thread."""
    assert isinstance(access_token, SecurityBase)
    assert inspect.iscoroutinefunction(AccessTokenSecurity.__call__)
    assert inspect.iscoroutinefunction(type(optional_access_token).__call__)
    assert inspect.iscoroutinefunction(type(requires_permission("p").dependency).__call__)


# The challenge


def test_challenge_names_every_scope_of_the_route(guard: Guard) -> None:
    """FastAPI stops at the first dependency that refuses; a client has to ask for all scopes at once."""
    app = guarded(guard, dependencies=[Security(access_token, scopes=["app"])])
    router = APIRouter(dependencies=[Security(access_token, scopes=["router"])])

    @router.get("/", dependencies=[requires_scope("route")])
    @requires_scope("outer")
    @requires(scope("inner") & permission("p"))
    def endpoint(token: Annotated[AccessToken, Security(access_token, scopes=["parameter"])]) -> None: ...

    @router.websocket("/ws")
    @requires_scope("outer")
    async def socket(websocket: WebSocket) -> None: ...

    app.include_router(router, dependencies=[requires_scope("include")])
    expected = {"app", "include", "router", "route", "outer", "inner", "parameter"}
    assert set(scopes_in(ask(app, "/", without()).challenge)) == expected
    assert set(scopes_in(ask(app, "/", without(*expected - {"parameter"}, permissions=["p"])).challenge)) == expected
    reply = talk(app, websocket("/ws", bearing(without()))).reply
    assert set(scopes_in(reply.challenge)) == {"app", "include", "router", "outer"}


@pytest.mark.parametrize(
    ("decorators", "first"),
    [
        ([requires_permission("p"), requires_scope("a")], "permission"),
        ([requires_scope("a"), requires_permission("p")], "scope"),
        ([requires(permission("p") & scope("a"))], "permission"),
        ([requires(scope("a") & permission("p"))], "scope"),
    ],
)
@pytest.mark.parametrize("spelling", ["decorators", "dependencies"])
def test_first_unmet_demand_is_reported(decorators: list[Any], first: str, spelling: str, guard: Guard) -> None:
    """In the order in which they are written, although scopes are what FastAPI judges first."""
    app = guarded(guard)
    endpoint = fresh(plain)
    if spelling == "decorators":
        for decorator in reversed(decorators):
            endpoint = decorator(endpoint)
        app.get("/")(endpoint)
    else:
        app.get("/", dependencies=decorators)(endpoint)
    reply = ask(app, "/", without())
    assert (reply.status, first in reply.json["detail"]) == (403, True)
    assert scopes_in(reply.challenge) == (["a"] if first == "scope" else [])


def test_challenge_of_another_scheme(guard: Guard) -> None:
    """Its scopes are not mixed up with those of the first."""
    admin = AccessTokenSecurity(guard, scheme_name="Admin")
    app = guarded(guard)

    @app.get(
        "/", dependencies=[Security(admin, scopes=["a"]), Security(access_token, scopes=["b"]), requires_scope("c")]
    )
    @requires(scope("d") & permission("p"))
    def endpoint() -> None: ...

    assert scopes_in(ask(app, "/", without()).challenge) == ["a"]
    assert scopes_in(ask(app, "/", without("a")).challenge) == ["b", "c", "d"]


def test_refusals_are_logged_once(guard: Guard, caplog: pytest.LogCaptureFixture) -> None:
    app = app_with(read_users(requires_permission("p")(fresh(plain))), guard)
    with caplog.at_level(logging.INFO, "kinde_guard"):
        ask(app, "/", without())
    refusals = [getattr(record, "reason", "") for record in caplog.records if "refused" in record.message]
    assert refusals == ["insufficient_scope"]


# Overrides


def overriding(token: AccessToken, scopes: SecurityScopes | None = None) -> AccessToken:
    return token


OVERRIDES: dict[str, Callable[[AccessToken], Any]] = {
    "lambda": lambda token: lambda: token,
    "async": lambda token: functools.partial(_aoverride, token),
}


async def _aoverride(token: AccessToken) -> AccessToken:
    return token


@pytest.mark.usefixtures("no_settings")
@pytest.mark.parametrize("override", OVERRIDES)
@pytest.mark.parametrize("place", [*FORMS, *PLACES])
def test_overrides(place: str, override: str, guard: Guard, token: str) -> None:
    """``app.dependency_overrides[access_token]`` is in every form's way, without a token, a guard or settings."""
    caller = guard.verify(token)
    app = app_with(FORMS[place](), None) if place in FORMS else PLACES[place](None)
    target = app.routes[-1].app if place == "mounted app" else app  # type: ignore[attr-defined]
    target.dependency_overrides[access_token] = (
        OVERRIDES[override](caller) if override == "lambda" else _async_of(caller)
    )
    assert ask(app, "/", query_string=b"q=7").json == {"q": 7}


def _async_of(token: AccessToken) -> Callable[[], Any]:
    async def override() -> AccessToken:
        return token

    return override


@pytest.mark.usefixtures("no_settings")
@pytest.mark.parametrize(
    "decorator", [read_users, requires_permission("p"), requires(scope("read:users") | permission("p"))]
)
@pytest.mark.parametrize("attached", [True, False])
def test_decorators_judge_the_overriding_token(decorator: Any, attached: bool, guard: Guard) -> None:
    """An override that lacks what is demanded is refused, as the caller it stands for would be."""
    app = app_with(decorator(fresh(plain)), guard if attached else None)
    app.dependency_overrides[access_token] = lambda: guard.verify(without())
    reply = ask(app, "/")
    assert (reply.status, reply.json["error"]) == (403, "insufficient_scope")
    app.dependency_overrides[access_token] = lambda: guard.verify(without("read:users", permissions=["p"]))
    assert ask(app, "/").status == 200
    app.dependency_overrides.clear()
    if attached:
        assert outcome(ask(app, "/")) == MISSING
    else:
        with pytest.raises(ConfigurationError, match="KINDE_DOMAIN"):
            ask(app, "/")


@pytest.mark.usefixtures("no_settings")
def test_override_starts_without_settings(guard: Guard, token: str) -> None:
    """With ``with TestClient(app)``, which runs the lifespan."""
    app = app_with(read_users(fresh(plain)), None)
    app.dependency_overrides[access_token] = lambda: guard.verify(token)
    with TestClient(app) as client:
        assert client.get("/").status_code == 200
    app.dependency_overrides.clear()
    with pytest.raises(ConfigurationError, match="KINDE_DOMAIN"), TestClient(app):
        pass


def test_override_that_takes_the_scopes(guard: Guard) -> None:
    """May judge them itself."""
    app = app_with(by_parameter, guard)
    asked: list[list[str]] = []

    def override(scopes: SecurityScopes) -> AccessToken:
        asked.append(scopes.scopes)
        return guard.verify(without())

    app.dependency_overrides[access_token] = override
    assert ask(app, "/").status == 200
    assert asked == [["read:users"]]


def test_override_of_the_optional_one(guard: Guard) -> None:
    app = guarded(guard)

    @app.get("/")
    def index(token: OptionalToken) -> bool:
        return token is None

    app.dependency_overrides[optional_access_token] = lambda: guard.verify(without())
    assert ask(app, "/").json is False


# Traps


@pytest.mark.parametrize("named", [Token, OptionalToken, TokenOrNone], ids=["Token", "OptionalToken", "TokenOrNone"])
def test_a_type_in_depends_is_told_at_start(named: Any) -> None:
    """To FastAPI it is a call of the type, whose arguments it asks every caller for: 422, in place of 401 or 200."""
    app = FastAPI()
    KindeGuard(app, guard=guard_of(Issuer()))
    app.get("/")(_with_default(Depends(named)))
    with pytest.raises(ConfigurationError, match="write token: Token"), TestClient(app):
        pass


@pytest.mark.parametrize("demand", [requires_auth, requires_scope("a"), requires_permission("p")])
def test_demand_in_depends_fails_at_import(demand: Any) -> None:
    """A plain decorator there would have its parameter filled by the caller: ``?function=anything`` and 200."""
    app = FastAPI()
    for wrong in (Depends(demand), Security(demand)):
        with pytest.raises(ConfigurationError, match=r"without Depends"):
            app.get("/", dependencies=[wrong])(fresh(plain))
        with pytest.raises(ConfigurationError, match=r"without Depends"):
            app.get("/")(_with_default(wrong))


def test_the_class_is_no_decorator_of_a_requirement() -> None:
    """It would demand any token at all, and nobody would notice."""
    with pytest.raises(ConfigurationError, match=r"small letters"):
        Requires(permission("users:read"))(fresh(plain))  # type: ignore[arg-type]


def _with_default(default: Any) -> Callable[..., Any]:
    def endpoint(token: Any = default) -> None: ...

    return endpoint


def test_bare_annotation_fails_at_import() -> None:
    """FastAPI would build the token from the caller's body."""

    def endpoint(token: AccessToken) -> None: ...

    with pytest.raises(ConfigurationError, match="write `token: Token`"):
        FastAPI().post("/")(endpoint)


def test_token_is_no_response(guard: Guard, token: str) -> None:
    """Neither as a response model, nor by being returned."""

    def annotated(token: Token) -> AccessToken:
        return token

    with pytest.raises(ConfigurationError, match="return the fields you mean to publish"):
        FastAPI().get("/")(annotated)

    def returned(token: Token):  # type: ignore[no-untyped-def]
        return token

    with TestClient(app_with(returned, guard), raise_server_exceptions=False) as client:
        reply = client.get("/", headers=dict(bearing(token)))
    assert (reply.status_code, CLIENT in reply.text) == (500, False)


def test_mistakes_in_demands_are_errors_at_import() -> None:
    with pytest.raises(ConfigurationError):
        requires_scope(plain)  # type: ignore[arg-type]  # no parentheses
    with pytest.raises(ConfigurationError):
        requires_scope()
    with pytest.raises(ConfigurationError):
        requires_scope("read:users write:flags")
    with pytest.raises(ConfigurationError):
        requires("read:users")  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="methods of a class"):
        requires_auth(Views)
    for decorator in (requires_auth, requires_scope("a")):
        with pytest.raises(ConfigurationError, match=r"write @requires_auth without parentheses"):
            decorator()  # type: ignore[call-arg]


def test_scope_with_a_space_opens_nothing(guard: Guard) -> None:
    """Where FastAPI takes it from the user without asking us."""
    app = app_with(fresh(plain), guard, dependencies=[Security(access_token, scopes=["read:users write:flags"])])
    with pytest.raises(ConfigurationError, match="is not one scope"):
        ask(app, "/", without("read:users", "write:flags"))


def test_called_directly() -> None:
    """In a test of one's own, say: closed, and the error says where the function itself is."""
    endpoint: Any = read_users(fresh(plain))
    with pytest.raises(ConfigurationError, match=r"call what it wraps, \.__wrapped__"):
        endpoint(q=1)
    assert endpoint.__wrapped__(q=1) == {"q": 1}


def test_partial_that_takes_the_place_of_the_token(guard: Guard, token: str) -> None:
    """A positional argument around a decorated function stands where the token would: closed."""
    app = app_with(functools.partial(read_users(fresh(two)), "more"), guard)
    with pytest.raises(ConfigurationError, match="was called without FastAPI"):
        ask(app, "/", token, query_string=b"more=x")


def test_on_a_starlette_route(guard: Guard, token: str) -> None:
    """There is nobody to inject the token: closed."""

    @requires_auth
    async def endpoint(request: Request) -> Response:
        return JSONResponse("open")

    app = guarded(guard)
    app.router.routes.append(Route("/", endpoint))
    with pytest.raises(ConfigurationError, match=r"is FastAPI's\. .* write from kinde_guard\.starlette import"):
        ask(app, "/", token)


def test_decorator_of_the_starlette_adapter(guard: Guard, token: str) -> None:
    """It finds the request where the endpoint takes one, and is closed where it does not."""

    @kinde_guard.starlette.requires_auth
    def with_request(request: Request) -> str:
        return "in"

    @kinde_guard.starlette.requires_auth
    def without_request() -> str:
        return "in"

    assert ask(app_with(with_request, guard), "/", token).json == "in"
    assert outcome(ask(app_with(with_request, guard), "/")) == MISSING
    with pytest.raises(ConfigurationError, match=r"from kinde_guard\.fastapi import"):
        ask(app_with(without_request, guard), "/", token)


def above(app: FastAPI | APIRouter) -> None:
    """The mistake: the demand above the route decorator."""

    @requires_scope("read:users")
    @app.get("/users")
    def users() -> str:
        return "open"


def in_a_router(app: FastAPI) -> None:
    inner, outer = APIRouter(), APIRouter()
    above(inner)
    outer.include_router(inner)
    app.include_router(outer)


def in_a_mounted_app(app: FastAPI) -> None:
    inner = FastAPI()
    above(inner)
    app.mount("/", inner)


def above_another_decorator(app: FastAPI) -> None:
    @requires_scope("read:users")
    @traced
    @app.get("/users")
    def users() -> str:
        return "open"


def below_and_above(app: FastAPI) -> None:
    """Of two routes, the lower one is open."""

    @app.get("/v2/users")
    @requires_scope("read:users")
    @app.get("/users")
    def users() -> str:
        return "open"


def of_a_websocket(app: FastAPI) -> None:
    @requires_scope("read:users")
    @app.websocket("/users")
    async def users(websocket: WebSocket) -> None: ...


@pytest.mark.parametrize(
    "mistake", [above, in_a_router, in_a_mounted_app, above_another_decorator, below_and_above, of_a_websocket]
)
@pytest.mark.parametrize("public", [None, ["/other"]])
def test_demand_that_is_not_enforced(mistake: Callable[[FastAPI], None], public: Any, guard: Guard) -> None:
    """Found when the app starts, or with the first request, whichever route that is for."""
    app = guarded(guard, public)
    app.get("/other")(fresh(plain))
    mistake(app)
    sentence = r"users\(\), which serves '/users', is not enforced: write @requires_…\(…\) below the route decorator"
    with pytest.raises(ConfigurationError, match=sentence):
        talk(app, lifespan())
    for path in ("/other", "/users", "/users"):
        with pytest.raises(ConfigurationError, match=sentence):
            ask(app, path)


def test_demand_on_two_routes(guard: Guard, token: str) -> None:
    """One decorator below both is right."""
    app = guarded(guard)

    @app.get("/v1")
    @app.get("/v2")
    @requires_scope("read:users")
    def users() -> str:
        return "in"

    assert [ask(app, path).status for path in ("/v1", "/v2")] == [401, 401]
    assert [ask(app, path, token).status for path in ("/v1", "/v2")] == [200, 200]


def test_demands_can_be_read(guard: Guard) -> None:
    """From an endpoint and from a dependency, without calling anything."""
    endpoint = requires_scope("a")(requires_permission("b")(fresh(plain)))
    assert str(enforced(endpoint)) == "scope('a') & permission('b')"
    assert str(requires_permission("b").requirement) == "permission('b')"
    assert str(requires_auth.requirement) == "any valid token"


# Attaching


@pytest.mark.parametrize("place", ["decorator", "token", "router", "mounted"])
def test_no_guard(place: str, token: str) -> None:
    app = FastAPI()
    if place == "decorator":
        app.get("/users/{id}")(read_users(fresh(plain)))
    elif place == "token":
        app.get("/users/{id}")(with_token)
    elif place == "router":
        router = APIRouter()
        router.get("/users/{id}", dependencies=[requires_permission("p")])(fresh(plain))
        app.include_router(router)
    else:
        inner = FastAPI()
        inner.get("/users/{id}")(read_users(fresh(plain)))
        app.mount("/", inner)
    with pytest.raises(ConfigurationError, match=r"no guard is attached to the app that serves '/users/\{id\}'"):
        ask(app, "/users/1", token)
    assert TestClient(app, raise_server_exceptions=False).get("/users/1").status_code == 500


def test_wrong_use_fails_at_once(guard: Guard) -> None:
    app = guarded(guard)
    with pytest.raises(ConfigurationError, match="has a KindeGuard already"):
        KindeGuard(app, guard=guard)
    with pytest.raises(ConfigurationError, match="has a KindeGuard already"):
        kinde_guard.starlette.KindeGuard(app, guard=guard)
    with pytest.raises(TypeError):
        KindeGuard(app, guard)  # type: ignore[call-arg]


@pytest.mark.usefixtures("no_settings")
def test_settings_are_read_when_the_app_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    app = FastAPI()
    attached = KindeGuard(app, leeway=60)
    assert app.state.kinde_guard is attached
    assert attached.guard is None
    app.get("/")(requires_auth(fresh(plain)))
    with pytest.raises(ConfigurationError, match="KINDE_DOMAIN"), TestClient(app):
        pass
    with pytest.raises(ConfigurationError, match="KINDE_DOMAIN"):
        ask(app, "/")
    monkeypatch.setenv("KINDE_DOMAIN", DOMAIN)
    monkeypatch.setenv("KINDE_AUDIENCE", AUDIENCE)
    with TestClient(app) as client:
        assert client.get("/").status_code == 401
    assert repr(attached.guard) == f"<Guard of {ISSUER} for {AUDIENCE}>"


def test_mistake_in_the_settings_stops_uvicorn(tmp_path: Path) -> None:
    """With uvicorn's defaults; what it prints is the sentence, and no traceback."""
    code = """
from fastapi import FastAPI
from kinde_guard.fastapi import KindeGuard

app = FastAPI()
KindeGuard(app)
"""
    done = uvicorn_command(tmp_path, code)
    assert done.returncode == 3
    assert "no Kinde domain is set: set the environment variable KINDE_DOMAIN" in done.stderr
    assert "Traceback" not in done.stderr


def test_demand_that_is_not_enforced_stops_uvicorn(tmp_path: Path) -> None:
    code = """
from fastapi import FastAPI
from kinde_guard.fastapi import KindeGuard, requires_scope

app = FastAPI()
KindeGuard(app)

@requires_scope("read:users")
@app.get("/users")
def users(): ...
"""
    done = uvicorn_command(tmp_path, code, KINDE_DOMAIN=DOMAIN, KINDE_AUDIENCE=AUDIENCE)
    assert done.returncode == 3
    assert "the demand on users(), which serves '/users', is not enforced" in done.stderr


def test_guard_is_attached_after_the_routes(guard: Guard, token: str) -> None:
    """And after routers that were made, and decorated, before there was any guard."""
    app = FastAPI()
    router = APIRouter()
    router.get("/")(read_users(fresh(plain)))
    app.include_router(router)
    KindeGuard(app, guard=guard)
    assert outcome(ask(app, "/")) == MISSING
    assert ask(app, "/", token).status == 200


def test_two_guards_in_one_app(guard: Guard) -> None:
    """A second scheme with a guard of its own; what one verified is nothing to the other."""
    admin = AccessTokenSecurity(guard_of(Issuer(), audience="https://admin"), scheme_name="KindeAdmin")
    by_admin = Security(admin, scopes=["admin"])
    app = guarded(guard)

    def administer(token: Any = by_admin) -> str:
        return str(token.subject)

    app.get("/admin")(administer)
    app.get("/both", dependencies=[requires_auth])(administer)
    ours, theirs = mint(base=M2M), without("admin", aud="https://admin")
    assert [ask(app, "/admin", raw).status for raw in (ours, theirs)] == [401, 200]
    assert [ask(app, "/both", raw).status for raw in (ours, theirs)] == [401, 401]
    assert ask(app, "/both", without("admin", aud=[AUDIENCE, "https://admin"])).status == 200
    assert set(app.openapi()["components"]["securitySchemes"]) == {"Kinde", "KindeAdmin"}


def test_mounted_app_with_a_guard_of_its_own(guard: Guard) -> None:
    inner = app_with(read_users(fresh(plain)), guard_of(Issuer(), audience="https://admin"))
    app = app_with(read_users(fresh(plain)), guard)
    app.mount("/admin", inner)
    ours, theirs = mint(base=M2M), mint({"aud": "https://admin"}, base=M2M)
    assert [ask(app, "/", raw).status for raw in (ours, theirs)] == [200, 401]
    assert [ask(app, "/admin/", raw).status for raw in (ours, theirs)] == [401, 200]


def test_mounted_in_starlette(guard: Guard, token: str) -> None:
    """The other way round: FastAPI in a Starlette app that has the guard; the answers are alike."""
    inner = FastAPI()
    inner.get("/")(read_users(fresh(plain)))
    app = Starlette(routes=[Mount("/api", inner)])
    kinde_guard.starlette.KindeGuard(app, guard=guard)
    missing = ask(app, "/api/")
    assert (outcome(missing), missing.headers["content-type"]) == (MISSING, "application/problem+json")
    assert ask(app, "/api/", token).status == 200


def test_pure_middleware_with_the_guard(guard: Guard, token: str) -> None:
    """Decorators find its guard too; nothing is verified twice. The words are FastAPI's own, without ``KindeGuard``."""
    counting: Any = Counting(guard)
    app = FastAPI()
    app.get("/")(read_users(fresh(plain)))
    app.get("/open")(read_users(fresh(plain)))
    app.add_middleware(GuardMiddleware, guard=counting, public=["/open"])
    assert ask(app, "/", token).status == 200
    assert counting.verified == 1
    assert outcome(ask(app, "/")) == MISSING
    reply = ask(app, "/open")
    assert (outcome(reply), reply.json) == (MISSING, {"detail": "This resource needs an access token."})


# Handlers


def mine(conn: Any, error: Any) -> Response:
    status = getattr(error, "status_code", 403)
    return JSONResponse({"mine": type(error).__name__, "reason": getattr(error, "reason", "")}, status)


async def amine(conn: Any, error: Any) -> Response:
    return mine(conn, error)


@pytest.mark.parametrize(
    "key",
    [
        401,
        HTTPException,
        pytest.param(StarletteHTTPException, id="Starlette's HTTPException"),
        AuthError,
        InvalidToken,
        KindeGuardError,
    ],
)
@pytest.mark.parametrize("handler", [mine, amine])
@pytest.mark.parametrize("when", ["constructor", "before", "after"])
@pytest.mark.parametrize(("path", "public"), [("/", None), ("/unknown", [])])
def test_handlers_of_the_app_win(key: Any, handler: Any, when: str, path: str, public: Any, guard: Guard) -> None:
    """For the status, either framework's exception or ours, sync or async, registered before us or after; also for
    what is denied by default."""
    app = FastAPI(exception_handlers={key: handler} if when == "constructor" else None)
    if when == "before":
        app.add_exception_handler(key, handler)
    KindeGuard(app, guard=guard, public=public)
    if when == "after":
        app.add_exception_handler(key, handler)
    app.get("/")(requires_auth(fresh(plain)))
    reply = ask(app, path, "forged")
    assert (reply.status, reply.json) == (401, {"mine": "InvalidToken", "reason": "malformed"})


async def lacking(token: Token) -> None:
    token.require(scope("delete:users"))


async def lacking_dependency(token: Token) -> None:
    token.require(scope("delete:users"))


@pytest.mark.parametrize("key", [403, HTTPException, AuthError, InsufficientScope, KindeGuardError])
def test_handlers_of_the_app_win_over_what_an_endpoint_requires(key: Any, guard: Guard, token: str) -> None:
    app = app_with(lacking, guard)
    app.add_exception_handler(key, mine)
    assert ask(app, "/", token).json == {"mine": "InsufficientScope", "reason": "insufficient_scope"}


def test_what_an_endpoint_requires(guard: Guard, token: str) -> None:
    """``token.require(…)`` ends as a 403 with a challenge: in an endpoint, a dependency, a router, a mounted app."""
    router = APIRouter(prefix="/router")
    router.get("")(lacking)
    inner = FastAPI()
    inner.get("/")(lacking)
    app = app_with(lacking, guard)
    app.get("/dependency", dependencies=[Depends(lacking_dependency)])(fresh(plain))
    app.include_router(router)
    app.mount("/mounted", inner)
    for path in ("/", "/dependency", "/router", "/mounted/"):
        reply = ask(app, path, token)
        assert (reply.status, reply.headers["content-type"]) == (403, "application/problem+json")
        assert scopes_in(reply.challenge) == ["delete:users"]


def test_refusal_is_both_exceptions(guard: Guard) -> None:
    """FastAPI's and ours, as a dependency with ``yield`` or a test may find it."""
    caught: list[Any] = []

    async def around() -> AsyncIterator[None]:
        try:
            yield
        except HTTPException as error:
            caught.append(error)
            raise

    app = app_with(lambda: None, guard, dependencies=[Depends(around), requires_auth])
    assert outcome(ask(app, "/")) == MISSING
    (error,) = caught
    assert {MissingToken, AuthError, HTTPException} <= set(type(error).__mro__)
    assert (error.status_code, error.reason) == (401, "missing_token")
    assert error.headers == {"WWW-Authenticate": MISSING[1], "Cache-Control": "no-store"}
    assert str(error) == "missing_token"


def test_errors_of_the_app_are_untouched(guard: Guard) -> None:
    """Its own answers are what they would be without us, byte for byte."""

    async def raising(q: int = 0) -> None:
        raise HTTPException(401, {"mine": q}, {"www-authenticate": "Mine"})

    plain_app = FastAPI()
    plain_app.get("/")(raising)
    app = app_with(raising, guard)
    for path, members in (("/", {}), ("/", {"query_string": b"q=x"}), ("/", {"method": "POST"}), ("/nowhere", {})):
        assert ask(app, path, **members) == ask(plain_app, path, **members)


def test_other_security_schemes_are_untouched(guard: Guard, token: str) -> None:
    app = app_with(fresh(plain), guard, dependencies=[Security(HTTPBearer())])
    assert ask(app, "/").json == {"detail": "Not authenticated"}
    assert ask(app, "/", "anything").status == 200


def test_cannot_tell(token: str) -> None:
    issuer = Issuer()
    issuer.status = 500
    for endpoint in (read_users(fresh(plain)), with_token):
        app = app_with(endpoint, guard_of(issuer))
        reply = ask(app, "/", token)
        assert (reply.status, reply.challenge, "retry-after" in reply.headers) == (503, "", True)
    app = app_with(requires_permission("p")(fresh(plain)), guard_of(issuer))
    app.add_exception_handler(KeysUnavailable, mine)
    reply = ask(app, "/", token)
    assert (reply.status, reply.json["reason"]) == (503, "keys_unavailable")
    optional = guarded(guard_of(issuer))
    optional.get("/")(fresh(_optional))
    assert (ask(optional, "/").status, ask(optional, "/", token).status) == (200, 503)


def _optional(token: OptionalToken) -> None: ...


def test_two_authorization_headers(guard: Guard, token: str) -> None:
    reply = ask(app_with(read_users(fresh(plain)), guard), "/", headers=bearing(token) * 2)
    assert reply.status == 400
    assert 'error="invalid_request"' in reply.challenge
