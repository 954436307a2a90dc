"""The keys of one issuer, by the clock: when they are asked for, whom that concerns, and what is kept.

The clocks are passed in and stand still; the issuer is a transport that answers when it is let. What a user sees over
real sockets is in test_keys_over_sockets.py.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
from collections.abc import Callable
from concurrent import futures
from concurrent.futures import Future
from functools import partial
from typing import Any

import httpx
import pytest
import trio
from helpers import NOW, Time, jwk, key_set, rsa_key
from waiting import LONG, in_thread, settle

from kinde_guard import InvalidToken, KeysUnavailable
from kinde_guard.keys import store as keystore
from kinde_guard.keys.jwk import Key
from kinde_guard.keys.store import KeyStore
from kinde_guard.net import joining
from kinde_guard.net.clocks import Clocks
from kinde_guard.net.fetch import Fetcher

DAY = 86_400.0
ISSUER = "https://acme.kinde.com"


class Kinde(httpx.BaseTransport):
    """Publishes these kids, all with one key; answers when *open* is set."""

    def __init__(self, *kids: str) -> None:
        self.open = threading.Event()
        self.open.set()
        self.asked = threading.Event()
        self.fetches = 0
        self.publish(*kids)

    def publish(self, *kids: str, **headers: str) -> None:
        self.answer(200, key_set(*(jwk({"kid": kid}) for kid in kids)), **headers)

    def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self._make: Callable[[], httpx.Response] = partial(httpx.Response, status, content=body, headers=named)

    def breaks(self, error: Exception | None = None) -> None:
        def broken() -> httpx.Response:
            raise error or httpx.ConnectError("down")

        self._make = broken

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        make, may_answer = self._make, self.open  # what it would say now is what it says, however late
        self.fetches += 1
        self.asked.set()
        assert may_answer.wait(LONG)
        return make()


def store_of(kinde: Kinde, time: Time | None = None, **settings: Any) -> KeyStore:
    settings = {"retry_after": 30.0, "usable_for": DAY, "chance": lambda: 1.0, **settings}
    clocks = (time or Time()).clocks
    url = f"{ISSUER}/.well-known/jwks"
    return KeyStore(ISSUER, url, algorithms=("RS256",), fetcher=Fetcher(kinde), clocks=clocks, **settings)


def loaded(kinde: Kinde, time: Time | None = None, **settings: Any) -> KeyStore:
    store = store_of(kinde, time, **settings)
    joining.join(store.load(), LONG)  # type: ignore[arg-type]
    store.check_usable()
    return store


def verdict(store: KeyStore, kid: str = "a") -> str:
    """What becomes of a token with this kid."""
    try:
        return store.get(kid, "RS256").kid
    except InvalidToken as refusal:
        return refusal.reason
    except KeysUnavailable as refusal:
        return f"again in {refusal.retry_after} s"


async def averdict(store: KeyStore, kid: str = "a") -> str:
    """:func:`verdict` for event loops."""
    try:
        return (await store.aget(kid, "RS256")).kid
    except InvalidToken as refusal:
        return refusal.reason
    except KeysUnavailable as refusal:
        return f"again in {refusal.retry_after} s"


# A held key never waits


def use_find(store: KeyStore) -> Key | None:
    return store.find("a", "RS256")


def use_still_holds(store: KeyStore) -> Key | None:
    key = store._set.find("a", "RS256")
    assert key is not None
    return key if store.current().holds(key) else None


def use_get(store: KeyStore) -> Key | None:
    return store.get("a", "RS256")


def use_aget(store: KeyStore) -> Key | None:
    """Without an event loop: whatever was awaited would fail."""
    try:
        store.aget("a", "RS256").send(None)
    except StopIteration as end:
        key: Key = end.value
        return key
    return None


USES = pytest.mark.parametrize("use", [use_find, use_still_holds, use_get, use_aget])
Use = Callable[[KeyStore], Key | None]


@USES
def test_a_held_key_is_at_hand(use: Use) -> None:
    kinde = Kinde("a")
    assert use(loaded(kinde)) is not None
    assert kinde.fetches == 1


@USES
def test_a_held_key_does_not_wait_for_its_refresh(use: Use) -> None:
    """It is there while the issuer is being asked, however long that takes, and the asking is done once."""
    kinde, time = Kinde("a"), Time()
    store = loaded(kinde, time)
    kinde.open.clear()
    kinde.asked.clear()
    time.passes(600)
    assert use(store) is not None
    assert kinde.asked.wait(LONG)
    for _ in range(100):
        assert use(store) is not None
    assert store._flight.under_way is not None
    kinde.open.set()
    settle(store)
    assert kinde.fetches == 2
    assert store.health().state == "fresh"


@USES
def test_a_held_key_does_not_wait_behind_an_unknown_one(use: Use) -> None:
    kinde = Kinde("a")
    store = loaded(kinde)
    kinde.open.clear()
    kinde.asked.clear()
    stranger = in_thread(lambda: verdict(store, "unknown"))
    assert kinde.asked.wait(LONG)
    assert use(store) is not None
    assert stranger.is_alive()
    kinde.open.set()
    stranger.join(LONG)


@USES
def test_a_held_key_does_not_wait_for_a_thread_to_come_up(use: Use) -> None:
    """Not even while this thread keeps the interpreter to itself, so that no other can run."""
    kinde, time = Kinde("a"), Time()
    store = loaded(kinde, time)
    time.passes(600)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(LONG)
    try:
        key, fetches = use(store), kinde.fetches
    finally:
        sys.setswitchinterval(interval)
    settle(store)
    assert key is not None
    assert (fetches, kinde.fetches) == (1, 2)


@USES
def test_a_held_key_does_not_wait_for_a_new_set_to_land(use: Use) -> None:
    """Here the landing hangs, for the sake of the test in the clock that it looks at."""
    kinde, time, landing, free = Kinde("a"), Time(), threading.Event(), threading.Event()

    def monotonic() -> float:
        if threading.current_thread().name == "kinde_guard-call" and kinde.fetches == 2:
            landing.set()
            assert free.wait(LONG)
        return time.monotonic

    time.clocks = Clocks(time.clocks.wall, monotonic)
    store = loaded(kinde, time)
    time.passes(600)
    assert use(store) is not None
    assert landing.wait(LONG)
    for _ in range(10):
        assert use(store) is not None
    free.set()
    settle(store)


@pytest.mark.parametrize("use", [use_find, use_still_holds])
def test_a_hit_asks_the_clock_once(use: Use) -> None:
    time, asked = Time(), 0

    def monotonic() -> float:
        nonlocal asked
        asked += 1
        return time.monotonic

    time.clocks = Clocks(time.clocks.wall, monotonic)
    store = loaded(Kinde("a"), time)
    asked = 0
    use(store)
    assert asked == 1


@USES
def test_a_hit_starts_a_refresh_that_is_due(use: Use) -> None:
    """So traffic that only hits keeps the keys fresh. It is due at four fifths of their life, give or take 5 %."""
    for chance, due in ((0.0, 450.0), (0.5, 480.0), (1.0, 510.0)):
        kinde, time = Kinde("a"), Time()
        store = loaded(kinde, time, chance=lambda chance=chance: chance)
        time.passes(due - 1)
        use(store)
        settle(store)
        assert kinde.fetches == 1
        time.passes(1)
        use(store)
        settle(store)
        assert kinde.fetches == 2


# Unknown keys


def test_a_rotated_key_is_fetched_and_waited_for() -> None:
    kinde = Kinde("a")
    store = loaded(kinde)
    kinde.publish("a", "b")
    assert verdict(store, "b") == "b"
    assert kinde.fetches == 2


@pytest.mark.parametrize("status", [200, 500])
def test_a_thousand_unknown_kids_cost_one_fetch_each_half_minute(status: int) -> None:
    """Whether the issuer answers or not."""
    kinde, time = Kinde("a"), Time()
    store = loaded(kinde, time)
    if status != 200:
        kinde.answer(status)
    for fetches in (2, 3, 4):
        for number in range(1000):
            assert verdict(store, f"unknown {number}") == "unknown_key"
        time.passes(29.9)
        assert verdict(store, "unknown") == "unknown_key"
        assert kinde.fetches == fetches
        time.passes(0.2)
        assert verdict(store) == "a"
    settle(store)
    assert kinde.fetches == 4


def test_the_setting_decides_how_long_the_cool_down_is() -> None:
    kinde, time = Kinde("a"), Time()
    store = loaded(kinde, time, retry_after=5.0)
    for _ in range(3):
        verdict(store, "unknown")
        time.passes(5)
    assert kinde.fetches == 4


def test_a_scheduled_fetch_that_succeeded_starts_no_cool_down() -> None:
    """Nor does the first one: a key that is published right after it is had at once."""
    kinde, time = Kinde("a"), Time()
    store = loaded(kinde, time)
    time.passes(600)
    assert verdict(store) == "a"
    settle(store)
    kinde.publish("a", "b")
    assert verdict(store, "b") == "b"
    assert kinde.fetches == 3


def test_a_failed_fetch_starts_the_cool_down() -> None:
    """Also one that no unknown kid had caused."""
    kinde, time = Kinde("a"), Time()
    store = loaded(kinde, time)
    kinde.breaks()
    time.passes(600)
    assert verdict(store) == "a"
    settle(store)
    time.passes(29)  # the wait after the failure, a second, is long over
    assert verdict(store, "unknown") == "unknown_key"
    settle(store)
    assert kinde.fetches == 3  # by the clock, for the held key, and it was joined
    kinde.publish("a", "b")
    time.passes(30)
    assert verdict(store, "b") == "b"


def test_an_unknown_kid_joins_the_fetch_under_way() -> None:
    """And that one, which it did not cause, starts no cool-down."""
    kinde, time = Kinde("a"), Time()
    store = loaded(kinde, time)
    kinde.publish("a", "b")
    kinde.open.clear()
    kinde.asked.clear()
    time.passes(600)
    assert verdict(store) == "a"
    assert kinde.asked.wait(LONG)
    verdicts: list[str] = []
    strangers = [in_thread(lambda: verdicts.append(verdict(store, "b"))) for _ in range(20)]
    kinde.open.set()
    for stranger in strangers:
        stranger.join(LONG)
    assert verdicts == ["b"] * 20
    assert kinde.fetches == 2
    kinde.publish("a", "b", "c")
    assert verdict(store, "c") == "c"


@pytest.mark.usefixtures("as_shipped")
def test_strangers_together_wait_a_second_for_a_fetch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not each of them one, for as long as the issuer hangs: each would hold a worker that known keys need."""
    kinde = Kinde("a")
    store = loaded(kinde)
    waits: list[float] = []

    def join(future: Future[None], timeout: float) -> None:
        waits.append(timeout)
        futures.wait([future], timeout)

    monkeypatch.setattr(joining, "join", join)
    kinde.open.clear()
    assert [verdict(store, kid) for kid in ("x", "y", "z")] == ["unknown_key"] * 3
    assert store._flight.under_way is not None
    assert 0 < waits[0] <= 1.0
    assert waits[1:] == [0.0, 0.0]
    kinde.open.set()


# One fetch, whoever asks


def everywhere(store: KeyStore, let_go: threading.Event) -> list[str]:
    """What becomes of 200 callers at once: threads, tasks of asyncio and tasks of trio. They are there before *let_go*
    is set."""
    waiting, verdicts = threading.Semaphore(0), []

    def thread() -> None:
        waiting.release()
        verdicts.append(verdict(store))

    async def task() -> None:
        waiting.release()
        verdicts.append(await averdict(store))

    async def tasks() -> None:
        await asyncio.gather(*[task() for _ in range(70)])

    async def trio_tasks() -> None:
        async with trio.open_nursery() as nursery:
            for _ in range(70):
                nursery.start_soon(task)

    threads = [in_thread(thread) for _ in range(60)]
    threads += [in_thread(lambda: asyncio.run(tasks())), in_thread(lambda: trio.run(trio_tasks))]
    for _ in range(200):
        assert waiting.acquire(timeout=LONG)
    let_go.set()
    for each in threads:
        each.join(LONG)
    return verdicts


@pytest.mark.parametrize("outcome", ["a", "unknown_key", "again in 1 s"])
def test_two_hundred_cold_callers_cost_one_fetch(outcome: str) -> None:
    """Whether it brings their key, other keys or none."""
    kinde = Kinde("a" if outcome == "a" else "b")
    if outcome == "again in 1 s":
        kinde.breaks()
    kinde.open.clear()
    assert everywhere(store_of(kinde), kinde.open) == [outcome] * 200
    assert kinde.fetches == 1


def test_two_hundred_callers_with_a_new_kid_cost_one_fetch() -> None:
    kinde = Kinde("b")
    store = loaded(kinde)
    kinde.publish("a")
    kinde.open.clear()
    assert everywhere(store, kinde.open) == ["a"] * 200
    assert kinde.fetches == 2


@pytest.mark.parametrize("status", [200, 500])
@pytest.mark.parametrize("kid", ["a", "unknown"])
def test_a_fetch_that_was_wanted_before_another_landed_is_left_undone(
    status: int, kid: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A caller is overtaken between finding that a fetch is due and starting it. What has landed concerns it too."""
    kinde, store_time = Kinde("a"), Time()
    store = store_of(kinde, store_time) if kid == "a" else loaded(kinde, store_time)
    if status != 200:
        kinde.answer(status)
    start, before = store._flight.start, kinde.fetches

    def start_late(work: Any) -> Any:
        monkeypatch.setattr(store._flight, "start", start)
        verdict(store, kid)
        return start(work)

    monkeypatch.setattr(store._flight, "start", start_late)
    expected = ("a" if status == 200 else "again in 1 s") if kid == "a" else "unknown_key"
    assert verdict(store, kid) == expected
    settle(store)
    assert kinde.fetches == before + 1


def test_a_key_that_lands_while_it_is_being_looked_for_needs_no_fetch() -> None:
    """The caller finds no keys, is overtaken by the first fetch, and goes on: the key is no unknown one."""
    kinde, time, lookups = Kinde("a"), Time(), 0

    def monotonic() -> float:
        nonlocal lookups
        if threading.current_thread() is threading.main_thread():
            lookups += 1
            if lookups == 2:
                in_thread(lambda: verdict(store)).join(LONG)
        return time.monotonic

    time.clocks = Clocks(time.clocks.wall, monotonic)
    store = store_of(kinde, time)
    assert verdict(store) == "a"
    assert kinde.fetches == 1


def test_callers_in_a_hurry_never_cost_more_than_one_fetch() -> None:
    """Fifty threads that find no keys at once, and an issuer that answers at once, again and again."""
    for _ in range(10):
        kinde = Kinde("a")
        store, barrier = store_of(kinde), threading.Barrier(50)
        verdicts: list[str] = []
        caller = partial(_hurry, store, barrier, verdicts)
        for thread in [in_thread(caller) for _ in range(50)]:
            thread.join(LONG)
        assert verdicts == ["a"] * 50
        assert kinde.fetches == 1


def _hurry(store: KeyStore, barrier: threading.Barrier, verdicts: list[str]) -> None:
    barrier.wait(LONG)
    verdicts.append(verdict(store))


def test_while_a_wait_is_on_nobody_waits() -> None:
    """Not even for an event loop: there is none here, and whatever was awaited would fail."""
    kinde, time = Kinde(), Time()
    kinde.breaks()
    store = store_of(kinde, time)
    verdict(store)
    assert verdict(store) == "again in 1 s"
    with pytest.raises(StopIteration) as end:
        averdict(store).send(None)
    assert end.value.value == "again in 1 s"
    assert kinde.fetches == 1


# What a fetch brings


def test_a_new_set_replaces_the_old_one_whole() -> None:
    """A key that is no longer published is held no longer; one that is unchanged stays the same object."""
    kinde, time = Kinde("a", "b"), Time()
    store = loaded(kinde, time)
    a, b = (store.get(kid, "RS256") for kid in "ab")
    kinde.publish("b", "c")
    time.passes(600)
    assert store.current().holds(a)
    settle(store)
    assert not store.current().holds(a)
    assert store.current().holds(b)
    assert store.get("b", "RS256") is b
    assert verdict(store, "c") == "c"
    assert kinde.fetches == 2


def test_new_material_under_an_old_kid_is_another_key() -> None:
    kinde, time = Kinde("a"), Time()
    store = loaded(kinde, time)
    key = store.get("a", "RS256")
    kinde.answer(200, key_set(jwk({"kid": "a"}, key=rsa_key("another"))))
    time.passes(600)
    assert store.current().holds(key)
    settle(store)
    assert not store.current().holds(key)
    assert store.get("a", "RS256").material != key.material


@pytest.mark.parametrize(
    ("directive", "life"),
    [("", 600), ("max-age=120", 120), ("no-store", 600), ("max-age=5", 60), ("public, max-age=86400", 3600)],
)
def test_the_issuer_says_how_long_keys_are_fresh(directive: str, life: float) -> None:
    """Within a minute and an hour."""
    kinde, time = Kinde(), Time()
    kinde.publish("a", cache_control=directive)
    store = loaded(kinde, time, chance=lambda: 0.5)
    time.passes(life - 1)
    assert store.health().state == "fresh"
    time.passes(1)
    assert store.health().state == "stale"


def test_keys_that_are_usable_for_less_than_their_life_are_refreshed_all_the_earlier() -> None:
    """Or the first request after they had run out would have to wait."""
    kinde, time = Kinde("a"), Time()
    store = loaded(kinde, time, usable_for=100.0)
    time.passes(86)
    kinde.open.clear()
    assert verdict(store) == "a"
    kinde.open.set()
    settle(store)
    assert kinde.fetches == 2
    time.passes(86)
    assert verdict(store) == "a"


def refusing(status: int, headers: dict[str, str]) -> Callable[[Kinde], None]:
    return lambda kinde: kinde.answer(status, b"", **headers)


FAILURES: dict[str, tuple[Callable[[Kinde], None], str]] = {
    "500": (partial(Kinde.answer, status=500), "the issuer answered 500"),
    "404": (partial(Kinde.answer, status=404), "the issuer answered 404"),
    "403": (partial(Kinde.answer, status=403), "the issuer answered 403 (a wrong region or subdomain answers 403)"),
    **{
        f"403 with {name}": (
            refusing(403, {name: value}),
            f"the issuer answered 403 ({who} in front of the issuer refused this machine)",
        )
        for name, value, who in (
            ("cf-mitigated", "challenge", "Cloudflare"),
            ("server", "cloudflare", "Cloudflare"),
            ("cf-ray", "8f00-LHR", "Cloudflare"),
            ("x-amzn-waf-action", "captcha", "AWS WAF"),
            ("server", "AkamaiGHost", "Akamai"),
            ("x-squid-error", "ERR_ACCESS_DENIED 0", "a proxy (Squid)"),
        )
    },
    "a challenge for browsers": (
        refusing(503, {"cf-mitigated": "challenge"}),
        "the issuer answered 503 (Cloudflare in front of the issuer refused this machine)",
    ),
    "503 of Cloudflare's": (refusing(503, {"server": "cloudflare"}), "the issuer answered 503"),
    "403 of another server": (
        refusing(403, {"server": "awselb/2.0"}),
        "the issuer answered 403 (a wrong region or subdomain answers 403)",
    ),
    "302": (
        partial(Kinde.answer, status=302, location="/elsewhere"),
        "the issuer answered 302 (redirects are not followed)",
    ),
    "204": (partial(Kinde.answer, status=204), "the issuer answered 204"),
    "HTML": (partial(Kinde.answer, status=200, body=b"<html>"), "the answer is not JSON"),
    "too deep": (partial(Kinde.answer, status=200, body=b"[" * 100_000), "the answer is not JSON"),
    "a list": (
        partial(Kinde.answer, status=200, body=b"[]"),
        "the answer is not a JWK Set: it has no list of keys",
    ),
    "empty": (partial(Kinde.answer, status=200, body=key_set()), "no usable key in the set"),
    "nothing usable": (
        partial(Kinde.answer, status=200, body=key_set(jwk({"use": "enc"}))),
        "no usable key in the set; key 0: its use is not sig",
    ),
    "down": (Kinde.breaks, "ConnectError: down"),
    "defect": (partial(Kinde.breaks, error=ZeroDivisionError("a\nb" * 200)), "ZeroDivisionError: a ba ba"),
}


@pytest.mark.parametrize("name", FAILURES)
def test_a_failure_takes_nothing_away(name: str) -> None:
    """The keys that are held stay; without any there is no telling; the reason is to be read."""
    failing, problem = FAILURES[name]
    kinde, time = Kinde("a"), Time()
    warm, cold = loaded(kinde, time), store_of(kinde, time)
    failing(kinde)
    time.passes(600)
    assert verdict(warm) == "a"
    settle(warm)
    assert verdict(warm) == "a"
    assert verdict(cold) == "again in 1 s"
    for store, state in ((warm, "stale"), (cold, "never_loaded")):
        assert store.health().state == state
        assert store.health().problem.startswith(problem)
        assert len(store.health().problem) < 250
        assert "\n" not in store.health().problem
    kinde.publish("a")
    time.passes(30)
    assert verdict(cold) == verdict(warm) == "a"
    settle(warm)
    assert cold.health().problem == warm.health().problem == ""


def test_an_answer_that_comes_too_late_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    """An older answer never overwrites a newer one."""
    monkeypatch.setattr(keystore, "TOTAL_TIMEOUT", 0.05)
    kinde, time = Kinde("old"), Time()
    store = store_of(kinde, time)
    kinde.open.clear()
    assert verdict(store, "old") == "again in 1 s"
    assert store.health().problem == "TimeoutError: no whole answer within 0.05 s"

    (late,) = [thread for thread in threading.enumerate() if thread.name == "kinde_guard-call"]
    let_go, kinde.open = kinde.open, threading.Event()
    kinde.open.set()
    kinde.publish("new")
    store._flight._deadline = LONG
    time.passes(1)
    assert verdict(store, "new") == "new"
    let_go.set()
    late.join(LONG)
    assert verdict(store, "new") == "new"
    assert [key.kid for key in store._set.keys.values()] == ["new"]


# When a failed fetch is tried again


def attempts(store: KeyStore, kinde: Kinde, time: Time, count: int) -> list[float]:
    """After how many seconds each of the next attempts is made, asked every tenth of a second."""
    waits: list[float] = []
    last, fetches = time.monotonic, kinde.fetches
    while len(waits) < count:
        time.passes(0.1)
        verdict(store)
        settle(store)
        if kinde.fetches > fetches:
            waits.append(round(time.monotonic - last, 1))
            last, fetches = time.monotonic, kinde.fetches
    return waits


def test_without_keys_the_wait_doubles_to_half_a_minute() -> None:
    kinde, time = Kinde(), Time()
    kinde.breaks()
    store = store_of(kinde, time)
    assert verdict(store) == "again in 1 s"
    assert attempts(store, kinde, time, 7) == pytest.approx([1, 2, 4, 8, 16, 30, 30], abs=0.11)


def test_with_keys_the_wait_doubles_to_five_minutes() -> None:
    """And every request is served meanwhile."""
    kinde, time = Kinde("a"), Time()
    store = loaded(kinde, time)
    kinde.breaks()
    time.passes(600)
    assert verdict(store) == "a"
    settle(store)
    waits = attempts(store, kinde, time, 11)
    assert waits == pytest.approx([1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300], abs=0.11)
    assert verdict(store) == "a"


def test_the_waits_are_spread_from_nothing_to_the_whole() -> None:
    """Full jitter: many processes that lost their issuer together do not come back together."""
    for chance, wait in ((0.0, 0.0), (0.25, 2.0), (1.0, 8.0)):
        kinde, time = Kinde(), Time()
        kinde.breaks()
        store = store_of(kinde, time, chance=lambda chance=chance: chance)
        for _ in range(4):  # the fourth failure is followed by up to eight seconds
            verdict(store)
            time.passes(60)
        time.passes(-60)
        kinde.publish("a")
        if wait:
            time.passes(wait - 0.01)
            assert verdict(store) == "again in 1 s"
            time.passes(0.02)
        assert verdict(store) == "a"


@pytest.mark.parametrize(
    ("value", "wait"),
    [
        pytest.param("20", 20, id="seconds"),
        pytest.param("7200", 30, id="more than the bound"),
        pytest.param("9" * 400, 30, id="more than a number can hold"),
        pytest.param("Sun, 29 Jun 2025 12:26:55 GMT", 15, id="a date"),
        pytest.param("Mon, 29 Jun 2026 12:26:55 GMT", 30, id="a date beyond the bound"),
        pytest.param("Wed, 21 Oct 2015 07:28:00 GMT", 1, id="a date that is past"),
        pytest.param("Fri, 31 Dec 9999 23:59:59 -2359", 30, id="a date beyond all dates"),
        pytest.param("Mon, 01 Jan 0001 00:00:00 -0000", 1, id="a date before all dates"),
        pytest.param("Sun, 99 Jun 2025 12:26:55 GMT", 1, id="no date at all"),
        pytest.param("-5", 1, id="negative"),
        pytest.param("7.0", 7, id="a fraction"),
        pytest.param("Sun Jun 29 12:26:55 2025", 15, id="a date of C's asctime, in GMT too"),
        pytest.param("\u0663", 1, id="digits of another script"),
        pytest.param("soon", 1, id="words"),
        pytest.param("", 1, id="empty"),
    ],
)
def test_the_wait_that_the_issuer_asks_for(value: str, wait: int) -> None:
    """RFC 9110 §10.2.3. Within our own bounds; what cannot be read is not there."""
    kinde, time = Kinde(), Time()
    assert NOW == 1_751_200_000  # Sun, 29 Jun 2025 12:26:40 GMT
    headers = [(b"retry-after", value.encode())]
    kinde._make = lambda: httpx.Response(429, headers=headers)
    store = store_of(kinde, time)
    assert verdict(store) == f"again in {wait} s"
    kinde.publish("a")
    time.passes(wait - 0.1)
    assert verdict(store) == "again in 1 s"
    time.passes(0.1)
    assert verdict(store) == "a"


def test_with_keys_the_issuer_may_ask_for_five_minutes() -> None:
    kinde, time = Kinde("a"), Time()
    store = loaded(kinde, time)
    kinde.answer(503, retry_after="86400")
    time.passes(600)
    verdict(store)
    settle(store)
    time.passes(60)  # the cool-down for unknown kids is over, the wait is not
    assert verdict(store, "unknown") == "unknown_key"
    assert kinde.fetches == 2
    assert attempts(store, kinde, time, 1) == pytest.approx([240], abs=0.11)


def test_keys_that_run_out_during_a_wait_shorten_it() -> None:
    """Without keys there is a new attempt within half a minute."""
    kinde, time = Kinde("a"), Time()
    store = loaded(kinde, time, usable_for=1_000.0)
    kinde.answer(503, retry_after="300")
    time.passes(990)
    assert verdict(store) == "a"
    settle(store)
    kinde.publish("a")
    time.passes(10)
    assert verdict(store) == "again in 30 s"
    time.passes(30)
    assert verdict(store) == "a"


def test_what_a_503_promises_is_kept() -> None:
    """Whoever comes back after so many seconds, rounded up, finds the next attempt made."""
    for chance in (0.0, 0.001, 0.4, 0.99, 1.0):
        kinde, time = Kinde(), Time()
        kinde.breaks()
        store = store_of(kinde, time, chance=lambda chance=chance: chance)
        for _ in range(8):
            fetches = kinde.fetches
            with pytest.raises(KeysUnavailable) as refusal:
                store.get("a", "RS256")
            assert kinde.fetches == fetches + 1
            assert type(refusal.value.retry_after) is int
            assert 1 <= refusal.value.retry_after <= 30
            with pytest.raises(KeysUnavailable) as same:
                store.check_usable()
            assert same.value.retry_after == refusal.value.retry_after
            time.passes(refusal.value.retry_after)
        kinde.publish("a")
        assert verdict(store) == "a"


def test_a_thread_that_cannot_start_is_a_failed_attempt() -> None:
    kinde, time = Kinde("a"), Time()
    store = store_of(kinde, time)
    size = threading.stack_size(sys.maxsize // 2)  # more than there is
    try:
        assert verdict(store) == "again in 1 s"
    finally:
        threading.stack_size(size)
    assert store.health().problem == "RuntimeError: can't start new thread"
    assert verdict(store) == "again in 1 s"
    assert kinde.fetches == 0
    time.passes(1)
    assert verdict(store) == "a"


# How the keys are


def test_an_outage_from_beginning_to_end() -> None:
    """The last good keys serve for a day from the last good answer, visibly; then there is no telling."""
    kinde, time = Kinde("a"), Time()
    store = loaded(kinde, time)
    kinde.breaks()
    seen = []
    for seconds in (599, 1, DAY - 601, 1):
        time.passes(seconds)
        said = verdict(store)
        settle(store)
        health = store.health()
        seen.append((said, health.state, health.since - NOW, health.keys, health.problem))
    assert seen == [
        ("a", "fresh", 0, 1, "ConnectError: down"),
        ("a", "stale", 600, 1, "ConnectError: down"),
        ("a", "stale", 600, 1, "ConnectError: down"),
        ("again in 3 s", "expired", DAY, 1, "ConnectError: down"),
    ]
    kinde.publish("a")
    time.passes(3)
    assert verdict(store) == "a"
    assert (store.health().state, store.health().since, store.health().problem) == ("fresh", time.wall, "")


def test_before_the_first_answer() -> None:
    time = Time()
    store = store_of(Kinde("a"), time)
    time.passes(50)
    health = store.health()
    assert (health.issuer, health.state, health.since, health.keys) == (ISSUER, "never_loaded", NOW, 0)
    assert health.problem == ""
    with pytest.raises(KeysUnavailable) as refusal:
        store.check_usable()
    assert refusal.value.retry_after == 1


def test_a_clock_on_the_wall_that_jumps_does_not_age_keys() -> None:
    time = Time()
    store = loaded(Kinde("a"), time)
    time.wall += 10 * DAY
    assert store.health().state == "fresh"
    assert store.health().since == time.wall
    assert verdict(store) == "a"


def test_loading_ahead_of_the_first_request() -> None:
    """There is something to wait for unless the keys are fresh, or an attempt would be too early."""
    kinde, time = Kinde("a"), Time()
    kinde.open.clear()
    store = store_of(kinde, time)
    future = store.load()
    assert future is not None
    assert store.load() is future
    assert kinde.asked.wait(LONG)
    kinde.breaks()
    kinde.open.set()
    settle(store)
    store.check_usable()
    assert store.load() is None  # fresh
    time.passes(600)
    future = store.load()
    assert future is not None
    joining.join(future, LONG)
    assert store.load() is None  # too early
    assert kinde.fetches == 2
    kinde.publish("a")
    time.passes(1)
    future = store.load()
    assert future is not None
    joining.join(future, LONG)
    assert store.health().state == "fresh"


def test_fresh_keys_do_not_wait_for_a_refresh_under_way() -> None:
    kinde, time = Kinde("a"), Time()
    store = loaded(kinde, time)
    kinde.open.clear()
    time.passes(599)
    assert verdict(store) == "a"
    assert store._flight.under_way is not None
    assert store.load() is None
    kinde.open.set()
    settle(store)


def test_what_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Changes and failures; what stays as it is is not said again."""
    caplog.set_level(logging.INFO, "kinde_guard")
    kinde, time = Kinde(), Time()
    odd = jwk({"kid": "odd", "use": "enc"})
    kinde.answer(200, key_set(jwk({"kid": "a"}), odd))
    store = loaded(kinde, time)

    def refreshed() -> None:
        time.passes(600)
        verdict(store)
        settle(store)

    settle(store)
    refreshed()
    kinde.breaks()
    refreshed()
    kinde.answer(200, key_set(jwk({"kid": "a"}), odd))
    refreshed()
    kinde.answer(200, key_set(jwk({"kid": "a"}), jwk({"kid": "b"})))
    refreshed()
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("INFO", f"keys of {ISSUER}: 1 loaded"),
        ("WARNING", f"keys of {ISSUER}: skipped key 1: its use is not sig"),
        (
            "WARNING",
            f"keys of {ISSUER}: fetch 1 failed, next in 1.0 s at the earliest; keys are stale: ConnectError: down",
        ),
        ("INFO", f"keys of {ISSUER}: 1 loaded"),
        ("INFO", f"keys of {ISSUER}: 2 loaded"),
        ("INFO", f"keys of {ISSUER}: added: 'b'"),
    ]
