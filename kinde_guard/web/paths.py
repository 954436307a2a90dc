"""Which paths need no token, and which requests call themselves CORS preflights. Pure.

A path is matched as the application sees it: decoded, and without the prefix it is mounted under. Whatever could be
read in two ways (``..``, ``//``, a backslash, NUL, a ``%`` that is left after decoding, bytes that were not UTF-8) is
never public.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from ..errors import ConfigurationError

METHOD_OVERRIDES = frozenset(("x-http-method-override", "x-http-method", "x-method-override"))
_AMBIGUOUS = re.compile(r"//|\.\.|/\.(?:/|\Z)|[\\%\x00\ufffd]")  # U+FFFD: bytes that were not UTF-8


class PublicPaths:
    """``"/healthz"`` is that very path; ``"/static/*"`` is ``/static/`` and whatever lies below it. Case counts."""

    __slots__ = ("_below", "_exact", "patterns")

    def __init__(self, patterns: Iterable[str]) -> None:
        self.patterns = _checked(patterns)
        self._exact = frozenset(pattern for pattern in self.patterns if not pattern.endswith("/*"))
        self._below = tuple(pattern[:-1] for pattern in self.patterns if pattern.endswith("/*"))

    def cover(self, path: str) -> bool:
        """Whether *path* is public."""
        if path not in self._exact and not path.startswith(self._below):
            return False
        return _AMBIGUOUS.search(path) is None

    def include(self, pattern: str) -> bool:
        """Whether every path that *pattern* names is public."""
        return pattern[:-1].startswith(self._below) if pattern.endswith("/*") else self.cover(pattern)

    def __repr__(self) -> str:
        return f"PublicPaths({list(self.patterns)!r})"


def is_preflight(method: str, has_header: Callable[[str], bool]) -> bool:
    """Whether a request calls itself a CORS preflight (Fetch standard, CORS-preflight fetch), as anybody's may.

    None that a browser makes asks to be taken for another method, which an app with a method override would do.
    """
    wanted = has_header("origin") and has_header("access-control-request-method")
    return method == "OPTIONS" and wanted and not any(map(has_header, METHOD_OVERRIDES))


def _checked(patterns: Iterable[str]) -> tuple[str, ...]:
    if isinstance(patterns, str) or not isinstance(patterns, Iterable):
        raise ConfigurationError(f"public= is a list of paths: write public=[{patterns!r}]")
    checked = tuple(patterns)
    for pattern in checked:
        if not isinstance(pattern, str) or not pattern.startswith("/"):
            raise ConfigurationError(f"a public path begins with a slash, such as '/healthz', not {pattern!r}")
        bare = pattern[:-1] if pattern.endswith("/*") else pattern
        if bare == "/" and pattern != "/":
            raise ConfigurationError(
                "public=['/*'] makes every path public: if that is what you want, remove the guard"
            )
        if "*" in bare or "?" in bare or _AMBIGUOUS.search(bare):
            raise ConfigurationError(
                f"a public path is exact, or it ends in '/*' and means all paths below it; {pattern!r} is neither"
            )
    return checked
