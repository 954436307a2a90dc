"""oxyjwt (Rust): ``decode`` with a key at hand, and with its ``PyJWKClient``."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable
from typing import Any

from ..tokens import Site
from . import InProcess, Verify
from .pyjwt import REQUIRED


def peers(site: Site) -> dict[str, InProcess]:
    oxyjwt = importlib.import_module("oxyjwt")
    key = oxyjwt.PyJWK(site.issuer.jwks()["keys"][0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the local issuer speaks plain HTTP
        client = oxyjwt.PyJWKClient(site.jwks_url)
    return {
        "oxyjwt decode": InProcess(_verify(oxyjwt.decode, lambda token: key, site)),
        "oxyjwt + PyJWKClient": InProcess(_verify(oxyjwt.decode, client.get_signing_key_from_jwt, site)),
    }


def _verify(decode: Callable[..., object], key_of: Callable[[str], Any], site: Site) -> Verify:
    audience, issuer = site.audience, site.issuer.url

    def verify(token: str) -> object:
        key = key_of(token).key
        return decode(token, key, algorithms=["RS256"], audience=audience, issuer=issuer, options={"require": REQUIRED})

    return verify
