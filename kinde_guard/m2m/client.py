"""Machine to machine: a token by client credentials (RFC 6749 §4.4), and how it is put on httpx's requests."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncGenerator, Callable, Generator, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal

import httpx

from ..net.clocks import Clocks, ageing
from ..net.fetch import Fetcher
from ..settings import checked_transport
from .holder import Sent, TokenHolder
from .origins import Origins, origin_of
from .token_request import Application, Held

_LIBRARIES: list[Any] = [httpx]
with suppress(ImportError):
    import httpx2  # httpx's successor, whose clients want an auth of its own class

    _LIBRARIES.append(httpx2)

if TYPE_CHECKING:
    from .shared import SharedToken
    from .shared_store import RedisClient

    SharedWhere = str | RedisClient | Literal[False] | None

    class _Auth(httpx.Auth, httpx2.Auth):
        def auth_flow(self, request: Any) -> Generator[Any, Any, None]: ...
        def sync_auth_flow(self, request: Any) -> Generator[Any, Any, None]: ...
        def async_auth_flow(self, request: Any) -> AsyncGenerator[Any, Any]: ...

else:  # a dict, because httpx2 can stand in for httpx under its name: the same class twice
    _Auth = type("_Auth", tuple(dict.fromkeys(library.Auth for library in _LIBRARIES)), {})

_SHARED_URL = "KINDE_M2M_SHARED_URL"
_IN_MEMORY = tuple(library.ByteStream for library in _LIBRARIES)


class ClientCredentials(_Auth):
    """A machine-to-machine application of Kinde. It gets the application's token, keeps it, and is the ``auth=`` of
    httpx's clients::

        auth = ClientCredentials("acme.kinde.com", client_id=…, client_secret=…, audience="https://api.acme.com")
        httpx.Client(base_url="https://api.acme.com", auth=auth).get("/users")         # or AsyncClient

    Make one and keep it. It serves every thread, task and client of the process with one token. It renews the token
    behind the callers, five minutes (at most a fifth of its life) before its end.

    *domain*, *client_id*, *client_secret*, *audience* and *scopes*: what you leave out is read from
    ``KINDE_M2M_DOMAIN`` (or else ``KINDE_DOMAIN``), ``KINDE_M2M_CLIENT_ID``, ``KINDE_M2M_CLIENT_SECRET``,
    ``KINDE_M2M_AUDIENCE`` and ``KINDE_M2M_SCOPES``. Without scopes, Kinde grants all that the application has.
    ``KINDE_AUDIENCE`` is not used: it names what this process *accepts*, and a server that gets a token for it could
    send it back here.

    The token is sent only on requests to https and to loopback, and with *api* (such as ``https://api.acme.com``) only
    to that origin. Other requests go without it, as httpx itself does when it follows a redirect elsewhere. Give *api*
    if others may choose the URLs. Plain http to another machine gets no token, also inside of a cluster: use https, or
    a proxy on loopback, or put :meth:`token` on those requests yourself.

    If the API answers 401, in whatever form, to a token older than 60 s, a new one is fetched, and the request is sent
    once more if its body is in memory. (A stream or a multipart body is not: then the new token is for the next
    request.) If the new token did not help, or only for minutes, the next one is fetched when that one is two minutes
    old, then four, up to an hour. In between, you get the 401.

    *shared*: the URL of a Redis or Valkey (``rediss://…``; left out, that of ``KINDE_M2M_SHARED_URL``), or a client of
    it. All processes with the same credentials, audience and scopes then use one token, because Kinde bills each token.
    One process fetches it, and it is encrypted with the client secret. If Redis is away, each process has its own
    token. A token that the API refuses is replaced at most once a minute in the whole fleet. ``False`` shares nothing,
    whatever the environment says.

    *transport*: what asks Kinde, in place of httpx's own, for a proxy. *clock* (for ages) and *wall* are for tests, and
    give seconds: a token is over as soon as either says so.

    A request for which there is no token raises :class:`TokenRequestFailed`. Raises
    :class:`~kinde_guard.ConfigurationError` for settings that cannot be used.
    """

    def __init__(
        self,
        domain: str | None = None,
        *,
        client_id: str | None = None,
        client_secret: str | None = None,
        audience: str | Iterable[str] | None = None,
        scopes: str | Iterable[str] | None = None,
        api: str | None = None,
        shared: SharedWhere = None,
        transport: httpx.BaseTransport | None = None,
        clock: Callable[[], float] = ageing,
        wall: Callable[[], float] = time.time,
    ) -> None:
        app = Application.load(
            domain, client_id=client_id, client_secret=client_secret, audience=audience, scopes=scopes
        )
        origins = Origins(api)
        fetcher = Fetcher(checked_transport(transport), tls=app.issuer.startswith("https:"))
        clocks = Clocks(wall, clock)
        self.issuer, self.audiences = app.issuer, app.audience
        """Which Kinde its tokens are from, and what they are for."""
        self.holder = TokenHolder(app, origins, fetcher, clocks, _shared(shared, app, clocks))

    def __repr__(self) -> str:
        return repr(self.holder)

    def token(self) -> str:
        """The text of a token that is good now. It waits, at most 5 s, only if none is held. Raises
        :class:`TokenRequestFailed`."""
        return self.holder.get().text

    async def atoken(self) -> str:
        """:meth:`token` for event loops."""
        return (await self.holder.aget()).text

    def forget(self) -> None:
        """Drop the token that is held: the next request fetches another, with the rights that the application has now.

        For when you have changed them in Kinde. Not to be called for each refusal: a 401 is met as described above, and
        Kinde bills each token. A fetch that is under way is not cut off, and the wait after a failed one is kept.

        Of a *shared* token the whole fleet is told, which takes a second at most; whoever is using it looks every 5 s.
        If Redis does not answer they are told later, by the next request of this process that finds it there.
        """
        self.holder.forget()

    async def aforget(self) -> None:
        """:meth:`forget` for event loops."""
        await self.holder.aforget()

    def sync_auth_flow(self, request: Any) -> Generator[Any, Any, None]:
        """The requests of ``httpx.Client``, signed with the token, and once more if it is refused."""
        if not self.holder.origins.carry(origin_of(request.url)):
            yield request
            return
        held = self.holder.get()
        response = yield _signed(request, held)
        if (other := self.holder.other_for(held, _sent(response))) is not None:
            self.holder.judge(other, (yield _signed(response.request, other)).status_code)

    async def async_auth_flow(self, request: Any) -> AsyncGenerator[Any, Any]:
        """:meth:`sync_auth_flow` for ``httpx.AsyncClient``."""
        if not self.holder.origins.carry(origin_of(request.url)):
            yield request
            return
        held = await self.holder.aget()
        response = yield _signed(request, held)
        if (other := await self.holder.aother_for(held, _sent(response))) is not None:
            self.holder.judge(other, (yield _signed(response.request, other)).status_code)

    def auth_flow(self, request: Any) -> Generator[Any, Any, None]:
        """Not to be used: it cannot know how to wait, and httpx's own sends the request without a token."""
        raise NotImplementedError("use sync_auth_flow or async_auth_flow, as httpx's clients do")


def _shared(where: SharedWhere, app: Application, clocks: Clocks) -> SharedToken | None:
    name = "shared"
    if where is None:
        where, name = os.environ.get(_SHARED_URL), _SHARED_URL
    if where is None or where is False:
        return None
    from .shared import SharedToken

    return SharedToken(where, app, clocks, name=name)


def _signed(request: Any, held: Held) -> Any:
    request.headers["Authorization"] = held.authorization
    return request


def _sent(response: Any) -> Sent:
    request = response.request
    return Sent(
        response.status_code,
        origin_of(request.url),
        request.headers.get("Authorization"),
        repeatable=isinstance(request.stream, _IN_MEMORY),
    )
