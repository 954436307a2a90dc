"""Verified tokens, bounded in entries and in bytes.

The rules of this file:

* An entry says that a token held once. Whether it holds *now* (the time, the key) the guard asks at every hit.
* Entries are found by the SHA-256 of the whole token, so no token text is kept. The digest is most of what a hit costs
  (0.8 of 1.4 µs where a signature check costs 20): worth it, since a memory dump then holds nothing to replay.
* A hit takes no lock and moves nothing. It marks the entry as used, and eviction passes a used entry over once (second
  chance).
"""

from __future__ import annotations

import itertools
import math
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from ..errors import InvalidToken
from ..net import forks

if TYPE_CHECKING:
    from ..keys.jwk import Key
    from ..keys.store import KeyStore
    from ..revocation.entry import Marks
    from .access_token import AccessToken

BYTES_PER_ENTRY = 2 * 1024  # the bound in bytes of a large cache, for each entry that it may hold
LEAST_BOUND = 32 * 1024 * 1024  # the bound in bytes of every other


class Entry:
    """A token that has held once, and what the guard looks at again at each hit."""

    __slots__ = ("edition", "end", "key", "look_at", "marks", "over", "seen", "size", "start", "store", "token", "used")

    asks_again: ClassVar[bool] = False

    def __init__(
        self,
        token: AccessToken,
        store: KeyStore,
        key: Key,
        edition: object | None,
        times: tuple[float, float, float],
        size: int,
        marks: Marks | None = None,
    ) -> None:
        self.token = token
        self.store, self.key = store, key  # of the issuer, and the one that verified the token
        self.edition = edition  # of the key set that the key was found in; None if it was waited for
        self.start, self.end, self.over = times  # from when until when the claims hold, and until when by ages
        self.size = size  # in bytes
        self.marks = marks  # what revocations are compared with; None if there are none
        self.seen: object = None  # the edition of the revocations in which nothing spoke against it
        self.look_at = self.over if marks is None else -math.inf  # when it has to be looked at, by ages
        self.used = False  # whether there was a hit since eviction passed by


class _AsEver:
    """What stands for an issuer's keys in the entry of an API key: nothing but its time counts."""

    def __init__(self) -> None:
        self.edition = object()

    def current_at(self, now: float) -> Any:
        """Itself, as of a :class:`~.keys.store.KeyStore` its keys."""
        return self


class VouchedFor(Entry):
    """An API key that Kinde has vouched for. When it is over, or revoked, it is no refusal: Kinde is asked again."""

    __slots__ = ()
    asks_again = True

    def __init__(self, token: AccessToken, times: tuple[float, float, float], size: int, marks: Marks | None) -> None:
        store: Any = _AS_EVER
        super().__init__(token, store, store, _AS_EVER.edition, times, size, marks)


_AS_EVER = _AsEver()


def holds_still(entry: Entry, now: float) -> bool:
    """Whether the time of *entry* is not over at *now*, by the clock for ages; raises :class:`InvalidToken`
    (``expired``) if it is, and false of an API key, which Kinde is asked about again.

    The entry is not forgotten: by the wall clock alone, which may have been set back, it would be let in again.
    """
    if now < entry.over or entry.asks_again:
        return now < entry.over
    raise InvalidToken("expired", "its time is up, whatever the clock here says: it has been set back meanwhile")


class CacheStats(NamedTuple):
    """What the cache has done since the guard was made."""

    hits: int
    """How many tokens were known."""
    misses: int
    """How many were not known, or did not hold any more."""
    evictions: int
    """How many entries had to go for others."""
    entries: int
    """How many tokens are remembered now."""
    bytes: int
    """What these take, in bytes, as reckoned by the size of their payloads."""


class TokenCache:
    """The verified tokens that are remembered: at most *entries*, which take *most_bytes* at most."""

    def __init__(self, entries: int, most_bytes: int | None = None) -> None:
        self._most = entries
        self._most_bytes = max(entries * BYTES_PER_ENTRY, LEAST_BOUND) if most_bytes is None else most_bytes
        # Not a dict: its oldest entry is found by walking over the places of all that were evicted since it last grew.
        self._entries: OrderedDict[bytes, Entry] = OrderedDict()
        self._evictions = 0
        self._looks = 0
        self.find = self._entries.get
        self.count_hit, self.count_miss = itertools.count().__next__, itertools.count().__next__
        """Count a hit, or a miss (:meth:`put` counts its own). A lock would cost ten times as
        much, and is not needed: the ``__next__`` of :func:`itertools.count` is one step under the GIL."""
        self.renew()
        forks.when_forked(self)

    def renew(self) -> None:
        """Begin anew in a forked child: nobody writes now, and whoever did in that moment had perhaps not counted
        yet."""
        self._lock = threading.Lock()  # of those who write
        self._bytes = sum(entry.size for entry in self._entries.values())

    def put(self, digest: bytes, entry: Entry) -> None:
        """Remember *entry*; something else may have to go, or itself, if it is larger than all the room there is."""
        entries, size = self._entries, entry.size
        with self._lock:
            self.count_miss()
            if digest in entries:  # two threads verified the same token at once
                self._remove(digest)
            if size > self._most_bytes:
                return
            while len(entries) >= self._most or self._bytes + size > self._most_bytes:
                self._evict()
            entries[digest] = entry
            self._bytes += size

    def drop(self, digest: bytes) -> None:
        """Forget an entry that no longer holds."""
        with self._lock:
            self._remove(digest)

    def stats(self) -> CacheStats:
        """The counts at this moment, which belong together."""
        with self._lock:
            looks, self._looks = self._looks, self._looks + 1
            # The number of calls before: this one is a look.
            hits, misses = self.count_hit() - looks, self.count_miss() - looks
            return CacheStats(hits, misses, self._evictions, len(self._entries), self._bytes)

    def _evict(self) -> None:
        """Remove the oldest entry that is not marked as used. Each marked one that is met on the way loses its mark and
        becomes the youngest, so the search ends."""
        digest, entry = self._entries.popitem(last=False)
        while entry.used:
            entry.used = False
            self._entries[digest] = entry
            digest, entry = self._entries.popitem(last=False)
        self._bytes -= entry.size
        self._evictions += 1

    def _remove(self, digest: bytes) -> None:
        entry = self._entries.pop(digest, None)
        if entry is not None:
            self._bytes -= entry.size
