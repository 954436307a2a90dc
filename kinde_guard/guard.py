"""The guard: settings, a key store per issuer, the rules, and the memory of what was verified.

A token's way is one straight line: header → :mod:`~.web.bearer` → here → :mod:`~.tokens.jws` → :mod:`~.tokens.rules` →
:mod:`~.keys.store` → signature → :mod:`~.tokens.access_token` → requirement. Refusals are logged here and nowhere else
(what an endpoint refuses itself with ``token.require`` is the endpoint's to log), in the form that
:mod:`~.tokens.verdicts` gives them.
"""

from __future__ import annotations

import functools
import json
import logging
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, TypedDict

from .errors import AuthError, ConfigurationError, InvalidToken, Reason, Unavailable
from .keys.health import IssuerHealth
from .keys.jwk import Key
from .keys.signed import Signed, SignedReader
from .keys.store import WAIT_COLD, KeyStore, stores
from .net import joining
from .net.clocks import Clocks
from .net.once import Once
from .settings import KINDE_AUDIENCE, Audiences, Domains, Settings, Variables
from .settings.elsewhere import naming_its_settings
from .tokens import jws, rules, verdicts
from .tokens.access_token import AccessToken, token_of
from .tokens.alike import Alike
from .tokens.cache import CacheStats, Entry, TokenCache, VouchedFor, holds_still
from .tokens.claims import size_of
from .tokens.digests import fingerprint, sha256
from .web import bearer
from .web.log_lines import log
from .web.wording import few

if TYPE_CHECKING:
    import httpx

    from . import events
    from .api_keys.answers import Answer
    from .api_keys.keys import ApiKeys
    from .requirements import Requirement
    from .revocation.checking import RevocationCheck
    from .revocation.replica import Replica
    from .revocation.revocations import Revocations
    from .settings.seeds import Seeds


_NOT_SHOWN: Any = None
"""In place of variables that hold a token, in frames that a refusal goes out through: error reporters print them."""

_WHITE_SPACE = (b" ", b"\t")  # RFC 9110 §5.5: at its end it is no part of a field's value

_Times = tuple[float, float, float]
"""From when until when the claims of a token hold, and until when by the clock that nobody sets."""


class GuardSettings(TypedDict, total=False):
    """The settings of a :class:`Guard`, which a ``KindeGuard(app, …)`` takes, too. Each may be left out."""

    domain: Domains | None
    """One Kinde domain or several of one tenant (a custom domain beside the kinde.com one), bare or as URL. Left out,
    it is that of ``KINDE_DOMAIN``, ``KINDE_ISSUER_URL`` or ``KINDE_HOST``."""
    audience: Audiences
    """The audience of the API as registered in Kinde, or several, any of which will do. Left out, it is that of
    ``KINDE_AUDIENCE``. ``None`` accepts tokens that name no audience, of *clients* alone."""
    clients: Iterable[str]
    """With ``audience=None`` alone: the client ids of the apps whose tokens are accepted."""
    algorithms: Iterable[str]
    """The JWS algorithms that are allowed, asymmetric ones alone; ``("RS256",)`` if left out, which is Kinde's."""
    leeway: float
    """Seconds by which other clocks may differ from this one; 0 to 300, and 30 if left out."""
    permissions_as_scopes: bool
    """Whether what stands in a token's ``permissions`` counts as a scope as well; ``False`` if left out."""
    jwks_url: str | None
    """Where the keys are, if not at ``/.well-known/jwks`` of the one *domain*."""
    retry_after: float
    """Seconds between two fetches that tokens with unknown keys cause; 0 to 3,600, and 30 if left out."""
    usable_for: float
    """Seconds for which keys serve after they were last fetched, if they cannot be fetched again; 1 to 2,592,000 (30
    days), and 86,400 (a day) if left out."""
    cache_size: int
    """How many verified tokens are remembered; 0 for none, at most 10,000,000, and 16,384 if left out."""
    transport: httpx.BaseTransport | None
    """What fetches keys in place of the standard library: for a proxy, or a private CA."""
    jwks: Seeds | None
    """Keys that were saved earlier, by ``kinde-guard keys --save``: a document, the path of a file, or several of them.
    They are a seed: usable at once, for ``usable_for`` from when they were fetched, and new ones are fetched with the
    first request."""
    observer: events.Observer | None
    """Is told what happens (:mod:`kinde_guard.events`)."""
    revocations: Revocations | None
    """What is revoked before it expires (:mod:`kinde_guard.revocation`). Left out, it is where
    ``KINDE_REVOCATIONS_URL`` says; where that is not set, tokens are good until they expire."""
    api_keys: ApiKeys | None
    """Takes Kinde's API keys (``k_live_…``), too (:mod:`kinde_guard.api_keys`). Left out, tokens alone are taken."""
    clocks: Clocks | None
    """For tests: clocks of their own."""
    variables: Sequence[Variables] | None
    """Where to read ``KINDE_*`` from, first to last; the environment if left out, and in Flask ``app.config`` before
    it."""


class Guard:
    """Verifies Kinde access tokens, offline, against the keys that the issuer publishes::

        guard = Guard("acme.kinde.com", audience="https://api.acme.com")
        token = guard.verify(raw)                      # an AccessToken, or raises AuthError or Unavailable
        token.require(scope("read:users"))

    *domain*: your Kinde domain, as a bare name or as a URL, or several of one tenant (a custom domain beside the
    kinde.com one). Left out, it comes from ``KINDE_DOMAIN``, ``KINDE_ISSUER_URL`` or ``KINDE_HOST``. *audience*: that
    of your API, or several; a token needs one of them. Left out, it comes from ``KINDE_AUDIENCE``. ``audience=None``
    with *clients* accepts tokens without an audience, but only of these client ids.

    *algorithms*: those that are allowed, asymmetric ones alone. *leeway*: seconds that clocks may differ.
    *permissions_as_scopes*: whether permissions count as scopes. *jwks_url*: where the keys are, if not at the usual
    place. *retry_after*: seconds between two fetches for unknown keys. *usable_for*: seconds that the last good keys
    serve while new ones cannot be fetched. *cache_size*: how many verified tokens are remembered, 0 for none.

    *transport*: an ``httpx.BaseTransport``, for a proxy or a private CA. *jwks*: keys that were saved earlier, to begin
    with. *observer*: is told what happens (:mod:`kinde_guard.events`). *revocations*: what is revoked before it expires
    (:mod:`kinde_guard.revocation`); left out, those of ``KINDE_REVOCATIONS_URL``. *api_keys*: accepts Kinde's API keys
    too (:mod:`kinde_guard.api_keys`). *clocks*: for tests. *variables*: where ``KINDE_*`` are read from, first to last,
    in place of the environment. If ``KINDE_REPORT_VERDICTS_TO`` is the URL of a local Kinde, it is told of verdicts.

    Raises :class:`ConfigurationError`, which says what to change. Fetches nothing yet: see :meth:`warm`.
    """

    @naming_its_settings
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
        cache_size: int = 16_384,
        transport: httpx.BaseTransport | None = None,
        jwks: Seeds | None = None,
        observer: events.Observer | None = None,
        revocations: Revocations | None = None,
        api_keys: ApiKeys | None = None,
        clocks: Clocks | None = None,
        variables: Sequence[Variables] | None = None,
    ) -> None:
        self.settings = settings = Settings.load(
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
            jwks=jwks,
            variables=(os.environ,) if variables is None else variables,
        )
        self._clocks = clocks or Clocks()
        self._wall, self._age = self._clocks.wall, self._clocks.monotonic
        self._emit = verdicts.emitter_of(observer, settings.report_verdicts_to)
        self._stores = stores(settings, self._clocks, self._emit)
        self._signed = SignedReader(functools.partial(rules.check_header, settings=settings))
        self._cache = TokenCache(settings.cache_size)
        self._find, self._count_hit = self._cache.find, self._cache.count_hit
        self._remembers = settings.cache_size > 0
        self._alike = Alike()
        self.revocations = _revocations(revocations, settings)
        """What is revoked before it expires; ``None`` where nothing is."""
        self._check = None if self.revocations is None else self._check_of(self.revocations)
        self._copy: Replica | None = None if self._check is None else self._check.copy
        self._holds_still = holds_still if self._check is None else self._check.holds_still
        self.api_keys = _bound(api_keys, settings, self._clocks, self._emit)
        """Kinde's API keys; ``None`` where access tokens alone are taken."""
        self._settled = False  # whether a token has been let in, or it was said that none is; never False again
        self._doubts = Once()
        self.permissions_as_scopes = settings.permissions_as_scopes
        if not settings.audiences:
            log.warning(
                "audience=None: tokens that name no audience are accepted from %d listed clients", len(settings.clients)
            )

    def verify(self, raw: str) -> AccessToken:
        """Verify the text of a token, *raw*: the part of the Authorization header after ``Bearer``.

        Raises :class:`InvalidToken` if the token is not good, and a kind of :class:`Unavailable` if the guard cannot
        tell: there are no keys, no news of revocations, or no answer about an API key.
        """
        try:
            data = jws.to_bytes(raw)
            digest = sha256(data)
            token = self._recall(digest)
            if token is None:
                if self.api_keys is not None and data.startswith(jws.API_KEY):
                    answer = self.api_keys.ask(data, digest)
                    if self._check is not None and (news := self._check.news()) is not None:
                        joining.join(*news)
                    return self._let_in(digest, answer)
                signed, times = self._read(data)
                key = signed.key or signed.store.get(signed.kid, signed.alg)
                if self._check is not None and (news := self._check.news()) is not None:
                    joining.join(*news)
                token = self._admit(digest, signed, key, times)
            return token
        except (AuthError, Unavailable) as refusal:
            self._log(refusal, raw)
            raw = data = signed = _NOT_SHOWN
            raise refusal.with_traceback(None) from None

    async def averify(self, raw: str) -> AccessToken:
        """:meth:`verify` for event loops: it awaits nothing unless a key has to be fetched."""
        try:
            data = jws.to_bytes(raw)
            digest = sha256(data)
            token = self._recall(digest)
            if token is None:
                if self.api_keys is not None and data.startswith(jws.API_KEY):
                    answer = await self.api_keys.aask(data, digest)
                    if self._check is not None and (news := self._check.news()) is not None:
                        await joining.ajoin(*news)
                    return self._let_in(digest, answer)
                signed, times = self._read(data)
                key = signed.key or await signed.store.aget(signed.kid, signed.alg)
                if self._check is not None and (news := self._check.news()) is not None:
                    await joining.ajoin(*news)
                token = self._admit(digest, signed, key, times)
            return token
        except (AuthError, Unavailable) as refusal:
            self._log(refusal, raw)
            raw = data = signed = _NOT_SHOWN
            raise refusal.with_traceback(None) from None

    def authenticate(self, authorization: Sequence[str]) -> AccessToken:
        """The token of a request, from *all* its Authorization values; adapters call it. Raises also
        :class:`MissingToken`, :class:`InvalidRequest`."""
        try:
            return self.verify(self._token_from(authorization))
        finally:
            authorization = _NOT_SHOWN

    async def aauthenticate(self, authorization: Sequence[str]) -> AccessToken:
        """:meth:`authenticate` for event loops."""
        try:
            return await self.averify(self._token_from(authorization))
        finally:
            authorization = _NOT_SHOWN

    def check(self, token: AccessToken) -> None:
        """Ask whether a *token* that was verified earlier still holds, for a WebSocket or a stream that stays open.

        Raises :class:`InvalidToken` if the token has expired, or was revoked, since then. It never raises because there
        is no news of revocations.
        """
        refusal = self._ended(token)
        if refusal is not None:
            self._say(refusal, token.fingerprint, token.client_id)
            raise refusal

    def demand(self, token: AccessToken, requirement: Requirement) -> None:
        """``token.require(requirement)``, which logs the hint if it is not met; adapters call it."""
        refusal = requirement.refusal(token)
        if refusal is not None:
            self._say(refusal, token.fingerprint, token.client_id)
            raise refusal

    def warm(self) -> None:
        """Load the keys now, and wait for them, at most 5 s (for each 32 issuers). You need not call it: the first
        token loads them too. Raises :class:`KeysUnavailable`, or :class:`RevocationsUnavailable` where revocations are
        followed."""
        for future, seconds in joining.in_turn(self.load_behind(), WAIT_COLD):
            joining.join(future, seconds)
        self._check_usable()

    async def awarm(self) -> None:
        """:meth:`warm` for event loops."""
        for future, seconds in joining.in_turn(self.load_behind(), WAIT_COLD):
            await joining.ajoin(future, seconds)
        self._check_usable()

    def load_behind(self) -> list[Future[None]]:
        """Start to fetch keys that are not fresh, and wait for nothing. Returns one future for each fetch that is under
        way, for callers who want to wait. Raises nothing."""
        loading = [store.load() for store in self._stores.values()]
        if self.revocations is not None:
            loading.append(self.revocations.load_behind())
        return [future for future in loading if future is not None]

    @property
    def issuers(self) -> tuple[str, ...]:
        """The URLs of the trusted issuers, in the order in which they were given."""
        return tuple(self.settings.issuers)

    @property
    def audiences(self) -> tuple[str, ...]:
        """The accepted audiences, sorted; empty with ``audience=None``."""
        return tuple(sorted(self.settings.audiences))

    @property
    def key_stores(self) -> Mapping[str, KeyStore]:
        """The keys of each issuer, for what else it signs: webhooks."""
        return self._stores

    @property
    def emit(self) -> events.Emit | None:
        """Tells whoever observes; ``None`` if nobody does."""
        return self._emit

    @property
    def clocks(self) -> Clocks:
        """What it tells the time by."""
        return self._clocks

    def health(self) -> dict[str, IssuerHealth]:
        """How the keys of each issuer are: ``fresh``, ``stale``, ``expired`` or ``never_loaded``, since when, and why.

        Also the state of the copy of the revocations, which is the same for all issuers.
        """
        revocations = None if self.revocations is None else self.revocations.health()
        health = {issuer: store.health(revocations) for issuer, store in self._stores.items()}
        if self.api_keys is not None:
            issuer = self.api_keys.issuer
            health[issuer] = health[issuer]._replace(api_keys=self.api_keys.health())
        return health

    def stats(self) -> CacheStats:
        """What the cache of verified tokens has done: hits, misses and evictions."""
        return self._cache.stats()

    def __repr__(self) -> str:
        return f"<Guard of {few(self.issuers)} for {few(self.audiences) or 'no audience'}>"

    def recognise(self, authorization: bytes) -> AccessToken | None:
        """The token of a request with this one Authorization value; adapters ask before :meth:`authenticate`. It is
        known if it was verified before and holds still.

        The value is not even taken apart: what comes after ``Bearer`` has the digest of a token only if it is that
        token. For everything else ``None``, and nothing is raised.
        """
        try:
            return self._recall(sha256(authorization[7:])) if authorization[:7] == b"Bearer " else None
        except (InvalidToken, Unavailable):
            return None  # to be told by authenticate

    def authenticate_at_once(self, authorization: bytes) -> AccessToken | None:
        """The token of a request with this one Authorization value, or what
        refuses it, if that can be said without waiting. ``None`` says nothing.

        A value is taken apart only if it is refused: whatever is a token that holds was a right value, too.
        """
        data = authorization[7:]
        if authorization[:7] != b"Bearer " or len(data) > jws.MAX_TOKEN:
            return None
        try:
            digest = sha256(data)
            return self._recall(digest) or self._verify_at_once(data, digest)
        except (AuthError, Unavailable) as refusal:
            raw = authorization.decode("latin-1")
            authorization = data = refusal.__traceback__ = _NOT_SHOWN
            try:
                self._token_from([raw])  # what is wrong with the value is said first
                self._log(refusal, raw[7:])
            finally:
                raw = _NOT_SHOWN
            raise refusal from None

    def _token_from(self, authorization: Sequence[str]) -> str:
        try:
            return bearer.token_from(authorization)
        except AuthError as refusal:
            self._say(refusal)
            authorization = _NOT_SHOWN
            raise refusal.with_traceback(None) from None

    def _verify_at_once(self, data: bytes, digest: bytes) -> AccessToken | None:
        """The token, if its key is held and no news of revocations have to be waited for. Only of a header that was
        good before: strangers would have others read twice, here and where a key is waited for."""
        header = data.partition(b".")[0]
        if not self._signed.knows(header) or data.endswith(_WHITE_SPACE):
            return None
        if self._check is not None and self._check.news() is not None:
            return None
        signed, times = self._read(data)
        if signed.key is None:
            self._signed.forget(header)
            return None
        return self._admit(digest, signed, signed.key, times)

    def _recall(self, digest: bytes) -> AccessToken | None:
        """The token with this digest, if it was verified before and holds still."""
        entry = self._find(digest)
        if entry is None:
            return None
        now = self._age()
        if entry.start <= self._wall() < entry.end and (
            (keys := entry.store.current_at(now)).edition is entry.edition or keys.holds(entry.key)
        ):
            copy = self._copy
            if (
                now >= entry.look_at or (copy is not None and entry.seen is not copy.edition)
            ) and not self._holds_still(entry, now):
                return None
            entry.used = True
            self._count_hit()
            if self._emit is not None:
                self._emit(verdicts.verified(entry.token, remembered=True))
            return entry.token
        self._cache.drop(digest)
        return None

    def _read(self, data: bytes) -> tuple[Signed, _Times]:
        """A token that is right in all but its signature, which has yet to be checked; its key has been looked for."""
        signed = self._signed.read(data)
        claims, wall, now = signed.claims, self._wall(), self._age()
        start, end = rules.check_claims(claims, self.settings, wall)
        if self._check is not None:
            end = min(end, self._check.end_of_life(claims, wall))
        signed.look_for_key(self._stores[claims["iss"]], now)
        return signed, (start, end, now + (end - wall))

    def _admit(self, digest: bytes, signed: Signed, key: Key, times: _Times) -> AccessToken:
        """The token, if it was signed with *key*; it is remembered."""
        self._signed.check_signature(signed, key)
        self._settled = True
        payload, claims = signed.payload, signed.claims
        token = token_of(payload, digest, self.permissions_as_scopes, claims)
        marks, refusal = (None, None) if self._check is None else self._check.compare(token)
        if self._remembers:
            size = size_of(payload, claims, self.permissions_as_scopes)
            # The edition, not the set: an entry outlives it, and it may be large.
            self._cache.put(digest, Entry(token, signed.store, key, signed.edition, times, size, marks))
        else:
            self._cache.count_miss()
        if refusal is not None:
            raise refusal
        if self._emit is not None:
            self._emit(verdicts.verified(token, remembered=False))
        return token

    def _let_in(self, digest: bytes, answer: Answer) -> AccessToken:
        """The token that stands for an API key, for which Kinde has vouched; it is remembered."""
        self._settled = True
        claims = answer.claims(self.audiences)
        payload = json.dumps(claims).encode()
        token = token_of(payload, digest, self.permissions_as_scopes, claims)
        marks, refusal = (None, None) if self._check is None else self._check.compare(token)
        if isinstance(refusal, InvalidToken):
            self._doubt(digest, refusal)
        if refusal is not None:
            raise refusal
        if self._remembers:
            size = size_of(payload, claims, self.permissions_as_scopes)
            self._cache.put(digest, VouchedFor(token, (-math.inf, answer.end, answer.over), size, marks))
        else:
            self._cache.count_miss()
        if self._emit is not None:
            self._emit(verdicts.verified(token, remembered=False))
        return token

    def _doubt(self, digest: bytes, why: InvalidToken) -> None:
        """What Kinde said of an API key is from before a revocation: it is asked again."""
        assert self.api_keys is not None, "else nobody would have vouched for anything"
        self._cache.drop(digest)
        self.api_keys.doubt(digest, why)

    def _check_of(self, revocations: Revocations) -> RevocationCheck:
        from .revocation.checking import RevocationCheck  # only here: most guards have none

        return RevocationCheck(revocations, self.settings, self._clocks, self._emit, self._stores, self._doubt)

    def _ended(self, token: AccessToken) -> InvalidToken | None:
        if self._wall() >= token.expires_at + self.settings.leeway:
            return InvalidToken("expired", "it has expired while something was open")
        return None if self._check is None else self._check.refusal_of_open(token)

    def _check_usable(self) -> None:
        for store in self._stores.values():
            store.check_usable()
        if self.revocations is not None:
            self.revocations.check_usable()

    def _log(self, refusal: AuthError | Unavailable, raw: str) -> None:
        if not self._settled:
            self._doubt_settings(refusal.reason)
        if self._emit is None and not log.isEnabledFor(logging.INFO) and not isinstance(refusal, Unavailable):
            return  # what nobody hears of needs no fingerprint
        self._say(refusal, fingerprint(sha256(raw.encode("utf-8", "surrogatepass"))))

    def _doubt_settings(self, reason: Reason) -> None:
        """Refusals are told of at INFO, which nobody sees who has set up no logging; that every token is refused,
        everybody should see, once, unless a token has been let in."""
        self._alike = alike = self._alike.after(reason)
        if alike.enough and self._doubts.is_first():  # threads may come here together
            self._settled = True
            verdicts.log_refused_alike(alike.times, reason)

    def _say(self, refusal: AuthError | Unavailable, mark: str = "", client: str | None = None) -> None:
        """Say it in the log and to the observer. *client* is that of a token whose signature has held."""
        verdicts.log_refusal(refusal, mark, client)
        if self._emit is not None:
            self._emit(verdicts.event_of(refusal, mark))


def _revocations(given: Revocations | None, settings: Settings) -> Revocations | None:
    if given is None and settings.revocations_url is None:
        return None
    from .revocation import Revocations  # only here, as above

    if given is None:
        return Revocations(settings.revocations_url)
    if not isinstance(given, Revocations):  # its text may hold a password
        raise ConfigurationError(
            f"revocations is a Revocations of kinde_guard.revocation, not {type(given).__name__}: give "
            'revocations=Revocations("rediss://…"), or set KINDE_REVOCATIONS_URL'
        )
    return given


def _bound(api_keys: ApiKeys | None, settings: Settings, clocks: Clocks, emit: events.Emit | None) -> ApiKeys | None:
    if api_keys is not None:
        if not callable(getattr(api_keys, "bind", None)):
            raise ConfigurationError(f"api_keys is an ApiKeys of kinde_guard.api_keys, not {type(api_keys).__name__}")
        api_keys.bind(settings.issuers, clocks=clocks, emit=emit)
    return api_keys
