"""Hostile webhooks: ours refuses each for the reason it should, and a receiver with a careless habit is found out."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from fastapi import FastAPI, Request, Response
from flask import Flask
from servers import served
from starlette.testclient import TestClient
from werkzeug.test import Client

import kinde_guard.asgi
import kinde_guard.fastapi
import kinde_guard.flask
import kinde_guard.wsgi
from kinde_guard import InvalidToken, KindeGuardError
from kinde_guard.fastapi import requires_scope
from kinde_guard.hostile import Hostile, assert_resists_hostile_tokens
from kinde_guard.hostile.answers import Judge
from kinde_guard.hostile.clients import asking, webhook_path_of
from kinde_guard.hostile.webhooks import cases, findings, good
from kinde_guard.issuer import LocalIssuer, SigningKey
from kinde_guard.testing import guard_for
from kinde_guard.webhooks import WebhookEvent, WebhookReader, WebhookReceiver

PATH = "/webhooks/kinde"
KEY, STRANGER = SigningKey.make(), SigningKey.make()


@pytest.fixture(scope="module")
def issuer() -> LocalIssuer:
    issuer = LocalIssuer(key=KEY)
    issuer.stranger = STRANGER
    return issuer


def test_each_is_refused_for_its_reason(issuer: LocalIssuer) -> None:
    told: list[WebhookEvent] = []
    receiver = WebhookReceiver(guard_for(issuer), told.append)
    found = {}
    for case in cases(issuer):
        answer = receiver.receive(case.method, dict(case.headers), case.body)
        reason = "wrong_method" if answer.status == 405 else json.loads(answer.body)["error"]
        found[case.name] = (answer.status, reason)
    assert found == {case.name: (case.status, case.reason) for case in cases(issuer)}
    assert len(found) == len(list(cases(issuer))) > 100
    assert told == []


def test_the_good_one_is_taken_and_means_nothing(issuer: LocalIssuer) -> None:
    event = WebhookReader(guard=guard_for(issuer)).read(good(issuer).body)
    assert type(event) is WebhookEvent


def test_none_of_them_is_a_token(issuer: LocalIssuer) -> None:
    guard = guard_for(issuer)
    tokens = ("access token", "introspection")
    for case in (good(issuer), *cases(issuer)):
        if not any(word in case.name for word in tokens):
            with pytest.raises((InvalidToken, KindeGuardError)):
                guard.verify(case.body.decode("latin-1"))


def fastapi(issuer: LocalIssuer, told: list[WebhookEvent]) -> Any:
    app = FastAPI()

    @app.get("/users")
    @requires_scope("read:users")
    def users() -> str:
        return "served"

    kinde_guard.fastapi.KindeGuard(app, guard=guard_for(issuer), webhooks=PATH, on_event=told.append)
    return app


def flask(issuer: LocalIssuer, told: list[WebhookEvent]) -> Any:
    app = Flask("app")
    app.add_url_rule("/users", "users", kinde_guard.flask.requires_scope("read:users")(lambda: "served"))
    kinde_guard.flask.KindeGuard(app, guard=guard_for(issuer), webhooks=PATH, on_event=told.append)
    return app


def asgi(issuer: LocalIssuer, told: list[WebhookEvent]) -> Any:
    inner = FastAPI()
    inner.add_api_route("/users", lambda: "served")
    required = kinde_guard.scope("read:users")
    return kinde_guard.asgi.GuardMiddleware(
        inner, guard_for(issuer), requires=required, webhooks=PATH, on_event=told.append
    )


def wsgi(issuer: LocalIssuer, told: list[WebhookEvent]) -> Any:
    inner = Flask("inner")
    inner.add_url_rule("/users", "users", lambda: "served")
    required = kinde_guard.scope("read:users")
    return kinde_guard.wsgi.GuardMiddleware(
        inner, guard_for(issuer), requires=required, webhooks=PATH, on_event=told.append
    )


@pytest.mark.parametrize("made", [fastapi, flask, asgi, wsgi])
def test_an_app_of_ours_is_found_and_passes(issuer: LocalIssuer, made: Callable[..., Any]) -> None:
    told: list[WebhookEvent] = []
    app = made(issuer, told)
    client = Client(app) if made in (flask, wsgi) else TestClient(app)
    assert webhook_path_of(client) == PATH
    assert_resists_hostile_tokens(client, "/users", issuer=issuer)
    assert [event.type for event in told] == ["trial.nothing"]


def test_over_a_socket_the_path_is_told(issuer: LocalIssuer) -> None:
    told: list[WebhookEvent] = []
    with served(fastapi(issuer, told)) as address:
        assert_resists_hostile_tokens(f"http://{address}", "/users", issuer=issuer, webhooks=PATH)
    assert [event.type for event in told] == ["trial.nothing"]


def test_without_webhooks_nothing_is_posted(issuer: LocalIssuer) -> None:
    app = FastAPI()
    assert webhook_path_of(TestClient(app)) is None
    assert webhook_path_of("http://127.0.0.1:1") is None


Take = Callable[[LocalIssuer, Request, bytes], bool]


def of_kindes_decoder(issuer: LocalIssuer, request: Request, body: bytes) -> bool:
    """Checks the signature, and nothing else."""
    kid = jwt.get_unverified_header(body.decode())["kid"]
    keys = {key.kid: key for key in issuer.keys}
    options: Any = {f"verify_{name}": False for name in ("aud", "exp", "iat", "iss", "sub", "jti", "nbf")}
    jwt.decode(body.decode(), keys[kid].private.public_key(), algorithms=["RS256"], options=options)
    return True


def believing(issuer: LocalIssuer, request: Request, body: bytes) -> bool:
    """Reads what it says."""
    payload = body.split(b".")[1]
    claims = json.loads(base64.urlsafe_b64decode(payload + b"=" * (-len(payload) % 4)))
    return "event_id" in claims


def never(issuer: LocalIssuer, request: Request, body: bytes) -> bool:
    return False


CARELESS: dict[str, tuple[Take, list[str]]] = {
    "signature alone": (
        of_kindes_decoder,
        ["a user's access token", "38 hours old", "iss ours", "as application/json"],
    ),
    "no signature": (believing, ["another tenant's", "alg none", "without a signature", "with another's payload"]),
    "nothing": (never, ["of a type that nobody knows"]),
}


@pytest.mark.parametrize("habit", CARELESS)
def test_a_careless_receiver_is_found_out(issuer: LocalIssuer, habit: str) -> None:
    take, expected = CARELESS[habit]
    app = FastAPI()

    @app.post(PATH)
    async def webhook(request: Request) -> Response:
        try:
            return Response(status_code=200 if take(issuer, request, await request.body()) else 400)
        except Exception:
            return Response(status_code=400)

    with asking(TestClient(app), PATH, "POST") as ask:
        found = [case.name for case, _, _ in findings(ask, issuer, Judge(None, []))]
    for name in expected:
        assert any(name in each for each in found), (name, found)


def test_what_is_repeated_and_what_breaks_is_found(issuer: LocalIssuer) -> None:
    app = FastAPI()

    @app.post(PATH)
    async def webhook(request: Request) -> Response:
        body = await request.body()
        if body == good(issuer).body:
            return Response(status_code=200)
        return Response(body[:200], 400) if body.count(b".") == 2 else Response(status_code=500)

    with asking(TestClient(app), PATH, "POST") as ask:
        seen = {case.name: seen for case, _, seen in findings(ask, issuer, Judge(None, []))}
    assert "repeats" in seen["a webhook, another tenant's"]
    assert seen["a webhook, nothing"] == "500"


def test_names_are_the_same_whenever_they_are_made(issuer: LocalIssuer) -> None:
    other = LocalIssuer("https://other.kinde.test", clock=lambda: 1_700_000_000.0, key=STRANGER)
    other.stranger = KEY

    def names(of: LocalIssuer) -> list[str]:
        return [case.name for case in cases(of) if isinstance(case, Hostile)]

    assert names(issuer) == names(other)
    assert not [name for name in names(issuer) if re.search(r"\d{6}", name)]
