"""What an app's OpenAPI document says of the guard: which operations demand a token, and how they refuse. Pure.

A document is added to in place, as FastAPI keeps it; doing it twice adds nothing. What the app says itself stays.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from ..requirements import AllOf, Requirement, Scopes, authenticated
from .gate import Gate
from .wording import MEDIA_TYPE

BEARER = "Kinde"
SIGN_IN = "KindeSignIn"
PASTE = "An access token from Kinde. `kinde-guard token` gets one."

Schema = dict[str, Any]

_METHODS = frozenset(("get", "put", "post", "delete", "options", "head", "patch", "trace", "query"))
_BEARER_SCHEME = {"type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": PASTE}
_PROBLEM = "KindeGuardProblem"
_PROBLEM_SCHEMA = {
    "title": _PROBLEM,
    "description": "Why a request was refused (RFC 9457).",
    "type": "object",
    "required": ["title", "status", "detail", "error"],
    "properties": {
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "error": {"type": "string", "description": "For programs: RFC 6750 §3.1, or the reason."},
    },
}
_CHALLENGE = {"WWW-Authenticate": {"description": "The challenge (RFC 6750 §3).", "schema": {"type": "string"}}}
_RETRY = {"Retry-After": {"description": "Seconds.", "schema": {"type": "integer"}}}
_REFUSALS: dict[str, tuple[str, Schema]] = {
    "401": ("No access token, or none that is accepted.", _CHALLENGE),
    "403": ("The access token does not hold what this operation demands.", _CHALLENGE),
    "503": ("Access tokens cannot be verified at the moment.", _RETRY),
}


@dataclass(frozen=True, slots=True)
class Described:
    """What is known of an app, to be put into its document."""

    prefix: str
    """Where the app is mounted."""
    gates: tuple[Gate, ...]
    """All that stand in front of it."""
    schemes: frozenset[str]
    """The names of those that are ours."""
    demanding: frozenset[tuple[str, str]]
    """Path and method of what demands more than a token."""
    restyled: frozenset[str]
    """The statuses of refusals whose body is the app's, which has a handler of its own for them."""

    def put_into(self, document: Schema) -> None:
        for path, method, operation in operations(document):
            shut = AllOf(tuple(gate.requires for gate in self.gates if gate.closes(self.prefix + path)))
            if shut.parts:
                lock(operation, document, shut)
            needed = {name: scopes for name, scopes in _security(operation, document) if name in self.schemes}
            if needed:
                demands = any(needed.values()) or any(part is not authenticated for part in shut.parts)
                statuses = ("401", "403", "503") if demands or (path, method) in self.demanding else ("401", "503")
                self._add_refusals(operation, document, statuses)

    def _add_refusals(self, operation: Schema, document: Schema, statuses: Iterable[str]) -> None:
        """Those that the app does not describe itself."""
        responses = operation.setdefault("responses", {})
        for status in statuses:
            if {status, f"{status[0]}XX", "default"}.isdisjoint(responses):
                description, headers = _REFUSALS[status]
                responses[status] = {"description": description, "headers": headers}
                if status not in self.restyled:
                    responses[status]["content"] = {MEDIA_TYPE: {"schema": _problem(document)}}


def operations(document: Schema) -> Iterator[tuple[str, str, Schema]]:
    """Path, method and description of each; webhooks and callbacks are what others serve."""
    for path, item in document.get("paths", {}).items():
        for method, described in item.items():
            if method in _METHODS and isinstance(described, dict):
                yield path, method, described


def lock(operation: Schema, document: Schema, demand: Requirement) -> None:
    """Have *operation* demand a token, and the scopes of *demand*, in each of the ways to call it."""
    schemes = document.setdefault("components", {}).setdefault("securitySchemes", {})
    schemes.setdefault(BEARER, dict(_BEARER_SCHEME))
    ways = operation.get("security", document.get("security")) or [{}]
    security: list[Schema] = []
    for way in (_with_token(way, schemes, certain_scopes(demand)) for way in ways):
        if way not in security:
            security.append(way)
    operation["security"] = security


def certain_scopes(requirement: Requirement) -> tuple[str, ...]:
    """The scopes without which *requirement* cannot be met: these, OpenAPI can show."""
    if isinstance(requirement, Scopes):
        return requirement.names
    parts = requirement.parts if isinstance(requirement, AllOf) else ()
    return tuple(dict.fromkeys(name for part in parts for name in certain_scopes(part)))


def _security(operation: Schema, document: Schema) -> Iterator[tuple[str, list[str]]]:
    """Each security scheme that *operation* names, or the whole *document*, with scopes."""
    for way in operation.get("security", document.get("security")) or ():
        yield from way.items()


def _problem(document: Schema) -> Schema:
    document.setdefault("components", {}).setdefault("schemas", {}).setdefault(_PROBLEM, _PROBLEM_SCHEMA)
    return {"$ref": f"#/components/schemas/{_PROBLEM}"}


def _with_token(way: Schema, schemes: Schema, scopes: tuple[str, ...]) -> Schema:
    if BEARER in way or not any(_is_token(name, schemes.get(name, {})) for name in way):
        return {**way, BEARER: list(dict.fromkeys((*way.get(BEARER, ()), *scopes)))}
    return way


def _is_token(name: str, scheme: Schema) -> bool:
    """Whether *scheme* has the Authorization header already, with a token in it."""
    kinds = ("oauth2", "openIdConnect")
    return name == SIGN_IN or scheme.get("type") in kinds or str(scheme.get("scheme")).lower() == "bearer"
