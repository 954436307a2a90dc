"""The key store of one issuer: holds the current :class:`KeySet`, fetches the next, and lets callers wait, briefly.

The rules of this file:

* A key that is held never waits: not for a lock, not for a refresh, not behind an unknown kid.
* There is one fetch at a time (:mod:`kinde_guard.net.flight`), and its outcome replaces the set whole. Every fetch is
  wanted because of a set that was seen: if another has taken its place by then, the fetch is left undone.
* An outage wipes nothing: the last good keys serve for ``usable_for`` seconds from the last good answer.
* ``get`` and ``aget`` differ in one line: how they wait.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from functools import partial
from typing import TYPE_CHECKING

from ..errors import InvalidToken, KeysUnavailable
from ..net import flight, joining
from ..net.clocks import Clocks
from ..net.fetch import TOTAL_TIMEOUT, Fetcher
from ..settings import Settings
from .health import IssuerHealth
from .jwk import Key
from .jwks_request import Failed, JwksRequest, Loaded
from .key_set import NEVER, KeySet
from .notices import Notices

if TYPE_CHECKING:
    from ..events import Emit
    from ..net.attempt import Attempt
    from ..revocation.health import RevocationHealth
    from ..settings.seeds import Seed

WAIT_COLD = TOTAL_TIMEOUT + 0.25  # the deadline lands its failure first, so that a refusal can say why
WAIT_UNKNOWN = 1.0
NO_KEYS = KeySet()
_Outcome = Loaded | Failed | None
"""What a fetch comes to; ``None`` if it was left undone."""


class KeyStore:
    """The keys of one issuer, for every thread, event loop and forked child of the process."""

    def __init__(
        self,
        issuer: str,
        url: str,
        *,
        algorithms: tuple[str, ...],
        retry_after: float,
        usable_for: float,
        fetcher: Fetcher,
        clocks: Clocks,
        chance: Callable[[], float] = random.random,
        leeway: float = 30,
        emit: Emit | None = None,
        seed: Seed | None = None,
    ) -> None:
        self.issuer = issuer
        self._request = JwksRequest(url, algorithms, fetcher, clocks.wall)
        self._retry_after = retry_after
        self._usable_for = usable_for
        self._clocks = clocks
        self._now = clocks.monotonic
        self._chance = chance
        self._notices = Notices(issuer, leeway, emit)
        self._began: float | None = None
        self._drift: float | None = None
        self._since = clocks.wall()
        self._set = KeySet() if seed is None else self._seeded(seed, leeway)
        self._flight: flight.Flight[_Outcome] = flight.Flight(self._land, Failed.unexpectedly, deadline=TOTAL_TIMEOUT)

    def current(self) -> KeySet:
        """The key set if it is usable, else an empty one; never waits. Starts a refresh that is due."""
        return self.current_at(self._now())

    def current_at(self, now: float) -> KeySet:
        """:meth:`current` for callers who know the time: *now*, by ``clocks.monotonic``.

        Every request comes through here, so while nothing is due it is one comparison.
        """
        keys = self._set
        if now < keys.refresh_at:  # and so usable: see KeySet.loaded
            return keys
        self._refresh_behind(keys, now)
        return keys if self._usable(keys, now) else NO_KEYS

    def find(self, kid: str, alg: str) -> Key | None:
        """The key if it is held and usable; never waits."""
        return self.current().find(kid, alg)

    def get(self, kid: str, alg: str) -> Key:
        """The key, or :class:`InvalidToken` (``unknown_key``), or :class:`KeysUnavailable`."""
        key = self.current().find(kid, alg)
        if key is None:
            future, seconds = self._ask(kid, alg)
            if future is not None:
                joining.join(future, seconds)
            key = self._find_or_refuse(kid, alg)
        return key

    async def aget(self, kid: str, alg: str) -> Key:
        """:meth:`get` for event loops."""
        key = self.current().find(kid, alg)
        if key is None:
            future, seconds = self._ask(kid, alg)
            if future is not None:
                await joining.ajoin(future, seconds)
            key = self._find_or_refuse(kid, alg)
        return key

    def ask_behind(self) -> None:
        """Ask for new keys because a signature does not hold: there may be a new key under the old kid. Stays within
        the budget of unknown kids, and never waits."""
        keys, now = self._set, self._now()
        if self._usable(keys, now) and keys.may_ask_for_unknown(now):
            self._start(keys, now + self._retry_after)

    def load(self) -> Future[None] | None:
        """Start loading keys unless they are fresh. Returns what to wait for; ``None`` if there is nothing."""
        now, keys = self._now(), self._set
        if keys.state(now) == "fresh":
            return None
        if now < keys.retry_at:
            return self._flight.under_way
        return self._start(keys)

    def fetch_again(self) -> None:
        """Fetch the keys now, whether it is due or not. Those that are held serve until others have come."""
        under_way = self._flight.under_way
        if under_way is None:
            self._start(self._set)
        else:  # its answer may be one of before
            under_way.add_done_callback(lambda _: self._start(self._set))

    @property
    def clock_drift(self) -> float | None:
        """The seconds by which the clock here is ahead, as in :class:`IssuerHealth`."""
        return self._drift

    def check_usable(self) -> None:
        """Raises :class:`KeysUnavailable` if there are no keys to verify with."""
        self._usable_keys()

    def health(self, revocations: RevocationHealth | None = None) -> IssuerHealth:
        """The state of the keys now, and *revocations* beside it."""
        keys, now, wall = self._set, self._now(), self._clocks.wall()
        state = keys.state(now)
        since = {"fresh": keys.loaded_at, "stale": keys.stale_at, "expired": keys.usable_until}.get(state)
        moment = self._since if since is None else wall - (now - since)
        if state == "stale" and not self._usable(keys, now):
            state, moment = "expired", keys.dated_until
        problem = keys.problem or self._flight.trouble
        return IssuerHealth(self.issuer, state, moment, len(keys.keys), problem, self._drift, revocations)

    def _seeded(self, seed: Seed, leeway: float) -> KeySet:
        from .seeding import first_set  # only here: see Settings

        read = partial(self._request.read, known={})
        return first_set(seed, read, self._clocks, usable_for=self._usable_for, leeway=leeway, notices=self._notices)

    def _usable(self, keys: KeySet, now: float) -> bool:
        """Whether the keys can be used, by either clock: a seed has a date of its own."""
        return keys.usable(now) and self._clocks.wall() < keys.dated_until

    def _refresh_behind(self, keys: KeySet, now: float) -> None:
        if self._usable(keys, now) and keys.refresh_due(now):
            self._start(keys)

    def _ask(self, kid: str, alg: str) -> tuple[Future[None] | None, float]:
        """Ask for a key that was not held. Returns what to wait for, if anything, and for how many seconds at most."""
        now, keys = self._now(), self._set
        if not self._usable(keys, now):
            return self._flight.under_way if now < keys.retry_at else self._start(keys), WAIT_COLD
        if keys.find(kid, alg) is not None:
            return None, 0.0  # it has come in the meantime
        if keys.may_ask_for_unknown(now):
            future: Future[None] | None = self._start(keys, now + self._retry_after)
        else:
            future = self._flight.under_way
        # Counted from the fetch's beginning: or as long as it hangs, strangers would hold a worker for a second each.
        return future, max(0.0, WAIT_UNKNOWN - self._flight.age)

    def _start(self, seen: KeySet, cool_until: float = NEVER) -> Future[None]:
        return self._flight.start(partial(self._fetch, seen, cool_until))

    def _find_or_refuse(self, kid: str, alg: str) -> Key:
        """The key, now that nobody waits for it any more; or the refusal."""
        key = self._usable_keys().find(kid, alg)
        if key is None:
            raise InvalidToken(
                "unknown_key",
                f"no key of {self.issuer} has the token's kid: it may have been rotated out, or be so new that the "
                f"keys have yet to be asked for again (every {self._retry_after:g} s at most)",
            )
        return key

    def _usable_keys(self) -> KeySet:
        now, keys = self._now(), self._set
        if not self._usable(keys, now):
            raise KeysUnavailable(max(1, math.ceil(keys.retry_at - now)) if keys.failures else 1)
        return keys

    def _fetch(self, seen: KeySet, cool_until: float, attempt: Attempt) -> _Outcome:
        """Ask the issuer, unless another fetch has landed since *seen* made this one due. Runs in the flight's
        thread."""
        if self._set is not seen:
            return None
        self._began = self._now()
        outcome = self._request.send(seen.keys, attempt)
        return outcome._replace(cool_until=cool_until) if isinstance(outcome, Loaded) else outcome

    def _land(self, outcome: _Outcome) -> flight.Callback:
        """Store what the fetch came to, when the flight ends. Returns the notice of it."""
        now = self._now()
        seconds, self._began = now - (self._began or now), None
        if outcome is None:
            return _nothing
        if isinstance(outcome, Failed):
            return self._store_failure(outcome, now, seconds)
        return self._store_keys(outcome, now, seconds)

    def _store_keys(self, loaded: Loaded, now: float, seconds: float) -> flight.Callback:
        before = self._set
        life = min(loaded.life, self._usable_for)
        self._set = keys = before.cooling(loaded.cool_until).loaded(
            loaded.read, now, life=life, usable_for=self._usable_for, chance=self._chance()
        )
        drifts, self._drift = (self._drift, loaded.drift), loaded.drift
        return partial(self._notices.of_keys, before, keys, now, seconds, drifts)

    def _store_failure(self, failed: Failed, now: float, seconds: float) -> flight.Callback:
        self._set = keys = self._set.failed(
            failed.problem, now, cool_down=self._retry_after, chance=self._chance(), retry_after=failed.retry_after
        )
        return partial(self._notices.of_failure, keys, now, seconds, failed.kind)


def stores(settings: Settings, clocks: Clocks, emit: Emit | None = None) -> Mapping[str, KeyStore]:
    """A key store for each issuer, by its URL; they share a :class:`Fetcher`."""
    fetcher = Fetcher(settings.transport, tls=any(url.startswith("https:") for url in settings.issuers.values()))
    return {
        issuer: KeyStore(
            issuer,
            url,
            algorithms=settings.algorithms,
            retry_after=settings.retry_after,
            usable_for=settings.usable_for,
            fetcher=fetcher,
            clocks=clocks,
            leeway=settings.leeway,
            emit=emit,
            seed=settings.seeds.get(issuer),
        )
        for issuer, url in settings.issuers.items()
    }


def _nothing() -> None:
    """There is nothing to say of a fetch that was left undone."""
