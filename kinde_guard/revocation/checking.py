"""What a guard asks of revocations: of a token that is new to it, of one that it remembers, and of one that is used for
something that stays open."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from concurrent.futures import Future

from ..errors import InvalidToken, Unavailable
from ..events import Emit
from ..keys.store import KeyStore
from ..net.clocks import Clocks
from ..net.once import Once
from ..settings import Settings
from ..tokens.access_token import AccessToken, digest_of
from ..tokens.cache import Entry, holds_still
from ..tokens.claims import Json
from ..web.log_lines import log
from .entry import Marks
from .revocations import Revocations

LIVES_LONGER = (
    "tokens live for %.0f s, which is longer than revocations are kept: they are refused from then on; give "
    "Revocations(token_lifetime=…) that number"
)


class RevocationCheck:
    """Compares the tokens of one guard with *revocations*, in this process's copy of them."""

    def __init__(
        self,
        revocations: Revocations,
        settings: Settings,
        clocks: Clocks,
        emit: Emit | None,
        stores: Mapping[str, KeyStore],
        doubt: Callable[[bytes, InvalidToken], None],
    ) -> None:
        """*doubt* is told, by its digest, of an API key that was vouched for before it was revoked."""
        self._stores, self._doubt = tuple(stores.values()), doubt
        self._awaited, self._age = revocations.awaited, clocks.monotonic
        revocations.bind(settings.issuers, clocks=clocks, emit=emit, drift=self._drift, fetch_keys=self._fetch_keys)
        self.copy = revocations.copy
        """What is looked at, for each request."""
        self._lifetime = revocations.token_lifetime
        self._leeway = settings.leeway
        self._told_of_lifetime = Once()

    def news(self) -> tuple[Future[None], float] | None:
        """What news there are to wait for before a token is judged, and for how many seconds."""
        return self._awaited(self._age())

    def end_of_life(self, claims: Json, wall: float) -> float:
        """When the revocations of a token with these *claims* are forgotten, at the earliest; raises
        :class:`InvalidToken` (``expired``) if that is past at *wall*."""
        iat = claims.get("iat")
        if iat is None:
            return math.inf  # any revocation of its caller refuses it
        end = iat + self._lifetime + self._leeway
        if wall >= end:
            raise InvalidToken(
                "expired",
                f"it was issued more than token_lifetime={self._lifetime:g} s ago, and revocations are kept no longer: "
                "give Revocations(token_lifetime=…) what Kinde's tokens live",
            )
        return float(end)

    def compare(self, token: AccessToken) -> tuple[Marks, InvalidToken | Unavailable | None]:
        """The marks of a *token* that is new here, and what refuses it."""
        marks = self.copy.marks_of(token)
        life = token.expires_at - marks.issued_at
        if self._lifetime < life < math.inf and self._told_of_lifetime.is_first():
            log.warning(LIVES_LONGER, life, extra={"event": "token_lifetime"})
        return marks, self.copy.judge(marks, self._age())[1]

    def holds_still(self, entry: Entry, now: float) -> bool:
        """:func:`~.tokens.cache.holds_still`, and whether *entry* has not been revoked meanwhile. False also if there
        may be news that have yet to be waited for."""
        if now >= entry.over:
            return holds_still(entry, now)
        assert entry.marks is not None, "made with it, as there is a copy"
        copy = self.copy
        until = copy.look_at
        if now >= until and self._awaited(now) is not None:
            return False
        edition = copy.edition  # first: see Replica
        if now >= copy.usable_until or copy.may_refuse(entry.marks):
            edition, refusal = copy.judge(entry.marks, now)
            if isinstance(refusal, InvalidToken) and entry.asks_again:
                self._doubt(digest_of(entry.token), refusal)
                return False
            if refusal is not None:
                raise refusal
        entry.seen, entry.look_at = edition, until if until < entry.over else entry.over
        return True

    def refusal_of_open(self, token: AccessToken) -> InvalidToken | None:
        """What refuses a *token* that something is open for, however old the news are. Waits for none, and has them
        asked for."""
        self.news()
        return self.copy.refusal(self.copy.marks_of(token))

    def _fetch_keys(self) -> None:
        for store in self._stores:
            store.fetch_again()

    def _drift(self) -> float | None:
        drifts = [store.clock_drift for store in self._stores if store.clock_drift is not None]
        return min(drifts, default=None)
