"""Bodies of webhooks as Kinde sends them, put together without the package's help."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from cryptography.hazmat.primitives.asymmetric import rsa
from helpers import HEADER, NOW, Json, changed, sign

USER_ID = "kp_65b28d71bba14fa380d56d2d8d3503da"
SUSPENDED_USER: Json = {
    "email": "ada@example.com",
    "first_name": "Ada",
    "id": USER_ID,
    "is_password_reset_requested": False,
    "is_suspended": True,
    "last_name": "Lovelace",
    "organizations": [
        {"code": "org_590d7f1a86a", "permissions": None, "roles": None},
        {
            "code": "org_2",
            "permissions": [{"id": "p1", "key": "read:users"}],
            "roles": [{"id": "r1", "key": "admin"}],
        },
    ],
    "phone": None,
    "username": "ada",
}


def moment(seconds: float, hours: float = 0) -> str:
    """RFC 3339, in the zone so many *hours* ahead of UTC."""
    zone = timezone(timedelta(hours=hours)) if hours else UTC
    return datetime.fromtimestamp(seconds, zone).isoformat()


EVENT: Json = {
    "data": {"user": SUSPENDED_USER},
    "event_id": "event_018f331a3178f7fef284b95fe6770384",
    "event_timestamp": moment(NOW),
    "source": "admin",
    "timestamp": moment(NOW),
    "type": "user.updated",
}


def body(
    changes: Mapping[str, Any] | None = None,
    header: Mapping[str, Any] | None = None,
    *,
    key: rsa.RSAPrivateKey | None = None,
) -> bytes:
    """A good webhook of a suspended user, but for these changes to what it says and to its header."""
    return sign(json.dumps(changed(HEADER, header)), json.dumps(changed(EVENT, changes)), key).encode()
