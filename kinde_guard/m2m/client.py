"""Machine to machine: a token by client credentials (RFC 6749 §4.4), held, refreshed, and put on httpx's requests.

The rules of this file:

* Kinde bills every token it issues. So there is one request at a time for all threads and event loops of a process,
  none while the token held is young, and none before the wait after a failure is over.
* A token that is good is handed out at once; its refresh, ahead of time, is nobody's to wait for.
* The sync and the async half differ in how they wait, and in nothing else.
"""

from __future__ import annotations

import math
import os
import random
import time
from collections.abc import AsyncGenerator, Callable, Generator, Iterable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import httpx

from ..errors import ConfigurationError
from ..events import log
from ..net import flight, joining
from ..net.attempt import Attempt
from ..net.clocks import Clocks, Moment, ageing
from ..net.fetch import TOTAL_TIMEOUT, Fetcher, FetchFailed
from ..net.once import Once
from ..settings import checked_transport, is_loopback
from .token_request import NO_ANSWER, WELL_USED, Application, Failure, Held, Outcome, doubled
from .token_request import TokenEndpointUnavailable as TokenEndpointUnavailable
from .token_request import TokenRefused as TokenRefused
from .token_request import TokenRequestFailed as TokenRequestFailed
from .token_request import TooManyTokenRequests as TooManyTokenRequests

_LIBRARIES: list[Any] = [httpx]
with suppress(ImportError):
    import httpx2  # httpx's successor, whose clients want an auth of its own class

    _LIBRARIES.append(httpx2)

if TYPE_CHECKING:
    from .shared import SharedToken
    from .shared_store import RedisClient

    SharedWhere = str | RedisClient | Literal[False] | None

    class _Auth(httpx.Auth, httpx2.Auth):
        def auth_flow(self, request: Any) -> Generator[Any, Any, None]: ...
        def sync_auth_flow(self, request: Any) -> Generator[Any, Any, None]: ...
        def async_auth_flow(self, request: Any) -> AsyncGenerator[Any, Any]: ...

else:  # a dict, because httpx2 can stand in for httpx under its name: the same class twice
    _Auth = type("_Auth", tuple(dict.fromkeys(library.Auth for library in _LIBRARIES)), {})

WAIT = TOTAL_TIMEOUT + 1  # the flight's own deadline comes first
LONGEST_WAIT = 30.0  # between attempts of our own accord
LONGEST_ASKED_WAIT = 300.0  # where Kinde names the time: asking sooner would be refused, and counted
BILLED_WAIT = 60  # after an answer with a token that is of no use: Kinde bills it all the same

_SHARED_URL = "KINDE_M2M_SHARED_URL"
_AT_ONCE: Future[None] = Future()  # nothing is to be waited for
_AT_ONCE.set_result(None)
_IN_MEMORY = tuple(library.ByteStream for library in _LIBRARIES)


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


class ClientCredentials(_Auth):
    """A machine-to-machine application of Kinde: gets its token, holds it, and is an ``auth=`` for httpx's clients.

    Make one and keep it: it serves every thread, task and client of the process with one token, which is refreshed
    behind the callers from five minutes (at most a fifth of its life) before its end. What is not given is read from
    ``KINDE_M2M_DOMAIN`` (else ``KINDE_DOMAIN``), ``KINDE_M2M_CLIENT_ID``, ``KINDE_M2M_CLIENT_SECRET``,
    ``KINDE_M2M_AUDIENCE`` and ``KINDE_M2M_SCOPES``; without scopes Kinde grants all that the application has. There is
    no falling back to ``KINDE_AUDIENCE``: that names what this process *accepts*, and whoever is sent a token for it
    could play it back.

    The token is put on requests to https and to loopback only, and with *api* (such as ``https://api.acme.com``) on
    requests to that origin only. Other requests are sent without it, as httpx itself does when it follows a redirect
    elsewhere. Give *api* if the client may be handed URLs by others. Plain http to another machine, in a cluster too,
    gets no token: use https, or a proxy on loopback; or put :meth:`token` on those requests yourself.

    Where the API answers 401, in whatever form, to a token older than 60 s, another is fetched and the request sent
    once more, if its body is in memory (no stream, no multipart: then the other token is for the next request). Where
    that was of no use, or only for minutes, the next one is not fetched before the token is two minutes old, then four,
    up to an hour.
    Otherwise the 401 is yours.

    *shared*: the URL of a Redis or Valkey (``rediss://…``; else ``KINDE_M2M_SHARED_URL``), or a client of it, through
    which all processes with the same credentials, audience and scopes use one token, as Kinde bills each: one fetches
    it, and what is put there is encrypted with the client secret. Where Redis is away each has its own, as without it.
    A token that the API refuses is replaced once a minute in the whole fleet. ``False``: not shared, whatever the
    environment says.

    Where there is no token, the request raises :class:`TokenRequestFailed`. Settings that
    cannot be used raise :class:`ConfigurationError` here.

    *clock* (for ages) and *wall* are for tests: a token is over as soon as either says so.
    """

    def __init__(
        self,
        domain: str | None = None,
        *,
        client_id: str | None = None,
        client_secret: str | None = None,
        audience: str | Iterable[str] | None = None,
        scopes: str | Iterable[str] | None = None,
        api: str | None = None,
        shared: SharedWhere = None,
        transport: httpx.BaseTransport | None = None,
        clock: Callable[[], float] = ageing,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._app = Application.load(
            domain, client_id=client_id, client_secret=client_secret, audience=audience, scopes=scopes
        )
        self._api = None if api is None else _api_origin(api)
        self._fetcher = Fetcher(checked_transport(transport), tls=self._app.issuer.startswith("https:"))
        self._clocks = Clocks(wall, clock)
        self._shared = _shared(shared, self._app, self._clocks)
        self._first_host: dict[None, str] = {}  # one at most; a dict for its setdefault, which is a single step
        self._withheld, self._sent_elsewhere = Once(), Once()
        self._state = _State()
        # Set by callers, in one step each; the state is the flight's alone to set.
        self._forgotten: Held | None = None
        self._helped: Held | None = None
        self._first_refusal: tuple[Held, Moment] | None = None
        self._flight: flight.Flight[Outcome | None] = flight.Flight(self._land, _failure_of, deadline=TOTAL_TIMEOUT)

    def __repr__(self) -> str:
        return f"<ClientCredentials {self._app.client_id} of {self._app.issuer} for {self._app.audiences}>"

    def token(self) -> str:
        """The text of a token that is good now; waits, up to 5 s, only if none is held."""
        return self._get().text

    async def atoken(self) -> str:
        """:meth:`token` for event loops."""
        return (await self._aget()).text

    def forget(self) -> None:
        """Drop the token that is held: the next request fetches another, with the rights that the application has now.

        For when you have changed them in Kinde. Not to be called for each refusal: a 401 is met as described above, and
        Kinde bills each token. A fetch that is under way is not cut off, and the wait after a failed one is kept.

        Of a *shared* token the whole fleet is told, which takes a second at most; whoever is using it looks every 5 s.
        If Redis does not answer they are told later, by the next request of this process that finds it there.
        """
        self._forgotten = self._state.held
        if self._shared is not None:
            self._shared.forget()

    async def aforget(self) -> None:
        """:meth:`forget` for event loops."""
        self._forgotten = self._state.held
        if self._shared is not None:
            await self._shared.aforget()

    def sync_auth_flow(self, request: Any) -> Generator[Any, Any, None]:
        """The requests of ``httpx.Client``, signed with the token, and once more if it is refused."""
        if not self._carries(request.url):
            yield request
            return
        held = self._get()
        response = yield _signed(request, held)
        renewal = self._renewal(held, response)
        if renewal is not None:
            joining.join(renewal, WAIT)
            if (other := self._other_than(held)) is not None:
                self._judge(other, (yield _signed(response.request, other)))

    async def async_auth_flow(self, request: Any) -> AsyncGenerator[Any, Any]:
        """:meth:`sync_auth_flow` for ``httpx.AsyncClient``."""
        if not self._carries(request.url):
            yield request
            return
        held = await self._aget()
        response = yield _signed(request, held)
        renewal = self._renewal(held, response)
        if renewal is not None:
            await joining.ajoin(renewal, WAIT)
            if (other := self._other_than(held)) is not None:
                self._judge(other, (yield _signed(response.request, other)))

    def auth_flow(self, request: Any) -> Generator[Any, Any, None]:
        """Not to be used: it cannot know how to wait, and httpx's own sends the request without a token."""
        raise NotImplementedError("use sync_auth_flow or async_auth_flow, as httpx's clients do")

    def _get(self) -> Held:
        found = self._find()
        if isinstance(found, Future):
            joining.join(found, WAIT)
            return self._landed(found)
        return found

    async def _aget(self) -> Held:
        found = self._find()
        if isinstance(found, Future):
            await joining.ajoin(found, WAIT)
            return self._landed(found)
        return found

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

    def _renewal(self, refused: Held, response: Any) -> Future[None] | None:
        """The fetch to wait for before the request is sent once more; ``None`` if the answer is the caller's."""
        state, now = self._known(), self._clocks.now()
        if response.status_code != 401 or not self._went_out(refused, response.request):
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
        return renewal if isinstance(response.request.stream, _IN_MEMORY) else None

    def _went_out(self, held: Held, request: Any) -> bool:
        """Whether it was *held* that was refused: after redirects it is the last request that counts. Did it carry the
        token, and may it again?"""
        return request.headers.get("Authorization") == held.authorization and self._carries(request.url)

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

    def _judge(self, other: Held, response: Any) -> None:
        """Whether *other* was of use. Only the request that was refused before tells: where one of two APIs refuses all
        tokens, what the other says would have a token fetched each minute."""
        if response.status_code != 401:
            self._helped = other

    def _carries(self, url: Any) -> bool:
        """Whether a request to *url* (httpx's or httpx2's) is given the token."""
        if self._api is not None:
            return _origin(url) == self._api
        private, (scheme, host) = _is_private(url), _origin(url)
        if not private and self._withheld.is_first():  # the API's "no token" would be a riddle
            log.warning("no token is sent to %s://%s: plain http shows it to all on the way; use https", scheme, host)
        first = self._first_host.setdefault(None, host) if scheme == "https" else host
        if first != host and self._sent_elsewhere.is_first():
            text = "the token of https://%s is sent to https://%s too: where only one is meant to have it, pass api="
            log.warning(text, first, host)
        return private

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


def _shared(where: SharedWhere, app: Application, clocks: Clocks) -> SharedToken | None:
    name = "shared"
    if where is None:
        where, name = os.environ.get(_SHARED_URL), _SHARED_URL
    if where is None or where is False:
        return None
    from .shared import SharedToken

    return SharedToken(where, app, clocks, name=name)


def _signed(request: Any, held: Held) -> Any:
    request.headers["Authorization"] = held.authorization
    return request


def _failure_of(error: Exception) -> Failure:
    # Not the text of an exception that nobody foresaw: it could quote the request.
    return NO_ANSWER if isinstance(error, TimeoutError) else Failure(f"{type(error).__name__} on the way")


def _origin(url: Any) -> tuple[str, str]:
    """RFC 6454 §4; httpx has made the host lower case and dropped a default port."""
    return {"ws": "http", "wss": "https"}.get(url.scheme, url.scheme), url.netloc.decode()


def _is_private(url: Any) -> bool:
    """Whether nobody on the way can read what is sent to *url*."""
    scheme, _ = _origin(url)
    return scheme == "https" or (scheme == "http" and is_loopback(url.host))


def _api_origin(api: str) -> tuple[str, str]:
    try:
        url = httpx.URL(api)
    except (httpx.InvalidURL, TypeError):
        url = httpx.URL("")
    if not url.host or not _is_private(url) or url.userinfo or url.raw_path != b"/" or url.fragment:
        raise ConfigurationError(
            "api must be an origin such as 'https://api.acme.com', without a path (http is for localhost alone), "
            f"not {api!r}"
        )
    return _origin(url)
