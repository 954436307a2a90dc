"""The copy: what it refuses, how it merges, how old it may be, and what it forgets."""

from __future__ import annotations

import math
import tracemalloc
from dataclasses import replace
from typing import Any

import pytest
from helpers import NOW, Time
from hypothesis import given
from hypothesis import strategies as st

from kinde_guard import InvalidToken
from kinde_guard.errors import RevocationsUnavailable
from kinde_guard.revocation.entry import Kind, Marks, Revocation, made
from kinde_guard.revocation.replica import FRESH_FOR, MOST_OF_ONE, Replica

DAY = 86_400.0
MARKS = Marks("jti", "kp_1", "client", "org", ("org", "kp_1"), NOW)
ABOUT: list[tuple[Kind, str, str]] = [
    ("token", "jti", ""), ("subject", "kp_1", ""), ("client", "client", ""), ("org", "org", ""),
    ("member", "kp_1", "org"), ("all", "", ""),
]  # fmt: skip


def replica_of(time: Time | None = None, **changes: Any) -> Replica:
    settings = {"lifetime": DAY, "usable_for": 3_600.0, "accept_unloaded": False, "max_entries": 1_000, **changes}
    return Replica((time or Time()).clocks, **settings)


def filled(*entries: Revocation, **changes: Any) -> Replica:
    replica = replica_of(**changes)
    for entry in entries:
        replica.hold(entry)
    replica.publish()
    return replica


@pytest.mark.parametrize(("kind", "value", "org"), ABOUT)
def test_each_kind_refuses_what_was_issued_before(kind: Kind, value: str, org: str) -> None:
    replica = filled(made(kind, value, NOW, org=org, reason="ticket 4711"))
    refusal = replica.refusal(MARKS)
    assert isinstance(refusal, InvalidToken)
    assert refusal.reason == "revoked"
    assert "'ticket 4711'" in refusal.hint
    newer = replica.refusal(MARKS._replace(issued_at=NOW + 1))
    assert (newer is None) is (kind != "token")  # a token is refused by its id, whatever it says of its age


@pytest.mark.parametrize(("kind", "value", "org"), ABOUT)
def test_each_kind_refuses_nobody_else(kind: Kind, value: str, org: str) -> None:
    replica = filled(made(kind, value, NOW, org=org))
    other = Marks("other", "kp_2", "other", "other", ("other", "kp_2"), NOW)
    nobody = Marks("other", "kp_2", None, None, None, NOW)
    assert (replica.refusal(other) is None) is (replica.refusal(nobody) is None) is (kind != "all")


def test_keys_refuse_nothing() -> None:
    assert filled(made("keys", "", NOW)).refusal(MARKS) is None


def test_without_iat_any_entry_that_matches_refuses_and_no_other() -> None:
    marks = MARKS._replace(issued_at=-math.inf)
    assert replica_of().refusal(marks) is None
    assert filled(made("subject", "kp_1", 0.0)).refusal(marks) is not None


def test_the_largest_t_of_all_that_apply_counts() -> None:
    """One must not hide another (CVE-2026-8922, CVE-2026-18218)."""
    replica = filled(made("org", "org", NOW), made("subject", "kp_1", NOW - 100), made("all", "", NOW - 200))
    assert replica.refusal(MARKS) is not None
    later = filled(made("subject", "kp_1", NOW), made("subject", "kp_1", NOW - 100))
    assert later.refusal(MARKS) is not None


ENTRIES = st.lists(
    st.builds(
        lambda kind, before, name: Revocation(
            kind, "" if kind == "all" else "kp_1", NOW + before, name, "org" if kind == "member" else ""
        ),
        st.sampled_from(["subject", "member", "all", "token"]),
        st.integers(-5, 5),
        st.sampled_from("abcdefgh"),
    ),
    max_size=6,
    unique_by=lambda entry: (entry.kind, entry.id),
)


def verdicts(replica: Replica) -> list[bool]:
    """Of tokens of each second around."""
    return [
        replica.refusal(marks._replace(issued_at=NOW + age)) is not None
        for age in range(-7, 8)
        for marks in (MARKS, MARKS._replace(token="other"), MARKS._replace(org=None, member=None))
    ]


@given(ENTRIES, st.lists(st.sampled_from("abcdefgh"), max_size=3), st.randoms())
def test_any_order_of_entries_and_lifts_and_any_repetition_come_to_the_same(
    entries: list[Revocation], lifts: list[str], random: Any
) -> None:
    """Commutative, idempotent: unordered delivery, replays and a healed split brain do no harm."""
    said: list[Revocation | str] = [*entries, *lifts]
    expected = [
        any(
            entry.id not in lifts and (age < entry.before - NOW)
            for entry in entries
            if entry.kind != "token" and (entry.kind != "member" or has_org)
        )
        for age in range(-7, 8)
        for has_org in (True, True, False)
    ]
    for _ in range(2):
        random.shuffle(said)
        replica = replica_of()
        for each in [*said, *said[:2]]:
            _ = replica.lift(each) if isinstance(each, str) else replica.hold(each)
        assert verdicts(replica) == expected


@given(ENTRIES, ENTRIES)
def test_what_two_halves_hold_together_refuses_what_either_does(one: list[Revocation], two: list[Revocation]) -> None:
    two = [replace(entry, id=f"2{entry.id}") for entry in two]
    together = verdicts(filled(*one, *two))
    assert together == [a or b for a, b in zip(verdicts(filled(*one)), verdicts(filled(*two)), strict=True)]


def test_a_lift_names_an_entry_and_takes_no_other_away() -> None:
    """Revoke, lift, revoke within one second ends revoked."""
    first, second = made("subject", "kp_1", NOW), made("subject", "kp_1", NOW)
    replica = filled(first)
    assert replica.lift(first.id)
    assert replica.refusal(MARKS) is None
    assert replica.hold(second)
    assert replica.refusal(MARKS) is not None
    assert not replica.hold(first)  # replayed, it stays lifted
    assert not replica.lift(first.id)
    assert not replica.lift("")


def test_an_edition_changes_with_what_it_stands_for_and_not_otherwise() -> None:
    entry = made("subject", "kp_1", NOW)
    replica = replica_of()
    empty = replica.edition
    replica.publish()
    assert replica.edition is empty
    replica.hold(entry)
    assert replica.edition is empty  # the maps first
    replica.publish()
    full = replica.edition
    assert full is not empty
    replica.hold(entry)
    replica.publish()
    assert replica.edition is full
    replica.lift(entry.id)
    replica.publish()
    assert replica.edition is not full


def test_of_too_many_about_one_the_earliest_become_one_that_nobody_can_lift() -> None:
    """However often somebody is revoked, it costs the same; and to lift all that is known leaves the rest."""
    entries = [made("subject", "kp_1", NOW + number) for number in range(MOST_OF_ONE + 10)]
    replica = filled(*entries)
    assert replica.entries == len(replica.held()) == MOST_OF_ONE
    for entry in entries:
        replica.lift(entry.id)
    (left,) = replica.held()
    assert left.id.startswith("merged-")
    replica.lift(left.id)
    assert replica.refusal(MARKS) is not None


def test_a_flood_about_one_takes_no_more_room() -> None:
    replica = replica_of(max_entries=1_000)

    def flood(since: float) -> int:
        for number in range(3_000):
            replica.hold(made("subject", "kp_1", since + number / 100))
        replica.publish()
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        first = flood(NOW)
        assert flood(NOW + 100) - first < 20_000  # bytes: not even a pointer for each
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", ["a\\b", "it's", 'a"b', "é\x7f"])
def test_an_id_may_have_any_characters(name: str) -> None:
    replica = filled(made("subject", "kp_1", NOW, name=name), made("subject", "kp_1", NOW, name="another"))
    assert replica.lift(name)
    assert [entry.id for entry in replica.held()] == ["another"]


# How old it is.


def test_a_copy_that_was_never_loaded_judges_nobody() -> None:
    time = Time()
    replica = replica_of(time)
    assert replica.state(time.monotonic) == "never_loaded"
    assert isinstance(replica.judge(MARKS, time.monotonic)[1], RevocationsUnavailable)
    replica.failed(time.monotonic)
    assert isinstance(replica.judge(MARKS, time.monotonic)[1], RevocationsUnavailable)
    assert time.monotonic >= replica.look_at  # so that everybody is told


def test_it_may_be_accepted_by_name() -> None:
    time = Time()
    replica = replica_of(time, accept_unloaded=True)
    assert replica.judge(MARKS, time.monotonic) == (replica.edition, None)


@pytest.mark.parametrize(("usable_for", "until"), [(0.0, FRESH_FOR), (1.0, FRESH_FOR), (3_600.0, 3_600.0)])
def test_fresh_stale_expired(usable_for: float, until: float) -> None:
    """With 0 it fails closed as soon as it is not fresh."""
    replica = replica_of(usable_for=usable_for)
    replica.heard(1_000.0)
    states = [replica.state(1_000.0 + age) for age in (0.0, FRESH_FOR - 0.01, until - 0.01, until)]
    assert states == ["fresh", "fresh", "fresh" if until == FRESH_FOR else "stale", "expired"]
    assert replica.judge(MARKS, 1_000.0 + until - 0.01)[1] is None
    assert isinstance(replica.judge(MARKS, 1_000.0 + until)[1], RevocationsUnavailable)
    assert replica.look_at == 1_000.0 + FRESH_FOR


def test_while_it_is_known_that_nothing_is_heard_nobody_looks_at_each_request() -> None:
    replica = replica_of()
    replica.heard(1_000.0)
    replica.failed(1_100.0)
    assert replica.look_at == 1_100.0 + FRESH_FOR
    assert not replica.overdue(1_100.0 + FRESH_FOR - 0.01)
    assert replica.overdue(1_100.0 + FRESH_FOR)
    replica.failed(1_000.0 + 3_600 - 1)
    assert replica.look_at == 1_000.0 + 3_600  # and then everybody does


def test_in_a_forked_child_every_token_is_looked_at_again() -> None:
    """Its parent may have been between the maps and the edition."""
    replica = filled(made("subject", "kp_1", NOW))
    replica.heard(1_000.0)
    edition = replica.edition
    replica.renew()
    assert replica.edition is not edition
    assert replica.overdue(1_000.0)
    assert replica.look_at == -math.inf
    assert replica.refusal(MARKS) is not None


# What is forgotten.


def test_an_entry_is_forgotten_when_no_token_can_be_that_old() -> None:
    time = Time()
    replica = filled(made("subject", "kp_1", NOW), made("subject", "kp_1", NOW + 50), time=time)
    time.passes(DAY)
    replica.prune()
    assert replica.entries == 2
    time.passes(1)
    replica.prune()
    assert replica.entries == 1
    time.passes(50)
    replica.prune()
    assert (replica.entries, replica.held()) == (0, [])


def test_a_clock_that_is_set_forward_forgets_nothing() -> None:
    """Set right again, it would have let in who is revoked."""
    time = Time()
    replica = filled(made("subject", "kp_1", NOW), time=time)
    time.wall += 10 * DAY
    replica.prune()
    assert replica.entries == 1


def test_a_clock_that_is_known_to_be_ahead_forgets_later() -> None:
    time = Time()
    replica = filled(made("subject", "kp_1", NOW), time=time)
    replica.drift = lambda: 100.0
    time.passes(DAY + 50)
    replica.prune()
    assert replica.entries == 1
    time.passes(51)
    replica.prune()
    assert replica.entries == 0


def test_what_is_lifted_or_not_due_holds_nothing_up() -> None:
    time = Time()
    lifted, later = made("subject", "kp_1", NOW), made("subject", "kp_2", NOW + 10)
    replica = filled(lifted, later, time=time)
    replica.lift(lifted.id)
    time.passes(DAY + 11)
    replica.prune()
    assert replica.entries == 0


def test_many_are_forgotten_a_few_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kinde_guard.revocation.replica.PRUNED_AT_ONCE", 3)
    time = Time()
    replica = filled(*(made("subject", f"kp_{number}", NOW) for number in range(7)), time=time)
    time.passes(DAY + 1)
    left = []
    for _ in range(3):
        replica.prune()
        left.append(replica.entries)
    assert left == [4, 1, 0]


def test_at_the_cap_the_oldest_becomes_a_floor_for_everybody() -> None:
    """More is refused, and never less; memory stays flat at ten times as many."""
    time = Time()
    replica = replica_of(time, max_entries=10)
    everybody = [made("subject", f"kp_{number}", NOW + number) for number in range(100)]
    for entry in everybody:
        replica.hold(entry)
    assert replica.entries == len(replica.held()) == 10
    assert replica.floor == NOW + 90
    for entry in everybody:
        assert replica.refusal(Marks("x", entry.value, None, None, None, entry.issued_before)) is not None
    assert replica.refusal(Marks("x", "stranger", None, None, None, NOW + 89)) is not None
    assert replica.refusal(Marks("x", "stranger", None, None, None, NOW + 90)) is None
    assert replica.matching(Marks("x", "stranger", None, None, None, NOW))[0].reason
    time.passes(DAY + 91)
    replica.prune()
    assert replica.floor is None


def test_at_the_cap_the_oldest_of_all_kinds_goes() -> None:
    replica = replica_of(max_entries=2)
    for entry in (
        made("org", "o", NOW - 50),
        made("keys", "", NOW - 100),
        made("subject", "s", NOW),
        made("all", "", 1),
    ):
        replica.hold(entry)
    assert {entry.kind for entry in replica.held()} <= {"org", "subject", "all"}
    assert replica.entries == 2
    assert replica.floor is not None


def test_lifts_have_an_end_too() -> None:
    replica = replica_of(max_entries=10)
    for number in range(100):
        replica.lift(f"entry-{number}")
    assert len(replica._lifted) == 10
