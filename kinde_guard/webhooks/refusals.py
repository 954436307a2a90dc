"""What is answered to a webhook that is refused or cannot be taken now: reasons, and the public text of each.

Nothing that a request says enters an answer: its text is looked up here by the reason.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Literal

from ..errors import KindeGuardError

InvalidReason = Literal[
    "too_large",
    "wrong_content_type",
    "malformed",
    "unsupported_algorithm",
    "unsupported_header",
    "not_an_event",
    "too_old",
    "not_yet_valid",
    "unknown_key",
    "bad_signature",
]
Reason = Literal["wrong_method", "keys_unavailable", "being_handled", "too_many", "not_handled"] | InvalidReason

TEXTS = {
    "wrong_method": "Webhooks come by POST.",
    "too_large": "The body is larger than a webhook may be.",
    "wrong_content_type": "The content type of a webhook is application/jwt.",
    "malformed": "The body is not a well-formed webhook.",
    "unsupported_algorithm": "The webhook is signed with an algorithm that is not accepted.",
    "unsupported_header": "The webhook has a header that is not accepted.",
    "not_an_event": "The body is no webhook's.",
    "too_old": "The webhook is too old.",
    "not_yet_valid": "The webhook is from the future.",
    "unknown_key": "The webhook is signed with an unknown key.",
    "bad_signature": "The signature of the webhook does not hold.",
    "keys_unavailable": "Webhooks cannot be verified at the moment.",
    "being_handled": "The webhook is being handled.",
    "too_many": "Too many webhooks are being handled.",
    "not_handled": "The webhook could not be handled.",
}
_TITLES = {400: "Bad Request", 405: "Method Not Allowed", 503: "Service Unavailable"}
_NO_STORE = ("Cache-Control", "no-store")


class InvalidWebhook(KindeGuardError):
    """What came is no webhook of this tenant's, or not one for now: 400. ``str(error)`` is safe to show."""

    def __init__(self, reason: InvalidReason, hint: str = "") -> None:
        super().__init__(reason, hint)
        self.reason = reason
        """Why, for programs, logs and metrics: one of a closed list, ``InvalidReason``."""
        self.hint = hint
        """What may be behind it, for the people who run the API; made of fixed words and our own settings."""

    def __str__(self) -> str:
        return self.reason


@dataclass(frozen=True, slots=True)
class WebhookAnswer:
    """The answer to a request at the path of webhooks."""

    status: int
    headers: tuple[tuple[str, str], ...]
    """All of them."""
    body: bytes = field(default=b"", repr=False)


DONE = WebhookAnswer(200, (_NO_STORE, ("Content-Length", "0")))
"""The answer once everything has been done."""


def refused(status: int, reason: Reason, *headers: tuple[str, str]) -> WebhookAnswer:
    """The answer with this status, with *headers* and a problem body (RFC 9457)."""
    body = json.dumps({"title": _TITLES[status], "status": status, "detail": TEXTS[reason], "error": reason}).encode()
    own = (("Content-Type", "application/problem+json"), ("Content-Length", str(len(body))))
    return WebhookAnswer(status, (_NO_STORE, *headers, *own), body)


def unavailable(reason: Reason, retry_after: int) -> WebhookAnswer:
    """503: Kinde sends the webhook again, whenever it does; *retry_after* (seconds) is for others."""
    return refused(503, reason, ("Retry-After", str(retry_after)))
