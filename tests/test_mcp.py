"""KindeGuard in front of an MCP server: the same demands, refusals and answers for the official SDK and for fastmcp."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest

pytest.importorskip("mcp", reason="the MCP SDK is not installed")

from helpers import older
from mcp.server.mcpserver import MCPServer
from servers_mcp import (
    BEFORE,
    KINDS,
    MODERN,
    ORIGIN,
    RESOURCE,
    Notes,
    Registering,
    app_of,
    message,
    result,
    server_of,
    text_of,
)
from starlette.testclient import TestClient
from waiting import LONG

from kinde_guard import ConfigurationError, Guard
from kinde_guard.mcp import KindeGuard, requires_scope
from kinde_guard.testing.tokens import guard_for, local_issuer, mint

ROOT = Path(__file__).parents[1]
METADATA = "https://notes.acme.com/.well-known/oauth-protected-resource/mcp"
VERSIONS = [MODERN, BEFORE]
WRITER = {"scope": "notes:write notes:read"}
ALL_SCOPES = 'scope="notes:write notes:read"'


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def notes(kind: str) -> Iterator[Notes]:
    """What carries no demand needs no token."""
    with Notes(kind, resource=RESOURCE).running() as running:
        yield running


def context_of(kind: str) -> Any:
    if kind == "official":
        from mcp.server.mcpserver import Context

        return Context
    return pytest.importorskip("fastmcp", reason="fastmcp is not installed").Context


def scope_of(path: str, headers: dict[str, str] | None = None) -> dict[str, Any]:
    pairs = [(name.lower().encode(), value.encode()) for name, value in (headers or {}).items()]
    return {"type": "http", "method": "POST", "path": path, "headers": pairs, "query_string": b"", "root_path": ""}


def challenge(answer: Any) -> str:
    return str(answer.headers["www-authenticate"])


@pytest.mark.parametrize("version", VERSIONS)
class TestTools:
    def test_without_a_token(self, notes: Notes, version: str) -> None:
        answer = notes.call("add", version=version, text="x")
        assert (answer.status_code, notes.ran) == (401, [])
        assert "error=" not in challenge(answer)
        assert f'resource_metadata="{METADATA}"' in challenge(answer)

    def test_the_scopes_of_a_401_are_all_that_the_servers_tools_need(self, notes: Notes, version: str) -> None:
        """Clients then ask for these alone: of another tool too, and of one without scopes."""
        for answer in (notes.call("add", version=version), notes.call("share", version=version, text="x")):
            assert ALL_SCOPES in challenge(answer)

    def test_the_scopes_of_a_401_are_those_of_a_tool_that_was_added_since_too(self, notes: Notes, version: str) -> None:
        """From the first call of it on."""
        assert ALL_SCOPES in challenge(notes.call("add", version=version, text="x"))
        tool: Registering = notes.server.tool() if isinstance(notes.server, MCPServer) else notes.server.tool

        @tool
        @requires_scope("notes:erase")
        def erase(text: str) -> str:
            return text

        for name in ("erase", "add"):
            answer = notes.call(name, version=version, text="x")
            assert answer.status_code == 401
            assert 'scope="notes:write notes:read notes:erase"' in challenge(answer)
        assert text_of(notes.call("erase", {"scope": "notes:erase"}, version, text="x")) == "x"

    def test_with_a_bad_token(self, notes: Notes, version: str) -> None:
        answer = notes.call("add", mint(notes.issuer, preset="expired"), version, text="x")
        assert (answer.status_code, answer.json()["detail"]) == (401, "The access token has expired.")
        assert 'error="invalid_token"' in challenge(answer)
        assert ALL_SCOPES in challenge(answer)

    def test_with_too_little_scope(self, notes: Notes, version: str) -> None:
        """All scopes of the operation in one challenge, or a client would give one up to get the other."""
        answer = notes.call("add", {"scope": "notes:write"}, version, text="x")
        assert (answer.status_code, notes.ran) == (403, [])
        assert 'error="insufficient_scope"' in challenge(answer)
        assert ALL_SCOPES in challenge(answer)
        assert f'resource_metadata="{METADATA}"' in challenge(answer)

    def test_with_all_it_demands(self, notes: Notes, version: str) -> None:
        answer = notes.call("add", {**WRITER, "client_id": "app_1"}, version, text="x")
        assert text_of(answer) == "app_1 has added x"

    def test_a_403_for_a_permission_names_no_scope(self, notes: Notes, version: str) -> None:
        """A user's token holds no scope of an API: one more sign-in would change nothing, and nobody is sent there."""
        answer = notes.call("share", {"subject": "kp_1"}, version, text="x")
        assert (answer.status_code, notes.ran) == (403, [])
        assert "scope=" not in challenge(answer).replace('error="insufficient_scope"', "")
        assert text_of(notes.call("share", {"permissions": ["notes:share"]}, version, text="x")) == "x"

    def test_an_organization_is_compared_with_the_argument(self, notes: Notes, version: str) -> None:
        caller = {"subject": "kp_1", "org_code": "org_1"}
        assert text_of(notes.call("report", caller, version, org="org_1")) == "org_1"
        assert notes.call("report", caller, version, org="org_2").status_code == 403
        assert notes.call("report", caller, version).status_code == 403  # the default is another
        assert notes.ran == ["report org_1"]

    def test_a_sign_in_without_an_organization_is_refused(self, notes: Notes, version: str) -> None:
        answer = notes.call("report", {"subject": "kp_1"}, version, org="org_1")
        assert (answer.status_code, notes.ran) == (403, [])
        assert answer.json()["detail"] == "The access token does not belong to this organization."

    def test_what_carries_no_demand_needs_no_token(self, notes: Notes, version: str) -> None:
        assert text_of(notes.call("echo", version=version, text="x")) == "x of nobody"
        assert text_of(notes.call("echo", {"subject": "kp_1"}, version, text="x")) == "x of kp_1"
        names = [tool["name"] for tool in result(notes.ask("tools/list", version=version))["result"]["tools"]]
        assert names == ["add", "share", "report", "echo", "bury"]

    def test_a_bad_token_is_refused_for_what_needs_none(self, notes: Notes, version: str) -> None:
        """A client whose token has expired learns of it, and gets another."""
        assert notes.call("echo", mint(notes.issuer, preset="expired"), version, text="x").status_code == 401

    def test_what_a_tool_refuses_itself_is_answered_by_http(self, notes: Notes, version: str) -> None:
        answer = notes.call("bury", WRITER, version, text="x")
        assert (answer.status_code, notes.ran) == (403, ["bury x"])
        assert 'scope="notes:bury"' in challenge(answer)
        assert notes.call("bury", version=version, text="x").status_code == 401
        assert text_of(notes.call("bury", {"scope": "notes:bury"}, version, text="x")) == "x"

    def test_two_authorization_headers(self, notes: Notes, version: str) -> None:
        """Both SDKs believe the first: good and expired is let in."""
        body, headers = message("tools/call", {"name": "echo", "arguments": {"text": "x"}}, version)
        good, bad = mint(notes.issuer, **WRITER), mint(notes.issuer, preset="expired")
        sent = [*headers.items(), ("Authorization", f"Bearer {good}"), ("Authorization", f"Bearer {bad}")]
        answer = notes.client.post("/mcp", content=json.dumps(body), headers=sent)
        assert (answer.status_code, notes.ran) == (400, [])

    def test_another_scheme_is_no_token(self, notes: Notes, version: str) -> None:
        header = {"Authorization": "Basic YTpi"}
        params = {"name": "echo", "arguments": {"text": "x"}}
        assert text_of(notes.ask("tools/call", params, None, version, **header)) == "x of nobody"
        params["name"] = "add"
        assert notes.ask("tools/call", params, None, version, **header).status_code == 401

    def test_the_keys_cannot_be_had(self, kind: str, version: str) -> None:
        """Both SDKs answer 500."""
        notes = Notes(kind)
        token = mint(notes.issuer, **WRITER)
        notes.issuer.down = True
        with notes.running():
            answer = notes.call("add", token, version, text="x")
            assert (answer.status_code, notes.ran) == (503, [])
            assert int(answer.headers["retry-after"]) > 0
            assert "www-authenticate" not in answer.headers
            assert notes.call("echo", version=version, text="x").status_code == 200

    def test_a_tool_that_there_is_not(self, notes: Notes, version: str) -> None:
        answer = notes.call("made_up", version=version)
        assert "Unknown tool" in answer.text
        assert answer.status_code == 200


@pytest.mark.parametrize("version", VERSIONS)
class TestResourcesAndPrompts:
    def test_a_resource(self, notes: Notes, version: str) -> None:
        assert notes.read("notes://diary", version=version).status_code == 401
        assert notes.read("notes://diary", {"subject": "kp_1"}, version).status_code == 403
        for caller in ({"permissions": ["notes:diary"]}, {"scope": "notes:read"}):
            answer = result(notes.read("notes://diary", caller, version))
            assert answer["result"]["contents"][0]["text"] == "dear diary"
        assert result(notes.read("notes://motto", version=version))["result"]["contents"][0]["text"] == "write it down"

    def test_a_template_of_resources(self, notes: Notes, version: str) -> None:
        assert notes.read("notes://of/kp_1", version=version).status_code == 401
        assert notes.read("notes://of/kp_1", {"scope": "notes:write"}, version).status_code == 403
        answer = result(notes.read("notes://of/kp_1", {"scope": "notes:read"}, version))
        assert answer["result"]["contents"][0]["text"] == "kp_1"

    def test_a_prompt(self, notes: Notes, version: str) -> None:
        params = {"name": "summarise", "arguments": {"text": "x"}}
        assert notes.ask("prompts/get", params, version=version).status_code == 401
        assert notes.ran == []
        answer = result(notes.ask("prompts/get", params, {"subject": "kp_1"}, version))
        assert answer["result"]["messages"][0]["content"]["text"] == "Summarise x"

    def test_a_path_that_the_server_refuses(self, notes: Notes, version: str) -> None:
        answer = notes.read("notes://of/..%2F..%2Fetc", version=version)
        assert (answer.status_code, notes.ran) != (200, ["notes of ../../etc"])
        assert notes.ran == []


@pytest.mark.parametrize("version", VERSIONS)
class TestWhatTellsOfThem:
    """The values that an argument may have, and when something changes, are no stranger's business either."""

    @pytest.mark.parametrize("ref", [
        {"type": "ref/resource", "uri": "notes://of/{name}"},
        {"type": "ref/resource", "uri": "notes://diary"},
        {"type": "ref/prompt", "name": "summarise"},
    ])  # fmt: skip
    def test_completion(self, notes: Notes, version: str, ref: dict[str, str]) -> None:
        asked = {"ref": ref, "argument": {"name": "name", "value": ""}}
        assert notes.ask("completion/complete", asked, version=version).status_code == 401
        assert notes.ask("completion/complete", asked, {"scope": "notes:read"}, version).status_code not in (401, 403)

    def test_completion_of_what_demands_nothing(self, notes: Notes, version: str) -> None:
        asked = {"ref": {"type": "ref/resource", "uri": "notes://motto"}, "argument": {"name": "a", "value": ""}}
        assert notes.ask("completion/complete", asked, version=version).status_code not in (401, 403)

    @pytest.mark.parametrize("method", ["resources/subscribe", "resources/unsubscribe"])
    def test_subscribing(self, notes: Notes, version: str, method: str) -> None:
        assert notes.ask(method, {"uri": "notes://diary"}, version=version).status_code == 401
        assert notes.ask(method, {"uri": "notes://diary"}, {"subject": "kp_1"}, version).status_code == 403
        assert notes.ask(method, {"uri": "notes://motto"}, version=version).status_code not in (401, 403)

    @pytest.mark.parametrize("spelling", ["resourceSubscriptions", "resource_subscriptions"])
    def test_listening(self, notes: Notes, version: str, spelling: str) -> None:
        asked = {"notifications": {spelling: ["notes://motto", "notes://diary"]}}
        assert notes.ask("subscriptions/listen", asked, version=version).status_code == 401
        assert notes.ask("subscriptions/listen", asked, {"subject": "kp_1"}, version).status_code == 403
        many = {"notifications": {spelling: ["notes://motto"] * 101}}
        assert notes.ask("subscriptions/listen", many, version=version).json()["error"]["code"] == -32602

    @pytest.mark.parametrize(("method", "params"), [
        ("completion/complete", {"ref": "notes://diary"}),
        ("completion/complete", {"ref": {"uri": ["notes://diary"]}}),
        ("resources/subscribe", {"uri": 1}),
        ("subscriptions/listen", {"notifications": []}),
        ("subscriptions/listen", {"notifications": {"resourceSubscriptions": "notes://diary"}}),
        ("subscriptions/listen", {"notifications": {"resourceSubscriptions": [1, None]}}),
    ])  # fmt: skip
    def test_what_is_malformed_is_the_sdks_to_refuse(
        self, notes: Notes, version: str, method: str, params: dict[str, Any]
    ) -> None:
        assert "error" in notes.ask(method, params, version=version).text


class TestBodies:
    """What cannot be judged is answered, not run, and not passed on."""

    @pytest.mark.parametrize(("body", "status", "code"), [
        (b"", 400, -32700),
        (b"no JSON", 400, -32700),
        (b"\xff\xfe{\x00}\x00", 400, -32700),
        ('{"jsonrpc": "2.0"}'.encode("utf-16"), 400, -32700),
        (b"[" * 40_000, 400, -32700),
        (b'{"a":' * 40_000, 400, -32700),
        (b'{"params": ' + b"[" * 40_000 + b"]" * 40_000 + b"}", 400, -32700),
        (b"[" * 100_000, 413, -32600),
        (b'{"a":' * 100_000, 413, -32600),
        (b'{"params": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", 413, -32600),
        (b'{"params": [' + b"{}," * 1_300_000 + b"0]}", 413, -32600),
        (b'{"params": [' + b"0," * 2_000_000 + b"0]}", 413, -32600),
        (b'{"params": {' + b'"":0,' * 700_000 + b'"":0}}', 413, -32600),
        (b'{"params": ["' + b',"' * 700_000, 413, -32600),
        # A text without an end, in which quotes are escaped: to look for its end behind each of them takes minutes.
        (b'{"params": ["' + b'\\"' * 1_000 + b"," * 100_000, 400, -32700),
        (b'{"id": ' + b"9" * 5_000 + b"}", 400, -32700),
        (b'{"method": "tools/list", "method": "tools/call"}', 400, -32700),
        (b'{"method": "tools/call", "params": {"name": "echo", "name": "add"}}', 400, -32700),
        (b"[]", 400, -32600),
        (b'[{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "add"}}]', 400, -32600),
        (b'"tools/call"', 400, -32600),
        (b"null", 400, -32600),
        (b'{"method": ["tools/call"]}', 400, -32600),
        (b'{"method": "tools/call", "params": ["add"]}', 400, -32600),
        (b'{"method": "tools/call"}', 400, -32602),
        (b'{"method": "tools/call", "params": {"name": ["add"]}}', 400, -32602),
        (b'{"method": "resources/read", "params": {"uri": null}}', 400, -32602),
        (b'"' + b"x" * 4_194_304 + b'"', 413, -32600),
    ])  # fmt: skip
    @pytest.mark.parametrize("version", VERSIONS)
    def test_unreadable(self, notes: Notes, body: bytes, status: int, code: int, version: str) -> None:
        _, headers = message("tools/call", {"name": "echo"}, version)
        answer = notes.client.post("/mcp", content=body, headers=headers)
        assert (answer.status_code, answer.json()["error"]["code"], answer.json()["id"]) == (status, code, None)
        assert notes.ran == []

    @pytest.mark.parametrize("text", ["a, b [c] {d} " * 60_000, '{"a": [1, 2]}, ' * 20_000, "\\," * 100_000])
    def test_what_looks_like_many_values_in_one_text_goes_on(self, notes: Notes, text: str) -> None:
        """A page of code, a table, a document within the document."""
        answer = notes.ask("tools/call", {"name": "echo", "arguments": {"text": text}})
        assert (answer.status_code, notes.ran) == (200, [f"echo {text}"])

    @pytest.mark.parametrize("version", VERSIONS)
    def test_a_server_that_takes_more_or_less(self, version: str) -> None:
        """The bound is the server's own: ours would be in its way, or judge what it does not take."""
        notes = Notes("official")
        for most, size, statuses in ((8 << 20, 5 << 20, [200, 401]), (1 << 20, 2 << 20, [413, 413])):
            notes.app = app_of(notes.server, stateless_http=True, max_request_body_size=most)
            KindeGuard(notes.app, guard=guard_for(notes.issuer))
            with notes.running():
                answers = [notes.call(tool, version=version, text="x" * size) for tool in ("echo", "add")]
            assert [answer.status_code for answer in answers] == statuses
        assert answers[1].json()["error"]["message"] == "Invalid Request: the body is larger than 1048576 bytes"
        assert [len(ran) for ran in notes.ran] == [len("echo ") + (5 << 20)]

    def test_a_notification_and_an_answer_go_on(self, notes: Notes) -> None:
        for body in (
            {"jsonrpc": "2.0", "method": "notifications/initialized"},
            {"jsonrpc": "2.0", "id": 1, "result": {}},
        ):
            _, headers = message("", {}, BEFORE)
            assert notes.client.post("/mcp", json=body, headers=headers).status_code == 202

    def test_other_methods(self, notes: Notes) -> None:
        """Are the SDK's: of sessions, which there are none of."""
        for method in ("GET", "DELETE", "OPTIONS"):
            answer = notes.client.request(method, "/mcp", headers={"Accept": "text/plain"})
            assert answer.status_code in (400, 405, 406)

    def test_a_body_that_does_not_come_to_its_end(self, kind: str) -> None:
        sent: list[Any] = []
        came = [{"type": "http.request", "body": b"{", "more_body": True}, {"type": "http.disconnect"}]

        async def receive() -> Any:
            return came.pop(0)

        async def send(part: Any) -> None:
            sent.append(part)

        notes = Notes(kind)
        with notes.running():
            notes.client.portal.call(notes.app, scope_of("/mcp"), receive, send)
        assert (sent[0]["status"], notes.ran) == (400, [])

    def test_what_comes_after_a_refusal_inside(self, kind: str) -> None:
        """A stream goes on after the refusal that has taken the place of its head; nothing of it is sent."""
        sent: list[Any] = []
        params = {"name": "bury", "arguments": {"text": "x"}}
        body, headers = message("tools/call", params, BEFORE)
        came = [{"type": "http.request", "body": json.dumps(body).encode()}]

        async def receive() -> Any:
            if not came:
                await anyio.sleep(LONG)
            return came.pop()

        async def send(part: Any) -> None:
            sent.append(part)

        notes = Notes(kind)
        token = {"authorization": f"Bearer {mint(notes.issuer, scope='notes:read')}", "host": "127.0.0.1:8000"}
        with notes.running():
            notes.client.portal.call(notes.app, scope_of("/mcp", {**headers, **token}), receive, send)
        assert [part["type"] for part in sent] == ["http.response.start", "http.response.body"]
        assert sent[0]["status"] == 403

    def test_a_stream_ends_with_its_token(self, kind: str) -> None:
        """``close_expired=True``: of what a tool sends while it runs, nothing comes after the token has expired."""
        now = [1_751_200_000.0]
        issuer = local_issuer(clock=lambda: now[0])
        notes = Notes(kind, issuer=issuer, close_expired=True)
        tool: Registering = notes.server.tool() if kind == "official" else notes.server.tool

        async def count(ctx: Any) -> str:
            await ctx.report_progress(1, 2)
            for _ in range(100):
                await anyio.lowlevel.checkpoint()  # until it is on its way, through however many hands
            now[0] += 1_000
            await ctx.report_progress(2, 2)
            return "counted"

        count.__annotations__["ctx"] = context_of(kind)
        tool(requires_scope("notes:read")(count))
        params = {"name": "count", "arguments": {}, "_meta": {"progressToken": 1}}
        with notes.running():
            answer = notes.ask("tools/call", params, {"scope": "notes:read", "lifetime": 60}, BEFORE)
        if not older("starlette", "1.0"):  # whose test client shows nothing of a stream that was cut
            assert '"progress":1' in answer.text.replace(".0", "")
        assert "counted" not in answer.text

    def test_a_body_in_pieces(self, notes: Notes) -> None:
        body, headers = message("tools/call", {"name": "add", "arguments": {"text": "x"}}, BEFORE)
        pieces = [bytes([byte]) for byte in json.dumps(body).encode()]
        sent = {**headers, "Authorization": f"Bearer {mint(notes.issuer, **WRITER)}"}
        assert notes.client.post("/mcp", content=iter(pieces), headers=headers).status_code == 401
        assert "has added x" in text_of(notes.client.post("/mcp", content=iter(pieces), headers=sent))

    @pytest.mark.parametrize("version", ["2025-06-18", BEFORE, None])
    def test_the_body_is_judged_and_not_the_headers(self, notes: Notes, version: str | None) -> None:
        """The SDKs compare the headers with the body in the newest version alone."""
        body, headers = message("tools/call", {"name": "add", "arguments": {"text": "x"}}, BEFORE)
        headers |= {"Mcp-Method": "tools/call", "Mcp-Name": "echo"} | (
            {"MCP-Protocol-Version": version} if version else {}
        )
        if version is None:
            del headers["MCP-Protocol-Version"]
        assert notes.client.post("/mcp", json=body, headers=headers).status_code == 401
        headers |= {"Mcp-Method": "tools/list"}
        assert notes.client.post("/mcp", json=body, headers=headers).status_code == 401
        assert notes.ran == []

    def test_headers_that_name_another_tool_are_the_sdks_to_refuse(self, notes: Notes) -> None:
        answer = notes.ask("tools/call", {"name": "echo", "arguments": {"text": "x"}}, **{"Mcp-Name": "add"})
        assert (answer.status_code, answer.json()["error"]["code"], notes.ran) == (400, -32020, [])


class TestPublic:
    def test_nothing_is_public(self, kind: str) -> None:
        with Notes(kind, public=[]).running() as notes:
            for method in ("initialize", "server/discover", "tools/list", "prompts/list", "ping"):
                assert notes.ask(method).status_code == 401, method
            for asked in (notes.client.get, notes.client.delete, notes.client.options):
                assert asked("/mcp").status_code in (401, 405)  # fastmcp has no GET where there are no sessions
            assert notes.call("echo", text="x").status_code == 401
            assert notes.client.get("/other").status_code == 401
            assert text_of(notes.call("echo", {"subject": "kp_1"}, text="x")) == "x of kp_1"

    def test_a_strangers_body_is_not_read_where_nothing_is_public(self, kind: str) -> None:
        """Refused for the missing token, not for what cannot be read."""
        with Notes(kind, public=[]).running() as notes:
            assert notes.client.post("/mcp", content=b"no JSON").status_code == 401

    def test_public_tools_beside_protected_ones(self, kind: str) -> None:
        """Which cannot be had through auth= of fastmcp."""
        with Notes(kind, public=["echo"]).running() as notes:
            assert text_of(notes.call("echo", text="x")) == "x of nobody"
            assert notes.ask("tools/list").status_code == 200
            for answer in (notes.call("bury", text="x"), notes.call("add", text="x"), notes.call("made_up")):
                assert answer.status_code == 401
            assert notes.read("notes://motto").status_code == 401
            assert notes.ask("prompts/list").status_code == 401
            assert notes.client.get("/other").status_code == 401
            assert notes.ran == ["echo x"]

    def test_a_public_tool_that_demands_something_demands_it(self, kind: str) -> None:
        with Notes(kind, public=["add"]).running() as notes:
            assert notes.call("add", text="x").status_code == 401

    def test_a_public_path_is_one_of_another_route(self, kind: str) -> None:
        with Notes(kind, public=["echo", "/other"]).running() as notes:
            assert notes.client.get("/other").status_code == 404
            assert notes.client.get("/mcp/").status_code in (401, 404)

    @pytest.mark.parametrize(("public", "sentence"), [
        (["ehco"], "public= names tools, and the server has none called ehco"),
        (["notes://motto"], "the server has none called notes://motto"),
        (["summarise"], "the server has none called summarise"),
    ])  # fmt: skip
    def test_a_name_that_is_no_tool(self, kind: str, public: list[str], sentence: str) -> None:
        notes = Notes(kind, public=public)
        with pytest.raises(ConfigurationError, match=sentence), notes.running():
            pass

    @pytest.mark.parametrize("public", ["echo", [""], [1]])
    def test_no_list_of_names(self, kind: str, public: Any) -> None:
        with pytest.raises(ConfigurationError, match="public="):
            Notes(kind, public=public)


class TestMetadata:
    def test_it_is_served_as_text(self, notes: Notes) -> None:
        """A slash at the end of the issuer breaks clients that compare it letter by letter."""
        metadata = notes.client.get("/.well-known/oauth-protected-resource/mcp").json()
        assert metadata["resource"] == RESOURCE
        assert metadata["authorization_servers"] == [notes.issuer.url]
        assert not metadata["authorization_servers"][0].endswith("/")

    def test_it_is_public(self, kind: str) -> None:
        with Notes(kind, public=[], resource=RESOURCE).running() as notes:
            assert notes.client.get("/.well-known/oauth-protected-resource/mcp").status_code == 200

    @pytest.mark.parametrize("late", [False, True])
    def test_the_resource_url_is_an_audience(self, kind: str, late: bool, monkeypatch: pytest.MonkeyPatch) -> None:
        """Given a guard at once; of the environment when the app starts."""
        sentence = (
            "the resource URL is 'https://notes.acme.com/mcp' and the guard takes tokens for 'https://api.acme.com'"
        )
        monkeypatch.setenv("KINDE_DOMAIN", "acme.kinde.com")
        monkeypatch.setenv("KINDE_AUDIENCE", "https://api.acme.com")
        guard = None if late else Guard("acme.kinde.com", audience="https://api.acme.com")
        with pytest.raises(ConfigurationError, match=sentence) as raised:
            Notes(kind, guard=guard, resource=RESOURCE).running().__enter__()
        assert "64 characters" not in str(raised.value)
        monkeypatch.setenv("KINDE_AUDIENCE", RESOURCE)
        with Notes(kind, guard=None, resource=RESOURCE).running() as running:
            assert running.client.get("/.well-known/oauth-protected-resource/mcp").json()["resource"] == RESOURCE

    @pytest.mark.parametrize("late", [False, True])
    def test_the_audience_that_is_the_servers_url_is_the_resource(
        self, kind: str, late: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Clients look for the metadata, and a server that needs no more said than its audience has them."""
        audiences = ["https://api.acme.com", "other:mcp", "https://notes.acme.com/mcp/v2", RESOURCE]
        monkeypatch.setenv("KINDE_DOMAIN", "acme.kinde.com")
        monkeypatch.setenv("KINDE_AUDIENCE", ",".join(audiences))
        guard = None if late else Guard("acme.kinde.com", audience=audiences)
        with Notes(kind, guard=guard, public=[], healthz="/healthz").running() as notes:
            metadata = notes.client.get("/.well-known/oauth-protected-resource/mcp").json()
            assert metadata["resource"] == RESOURCE
            assert metadata["authorization_servers"] == ["https://acme.kinde.com"]
            assert f'resource_metadata="{METADATA}"' in challenge(notes.call("add", text="x"))
            assert notes.client.get("/healthz").status_code == 200
        assert "no metadata" not in caplog.text

    def test_the_first_example_of_the_documentation(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """It says nothing of a resource, and has metadata all the same."""
        resource = f"{ORIGIN}/mcp"
        monkeypatch.setenv("KINDE_DOMAIN", "acme.kinde.com")
        monkeypatch.setenv("KINDE_AUDIENCE", resource)
        example: dict[str, Any] = {}
        code = ROOT.joinpath("docs", "mcp.md").read_text().partition("```python\n")[2].partition("```")[0]
        exec(code, example)
        body, headers = message("tools/call", {"name": "add", "arguments": {"text": "x"}}, MODERN)
        with TestClient(example["app"], base_url=ORIGIN) as client:
            answer = client.post("/mcp", json=body, headers=headers)
            assert answer.status_code == 401
            url = f"{ORIGIN}/.well-known/oauth-protected-resource/mcp"
            assert f'resource_metadata="{url}"' in challenge(answer)
            assert client.get(url).json()["resource"] == resource

    def test_it_is_served_where_the_app_is_not_told_that_it_starts(self, kind: str) -> None:
        """Mounted in an app without a guard."""
        from starlette.applications import Starlette
        from starlette.routing import Mount

        notes = Notes(kind, guard=None, domain="acme.kinde.com", audience=RESOURCE)
        with TestClient(Starlette(routes=[Mount("/", notes.app)]), base_url="http://127.0.0.1:8000") as client:
            for _ in range(2):
                metadata = client.get("/.well-known/oauth-protected-resource/mcp")
                assert (metadata.status_code, metadata.json()["resource"]) == (200, RESOURCE)

    @pytest.mark.parametrize("late", [False, True])
    @pytest.mark.parametrize(("audience", "sentence"), [
        ("https://api.acme.com", "takes tokens for 'https://api.acme.com', which is not the https URL of '/mcp'"),
        ("https://notes.acme.com/api/mcp", "which is not the https URL of '/mcp'"),
        ("http://notes.acme.com/mcp", "which is not the https URL of '/mcp'"),
        ("notes:/mcp", "set KINDE_AUDIENCE to it"),
        ("https://a.com/mcp,https://b.com/mcp", "'https://a.com/mcp' and 'https://b.com/mcp' may each be the URL of"),
        (None, "takes tokens for no audience"),
    ])  # fmt: skip
    def test_where_there_is_none_it_is_said_at_start(
        self, kind: str, audience: str | None, sentence: str, late: bool, caplog: pytest.LogCaptureFixture
    ) -> None:
        settings: Any = {"domain": "acme.kinde.com", "audience": audience and audience.split(",")}
        if audience is None:
            settings["clients"] = ["app_1"]
        more = settings if late else {}
        with Notes(kind, guard=None if late else Guard(**settings), **more).running() as notes:
            assert sentence in caplog.text
            assert caplog.text.count("no metadata (RFC 9728) is served") == 1
            assert notes.client.get("/.well-known/oauth-protected-resource/mcp").status_code == 404
            assert "resource_metadata" not in challenge(notes.call("add", text="x"))

    def test_a_guard_that_a_test_has_put_there_says_nothing_of_it(
        self, kind: str, kinde_trust: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        notes = Notes(kind, guard=None, domain="acme.kinde.com", audience=RESOURCE)
        kinde_trust(notes.app)
        with notes.running():
            assert notes.call("add", text="x").status_code == 401
        assert "no metadata" not in caplog.text

    def test_an_audience_too_long_for_kinde_that_is_the_servers_url(self, kind: str) -> None:
        server = server_of(kind, [])
        path = f"/{'x' * 50}"
        app = app_of(server, **{"streamable_http_path" if kind == "official" else "path": path})
        with pytest.raises(ConfigurationError, match=r"64 characters at most, and this URL 73"):
            KindeGuard(app, guard=Guard("acme.kinde.com", audience=f"https://notes.acme.com{path}"))

    def test_a_resource_url_too_long_for_kinde(self, kind: str) -> None:
        """No token can be for it, whether or not the guard would take one."""
        resource = f"https://notes.acme.com/{'x' * 42}"
        for audience in ("https://api.acme.com", resource):
            with pytest.raises(ConfigurationError, match=r"64 characters at most, and this URL 65"):
                Notes(kind, guard=Guard("acme.kinde.com", audience=audience), resource=resource)
        Notes(kind, guard=Guard("acme.kinde.com", audience=resource[:-1]), resource=resource[:-1])


class TestStart:
    def test_a_demand_above_the_servers_decorator(self, kind: str) -> None:
        server = server_of(kind, [])
        tool: Registering = server.tool() if kind == "official" else server.tool

        @requires_scope("notes:write")
        @tool
        def open_by_mistake() -> str:
            return ""

        app = app_of(server)
        KindeGuard(app, guard=Guard("acme.kinde.com", audience="a"))
        with pytest.raises(ConfigurationError, match=r"open_by_mistake\(\), which is tools/call 'open_by_mistake'"):
            TestClient(app).__enter__()

    def test_an_argument_that_there_is_not(self) -> None:
        from kinde_guard.mcp import requires_org

        with pytest.raises(ConfigurationError, match="org_code"):

            @requires_org(path="org_code")
            def report(org: str) -> str:
                return org

    def test_a_guard_twice(self, kind: str) -> None:
        notes = Notes(kind)
        with pytest.raises(ConfigurationError, match="KindeGuard already"):
            KindeGuard(notes.app)

    def test_no_mcp_server(self) -> None:
        from starlette.applications import Starlette

        with pytest.raises(ConfigurationError, match="no app of an MCP server"):
            KindeGuard(Starlette())

    def test_servers_that_cannot_be_judged(self) -> None:
        from mcp.server.lowlevel import Server

        with pytest.raises(ConfigurationError, match="known by name"):
            KindeGuard(Server("handlers").streamable_http_app())

    def test_server_sent_events(self) -> None:
        server = server_of("fastmcp", [])
        with pytest.raises(ConfigurationError, match="serves no MCP over streamable HTTP"):
            KindeGuard(server.http_app(transport="sse"))

    def test_settings_are_read_when_the_app_starts(self, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("KINDE_DOMAIN", "KINDE_ISSUER_URL", "KINDE_HOST", "KINDE_AUDIENCE"):
            monkeypatch.delenv(name, raising=False)
        app = app_of(server_of(kind, []))
        KindeGuard(app)
        with pytest.raises(ConfigurationError, match="KINDE_DOMAIN"), TestClient(app):
            pass
        monkeypatch.setenv("KINDE_DOMAIN", "acme.kinde.com")
        monkeypatch.setenv("KINDE_AUDIENCE", "https://notes.acme.com/mcp")
        with Notes(kind, guard=None).running() as notes:
            assert notes.call("add", text="x").status_code == 401


def test_the_caller_as_the_sdk_knows_callers(kind: str) -> None:
    """For code that was written for the SDK's own middleware."""
    from mcp.server.auth.middleware.auth_context import auth_context_var, get_access_token

    notes = Notes(kind)
    tool: Registering = notes.server.tool() if kind == "official" else notes.server.tool

    @tool
    def whoami() -> str:
        user, token = auth_context_var.get(), get_access_token()
        if user is None or token is None:
            return "nobody"
        return f"{user.display_name} {user.scopes} {token.subject} {token.resource}"

    with notes.running():
        caller = {"client_id": "app_1", "scope": "b a"}
        assert text_of(notes.call("whoami", caller)) == f"app_1 ['a', 'b'] app_1 {notes.issuer.audience}"
        assert text_of(notes.call("whoami")) == "nobody"


class TestSessions:
    """Before 2026-07-28 there are sessions, and a task for each that outlives the request that began it."""

    def session(self, notes: Notes, token: str) -> dict[str, str]:
        params = {"protocolVersion": BEFORE, "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
        answer = notes.ask("initialize", params, token, BEFORE)
        assert result(answer)["result"]["protocolVersion"] == BEFORE
        return {"Mcp-Session-Id": answer.headers["mcp-session-id"]}

    def test_each_request_is_judged_by_its_own_token(self, kind: str) -> None:
        caller = {"subject": "kp_1", "client_id": "app_1"}
        with Notes(kind, stateless=False).running() as notes:
            first = mint(notes.issuer, **caller, permissions=["notes:share"])
            session = self.session(notes, first)
            params = {"name": "share", "arguments": {"text": "x"}}
            assert text_of(notes.ask("tools/call", params, first, BEFORE, **session)) == "x"
            second = mint(notes.issuer, **caller)
            assert notes.ask("tools/call", params, second, BEFORE, **session).status_code == 403
            buried = {"name": "bury", "arguments": {"text": "x"}}
            assert notes.ask("tools/call", buried, second, BEFORE, **session).status_code == 403
            third = mint(notes.issuer, **caller, scope="notes:bury")
            assert text_of(notes.ask("tools/call", buried, third, BEFORE, **session)) == "x"
            assert notes.ask("tools/call", buried, first, BEFORE, **session).status_code == 403

    def test_a_session_is_of_whoever_began_it(self, kind: str) -> None:
        with Notes(kind, stateless=False).running() as notes:
            session = self.session(notes, mint(notes.issuer, subject="kp_1"))
            params = {"name": "echo", "arguments": {"text": "x"}}
            assert notes.ask("tools/call", params, {"subject": "kp_2"}, BEFORE, **session).status_code == 404
            assert notes.ask("tools/call", params, None, BEFORE, **session).status_code == 404


def test_mounted_in_a_guarded_app(kind: str) -> None:
    """The guard around knows paths; the one of the inner app knows tools, and its verdict is the one that counts."""
    from starlette.applications import Starlette
    from starlette.routing import Mount

    from kinde_guard import starlette

    notes = Notes(kind, public=["echo"])
    outer = Starlette(routes=[Mount("/api", notes.app)], lifespan=notes.app.router.lifespan_context)
    starlette.KindeGuard(outer, guard=guard_for(notes.issuer), public=["/api/mcp"])
    body, headers = message("tools/call", {"name": "add", "arguments": {"text": "x"}}, MODERN)
    token = {"Authorization": f"Bearer {mint(notes.issuer, **WRITER)}"}
    with TestClient(outer, base_url="http://127.0.0.1:8000") as client:
        assert client.post("/api/mcp", json=body, headers=headers).status_code == 401
        assert client.post("/api/mcp", json=body, headers={**headers, **token}).status_code == 200
        assert client.post("/api/other", json=body, headers=headers).status_code == 401
    assert notes.ran == ["add x"]


def test_metadata_of_a_mounted_app(kind: str) -> None:
    """Its path begins at the root of the host, where the outer app is."""
    from starlette.applications import Starlette
    from starlette.routing import Mount

    from kinde_guard import starlette

    resource = "https://notes.acme.com/api/mcp"
    guard = Guard("acme.kinde.com", audience=resource)
    notes = Notes(kind, guard=guard, resource=resource)
    outer = Starlette(routes=[Mount("/api", notes.app)], lifespan=notes.app.router.lifespan_context)
    starlette.KindeGuard(outer, guard=guard, public=["/api/mcp"], resource=resource)
    body, headers = message("tools/call", {"name": "add", "arguments": {"text": "x"}}, MODERN)
    with TestClient(outer, base_url="https://notes.acme.com") as client:
        answer = client.post("/api/mcp", json=body, headers={**headers, "Host": "127.0.0.1:8000"})
        assert answer.status_code == 401
        url = challenge(answer).partition('resource_metadata="')[2].partition('"')[0]
        assert client.get(url).json()["resource"] == resource
