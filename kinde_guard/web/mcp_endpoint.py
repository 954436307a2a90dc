"""An MCP endpoint: what the gate in front of it has to know."""

from __future__ import annotations

from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser

from .. import adapters
from ..adapters import AccessToken, asgi_scope
from ..asgi import Scope
from .mcp_callers import Caller, Make, verified_token
from .mcp_operations import Demands


class Endpoint:
    """The endpoint of a server that *attached* guards, which demands what *demands* says."""

    make: Make = staticmethod(verified_token)
    """What makes a token of the SDK's."""

    def __init__(self, attached: adapters.Attached, demands: Demands, public: frozenset[str] | None) -> None:
        self.attached = attached
        self.demands = demands
        self.public = public
        """The tools that need no token, where all else does; ``None`` if what carries no demand needs none."""

    @property
    def metadata_url(self) -> str:
        """The URL of the metadata of the resource (RFC 9728); empty if there is none."""
        return "" if self.attached.pages is None else self.attached.pages.metadata_url

    async def caller(self, scope: Scope, guard: adapters.Authenticator) -> AccessToken:
        """Whose the request is; raises what refuses it."""
        return asgi_scope.recognise(scope, guard) or await asgi_scope.aauthenticate(scope, guard)

    def introduced(self, scope: Scope, token: AccessToken, guard: adapters.Authenticator) -> AuthenticatedUser:
        """The caller, as the SDK knows callers."""
        return Caller(asgi_scope.authorization(scope), token, guard, self.make)
