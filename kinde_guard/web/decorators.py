"""The decorators ``requires_…``, spelled alike in every framework, and the marks they leave on functions.

A demand that is written and not enforced must not pass unseen. ``@requires_scope(…)`` belongs *below* the route
decorator; above it, the route holds the bare function and nothing of ours runs. So a decorator marks what it wraps,
and an adapter that finds a marked function served bare refuses to start.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Container, Iterable, Iterator
from contextlib import suppress
from types import FunctionType, MethodType, ModuleType
from typing import Any, Generic, TypeVar, cast

from ..errors import ConfigurationError
from ..requirements import AllOf, Requirement, authenticated, org_of_route, permission, role, scope
from .attributes import asked, makes_up, named, own

_DEMANDED = "__kinde_guard_demanded__"  # on what was decorated, on everything it wraps, and on the wrapper
_ENFORCED = "__kinde_guard_enforced__"  # on the wrapper; functools.wraps carries both on to whoever wraps the wrapper
_WRAPPER = "__kinde_guard_wrapper__"  # the wrapper itself, which tells it from those it was carried on to

MOST_LAYERS = 1000  # around one function, and of all that it holds; that many are a loop

_OF_REQUIRES_AUTH = """Demands any valid token; others get a 401. Write it below the route decorator::

    @app.get("/users")
    @requires_auth
    def users(): ...

Without parentheses, unlike the others.
"""

Made = TypeVar("Made")
Call = TypeVar("Call", bound=Callable[..., Any])


class Decorators(Generic[Made]):
    """Every ``requires_…``; *make* turns what is required into the decorator of a framework."""

    def __init__(self, make: Callable[[Requirement], Made]) -> None:
        self._make = make
        self.requires_auth = make(authenticated)
        """Demands any valid token. Written below the route decorator, and without parentheses."""
        with suppress(AttributeError, TypeError):  # what is made may have no place for it
            object.__setattr__(self.requires_auth, "__doc__", _OF_REQUIRES_AUTH)

    def requires_scope(self, *names: str) -> Made:
        """Demands a token with all of these scopes; others get a 403 that names them. Write it below the route
        decorator::

            @app.get("/users")
            @requires_scope("read:users")
            def users(): ...

        Raises :class:`~kinde_guard.ConfigurationError`, when the module is imported, for a name that is not one scope.
        """
        return self._make(scope(*names))

    def requires_permission(self, *keys: str) -> Made:
        """Demands a token with all of these permissions, by key: ``@requires_permission("users:read")``; others get a
        403.

        Write it below the route decorator. Raises :class:`~kinde_guard.ConfigurationError` for a key that is empty or
        not text.
        """
        return self._make(permission(*keys))

    def requires_role(self, *keys: str) -> Made:
        """Demands a token with all of these roles, by key: ``@requires_role("admin")``; others get a 403.

        Write it below the route decorator. Raises :class:`~kinde_guard.ConfigurationError` for a key that is empty or
        not text.
        """
        return self._make(role(*keys))

    def requires_org(self, code: str | None = None, *, path: str | None = None) -> Made:
        """Demands a token of one organization: of *code*, or of the one that the route's path parameter *path* names::

            @app.get("/orgs/{org_code}/report")
            @requires_org(path="org_code")
            def report(org_code: str): ...

        Write it below the route decorator, and give one of the two. Raises :class:`~kinde_guard.ConfigurationError`
        otherwise, and at the first request if the route has no such parameter.
        """
        return self._make(org_of_route(code, path))

    def requires(self, requirement: Requirement) -> Made:
        """Demands a token that meets any *requirement*: ``@requires(scope("a") | permission("b"))``; others get a 403.

        Write it below the route decorator. Raises :class:`~kinde_guard.ConfigurationError` for what is no requirement.
        """
        return self._make(checked_requirement(requirement))


def checked_requirement(requirement: object) -> Requirement:
    """*requirement*, if it is one; else raises :class:`~kinde_guard.ConfigurationError`."""
    if not isinstance(requirement, Requirement):
        raise ConfigurationError(f"a requirement is needed, such as scope('read:users'), not {requirement!r}")
    return requirement


def needs_function(call: Call) -> Call:
    """The ``__call__`` of a decorator, *call*, which raises :class:`~kinde_guard.ConfigurationError` where it is called
    with nothing: ``@requires_auth()``."""

    @functools.wraps(call)
    def checking(self: object, *function: object) -> object:
        if not function:
            raise ConfigurationError("write @requires_auth without parentheses, and @requires_…(…) with one pair")
        return call(self, *function)

    return cast(Call, checking)


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
    """What the decorators around *endpoint*, or around what it wraps, enforce, if there are any."""
    found = (_mark(function, _ENFORCED) for function in within(endpoint))
    return next((demand for demand in found if demand is not None), None)


def made_by(endpoint: Any) -> str:
    """The module of the adapter whose decorator is around *endpoint*, or around what it wraps; empty if none is."""
    for function in within(endpoint):
        wrapper = None if _mark(function, _ENFORCED) is None else asked(function, _WRAPPER)
        if wrapper is not None:
            # Of a function functools.wraps has changed the __module__, not where its names are looked up.
            return str(getattr(wrapper, "__globals__", {}).get("__name__", type(wrapper).__module__))
    return ""


def stacked(inner: Callable[..., Any], outer: Requirement) -> Requirement:
    """Stacked decorators are one requirement: *outer*, and what is enforced around *inner* already."""
    within = enforced(inner)
    return outer if within is None else AllOf((outer,)) & within


def innermost(function: Callable[..., Any]) -> Callable[..., Any]:
    """What *function* wraps, if it is a wrapper of ours: a stack of decorators needs but one."""
    if _is_wrapper(function):
        return getattr(function, "__wrapped__", function)
    return function


def misplaced(endpoint: Any, guarded: Container[int] = (), *, strict: bool = True) -> bool:
    """Whether *endpoint*, or anything that it wraps or holds, carries a demand that nothing around it enforces: its
    decorator is above the route's.

    *guarded* are the functions of :func:`guarded_by`, which somebody guards. What is merely held may be one of them, to
    be called on purpose; of what is wrapped that is so unless *strict*.
    """
    return any(id(found) not in guarded or (strict and wrapped) for found, wrapped in _unenforced(endpoint))


def unmet(endpoint: Any) -> Requirement | None:
    """The demand of a :func:`misplaced` decorator."""
    return next((_mark(found, _DEMANDED) for found, _ in _unenforced(endpoint)), None)


def guarded_by(endpoints: Iterable[Any]) -> set[int]:
    """The functions, by ``id``, that one of *endpoints* guards: what those wrap that enforce something."""
    return {id(found) for endpoint in endpoints if enforced(endpoint) is not None for found in within(endpoint)}


def within(function: Any) -> Iterator[Any]:
    """*function*, and whatever it wraps, as far as it says so."""
    for _ in range(MOST_LAYERS):
        if function is None:
            return
        yield function
        function = inner(function)


def inner(function: Any) -> Any:
    """What *function* says that it wraps."""
    return function.func if isinstance(function, functools.partial) else named(function, "__wrapped__")


def held(function: Any) -> Iterator[Any]:
    """What *function* may call without saying that it wraps it: arguments of a partial, variables around a closure,
    attributes of a callable instance."""
    if isinstance(function, functools.partial):
        yield from (*function.args, *function.keywords.values())
    if isinstance(bare := _function_of(function), FunctionType):
        for cell in bare.__closure__ or ():
            with suppress(ValueError):  # a variable that has no value yet
                yield cell.cell_contents
    owner = function.__self__ if isinstance(function, MethodType) else function
    if not isinstance(owner, ModuleType | type | FunctionType):
        yield from own(owner).values()


def _unenforced(endpoint: Any) -> Iterator[tuple[Any, bool]]:
    """What carries a demand that is not enforced, and whether *endpoint* wraps it, or merely holds it.

    By identity: a decorator above the route has left a demand that another, below it, does not enforce. Below a wrapper
    of ours nothing is looked at: it calls what it wraps only after it has judged, and that may have another wrapper,
    which other routes serve.
    """
    ahead, seen = [(endpoint, True)], set[int]()
    while ahead and len(seen) < MOST_LAYERS:
        function, wrapped = ahead.pop()
        if id(function) in seen:
            continue
        seen.add(id(function))
        # What is merely held, and has an answer for every name, is not asked: that may be what wakes it.
        demand = _mark(function, _DEMANDED) if wrapped or not makes_up(function) else None
        if demand is not None and demand is not _mark(function, _ENFORCED):
            *_, decorated = (found for found in within(function) if _mark(found, _DEMANDED) is demand)
            yield decorated, wrapped
        elif not _is_wrapper(_function_of(function)):
            ahead += [(found, False) for found in held(function) if _may_carry(found)]
            ahead.append((inner(function), wrapped))


def _function_of(function: Any) -> Any:
    return function.__func__ if isinstance(function, MethodType) else function


def _may_carry(thing: Any) -> bool:
    """Functions, and objects that are called like one. Of others nothing is asked: some, such as Flask's proxies,
    answer for things that are not there yet."""
    if isinstance(thing, FunctionType | MethodType | functools.partial):
        return True
    return isinstance(getattr(type(thing), "__call__", None), FunctionType)  # noqa: B004  (in Python, that is)


def _mark(function: Any, name: str) -> Requirement | None:
    """The requirement that *function* carries by this *name*. Some objects have another answer for every name."""
    found = asked(function, name)
    return found if isinstance(found, Requirement) else None


def _is_wrapper(function: Any) -> bool:
    """Whether it is one of ours itself, and none that the marks were carried on to."""
    return own(function).get(_WRAPPER) is function


def _set(function: Any, name: str, value: object) -> None:
    # A bound method has no attributes of its own. A callable instance may have none at all, or take no others: frozen
    # dataclasses, models and builtin classes each raise something else.
    with suppress(Exception):
        setattr(_function_of(function), name, value)
