"""Authorization codes and refresh tokens: each works once, and one that comes a second time has been stolen.

All that came of one sign-in is a family. Using a code or a refresh token twice ends the family (RFC 6749 §4.1.2,
RFC 9700 §4.14.2): who of the two was the thief is not to be told. Access tokens that are out stay good until they
expire, since nobody asks here about them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import TypeVar

from ..net import forks
from .errors import OAuthError
from .sessions import secret

CODE_LIFETIME = 60
REFRESH_LIFETIME = 15 * 86_400  # docs.kinde.com/build/tokens/configure-tokens
MAX_KEPT = 10_000


@dataclass(frozen=True, slots=True)
class Grant:
    """The grant of a user to an app: what the app may have, since the user signed in to it."""

    client_id: str
    user_id: str
    org_code: str | None
    audience: tuple[str, ...]
    scopes: tuple[str, ...]
    signed_in_at: int
    """Seconds since the epoch."""


@dataclass(slots=True, eq=False)
class Family:
    """A family is all that came of one sign-in: its code and its refresh tokens live and end together."""

    grant: Grant
    live: bool = True
    access_token: str = field(default="", repr=False)
    """The last one that has all of the scopes."""
    access_token_ends_at: float = 0.0
    """Seconds since the epoch."""


@dataclass(frozen=True, slots=True, eq=False)
class AuthorizationCode:
    """An authorization code is bound to the redirect URI, the PKCE challenge and the nonce it was asked for with."""

    family: Family
    redirect_uri: str
    challenge: str | None
    nonce: str | None
    expires_at: float
    used: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class RefreshToken:
    """A refresh token is good for one use, which gives the next one."""

    family: Family
    expires_at: float
    used: bool = False


Kept = TypeVar("Kept", AuthorizationCode, RefreshToken)


class Grants:
    """The codes and refresh tokens that have been handed out. Threads may share it; when it is full the oldest goes."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._lock = forks.Lock()
        self._codes: dict[str, AuthorizationCode] = {}
        self._refresh_tokens: dict[str, RefreshToken] = {}

    def code(self, grant: Grant, *, redirect_uri: str, challenge: str | None, nonce: str | None) -> str:
        """A new authorization code."""
        expires_at = self._now() + CODE_LIFETIME
        return self._keep(self._codes, AuthorizationCode(Family(grant), redirect_uri, challenge, nonce, expires_at))

    def redeem(self, text: str) -> AuthorizationCode:
        """The code with that *text*. From now on it is used, whatever becomes of this."""
        return self._use(self._codes, text, "The code is unknown, too old, or used already: sign in again.")

    def refresh_token(self, family: Family) -> str:
        """A new refresh token."""
        return self._keep(self._refresh_tokens, RefreshToken(family, self._now() + REFRESH_LIFETIME))

    def rotate(self, text: str, client_id: str, scopes: Iterable[str] = ()) -> Family:
        """The family of that app's refresh token, which is used from now on, unless it never had all of *scopes*."""
        token = self._of_client(text, client_id)
        if token is not None and not set(scopes) <= set(token.family.grant.scopes):
            raise OAuthError("invalid_scope", "A scope was not granted when the user signed in: sign in again for it.")
        refused = "The refresh token is unknown, too old, revoked, or used already: sign in again."
        return self._use(self._refresh_tokens, text, refused).family

    def revoke(self, text: str, client_id: str) -> None:
        """End the family of the refresh token (RFC 7009 §2.1); an unknown one is as good as ended."""
        token = self._of_client(text, client_id)
        if token is not None:
            token.family.live = False

    def end(self, user_id: str) -> None:
        """End every family of that user's."""
        with self._lock.now:
            families = [code.family for code in self._codes.values()]
            families += [token.family for token in self._refresh_tokens.values()]
        for family in families:
            if family.grant.user_id == user_id:
                family.live = False

    def _of_client(self, text: str, client_id: str) -> RefreshToken | None:
        token = self._refresh_tokens.get(text)
        if token is not None and token.family.grant.client_id != client_id:
            raise OAuthError("invalid_grant", "The refresh token was given to another app.")
        return token

    def _keep(self, kept: dict[str, Kept], value: Kept) -> str:
        text = secret()
        with self._lock.now:
            kept[text] = value
            if len(kept) > MAX_KEPT:
                del kept[next(iter(kept))]
        return text

    def _use(self, kept: dict[str, Kept], text: str, refused: str) -> Kept:
        with self._lock.now:
            found = kept.get(text)
            if found is not None and not found.used:
                kept[text] = replace(found, used=True)  # used ones are kept, to be known again
            elif found is not None:
                found.family.live = False
        if found is None or found.used or not found.family.live or self._now() >= found.expires_at:
            raise OAuthError("invalid_grant", refused)
        return found
