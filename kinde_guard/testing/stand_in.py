"""A guard that asks for no token. For tests alone."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future

from ..guard import Guard
from ..keys.store import IssuerHealth
from ..tokens.access_token import AccessToken
from ..tokens.cache import CacheStats, TokenCache


class StandInGuard(Guard):
    """Takes every request for that of one caller, whatever it carries. What a route demands is judged as ever."""

    def __init__(self, token: AccessToken) -> None:
        # Not Guard's: there are no settings, no keys, and nothing to fetch.
        self._token = token
        self.permissions_as_scopes = token.permissions_as_scopes

    def verify(self, raw: str) -> AccessToken:
        return self._token

    async def averify(self, raw: str) -> AccessToken:
        return self._token

    def recognise(self, authorization: bytes) -> AccessToken:
        return self._token

    def authenticate(self, authorization: Sequence[str]) -> AccessToken:
        return self._token

    async def aauthenticate(self, authorization: Sequence[str]) -> AccessToken:
        return self._token

    def warm(self) -> None:
        return

    async def awarm(self) -> None:
        return

    def load_behind(self) -> list[Future[None]]:
        return []

    @property
    def issuers(self) -> tuple[str, ...]:
        return ()

    @property
    def audiences(self) -> tuple[str, ...]:
        return ()

    def health(self) -> dict[str, IssuerHealth]:
        return {}

    def stats(self) -> CacheStats:
        return TokenCache(0).stats()

    def __repr__(self) -> str:
        return f"<StandInGuard: every request is {self._token!r}>"
