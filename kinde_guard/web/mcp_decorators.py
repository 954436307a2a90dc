"""Who calls an MCP server, and the decorators ``requires_…`` on its tools, resources and prompts.

The gate in front of the server (:mod:`.mcp_gate`) judges before anything runs, and answers by HTTP status. A decorator
judges once more, inside: whatever way a call has come, by another name, through a mounted server, without HTTP at all.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from types import FunctionType, MethodType
from typing import Any, NoReturn, TypeVar, cast, get_type_hints

from mcp.server.auth.middleware.auth_context import get_access_token
from mcp.shared.exceptions import MCPError
from mcp_types import ErrorData

from .. import adapters
from ..adapters import AccessToken, Requirement
from ..errors import AuthError, ConfigurationError, MissingToken

F = TypeVar("F", bound=Callable[..., Any])
CODE = -32001  # JSON-RPC 2.0 §5.1: left to implementations; none of those that MCP has given a meaning
UNVERIFIED = (
    "{} demands {}, and this call came without a token that was verified: over stdio there is none. Serve it over HTTP "
    "behind KindeGuard(app) or a KindeProvider; or, if whoever can start this process may do all of it, say so with "
    "trust_stdio(server)"
)


class Call:
    """One request to an MCP server: who makes it, by which guard, and, once it was refused inside, why."""

    __slots__ = ("guard", "refusal", "token")

    def __init__(self, guard: adapters.Authenticator, token: AccessToken | None) -> None:
        self.guard = guard
        self.token = token
        self.refusal: AuthError | None = None

    def __deepcopy__(self, memo: object) -> Call:
        return self  # with the token of an SDK that holds it


class TrustedCall:
    """A call without HTTP, where the owner of the process has said that whoever makes one may do all."""

    token: AccessToken | None = None


CALL: ContextVar[Call | TrustedCall | None] = ContextVar("kinde_guard.mcp.call", default=None)


class Requires:
    """A demand: decorates the function of a tool, a resource or a prompt (``def`` or ``async def``), below the
    server's own decorator."""

    def __init__(self, requirement: Requirement) -> None:
        self.requirement = requirement

    @adapters.needs_function
    def __call__(self, function: F) -> F:
        adapters.check_function(function)
        requirement = adapters.stacked(function, self.requirement)
        bare = adapters.innermost(function)
        names = inspect.signature(bare).parameters
        requirement.bound(dict.fromkeys(names, ""))  # raises for an argument that the function does not have
        wrapper = _async_wrapper(bare, requirement) if _is_async(bare) else _sync_wrapper(bare, requirement)
        _annotate(wrapper, bare)
        adapters.mark(function, wrapper, requirement)
        return cast(F, wrapper)


_decorators = adapters.Decorators(Requires)
requires_auth = _decorators.requires_auth
requires_scope = _decorators.requires_scope
requires_permission = _decorators.requires_permission
requires_role = _decorators.requires_role
requires_org = _decorators.requires_org
requires = _decorators.requires


def token_or_none() -> AccessToken | None:
    """The caller's token, in whatever runs for a request to the server; ``None`` for a caller without one."""
    call = CALL.get() or _verified_by_the_sdk()
    return None if call is None else call.token


class CurrentToken:
    """The caller's token where one was demanded: has all that an :class:`~kinde_guard.AccessToken` has."""

    def require(self, requirement: Requirement) -> None:
        """Refuse with 403 if the token does not meet *requirement*; as a decorator does."""
        judge(adapters.checked_requirement(requirement), "this")

    def __getattr__(self, name: str) -> Any:
        token = token_or_none()
        if token is None:
            raise ConfigurationError(
                "there is no token: current_token is for tools, resources and prompts with @requires_…; elsewhere "
                "token_or_none() says whether there is one"
            )
        return getattr(token, name)

    def __repr__(self) -> str:
        return f"<current_token: {token_or_none()!r}>"


current_token = cast(AccessToken, CurrentToken())


def judge(requirement: Requirement, what: str) -> None:
    """Raise what refuses the call, as an error of JSON-RPC, if it does not meet *requirement*; *what* demands it."""
    call = CALL.get() or _verified_by_the_sdk()
    if isinstance(call, TrustedCall):
        return
    if call is None:
        raise _refused(MissingToken(), UNVERIFIED.format(what, requirement))
    if call.token is None:
        _refuse(call, MissingToken())
    if not requirement.met_by(call.token):
        try:
            call.guard.demand(call.token, requirement)
        except AuthError as refusal:
            _refuse(call, refusal)


def _refuse(call: Call, refusal: AuthError) -> NoReturn:
    call.refusal = refusal.anew()
    raise _refused(refusal, refusal.detail) from None


def _refused(refusal: AuthError, text: str) -> MCPError:
    """*refusal*, still what it was, as the one error that tools, resources and prompts alike let through."""
    raised: Any = refusal.anew(_as_mcp_error(type(refusal)))  # type: ignore[arg-type]  # a class can be hashed
    data = {"error": refusal.reason, "scope": " ".join(getattr(refusal, "required", ()))}
    raised.error = ErrorData(code=CODE, message=text, data={name: value for name, value in data.items() if value})
    return cast(MCPError, raised)


class _Said:
    """A refusal that says what the caller is told: fastmcp makes an error of its own out of the text of one."""

    error: ErrorData

    def __str__(self) -> str:
        return self.error.message


@functools.cache
def _as_mcp_error(kind: type[AuthError]) -> type[Exception]:
    return type(kind.__name__, (_Said, kind, MCPError), {"__module__": kind.__module__})


def _verified_by_the_sdk() -> Call | None:
    """The call that a :class:`KindeVerifier` has told the server's own middleware of, where no gate is in front."""
    return getattr(get_access_token(), "call", None)


def _async_wrapper(function: Callable[..., Any], requirement: Requirement) -> Callable[..., Any]:
    @functools.wraps(function)
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        judge(_bound(requirement, function, args, kwargs), _name_of(function))
        return await function(*args, **kwargs)

    return wrapper


def _sync_wrapper(function: Callable[..., Any], requirement: Requirement) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        judge(_bound(requirement, function, args, kwargs), _name_of(function))
        return function(*args, **kwargs)

    return wrapper


def _annotate(wrapper: Callable[..., Any], bare: Callable[..., Any]) -> None:
    """A partial, and an instance that is called, have their annotations elsewhere, where servers do not look."""
    if isinstance(bare, FunctionType | MethodType):
        return
    while isinstance(bare, functools.partial):
        bare = bare.func
    hints = get_type_hints(bare if isinstance(bare, FunctionType | MethodType) else type(bare).__call__)
    left = {*inspect.signature(wrapper).parameters, "return"}
    wrapper.__annotations__ = {name: hint for name, hint in hints.items() if name in left}


def needs_arguments(requirement: Requirement) -> bool:
    """Whether it can be judged only once the arguments of the call have been checked."""
    try:
        requirement.bound({})
    except ConfigurationError:
        return True
    return False


def _bound(
    requirement: Requirement, function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> Requirement:
    """``requires_org(path="org_code")`` compares with the argument of that name."""
    if not needs_arguments(requirement):
        return requirement
    given = inspect.signature(function).bind(*args, **kwargs)
    given.apply_defaults()
    return requirement.bound(given.arguments)


def _is_async(function: Any) -> bool:
    while isinstance(function, functools.partial):
        function = function.func
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__)


def _name_of(function: Any) -> str:
    return getattr(function, "__name__", type(function).__name__)
