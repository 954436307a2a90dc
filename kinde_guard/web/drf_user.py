"""Who calls, in projects that keep no rows of their users: REST framework wants a user where there is a token."""

from __future__ import annotations

from typing import Any

from ..adapters import AccessToken


class KindeUser:
    """The caller of a request, by its token: a person or an app, without a row, a session or Django permissions."""

    is_authenticated = is_active = True
    is_anonymous = is_staff = is_superuser = False

    def __init__(self, token: AccessToken) -> None:
        self.token = token
        self.pk = self.id = self.username = token.subject

    def get_username(self) -> str:
        """The subject of the token."""
        return self.username

    def has_perm(self, perm: str, obj: Any = None) -> bool:
        """Django's permissions are rows. Those of Kinde are demanded by ``HasPermission(…)``."""
        return False

    def has_perms(self, perms: object, obj: Any = None) -> bool:
        """The same as :meth:`has_perm`."""
        return False

    def has_module_perms(self, app_label: str) -> bool:
        """The same as :meth:`has_perm`."""
        return False

    def __str__(self) -> str:
        return self.username
