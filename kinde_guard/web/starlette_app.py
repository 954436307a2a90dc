"""What the Starlette and FastAPI adapters share: a guard in front of an app, and refusals as the framework knows them.

The rules of this file:

* Nothing is open by mistake: what was attached too late, twice or to nothing is a :class:`ConfigurationError`.
* A refusal is raised as the framework's ``HTTPException``, so that an app which knows nothing of us answers it with the
  right status and challenge; and the app's own handlers for it, if there are any, have the last word.
* The environment is read when the app starts, not when it is imported.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, cast

from starlette.applications import Starlette
from starlette.authentication import AuthCredentials, BaseUser, UnauthenticatedUser
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.routing import Router
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from .. import asgi
from ..errors import (
    AuthError,
    ConfigurationError,
    Forbidden,
    InsufficientScope,
    KeysUnavailable,
    KindeGuardError,
    MissingToken,
)
from ..guard import Guard
from ..requirements import Requirement
from ..tokens.access_token import AccessToken
from . import asgi_scope, bearer, decorators, layers, starlette_middleware
from .attributes import named
from .paths import PublicPaths
from .well_known import Pages

_ONE_OF_EACH = (MissingToken(), InsufficientScope(("any",)), Forbidden("missing_permission"), KeysUnavailable(1))
MOST_MIDDLEWARE = 100  # around one mounted app; that many layers are a loop
_MEND = (
    "add CORSMiddleware to the app that KindeGuard(app) guards, before or after: it is asked before the guard then, "
    "and answers preflights; pass_preflights=True is for an app that answers every preflight itself"
)


class AppGuard(asgi_scope.Attached):
    """The ``KindeGuard`` of both adapters, but for what FastAPI knows on top of Starlette."""

    http_exception: type[HTTPException] = HTTPException
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
        **settings: Any,
    ) -> None:
        super().__init__(guard, settings, pass_preflights, _MEND)
        self._told = False
        self.pages = Pages.of(healthz, readyz, resource)
        self.public = None if public is None else PublicPaths(public)
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Starlette) -> None:
        """Attach to *app*, before it starts. Raises :class:`ConfigurationError` if it has a KindeGuard."""
        if not isinstance(app, Starlette):
            raise ConfigurationError(f"{app!r} is no Starlette app: in front of others put kinde_guard.asgi or .wsgi")
        if _of(app) is not None:
            raise ConfigurationError("the app has a KindeGuard already: call KindeGuard(app) once")
        if app.middleware_stack is not None:
            raise ConfigurationError("the app has started already: call KindeGuard(app) where it is made")
        app.state.kinde_guard = self
        app.add_middleware(_InFront, attached=self)
        if self.public is not None:
            starlette_middleware.put_cors_outside(app)
        self._answer_for(app)

    def check(self, app: Starlette) -> None:
        """Look for demands that are not enforced, and see to it that mounted apps answer refusals as this one does."""
        _check_demands(list(routes_of(app)))
        _check_makers(list(routes_of(app)))
        if not self._told:
            self._told = True
            self._tell_of_middleware(app)
        for route in routes_of(app):
            mounted = _mounted(route)
            if isinstance(mounted, Starlette):
                self._answer_for(mounted)

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

    def start(self, app: Starlette) -> None:
        """Check *app*, and make its guard and those of the apps mounted in it."""
        self.check(app)
        for attached in (self, *map(_of, map(_mounted, routes_of(app)))):
            if attached is not None:
                attached.ready()

    def demands_of(self, route: Any) -> Iterator[Requirement]:
        """What *route* demands by its decorators."""
        endpoint = getattr(route, "endpoint", None)
        for function in (endpoint, *_members(endpoint)) if isinstance(endpoint, type) else (endpoint,):
            demand = decorators.enforced(function) if callable(function) else None
            if demand is not None:
                yield demand

    def all_demands(self, app: Starlette) -> Iterator[Requirement]:
        """What the routes of *app* demand, and each :class:`asgi.GuardMiddleware` in it; but nothing of what is mounted
        as a resource of its own."""
        yield from (gate.requires for gate in _gates_of(app))
        is_part = functools.partial(_is_part, issuers=frozenset(self.ready().issuers))
        for route in routes_of(app, is_part):
            if is_part(route):
                yield from (gate.requires for gate in _gates(route))
            yield from self.demands_of(route)

    def answered_by_app(self, app: Starlette) -> frozenset[int]:
        """The statuses of refusals that *app* has a handler of its own for."""
        handled = (error for error in _ONE_OF_EACH if _handler_of(app, refused(error, self.http_exception)) is not None)
        return frozenset(error.status for error in handled)

    async def answer(self, conn: HTTPConnection, error: Exception) -> Response | None:
        """The exception handler: the app's own handler for a refusal has precedence over ours."""
        if not isinstance(error, AuthError | KeysUnavailable):
            raise error  # ours, not the caller's: 500
        asgi_scope.note_refusal(conn.scope, asgi_scope.nearest(conn.scope))
        url = asgi_scope.metadata_url(conn.scope)
        raised = refused(error, self.http_exception, url).with_traceback(error.__traceback__)
        handler = _handler_of(conn.app, raised) if asgi_scope.can_answer(conn.scope) else None
        return Refusal(error, url) if handler is None else await _called(handler, conn, raised)

    def _answer_for(self, app: Starlette) -> None:
        """Be the handler of *app* for refusals, and pass those on that it has a handler of its own for."""
        app.exception_handlers.setdefault(KindeGuardError, self.answer)
        if getattr(app.build_middleware_stack, "func", None) != self._build:
            app.build_middleware_stack = functools.partial(  # type: ignore[method-assign]
                self._build, app, app.build_middleware_stack
            )

    def _build(self, app: Starlette, build: Callable[[], ASGIApp]) -> ASGIApp:
        """Handlers for errors of ours are told of each refusal as the exception of the framework's that it is: what
        ``token.require(…)`` raises knows neither the framework nor the app."""
        theirs = app.exception_handlers
        app.exception_handlers = {
            key: functools.partial(self._answer_or, handler) if _is_of_ours(key) else handler
            for key, handler in theirs.items()
        }
        try:
            return build()
        finally:
            app.exception_handlers = theirs

    async def _answer_or(self, handler: Callable[..., Any], conn: HTTPConnection, error: Exception) -> Response | None:
        if isinstance(error, AuthError | KeysUnavailable):
            return await self.answer(conn, error)
        return await _called(handler, conn, error)


class _InFront:
    """The middleware that a ``KindeGuard`` adds to an app."""

    def __init__(self, app: ASGIApp, attached: AppGuard) -> None:
        self.app = app
        self._attached = attached
        self._beginning = {asgi_scope.IN_FORCE: attached, "user": _NOBODY, "auth": _NOTHING}
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
            self._checked, self._passes_on = True, attached.pages is None and attached.public is None
        _begin(scope, attached)
        if attached.pages is not None:
            demanded = functools.partial(attached.all_demands, scope["app"])
            if await asgi_scope.answered(attached, demanded, scope, send):
                return None
        if scope["type"] == "websocket":
            send = _closing_when_too_late(send)
        if attached.public is not None and not asgi_scope.is_open(scope, attached.public, attached.preflights):
            try:
                guard = attached.ready()
                introduce(scope, asgi_scope.recognise(scope, guard) or await asgi_scope.aauthenticate(scope, guard))
            except (AuthError, KeysUnavailable) as error:
                return await _refuse(attached, error, scope, receive, send)
            send = asgi_scope.private_to_caller(send)
        await self.app(scope, receive, send)
        return None


class KindeUser(BaseUser):
    """``request.user`` where a token was demanded."""

    __slots__ = ("token",)

    def __init__(self, token: AccessToken) -> None:
        self.token = token

    @property
    def is_authenticated(self) -> bool:
        return True

    @property
    def display_name(self) -> str:
        return self.token.subject

    @property
    def identity(self) -> str:
        return self.token.subject

    def __repr__(self) -> str:
        return f"KindeUser({self.token!r})"


class Credentials(AuthCredentials):
    """``request.auth``: what Starlette's own ``@requires`` looks at. Most requests never ask."""

    def __init__(self, token: AccessToken | None = None) -> None:
        self.token = token

    @property
    def scopes(self) -> list[str]:  # type: ignore[override]
        return [] if self.token is None else ["authenticated", *self.token.scopes]


_NOBODY, _NOTHING = UnauthenticatedUser(), Credentials()


def introduce(scope: Scope, token: AccessToken) -> None:
    """Make the verified caller ``request.user``."""
    user = scope.get("user")
    if type(user) is not KindeUser or user.token is not token:
        scope["user"], scope["auth"] = KindeUser(token), Credentials(token)


class Refusal(Response):
    """A refusal as a response: challenge and problem body."""

    def __init__(self, refusal: bearer.Refusal, metadata_url: str = "") -> None:
        self.refusal = refusal
        answer = bearer.answer(refusal, metadata_url)
        super().__init__(answer.body, answer.status, dict(answer.headers), answer.media_type)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if asgi_scope.can_answer(scope):
            await super().__call__(scope, receive, send)
        else:
            await asgi_scope.refuse(self.refusal, scope, send)


_KINDS: dict[tuple[type, type], Any] = {}


def refused(error: bearer.Refusal, base: type[HTTPException] = HTTPException, metadata_url: str = "") -> HTTPException:
    """*error* as an exception of the framework's, and still what it was: ``except`` and handlers find it as either."""
    if isinstance(error, HTTPException):
        return error
    raised = both(error, base)
    if metadata_url:
        raised.name_metadata(metadata_url)
    base.__init__(raised, raised.status, raised.detail, raised.headers)
    return cast(HTTPException, raised)


def both(error: bearer.Refusal, base: type[Exception]) -> Any:
    """*error*, which is a *base* as well; that one has yet to be made."""
    kind = type(error)
    mixed = _KINDS.get((kind, base))
    if mixed is None:
        mixed = _KINDS[kind, base] = type(kind.__name__, (kind, base), {"__module__": __name__})
    return error.anew(mixed)


async def _called(handler: Callable[..., Any], conn: HTTPConnection, error: Exception) -> Response | None:
    if is_async(handler):
        return cast("Response | None", await handler(conn, error))
    return cast("Response | None", await run_in_threadpool(handler, conn, error))


def _is_of_ours(key: object) -> bool:
    """Whether handlers for *key* are handlers for errors of ours."""
    return isinstance(key, type) and issubclass(key, KindeGuardError)


def is_async(function: Any) -> bool:
    """Whether calling *function* gives something to await."""
    while isinstance(function, functools.partial):
        function = function.func
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__)


def name_of(function: Any) -> str:
    """What a person would call *function*."""
    return getattr(function, "__qualname__", type(function).__qualname__)


def _is_part(route: Any, issuers: frozenset[str]) -> bool:
    """Whether what *route* serves or mounts is for tokens of *issuers*, and not a resource of its own."""
    others = (layers.is_resource_of_its_own(gate.pages, gate.guard, issuers) for gate in _gates(route))
    return _of(_mounted(route)) is None and not any(others)


def _members(kind: type) -> Iterable[Any]:
    """What the instances of *kind* have: what it inherits too, unless it has its own."""
    return {name: value for base in reversed(kind.__mro__) for name, value in vars(base).items()}.values()


def _every(route: Any) -> bool:
    return True


def routes_of(app: Starlette | Router | None, into: Callable[[Any], bool] = _every) -> Iterator[Any]:
    """Every route of *app*, those of included routers and of mounted apps (*into* which of the mounts) too."""
    for route in app.routes if app is not None else ():
        yield from _with_those_below(route, into)


def _with_those_below(route: Any, into: Callable[[Any], bool]) -> Iterator[Any]:
    included = getattr(route, "effective_route_contexts", None)
    if included is not None:  # a router in FastAPI
        for context in included():
            yield from _with_those_below(getattr(context, "starlette_route", None) or context, into)
    else:
        yield route
        if into(route):
            yield from routes_of(_mounted(route), into)


def _mounted(route: Any) -> Any:
    """The app or router that is mounted by *route*, whatever middleware is around it."""
    return next((layer for layer in _inside(route) if isinstance(layer, Starlette | Router)), None)


def _inside(layer: Any) -> Iterator[Any]:
    """What is inside *layer*, a route or a middleware: from one to the next, until an app or router."""
    for _ in range(MOST_MIDDLEWARE):
        layer = named(layer, "app")
        if layer is None:
            return
        yield layer
        if isinstance(layer, Starlette | Router):
            return


def _gates(route: Any) -> Iterator[asgi.GuardMiddleware]:
    """Each one in front of what *route* serves or mounts."""
    for layer in _inside(route):
        if isinstance(layer, asgi.GuardMiddleware):
            yield layer
        yield from _gates_of(layer)


def _gates_of(app: Any) -> Iterator[asgi.GuardMiddleware]:
    """Each one among the middleware of *app*, an app or a router."""
    for layer in getattr(app, "user_middleware", ()):
        if isinstance(layer.cls, type) and issubclass(layer.cls, asgi.GuardMiddleware):
            yield layer.cls(app, *layer.args, **layer.kwargs)
    if isinstance(app, Router):
        around = (app.middleware_stack, *_inside(app.middleware_stack))
        yield from (layer for layer in around if isinstance(layer, asgi.GuardMiddleware))


@dataclass(frozen=True, slots=True)
class Part:
    """An app, or one that is mounted in it, and in between."""

    app: Any
    prefix: str = ""
    gates: tuple[tuple[str, asgi.GuardMiddleware], ...] = ()
    """Each one around, with what it is mounted under."""

    def routes(self) -> Iterator[Any]:
        """Its own, mounts among them."""
        return routes_of(self.app, lambda route: False)


def parts_of(app: Starlette) -> Iterator[Part]:
    """*app*, and what is mounted in it, further in as well."""
    return _parts_in(Part(app, "", tuple(("", gate) for gate in _gates_of(app))))


def _parts_in(part: Part) -> Iterator[Part]:
    yield part
    for route in part.routes():
        if (mounted := _mounted(route)) is not None:
            prefix = part.prefix + getattr(route, "path", "").rstrip("/")  # a Host has no path
            yield from _parts_in(Part(mounted, prefix, (*part.gates, *((prefix, gate) for gate in _gates(route)))))


def _of(app: Any) -> AppGuard | None:
    return getattr(getattr(app, "state", None), "kinde_guard", None)


def _check_demands(routes: list[Any]) -> None:
    endpoints = [(route, route.endpoint) for route in routes if getattr(route, "endpoint", None) is not None]
    guarded = decorators.guarded_by(endpoint for _, endpoint in endpoints)
    for route, endpoint in endpoints:
        # A plain Starlette route takes its endpoint as it is given: the same one may be open here and guarded there.
        # FastAPI's are written as decorators, and of a stack with two of them the lower one is open by mistake.
        if decorators.misplaced(endpoint, guarded, strict=hasattr(route, "dependant")):
            raise ConfigurationError(
                f"the demand on {name_of(endpoint)}(), which serves {route.path!r}, is not enforced: write "
                "@requires_…(…) below the route decorator (if the route is meant to be open, give it its own function)"
            )


_OTHERS = {
    "kinde_guard.flask": "Flask's",
    "kinde_guard.starlette": "Starlette's",
    "kinde_guard.fastapi": "FastAPI's",
}


def _check_makers(routes: list[Any]) -> None:
    """A decorator of another framework lets nobody in, and a team would look for the reason for long."""
    for route in routes:
        endpoint = getattr(route, "endpoint", None)
        own = "kinde_guard.fastapi" if hasattr(route, "dependant") else "kinde_guard.starlette"
        for function in (endpoint, *_members(endpoint)) if isinstance(endpoint, type) else (endpoint,):
            maker = decorators.made_by(function) if callable(function) else ""
            if maker in _OTHERS and maker != own and not _is_given_a_request(route, maker):
                raise ConfigurationError(
                    f"the decorator on {name_of(function)}(), which serves {route.path!r}, is {_OTHERS[maker]}, and "
                    f"lets nobody in on a route of {_OTHERS[own]}: write from {own} import requires_…"
                )


def _is_given_a_request(route: Any, maker: str) -> bool:
    """Then Starlette's decorator finds it in FastAPI too."""
    names = ("request_param_name", "websocket_param_name", "http_connection_param_name")
    dependant = getattr(route, "dependant", None)
    return maker == "kinde_guard.starlette" and any(getattr(dependant, name, None) for name in names)


def _begin(scope: Scope, attached: asgi_scope.Attached) -> None:
    outer = asgi_scope.nearest(scope)
    if "user" not in scope or (outer is not None and outer.guard is not attached.guard):
        # Whom another guard let in, in the app around, is nobody here.
        scope["user"], scope["auth"] = _NOBODY, _NOTHING
    asgi_scope.attach(scope, attached)


async def _refuse(attached: AppGuard, error: bearer.Refusal, scope: Scope, receive: Receive, send: Send) -> None:
    """The app's exception handling is further in; its handlers are asked here all the same."""
    conn = Request(scope, receive, send) if scope["type"] == "http" else WebSocket(scope, receive, send)
    response = await attached.answer(conn, error)
    if response is not None:
        await response(scope, receive, send)


def _handler_of(app: Starlette, error: HTTPException) -> Callable[..., Any] | None:
    """The handler that *app* would have for *error* without us, found as Starlette finds it."""
    kinds = [kind for kind in type(error).__mro__ if issubclass(kind, Exception) and kind is not Exception]
    for key in (error.status_code, *kinds):
        handler: Any = app.exception_handlers.get(key)
        if handler is not None and not _is_default(handler):
            return cast("Callable[..., Any]", handler)
    return None


def _is_default(handler: Any) -> bool:
    """FastAPI's, or ours (of this app or of one it is mounted in)."""
    ours = isinstance(getattr(handler, "__self__", None), AppGuard)
    return ours or getattr(handler, "__module__", "") == "fastapi.exception_handlers"


def _closing_when_too_late(send: Send) -> Send:
    """``token.require(…)`` may refuse when the WebSocket is accepted, and nothing but closing is left to do."""
    accepted = False

    async def closing(message: Message) -> None:
        nonlocal accepted
        if message["type"] == "websocket.accept":
            accepted = True
        elif accepted and message["type"] == "websocket.http.response.start":
            message = {"type": "websocket.close", "code": 1008, "reason": ""}
        elif accepted and message["type"] == "websocket.http.response.body":
            return
        await send(message)

    return closing
