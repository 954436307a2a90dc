"""The hostile corpus: the guard and every adapter pass it, and every careless habit is caught by it."""

from __future__ import annotations

import asyncio
import collections
import importlib
import re
import time
from collections.abc import Callable
from typing import Any

import careless
import httpx
import pytest
from fastapi import FastAPI
from flask import Flask
from helpers import older
from servers import served
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import PlainTextResponse
from starlette.routing import Mount
from starlette.testclient import TestClient
from werkzeug.test import Client

import kinde_guard.asgi
import kinde_guard.fastapi as on_fastapi
import kinde_guard.flask as on_flask
import kinde_guard.wsgi
from kinde_guard import ConfigurationError, Guard, Requirement, org, scope
from kinde_guard.errors import KindeGuardError
from kinde_guard.hostile import Benign, Hostile, assert_resists_hostile_tokens, benign, corpus
from kinde_guard.hostile.answers import Judge
from kinde_guard.hostile.clients import Seen, asking
from kinde_guard.hostile.forge import Forge
from kinde_guard.hostile.published import publish_odd_keys
from kinde_guard.hostile.trial import Finding, benign_of, findings, hostile_of, judge
from kinde_guard.issuer import LocalIssuer, SigningKey
from kinde_guard.net.clocks import Clocks
from kinde_guard.requirements import authenticated
from kinde_guard.testing import trust

NOW = 1_760_000_000.25
SCOPE = "read:users"
KEY, STRANGER = SigningKey.make(), SigningKey.make()


def issuer_at(url: str = "https://local.kinde.test", clock: Callable[[], float] = time.time) -> LocalIssuer:
    """A new issuer, whose keys are made once."""
    issuer = LocalIssuer(url, clock=clock, key=KEY)
    issuer.stranger = STRANGER
    return issuer


@pytest.fixture(scope="module")
def issuer() -> LocalIssuer:
    return issuer_at()


def guard_of(issuer: LocalIssuer, **settings: Any) -> Guard:
    settings = {"audience": issuer.audience, "transport": issuer.transport, "variables": (), **settings}
    return Guard(issuer.url, **settings)


class TestGuard:
    """Every case, straight to the guard, with clocks that stand still."""

    def check(self, url: str = "https://local.kinde.test", audience: str = "", **options: Any) -> None:
        """Every reason is the one that the corpus names, and nothing good is refused."""
        issuer = issuer_at(url, lambda: NOW)
        audience = audience or issuer.audience
        wanted = options.pop("scope", SCOPE)
        settings = {name: options[name] for name in ("leeway", "permissions_as_scopes") if name in options}
        clocks = Clocks(wall=lambda: NOW, monotonic=time.monotonic)
        guard = guard_of(issuer, audience=audience, clocks=clocks, **settings)
        requirement = authenticated if wanted is None else scope(wanted)
        good, bad = benign(issuer, audience, wanted, **options), corpus(issuer, audience, wanted, **options)
        cases: list[Hostile | Benign] = [*good, *bad]
        expected = {case.name: getattr(case, "reason", None) for case in cases}
        assert {case.name: self.reason(guard, requirement, case) for case in cases} == expected
        assert asyncio.run(self.reasons(guard, requirement, cases)) == expected

    def reason(self, guard: Guard, requirement: Requirement, case: Hostile | Benign) -> str | None:
        try:
            guard.authenticate(case.authorization).require(requirement)
        except KindeGuardError as refusal:
            return getattr(refusal, "reason", str(refusal))
        return None

    async def reasons(
        self, guard: Guard, requirement: Requirement, cases: list[Hostile | Benign]
    ) -> dict[str, str | None]:
        found: dict[str, str | None] = {}
        for case in cases:
            try:
                (await guard.aauthenticate(case.authorization)).require(requirement)
                found[case.name] = None
            except KindeGuardError as refusal:
                found[case.name] = getattr(refusal, "reason", str(refusal))
        return found

    def test_with_its_usual_settings(self) -> None:
        """One second over the edge is over the edge."""
        self.check()

    @pytest.mark.parametrize("leeway", [0.5, 300])
    def test_with_any_leeway(self, leeway: float) -> None:
        """The edge is where the guard's leeway puts it."""
        self.check(leeway=leeway)

    def test_without_a_demand_for_a_scope(self) -> None:
        """What any valid token is let in by."""
        self.check(scope=None)

    def test_with_permissions_as_scopes(self) -> None:
        """A permission then counts, unless a scope was granted."""
        self.check(permissions_as_scopes=True)

    @pytest.mark.parametrize("name", ["x", "READ:a.b-c_d"])
    def test_with_any_scope(self, name: str) -> None:
        """The cases are made from the scope, whatever it looks like."""
        self.check(scope=name)

    @pytest.mark.parametrize("audience", ["myapp:prod-api", "12345"])
    def test_with_any_audience(self, audience: str) -> None:
        """Kinde's audiences are free text."""
        self.check(audience=audience)

    @pytest.mark.parametrize("url", ["http://127.0.0.1:8765", "https://1.kinde.test"])
    def test_with_any_issuer(self, url: str) -> None:
        """Custom domains and the local Kinde included."""
        self.check(url=url)

    def test_with_odd_keys_published(self) -> None:
        """A key that must not be used verifies nothing, and spoils nothing."""
        issuer = issuer_at()
        odd = publish_odd_keys(issuer, issuer.audience, SCOPE)
        guard, expected = guard_of(issuer), {case.name: case.reason for case in odd}
        assert len(issuer.jwks()["keys"]) == len(odd) + 1
        assert {case.name: self.reason(guard, scope(SCOPE), case) for case in odd} == expected
        for case in benign(issuer, issuer.audience, SCOPE):
            assert self.reason(guard, scope(SCOPE), case) is None, case.name

    def test_costs_two_fetches(self) -> None:
        """The first for the keys, the second for the first unknown one; the others wait for no answer."""
        issuer = issuer_at()
        guard = guard_of(issuer)
        for case in corpus(issuer, issuer.audience, SCOPE):
            self.reason(guard, authenticated, case)
        assert issuer.jwks_fetches == 2


def wsgi_client(guard: Guard) -> Any:
    def app(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"users"]

    return Client(kinde_guard.wsgi.GuardMiddleware(app, guard, requires=scope(SCOPE)))


def asgi_app(guard: Guard) -> Any:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await PlainTextResponse("users")(scope, receive, send)

    return kinde_guard.asgi.GuardMiddleware(app, guard, requires=scope(SCOPE))


def asgi_client(guard: Guard) -> Any:
    return TestClient(asgi_app(guard))


def cors_outside(guard: Guard) -> Any:
    return TestClient(CORSMiddleware(asgi_app(guard), allow_origins=["*"], allow_headers=["*"]))


def cors_inside(guard: Guard) -> Any:
    """It answers for all origins but the corpus's."""

    @on_fastapi.requires_scope(SCOPE)
    def users() -> str:
        return "users"

    app = FastAPI(middleware=[Middleware(CORSMiddleware, allow_origins=["https://elsewhere.example"])])
    app.add_api_route("/users", users, methods=["GET", "OPTIONS"])
    on_fastapi.KindeGuard(app, guard=guard, public=[])
    return TestClient(kinde_guard.asgi.GuardMiddleware(app, guard, pass_preflights=True))


def fastapi_client(guard: Guard) -> Any:
    """With handlers that answer OPTIONS, and no CORS."""
    app = FastAPI()
    app.add_api_route("/users", on_fastapi.requires_scope(SCOPE)(lambda: "users"), methods=["GET", "OPTIONS"])
    on_fastapi.KindeGuard(app, guard=guard)
    return TestClient(app)


CLIENTS = [wsgi_client, asgi_client, cors_outside, cors_inside, fastapi_client]


@pytest.mark.parametrize("client_of", CLIENTS, ids=lambda function: function.__name__)
def test_every_middleware_resists(client_of: Callable[[Guard], Any], issuer: LocalIssuer) -> None:
    """Status, challenge and body of every case."""
    assert_resists_hostile_tokens(client_of(guard_of(issuer)), issuer=issuer)


@pytest.mark.parametrize("name", ["fastapi_app", "flask_app", "starlette_app"])
def test_every_example_resists(name: str, issuer: LocalIssuer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Status, challenge and body of every case, through each framework's adapter."""
    monkeypatch.setenv("KINDE_DOMAIN", issuer.url)
    monkeypatch.setenv("KINDE_AUDIENCE", issuer.audience)
    app = importlib.import_module(f"examples.{name}").app
    with trust(app, issuer):
        client = app.test_client() if isinstance(app, Flask) else TestClient(app)
        assert_resists_hostile_tokens(client, issuer=issuer)


def test_a_real_server_resists(issuer: LocalIssuer) -> None:
    """Over a socket, to a URL, with what the server itself makes of such headers."""
    with served(asgi_app(guard_of(issuer))) as address:
        assert_resists_hostile_tokens(f"http://{address}", issuer=issuer)


def test_a_route_that_needs_more(issuer: LocalIssuer) -> None:
    """``claims=`` is what good tokens need besides; another path, method and audience are the caller's to name."""
    app = Flask("guarded")
    on_flask.KindeGuard(app, guard=guard_of(issuer, audience="myapp:prod-api", leeway=0))

    @app.post("/api/orders")
    @on_flask.requires(scope("write:orders") & org("org_1"))
    def orders() -> str:
        return "orders"

    assert_resists_hostile_tokens(
        app.test_client(),
        "/api/orders",
        issuer=issuer,
        audience="myapp:prod-api",
        scope="write:orders",
        method="POST",
        leeway=0,
        claims={"org_code": "org_1"},
    )


class Trial:
    """The corpus, made once, against one careless API after another."""

    def __init__(self) -> None:
        self.issuer = issuer_at()
        forge = Forge(self.issuer, self.issuer.audience, SCOPE, slack=300)
        self.good, self.bad = benign_of(forge), hostile_of(forge)
        self.judge = judge(forge)

    def of(self, api: type[careless.Careful], name: str) -> list[Finding]:
        """What this one case finds in *api*, which has seen good tokens before."""
        good = [case for number, case in enumerate(self.good) if number < 2 or case.name == name]
        bad = [case for case in self.bad if case.name == name]
        with asking(Client(api(self.issuer)), "/users", "GET") as ask:
            return list(findings(ask, good, bad, self.judge))


@pytest.fixture(scope="module")
def trial() -> Trial:
    return Trial()


class TestCareless:
    """The corpus bites."""

    @pytest.mark.skipif(older("pyjwt", "2.14"), reason="the careful one of these, which is PyJWT alone, has habits too")
    @pytest.mark.parametrize(("api", "case"), careless.HABITS.items())
    def test_each_habit_is_caught(self, api: type[careless.Careful], case: str, trial: Trial) -> None:
        """By a case that finds nothing in the same API without the habit."""
        assert trial.of(careless.Careful, case) == []
        assert [found.name for found in trial.of(api, case)] == [case]

    @pytest.mark.parametrize("api", careless.LOCK_OUT)
    def test_an_api_that_refuses_good_tokens_proves_nothing(self, api: Any, issuer: LocalIssuer) -> None:
        """A verifier that refuses everything is not safe but broken."""
        with pytest.raises(AssertionError, match="answered 401 to an app's token that is good"):
            assert_resists_hostile_tokens(Client(api(issuer)), issuer=issuer)

    def test_the_report_names_every_case(self, issuer: LocalIssuer) -> None:
        """Its name, what was expected, what was seen, and why, once each."""
        with pytest.raises(AssertionError) as caught:
            assert_resists_hostile_tokens(Client(careless.NoAudience(issuer)), issuer=issuer)
        report = str(caught.value)
        assert re.match(r"\d+ of \d{4} requests to GET /users were answered wrongly:\n\* ", report)
        for line in ("* aud is another API\n", "expected: 401 invalid_token\n", "seen:     200\n", "RFC 7519 §4.1.3"):
            assert line in report
        assert report.count("* aud is another API\n") == 1

    def test_what_the_app_raises_is_a_finding(self, trial: Trial) -> None:
        """Test clients hand it on; a server would have answered 500."""
        assert [found.seen for found in trial.of(careless.KidIsThere, "kid is absent")] == ["KeyError was raised"]


def names_of(good: list[Benign], bad: list[Hostile]) -> list[str]:
    return [*(case.name for case in good), *(case.name for case in bad)]


class TestCorpus:
    """What is promised of the list itself."""

    def test_it_is_large_and_every_case_has_its_name_and_its_why(self, trial: Trial) -> None:
        """Names are unique, and are the same for every issuer and at every hour."""
        names = names_of(trial.good, trial.bad)
        assert [name for name, count in collections.Counter(names).items() if count > 1] == []
        assert len(trial.bad) >= 250
        source = re.compile(r"RFC \d+|CVE-|GHSA-|CWE-|Kinde|docs\.kinde\.com")
        assert [case.name for case in trial.bad if not source.search(case.why)] == []
        other = LocalIssuer("https://acme.kinde.com", clock=lambda: NOW)
        assert names_of(benign(other, other.audience, SCOPE), corpus(other, other.audience, SCOPE)) == names

    def test_every_kind_of_refusal_of_a_token_is_in_it(self, trial: Trial) -> None:
        """All reasons that a token or a header can be refused for, but those of settings and requirements."""
        assert {case.reason for case in trial.bad} == {
            *("missing_token", "invalid_request", "malformed", "unsupported_algorithm", "unsupported_header"),
            *("wrong_token_type", "unknown_issuer", "wrong_audience", "empty_audience", "expired", "not_yet_valid"),
            *("unknown_key", "bad_signature", "insufficient_scope"),
        }

    def test_a_case_shows_no_token(self, trial: Trial) -> None:
        """Its repr may end up in a log."""
        assert all("eyJ" not in repr(case) for case in (*trial.good, *trial.bad))

    def test_it_leaves_the_issuer_as_it_was(self) -> None:
        """Nothing is published, and nothing asked for."""
        issuer = issuer_at()
        before = issuer.jwks()
        corpus(issuer, issuer.audience, SCOPE)
        assert issuer.jwks() == before
        assert issuer.jwks_fetches == 0


CASE = Hostile("x", [("Authorization", "Bearer a-token-of-20-letters")], 401, "invalid_token", "", also=((401, None),))
GOOD_CHALLENGE = 'Bearer realm="api", error="invalid_token"'


class TestJudge:
    """What is said of an answer."""

    @pytest.mark.parametrize(
        ("challenge", "complaint"),
        [
            (GOOD_CHALLENGE, ""),
            ('bearer  realm="api"', "RFC 6750"),
            ('Bearer realm="api",error="invalid_token"', ""),
            ('Bearer realm="api", error="invalid_token", error_description="The token expired."', ""),
            ('Bearer realm="api"', ""),
            ("Bearer", "RFC 6750"),
            ('Basic realm="api"', "no WWW-Authenticate: Bearer"),
            ("Bearer realm=api, error=invalid_token", "RFC 6750"),
            ("Bearer realm='api'", "RFC 6750"),
            (f"{GOOD_CHALLENGE},", "RFC 6750"),
            (f'{GOOD_CHALLENGE}, error_description="says \\"no\\""', "RFC 6750"),
            (f'{GOOD_CHALLENGE}, error_description="caf\u00e9"', "RFC 6750"),
            (f'{GOOD_CHALLENGE}, error_description="two\nlines"', "RFC 6750"),
            (f'{GOOD_CHALLENGE}, error="invalid_token"', "a parameter twice"),
            ('Bearer error="invalid_token"', "no realm"),
            ('Bearer realm="api", error="expired"', "error expired"),
            ('Bearer realm="api", error_description="no"', "a description of an error"),
            (f'{GOOD_CHALLENGE}, scope="a  b"', "no list of scopes"),
            ('Bearer realm="a-token-of-20-letters", error="invalid_token"', "the header repeats"),
        ],
    )
    def test_a_challenge(self, challenge: str, complaint: str) -> None:
        """RFC 6750 §3."""
        said = Judge(None, []).complaint(CASE, Seen(401, [("WWW-Authenticate", challenge)]))
        assert (complaint in said) if complaint else said == ""

    def test_a_status(self) -> None:
        """Only the case's own verdicts will do, and what servers say by themselves only where it was foreseen."""
        judge = Judge(None, [])
        assert judge.complaint(CASE, Seen(200, [])) == "200"
        assert judge.complaint(CASE, Seen(401, [])) == "401 with no WWW-Authenticate: Bearer"
        assert judge.complaint(CASE, Seen(400, [])) == "400"
        large = Hostile("x", [], 401, "invalid_token", "", server=(431,))
        assert judge.complaint(large, Seen(431, [])) == ""
        twice = [("WWW-Authenticate", GOOD_CHALLENGE)] * 2
        assert "2 WWW-Authenticate" in judge.complaint(CASE, Seen(401, twice))

    @pytest.mark.parametrize(
        ("status", "headers", "body", "complaint"),
        [
            (200, {"Allow": "GET, HEAD, OPTIONS"}, b"", ""),
            (200, {"Access-Control-Allow-Origin": "*"}, b"OK", ""),
            (204, {"access-control-allow-methods": "GET"}, b"", ""),
            (200, {"Vary": "Accept, Origin"}, b"", ""),
            (400, {}, b"Disallowed CORS origin", ""),
            (405, {"Allow": "GET"}, b"{}", ""),
            (200, {"Access-Control-Allow-Origin": "*"}, b"users", "200"),
            (200, {}, b"", "200"),
            (200, {"Vary": "Accept"}, b"", "200"),
            (302, {"Allow": "GET"}, b"", "302"),
            (401, {}, b"", "401 with no WWW-Authenticate: Bearer"),
            (403, {"WWW-Authenticate": GOOD_CHALLENGE}, b"", "403"),
            (500, {"Allow": "GET"}, b"", "500"),
        ],
    )
    def test_an_answer_to_options(self, status: int, headers: dict[str, str], body: bytes, complaint: str) -> None:
        """CORS middleware and frameworks may answer, as nothing of the app runs for it: if nothing of it is seen."""
        case = Hostile("x", [], 401, "invalid_token", "", method="OPTIONS")
        assert Judge(None, []).complaint(case, Seen(status, list(headers.items()), body)) == complaint

    def test_a_403_names_the_scope(self) -> None:
        """RFC 6750 §3.1."""
        case = Hostile("x", [], 403, "insufficient_scope", "")
        judge = Judge("a:b", [])
        for scope_named, complaint in (("", "no scope="), (', scope="a:c"', "no scope="), (', scope="x a:b"', "")):
            challenge = f'Bearer realm="api", error="insufficient_scope"{scope_named}'
            assert judge.complaint(case, Seen(403, [("WWW-Authenticate", challenge)])).count("scope=") == bool(
                complaint
            )

    def test_an_echo_of_what_is_known_is_none(self) -> None:
        """The app's own audience may stand in its answers, even where a token's is nearly the same."""
        text = b'{"expected": "https://api.example.com"}'
        token = Forge(issuer_at(), "https://api.example.co", None).good
        case = Hostile("x", [("Authorization", f"Bearer {token}")], 401, "invalid_token", "")
        answer = Seen(401, [("WWW-Authenticate", GOOD_CHALLENGE)], text)
        assert Judge(None, ["https://api.example.com"]).complaint(case, answer) == ""
        assert "the body repeats" in Judge(None, []).complaint(case, answer)


class TestClients:
    """What can be tried, and how."""

    @pytest.mark.parametrize("client", [httpx.AsyncClient(), object(), "127.0.0.1:8000", "ftp://x"])
    def test_an_unknown_client_is_a_mistake(self, client: Any, issuer: LocalIssuer) -> None:
        """It says what to give instead."""
        with pytest.raises(ConfigurationError, match=r"httpx\.Client|http URL"):
            assert_resists_hostile_tokens(client, issuer=issuer)

    def test_nobody_answers(self, issuer: LocalIssuer) -> None:
        """That is no refusal."""
        with pytest.raises(AssertionError, match="GET /users answered ConnectionRefusedError was raised"):
            assert_resists_hostile_tokens("http://127.0.0.1:9", issuer=issuer)

    def test_what_a_client_will_not_send_is_left_out(self, issuer: LocalIssuer) -> None:
        """httpx refuses line breaks; over a socket nobody could send them either."""
        cases = {case.name: case for case in corpus(issuer, issuer.audience, SCOPE)}
        folded = cases["between Bearer and the token: a folded line"]
        good = benign(issuer, issuer.audience, SCOPE)[:1]
        with served(asgi_app(guard_of(issuer))) as address:
            for client in (httpx.Client(base_url=f"http://{address}"), f"http://{address}"):
                with asking(client, "/users", "GET") as ask:
                    assert list(findings(ask, good, [folded], Judge(SCOPE, []))) == []
                if isinstance(client, httpx.Client):
                    client.close()

    def test_a_test_client_is_left_as_it_was(self, issuer: LocalIssuer) -> None:
        """One event loop serves the whole trial, unless the client has one of its own."""
        client = asgi_client(guard_of(issuer))
        good = benign(issuer, issuer.audience, SCOPE)[0]
        with asking(client, "/users", "GET") as ask:
            assert ask(good).status == 200
            assert client.portal is not None
        assert client.portal is None
        app = Starlette(routes=[Mount("/", asgi_app(guard_of(issuer)))])  # which has a lifespan
        with TestClient(app) as entered:
            portal = entered.portal
            with asking(entered, "/users", "GET") as ask:
                assert ask(good).status == 200
            assert entered.portal is portal
