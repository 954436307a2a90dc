"""Sentences for people, on stderr. Needs no extra, as one of them says which is missing."""

from __future__ import annotations

import shutil
import sys
import textwrap
import unicodedata

_CONTROL = {"Cc", "Cs", "Zl", "Zp"}  # control characters, halves of characters, ends of lines


def write_message(sentence: str) -> None:
    """Write *sentence* on stderr: wrapped at a terminal, in one line where a program may look for it."""
    sentence = "\n".join(map(harmless, sentence.split("\n")))
    if sys.stderr.isatty():
        width = shutil.get_terminal_size().columns
        sentence = textwrap.fill(sentence, width, break_long_words=False, break_on_hyphens=False)
    print(sentence, file=sys.stderr)


def harmless(text: str) -> str:
    """*text*, which somebody else wrote, as one line that a terminal takes for text alone: control characters are
    written as in Python."""
    return "".join(
        character.encode("unicode_escape").decode() if unicodedata.category(character) in _CONTROL else character
        for character in text
    )
