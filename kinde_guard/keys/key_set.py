"""The keys of an issuer at a moment: which key a token is verified with, and when to ask the issuer again. Frozen.

A :class:`KeySet` is replaced, never edited, so readers need no lock. Time is an argument: monotonic, in seconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple

from ..net.headers import age_of, delta_seconds
from .jwk import KTY, Key, KeyId, KeysRead

LIFE = 600.0
LEAST_LIFE, MOST_LIFE = 60.0, 3600.0
REFRESH_AT = 0.8
FIRST_WAIT, COLD_WAIT, WARM_WAIT = 1.0, 30.0, 300.0
NEVER = float("-inf")

State = Literal["fresh", "stale", "expired", "never_loaded"]


@dataclass(frozen=True, slots=True)
class KeySet:
    """What is known of an issuer's keys, and when to ask again."""

    keys: Mapping[KeyId, Key] = field(default_factory=dict)
    skipped: tuple[str, ...] = ()
    weak: tuple[str, ...] = ()
    private: tuple[str, ...] = ()
    loaded_at: float = NEVER
    stale_at: float = NEVER
    refresh_at: float = NEVER
    usable_until: float = NEVER
    failures: int = 0
    retry_at: float = NEVER
    """No attempt before, after one that failed."""
    cool_until: float = NEVER
    """No attempt for the sake of an unknown kid, or of a signature that did not hold, before."""
    problem: str = ""
    """Why the last attempt failed; empty if it did not."""
    edition: object = field(default_factory=object, repr=False, compare=False)
    """Something to know these keys by without holding on to them: sets with the very same keys have the same object."""

    def find(self, kid: str, alg: str) -> Key | None:
        """The key that may verify *alg* under this kid."""
        key = self.keys.get((kid, KTY[alg]))
        return key if key is not None and alg in key.algorithms else None

    def holds(self, key: Key) -> bool:
        """Whether this very key, material and all, is in the set."""
        return self.keys.get((key.kid, key.kty)) is key

    def usable(self, now: float) -> bool:
        """Whether there are keys, fresh or stale, that may still be used."""
        return now < self.usable_until

    def refresh_due(self, now: float) -> bool:
        """Whether the keys should be asked for anew, behind the requests."""
        return now >= self.refresh_at and now >= self.retry_at

    def may_ask_for_unknown(self, now: float) -> bool:
        """Whether a kid that is not held may cause a fetch, or a signature that does not hold. It may be a rotated key
        or an attacker's invention: at most one fetch per cool-down, or anyone could make us hammer the issuer."""
        return now >= self.cool_until and now >= self.retry_at

    def state(self, now: float) -> State:
        """In a word."""
        if self.loaded_at == NEVER:
            return "never_loaded"
        if not self.usable(now):
            return "expired"
        return "fresh" if now < self.stale_at else "stale"

    def loaded(self, read: KeysRead, now: float, *, life: float, usable_for: float, chance: float) -> KeySet:
        """The set after a good answer. *chance*, from 0 to 1, spreads the refreshes of many processes."""
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
        """The set after a failed attempt: it keeps its keys. *retry_after* is how many seconds the issuer asks to be
        left alone; *chance*, from 0 to 1, spreads the attempts of many processes."""
        return replace(
            self,
            failures=self.failures + 1,
            retry_at=self._next_attempt(now, chance, retry_after or 0.0),
            cool_until=max(self.cool_until, now + cool_down),
            problem=problem,
        )

    def cooling(self, until: float) -> KeySet:
        """The set when a kid that it does not hold, or a signature, has caused a fetch."""
        return replace(self, cool_until=max(self.cool_until, until))

    def _next_attempt(self, now: float, chance: float, asked: float) -> float:
        """The wait is 1 s, then doubles, with full jitter; a longer one that the issuer asks for counts. It is bounded
        by 5 min while there are usable keys, by 30 s without: from when they run out, if that is during the wait."""
        most = WARM_WAIT if self.usable(now) else COLD_WAIT
        backoff = chance * min(FIRST_WAIT * 2.0 ** min(self.failures, 16), most)
        wait = max(backoff, min(asked, most))
        return min(now + wait, max(now, self.usable_until) + COLD_WAIT)


class Changes(NamedTuple):
    """What one key set has that another had not, by kid: see :class:`~kinde_guard.events.KeysChanged`."""

    added: tuple[str, ...]
    removed: tuple[str, ...]
    replaced: tuple[str, ...]
    weak: tuple[str, ...]
    private: tuple[str, ...]


def changes_between(before: KeySet, after: KeySet) -> Changes:
    """What has changed since *before*. Of the first set that is loaded, nothing is new but what should not be there."""
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
    """How long keys are fresh, in seconds: what is left of ``max-age`` (RFC 9111 §5.2.2.1) after the time that caches
    on the way have held them (``Age``), within a minute and an hour; else 10 min."""
    for directive in headers.get("cache-control", "").lower().split(","):
        name, _, value = directive.strip().partition("=")
        seconds = delta_seconds(value.strip('"')) if name == "max-age" else None
        if seconds is not None:
            return min(max(seconds - age_of(headers), LEAST_LIFE), MOST_LIFE)
    return LIFE


def _kids(key_ids: Iterable[KeyId]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(kid for kid, _ in key_ids))
