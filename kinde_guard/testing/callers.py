"""Who meets a requirement, and who just fails to: the options of the callers that prove a route's demand."""

from __future__ import annotations

import ast
import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ..errors import ConfigurationError
from ..requirements import AllOf, AnyOf, ClaimRequirement, OrgInPath, Requirement, Scopes

Options = dict[str, Any]


def accepted(requirement: Requirement, options: Mapping[str, Any]) -> Iterator[tuple[str, Options]]:
    """Callers with these *options* who meet *requirement*: for each alternative one that has this one alone."""
    for parts in _alternatives(requirement):
        caller = dict(options)
        for part in parts:
            caller = _granted(part, caller)
        yield " & ".join(map(str, parts)) or "any valid token", caller


def lacking(requirement: Requirement, options: Mapping[str, Any]) -> Iterator[tuple[str, Options]]:
    """Callers with these *options* who have all but one part of *requirement*: each one without another part."""
    parts = list(_split(requirement))
    for index, missing in enumerate(parts):
        caller = dict(options)
        for part in (*parts[:index], *parts[index + 1 :]):
            caller = _granted(part, caller)
        yield str(missing), _refused(missing, caller)


def _split(requirement: Requirement) -> Iterator[Requirement]:
    """What each can be lacking by itself."""
    if isinstance(requirement, AllOf):
        for part in requirement.parts:
            yield from _split(part)
    elif isinstance(requirement, Scopes):
        yield from (Scopes((name,)) for name in requirement.names)
    else:
        yield requirement


def _alternatives(requirement: Requirement) -> Iterator[tuple[Requirement, ...]]:
    if isinstance(requirement, AnyOf):
        for part in requirement.parts:
            yield from _alternatives(part)
    elif isinstance(requirement, AllOf):
        yield from _every_choice(requirement.parts)
    else:
        yield (requirement,)


def _every_choice(parts: tuple[Requirement, ...]) -> Iterator[tuple[Requirement, ...]]:
    for choice in itertools.product(*map(_alternatives, parts)):
        yield tuple(part for some in choice for part in some)


def _granted(requirement: Requirement, options: Options) -> Options:
    """*options*, and what *requirement*, which has no parts, asks for."""
    if isinstance(requirement, AllOf | AnyOf):
        for part in next(_alternatives(requirement)):
            options = _granted(part, options)
        return options
    if isinstance(requirement, OrgInPath):
        if "org_code" not in options:
            raise ConfigurationError(f"give assert_requires the org_code= that is the path's {requirement.parameter!r}")
        return options
    word, arguments = _spelt(requirement)
    return {**options, **_GRANTS[word](options, arguments)}


def _refused(requirement: Requirement, options: Options) -> Options:
    """*options*, without what they may have that meets *requirement*."""
    if isinstance(requirement, AllOf | AnyOf):
        for part in requirement.parts:
            options = _refused(part, options)
        return options
    if isinstance(requirement, OrgInPath):
        return {**options, "org_code": "org_of_nobody"}
    word, _ = _spelt(requirement)
    if word == "org":
        return {name: value for name, value in options.items() if name != "org_code"}
    if word in ("machine", "user"):
        return {**options, "m2m": word == "user"}
    return options


def _spelt(requirement: Requirement) -> tuple[str, tuple[Any, ...]]:
    """The word and the arguments it was written with: a requirement is spelt as it is written."""
    if not isinstance(requirement, Scopes | ClaimRequirement):
        raise ConfigurationError(f"assert_requires knows no caller who meets {requirement!r}: give it one that is ours")
    call = ast.parse(str(requirement), mode="eval").body
    if isinstance(call, ast.Call) and isinstance(call.func, ast.Name):
        return call.func.id, tuple(map(ast.literal_eval, call.args))
    return str(requirement), ()


def _more(options: Options, name: str, values: tuple[Any, ...]) -> Options:
    given = options.get(name, ())
    return {name: [*(given.split() if isinstance(given, str) else given), *values]}


_GRANTS: Mapping[str, Callable[[Options, tuple[Any, ...]], Options]] = {
    "scope": lambda options, names: _more(options, "scope", names),
    "permission": lambda options, keys: _more(options, "permissions", keys),
    "role": lambda options, keys: _more(options, "roles", keys),
    "org": lambda options, codes: {"org_code": codes[0]},
    "flag": lambda options, flag: {"feature_flags": {**options.get("feature_flags", {}), flag[0]: flag[1]}},
    "machine": lambda options, _: {"m2m": True},
    "user": lambda options, _: {"m2m": False},
}
