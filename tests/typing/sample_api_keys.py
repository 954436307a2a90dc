"""What a user of ``kinde_guard.api_keys`` writes; mypy and pyright say nothing but where it is wrong."""

from __future__ import annotations

from fastapi import FastAPI
from flask import Flask

from kinde_guard import Guard
from kinde_guard.api_keys import ApiKeys, ApiKeysHealth
from kinde_guard.fastapi import KindeGuard
from kinde_guard.flask import KindeGuard as FlaskGuard
from kinde_guard.m2m import ClientCredentials

management = ClientCredentials(audience="https://acme.kinde.com/api", scopes="read:api_keys")
api_keys = ApiKeys(management, api_ids=["one", "another"], remember_for=300, usable_for=0, calls_per_minute=1_000)
guard = Guard("acme.kinde.com", audience="https://api.acme.com", api_keys=api_keys)
KindeGuard(FastAPI(), api_keys=ApiKeys(auth=management))
FlaskGuard(Flask(__name__), api_keys=api_keys)


def failing() -> bool:
    health: ApiKeysHealth | None = guard.health()[management.issuer].api_keys
    return health is not None and health.state == "failing" and health.retry_in > 60


Guard("acme.kinde.com", api_keys=True)  # type: ignore[arg-type]
Guard("acme.kinde.com", api_key=api_keys)  # type: ignore[call-arg]
ApiKeys("k_live_…")  # type: ignore[arg-type]
ApiKeys(management, api_id="one")  # type: ignore[call-arg]
