"""The pages that an adapter answers itself, before any token is asked for: health, and the resource's metadata. Pure.

``healthz`` says that the process answers; ``readyz`` whether tokens can be verified; what RFC 9728 asks for is made of
the settings and of what the app demands, never of the request.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ..errors import ConfigurationError
from ..requirements import Requirement
from ..settings import is_loopback

if TYPE_CHECKING:
    from ..authenticator import Authenticator

WELL_KNOWN = "/.well-known/oauth-protected-resource"
USABLE = ("fresh", "stale")
_NO_STORE = ("Cache-Control", "no-store")
# RFC 9728 §3.1: for whoever asks, from a browser too. No secret is in it.
_PUBLIC = (("Cache-Control", "public, max-age=3600"), ("Access-Control-Allow-Origin", "*"))
_PREFLIGHT = (*_PUBLIC, ("Access-Control-Allow-Methods", "GET, HEAD"), ("Access-Control-Allow-Headers", "*"))
_URL = re.compile(r"[A-Za-z0-9\-._~:/\[\]@!$&'()*+,;=%]+")  # RFC 3986, without query and fragment
_PATH = re.compile(r"/[A-Za-z0-9\-._~/]*")


@dataclass(frozen=True, slots=True)
class WellKnownPage:
    """An answer that an adapter gives by itself, with all its headers."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


class WellKnownPages:
    """What one app answers itself, by path. Raises :class:`ConfigurationError`."""

    def __init__(self, healthz: str | None, readyz: str | None, resource: str | None) -> None:
        self.metadata_url = "" if resource is None else metadata_url(resource)
        self._resource = resource
        self._scopes: list[str] | None = None
        self._paths = dict(_checked(healthz, readyz))
        if resource is not None:
            self._paths[urlsplit(self.metadata_url).path] = self._metadata

    @classmethod
    def of(cls, healthz: str | None, readyz: str | None, resource: str | None) -> WellKnownPages | None:
        """``None`` if there are none: then a request is not looked at."""
        return None if healthz is readyz is resource is None else cls(healthz, readyz, resource)

    @property
    def paths(self) -> tuple[str, ...]:
        """Where they are."""
        return tuple(self._paths)

    def have(self, path: str) -> bool:
        """Whether one of them is at *path*."""
        return path in self._paths

    def answer(
        self, method: str, path: str, guard: Callable[[], Authenticator], demands: Callable[[], Iterable[Requirement]]
    ) -> WellKnownPage | None:
        """The answer, if *path* is that of a page; *demands* are the app's, asked for once."""
        make = self._paths.get(path)
        if make is None:
            return None
        if method not in ("GET", "HEAD"):
            return self._to_another_method(method, path)
        page = make(guard, demands)
        headers = (*page.headers, ("Content-Type", "application/json"), ("Content-Length", str(len(page.body))))
        return WellKnownPage(page.status, headers, b"" if method == "HEAD" else page.body)

    def _to_another_method(self, method: str, path: str) -> WellKnownPage:
        if method == "OPTIONS" and self._paths[path] == self._metadata:
            return WellKnownPage(204, _PREFLIGHT, b"")
        return WellKnownPage(405, (("Allow", "GET, HEAD"), ("Content-Length", "0")), b"")

    def _metadata(
        self, guard: Callable[[], Authenticator], demands: Callable[[], Iterable[Requirement]]
    ) -> WellKnownPage:
        """RFC 9728 §3.2; members without a value are left out."""
        if self._scopes is None:
            self._scopes = sorted({name for demand in demands() for name in every_scope(demand)})
        members = {
            "resource": self._resource,
            "authorization_servers": list(guard().issuers),
            "scopes_supported": self._scopes,
            "bearer_methods_supported": ["header"],
        }
        return WellKnownPage(200, _PUBLIC, _json({name: value for name, value in members.items() if value}))


_Make = Callable[[Callable[[], "Authenticator"], Callable[[], Iterable[Requirement]]], WellKnownPage]


def metadata_url(resource: str) -> str:
    """The URL of the metadata of *resource*: the well-known path goes between host and path (RFC 9728 §3)."""
    if not isinstance(resource, str) or not _URL.fullmatch(resource) or "@" in resource:
        raise ConfigurationError(
            f"resource is the https URL of this API, without a query or fragment, such as 'https://api.acme.com', "
            f"not {resource!r}"
        )
    try:
        parts = urlsplit(resource)
        secure = parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname or ""))
        _ = parts.port  # raises if it is not a number below 65536
    except ValueError:
        raise ConfigurationError(f"resource cannot be read as a URL: {resource!r}") from None
    if not secure or not parts.hostname:
        raise ConfigurationError(f"resource must be an https URL (http is for localhost alone), not {resource!r}")
    return f"{parts.scheme}://{parts.netloc}{WELL_KNOWN}{'' if parts.path == '/' else parts.path}"


def every_scope(requirement: Requirement) -> Iterator[str]:
    """Those of all alternatives: a client may ask for any of them."""
    parts: tuple[Requirement, ...] | None = getattr(requirement, "parts", None)
    if parts is None:
        yield from requirement.scopes()
    for part in parts or ():
        yield from every_scope(part)


def _healthz(guard: Callable[[], Authenticator], demands: object) -> WellKnownPage:
    return WellKnownPage(200, (_NO_STORE,), _json({"status": "ok"}))


def _readyz(guard: Callable[[], Authenticator], demands: object) -> WellKnownPage:
    """Ready are those that hold usable keys of every issuer, and a usable copy of the revocations. Nobody sends
    requests to those that are not, so that it is up to this page to have the keys fetched; it does not wait for
    them."""
    health = guard().health()
    missing = [name for name, issuer in health.items() if issuer.state not in USABLE]
    revocations = next((issuer.revocations for issuer in health.values()), None)
    waiting = revocations is not None and not revocations.usable
    if missing or waiting:
        guard().load_behind()
    # The problem of a fetch is for the log: it may name a proxy, or what else is behind this API.
    keys = {
        name: {"state": issuer.state, "since": issuer.since, "keys": issuer.keys, "clock_drift": issuer.clock_drift}
        for name, issuer in health.items()
    }
    members: dict[str, Any] = {"keys": keys}
    if revocations is not None:
        members["revocations"] = {name: getattr(revocations, name) for name in ("state", "since", "entries")}
    for api_keys in filter(None, (issuer.api_keys for issuer in health.values())):  # tokens are judged without them
        members["api_keys"] = {"state": api_keys.state, "since": api_keys.since}
    if missing or waiting:
        return WellKnownPage(503, (_NO_STORE,), _json({"status": "not_ready", "no_keys_of": missing, **members}))
    return WellKnownPage(200, (_NO_STORE,), _json({"status": "ready", **members}))


def _checked(healthz: str | None, readyz: str | None) -> Iterator[tuple[str, _Make]]:
    made: tuple[tuple[str, str | None, _Make], ...] = (("healthz", healthz, _healthz), ("readyz", readyz, _readyz))
    for name, path, make in made:
        if path is None:
            continue
        if not isinstance(path, str) or not _PATH.fullmatch(path) or path.startswith(WELL_KNOWN):
            raise ConfigurationError(f"{name} is a path, such as '/{name}', not {path!r}")
        yield path, make
    if healthz is not None and healthz == readyz:
        raise ConfigurationError(f"healthz and readyz say different things: both cannot be at {healthz!r}")


def _json(members: dict[str, Any]) -> bytes:
    return json.dumps(members).encode()
