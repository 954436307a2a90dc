"""A verified token as the SDKs know tokens."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken as SdkToken
from pydantic import Field, PrivateAttr

from .. import adapters
from ..adapters import AccessToken
from .mcp_decorators import Call


class VerifiedToken(SdkToken):
    """A token as the official SDK knows tokens. It shows itself without its text."""

    token: str = Field(repr=False)
    _call: Call | None = PrivateAttr(default=None)

    @property
    def call(self) -> Call | None:
        """The call that decorators judge where no gate stands in front."""
        return self._call


def verified_token(raw: str, token: AccessToken, guard: adapters.Authenticator) -> VerifiedToken:
    """*token*, whose text is *raw*, for the official SDK."""
    made = VerifiedToken(**members(raw, token, guard))
    made._call = Call(guard, token)
    return made


def members(raw: str, token: AccessToken, guard: adapters.Authenticator) -> dict[str, Any]:
    """What both SDKs want to know of a token: no member of it is ever ``None`` that must not be."""
    ours = getattr(guard, "audiences", ())
    return {
        "token": raw,
        "client_id": token.client_id or token.subject,
        "scopes": sorted(token.scopes),
        "expires_at": int(token.expires_at),
        "resource": next((name for name in token.audience if name in ours), None),
        "subject": token.subject,
        "claims": token.claims,
    }


Make = Callable[[str, AccessToken, adapters.Authenticator], SdkToken]


class Caller(AuthenticatedUser):
    """The caller of one request, as the SDK knows callers. Most requests ask for no more than that there is one: the
    token of the SDK's is made when it is asked for, anew for each request, as whoever has it may change it."""

    def __init__(self, values: Sequence[bytes], token: AccessToken, guard: adapters.Authenticator, make: Make) -> None:
        self._made_of = values, token, guard, make

    @functools.cached_property
    def access_token(self) -> SdkToken:  # type: ignore[override]
        """What the SDK's ``get_access_token()`` says."""
        values, token, guard, make = self._made_of
        # Where no token is asked for, in a test, there is no text of one.
        raw = adapters.token_from([value.decode("latin-1") for value in values]) if values else ""
        return make(raw, token, guard)

    @property
    def scopes(self) -> list[str]:  # type: ignore[override]
        return self.access_token.scopes

    @property
    def username(self) -> str:  # type: ignore[override]
        return self.access_token.client_id
