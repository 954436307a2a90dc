"""Sentences for people, on stderr. Needs no extra, as one of them says which is missing."""

from __future__ import annotations

import shutil
import sys
import textwrap


def write_message(sentence: str) -> None:
    """Write *sentence* on stderr: wrapped at a terminal, in one line where a program may look for it."""
    if sys.stderr.isatty():
        width = shutil.get_terminal_size().columns
        sentence = textwrap.fill(sentence, width, break_long_words=False, break_on_hyphens=False)
    print(sentence, file=sys.stderr)
