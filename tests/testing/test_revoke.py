"""``kinde_guard.testing.revoke``: an app's own tests see a revoked token refused, without a Redis."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from flask import Flask

import kinde_guard.fastapi
import kinde_guard.flask
from kinde_guard import ConfigurationError, Guard
from kinde_guard.fastapi import Token
from kinde_guard.issuer import LocalIssuer
from kinde_guard.revocation import Revocations
from kinde_guard.testing import guard_for, headers, mint, revoke, trust


@pytest.fixture(autouse=True)
def _no_environment(no_settings: None) -> None:
    """No setting from outside."""


def fastapi_app(**settings: Any) -> tuple[Any, Any]:
    app = FastAPI()
    kinde_guard.fastapi.KindeGuard(app, **settings)

    @app.get("/me")
    def me(token: Token) -> str:
        return token.subject

    return app, TestClient(app)


def flask_app(**settings: Any) -> tuple[Any, Any]:
    app = Flask("app")
    app.config.update(KINDE_DOMAIN="acme.kinde.com", KINDE_AUDIENCE="https://api.acme.com")
    kinde_guard.flask.KindeGuard(app, **settings)

    @app.get("/me")
    @kinde_guard.flask.requires_auth
    def me() -> str:
        return kinde_guard.flask.current_token.subject

    return app, app.test_client()


Made = Callable[..., tuple[Any, Any]]
both = pytest.mark.parametrize("make", [fastapi_app, flask_app])


@both
def test_a_revoked_token_is_refused(make: Made, kinde_trust: Callable[..., Guard], kinde_token: Any) -> None:
    app, client = make(revocations=Revocations("redis://127.0.0.1:1"))
    kinde_trust(app)
    token, other = kinde_token(subject="kp_1234"), kinde_token(subject="kp_1234")
    assert client.get("/me", headers=headers(token)).status_code == 200
    assert revoke(token, reason="signed out").reason == "signed out"
    refused = client.get("/me", headers=headers(token))
    assert refused.status_code == 401
    assert "The access token has been revoked." in refused.text
    assert client.get("/me", headers=headers(other)).status_code == 200


@both
def test_a_user_s_tokens(make: Made, kinde_trust: Callable[..., Guard], kinde_token: Any) -> None:
    app, client = make(revocations=Revocations.in_memory(token_lifetime=3_600))
    guard = kinde_trust(app)
    token = kinde_token(subject="kp_1234")
    assert guard.revocations is not None
    assert guard.revocations.token_lifetime == 3_600
    guard.revocations.revoke_subject("kp_1234")
    assert client.get("/me", headers=headers(token)).status_code == 401


def test_where_the_environment_says_where_they_are(
    kinde_trust: Callable[..., Guard], kinde_token: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KINDE_REVOCATIONS_URL", "redis://127.0.0.1:1")
    app, client = fastapi_app()
    kinde_trust(app)
    revoke(token := kinde_token())
    assert client.get("/me", headers=headers(token)).status_code == 401


def test_as_a_guard_hands_it_out(kinde_issuer: LocalIssuer, kinde_trust: Callable[..., Guard]) -> None:
    app, client = fastapi_app()
    guard = kinde_trust(app, revocations=Revocations.in_memory())
    token = mint(kinde_issuer)
    revoke(guard.verify(token))
    assert client.get("/me", headers=headers(token)).status_code == 401


def test_without_revocations_there_is_nothing_to_revoke_with(
    kinde_trust: Callable[..., Guard], kinde_token: Any
) -> None:
    app, _ = fastapi_app()
    with pytest.raises(ConfigurationError, match=r"call kinde_trust\(app\)"):
        revoke(kinde_token())
    assert kinde_trust(app).revocations is None
    with pytest.raises(ConfigurationError, match=r"KindeGuard\(app, revocations=…\) in the app"):
        revoke(kinde_token())


def test_a_token_that_no_app_takes(kinde_issuer: LocalIssuer) -> None:
    app, _ = fastapi_app(revocations=Revocations.in_memory())
    with trust(app, kinde_issuer):
        with pytest.raises(ConfigurationError, match="takes this token"):
            revoke(mint(kinde_issuer, preset="expired"))
        with pytest.raises(ConfigurationError, match="takes this token"):
            revoke("no token")
    with pytest.raises(ConfigurationError, match="no app under test"):
        revoke(mint(kinde_issuer))


def test_of_two_apps_each_that_takes_it_refuses_it(kinde_issuer: LocalIssuer) -> None:
    (one, ones), (other, others) = (fastapi_app(revocations=Revocations.in_memory()) for _ in range(2))
    token = mint(kinde_issuer)
    with trust(one, kinde_issuer), trust(other, kinde_issuer):
        revoke(token)
        assert [client.get("/me", headers=headers(token)).status_code for client in (ones, others)] == [401, 401]


def test_a_guard_of_one_s_own(kinde_issuer: LocalIssuer) -> None:
    """It is told itself."""
    guard = guard_for(kinde_issuer, revocations=Revocations.in_memory())
    token = guard.verify(mint(kinde_issuer))
    assert guard.revocations is not None
    guard.revocations.revoke(token)
    assert guard.revocations.matching(token)
