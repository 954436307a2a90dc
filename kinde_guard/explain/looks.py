"""How each check is told: its name, what it expects, and what it finds. Pure; text that may come from a token is ASCII."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from . import jws, rules
from .claims import AccessToken, Json, client_of, is_id_token, subject_of
from .fixes import shown
from .jwks import Key
from .requirements import AllOf, AnyOf, Demand, Requirement, Scopes
from .settings import Settings

SIZE = f"at most {jws.MAX_TOKEN} characters, ASCII"
FORM = "three parts, joined by dots"
OBJECT = "base64url of a JSON object"
BASE64URL = "base64url"
KEY = "a key of that name at a trusted issuer"
SIGNATURE = "made with that key"


@dataclass(frozen=True, slots=True)
class Look:
    """How a rule is told."""

    name: str
    expected: Callable[[Settings, float], str]
    found: Callable[[Json, float], str]


def size(raw: str) -> str:
    return f"{len(raw)} characters{'' if raw.isascii() else ', not all ASCII'}"


def parts(value: object) -> str:
    """The hint of a refusal says more."""
    return "three parts" if value else ""


def members(value: Json | None) -> str:
    return f"members {', '.join(map(shown, sorted(value)))}" if value is not None else ""


def size_of(value: bytes | None) -> str:
    return "" if value is None else f"{len(value)} bytes"


def key(value: Key | None) -> str:
    if value is None:
        return ""
    bits = getattr(value.public, "key_size", None)
    return " ".join([value.kty, *([f"{bits} bits"] if bits else [])])


def signature(value: object) -> str:
    return "it holds" if value else "it does not hold"


def held(demand: Requirement, token: AccessToken | None) -> str:
    """What the token has of the kinds that *demand* is about."""
    return "" if token is None else "; ".join(dict.fromkeys(_HELD[kind](token) for kind in _kinds(demand)))


def _kinds(demand: Requirement) -> Iterable[str]:
    if isinstance(demand, AllOf | AnyOf):
        return [kind for part in demand.parts for kind in _kinds(part)]
    if isinstance(demand, Scopes):
        return ["insufficient_scope"]
    return [demand.reason if isinstance(demand, Demand) else "wrong_org"]


def _listed(name: str, values: Iterable[str]) -> str:
    return f"{name} {', '.join(map(shown, sorted(values))) or 'none'}"


_HELD: Mapping[str, Callable[[AccessToken], str]] = {
    "insufficient_scope": lambda token: _listed("scopes", token.scopes),
    "missing_permission": lambda token: _listed("permissions", token.permissions),
    "missing_role": lambda token: _listed("roles", token.roles),
    "wrong_org": lambda token: _listed("organization", filter(None, [token.org_code])),
    "missing_flag": lambda token: f"flags {shown(token.feature_flags)}",
    "wrong_subject": lambda token: "an M2M app" if token.is_m2m else "a user",
}


def _kind(claims: Json, now: float) -> str:
    marks = [name for name in ("at_hash", "nonce", "events", "event_id", "cnf") if name in claims]
    if marks:
        return f"it has {', '.join(marks)}"
    return f"aud {shown(claims.get('aud'))}" if is_id_token(claims) else "no mark of another kind"


def _caller(claims: Json, now: float) -> str:
    subject = subject_of(claims)
    if subject is None:
        return f"sub {_member(claims, 'sub')}, gty {_member(claims, 'gty')}, azp {_member(claims, 'azp')}"
    return f"{'user' if 'sub' in claims else 'M2M app'} {shown(subject)}"


def _audience_expected(settings: Settings, now: float) -> str:
    if settings.audiences:
        return " or ".join(sorted(settings.audiences))
    return f"no audience, and azp {' or '.join(sorted(settings.clients))}"


def _audience_found(claims: Json, now: float) -> str:
    aud = claims.get("aud")
    if isinstance(aud, list) and aud:
        return ", ".join(map(shown, aud))
    return shown(aud) if aud else f"{_member(claims, 'aud')}, azp {shown(client_of(claims))}"


def _dates(claims: Json, now: float) -> str:
    return "; ".join(f"{name} {_date(claims[name], now)}" for name in ("exp", "iat", "nbf") if name in claims) or "none"


def _date(value: Any, now: float) -> str:
    if type(value) not in (int, float) or not 0 <= value <= rules.MAX_DATE:
        return shown(value)
    distance = timedelta(seconds=abs(round(value - now)))
    return f"{_utc(value)}, {f'in {distance}' if value > now else f'{distance} ago'}"


def _utc(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _member(members: Json, name: str) -> str:
    return shown(members[name]) if name in members else "none"


def _members_of(*names: str) -> Callable[[Json, float], str]:
    return lambda members, now: ", ".join(name for name in names if name in members) or "none"


LOOKS: Mapping[Callable[..., None], Look] = {
    rules.check_algorithm: Look(
        "alg", lambda settings, now: " or ".join(settings.algorithms), lambda header, now: _member(header, "alg")
    ),
    rules.check_type: Look(
        "typ", lambda settings, now: "JWT or at+jwt, or none", lambda header, now: _member(header, "typ")
    ),
    rules.check_extensions: Look("crit", lambda settings, now: "no crit, b64, zip", _members_of("crit", "b64", "zip")),
    rules.check_key_id: Look(
        "kid", lambda settings, now: "the name of a key", lambda header, now: _member(header, "kid")
    ),
    rules.check_kind: Look("kind", lambda settings, now: "no ID token, no webhook", _kind),
    rules.check_subject: Look("caller", lambda settings, now: "a user (sub), or an M2M app (gty, azp)", _caller),
    rules.check_issuer: Look(
        "iss", lambda settings, now: " or ".join(settings.issuers), lambda claims, now: _member(claims, "iss")
    ),
    rules.check_audience: Look("aud", _audience_expected, _audience_found),
    rules.check_times: Look(
        "dates", lambda settings, now: f"valid now, {_utc(now)} UTC, within {settings.leeway:g} s", _dates
    ),
}
