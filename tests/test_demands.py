"""The marks that decorators leave on functions, and what a decorator refuses to decorate."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest

from kinde_guard import ConfigurationError, Requirement, permission, scope
from kinde_guard.demands import (
    Decorators,
    check_function,
    checked,
    enforced,
    innermost,
    mark,
    misplaced,
    stacked,
)
from kinde_guard.requirements import authenticated

REQUIREMENT = scope("a")


def view() -> str:
    return "bare"


def fresh() -> Callable[[], str]:
    """A function that carries no marks from another test."""

    def function() -> str:
        return "bare"

    return function


def wrapped(function: Callable[..., Any], requirement: Requirement | None = REQUIREMENT) -> Callable[..., Any]:
    """What a decorator of ours does or, without *requirement*, one that knows nothing of us."""

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    if requirement is not None:
        mark(function, wrapper, stacked(function, requirement))
    return wrapper


def test_function_without_a_demand() -> None:
    function = fresh()
    assert enforced(function) is None
    assert not misplaced(function)


def test_wrapper_enforces_and_what_it_wraps_does_not() -> None:
    """The function that a route got hold of too early is found by its mark."""
    function = fresh()
    wrapper = wrapped(function)
    assert enforced(wrapper) == REQUIREMENT
    assert not misplaced(wrapper)
    assert misplaced(function)
    assert enforced(function) is None


def test_mark_reaches_through_other_decorators() -> None:
    """Route decorator, somebody's decorator, ours: the route has the innermost function."""
    function = fresh()
    wrapped(wrapped(function, None))
    assert misplaced(function)


def test_decorator_outside_ours_carries_the_demand_on() -> None:
    """``functools.wraps`` copies the marks, so a demand stays readable, and is not taken for misplaced."""
    outer = wrapped(wrapped(fresh()), None)
    assert enforced(outer) == REQUIREMENT
    assert not misplaced(outer)


def test_decorator_beside_ours_is_misplaced() -> None:
    """It wraps the bare function: nothing that it serves is enforced."""
    function = fresh()
    wrapped(function)
    assert misplaced(wrapped(function, None))


def test_partials_are_looked_into() -> None:
    function = fresh()
    wrapper = wrapped(function)
    assert misplaced(functools.partial(functools.partial(function)))
    assert not misplaced(functools.partial(wrapper))
    assert enforced(functools.partial(wrapper)) == REQUIREMENT


def test_what_a_partial_calls_is_marked() -> None:
    function = fresh()
    wrapper = wrapped(functools.partial(function))
    assert enforced(wrapper) == REQUIREMENT
    assert misplaced(function)


def test_bound_methods_are_marked_through_their_function() -> None:
    class Views:
        def get(self) -> None: ...

    wrapper = wrapped(Views().get)
    assert enforced(wrapper) == REQUIREMENT
    assert misplaced(Views().get)


def test_what_has_no_attributes_can_be_decorated() -> None:
    """A mark has no place on it; the wrapper's is what counts."""

    class Callable_:  # noqa: N801
        __slots__ = ()

        def __call__(self) -> None: ...

    assert enforced(wrapped(Callable_())) == REQUIREMENT


def test_stack_is_one_requirement_outermost_first() -> None:
    wrapper = wrapped(wrapped(fresh(), scope("a")), permission("b"))
    assert str(enforced(wrapper)) == "permission('b') & scope('a')"
    assert stacked(fresh(), REQUIREMENT) is REQUIREMENT


def test_innermost_looks_below_our_own_wrapper_alone() -> None:
    function = fresh()
    wrapper = wrapped(function)
    foreign = wrapped(wrapper, None)
    assert innermost(function) is function
    assert innermost(wrapper) is function
    assert innermost(foreign) is foreign


def test_decorators_are_made_of_requirements() -> None:
    made = Decorators(str)
    assert made.requires_auth == "any valid token"
    assert made.requires_scope("a", "b") == "scope('a', 'b')"
    assert made.requires_permission("a") == "permission('a')"
    assert made.requires_role("a") == "role('a')"
    assert made.requires_org("org_1") == "org('org_1')"
    assert made.requires_org(path="code") == "org(path='code')"
    assert made.requires(scope("a") | permission("b")) == "scope('a') | permission('b')"


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param(lambda made: made.requires_scope(), id="no scope"),
        pytest.param(lambda made: made.requires_scope("a b"), id="a space in a scope"),
        pytest.param(lambda made: made.requires_scope(view), id="no parentheses"),
        pytest.param(lambda made: made.requires_permission(), id="no permission"),
        pytest.param(lambda made: made.requires_role(view), id="no parentheses around a role"),
        pytest.param(lambda made: made.requires_org(), id="no organization"),
        pytest.param(lambda made: made.requires_org("org_1", path="code"), id="two organizations"),
        pytest.param(lambda made: made.requires("read:users"), id="text is no requirement"),
        pytest.param(lambda made: made.requires(scope), id="a function is no requirement"),
    ],
)
def test_demands_that_say_nothing_fail_at_import(wrong: Callable[[Any], object]) -> None:
    with pytest.raises(ConfigurationError):
        wrong(Decorators(str))


def test_checked_hands_requirements_on() -> None:
    assert checked(authenticated) is authenticated


def test_classes_and_values_cannot_be_decorated() -> None:
    with pytest.raises(ConfigurationError, match="on the methods of a class, not on dict itself"):
        check_function(dict)
    with pytest.raises(ConfigurationError, match="decorates functions"):
        check_function("users")
    check_function(view)


def test_above_and_below() -> None:
    """A decorator below the route does not make up for one above it: what that one demanded would not be asked."""

    def bare() -> None: ...

    @functools.wraps(bare)
    def below() -> None: ...

    @functools.wraps(below)
    def above() -> None: ...

    mark(bare, below, scope("a"))
    assert not misplaced(below)
    mark(below, above, stacked(below, scope("b")))
    assert misplaced(below)
    assert not misplaced(above)
