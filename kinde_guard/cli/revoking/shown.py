"""Revocations as lines for people and as JSON. What stands in Redis may have been written by anybody who may: it is
shown in ASCII, and plays no tricks on the terminal."""

from __future__ import annotations

import json
import time

from ...revocation import Revocation

_WHOM = {"token": "token", "subject": "user", "client": "app", "org": "organization"}


def as_json(entry: Revocation) -> dict[str, object]:
    """The entry as programs read it; *issued_before* in seconds since the epoch."""
    return {
        "id": entry.id,
        "kind": entry.kind,
        "value": entry.value,
        **({"org": entry.org} if entry.kind == "member" else {}),
        "issued_before": entry.issued_before,
        "reason": entry.reason,
        "by": entry.by,
    }


def whom(entry: Revocation) -> str:
    """Whose tokens."""
    if entry.kind == "all":
        return "everybody"
    if entry.kind == "keys":
        return "the issuer's keys"
    name = f"{_WHOM.get(entry.kind, 'user')} {_ascii(entry.value)}"
    return f"{name} in organization {_ascii(entry.org)}" if entry.kind == "member" else name


def what(entry: Revocation) -> str:
    """What it says, in a line."""
    if entry.kind == "keys":
        return "every worker fetches the issuer's keys"
    until = "" if entry.kind == "token" else f", issued up to {when(entry.issued_before)}"
    return f"{whom(entry)}{until}"


def why(entry: Revocation) -> str:
    """And by whom, for the end of a line."""
    return " ".join(filter(None, (f"by {_ascii(entry.by)}" if entry.by else "", _ascii(entry.reason))))


def when(seconds: float) -> str:
    """A date for people, in UTC."""
    return f"{time.strftime('%Y-%m-%d %H:%M:%S', time.gmtime(seconds))} UTC"


def _ascii(text: str) -> str:
    return json.dumps(text)[1:-1]
