"""The guard: settings, a key store per issuer, the rules, and the memory of what was verified.

A token's way is one straight line: header → :mod:`bearer` → here → :mod:`jws` → :mod:`rules` → :mod:`keystore` →
signature → :mod:`claims` → requirement. Refusals are logged here and nowhere else.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from . import bearer, flight, jws, rules
from .claims import AccessToken, Json
from .errors import AuthError, InvalidToken, KeysUnavailable
from .fetch import Fetcher
from .jwks import Key
from .keystore import WAIT_COLD, Clocks, IssuerHealth, KeyStore
from .requirements import Requirement
from .settings import KINDE_AUDIENCE, Audiences, Domains, Settings, Variables

if TYPE_CHECKING:
    import httpx

MAX_HEADERS = 64
log = logging.getLogger("kinde_guard")


@dataclass(frozen=True, slots=True)
class _Unverified:
    """A token that is right in all but its signature, which has yet to be looked at."""

    raw: str
    parts: jws.Segments
    kid: str
    alg: str
    claims: Json
    signature: bytes


class Guard:
    """Verifies Kinde access tokens against the issuer's published keys.

    *domain*: one Kinde domain or several of one tenant (a custom domain beside the kinde.com one), bare or as URL;
    from ``KINDE_DOMAIN``, ``KINDE_ISSUER_URL`` or ``KINDE_HOST`` if not given. *audience*: one or several, any of
    which will do; from ``KINDE_AUDIENCE`` if not given. ``audience=None`` with *clients* accepts tokens that name no
    audience, of those client ids alone. *leeway*, *retry_after*, *usable_for*: seconds. *cache_size*: tokens
    remembered, 0 for none. *transport*: an ``httpx.BaseTransport``, for a proxy or a private CA. *clocks*: for tests.

    Raises :class:`ConfigurationError` in words that say what to change. Fetches nothing: see :meth:`warm`.
    """

    def __init__(
        self,
        domain: Domains | None = None,
        *,
        audience: Audiences = KINDE_AUDIENCE,
        clients: Iterable[str] = (),
        algorithms: Iterable[str] = ("RS256",),
        leeway: float = 30,
        permissions_as_scopes: bool = False,
        jwks_url: str | None = None,
        retry_after: float = 30,
        usable_for: float = 86_400,
        cache_size: int = 4096,
        transport: httpx.BaseTransport | None = None,
        clocks: Clocks | None = None,
        variables: Sequence[Variables] | None = None,
    ) -> None:
        self._settings = settings = Settings.load(
            domain,
            audience=audience,
            clients=clients,
            algorithms=algorithms,
            leeway=leeway,
            permissions_as_scopes=permissions_as_scopes,
            jwks_url=jwks_url,
            retry_after=retry_after,
            usable_for=usable_for,
            cache_size=cache_size,
            transport=transport,
            sources=(os.environ,) if variables is None else variables,
        )
        self._clocks = clocks or Clocks()
        self._wall = self._clocks.wall
        self._stores = _stores(settings, self._clocks)
        self._headers: dict[bytes, tuple[str, str]] = {}
        if not settings.audiences:
            log.warning(
                "audience=None: tokens that name no audience are accepted from %d listed clients", len(settings.clients)
            )

    def verify(self, raw: str) -> AccessToken:
        """The verified token, or :class:`InvalidToken` or :class:`KeysUnavailable`."""
        try:
            token = self._read(raw)
            return self._admit(token, self._stores[token.claims["iss"]].get(token.kid, token.alg))
        except (AuthError, KeysUnavailable) as refusal:
            self._log(refusal, raw)
            raise

    async def averify(self, raw: str) -> AccessToken:
        """:meth:`verify` for event loops: it awaits nothing unless a key has to be fetched."""
        try:
            token = self._read(raw)
            return self._admit(token, await self._stores[token.claims["iss"]].aget(token.kid, token.alg))
        except (AuthError, KeysUnavailable) as refusal:
            self._log(refusal, raw)
            raise

    def authenticate(self, authorization: Sequence[str]) -> AccessToken:
        """For adapters: the token of a request, from *all* its Authorization values; also :class:`MissingToken`,
        :class:`InvalidRequest`."""
        return self.verify(bearer.token_from(authorization))

    async def aauthenticate(self, authorization: Sequence[str]) -> AccessToken:
        """:meth:`authenticate` for event loops."""
        return await self.averify(bearer.token_from(authorization))

    def demand(self, token: AccessToken, requirement: Requirement) -> None:
        """For adapters: ``token.require(requirement)``, and the hint in the log if it is not met."""
        refusal = requirement.refusal(token)
        if refusal is not None:
            log.info("refused (%s) %r: %s", refusal.reason, token, refusal.hint, extra={"reason": refusal.reason})
            raise refusal

    def warm(self) -> None:
        """Load the keys now, at most 5 s; raises :class:`KeysUnavailable`. Optional: the first token loads them too."""
        for future in [store.load() for store in self._stores.values()]:
            if future is not None:
                flight.join(future, WAIT_COLD)
        for store in self._stores.values():
            store.check_usable()

    async def awarm(self) -> None:
        """:meth:`warm` for event loops."""
        for future in [store.load() for store in self._stores.values()]:
            if future is not None:
                await flight.ajoin(future, WAIT_COLD)
        for store in self._stores.values():
            store.check_usable()

    def health(self) -> dict[str, IssuerHealth]:
        """How each issuer's keys are: ``fresh``, ``stale``, ``expired`` or ``never_loaded``, since when, and why."""
        return {issuer: store.health() for issuer, store in self._stores.items()}

    def __repr__(self) -> str:
        return (
            f"<Guard of {', '.join(self._settings.issuers)} for {', '.join(self._settings.audiences) or 'no audience'}>"
        )

    def _read(self, raw: str) -> _Unverified:
        """Everything that can be said without a key."""
        parts = jws.split(raw)
        kid, alg = self._headers.get(parts.header) or self._read_header(parts.header)
        claims = jws.read_object(parts.payload)
        rules.check_claims(claims, self._settings, self._wall())
        return _Unverified(raw, parts, kid, alg, claims, jws.decode(parts.signature))

    def _read_header(self, segment: bytes) -> tuple[str, str]:
        header = jws.read_object(segment)
        rules.check_header(header, self._settings)
        return header["kid"], header["alg"]

    def _admit(self, token: _Unverified, key: Key) -> AccessToken:
        if not key.verifies(token.alg, token.parts.signing_input, token.signature):
            raise InvalidToken("bad_signature")
        self._remember_header(token)
        return AccessToken._of(
            token.claims, fingerprint(token.raw), permissions_as_scopes=self._settings.permissions_as_scopes
        )

    def _remember_header(self, token: _Unverified) -> None:
        """All tokens of a key have the same header: what it says is remembered, once a signature over it has held.
        What it says is kid and algorithm; the key itself is asked for anew each time."""
        if token.parts.header not in self._headers:
            if len(self._headers) >= MAX_HEADERS:
                self._headers.clear()
            self._headers[token.parts.header] = token.kid, token.alg

    def _log(self, refusal: AuthError | KeysUnavailable, raw: str) -> None:
        if isinstance(refusal, KeysUnavailable):
            log.warning("cannot tell: %s", refusal, extra={"reason": refusal.reason})
        elif log.isEnabledFor(logging.INFO):
            mark = fingerprint(raw)
            extra = {"reason": refusal.reason, "fingerprint": mark}
            log.info("refused (%s) token %s: %s", refusal.reason, mark, refusal.hint, extra=extra)


def fingerprint(raw: str) -> str:
    """The first 12 hex digits of a token's SHA-256: enough to find it again, too little to use it."""
    return hashlib.sha256(raw.encode("utf-8", "surrogatepass")).hexdigest()[:12]


def _stores(settings: Settings, clocks: Clocks) -> Mapping[str, KeyStore]:
    fetcher = Fetcher(settings.transport)
    return {
        issuer: KeyStore(
            issuer,
            url,
            algorithms=settings.algorithms,
            retry_after=settings.retry_after,
            usable_for=settings.usable_for,
            fetcher=fetcher,
            clocks=clocks,
        )
        for issuer, url in settings.issuers.items()
    }
