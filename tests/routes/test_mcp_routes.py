"""``kinde-guard routes`` lists the tools, prompts and resources of an MCP server, and what each demands."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import anyio
import pytest

pytest.importorskip("mcp", reason="the MCP SDK is not installed")

from servers_mcp import KINDS, Registering, app_of, server_of

from kinde_guard import Guard, scope
from kinde_guard.cli import main
from kinde_guard.mcp import KindeGuard, requires_scope
from kinde_guard.routes import routes_of
from kinde_guard.testing import assert_no_unprotected_routes

GUARD = Guard("acme.kinde.com", audience="https://notes.acme.com/mcp")
DEMANDS = {
    "/mcp add": "scope('notes:write', 'notes:read')",
    "/mcp share": "permission('notes:share')",
    "/mcp report": "org(path='org')",
    "/mcp notes:diary": "scope('notes:read') | permission('notes:diary')",
    "/mcp notes:of/{name}": "scope('notes:read')",
    "/mcp summarise": "any valid token",
}


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def listed(app: Any, public: Any = ()) -> dict[str, Any]:
    return {route.path: route for route in routes_of(app, public)}


def guarded(kind: str, public: Any) -> Any:
    app = app_of(server_of(kind, []))
    KindeGuard(app, guard=GUARD, public=public)
    return app


def test_demands(kind: str) -> None:
    found = listed(guarded(kind, None))
    assert {path: str(found[path].demand) for path in DEMANDS} == DEMANDS
    assert {found[path].kind for path in DEMANDS} == {"protected"}
    assert found["/mcp add"].methods == ("tools/call",)
    assert found["/mcp notes:of/{name}"].methods == ("resources/read",)
    assert re.fullmatch(r"servers_mcp:server_of.<locals>.add", found["/mcp add"].where)


def test_what_carries_no_demand(kind: str) -> None:
    found = listed(guarded(kind, None))
    assert {path for path, route in found.items() if route.kind == "unprotected"} == {
        "/mcp echo", "/mcp bury", "/mcp notes:motto",
    }  # fmt: skip
    assert (found["/mcp"].kind, found["/mcp"].note) == ("public", "clients without a token may list what there is")


def test_all_else_than_public_tools(kind: str) -> None:
    found = listed(guarded(kind, ["echo"]))
    assert (found["/mcp echo"].kind, found["/mcp echo"].demand) == ("public", None)
    assert str(found["/mcp notes:motto"].demand) == str(found["/mcp bury"].demand) == "any valid token"
    found = listed(guarded(kind, []))
    kinds = {path: route.kind for path, route in found.items()}
    assert kinds.pop("/.well-known/oauth-protected-resource/mcp") == "public"
    assert set(kinds.values()) == {"protected"}


def test_one_that_is_open_on_purpose(kind: str) -> None:
    app = guarded(kind, None)
    with pytest.raises(AssertionError, match="tools/call /mcp echo"):
        assert_no_unprotected_routes(app)
    assert_no_unprotected_routes(app, public=["/mcp echo", "/mcp bury", "/mcp notes:motto"])


def test_a_demand_that_is_not_enforced(kind: str) -> None:
    server = server_of(kind, [])
    tool: Registering = server.tool() if kind == "official" else server.tool

    @requires_scope("notes:write")
    @tool
    def open_by_mistake() -> str:
        return ""

    app = app_of(server)
    KindeGuard(app, guard=GUARD)
    route = listed(app)["/mcp open_by_mistake"]
    assert (route.kind, str(route.demand)) == ("misplaced", str(scope("notes:write")))


def test_a_server_without_a_guard(kind: str) -> None:
    assert listed(app_of(server_of(kind, [])))["/mcp"].kind == "unprotected"


def test_within_a_running_loop(kind: str) -> None:
    async def listing() -> dict[str, Any]:
        return listed(guarded(kind, None))

    assert "/mcp add" in anyio.run(listing)


def test_a_provider(tmp_path: Path) -> None:
    """Its own routes are public on purpose; each other one needs a token."""
    fastmcp = pytest.importorskip("fastmcp", reason="fastmcp is not installed")
    from key_value.aio.stores.memory import MemoryStore

    from kinde_guard.fastmcp import KindeProvider

    options = {"client_id": "a", "client_secret": "b" * 40, "client_storage": MemoryStore()}
    for more in ({}, options):
        server = fastmcp.FastMCP("notes", auth=KindeProvider(base_url="https://notes.acme.com", guard=GUARD, **more))  # type: ignore[arg-type]
        tool: Registering = server.tool

        @tool
        @requires_scope("notes:write")
        def add(text: str) -> str:
            return text

        found = listed(server.http_app())
        assert str(found["/mcp add"].demand) == "scope('notes:write')"
        assert found["/mcp"].kind == "protected"
        assert {route.kind for path, route in found.items() if not path.startswith("/mcp")} == {"public"}
        assert_no_unprotected_routes(server.http_app())
        assert ("/auth/callback" in found) == bool(more)


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "notes_app.py").write_text("""
from mcp.server.mcpserver import MCPServer
from kinde_guard.mcp import KindeGuard, requires_scope
server = MCPServer("notes")
@server.tool()
@requires_scope("notes:write")
def add(text: str) -> str: ...
app = server.streamable_http_app()
KindeGuard(app)
""")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(SystemExit) as ended:
        main(["routes", "notes_app:app", "--fail-unprotected"])
    assert ended.value.code == 0
    assert re.search(r"tools/call +/mcp add +scope\('notes:write'\) +notes_app:add", capsys.readouterr().out)
