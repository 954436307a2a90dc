"""A demand that is written and not enforced must not pass unseen: the marks that decorators leave on functions.

``@requires_scope(…)`` belongs *below* the route decorator. Above it, the route holds the bare function and nothing of
ours runs. So a decorator marks what it wraps, and an adapter that finds a marked function served bare refuses to start.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from .requirements import AllOf, Requirement

_DEMANDED = "__kinde_guard_demanded__"  # on the bare function, and on everything it wraps
_ENFORCED = "__kinde_guard_enforced__"  # on the wrapper; functools.wraps carries both on to whoever wraps the wrapper


def mark(bare: Callable[..., Any], wrapper: Callable[..., Any], requirement: Requirement) -> None:
    """Note that *wrapper* enforces *requirement* for *bare*."""
    for function in _unwrapped(bare):
        _set(function, _DEMANDED, requirement)
    _set(wrapper, _ENFORCED, requirement)


def enforced(endpoint: Callable[..., Any]) -> Requirement | None:
    """What the decorators around *endpoint* enforce, if there are any."""
    found = getattr(endpoint, _ENFORCED, None)
    return found if isinstance(found, Requirement) else None


def stacked(inner: Callable[..., Any], outer: Requirement) -> Requirement:
    """Stacked decorators are one requirement: *outer*, and what is enforced around *inner* already."""
    within = enforced(inner)
    return outer if within is None else AllOf((outer,)) & within


def misplaced(endpoint: Callable[..., Any]) -> bool:
    """Whether *endpoint* carries a demand that nothing around it enforces: its decorator is above the route's."""
    return hasattr(endpoint, _DEMANDED) and not hasattr(endpoint, _ENFORCED)


def _unwrapped(function: Any) -> Iterator[Any]:
    while function is not None:
        yield function
        function = getattr(function, "__wrapped__", None)


def _set(function: Any, name: str, requirement: Requirement) -> None:
    # A bound method has no attributes of its own; a callable instance may have none at all.
    target = getattr(function, "__func__", function)
    try:
        setattr(target, name, requirement)
    except AttributeError:
        return
