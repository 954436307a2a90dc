"""The memory of verified tokens: it never lets in what a fresh look would refuse, and it never grows."""

from __future__ import annotations

import asyncio
import gc
import json
import tracemalloc
from collections import OrderedDict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, get_type_hints

import pytest
from helpers import (
    AUDIENCE,
    HEADER,
    KID,
    M2M,
    NOW,
    USER,
    Issuer,
    Time,
    guard_of,
    jwk,
    key_set,
    mint,
    reason_of,
    rsa_key,
    sign,
)
from waiting import settle

from kinde_guard import AuthError, Guard, InvalidRequest, InvalidToken, KeysUnavailable, MissingToken
from kinde_guard.keys.jwk import Key
from kinde_guard.tokens.access_token import AccessToken, token_of
from kinde_guard.tokens.cache import Entry, TokenCache
from kinde_guard.tokens.claims import size_of


@contextmanager
def allocating() -> Iterator[Callable[[], int]]:
    """How many bytes have been allocated meanwhile, and are still in use."""
    gc.collect()
    gc.freeze()  # so that the second look is at what is new alone
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]

    def taken() -> int:
        gc.collect()
        return tracemalloc.get_traced_memory()[0] - before

    try:
        yield taken
    finally:
        tracemalloc.stop()


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def issuer() -> Issuer:
    return Issuer()


def hits(guard: Guard) -> int:
    return guard.stats().hits


def refreshed(guard: Guard, time: Time, issuer: Issuer, seconds: float = 600) -> None:
    """Time passes, a refresh falls due, and is awaited."""
    time.passes(seconds)
    before = len(issuer.fetches)
    guard.warm()
    assert len(issuer.fetches) == before + 1


class TestHits:
    def test_the_same_token_object(self, issuer: Issuer) -> None:
        """The second look costs no signature check and gives the same frozen token."""
        guard = guard_of(issuer)
        raw = mint()
        assert guard.verify(raw) is guard.verify(raw)
        assert (guard.stats().misses, hits(guard)) == (1, 1)

    def test_async_and_sync_share_it(self, issuer: Issuer) -> None:
        guard = guard_of(issuer)
        raw = mint()
        assert guard.verify(raw) is asyncio.run(guard.averify(raw))

    def test_by_the_whole_token(self, issuer: Issuer) -> None:
        """A token that differs in its last letter alone is another token."""
        guard = guard_of(issuer)
        raw = mint()
        guard.verify(raw)
        for changed in (
            raw[:-1],
            raw + "A",
            raw.replace(".", ".A", 1),
            raw[:-2] + ("AA" if raw[-2:] != "AA" else "BA"),
        ):
            assert reason_of(guard, changed) in ("malformed", "bad_signature")
        assert hits(guard) == 0

    def test_large_tokens_are_told_apart_beyond_the_first_piece_hashed(self, issuer: Issuer) -> None:
        """The digest is fed in pieces: a change in a later one counts."""
        guard = guard_of(issuer)
        raw = mint({"pad": "x" * 6_000})
        assert guard.verify(raw) is guard.verify(raw)
        assert reason_of(guard, raw[:-400] + ("A" if raw[-400] != "A" else "B") + raw[-399:]) != "accepted"
        assert hits(guard) == 1

    def test_refusals_are_not_remembered(self, issuer: Issuer, time: Time) -> None:
        """A token that is not valid yet is let in once it is."""
        guard = guard_of(issuer, time)
        raw = mint({"nbf": NOW + 60})
        assert reason_of(guard, raw) == "not_yet_valid"
        time.passes(31)
        assert reason_of(guard, raw) == "accepted"

    def test_off(self, issuer: Issuer) -> None:
        guard = guard_of(issuer, cache_size=0)
        raw = mint()
        assert guard.verify(raw) is not guard.verify(raw)
        stats = guard.stats()
        assert (stats.misses, stats.hits, stats.entries, stats.bytes) == (2, 0, 0, 0)


class TestWhatNoLongerHolds:
    def test_expired(self, issuer: Issuer, time: Time) -> None:
        """To the second, leeway included."""
        guard = guard_of(issuer, time)
        raw = mint({"exp": NOW + 100})
        guard.verify(raw)
        time.passes(129)
        assert reason_of(guard, raw) == "accepted"
        time.passes(1)
        assert reason_of(guard, raw) == "expired"
        assert guard.stats().entries == 0

    def test_a_clock_that_is_set_back_gives_no_token_more_life(self, issuer: Issuer, time: Time) -> None:
        """What has been here for all of its life is over, by the clock that nobody sets; and is not let in anew."""
        guard = guard_of(issuer, time)
        raw = mint({"iat": NOW - 80_000, "exp": NOW + 100})
        guard.verify(raw)
        time.wall -= 7_200
        time.passes(129)
        assert reason_of(guard, raw) == "accepted"
        time.passes(1)
        assert guard.recognise(b"Bearer " + raw.encode()) is None
        for _ in range(2):
            assert reason_of(guard, raw) == "expired"
            with pytest.raises(InvalidToken, match="expired"):
                asyncio.run(guard.averify(raw))
        time.wall += 7_200
        assert reason_of(guard, raw) == "expired"
        assert guard.stats().entries == 0

    def test_a_clock_that_is_set_ahead_ends_a_token(self, issuer: Issuer, time: Time) -> None:
        """As one does that was stopped with the whole machine: either clock is enough."""
        guard = guard_of(issuer, time)
        raw = mint({"exp": NOW + 100})
        guard.verify(raw)
        time.wall += 130
        assert reason_of(guard, raw) == "expired"

    def test_clock_set_back(self, issuer: Issuer, time: Time) -> None:
        """A token from the future is refused, remembered or not."""
        guard = guard_of(issuer, time)
        raw = mint({"iat": NOW})
        guard.verify(raw)
        time.wall -= 100
        assert reason_of(guard, raw) == "not_yet_valid"

    def test_key_removed(self, issuer: Issuer, time: Time) -> None:
        """A withdrawn key takes its tokens along at the next good answer."""
        guard = guard_of(issuer, time)
        raw = mint()
        guard.verify(raw)
        issuer.body = key_set(jwk({"kid": "another"}, key=rsa_key("another")))
        refreshed(guard, time, issuer)
        assert reason_of(guard, raw) == "unknown_key"

    def test_key_replaced_under_the_same_kid(self, issuer: Issuer, time: Time) -> None:
        """Other material is another key, whatever it is called."""
        guard = guard_of(issuer, time)
        raw = mint()
        guard.verify(raw)
        issuer.body = key_set(jwk(key=rsa_key("another")))
        refreshed(guard, time, issuer)
        assert reason_of(guard, raw) == "bad_signature"

    def test_key_removed_meanwhile(self, issuer: Issuer, time: Time, monkeypatch: pytest.MonkeyPatch) -> None:
        """Other keys come in between the choice of the key and the remembering: they decide from then on."""
        guard, raw, verifies = guard_of(issuer, time), mint(), Key.verifies
        guard.warm()

        def slow(key: Key, *what: Any) -> bool:
            refreshed(guard, time, issuer)
            return verifies(key, *what)

        issuer.body = key_set(jwk({"kid": "another"}, key=rsa_key("another")))
        with monkeypatch.context() as patched:
            patched.setattr(Key, "verifies", slow)
            guard.verify(raw)
        assert reason_of(guard, raw) == "unknown_key"

    def test_sets_that_were_replaced_are_not_held(self, issuer: Issuer, time: Time) -> None:
        """Tokens of every set of an hour are remembered, and of the sets none: one may have hundreds of keys."""
        guard = guard_of(issuer, time)
        for number in range(6):
            issuer.body = key_set(jwk(), jwk({"kid": f"new {number}"}, key=rsa_key("another")))
            refreshed(guard, time, issuer)
            guard.verify(mint({"jti": str(number)}))
        gc.collect()
        # type(…), not isinstance: of strangers' lazy objects that would ask the class, and wake them
        held = [found for found in gc.get_objects() if type(found) is Key and found.kid.startswith("new ")]
        assert [key.kid for key in held] == ["new 5"]
        assert guard.stats().entries == 6

    def test_key_unchanged(self, issuer: Issuer, time: Time) -> None:
        """A refresh that brings the same key keeps its tokens."""
        guard = guard_of(issuer, time)
        raw = mint()
        token = guard.verify(raw)
        issuer.body = key_set(jwk({"kid": "another"}, key=rsa_key("another")), jwk())
        refreshed(guard, time, issuer)
        assert guard.verify(raw) is token
        assert hits(guard) == 1

    def test_keys_expired(self, issuer: Issuer, time: Time) -> None:
        """Beyond usable_for nothing is served from memory: cannot tell."""
        guard = guard_of(issuer, time, usable_for=1_000)
        raw = mint()
        guard.verify(raw)
        issuer.status = 500
        time.passes(999)
        assert reason_of(guard, raw) == "accepted"
        time.passes(1_000)
        with pytest.raises(KeysUnavailable):
            guard.verify(raw)

    def test_hits_alone_keep_the_keys_fresh(self, issuer: Issuer, time: Time) -> None:
        """Traffic that never misses still refreshes the keys, behind itself."""
        guard = guard_of(issuer, time)
        raw = mint()
        guard.verify(raw)
        for expected in (2, 3, 4):
            time.passes(590)
            guard.verify(raw)
            settle(guard)
            assert len(issuer.fetches) == expected
        assert (guard.stats().misses, hits(guard)) == (1, 3)


class TestIsolation:
    def test_two_guards(self, issuer: Issuer) -> None:
        """What one guard accepted says nothing to another with another audience."""
        other = guard_of(issuer, audience="https://other.acme.com")
        raw = mint()
        assert reason_of(guard_of(issuer), raw) == "accepted"
        assert reason_of(other, raw) == "wrong_audience"

    def test_what_it_hands_out_cannot_be_changed(self, issuer: Issuer) -> None:
        """Neither through the claims, nor the flags, nor an attribute."""
        guard = guard_of(issuer)
        raw = mint()
        token = guard.verify(raw)
        token.claims["permissions"].append("delete:everything")
        token.claims["aud"].clear()
        token.feature_flags["admin"] = True
        with pytest.raises(AttributeError):
            token.scopes = frozenset({"admin"})  # type: ignore[misc]
        again = guard.verify(raw)
        assert again.claims["permissions"] == USER["permissions"]
        assert again.audience == (AUDIENCE,)
        assert again.flag("admin") is None

    def test_many_tokens(self, issuer: Issuer) -> None:
        """2,000 real tokens: each gives its own claims, also the second time."""
        guard = guard_of(issuer)
        tokens = {f"kp_{number}": mint({"sub": f"kp_{number}"}) for number in range(2_000)}
        for _ in range(2):
            for subject, raw in tokens.items():
                assert guard.verify(raw).subject == subject
        stats = guard.stats()
        assert (stats.misses, stats.hits, stats.entries, stats.evictions) == (2_000, 2_000, 2_000, 0)

    def test_threads_and_tasks_at_once(self, issuer: Issuer) -> None:
        """Everyone gets the token that was asked for, in a cache far too small for all."""
        guard = guard_of(issuer, cache_size=8)
        tokens = {f"kp_{number}": mint({"sub": f"kp_{number}"}) for number in range(40)}

        def in_threads(_: int) -> set[bool]:
            return {guard.verify(raw).subject == subject for subject, raw in tokens.items()}

        async def in_tasks() -> list[bool]:
            found = await asyncio.gather(*(guard.averify(raw) for raw in tokens.values()))
            return [token.subject == subject for token, subject in zip(found, tokens, strict=True)]

        with ThreadPoolExecutor(8) as pool:
            running = [pool.submit(in_threads, number) for number in range(8)]
            assert all(asyncio.run(in_tasks()))
            assert all(result == {True} for result in (future.result() for future in running))
        stats = guard.stats()
        assert stats.entries <= 8
        assert stats.misses + stats.hits == 9 * 40


def compact(claims: dict[str, Any]) -> str:
    """A token without white space, as Kinde's are."""
    header, payload = (json.dumps(part, separators=(",", ":"), ensure_ascii=False) for part in (HEADER, claims))
    return sign(header, payload)


def keys_of(count: int, size: int = 5) -> list[str]:
    return [f"{number:0{size}}" for number in range(count)]


BARE = {name: claim for name, claim in USER.items() if name not in ("feature_flags", "permissions", "scp")}
SHAPES: dict[str, dict[str, Any]] = {
    "m2m": M2M,
    "user": USER,
    "as many permissions as fit into 500 bytes": {**BARE, "permissions": keys_of(28)},
    "10 permissions": {**USER, "permissions": keys_of(10)},
    "30 permissions": {**USER, "permissions": keys_of(30)},
    "100 permissions": {**USER, "permissions": keys_of(100)},
    "1,400 permissions": {**USER, "permissions": keys_of(1_400)},
    "200 long permissions": {**USER, "permissions": keys_of(200, 45)},
    "permissions beyond ASCII": {**USER, "permissions": [f"\u4eba{key}" for key in keys_of(500)]},
    "permissions under another name": {**USER, "permissions": None, "x-hasura-permissions": keys_of(700)},
    "200 roles": {**USER, "roles": [{"id": key, "key": key, "name": "R"} for key in keys_of(200)]},
    "300 roles as text": {**USER, "roles": keys_of(300)},
    "400 flags": {**USER, "feature_flags": {key: {"t": "b", "v": True} for key in keys_of(400)}},
    "30 scopes in a text": {**M2M, "scope": " ".join(keys_of(30, 9)), "scp": []},
    "1,000 scopes in a text": {**M2M, "scope": " ".join(keys_of(1_000))},
    "1,000 scopes in a list": {**M2M, "scope": None, "scp": keys_of(1_000)},
    "500 audiences": {**USER, "aud": [AUDIENCE, *keys_of(500)]},
    "a long text": {**USER, "note": "x" * 10_000},
    "a text of many words": {**USER, "note": "a, b " * 2_000},
}


def entry_of(size: int) -> Entry:
    token = token_of(b"{}", b"", permissions_as_scopes=False)
    return entry_with(token, size)


def entry_with(token: AccessToken, size: int) -> Entry:
    """What the cache does not look at is nothing."""
    nothing: Any = None
    return Entry(token, nothing, nothing, None, (0.0, 1.0, 1.0), size)


def read_whole(token: AccessToken) -> None:
    """Every attribute: each is read when it is asked for, and kept."""
    for name in get_type_hints(AccessToken):
        getattr(token, name)


def use(cache: TokenCache, digest: bytes) -> None:
    """As a hit does."""
    entry = cache.find(digest)
    assert entry is not None
    entry.used = True


class TestBounds:
    def test_a_million_entries(self) -> None:
        """10⁶ entries put through its own interface: the bounds hold at every look, and the books balance."""
        cache = TokenCache(500, most_bytes=40_000)
        entries = [entry_of(size) for size in (10, 100, 1_000)]
        for number in range(1_000_000):
            cache.put(number.to_bytes(4, "big"), entries[number % 3])
            if number % 10_000 == 0:
                stats = cache.stats()
                assert stats.entries <= 500
                assert stats.bytes <= 40_000
        stats = cache.stats()
        assert stats.misses == 1_000_000
        assert stats.evictions == 1_000_000 - stats.entries
        held = [entry for number in range(1_000_000) if (entry := cache.find(number.to_bytes(4, "big")))]
        assert sum(entry.size for entry in held) == stats.bytes

    def test_what_is_used_stays(self) -> None:
        """Second chance: an entry that is asked for between evictions outlives those that are not."""
        cache = TokenCache(3)
        for name in (b"a", b"b", b"c"):
            cache.put(name, entry_of(1))
        use(cache, b"a")
        cache.put(b"d", entry_of(1))
        assert cache.find(b"a")
        assert not cache.find(b"b")
        for name in (b"e", b"f", b"g"):
            cache.put(name, entry_of(1))
        assert not cache.find(b"a")

    def test_everything_in_use(self) -> None:
        """Eviction ends also where every entry was used."""
        cache = TokenCache(3)
        for name in (b"a", b"b", b"c"):
            cache.put(name, entry_of(1))
            use(cache, name)
        cache.put(b"d", entry_of(1))
        assert cache.stats().entries == 3

    def test_larger_than_all_the_room(self) -> None:
        """It is not kept, and pushes nothing else out."""
        cache = TokenCache(10, most_bytes=100)
        cache.put(b"a", entry_of(50))
        cache.put(b"b", entry_of(101))
        assert cache.find(b"a")
        assert not cache.find(b"b")
        cache.put(b"c", entry_of(100))  # just fits, alone
        assert cache.find(b"c")
        assert cache.stats().entries == 1

    def test_put_twice(self) -> None:
        """Two threads that verified the same token at once count it twice and keep it once."""
        cache = TokenCache(10)
        cache.put(b"a", entry_of(5))
        cache.put(b"a", entry_of(7))
        stats = cache.stats()
        assert (stats.entries, stats.bytes, stats.misses, stats.evictions) == (1, 7, 2, 0)

    def test_dropped(self) -> None:
        cache = TokenCache(10)
        cache.put(b"a", entry_of(5))
        cache.drop(b"a")
        cache.drop(b"a")
        assert (cache.stats().entries, cache.stats().bytes) == (0, 0)

    def test_a_use_is_forgotten_with_its_entry(self) -> None:
        """What is dropped and put again has no second chance left over from before."""
        cache = TokenCache(2)
        cache.put(b"a", entry_of(1))
        use(cache, b"a")
        cache.drop(b"a")
        for name in (b"a", b"b", b"c"):
            cache.put(name, entry_of(1))
        assert not cache.find(b"a")

    @pytest.mark.parametrize("permissions_as_scopes", [False, True])
    @pytest.mark.parametrize("claims", [pytest.param(claims, id=name) for name, claims in SHAPES.items()])
    def test_memory(self, issuer: Issuer, claims: dict[str, object], permissions_as_scopes: bool) -> None:
        """What entries really take, attributes read, is no more than the cache counts, give or take 15 %; and it does
        not count so much that it would hold half of what there is room for."""
        guard = guard_of(issuer, permissions_as_scopes=permissions_as_scopes)
        guard.verify(compact({**claims, "jti": "first"}))
        tokens = [compact({**claims, "jti": f"{number:036d}"}) for number in range(100)]
        counted = guard.stats().bytes
        with allocating() as taken:
            for raw in tokens:
                read_whole(guard.verify(raw))
            assert 0.5 <= taken() / (guard.stats().bytes - counted) <= 1.15

    def test_memory_of_a_full_cache(self) -> None:
        """With the largest tokens there are, evictions included."""
        cache = TokenCache(1_000, most_bytes=3_000_000)
        claims = {**USER, "permissions": keys_of(1_400)}
        payload = json.dumps(claims, separators=(",", ":")).encode()
        size = size_of(payload, claims, permissions_as_scopes=True)
        with allocating() as taken:
            for number in range(40):
                token = token_of(bytes(bytearray(payload)), b"", permissions_as_scopes=True)
                read_whole(token)
                cache.put(number.to_bytes(32, "big"), entry_with(token, size))
            assert cache.stats().evictions
            assert taken() <= 1.15 * 3_000_000

    def test_misses_are_counted_exactly(self) -> None:
        """By many threads at once, and however often somebody looks."""
        cache = TokenCache(10)

        def misses(number: int) -> None:
            for other in range(2_000):
                cache.count_miss()
                cache.put(b"%d %d" % (number, other), entry_of(1))
                if other % 100 == 0:
                    cache.stats()

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(misses, range(8)))
        stats = cache.stats()
        assert (stats.misses, stats.evictions, stats.entries) == (32_000, 15_990, 10)

    def test_the_default_bound_in_bytes(self) -> None:
        """However few entries, there is room for the largest token; however large they are, 32 MiB are not passed, or
        2 KiB for each entry of a larger cache."""
        one, giants, larger = TokenCache(1), TokenCache(16_384), TokenCache(2 * 16_384)
        largest = size_of(b"{,}" * 4_096, {"permissions": ["x"] * 3_000}, permissions_as_scopes=True)
        one.put(b"a", entry_of(largest))
        assert one.find(b"a")
        for number in range(1_000):
            giants.put(number.to_bytes(4, "big"), entry_of(largest))
            larger.put(number.to_bytes(4, "big"), entry_of(largest))
        assert giants.stats().bytes <= 32 * 1024 * 1024
        assert giants.stats().entries < 1_000
        assert 32 * 1024 * 1024 < larger.stats().bytes <= 64 * 1024 * 1024


def test_no_token_text_is_kept(issuer: Issuer) -> None:
    """After the request nothing in the cache holds the token, its header or its signature."""
    guard = guard_of(issuer)
    raw = mint()
    guard.verify(raw)
    signature = raw.rpartition(".")[2]
    held = [
        value
        for value in gc.get_objects()
        if type(value) in (dict, OrderedDict) and value and type(next(iter(value))) is bytes
    ]
    entries = [(key, entry) for cache in held for key, entry in cache.items() if isinstance(key, bytes)]
    assert not any(signature.encode() in key for key, _ in entries)
    tokens = [entry.token for _, entry in entries if isinstance(entry, Entry)]
    assert tokens
    assert not any(raw.encode() in token._payload for token in tokens)
    assert KID in guard._signed._headers.popitem()[1]


def test_headers_remembered_are_bounded(issuer: Issuer) -> None:
    """A signer that varies its header costs memory for 64 of them, not more."""
    guard = guard_of(issuer)
    for number in range(200):
        assert reason_of(guard, mint(header={"x": number})) == "accepted"
    assert len(guard._signed._headers) <= 64


class TestRecognition:
    """A header whose token was verified before is not taken apart again; every other goes the long way."""

    def test_the_same_header(self, issuer: Issuer) -> None:
        guard = guard_of(issuer)
        raw = mint()
        assert guard.recognise(f"Bearer {raw}".encode()) is None
        token = guard.authenticate([f"Bearer {raw}"])
        assert guard.recognise(f"Bearer {raw}".encode()) is token
        assert guard.recognise(f"bearer {raw}".encode()) is None
        assert guard.authenticate([f"bearer  {raw} "]) is token
        assert asyncio.run(guard.aauthenticate([f"Bearer {raw}"])) is token

    @pytest.mark.parametrize(
        ("change", "refusal"),
        [
            (lambda header: [header, header], InvalidRequest),
            (lambda header: [header + ",x"], InvalidRequest),
            (lambda header: [header + "\u00e9"], InvalidRequest),
            (lambda header: [header + "A"], InvalidToken),
            (lambda header: [header + "A" * 20_000], InvalidToken),
            (lambda header: ["Basic" + header[6:]], MissingToken),
            (lambda header: [], MissingToken),
            (lambda header: ["Bearer "], InvalidRequest),
        ],
        ids=["twice", "a list", "beyond ASCII", "longer", "far longer", "another scheme", "none", "no token"],
    )
    def test_any_other(self, issuer: Issuer, change: Callable[[str], list[str]], refusal: type[AuthError]) -> None:
        guard = guard_of(issuer)
        header = f"Bearer {mint()}"
        guard.authenticate([header])
        assert not any(guard.recognise(value.encode("latin-1")) for value in change(header) if value != header)
        with pytest.raises(refusal):
            guard.authenticate(change(header))
        assert hits(guard) == 0

    def test_once_it_has_expired(self, issuer: Issuer, time: Time) -> None:
        guard = guard_of(issuer, time)
        header = f"Bearer {mint({'exp': NOW + 100})}"
        guard.authenticate([header])
        assert guard.recognise(header.encode())
        time.passes(130)
        assert guard.recognise(header.encode()) is None
        with pytest.raises(InvalidToken, match="expired"):
            guard.authenticate([header])
