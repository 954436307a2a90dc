"""When to ask an issuer for its keys again: a key set as a state machine, without clocks, threads or a network."""

from __future__ import annotations

import pytest
from helpers import jwk, key_set
from hypothesis import given, settings
from hypothesis import strategies as st

from kinde_guard.keys.jwk import read_jwk_set
from kinde_guard.keys.key_set import NEVER, KeySet

T = 5_000.0
DAY = 86_400.0
READ = read_jwk_set(key_set(jwk(), None), ("RS256",), {})
chances = st.floats(0, 1)


def fresh(at: float = T, life: float = 600.0, usable_for: float = DAY, chance: float = 0.5) -> KeySet:
    return KeySet().loaded(READ, at, life=life, usable_for=usable_for, chance=chance)


def failed(keys: KeySet, at: float, *, chance: float = 1.0, retry_after: float | None = None) -> KeySet:
    return keys.failed("it hung up", at, cool_down=30, chance=chance, retry_after=retry_after)


def test_before_the_first_answer() -> None:
    """Nothing is usable, and there is nothing to wait for before asking."""
    keys = KeySet()
    assert keys.state(T) == "never_loaded"
    assert not keys.usable(T)
    assert keys.refresh_due(T)
    assert keys.may_ask_for_unknown(T)


def test_a_life_from_fresh_to_expired() -> None:
    keys = fresh()
    assert keys.keys == READ.keys
    assert keys.skipped == READ.skipped != ()
    states = {at: keys.state(T + at) for at in (0, 599, 600, DAY - 1, DAY)}
    assert states == {0: "fresh", 599: "fresh", 600: "stale", DAY - 1: "stale", DAY: "expired"}
    assert [keys.usable(T + at) for at in (0, DAY - 1, DAY)] == [True, True, False]


def test_an_edition_is_known_by_its_keys() -> None:
    """The same through refreshes that bring nothing new and attempts that fail; another for any other keys, also for
    the ones that were there before; and never that of a set without keys."""
    first = fresh()
    same = failed(first.cooling(T + 1), T).loaded(READ, T + 600, life=600, usable_for=DAY, chance=0.5)
    more = read_jwk_set(key_set(jwk(), jwk({"kid": "another"})), ("RS256",), first.keys)
    other = same.loaded(more, T, life=600, usable_for=DAY, chance=0.5)
    again = other.loaded(read_jwk_set(key_set(jwk(), None), ("RS256",), {}), T, life=600, usable_for=DAY, chance=0.5)
    assert first.edition is same.edition is not None
    assert len({id(keys.edition) for keys in (KeySet(), first, other, again, fresh())}) == 5


@settings(deadline=None)
@given(chances)
def test_the_refresh_is_due_at_about_four_fifths_of_the_life(chance: float) -> None:
    """Spread a little, so that many processes do not ask at once; always while the keys are still fresh."""
    keys = fresh(chance=chance)
    assert not keys.refresh_due(T + 449)
    assert keys.refresh_due(T + 511)
    assert keys.state(T + 511) == "fresh"


def test_refreshes_are_spread() -> None:
    first, last = (fresh(chance=chance) for chance in (0.0, 1.0))
    assert first.refresh_due(first.refresh_at)
    assert first.refresh_due(T + 455)
    assert not last.refresh_due(T + 505)


def test_a_good_answer_forgets_failures_and_remembers_the_cool_down() -> None:
    """Or whoever can provoke a refresh could ask for unknown kids anew each time."""
    keys = failed(fresh().cooling(T + 30), T + 10).loaded(READ, T + 11, life=600, usable_for=DAY, chance=0.5)
    assert (keys.failures, keys.problem) == (0, "")
    assert keys.refresh_due(T + 600)
    assert not keys.may_ask_for_unknown(T + 39)
    assert keys.may_ask_for_unknown(T + 40)


def test_a_scheduled_answer_starts_no_cool_down() -> None:
    assert fresh().may_ask_for_unknown(T)


def test_a_kid_that_is_not_held_starts_the_cool_down() -> None:
    keys = fresh().cooling(T + 30)
    assert not keys.may_ask_for_unknown(T + 29)
    assert keys.may_ask_for_unknown(T + 30)
    assert not keys.cooling(T + 5).may_ask_for_unknown(T + 29)  # a shorter one does not end it
    assert keys.refresh_due(T + 600)  # and refreshes go on


def test_a_failure_wipes_nothing() -> None:
    before = fresh()
    after = failed(before, T + 1)
    assert after.keys is before.keys
    assert after.state(T + 1) == "fresh"
    assert (after.loaded_at, after.usable_until) == (before.loaded_at, before.usable_until)
    assert (after.problem, after.failures) == ("it hung up", 1)
    assert before.failures == 0  # the old set is as it was


def test_a_failure_starts_the_cool_down_whatever_caused_it() -> None:
    keys = failed(fresh(), T, chance=0.0)
    assert not keys.may_ask_for_unknown(T + 29)
    assert keys.may_ask_for_unknown(T + 30)


def waits(keys: KeySet, at: float, count: int) -> list[float]:
    found = []
    for _ in range(count):
        keys = failed(keys, at)
        found.append(keys.retry_at - at)
    return found


def test_waits_double_up_to_a_bound() -> None:
    """Half a minute while there is nothing to verify with, five minutes while there is."""
    assert waits(KeySet(), T, 7) == [1, 2, 4, 8, 16, 30, 30]
    assert waits(fresh(), T, 11) == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]
    assert waits(fresh(), T + DAY, 7) == [1, 2, 4, 8, 16, 30, 30]
    assert waits(KeySet(), T, 2000)[-1] == 30  # and no number overflows


@settings(deadline=None)
@given(chances, st.integers(0, 40))
def test_jitter_is_full(chance: float, failures: int) -> None:
    """Anything from nothing to the whole wait."""
    whole, part = KeySet(failures=failures), KeySet(failures=failures)
    longest = failed(whole, T).retry_at - T
    assert failed(part, T, chance=chance).retry_at == pytest.approx(T + chance * longest)


@pytest.mark.parametrize(("keys", "asked", "waited"), [
    pytest.param(KeySet(), 20, 20, id="longer than the wait"),
    pytest.param(KeySet(), 3_600, 30, id="longer than the bound without keys"),
    pytest.param(fresh(), 200, 200, id="with keys"),
    pytest.param(fresh(), 3_600, 300, id="longer than the bound with keys"),
    pytest.param(KeySet(), 0, 1, id="shorter than the wait"),
])  # fmt: skip
def test_retry_after_is_honoured_up_to_the_same_bounds(keys: KeySet, asked: float, waited: float) -> None:
    assert failed(keys, T, retry_after=asked).retry_at == T + waited


@pytest.mark.parametrize(("before_the_end", "asked", "waited"), [
    pytest.param(300, 3_600, 300, id="they outlive the wait"),
    pytest.param(280, 3_600, 300, id="they run out towards its end"),
    pytest.param(100, 3_600, 130, id="they run out in the middle"),
    pytest.param(1, 3_600, 31, id="they run out at once"),
    pytest.param(1, 20, 20, id="a wait that is short enough"),
    pytest.param(0, 3_600, 30, id="they have run out"),
])  # fmt: skip
def test_keys_that_run_out_during_a_wait_shorten_it(before_the_end: float, asked: float, waited: float) -> None:
    """To half a minute from then: nobody waits with the patience that goes with having keys."""
    now = T + DAY - before_the_end
    assert failed(fresh(), now, retry_after=asked).retry_at - now == waited


def test_nothing_is_asked_before_the_wait_is_over() -> None:
    """Neither for a refresh nor for a kid that is not held."""
    keys = failed(fresh(), T + 700, retry_after=200)
    assert not keys.refresh_due(T + 899)
    assert not keys.may_ask_for_unknown(T + 899)
    assert keys.refresh_due(T + 900)
    assert keys.may_ask_for_unknown(T + 900)


def test_a_set_is_replaced_and_never_edited() -> None:
    for name in ("keys", "failures", "retry_at", "problem"):
        with pytest.raises(AttributeError):
            setattr(fresh(), name, None)
    assert KeySet().loaded_at == NEVER


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["good", "bad", "unknown"]), st.floats(0, 900), chances), max_size=30))
def test_no_history_breaks_the_promises(history: list[tuple[str, float, float]]) -> None:
    """Keys once loaded are kept; waits are bounded; the cool-down never moves back; states follow the clock."""
    keys, now = KeySet(), T
    for event, seconds, chance in history:
        before, now = keys, now + seconds
        if event == "good":
            keys = keys.loaded(READ, now, life=600, usable_for=3_600, chance=chance)
        elif event == "bad":
            keys = failed(keys, now, chance=chance)
        else:
            keys = keys.cooling(now + 30)
        assert keys.cool_until >= before.cool_until
        assert keys.retry_at <= now + 300
        assert len(keys.keys) >= len(before.keys)
        assert keys.usable(now) == (now < keys.usable_until) == (keys.state(now) in ("fresh", "stale"))
        assert (keys.problem != "") == (keys.failures > 0)
