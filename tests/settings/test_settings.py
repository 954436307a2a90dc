"""Settings fail at start-up, in words that say what to change; an empty value is never "no check"."""

from __future__ import annotations

import ast
import importlib
import inspect
import math
import re
import typing
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from helpers import AUDIENCE, DOMAIN, ISSUER, Issuer, guard_of, mint, reason_of
from hypothesis import given, settings
from hypothesis import strategies as st

from kinde_guard import ConfigurationError, Guard, KeysUnavailable
from kinde_guard.guard import GuardSettings
from kinde_guard.settings import ASYMMETRIC, Settings, issuer_url
from kinde_guard.settings.leavings import words

GOOD: dict[str, Any] = {"domain": DOMAIN, "audience": AUDIENCE}
Variables = dict[str, object]


def load(*sources: Variables, **arguments: Any) -> Settings:
    return Settings.load(variables=sources, **arguments)


@pytest.mark.parametrize(("domain", "issuer"), [
    ("acme.kinde.com", ISSUER), ("https://acme.kinde.com", ISSUER), ("https://acme.kinde.com/", ISSUER),
    ("ACME.Kinde.com", ISSUER), ("HTTPS://ACME.KINDE.COM", ISSUER), ("acme.kinde.com/", ISSUER),
    ("acme.kinde.com:443", ISSUER), ("https://acme.kinde.com:443/", ISSUER), ("acme.kinde.com:", ISSUER),
    ("acme-test.au.kinde.com", "https://acme-test.au.kinde.com"), ("account.acme.com", "https://account.acme.com"),
    ("acme.kinde.com:8443", "https://acme.kinde.com:8443"), ("localhost:3000", "https://localhost:3000"),
    ("http://localhost:3000", "http://localhost:3000"), ("http://127.0.0.1:80", "http://127.0.0.1"),
    ("http://[::1]:8080/", "http://[::1]:8080"), ("https://127.9.9.9", "https://127.9.9.9"),
    ("yours.kinde.com", "https://yours.kinde.com"), ("app.acme.com", "https://app.acme.com"),
    ("myapp.kinde.com", "https://myapp.kinde.com"), ("xn--bcher-kva.example", "https://xn--bcher-kva.example"),
])  # fmt: skip
def test_a_domain_is_a_host_or_a_url(domain: str, issuer: str) -> None:
    """Kinde: the issuer is ``https://<domain>`` without a slash at its end, and its keys are at a path below it."""
    assert load(domain=domain, audience="a").issuers == {issuer: f"{issuer}/.well-known/jwks"}


WRONG_DOMAINS = [
    *((domain, "placeholder") for domain in (
        "<your_subdomain>.kinde.com", "https://<your_subdomain>.kinde.com", "https://<your-subdomain>.kinde.com",
        "your_subdomain.kinde.com", "your-subdomain.kinde.com", "yoursubdomain.kinde.com", "subdomain.kinde.com",
        "https://your_kinde_domain.kinde.com", "https://yourdomain.kinde.com", "your-domain.kinde.com",
        "https://your-business.kinde.com", "your_app.kinde.com", "{subdomain}.kinde.com", "$KINDE_DOMAIN",
        "${SUBDOMAIN}.kinde.com", "https://app.kinde.com", "app.kinde.com", "https://APP.kinde.com/", "<domain>",
        "https://your-kinde-subdomain.kinde.com")),
    *((domain, "must be https") for domain in (
        "http://acme.kinde.com", "HTTP://acme.kinde.com", "ftp://acme.kinde.com", "ws://acme.kinde.com",
        "http://localhost.acme.com", "http://127.0.0.1.nip.io", "http://128.0.0.1", "http://[::2]", "http://0.0.0.0")),
    *((domain, "without a path or a query") for domain in (
        "acme.kinde.com/api", "https://acme.kinde.com/oauth2/token", "https://acme.kinde.com/.well-known/jwks",
        "https://acme.kinde.com//", "acme.kinde.com?", "acme.kinde.com?a=b", "https://acme.kinde.com#",
        "acme.kinde.com/#a")),
    *((domain, "not a whole domain: write acme.kinde.com") for domain in ("acme", "https://acme", "ACME/")),
    *((domain, "write https:// once, and then the domain") for domain in (
        "https://https://acme.kinde.com", "https//acme.kinde.com", "https:/acme.kinde.com", "http//acme.kinde.com")),
    *((domain, "not a whole domain: .* is a name of a private network") for domain in (
        "http://kinde:9400", "kinde:9400", "http://kinde", "https://kinde:9400", "http://kinde-guard-dev:9400/")),
    *((domain, "not a host name") for domain in (
        "acme_corp.kinde.com", "a,b.kinde.com", "-acme.kinde.com", "acme-.kinde.com", ".kinde.com", "acme..kinde.com",
        "acme.kinde.com.", "...", "..", "ab..cd", "abc.", ".abc", "acme.kinde.com;x", "*.kinde.com",
        "a" * 64 + ".kinde.com")),
    *((domain, "plain host name") for domain in (
        "acme kinde.com", "b\u00fccher.example", "https://", "https:///x", "//acme.kinde.com",
        "acme.\nkinde.com")),
    *((domain, "user name or a password") for domain in (
        "user@acme.kinde.com", "https://user:pass@acme.kinde.com", "https://@acme.kinde.com",
        "https://a:b@acme.com:x")),
    *((domain, "cannot be read as a URL") for domain in (
        "acme.kinde.com:99999", "acme.kinde.com:x", "https://[acme].kinde.com", "https://[::1")),
    *((domain, "domain is empty") for domain in ("", " ", "\n", [], [""], [DOMAIN, ""])),
    *((domain, "begins or ends with a space") for domain in (f" {DOMAIN}", f"{DOMAIN}\n")),
    *((domain, "must be text") for domain in (1, [None], b"acme.kinde.com", [DOMAIN, 1], True)),
]  # fmt: skip


@pytest.mark.parametrize(("domain", "words"), WRONG_DOMAINS, ids=lambda value: ascii(value)[:40])
def test_a_wrong_domain(domain: Any, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        Guard(domain, audience=AUDIENCE)


ONE_WORD = [row for row in WRONG_DOMAINS if isinstance(row[0], str) and words(row[0]) == [row[0]]]


@pytest.mark.parametrize(("domain", "words"), ONE_WORD, ids=lambda value: ascii(value)[:40])
def test_a_wrong_domain_in_a_variable_is_called_by_its_name(domain: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=f"KINDE_HOST .*{words}"):
        load({"KINDE_HOST": domain}, audience=AUDIENCE)


@pytest.mark.parametrize(("arguments", "words"), [
    ({"audience": ""}, "audience is empty"), ({"audience": "  "}, "audience is empty"),
    ({"audience": []}, "audience is empty"), ({"audience": ["a", ""]}, "audience is empty"),
    ({"audience": ()}, "audience is empty"), ({"audience": set()}, "audience is empty"),
    ({"audience": 1}, "must be text"), ({"audience": [1]}, "must be text"), ({"audience": b"a"}, "must be text"),
    ({"audience": [None]}, "must be text"), ({"audience": " a"}, "begins or ends with a space"),
    ({"audience": ISSUER}, "is the issuer"), ({"audience": ISSUER + "/"}, "is the issuer"),
    ({"audience": ["a", ISSUER]}, "is the issuer"), ({"audience": ISSUER + "/api"}, "Management API"),
    ({"audience": ISSUER + "/api/"}, "Management API"), ({"audience": ISSUER + "/api/v1"}, "Management API"),
    ({"audience": "https://b.com", "domain": [DOMAIN, "b.com"]}, "is the issuer"),
    ({"audience": "<your audience>"}, "placeholder"), ({"audience": "https://<host>/api"}, "placeholder"),
    ({"audience": "https://a.com https://b.com"}, "give them in a list"), ({"audience": ["x https://b"]}, "in a list"),
    ({"audience": "https://a.com,https://b.com"}, "give them in a list"),
    ({"audience": "*"}, "no wildcards"), ({"audience": [AUDIENCE, "..."]}, "no wildcards"),
    ({"audience": None}, "needs clients="), ({"audience": None, "clients": []}, "needs clients="),
    ({"audience": None, "clients": ""}, "needs clients="), ({"audience": None, "clients": [""]}, "clients is empty"),
    ({"audience": None, "clients": [1]}, "must be text"), ({"audience": None, "clients": 1}, "must be text"),
    ({"clients": ["a"]}, "only with audience=None"),
    *(({"algorithms": [name]}, "is not allowed") for name in
      ("HS256", "HS512", "none", "None", "rs256", "RSA-OAEP", "ES256K")),
    ({"algorithms": ["RS256", "HS256"]}, "is not allowed"), ({"algorithms": "HS256"}, "is not allowed"),
    ({"algorithms": []}, "algorithms is empty"), ({"algorithms": [""]}, "algorithms is empty"),
    ({"algorithms": None}, "must be text"), ({"algorithms": [None]}, "must be text"),
    *(({"leeway": value}, "leeway must be a number from 0 to 300") for value in
      (-1, -0.1, 300.1, 301, math.inf, -math.inf, math.nan, True, "30", None, [30])),
    *(({"retry_after": value}, "retry_after must be a number") for value in (-1, 3601, math.nan, "30", None, False)),
    *(({"usable_for": value}, "usable_for must be a number") for value in (0, -1, 31 * 86_400, math.inf, "1", None)),
    *(({"cache_size": value}, "cache_size must be a") for value in (-1, 10**8, math.nan, 1.5, "4096", None, True)),
    *(({"permissions_as_scopes": value}, "must be True or False") for value in (None, 1, "true", "")),
    *(({"jwks_url": value}, "jwks_url is empty") for value in ("", " ")),
    *(({"jwks_url": value}, "must be https") for value in ("http://acme.kinde.com/jwks", "ftp://a/b")),
    *(({"jwks_url": value}, "jwks_url must be a plain") for value in
      ("acme.kinde.com/jwks", "/jwks", "https://", "https://acme.kinde.com/j wks")),
    ({"jwks_url": "https://u:p@acme.kinde.com/jwks"}, "user name or a password"),
    ({"jwks_url": "https://acme.kinde.com/jwks#keys"}, "fragment"),
    ({"jwks_url": "https://[acme/jwks"}, "cannot be read as a URL"),
    ({"jwks_url": "https://acme.kinde.com:port/jwks"}, "cannot be read as a URL"),
    ({"jwks_url": 1}, "jwks_url"),
    ({"jwks_url": "https://a.com/jwks", "domain": ["a.com", "b.com"]}, "one domain"),
    *(({"transport": value}, "transport must be an httpx.BaseTransport") for value in
      ("http://proxy", 1, httpx.AsyncBaseTransport(), False)),
], ids=lambda value: ascii(value)[:50])  # fmt: skip
def test_a_wrong_setting(arguments: dict[str, Any], words: str) -> None:
    given = {**GOOD, **arguments}
    with pytest.raises(ConfigurationError, match=words):
        Guard(given.pop("domain"), **given)


@pytest.mark.parametrize("domain", ["http://kinde:9400", "kinde:9400", "http://host", "https://kinde:9400"])
def test_a_container_s_name_is_not_made_a_domain_of_kinde(domain: str) -> None:
    """``kinde.kinde.com`` is nobody's."""
    with pytest.raises(ConfigurationError, match=r"http://127\.0\.0\.1:9400.*network_mode") as caught:
        load(domain=domain, audience=AUDIENCE)
    assert "kinde.kinde.com" not in str(caught.value)
    assert "host.kinde.com" not in str(caught.value)


def test_a_password_in_a_url_is_not_repeated() -> None:
    for name in ("domain", "jwks_url"):
        with pytest.raises(ConfigurationError) as caught:
            load(**{**GOOD, name: "https://me:hunter2@acme.kinde.com"})
        assert "hunter2" not in str(caught.value)


def test_what_a_guard_needs_has_no_default() -> None:
    with pytest.raises(ConfigurationError, match=r"KINDE_DOMAIN.*or pass domain="):
        load({}, audience="a")
    with pytest.raises(ConfigurationError, match=r"KINDE_AUDIENCE.*or pass audience="):
        load({}, {}, domain=DOMAIN)
    with pytest.raises(ConfigurationError, match="no Kinde domain is set"):
        load()


def test_defaults() -> None:
    found = load(**GOOD)
    assert (found.algorithms, found.leeway, found.retry_after, found.usable_for) == (("RS256",), 30, 30, 86_400)
    assert (found.permissions_as_scopes, found.transport, found.clients) == (False, None, frozenset())
    assert (found.cache_size, found.report_verdicts_to) == (16_384, None)
    assert found.audiences == {AUDIENCE}


def test_several_of_everything() -> None:
    domains = (domain for domain in ("a.com", "https://A.com/", "b.com"))
    found = load(domain=domains, audience={"x", "y z"}, algorithms=[*ASYMMETRIC] * 2)
    assert list(found.issuers) == ["https://a.com", "https://b.com"]
    assert found.audiences == {"x", "y z"}
    assert found.algorithms == ASYMMETRIC
    assert load(domain=DOMAIN, audience=None, clients=(c for c in ("1", "2"))).clients == {"1", "2"}
    assert load(domain=DOMAIN, audience=None, clients="1").clients == {"1"}


def test_edges_of_numbers() -> None:
    for leeway in (0, 300, 0.5):
        assert load(**GOOD, leeway=leeway).leeway == leeway
    assert load(**GOOD, usable_for=1, retry_after=0, cache_size=0).cache_size == 0


def test_a_secret_transport_is_not_shown() -> None:
    transport = httpx.MockTransport(lambda request: httpx.Response(200))
    assert "Transport" not in repr(load(**GOOD, transport=transport))


@pytest.mark.parametrize(("variables", "issuers"), [
    ({"KINDE_DOMAIN": "a.com"}, ["https://a.com"]),
    ({"KINDE_ISSUER_URL": "https://a.com"}, ["https://a.com"]),
    ({"KINDE_HOST": "https://a.com/"}, ["https://a.com"]),
    ({"KINDE_DOMAIN": "a.com, b.com"}, ["https://a.com", "https://b.com"]),
    ({"KINDE_DOMAIN": " a.com\n  b.com\t"}, ["https://a.com", "https://b.com"]),
    ({"KINDE_DOMAIN": ["a.com", "b.com"]}, ["https://a.com", "https://b.com"]),
    ({"KINDE_DOMAIN": "a.com", "KINDE_ISSUER_URL": "https://a.com/", "KINDE_HOST": "A.com"}, ["https://a.com"]),
    ({"KINDE_DOMAIN": "a.com b.com", "KINDE_HOST": "b.com"}, ["https://a.com", "https://b.com"]),
    ({"KINDE_DOMAIN": None, "KINDE_HOST": "b.com"}, ["https://b.com"]),
], ids=str)  # fmt: skip
def test_the_domain_of_variables(variables: Variables, issuers: list[str]) -> None:
    assert list(load(variables, audience="x").issuers) == issuers


@pytest.mark.parametrize(("variables", "words"), [
    ({"KINDE_DOMAIN": "a.com", "KINDE_ISSUER_URL": "b.com"}, "KINDE_DOMAIN and KINDE_ISSUER_URL name different"),
    ({"KINDE_ISSUER_URL": "https://a.com", "KINDE_HOST": "b.com"}, "KINDE_ISSUER_URL and KINDE_HOST name different"),
    ({"KINDE_DOMAIN": "a.com", "KINDE_HOST": "a.com b.com"}, "KINDE_DOMAIN and KINDE_HOST name different"),
    ({"KINDE_DOMAIN": "a.com", "KINDE_ISSUER_URL": "a.com", "KINDE_HOST": "b.com"}, "KINDE_DOMAIN and KINDE_HOST"),
    ({"KINDE_DOMAIN": ""}, "KINDE_DOMAIN is empty"), ({"KINDE_DOMAIN": " , "}, "KINDE_DOMAIN is empty"),
    ({"KINDE_DOMAIN": "a.com", "KINDE_HOST": ""}, "KINDE_HOST is empty"),
    ({"KINDE_DOMAIN": []}, "KINDE_DOMAIN is empty"),
    ({"KINDE_DOMAIN": 1}, "KINDE_DOMAIN must be text"), ({"KINDE_DOMAIN": ["a.com", 1]}, "KINDE_DOMAIN must be text"),
    ({"KINDE_DOMAIN": "a.com", "KINDE_AUDIENCE": ""}, "KINDE_AUDIENCE is empty"),
    ({"KINDE_DOMAIN": "a.com", "KINDE_AUDIENCE": " ,"}, "KINDE_AUDIENCE is empty"),
    ({"KINDE_DOMAIN": "a.com", "KINDE_AUDIENCE": 1}, "KINDE_AUDIENCE must be text"),
    ({"KINDE_DOMAIN": "a.com", "KINDE_AUDIENCE": [""]}, "KINDE_AUDIENCE is empty"),
    ({"KINDE_DOMAIN": "a.com", "KINDE_AUDIENCE": "https://a.com"}, "is the issuer"),
    ({"KINDE_DOMAIN": "a.com"}, "no audience is set"), ({"KINDE_AUDIENCE": "x"}, "no Kinde domain is set"),
    ({"KIDNE_DOMAIN": "a.com"}, r"pass domain=\. KIDNE_DOMAIN is set: is its name misspelt\?$"),
    ({"KINDE_DOMAIN": "a.com", "KINDE_AUDIANCE": "x"}, r"pass audience=\. KINDE_AUDIANCE is set: is its name"),
    ({"KINDE_DOMAIN": "a.com", "kinde_audience": "x"}, "kinde_audience is set: is its name misspelt"),
    ({"KINDE_DOMAIN": "a.com", "KINDE_M2M_AUDIENCE": "x"}, "pass audience=$"),
    ({"KINDE_M2M_DOMAIN": "a.com", "DOMAIN": "x"}, "pass domain=$"),
], ids=lambda value: str(value)[:60])  # fmt: skip
def test_wrong_variables(variables: Variables, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        load(variables)


@pytest.mark.parametrize(("value", "audiences"), [
    ("x", ["x"]), ("x1 y-z", ["x1", "y-z"]), ("x,y", ["x", "y"]), (" x ,\n y ", ["x", "y"]), (["x y"], ["x y"]),
], ids=str)  # fmt: skip
def test_the_audience_of_a_variable(value: object, audiences: list[str]) -> None:
    """Kinde's pages separate several by spaces, people by commas."""
    assert load({"KINDE_DOMAIN": "a.com", "KINDE_AUDIENCE": value}).audiences == set(audiences)


def test_an_argument_goes_before_config_and_config_before_the_environment() -> None:
    config: Variables = {"KINDE_HOST": "config.com", "KINDE_AUDIENCE": "config"}
    environment: Variables = {"KINDE_DOMAIN": "env.com", "KINDE_AUDIENCE": "env"}
    assert list(load(config, environment, domain="arg.com").issuers) == ["https://arg.com"]
    assert load(config, environment, audience="arg").audiences == {"arg"}
    assert list(load(config, environment).issuers) == ["https://config.com"]
    assert load(config, environment).audiences == {"config"}
    assert list(load({}, environment).issuers) == ["https://env.com"]
    assert load({"KINDE_HOST": "config.com"}, environment).audiences == {"env"}
    assert load(config, environment, domain=DOMAIN, audience=None, clients=["c"]).audiences == frozenset()


@pytest.mark.parametrize(("text", "url"), [
    ("http://127.0.0.1:9400", "http://127.0.0.1:9400"), (" http://127.0.0.1:9400/\n", "http://127.0.0.1:9400"),
    ("127.0.0.1:9400", "http://127.0.0.1:9400"), ("LocalHost:9400", "http://localhost:9400"),
    ("http://[::1]:9400", "http://[::1]:9400"), ("http://localhost", "http://localhost"),
])  # fmt: skip
def test_where_verdicts_are_reported_to(text: str, url: str) -> None:
    """By a variable alone: it is for a moment of development, and stands in nobody's code."""
    variables: Variables = {"KINDE_REPORT_VERDICTS_TO": text}
    assert load(variables, **GOOD).report_verdicts_to == url
    assert load({}, variables, **GOOD).report_verdicts_to == url
    assert load({"KINDE_REPORT_VERDICTS_TO": None}, **GOOD).report_verdicts_to is None


@pytest.mark.parametrize(("value", "words"), [
    ("", "is empty: unset it"), (" ", "is empty: unset it"), (9400, "local Kinde.*not 9400"), ([], r"not \[\]"),
    *((value, "on this machine") for value in (
        "https://127.0.0.1:9400", "http://acme.kinde.com", "acme.kinde.com", "http://192.0.2.1", "http://0.0.0.0",
        "http://127.0.0.1.nip.io", "http://localhost.acme.com", "ftp://localhost", "http://localhost/console",
        "http://localhost?", "http://localhost#a")),
    ("http://localhost:x", "cannot be read as a URL"), ("http://me:secret@localhost", "user name or a password"),
    ("http://", "plain host name"), ("http://local host", "plain host name"),
], ids=str)  # fmt: skip
def test_verdicts_are_reported_to_this_machine_alone(value: object, words: str) -> None:
    with pytest.raises(ConfigurationError, match=f"^KINDE_REPORT_VERDICTS_TO .*{words}") as error:
        load({"KINDE_REPORT_VERDICTS_TO": value}, **GOOD)
    assert "secret" not in str(error.value)


def test_the_signature_tells_where_the_audience_comes_from() -> None:
    """``None`` means something else, and has to be written out."""
    assert "audience: 'Audiences' = <KINDE_AUDIENCE>" in str(inspect.signature(Guard))


def test_a_guard_reads_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unless it is given other variables."""
    for name in ("KINDE_ISSUER_URL", "KINDE_HOST"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("KINDE_DOMAIN", DOMAIN)
    monkeypatch.setenv("KINDE_AUDIENCE", AUDIENCE)
    issuer = Issuer()
    assert list(Guard(transport=issuer.transport).health()) == [ISSUER]
    assert AUDIENCE in repr(Guard(transport=issuer.transport))
    with pytest.raises(ConfigurationError, match="no Kinde domain is set"):
        Guard(transport=issuer.transport, variables=())


def test_keys_may_be_elsewhere() -> None:
    """``jwks_url=``, for a proxy of one's own; the issuer stays who it is."""
    issuer = Issuer()
    guard = guard_of(issuer, jwks_url=" https://keys.acme.com/jwks?v=1 ")
    assert reason_of(guard, mint()) == "accepted"
    assert issuer.fetches == ["https://keys.acme.com/jwks?v=1"]
    assert load(**GOOD, jwks_url="http://localhost:1/jwks").issuers == {ISSUER: "http://localhost:1/jwks"}


def test_constructing_a_guard_fetches_nothing() -> None:
    issuer = Issuer()
    issuer.status = 500
    guard = guard_of(issuer)
    assert issuer.fetches == []
    with pytest.raises(KeysUnavailable):
        guard.warm()


@pytest.mark.parametrize(("text", "words"), [("", "domain is empty"), (" ", "domain is empty"), (None, "must be text")])
def test_an_issuer_is_named(text: Any, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        issuer_url(text)


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=40) | st.from_regex(r"\A(https?://)?[a-zA-Z0-9.:@/\[\]-]{1,30}\Z") | st.sampled_from([DOMAIN]))
def test_whatever_a_domain_says_it_is_an_issuer_or_a_mistake(text: str) -> None:
    """And an issuer is its own spelling: https (or this machine), lower case, a host and perhaps a port."""
    try:
        issuer = issuer_url(text)
    except ConfigurationError:
        return
    parts = urlsplit(issuer)
    assert issuer == issuer.lower() == issuer_url(issuer) == f"{parts.scheme}://{parts.netloc}"
    assert parts.scheme == "https" or parts.hostname in ("localhost", "::1") or str(parts.hostname).startswith("127.")
    assert parts.hostname


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(
    st.sampled_from(["domain", "audience", "clients", "algorithms", "leeway", "permissions_as_scopes", "jwks_url",
                     "retry_after", "usable_for", "cache_size", "transport"]),
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.text() | st.just(1), max_size=3),
    max_size=3,
))  # fmt: skip
def test_whatever_is_set_it_is_settings_or_a_mistake(arguments: dict[str, Any]) -> None:
    try:
        found = load(**{**GOOD, **arguments})
    except ConfigurationError:
        return
    assert found.issuers
    assert found.audiences or found.clients
    assert set(found.algorithms) <= set(ASYMMETRIC)
    assert 0 <= found.leeway <= 300


def test_the_settings_that_an_editor_shows_are_those_of_a_guard() -> None:
    """By name and by type: what is written of them twice cannot come apart."""
    taken = {name: typing.cast(str, text) for name, text in Guard.__init__.__annotations__.items() if name != "return"}
    shown = {name: kind.__forward_arg__ for name, kind in GuardSettings.__annotations__.items()}
    assert shown == taken
    assert not GuardSettings.__required_keys__


def test_an_editor_says_of_each_setting_what_it_is() -> None:
    """A text below it, which says what leaving it out means where that is not what it says by itself."""
    (shown,) = ast.parse(inspect.getsource(GuardSettings)).body
    assert isinstance(shown, ast.ClassDef)
    below = dict(zip(shown.body[1::2], shown.body[2::2], strict=True))
    assert {type(field) for field in below} == {ast.AnnAssign}
    assert all(isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant) for text in below.values())


@pytest.mark.parametrize("adapter", ["fastapi", "starlette", "flask"])
def test_every_kinde_guard_names_the_settings_of_a_guard(adapter: str) -> None:
    init = importlib.import_module(f"kinde_guard.{adapter}").KindeGuard.__init__
    assert init.__annotations__["settings"] == "Unpack[GuardSettings]"


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"issuer": "https://acme.kinde.com"}, "Guard has no setting 'issuer': write domain=…"),
        ({"jwks_uri": "https://acme.kinde.com/jwks"}, "write jwks_url=…"),
        ({"secret": "geheim"}, "there is no secret: the keys are fetched from the issuer"),
        ({"options": {"verify_signature": False}}, "there is no way to turn a check off"),
        ({"audiense": "x"}, "did you mean audience?"),
        ({"zzz": 1}, "there are domain, audience, "),
    ],
)
def test_what_other_libraries_call_a_setting_is_answered_by_our_name(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(TypeError, match=re.escape(said)) as refused:
        Guard("acme.kinde.com", **settings)
    assert "geheim" not in str(refused.value)
