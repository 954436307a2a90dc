"""Django: ``KindeGuardMiddleware`` in ``MIDDLEWARE``, ``@requires_scope(…)`` on views, and ``request.kinde_token``.

    MIDDLEWARE = ["kinde_guard.django.KindeGuardMiddleware", …]
    KINDE_GUARD = {"public": ["/healthz"]}

For Django REST framework see :mod:`kinde_guard.drf`, for Ninja :mod:`kinde_guard.ninja`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar, cast

try:
    from asgiref.sync import iscoroutinefunction, markcoroutinefunction
    from django.core.checks import register
    from django.http import HttpRequest, HttpResponseBase
except ModuleNotFoundError as missing:
    raise ImportError(
        "kinde_guard.django needs Django: pip install 'kinde-guard[django]'", name=missing.name
    ) from missing

from .adapters import (
    AccessToken,
    Decorators,
    Requirement,
    check_function,
    innermost,
    mark,
    needs_function,
    stacked,
)
from .errors import AuthError, ConfigurationError, Unavailable
from .web import django_checks
from .web.django_guard import DjangoGuard, guard_of_project
from .web.django_requests import (
    aadmit,
    aauthenticate,
    admit,
    areceive,
    authenticate,
    carrier,
    is_open,
    page,
    plain,
    private_to_caller,
    receive,
    refused,
    until_over,
)
from .web.django_urls import answers_errors, check_urls, class_of, endpoints, operations_of

__all__ = [
    "KindeGuardMiddleware",
    "atoken_or_none",
    "requires",
    "requires_auth",
    "requires_org",
    "requires_permission",
    "requires_role",
    "requires_scope",
    "token_or_none",
]

F = TypeVar("F", bound=Callable[..., Any])
register(django_checks.check_settings)
register(django_checks.check_middleware)
register(django_checks.check_views)
register(django_checks.check_environment, deploy=True)


class KindeGuardMiddleware:
    """The guard in front of a Django project. In ``MIDDLEWARE`` it stands below CORS middleware, and above all else.

    What it does is said in the setting ``KINDE_GUARD``, a dict; each member may be left out. Without ``public``, the
    views that carry a demand demand a token. With it (``[]`` included) every other path does too, unknown ones among
    them, before a view is looked for. ``healthz`` and ``readyz`` are paths to answer health checks at; ``resource`` is
    the https URL of this API, whose metadata (RFC 9728) is then served and named in challenges. ``pass_preflights``
    lets CORS preflights through to a project that answers every one itself. Kinde's webhooks come to the path
    ``webhooks``, and ``on_event``, a function or its dotted path, is called with each event. With ``close_expired``,
    streams end when their token expires or is revoked. ``guard`` is a ready
    :class:`Guard`; in its place stand the settings of one (``domain``, ``audience`` …), else the settings
    ``KINDE_DOMAIN``, ``KINDE_AUDIENCE`` …, else the environment. Raises :class:`ConfigurationError` when the server
    starts.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self.get_response = get_response
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)
        guard_of_project().start()

    def __call__(self, request: HttpRequest) -> Any:
        if self._is_async:
            return self._acall(request)
        attached = guard_of_project()
        _check(attached)
        request.kinde_token = None
        response = receive(attached, request) or page(attached, request)
        if response is not None:
            return response
        try:
            if not is_open(attached, request):
                authenticate(request, attached.ready())
        except (AuthError, Unavailable) as refusal:
            return refused(request, refusal)
        return until_over(attached, request, _told_whose(request, self.get_response(request)))

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponseBase | None:
        """Answers what a view refuses: ``@requires_…``, and ``request.kinde_token.require(…)``. Middleware further down
        that has this method, too, is asked before, and may answer in its own way."""
        return refused(request, exception) if isinstance(exception, AuthError | Unavailable) else None

    async def _acall(self, request: HttpRequest) -> HttpResponseBase:
        attached = guard_of_project()
        _check(attached)
        request.kinde_token = None
        response = await areceive(attached, request) or page(attached, request)
        if response is not None:
            return response
        try:
            if not is_open(attached, request):
                await aauthenticate(request, attached.ready())
        except (AuthError, Unavailable) as refusal:
            return refused(request, refusal)
        return until_over(attached, request, _told_whose(request, await self.get_response(request)))


class Requires:
    """A demand: decorates a view, ``def`` or ``async def``, or a method of a class-based one, by ``method_decorator``
    or without. What is decorated needs no CSRF token: no browser sends an access token of its own accord."""

    def __init__(self, requirement: Requirement) -> None:
        self.requirement = requirement
        mark(self, self, requirement)  # method_decorator keeps it, and decorates anew for each request

    @needs_function
    def __call__(self, view: F) -> F:
        if isinstance(view, type):
            raise ConfigurationError(
                f"@requires_… decorates functions: write @method_decorator(requires_…(…), name='dispatch') above the "
                f"class {view.__name__}"
            )
        check_function(view)
        requirement = stacked(view, self.requirement)
        bare = innermost(view)
        wrapper = _async_wrapper(bare, requirement) if iscoroutinefunction(bare) else _sync_wrapper(bare, requirement)
        wrapper.csrf_exempt = True  # type: ignore[attr-defined]
        if isinstance(view, functools.partial) or class_of(view) is not None:
            # What method_decorator makes for one request, or as_view() of a class: what these wrap, as far as they say
            # so, is a method that others have, too, such as View.dispatch. It is no place for marks.
            del wrapper.__wrapped__  # type: ignore[attr-defined]
            view = cast(F, wrapper)
        mark(view, wrapper, requirement)
        return cast(F, wrapper)


_decorators = Decorators(Requires)
requires = _decorators.requires
requires_auth = _decorators.requires_auth
requires_org = _decorators.requires_org
requires_permission = _decorators.requires_permission
requires_role = _decorators.requires_role
requires_scope = _decorators.requires_scope


def token_or_none(request: HttpRequest) -> AccessToken | None:
    """The caller's token, on a path that demands none; ``None`` for a caller without one, with a bad one, and as long
    as it cannot be told. Refuses nobody. For ``def``; it may wait for a key."""
    try:
        return authenticate(plain(request), guard_of_project().ready())
    except (AuthError, Unavailable):
        return None


async def atoken_or_none(request: HttpRequest) -> AccessToken | None:
    """:func:`token_or_none` for ``async def``."""
    try:
        return await aauthenticate(plain(request), guard_of_project().ready())
    except (AuthError, Unavailable):
        return None


def _check(attached: DjangoGuard) -> None:
    """Raise :class:`ConfigurationError`, at the first request, if a view's demand is not enforced, and have Ninja's
    APIs answer refusals."""
    if not attached.is_checked:
        check_urls()
        operations = [operation for _, view in endpoints() for operation in operations_of(view)]
        if operations:
            from .web.ninja_answers import answer_refusals  # only here: Ninja is loaded then

            answer_refusals(operations)
        attached.is_checked = True


def _sync_wrapper(view: Callable[..., Any], requirement: Requirement) -> Callable[..., Any]:
    if getattr(view, "__name__", "") == "dispatch":
        return _dispatch_wrapper(view, requirement)

    @functools.wraps(view)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        try:
            admit(_request_in(args), requirement, kwargs)
        except (AuthError, Unavailable) as refusal:
            return _refused_as(wrapper, args[0], args, refusal)
        return _private(view(*args, **kwargs))

    return wrapper


def _refused_as(wrapper: Any, instance: Any, args: tuple[Any, ...], refusal: AuthError | Unavailable) -> Any:
    """An error handler has to answer: nobody asks the middleware what it raises. A view raises, as all do."""
    if answers_errors(wrapper, instance):
        return refused(_request_in(args), refusal)
    raise refusal


def _dispatch_wrapper(view: Callable[..., Any], requirement: Requirement) -> Callable[..., Any]:
    """``dispatch`` is ``def`` in classes whose methods are ``async def``, too, and called in the event loop then: it
    returns something to await, and so does this, before the token is asked for."""

    instance = _instance_of(view)

    @functools.wraps(view)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        called = args[0] if instance is None and args else instance
        if getattr(type(called), "view_is_async", False):
            return _adispatch(view, requirement, args, kwargs)
        try:
            admit(_request_in(args), requirement, kwargs)
        except (AuthError, Unavailable) as refusal:
            return _refused_as(wrapper, called, args, refusal)
        return _private(view(*args, **kwargs))

    if instance is not None:
        wrapper.kinde_guard_instance = instance  # type: ignore[attr-defined]  # for a decorator around
    return wrapper


async def _adispatch(
    view: Callable[..., Any], requirement: Requirement, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    await aadmit(_request_in(args), requirement, kwargs)
    return _private(await view(*args, **kwargs))


def _instance_of(view: Any) -> Any:
    """Whose method *view* is, where ``method_decorator`` has bound it, whatever other decorators are around it."""
    while view is not None:
        held = vars(view).get("kinde_guard_instance") if hasattr(view, "__dict__") else None
        found = held or getattr(getattr(view, "func", view), "__self__", None)
        if found is not None:
            return found
        view = getattr(view, "__wrapped__", None)
    return None


def _async_wrapper(view: Callable[..., Any], requirement: Requirement) -> Callable[..., Any]:
    @functools.wraps(view)
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        await aadmit(_request_in(args), requirement, kwargs)
        return _private(await view(*args, **kwargs))

    return wrapper


def _request_in(args: tuple[Any, ...]) -> HttpRequest:
    """The first argument of a view, or the second of a method."""
    for found in map(plain, args[:2]):
        if isinstance(found, HttpRequest):
            return found
    raise ConfigurationError("@requires_… decorates views: what it decorates here was called without a request")


def _private(response: Any) -> Any:
    """A view's answer, which a cache in a decorator above must not keep for others. Ninja's return none."""
    if isinstance(response, HttpResponseBase):
        private_to_caller(response)
    return response


def _told_whose(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    if "kinde_guard.token" in carrier(request):
        private_to_caller(response)
    return response
