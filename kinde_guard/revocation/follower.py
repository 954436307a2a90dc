"""The one thread of a process that keeps its copy up to date.

It reads all there is, then follows; each second, busy or idle, it compares what Redis says of the streams with what it
has seen (a stream that was emptied and written to again looks no different to whoever only waits for news). Whatever it
has that Redis has no more, it puts back, unless another worker does.

Nothing that stands in a stream ends it, and no failure does.
"""

from __future__ import annotations

import json
import math
import os
import random
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future

from ..net import forks
from ..net.clocks import Clocks, ageing
from . import entry as entries
from .entry import Revocation, Unreadable
from .followed import Followed
from .notices import RevocationNotices
from .redis_streams import PAGE, START, RedisStreams, StreamEntry, is_turned_down, lifts_of, stream_of, text_of
from .replica import MERGED, Replica

NAME = "kinde_guard-revocations"
TICK = 1.0
"""Seconds between two comparisons."""
MOST_WAITED = 0.5
"""Seconds until the next attempt, at most."""
KEYS_WITHIN = 0.5
"""Seconds in which all workers fetch their keys, when they are told to."""
PRIMARY_EVERY = 5.0
"""Seconds from asking Sentinel for the primary to asking again: an old one that nobody can reach goes on answering."""
AGAIN_WRITTEN = 60.0
"""Seconds until somebody who may not write tries again."""

_CHANCE = random.SystemRandom().random
"""Not the process's own: children that are forked alike would all come back at once."""


class Follower:
    """Follows the streams of *issuers*, and keeps *replica* like them. *streams* gives the client of this process."""

    def __init__(
        self,
        replica: Replica,
        streams: Callable[[], RedisStreams],
        issuers: Sequence[str],
        clocks: Clocks,
        notices: RevocationNotices,
        *,
        chance: Callable[[], float] = _CHANCE,
    ) -> None:
        self._replica, self._streams, self._clocks, self._notices = replica, streams, clocks, notices
        self._age, self._chance = clocks.monotonic, chance
        self.fetch_keys: Callable[[], None] = _nothing
        self.unwritten: dict[tuple[str, str], Revocation] = {}
        """What could not be written when it was to be, by issuer and id."""
        names = [(lifts_of(issuer), issuer, True) for issuer in issuers]
        names += [(stream_of(issuer), issuer, False) for issuer in issuers]
        self._followed = [Followed(*each) for each in names]  # lifts first: what is lifted need not be taken in
        self._by_name = {each.name: each for each in self._followed}
        self._there: dict[str, set[str] | None] = {}
        """Issuers of whose entries some may be missing in Redis, and the ids of those that are there, if known."""
        self._marked: set[str] = set()
        self._stopped = False
        self.renew()
        forks.when_forked(self)

    def renew(self) -> None:
        """Have no thread, as in a forked child. What has been read has been read."""
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()
        self.news: Future[None] = Future()
        self._asked_at = math.inf
        self._keys_due = math.inf
        self._primary_asked_at = -math.inf
        self._paused_until: dict[str, float] = {}
        self.name = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"

    def ensure(self) -> None:
        """Start the thread, unless it runs."""
        with self._starting:
            if self._stopped or (self._thread is not None and self._thread.is_alive()):
                return
            thread = threading.Thread(target=self._run, name=NAME, daemon=True)
            try:
                thread.start()
            except RuntimeError as error:  # there are no more threads to be had
                self._failed(error)
            else:
                self._thread = thread

    def stop(self) -> None:
        """Have the thread end, within a second or two, and nothing start it again."""
        self._stopped = True

    @property
    def unreadable(self) -> int:
        """How many entries meant nothing."""
        return sum(each.unreadable for each in self._followed)

    @property
    def last_time(self) -> float:
        """The time of the last entry, in seconds since the epoch, by the clock of Redis."""
        return max(each.at[0] for each in self._followed) / 1000

    def waited_for(self, now: float, most: float) -> float:
        """How many seconds of *most* are left to wait for news, for everybody who asks since there were any."""
        self._asked_at = min(self._asked_at, now)
        return max(0.0, most - (now - self._asked_at))

    def _run(self) -> None:
        failures = 0
        while not self._stopped:
            try:
                self._compare()
                failures = 0
                self._follow(ageing() + TICK)
            except Exception as error:
                failures += 1
                if failures > 1:  # a connection that has died unnoticed is no reason yet
                    self._failed(error)
                    time.sleep(self._chance() * min(MOST_WAITED, 0.05 * 2 ** min(failures, 9)))

    # Reading.

    def _follow(self, end: float) -> None:
        """Take in what comes, until *end*."""
        streams = self._streams()
        while (now := ageing()) < end and not self._stopped:
            if now >= self._keys_due:
                self._keys_due = math.inf
                self.fetch_keys()
            news = streams.new({each.name: each.at for each in self._followed}, min(end, self._keys_due) - now)
            for name, page in news:
                self._take_in(self._by_name[name], page, told=True)
                self._report()

    def _compare(self) -> None:
        """See that all has been seen, and read on where not."""
        asked_at, streams, heard_at = self._age(), self._streams(), self._replica.heard_at
        if ageing() >= self._primary_asked_at + PRIMARY_EVERY:
            self._primary_asked_at = ageing()
            streams.ask_for_primary()
        for each in self._followed:
            self._catch_up(streams, each)
        self._replica.heard(asked_at)
        self._tell()
        age = math.inf if heard_at is None else asked_at - heard_at
        self._notices.of_success(self._replica.entries, self._age() - asked_at, age)
        self._replica.prune()
        self._notices.of_floor(self._replica.floor, self._replica.most)
        self._write(streams)

    def _catch_up(self, streams: RedisStreams, each: Followed) -> None:
        facts = streams.facts(each.name)
        if each.agrees(facts):
            each.forget_trimmed(facts)
            return
        if facts.last > each.at > START:  # go on, and see whether that is all
            for page in streams.pages(each.name, each.at, facts.last):
                self._take_in(each, page, told=True)
            if each.agrees(facts):
                return
        loaded = self._replica.heard_at is not None
        names = self._read_all(streams, each)
        if loaded and not each.lifts:
            self._there[each.issuer] = names

    def _read_all(self, streams: RedisStreams, each: Followed) -> set[str]:
        """From the start; gives the ids of all entries, where there is something to compare them with."""
        facts = streams.facts(each.name)
        names: set[str] = set()
        told = self._replica.heard_at is not None
        each.begin()
        for page in streams.pages(each.name, each.at, facts.last):
            if told:  # or their room would be left behind between those that stay
                names.update(found.fields.get("id", "") for found in page)
            self._take_in(each, page, told=told)
        each.counted(facts)
        each.at = max(each.at, facts.last)  # the last one may have been deleted
        return names

    def _take_in(self, each: Followed, page: Sequence[StreamEntry], *, told: bool) -> None:
        """Apply a page. *told*: whether what is new in it is news."""
        new: list[Revocation] = []
        try:
            for found in page:
                self._apply(each, found, new)
        finally:
            self._replica.publish()
        each.saw(found.position for found in page)
        if not self._there:
            self._notices.lost = ""
        if told:
            self._tell_of(new)

    def _apply(self, each: Followed, found: StreamEntry, new: list[Revocation]) -> None:
        if each.lifts:
            if found.fields.get("issuer") == each.issuer:
                self._replica.lift(found.fields.get("id", ""))
            return
        try:
            entry = entries.read(found.fields, each.issuer, self._clocks.wall())
        except Unreadable:
            each.unreadable += 1
            return
        if self._replica.hold(entry):
            new.append(entry)

    def _tell_of(self, new: Iterable[Revocation]) -> None:
        wall = self._clocks.wall()
        for entry in new:
            self._notices.of_entry(entry, max(0.0, wall - entry.issued_before))
            if entry.kind == "keys" and self._keys_due == math.inf:
                self._keys_due = ageing() + self._chance() * KEYS_WITHIN

    # Writing.

    def _write(self, streams: RedisStreams) -> None:
        """What Redis is to have from here. If it will not take it, that is no reason to read no more."""
        self._unless_turned_down("deliver", lambda: self._deliver(streams))
        if self._there and not self._unless_turned_down("mend", lambda: self._mend_all(streams)):
            self._notices.of_loss_that_stays("Redis has lost entries that are held here, and will not take them")
        self._unless_turned_down("markers", lambda: self._look_at_markers(streams))
        self._report()

    def _unless_turned_down(self, what: str, do: Callable[[], None]) -> bool:
        """Whether Redis does it; if not, it is asked again a while later."""
        if ageing() < self._paused_until.get(what, -math.inf):
            return False
        try:
            do()
        except Exception as error:
            if not is_turned_down(error):
                raise
            self._paused_until[what] = ageing() + AGAIN_WRITTEN
            return False
        return True

    def _deliver(self, streams: RedisStreams) -> None:
        """What could not be written before."""
        for (issuer, name), entry in list(self.unwritten.items()):
            streams.add(stream_of(issuer), entries.fields_of(entry, issuer), None)
            streams.mark(issuer)
            self.unwritten.pop((issuer, name), None)

    def _mend_all(self, streams: RedisStreams) -> None:
        for issuer in list(self._there):
            self._mend(streams, issuer)

    def _mend(self, streams: RedisStreams, issuer: str) -> None:
        """Put back what is here and not in Redis. Whoever does not get the lock looks again, until nothing is
        missing."""
        there = self._there[issuer]
        if there is None:
            there = self._read_all(streams, self._by_name[stream_of(issuer)])
        if self._not_in(there):
            if not streams.lock(issuer, self.name):
                self._there[issuer] = None
                return
            there = self._read_all(streams, self._by_name[stream_of(issuer)])  # somebody may have been faster
            self._put_back(streams, issuer, self._not_in(there))
            streams.unlock(issuer, self.name)
        del self._there[issuer]

    def _not_in(self, there: set[str]) -> list[Revocation]:
        """What is held here, and not *there*. What stands for several is no entry of its own; newer ones say more."""
        held = self._replica.held()
        return [entry for entry in held if entry.id not in there and not entry.id.startswith(MERGED)]

    def _put_back(self, streams: RedisStreams, issuer: str, missing: Sequence[Revocation]) -> None:
        for start in range(0, len(missing), PAGE):
            page = missing[start : start + PAGE]
            streams.add_all(stream_of(issuer), [entries.fields_of(entry, issuer) for entry in page])
        if missing:
            streams.mark(issuer)
            self._notices.of_loss(len(missing), issuer)

    def _look_at_markers(self, streams: RedisStreams) -> None:
        """A stream that has had entries is never empty: each that is added keeps itself."""
        for each in self._followed:
            if each.lifts or (each.at > START and each.issuer in self._marked):
                continue
            if streams.marked(each.issuer):
                self._marked.add(each.issuer)
            if each.at == START and each.issuer in self._marked and not self._replica.entries:
                self._say_if_empty(streams, each)

    def _say_if_empty(self, streams: RedisStreams, each: Followed) -> None:
        """By another look: the first entry, which comes before the mark, may have been added since the last one."""
        if streams.facts(each.name).last == START:
            self._notices.of_loss_that_stays("Redis has lost all entries, and none is held here")

    def _report(self) -> None:
        """Say what has been applied here, for whoever waits until all workers have."""
        self._unless_turned_down("report", self._send_reports)

    def _send_reports(self) -> None:
        for issuer, report in self._reports():
            self._streams().report(issuer, self.name, json.dumps(report))

    def _reports(self) -> Iterable[tuple[str, dict[str, object]]]:
        for each in self._followed:
            if not each.lifts:
                lifts = self._by_name[lifts_of(each.issuer)].at
                state = self._replica.state(self._age())
                yield (
                    each.issuer,
                    {
                        "applied": text_of(each.at),
                        "lifts": text_of(lifts),
                        "entries": self._replica.entries,
                        "state": state,
                    },
                )

    # Telling those who wait.

    def _failed(self, error: Exception) -> None:
        now, heard_at = self._age(), self._replica.heard_at
        self._replica.failed(now)
        self._tell()
        age = math.inf if heard_at is None else now - heard_at
        self._notices.of_failure(problem_of(error), self._replica.state(now), age, self._replica.entries)

    def _tell(self) -> None:
        self._asked_at = math.inf
        news, self.news = self.news, Future()
        news.set_result(None)


def problem_of(error: Exception) -> str:
    """The problem in words for a log: neither addresses nor names of users, which Redis's own sentences hold."""
    code = str(error).partition(" ")[0]
    told = code if code.isupper() and code.isalpha() and len(code) < 20 else type(error).__name__
    return f"Redis cannot be asked ({told})"


def _nothing() -> None:
    """No keys are to be fetched."""
