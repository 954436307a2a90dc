"""What people see on stdout: consoles that take text as it is, and lines for ``demo``, ``doctor`` and ``explain``."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

_LEFT, _WIDEST = 17, 100


def console(*, stderr: bool = False, quiet: bool = False) -> Console:
    """A console without markup and emoji: `[b]` and `write:flags:` are text, whoever wrote them. Heeds NO_COLOR."""
    return Console(stderr=stderr, quiet=quiet, highlight=False, markup=False, emoji=False)


class Screen:
    """A terminal's screen, at most 100 columns wide, on which paragraphs, headings, lines and tables are written; a
    *quiet* one shows nothing."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._console = console(quiet=quiet)
        self._console.width = min(self._console.width, _WIDEST)

    def say(self, text: str, style: str = "") -> None:
        """A paragraph."""
        self._console.print(Text(text, style))

    def heading(self, text: str) -> None:
        """What comes next."""
        self._console.print()
        self._console.print(Text(text, "bold"))

    def line(self, left: str, *right: Text | str, style: str = "cyan") -> None:
        """A word or two on the left; on the right as many lines as it takes, wrapped under one another."""
        start = (f"  {left}".ljust(_LEFT), style)
        for text in right:
            for piece in Text.assemble(text).wrap(self._console, self._console.width - _LEFT):
                piece.rstrip()
                self._console.print(Text.assemble(start, piece))
                start = (" " * _LEFT, "")

    def cropped(self, text: str) -> str:
        """*text*, cut to what fits in one line on the right."""
        room = self._console.width - _LEFT
        return text if len(text) <= room else f"{text[: room - 1]}…"

    def table(self, table: Table) -> None:
        """Write a table, at the end."""
        self._console.print()
        self._console.print(table)
