"""The page on other frameworks is true: each app on it runs, behind the middleware for any ASGI or WSGI app."""

from __future__ import annotations

import functools
import re
import sys
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import servers
from waiting import LONG

from kinde_guard import wsgi
from kinde_guard.issuer import LocalIssuer
from kinde_guard.testing import guard_for, local_issuer, mint

PAGE = Path(__file__).parents[1].joinpath("docs/other-frameworks.md").read_text(encoding="utf-8")
APPS = dict(re.findall(r"^##+ ([\w ]+)\n[^#]*?^```py\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL))
NAMES = [pytest.param(name, marks=pytest.mark.filterwarnings("ignore")) for name in APPS]
Ask = Callable[..., httpx.Response]


@contextmanager
def served(name: str, issuer: LocalIssuer) -> Iterator[Any]:
    """A client of the app on the page, which trusts *issuer*, behind a real server."""
    package = name.partition(" ")[0].lower()
    pytest.importorskip(package, reason=f"{package} is not installed: dependency group frameworks")
    module: Any = types.ModuleType(f"page_of_{package}")
    sys.modules[module.__name__] = module  # where frameworks look for it
    exec(compile(APPS[name], "other-frameworks.md", "exec"), vars(module))  # that is the test
    application = module.application
    application.guard = guard_for(issuer)
    serve = servers.served_wsgi if isinstance(application, wsgi.GuardMiddleware) else servers.served
    with serve(application) as place, httpx.Client(base_url=f"http://{place}", timeout=LONG) as client:
        yield client


@pytest.fixture
def issuer(monkeypatch: pytest.MonkeyPatch) -> LocalIssuer:
    issuer = local_issuer()
    monkeypatch.setenv("KINDE_DOMAIN", issuer.url)
    monkeypatch.setenv("KINDE_AUDIENCE", issuer.audience)
    return issuer


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@pytest.mark.parametrize("name", [param for param in NAMES if param.values[0] not in ("Strawberry",)])
def test_an_app(name: str, issuer: LocalIssuer) -> None:
    with served(name, issuer) as client:
        refused = client.get("/me")
        assert (refused.status_code, refused.headers["WWW-Authenticate"]) == (401, 'Bearer realm="api"')
        assert refused.headers["Content-Type"] == "application/problem+json"
        assert client.get("/me", headers=bearer("forged")).status_code == 401
        assert client.get("/unknown").status_code == 401
        let_in = client.get("/me", headers=bearer(mint(issuer, scope="read:users")))
        assert (let_in.status_code, issuer.app.client_id in let_in.text) == (200, True)
        assert client.get("/healthz").status_code == 200
        if name == "Connexion":
            assert client.get("/me", headers=bearer(mint(issuer, scope="other"))).status_code == 403


@pytest.mark.parametrize("name", [param for param in NAMES if param.values[0] == "Strawberry"])
def test_fields_of_graphql(name: str, issuer: LocalIssuer) -> None:
    with served(name, issuer) as client:
        ask = functools.partial(client.post, "/")
        assert ask(json={"query": "{ hello }"}).status_code == 401
        reader, other = (bearer(mint(issuer, scope=scope)) for scope in ("read:users", "other"))
        assert ask(json={"query": "{ hello users }"}, headers=reader).json()["data"]["users"] == ["Ada", "Grace"]
        assert ask(json={"query": "{ hello }"}, headers=other).json() == {"data": {"hello": "hello"}}
        (error,) = ask(json={"query": "{ users }"}, headers=other).json()["errors"]
        assert error["extensions"] == {"reason": "insufficient_scope", "scopes": ["read:users"]}


def test_every_framework_is_on_the_page() -> None:
    assert list(APPS) == [
        "Quart",
        "BlackSheep",
        "Falcon",
        "Falcon over WSGI",
        "Sanic",
        "Bottle",
        "Pyramid",
        "Connexion",
        "Strawberry",
    ]
