"""Kinde's webhooks: a strict reader, events as frozen values, and a receiver that does each event's work once.

``KindeGuard(app, webhooks="/webhooks/kinde", on_event=…)`` takes them in front of an app. For others:

    reader = WebhookReader("acme.kinde.com")
    event = reader.read(body)                 # or await reader.aread(body); raises InvalidWebhook, KeysUnavailable

    receiver = WebhookReceiver(guard, on_event)
    answer = receiver.receive(method, headers, body)      # or await receiver.areceive(…): .status .headers .body
"""

from __future__ import annotations

from .calls import OnEvent
from .events import (
    TYPES,
    AccessRequestCreated,
    CustomerEvent,
    OrganizationCreated,
    OrganizationDeleted,
    OrganizationEvent,
    OrganizationUpdated,
    PasskeyEvent,
    PermissionCreated,
    PermissionDeleted,
    PermissionEvent,
    PermissionUpdated,
    RoleCreated,
    RoleDeleted,
    RoleEvent,
    RoleUpdated,
    SubscriberCreated,
    UserAuthenticated,
    UserAuthenticationFailed,
    UserCreated,
    UserData,
    UserDeleted,
    UserEvent,
    UserMembership,
    UserUpdated,
    WebhookEvent,
)
from .ledger import EventLedger
from .reader import WebhookReader
from .receiver import WebhookReceiver
from .refusals import InvalidWebhook, WebhookAnswer

__all__ = [
    "TYPES",
    "AccessRequestCreated",
    "CustomerEvent",
    "EventLedger",
    "InvalidWebhook",
    "OnEvent",
    "OrganizationCreated",
    "OrganizationDeleted",
    "OrganizationEvent",
    "OrganizationUpdated",
    "PasskeyEvent",
    "PermissionCreated",
    "PermissionDeleted",
    "PermissionEvent",
    "PermissionUpdated",
    "RoleCreated",
    "RoleDeleted",
    "RoleEvent",
    "RoleUpdated",
    "SubscriberCreated",
    "UserAuthenticated",
    "UserAuthenticationFailed",
    "UserCreated",
    "UserData",
    "UserDeleted",
    "UserEvent",
    "UserMembership",
    "UserUpdated",
    "WebhookAnswer",
    "WebhookEvent",
    "WebhookReader",
    "WebhookReceiver",
]
