"""joserfc: ``decode`` with a key set, then its claims registry."""

from __future__ import annotations

import importlib

from ..tokens import Site
from . import InProcess


def peers(site: Site) -> dict[str, InProcess]:
    jwt, jwk = importlib.import_module("joserfc.jwt"), importlib.import_module("joserfc.jwk")
    keys = jwk.KeySet.import_key_set(site.issuer.jwks())
    claims = jwt.JWTClaimsRegistry(
        iss={"essential": True, "value": site.issuer.url},
        aud={"essential": True, "value": site.audience},
        exp={"essential": True},
    )

    def verify(token: str) -> object:
        decoded = jwt.decode(token, keys, algorithms=["RS256"])
        claims.validate(decoded.claims)
        return decoded.claims

    return {"joserfc": InProcess(verify)}
