"""A guard in front of a Starlette or FastAPI app: what both adapters have in common.

Nothing is open by mistake: what was attached too late, twice or to nothing is a :class:`ConfigurationError`. The
environment is read when the app starts, not when it is imported.
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Iterable, Iterator
from typing import Any, Unpack

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket

from ..adapters import (
    Attached,
    Once,
    OnEvent,
    PublicPaths,
    Refusal,
    Requirement,
    WebhookEndpoint,
    WellKnownPages,
    asgi_scope,
    enforced,
    guarded_by,
    is_resource_of_its_own,
    made_by,
    misplaced,
)
from ..errors import AuthError, ConfigurationError, Unavailable
from ..guard import Guard, GuardSettings
from . import starlette_middleware
from .starlette_refusal import Handlers, closing_when_too_late
from .starlette_routes import (
    endpoint_of,
    functions_of,
    gates,
    gates_of,
    is_fastapis,
    is_given_a_request,
    mounted,
    name_of,
    routes_of,
)
from .starlette_user import NOBODY, NOTHING, introduce

_MEND = (
    "add CORSMiddleware to the app that KindeGuard(app) guards, before or after: it is asked before the guard then, "
    "and answers preflights; pass_preflights=True is for an app that answers every preflight itself"
)

_OTHERS = {
    "kinde_guard.flask": "Flask's",
    "kinde_guard.starlette": "Starlette's",
    "kinde_guard.fastapi": "FastAPI's",
}


class AppGuard(Attached):
    """The ``KindeGuard`` of both adapters, but for what FastAPI knows on top of Starlette."""

    _http_exception: type[HTTPException] = HTTPException
    """What a refusal is raised as, besides the :class:`AuthError` that it is."""

    def __init__(
        self,
        app: Starlette | None = None,
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
        super().__init__(guard, settings, pass_preflights, _MEND)
        self.handlers = Handlers(self._http_exception)
        self._first_check = Once()
        self.pages = WellKnownPages.of(healthz, readyz, resource)
        self.webhooks = WebhookEndpoint.of(webhooks, on_event, self.pages)
        self.public = None if public is None else PublicPaths(public)
        self.close_expired = close_expired
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Starlette) -> None:
        """Attach to *app*, before it starts. Raises :class:`ConfigurationError` if it has a KindeGuard."""
        if not isinstance(app, Starlette):
            raise ConfigurationError(
                f"{app!r} is not a Starlette app: for other apps, use kinde_guard.asgi or kinde_guard.wsgi"
            )
        if _of(app) is not None:
            raise ConfigurationError("the app has a KindeGuard already: call KindeGuard(app) once")
        if app.middleware_stack is not None:
            raise ConfigurationError("the app has started already: call KindeGuard(app) where it is made")
        app.state.kinde_guard = self
        app.add_middleware(_InFront, attached=self)
        if self.public is not None:
            starlette_middleware.put_cors_outside(app)
        self.handlers.add_to(app)

    def check(self, app: Starlette) -> None:
        """Look for demands that are not enforced, and see to it that mounted apps answer refusals as this one does."""
        _check_enforced(list(routes_of(app)))
        _check_makers(list(routes_of(app)))
        if self._first_check.is_first():
            self._tell_of_middleware(app)
        for route in routes_of(app):
            within = mounted(route)
            if isinstance(within, Starlette):
                self.handlers.add_to(within)

    def start(self, app: Starlette) -> None:
        """Check *app*, and begin with its guard and those of the apps mounted in it."""
        self.check(app)
        for attached in (self, *map(_of, map(mounted, routes_of(app)))):
            if attached is not None:
                attached.begin()

    def requirements_of(self, route: Any) -> Iterator[Requirement]:
        """What *route* demands by its decorators."""
        demands = map(enforced, functions_of(route))
        return (demand for demand in demands if demand is not None)

    def all_requirements(self, app: Starlette) -> Iterator[Requirement]:
        """What the routes of *app* demand, and each :class:`asgi.GuardMiddleware` in it; but nothing of what is mounted
        as a resource of its own."""
        yield from (gate.requires for gate in gates_of(app))
        is_part = functools.partial(_is_part, issuers=frozenset(self.ready().issuers))
        for route in routes_of(app, is_part):
            if is_part(route):
                yield from (gate.requires for gate in gates(route))
            yield from self.requirements_of(route)

    def _tell_of_middleware(self, app: Starlette) -> None:
        """Say what stands on the wrong side of the guard."""
        outside = starlette_middleware.outside_of(app, self._is_mine)
        if self.public is None:
            outside = app.user_middleware  # the routes alone demand something
        else:
            starlette_middleware.tell_of_outside(outside)
            hidden = starlette_middleware.hidden_cors(app, self._is_mine)
            self.preflights.tell_of(found for found in hidden if not self.public.include(found.paths))
        starlette_middleware.tell_of_caches(outside)

    def _is_mine(self, layer: Middleware) -> bool:
        return layer.kwargs.get("attached") is self


class _InFront:
    """The middleware that a ``KindeGuard`` adds to an app."""

    def __init__(self, app: ASGIApp, attached: AppGuard) -> None:
        self.app = app
        self._attached = attached
        self._beginning = {asgi_scope.IN_FORCE: attached, "user": NOBODY, "auth": NOTHING}
        self._checked = self._passes_on = False

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """No coroutine of its own where there is nothing to wait for: where the routes alone say what is demanded."""
        if self._passes_on and scope["type"] == "http" and "user" not in scope:
            scope.update(self._beginning)
            return self.app(scope, receive, send)
        return self._guard(scope, receive, send)

    async def _guard(self, scope: Scope, receive: Receive, send: Send) -> None:
        attached = self._attached
        if scope["type"] == "lifespan":
            return await asgi_scope.run_lifespan(
                self.app, functools.partial(attached.start, scope["app"]), scope, receive, send
            )
        if not self._checked:
            attached.check(scope["app"])
            self._checked = True
            alone = attached.pages is None and attached.public is None and attached.webhooks is None
            self._passes_on = alone and not attached.close_expired
        _begin(scope, attached)
        if attached.webhooks is not None and await asgi_scope.received(attached, scope, receive, send):
            return None
        if attached.pages is not None:
            demanded = functools.partial(attached.all_requirements, scope["app"])
            if await asgi_scope.answered(attached, demanded, scope, send):
                return None
        if scope["type"] == "websocket":
            send = closing_when_too_late(send)
        if attached.public is not None and not asgi_scope.is_open(scope, attached.public, attached.preflights):
            try:
                guard = attached.ready()
                introduce(scope, asgi_scope.recognise(scope, guard) or await asgi_scope.aauthenticate(scope, guard))
            except (AuthError, Unavailable) as error:
                return await _refuse(attached, error, scope, receive, send)
            send = asgi_scope.private_to_caller(send)
        return await asgi_scope.serve(attached, self.app, scope, receive, send)


def _begin(scope: Scope, attached: Attached) -> None:
    outer = asgi_scope.nearest(scope)
    if "user" not in scope or (outer is not None and outer.guard is not attached.guard):
        # Whom another guard let in, in the app around, is nobody here.
        scope["user"], scope["auth"] = NOBODY, NOTHING
    asgi_scope.attach(scope, attached)


async def _refuse(attached: AppGuard, error: Refusal, scope: Scope, receive: Receive, send: Send) -> None:
    """The app's exception handling is further in; its handlers are asked here all the same."""
    conn = Request(scope, receive, send) if scope["type"] == "http" else WebSocket(scope, receive, send)
    response = await attached.handlers.answer(conn, error)
    if response is not None:
        await response(scope, receive, send)


def _of(app: Any) -> AppGuard | None:
    return getattr(getattr(app, "state", None), "kinde_guard", None)


def _is_part(route: Any, issuers: frozenset[str]) -> bool:
    """Whether what *route* serves or mounts is for tokens of *issuers*, and not a resource of its own."""
    others = (is_resource_of_its_own(gate.pages, gate.guard, issuers) for gate in gates(route))
    return _of(mounted(route)) is None and not any(others)


def _check_enforced(routes: list[Any]) -> None:
    endpoints = [(route, route.endpoint) for route in routes if endpoint_of(route) is not None]
    guarded = guarded_by(endpoint for _, endpoint in endpoints)
    for route, endpoint in endpoints:
        # A plain Starlette route takes its endpoint as it is given: the same one may be open here and guarded there.
        # FastAPI's are written as decorators, and of a stack with two of them the lower one is open by mistake.
        if misplaced(endpoint, guarded, strict=is_fastapis(route)):
            raise ConfigurationError(
                f"the demand on {name_of(endpoint)}(), which serves {route.path!r}, is not enforced: write "
                "@requires_…(…) below the route decorator (if the route is meant to be open, give it its own function)"
            )


def _check_makers(routes: list[Any]) -> None:
    """A decorator of another framework lets nobody in, and a team would look for the reason for long."""
    for route in routes:
        own = "kinde_guard.fastapi" if is_fastapis(route) else "kinde_guard.starlette"
        for function in functions_of(route):
            maker = made_by(function)
            # Of a request that it is given, Starlette's finds the token in FastAPI too.
            found = maker == "kinde_guard.starlette" and is_given_a_request(route)
            if maker in _OTHERS and maker != own and not found:
                raise ConfigurationError(
                    f"the decorator on {name_of(function)}(), which serves {route.path!r}, is {_OTHERS[maker]}. "
                    f"It lets nobody in on a route of {_OTHERS[own]}: write from {own} import requires_…"
                )
