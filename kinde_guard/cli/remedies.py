"""What to do when an issuer does not answer as it should: from the text of the problem to a sentence."""

from __future__ import annotations

import os
import re
from urllib.parse import urlsplit

from ..settings import is_loopback

DOMAIN = "Kinde → Settings → Applications → the application → Details → Domain"
_PROXIES = ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")

_REMEDIES = (
    (
        r"answered 403",
        f"Kinde answers 403 to a wrong subdomain or region. Copy the domain from Kinde: {DOMAIN}.",
    ),
    (r"answered (404|410)", f"There is no Kinde at this address. Copy the domain from Kinde: {DOMAIN}."),
    (r"answered 429", "Kinde is asked too often from here. Wait, and look for what asks it on every request."),
    (r"answered 3\d\d", "Redirects are not followed. Set the domain that is redirected to, if it is yours."),
    (r"answered 5\d\d", "Kinde is in trouble, or a proxy in front of it. Try again in a minute."),
    (
        r"[Nn]ame or service|nodename|getaddrinfo|No address|[Nn]ame resolution",
        f"There is no host of this name. Copy the domain from Kinde: {DOMAIN}.",
    ),
    (
        r"CERTIFICATE_VERIFY_FAILED",
        "The certificate is not trusted. If a proxy of your network makes it, have that proxy's authority trusted: set "
        "SSL_CERT_FILE to a file with its certificate.",
    ),
    (
        r"SSL|handshake",
        "What answers there does not speak TLS as it should. Is this the domain, without a port?",
    ),
    (
        r"not JSON|not a JWK Set|no usable key|content-encoding",
        "What answers there is not Kinde, or stands in front of it (a proxy, a sign-in page). Open the address in a "
        "browser.",
    ),
)
_LOCAL = "Nobody listens there. Start the local Kinde (kinde-guard dev), and set the variables that it prints."
_PROXY = (
    "This network wants a proxy ({0} is set), and the guard takes none from the environment. Give it one: "
    "transport=httpx.HTTPTransport(proxy=…)."
)
_NETWORK = "Nothing comes back. Let this machine reach {0} on port 443 (firewall, proxy)."


def remedy(problem: str, issuer: str) -> str:
    """What to do about *problem*, in the words of ``FetchFailed``, of ``UnusableKeySet`` or of the key store."""
    for pattern, sentence in _REMEDIES:
        if re.search(pattern, problem):
            return sentence
    host = urlsplit(issuer).hostname or issuer
    if is_loopback(host):
        return _LOCAL
    proxy = next((name for name in _PROXIES if os.environ.get(name)), None)
    return _NETWORK.format(host) if proxy is None else _PROXY.format(proxy)
