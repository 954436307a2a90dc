"""What stands between this machine and an issuer, as far as an answer's headers and variables show it. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from ..settings import is_loopback

# Header, how its value begins, whose it is. CloudFront is not among them: Kinde itself may stand behind it.
_MARKS = (
    ("cf-mitigated", "", "Cloudflare"),
    ("server", "cloudflare", "Cloudflare"),
    ("cf-ray", "", "Cloudflare"),
    ("x-amzn-waf-action", "", "AWS WAF"),
    ("server", "akamaighost", "Akamai"),
    ("x-iinfo", "", "Imperva"),
    ("x-sucuri-id", "", "Sucuri"),
    ("x-squid-error", "", "a proxy (Squid)"),
    ("server", "squid", "a proxy (Squid)"),
    ("server", "zscaler", "a proxy (Zscaler)"),
)
_PROXIES = ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")
SAID = "in front of the issuer refused this machine"


def refused_by(status: int, headers: Mapping[str, str]) -> str:
    """Who said no in the issuer's place: a 403 with marks of something in between, or a challenge for browsers of any
    status; empty if nothing shows that it was anybody else. Names of *headers* are in lower case."""
    if status != 403 and "cf-mitigated" not in headers:
        return ""
    marks = (who for name, value, who in _MARKS if name in headers and headers[name].lower().startswith(value))
    return next(marks, "")


def hint(status: int, headers: Mapping[str, str]) -> str:
    """What to add to "answered 403" and the like."""
    if who := refused_by(status, headers):
        return f" ({who} {SAID})"
    if status == 403:
        return " (a wrong region or subdomain answers 403)"
    return " (redirects are not followed)" if 300 <= status < 400 else ""


def proxy_named(host: str, variables: Mapping[str, str]) -> str | None:
    """The variable that names the proxy of this network, where *host* is beyond it."""
    return None if is_loopback(host) else next((name for name in _PROXIES if variables.get(name)), None)


def unused_proxy(host: str, variables: Mapping[str, str]) -> str:
    """What to add to why there is no connection to *host*."""
    name = proxy_named(host, variables)
    return "" if name is None else f" ({name} is set, and no proxy is taken from the environment: give a transport)"
