"""Keys that were saved earlier: good for the first request, and for no longer than if they had been fetched here."""

from __future__ import annotations

import json
import os
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from faults import nobody
from helpers import (
    AUDIENCE,
    DOMAIN,
    ISSUER,
    NOW,
    Issuer,
    Time,
    guard_of,
    jwk,
    key_set,
    mint,
    reason_of,
    rsa_key,
    verdict,
)
from waiting import LONG, patience, patience_is_noted, settle

from kinde_guard import ConfigurationError, Guard
from kinde_guard.settings.seeds import document_of

OTHER = "https://account.acme.com"
DAY = 86_400


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def issuer() -> Issuer:
    return Issuer()


def seed(age: float = 0, *keys: object, issuer: str = ISSUER) -> dict[str, object]:
    return document_of(issuer, keys or (jwk(),), NOW - age)


def bare(*keys: object) -> dict[str, object]:
    return {"keys": list(keys or (jwk(),))}


def silent(free: threading.Event) -> httpx.MockTransport:
    """An issuer that says nothing until it is *free* to."""

    def answer(request: httpx.Request) -> httpx.Response:
        assert free.wait(LONG)
        return httpx.Response(200, content=key_set(jwk()))

    return httpx.MockTransport(answer)


def state_of(guard: Guard, issuer: str = ISSUER) -> str:
    return guard.health()[issuer].state


# The first request


def test_the_first_request_waits_for_no_network(time: Time) -> None:
    """A function that was frozen or has yet to run answers at once; the keys are asked for behind it."""
    free = threading.Event()
    guard = Guard(DOMAIN, audience=AUDIENCE, variables=(), transport=silent(free), clocks=time.clocks, jwks=seed(3_600))
    with patience_is_noted():
        patience.seconds = 0.0
        assert reason_of(guard, mint()) == "accepted"
        assert patience.seconds == 0.0
    assert state_of(guard) == "stale"
    free.set()
    settle(guard)
    health = guard.health()[ISSUER]
    assert (health.state, health.problem, health.since) == ("fresh", "", time.wall)


def test_nor_does_it_make_a_connection() -> None:
    """Nothing is asked for until there is a request, and without anybody to ask it is answered all the same."""
    with nobody() as url:
        guard = Guard(url, audience=AUDIENCE, variables=(), clocks=Time().clocks, jwks=seed(60, issuer=url))
        assert guard.health()[url].problem.startswith("the issuer has yet to answer")
        assert reason_of(guard, mint({"iss": url})) == "accepted"
        settle(guard)
        assert (state_of(guard, url), "ConnectError" in guard.health()[url].problem) == ("stale", True)
        assert reason_of(guard, mint({"iss": url, "jti": "another"})) == "accepted"


def test_it_says_that_it_is_stale_and_why(issuer: Issuer, time: Time, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "kinde_guard")
    guard = guard_of(issuer, time, jwks=seed(60))
    health = guard.health()[ISSUER]
    assert (health.state, health.since, health.keys) == ("stale", NOW, 1)
    assert health.problem == (
        "the issuer has yet to answer: these are the keys of the document, as of 2025-06-29 12:25:40 UTC"
    )
    assert health.problem in caplog.text
    assert issuer.fetches == []


def test_it_is_refreshed_with_the_first_request(issuer: Issuer, time: Time, caplog: pytest.LogCaptureFixture) -> None:
    """It is never fresh, however young."""
    caplog.set_level("INFO", "kinde_guard")
    guard = guard_of(issuer, time, jwks=seed(0))
    assert state_of(guard) == "stale"
    token = mint()
    first = guard.verify(token)
    settle(guard)
    assert len(issuer.fetches) == 1
    assert "1 loaded" in caplog.text
    assert guard.verify(token) is first  # the key is the same one, so that what it verified is remembered
    assert state_of(guard) == "fresh"


def test_loading_at_the_start_refreshes_it(issuer: Issuer, time: Time) -> None:
    guard = guard_of(issuer, time, jwks=seed(0))
    guard.warm()
    assert (state_of(guard), len(issuer.fetches)) == ("fresh", 1)


# What it must not weaken


def test_a_key_that_was_withdrawn_since_serves_until_the_issuer_has_answered(issuer: Issuer, time: Time) -> None:
    issuer.body = key_set(jwk({"kid": "new"}, key=rsa_key("new")))
    guard = guard_of(issuer, time, jwks=seed(60))
    old = mint()
    assert reason_of(guard, old) == "accepted"
    settle(guard)
    assert reason_of(guard, old) == "unknown_key"
    assert reason_of(guard, mint(header={"kid": "new"}, key=rsa_key("new"))) == "accepted"


def test_a_key_that_is_newer_than_the_seed_is_waited_for(issuer: Issuer, time: Time) -> None:
    issuer.body = key_set(jwk(), jwk({"kid": "new"}, key=rsa_key("new")))
    guard = guard_of(issuer, time, jwks=seed(60))
    assert reason_of(guard, mint(header={"kid": "new"}, key=rsa_key("new"))) == "accepted"
    assert len(issuer.fetches) == 1


def test_it_serves_no_longer_than_keys_that_were_fetched_then(issuer: Issuer, time: Time) -> None:
    """During an outage: ``usable_for`` counts from when the seed was fetched."""
    issuer.status = 503
    guard = guard_of(issuer, time, jwks=seed(DAY - 3_600), leeway=0)
    assert reason_of(guard, mint()) == "accepted"
    settle(guard)
    time.passes(3_599)
    assert reason_of(guard, mint({"exp": NOW + DAY})) == "accepted"
    settle(guard)
    time.passes(1)
    assert state_of(guard) == "expired"
    assert verdict(guard, mint({"exp": NOW + DAY})).startswith("again in")


@pytest.mark.parametrize("remembered", [True, False])
def test_its_date_counts_where_the_other_clock_stood_still(issuer: Issuer, time: Time, remembered: bool) -> None:
    """As in a function that goes on from a snapshot."""
    free = threading.Event()
    guard = Guard(
        DOMAIN, audience=AUDIENCE, variables=(), transport=silent(free), clocks=time.clocks, jwks=seed(DAY - 100)
    )
    token = mint({"exp": NOW + 2 * DAY})
    if remembered:
        assert reason_of(guard, token) == "accepted"
    time.wall += 100
    health = guard.health()[ISSUER]
    assert (health.state, health.since) == ("expired", NOW + 100)
    free.set()
    with patience_is_noted():
        patience.seconds = 0.0
        assert reason_of(guard, token) == "accepted"  # with keys that were waited for
        assert patience.seconds > 0 or remembered
    assert state_of(guard) == "fresh"


def test_the_other_clock_counts_where_the_one_of_dates_is_set_back(issuer: Issuer, time: Time) -> None:
    issuer.status = 503
    guard = guard_of(issuer, time, jwks=seed(DAY - 100))
    assert reason_of(guard, mint()) == "accepted"
    settle(guard)
    time.monotonic += 100
    time.wall -= 10
    assert state_of(guard) == "expired"
    assert verdict(guard, mint({"exp": NOW + DAY})).startswith("again in")


@pytest.mark.parametrize(("age", "why"), [
    pytest.param(DAY, "keys are usable for 86400 s", id="as old as that"),
    pytest.param(400 * DAY, "keys are usable for 86400 s", id="older"),
    pytest.param(-31, "in the future", id="of the future"),
    pytest.param(-400 * DAY, "in the future", id="of the far future"),
])  # fmt: skip
def test_one_of_another_time_is_left_out(
    issuer: Issuer, time: Time, caplog: pytest.LogCaptureFixture, age: float, why: str
) -> None:
    """An app that was built with it starts all the same."""
    issuer.status = 503
    guard = guard_of(issuer, time, jwks=seed(age))
    assert why in caplog.text
    assert state_of(guard) == "never_loaded"
    assert verdict(guard, mint()).startswith("again in")


def test_one_of_a_clock_that_is_ahead_counts_from_now(issuer: Issuer, time: Time) -> None:
    """Within the leeway; and it serves no longer for it."""
    issuer.status = 503
    guard = guard_of(issuer, time, jwks=seed(-30), usable_for=100)
    assert reason_of(guard, mint()) == "accepted"
    time.passes(100)
    assert state_of(guard) == "expired"


def test_a_document_without_a_date_counts_from_now_and_that_is_said(
    issuer: Issuer, time: Time, caplog: pytest.LogCaptureFixture
) -> None:
    issuer.status = 503
    guard = guard_of(issuer, time, jwks=bare(), usable_for=100)
    assert "does not say when it was fetched" in caplog.text
    assert reason_of(guard, mint()) == "accepted"
    time.passes(100)
    assert state_of(guard) == "expired"


@pytest.mark.parametrize("member", ["fetched_at", None])
def test_a_file_without_a_date_counts_from_its_own(
    issuer: Issuer, time: Time, tmp_path: Path, caplog: pytest.LogCaptureFixture, member: str | None
) -> None:
    issuer.status = 503
    file = tmp_path / "keys.json"
    file.write_text(json.dumps(seed(DAY - 50) if member else bare()))
    os.utime(file, (NOW - 10, NOW - (10 if member else DAY - 50)))
    guard = guard_of(issuer, time, jwks=file)
    assert "does not say when" not in caplog.text
    assert reason_of(guard, mint()) == "accepted"
    time.passes(50)
    assert state_of(guard) == "expired"


def test_odd_keys_in_it_are_not_used_and_are_told_of(
    issuer: Issuer, time: Time, caplog: pytest.LogCaptureFixture
) -> None:
    private = {**jwk({"kid": "given away"}), "d": "AQAB"}
    shared = {"kty": "oct", "kid": "shared", "k": "AAAA", "alg": "HS256"}
    guard = guard_of(issuer, time, jwks=seed(0, jwk(), private, shared, None))
    assert guard.health()[ISSUER].keys == 1
    for words in ("its private part is published", "a shared secret", "not a JSON object", "anybody can sign with"):
        assert words in caplog.text


def test_a_document_is_read_once(issuer: Issuer, time: Time) -> None:
    """What is done to it later is nobody's affair."""
    document: dict[str, Any] = seed(0)
    guard = guard_of(issuer, time, jwks=document)
    document["keys"].clear()
    assert reason_of(guard, mint()) == "accepted"


# Whose it is


def two(issuer: Issuer, time: Time, jwks: object) -> Guard:
    return guard_of(issuer, time, [ISSUER, OTHER], jwks=jwks)


@pytest.mark.parametrize("as_file", [True, False])
def test_each_of_several_issuers_has_its_own(issuer: Issuer, time: Time, tmp_path: Path, as_file: bool) -> None:
    issuer.status = 503
    documents: Any = [seed(0), seed(60, jwk(key=rsa_key("other")), issuer=OTHER)]
    if as_file:
        (file := tmp_path / "keys.json").write_text(json.dumps(documents))
        documents = str(file)
    guard = two(issuer, time, documents)
    assert [health.state for health in guard.health().values()] == ["stale", "stale"]
    assert reason_of(guard, mint()) == "accepted"
    assert reason_of(guard, mint({"iss": OTHER}, key=rsa_key("other"))) == "accepted"
    assert reason_of(guard, mint({"iss": OTHER})) == "bad_signature"
    assert reason_of(guard, mint(key=rsa_key("other"))) == "bad_signature"


def test_not_every_issuer_needs_one(issuer: Issuer, time: Time) -> None:
    issuer.status = 503
    guard = two(issuer, time, seed(0, issuer=OTHER))
    assert reason_of(guard, mint({"iss": OTHER})) == "accepted"
    assert state_of(guard) == "never_loaded"
    assert verdict(guard, mint()).startswith("again in")


WHOSE = [
    (bare(), "does not say whose keys it holds"),
    ([bare(), bare()], "does not say whose keys it holds"),
    ([seed(0), seed(60)], "two seeds of https://acme.kinde.com"),
    (seed(0, issuer="https://other.kinde.com"), "'https://other.kinde.com', and this guard is for https://acme"),
    ({**seed(0), "issuer": 1}, "is of 1, and"),
]


@pytest.mark.parametrize(("jwks", "words"), WHOSE, ids=["one", "two", "twice", "another", "a number"])
def test_a_seed_says_whose_it_is(issuer: Issuer, time: Time, jwks: object, words: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^jwks") as caught:
        two(issuer, time, jwks)
    assert words in str(caught.value)


def test_a_seed_of_another_issuer_is_none_of_this_one(issuer: Issuer, time: Time) -> None:
    """Not even where there is one alone: a file of another environment was taken."""
    with pytest.raises(ConfigurationError, match="this guard is for"):
        guard_of(issuer, time, jwks=seed(0, issuer=OTHER))


# Wrong ones


WRONG = {
    "a number": (1, "not int"),
    "bytes": (b"{}", "not bytes"),
    "a number in a list": ([1], "not int"),
    "empty": ({}, "no list of keys"),
    "keys are no list": ({"keys": {}}, "no list of keys"),
    "keys are text": ({"keys": "keys"}, "no list of keys"),
    "no keys": ({"keys": []}, "no usable key"),
    "no key": ({"keys": [None]}, "no usable key"),
    "no JSON": ({"keys": [{1}]}, "no JSON"),
    "another algorithm": (bare(jwk({"alg": "PS256"})), "algorithm that is not accepted"),
    "a private key": (bare({**jwk(), "d": "AQAB"}), "private part"),
    "a number for a date": ({**bare(), "fetched_at": 1}, "must be a time in UTC"),
    "no date": ({**bare(), "fetched_at": "today"}, "must be a time in UTC"),
    "a date without a zone": ({**bare(), "fetched_at": "2025-06-29T12:00:00"}, "must be a time in UTC"),
    "a date of the year 0 in UTC": ({**bare(), "fetched_at": "0001-01-01T00:00:00+23:59"}, "must be a time in UTC"),
    "a date of the year 10000 in UTC": (
        {**bare(), "fetched_at": "9999-12-31T23:59:59-23:59"},
        "must be a time in UTC",
    ),
    "an empty date": ({**bare(), "fetched_at": ""}, "must be a time in UTC"),
    "a document as text": (json.dumps(bare()), "json.loads(text)"),
    "a list as text": (" [" + json.dumps(bare()), "json.loads(text)"),
    "no name": ("", "cannot be read"),
    "no file": ("/nowhere/keys.json", "'/nowhere/keys.json' cannot be read: No such file"),
    "no file name": ("a\0b", "cannot be read"),
    "a folder": (Path("/"), "cannot be read: Is a directory"),
}


@pytest.mark.parametrize(("jwks", "words"), WRONG.values(), ids=WRONG)
def test_a_wrong_seed_is_a_mistake_in_the_settings(issuer: Issuer, time: Time, jwks: object, words: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^jwks") as caught:
        guard_of(issuer, time, jwks=jwks)
    assert words in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "nothing", "1", '"keys"', "[1]", "null", "[" * 100_000, "\0", "\ufeff{}"])
def test_a_wrong_file_is_one_too(issuer: Issuer, time: Time, tmp_path: Path, text: str) -> None:
    file = tmp_path / "keys.json"
    file.write_text(text)
    with pytest.raises(ConfigurationError, match=r"^jwks: the file '.*keys.json' "):
        guard_of(issuer, time, jwks=file)


@pytest.mark.parametrize("jwks", [(), []])
def test_none_is_none(issuer: Issuer, time: Time, jwks: Any) -> None:
    assert state_of(guard_of(issuer, time, jwks=jwks)) == "never_loaded"


def test_a_date_is_written_as_it_is_read() -> None:
    date = seed(0)["fetched_at"]
    assert isinstance(date, str)
    assert datetime.fromisoformat(date) == datetime.fromtimestamp(NOW, UTC)
