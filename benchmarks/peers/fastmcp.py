"""fastmcp: ``JWTVerifier``."""

from __future__ import annotations

import asyncio
import importlib
import logging

from ..tokens import Site
from . import InProcess, driven


def peers(site: Site) -> dict[str, InProcess]:
    verifier = importlib.import_module("fastmcp.server.auth.providers.jwt").JWTVerifier(
        jwks_uri=site.jwks_url, issuer=site.issuer.url, audience=site.audience, algorithm="RS256"
    )
    logging.getLogger("fastmcp").setLevel(logging.CRITICAL)

    async def verify(token: str) -> object:
        access = await verifier.verify_token(token)
        if access is None:
            raise ValueError("refused")
        return access

    asyncio.run(verify(site.m2m().decode()))  # loads the keys
    return {"fastmcp JWTVerifier": InProcess(driven(verify))}
