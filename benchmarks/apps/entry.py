"""The app that a server of the ``serve`` benchmark is to serve, as the environment says."""

from __future__ import annotations

import json
import os
from types import SimpleNamespace
from typing import Any, cast

from kinde_guard import Guard

from .. import apps
from ..peers.pyjwt import with_client
from ..tokens import Site

VARIABLE = "BENCHMARK_APP"
PYJWT = "PyJWT + PyJWKClient"


def app() -> Any:
    """For ``uvicorn --factory`` and ``gunicorn``."""
    wanted = json.loads(os.environ[VARIABLE])
    stack, front, url, audience = wanted["stack"], wanted["front"], wanted["jwks_url"], wanted["audience"]
    if front == apps.NOTHING:
        return apps.nothing(stack)
    if front == PYJWT:
        site = SimpleNamespace(jwks_url=url, audience=audience, issuer=SimpleNamespace(url=wanted["issuer"]))
        return apps.by_hand(stack, with_client(cast(Site, site)))
    return apps.guarded(stack, Guard(wanted["issuer"], audience=audience, jwks_url=url))
