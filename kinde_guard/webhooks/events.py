"""The events that Kinde's webhooks tell of, as frozen values. Pure.

The types are those of docs.kinde.com/integrate/webhooks/add-manage-webhooks and of Kinde's own decoder
(github.com/kinde-oss/webhook). An event of any other type is a :class:`WebhookEvent`: what it says is in its ``data``.

What somebody's tokens may be ended by is read strictly: an id that is no text, a flag that is neither true nor false,
make an event malformed. All else that is of an unexpected type counts as not said.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from .refusals import InvalidWebhook

Json = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookEvent:
    """An event as a webhook told of it, of whatever type."""

    id: str
    """``event_id``: the same in every attempt to tell of it, and from every webhook."""
    type: str
    """Such as ``user.updated``."""
    source: str
    """Where it was caused: ``admin``, ``api`` or ``user``; empty if it does not say."""
    time: float
    """When it happened, in seconds since the epoch: the earlier of its two times."""
    issuer: str
    """The URL of the issuer whose key has signed it."""
    payload: bytes = field(repr=False)
    """The JSON text that was signed."""

    @classmethod
    def of(cls, common: Mapping[str, Any], data: Json) -> Self:
        """The event, from what all events have in *common*, and its own *data*; raises :class:`InvalidWebhook`."""
        return cls(**common)

    @property
    def data(self) -> Json:
        """What it says, as Kinde sent it; a new one on each access, so it is yours to change."""
        data: Json = json.loads(self.payload).get("data") or {}
        return data


@dataclass(frozen=True, slots=True)
class UserMembership:
    """A membership of an organization, with the keys of roles and permissions as they are after the event."""

    organization_code: str
    roles: tuple[str, ...] = ()
    permissions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class UserData:
    """A user as they are after the event."""

    id: str
    is_suspended: bool
    is_password_reset_requested: bool = False
    email: str | None = field(default=None, repr=False)
    first_name: str | None = field(default=None, repr=False)
    last_name: str | None = field(default=None, repr=False)
    username: str | None = field(default=None, repr=False)
    phone: str | None = field(default=None, repr=False)
    organizations: tuple[UserMembership, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class UserEvent(WebhookEvent):
    """Something that happened to a user, or that one did."""

    user_id: str

    @classmethod
    def of(cls, common: Mapping[str, Any], data: Json) -> Self:
        """The event, as :meth:`WebhookEvent.of`."""
        return cls(**common, user_id=_id(_object(data, "user"), "id"))


@dataclass(frozen=True, slots=True, kw_only=True)
class _UserWithData(UserEvent):
    user: UserData

    @classmethod
    def of(cls, common: Mapping[str, Any], data: Json) -> Self:
        """The event, as :meth:`WebhookEvent.of`."""
        user = _user(_object(data, "user"))
        return cls(**common, user_id=user.id, user=user)


@dataclass(frozen=True, slots=True, kw_only=True)
class UserCreated(_UserWithData):
    """``user.created``. Kinde tells of none that are imported."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UserUpdated(_UserWithData):
    """``user.updated``: a profile, a suspension, a membership, a role or a permission is another now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UserDeleted(UserEvent):
    """A user is deleted: ``user.deleted``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _UserAtAddress(UserEvent):
    ip_address: str | None = field(repr=False)

    @classmethod
    def of(cls, common: Mapping[str, Any], data: Json) -> Self:
        """The event, as :meth:`WebhookEvent.of`. Kinde has the address beside the data, not in it."""
        address = _text(json.loads(common["payload"]), "ip_address")
        return cls(**common, user_id=_id(_object(data, "user"), "id"), ip_address=address)


@dataclass(frozen=True, slots=True, kw_only=True)
class UserAuthenticated(_UserAtAddress):
    """``user.authenticated``: somebody has signed in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UserAuthenticationFailed(_UserAtAddress):
    """``user.authentication_failed``: somebody has tried to sign in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrganizationEvent(WebhookEvent):
    """Something that happened to an organization."""

    organization_code: str

    @classmethod
    def of(cls, common: Mapping[str, Any], data: Json) -> Self:
        """The event, as :meth:`WebhookEvent.of`."""
        return cls(**common, organization_code=_id(_object(data, "organization"), "code"))


@dataclass(frozen=True, slots=True, kw_only=True)
class _OrganizationWithData(OrganizationEvent):
    name: str | None
    handle: str | None
    external_id: str | None

    @classmethod
    def of(cls, common: Mapping[str, Any], data: Json) -> Self:
        """The event, as :meth:`WebhookEvent.of`."""
        organization = _object(data, "organization")
        texts: Json = {name: _text(organization, name) for name in ("name", "handle", "external_id")}
        return cls(**common, organization_code=_id(organization, "code"), **texts)


@dataclass(frozen=True, slots=True, kw_only=True)
class OrganizationCreated(_OrganizationWithData):
    """An organization is created: ``organization.created``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrganizationUpdated(_OrganizationWithData):
    """``organization.updated``. It does not say whether the organization is suspended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrganizationDeleted(OrganizationEvent):
    """An organization is deleted: ``organization.deleted``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Described(WebhookEvent):
    key: str | None
    """``None`` of what is deleted, as are the name and the description."""
    name: str | None
    description: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleEvent(_Described):
    """Something that happened to a role; it does not say whose role it is."""

    role_id: str

    @classmethod
    def of(cls, common: Mapping[str, Any], data: Json) -> Self:
        """The event, as :meth:`WebhookEvent.of`."""
        return cls(**common, role_id=_id(_object(data, "role"), "id"), **_described(data["role"]))


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleCreated(RoleEvent):
    """A role is created: ``role.created``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleUpdated(RoleEvent):
    """A role is changed: ``role.updated``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleDeleted(RoleEvent):
    """A role is deleted: ``role.deleted``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PermissionEvent(_Described):
    """Something that happened to a permission; it does not say who has it."""

    permission_id: str

    @classmethod
    def of(cls, common: Mapping[str, Any], data: Json) -> Self:
        """The event, as :meth:`WebhookEvent.of`."""
        return cls(**common, permission_id=_id(_object(data, "permission"), "id"), **_described(data["permission"]))


@dataclass(frozen=True, slots=True, kw_only=True)
class PermissionCreated(PermissionEvent):
    """A permission is created: ``permission.created``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PermissionUpdated(PermissionEvent):
    """A permission is changed: ``permission.updated``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PermissionDeleted(PermissionEvent):
    """A permission is deleted: ``permission.deleted``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Newcomer(WebhookEvent):
    user_id: str | None
    email: str | None = field(repr=False)
    first_name: str | None = field(repr=False)
    last_name: str | None = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriberCreated(_Newcomer):
    """``subscriber.created``: somebody asks to be told of news."""

    @classmethod
    def of(cls, common: Mapping[str, Any], data: Json) -> Self:
        """The event, as :meth:`WebhookEvent.of`."""
        return cls(**common, **_newcomer(_object(data, "subscriber")))


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessRequestCreated(_Newcomer):
    """``access_request.created``: somebody asks to be let in."""

    @classmethod
    def of(cls, common: Mapping[str, Any], data: Json) -> Self:
        """The event, as :meth:`WebhookEvent.of`."""
        return cls(**common, **_newcomer(_object(data, "access_request")))


@dataclass(frozen=True, slots=True, kw_only=True)
class PasskeyEvent(WebhookEvent):
    """``passkey.added`` or ``passkey.removed``. Kinde does not document what it says: see ``data``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomerEvent(WebhookEvent):
    """One of Kinde's billing, ``customer.…``. Kinde does not document what it says: see ``data``."""


_BILLING = (
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
TYPES: Mapping[str, type[WebhookEvent]] = {
    "user.created": UserCreated,
    "user.updated": UserUpdated,
    "user.deleted": UserDeleted,
    "user.authenticated": UserAuthenticated,
    "user.authentication_failed": UserAuthenticationFailed,
    "organization.created": OrganizationCreated,
    "organization.updated": OrganizationUpdated,
    "organization.deleted": OrganizationDeleted,
    "role.created": RoleCreated,
    "role.updated": RoleUpdated,
    "role.deleted": RoleDeleted,
    "permission.created": PermissionCreated,
    "permission.updated": PermissionUpdated,
    "permission.deleted": PermissionDeleted,
    "subscriber.created": SubscriberCreated,
    "access_request.created": AccessRequestCreated,
    "passkey.added": PasskeyEvent,
    "passkey.removed": PasskeyEvent,
    **{f"customer.{name}": CustomerEvent for name in _BILLING},
}
"""The class of each type that is known."""


def event_of(claims: Json, payload: bytes, *, time: float, issuer: str) -> WebhookEvent:
    """The event that *claims*, read from *payload*, tell of. Raises :class:`InvalidWebhook` (``malformed``)."""
    kind, data, source = claims["type"], claims.get("data"), claims.get("source")
    if data is None:
        data = {}
    if type(data) is not dict:
        raise InvalidWebhook("malformed", "data is no object")
    common = {
        "id": claims["event_id"],
        "type": kind,
        "source": source if type(source) is str else "",
        "time": time,
        "issuer": issuer,
        "payload": payload,
    }
    return TYPES.get(kind, WebhookEvent).of(common, data)


def _user(user: Json) -> UserData:
    texts: Json = {name: _text(user, name) for name in ("email", "first_name", "last_name", "username", "phone")}
    return UserData(
        id=_id(user, "id"),
        is_suspended=_flag(user, "is_suspended"),
        is_password_reset_requested=_flag(user, "is_password_reset_requested"),
        organizations=tuple(_membership(one) for one in _list(user, "organizations") if type(one) is dict),
        **texts,
    )


def _membership(organization: Json) -> UserMembership:
    """Roles and permissions may be ``null``, which is none."""
    return UserMembership(_id(organization, "code"), _keys(organization, "roles"), _keys(organization, "permissions"))


def _keys(organization: Json, name: str) -> tuple[str, ...]:
    keys = (one.get("key") if type(one) is dict else one for one in _list(organization, name))
    return tuple(key for key in keys if type(key) is str)


def _described(found: Json) -> Json:
    return {name: _text(found, name) for name in ("key", "name", "description")}


def _newcomer(found: Json) -> Json:
    return {name: _text(found, name) for name in ("user_id", "email", "first_name", "last_name")}


def _object(data: Json, name: str) -> Json:
    value = data.get(name)
    if type(value) is not dict:
        raise InvalidWebhook("malformed", f"data has no object {name}")
    return value


def _id(found: Json, name: str) -> str:
    value = found.get(name)
    if type(value) is not str or not value:
        raise InvalidWebhook("malformed", f"{name} is not text")
    return value


def _flag(found: Json, name: str) -> bool:
    value = found.get(name)
    if value is not None and type(value) is not bool:
        raise InvalidWebhook("malformed", f"{name} is neither true nor false")
    return bool(value)


def _text(found: Json, name: str) -> str | None:
    value = found.get(name)
    return value if type(value) is str else None


def _list(found: Json, name: str) -> list[Any]:
    value = found.get(name)
    return value if type(value) is list else []
