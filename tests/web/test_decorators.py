"""The marks that decorators leave on functions, and what a decorator refuses to decorate."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from unittest.mock import AsyncMock, MagicMock, Mock, call
from xmlrpc.client import ServerProxy

import flask
import pytest

from kinde_guard import ConfigurationError, Requirement, permission, scope
from kinde_guard.requirements import authenticated
from kinde_guard.web.decorators import (
    Decorators,
    check_function,
    checked_requirement,
    enforced,
    guarded_by,
    innermost,
    made_by,
    mark,
    misplaced,
    needs_function,
    stacked,
    unmet,
)

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


class Slotted:
    __slots__ = ()

    def __call__(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Frozen:
    def __call__(self) -> None: ...


class Closed:
    """As some models are, with an exception of their own."""

    def __setattr__(self, name: str, value: object) -> None:
        raise KeyError(name)

    def __call__(self) -> None: ...


@pytest.mark.parametrize("made", [Slotted, Frozen, Closed, lambda: functools.partial(dict)])
def test_what_takes_no_attributes_can_be_decorated(made: Callable[[], Any]) -> None:
    """A mark has no place on it; the wrapper's is what counts."""
    assert enforced(wrapped(made())) == REQUIREMENT


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
    assert checked_requirement(authenticated) is authenticated


def test_classes_and_values_cannot_be_decorated() -> None:
    with pytest.raises(ConfigurationError, match="on the methods of a class, not on dict itself"):
        check_function(dict)
    with pytest.raises(ConfigurationError, match="decorates functions"):
        check_function("users")
    check_function(view)


def test_whose_decorator_it_is() -> None:
    """Of the wrapper, however it is called and whatever is around it."""
    ours = wrapped(fresh())
    assert made_by(fresh()) == ""
    assert made_by(ours) == made_by(wrapped(ours, None)) == made_by(functools.partial(ours)) == __name__


def test_parentheses_without_anything_in_them() -> None:
    class Decorator:
        @needs_function
        def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
            return function

    assert Decorator()(view) is view
    with pytest.raises(ConfigurationError, match="write @requires_auth without parentheses"):
        Decorator()()  # type: ignore[call-arg]


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


# What a route serves need not be what was decorated: a team's route decorator, an extension or a subclass of a route
# may put something around it. All of these are made of the function before our decorator gets it.


class Timed:
    """A callable instance that says nothing of what it calls."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function

    def __call__(self) -> Any:
        return self.function()


class Named(Timed):
    """One that says so."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__(function)
        functools.update_wrapper(self, function)


def bound(function: Callable[..., Any]) -> Callable[..., Any]:
    class Runner(Timed):  # a class of its own, as its function will carry a mark
        def run(self) -> Any:
            return self()

    return Runner(function).run


def closure(function: Callable[..., Any]) -> Callable[..., Any]:
    def around() -> Any:
        return function()

    return around


def without_a_name(function: Callable[..., Any]) -> Callable[..., Any]:
    return functools.wraps(function, updated=())(closure(function))


def audited() -> Callable[..., Any]:
    def audit(function: Callable[..., Any], *, after: Callable[..., Any] = fresh) -> Any:
        return function()

    return audit


WRAPPINGS: dict[str, Callable[[Any], Any]] = {
    "functools.wraps": lambda function: wrapped(function, None),
    "functools.wraps, without attributes": without_a_name,
    "a cache": lambda function: functools.lru_cache(function),
    "a partial": functools.partial,
    "an argument of a partial": lambda function: functools.partial(audited(), function),
    "an argument by name": lambda function: functools.partial(audited(), fresh(), after=function),
    "a closure": closure,
    "a callable instance": Timed,
    "a callable instance that says so": Named,
    "a bound method": bound,
    "two of them": lambda function: closure(wrapped(closure(function), None)),
    "an instance in a closure": lambda function: closure(Timed(function)),
}
each_wrapping = pytest.mark.parametrize("around", WRAPPINGS.values(), ids=WRAPPINGS)


@each_wrapping
def test_a_decorator_above_is_found_whatever_the_route_serves(around: Callable[[Any], Any]) -> None:
    function = fresh()
    served = around(function)
    assert not misplaced(served)
    wrapped(function)
    assert misplaced(served)
    assert unmet(served) == REQUIREMENT
    assert enforced(served) is None


@each_wrapping
def test_other_decorators_above_ours_are_right(around: Callable[[Any], Any]) -> None:
    served = around(wrapped(fresh()))
    assert not misplaced(served)
    assert unmet(served) is None
    assert not misplaced(around(served))


@each_wrapping
def test_other_decorators_below_ours_are_right(around: Callable[[Any], Any]) -> None:
    assert not misplaced(wrapped(around(fresh())))


@each_wrapping
def test_one_above_and_one_below_are_told_apart(around: Callable[[Any], Any]) -> None:
    """What the upper one demands would not be asked."""
    below = wrapped(fresh())
    served = around(below)
    wrapped(below, permission("b"))
    assert misplaced(served)


@pytest.mark.parametrize("name", ["functools.wraps", "functools.wraps, without attributes", "a cache", "a partial"])
def test_what_is_wrapped_says_what_is_demanded(name: str) -> None:
    assert enforced(WRAPPINGS[name](wrapped(fresh()))) == REQUIREMENT


def test_one_function_may_be_guarded_here_and_open_there() -> None:
    """Where routes are not written as decorators; and called by another that only holds it, anywhere."""
    function = fresh()
    guarded = guarded_by([wrapped(function), fresh()])
    for served in (function, wrapped(function, None)):
        assert misplaced(served, guarded)
        assert not misplaced(served, guarded, strict=False)
    assert not misplaced(closure(function), guarded)
    assert misplaced(closure(function), guarded_by([wrapped(fresh())]))


def test_one_function_may_be_guarded_twice() -> None:
    function = fresh()
    both = wrapped(function, scope("a")), wrapped(function, scope("b"))
    assert not any(map(misplaced, both))


def test_what_wraps_itself_comes_to_an_end() -> None:
    function: Any = fresh()
    function.__wrapped__ = function
    assert not misplaced(function)
    assert enforced(function) is None


def test_variables_without_a_value_are_no_trouble() -> None:
    later = None
    del later

    def function() -> Any:
        return later  # noqa: F821

    assert not misplaced(function)


class Odd:
    """A thing that is called like a function, and that a route may hold: one of these is what apps are made of."""

    def __call__(self, *anything: object) -> None: ...


class AnswersAnyName(Odd):
    """As RPC clients do."""

    def __getattr__(self, name: str) -> Any:
        return AnswersAnyName()


class Raises(Odd):
    """As Flask's proxies do outside of a request."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError


class WorksItsOut(Odd):
    """As lazy objects do, which have all that what they stand for has."""

    @property
    def __dict__(self) -> Any:  # type: ignore[override]
        raise RuntimeError

    @property
    def __wrapped__(self) -> Any:
        raise RuntimeError


class Uncertain(Odd):
    """As columns of a database are."""

    __hash__ = None  # type: ignore[assignment]

    def __bool__(self) -> bool:
        raise TypeError

    def __eq__(self, other: object) -> bool:
        raise TypeError


class WrapsForever(Odd):
    @property
    def __wrapped__(self) -> Any:
        return WrapsForever()


ODD: dict[str, Callable[[], Any]] = {
    "it answers any name": AnswersAnyName,
    "it raises": Raises,
    "it works out what it has": WorksItsOut,
    "it is no truth value": Uncertain,
    "it wraps another of its kind": WrapsForever,
    "an RPC client": lambda: ServerProxy("http://127.0.0.1:9"),
    "a mock": Mock,
    "a magic mock": MagicMock,
    "an asynchronous mock": AsyncMock,
    "a call of a mock": lambda: call,
    "Flask's request": lambda: flask.request,
    "Flask's app": lambda: flask.current_app,
}
HOLDING: dict[str, Callable[[Any], Any]] = {
    "itself": lambda thing: thing,
    "an argument of a partial": lambda thing: functools.partial(lambda *things: None, thing),
    **{name: WRAPPINGS[name] for name in ("a closure", "a callable instance", "a partial")},
}


@pytest.mark.parametrize("hold", HOLDING.values(), ids=HOLDING)
@pytest.mark.parametrize("make", ODD.values(), ids=ODD)
def test_odd_things_are_no_demand_and_no_trouble(make: Callable[[], Any], hold: Callable[[Any], Any]) -> None:
    served = hold(make())
    assert not misplaced(served, guarded_by([served]))
    assert unmet(served) is None
    assert enforced(served) is None
    assert made_by(served) == ""


@pytest.mark.parametrize("name", ["an argument of a partial", "a closure", "a callable instance"])
def test_what_is_loaded_when_it_is_asked_for_anything_is_not_asked(name: str) -> None:
    """Settings that read files, proxies that make what they stand for."""
    asked: list[str] = []

    class Lazy(Odd):
        def __getattr__(self, attribute: str) -> Any:
            asked.append(attribute)
            raise AttributeError

    assert not misplaced(HOLDING[name](Lazy()))
    assert asked == []


def test_what_hands_names_on_is_looked_into() -> None:
    """A decorator that is a class, and has all that its function has."""

    class HandsOn(Timed):
        def __getattr__(self, name: str) -> Any:
            return getattr(self.function, name)

    assert enforced(HandsOn(wrapped(fresh()))) == REQUIREMENT
    assert not misplaced(closure(HandsOn(wrapped(fresh()))))
    function = fresh()
    for served in (HandsOn(function), closure(HandsOn(function))):
        wrapped(function)
        assert misplaced(served)
