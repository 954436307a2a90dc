"""What a route demands of a token: ``scope("read:users") & org("org_1") | permission("users:read")``.

A requirement is a value: it is built at import, combined with ``&`` and ``|``, and asked for its *refusal* of a token.
"""

from __future__ import annotations

import functools
import json
import operator
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import NoReturn

from .errors import AuthError, ConfigurationError, Forbidden, ForbiddenReason, InsufficientScope
from .tokens.access_token import AccessToken
from .web.wording import SCOPE_TOKEN, few

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
    """Something a token has to have. Combine with ``&`` (both) and ``|`` (either)."""

    __slots__ = ()

    @abstractmethod
    def refusal(self, token: AccessToken) -> AuthError | None:
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

    def refusal(self, token: AccessToken) -> AuthError | None:
        for part in self.parts:
            refusal = part.refusal(token)
            if refusal is not None:
                return self._with_all_scopes(refusal)
        return None

    def scopes(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name for part in self.parts for name in part.scopes()))

    def bound(self, parameters: Mapping[str, object]) -> Requirement:
        return AllOf(tuple(part.bound(parameters) for part in self.parts))

    def _with_all_scopes(self, refusal: AuthError) -> AuthError:
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

    def refusal(self, token: AccessToken) -> AuthError | None:
        if any(part.met_by(token) for part in self.parts):
            return None
        return self._reported().refusal(token)

    def scopes(self) -> tuple[str, ...]:
        return self._reported().scopes()

    def bound(self, parameters: Mapping[str, object]) -> Requirement:
        return AnyOf(tuple(part.bound(parameters) for part in self.parts))

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

    def scopes(self) -> tuple[str, ...]:
        return self.names

    def __str__(self) -> str:
        return _spelling("scope", self.names)


@dataclass(frozen=True, slots=True)
class Demand(Requirement):
    """One thing that is no scope; *holds* decides."""

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
        return Demand(str(self), "wrong_org", lambda token: bool(code) and token.org_code == code, _ORG_HINT)

    def refusal(self, token: AccessToken) -> AuthError | None:
        raise ConfigurationError(f"requires_org(path={self.parameter!r}) needs a route: outside one, use org(code)")

    def __str__(self) -> str:
        return f"org(path={self.parameter!r})"


def scope(*names: str) -> Requirement:
    """All of these scopes (RFC 6749 §3.3); a missing one is a 403 ``insufficient_scope`` that names them all."""
    for name in _named("scope", names):
        if SCOPE_TOKEN.fullmatch(name) is None:
            raise ConfigurationError(f"{name!r} is not one scope: write scope('a', 'b') for several, without spaces")
    return Scopes(tuple(dict.fromkeys(names)))


def permission(*keys: str) -> Requirement:
    """All of these permission keys (Kinde: claim ``permissions``)."""
    wanted = frozenset(_named("permission", keys))
    hint = f"the token lacks a permission of {few(keys)}: give it to the caller's role or app in Kinde"
    return Demand(_spelling("permission", keys), "missing_permission", lambda token: wanted <= token.permissions, hint)


def role(*keys: str) -> Requirement:
    """All of these roles, by key (Kinde: claim ``roles``, which has to be switched on in the app's tokens)."""
    wanted = frozenset(_named("role", keys))
    hint = f"the token lacks a role of {few(keys)}: in Kinde, switch on Roles in the app's token customization"
    return Demand(_spelling("role", keys), "missing_role", lambda token: wanted <= token.roles, hint)


def org(code: str) -> Requirement:
    """The token belongs to this organization (claim ``org_code``); a token of no organization does not."""
    _named("org", (code,))
    return Demand(_spelling("org", (code,)), "wrong_org", lambda token: token.org_code == code, _ORG_HINT)


def org_of_route(code: str | None, path: str | None) -> Requirement:
    """What ``requires_org("org_123")`` and ``requires_org(path="org_code")`` require; one of the two has to be
    given."""
    if (code is None) == (path is None):
        raise ConfigurationError("write requires_org('org_123'), or requires_org(path='org_code') for a path parameter")
    if code is not None:
        return org(code)
    return OrgInPath(_named("requires_org", (str(path),))[0])


def flag(key: str, value: object = True) -> Requirement:
    """The feature flag *key* is in the token and has exactly this *value* (``1`` is not ``True``)."""
    _named("flag", (key,))
    absent = object()

    def holds(token: AccessToken) -> bool:
        found = token.flag(key, absent)
        return type(found) is type(value) and found == value

    hint = f"feature flag {key} is absent or has another value"
    return Demand(_spelling("flag", (key, value)), "missing_flag", holds, hint)


machine: Requirement = Demand(
    "machine", "wrong_subject", lambda token: token.is_m2m, "this is for apps, and a user called"
)
"""The caller is a machine-to-machine app."""

user: Requirement = Demand(
    "user", "wrong_subject", lambda token: not token.is_m2m, "this is for users, and an app called"
)
"""The caller is a user."""

authenticated: Requirement = AllOf(())
"""Any valid token."""

LONGEST_TEXT = 4_096
DEEPEST_TEXT = 32
SPELLED_WITH_A_NAME: Mapping[str, Callable[[str], Requirement]] = {
    "scope": scope,
    "permission": permission,
    "role": role,
    "org": org,
    "flag": flag,
}
SPELLED_ALONE: Mapping[str, Requirement] = {"machine": machine, "user": user, "authenticated": authenticated}
SPELLINGS = (
    "scope:NAME, permission:KEY, role:KEY, org:CODE, flag:KEY, flag:KEY=VALUE, machine, user or authenticated; with & "
    "for and, | for or, and parentheses"
)
"""What :func:`parse` reads, in a sentence."""


def parse(text: str) -> Requirement:
    """The requirement that *text* spells: ``(scope:read:users & permission:view) | role:admin``.

    For command lines and configuration files. It reads ``scope:NAME``, ``permission:KEY``, ``role:KEY``, ``org:CODE``,
    ``flag:KEY`` (which is ``true``), ``flag:KEY=VALUE``, ``machine``, ``user`` and ``authenticated``; ``&`` is *and*,
    ``|`` is *or*, and where both stand beside each other parentheses have to say which comes first. A name or a value
    with a space or one of ``&|()="`` in it stands in quotes, as in JSON: ``permission:"view reports"``. A value is
    ``true``, ``false``, a number, or else text; ``"true"`` in quotes is text. At most 4,096 characters, and 32
    parentheses inside one another.

    Raises :class:`ConfigurationError`, which says what it cannot read. Never give it what a caller has sent.
    """
    if not isinstance(text, str):
        raise ConfigurationError(f"a requirement is written as text, such as 'scope:read:users', not {text!r}")
    if len(text) > LONGEST_TEXT:
        raise ConfigurationError(f"a requirement has at most {LONGEST_TEXT:,} characters, and this has {len(text):,}")
    reader = _Reader(_lexemes(text))
    requirement = reader.expression(0)
    if reader.ahead:
        raise ConfigurationError("a ) has no ( before it")
    return requirement


class _Reader:
    """The lexemes of a text and how far they have been read; the empty one is the end."""

    def __init__(self, lexemes: Iterator[str]) -> None:
        self._lexemes = lexemes
        self.ahead = next(lexemes, "")

    def expression(self, depth: int) -> Requirement:
        """Terms that are all joined by ``&``, or all by ``|``."""
        found, joint = [self._term(depth)], self.ahead
        while self.ahead in _JOINTS:
            if self.ahead != joint:
                raise ConfigurationError("& and | stand beside each other: say with parentheses which comes first")
            self._take()
            found.append(self._term(depth))
        if self.ahead not in ("", ")"):
            raise ConfigurationError(f"there is no & and no | before {self.ahead!r}; a name with a space needs quotes")
        return functools.reduce(_JOINTS.get(joint, operator.and_), found)

    def _term(self, depth: int) -> Requirement:
        lexeme = self._take()
        if lexeme != "(":
            return _spelled(lexeme)
        if depth == DEEPEST_TEXT:
            raise ConfigurationError(f"more than {DEEPEST_TEXT} parentheses stand inside one another")
        inner = self.expression(depth + 1)
        if self._take() != ")":
            raise ConfigurationError("a ( has no ) after it")
        return inner

    def _take(self) -> str:
        taken, self.ahead = self.ahead, next(self._lexemes, "")
        return taken


_JOINTS: Mapping[str, Callable[[Requirement, Requirement], Requirement]] = {"&": operator.and_, "|": operator.or_}
_QUOTED = r'"(?:[^"\\]|\\.)*"'
# Not compiled here: few read text, and everybody imports this.
_LEXEME = rf'\s*([&|()]|(?:[^\s&|()"]|{_QUOTED})+|\Z)'
_FLAG = rf'({_QUOTED}|[^="]+)(?:=(.*))?'
_NUMBER = r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?"


def _lexemes(text: str) -> Iterator[str]:
    """Operators, parentheses, and what stands between them."""
    at, lexeme = 0, re.compile(_LEXEME)
    while at < len(text):
        found = lexeme.match(text, at)
        if found is None:
            raise ConfigurationError(f"a quotation mark has none that ends it: {text[at:]!r}")
        yield found[1]
        at = found.end()


def _spelled(lexeme: str) -> Requirement:
    """What one lexeme demands; the name of a scope may itself hold colons."""
    if lexeme in SPELLED_ALONE:
        return SPELLED_ALONE[lexeme]
    word, _, name = lexeme.partition(":")
    if lexeme in ("", ")", *_JOINTS):
        raise ConfigurationError(f"something is missing before {lexeme or 'the end'}: write {SPELLINGS}")
    if word not in SPELLED_WITH_A_NAME:
        raise ConfigurationError(f"{lexeme!r} is none of {SPELLINGS}")
    if not name:
        raise ConfigurationError(f"{lexeme!r} lacks a name: write {word}:NAME")
    return _spelled_flag(name) if word == "flag" else SPELLED_WITH_A_NAME[word](_unquoted(name))


def _spelled_flag(text: str) -> Requirement:
    found = re.fullmatch(_FLAG, text, re.DOTALL)
    if found is None or found[2] == "":
        raise ConfigurationError(f"'flag:{text}' cannot be read: write flag:KEY, or flag:KEY=VALUE")
    return flag(_unquoted(found[1]), True if found[2] is None else _value(found[2]))


def _value(text: str) -> object:
    """A feature flag's value, of the type it has in a token."""
    if text in ("true", "false") or re.fullmatch(_NUMBER, text):
        return json.loads(text)
    return _unquoted(text)


def _unquoted(text: str) -> str:
    if '"' not in text:
        return text
    try:
        name = json.loads(text)
    except ValueError:
        raise ConfigurationError(f"quotation marks stand around the whole of a name, as in JSON, not {text}") from None
    return str(name)


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
