"""Terminals whose encoding lacks a character that we print."""

from __future__ import annotations

import codecs
import sys

_PLAIN = {"→": "->", "…": "...", "✓": "ok", "✗": "X", "•": "*"}


def always_print() -> None:
    """Print a plainer character where the terminal's encoding lacks one, instead of failing."""
    codecs.register_error("kinde_guard.plain", _plainer)
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="kinde_guard.plain")


def _plainer(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError)
    return "".join(_PLAIN.get(character, "?") for character in error.object[error.start : error.end]), error.end
