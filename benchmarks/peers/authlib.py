"""Authlib: ``JsonWebToken`` with a key set, then the claims' own ``validate``."""

from __future__ import annotations

import importlib
import warnings

from ..tokens import Site
from . import InProcess


def peers(site: Site) -> dict[str, InProcess]:
    with warnings.catch_warnings():
        importlib.import_module("authlib.deprecate")  # makes its own warnings show always
        warnings.simplefilter("ignore")  # it recommends joserfc
        jose = importlib.import_module("authlib.jose")
    keys = jose.JsonWebKey.import_key_set(site.issuer.jwks())
    decode = jose.JsonWebToken(["RS256"]).decode
    options = {
        "iss": {"essential": True, "value": site.issuer.url},
        "aud": {"essential": True, "value": site.audience},
        "exp": {"essential": True},
    }

    def verify(token: str) -> object:
        claims = decode(token, keys, claims_options=options)
        claims.validate()
        return claims

    return {"Authlib": InProcess(verify)}
