"""A request of Django's: whose it is, whether that caller may, and what it is answered if not.

Under ASGI the request has the scope, under WSGI its ``META`` is the environ: there the verdict is remembered.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, MutableMapping
from typing import Any

from django.core.exceptions import RequestAborted
from django.http import HttpRequest, HttpResponse
from django.utils.cache import patch_vary_headers

from ..adapters import (
    AccessToken,
    Authenticator,
    Refusal,
    Requirement,
    answer,
    asgi_scope,
    judge,
    named,
    passed,
    wsgi_environ,
)
from ..errors import ConfigurationError
from .django_guard import MIDDLEWARE, DjangoGuard, guard_of_project
from .django_urls import all_demands

ASK_IN = "kinde_token"
"""The attribute of a request that holds its token. Where the middleware has not set it, nothing answers a refusal."""


class ClientGone(asyncio.CancelledError, RequestAborted):  # type: ignore[misc]  # Django has no types
    """What Django takes for a client that has gone away: the first until 6.0, the second since."""


def plain(request: Any) -> Any:
    """Django's request, of which REST framework's is a wrapper."""
    inner = named(request, "_request")
    return inner if isinstance(inner, HttpRequest) else request


def carrier(request: HttpRequest) -> MutableMapping[str, Any]:
    """What came from the server, and goes on with the request: the ASGI scope or the WSGI environ."""
    scope: MutableMapping[str, Any] | None = _scope_of(request)
    return request.META if scope is None else scope


def authenticate(request: HttpRequest, guard: Authenticator) -> AccessToken:
    """The token of *request*; raises :class:`AuthError` or :class:`Unavailable`. It may wait for a key."""
    scope = _scope_of(request)
    if scope is None:
        token = wsgi_environ.authenticate(request.META, guard)
    else:
        token = asgi_scope.recognise(scope, guard) or asgi_scope.authenticate(scope, guard)
    return _noted(request, token)


async def aauthenticate(request: HttpRequest, guard: Authenticator) -> AccessToken:
    """:func:`authenticate` for ``async def``. Under WSGI Django runs a loop of its own for each request, which nobody
    else waits for."""
    scope = _scope_of(request)
    if scope is None:
        return authenticate(request, guard)
    return _noted(request, asgi_scope.recognise(scope, guard) or await asgi_scope.aauthenticate(scope, guard))


def admit(request: HttpRequest, requirement: Requirement, parameters: Mapping[str, object]) -> None:
    """Raise what refuses *request*, if its token does not meet *requirement* on a route with these *parameters*."""
    guard = _guard_for(request)
    _judge(guard, authenticate(request, guard), request, requirement.bound(parameters))


async def aadmit(request: HttpRequest, requirement: Requirement, parameters: Mapping[str, object]) -> None:
    """:func:`admit` for ``async def``."""
    guard = _guard_for(request)
    _judge(guard, await aauthenticate(request, guard), request, requirement.bound(parameters))


def judged(token: AccessToken, request: HttpRequest, requirement: Requirement) -> AccessToken:
    """*token*, if it meets *requirement*; else what refuses *request* is raised."""
    _judge(guard_of_project().ready(), token, request, requirement)
    return token


def refused(request: HttpRequest, refusal: Refusal) -> HttpResponse:
    """The answer to a refused *request*."""
    attached = guard_of_project()
    if is_cors_preflight(request):
        attached.preflights.refused()
    made = answer(refusal, attached.metadata_url)
    return HttpResponse(made.body, status=made.status, headers=dict(made.headers), content_type=made.media_type)


def page(attached: DjangoGuard, request: HttpRequest) -> HttpResponse | None:
    """The answer, if *request* is for a page of ours: a health check, or the metadata."""
    if attached.pages is None:
        return None
    found = attached.pages.answer(request.method or "", request.path_info, attached.ready, all_demands)
    return None if found is None else _whole(found)


def receive(attached: DjangoGuard, request: HttpRequest) -> HttpResponse | None:
    """The answer, if *request* is for the path that webhooks come to; all has been done then."""
    endpoint = attached.webhooks
    if endpoint is None or request.path_info != endpoint.path:
        return None
    return _whole(
        endpoint.receive(
            attached.ready(), request.method or "", request.headers, _raw_body(request, endpoint.most_read)
        )
    )


async def areceive(attached: DjangoGuard, request: HttpRequest) -> HttpResponse | None:
    """:func:`receive` for event loops."""
    endpoint = attached.webhooks
    if endpoint is None or request.path_info != endpoint.path:
        return None
    body = _raw_body(request, endpoint.most_read)
    return _whole(await endpoint.areceive(attached.ready(), request.method or "", request.headers, body))


def is_open(attached: DjangoGuard, request: HttpRequest) -> bool:
    """Whether *request* needs no token before a view is looked for, which is done by the same path."""
    if attached.public is None or attached.public.cover(request.path_info):
        return True
    return attached.preflights.passes and is_cors_preflight(request)


def is_cors_preflight(request: HttpRequest) -> bool:
    """Whether *request* calls itself a CORS preflight."""
    scope = _scope_of(request)
    if scope is None:
        return wsgi_environ.is_cors_preflight(request.META)
    return asgi_scope.is_cors_preflight(scope)


def private_to_caller(response: Any) -> None:
    """Tell caches whose *response* is: that of the token it was made for. Who sets a Cache-Control has decided."""
    if not response.has_header("Cache-Control"):
        response["Cache-Control"] = "private"
        patch_vary_headers(response, ("Authorization",))


def until_over(attached: DjangoGuard, request: HttpRequest, response: Any) -> Any:
    """*response*, which is cut, if it is a stream and *attached* says so, when its token expires or is revoked."""
    if attached.close_expired and response.streaming:
        items, guard = response.streaming_content, attached.ready()
        held = carrier(request)
        response.streaming_content = (
            asgi_scope.until_over(guard, held, items, ClientGone)
            if response.is_async
            else wsgi_environ.until_over(guard, held, items)
        )
    return response


def _scope_of(request: HttpRequest) -> Any:
    """The ASGI scope, if there is one. Of a mock, which makes one up for whoever asks, nothing is asked."""
    return vars(request).get("scope")


def _noted(request: HttpRequest, token: AccessToken) -> AccessToken:
    """*token*, of *request*. Django's own cache, where it was asked before, is told to keep nothing made for it."""
    request.kinde_token = token
    if hasattr(request, "_cache_update_cache"):
        request._cache_update_cache = False
    return token


def _guard_for(request: HttpRequest) -> Authenticator:
    if not hasattr(request, ASK_IN):
        raise ConfigurationError(
            f"the demand on the view at {request.path!r} cannot be answered for: add {MIDDLEWARE!r} to MIDDLEWARE"
        )
    return guard_of_project().ready()


def _judge(guard: Authenticator, token: AccessToken, request: HttpRequest, requirement: Requirement) -> None:
    where = carrier(request)
    judge(guard, token, requirement, where)
    passed(requirement, where)


def _whole(made: Any) -> HttpResponse:
    return HttpResponse(made.body, status=made.status, headers=dict(made.headers))


def _raw_body(request: HttpRequest, most: int) -> bytes:
    return request.read(most) if request.method == "POST" else b""
