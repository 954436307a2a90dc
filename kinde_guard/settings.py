"""Settings: arguments and ``KINDE_*`` variables, read once and checked whole, before the first request.

Whatever is wrong is a :class:`ConfigurationError` that says what to change. An empty value is never "no check".
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urlsplit

from . import leavings
from .errors import ConfigurationError
from .web.wording import few

if TYPE_CHECKING:
    import httpx


class FromEnvironment(enum.Enum):
    """The default of ``audience=``: read it from ``KINDE_AUDIENCE`` (``None`` means something else)."""

    KINDE_AUDIENCE = "KINDE_AUDIENCE"

    def __repr__(self) -> str:
        return f"<{self.value}>"


KINDE_AUDIENCE = FromEnvironment.KINDE_AUDIENCE
Domains = str | Iterable[str]
Audiences = str | Iterable[str] | FromEnvironment | None
Variables = Mapping[str, object]

DOMAIN_VARIABLES = ("KINDE_DOMAIN", "KINDE_ISSUER_URL", "KINDE_HOST")
ASYMMETRIC = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
MAX_LEEWAY = 300
_MANAGEMENT_API = re.compile(r"https://[^/]+\.kinde\.com/api(?:/v1)?/?", re.I)  # also beside a custom domain
_LOCAL_KINDE = "the http URL of a local Kinde, such as http://127.0.0.1:9400"
LOOPBACK = re.compile(r"localhost|127(?:\.(?:25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])){3}|::1")
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"  # RFC 1123 §2.1
_HOST = re.compile(rf"(?:{_LABEL}\.)*{_LABEL}|[0-9a-f.]*:[0-9a-f:.]*", re.I)
# What Kinde's pages and SDKs show where the name of one's own tenant belongs.
_PLACEHOLDER = re.compile(
    r"[<>{}$]|^(?:app|subdomain|your[-_]?(?:kinde[-_]?)?(?:(?:sub)?domain|business|company|app|tenant))\.kinde\.com$",
    re.I,
)


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings of one guard, checked whole: whatever reads them need not look again."""

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
    transport: httpx.BaseTransport | None = field(repr=False)
    """What keys are fetched with; ``None`` for the standard library's HTTP client."""

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
        variables: Sequence[Variables] = (),
    ) -> Settings:
        """Arguments first, then the first of *variables* (Flask's config, the environment) that has the variable."""
        urls = issuer_urls(domain, variables)
        audiences = _audiences(audience, variables)
        _check_audiences(audiences, urls)
        return cls(
            issuers={url: _jwks_url(url, jwks_url, len(urls)) for url in urls},
            audiences=audiences,
            clients=_clients(clients, audience),
            algorithms=_algorithms(algorithms),
            leeway=float(_number("leeway", leeway, 0, MAX_LEEWAY)),
            permissions_as_scopes=_flag("permissions_as_scopes", permissions_as_scopes),
            retry_after=_number("retry_after", retry_after, 0, 3_600),
            usable_for=_number("usable_for", usable_for, 1, 30 * 86_400),
            cache_size=_whole("cache_size", cache_size, 10_000_000),
            report_verdicts_to=_report_verdicts_to(variables),
            transport=checked_transport(transport),
        )


def issuer_url(text: str, name: str = "domain") -> str:
    """The issuer that *text* (a bare host or an https URL) means, without a trailing slash.

    Kinde: the issuer is ``https://<domain>`` (docs.kinde.com/build/tokens/verifying-json-web-tokens).
    """
    if not isinstance(text, str):
        raise ConfigurationError(f"{name} must be text such as 'acme.kinde.com', not {text!r}")
    value = text.strip()
    if not value:
        raise ConfigurationError(f"{name} is empty: set it to your Kinde domain, such as 'acme.kinde.com'")
    leavings.check(name, text)
    parts = _split(value if "://" in value else f"https://{value}", name, text)
    host = parts.hostname or ""
    if _PLACEHOLDER.search(host) or _PLACEHOLDER.search(value):
        raise ConfigurationError(
            f"{name} is a placeholder, {text!r}: put your own Kinde domain there (Kinde: Applications, Details)"
        )
    if not _HOST.fullmatch(host):
        raise ConfigurationError(f"{name} is not a host name: {text!r}")
    if "." not in host and ":" not in host and not is_loopback(host):
        raise ConfigurationError(f"{name} is not a whole domain: {_whole_of(parts, host)}, not {text!r}")
    if parts.path not in ("", "/") or "?" in value or "#" in value:
        raise ConfigurationError(f"{name} must be a domain alone, without a path or a query: {text!r}")
    _check_scheme(parts, name, text)
    return _rebuilt(parts)


def _whole_of(parts: SplitResult, host: str) -> str:
    """Of a name without a dot, what may be meant."""
    if host in ("http", "https"):
        return "write https:// once, and then the domain"
    if parts.scheme == "https" and parts.port is None:
        return f"write {host}.kinde.com"
    return (
        f"{host} is a name of a private network (of a container, say); write your Kinde domain, such as "
        "acme.kinde.com, or the URL of a local Kinde on this machine, such as http://127.0.0.1:9400 (containers with "
        'one network, in docker compose by network_mode: "service:…", are one machine)'
    )


def local_url(text: str, name: str) -> str:
    """The http URL on this machine that *text* (a bare host or a URL) means, without a trailing slash."""
    if not isinstance(text, str):
        raise ConfigurationError(f"{name} must be {_LOCAL_KINDE}, not {text!r}")
    if not text.strip():
        raise ConfigurationError(f"{name} is empty: unset it, or set it to {_LOCAL_KINDE}")
    leavings.check(name, text)
    value = text.strip()
    parts = _split(value if "://" in value else f"http://{value}", name, text)
    here = parts.scheme == "http" and is_loopback(parts.hostname or "")
    if not here or parts.path not in ("", "/") or "?" in value or "#" in value:
        raise ConfigurationError(f"{name} must be {_LOCAL_KINDE}, and on this machine, not {text!r}")
    return _rebuilt(parts)


def is_loopback(host: str) -> bool:
    """Whether plain http is allowed: the host is this machine."""
    return LOOPBACK.fullmatch(host) is not None


def issuer_urls(domain: Domains | None, variables: Sequence[Variables]) -> tuple[str, ...]:
    """The trusted issuers, from the argument or from ``KINDE_DOMAIN``, ``KINDE_ISSUER_URL``, ``KINDE_HOST``."""
    if domain is not None:
        return _issuers(_given("domain", domain), "domain")
    for source in variables:
        named = {name: source[name] for name in DOMAIN_VARIABLES if source.get(name) is not None}
        if named:
            return _agreed({name: _issuers(_words(name, value), name) for name, value in named.items()})
    raise ConfigurationError(
        "no Kinde domain is set: set the environment variable KINDE_DOMAIN (such as acme.kinde.com), or pass domain="
    )


def _agreed(found: dict[str, tuple[str, ...]]) -> tuple[str, ...]:
    first, *others = found
    for other in others:
        if set(found[other]) - set(found[first]):
            raise ConfigurationError(
                f"{first} and {other} name different issuers ({few(found[first])}, and {few(found[other])}): "
                f"unset one of them, or list both in {first}"
            )
    return found[first]


def _issuers(texts: Sequence[str], name: str) -> tuple[str, ...]:
    if not texts:
        raise ConfigurationError(f"{name} is empty: set it to your Kinde domain, such as 'acme.kinde.com'")
    return tuple(dict.fromkeys(issuer_url(text, name) for text in texts))


def _audiences(audience: Audiences, variables: Sequence[Variables]) -> frozenset[str]:
    if audience is None:
        return frozenset()
    name = "audience"
    if isinstance(audience, FromEnvironment):
        name = audience.value
        value = _variable(name, variables)
        if value is None:
            raise ConfigurationError(
                "no audience is set: set the environment variable KINDE_AUDIENCE to the audience of your API "
                "(Kinde: Settings, APIs), or pass audience="
            )
        texts = _words(name, value)
    else:
        texts = _given("audience", audience)
    if not texts:
        raise ConfigurationError(f"{name} is empty: give the audience of your API as registered in Kinde, or several")
    return frozenset(texts)


def _check_audiences(audiences: Iterable[str], issuers: Iterable[str]) -> None:
    for audience in audiences:
        if "<" in audience or ">" in audience:
            raise ConfigurationError(f"audience is a placeholder, {audience!r}: put your API's audience there")
        if "://" in audience and any(map(str.isspace, audience)):
            raise ConfigurationError(f"audience {audience!r} is a URL with a space in it: give several in a list")
        if re.search(r"://.*,\w+://", audience):
            raise ConfigurationError(f"audience {audience!r} is several in one text: give several in a list")
        if not any(map(str.isalnum, audience)):
            raise ConfigurationError(f"audience {audience!r} is none: there are no wildcards, give it as registered")
        if audience.rstrip("/") in issuers:
            raise ConfigurationError(
                f"audience {audience!r} is the issuer, and every ID token carries that: "
                "give the audience of your API as registered in Kinde"
            )
        if _MANAGEMENT_API.fullmatch(audience) or audience.rstrip("/") in {f"{issuer}/api" for issuer in issuers}:
            raise ConfigurationError(
                f"audience {audience!r} is Kinde's Management API: its tokens are for Kinde, not for your API; "
                "register an API of your own in Kinde and give its audience"
            )


def _clients(clients: Iterable[str], audience: Audiences) -> frozenset[str]:
    texts = _given("clients", clients) if clients else []
    if audience is None and not texts:
        raise ConfigurationError(
            "audience=None accepts tokens without an audience and so needs clients=[…], the client ids of the apps "
            "to accept; better, give audience="
        )
    if audience is not None and texts:
        raise ConfigurationError(
            "clients= is for audience=None alone; with an audience, restrict apps by what they may do (scopes)"
        )
    return frozenset(texts)


def _algorithms(algorithms: Iterable[str]) -> tuple[str, ...]:
    texts = _texts("algorithms", algorithms)
    for name in texts:
        if name not in ASYMMETRIC:
            raise ConfigurationError(
                f"algorithm {name!r} is not allowed: use one of {', '.join(ASYMMETRIC)} (Kinde signs with RS256)"
            )
    if not texts:
        raise ConfigurationError("algorithms is empty: leave it out (Kinde signs with RS256)")
    return tuple(dict.fromkeys(texts))


def _jwks_url(issuer: str, given: str | None, issuers: int) -> str:
    if given is None:
        return f"{issuer}/.well-known/jwks"
    if issuers > 1:
        raise ConfigurationError("jwks_url= is for one domain; each of several has its keys at /.well-known/jwks")
    if not isinstance(given, str) or not given.strip():
        raise ConfigurationError("jwks_url is empty: leave it out, or give the https URL of the issuer's keys")
    leavings.check("jwks_url", given)
    parts = _split(given.strip(), "jwks_url", given)
    _check_scheme(parts, "jwks_url", given)
    if parts.fragment:
        raise ConfigurationError(f"jwks_url must not have a fragment: {given!r}")
    return parts.geturl()


def _report_verdicts_to(variables: Sequence[Variables]) -> str | None:
    name = "KINDE_REPORT_VERDICTS_TO"
    value = _variable(name, variables)
    return None if value is None else local_url(value, name)  # type: ignore[arg-type]  # it checks what it gets


def _split(url: str, name: str, text: str) -> SplitResult:
    if "@" in url:  # and it is not shown: a password may stand before it
        raise ConfigurationError(f"{name} must not have a user name or a password (an @)")
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises if it is not a number below 65536
    except ValueError:
        raise ConfigurationError(f"{name} cannot be read as a URL: {text!r}") from None
    if not parts.hostname or any(ord(c) <= 32 or ord(c) > 126 for c in url):
        raise ConfigurationError(f"{name} must be a plain host name or https URL: {text!r}")
    return parts


def _check_scheme(parts: SplitResult, name: str, text: str) -> None:
    if parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname or "")):
        return
    raise ConfigurationError(
        f"{name} must be https, not {text!r}: keys fetched over plain http can be forged (http is for localhost alone)"
    )


def _rebuilt(parts: SplitResult) -> str:
    host = (parts.hostname or "").lower()
    host = f"[{host}]" if ":" in host else host
    default = {"https": 443, "http": 80}[parts.scheme]
    port = "" if parts.port in (None, default) else f":{parts.port}"
    return f"{parts.scheme}://{host}{port}"


def _texts(name: str, values: str | Iterable[str]) -> list[str]:
    """One text or several, none of them empty."""
    try:
        texts = [values] if isinstance(values, str) else list(values)
    except TypeError:
        raise ConfigurationError(f"{name} must be text or several texts, not {values!r}") from None
    for text in texts:
        if not isinstance(text, str):
            raise ConfigurationError(f"{name} must be text or several texts, not {text!r}")
        if not text.strip():
            raise ConfigurationError(f"{name} is empty: an empty value would mean no check, and that is not to be had")
        if text != text.strip():
            raise ConfigurationError(f"{name} begins or ends with a space: {text!r}")
    return texts


def _given(name: str, values: str | Iterable[str]) -> list[str]:
    """:func:`_texts`, and nothing in them that was not meant: they may have been read from a file of variables."""
    texts = _texts(name, values)
    for text in texts:
        leavings.check(name, text)
    return texts


def _variable(name: str, variables: Sequence[Variables]) -> object:
    """Its value in the first of *variables* that has one."""
    return next((source[name] for source in variables if source.get(name) is not None), None)


def _words(name: str, value: object) -> list[str]:
    """The value of a variable: text with one or several words, or (in Flask's config) several texts."""
    if isinstance(value, str):
        return leavings.values(name, value)
    return _given(name, value)  # type: ignore[arg-type]  # it checks what it gets


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


def checked_transport(transport: httpx.BaseTransport | None) -> httpx.BaseTransport | None:
    if transport is None or callable(getattr(transport, "handle_request", None)):
        return transport
    if callable(getattr(transport, "handle_async_request", None)):
        raise ConfigurationError(
            "transport must be an httpx.BaseTransport such as httpx.HTTPTransport(…), not one for async clients: event "
            "loops are not held up by it"
        )
    raise ConfigurationError("transport must be an httpx.BaseTransport, such as httpx.HTTPTransport(proxy=…)")
