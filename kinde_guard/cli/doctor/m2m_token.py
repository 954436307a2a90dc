"""Machine to machine, end to end: get a token as a client does, and verify it as the API does."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit

import httpx

from ...errors import ConfigurationError, InvalidToken, KeysUnavailable
from ...explain import Explanation, explain
from ...explain.providers import is_kinde
from ...keys.jwk import Key
from ...keys.key_set import KeySet
from ...m2m import ClientCredentials, TokenEndpointUnavailable, TokenRequestFailed
from ...m2m.token_request import Application
from ...settings import DOMAIN_VARIABLES, Settings
from ...tokens.jws import decode, read_object, split
from ..remedies import remedy
from .environment import M2M, REVOCATIONS
from .finding import Finding, State, sentence
from .issuer import Issuer


def end_to_end(
    issuers: Sequence[Issuer], audience: Sequence[str], asked_for: bool, transport: httpx.BaseTransport | None = None
) -> Iterator[Finding]:
    """*audience*: the API's. *asked_for*: whether the issuers are arguments, and so perhaps not those of the app."""
    if not any(name in os.environ for name in M2M):
        yield _found("token", "skipped", "set KINDE_M2M_CLIENT_ID and the like to have a token requested and verified")
        return
    domain = _domain(issuers)
    try:
        app = Application.load(domain, client_id=None, client_secret=None, audience=None, scopes=None)
        client = ClientCredentials(domain, shared=False, transport=transport)
    except ConfigurationError as error:
        yield _found("token", "failed", "the settings of the app cannot be used", sentence(error))
        return
    if asked_for and app.issuer not in {issuer.url for issuer in issuers}:
        # The secret goes to whom the environment names, and to nobody who was only asked about.
        yield _found("token", "skipped", f"the app in KINDE_M2M_* is one of {app.issuer}, which was not asked about")
        return
    try:
        raw = client.token()
    except TokenRequestFailed as failed:
        yield _none(failed, app, proxied=transport is not None)
        return
    yield _found("token", "well", f"one for {app.audiences} from {app.issuer}")
    yield from _verified(raw, issuers, audience, app)


class _Fetched:
    """The keys that have been fetched already, as ``explain`` wants them."""

    offline = False

    def __init__(self, issuers: Sequence[Issuer]) -> None:
        self._issuers = {issuer.url: issuer for issuer in issuers}

    @property
    def drift(self) -> float | None:
        return next((issuer.drift for issuer in self._issuers.values() if issuer.drift is not None), None)

    def find(self, issuer: str, kid: str, alg: str) -> Key:
        read = self._issuers[issuer].keys
        if read is None:
            raise KeysUnavailable(1)
        key = KeySet(read.keys).find(kid, alg)
        if key is None:
            raise InvalidToken("unknown_key", f"no key that {issuer} publishes has the token's kid")
        return key


def longer_than_revocations(raw: str) -> Iterator[Finding]:
    """Whether the token in *raw*, which has been verified, lives longer than a revocation is kept."""
    from ...revocation.revocations import TOKEN_LIFETIME  # only here: most have none

    claims = read_object(decode(split(raw.encode())[1]))
    life = claims["exp"] - claims.get("iat", claims["exp"])
    if life > TOKEN_LIFETIME:
        found = f"it lives for {life:,.0f} s, and revocations are kept for {TOKEN_LIFETIME:,.0f} s"
        fix = f"Give Revocations(token_lifetime={life:.0f}) in the app, or shorten the life of its tokens in Kinde."
        yield _found("lifetime", "warning", found, fix)


def _none(failed: TokenRequestFailed, app: Application, *, proxied: bool) -> Finding:
    """What Kinde refuses comes with advice; where it does not answer, the problem decides."""
    if isinstance(failed, TokenEndpointUnavailable):
        return _found("token", "failed", failed.message, remedy(failed.message, app.issuer, proxied=proxied))
    return _found("token", "failed", f"{app.issuer} gave none: {failed.error}", sentence(failed.message))


def _domain(issuers: Sequence[Issuer]) -> str | None:
    """``None`` where the environment says it, as it does for the app itself."""
    if any(name in os.environ for name in ("KINDE_M2M_DOMAIN", *DOMAIN_VARIABLES)):
        return None
    urls = [issuer.url for issuer in issuers]
    return next((url for url in urls if is_kinde(urlsplit(url).hostname or "")), urls[0])


def _verified(raw: str, issuers: Sequence[Issuer], audience: Sequence[str], app: Application) -> Iterator[Finding]:
    """Whether an API with *audience* lets the token in; if the app is for another API, whether that one does."""
    if audience and set(audience).isdisjoint(app.audience):
        fix = "Set KINDE_M2M_AUDIENCE to that, if the app is to call this API. If it calls another, this is well."
        yield _found(
            "audience", "warning", f"the app calls {app.audiences}, and this API is {' or '.join(audience)}", fix
        )
        audience = ()
    try:
        settings = Settings.load([issuer.url for issuer in issuers], audience=audience or app.audience)
    except ConfigurationError as error:
        yield _found("verify", "failed", "no API can have this audience", sentence(error))
        return
    verdict = _verdict(explain(raw, settings, time.time(), _Fetched(issuers)))
    yield verdict
    if verdict.state == "well" and REVOCATIONS in os.environ:
        yield from longer_than_revocations(raw)


def _verdict(explanation: Explanation) -> Finding:
    decisive = explanation.decisive
    if decisive is None:
        caller = next(check.found for check in explanation.checks if check.name == "caller")
        return _found("verify", "well", f"all {len(explanation.checks)} checks pass, the caller is {caller}")
    if decisive.outcome == "cannot_tell":
        return _found("verify", "skipped", "there are no keys to verify it with")
    found = f"refused at {decisive.name} ({decisive.reason}): {decisive.found}, expected {decisive.expected}"
    return _found("verify", "failed", found, decisive.fix)


def _found(step: str, state: State, found: str, fix: str = "") -> Finding:
    return Finding(step, state, found, fix, "end to end")
