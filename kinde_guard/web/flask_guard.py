"""What one Flask app keeps of its guard, and the checks that are made in its requests."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from flask import Flask, current_app, has_request_context, request

from ..adapters import (
    Authenticator,
    Preflights,
    PublicPaths,
    Requirement,
    WebhookEndpoint,
    WellKnownPage,
    WellKnownPages,
    guarded_by,
    misplaced,
    misuse_error,
    requirements_around,
    with_requirements_around,
    wsgi_environ,
)
from ..errors import AuthError, ConfigurationError, InsufficientScope, KindeGuardError, Unavailable
from ..guard import Guard
from ..requirements import authenticated
from .flask_app import is_automatic_options, past_front, put_in_front
from .flask_refusal import EXTENSION, handle, refused
from .flask_routes import all_requirements, covered_requirements, event_handlers, requirements_before, requirements_of

if TYPE_CHECKING:
    from wsgiref.types import WSGIApplication, WSGIEnvironment

    from flask import Request

    from ..webhooks import WebhookAnswer

MEND = (
    "let Flask answer OPTIONS by itself, and have Flask-CORS set the headers; or, if the app answers every preflight "
    "in a function of its own, write KindeGuard(app, pass_preflights=True)"
)
_PUT_OFF = "kinde_guard.put_off"
"""In the environ, what functions before a preflight's request would have demanded."""
# Of Flask's proxies what they stand for: one look-up in place of one for each attribute.
_app: Callable[[], Flask] = current_app._get_current_object  # type: ignore[attr-defined]
_request: Callable[[], Request] = request._get_current_object  # type: ignore[attr-defined]


class FlaskGuard:
    """The guard in front of one Flask app: its ``app.extensions["kinde_guard"]``. The ``guard`` can be replaced."""

    def __init__(
        self,
        by: object,
        guard: Guard,
        public: PublicPaths | None,
        pages: WellKnownPages | None,
        preflights: Preflights,
        webhooks: WebhookEndpoint | None,
    ) -> None:
        self.by = by
        self.guard = guard
        self.public = public
        self.pages = pages
        self.preflights = preflights
        self.webhooks = webhooks
        self.close_expired = False
        self.leaves_all_to_flask = False
        self.covered: dict[tuple[str, str], Requirement] = {}
        self._is_checked = False
        self._past: tuple[object, WSGIApplication] | None = None

    def install(self, app: Flask) -> None:
        """Get ahead of all other functions of *app*: a caller without a token learns nothing from them, such as which
        organizations exist. Url value preprocessors are what Flask runs first."""
        app.url_value_preprocessor(_check_once)  # raises if the app has served a request
        ours = [_check_once] if self.public is None else [_check_once, self._deny_by_default]
        app.url_value_preprocessors[None] = [*ours, *app.url_value_preprocessors[None][:-1]]
        app.error_handler_spec[None][None].setdefault(KindeGuardError, handle)
        app.extensions[EXTENSION] = self
        put_in_front(app)

    def page(self, app: Flask, environ: WSGIEnvironment) -> WellKnownPage | None:
        """The page that is asked for, if it is one of ours. It is answered in front of all of Flask: no function of the
        app has to let a health check pass."""
        assert self.pages is not None
        return wsgi_environ.page_for(environ, self.pages, lambda: self.guard, functools.partial(all_requirements, app))

    def webhook_answer(self, environ: WSGIEnvironment) -> WebhookAnswer | None:
        """The answer to a webhook, in front of all of Flask, too: nothing else has read its body."""
        assert self.webhooks is not None
        return wsgi_environ.webhook_answer(self.webhooks, self.guard, environ)

    def opens(self, environ: WSGIEnvironment) -> bool:
        """Whether the request goes on as if there were no guard: its path is public, or its token good."""
        return self._is_open(environ) or _is_verified(environ, self.guard)

    def past_front(self, app: Flask) -> WSGIApplication:
        """The way of all other requests, past what stands in front of *app*; made once."""
        front = vars(app).get("wsgi_app")
        if self._past is None or self._past[0] is not front:
            self._past = front, past_front(app)
        return self._past[1]

    def is_strangers_preflight(self, current: Request) -> bool:
        """Whether it is one that Flask itself answers, in an app that is for callers with a good token alone."""
        environ = current.environ
        return is_automatic_options(current) and wsgi_environ.is_cors_preflight(environ) and not self.opens(environ)

    def is_sound(self, app: Flask) -> bool:
        """Whether there is nothing to say against serving *app*, to which requests may come that never get to Flask."""
        if not self._is_checked:
            with suppress(ConfigurationError):  # Flask says it, in its way
                self.check(app)
        return self._is_checked

    def check(self, app: Flask) -> None:
        """Raise :class:`ConfigurationError` for a demand that nothing enforces, and find those that are beneath
        decorators of others."""
        paths = {rule.endpoint: rule.rule for rule in app.url_map.iter_rules()}
        guarded = guarded_by(app.view_functions.values())
        for name, view in app.view_functions.items():
            if misplaced(view, guarded):
                raise ConfigurationError(
                    f"the demand on the view {name!r} at {paths.get(name)!r} is not enforced: write @requires_…(…) "
                    "below the route decorator (if the route is meant to be open, give it its own function)"
                )
        for event, handler in event_handlers(app):
            if misplaced(handler):
                raise ConfigurationError(
                    f"the demand on the handler of the Socket.IO event {event!r} is not enforced: write @requires_…(…) "
                    "below the decorator of the event"
                )
        self.covered = dict(covered_requirements(app))
        self._is_checked = True
        alone = self.public is None and self.pages is None and self.webhooks is None
        self.leaves_all_to_flask = alone and not self.close_expired

    def check_covered(self, current: Request) -> None:
        """Ask for the demand of a view ahead of the decorators around it that are not ours: a cache would answer."""
        if not is_automatic_options(current):
            demand = self.covered.get((current.endpoint or "", current.method))
            if demand is not None:
                admit(demand)

    def check_put_off(self, current: Request) -> None:
        """No function answered a preflight that was let through: before a view is run for it, the demands are made."""
        if not is_automatic_options(current):
            for demand in current.environ.get(_PUT_OFF, ()):
                admit(demand)

    def _deny_by_default(self, endpoint: str | None, values: dict[str, Any] | None) -> None:
        if not self._is_open(_request().environ):
            admit(authenticated)

    def _is_open(self, environ: WSGIEnvironment) -> bool:
        assert self.public is not None
        return wsgi_environ.covers(self.public, environ) or (
            self.preflights.passes and wsgi_environ.is_cors_preflight(environ)
        )


def attached_here() -> FlaskGuard:
    """What is attached to the app that serves the current request."""
    try:
        app = _app()
    except RuntimeError:
        raise misuse_error("there is no app here: kinde_guard.flask is for functions that a Flask app calls") from None
    attached: FlaskGuard | None = app.extensions.get(EXTENSION)
    if attached is None:
        raise misuse_error(
            f"no guard is attached to the app {app.name!r}{_serving()}: call KindeGuard(app) before it starts"
        )
    return attached


def request_here() -> Request:
    """The current request."""
    try:
        return _request()
    except RuntimeError:
        raise misuse_error(
            "there is no request here: what decorates a view of Flask was called outside of one"
        ) from None


def admit(requirement: Requirement) -> None:
    """Raise what refuses the current request, if it does not meet *requirement*."""
    try:
        attached, current = _app().extensions[EXTENSION], _request()
    except (KeyError, RuntimeError):
        attached, current = attached_here(), request_here()  # one of them says what is wrong
    try:
        token = wsgi_environ.authenticate(current.environ, attached.guard)
        requirement = requirement.bound(current.view_args or {})
        if not requirement.met_by(token):
            attached.guard.demand(token, requirement)
    except InsufficientScope as error:
        # RFC 6750 §3: ``scope`` names all that the resource requires, so that one more token request is enough.
        around = with_requirements_around(authenticated, current.environ)
        names = [name for demand in (around, *_requirements_of_request(current)) for name in demand.scopes()]
        raise refused(InsufficientScope(dict.fromkeys((*names, *error.required)), error.hint)) from None
    except (AuthError, Unavailable) as error:
        if wsgi_environ.is_cors_preflight(current.environ):
            attached.preflights.refused()
        raise refused(error) from None


def admit_or_answer(requirement: Requirement) -> Any:
    """What is done before a request. A preflight that Flask answers by itself is answered at once, and no function
    after this one runs; one that passes gets to those functions, but to no view."""
    current = _request()
    if wsgi_environ.is_cors_preflight(current.environ):
        if attached_here().preflights.passes:
            current.environ[_PUT_OFF] = (*current.environ.get(_PUT_OFF, ()), requirement)
            return None
        if is_automatic_options(current):
            return _app().make_default_options_response()
    return admit(requirement)


def _is_verified(environ: WSGIEnvironment, guard: Authenticator) -> bool:
    try:
        wsgi_environ.authenticate(environ, guard)
    except (AuthError, Unavailable):
        return False
    return True


def _requirements_of_request(current: Request) -> Iterator[Requirement]:
    """What middleware around the app, the app, the blueprints and the view demand together."""
    app = _app()
    yield from requirements_around(current.environ)
    yield from requirements_before(app, reversed(current.blueprints))
    yield from requirements_of(app.view_functions.get(current.endpoint or ""), current.method)


def _check_once(endpoint: str | None, values: dict[str, Any] | None) -> None:
    """Check the app at its first request, after which Flask takes no more views."""
    app = _app()
    attached_here().check(app)
    for handlers in list(app.error_handler_spec.values()):
        # A blueprint's handler for Exception would come before the app's handler for our errors.
        if Exception in handlers.get(None, {}):
            handlers[None].setdefault(KindeGuardError, handle)
    remaining = [function for function in app.url_value_preprocessors[None] if function is not _check_once]
    app.url_value_preprocessors[None] = remaining  # another list, because Flask is going through this one


def _serving() -> str:
    return f", which serves {request.endpoint!r}" if has_request_context() else ""
