"""Tokens that are good for something else: signed by the right key, and no access token for this API."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

from ..issuer import ABSENT, SigningKey
from .cases import Hostile, invalid
from .forge import Forge, Json, encoded

REASON = "wrong_token_type"
SIGN_IN = "RFC 8725 §3.12, RFC 9068 §5, OpenID Connect Core §2: an ID token says who signed in, and opens nothing"
EVENT = "RFC 8725 §3.12; docs.kinde.com/integrate/webhooks/about-webhooks: signed by the same keys, and no token"
LOGOUT = "RFC 8417 §2.2, OpenID Connect Back-Channel Logout §2.4 and §2.8: events make it a security event token"
BOUND = "RFC 9449 §7.2, RFC 8705 §3, RFC 7800 §3.1: a token bound to a key must not pass as a bearer token"
PROOF = "RFC 9449 §4.2: a proof is no token"
OTHER = "RFC 8725 §2.8 and §3.12: a JWT made for another purpose"

_BACKCHANNEL: dict[str, object] = {"http://schemas.openid.net/event/backchannel-logout": {}}


def cases(forge: Forge) -> Iterator[Hostile]:
    """Every one is a JWT of its kind as it really looks, or a good access token with the mark of another kind."""
    yield from _id_tokens(forge)
    yield from _events(forge)
    yield from _bound(forge)
    yield from _others(forge)


def _exactly(forge: Forge, claims: Json, **header: object) -> str:
    """These claims and no others, truly signed."""
    return forge.issuer.token(claims, header=header)


def _dates(forge: Forge) -> dict[str, object]:
    return {"exp": forge.now + 3_600, "iat": forge.now, "jti": "1"}


def _id_tokens(forge: Forge) -> Iterator[Hostile]:
    url, client, api = forge.issuer.url, forge.client, forge.audience
    user = {"sub": "kp_1", "azp": client, "iss": url, **_dates(forge)}
    granted = {**user, "scope": forge.scope or "openid", "scp": [forge.scope or "openid"]}
    kinds: dict[str, dict[str, object]] = {
        "for the app": {**user, "aud": [client]},
        "for the app, in text": {**user, "aud": client},
        "for the issuer and the app": {**user, "aud": [url, client]},
        "for the app and the API": {**granted, "aud": [client, api]},
        "for the issuer and the API": {**granted, "aud": [url, api]},
        "with at_hash, for the API": {**granted, "aud": [api], "at_hash": "J_sewbabZDr6PDIbvAHnLA"},
        "with nonce, for the API": {**granted, "aud": [api], "nonce": "n-0S6_WzA2Mj"},
        "with nonce null, for the API": {**granted, "aud": api, "nonce": None},
    }
    yield invalid("an ID token", forge.issuer.id_token(), REASON, SIGN_IN)
    yield from forge.each("an ID token", kinds, lambda claims: _exactly(forge, claims), REASON, SIGN_IN)
    posing = _exactly(forge, kinds["for the issuer and the app"], typ="at+jwt")
    yield invalid("an ID token of typ at+jwt", posing, REASON, SIGN_IN)
    for name in ("at_hash", "nonce"):
        yield invalid(f"an app's token with {name}", forge.token({name: "x"}), REASON, SIGN_IN)


def _events(forge: Forge) -> Iterator[Hostile]:
    issuer, dates = forge.issuer, _dates(forge)
    named = {"iss": issuer.url, "aud": [forge.audience], **dates}
    yield invalid("a webhook's JWT", issuer.webhook_jwt(), REASON, EVENT)
    for kind in ("user.deleted", "user.authenticated", "organization.deleted"):
        yield invalid(f"a webhook's JWT of {kind}", issuer.webhook_jwt(kind), REASON, EVENT)
    yield invalid("a webhook's JWT with an expiry", issuer.webhook_jwt("user.updated", **dates), REASON, EVENT)
    yield invalid("a webhook's JWT for the API", issuer.webhook_jwt("user.updated", **named), REASON, EVENT)
    yield invalid("an app's token as a webhook's", forge.token({"event_id": "event_1", "iss": ABSENT}), REASON, EVENT)
    events: dict[str, object] = {"backchannel logout": _BACKCHANNEL, "empty": {}, "null": None, "a list": []}
    yield from forge.each("a user's token with events,", events, forge.users_claim("events"), REASON, LOGOUT)
    logout = {"iss": issuer.url, "sub": "kp_1", "sid": "1", "events": _BACKCHANNEL, **dates}
    for name, aud in {"the API": forge.audience, "the app": forge.client}.items():
        token = _exactly(forge, {**logout, "aud": aud})
        yield invalid(f"a logout token for {name}", token, REASON, LOGOUT)


def _bound(forge: Forge) -> Iterator[Hostile]:
    thumbprint, jwk = encoded(b"t" * 32), forge.issuer.stranger.public_jwk()
    bindings: dict[str, object] = {
        "jkt": {"jkt": thumbprint},
        "x5t#S256": {"x5t#S256": thumbprint},
        "jwk": {"jwk": jwk},
        "kid": {"kid": "x"},
        "an unknown method": {"new": 1},
        "nothing": {},
        "a list": [],
    }
    yield from forge.each("an app's token with cnf,", bindings, forge.claim("cnf"), REASON, BOUND)
    yield invalid("a user's token with cnf, jkt", forge.users({"cnf": {"jkt": thumbprint}}), REASON, BOUND)
    key = SigningKey.make("ES256")
    proof = {"htm": "GET", "htu": forge.audience, "iat": forge.now, "jti": str(uuid.uuid4())}
    token = forge.issuer.token(proof, header={"typ": "dpop+jwt", "jwk": key.public_jwk()}, key=key)
    yield invalid("a DPoP proof", token, "unsupported_algorithm", PROOF)
    yield invalid("a DPoP proof by the issuer's key", _exactly(forge, proof, typ="dpop+jwt"), REASON, PROOF)


def _others(forge: Forge) -> Iterator[Hostile]:
    url, client, api, dates = forge.issuer.url, forge.client, forge.audience, _dates(forge)
    management = forge.token({"aud": [f"{url}/api"]})
    yield invalid("a token for Kinde's Management API", management, "wrong_audience", f"RFC 8725 §3.9; {OTHER}")
    assertion = _exactly(forge, {"iss": client, "sub": client, "aud": f"{url}/oauth2/token", **dates})
    yield invalid("a client assertion", assertion, "unknown_issuer", f"RFC 7523 §3; {OTHER}")
    answer = _exactly(forge, {"iss": url, "aud": client, "code": "c0de", "state": "s", **dates})
    yield invalid("an authorization response", answer, REASON, f"JWT Secured Authorization Response Mode §2.1; {OTHER}")
    introspected = {"iss": url, "aud": api, "iat": forge.now, "token_introspection": forge.m2m}
    answer = _exactly(forge, introspected, typ="token-introspection+jwt")
    yield invalid("an introspection answer", answer, REASON, f"RFC 9701 §5; {OTHER}")
    refresh = _exactly(forge, {"iss": url, "sub": "kp_1", "azp": client, "aud": [], **dates})
    yield invalid("a refresh token", refresh, "empty_audience", OTHER)
    nobody = _exactly(forge, {"iss": url, "aud": api, **dates})
    yield invalid("nothing but iss, aud and dates", nobody, REASON, OTHER)
    yield invalid("no claims at all", _exactly(forge, {}), REASON, OTHER)
    yield invalid("every claim null", _exactly(forge, dict.fromkeys(forge.m2m)), "malformed", OTHER)
