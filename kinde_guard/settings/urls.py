"""The URLs that settings name: an issuer's, its keys', a local Kinde's. Pure.

Keys that are fetched over plain http can be forged, so that http is for this machine alone.
"""

from __future__ import annotations

import re
from urllib.parse import SplitResult, urlsplit

from ..errors import ConfigurationError
from . import leavings

LOOPBACK = re.compile(r"localhost|127(?:\.(?:25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])){3}|::1")
_LOCAL_KINDE = "the http URL of a local Kinde, such as http://127.0.0.1:9400"
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"  # RFC 1123 §2.1
_HOST = re.compile(rf"(?:{_LABEL}\.)*{_LABEL}|[0-9a-f.]*:[0-9a-f:.]*", re.I)
# What Kinde's pages and SDKs show where the name of one's own tenant belongs.
_PLACEHOLDER = re.compile(
    r"[<>{}$]|^(?:app|subdomain|your[-_]?(?:kinde[-_]?)?(?:(?:sub)?domain|business|company|app|tenant))\.kinde\.com$"
)


def is_loopback(host: str) -> bool:
    """Whether plain http is allowed: the host is this machine."""
    return LOOPBACK.fullmatch(host) is not None


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
    if _PLACEHOLDER.search(host) or _PLACEHOLDER.search(value.lower()):
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


def jwks_url_of(issuer: str, given: str | None, issuers: int) -> str:
    if given is None:
        return f"{issuer}/.well-known/jwks"
    if issuers > 1:
        raise ConfigurationError(
            "jwks_url= works only with one domain. If there are several, the keys of each are at its /.well-known/jwks"
        )
    if not isinstance(given, str) or not given.strip():
        raise ConfigurationError("jwks_url is empty: leave it out, or give the https URL of the issuer's keys")
    leavings.check("jwks_url", given)
    parts = _split(given.strip(), "jwks_url", given)
    _check_scheme(parts, "jwks_url", given)
    if parts.fragment:
        raise ConfigurationError(f"jwks_url must not have a fragment: {given!r}")
    return parts.geturl()


def _whole_of(parts: SplitResult, host: str) -> str:
    """What may be meant by a name without a dot."""
    if host in ("http", "https"):
        return "write https:// once, and then the domain"
    if parts.scheme == "https" and parts.port is None:
        return f"write {host}.kinde.com"
    return (
        f"{host} is a name of a private network (of a container, say); write your Kinde domain, such as "
        "acme.kinde.com, or the URL of a local Kinde on this machine, such as http://127.0.0.1:9400 (containers with "
        'one network, in docker compose by network_mode: "service:…", are one machine)'
    )


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


def host_in_url(host: str) -> str:
    """*host* as a URL has it: an IPv6 address stands in brackets (RFC 3986 §3.2.2)."""
    return f"[{host}]" if ":" in host else host


def _check_scheme(parts: SplitResult, name: str, text: str) -> None:
    if parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname or "")):
        return
    raise ConfigurationError(
        f"{name} must be https, not {text!r}: keys fetched over plain http can be forged (http is for localhost alone)"
    )


def _rebuilt(parts: SplitResult) -> str:
    host = host_in_url((parts.hostname or "").lower())
    default = {"https": 443, "http": 80}[parts.scheme]
    port = "" if parts.port in (None, default) else f":{parts.port}"
    return f"{parts.scheme}://{host}{port}"
