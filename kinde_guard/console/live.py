"""The list of what happens, on every page: newest first, and asked for again by the page itself."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from ..issuer import LocalIssuer
from ..issuer.journal import Entry

SHOWN = 100
EVERY = "1s"
_BAD = frozenset({"token_refused", "sign_in_refused", "broken", "down"})
_GOOD = frozenset({"token_issued", "signed_in", "healed", "up"})
_NOTHING: tuple[object, ...] = ("", None, False, [])
_PLAIN = frozenset({"path", "answer", "verdict", "times", "issuer"})  # to whoever reads the summary


@dataclass(frozen=True, slots=True)
class Line:
    """An entry as it is shown."""

    time: str
    iso: str
    kind: str
    summary: str
    details: str
    tone: str


def live(issuer: LocalIssuer, since: int = 0) -> dict[str, Any]:
    """What the templates need: what happened after entry *since*, newest first, no more than is shown at once."""
    entries = issuer.journal.since(since)[-SHOWN:]
    last = entries[-1].number if entries else since
    lines = [_line(entry) for entry in reversed(entries)]
    return {"every": EVERY, "last": last, "lines": lines, "state": state(issuer)}


def begin_anew(since: int, last: int) -> bool:
    """Whether a page that shows entries up to *since* is to throw its list away: it comes from an earlier run, or the
    list would grow for as long as the page is open."""
    return since > last or since // SHOWN != last // SHOWN


def state(issuer: LocalIssuer) -> str:
    """What is wrong with the local Kinde; empty if nothing is."""
    if issuer.down:
        return "down"
    return ", ".join(f"{place} {broken.name.replace('_', ' ')}" for place, broken in issuer.faults.items())


def _line(entry: Entry) -> Line:
    moment = time.localtime(entry.time)
    return Line(
        time.strftime("%H:%M:%S", moment),
        time.strftime("%Y-%m-%dT%H:%M:%S%z", moment),
        entry.kind.replace("_", " "),
        entry.summary,
        _told(entry),
        _tone(entry),
    )


def _tone(entry: Entry) -> str:
    if entry.kind == "verdict":
        return {"verified": "good", "refused": "bad"}.get(str(entry.details.get("verdict")), "")
    return "bad" if entry.kind in _BAD else "good" if entry.kind in _GOOD else ""


def _told(entry: Entry) -> str:
    """What there is to know besides the summary, in a line."""
    told = {name: _text(value) for name, value in entry.details.items() if value not in _NOTHING and name not in _PLAIN}
    return " · ".join(f"{name.replace('_', ' ')} {text}" for name, text in told.items() if text not in entry.summary)


def _text(value: object) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)
