"""The guard of a Django project: one for the process, made when it is first asked for.

It is made of the setting ``KINDE_GUARD``, and of ``KINDE_DOMAIN`` and the like, as settings or in the environment.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Unpack

from asgiref.sync import iscoroutinefunction
from django.conf import settings
from django.core.signals import setting_changed
from django.utils.module_loading import import_string

from ..adapters import AccessToken, Attached, OnEvent, PublicPaths, WebhookEndpoint, WellKnownPages, cors
from ..errors import ConfigurationError
from ..guard import Guard, GuardSettings

MEND = (
    "put CORS middleware, such as corsheaders.middleware.CorsMiddleware, above KindeGuardMiddleware in MIDDLEWARE: it "
    "answers preflights there; KINDE_GUARD = {'pass_preflights': True} is for a project that answers every one itself"
)
MIDDLEWARE = "kinde_guard.django.KindeGuardMiddleware"
UserOf = Callable[[AccessToken], Any]


class DjangoGuard(Attached):
    """The guard, and what goes with it. Its arguments are the members of ``KINDE_GUARD``, all of which may be left out.

    Without *public*, the views that carry a demand demand a token. With it (``[]`` included) every other path does too,
    unknown ones among them, before a view is looked for. *healthz*, *readyz*, *resource*, *pass_preflights*,
    *webhooks*, *on_event* and *close_expired* are as everywhere. *user_of* is a function that says who ``request.user``
    is in REST framework: ``None`` for a token whose user this project does not know. Functions may be dotted paths.
    *guard* is a ready one, in place of *guard_settings*.
    """

    def __init__(
        self,
        *,
        guard: Guard | None = None,
        public: Iterable[str] | None = None,
        healthz: str | None = None,
        readyz: str | None = None,
        resource: str | None = None,
        pass_preflights: bool = False,
        webhooks: str | None = None,
        on_event: str | OnEvent | None = None,
        user_of: str | UserOf | None = None,
        close_expired: bool = False,
        **guard_settings: Unpack[GuardSettings],
    ) -> None:
        super().__init__(guard, guard_settings, pass_preflights, MEND)
        if guard is None:
            self.settings = {"variables": (_variables(), os.environ), **guard_settings}
        self.public = None if public is None else PublicPaths(public)
        self.pages = WellKnownPages.of(healthz, readyz, resource)
        self.webhooks = WebhookEndpoint.of(webhooks, _imported("on_event", on_event), self.pages)
        self.user_of = _function("user_of", user_of)
        self.close_expired = close_expired
        self.is_checked = False
        """Whether what views demand is known to be enforced."""

    @property
    def metadata_url(self) -> str:
        """The URL of the metadata of this API (RFC 9728); empty if there is none."""
        return "" if self.pages is None else self.pages.metadata_url

    def start(self) -> None:
        """When the server starts: raise :class:`ConfigurationError` if settings are missing; say which CORS middleware
        will not be asked."""
        guard = self.ready()
        if self.webhooks is not None:
            self.webhooks.check(guard)
        self.preflights.tell_of(cors.Found("", name) for name in hidden_cors(self))


def guard_of_project() -> DjangoGuard:
    """What guards the project. Raises :class:`ConfigurationError` if ``KINDE_GUARD`` is not right."""
    return _made.get(_ONE) or _make()


def hidden_cors(attached: DjangoGuard) -> list[str]:
    """The CORS middleware that no preflight comes to, because the guard in front of it refuses them."""
    if attached.public is None or attached.preflights.passes or MIDDLEWARE not in settings.MIDDLEWARE:
        return []
    inside = settings.MIDDLEWARE[settings.MIDDLEWARE.index(MIDDLEWARE) + 1 :]
    return [name for name in inside if "cors" in name.lower()]


_ONE = "guard"
_made: dict[str, DjangoGuard] = {}


def _make() -> DjangoGuard:
    options = getattr(settings, "KINDE_GUARD", {})
    if not isinstance(options, Mapping):
        raise ConfigurationError(
            f"the setting KINDE_GUARD is a dict, such as {{'public': ['/healthz']}}, not {options!r}"
        )
    try:
        made = DjangoGuard(**options)
    except (ConfigurationError, TypeError) as error:
        raise ConfigurationError(f"in the setting KINDE_GUARD: {error}") from None
    return _made.setdefault(_ONE, made)  # threads may come here together: all have the same one


def _forget(*, setting: str, **_: object) -> None:
    """Tests change settings (``override_settings``), and what is made of them has to be made anew."""
    if setting.startswith("KINDE_") or setting in ("ROOT_URLCONF", "MIDDLEWARE"):
        _made.clear()


setting_changed.connect(_forget)


def _variables() -> dict[str, object]:
    """Those of ``KINDE_DOMAIN``, ``KINDE_AUDIENCE`` and the like that are settings of Django."""
    return dict(_named("KINDE_"))


def _named(prefix: str) -> Iterator[tuple[str, object]]:
    for name in dir(settings):
        if name.startswith(prefix):
            yield name, getattr(settings, name)


def _imported(name: str, given: Any) -> Any:
    """What *given* is the dotted path of, or is itself."""
    try:
        return import_string(given) if isinstance(given, str) else given
    except ImportError as error:
        raise ConfigurationError(f"{name}: {error}") from None


def _function(name: str, given: Any) -> UserOf | None:
    given = _imported(name, given)
    if given is not None and (not callable(given) or iscoroutinefunction(given)):
        raise ConfigurationError(f"{name} is a function (def), or its dotted path, not {given!r}")
    return given  # type: ignore[no-any-return]  # it was checked
