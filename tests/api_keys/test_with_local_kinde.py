"""A guard that takes the API keys of a local Kinde, whole and broken: no fault of its lets anybody in."""

from __future__ import annotations

from typing import Any

import pytest
from helpers import Time

from kinde_guard import Guard, InvalidToken, scope
from kinde_guard.api_keys import ApiKeys, keys
from kinde_guard.errors import ApiKeysUnavailable
from kinde_guard.issuer import FAULTS, LocalIssuer, SigningKey
from kinde_guard.m2m import ClientCredentials

HARMLESS = {
    "wrong_content_type": "good",
    "clock_skewed": "good",
    "no_scopes": "without scopes",
}
"""What changes nothing that counts."""
OF_THE_KEY = {
    "unknown_as_401": "good",  # of a good key it is none
    "valid_yet_revoked": "invalid_api_key",
    "other_tenant": "invalid_api_key",
    "other_api": "wrong_api",
}
SLOW = {"hanging", "dripping"}


@pytest.fixture(scope="module")
def key() -> SigningKey:
    return SigningKey.make()


@pytest.fixture
def issuer(key: SigningKey) -> LocalIssuer:
    return LocalIssuer(clock=Time().clocks.wall, key=key)


def guard_of_local(issuer: LocalIssuer, time: Time | None = None) -> Guard:
    app = issuer.app
    auth = ClientCredentials(
        issuer.url,
        client_id=app.client_id,
        client_secret=app.client_secret,
        audience=issuer.management_audience,
        scopes="read:api_keys",
        transport=issuer.transport,
    )
    api_keys = ApiKeys(auth, api_ids=issuer.registry.apis[0].id, transport=issuer.transport)
    clocks = (time or Time()).clocks
    return Guard(
        issuer.url, audience=issuer.audience, transport=issuer.transport, api_keys=api_keys, clocks=clocks, variables=()
    )


def verdict(guard: Guard, key: str) -> str:
    try:
        token = guard.verify(key)
    except (InvalidToken, ApiKeysUnavailable) as refusal:
        return refusal.reason
    return "good" if scope("read:users").met_by(token) else "without scopes"


def test_from_one_end_to_the_other(issuer: LocalIssuer) -> None:
    time = Time()
    guard = guard_of_local(issuer, time)
    made = issuer.create_api_key("CI", scopes=["read:users"], user=issuer.registry.users[0])
    token = guard.verify(made.key)
    assert (token.subject, token.client_id, token.scopes) == (
        issuer.registry.users[0].id,
        made.id,
        frozenset({"read:users"}),
    )
    rotated = issuer.rotate_api_key(made.key)
    time.passes(60)
    assert (verdict(guard, made.key), verdict(guard, rotated.key)) == ("invalid_api_key", "good")
    issuer.revoke_api_key(rotated.key)
    time.passes(60)
    assert verdict(guard, rotated.key) == "invalid_api_key"


def test_of_an_organization_and_of_nobody(issuer: LocalIssuer) -> None:
    guard = guard_of_local(issuer)
    of_org, of_nobody = issuer.create_api_key(org_code="org_1"), issuer.create_api_key()
    assert (guard.verify(of_org.key).org_code, guard.verify(of_org.key).is_m2m) == ("org_1", True)
    assert guard.verify(of_nobody.key).subject == of_nobody.id


@pytest.mark.parametrize("fault", sorted(name for name in FAULTS if "verify" in FAULTS[name].places))
def test_no_fault_of_verify_lets_anybody_in(issuer: LocalIssuer, fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    self_check(issuer, fault, "verify", monkeypatch)


@pytest.mark.parametrize("fault", sorted(name for name in FAULTS if "api_keys" in FAULTS[name].places))
def test_no_fault_of_the_key_s_details_lets_anybody_in(
    issuer: LocalIssuer, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    self_check(issuer, fault, "api_keys", monkeypatch)


def self_check(issuer: LocalIssuer, fault: str, place: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A good key, one that nobody knows; and the good one again when the fault is over."""
    if fault in SLOW:
        monkeypatch.setattr(keys, "TOTAL_TIMEOUT", 0.3)
    time = Time()
    good, stranger = issuer.create_api_key(user=issuer.registry.users[0]).key, "k_live_" + "0" * 32
    issuer.create_api_key(user=issuer.registry.users[1])
    guard = guard_of_local(issuer, time)
    expected = {**HARMLESS, **OF_THE_KEY}.get(fault, "api_keys_unavailable")
    if place == "api_keys":
        expected = {"client_error": "invalid_api_key"}.get(fault, expected)
    with issuer.broken(fault, at=place):
        assert verdict(guard, good) == expected
        assert verdict(guard, stranger) not in ("good", "without scopes")
    time.passes(301)
    assert verdict(guard, good) == "good"
    assert verdict(guard, stranger) == "invalid_api_key"
