"""What is said to Redis, and how its answers are read: of redis-py or valkey-py, with or without decoded texts, by
RESP2 or RESP3.

For each issuer two streams: ``kinde_guard:{revocations}:<issuer>`` has the entries, ``…:lifts`` what counts no more.
The braces keep all of them in one slot of a cluster.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

PAGE = 200
"""Entries read at once: of more, an event loop beside it would feel the lag."""
CONFIRMED_WITHIN = 1_000
"""Milliseconds that a replica has to confirm a revocation."""
PREFIX = "kinde_guard:{revocations}:"
WORKER_FOR = 10
"""Seconds for which a worker that says nothing more is counted."""
MENDING_FOR = 10_000
"""Milliseconds for which one worker alone puts back what Redis has lost, at most."""
EVENT_FOR = 172_800
"""Seconds for which an event is known: Kinde repeats webhooks for 36 hours."""
Position = tuple[int, int]
"""The id of an entry in a stream."""
START: Position = (0, 0)


@dataclass(frozen=True, slots=True)
class StreamFacts:
    """What Redis says of a stream."""

    length: int
    first: Position
    last: Position
    added: int | None
    """How many entries it has ever had; ``None`` before Redis 7."""


@dataclass(frozen=True, slots=True)
class StreamEntry:
    """One entry of a stream."""

    position: Position
    fields: Mapping[str, str]


class RedisStreams:
    """A client, and nothing but the calls that are made."""

    def __init__(self, client: Any, batch: int = PAGE) -> None:
        self.client = client
        self._batch = batch

    def ask_for_primary(self) -> None:
        """Have a client of Sentinel's look which server the primary is now, and leave others."""
        ask = getattr(getattr(self.client, "connection_pool", None), "get_master_address", None)
        if callable(ask):
            ask()

    def facts(self, name: str) -> StreamFacts:
        """What is known of a stream; of one that is not there, that it is empty."""
        try:
            found = {_text(key): value for key, value in self.client.xinfo_stream(name).items()}
        except Exception as error:
            if "no such key" in str(error):
                return StreamFacts(0, START, START, None)
            raise
        first = found["first-entry"]
        return StreamFacts(
            found["length"],
            position(first[0]) if first else START,
            position(found["last-generated-id"]),
            found.get("entries-added"),
        )

    def pages(self, name: str, after: Position, last: Position) -> Iterator[list[StreamEntry]]:
        """What comes after *after*, up to *last*."""
        while after < last:
            page = _entries(self.client.xrange(name, min=f"({text_of(after)}", max=text_of(last), count=self._batch))
            if not page:
                return
            yield page
            after = page[-1].position

    def new(self, after: Mapping[str, Position], seconds: float) -> Iterator[tuple[str, list[StreamEntry]]]:
        """What comes after these positions, by stream; waits for it."""
        starts = {name: text_of(position) for name, position in after.items()}
        answer = self.client.xread(starts, count=self._batch, block=max(1, int(seconds * 1000)))
        pairs: Iterable[tuple[Any, Any]] = answer.items() if isinstance(answer, Mapping) else answer or ()
        for name, entries in pairs:
            # RESP3 has a list around the list.
            inner = entries[0] if entries and isinstance(entries[0], list) else entries
            yield _text(name), _entries(inner)

    def add(self, name: str, fields: Mapping[str, str], oldest: Position | None) -> None:
        """Append an entry; what is older than *oldest* may go."""
        trim = {} if oldest is None else {"minid": text_of(oldest), "approximate": True}
        self.client.xadd(name, dict(fields), **trim)

    def add_all(self, name: str, entries: Iterable[Mapping[str, str]]) -> None:
        """Append many."""
        pipeline = self.client.pipeline(transaction=False)
        for fields in entries:
            pipeline.xadd(name, dict(fields))
        pipeline.execute()

    def mark(self, issuer: str) -> None:
        """Have it known, from now on, that this issuer's stream has had entries."""
        self.client.set(marker_of(issuer), "1")

    def mark_and_wait(self, issuer: str) -> bool:
        """:meth:`mark`, and whether a replica has that and what was written before, within a second: else a failover
        may lose it. True where there are no replicas, and where nobody may ask."""
        node = self._node_of(marker_of(issuer))
        if not _has_replicas(node):
            self.mark(issuer)
            return True
        pipeline = node.pipeline(transaction=False)  # WAIT asks of its own connection
        pipeline.set(marker_of(issuer), "1")
        pipeline.execute_command("WAIT", 1, CONFIRMED_WITHIN)
        marked, confirmed = pipeline.execute(raise_on_error=False)
        if isinstance(marked, Exception):
            raise marked
        return isinstance(confirmed, Exception) or confirmed > 0

    def marked(self, issuer: str) -> bool:
        """Whether it is."""
        return bool(self.client.exists(marker_of(issuer)))

    def lock(self, issuer: str, name: str) -> bool:
        """Whether *name* is now the one that puts back what is missing."""
        return bool(self.client.set(mending_of(issuer), name, nx=True, px=MENDING_FOR))

    def unlock(self, issuer: str, name: str) -> None:
        """It is done."""
        if _text(self.client.get(mending_of(issuer)) or "") == name:
            self.client.delete(mending_of(issuer))

    def report(self, issuer: str, name: str, report: str) -> None:
        """What the worker *name* has applied; forgotten if it is not said again."""
        pipeline = self.client.pipeline(transaction=False)
        pipeline.set(worker_of(issuer, name), report, ex=WORKER_FOR)
        pipeline.sadd(workers_of(issuer), name)
        pipeline.execute()

    def reports(self, issuer: str) -> dict[str, str]:
        """What the workers that live have applied, by name."""
        names = sorted(map(_text, self.client.smembers(workers_of(issuer))))
        found = self.client.mget([worker_of(issuer, name) for name in names]) if names else []
        return {name: _text(report) for name, report in zip(names, found, strict=True) if report is not None}

    def begin(self, name: str, seconds: int) -> str:
        """``mine`` if nobody has begun this, or has for that long; else how far somebody is: ``busy`` or ``done``."""
        if self.client.set(name, "busy", nx=True, ex=seconds):
            return "mine"
        return _text(self.client.get(name) or "busy")

    def finish(self, name: str) -> None:
        """It is done, and nobody need do it again."""
        self.client.set(name, "done", ex=EVENT_FOR)

    def give_up(self, name: str) -> None:
        """Somebody else may begin it."""
        self.client.delete(name)

    def _node_of(self, name: str) -> Any:
        """The client of the server that has this key: in a cluster one of several."""
        find = getattr(self.client, "get_node_from_key", None)
        return self.client if find is None else self.client.get_redis_connection(find(name))


def stream_of(issuer: str) -> str:
    """The name of the stream of entries."""
    return f"{PREFIX}{issuer}"


def lifts_of(issuer: str) -> str:
    """The stream of lifts, which the operator's user alone may write to."""
    return f"{stream_of(issuer)}:lifts"


def marker_of(issuer: str) -> str:
    """The key that says that the stream has had entries."""
    return f"{stream_of(issuer)}:marker"


def mending_of(issuer: str) -> str:
    """The lock of whoever puts back what is missing."""
    return f"{stream_of(issuer)}:mending"


def workers_of(issuer: str) -> str:
    """The set of workers' names."""
    return f"{stream_of(issuer)}:workers"


def worker_of(issuer: str, name: str) -> str:
    """What one worker has applied."""
    return f"{stream_of(issuer)}:worker:{name}"


def event_of(issuer: str, event_id: str) -> str:
    """That an event was had."""
    return f"{stream_of(issuer)}:event:{event_id}"


def position(text: str | bytes) -> Position:
    """The position that its text, ``<ms>-<number>``, stands for."""
    ms, _, number = _text(text).partition("-")
    return int(ms), int(number or 0)


def text_of(position: Position) -> str:
    """A position as Redis writes it."""
    return f"{position[0]}-{position[1]}"


def is_turned_down(error: Exception) -> bool:
    """Whether Redis is there, and does not do it: this user may not (ACL), it is a replica, or it is full."""
    return any(kind.__name__ == "ResponseError" for kind in type(error).__mro__)


def _has_replicas(client: Any) -> bool:
    """As far as this user may know."""
    try:
        role = client.role()
    except Exception as error:
        if not is_turned_down(error):
            raise
        return False
    return _text(role[0]) == "master" and bool(role[2])


def _entries(found: Any) -> list[StreamEntry]:
    return [
        StreamEntry(position(name), {_text(key): _text(value) for key, value in (fields or {}).items()})
        for name, fields in found or ()
    ]


def _text(value: str | bytes) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
