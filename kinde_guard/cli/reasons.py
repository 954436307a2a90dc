"""``kinde-guard explain --reason``: what the page of reasons says of one, without a network and without a browser."""

from __future__ import annotations

import difflib
import json
import re
from pathlib import Path
from typing import NamedTuple

from ..errors import ConfigurationError
from ..web.bearer import TEXTS
from .screen import Screen

PACKAGED = Path(__file__).with_name("reasons.md")
_IN_A_CLONE = Path(__file__).parents[2] / "docs" / "reasons.md"
_SECTION = re.compile(
    r"\*\*(?P<status>\d+)\.?\*\*.*?\*(?P<detail>[^*]+)\*(?P<meaning>.*?)\*\*Fix:\*\*(?P<fix>.*)", re.DOTALL
)


class Meaning(NamedTuple):
    """What a reason means: its status, the public text of the answer, when it happens, and what to do."""

    reason: str
    status: int
    detail: str
    meaning: str
    fix: str


def show_reason(reason: str, *, as_json: bool) -> None:
    """Write what *reason* means; for ``?`` a list of all. Raises :class:`ConfigurationError` if it is not one."""
    if reason == "?":
        print(
            json.dumps(TEXTS, indent=2) if as_json else "\n".join(f"{name:24} {text}" for name, text in TEXTS.items())
        )
        return
    found = meaning_of(reason)
    if as_json:
        print(json.dumps(found._asdict(), indent=2))
        return
    screen = Screen()
    screen.heading(f"{found.reason} ({found.status})")
    screen.line("answered", found.detail)
    if found.meaning:
        screen.line("when", found.meaning)
    screen.line("fix", found.fix)


def meaning_of(reason: str) -> Meaning:
    """The page's section of *reason*."""
    if reason not in TEXTS:
        close = difflib.get_close_matches(reason, TEXTS, n=1)
        raise ConfigurationError(
            f"there is no reason {reason!r}" + (f": did you mean {close[0]}?" if close else ": --reason '?' lists them")
        )
    section = re.split(rf"^### {reason}$", page(), flags=re.MULTILINE)[1].partition("\n#")[0]
    found = _SECTION.search(section)
    assert found is not None
    return Meaning(reason, int(found["status"]), *(_plain(found[name]) for name in ("detail", "meaning", "fix")))


def page() -> str:
    """The page of reasons: in a wheel it lies beside this file, in a clone among the docs."""
    return (PACKAGED if PACKAGED.exists() else _IN_A_CLONE).read_text(encoding="utf-8")


def _plain(markdown: str) -> str:
    """One line, without links and emphasis."""
    return " ".join(re.sub(r"\[([^\]]+)\]\([^)]+\)|\*\*([^*]+)\*\*", r"\1\2", markdown).split())
