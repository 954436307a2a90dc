"""Refusals as Ninja answers them: an API has handlers for exceptions, and no page of an error, ``DEBUG`` or not."""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable, Iterable
from typing import Any

from django.http import HttpRequest, HttpResponse
from ninja.errors import AuthenticationError

from ..errors import AuthError, KindeGuardError, MissingToken, Unavailable
from .django_guard import guard_of_project
from .django_requests import refused
from .django_urls import operations_of

ASKED = "kinde_guard_asked"
"""The attribute of a request that a token would have let in."""
_Handler = Callable[[HttpRequest, Any], HttpResponse]
_answering = weakref.WeakSet[Any]()


def answer_refusals(operations: Iterable[Any]) -> None:
    """Have the APIs of *operations* answer refusals, unless they have handlers of their own for them."""
    for api in {operation.api for operation in operations if operation.api not in _answering}:
        handlers: dict[type, _Handler] = api._exception_handlers
        for kind in (AuthError, Unavailable) if KindeGuardError not in handlers else ():
            handlers.setdefault(kind, refused)
        before = api._lookup_exception_handler(AuthenticationError())
        api.add_exception_handler(AuthenticationError, functools.partial(_with_challenge, before))
        _answering.add(api)


def operations_for(request: HttpRequest) -> list[Any]:
    """Those at the path of *request*."""
    return operations_of(getattr(getattr(request, "resolver_match", None), "func", None))


def _with_challenge(before: _Handler, request: HttpRequest, error: AuthenticationError) -> HttpResponse:
    """The API's own answer to a caller whom none of its ways to get in knows."""
    response = before(request, error)
    if vars(request).get(ASKED):
        missing = MissingToken()
        missing.name_metadata(guard_of_project().metadata_url)
        response["WWW-Authenticate"] = missing.headers["WWW-Authenticate"]
    return response
