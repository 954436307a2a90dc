"""Scopes as the source of a Python enum. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable


def enum_source(audience: str, scopes: Iterable[str]) -> str:
    """A module with ``Scope``, whose members are text: ``requires_scope(Scope.READ_USERS)``."""
    members = [f"    {name} = {scope!r}" for name, scope in _named(scopes)]
    return "\n".join([
        f"{f'The scopes of {audience} in Kinde, as kinde-guard scopes --enum wrote them.'!r}",
        "",
        "from enum import StrEnum",
        "",
        "",
        "class Scope(StrEnum):",
        *(members or ["    pass"]),
        "",
    ])  # fmt: skip


def _named(scopes: Iterable[str]) -> list[tuple[str, str]]:
    """Each scope with a name of its own."""
    named: dict[str, str] = {}
    for scope in sorted(scopes):
        plain = re.sub(r"[^A-Z0-9]+", "_", scope.upper()).strip("_") or "SCOPE"
        plain = plain if plain[0].isalpha() else f"SCOPE_{plain}"
        name, number = plain, 2
        while name in named:
            name, number = f"{plain}_{number}", number + 1
        named[name] = scope
    return list(named.items())
