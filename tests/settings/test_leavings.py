"""What a file of variables leaves in a value by mistake is an error that names the mend, in every variable, and never a
domain, an audience or a secret."""

from __future__ import annotations

import json
from typing import Any

import pytest
from flask import Flask
from helpers import AUDIENCE, DOMAIN

from kinde_guard import ConfigurationError, Guard
from kinde_guard.flask import KindeGuard
from kinde_guard.m2m import ClientCredentials
from kinde_guard.settings.leavings import words

# What is left, around a value that would be good; and what the error says of it.
AROUND = [
    *((form, "comment") for form in (
        "# §", "#§", "# was §", "§ # the public API", "§ #prod", "§\t# prod", "§ # was https://old.acme.com",
        "# https://old.acme.com\n§", "§,#old,§", "§, # was §",
        "§,// §", "§ // prod", "§ ; prod", "§ -- prod", "§ /* prod */", "<!-- x --> §")),
    *((form, "quotes") for form in (
        '"§"', "'§'", '"§', "§'", "\u201c§\u201d", "\u2018§\u2019", "\u00ab§\u00bb", "`§`", '\\"§\\"',
        "'§' '§'", '"§","§"')),
    *((form, "placeholder") for form in (
        "${NAME}", "${NAME:-§}", "$NAME", "$NAME/v1", "%NAME%", "%API_URL%/v1", "{{ name }}", "{{.Values.x}}",
        "$(NAME)", "$[variables.x]", "#{NAME}#", "<%= x %>", "{name}", "@NAME@", "__NAME__", "https://${HOST}/x")),
    *((form, "list") for form in (
        '["§"]', "['§']", "[§]", '["§", "§"]', "('§',)", "- §", '{"a": "§"}', '"§"]', "[]", "{}", '[ "§"')),
    *((form, "no value") for form in (
        "null", "None", "undefined", "nil", "true", "false", "NULL", "NaN", "~", " null\n", "§,null", "null §")),
    *((form, "cannot be seen") for form in (
        "\ufeff§", "§\r", "§\r\n", "§\u200b", "\u200b§", "§\u00a0", "§\u00ad", "§\x00", "\x1b[0m§", "§\x7f",
        "§\u2028", "\u2066§", "§\u2060", "§\x0b", "§\x85", "§\udc80", "§\ufffd")),
    *((form, "name of a variable") for form in (
        "KINDE_AUDIENCE=§", "KINDE_DOMAIN = §", "export KINDE_AUDIENCE=§", "export §", "set §", "§\nKINDE_HOST=§",
        "§KINDE_HOST=§", "§ KINDE_HOST=§", "KINDE_AUDIENCE: §", "API_URL=§", "audience=§", "audience: §", "=§",
        "KINDE_AUDIENCE")),
    *((form, "line of code") for form in ("§;", "§\\", "§; §")),
]  # fmt: skip
VARIABLES = ("KINDE_DOMAIN", "KINDE_ISSUER_URL", "KINDE_HOST", "KINDE_AUDIENCE", "KINDE_REPORT_VERDICTS_TO")
GOOD = {
    "KINDE_DOMAIN": DOMAIN,
    "KINDE_ISSUER_URL": f"https://{DOMAIN}",
    "KINDE_HOST": f"https://{DOMAIN}/",
    "KINDE_AUDIENCE": AUDIENCE,
    "KINDE_REPORT_VERDICTS_TO": "http://127.0.0.1:9400",
}
SECRET = "hUsHhUsH0123456789hUsH"
APP = {"KINDE_M2M_DOMAIN": DOMAIN, "KINDE_M2M_CLIENT_ID": "an-app", "KINDE_M2M_CLIENT_SECRET": SECRET,
       "KINDE_M2M_AUDIENCE": AUDIENCE, "KINDE_M2M_SCOPES": "read:users admin"}  # fmt: skip

IN_SECRETS = {
    "# §", "§ # the public API", '"§"', "'§'", '"§', "§'", "\u201c§\u201d", "${NAME}", "$NAME", "%NAME%",
    "{{ name }}", '["§"]', "[§]", "null", "None", "undefined", "nil", "true", "KINDE_AUDIENCE=§",
    "export KINDE_AUDIENCE=§", "§KINDE_HOST=§", "KINDE_AUDIENCE",
}  # fmt: skip
OF_CLIENTS = [
    (name, form.replace("\x00", "\x01"), said)  # the system's variables cannot hold the one
    for name in APP
    for form, said in AROUND
    if name != "KINDE_M2M_CLIENT_SECRET" or said == "cannot be seen" or form in IN_SECRETS
]

each_leaving = pytest.mark.parametrize(("form", "said"), AROUND, ids=lambda value: ascii(value)[:30])


@each_leaving
@pytest.mark.parametrize("name", VARIABLES)
def test_no_variable_of_a_guard_is_read_with_it(name: str, form: str, said: str) -> None:
    value = form.replace("§", GOOD[name])
    with pytest.raises(ConfigurationError, match=f"^{name} .*{said}") as caught:
        Guard(variables=[{"KINDE_DOMAIN": DOMAIN, "KINDE_AUDIENCE": AUDIENCE, name: value}])
    assert repr(value)[:100].rstrip("'\"") in str(caught.value) or "@" in value
    assert ": " in str(caught.value)  # and after it the mend


@each_leaving
@pytest.mark.parametrize("argument", ["domain", "audience", "jwks_url"])
def test_no_argument_is_taken_with_it(argument: str, form: str, said: str) -> None:
    """It may have been read from a file of variables by whoever passes it on."""
    good = {"domain": DOMAIN, "audience": AUDIENCE, "jwks_url": f"https://{DOMAIN}/jwks"}
    value = form.replace("§", good[argument])
    given: dict[str, Any] = {"domain": DOMAIN, "audience": AUDIENCE, argument: value}
    with pytest.raises(ConfigurationError, match=f"^{argument} .*({said}|ends with a space)"):
        Guard(variables=(), **given)
    if argument != "jwks_url":
        with pytest.raises(ConfigurationError, match=f"^{argument} .*({said}|ends with a space)"):
            Guard(variables=(), **{**given, argument: [good[argument], value]})


@each_leaving
def test_nor_a_client(form: str, said: str) -> None:
    value = form.replace("§", "d4d3c5b74e064badb9625a4aa6241bcc")
    with pytest.raises(ConfigurationError, match=r"^clients "):
        Guard(DOMAIN, audience=None, clients=[value], variables=())


@each_leaving
@pytest.mark.parametrize("name", ["KINDE_DOMAIN", "KINDE_AUDIENCE"])
def test_nor_the_config_of_a_flask_app(name: str, form: str, said: str) -> None:
    app = Flask(__name__)
    value = form.replace("§", GOOD[name])
    app.config.update({"KINDE_DOMAIN": DOMAIN, "KINDE_AUDIENCE": AUDIENCE, name: value})
    with pytest.raises(ConfigurationError, match=f"^{name} .*{said}"):
        KindeGuard(app)
    app.config[name] = [GOOD[name], value]
    with pytest.raises(ConfigurationError, match=f"^{name} "):
        KindeGuard(app)


@pytest.mark.parametrize(("name", "form", "said"), OF_CLIENTS, ids=lambda value: ascii(value)[:30])
def test_no_variable_of_the_client_half_is_read_with_it(
    monkeypatch: pytest.MonkeyPatch, name: str, form: str, said: str
) -> None:
    """The secret is not shown, whatever is around it; nor is the client id, which may be the secret by mistake."""
    value = form.replace("§", APP[name])
    for each in APP:
        monkeypatch.setenv(each, APP[each])
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError, match=said) as caught:
        ClientCredentials()
    assert name in str(caught.value)
    assert SECRET not in str(caught.value)
    if "CLIENT" in name:
        assert APP[name] not in str(caught.value)


@pytest.mark.parametrize("secret", [
    "a#b", "#ab", "a$b", "$ab", "a%b", "%ab", "a=b", "A=b", "ab==", "a'b", 'a"b', "a;b", "ab;", "a\\b", "ab\\", "a{b}",
    "a[0]b", "nullify", "a,b", ",", "~", "--ab", "//ab", "a<b>", "$", "%", "{ab", "ab}",
])  # fmt: skip
def test_a_secret_may_be_made_of_odd_characters(secret: str) -> None:
    """Only what has the form of a mistake from end to end is taken for one."""
    client = ClientCredentials(DOMAIN, client_id="a", client_secret=secret, audience=AUDIENCE)
    assert client.holder._app.secret == secret


@pytest.mark.parametrize("value", [
    "https://api.acme.com the public API", "the public API", "https://api.acme.com production",
    "https://api.acme.com (prod)", "production https://api.acme.com", "our API: https://api.acme.com", "acme hasura",
    "https://api.acme.com - prod", "https://api.acme.com \u2014 prod", "https://api.acme.com => prod", "die API",
    "https://api.acme.com, the other one", "hasura\nthe other one", "https://api.acme.com ...", "\u516c\u958b API",
    "https://api.acme.com: https://old.acme.com",
])  # fmt: skip
def test_a_word_of_a_comment_is_no_audience(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    """A space separates audiences; what may as well be a word of a sentence is an error, never one more audience."""
    for name in ("KINDE_AUDIENCE", "KINDE_M2M_AUDIENCE"):
        monkeypatch.setenv(name, value)
        with pytest.raises(ConfigurationError, match=f"^{name} (holds|has)") as caught:
            Guard(DOMAIN) if name == "KINDE_AUDIENCE" else ClientCredentials(DOMAIN, client_id="a", client_secret="b")
        assert "commas" in str(caught.value) or "name of a variable" in str(caught.value)


def test_a_word_of_a_comment_is_no_domain() -> None:
    with pytest.raises(ConfigurationError, match=r"^KINDE_DOMAIN holds 'production'.*in 'acme.kinde.com production'"):
        Guard(audience="a", variables=[{"KINDE_DOMAIN": "acme.kinde.com production"}])


@pytest.mark.parametrize(("value", "audiences"), [
    ("acme-api", ["acme-api"]), ("hasura", ["hasura"]), ("api", ["api"]), ("myapp:prod-api", ["myapp:prod-api"]),
    ("urn:acme:api", ["urn:acme:api"]), ("URN:acme:api", ["URN:acme:api"]), ("api://x", ["api://x"]),
    ("https://api.acme.com/v1?tenant=a&b=c", ["https://api.acme.com/v1?tenant=a&b=c"]),
    ("https://api.acme.com/#x", ["https://api.acme.com/#x"]), ("api#1", ["api#1"]), ("nullable", ["nullable"]),
    ("https://a.com/%C3%BCber%20x", ["https://a.com/%C3%BCber%20x"]), ("tenant=acme", ["tenant=acme"]),
    ("acme's", ["acme's"]), ("\u00fcber", ["\u00fcber"]), ("api@acme", ["api@acme"]), ("(api)1", ["(api)1"]),
    ("MFRGG===", ["MFRGG==="]), ("true-north", ["true-north"]), ("a;b", ["a;b"]), ("$1", ["$1"]), ("50%", ["50%"]),
    ("https://a.com https://b.com/v2", ["https://a.com", "https://b.com/v2"]),
    ("acme-api billing_api api.acme v2 urn:x", ["acme-api", "billing_api", "api.acme", "v2", "urn:x"]),
    ("acme,hasura", ["acme", "hasura"]), ("acme , hasura", ["acme", "hasura"]), ("acme\nhasura\n", ["acme", "hasura"]),
    ("d4d3c5b74e064badb9625a4aa6241bcc 12345", ["d4d3c5b74e064badb9625a4aa6241bcc", "12345"]),
], ids=lambda value: ascii(value)[:40])  # fmt: skip
def test_what_is_an_audience(value: str, audiences: list[str]) -> None:
    """Any text can be registered in Kinde: what is no mistake by its form is taken."""
    guard = Guard(DOMAIN, variables=[{"KINDE_AUDIENCE": value}])
    assert set(guard.audiences) == set(audiences)
    if value.isascii():
        assert ClientCredentials(
            DOMAIN, client_id="a", client_secret="b", audience=value
        ).holder._app.audience == tuple(audiences)


@pytest.mark.parametrize("value", [
    "https://me:hunter2@acme.kinde.com # prod", 'KINDE_M2M_CLIENT_SECRET=hunter2', '{"client_secret": "hunter2"}',
    "acme.kinde.com\nPASSWORD=hunter2", "'hunter2-token'",
])  # fmt: skip
@pytest.mark.parametrize("name", VARIABLES)
def test_what_may_be_a_secret_is_not_shown(name: str, value: str) -> None:
    with pytest.raises(ConfigurationError, match=f"^{name} ") as caught:
        Guard(variables=[{"KINDE_DOMAIN": DOMAIN, "KINDE_AUDIENCE": AUDIENCE, name: value}])
    assert "hunter2" not in str(caught.value)


def test_a_long_value_is_cut() -> None:
    with pytest.raises(ConfigurationError) as caught:
        Guard(DOMAIN, audience=json.dumps(["x" * 5_000]), variables=())
    assert len(str(caught.value)) < 400


def test_words() -> None:
    assert words(" a,b\tc\n, d ") == ["a", "b", "c", "d"]
