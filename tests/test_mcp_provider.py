"""``FastMCP("notes", auth=KindeProvider(…))``: tokens from elsewhere, and people that sign in through Kinde."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import httpx
import pytest

pytest.importorskip("fastmcp", reason="fastmcp is not installed")

from fastmcp import Context, FastMCP
from fastmcp.server.dependencies import get_access_token
from key_value.aio.stores.memory import MemoryStore
from servers_mcp import BEFORE, MODERN, Notes, Registering, message, text_of
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount
from starlette.testclient import TestClient

from kinde_guard import ConfigurationError, Guard
from kinde_guard.fastmcp import KindeGuard, KindeProvider, requires_scope, token_or_none
from kinde_guard.issuer import LocalIssuer
from kinde_guard.routes import routes_of
from kinde_guard.testing.tokens import guard_for, local_issuer, mint

BASE, RESOURCE = "https://notes.acme.com", "https://notes.acme.com/mcp"
METADATA = "/.well-known/oauth-protected-resource/mcp"
VERSIONS = [MODERN, BEFORE]


class Provided(Notes):
    """The server behind a KindeProvider."""

    def __init__(self, provider: KindeProvider | None = None, issuer: LocalIssuer | None = None) -> None:
        self.issuer = issuer or local_issuer()
        self.ran: list[str] = []
        self.provider = provider or KindeProvider(
            base_url=BASE, guard=guard_for(self.issuer, audience=[RESOURCE, self.issuer.audience])
        )
        self.server = FastMCP("notes", auth=self.provider)
        tool: Registering = self.server.tool

        @tool
        @requires_scope("notes:write")
        def add(text: str) -> str:
            self.ran.append(text)
            return text

        @tool
        def who() -> dict[str, Any]:
            ours, theirs = token_or_none(), get_access_token()
            assert ours is not None
            assert theirs is not None
            return {"ours": ours.subject, "theirs": theirs.subject, "client": theirs.client_id, "shown": repr(theirs)}

        self.app = self.server.http_app(stateless_http=True)


@pytest.fixture
def notes() -> Iterator[Provided]:
    provided = Provided()
    with provided.running():
        yield provided


def token(**options: Any) -> dict[str, Any]:
    return {"audience": RESOURCE, **options}


@pytest.mark.parametrize("version", VERSIONS)
class TestTokensFromElsewhere:
    def test_every_request_needs_one(self, notes: Provided, version: str) -> None:
        for answer in (notes.ask("tools/list", version=version), notes.call("add", version=version, text="x")):
            assert answer.status_code == 401
            challenge = answer.headers["www-authenticate"]
            assert 'scope="notes:write"' in challenge
            assert f'resource_metadata="{BASE}{METADATA}"' in challenge
            assert "error=" not in challenge

    def test_a_tool(self, notes: Provided, version: str) -> None:
        answer = notes.call("add", token(), version, text="x")
        assert (answer.status_code, notes.ran) == (403, [])
        assert 'scope="notes:write"' in answer.headers["www-authenticate"]
        assert text_of(notes.call("add", token(scope="notes:write"), version, text="x")) == "x"

    def test_tokens_that_are_not_good(self, notes: Provided, version: str) -> None:
        """Each with its own reason, where fastmcp has one text for all, which advises to clear tokens."""
        details = {
            "expired": "The access token has expired.",
            "id_token": "The token is not an access token.",
            "alg_none": "The access token is signed with an algorithm that is not accepted.",
        }
        for preset, detail in details.items():
            answer = notes.call("who", mint(notes.issuer, preset=preset), version)
            assert (answer.status_code, answer.json()["detail"]) == (401, detail)
        answer = notes.call("who", {"audience": "https://other"}, version)
        assert answer.json()["detail"] == "The access token is for another audience."

    def test_who_calls(self, notes: Provided, version: str) -> None:
        raw = mint(notes.issuer, **token(subject="kp_1", client_id="app_1"))
        told = json.loads(text_of(notes.call("who", raw, version)))
        assert (told["ours"], told["theirs"], told["client"]) == ("kp_1", "kp_1", "app_1")
        assert raw not in told["shown"]

    def test_two_authorization_headers(self, notes: Provided, version: str) -> None:
        body, headers = message("tools/call", {"name": "who", "arguments": {}}, version)
        good, bad = mint(notes.issuer, **token()), mint(notes.issuer, preset="expired")
        sent = [*headers.items(), ("Authorization", f"Bearer {good}"), ("Authorization", f"Bearer {bad}")]
        assert notes.client.post("/mcp", content=json.dumps(body), headers=sent).status_code == 400

    def test_the_keys_cannot_be_had(self, version: str) -> None:
        notes = Provided()
        raw = mint(notes.issuer, **token())
        notes.issuer.down = True
        with notes.running():
            answer = notes.call("who", raw, version)
            assert answer.status_code == 503
            assert int(answer.headers["retry-after"]) > 0


class TestProvider:
    def test_metadata(self, notes: Provided) -> None:
        answer = notes.client.get(METADATA)
        assert answer.json()["resource"] == RESOURCE
        assert answer.json()["authorization_servers"] == [notes.issuer.url]
        assert answer.headers["access-control-allow-origin"] == "*"
        assert notes.client.options(METADATA).status_code == 204

    def test_it_is_the_root_apps_where_the_server_is_mounted(self) -> None:
        """``get_well_known_routes``, as fastmcp's documentation has it."""
        issuer = local_issuer()
        resource = f"{BASE}/api/mcp"
        notes = Provided(KindeProvider(base_url=f"{BASE}/api", guard=guard_for(issuer, audience=resource)), issuer)
        well_known = notes.provider.get_well_known_routes(mcp_path="/mcp")
        outer = Starlette(routes=[*well_known, Mount("/api", notes.app)], lifespan=notes.app.router.lifespan_context)
        with TestClient(outer, base_url="http://127.0.0.1:8000") as client:
            assert client.get("/.well-known/oauth-protected-resource/api/mcp").json()["resource"] == resource
            body, headers = message("tools/call", {"name": "add", "arguments": {"text": "x"}}, MODERN)
            assert client.post("/api/mcp", json=body, headers=headers).status_code == 401
            sent = {**headers, "Authorization": f"Bearer {mint(issuer, audience=resource, scope='notes:write')}"}
            assert text_of(client.post("/api/mcp", json=body, headers=sent)) == "x"

    def test_what_a_tool_does_to_its_token_ends_with_the_request(self) -> None:
        """The SDK's tokens can be changed, and whoever changes one must not give scopes to the next caller."""
        notes = Provided()
        tool: Registering = notes.server.tool

        @tool
        def widen() -> list[str]:
            theirs = get_access_token()
            assert theirs is not None
            theirs.scopes.append("admin")
            theirs.claims["scope"] = "admin"
            return theirs.scopes

        notes.app = notes.server.http_app(stateless_http=True)
        raw = mint(notes.issuer, **token(scope="notes:write"))
        with notes.running():
            for _ in range(2):
                assert json.loads(text_of(notes.call("widen", raw))) == ["notes:write", "admin"]

    def test_other_routes_are_none_of_its_business(self) -> None:
        notes = Provided()

        route: Registering = notes.server.custom_route("/status", methods=["GET"])

        @route
        async def status(request: Any) -> Any:
            from starlette.responses import PlainTextResponse

            return PlainTextResponse("up")

        notes.app = notes.server.http_app()
        with notes.running():
            assert notes.client.get("/status").text == "up"

    @pytest.mark.parametrize("late", [False, True])
    def test_the_resource_url_is_an_audience(self, late: bool, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("KINDE_DOMAIN", "acme.kinde.com")
        monkeypatch.setenv("KINDE_AUDIENCE", "https://api.acme.com")
        guard = None if late else Guard("acme.kinde.com", audience="https://api.acme.com")
        notes = Provided(KindeProvider(base_url=BASE, guard=guard))
        sentence = (
            "the resource URL is 'https://notes.acme.com/mcp' and the guard takes tokens for 'https://api.acme.com'"
        )
        with pytest.raises(ConfigurationError, match=sentence):
            notes.running().__enter__()

    def test_a_demand_above_the_servers_decorator(self) -> None:
        notes = Provided()

        tool: Registering = notes.server.tool

        @requires_scope("notes:write")
        @tool
        def open_by_mistake() -> str:
            return ""

        with pytest.raises(ConfigurationError, match="open_by_mistake"):
            notes.running().__enter__()

    def test_server_sent_events(self) -> None:
        notes = Provided()
        notes.app = notes.server.http_app(transport="sse")
        with pytest.raises(ConfigurationError, match="streamable HTTP"):
            notes.running().__enter__()

    @pytest.mark.parametrize("options", [{"client_id": "a"}, {"client_secret": "b"}])
    def test_half_of_what_signing_in_takes(self, options: Any) -> None:
        with pytest.raises(ConfigurationError, match="client_id= and client_secret="):
            KindeProvider(base_url=BASE, **options)

    def test_fastmcp_may_ask_it_itself(self) -> None:
        notes = Provided()
        raw = mint(notes.issuer, **token(scope="notes:write"))
        told = anyio.run(notes.provider.verify_token, raw)
        assert told is not None
        assert told.scopes == ["notes:write"]
        assert anyio.run(notes.provider.verify_token, mint(notes.issuer, preset="expired")) is None

    def test_kinde_caller(self, kinde_caller: Any) -> None:
        notes = Provided(KindeProvider(base_url=BASE))
        kinde_caller(notes.server, scope="notes:write", client_id="app_1")
        with notes.running():
            assert text_of(notes.call("add", text="x")) == "x"
            kinde_caller(notes.server, client_id="app_1")
            assert notes.call("add", text="x").status_code == 403

    def test_kinde_trust(self, kinde_trust: Any, kinde_token: Any) -> None:
        """The audience of the test's issuer is another, and no mistake of the server's."""
        notes = Provided(KindeProvider(base_url=BASE))
        kinde_trust(notes.server)
        with notes.running():
            assert text_of(notes.call("add", kinde_token(scope="notes:write"), text="x")) == "x"
            assert notes.call("add", kinde_token(), text="x").status_code == 403


def test_beside_others() -> None:
    """fastmcp's MultiAuth asks providers itself, and answers itself; decorators judge inside."""
    from fastmcp.server.auth import MultiAuth

    notes = Provided()
    notes.server = FastMCP("notes", auth=MultiAuth(server=notes.provider))
    tool: Registering = notes.server.tool

    @tool
    @requires_scope("notes:write")
    def add(text: str) -> str:
        return text

    notes.app = notes.server.http_app(stateless_http=True)
    with notes.running():
        assert notes.call("add", text="x").status_code == 401
        assert text_of(notes.call("add", token(scope="notes:write"), text="x")) == "x"
        assert "lacks a scope" in notes.call("add", token(), text="x").text


def with_routes(notes: Provided, **options: Any) -> Provided:
    """A KindeGuard beside the provider, and routes that the server has beside its endpoint."""
    from kinde_guard import starlette

    async def status(request: Any) -> Any:
        return PlainTextResponse("up")

    async def admin(request: Any) -> Any:
        return PlainTextResponse(request.user.token.subject)

    route: Callable[[str], Registering] = functools.partial(notes.server.custom_route, methods=["GET"])
    route("/status")(status)
    route("/users")(status)
    route("/admin")(starlette.requires_scope("admin")(admin))
    notes.app = notes.server.http_app(stateless_http=True)
    KindeGuard(notes.app, **options)
    return notes


class TestOtherRoutes:
    """``KindeGuard(server.http_app(), public=[…])`` beside the provider, with its guard."""

    def test_they_need_a_token_unless_they_are_public(self) -> None:
        with with_routes(Provided(), public=["/status"], healthz="/healthz").running() as notes:
            assert notes.client.get("/status").text == "up"
            assert notes.client.get("/healthz").status_code == 200
            for path in ("/users", "/admin", "/unknown", "/mcp/", METADATA + "/x"):
                answer = notes.client.get(path, follow_redirects=False)
                assert answer.status_code == 401, path
                assert f'resource_metadata="{BASE}{METADATA}"' in answer.headers["www-authenticate"]
            sent = {"Authorization": f"Bearer {mint(notes.issuer, **token())}"}
            assert notes.client.get("/users", headers=sent).text == "up"
            answer = notes.client.get("/admin", headers=sent)
            assert (answer.status_code, answer.headers["content-type"]) == (403, "application/problem+json")
            sent = {"Authorization": f"Bearer {mint(notes.issuer, **token(scope='admin', subject='kp_1'))}"}
            assert notes.client.get("/admin", headers=sent).text == "kp_1"

    @pytest.mark.parametrize("version", VERSIONS)
    def test_the_endpoint_and_the_metadata_are_as_without(self, version: str) -> None:
        with with_routes(Provided(), public=[]).running() as notes:
            metadata = notes.client.get(METADATA)
            assert (metadata.status_code, metadata.json()["resource"]) == (200, RESOURCE)
            assert metadata.json()["authorization_servers"] == [notes.issuer.url]
            assert notes.client.options(METADATA).status_code == 204
            answer = notes.call("add", version=version, text="x")
            assert answer.status_code == 401
            assert 'scope="notes:write"' in answer.headers["www-authenticate"]
            assert notes.call("add", token(), version, text="x").status_code == 403
            assert text_of(notes.call("add", token(scope="notes:write"), version, text="x")) == "x"
            assert notes.client.get("/status").status_code == 401

    def test_without_public_what_carries_a_demand_needs_one(self) -> None:
        with with_routes(Provided()).running() as notes:
            assert notes.client.get("/users").text == "up"
            assert notes.client.get("/admin").status_code == 401

    def test_the_environment_is_read_when_the_app_starts(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("KINDE_DOMAIN", "KINDE_ISSUER_URL", "KINDE_HOST", "KINDE_AUDIENCE"):
            monkeypatch.delenv(name, raising=False)
        notes = with_routes(Provided(KindeProvider(base_url=BASE)), public=[])
        monkeypatch.setenv("KINDE_DOMAIN", "acme.kinde.com")
        monkeypatch.setenv("KINDE_AUDIENCE", "https://api.acme.com")
        with pytest.raises(ConfigurationError, match="the resource URL is"):
            notes.running().__enter__()
        notes = with_routes(Provided(KindeProvider(base_url=BASE)), public=[])
        monkeypatch.setenv("KINDE_AUDIENCE", RESOURCE)
        with notes.running():
            assert notes.client.get("/users").status_code == 401
            assert notes.client.get(METADATA).json()["authorization_servers"] == ["https://acme.kinde.com"]

    def test_kinde_caller_and_kinde_trust(self, kinde_caller: Any, kinde_trust: Any, kinde_token: Any) -> None:
        """Of the app or of the server: there is one guard."""
        for place in ("app", "server"):
            notes = with_routes(Provided(KindeProvider(base_url=BASE)), public=[])
            kinde_caller(getattr(notes, place), scope="notes:write", subject="kp_1")
            with notes.running():
                assert text_of(notes.call("add", text="x")) == "x"
                assert notes.client.get("/users").text == "up"
                assert notes.client.get("/admin").status_code == 403
            notes = with_routes(Provided(KindeProvider(base_url=BASE)), public=[])
            kinde_trust(getattr(notes, place))
            with notes.running():
                raw = kinde_token(scope="notes:write")
                assert text_of(notes.call("add", raw, text="x")) == "x"
                assert notes.client.get("/users", headers={"Authorization": f"Bearer {raw}"}).text == "up"

    @pytest.mark.parametrize(("options", "name"), [
        ({"audience": RESOURCE}, "audience="),
        ({"guard": Guard("acme.kinde.com", audience=RESOURCE)}, "guard="),
        ({"resource": RESOURCE}, "resource="),
        ({"public": ["/status", "add"]}, r"public=\['add'\]"),
    ])  # fmt: skip
    def test_what_belongs_to_the_provider(self, options: Any, name: str) -> None:
        with pytest.raises(ConfigurationError, match=f"takes no {name}, and in public= paths of other routes alone"):
            KindeGuard(Provided().app, **options)

    def test_they_are_listed(self) -> None:
        found = {route.path: route.kind for route in routes_of(with_routes(Provided(), public=["/status"]).app)}
        kinds = {path: kind for path, kind in found.items() if not path.startswith("/mcp ")}
        assert kinds == {
            "/mcp": "protected",
            METADATA: "public",
            "/status": "public",
            "/users": "protected",
            "/admin": "protected",
        }


class TestSigningIn:
    """What a client of the proxy's does is in test_mcp_client.py; this is what the proxy does with tokens."""

    def provided(self, issuer: LocalIssuer | None = None, **options: Any) -> Provided:
        issuer = issuer or local_issuer()
        guard = guard_for(issuer, audience=["https://api.acme.com", issuer.audience])
        provider = KindeProvider(
            base_url="http://127.0.0.1:8000",
            client_id="the_app",
            client_secret="s" * 40,
            guard=guard,
            client_storage=MemoryStore(),
        )
        return Provided(provider, issuer)

    def test_a_token_of_kindes_is_none_of_the_proxys(self) -> None:
        """The Authorization header carries the proxy's tokens: what judges asks the provider, not the header."""
        notes = self.provided()
        with notes.running():
            answer = notes.call("add", {"audience": "https://api.acme.com", "scope": "notes:write"}, text="x")
            assert (answer.status_code, notes.ran) == (401, [])
            assert 'scope="notes:write"' in answer.headers["www-authenticate"]

    def test_two_authorization_headers(self) -> None:
        with self.provided().running() as notes:
            body, headers = message("tools/call", {"name": "who", "arguments": {}}, MODERN)
            sent = [*headers.items(), ("Authorization", "Bearer a.b.c"), ("Authorization", "Bearer d.e.f")]
            assert notes.client.post("/mcp", content=json.dumps(body), headers=sent).status_code == 400

    def test_other_routes_take_kindes_tokens(self) -> None:
        """Whoever calls them is no MCP client, and has not come through the proxy, whose pages stay public."""
        provided = with_routes(self.provided(), public=[])
        with provided.running() as notes:
            answer = notes.client.get("/users")
            assert (answer.status_code, answer.headers["www-authenticate"]) == (401, 'Bearer realm="api"')
            raw = mint(notes.issuer, audience="https://api.acme.com")
            assert notes.client.get("/users", headers={"Authorization": f"Bearer {raw}"}).text == "up"
            assert notes.client.get(METADATA).json()["resource"] == "http://127.0.0.1:8000/mcp"
            assert notes.client.get("/.well-known/oauth-authorization-server").status_code == 200
            registered = notes.client.post("/register", json={"redirect_uris": ["http://127.0.0.1:9/c"]})
            assert registered.status_code == 201
            for path in provided.provider.own_paths:
                assert notes.client.get(path, follow_redirects=False).status_code != 401, path
            assert notes.call("who", raw).status_code == 401

    def test_fastmcp_may_ask_it_itself(self) -> None:
        assert anyio.run(self.provided().provider.verify_token, "a.b.c") is None

    def test_what_a_client_has_been_granted(self) -> None:
        """None that it has not asked for: it would ask for these with what it lacks, and not be known for them."""
        proxy = self.provided().provider._proxy
        assert proxy is not None
        assert proxy._translate_scopes_from_idp(["openid", "notes:read", "offline"]) == ["notes:read"]

    def test_metadata_names_the_proxy(self) -> None:
        with self.provided().running() as notes:
            answer = notes.call("add", text="x")
            assert answer.status_code == 401
            assert f'resource_metadata="http://127.0.0.1:8000{METADATA}"' in answer.headers["www-authenticate"]
            metadata = notes.client.get(METADATA).json()
            assert metadata["resource"] == "http://127.0.0.1:8000/mcp"
            server = notes.client.get("/.well-known/oauth-authorization-server").json()
            assert metadata["authorization_servers"] == [server["issuer"]]

    def test_kinde_is_asked_for_the_audience_and_for_no_resource(self) -> None:
        """Nor for scopes that it does not know; people are asked whether they want to."""
        with self.provided().running() as notes:
            client = notes.client.post("/register", json={"redirect_uris": ["http://127.0.0.1:9/c"]}).json()
            asked = {
                "client_id": client["client_id"],
                "redirect_uri": "http://127.0.0.1:9/c",
                "response_type": "code",
                "code_challenge": "c" * 43,
                "code_challenge_method": "S256",
                "scope": "notes:write",
                "resource": "http://127.0.0.1:8000/mcp",
            }
            page = notes.client.get("/authorize", params=asked)
            assert "Allow Access" in page.text
            form = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', page.text))
            answer = notes.client.post(page.url, data={**form, "action": "approve"}, follow_redirects=False)
            there = httpx.URL(answer.headers["location"])
            assert str(there).startswith(f"{notes.issuer.url}/oauth2/auth?")
            assert there.params["audience"] == "https://api.acme.com"
            assert there.params["scope"] == "openid profile email offline"
            assert there.params["redirect_uri"] == "http://127.0.0.1:8000/auth/callback"
            assert "resource" not in there.params

    def test_no_audience(self) -> None:
        guard = Guard("acme.kinde.com", audience=None, clients=["a"])
        with pytest.raises(ConfigurationError, match="needs an audience"):
            KindeProvider(base_url=BASE, client_id="a", client_secret="b" * 40, guard=guard)

    def test_kinde_caller(self, kinde_caller: Any) -> None:
        notes = self.provided()
        kinde_caller(notes.server, scope="notes:write")
        with notes.running():
            assert text_of(notes.call("add", text="x")) == "x"

    def test_verdicts_of_the_guard_come_through(self, tmp_path: Path) -> None:
        """Of Kinde's token that the proxy keeps: expired, and an outage."""
        notes = self.provided()
        kept = {"raw": mint(notes.issuer, audience="https://api.acme.com", scope="notes:write")}
        proxy: Any = notes.provider._proxy

        async def swapped(token: str) -> Any:
            return await proxy._token_validator.verify_token(kept["raw"])

        proxy.load_access_token = swapped
        with notes.running():
            assert text_of(notes.call("add", "a.b.c", text="x")) == "x"
            kept["raw"] = mint(notes.issuer, preset="expired")
            answer = notes.call("add", "a.b.c", text="x")
            assert (answer.status_code, answer.json()["detail"]) == (401, "The access token has expired.")
        notes = self.provided()
        notes.issuer.down = True
        proxy = notes.provider._proxy
        kept["raw"] = mint(notes.issuer, audience="https://api.acme.com")
        proxy.load_access_token = swapped
        with notes.running():
            assert notes.call("add", "a.b.c", text="x").status_code == 503

    def test_a_stream_ends_with_kindes_token(self) -> None:
        """``close_expired=True`` of a KindeGuard beside: the token that the proxy keeps, and not the one of its own."""
        now = [1_751_200_000.0]
        issuer = local_issuer(clock=lambda: now[0])
        notes = self.provided(issuer)
        raw = mint(issuer, audience="https://api.acme.com", lifetime=60)
        proxy: Any = notes.provider._proxy

        async def swapped(token: str) -> Any:
            return await proxy._token_validator.verify_token(raw)

        proxy.load_access_token = swapped
        tool: Registering = notes.server.tool

        @tool
        async def count(ctx: Context) -> str:
            await ctx.report_progress(1, 2)
            for _ in range(100):
                await anyio.lowlevel.checkpoint()  # until it is on its way, through however many hands
            now[0] += 1_000
            await ctx.report_progress(2, 2)
            return "counted"

        notes = with_routes(notes, close_expired=True)
        params = {"name": "count", "arguments": {}, "_meta": {"progressToken": 1}}
        with notes.running():
            answer = notes.ask("tools/call", params, "a.b.c", BEFORE)
        assert '"progress":1' in answer.text.replace(".0", "")
        assert "counted" not in answer.text
