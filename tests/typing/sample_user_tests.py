"""The tests that a user writes of an app of one's own; mypy and pyright, both strict, say nothing but where they are
wrong. Nobody runs this file: ``tests/testing/test_kit.py`` does what it does."""

from __future__ import annotations

import unittest

import httpx
from fastapi import FastAPI
from fastapi.testclient import TestClient

import kinde_guard.testing
from kinde_guard import AuthError, Guard, permission, scope
from kinde_guard.fastapi import KindeGuard, Token, requires_scope
from kinde_guard.issuer import LocalIssuer
from kinde_guard.m2m import ClientCredentials
from kinde_guard.testing import (
    KindeApiKey,
    KindeCaller,
    KindeToken,
    KindeTrust,
    api_keys_for,
    assert_no_unprotected_routes,
    assert_requires,
    assert_resists_hostile_tokens,
    caller,
    headers,
    local_issuer,
    mint,
    mint_api_key,
    revoke,
    trust,
)

app = FastAPI()
KindeGuard(app, public=["/healthz"])


@app.get("/users")
@requires_scope("read:users")
def users(token: Token) -> dict[str, str]:
    return {"caller": token.subject}


def test_reader(kinde_caller: KindeCaller) -> None:
    reader = kinde_caller(app, scope="read:users", org_code="org_1", favourite="tea")
    assert reader.client_id is not None
    assert TestClient(app).get("/users").json() == {"caller": reader.subject}


def test_real_token(kinde_trust: KindeTrust, kinde_token: KindeToken, kinde_issuer: LocalIssuer) -> None:
    guard = kinde_trust(app, leeway=0)
    token = kinde_token(permissions=["users:read"], feature_flags={"beta": True}, lifetime=60)
    assert TestClient(app).get("/users", headers=headers(token)).status_code == 403
    assert TestClient(app).get("/users", headers=headers(kinde_token(preset="expired"))).status_code == 401
    kinde_issuer.rotate()
    kinde_issuer.down = True
    assert guard.health()[kinde_issuer.url].state == "fresh"
    revoke(token)


def test_key(kinde_trust: KindeTrust, kinde_api_key: KindeApiKey, kinde_issuer: LocalIssuer) -> None:
    kinde_trust(app, api_keys=api_keys_for(kinde_issuer, remember_for=30))
    key = kinde_api_key(scope=["read:users"], subject="kp_1", org_code="org_1", lifetime=60)
    assert TestClient(app).get("/users", headers=headers(key)).status_code == 200
    assert kinde_issuer.revoke_api_key(key).status == "revoked"
    made = kinde_issuer.create_api_key("CI", scopes=["read:users"])
    assert headers(made.key) != headers(mint_api_key(kinde_issuer, scope="read:users"))
    kinde_issuer.break_down("server_error", at="verify")


def test_of_routes(kinde_issuer: LocalIssuer, kinde_trust: KindeTrust) -> None:
    assert_requires(TestClient(app), "GET", "/users", scope("read:users") | permission("users:read"))
    assert_no_unprotected_routes(app, public=["/healthz"])
    kinde_trust(app)
    assert_resists_hostile_tokens(TestClient(app), "/users", issuer=kinde_issuer, scope="read:users")


def test_without_an_app() -> None:
    issuer = local_issuer()
    guard = Guard(issuer.url, audience=issuer.audience, transport=issuer.transport)
    try:
        token = guard.verify(mint(issuer, scope="read:users"))
    except AuthError as refusal:
        raise AssertionError(refusal.reason) from refusal
    assert scope("read:users").met_by(token)


def test_a_client(kinde_issuer: LocalIssuer) -> None:
    auth = ClientCredentials(
        kinde_issuer.url,
        client_id=kinde_issuer.app.client_id,
        client_secret=kinde_issuer.app.client_secret,
        audience=kinde_issuer.audience,
        transport=kinde_issuer.transport,
    )
    with httpx.Client(base_url="https://api.acme.com", auth=auth) as client:
        client.get("/users")
    auth.forget()


class WithUnittest(unittest.TestCase):
    def test_reader(self) -> None:
        token = self.enterContext(caller(app, scope="read:users"))
        assert token.scopes == {"read:users"}

    def test_trust(self) -> None:
        issuer = local_issuer()
        with trust(app, issuer) as guard:
            assert issuer.url in guard.issuers


def test_what_is_wrong(kinde_caller: KindeCaller, kinde_token: KindeToken, kinde_issuer: LocalIssuer) -> None:
    kinde_caller(scope="read:users")  # type: ignore[call-arg]
    kinde_caller(app, scope=1)  # type: ignore[arg-type]
    kinde_token(preset=None)  # type: ignore[arg-type]
    print(kinde_token().subject)  # type: ignore[attr-defined]
    assert_requires(TestClient(app), "GET", "/users", "read:users")  # type: ignore[arg-type]
    mint("https://acme.kinde.com")  # type: ignore[arg-type]
    print(kinde_issuer.api_keys[0].key)  # type: ignore[attr-defined]
    kinde_issuer.dowm = True  # type: ignore[attr-defined]
    kinde_issuer.app.client_id = "another"  # type: ignore[misc]
    print(kinde_guard.NoSuchName)  # type: ignore[attr-defined]
    print(kinde_guard.testing.assert_nothing)  # type: ignore[attr-defined]
