"""Routes of Flask: views, class-based ones, blueprints and what runs before them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from werkzeug.middleware.dispatcher import DispatcherMiddleware

from ..requirements import Requirement
from ..web import decorators
from ..web.flask_routes import functions_of, layers_in_front, methods_of, requirements_before
from .declared import declared_by, place_of
from .front import Declared, Front, ProtectedRoute, Walk, combined
from .layers import behind


def routes(app: Any, front: Front, walk: Walk) -> Iterator[ProtectedRoute]:
    """Whatever a request to the app object may come to: what stands in ``app.wsgi_app``, and the views.
    *walk* goes through what is mounted there."""
    gated = _behind_own_guard(app, front)
    for layer in layers_in_front(app):
        outer, gated = gated, behind(layer, gated)
        if isinstance(layer, DispatcherMiddleware):
            for prefix, part in layer.mounts.items():
                yield from walk(part, gated.below(prefix), mounted=True)
        elif outer is gated:
            yield gated.layer(place_of(layer))
    yield from _views(app, gated)


def views(app: Any, front: Front) -> Iterator[ProtectedRoute]:
    """Every rule of *app*, for whom something calls its ``wsgi_app``."""
    return _views(app, _behind_own_guard(app, front))


def _behind_own_guard(app: Any, front: Front) -> Front:
    attached = app.extensions.get("kinde_guard")
    if attached is None:
        return front
    return front.behind(attached.public, attached=False, passes_preflights=attached.preflights.passes)


def _views(app: Any, front: Front) -> Iterator[ProtectedRoute]:
    """What the guard of *app* answers, and every rule of *app*, in the order in which they were added."""
    if (attached := app.extensions.get("kinde_guard")) is not None:
        yield from front.answered_by(attached)
    # A guard around the app opens nothing within: the decorators of Flask look for that of the app.
    front = Front(front.prefix, attached="kinde_guard" in app.extensions, gates=front.gates)
    for rule in app.url_map.iter_rules():
        if not _serves_nothing(app, rule):
            yield from _of_rule(app, rule, front)


def _of_rule(app: Any, rule: Any, front: Front) -> Iterator[ProtectedRoute]:
    view = app.view_functions.get(rule.endpoint)
    methods = _methods(rule)
    pieces = rule.endpoint.split(".")[:-1]
    before = list(requirements_before(app, [".".join(pieces[: end + 1]) for end in range(len(pieces))]))
    by_method = methods_of(view, methods) == methods
    for group in [[method] for method in methods] if by_method else [methods]:
        functions = functions_of(view, group[0] if group else "")
        yield from front.routes(rule.rule, group, _declared(before, functions), place_of(functions[-1]))


def _declared(before: list[Requirement], functions: list[Any]) -> Declared:
    """What the view declares, which alone can carry a demand that is not enforced, and what is within its class."""
    view, *within = functions
    declared = declared_by(view)
    parts = [*before, declared.demand, *map(decorators.enforced, within)]
    found = [part for part in parts if part is not None]
    return replace(declared, demand=combined(found) if found else None)


def _methods(rule: Any) -> list[str]:
    """The methods of *rule*, but for those that Flask answers by itself."""
    methods = set(rule.methods or ())
    if rule.provide_automatic_options:
        methods.discard("OPTIONS")
    if "GET" in methods:
        methods.discard("HEAD")
    return sorted(methods)


def _serves_nothing(app: Any, rule: Any) -> bool:
    """Flask has a route for static files whether or not there is a folder of them."""
    return rule.endpoint == "static" and not (app.has_static_folder and os.path.isdir(app.static_folder))
