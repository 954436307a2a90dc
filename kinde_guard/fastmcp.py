"""MCP servers of fastmcp: ``FastMCP("notes", auth=KindeProvider(base_url=…))``, and ``@requires_scope(…)`` on tools.

    mcp = FastMCP("notes", auth=KindeProvider(base_url="https://notes.acme.com"))

    @mcp.tool
    @requires_scope("notes:write")
    def add(text: str) -> str: ...

What a caller may not do is refused before it runs, by HTTP status, as :mod:`kinde_guard.mcp` says, whose decorators
these are. Public tools beside protected ones cannot be had with ``auth=``, which refuses whoever has no token: leave it
out there, and write ``KindeGuard(mcp.http_app(), …)``. With ``auth=``, that guards the other routes of the app.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from contextvars import ContextVar
from typing import Any, Unpack, cast
from urllib.parse import urlsplit

try:
    from fastmcp import FastMCP
    from fastmcp.server.auth import AccessToken as FastMCPAccessToken
    from fastmcp.server.auth import AuthProvider, OAuthProxy, TokenVerifier
    from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
    from pydantic import Field, PrivateAttr
    from starlette.middleware import Middleware
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route
except ModuleNotFoundError as missing:
    raise ImportError(
        "kinde_guard.fastmcp needs fastmcp: pip install 'kinde-guard[fastmcp]'", name=missing.name
    ) from missing

from .adapters import AccessToken, Attached, Authenticator, Refusal, WellKnownPages, asgi_scope, token_from
from .asgi import ASGIApp, Receive, Scope, Send
from .errors import AuthError, ConfigurationError, InvalidToken, Unavailable
from .guard import Guard, GuardSettings
from .mcp import (
    KindeGuard,
    current_token,
    requires,
    requires_auth,
    requires_org,
    requires_permission,
    requires_role,
    requires_scope,
    token_or_none,
)
from .web.mcp_callers import members
from .web.mcp_decorators import Call, TrustedCall
from .web.mcp_endpoint import Endpoint
from .web.mcp_gate import McpGate, Starting
from .web.mcp_local_fastmcp import say_who_calls
from .web.mcp_operations import Demands, FastMCPOperations
from .web.mcp_provider import Provider
from .web.mcp_resource import check_resource

__all__ = [
    "KindeGuard",
    "KindeProvider",
    "current_token",
    "requires",
    "requires_auth",
    "requires_org",
    "requires_permission",
    "requires_role",
    "requires_scope",
    "token_or_none",
    "trust_stdio",
]

SIGN_IN_SCOPES = "openid profile email offline"
"""What Kinde is asked for when somebody signs in. Scopes of an API are no user's: those have permissions."""


class KindeProvider(AuthProvider, Provider):
    """``auth=`` for a server at the URL *base_url*: every request to its MCP endpoint needs a token of Kinde's. To
    fastmcp, routes of ``@server.custom_route`` are open; ``KindeGuard(server.http_app(), public=["/status"])`` guards
    them, too, with the same guard: *public* are the paths that need no token, and what the provider answers itself
    never does.

    Alone, it takes tokens that clients have from elsewhere, machine-to-machine ones among them. The URL that clients
    connect to, *base_url* and the server's path, has to be an audience of the guard; its metadata (RFC 9728) is served.

    With *client_id* and *client_secret*, those of a back-end application in Kinde, it signs people in: Kinde registers
    no clients by itself, so fastmcp's ``OAuthProxy`` stands between and hands out tokens of its own. Kinde's token
    stays here, and is verified at each request. In Kinde, allow ``<base_url>/auth/callback`` as a callback URL, and the
    application the API that is the guard's first audience. The proxy's consent page stays on: without it, a client of
    somebody else's could be handed the session of whoever is signed in. *client_storage* and *jwt_signing_key* are the
    proxy's, for several processes.

    *settings* are those of :class:`Guard`; people sign in at the first *domain*. What they leave out is read from the
    environment: when the app starts, or, to sign people in, here. Raises :class:`ConfigurationError`.
    """

    def __init__(
        self,
        *,
        base_url: str,
        client_id: str | None = None,
        client_secret: str | None = None,
        guard: Guard | None = None,
        client_storage: Any = None,
        jwt_signing_key: str | bytes | None = None,
        **settings: Unpack[GuardSettings],
    ) -> None:
        super().__init__(base_url=base_url)
        if (client_id is None) != (client_secret is None):
            raise ConfigurationError("to sign people in, KindeProvider needs client_id= and client_secret=, both of it")
        self._url = base_url.rstrip("/")
        self._attached = Attached(guard, settings)
        self._proxy: OAuthProxy | None = None
        if client_id is not None and client_secret is not None:
            self._proxy = _proxy(
                self._attached.ready(),
                base_url=base_url,
                upstream_client_id=client_id,
                upstream_client_secret=client_secret,
                client_storage=client_storage,
                jwt_signing_key=jwt_signing_key,
            )
        self._own_guard = self._attached.guard

    @property
    def guard(self) -> Any:
        """The guard, ``None`` until it is made; may be set, also while the server runs."""
        return self._attached.guard

    @guard.setter
    def guard(self, guard: Any) -> None:
        self._attached.guard = guard

    @property
    def settings(self) -> Any:
        """Those that the guard is made of."""
        return self._attached.settings

    async def verify_token(self, token: str) -> FastMCPAccessToken | None:
        """What fastmcp wants to know of *token*; ``None`` if it is not good. Raises :class:`Unavailable`."""
        if self._proxy is not None:
            return await self._proxy.verify_token(token)
        guard = self._attached.ready()
        try:
            return fastmcp_token(token, await guard.aauthenticate([f"Bearer {token}"]), guard)
        except AuthError:
            return None

    def set_mcp_path(self, mcp_path: str | None) -> None:
        """Called by fastmcp, which knows the path then."""
        super().set_mcp_path(mcp_path)
        if self._proxy is not None:
            self._proxy.set_mcp_path(mcp_path)
        else:
            self._attached.pages = WellKnownPages(None, None, self.resource)

    @property
    def resource(self) -> str:
        """The URL that clients connect to, as text: clients compare it letter by letter."""
        return (self._url + "/" + (self._mcp_path or "").strip("/")).rstrip("/")

    @property
    def kinde_resource(self) -> str | None:
        return self.resource if self._proxy is None else None

    def get_routes(self, mcp_path: str | None = None) -> list[Route]:
        """The metadata; and, to sign people in, all that the proxy answers."""
        self.set_mcp_path(mcp_path)
        routes = [self._metadata_route()] if self._proxy is None else self._proxy.get_routes(mcp_path)
        self.own_paths = frozenset(route.path for route in routes)
        return routes

    def operations_of(self, app: Any) -> FastMCPOperations:
        """What the server of *app* can be asked for."""
        return FastMCPOperations(_server_of(app))

    def get_middleware(self) -> list[Any]:
        """The gate, in place of fastmcp's own middleware for tokens."""
        return [Middleware(_InFront, provider=self)]

    def gate_for(self, app: ASGIApp, server: FastMCP[Any]) -> McpGate:
        """The gate in front of *app*, which is that of *server*: nothing is public."""
        kind = _ProviderEndpoint if self._proxy is None else _ProxyEndpoint
        endpoint = kind(self._attached, Demands(FastMCPOperations(server)), frozenset())
        if isinstance(endpoint, _ProxyEndpoint) and self._proxy is not None:
            endpoint.proxy, endpoint.own_guard = self._proxy, self._own_guard
            endpoint.url = WellKnownPages(None, None, self.resource).metadata_url
        return McpGate(app, endpoint)

    def check(self) -> None:
        """Make the guard, if it has yet to be. Raises :class:`ConfigurationError`."""
        if self._attached.guard is None:
            self._own_guard = self._attached.ready()
        if self._proxy is None and self._own_guard is self._attached.guard:  # none that a test has put there
            check_resource(self.resource, self._attached.ready())

    def ready(self) -> Guard:
        self.check()
        return self._attached.ready()

    def offer(self, scopes: Iterable[str]) -> None:
        """Let clients of the proxy's ask for these *scopes*, whether or not they have named any when they registered.

        Which of them a caller has is said by Kinde's token. A list of valid ones would be that of the moment at which
        the server was made, when it has no tools yet.
        """
        if self._proxy is not None and self._proxy.client_registration_options is not None:
            self._proxy.update_default_scopes([*SIGN_IN_SCOPES.split(), *scopes])
            self._proxy.client_registration_options.valid_scopes = None

    def _metadata_route(self) -> Route:
        path = urlsplit(WellKnownPages(None, None, self.resource).metadata_url).path
        return Route(path, self._metadata, methods=["GET", "HEAD", "OPTIONS"])

    async def _metadata(self, request: Request) -> Response:
        pages = WellKnownPages(None, None, self.resource)
        path = urlsplit(pages.metadata_url).path  # wherever it is mounted
        page = pages.answer(request.method, path, self._attached.ready, list)
        return Response(status_code=404) if page is None else Response(page.body, page.status, dict(page.headers))


class _InFront:
    """The middleware of a :class:`KindeProvider`: at the server's path, the gate; all else is none of its business."""

    def __init__(self, app: ASGIApp, provider: KindeProvider) -> None:
        self.app = app
        self.provider = provider
        self._gate: McpGate | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._gate is None:
            self._gate = self.provider.gate_for(self.app, _server_of(scope["app"]))
        if scope["type"] == "lifespan":
            return await Starting(self.app, functools.partial(self._check, self._gate))(scope, receive, send)
        if scope["type"] != "http" or asgi_scope.path_of(scope) != scope["app"].state.path:
            return await self.app(scope, receive, send)
        if not self._gate.checked:
            await self._check(self._gate)
        return await self._gate(scope, receive, send)

    async def _check(self, gate: McpGate) -> None:
        self.provider.check()
        await gate.check()
        self.provider.offer(gate.endpoint.demands.scopes())


class _FastMCPToken(FastMCPAccessToken):
    """A token as fastmcp knows tokens. It shows itself without its text."""

    token: str = Field(repr=False)
    _call: Call | None = PrivateAttr(default=None)

    @property
    def call(self) -> Call | None:
        """The call that decorators judge where no gate stands in front."""
        return self._call


def fastmcp_token(raw: str, token: AccessToken, guard: Authenticator) -> FastMCPAccessToken:
    """*token*, whose text is *raw*, for fastmcp."""
    made = _FastMCPToken(**members(raw, token, guard))
    made._call = Call(guard, token)
    return made


_verdict: ContextVar[AccessToken | Refusal | None] = ContextVar("kinde_guard.fastmcp.verdict", default=None)
"""What the guard has said of the token of Kinde's that the proxy keeps. The proxy itself says yes or no."""


class _OfKinde(TokenVerifier):
    """Verifies the tokens that the proxy keeps."""

    def __init__(self, guard: Guard) -> None:
        super().__init__()
        self._guard = guard

    async def verify_token(self, token: str) -> FastMCPAccessToken | None:
        try:
            verified = await self._guard.aauthenticate([f"Bearer {token}"])
        except (AuthError, Unavailable) as refusal:
            _verdict.set(refusal.anew())
            return None
        _verdict.set(verified)
        return fastmcp_token(token, verified, self._guard)


class _ProviderEndpoint(Endpoint):
    """The endpoint of a server with a :class:`KindeProvider`."""

    make = staticmethod(fastmcp_token)

    def introduced(self, scope: Scope, token: AccessToken, guard: Authenticator) -> AuthenticatedUser:
        user = super().introduced(scope, token, guard)
        values = asgi_scope.authorization(scope)
        if not values or values[0][:7].lower() != b"bearer ":
            # fastmcp's own check, which comes next, wants to see the header, and no space before it. Where a test's
            # guard asks for no token there is none.
            header = b"Bearer " + (values[0].strip(b" \t")[7:].lstrip(b" ") if values else b"none")
            others = [(name, value) for name, value in scope["headers"] if name != b"authorization"]
            scope["headers"] = [*others, (b"authorization", header)]
        return user


class _ProxyEndpoint(_ProviderEndpoint):
    """The endpoint of a server that signs people in: requests carry tokens of the proxy's."""

    proxy: OAuthProxy
    own_guard: Authenticator | None
    url: str

    @property
    def metadata_url(self) -> str:
        return self.url

    async def caller(self, scope: Scope, guard: Authenticator) -> AccessToken:
        if guard is not self.own_guard:  # another one for as long as a test lasts
            return await super().caller(scope, guard)
        raw = token_from([value.decode("latin-1") for value in asgi_scope.authorization(scope)])
        _verdict.set(None)
        known, verdict = await self.proxy.verify_token(raw), _verdict.get()
        if isinstance(verdict, AuthError | Unavailable):
            raise verdict
        if known is None or verdict is None:
            raise InvalidToken("unknown_issuer", "the token is none that this server has handed out, or it is over")
        scope["kinde_guard.token"] = verdict  # for what ends with it
        return verdict


class _Proxy(OAuthProxy):
    """fastmcp's proxy for sign-ins, which stands before Kinde."""

    def _translate_scopes_from_idp(self, scopes: list[str]) -> list[str]:
        """Those that Kinde was asked for are none that a client has asked for: it may not even know them, and would
        ask for them together with what it lacks when it is told to step up."""
        return [scope for scope in scopes if scope not in SIGN_IN_SCOPES.split()]


def _proxy(guard: Guard, **options: Any) -> OAuthProxy:
    issuer, audience = guard.issuers[0], next(iter(guard.audiences), None)
    if audience is None:
        raise ConfigurationError("to sign people in, the guard needs an audience: the API that they sign in for")
    return _Proxy(
        upstream_authorization_endpoint=f"{issuer}/oauth2/auth",
        upstream_token_endpoint=f"{issuer}/oauth2/token",
        token_verifier=_OfKinde(guard),
        token_endpoint_auth_method="client_secret_post",  # noqa: S106  (the one that Kinde says it knows)
        extra_authorize_params={"audience": audience, "scope": SIGN_IN_SCOPES},
        forward_resource=False,  # which Kinde does not know
        **options,
    )


def _server_of(app: Any) -> FastMCP[Any]:
    if app.state.transport_type == "sse":
        raise ConfigurationError("KindeProvider guards MCP over streamable HTTP: http_app(), or transport='http'")
    return cast("FastMCP[Any]", app.state.fastmcp_server)


def trust_stdio(server: FastMCP[Any]) -> None:
    """Let whoever can start the process, or call *server* in it, do all that its decorators demand a token for: over
    stdio there is none. Requests over HTTP are judged as before."""
    say_who_calls(server, TrustedCall)
