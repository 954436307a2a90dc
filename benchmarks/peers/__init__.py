"""What kinde_guard is compared with: each module here sets one library up as its own documentation says.

A module has ``peers(site)``, which gives the ways of using the library by name, and raises ``ImportError`` where it
is not installed. All check the signature (RS256), ``iss``, ``aud`` and ``exp``, with the keys loaded beforehand.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ..measure import Run, calls
from ..tokens import Site

Verify = Callable[[str], object]
MODULES = ("pyjwt", "joserfc", "authlib", "fastmcp", "auth0", "ryjwt", "oxyjwt", "node")


class Way(Protocol):
    """A way of using a library."""

    @property
    def remembers(self) -> bool:
        """Whether a token that it has seen before may cost less: then it has to see them all."""

    def accepts(self, token: str) -> bool:
        """Whether it lets this token in."""

    def runs(self, tokens: Sequence[bytes]) -> Run:
        """What it costs to verify *tokens*."""


@dataclass(frozen=True)
class InProcess:
    """Verifies in this process; *verify* raises for a token that it refuses."""

    verify: Verify
    remembers: bool = False

    def accepts(self, token: str) -> bool:
        try:
            self.verify(token)
        except Exception:
            return False
        return True

    def runs(self, tokens: Sequence[bytes]) -> Run:
        return calls(self.verify, tokens)


@dataclass(frozen=True)
class Peer:
    """A way of using a library, tried with tokens that must be refused."""

    name: str
    way: Way
    wrongly_accepts: tuple[str, ...]
    """By name, of the few that everybody should know."""
    hostile_accepted: int
    """How many of the hostile ones, of which there are hundreds."""

    @property
    def is_strict(self) -> bool:
        return not self.wrongly_accepts and not self.hostile_accepted

    @property
    def note(self) -> str:
        hostile = (f"{self.hostile_accepted} hostile tokens",) if self.hostile_accepted else ()
        return "" if self.is_strict else f"accepts: {', '.join((*self.wrongly_accepts, *hostile))}"


@dataclass(frozen=True)
class Found:
    """The peers that can be measured here, and why the others cannot."""

    peers: Sequence[Peer]
    missing: Mapping[str, str]
    hostile: int = 0
    """How many hostile tokens each was tried with."""

    def in_process(self, *names: str) -> dict[str, Verify]:
        """Those of *names* that verify in this process."""
        return {
            peer.name: peer.way.verify for peer in self.peers if peer.name in names and isinstance(peer.way, InProcess)
        }


NOBODY = Found((), {})


def find(site: Site) -> Found:
    """Set every peer up, and try each with one token that is good and many that are not."""
    good, bad, hostile = site.m2m().decode(), site.bad(), site.hostile()
    peers, missing = [], {}
    for module in MODULES:
        try:
            ways = importlib.import_module(f".{module}", __name__).peers(site)
        except ImportError as error:
            missing[module] = f"not installed ({error})"
            continue
        except Exception as error:  # other people's libraries, in versions yet to come: the others are measured still
            missing[module] = f"could not be set up ({type(error).__name__}: {error})"
            continue
        for name, way in ways.items():
            if way.accepts(good):
                wrongly = tuple(wrong for wrong, token in bad.items() if way.accepts(token))
                peers.append(Peer(name, way, wrongly, sum(map(way.accepts, hostile))))
            else:
                missing[name] = "refuses a good token"
    return Found(peers, missing, len(hostile))


def driven(verify: Callable[[str], Coroutine[Any, Any, object]]) -> Verify:
    """A coroutine function without its event loop: with the keys loaded it has nothing to wait for, and this is
    cheaper than a loop would be."""

    def call(token: str) -> object:
        coroutine = verify(token)
        try:
            coroutine.send(None)
        except StopIteration as answer:
            return answer.value
        coroutine.close()
        raise RuntimeError("it waits for something")

    return call
