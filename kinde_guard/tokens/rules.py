"""The rules: token, settings and time in; nothing out, or the reason why not. Pure; one function per rule.

They are asked in this order, all before the key is looked for: an expired or foreign token never causes a fetch.
"""

from __future__ import annotations

from typing import Any

from ..errors import InvalidToken
from ..settings import Settings
from ..web.wording import few
from .claims import Json, client_of, is_m2m, kind_of

MAX_KID = 256
MAX_DATE = 253_402_300_799  # 9999-12-31T23:59:59Z, the last second that datetime can tell
NOBODY: list[str] = []  # never changed; a new one for each token would cost more than the rule
HINTS_OF_KINDS = {
    "event": "this is a webhook's JWT, not an access token",
    "ID token": "this is an ID token: send the access token instead",
}
TYPES = frozenset({"jwt", "at+jwt", "application/at+jwt"})


def check_algorithm(header: Json, settings: Settings) -> None:
    """RFC 8725 §3.1: an allow-list, compared exactly; never what the token would like."""
    alg = header.get("alg")
    if type(alg) is not str or alg not in settings.algorithms:
        raise InvalidToken("unsupported_algorithm", f"only {', '.join(settings.algorithms)} is accepted")


def check_type(header: Json, settings: Settings) -> None:
    """RFC 8725 §3.11, RFC 9068 §4. Kinde sends ``JWT``, and not ``at+jwt``, on access tokens."""
    if "typ" in header:
        typ = header["typ"]
        if type(typ) is not str or typ.lower() not in TYPES:
            raise InvalidToken("wrong_token_type", "typ says that this is not an access token")


def check_extensions(header: Json, settings: Settings) -> None:
    """RFC 7515 §4.1.11: what must be understood and is not. ``b64`` (RFC 7797) and ``zip`` change what is signed."""
    for name in ("crit", "b64", "zip"):
        if name in header:
            raise InvalidToken("unsupported_header", f"the header has {name}, which Kinde never sends")
    cty = header.get("cty")
    if type(cty) is str and cty.lower() in ("jwt", "application/jwt"):  # RFC 7519 §7.2 step 8: the claims are inside it
        raise InvalidToken("unsupported_header", "the header says that the payload is another JWT")


def check_key_id(header: Json, settings: Settings) -> None:
    """RFC 7515 §4.1.4. Without a kid no key is tried: there is no guessing."""
    kid = header.get("kid")
    if type(kid) is not str or not 1 <= len(kid) <= MAX_KID:
        raise InvalidToken("malformed", "the header has no usable kid")


def check_kind(claims: Json, settings: Settings, now: float) -> None:
    """RFC 8725 §3.12: ID tokens and webhooks are signed with the same keys, and are no access tokens."""
    kind = kind_of(claims)
    if kind != "access token":
        raise InvalidToken("wrong_token_type", HINTS_OF_KINDS[kind])
    if "cnf" in claims:
        # RFC 9449 §7.2: a token bound to a key must not pass as a bearer token.
        raise InvalidToken("wrong_token_type", "the token is bound to a key (cnf), which is not supported")


def check_subject(claims: Json, settings: Settings, now: float) -> None:
    """Every access token is a user's (``sub``) or a machine-to-machine app's."""
    azp = claims.get("azp")
    if azp == "" or (type(azp) is not str and type(azp) is not int and "azp" in claims):
        raise InvalidToken("malformed", "azp is neither text nor a number")
    if "sub" in claims:
        sub = claims["sub"]
        if type(sub) is not str or not sub:
            raise InvalidToken("malformed", "sub is not text")
    elif azp is None or not is_m2m(claims):
        raise InvalidToken("wrong_token_type", "the token is neither a user's (sub) nor a machine-to-machine app's")


def check_issuer(claims: Json, settings: Settings, now: float) -> None:
    """RFC 8725 §3.8: the exact text of a trusted issuer; its keys are looked for nowhere else."""
    iss = claims.get("iss")
    if iss is not None and type(iss) is not str:
        raise InvalidToken("malformed", "iss is not text")
    if iss not in settings.issuers:
        trusted = few(settings.issuers, last=" or ")
        raise InvalidToken(
            "unknown_issuer",
            f"iss is not {trusted}. A custom domain is another issuer: if you have one, list both domains",
        )


def check_audience(claims: Json, settings: Settings, now: float) -> None:
    """RFC 7519 §4.1.3: whoever is not named must refuse."""
    aud = claims.get("aud", NOBODY)
    named = [aud] if type(aud) is str else aud
    for name in named if type(named) is list else (None,):
        if type(name) is not str:
            raise InvalidToken("malformed", "aud is neither text nor a list of text")
    if not settings.audiences:
        return _check_client(claims, named, settings)
    if not named:
        raise InvalidToken(
            "empty_audience",
            "aud is empty: request the token with audience=…, and authorise the app for the API in Kinde",
        )
    if settings.audiences.isdisjoint(named):
        raise InvalidToken("wrong_audience", f"aud is for another API; this one is {few(settings.audiences)}")
    return None


def check_times(claims: Json, settings: Settings, now: float) -> tuple[float, float]:
    """RFC 7519 §4.1.4 to §4.1.6, with leeway for clocks that differ: from when (included) until when (excluded) the
    claims hold."""
    exp, start = claims.get("exp"), claims.get("iat", 0)
    if not (type(exp) is type(start) is int and 0 <= start <= exp <= MAX_DATE):  # nearly always they are
        exp, start = _date(exp, "exp"), _date(start, "iat")
    if "nbf" in claims:
        start = max(start, _date(claims["nbf"], "nbf"))
    start, end = start - settings.leeway, exp + settings.leeway
    if now >= end:
        raise InvalidToken(
            "expired", "the client has to request a new token. The lifetime of tokens is set in Kinde, for each app"
        )
    if now < start:
        raise InvalidToken("not_yet_valid", "nbf or iat is in the future: compare this machine's clock with Kinde's")
    return start, end


HEADER_RULES = (check_algorithm, check_type, check_extensions, check_key_id)
# For those who tell of each; check_claims asks them by name, which costs less than a loop.
CLAIMS_RULES = (check_kind, check_subject, check_issuer, check_audience, check_times)


def check_header(header: Json, settings: Settings) -> None:
    """Every rule about the header; raises :class:`InvalidToken`."""
    for rule in HEADER_RULES:
        rule(header, settings)


def check_claims(claims: Json, settings: Settings, now: float) -> tuple[float, float]:
    """Every rule about the claims at *now* (seconds since the epoch): from when until when they hold; raises
    :class:`InvalidToken`."""
    check_kind(claims, settings, now)
    check_subject(claims, settings, now)
    check_issuer(claims, settings, now)
    check_audience(claims, settings, now)
    return check_times(claims, settings, now)


def _check_client(claims: Json, named: list[str], settings: Settings) -> None:
    """``audience=None``: tokens without an audience, of listed apps only."""
    if named:
        raise InvalidToken("wrong_audience", "the token names an audience, and this API was set up with audience=None")
    if client_of(claims) not in settings.clients:
        raise InvalidToken("wrong_client", "azp is not one of clients=")


def _date(value: Any, name: str) -> Any:
    """A NumericDate (RFC 7519 §2) as a finite number; ``true`` and ``"1700000000"`` are none."""
    if (type(value) is int or type(value) is float) and 0 <= value <= MAX_DATE:
        return value
    raise InvalidToken("malformed", f"{name} is missing or not a date")
