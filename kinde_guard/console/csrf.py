"""The stamp that every form carries: it shows that the form was made by this process, for this action."""

from __future__ import annotations

import hashlib
import hmac
import secrets


class Stamps:
    """The stamps of one process, which its forms carry and which no other page can learn."""

    def __init__(self) -> None:
        self._secret = secrets.token_bytes(32)
        self.run = secrets.token_hex(4)
        """Tells a page whether the process is the one that made it."""

    def stamp(self, path: str) -> str:
        """The stamp of a form whose action is *path*."""
        return hmac.new(self._secret, path.encode(), hashlib.sha256).hexdigest()

    def holds(self, path: str, stamp: str) -> bool:
        """Whether *stamp* is that of *path*."""
        return hmac.compare_digest(self.stamp(path).encode(), stamp.encode("utf-8", "replace"))
