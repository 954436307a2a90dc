"""Signing in from Swagger UI: what the OpenAPI document and the docs page say (test_browser_swagger.py tries it)."""

from __future__ import annotations

import json
import re
import runpy
from pathlib import Path
from typing import Any

import pytest
from asgi_calls import ask
from fastapi import Depends, FastAPI, Security
from fastapi.openapi.utils import get_openapi
from fastapi.security import APIKeyHeader
from fastapi.testclient import TestClient
from helpers import AUDIENCE, CLIENT, DOMAIN, ISSUER
from servers import uvicorn_command
from starlette.applications import Starlette

from kinde_guard import ConfigurationError, Guard
from kinde_guard.fastapi import (
    AccessTokenSecurity,
    KindeGuard,
    OptionalToken,
    Token,
    access_token,
    docs_paths,
    requires_permission,
    requires_scope,
)
from kinde_guard.testing import caller

BEARER_OR_SIGN_IN: list[dict[str, list[str]]] = [{"Kinde": []}, {"KindeSignIn": []}]


@pytest.fixture
def guard() -> Guard:
    return Guard(DOMAIN, audience=AUDIENCE)


def app_of(guard: Guard | None, client_id: str | None = CLIENT, public: Any = None, **options: Any) -> FastAPI:
    """An app with an open route and one for any token."""
    app = FastAPI(**options)
    KindeGuard(app, guard=guard, public=public, swagger_client_id=client_id)
    app.get("/open")(lambda: None)

    @app.get("/me")
    def me(token: Token) -> None: ...

    return app


def operation(app: FastAPI, path: str = "/me", method: str = "get") -> Any:
    return app.openapi()["paths"][path][method]


def schemes(app: FastAPI) -> Any:
    return app.openapi()["components"]["securitySchemes"]


def init_oauth(app: FastAPI, path: str = "/docs") -> Any:
    """What the docs page tells Swagger UI."""
    told = re.search(r"ui\.initOAuth\((.*)\)", ask(app, path).body.decode())
    return None if told is None else json.loads(told[1])


def test_without_a_client_id_no_way_to_sign_in(guard: Guard) -> None:
    app = app_of(guard, client_id=None)
    assert list(schemes(app)) == ["Kinde"]
    assert operation(app)["security"] == [{"Kinde": []}]
    assert init_oauth(app) is None


def test_without_a_client_id_no_settings_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not before something is guarded, that is, where no server starts the app."""
    monkeypatch.setenv("KINDE_DOMAIN", DOMAIN)
    monkeypatch.setenv("KINDE_AUDIENCE", AUDIENCE)
    app = app_of(None, client_id=None)
    assert ask(app, "/open").status == 200
    assert app.state.kinde_guard.guard is None


def test_the_scheme(guard: Guard) -> None:
    """The first issuer's endpoints and OIDC's scopes; the bearer scheme stays as it is."""
    app = app_of(Guard(["account.acme.com", DOMAIN], audience=AUDIENCE))
    assert schemes(app)["Kinde"] == schemes(app_of(guard, client_id=None))["Kinde"]
    scheme = schemes(app)["KindeSignIn"]
    assert scheme["type"] == "oauth2"
    (flow,) = scheme["flows"].values()
    assert list(scheme["flows"]) == ["authorizationCode"]
    assert flow["authorizationUrl"] == "https://account.acme.com/oauth2/auth"
    assert flow["tokenUrl"] == "https://account.acme.com/oauth2/token"
    assert list(flow["scopes"]) == ["openid", "profile", "email", "offline"]


def test_alternatives_on_each_operation_of_ours(guard: Guard) -> None:
    app = app_of(guard)
    other = AccessTokenSecurity(Guard("other.kinde.com", audience="other"), scheme_name="Other")

    @app.get("/scopes")
    @app.post("/scopes")
    @requires_permission("p")
    @requires_scope("read:users")
    def scopes() -> None: ...

    @app.get("/optional", openapi_extra={"security": [{}]})
    def optional(token: OptionalToken) -> None: ...

    app.get("/other", dependencies=[Security(other)])(lambda: None)
    app.get("/key", dependencies=[Depends(APIKeyHeader(name="x-key"))])(lambda: None)
    assert "security" not in operation(app, "/open")
    assert operation(app, "/me")["security"] == BEARER_OR_SIGN_IN
    for method in ("get", "post"):
        assert operation(app, "/scopes", method)["security"] == [{"Kinde": ["read:users"]}, {"KindeSignIn": []}]
    assert sorted(operation(app, "/optional")["security"], key=str) == sorted([{}, *BEARER_OR_SIGN_IN], key=str)
    assert operation(app, "/other")["security"] == [{"Other": []}]
    assert operation(app, "/key")["security"] == [{"APIKeyHeader": []}]


def test_an_api_that_demands_nothing_offers_nothing(guard: Guard) -> None:
    app = FastAPI()
    KindeGuard(app, guard=guard, swagger_client_id=CLIENT)
    app.get("/open")(lambda: None)
    assert "components" not in app.openapi()


def test_the_document_is_kept_and_stays_the_same(guard: Guard) -> None:
    """FastAPI makes it once, and asking again adds nothing; one that is made anew is like the first."""
    app = app_of(guard)
    first = json.dumps(app.openapi())
    assert app.openapi() is app.openapi() is app.openapi_schema
    assert json.dumps(app.openapi()) == first
    app.get("/later", dependencies=[Security(access_token)])(lambda: None)
    app.openapi_schema = None
    assert operation(app, "/later")["security"] == BEARER_OR_SIGN_IN


@pytest.mark.parametrize("when", ["before", "after"])
def test_an_openapi_function_of_the_user_s(when: str, guard: Guard) -> None:
    """It is called, whether it was there before the guard or came after it, and its own scheme and words stay."""
    app = FastAPI()
    calls = []

    def custom() -> dict[str, Any]:
        calls.append(1)
        if not app.openapi_schema:
            schema = get_openapi(title="Mine", version="7", routes=app.routes)
            schema["security"] = [{"Kinde": []}, {"Mine": []}]
            schema["components"]["securitySchemes"]["Mine"] = {"type": "apiKey", "in": "header", "name": "x-key"}
            app.openapi_schema = schema
        return app.openapi_schema

    if when == "before":
        app.openapi = custom  # type: ignore[method-assign]
    KindeGuard(app, guard=guard, swagger_client_id=CLIENT)
    if when == "after":
        app.openapi = custom  # type: ignore[method-assign]

    @app.get("/me")
    def me(token: Token) -> None: ...

    schema = [ask(app, "/openapi.json").json for _ in range(2)][1]
    assert len(calls) == 2
    assert schema["info"] == {"title": "Mine", "version": "7"}
    assert set(schema["components"]["securitySchemes"]) == {"Kinde", "KindeSignIn", "Mine"}
    assert schema["security"] == [*BEARER_OR_SIGN_IN, {"Mine": []}]
    assert schema["paths"]["/me"]["get"]["security"] == BEARER_OR_SIGN_IN


def test_what_swagger_is_told(guard: Guard) -> None:
    assert init_oauth(app_of(guard)) == {
        "scopes": "openid profile email",
        "clientId": CLIENT,
        "usePkceWithAuthorizationCodeGrant": True,
        "additionalQueryStringParams": {"audience": AUDIENCE},
    }


def test_what_the_user_tells_swagger_stays(guard: Guard) -> None:
    """But for what makes it this app and this flow."""
    given = {
        "appName": "Mine",
        "scopes": "openid",
        "usePkceWithAuthorizationCodeGrant": False,
        "additionalQueryStringParams": {"org_code": "org_1"},
    }
    told = init_oauth(app_of(guard, swagger_ui_init_oauth=given))
    assert (told["appName"], told["scopes"], told["clientId"]) == ("Mine", "openid", CLIENT)
    assert told["usePkceWithAuthorizationCodeGrant"] is True
    assert told["additionalQueryStringParams"] == {"audience": AUDIENCE, "org_code": "org_1"}
    assert given["additionalQueryStringParams"] == {"org_code": "org_1"}


def test_no_secret_is_shown(guard: Guard) -> None:
    """The app of a page has none, and whoever opens the docs page would read it."""
    with (
        pytest.raises(ConfigurationError, match="clientSecret"),
        TestClient(app_of(guard, swagger_ui_init_oauth={"clientSecret": "s3cret"})),
    ):
        pass


def test_no_further_parameters(guard: Guard) -> None:
    given = {"additionalQueryStringParams": None}
    told = init_oauth(app_of(guard, swagger_ui_init_oauth=given))
    assert told["additionalQueryStringParams"] == {"audience": AUDIENCE}


def test_one_of_several_audiences() -> None:
    """Any of them opens the API; the user may choose another."""
    guard = Guard(DOMAIN, audience=["b", "a"])
    chosen = {"additionalQueryStringParams": {"audience": "b"}}
    assert init_oauth(app_of(guard))["additionalQueryStringParams"] == {"audience": "a"}
    assert init_oauth(app_of(guard, swagger_ui_init_oauth=chosen))["additionalQueryStringParams"] == {"audience": "b"}


def test_no_audience() -> None:
    """Then none is asked for, and the app must be among those that are accepted."""
    app = app_of(Guard(DOMAIN, audience=None, clients=[CLIENT]))
    assert init_oauth(app)["additionalQueryStringParams"] == {}
    app = app_of(Guard(DOMAIN, audience=None, clients=["another"]))
    with pytest.raises(ConfigurationError, match="would all be refused: with audience=None it must be in clients="):
        ask(app, "/docs")


def test_settings_that_are_read_when_the_app_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Until then the document can be made without them, and lacks the way to sign in."""
    for name in ("KINDE_DOMAIN", "KINDE_ISSUER_URL", "KINDE_HOST", "KINDE_AUDIENCE"):
        monkeypatch.delenv(name, raising=False)
    app = app_of(None)
    assert list(schemes(app)) == ["Kinde"]
    monkeypatch.setenv("KINDE_DOMAIN", DOMAIN)
    monkeypatch.setenv("KINDE_AUDIENCE", AUDIENCE)
    with TestClient(app) as client:
        told = client.get("/docs").text
        schema = client.get("/openapi.json").json()
    assert f'"audience": "{AUDIENCE}"' in told
    flow = schema["components"]["securitySchemes"]["KindeSignIn"]["flows"]["authorizationCode"]
    assert flow["authorizationUrl"] == f"{ISSUER}/oauth2/auth"
    assert schema["paths"]["/me"]["get"]["security"] == BEARER_OR_SIGN_IN


def test_in_a_test_with_a_made_up_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    """There are no settings, and docs pages all the same."""
    monkeypatch.delenv("KINDE_DOMAIN", raising=False)
    app = app_of(None)
    with caller(app), TestClient(app) as client:
        assert [client.get(path).status_code for path in ("/docs", "/openapi.json", "/me")] == [200, 200, 200]


def test_mounted_apps_have_their_own(guard: Guard) -> None:
    outer, inner = app_of(guard), app_of(Guard("other.kinde.com", audience="https://other.example"), "another")
    outer.mount("/inner", inner)
    assert init_oauth(outer)["clientId"] == CLIENT
    assert init_oauth(outer, "/inner/docs")["clientId"] == "another"
    assert init_oauth(outer, "/inner/docs")["additionalQueryStringParams"] == {"audience": "https://other.example"}
    paths = ("/openapi.json", "/inner/openapi.json")
    urls = [
        ask(outer, path).json["components"]["securitySchemes"]["KindeSignIn"]["flows"]["authorizationCode"]["tokenUrl"]
        for path in paths
    ]
    assert urls == [f"{ISSUER}/oauth2/token", "https://other.kinde.com/oauth2/token"]


def test_docs_pages_are_not_opened_by_it(guard: Guard) -> None:
    app = app_of(guard, public=[])
    assert [ask(app, path).status for path in docs_paths(app)] == [401] * 4


def test_docs_paths(guard: Guard) -> None:
    """Those that there are, as they are set."""
    app = FastAPI()
    KindeGuard(app, guard=guard, public=docs_paths(app), swagger_client_id=CLIENT)
    assert docs_paths(app) == ("/openapi.json", "/docs", "/docs/oauth2-redirect", "/redoc")
    assert [ask(app, path).status for path in docs_paths(app)] == [200] * 4
    assert ask(app, "/docs/").status == 401
    options: dict[str, Any] = {"openapi_url": "/api.json", "docs_url": "/try", "redoc_url": None}
    assert docs_paths(FastAPI(**options)) == ("/api.json", "/try", "/docs/oauth2-redirect")
    assert docs_paths(FastAPI(docs_url=None)) == ("/openapi.json", "/redoc")
    assert docs_paths(FastAPI(openapi_url=None)) == ()


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ("", "swagger_client_id is empty: leave it out"),
        (" ", "is no client id"),
        ("two words", "is no client id"),
        ("<client id>", "is no client id"),
        ("${KINDE_CLIENT_ID}", "is no client id"),
        ("a\nb", "is no client id"),
        ("é", "is no client id"),
        (True, "must be the client id of a front-end app"),
        (7, "must be the client id of a front-end app"),
    ],
)
def test_wrong_client_ids(wrong: Any, words: str, guard: Guard) -> None:
    with pytest.raises(ConfigurationError, match=words):
        KindeGuard(FastAPI(), guard=guard, swagger_client_id=wrong)


def test_apps_that_cannot_have_it(guard: Guard) -> None:
    with pytest.raises(ConfigurationError, match="is for FastAPI apps"):
        KindeGuard(Starlette(), guard=guard, swagger_client_id=CLIENT)
    with pytest.raises(ConfigurationError, match="do not set FastAPI's swagger_ui_oauth2_redirect_url to None"):
        KindeGuard(FastAPI(swagger_ui_oauth2_redirect_url=None), guard=guard, swagger_client_id=CLIENT)
    app = FastAPI(docs_url=None, swagger_ui_oauth2_redirect_url=None)
    KindeGuard(app, guard=guard, swagger_client_id=CLIENT)


def test_the_example(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its docs are open where one can sign in, and closed where one cannot."""
    monkeypatch.setenv("KINDE_DOMAIN", DOMAIN)
    monkeypatch.setenv("KINDE_AUDIENCE", AUDIENCE)
    for client_id, status in ((None, 401), (CLIENT, 200)):
        monkeypatch.delenv("KINDE_CLIENT_ID", raising=False)
        if client_id is not None:
            monkeypatch.setenv("KINDE_CLIENT_ID", client_id)
        app = runpy.run_path(str(Path(__file__).parents[2] / "examples" / "fastapi_app.py"))["app"]
        paths = ("/docs", "/openapi.json", "/docs/oauth2-redirect")
        assert [ask(app, path).status for path in paths] == [status] * 3
        assert [ask(app, path).status for path in ("/healthz", "/me", "/nowhere")] == [200, 401, 401]


def test_a_wrong_setting_stops_the_server(tmp_path: Any) -> None:
    code = """
from fastapi import FastAPI
from kinde_guard.fastapi import KindeGuard
app = FastAPI()
KindeGuard(app, audience=None, clients=["another"], swagger_client_id="mine")
"""
    done = uvicorn_command(tmp_path, code, KINDE_DOMAIN=DOMAIN)
    assert done.returncode != 0
    assert "tokens of swagger_client_id 'mine' would all be refused" in done.stderr
    assert "Traceback" not in done.stderr
