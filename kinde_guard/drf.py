"""Django REST framework: who calls (:class:`KindeAuthentication`), and whether they may (``HasScope("read:users")``).

    REST_FRAMEWORK = {"DEFAULT_AUTHENTICATION_CLASSES": ["kinde_guard.drf.KindeAuthentication"]}

    class Users(APIView):
        permission_classes = [HasScope("read:users")]

``request.auth`` is the token, ``request.user`` a user without a row in the database, or whom ``user_of`` of the setting
``KINDE_GUARD`` says. This module is loaded while REST framework's views are, and so must not import them.
"""

from __future__ import annotations

import sys
from types import FrameType
from typing import Any, NoReturn

try:
    from rest_framework.authentication import BaseAuthentication
    from rest_framework.exceptions import APIException, ErrorDetail
    from rest_framework.permissions import AND, NOT, OR, OperandHolder, OperationHolderMixin, SingleOperandHolder
except ModuleNotFoundError as missing:
    raise ImportError(
        "kinde_guard.drf needs Django REST framework: pip install djangorestframework", name=missing.name
    ) from missing

from .adapters import AccessToken, Requirement, as_framework_error, checked_requirement, mark
from .errors import AuthError, ConfigurationError, Forbidden, MissingToken, Unavailable
from .requirements import AllOf, authenticated, org_of_route, permission, role, scope
from .web.django_guard import guard_of_project
from .web.django_requests import authenticate, is_cors_preflight, judged, plain
from .web.drf_user import KindeUser

__all__ = ["HasOrg", "HasPermission", "HasRole", "HasScope", "KindeAuthentication", "KindeUser", "Requires"]


class KindeAuthentication(BaseAuthentication):  # type: ignore[misc]
    """Says who calls, by the access token: ``authentication_classes = [KindeAuthentication]``.

    It does not know a caller without a token, but another class in the list may. A bad token is refused at once: 400,
    401 or 403 with the challenge, 503 with ``Retry-After``. If ``user_of`` knows no user for a token, it is refused as
    :class:`~kinde_guard.Forbidden`.
    """

    def authenticate(self, request: Any) -> tuple[Any, AccessToken] | None:
        """Called by REST framework: who calls, and the token; ``None`` for a caller without one. Raises the refusal of
        a bad token, and :class:`~kinde_guard.Forbidden` for a token whose user ``user_of`` does not know."""
        attached = guard_of_project()
        try:
            token = authenticate(plain(request), attached.ready())
            user = KindeUser(token) if attached.user_of is None else attached.user_of(token)
            if user is None:
                raise Forbidden("wrong_subject", "user_of knows no user for the token")
            return user, token
        except MissingToken:
            return None
        except (AuthError, Unavailable) as refusal:
            raise _refused(request, refusal) from None

    def authenticate_header(self, request: Any) -> str:
        """The challenge for callers who have no token."""
        missing = MissingToken()
        missing.name_metadata(guard_of_project().metadata_url)
        return missing.headers["WWW-Authenticate"]


mark(KindeAuthentication, KindeAuthentication, authenticated)


class Requires(OperationHolderMixin):  # type: ignore[misc]
    """Any requirement as a permission class: ``Requires(scope("a") | permission("b"))``.

    It refuses with the challenge. In a composition with classes of others (``&``, ``|``) it says ``False``, as they do.
    It cannot be inverted: ``~HasScope(…)`` would let in who has no token.
    """

    def __init__(self, requirement: Requirement) -> None:
        self.requirement = checked_requirement(requirement)
        mark(self, self, requirement)

    def __call__(self) -> Requires:
        """What REST framework makes of a class for each request. Inside of a ``~`` that is a mistake, which has to be
        seen before anybody is asked: ``~(A & ours)`` lets in whom ``A`` refuses, and never asks ours."""
        _is_composed()
        return self

    def has_permission(self, request: Any, view: Any) -> bool:
        """Whether *request* has a token that meets it; of ours alone, or it raises what refuses the request."""
        token = request.auth
        if not isinstance(token, AccessToken):
            return False
        requirement = self.requirement.bound(view.kwargs)
        is_met = requirement.met_by(token)
        if _is_composed():
            return is_met
        try:
            judged(token, plain(request), requirement if is_met else _all_of(view, requirement))
        except (AuthError, Unavailable) as refusal:
            raise _refused(request, refusal) from None
        return True

    def has_object_permission(self, request: Any, view: Any, obj: object) -> bool:
        """The token says nothing of single objects."""
        return True

    def __and__(self, other: Any) -> Any:
        return Requires(self.requirement & other.requirement) if isinstance(other, Requires) else super().__and__(other)

    def __or__(self, other: Any) -> Any:
        return Requires(self.requirement | other.requirement) if isinstance(other, Requires) else super().__or__(other)

    def __invert__(self) -> NoReturn:
        raise ConfigurationError(
            f"~{self!r} would let in who has no token: demand what callers must have, or look at request.auth yourself"
        )

    def __repr__(self) -> str:
        return f"Requires({self.requirement})"


class HasScope(Requires):
    """The token has all of these scopes."""

    def __init__(self, *names: str) -> None:
        super().__init__(scope(*names))


class HasPermission(Requires):
    """The token has all of these permissions."""

    def __init__(self, *keys: str) -> None:
        super().__init__(permission(*keys))


class HasRole(Requires):
    """The token has all of these roles."""

    def __init__(self, *keys: str) -> None:
        super().__init__(role(*keys))


class HasOrg(Requires):
    """The token's organization is *code*, or the one in the route's parameter named *path*."""

    def __init__(self, code: str | None = None, *, path: str | None = None) -> None:
        super().__init__(org_of_route(code, path))


_OPERATORS = {
    method.__code__: operator
    for operator in (AND, OR, NOT)
    for method in (operator.has_permission, operator.has_object_permission)
} | {OperandHolder.__call__.__code__: AND, SingleOperandHolder.__call__.__code__: NOT}


def _is_composed() -> bool:
    """Whether one of REST framework's operators asks: of alternatives, another may do. Raises
    :class:`ConfigurationError` if the answer is to be inverted."""
    frame: FrameType | None = sys._getframe(2)
    found = []
    while frame is not None and frame.f_code in _OPERATORS:
        found.append(_OPERATORS[frame.f_code])
        frame = frame.f_back
    if NOT in found:
        raise ConfigurationError("a permission class of kinde_guard's is inverted (~), which lets in who has no token")
    return bool(found)


def _all_of(view: Any, refused: Requirement) -> Requirement:
    """What is *refused*, and what else our permission classes demand on *view*: one more token has to be enough."""
    ours = [found.requirement.bound(view.kwargs) for found in view.permission_classes if isinstance(found, Requires)]
    return AllOf((*ours, refused))


def _refused(request: Any, refusal: AuthError | Unavailable) -> Any:
    """*refusal* as an exception that REST framework's own handler answers rightly: it looks at these attributes."""
    attached = guard_of_project()
    if is_cors_preflight(plain(request)):
        attached.preflights.refused()
    refusal.name_metadata(attached.metadata_url)
    error = as_framework_error(refusal, APIException)
    error.status_code = refusal.status
    error.detail = ErrorDetail(refusal.detail, refusal.reason)
    error.auth_header = refusal.headers.get("WWW-Authenticate")
    error.wait = getattr(refusal, "retry_after", None)
    return error


if "drf_spectacular" in sys.modules:  # pragma: no branch  # without it, in a process of its own
    from .web import drf_openapi as drf_openapi
