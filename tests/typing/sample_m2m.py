"""What a user of ``kinde_guard.m2m`` writes; mypy and pyright, both strict, say nothing but where it is wrong."""

from __future__ import annotations

import httpx

from kinde_guard.m2m import ClientCredentials

auth = ClientCredentials(
    "acme.kinde.com", client_id="a", client_secret="b", audience="https://api.acme.com", scopes=["read:users"]
)
with httpx.Client(base_url="https://api.acme.com", auth=auth) as client:
    client.get("/users").raise_for_status()


async def call() -> str:
    async with httpx.AsyncClient(base_url="https://api.acme.com", auth=auth) as client:
        await client.get("/users")
    return await auth.atoken()


print(auth.token().upper())
ClientCredentials(scope="read:users")  # type: ignore[call-arg]
ClientCredentials(client_secret=b"secret")  # type: ignore[arg-type]
auth.token("https://api.acme.com")  # type: ignore[call-arg]
