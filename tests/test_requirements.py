"""What a route demands: met or not, and what the caller is told when it is not."""

from __future__ import annotations

import contextlib
import functools
import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from helpers import ABSENT, M2M, Issuer, guard_of, mint
from hypothesis import given, settings
from hypothesis import strategies as st

from kinde_guard import (
    AccessToken,
    AuthError,
    ConfigurationError,
    Forbidden,
    InsufficientScope,
    Requirement,
    flag,
    machine,
    org,
    permission,
    role,
    scope,
    user,
)
from kinde_guard.requirements import authenticated, org_of_route, parse

GUARD = guard_of(Issuer())
RICH = {
    "scp": ["read:users", "write:users"], "permissions": ["p:read", "p:write"], "roles": [{"key": "admin"}, "dev"],
    "org_code": "org_1", "feature_flags": {
        "on": {"t": "b", "v": True}, "off": {"t": "b", "v": False}, "limit": {"t": "i", "v": 1},
        "zero": {"t": "i", "v": 0}, "theme": {"t": "s", "v": "pink"}, "json": {"t": "j", "v": {"a": [1]}}},
}  # fmt: skip


def token_of(**claims: Any) -> AccessToken:
    return GUARD.verify(mint(claims))


@functools.cache
def rich() -> AccessToken:
    """A user who holds much."""
    return token_of(**RICH)


@functools.cache
def poor() -> AccessToken:
    """A user who holds nothing."""
    return token_of(**dict.fromkeys(RICH, ABSENT))


@functools.cache
def app() -> AccessToken:
    return GUARD.verify(mint(base=M2M))


MET = [
    scope("read:users"), scope("read:users", "write:users"), scope("write:users", "write:users"),
    permission("p:read"), permission("p:read", "p:write"), role("admin"), role("dev", "admin"), org("org_1"),
    flag("on"), flag("off", False), flag("limit", 1), flag("zero", 0), flag("theme", "pink"), flag("json", {"a": [1]}),
    user, authenticated, scope("x") | role("dev"), scope("read:users") & org("org_1") & flag("on"),
    (scope("x") | scope("read:users")) & (org("x") | org("org_1")), machine | user,
]  # fmt: skip


@pytest.mark.parametrize("requirement", MET, ids=str)
def test_what_a_token_meets(requirement: Requirement) -> None:
    assert requirement.met_by(rich())
    rich().require(requirement)


UNMET = [
    (scope("admin"), "insufficient_scope", ("admin",)),
    (scope("read:users", "admin"), "insufficient_scope", ("read:users", "admin")),
    (scope("admin", "owner", "admin"), "insufficient_scope", ("admin", "owner")),
    *((scope(name), "insufficient_scope", (name,))
      for name in ("READ:users", "read", "read:users2", "read:*", "p:read", "read:users,write:users")),
    (permission("p:delete"), "missing_permission", None),
    (permission("p:read", "p:delete"), "missing_permission", None),
    (permission("P:read"), "missing_permission", None),
    (permission("read:users"), "missing_permission", None),
    (role("Admin"), "missing_role", None),
    (role("admin", "owner"), "missing_role", None),
    (org("org_2"), "wrong_org", None),
    (org("ORG_1"), "wrong_org", None),
    *((flag(key, value), "missing_flag", None) for key, value in (
        ("absent", True), ("off", True), ("on", False), ("on", 1), ("limit", True), ("limit", 2), ("limit", 1.0),
        ("limit", "1"), ("zero", False), ("theme", "Pink"), ("json", {"a": [2]}), ("absent", None))),
    (machine, "wrong_subject", None),
    # & reports the first part that is not met; a refusal for scopes names all of them
    (scope("x") & permission("p:delete"), "insufficient_scope", ("x",)),
    (permission("p:delete") & scope("x"), "missing_permission", None),
    (scope("read:users") & permission("p:delete"), "missing_permission", None),
    (scope("read:users") & org("org_1") & scope("x"), "insufficient_scope", ("read:users", "x")),
    (scope("x") & scope("y") & scope("x"), "insufficient_scope", ("x", "y")),
    (scope("x") & (scope("y") | scope("z")), "insufficient_scope", ("x", "y")),
    ((scope("y") | scope("z")) & scope("read:users"), "insufficient_scope", ("y", "read:users")),
    # | reports the first alternative that names a scope, else the first
    (permission("p:delete") | role("owner"), "missing_permission", None),
    (permission("p:delete") | scope("x") | scope("y"), "insufficient_scope", ("x",)),
    (org("org_2") | (role("owner") & scope("x")), "missing_role", None),
    (org("org_2") | (scope("x", "y") & role("owner")), "insufficient_scope", ("x", "y")),
    (machine & scope("x") | org("org_2"), "wrong_subject", None),
]  # fmt: skip


@pytest.mark.parametrize(("requirement", "reason", "required"), [
    pytest.param(requirement, reason, required, id=f"{requirement} ({reason})")
    for requirement, reason, required in UNMET
])  # fmt: skip
def test_what_a_token_lacks(requirement: Requirement, reason: str, required: tuple[str, ...] | None) -> None:
    assert not requirement.met_by(rich())
    with pytest.raises((InsufficientScope, Forbidden)) as caught:
        rich().require(requirement)
    assert caught.value.reason == reason
    assert getattr(caught.value, "required", None) == required
    assert isinstance(caught.value, Forbidden) == (required is None)


@pytest.mark.parametrize("requirement", [
    scope("read:users"), permission("p:read"), role("admin"), org("org_1"), flag("on"), flag("off", False),
    flag("json", None),
], ids=str)  # fmt: skip
def test_a_token_that_says_nothing_meets_nothing(requirement: Requirement) -> None:
    """Absent, null and empty alike: a demand for what is not there fails closed."""
    assert not requirement.met_by(poor())
    nothings: tuple[object, ...] = (None, [], {}, "")
    for nothing in nothings:
        assert not requirement.met_by(token_of(**dict.fromkeys(RICH, nothing)))


def test_users_and_apps() -> None:
    assert machine.met_by(app())
    assert not user.met_by(app())
    with pytest.raises(Forbidden) as caught:
        app().require(user)
    assert caught.value.reason == "wrong_subject"


def test_the_organization_of_a_path() -> None:
    """Absent or empty on either side is a refusal; a route without that parameter is a mistake of ours."""
    in_path = org_of_route(None, "org_code")
    assert in_path.bound({"org_code": "org_1"}).met_by(rich())
    wrong: list[tuple[object, AccessToken]] = [("org_2", rich()), ("ORG_1", rich()), ("", rich())]
    for code, token in (*wrong, ("org_1", poor()), ("", poor()), (None, poor())):
        with pytest.raises(Forbidden) as caught:
            token.require(in_path.bound({"org_code": code}))
        assert caught.value.reason == "wrong_org"
    both = scope("read:users") & (in_path | machine)
    assert both.bound({"org_code": "org_1"}).met_by(rich())
    assert not both.bound({"org_code": "org_2"}).met_by(rich())
    assert org_of_route("org_1", None).bound({}).met_by(rich())
    with pytest.raises(ConfigurationError, match="no path parameter"):
        both.bound({"other": "org_1"})
    with pytest.raises(ConfigurationError, match="needs a route"):
        in_path.met_by(rich())


def test_what_asks_for_nothing_of_a_path_is_the_same_for_every_request() -> None:
    """Each request binds what its route requires: nothing new is made of it without need."""
    for requirement in (authenticated, scope("a") & machine, scope("a") | org("b")):
        assert requirement.bound({"org_code": "org_1"}) is requirement
    of_path = scope("a") & org_of_route(None, "org_code")
    assert of_path.bound({"org_code": "org_1"}) is not of_path


ANY: Any = scope("a")  # so that type checkers let the mistakes pass


@pytest.mark.parametrize("mistake", [
    pytest.param(lambda: scope(), id="no scope"),
    pytest.param(lambda: permission(), id="no permission"),
    pytest.param(lambda: role(), id="no role"),
    *(pytest.param(lambda name=name: scope(name), id=f"scope {name!r}")
      for name in ("", " ", "a b", "a,b c", "a\tb", 'a"b', "a\\b", "é", "a\n", "\x7f", None, 1, ["a"], b"a")),
    *(pytest.param(lambda make=make, name=name: make(name), id=f"{make.__name__} {name!r}")
      for make in (permission, role, org, flag) for name in ("", " ", "\n", None, 1, ["a"])),
    pytest.param(lambda: scope("a", "b c"), id="a space in the second scope"),
    pytest.param(lambda: org_of_route(None, None), id="no organization"),
    pytest.param(lambda: org_of_route("org_1", "org_code"), id="an organization and a path"),
    pytest.param(lambda: org_of_route("", None), id="an empty organization"),
    pytest.param(lambda: org_of_route(None, ""), id="an empty path parameter"),
    pytest.param(lambda: ANY & "b", id="& with text"),
    pytest.param(lambda: ANY | None, id="| with None"),
    pytest.param(lambda: ANY & scope, id="& with the function"),
    pytest.param(lambda: scope("a") and scope("b"), id="and"),
    pytest.param(lambda: scope("a") or scope("b"), id="or"),
    pytest.param(lambda: not scope("a"), id="not"),
    pytest.param(lambda: bool(machine), id="bool"),
    pytest.param(lambda: 1 if authenticated else 2, id="if"),
])  # fmt: skip
def test_a_mistake_is_an_error_where_it_is_made(mistake: Callable[[], object]) -> None:
    """At import, that is, and not a quiet "no demand"."""
    with pytest.raises(ConfigurationError):
        mistake()


def test_a_requirement_of_nothing_cannot_be_made() -> None:
    with pytest.raises(TypeError, match="abstract"):
        Requirement()  # type: ignore[abstract]


@pytest.mark.parametrize(("requirement", "text"), [
    (scope("a", "b"), "scope('a', 'b')"), (permission("p"), "permission('p')"), (role("r"), "role('r')"),
    (org("o"), "org('o')"), (flag("f"), "flag('f', True)"), (flag("f", "True"), "flag('f', 'True')"),
    (machine, "machine"), (user, "user"), (authenticated, "any valid token"),
    (org_of_route(None, "o"), "org(path='o')"),
    (org_of_route(None, "o").bound({"o": "org_1"}), "org(path='o')"),
    (scope("a") & (machine | user) & org("o"), "scope('a') & (machine | user) & org('o')"),
    (scope("a") & machine | user, "scope('a') & machine | user"),
    (machine & (machine & user), "machine & machine & user"),
])  # fmt: skip
def test_a_requirement_reads_as_it_was_written(requirement: Requirement, text: str) -> None:
    assert str(requirement) == text


def test_a_hint_says_what_to_do_and_nothing_of_the_caller() -> None:
    token = token_of(permissions=["read:users"], scp=["secret:scope"], sub="kp_secret", org_code="org_secret")
    demands = [scope("read:users"), scope("a", "b"), permission("p"), role("r"), org("o"), flag("f"), machine]
    hints = []
    for demand in demands:
        refusal = demand.refusal(token)
        assert isinstance(refusal, AuthError)
        assert "secret" not in refusal.hint
        hints.append(refusal.hint)
    words = ("permissions_as_scopes", "a b", "p", "roles", "organization", "f", "app")
    assert all(word in hint for hint, word in zip(hints, words, strict=True))


@pytest.mark.parametrize(("claims", "settings", "hint"), [
    ({}, {}, "the token lacks a: a user's token has OIDC scopes alone: demand permission(…) instead; or, in Kinde,"),
    ({"permissions": None}, {}, "and set permissions_as_scopes=True"),
    ({"permissions": ["a"]}, {}, "the token holds a as a permission, not as a scope"),
    ({"scope": "b"}, {}, "authorise the app for it in Kinde, and request the scope"),
    ({}, {"permissions_as_scopes": True}, "the user has no permission a: in Kinde, give it to the user"),
    ({"sub": ABSENT, "gty": ["client_credentials"]}, {}, "authorise the app for it in Kinde, and request the scope"),
], ids=str)  # fmt: skip
def test_what_is_said_of_a_scope_that_is_lacking(claims: Any, settings: Any, hint: str) -> None:
    """Apps are granted scopes; users have permissions, and requesting a scope of an API's does nothing for them."""
    refusal = scope("a").refusal(guard_of(Issuer(), **settings).verify(mint(claims)))
    assert isinstance(refusal, AuthError)
    assert hint in refusal.hint


NAMES = ("a", "b", "c")
leaves = st.one_of(
    st.lists(st.sampled_from(NAMES), min_size=1, max_size=2).map(lambda names: ("scope", tuple(names))),
    st.tuples(st.just("permission"), st.tuples(st.sampled_from(NAMES))),
    st.tuples(st.just("org"), st.tuples(st.sampled_from(NAMES))),
)
trees = st.recursive(leaves, lambda inner: st.tuples(st.sampled_from("&|"), inner, inner), max_leaves=6)


def built(tree: Any) -> Requirement:
    makers: dict[str, Callable[..., Requirement]] = {"scope": scope, "permission": permission, "org": org}
    if tree[0] in makers:
        return makers[tree[0]](*tree[1])
    left, right = built(tree[1]), built(tree[2])
    return left & right if tree[0] == "&" else left | right


def holds(tree: Any, held: dict[str, set[str]]) -> bool:
    if tree[0] in held:
        return set(tree[1]) <= held[tree[0]]
    return (all if tree[0] == "&" else any)([holds(tree[1], held), holds(tree[2], held)])


@settings(max_examples=150, deadline=None)
@given(trees, st.sets(st.sampled_from(NAMES)), st.sets(st.sampled_from(NAMES)), st.sampled_from(NAMES))
def test_and_and_or_are_what_they_are_in_logic(tree: Any, scopes: set[str], permissions: set[str], code: str) -> None:
    """And whoever is refused for scopes and gets all that are named is not refused for scopes again."""
    requirement, held = built(tree), {"scope": scopes, "permission": permissions, "org": {code}}
    token = token_of(scp=sorted(scopes), permissions=sorted(permissions), org_code=code)
    assert requirement.met_by(token) == holds(tree, held)
    refusal = requirement.refusal(token)
    if isinstance(refusal, InsufficientScope):
        richer = token_of(scp=[*scopes, *refusal.required], permissions=sorted(permissions), org_code=code)
        assert not isinstance(requirement.refusal(richer), InsufficientScope)


def spelled_name(name: str) -> str:
    return json.dumps(name) if re.search(r'[\s&|()"=]', name) else name


def spelled_as(tree: Any) -> str:
    """*tree* as a command line has it: every group in parentheses."""
    if tree[0] in "&|":
        return f"({spelled_as(tree[1])} {tree[0]} {spelled_as(tree[2])})"
    return " & ".join(f"{tree[0]}:{spelled_name(name)}" for name in tree[1])


odd_names = st.text(min_size=1, max_size=8).filter(str.strip)
odd_leaves = st.one_of(
    st.tuples(st.sampled_from(["permission", "org"]), st.tuples(odd_names)),
    st.tuples(st.just("scope"), st.tuples(st.from_regex(r"[!#-\[\]-~]{1,8}", fullmatch=True))),
)
odd_trees = st.recursive(odd_leaves, lambda inner: st.tuples(st.sampled_from("&|"), inner, inner), max_leaves=6)


@given(odd_trees)
def test_what_is_spelled_is_what_is_built(tree: Any) -> None:
    """Whatever is in a name, quotes carry it."""
    assert str(parse(spelled_as(tree))) == str(built(tree))


@given(st.lists(st.sampled_from([*'&|()" :=', "scope:a", "flag:f", "user", '"x"', "\\", "é"])).map("".join))
def test_what_cannot_be_read_is_told_and_nothing_else_happens(text: str) -> None:
    with contextlib.suppress(ConfigurationError):
        assert isinstance(parse(text), Requirement)


@pytest.mark.parametrize(("text", "requirement"), [
    ("scope:read:users", scope("read:users")), ("machine", machine), ("user", user), ("authenticated", authenticated),
    (" org:org_1 ", org("org_1")), ("role:admin", role("admin")), ("permission:x", permission("x")),
    ("(scope:read:users & permission:x) | role:admin", scope("read:users") & permission("x") | role("admin")),
    ("scope:a&(role:r|user)&org:o", scope("a") & (role("r") | user) & org("o")),
    ("((scope:a))", scope("a")), ("user | machine | role:r", user | machine | role("r")),
    ("user & authenticated", user & authenticated),
    ('permission:"view (all) & more"', permission("view (all) & more")), (r'role:"\u0061"', role("a")),
    ("permission:a=b", permission("a=b")), ("org:machine", org("machine")),
    ("flag:beta", flag("beta")), ("flag:beta=false", flag("beta", False)), ("flag:n=3", flag("n", 3)),
    ("flag:n=-1.5", flag("n", -1.5)), ("flag:theme=dark", flag("theme", "dark")), ("flag:n=007", flag("n", "007")),
    ('flag:beta="true"', flag("beta", "true")), ('flag:"a=b"="c=d"', flag("a=b", "c=d")),
    ("flag:url=a=b", flag("url", "a=b")), ("flag:a:b", flag("a:b")),
    ("(" * 32 + "user" + ")" * 32, user),
])  # fmt: skip
def test_a_requirement_is_read_from_text(text: str, requirement: Requirement) -> None:
    assert str(parse(text)) == str(requirement)


@pytest.mark.parametrize(("text", "told"), [
    ("", "something is missing before the end"), ("  ", "something is missing before the end"),
    ("user &", "something is missing before the end"), ("| user", "something is missing before |"),
    ("user && machine", "something is missing before &"), ("()", "something is missing before )"),
    ("user & machine | role:r", "say with parentheses which comes first"),
    ("user | machine & role:r", "say with parentheses which comes first"),
    ("(user | (user & user | user))", "say with parentheses which comes first"),
    ("(user", "a ( has no )"), ("user)", "a ) has no ("), ("user machine", "no & and no | before 'machine'"),
    ("user (machine)", r"no & and no | before '('"), ("permission:view reports", "a name with a space needs quotes"),
    ("(user machine)", "no & and no | before 'machine'"),
    ("read:users", "'read:users' is none of scope:NAME"), ("user and machine", "no & and no | before 'and'"),
    ("m2m", "'m2m' is none of"), ("Machine", "'Machine' is none of"), ("machine:x", "'machine:x' is none of"),
    ("!user", "'!user' is none of"), ("scope:", "'scope:' lacks a name"), ("scope", "'scope' lacks a name"),
    ('scope:""', "text and not empty"), ('scope:"a b"', "is not one scope"), ('scope:"a', "has none that ends it"),
    ('role:a"b"', "around the whole of a name"), ('role:"\\x"', "around the whole of a name"),
    ("flag:a=", "write flag:KEY, or flag:KEY=VALUE"), ("flag:=b", "write flag:KEY, or flag:KEY=VALUE"),
    ("(" * 33 + "user" + ")" * 33, "more than 32 parentheses"), ("role:" + "r" * 4_092, "at most 4,096 characters"),
    (None, "written as text"), (b"user", "written as text"),
])  # fmt: skip
def test_what_a_text_lacks_is_told(text: Any, told: str) -> None:
    """Nothing is guessed: a requirement that was meant to be stricter would let strangers in."""
    with pytest.raises(ConfigurationError, match=re.escape(told)):
        parse(text)


def test_a_text_of_the_longest_kind_is_read() -> None:
    assert str(parse("|".join(["user"] * 819))).count("user") == 819
