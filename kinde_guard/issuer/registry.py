"""Apps, APIs, which app may use which API and which of its scopes, and users, as one sets them up in Kinde."""

from __future__ import annotations

import secrets
import string
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import TypeVar

from ..errors import ConfigurationError
from ..net import forks
from .names import word
from .tokens import M2M_LIFETIME
from .users import User

AnyApp = TypeVar("AnyApp", bound="App")
_ALPHANUMERIC = string.ascii_letters + string.digits


@dataclass(frozen=True, slots=True)
class Api:
    """An API has an audience, which tokens for it name, and scopes."""

    audience: str
    scopes: tuple[str, ...]
    id: str = field(default_factory=lambda: uuid.uuid4().hex, compare=False)
    """How Kinde's Management API names it, as in the ``api_ids`` of an API key."""


@dataclass(frozen=True, slots=True)
class App:
    """An app asks for tokens: its own, by its secret, and those of the people it signs in, if it has redirect URIs.

    A machine-to-machine app that belongs to an organization gets tokens that say so.
    """

    name: str
    client_id: str
    client_secret: str | None = field(repr=False)
    """``None``: a front-end app, which can keep no secret and has to use PKCE instead."""
    org_code: str | None = None
    lifetime: float = M2M_LIFETIME
    """How many seconds its access tokens are good for."""
    redirect_uris: tuple[str, ...] = ()
    """Where people who signed in may be sent back to; see :mod:`.redirects`."""
    logout_uris: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ConfidentialApp(App):
    """A confidential app has a secret, which it can keep (RFC 6749 §2.1)."""

    client_secret: str = field(repr=False)


class Registry:
    """The registry holds what is set up. Reading takes no lock: each entry is frozen and replaced whole.

    *management* is Kinde's own API, which is there from the start: apps are authorised for it as for any other.
    """

    def __init__(self, management: Api) -> None:
        self.management = management
        self._lock = forks.Lock()
        self._apis: dict[str, Api] = {}
        self._apps: dict[str, App] = {}
        self._users: dict[str, User] = {}
        self._grants: dict[tuple[str, str], frozenset[str] | None] = {}

    @property
    def apis(self) -> tuple[Api, ...]:
        """Every API but Kinde's own, in the order they were added."""
        return tuple(self._apis.copy().values())

    @property
    def apps(self) -> tuple[App, ...]:
        """Every app, in the order they were added."""
        return tuple(self._apps.copy().values())

    def app(self, client_id: str) -> App | None:
        """The app with that client id."""
        return self._apps.get(client_id)

    @property
    def users(self) -> tuple[User, ...]:
        """Everybody who can sign in, in the order they were added."""
        return tuple(self._users.copy().values())

    def user(self, user_id: str) -> User | None:
        """The user with that id."""
        return self._users.get(user_id)

    def add_user(self, user: User) -> User:
        """Let *user* sign in; one with the same id is replaced."""
        with self._lock.now:
            self._users[user.id] = user
        return user

    def remove_user(self, user_id: str) -> None:
        """Nobody of that id can sign in any more. Access tokens that are out stay good until they expire."""
        with self._lock.now:
            self._users.pop(user_id, None)

    def add_api(self, audience: str, scopes: Iterable[str]) -> Api:
        """Register an API; once more with the same audience gives it other scopes."""
        api = Api(word("an audience", audience), tuple(dict.fromkeys(word("a scope", scope) for scope in scopes)))
        with self._lock.now:
            older = self.api(audience)
            api = api if older is None else replace(older, scopes=api.scopes)
            if older is self.management:
                self.management = api
            else:
                self._apis[audience] = api
        return api

    def api(self, audience: str) -> Api | None:
        """The API with that audience, Kinde's own among them."""
        return self.management if audience == self.management.audience else self._apis.get(audience)

    def own_api(self, audience: str) -> Api:
        """The same, of those that were added; ``ConfigurationError`` if there is none."""
        api = self._apis.get(audience)
        if api is None:
            raise ConfigurationError(f"there is no API with the audience {audience!r}: add it first")
        return api

    def add_app(self, app: AnyApp) -> AnyApp:
        """Register an app; once more with the same client id replaces it, as when its secret is rotated."""
        with self._lock.now:
            self._apps[app.client_id] = app
        return app

    def authorize(self, app: App, audience: str, scopes: Iterable[str] | None) -> None:
        """Let *app* use the API, with some of its *scopes* or (``None``) with all, later ones included."""
        api = self.api(audience)
        if api is None:
            raise ConfigurationError(f"there is no API with the audience {audience!r}: add it first")
        chosen = None if scopes is None else frozenset(scopes)
        unknown = (chosen or frozenset()).difference(api.scopes)
        if unknown:
            raise ConfigurationError(f"the API {audience!r} has no scope {' '.join(sorted(unknown))!r}")
        with self._lock.now:
            self._grants[app.client_id, audience] = chosen

    def forbid(self, app: App, audience: str) -> None:
        """Let *app* use the API no more. Tokens that are out stay good until they expire."""
        with self._lock.now:
            self._grants.pop((app.client_id, audience), None)

    def granted(self, app: App, audience: str) -> tuple[str, ...] | None:
        """The scopes that *app* may have of that API; ``None`` if it may not use the API at all."""
        api, grant = self.api(audience), (app.client_id, audience)
        if api is None or grant not in self._grants:
            return None
        chosen = self._grants[grant]
        return tuple(scope for scope in api.scopes if chosen is None or scope in chosen)


def new_client_id() -> str:
    """A client id in Kinde's form: 32 hex digits."""
    return uuid.uuid4().hex


def new_client_secret() -> str:
    """A client secret in Kinde's form: 40 to 60 letters and digits."""
    return "".join(secrets.choice(_ALPHANUMERIC) for _ in range(50))
