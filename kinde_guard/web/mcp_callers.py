"""A verified token as the SDKs know tokens, and the URL of the server as tokens know it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken as SdkToken
from pydantic import Field, PrivateAttr

from .. import adapters
from ..adapters import AccessToken
from ..errors import ConfigurationError
from ..guard import Guard
from .mcp_decorators import Call

LONGEST_AUDIENCE = 64  # in Kinde


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


def check_resource(resource: str, guard: Guard) -> None:
    """Raise :class:`ConfigurationError` unless tokens for *resource*, which clients ask for by the server's URL, are
    taken, and there can be some."""
    if len(resource) > LONGEST_AUDIENCE:
        raise ConfigurationError(
            f"the resource URL is {resource!r}: MCP clients ask for a token for the very URL that they connect to, and "
            f"an audience in Kinde has {LONGEST_AUDIENCE} characters at most, and this URL {len(resource)}. Serve it "
            "at a shorter one"
        )
    if resource not in guard.audiences:
        taken = ", ".join(map(repr, guard.audiences)) or "no audience"
        raise ConfigurationError(
            f"the resource URL is {resource!r} and the guard takes tokens for {taken}: MCP clients ask for a token for "
            "the very URL that they connect to, so both have to be the same text. Register the API in Kinde with the "
            "resource URL as its audience, and set KINDE_AUDIENCE to it"
        )
