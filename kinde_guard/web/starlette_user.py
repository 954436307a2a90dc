"""``request.user`` and ``request.auth`` of a caller whose token was verified, and of anybody else."""

from __future__ import annotations

from starlette.authentication import AuthCredentials, BaseUser, UnauthenticatedUser
from starlette.types import Scope

from ..adapters import AccessToken


class KindeUser(BaseUser, AuthCredentials):
    """``request.user`` where a token was demanded; ``request.user.token`` is the :class:`~kinde_guard.AccessToken`. It
    is ``request.auth`` too: each request makes one object, not two."""

    def __init__(self, token: AccessToken) -> None:
        self.token = token

    @property
    def scopes(self) -> list[str]:  # type: ignore[override]
        """What Starlette's own ``@requires`` looks at. Most requests never ask."""
        return ["authenticated", *self.token.scopes]

    @property
    def is_authenticated(self) -> bool:
        """``True``: there is a token."""
        return True

    @property
    def display_name(self) -> str:
        """The subject of the token."""
        return self.token.subject

    @property
    def identity(self) -> str:
        """The subject of the token."""
        return self.token.subject

    def __repr__(self) -> str:
        return f"KindeUser({self.token!r})"


class NoCredentials(AuthCredentials):
    """``request.auth`` of anybody else. All requests share one object, so each list that is read of it is a new one."""

    def __init__(self) -> None:
        """There is nothing to keep."""

    @property
    def scopes(self) -> list[str]:  # type: ignore[override]
        return []


NOBODY, NOTHING = UnauthenticatedUser(), NoCredentials()


def introduce(scope: Scope, token: AccessToken) -> None:
    """Make the verified caller ``request.user``."""
    user = scope.get("user")
    if type(user) is not KindeUser or user.token is not token:
        scope["user"] = scope["auth"] = KindeUser(token)
