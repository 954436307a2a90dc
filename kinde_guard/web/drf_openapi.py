"""What drf-spectacular's document says of views with ``KindeAuthentication``: the way to get in, and the scopes without
which nobody does.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.permissions import AND

from ..adapters import Requirement, enforced, openapi
from ..requirements import AllOf
from .django_urls import demands_of


class KindeScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """A bearer token, by the name that it has in the documents of FastAPI apps."""

    target_class = "kinde_guard.drf.KindeAuthentication"
    match_subclasses = True
    name = openapi.BEARER

    def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:
        return {"type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": openapi.PASTE}

    def get_security_requirement(self, auto_schema: Any) -> dict[str, list[str]]:
        view = auto_schema.view
        handler = getattr(view, getattr(view, "action", None) or auto_schema.method.lower(), None)
        demands = [*_demands_of(view.get_permissions()), *demands_of([view.dispatch, handler])]
        return {self.name: list(openapi.certain_scopes(AllOf(tuple(demands))))}


def _demands_of(permissions: Any) -> Iterator[Requirement]:
    """What permission objects demand without fail."""
    for permission in permissions:
        demand = enforced(permission)
        if demand is not None:
            yield demand
        elif isinstance(permission, AND):
            yield from _demands_of([permission.op1, permission.op2])
