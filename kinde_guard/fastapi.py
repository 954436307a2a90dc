"""FastAPI: ``KindeGuard(app)``, ``token: Token`` in an endpoint, ``@requires_scope(…)`` below its route decorator.

All of it is dependency injection: what a route demands is in its dependencies, in OpenAPI, and in the way of nothing
else. No dependency has a parameter that a caller could set.
"""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Annotated, Any, NoReturn, TypeVar, Unpack, cast

try:
    from fastapi import FastAPI, HTTPException, Security, params
    from fastapi.openapi.models import HTTPBearer
    from fastapi.requests import HTTPConnection
    from fastapi.security import SecurityScopes
    from fastapi.security.base import SecurityBase
    from starlette.applications import Starlette
except ModuleNotFoundError as missing:
    raise ImportError(
        "kinde_guard.fastapi needs FastAPI: pip install 'kinde-guard[fastapi]'", name=missing.name
    ) from missing

from . import requirements, starlette
from .adapters import (
    AccessToken,
    Decorators,
    OnEvent,
    asgi_scope,
    check_function,
    innermost,
    mark,
    misuse_error,
    needs_function,
    openapi,
    stacked,
    with_requirements_around,
)
from .errors import AuthError, ConfigurationError, InsufficientScope, MissingToken, Unavailable
from .guard import Guard, GuardSettings
from .requirements import AllOf, Requirement, Scopes, authenticated
from .web.starlette_refusal import refused
from .web.starlette_routes import dependencies_of, is_async, is_fastapis, name_of, oauth_scopes_of, own_routes, serving
from .web.starlette_user import introduce
from .web.swagger import Swagger, docs_paths

__all__ = [
    "AccessTokenSecurity",
    "KindeGuard",
    "OptionalToken",
    "Token",
    "TokenOrNone",
    "access_token",
    "access_token_or_none",
    "docs_paths",
    "optional_access_token",
    "requires",
    "requires_auth",
    "requires_org",
    "requires_permission",
    "requires_role",
    "requires_scope",
]

F = TypeVar("F", bound=Callable[..., Any])


class AccessTokenSecurity(SecurityBase):
    """The caller's access token as a security scheme: ``token: Annotated[AccessToken, Security(access_token,
    scopes=["read:users"])]``.

    Without *guard* it uses the one of the ``KindeGuard`` around it. With *guard* it is another scheme, for a part of an
    API that other tokens open; it then needs its own *scheme_name*. *description* is what OpenAPI says of it.
    """

    def __init__(
        self, guard: Guard | None = None, *, scheme_name: str = openapi.BEARER, description: str = openapi.PASTE
    ) -> None:
        self.model = HTTPBearer(bearerFormat="JWT", description=description)
        self.scheme_name = scheme_name
        self.guard = guard
        """``None`` if it is that of the ``KindeGuard`` around."""

    async def __call__(self, conn: HTTPConnection, scopes: SecurityScopes) -> AccessToken:
        scope = conn.scope
        guard = asgi_scope.guard_in_force(scope) if self.guard is None else self.guard
        try:
            token = asgi_scope.recognise(scope, guard) or await asgi_scope.aauthenticate(scope, guard)
            introduce(scope, token)
            if scopes.scopes and not token.scopes.issuperset(scopes.scopes):
                # FastAPI ends at the first dependency that refuses; the challenge speaks for the whole route.
                guard.demand(token, _requirements_of_route(self, requirements.scope(*scopes.scopes), scope))
        except (AuthError, Unavailable) as error:
            raise refused(error, HTTPException, asgi_scope.metadata_url(scope)) from None
        return token


class OptionalAccessTokenSecurity(AccessTokenSecurity):
    """The caller's access token, or ``None`` for a caller without one. A bad token is refused."""

    async def __call__(  # type: ignore[override]
        self, conn: HTTPConnection, scopes: SecurityScopes
    ) -> AccessToken | None:
        try:
            return await super().__call__(conn, scopes)
        except MissingToken:
            return None


class AccessTokenOrNoneSecurity(OptionalAccessTokenSecurity):
    """The caller's access token, or ``None`` for a caller without one, with a bad one, and as long as it cannot be
    told. Refuses nobody."""

    async def __call__(  # type: ignore[override]
        self, conn: HTTPConnection, scopes: SecurityScopes
    ) -> AccessToken | None:
        try:
            return await super().__call__(conn, scopes)
        except (AuthError, Unavailable):
            return None


access_token = AccessTokenSecurity()
"""The dependency that everything here stands on, and the key for ``app.dependency_overrides``."""

optional_access_token = OptionalAccessTokenSecurity()

access_token_or_none = AccessTokenOrNoneSecurity()

Token = Annotated[AccessToken, Security(access_token)]
"""``def me(token: Token)``: any valid token."""

OptionalToken = Annotated[AccessToken | None, Security(optional_access_token)]
"""``def home(token: OptionalToken)``: ``None`` for a caller without a token; a bad one is refused."""

TokenOrNone = Annotated[AccessToken | None, Security(access_token_or_none)]
"""``def home(token: TokenOrNone)``: ``None`` also for a caller with a bad token, and as long as it cannot be told."""

for _value, _text in (  # what help() says of them; the strings above are for editors
    (access_token, "The caller's token, as a dependency: ``Security(access_token, scopes=['read:users'])``."),
    (optional_access_token, "The dependency of ``OptionalToken``: ``None`` for a caller without a token."),
    (access_token_or_none, "The dependency of ``TokenOrNone``: ``None`` for a caller without a good token."),
    (Token, "The caller's token, in an endpoint: ``def me(token: Token)``. A caller without a good one is refused."),
    (OptionalToken, "``def home(token: OptionalToken)``: ``None`` for a caller without a token; a bad one is refused."),
    (TokenOrNone, "``def home(token: TokenOrNone)``: ``None`` for a caller without a good token. Refuses nobody."),
):
    with suppress(AttributeError, TypeError):  # those of typing keep it as long as Python lets them
        object.__setattr__(_value, "__doc__", _text)


class _Check:
    """The dependency of a demand that is more than scopes."""

    def __init__(self, requirement: Requirement) -> None:
        self.requirement = requirement

    async def __call__(self, conn: HTTPConnection, token: Token) -> AccessToken:
        attached = asgi_scope.nearest(conn.scope)
        requirement = self.requirement.bound(conn.path_params)
        try:
            if attached is None or attached.guard is None:  # a test has overridden access_token
                token.require(requirement)
            elif not requirement.met_by(token):
                attached.guard.demand(token, _requirements_of_route(access_token, self.requirement, conn.scope))
        except (AuthError, Unavailable) as error:
            raise refused(error, HTTPException, asgi_scope.metadata_url(conn.scope)) from None
        return token


def schemes_of(app: FastAPI) -> set[str]:
    """The names of the security schemes of ours that the routes of *app* use."""
    return {security.scheme_name for route in own_routes(app) for security in securities(route)}


def securities(route: Any) -> Iterator[AccessTokenSecurity]:
    """Each one that *route* depends on."""
    return (inner.call for inner in dependencies_of(route) if isinstance(inner.call, AccessTokenSecurity))


def requirements_in(route: Any, security: AccessTokenSecurity) -> Iterator[Requirement]:
    """What *route* demands of the token of *security*, in the order in which it was written."""
    for inner in dependencies_of(route):
        if isinstance(inner.call, _Check) and security is access_token:
            yield inner.call.requirement
        elif inner.call is security and (scopes := oauth_scopes_of(inner)):
            yield requirements.scope(*scopes)


def _only_scopes(requirement: Requirement) -> bool:
    if isinstance(requirement, AllOf):
        return all(map(_only_scopes, requirement.parts))
    return isinstance(requirement, Scopes)


@dataclass(frozen=True)
class Requires(params.Security):
    """A demand: decorates an endpoint, below its route decorator; or is a dependency, without ``Depends``:
    ``dependencies=[requires_scope("a")]``, ``token: Annotated[AccessToken, requires_permission("b")]``."""

    requirement: Requirement = field(default=authenticated, kw_only=True)

    @classmethod
    def of(cls, requirement: Requirement) -> Requires:
        """Scopes alone are the business of ``access_token``; all else needs a dependency around it."""
        scopes = openapi.certain_scopes(requirement)
        call = access_token if _only_scopes(requirement) else _Check(requirement)
        return cls(call, scopes=scopes, requirement=requirement)

    @needs_function
    def __call__(self, function: F) -> F:
        check_function(function)
        if isinstance(self.dependency, Requirement):  # of which nothing would be demanded
            raise ConfigurationError("write @requires(…) around a requirement, in small letters")
        requirement = stacked(function, self.requirement)
        wrapper = _inject(innermost(function), Requires.of(requirement))
        mark(function, wrapper, requirement)
        return cast(F, wrapper)

    @property
    def __signature__(self) -> NoReturn:
        # In Depends(…) a decorator is a function whose parameter the caller would set: ?function=anything.
        raise ConfigurationError(
            "requires_…(…) is a dependency itself: write dependencies=[requires_scope('a')] or "
            "Annotated[AccessToken, requires_scope('a')], without Depends(…)"
        )


_decorators = Decorators(Requires.of)
requires_auth = _decorators.requires_auth
requires_scope = _decorators.requires_scope
requires_permission = _decorators.requires_permission
requires_role = _decorators.requires_role
requires_org = _decorators.requires_org
requires = _decorators.requires


class KindeGuard(starlette.KindeGuard):
    """Puts a guard in front of a FastAPI app: ``KindeGuard(app, public=["/healthz"])``. The app keeps it as
    ``app.state.kinde_guard``.

    Without *public*, the routes that carry a demand demand a token. With it, every other path demands one too, also if
    the list is empty (``[]``): unknown paths and the docs pages are among them, and the token is checked before the
    body is read.

    *guard* is a ready one. In its place, *settings* are those of a guard (:class:`~kinde_guard.guard.GuardSettings`).
    What they leave out is read from the environment when the app starts, and a mistake there stops the server.

    *healthz*, *readyz*, *resource*, *pass_preflights*, *webhooks*, *on_event* and *close_expired* are as in
    :class:`kinde_guard.starlette.KindeGuard`. *swagger_client_id* is the id of a front-end app in Kinde, by which
    people sign in from Swagger UI; with *public*, list the :func:`docs_paths`.

    Raises :class:`~kinde_guard.ConfigurationError`.
    """

    _http_exception = HTTPException

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
        swagger_client_id: str | None = None,
        **settings: Unpack[GuardSettings],
    ) -> None:
        self._swagger = Swagger(self, swagger_client_id, schemes_of)
        super().__init__(
            app,
            guard=guard,
            public=public,
            healthz=healthz,
            readyz=readyz,
            resource=resource,
            pass_preflights=pass_preflights,
            webhooks=webhooks,
            on_event=on_event,
            close_expired=close_expired,
            **settings,
        )

    def init_app(self, app: Starlette) -> None:
        """Attach to *app*, as :meth:`kinde_guard.starlette.KindeGuard.init_app` does."""
        self._swagger.check(app)
        super().init_app(app)
        self._swagger.extend(app)

    def check(self, app: Starlette) -> None:
        """Check *app*, as :meth:`kinde_guard.starlette.KindeGuard.check` does, and have the docs pages tell of the
        guard."""
        super().check(app)
        for route in own_routes(app):
            _check_for_types(route)
        self._swagger.start(app)

    def start(self, app: Starlette) -> None:
        """A test that overrides ``access_token`` needs no settings."""
        if access_token in getattr(app, "dependency_overrides", {}):
            self.check(app)
        else:
            super().start(app)

    def requirements_of(self, route: Any) -> Iterator[Requirement]:
        """Those of decorators are among the dependencies."""
        return requirements_in(route, access_token) if is_fastapis(route) else super().requirements_of(route)


def _check_for_types(route: Any) -> None:
    """``Depends(Token)`` is a call of a type to FastAPI, which asks every caller for its arguments: a 422."""
    for inner in dependencies_of(route):
        if inner.call in (Token, OptionalToken, TokenOrNone):
            raise ConfigurationError(
                f"{name_of(route.endpoint)}() has Depends(…) around a type that says so itself: write token: Token"
            )


def _inject(function: Callable[..., Any], demand: Requires) -> Callable[..., Any]:
    """*function* with one more parameter, in front: its dependency is solved before the function's own, from which
    a caller without a token would learn what exists."""
    signature = _signature(function)
    name = _unused("kinde_guard_token", signature)
    # A test may override access_token, which has judged the scopes; a _Check is left in place.
    scopes = tuple(demand.scopes or ()) if demand.dependency is access_token else ()
    wrapper = (_async_wrapper if is_async(function) else _wrapper)(function, name, scopes)
    wrapper.__signature__ = _with_token(signature, name, demand)  # type: ignore[attr-defined]
    return wrapper


def _wrapper(function: Callable[..., Any], name: str, scopes: tuple[str, ...]) -> Callable[..., Any]:
    """*function* for callers that have its scopes. What coroutine functions and generators return is handed on."""
    needed = frozenset(scopes)

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        token = kwargs.pop(name, None)
        if token is None or not needed <= token.scopes:
            raise _not_let_in(function, token, scopes)
        return function(*args, **kwargs)

    return wrapper


def _async_wrapper(  # pragma: no cover  # half of it is for each version
    function: Callable[..., Any], name: str, scopes: tuple[str, ...]
) -> Callable[..., Any]:
    """:func:`_wrapper` of a coroutine function, as FastAPI has to know it; without a coroutine of its own, if it can
    be."""
    if sys.version_info >= (3, 12):
        return inspect.markcoroutinefunction(_wrapper(function, name, scopes))
    needed = frozenset(scopes)

    @functools.wraps(function)
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        token = kwargs.pop(name, None)
        if token is None or not needed <= token.scopes:
            raise _not_let_in(function, token, scopes)
        return await function(*args, **kwargs)

    return wrapper


def _not_let_in(function: Callable[..., Any], token: AccessToken | None, scopes: tuple[str, ...]) -> Exception:
    if token is not None:
        return refused(InsufficientScope(scopes), HTTPException)
    return misuse_error(
        f"{name_of(function)}() was called without FastAPI, so there is no token: "
        "call what it wraps, .__wrapped__(…), or on a Starlette route use kinde_guard.starlette"
    )


def _signature(function: Callable[..., Any]) -> inspect.Signature:
    try:
        return inspect.signature(function, eval_str=True)
    except Exception:  # annotations that cannot be evaluated yet: FastAPI does it when the route is made
        return _unevaluated(function)


def _unevaluated(function: Callable[..., Any]) -> inspect.Signature:
    try:
        return inspect.signature(function)
    except NameError:  # pragma: no cover  # from 3.14 on (PEP 649): annotations are evaluated when they are asked for
        if sys.version_info >= (3, 14):
            import annotationlib

            return inspect.signature(function, annotation_format=annotationlib.Format.STRING)
        raise


def _with_token(signature: inspect.Signature, name: str, demand: Requires) -> inspect.Signature:
    annotation = Annotated[AccessToken, demand]
    token = inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=annotation)
    parameters = list(signature.parameters.values())
    # Behind self, which is taken away when the function becomes a method.
    at = 1 if parameters and parameters[0].name == "self" else 0
    return signature.replace(parameters=[*parameters[:at], token, *parameters[at:]])


def _unused(name: str, signature: inspect.Signature) -> str:
    """Decorators of other makes in between may have left an inner one's parameter there."""
    while name in signature.parameters:
        name += "_"
    return name


def _requirements_of_route(security: AccessTokenSecurity, unmet: Requirement, scope: asgi_scope.Scope) -> Requirement:
    """Everything that the route demands of this token, in the order in which it was written, *unmet* included
    (RFC 6750 §3: ``scope`` is for the resource, not for the one dependency that refused)."""
    found = requirements_in(serving(scope), security)
    return with_requirements_around(AllOf((*found, unmet)).bound(scope.get("path_params", {})), scope)
