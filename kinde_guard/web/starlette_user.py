"""``request.user`` and ``request.auth`` of a caller whose token was verified, and of anybody else."""

from __future__ import annotations

from starlette.authentication import AuthCredentials, BaseUser, UnauthenticatedUser
from starlette.types import Scope

from ..adapters import AccessToken


class KindeUser(BaseUser):
    """``request.user`` where a token was demanded."""

    __slots__ = ("token",)

    def __init__(self, token: AccessToken) -> None:
        self.token = token

    @property
    def is_authenticated(self) -> bool:
        return True

    @property
    def display_name(self) -> str:
        return self.token.subject

    @property
    def identity(self) -> str:
        return self.token.subject

    def __repr__(self) -> str:
        return f"KindeUser({self.token!r})"


class Credentials(AuthCredentials):
    """``request.auth``: what Starlette's own ``@requires`` looks at. Most requests never ask."""

    def __init__(self, token: AccessToken | None = None) -> None:
        self.token = token

    @property
    def scopes(self) -> list[str]:  # type: ignore[override]
        return [] if self.token is None else ["authenticated", *self.token.scopes]


NOBODY, NOTHING = UnauthenticatedUser(), Credentials()


def introduce(scope: Scope, token: AccessToken) -> None:
    """Make the verified caller ``request.user``."""
    user = scope.get("user")
    if type(user) is not KindeUser or user.token is not token:
        scope["user"], scope["auth"] = KindeUser(token), Credentials(token)
