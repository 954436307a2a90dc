"""The state of a local Kinde. Whatever answers for one, endpoints, faults and presets, takes its ``Tenant``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal, Self

from ..net import forks
from ..settings import issuer_url
from .api_keys import ApiKey, IssuedApiKeys
from .grants import Grants
from .journal import Journal
from .keys import KeyRing, SigningKey
from .messages import Response
from .minting import Mint
from .redirects import LOOPBACK
from .registry import Api, App, ConfidentialApp, Registry, new_client_id, new_client_secret
from .sessions import SESSION_LIFETIME, SIGN_IN_LIFETIME, ExpiringValues, Session, SignIn
from .users import SAMPLE_USERS
from .webhooks import Webhooks

AUDIENCE = "https://api.example.com"
SCOPES = ("read:users", "write:flags")
READ_API_KEYS = "read:api_keys"
SCOPES_OF_SCOPES = ("read:apis", "read:api_scopes", "create:api_scopes")
"""What it takes to see the scopes of APIs, and to add some."""
MANAGEMENT_SCOPES = (*(f"{what}:api_keys" for what in ("create", "read", "update", "delete")), *SCOPES_OF_SCOPES)
Place = Literal["keys", "token", "discovery", "verify", "api_keys"]
"""What of a local Kinde can be broken; ``verify`` is where APIs ask whether an API key is good, ``api_keys`` all else
that is asked about them."""
PLACE_NAMES: tuple[Place, ...] = ("keys", "token", "discovery", "verify", "api_keys")


@dataclass(frozen=True, slots=True, eq=False)
class ActiveFault:
    """A fault that is at work now: its name in ``FAULTS``, and a value for each of its options."""

    name: str
    options: Mapping[str, float]


class Tenant(Mint):
    """The tenant is all that a local Kinde knows: its keys, what is set up, who is signed in, and what is broken.

    Threads may use it while another rotates its keys. Nothing is kept outside the object.
    """

    front_end_app: App
    """The sample app that runs in a browser, and has no secret."""
    chooser: Callable[[Self, SignIn], Response] | None
    """Makes the page on which people choose who they are; without it, somebody is chosen for them at once.

    Its form sends ``sign_in``, ``user`` and ``org_code`` (empty: no organization), or ``sign_in`` and ``cancel``,
    by POST to ``/oauth2/auth``. A page with ``Referrer-Policy: no-referrer`` has no ``Origin`` to show there and is
    refused, and a ``form-action`` in its CSP has to allow where the answer redirects to.
    """

    def __init__(self, url: str, *, clock: Callable[[], float], key: SigningKey | None) -> None:
        self.url = issuer_url(url, "url")
        self.clock = clock
        """Gives seconds since the epoch; may be replaced."""
        self.journal = Journal(clock)
        """What happens, for people to read."""
        self.audience_required = False
        """Whether a token request without ``audience`` is refused, instead of answered with a token for nobody."""
        self.refresh_returns_existing_token = False
        """Whether a refresh hands out the access token that was given out before, while it has not expired, as Kinde
        documents (docs.kinde.com/build/tokens/refresh-tokens): who is told 401 may come back with the same one."""
        self.public_api_key_verification = False
        """Whether ``api_keys/verify`` answers without a token, as the OpenAPI document of Kinde says; its guide says
        that it takes one (docs.kinde.com/manage-your-apis/add-manage-api-keys/verify-api-keys-in-your-api)."""
        self.jwks_fetches = 0
        """How often the keys were asked for."""
        self.token_requests = 0
        """How often a token was asked for."""
        self.api_key_verifications = 0
        """How often it was asked whether an API key is good."""
        self._counting = forks.Lock()
        self._rotating = forks.Lock()  # another one: making a key takes long, and answering must not wait for it
        self._ring = KeyRing.of(key or SigningKey.make())
        self._faults: Mapping[Place, ActiveFault] = MappingProxyType({})  # replaced whole, so readers need no lock
        self._down = False
        self.registry = Registry(Api(f"{self.url}/api", MANAGEMENT_SCOPES))
        self.api_key_store = IssuedApiKeys()
        self._add_samples()
        self.sign_ins: ExpiringValues[SignIn] = ExpiringValues(SIGN_IN_LIFETIME, self.now)
        self.sessions: ExpiringValues[Session] = ExpiringValues(SESSION_LIFETIME, self.now)
        self.grants = Grants(self.now)
        self.chooser = None
        self.webhooks = Webhooks(self, self.now, self.journal)
        """Where events are sent, and what has yet to be sent there."""

    def now(self) -> float:
        """The time by ``clock``, plus what the fault ``clock_skewed`` adds."""
        return self.clock() + self.skew

    @property
    def key(self) -> SigningKey:
        """The key that signs."""
        return self._ring.signing

    @property
    def keys(self) -> tuple[SigningKey, ...]:
        """The keys that are published."""
        return self._ring.published

    @property
    def upcoming(self) -> SigningKey | None:
        """The key of :meth:`publish_next`, which the next rotation takes; ``None`` if it will make one."""
        return self._ring.upcoming

    def jwks(self) -> dict[str, Any]:
        """The published keys as a JWK Set."""
        return {"keys": [key.public_jwk() for key in self._ring.published]}

    def rotate(self, hard: bool = False) -> SigningKey:
        """Sign with another key from now on; *hard*: no older key is published any more.

        The other key is the one of :meth:`publish_next`, if there is one, else a new one.
        """
        with self._rotating.now:
            key = self._ring.upcoming or SigningKey.make()
            self._ring = KeyRing.of(key) if hard else self._ring.signing_with(key)
        how = "the keys before it are withdrawn" if hard else "the keys before it are still published"
        self.journal.add("rotated", f"signs with another key; {how}", kid=key.kid, hard=hard)
        return key

    def publish_next(self) -> SigningKey:
        """Publish a new key ahead of its first use; the next :meth:`rotate` takes it."""
        with self._rotating.now:
            key = self._ring.upcoming or SigningKey.make()
            self._ring = self._ring.announcing(key)
        self.journal.add("published", "the key of the next rotation is published", kid=key.kid, alg=key.alg)
        return key

    def publish(self, key: SigningKey) -> None:
        """Publish *key*, which signs nothing here unless asked to."""
        with self._rotating.now:
            self._ring = self._ring.publishing(key)
        self.journal.add("published", "one more key is published", kid=key.kid, alg=key.alg)

    def withdraw(self, kid: str) -> None:
        """Publish the keys named *kid* no more; ``ValueError`` if it is the one that signs."""
        with self._rotating.now:
            self._ring = self._ring.without(kid)
        self.journal.add("withdrawn", "a key is not published any more", kid=kid)

    @property
    def down(self) -> bool:
        """Nobody answers: 503 through ``respond`` and ``asgi``, ``httpx.ConnectError`` through ``transport``.

        To be assigned to.
        """
        return self._down

    @down.setter
    def down(self, down: bool) -> None:
        if down != self._down:
            self._down = down
            self.journal.add("down" if down else "up", "nobody answers any more" if down else "answers again")

    @property
    def faults(self) -> Mapping[Place, ActiveFault]:
        """What is wrong now, by endpoint."""
        return self._faults

    @property
    def skew(self) -> float:
        """How many seconds the clock of the issuer is ahead."""
        skews = [fault.options["seconds"] for fault in self._faults.values() if fault.name == "clock_skewed"]
        return max(skews, key=abs, default=0.0)

    def put_fault(self, place: Place, fault: ActiveFault) -> None:
        """Have *fault* at work at *place*, instead of the one that may be there."""
        self._faults = {**self._faults, place: fault}

    def heal(self, at: Place | None = None) -> None:
        """The endpoint *at*, or everything, is well again. Who hangs there is answered."""
        healed = {place: fault for place, fault in self._faults.items() if at in (None, place)}
        self._faults = {place: fault for place, fault in self._faults.items() if place not in healed}
        for place, fault in healed.items():
            self.journal.add("healed", f"{place} healed", at=place, fault=fault.name)

    def count_jwks_fetch(self) -> None:
        """One more request for the keys."""
        with self._counting.now:
            self.jwks_fetches += 1

    def count_token_request(self) -> None:
        """One more request for a token."""
        with self._counting.now:
            self.token_requests += 1

    def count_api_key_verification(self) -> None:
        """One more question whether an API key is good."""
        with self._counting.now:
            self.api_key_verifications += 1

    @property
    def management_audience(self) -> str:
        """The audience of Kinde's Management API."""
        return self.registry.management.audience

    @property
    def api_keys(self) -> tuple[ApiKey, ...]:
        """Every API key that was made, without its text, in the order they were made."""
        return tuple(self.api_key_store)

    def _add_samples(self) -> None:
        registry = self.registry
        self.audience = registry.add_api(AUDIENCE, SCOPES).audience
        machine = ConfidentialApp("Sample machine-to-machine app", new_client_id(), client_secret=new_client_secret())
        browser = App("Sample front-end app", new_client_id(), None, redirect_uris=(LOOPBACK,), logout_uris=(LOOPBACK,))
        self.app, self.front_end_app = registry.add_app(machine), registry.add_app(browser)
        for app in (self.app, self.front_end_app):
            registry.authorize(app, AUDIENCE, None)
        registry.authorize(machine, self.management_audience, [READ_API_KEYS, *SCOPES_OF_SCOPES])
        for user in SAMPLE_USERS:
            registry.add_user(user)
