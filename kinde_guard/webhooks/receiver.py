"""The receiver of webhooks: a request in, an answer out, and in between whatever an event is to do.

200 means that everything has been done. Whatever is missing, keys, the revocations' store, or a success of
``on_event``, is a 503: Kinde repeats for 36 hours, so an outage loses nothing. What is no event of this tenant's is a
400.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from dataclasses import replace

from ..errors import KeysUnavailable, Unavailable
from ..events import WebhookAnswered, log
from ..guard import Guard
from ..net.once import Once
from ..tokens.claims import quoted
from . import calls
from .calls import OnEvent
from .events import WebhookEvent
from .ledger import EventLedger, ProcessLedger, Turn
from .reader import WebhookReader
from .refusals import DONE, InvalidWebhook, WebhookAnswer, refused, unavailable
from .turns import MOST, TooMany, Turns

METHOD = "POST"
MEDIA_TYPE = "application/jwt"
WAIT_FOR_OTHER, WAIT_AFTER_FAILURE = 1, 5


class _BeingHandled(Exception):
    """The event is being handled in this moment, for another request."""


class WebhookReceiver:
    """Takes the webhooks of the tenant of *guard*: ``WebhookReceiver(guard, on_event).receive(method, headers, body)``.

    The revocations of the guard, if it has any, are told of each event. Then *on_event* is called; it may be ``async``.
    It is called once for each event id (the signature covers the id, unlike ``webhook-id``): once in a process, or once
    in a fleet if the guard's revocations have a ledger, or you give a *ledger*. It is called again only after it has
    failed. Before all this, the signature has to hold; a sender whose signature does not hold learns nothing.

    Raises :class:`~kinde_guard.ConfigurationError` if nothing would be done with an event.
    """

    def __init__(self, guard: Guard, on_event: OnEvent | None = None, *, ledger: EventLedger | None = None) -> None:
        if on_event is not None:
            calls.check(on_event)
        self._guard, self._on_event = guard, on_event
        self._reader = WebhookReader(guard=guard)
        self._own_ledger = ledger or ProcessLedger()
        self._is_given = ledger is not None
        self._turns = Turns()
        self._scope = _scope_of(guard, on_event)
        self._refusal_said, self._outage_said, self._has_taken = Once(), Once(), False

    def receive(self, method: str, headers: Mapping[str, str], body: bytes) -> WebhookAnswer:
        """The answer to a request with this *method*, these *headers* and this raw *body*, of which no more need be
        read than one byte over 64 KiB. Raises nothing that a request could cause."""
        answer = self._refused_unread(method, headers)
        if answer is not None:
            return answer
        try:
            event = self._reader.read(body)
        except (InvalidWebhook, KeysUnavailable) as refusal:
            return self._answer_to(refusal)
        self._has_taken = True
        try:
            self._handle(event)
        except Exception as error:
            return self._failed(event, error)
        return self._done(event)

    async def areceive(self, method: str, headers: Mapping[str, str], body: bytes) -> WebhookAnswer:
        """:meth:`receive` for event loops, which it never holds up: an *on_event* that is not ``async`` runs in a
        thread."""
        answer = self._refused_unread(method, headers)
        if answer is not None:
            return answer
        try:
            event = await self._reader.aread(body)
        except (InvalidWebhook, KeysUnavailable) as refusal:
            return self._answer_to(refusal)
        self._has_taken = True
        try:
            await self._ahandle(event)
        except Exception as error:
            return self._failed(event, error)
        return self._done(event)

    def _handle(self, event: WebhookEvent) -> None:
        """Revocations first, each time: they do not mind, and what fails afterwards, or hangs, takes nothing of them
        away."""
        revocations = self._guard.revocations
        if revocations is not None:
            revocations.apply(event)
        if self._on_event is None:
            return
        ledger, key = self._ledger(), self._key(event)
        with self._turns:
            if _is_mine(ledger.begin(key)):
                try:
                    calls.call(self._on_event, event)
                except BaseException:
                    ledger.give_up(key)
                    raise
                ledger.finish(key)

    async def _ahandle(self, event: WebhookEvent) -> None:
        revocations = self._guard.revocations
        if revocations is not None:
            await revocations.aapply(event)
        if self._on_event is None:
            return
        ledger, key = self._ledger(), self._key(event)
        with self._turns:
            if _is_mine(await ledger.abegin(key)):
                try:
                    await calls.acall(self._on_event, event)
                except BaseException:
                    await ledger.agive_up(key)
                    raise
                await ledger.afinish(key)

    def _refused_unread(self, method: str, headers: Mapping[str, str]) -> WebhookAnswer | None:
        """The answer to what can be no webhook, whatever the body is."""
        if method != METHOD:
            answer = refused(405, "wrong_method", ("Allow", METHOD))
            return replace(answer, body=b"") if method == "HEAD" else answer
        content_type = next((value for name, value in headers.items() if name.lower() == "content-type"), "")
        if content_type.partition(";")[0].strip().lower() not in ("", MEDIA_TYPE):
            return self._answer_to(InvalidWebhook("wrong_content_type", f"Kinde sends {MEDIA_TYPE}"))
        return None

    def _answer_to(self, refusal: InvalidWebhook | KeysUnavailable) -> WebhookAnswer:
        """Anybody may send what is refused, so it is told at INFO; the first one so that everybody sees it, unless one
        has been taken: settings or a clock may be wrong."""
        facts = {"event": "webhook_refused", "reason": refusal.reason}
        self._tell("", refusal.reason)
        if isinstance(refusal, KeysUnavailable):
            # The store of the keys warns of the outage; strangers may send as many as they like.
            level = logging.WARNING if self._outage_said.is_first() else logging.INFO
            log.log(level, "cannot tell (keys_unavailable) a webhook: it has to be sent again", extra=facts)
            return unavailable("keys_unavailable", refusal.retry_after)
        level = logging.WARNING if not self._has_taken and self._refusal_said.is_first() else logging.INFO
        log.log(level, "refused (%s) a webhook: %s", refusal.reason, refusal.hint, extra=facts)
        return refused(400, refusal.reason)

    def _failed(self, event: WebhookEvent, error: Exception) -> WebhookAnswer:
        if isinstance(error, _BeingHandled):
            self._tell(event.type, "being_handled")
            return unavailable("being_handled", WAIT_FOR_OTHER)
        if isinstance(error, TooMany):
            self._tell(event.type, "too_many")
            words = "%d events are being handled: more have to be sent again"
            log.warning(words, MOST, extra={"event": "webhook_put_off", "type": event.type})
            return unavailable("too_many", WAIT_AFTER_FAILURE)
        self._tell(event.type, "not_handled")
        facts = {"event": "webhook_failed", "type": event.type}
        if isinstance(error, Unavailable):
            words = "the event %s cannot be taken in (%s): it has to be sent again"
            log.warning(words, quoted(event.type), error.reason, extra=facts)
            return unavailable("not_handled", error.retry_after)
        words = "the event %s could not be handled, and has to be sent again"
        log.error(words, quoted(event.type), exc_info=error, extra=facts)
        return unavailable("not_handled", WAIT_AFTER_FAILURE)

    def _done(self, event: WebhookEvent) -> WebhookAnswer:
        self._tell(event.type, "")
        log.info("the event %s is handled", quoted(event.type), extra={"event": "webhook_handled", "type": event.type})
        return DONE

    def _tell(self, kind: str, reason: str) -> None:
        emit = self._guard.emit
        if emit is not None:
            emit(WebhookAnswered(kind, reason))

    def _ledger(self) -> EventLedger:
        revocations = self._guard.revocations
        shared = None if self._is_given or revocations is None else revocations.ledger
        return self._own_ledger if shared is None else shared

    def _key(self, event: WebhookEvent) -> str:
        return hashlib.sha256(f"{event.issuer} {event.id} {self._scope}".encode()).hexdigest()


def _is_mine(turn: Turn) -> bool:
    if turn == "busy":
        raise _BeingHandled
    return turn == "mine"


def _scope_of(guard: Guard, on_event: OnEvent | None) -> str:
    """What sets the events of this API apart, in a book that several share: each is to be told of all."""
    name = getattr(on_event, "__qualname__", type(on_event).__qualname__)
    return " ".join((*guard.audiences, str(getattr(on_event, "__module__", "")), name))
