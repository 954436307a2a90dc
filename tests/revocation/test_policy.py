"""What Kinde's events mean for tokens: the default policy, with webhooks as Kinde signs them."""

from __future__ import annotations

import asyncio
import itertools
import random
from typing import Any

import pytest
from helpers import NOW, USER, mint, reason_of
from test_revocations import Fleet

from kinde_guard.revocation import Revocation
from kinde_guard.webhooks import WebhookEvent, WebhookReader

SUBJECT, ORG = USER["sub"], USER["org_code"]
_ids = itertools.count()


@pytest.fixture
def fleet() -> Fleet:
    return Fleet()


def event(fleet: Fleet, kind: str, data: Any, *, name: str = "", at: float = NOW) -> WebhookEvent:
    """As the guard's own reader reads it."""
    from datetime import UTC, datetime

    time = datetime.fromtimestamp(at, UTC).isoformat()
    claims = {
        "type": kind, "data": data, "event_id": name or f"event_{next(_ids)}", "event_timestamp": time,
        "timestamp": time, "source": "admin",
    }  # fmt: skip
    return WebhookReader(guard=fleet.guard).read(mint(base=claims).encode())


def suspended(is_suspended: bool = True) -> dict[str, Any]:
    return {"user": {"id": SUBJECT, "is_suspended": is_suspended}}


ENDING: list[tuple[str, Any, str]] = [
    ("user.deleted", {"user": {"id": SUBJECT}}, "subject"),
    ("user.updated", suspended(), "subject"),
    ("organization.deleted", {"organization": {"code": ORG}}, "org"),
]
HARMLESS: list[tuple[str, Any]] = [
    ("user.updated", suspended(False)),
    ("user.created", {"user": {"id": SUBJECT, "is_suspended": True}}),
    ("user.authenticated", {"user": {"id": SUBJECT}}),
    ("user.updated", {"user": {"id": SUBJECT, "organizations": [{"code": ORG, "roles": None, "permissions": None}]}}),
    ("organization.updated", {"organization": {"code": ORG, "is_suspended": True}}),
    ("role.updated", {"role": {"id": "r", "key": "k"}}),
    ("permission.deleted", {"permission": {"id": "p"}}),
    ("something.new", {"user": {"id": SUBJECT, "is_suspended": True}}),
]


@pytest.mark.parametrize(("kind", "data", "whom"), ENDING)
@pytest.mark.parametrize("in_loop", [False, True])
def test_what_ends_tokens(fleet: Fleet, kind: str, data: Any, whom: str, in_loop: bool) -> None:
    assert reason_of(fleet.guard, mint()) == "accepted"
    made = event(fleet, kind, data)
    apply: Any = fleet.revocations.aapply if in_loop else fleet.revocations.apply
    entry: Revocation = asyncio.run(apply(made)) if in_loop else apply(made)
    assert (entry.kind, entry.id, entry.issued_before, entry.by) == (whom, made.id, NOW, "webhook")
    assert reason_of(fleet.guard, mint()) == "revoked"
    assert fleet.revocations.health().last_webhook == NOW


@pytest.mark.parametrize(("kind", "data"), HARMLESS)
def test_what_ends_none(fleet: Fleet, kind: str, data: Any) -> None:
    assert fleet.revocations.apply(event(fleet, kind, data)) is None
    assert asyncio.run(fleet.revocations.aapply(event(fleet, kind, data))) is None
    assert reason_of(fleet.guard, mint()) == "accepted"


def test_a_webhook_of_a_day_ago_touches_no_newer_token(fleet: Fleet) -> None:
    """It says what it said the first time: T is the event's own time, never that of its arrival."""
    fleet.revocations.apply(event(fleet, "user.updated", suspended(), at=NOW - 36 * 3_600))
    assert reason_of(fleet.guard, mint()) == "accepted"
    assert reason_of(fleet.guard, mint({"iat": int(NOW) - 36 * 3_600})) == "expired"


def test_a_webhook_that_arrives_36_hours_late_still_ends_what_is_older() -> None:
    fleet = Fleet(token_lifetime=7 * 86_400)
    made = event(fleet, "user.updated", suspended(), at=NOW - 36 * 3_600)
    older, newer = (mint({"iat": int(NOW) - hours * 3_600}) for hours in (37, 35))
    assert [reason_of(fleet.guard, raw) for raw in (older, newer)] == ["accepted", "accepted"]
    fleet.revocations.apply(made)
    assert [reason_of(fleet.guard, raw) for raw in (older, newer)] == ["revoked", "accepted"]


def test_suspended_and_restored_in_any_order_comes_to_the_same(fleet: Fleet) -> None:
    events = [
        event(fleet, "user.updated", suspended(), at=NOW - 100),
        event(fleet, "user.updated", suspended(False), at=NOW - 50),
    ]
    for order in itertools.permutations([*events, events[0]]):
        other = Fleet()
        for each in order:
            other.revocations.apply(each)
        verdicts = [reason_of(other.guard, mint({"iat": int(NOW) - age})) for age in (150, 100, 99, 50, 0)]
        assert verdicts == ["revoked", "revoked", "accepted", "accepted", "accepted"]


def test_a_lifted_webhook_that_is_told_again_stays_lifted(fleet: Fleet) -> None:
    made = event(fleet, "user.deleted", {"user": {"id": SUBJECT}})
    entry = fleet.revocations.apply(made)
    assert entry is not None
    fleet.revocations.lift(entry)
    for _ in range(3):
        fleet.revocations.apply(made)
    assert reason_of(fleet.guard, mint()) == "accepted"


def test_many_events_of_one_user_are_one_entry_if_they_say_no_more(fleet: Fleet) -> None:
    made = [event(fleet, "user.updated", suspended(), at=NOW - age) for age in range(50)]
    random.Random(7).shuffle(made)
    fleet.revocations.apply(event(fleet, "user.updated", suspended(), at=NOW))
    for each in made:
        fleet.revocations.apply(each)
    assert fleet.revocations.health().entries == 1
