"""``LocalIssuer``: a Kinde of one's own, in process or served on loopback. For development and tests alone."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from email.utils import formatdate
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ..settings import issuer_url
from . import endpoints, presets
from .asgi import IssuerApp
from .faults import Breakable
from .keys import KeyRing, SigningKey
from .messages import Request, Response
from .minting import Mint
from .registry import Api, App, Registry, new_client_id, new_client_secret
from .tokens import M2M_LIFETIME

if TYPE_CHECKING:
    from .tls import LocalTls
    from .transport import LocalTransport

AUDIENCE = "https://api.example.com"
SCOPES = ("read:users", "write:flags")


class LocalIssuer(Breakable, Mint):
    """Keys, apps, APIs, tokens and endpoints of one issuer, with a sample API and a sample app that may use it.

    Threads may use it while another rotates its keys. Nothing is kept outside the object.
    """

    def __init__(
        self,
        url: str = "https://local.kinde.test",
        *,
        clock: Callable[[], float] = time.time,
        key: SigningKey | None = None,
    ) -> None:
        """*url* as in ``KINDE_DOMAIN``; *key* spares the making of one (an RSA key takes a tenth of a second)."""
        self.url = issuer_url(url, "url")
        self.clock = clock
        self.down = False
        """Nobody answers: 503 through ``respond`` and ``asgi``, ``httpx.ConnectError`` through ``transport``."""
        self.audience_required = False
        """Whether a token request without ``audience`` is refused, instead of answered with a token for nobody."""
        self.jwks_fetches = 0
        self.token_requests = 0
        self._counting = threading.Lock()
        self._rotating = threading.Lock()  # another one: making a key takes long, and answering must not wait for it
        self._ring = KeyRing.of(key or SigningKey.make())
        self.asgi = IssuerApp(self)
        self.registry = Registry()
        self.audience = self.add_api(AUDIENCE, SCOPES).audience
        self.app = self.add_app("Sample machine-to-machine app")
        self.authorize(self.app, AUDIENCE)

    def __repr__(self) -> str:
        return f"LocalIssuer({self.url!r})"

    def add_api(self, audience: str, scopes: Iterable[str] = ()) -> Api:
        """Register an API; once more with the same audience gives it other scopes."""
        return self.registry.add_api(audience, scopes)

    def add_app(
        self,
        name: str,
        *,
        client_id: str | None = None,
        client_secret: str | None = None,
        org_code: str | None = None,
        lifetime: float = M2M_LIFETIME,
    ) -> App:
        """Register a machine-to-machine app, which then needs :meth:`authorize`. *lifetime* of its tokens: seconds."""
        secret = client_secret or new_client_secret()
        return self.registry.add_app(App(name, client_id or new_client_id(), secret, org_code, lifetime))

    def authorize(self, app: App, audience: str, scopes: Iterable[str] | None = None) -> None:
        """Let *app* use an API, with some of its *scopes* or (``None``) with all of them."""
        self.registry.authorize(app, audience, scopes)

    def preset(self, name: str) -> str:
        """The token of that name in ``PRESETS``, good or wrong in one respect."""
        return presets.preset(self, name)

    def respond(self, request: Request) -> Response:
        """The answer to *request*; 503 while down, and for an answer that a fault keeps from arriving whole."""
        answer = self.answer(request)
        if answer is None:
            return endpoints.DOWN
        return answer if answer.delivery == "whole" else endpoints.BROKEN

    def answer(self, request: Request) -> Response | None:
        """The answer to *request*, which is counted; ``None`` while down, when there is nobody to answer.

        Its ``delivery`` is for the caller to carry out.
        """
        self._count(request)
        if self.down:
            return None
        return endpoints.respond(self, request).with_headers({"date": formatdate(self.now(), usegmt=True)})

    @cached_property
    def transport(self) -> LocalTransport:
        """This issuer behind an httpx client, without a socket."""
        from .transport import LocalTransport

        return LocalTransport(self)

    @cached_property
    def tls(self) -> LocalTls:
        """Certificates to serve this issuer over TLS with, for the host of its URL and for another one."""
        from .tls import LocalTls

        tls: LocalTls = self.__dict__.setdefault("tls", LocalTls(self))  # as in stranger
        return tls

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

    def jwks(self) -> dict[str, Any]:
        """The published keys as a JWK Set."""
        return {"keys": [key.public_jwk() for key in self._ring.published]}

    def rotate(self, hard: bool = False) -> SigningKey:
        """Sign with another key from now on; *hard*: no older key is published any more.

        The other key is the one of :meth:`publish_next`, if there is one, else a new one.
        """
        with self._rotating:
            key = self._ring.upcoming or SigningKey.make()
            self._ring = KeyRing.of(key) if hard else self._ring.signing_with(key)
            return key

    def publish_next(self) -> SigningKey:
        """Publish a new key ahead of its first use; the next :meth:`rotate` takes it."""
        with self._rotating:
            key = self._ring.upcoming or SigningKey.make()
            self._ring = self._ring.announcing(key)
            return key

    def publish(self, key: SigningKey) -> None:
        """Publish *key*, which signs nothing here unless asked to."""
        with self._rotating:
            self._ring = self._ring.publishing(key)

    def withdraw(self, kid: str) -> None:
        """Publish the keys named *kid* no more; ``ValueError`` if it is the one that signs."""
        with self._rotating:
            self._ring = self._ring.without(kid)

    def _count(self, request: Request) -> None:
        with self._counting:
            if request.path in endpoints.JWKS_PATHS and request.method in ("GET", "HEAD"):
                self.jwks_fetches += 1
            elif request.path == endpoints.TOKEN_PATH and request.method == "POST":
                self.token_requests += 1
