"""Pure WSGI middleware in front of any app: whatever is not public demands a valid token.

    application = GuardMiddleware(application, public=["/healthz"])

A request is refused before its body is read. The verified token is ``environ["kinde_guard.token"]``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from .errors import AuthError, ConfigurationError, KeysUnavailable
from .guard import Guard, guard_has_settings
from .requirements import Requirement, authenticated
from .tokens.claims import AccessToken
from .web import bearer, caching, layers
from .web.cors import Preflights
from .web.decorators import checked
from .web.paths import PublicPaths, is_preflight
from .web.well_known import Page, Pages

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

_VERIFIED = "kinde_guard.verified"
_MEND = (
    "put CORS middleware around the guard; or, if the app inside answers every preflight itself, as Django does with "
    "django-cors-headers, write GuardMiddleware(…, pass_preflights=True)"
)


class GuardMiddleware:
    """Demands a valid token on every path but the *public* ones, and *requires* of it, if given, on top.

    Without *guard* it makes one from ``KINDE_DOMAIN`` and ``KINDE_AUDIENCE``.
    Raises :class:`ConfigurationError`, here and not at the first request. *healthz* and *readyz* are paths to answer
    health checks at; *resource* is the https URL of this API, whose metadata (RFC 9728) is then served and named in
    challenges. *pass_preflights* lets CORS preflights through to an app that answers every one itself, and runs no
    handler for it (Django with django-cors-headers).
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
    ) -> None:
        if not callable(app):
            raise ConfigurationError(f"GuardMiddleware(app, …) takes a WSGI app first, not {app!r}")
        self.app = app
        self.public = PublicPaths(public)
        self.pages = Pages.of(healthz, readyz, resource)
        # No route has been chosen yet, so there are no path parameters to compare with.
        self.requires = checked(authenticated if requires is None else requires).bound({})
        self.preflights = Preflights(pass_preflights, _MEND)
        self.guard = Guard() if guard is None else guard
        self.preflights.check(app, self.public)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if self.pages is not None:
            page = page_for(environ, self.pages, lambda: self.guard, lambda: [self.requires])
            if page is not None:
                return send_page(page, start_response)
        if not self._is_open(environ):
            try:
                token = authenticate(environ, self.guard)
                if self.requires is not authenticated:
                    layers.judge(self.guard, token, self.requires, environ)
                    layers.passed(self.requires, environ)
            except (AuthError, KeysUnavailable) as refusal:
                if is_cors_preflight(environ):
                    self.preflights.refused()
                url = "" if self.pages is None else self.pages.metadata_url
                return _answer(bearer.answer(refusal, url), environ, start_response)
            start_response = private_to_caller(environ, start_response)
        return self.app(environ, start_response)

    def _is_open(self, environ: WSGIEnvironment) -> bool:
        return covers(self.public, environ) or (self.preflights.passes and is_cors_preflight(environ))


def private_to_caller(environ: WSGIEnvironment, start_response: StartResponse) -> StartResponse:
    """*start_response*, which tells caches whose the answer is, if a token was verified for it."""

    def starting(status: str, headers: list[tuple[str, str]], *exc_info: Any) -> Callable[[bytes], object]:
        verified = environ.get("kinde_guard.token") is not None
        return start_response(status, list(caching.for_wsgi(headers)) if verified else headers, *exc_info)

    return starting


def authenticate(environ: WSGIEnvironment, guard: Guard) -> AccessToken:
    """The token of a request. The guard judges it once, and says the same for the rest of the request; what another
    guard said counts for nothing.

    Raises :class:`AuthError` or :class:`KeysUnavailable`.
    """
    header = environ.get("HTTP_AUTHORIZATION")
    seen = environ.get(_VERIFIED)
    # Looked at as well is the header, because an app may copy the environ for a request of its own to itself.
    if seen is not None and seen[0] is guard and seen[1] == hash(header):
        if isinstance(seen[2], AccessToken):
            return seen[2]
        raise seen[2].anew()
    token = None if header is None else guard.recognise(header.encode("latin-1", "replace"))
    if token is None:
        try:
            # The server has joined several headers with commas, which no bearer token contains.
            token = guard.authenticate([] if header is None else [header])
        except (AuthError, KeysUnavailable) as refusal:
            _remember(environ, guard, header, refusal.anew())
            raise
    _remember(environ, guard, header, token)
    return token


def _remember(
    environ: WSGIEnvironment, guard: Guard, header: str | None, verdict: AccessToken | bearer.Refusal
) -> None:
    """Of the header its hash alone, which Python keeps with the text: error reporters print the whole environ."""
    environ[_VERIFIED] = guard, hash(header), verdict
    if isinstance(verdict, AccessToken):
        environ["kinde_guard.token"] = verdict
    else:
        environ.pop("kinde_guard.token", None)


def covers(public: PublicPaths, environ: WSGIEnvironment) -> bool:
    """Whether the request's path, as the app sees it, is public. One that is not UTF-8 never is."""
    try:
        # PEP 3333: the bytes of the path, each as the character of that number.
        return public.cover(environ.get("PATH_INFO", "").encode("latin-1").decode())
    except UnicodeError:
        return False


def page_for(
    environ: WSGIEnvironment, pages: Pages, guard: Callable[[], Guard], demands: Callable[[], Iterable[Requirement]]
) -> Page | None:
    """The answer, if the request is for one of *pages*."""
    return pages.answer(environ.get("REQUEST_METHOD", ""), environ.get("PATH_INFO", ""), guard, demands)


def send_page(page: Page, start_response: StartResponse) -> Iterable[bytes]:
    """Answer with it."""
    start_response(f"{page.status} {HTTPStatus(page.status).phrase}", list(page.headers))
    return [page.body]


def is_cors_preflight(environ: WSGIEnvironment) -> bool:
    """Whether the request calls itself a CORS preflight."""
    return is_preflight(
        environ.get("REQUEST_METHOD", ""), lambda name: f"HTTP_{name.upper().replace('-', '_')}" in environ
    )


def _answer(answer: bearer.Answer, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    start_response(f"{answer.status} {HTTPStatus(answer.status).phrase}", list(answer.all_headers))
    return [] if environ.get("REQUEST_METHOD") == "HEAD" else [answer.body]
