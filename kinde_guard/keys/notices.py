"""Notices of what a fetch of an issuer's keys came to, for the log and for observers, once nobody waits any more."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ..net.headers import age_of, date_in
from ..web.log_lines import log
from ..web.wording import few
from .key_set import Changes, KeySet, changes_between

if TYPE_CHECKING:
    from ..events import Emit

_CHANGES = {
    "added": (logging.INFO, "added"),
    "removed": (logging.INFO, "removed"),
    "replaced": (logging.WARNING, "replaced by others under the same kid"),
    "weak": (logging.WARNING, "published, but too weak to be used"),
    "private": (logging.WARNING, "published with the private part, so that anybody can sign with them (not used)"),
}
MANY = 10


class Notices:
    """Logs, and passes to observers, what the fetches of one issuer's keys came to. *leeway*: by how many seconds the
    clocks may differ before that is worth a notice."""

    def __init__(self, issuer: str, leeway: float, emit: Emit | None) -> None:
        self._issuer = issuer
        self._leeway = leeway
        self._emit = emit

    def of_seed(self, keys: KeySet) -> None:
        """The notice of the keys that are there from the beginning."""
        log.info("keys of %s: %d from a seed; %s", self._issuer, len(keys.keys), keys.problem)
        for sentence in _first(keys.skipped):
            log.warning("keys of %s: skipped %s", self._issuer, sentence)
        self._log_changes(changes_between(KeySet(), keys))

    def of_seed_left_out(self, source: str, why: str) -> None:
        """The notice that a seed is of no use any more, or not yet."""
        log.warning("keys of %s: %s is not used: %s", self._issuer, source, why)

    def of_seed_without_date(self, source: str, usable_for: float) -> None:
        """The notice that nothing says how old a seed is."""
        log.warning(
            "keys of %s: %s does not say when it was fetched, so that keys which were withdrawn since may serve for %g "
            "s after each start: add fetched_at, or write it with `kinde-guard keys --save`",
            self._issuer,
            source,
            usable_for,
        )

    def of_failure(self, after: KeySet, now: float, seconds: float, kind: str) -> None:
        """The notice that a fetch, which took *seconds*, has failed. *kind* says why in a word: a status, or the name
        of an exception. *after*: the key set with that failure counted."""
        wait, state = max(0.0, after.retry_at - now), after.state(now)
        log.warning(
            "keys of %s: fetch %d failed, next in %.1f s at the earliest; keys are %s: %s",
            self._issuer,
            after.failures,
            wait,
            state,
            after.problem,
            extra={"event": "keys_failed", "issuer": self._issuer, "state": state},
        )
        if self._emit is None:
            return
        from ..events import KeysFailed, KeysStale  # loaded where somebody observes

        self._emit(KeysFailed(self._issuer, seconds, kind, after.problem, wait))
        if state in ("stale", "expired"):
            self._emit(KeysStale(self._issuer, state, now - after.loaded_at))

    def of_keys(
        self, before: KeySet, after: KeySet, now: float, seconds: float, drifts: tuple[float | None, float | None]
    ) -> None:
        """The notices of a fetch, which took *seconds*, that has put *after* in the place of *before*. *drifts*: by how
        many seconds the clock here was ahead of the issuer's, as the fetch before saw it and as this one does."""
        if before.problem or after.keys.keys() != before.keys.keys():
            log.info("keys of %s: %d loaded", self._issuer, len(after.keys))
        if after.skipped != before.skipped:
            for sentence in _first(after.skipped):
                log.warning("keys of %s: skipped %s", self._issuer, sentence)
        changes = changes_between(before, after)
        self._log_changes(changes)
        self._log_drift(*drifts)
        if self._emit is None:
            return
        from ..events import KeysChanged, KeysFetched

        fresh_for, usable_for = after.stale_at - now, after.usable_until - now
        self._emit(KeysFetched(self._issuer, seconds, len(after.keys), fresh_for, usable_for, drifts[1]))
        if any(changes):
            self._emit(KeysChanged(self._issuer, *changes))

    def _log_changes(self, changes: Changes) -> None:
        for change, kids in changes._asdict().items():
            if kids:
                level, description = _CHANGES[change]
                extra = {"event": f"keys_{change}", "issuer": self._issuer, "kids": _first(kids)}
                named = few([ascii(kid) for kid in kids])
                log.log(level, "keys of %s: %s: %s", self._issuer, description, named, extra=extra)

    def _log_drift(self, before: float | None, after: float | None) -> None:
        """Logs that the clock is off when that begins, and when it ends."""
        was_off, is_off = (drift is not None and abs(drift) > self._leeway for drift in (before, after))
        if was_off == is_off:
            return
        extra = {"event": "clock_drift", "issuer": self._issuer, "clock_drift": after}
        if is_off and after is not None:
            direction = "ahead of" if after > 0 else "behind"
            text = "the clock here is %.0f s %s that of %s, which is more than the leeway of %g s: tokens are misjudged"
            log.warning(text, abs(after), direction, self._issuer, self._leeway, extra=extra)
        else:
            log.info("the clock here is no longer known to be off that of %s", self._issuer, extra=extra)


def drift(headers: Mapping[str, str], sent: float, received: float) -> float | None:
    """The seconds by which the clock here is ahead of the issuer's (negative: behind); ``None`` without a ``Date``.

    The ``Date`` was written between *sent* and *received*, in seconds since the epoch by the clock here, and is cut to
    whole seconds (RFC 9110 §6.6.1): a difference that this explains is no drift.
    """
    date = date_in(headers.get("date", ""))
    if date is None:
        return None
    written = date + age_of(headers)
    return max(0.0, sent - (written + 1)) + min(0.0, received - written)


def _first(texts: Sequence[str]) -> list[str]:
    """The first ten of *texts*, and how many more there are."""
    rest = len(texts) - MANY
    return [*texts[:MANY], *([f"and {rest:,} more"] if rest > 0 else [])]
