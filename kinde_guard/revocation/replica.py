"""This process's copy of the revocations: what a guard looks at for each request. No I/O.

The rules of this file:

* Readers take no lock. Who changes the copy changes the maps first and the edition last; who reads takes the edition
  first, and looks then. So a token that was judged by maps of before is looked at again.
* Nothing but its time, or a lift that names it, takes an entry out. Where there are too many, the oldest goes, and
  its T becomes a floor for everybody: more is refused then, and never less.
* How old the copy is, is compared at each look; nobody has to come and say so. A process that was frozen knows at once.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator

from ..errors import InvalidToken, RevocationsUnavailable
from ..net import forks
from ..net.clocks import Clocks
from ..tokens.claims import quoted
from .entry import KINDS, About, Kind, Marks, Revocation, id_in, marks_of, record_of, revocation_of, time_in
from .health import State

FRESH_FOR = 3.0
"""Seconds since it was last known to be complete."""
MOST_OF_ONE = 16
"""Entries about one thing that are told apart; what is more can no longer be lifted one by one."""
PRUNED_AT_ONCE = 1_000
MERGED = "merged-"
"""What the ids of entries begin with that stand for several."""
_BY_MARK: tuple[Kind, ...] = ("token", "subject", "client", "org", "member")
"""The kinds, as the marks of a token come."""
_Records = str | tuple[str, ...]
"""Those about one thing, the latest T first; nearly always it is one."""


class Replica:
    """A copy of the revocations. *lifetime*: seconds for which an entry is kept after its T. *usable_for*: seconds for
    which the copy serves without news. *accept_unloaded*: whether tokens are let in before it has been loaded."""

    edition: object
    """Another one after each change: compared by identity, at each request."""
    usable_until: float
    """By the same clock: from then on nobody can be judged."""
    may_refuse: Callable[[Marks], bool]
    """Whether marks are worth a closer look: they are not, of nearly all tokens. Another one after each change, for the
    kinds that have entries; mostly no more than one has."""
    look_at: float
    """Until then, by ``clocks.monotonic``, whoever knows this edition need not look again."""

    def __init__(
        self, clocks: Clocks, *, lifetime: float, usable_for: float, accept_unloaded: bool, max_entries: int
    ) -> None:
        self._lifetime, self.most = lifetime, max_entries
        self.usable_for = max(usable_for, FRESH_FOR)
        self.usable_until = math.inf if accept_unloaded else -math.inf
        self.tell_time_by(clocks)
        self.drift: Callable[[], float] = lambda: 0.0
        self.heard_at: float | None = None
        self.fresh_since = 0.0
        self._of: dict[Kind, dict[About, _Records]] = {kind: {} for kind in KINDS}
        self._arrivals: dict[Kind, deque[About]] = {kind: deque() for kind in KINDS}
        self._lifted: dict[str, None] = {}
        self._floor = -math.inf
        self._changed = self._rests = False
        self.entries = 0
        self.last_webhook: float | None = None
        self.watchers: dict[object, Callable[[], None]] = {}
        """What is called after each change, in whichever thread makes it."""
        self._lock = forks.Lock()  # of those who change it
        self.renew()
        forks.when_forked(self)

    def renew(self) -> None:
        """Begin anew in a forked child, which nobody keeps up to date yet. Its parent may just have changed the maps,
        and not yet the edition."""
        self._screen()
        self.edition = object()
        self.look_at = self.outcome_at = math.inf if self._rests else -math.inf

    def tell_time_by(self, clocks: Clocks) -> None:
        """Tell the time by *clocks* from now on."""
        self._clocks, self._began = clocks, clocks.now()

    # What a guard asks.

    marks_of = staticmethod(marks_of)
    """What of a token entries are compared with."""

    def judge(self, marks: Marks, now: float) -> tuple[object | None, InvalidToken | RevocationsUnavailable | None]:
        """The edition in which nothing speaks against *marks*, or what does."""
        edition = self.edition  # first: see the rules of this file
        if now >= self.usable_until:
            return None, RevocationsUnavailable(1)
        refusal = self.refusal(marks) if self.may_refuse(marks) else None
        return (edition, None) if refusal is None else (None, refusal)

    def refusal(self, marks: Marks) -> InvalidToken | None:
        """Why *marks* are refused, if they are, whatever the age of the copy."""
        found = next(self._that_hold(marks), None)
        return None if found is None else InvalidToken("revoked", _hint(found))

    def state(self, now: float) -> State:
        """The state at *now*, in seconds by ``clocks.monotonic``."""
        if self.heard_at is None:
            return "never_loaded"
        if now < self.heard_at + FRESH_FOR:
            return "fresh"
        return "stale" if now < self.usable_until else "expired"

    def usable(self, now: float) -> bool:
        """Whether tokens are judged by it."""
        return now < self.usable_until

    def overdue(self, now: float) -> bool:
        """Whether nothing has been heard of late, be it good or bad."""
        return now >= self.outcome_at + FRESH_FOR

    # What whoever keeps it up to date says.

    def heard(self, asked_at: float) -> None:
        """It is complete, as of *asked_at*: when the question was put, since an answer may have lain about for a while
        in a process that was frozen."""
        if self.state(asked_at) != "fresh":
            self.fresh_since = asked_at
        self.heard_at = self.outcome_at = asked_at
        self.usable_until = asked_at + self.usable_for
        self.look_at = asked_at + FRESH_FOR

    def failed(self, now: float) -> None:
        """Nothing could be heard. As long as the copy is usable, it is looked at again when that is a while ago."""
        self.outcome_at = now
        self.look_at = min(now + FRESH_FOR, self.usable_until)

    def rest(self) -> None:
        """It is complete for ever: nobody changes it but this process."""
        self._rests = True
        self.heard_at = self.outcome_at = self.look_at = self.usable_until = math.inf

    def hold(self, entry: Revocation) -> bool:
        """Take it in; false if it says nothing new. :meth:`publish` comes after."""
        with self._lock.now:
            of, about = self._of[entry.kind], entry.about
            records = _all_of(of.get(about))
            if entry.id in self._lifted or any(id_in(record) == entry.id for record in records):
                return False
            merged = _merged(records, record_of(entry))
            of[about] = merged if len(merged) > 1 else merged[0]
            more = len(merged) - len(records)
            if more:  # else one more stands for several, and needs no place in the queue either
                self._arrivals[entry.kind].append(about)
                self.entries += more
            self._changed = True
            while self.entries > self.most:
                self._drop_oldest()
        if entry.by == "webhook":
            self.last_webhook = max(self.last_webhook or 0.0, entry.issued_before)
        return True

    def lift(self, name: str) -> bool:
        """The entry with the id *name* counts no more, whether it is here or arrives later."""
        with self._lock.now:
            if not name or name in self._lifted or name.startswith(MERGED):
                return False
            self._lifted[name] = None
            if len(self._lifted) > self.most:
                del self._lifted[next(iter(self._lifted))]
            for of in self._of.values():
                for about in [about for about, records in of.items() if _may_name(records, name)]:
                    self._take_out(of, about, name)
            self._changed = True
        return True

    def publish(self) -> None:
        """Have whoever was judged before judged again, from now on."""
        with self._lock.now:
            changed, self._changed = self._changed, False
            if changed:
                self._screen()
                self.edition = object()
        for watcher in list(self.watchers.values()) if changed else ():
            watcher()

    def prune(self) -> None:
        """Forget what no token that has not expired can be refused for; a few at a time."""
        end = self._earliest_now() - self._lifetime
        with self._lock.now:
            for kind, arrivals in self._arrivals.items():
                for _ in range(min(PRUNED_AT_ONCE, len(arrivals))):
                    if not self._forget(self._of[kind], arrivals[0], end):
                        break
                    arrivals.popleft()
            if self._floor < end:
                self._floor = -math.inf

    # What others ask.

    def matching(self, marks: Marks) -> tuple[Revocation, ...]:
        """All that *marks* are refused for."""
        return tuple(self._that_hold(marks))

    @property
    def floor(self) -> float | None:
        """What was issued before it is refused; ``None`` if there were never too many entries."""
        return None if self._floor == -math.inf else self._floor

    def held(self) -> list[Revocation]:
        """All entries."""
        found: list[Revocation] = []
        for kind, of in self._of.items():
            for about, records in list(of.items()):
                found.extend(revocation_of(kind, about, record) for record in _all_of(records))
        return found

    def says(self, kind: Kind, about: About, issued_before: float) -> Revocation | None:
        """The entry that says as much already: that whatever was issued to *about* up to then is refused."""
        records = self._of[kind].get(about)
        found = None if records is None else revocation_of(kind, about, _first(records))
        return found if found is not None and found.before > issued_before else None

    # How it is done.

    def _that_hold(self, marks: Marks) -> Iterator[Revocation]:
        abouts: tuple[tuple[Kind, About | None], ...] = (
            ("token", marks.token),
            ("subject", marks.subject),
            ("client", marks.client),
            ("org", marks.org),
            ("member", marks.member),
            ("all", ""),
        )
        for kind, about in abouts:
            records = None if about is None else self._of[kind].get(about)
            if about is not None and records is not None:
                found = revocation_of(kind, about, _first(records))
                if kind == "token" or marks.issued_at < found.before:
                    yield found
        if marks.issued_at < self._floor:
            yield Revocation("all", "", self._floor - 1.0, "", reason="more revocations than max_entries")

    def _screen(self) -> None:
        kinds = ((number, self._of[kind]) for number, kind in enumerate(_BY_MARK))
        for_all = bool(self._of["all"]) or self._floor > -math.inf
        self.may_refuse = _screen_of([(number, of) for number, of in kinds if of], for_all)

    def _earliest_now(self) -> float:
        """The time, by the clock that says less: whoever forgets too early lets in."""
        now = self._clocks.now()
        aged = self._began.wall + (now.ageing - self._began.ageing)
        return min(now.wall, aged) - max(0.0, self.drift())

    def _forget(self, of: dict[About, _Records], about: About, end: float) -> bool:
        """Whether the oldest entry about this is gone."""
        records = _all_of(of.get(about))
        if not records:
            return True  # lifted
        if time_in(records[-1]) >= end:
            return False
        self._take_out(of, about, id_in(records[-1]))
        return True

    def _drop_oldest(self) -> None:
        kinds = [kind for kind, arrivals in self._arrivals.items() if arrivals]
        oldest = min(kinds, key=lambda kind: self._time_of_oldest(kind))
        about = self._arrivals[oldest].popleft()
        records = _all_of(self._of[oldest].get(about))
        if records:
            if oldest != "keys":
                self._floor = max(self._floor, math.floor(time_in(records[-1])) + 1)
            self._take_out(self._of[oldest], about, id_in(records[-1]))

    def _time_of_oldest(self, kind: Kind) -> float:
        records = _all_of(self._of[kind].get(self._arrivals[kind][0]))
        return time_in(records[-1]) if records else 0.0

    def _take_out(self, of: dict[About, _Records], about: About, name: str) -> None:
        records = _all_of(of[about])
        left = tuple(record for record in records if id_in(record) != name)
        self.entries -= len(records) - len(left)
        if left:
            of[about] = left if len(left) > 1 else left[0]
        else:
            del of[about]


def _screen_of(screens: list[tuple[int, dict[About, _Records]]], for_all: bool) -> Callable[[Marks], bool]:
    """Asked at each request that is the first of its token after a change: the usual ones are as short as they can
    be."""
    if for_all or not screens:
        return lambda marks: for_all
    if len(screens) == 1:
        ((number, of),) = screens
        return lambda marks: marks[number] in of
    return lambda marks: any(marks[number] in of for number, of in screens)


def _all_of(records: _Records | None) -> tuple[str, ...]:
    return (records,) if isinstance(records, str) else records or ()


def _may_name(records: _Records, name: str) -> bool:
    """Whether one of them has the id *name*, or a word of its reason is the same."""
    word = f" {name} "
    return word in records if isinstance(records, str) else any(word in record for record in records)


def _first(records: _Records) -> str:
    return records if isinstance(records, str) else records[0]


def _merged(records: tuple[str, ...], record: str) -> tuple[str, ...]:
    """The records with *record* among them, the latest T first. Of too many the earliest are one, which nobody can
    lift."""
    merged = sorted([*records, record], key=time_in, reverse=True)
    if len(merged) <= MOST_OF_ONE:
        return tuple(merged)
    last = time_in(merged[MOST_OF_ONE - 1])
    return (*merged[: MOST_OF_ONE - 1], f"{last!r} {MERGED}{last!r}  several revocations")


def _hint(found: Revocation) -> str:
    """The hint in the log. Its texts are those of whoever may write revocations."""
    whom = {"token": "this token", "all": "everybody"}.get(found.kind, f"its {found.kind}")
    return f"revoked for {whom}: entry {quoted(found.id)}" + (f", {quoted(found.reason)}" if found.reason else "")
