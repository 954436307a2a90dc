"""People who can sign in: what is known of them, and what they may do in each organization."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from urllib.parse import quote

from ..errors import ConfigurationError
from .minting import ORG_CODE, SUBJECT
from .registry import word


@dataclass(frozen=True, slots=True)
class Membership:
    """An organization that somebody belongs to, and their roles and permissions there (the keys of them)."""

    org_code: str
    name: str = ""
    roles: tuple[str, ...] = ()
    permissions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        word("an organization's code", self.org_code)
        _line("an organization's name", self.name)
        object.__setattr__(self, "roles", _words("a role", self.roles))
        object.__setattr__(self, "permissions", _words("a permission", self.permissions))


@dataclass(frozen=True, slots=True)
class User:
    """Somebody who can sign in. *feature_flags*: the value of each, which is text, a whole number, or true or false."""

    id: str
    given_name: str
    family_name: str
    email: str
    memberships: tuple[Membership, ...] = ()
    feature_flags: Mapping[str, object] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        word("a user's id", self.id)
        word("an email address", self.email)
        _line("a given name", self.given_name)
        _line("a family name", self.family_name)
        object.__setattr__(self, "memberships", _memberships(self.memberships))
        object.__setattr__(self, "feature_flags", _flags(self.feature_flags))

    @property
    def name(self) -> str:
        """Both names; the email address of who has none."""
        return f"{self.given_name} {self.family_name}".strip() or self.email

    @property
    def picture(self) -> str:
        """The address of a portrait. Nobody answers there."""
        return f"https://example.com/{quote(self.id, safe='')}.png"

    def membership(self, org_code: str | None) -> Membership | None:
        """What they are in that organization; ``None`` if they are not in it, and for no organization."""
        return next((one for one in self.memberships if one.org_code == org_code), None)


def _memberships(given: Iterable[Membership]) -> tuple[Membership, ...]:
    memberships = tuple(given)
    if not all(isinstance(one, Membership) for one in memberships):
        raise ConfigurationError("memberships must be Membership(org_code, …) objects")
    if len({one.org_code for one in memberships}) < len(memberships):
        raise ConfigurationError("a user belongs to an organization once: put all roles and permissions together")
    return memberships


def _flags(given: Mapping[str, object]) -> Mapping[str, object]:
    if not isinstance(given, Mapping):
        raise ConfigurationError(f"feature_flags must be a mapping of names to values, not {given!r}")
    for name, value in given.items():
        word("the name of a feature flag", name)
        if not isinstance(value, bool | int | str):
            raise ConfigurationError(f"the feature flag {name!r} must be text, a whole number, true or false")
    return MappingProxyType(dict(given))


def _words(what: str, given: Iterable[str]) -> tuple[str, ...]:
    if isinstance(given, str):
        raise ConfigurationError(f"{what} goes into a list, even alone: [{given!r}]")
    return tuple(dict.fromkeys(word(what, one) for one in given))


def _line(what: str, text: str) -> str:
    # Not isprintable(): names have joiners in some scripts, and emoji do.
    if not isinstance(text, str) or any(unicodedata.category(character) in _NOT_IN_A_LINE for character in text):
        raise ConfigurationError(f"{what} must be one line of text, not {text!r}")
    return text


_NOT_IN_A_LINE = {"Cc", "Cs", "Zl", "Zp"}  # control characters, halves of characters, ends of lines
SAMPLE_USERS = (
    User(
        SUBJECT,
        "Ada",
        "Lovelace",
        "ada@example.com",
        (Membership(ORG_CODE, "Analytical Engines", ("admin",), ("read:users", "write:flags")),),
        {"analytics": True, "competitions_limit": 5, "theme": "pink"},
    ),
    User(
        "kp_1c9e4b7a2d5f4830a6e8c0b3d7f1a295",
        "Grace",
        "Hopper",
        "grace@example.com",
        (Membership(ORG_CODE, "Analytical Engines", (), ("read:users",)), Membership("org_ba4a2311eb1", "Compilers")),
        {"analytics": False, "theme": "navy"},
    ),
    User("kp_7f0b2d4e6a8c4195b3d5e7f9a1c3e5b7", "Alan", "Turing", "alan@example.com"),
)
"""One with every right, one of two organizations with few, one of none."""
