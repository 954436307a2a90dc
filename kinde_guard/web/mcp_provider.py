"""What a server's ``auth=`` is, if that is ours, to a KindeGuard beside it. No SDK is imported here."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from ..guard import Guard


class Provider(ABC):
    """It guards the endpoint, and has the guard. The other routes of the app are those of a KindeGuard, if there is
    one."""

    guard: Any
    """``None`` until it is made."""
    settings: Any
    own_paths: frozenset[str] = frozenset()
    """What it answers itself, and has to be public."""

    @abstractmethod
    def ready(self) -> Guard:
        """The guard, made if it has yet to be; raises :class:`ConfigurationError`."""

    @property
    @abstractmethod
    def kinde_resource(self) -> str | None:
        """The URL whose metadata leads to Kinde; ``None`` where it leads to a proxy, whose tokens only the endpoint
        takes."""
