"""``kinde-guard``: the local Kinde, tokens and their verdicts at the terminal. Needs the ``cli`` extra.

Exit status: 0 good, 1 refused, 2 usage or settings, 3 cannot tell, 130 interrupted. What is meant for programs goes to
stdout, words go to stderr.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False  # until Ctrl-C is heeded, nothing is loaded that can wait
if TYPE_CHECKING:
    from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command. Returns its exit status, or raises ``SystemExit`` with it. Without *argv* the process is ours,
    and ends with the command."""
    if argv is not None:
        return _run(argv)
    from . import ctrl_c  # before anything that takes its time

    ctrl_c.heed(sys.argv[1:])
    try:
        return _run(sys.argv[1:])
    finally:
        ctrl_c.ignore()


def _run(arguments: Sequence[str]) -> int:
    from .running import run

    return run(arguments)
