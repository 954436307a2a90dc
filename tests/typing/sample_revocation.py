"""What a user of ``kinde_guard.revocation`` writes; mypy and pyright say nothing but where it is wrong."""

from __future__ import annotations

from fastapi import FastAPI

from kinde_guard import AccessToken, Guard
from kinde_guard.fastapi import KindeGuard
from kinde_guard.revocation import Revocations

revocations = Revocations.in_memory()
guard = Guard("acme.kinde.com", audience="https://api.acme.com", revocations=revocations)
KindeGuard(FastAPI(), revocations=Revocations("rediss://redis.acme.com"))


def sign_out(token: AccessToken) -> str:
    revocations.revoke(token, reason="signed out")
    guard.check(token)
    return revocations.revoke_subject(token.subject).id


async def sign_out_in_a_loop(token: AccessToken) -> None:
    entry = await revocations.arevoke(token)
    await revocations.alift(entry, "it was somebody else")


Guard("acme.kinde.com", revocation=revocations)  # type: ignore[call-arg]
Guard("acme.kinde.com", revocations="rediss://redis.acme.com")  # type: ignore[arg-type]
revocations.revoke("eyJ")  # type: ignore[arg-type]
revocations.revoke_all(organization="org_1")  # type: ignore[call-arg]
