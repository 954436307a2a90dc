"""Tells a local Kinde what the guards of this process decide, for its console to show live. For development.

A guard makes a reporter where the variable ``KINDE_REPORT_VERDICTS_TO`` says so. It sends facts, never the text of a
token, and to this machine alone. Who observes does not wait: what happens is queued, and one short-lived thread at a
time sends it, for as long as there is something to send. If nobody answers, nothing is said about it. What does not fit
into the queue is dropped, the oldest first; so is what is left when the process ends, and what a forked child finds
that its parent had not sent yet.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from ..events import CannotTell, Event, KeysFailed, KeysFetched, Refused, Revoked, Verified
from ..settings import local_url
from .attempt import Attempt
from .fetch import Fetcher, FetchFailed
from .flight import Callback, Flight
from .request_above import NONE, JudgedRequest, request_above

PATH = "/_local/verdicts"
MAX_LENGTHS = {
    "process": 60,
    "verdict": 20,
    "reason": 40,
    "hint": 500,
    "fingerprint": 12,
    "subject": 100,
    "client": 100,
    "scopes": 300,
    "issuer": 200,
    "method": 20,
    "path": 200,
}
"""What a verdict may say, and in how many characters."""
COUNTS = ("pid", "times")
MAX_COUNT = 10**9
VERDICTS = ("verified", "refused", "cannot_tell", "revoked", "keys_fetched", "keys_failed")
MAX_VERDICTS = 100

MAX_WAITING = 2_000
BATCH = 50
"""Different verdicts at once."""
FULL = 48 * 1024
"""Bytes with which a batch is full: with one verdict more it still fits into the 64 KiB that a local Kinde reads."""
DEADLINE = 5.0
GATHERING = 0.2
"""Seconds from one batch to the next."""
WAIT_FOR_NOBODY = 2.0
"""Seconds until the next attempt, if one came to nothing."""

Fields = tuple[tuple[str, str], ...]
"""What a verdict says: names, as in ``MAX_LENGTHS``, and texts."""


class Reporter:
    """An observer for ``Guard(observer=…)`` that sends verdicts to the local Kinde at *url*; ``ConfigurationError``
    unless that is an http URL of this machine."""

    def __init__(self, url: str) -> None:
        self._url = local_url(url, "url") + PATH
        self._process = _process_name()
        self._fetcher = Fetcher(tls=False)
        self._waiting: deque[tuple[int, Event, JudgedRequest]] = deque(maxlen=MAX_WAITING)
        self._flight: Flight[Callback] = Flight(_as_it_is, _nothing_after, deadline=DEADLINE)

    def observe(self, event: Event) -> None:
        """Have *event* sent, soon; waits for nothing."""
        if type(event) in _FIELDS_OF:
            self._waiting.append((os.getpid(), event, _request_of(event)))
            self._flight.start(self._send)

    def _send(self, attempt: Attempt) -> Callback:
        batch, pause = self._batch(), 0.0
        if batch:
            body, pause = json.dumps(batch).encode(), WAIT_FOR_NOBODY
            with suppress(FetchFailed):
                self._fetcher.send("POST", self._url, attempt, headers={"content-type": "application/json"}, body=body)
                pause = GATHERING
        time.sleep(pause)
        return self._go_on

    def _batch(self) -> list[dict[str, str | int]]:
        """What waits, equal ones put together."""
        pid, known, found, size = os.getpid(), dict[tuple[Event, JudgedRequest], Fields](), Counter[Fields](), 0
        while self._waiting and len(known) < BATCH and size < FULL:
            process, event, request = self._waiting.popleft()
            if process != pid:
                continue
            fields = known.get((event, request))
            if fields is None:
                fields = known[event, request] = _fields(event, request)
                size += len(json.dumps([self._process, fields])) + 64  # for what is said of every verdict
            found[fields] += 1
        return [{"process": self._process, "pid": pid, **dict(fields), "times": found[fields]} for fields in found]

    def _go_on(self) -> None:
        """Called when the thread is done, and others can be started: something may have come in at the last moment."""
        if self._waiting:
            self._flight.start(self._send)


def _request_of(event: Event) -> JudgedRequest:
    if isinstance(event, Verified):
        return request_above(event.token.fingerprint)
    return request_above(event.fingerprint) if isinstance(event, Refused | CannotTell) else NONE


def _fields(event: Event, request: JudgedRequest) -> Fields:
    fields = {**_FIELDS_OF[type(event)](event), **request._asdict()}
    return tuple((name, value[: MAX_LENGTHS[name]]) for name, value in fields.items() if value)


def _verified(event: Verified) -> Mapping[str, str | None]:
    token = event.token
    return {
        "verdict": "verified",
        "fingerprint": token.fingerprint,
        "subject": token.subject,
        "client": token.client_id,
        "scopes": " ".join(sorted(token.scopes)),
        "issuer": token.issuer,
    }


def _refused(event: Refused) -> Mapping[str, str | None]:
    return {"verdict": "refused", "fingerprint": event.fingerprint, "reason": event.reason, "hint": event.hint}


def _cannot_tell(event: CannotTell) -> Mapping[str, str | None]:
    hint = f"try again in {event.retry_after} s"
    return {"verdict": "cannot_tell", "fingerprint": event.fingerprint, "reason": event.reason, "hint": hint}


def _revoked(event: Revoked) -> Mapping[str, str | None]:
    return {"verdict": "revoked", "reason": event.kind, "hint": f"{event.seconds * 1000:.0f} ms later"}


def _keys_fetched(event: KeysFetched) -> Mapping[str, str | None]:
    keys = "1 key" if event.keys == 1 else f"{event.keys} keys"
    hint = f"{keys} in {event.seconds * 1000:.0f} ms, fresh for {event.fresh_for:.0f} s"
    return {"verdict": "keys_fetched", "issuer": event.issuer, "hint": hint}


def _keys_failed(event: KeysFailed) -> Mapping[str, str | None]:
    return {"verdict": "keys_failed", "issuer": event.issuer, "reason": event.kind, "hint": event.problem}


_FIELDS_OF: Mapping[type[Event], Callable[[Any], Mapping[str, str | None]]] = {
    Verified: _verified,
    Refused: _refused,
    CannotTell: _cannot_tell,
    Revoked: _revoked,
    KeysFetched: _keys_fetched,
    KeysFailed: _keys_failed,
}


def _as_it_is(callback: Callback) -> Callback:
    return callback


def _nothing_after(_: Exception) -> Callback:
    """Nothing is said, and nothing begun anew: it may be that no thread can be had."""
    return lambda: None


def _process_name() -> str:
    """What people have started: the name of the command, of the module after ``-m``, or of the file; and which app, if
    an argument names one that has been imported (``uvicorn main:app``)."""
    path = sys.argv[0] if sys.argv else ""
    folder, name = os.path.split(path)
    if name == "__main__.py":
        name = os.path.basename(folder)
    app = next(
        (argument for argument in sys.argv[1:] if argument.partition(":")[0] in sys.modules and ":" in argument), ""
    )
    return f"{name if name not in ('', '-c', '-m') else 'python'} {app}".rstrip()[: MAX_LENGTHS["process"]]
