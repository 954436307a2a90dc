"""What is told of verdicts: a line in the log, an event for whoever observes.

Refusals are logged in one form, of which is left out what is not known:

    refused (insufficient_scope) token 0123456789ab of '<client id>': <hint>
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from ..errors import ApiKeysUnavailable, AuthError, MissingToken, Reason, Unavailable
from ..web.log_lines import log
from .claims import quoted

if TYPE_CHECKING:
    from .. import events
    from .access_token import AccessToken

_ALL_REFUSED_ALIKE = (
    "no token has been let in yet, and the last %d were refused for one reason, %s. If they are your own clients', "
    "either the settings or the tokens are not right: see which with `kinde-guard explain`, which takes a token on "
    "stdin (pip install 'kinde-guard[cli]')"
)


def log_refusal(refusal: AuthError | Unavailable, mark: str = "", client: str | None = None) -> None:
    """The line of the log, of a token with the fingerprint *mark*; *client* is that of one whose signature has held."""
    level, words, hint = _words_of(refusal)
    facts = {"reason": refusal.reason, "fingerprint": mark, "client": client}
    who = (f" token {mark}" if mark else "") + (f" of {quoted(client)}" if client else "")
    extra = {name: value for name, value in facts.items() if value}
    log.log(level, "%s (%s)%s%s", words, refusal.reason, who, hint and f": {hint}", extra=extra)


def log_refused_alike(times: int, reason: Reason) -> None:
    """The line of the log for the first *times* tokens, all of which were refused for *reason*."""
    log.warning(_ALL_REFUSED_ALIKE, times, reason, extra={"event": "refused_alike", "reason": reason})


# The events are loaded where somebody observes.


def emitter_of(observer: events.Observer | None, report_to: str | None) -> events.Emit | None:
    """What passes events to *observer*, and to the local Kinde at *report_to*; ``None`` if there is neither."""
    if observer is None and report_to is None:
        return None
    from ..events import emitter

    return emitter(observer, _reporter(report_to))


def verified(token: AccessToken, remembered: bool) -> events.Event:
    """The event of a good token."""
    from ..events import Verified

    return Verified(token, remembered)


def event_of(refusal: AuthError | Unavailable, mark: str) -> events.Event:
    """The event of *refusal*, of a token with the fingerprint *mark*."""
    from ..events import CannotTell, Refused

    if isinstance(refusal, Unavailable):
        return CannotTell(mark, refusal.retry_after, refusal.reason)
    return Refused(refusal.reason, mark, refusal.hint)


def _reporter(url: str | None) -> events.Observer | None:
    if url is None:
        return None
    from ..net.verdict_reporter import Reporter  # it is for development

    return Reporter(url)


def _words_of(refusal: AuthError | Unavailable) -> tuple[int, str, str]:
    """How loud it is said, the verdict, and the hint."""
    if isinstance(refusal, Unavailable):
        # Strangers can have it said of API keys as often as they like: why, ApiKeys has said in a WARNING a minute.
        level = logging.INFO if isinstance(refusal, ApiKeysUnavailable) else logging.WARNING
        return level, "cannot tell", f"no usable {refusal.what}, try again in {refusal.retry_after} s"
    # Requests without a header are everyday; one that lacks `Bearer` has a hint worth reading.
    level = logging.DEBUG if isinstance(refusal, MissingToken) and not refusal.hint else logging.INFO
    return level, "refused", refusal.hint
