"""``LocalIssuer``: a Kinde of one's own, in process or served on loopback. For development and tests alone."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from email.utils import formatdate
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ..settings import issuer_url
from . import endpoints, exchanges, presets
from .asgi import IssuerApp
from .faults import FAULTS, Breakable, Place
from .grants import Grants
from .journal import Journal
from .keys import KeyRing, SigningKey
from .messages import Request, Response
from .minting import Mint
from .redirects import LOOPBACK, checked
from .registry import Api, App, ConfidentialApp, Registry, new_client_id, new_client_secret
from .sessions import SESSION_LIFETIME, SIGN_IN_LIFETIME, Session, Shelf
from .tokens import M2M_LIFETIME, USER_LIFETIME
from .users import SAMPLE_USERS, User

if TYPE_CHECKING:
    from .sign_in import SignIn
    from .tls import LocalTls
    from .transport import LocalTransport

AUDIENCE = "https://api.example.com"
SCOPES = ("read:users", "write:flags")


class LocalIssuer(Breakable, Mint):
    """Keys, apps, APIs, users, tokens and endpoints of one issuer, with a sample API, apps that may use it, and people.

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
        self.journal = Journal(clock)
        """What happens, for people to read."""
        self._down = False
        self.audience_required = False
        """Whether a token request without ``audience`` is refused, instead of answered with a token for nobody."""
        self.jwks_fetches = 0
        self.token_requests = 0
        self._counting = threading.Lock()
        self._rotating = threading.Lock()  # another one: making a key takes long, and answering must not wait for it
        self._ring = KeyRing.of(key or SigningKey.make())
        self.asgi = IssuerApp(self)
        self.registry = Registry()
        self._add_samples()
        self.sign_ins: Shelf[SignIn] = Shelf(SIGN_IN_LIFETIME, self.now)
        self.sessions: Shelf[Session] = Shelf(SESSION_LIFETIME, self.now)
        self.grants = Grants(self.now)
        self.chooser: Callable[[LocalIssuer, SignIn], Response] | None = None
        """Makes the page on which people choose who they are; without it, somebody is chosen for them at once.

        Its form sends ``sign_in``, ``user`` and ``org_code`` (empty: no organization), or ``sign_in`` and ``cancel``,
        by POST to ``/oauth2/auth``. A page with ``Referrer-Policy: no-referrer`` has no ``Origin`` to show there and is
        refused, and a ``form-action`` in its CSP has to allow where the answer redirects to.
        """

    def _add_samples(self) -> None:
        self.audience = self.add_api(AUDIENCE, SCOPES).audience
        self.app = self.add_app("Sample machine-to-machine app")
        self.front_end_app = self.add_front_end_app("Sample front-end app")
        for app in (self.app, self.front_end_app):
            self.authorize(app, AUDIENCE)
        for user in SAMPLE_USERS:
            self.add_user(user)

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
        redirect_uris: str | Iterable[str] = (),
        logout_uris: str | Iterable[str] = (),
    ) -> ConfidentialApp:
        """Register an app that has a secret, which then needs :meth:`authorize`. *lifetime* of its tokens: seconds.

        It is a machine-to-machine app, and with *redirect_uris* one that signs people in, too.
        """
        app = ConfidentialApp(
            name=name,
            client_id=client_id or new_client_id(),
            client_secret=client_secret or new_client_secret(),
            org_code=org_code,
            lifetime=lifetime,
            redirect_uris=checked("a redirect URI", redirect_uris),
            logout_uris=checked("a logout URI", logout_uris),
        )
        return self.registry.add_app(app)

    def add_front_end_app(
        self,
        name: str,
        *,
        client_id: str | None = None,
        lifetime: float = USER_LIFETIME,
        redirect_uris: str | Iterable[str] = LOOPBACK,
        logout_uris: str | Iterable[str] = LOOPBACK,
    ) -> App:
        """Register an app that runs where no secret is safe, such as in a browser; it then needs :meth:`authorize`.

        ``LOOPBACK`` stands for every http and https URL on this machine. *lifetime* of its access tokens: seconds.
        """
        app = App(
            name=name,
            client_id=client_id or new_client_id(),
            client_secret=None,
            lifetime=lifetime,
            redirect_uris=checked("a redirect URI", redirect_uris),
            logout_uris=checked("a logout URI", logout_uris),
        )
        return self.registry.add_app(app)

    def add_user(self, user: User) -> User:
        """Let *user* sign in; one with the same id is replaced."""
        return self.registry.add_user(user)

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
        response = None
        if not self._down:
            response = endpoints.respond(self, request).with_headers({"date": formatdate(self.now(), usegmt=True)})
        exchanges.note(self, request, response)
        return response

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

    def break_down(self, name: str, /, at: Place = "keys", **options: float) -> None:
        """As in :class:`Breakable`, and it is written down."""
        super().break_down(name, at, **options)
        settled = FAULTS[name].settled(name, options)
        self.journal.add("broken", f"{at} broken: {FAULTS[name].summary}", at=at, fault=name, **settled)

    def heal(self, at: Place | None = None) -> None:
        """As in :class:`Breakable`, and it is written down."""
        before = self.faults
        super().heal(at)
        for place, broken in before.items():
            if at in (None, place):
                self.journal.add("healed", f"{place} healed", at=place, fault=broken.name)

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
        with self._rotating:
            key = self._ring.upcoming or SigningKey.make()
            self._ring = KeyRing.of(key) if hard else self._ring.signing_with(key)
        how = "the keys before it are withdrawn" if hard else "the keys before it are still published"
        self.journal.add("rotated", f"signs with another key; {how}", kid=key.kid, hard=hard)
        return key

    def publish_next(self) -> SigningKey:
        """Publish a new key ahead of its first use; the next :meth:`rotate` takes it."""
        with self._rotating:
            key = self._ring.upcoming or SigningKey.make()
            self._ring = self._ring.announcing(key)
        self.journal.add("published", "the key of the next rotation is published", kid=key.kid, alg=key.alg)
        return key

    def publish(self, key: SigningKey) -> None:
        """Publish *key*, which signs nothing here unless asked to."""
        with self._rotating:
            self._ring = self._ring.publishing(key)
        self.journal.add("published", "one more key is published", kid=key.kid, alg=key.alg)

    def withdraw(self, kid: str) -> None:
        """Publish the keys named *kid* no more; ``ValueError`` if it is the one that signs."""
        with self._rotating:
            self._ring = self._ring.without(kid)
        self.journal.add("withdrawn", "a key is not published any more", kid=kid)

    def _count(self, request: Request) -> None:
        with self._counting:
            if request.path in endpoints.JWKS_PATHS and request.method in ("GET", "HEAD"):
                self.jwks_fetches += 1
            elif request.path == endpoints.TOKEN_PATH and request.method == "POST":
                self.token_requests += 1
