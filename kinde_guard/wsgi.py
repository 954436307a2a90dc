"""Pure WSGI middleware in front of any app: whatever is not public demands a valid token.

    application = GuardMiddleware(application, public=["/healthz"])

A request is refused before its body is read. The verified token is ``environ["kinde_guard.token"]``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from .adapters import (
    OnEvent,
    Preflights,
    PublicPaths,
    Requirement,
    WebhookEndpoint,
    WellKnownPages,
    answer,
    checked_requirement,
    guard_has_settings,
    judge,
    passed,
    wsgi_environ,
)
from .errors import AuthError, ConfigurationError, Unavailable
from .guard import Guard
from .requirements import authenticated

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

__all__ = [
    "GuardMiddleware",
    "authenticate",
    "covers",
    "is_cors_preflight",
    "page_for",
    "private_to_caller",
    "send_page",
]

# Adapters of others stand on these; new ones take them from kinde_guard.adapters.
authenticate = wsgi_environ.authenticate
covers = wsgi_environ.covers
is_cors_preflight = wsgi_environ.is_cors_preflight
page_for = wsgi_environ.page_for
private_to_caller = wsgi_environ.private_to_caller
send_page = wsgi_environ.send_page

_MEND = (
    "put CORS middleware around the guard; or, if the app inside answers every preflight itself, as Django does with "
    "django-cors-headers, write GuardMiddleware(…, pass_preflights=True)"
)


class GuardMiddleware:
    """Wraps a WSGI app, and demands a valid token on every path that is not *public*: ``application =
    GuardMiddleware(application, public=["/healthz"])``. The token is ``environ["kinde_guard.token"]``.

    *requires* is what each token has to have besides. Without *guard* it makes one from ``KINDE_DOMAIN`` and
    ``KINDE_AUDIENCE``.

    *healthz* and *readyz* are paths of health checks. *resource* is the https URL of this API: its metadata (RFC 9728)
    is served then, and challenges name it. *pass_preflights* lets CORS preflights through, to an app that answers every
    one itself and runs no handler for it (Django with django-cors-headers). Kinde's webhooks come to the path
    *webhooks*, and *on_event* is called with each event (:mod:`kinde_guard.webhooks`). With *close_expired*, streams
    end when their token expires or is revoked.

    Raises :class:`~kinde_guard.ConfigurationError`, at once and not at the first request.
    """

    @guard_has_settings
    def __init__(
        self,
        app: WSGIApplication,
        guard: Guard | None = None,
        *,
        public: Iterable[str] = (),
        requires: Requirement | None = None,
        healthz: str | None = None,
        readyz: str | None = None,
        resource: str | None = None,
        pass_preflights: bool = False,
        webhooks: str | None = None,
        on_event: OnEvent | None = None,
        close_expired: bool = False,
    ) -> None:
        if not callable(app):
            raise ConfigurationError(f"GuardMiddleware(app, …) takes a WSGI app first, not {app!r}")
        self.app = app
        self.public = PublicPaths(public)
        self.pages = WellKnownPages.of(healthz, readyz, resource)
        self.webhooks = WebhookEndpoint.of(webhooks, on_event, self.pages)
        self._close_expired = close_expired
        # No route has been chosen yet, so there are no path parameters to compare with.
        self.requires = authenticated if requires is None else checked_requirement(requires).bound({})
        self.preflights = Preflights(pass_preflights, _MEND)
        self.guard = Guard() if guard is None else guard
        if self.webhooks is not None:
            self.webhooks.check(self.guard)
        self.preflights.check(app, self.public)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if self.webhooks is not None:
            answered = wsgi_environ.webhook_answer(self.webhooks, self.guard, environ)
            if answered is not None:
                return send_page(answered, start_response)
        if self.pages is not None:
            page = page_for(environ, self.pages, lambda: self.guard, lambda: [self.requires])
            if page is not None:
                return send_page(page, start_response)
        if not self._is_open(environ):
            try:
                token = authenticate(environ, self.guard)
                if self.requires is not authenticated:
                    judge(self.guard, token, self.requires, environ)
                    passed(self.requires, environ)
            except (AuthError, Unavailable) as refusal:
                if is_cors_preflight(environ):
                    self.preflights.refused()
                url = "" if self.pages is None else self.pages.metadata_url
                return wsgi_environ.send_answer(answer(refusal, url), environ, start_response)
            start_response = private_to_caller(environ, start_response)
        items = self.app(environ, start_response)
        return wsgi_environ.until_over(self.guard, environ, items) if self._close_expired else items

    def _is_open(self, environ: WSGIEnvironment) -> bool:
        return covers(self.public, environ) or (self.preflights.passes and is_cors_preflight(environ))
