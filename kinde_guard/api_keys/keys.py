"""API keys: what a guard asks, and what is remembered of the answers.

The rules of this file:

* A key that is known never waits for Kinde longer than a second, and where Kinde cannot be asked it goes on for
  ``usable_for`` seconds from its last good answer.
* One call at a time for each key, a bounded number in a minute for keys that turn out not to be good, and none while
  Kinde has asked for peace. Who cannot be judged for that is answered 503, never 401.
* Remembered are digests. The key itself is held while it is asked about, and by nobody after that.
"""

from __future__ import annotations

import math
import os
import random
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from ..errors import ApiKeysUnavailable, ConfigurationError, InvalidToken
from ..events import ApiKeyAnswered, ApiKeyUnanswered, Emit, log
from ..net import forks, joining
from ..net.clocks import Clocks, Moment, ageing
from ..net.fetch import TOTAL_TIMEOUT, Fetcher
from ..settings import checked_transport, leavings
from ..settings.variables import nonempty_texts
from ..web.wording import few
from .answers import HINT_SHAPE, KEY, Answer, Refused
from .health import ApiKeysHealth, State
from .lanes import Lanes, Verification
from .memory import Budget, Remembered
from .questions import Failed, Outcome, Questions

if TYPE_CHECKING:
    import httpx

    from ..m2m import ClientCredentials
    from ..net.flight import Callback

VARIABLE = "KINDE_API_IDS"
WAIT = TOTAL_TIMEOUT + 0.25  # the deadline lands its failure first
WAIT_KNOWN = 1.0
REFUSED_FOR = 30.0
REVOKED_FOR = 5.0
"""Seconds between two calls about a key that revocations refuse, whatever Kinde says."""
LONGEST_WAIT, LONGEST_ASKED_WAIT = 30.0, 300.0
"""Seconds between calls that fail; and where Kinde names the time."""
ANOTHER_TOKEN = 300.0
"""Seconds between two tokens of our own that are fetched because Kinde did not take one: it bills each."""
SAID_AGAIN = 60.0
MOST = 10_000
_API_ID = re.compile(r"[!-~]{1,200}")
_NEVER = -math.inf


class ApiKeys:
    """Kinde's API keys, for ``Guard(api_keys=…)``.

    *auth*: a machine-to-machine application that may ask Kinde about keys: authorised for the Kinde Management API
    (``audience="https://acme.kinde.com/api"``) with the scope ``read:api_keys``. *api_ids*: the id of *this* API in
    Kinde, or several: Settings → APIs → the API; ``KINDE_API_IDS`` if left out. Every key is bound to it, as one of
    another API may have a scope of the same name.

    *remember_for*: seconds, 1 to 600, that a good answer is relied on: so long a key that was revoked in Kinde lives.
    *usable_for*: seconds, 0 to 3,600, that it serves where Kinde cannot be asked. *calls_per_minute*: how many keys
    that turn out not to be good are asked about in a minute, by each process; 1 to 100,000. *transport*: an
    ``httpx.BaseTransport``, for a proxy or a private CA. *clocks*: for tests.

    Make one, and keep it: it serves all guards, threads and event loops of a process. Raises
    :class:`ConfigurationError` in words that say what to change; asks nothing before the first key.
    """

    def __init__(
        self,
        auth: ClientCredentials,
        *,
        api_ids: str | Iterable[str] | None = None,
        remember_for: float = 60,
        usable_for: float = 600,
        calls_per_minute: int = 120,
        transport: httpx.BaseTransport | None = None,
        clocks: Clocks | None = None,
    ) -> None:
        _check_auth(auth)
        self.issuer = auth.issuer
        """Whose keys they are."""
        self.api_ids = _api_ids(api_ids)
        """The ids that stand for this API in Kinde."""
        self._auth = auth
        self._clocks = clocks or Clocks()
        self._has_clocks = clocks is not None
        self._usable_for = _number("usable_for", usable_for, 0, 3_600)
        self._good: Remembered[bytes, Answer] = Remembered(MOST)
        self._refused: Remembered[bytes, tuple[InvalidToken, float]] = Remembered(MOST)
        self._budget = Budget(int(_number("calls_per_minute", calls_per_minute, 1, 100_000)))
        fetcher = Fetcher(checked_transport(transport), tls=self.issuer.startswith("https:"))
        seconds = _number("remember_for", remember_for, 1, 600)
        questions = Questions(auth, self.api_ids, fetcher, lambda: self._clocks, seconds, MOST)
        self._lanes: Lanes[Outcome] = Lanes(questions.judge, self._land, _crashed, TOTAL_TIMEOUT)
        self._emits: list[Emit] = []
        self._lock = forks.Lock()  # of those who set what follows
        self._failures, self._retry_at, self._problem = 0, _NEVER, ""
        self._said, self._said_at, self._forgot_at = "", _NEVER, _NEVER
        self._asked = False
        self._since = self._clocks.wall()

    def __repr__(self) -> str:
        return f"<ApiKeys of {self.issuer} for {few(sorted(self.api_ids))}>"

    def bind(self, issuers: Iterable[str], *, clocks: Clocks, emit: Emit | None = None) -> None:
        """Say whose keys they are: one of *issuers*. Guards call it, with their *clocks*, and with *emit*, which tells
        observers. Raises :class:`~kinde_guard.ConfigurationError` if these keys are another tenant's."""
        trusted = tuple(issuers)
        if self.issuer not in trusted:
            raise ConfigurationError(
                f"api_keys asks {self.issuer}, and the guard trusts {few(trusted)}: name the tenant's kinde.com domain "
                "beside a custom one (KINDE_DOMAIN, or domain=), or have auth= ask the guard's own"
            )
        if not self._has_clocks:
            self._clocks, self._has_clocks, self._since = clocks, True, clocks.wall()
        if emit is not None:
            self._emits.append(emit)

    def ask(self, key: bytes, digest: bytes) -> Answer:
        """What is known of *key*, whose SHA-256 is *digest*; else Kinde is asked. Raises :class:`InvalidToken`, or
        :class:`~kinde_guard.errors.ApiKeysUnavailable`. Guards call it."""
        found = self._find(key, digest)
        if isinstance(found, Answer):
            return found
        joining.join(found.future, self._patience(digest))
        return self._outcome(found)

    async def aask(self, key: bytes, digest: bytes) -> Answer:
        """:meth:`ask` for event loops, which it never holds up."""
        found = self._find(key, digest)
        if isinstance(found, Answer):
            return found
        await joining.ajoin(found.future, self._patience(digest))
        return self._outcome(found)

    def doubt(self, digest: bytes, why: InvalidToken) -> None:
        """What is known of this key is from before a revocation: Kinde is asked again the next time. If it has been
        asked just now, the revocation holds, for *why*. Guards call it."""
        held, now = self._good.find(digest), self._clocks.now()
        if held is None:
            return
        self._good.exchange(digest, held, held.outdated())
        left = REVOKED_FOR - now.since(held.asked)
        if left > 0:
            self._refused.put(digest, (why.anew(), now.ageing + left))

    def health(self) -> ApiKeysHealth:
        """Whether Kinde answers, since when, and if not, why."""
        problem = self._problem
        state: State = "failing" if problem else "answering" if self._asked else "never_asked"
        left = max(0.0, self._retry_at - self._clocks.monotonic()) if problem else 0.0
        return ApiKeysHealth(state, self._since, len(self._good), problem, left)

    def _find(self, key: bytes, digest: bytes) -> Answer | Verification[Outcome]:
        """What is known, or what to wait for."""
        now, held = self._clocks.now(), self._good.find(digest)
        if held is not None and held.fresh(now):
            return held
        self._raise_if_refused(digest, now)
        if KEY.fullmatch(key) is None:
            raise InvalidToken("malformed", HINT_SHAPE)
        under_way = self._lanes.under_way(digest)
        if under_way is not None:
            return under_way
        wait = self._retry_at - now.ageing
        if wait <= 0 and held is None:
            wait = self._budget.wait(now.ageing)
            if wait > 0:
                self._say(now, "more made-up keys than calls_per_minute: keys that are not known are answered 503")
        return self._make_do(digest, now, wait) if wait > 0 else self._lanes.start(digest, key)

    def _raise_if_refused(self, digest: bytes, now: Moment) -> None:
        refusal, until = self._refused.find(digest) or (None, _NEVER)
        if refusal is not None and now.ageing < until:
            raise refusal.anew()

    def _patience(self, digest: bytes) -> float:
        held = self._good.find(digest)
        known = held is not None and held.usable(self._clocks.now(), self._usable_for)
        return WAIT_KNOWN if known else WAIT

    def _outcome(self, asked: Verification[Outcome]) -> Answer:
        """What has come of it, once nobody waits any more."""
        outcome, now = asked.outcome, self._clocks.now()
        if isinstance(outcome, Answer):
            return outcome
        if isinstance(outcome, Refused):
            raise InvalidToken(outcome.reason, outcome.hint)
        return self._make_do(asked.digest, now, max(1.0, self._retry_at - now.ageing))

    def _make_do(self, digest: bytes, now: Moment, wait: float) -> Answer:
        """The last good answer, for *wait* seconds more, if there is one that is not too old."""
        held = self._good.find(digest)
        if held is None or not held.usable(now, self._usable_for):
            raise ApiKeysUnavailable(math.ceil(wait))
        answer = held.prolonged(now, wait, self._usable_for)
        self._good.exchange(digest, held, answer)
        return answer

    def _land(self, asked: Verification[Outcome], outcome: Outcome) -> Callback:
        """Remember it. Runs in a lane's thread; what it returns is done when nobody waits any more."""
        now, digest = self._clocks.now(), asked.digest
        seconds = ageing() - asked.since
        if isinstance(outcome, Failed):
            wait = self._fail(outcome, now)
            return lambda: self._tell_of_failure(outcome, now, seconds, wait)
        if isinstance(outcome, Answer):
            if self._good.find(digest) is None:
                self._budget.give_back()  # only strangers are counted: after a start all good keys are new
            self._good.put(digest, outcome)
            self._refused.drop(digest)
        else:
            self._good.drop(digest)
            refusal = InvalidToken(outcome.reason, outcome.hint)
            self._refused.put(digest, (refusal, now.ageing + REFUSED_FOR))
        reason = "" if isinstance(outcome, Answer) else outcome.reason
        recovered = self._succeed(now)
        return lambda: self._tell_of_answer(reason, seconds, recovered)

    def _fail(self, failed: Failed, now: Moment) -> float:
        """Note it; how long Kinde is not asked. Several that were under way together count as one."""
        with self._lock.now:
            again = now.ageing + min(failed.wait, LONGEST_ASKED_WAIT)
            if now.ageing >= self._retry_at:
                own = min(float(1 << min(self._failures, 20)), LONGEST_WAIT)
                again = max(again, now.ageing + random.random() * own)  # noqa: S311  # jitter
                self._failures += 1
            self._retry_at = max(self._retry_at, again)
            self._since = self._since if self._problem else now.wall
            self._problem, self._asked = failed.problem, True
            return self._retry_at - now.ageing

    def _succeed(self, now: Moment) -> bool:
        """Whether it is the first success after failures. One that was under way when another failed tells nothing."""
        with self._lock.now:
            if now.ageing < self._retry_at:
                return False
            recovered = bool(self._problem)
            if recovered or not self._asked:
                self._since = now.wall
            self._failures, self._problem, self._asked = 0, "", True
            return recovered

    def _tell_of_answer(self, reason: str, seconds: float, recovered: bool) -> None:
        if recovered:
            log.info("api keys: %s answers again", self.issuer, extra={"event": "api_keys_answered"})
        for emit in self._emits:
            emit(ApiKeyAnswered(self.issuer, seconds, reason))

    def _tell_of_failure(self, failed: Failed, now: Moment, seconds: float, wait: float) -> None:
        self._say(now, failed.problem)
        for emit in self._emits:
            emit(ApiKeyUnanswered(self.issuer, seconds, failed.kind, failed.problem, wait))
        if failed.ours and failed.kind in ("401", "403") and self._may_renew(now):
            self._auth.forget()  # with the next one, what has been mended in Kinde counts

    def _may_renew(self, now: Moment) -> bool:
        with self._lock.now:
            due = now.ageing - self._forgot_at >= ANOTHER_TOKEN
            self._forgot_at = now.ageing if due else self._forgot_at
            return due

    def _say(self, now: Moment, problem: str) -> None:
        """Say it in the log, once a minute at most: strangers can have it happen as often as they like."""
        with self._lock.now:
            due = self._said != problem or now.ageing - self._said_at >= SAID_AGAIN
            self._said, self._said_at = problem, now.ageing if due else self._said_at
        if due:
            extra = {"event": "api_keys_failed"}
            text = "api keys of %s: %s (keys that are known go on for up to %g s)"
            log.warning(text, self.issuer, problem, self._usable_for, extra=extra)


def _crashed(error: Exception) -> Failed:
    # Not the text of an exception that nobody foresaw: it could quote the request.
    if isinstance(error, TimeoutError):
        return Failed(f"no answer about a key: {error}", "no_answer")
    return Failed(f"{type(error).__name__} on the way", type(error).__name__)


def _check_auth(auth: object) -> None:
    issuer, audiences = getattr(auth, "issuer", None), getattr(auth, "audiences", ())
    if not isinstance(issuer, str) or not callable(getattr(auth, "token", None)):
        raise ConfigurationError("ApiKeys needs auth=ClientCredentials(…) of kinde_guard.m2m, to ask Kinde with")
    management = f"{issuer}/api"
    if management not in audiences:
        raise ConfigurationError(
            f"ApiKeys asks Kinde's Management API, and auth= has tokens for {few(audiences)}: give its "
            f"ClientCredentials audience={management!r}, authorise the application for it in Kinde, and give it the "
            "scope read:api_keys"
        )


def _api_ids(given: str | Iterable[str] | None) -> frozenset[str]:
    name = VARIABLE if given is None else "api_ids"
    given = os.environ.get(VARIABLE) if given is None else given
    if given is None:
        raise ConfigurationError(
            f"ApiKeys has to know which API this is: set {VARIABLE}, or pass api_ids=, to the id of your API in Kinde "
            "(Settings → APIs → the API → API ID). Without it, a key of another API with a scope of the same name "
            "would be let in"
        )
    texts = leavings.values(name, given) if isinstance(given, str) else nonempty_texts(name, given)
    for text in texts:
        leavings.check(name, text)
        if _API_ID.fullmatch(text) is None:
            raise ConfigurationError(f"{name} must be one or several ids of APIs in Kinde, not {text!r}")
    if not texts:
        raise ConfigurationError(f"{name} is empty: set it to the id of your API in Kinde (Settings → APIs)")
    return frozenset(texts)


def _number(name: str, value: float, least: float, most: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise ConfigurationError(f"{name} must be a number from {least:,} to {most:,}, not {value!r}")
    return float(value)
