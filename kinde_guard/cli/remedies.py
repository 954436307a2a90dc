"""What to do when an issuer does not answer as it should: from the text of the problem to a sentence."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from ..net.in_between import SAID, proxy_named
from ..settings import is_loopback

DOMAIN = "Kinde → Settings → Applications → the application → Details → Domain"

_LOOKED_UP = r"[Nn]ame or service|nodename|getaddrinfo|No address|[Nn]ame resolution"
_LOOKS_UP = r"the look-up of"
_REMEDIES = (
    (
        SAID,
        (
            "The settings are not the cause. Something between here and Kinde takes this machine for a "
            "robot, or lets nobody from here through. Ask the people who run it to let /.well-known/jwks "
            "and /oauth2/token pass (at Cloudflare, for a custom domain, set its DNS record to `DNS "
            "only`), or ask from another network."
        ),
    ),
    (
        r"answered 403",
        f"Kinde answers 403 to a wrong subdomain or region. Copy the domain from Kinde: {DOMAIN}.",
    ),
    (r"answered (404|410)", f"There is no Kinde at this address. Copy the domain from Kinde: {DOMAIN}."),
    (r"answered 429", "This machine asks Kinde too often. Wait, and find the program that asks on every request."),
    (r"answered 3\d\d", "Redirects are not followed. Set the domain that is redirected to, if it is yours."),
    (r"answered 5\d\d", "Kinde is in trouble, or a proxy in front of it. Try again in a minute."),
    (
        _LOOKED_UP,
        f"There is no host of this name. Copy the domain from Kinde: {DOMAIN}.",
    ),
    (_LOOKS_UP, "No name server answers this machine (DNS). Ask whoever runs this network."),
    (
        r"CERTIFICATE_VERIFY_FAILED",
        "The certificate is not trusted. If a proxy of your network makes it, have that proxy's authority trusted: set "
        "SSL_CERT_FILE to a file with its certificate.",
    ),
    (
        r"SSL|handshake",
        "The server there does not speak TLS as it should. Is this the domain, without a port?",
    ),
    (
        r"not JSON|not a JWK Set|no usable key|content-encoding",
        (
            "The server there is not Kinde, or something stands in front of Kinde (a proxy, a sign-in "
            "page). Open the address in a browser."
        ),
    ),
)
_LOCAL = "No server listens there. Start the local Kinde (kinde-guard dev), and set the variables that it prints."
_PROXY = (
    "This network needs a proxy ({0} is set). The commands and the guard do not read that variable. Give the commands "
    '--proxy "${0}", and the guard transport=httpx.HTTPTransport(proxy=…).'
)
_PROXIED = (
    (r"\b407\b", "The proxy wants a user name and a password: --proxy http://USER:PASSWORD@HOST:PORT."),
    (r"ProxyError", "The proxy does not let this machine through to {0}, port 443. Ask whoever runs it."),
    (_LOOKED_UP, "There is no proxy of this name: see what --proxy says."),
    (r"^ConnectError|^ConnectTimeout|refused", "The proxy does not answer: see what --proxy says, its port included."),
)
_NETWORK = "Nothing comes back. Let this machine reach {0} on port 443 (firewall, proxy)."


def remedy(problem: str, issuer: str, *, proxied: bool = False) -> str:
    """What to do about *problem*, in the words of ``FetchFailed``, of ``UnusableKeySet`` or of the key store."""
    host = urlsplit(issuer).hostname or issuer
    rows = _rows(problem, host, proxied)
    for pattern, sentence in rows:
        if re.search(pattern, problem):
            return sentence
    return _LOCAL if is_loopback(host) else _NETWORK.format(host)


def _rows(problem: str, host: str, proxied: bool) -> Iterator[tuple[str, str]]:
    """The first that fits counts. A name that is not known, and silence, are what a network with a proxy shows."""
    proxy = proxy_named(host, os.environ)
    if proxied and not is_loopback(host):
        yield from ((pattern, sentence.format(host)) for pattern, sentence in _PROXIED)
    elif proxy is not None:
        yield f"{_LOOKED_UP}|{_LOOKS_UP}", _PROXY.format(proxy)
    yield from _REMEDIES
    if proxy is not None and not proxied:
        yield "", _PROXY.format(proxy)
