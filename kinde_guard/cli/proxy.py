"""``--proxy``: the way out of a network that has no other."""

from __future__ import annotations

import re
from typing import Annotated

import httpx
import typer

from ..errors import ConfigurationError
from ..settings.leavings import check

Proxy = Annotated[
    str | None,
    typer.Option(
        "--proxy", metavar="URL", help="Ask through this proxy, such as http://proxy.acme.com:3128.", show_default=False
    ),
]


def through(proxy: str | None) -> httpx.HTTPTransport | None:
    """The transport through *proxy*; no error shows it, as it may hold a password."""
    if proxy is None:
        return None
    check("--proxy", proxy, shown=False)
    try:
        found = httpx.Proxy(proxy.strip())
        if re.fullmatch(r"[\w.:-]+", found.url.host) is None:
            raise ValueError
        return httpx.HTTPTransport(proxy=found, trust_env=False)
    except ImportError:
        raise ConfigurationError("--proxy: for SOCKS install one more package, pip install 'httpx[socks]'") from None
    except (ValueError, httpx.InvalidURL):
        raise ConfigurationError(
            "--proxy must be the URL of a proxy, such as http://proxy.acme.com:3128, https://… or socks5://…"
        ) from None
