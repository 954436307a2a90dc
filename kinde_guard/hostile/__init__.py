"""Hostile tokens and headers, each with the verdict it must get and why; for trying an app of one's own.

    assert_resists_hostile_tokens(client, "/users", issuer=issuer, scope="read:users")

The tokens are made fresh from a :class:`~kinde_guard.issuer.LocalIssuer` that the app trusts. Keys that an issuer
publishes and should not are in :mod:`.published`.
"""

from __future__ import annotations

from .cases import Benign, Hostile
from .trial import assert_resists_hostile_tokens, benign, corpus

__all__ = ["Benign", "Hostile", "assert_resists_hostile_tokens", "benign", "corpus"]
