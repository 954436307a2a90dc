"""kinde_guard stands in front of an API and decides, on every request, whether a Kinde access token lets the caller in.

The names below are loaded when they are asked for (PEP 562), so that ``import kinde_guard`` costs next to nothing.
"""

from __future__ import annotations

import importlib

TYPE_CHECKING = False  # typing would be most of what importing this costs
if TYPE_CHECKING:
    import typing

    from .errors import AuthError as AuthError
    from .errors import ConfigurationError as ConfigurationError
    from .errors import Forbidden as Forbidden
    from .errors import InsufficientScope as InsufficientScope
    from .errors import InvalidRequest as InvalidRequest
    from .errors import InvalidToken as InvalidToken
    from .errors import KeysUnavailable as KeysUnavailable
    from .errors import KindeGuardError as KindeGuardError
    from .errors import MissingToken as MissingToken
    from .guard import Guard as Guard
    from .requirements import Requirement as Requirement
    from .requirements import flag as flag
    from .requirements import machine as machine
    from .requirements import org as org
    from .requirements import permission as permission
    from .requirements import role as role
    from .requirements import scope as scope
    from .requirements import user as user
    from .tokens.access_token import AccessToken as AccessToken
    from .tokens.caller import Caller as Caller

__version__ = "0.1.0"

_HOME = {
    "AccessToken": "tokens.access_token",
    "AuthError": "errors",
    "Caller": "tokens.caller",
    "ConfigurationError": "errors",
    "Forbidden": "errors",
    "Guard": "guard",
    "InsufficientScope": "errors",
    "InvalidRequest": "errors",
    "InvalidToken": "errors",
    "KeysUnavailable": "errors",
    "KindeGuardError": "errors",
    "MissingToken": "errors",
    "Requirement": "requirements",
    "flag": "requirements",
    "machine": "requirements",
    "org": "requirements",
    "permission": "requirements",
    "role": "requirements",
    "scope": "requirements",
    "user": "requirements",
}
__all__ = sorted(_HOME)
_FRAMEWORKS = "kinde_guard.fastapi, or of .starlette, .flask, .django, .mcp, .fastmcp"
_ELSEWHERE = {
    **dict.fromkeys(
        ("requires", "requires_auth", "requires_org", "requires_permission", "requires_role", "requires_scope"),
        _FRAMEWORKS,
    ),
    "KindeGuard": "kinde_guard.fastapi, or of .starlette, .flask, .mcp, .fastmcp",
    "KindeGuardMiddleware": "kinde_guard.django",
    **dict.fromkeys(
        ("AccessTokenSecurity", "OptionalToken", "Token", "TokenOrNone", "docs_paths"), "kinde_guard.fastapi"
    ),
    **dict.fromkeys(("KindeBackend", "KindeUser", "on_error"), "kinde_guard.starlette"),
    "atoken_or_none": "kinde_guard.starlette, or of .django",
    "current_token": "kinde_guard.flask, or of .mcp, .fastmcp",
    "optional_token": "kinde_guard.flask",
    "token_or_none": "kinde_guard.flask, or of .starlette, .django, .mcp, .fastmcp",
    "GuardMiddleware": "kinde_guard.asgi, or of .wsgi",
    "ApiKeys": "kinde_guard.api_keys",
    **dict.fromkeys(("ApiKeysUnavailable", "RevocationsUnavailable", "Unavailable"), "kinde_guard.errors"),
    "ClientCredentials": "kinde_guard.m2m",
    "LocalIssuer": "kinde_guard.issuer",
    "Revocations": "kinde_guard.revocation",
    "Telemetry": "kinde_guard.otel",
    **dict.fromkeys(("WebhookReader", "WebhookReceiver"), "kinde_guard.webhooks"),
    "parse": "kinde_guard.requirements",
}  # fmt: skip
"""Names that are looked for here, and where they are."""


# Type checkers know the names from above, and would take this for a promise that whatever name is written exists.
if not TYPE_CHECKING:

    def __getattr__(name: str) -> typing.Any:
        if name in _ELSEWHERE:
            raise ImportError(f"{name} is a name of {_ELSEWHERE[name]}: import it from there", name=name)
        if name not in _HOME:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(f".{_HOME[name]}", __name__), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME])
