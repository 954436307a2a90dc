"""The example of an MCP server, started for real, and asked by the official client: over HTTP, with its own OAuth."""

from __future__ import annotations

import html
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urljoin, urlsplit

import anyio
import httpx
import pytest

pytest.importorskip("fastmcp", reason="fastmcp is not installed")

import httpx2
from conformance import assert_conforms
from mcp.client import Client
from mcp.client.auth import AuthorizationCodeResult, OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import OAuthClientInformationFull, OAuthClientMetadata, OAuthToken
from servers import served_issuer
from waiting import LONG

from kinde_guard.cli.serving import listen, url_of
from kinde_guard.issuer import LocalIssuer
from kinde_guard.issuer.tokens import SUBJECT
from kinde_guard.issuer.users import Membership, User

ROOT = Path(__file__).parents[1]
CALLBACK = "http://127.0.0.1:9/callback"  # of the client, where nobody listens: it reads where it is sent
AUDIENCE = "https://notes.acme.com"


@dataclass
class Person:
    """Somebody in front of a browser, who may be given permissions, and agrees to everything."""

    issuer: LocalIssuer
    asked_for: list[str] = field(default_factory=list)
    """The scopes of each sign-in."""
    came_back: str = ""
    given: dict[int, tuple[str, ...]] = field(default_factory=dict)
    """Permissions, before the sign-in of that number."""

    def may(self, *permissions: str) -> None:
        home = Membership("org_1", "Home", (), permissions)
        self.issuer.add_user(User(SUBJECT, "Ada", "Lovelace", "ada@example.com", (home,)))

    async def follow(self, url: str) -> None:
        """Through the server's consent page and Kinde, and back to the client."""
        self.asked_for.append(parse_qs(urlsplit(url).query).get("scope", [""])[0])
        self.may(*self.given.get(len(self.asked_for), ()))
        with httpx.Client(timeout=LONG) as browser:
            while not url.startswith(CALLBACK):
                answer = browser.get(url)
                if answer.status_code == 200:
                    form = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', answer.text))
                    agreed = {name: html.unescape(value) for name, value in form.items()}
                    answer = browser.post(url, data={**agreed, "action": "approve"})
                assert answer.is_redirect, answer.text
                url = urljoin(url, answer.headers["location"])
        self.came_back = url

    async def result(self) -> AuthorizationCodeResult:
        assert "code=" in self.came_back, self.came_back
        sent = {name: values[0] for name, values in parse_qs(urlsplit(self.came_back).query).items()}
        return AuthorizationCodeResult(code=sent["code"], state=sent["state"], iss=sent.get("iss"))


class Memory:
    """What a client keeps."""

    def __init__(self) -> None:
        self.tokens: OAuthToken | None = None
        self.client: OAuthClientInformationFull | None = None

    async def get_tokens(self) -> OAuthToken | None:
        return self.tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self.tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return self.client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        self.client = client_info


@pytest.fixture(scope="module")
def issuer() -> Iterator[LocalIssuer]:
    with served_issuer() as issuer:
        yield issuer


@pytest.fixture(scope="module")
def url(issuer: LocalIssuer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The example behind uvicorn, on a socket that queues connections before the server is up."""
    issuer.add_api(AUDIENCE, ["notes:read", "notes:write"])
    with listen(0) as sock:
        base = url_of(sock)
        app = issuer.add_app("notes", redirect_uris=[f"{base}/auth/callback"])
        issuer.authorize(app, AUDIENCE)
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("KINDE_")}
        environment = inherited | {
            "KINDE_DOMAIN": issuer.url,
            "KINDE_AUDIENCE": AUDIENCE,
            "KINDE_CLIENT_ID": app.client_id,
            "KINDE_CLIENT_SECRET": app.client_secret,
            "BASE_URL": base,
            "FASTMCP_HOME": str(tmp_path_factory.mktemp("fastmcp")),
        }
        command = [sys.executable, "-m", "uvicorn", "examples.mcp_server:app", "--log-level", "warning", "--fd"]
        descriptor = sock.fileno()
        process = subprocess.Popen([*command, str(descriptor)], cwd=ROOT, env=environment, pass_fds=[descriptor])
        try:
            yield base
        finally:
            process.terminate()
            process.wait(LONG)


def asking(
    url: str, person: Person, mode: Any, *calls: tuple[str, dict[str, Any]], memory: Memory | None = None
) -> list[str]:
    """What the official client gets of each tool, one after another; the text of what refuses it."""
    metadata = OAuthClientMetadata.model_validate({"redirect_uris": [CALLBACK], "client_name": "a client"})
    auth = OAuthClientProvider(f"{url}/mcp", metadata, memory or Memory(), person.follow, person.result)

    async def ask() -> list[str]:
        got: list[str] = []
        http = httpx2.AsyncClient(auth=auth, timeout=LONG)
        async with http, Client(streamable_http_client(f"{url}/mcp", http_client=http), mode=mode) as client:
            for name, arguments in calls:
                try:
                    got.append(client_text(await client.call_tool(name, arguments)))
                except Exception as error:
                    got.append(f"{type(error).__name__}: {error}")
        return got

    return anyio.run(ask)


def client_text(result: Any) -> str:
    return str(result.structured_content["result"])


ADD = ("add_note", {"text": "x"})


@pytest.fixture(scope="module")
def token(url: str, issuer: LocalIssuer) -> str:
    """One of the proxy's, of somebody who has signed in."""
    memory = Memory()
    asking(url, Person(issuer, given={1: ("notes:read",)}), "legacy", ("whoami", {}), memory=memory)
    assert memory.tokens is not None
    return memory.tokens.access_token


def test_authlab(url: str, issuer: LocalIssuer, token: str) -> None:
    """``mcp-authlab`` gives the example its best grade: by a token of the proxy's, and a foreign one of Kinde's."""
    pytest.importorskip("mcp_authlab", reason="mcp-authlab is not installed")
    foreign = issuer.m2m_token(audience="https://other")
    options = ["--token", token, "--foreign-token", foreign, "--tool", "add_note"]
    command = [sys.executable, "-m", "mcp_authlab", "scan", f"{url}/mcp", "--no-login", "--format", "json", *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LONG)
    found = json.loads(done.stdout)
    assert found["grade"] == "A", done.stdout


@pytest.mark.parametrize("scenario", [
    "server-initialize",
    "ping",
    "logging-set-level",
    "tools-list",
    "resources-list",
    "prompts-list",
    "server-sse-multiple-streams",
])  # fmt: skip
def test_conformance(url: str, token: str, scenario: str, tmp_path: Path) -> None:
    """``modelcontextprotocol/conformance`` judges the example by every scenario that asks for no tool, resource or
    prompt by a name of its own; but for dns-rebinding-protection, whose requests cannot be given a token."""
    assert_conforms(f"{url}/mcp", scenario, tmp_path, token)


@pytest.mark.parametrize("mode", ["2026-07-28", "legacy"])
class TestOfficialClient:
    def test_it_signs_in_calls_a_tool_is_refused_one_and_steps_up(
        self, url: str, issuer: LocalIssuer, mode: str
    ) -> None:
        person = Person(issuer, given={1: ("notes:read",), 2: ("notes:read", "notes:write")})
        got = asking(url, person, mode, ("whoami", {}), ADD)
        assert got == [SUBJECT, f"{SUBJECT} has written it down"]
        assert len(person.asked_for) == 2
        assert all(set(scopes.split()) >= {"notes:read", "notes:write"} for scopes in person.asked_for)

    def test_it_is_refused_what_stays_forbidden(self, url: str, issuer: LocalIssuer, mode: str) -> None:
        """It asks once more, and does not go on for ever."""
        person = Person(issuer, given={1: ("notes:read",), 2: ("notes:read",), 3: ("notes:read",)})
        got = asking(url, person, mode, ("whoami", {}), ADD, ("whoami", {}))
        assert (got[0], got[2]) == (SUBJECT, SUBJECT)
        assert got[1] == "MCPError: Server returned an error response"
        assert len(person.asked_for) == 2
