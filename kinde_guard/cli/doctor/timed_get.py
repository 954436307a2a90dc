"""One GET to an issuer, made as the guard makes it (the same limits, no redirects, no credentials) and timed."""

from __future__ import annotations

import functools
import json
import time
from dataclasses import dataclass
from functools import partial
from typing import Any

import httpx

from ...keys.notices import drift
from ...net import flight, joining
from ...net.attempt import Attempt
from ...net.fetch import TOTAL_TIMEOUT, Fetcher, FetchFailed, HttpAnswer, one_line
from ...net.in_between import hint

_ACCEPT = {"accept": "application/json"}


@dataclass(frozen=True, slots=True)
class TimedAnswer:
    """The answer with status 200 or, where there is none, the problem; and how long it took."""

    answer: HttpAnswer | None = None
    problem: str = ""
    seconds: float = 0.0
    drift: float | None = None
    """By how many seconds the clock here is ahead of the issuer's."""

    def document(self) -> dict[str, Any] | None:
        """The JSON object in it."""
        try:
            found = json.loads(self.answer.body) if self.answer is not None else None
        except (ValueError, RecursionError):
            return None
        return found if isinstance(found, dict) else None


def timed_get(url: str, transport: httpx.BaseTransport | None = None) -> TimedAnswer:
    """GET *url*, over *transport* if there is one; at most 5 s, whatever happens."""
    landed: list[TimedAnswer] = []

    def land(answered: TimedAnswer) -> flight.Callback:
        landed.append(answered)
        return lambda: None

    fetcher, began = _fetcher(transport), time.monotonic()
    call = flight.Flight(land, _problem_of, deadline=TOTAL_TIMEOUT)
    joining.join(call.start(partial(_get, fetcher, url, began)), TOTAL_TIMEOUT + 1)
    return landed[0] if landed else TimedAnswer(problem="no whole answer in time")


@functools.cache
def _fetcher(transport: httpx.BaseTransport | None) -> Fetcher:
    return Fetcher(transport)


def _get(fetcher: Fetcher, url: str, began: float, attempt: Attempt) -> TimedAnswer:
    sent = time.time()
    try:
        answer = fetcher.send("GET", url, attempt, headers=_ACCEPT)
    except FetchFailed as error:
        return TimedAnswer(problem=str(error))
    taken, ahead = time.monotonic() - began, drift(answer.headers, sent, time.time())
    if answer.status != 200:
        problem = f"it answered {answer.status}{hint(answer.status, answer.headers)}"
        return TimedAnswer(problem=problem, seconds=taken, drift=ahead)
    return TimedAnswer(answer, seconds=taken, drift=ahead)


def _problem_of(error: Exception) -> TimedAnswer:
    return TimedAnswer(problem=f"{type(error).__name__}: {one_line(error)}")
