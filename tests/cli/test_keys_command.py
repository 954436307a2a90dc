"""``kinde-guard keys``: what it saves, a guard begins with."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from commands import outcome_of
from faults import Server, answering, nobody
from helpers import Outcome, jwk, key_set, mint, reason_of
from servers import served_issuer

from kinde_guard import Guard
from kinde_guard.issuer import LocalIssuer

Run = Callable[..., Outcome]


@pytest.fixture
def run(no_settings: None, capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*arguments: str) -> Outcome:
        return outcome_of(capsys, "keys", *arguments)

    return run


@pytest.fixture(scope="module")
def kinde() -> Iterator[LocalIssuer]:
    with served_issuer() as issuer:
        yield issuer


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


def offline(url: str, jwks: Any, audience: str) -> Guard:
    """A guard of the issuer *url* where there is no network."""
    with nobody() as closed:
        return Guard(url, audience=audience, variables=(), jwks=jwks, jwks_url=closed)


def test_a_guard_begins_with_what_it_saves(run: Run, kinde: LocalIssuer, file: Path) -> None:
    before = time.time()
    status, out, err = run("--domain", kinde.url, "--save", str(file))
    assert (status, out) == (0, "")
    assert err.startswith(f"1 key of {kinde.url} in {file}, as of 20")
    saved = json.loads(file.read_text())
    assert saved["issuer"] == kinde.url
    assert int(before) - 1 <= datetime.fromisoformat(saved["fetched_at"]).timestamp() <= time.time()
    guard = offline(kinde.url, file, kinde.audience)
    assert reason_of(guard, kinde.m2m_token()) == "accepted"
    assert guard.health()[kinde.url].state == "stale"


def test_it_is_a_jwk_set_for_other_programs_too(run: Run, kinde: LocalIssuer, file: Path) -> None:
    run("--domain", kinde.url, "--save", str(file))
    assert json.loads(file.read_text())["keys"] == json.loads(run("--domain", kinde.url).out)["keys"]


def test_without_a_file_it_goes_to_stdout(run: Run, kinde: LocalIssuer) -> None:
    status, out, err = run("--domain", kinde.url)
    assert (status, err) == (0, "")
    assert reason_of(offline(kinde.url, json.loads(out), kinde.audience), kinde.m2m_token()) == "accepted"


def test_several_domains_in_one_file(run: Run, kinde: LocalIssuer, file: Path) -> None:
    with served_issuer() as other:
        assert run("--domain", kinde.url, "--domain", other.url, "--save", str(file)).status == 0
        tokens = kinde.m2m_token(), other.m2m_token(audience=kinde.audience)
        domains = [kinde.url, other.url]
    assert [each["issuer"] for each in json.loads(file.read_text())] == domains
    guard = Guard(domains, audience=kinde.audience, variables=(), jwks=file)
    assert [reason_of(guard, token) for token in tokens] == ["accepted", "accepted"]


def test_only_keys_that_verify_something_are_saved(run: Run, file: Path) -> None:
    private, shared = {**jwk({"kid": "given away"}), "d": "AQAB"}, {"kty": "oct", "kid": "shared", "k": "AAAA"}
    with Server(answering(key_set(private, jwk(), shared, None, 1))) as server:
        assert run("--domain", server.url, "--save", str(file)).status == 0
    assert json.loads(file.read_text())["keys"] == [jwk()]


def test_its_date_is_not_later_than_the_issuers(run: Run) -> None:
    """By the issuer's clock, and with the time that caches on the way have held the answer."""
    headers = {"date": "Sun, 29 Jun 2025 12:26:40 GMT", "age": "40"}
    with Server(answering(key_set(jwk()), headers=headers)) as server:
        document = json.loads(run("--domain", server.url).out)
    made = datetime.fromisoformat(document["fetched_at"]).timestamp()
    assert 1_751_200_000 - 5 <= made <= 1_751_200_000 + 5


@pytest.mark.parametrize("answer", [
    pytest.param(answering(status=503), id="no answer"),
    pytest.param(answering(b"<html>"), id="no JSON"),
    pytest.param(answering(b'{"keys":1}'), id="no JWK Set"),
    pytest.param(answering(b'{"keys":[]}'), id="no keys"),
    pytest.param(answering(key_set({**jwk(), "d": "AQAB"})), id="no usable key"),
])  # fmt: skip
def test_where_there_are_no_keys_no_file_is_touched(run: Run, kinde: LocalIssuer, file: Path, answer: Any) -> None:
    """Not even if the others of several domains answer."""
    file.write_text("as before")
    with Server(answer) as server:
        status, out, err = run("--domain", kinde.url, "--domain", server.url, "--save", str(file))
    assert (status, out) == (3, "")
    assert err.startswith(f"kinde-guard: no keys from {server.url}: ")
    assert file.read_text() == "as before"
    assert os.listdir(file.parent) == [file.name]


def test_a_file_is_replaced_as_a_whole(run: Run, kinde: LocalIssuer, file: Path) -> None:
    """Whoever has it open goes on reading the one before; a link goes on being one."""
    file.write_text("as before")
    link = file.with_name("link.json")
    link.symlink_to(file.name)
    with file.open() as reader:
        assert run("--domain", kinde.url, "--save", str(link)).status == 0
        assert reader.read() == "as before"
    assert link.is_symlink()
    assert json.loads(file.read_text())["issuer"] == kinde.url
    assert sorted(os.listdir(file.parent)) == ["keys.json", "link.json"]


@pytest.mark.parametrize(("name", "why"), [
    ("nowhere/keys.json", "No such file or directory"), ("", "Is a directory"),
])  # fmt: skip
def test_a_file_that_cannot_be_written(run: Run, kinde: LocalIssuer, tmp_path: Path, name: str, why: str) -> None:
    status, out, err = run("--domain", kinde.url, "--save", f"{tmp_path}/{name}")
    assert (status, out) == (2, "")
    assert err.strip().endswith(why)
    assert os.listdir(tmp_path) == []


@pytest.mark.usefixtures("no_settings")
def test_without_a_domain_it_says_what_to_set(run: Run) -> None:
    status, _, err = run()
    assert status == 2
    assert "KINDE_DOMAIN" in err


def test_a_token_of_another_issuer_has_no_key(run: Run, kinde: LocalIssuer, file: Path) -> None:
    run("--domain", kinde.url, "--save", str(file))
    assert reason_of(offline(kinde.url, file, kinde.audience), mint()) != "accepted"
