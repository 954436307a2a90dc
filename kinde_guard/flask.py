"""Flask: ``KindeGuard(app)``, ``@requires_scope(…)`` below the route decorator, and ``current_token`` in the view."""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Callable, Iterable
from typing import Any, TypeVar, Unpack, overload

try:
    from flask import Flask, current_app, has_app_context, has_request_context, request
except ModuleNotFoundError as missing:
    raise ImportError("kinde_guard.flask needs Flask: pip install 'kinde-guard[flask]'", name=missing.name) from missing
from werkzeug.local import LocalProxy

from .adapters import (
    AccessToken,
    Decorators,
    OnEvent,
    Preflights,
    PublicPaths,
    Requirement,
    WebhookEndpoint,
    WellKnownPages,
    check_function,
    check_given,
    innermost,
    mark,
    stacked,
    wsgi_environ,
)
from .errors import AuthError, ConfigurationError, MissingToken, Unavailable
from .guard import Guard, GuardSettings
from .web.flask_app import ANSWERED
from .web.flask_guard import MEND, FlaskGuard, admit, admit_or_answer, attached_here
from .web.flask_refusal import EXTENSION, refused

__all__ = [
    "KindeGuard",
    "current_token",
    "optional_token",
    "requires",
    "requires_auth",
    "requires_org",
    "requires_permission",
    "requires_role",
    "requires_scope",
    "token_or_none",
]

F = TypeVar("F", bound=Callable[..., Any])


class KindeGuard:
    """Puts a guard in front of a Flask app: ``KindeGuard(app)``, or ``KindeGuard()`` and :meth:`init_app` for several
    apps. Each app gets its own guard.

    Without *public*, the views that carry a demand demand a token. With it, every other path demands one too, also if
    the list is empty (``[]``): unknown paths and static files are among them.

    *guard* is a ready one. In its place, *settings* are those of a guard (:class:`~kinde_guard.guard.GuardSettings`).
    What they leave out is read from ``app.config``, and then from the environment.

    *healthz* and *readyz* are paths of health checks. *resource* is the https URL of this API: its metadata (RFC 9728)
    is served then, and challenges name it. *pass_preflights* lets CORS preflights through, to an app that answers every
    one itself, in a function before requests or in middleware; those that Flask answers by itself need it not. Kinde's
    webhooks come to the path *webhooks*, and *on_event* is called with each event (:mod:`kinde_guard.webhooks`). With
    *close_expired*, streams end when their token expires or is revoked.

    Raises :class:`~kinde_guard.ConfigurationError`.
    """

    def __init__(
        self,
        app: Flask | None = None,
        *,
        guard: Guard | None = None,
        public: Iterable[str] | None = None,
        healthz: str | None = None,
        readyz: str | None = None,
        resource: str | None = None,
        pass_preflights: bool = False,
        webhooks: str | None = None,
        on_event: OnEvent | None = None,
        close_expired: bool = False,
        **settings: Unpack[GuardSettings],
    ) -> None:
        check_given(guard, settings, KindeGuard)
        self._given = guard
        self._public = None if public is None else PublicPaths(public)
        self._pages = functools.partial(WellKnownPages.of, healthz, readyz, resource)
        self._preflights = functools.partial(Preflights, pass_preflights, MEND)
        self._preflights()
        # What is wrong with them is said here.
        self._webhooks = functools.partial(WebhookEndpoint.of, webhooks, on_event, self._pages())
        self._webhooks()
        self.settings = settings
        self._close_expired = close_expired
        self._latest: FlaskGuard | None = None
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """Attach to *app*. Raises :class:`ConfigurationError` if settings are missing, or it has a KindeGuard."""
        if not isinstance(app, Flask):
            raise ConfigurationError(
                f"{app!r} is not a Flask app: for other apps, use kinde_guard.wsgi or kinde_guard.asgi"
            )
        if EXTENSION in app.extensions:
            raise ConfigurationError(f"the app {app.name!r} has a KindeGuard already: call KindeGuard(app) once")
        guard = self._given
        if guard is None:
            settings: GuardSettings = {"variables": (app.config, os.environ), **self.settings}
            guard = Guard(**settings)
        webhooks = self._webhooks()
        if webhooks is not None:
            webhooks.check(guard)
        self._latest = attached = FlaskGuard(self, guard, self._public, self._pages(), self._preflights(), webhooks)
        attached.close_expired = self._close_expired
        attached.install(app)

    @property
    def guard(self) -> Guard:
        """The guard of the current app or, outside an app context, of the app that came last. Can be replaced."""
        return self._of_app().guard

    @guard.setter
    def guard(self, guard: Guard) -> None:
        self._of_app().guard = guard

    def _of_app(self) -> FlaskGuard:
        attached = current_app.extensions.get(EXTENSION) if has_app_context() else None
        if attached is None or attached.by is not self:
            attached = self._latest
        if attached is None:
            raise ConfigurationError("this KindeGuard has no app yet: call init_app(app) first")
        return attached


class Requires:
    """A demand: decorates a view (``def`` or ``async def``), below its route decorator; as ``bp.before_request(…)``
    it holds for the whole blueprint, and as one of ``decorators = […]`` for a class-based view."""

    def __init__(self, requirement: Requirement) -> None:
        self.requirement = requirement
        mark(self, self, requirement)

    @overload
    def __call__(self) -> None: ...
    @overload
    def __call__(self, view: F) -> F: ...
    def __call__(self, view: Callable[..., Any] | None = None) -> Callable[..., Any] | None:
        if view is not None:
            return self._around(view)
        if not has_request_context():
            raise ConfigurationError("write @requires_auth without parentheses, and @requires_…(…) with one pair")
        return admit_or_answer(self.requirement)  # type: ignore[no-any-return]  # a response, at times

    def _around(self, view: Callable[..., Any]) -> Callable[..., Any]:
        check_function(view)
        requirement = stacked(view, self.requirement)
        inner = innermost(view)
        is_async = inspect.iscoroutinefunction(inner)

        @functools.wraps(view)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            admit(requirement)
            return current_app.ensure_sync(inner)(*args, **kwargs) if is_async else inner(*args, **kwargs)

        mark(view, wrapper, requirement)
        return wrapper


_decorators = Decorators(Requires)
requires = _decorators.requires
requires_auth = _decorators.requires_auth
requires_org = _decorators.requires_org
requires_permission = _decorators.requires_permission
requires_role = _decorators.requires_role
requires_scope = _decorators.requires_scope


def optional_token() -> AccessToken | None:
    """The caller's token, or ``None`` for a caller without one; a bad token is refused.

    Once the answer is being made (in ``after_request``, in error handlers, while it is streamed) nothing can be
    refused any more: then a bad token is ``None``.
    """
    try:
        return _token()
    except MissingToken:
        return None
    except (AuthError, Unavailable):
        if request.environ.get(ANSWERED):
            return None
        raise


def token_or_none() -> AccessToken | None:
    """The caller's token if there is a good one, else ``None``; nobody is refused. For logs, limits and the like, and
    on views that are open to all; outside a request it is ``None`` too."""
    try:
        return _token() if has_request_context() else None
    except (AuthError, Unavailable):
        return None


def _token() -> AccessToken:
    if not has_request_context():
        raise RuntimeError("current_token and optional_token() are the token of a request, and here there is none")
    try:
        return wsgi_environ.authenticate(request.environ, attached_here().guard)
    except (AuthError, Unavailable) as error:
        raise refused(error) from None


class _CurrentToken(LocalProxy[AccessToken]):
    """What is not met is refused in Flask's way where nothing else would see to it: in handlers of Socket.IO."""

    __slots__ = ()

    def require(self, requirement: Requirement) -> None:
        try:
            self._get_current_object().require(requirement)
        except (AuthError, Unavailable) as error:
            raise refused(error) from None


current_token: AccessToken = _CurrentToken(_token)  # type: ignore[assignment]
"""The caller's token. On a view that demands none it is verified when first used, and refused if there is none."""
