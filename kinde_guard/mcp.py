"""MCP servers of the official SDK: ``KindeGuard(server.streamable_http_app())``, and ``@requires_scope(…)`` on tools.

    server = MCPServer("notes")

    @server.tool()
    @requires_scope("notes:write")
    def add(text: str) -> str: ...

    app = server.streamable_http_app()
    KindeGuard(app, resource="https://notes.acme.com/mcp")

What a caller may not do is refused before it runs, by HTTP status (MCP authorization, 2026-07-28 and 2025-11-25): 401
with the scopes to ask for, 403 with all scopes of the operation, 503 while keys cannot be had. A decorator refuses
inside as well: over stdio, where there is no token, nobody may call what demands one.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Unpack

try:
    from mcp.server.auth.settings import AuthSettings
    from mcp.server.mcpserver import MCPServer
    from starlette.applications import Starlette
except ModuleNotFoundError as missing:
    raise ImportError(
        "kinde_guard.mcp needs the MCP SDK: pip install 'kinde-guard[mcp]'", name=missing.name
    ) from missing

from . import starlette
from .adapters import Attached, OnEvent, PublicPaths, WellKnownPages
from .errors import AuthError, ConfigurationError
from .guard import Guard, GuardSettings
from .web.mcp_apps import BESIDE, demands_of, provider_of, put_gates, split
from .web.mcp_callers import VerifiedToken, verified_token
from .web.mcp_decorators import (
    TrustedCall,
    current_token,
    requires,
    requires_auth,
    requires_org,
    requires_permission,
    requires_role,
    requires_scope,
    token_or_none,
)
from .web.mcp_endpoint import Endpoint
from .web.mcp_local import say_who_calls
from .web.mcp_provider import Provider
from .web.mcp_resource import check_resource, resource_of

__all__ = [
    "KindeGuard",
    "KindeVerifier",
    "auth_settings",
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


class KindeGuard(starlette.KindeGuard):
    """Puts a guard in front of the app of an MCP server, that of ``server.streamable_http_app()`` or of fastmcp's
    ``http_app()``: ``KindeGuard(app)``.

    Without *public*, tools, resources and prompts that carry a demand need a token. Clients without one may list
    everything, and call the others. With it, everything needs a token but the tools that it names, also if the list is
    empty (``[]``). An entry that begins with a slash is the path of another route of the app. If a request carries a
    token, the token is always checked, whatever the request is for.

    *resource* is the https URL that clients connect to. Its metadata (RFC 9728) is served, and challenges name it. It
    has to be an audience of the guard. Without *resource* it is the audience that is a URL with the path of the
    endpoint; if there is none, or more than one, a warning says so when the app starts. *guard*, *healthz*, *readyz*,
    *pass_preflights*, *webhooks*, *on_event*, *close_expired* and *settings* are as in
    :class:`kinde_guard.starlette.KindeGuard`.

    If the server has a :class:`kinde_guard.fastmcp.KindeProvider` as its ``auth=``, that guards the endpoint, and this
    the other routes of the app, with the provider's guard: *guard*, *settings* and *resource* belong to the provider
    then, *public* names paths alone, and what the provider answers itself is public. Where it signs people in, the
    other routes take Kinde's own tokens: those of the proxy are for the endpoint.

    Raises :class:`~kinde_guard.ConfigurationError`.
    """

    _provider: Provider | None = None

    def __init__(
        self,
        app: Starlette | None = None,
        *,
        guard: Guard | None = None,
        public: Iterable[str] | None = None,
        healthz: str | None = None,
        readyz: str | None = None,
        resource: str | None = None,
        pass_preflights: bool = False,
        webhooks: str | None = None,
        on_event: OnEvent | None = None,
        close_expired: bool = False,
        **settings: Unpack[GuardSettings],
    ) -> None:
        self._tools, self._paths = split(public)
        self._resource, self._health = resource, (healthz, readyz)
        self._endpoints: list[str] = []
        super().__init__(
            app,
            guard=guard,
            healthz=healthz,
            readyz=readyz,
            resource=resource,
            pass_preflights=pass_preflights,
            webhooks=webhooks,
            on_event=on_event,
            close_expired=close_expired,
            **settings,
        )

    @property
    def guard(self) -> Guard | None:
        """That of the provider, if there is one. May be set, also while the app runs."""
        return self._guard if self._provider is None else self._provider.guard

    @guard.setter
    def guard(self, guard: Guard | None) -> None:
        if self._provider is None:
            self._guard = guard
        else:
            self._provider.guard = guard

    def init_app(self, app: Starlette) -> None:
        """Attach to *app*, before it starts. Raises :class:`ConfigurationError` if it is no MCP server's."""
        provider = provider_of(app)
        if provider is not None:
            self._stand_beside(provider)
            own = [app.state.path, *provider.own_paths]
        else:
            own = self._endpoints = put_gates(app, Endpoint(self, demands_of(app), self._tools))
        if self._paths is not None:
            self.public = PublicPaths([*self._paths, *own])  # at the endpoint, its own gate decides
        if self._guard is not None:
            self._settle_resource(self._guard)
        super().init_app(app)

    def _stand_beside(self, provider: Provider) -> None:
        """Guard what *provider* does not, by its guard."""
        given = {"guard": self.guard, "resource": self._resource, **self.settings}
        wrong = [f"{name}=" for name, value in given.items() if value is not None]
        if wrong := wrong + [f"public=[{tool!r}]" for tool in sorted(self._tools or ())]:
            raise ConfigurationError(BESIDE.format(wrong[0]))
        self._provider, self.settings = provider, provider.settings
        self.pages = WellKnownPages.of(*self._health, provider.kinde_resource)

    def check(self, app: Starlette) -> None:
        super().check(app)
        self.ready()  # which may tell of metadata, that is to be served from the first request on

    def ready(self) -> Guard:
        if self._provider is not None:
            return self._provider.ready()
        if self.guard is None:
            self._settle_resource(super().ready())
        return super().ready()

    def _settle_resource(self, guard: Guard) -> None:
        """Of the guard of the app's own: one that a test has put in its place may take tokens for something else."""
        if self._resource is not None:
            return check_resource(self._resource, guard)
        if (found := resource_of(guard, self._endpoints)) is not None:
            self._resource, self.pages = found, WellKnownPages.of(*self._health, found)
        return None


class KindeVerifier:
    """Verifies tokens for a server that has its app served by the SDK: ``token_verifier=KindeVerifier()``, together
    with ``auth=auth_settings(…)``.

    The SDK answers itself then: without our reasons, 500 while keys cannot be had, and what a tool demands is refused
    inside, as an error of JSON-RPC. Of two Authorization headers it reads the first, and says nothing of the other,
    which is 400 elsewhere: nothing of the request comes here but that token. :class:`KindeGuard` in front of
    ``server.streamable_http_app()`` answers rightly. *settings* are those of :class:`Guard`; what they leave out is
    read from the environment at the first token.
    """

    def __init__(self, guard: Guard | None = None, **settings: Unpack[GuardSettings]) -> None:
        self._attached = Attached(guard, settings)

    @property
    def guard(self) -> Guard | None:
        """May be set, also while the server runs; ``None`` until it is made."""
        return self._attached.guard

    @guard.setter
    def guard(self, guard: Guard | None) -> None:
        self._attached.guard = guard

    async def verify_token(self, token: str) -> VerifiedToken | None:
        """What the SDK wants to know of *token*; ``None`` if it is not good. Raises :class:`Unavailable`."""
        guard = self._attached.ready()
        try:
            verified = await guard.aauthenticate([f"Bearer {token}"])
        except AuthError:
            return None
        return verified_token(token, verified, guard)


def auth_settings(resource: str, guard: Guard) -> AuthSettings:
    """The SDK's settings for a server at the https URL *resource*, which has to be an audience of *guard*:
    ``MCPServer(…, token_verifier=KindeVerifier(guard), auth=auth_settings("https://notes.acme.com/mcp", guard))``.

    Raises :class:`ConfigurationError`.
    """
    check_resource(resource, guard)
    # As text: a slash at the end would break clients that compare issuers letter by letter.
    urls = {"issuer_url": guard.issuers[0], "resource_server_url": resource}
    return AuthSettings.model_validate({**urls, "validate_token_resource": False})  # the guard compares the audience


def trust_stdio(server: MCPServer[Any]) -> None:
    """Let whoever can start the process, or call *server* in it, do all that its decorators demand a token for: over
    stdio there is none. Requests over HTTP are judged as before."""
    say_who_calls(server, TrustedCall)
