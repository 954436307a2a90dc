"""Flask: a view behind a decorator."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from flask import Flask, abort, request

from kinde_guard import Guard
from kinde_guard.flask import KindeGuard, requires_scope

from ..peers import Verify
from . import claims

View = Callable[..., Any]


def users() -> dict[str, bool]:
    return {"ok": True}


def app_with(view: View) -> Flask:
    """Each app is of a class of its own, as a guarded one is: or what Python's inline caches learn from the others
    would be taken for a cost of the guard."""
    app: Flask = type("App", (Flask,), {})(__name__)
    app.get("/users")(view)
    return app


def nothing() -> Any:
    @functools.wraps(users)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return users(*args, **kwargs)

    return app_with(wrapper)


def guarded(guard: Guard) -> Any:
    app = app_with(requires_scope(claims.SCOPE)(users))
    KindeGuard(app, guard=guard)
    return app


def by_hand(verify: Verify) -> Any:
    @functools.wraps(users)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        try:
            token = verify(claims.bearer(request.headers.get("Authorization", "")))
        except Exception:
            abort(401)
        if claims.SCOPE not in claims.scopes(token):
            abort(403)
        return users(*args, **kwargs)

    return app_with(wrapper)
