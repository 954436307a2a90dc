"""What every benchmark is given: the issuer, the peers, how much to measure, and where to say how far it is."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

from . import peers
from .measure import Effort, Progress
from .tokens import Site


@dataclass
class Bench:
    """*site* is open while the benchmarks run."""

    site: Site
    effort: Effort
    progress: Progress = field(default_factory=Progress)
    alone: bool = False
    """Whether to leave the peers out."""

    @cached_property
    def found(self) -> peers.Found:
        """The peers, set up once for all benchmarks."""
        if self.alone:
            return peers.NOBODY
        self.progress.say("setting the peers up")
        return peers.find(self.site)
