"""``kinde_guard.testing`` with Kinde's API keys: an app's own tests make them, and ask a local Kinde about them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from flask import Flask
from helpers import Time

import kinde_guard.fastapi
import kinde_guard.flask
from kinde_guard import ConfigurationError, Guard, scope
from kinde_guard.api_keys import ApiKeys
from kinde_guard.hostile.clients import takes_api_keys
from kinde_guard.issuer import LocalIssuer
from kinde_guard.m2m import ClientCredentials
from kinde_guard.testing import (
    api_keys_for,
    assert_requires,
    assert_resists_hostile_tokens,
    guard_for,
    headers,
    local_issuer,
    mint_api_key,
    trust,
)

KeyOf = Callable[..., str]


@pytest.fixture(autouse=True)
def _no_environment(no_settings: None) -> None:
    """No setting from outside."""


def production() -> ApiKeys:
    """As an app makes it. Nobody is there to be asked."""
    management = ClientCredentials(
        "acme.kinde.com", client_id="x", client_secret="y", audience="https://acme.kinde.com/api", shared=False
    )
    return ApiKeys(management, api_ids="0195ac80a14e8d71f42b98e75d3c61ad")


def fastapi_app(**settings: Any) -> tuple[Any, Any]:
    app = FastAPI()
    kinde_guard.fastapi.KindeGuard(app, **settings)

    @app.get("/users")
    @kinde_guard.fastapi.requires_scope("read:users")
    def users() -> str:
        return "users"

    @app.get("/me")
    def me(token: kinde_guard.fastapi.Token) -> dict[str, Any]:
        return {"subject": token.subject, "org": token.org_code, "machine": token.is_m2m}

    return app, TestClient(app)


def flask_app(**settings: Any) -> tuple[Any, Any]:
    app = Flask("app")
    app.config.update(KINDE_DOMAIN="acme.kinde.com", KINDE_AUDIENCE="https://api.acme.com")
    kinde_guard.flask.KindeGuard(app, **settings)

    @app.get("/users")
    @kinde_guard.flask.requires_scope("read:users")
    def users() -> str:
        return "users"

    @app.get("/me")
    @kinde_guard.flask.requires_auth
    def me() -> dict[str, Any]:
        token = kinde_guard.flask.current_token
        return {"subject": token.subject, "org": token.org_code, "machine": token.is_m2m}

    return app, app.test_client()


def json_of(answer: Any) -> Any:
    return answer.json() if callable(answer.json) else answer.json


both = pytest.mark.parametrize("make", [fastapi_app, flask_app])


@both
def test_an_app_that_takes_keys(
    make: Any, kinde_trust: Callable[..., Guard], kinde_issuer: LocalIssuer, kinde_api_key: KeyOf
) -> None:
    """It asks the issuer of the test, and no other."""
    app, client = make(api_keys=production())
    kinde_trust(app)
    key = kinde_api_key(scope="read:users")
    assert client.get("/users", headers=headers(key)).status_code == 200
    assert client.get("/users", headers=headers(kinde_api_key())).status_code == 403
    kinde_issuer.revoke_api_key(gone := kinde_api_key(scope="read:users"))
    assert client.get("/users", headers=headers(gone)).status_code == 401
    assert client.get("/users", headers=headers("k_live_" + "0" * 32)).status_code == 401


@both
def test_whose_it_is(make: Any, kinde_trust: Callable[..., Guard], kinde_api_key: KeyOf) -> None:
    app, client = make(api_keys=production())
    kinde_trust(app)
    of_user = kinde_api_key(subject="kp_somebody")
    answer = client.get("/me", headers=headers(of_user))
    assert json_of(answer) == {"subject": "kp_somebody", "org": None, "machine": False}
    answer = client.get("/me", headers=headers(kinde_api_key(org_code="org_1")))
    assert json_of(answer) == {"subject": json_of(answer)["subject"], "org": "org_1", "machine": True}


@both
def test_an_app_that_takes_none(
    make: Any, kinde_trust: Callable[..., Guard], kinde_issuer: LocalIssuer, kinde_api_key: KeyOf
) -> None:
    """Unless the test says so; and then it is as before."""
    app, client = make()
    key = headers(kinde_api_key(scope="read:users"))
    with trust(app, kinde_issuer, api_keys=api_keys_for(kinde_issuer)):
        assert client.get("/users", headers=key).status_code == 200
    kinde_trust(app)
    assert client.get("/users", headers=key).status_code == 401


def test_a_key_that_is_known_goes_on_as_in_production() -> None:
    """For a minute after it was revoked, by the clock that is passed in."""
    time = Time()
    issuer = local_issuer(clock=time.clocks.wall)
    guard = guard_for(issuer, api_keys=api_keys_for(issuer), clocks=time.clocks)
    key = mint_api_key(issuer, scope=["read:users", "write:flags"])
    token = guard.verify(key)
    token.require(scope("read:users", "write:flags"))
    assert token.claims["api_key"] == {"id": issuer.api_keys[0].id}
    issuer.revoke_api_key(key)
    time.passes(59)
    assert guard.verify(key) is token
    time.passes(1)
    with pytest.raises(Exception, match="invalid_api_key"):
        guard.verify(key)


def test_a_key_for_another_api_is_refused() -> None:
    issuer = local_issuer()
    guard = guard_for(issuer, api_keys=api_keys_for(issuer))
    key = mint_api_key(issuer, scope="read:users", audience="https://other.example.com")
    with pytest.raises(Exception, match="wrong_api"):
        guard.verify(key)


def test_settings_are_those_of_api_keys() -> None:
    issuer = local_issuer()
    assert api_keys_for(issuer, api_ids=["one", "two"]).api_ids == {"one", "two"}
    with pytest.raises(ConfigurationError):
        api_keys_for(issuer, remember_for=0)


def test_callers_of_another_kind_still_work(kinde_caller: Callable[..., Any]) -> None:
    """What a key says may be said of a caller, too."""
    app, client = fastapi_app(api_keys=production())
    kinde_caller(app, scope="read:users", client_id="api_key_1", api_key={"id": "api_key_1"})
    assert client.get("/users").status_code == 200
    assert client.get("/me").json()["subject"] == "api_key_1"


def test_assert_requires_asks_no_key() -> None:
    _, client = fastapi_app(api_keys=production())
    assert_requires(client, "GET", "/users", scope("read:users"))


def test_the_hostile_corpus_has_keys_where_an_app_takes_them(
    kinde_trust: Callable[..., Guard], kinde_issuer: LocalIssuer
) -> None:
    """And they are revoked when it is over."""
    app, client = flask_app(api_keys=production())
    kinde_trust(app)
    assert takes_api_keys(client)
    assert_resists_hostile_tokens(client, issuer=kinde_issuer)
    assert kinde_issuer.api_key_verifications > 10
    assert {key.status for key in kinde_issuer.api_keys} == {"revoked"}


@both
def test_whether_an_app_takes_keys_is_seen(make: Any, kinde_trust: Callable[..., Guard]) -> None:
    for settings, takes in (({}, False), ({"api_keys": production()}, True)):
        app, client = make(**settings)
        kinde_trust(app)
        assert takes_api_keys(client) == takes
    assert not takes_api_keys("http://127.0.0.1:1")
