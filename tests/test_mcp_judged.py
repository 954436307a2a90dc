"""MCP servers judged by others: the hostile corpus, and the scanners that are to be had."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("mcp", reason="the MCP SDK is not installed")

from conformance import assert_conforms
from servers import served, served_issuer
from servers_mcp import KINDS, MODERN, app_of, message, server_of
from starlette.testclient import TestClient
from waiting import LONG

from kinde_guard import Guard
from kinde_guard.cli.serving import listen, serving, url_of
from kinde_guard.hostile import assert_resists_hostile_tokens
from kinde_guard.mcp import KindeGuard, requires_scope
from kinde_guard.testing.tokens import guard_for, local_issuer, mint


class EachIsACall:
    """Whatever is asked for, with all that goes with it, is asked of a tool; a body that a request has may stay."""

    def __init__(self, app: Any, tool: str, *, bodies_stay: bool = True) -> None:
        self.app = app
        self.bodies_stay = bodies_stay
        body, headers = message("tools/call", {"name": tool, "arguments": {"text": "x"}}, MODERN)
        self.body = json.dumps(body).encode()
        self.headers = [(name.lower().encode(), value.encode()) for name, value in headers.items()]

    async def __call__(self, scope: Any, receive: Any, send: Any) -> Any:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        theirs = [(name, value) for name, value in scope["headers"] if name not in dict(self.headers)]
        scope = {**scope, "path": "/mcp", "raw_path": b"/mcp", "headers": [*theirs, *self.headers]}
        first = await receive()
        own = {"type": "http.request", "body": self.body, "more_body": False}
        sent = [first if self.bodies_stay and first.get("body") else own]

        async def receiving() -> Any:
            return sent.pop() if sent else await receive()

        return await self.app(scope, receiving, send)


def write_alone(server: Any, kind: str) -> None:
    """A tool for which one scope is enough."""
    tool: Any = server.tool() if kind == "official" else server.tool

    def write(text: str) -> str:
        return text

    tool(requires_scope("read:users")(write))


@pytest.mark.parametrize(("kind", "public"), [("official", None), ("fastmcp", [])])
def test_hostile_tokens(kind: str, public: list[str] | None) -> None:
    issuer = local_issuer()
    server = server_of(kind, [])
    write_alone(server, kind)
    app = app_of(server, stateless_http=True)
    KindeGuard(app, guard=guard_for(issuer), public=public)
    # What is no JSON is answered before anybody is asked for a token, where tools may be public.
    asked = EachIsACall(app, "write", bodies_stay=public is not None)
    with TestClient(asked, base_url="http://127.0.0.1:8000") as client:
        assert_resists_hostile_tokens(client, "/users", issuer=issuer, method="POST")


def test_hostile_tokens_of_a_provider() -> None:
    pytest.importorskip("fastmcp", reason="fastmcp is not installed")
    from fastmcp import FastMCP

    from kinde_guard.fastmcp import KindeProvider

    issuer = local_issuer()
    guard = guard_for(issuer, audience=[issuer.audience, "https://notes.acme.com/mcp"])
    server = FastMCP("notes", auth=KindeProvider(base_url="https://notes.acme.com", guard=guard))
    write_alone(server, "fastmcp")
    app = EachIsACall(server.http_app(stateless_http=True), "write")
    with TestClient(app, base_url="http://127.0.0.1:8000") as client:
        assert_resists_hostile_tokens(client, "/users", issuer=issuer, method="POST")


SCENARIOS = [
    "server-initialize",
    "tools-call-simple-text",
    "tools-call-error",
    "tools-call-with-progress",
    "tools-call-elicitation",
    "resources-read-text",
    "resources-templates-read",
    "prompts-get-with-args",
    "server-sse-multiple-streams",
]
"""Of those for servers, which ask for nothing that the SDK alone answers in another way. None is about authorization;
they show that a gate in front keeps out of the way: of streams, and of what a server asks in the middle of a call.

They ask for tools, resources and prompts by names of their own (``test_simple_text``), which
``examples/mcp_server.py`` has no use for. Those that ask for none judge the example, in test_mcp_client.py."""


@pytest.fixture(scope="module")
def conformance_url() -> Iterator[str]:
    from servers_mcp_conformance import conformance_app

    guard = guard_for(local_issuer())
    with served(conformance_app(guard)) as place:
        yield f"http://{place}/mcp"


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_conformance(conformance_url: str, scenario: str, tmp_path: Path) -> None:
    assert_conforms(conformance_url, scenario, tmp_path)


def scan(url: str, *options: str) -> dict[str, Any]:
    """What ``mcp-authlab`` says of a server."""
    command = [sys.executable, "-m", "mcp_authlab", "scan", url, "--no-login", "--format", "json", *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LONG)
    assert done.stdout, done.stderr
    return json.loads(done.stdout)  # type: ignore[no-any-return]


@pytest.mark.parametrize("kind", KINDS)
def test_authlab(kind: str) -> None:
    """The best grade. It warns of plain HTTP, and of what Kinde lacks: registration of clients, ``iss`` (RFC 9207)."""
    pytest.importorskip("mcp_authlab", reason="mcp-authlab is not installed")
    with served_issuer() as issuer, listen(0) as sock:
        resource = f"{url_of(sock)}/mcp"
        # fastmcp compares neither Host nor Origin unless it is told to.
        options = {} if kind == "official" else {"host_origin_protection": "auto"}
        app = app_of(server_of(kind, []), **options)
        KindeGuard(app, guard=Guard(issuer.url, audience=resource, variables=()), public=[], resource=resource)
        with serving(app, sock):
            good = mint(issuer, audience=resource, scope="notes:read")
            foreign = mint(issuer, audience="https://other")
            found = scan(resource, "--token", good, "--foreign-token", foreign, "--tool", "add")
    assert found["grade"] == "A", found
