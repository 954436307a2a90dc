"""HTTP: one Authorization header in; status, challenge and problem body out, read back by a parser of the RFCs' own."""

from __future__ import annotations

import json
import re
import string
from http import HTTPStatus
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinde_guard import (
    AuthError,
    ConfigurationError,
    Forbidden,
    InsufficientScope,
    InvalidRequest,
    InvalidToken,
    KeysUnavailable,
    MissingToken,
)
from kinde_guard.errors import ApiKeysUnavailable, RevocationsUnavailable
from kinde_guard.web import bearer

B64TOKEN = re.compile(r"[A-Za-z0-9\-._~+/]+=*", re.A)
ALL_CHARACTERS = string.ascii_letters + string.digits + "-._~+/"


@pytest.mark.parametrize("value", [
    "Bearer x", "bearer x", "BEARER x", "bEaReR x", "Bearer  x", "Bearer      x", " Bearer x", "\tBearer x \t ",
    "Bearer x ",
], ids=repr)  # fmt: skip
def test_a_bearer_token(value: str) -> None:
    assert bearer.token_from([value]) == "x"


@pytest.mark.parametrize("token", [ALL_CHARACTERS, "x=", "x==", "a.b.c", "bearer", "x" * 20_000], ids=lambda t: t[:9])
def test_every_character_of_a_b64token(token: str) -> None:
    """RFC 6750 §2.1. Whether it is a JWT is not asked here."""
    assert bearer.token_from([f"Bearer {token}"]) == token


@pytest.mark.parametrize("values", [
    [], [""], [" "], ["\t"], ["Basic eDp5"], ["basic"], ["Digest a=b"], ["DPoP x"], ["x.y.z"], ["Bearerx y"],
    ["BearerToken"], ["XBearer x"], ["Bear er x"], ["Basic x, Bearer y"], ["=x"], [", Bearer x"], ['"Bearer" x'],
    ["\x00Bearer x"], ["\nBearer x"], ["\u00a0Bearer x"], ["\uff22earer x"], ["Bear\u0435r x"], ["\u200bBearer x"],
], ids=repr)  # fmt: skip
def test_no_bearer_credentials(values: list[str]) -> None:
    """Nothing, or another scheme: whoever asks is told to bring a token, and of no error."""
    with pytest.raises(MissingToken):
        bearer.token_from(values)


@pytest.mark.parametrize("values", [
    ["Bearer"], ["bearer "], ["Bearer \t"], ["Bearer\tx"], ["Bearer \tx"], ["Bearer\nx"],
    ["Bearer\x0bx"], ["Bearer\x00x"],
    ["Bearer\u00a0x"], ["Bearer\u2003x"], ["Bearer\u200bx"], ["Bearer x y"], ["Bearer x\ty"], ["Bearer x\r\ny: z"],
    ["Bearer x\n"], ["Bearer x\x00"], ["Bearer x\u00a0"], ["Bearer x,y"], ["Bearer x, Bearer y"], ["Bearer x,Bearer x"],
    ["Bearer x, Basic y"], ["Bearer ,"], ["Bearer,"], ["Bearer, x"], ["Bearer:x"], ["Bearer: x"], ["Bearer=x"],
    ["Bearer =x"], ["Bearer =="], ["Bearer x=y"], ["Bearer x= ="], ['Bearer "x"'], ["Bearer <x>"],
    ["Bearer {x}"], ["Bearer x;y"], ["Bearer x%20y"], ["Bearer \u00e9"], ["Bearer \uff58"], ["Bearer \u0661"],
    ["Bearer \ud800"], ["Bearer x", "Bearer x"], ["Bearer x", "Bearer y"], ["Bearer x", "Basic y"],
    ["Basic x", "Bearer y"],
    ["", "Bearer x"], ["", ""],
], ids=ascii)  # fmt: skip
def test_credentials_that_are_not_one_token(values: list[str]) -> None:
    with pytest.raises(InvalidRequest) as caught:
        bearer.token_from(values)
    assert caught.value.reason == "invalid_request"


@pytest.mark.parametrize(("values", "hint"), [
    ([], ""), ([""], ""), ([" \t"], ""),
    (["x.y.z"], "a token stands there without `Bearer`"), (["eyJh.eyJp."], "a token stands there without `Bearer`"),
    (["k_live_abc"], "a Kinde API key"), (["undefined"], "one word"), (["d4d3c5b74e06"], "one word"),
    *(([f"{word} x.y.z"], "another word stands there for `Bearer`") for word in ("Token", "JWT", "token", "OAuth")),
    (["Basic eDp5"], "another scheme"), (["DPoP x.y.z"], "another scheme"), (["Basic x, Bearer y"], "another scheme"),
    (["bearer%20x.y.z"], "as in a URL"), (["Bearer%20x"], "as in a URL"),
    (["Bearerx.y.z"], "no space after Bearer"), (["Bearer_x y"], "no space after Bearer"),
    (["Authorization: Bearer x"], "the header's name"), (["authorization=Bearer x"], "the header's name"),
    (['"Bearer x"'], "quotes around the header's value"), (["'Bearer' x"], "quotes around the header's value"),
    (["\u201cBearer x\u201d"], "quotes around the header's value"), (["\u200bBearer x"], "cannot be seen"),
    (["\nBearer x"], "cannot be seen"),
], ids=ascii)  # fmt: skip
def test_what_is_said_of_a_header_without_bearer(values: list[str], hint: str) -> None:
    """Nothing of no header, which is everyday; of another what it lacks, and nothing that it says."""
    with pytest.raises(MissingToken) as caught:
        bearer.token_from(values)
    assert caught.value.hint.startswith(hint) or hint in caught.value.hint
    assert bool(caught.value.hint) is bool(hint)
    assert "eyJ" not in caught.value.hint


@pytest.mark.parametrize(("value", "hint"), [
    ("Bearer", "no token after Bearer"), ("bearer  ", "no token after Bearer"),
    ("Bearer Bearer x.y.z", "Bearer stands twice"), ("bearer  BEARER x", "Bearer stands twice"),
    ("Bearer Bearer: x", "Bearer stands twice"), ("Bearer: x.y.z", "a colon after Bearer"),
    ("Bearer : x", "a colon after Bearer"), ("Bearer=x.y.z", "an equals sign"),
    ('Bearer "x.y.z"', "quotes around the token"),
    ("Bearer 'x'", "quotes around the token"), ("Bearer \u201cx\u201d", "quotes around the token"),
    ("Bearer `x`", "quotes around the token"), ("Bearer <x>", "brackets"), ("Bearer {x}", "brackets"),
    ("Bearer [x]", "brackets"), ("Bearer ${TOKEN}", "a placeholder"), ("Bearer {{token}}", "a placeholder"),
    ("Bearer $TOKEN", "a placeholder"), ("Bearer %TOKEN%", "a placeholder"), ("Bearer x, Bearer y", "a comma"),
    ("Bearer x,Basic y", "a comma"), ("Bearer x\n", "a line end"), ("Bearer x\r\ny", "a line end"),
    ("Bearer x y", "white space"), ("Bearer\tx", "white space"), ("Bearer x\ty", "white space"),
    ("Bearer x%20y", "as in a URL"), ("Bearer x\u200b", "a character that no token has"),
    ("Bearer \u00e9", "a character that no token has"), ("Bearer x;y", "a character that no token has"),
    ("Bearer x=y", "a character that no token has"),
], ids=ascii)  # fmt: skip
def test_what_is_said_of_a_header_that_is_not_one_token(value: str, hint: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        bearer.token_from([value])
    assert hint in caught.value.hint
    assert "x.y.z" not in caught.value.hint


@pytest.mark.parametrize(("value", "hint"), [
    ("{}", "a token stands there without `Bearer`"), ("Token {}", "another word"), ("Bearer {}\n", "a line end"),
    ("Bearer {}, Bearer {}", "a comma"), ("Bearer {} {}", "white space"), ("Bearer Bearer {}", "Bearer stands twice"),
    ("Bearer {}%0A", "as in a URL"), ("Bearer%20{}", "as in a URL"), ("Bearer{}", "no space after Bearer"),
    ("Bearer {}\u200b", "a character that no token has"),
])  # fmt: skip
@pytest.mark.parametrize("size", [20, 300, 5_000])
def test_a_long_token_hides_nothing(value: str, hint: str, size: int) -> None:
    with pytest.raises((MissingToken, InvalidRequest)) as caught:
        bearer.token_from([value.replace("{}", ".".join(["eyJ" + "x" * size] * 3))])
    assert hint in caught.value.hint


def test_a_hint_costs_no_more_than_reading_the_header() -> None:
    """Whatever strangers repeat, however often."""
    for part in ("Bearer ", " ", "\t", '"', "x.", "%4", "a,", "{", "-", "\u00e9", "x ", "authorization"):
        for scheme in ("", "Bearer", "Bearer ", "x"):
            with pytest.raises((MissingToken, InvalidRequest)):
                bearer.token_from([scheme + part * 20_000 + "\x00"])


@given(st.lists(st.text() | st.from_regex(r"(?i)\A *bearer[ \t]+[\w.=,~+/-]*\s*\Z"), max_size=2))
def test_whatever_is_sent_it_is_one_token_or_refused(values: list[str]) -> None:
    try:
        token = bearer.token_from(values)
    except (MissingToken, InvalidRequest):
        return
    assert len(values) == 1
    assert B64TOKEN.fullmatch(token)
    assert re.fullmatch(f"(?i:bearer) +{re.escape(token)}", values[0].strip(" \t"))


# A reader of challenges, after RFC 9110 §11.6.1 and §5.6 and RFC 6750 §3 alone.

TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
PARAMETER = re.compile(rf'({TOKEN})="((?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\[\x20-\x7e])*)"')
DESCRIPTION = re.compile(r"[\x20\x21\x23-\x5b\x5d-\x7e]+")
SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+(?: [\x21\x23-\x5b\x5d-\x7e]+)*")


def read_challenge(value: str) -> dict[str, str]:
    scheme, space, rest = value.partition(" ")
    assert scheme == "Bearer"
    assert space
    parameters: dict[str, str] = {}
    at = 0
    while at < len(rest):
        found = PARAMETER.match(rest, at)
        assert found, rest[at:]
        assert found[1] not in parameters
        parameters[found[1]] = found[2]
        at = found.end()
        assert at == len(rest) or re.match(r", (?=[a-z])", rest[at:])
        at += 2
    for name, pattern in (("error", DESCRIPTION), ("error_description", DESCRIPTION), ("scope", SCOPE)):
        assert name not in parameters or pattern.fullmatch(parameters[name])
    return parameters


REFUSALS: list[tuple[bearer.Refusal, int, str, tuple[str, ...]]] = [
    (MissingToken(), 401, "", ("realm",)),
    (InvalidRequest(), 400, "invalid_request", ("realm", "error", "error_description")),
    *((InvalidToken(reason), 401, "invalid_token", ("realm", "error", "error_description")) for reason in (
        "malformed", "unsupported_algorithm", "unsupported_header", "wrong_token_type", "unknown_issuer",
        "wrong_audience", "empty_audience", "wrong_client", "expired", "not_yet_valid",
        "unknown_key", "bad_signature", "revoked", "invalid_api_key", "wrong_api")),
    (InsufficientScope(["read:users", "write:users"]), 403, "insufficient_scope",
     ("realm", "error", "error_description", "scope")),
    *((Forbidden(reason), 403, "insufficient_scope", ("realm", "error", "error_description")) for reason in (
        "missing_permission", "missing_role", "wrong_org", "missing_flag", "wrong_subject")),
    (KeysUnavailable(7), 503, "", ()),
    (RevocationsUnavailable(7), 503, "", ()),
    (ApiKeysUnavailable(7), 503, "", ()),
]  # fmt: skip
each_refusal = pytest.mark.parametrize(
    ("refusal", "status", "code", "names"),
    [pytest.param(*row, id=row[0].reason) for row in REFUSALS],
)


def body_of(answer: bearer.Answer) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(answer.body)
    return found


@each_refusal
def test_status_and_challenge(refusal: bearer.Refusal, status: int, code: str, names: tuple[str, ...]) -> None:
    answer = bearer.answer(refusal)
    headers = dict(answer.headers)
    assert len(headers) == len(answer.headers)
    assert answer.status == refusal.status == status
    assert headers["Cache-Control"] == "no-store"
    if isinstance(refusal, AuthError):
        parameters = read_challenge(headers["WWW-Authenticate"])
        assert tuple(parameters) == names
        assert parameters.get("error", "") == code
        assert parameters["realm"] == "api"
    else:
        assert "WWW-Authenticate" not in headers
        assert headers["Retry-After"] == "7"


@each_refusal
def test_the_body_is_a_problem(refusal: bearer.Refusal, status: int, code: str, names: tuple[str, ...]) -> None:
    """RFC 9457, with ``error`` for clients that look there."""
    answer = bearer.answer(refusal)
    body = body_of(answer)
    assert list(body) == ["title", "status", "detail", "error"]
    assert body["status"] == status
    assert body["title"] == HTTPStatus(status).phrase
    assert body["error"] == (code or refusal.reason)
    assert body["detail"].endswith(".")
    headers = dict(answer.all_headers)
    assert headers["Content-Type"] == "application/problem+json"
    assert headers["Content-Length"] == str(len(answer.body))
    assert set(answer.headers) < set(answer.all_headers)


def test_each_reason_has_a_text_of_its_own() -> None:
    """The table is closed: what is here, and nothing else, is ever said in public."""
    assert set(bearer.TEXTS) == {refusal.reason for refusal, *_ in REFUSALS}
    assert len(set(bearer.TEXTS.values())) == len(bearer.TEXTS)
    assert {body_of(bearer.answer(refusal))["detail"] for refusal, *_ in REFUSALS} == set(bearer.TEXTS.values())


def test_scopes_are_named_in_their_order() -> None:
    parameters = read_challenge(InsufficientScope(["write:users", "read:users", "a!#[]~"]).headers["WWW-Authenticate"])
    assert parameters["scope"] == "write:users read:users a!#[]~"


def test_the_metadata_of_the_resource_is_named() -> None:
    """RFC 9728 §5.1, in the challenge: a 503 has none."""
    url = "https://api.acme.com/.well-known/oauth-protected-resource"
    answer = bearer.answer(MissingToken(), url)
    assert read_challenge(dict(answer.headers)["WWW-Authenticate"]) == {"realm": "api", "resource_metadata": url}
    assert "WWW-Authenticate" not in dict(bearer.answer(KeysUnavailable(7), url).headers)


@pytest.mark.parametrize(("refusal", "named"), [
    (MissingToken(), "read:users write:users"), (InvalidToken("expired"), "read:users write:users"),
    (InvalidRequest(), None), (InsufficientScope(["admin"]), "admin"), (Forbidden("missing_role"), None),
    (KeysUnavailable(7), None),
], ids=repr)  # fmt: skip
def test_the_challenge_of_a_401_names_scopes_to_ask_for(refusal: bearer.Refusal, named: str | None) -> None:
    """RFC 6750 §3 allows it, and clients of MCP servers begin with it. A 403 names what was refused, or nothing."""
    assert "scope=" not in str(MissingToken().headers)
    _ = refusal.headers  # worked out before
    header = dict(bearer.answer(refusal, scopes=("read:users", "write:users")).headers).get("WWW-Authenticate", "")
    assert re.findall(r'[, ]scope="([^"]*)"', header) == ([named] if named else [])


@pytest.mark.parametrize("scopes", ["read:users", ["a b"], ['a"'], ["a\r\nX: y"], [""]])
def test_what_is_no_scope_is_not_named(scopes: Any) -> None:
    with pytest.raises(ConfigurationError, match="a challenge names a list of scopes"):
        bearer.answer(MissingToken(), scopes=scopes)


@pytest.mark.parametrize("refusal", [
    InvalidRequest("SECRET"), InvalidToken("malformed", "SECRET"), InsufficientScope(["a"], "SECRET"),
    Forbidden("wrong_org", "SECRET"),
], ids=lambda refusal: refusal.reason)  # fmt: skip
def test_a_hint_is_not_for_the_public(refusal: AuthError) -> None:
    assert "SECRET" not in repr(bearer.answer(refusal))


def test_a_refusal_that_is_also_a_frameworks_exception_is_answered_alike() -> None:
    """Adapters raise subclasses."""

    class Refused(InsufficientScope, RuntimeError):
        pass

    assert bearer.answer(Refused(["a"])) == bearer.answer(InsufficientScope(["a"]))
