"""The URLs that an app may have the browser sent back to, and how an answer is put into one."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final
from urllib.parse import SplitResult, quote, urlencode, urlsplit

from ..errors import ConfigurationError
from ..settings import is_loopback
from .origin import host_name

LOOPBACK: Final = "loopback"
"""The redirect URI for any http or https URL on this machine. For development; Kinde has nothing like it."""

# One may read white space, control characters and backslashes otherwise than another does (WHATWG URL).
_PLAIN = re.compile(r"[!-\[\]-~]+")
_PRIVATE_USE = re.compile(r"[a-z][a-z0-9+-]*\.[a-z0-9+.-]+", re.I)  # RFC 8252 §7.1: a reversed domain name


def checked(what: str, uris: str | Iterable[str]) -> tuple[str, ...]:
    """*uris* for an app to register, each :data:`LOOPBACK` or an absolute URL; raises ``ConfigurationError``."""
    return tuple(dict.fromkeys(_checked(what, uri) for uri in ([uris] if isinstance(uris, str) else uris)))


def allowed(registered: Iterable[str], uri: str) -> bool:
    """Whether *uri* is a registered one, to the letter (RFC 9700 §4.1.3), or covered by :data:`LOOPBACK`."""
    return any(_is_on_this_machine(uri) if one == LOOPBACK else uri == one for one in registered)


def with_parameters(uri: str, parameters: Mapping[str, str | None]) -> str:
    """*uri* and its own query, with *parameters* added (RFC 6749 §4.1.2); ``None`` leaves one out.

    A space is ``%20``, which all read alike: some pages show a ``+`` as it is.
    """
    added = urlencode({name: value for name, value in parameters.items() if value is not None}, quote_via=quote)
    if not added:
        return uri
    return f"{uri}{'&' if urlsplit(uri).query else '' if uri.endswith('?') else '?'}{added}"


def _checked(what: str, uri: str) -> str:
    if uri == LOOPBACK:
        return uri
    parts = _split(uri) if isinstance(uri, str) else None
    web = parts is not None and parts.scheme in ("http", "https")
    if parts is None or "#" in uri or "*" in uri or (web and not parts.hostname):
        raise ConfigurationError(f"{what} must be a whole URL without a fragment and without *, not {uri!r}")
    if not web and not _PRIVATE_USE.fullmatch(parts.scheme):
        raise ConfigurationError(f"{what} must begin with https://, http:// or a reversed domain name, not {uri!r}")
    return uri


def _is_on_this_machine(uri: str) -> bool:
    parts = _split(uri)
    return (
        parts is not None
        and parts.scheme in ("http", "https")
        and is_loopback(host_name(parts.netloc))
        and "#" not in uri
    )


def _split(uri: str) -> SplitResult | None:
    """The parts of *uri*; ``None`` if it is not read alike everywhere."""
    try:
        parts = urlsplit(uri)
        _ = parts.port
    except ValueError:
        return None
    return parts if _PLAIN.fullmatch(uri) else None
