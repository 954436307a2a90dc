"""What an access token says, in every shape that Kinde is known to send."""

from __future__ import annotations

import copy
import gc
import hashlib
import json
import pickle
import re
import weakref
from typing import Any

import pytest
from helpers import ABSENT, AUDIENCE, CLIENT, ISSUER, M2M, NOW, USER, Issuer, Time, guard_of, mint, reason_of
from pydantic import BaseModel, TypeAdapter

from kinde_guard import AccessToken, ConfigurationError, Guard, scope
from kinde_guard.tokens.access_token import token_of

Json = dict[str, Any]

USER_OF_AN_API: Json = {
    "aud": ["myapp:prod-api"], "azp": "dee7f3c57b3c47e8b96edde2c7ecab7d", "exp": 1693371599,
    "feature_flags": {"analytics": {"t": "b", "v": True}, "theme": {"t": "s", "v": "pink"}}, "iat": 1693285199,
    "iss": "https://example.kinde.com", "jti": "fbb6bc62-x64e-4256-8ea4-8fb9a645b123", "org_code": "org_xxxxxxxxx",
    "permissions": ["create:competitions", "delete:competitions", "view:stats", "invite:users", "view:profile"],
    "scp": ["openid", "profile", "email", "offline"], "sub": "kp:_xxxxxxxxx",
}  # fmt: skip
USER_WITHOUT_AUDIENCE: Json = {
    "aud": [], "azp": "46b8ab7596fc4315b947b32b450114ec", "exp": 1683561311, "feature_flags": {
        "competitions_limit": {"t": "i", "v": 5}, "is_dark_mode": {"t": "b", "v": True},
        "theme": {"t": "s", "v": "pink"}},
    "iat": 1683474911, "iss": "https://sgtechqt-development.au.kinde.com",
    "jti": "6f0d3c06-c301-4542-b0c6-e84fbcae6d0f", "org_code": "org_1486622b2cd", "permissions": [],
    "scp": ["openid", "offline", "profile", "email"], "sub": "kp:147143d0fa4a46a8ad620c2ca1a6c290",
}  # fmt: skip
USER_CUSTOMISED: Json = {
    "aud": ["your-api"], "azp": 1234567890, "email": "example@email.com", "exp": 1234567890,
    "feature_flags": {"isonboardingcomplete": {"t": "b", "v": False}}, "iat": 1234567800,
    "iss": "https://your-kinde-subdomain-7.kinde.com", "jti": "7802e2d2-asdf-431e-bc72-5ed95asdf475d",
    "org_code": "org_123", "org_name": "Default Org", "organization_properties": {"kp_org_city": {}},
    "permissions": ["create:template"],
    "roles": [{"id": "018ee9aa-f92b-83fc-1d40-1234567890", "key": "admin", "name": "Admin"}],
    "scp": ["openid", "profile", "email", "offline"], "sub": "kp_6123456789009876",
    "user_properties": {"kp_usr_city": {}},
}  # fmt: skip
APP: Json = {
    "aud": ["your-api-audience"], "azp": "d4d3c5b74e064badb9625a4aa6241bcc", "exp": 1751237068,
    "gty": ["client_credentials"], "iat": 1751150668, "iss": "https://example.kinde.com",
    "jti": "f95ed3e0-cc4d-40c4-b95a-9971729b0ae5", "scope": "read:users write:flags",
    "scp": ["read:users", "write:flags"], "v": "2",
}  # fmt: skip
APP_WITHOUT_SCOPES: Json = {
    "applicationId": "47dfff23348d4acc84ab2770a0fa877d",
    "application_properties": {"org_code": {"v": "org_8ed648340ea9"}}, "aud": ["acme"],
    "azp": "47dfff23348d4acc84ab2770a0fa877d", "exp": 1755011382, "gty": ["client_credentials"], "iat": 1754924982,
    "iss": "https://kindetestingtamal.kinde.com", "jti": "f2cba5a5-12f4-44c4-8311-119ba65d8ca5",
    "orgCode": "org_8ed648340ea9", "orgName": "Acme Inc", "scope": "", "scp": [], "v": "2",
}  # fmt: skip
APP_OF_THE_MANAGEMENT_API: Json = {
    "aud": ["https://example.kinde.com/api"], "azp": "bd69bb9fe5db44a38b6b2dacd1f4b451", "exp": 1729812040,
    "gty": ["client_credentials"], "iat": 1729725640, "iss": "https://example.kinde.com",
    "jti": "6f091ebe-44ba-4afc-bd2f-05fcccafc89e", "scope": "read:users update:users",
}  # fmt: skip
APP_OF_A_CUSTOM_DOMAIN: Json = {
    "aud": ["trading-server-api"], "azp": "7286aeea55f84e81acbe5bfc5aef8ff8", "iss": "https://account.trading.camp",
    "exp": 1777754010, "iat": 1777667610, "gty": ["client_credentials"],
}  # fmt: skip
ID_TOKEN: Json = {
    "at_hash": "J_sewbabZDr6PDIbvAHnLA", "auth_time": 1683474911,
    "aud": ["https://sgtechqt-development.au.kinde.com", "46b8ab7596fc4315b947b32b450114ec"],
    "azp": "46b8ab7596fc4315b947b32b450114ec", "email": "a@example.com", "exp": 1683478511, "family_name": "B",
    "given_name": "A", "iat": 1683474911, "iss": "https://sgtechqt-development.au.kinde.com",
    "jti": "107a54a7-cf2d-4740-8c2e-35d239b0ff95", "name": "A B", "org_codes": ["org_1486622b2cd"], "picture": "",
    "sub": "kp:147143d0fa4a46a8ad620c2ca1a6c290", "updated_at": 1683444688,
}  # fmt: skip
WEBHOOK: Json = {
    "data": {"user": {"id": "kp_65b28d71bba14fa380d56d2d8d3503da", "organizations": [{"code": "org_590d7f1a86a"}]}},
    "event_id": "event_018f331a3178f7fef284b95fe6770384", "source": "admin",
    "timestamp": "2024-05-01T17:41:45.592145+10:00", "type": "user.updated",
}  # fmt: skip


def guard_for(claims: Json) -> Guard:
    """The guard of the API that *claims* are meant for, a second after they were issued."""
    time = Time()
    time.wall = claims["iat"] + 1
    given = {"audience": claims["aud"]} if claims["aud"] else {"audience": None, "clients": [str(claims["azp"])]}
    return guard_of(Issuer(), time, domain=claims["iss"], **given)


SHAPES = [
    pytest.param(USER_OF_AN_API, {
        "subject": "kp:_xxxxxxxxx", "client_id": "dee7f3c57b3c47e8b96edde2c7ecab7d", "is_m2m": False,
        "issuer": "https://example.kinde.com", "audience": ("myapp:prod-api",),
        "scopes": frozenset({"openid", "profile", "email", "offline"}),
        "permissions": frozenset({"create:competitions", "delete:competitions", "view:stats", "invite:users",
                                  "view:profile"}),
        "roles": frozenset(), "org_code": "org_xxxxxxxxx", "feature_flags": {"analytics": True, "theme": "pink"},
        "token_id": "fbb6bc62-x64e-4256-8ea4-8fb9a645b123", "issued_at": 1693285199.0, "expires_at": 1693371599.0,
    }, id="a user's"),
    pytest.param(USER_WITHOUT_AUDIENCE, {
        "subject": "kp:147143d0fa4a46a8ad620c2ca1a6c290", "audience": (), "permissions": frozenset(),
        "feature_flags": {"competitions_limit": 5, "is_dark_mode": True, "theme": "pink"}, "is_m2m": False,
    }, id="a user's, without an audience"),
    pytest.param({**USER_WITHOUT_AUDIENCE, "azp": "reg@live", "permissions": None}, {
        "client_id": "reg@live", "permissions": frozenset(),
    }, id="a user's, with permissions null"),
    pytest.param(USER_CUSTOMISED, {
        "subject": "kp_6123456789009876", "client_id": "1234567890", "roles": frozenset({"admin"}),
        "org_code": "org_123", "feature_flags": {"isonboardingcomplete": False}, "expires_at": 1234567890.0,
    }, id="a user's, customised, azp a number"),
    pytest.param(APP, {
        "subject": "d4d3c5b74e064badb9625a4aa6241bcc", "client_id": "d4d3c5b74e064badb9625a4aa6241bcc",
        "is_m2m": True, "scopes": frozenset({"read:users", "write:flags"}), "org_code": None,
        "permissions": frozenset(), "feature_flags": {}, "issued_at": 1751150668.0,
    }, id="an app's"),
    pytest.param({**APP, "org_code": "org_ba4a2311eb1"}, {
        "org_code": "org_ba4a2311eb1", "is_m2m": True,
    }, id="an organization's app's"),
    pytest.param({**APP, "scp": []}, {
        "scopes": frozenset({"read:users", "write:flags"}),
    }, id="an app's, scp empty beside scope"),
    pytest.param({**APP, "gty": "client_credentials"}, {"is_m2m": True}, id="an app's, gty text"),
    pytest.param(APP_WITHOUT_SCOPES, {
        "scopes": frozenset(), "org_code": None, "is_m2m": True, "subject": "47dfff23348d4acc84ab2770a0fa877d",
    }, id="an app's, without scopes, with properties"),
    pytest.param(APP_OF_A_CUSTOM_DOMAIN, {
        "issuer": "https://account.trading.camp", "scopes": frozenset(), "token_id": None, "is_m2m": True,
    }, id="an app's, of a custom domain"),
]  # fmt: skip


@pytest.mark.parametrize(("claims", "expected"), SHAPES)
def test_every_shape_of_kindes_is_read(claims: Json, expected: Json) -> None:
    token = guard_for(claims).verify(mint(base=claims))
    assert {name: getattr(token, name) for name in expected} == expected
    assert token.claims == claims


@pytest.mark.parametrize(("claims", "reason"), [
    pytest.param(ID_TOKEN, "wrong_token_type", id="an ID token"),
    pytest.param({name: value for name, value in ID_TOKEN.items() if name != "at_hash"}, "wrong_token_type",
                 id="an ID token of another flow"),
    pytest.param(WEBHOOK, "wrong_token_type", id="a webhook's"),
    pytest.param(APP_OF_THE_MANAGEMENT_API, "wrong_audience", id="one for Kinde's Management API"),
])  # fmt: skip
def test_what_kinde_signs_for_others_is_refused(claims: Json, reason: str) -> None:
    """Even at an API that took its own client for its audience, as people do."""
    time = Time()
    time.wall = claims.get("iat", NOW) + 1
    domain = claims.get("iss", ISSUER)
    guard = guard_of(Issuer(), time, domain=domain, audience=[AUDIENCE, "46b8ab7596fc4315b947b32b450114ec"])
    assert reason_of(guard, mint(base=claims)) == reason


@pytest.fixture(scope="module")
def guard() -> Guard:
    return guard_of(Issuer())


NO_SCOPES: list[object] = [None, [], {}, {"a": 1}, 1, True]
NO_TEXT: list[object] = [None, ["a"], {"a": 1}, 1, True]


@pytest.mark.parametrize(("changes", "strict", "wide"), [
    pytest.param({"scope": "a b"}, {"a", "b"}, {"a", "b"}, id="scope alone"),
    pytest.param({"scope": "a", "scp": ["b"], "permissions": ["p"]}, {"a"}, {"a"}, id="scope decides"),
    pytest.param({"scope": "", "scp": ["b"], "permissions": ["p"]}, set(), set(), id="scope decides, also when empty"),
    pytest.param({"scope": "  a  b "}, {"a", "b"}, {"a", "b"}, id="several spaces"),
    pytest.param({"scope": "a\tb c\nd\x0be\x0cf"}, {"a\tb", "c\nd\x0be\x0cf"},
                 {"a\tb", "c\nd\x0be\x0cf"}, id="other white space"),
    pytest.param({"scope": "a\u00a0b\u2003c\u3000d"}, {"a\u00a0b\u2003c\u3000d"},
                 {"a\u00a0b\u2003c\u3000d"}, id="wide spaces"),
    pytest.param({"scope": "a,b"}, {"a,b"}, {"a,b"}, id="a comma"),
    pytest.param({"scp": ["a", "b"], "permissions": ["p"]}, {"a", "b"}, {"a", "b", "p"}, id="scp"),
    pytest.param({"scp": "a b", "permissions": ["p"]}, {"a", "b"}, {"a", "b", "p"}, id="scp as text"),
    pytest.param({"scp": ["a b"]}, {"a b"}, {"a b"}, id="scp with a space inside"),
    pytest.param({"scp": ["a", 1, None, ["b"], {"c": 1}, True]}, {"a"}, {"a"}, id="scp of mixed types"),
    *(pytest.param({"scp": scp, "permissions": ["p"]}, set(), {"p"}, id=f"scp {scp!r}")
      for scp in NO_SCOPES),
    *(pytest.param({"scope": scope, "scp": ["b"]}, {"b"}, {"b"}, id=f"scope {scope!r}")
      for scope in NO_TEXT),
    pytest.param({}, set(), set(), id="none of them"),
])  # fmt: skip
def test_scopes(guard: Guard, changes: Json, strict: set[str], wide: set[str]) -> None:
    """As granted; and with ``permissions_as_scopes=True``."""
    raw = mint({"scope": ABSENT, "scp": ABSENT, "permissions": ABSENT, **changes})
    assert guard.verify(raw).scopes == strict
    assert guard_of(Issuer(), permissions_as_scopes=True).verify(raw).scopes == wide


@pytest.mark.parametrize("gty", [["client_credentials"], "client_credentials", ["x", "client_credentials"], "x", None])
def test_whoever_has_a_sub_is_a_user(guard: Guard, gty: object) -> None:
    token = guard.verify(mint({"gty": gty}))
    assert not token.is_m2m
    assert token.subject == USER["sub"]


NOTHING = (ABSENT, None)
MAPPED: list[tuple[str, str, list[tuple[object, object]]]] = [
    ("permissions", "x-hasura-permissions", [
        (["p", "q"], {"p", "q"}), ([], set()), ("p", set()), ({"p": 1}, set()), (1, set()), (["p", 1, None, {}], {"p"}),
    ]),
    ("roles", "x-hasura-roles", [
        ([{"id": "1", "key": "admin", "name": "A"}], {"admin"}), (["admin", {"key": "dev"}], {"admin", "dev"}),
        ([], set()), ([{"id": "1"}, {"key": None}, {"key": 1}, 1, None, ["admin"]], set()), ("admin", set()),
        ({"key": "admin"}, set()),
    ]),
    ("org_code", "x-hasura-org-code", [
        ("org_1", "org_1"), ("", None), (1, None), (["org_1"], None), (True, None),
    ]),
    ("feature_flags", "x-hasura-feature-flags", [
        ({"f": {"t": "b", "v": True}, "g": {"v": 0}, "n": {"t": "s", "v": None}}, {"f": True, "g": 0, "n": None}),
        ({"j": {"t": "j", "v": {"a": [1]}}}, {"j": {"a": [1]}}), ({}, {}), ([], {}), ("f", {}), (True, {}),
        ({"f": True, "g": None, "h": {}, "i": {"t": "b"}, "j": ["v"]}, {}),
    ]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "twin", "value", "meaning"), [
    pytest.param(name, twin, value, meaning, id=f"{name} {value!r}"[:60])
    for name, twin, values in MAPPED for value, meaning in values
])  # fmt: skip
def test_permissions_roles_organization_and_flags(
    guard: Guard, name: str, twin: str, value: object, meaning: object
) -> None:
    """Under their own name or, with Kinde's Hasura mapping, another one; the own one wins unless absent or null."""
    assert getattr(guard.verify(mint({name: value, twin: ABSENT})), name) == meaning
    assert getattr(guard.verify(mint({name: value, twin: MAPPED_OTHER[name]})), name) == meaning
    for nothing in NOTHING:
        assert getattr(guard.verify(mint({name: nothing, twin: value})), name) == meaning


MAPPED_OTHER: Json = {
    "permissions": ["other"], "roles": ["other"], "org_code": "other", "feature_flags": {"other": {"v": 1}},
}  # fmt: skip


@pytest.mark.parametrize("nothing", NOTHING, ids=["absent", "null"])
def test_nothing_means_none(guard: Guard, nothing: object) -> None:
    """And grants nothing."""
    names = ("permissions", "roles", "org_code", "feature_flags", "scope", "scp")
    token = guard.verify(mint(dict.fromkeys(names, nothing)))
    assert [getattr(token, name) for name in ("permissions", "roles", "org_code", "feature_flags", "scopes")] == [
        frozenset(), frozenset(), None, {}, frozenset(),
    ]  # fmt: skip


def test_a_flag_has_a_value_or_the_default(guard: Guard) -> None:
    token = guard.verify(mint())
    assert token.flag("theme") == "pink"
    assert token.flag("absent") is None
    assert token.flag("absent", "blue") == "blue"
    assert guard.verify(mint({"feature_flags": {"n": {"v": None}}})).flag("n", 1) is None


def test_times_are_seconds_in_floats(guard: Guard) -> None:
    token = guard.verify(mint({"iat": ABSENT, "exp": NOW + 0.5}))
    assert token.issued_at is None
    assert token.expires_at == NOW + 0.5
    assert type(guard.verify(mint()).expires_at) is float


@pytest.mark.parametrize("jti", [ABSENT, None, "", 1, []])
def test_a_token_without_an_id(guard: Guard, jti: object) -> None:
    assert guard.verify(mint({"jti": jti})).token_id is None


def test_a_token_cannot_be_changed(guard: Guard) -> None:
    token = guard.verify(mint())
    for name in ("subject", "scopes", "_claims", "feature_flags", "made_up"):
        with pytest.raises(AttributeError):
            setattr(token, name, "evil")
        with pytest.raises(AttributeError):
            delattr(token, name)
    assert not hasattr(token, "__dict__")
    with pytest.raises(AttributeError, match="AccessToken has no attribute 'made_up'"):
        _ = token.made_up  # type: ignore[attr-defined]
    assert token.subject == USER["sub"]


def test_what_a_token_hands_out_is_yours_to_change(guard: Guard) -> None:
    """The next caller, and the next request with the same token, see what was signed."""
    raw = mint({"feature_flags": {"j": {"t": "j", "v": {"deep": [1]}}}})
    for _ in range(2):
        token = guard.verify(raw)
        token.claims["scp"].append("admin")
        token.claims["sub"] = "evil"
        token.flag("j")["deep"].append(2)
        token.feature_flags["j"]["deep"].clear()
        assert token.claims["scp"] == USER["scp"]
        assert token.subject == USER["sub"]
        assert token.flag("j") == {"deep": [1]}
    assert type(token.claims) is dict


def test_no_app_is_not_an_app_called_none() -> None:
    """An audience that is the app's client id marks an ID token; without an app there is none to be named."""
    assert reason_of(guard_of(Issuer()), mint({"azp": ABSENT, "aud": [AUDIENCE, "None"]})) == "accepted"


def test_tokens_are_read_in_any_order(guard: Guard) -> None:
    """Claims that are at hand from the verifying are those of the token made last, and of no other."""
    one, other = guard.verify(mint({"scope": "a"})), guard.verify(mint({"scope": "b"}))
    other.claims["scope"] = "c"
    assert [*one.scopes, *other.scopes] == ["a", "b"]
    again = guard.verify(mint({"scope": "d"}))
    assert [*again.scopes, *one.scopes, again.claims["scope"]] == ["d", "a", "d"]


def test_a_token_is_itself_and_nothing_else(guard: Guard) -> None:
    """Copies are the token; it is not pickled, not compared by value, and not made by hand."""
    token = guard.verify(mint())
    assert copy.copy(token) is copy.deepcopy(token) is token
    assert {token: 1}[token] == 1
    with pytest.raises(TypeError, match="pickled"):
        pickle.dumps(token)
    with pytest.raises(TypeError):
        json.dumps(token)
    with pytest.raises(ConfigurationError, match="made by a guard"):
        AccessToken()


def test_a_token_in_a_log_shows_no_token(guard: Guard) -> None:
    raw = mint({"email": "someone@example.com"})
    token = guard.verify(raw)
    shown = f"{token} {token!r} {[token]}"
    assert ISSUER in shown
    assert CLIENT in shown
    for secret in (*raw.split("."), "someone", USER["sub"], USER["jti"]):
        assert secret not in shown
    assert f"{hashlib.sha256(raw.encode()).hexdigest()[:12]}>" in shown  # enough to tell tokens apart


@pytest.mark.parametrize(
    ("written", "kind", "instead"),
    [
        ("token['sub']", TypeError, "an AccessToken is not a dict: write token.subject"),
        ("token['permissions']", TypeError, "an AccessToken is not a dict: write token.permissions"),
        ("token['x-hasura-role']", TypeError, "an AccessToken is not a dict: write token.claims['x-hasura-role']"),
        ("'sub' in token", TypeError, "an AccessToken is not a dict: write 'sub' in token.claims"),
        ("token.get('sub')", AttributeError, "write token.claims.get(…), a plain dict"),
        ("token.sub", AttributeError, "write token.subject"),
        ("token.azp", AttributeError, "write token.client_id"),
        ("token.scope", AttributeError, "write token.scopes"),
        ("token.plan", AttributeError, "write token.claims['plan'], if it is a claim"),
        ("token.email", AttributeError, "Kinde's access tokens have none. Ask Kinde's /oauth2/v2/user_profile"),
        ("token.get_permission('a')", AttributeError, "write permission(key).met_by(token)"),
        ("token.has_scope('a')", AttributeError, "write scope(name).met_by(token)"),
        ("token.raw", AttributeError, "the text of a token is not kept"),
        ("token._made_by", AttributeError, "no attribute '_made_by'"),
        ("token.org", AttributeError, "write token.org_code"),
        ("token.is_machine", AttributeError, "write token.is_m2m"),
        ("list(token)", TypeError, "an AccessToken is not a dict: write token.claims, a plain dict"),
        ("dict(token)", TypeError, "an AccessToken is not a dict: write token.claims, a plain dict"),
    ],
)
def test_the_spelling_of_other_libraries_is_answered_by_ours(
    guard: Guard, written: str, kind: type[Exception], instead: str
) -> None:
    token = guard.verify(mint())
    with pytest.raises(kind, match=re.escape(instead)):
        eval(written, {"token": token})


def test_a_token_keeps_no_text_of_itself(guard: Guard) -> None:
    """Nothing reachable from it is the token or its signature."""
    raw = mint()
    signature = raw.rpartition(".")[2]
    seen: set[int] = set()
    todo: list[Any] = [guard.verify(raw)]
    while todo:
        item = todo.pop()
        if id(item) not in seen and not isinstance(item, type):
            seen.add(id(item))
            assert not (isinstance(item, str) and signature in item)
            assert not (isinstance(item, bytes) and signature.encode() in item)
            todo += gc.get_referents(item)


def test_pydantic_is_refused() -> None:
    """Or FastAPI would fill ``token: AccessToken`` from the body that the caller sends."""
    with pytest.raises(ConfigurationError, match="Token"):
        TypeAdapter(AccessToken)
    with pytest.raises(ConfigurationError, match="never read from a request body"):

        class Body(BaseModel):
            token: AccessToken


def test_no_demand_is_met_by_nothing(guard: Guard) -> None:
    assert not scope("read:users").met_by(guard.verify(mint(base=M2M, claims={"scope": "", "scp": ["read:users"]})))


class TestClaimsAtHand:
    """Parsed claims take ten times the room of the payload: one token holds them, while it lives, and no other."""

    def test_the_token_made_last_alone_holds_claims(self) -> None:
        first, second = (token_of(b'{"iss": "a", "exp": 1}', b"", False, {"iss": "a", "exp": 1}) for _ in range(2))
        assert not any(type(held) is dict and "iss" in held for held in gc.get_referents(first))
        assert any(type(held) is dict and "iss" in held for held in gc.get_referents(second))
        assert first.issuer == second.issuer == "a"

    def test_they_go_with_the_token(self) -> None:
        """With cache_size=0, say: what the last caller's token said is not held until the next caller comes."""

        class Claims(dict[str, Any]):
            """As plain dicts take no weak references."""

        claims = Claims(iss="a", exp=1)
        gone = weakref.ref(claims)
        token_of(b"{}", b"", False, claims)
        del claims
        assert gone() is None

    def test_only_what_is_asked_for_is_read(self) -> None:
        """A route that demands a scope pays for the scopes."""
        token = token_of(b'{"iss": "a", "exp": 1, "scope": "b"}', b"", False, {"iss": "a", "exp": 1, "scope": "b"})
        assert token.scopes == {"b"}
        assert 1.0 not in [held for held in gc.get_referents(token) if type(held) is float]  # expires_at
