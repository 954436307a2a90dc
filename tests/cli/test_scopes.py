"""``kinde-guard scopes``: what an app demands, beside what its API has in Kinde, here the local one."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from api_keys_server import kinde_server, said
from commands import outcome_of, variables_of_app
from helpers import Outcome
from servers import served_issuer

from kinde_guard import scope
from kinde_guard.cli.scopes.enum_source import enum_source
from kinde_guard.issuer import LocalIssuer

Run = Callable[..., Outcome]
SAMPLE = "kinde_guard.cli.sample:app"
"""It demands read:users, and write:users or a permission."""


@pytest.fixture
def kinde() -> Iterator[LocalIssuer]:
    """Its sample API has read:users and write:flags."""
    with served_issuer() as issuer:
        yield issuer


@pytest.fixture
def run(
    kinde: LocalIssuer, no_settings: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Run:
    settings = variables_of_app(kinde)

    def run(*arguments: str, **changes: str | None) -> Outcome:
        for name, value in {**settings, **changes}.items():
            monkeypatch.delenv(name, raising=False) if value is None else monkeypatch.setenv(name, value)
        return outcome_of(capsys, "scopes", *arguments)

    return run


def scopes_of(kinde: LocalIssuer) -> tuple[str, ...]:
    api = kinde.registry.api(kinde.audience)
    assert api is not None
    return api.scopes


def test_a_scope_that_kinde_does_not_have(run: Run, kinde: LocalIssuer) -> None:
    status, out, err = run(SAMPLE)
    assert status == 1
    assert [line.split(maxsplit=1) for line in out.splitlines()] == [
        ["read:users", "in Kinde      GET /users"],
        ["write:users", "MISSING       POST /users"],
        ["write:flags", "not demanded"],
    ]
    assert "2 demanded, 1 missing in Kinde, 1 not demanded" in err
    assert "nobody can be granted write:users" in err
    assert scopes_of(kinde) == ("read:users", "write:flags")


def test_added_on_request_and_nothing_is_deleted(run: Run, kinde: LocalIssuer) -> None:
    status, out, err = run(SAMPLE, "--add")
    assert (status, "write:users  added" in out, "1 added" in err) == (0, True, True)
    assert scopes_of(kinde) == ("read:users", "write:flags", "write:users")
    status, out, _ = run(SAMPLE)
    assert (status, "MISSING" in out, "added" in out) == (0, False, False)


def test_what_tools_demand_counts(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tmp_path.joinpath("mcp_with_scopes.py").write_text("""
from mcp.server.mcpserver import MCPServer
from kinde_guard import permission, scope
from kinde_guard.mcp import KindeGuard, requires, requires_scope
server = MCPServer("notes")
@server.tool()
@requires_scope("notes:write", "read:users")
def add(text: str) -> str: ...
@server.tool()
@requires(permission("p") | scope("notes:share"))
def share(text: str) -> str: ...
app = server.streamable_http_app()
KindeGuard(app, domain="acme.kinde.com", audience="https://api.acme.com")
""")
    monkeypatch.syspath_prepend(str(tmp_path))
    found = json.loads(run("mcp_with_scopes:app", "--json").out)
    assert found["missing"] == ["notes:share", "notes:write"]
    assert found["demanded"][0] == {"scope": "notes:share", "routes": ["tools/call /mcp share"]}


def test_for_programs(run: Run, kinde: LocalIssuer) -> None:
    expected = {
        "audience": kinde.audience,
        "demanded": [
            {"scope": "read:users", "routes": ["GET /users"]},
            {"scope": "write:users", "routes": ["POST /users"]},
        ],
        "missing": ["write:users"],
        "undemanded": ["write:flags"],
        "added": [],
    }
    status, out, _ = run(SAMPLE, "--json")
    assert (status, json.loads(out)) == (1, expected)
    status, out, _ = run(SAMPLE, "--json", "--add")
    assert (status, json.loads(out)) == (0, {**expected, "missing": [], "added": ["write:users"]})


def test_an_enum_that_requirements_take(run: Run, tmp_path: Path) -> None:
    status, out, _ = run(SAMPLE, "--add", "--enum")
    assert status == 0
    tmp_path.joinpath("scopes.py").write_text(out)
    script = (
        "from scopes import Scope; from kinde_guard import scope; print(list(map(str, Scope)), scope(Scope.READ_USERS))"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout == "['read:users', 'write:flags', 'write:users'] scope('read:users')\n", done.stderr


def test_names_of_an_enum() -> None:
    """Each has one, whatever a scope may consist of (RFC 6749 §3.3)."""
    namespace: dict[str, Any] = {}
    hard = ["read:users", "read_users", "READ-USERS", "1st", ":", "a'b", "naïve", "None", "mro", "class", "a\\b"]
    exec(enum_source('https://api.acme.com/"""', hard), namespace)
    assert sorted(map(str, namespace["Scope"])) == sorted(hard)
    exec(enum_source("nothing", []), namespace)
    assert list(namespace["Scope"]) == []


def test_members_of_an_enum_are_the_text_that_they_say() -> None:
    """In challenges, and in what is shown of a requirement."""
    from enum import Enum

    class Scope(str, Enum):  # noqa: UP042  # as many write it
        READ = "read:users"

    assert (str(scope(Scope.READ)), scope(Scope.READ).scopes()) == ("scope('read:users')", ("read:users",))
    assert type(scope(Scope.READ).scopes()[0]) is str


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("KINDE_M2M_CLIENT_ID", None, "no client_id is set: set KINDE_M2M_CLIENT_ID"),
        ("KINDE_M2M_CLIENT_SECRET", None, "no client_secret is set: set KINDE_M2M_CLIENT_SECRET"),
        ("KINDE_AUDIENCE", None, "scopes are those of one API"),
        ("KINDE_AUDIENCE", "https://a.example https://b.example", "scopes are those of one API"),
        ("KINDE_DOMAIN", None, "KINDE_DOMAIN"),
    ],
)
def test_settings_that_are_missing(run: Run, variable: str, value: str | None, words: str) -> None:
    status, out, err = run(SAMPLE, **{variable: value})
    assert (status, out, words in err) == (2, "", True), err


def test_python_and_json_at_once(run: Run) -> None:
    status, out, err = run(SAMPLE, "--enum", "--json")
    assert (status, out, "leave one of the two out" in err) == (2, "", True)


def test_an_api_that_kinde_does_not_have(run: Run, kinde: LocalIssuer) -> None:
    status, out, err = run(SAMPLE, "--audience", "https://other.example")
    assert (status, out) == (1, "")
    assert f"has the audience 'https://other.example' (there are: {kinde.audience})" in err
    status, out, _ = run(SAMPLE, "--audience", "https://other.example", "--json")
    assert (status, json.loads(out)["error"]) == (1, "unknown_api")


@pytest.mark.parametrize("granted", [None, [], ["read:apis"], ["read:apis", "read:api_scopes"]])
def test_an_application_that_may_not(run: Run, kinde: LocalIssuer, granted: list[str] | None) -> None:
    """The sentence says what is to be switched on, and where."""
    app = kinde.add_app("Pipeline")
    if granted is not None:
        kinde.authorize(app, kinde.management_audience, granted)
    variables = {"KINDE_M2M_CLIENT_ID": app.client_id, "KINDE_M2M_CLIENT_SECRET": app.client_secret}
    status, out, err = run(SAMPLE, "--add", **variables)
    assert (status, out) == (1, "")
    assert "may not look at the APIs" in err
    assert "read:apis, read:api_scopes, create:api_scopes (Manage scopes)" in err
    assert run(SAMPLE, **variables).status == 1  # write:users is missing, or it may not look
    assert scopes_of(kinde) == ("read:users", "write:flags")


def test_a_wrong_secret(run: Run) -> None:
    status, out, err = run(SAMPLE, KINDE_M2M_CLIENT_SECRET="another")
    assert (status, out, "does not accept client_id" in err, "another" in err) == (1, "", True, False)


def test_nobody_answers(run: Run) -> None:
    for as_json in ([], ["--json"]):
        status, out, err = run(SAMPLE, *as_json, KINDE_DOMAIN="http://127.0.0.1:1")
        assert (status, out == "") == (3, not as_json), err


def test_an_api_without_scopes_gets_a_hint(run: Run, kinde: LocalIssuer) -> None:
    kinde.add_api(kinde.audience, [])
    status, _, err = run(SAMPLE)
    assert (status, "Plus plan" in err) == (1, True)


def test_a_scope_that_kinde_does_not_take(
    run: Run, kinde: LocalIssuer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More than 64 characters, say."""
    long = "read:" + "x" * 60
    tmp_path.joinpath("app_with_a_long_scope.py").write_text(
        "from starlette.applications import Starlette\nfrom starlette.routing import Route\n"
        f"from kinde_guard.starlette import requires_scope, KindeGuard\n@requires_scope({long!r})\n"
        "async def users(request): ...\napp = Starlette(routes=[Route('/users', users)])\nKindeGuard(app)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    status, _, err = run("app_with_a_long_scope:app", "--add")
    assert (status, "64 characters at most" in err) == (1, True)


def test_the_local_kinde_as_the_management_api(kinde: LocalIssuer) -> None:
    """Who may, and what it answers to what it does not know."""
    good = kinde.m2m_token(kinde.app, audience=[kinde.management_audience], scope="read:apis read:api_scopes")
    with httpx.Client(base_url=f"{kinde.url}/api/v1", headers={"Authorization": f"Bearer {good}"}) as client:
        listed = client.get("/apis").json()["apis"]
        assert [(api["audience"], api["is_management_api"]) for api in listed] == [
            (kinde.management_audience, True),
            (kinde.audience, False),
        ]
        scopes = client.get(f"/apis/{listed[1]['id']}/scopes").json()["scopes"]
        assert [each["key"] for each in scopes] == ["read:users", "write:flags"]
        assert client.get("/apis/unknown/scopes").status_code == 404
        refused = client.post(f"/apis/{listed[1]['id']}/scopes", json={"key": "a"})
        assert (refused.status_code, "create:api_scopes" in refused.text) == (403, True)
        assert client.get("/apis", headers={"Authorization": ""}).status_code == 401
    may = kinde.m2m_token(kinde.app, audience=[kinde.management_audience], scope="create:api_scopes")
    with httpx.Client(base_url=f"{kinde.url}/api/v1", headers={"Authorization": f"Bearer {may}"}) as client:
        bodies: list[Any] = [{}, {"key": ""}, {"key": "two words"}, {"key": "read:users"}, {"key": "x" * 65}, []]
        for body in bodies:
            assert client.post(f"/apis/{listed[1]['id']}/scopes", json=body).status_code == 400
        assert client.get("/apis").status_code == 403


def test_what_kinde_says_does_nothing_to_a_terminal(run: Run) -> None:
    """Whoever names scopes in Kinde need not be whoever looks at them: no colours, no titles, no lines of their own."""
    title, listed = "a\x1b]0;title\x07", "GET /api/v1/apis"
    with kinde_server() as kinde:
        kinde.answers[listed] = said(200, {"apis": [{"id": "1", "audience": title}, {"id": "2", "audience": "b"}]})
        kinde.answers[f"{listed}/2/scopes"] = said(200, {"scopes": [{"key": f"{title}\nread:users  in Kinde"}]})
        status, out, err = run(SAMPLE, "--audience", "b", KINDE_DOMAIN=kinde.url)
        assert (status, "\x1b" in out + err, len(out.splitlines())) == (1, False, 3)
        assert "a\\x1b]0;title\\x07\\nread:users  in Kinde" in out
        status, out, err = run(SAMPLE, "--audience", "c", KINDE_DOMAIN=kinde.url)
        assert (status, out, "\x1b" in err, "there are: a\\x1b]0;title\\x07, b" in err) == (1, "", False, True)
