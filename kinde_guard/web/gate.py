"""What stands in front of a part of an app and demands a token there, and which of its routes are behind it. Pure.

A route is written with parameters, and a public path is not: some requests to a route may be public, and others not.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..requirements import Requirement, authenticated
from .paths import PublicPaths

_PARAMETER = re.compile(r"\{[^{}]*\}|<[^<>]*>")
_REST = re.compile(r"\{\w+:path\}|<path(?:\([^)]*\))?:\w+>|\*")  # takes slashes too


@dataclass(frozen=True, slots=True)
class Gate:
    """Something that demands a token on all paths below *prefix* that are not *public*."""

    prefix: str
    public: PublicPaths
    requires: Requirement = authenticated
    passes_preflights: bool = False

    def opens(self, path: str) -> bool:
        """Whether any request to the route at *path* can get by without a token."""
        return any(reaches(pattern, path.removeprefix(self.prefix) or "/") for pattern in self.public.patterns)

    def closes(self, path: str) -> bool:
        """Whether any request to the route at *path* needs a token."""
        path = path.removeprefix(self.prefix)
        # A public path has no parameters: braces in one are braces.
        return not self.public.cover(path) or ("{" in path and path in self.public.patterns)


def reaches(pattern: str, path: str) -> bool:
    """Whether a request that *pattern* makes public may come to the route at *path*, whatever its parameters are."""
    wanted, found = pattern.split("/"), path.split("/")
    for index, piece in enumerate(found):
        if _REST.fullmatch(piece):
            return True
        if index >= len(wanted):
            return False
        if wanted[index] == "*":
            return True
        if piece != wanted[index] and not _matches(piece, wanted[index]):
            return False
    return len(found) == len(wanted)


def _matches(piece: str, text: str) -> bool:
    """A piece of a path between two slashes, parameters in it and all."""
    literal = map(re.escape, _PARAMETER.split(piece))
    return text != "" and re.fullmatch("[^/]+".join(literal), text) is not None
