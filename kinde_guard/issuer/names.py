"""Names and other short texts as Kinde takes them: words without white space, and lines."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

from ..errors import ConfigurationError

_NOT_IN_A_LINE = {"Cc", "Cs", "Zl", "Zp"}  # control characters, halves of characters, ends of lines


def word(what: str, text: str) -> str:
    """*text*, if it has no white space, which separates audiences and scopes in lists. *what* is for the error."""
    if not isinstance(text, str) or text.split() != [text] or not text.isprintable():
        raise ConfigurationError(f"{what} must be text without white space, not {text!r}")
    return text


def words(what: str, given: Iterable[str]) -> tuple[str, ...]:
    """Each of *given*, once, if all are words. *what* names one of them in the error."""
    if isinstance(given, str):
        raise ConfigurationError(f"{what} goes into a list, even alone: [{given!r}]")
    return tuple(dict.fromkeys(word(what, one) for one in given))


def line(what: str, text: str) -> str:
    """*text*, if it is one line, which may be empty. *what* is for the error."""
    # Not isprintable(): names have joiners in some scripts, and emoji do.
    if not isinstance(text, str) or any(unicodedata.category(character) in _NOT_IN_A_LINE for character in text):
        raise ConfigurationError(f"{what} must be one line of text, not {text!r}")
    return text
