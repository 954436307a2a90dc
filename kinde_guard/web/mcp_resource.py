"""The URL of an MCP server, which clients find its metadata by (RFC 9728), and which their tokens have to be for."""

from __future__ import annotations

import logging
from collections.abc import Collection
from urllib.parse import urlsplit

from ..adapters import WellKnownPages
from ..errors import ConfigurationError
from ..guard import Guard

LONGEST_AUDIENCE = 64  # in Kinde

log = logging.getLogger("kinde_guard")


def check_resource(resource: str, guard: Guard) -> None:
    """Raise :class:`ConfigurationError` unless tokens for *resource*, which clients ask for by the server's URL, are
    taken, and there can be some."""
    if len(resource) > LONGEST_AUDIENCE:
        raise ConfigurationError(
            f"the resource URL is {resource!r}: MCP clients ask for a token for the very URL that they connect to, and "
            f"an audience in Kinde has {LONGEST_AUDIENCE} characters at most, and this URL {len(resource)}. Serve it "
            "at a shorter one"
        )
    if resource not in guard.audiences:
        taken = ", ".join(map(repr, guard.audiences)) or "no audience"
        raise ConfigurationError(
            f"the resource URL is {resource!r} and the guard takes tokens for {taken}: MCP clients ask for a token for "
            "the very URL that they connect to, so both have to be the same text. Register the API in Kinde with the "
            "resource URL as its audience, and set KINDE_AUDIENCE to it"
        )


def resource_of(guard: Guard, paths: Collection[str]) -> str | None:
    """The audience of *guard* that is the URL of an endpoint at one of *paths*. Warns if none is, or if several are:
    which of them clients connect to is said by nobody then, and there is no metadata."""
    urls = [audience for audience in guard.audiences if _path_of(audience) in paths]
    if len(urls) != 1:
        _warn_of_no_metadata(guard.audiences, urls, paths)
        return None
    check_resource(urls[0], guard)
    return urls[0]


def _path_of(audience: str) -> str | None:
    """The path of an *audience* that may be the URL of a resource."""
    try:
        WellKnownPages(None, None, audience)
    except ConfigurationError:
        return None
    return urlsplit(audience).path or "/"


def _warn_of_no_metadata(audiences: Collection[str], urls: Collection[str], paths: Collection[str]) -> None:
    where = _listed(paths)
    if urls:
        why = (
            f"{_listed(urls)} may each be the URL of {where}. Say which one clients connect to: "
            "KindeGuard(app, resource=…)"
        )
    else:
        why = (
            f"the guard takes tokens for {_listed(audiences) or 'no audience'}, which is not the https URL of {where}. "
            "Register the API in Kinde with the URL that clients connect to as its audience, and set KINDE_AUDIENCE to "
            "it"
        )
    text = "no metadata (RFC 9728) is served, by which MCP clients learn where to sign in: %s"
    log.warning(text, why, extra={"event": "no_resource_metadata"})


def _listed(names: Collection[str]) -> str:
    return " and ".join(map(repr, names))
