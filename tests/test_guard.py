"""The guard as a whole: what it says in the log, how it is warmed, and the one way around an audience."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import re
from typing import Any

import pytest
from helpers import AUDIENCE, CLIENT, ISSUER, M2M, Issuer, Time, guard_of, jwk, key_set, mint, reason_of, rsa_key

from kinde_guard import (
    AuthError,
    ConfigurationError,
    Guard,
    InsufficientScope,
    InvalidToken,
    KeysUnavailable,
    MissingToken,
    asgi,
    scope,
    wsgi,
)
from kinde_guard.adapters import check_given

LINE = r"INFO refused \(insufficient_scope\) token [0-9a-f]{{12}} of {client}: [^\n]+"


@pytest.fixture
def issuer() -> Issuer:
    return Issuer()


def said(caplog: pytest.LogCaptureFixture) -> str:
    return "\n".join(f"{record.levelname} {record.getMessage()}" for record in caplog.records)


class TestLog:
    """Reason, hint and fingerprint; never a token, and nothing that an unverified token says."""

    def test_a_refusal(self, issuer: Issuer, caplog: pytest.LogCaptureFixture) -> None:
        raw = mint({"aud": [], "jti": "whatever-it-says"})
        with caplog.at_level(logging.INFO, "kinde_guard"), pytest.raises(InvalidToken):
            guard_of(issuer).verify(raw)
        mark = hashlib.sha256(raw.encode()).hexdigest()[:12]
        assert said(caplog) == (
            f"INFO refused (empty_audience) token {mark}: aud is empty: request the token with audience=…, "
            "and authorise the app for the API in Kinde"
        )
        record = caplog.records[0].__dict__
        assert (record["reason"], record["fingerprint"]) == ("empty_audience", mark)

    @pytest.mark.parametrize("raw", ["\u00e9", "\ud800", "a.b.c", ""], ids=ascii)
    def test_whatever_is_sent(self, issuer: Issuer, caplog: pytest.LogCaptureFixture, raw: str) -> None:
        with caplog.at_level(logging.INFO, "kinde_guard"), pytest.raises(InvalidToken):
            guard_of(issuer).verify(raw)
        assert said(caplog).startswith("INFO refused (malformed) token ")

    def test_a_demand(self, issuer: Issuer, caplog: pytest.LogCaptureFixture) -> None:
        """What a verified token lacks, and whose it is."""
        guard = guard_of(issuer)
        raw = mint({"permissions": ["read:users"]})
        token = guard.verify(raw)
        with caplog.at_level(logging.INFO, "kinde_guard"), pytest.raises(InsufficientScope):
            guard.demand(token, scope("read:users"))
        mark = hashlib.sha256(raw.encode()).hexdigest()[:12]
        assert said(caplog).startswith(f"INFO refused (insufficient_scope) token {mark} of '{CLIENT}': the token holds")
        assert "permissions_as_scopes=True" in said(caplog)
        record = caplog.records[0].__dict__
        assert (record["reason"], record["fingerprint"], record["client"]) == ("insufficient_scope", mark, CLIENT)

    def test_a_demand_that_is_met(self, issuer: Issuer, caplog: pytest.LogCaptureFixture) -> None:
        guard = guard_of(issuer)
        token = guard.verify(mint(base=M2M))
        caplog.clear()
        with caplog.at_level(logging.DEBUG, "kinde_guard"):
            guard.demand(token, scope("read:users"))
        assert not caplog.records

    def test_cannot_tell(self, issuer: Issuer, caplog: pytest.LogCaptureFixture) -> None:
        issuer.status = 500
        with pytest.raises(KeysUnavailable):
            guard_of(issuer).verify(mint())
        line = r"^WARNING cannot tell \(keys_unavailable\) token [0-9a-f]{12}: no usable keys, try again in \d+ s$"
        assert re.search(line, said(caplog), re.M)
        assert "the issuer answered 500" in said(caplog)

    @pytest.mark.parametrize(
        ("client", "shown"),
        [
            ("a\nINFO refused", r"'a\\nINFO refused'"),
            ("a\x1b[2J\u202e", r"'a\\x1b\[2J\\u202e'"),
            ("a'b", '"a\'b"'),
            ("x" * 5_000, f"'{'x' * 80}…'"),
            (7, "'7'"),
        ],
        ids=["line", "terminal", "quote", "long", "number"],
    )
    def test_what_a_token_says_stays_in_its_place(
        self, client: Any, shown: str, issuer: Issuer, caplog: pytest.LogCaptureFixture
    ) -> None:
        """A line break or an escape sequence in a verified token makes no line of its own."""
        guard = guard_of(issuer)
        token = guard.verify(mint({"azp": client}))
        with caplog.at_level(logging.INFO, "kinde_guard"), pytest.raises(InsufficientScope):
            guard.demand(token, scope("read:users"))
        assert re.fullmatch(LINE.format(client=shown), said(caplog))
        assert re.search(f"of {shown} from", repr(token))

    @pytest.mark.parametrize(
        ("values", "line"),
        [
            ([], r"DEBUG refused \(missing_token\)"),
            (["Basic eDp5"], r"INFO refused \(missing_token\): the header is of another scheme than Bearer: .*"),
            (["Bearer a b"], r"INFO refused \(invalid_request\): there is white space .*"),
            (["Bearer a.b.c"], r"INFO refused \(malformed\) token [0-9a-f]{12}: .*"),
        ],
        ids=["no header", "another scheme", "not one token", "no token"],
    )
    def test_one_form_for_all(
        self, values: list[str], line: str, issuer: Issuer, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Verdict, reason, whose token, hint; what is not known is left out."""
        with caplog.at_level(logging.DEBUG, "kinde_guard"), pytest.raises(AuthError):
            guard_of(issuer).authenticate(values)
        assert re.fullmatch(line, said(caplog))

    def test_no_header_and_one_without_bearer(self, issuer: Issuer, caplog: pytest.LogCaptureFixture) -> None:
        """The one is everyday; of the other people want to know, and the answer is the same."""
        guard = guard_of(issuer)
        with caplog.at_level(logging.INFO, "kinde_guard"):
            for values in ([], [mint()]):
                with pytest.raises(MissingToken) as caught:
                    guard.authenticate(values)
                assert (caught.value.reason, str(caught.value)) == ("missing_token", "missing_token")
        assert said(caplog) == (
            "INFO refused (missing_token): a token stands there without `Bearer` before it: write `Bearer`, a space "
            "and the token"
        )

    def test_nothing_below_the_level(self, issuer: Issuer, caplog: pytest.LogCaptureFixture) -> None:
        with caplog.at_level(logging.WARNING, "kinde_guard"):
            assert reason_of(guard_of(issuer), "a.b.c") == "malformed"
        assert not caplog.records

    def test_no_token_anywhere(self, issuer: Issuer, caplog: pytest.LogCaptureFixture) -> None:
        """Through refusals of every kind, at the most talkative level."""
        guard = guard_of(issuer)
        tokens = [
            mint({"exp": 1}),
            mint({"aud": "https://other"}),
            mint(header={"kid": "unknown"}),
            mint(key=rsa_key("a stranger's")),
            mint()[:-3],
        ]
        with caplog.at_level(logging.DEBUG):
            for raw in tokens:
                assert reason_of(guard, raw) != "accepted"
        text = said(caplog) + repr(guard) + "".join(repr(record.__dict__) for record in caplog.records)
        for raw in tokens:
            for part in raw.split("."):
                assert part not in text


class TestWarm:
    def test_it_loads_the_keys(self, issuer: Issuer) -> None:
        guard = guard_of(issuer)
        guard.warm()
        guard.warm()
        assert len(issuer.fetches) == 1
        assert guard.health()[ISSUER].state == "fresh"

    def test_for_event_loops(self, issuer: Issuer) -> None:
        guard = guard_of(issuer)
        asyncio.run(guard.awarm())
        asyncio.run(guard.awarm())
        assert len(issuer.fetches) == 1

    def test_the_issuer_is_down(self, issuer: Issuer) -> None:
        issuer.status = 503
        guard = guard_of(issuer)
        with pytest.raises(KeysUnavailable):
            guard.warm()
        with pytest.raises(KeysUnavailable):
            asyncio.run(guard.awarm())
        assert guard.health()[ISSUER].state == "never_loaded"

    def test_every_issuer(self) -> None:
        """Each has its keys at its own place; a key of one verifies nothing of the other's."""
        other = rsa_key("the other's")
        issuer = Issuer(others={"account.acme.com": key_set(jwk({"kid": "other"}, key=other))})
        guard = guard_of(issuer, domain=["acme.kinde.com", "account.acme.com"])
        guard.warm()
        assert len(issuer.fetches) == 2
        custom = {"iss": "https://account.acme.com"}
        assert reason_of(guard, mint()) == "accepted"
        assert reason_of(guard, mint(custom, {"kid": "other"}, key=other)) == "accepted"
        assert reason_of(guard, mint(header={"kid": "other"}, key=other)) == "unknown_key"
        assert reason_of(guard, mint(custom)) == "unknown_key"


class TestWithoutAudience:
    """``audience=None`` with ``clients=``: tokens that name no audience, of listed apps alone."""

    @pytest.fixture
    def guard(self, issuer: Issuer) -> Guard:
        return guard_of(issuer, audience=None, clients=[CLIENT])

    @pytest.mark.parametrize(
        ("claims", "reason"),
        [
            ({"aud": []}, "accepted"),
            ({"aud": [AUDIENCE]}, "wrong_audience"),
            ({"aud": AUDIENCE}, "wrong_audience"),
            ({"aud": [], "azp": "another"}, "wrong_client"),
            ({"aud": None}, "malformed"),
            ({"aud": [""]}, "wrong_audience"),
        ],
        ids=str,
    )
    def test_verdicts(self, guard: Guard, claims: dict[str, object], reason: str) -> None:
        assert reason_of(guard, mint(claims)) == reason

    def test_it_is_said(self, issuer: Issuer, caplog: pytest.LogCaptureFixture) -> None:
        """Loud when a check is off: one warning at start, and in the repr."""
        guard = guard_of(issuer, audience=None, clients=[CLIENT])
        assert said(caplog) == "WARNING audience=None: tokens that name no audience are accepted from 1 listed clients"
        assert repr(guard) == f"<Guard of {ISSUER} for no audience>"


def test_repr(issuer: Issuer) -> None:
    assert repr(guard_of(issuer)) == f"<Guard of {ISSUER} for {AUDIENCE}>"


def test_nothing_is_fetched_before_the_first_token(issuer: Issuer) -> None:
    """Nor for one that is refused without a key."""
    guard = guard_of(issuer, Time())
    assert reason_of(guard, mint({"exp": 1})) == "expired"
    assert not issuer.fetches


@pytest.mark.parametrize("raw", [None, b"a.b.c", 7], ids=repr)
def test_what_is_no_text(issuer: Issuer, raw: object) -> None:
    """A mistake in the program, not a bad token: it says what a token is."""
    with pytest.raises(TypeError, match="a token is text, the part of the Authorization header"):
        guard_of(issuer).verify(raw)  # type: ignore[arg-type]


def test_what_an_adapter_is_given(issuer: Issuer) -> None:
    """A ready guard or settings, and none that there is not: said where it is written, before anything starts."""

    def adapter(app: object, *, public: object, **settings: object) -> None: ...

    check_given(guard_of(issuer), {}, adapter)
    check_given(None, {"leeway": 10}, adapter)
    with pytest.raises(ConfigurationError, match="has its settings already: give either guard= or leeway="):
        check_given(guard_of(issuer), {"leeway": 10}, adapter)
    with pytest.raises(ConfigurationError, match=r"^adapter has no setting 'leway': did you mean leeway\?$"):
        check_given(None, {"leway": 10}, adapter)
    with pytest.raises(ConfigurationError, match=r"did you mean public\?$"):
        check_given(None, {"publik": 10}, adapter)
    with pytest.raises(ConfigurationError, match=r"has no setting 'issuer': write domain=…$"):
        check_given(None, {"issuer": "x"}, adapter)
    with pytest.raises(ConfigurationError, match="has no setting 'apps': there are algorithms, api_keys, audience"):
        check_given(guard_of(issuer), {"apps": 10}, adapter)


@pytest.mark.parametrize("middleware", [asgi.GuardMiddleware, wsgi.GuardMiddleware], ids=["asgi", "wsgi"])
def test_what_a_middleware_is_given(issuer: Issuer, middleware: Any) -> None:
    """It takes a ready guard, which has the settings."""
    app = middleware(lambda *arguments: None, guard_of(issuer))
    assert app.guard
    with pytest.raises(ConfigurationError, match=r"write GuardMiddleware\(app, Guard\(audience=…\)\)"):
        middleware(app, audience="https://api.acme.com")
    with pytest.raises(ConfigurationError, match=r"GuardMiddleware has no setting 'require': did you mean requires\?"):
        middleware(app, require=scope("a"))


def test_what_a_guard_was_given_can_be_asked(issuer: Issuer) -> None:
    """For adapters and pages of operators."""
    guard = guard_of(issuer, audience=["https://b.acme.com", "https://a.acme.com"], permissions_as_scopes=True)
    assert guard.issuers == (ISSUER,)
    assert guard.audiences == ("https://a.acme.com", "https://b.acme.com")
    assert guard.permissions_as_scopes
    assert guard_of(issuer, audience=None, clients=["app_1"]).audiences == ()


def test_the_fingerprint_of_a_token_is_the_one_in_the_log(issuer: Issuer) -> None:
    raw = mint()
    token = guard_of(issuer).verify(raw)
    assert token.fingerprint == hashlib.sha256(raw.encode()).hexdigest()[:12]
    assert token.fingerprint in repr(token)
