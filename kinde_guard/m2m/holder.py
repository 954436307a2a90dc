"""The token of a machine-to-machine application: fetched once for all, held, renewed, and asked for anew when an API
refuses it. It knows no client library: what sends requests with it says what it sent, and what came back.

The rules of this file:

* Kinde bills every token it issues. So there is one request at a time for all threads and event loops of a process,
  none while the token held is young, and none before the wait after a failure is over.
* A token that is good is handed out at once; its refresh, ahead of time, is nobody's to wait for.
* The sync and the async half differ in how they wait, and in nothing else.
"""

from __future__ import annotations

import math
import random
from concurrent.futures import Future
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from ..events import log
from ..net import flight, joining
from ..net.attempt import Attempt
from ..net.clocks import Clocks, Moment
from ..net.fetch import TOTAL_TIMEOUT, Fetcher, FetchFailed
from .origins import Origin, Origins
from .token_request import NO_ANSWER, WELL_USED, Application, Failure, Held, Outcome, doubled

if TYPE_CHECKING:
    from .shared import SharedToken

WAIT = TOTAL_TIMEOUT + 1  # the flight's own deadline comes first
LONGEST_WAIT = 30.0  # between attempts of our own accord
LONGEST_ASKED_WAIT = 300.0  # where Kinde names the time: asking sooner would be refused, and counted
BILLED_WAIT = 60  # after an answer with a token that is of no use: Kinde bills it all the same

_AT_ONCE: Future[None] = Future()  # nothing is to be waited for
_AT_ONCE.set_result(None)


class Sent(NamedTuple):
    """A request that was sent, and the status of its answer. After redirects it is the last one that counts."""

    status: int
    where: Origin
    authorization: str | bytes | None
    repeatable: bool
    """Whether it can be sent once more: its body is in memory."""


@dataclass(frozen=True, slots=True)
class _State:
    """What is known; replaced whole, so that readers need no lock."""

    held: Held | None = None
    failure: Failure | None = None
    failures: int = 0
    retry_at: float = -math.inf

    def wants_fetch(self, now: Moment, refused: Held | None = None) -> bool:
        """Whether to ask Kinde: there is no token, or it is due, or the API refused it; and no wait is on."""
        return self.left(now) <= 0 and (self.held is None or self.held is refused or self.held.due(now))

    def left(self, now: Moment) -> float:
        """How many seconds are left of the wait after a failure."""
        return self.retry_at - now.ageing

    def after(self, outcome: Outcome, now: Moment, chance: float) -> _State:
        """A failure leaves the token as it is; the wait is 1 s, doubling, with full jitter (*chance*)."""
        if isinstance(outcome, Held):
            return _State(outcome)
        own_wait = chance * doubled(1, self.failures, LONGEST_WAIT)
        if outcome.billed:
            own_wait = doubled(BILLED_WAIT, self.failures, LONGEST_ASKED_WAIT)
        wait = max(own_wait, min(outcome.asked_wait, LONGEST_ASKED_WAIT))
        return _State(self.held, outcome, self.failures + 1, now.ageing + wait)


class TokenHolder:
    """The token of one application, for every thread, task and client of the process; and which requests carry it."""

    def __init__(
        self, app: Application, origins: Origins, fetcher: Fetcher, clocks: Clocks, shared: SharedToken | None
    ) -> None:
        self.origins = origins
        self._app = app
        self._fetcher = fetcher
        self._clocks = clocks
        self._shared = shared
        self._state = _State()
        # Set by callers, in one step each; the state is the flight's alone to set.
        self._forgotten: Held | None = None
        self._helped: Held | None = None
        self._first_refusal: tuple[Held, Moment] | None = None
        self._flight: flight.Flight[Outcome | None] = flight.Flight(self._land, _failure_of, deadline=TOTAL_TIMEOUT)

    def __repr__(self) -> str:
        return f"<ClientCredentials {self._app.client_id} of {self._app.issuer} for {self._app.audiences}>"

    def get(self) -> Held:
        """A token that is good now; waits only if none is held. Raises ``TokenRequestFailed``."""
        found = self._find()
        if isinstance(found, Future):
            joining.join(found, WAIT)
            return self._landed(found)
        return found

    async def aget(self) -> Held:
        """:meth:`get` for event loops."""
        found = self._find()
        if isinstance(found, Future):
            await joining.ajoin(found, WAIT)
            return self._landed(found)
        return found

    def forget(self) -> None:
        """Drop the token that is held; of a shared one the fleet is told."""
        self._forgotten = self._state.held
        if self._shared is not None:
            self._shared.forget()

    async def aforget(self) -> None:
        """:meth:`forget` for event loops."""
        self._forgotten = self._state.held
        if self._shared is not None:
            await self._shared.aforget()

    def other_for(self, refused: Held, sent: Sent) -> Held | None:
        """The token to send the request with once more; ``None`` if the answer is the caller's."""
        renewal = self._renewal(refused, sent)
        if renewal is None:
            return None
        joining.join(renewal, WAIT)
        return self._other_than(refused)

    async def aother_for(self, refused: Held, sent: Sent) -> Held | None:
        """:meth:`other_for` for event loops."""
        renewal = self._renewal(refused, sent)
        if renewal is None:
            return None
        await joining.ajoin(renewal, WAIT)
        return self._other_than(refused)

    def judge(self, other: Held, status: int) -> None:
        """Whether *other* was of use. Only the request that was refused before tells: where one of two APIs refuses all
        tokens, what the other says would have a token fetched each minute."""
        if status != 401:
            self._helped = other

    def _find(self) -> Held | Future[None]:
        """The token, or the fetch to wait for. While the wait after a failure is on, raises that again."""
        state, now = self._known(), self._clocks.now()
        if state.held is not None and state.held.good(now):
            if state.wants_fetch(now):
                self._flight.start(partial(self._fetch, None))
            elif self._shared is not None:
                self._shared.look_behind(state.held, now, partial(self._hear, state.held))
            return state.held
        if state.failure is not None and state.left(now) > 0:
            raise state.failure.exception(state.left(now))
        return self._flight.start(partial(self._fetch, None))

    def _known(self) -> _State:
        """What is known, without the token that is to be forgotten."""
        state = self._state
        return replace(state, held=None) if state.held is self._forgotten else state

    def _landed(self, future: Future[None]) -> Held:
        """The token, once nobody waits any more. One that has just come is used, however short its life."""
        state, now = self._state, self._clocks.now()
        failure = state.failure if future.done() else NO_ANSWER
        if state.held is not None and (failure is None or state.held.good(now)):
            return state.held
        raise (failure or NO_ANSWER).exception(state.left(now))

    def _renewal(self, refused: Held, sent: Sent) -> Future[None] | None:
        """The fetch to wait for before the request is sent once more; ``None`` if the answer is the caller's."""
        state, now = self._known(), self._clocks.now()
        if sent.status != 401 or not self._went_out(refused, sent):
            return None
        if refused is state.held and (self._first_refusal is None or self._first_refusal[0] is not refused):
            self._first_refusal = refused, now
        if not refused.renewable(now, self._renewals_up_to(refused)):
            return None
        renewal = _AT_ONCE  # another request has had the token renewed meanwhile
        if state.held is refused:
            if not state.wants_fetch(now, refused):
                return None
            renewal = self._flight.start(partial(self._fetch, refused))
        return renewal if sent.repeatable else None

    def _went_out(self, held: Held, sent: Sent) -> bool:
        """Whether it was *held* that was refused. Did the last request carry it, and may it again?"""
        return sent.authorization == held.authorization and self.origins.carry(sent.where)

    def _renewals_up_to(self, held: Held | None) -> int:
        """How many were of no use in a row. One that helped begins a new row, unless it was soon refused itself: of
        several machines behind one name, say, one may refuse all tokens."""
        if held is None or (held is self._helped and not self._is_soon_refused(held)):
            return 0
        return held.renewals

    def _is_soon_refused(self, held: Held) -> bool:
        first = self._first_refusal
        return first is not None and first[0] is held and first[1].since(held.since) <= WELL_USED

    def _other_than(self, refused: Held) -> Held | None:
        held = self._known().held
        return None if held is refused else held

    def _fetch(self, refused: Held | None, attempt: Attempt) -> Outcome | None:
        """Ask Kinde, unless a fetch has landed since this one was wanted. Runs in the flight's thread."""
        state, since = self._known(), self._clocks.now()
        if not state.wants_fetch(since, refused):
            return None
        ask = partial(self._ask, state, refused, attempt)
        if self._shared is None:
            return ask()
        replaces = refused is not None and refused is state.held and not refused.due(since)
        return self._shared.obtain(state.held, self._forgotten, fetch=ask, replaces=replaces)

    def _ask(self, state: _State, refused: Held | None, attempt: Attempt) -> Outcome:
        """Ask Kinde."""
        since = self._clocks.now()
        url = f"{self._app.issuer}/oauth2/token"
        headers = {"accept": "application/json", "content-type": "application/x-www-form-urlencoded"}
        try:
            answer = self._fetcher.send("POST", url, attempt, headers=headers, body=self._app.form())
        except FetchFailed as error:
            return self._app.unanswered(error)
        outcome = self._app.read(answer, since, self._clocks.wall())
        if isinstance(outcome, Held):
            return replace(outcome, renewals=self._renewals_up_to(state.held) + (refused is not None))
        return outcome

    def _hear(self, held: Held, other: Held | None) -> None:
        """Instead of what is *held* the fleet has the *other*; or has been told to forget it. Nobody waits for it."""
        if other is None:
            self._forgotten = held
        self._flight.start(partial(self._fetch, None) if other is None else lambda _: other)

    def _land(self, outcome: Outcome | None) -> flight.Callback:
        if outcome is None:
            return lambda: None
        now = self._clocks.now()
        self._state = self._known().after(outcome, now, random.random())  # noqa: S311  # jitter
        return partial(self._say, outcome, self._state, now)

    def _say(self, outcome: Outcome, state: _State, now: Moment) -> None:
        if isinstance(outcome, Held):
            log.info("%r: a token, good for %.0f s", self, outcome.life - now.since(outcome.since))
        elif state.held is not None and state.held.good(now):  # otherwise somebody waits, and is told
            log.warning("%r: the token is kept, no other: %s", self, outcome.exception(state.left(now)))


def _failure_of(error: Exception) -> Failure:
    # Not the text of an exception that nobody foresaw: it could quote the request.
    return NO_ANSWER if isinstance(error, TimeoutError) else Failure(f"{type(error).__name__} on the way")
