"""What an adapter needs of a guard. :class:`~kinde_guard.Guard` has it; so has whatever else says who calls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from .keys.health import IssuerHealth
    from .requirements import Requirement
    from .tokens.access_token import AccessToken


class Authenticator(Protocol):
    """A guard as adapters see it: it says whose a request is, judges what a route requires, and how its keys are.

    Nothing needs to be inherited. An adapter compares authenticators by identity, so one object stands for one set of
    rules; its methods are called by many threads and event loops at once.
    """

    @property
    def issuers(self) -> tuple[str, ...]:
        """The URLs of the issuers whose tokens it takes: the resource's metadata names them (RFC 9728)."""

    def recognise(self, authorization: bytes) -> AccessToken | None:
        """The token of a request with this one Authorization value, if that can be said at once: it was verified
        before, and holds still. ``None`` says nothing: then :meth:`authenticate` is asked. Raises nothing."""

    def authenticate(self, authorization: Sequence[str]) -> AccessToken:
        """The token of a request, from *all* its Authorization values. Raises :class:`~kinde_guard.AuthError`, or
        :class:`~kinde_guard.errors.Unavailable`."""

    async def aauthenticate(self, authorization: Sequence[str]) -> AccessToken:
        """:meth:`authenticate` for event loops, which it never holds up."""

    def demand(self, token: AccessToken, requirement: Requirement) -> None:
        """Raise the :class:`~kinde_guard.AuthError` that says why *token* does not meet *requirement*, if it does
        not, and log its hint."""

    def health(self) -> Mapping[str, IssuerHealth]:
        """How each issuer's keys are."""

    def load_behind(self) -> Sequence[Future[None]]:
        """Have keys that are not fresh fetched, and wait for nothing: what there is to wait for. Raises nothing."""
