"""The decorators ``requires_…``, spelled alike in every framework, and the marks they leave on functions.

A demand that is written and not enforced must not pass unseen. ``@requires_scope(…)`` belongs *below* the route
decorator; above it, the route holds the bare function and nothing of ours runs. So a decorator marks what it wraps,
and an adapter that finds a marked function served bare refuses to start.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar

from .errors import ConfigurationError
from .requirements import AllOf, Requirement, authenticated, org_of_route, permission, role, scope

_DEMANDED = "__kinde_guard_demanded__"  # on what was decorated, on everything it wraps, and on the wrapper
_ENFORCED = "__kinde_guard_enforced__"  # on the wrapper; functools.wraps carries both on to whoever wraps the wrapper
_WRAPPER = "__kinde_guard_wrapper__"  # the wrapper itself, which tells it from those it was carried on to

Made = TypeVar("Made")


class Decorators(Generic[Made]):
    """Every ``requires_…``; *make* turns what is required into the decorator of a framework."""

    def __init__(self, make: Callable[[Requirement], Made]) -> None:
        self._make = make
        self.requires_auth = make(authenticated)
        """Any valid token. Written without parentheses."""

    def requires_scope(self, *names: str) -> Made:
        """All of these scopes."""
        return self._make(scope(*names))

    def requires_permission(self, *keys: str) -> Made:
        """All of these permissions."""
        return self._make(permission(*keys))

    def requires_role(self, *keys: str) -> Made:
        """All of these roles."""
        return self._make(role(*keys))

    def requires_org(self, code: str | None = None, *, path: str | None = None) -> Made:
        """The token's organization is *code*, or the one in the route's path parameter named *path*."""
        return self._make(org_of_route(code, path))

    def requires(self, requirement: Requirement) -> Made:
        """Any requirement, such as ``scope("a") | permission("b")``."""
        return self._make(checked(requirement))


def checked(requirement: object) -> Requirement:
    """*requirement*, if it is one."""
    if not isinstance(requirement, Requirement):
        raise ConfigurationError(f"a requirement is needed, such as scope('read:users'), not {requirement!r}")
    return requirement


def check_function(function: object) -> None:
    """Raises :class:`ConfigurationError` for what a decorator cannot guard."""
    if isinstance(function, type):
        raise ConfigurationError(f"@requires_… goes on the methods of a class, not on {function.__name__} itself")
    if not callable(function):
        raise ConfigurationError(f"@requires_… decorates functions, not {function!r}")


def mark(decorated: Callable[..., Any], wrapper: Callable[..., Any], requirement: Requirement) -> None:
    """Note that *wrapper* enforces *requirement* for *decorated*, and for all that is within it."""
    for function in (wrapper, *within(decorated)):
        _set(function, _DEMANDED, requirement)
    _set(wrapper, _ENFORCED, requirement)
    _set(wrapper, _WRAPPER, wrapper)


def enforced(endpoint: Callable[..., Any]) -> Requirement | None:
    """What the decorators around *endpoint* enforce, if there are any."""
    found = getattr(_whole(endpoint), _ENFORCED, None)
    return found if isinstance(found, Requirement) else None


def stacked(inner: Callable[..., Any], outer: Requirement) -> Requirement:
    """Stacked decorators are one requirement: *outer*, and what is enforced around *inner* already."""
    within = enforced(inner)
    return outer if within is None else AllOf((outer,)) & within


def innermost(function: Callable[..., Any]) -> Callable[..., Any]:
    """What *function* wraps, if it is a wrapper of ours: a stack of decorators needs but one."""
    if getattr(function, _WRAPPER, None) is function:
        return getattr(function, "__wrapped__", function)  # type: ignore[no-any-return]
    return function


def misplaced(endpoint: Callable[..., Any]) -> bool:
    """Whether *endpoint* carries a demand that nothing around it enforces: its decorator is above the route's.

    By identity: a decorator above the route has left a demand that another, below it, does not enforce.
    """
    whole = _whole(endpoint)
    return getattr(whole, _DEMANDED, None) is not getattr(whole, _ENFORCED, None)


def within(function: Any) -> Iterator[Any]:
    """*function*, and whatever it wraps."""
    while function is not None:
        yield function
        function = function.func if isinstance(function, functools.partial) else getattr(function, "__wrapped__", None)


def _whole(function: Any) -> Any:
    """What carries the marks: of a partial, the function that it calls."""
    while isinstance(function, functools.partial):
        function = function.func
    return function


def _set(function: Any, name: str, value: object) -> None:
    # A bound method has no attributes of its own; a callable instance may have none at all.
    target = getattr(function, "__func__", function)
    try:
        setattr(target, name, value)
    except AttributeError:
        return
