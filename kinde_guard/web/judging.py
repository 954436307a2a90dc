"""Whether a token meets what is required of a request: by its route, and by each layer in front of that.

Each layer judges its own requirement. Its challenge speaks for the resource (RFC 6750 §3), not for the one layer that
refuses, or a client would give one scope up to get another.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any

from ..requirements import AllOf, Requirement

if TYPE_CHECKING:
    from ..authenticator import Authenticator
    from ..tokens.access_token import AccessToken
    from .well_known import WellKnownPages

_REQUIRED = "kinde_guard.demanded"


def judge(guard: Authenticator, token: AccessToken, requirement: Requirement, request: Mapping[str, Any]) -> None:
    """Raise :class:`AuthError` if *token* does not meet *requirement*. *request*: the ASGI scope or WSGI environ."""
    if not requirement.met_by(token):
        guard.demand(token, with_requirements_around(requirement, request))


def passed(requirement: Requirement, request: MutableMapping[str, Any]) -> None:
    """Note that the token meets *requirement*, for the layers within."""
    request[_REQUIRED] = (*requirements_around(request), requirement)


def with_requirements_around(requirement: Requirement, request: Mapping[str, Any]) -> Requirement:
    """*requirement*, and what the layers around have required already."""
    before = requirements_around(request)
    return AllOf((*before, requirement)) if before else requirement


def requirements_around(request: Mapping[str, Any]) -> tuple[Requirement, ...]:
    """What the layers around have required already."""
    before: tuple[Requirement, ...] = request.get(_REQUIRED, ())
    return before


def is_resource_of_its_own(pages: WellKnownPages | None, guard: Authenticator | None, issuers: Collection[str]) -> bool:
    """Whether what is behind middleware with these *pages* and this *guard* has metadata of its own (RFC 9728), or is
    not for tokens of *issuers* alone: then what it demands is nothing that a client of the resource around could ask
    for."""
    has_metadata = pages is not None and pages.metadata_url != ""
    return has_metadata or not (guard is None or set(guard.issuers) <= set(issuers))
