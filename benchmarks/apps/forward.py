"""Forward auth: the service that a reverse proxy asks; guarded, or written by hand around *verify*."""

from __future__ import annotations

from typing import Any

from kinde_guard import Guard
from kinde_guard.forward import ForwardAuth

from ..peers import Verify
from . import asgi, claims

PATH = f"/verify/scope={claims.SCOPE}"


class Asked:
    """What is required stands in the path, as in a proxy's configuration."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app({**scope, "path": PATH, "raw_path": PATH.encode()}, receive, send)


def nothing() -> Any:
    return asgi.nothing()


def guarded(guard: Guard) -> Any:
    return Asked(ForwardAuth(guard))


def by_hand(verify: Verify) -> Any:
    return asgi.by_hand(verify)
