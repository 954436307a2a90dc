"""What a user of ``kinde_guard.m2m`` writes; mypy and pyright, both strict, say nothing but where it is wrong."""

from __future__ import annotations

import aiohttp
import httpx
import requests

from kinde_guard.m2m import ClientCredentials, RequestsAuth, aiohttp_middleware

auth = ClientCredentials(
    "acme.kinde.com", client_id="a", client_secret="b", audience="https://api.acme.com", scopes=["read:users"]
)
with httpx.Client(base_url="https://api.acme.com", auth=auth) as client:
    client.get("/users").raise_for_status()


async def call() -> str:
    async with httpx.AsyncClient(base_url="https://api.acme.com", auth=auth) as client:
        await client.get("/users")
    return await auth.atoken()


with requests.Session() as session:
    session.auth = RequestsAuth(auth)
    session.get("https://api.acme.com/users").raise_for_status()


async def call_with_aiohttp() -> int:
    session = aiohttp.ClientSession("https://api.acme.com", middlewares=[aiohttp_middleware(auth)])
    async with session, session.get("/users") as response:
        return response.status


print(auth.token().upper())
RequestsAuth("token")  # type: ignore[arg-type]
aiohttp_middleware()  # type: ignore[call-arg]
ClientCredentials(scope="read:users")  # type: ignore[call-arg]
ClientCredentials(client_secret=b"secret")  # type: ignore[arg-type]
auth.token("https://api.acme.com")  # type: ignore[call-arg]
