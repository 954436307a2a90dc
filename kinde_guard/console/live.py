"""The list of what happens, on every page: newest first, and asked for again by the page itself."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..issuer import LocalIssuer
from ..issuer.journal import Entry

SHOWN = 100
EVERY = "1s"
GROUPS = {
    "all": "Everything",
    "verdicts": "Verdicts",
    "tokens": "Tokens",
    "people": "People and webhooks",
    "keys": "Keys and faults",
    "api-keys": "API keys",
}
"""What can be shown alone; the first is all of it."""
_GROUP_OF = {
    "verdicts": ("verdict",),
    "tokens": ("token", "minted", "sent", "sign"),
    "people": ("suspended", "restored", "deleted", "changed", "revoked", "webhook"),
    "keys": ("keys", "discovery", "rotated", "published", "withdrawn", "broken", "healed", "down", "up"),
    "api-keys": ("api_key",),
}
"""How the kinds of a group begin."""
_BAD = frozenset({"token_refused", "sign_in_refused", "broken", "down", "webhook_failed", "webhook_disabled"})
_GOOD = frozenset({"token_issued", "signed_in", "healed", "up", "webhook_sent"})
_NOTHING: tuple[object, ...] = ("", None, False, [])
_PLAIN = frozenset({"path", "answer", "verdict", "times", "issuer", "hard"})  # to whoever reads the summary
_UNNAMED = frozenset({"hint", "user_agent"})  # they speak for themselves
_VERDICT_TONES = {"verified": "good", "revoked": "good", "refused": "bad", "cannot_tell": "bad", "keys_failed": "bad"}
_WHOSE = ("subject", "client", "client_id")


@dataclass(frozen=True, slots=True)
class Line:
    """An entry as it is shown."""

    time: str
    iso: str
    kind: str
    summary: str
    details: str
    tone: str
    group: str


def live(issuer: LocalIssuer, since: int = 0) -> dict[str, Any]:
    """What the templates need: what happened after entry *since*, newest first, no more than is shown at once."""
    entries = issuer.journal.since(since)[-SHOWN:]
    last = entries[-1].number if entries else since
    names = _names(issuer)
    lines = [_line(entry, names) for entry in reversed(entries)]
    return {"every": EVERY, "last": last, "lines": lines, "state": state(issuer), "groups": GROUPS}


def begin_anew(since: int, last: int) -> bool:
    """Whether a page that shows entries up to *since* is to throw its list away: it comes from an earlier run, or the
    list would grow for as long as the page is open."""
    return since > last or since // SHOWN != last // SHOWN


def state(issuer: LocalIssuer) -> str:
    """What is wrong with the local Kinde; empty if nothing is."""
    if issuer.down:
        return "down"
    return ", ".join(
        f"{place.replace('_', ' ')}: {broken.name.replace('_', ' ')}" for place, broken in issuer.faults.items()
    )


def _names(issuer: LocalIssuer) -> dict[str, str]:
    """What people call whom a token names by an id."""
    registry = issuer.registry
    return {user.id: user.name for user in registry.users} | {app.client_id: app.name for app in registry.apps}


def _line(entry: Entry, names: Mapping[str, str]) -> Line:
    moment = time.localtime(entry.time)
    ids = [str(entry.details[name]) for name in _WHOSE if name in entry.details]
    known = {one: names[one] for one in ids if one in names}
    summary = _summary(entry, known)
    return Line(
        time.strftime("%H:%M:%S", moment),
        time.strftime("%Y-%m-%dT%H:%M:%S%z", moment),
        _kind(entry),
        summary,
        _details(entry, summary, known),
        _tone(entry),
        _group(entry),
    )


def _group(entry: Entry) -> str:
    return next((group for group, starts in _GROUP_OF.items() if entry.kind.startswith(starts)), "all")


def _tone(entry: Entry) -> str:
    if entry.kind == "verdict":
        return _VERDICT_TONES.get(str(entry.details.get("verdict")), "")
    return "bad" if entry.kind in _BAD or _fetched_nothing(entry) else "good" if entry.kind in _GOOD else ""


def _fetched_nothing(entry: Entry) -> bool:
    return entry.kind.endswith("_fetched") and entry.details.get("answer") != "200"


def _kind(entry: Entry) -> str:
    kind = entry.kind.replace("_", " ").replace("api key", "API key")
    return f"{kind.removesuffix('fetched')}asked for" if _fetched_nothing(entry) else kind


def _summary(entry: Entry, known: Mapping[str, str]) -> str:
    """The summary, without what the kind says already, and with names for ids."""
    summary = entry.summary.removeprefix(entry.kind.replace("_", " ")).lstrip(": ")
    for one, name in known.items():
        summary = summary.replace(f" of {one}", f" of {name}")
    return summary


def _details(entry: Entry, summary: str, known: Mapping[str, str]) -> str:
    """What there is to know besides the summary, in a line; advice comes first."""
    details = {
        name: _text(value) for name, value in entry.details.items() if value not in _NOTHING and name not in _PLAIN
    }
    details = {name: known.get(text, text) for name, text in details.items()}
    details = {name: text for name, text in details.items() if text not in summary}
    parts = sorted(details.items(), key=lambda part: part[0] not in _UNNAMED)
    return " · ".join(text if name in _UNNAMED else f"{name.replace('_', ' ')} {text}" for name, text in parts)


def _text(value: object) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)
