"""Every rule, through the front door: a token right in all but one respect is refused for that respect."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from helpers import (
    ABSENT,
    AUDIENCE,
    CLIENT,
    ISSUER,
    KID,
    M2M,
    NOW,
    USER,
    Issuer,
    Time,
    guard_of,
    jwk,
    key_set,
    mint,
    reason_of,
    rsa_key,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from kinde_guard import AccessToken, Guard, InvalidToken, KeysUnavailable
from kinde_guard.tokens import rules

Changes = dict[str, Any]
LAST_DATE = 253_402_300_799
FAR = int(NOW) + 60


def rows(reason: str, *changes: Changes) -> list[Any]:
    """Table rows with names that tell the change."""
    return [pytest.param(change, reason, id=f"{reason}: {str(change)[:70]}") for change in changes]


def values(reason: str, name: str, *found: object) -> list[Any]:
    """Rows in which the member *name* has these values."""
    return rows(reason, *({name: value} for value in found))


HEADERS = [
    *values("unsupported_algorithm", "alg",
        "none", "None", "NONE", "nOnE", "", " RS256", "RS256 ", "rs256", "RS384", "RS512", "PS256", "ES256", "EdDSA",
        "HS256", "HS512", "RSA-OAEP", "dir", ["RS256"], {"RS256": 1}, None, True, 256, ABSENT,
    ),
    *values("wrong_token_type", "typ",
        "JWE", "dpop+jwt", "logout+jwt", "secevent+jwt", "id+jwt", "application/jwt", "JWT ", " JWT", "", None, 1,
        True, ["JWT"], {},
    ),
    *values("unsupported_header", "crit", [], ["exp"], ["b64"], None, "exp"),
    *values("unsupported_header", "b64", False, True, None),
    *values("unsupported_header", "zip", "DEF", None),
    *values("unsupported_header", "cty", "JWT", "jwt", "application/JWT"),
    *values("malformed", "kid", "", None, 1, True, [KID], {}, "k" * 257, ABSENT),
]  # fmt: skip

CLAIMS = [
    *rows("wrong_token_type",
        {"at_hash": "J_sewbabZDr6PDIbvAHnLA"}, {"at_hash": None}, {"nonce": "n"}, {"nonce": None},
        {"aud": [ISSUER, CLIENT]}, {"aud": [AUDIENCE, ISSUER]}, {"aud": [AUDIENCE, CLIENT]}, {"aud": CLIENT},
        {"aud": [AUDIENCE, "1234"], "azp": 1234}, {"aud": ISSUER},
        {"events": {}}, {"event_id": "event_1", "iss": ABSENT}, {"cnf": {"jkt": "x"}}, {"cnf": {}}, {"cnf": None},
        {"sub": ABSENT}, {"sub": ABSENT, "gty": ["refresh_token"]}, {"sub": ABSENT, "gty": "client_credentials2"},
        {"sub": ABSENT, "gty": {"client_credentials": 1}}, {"sub": ABSENT, "gty": None},
        {"sub": ABSENT, "gty": ["client_credentials"], "azp": ABSENT},
    ),
    *values("malformed", "sub", "", None, 1, True, ["kp_1"], {"id": "kp_1"}),
    *values("malformed", "azp", "", None, 1.5, True, False, [CLIENT], {}),
    *values("malformed", "iss", 1, True, [ISSUER], {"iss": ISSUER}),
    *values("unknown_issuer", "iss",
        ABSENT, None, "", ISSUER + "/", ISSUER.upper(), "https://Acme.kinde.com", "http://acme.kinde.com",
        "acme.kinde.com", "https://evil.kinde.com", ISSUER + ".evil.example", "https://evil.example/" + ISSUER,
        ISSUER + ":443", ISSUER + "@evil.example", ISSUER + " ", " " + ISSUER, ISSUER[:-1],
    ),
    *values("malformed", "aud",
        None, 1, True, {}, {AUDIENCE: 1}, [AUDIENCE, 1], [None], [[AUDIENCE]], [{"aud": AUDIENCE}],
    ),
    *values("wrong_audience", "aud",
        "", [""], "https://other.acme.com", ["https://other.acme.com", "x"], AUDIENCE + "/", AUDIENCE.upper(),
        AUDIENCE[:-1], f"{AUDIENCE} https://other", [f"{AUDIENCE},x"], [" " + AUDIENCE],
    ),
    *rows("empty_audience", {"aud": []}, {"aud": ABSENT}, {"aud": ABSENT, "azp": ABSENT}, {"aud": [], "azp": ABSENT}),
    *rows("unknown_issuer", {"iss": ABSENT, "aud": ABSENT}, {"iss": None, "aud": []}),
    *rows("malformed", {"aud": None, "azp": ABSENT}, {"aud": [None], "azp": ABSENT}),
    *values("malformed", "exp",
        ABSENT, None, str(FAR), True, -1, -0.5, LAST_DATE + 1, 10**400, 1e308, [FAR], {},
    ),
    *values("expired", "exp", 0, NOW - 3600, NOW - 30, int(NOW) - 30, NOW - 30.5),
    *values("malformed", "nbf", None, str(int(NOW)), True, False, -1, LAST_DATE + 1, [NOW]),
    *values("malformed", "iat", None, str(int(NOW)), True, False, -1, LAST_DATE + 1, [NOW]),
    *values("not_yet_valid", "nbf", NOW + 30.5, FAR, LAST_DATE),
    *values("not_yet_valid", "iat", NOW + 30.5, FAR, LAST_DATE),
]  # fmt: skip

ACCEPTED_HEADERS: list[Changes] = [
    {}, {"typ": ABSENT}, {"typ": "jwt"}, {"typ": "at+jwt"}, {"typ": "AT+JWT"}, {"typ": "application/at+jwt"},
    {"typ": "Application/AT+JWT"}, {"unknown": [1]}, {"jku": "https://evil.example/jwks"}, {"x5u": 1},
    {"x5c": ["x"]}, {"jwk": jwk(key=rsa_key("a stranger's"))},
    {"cty": "x"}, {"cty": None}, {"cty": ["JWT"]},
]  # fmt: skip
ACCEPTED_CLAIMS: list[Changes] = [
    {}, {"aud": AUDIENCE}, {"aud": ["x", AUDIENCE]}, {"exp": NOW - 29.5}, {"exp": LAST_DATE}, {"exp": FAR + 0.25},
    {"nbf": NOW + 30}, {"iat": NOW + 30}, {"iat": ABSENT}, {"nbf": 0}, {"jti": ABSENT}, {"azp": ABSENT},
    {"azp": 1234567890}, {"azp": "reg@live"}, {"event_id": "event_1"}, {"auth_time": 1}, {"org_codes": ["org_1"]},
    {"scp": ABSENT}, {"permissions": None}, {"sub": ABSENT, "gty": "client_credentials"},
    {"sub": ABSENT, "gty": ["x", "client_credentials"], "azp": 1234}, {"aud": [AUDIENCE, "1234"], "azp": 12345},
]  # fmt: skip


@pytest.fixture(scope="module")
def guard() -> Guard:
    """Of an issuer with one key, and a clock that stands still."""
    return guard_of(Issuer())


@pytest.fixture
def cold() -> tuple[Guard, Issuer]:
    """A guard that has fetched nothing yet, and its issuer."""
    issuer = Issuer()
    return guard_of(issuer), issuer


@pytest.mark.parametrize(("change", "reason"), HEADERS)
def test_a_wrong_header_is_refused_before_any_key_is_asked_for(
    cold: tuple[Guard, Issuer], change: Changes, reason: str
) -> None:
    guard, issuer = cold
    assert reason_of(guard, mint(header=change)) == reason
    assert issuer.fetches == []


@pytest.mark.parametrize(("change", "reason"), CLAIMS)
def test_a_wrong_claim_is_refused_before_any_key_is_asked_for(
    cold: tuple[Guard, Issuer], change: Changes, reason: str
) -> None:
    guard, issuer = cold
    assert reason_of(guard, mint(change)) == reason
    assert issuer.fetches == []


def test_every_refusal_has_a_hint(guard: Guard) -> None:
    """For the people who run the API, in the log."""
    for part, table in (("header", HEADERS), ("claims", CLAIMS)):
        for row in table:
            with pytest.raises(InvalidToken) as refusal:
                guard.verify(mint(**{part: row.values[0]}))
            assert refusal.value.hint, row.id


@pytest.mark.parametrize(("change", "word"), [
    ({"exp": ABSENT}, "exp"), ({"nbf": None}, "nbf"), ({"iat": None}, "iat"), ({"iss": "https://other"}, ISSUER),
], ids=str)  # fmt: skip
def test_a_hint_names_what_it_is_about(guard: Guard, change: Changes, word: str) -> None:
    with pytest.raises(InvalidToken) as refusal:
        guard.verify(mint(change))
    assert word in refusal.value.hint.replace(". ", " ").split()


@pytest.mark.parametrize("change", ACCEPTED_HEADERS, ids=lambda change: str(change)[:70])
def test_what_a_header_may_say(guard: Guard, change: Changes) -> None:
    assert reason_of(guard, mint(header=change)) == "accepted"


@pytest.mark.parametrize("change", ACCEPTED_CLAIMS, ids=str)
def test_what_claims_may_say(guard: Guard, change: Changes) -> None:
    raw = mint(change)
    assert guard.verify(raw) is guard.verify(raw)  # the second time from memory, from the first second to the last


@pytest.mark.parametrize(("changes", "reason"), [
    pytest.param({"header": {"kid": "another"}}, "unknown_key", id="a kid the issuer does not have"),
    pytest.param({"header": {"kid": KID.upper()}}, "unknown_key", id="the kid in other letters"),
    pytest.param({"header": {"kid": "k"}}, "unknown_key", id="the shortest kid"),
    pytest.param({"header": {"kid": "k" * 256}}, "unknown_key", id="the longest kid"),
    pytest.param({"key": rsa_key("a stranger's")}, "bad_signature", id="signed by a stranger"),
    pytest.param(
        {"key": rsa_key("a stranger's"), "header": {"jwk": jwk(key=rsa_key("a stranger's"))}},
        "bad_signature", id="signed by a stranger who sends his key along",
    ),
])  # fmt: skip
def test_the_key_is_the_issuers(guard: Guard, changes: Changes, reason: str) -> None:
    assert reason_of(guard, mint(**changes)) == reason


def test_the_signature_is_whole(guard: Guard) -> None:
    """Absent, cut, lengthened, or another token's."""
    signing_input, _, signature = mint().rpartition(".")
    other = mint({"jti": "other"}).rpartition(".")[2]
    for wrong in ("", signature[:340], signature + "AAAA", other):
        assert reason_of(guard, f"{signing_input}.{wrong}") == "bad_signature"


IN_ORDER: list[tuple[Changes, Changes, str]] = [
    ({}, {"alg": "none"}, "unsupported_algorithm"),
    ({}, {"typ": "JWE"}, "wrong_token_type"),
    ({}, {"crit": ["x"]}, "unsupported_header"),
    ({}, {"kid": ABSENT}, "malformed"),
    ({"nonce": "n"}, {}, "wrong_token_type"),
    ({"iss": "https://evil.example"}, {}, "unknown_issuer"),
    ({"aud": ["https://other"]}, {}, "wrong_audience"),
    ({"exp": NOW - 60}, {}, "expired"),
    ({"nbf": NOW + 60}, {}, "not_yet_valid"),
    ({}, {"kid": "another"}, "unknown_key"),
]


@pytest.mark.parametrize(("first", "second"), [
    pytest.param(first, second, id=f"{first[2]} before {second[2]} ({n})")
    for n, (first, second) in enumerate(itertools.combinations(IN_ORDER, 2))
    if not first[1].keys() & second[1].keys()
])  # fmt: skip
def test_rules_are_asked_in_their_order(
    guard: Guard, first: tuple[Changes, Changes, str], second: tuple[Changes, Changes, str]
) -> None:
    raw = mint({**first[0], **second[0]}, {**first[1], **second[1]}, key=rsa_key("a stranger's"))
    assert reason_of(guard, raw) == first[2]


def test_every_rule_that_is_told_of_is_asked() -> None:
    asked = rules.check_claims.__code__.co_names
    assert [rule.__name__ for rule in rules.CLAIMS_RULES] == [name for name in asked if name.startswith("check_")]


def test_leeway_is_set_in_seconds() -> None:
    """Thirty unless told otherwise; with none, the second of ``exp`` is too late (RFC 7519 §4.1.4)."""
    strict, wide = (guard_of(Issuer(), leeway=leeway) for leeway in (0, 300))
    assert reason_of(strict, mint({"exp": NOW})) == "expired"
    assert reason_of(strict, mint({"nbf": NOW + 1})) == "not_yet_valid"
    assert reason_of(strict, mint({"exp": NOW + 1, "nbf": NOW})) == "accepted"
    assert reason_of(wide, mint({"exp": NOW - 299, "nbf": NOW + 300})) == "accepted"
    assert reason_of(wide, mint({"exp": NOW - 300})) == "expired"


def test_a_token_ages() -> None:
    """Remembered or not, it is refused from ``exp`` plus leeway on."""
    time = Time()
    guard, raw = guard_of(Issuer(), time), mint({"exp": NOW + 100, "iat": NOW})
    assert reason_of(guard, raw) == "accepted"
    time.passes(129)
    assert reason_of(guard, raw) == "accepted"
    time.passes(1)
    assert reason_of(guard, raw) == "expired"


@pytest.mark.parametrize("name", ["nbf", "iat"])
def test_a_clock_set_back_makes_a_token_too_young(name: str) -> None:
    """Also one that is remembered, and whichever of its dates is the later."""
    time = Time()
    guard, raw = guard_of(Issuer(), time), mint({"nbf": NOW - 50, "iat": NOW - 50, name: NOW})
    assert reason_of(guard, raw) == "accepted"
    time.passes(-30)
    assert reason_of(guard, raw) == "accepted"
    time.passes(-1)
    assert reason_of(guard, raw) == "not_yet_valid"


def test_any_of_several_audiences_will_do() -> None:
    guard = guard_of(Issuer(), audience=[AUDIENCE, "myapp:prod-api"])
    assert reason_of(guard, mint({"aud": "myapp:prod-api"})) == "accepted"
    assert reason_of(guard, mint({"aud": ["x", AUDIENCE]})) == "accepted"
    assert reason_of(guard, mint({"aud": "x"})) == "wrong_audience"


@pytest.mark.parametrize(("change", "reason"), [
    pytest.param({"aud": []}, "accepted", id="an empty list, of a listed app"),
    pytest.param({"aud": ABSENT}, "accepted", id="no audience, of a listed app"),
    pytest.param({"aud": [], "azp": 1234}, "accepted", id="a listed number"),
    pytest.param({"aud": [AUDIENCE]}, "wrong_audience", id="an audience"),
    pytest.param({"aud": ""}, "wrong_audience", id="an audience of no letters"),
    pytest.param({"aud": None}, "malformed", id="null"),
    pytest.param({"aud": [], "azp": "another"}, "wrong_client", id="of another app"),
    pytest.param({"aud": [], "azp": CLIENT.upper()}, "wrong_client", id="in other letters"),
    pytest.param({"aud": [], "azp": ABSENT}, "wrong_client", id="of no app"),
    pytest.param({"aud": ABSENT, "azp": ABSENT}, "wrong_client", id="of nobody for nobody"),
])  # fmt: skip
def test_without_an_audience_only_listed_apps(change: Changes, reason: str) -> None:
    """``audience=None, clients=[…]``: for tenants whose tokens name none (kinde.md 1.3 shows one)."""
    guard = guard_of(Issuer(), audience=None, clients=[CLIENT, "1234"])
    assert reason_of(guard, mint(change)) == reason
    if reason != "accepted":
        with pytest.raises(InvalidToken) as refusal:
            guard.verify(mint(change))
        assert refusal.value.hint


def test_keys_belong_to_their_issuer() -> None:
    """Two domains of a tenant: each one's tokens are checked with its own keys, whatever their kid."""
    own, custom = rsa_key(), rsa_key("the custom domain's")
    issuer = Issuer(others={"account.acme.com": key_set(jwk(key=custom))})
    guard = guard_of(issuer, domain=["acme.kinde.com", "account.acme.com"])
    theirs = {"iss": "https://account.acme.com"}
    assert reason_of(guard, mint(key=own)) == "accepted"
    assert reason_of(guard, mint(theirs, key=custom)) == "accepted"
    assert reason_of(guard, mint(key=custom)) == "bad_signature"
    assert reason_of(guard, mint(theirs, key=own)) == "bad_signature"
    hosts = ("account.acme.com", "acme.kinde.com")
    # A signature that does not hold may have had them fetched once more, behind the requests.
    assert set(issuer.fetches) == {f"https://{host}/.well-known/jwks" for host in hosts}


def test_without_keys_it_cannot_tell() -> None:
    """An issuer that is down says nothing about a token: not even a forged one is called invalid."""
    issuer = Issuer()
    issuer.status = 500
    guard = guard_of(issuer)
    for raw in (mint(), mint(key=rsa_key("a stranger's"))):
        with pytest.raises(KeysUnavailable) as caught:
            guard.verify(raw)
        assert caught.value.retry_after >= 1
    assert reason_of(guard, mint({"exp": NOW - 60})) == "expired"  # what needs no key needs no issuer


def test_a_token_changed_in_one_bit_is_refused(guard: Guard) -> None:
    """Every bit of one token, in turn."""
    raw = mint(base=M2M)
    assert reason_of(guard, raw) == "accepted"
    for at, bit in itertools.product(range(len(raw)), range(8)):
        other = raw[:at] + chr(ord(raw[at]) ^ 1 << bit) + raw[at + 1 :]
        assert reason_of(guard, other) != "accepted", (at, bit)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
    | st.sampled_from([ISSUER, AUDIENCE, CLIENT, NOW, "client_credentials"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)  # fmt: skip
claim_names = st.sampled_from([*USER, *M2M, "nbf", "nonce", "cnf", "events", "event_id", "roles"])


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(claim_names, json_values, max_size=3), st.sampled_from([USER, M2M]))
def test_whatever_kinde_signs_there_is_a_verdict(guard: Guard, changes: Changes, base: Changes) -> None:
    """Accepted or refused, never another exception; what is accepted can be read and is what the rules promise."""
    raw = mint(changes, base=base)
    reason = reason_of(guard, raw)
    assert reason in ("accepted", "malformed", "wrong_token_type", "unknown_issuer", "wrong_audience",
                      "empty_audience", "expired", "not_yet_valid")  # fmt: skip
    if reason == "accepted":
        token = guard.verify(raw)
        assert token.issuer == ISSUER
        assert AUDIENCE in token.audience
        assert token.expires_at + 30 > NOW
        assert token.subject
        for name in AccessToken.__slots__:
            getattr(token, name)
        assert token.claims == {**base, **changes}


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.sampled_from(["alg", "kid", "typ", "crit", "zip", "jwk"]) | st.text(), json_values))
def test_whatever_a_header_says_there_is_a_verdict(guard: Guard, changes: Changes) -> None:
    reason = reason_of(guard, mint(header=changes))
    assert reason in ("accepted", "malformed", "unsupported_algorithm", "wrong_token_type", "unsupported_header",
                      "unknown_key")  # fmt: skip
