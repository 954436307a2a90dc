"""The token that something open stands on, a WebSocket or a stream: it may expire, or be revoked, before that ends."""

from __future__ import annotations

from concurrent.futures import Future
from contextlib import suppress
from typing import TYPE_CHECKING

from ..errors import AuthError
from ..tokens.access_token import AccessToken

if TYPE_CHECKING:
    from ..guard import Guard

MOST_AT_ONCE = 3_600.0
"""Seconds; whoever waits longer looks at the clocks in between."""


class OpenToken:
    """A *token*, and until when it holds. :meth:`close` when what stands on it has ended."""

    def __init__(self, guard: Guard, token: AccessToken) -> None:
        self._guard, self._token = guard, token
        clocks = guard.clocks
        self._end = token.expires_at + guard.settings.leeway
        self._over_at = clocks.monotonic() + self._end - clocks.wall()  # whatever becomes of the wall clock
        self.revoked: Future[None] = Future()
        """Resolves when it is revoked, in the thread that hears of it."""
        self._copy = None if guard.revocations is None else guard.revocations.copy
        if self._copy is not None:
            self._marks = self._copy.marks_of(token)
            self._copy.watchers[self] = self._look
            self._look()  # it may have been in the meantime

    @property
    def seconds_left(self) -> float:
        """How long may be waited for :attr:`revoked` before looking again; 0 as soon as either clock says so."""
        clocks = self._guard.clocks
        return max(0.0, min(MOST_AT_ONCE, self._over_at - clocks.monotonic(), self._end - clocks.wall()))

    @property
    def is_over(self) -> bool:
        """Whether it holds no longer. Never because nothing is heard of revocations."""
        return self.revoked.done() or self.seconds_left == 0

    def log_end(self) -> None:
        """Have the guard say why it is over."""
        with suppress(AuthError):
            self._guard.check(self._token)

    def close(self) -> None:
        """Nobody needs to know any more."""
        if self._copy is not None:
            self._copy.watchers.pop(self, None)

    def _look(self) -> None:
        if self._copy is not None and not self.revoked.done() and self._copy.refusal(self._marks) is not None:
            with suppress(Exception):  # two threads may have looked at once
                self.revoked.set_result(None)
