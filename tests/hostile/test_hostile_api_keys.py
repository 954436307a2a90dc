"""Hostile API keys: the guard withstands each for the reason that is named, and careless verifiers are caught."""

from __future__ import annotations

import asyncio
import collections
import re
from typing import Any

import pytest
from fastapi import FastAPI
from helpers import Time
from starlette.testclient import TestClient

import kinde_guard.fastapi as on_fastapi
from kinde_guard import Guard, Requirement, scope
from kinde_guard.errors import KindeGuardError
from kinde_guard.hostile.api_keys import KeyBench, cases, good
from kinde_guard.hostile.cases import Benign, Hostile
from kinde_guard.hostile.clients import asking
from kinde_guard.hostile.forge import Forge
from kinde_guard.hostile.trial import api_key_findings
from kinde_guard.issuer import LocalIssuer
from kinde_guard.requirements import authenticated
from kinde_guard.testing import api_keys_for, guard_for, local_issuer

SCOPE = "read:users"


@pytest.fixture
def issuer() -> LocalIssuer:
    return local_issuer()


def bench_of(issuer: LocalIssuer, scope: str | None = SCOPE, **options: Any) -> KeyBench:
    bench = KeyBench.of(Forge(issuer, issuer.audience, scope, **options))
    assert bench is not None
    return bench


def reason(guard: Guard, requirement: Requirement, case: Hostile | Benign) -> str | None:
    try:
        guard.authenticate(case.authorization).require(requirement)
    except KindeGuardError as refusal:
        return str(getattr(refusal, "reason", refusal))
    return None


@pytest.mark.parametrize("wanted", [SCOPE, None])
def test_the_guard_withstands_each(wanted: str | None) -> None:
    """For the reason that the corpus names, cold and asked again, in threads and in a loop."""
    time = Time()
    issuer = local_issuer(clock=time.clocks.wall)
    guard = guard_for(issuer, api_keys=api_keys_for(issuer), clocks=time.clocks)
    bench = bench_of(issuer, wanted)
    every: list[Hostile | Benign] = [*good(bench), *cases(bench)]
    expected = {case.name: getattr(case, "reason", None) for case in every}
    requirement = authenticated if wanted is None else scope(wanted)
    for _ in range(2):
        assert {case.name: reason(guard, requirement, case) for case in every} == expected
    other = guard_for(issuer, api_keys=api_keys_for(issuer), clocks=time.clocks)

    async def asked(case: Hostile | Benign) -> str | None:
        try:
            (await other.aauthenticate(case.authorization)).require(requirement)
        except KindeGuardError as refusal:
            return str(getattr(refusal, "reason", refusal))
        return None

    async def all_asked() -> dict[str, str | None]:
        return {case.name: await asked(case) for case in every}

    assert asyncio.run(all_asked()) == expected


def test_a_guard_that_takes_no_keys_refuses_all_of_them(issuer: LocalIssuer) -> None:
    guard = guard_for(issuer)
    bench = bench_of(issuer)
    assert {reason(guard, scope(SCOPE), case) for case in good(bench)} == {"malformed"}


def test_names_are_unique_and_every_case_has_its_source(issuer: LocalIssuer) -> None:
    bench = bench_of(issuer)
    bad, benign = list(cases(bench)), list(good(bench))
    names = [*(case.name for case in bad), *(case.name for case in benign)]
    assert [name for name, count in collections.Counter(names).items() if count > 1] == []
    assert len(bad) >= 50
    source = re.compile(r"RFC \d+|CWE-|Kinde|docs\.kinde\.com")
    assert [case.name for case in bad if not source.search(case.why)] == []
    assert not any(re.search("k_live_[0-9a-f]", repr(case)) for case in (*bad, *benign))


@pytest.mark.parametrize(
    ("claims", "keys"), [({}, True), ({"org_code": "org_1"}, True), ({"permissions": ["x"]}, False)]
)
def test_a_route_that_needs_more(issuer: LocalIssuer, claims: dict[str, object], keys: bool) -> None:
    """A key can be an organization's, and has no other claim."""
    bench = KeyBench.of(Forge(issuer, issuer.audience, SCOPE, claims=claims))
    assert (bench is not None) == keys
    if bench is not None:
        assert bench.key().org_code == claims.get("org_code")


def app_of(guard: Guard) -> TestClient:
    app = FastAPI()
    on_fastapi.KindeGuard(app, guard=guard)
    app.add_api_route("/users", on_fastapi.requires_scope(SCOPE)(lambda: "users"), methods=["GET", "OPTIONS"])
    return TestClient(app)


def found_by(client: TestClient, issuer: LocalIssuer) -> list[str]:
    """The keys that are answered wrongly."""
    with asking(client, "/users", "GET") as ask:
        found, count = api_key_findings(ask, Forge(issuer, issuer.audience, SCOPE), "/users")
    assert count > 60
    return [each.name for each in found]


def test_who_is_not_bound_to_the_api_is_caught(issuer: LocalIssuer) -> None:
    """Whoever takes any API's keys lets in those of another one, whose scope has the same name."""
    of_nobody = "0" * 32  # what the fault names
    client = app_of(guard_for(issuer, api_keys=api_keys_for(issuer, api_ids=of_nobody)))
    with issuer.broken("other_api", "api_keys"):
        found = found_by(client, issuer)
    assert found == ["an API key for another API", "a user's API key for another API"]


def test_an_app_resists(issuer: LocalIssuer) -> None:
    """Status, challenge and body of each; and no key is good any more when it is over."""
    assert found_by(app_of(guard_for(issuer, api_keys=api_keys_for(issuer))), issuer) == []
    assert {key.status for key in issuer.api_keys} == {"revoked"}


def test_an_app_that_takes_no_key_proves_nothing(issuer: LocalIssuer) -> None:
    client = app_of(guard_for(issuer))
    with pytest.raises(AssertionError, match="to a good API key that is good, so what it refuses proves nothing"):
        found_by(client, issuer)
    assert {key.status for key in issuer.api_keys} == {"revoked"}
