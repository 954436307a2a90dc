"""The request for an issuer's JWK Set, and what it comes to: keys and how long they are fresh, or a problem."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from ..net import forks
from ..net.attempt import Attempt
from ..net.fetch import Fetcher, FetchFailed, HttpAnswer, one_line
from ..net.headers import asked_wait
from ..net.in_between import hint
from .jwk import Key, KeyId, KeysRead, UnusableKeySet, load_libraries, read_jwk_set
from .key_set import NEVER, life_of
from .notices import drift

_ACCEPT = {"accept": "application/jwk-set+json, application/json"}


class Loaded(NamedTuple):
    """A request that has brought keys."""

    read: KeysRead
    life: float
    """For how many seconds they are fresh, as the answer has it."""
    drift: float | None
    """As :attr:`~kinde_guard.keys.health.IssuerHealth.clock_drift`."""
    cool_until: float = NEVER
    """As :attr:`~kinde_guard.keys.key_set.KeySet.cool_until`: the key store knows what the request was for."""


class Failed(NamedTuple):
    """A request that has brought no keys."""

    kind: str
    """In a word: a status, or the name of an exception."""
    problem: str
    """In a sentence, fit for a log."""
    retry_after: float | None = None
    """How many seconds the issuer asks to be left alone; ``None`` if it does not."""

    @classmethod
    def unexpectedly(cls, error: Exception) -> Failed:
        """The failure where *error* has ended the call, or kept it from being made."""
        return cls(type(error).__name__, f"{type(error).__name__}: {one_line(error)}")


class JwksRequest:
    """The ``GET`` of the JWK Set at *url*, to be sent again and again. Read are the keys that may verify one of
    *algorithms*. *wall*: a clock that says seconds since the epoch."""

    def __init__(self, url: str, algorithms: tuple[str, ...], fetcher: Fetcher, wall: Callable[[], float]) -> None:
        load_libraries(algorithms)
        self._url = url
        self._algorithms = algorithms
        self._fetcher = fetcher
        self._wall = wall

    def send(self, known: Mapping[KeyId, Key], attempt: Attempt) -> Loaded | Failed:
        """Wait for the answer, and check it whole. A key of *known* that has not changed stays the same object."""
        sent = self._wall()
        try:
            answer = self._fetcher.send("GET", self._url, attempt, headers=_ACCEPT)
            received = self._wall()
            if answer.status != 200:
                return _failed_by_status(answer, received)
            read = self.read(answer.body, known)
        except (FetchFailed, UnusableKeySet) as error:
            return Failed(type(error).__name__, str(error))
        return Loaded(read, life_of(answer.headers), drift(answer.headers, sent, received))

    def read(self, body: bytes, known: Mapping[KeyId, Key]) -> KeysRead:
        """The keys in *body*; raises :class:`~kinde_guard.keys.jwk.UnusableKeySet`."""
        with forks.steady:  # cryptography has an OpenSSL of its own, with locks of its own
            return read_jwk_set(body, self._algorithms, known)


def _failed_by_status(answer: HttpAnswer, received: float) -> Failed:
    """*received*: when *answer* came, in seconds since the epoch."""
    problem = f"the issuer answered {answer.status}{hint(answer.status, answer.headers)}"
    return Failed(str(answer.status), problem, asked_wait(answer.headers, received, "retry-after"))
