"""A fleet's token, in Redis or Valkey: one process fetches it, and all use it.

The rules of this file:

* Nobody needs Redis. Where it is away, or holds what cannot be used, each process gets a token as it would alone. What
  is in it can never do more than that: it is sealed (:mod:`.seal`), and whoever reads it looks at its end himself.
* One process fetches at a time, and has a *turn* to do so, which outlasts any fetch and which nobody else can end. The
  others look for what it gets. If it gets nothing, all go on at once; if it says nothing for a second (it was killed,
  Kinde is slow), one of the others is next; and after three turns each is on its own.
* A token that the API refuses is replaced if it is still the fleet's, and once a minute in the whole fleet.
* To forget is to leave a *mark*. A token carries the mark under which it was fetched, and is good under no other.
* All of it runs in the thread of a flight, never in an event loop; and of the time that a fetch has, Redis takes a
  second at most: then it is away, however slowly it may go on.
"""

from __future__ import annotations

import json
import math
import os
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol

from ..events import log
from ..net import flight
from ..net.attempt import Attempt
from ..net.bounded import BoundedCalls
from ..net.clocks import Clocks, Moment, ageing
from ..net.fetch import TOTAL_TIMEOUT
from ..net.redis_client import client_for, problem_of
from .seal import Seal
from .token_request import Application, Failure, Held, Outcome

PREFIX = "kinde_guard:{m2m:"
"""Of the names of all keys; what an ACL has to name."""
LOOK_EVERY = 5.0
"""Seconds after which somebody who uses a token looks whether the fleet has another."""
REPLACED_ONCE_IN = 60
ANSWER_TIMEOUT, CALL_TIMEOUT = 0.4, 1.0  # for an answer of Redis; for all calls of one fetch, and what is in their way
TURNS = 3
TURN_LASTS = math.ceil(TOTAL_TIMEOUT) + 3  # seconds that a turn lasts if nobody ends it: longer than a fetch
PAUSES = (0.01, 0.02, 0.04, 0.06, 0.07, *[0.1] * 8)  # a second in all: between looks for what somebody else fetches
_MARK_LASTS = 400 * 86_400  # longer than any token
_END = "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) end return 0"


@dataclass(frozen=True, slots=True)
class _Wish:
    """What is wanted: another token than those that were *had*; *fetch* gets one. *replaces*: the one before would be
    good, but the API has refused it."""

    had: tuple[Held | None, ...]
    replaces: bool
    fetch: Callable[[], Outcome]

    def met_by(self, found: Held | None, now: Moment) -> bool:
        """Whether *found*, which the fleet has, will do."""
        if found is None or not found.good(now):
            return False
        return all(found.text != had.text for had in self.had if had is not None)


@dataclass(frozen=True, slots=True)
class _Seen:
    """What Redis holds: the token, if it is good under the mark; the mark; whether it is anybody's turn; and whether a
    token has been replaced within the last minute."""

    held: Held | None
    mark: str | None
    turn: bool
    replaced: bool


class RedisClient(Protocol):
    """What is used of a client of redis-py or valkey-py, which may be one of Sentinel's or a cluster's. Not async."""

    @property
    def mget(self) -> Callable[..., Any]: ...
    @property
    def set(self) -> Callable[..., Any]: ...
    @property
    def eval(self) -> Callable[..., Any]: ...


class _Away(Exception):
    """Redis does not answer, or not as it should."""


class SharedToken:
    """The token of all processes that ask as one *app*; *where*: a URL, or a client of redis or valkey."""

    def __init__(self, where: str | RedisClient, app: Application, clocks: Clocks, *, name: str) -> None:
        """*name*: what *where* is called by whoever has set it."""
        self._client = client_for(where, name=name, needs=("mget", "set", "eval"), timeout=ANSWER_TIMEOUT)
        if isinstance(where, str):  # nobody else would close its connections
            weakref.finalize(self, self._client.close).atexit = False
        self._calls, self._patience = BoundedCalls(CALL_TIMEOUT), threading.local()
        self._looks: flight.Flight[None] = flight.Flight(_looked, _nothing, deadline=TOTAL_TIMEOUT)
        self._seal = Seal(app)
        self._clocks = clocks
        self._whose = f"{app.client_id} of {app.issuer}"
        self._looked = -math.inf
        self._mark = self._untold = ""  # a mark that the others have yet to be told of counts here already
        self._away = False

    def __repr__(self) -> str:
        return f"<SharedToken {self._seal.name}>"

    def look_behind(self, held: Held, now: Moment, tell: Callable[[Held | None], None]) -> None:
        """Look what the fleet has, behind the caller, if nobody in this process has for a while.

        *tell* is called if that is another token which ends later than what is *held*, with it; and with ``None`` if
        *held* is to be forgotten.
        """
        if now.ageing - self._looked >= LOOK_EVERY:
            self._looks.start(partial(self._look, held, tell))

    def obtain(self, *had: Held | None, fetch: Callable[[], Outcome], replaces: bool) -> Outcome | None:
        """The fleet's token, if it is none of those *had* before, or what *fetch* gets for the fleet.

        *replaces*: whether the one that is held is good, but refused by the API. ``None``, in that case alone, if there
        is to be no other for now.
        """
        wish = _Wish(had, replaces, fetch)
        self._patience.left = CALL_TIMEOUT
        try:
            return self._in_turn(wish)
        except _Away:
            return self._marked(wish)

    def forget(self) -> None:
        """Have everybody forget what has been fetched up to now; waits a second at most, else tells them later."""
        self._leave()
        self._patience.left = CALL_TIMEOUT
        with suppress(_Away):
            self._tell()

    async def aforget(self) -> None:
        """:meth:`forget` for event loops."""
        self._leave()
        with suppress(_Away), self._noted():
            await self._calls.amake(self._write_mark)

    def _look(self, held: Held, tell: Callable[[Held | None], None], _: Attempt) -> None:
        with suppress(_Away):
            self._patience.left = CALL_TIMEOUT
            seen = self._see(0)
            if seen.mark is not None and seen.mark != held.mark:
                tell(None)
            elif seen.held is not None and _ends_later(seen.held, held):
                tell(seen.held)

    def _in_turn(self, wish: _Wish) -> Outcome | None:
        for turn in range(TURNS):
            seen = self._see(turn)
            if self._meets(wish, seen):
                return seen.held
            if wish.replaces and seen.replaced and not seen.turn:
                return None
            with self._turn(turn) as owner:
                if owner:
                    return self._next(wish, turn, owner)
            if self._wait(wish, turn):
                break
        return self._last(wish)

    def _next(self, wish: _Wish, turn: int, owner: str) -> Outcome | None:
        """It is our turn; whoever had it before may have got what is wished for."""
        seen = self._see(turn)
        if self._meets(wish, seen):
            return seen.held
        if wish.replaces and not self._set("replaced", owner, REPLACED_ONCE_IN, nx=True):
            return None
        outcome = self._published(wish)
        if wish.replaces and isinstance(outcome, Failure) and not outcome.billed:
            self._end("replaced", owner)
        return outcome

    def _last(self, wish: _Wish) -> Outcome | None:
        """The others have got it, or nothing, or say nothing."""
        seen = self._see(0)
        if self._meets(wish, seen):
            return seen.held
        return None if wish.replaces else self._published(wish)

    def _wait(self, wish: _Wish, turn: int) -> bool:
        """Whether what somebody else fetches is over."""
        for pause in PAUSES:
            time.sleep(pause)
            seen = self._see(turn)
            if self._meets(wish, seen) or not seen.turn:
                return True
        return False

    def _meets(self, wish: _Wish, seen: _Seen) -> bool:
        return wish.met_by(seen.held, self._clocks.now())

    def _published(self, wish: _Wish) -> Outcome:
        outcome = self._marked(wish)
        if isinstance(outcome, Held):
            with suppress(_Away):
                self._set("token", self._seal.close("token", _written(outcome)), math.ceil(outcome.life))
        return outcome

    def _marked(self, wish: _Wish) -> Outcome:
        mark = self._untold or self._mark  # while it is fetched, another may be left
        outcome = wish.fetch()
        return replace(outcome, mark=mark) if isinstance(outcome, Held) else outcome

    @contextmanager
    def _turn(self, turn: int) -> Iterator[str]:
        """Who has it now, if it is us; else nothing."""
        owner = os.urandom(16).hex()
        if not self._set(f"turn:{turn}", owner, TURN_LASTS, nx=True):
            yield ""
            return
        try:
            yield owner
        finally:
            self._end(f"turn:{turn}", owner)

    def _see(self, turn: int) -> _Seen:
        self._looked = self._clocks.monotonic()
        if self._untold:
            self._tell()
        names = [self._key(name) for name in ("token", "mark", f"turn:{turn}", "replaced")]
        token, sealed_mark, owner, replaced = self._call(partial(self._values, names))
        mark, held = self._seal.open("mark", sealed_mark), _read(self._seal.open("token", token), self._clocks.now())
        if held is not None and mark not in (None, held.mark):
            held = None
        self._mark = mark or self._mark
        return _Seen(held, mark, bool(owner), bool(replaced))

    def _values(self, names: list[str]) -> list[Any]:
        try:
            return list(self._client.mget(names))
        except UnicodeDecodeError:  # the client answers with texts, and one of them is none
            return [None] if len(names) == 1 else [self._values([name])[0] for name in names]

    def _leave(self) -> None:
        """A new mark, which counts at once for what is fetched here."""
        self._untold = os.urandom(16).hex()

    def _tell(self) -> None:
        self._call(self._write_mark)

    def _write_mark(self) -> None:
        mark = self._untold
        if not mark:
            return  # somebody else of this process has just told it
        self._client.set(self._key("mark"), self._seal.close("mark", mark), ex=_MARK_LASTS)
        self._mark = mark
        if self._untold == mark:  # and there has been no other meanwhile
            self._untold = ""

    def _set(self, name: str, value: str, seconds: int, *, nx: bool = False) -> bool:
        return bool(self._call(lambda: self._client.set(self._key(name), value, ex=max(1, seconds), nx=nx)))

    def _end(self, name: str, owner: str) -> None:
        """If it is still the owner's; if Redis is away, it ends by itself."""
        with suppress(_Away):
            self._call(lambda: self._client.eval(_END, 1, self._key(name), owner))

    def _key(self, name: str) -> str:
        """The key, with braces, so that what is asked for at once is in one place of a cluster."""
        return f"{PREFIX}{self._seal.name}}}:{name}"

    def _call(self, work: Callable[[], Any]) -> Any:
        left, began = getattr(self._patience, "left", CALL_TIMEOUT), ageing()
        with self._noted():
            try:
                return self._calls.make(work, left)
            finally:
                self._patience.left = max(0.0, left - (ageing() - began))

    @contextmanager
    def _noted(self) -> Iterator[None]:
        """Says once that Redis is away, and once that it is back."""
        try:
            yield
        except Exception as error:
            if not self._away:
                text = "the fleet's token of %s is not shared for now, each process gets its own: Redis: %s"
                log.warning(text, self._whose, problem_of(error))
            self._away = True
            raise _Away from None
        if self._away:
            log.info("the fleet's token of %s is shared again", self._whose)
        self._away = False


def _looked(_: None) -> flight.Callback:
    """A look has no outcome, and nothing is left to be done about it."""
    return _nothing


def _nothing(_: object = None) -> None:
    """Not even of a look that has failed."""


def _written(held: Held) -> str:
    """The token as it is written, with the time by the clock that others can read, too."""
    return json.dumps({
        "token": held.text, "since": held.since.wall, "life": held.life, "renewals": held.renewals, "mark": held.mark,
    })  # fmt: skip


def _read(text: str | None, now: Moment) -> Held | None:
    """What :func:`_written` has written, and nobody else can have sealed. Its age by this machine's clocks: one that
    comes from the future has just begun."""
    if text is None:
        return None
    document = json.loads(text)
    age = max(0.0, now.wall - document["since"])
    since = Moment(now.wall - age, now.ageing - age)
    return Held(document["token"], since, document["life"], document["renewals"], document["mark"])


def _ends_later(one: Held, other: Held) -> bool:
    return one.since.wall + one.life > other.since.wall + other.life
