"""Who else issues tokens: so that nobody is advised to trust them for Kinde.

The list cannot be whole, and need not be: of a host that is not in it people are told how to see whether it is theirs.
"""

from __future__ import annotations

import re

from ..settings import is_loopback

# Kinde's issuer is https:// and a domain; a local one is http:// and this machine. No path, no port, no user name.
_DOMAIN_ALONE = re.compile(r"https://[a-z0-9-]+(?:\.[a-z0-9-]+)+/?", re.I)
_LOCAL = re.compile(r"https?://(\[::1\]|[a-z0-9.]+)(?::[0-9]{1,5})?/?", re.I)
_PROVIDERS = (
    ("Google", r"(?:.+\.)?(?:google|googleapis|firebaseapp)\.com"),
    ("Microsoft", r"(?:.+\.)?(?:microsoftonline|microsoft|windows|b2clogin|ciamlogin|live)\.(?:com|net|us|cn)"),
    ("Auth0", r".+\.auth0(?:app)?\.com"),
    ("Okta", r".+\.(?:okta|oktapreview|okta-emea|okta-gov|onelogin)\.com"),
    ("Amazon", r"(?:.+\.)?(?:amazonaws|amazoncognito|amazon)\.com(?:\.cn)?"),
    ("Apple", r"(?:.+\.)?apple\.com"),
    ("Clerk", r".+\.clerk\.accounts\.dev|(?:.+\.)?clerk\.(?:com|dev)"),
    ("Supabase", r".+\.supabase\.(?:co|in|com)"),
    ("GitHub", r"(?:.+\.)?(?:github|githubusercontent)\.com"),
    ("GitLab", r"(?:.+\.)?gitlab\.com"),
    ("Facebook", r"(?:.+\.)?facebook\.com"),
    ("LinkedIn", r"(?:.+\.)?linkedin\.com"),
    ("Salesforce", r"(?:.+\.)?(?:salesforce|force)\.com"),
    ("Ping Identity", r".+\.(?:pingidentity|pingone|forgeblocks)\.(?:com|eu|asia|ca|com\.au)"),
    ("Cloudflare Access", r".+\.cloudflareaccess\.com"),
    ("Vercel", r"(?:.+\.)?vercel\.com"),
    ("WorkOS", r"(?:.+\.)?(?:workos\.com|authkit\.app)"),
    ("Stytch", r"(?:.+\.)?stytch\.com"),
    ("Descope", r"(?:.+\.)?descope\.com"),
    ("Logto", r".+\.logto\.app"),
    ("Zitadel", r".+\.zitadel\.(?:cloud|app)"),
    ("FusionAuth", r".+\.fusionauth\.io"),
    ("Ory", r".+\.oryapis\.com"),
    ("Frontegg", r".+\.frontegg\.com"),
    ("PropelAuth", r".+\.propelauth(?:test)?\.com"),
    ("Slack", r"(?:.+\.)?slack\.com"),
    ("Twitch", r"(?:.+\.)?twitch\.tv"),
    ("Kubernetes", r"kubernetes\.default(?:\.svc.*)?"),
    ("CircleCI", r"(?:.+\.)?circleci\.com"),
)


def is_kinde(host: str) -> bool:
    """Whether *host* is a domain that Kinde hands out, and not a custom one."""
    return host.endswith(".kinde.com")


def provider(host: str) -> str:
    """The provider whose *host* it is, if it is one of those that are known, and not Kinde."""
    return next((name for name, pattern in _PROVIDERS if re.fullmatch(pattern, host, re.I)), "")


def may_be_kindes(iss: str) -> bool:
    """Whether *iss* is of the form that Kinde's issuers have."""
    local = _LOCAL.fullmatch(iss)
    return _DOMAIN_ALONE.fullmatch(iss) is not None or (local is not None and is_loopback(local[1].strip("[]").lower()))
