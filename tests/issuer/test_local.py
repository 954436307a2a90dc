"""The local Kinde: its endpoints and their errors, the shapes of its tokens, its keys, and its wrong tokens.

PyJWT is the oracle here: what the issuer says it signed is read back by somebody else's code.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import httpx
import jwt
import pytest
import uvicorn
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from helpers import older
from waiting import LONG

from kinde_guard import AuthError, ConfigurationError, Guard, scope, user
from kinde_guard.issuer import ABSENT, PRESETS, UNSIGNED, App, LocalIssuer, Request, SigningKey
from kinde_guard.issuer.transport import LocalTransport

NOW = 1_751_150_668
URL = "https://local.kinde.test"
FORM = "application/x-www-form-urlencoded"
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
KID = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){15}")
WELL_KNOWN = "/.well-known"


class Caller:
    """Asks an issuer in process, through one of its two doors."""

    def __init__(self, issuer: LocalIssuer, door: str) -> None:
        self.issuer, self.door = issuer, door

    def ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        if self.door == "transport":
            with httpx.Client(transport=self.issuer.transport, base_url=self.issuer.url) as client:
                return client.request(method, path, **options)
        return asyncio.run(self._asked(method, path, options))

    async def _asked(self, method: str, path: str, options: Any) -> httpx.Response:
        transport = httpx.ASGITransport(self.issuer.asgi)
        async with httpx.AsyncClient(transport=transport, base_url=self.issuer.url) as client:
            return await client.request(method, path, **options)

    def token(
        self, app: App, audience: object = None, *, drop: tuple[str, ...] = (), **parameters: Any
    ) -> httpx.Response:
        form: dict[str, Any] = {"grant_type": "client_credentials", "client_id": app.client_id}
        form |= {"client_secret": app.client_secret}
        form |= {"audience": self.issuer.audience if audience is None else audience, **parameters}
        return self.ask("POST", "/oauth2/token", data={name: form[name] for name in form if name not in drop})


@pytest.fixture(scope="module")
def key() -> SigningKey:
    return SigningKey.make()


@pytest.fixture
def issuer(key: SigningKey) -> LocalIssuer:
    return LocalIssuer(URL, clock=lambda: NOW, key=key)


@pytest.fixture(params=["transport", "asgi"])
def caller(issuer: LocalIssuer, request: pytest.FixtureRequest) -> Caller:
    return Caller(issuer, request.param)


def read(issuer: LocalIssuer, token: str, /, **options: Any) -> dict[str, Any]:
    """The claims of *token*, its signature checked against the published keys; times and audience only if asked."""
    keys = {jwk.key_id: jwk for jwk in jwt.PyJWKSet.from_dict(issuer.jwks()).keys}
    lax = {"verify_aud": False, "verify_exp": False, "verify_iat": False, "verify_nbf": False}
    kid = jwt.get_unverified_header(token)["kid"]
    claims: dict[str, Any] = jwt.decode(token, keys[kid], algorithms=["RS256"], **{"options": lax, **options})
    return claims


def parts(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and payload of *token*, unverified."""
    header, payload, _ = token.split(".")
    return json.loads(decoded(header)), json.loads(decoded(payload))


def decoded(segment: str) -> bytes:
    return base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))


class TestWellKnown:
    @pytest.mark.parametrize("path", ["openid-configuration", "oauth-authorization-server"])
    def test_discovery_has_kindes_members(self, caller: Caller, path: str) -> None:
        response = caller.ask("GET", f"{WELL_KNOWN}/{path}")
        document = response.json()
        assert response.status_code == 200
        assert response.headers["content-type"] == "application/json"
        # As fetched on 2026-09-12: github.com/api-evangelist/kinde, well-known/kinde-app-openid-configuration.json.
        # Nothing there is of registration, client metadata documents, grant types, DPoP, mTLS, PAR or token exchange.
        assert document == {
            "issuer": URL,
            "jwks_uri": f"{URL}/.well-known/jwks",
            "token_endpoint": f"{URL}/oauth2/token",
            "claims_supported": ["aud", "exp", "iat", "iss", "sub"],
            "scopes_supported": ["address", "email", "event_hooks", "offline", "openid", "phone", "profile"],
            "userinfo_endpoint": f"{URL}/oauth2/v2/user_profile",
            "revocation_endpoint": f"{URL}/oauth2/revoke",
            "end_session_endpoint": f"{URL}/logout",
            "authorization_endpoint": f"{URL}/oauth2/auth",
            "introspection_endpoint": f"{URL}/oauth2/introspect",
            "subject_types_supported": ["public"],
            "response_modes_supported": ["form_post", "query", "fragment"],
            "response_types_supported": ["code"],
            "request_uri_parameter_supported": False,
            "code_challenge_methods_supported": ["S256"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "token_endpoint_auth_methods_supported": ["client_secret_post"],
        }

    @pytest.mark.parametrize("path", ["jwks", "jwks.json"])
    def test_keys_are_published_under_both_names(self, caller: Caller, key: SigningKey, path: str) -> None:
        response = caller.ask("GET", f"{WELL_KNOWN}/{path}")
        [jwk] = response.json()["keys"]
        assert response.status_code == 200
        assert set(jwk) == {"e", "n", "alg", "kid", "kty", "use"}
        assert (jwk["alg"], jwk["kty"], jwk["use"], jwk["e"]) == ("RS256", "RSA", "sig", "AQAB")
        assert KID.fullmatch(jwk["kid"])
        assert len(decoded(jwk["n"])) == 256
        assert caller.issuer.jwks() == response.json()

    def test_requests_for_the_keys_are_counted(self, caller: Caller) -> None:
        caller.ask("GET", f"{WELL_KNOWN}/jwks")
        caller.ask("GET", f"{WELL_KNOWN}/jwks.json")
        caller.ask("OPTIONS", f"{WELL_KNOWN}/jwks")
        caller.ask("GET", f"{WELL_KNOWN}/openid-configuration")
        assert (caller.issuer.jwks_fetches, caller.issuer.token_requests) == (2, 0)

    def test_head_has_the_headers_alone(self, caller: Caller) -> None:
        length = len(caller.ask("GET", f"{WELL_KNOWN}/jwks").content)
        response = caller.ask("HEAD", f"{WELL_KNOWN}/jwks")
        assert (response.status_code, response.content) == (200, b"")
        assert int(response.headers["content-length"]) == length


class TestHttp:
    @pytest.mark.parametrize("path", ["/", "/oauth2/auth/", "/oauth2/token/", "/.well-known/jwks/x", "/OAUTH2/TOKEN"])
    def test_unknown_paths(self, caller: Caller, path: str) -> None:
        response = caller.ask("GET", path)
        assert response.status_code == 404
        assert response.json()["error"] == "not_found"

    @pytest.mark.parametrize(
        ("method", "path", "allow"),
        [
            ("GET", "/oauth2/token", "POST, OPTIONS"),
            ("HEAD", "/oauth2/token", "POST, OPTIONS"),
            ("POST", "/.well-known/jwks", "GET, HEAD, OPTIONS"),
            ("DELETE", "/.well-known/openid-configuration", "GET, HEAD, OPTIONS"),
        ],
    )
    def test_other_methods(self, caller: Caller, method: str, path: str, allow: str) -> None:
        response = caller.ask(method, path)
        assert (response.status_code, response.headers["allow"]) == (405, allow)

    @pytest.mark.parametrize(("path", "method"), [("/oauth2/token", "POST"), ("/.well-known/jwks", "GET")])
    def test_preflight(self, caller: Caller, path: str, method: str) -> None:
        """A page of another origin may ask (Fetch standard: CORS-preflight)."""
        headers = {
            "origin": "http://localhost:3000",
            "access-control-request-method": method,
            "access-control-request-headers": "authorization, content-type",
        }
        response = caller.ask("OPTIONS", path, headers=headers)
        assert (response.status_code, response.content) == (204, b"")
        assert response.headers["access-control-allow-origin"] == "*"
        assert method in response.headers["access-control-allow-methods"].split(", ")
        assert response.headers["access-control-allow-headers"] == "authorization, content-type, x-requested-with"

    def test_every_answer_can_be_read_by_pages_of_other_origins(self, caller: Caller) -> None:
        answers = [caller.ask("GET", path) for path in ("/.well-known/jwks", "/oauth2/token", "/nowhere")]
        answers.append(caller.token(caller.issuer.app, client_secret="wrong"))
        assert [answer.status_code for answer in answers] == [200, 405, 404, 401]
        assert {answer.headers["access-control-allow-origin"] for answer in answers} == {"*"}

    def test_a_huge_body_is_refused(self, caller: Caller) -> None:
        response = caller.token(caller.issuer.app, padding="x" * 70_000)
        assert response.status_code == 413


class TestTokenEndpoint:
    def test_answers_as_kinde_does(self, caller: Caller) -> None:
        response = caller.token(caller.issuer.app)
        body = response.json()
        assert response.status_code == 200
        assert set(body) == {"access_token", "expires_in", "scope", "token_type"}
        assert (body["expires_in"], body["scope"], body["token_type"]) == (86_400, "read:users write:flags", "bearer")
        assert (response.headers["cache-control"], response.headers["pragma"]) == ("no-store", "no-cache")
        claims = read(caller.issuer, body["access_token"])
        assert (claims["aud"], claims["azp"]) == ([caller.issuer.audience], caller.issuer.app.client_id)
        assert caller.issuer.token_requests == 1

    def test_without_scope_everything_authorised_is_granted(self, caller: Caller) -> None:
        """``scope`` is what was granted, ``scp`` what was asked for: nothing in particular."""
        claims = read(caller.issuer, caller.token(caller.issuer.app).json()["access_token"])
        assert (claims["scope"], claims["scp"]) == ("read:users write:flags", [])

    @pytest.mark.parametrize("scope", ["write:flags", "write:flags read:users", " write:flags  write:flags "])
    def test_scope_narrows(self, caller: Caller, scope: str) -> None:
        body = caller.token(caller.issuer.app, scope=scope).json()
        claims = read(caller.issuer, body["access_token"])
        assert claims["scp"] == list(dict.fromkeys(scope.split()))
        assert body["scope"] == claims["scope"] == " ".join(claims["scp"])

    def test_no_scopes_at_all(self, caller: Caller) -> None:
        caller.issuer.add_api("acme")
        caller.issuer.authorize(caller.issuer.app, "acme")
        body = caller.token(caller.issuer.app, "acme").json()
        claims = read(caller.issuer, body["access_token"])
        assert (body["scope"], claims["scope"], claims["scp"]) == ("", "", [])

    @pytest.mark.parametrize("audience", ["https://api.example.com acme", ["https://api.example.com", "acme"]])
    def test_several_audiences(self, caller: Caller, audience: object) -> None:
        """Repeated, as some of Kinde's SDKs do, or separated by white space, as its docs do."""
        caller.issuer.add_api("acme", ["read:users", "read:orders"])
        caller.issuer.authorize(caller.issuer.app, "acme")
        claims = read(caller.issuer, caller.token(caller.issuer.app, audience).json()["access_token"])
        assert claims["aud"] == ["https://api.example.com", "acme"]
        assert claims["scope"] == "read:users write:flags read:orders"

    @pytest.mark.parametrize("drop", [(), ("audience",)])
    def test_no_audience_gives_a_token_for_nobody(self, caller: Caller, drop: tuple[str, ...]) -> None:
        """The commonest mistake: it works, and the API then refuses the token."""
        response = caller.token(caller.issuer.app, "", drop=drop)
        claims = read(caller.issuer, response.json()["access_token"])
        assert (response.status_code, claims["aud"], claims["scope"]) == (200, [], "")

    def test_no_audience_can_be_refused_as_kindes_docs_have_it(self, caller: Caller) -> None:
        caller.issuer.audience_required = True
        assert refusal(caller.token(caller.issuer.app, drop=("audience",))) == (400, "invalid_request")
        assert caller.token(caller.issuer.app).status_code == 200

    def test_an_app_of_an_organization(self, caller: Caller) -> None:
        app = caller.issuer.add_app("of an organization", org_code="org_ba4a2311eb1", lifetime=3_600)
        caller.issuer.authorize(app, caller.issuer.audience, ["read:users"])
        body = caller.token(app).json()
        claims = read(caller.issuer, body["access_token"])
        assert (claims["org_code"], claims["scope"]) == ("org_ba4a2311eb1", "read:users")
        assert (body["expires_in"], claims["exp"] - claims["iat"]) == (3_600, 3_600)

    def test_basic_is_tolerated(self, caller: Caller) -> None:
        app = caller.issuer.add_app("odd", client_id="a b:c", client_secret="p+%:ä")
        form = {"grant_type": "client_credentials"}
        auth = ("a+b%3Ac", "p%2B%25%3A%C3%A4")  # RFC 6749 §2.3.1: form-encoded first
        response = caller.ask("POST", "/oauth2/token", data=form, auth=auth)
        assert response.status_code == 200
        assert read(caller.issuer, response.json()["access_token"])["azp"] == app.client_id

    @pytest.mark.parametrize(
        ("change", "expected"),
        [
            pytest.param({"client_secret": "wrong"}, (401, "invalid_client"), id="wrong secret"),
            pytest.param({"client_secret": "wröng"}, (401, "invalid_client"), id="secret not ASCII"),
            pytest.param({"client_secret": ""}, (401, "invalid_client"), id="no secret"),
            pytest.param({"client_id": "nobody"}, (401, "invalid_client"), id="unknown app"),
            pytest.param({"client_id": "", "client_secret": ""}, (401, "invalid_client"), id="no credentials"),
            pytest.param({"client_id": ["a", "b"]}, (400, "invalid_request"), id="two client ids"),
            pytest.param({"audience": "https://other.example.com"}, (400, "unauthorized_client"), id="unknown API"),
            pytest.param({"audience": "unauthorised"}, (400, "unauthorized_client"), id="API not authorised"),
            pytest.param(
                {"audience": "https://api.example.com unauthorised"}, (400, "unauthorized_client"), id="one of two APIs"
            ),
            pytest.param({"scope": "delete:users"}, (400, "invalid_scope"), id="scope the API does not have"),
            pytest.param({"scope": "read:users admin"}, (400, "invalid_scope"), id="one scope of two"),
            pytest.param({"scope": "READ:USERS"}, (400, "invalid_scope"), id="scopes have case"),
            pytest.param({"audience": "", "scope": "read:users"}, (400, "invalid_scope"), id="scope of no API"),
            pytest.param({"scope": ["a", "b"]}, (400, "invalid_request"), id="scope twice"),
            pytest.param({"grant_type": ""}, (400, "invalid_request"), id="no grant"),
            pytest.param({"grant_type": "password"}, (400, "invalid_request"), id="unsupported grant"),
            pytest.param({"grant_type": ["client_credentials"] * 2}, (400, "invalid_request"), id="two grants"),
        ],
    )
    def test_refused(self, caller: Caller, change: dict[str, Any], expected: tuple[int, str]) -> None:
        """Kinde's codes, in the form of RFC 6749 §5.2."""
        caller.issuer.add_api("unauthorised", ["read:users"])
        response = caller.token(caller.issuer.app, **change)
        assert refusal(response) == expected
        assert response.headers["cache-control"] == "no-store"
        assert "www-authenticate" not in response.headers

    def test_a_scope_that_is_not_assigned_to_the_app(self, caller: Caller) -> None:
        app = caller.issuer.add_app("reader")
        caller.issuer.authorize(app, caller.issuer.audience, ["read:users"])
        assert caller.token(app).json()["scope"] == "read:users"
        assert refusal(caller.token(app, scope="write:flags")) == (400, "invalid_scope")

    def test_an_app_whose_secret_was_rotated(self, caller: Caller) -> None:
        old = caller.issuer.app
        new = caller.issuer.add_app("same", client_id=old.client_id)
        assert refusal(caller.token(old)) == (401, "invalid_client")
        assert caller.token(new).status_code == 200

    @pytest.mark.parametrize(
        ("content_type", "body"),
        [
            pytest.param("application/json", b'{"grant_type":"client_credentials"}', id="JSON"),
            pytest.param("", b"grant_type=client_credentials", id="no content type"),
            pytest.param(FORM, b"grant_type=client_credentials&client_id=\xff", id="not UTF-8"),
            pytest.param(FORM, b"grant_type=client_credentials&client_id=%ff", id="not UTF-8 inside"),
            pytest.param(FORM, b"&".join([b"a=b"] * 200), id="too many parameters"),
            pytest.param(FORM, b"", id="empty"),
        ],
    )
    def test_unreadable_body(self, caller: Caller, content_type: str, body: bytes) -> None:
        response = caller.ask("POST", "/oauth2/token", content=body, headers={"content-type": content_type})
        assert refusal(response) == (400, "invalid_request")

    def test_a_content_type_with_parameters_is_a_form_too(self, caller: Caller) -> None:
        app = caller.issuer.app
        body = f"grant_type=client_credentials&client_id={app.client_id}&client_secret={app.client_secret}"
        headers = {"content-type": "Application/X-WWW-Form-URLencoded; charset=UTF-8"}
        assert caller.ask("POST", "/oauth2/token", content=body, headers=headers).status_code == 200

    @pytest.mark.parametrize("value", ["Basic", "Basic !", "Basic /w==", "Basic YTpi", "Bearer x"])
    def test_bad_basic(self, caller: Caller, value: str) -> None:
        """The challenge names the scheme that was tried (RFC 6749 §5.2)."""
        form = {"grant_type": "client_credentials"}
        response = caller.ask("POST", "/oauth2/token", data=form, headers={"authorization": value})
        assert refusal(response) == (401, "invalid_client")
        assert response.headers["www-authenticate"].startswith("Basic ")

    def test_authenticated_twice(self, caller: Caller) -> None:
        app = caller.issuer.app
        form = {"grant_type": "client_credentials", "client_secret": app.client_secret}
        response = caller.ask("POST", "/oauth2/token", data=form, auth=(app.client_id, app.client_secret))
        assert refusal(response) == (400, "invalid_request")

    def test_nothing_of_a_refused_request_is_repeated(self, caller: Caller) -> None:
        for name in ("grant_type", "client_id", "client_secret", "audience", "scope"):
            response = caller.token(caller.issuer.app, **{name: f"marker {name}"})  # type: ignore[arg-type]
            assert response.status_code in (400, 401)
            assert "marker" not in response.text + str(response.headers)


def refusal(response: httpx.Response) -> tuple[int, str]:
    body = response.json()
    assert set(body) == {"error", "error_description"}
    assert body["error_description"]
    return response.status_code, body["error"]


class TestShapes:
    """Each kind of token, member for member."""

    def test_header(self, issuer: LocalIssuer, key: SigningKey) -> None:
        header, _ = parts(issuer.m2m_token())
        assert header == {"alg": "RS256", "kid": key.kid, "typ": "JWT"}
        assert KID.fullmatch(key.kid)

    def test_m2m(self, issuer: LocalIssuer) -> None:
        claims = read(issuer, issuer.m2m_token())
        assert UUID.fullmatch(claims.pop("jti"))
        assert claims == {
            "aud": ["https://api.example.com"],
            "azp": issuer.app.client_id,
            "exp": NOW + 86_400,
            "gty": ["client_credentials"],
            "iat": NOW,
            "iss": URL,
            "scope": "read:users write:flags",
            "scp": ["read:users", "write:flags"],
            "v": "2",
        }

    def test_members_are_in_order_and_without_white_space(self, issuer: LocalIssuer) -> None:
        payload = decoded(issuer.m2m_token().split(".")[1]).decode()
        names = list(json.loads(payload))
        assert names == sorted(names)
        assert payload == json.dumps(json.loads(payload), separators=(",", ":"))

    def test_m2m_of_an_organization(self, issuer: LocalIssuer) -> None:
        app = issuer.add_app("org app", org_code="org_1")
        assert read(issuer, issuer.m2m_token(app))["org_code"] == "org_1"
        assert read(issuer, issuer.m2m_token(app, org_code="org_2"))["org_code"] == "org_2"
        assert "org_code" not in read(issuer, issuer.m2m_token())

    def test_m2m_without_scopes(self, issuer: LocalIssuer) -> None:
        claims = read(issuer, issuer.m2m_token(scope=""))
        assert (claims["scope"], claims["scp"]) == ("", [])

    def test_m2m_to_order(self, issuer: LocalIssuer) -> None:
        """The empty ``scp`` that is seen in the field, custom claims, other dates, and several audiences."""
        other: dict[str, Any] = {"scp": [], "v": "1", "orgName": "Ünï", "gty": None}
        claims = read(issuer, issuer.m2m_token(scope=["a", "b"], audience=["x", "y"], lifetime=60, **other))
        assert (claims["scope"], claims["scp"], claims["aud"]) == ("a b", [], ["x", "y"])
        assert (claims["exp"], claims["v"], claims["orgName"], claims["gty"]) == (NOW + 60, "1", "Ünï", None)

    @pytest.mark.parametrize("audience", [None, [], ()])
    def test_no_audience(self, issuer: LocalIssuer, audience: Any) -> None:
        assert read(issuer, issuer.m2m_token(audience=audience))["aud"] == []
        assert read(issuer, issuer.user_token(audience=audience))["aud"] == []

    def test_user(self, issuer: LocalIssuer) -> None:
        token = issuer.user_token(
            "kp_1",
            audience="acme",
            permissions=["create:competitions"],
            roles=["admin"],
            org_code="org_123",
            feature_flags={"dark": True, "limit": 5, "theme": "pink", "raw": {"t": "j", "v": {}}},
        )
        claims = read(issuer, token)
        assert UUID.fullmatch(claims.pop("jti"))
        [role] = claims.pop("roles")
        assert (set(role), role["key"], role["name"]) == ({"id", "key", "name"}, "admin", "Admin")
        assert claims == {
            "aud": ["acme"],
            "azp": issuer.app.client_id,
            "exp": NOW + 86_400,
            "feature_flags": {
                "dark": {"t": "b", "v": True},
                "limit": {"t": "i", "v": 5},
                "raw": {"t": "j", "v": {}},
                "theme": {"t": "s", "v": "pink"},
            },
            "iat": NOW,
            "iss": URL,
            "org_code": "org_123",
            "permissions": ["create:competitions"],
            "scp": ["openid", "profile", "email", "offline"],
            "sub": "kp_1",
        }

    def test_user_without_anything(self, issuer: LocalIssuer) -> None:
        claims = read(issuer, issuer.user_token())
        assert (claims["permissions"], claims["feature_flags"]) == ([], {})
        assert claims["sub"].startswith("kp_")
        assert claims["org_code"].startswith("org_")
        assert not {"roles", "scope", "gty", "v"} & set(claims)

    def test_user_to_order(self, issuer: LocalIssuer) -> None:
        """``null`` and absent are different things, and both occur."""
        given: dict[str, Any] = {"permissions": None, "feature_flags": ABSENT, "org_code": None, "roles": None}
        claims = read(issuer, issuer.user_token(**given, scp="openid email", email="ada@example.com"))
        assert (claims["permissions"], claims["roles"], claims["scp"]) == (None, None, "openid email")
        assert claims["email"] == "ada@example.com"
        assert not {"feature_flags", "org_code"} & set(claims)

    def test_whole_roles_are_taken_as_they_are(self, issuer: LocalIssuer) -> None:
        roles = [{"id": "1", "key": "admin", "name": "The boss"}, 5]
        assert read(issuer, issuer.user_token(roles=roles))["roles"] == roles

    def test_one_permission_as_text_is_one_permission(self, issuer: LocalIssuer) -> None:
        assert read(issuer, issuer.user_token(permissions="read:users"))["permissions"] == ["read:users"]

    def test_id_token(self, issuer: LocalIssuer) -> None:
        claims = read(issuer, issuer.id_token("kp_1", nonce="n"))
        assert claims["aud"] == [URL, issuer.app.client_id]
        assert (claims["sub"], claims["azp"], claims["nonce"]) == ("kp_1", issuer.app.client_id, "n")
        assert (claims["iat"], claims["exp"]) == (NOW, NOW + 3_600)
        assert set(claims) == {
            *("at_hash", "aud", "auth_time", "azp", "email", "exp", "family_name", "given_name", "iat", "iss", "jti"),
            *("name", "nonce", "org_codes", "picture", "sub", "updated_at"),
        }

    def test_webhook(self, issuer: LocalIssuer) -> None:
        claims = read(issuer, issuer.webhook_jwt("user.deleted"))
        assert set(claims) == {"data", "event_id", "event_timestamp", "source", "timestamp", "type"}
        assert (claims["type"], claims["timestamp"]) == ("user.deleted", "2025-06-28T22:44:28+00:00")
        assert claims["event_id"].startswith("event_")


class TestToOrder:
    def test_exactly_the_claims_given(self, issuer: LocalIssuer) -> None:
        assert read(issuer, issuer.token({"a": 1, "b": None, "c": ABSENT})) == {"a": 1, "b": None}
        assert issuer.token({}).split(".")[1] == "e30"

    def test_drop(self, issuer: LocalIssuer) -> None:
        claims = issuer.m2m_claims()
        assert set(claims) - set(read(issuer, issuer.token(claims, drop=("exp", "iat")))) == {"exp", "iat"}

    def test_header_members(self, issuer: LocalIssuer, key: SigningKey) -> None:
        header, _ = parts(issuer.token({}, header={"typ": ABSENT, "kid": None, "jku": "https://evil.example"}))
        assert header == {"alg": "RS256", "jku": "https://evil.example", "kid": None}

    def test_bytes_are_taken_as_they_are(self, issuer: LocalIssuer, key: SigningKey) -> None:
        payload = b'{"scope":"a", "scope":"b"}\xff'
        header = json.dumps({"kid": key.kid, "alg": "RS256"}).encode()
        token = issuer.token(payload, header=header)
        first, second, _ = token.split(".")
        assert (decoded(first), decoded(second)) == (header, payload)
        jws = jwt.PyJWS().decode_complete(token, jwt.PyJWK(issuer.jwks()["keys"][0]), algorithms=["RS256"])
        assert jws["payload"] == payload

    @pytest.mark.parametrize("alg", ["RS512", "PS256", "ES256", "ES384", "ES512", "EdDSA"])
    def test_other_keys(self, issuer: LocalIssuer, alg: str) -> None:
        other = SigningKey.make(alg, kid=f"the {alg} key")
        issuer.publish(other)
        token = issuer.token({"a": 1}, key=other)
        assert jwt.get_unverified_header(token)["kid"] == f"the {alg} key"
        assert jwt.decode(token, jwt.PyJWK(issuer.jwks()["keys"][1]), algorithms=[alg]) == {"a": 1}
        assert "d" not in issuer.jwks()["keys"][1]

    def test_unsigned(self, issuer: LocalIssuer) -> None:
        token = issuer.token({"a": 1}, key=UNSIGNED)
        assert token.endswith(".")
        assert parts(token)[0]["alg"] == "none"


class TestKeys:
    def test_soft_rotation(self, issuer: LocalIssuer, key: SigningKey) -> None:
        """The old key's tokens stay good; new ones are signed with the new key."""
        before = issuer.m2m_token()
        new = issuer.rotate()
        after = issuer.m2m_token()
        assert kids(issuer) == [key.kid, new.kid]
        assert [jwt.get_unverified_header(token)["kid"] for token in (before, after)] == [key.kid, new.kid]
        assert read(issuer, before)["iss"] == read(issuer, after)["iss"] == URL

    def test_hard_rotation(self, issuer: LocalIssuer, key: SigningKey) -> None:
        issuer.rotate()
        newest = issuer.rotate(hard=True)
        assert kids(issuer) == [newest.kid]
        assert newest.kid != key.kid

    def test_a_key_can_be_published_before_its_first_use(self, issuer: LocalIssuer, key: SigningKey) -> None:
        upcoming = issuer.publish_next()
        assert issuer.publish_next() is upcoming
        assert (kids(issuer), issuer.key) == ([key.kid, upcoming.kid], key)
        assert issuer.rotate() is upcoming
        assert (kids(issuer), issuer.key) == ([key.kid, upcoming.kid], upcoming)
        assert issuer.publish_next() is not upcoming

    def test_an_old_key_can_be_withdrawn(self, issuer: LocalIssuer, key: SigningKey) -> None:
        new = issuer.rotate()
        issuer.withdraw(key.kid)
        assert kids(issuer) == [new.kid]
        with pytest.raises(ValueError, match="rotate first"):
            issuer.withdraw(new.kid)

    def test_an_upcoming_key_can_be_withdrawn(self, issuer: LocalIssuer, key: SigningKey) -> None:
        upcoming = issuer.publish_next()
        issuer.withdraw(upcoming.kid)
        assert kids(issuer) == [key.kid]
        assert issuer.rotate() is not upcoming

    def test_keys_are_made_at_start(self) -> None:
        assert LocalIssuer().jwks() != LocalIssuer().jwks()

    def test_a_token_asked_for_while_the_keys_rotate_is_always_good(self, issuer: LocalIssuer) -> None:
        def ask(_: int) -> bool:
            with httpx.Client(transport=issuer.transport) as client:
                form = {"grant_type": "client_credentials", "client_id": issuer.app.client_id}
                form |= {"client_secret": issuer.app.client_secret}
                token = client.post(f"{URL}/oauth2/token", data=form).json()["access_token"]
                keys = jwt.PyJWKSet.from_dict(client.get(f"{URL}/.well-known/jwks").json())
            kid = jwt.get_unverified_header(token)["kid"]
            jwt.PyJWS().decode(token, keys[kid], algorithms=["RS256"])
            return True

        with ThreadPoolExecutor(8) as pool:
            answers = pool.map(ask, range(64))
            issuer.rotate()
            issuer.rotate()
            assert all(answers)
        assert (issuer.token_requests, issuer.jwks_fetches) == (64, 64)

    def test_private_keys_are_shown_nowhere(self, issuer: LocalIssuer) -> None:
        assert issuer.app.client_secret not in repr(issuer.app) + repr(issuer)
        assert "private" not in repr(issuer.key)
        assert not {"d", "p", "q", "dp", "dq", "qi"} & set(issuer.jwks()["keys"][0])


def kids(issuer: LocalIssuer) -> list[str]:
    return [jwk["kid"] for jwk in issuer.jwks()["keys"]]


class TestSettingUp:
    def test_a_fresh_issuer_has_a_sample(self, issuer: LocalIssuer) -> None:
        assert issuer.audience == "https://api.example.com"
        assert [api.scopes for api in issuer.registry.apis] == [("read:users", "write:flags")]
        assert issuer.registry.apps == (issuer.app, issuer.front_end_app)
        assert re.fullmatch(r"[0-9a-f]{32}", issuer.app.client_id)
        assert re.fullmatch(r"[a-zA-Z0-9]{40,60}", issuer.app.client_secret)

    @pytest.mark.parametrize(
        ("given", "url"),
        [
            ("https://acme.kinde.com/", "https://acme.kinde.com"),
            ("acme.kinde.com", "https://acme.kinde.com"),
            ("http://127.0.0.1:9400", "http://127.0.0.1:9400"),
            ("http://localhost:80", "http://localhost"),
        ],
    )
    def test_url(self, key: SigningKey, given: str, url: str) -> None:
        issuer = LocalIssuer(given, key=key)
        assert issuer.url == url
        assert Caller(issuer, "transport").ask("GET", "/.well-known/openid-configuration").json()["issuer"] == url

    @pytest.mark.parametrize("url", ["http://example.com", "https://acme.kinde.com/path", ""])
    def test_url_refused(self, key: SigningKey, url: str) -> None:
        with pytest.raises(ConfigurationError):
            LocalIssuer(url, key=key)

    def test_scopes_are_those_of_the_api(self, issuer: LocalIssuer) -> None:
        with pytest.raises(ConfigurationError, match="no scope 'admin'"):
            issuer.authorize(issuer.app, issuer.audience, ["read:users", "admin"])
        with pytest.raises(ConfigurationError, match="no API"):
            issuer.authorize(issuer.app, "unknown")

    @pytest.mark.parametrize("text", ["", "a b", " a", "a\n"])
    def test_audiences_and_scopes_are_words(self, issuer: LocalIssuer, text: str) -> None:
        with pytest.raises(ConfigurationError):
            issuer.add_api(text)
        with pytest.raises(ConfigurationError):
            issuer.add_api("acme", [text])

    def test_an_app_that_may_use_all_scopes_gets_later_ones_too(self, caller: Caller) -> None:
        caller.issuer.add_api(caller.issuer.audience, ["read:users", "read:orders"])
        assert caller.token(caller.issuer.app).json()["scope"] == "read:users read:orders"


class TestDown:
    def test_nobody_answers(self, issuer: LocalIssuer) -> None:
        issuer.down = True
        asgi = Caller(issuer, "asgi").ask("GET", f"{WELL_KNOWN}/jwks")
        assert (asgi.status_code, asgi.json()["error"]) == (503, "temporarily_unavailable")
        assert issuer.respond(Request("GET", f"{WELL_KNOWN}/openid-configuration")).status == 503
        with pytest.raises(httpx.ConnectError):
            Caller(issuer, "transport").token(issuer.app)
        assert (issuer.jwks_fetches, issuer.token_requests) == (1, 1), "attempts are counted all the same"

    def test_and_back(self, caller: Caller) -> None:
        caller.issuer.down = True
        caller.issuer.down = False
        assert caller.ask("GET", f"{WELL_KNOWN}/jwks").status_code == 200


class TestTransport:
    def test_only_the_issuers_own_address_answers(self, issuer: LocalIssuer) -> None:
        for url in ("https://other.kinde.test", "http://local.kinde.test", "https://local.kinde.test:8443"):
            with httpx.Client(transport=issuer.transport) as client, pytest.raises(httpx.ConnectError):
                client.get(f"{url}/.well-known/jwks")
        assert issuer.jwks_fetches == 0

    def test_it_serves_async_clients_too(self, issuer: LocalIssuer) -> None:
        async def fetch() -> Any:
            async with httpx.AsyncClient(transport=issuer.transport) as client:
                return (await client.get(f"{URL}:443/.well-known/jwks")).json()

        assert asyncio.run(fetch()) == issuer.jwks()
        assert issuer.transport is issuer.transport

    def test_several_issuers_on_one_network(self, issuer: LocalIssuer) -> None:
        other = LocalIssuer("https://account.example.com")
        with httpx.Client(transport=LocalTransport(issuer, other)) as client:
            answers = [client.get(f"{one.url}/.well-known/jwks").json() for one in (issuer, other)]
        assert answers == [issuer.jwks(), other.jwks()]


class TestAsgi:
    def test_served_on_loopback(self, key: SigningKey) -> None:
        """A real server and a real socket, lifespan included."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            issuer = LocalIssuer(f"http://127.0.0.1:{listener.getsockname()[1]}", key=key)
            with served(issuer, listener), httpx.Client(base_url=issuer.url, trust_env=False) as client:
                document = client.get("/.well-known/openid-configuration").json()
                keys = client.get(document["jwks_uri"])
                form = {"grant_type": "client_credentials", "client_id": issuer.app.client_id}
                form |= {"client_secret": issuer.app.client_secret, "audience": issuer.audience}
                token = client.post(document["token_endpoint"], data=form).json()["access_token"]
                head = client.head("/.well-known/jwks")
                preflight = client.options("/oauth2/token")
        assert (keys.json(), head.status_code, head.content) == (issuer.jwks(), 200, b"")
        assert preflight.status_code == 204
        claims = jwt.decode(token, jwt.PyJWK(keys.json()["keys"][0]), audience=issuer.audience, issuer=issuer.url)
        assert claims["azp"] == issuer.app.client_id

    def test_a_client_that_goes_away_is_not_answered(self, issuer: LocalIssuer) -> None:
        half = {"type": "http.request", "body": b"a", "more_body": True}
        assert call(issuer, incoming("http"), half, {"type": "http.disconnect"}) == []

    def test_a_websocket_is_turned_away(self, issuer: LocalIssuer) -> None:
        sent = call(issuer, incoming("websocket"), {"type": "websocket.connect"})
        assert [message["type"] for message in sent] == ["websocket.close"]

    def test_reading_stops_at_the_limit(self, issuer: LocalIssuer) -> None:
        endless = ({"type": "http.request", "body": b"x" * 40_000, "more_body": True} for _ in range(3))
        start, _ = call(issuer, incoming("http"), *endless)
        assert start["status"] == 413


def incoming(kind: str) -> dict[str, Any]:
    return {"type": kind, "method": "POST", "path": "/oauth2/token", "headers": [], "query_string": b""}


def call(issuer: LocalIssuer, connection: dict[str, Any], *messages: dict[str, Any]) -> list[Any]:
    """What the ASGI app sends when it receives *messages*, and no more than those."""
    queue, sent = iter(messages), []

    async def receive() -> Any:
        return next(queue)

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(issuer.asgi(connection, receive, send))
    return sent


@contextmanager
def served(issuer: LocalIssuer, listener: socket.socket) -> Iterator[None]:
    config = uvicorn.Config(issuer.asgi, lifespan="on", log_level="error", ws="none")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
    thread.start()
    try:
        yield  # the socket listens already: who connects early waits in its queue
    finally:
        server.should_exit = True
        thread.join(LONG)
        assert not thread.is_alive()


# What PyJWT says to each preset; None: it has nothing to say against it.
ORACLE: dict[str, type[Exception] | None] = {
    "m2m": None,
    "m2m_of_organization": None,
    "user": None,
    "no_scope": None,
    "expired": jwt.ExpiredSignatureError,
    "not_yet_valid": jwt.ImmatureSignatureError,
    "wrong_audience": jwt.InvalidAudienceError,
    "empty_audience": jwt.MissingRequiredClaimError,
    "wrong_issuer": jwt.InvalidIssuerError,
    "id_token": jwt.InvalidAudienceError,
    "webhook_jwt": jwt.MissingRequiredClaimError,
    "unknown_key": KeyError,
    "weak_key": None,
    "bad_signature": jwt.InvalidSignatureError,
    "tampered": jwt.InvalidSignatureError,
    "alg_none": jwt.InvalidAlgorithmError,
    "hmac_with_public_key": jwt.InvalidAlgorithmError,
    "no_kid": KeyError,
    "wrong_typ": None,
    "unknown_crit": jwt.InvalidTokenError,
}


class TestPresets:
    @pytest.fixture
    def issuer(self, key: SigningKey) -> LocalIssuer:
        return LocalIssuer(URL, clock=time.time, key=key)

    def test_every_preset_is_in_the_table(self) -> None:
        assert set(ORACLE) == set(PRESETS)

    @pytest.mark.parametrize("name", PRESETS)
    @pytest.mark.filterwarnings("ignore:The RSA key is")  # the weak key's point
    def test_somebody_elses_verifier_sees_the_same_fault(self, issuer: LocalIssuer, name: str) -> None:
        token, fault = issuer.preset(name), ORACLE[name]
        if name == "unknown_crit" and older("pyjwt", "2.12"):
            pytest.skip("PyJWT takes it")
        strict = {"audience": issuer.audience, "issuer": URL, "options": {"require": ["exp"]}}
        if fault is None:
            read(issuer, token, **strict)
        else:
            with pytest.raises(fault):
                read(issuer, token, **strict)

    def test_all_but_the_fault_is_right(self, issuer: LocalIssuer) -> None:
        """Signatures hold and claims are those of a good token, where they are not the fault itself."""
        for name in ("expired", "not_yet_valid", "wrong_audience", "empty_audience", "wrong_issuer", "id_token"):
            assert read(issuer, issuer.preset(name))["azp"] == issuer.app.client_id
        good = set(parts(issuer.preset("m2m"))[1])
        for name in ("unknown_key", "bad_signature", "tampered", "alg_none", "no_kid", "wrong_typ", "unknown_crit"):
            assert set(parts(issuer.preset(name))[1]) == good

    def test_headers(self, issuer: LocalIssuer, key: SigningKey) -> None:
        headers = {name: parts(issuer.preset(name))[0] for name in PRESETS}
        assert headers["alg_none"] == {"alg": "none", "kid": key.kid, "typ": "JWT"}
        assert headers["hmac_with_public_key"] == {"alg": "HS256", "kid": key.kid, "typ": "JWT"}
        assert headers["bad_signature"] == headers["tampered"] == {"alg": "RS256", "kid": key.kid, "typ": "JWT"}
        assert "kid" not in headers["no_kid"]
        assert headers["wrong_typ"]["typ"] == "logout+jwt"
        assert headers["unknown_crit"]["crit"] == ["exp2"]
        assert headers["unknown_key"]["kid"] not in kids(issuer)

    def test_hmac_with_public_key_is_what_it_says(self, issuer: LocalIssuer, key: SigningKey) -> None:
        signing_input, _, signature = issuer.preset("hmac_with_public_key").rpartition(".")
        pem = key.private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        assert decoded(signature) == hmac.digest(pem, signing_input.encode(), hashlib.sha256)

    def test_the_weak_key_is_published_once(self, issuer: LocalIssuer) -> None:
        issuer.preset("weak_key")
        issuer.preset("weak_key")
        assert [len(decoded(jwk["n"])) * 8 for jwk in issuer.jwks()["keys"]] == [2048, 1024]

    @pytest.mark.parametrize("name", PRESETS)
    def test_a_guard_refuses_it_for_the_reason_in_the_table(self, issuer: LocalIssuer, name: str) -> None:
        guard = Guard(URL, audience=issuer.audience, transport=issuer.transport)
        guard.warm()
        assert verdict(guard, issuer.preset(name)) == PRESETS[name].reason

    def test_an_unknown_name(self, issuer: LocalIssuer) -> None:
        with pytest.raises(ConfigurationError, match="no preset 'nonsense': use one of m2m, "):
            issuer.preset("nonsense")


def verdict(guard: Guard, token: str) -> str | None:
    """Why *guard* refuses *token* on a route that demands a scope of machines; ``None`` if it does not."""
    try:
        guard.verify(token).require(scope("read:users") | user)
    except AuthError as error:
        return error.reason
    return None


def test_the_guard_does_not_know_the_issuer_and_the_issuer_no_framework() -> None:
    """Nor does the issuer load httpx before somebody asks for its transport."""
    code = (
        "import sys, kinde_guard.issuer\n"
        "kinde_guard.issuer.LocalIssuer()\n"
        "print(*{'httpx', 'starlette', 'fastapi', 'flask', 'asyncio'} & set(sys.modules))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
