"""``LocalIssuer``: a Kinde of one's own, in process or served on loopback. For development and tests alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ..net.forks import once
from . import administration, faults, presets, service
from . import api_key_administration as api_keys
from .api_keys import ApiKey, NewApiKey
from .asgi import IssuerApp
from .keys import SigningKey
from .messages import Request, Response
from .redirects import LOOPBACK, checked
from .registry import Api, App, ConfidentialApp, new_client_id, new_client_secret
from .tenant import Place, Tenant
from .tokens import M2M_LIFETIME, USER_LIFETIME
from .users import User
from .webhooks import Webhook

if TYPE_CHECKING:
    from .tls import LocalTls
    from .transport import LocalTransport


class LocalIssuer(Tenant):
    """A local Kinde for tests and for development: keys, apps, APIs, users, tokens and endpoints, with a sample API,
    apps and people::

        issuer = LocalIssuer()
        guard = Guard(issuer.url, audience=issuer.audience, transport=issuer.transport)
        guard.verify(issuer.m2m_token(scope="read:users"))

    *url* is as in ``KINDE_DOMAIN``. *clock* gives seconds since the epoch. *key* is the first signing key; making one
    takes a tenth of a second. Threads may use an issuer while another rotates its keys. Nothing is kept outside of the
    object.
    """

    def __init__(
        self,
        url: str = "https://local.kinde.test",
        *,
        clock: Callable[[], float] = time.time,
        key: SigningKey | None = None,
    ) -> None:
        """The *url* is as in ``KINDE_DOMAIN``; *key* spares the making of one, which takes a tenth of a second."""
        super().__init__(url, clock=clock, key=key)
        self.asgi = IssuerApp(self)

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
        """Register an app that has a secret: ``issuer.add_app("Nightly report")``. It needs :meth:`authorize` before it
        gets tokens.

        It is a machine-to-machine app. With *redirect_uris* it signs people in too, and *logout_uris* are where they
        may go when they sign out. Without *client_id* and *client_secret* it gets new ones. *org_code*: the
        organization that its tokens belong to. *lifetime* of its tokens: seconds.
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
        """Register an app that runs where no secret is safe, such as in a browser. It needs :meth:`authorize` before it
        gets tokens.

        *redirect_uris* and *logout_uris*: ``LOOPBACK`` stands for every http and https URL on this machine. Without
        *client_id* it gets a new one. *lifetime* of its access tokens: seconds.
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
        """Let *user* sign in; one with the same id is replaced. Webhooks are told."""
        return administration.add_user(self, user)

    def suspend(self, user: User | str) -> User:
        """Suspend *user*, or who has that id: no sign-in and no refresh any more. Webhooks are told (``user.updated``).

        As in Kinde, access tokens that are out stay good until they expire. So it is with all of the following.
        """
        return administration.suspend(self, _id(user))

    def restore(self, user: User | str) -> User:
        """Let *user*, who was suspended, sign in again. Webhooks are told (``user.updated``)."""
        return administration.restore(self, _id(user))

    def delete_user(self, user: User | str) -> None:
        """Delete *user*, sessions and refresh tokens included. Webhooks are told (``user.deleted``)."""
        administration.delete_user(self, _id(user))

    def sign_out_everywhere(self, user: User | str) -> None:
        """End the sessions and the refresh tokens of *user*. Kinde has no webhook for that, and nor has this."""
        administration.sign_out_everywhere(self, _id(user))

    def set_permissions(self, user: User | str, org_code: str, permissions: Iterable[str]) -> User:
        """Give *user* these permissions in an organization. Webhooks are told (``user.updated``)."""
        return administration.set_permissions(self, _id(user), org_code, permissions)

    def set_roles(self, user: User | str, org_code: str, roles: Iterable[str]) -> User:
        """Give *user* these roles in an organization. Webhooks are told (``user.updated``)."""
        return administration.set_roles(self, _id(user), org_code, roles)

    def delete_organization(self, org_code: str) -> None:
        """Delete an organization: nobody is in it any more. Webhooks are told (``organization.deleted``)."""
        administration.delete_organization(self, org_code)

    def add_webhook(self, url: str, types: Iterable[str] = ()) -> Webhook:
        """Have events of these *types* (all, if none is named) sent to *url*, signed and repeated as Kinde does it.

        They are sent in the background: see :meth:`flush_webhooks`. ``ConfigurationError`` for an unknown type.
        """
        return self.webhooks.add(url, types)

    def remove_webhook(self, webhook: Webhook) -> None:
        """Have nothing sent to it any more."""
        self.webhooks.remove(webhook.id)

    def flush_webhooks(self, timeout: float = 10.0) -> bool:
        """Wait until all that is due by the clock has been sent, at most *timeout* seconds; whether that is so.

        What was not answered with 200 is due again later: ``webhooks.waiting`` says how many there are.
        """
        return self.webhooks.flush(timeout)

    @property
    def webhook_fault(self) -> str | None:
        """What is wrong with webhooks: a name in ``WEBHOOK_FAULTS``, or ``None``. To be assigned to."""
        return self.webhooks.fault

    @webhook_fault.setter
    def webhook_fault(self, name: str | None) -> None:
        self.webhooks.fault = name

    def authorize(self, app: App, audience: str, scopes: Iterable[str] | None = None) -> None:
        """Let *app* use an API, with some of its *scopes* or (``None``) with all of them."""
        self.registry.authorize(app, audience, scopes)

    def create_api_key(
        self,
        name: str = "API key",
        *,
        audience: str | None = None,
        scopes: Iterable[str] | None = None,
        user: User | str | None = None,
        org_code: str | None = None,
        lifetime: float | None = None,
    ) -> NewApiKey:
        """Make an API key for the API with that *audience* (left out, the sample one). Its text is ``.key``, which is
        shown only this once.

        *scopes*: some of the API's, or (``None``) all. The key is that of *user*, or of the organization *org_code*, or
        else of the environment. *lifetime*: seconds, or (``None``) for ever, as in Kinde. Raises
        :class:`~kinde_guard.ConfigurationError` for an API, a scope or a user that does not exist.
        """
        api = self.registry.own_api(self.audience if audience is None else audience)
        user_id = None if user is None else _id(user)
        return api_keys.create(
            self, name, api=api, scopes=scopes, user_id=user_id, org_code=org_code, lifetime=lifetime
        )

    def revoke_api_key(self, key: ApiKey | str) -> ApiKey:
        """Revoke an API key: the value, its id or its text. ``api_keys/verify`` says so at once."""
        return api_keys.revoke(self, api_keys.id_of(self, key))

    def deactivate_api_key(self, key: ApiKey | str) -> ApiKey:
        """Let an API key be ``inactive``: the value, its id or its text."""
        return api_keys.deactivate(self, api_keys.id_of(self, key))

    def rotate_api_key(self, key: ApiKey | str) -> NewApiKey:
        """Give an API key another text under the same id; the old text opens nothing from now on."""
        return api_keys.rotate(self, api_keys.id_of(self, key))

    def preset(self, name: str) -> str:
        """The token of that name in ``PRESETS``, good or wrong in one respect."""
        return presets.preset(self, name)

    def respond(self, request: Request) -> Response:
        """The answer to *request*; 503 while down, and for an answer that a fault keeps from arriving whole."""
        return service.respond(self, request)

    def answer(self, request: Request) -> Response | None:
        """The answer to *request*, which is counted; ``None`` while down, when there is nobody to answer.

        Its ``delivery`` is for the caller to carry out.
        """
        return service.answer(self, request)

    @property
    def fault(self) -> str | None:
        """What is wrong with the endpoint of the keys: a name in ``FAULTS``, or ``None``. To be assigned to."""
        return self.faults["keys"].name if "keys" in self.faults else None

    @fault.setter
    def fault(self, name: str | None) -> None:
        if name is None:
            self.heal("keys")
        else:
            self.break_down(name)

    def break_down(self, name: str, /, at: Place = "keys", **options: float) -> None:
        """Break the endpoint *at* from now on in the way *name*; ``ConfigurationError`` if it cannot be broken so.

        The options of each fault are in ``FAULTS``; *seconds* are seconds, *size* is in bytes.
        """
        faults.break_down(self, name, at, options)

    @contextmanager
    def broken(self, name: str, /, at: Place = "keys", **options: float) -> Iterator[None]:
        """:meth:`break_down` for as long as the block runs; afterwards what was before."""
        before = self.faults.get(at)
        self.break_down(name, at, **options)
        try:
            yield
        finally:
            if before is None:
                self.heal(at)
            else:
                self.break_down(before.name, at, **before.options)

    @once
    def transport(self) -> LocalTransport:
        """This issuer behind an httpx client, without a socket."""
        from .transport import LocalTransport

        return LocalTransport(self)

    @once
    def tls(self) -> LocalTls:
        """Certificates to serve this issuer over TLS with, for the host of its URL and for another one."""
        from .tls import LocalTls

        tls: LocalTls = self.__dict__.setdefault("tls", LocalTls(self))  # as in stranger
        return tls


def _id(user: User | str) -> str:
    return user.id if isinstance(user, User) else user
