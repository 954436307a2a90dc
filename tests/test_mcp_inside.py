"""Demands on tools where no gate has judged: without HTTP, behind another server, under another name; and in tests."""

from __future__ import annotations

import functools
import json
import sys
from pathlib import Path
from typing import Any

import anyio
import pytest

pytest.importorskip("mcp", reason="the MCP SDK is not installed")

from mcp.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.server.mcpserver import MCPServer
from mcp.shared.exceptions import MCPError
from servers_mcp import BEFORE, KINDS, MODERN, Notes, Registering, app_of, message, server_of, text_of

from kinde_guard import ConfigurationError, Guard, MissingToken, scope
from kinde_guard.mcp import (
    KindeGuard,
    KindeVerifier,
    auth_settings,
    current_token,
    requires_auth,
    requires_scope,
    token_or_none,
    trust_stdio,
)
from kinde_guard.testing.tokens import guard_for, mint

ROOT = Path(__file__).parent.parent


def client_of(server: Any) -> Any:
    """A client in the process: no HTTP."""
    if isinstance(server, MCPServer):
        return Client(server)
    from fastmcp import Client as FastMCPClient

    return FastMCPClient(server)


def locally(server: Any, method: str, *arguments: Any) -> Any:
    """What comes of one call of a client in the process."""

    async def ask() -> Any:
        async with client_of(server) as client:
            return await getattr(client, method)(*arguments)

    return anyio.run(ask)


def refusal_of(server: Any, method: str, *arguments: Any) -> str:
    async def ask() -> str:
        async with client_of(server) as client:
            with pytest.raises(Exception, match=r"\w") as raised:
                await getattr(client, method)(*arguments)
            return str(raised.value)

    return anyio.run(ask)


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class TestWithoutHTTP:
    """Over stdio there is no token: marks alone would be open there."""

    @pytest.mark.parametrize(("method", "arguments"), [
        ("call_tool", ("add", {"text": "x"})),
        ("call_tool", ("share", {"text": "x"})),
        ("call_tool", ("report", {"org": "org_1"})),
        ("read_resource", ("notes://diary",)),
        ("read_resource", ("notes://of/kp_1",)),
        ("get_prompt", ("summarise", {"text": "x"})),
    ])  # fmt: skip
    def test_what_demands_a_token_is_refused(self, kind: str, method: str, arguments: Any) -> None:
        ran: list[str] = []
        assert "trust_stdio(server)" in refusal_of(server_of(kind, ran), method, *arguments)
        assert ran == []

    def test_what_demands_none_is_open(self, kind: str) -> None:
        ran: list[str] = []
        locally(server_of(kind, ran), "call_tool", "echo", {"text": "x"})
        assert ran == ["echo x"]

    def test_what_is_said_names_function_and_demand(self, kind: str) -> None:
        said = refusal_of(server_of(kind, []), "call_tool", "share", {"text": "x"})
        assert "share demands permission('notes:share')" in said

    def test_trusted(self, kind: str) -> None:
        ran: list[str] = []
        server = server_of(kind, ran)
        _trust(server)
        locally(server, "call_tool", "share", {"text": "x"})
        locally(server, "read_resource", "notes://diary")
        assert ran == ["share x", "diary"]

    def test_trusting_stdio_opens_nothing_over_http(self, kind: str) -> None:
        with Notes(kind).running() as notes:
            _trust(notes.server)
            for version in (MODERN, BEFORE):
                assert notes.call("add", version=version, text="x").status_code == 401
                assert notes.call("bury", version=version, text="x").status_code == 401
            assert notes.ran == ["bury x", "bury x"]

    @pytest.mark.parametrize("trusted", [False, True])
    def test_a_real_process(self, tmp_path: Path, trusted: bool) -> None:
        """``python server.py``, as clients start it."""
        code = """
from mcp.server.mcpserver import MCPServer
from kinde_guard.mcp import requires_scope, trust_stdio
server = MCPServer("notes")
@server.tool()
@requires_scope("notes:write")
def add(text: str) -> str:
    return f"added {text}"
"""
        (tmp_path / "server.py").write_text(f"{code}{'trust_stdio(server)' if trusted else ''}\nserver.run()\n")
        parameters = StdioServerParameters(
            command=sys.executable, args=["server.py"], cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}
        )

        async def ask() -> str:
            async with Client(stdio_client(parameters)) as client:
                try:
                    return str((await client.call_tool("add", {"text": "x"})).content)
                except MCPError as error:
                    return str(error)

        assert ("added x" if trusted else "over stdio there is none") in anyio.run(ask)


def _trust(server: Any) -> None:
    if isinstance(server, MCPServer):
        trust_stdio(server)
    else:
        from kinde_guard.fastmcp import trust_stdio as trust_stdio_of_fastmcp

        trust_stdio_of_fastmcp(server)


class TestOverHTTPWithoutAGuard:
    def test_it_is_closed(self, kind: str) -> None:
        """No KindeGuard(app), no auth=: decorated tools are refused inside."""
        notes = Notes(kind)
        notes.app = app_of(server_of(kind, notes.ran), stateless_http=True)
        with notes.running():
            answer = notes.call("add", {"scope": "notes:write notes:read"}, text="x")
            assert "KindeGuard(app)" in answer.text
            assert notes.ran == []


class TestOtherWaysIn:
    """fastmcp finds a tool by other names, in other servers, in several versions."""

    def notes(self, change: Any) -> Notes:
        notes = Notes("fastmcp", guard=None, domain="acme.kinde.com", audience="https://a")
        fastmcp = pytest.importorskip("fastmcp", reason="fastmcp is not installed")
        server = fastmcp.FastMCP("outer")
        change(server, notes)
        notes.app = app_of(server, stateless_http=True)
        KindeGuard(notes.app, guard=guard_for(notes.issuer))
        return notes

    @pytest.mark.parametrize("version", [MODERN, BEFORE])
    def test_a_mounted_server(self, version: str) -> None:
        with self.notes(lambda server, notes: server.mount(notes.server, namespace="in")).running() as notes:
            for answer in (
                notes.call("in_add", version=version, text="x"),
                notes.read("notes://in/diary", version=version),
                notes.ask("prompts/get", {"name": "in_summarise", "arguments": {"text": "x"}}, version=version),
            ):
                assert answer.status_code == 401
            answer = notes.call("in_add", {"scope": "notes:read"}, version, text="x")
            assert (answer.status_code, notes.ran) == (403, [])
            assert 'scope="notes:write notes:read"' in answer.headers["www-authenticate"]
            assert "has added x" in text_of(
                notes.call("in_add", {"scope": "notes:write notes:read"}, version, text="x")
            )

    def test_what_a_mounted_server_demands_is_known_before(self) -> None:
        """Two servers deep: the scopes of a 401 name it, and ``kinde-guard routes`` lists it."""
        from kinde_guard.routes import routes_of

        def change(server: Any, notes: Notes) -> None:
            between = type(server)("between")
            between.mount(notes.server, namespace="in")
            server.mount(between, namespace="way")

        with self.notes(change).running() as notes:
            answer = notes.call("way_in_add", text="x")
            assert 'scope="notes:write notes:read"' in answer.headers["www-authenticate"]
            found = {route.path: str(route.demand) for route in routes_of(notes.app)}
            assert found["/mcp way_in_add"] == "scope('notes:write', 'notes:read')"
            assert found["/mcp notes:way/in/diary"] == "scope('notes:read') | permission('notes:diary')"

    @pytest.mark.parametrize("version", [MODERN, BEFORE])
    def test_a_tool_by_another_name(self, version: str) -> None:
        pytest.importorskip("fastmcp", reason="fastmcp is not installed")
        from fastmcp.tools import Tool
        from fastmcp.tools.tool_transform import ArgTransform

        def change(server: Any, notes: Notes) -> None:
            add = anyio.run(notes.server.get_tool, "add")
            server.add_tool(Tool.from_tool(add, name="jot", transform_args={"text": ArgTransform(name="words")}))

        with self.notes(change).running() as notes:
            assert notes.call("jot", version=version, words="x").status_code == 401
            assert notes.call("jot", {"scope": "notes:read"}, version, words="x").status_code == 403
            assert notes.ran == []
            assert "has added x" in text_of(notes.call("jot", {"scope": "notes:read notes:write"}, version, words="x"))

    @pytest.mark.parametrize("version", [MODERN, BEFORE])
    def test_a_tool_that_calls_another(self, version: str) -> None:
        def change(server: Any, notes: Notes) -> None:
            @server.tool  # type: ignore[untyped-decorator]
            async def both(text: str) -> str:
                await notes.server.call_tool("add", {"text": text})
                return text

            @server.tool  # type: ignore[untyped-decorator]
            async def either(text: str) -> str:
                try:
                    await notes.server.call_tool("add", {"text": text})
                except Exception:
                    return "without"
                return "with"

        with self.notes(change).running() as notes:
            assert notes.call("both", version=version, text="x").status_code == 401
            assert text_of(notes.call("either", version=version, text="x")) == "without"
            assert notes.ran == []

    @pytest.mark.parametrize("version", [MODERN, BEFORE])
    def test_a_version_of_a_tool(self, version: str) -> None:
        """The newest is open, the caller asks for the one before."""

        def change(server: Any, notes: Notes) -> None:
            @server.tool(name="pick", version="1")  # type: ignore[untyped-decorator]
            @requires_scope("notes:write")
            def before() -> str:
                notes.ran.append("before")
                return "before"

            @server.tool(name="pick", version="2")  # type: ignore[untyped-decorator]
            def after() -> str:
                return "after"

        with self.notes(change).running() as notes:
            assert text_of(notes.call("pick", version=version)) == "after"
            asked = {"name": "pick", "arguments": {}, "_meta": {"fastmcp": {"version": "1"}}}
            assert notes.ask("tools/call", asked, version=version).status_code == 401
            assert notes.ran == []
            assert text_of(notes.ask("tools/call", asked, {"scope": "notes:write"}, version)) == "before"

    def test_as_many_resources_as_a_template_has(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from kinde_guard.web.mcp_operations import FastMCPOperations

        monkeypatch.setattr(FastMCPOperations, "MOST", 2)
        with Notes("fastmcp").running() as notes:
            for number in range(5):
                assert notes.read(f"notes://of/{number}").status_code == 401

    def test_strangers_fill_no_memory(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A URI may be as large as a body, and a server is asked for it before its caller is known."""
        from kinde_guard.web.mcp_operations import FastMCPOperations

        asked: list[FastMCPOperations] = []
        find = FastMCPOperations.find

        def finding(self: FastMCPOperations, method: str, name: str, params: Any) -> Any:
            asked.append(self)
            return find(self, method, name, params)

        monkeypatch.setattr(FastMCPOperations, "find", finding)
        with Notes("fastmcp").running() as notes:
            assert notes.read("notes://of/" + "a" * 100_000).status_code == 401
            assert notes.read("notes://of/a").status_code == 401
        assert [name for _, name in asked[0]._found] == ["notes://of/a"]

    def test_a_tool_that_is_replaced(self, kind: str) -> None:
        """What was found before is remembered; the new function judges itself."""
        with Notes(kind).running() as notes:
            assert notes.call("echo", text="x").status_code == 200
            if kind == "official":
                notes.server.remove_tool("echo")
            else:
                notes.server.local_provider.remove_tool("echo")
            tool: Registering = notes.server.tool() if kind == "official" else notes.server.tool

            @tool
            @requires_scope("notes:write")
            def echo(text: str) -> str:
                notes.ran.append("replaced")
                return text

            assert notes.call("echo", text="x").status_code == 401
            assert notes.ran == ["echo x"]


async def _take(shelf: str, name: str) -> str:
    return f"{shelf} {name}"


class TestFunctions:
    def test_what_is_no_function(self) -> None:
        for wrong in (type("Tool", (), {}), 1):
            with pytest.raises(ConfigurationError):
                requires_scope("a")(wrong)  # type: ignore[type-var]
        with pytest.raises(ConfigurationError, match="without parentheses"):
            requires_auth()  # type: ignore[call-arg]

    def test_methods_and_partials(self, kind: str) -> None:
        class Shelf:
            @requires_scope("notes:read")
            def take(self, name: str) -> str:
                return name

        notes = Notes(kind)
        if kind == "official":
            notes.server.add_tool(Shelf().take)
        else:
            notes.server.tool(Shelf().take)
        with notes.running():
            assert notes.call("take", name="x").status_code == 401
            assert text_of(notes.call("take", {"scope": "notes:read"}, name="x")) == "x"

    def test_partials_and_callable_instances(self, kind: str) -> None:
        """Of a partial the arguments that are left; of an instance without a hash, what is marked on its class."""

        class Shelf:
            __hash__ = None  # type: ignore[assignment]
            __name__ = "shelf"

            @requires_scope("notes:read")
            def __call__(self, name: str) -> str:
                return name

        notes = Notes(kind)
        take = requires_scope("notes:read")(functools.partial(_take, "shelf"))
        if kind == "official":
            notes.server.add_tool(take, name="take")
            notes.server.add_tool(Shelf(), name="shelf")
        else:
            notes.server.tool(take, name="take")
        with notes.running():
            assert notes.call("take", name="x").status_code == 401
            assert text_of(notes.call("take", {"scope": "notes:read"}, name="x")) == "shelf x"
            if kind == "official":
                assert notes.call("shelf", name="x").status_code == 401
                assert text_of(notes.call("shelf", {"scope": "notes:read"}, name="x")) == "x"

    def test_current_token_where_there_is_none(self) -> None:
        assert token_or_none() is None
        assert repr(current_token) == "<current_token: None>"
        with pytest.raises(ConfigurationError, match="there is no token"):
            _ = current_token.subject
        with pytest.raises(MissingToken):
            current_token.require(scope("a"))


class TestVerifierOfTheOfficialSDK:
    """The app that the SDK serves itself: mcp.run("streamable-http")."""

    def notes(self, guard: Guard | None = None, **options: Any) -> Notes:
        notes = Notes("official")
        guard = guard or guard_for(notes.issuer, audience="https://notes.acme.com/mcp")
        verifier = KindeVerifier(guard)
        settings = auth_settings("https://notes.acme.com/mcp", guard)
        notes.server = server_of("official", notes.ran, token_verifier=verifier, auth=settings)
        notes.app = app_of(notes.server, stateless_http=True)
        return notes

    def test_tokens(self) -> None:
        """No deprecation warns that the audience is compared by nobody: warnings are errors here."""
        audience = {"audience": "https://notes.acme.com/mcp"}
        with self.notes().running() as notes:
            assert notes.call("echo", text="x").status_code == 401
            assert notes.call("echo", {}, text="x").status_code == 401
            answer = notes.call("add", {"scope": "notes:write notes:read", **audience}, text="x")
            assert "has added x" in text_of(answer)
            assert text_of(notes.call("echo", {"subject": "kp_1", **audience}, text="x")) == "x of kp_1"

    def test_two_authorization_headers(self) -> None:
        """As documented: the SDK reads the first. KindeGuard answers 400."""
        with self.notes().running() as notes:
            body, headers = message("tools/call", {"name": "echo", "arguments": {"text": "x"}}, MODERN)
            good = ("Authorization", f"Bearer {mint(notes.issuer, audience='https://notes.acme.com/mcp')}")
            bad = ("Authorization", f"Bearer {mint(notes.issuer, preset='expired')}")
            for sent, status in ((good, bad), 200), ((bad, good), 401):
                answer = notes.client.post("/mcp", content=json.dumps(body), headers=[*headers.items(), *sent])
                assert answer.status_code == status

    def test_a_demand_is_refused_inside(self) -> None:
        with self.notes().running() as notes:
            answer = notes.call("add", {"scope": "notes:read", "audience": "https://notes.acme.com/mcp"}, text="x")
            assert answer.json()["error"] == {
                "code": -32001,
                "message": "The access token lacks a scope that this resource needs.",
                "data": {"error": "insufficient_scope", "scope": "notes:write notes:read"},
            }
            assert notes.ran == []

    def test_metadata(self) -> None:
        with self.notes().running() as notes:
            metadata = notes.client.get("/.well-known/oauth-protected-resource/mcp").json()
            assert metadata["authorization_servers"] == [notes.issuer.url]
            assert metadata["resource"] == "https://notes.acme.com/mcp"

    def test_the_resource_url_is_an_audience(self) -> None:
        with pytest.raises(ConfigurationError, match="'https://a/mcp' and the guard takes tokens for 'https://b'"):
            auth_settings("https://a/mcp", Guard("acme.kinde.com", audience="https://b"))

    def test_with_a_guard_beside(self) -> None:
        with pytest.raises(ConfigurationError, match="the server has auth= already"):
            KindeGuard(self.notes().app)

    def test_what_the_sdk_is_told(self) -> None:
        """client_id and scopes are never None, expires_at is a whole number, resource is one text; no repr shows it."""
        notes = Notes("official")
        guard = guard_for(notes.issuer, audience=["https://a", "https://b"])
        for caller in ({"subject": "kp_1"}, {"scope": "x y"}):
            raw = mint(notes.issuer, **caller, audience=["https://c", "https://b"])
            told = anyio.run(KindeVerifier(guard).verify_token, raw)
            assert told is not None
            assert told.client_id
            assert set(caller.get("scope", "").split()) <= set(told.scopes)
            assert type(told.expires_at) is int
            assert told.resource == "https://b"
            assert told.claims is not None
            assert told.claims["iss"] == notes.issuer.url
            assert raw not in repr(told)
            assert told.model_copy(deep=True).call is told.call  # as fastmcp's proxy makes copies
        assert anyio.run(KindeVerifier(guard).verify_token, mint(notes.issuer, preset="expired")) is None


class TestKindeCaller:
    def test_an_app(self, kind: str, kinde_caller: Any) -> None:
        notes = Notes(kind, guard=None, public=[])
        kinde_caller(notes.app, scope="notes:read", client_id="app_1")
        with notes.running():
            assert notes.call("add", text="x").status_code == 403
            kinde_caller(notes.app, scope="notes:read notes:write", client_id="app_1")
            assert text_of(notes.call("add", text="x")) == "app_1 has added x"

    def test_a_server_without_http(self, kind: str, kinde_caller: Any) -> None:
        ran: list[str] = []
        server = server_of(kind, ran)
        kinde_caller(server, subject="kp_1")
        assert "lacks a permission" in refusal_of(server, "call_tool", "share", {"text": "x"})
        kinde_caller(server, permissions=["notes:share"])
        locally(server, "call_tool", "share", {"text": "x"})
        assert ran == ["share x"]

    def test_it_ends_with_the_test(self, kind: str) -> None:
        from kinde_guard.testing.apps import caller

        server = server_of(kind, [])
        with caller(server, permissions=["notes:share"]), caller(server, permissions=["notes:share", "b"]):
            locally(server, "call_tool", "share", {"text": "x"})
        assert "trust_stdio" in refusal_of(server, "call_tool", "share", {"text": "x"})

    def test_the_servers_own_verifier(self, kinde_trust: Any, kinde_issuer: Any, kinde_token: Any) -> None:
        notes = TestVerifierOfTheOfficialSDK().notes()
        kinde_trust(notes.server)
        with notes.running():
            assert "has added x" in text_of(notes.call("add", kinde_token(scope="notes:read notes:write"), text="x"))
        assert "trust_stdio" not in refusal_of(notes.server, "call_tool", "share", {"text": "x"})
