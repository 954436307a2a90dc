"""The webhooks of a local Kinde: events are signed and sent as Kinde does it, again and again until they are taken.

docs.kinde.com/integrate/webhooks/about-webhooks: what is not answered with 200 is sent again at once, after 5 s, 30 s,
2 min, 10 min, 1 h, 4 h, and then every 12 h until 36 h have passed; a webhook that fails for 72 h is switched off. All
of that goes by the clock of the issuer. One thread sends, for as long as there is something to send.
"""

from __future__ import annotations

import http.client
import threading
import uuid
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from ..errors import ConfigurationError
from ..net import forks
from .journal import Journal
from .keys import UNSIGNED, SigningKey
from .minting import Mint
from .tokens import Claims
from .webhook_events import TYPES, event

RETRY_AFTER = (0, 5, 30, 120, 600, 3_600, 14_400)
"""Seconds from one attempt to the next; later ones are every :data:`LATER`."""
LATER, LAST_ATTEMPT, DISABLED_AFTER = 43_200, 36 * 3_600, 72 * 3_600
TIMEOUT = 5.0
POLL = 0.1
"""Seconds of real time after which the clock is looked at again, which may be anybody's."""
HELD_BACK = LAST_ATTEMPT - 60
WEBHOOK_FAULTS: Mapping[str, str] = {
    "late": "comes 36 hours after the event",
    "twice": "comes twice",
    "out_of_order": "an event is held back until the next one is sent",
    "forged": "signed with a stranger's key under the kid of the one that signs",
    "other_tenant": "signed with a stranger's key under its own kid",
    "unsigned": "not signed (alg none)",
}
"""What can be wrong with webhooks, in words."""


@dataclass(frozen=True, slots=True)
class Webhook:
    """A webhook: where events are sent, and which."""

    id: str
    url: str
    types: tuple[str, ...]
    """Empty: all."""

    def wants(self, kind: str) -> bool:
        """Whether events of that type are sent to it."""
        return not self.types or kind in self.types


@dataclass(slots=True, eq=False)
class _Delivery:
    """An event on its way to one webhook."""

    webhook: Webhook
    kind: str
    body: bytes = field(repr=False)
    request_id: str
    """``webhook-id``: one for the webhook and the event, the same in each attempt."""
    began: float
    due: float
    attempts: int = 0


class Webhooks:
    """What is set up, what has yet to be sent, and the thread that sends it. *mint* signs; *now* is the issuer's time.

    Threads may share it; a forked child sends nothing of its parent's.
    """

    def __init__(self, mint: Mint, now: Callable[[], float], journal: Journal) -> None:
        self._mint, self._now, self._journal = mint, now, journal
        self._webhooks: dict[str, Webhook] = {}
        self._failing_since: dict[str, float] = {}
        self._fault: str | None = None
        self.renew()
        forks.when_forked(self)

    def renew(self) -> None:
        """Nothing is under way, and nobody sends."""
        self._changed = threading.Condition()
        self._waiting: list[_Delivery] = []
        self._held: list[_Delivery] = []
        self._under_way: _Delivery | None = None
        self._runs = False

    @property
    def all(self) -> tuple[Webhook, ...]:
        """Those that are set up."""
        return tuple(self._webhooks.copy().values())

    @property
    def waiting(self) -> int:
        """How many times something has yet to be sent, attempts that are to be repeated included."""
        with self._changed:
            return len(self._waiting) + len(self._held) + (self._under_way is not None)

    @property
    def fault(self) -> str | None:
        """What is wrong with events from now on: a name in ``WEBHOOK_FAULTS``."""
        return self._fault

    @fault.setter
    def fault(self, name: str | None) -> None:
        if name is not None and name not in WEBHOOK_FAULTS:
            raise ConfigurationError(f"webhooks have no fault {name!r}: use one of {', '.join(WEBHOOK_FAULTS)}")
        self._fault = name
        what = "webhooks healed" if name is None else f"webhooks broken: {WEBHOOK_FAULTS[name]}"
        self._journal.add("healed" if name is None else "broken", what, at="webhooks", fault=name)
        with self._changed:
            self._waiting += self._held
            self._held = []
        self._start()

    def add(self, url: str, types: Iterable[str]) -> Webhook:
        """Have events sent to *url* from now on."""
        webhook = Webhook(f"webhook_{uuid.uuid4().hex}", _checked_url(url), _checked_types(types))
        self._webhooks[webhook.id] = webhook
        return webhook

    def remove(self, webhook_id: str) -> None:
        """Have nothing sent to it any more."""
        self._webhooks.pop(webhook_id, None)
        self._failing_since.pop(webhook_id, None)
        with self._changed:
            self._waiting = [one for one in self._waiting if one.webhook.id != webhook_id]
            self._held = [one for one in self._held if one.webhook.id != webhook_id]
            self._changed.notify_all()

    def tell(self, kind: str, data: Claims, source: str = "admin") -> None:
        """Something has happened: whoever wants to know is told, in the background."""
        told = [webhook for webhook in self.all if webhook.wants(kind)]
        if not told:
            return
        now, fault = self._now(), self._fault
        body = self._signed(event(kind, data, source=source, now=now - (HELD_BACK if fault == "late" else 0)))
        found = [_Delivery(webhook, kind, body, f"wh_{uuid.uuid4().hex}", now, now) for webhook in told]
        with self._changed:
            if fault == "out_of_order" and not self._held:
                self._held = found
                return
            self._waiting += [*found, *self._held]
            self._held = []
            if fault == "twice":
                self._waiting += [_Delivery(**{name: getattr(one, name) for name in one.__slots__}) for one in found]
        self._start()

    def flush(self, timeout: float) -> bool:
        """Wait until everything that is due has been sent once, at most *timeout* seconds; whether that is so."""
        self._start()
        with self._changed:
            return self._changed.wait_for(lambda: self._under_way is None and self._next() is None, timeout)

    def _signed(self, claims: Claims) -> bytes:
        mint, kid, header = self._mint, self._mint.key.kid, None
        key = mint.key
        if self._fault in ("forged", "other_tenant"):
            key = mint.stranger
        if self._fault == "forged":
            key = SigningKey(kid, key.alg, key.private)
        elif self._fault == "unsigned":
            key, header = UNSIGNED, {"kid": kid}
        return mint.token(claims, header=header, key=key).encode()

    def _start(self) -> None:
        with self._changed:
            self._changed.notify_all()
            if not self._runs and self._waiting:
                self._runs = True
                threading.Thread(target=self._run, name="kinde_guard-webhooks", daemon=True).start()

    def _run(self) -> None:
        while (delivery := self._take()) is not None:
            answer = _post(delivery)
            self._note(delivery, answer)
            with self._changed:
                self._under_way = None
                self._changed.notify_all()
        forks.ending()

    def _take(self) -> _Delivery | None:
        """The next that is due, once it is; ``None`` if nothing is left to be sent."""
        with self._changed:
            while self._waiting:
                delivery = self._next()
                if delivery is not None:
                    self._waiting.remove(delivery)
                    self._under_way = delivery
                    return delivery
                self._changed.wait(POLL)
            self._runs = False
        return None

    def _next(self) -> _Delivery | None:
        now = self._now()
        return next((delivery for delivery in self._waiting if delivery.due <= now), None)

    def _note(self, delivery: _Delivery, answer: str) -> None:
        delivery.attempts += 1
        webhook, details = delivery.webhook, {"url": delivery.webhook.url, "answer": answer, "type": delivery.kind}
        if answer == "200":
            self._failing_since.pop(webhook.id, None)
            self._journal.add("webhook_sent", f"{delivery.kind} to {webhook.url}", **details)
            return
        wait = self._put_back(delivery)
        when = "given up" if wait is None else f"again in {wait:g} s"
        self._journal.add("webhook_failed", f"{delivery.kind} to {webhook.url}: {answer}, {when}", **details)
        self._switch_off_if_dead(webhook)

    def _put_back(self, delivery: _Delivery) -> float | None:
        """The seconds until another attempt; ``None`` if that was the last."""
        made = delivery.attempts
        wait = RETRY_AFTER[made - 1] if made <= len(RETRY_AFTER) else LATER
        delivery.due = self._now() + wait
        if delivery.due > delivery.began + LAST_ATTEMPT or delivery.webhook.id not in self._webhooks:
            return None
        with self._changed:
            self._waiting.append(delivery)
        return wait

    def _switch_off_if_dead(self, webhook: Webhook) -> None:
        since = self._failing_since.setdefault(webhook.id, self._now())
        if self._now() - since >= DISABLED_AFTER:
            self.remove(webhook.id)
            what = f"{webhook.url} has failed for 72 hours: nothing is sent there any more"
            self._journal.add("webhook_disabled", what, url=webhook.url)


def _post(delivery: _Delivery) -> str:
    """The status, or what there was instead of an answer."""
    parts = urlsplit(delivery.webhook.url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=TIMEOUT)
    headers = {"Content-Type": "application/jwt", "webhook-id": delivery.request_id, "User-Agent": "local-kinde"}
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        connection.request("POST", target, delivery.body, headers)
        return str(connection.getresponse().status)
    except (OSError, http.client.HTTPException) as error:
        return type(error).__name__
    finally:
        with suppress(OSError):
            connection.close()


def _checked_url(url: str) -> str:
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and "@" not in parts.netloc
        _ = parts.port  # raises if it is not a number below 65536
    except (ValueError, TypeError, AttributeError):
        good = False
    if not good or not url.isascii() or not url.isprintable() or " " in url:
        raise ConfigurationError(
            f"a webhook needs an http or https URL, such as http://127.0.0.1:8000/webhooks/kinde, not {url!r}"
        )
    return url


def _checked_types(types: Iterable[str]) -> tuple[str, ...]:
    if isinstance(types, str):
        raise ConfigurationError(f"types go into a list, even one alone: [{types!r}]")
    names = tuple(dict.fromkeys(types))
    for name in names:
        if name not in TYPES:
            raise ConfigurationError(f"Kinde has no event type {name!r}: there are {', '.join(TYPES)}")
    return names
