"""Revocations that reach every worker within a second, at no network call per request.

    revocations = Revocations("rediss://…")                  # or KINDE_REVOCATIONS_URL, or Revocations.in_memory()
    guard = Guard("acme.kinde.com", audience="https://api.acme.com", revocations=revocations)

    revocations.revoke(token)                                # this token; revoke_subject, _client, _org, _member, _all

A Redis or Valkey (pip install 'kinde-guard[redis]') holds what is revoked. Every process keeps a copy, and judges
tokens by that, also while Redis is away.
"""

from __future__ import annotations

from .entry import Revocation
from .health import RevocationHealth
from .revocations import Reached, Revocations, Worker

__all__ = ["Reached", "Revocation", "RevocationHealth", "Revocations", "Worker"]
