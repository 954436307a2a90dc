"""Proof that a revocation has reached the workers: each says, in Redis, what it has applied."""

from __future__ import annotations

import time
from dataclasses import dataclass

from ...revocation import Revocations

PATIENCE = 5.0
"""Seconds: a worker that follows takes milliseconds."""
_PAUSE = 0.002


@dataclass(frozen=True, slots=True)
class Proof:
    """Which workers refuse it by now, and which do not, or have said nothing since; and how long that took."""

    applied: tuple[str, ...]
    missing: tuple[str, ...]
    milliseconds: int

    @property
    def complete(self) -> bool:
        """Whether all do, and there are any."""
        return bool(self.applied) and not self.missing

    def sentence(self) -> str:
        """The proof in a sentence."""
        of = len(self.applied) + len(self.missing)
        if not of:
            return "no worker has reported: none runs, or its user in Redis is not allowed to report"
        found = f"{len(self.applied)} of {of} workers refuse it, {self.milliseconds} ms"
        return f"{found}; not yet, or gone: {', '.join(self.missing)}" if self.missing else found

    def as_json(self) -> dict[str, object]:
        """The proof as programs read it."""
        return {"applied": self.applied, "missing": self.missing, "milliseconds": self.milliseconds}


def wait(revocations: Revocations, patience: float = PATIENCE) -> Proof:
    """Wait until all workers that are there refuse what stands in Redis now, *patience* seconds at most."""
    began, seen = time.monotonic(), set[str]()
    while True:
        reached = revocations.reached()
        now = time.monotonic()
        seen.update(reached.applied, reached.behind)
        missing = seen - set(reached.applied)
        if (seen and not missing) or now - began >= patience:
            return Proof(reached.applied, tuple(sorted(missing)), round((now - began) * 1000))
        time.sleep(_PAUSE)
