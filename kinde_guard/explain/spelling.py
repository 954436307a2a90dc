"""Demands as people write them at a terminal and in a form: ``scope:read:users``, ``role:admin``, ``machine``."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from .. import requirements
from ..requirements import Requirement

ABOUT_NAMES: Mapping[str, Callable[[str], Requirement]] = {
    "scope": requirements.scope,
    "permission": requirements.permission,
    "role": requirements.role,
    "org": requirements.org,
    "flag": requirements.flag,
}
ABOUT_CALLERS: Mapping[str, Requirement] = {"machine": requirements.machine, "user": requirements.user}
SPELLINGS = ", ".join([*(f"{kind}:NAME" for kind in ABOUT_NAMES), *ABOUT_CALLERS])


def spelled(text: str) -> Requirement | None:
    """What *text* demands, if it is one of :data:`SPELLINGS`; a name may hold colons itself; ``m2m`` is ``machine``."""
    kind, _, name = text.partition(":")
    if name and kind in ABOUT_NAMES:
        return ABOUT_NAMES[kind](name)
    return ABOUT_CALLERS.get("machine" if text == "m2m" else text)
