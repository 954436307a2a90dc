"""The settings of one guard, checked whole before the first request. Pure.

Whatever is wrong is a :class:`ConfigurationError` that says what to change. An empty value is never "no check".
"""

from __future__ import annotations

import enum
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from ..errors import ConfigurationError
from ..net.frozen import Frozen
from .urls import jwks_url_of, local_url
from .variables import Domains, Variables, given_texts, issuer_urls, misspelt, nonempty_texts, value_of, words_of

if TYPE_CHECKING:
    import httpx

    from .seeds import Seed, Seeds


class FromEnvironment(enum.Enum):
    """The default of ``audience=``: read it from ``KINDE_AUDIENCE`` (``None`` means something else)."""

    KINDE_AUDIENCE = "KINDE_AUDIENCE"

    def __repr__(self) -> str:
        return f"<{self.value}>"


KINDE_AUDIENCE = FromEnvironment.KINDE_AUDIENCE
Audiences = str | Iterable[str] | FromEnvironment | None

ASYMMETRIC = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
MAX_LEEWAY = 300
_MANAGEMENT_API = re.compile(r"https://[^/]+\.kinde\.com/api(?:/v1)?/?", re.I)  # also beside a custom domain

_NOT_SHOWN = ("revocations_url", "seeds", "transport")


class Settings(Frozen):
    """Settings of one guard, checked whole: whatever reads them need not look again."""

    __slots__ = (
        "algorithms",
        "audiences",
        "cache_size",
        "clients",
        "issuers",
        "leeway",
        "permissions_as_scopes",
        "report_verdicts_to",
        "retry_after",
        "revocations_url",
        "seeds",
        "transport",
        "usable_for",
    )

    issuers: Mapping[str, str]
    """The URL of each trusted issuer, and where its keys are."""
    audiences: frozenset[str]
    """Any of these will do; empty with ``audience=None``, and then *clients* is not."""
    clients: frozenset[str]
    """The client ids whose tokens may come without an audience; empty but for ``audience=None``."""
    algorithms: tuple[str, ...]
    """Names of JWA (RFC 7518), asymmetric ones alone."""
    leeway: float
    """Seconds, 0 to 300, by which clocks may differ."""
    permissions_as_scopes: bool
    """Whether permissions count as scopes."""
    retry_after: float
    """Seconds, 0 to 3,600, between two fetches that unknown kids cause."""
    usable_for: float
    """Seconds, 1 to 2,592,000 (30 days), that keys serve while no newer ones can be had."""
    cache_size: int
    """How many verified tokens are remembered, at most 10,000,000; 0 for none."""
    report_verdicts_to: str | None
    """A local Kinde, by its URL; ``None`` if none is to be told."""
    revocations_url: str | None
    """``KINDE_REVOCATIONS_URL``: where revocations are, if nothing else is said; not checked yet. It may hold a
    password."""
    transport: httpx.BaseTransport | None
    """What keys are fetched with; ``None`` for the standard library's HTTP client."""
    seeds: Mapping[str, Seed]
    """Keys that were saved earlier, by the issuer that they are of."""

    def __init__(
        self,
        *,
        issuers: Mapping[str, str],
        audiences: frozenset[str],
        clients: frozenset[str],
        algorithms: tuple[str, ...],
        leeway: float,
        permissions_as_scopes: bool,
        retry_after: float,
        usable_for: float,
        cache_size: int,
        report_verdicts_to: str | None,
        revocations_url: str | None,
        transport: httpx.BaseTransport | None,
        seeds: Mapping[str, Seed],
    ) -> None:
        self._fill(locals())

    def __repr__(self) -> str:
        shown = (name for name in self.__slots__ if name not in _NOT_SHOWN)
        return f"Settings({', '.join(f'{name}={getattr(self, name)!r}' for name in shown)})"

    @classmethod
    def load(
        cls,
        domain: Domains | None = None,
        *,
        audience: Audiences = KINDE_AUDIENCE,
        clients: Iterable[str] = (),
        algorithms: Iterable[str] = ("RS256",),
        leeway: float = 30,
        permissions_as_scopes: bool = False,
        jwks_url: str | None = None,
        retry_after: float = 30,
        usable_for: float = 86_400,
        cache_size: int = 16_384,
        transport: httpx.BaseTransport | None = None,
        jwks: Seeds | None = None,
        variables: Sequence[Variables] = (),
    ) -> Settings:
        """Arguments first, then the first of *variables* (Flask's config, the environment) that has the variable."""
        urls = issuer_urls(domain, variables)
        audiences = _audiences(audience, variables)
        _check_audiences(audiences, urls)
        return cls(
            issuers={url: jwks_url_of(url, jwks_url, len(urls)) for url in urls},
            audiences=audiences,
            clients=_clients(clients, audience),
            algorithms=_algorithms(algorithms),
            leeway=float(_number("leeway", leeway, 0, MAX_LEEWAY)),
            permissions_as_scopes=_flag("permissions_as_scopes", permissions_as_scopes),
            retry_after=_number("retry_after", retry_after, 0, 3_600),
            usable_for=_number("usable_for", usable_for, 1, 30 * 86_400),
            cache_size=_whole("cache_size", cache_size, 10_000_000),
            report_verdicts_to=_report_verdicts_to(variables),
            revocations_url=_revocations_url(variables),
            transport=checked_transport(transport),
            seeds=_seeds(jwks, urls),
        )


def _seeds(given: Seeds | None, issuers: Collection[str]) -> Mapping[str, Seed]:
    if given is None:
        return {}
    from .seeds import read_seeds  # only here: few give any, and the others need not load it

    return read_seeds(given, issuers)


def checked_transport(transport: httpx.BaseTransport | None) -> httpx.BaseTransport | None:
    if transport is None or callable(getattr(transport, "handle_request", None)):
        return transport
    if callable(getattr(transport, "handle_async_request", None)):
        raise ConfigurationError(
            "transport must be an httpx.BaseTransport such as httpx.HTTPTransport(…), not one for async clients: event "
            "loops are not held up by it"
        )
    raise ConfigurationError("transport must be an httpx.BaseTransport, such as httpx.HTTPTransport(proxy=…)")


def _audiences(audience: Audiences, variables: Sequence[Variables]) -> frozenset[str]:
    if audience is None:
        return frozenset()
    name = "audience"
    if isinstance(audience, FromEnvironment):
        name = audience.value
        value = value_of(name, variables)
        if value is None:
            raise ConfigurationError(
                "no audience is set: set the environment variable KINDE_AUDIENCE to the audience of your API "
                "(Kinde: Settings, APIs), or pass audience=" + misspelt(name, variables)
            )
        texts = words_of(name, value)
    else:
        texts = given_texts("audience", audience)
    if not texts:
        raise ConfigurationError(f"{name} is empty: give the audience of your API as registered in Kinde, or several")
    return frozenset(texts)


def _check_audiences(audiences: Iterable[str], issuers: Iterable[str]) -> None:
    for audience in audiences:
        if "<" in audience or ">" in audience:
            raise ConfigurationError(f"audience is a placeholder, {audience!r}: put your API's audience there")
        if "://" in audience and any(map(str.isspace, audience)):
            raise ConfigurationError(
                f"audience {audience!r} is a URL with a space in it: if these are several audiences, give "
                "them in a list"
            )
        if re.search(r"://.*,\w+://", audience):
            raise ConfigurationError(f"audience {audience!r} is several audiences in one text: give them in a list")
        if not any(map(str.isalnum, audience)):
            raise ConfigurationError(
                f"audience {audience!r} is not an audience: there are no wildcards. Give it as it is "
                "registered in Kinde"
            )
        if audience.rstrip("/") in issuers:
            raise ConfigurationError(
                f"audience {audience!r} is the issuer. Every ID token carries that, so it protects nothing: "
                "give the audience of your API, as it is registered in Kinde"
            )
        if _MANAGEMENT_API.fullmatch(audience) or audience.rstrip("/") in {f"{issuer}/api" for issuer in issuers}:
            raise ConfigurationError(
                f"audience {audience!r} is Kinde's Management API: its tokens are for Kinde, not for your API; "
                "register an API of your own in Kinde and give its audience"
            )


def _clients(clients: Iterable[str], audience: Audiences) -> frozenset[str]:
    texts = given_texts("clients", clients) if clients else []
    if audience is None and not texts:
        raise ConfigurationError(
            "audience=None accepts tokens without an audience. So it needs clients=[…], the client ids "
            "of the apps that may call. It is better to give audience="
        )
    if audience is not None and texts:
        raise ConfigurationError(
            "clients= works only with audience=None. With an audience, restrict apps by what they may do (scopes)"
        )
    return frozenset(texts)


def _algorithms(algorithms: Iterable[str]) -> tuple[str, ...]:
    texts = nonempty_texts("algorithms", algorithms)
    for name in texts:
        if name not in ASYMMETRIC:
            raise ConfigurationError(
                f"algorithm {name!r} is not allowed: use one of {', '.join(ASYMMETRIC)} (Kinde signs with RS256)"
            )
    if not texts:
        raise ConfigurationError("algorithms is empty: leave it out (Kinde signs with RS256)")
    return tuple(dict.fromkeys(texts))


def _report_verdicts_to(variables: Sequence[Variables]) -> str | None:
    name = "KINDE_REPORT_VERDICTS_TO"
    value = value_of(name, variables)
    return None if value is None else local_url(value, name)  # type: ignore[arg-type]  # it checks what it gets


def _revocations_url(variables: Sequence[Variables]) -> str | None:
    name = "KINDE_REVOCATIONS_URL"
    value = value_of(name, variables)
    if value is None or isinstance(value, str):
        return value
    raise ConfigurationError(f"{name} is text, the URL of a Redis such as rediss://host:6379/0")


def _number(name: str, value: float, least: float, most: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise ConfigurationError(f"{name} must be a number from {least} to {most}, not {value!r}")
    return value


def _whole(name: str, value: int, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
        raise ConfigurationError(f"{name} must be a whole number from 0 to {most}, not {value!r}")
    return value


def _flag(name: str, value: bool) -> bool:
    if not isinstance(value, bool):
        raise ConfigurationError(f"{name} must be True or False, not {value!r}")
    return value
