"""Whom a local Kinde lets change it: this machine, and no web page but its own."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from ..settings import is_loopback
from .messages import Request

# Of a name and a port, nothing else: some readers find a name in http://[::1].example.com, in a@b and in a/b, too.
_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9.-]+)(?::[0-9]{0,5})?", re.I)


def is_ours(request: Request, client: tuple[str, int] | None) -> bool:
    """Whether it comes from this machine and from no page: a page elsewhere has another ``Origin``, and one whose
    name has been pointed at this machine (DNS rebinding) another ``Host``. *client* is its address, if it came by
    one."""
    host = request.headers.get("host", "")
    origin = request.headers.get("origin")
    return (
        (client is None or is_loopback(client[0]))
        and is_loopback(host_name(host))
        and (origin is None or origin in (f"http://{host}", f"https://{host}"))
    )


def is_our_page(request: Request) -> bool:
    """The same, for a form: browsers say where it stands, too (Fetch Metadata)."""
    site = request.headers.get("sec-fetch-site", "none")
    return is_ours(request, request.client) and site in ("same-origin", "none")


def is_addressed(request: Request, url: str) -> bool:
    """Whether it calls the issuer at *url* by its own name or by one of this machine (no DNS rebinding)."""
    name = host_name(request.headers.get("host", ""))
    return request.client is None or is_loopback(name) or name == urlsplit(url).hostname


def host_name(host: str) -> str:
    """The name or the address in a ``Host`` header or the same part of a URL; empty if there is more to it."""
    found = _HOST.fullmatch(host)
    return found[1].strip("[]").lower() if found else ""
