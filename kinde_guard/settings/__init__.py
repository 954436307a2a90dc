"""Settings: arguments and ``KINDE_*`` variables, read once and checked whole, before the first request."""

from __future__ import annotations

from .urls import LOOPBACK, host_in_url, is_loopback, issuer_url, local_url
from .values import ASYMMETRIC, KINDE_AUDIENCE, MAX_LEEWAY, Audiences, FromEnvironment, Settings, checked_transport
from .variables import DOMAIN_VARIABLES, Domains, Variables, issuer_urls

__all__ = [
    "ASYMMETRIC",
    "DOMAIN_VARIABLES",
    "KINDE_AUDIENCE",
    "LOOPBACK",
    "MAX_LEEWAY",
    "Audiences",
    "Domains",
    "FromEnvironment",
    "Settings",
    "Variables",
    "checked_transport",
    "host_in_url",
    "is_loopback",
    "issuer_url",
    "issuer_urls",
    "local_url",
]
