"""Starlette: ``KindeGuard(app)``, and ``@requires_scope(…)`` on endpoints and on methods of class-based ones.

``request.user`` is a :class:`KindeUser` where a token was demanded, or asked for with :func:`token_or_none`, and
Starlette's ``UnauthenticatedUser`` elsewhere.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar, cast

try:
    from starlette.authentication import AuthCredentials, AuthenticationBackend, AuthenticationError, BaseUser
    from starlette.middleware.authentication import AuthenticationMiddleware
    from starlette.requests import HTTPConnection, Request
    from starlette.responses import Response
    from starlette.types import Scope
except ModuleNotFoundError as missing:
    raise ImportError(
        "kinde_guard.starlette needs Starlette: pip install 'kinde-guard[starlette]'", name=missing.name
    ) from missing


from .adapters import (
    AccessToken,
    Attached,
    Authenticator,
    Decorators,
    Requirement,
    as_framework_error,
    asgi_scope,
    check_function,
    innermost,
    judge,
    mark,
    misuse_error,
    needs_function,
    stacked,
)
from .errors import AuthError, MissingToken, Unavailable
from .guard import Guard
from .web.starlette_app import AppGuard
from .web.starlette_refusal import RefusalResponse, refused
from .web.starlette_routes import is_async, name_of
from .web.starlette_user import KindeUser, introduce

__all__ = [
    "KindeBackend",
    "KindeGuard",
    "KindeUser",
    "atoken_or_none",
    "on_error",
    "requires",
    "requires_auth",
    "requires_org",
    "requires_permission",
    "requires_role",
    "requires_scope",
    "token_or_none",
]

F = TypeVar("F", bound=Callable[..., Any])
_MEND = "put CORSMiddleware before AuthenticationMiddleware: it answers preflights then"


class KindeGuard(AppGuard):
    """Puts a guard in front of a Starlette app: ``KindeGuard(app, public=["/healthz"])``. The app keeps it as
    ``app.state.kinde_guard``.

    Without *public*, the routes that carry a demand demand a token. With it, every other path demands one too, also if
    the list is empty (``[]``): unknown paths are among them, and the token is checked before the body is read.

    *guard* is a ready one. In its place, *settings* are those of a guard (:class:`~kinde_guard.guard.GuardSettings`).
    What they leave out is read from the environment when the app starts, and a mistake there stops the server.

    *healthz* and *readyz* are paths of health checks. *resource* is the https URL of this API: its metadata (RFC 9728)
    is served then, and challenges name it. With *public*, a ``CORSMiddleware`` that *app* has already is moved to just
    outside of the guard, and answers preflights there. *pass_preflights* lets preflights through, to an app that
    answers every one itself. Kinde's webhooks come to the path *webhooks*, and *on_event* is called with each event
    (:mod:`kinde_guard.webhooks`). With *close_expired*, WebSockets and streams end when their token expires or is
    revoked.

    Raises :class:`~kinde_guard.ConfigurationError`.
    """


class Requires:
    """A demand: decorates an endpoint (``def``, ``async def``, of a WebSocket too) or a method of a class-based one.

    Of a ``WebSocketEndpoint`` that is ``on_connect``: later the connection is accepted already.
    """

    def __init__(self, requirement: Requirement) -> None:
        self.requirement = requirement

    @needs_function
    def __call__(self, function: F) -> F:
        check_function(function)
        requirement = stacked(function, self.requirement)
        bare = innermost(function)
        wrapper = _async_wrapper(bare, requirement) if is_async(bare) else _sync_wrapper(bare, requirement)
        mark(function, wrapper, requirement)
        return cast(F, wrapper)


_decorators = Decorators(Requires)
requires_auth = _decorators.requires_auth
requires_scope = _decorators.requires_scope
requires_permission = _decorators.requires_permission
requires_role = _decorators.requires_role
requires_org = _decorators.requires_org
requires = _decorators.requires


def token_or_none(conn: HTTPConnection) -> AccessToken | None:
    """The caller's token, on a route that demands none, for ``def``. ``None`` for a caller without a token or with a
    bad one, and as long as there are no keys to tell. Refuses nobody; it may wait for a key."""
    scope = conn.scope
    guard = asgi_scope.guard_in_force(scope)
    try:
        token = asgi_scope.recognise(scope, guard) or asgi_scope.authenticate(scope, guard)
    except (AuthError, Unavailable):
        return None
    introduce(scope, token)
    return token


async def atoken_or_none(conn: HTTPConnection) -> AccessToken | None:
    """:func:`token_or_none` for ``async def``."""
    scope = conn.scope
    guard = asgi_scope.guard_in_force(scope)
    try:
        token = asgi_scope.recognise(scope, guard) or await asgi_scope.aauthenticate(scope, guard)
    except (AuthError, Unavailable):
        return None
    introduce(scope, token)
    return token


class KindeBackend(AuthenticationBackend):
    """The backend for Starlette's ``AuthenticationMiddleware``, with :func:`on_error`. With it, Starlette's own
    ``@requires`` works::

        app.add_middleware(AuthenticationMiddleware, backend=KindeBackend(guard), on_error=on_error)

    Without *guard* it uses the one of a ``KindeGuard`` around it. A caller without a token is refused, unless
    *anonymous*: then ``request.user`` is nobody, whom Starlette's ``@requires`` answers with 403 and no challenge, and
    ours with 401. If it refuses a WebSocket, the middleware closes it without an answer. CORS middleware belongs
    outside of it.
    """

    def __init__(self, guard: Guard | None = None, *, anonymous: bool = False) -> None:
        self.anonymous = anonymous
        self.has_guard = guard is not None
        self._attached = None if guard is None else Attached(guard, {}, mend=_MEND)

    async def authenticate(self, conn: HTTPConnection) -> tuple[AuthCredentials, BaseUser] | None:
        """Called by Starlette: who calls, or ``None`` for a caller without a token if that is allowed. Raises
        Starlette's ``AuthenticationError``, which is the refusal as well."""
        if self._attached is not None and asgi_scope.nearest(conn.scope) is None:
            asgi_scope.attach(conn.scope, self._attached)
        guard = asgi_scope.guard_in_force(conn.scope) if self._attached is None else self._attached.ready()
        try:
            token = asgi_scope.recognise(conn.scope, guard) or await asgi_scope.aauthenticate(conn.scope, guard)
        except (AuthError, Unavailable) as error:
            if isinstance(error, MissingToken) and self.anonymous:
                return None
            asgi_scope.note_refusal(conn.scope, asgi_scope.nearest(conn.scope))
            error.name_metadata(asgi_scope.metadata_url(conn.scope))
            raise as_framework_error(error, AuthenticationError) from None
        user = KindeUser(token)
        return user, user


def on_error(conn: HTTPConnection, error: AuthenticationError) -> Response:
    """The answer to what :class:`KindeBackend` refuses (*error*), for ``AuthenticationMiddleware(…,
    on_error=on_error)``: 401 with a challenge, where Starlette alone answers 400."""
    if isinstance(error, AuthError | Unavailable):
        return RefusalResponse(error, asgi_scope.metadata_url(conn.scope))
    return AuthenticationMiddleware.default_on_error(conn, error)


def _async_wrapper(function: Callable[..., Any], requirement: Requirement) -> Callable[..., Any]:
    @functools.wraps(function)
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        scope = _scope_in(function, args, kwargs)
        guard = asgi_scope.guard_in_force(scope)
        try:
            token = asgi_scope.recognise(scope, guard) or await asgi_scope.aauthenticate(scope, guard)
            _judge(guard, token, requirement, scope)
        except (AuthError, Unavailable) as error:
            raise refused(error, metadata_url=asgi_scope.metadata_url(scope)) from None
        return await function(*args, **kwargs)

    return wrapper


def _sync_wrapper(function: Callable[..., Any], requirement: Requirement) -> Callable[..., Any]:
    """Runs in the thread that Starlette gives to every ``def``: there is no second one."""

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        scope = _scope_in(function, args, kwargs)
        guard = asgi_scope.guard_in_force(scope)
        try:
            token = asgi_scope.recognise(scope, guard) or asgi_scope.authenticate(scope, guard)
            _judge(guard, token, requirement, scope)
        except (AuthError, Unavailable) as error:
            raise refused(error, metadata_url=asgi_scope.metadata_url(scope)) from None
        return function(*args, **kwargs)

    return wrapper


def _judge(guard: Authenticator, token: AccessToken, requirement: Requirement, scope: Scope) -> None:
    introduce(scope, token)
    requirement = requirement.bound(scope.get("path_params", {}))
    judge(guard, token, requirement, scope)


def _scope_in(function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Scope:
    if args and type(args[-1]) is Request:  # nearly always; and isinstance is slow, as HTTPConnection is abstract
        return args[-1].scope
    for value in (*args, *kwargs.values()):
        if isinstance(value, HTTPConnection):
            return value.scope
    raise misuse_error(
        f"{name_of(function)}() was called without a request or WebSocket, so there is no token to ask for: "
        "@requires_… is for endpoints (those of FastAPI: from kinde_guard.fastapi import requires_…)"
    )
