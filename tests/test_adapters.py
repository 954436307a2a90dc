"""An adapter in forty lines answers as ours do, and what adapters are made of is told by name."""

from __future__ import annotations

import re
from typing import Any

import httpx
import pytest
from helpers import Issuer, guard_of, mint
from toy_adapter import Toy, ToyGuard, requires_auth, requires_scope

from kinde_guard import ConfigurationError
from kinde_guard import adapters as kit
from kinde_guard.revocation import Revocations


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


def test_it_answers_503_whatever_the_verdict_lacks() -> None:
    """The revocations, too, which no Redis has; and not the keys alone."""
    revocations = Revocations("redis://127.0.0.1:1/0")
    guarded = ToyGuard(Toy({"/": home}), guard_of(Issuer(), revocations=revocations), [])
    with httpx.Client(transport=httpx.WSGITransport(guarded), base_url="http://toy") as client:
        answer = client.get("/", headers={"authorization": f"Bearer {mint()}"})
    revocations.close()
    assert (answer.status_code, answer.json()["error"]) == (503, "revocations_unavailable")
    assert int(answer.headers["retry-after"]) >= 1


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
