"""auth0-api-python: ``ApiClient.verify_access_token``. It wants https, so its fetches are led to the local issuer."""

from __future__ import annotations

import asyncio
import importlib
from typing import Any
from urllib.parse import urlsplit

import httpx

from ..tokens import Site
from . import InProcess, driven


def peers(site: Site) -> dict[str, InProcess]:
    auth0 = importlib.import_module("auth0_api_python")

    async def fetch(url: str) -> Any:
        async with httpx.AsyncClient(trust_env=False) as client:
            answer = await client.get(site.base + urlsplit(url).path)
        return answer.raise_for_status()

    domain = site.issuer.url.removeprefix("https://")
    options = auth0.ApiClientOptions(domain=domain, audience=site.audience, custom_fetch=fetch)
    verify = auth0.ApiClient(options).verify_access_token
    asyncio.run(verify(site.m2m().decode()))  # loads the keys
    return {"auth0-api-python": InProcess(driven(verify))}
