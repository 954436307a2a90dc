"""An authenticator that asks for no token. For tests alone."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future

from ..keys.health import IssuerHealth
from ..keys.store import KeyStore
from ..net.clocks import Clocks
from ..requirements import Requirement
from ..tokens.access_token import AccessToken
from ..tokens.cache import CacheStats, TokenCache
from ..tokens.verdicts import log_refusal


class StandInGuard:
    """An authenticator that takes every request for that of one caller, whatever it carries; what a route requires is
    judged as ever. It has the other methods of a guard, too: an app under test may ask its guard for anything."""

    revocations = None
    api_keys = None

    def __init__(self, token: AccessToken) -> None:
        self._token = token
        self.permissions_as_scopes = token.permissions_as_scopes

    def verify(self, raw: str) -> AccessToken:
        return self._token

    async def averify(self, raw: str) -> AccessToken:
        return self._token

    def recognise(self, authorization: bytes) -> AccessToken:
        return self._token

    def authenticate_at_once(self, authorization: bytes) -> AccessToken:
        return self._token

    def authenticate(self, authorization: Sequence[str]) -> AccessToken:
        return self._token

    async def aauthenticate(self, authorization: Sequence[str]) -> AccessToken:
        return self._token

    def check(self, token: AccessToken) -> None:
        return

    def demand(self, token: AccessToken, requirement: Requirement) -> None:
        refusal = requirement.refusal(token)
        if refusal is not None:
            log_refusal(refusal, token.fingerprint, token.client_id)
            raise refusal

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

    @property
    def key_stores(self) -> dict[str, KeyStore]:
        return {}

    @property
    def emit(self) -> None:
        return None

    @property
    def clocks(self) -> Clocks:
        return Clocks()

    def health(self) -> dict[str, IssuerHealth]:
        return {}

    def stats(self) -> CacheStats:
        return TokenCache(0).stats()

    def __repr__(self) -> str:
        return f"<StandInGuard: every request is {self._token!r}>"
