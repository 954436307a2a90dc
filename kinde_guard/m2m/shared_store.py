"""What a fleet shares in Redis or Valkey: a token, the mark under which it is good, and whose turn it is to fetch one.

All of it may be asked of a client that nobody knows anything of: each question has an end, as has the time that all of
them may take together; and whatever comes instead of an answer is :class:`Away`.
"""

from __future__ import annotations

import json
import math
import os
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from ..events import log
from ..net.bounded import BoundedCalls
from ..net.clocks import Clocks, Moment, ageing
from ..net.fetch import TOTAL_TIMEOUT
from ..net.redis_client import client_for, problem_of
from .seal import Seal
from .token_request import Application, Held

PREFIX = "kinde_guard:{m2m:"
"""Of the names of all keys; what an ACL has to name."""
REPLACED_ONCE_IN = 60
ANSWER_TIMEOUT, CALL_TIMEOUT = 0.4, 1.0  # for an answer of Redis; for all calls of one fetch, and what is in their way
TURN_LASTS = math.ceil(TOTAL_TIMEOUT) + 3  # seconds that a turn lasts if nobody ends it: longer than a fetch
_MARK_LASTS = 400 * 86_400  # longer than any token
_END = "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) end return 0"


@dataclass(frozen=True, slots=True)
class Seen:
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


class Away(Exception):
    """Redis does not answer, or not as it should."""


class SharedStore:
    """The Redis of all processes that ask as one *app*; *where*: a URL, or a client of redis or valkey."""

    def __init__(self, where: str | RedisClient, app: Application, clocks: Clocks, *, name: str) -> None:
        """*name*: what *where* is called by whoever has set it."""
        self._client = client_for(where, name=name, needs=("mget", "set", "eval"), timeout=ANSWER_TIMEOUT)
        if isinstance(where, str):  # nobody else would close its connections
            weakref.finalize(self, self._client.close).atexit = False
        self._calls, self._patience = BoundedCalls(CALL_TIMEOUT), threading.local()
        self._seal = Seal(app)
        self._clocks = clocks
        self._whose = f"{app.client_id} of {app.issuer}"
        self._mark = self._untold = ""  # a mark that the others have yet to be told of counts here already
        self._away = False
        self.looked = -math.inf
        """When somebody of this process has looked last, by the clock of ages."""

    @property
    def mark(self) -> str:
        """The mark under which a token that is fetched now is good."""
        return self._untold or self._mark

    def begin(self) -> None:
        """Whatever this thread asks from now on may take a second in all."""
        self._patience.left = CALL_TIMEOUT

    def see(self, turn: int) -> Seen:
        """What it holds; *turn*: the one that is looked at."""
        self.looked = self._clocks.monotonic()
        if self._untold:
            self.tell()
        names = [self._key(name) for name in ("token", "mark", f"turn:{turn}", "replaced")]
        token, sealed_mark, owner, replaced = self._call(partial(self._values, names))
        mark, held = self._seal.open("mark", sealed_mark), _read(self._seal.open("token", token), self._clocks.now())
        if held is not None and mark not in (None, held.mark):
            held = None
        self._mark = mark or self._mark
        return Seen(held, mark, bool(owner), bool(replaced))

    @contextmanager
    def turn(self, turn: int) -> Iterator[str]:
        """Its owner, if it is ours now; else nothing."""
        owner = os.urandom(16).hex()
        if not self._put(f"turn:{turn}", owner, TURN_LASTS, nx=True):
            yield ""
            return
        try:
            yield owner
        finally:
            self._end(f"turn:{turn}", owner)

    def publish(self, held: Held) -> None:
        """For all; if Redis is away, for nobody else."""
        with suppress(Away):
            self._put("token", self._seal.close("token", _written(held)), math.ceil(held.life))

    def may_replace(self, owner: str) -> bool:
        """Whether nobody has within a minute; then the next minute is the *owner*'s."""
        return self._put("replaced", owner, REPLACED_ONCE_IN, nx=True)

    def has_not_replaced(self, owner: str) -> None:
        """Somebody else may try."""
        self._end("replaced", owner)

    def leave_mark(self) -> None:
        """A new mark, which counts at once for what is fetched here."""
        self._untold = os.urandom(16).hex()

    def tell(self) -> None:
        """Tell the others of a mark that was left here."""
        self._call(self._write_mark)

    async def atell(self) -> None:
        """:meth:`tell` for event loops."""
        with self._noted():
            await self._calls.amake(self._write_mark)

    def _write_mark(self) -> None:
        mark = self._untold
        if not mark:
            return  # somebody else of this process has just told it
        self._client.set(self._key("mark"), self._seal.close("mark", mark), ex=_MARK_LASTS)
        self._mark = mark
        if self._untold == mark:  # and there has been no other meanwhile
            self._untold = ""

    def _values(self, names: list[str]) -> list[Any]:
        try:
            return list(self._client.mget(names))
        except UnicodeDecodeError:  # the client answers with texts, and one of them is none
            return [None] if len(names) == 1 else [self._values([name])[0] for name in names]

    def _put(self, name: str, value: str, seconds: int, *, nx: bool = False) -> bool:
        return bool(self._call(lambda: self._client.set(self._key(name), value, ex=max(1, seconds), nx=nx)))

    def _end(self, name: str, owner: str) -> None:
        """If it is still the owner's; if Redis is away, it ends by itself."""
        with suppress(Away):
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
            raise Away from None
        if self._away:
            log.info("the fleet's token of %s is shared again", self._whose)
        self._away = False


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
