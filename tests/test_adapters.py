"""An adapter in forty lines, for a framework that there is not, out of kinde_guard.adapters alone."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from helpers import Issuer, guard_of, mint

from kinde_guard import AuthError, ConfigurationError, KeysUnavailable
from kinde_guard import adapters as kit

View = Callable[[Any], str]


class Toy:
    """The framework: views by path, each of which takes the environ and returns a text."""

    def __init__(self, views: dict[str, View]) -> None:
        self.views = views

    def __call__(self, environ: Any, start_response: Any) -> Any:
        body = self.views[environ["PATH_INFO"]](environ).encode()
        start_response("200 OK", [("Content-Length", str(len(body)))])
        return [body]


class Requires:
    """A requirement, which decorates a view."""

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
        except (AuthError, KeysUnavailable) as refusal:
            return kit.wsgi_environ.send_answer(kit.answer(refusal), environ, start_response)


@requires_scope("read")
@requires_auth
def users(environ: Any) -> str:
    return str(environ["kinde_guard.token"].subject)


def home(environ: Any) -> str:
    return "home"


@pytest.mark.parametrize(("path", "scopes", "status"), [
    ("/", None, 200), ("/other", None, 401), ("/other", "", 200), ("/users", None, 401), ("/users", "", 403),
    ("/users", "read", 200),
])  # fmt: skip
def test_an_adapter_of_forty_lines_answers_as_ours_do(path: str, scopes: str | None, status: int) -> None:
    guarded = ToyGuard(Toy({"/": home, "/other": home, "/users": users}), guard_of(Issuer()), ["/"])
    headers = {} if scopes is None else {"authorization": f"Bearer {mint({'scope': scopes})}"}
    with httpx.Client(transport=httpx.WSGITransport(guarded), base_url="http://toy") as client:
        answer = client.get(path, headers=headers)
    assert answer.status_code == status
    assert ("www-authenticate" in answer.headers) == (status in (401, 403))


def test_it_finds_what_is_not_enforced() -> None:
    @requires_auth
    def outer(environ: Any) -> str:
        return ""

    bare = outer.__wrapped__  # type: ignore[attr-defined]
    with pytest.raises(ConfigurationError, match="'/users' requires is not enforced"):
        ToyGuard(Toy({"/users": bare}), guard_of(Issuer()), [])


def test_what_an_adapter_is_made_of_is_told_by_name() -> None:
    assert kit.__doc__ is not None
    told = re.findall(r":(?:class|func|data|mod):`(\w+)`", kit.__doc__)
    assert len(told) == len(set(told))
    assert set(told) == set(kit.__all__)
    assert all(getattr(kit, name) is not None for name in kit.__all__)
