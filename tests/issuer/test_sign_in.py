"""Signing in at the local Kinde: the authorization code flow with PKCE, sessions, refresh tokens, and each refusal.

The app's side of it is written here by hand from the RFCs, and shares no code with the package.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import secrets
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx
import jwt
import pytest
from servers import served

from kinde_guard import ConfigurationError, Guard, InvalidToken, org, permission, user
from kinde_guard.issuer import LOOPBACK, App, LocalIssuer, Membership, Request, Response, SignIn, SigningKey, User
from kinde_guard.issuer.grants import MAX_KEPT
from kinde_guard.issuer.sessions import MAX_VALUES
from kinde_guard.testing import guard_for

NOW = 1_751_200_000.0
URL = "http://127.0.0.1:9400"
CALLBACK = "http://localhost:3000/callback"
AUDIENCE = "https://api.example.com"
VERIFIER = "0123456789-abcdefghijklmnopqrstuvwxyz._~ABC"
ADA, GRACE, ALAN = "ada@example.com", "grace@example.com", "alan@example.com"
ENGINES, COMPILERS = "org_8ed648340ea9", "org_ba4a2311eb1"
ABSENT: Any = object()


def s256(verifier: str) -> str:
    """RFC 7636 §4.2."""
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


class Page:
    """A single-page app, and the browser that it is in."""

    def __init__(self, client: httpx.Client, app: App, callback: str = CALLBACK) -> None:
        self.client, self.app, self.callback = client, app, callback

    def ask(self, **changes: Any) -> httpx.Response:
        """The authorization request, but for *changes*; a list is sent as a parameter for each item."""
        usual = {
            "client_id": self.app.client_id,
            "redirect_uri": self.callback,
            "response_type": "code",
            "scope": "openid profile email offline",
            "audience": AUDIENCE,
            "state": "xyz",
            "nonce": "n-0S6",
            "code_challenge": s256(VERIFIER),
            "code_challenge_method": "S256",
        }
        given = {name: value for name, value in {**usual, **changes}.items() if value is not ABSENT}
        return self.client.get(f"/oauth2/auth?{urlencode(given, doseq=True)}")

    def code(self, **changes: Any) -> str:
        """The code that the request is answered with."""
        return answered(self.ask(**changes))["code"]

    def exchange(self, code: str, /, **changes: Any) -> httpx.Response:
        """The code for tokens."""
        form = {"grant_type": "authorization_code", "code": code, "code_verifier": VERIFIER}
        return self.post("/oauth2/token", {**form, "redirect_uri": self.callback, **changes})

    def refresh(self, token: str, /, **changes: Any) -> httpx.Response:
        """A refresh token for new tokens."""
        return self.post("/oauth2/token", {"grant_type": "refresh_token", "refresh_token": token, **changes})

    def post(self, path: str, form: dict[str, Any]) -> httpx.Response:
        given = {"client_id": self.app.client_id, **form}
        return self.client.post(path, data={name: value for name, value in given.items() if value is not ABSENT})

    def tokens(self, **changes: Any) -> dict[str, Any]:
        """Everything that signing in gives."""
        answer = self.exchange(self.code(**changes))
        assert answer.status_code == 200, answer.text
        return dict(answer.json())


def answered(response: httpx.Response) -> dict[str, str]:
    """The parameters that the app is sent, each once."""
    assert response.status_code == 303, response.text
    pairs = parse_qsl(urlsplit(response.headers["location"]).query, strict_parsing=True)
    assert len(dict(pairs)) == len(pairs)
    return dict(pairs)


def error(response: httpx.Response) -> tuple[int, str]:
    """What a refusal says, and that it says it in RFC 6749's form and keeps it out of caches."""
    body = response.json()
    assert set(body) == {"error", "error_description"}
    assert response.headers["cache-control"] == "no-store"
    return response.status_code, body["error"]


def read(issuer: LocalIssuer, token: str) -> dict[str, Any]:
    """The claims of *token*, its signature checked by PyJWT against the published keys."""
    [key] = jwt.PyJWKSet.from_dict(issuer.jwks()).keys
    checks: Any = {"verify_aud": False, "verify_exp": False, "verify_iat": False}
    claims: dict[str, Any] = jwt.decode(token, key, algorithms=["RS256"], options=checks)
    return claims


@pytest.fixture(scope="module")
def key() -> SigningKey:
    return SigningKey.make()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def issuer(key: SigningKey, clock: Clock) -> LocalIssuer:
    return LocalIssuer(URL, clock=clock, key=key)


@pytest.fixture
def client(issuer: LocalIssuer) -> Iterator[httpx.Client]:
    with httpx.Client(transport=issuer.transport, base_url=issuer.url) as client:
        yield client


@pytest.fixture
def page(client: httpx.Client, issuer: LocalIssuer) -> Page:
    return Page(client, issuer.front_end_app)


class Chooser:
    """The page on which people choose who they are, and the sign-ins it was made for."""

    def __init__(self, issuer: LocalIssuer, page: Page) -> None:
        self.page, self.made = page, list[SignIn]()
        issuer.chooser = self.make

    def make(self, issuer: LocalIssuer, sign_in: SignIn) -> Response:
        self.made.append(sign_in)
        return Response(200, {"content-type": "text/html"}, b"<h1>Who are you?</h1>")

    def open(self, **changes: Any) -> SignIn:
        assert self.page.ask(**changes).text == "<h1>Who are you?</h1>"
        return self.made[-1]

    def send(self, form: dict[str, str], **headers: str) -> httpx.Response:
        usual = {"origin": URL, "sec-fetch-site": "same-origin"}
        return self.page.client.post("/oauth2/auth", data=form, headers={**usual, **headers})


@pytest.fixture
def chooser(issuer: LocalIssuer, page: Page) -> Chooser:
    return Chooser(issuer, page)


class TestTheFlow:
    def test_code_for_tokens(self, issuer: LocalIssuer, page: Page) -> None:
        answer = page.ask()
        assert answer.headers["location"].startswith(f"{CALLBACK}?")
        assert answer.headers["cache-control"] == "no-store"
        given = answered(answer)
        assert given == {"code": given["code"], "state": "xyz", "iss": URL}
        assert len(given["code"]) >= 43
        exchanged = page.exchange(given["code"])
        assert (exchanged.status_code, exchanged.headers["cache-control"]) == (200, "no-store")
        body = exchanged.json()
        assert set(body) == {"access_token", "expires_in", "id_token", "refresh_token", "scope", "token_type"}
        assert (body["expires_in"], body["token_type"]) == (86_400, "bearer")
        assert body["scope"] == "openid profile email offline"

    def test_access_token_has_kindes_shape(self, issuer: LocalIssuer, page: Page) -> None:
        claims = read(issuer, page.tokens()["access_token"])
        assert claims == {
            "aud": [AUDIENCE],
            "azp": issuer.front_end_app.client_id,
            "exp": NOW + 86_400,
            "feature_flags": {
                "analytics": {"t": "b", "v": True},
                "competitions_limit": {"t": "i", "v": 5},
                "theme": {"t": "s", "v": "pink"},
            },
            "iat": NOW,
            "iss": URL,
            "jti": claims["jti"],
            "org_code": ENGINES,
            "permissions": ["read:users", "write:flags"],
            "roles": [{"id": claims["roles"][0]["id"], "key": "admin", "name": "Admin"}],
            "scp": ["openid", "profile", "email", "offline"],
            "sub": issuer.registry.users[0].id,
        }

    def test_id_token(self, issuer: LocalIssuer, page: Page) -> None:
        """OpenID Connect Core §2 and §3.1.3.6, in Kinde's shape."""
        tokens = page.tokens(login_hint=GRACE)
        claims = read(issuer, tokens["id_token"])
        left_half = hashlib.sha256(tokens["access_token"].encode()).digest()[:16]
        assert claims["at_hash"] == base64.urlsafe_b64encode(left_half).rstrip(b"=").decode()
        assert claims["aud"] == [URL, issuer.front_end_app.client_id]
        assert (claims["nonce"], claims["auth_time"], claims["exp"]) == ("n-0S6", NOW, NOW + 3_600)
        assert (claims["name"], claims["email"]) == ("Grace Hopper", GRACE)
        assert claims["org_codes"] == [ENGINES, COMPILERS]
        assert "permissions" not in claims

    @pytest.mark.parametrize(
        ("scope", "members", "named"),
        [
            ("openid profile email", {"id_token"}, {"email", "name", "picture"}),
            ("openid email", {"id_token"}, {"email"}),
            ("openid", {"id_token"}, set()),
            ("profile offline", {"refresh_token"}, None),
            (ABSENT, set(), None),
        ],
    )
    def test_scopes_open_what_they_name(
        self, issuer: LocalIssuer, page: Page, scope: Any, members: set[str], named: set[str] | None
    ) -> None:
        tokens = page.tokens(scope=scope)
        asked = [] if scope is ABSENT else scope.split()
        assert set(tokens) == {"access_token", "expires_in", "scope", "token_type", *members}
        assert (tokens["scope"].split(), read(issuer, tokens["access_token"])["scp"]) == (asked, asked)
        if named is not None:
            assert {"email", "name", "picture"} & set(read(issuer, tokens["id_token"])) == named

    def test_scopes_that_are_not_openid_connects_are_left_out(self, page: Page) -> None:
        """As Kinde leaves out ``offline_access``; what was granted is said (RFC 6749 §3.3)."""
        tokens = page.tokens(scope="openid offline_access read:users openid")
        assert (tokens["scope"], "refresh_token" in tokens) == ("openid", False)

    @pytest.mark.parametrize(
        ("asked", "aud"),
        [
            (ABSENT, []),
            (AUDIENCE, [AUDIENCE]),
            ([AUDIENCE, "myapp:prod-api"], [AUDIENCE, "myapp:prod-api"]),
            (f"{AUDIENCE} myapp:prod-api", [AUDIENCE, "myapp:prod-api"]),
        ],
    )
    def test_audience_is_what_was_asked_for(self, issuer: LocalIssuer, page: Page, asked: Any, aud: list[str]) -> None:
        issuer.authorize(issuer.front_end_app, issuer.add_api("myapp:prod-api").audience)
        assert read(issuer, page.tokens(audience=asked)["access_token"])["aud"] == aud

    @pytest.mark.parametrize(
        ("who", "org", "permissions"),
        [
            ({}, ENGINES, ["read:users", "write:flags"]),
            ({"login_hint": GRACE}, ENGINES, ["read:users"]),
            ({"login_hint": "GRACE@Example.com", "org_code": COMPILERS}, COMPILERS, []),
            ({"org_code": COMPILERS}, COMPILERS, []),
            ({"login_hint": ALAN}, None, []),
        ],
    )
    def test_without_a_page_the_user_who_fits_signs_in(
        self, issuer: LocalIssuer, page: Page, who: dict[str, str], org: str | None, permissions: list[str]
    ) -> None:
        claims = read(issuer, page.tokens(**who)["access_token"])
        assert (claims.get("org_code"), claims["permissions"]) == (org, permissions)
        assert ("roles" in claims) == (not who)

    def test_a_guard_lets_the_user_in(self, issuer: LocalIssuer, page: Page) -> None:
        issuer.clock = time.time
        guard = Guard(issuer.url, audience=AUDIENCE, transport=issuer.transport, variables=())
        tokens = page.tokens()
        token = guard.verify(tokens["access_token"])
        guard.demand(token, user & permission("read:users") & org(ENGINES))
        with pytest.raises(InvalidToken, match="wrong_token_type"):
            guard.verify(tokens["id_token"])

    def test_an_app_with_a_secret(self, issuer: LocalIssuer, client: httpx.Client) -> None:
        """It may do without PKCE, and has to prove itself instead."""
        app = issuer.add_app("web", redirect_uris="https://web.example.com/cb?x=1")
        issuer.authorize(app, AUDIENCE)
        page = Page(client, app, "https://web.example.com/cb?x=1")
        bare = {"code_challenge": ABSENT, "code_challenge_method": ABSENT}
        location = page.ask(**bare).headers["location"]
        assert location.startswith("https://web.example.com/cb?x=1&code=")
        assert error(page.exchange(page.code(**bare), code_verifier=ABSENT)) == (401, "invalid_client")
        answer = page.exchange(page.code(**bare), code_verifier=ABSENT, client_secret=app.client_secret)
        assert (answer.status_code, read(issuer, answer.json()["access_token"])["azp"]) == (200, app.client_id)

    def test_what_is_changed_shows_in_the_next_token(self, issuer: LocalIssuer, page: Page) -> None:
        tokens = page.tokens()
        issuer.add_user(replace(issuer.registry.users[0], memberships=(Membership(ENGINES, permissions=("a:b",)),)))
        claims = read(issuer, page.refresh(tokens["refresh_token"]).json()["access_token"])
        assert (claims["permissions"], "roles" in claims) == (["a:b"], False)


NOT_REDIRECTED: dict[str, tuple[dict[str, Any], str]] = {
    "no client": ({"client_id": ABSENT}, "invalid_request"),
    "unknown client": ({"client_id": "nobody"}, "invalid_request"),
    "two clients": ({"client_id": ["a", "b"]}, "invalid_request"),
    "no redirect URI": ({"redirect_uri": ABSENT}, "invalid_request"),
    "two redirect URIs": ({"redirect_uri": [CALLBACK, CALLBACK]}, "invalid_request"),
    "another host": ({"redirect_uri": "https://evil.example/callback"}, "invalid_request"),
    "a host that begins as ours": ({"redirect_uri": "http://localhost.evil.example/"}, "invalid_request"),
    "a user that is called as we are": ({"redirect_uri": "http://localhost@evil.example/"}, "invalid_request"),
    "a user at our host": ({"redirect_uri": "http://evil.example@localhost/"}, "invalid_request"),
    "a backslash": ({"redirect_uri": "http://evil.example\\@localhost/"}, "invalid_request"),
    "a line feed": ({"redirect_uri": "http://localhost/\nset-cookie: a=b"}, "invalid_request"),
    "a tab": ({"redirect_uri": "http://local\thost/"}, "invalid_request"),
    "not ASCII": ({"redirect_uri": "http://localhost/ü"}, "invalid_request"),
    "a fragment": ({"redirect_uri": f"{CALLBACK}#here"}, "invalid_request"),
    "an empty fragment": ({"redirect_uri": f"{CALLBACK}#"}, "invalid_request"),
    "no host": ({"redirect_uri": "http:///callback"}, "invalid_request"),
    "no port": ({"redirect_uri": "http://localhost:99999/"}, "invalid_request"),
    "half an address": ({"redirect_uri": "http://[::1/"}, "invalid_request"),
    "a name behind an address": ({"redirect_uri": "http://[::1].evil.example/"}, "invalid_request"),
    "no scheme": ({"redirect_uri": "//localhost/callback"}, "invalid_request"),
    "a script": ({"redirect_uri": "javascript:alert(1)//localhost"}, "invalid_request"),
    "the word": ({"redirect_uri": LOOPBACK}, "invalid_request"),
}
REDIRECTED: dict[str, tuple[dict[str, Any], str]] = {
    "no response type": ({"response_type": ABSENT}, "invalid_request"),
    "two response types": ({"response_type": ["code", "code"]}, "invalid_request"),
    "implicit flow": ({"response_type": "token"}, "unsupported_response_type"),
    "hybrid flow": ({"response_type": "code id_token"}, "unsupported_response_type"),
    "fragment": ({"response_mode": "fragment"}, "invalid_request"),
    "form_post": ({"response_mode": "form_post"}, "invalid_request"),
    "request object": ({"request": "e30.e30."}, "request_not_supported"),
    "request URI": ({"request_uri": "https://example.com"}, "request_uri_not_supported"),
    "no challenge": ({"code_challenge": ABSENT, "code_challenge_method": ABSENT}, "invalid_request"),
    "no challenge to the method": ({"code_challenge": ABSENT}, "invalid_request"),
    "plain": ({"code_challenge_method": "plain"}, "invalid_request"),
    "plain by default": ({"code_challenge_method": ABSENT}, "invalid_request"),
    "method in lower case": ({"code_challenge_method": "s256"}, "invalid_request"),
    "short challenge": ({"code_challenge": s256(VERIFIER)[:-1]}, "invalid_request"),
    "padded challenge": ({"code_challenge": f"{s256(VERIFIER)}="}, "invalid_request"),
    "two challenges": ({"code_challenge": [s256(VERIFIER), s256("other")]}, "invalid_request"),
    "two scopes": ({"scope": ["openid", "email"]}, "invalid_request"),
    "two nonces": ({"nonce": ["a", "b"]}, "invalid_request"),
    "unknown audience": ({"audience": "https://nobody.example.com"}, "unauthorized_client"),
    "one unknown audience": ({"audience": [AUDIENCE, "other"]}, "unauthorized_client"),
    "unknown prompt": ({"prompt": "please"}, "invalid_request"),
    "none and another prompt": ({"prompt": "none login"}, "invalid_request"),
    "nobody is signed in": ({"prompt": "none"}, "login_required"),
    "nobody has the hint": ({"login_hint": "eve@example.com"}, "access_denied"),
    "nobody is in the organization": ({"org_code": "org_none"}, "access_denied"),
    "not in the organization": ({"login_hint": ALAN, "org_code": ENGINES}, "access_denied"),
}


class TestRefusedRequests:
    @pytest.mark.parametrize(("changes", "code"), NOT_REDIRECTED.values(), ids=NOT_REDIRECTED)
    def test_never_redirected(self, issuer: LocalIssuer, page: Page, changes: dict[str, Any], code: str) -> None:
        """RFC 6749 §4.1.2.1: where it is uncertain who asks, nothing is sent anywhere."""
        response = page.ask(**changes)
        assert error(response) == (400, code)
        assert "location" not in response.headers
        assert issuer.journal.since(0)[-1].kind == "sign_in_refused"

    @pytest.mark.parametrize(("changes", "code"), REDIRECTED.values(), ids=REDIRECTED)
    def test_told_to_the_app(self, issuer: LocalIssuer, page: Page, changes: dict[str, Any], code: str) -> None:
        response = page.ask(**changes)
        given = answered(response)
        assert response.headers["location"].startswith(f"{CALLBACK}?")
        assert given == {
            "error": code,
            "error_description": given["error_description"],
            "state": "xyz",
            "iss": URL,
        }
        entry = issuer.journal.since(0)[-1]
        assert (entry.kind, entry.details["error"]) == ("sign_in_refused", code)
        assert "set-cookie" not in response.headers

    @pytest.mark.parametrize("state", [ABSENT, "", ["a", "b"]])
    def test_no_state_is_made_up(self, page: Page, state: Any) -> None:
        assert set(answered(page.ask(state=state, prompt="none"))) == {"error", "error_description", "iss"}

    def test_two_states(self, page: Page) -> None:
        assert answered(page.ask(state=["a", "b"]))["error"] == "invalid_request"

    def test_state_comes_back_to_the_letter(self, page: Page) -> None:
        state = "a b+c%20&d=é\r\n<>"
        assert answered(page.ask(state=state))["state"] == state

    def test_a_machine_signs_nobody_in(self, issuer: LocalIssuer, client: httpx.Client) -> None:
        response = Page(client, issuer.app).ask()
        assert error(response) == (400, "invalid_request")
        assert "no callback" in response.json()["error_description"]

    def test_not_endless(self, issuer: LocalIssuer, page: Page) -> None:
        """A thousand sign-ins and ten thousand codes are kept, with what was asked for."""
        assert error(page.ask(state="x" * 9_000)) == (414, "invalid_request")
        assert answered(page.ask(state="x" * 7_000))["state"] == "x" * 7_000

    @pytest.mark.parametrize("query", ["client_id=%ff", "&".join(f"a{n}=1" for n in range(200))])
    def test_unreadable(self, client: httpx.Client, query: str) -> None:
        assert error(client.get(f"/oauth2/auth?{query}")) == (400, "invalid_request")

    def test_people_see_a_page(self, client: httpx.Client) -> None:
        """It repeats nothing that was sent, and fits into no frame."""
        response = client.get("/oauth2/auth?client_id=<script>", headers={"accept": "text/html,*/*;q=0.8"})
        assert (response.status_code, response.headers["x-frame-options"]) == (400, "DENY")
        assert response.headers["content-type"] == "text/html; charset=utf-8"
        assert "frame-ancestors 'none'" in response.headers["content-security-policy"]
        assert "No app has this client_id." in response.text
        assert "script" not in response.text

    @pytest.mark.parametrize("path", ["/oauth2/auth", "/logout"])
    def test_no_page_of_another_origin_reads_it(self, client: httpx.Client, path: str) -> None:
        answers = [client.request(method, path, headers={"origin": "http://a.test"}) for method in ("GET", "OPTIONS")]
        assert not [name for answer in answers for name in answer.headers if name.startswith("access-control")]

    @pytest.mark.parametrize("path", ["/oauth2/auth", "/logout"])
    def test_not_by_another_host_name(self, issuer: LocalIssuer, path: str) -> None:
        """A page whose name has been pointed at this machine (DNS rebinding) could read what is sent here."""
        for host, status in (
            ("evil.example", 403),
            ("local.kinde.test", 400),
            ("localhost:9400", 400),
            ("", 403),
            ("[::1", 403),
            ("[::1].evil.example", 403),
            ("evil@localhost", 403),
            ("localhost/evil", 403),
        ):
            issuer.url = "https://local.kinde.test"
            query = "client_id=nobody&redirect=https://a.test"
            request = Request("GET", path, {"host": host}, query=query, client=("127.0.0.1", 1))
            assert issuer.respond(request).status == status


class TestRedirectUris:
    @pytest.mark.parametrize(
        "uri",
        [
            "http://localhost:3000/callback?next=1",
            "https://localhost",
            "http://127.0.0.1:8000/docs/oauth2-redirect",
            "http://127.9.8.7/",
            "http://[::1]:5173/",
        ],
    )
    def test_loopback(self, page: Page, uri: str) -> None:
        page.callback = uri
        location = page.ask().headers["location"]
        assert location.startswith(f"{uri}{'&' if '?' in uri else '?'}code=")
        assert page.exchange(answered(page.ask())["code"]).status_code == 200

    @pytest.mark.parametrize("uri", ["/x", "/callback/", "/callback?x=1", "/CALLBACK", "/callback/../callback"])
    def test_a_registered_one_to_the_letter(self, issuer: LocalIssuer, client: httpx.Client, uri: str) -> None:
        """RFC 9700 §4.1.3: exact string matching, without exceptions."""
        app = issuer.add_front_end_app("strict", redirect_uris=["https://app.example.com/callback"])
        page = Page(client, app, "https://app.example.com/callback")
        assert "code" in answered(page.ask(audience=ABSENT))
        assert error(page.ask(redirect_uri=f"https://app.example.com{uri}")) == (400, "invalid_request")
        assert error(page.ask(redirect_uri=CALLBACK)) == (400, "invalid_request")

    def test_a_private_use_scheme(self, issuer: LocalIssuer, client: httpx.Client) -> None:
        """RFC 8252 §7.1, for native apps."""
        app = issuer.add_front_end_app("native", redirect_uris="com.example.app:/callback")
        answer = Page(client, app, "com.example.app:/callback").ask(audience=ABSENT)
        assert answer.headers["location"].startswith("com.example.app:/callback?code=")

    @pytest.mark.parametrize(
        "uri",
        [
            "",
            "/callback",
            "https://",
            "https://a.test/#",
            "https://a.test/#x",
            "https://*.a.test/",
            "app:/cb",
            1,
            None,
            "javascript:x",
            "https://a.test/ x",
            "data:text/html,x",
            "https://a.test:x/",
            "https://a.test/\n",
        ],
    )
    def test_not_registered(self, issuer: LocalIssuer, uri: Any) -> None:
        with pytest.raises(ConfigurationError, match="a redirect URI must"):
            issuer.add_front_end_app("odd", redirect_uris=[uri])
        with pytest.raises(ConfigurationError, match="a logout URI must"):
            issuer.add_app("odd", logout_uris=[uri])


class TestChooser:
    def test_its_page_is_shown(self, chooser: Chooser, page: Page, issuer: LocalIssuer) -> None:
        response = page.ask(login_hint=GRACE, org_code=ENGINES)
        assert (response.status_code, response.text) == (200, "<h1>Who are you?</h1>")
        assert (response.headers["cache-control"], response.headers["x-frame-options"]) == ("no-store", "DENY")
        [made] = chooser.made
        assert made == SignIn(
            id=made.id,
            app=issuer.front_end_app,
            redirect_uri=CALLBACK,
            audience=(AUDIENCE,),
            scopes=("openid", "profile", "email", "offline"),
            org_code=ENGINES,
            state="xyz",
            nonce="n-0S6",
            challenge=s256(VERIFIER),
            login_hint=GRACE,
            made_at=NOW,
        )
        assert made.id not in repr(made)

    @pytest.mark.parametrize(("who", "org"), [(0, ENGINES), (1, COMPILERS), (1, ""), (2, "")])
    def test_who_is_chosen_signs_in(
        self, chooser: Chooser, page: Page, issuer: LocalIssuer, who: int, org: str
    ) -> None:
        user = issuer.registry.users[who]
        response = chooser.send({"sign_in": chooser.open().id, "user": user.id, "org_code": org})
        claims = read(issuer, page.exchange(answered(response)["code"]).json()["access_token"])
        assert (claims["sub"], claims.get("org_code", "")) == (user.id, org)
        entry = next(entry for entry in issuer.journal.since(0) if entry.kind == "signed_in")
        assert (entry.details["subject"], entry.details["client_id"]) == (user.id, issuer.front_end_app.client_id)

    @pytest.mark.parametrize("prompt", ["login", "create", "consent", "select_account", "login consent", ABSENT])
    def test_who_is_signed_in_chooses_again(
        self, chooser: Chooser, page: Page, issuer: LocalIssuer, prompt: Any
    ) -> None:
        answered(chooser.send({"sign_in": chooser.open().id, "user": issuer.registry.users[0].id}))
        assert chooser.open(prompt=prompt).id == chooser.made[-1].id

    def test_cancelled(self, chooser: Chooser, issuer: LocalIssuer) -> None:
        sign_in = chooser.open()
        given = answered(chooser.send({"sign_in": sign_in.id, "cancel": "1", "user": issuer.registry.users[0].id}))
        assert (given["error"], given["state"], given["iss"]) == ("access_denied", "xyz", URL)
        assert error(chooser.send({"sign_in": sign_in.id, "user": "x"})) == (400, "invalid_request")

    @pytest.mark.parametrize(
        ("asked", "form"),
        [
            pytest.param(ABSENT, {"user": "kp_nobody"}, id="nobody"),
            pytest.param(ABSENT, {}, id="not said who"),
            pytest.param(ABSENT, {"user": "kp_7f0b2d4e6a8c4195b3d5e7f9a1c3e5b7", "org_code": ENGINES}, id="no member"),
            pytest.param(COMPILERS, {"user": "kp_1c9e4b7a2d5f4830a6e8c0b3d7f1a295"}, id="no organization"),
            pytest.param(
                COMPILERS, {"user": "kp_1c9e4b7a2d5f4830a6e8c0b3d7f1a295", "org_code": ENGINES}, id="another one"
            ),
        ],
    )
    def test_who_does_not_fit(self, chooser: Chooser, asked: Any, form: dict[str, str]) -> None:
        sign_in = chooser.open(org_code=asked)
        assert answered(chooser.send({"sign_in": sign_in.id, **form}))["error"] == "access_denied"

    @pytest.mark.parametrize(
        "headers",
        [
            pytest.param({"origin": "https://evil.example"}, id="another page"),
            pytest.param({"origin": "http://127.0.0.1:3000"}, id="another port"),
            pytest.param({"origin": "null"}, id="a page without origin"),
            pytest.param({"host": "evil.example", "origin": "http://evil.example"}, id="rebound name"),
            pytest.param({"sec-fetch-site": "cross-site"}, id="cross-site"),
            pytest.param({"sec-fetch-site": "same-site"}, id="same-site"),
        ],
    )
    def test_from_elsewhere(self, chooser: Chooser, issuer: LocalIssuer, headers: dict[str, str]) -> None:
        """Nor does it use the sign-in up."""
        form = {"sign_in": chooser.open().id, "user": issuer.registry.users[0].id}
        assert error(chooser.send(form, **headers)) == (403, "access_denied")
        assert "code" in answered(chooser.send(form))

    def test_from_another_machine(self, chooser: Chooser, issuer: LocalIssuer) -> None:
        body = urlencode({"sign_in": chooser.open().id, "user": issuer.registry.users[0].id}).encode()
        about = {"host": "127.0.0.1:9400", "content-type": "application/x-www-form-urlencoded"}
        for client, status in ((("192.0.2.1", 1), 403), (("127.0.0.1", 1), 303)):
            assert issuer.respond(Request("POST", "/oauth2/auth", about, body, client=client)).status == status

    @pytest.mark.parametrize(
        "form",
        [
            pytest.param({}, id="none"),
            pytest.param({"sign_in": "guessed"}, id="unknown"),
            pytest.param({"sign_in": ["a", "b"]}, id="two"),
        ],
    )
    def test_no_such_sign_in(self, chooser: Chooser, form: dict[str, Any]) -> None:
        assert error(chooser.send({"user": "x", **form})) == (400, "invalid_request")

    def test_json_is_no_form(self, chooser: Chooser) -> None:
        sign_in = chooser.open()
        response = chooser.page.client.post("/oauth2/auth", json={"sign_in": sign_in.id, "cancel": "1"})
        assert error(response) == (400, "invalid_request")

    def test_works_once(self, chooser: Chooser, issuer: LocalIssuer) -> None:
        form = {"sign_in": chooser.open().id, "user": issuer.registry.users[0].id}
        with ThreadPoolExecutor(4) as pool:
            answers = sorted(answer.status_code for answer in pool.map(lambda _: chooser.send(form), range(8)))
        assert answers == [303] + [400] * 7

    @pytest.mark.parametrize(("seconds", "status"), [(599, 303), (600, 400)])
    def test_not_for_ever(
        self, chooser: Chooser, issuer: LocalIssuer, clock: Clock, seconds: float, status: int
    ) -> None:
        form = {"sign_in": chooser.open().id, "user": issuer.registry.users[0].id}
        clock.now += seconds
        assert chooser.send(form).status_code == status

    def test_only_so_many_wait(self, chooser: Chooser, issuer: LocalIssuer) -> None:
        user = issuer.registry.users[0].id
        first, second = chooser.open(), chooser.open()
        for _ in range(MAX_VALUES - 1):
            issuer.sign_ins.put(second)
        assert chooser.send({"sign_in": first.id, "user": user}).status_code == 400
        assert chooser.send({"sign_in": second.id, "user": user}).status_code == 303


class TestSession:
    def test_cookie(self, page: Page) -> None:
        cookie = page.ask().headers["set-cookie"]
        assert cookie.split("; ")[1:] == ["Path=/", "HttpOnly", "SameSite=Lax"]

    def test_cookie_over_tls(self, key: SigningKey) -> None:
        issuer = LocalIssuer("https://local.kinde.test", key=key)
        with httpx.Client(transport=issuer.transport, base_url=issuer.url) as client:
            cookie = Page(client, issuer.front_end_app).ask().headers["set-cookie"]
        assert cookie.endswith("; Secure")

    def test_prompt_none_takes_who_is_signed_in(self, issuer: LocalIssuer, page: Page, clock: Clock) -> None:
        """OpenID Connect Core §3.1.2.1; when they signed in is kept."""
        page.ask(login_hint=GRACE, org_code=COMPILERS)
        clock.now += 100
        tokens = page.tokens(prompt="none")
        claims = read(issuer, tokens["access_token"])
        assert (claims["sub"], claims["org_code"]) == (issuer.registry.users[1].id, COMPILERS)
        assert read(issuer, tokens["id_token"])["auth_time"] == NOW
        assert read(issuer, page.tokens(prompt="none", org_code=ENGINES)["access_token"])["org_code"] == ENGINES

    @pytest.mark.parametrize("changes", [{"login_hint": ADA}, {"org_code": "org_none"}, {"login_hint": ALAN}])
    def test_prompt_none_takes_nobody_else(self, page: Page, changes: dict[str, str]) -> None:
        page.ask(login_hint=GRACE)
        assert answered(page.ask(prompt="none", **changes))["error"] == "login_required"

    @pytest.mark.parametrize(
        "change",
        [
            pytest.param(lambda issuer, user: issuer.registry.remove_user(user.id), id="user"),
            pytest.param(lambda issuer, user: issuer.add_user(replace(user, memberships=())), id="membership"),
        ],
    )
    def test_prompt_none_when_it_is_gone(
        self, issuer: LocalIssuer, page: Page, change: Callable[[LocalIssuer, User], object]
    ) -> None:
        page.ask()
        change(issuer, issuer.registry.users[0])
        assert answered(page.ask(prompt="none"))["error"] == "login_required"

    @pytest.mark.parametrize(("seconds", "member"), [(86_399, "code"), (86_400, "error")])
    def test_not_for_ever(self, page: Page, clock: Clock, seconds: float, member: str) -> None:
        page.ask()
        clock.now += seconds
        assert member in answered(page.ask(prompt="none"))

    @pytest.mark.parametrize("cookie", ["kinde_local_session=guessed", "kinde_local_session=", "x", "", "a=b; ;=;"])
    def test_other_cookies(self, issuer: LocalIssuer, cookie: str) -> None:
        with httpx.Client(transport=issuer.transport, base_url=URL, headers={"cookie": cookie}) as client:
            assert answered(Page(client, issuer.front_end_app).ask(prompt="none"))["error"] == "login_required"

    def test_another_cookie_beside_it(self, issuer: LocalIssuer, page: Page) -> None:
        page.ask()
        page.client.cookies.set("theme", "dark", domain="127.0.0.1")
        assert "code" in answered(page.ask(prompt="none"))


class TestCode:
    @pytest.mark.parametrize(
        ("changes", "refusal"),
        [
            pytest.param({"code": ABSENT}, (400, "invalid_request"), id="no code"),
            pytest.param({"code": ["a", "b"]}, (400, "invalid_request"), id="two codes"),
            pytest.param({"code": "guessed"}, (400, "invalid_grant"), id="unknown code"),
            pytest.param({"redirect_uri": ABSENT}, (400, "invalid_request"), id="no redirect URI"),
            pytest.param({"redirect_uri": f"{CALLBACK}/"}, (400, "invalid_grant"), id="another redirect URI"),
            pytest.param({"code_verifier": ABSENT}, (400, "invalid_grant"), id="no verifier"),
            pytest.param({"code_verifier": VERIFIER[:-1] + "D"}, (400, "invalid_grant"), id="wrong verifier"),
            pytest.param({"code_verifier": s256(VERIFIER)}, (400, "invalid_grant"), id="the challenge itself"),
            pytest.param({"code_verifier": "short"}, (400, "invalid_grant"), id="short verifier"),
            pytest.param({"code_verifier": "ü" * 43}, (400, "invalid_grant"), id="verifier not ASCII"),
            pytest.param({"client_id": ABSENT}, (401, "invalid_client"), id="no client"),
            pytest.param({"client_id": "nobody"}, (401, "invalid_client"), id="unknown client"),
            pytest.param({"client_secret": "x"}, (401, "invalid_client"), id="a secret where there is none"),
        ],
    )
    def test_refused(self, page: Page, changes: dict[str, Any], refusal: tuple[int, str]) -> None:
        assert error(page.exchange(page.code(), **changes)) == refusal

    @pytest.mark.parametrize("verifier", ["a" * 43, "a" * 128])
    def test_verifiers_of_any_allowed_length(self, page: Page, verifier: str) -> None:
        """RFC 7636 §4.1."""
        code = page.code(code_challenge=s256(verifier))
        assert page.exchange(code, code_verifier=verifier).status_code == 200

    @pytest.mark.parametrize("verifier", ["a" * 42, "a" * 129, "a" * 42 + " "])
    def test_verifiers_of_no_allowed_shape(self, page: Page, verifier: str) -> None:
        code = page.code(code_challenge=s256(verifier))
        assert error(page.exchange(code, code_verifier=verifier)) == (400, "invalid_grant")

    def test_a_verifier_that_nobody_announced(self, issuer: LocalIssuer, client: httpx.Client) -> None:
        """RFC 9700 §4.8.2: somebody has taken the challenge out of the request."""
        app = issuer.add_app("web", redirect_uris=LOOPBACK)
        page = Page(client, app)
        code = page.code(audience=ABSENT, code_challenge=ABSENT, code_challenge_method=ABSENT)
        assert error(page.exchange(code, client_secret=app.client_secret)) == (400, "invalid_grant")

    def test_of_another_app(self, issuer: LocalIssuer, page: Page) -> None:
        other = issuer.add_front_end_app("other")
        assert error(page.exchange(page.code(), client_id=other.client_id)) == (400, "invalid_grant")

    @pytest.mark.parametrize(("seconds", "status"), [(59, 200), (60, 400)])
    def test_good_for_a_minute(self, page: Page, clock: Clock, seconds: float, status: int) -> None:
        code = page.code()
        clock.now += seconds
        assert page.exchange(code).status_code == status

    def test_a_second_use_ends_what_the_first_gave(self, page: Page) -> None:
        """RFC 6749 §4.1.2."""
        code = page.code()
        first = page.exchange(code).json()["refresh_token"]
        second = page.refresh(first).json()["refresh_token"]
        assert error(page.exchange(code)) == (400, "invalid_grant")
        assert error(page.refresh(second)) == (400, "invalid_grant")
        assert page.refresh(page.tokens()["refresh_token"]).status_code == 200

    def test_whoever_fails_has_used_it(self, page: Page) -> None:
        code = page.code()
        assert error(page.exchange(code, code_verifier="a" * 43)) == (400, "invalid_grant")
        assert error(page.exchange(code)) == (400, "invalid_grant")

    def test_of_many_at_once_one_gets_tokens(self, page: Page) -> None:
        code = page.code()
        with ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(lambda _: page.exchange(code), range(8)))
        assert sorted(answer.status_code for answer in answers) == [200] + [400] * 7
        [good] = [answer for answer in answers if answer.status_code == 200]
        assert error(page.refresh(good.json()["refresh_token"])) == (400, "invalid_grant")

    @pytest.mark.parametrize(
        ("change", "refusal"),
        [
            pytest.param(lambda it: it.registry.remove_user(it.registry.users[0].id), "invalid_grant", id="user"),
            pytest.param(
                lambda it: it.add_user(replace(it.registry.users[0], memberships=())), "invalid_grant", id="membership"
            ),
        ],
    )
    def test_when_the_user_is_gone(
        self, issuer: LocalIssuer, page: Page, change: Callable[[LocalIssuer], object], refusal: str
    ) -> None:
        code = page.code()
        change(issuer)
        assert error(page.exchange(code)) == (400, refusal)

    def test_only_so_many_are_kept(self, issuer: LocalIssuer, page: Page) -> None:
        code = page.code()
        family = issuer.grants.redeem(page.code()).family
        for _ in range(MAX_KEPT):
            issuer.grants.code(family.grant, redirect_uri=CALLBACK, challenge=None, nonce=None)
        assert error(page.exchange(code)) == (400, "invalid_grant")


class TestRefresh:
    def test_rotates(self, issuer: LocalIssuer, page: Page, clock: Clock) -> None:
        first = page.tokens()
        clock.now += 1_000
        second = page.refresh(first["refresh_token"]).json()
        assert set(second) == set(first)
        assert second["refresh_token"] != first["refresh_token"]
        old, new = (read(issuer, tokens["access_token"]) for tokens in (first, second))
        assert (new["iat"], new["exp"]) == (NOW + 1_000, NOW + 1_000 + 86_400)
        assert {**new, "iat": old["iat"], "exp": old["exp"], "jti": old["jti"]} == old
        identity = read(issuer, second["id_token"])
        assert (identity["auth_time"], identity["iat"], "nonce" in identity) == (NOW, NOW + 1_000, False)

    def test_the_existing_access_token_by_a_switch(self, issuer: LocalIssuer, page: Page, clock: Clock) -> None:
        """docs.kinde.com/build/tokens/refresh-tokens: as long as it has not expired."""
        issuer.refresh_returns_existing_token = True
        first = page.tokens()
        clock.now += 86_000
        narrow = page.refresh(first["refresh_token"], scope="email offline").json()
        assert narrow["access_token"] != first["access_token"]
        second = page.refresh(narrow["refresh_token"]).json()
        assert (second["access_token"], second["expires_in"]) == (first["access_token"], 400)
        assert second["refresh_token"] != first["refresh_token"]
        clock.now += 400
        third = page.refresh(second["refresh_token"]).json()
        assert (third["access_token"] != first["access_token"], third["expires_in"]) == (True, 86_400)
        issuer.refresh_returns_existing_token = False
        assert page.refresh(third["refresh_token"]).json()["access_token"] != third["access_token"]

    def test_a_second_use_ends_the_family(self, page: Page) -> None:
        """RFC 9700 §4.14.2."""
        first = page.tokens()["refresh_token"]
        second = page.refresh(first).json()["refresh_token"]
        assert error(page.refresh(first)) == (400, "invalid_grant")
        assert error(page.refresh(second)) == (400, "invalid_grant")

    @pytest.mark.parametrize(("days", "status"), [(14.9, 200), (15, 400)])
    def test_good_for_fifteen_days(self, page: Page, clock: Clock, days: float, status: int) -> None:
        token = page.tokens()["refresh_token"]
        clock.now += days * 86_400
        assert page.refresh(token).status_code == status

    def test_fewer_scopes(self, issuer: LocalIssuer, page: Page) -> None:
        """RFC 6749 §6; the next token may have all again."""
        narrow = page.refresh(page.tokens()["refresh_token"], scope="email email").json()
        assert (narrow["scope"], read(issuer, narrow["access_token"])["scp"]) == ("email", ["email"])
        assert "id_token" not in narrow
        assert page.refresh(narrow["refresh_token"]).json()["scope"] == "openid profile email offline"

    def test_more_scopes(self, page: Page) -> None:
        """Refused, and the token is still good."""
        token = page.tokens(scope="openid offline")["refresh_token"]
        assert error(page.refresh(token, scope="openid email")) == (400, "invalid_scope")
        assert page.refresh(token).status_code == 200

    @pytest.mark.parametrize(
        ("changes", "refusal"),
        [
            pytest.param({"refresh_token": ABSENT}, (400, "invalid_request"), id="none"),
            pytest.param({"refresh_token": "guessed"}, (400, "invalid_grant"), id="unknown"),
            pytest.param({"client_id": "nobody"}, (401, "invalid_client"), id="unknown client"),
            pytest.param({"client_secret": "x"}, (401, "invalid_client"), id="a secret where there is none"),
        ],
    )
    def test_refused(self, page: Page, changes: dict[str, Any], refusal: tuple[int, str]) -> None:
        token = page.tokens()["refresh_token"]
        assert error(page.refresh(token, **changes)) == refusal
        assert page.refresh(token).status_code == 200

    def test_of_another_app(self, issuer: LocalIssuer, page: Page) -> None:
        token = page.tokens()["refresh_token"]
        other = issuer.add_front_end_app("other")
        assert error(page.refresh(token, client_id=other.client_id)) == (400, "invalid_grant")
        assert page.refresh(token).status_code == 200

    def test_when_the_app_may_not_use_the_api_any_more(self, issuer: LocalIssuer, client: httpx.Client) -> None:
        page = Page(client, issuer.add_front_end_app("other"))
        issuer.authorize(page.app, AUDIENCE)
        token = page.tokens()["refresh_token"]
        issuer.registry.forbid(page.app, AUDIENCE)
        assert error(page.refresh(token)) == (400, "unauthorized_client")


class TestRevocation:
    def test_ends_the_family(self, page: Page) -> None:
        token = page.tokens()["refresh_token"]
        response = page.post("/oauth2/revoke", {"token": token})
        assert (response.status_code, response.content) == (200, b"")
        assert response.headers["access-control-allow-origin"] == "*"
        assert error(page.refresh(token)) == (400, "invalid_grant")

    def test_an_unknown_token_is_as_good_as_revoked(self, page: Page) -> None:
        """RFC 7009 §2.2."""
        assert page.post("/oauth2/revoke", {"token": "guessed"}).status_code == 200

    @pytest.mark.parametrize(
        ("form", "refusal"),
        [
            pytest.param({}, (400, "invalid_request"), id="no token"),
            pytest.param({"client_id": "nobody"}, (401, "invalid_client"), id="unknown client"),
            pytest.param({"token": "e30.e30.x"}, (400, "unsupported_token_type"), id="an access token"),
        ],
    )
    def test_refused(self, page: Page, form: dict[str, Any], refusal: tuple[int, str]) -> None:
        assert error(page.post("/oauth2/revoke", form)) == refusal

    def test_of_another_app(self, issuer: LocalIssuer, page: Page) -> None:
        token, other = page.tokens()["refresh_token"], issuer.add_front_end_app("other")
        form = {"token": token, "client_id": other.client_id}
        assert error(page.post("/oauth2/revoke", form)) == (400, "invalid_grant")
        assert page.refresh(token).status_code == 200


class TestLogout:
    @pytest.mark.parametrize(
        ("query", "location"),
        [
            ({"redirect": "http://localhost:3000/bye"}, "http://localhost:3000/bye"),
            ({"redirect": "http://localhost:3000/bye", "state": "s"}, "http://localhost:3000/bye"),
            ({"post_logout_redirect_uri": "http://localhost:3000"}, "http://localhost:3000"),
            ({"post_logout_redirect_uri": "http://[::1]/?a=1", "state": "s t"}, "http://[::1]/?a=1&state=s%20t"),
            ({"redirect": "https://app.example.com"}, "https://app.example.com"),
        ],
    )
    def test_ends_the_session_and_goes_on(
        self, issuer: LocalIssuer, page: Page, query: dict[str, str], location: str
    ) -> None:
        issuer.add_front_end_app("other", logout_uris=["https://app.example.com"])
        cookie = page.ask().headers["set-cookie"].partition(";")[0]
        response = page.client.get("/logout", params=query)
        assert (response.status_code, response.headers["location"]) == (303, location)
        assert response.headers["set-cookie"].startswith("kinde_local_session=; ")
        assert "Max-Age=0" in response.headers["set-cookie"]
        assert not page.client.cookies
        page.client.headers["cookie"] = cookie
        assert answered(page.ask(prompt="none"))["error"] == "login_required"
        assert "signed_out" in [entry.kind for entry in issuer.journal.since(0)]

    def test_goes_nowhere_if_not_told(self, page: Page) -> None:
        page.ask()
        response = page.client.get("/logout")
        assert (response.status_code, "signed out" in response.text) == (200, True)
        assert answered(page.ask(prompt="none"))["error"] == "login_required"

    @pytest.mark.parametrize(
        "query",
        [
            {"redirect": "https://evil.example"},
            {"redirect": "//evil.example"},
            {"redirect": "http://[::1].evil.example/"},
            {"redirect": ["http://localhost", "http://localhost"]},
            {"post_logout_redirect_uri": "https://evil.example"},
            {"redirect": "http://localhost@evil.example/", "client_id": "nobody"},
            {"redirect": "http://localhost:3000", "client_id": "nobody"},
            {"redirect": "http://localhost:3000", "client_id": "the strict one's"},
        ],
    )
    def test_not_sent_elsewhere(self, issuer: LocalIssuer, page: Page, query: dict[str, Any]) -> None:
        """The session is ended all the same."""
        issuer.add_front_end_app("strict", client_id="the strict one's", logout_uris=["https://app.example.com"])
        page.ask()
        response = page.client.get("/logout", params=query)
        assert error(response) == (400, "invalid_request")
        assert "location" not in response.headers
        assert answered(page.ask(prompt="none"))["error"] == "login_required"

    def test_twice(self, page: Page) -> None:
        assert [page.client.get("/logout").status_code for _ in range(2)] == [200, 200]


class TestUserProfile:
    def ask(self, page: Page, token: str | None) -> httpx.Response:
        headers = {} if token is None else {"authorization": f"Bearer {token}"}
        return page.client.get("/oauth2/v2/user_profile", headers=headers)

    def test_of_the_user(self, issuer: LocalIssuer, page: Page) -> None:
        response = self.ask(page, page.tokens(login_hint=GRACE)["access_token"])
        profile = response.json()
        assert (response.status_code, response.headers["access-control-allow-origin"]) == (200, "*")
        assert (profile["id"], profile["sub"]) == (issuer.registry.users[1].id,) * 2
        assert (profile["given_name"], profile["family_name"], profile["email"]) == ("Grace", "Hopper", GRACE)
        assert profile["picture"].startswith("https://example.com/")

    @pytest.mark.parametrize(
        "token",
        [
            pytest.param(lambda it: None, id="none"),
            pytest.param(lambda it: "", id="empty"),
            pytest.param(lambda it: "x.y.z", id="malformed"),
            pytest.param(lambda it: it.m2m_token(), id="a machine's"),
            pytest.param(lambda it: it.id_token(), id="an ID token"),
            pytest.param(lambda it: it.webhook_jwt(), id="a webhook's"),
            pytest.param(lambda it: it.user_token(exp=NOW), id="expired"),
            pytest.param(lambda it: it.user_token(exp="never"), id="expires never"),
            pytest.param(lambda it: it.user_token(nbf=NOW + 1), id="not yet"),
            pytest.param(lambda it: it.user_token(nbf="soon"), id="begins never"),
            pytest.param(lambda it: it.user_token(iss="https://other.kinde.test"), id="another issuer's"),
            pytest.param(lambda it: it.user_token("kp_nobody"), id="nobody's"),
            pytest.param(lambda it: it.user_token(sub=["x"]), id="subject no text"),
            pytest.param(lambda it: it.token(it.user_claims(), key=it.stranger), id="unknown key"),
            pytest.param(lambda it: it.token(b"[" * 5_000 + b"]" * 5_000), id="nested deep"),
            pytest.param(lambda it: it.token(it.user_claims(), header={"kid": None}), id="no kid"),
            pytest.param(
                lambda it: it.token(it.user_claims(), header={"kid": it.key.kid}, key=it.stranger), id="forged"
            ),
            *(pytest.param(lambda it, name=name: it.preset(name), id=name) for name in ("weak_key", "alg_none")),
        ],
    )
    def test_refused(self, issuer: LocalIssuer, page: Page, token: Callable[[LocalIssuer], str | None]) -> None:
        raw = token(issuer)
        response = self.ask(page, raw)
        assert error(response) == (401, "invalid_token")
        challenge = response.headers["www-authenticate"]
        assert challenge.startswith("Bearer")
        assert ("invalid_token" in challenge) == (raw is not None)

    def test_other_schemes(self, page: Page) -> None:
        response = page.client.get("/oauth2/v2/user_profile", headers={"authorization": "Basic eDp5"})
        assert error(response) == (401, "invalid_token")


class TestOtherGrants:
    def test_a_front_end_app_is_no_machine(self, page: Page) -> None:
        """RFC 6749 §4.4: confidential clients alone."""
        form = {"grant_type": "client_credentials", "audience": AUDIENCE}
        assert error(page.post("/oauth2/token", form)) == (400, "unauthorized_client")

    @pytest.mark.parametrize("grant", ["password", "implicit", "urn:ietf:params:oauth:grant-type:device_code", ""])
    def test_unknown(self, page: Page, grant: str) -> None:
        response = page.post("/oauth2/token", {"grant_type": grant})
        assert error(response) == (400, "invalid_request")
        assert "authorization_code or refresh_token" in response.json()["error_description"]

    def test_basic_without_a_secret(self, issuer: LocalIssuer, page: Page) -> None:
        """How some clients name an app that has none."""
        form = {"grant_type": "authorization_code", "code": page.code(), "code_verifier": VERIFIER}
        auth = (issuer.front_end_app.client_id, "")
        response = page.client.post("/oauth2/token", data={**form, "redirect_uri": CALLBACK}, auth=auth)
        assert response.status_code == 200

    def test_two_clients_at_once(self, issuer: LocalIssuer, client: httpx.Client) -> None:
        """One that proves who it is, by the header, and that in the form says that it is another."""
        form = {"grant_type": "client_credentials", "audience": AUDIENCE}
        auth = (issuer.app.client_id, issuer.app.client_secret)
        for named, status in ((issuer.app.client_id, 200), (issuer.front_end_app.client_id, 401)):
            answer = client.post("/oauth2/token", data={**form, "client_id": named}, auth=auth)
            assert answer.status_code == status

    @pytest.mark.parametrize("path", ["/oauth2/token", "/oauth2/revoke", "/oauth2/v2/user_profile"])
    def test_pages_may_ask(self, client: httpx.Client, path: str) -> None:
        """Swagger UI sends ``X-Requested-With``."""
        response = client.options(path)
        assert response.status_code == 204
        assert "x-requested-with" in response.headers["access-control-allow-headers"].split(", ")


class TestUsers:
    def test_samples(self, issuer: LocalIssuer) -> None:
        ada, grace, alan = issuer.registry.users
        assert [user.name for user in (ada, grace, alan)] == ["Ada Lovelace", "Grace Hopper", "Alan Turing"]
        assert [len(user.memberships) for user in (ada, grace, alan)] == [1, 2, 0]
        assert ada.membership(ENGINES) is ada.memberships[0]
        assert (ada.membership(COMPILERS), ada.membership(None), alan.membership(None)) == (None, None, None)

    def test_added_replaced_removed(self, issuer: LocalIssuer) -> None:
        user = issuer.add_user(User("kp_x", "", "", "x@example.com", feature_flags={"beta": True}))
        assert (user.name, issuer.registry.user("kp_x"), len({user})) == ("x@example.com", user, 1)
        again = issuer.add_user(replace(user, given_name="Xenia 👩\u200d💻"))
        assert (issuer.registry.users[3:], again.name) == ((again,), "Xenia 👩\u200d💻")
        issuer.registry.remove_user("kp_x")
        issuer.registry.remove_user("kp_x")
        assert issuer.registry.user("kp_x") is None

    def test_what_is_given_later_changes_nothing(self) -> None:
        flags: dict[str, object] = {"beta": True}
        permissions = ["a:b", "a:b"]
        member = Membership("org_x", permissions=permissions)  # type: ignore[arg-type]  # lists are welcome
        user = User("kp_x", "", "", "x@example.com", [member], flags)  # type: ignore[arg-type]
        flags["beta"] = False
        permissions.clear()
        assert (dict(user.feature_flags), user.memberships[0].permissions) == ({"beta": True}, ("a:b",))

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            ({"id": ""}, "a user's id must"),
            ({"id": "a b"}, "a user's id must"),
            ({"id": "a\x1b[31m"}, "a user's id must"),
            ({"id": "a\0"}, "a user's id must"),
            ({"id": None}, "a user's id must"),
            ({"email": "a b@c"}, "an email address must"),
            ({"given_name": "A\nB"}, "a given name must"),
            ({"given_name": "A\u2028B"}, "a given name must"),
            ({"given_name": "A\ud800"}, "a given name must"),
            ({"family_name": 1}, "a family name must"),
            ({"memberships": ["org_x"]}, "memberships must"),
            ({"memberships": [Membership("org_x"), Membership("org_x", "twice")]}, "once"),
            ({"feature_flags": ["beta"]}, "feature_flags must"),
            ({"feature_flags": {"a b": True}}, "the name of a feature flag must"),
            ({"feature_flags": {"beta": 1.5}}, "the feature flag 'beta' must"),
        ],
    )
    def test_wrong_user(self, change: dict[str, Any], words: str) -> None:
        given = {"id": "kp_x", "given_name": "X", "family_name": "Y", "email": "x@example.com", **change}
        with pytest.raises(ConfigurationError, match=words):
            User(**given)

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            ({"org_code": "org x"}, "an organization's code must"),
            ({"name": "A\nB"}, "an organization's name must"),
            ({"roles": "admin"}, "list"),
            ({"roles": ["a b"]}, "a role must"),
            ({"permissions": [1]}, "a permission must"),
        ],
    )
    def test_wrong_membership(self, change: dict[str, Any], words: str) -> None:
        with pytest.raises(ConfigurationError, match=words):
            Membership(**{"org_code": "org_x", **change})


@contextmanager
def on_a_socket(key: SigningKey) -> Iterator[tuple[LocalIssuer, httpx.Client]]:
    issuer = LocalIssuer(URL, key=key)
    with served(issuer.asgi) as address:
        issuer.url = f"http://{address}"
        with httpx.Client(base_url=issuer.url, trust_env=False) as client:
            yield issuer, client


class TestOverASocket:
    def test_the_whole_of_it(self, key: SigningKey) -> None:
        """Chooser, code, tokens, API, profile, refresh, silent sign-in, revocation, logout."""
        with on_a_socket(key) as (issuer, client):
            page = Page(client, issuer.front_end_app)
            chooser = Chooser(issuer, page)
            sign_in, grace = chooser.open(), issuer.registry.users[1]
            form = {"sign_in": sign_in.id, "user": grace.id, "org_code": ENGINES}
            assert chooser.send(form, origin="http://evil.example").status_code == 403
            given = answered(chooser.send(form, origin=issuer.url))
            assert (given["state"], given["iss"]) == ("xyz", issuer.url)
            tokens = page.exchange(given["code"]).json()
            guard = Guard(issuer.url, audience=AUDIENCE, variables=())
            token = guard.verify(tokens["access_token"])
            assert (token.subject, token.permissions) == (grace.id, frozenset({"read:users"}))
            profile = client.get(
                "/oauth2/v2/user_profile", headers={"authorization": f"Bearer {tokens['access_token']}"}
            )
            assert profile.json()["email"] == GRACE
            rotated = page.refresh(tokens["refresh_token"]).json()["refresh_token"]
            assert page.tokens(prompt="none")["scope"] == "openid profile email offline"
            assert page.post("/oauth2/revoke", {"token": rotated}).status_code == 200
            assert error(page.refresh(rotated)) == (400, "invalid_grant")
            bye = client.get("/logout", params={"redirect": "http://localhost:3000"})
            assert (bye.status_code, bye.headers["location"]) == (303, "http://localhost:3000")
            assert answered(page.ask(prompt="none"))["error"] == "login_required"

    def test_a_rebound_name(self, key: SigningKey) -> None:
        with on_a_socket(key) as (_, client):
            assert error(client.get("/oauth2/auth", headers={"host": "evil.example"})) == (403, "access_denied")


def test_nothing_secret_is_shown(issuer: LocalIssuer, page: Page) -> None:
    """Codes, tokens, session and state are in no repr and not in the journal."""
    answer = page.ask(state="a-secret-state", nonce="a-secret-nonce")
    tokens = page.exchange(answered(answer)["code"]).json()
    page.refresh(tokens["refresh_token"])
    page.post("/oauth2/revoke", {"token": tokens["refresh_token"]})
    session = answer.headers["set-cookie"].partition("=")[2].partition(";")[0]
    shown = json.dumps([entry.as_json() for entry in issuer.journal.since(0)])
    shown += repr([vars(issuer), issuer.front_end_app, issuer.sessions, issuer.grants, issuer.sign_ins])
    for secret in (answered(answer)["code"], tokens["refresh_token"], tokens["access_token"], session, "a-secret-"):
        assert secret not in shown


def test_names_cannot_be_guessed(page: Page) -> None:
    """256 bits each (RFC 6749 §10.10)."""
    codes = {page.code() for _ in range(50)}
    assert len(codes) == 50
    assert {len(code) for code in codes} == {len(secrets.token_urlsafe(32))}


@pytest.mark.parametrize("name", ["host", "origin"])
def test_none_of_several_headers_is_passed_over(issuer: LocalIssuer, name: str) -> None:
    """A server may hand on two of what there should be one of."""
    foreign = {"host": "evil.example", "origin": "http://evil.example"}[name]
    ours = {"host": "127.0.0.1:9400", "origin": URL}
    for first, second in ((foreign, ours[name]), (ours[name], foreign)):
        headers = {**ours, name: first}

        async def post(sent: list[tuple[str, str]]) -> int:
            transport = httpx.ASGITransport(issuer.asgi)
            async with httpx.AsyncClient(transport=transport, base_url=URL) as asking:
                return (await asking.post("/oauth2/auth", data={"sign_in": "x"}, headers=sent)).status_code

        assert asyncio.run(post([*headers.items(), (name, second)])) == 403
        assert asyncio.run(post([*ours.items()])) == 400


def test_asgi_knows_who_calls(issuer: LocalIssuer) -> None:
    """The chooser's form is taken from this machine alone, whatever it says of itself."""

    async def post(client: tuple[str, int]) -> int:
        transport = httpx.ASGITransport(issuer.asgi, client=client)
        async with httpx.AsyncClient(transport=transport, base_url=URL) as asking:
            return (await asking.post("/oauth2/auth", data={"sign_in": "x"})).status_code

    assert [asyncio.run(post((host, 1))) for host in ("192.0.2.1", "127.0.0.1")] == [403, 400]


class TestSuspended:
    def test_nobody_who_is_suspended_signs_in(self, issuer: LocalIssuer, page: Page, chooser: Chooser) -> None:
        ada = issuer.registry.users[0]
        issuer.suspend(ada)
        answer = chooser.send({"sign_in": chooser.open().id, "user": ada.id, "org_code": ENGINES})
        assert answered(answer)["error"] == "access_denied"
        issuer.chooser = None
        assert read(issuer, page.tokens()["access_token"])["sub"] == issuer.registry.users[1].id
        assert answered(page.ask(login_hint=ADA))["error"] == "access_denied"
        issuer.restore(ada.id)
        assert read(issuer, page.tokens(login_hint=ADA)["access_token"])["sub"] == ada.id

    @pytest.mark.parametrize("act", ["suspend", "delete_user", "sign_out_everywhere"])
    def test_sessions_and_refresh_tokens_end_and_access_tokens_do_not(
        self, issuer: LocalIssuer, page: Page, act: str
    ) -> None:
        """As Kinde documents: an access token in the field is good until it expires."""
        ada = issuer.registry.users[0]
        tokens, code = page.tokens(login_hint=ADA), page.code(login_hint=ADA)
        others = page.tokens(login_hint=GRACE)
        assert "code" in answered(page.ask(prompt="none"))
        page.code(login_hint=ADA)
        getattr(issuer, act)(ada)
        assert error(page.refresh(tokens["refresh_token"])) == (400, "invalid_grant")
        assert error(page.exchange(code)) == (400, "invalid_grant")
        assert answered(page.ask(prompt="none"))["error"] == "login_required"
        assert page.refresh(others["refresh_token"]).status_code == 200
        assert guard_for(issuer).verify(tokens["access_token"]).subject == ada.id

    def test_a_refresh_token_stays_dead(self, issuer: LocalIssuer, page: Page) -> None:
        ada = issuer.registry.users[0]
        token = page.tokens(login_hint=ADA)["refresh_token"]
        issuer.suspend(ada)
        issuer.restore(ada)
        assert error(page.refresh(token)) == (400, "invalid_grant")
