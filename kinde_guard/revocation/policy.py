"""What an event of Kinde's means for tokens that have been issued. Pure: one function for each type of event.

Nothing is read into an event that Kinde does not document: a role that has changed, a profile, an organization that was
updated end no token.
"""

from __future__ import annotations

from ..webhooks.events import OrganizationDeleted, UserDeleted, UserUpdated, WebhookEvent
from .entry import Revocation, made

BY = "webhook"


def entry_of(event: WebhookEvent) -> Revocation | None:
    """The revocation that *event* is to cause, if any. Its T is the event's own time, and its id the event's: told of
    twice, or 36 hours late, it says what it said the first time."""
    if isinstance(event, UserDeleted):
        return _of_user(event.user_id, event, "the user was deleted")
    if isinstance(event, UserUpdated) and event.user.is_suspended:
        return _of_user(event.user_id, event, "the user was suspended")
    if isinstance(event, OrganizationDeleted):
        reason = "the organization was deleted"
        return made("org", event.organization_code, event.time, name=event.id, reason=reason, by=BY)
    return None


def _of_user(user_id: str, event: WebhookEvent, reason: str) -> Revocation:
    return made("subject", user_id, event.time, name=event.id, reason=reason, by=BY)
