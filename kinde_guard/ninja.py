"""Django Ninja: ``auth=KindeAuth(scope("read:users"))`` on an API, a router or an operation.

    api = NinjaAPI(auth=KindeAuth())

    @api.get("/users", auth=KindeAuth(scope("read:users")))
    def users(request): ...             # request.auth is the token

The decorators of :mod:`kinde_guard.django` go below ``@api.get(…)``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

try:
    from django.http import HttpRequest
    from ninja.errors import HttpError
    from ninja.security.http import HttpAuthBase
except ModuleNotFoundError as missing:
    raise ImportError("kinde_guard.ninja needs Django Ninja: pip install django-ninja", name=missing.name) from missing

from .adapters import AccessToken, Requirement, as_framework_error, checked_requirement, mark, openapi
from .errors import AuthError, MissingToken, Unavailable
from .requirements import authenticated
from .web.django_guard import guard_of_project
from .web.django_requests import aauthenticate, authenticate, judged
from .web.ninja_answers import ASKED, answer_refusals, operations_for

__all__ = ["KindeAuth"]


class KindeAuth(HttpAuthBase):
    """Lets in who has a good token that meets *requirement*. Who has none is nobody to it: of several in a list another
    one may know the caller. A bad token is refused at once, with status, challenge and body as everywhere."""

    openapi_scheme = "bearer"
    openapi_bearerFormat = "JWT"  # noqa: N815  (Ninja takes it over by this name)
    openapi_description = openapi.PASTE

    def __init__(self, requirement: Requirement = authenticated) -> None:
        super().__init__()
        self.requirement = checked_requirement(requirement)
        self.is_async = True  # it looks itself where it runs
        mark(self, self, requirement)

    def __call__(self, request: HttpRequest) -> AccessToken | Coroutine[Any, Any, AccessToken | None] | None:
        answer_refusals(operations_for(request))
        _spell_as_servers_do(request)
        return self._aadmit(request) if _is_in_loop() else self._admit(request)

    def _admit(self, request: HttpRequest) -> AccessToken | None:
        try:
            token = authenticate(request, guard_of_project().ready())
            return judged(token, request, self._bound(request))
        except (AuthError, Unavailable) as refusal:
            _refuse(request, refusal)
            return None

    async def _aadmit(self, request: HttpRequest) -> AccessToken | None:
        try:
            token = await aauthenticate(request, guard_of_project().ready())
            return judged(token, request, self._bound(request))
        except (AuthError, Unavailable) as refusal:
            _refuse(request, refusal)
            return None

    def _bound(self, request: HttpRequest) -> Requirement:
        found = getattr(request, "resolver_match", None)
        return self.requirement.bound(found.kwargs if found else {})


def _refuse(request: HttpRequest, refusal: AuthError | Unavailable) -> None:
    if isinstance(refusal, MissingToken):
        setattr(request, ASKED, True)
        return
    error = as_framework_error(refusal, HttpError)
    error.status_code, error.message = refusal.status, refusal.detail
    raise error from None


def _spell_as_servers_do(request: HttpRequest) -> None:
    """Ninja's own test client keeps the name of a header as it was written."""
    if "HTTP_AUTHORIZATION" not in request.META and "Authorization" in request.headers:
        request.META["HTTP_AUTHORIZATION"] = request.headers["Authorization"]


def _is_in_loop() -> bool:
    """Whether this is the thread of an event loop, which nothing may hold up."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
