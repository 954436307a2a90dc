"""What a fix is chosen by: a refusal, and what is known around it. A token may lie: it decides about words alone."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import urlsplit

from ..errors import ConfigurationError, Reason
from ..settings import Settings, is_loopback, issuer_url
from ..tokens.claims import Json, client_of, is_m2m, org_of
from ..web.wording import few
from .display import shown
from .providers import is_kinde, may_be_kindes, provider

# What scripts send in place of a token that is not there: Kinde's getAccessToken() may return undefined.
_STAND_INS = frozenset({"undefined", "null", "None", "NaN", "[object Object]", "[object Promise]"})
_MANAGEMENT = (".kinde.com/api", ".kinde.com/api/v1")


@dataclass(frozen=True, slots=True)
class RefusalContext:
    """The circumstances of one refusal: its reason, the settings, the clock, and what the token says, true or not."""

    reason: Reason
    check: str
    """The name of the check that failed."""
    settings: Settings
    now: float
    raw: str = field(repr=False)
    header: Json = field(default_factory=dict)
    claims: Json = field(default_factory=dict)
    demand: str = ""
    required: tuple[str, ...] = ()
    """The scopes that are demanded, if it is scopes that are lacking."""
    granted: frozenset[str] = frozenset()
    """The scopes that the token has."""
    permissions: frozenset[str] = frozenset()
    drift: float | None = None
    """By how many seconds this machine's clock is ahead of the issuer's; ``None`` if that did not come up."""
    offline: bool = False
    """Whether the keys are from a file."""

    @property
    def m2m(self) -> bool:
        return is_m2m(self.claims)

    @property
    def stand_in(self) -> bool:
        """Whether a word was sent where a token belongs."""
        return self.raw in _STAND_INS

    @property
    def named_twice(self) -> bool:
        """Whether what says that a token comes is taken for a part of it."""
        return self.raw.lstrip("\"' ").lower().startswith("bearer")

    @property
    def wrapped(self) -> bool:
        """Whether it was quoted, or broken into lines."""
        return any(character.isspace() or character in "\"'" for character in self.raw)

    @property
    def iss(self) -> str:
        iss = self.claims.get("iss")
        return iss if isinstance(iss, str) else ""

    @property
    def host(self) -> str:
        """The host in ``iss``, for comparing alone."""
        return _host(self.iss)

    @property
    def provider(self) -> str:
        """Who issued the token, where it was not Kinde; empty if it may have been."""
        return provider(self.host) or ("" if may_be_kindes(self.iss) else shown(self.iss))

    @property
    def hosts(self) -> tuple[str, ...]:
        """The hosts of the trusted issuers."""
        return tuple(map(_host, self.settings.issuers))

    @property
    def trusts_loopback(self) -> bool:
        return any(map(is_loopback, self.hosts))

    @property
    def trusts_kinde(self) -> bool:
        """Whether a domain of kinde.com is trusted, and not only custom ones."""
        return any(map(is_kinde, self.hosts))

    @property
    def spelled_otherwise(self) -> bool:
        """Whether ``iss`` is a trusted issuer but for a slash, the case or the like."""
        try:
            return issuer_url(self.iss) in self.settings.issuers
        except ConfigurationError:
            return False

    @property
    def other_region(self) -> bool:
        """Whether two hosts are one name in two regions, as acme.kinde.com and acme.eu.kinde.com are."""
        ours = {host.partition(".")[0] for host in self.hosts if is_kinde(host)}
        return is_kinde(self.host) and self.host.partition(".")[0] in ours

    @property
    def audience(self) -> list[str]:
        return _texts(self.claims.get("aud"))

    @property
    def for_management(self) -> bool:
        """Whether the token is for Kinde's own API."""
        names = [each.rstrip("/") for each in self.audience]
        return any(name.endswith(_MANAGEMENT) or name == f"{self.iss}/api" for name in names)

    @property
    def audience_spelled_otherwise(self) -> bool:
        ours = {each.rstrip("/").casefold() for each in self.settings.audiences}
        return any(each.rstrip("/").casefold() in ours for each in self.audience)

    @property
    def clock_off(self) -> bool:
        return self.drift is not None and abs(self.drift) > self.settings.leeway

    @property
    def expired_by_this_clock_alone(self) -> bool:
        exp = self.claims.get("exp")
        return self.clock_off and isinstance(exp, int | float) and exp > self.now - (self.drift or 0)

    @property
    def issued_in_future(self) -> bool:
        iat = self.claims.get("iat")
        return isinstance(iat, int | float) and iat > self.now + self.settings.leeway

    @property
    def missing(self) -> list[str]:
        """Scopes that are demanded and were not granted."""
        return [name for name in self.required if name not in self.granted]

    @property
    def oidc_scopes_alone(self) -> bool:
        """Whether it is a user's, who has permissions and no scopes of APIs."""
        return not self.m2m and not isinstance(self.claims.get("scope"), str)

    @property
    def held_as_permission(self) -> bool:
        return bool(self.missing) and self.permissions.issuperset(self.missing)

    def words(self) -> dict[str, str]:
        """What a fix may name."""
        drift = self.drift or 0
        return {
            "alg": shown(self.header.get("alg")),
            "typ": shown(self.header.get("typ")),
            "iss": shown(self.iss),
            "host": shown(self.host),
            "provider": self.provider,
            "aud": shown(" ".join(self.audience)),
            "azp": shown(client_of(self.claims)),
            "org": shown(org_of(self.claims)),
            "asked": shown(" ".join(_texts(self.claims.get("scp")))),
            "issuers": few(self.settings.issuers, " "),
            "hosts": few(self.hosts, " ", " … and "),
            "audience": min(self.settings.audiences, default="<the audience of your API>"),
            "missing": " ".join(self.missing),
            "wanted": shown(" ".join(sorted({*self.granted, *self.missing}))),
            "demand": self.demand,
            "off": f"{abs(drift):.0f} s {'fast' if drift > 0 else 'slow'}",
        }


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _texts(value: object) -> list[str]:
    return [each for each in (value if isinstance(value, list) else [value]) if isinstance(each, str)]
