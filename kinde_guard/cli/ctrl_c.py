"""Ctrl-C, which may come at any moment: while modules are loaded, in the middle of the demo, while a server ends.

A ``KeyboardInterrupt`` comes out of whatever runs just then; where nobody can catch it (in a destructor, in a callback,
at the end of the interpreter) Python prints it. So what has nothing to put away ends from within the signal's handler:
sockets and threads go with the process, and what was printed is printed.
"""

from __future__ import annotations

import os
import signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

WATCHING = "revocations watch"
_STATUS = {"dev": 0, "forward-auth": 0, WATCHING: 0, "demo": 130}  # ending is all that there is to do with dev


def status_of(arguments: Sequence[str]) -> int:
    """The exit status of the command that *arguments* begin with, where Ctrl-C ends it."""
    return _STATUS.get(_command(arguments), 130)


def heed(arguments: Sequence[str]) -> None:
    """End at once from now on. Not where Ctrl-C is ignored, as in a shell's background jobs, or somebody else's."""
    status = status_of(arguments)

    def end(signum: int, frame: object) -> None:
        ignore()  # another one, while this one is answered
        if status == 0:
            _say(b"\nStopped.\n")
        os._exit(status)

    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, end)


def leave_to(arguments: Sequence[str]) -> None:
    """The command's modules are loaded: commands other than ``dev`` and ``demo`` may have something to put away."""
    is_ours = getattr(signal.getsignal(signal.SIGINT), "__module__", "") == __name__
    if is_ours and _command(arguments) not in _STATUS:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def ignore() -> None:
    """All is done but the end of the interpreter, which would print it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _command(arguments: Sequence[str]) -> str:
    return arguments[0] if arguments else ""


def _say(word: bytes) -> None:
    """Write it on stderr, unless nobody reads there: waiting for that would be no end."""
    import select

    try:
        if select.select([], [2], [], 0)[1]:
            os.write(2, word)
    except OSError:  # Windows cannot say whether anybody does
        return
