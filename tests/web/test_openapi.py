"""What FastAPI's OpenAPI document says of the guard: where the lock is, and how a guarded operation refuses."""

from __future__ import annotations

import copy
import inspect
import re
from typing import Annotated, Any

import pytest
from asgi_calls import ask
from fastapi import APIRouter, Depends, FastAPI, HTTPException, Request, Security
from fastapi.openapi.utils import get_openapi
from fastapi.responses import JSONResponse
from fastapi.security import APIKeyHeader, HTTPBearer, OAuth2PasswordBearer
from fastapi.testclient import TestClient
from helpers import CLIENT, M2M, Issuer, guard_of, mint
from jsonschema import validate as validate_instance  # type: ignore[import-untyped]
from openapi_spec_validator import validate
from starlette.applications import Starlette
from starlette.routing import Mount

from kinde_guard import AccessToken, AuthError, Forbidden, Guard, KeysUnavailable, permission, scope
from kinde_guard.asgi import GuardMiddleware
from kinde_guard.fastapi import (
    AccessTokenSecurity,
    KindeGuard,
    OptionalToken,
    Token,
    access_token,
    docs_paths,
    requires,
    requires_auth,
    requires_org,
    requires_permission,
    requires_scope,
)

LOCK: list[dict[str, list[str]]] = [{"Kinde": []}]
PROBLEM = {"$ref": "#/components/schemas/KindeGuardProblem"}


def attached(guard: Guard, public: Any = None, app: FastAPI | None = None, **options: Any) -> FastAPI:
    app = FastAPI() if app is None else app
    KindeGuard(app, guard=guard, public=public, **options)
    return app


def nothing() -> None: ...


def add(app: FastAPI | APIRouter, path: str, *demands: Any, **options: Any) -> None:
    """An operation of its own for *path*, with *demands* among its dependencies."""

    def endpoint(**parameters: str) -> None: ...

    endpoint.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=str)
            for name in re.findall(r"\{(\w+)", path)
        ]
    )
    app.get(path, dependencies=list(demands), name=path, **options)(endpoint)


def document_of(app: FastAPI) -> dict[str, Any]:
    """Valid, and the same each time."""
    document = app.openapi()
    validate(document)
    first = copy.deepcopy(document)
    assert app.openapi() == first
    return first


def locks(app: FastAPI) -> dict[str, Any]:
    return {path: item["get"].get("security") for path, item in document_of(app)["paths"].items()}


def statuses(app: FastAPI, path: str) -> set[str]:
    return set(document_of(app)["paths"][path]["get"]["responses"]) - {"200", "422"}


# The lock


def test_what_public_alone_closes_has_a_lock(guard: Guard) -> None:
    """Whether it is decorated or not, in routers too; what is public has none."""
    app = attached(guard, ["/healthz", "/static/*"])
    router = APIRouter()
    add(router, "/users")
    for path in ("/plain", "/healthz", "/static/", "/static/{name}", "/static", "/static/css/{name:path}"):
        add(app, path)
    add(app, "/token", Security(access_token))
    add(app, "/scoped", requires_scope("a"))
    app.include_router(router, prefix="/v1")
    assert locks(app) == {
        "/plain": LOCK,
        "/healthz": None,
        "/static/": None,
        "/static/{name}": None,
        "/static": LOCK,
        "/static/css/{name}": None,
        "/token": LOCK,
        "/scoped": [{"Kinde": ["a"]}],
        "/v1/users": LOCK,
    }
    assert document_of(app)["components"]["securitySchemes"] == {
        "Kinde": {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "JWT",
            "description": "An access token from Kinde. `kinde-guard token` gets one.",
        }
    }


def test_the_lock_of_what_public_alone_closes_is_that_of_a_token(guard: Guard) -> None:
    by_itself, by_public = attached(guard), attached(guard, [])
    add(by_itself, "/", Security(access_token))
    add(by_public, "/")
    assert by_itself.openapi() == by_public.openapi()


def test_locks_tell_the_truth(guard: Guard) -> None:
    """Where a lock is, a stranger is refused; elsewhere not."""
    app = attached(guard, ["/users/me", "/files/*", "/{literally}"])
    for path in ("/users/me", "/users/{name}", "/files/{name}", "/{literally}"):
        add(app, path)
    requests = {
        "/users/me": "/users/me",
        "/users/{name}": "/users/you",
        "/files/{name}": "/files/a",
        "/{literally}": "/text",
    }
    assert {path: ask(app, requests[path]).status == 401 for path in requests} == {
        path: lock == LOCK for path, lock in locks(app).items()
    }


def test_without_public_only_what_demands_has_a_lock(guard: Guard) -> None:
    app = attached(guard)
    add(app, "/plain")
    assert "components" not in document_of(app)
    assert locks(app) == {"/plain": None}


def test_a_token_beside_what_the_app_demands_itself(guard: Guard) -> None:
    """The guard's is needed in each of the ways to call an operation. What has a token in the header already has it."""
    app = attached(guard, [])
    key, other = APIKeyHeader(name="x-key"), AccessTokenSecurity(guard, scheme_name="Other")
    add(app, "/key", Depends(key))
    add(app, "/none", openapi_extra={"security": []})
    add(app, "/either", openapi_extra={"security": [{"APIKeyHeader": []}, {}, {"Kinde": ["a"]}]})
    add(app, "/with-or-without", openapi_extra={"security": [{}, {"Kinde": []}]})
    add(app, "/other", Security(other, scopes=["b"]))
    add(app, "/theirs", Depends(HTTPBearer()))
    add(app, "/password", Depends(OAuth2PasswordBearer("/token")))

    @app.get("/optional")
    def optional(token: OptionalToken) -> None: ...

    assert locks(app) == {
        "/key": [{"APIKeyHeader": [], "Kinde": []}],
        "/none": LOCK,
        "/either": [{"APIKeyHeader": [], "Kinde": []}, {"Kinde": []}, {"Kinde": ["a"]}],
        "/with-or-without": LOCK,
        "/other": [{"Other": ["b"]}],
        "/theirs": [{"HTTPBearer": []}],
        "/password": [{"OAuth2PasswordBearer": []}],
        "/optional": LOCK,
    }


def test_signing_in_is_offered_there_too(guard: Guard) -> None:
    app = attached(guard, ["/open", *docs_paths(FastAPI())], swagger_client_id=CLIENT)
    add(app, "/plain")
    add(app, "/open")
    assert locks(app) == {"/plain": [{"Kinde": []}, {"KindeSignIn": []}], "/open": None}


def test_mounted_apps_have_the_lock_of_what_they_are_mounted_in(guard: Guard) -> None:
    inner, deep, own = FastAPI(), FastAPI(), attached(guard, app=FastAPI())
    for app in (inner, deep, own):
        for path in ("/open", "/closed"):
            add(app, path)
    inner.mount("/deep", deep)
    outer = attached(guard, ["/v1/open", "/v1/deep/*"])
    outer.mount("/v1", inner)
    outer.mount("/own", GuardMiddleware(own, guard, public=["/open"], requires=scope("b") | permission("c")))
    outer.mount("/{tenant}", Starlette(routes=[Mount("/x", own)]))
    with TestClient(outer) as client:
        assert [client.get(path).status_code for path in ("/v1/open", "/v1/closed", "/v1/deep/closed")] == [
            200, 401, 200
        ]  # fmt: skip
    assert locks(inner) == {"/open": None, "/closed": LOCK}
    assert locks(deep) == {"/open": None, "/closed": None}
    assert locks(own) == {"/open": LOCK, "/closed": LOCK}
    assert statuses(own, "/closed") == {"401", "403", "503"}
    assert statuses(own, "/open") == {"401", "503"}


def test_scopes_that_middleware_demands(guard: Guard) -> None:
    app = FastAPI()
    app.add_middleware(GuardMiddleware, guard=guard, public=["/open"], requires=scope("a") & permission("p"))
    attached(guard, app=app)
    add(app, "/open", requires_scope("b"))
    add(app, "/closed", requires_scope("b"))
    add(app, "/plain")
    assert locks(app) == {
        "/open": [{"Kinde": ["b"]}],
        "/closed": [{"Kinde": ["b", "a"]}],
        "/plain": [{"Kinde": ["a"]}],
    }
    assert statuses(app, "/plain") == {"401", "403", "503"}


# A document of the app's own


@pytest.mark.parametrize("when", ["before", "after"])
def test_an_openapi_function_of_the_app(when: str, guard: Guard) -> None:
    """What it says itself stays: paths that FastAPI does not know, and a lock for the whole document."""
    app = FastAPI()

    def custom() -> dict[str, Any]:
        document = get_openapi(title="Mine", version="7", routes=app.routes)
        responses = {"200": {"description": "fine"}}
        document["paths"]["/by-hand"] = {"summary": "mine", "get": {"responses": responses}}
        document["paths"]["/open"] = {"parameters": [], "get": {"responses": responses, "security": []}}
        document["security"] = [{"Mine": []}]
        schemes = document.setdefault("components", {}).setdefault("securitySchemes", {})
        schemes["Mine"] = {"type": "apiKey", "in": "header", "name": "x-key"}
        return document

    if when == "before":
        app.openapi = custom  # type: ignore[method-assign]
    attached(guard, ["/open"], app)
    if when == "after":
        app.openapi = custom  # type: ignore[method-assign]
    add(app, "/plain")
    with TestClient(app):
        document = document_of(app)
    assert document["info"] == {"title": "Mine", "version": "7"}
    assert document["security"] == [{"Mine": []}]
    assert locks(app) == {
        "/plain": [{"Mine": [], "Kinde": []}],
        "/by-hand": [{"Mine": [], "Kinde": []}],
        "/open": [],
    }


def test_callbacks_and_webhooks_are_what_others_serve(guard: Guard) -> None:
    app, callbacks = FastAPI(), APIRouter()
    add(callbacks, "{$request.query.url}")
    add(app, "/plain", callbacks=callbacks.routes)
    app.webhooks.post("happened")(nothing)
    before = document_of(app)
    attached(guard, [], app)
    after = document_of(app)
    assert after["webhooks"] == before["webhooks"]
    assert after["paths"]["/plain"]["get"]["callbacks"] == before["paths"]["/plain"]["get"]["callbacks"]


def test_without_docs_pages_there_is_a_document(guard: Guard) -> None:
    app = attached(guard, [], FastAPI(openapi_url=None))
    add(app, "/plain")
    assert locks(app) == {"/plain": LOCK}


def test_nothing_else_is_changed(guard: Guard) -> None:
    """Clients are generated from it: no operation has another name, parameter, body or answer than before."""
    apps = FastAPI(), attached(guard, ["/open"])
    for app in apps:

        @app.post("/users/{name}", status_code=201)
        def create(name: str, body: dict[str, int], limit: int = 7) -> list[str]:
            return []

        @app.get("/open")
        def index() -> str:
            return ""

    plain, guarded = map(document_of, apps)
    operation = guarded["paths"]["/users/{name}"]["post"]
    del operation["security"], guarded["components"]["securitySchemes"]
    del operation["responses"]["401"], operation["responses"]["503"]
    del guarded["components"]["schemas"]["KindeGuardProblem"]
    assert guarded == plain


# Refusals


def test_guarded_operations_say_how_they_refuse(guard: Guard) -> None:
    """401 and 503 wherever a token is asked for; 403 where more is demanded than a token."""
    app = attached(guard, ["/open", "/open/*"])
    router = APIRouter(dependencies=[requires_permission("p")])
    add(router, "/router")
    app.include_router(router)
    for path in ("/plain", "/open"):
        add(app, path)
    add(app, "/open/token", Security(access_token))
    add(app, "/open/scope", requires_scope("a"))
    add(app, "/org/{code}", requires_org(path="code"))
    add(app, "/other", Security(AccessTokenSecurity(guard, scheme_name="Other"), scopes=["b"]))
    app.get("/auth")(requires_auth(nothing))
    app.get("/permission")(requires_permission("p")(lambda: None))

    @app.get("/open/optional")
    def optional(token: OptionalToken) -> None: ...

    @app.get("/open/parameter")
    def parameter(token: Annotated[AccessToken, requires(scope("a") | permission("p"))]) -> None: ...

    assert {path: len(statuses(app, path)) for path in document_of(app)["paths"]} == {
        "/router": 3,
        "/plain": 2,
        "/open": 0,
        "/open/token": 2,
        "/open/scope": 3,
        "/org/{code}": 3,
        "/other": 3,
        "/auth": 2,
        "/permission": 3,
        "/open/optional": 2,
        "/open/parameter": 3,
    }
    assert statuses(app, "/plain") == {"401", "503"}
    assert statuses(app, "/router") == {"401", "403", "503"}


def test_by_method(guard: Guard) -> None:
    app = attached(guard, [])
    add(app, "/users")
    app.post("/users", dependencies=[requires_permission("p")])(nothing)
    item = document_of(app)["paths"]["/users"]
    assert "403" not in item["get"]["responses"]
    assert "403" in item["post"]["responses"]


def test_other_peoples_schemes_are_other_peoples(guard: Guard) -> None:
    app = attached(guard)
    add(app, "/theirs", Depends(HTTPBearer()))
    add(app, "/key", Depends(APIKeyHeader(name="x-key")))
    assert statuses(app, "/theirs") == statuses(app, "/key") == set()


@pytest.mark.parametrize(
    ("documented", "added"),
    [
        ({401: {"description": "mine"}}, {"403", "503"}),
        ({403: {"description": "mine", "model": dict[str, str]}}, {"401", "503"}),
        ({"4XX": {"description": "mine"}}, {"503"}),
        ({"5XX": {"description": "mine"}}, {"401", "403"}),
        ({"default": {"description": "mine"}}, set()),
    ],
)
def test_what_the_app_documents_itself_stays(documented: Any, added: set[str], guard: Guard) -> None:
    app = attached(guard, [])
    add(app, "/", requires_permission("p"), responses=documented)
    responses = document_of(app)["paths"]["/"]["get"]["responses"]
    assert {status for status in responses if responses[status]["description"] == "mine"} == {
        str(status) for status in documented
    }
    assert set(responses) - {"200", *map(str, documented)} == added


def test_the_body_is_as_documented(guard: Guard) -> None:
    """With the headers that are named there."""
    issuer = Issuer()
    issuer.status = 500
    app, blind = attached(guard, []), attached(guard_of(issuer), [])
    for each in (app, blind):
        add(each, "/", requires_permission("p"))
    document = document_of(app)
    schema = document["components"]["schemas"]["KindeGuardProblem"]
    token = mint(base=M2M)
    for reply in (ask(app, "/"), ask(app, "/", "forged"), ask(app, "/", token), ask(blind, "/", token)):
        described = document["paths"]["/"]["get"]["responses"][str(reply.status)]
        assert described["content"] == {reply.headers["content-type"]: {"schema": PROBLEM}}
        assert all(name.lower() in reply.headers for name in described["headers"])
        validate_instance(reply.json, schema)


@pytest.mark.parametrize(
    ("kind", "restyled"),
    [
        (AuthError, {"401", "403"}),
        (Forbidden, {"403"}),
        (KeysUnavailable, {"503"}),
        (HTTPException, {"401", "403", "503"}),
        (401, {"401"}),
    ],
)
def test_an_app_that_has_its_own_handler_has_its_own_body(kind: Any, restyled: set[str], guard: Guard) -> None:
    """What it looks like is not ours to say."""

    async def handler(request: Request, error: Exception) -> JSONResponse:
        return JSONResponse({"mine": True}, 401)

    app = attached(guard, [], FastAPI(exception_handlers={kind: handler}))
    add(app, "/", requires_permission("p"))
    responses = document_of(app)["paths"]["/"]["get"]["responses"]
    assert {status for status in responses if "content" not in responses[status]} == restyled
    assert all(response["description"] for response in responses.values())


def test_a_model_of_the_app_with_that_name(guard: Guard) -> None:
    """Stays as it is."""
    app = attached(guard, [])
    add(app, "/")
    made = app.openapi()
    made["components"]["schemas"]["KindeGuardProblem"] = {"title": "mine"}
    assert document_of(app)["components"]["schemas"]["KindeGuardProblem"] == {"title": "mine"}


def test_in_an_older_form_of_openapi(guard: Guard) -> None:
    app = attached(guard, [])
    app.openapi_version = "3.0.3"
    add(app, "/", requires_scope("a"))
    assert document_of(app)["openapi"] == "3.0.3"


@pytest.mark.usefixtures("no_settings")
def test_it_needs_no_settings() -> None:
    app = FastAPI()
    KindeGuard(app, public=["/open"])
    add(app, "/plain")
    assert locks(app) == {"/plain": LOCK}


def test_routes_that_come_later(guard: Guard) -> None:
    app = attached(guard, [])
    add(app, "/first")
    document_of(app)
    add(app, "/later")
    app.openapi_schema = None
    assert locks(app) == {"/first": LOCK, "/later": LOCK}


def test_me(guard: Guard) -> None:
    app = attached(guard, ["/healthz"])

    @app.get("/me")
    def me(token: Token) -> str:
        return token.subject

    assert locks(app) == {"/me": LOCK}
    assert statuses(app, "/me") == {"401", "503"}
