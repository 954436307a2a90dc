"""API keys as a user has them: a guard asks a real HTTP server, and what comes of it is an access token."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import random
import socket
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import httpx
import pytest
import trio
from api_keys_server import (
    API_ID,
    LIST,
    ORG_KEY,
    OTHER_API,
    TEST_KEY,
    USER_KEY,
    VERIFY,
    KindeServer,
    Said,
    api_keys,
    credentials,
    errors,
    guard_of_keys,
    kinde_server,
    said,
)
from helpers import AUDIENCE, M2M, NOW, Issuer, Time, guard_of, mint
from waiting import LONG, in_thread, until

from kinde_guard import AccessToken, ConfigurationError, Guard, InvalidToken, org, scope, user
from kinde_guard.api_keys import ApiKeys, ApiKeysHealth, keys, lanes
from kinde_guard.api_keys.memory import Budget
from kinde_guard.errors import ApiKeysUnavailable, RevocationsUnavailable
from kinde_guard.events import ApiKeyAnswered, ApiKeyUnanswered, CannotTell, Event, Refused, Verified
from kinde_guard.m2m import ClientCredentials
from kinde_guard.net.attempt import Attempt
from kinde_guard.requirements import machine
from kinde_guard.revocation import Revocations, revocations
from kinde_guard.tokens.digests import sha256

STRANGER = "k_live_" + "0" * 32


@pytest.fixture
def kinde() -> Iterator[KindeServer]:
    with kinde_server() as server:
        yield server


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine is no outage."""
    for name in ("TOTAL_TIMEOUT", "WAIT", "WAIT_KNOWN"):
        monkeypatch.setattr(keys, name, LONG)
    monkeypatch.setattr(lanes, "PATIENCE", LONG)
    monkeypatch.setattr(random, "random", lambda: 1.0)


@pytest.fixture
def time() -> Time:
    return Time()


def reason(guard: Guard, key: str) -> str:
    try:
        guard.verify(key)
    except (InvalidToken, ApiKeysUnavailable) as refusal:
        return refusal.reason
    return "good"


class TestAKeyBecomesAToken:
    def test_of_a_user(self, kinde: KindeServer) -> None:
        token = guard_of_keys(kinde).verify(USER_KEY)
        assert isinstance(token, AccessToken)
        assert (token.subject, token.client_id, token.org_code) == ("kp_1", kinde.keys[USER_KEY]["id"], None)
        assert (token.issuer, token.audience, token.scopes) == (kinde.url, (AUDIENCE,), frozenset({"read:users"}))
        assert (token.issued_at, token.expires_at) == (NOW, NOW + 60)
        assert not token.is_m2m
        assert token.claims["api_key"] == {"id": token.client_id}
        token.require(scope("read:users") & user)

    def test_of_an_organization(self, kinde: KindeServer) -> None:
        """Nobody's in particular: a machine's, whose subject is the key."""
        token = guard_of_keys(kinde).verify(ORG_KEY)
        assert (token.subject, token.client_id) == (kinde.keys[ORG_KEY]["id"],) * 2
        token.require(scope("write:users") & org("org_1") & machine)

    def test_of_the_other_prefix(self, kinde: KindeServer) -> None:
        kinde.add(TEST_KEY, user_id="kp_2")
        assert guard_of_keys(kinde).verify(TEST_KEY).subject == "kp_2"

    def test_with_several_audiences_and_a_custom_domain(self, kinde: KindeServer) -> None:
        guard = Guard(
            ["account.acme.com", kinde.url], audience=["a", "b"], api_keys=api_keys(kinde), variables=()
        )  # fmt: skip
        assert guard.verify(USER_KEY).audience == ("a", "b")
        assert guard.health()["https://account.acme.com"].api_keys is None
        assert guard.health()[kinde.url].api_keys is not None

    @pytest.mark.parametrize("scopes", [None, []])
    def test_without_scopes_it_has_none(self, kinde: KindeServer, scopes: Any) -> None:
        kinde.add(TEST_KEY, scopes=scopes, user_id="")
        token = guard_of_keys(kinde).verify(TEST_KEY)
        assert token.scopes == frozenset()
        assert token.is_m2m

    def test_in_an_event_loop(self, kinde: KindeServer) -> None:
        assert asyncio.run(guard_of_keys(kinde).averify(USER_KEY)).subject == "kp_1"
        assert trio.run(guard_of_keys(kinde).averify, USER_KEY).subject == "kp_1"

    def test_tokens_are_taken_as_ever(self, kinde: KindeServer) -> None:
        issuer = Issuer()
        management = ClientCredentials(
            "acme.kinde.com", client_id="c", client_secret="s", audience="https://acme.kinde.com/api"
        )
        guard = guard_of(issuer, api_keys=ApiKeys(management, api_ids=API_ID))
        assert guard.verify(mint(base=M2M)).is_m2m
        assert guard_of(issuer).api_keys is None

    def test_what_is_asked(self, kinde: KindeServer) -> None:
        guard_of_keys(kinde).verify(USER_KEY)
        token, verify, details = kinde.asked
        assert (token.what, verify.what) == ("POST /oauth2/token", VERIFY)
        assert verify.headers["content-type"] == "application/json"
        assert json.loads(verify.body) == {"api_key": USER_KEY}
        assert details.path == f"/api/v1/api_keys/{kinde.keys[USER_KEY]['id']}"
        assert {each.headers["authorization"] for each in (verify, details)} == {"Bearer m2m-1"}


class TestOff:
    @pytest.mark.parametrize("key", [USER_KEY, TEST_KEY])
    def test_a_key_is_refused_with_a_hint(self, guard: Guard, key: str) -> None:
        with pytest.raises(InvalidToken) as refused:
            guard.verify(key)
        assert (refused.value.reason, "Guard(api_keys=" in refused.value.hint) == ("malformed", True)


class TestSettings:
    """Refused when it is made, in words that say what to change."""

    def test_without_api_ids(self, kinde: KindeServer, monkeypatch: pytest.MonkeyPatch) -> None:
        with pytest.raises(ConfigurationError, match=r"KINDE_API_IDS, or pass api_ids=.*API ID\).*another API"):
            ApiKeys(credentials(kinde))
        monkeypatch.setenv("KINDE_API_IDS", "api_1, api_2")
        assert ApiKeys(credentials(kinde)).api_ids == {"api_1", "api_2"}

    @pytest.mark.parametrize("value", ["", " ", [], [""], ["a b"], "api_1 # ours", ["é"], "null", 7])
    def test_api_ids_that_are_none(self, kinde: KindeServer, value: Any) -> None:
        with pytest.raises(ConfigurationError, match="api_ids"):
            api_keys(kinde, api_ids=value)

    def test_tokens_for_something_else(self, kinde: KindeServer) -> None:
        with pytest.raises(ConfigurationError, match=rf"audience='{kinde.url}/api'.*read:api_keys"):
            api_keys(kinde, auth=credentials(kinde, audience=AUDIENCE))

    @pytest.mark.parametrize("auth", [None, "m2m", object()])
    def test_no_credentials(self, kinde: KindeServer, auth: Any) -> None:
        with pytest.raises(ConfigurationError, match="ClientCredentials"):
            api_keys(kinde, auth=auth)

    def test_another_tenant_s(self, kinde: KindeServer) -> None:
        with pytest.raises(ConfigurationError, match=r"api_keys asks http://127.*trusts https://acme\.kinde\.com"):
            guard_of(Issuer(), api_keys=api_keys(kinde))

    @pytest.mark.parametrize(("name", "value"), [
        ("remember_for", 0), ("remember_for", 601), ("remember_for", True), ("usable_for", -1), ("usable_for", "x"),
        ("calls_per_minute", 0), ("calls_per_minute", float("nan")), ("transport", object()),
    ])  # fmt: skip
    def test_numbers(self, kinde: KindeServer, name: str, value: Any) -> None:
        with pytest.raises(ConfigurationError, match=name):
            api_keys(kinde, **{name: value})

    def test_no_api_keys(self) -> None:
        wrong: Any = True
        with pytest.raises(ConfigurationError, match=r"ApiKeys of kinde_guard\.api_keys"):
            guard_of(Issuer(), api_keys=wrong)

    def test_repr_holds_no_secret(self, kinde: KindeServer) -> None:
        assert repr(api_keys(kinde, api_ids=["b", "a"])) == f"<ApiKeys of {kinde.url} for a, b>"


class TestBoundToThisApi:
    def test_a_key_of_another_api_with_a_like_named_scope(self, kinde: KindeServer) -> None:
        """Verify says that it is valid, and has read:users; and does not say for what."""
        kinde.keys[USER_KEY]["api_ids"] = [OTHER_API]
        assert reason(guard_of_keys(kinde), USER_KEY) == "wrong_api"

    def test_one_of_several_is_enough(self, kinde: KindeServer) -> None:
        kinde.keys[USER_KEY]["api_ids"] = [OTHER_API, API_ID]
        assert reason(guard_of_keys(kinde), USER_KEY) == "good"
        guard = guard_of_keys(kinde, keys=api_keys(kinde, api_ids=["some", OTHER_API]))
        assert reason(guard, USER_KEY) == "good"

    def test_a_key_of_no_api(self, kinde: KindeServer) -> None:
        kinde.keys[USER_KEY]["api_ids"] = []
        assert reason(guard_of_keys(kinde), USER_KEY) == "wrong_api"

    def test_it_is_asked_once_for_each_key_and_hour(self, kinde: KindeServer, time: Time) -> None:
        guard = guard_of_keys(kinde, time)
        for _ in range(3):
            guard.verify(USER_KEY)
            time.passes(61)
        details = f"{LIST}/{kinde.keys[USER_KEY]['id']}"
        assert (kinde.verified, kinde.counts[details]) == (3, 1)
        time.passes(3_600)
        guard.verify(USER_KEY)
        assert kinde.counts[details] == 2

    @pytest.mark.parametrize(("change", "expected"), [
        ({"id": "api_key_of_somebody"}, "api_keys_unavailable"), ({"api_ids": API_ID}, "api_keys_unavailable"),
        ({"api_ids": None}, "api_keys_unavailable"), ({"api_ids": [API_ID, 1]}, "api_keys_unavailable"),
        ({"status": "revoked"}, "invalid_api_key"), ({"status": None}, "invalid_api_key"),
        ({"key_suffix": None}, "good"), ({"key_suffix": USER_KEY[-4:]}, "good"),
        ({"key_suffix": "0000"}, "api_keys_unavailable"), ({"key_suffix": 4}, "api_keys_unavailable"),
    ])  # fmt: skip
    def test_odd_details(self, kinde: KindeServer, change: Any, expected: str) -> None:
        kinde.answers["GET"] = kinde.details(kinde.keys[USER_KEY]["id"], **change)
        assert reason(guard_of_keys(kinde), USER_KEY) == expected

    @pytest.mark.parametrize(("answer", "expected"), [
        (errors(404, "NOT_FOUND"), "invalid_api_key"),
        (errors(403, "FORBIDDEN", "Scope missing"), "api_keys_unavailable"),
        (errors(401, "UNAUTHORIZED"), "api_keys_unavailable"), (errors(500, "OOPS"), "api_keys_unavailable"),
        (errors(429, "SLOW", RateLimit_Reset="7"), "api_keys_unavailable"), (said(200, []), "api_keys_unavailable"),
        (said(200, {"api_key": None}), "api_keys_unavailable"),
    ])  # fmt: skip
    def test_no_details(self, kinde: KindeServer, answer: Said, expected: str) -> None:
        """Who does not know which API a key is for lets nobody in."""
        kinde.answers["GET"] = answer
        assert reason(guard_of_keys(kinde), USER_KEY) == expected

    def test_an_answer_about_somebody_else_s_key(self, kinde: KindeServer) -> None:
        """As where a proxy mixes answers up: each is as right as can be."""
        kinde.answers[VERIFY] = said(200, kinde.verdict(ORG_KEY))
        assert reason(guard_of_keys(kinde), USER_KEY) == "api_keys_unavailable"

    def test_a_key_that_is_rotated(self, kinde: KindeServer, time: Time) -> None:
        """It keeps its id, and ends otherwise: so it is asked about once more."""
        guard = guard_of_keys(kinde, time)
        guard.verify(USER_KEY)
        kinde.keys[STRANGER] = kinde.keys.pop(USER_KEY)
        assert guard.verify(STRANGER).client_id == guard.verify(USER_KEY).client_id
        time.passes(60)
        assert (reason(guard, USER_KEY), reason(guard, STRANGER)) == ("invalid_api_key", "good")


class TestNotValid:
    def test_a_stranger_s_key(self, kinde: KindeServer) -> None:
        assert reason(guard_of_keys(kinde), STRANGER) == "invalid_api_key"

    def test_a_key_of_another_tenant(self, kinde: KindeServer) -> None:
        """Each guard asks its own."""
        with kinde_server() as other:
            other.add(STRANGER, user_id="kp_9")
            assert reason(guard_of_keys(other), STRANGER) == "good"
            assert reason(guard_of_keys(kinde), STRANGER) == "invalid_api_key"

    @pytest.mark.parametrize("status", ["revoked", "inactive", "Active", ""])
    def test_valid_and_yet_not_active(self, kinde: KindeServer, status: str) -> None:
        kinde.answers[VERIFY] = said(200, kinde.verdict(USER_KEY, status=status))
        assert reason(guard_of_keys(kinde), USER_KEY) == "invalid_api_key"
        assert kinde.verified == len(kinde.asked) - 1  # that is enough

    @pytest.mark.parametrize("where", ["verify", "details"])
    @pytest.mark.parametrize(("date", "expected"), [
        ("2020-01-01T00:00:00+11", "expired"), ("2099-01-01T00:00:00Z", "good"), (None, "good"),
        ("2099-01-01", "good"), ("soon", "api_keys_unavailable"), (4_102_444_800, "api_keys_unavailable"),
    ])  # fmt: skip
    def test_verified_and_yet_expired(self, kinde: KindeServer, where: str, date: Any, expected: str) -> None:
        if where == "verify":
            kinde.keys[USER_KEY]["expires_on"] = date
        else:
            kinde.answers["GET"] = kinde.details(kinde.keys[USER_KEY]["id"], expires_on=date)
        assert reason(guard_of_keys(kinde), USER_KEY) == expected

    def test_it_expires_while_it_is_remembered(self, kinde: KindeServer, time: Time) -> None:
        kinde.keys[USER_KEY]["expires_on"] = "2025-06-29T12:26:55Z"
        time.wall = 1_751_200_000.0  # a quarter of a minute before
        guard = guard_of_keys(kinde, time)
        assert guard.verify(USER_KEY).expires_at == NOW + 15
        time.passes(14)
        assert reason(guard, USER_KEY) == "good"
        time.passes(1)
        kinde.answers[VERIFY] = errors(503, "AWAY")
        assert reason(guard, USER_KEY) == "api_keys_unavailable"

    @pytest.mark.parametrize("key", [
        "k_live_", "k_live_short", "k_live_" + "a" * 129, "k_live_" + "a" * 15 + ".", "k_test_" + "a" * 20 + "/",
        "k_live_" + "a" * 20 + ".b.c", "k_live_" + "a" * 20 + "+",
    ])  # fmt: skip
    def test_what_has_not_the_shape_of_a_key_costs_no_call(self, kinde: KindeServer, key: str) -> None:
        assert reason(guard_of_keys(kinde), key) == "malformed"
        assert kinde.asked == []

    @pytest.mark.parametrize("key", ["K_LIVE_" + "a" * 32, "k_prod_" + "a" * 32, "k_live" + "a" * 32])
    def test_what_is_no_key_is_read_as_a_token(self, kinde: KindeServer, key: str) -> None:
        assert reason(guard_of_keys(kinde), key) == "malformed"
        assert kinde.asked == []


ODD: dict[str, Any] = {
    "is_valid as text": {"is_valid": "true"}, "is_valid as a number": {"is_valid": 1},
    "is_valid null": {"is_valid": None},
    "status null": {"status": None}, "status a list": {"status": ["active"]}, "key_id null": {"key_id": None},
    "key_id empty": {"key_id": ""}, "key_id a path": {"key_id": "../apis"}, "key_id with a query": {"key_id": "a?b=c"},
    "key_id endless": {"key_id": "a" * 201}, "scopes as text": {"scopes": "read:users"},
    "a scope that is a number": {"scopes": [1]}, "a scope with a space": {"scopes": ["read:users admin"]},
    "an empty scope": {"scopes": [""]}, "scopes as an object": {"scopes": {"read:users": True}},
    "user_id a number": {"user_id": 7}, "org_code a list": {"org_code": ["org_1"]},
    "user_id endless": {"user_id": "a" * 1_001},
}  # fmt: skip


class TestOddAnswers:
    """Nobody is let in by them, and no caller is blamed."""

    @pytest.mark.parametrize("change", ODD.values(), ids=ODD)
    def test_odd_members(self, kinde: KindeServer, change: Any) -> None:
        kinde.answers[VERIFY] = said(200, kinde.verdict(USER_KEY, **change))
        assert reason(guard_of_keys(kinde), USER_KEY) == "api_keys_unavailable"

    @pytest.mark.parametrize("body", [
        b"", b"{}", b"[]", b"true", b"<html>", b'{"is_valid": true', b"\xef\xbb\xbf{}",
        b'{"is_valid":true,"is_valid":true}',
        b'{"is_valid": NaN}', b"[" * 100_000, b'"\xff"', b"{" + b'"a":' * 60 + b"1" + b"}" * 60,
    ])  # fmt: skip
    def test_no_json_object(self, kinde: KindeServer, body: bytes) -> None:
        kinde.answers[VERIFY] = said(200, body)
        assert reason(guard_of_keys(kinde), USER_KEY) == "api_keys_unavailable"

    @pytest.mark.parametrize("size", [70_000, 600_000])
    def test_a_huge_answer(self, kinde: KindeServer, size: int) -> None:
        kinde.answers[VERIFY] = said(200, kinde.verdict(USER_KEY, message="x" * size))
        assert reason(guard_of_keys(kinde), USER_KEY) == "api_keys_unavailable"

    def test_a_redirect_is_not_followed(self, kinde: KindeServer) -> None:
        with kinde_server() as elsewhere:
            kinde.answers[VERIFY] = said(307, {}, location=f"{elsewhere.url}/api/v1/api_keys/verify")
            assert reason(guard_of_keys(kinde), USER_KEY) == "api_keys_unavailable"
            assert elsewhere.asked == []

    @pytest.mark.parametrize("status", [201, 204, 302, 404, 418, 500, 502, 503])
    def test_other_statuses(self, kinde: KindeServer, status: int) -> None:
        kinde.answers[VERIFY] = said(status, b"" if status == 204 else kinde.verdict(USER_KEY))
        assert reason(guard_of_keys(kinde), USER_KEY) == "api_keys_unavailable"


class TestWhoseFault:
    """Kinde's pages disagree about a 401 to verify. A good key's caller is never blamed for our own token."""

    @pytest.mark.parametrize("answer", [
        errors(403, "FORBIDDEN", "Scope missing"), errors(401, "SCOPE_MISSING"),
        errors(403, "x", "scope missing: read:api_keys"), errors(401, "TOKEN_INVALID", "The access token has expired"),
    ])  # fmt: skip
    def test_scope_missing_is_our_mistake(
        self, kinde: KindeServer, answer: Said, caplog: pytest.LogCaptureFixture
    ) -> None:
        kinde.answers[VERIFY] = answer
        with pytest.raises(ApiKeysUnavailable) as unavailable:
            guard_of_keys(kinde).verify(USER_KEY)
        assert unavailable.value.status == 503
        until(lambda: any("our own token" in line and "read:api_keys" in line for line in caplog.messages))
        assert kinde.counts[LIST] == 0

    @pytest.mark.parametrize("status", [401, 403])
    def test_a_token_that_is_not_taken_is_our_mistake(
        self, kinde: KindeServer, status: int, caplog: pytest.LogCaptureFixture
    ) -> None:
        kinde.answers[VERIFY] = kinde.answers[LIST] = errors(status, "UNAUTHORIZED", "invalid credentials")
        assert reason(guard_of_keys(kinde), USER_KEY) == "api_keys_unavailable"
        until(lambda: any("our own token" in line for line in caplog.messages))

    def test_a_401_about_the_key_is_the_caller_s(self, kinde: KindeServer) -> None:
        """Where our token is good for another call, it is the key that is not."""
        kinde.answers[VERIFY] = errors(401, "UNAUTHORIZED", "invalid credentials")
        assert reason(guard_of_keys(kinde), STRANGER) == "invalid_api_key"
        assert kinde.asked[-1].path == "/api/v1/api_keys?page_size=1"

    def test_a_stranger_has_no_say_in_whose_fault_it_is(self, kinde: KindeServer) -> None:
        """Where Kinde repeats the key, and that has the words in it that tell of our own token."""
        key = "k_live_token-without-scope"
        kinde.answers[VERIFY] = errors(401, "UNAUTHORIZED", f"{key} is not known")
        assert reason(guard_of_keys(kinde), key) == "invalid_api_key"

    def test_a_400_is_about_the_key(self, kinde: KindeServer) -> None:
        kinde.answers[VERIFY] = errors(400, "API_KEY_INVALID")
        assert reason(guard_of_keys(kinde), STRANGER) == "invalid_api_key"

    def test_a_firewall_in_between_is_nobody_s(self, kinde: KindeServer, caplog: pytest.LogCaptureFixture) -> None:
        kinde.answers[VERIFY] = said(403, b"<html>", cf_ray="8a1b")
        assert reason(guard_of_keys(kinde), USER_KEY) == "api_keys_unavailable"
        until(lambda: any("Cloudflare" in line for line in caplog.messages))
        assert kinde.counts[LIST] == 0

    def test_another_token_is_fetched_once_in_five_minutes(self, kinde: KindeServer, time: Time) -> None:
        """So that what is mended in Kinde counts without a restart, and not each refusal costs a token."""
        kinde.answers[VERIFY] = errors(403, "FORBIDDEN", "Scope missing")
        guard = guard_of_keys(kinde, time)
        for _ in range(4):
            assert reason(guard, USER_KEY) == "api_keys_unavailable"
            settled(guard)
            time.passes(61)
        assert kinde.tokens == 2
        time.passes(61)
        del kinde.answers[VERIFY]
        assert reason(guard, USER_KEY) == "good"

    @pytest.mark.parametrize(("answer", "ours"), [(errors(400, "invalid_client"), True), (errors(503, "AWAY"), False)])
    def test_no_token_to_ask_with(self, kinde: KindeServer, answer: Said, ours: bool) -> None:
        kinde.answers["POST /oauth2/token"] = answer
        guard = guard_of_keys(kinde)
        assert reason(guard, USER_KEY) == "api_keys_unavailable"
        health = guard.health()[kinde.url].api_keys
        assert health is not None
        assert health.problem.startswith("no token to ask with: ")
        assert kinde.verified == 0

    def test_a_crash_of_ours_is_told_without_its_words(
        self, kinde: KindeServer, caplog: pytest.LogCaptureFixture
    ) -> None:
        auth = credentials(kinde)

        def token() -> str:
            raise RuntimeError("of s3cr3t")

        auth.token = token  # type: ignore[method-assign]
        assert reason(guard_of_keys(kinde, keys=api_keys(kinde, auth=auth)), USER_KEY) == "api_keys_unavailable"
        until(lambda: any("RuntimeError on the way" in line for line in caplog.messages))
        assert "s3cr3t" not in caplog.text


def settled(guard: Guard) -> None:
    """No call is under way, and what there is to say of the last ones has been said."""
    assert guard.api_keys is not None
    pending = guard.api_keys._lanes
    until(lambda: not pending._pending)
    until(lambda: not any(thread.name == "kinde_guard-call" for thread in threading.enumerate()))


class TestRemembering:
    def test_a_good_key_is_asked_about_once_a_minute(self, kinde: KindeServer, time: Time) -> None:
        guard = guard_of_keys(kinde, time)
        token = guard.verify(USER_KEY)
        time.passes(59)
        assert guard.verify(USER_KEY) is token
        assert kinde.verified == 1
        time.passes(1)
        assert guard.verify(USER_KEY) is not token
        assert kinde.verified == 2

    def test_nor_where_a_guard_remembers_nothing(self, kinde: KindeServer, time: Time) -> None:
        guard = guard_of_keys(kinde, time, cache_size=0)
        assert [asyncio.run(guard.averify(USER_KEY)).subject for _ in range(2)] == ["kp_1"] * 2
        assert guard.verify(USER_KEY).subject == "kp_1"
        assert kinde.verified == 1

    def test_for_as_long_as_one_says(self, kinde: KindeServer, time: Time) -> None:
        guard = guard_of_keys(kinde, time, keys=api_keys(kinde, remember_for=300))
        guard.verify(USER_KEY)
        time.passes(299)
        guard.verify(USER_KEY)
        assert kinde.verified == 1

    def test_a_revoked_key_lives_a_minute(self, kinde: KindeServer, time: Time) -> None:
        guard = guard_of_keys(kinde, time)
        guard.verify(USER_KEY)
        kinde.keys[USER_KEY]["is_valid"] = False
        assert reason(guard, USER_KEY) == "good"
        time.passes(60)
        assert reason(guard, USER_KEY) == "invalid_api_key"
        kinde.answers[VERIFY] = errors(503, "AWAY")
        time.passes(31)
        assert reason(guard, USER_KEY) == "api_keys_unavailable"

    @pytest.mark.parametrize("clock", ["wall", "monotonic"])
    def test_it_is_over_as_soon_as_either_clock_says_so(self, kinde: KindeServer, time: Time, clock: str) -> None:
        guard = guard_of_keys(kinde, time)
        guard.verify(USER_KEY)
        setattr(time, clock, getattr(time, clock) + 60)
        guard.verify(USER_KEY)
        assert kinde.verified == 2

    def test_a_wall_clock_that_is_set_back_refuses_nobody(self, kinde: KindeServer, time: Time) -> None:
        guard = guard_of_keys(kinde, time)
        guard.verify(USER_KEY)
        time.wall -= 3_600
        time.monotonic += 61
        assert reason(guard, USER_KEY) == "good"
        assert kinde.verified == 2

    def test_a_refused_key_is_asked_about_twice_a_minute(self, kinde: KindeServer, time: Time) -> None:
        guard = guard_of_keys(kinde, time)
        assert [reason(guard, STRANGER) for _ in range(3)] == ["invalid_api_key"] * 3
        time.passes(29)
        assert reason(guard, STRANGER) == "invalid_api_key"
        assert kinde.verified == 1
        time.passes(1)
        kinde.add(STRANGER)
        assert reason(guard, STRANGER) == "good"

    def test_a_known_key_is_found_without_being_awaited(self, kinde: KindeServer) -> None:
        guard = guard_of_keys(kinde)
        value = f"Bearer {USER_KEY}".encode()
        assert guard.authenticate_at_once(value) is None  # it says nothing
        token = guard.verify(USER_KEY)
        assert guard.recognise(value) is guard.authenticate_at_once(value) is token
        assert guard.stats().hits == 2

    def test_without_a_cache_of_tokens(self, kinde: KindeServer) -> None:
        guard = guard_of_keys(kinde, cache_size=0)
        assert guard.verify(USER_KEY) is not guard.verify(USER_KEY)
        assert (kinde.verified, guard.stats().misses) == (1, 2)

    def test_several_guards_share_what_is_known_and_no_token(self, kinde: KindeServer) -> None:
        shared = api_keys(kinde)
        one, two = (guard_of_keys(kinde, keys=shared, audience=name) for name in ("a", "b"))
        assert (one.verify(USER_KEY).audience, two.verify(USER_KEY).audience) == (("a",), ("b",))
        assert kinde.verified == 1

    def test_what_is_remembered_is_bounded(self, kinde: KindeServer, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(keys, "MOST", 2)
        guard = guard_of_keys(kinde)
        strangers = [f"k_live_{number:032}" for number in range(3)]
        for key in [*strangers, strangers[2]]:
            assert reason(guard, key) == "invalid_api_key"
        assert kinde.verified == 3
        assert reason(guard, strangers[0]) == "invalid_api_key"
        assert kinde.verified == 4


class TestOneCallAtATime:
    def test_threads_and_event_loops_together(self, kinde: KindeServer) -> None:
        kinde.open.clear()
        guard = guard_of_keys(kinde)

        async def several() -> list[AccessToken]:
            return list(await asyncio.gather(*(guard.averify(USER_KEY) for _ in range(20))))

        with ThreadPoolExecutor(12) as pool:
            loops = [pool.submit(asyncio.run, several()) for _ in range(2)]
            threads = [pool.submit(guard.verify, USER_KEY) for _ in range(10)]
            assert kinde.arrived.acquire(timeout=LONG)
            kinde.open.set()
            found = [token for loop in loops for token in loop.result(LONG)] + [each.result(LONG) for each in threads]
        assert {token.subject for token in found} == {"kp_1"}
        assert kinde.verified == 1

    def test_the_event_loop_goes_on(self, kinde: KindeServer) -> None:
        kinde.open.clear()
        guard = guard_of_keys(kinde)

        async def beside() -> AccessToken:
            verifying = asyncio.ensure_future(guard.averify(USER_KEY))
            while not kinde.arrived.acquire(blocking=False):
                await asyncio.sleep(0.001)  # which it could not, if the loop were held up
            kinde.open.set()
            return await verifying

        assert asyncio.run(beside()).subject == "kp_1"

    def test_who_stops_waiting_takes_nothing_from_others(self, kinde: KindeServer) -> None:
        kinde.open.clear()
        guard = guard_of_keys(kinde)

        async def beside() -> AccessToken:
            first, second = (asyncio.ensure_future(guard.averify(USER_KEY)) for _ in range(2))
            while not kinde.arrived.acquire(blocking=False):
                await asyncio.sleep(0.001)
            first.cancel()
            kinde.open.set()
            return await second

        assert asyncio.run(beside()).subject == "kp_1"
        assert kinde.verified == 1

    def test_a_few_keys_at_once_and_the_others_in_their_turn(self, kinde: KindeServer) -> None:
        """However many strangers there are: the threads that fetch an issuer's keys are not theirs to take."""
        kinde.open.clear()
        guard = guard_of_keys(kinde)
        strangers = [f"k_live_{number:032}" for number in range(20)]
        with ThreadPoolExecutor(20) as pool:
            asked = [pool.submit(reason, guard, key) for key in strangers]
            for _ in range(lanes.LANES):
                assert kinde.arrived.acquire(timeout=LONG)
            assert kinde.verified == lanes.LANES
            kinde.open.set()
            assert {each.result(LONG) for each in asked} == {"invalid_api_key"}
        assert kinde.verified == 20

    def test_who_waited_for_too_long_costs_no_call(self, kinde: KindeServer, monkeypatch: pytest.MonkeyPatch) -> None:
        kinde.open.clear()
        guard = guard_of_keys(kinde)
        busy = [in_thread(partial(reason, guard, f"k_live_{number:032}")) for number in range(lanes.LANES)]
        for _ in busy:
            assert kinde.arrived.acquire(timeout=LONG)
        monkeypatch.setattr(lanes, "PATIENCE", -1.0)
        late: list[str] = []
        waiting = in_thread(lambda: late.append(reason(guard, USER_KEY)))
        until(lambda: guard.api_keys is not None and guard.api_keys._lanes._waiting)
        kinde.open.set()
        for thread in [*busy, waiting]:
            thread.join(LONG)
        assert late == ["api_keys_unavailable"]
        assert kinde.verified == lanes.LANES


class TestLanes:
    def lanes(self) -> lanes.Lanes[str]:
        return lanes.Lanes(
            lambda key, attempt: key.decode(), lambda asked, outcome: lambda: None, lambda error: str(error), LONG
        )

    def test_two_who_ask_at_the_same_moment_wait_for_one(self) -> None:
        some = self.lanes()
        waiting = some._pending[b"digest"] = lanes.Verification(b"digest", b"key")
        assert some.start(b"digest", b"key") is waiting

    def test_what_is_lost_is_begun_anew(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """And what comes of it all the same, late, takes nothing away from the other."""
        some = self.lanes()
        lost = some._pending[b"digest"] = lanes.Verification(b"digest", b"key")
        assert some.under_way(b"digest") is lost
        lost.since -= lanes.LOST + 1
        assert some.under_way(b"digest") is None
        assert lost.future.done()
        some.go_on = lambda: None  # type: ignore[method-assign]
        another = some.start(b"digest", b"key")
        some.end(lost, "late")
        assert (lost.outcome, some.under_way(b"digest"), another.future.done()) == (None, another, False)

    def test_a_lane_that_finds_nothing_to_do(self) -> None:
        """Two have started it for what the one before has done already."""
        some = self.lanes()
        some._lanes[0].flight.start(some._lanes[0].work).result(LONG)
        asked = some.start(b"digest", b"key")
        asked.future.result(LONG)
        assert (asked.outcome, asked.key) == ("key", b"")

    def test_what_a_freeze_has_cut_is_about_the_same_key(self) -> None:
        some = self.lanes()
        some._waiting.extend(lanes.Verification(name, name) for name in (b"one", b"two"))
        some.go_on = lambda: None  # type: ignore[method-assign]
        assert [some._lanes[0].work(Attempt()) for _ in range(2)] == ["one"] * 2


class TestOutages:
    """Unknown keys are answered 503, and known ones go on."""

    def fail(self, kinde: KindeServer) -> None:
        kinde.answers[VERIFY] = errors(500, "OOPS")

    def test_known_keys_go_on_for_ten_minutes(self, kinde: KindeServer, time: Time) -> None:
        guard = guard_of_keys(kinde, time)
        guard.verify(USER_KEY)
        self.fail(kinde)
        for _ in range(9):
            time.passes(60)
            assert reason(guard, USER_KEY) == "good"
            assert reason(guard, ORG_KEY) == "api_keys_unavailable"
        time.passes(60)
        assert reason(guard, USER_KEY) == "api_keys_unavailable"

    def test_no_longer_than_one_says(self, kinde: KindeServer, time: Time) -> None:
        guard = guard_of_keys(kinde, time, keys=api_keys(kinde, usable_for=0))
        guard.verify(USER_KEY)
        self.fail(kinde)
        time.passes(60)
        assert reason(guard, USER_KEY) == "api_keys_unavailable"

    def test_the_first_call_after_it_succeeds(self, kinde: KindeServer, time: Time) -> None:
        guard = guard_of_keys(kinde, time)
        self.fail(kinde)
        assert reason(guard, USER_KEY) == "api_keys_unavailable"
        del kinde.answers[VERIFY]
        time.passes(1)
        assert reason(guard, USER_KEY) == "good"

    def test_the_wait_doubles_up_to_half_a_minute(self, kinde: KindeServer, time: Time) -> None:
        guard = guard_of_keys(kinde, time)
        self.fail(kinde)
        waits = []
        for _ in range(7):
            with pytest.raises(ApiKeysUnavailable) as unavailable:
                guard.verify(USER_KEY)
            waits.append(unavailable.value.retry_after)
            time.passes(waits[-1] - 0.5)
            assert reason(guard, STRANGER) == "api_keys_unavailable"  # nobody is asked
            time.passes(0.5)
        assert waits == [1, 2, 4, 8, 16, 30, 30]
        assert kinde.verified == 7

    def test_calls_that_fail_together_count_as_one(self, kinde: KindeServer, time: Time) -> None:
        kinde.open.clear()
        self.fail(kinde)
        guard = guard_of_keys(kinde, time)
        asking = [in_thread(partial(reason, guard, key)) for key in (USER_KEY, ORG_KEY, STRANGER)]
        for _ in asking:
            assert kinde.arrived.acquire(timeout=LONG)
        kinde.open.set()
        for thread in asking:
            thread.join(LONG)
        time.passes(1)
        with pytest.raises(ApiKeysUnavailable) as unavailable:
            guard.verify(USER_KEY)
        assert unavailable.value.retry_after == 2

    @pytest.mark.parametrize(("header", "seconds"), [
        ({"RateLimit_Reset": "90"}, 90), ({"Retry_After": "45"}, 45), ({"RateLimit_Reset": "86400"}, 300), ({}, 1),
    ])  # fmt: skip
    def test_too_many_requests(self, kinde: KindeServer, time: Time, header: dict[str, str], seconds: int) -> None:
        guard = guard_of_keys(kinde, time)
        guard.verify(USER_KEY)
        kinde.answers[VERIFY] = errors(429, "TOO_MANY_REQUESTS", **header)
        with pytest.raises(ApiKeysUnavailable) as unavailable:
            guard.verify(ORG_KEY)
        assert unavailable.value.headers["Retry-After"] == str(seconds)
        asked = kinde.verified
        time.passes(min(seconds - 0.5, 59))
        assert (reason(guard, STRANGER), reason(guard, USER_KEY)) == ("api_keys_unavailable", "good")
        assert kinde.verified == asked

    def test_a_success_that_was_under_way_does_not_end_the_wait(self, kinde: KindeServer, time: Time) -> None:
        """Kinde has asked for peace meanwhile."""
        kinde.open.clear()
        guard = guard_of_keys(kinde, time)
        first = in_thread(lambda: reason(guard, USER_KEY))
        assert kinde.arrived.acquire(timeout=LONG)
        kinde.answers["POST /oauth2/token"] = errors(503, "AWAY", Retry_After="60")
        assert guard.api_keys is not None
        guard.api_keys._auth.forget()
        assert reason(guard, ORG_KEY) == "api_keys_unavailable"
        kinde.open.set()
        first.join(LONG)
        assert (reason(guard, USER_KEY), reason(guard, STRANGER)) == ("good", "api_keys_unavailable")

    def test_a_known_key_waits_a_second_at_most(
        self, kinde: KindeServer, time: Time, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The call goes on behind it."""
        guard = guard_of_keys(kinde, time)
        guard.verify(USER_KEY)
        kinde.open.clear()
        monkeypatch.setattr(keys, "WAIT_KNOWN", 0.01)
        time.passes(60)
        kinde.keys[USER_KEY]["is_valid"] = False
        assert reason(guard, USER_KEY) == "good"
        health = guard.health()[kinde.url].api_keys
        assert health is not None
        assert health.state == "answering"  # nothing has failed: it is not waited for any more
        for _ in range(2):
            assert kinde.arrived.acquire(timeout=LONG)
        kinde.open.set()
        settled(guard)
        time.passes(1)
        assert reason(guard, USER_KEY) == "invalid_api_key"

    def test_a_slow_answer_is_given_up_at_the_deadline(
        self, kinde: KindeServer, time: Time, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(keys, "TOTAL_TIMEOUT", 0.2)
        kinde.open.clear()
        guard = guard_of_keys(kinde, time)
        assert reason(guard, USER_KEY) == "api_keys_unavailable"
        health = guard.health()[kinde.url].api_keys
        assert health is not None
        assert "no whole answer within 0.2 s" in health.problem

    def test_nobody_there(self, kinde: KindeServer) -> None:
        guard = guard_of_keys(kinde)
        kinde.close()
        assert reason(guard, USER_KEY) == "api_keys_unavailable"

    def test_a_refusal_is_not_forgotten_for_one_who_has_given_up_waiting(
        self, kinde: KindeServer, time: Time, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Kinde's refusal lands just when a caller makes do with the last answer: later callers are refused, also while
        Kinde is away."""
        guard = guard_of_keys(kinde, time)
        guard.verify(USER_KEY)
        known = guard.api_keys
        assert known is not None
        make_do = known._good.find
        kinde.keys[USER_KEY]["is_valid"] = False
        time.passes(60)
        monkeypatch.setattr(keys, "WAIT_KNOWN", 0.05)
        kinde.open.clear()

        def find(digest: bytes) -> Any:
            found = make_do(digest)
            if sys._getframe(1).f_code.co_name == "_make_do" and not kinde.open.is_set():
                kinde.open.set()
                settled(guard)
            return found

        monkeypatch.setattr(known._good, "find", find)
        assert reason(guard, USER_KEY) == "good"
        time.passes(31)
        kinde.close()
        assert reason(guard, USER_KEY) == "api_keys_unavailable"


class TestTheBoundOnCalls:
    def test_strangers_cost_so_many_calls_a_minute(self, kinde: KindeServer, time: Time) -> None:
        guard = guard_of_keys(kinde, time, keys=api_keys(kinde, calls_per_minute=5))
        found = [reason(guard, f"k_live_{number:032}") for number in range(8)]
        assert found == ["invalid_api_key"] * 5 + ["api_keys_unavailable"] * 3
        assert kinde.verified == 5
        time.passes(50)
        with pytest.raises(ApiKeysUnavailable) as unavailable:
            guard.verify(USER_KEY)
        assert unavailable.value.retry_after == 10
        time.passes(10)
        assert reason(guard, USER_KEY) == "good"

    def test_good_keys_are_not_counted(self, kinde: KindeServer, time: Time) -> None:
        """After a start every good key is new."""
        guard = guard_of_keys(kinde, time, keys=api_keys(kinde, calls_per_minute=2))
        for number in range(8):
            key = f"k_live_{number:032}"
            kinde.add(key)
            assert reason(guard, key) == "good"
        found = [reason(guard, f"k_live_{number:032}") for number in range(8, 11)]
        assert found == ["invalid_api_key"] * 2 + ["api_keys_unavailable"]

    def test_more_is_not_given_back_than_was_counted(self) -> None:
        """As by an answer that takes more than a minute."""
        budget = Budget(1)
        budget.give_back()
        assert budget.wait(0.0) == 0.0
        assert budget.wait(1.0) == 59.0

    def test_strangers_do_not_fill_the_log_with_warnings(
        self, kinde: KindeServer, time: Time, caplog: pytest.LogCaptureFixture
    ) -> None:
        """One a minute says why; who was answered 503 is told of as all refusals are."""
        guard = guard_of_keys(kinde, time, keys=api_keys(kinde, calls_per_minute=1))
        caplog.set_level(logging.INFO, "kinde_guard")
        for number in range(20):
            reason(guard, f"k_live_{number:032}")
        assert sum(record.levelno >= logging.WARNING for record in caplog.records) == 1
        assert sum("cannot tell (api_keys_unavailable) token" in line for line in caplog.messages) == 19

    def test_known_keys_are_not_counted(self, kinde: KindeServer, time: Time, caplog: pytest.LogCaptureFixture) -> None:
        """Strangers cannot keep them from being asked about again."""
        guard = guard_of_keys(kinde, time, keys=api_keys(kinde, calls_per_minute=1))
        guard.verify(USER_KEY)
        time.passes(60)
        assert reason(guard, STRANGER) == "invalid_api_key"
        assert [reason(guard, ORG_KEY), reason(guard, TEST_KEY)] == ["api_keys_unavailable"] * 2
        assert reason(guard, USER_KEY) == "good"
        assert kinde.verified == 3
        assert sum("calls_per_minute" in line for line in caplog.messages) == 1


class TestRevocations:
    """What is revoked before T has been asked about before T: Kinde is asked again, and its word holds."""

    def test_of_a_key_that_is_not_known_there_is_nothing_to_doubt(self, kinde: KindeServer, time: Time) -> None:
        """It has been forgotten for another one meanwhile."""
        known = api_keys(kinde)
        guard = guard_of_keys(kinde, time, keys=known)
        known.doubt(sha256(USER_KEY.encode()), InvalidToken("revoked"))
        assert reason(guard, USER_KEY) == "good"

    @pytest.mark.parametrize("revoke", [
        lambda of, token: of.revoke_subject(token.subject), lambda of, token: of.revoke_client(token.client_id),
        lambda of, token: of.revoke_org("org_1"), lambda of, token: of.revoke_all(),
    ], ids=["subject", "client", "org", "all"])  # fmt: skip
    def test_kinde_is_asked_again(self, kinde: KindeServer, time: Time, revoke: Any) -> None:
        kinde.keys[USER_KEY]["org_code"] = "org_1"
        listed = Revocations.in_memory()
        guard = guard_of_keys(kinde, time, revocations=listed)
        token = guard.verify(USER_KEY)
        time.passes(10)
        revoke(listed, token)
        time.passes(1)
        assert reason(guard, USER_KEY) == "good"
        assert kinde.verified == 2
        assert reason(guard, USER_KEY) == "good"
        assert kinde.verified == 2

    def test_and_its_word_holds(self, kinde: KindeServer, time: Time) -> None:
        """A user who is deleted in Kinde, of whom a webhook tells."""
        listed = Revocations.in_memory()
        guard = guard_of_keys(kinde, time, revocations=listed)
        guard.verify(USER_KEY)
        kinde.keys[USER_KEY]["is_valid"] = False
        time.passes(10)
        entry = listed.revoke_subject("kp_1")
        time.passes(1)
        assert reason(guard, USER_KEY) == "invalid_api_key"
        listed.lift(entry, "a mistake")
        assert reason(guard, USER_KEY) == "invalid_api_key"

    def test_in_an_outage_what_is_revoked_is_refused(self, kinde: KindeServer, time: Time) -> None:
        listed = Revocations.in_memory()
        guard = guard_of_keys(kinde, time, revocations=listed)
        guard.verify(USER_KEY)
        time.passes(10)
        listed.revoke_subject("kp_1")
        kinde.answers[VERIFY] = errors(500, "OOPS")
        time.passes(1)
        assert [reason(guard, USER_KEY) for _ in range(2)] == ["revoked"] * 2

    def test_of_the_very_second_it_is_refused_for_a_moment(self, kinde: KindeServer, time: Time) -> None:
        """And costs no call for each request."""
        listed = Revocations.in_memory()
        guard = guard_of_keys(kinde, time, revocations=listed)
        guard.verify(USER_KEY)
        listed.revoke_subject("kp_1")
        assert [reason(guard, USER_KEY) for _ in range(3)] == ["revoked"] * 3
        assert kinde.verified == 1
        time.passes(5)
        assert reason(guard, USER_KEY) == "good"

    def test_one_token_s_is_the_key_s(self, kinde: KindeServer, time: Time) -> None:
        listed = Revocations.in_memory()
        guard = guard_of_keys(kinde, time, revocations=listed)
        token = guard.verify(USER_KEY)
        time.passes(10)
        listed.revoke(token)
        assert [reason(guard, USER_KEY) for _ in range(5)] == ["revoked"] * 5
        assert kinde.verified == 2
        assert reason(guard, ORG_KEY) == "good"

    def test_another_guard_has_seen_it_first(self, kinde: KindeServer, time: Time) -> None:
        shared, listed = api_keys(kinde), Revocations.in_memory()
        one, two = (guard_of_keys(kinde, time, keys=shared, revocations=listed) for _ in range(2))
        for guard in (one, two):
            guard.verify(USER_KEY)
        time.passes(10)
        listed.revoke_subject("kp_1")
        kinde.keys[USER_KEY]["is_valid"] = False
        time.passes(1)
        assert [reason(guard, USER_KEY) for guard in (one, two)] == ["invalid_api_key"] * 2

    @pytest.mark.parametrize("verify", [
        lambda guard: guard.verify(USER_KEY), lambda guard: asyncio.run(guard.averify(USER_KEY)),
    ], ids=["thread", "loop"])  # fmt: skip
    def test_where_they_cannot_be_told(
        self, kinde: KindeServer, verify: Callable[[Guard], AccessToken], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As of tokens: 503 once news have been waited for, and not for want of Kinde."""
        monkeypatch.setattr(revocations, "WAIT_COLD", 0.1)
        with socket.create_server(("127.0.0.1", 0)) as silent:
            where = f"redis://127.0.0.1:{silent.getsockname()[1]}/0"
            guard = guard_of_keys(kinde, clocks=None, revocations=Revocations(where))
            with pytest.raises(RevocationsUnavailable):
                verify(guard)
        assert kinde.verified == 1


def test_what_stays_open_is_over_with_kinde_s_answer(kinde: KindeServer, time: Time) -> None:
    """Nobody knows after that whether the key is still good. The client connects again."""
    guard = guard_of_keys(kinde, time)
    token = guard.verify(USER_KEY)
    time.passes(60 + 29)
    guard.check(token)
    time.passes(1)
    with pytest.raises(InvalidToken, match="expired"):
        guard.check(token)


class TestWhatIsTold:
    class Observer:
        def __init__(self) -> None:
            self.events: list[Event] = []

        def observe(self, event: Event) -> None:
            self.events.append(event)

        def of(self, *kinds: type[Any]) -> list[Any]:
            return [event for event in self.events if isinstance(event, kinds)]

    def test_events(self, kinde: KindeServer) -> None:
        observer = self.Observer()
        guard = guard_of_keys(kinde, observer=observer)
        guard.verify(USER_KEY)
        guard.verify(USER_KEY)
        assert reason(guard, STRANGER) == "invalid_api_key"
        kinde.answers[VERIFY] = errors(500, "OOPS")
        assert reason(guard, ORG_KEY) == "api_keys_unavailable"
        settled(guard)
        assert [event.remembered for event in observer.of(Verified)] == [False, True]
        assert [event.reason for event in observer.of(Refused, CannotTell)] == [
            "invalid_api_key",
            "api_keys_unavailable",
        ]
        assert [event.reason for event in observer.of(ApiKeyAnswered)] == ["", "invalid_api_key"]
        [failed] = observer.of(ApiKeyUnanswered)
        assert (failed.issuer, failed.kind, failed.problem) == (kinde.url, "500", "Kinde answered 500")
        assert failed.retry_in == 1.0

    def test_health(self, kinde: KindeServer, time: Time) -> None:
        guard = guard_of_keys(kinde, time)

        def health() -> ApiKeysHealth | None:
            return guard.health()[kinde.url].api_keys

        assert health() == ApiKeysHealth("never_asked", NOW, 0)
        time.passes(5)
        guard.verify(USER_KEY)
        assert health() == ApiKeysHealth("answering", NOW + 5, 1)
        kinde.answers[VERIFY] = errors(500, "OOPS")
        time.passes(5)
        reason(guard, STRANGER)
        assert health() == ApiKeysHealth("failing", NOW + 10, 1, "Kinde answered 500", 1.0)
        time.passes(2)
        reason(guard, STRANGER)
        assert health() == ApiKeysHealth("failing", NOW + 10, 1, "Kinde answered 500", 2.0)
        del kinde.answers[VERIFY]
        time.passes(2)
        reason(guard, STRANGER)
        assert health() == ApiKeysHealth("answering", NOW + 14, 1)

    def test_a_problem_is_said_once_a_minute(
        self, kinde: KindeServer, time: Time, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO, "kinde_guard")
        guard = guard_of_keys(kinde, time)
        kinde.answers[VERIFY] = errors(500, "OOPS")
        for _ in range(4):
            reason(guard, STRANGER)
            time.passes(30)
        del kinde.answers[VERIFY]
        reason(guard, STRANGER)
        settled(guard)
        assert sum("Kinde answered 500" in line for line in caplog.messages) == 2
        assert sum("answers again" in line for line in caplog.messages) == 1

    def test_the_key_appears_nowhere(self, kinde: KindeServer, caplog: pytest.LogCaptureFixture) -> None:
        """Not in the log, an error, a traceback, a repr, nor in what is remembered."""
        caplog.set_level(logging.DEBUG)
        observer = self.Observer()

        def broken(request: httpx.Request) -> httpx.Response:
            raise httpx.ConnectError(f"{request.content!r} {request.headers!r}")

        told: list[object] = []
        transport = httpx.MockTransport(broken)
        for changes in ({}, {"transport": transport}):
            guard = guard_of_keys(kinde, keys=api_keys(kinde, **changes), observer=observer)
            for key in (USER_KEY, STRANGER, "k_live_cut", USER_KEY + "."):
                try:
                    told.append(repr(guard.verify(key)) + json.dumps(guard.verify(key).claims))
                except (InvalidToken, ApiKeysUnavailable) as refusal:
                    shown = traceback.TracebackException.from_exception(refusal, capture_locals=True)
                    frames = [line for line in shown.format() if __file__ not in line.partition(",")[0]]
                    told += [str(refusal), repr(vars(refusal)), refusal.body(), frames]
            told += [repr(guard.api_keys), everything_in(guard.api_keys), repr(guard.health())]
        told += [caplog.text, repr(observer.events), repr(dict(os.environ))]
        for secret in (USER_KEY, STRANGER, "k_live_cut", "m2m-1"):
            assert [each for each in told if secret in repr(each)] == [], secret


def everything_in(thing: object, depth: int = 7) -> str:
    """What there is to be found in it, in its attributes and what those hold."""
    if depth == 0 or isinstance(thing, threading.Thread | ClientCredentials):
        return ""
    if isinstance(thing, dict):
        inner: list[object] = [*thing.keys(), *thing.values()]
    elif isinstance(thing, list | tuple | set | frozenset) or type(thing).__name__ in ("deque", "WeakSet"):
        inner = list(thing)  # type: ignore[call-overload]
    elif hasattr(thing, "__dict__"):
        inner = list(vars(thing).values())
    else:
        return repr(thing)
    return " ".join(everything_in(each, depth - 1) for each in inner)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
class TestForks:
    def test_a_child_asks_for_itself(self, kinde: KindeServer) -> None:
        """Though its parent is in the middle of a call, and holds the one lane's thread."""
        from helpers import fork

        kinde.open.clear()
        guard = guard_of_keys(kinde)
        parent = in_thread(lambda: reason(guard, USER_KEY))
        assert kinde.arrived.acquire(timeout=LONG)
        child = fork()
        if child == 0:
            try:
                os._exit(0 if guard.verify(USER_KEY).subject == "kp_1" else 1)
            finally:
                os._exit(2)
        assert kinde.arrived.acquire(timeout=LONG)
        kinde.open.set()
        parent.join(LONG)
        assert os.waitpid(child, 0)[1] == 0
        assert kinde.verified == 2
