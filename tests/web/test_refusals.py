"""One table of refusals through every adapter: they cannot drift apart, in status, challenge or body.

A column is a function that builds an app around a guard, with a route for each of ``REQUIREMENTS``, and gives a way to
ask it: ``ask(path, headers) -> (status, headers, body)``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from io import BytesIO
from typing import Any
from wsgiref.util import setup_testing_defaults

import pytest
from asgi_calls import App, ask, talk, websocket
from fastapi import FastAPI, WebSocket
from flask import Flask
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute

import kinde_guard.asgi
import kinde_guard.fastapi as on_fastapi
import kinde_guard.flask as on_flask
import kinde_guard.starlette as on_starlette
import kinde_guard.wsgi
from kinde_guard import Guard, Requirement, flag, machine, org, permission, role, scope, user
from kinde_guard.errors import Reason
from kinde_guard.issuer import PRESETS, LocalIssuer
from kinde_guard.requirements import authenticated
from kinde_guard.web.bearer import TEXTS

Headers = list[tuple[str, str]]
Answer = tuple[int, dict[str, str], bytes]
Ask = Callable[[str, Headers], Answer]

REQUIREMENTS: dict[str, Requirement] = {
    "/any": authenticated,
    "/users": scope("read:users"),
    "/both": scope("read:users", "write:flags"),
    "/permission": permission("users:read"),
    "/role": role("admin"),
    "/org": org("org_1"),
    "/flag": flag("beta"),
    "/app": machine,
    "/person": user,
    "/all": scope("read:users") & permission("users:read") & scope("write:flags"),
    "/permission-first": permission("users:read") & scope("read:users"),
    "/either": permission("users:read") | scope("read:users"),
    "/neither": permission("users:read") | role("admin"),
}


def asgi(guard: Guard) -> Ask:
    return over_asgi(_asgi_app(guard))


def asgi_websocket(guard: Guard) -> Ask:
    return over_websocket(_asgi_app(guard))


def _asgi_app(guard: Guard) -> App:
    async def bare(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            return await _accepting(WebSocket(scope, receive, send))
        return await PlainTextResponse("in")(scope, receive, send)

    guarded = {
        path: kinde_guard.asgi.GuardMiddleware(bare, guard, requires=requirement)
        for path, requirement in REQUIREMENTS.items()
    }

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await guarded[scope["path"]](scope, receive, send)

    return app


def starlette(guard: Guard) -> Ask:
    async def endpoint(request: Request) -> Response:
        return PlainTextResponse("in")

    return over_asgi(_starlette_app(guard, endpoint))


def starlette_def(guard: Guard) -> Ask:
    def endpoint(request: Request) -> Response:
        return PlainTextResponse("in")

    return over_asgi(_starlette_app(guard, endpoint))


def starlette_denying_by_default(guard: Guard) -> Ask:
    async def endpoint(request: Request) -> Response:
        return PlainTextResponse("in")

    return over_asgi(_starlette_app(guard, endpoint, public=[]))


def starlette_mounted(guard: Guard) -> Ask:
    """In a mounted app the endpoint itself asks: ``token.require(…)``."""

    def asking(requirement: Requirement) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            request.user.token.require(requirement)
            return PlainTextResponse("in")

        return on_starlette.requires_auth(endpoint)

    inner = Starlette(routes=[Route(path, asking(requirement)) for path, requirement in REQUIREMENTS.items()])
    app = Starlette(routes=[Mount("/", inner)])
    on_starlette.KindeGuard(app, guard=guard)
    return over_asgi(app)


def starlette_websocket(guard: Guard) -> Ask:
    routes = [WebSocketRoute(path, on_starlette.requires(each)(_accepting)) for path, each in REQUIREMENTS.items()]
    app = Starlette(routes=routes)
    on_starlette.KindeGuard(app, guard=guard)
    return over_websocket(app)


def _starlette_app(guard: Guard, endpoint: Any, public: Any = None) -> Starlette:
    app = Starlette(routes=[Route(path, on_starlette.requires(each)(endpoint)) for path, each in REQUIREMENTS.items()])
    on_starlette.KindeGuard(app, guard=guard, public=public)
    return app


async def _accepting(socket: WebSocket) -> None:
    await socket.accept()
    await socket.close()


def fastapi(guard: Guard) -> Ask:
    return over_asgi(_fastapi_app(guard))


def fastapi_denying_by_default(guard: Guard) -> Ask:
    return over_asgi(_fastapi_app(guard, public=[]))


def fastapi_dependencies(guard: Guard) -> Ask:
    app = FastAPI()
    on_fastapi.KindeGuard(app, guard=guard)
    for path, requirement in REQUIREMENTS.items():

        @app.get(path, dependencies=[on_fastapi.requires(requirement)])
        async def endpoint() -> str:
            return "in"

    return over_asgi(app)


def fastapi_in_the_endpoint(guard: Guard) -> Ask:
    app = FastAPI()
    on_fastapi.KindeGuard(app, guard=guard)

    def add(path: str, requirement: Requirement) -> None:
        @app.get(path)
        def endpoint(token: on_fastapi.Token) -> str:
            token.require(requirement)
            return "in"

    for path, requirement in REQUIREMENTS.items():
        add(path, requirement)
    return over_asgi(app)


def fastapi_websocket(guard: Guard) -> Ask:
    app = FastAPI()
    on_fastapi.KindeGuard(app, guard=guard)
    for path, requirement in REQUIREMENTS.items():

        @app.websocket(path)
        @on_fastapi.requires(requirement)
        async def endpoint(websocket: WebSocket) -> None:
            await _accepting(websocket)

    return over_websocket(app)


def _fastapi_app(guard: Guard, public: Any = None) -> FastAPI:
    app = FastAPI()
    on_fastapi.KindeGuard(app, guard=guard, public=public)
    for path, requirement in REQUIREMENTS.items():

        @app.get(path)
        @on_fastapi.requires(requirement)
        def endpoint() -> str:
            return "in"

    return app


def wsgi(guard: Guard) -> Ask:
    def bare(environ: Any, start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [])
        return [b"in"]

    guarded = {
        path: kinde_guard.wsgi.GuardMiddleware(bare, guard, requires=requirement)
        for path, requirement in REQUIREMENTS.items()
    }
    return over_wsgi(lambda environ, start_response: guarded[environ["PATH_INFO"]](environ, start_response))


def flask(guard: Guard) -> Ask:
    return over_wsgi(_flask_app(guard))


def flask_denying_by_default(guard: Guard) -> Ask:
    return over_wsgi(_flask_app(guard, public=[]))


def flask_in_the_view(guard: Guard) -> Ask:
    app = Flask("service")
    on_flask.KindeGuard(app, guard=guard)

    def asking(requirement: Requirement) -> Callable[[], str]:
        def view() -> str:
            on_flask.current_token.require(requirement)
            return "in"

        return view

    for path, requirement in REQUIREMENTS.items():
        app.add_url_rule(path, path[1:], asking(requirement))
    return over_wsgi(app)


def _flask_app(guard: Guard, public: Any = None) -> Flask:
    app = Flask("service")
    on_flask.KindeGuard(app, guard=guard, public=public)
    for path, requirement in REQUIREMENTS.items():
        app.add_url_rule(path, path[1:], on_flask.requires(requirement)(lambda: "in"))
    return app


COLUMNS: dict[str, Callable[[Guard], Ask]] = {
    "asgi": asgi,
    "asgi, websocket": asgi_websocket,
    "starlette": starlette,
    "starlette, def": starlette_def,
    "starlette, denying by default": starlette_denying_by_default,
    "starlette, mounted": starlette_mounted,
    "starlette, websocket": starlette_websocket,
    "fastapi": fastapi,
    "fastapi, denying by default": fastapi_denying_by_default,
    "fastapi, dependencies": fastapi_dependencies,
    "fastapi, in the endpoint": fastapi_in_the_endpoint,
    "fastapi, websocket": fastapi_websocket,
    "wsgi": wsgi,
    "flask": flask,
    "flask, denying by default": flask_denying_by_default,
    "flask, in the view": flask_in_the_view,
}


def over_asgi(app: App) -> Ask:
    def asking(path: str, headers: Headers) -> Answer:
        reply = ask(app, path, headers=headers)
        return reply.status, reply.headers, reply.body

    return asking


def over_websocket(app: App) -> Ask:
    """An answer in place of the handshake; that of an open connection is 200 here."""

    def asking(path: str, headers: Headers) -> Answer:
        conversation = talk(app, websocket(path, headers))
        if conversation.sent[0]["type"] == "websocket.accept":
            return 200, {}, b"in"
        reply = conversation.reply
        return reply.status, reply.headers, reply.body

    return asking


def over_wsgi(app: Any) -> Ask:
    """As a WSGI server does it: values of one header are joined with commas."""

    def asking(path: str, headers: Headers) -> Answer:
        environ: dict[str, Any] = {"PATH_INFO": path, "wsgi.input": BytesIO()}
        for name, value in headers:
            key = "HTTP_" + name.upper().replace("-", "_")
            environ[key] = f"{environ[key]},{value}" if key in environ else value
        setup_testing_defaults(environ)
        started: list[Any] = []
        body = b"".join(app(environ, lambda *arguments: started.append(arguments)))
        status, pairs = started[0][:2]
        names = [name.lower() for name, _ in pairs]
        assert len(names) == len(set(names)), "a header comes twice"
        return int(status.split()[0]), {name.lower(): value for name, value in pairs}, body

    return asking


@dataclass(frozen=True)
class Row:
    """A request, and why it is refused."""

    path: str
    authorization: Callable[[LocalIssuer], list[str]]
    status: int
    reason: Reason | None
    """None: it is not."""
    error: str = ""
    scopes: str = ""


def values(*authorization: str) -> Callable[[LocalIssuer], list[str]]:
    return lambda issuer: list(authorization)


def app_token(**claims: Any) -> Callable[[LocalIssuer], list[str]]:
    return lambda issuer: [f"Bearer {issuer.m2m_token(**claims)}"]


def user_token(**claims: Any) -> Callable[[LocalIssuer], list[str]]:
    return lambda issuer: [f"Bearer {issuer.user_token(**claims)}"]


def preset(name: str) -> Callable[[LocalIssuer], list[str]]:
    return lambda issuer: [f"Bearer {issuer.preset(name)}"]


def forbidden(path: str, authorization: Any, reason: Reason, scopes: str = "") -> Row:
    return Row(path, authorization, 403, reason, "insufficient_scope", scopes)


LACKING_SCOPE: Reason = "insufficient_scope"
ROWS: dict[str, Row] = {
    "no header": Row("/any", values(), 401, "missing_token"),
    "no header, more than a token demanded": Row("/all", values(), 401, "missing_token"),
    "empty header": Row("/any", values(""), 401, "missing_token"),
    "another scheme": Row("/any", values("Basic eDp5"), 401, "missing_token"),
    "scheme that begins alike": Row("/any", values("Bearerx abc"), 401, "missing_token"),
    "scheme alone": Row("/any", values("Bearer"), 400, "invalid_request", "invalid_request"),
    "scheme and a space": Row("/any", values("Bearer "), 400, "invalid_request", "invalid_request"),
    "two words": Row("/any", values("Bearer abc def"), 400, "invalid_request", "invalid_request"),
    "tab for a space": Row("/any", values("Bearer\tabc"), 400, "invalid_request", "invalid_request"),
    "not b64token": Row("/any", values("Bearer a,b"), 400, "invalid_request", "invalid_request"),
    "not ASCII": Row("/any", values("Bearer \xe4"), 400, "invalid_request", "invalid_request"),
    "a quote, for the challenge": Row("/any", values('Bearer ", realm="x'), 400, "invalid_request", "invalid_request"),
    "two good headers": Row(
        "/any", lambda issuer: [f"Bearer {issuer.preset('m2m')}"] * 2, 400, "invalid_request", "invalid_request"
    ),
    "not a token": Row("/any", values("Bearer abc"), 401, "malformed", "invalid_token"),
    "a Kinde API key": Row("/any", values("Bearer k_live_abc"), 401, "malformed", "invalid_token"),
    **{
        f"{name} token": Row("/any", preset(name), 401, each.reason, "invalid_token")
        for name, each in PRESETS.items()
        if each.reason not in (None, "insufficient_scope")
    },
    "no scope": forbidden("/users", preset("no_scope"), LACKING_SCOPE, "read:users"),
    "one scope of two": forbidden("/both", app_token(scope="read:users"), LACKING_SCOPE, "read:users write:flags"),
    "scope in other case": forbidden("/users", app_token(scope="Read:users"), LACKING_SCOPE, "read:users"),
    "no permission": forbidden("/permission", user_token(), "missing_permission"),
    "no role": forbidden("/role", user_token(roles=["member"]), "missing_role"),
    "another organization": forbidden("/org", user_token(org_code="org_2"), "wrong_org"),
    "no organization": forbidden("/org", app_token(), "wrong_org"),
    "flag off": forbidden("/flag", user_token(feature_flags={"beta": False}), "missing_flag"),
    "flag of another type": forbidden("/flag", user_token(feature_flags={"beta": 1}), "missing_flag"),
    "user where apps may call": forbidden("/app", user_token(), "wrong_subject"),
    "app where users may call": forbidden("/person", app_token(), "wrong_subject"),
    "first of all unmet": forbidden("/all", app_token(scope=""), LACKING_SCOPE, "read:users write:flags"),
    "second of all unmet": forbidden("/all", app_token(), "missing_permission"),
    "last of all unmet": forbidden(
        "/all", app_token(scope="read:users", permissions=["users:read"]), LACKING_SCOPE, "read:users write:flags"
    ),
    "permission before a scope": forbidden("/permission-first", app_token(scope=""), "missing_permission"),
    "neither, and a scope would do": forbidden("/either", app_token(scope=""), LACKING_SCOPE, "read:users"),
    "neither, and no scope would do": forbidden("/neither", app_token(), "missing_permission"),
    "good app": Row("/users", preset("m2m"), 200, None),
    "good app of an organization": Row("/app", preset("m2m_of_organization"), 200, None),
    "good user": Row("/person", preset("user"), 200, None),
    "good in every respect": Row("/all", app_token(permissions=["users:read"]), 200, None),
    "good in one of two": Row("/either", app_token(), 200, None),
    "scheme in lower case": Row("/any", lambda issuer: [f"bearer {issuer.preset('m2m')}"], 200, None),
}


@pytest.fixture(scope="module")
def issuer() -> LocalIssuer:
    return LocalIssuer("https://acme.kinde.com")


def guard_of(issuer: LocalIssuer) -> Guard:
    return Guard(issuer.url, audience=issuer.audience, transport=issuer.transport, variables=())


@pytest.fixture(scope="module")
def columns(issuer: LocalIssuer) -> dict[str, Ask]:
    """Each with a guard of its own."""
    return {name: build(guard_of(issuer)) for name, build in COLUMNS.items()}


@pytest.mark.parametrize("column", COLUMNS)
@pytest.mark.parametrize("row", ROWS)
def test_refusals(row: str, column: str, columns: dict[str, Ask], issuer: LocalIssuer) -> None:
    """The same request gets the same answer, whoever guards."""
    case = ROWS[row]
    authorization = [("authorization", value) for value in case.authorization(issuer)]
    status, headers, body = columns[column](case.path, authorization)
    if case.reason is None:
        assert (status, body.strip(b'"')) == (200, b"in")
        return
    assert status == case.status
    assert parsed(headers["www-authenticate"]) == expected_challenge(case)
    check_problem(headers, body, case)


def expected_challenge(case: Row) -> dict[str, str]:
    expected = {"realm": "api"}
    if case.error and case.reason:
        expected |= {"error": case.error, "error_description": TEXTS[case.reason]}
    if case.scopes:
        expected["scope"] = case.scopes
    return expected


def check_problem(headers: dict[str, str], body: bytes, case: Row) -> None:
    """RFC 9457, and nothing that was sent comes back."""
    assert case.reason
    titles = {400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 503: "Service Unavailable"}
    assert headers["content-type"] == "application/problem+json"
    assert headers["content-length"] == str(len(body))
    assert headers["cache-control"] == "no-store"
    assert json.loads(body) == {
        "title": titles[case.status],
        "status": case.status,
        "detail": TEXTS[case.reason],
        "error": case.error or case.reason,
    }


@pytest.mark.parametrize("column", COLUMNS)
@pytest.mark.parametrize("path", ["/any", "/all"])
def test_cannot_tell(path: str, column: str) -> None:
    """503 with a time to wait and without a challenge; what needs no key is refused as ever."""
    issuer = LocalIssuer("https://acme.kinde.com")
    issuer.down = True
    asking = COLUMNS[column](guard_of(issuer))
    good = [("authorization", f"Bearer {issuer.preset('m2m')}")]
    status, headers, body = asking(path, good)
    assert status == 503
    assert 1 <= int(headers["retry-after"]) <= 30
    assert "www-authenticate" not in headers
    check_problem(headers, body, Row(path, values(), 503, "keys_unavailable"))
    assert asking(path, [])[0] == 401
    assert asking(path, [("authorization", f"Bearer {issuer.preset('expired')}")])[0] == 401


_PARAM = re.compile(r'([!#$%&\'*+\-.^_`|~0-9A-Za-z]+)="([\x20\x21\x23-\x5b\x5d-\x7e]*)"(?:, |\Z)')


def parsed(challenge: str) -> dict[str, str]:
    """One Bearer challenge (RFC 9110 §11.3), each value a quoted string of the characters that RFC 6750 §3 allows."""
    scheme, _, rest = challenge.partition(" ")
    assert scheme == "Bearer"
    params, at = {}, 0
    while at < len(rest):
        found = _PARAM.match(rest, at)
        assert found, f"not an auth-param: {rest[at:]!r}"
        assert found[1] not in params
        params[found[1]] = found[2]
        at = found.end()
    assert not rest.endswith(", ")
    return params


@pytest.mark.parametrize(
    "wrong",
    ['Basic realm="api"', "Bearer realm=api", 'Bearer realm="a"b"', 'Bearer realm="\xe4"', 'Bearer realm="a", '],
)
def test_the_parser_bites(wrong: str) -> None:
    with pytest.raises(AssertionError):
        parsed(wrong)
