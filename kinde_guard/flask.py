"""Flask: ``KindeGuard(app)``, ``@requires_scope(…)`` below the route decorator, and ``current_token`` in the view."""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar, overload

try:
    from flask import Flask, current_app, has_app_context, has_request_context, request
except ModuleNotFoundError as missing:
    raise ImportError("kinde_guard.flask needs Flask: pip install 'kinde-guard[flask]'", name=missing.name) from missing
from werkzeug.exceptions import HTTPException, default_exceptions
from werkzeug.local import LocalProxy

from . import bearer, demands
from .claims import AccessToken
from .errors import AuthError, ConfigurationError, InsufficientScope, KeysUnavailable, KindeGuardError, MissingToken
from .guard import Guard, check_given
from .pages import Pages
from .paths import PublicPaths
from .requirements import Requirement, authenticated
from .wsgi import authenticate, covers, is_cors_preflight, page_for, send_page

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from flask import Request
    from flask.typing import ResponseReturnValue

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
]

EXTENSION = "kinde_guard"
# Of Flask's proxies what they stand for: one look-up in place of one for each attribute.
_app: Callable[[], Flask] = current_app._get_current_object  # type: ignore[attr-defined]
_request: Callable[[], Request] = request._get_current_object  # type: ignore[attr-defined]
F = TypeVar("F", bound=Callable[..., Any])


class KindeGuard:
    """Puts a guard in front of a Flask app; of several apps, by :meth:`init_app`, in front of each one its own.

    Without *public*, the views that carry a demand demand a token. With it (``[]`` included) every other path does
    too, unknown ones and static files among them. *settings* are those of :class:`Guard`; what they leave out is
    read from ``app.config`` and then from the environment. *healthz* and *readyz* are paths to answer health checks at;
    *resource* is the https URL of this API, whose metadata (RFC 9728) is then served and named in challenges.
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
        **settings: Any,
    ) -> None:
        check_given(guard, settings)
        self._given = guard
        self._public = None if public is None else PublicPaths(public)
        self._pages = functools.partial(Pages.of, healthz, readyz, resource)
        self._pages()  # what is wrong with them is said here
        self._settings = settings
        self._latest: Attached | None = None
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """Attach to *app*. Raises :class:`ConfigurationError` if settings are missing, or it has a KindeGuard."""
        if not isinstance(app, Flask):
            raise ConfigurationError(f"{app!r} is no Flask app: in front of others put kinde_guard.wsgi or .asgi")
        if EXTENSION in app.extensions:
            raise ConfigurationError(f"the app {app.name!r} has a KindeGuard already: call KindeGuard(app) once")
        guard = self._given
        if guard is None:
            guard = Guard(**{"variables": (app.config, os.environ), **self._settings})
        self._latest = attached = Attached(self, guard, self._public, self._pages())
        attached.install(app)

    @property
    def guard(self) -> Guard:
        """The guard of the current app or, outside an app context, of the app that came last. Can be replaced."""
        return self._of_app().guard

    @guard.setter
    def guard(self, guard: Guard) -> None:
        self._of_app().guard = guard

    def _of_app(self) -> Attached:
        attached = current_app.extensions.get(EXTENSION) if has_app_context() else None
        if attached is None or attached.by is not self:
            attached = self._latest
        if attached is None:
            raise ConfigurationError("this KindeGuard has no app yet: call init_app(app) first")
        return attached


class Attached:
    """What one app keeps, as ``app.extensions["kinde_guard"]``; its ``guard`` can be replaced."""

    def __init__(self, by: KindeGuard, guard: Guard, public: PublicPaths | None, pages: Pages | None = None) -> None:
        self.pages = pages
        self.by = by
        self.guard = guard
        self.public = public

    def install(self, app: Flask) -> None:
        """Get ahead of all other functions of *app*: a caller without a token learns nothing from them, such as which
        organizations exist. Url value preprocessors are what Flask runs first."""
        app.url_value_preprocessor(_check_once)  # raises if the app has served a request
        ours = [_check_once] if self.public is None else [_check_once, functools.partial(_deny_by_default, self.public)]
        app.url_value_preprocessors[None] = [*ours, *app.url_value_preprocessors[None][:-1]]
        app.error_handler_spec[None][None].setdefault(KindeGuardError, _handle)
        app.extensions[EXTENSION] = self
        if self.pages is not None:
            app.wsgi_app = functools.partial(_answer_pages, app, self, app.wsgi_app)  # type: ignore[method-assign]


class Requires:
    """A demand: decorates a view (``def`` or ``async def``), below its route decorator; as ``bp.before_request(…)``
    it holds for the whole blueprint, and as one of ``decorators = […]`` for a class-based view."""

    def __init__(self, requirement: Requirement) -> None:
        self.requirement = requirement
        demands.mark(self, self, requirement)

    @overload
    def __call__(self) -> None: ...
    @overload
    def __call__(self, view: F) -> F: ...
    def __call__(self, view: Callable[..., Any] | None = None) -> Callable[..., Any] | None:
        if view is not None:
            return self._around(view)
        if not has_request_context():
            raise ConfigurationError("write @requires_auth without parentheses, and @requires_…(…) with one pair")
        if not _answered_by_flask():
            _admit(self.requirement)
        return None

    def _around(self, view: Callable[..., Any]) -> Callable[..., Any]:
        demands.check_function(view)
        requirement = demands.stacked(view, self.requirement)
        inner = demands.innermost(view)
        is_async = inspect.iscoroutinefunction(inner)

        @functools.wraps(view)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            _admit(requirement)
            return current_app.ensure_sync(inner)(*args, **kwargs) if is_async else inner(*args, **kwargs)

        demands.mark(view, wrapper, requirement)
        return wrapper


_decorators = demands.Decorators(Requires)
requires = _decorators.requires
requires_auth = _decorators.requires_auth
requires_org = _decorators.requires_org
requires_permission = _decorators.requires_permission
requires_role = _decorators.requires_role
requires_scope = _decorators.requires_scope


def optional_token() -> AccessToken | None:
    """The caller's token, or ``None`` for a caller without one; a bad token is refused."""
    try:
        return _token()
    except MissingToken:
        return None


def _token() -> AccessToken:
    if not has_request_context():
        raise RuntimeError("current_token and optional_token() are the token of a request, and here there is none")
    try:
        return authenticate(request.environ, _attached().guard)
    except (AuthError, KeysUnavailable) as error:
        raise refused(error) from None


current_token: AccessToken = LocalProxy(_token)  # type: ignore[assignment]
"""The caller's token. On a view that demands none it is verified when first used, and refused if there is none."""


class Refused(HTTPException):
    """A refusal as Flask knows them: users' handlers for its status, or for HTTPException, find it. It is an
    :class:`AuthError` or :class:`KeysUnavailable` as well, and answers with the problem body and the challenge."""

    answer: bearer.Answer

    def get_body(self, environ: object = None, scope: object = None) -> str:
        return self.answer.body.decode()

    def get_headers(self, environ: object = None, scope: object = None) -> list[tuple[str, str]]:
        return [*self.answer.headers, ("Content-Type", self.answer.media_type)]


_KINDS: dict[type[Exception], Any] = {}


def refused(error: AuthError | KeysUnavailable) -> Refused:
    """*error* as an exception of Flask's."""
    kind = _KINDS.get(type(error)) or _KINDS.setdefault(type(error), _kind(error))
    refusal: Any = kind.__new__(kind, *error.args)
    refusal.__dict__.update(vars(error), response=None, description=error.detail)
    pages = current_app.extensions[EXTENSION].pages if EXTENSION in current_app.extensions else None
    refusal.answer = bearer.answer(refusal, "" if pages is None else pages.metadata_url)
    return refusal  # type: ignore[no-any-return]


def _kind(error: AuthError | KeysUnavailable) -> Any:
    """A class for each class of error, because Flask finds a handler by it: that of the status, or of the error."""
    status = default_exceptions[error.status]
    return type(type(error).__name__, (Refused, status, type(error)), {"__module__": __name__})


def _handle(error: KindeGuardError) -> ResponseReturnValue | HTTPException:
    """For ``token.require(…)`` in a view; and so that a handler for Exception does not swallow a refusal."""
    if isinstance(error, Refused):
        return error
    if isinstance(error, AuthError | KeysUnavailable):
        return current_app.handle_http_exception(refused(error))
    raise error  # ours, not the caller's: 500


def _admit(requirement: Requirement) -> None:
    guard = _attached().guard
    current = _request()
    try:
        token = authenticate(current.environ, guard)
        guard.demand(token, requirement.bound(current.view_args or {}))
    except InsufficientScope as error:
        # RFC 6750 §3: ``scope`` names all that the resource requires, so that one more token request is enough.
        names = [name for demand in _demands_of_request() for name in demand.scopes()]
        raise refused(InsufficientScope(dict.fromkeys((*names, *error.required)), error.hint)) from None
    except (AuthError, KeysUnavailable) as error:
        raise refused(error) from None


def _attached() -> Attached:
    app = _app()
    attached: Attached | None = app.extensions.get(EXTENSION)
    if attached is None:
        raise ConfigurationError(
            f"no guard is attached to the app {app.name!r}, which serves {request.endpoint!r}: "
            "call KindeGuard(app) before it starts"
        )
    return attached


def _answered_by_flask() -> bool:
    """A CORS preflight that comes to no view: Flask, or an extension for CORS, answers it."""
    current = _request()
    return is_cors_preflight(current.environ) and getattr(current.url_rule, "provide_automatic_options", False)


def _demands_of_request() -> Iterator[Requirement]:
    """What the app, the blueprints and the view demand together."""
    functions: list[Any] = []
    for name in (None, *reversed(request.blueprints)):
        functions += current_app.before_request_funcs.get(name, ())
    functions.append(current_app.view_functions.get(request.endpoint or ""))
    for function in functions:
        demand = demands.enforced(function)
        if demand is not None:
            yield demand


def _answer_pages(
    app: Flask, attached: Attached, served: WSGIApplication, environ: WSGIEnvironment, start_response: StartResponse
) -> Iterable[bytes]:
    """In front of all of Flask: no function of the app has to let a health check pass."""
    assert attached.pages is not None
    page = page_for(environ, attached.pages, lambda: attached.guard, functools.partial(_all_demands, app))
    return served(environ, start_response) if page is None else send_page(page, start_response)


def _all_demands(app: Flask) -> Iterator[Requirement]:
    functions = [function for before in app.before_request_funcs.values() for function in before]
    for function in (*functions, *app.view_functions.values()):
        view = getattr(function, "view_class", None)
        for part in (function, *(vars(view).values() if view is not None else ())):
            demand = demands.enforced(part) if callable(part) else None
            if demand is not None:
                yield demand


def _deny_by_default(public: PublicPaths, endpoint: str | None, values: dict[str, Any] | None) -> None:
    if not covers(public, _request().environ) and not _answered_by_flask():
        _admit(authenticated)


def _check_once(endpoint: str | None, values: dict[str, Any] | None) -> None:
    """At the first request, after which Flask takes no more views."""
    app = _app()
    for name, view in app.view_functions.items():
        if demands.misplaced(view):
            raise ConfigurationError(
                f"the demand on the view {name!r} is not enforced: write @requires_…(…) below the route decorator"
            )
    for handlers in list(app.error_handler_spec.values()):
        # A blueprint's handler for Exception would come before the app's handler for our errors.
        if Exception in handlers.get(None, {}):
            handlers[None].setdefault(KindeGuardError, _handle)
    remaining = [function for function in app.url_value_preprocessors[None] if function is not _check_once]
    app.url_value_preprocessors[None] = remaining  # another list, because Flask is going through this one
