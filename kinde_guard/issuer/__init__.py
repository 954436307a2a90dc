"""A local Kinde: apps, APIs, people, keys, tokens in Kinde's shapes (wrong ones to order), endpoints and their faults.

For development and tests. The guard itself never imports it.
"""

from __future__ import annotations

from .api_keys import ApiKey, NewApiKey
from .faults import FAULTS, Fault
from .keys import UNSIGNED, SigningKey
from .local import LocalIssuer
from .messages import Request, Response
from .presets import PRESETS, Preset
from .redirects import LOOPBACK
from .registry import Api, App, ConfidentialApp
from .sessions import SignIn
from .tokens import ABSENT
from .users import Membership, User
from .webhooks import WEBHOOK_FAULTS, Webhook

__all__ = [
    "ABSENT",
    "FAULTS",
    "LOOPBACK",
    "PRESETS",
    "UNSIGNED",
    "WEBHOOK_FAULTS",
    "Api",
    "ApiKey",
    "App",
    "ConfidentialApp",
    "Fault",
    "LocalIssuer",
    "Membership",
    "NewApiKey",
    "Preset",
    "Request",
    "Response",
    "SignIn",
    "SigningKey",
    "User",
    "Webhook",
]
