"""The kinds of requirements, and the functions that make them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NoReturn

from ..errors import AuthError, ConfigurationError, Forbidden, ForbiddenReason, InsufficientScope, Unavailable
from ..tokens.access_token import AccessToken
from ..web.wording import SCOPE_TOKEN, few

# What the log says of a user's token that lacks a scope, and `explain` as well.
OIDC_SCOPES_ALONE = (
    "a user's token has OIDC scopes alone: demand permission(…) instead; or, in Kinde, switch on Include API scopes in "
    "the permissions claim (Settings → Applications → the application → Tokens → Token customization → Access token → "
    "Customize), and set permissions_as_scopes=True"
)
NOT_PERMITTED = (
    "the user has no permission {}: in Kinde, give it to the user in this organization (Users → the user → "
    "Permissions), and see that Include API scopes in the permissions claim is switched on for the app; then sign in "
    "again"
)
_ORG_HINT = "the token belongs to another organization, or to none"


class Requirement(ABC):
    """Something a token has to have. Combine with ``&`` (both) and ``|`` (either)::

        staff = role("admin") | permission("users:read") & org("org_1486622b2cd")

        @requires(staff)                           # on a route
        token.require(staff)                       # in a function: raises InsufficientScope or Forbidden
        if staff.met_by(token): ...

    It is a value that holds for every request: make it once, where the module is imported.
    """

    __slots__ = ()

    @abstractmethod
    def refusal(self, token: AccessToken) -> AuthError | Unavailable | None:
        """Why *token* does not do, or ``None`` if it does."""

    def scopes(self) -> tuple[str, ...]:
        """The scopes that a client is told to ask for; of alternatives (``|``), those of the first that names any."""
        return ()

    def bound(self, parameters: Mapping[str, object]) -> Requirement:
        """This requirement for one request, whose route has these path *parameters*."""
        return self

    def met_by(self, token: AccessToken) -> bool:
        """Whether *token* meets it, for an ``if``; to refuse, write ``token.require(requirement)``."""
        return self.refusal(token) is None

    def __and__(self, other: Requirement) -> Requirement:
        return AllOf(_parts(AllOf, self, other))

    def __or__(self, other: Requirement) -> Requirement:
        return AnyOf(_parts(AnyOf, self, other))

    def __bool__(self) -> NoReturn:
        # `scope("a") and scope("b")` would quietly be scope("b") alone.
        raise ConfigurationError("write & for `and`, | for `or`, and requirement.met_by(token) for an `if`")


@dataclass(frozen=True, slots=True)
class AllOf(Requirement):
    """Every part; reports the first that is not met."""

    parts: tuple[Requirement, ...]

    def refusal(self, token: AccessToken) -> AuthError | Unavailable | None:
        for part in self.parts:
            refusal = part.refusal(token)
            if refusal is not None:
                return self._with_all_scopes(refusal)
        return None

    def scopes(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name for part in self.parts for name in part.scopes()))

    def bound(self, parameters: Mapping[str, object]) -> Requirement:
        parts = tuple(part.bound(parameters) for part in self.parts)
        return self if parts == self.parts else AllOf(parts)

    def _with_all_scopes(self, refusal: AuthError | Unavailable) -> AuthError | Unavailable:
        """RFC 6750 §3: ``scope`` names the scope *required*, all of it, so that one more token request is enough."""
        if isinstance(refusal, InsufficientScope):
            return InsufficientScope(dict.fromkeys((*self.scopes(), *refusal.required)), refusal.hint)
        return refusal

    def __str__(self) -> str:
        parts = [f"({part})" if isinstance(part, AnyOf) else str(part) for part in self.parts]
        return " & ".join(parts) or "any valid token"


@dataclass(frozen=True, slots=True)
class AnyOf(Requirement):
    """One part is enough; reports the first alternative that names a scope, else the first."""

    parts: tuple[Requirement, ...]

    def refusal(self, token: AccessToken) -> AuthError | Unavailable | None:
        if any(part.met_by(token) for part in self.parts):
            return None
        return self._reported().refusal(token)

    def scopes(self) -> tuple[str, ...]:
        return self._reported().scopes()

    def bound(self, parameters: Mapping[str, object]) -> Requirement:
        parts = tuple(part.bound(parameters) for part in self.parts)
        return self if parts == self.parts else AnyOf(parts)

    def _reported(self) -> Requirement:
        return next((part for part in self.parts if part.scopes()), self.parts[0])

    def __str__(self) -> str:
        return " | ".join(map(str, self.parts))


@dataclass(frozen=True, slots=True)
class Scopes(Requirement):
    """All of these scopes, compared exactly."""

    names: tuple[str, ...]

    def refusal(self, token: AccessToken) -> AuthError | None:
        granted = token.scopes
        for name in self.names:
            if name not in granted:
                missing = [name for name in self.names if name not in granted]
                return InsufficientScope(self.names, _scope_hint(missing, token))
        return None

    def met_by(self, token: AccessToken) -> bool:
        return token.scopes.issuperset(self.names)

    def scopes(self) -> tuple[str, ...]:
        return self.names

    def __str__(self) -> str:
        return _spelling("scope", self.names)


@dataclass(frozen=True)  # without slots: machine and user have a docstring of their own
class ClaimRequirement(Requirement):
    """A condition that is no scope: *holds* says whether a token meets it."""

    spelling: str
    reason: ForbiddenReason
    holds: Callable[[AccessToken], bool]
    hint: str

    def refusal(self, token: AccessToken) -> AuthError | None:
        return None if self.holds(token) else Forbidden(self.reason, self.hint)

    def __str__(self) -> str:
        return self.spelling


@dataclass(frozen=True, slots=True)
class OrgInPath(Requirement):
    """The token's organization is the one in this path parameter of the route."""

    parameter: str

    def bound(self, parameters: Mapping[str, object]) -> Requirement:
        if self.parameter not in parameters:
            raise ConfigurationError(
                f"requires_org(path={self.parameter!r}): the route has no path parameter of that name"
            )
        code = str(parameters[self.parameter])
        return ClaimRequirement(str(self), "wrong_org", lambda token: bool(code) and token.org_code == code, _ORG_HINT)

    def refusal(self, token: AccessToken) -> AuthError | None:
        raise ConfigurationError(f"requires_org(path={self.parameter!r}) needs a route: outside one, use org(code)")

    def __str__(self) -> str:
        return f"org(path={self.parameter!r})"


def scope(*names: str) -> Requirement:
    """The token has all of these scopes (RFC 6749 §3.3): ``scope("read:users", "read:groups")``.

    A token that lacks one gets a 403 ``insufficient_scope`` that names them all. Write ``|`` for *any*, and ``&`` for
    *both*::

        @requires(scope("read:users") | permission("users:read"))

    A user's token seldom has scopes of your API: see :func:`permission`. Raises
    :class:`~kinde_guard.ConfigurationError` for a name that is not one scope.
    """
    for name in _named("scope", names):
        if SCOPE_TOKEN.fullmatch(name) is None:
            raise ConfigurationError(f"{name!r} is not one scope: write scope('a', 'b') for several, without spaces")
    return Scopes(tuple(dict.fromkeys(map(str.__str__, names))))  # of an enum's members their text alone


def permission(*keys: str) -> Requirement:
    """The token has all of these permissions, by key: ``permission("users:read")`` (Kinde: claim ``permissions``).

    Raises :class:`~kinde_guard.ConfigurationError` for a key that is empty or not text.
    """
    wanted = frozenset(_named("permission", keys))
    hint = f"the token lacks a permission ({few(keys)}): in Kinde, give it to the role of the user, or to the app"
    return ClaimRequirement(
        _spelling("permission", keys), "missing_permission", lambda token: wanted <= token.permissions, hint
    )


def role(*keys: str) -> Requirement:
    """The token has all of these roles, by key: ``role("admin")``.

    Kinde puts ``roles`` into tokens only where that is switched on: the app → Tokens → Access token → Customize. Raises
    :class:`~kinde_guard.ConfigurationError` for a key that is empty or not text.
    """
    wanted = frozenset(_named("role", keys))
    hint = (
        f"the token lacks a role ({few(keys)}): in Kinde, give it to the user, and switch on roles in "
        "the tokens of the app"
    )
    return ClaimRequirement(_spelling("role", keys), "missing_role", lambda token: wanted <= token.roles, hint)


def org(code: str) -> Requirement:
    """The token belongs to the organization with this *code*: ``org("org_1486622b2cd")`` (claim ``org_code``).

    A token without an organization does not. For the organization in the path of a route, write
    ``@requires_org(path="org_code")``. Raises :class:`~kinde_guard.ConfigurationError` for a code that is empty or not
    text.
    """
    _named("org", (code,))
    return ClaimRequirement(_spelling("org", (code,)), "wrong_org", lambda token: token.org_code == code, _ORG_HINT)


def org_of_route(code: str | None, path: str | None) -> Requirement:
    """What ``requires_org("org_123")`` and ``requires_org(path="org_code")`` require; one of the two has to be
    given."""
    if (code is None) == (path is None):
        raise ConfigurationError("write requires_org('org_123'), or requires_org(path='org_code') for a path parameter")
    if code is not None:
        return org(code)
    return OrgInPath(_named("requires_org", (str(path),))[0])


def flag(key: str, value: object = True) -> Requirement:
    """The token has the feature flag *key* with exactly this *value*: ``flag("beta")``, ``flag("theme", "dark")``.

    ``1`` is not ``True``. Raises :class:`~kinde_guard.ConfigurationError` for a key that is empty or not text.
    """
    _named("flag", (key,))
    absent = object()

    def holds(token: AccessToken) -> bool:
        found = token.flag(key, absent)
        return type(found) is type(value) and found == value

    hint = f"feature flag {key} is absent or has another value"
    return ClaimRequirement(_spelling("flag", (key, value)), "missing_flag", holds, hint)


machine: Requirement = ClaimRequirement(
    "machine",
    "wrong_subject",
    lambda token: token.is_m2m,
    "only a machine-to-machine app may do this, and the caller is a user",
)
"""The caller is a machine-to-machine app: ``@requires(machine & scope("read:users"))``."""

user: Requirement = ClaimRequirement(
    "user",
    "wrong_subject",
    lambda token: not token.is_m2m,
    "only a user may do this, and the caller is a machine-to-machine app",
)
"""The caller is a user, and not a machine-to-machine app: ``@requires(user)``."""

authenticated: Requirement = AllOf(())
"""Any valid token."""

# What help() says of the two; the strings above are for editors.
vars(machine)["__doc__"] = 'The caller is a machine-to-machine app: ``@requires(machine & scope("read:users"))``.'
vars(user)["__doc__"] = "The caller is a user, and not a machine-to-machine app: ``@requires(user)``."


def _parts(kind: type[AllOf] | type[AnyOf], *sides: Requirement) -> tuple[Requirement, ...]:
    for side in sides:
        if not isinstance(side, Requirement):
            raise ConfigurationError(
                f"{side!r} is not a requirement: write scope(…), permission(…), role(…), org(…), machine …"
            )
    nested = [side.parts if isinstance(side, kind) else (side,) for side in sides]
    return tuple(part for parts in nested for part in parts)


def _named(word: str, names: tuple[str, ...]) -> tuple[str, ...]:
    if not names:
        raise ConfigurationError(f"{word}() needs a name, such as {word}('read:users')")
    for name in names:
        if callable(name):
            raise ConfigurationError(f"write @requires_{word}('read:users') with a name in parentheses")
        if not isinstance(name, str) or not name.strip():
            raise ConfigurationError(f"{word}() takes names that are text and not empty, not {name!r}")
    return names


def _spelling(word: str, arguments: tuple[object, ...]) -> str:
    return f"{word}({', '.join(map(repr, arguments))})"


def _scope_hint(missing: list[str], token: AccessToken) -> str:
    held = [name for name in missing if name in token.permissions]
    if held:
        return (
            f"the token holds {few(held, ' ')} as a permission, not as a scope: "
            "require permission(…) instead, or set permissions_as_scopes=True"
        )
    if not token.is_m2m and not isinstance(token.claims.get("scope"), str):
        if token.permissions_as_scopes:
            return NOT_PERMITTED.format(few(missing, " "))
        return f"the token lacks {few(missing, ' ')}: {OIDC_SCOPES_ALONE}"
    return f"the token lacks {few(missing, ' ')}: authorise the app for it in Kinde, and request the scope"
