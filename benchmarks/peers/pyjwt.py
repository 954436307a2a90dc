"""PyJWT: ``decode`` with a key at hand, and as people write it, with ``PyJWKClient``."""

from __future__ import annotations

import jwt

from ..tokens import Site
from . import InProcess, Verify

REQUIRED = ["exp", "iss", "aud"]


def peers(site: Site) -> dict[str, InProcess]:
    return {"PyJWT decode": InProcess(with_key(site)), "PyJWT + PyJWKClient": InProcess(with_client(site))}


def with_key(site: Site) -> Verify:
    key = jwt.PyJWK(site.issuer.jwks()["keys"][0])
    audience, issuer = site.audience, site.issuer.url

    def verify(token: str) -> object:
        return jwt.decode(
            token, key, algorithms=["RS256"], audience=audience, issuer=issuer, options={"require": REQUIRED}
        )

    return verify


def with_client(site: Site) -> Verify:
    client = jwt.PyJWKClient(site.jwks_url)
    audience, issuer = site.audience, site.issuer.url

    def verify(token: str) -> object:
        key = client.get_signing_key_from_jwt(token)
        return jwt.decode(
            token, key, algorithms=["RS256"], audience=audience, issuer=issuer, options={"require": REQUIRED}
        )

    return verify
