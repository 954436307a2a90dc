"""A strict reader of Kinde's webhooks: bytes in, an event out, or the reason why not.

A webhook is a JWT by the keys that sign access tokens. It says neither whose it is nor until when it is good, so what
ties it to a tenant is the key alone, and how old it may be is said here. The rules are asked in this order, all before
the key is looked for: size, form, header, kind, age.

docs.kinde.com/integrate/webhooks/about-webhooks
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING

from ..errors import ConfigurationError, InvalidToken, KeysUnavailable
from ..guard import Guard
from ..keys.jwk import Key
from ..keys.signed import Signed, SignedReader
from ..keys.store import KeyStore, stores
from ..net.clocks import Clocks
from ..settings import Domains, Settings, Variables
from ..tokens import jws, rules
from ..tokens.jws import Json
from .events import WebhookEvent, event_of
from .refusals import InvalidReason, InvalidWebhook

if TYPE_CHECKING:
    import httpx

MAX_BODY = 64 * 1024
ROOM = 4  # four times a token's size, so four times as much in it
MOST_AGE = 37 * 3600  # Kinde tries for 36 hours
MOST_AHEAD = 300
MAX_ID, MAX_TYPE = 256, 100
_NO_API = "webhooks alone"  # an audience is for access tokens, and none is read
_DATE_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)", re.ASCII)  # RFC 3339 §5.6
_TIMES = ("event_timestamp", "timestamp")
_REASONS: dict[str, InvalidReason] = {
    "unsupported_algorithm": "unsupported_algorithm",
    "unsupported_header": "unsupported_header",
    "wrong_token_type": "not_an_event",
    "unknown_key": "unknown_key",
    "bad_signature": "bad_signature",
}
_HINTS = {
    "unknown_key": "no key of this tenant's has the webhook's kid: it may be another tenant's or environment's",
    "bad_signature": "the webhook was changed, or signed with another key of the same kid",
}
_Doubt = InvalidToken | KeysUnavailable


class WebhookReader:
    """Reads webhooks of one tenant: ``event = WebhookReader("acme.kinde.com").read(body)``.

    *domain*: one Kinde domain or several of the tenant, as in :class:`~kinde_guard.Guard`. Or give a *guard*, and the
    reader shares its keys and clocks. If you give neither, the domain comes from ``KINDE_DOMAIN``, ``KINDE_ISSUER_URL``
    or ``KINDE_HOST``. *transport*, *clocks* and *variables* are as in a guard.

    Raises :class:`~kinde_guard.ConfigurationError`, which says what to change. Fetches nothing yet.
    """

    def __init__(
        self,
        domain: Domains | None = None,
        *,
        guard: Guard | None = None,
        transport: httpx.BaseTransport | None = None,
        clocks: Clocks | None = None,
        variables: Sequence[Variables] | None = None,
    ) -> None:
        if guard is None:
            source = (os.environ,) if variables is None else variables
            self._settings = Settings.load(domain, audience=_NO_API, transport=transport, variables=source)
            self._clocks = clocks or Clocks()
            self._stores = tuple(stores(self._settings, self._clocks).values())
        else:
            if (domain, transport, clocks, variables) != (None, None, None, None):
                raise ConfigurationError("the guard has its settings already: give WebhookReader guard= alone")
            self._settings, self._clocks, self._stores = guard.settings, guard.clocks, tuple(guard.key_stores.values())
        self._signed = SignedReader(self._check_header, ROOM)

    def read(self, body: bytes) -> WebhookEvent:
        """The event that *body*, the raw body of a request, tells of.

        Raises :class:`InvalidWebhook` for what is none of this tenant's, and
        :class:`~kinde_guard.KeysUnavailable` where that cannot be told, so that Kinde has to send it again.
        """
        signed, time = self._read(body)
        doubts: list[_Doubt] = []
        for store in self._stores_to_ask(signed):
            try:
                self._check_signature(signed, store, store.get(signed.kid, signed.alg))
                return event_of(signed.claims, signed.payload, time=time, issuer=store.issuer)
            except (InvalidToken, KeysUnavailable) as doubt:
                doubts.append(doubt)
        raise _worst(doubts)

    async def aread(self, body: bytes) -> WebhookEvent:
        """:meth:`read` for event loops: it awaits nothing unless a key has to be fetched."""
        signed, time = self._read(body)
        doubts: list[_Doubt] = []
        for store in self._stores_to_ask(signed):
            try:
                self._check_signature(signed, store, await store.aget(signed.kid, signed.alg))
                return event_of(signed.claims, signed.payload, time=time, issuer=store.issuer)
            except (InvalidToken, KeysUnavailable) as doubt:
                doubts.append(doubt)
        raise _worst(doubts)

    def _read(self, body: bytes) -> tuple[Signed, float]:
        """A webhook that is right in all but its signature, which has yet to be checked; and the event's time."""
        if len(body) > MAX_BODY:
            raise InvalidWebhook("too_large", f"the body is larger than {MAX_BODY // 1024} KiB")
        try:
            signed = self._signed.read(body)
            signed.signature = jws.decode(signed.segment)
        except InvalidToken as refusal:
            raise _said_of(refusal) from None
        _check_kind(signed.claims)
        return signed, _time_of(signed.claims, self._clocks.wall())

    def _stores_to_ask(self, signed: Signed) -> Sequence[KeyStore]:
        """Those that hold a key of that name. If none does, all of them, each of which is waited for in turn; so that
        it is not long, those that are out of date have begun to load."""
        holding = [store for store in self._stores if store.find(signed.kid, signed.alg) is not None]
        if not holding:
            for store in self._stores:
                store.load()
        return holding or self._stores

    def _check_signature(self, signed: Signed, store: KeyStore, key: Key) -> None:
        signed.store = store
        self._signed.check_signature(signed, key)

    def _check_header(self, header: Json) -> None:
        rules.check_algorithm(header, self._settings)
        _check_type(header)
        rules.check_extensions(header, self._settings)
        rules.check_key_id(header, self._settings)


def _check_type(header: Json) -> None:
    """Kinde sends ``JWT``. ``at+jwt`` is an access token for certain, and ``secevent+jwt`` a security event token."""
    typ = header.get("typ", "JWT")
    if type(typ) is not str or typ.upper() != "JWT":
        raise InvalidToken("wrong_token_type", "typ names another kind of JWT than a webhook's")


def _check_kind(claims: Json) -> None:
    """An access token, an ID token and a security event token (RFC 8417 §2.2) say who has issued them, a webhook does
    not. None of them lets an event happen."""
    if "iss" in claims or "events" in claims:
        raise InvalidWebhook("not_an_event", "this is an access token, an ID token or a security event token")
    for name, most in (("event_id", MAX_ID), ("type", MAX_TYPE)):
        value = claims.get(name)
        if type(value) is not str or not 1 <= len(value) <= most:
            raise InvalidWebhook("not_an_event", f"{name} is not text of at most {most} characters")
    if len(claims["event_id"].split()) != 1:  # it stands among other words in what a fleet is told
        raise InvalidWebhook("not_an_event", "event_id has white space in it")


def _time_of(claims: Json, now: float) -> float:
    """The event's. Kinde does not say which of the two times is the event's, and which that of the attempt to tell of
    it; all of its samples have them equal, and older ones lack ``event_timestamp``."""
    times = [_moment(claims[name]) for name in _TIMES if claims.get(name) is not None]
    if not times:
        raise InvalidWebhook("malformed", "there is no timestamp")
    if min(times) < now - MOST_AGE:
        raise InvalidWebhook("too_old", "Kinde repeats for 36 hours: this may be a replay, or the clock here is wrong")
    if max(times) > now + MOST_AHEAD:
        raise InvalidWebhook("not_yet_valid", "it is from the future: compare this machine's clock with Kinde's")
    return min(times)


def _moment(value: object) -> float:
    """RFC 3339, in seconds since the epoch. Without an offset it would be a time of nobody knows where."""
    if type(value) is str and _DATE_TIME.fullmatch(value):
        with suppress(ValueError, OverflowError):  # the 30th of February
            return datetime.fromisoformat(value).timestamp()
    raise InvalidWebhook("malformed", "a timestamp is no date and time with an offset (RFC 3339)")


def _worst(doubts: Sequence[_Doubt]) -> InvalidWebhook | KeysUnavailable:
    """The one to be told: an issuer whose keys are not at hand may have signed it."""
    for doubt in doubts:
        if isinstance(doubt, KeysUnavailable):
            return doubt.anew()  # type: ignore[no-any-return]  # a KeysUnavailable
    told = [doubt for doubt in doubts if isinstance(doubt, InvalidToken)]
    return _said_of(next((doubt for doubt in told if doubt.reason == "bad_signature"), told[0]))


def _said_of(refusal: InvalidToken) -> InvalidWebhook:
    """The same of a webhook as of a token."""
    return InvalidWebhook(_REASONS.get(refusal.reason, "malformed"), _HINTS.get(refusal.reason, refusal.hint))
