"""The insides of a Flask app: which functions serve a request, what they demand, and what stands in front of them all.

One answer for everybody who asks: the adapter, the metadata, and ``kinde-guard routes``.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator
from types import MethodType
from typing import Any

from flask import Flask
from flask.views import MethodView

from ..adapters import Requirement, enforced, innermost, is_resource_of_its_own, way_in
from ..requirements import AllOf
from ..wsgi import GuardMiddleware


def functions_of(view: Any, method: str) -> list[Any]:
    """Whatever runs when *view* is asked by *method* and may carry a demand: the view and, of a class, what serves
    the method (inherited or not), from the outside in."""
    kind = getattr(view, "view_class", None)
    if kind is None:
        return [view]
    return [view, kind.dispatch_request, *_decorators_of(kind, method), *_handler_of(kind, method)]


def methods_of(view: Any, methods: Iterable[str]) -> list[str]:
    """Those of *methods* that *view* serves by a function each; a ``View`` has one function for all."""
    kind = getattr(view, "view_class", None)
    by_method = isinstance(kind, type) and issubclass(kind, MethodView)
    return [method for method in methods if _handler_of(kind, method)] if by_method else []


def requirements_before(app: Flask, blueprints: Iterable[str]) -> Iterator[Requirement]:
    """What functions that run before each request demand: those of *app*, and of *blueprints*, outermost first."""
    return _requirements_of(
        function for name in (None, *blueprints) for function in app.before_request_funcs.get(name, ())
    )


def requirements_of(view: Any, method: str) -> Iterator[Requirement]:
    """What *view* demands of a request by *method*."""
    return _requirements_of(functions_of(view, method))


def all_requirements(app: Flask) -> Iterator[Requirement]:
    """Everything that anything in *app* demands, and in front of its views: but nothing of what is mounted there as a
    resource of its own."""
    issuers = app.extensions["kinde_guard"].guard.issuers
    yield from (gate.requires for gate in _gates(app) if not is_resource_of_its_own(gate.pages, gate.guard, issuers))
    yield from requirements_before(app, [name for name in app.before_request_funcs if name is not None])
    for view in app.view_functions.values():
        for method in getattr(view, "methods", None) or ("GET",):
            yield from requirements_of(view, method)


def covered_requirements(app: Flask) -> Iterator[tuple[tuple[str, str], Requirement]]:
    """What :func:`covered_requirement` finds, by endpoint and method, where the decorators around it do not answer
    OPTIONS by right: Flask-CORS' say so in Flask's own way."""
    for rule in app.url_map.iter_rules():
        view = app.view_functions.get(rule.endpoint)
        for method in (rule.methods or set()) - (set(getattr(view, "required_methods", ())) & {"OPTIONS"}):
            demand = covered_requirement(view, method)
            if demand is not None:
                yield (rule.endpoint, method), demand


def covered_requirement(view: Any, method: str) -> Requirement | None:
    """What *view* demands beneath a decorator of somebody else's, which may answer before our own is asked: a cache
    does. ``None`` where our own decorators are the outermost ones and ask first."""
    parts, within = functions_of(view, method), view
    while _is_ours(within):
        within = innermost(within)
    if hasattr(within, "__wrapped__"):  # by somebody: of all parts the view alone can be in front
        parts = [part for part in parts if part is not view or not _is_ours(part)]
    else:
        parts = [part for part in parts if not _is_ours(part)]
    covered = list(_requirements_of(parts))
    return functools.reduce(lambda one, other: AllOf((one,)) & other, covered) if covered else None


def event_handlers(app: Flask) -> Iterator[tuple[str, Any]]:
    """Those of Flask-SocketIO, if it is there, by the name of the event."""
    server = getattr(app.extensions.get("socketio"), "server", None)
    for handlers in getattr(server, "handlers", {}).values():
        yield from handlers.items()


def layers_in_front(app: Flask) -> list[Any]:
    """What stands between a server and the views of *app*, outermost first: of what cannot be looked through, at
    least itself."""
    front = vars(app).get("wsgi_app")
    return [] if front is None else way_in(front, functools.partial(_is_own_way, app))[0]


def _gates(app: Flask) -> Iterator[GuardMiddleware]:
    """Each one in ``app.wsgi_app``, around the views or around what Werkzeug's DispatcherMiddleware mounts."""
    for layer in layers_in_front(app):
        for part in (layer, *getattr(layer, "mounts", {}).values()):
            if isinstance(part, GuardMiddleware):
                yield part


def _is_ours(function: Any) -> bool:
    """Whether it is a wrapper of ours itself, and not one that carries our marks."""
    return innermost(function) is not function


def _is_own_way(app: Flask, layer: Any) -> bool:
    return isinstance(layer, MethodType) and layer.__self__ is app


def _handler_of(kind: Any, method: str) -> list[Any]:
    """What serves *method*, as MethodView finds it."""
    if not issubclass(kind, MethodView):
        return []
    handler = getattr(kind, method.lower(), None)
    if handler is None and method == "HEAD":
        handler = getattr(kind, "get", None)
    return [] if handler is None else [handler]


def _decorators_of(kind: Any, method: str) -> list[Any]:
    """Those that Flask-RESTful and RESTX put around a resource's methods, request by request."""
    found = getattr(kind, "method_decorators", ())
    return list(found.get(method.lower(), ()) if isinstance(found, dict) else found)


def _requirements_of(functions: Iterable[Any]) -> Iterator[Requirement]:
    for function in functions:
        demand = enforced(function)
        if demand is not None:
            yield demand
