"""What is built on ``kinde_guard.adapters``; mypy and pyright, both strict, say nothing but where it is wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from kinde_guard import AccessToken, AuthError, Guard
from kinde_guard import adapters as kit
from kinde_guard.errors import Unavailable

View = Callable[[Mapping[str, Any]], bytes]


class Requires:
    def __init__(self, requirement: kit.Requirement) -> None:
        self.requirement = requirement

    @kit.needs_function
    def __call__(self, view: View) -> View:
        kit.check_function(view)
        requirement = kit.stacked(view, self.requirement)
        inner = kit.innermost(view)

        def wrapper(request: Mapping[str, Any]) -> bytes:
            guard: kit.Authenticator = request["guard"]
            token: AccessToken = guard.authenticate(request["authorization"])
            kit.judge(guard, token, requirement.bound(request["parameters"]), request)
            return bytes(inner(request))

        kit.mark(view, wrapper, requirement)
        return wrapper


requires_scope = kit.Decorators(Requires).requires_scope


@requires_scope("read:users")
def users(request: Mapping[str, Any]) -> bytes:
    return b""


def answered(view: View, request: Mapping[str, Any]) -> tuple[int, Iterable[tuple[str, str]], bytes]:
    try:
        return 200, (), view(request)
    except (AuthError, Unavailable) as refusal:
        answer: kit.Answer = kit.answer(refusal, "", ["read:users"])
        return answer.status, answer.all_headers, answer.body


def issuers(guard: kit.Authenticator) -> tuple[str, ...]:
    guard.verify("eyJ")  # type: ignore[attr-defined]
    return guard.issuers


issuers(Guard("acme.kinde.com", audience="https://api.acme.com"))
issuers("acme.kinde.com")  # type: ignore[arg-type]
kit.answer(ValueError())  # type: ignore[arg-type]
kit.PublicPaths(1)  # type: ignore[arg-type]
