"""What several layers in front of one request demand together.

Each judges its own demand. Its challenge speaks for the resource (RFC 6750 §3), not for the one layer that refuses, or
a client would give one scope up to get another.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from typing import TYPE_CHECKING, Any

from ..requirements import AllOf, Requirement

if TYPE_CHECKING:
    from ..claims import AccessToken
    from ..guard import Guard

_DEMANDED = "kinde_guard.demanded"


def judge(guard: Guard, token: AccessToken, requirement: Requirement, request: Mapping[str, Any]) -> None:
    """Raise :class:`AuthError` if *token* does not meet *requirement*. *request*: the ASGI scope or WSGI environ."""
    if not requirement.met_by(token):
        guard.demand(token, with_those_around(requirement, request))


def passed(requirement: Requirement, request: MutableMapping[str, Any]) -> None:
    """Note that the token meets *requirement*, for the layers within."""
    request[_DEMANDED] = (*request.get(_DEMANDED, ()), requirement)


def with_those_around(requirement: Requirement, request: Mapping[str, Any]) -> Requirement:
    """*requirement*, and what the layers around have demanded already."""
    around = request.get(_DEMANDED)
    return requirement if around is None else AllOf((*around, requirement))
