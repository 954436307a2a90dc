"""What the pages share: the local Kinde, and where a token was last sent."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..issuer import LocalIssuer


@dataclass(frozen=True, slots=True)
class Target:
    """A request to somebody's API, but for the token."""

    method: str = "GET"
    url: str = "http://127.0.0.1:8000/users"
    body: str = ""


@dataclass(slots=True)
class ConsoleState:
    """The state of the console: the local Kinde, and what its owner did last."""

    issuer: LocalIssuer
    target: Target = field(default_factory=Target)
    """Where a token was last sent, so that one need not write it again on the next page."""

    def changed(self, what: str) -> str:
        """Write down that people, apps or APIs are others now; the same in a sentence."""
        self.issuer.journal.add("changed", what)
        return f"{what}."
