"""The insides of a Django project: which functions serve a request, and what they demand.

One answer for everybody who asks: the middleware, the metadata, ``manage.py check`` and ``kinde-guard routes``. What
REST framework and Ninja put there is known by its attributes: neither is loaded in order to find out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import FunctionType
from typing import Any

from django.urls import URLPattern, URLResolver, get_resolver, get_urlconf
from django.urls.resolvers import RegexPattern

from ..adapters import Requirement, enforced, guarded_by, made_by, misplaced, named, within
from ..errors import ConfigurationError
from ..requirements import AnyOf

DECORATORS = "kinde_guard.django"
_NO_SLASH = re.compile(r"\[\^/\.?\]")  # what REST framework's routers write for a parameter
_ANYTHING = re.compile(r"\.[*+]|\[\^|\\[SDW]|\||\(\?:")
_UNNAMED = re.compile(r"\(\?:[^()]*\)")
_ERRORS = (400, 403, 404, 500)
_METHOD_DECORATORS = "_multi_decorate.<locals>._wrapper"


@dataclass(frozen=True, slots=True)
class Served:
    """What runs for a request by one of these methods (``()``: by any), from the outside in, and what else demands
    something of it: ``conditions`` are those of REST framework and Ninja."""

    methods: tuple[str, ...]
    functions: tuple[Any, ...]
    conditions: tuple[Requirement, ...] = ()
    takes_token: bool = False
    """Whether a token is looked at, if there is one: that is another matter than demanding one."""
    lost: tuple[Requirement, ...] = ()
    """What bases of the class demand in methods that are never called."""

    def demands(self) -> list[Requirement]:
        """Everything that is enforced."""
        return [*demands_of(self.functions), *self.conditions]

    def decorated(self) -> tuple[Any, ...]:
        """The functions that decorators may have been put on. What ``as_view()`` makes is none: it says that it wraps
        whatever ``dispatch`` does."""
        return self.functions if class_of(self.functions[0]) is None else self.functions[1:]


def endpoints() -> Iterator[tuple[str, Any]]:
    """Path and view of every route in ``ROOT_URLCONF``."""
    yield from _below("/", get_resolver())


def served(view: Any) -> Iterator[Served]:
    """What serves *view*: for all methods alike, or each by its own function."""
    operations = operations_of(view)
    kind = class_of(view)
    if operations:
        yield from (_of_operation(view, operation) for operation in operations)
    elif kind is not None:
        yield from _of_class(view, kind)
    else:
        yield Served((), (view,))


def all_demands() -> Iterator[Requirement]:
    """Everything that anything in the project demands."""
    for _, view in endpoints():
        for part in served(view):
            yield from part.demands()


def demands_of(functions: Iterable[Any]) -> Iterator[Requirement]:
    """What decorators enforce around *functions*, and what ``method_decorator`` applies to them for each request."""
    for function in functions:
        for layer in within(function):
            yield from _applied_by(layer)
        demand = enforced(function)
        if demand is not None:
            yield demand


def class_of(view: Any) -> Any:
    """The class whose ``as_view()`` has made *view*; ``None`` if none has."""
    kind = named(view, "view_class") or named(view, "cls")  # REST framework's view sets have the second alone
    return kind if isinstance(kind, type) else None


def operations_of(view: Any) -> list[Any]:
    """Ninja's operations at the path of *view*; empty for what is no view of Ninja's."""
    for held in (named(view, "__self__"), *_held(view)):
        operations = named(held, "operations")
        if type(held).__module__ == "ninja.operation" and isinstance(operations, list):
            return operations
    return []


def check_urls() -> None:
    """Raise :class:`ConfigurationError` for the first of :func:`mistakes`."""
    for mistake in mistakes():
        raise ConfigurationError(mistake)


def mistakes() -> Iterator[str]:
    """A sentence for each demand that is written and not enforced."""
    everything = list(endpoints())
    parts = [(path, part) for path, view in everything for part in served(view)]
    guarded = guarded_by(function for _, part in parts for function in part.functions)
    for path, part in parts:
        for function in part.decorated():
            if misplaced(function, guarded):
                yield (
                    f"the demand on the view {place_of(function)} at {path!r} is not enforced, because the route holds "
                    "the bare function: write @requires_…(…) below the decorator of the route, or give the decorated "
                    "one to path() (if the route is meant to be open, give it its own function)"
                )
    for path, view in everything:
        yield from (f"{mistake}, at {path!r}" for mistake in _mistakes_of_class(view))


def place_of(function: Any) -> str:
    """The place where a person finds *function*."""
    *_, bare = within(function)
    bare = bare if hasattr(bare, "__qualname__") else type(bare)
    return f"{bare.__module__}.{bare.__qualname__}"


def answers_errors(function: Any, instance: Any = None) -> bool:
    """Whether *function*, or a method of *instance*, is ``handler404`` or the like: Django takes what such a one raises
    for a mistake, and asks nobody what to answer."""
    resolver = get_resolver(get_urlconf())
    handlers = [resolver.resolve_error_handler(status) for status in _ERRORS]
    if any(layer is function for handler in handlers for layer in within(handler)):
        return True
    return any(isinstance(instance, kind) for kind in map(class_of, handlers) if kind is not None)


def is_ours(function: Any) -> bool:
    """Whether a decorator of this adapter's is around *function*: it needs the middleware."""
    return made_by(function) == DECORATORS


def _below(prefix: str, resolver: URLResolver) -> Iterator[tuple[str, Any]]:
    for pattern in resolver.url_patterns:
        path = prefix + _written(pattern.pattern)
        if isinstance(pattern, URLPattern):
            yield path, pattern.callback
        else:
            yield from _below(path, pattern)


def _written(pattern: Any) -> str:
    """A piece of a route, with ``<path:…>`` where it takes slashes."""
    if not isinstance(pattern, RegexPattern):
        return str(pattern)
    from django.contrib.admindocs import utils  # only here: it loads docutils

    text = _UNNAMED.sub("<any>", utils.replace_named_groups(str(pattern)))
    text = str(utils.replace_metacharacters(utils.replace_unnamed_groups(text))).removeprefix("/").replace("\\", "")
    takes_slashes = _ANYTHING.search(_NO_SLASH.sub("", str(pattern)))
    return text.replace("<", "<path:") if takes_slashes else text


def _of_operation(view: Any, operation: Any) -> Served:
    """What an operation of Ninja requires: one of its callbacks is enough to get in."""
    demands = [enforced(callback) for callback in operation.auth_callbacks]
    ours = tuple(demand for demand in demands if demand is not None)
    certain = (ours[0] if len(ours) == 1 else AnyOf(ours),) if ours and len(ours) == len(demands) else ()
    return Served(tuple(operation.methods), (view, operation.view_func), certain, bool(ours))


def _of_class(view: Any, kind: type) -> Iterator[Served]:
    conditions, takes_token = _conditions(view, kind)
    for method, name in _handlers(view, kind):
        functions = (view, named(kind, "dispatch"), _inside(named(kind, name)))
        lost = [vars(base)[each] for each in ("dispatch", name) for base in _overridden(kind, each)]
        yield Served((method.upper(),), functions, tuple(conditions), takes_token, tuple(demands_of(lost)))


def _handlers(view: Any, kind: type) -> Iterator[tuple[str, str]]:
    """Each method that *kind* has a function for, and the name of that."""
    actions: Mapping[str, str] = named(view, "actions") or {}
    for method in getattr(kind, "http_method_names", ()):
        name = actions.get(method) if actions else method
        if name and hasattr(kind, name) and not _is_automatic(getattr(kind, name)):
            yield method, name


def _is_automatic(handler: Any) -> bool:
    """Whether it is the answer to OPTIONS that every class has."""
    return handler.__name__ == "options" and handler.__module__ in ("django.views.generic.base", "rest_framework.views")


def _inside(handler: Any) -> Any:
    """The function itself, where REST framework's ``@api_view`` has made a method of it."""
    if getattr(handler, "__module__", "") == "rest_framework.decorators":
        return next((held for held in _held(handler) if isinstance(held, FunctionType)), handler)
    return handler


def _conditions(view: Any, kind: type) -> tuple[list[Requirement], bool]:
    """What REST framework's classes demand of *view*, and whether ours are among them."""
    options: Mapping[str, Any] = named(view, "initkwargs") or {}
    ways_in = options.get("authentication_classes", getattr(kind, "authentication_classes", ()))
    permissions = options.get("permission_classes", getattr(kind, "permission_classes", ()))
    ours = [way for way in map(enforced, ways_in) if way is not None]
    certain = ours[0] if ours and len(ours) == len(ways_in) else None
    found = (_demand_of(permission, certain) for permission in permissions)
    return [demand for demand in found if demand is not None], bool(ours)


def _demand_of(permission: Any, certain: Requirement | None) -> Requirement | None:
    """What a permission class demands without fail, if a caller who is known is one with a token (*certain*)."""
    own = enforced(permission)
    if own is not None:
        return own
    parts = [_demand_of(part, certain) for part in _operands(permission)]
    demands = [part for part in parts if part is not None]
    if _operator(permission) == "AND" and demands:
        return demands[0] if len(demands) == 1 else demands[0] & demands[1]
    if _operator(permission) == "OR" and len(demands) == len(parts):
        return demands[0] | demands[1]
    return certain if getattr(permission, "__name__", "") in ("IsAuthenticated", "IsAdminUser") else None


def _operator(permission: Any) -> str:
    """The name of the operator that permission classes were put together with."""
    return str(getattr(named(permission, "operator_class"), "__name__", ""))


def _operands(permission: Any) -> list[Any]:
    found = (named(permission, name) for name in ("op1_class", "op2_class"))
    return [operand for operand in found if operand is not None] if _operator(permission) else []


def _mistakes_of_class(view: Any) -> Iterator[str]:
    kind = class_of(view)
    if kind is None:
        return
    for name in ("dispatch", *(name for _, name in _handlers(view, kind))):
        for base in _overridden(kind, name):
            yield (
                f"{place_of(vars(base)[name])} demands a token, and is never called, because "
                f"{place_of(getattr(kind, name))} comes before it in {kind.__name__}: decorate that one, or let the "
                "guarded class be the first base"
            )
    options: Mapping[str, Any] = named(view, "initkwargs") or {}
    for permission in options.get("permission_classes", getattr(kind, "permission_classes", ())):
        if _is_inverted(permission):
            yield f"{kind.__name__} inverts (~) a permission class of kinde_guard's, which lets in who has no token"


def _overridden(kind: type, name: str) -> Iterator[type]:
    """The bases of *kind* whose method *name* demands something, and is not called by what stands in its place."""
    is_called = True
    for base in kind.__mro__:
        method = vars(base).get(name)
        if method is not None and list(demands_of([method])):
            if not is_called:
                yield base
            return
        is_called = is_called and (method is None or _calls_next(method))


def _calls_next(method: Any) -> bool:
    """Whether *method* calls the one that it overrides, as far as can be seen."""
    codes = [getattr(layer, "__code__", None) for layer in within(method)]
    return any("super" in code.co_names or "__class__" in code.co_freevars for code in codes if code is not None)


def _is_inverted(permission: Any, inside: bool = False) -> bool:
    """Whether a permission class of ours is somewhere inside of a ``~``."""
    if inside and enforced(permission) is not None:
        return True
    inside = inside or _operator(permission) == "NOT"
    return any(_is_inverted(operand, inside) for operand in _operands(permission))


def _applied_by(layer: Any) -> Iterator[Requirement]:
    """What the decorators demand that *layer* applies anew for each request, if it is ``method_decorator``'s."""
    if getattr(getattr(layer, "__code__", None), "co_qualname", "") == _METHOD_DECORATORS:
        for held in _held(layer):
            demands = map(enforced, held if isinstance(held, list | tuple) else [held])
            yield from (demand for demand in demands if demand is not None)


def _held(function: Any) -> Iterator[Any]:
    """The variables around a closure."""
    for cell in getattr(function, "__closure__", None) or ():
        try:
            yield cell.cell_contents
        except ValueError:  # a variable that has no value yet
            continue
