"""The views of :mod:`.django`: to be loaded when Django has its settings."""

from __future__ import annotations

import functools
from typing import Any, ClassVar, NamedTuple

from django.http import HttpRequest, JsonResponse
from ninja import NinjaAPI
from ninja.errors import HttpError
from ninja.security import HttpBearer
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from kinde_guard import scope as scope_of
from kinde_guard.django import requires_scope
from kinde_guard.drf import HasScope, KindeAuthentication
from kinde_guard.ninja import KindeAuth

from ..peers import Verify
from . import claims


class Views(NamedTuple):
    """The same in each framework: what stands in a path of ``urlpatterns``."""

    view: Any
    api_view: Any
    operation: Any


class View(APIView):
    """Open."""

    authentication_classes: ClassVar[list[Any]] = []
    permission_classes: ClassVar[list[Any]] = []

    def get(self, request: Request) -> Response:
        return Response({"ok": True})


class GuardedView(View):
    authentication_classes: ClassVar[list[Any]] = [KindeAuthentication]
    permission_classes: ClassVar[list[Any]] = [HasScope(claims.SCOPE)]


def users(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"ok": True})


def operation(name: str, auth: Any) -> Any:
    """Ninja's, as *auth* lets in; *name* tells its API from the others."""
    api = NinjaAPI(urls_namespace=name, openapi_url=None, docs_url=None)

    @api.get("", auth=auth)
    def users(request: HttpRequest) -> dict[str, bool]:
        return {"ok": True}

    return api.urls


def guarded_operation() -> Any:
    return operation("guarded", KindeAuth(scope_of(claims.SCOPE)))


@requires_scope(claims.SCOPE)
def guarded(request: HttpRequest) -> JsonResponse:
    """Another function: one that is open here and guarded there is a mistake."""
    return JsonResponse({"ok": True})


def open_views() -> Views:
    """Something in the guard's place that does nothing."""

    @functools.wraps(users)
    def wrapper(*args: Any, **kwargs: Any) -> JsonResponse:
        return users(*args, **kwargs)

    return Views(wrapper, View.as_view(), operation("open", lambda request: True))


def by_hand(name: str, verify: Verify, scope: str) -> Views:
    """As in the tutorials: a decorator; an authentication class, and a permission class."""

    @functools.wraps(users)
    def wrapper(request: HttpRequest, *args: Any, **kwargs: Any) -> JsonResponse:
        try:
            verified = verify(claims.bearer(request.headers.get("Authorization", "")))
        except Exception:
            return JsonResponse({"error": "invalid token"}, status=401)
        if scope not in claims.scopes(verified):
            return JsonResponse({"error": "insufficient scope"}, status=403)
        return users(request, *args, **kwargs)

    class Authentication(BaseAuthentication):
        def authenticate(self, request: Request) -> tuple[Any, Any]:
            try:
                return object(), verify(claims.bearer(request.headers.get("Authorization", "")))
            except Exception:
                raise AuthenticationFailed("invalid token") from None

        def authenticate_header(self, request: Request) -> str:
            return "Bearer"

    class Scoped(BasePermission):
        def has_permission(self, request: Request, view: APIView) -> bool:
            return scope in claims.scopes(request.auth)

    class ByHand(View):
        authentication_classes: ClassVar[list[Any]] = [Authentication]
        permission_classes: ClassVar[list[Any]] = [Scoped]

    return Views(wrapper, ByHand.as_view(), operation(name, bearer(verify, scope)))


def bearer(verify: Verify, scope: str) -> HttpBearer:
    """As in Ninja's own pages."""

    class Bearer(HttpBearer):
        def authenticate(self, request: HttpRequest, token: str) -> Any:
            try:
                verified = verify(token)
            except Exception:
                return None
            if scope not in claims.scopes(verified):
                raise HttpError(403, "insufficient scope")
            return verified

    return Bearer()
