"""What Kinde's webhooks look like: the claims around an event, and the data of each type. Pure.

docs.kinde.com/integrate/webhooks/about-webhooks has the shape, github.com/kinde-oss/webhook the data. Of billing and of
passkeys Kinde documents the types alone: there the data is made up.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime

from .tokens import ORG_CODE, Claims
from .users import SAMPLE_USERS, User

BILLING = (
    "agreement_cancelled",
    "agreement_created",
    "invoice_overdue",
    "meter_usage_updated",
    "payment_failed",
    "payment_succeeded",
    "plan_assigned",
    "plan_changed",
    "plan_created",
)


def event(kind: str, data: Mapping[str, object], *, source: str, now: float) -> Claims:
    """The claims of a webhook: without ``iss``, ``aud`` or any date of a token's."""
    moment = datetime.fromtimestamp(now, UTC).isoformat()
    claims: Claims = {
        "data": data,
        "event_id": f"event_{uuid.uuid4().hex}",
        "event_timestamp": moment,
        "source": source,
        "timestamp": moment,
        "type": kind,
    }
    if kind in ("user.authenticated", "user.authentication_failed"):
        claims["ip_address"] = "127.0.0.1"
    return claims


def data_of_user(user: User) -> Claims:
    """The data of ``user.created`` and ``user.updated``: the user as it is now."""
    memberships = [
        {
            "code": one.org_code,
            "permissions": _listed("perm", one.permissions),
            "roles": _listed("role", one.roles),
        }
        for one in user.memberships
    ]
    return {
        "user": {
            "email": user.email,
            "first_name": user.given_name,
            "id": user.id,
            "is_password_reset_requested": False,
            "is_suspended": user.is_suspended,
            "last_name": user.family_name,
            "organizations": memberships,
            "phone": None,
            "username": user.email.partition("@")[0],
        }
    }


def id_of_user(user: User) -> Claims:
    """The data of all other events of a user: the id alone."""
    return {"user": {"id": user.id}}


def code_of_organization(org_code: str) -> Claims:
    """The data of ``organization.deleted``: the code alone."""
    return {"organization": {"code": org_code}}


def sample_data(kind: str) -> Claims:
    """Data of that type, of the sample user and organization; a type that nobody knows says nothing."""
    make = _SAMPLES.get(kind)
    return {} if make is None else make()


def _listed(kind: str, keys: Iterable[str]) -> list[Claims] | None:
    """Kinde sends ``null`` for none."""
    return [{"id": f"{kind}_{uuid.uuid5(uuid.NAMESPACE_URL, key).hex}", "key": key} for key in keys] or None


def _organization() -> Claims:
    names = {"external_id": None, "handle": "engines", "is_allow_registrations": False, "name": "Analytical Engines"}
    return {"organization": {"code": ORG_CODE, **names}}


def _right(kind: str, key: str) -> Callable[[], Claims]:
    return lambda: {kind: {"description": "", "id": f"{kind}_1", "key": key, "name": key}}


def _removed(kind: str) -> Callable[[], Claims]:
    return lambda: {kind: {"id": f"{kind}_1"}}


def _newcomer(kind: str) -> Callable[[], Claims]:
    person = {"email": "ada@example.com", "first_name": "Ada", "id": f"{kind}_1", "last_name": "Lovelace"}
    return lambda: {kind: {**person, "user_id": SAMPLE_USERS[0].id}}


def _whole_user() -> Claims:
    return data_of_user(SAMPLE_USERS[0])


def _users_id() -> Claims:
    return id_of_user(SAMPLE_USERS[0])


_SAMPLES: Mapping[str, Callable[[], Claims]] = {
    "user.created": _whole_user,
    "user.updated": _whole_user,
    "user.deleted": _users_id,
    "user.authenticated": _users_id,
    "user.authentication_failed": _users_id,
    "organization.created": _organization,
    "organization.updated": _organization,
    "organization.deleted": lambda: code_of_organization(ORG_CODE),
    "role.created": _right("role", "admin"),
    "role.updated": _right("role", "admin"),
    "role.deleted": _removed("role"),
    "permission.created": _right("permission", "read:users"),
    "permission.updated": _right("permission", "read:users"),
    "permission.deleted": _removed("permission"),
    "subscriber.created": _newcomer("subscriber"),
    "access_request.created": _newcomer("access_request"),
    "passkey.added": _users_id,
    "passkey.removed": _users_id,
    **{f"customer.{name}": lambda: {"customer": {"id": "customer_1"}} for name in BILLING},
}
TYPES = tuple(_SAMPLES)
"""Every type that Kinde documents."""
