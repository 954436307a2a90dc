"""A fleet's token, in Redis or Valkey: one process fetches it, and all use it.

The rules of this file:

* Nobody needs Redis. Where it is away, or holds what cannot be used, each process gets a token as it would alone. What
  is in it (:mod:`.shared_store`) can never do more than that: it is sealed (:mod:`.seal`), and whoever reads it looks
  at its end himself.
* One process fetches at a time, and has a *turn* to do so, which outlasts any fetch and which nobody else can end. The
  others look for what it gets. If it gets nothing, all go on at once; if it says nothing for a second (it was killed,
  Kinde is slow), one of the others is next; and after three turns each is on its own.
* A token that the API refuses is replaced if it is still the fleet's, and once a minute in the whole fleet.
* To forget is to leave a *mark*. A token carries the mark under which it was fetched, and is good under no other.
* All of it runs in the thread of a flight, never in an event loop; and of the time that a fetch has, Redis takes a
  second at most: then it is away, however slowly it may go on.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial

from ..net import flight
from ..net.attempt import Attempt
from ..net.clocks import Clocks, Moment
from ..net.fetch import TOTAL_TIMEOUT
from .shared_store import Away, RedisClient, Seen, SharedStore
from .token_request import Application, Failure, Held, Outcome

LOOK_EVERY = 5.0
"""Seconds after which somebody who uses a token looks whether the fleet has another."""
TURNS = 3
PAUSES = (0.01, 0.02, 0.04, 0.06, 0.07, *[0.1] * 8)  # a second in all: between looks for what somebody else fetches


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


class SharedToken:
    """The token of all processes that ask as one *app*; *where*: a URL, or a client of redis or valkey."""

    def __init__(self, where: str | RedisClient, app: Application, clocks: Clocks, *, name: str) -> None:
        """*name*: what *where* is called by whoever has set it."""
        self._store = SharedStore(where, app, clocks, name=name)
        self._looks: flight.Flight[None] = flight.Flight(_looked, _nothing, deadline=TOTAL_TIMEOUT)
        self._clocks = clocks

    def look_behind(self, held: Held, now: Moment, tell: Callable[[Held | None], None]) -> None:
        """Look what the fleet has, behind the caller, if nobody in this process has for a while.

        *tell* is called if that is another token which ends later than what is *held*, with it; and with ``None`` if
        *held* is to be forgotten.
        """
        if now.ageing - self._store.looked >= LOOK_EVERY:
            self._looks.start(partial(self._look, held, tell))

    def obtain(self, *had: Held | None, fetch: Callable[[], Outcome], replaces: bool) -> Outcome | None:
        """The fleet's token, if it is none of those *had* before, or what *fetch* gets for the fleet.

        *replaces*: whether the one that is held is good, but refused by the API. ``None``, in that case alone, if there
        is to be no other for now.
        """
        wish = _Wish(had, replaces, fetch)
        self._store.begin()
        try:
            return self._in_turn(wish)
        except Away:
            return self._marked(wish)

    def forget(self) -> None:
        """Have everybody forget what has been fetched up to now; waits a second at most, else tells them later."""
        self._store.leave_mark()
        self._store.begin()
        with suppress(Away):
            self._store.tell()

    async def aforget(self) -> None:
        """:meth:`forget` for event loops."""
        self._store.leave_mark()
        with suppress(Away):
            await self._store.atell()

    def _look(self, held: Held, tell: Callable[[Held | None], None], _: Attempt) -> None:
        with suppress(Away):
            self._store.begin()
            seen = self._store.see(0)
            if seen.mark is not None and seen.mark != held.mark:
                tell(None)
            elif seen.held is not None and _ends_later(seen.held, held):
                tell(seen.held)

    def _in_turn(self, wish: _Wish) -> Outcome | None:
        for turn in range(TURNS):
            seen = self._store.see(turn)
            if self._meets(wish, seen):
                return seen.held
            if wish.replaces and seen.replaced and not seen.turn:
                return None
            with self._store.turn(turn) as owner:
                if owner:
                    return self._next(wish, turn, owner)
            if self._wait(wish, turn):
                break
        return self._last(wish)

    def _next(self, wish: _Wish, turn: int, owner: str) -> Outcome | None:
        """It is our turn; whoever had it before may have got what is wished for."""
        seen = self._store.see(turn)
        if self._meets(wish, seen):
            return seen.held
        if wish.replaces and not self._store.may_replace(owner):
            return None
        outcome = self._published(wish)
        if wish.replaces and isinstance(outcome, Failure) and not outcome.billed:
            self._store.has_not_replaced(owner)
        return outcome

    def _last(self, wish: _Wish) -> Outcome | None:
        """The others have got it, or nothing, or say nothing."""
        seen = self._store.see(0)
        if self._meets(wish, seen):
            return seen.held
        return None if wish.replaces else self._published(wish)

    def _wait(self, wish: _Wish, turn: int) -> bool:
        """Whether what somebody else fetches is over."""
        for pause in PAUSES:
            time.sleep(pause)
            seen = self._store.see(turn)
            if self._meets(wish, seen) or not seen.turn:
                return True
        return False

    def _meets(self, wish: _Wish, seen: Seen) -> bool:
        return wish.met_by(seen.held, self._clocks.now())

    def _published(self, wish: _Wish) -> Outcome:
        outcome = self._marked(wish)
        if isinstance(outcome, Held):
            self._store.publish(outcome)
        return outcome

    def _marked(self, wish: _Wish) -> Outcome:
        mark = self._store.mark  # while it is fetched, another may be left
        outcome = wish.fetch()
        return replace(outcome, mark=mark) if isinstance(outcome, Held) else outcome


def _looked(_: None) -> flight.Callback:
    """A look has no outcome, and nothing is left to be done about it."""
    return _nothing


def _nothing(_: object = None) -> None:
    """Not even of a look that has failed."""


def _ends_later(one: Held, other: Held) -> bool:
    return one.since.wall + one.life > other.since.wall + other.life
