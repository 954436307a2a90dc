"""Notices of how the copy is kept, for the log and for observers. Each is told when something changes."""

from __future__ import annotations

from ..events import Emit, Event, RevocationsCompared, RevocationsLoaded, RevocationsStale, Revoked, log
from .entry import Revocation
from .health import State


class RevocationNotices:
    """Logs, and passes to observers, what happens to one process's copy."""

    def __init__(self) -> None:
        self._emits: list[Emit] = []
        self.problem = ""
        """Why Redis cannot be asked; empty if it can."""
        self.lost = ""
        """What is wrong with what Redis holds; empty if nothing is."""
        self._state: State | None = None
        self._is_full, self._is_confirmed = False, True

    def add(self, emit: Emit | None) -> None:
        """Have *emit* told, too."""
        if emit is not None:
            self._emits.append(emit)

    def of_success(self, entries: int, seconds: float, age: float) -> None:
        """All is known: *entries*, read in *seconds*, after *age* seconds without news (infinite the first time)."""
        before, self._state, self.problem = self._state, "fresh", ""
        if before != "fresh":
            self._of_loading(before, entries, seconds, age)
        self._emit(RevocationsCompared(entries))

    def _of_loading(self, before: State | None, entries: int, seconds: float, age: float) -> None:
        if before in (None, "never_loaded"):
            log.info("revocations: loaded, %d entries", entries, extra={"event": "revocations_loaded"})
        else:
            log.info("revocations: heard again after %.1f s, %d entries", age, entries)
        self._emit(RevocationsLoaded(entries, seconds))

    def of_failure(self, problem: str, state: State, age: float, entries: int) -> None:
        """Redis cannot be asked, and the copy is in *state* now."""
        before, known = self._state, self.problem
        self._state, self.problem = state, problem
        if not known or before != state:
            extra = {"event": "revocations_failed", "state": state}
            text = "revocations: %s, which is tried all the time; the copy, of %d entries, is %s"
            log.warning(text, problem, entries, state, extra=extra)
        if state != "fresh" and before != state:
            self._emit(RevocationsStale(state, age))

    def of_entry(self, entry: Revocation, late: float) -> None:
        """*entry* is in force here, *late* seconds after its T."""
        self._emit(Revoked(entry.kind, entry.id, entry.by, late))

    def of_loss(self, count: int, issuer: str) -> None:
        """Redis had lost *count* entries, and this worker has put them back."""
        self.lost = ""
        text = "revocations: Redis had lost %d entries of %s; they were held here, and have been put back"
        log.warning(text, count, issuer, extra={"event": "revocations_put_back"})

    def of_loss_that_stays(self, problem: str) -> None:
        """Redis has lost what cannot be put back from here."""
        if self.lost != problem:
            self.lost = problem
            log.warning("revocations: %s", problem, extra={"event": "revocations_lost"})

    def of_unwritten(self, entry: Revocation, problem: str) -> None:
        """*entry* is in force here, and nowhere else."""
        text = "revocations: %s cannot be written, and holds in this process alone until it can be: %s"
        log.warning(text, entry.id, problem, extra={"event": "revocations_unwritten"})

    def of_confirmation(self, entry: Revocation, confirmed: bool) -> None:
        """*entry* stands in Redis, and whether a replica has it, where there are some."""
        was_confirmed, self._is_confirmed = self._is_confirmed, confirmed
        if was_confirmed and not confirmed:
            text = "revocations: no replica of Redis has confirmed %s; if the primary fails now, it is lost there, "
            text += "until a worker puts it back"
            log.warning(text, entry.id, extra={"event": "revocations_unconfirmed"})

    def of_floor(self, floor: float | None, most: int) -> None:
        """There are too many entries, if there is a *floor*."""
        was_full, self._is_full = self._is_full, floor is not None
        if floor is None or was_full:
            return
        text = "revocations: there are more than max_entries=%d: everything issued before %.0f is refused"
        log.warning(text, most, floor, extra={"event": "revocations_full"})

    def _emit(self, event: Event) -> None:
        for emit in self._emits:
            emit(event)
