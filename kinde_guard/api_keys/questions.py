"""What is asked of Kinde about a key, and what the answers come to.

* ``POST /api/v1/api_keys/verify`` says whether the key is good, and not which API it is for. A key of another API may
  have a scope of the same name: so
* ``GET /api/v1/api_keys/{key_id}`` is asked once for each key, whose ``api_ids`` never change (a key for another API is
  another key). It is asked again after an hour all the same.
* Kinde's pages disagree on what a 401 or 403 to the first is about: the key, or our own token. Where it does not speak
  of the token, and that is good for something else, it is the key; else it is our mistake, and never the caller's.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from ..errors import KindeGuardError
from ..net.attempt import Attempt
from ..net.fetch import Fetcher, FetchFailed, HttpAnswer
from ..net.headers import asked_wait
from ..net.in_between import hint, refused_by
from .answers import (
    HINT_NOT_VALID,
    HINT_OVER,
    HINT_WRONG_API,
    Answer,
    Bound,
    Facts,
    Refused,
    Unreadable,
    bound_in,
    is_about_our_token,
    question,
    verdict_in,
)
from .memory import Remembered

if TYPE_CHECKING:
    from ..m2m import ClientCredentials
    from ..net.clocks import Clocks

PATH = "/api/v1/api_keys"
BOUND_FOR = 3_600.0
_WAITS = ("ratelimit-reset", "retry-after")
_NOT_TAKEN = (
    "{1} answered {0} to our own token: in Kinde, open the application that ApiKeys(auth=…) names, then APIs; "
    "authorise it for the Kinde Management API, and give it the scope read:api_keys"
)
_NOT_THERE = "{}/api/v1/api_keys is not there: auth= has to name the tenant's kinde.com domain"


class Failed(NamedTuple):
    """There is no answer that says anything of the key."""

    problem: str
    """In a sentence, fit for a log."""
    kind: str
    """In a word, for metrics: a status, or a name."""
    wait: float = 0.0
    """Seconds, if Kinde named any."""
    ours: bool = False
    """Whether our own token, or where it is sent, is to be mended."""


Outcome = Answer | Refused | Failed


class Questions:
    """Asks about keys with the token of *auth*. Good are those for one of *api_ids*. *seconds*: for how long an answer
    is relied on."""

    def __init__(
        self,
        auth: ClientCredentials,
        api_ids: frozenset[str],
        fetcher: Fetcher,
        clocks: Callable[[], Clocks],
        seconds: float,
        most: int,
    ) -> None:
        self._auth, self._api_ids, self._fetcher = auth, api_ids, fetcher
        self._clocks, self._seconds = clocks, seconds
        self._bound: Remembered[str, tuple[Bound, float]] = Remembered(most)

    def judge(self, key: bytes, attempt: Attempt) -> Outcome:
        """What Kinde says of *key*. Called in a thread that may wait."""
        asked = self._clocks().now()
        try:
            token = self._auth.token()
        except KindeGuardError as error:  # TokenRequestFailed: its text says what to do
            wait = float(getattr(error, "retry_after", 1))
            return Failed(
                f"no token to ask with: {error}", "no_token", wait, ours=not getattr(error, "retryable", True)
            )
        text = key.decode("ascii")
        ask = partial(self._ask, token, text, attempt)
        try:
            found = self._judged(ask("POST", "/verify", question(key)), text, ask)
        except (FetchFailed, Unreadable) as error:
            kind = "no_answer" if isinstance(error, FetchFailed) else "unreadable"
            return Failed(f"no answer about a key: {error}", kind)
        return Answer.of(found, self._auth.issuer, asked, self._seconds) if isinstance(found, Facts) else found

    def _judged(self, answer: HttpAnswer, key: str, ask: Callable[..., HttpAnswer]) -> Facts | Refused | Failed:
        if answer.status in (401, 403):
            return self._whose_fault(answer, key, ask)
        if answer.status == 400:  # the question was whole: what is wrong is the key
            return Refused("invalid_api_key", HINT_NOT_VALID)
        if answer.status != 200:
            return self._failed(answer)
        verdict = verdict_in(answer.body)
        return self._ours(verdict, key, ask) if isinstance(verdict, Facts) else verdict

    def _whose_fault(self, answer: HttpAnswer, key: str, ask: Callable[..., HttpAnswer]) -> Refused | Failed:
        body = answer.body.replace(key.encode(), b"")  # strangers choose what is in a key
        spoken_for = is_about_our_token(body) or refused_by(answer.status, answer.headers)
        if not spoken_for and ask("GET", "?page_size=1").status == 200:
            return Refused("invalid_api_key", HINT_NOT_VALID)
        return self._failed(answer)

    def _ours(self, facts: Facts, key: str, ask: Callable[..., HttpAnswer]) -> Facts | Refused | Failed:
        """Whether the key is for this API, and not over."""
        bound = self._known_bound(facts.key_id, key) or self._asked_bound(facts.key_id, ask)
        if not isinstance(bound, Bound):
            return bound
        if not bound.is_of(key):  # somebody's answer has come to somebody else
            raise Unreadable("it is about another key, which ends otherwise")
        if not bound.api_ids & self._api_ids:
            return Refused("wrong_api", HINT_WRONG_API)
        facts = facts._replace(expires_at=min(facts.expires_at, bound.expires_at))
        return facts if self._clocks().wall() < facts.expires_at else Refused("expired", HINT_OVER)

    def _asked_bound(self, key_id: str, ask: Callable[..., HttpAnswer]) -> Bound | Refused | Failed:
        answer = ask("GET", f"/{key_id}")
        if answer.status == 404:  # it has been deleted in between
            return Refused("invalid_api_key", HINT_NOT_VALID)
        if answer.status != 200:
            return self._failed(answer)
        bound = bound_in(answer.body, key_id)
        if isinstance(bound, Bound) and bound.api_ids & self._api_ids:
            self._bound.put(key_id, (bound, self._clocks().monotonic() + BOUND_FOR))
        return bound

    def _known_bound(self, key_id: str, key: str) -> Bound | None:
        """What is known of it; nothing if it has been rotated since, which leaves its id as it is."""
        bound, until = self._bound.find(key_id) or (None, 0.0)
        return bound if bound and bound.is_of(key) and self._clocks().monotonic() < until else None

    def _failed(self, answer: HttpAnswer) -> Failed:
        status = answer.status
        wait = asked_wait(answer.headers, self._clocks().wall(), *_WAITS) or 0.0
        if status in (401, 403) and not refused_by(status, answer.headers):
            return Failed(_NOT_TAKEN.format(status, self._auth.issuer), str(status), wait, ours=True)
        if status == 404:
            return Failed(_NOT_THERE.format(self._auth.issuer), "404", wait, ours=True)
        return Failed(f"Kinde answered {status}{hint(status, answer.headers)}", str(status), wait)

    def _ask(self, token: str, key: str, attempt: Attempt, method: str, path: str, body: bytes = b"") -> HttpAnswer:
        headers = {"accept": "application/json", "authorization": f"Bearer {token}"}
        headers |= {"content-type": "application/json"} if body else {}
        url = f"{self._auth.issuer}{PATH}{path}"
        try:
            return self._fetcher.send(method, url, attempt, headers=headers, body=body)
        except FetchFailed as error:
            raise FetchFailed(str(error).replace(token, "***").replace(key, "***")) from None
