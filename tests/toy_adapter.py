"""An adapter in forty lines, for a framework that there is not, out of kinde_guard.adapters alone. The reference shows
this file (docs/reference/adapters.md)."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from kinde_guard import ConfigurationError
from kinde_guard import adapters as kit
from kinde_guard.errors import AuthError, Unavailable

View = Callable[[Any], str]


class Toy:
    """The framework: views by path. Each takes the environ and returns a text."""

    def __init__(self, views: dict[str, View]) -> None:
        self.views = views

    def __call__(self, environ: Any, start_response: Any) -> Any:
        body = self.views[environ["PATH_INFO"]](environ).encode()
        start_response("200 OK", [("Content-Length", str(len(body)))])
        return [body]


class Requires:
    """A requirement, which decorates a view, below whatever puts it into an app."""

    def __init__(self, requirement: kit.Requirement) -> None:
        self.requirement = requirement

    def __call__(self, view: View) -> View:
        kit.check_function(view)
        requirement, inner = kit.stacked(view, self.requirement), kit.innermost(view)

        @functools.wraps(view)
        def wrapper(environ: Any) -> str:
            guard = environ["toy.guard"]
            kit.judge(guard, kit.wsgi_environ.authenticate(environ, guard), requirement.bound({}), environ)
            return str(inner(environ))

        kit.mark(view, wrapper, requirement)
        return wrapper


requires_auth = kit.Decorators(Requires).requires_auth
requires_scope = kit.Decorators(Requires).requires_scope


class ToyGuard:
    """In front of a Toy: every path but the public ones demands a valid token."""

    def __init__(self, app: Toy, guard: kit.Authenticator, public: list[str]) -> None:
        self.app, self.guard, self.public = app, guard, kit.PublicPaths(public)
        for path, view in app.views.items():
            if kit.misplaced(view):
                raise ConfigurationError(f"what the view of {path!r} requires is not enforced")

    def __call__(self, environ: Any, start_response: Any) -> Any:
        environ["toy.guard"] = self.guard
        try:
            if not kit.wsgi_environ.covers(self.public, environ):
                kit.wsgi_environ.authenticate(environ, self.guard)
            return self.app(environ, kit.wsgi_environ.private_to_caller(environ, start_response))
        except (AuthError, Unavailable) as refusal:
            return kit.wsgi_environ.send_answer(kit.answer(refusal), environ, start_response)
