"""Whether all tokens fare alike: refused for one and the same reason, and one that settings can mend. Pure.

Strangers can send anything, so nothing is certain: what is said of it may claim no more than what was seen.
"""

from __future__ import annotations

from typing import NamedTuple

OF_SETTINGS = frozenset({"unknown_issuer", "wrong_audience", "empty_audience"})
# Nothing that is refused for these came as far as to the settings.
_BEFORE_SETTINGS = frozenset({"malformed", "unsupported_algorithm", "unsupported_header", "wrong_token_type"})
ENOUGH = 3
"""More than one stranger's stray token, and no more than somebody who tries a new set-up sends."""


class Alike(NamedTuple):
    """A row of refusals for one and the same reason, and how many there are in it."""

    reason: str = ""
    times: int = 0

    def after(self, reason: str) -> Alike:
        """The row after one more refusal, for *reason*. A token that came further than to the settings ends the row."""
        if reason in _BEFORE_SETTINGS:
            return self
        if reason not in OF_SETTINGS:
            return Alike()
        return Alike(reason, self.times + 1 if reason == self.reason else 1)

    @property
    def enough(self) -> bool:
        """Whether the row is long enough for a warning."""
        return self.times >= ENOUGH
