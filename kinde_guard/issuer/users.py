"""People who can sign in: what is known of them, and what they may do in each organization."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from urllib.parse import quote

from ..errors import ConfigurationError
from .names import line, word, words
from .tokens import ORG_CODE, SUBJECT


@dataclass(frozen=True, slots=True)
class Membership:
    """A membership of an organization, with the keys of the roles and permissions that somebody has there."""

    org_code: str
    name: str = ""
    roles: tuple[str, ...] = ()
    permissions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        word("an organization's code", self.org_code)
        line("an organization's name", self.name)
        object.__setattr__(self, "roles", words("a role", self.roles))
        object.__setattr__(self, "permissions", words("a permission", self.permissions))


@dataclass(frozen=True, slots=True)
class User:
    """A user, who can sign in. *feature_flags*: the value of each, which is text, a whole number, or true or false."""

    id: str
    given_name: str
    family_name: str
    email: str
    memberships: tuple[Membership, ...] = ()
    feature_flags: Mapping[str, object] = field(default_factory=dict, hash=False)
    is_suspended: bool = False
    """Cannot sign in, nor refresh."""

    def __post_init__(self) -> None:
        word("a user's id", self.id)
        word("an email address", self.email)
        line("a given name", self.given_name)
        line("a family name", self.family_name)
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
