"""Where the token goes: to https and to loopback, or to one API alone. One rule for every client library."""

from __future__ import annotations

from typing import Any, NamedTuple

import httpx

from ..errors import ConfigurationError
from ..events import log
from ..net.once import Once
from ..settings import host_in_url, is_loopback

_DEFAULT_PORTS = {"http": 80, "https": 443}
_PLAIN_NAMES = {"ws": "http", "wss": "https"}  # a WebSocket begins as a request (RFC 6455 §4.1)


class Origin(NamedTuple):
    """Scheme, host and port of a URL (RFC 6454 §4), as the library that connects to it reads them."""

    scheme: str
    host: str
    port: int | None = None

    def __str__(self) -> str:
        return f"{self.scheme}://{host_in_url(self.host)}" + (f":{self.port}" if self.port else "")

    @property
    def is_private(self) -> bool:
        """Whether nobody on the way can read what is sent there."""
        return self.scheme == "https" or (self.scheme == "http" and is_loopback(self.host))


def origin(scheme: str, host: str, port: int | None) -> Origin:
    """The origin of a URL that has these parts; two that are written in different ways are one."""
    plain = _PLAIN_NAMES.get(scheme.lower(), scheme.lower())
    return Origin(plain, host.lower(), None if port == _DEFAULT_PORTS.get(plain) else port)


def origin_of(url: Any) -> Origin:
    """The origin of a URL of httpx or httpx2."""
    return origin(url.scheme, url.raw_host.decode(), url.port)


class Origins:
    """The rule which requests carry the token, and its warnings, each said once."""

    def __init__(self, api: str | None) -> None:
        self.api = None if api is None else _api_origin(api)
        self._first: dict[None, Origin] = {}  # one at most; a dict for its setdefault, which is a single step
        self._withheld, self._sent_elsewhere = Once(), Once()

    def carry(self, where: Origin) -> bool:
        """Whether a request there is given the token."""
        if self.api is not None:
            return where == self.api
        if not where.is_private and self._withheld.is_first():  # the API's "no token" would be a riddle
            log.warning("no token is sent to %s: plain http shows it to all on the way; use https", where)
        first = self._first.setdefault(None, where) if where.scheme == "https" else where
        if first != where and self._sent_elsewhere.is_first():
            text = "the token of %s is sent to %s too: where only one is meant to have it, pass api="
            log.warning(text, first, where)
        return where.is_private


def _api_origin(api: str) -> Origin:
    try:
        url = httpx.URL(api)
    except (httpx.InvalidURL, TypeError):
        url = httpx.URL("")
    if not url.host or not origin_of(url).is_private or url.userinfo or url.raw_path != b"/" or url.fragment:
        raise ConfigurationError(
            "api must be an origin such as 'https://api.acme.com', without a path (http is for localhost alone), "
            f"not {api!r}"
        )
    return origin_of(url)
