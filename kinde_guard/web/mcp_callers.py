"""A verified token as the SDKs know tokens, and the URL of the server as tokens know it."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from typing import Any
from weakref import WeakKeyDictionary

from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken as SdkToken
from pydantic import Field, PrivateAttr

from .. import adapters
from ..adapters import AccessToken, asgi_scope
from ..asgi import Scope
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


class Callers:
    """The callers of a server, as the SDK knows them: each is made once, for as long as its token is remembered."""

    def __init__(self, make: Make = verified_token) -> None:
        self._make = make
        self._made: MutableMapping[AccessToken, AuthenticatedUser] = WeakKeyDictionary()

    def introduced(self, scope: Scope, token: AccessToken, guard: adapters.Authenticator) -> AuthenticatedUser:
        """The caller of a request with this *token*."""
        user = self._made.get(token)
        if user is None:
            values = [value.decode("latin-1") for value in asgi_scope.authorization(scope)]
            # Where no token is asked for, in a test, there is no text of one.
            raw = adapters.token_from(values) if values else ""
            user = self._made[token] = AuthenticatedUser(self._make(raw, token, guard))
        return user


def check_resource(resource: str, guard: Guard) -> None:
    """Raise :class:`ConfigurationError` unless tokens for *resource*, which clients ask for by the server's URL, are
    taken."""
    if resource in guard.audiences:
        return
    taken = ", ".join(map(repr, guard.audiences)) or "no audience"
    text = (
        f"the resource URL is {resource!r} and the guard takes tokens for {taken}: MCP clients ask for a token for the "
        "very URL that they connect to, so both have to be the same text. Register the API in Kinde with the resource "
        "URL as its audience, and set KINDE_AUDIENCE to it"
    )
    if len(resource) > LONGEST_AUDIENCE:
        text += f" (an audience in Kinde has {LONGEST_AUDIENCE} characters at most, and this URL {len(resource)})"
    raise ConfigurationError(text)
