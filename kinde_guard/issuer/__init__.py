"""A local Kinde: apps, APIs, keys, tokens in Kinde's shapes (wrong ones to order), the endpoints, and their faults.

For development and tests. The guard itself never imports it.
"""

from __future__ import annotations

from .faults import FAULTS, Fault
from .keys import UNSIGNED, SigningKey
from .local import LocalIssuer
from .messages import Request, Response
from .presets import PRESETS, Preset
from .registry import Api, App
from .tokens import ABSENT

__all__ = [
    "ABSENT",
    "FAULTS",
    "PRESETS",
    "UNSIGNED",
    "Api",
    "App",
    "Fault",
    "LocalIssuer",
    "Preset",
    "Request",
    "Response",
    "SigningKey",
]
