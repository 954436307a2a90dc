"""Revocations: what a guard asks, and what an app, a webhook and the command line tell.

An entry is held here first, and then written to Redis. What cannot be written then is in force here all the same, the
caller is told, and it is delivered as soon as Redis is back.
"""

from __future__ import annotations

import math
import os
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from json import loads
from typing import TYPE_CHECKING, Any, Literal

from ..errors import ConfigurationError, RevocationsUnavailable
from ..events import Emit, log
from ..net import errands, forks
from ..net.clocks import Clocks
from ..net.once import Once
from ..net.redis_client import client_for, load_what_connecting_needs
from ..tokens.access_token import AccessToken
from . import entry as entries
from .current import Current
from .entry import AHEAD, MAX_TEXT, Kind, Revocation, Unreadable, id_of, made, marks_of
from .follower import Follower, problem_of
from .health import RevocationHealth
from .ledger import RedisLedger
from .notices import RevocationNotices
from .redis_streams import START, RedisStreams, lifts_of, position, stream_of, text_of
from .replica import FRESH_FOR, MERGED, Replica

if TYPE_CHECKING:
    from ..webhooks.events import WebhookEvent

VARIABLE = "KINDE_REVOCATIONS_URL"
TIMEOUT = 2.0
"""Seconds that an answer of Redis is waited for; following, it is asked to wait one second itself."""
WAIT_COLD, WAIT_THAW = 5.0, 0.25
"""Seconds that a request waits: for the first load; for news, where the process has just been frozen."""
LEEWAY = 300.0 + 300.0
"""Seconds for which an entry is kept beyond the life of a token: the largest leeway of a guard, and five minutes."""
TOKEN_LIFETIME = 86_400.0
"""Seconds: Kinde's own."""
MOST_TOKENS_OF_ONE = 16
"""Of more than these, one user's tokens are revoked together."""
_MOST_COUNTED = 10_000
_NEEDS = ("xadd", "xread", "xrange", "xinfo_stream", "set", "get", "pipeline")


@dataclass(frozen=True, slots=True)
class Worker:
    """A process that follows the revocations, as it said itself a moment ago."""

    name: str
    """Host, process id, and something of its own."""
    issuer: str
    applied: str
    """The id, in Redis's stream, of the last revocation that it has applied."""
    lifts: str
    """The same of lifts."""
    entries: int
    state: str


@dataclass(frozen=True, slots=True)
class Reached:
    """Which workers have applied all that stood in Redis when it was asked for, and which have not, by name."""

    applied: tuple[str, ...]
    behind: tuple[str, ...]


class Revocations:
    """What is revoked before it expires, for all workers of a fleet::

        revocations = Revocations("rediss://user:password@host:6379/0")
        KindeGuard(app, revocations=revocations)
        revocations.revoke_subject("kp_0123", reason="laptop lost")      # every worker refuses within a second

    *where*: the URL of a Redis or Valkey, or a ready client of redis-py or valkey-py (Sentinel's and a cluster's, too).
    Left out, it comes from ``KINDE_REVOCATIONS_URL``.

    *usable_for*: seconds, 0 to 2,592,000. While Redis cannot be asked, this process's copy serves that long; with 0,
    for three. *token_lifetime*: seconds, 60 to 2,592,000. An access token lives that long at most. Older ones are
    refused, because entries are forgotten after that time. *unloaded*: ``"refuse"`` answers 503 until the copy has been
    loaded; ``"accept"`` lets tokens in that may be revoked. *max_entries*: how many entries are held. If there are
    more, everything that was issued before the oldest is refused. *clocks*: for tests.

    Raises :class:`~kinde_guard.ConfigurationError`. It asks Redis nothing until a guard, or a method, needs it.
    """

    def __init__(
        self,
        where: object = None,
        *,
        usable_for: float = 3_600,
        token_lifetime: float = TOKEN_LIFETIME,
        unloaded: Literal["refuse", "accept"] = "refuse",
        max_entries: int = 1_000_000,
        clocks: Clocks | None = None,
    ) -> None:
        where = os.environ.get(VARIABLE) if where is None else where
        if where is None:
            raise ConfigurationError(
                f"Revocations() needs the URL of a Redis: set {VARIABLE}, or pass it (rediss://…); "
                "Revocations.in_memory() is for one process alone, and for tests"
            )
        name = f"Revocations(…) or {VARIABLE}"
        self._make_client: Callable[[], Any] | None = lambda: client_for(
            where, name=name, needs=_NEEDS, timeout=TIMEOUT
        )
        self._prepare(usable_for, token_lifetime, unloaded, max_entries, clocks)
        self._client: Any = None
        self._is_ours = isinstance(where, str)
        self._new_client()
        load_what_connecting_needs()

    @classmethod
    def in_memory(
        cls, *, token_lifetime: float = TOKEN_LIFETIME, max_entries: int = 1_000_000, clocks: Clocks | None = None
    ) -> Revocations:
        """Revocations for one process alone, and for tests. No other process hears of them, and they are forgotten when
        this process ends. *token_lifetime* (seconds), *max_entries* and *clocks* are as in :class:`Revocations`."""
        made = cls.__new__(cls)
        made._make_client, made._client = None, None
        made._is_ours = False
        made._prepare(0, token_lifetime, "refuse", max_entries, clocks)
        made.copy.rest()
        return made

    def _prepare(
        self, usable_for: float, token_lifetime: float, unloaded: str, max_entries: int, clocks: Clocks | None
    ) -> None:
        if unloaded not in ("refuse", "accept"):
            raise ConfigurationError(f'unloaded is "refuse" or "accept", not {unloaded!r}')
        self.token_lifetime = _number("token_lifetime", token_lifetime, 60, 30 * 86_400)
        """Seconds."""
        self._accepts_unloaded = unloaded == "accept"
        self._clocks = clocks or Clocks()
        self.copy = Replica(
            self._clocks,
            lifetime=self.token_lifetime + LEEWAY,
            usable_for=_number("usable_for", usable_for, 0, 30 * 86_400),
            accept_unloaded=self._accepts_unloaded,
            max_entries=int(_number("max_entries", max_entries, 1, 100_000_000)),
        )
        """This process's copy: for guards."""
        self.current = Current(self._is_fresh)
        """A requirement, for routes that must not be served by an old copy: 503 unless all revocations are known, as
        of three seconds ago at most. ``@requires(scope("pay") & revocations.current)``."""
        self.confirmed = True
        """Whether a replica of Redis has what was written last from here, where there are replicas."""
        self._issuers: tuple[str, ...] = ()
        self._by = "app"
        self._drifts: list[Callable[[], float | None]] = []
        self._fetches: list[Callable[[], None]] = []
        self._notices = RevocationNotices()
        self._follower: Follower | None = None
        self._of_late: dict[str, list[float]] = {}
        """When tokens were revoked, by subject, by the clock for ages."""
        self._unwritten: dict[tuple[str, str], Revocation] = {}
        self._being_written: set[tuple[str, str]] = set()
        """By issuer and id; what becomes of it the follower leaves to whoever writes it."""
        self._since = self._clocks.wall()
        self._forked = Once()
        forks.when_forked(self)

    def renew(self) -> None:
        """Have a client of its own in a forked child, as soon as it is needed."""
        self._parents: Any = self._client  # nobody else's connections are closed here
        self._client = None
        self._being_written.clear()  # by the parent
        if self._make_client is None and self._forked.is_first():
            log.warning("Revocations.in_memory() in a forked process: what one process revokes, others do not hear of")

    # For guards, and for tools that have none.

    def bind(
        self,
        issuers: Iterable[str],
        *,
        clocks: Clocks | None = None,
        emit: Emit | None = None,
        drift: Callable[[], float | None] | None = None,
        fetch_keys: Callable[[], None] | None = None,
        by: str = "app",
    ) -> Revocations:
        """Say whose revocations they are; guards and tools call it. *clocks* and *emit* are the guard's. *drift*: how
        many seconds the clock here is ahead of the issuer's. *fetch_keys*: has the issuers' keys fetched. *by*: what
        entries of this process say of where they come from. Returns itself. Starts no thread. Raises
        :class:`~kinde_guard.ConfigurationError` if they are another tenant's already."""
        issuers = tuple(issuers)
        if self._issuers and set(issuers) != set(self._issuers):
            raise ConfigurationError("these Revocations are another tenant's: make others for this guard")
        if not self._issuers:
            if self._accepts_unloaded:
                log.warning("unloaded='accept': tokens that are revoked may be let in until revocations are loaded")
            self._issuers, self._by = issuers, by
            if clocks is not None and self._follower is None:
                self._clocks, self._since = clocks, clocks.wall()
                self.copy.tell_time_by(clocks)
            self.copy.drift = self._drift
            if self._make_client is not None:
                self._follower = Follower(self.copy, self._streams, issuers, self._clocks, self._notices)
                self._follower.fetch_keys = self._fetch_keys
                self._follower.unwritten = self._unwritten
        self._drifts.extend([drift] if drift else [])
        self._fetches.extend([fetch_keys] if fetch_keys else [])
        self._notices.add(emit)
        return self

    def awaited(self, now: float) -> tuple[Future[None], float] | None:
        """What a request has to wait for before it is judged at *now*, and for how many seconds; ``None``
        if the copy is as good as it can be. Has the copy kept up to date from now on."""
        follower = self._follower
        if follower is None:
            return None
        news = follower.news
        if not self.copy.overdue(now):
            return None
        follower.ensure()
        cold = self.copy.heard_at is None and not self._accepts_unloaded
        seconds = follower.waited_for(now, WAIT_COLD if cold else WAIT_THAW)
        return (news, seconds) if seconds > 0 and not news.done() else None

    def load_behind(self) -> Future[None] | None:
        """Have the copy loaded, and kept up to date; what there is to wait for."""
        if self._follower is None:
            return None
        news = self._follower.news
        self._follower.ensure()
        return None if self.copy.usable(self._clocks.monotonic()) and self.copy.heard_at is not None else news

    def _is_fresh(self) -> bool:
        return self.copy.state(self._clocks.monotonic()) == "fresh"

    def check_usable(self) -> None:
        """Raises :class:`~kinde_guard.errors.RevocationsUnavailable` if tokens cannot be judged."""
        if not self.copy.usable(self._clocks.monotonic()):
            raise RevocationsUnavailable(1)

    def matching(self, token: AccessToken) -> tuple[Revocation, ...]:
        """What refuses *token*, by this process's copy."""
        return self.copy.matching(marks_of(token))

    def health(self) -> RevocationHealth:
        """How this process's copy is."""
        now, wall, copy = self._clocks.monotonic(), self._clocks.wall(), self.copy
        state, since, heard = copy.state(now), self._since, None
        if self._make_client is None:
            heard = wall
        elif copy.heard_at is not None:
            heard = wall - max(0.0, now - copy.heard_at)
            began = {"fresh": copy.fresh_since, "stale": copy.heard_at + FRESH_FOR}
            since = wall - (now - began.get(state, copy.heard_at + copy.usable_for))
        unreadable = 0 if self._follower is None else self._follower.unreadable
        problem = self._notices.problem or self._notices.lost
        if not problem and state == "never_loaded" and self._accepts_unloaded:
            problem = "never loaded, and unloaded='accept': tokens are let in that may be revoked"
        return RevocationHealth(
            state, since, copy.usable(now), copy.entries, problem, heard, copy.last_webhook, unreadable, copy.floor
        )

    def close(self) -> None:
        """Keep the copy up to date no longer; for tests and tools. It grows old as if Redis were away."""
        if self._follower is not None:
            self._follower.stop()
        if self._client is not None and self._is_ours:
            self._client.close()

    # What is revoked.

    def revoke(self, token: AccessToken, reason: str = "") -> Revocation:
        """Have every worker refuse this one *token*: ``revocations.revoke(token, "signed out")``. *reason* is for
        people.

        Returns the entry. Raises :class:`~kinde_guard.errors.RevocationsUnavailable` if Redis cannot be told. The entry
        then holds in this process, and is delivered later. All of these methods do so.
        """
        return self._send(self._token_entry(token, reason))

    async def arevoke(self, token: AccessToken, reason: str = "") -> Revocation:
        """:meth:`revoke` for event loops."""
        return await self._asend(self._token_entry(token, reason))

    def revoke_subject(self, subject: str, *, issued_before: float | None = None, reason: str = "") -> Revocation:
        """Have every worker refuse the tokens of a user (*subject* is ``sub``), or of a machine-to-machine app by its
        client id, that were issued up to then: ``revocations.revoke_subject("kp_0123", reason="laptop lost")``.

        *issued_before*: seconds since the epoch; left out, now. *reason* is for people. Returns the entry. Raises
        :class:`~kinde_guard.errors.RevocationsUnavailable` as :meth:`revoke` does.
        """
        return self._send(self._entry("subject", subject, issued_before, reason))

    async def arevoke_subject(
        self, subject: str, *, issued_before: float | None = None, reason: str = ""
    ) -> Revocation:
        """:meth:`revoke_subject` for event loops."""
        return await self._asend(self._entry("subject", subject, issued_before, reason))

    def revoke_client(self, client_id: str, *, issued_before: float | None = None, reason: str = "") -> Revocation:
        """Have every worker refuse the tokens that were issued to the app *client_id* up to then.

        *issued_before*: seconds since the epoch; left out, now. *reason* is for people. Returns the entry. Raises
        :class:`~kinde_guard.errors.RevocationsUnavailable` as :meth:`revoke` does.
        """
        return self._send(self._entry("client", client_id, issued_before, reason))

    async def arevoke_client(
        self, client_id: str, *, issued_before: float | None = None, reason: str = ""
    ) -> Revocation:
        """:meth:`revoke_client` for event loops."""
        return await self._asend(self._entry("client", client_id, issued_before, reason))

    def revoke_org(self, org_code: str, *, issued_before: float | None = None, reason: str = "") -> Revocation:
        """Have every worker refuse the tokens of the organization *org_code* that were issued up to then.

        *issued_before*: seconds since the epoch; left out, now. *reason* is for people. Returns the entry. Raises
        :class:`~kinde_guard.errors.RevocationsUnavailable` as :meth:`revoke` does.
        """
        return self._send(self._entry("org", org_code, issued_before, reason))

    async def arevoke_org(self, org_code: str, *, issued_before: float | None = None, reason: str = "") -> Revocation:
        """:meth:`revoke_org` for event loops."""
        return await self._asend(self._entry("org", org_code, issued_before, reason))

    def revoke_member(
        self, org_code: str, subject: str, *, issued_before: float | None = None, reason: str = ""
    ) -> Revocation:
        """Have every worker refuse the tokens of the user *subject* in the organization *org_code* that were issued up
        to then.

        *issued_before*: seconds since the epoch; left out, now. *reason* is for people. Returns the entry. Raises
        :class:`~kinde_guard.errors.RevocationsUnavailable` as :meth:`revoke` does.
        """
        return self._send(self._entry("member", subject, issued_before, reason, org_code))

    async def arevoke_member(
        self, org_code: str, subject: str, *, issued_before: float | None = None, reason: str = ""
    ) -> Revocation:
        """:meth:`revoke_member` for event loops."""
        return await self._asend(self._entry("member", subject, issued_before, reason, org_code))

    def revoke_all(self, *, issued_before: float | None = None, reason: str = "") -> Revocation:
        """Have every worker refuse everybody's tokens that were issued up to then.

        *issued_before*: seconds since the epoch; left out, now. *reason* is for people. Returns the entry. Raises
        :class:`~kinde_guard.errors.RevocationsUnavailable` as :meth:`revoke` does.
        """
        return self._send(self._entry("all", "", issued_before, reason))

    async def arevoke_all(self, *, issued_before: float | None = None, reason: str = "") -> Revocation:
        """:meth:`revoke_all` for event loops."""
        return await self._asend(self._entry("all", "", issued_before, reason))

    def fetch_keys(self, reason: str = "") -> Revocation:
        """Have every worker fetch the keys of its issuers within half a second, for example after a key was withdrawn.
        *reason* is for people. Returns the entry."""
        self._fetch_keys()
        return self._send(self._entry("keys", "", None, reason))

    async def afetch_keys(self, reason: str = "") -> Revocation:
        """:meth:`fetch_keys` for event loops."""
        self._fetch_keys()
        return await self._asend(self._entry("keys", "", None, reason))

    def lift(self, entry: Revocation | str, reason: str = "") -> None:
        """Undo a mistake: *entry*, or the entry with this id, counts no more. Newer entries stay. *reason* is for
        people."""
        self._send_lift(self._lifted(entry), reason)

    async def alift(self, entry: Revocation | str, reason: str = "") -> None:
        """:meth:`lift` for event loops."""
        name = self._lifted(entry)
        await _apart(lambda: self._send_lift(name, reason))

    def apply(self, event: WebhookEvent) -> Revocation | None:
        """What *event* of a webhook that was verified means for tokens: ``user.deleted`` and a suspended
        ``user.updated`` end that user's, ``organization.deleted`` that organization's; all else nothing."""
        entry = _entry_of(event)
        return None if entry is None else self._send(self._held(entry))

    async def aapply(self, event: WebhookEvent) -> Revocation | None:
        """:meth:`apply` for event loops."""
        entry = _entry_of(event)
        return None if entry is None else await self._asend(self._held(entry))

    # What stands in Redis.

    @property
    def client(self) -> Any:
        """The client of redis-py; ``None`` in memory."""
        return None if self._make_client is None else self._streams().client

    @property
    def ledger(self) -> RedisLedger | None:
        """Which events of webhooks have been handled, for the fleet; ``None`` in memory."""
        if self._make_client is None:
            return None
        return RedisLedger(self._streams, self._bound()[0])

    def entries(self) -> Iterator[Revocation]:
        """All revocations that stand in Redis and are not lifted, oldest first; in memory those of this process."""
        if self._make_client is None:
            yield from self.copy.held()
            return
        streams, seen = self._streams(), set(self._lifts())
        for issuer in self._bound():
            for page in streams.pages(stream_of(issuer), START, streams.facts(stream_of(issuer)).last):
                yield from self._read(page, issuer, seen)

    def watch(self) -> Iterator[Revocation]:
        """Revocations as they arrive, for ever."""
        streams = self._streams()
        issuers = {stream_of(issuer): issuer for issuer in self._bound()}
        at = {name: streams.facts(name).last for name in issuers}
        seen: set[str] = set()
        while True:
            for name, page in streams.new(at, 1.0):
                at[name] = page[-1].position
                yield from self._read(page, issuers[name], seen)

    def workers(self) -> tuple[Worker, ...]:
        """The workers that have followed within the last ten seconds and may say so."""
        streams = self._streams()
        return tuple(worker for issuer in self._bound() for worker in _workers(streams, issuer))

    def reached(self) -> Reached:
        """Which workers have applied what stands in Redis now."""
        streams, late, names = self._streams(), set[str](), set[str]()
        for issuer in self._bound():
            last, last_lift = (streams.facts(name).last for name in (stream_of(issuer), lifts_of(issuer)))
            for worker in _workers(streams, issuer):
                names.add(worker.name)
                if position(worker.applied) < last or position(worker.lifts) < last_lift:
                    late.add(worker.name)
        return Reached(tuple(sorted(names - late)), tuple(sorted(late)))

    # How it is done.

    def _entry(
        self, kind: Kind, value: str, issued_before: float | None, reason: str, org: str = ""
    ) -> tuple[Revocation, bool]:
        for text in (value, org)[: 2 if kind == "member" else 0 if kind in ("all", "keys") else 1]:
            if not isinstance(text, str) or not text or len(text) > MAX_TEXT:
                raise ConfigurationError(f"whose tokens are revoked is a text, not {text!r:.100}")
        if not isinstance(reason, str):
            raise ConfigurationError(f"reason is a text for people, not {reason!r:.100}")
        now = self._now()
        before = now if issued_before is None else issued_before
        if isinstance(before, bool) or not isinstance(before, int | float) or not 0 <= before <= now + AHEAD:
            raise ConfigurationError(f"issued_before is in seconds since the epoch, and not in the future: {before!r}")
        return self._held(made(kind, value, float(before), org=org, reason=reason, by=self._by))

    def _token_entry(self, token: AccessToken, reason: str) -> tuple[Revocation, bool]:
        if not isinstance(token, AccessToken):
            raise ConfigurationError(
                "revoke(…) takes an AccessToken, as a guard gives it: for others there is revoke_subject"
            )
        # Its T does not matter, but that it is kept for as long as the token can live.
        known = self.copy.says("token", id_of(token), -math.inf if token.issued_at is None else token.issued_at)
        if known is not None:
            return known, self._is_unwritten(known)
        if self._is_one_too_many(token.subject):
            return self._entry("subject", token.subject, None, reason)
        return self._entry("token", id_of(token), None, reason)

    def _is_one_too_many(self, subject: str) -> bool:
        """Whether this process has revoked so many tokens of *subject* of late that all of them are to go at once: an
        entry for each, for as long as its token can live, would be a flood."""
        if len(self._of_late) >= _MOST_COUNTED:
            self._of_late.clear()
        now = self._clocks.monotonic()
        revoked = [at for at in self._of_late.get(subject, ()) if now - at < self.token_lifetime]
        self._of_late[subject] = [*revoked, now][-MOST_TOKENS_OF_ONE:]
        return len(revoked) >= MOST_TOKENS_OF_ONE

    def _held(self, entry: Revocation) -> tuple[Revocation, bool]:
        """The entry that is in force here from now on, and whether it has to be written, too."""
        known = self.copy.says(entry.kind, entry.about, entry.issued_before)
        if known is not None and entry.kind != "keys":
            return known, self._is_unwritten(known)
        new = self.copy.hold(entry)  # not new is what was lifted
        self.copy.publish()
        if new:
            self._notices.of_entry(entry, max(0.0, self._clocks.wall() - entry.issued_before))
        if not new or self._make_client is None:
            return entry, False
        # Until it stands in Redis: whoever says the same meanwhile must not take it for written.
        self._being_written.update((issuer, entry.id) for issuer in self._issuers)
        return entry, True

    def _is_unwritten(self, entry: Revocation) -> bool:
        keys = [(issuer, entry.id) for issuer in self._issuers]
        return any(key in self._unwritten or key in self._being_written for key in keys)

    def _send(self, held: tuple[Revocation, bool]) -> Revocation:
        entry, to_be_written = held
        if to_be_written:
            with self._put_off_unless_written(entry):
                self._write(entry)
        return entry

    async def _asend(self, held: tuple[Revocation, bool]) -> Revocation:
        entry, to_be_written = held
        if to_be_written:
            with self._put_off_unless_written(entry):
                await _apart(lambda: self._write(entry))
        return entry

    @contextmanager
    def _put_off_unless_written(self, entry: Revocation) -> Iterator[None]:
        """Whatever has come between: the follower delivers it later."""
        try:
            yield
        finally:
            for key in [(issuer, entry.id) for issuer in self._issuers if (issuer, entry.id) in self._being_written]:
                self._unwritten[key] = entry
                self._being_written.discard(key)

    def _write(self, entry: Revocation) -> None:
        issuers = self._bound()
        try:
            streams = self._streams()
            confirmed = [self._is_confirmed(streams, entry, issuer) for issuer in issuers]
            self.confirmed = all(confirmed)
        except Exception as error:
            self._notices.of_unwritten(entry, problem_of(error))
            raise RevocationsUnavailable(1) from None

    def _is_confirmed(self, streams: RedisStreams, entry: Revocation, issuer: str) -> bool:
        """Write it for *issuer*; whether a replica has it, where there are some."""
        streams.add(stream_of(issuer), entries.fields_of(entry, issuer), self._oldest())
        confirmed = streams.mark_and_wait(issuer)
        self._notices.of_confirmation(entry, confirmed)
        self._being_written.discard((issuer, entry.id))
        self._unwritten.pop((issuer, entry.id), None)
        return confirmed

    def _lifted(self, entry: Revocation | str) -> str:
        name = entry.id if isinstance(entry, Revocation) else entry
        if not isinstance(name, str) or len(name.split()) != 1:
            raise ConfigurationError("lift(…) takes an entry, or its id")
        if name.startswith(MERGED):
            raise ConfigurationError(
                f"{name} stands for several entries, which cannot be lifted any more: they end by themselves, when the "
                "tokens have expired that they are about"
            )
        self.copy.lift(name)
        self.copy.publish()
        return name

    def _send_lift(self, name: str, reason: str) -> None:
        if self._make_client is None:
            return
        try:
            for issuer in self._bound():
                fields = {"id": name, "issuer": issuer, "by": self._by, "reason": reason, "at": repr(self._now())}
                self._streams().add(lifts_of(issuer), fields, self._oldest())
        except Exception as error:
            log.warning("revocations: a lift cannot be written: %s", problem_of(error))
            raise RevocationsUnavailable(1) from None

    def _lifts(self) -> Iterator[str]:
        streams = self._streams()
        for issuer in self._bound():
            for page in streams.pages(lifts_of(issuer), START, streams.facts(lifts_of(issuer)).last):
                yield from (each.fields.get("id", "") for each in page if each.fields.get("issuer") == issuer)

    def _read(self, page: Sequence[Any], issuer: str, seen: set[str]) -> Iterator[Revocation]:
        for each in page:
            try:
                entry = entries.read(each.fields, issuer, self._clocks.wall())
            except Unreadable:
                continue
            if entry.id not in seen:
                seen.add(entry.id)
                yield entry

    def _bound(self) -> tuple[str, ...]:
        if not self._issuers:
            raise ConfigurationError("no guard has these revocations yet: pass them to it, Guard(revocations=…)")
        return self._issuers

    def _streams(self) -> RedisStreams:
        return RedisStreams(self._client or self._new_client())

    def _new_client(self) -> Any:
        assert self._make_client is not None, "in memory nobody asks for it"
        self._client = client = self._make_client()
        if self._is_ours:
            weakref.finalize(self, client.close).atexit = False  # not under the hands of the thread
        return client

    def _oldest(self) -> tuple[int, int] | None:
        """What may be trimmed, by Redis's own clock as far as it is known: one that is behind would lose what is
        new."""
        last = 0.0 if self._follower is None else self._follower.last_time
        oldest = int(min(self._clocks.wall(), last) - self.token_lifetime - LEEWAY)
        return (oldest * 1000, 0) if oldest > 0 else None

    def _now(self) -> float:
        """The issuer's time, as far as it is known."""
        return self._clocks.wall() - self._drift()

    def _drift(self) -> float:
        return min((drift for drift in (get() for get in self._drifts) if drift is not None), default=0.0)

    def _fetch_keys(self) -> None:
        for fetch in self._fetches:
            fetch()

    def __repr__(self) -> str:
        return f"<Revocations {'in memory' if self._make_client is None else 'in Redis'}, {self.copy.entries} entries>"


async def _apart(write: Callable[[], None]) -> None:
    try:
        await errands.apart(write)
    except TimeoutError:  # so many are being written that it was not its turn
        raise RevocationsUnavailable(1) from None


def _workers(streams: RedisStreams, issuer: str) -> Iterator[Worker]:
    """What they say is looked at: whoever may write can say anything."""
    for name, report in streams.reports(issuer).items():
        try:
            said = loads(report)
            applied, lifts = (text_of(position(str(said[which]))) for which in ("applied", "lifts"))
            yield Worker(name, issuer, applied, lifts, int(said["entries"]), str(said["state"])[:20])
        except (KeyError, TypeError, ValueError):
            continue


def _entry_of(event: WebhookEvent) -> Revocation | None:
    from .policy import entry_of  # only here: webhooks are loaded by who has some

    return entry_of(event)


def _number(name: str, value: float, least: float, most: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise ConfigurationError(f"{name} must be a number from {least} to {most}, not {value!r}")
    return value
