"""Routes of Flask: views, class-based ones, blueprints and what runs before them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from .. import demands
from ..requirements import Requirement
from .front import Declared, Front, ProtectedRoute, combined
from .walk import declared_by, place_of


def routes(app: Any, front: Front) -> Iterator[ProtectedRoute]:
    """Every rule of *app*, in the order in which they were added."""
    attached = app.extensions.get("kinde_guard")
    # A guard around the app opens nothing within: the decorators of Flask look for that of the app.
    front = Front(front.prefix, attached=False, gates=front.gates)
    if attached is not None:
        front = front.behind(attached.public, attached=True, passes_preflights=attached.preflights.passes)
    for rule in app.url_map.iter_rules():
        if not _serves_nothing(app, rule):
            yield from _of_rule(app, rule, front)


def _of_rule(app: Any, rule: Any, front: Front) -> Iterator[ProtectedRoute]:
    view = app.view_functions.get(rule.endpoint)
    methods = _methods(rule)
    before = list(_before(app, rule.endpoint))
    kind = getattr(view, "view_class", None)
    if kind is None:
        yield from front.routes(rule.rule, methods, _together(before, [view]), place_of(view))
        return
    by_name = {name: getattr(kind, name.lower(), None) for name in methods}
    if None in by_name.values():  # a View has one function for all methods
        by_name = {"": kind.dispatch_request}
    for name, handler in by_name.items():
        declared = _together(before, [view, handler])
        yield from front.routes(rule.rule, [name] if name else methods, declared, place_of(handler))


def _before(app: Any, endpoint: str) -> Iterator[Requirement]:
    """What the app demands, and every blueprint around *endpoint*."""
    pieces = endpoint.split(".")[:-1]
    for name in (None, *(".".join(pieces[: end + 1]) for end in range(len(pieces)))):
        for function in app.before_request_funcs.get(name, ()):
            demand = demands.enforced(function)
            if demand is not None:
                yield demand


def _together(before: list[Requirement], functions: list[Any]) -> Declared:
    parts = [declared_by(function) for function in functions]
    found = [*before, *(part.demand for part in parts if part.demand is not None)]
    return Declared(combined(found) if found else None, misplaced=any(part.misplaced for part in parts))


def _methods(rule: Any) -> list[str]:
    """Without those that Flask answers by itself."""
    methods = set(rule.methods or ())
    if rule.provide_automatic_options:
        methods.discard("OPTIONS")
    if "GET" in methods:
        methods.discard("HEAD")
    return sorted(methods)


def _serves_nothing(app: Any, rule: Any) -> bool:
    """Flask has a route for static files whether or not there is a folder of them."""
    return rule.endpoint == "static" and not (app.has_static_folder and os.path.isdir(app.static_folder))
