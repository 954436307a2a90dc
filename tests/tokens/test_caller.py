"""``token.caller``: what a job keeps of a token. A plain value, without the token, that grants nothing."""

from __future__ import annotations

import dataclasses
import json
import pickle
import subprocess
import sys
from typing import Any

import pytest
from helpers import CLIENT, M2M, USER, Issuer, guard_of, mint

from kinde_guard import AccessToken, Caller, scope

ORG_USER = {**USER, "org_code": "org_1486622b2cd"}


def token(**options: Any) -> AccessToken:
    return guard_of(Issuer()).verify(mint(**options))


def test_a_user_in_an_organization() -> None:
    found = token(base=ORG_USER)
    assert found.caller == Caller(found.subject, found.client_id, found.org_code, found.issuer, False)
    assert found.org_code is not None


def test_an_app() -> None:
    found = token(base=M2M).caller
    assert (found.subject, found.client_id, found.org_code, found.is_m2m) == (CLIENT, CLIENT, None, True)


@pytest.mark.parametrize("base", [ORG_USER, M2M])
def test_it_travels(base: dict[str, Any]) -> None:
    """As JSON, which task queues write, and pickled, as some do."""
    caller = token(base=base).caller
    assert Caller.from_dict(json.loads(json.dumps(caller.to_dict()))) == caller
    assert pickle.loads(pickle.dumps(caller)) == caller
    assert hash(caller) == hash(dataclasses.replace(caller))


def test_nothing_of_the_token_travels_along() -> None:
    raw = mint(base=M2M)
    caller = guard_of(Issuer()).verify(raw).caller
    written = json.dumps(caller.to_dict()) + repr(caller) + repr(pickle.dumps(caller))
    assert [part for part in raw.split(".") if part in written] == []
    assert set(caller.to_dict()) == {"subject", "client_id", "org_code", "issuer", "is_m2m"}


def test_it_grants_nothing() -> None:
    """It is no token, and meets no requirement."""
    caller: Any = token(base=M2M).caller
    assert not isinstance(caller, AccessToken)
    with pytest.raises(AttributeError):
        scope("read:users").met_by(caller)
    with pytest.raises(AttributeError):
        caller.require(scope("read:users"))
    with pytest.raises(AttributeError):
        caller.subject = "somebody else"


GOOD = {"subject": "kp_1", "client_id": "a", "org_code": None, "issuer": "https://acme.kinde.com", "is_m2m": False}


@pytest.mark.parametrize("members", [
    {}, {**GOOD, "scopes": ["a"]}, {name: GOOD[name] for name in GOOD if name != "org_code"}, {**GOOD, "subject": None},
    {**GOOD, "subject": 1}, {**GOOD, "client_id": ["a"]}, {**GOOD, "org_code": False}, {**GOOD, "is_m2m": 0},
    {**GOOD, "issuer": None}, [], None, "kp_1",
])  # fmt: skip
def test_only_what_it_has_written_is_read(members: Any) -> None:
    with pytest.raises(ValueError, match="caller"):
        Caller.from_dict(members)
    assert Caller.from_dict(GOOD).subject == "kp_1"


def test_a_token_does_not_travel_and_says_what_does() -> None:
    with pytest.raises(TypeError, match=r"give jobs token\.caller"):
        pickle.dumps(token())


def test_who_does_not_ask_for_it_does_not_load_it() -> None:
    script = "import sys, kinde_guard.guard; print('kinde_guard.tokens.caller' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True).stdout == "False\n"
