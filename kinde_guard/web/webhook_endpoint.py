"""The path that Kinde's webhooks come to, in front of an app. It is public by being named.

What a webhook is, and what is done with one, is in :mod:`kinde_guard.webhooks`, which is loaded where a path is named.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from ..errors import ConfigurationError
from ..guard import Guard
from .well_known import WELL_KNOWN, WellKnownPages

if TYPE_CHECKING:
    from ..webhooks import OnEvent as OnEvent
    from ..webhooks import WebhookAnswer, WebhookReceiver
else:
    OnEvent = Callable[..., object]  # for those who evaluate annotations

MOST_READ = 64 * 1024 + 1
"""Bytes of a body: with one more than a webhook may have it is known to be too large."""
_PATH = re.compile(r"/[A-Za-z0-9\-._~/]*")


class WebhookEndpoint:
    """What answers at *path*, ``/webhooks/kinde`` say, and has *on_event* called with each event.

    Raises :class:`ConfigurationError`.
    """

    most_read = MOST_READ
    """Bytes that an adapter reads of a body, at most."""

    def __init__(self, path: str, on_event: OnEvent | None) -> None:
        from ..webhooks import calls

        if not isinstance(path, str) or not _PATH.fullmatch(path) or path.startswith(WELL_KNOWN):
            raise ConfigurationError(f"webhooks is a path, such as '/webhooks/kinde', not {path!r}")
        if on_event is not None:
            calls.check(on_event)
        self.path = path
        self._on_event = on_event
        self._receiver: tuple[Guard, WebhookReceiver] | None = None

    @classmethod
    def of(cls, webhooks: str | None, on_event: OnEvent | None, pages: WellKnownPages | None) -> WebhookEndpoint | None:
        """The endpoint at the path *webhooks*, or ``None`` if there is none: then a request is not looked at. *pages*
        are what is at other paths. Raises :class:`~kinde_guard.ConfigurationError` for an *on_event* without a path, or
        a path that is taken."""
        if webhooks is None:
            if on_event is not None:
                raise ConfigurationError("on_event needs a path for the webhooks: add webhooks='/webhooks/kinde'")
            return None
        if pages is not None and pages.have(webhooks):
            raise ConfigurationError(f"webhooks cannot come to {webhooks!r}, where a health check or metadata is")
        return cls(webhooks, on_event)

    def check(self, guard: Guard) -> None:
        """When an app starts: raise :class:`ConfigurationError` if nothing would come of an event."""
        if self._on_event is None and isinstance(guard, Guard) and guard.revocations is None:
            raise ConfigurationError(
                "webhooks= alone does nothing: add a function, on_event=, or give the guard revocations="
            )

    def receive(self, guard: Guard, method: str, headers: Mapping[str, str], body: bytes) -> WebhookAnswer:
        """The answer to a request; a *body* is there by POST alone, and no more of it need be read than
        one byte over 64 KiB."""
        receiver = self._receiver_of(guard)
        return _nobodys() if receiver is None else receiver.receive(method, headers, body)

    async def areceive(self, guard: Guard, method: str, headers: Mapping[str, str], body: bytes) -> WebhookAnswer:
        """:meth:`receive` for event loops."""
        receiver = self._receiver_of(guard)
        return _nobodys() if receiver is None else await receiver.areceive(method, headers, body)

    def _receiver_of(self, guard: Guard) -> WebhookReceiver | None:
        """Another one for another guard: it can be replaced while the app runs. ``None`` for a test's stand-in."""
        from ..webhooks import WebhookReceiver

        if not isinstance(guard, Guard):
            return None
        found = self._receiver
        if found is None or found[0] is not guard:
            self._receiver = found = guard, WebhookReceiver(guard, self._on_event)
        return found[1]


def _nobodys() -> WebhookAnswer:
    """A stand-in has no keys to verify with."""
    from ..webhooks.refusals import unavailable

    return unavailable("keys_unavailable", 1)
