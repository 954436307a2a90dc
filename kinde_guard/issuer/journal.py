"""What happens at a local Kinde, in order: what it was asked and answered, what was done to it, what guards say.

For people to read, on a page or by ``/_local/events``. No entry holds the text of a token, and none a secret: who adds
one names an app by its client id, and a token by what it is for.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from ..net import forks

MAX_ENTRIES = 1_000
MAX_TEXT = 300
MAX_SEEN = 4 * MAX_TEXT
MAX_ITEMS = 50
_TOKEN = re.compile(r"eyJ[\w-]+\.[\w-]+(?:\.[\w-]*)*|\bk_(?:live|test)_\w+")  # a JWT, as far as it goes; an API key


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry of the journal: something that happened, and when."""

    number: int
    """One more than that of the entry before."""
    time: float
    """Seconds since the epoch."""
    kind: str
    """``keys_fetched``, ``discovery_fetched``, ``token_issued``, ``token_refused``, ``signed_in``, ``sign_in_refused``,
    ``signed_out``, ``revoked``, ``api_key_created``, ``api_key_rotated``, ``api_key_revoked``, ``api_key_verified``,
    ``api_key_refused``, ``suspended``, ``restored``, ``deleted``, ``changed``, ``webhook_sent``,
    ``webhook_failed``, ``webhook_disabled``, ``rotated``, ``published``, ``withdrawn``, ``broken``,
    ``healed``, ``down``, ``up`` or ``verdict``; a reader has to expect others, too."""
    summary: str
    """What happened, in one line."""
    details: Mapping[str, object]
    """What there is to know besides, as values that JSON has."""

    def as_json(self) -> dict[str, object]:
        """The entry as :func:`json.dumps` takes it."""
        return {
            "number": self.number,
            "time": self.time,
            "kind": self.kind,
            "summary": self.summary,
            "details": dict(self.details),
        }


class Journal:
    """The journal keeps the last thousand entries. Threads may add while others read."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = forks.Lock()
        self._entries: deque[Entry] = deque(maxlen=MAX_ENTRIES)
        self._last = 0

    @property
    def last(self) -> int:
        """The number of the newest entry; 0 if there is none."""
        return self._last

    def add(self, kind: str, summary: str, /, **details: object) -> Entry:
        """Write down that something happened. Text is cut and cleaned; whatever looks like a token is taken out."""
        fitting = MappingProxyType({name: _fit(value) for name, value in details.items()})
        with self._lock.now:
            self._last += 1
            entry = Entry(self._last, self._clock(), kind, _text(summary), fitting)
            self._entries.append(entry)
        return entry

    def since(self, number: int = 0) -> tuple[Entry, ...]:
        """The entries after that of *number*, oldest first, as far as they are kept."""
        with self._lock.now:
            return tuple(entry for entry in self._entries if entry.number > number)


def _fit(value: object) -> object:
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Iterable) and not isinstance(value, str | bytes):
        return [_text(str(item)) for item in list(value)[:MAX_ITEMS]]
    return _text(str(value))


def _text(text: str) -> str:
    """*text* as one line of bounded length; a token that somebody has put where none belongs is not repeated."""
    line = "".join(char if char.isprintable() else " " for char in _TOKEN.sub("(a token)", text[:MAX_SEEN]))
    return line if len(line) <= MAX_TEXT else f"{line[: MAX_TEXT - 1]}…"
