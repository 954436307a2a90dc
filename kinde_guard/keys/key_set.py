"""The keys of an issuer at a moment: which key a token is verified with, and when to ask the issuer again. Frozen.

A :class:`KeySet` is replaced, never edited, so readers need no lock. Time is an argument: monotonic, in seconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal, NamedTuple

from ..net.clocks import Moment
from ..net.frozen import Frozen
from ..net.headers import age_of, delta_seconds
from .jwk import KTY, Key, KeyId, KeysRead

LIFE = 600.0
LEAST_LIFE, MOST_LIFE = 60.0, 3600.0
REFRESH_AT = 0.8
FIRST_WAIT, COLD_WAIT, WARM_WAIT = 1.0, 30.0, 300.0
NEVER, FOR_EVER = float("-inf"), float("inf")

State = Literal["fresh", "stale", "expired", "never_loaded"]


class KeySet(Frozen):
    """The keys of an issuer as its last good answer had them, for how long they serve, and when to ask again.

    Moments (``…_at``, ``…_until``) are in seconds, by the monotonic clock that *now* is told by. ``NEVER`` (``-inf``)
    is before every *now*: what begins then has begun, and what lasts until then is over.
    """

    __slots__ = (
        "cool_until",
        "dated_until",
        "edition",
        "failures",
        "keys",
        "loaded_at",
        "private",
        "problem",
        "refresh_at",
        "retry_at",
        "skipped",
        "stale_at",
        "usable_until",
        "weak",
    )

    keys: Mapping[KeyId, Key]
    """The usable ones."""
    skipped: tuple[str, ...]
    """A sentence for each published key that is not usable."""
    weak: tuple[str, ...]
    """The kids of keys with too few bits, which are not usable."""
    private: tuple[str, ...]
    """The kids of keys published with their private half, and of shared secrets, which are not usable."""
    loaded_at: float
    """When the last good answer came; ``NEVER`` if none has."""
    stale_at: float
    """Until then the keys are fresh: for 60 s to 1 h, and no longer than they are usable."""
    refresh_at: float
    """From then on new keys should be asked for: 75 to 85 % of the time from ``loaded_at`` to ``stale_at``."""
    usable_until: float
    """Until then the keys verify tokens, fresh or stale: for ``usable_for`` seconds from ``loaded_at``."""
    failures: int
    """How many attempts have failed since the last good answer."""
    retry_at: float
    """No attempt before then: at most 5 min after one that failed; ``NEVER`` if the last did not fail."""
    cool_until: float
    """No attempt before then for the sake of an unknown kid, or of a signature that did not hold."""
    dated_until: float
    """Until then by the wall clock, in seconds since the epoch, a seed's keys verify tokens, whatever the other clock
    says, which stands still in a snapshot of a machine; ``inf`` for keys that were fetched here."""
    problem: str
    """Why the last attempt failed, or that there was none yet (a seed); empty if all is well."""
    edition: object
    """A mark of ``keys``, to be compared with ``is``: the next set has the same mark if it has the very same keys. It
    keeps no key alive, so it may be held for long."""

    def __init__(
        self,
        keys: Mapping[KeyId, Key] | None = None,
        *,
        skipped: tuple[str, ...] = (),
        weak: tuple[str, ...] = (),
        private: tuple[str, ...] = (),
        loaded_at: float = NEVER,
        stale_at: float = NEVER,
        refresh_at: float = NEVER,
        usable_until: float = NEVER,
        failures: int = 0,
        retry_at: float = NEVER,
        cool_until: float = NEVER,
        dated_until: float = FOR_EVER,
        problem: str = "",
        edition: object = None,
    ) -> None:
        keys = {} if keys is None else keys
        edition = object() if edition is None else edition
        self._fill(locals())

    @classmethod
    def seeded(cls, read: KeysRead, now: Moment, *, age: float, usable_for: float, problem: str) -> KeySet:
        """The set of a seed, which was fetched *age* seconds ago: it is stale from the beginning, and new keys are due
        with the first request."""
        return cls(
            keys=read.keys,
            skipped=read.skipped,
            weak=read.weak,
            private=read.private,
            loaded_at=now.ageing - age,
            stale_at=now.ageing,
            refresh_at=now.ageing,
            usable_until=now.ageing - age + usable_for,
            dated_until=now.wall - age + usable_for,
            problem=problem,
        )

    def find(self, kid: str, alg: str) -> Key | None:
        """The key that may verify signatures of *alg* under this kid; ``None`` if there is none."""
        key = self.keys.get((kid, KTY[alg]))
        return key if key is not None and alg in key.algorithms else None

    def holds(self, key: Key) -> bool:
        """Whether this very key, material and all, is in the set."""
        return self.keys.get((key.kid, key.kty)) is key

    def usable(self, now: float) -> bool:
        """Whether there are keys, fresh or stale, that may still be used."""
        return now < self.usable_until

    def refresh_due(self, now: float) -> bool:
        """Whether new keys should be asked for, behind the requests."""
        return now >= self.refresh_at and now >= self.retry_at

    def may_ask_for_unknown(self, now: float) -> bool:
        """Whether an unknown kid, or a signature that does not hold, may cause a fetch. A rotated key may be behind it,
        or an attacker: there is one such fetch per cool-down, or anyone could make us hammer the issuer."""
        return now >= self.cool_until and now >= self.retry_at

    def state(self, now: float) -> State:
        """The state of the keys, in a word."""
        if self.loaded_at == NEVER:
            return "never_loaded"
        if not self.usable(now):
            return "expired"
        return "fresh" if now < self.stale_at else "stale"

    def loaded(self, read: KeysRead, now: float, *, life: float, usable_for: float, chance: float) -> KeySet:
        """The set after a good answer, whose keys are fresh for *life* seconds and usable for *usable_for*. *chance*,
        from 0 to 1, spreads the refreshes of many processes."""
        return KeySet(
            keys=read.keys,
            skipped=read.skipped,
            weak=read.weak,
            private=read.private,
            loaded_at=now,
            stale_at=now + life,
            refresh_at=now + min(life * (REFRESH_AT - 0.05 + 0.1 * chance), usable_for),
            usable_until=now + usable_for,
            cool_until=self.cool_until,
            edition=self.edition if read.keys == self.keys else object(),
        )

    def failed(
        self, problem: str, now: float, *, cool_down: float, chance: float, retry_after: float | None = None
    ) -> KeySet:
        """The set after a failed attempt: it keeps its keys. *cool_down*: for how many seconds unknown kids cause no
        fetch. *retry_after*: for how many the issuer asks to be left alone. *chance*, from 0 to 1, spreads the attempts
        of many processes."""
        return self._with(
            failures=self.failures + 1,
            retry_at=self._next_attempt(now, chance, retry_after or 0.0),
            cool_until=max(self.cool_until, now + cool_down),
            problem=problem,
        )

    def cooling(self, until: float) -> KeySet:
        """The set after a fetch that an unknown kid, or a signature, has caused: they cause no other before *until*."""
        return self._with(cool_until=max(self.cool_until, until))

    def _with(self, **changes: Any) -> KeySet:
        return KeySet(**{name: getattr(self, name) for name in self.__slots__} | changes)

    def _next_attempt(self, now: float, chance: float, asked: float) -> float:
        """The wait is 1 s, then doubles, with full jitter; a longer one that the issuer asks for counts. It is bounded
        by 5 min while there are usable keys, by 30 s without: from when they run out, if that is during the wait."""
        most = WARM_WAIT if self.usable(now) else COLD_WAIT
        backoff = chance * min(FIRST_WAIT * 2.0 ** min(self.failures, 16), most)
        wait = max(backoff, min(asked, most))
        return min(now + wait, max(now, self.usable_until) + COLD_WAIT)


class Changes(NamedTuple):
    """The differences between two key sets, by kid: see :class:`~kinde_guard.events.KeysChanged`."""

    added: tuple[str, ...]
    removed: tuple[str, ...]
    replaced: tuple[str, ...]
    weak: tuple[str, ...]
    private: tuple[str, ...]


def changes_between(before: KeySet, after: KeySet) -> Changes:
    """The changes from *before* to *after*. In the first set that is loaded no key counts as added, but weak and
    private ones do count."""
    old, new = before.keys, after.keys
    replaced = [key_id for key_id in new if key_id in old and old[key_id].material != new[key_id].material]
    return Changes(
        added=_kids(key_id for key_id in new if key_id not in old and before.loaded_at != NEVER),
        removed=_kids(key_id for key_id in old if key_id not in new),
        replaced=_kids(replaced),
        weak=tuple(kid for kid in after.weak if kid not in before.weak),
        private=tuple(kid for kid in after.private if kid not in before.private),
    )


def life_of(headers: Mapping[str, str]) -> float:
    """The seconds for which keys are fresh: what is left of ``max-age`` (RFC 9111 §5.2.2.1) after the time that caches
    on the way have held them (``Age``), within a minute and an hour; else 10 min."""
    for directive in headers.get("cache-control", "").lower().split(","):
        name, _, value = directive.strip().partition("=")
        seconds = delta_seconds(value.strip('"')) if name == "max-age" else None
        if seconds is not None:
            return min(max(seconds - age_of(headers), LEAST_LIFE), MOST_LIFE)
    return LIFE


def _kids(key_ids: Iterable[KeyId]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(kid for kid, _ in key_ids))
