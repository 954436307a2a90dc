"""Each check in words: its name, what it expects, what it finds. Pure; what the token says is shown in ASCII."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from ..keys.jwk import Key
from ..requirements import AllOf, AnyOf, ClaimRequirement, Requirement, Scopes
from ..settings import Settings
from ..tokens import jws, rules
from ..tokens.access_token import AccessToken
from ..tokens.claims import Json, client_of, kind_of, subject_of
from ..web.wording import few
from .display import listed, shown

AUTHORIZATION = "Bearer, a space, one token"
_OR = " or ", " or "
SIZE = f"at most {jws.MAX_TOKEN} characters"
FORM = "3 parts, joined by dots"
OBJECT = "base64url of a JSON object"
BASE64URL = "base64url"
KEY = "a key of that name at a trusted issuer"
SIGNATURE = "made with that key"


@dataclass(frozen=True, slots=True)
class Description:
    """One check in words: its name, what it expects by the settings, what it finds in a token."""

    name: str
    expected: Callable[[Settings, float], str]
    found: Callable[[Json, Settings, float], str]


def size(raw: str) -> str:
    return f"{len(raw)} characters{'' if raw.isascii() else ', not all ASCII'}"


def parts(raw: str) -> str:
    count = raw.count(".") + 1
    return f"{count} part{'s' if count > 1 else ''}"


def members(value: Json | None) -> str:
    return f"members {listed(sorted(value))}" if value is not None else ""


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
    return [demand.reason if isinstance(demand, ClaimRequirement) else "wrong_org"]


def _listed(name: str, values: Iterable[str]) -> str:
    return f"{name} {listed(sorted(values)) or 'none'}"


_HELD: Mapping[str, Callable[[AccessToken], str]] = {
    "insufficient_scope": lambda token: _listed("scopes", token.scopes),
    "missing_permission": lambda token: _listed("permissions", token.permissions),
    "missing_role": lambda token: _listed("roles", token.roles),
    "wrong_org": lambda token: _listed("organization", filter(None, [token.org_code])),
    "missing_flag": lambda token: f"flags {shown(token.feature_flags)}",
    "wrong_subject": lambda token: "an M2M app" if token.is_m2m else "a user",
}


def _kind(claims: Json, settings: Settings, now: float) -> str:
    marks = [name for name in ("at_hash", "nonce", "events", "event_id", "cnf") if name in claims]
    if marks:
        return f"it has {', '.join(marks)}"
    return f"aud {shown(claims.get('aud'))}" if kind_of(claims) == "ID token" else "no mark of another kind"


def _caller(claims: Json, settings: Settings, now: float) -> str:
    subject = subject_of(claims)
    if subject is None:
        return f"sub {_member(claims, 'sub')}, gty {_member(claims, 'gty')}, azp {_member(claims, 'azp')}"
    return f"{'user' if 'sub' in claims else 'app'} {shown(subject)}"


def _audience_expected(settings: Settings, now: float) -> str:
    if settings.audiences:
        return few(sorted(settings.audiences), *_OR)
    return f"no audience, and azp {few(sorted(settings.clients), *_OR)}"


def _audience_found(claims: Json, settings: Settings, now: float) -> str:
    aud = claims.get("aud")
    if isinstance(aud, list) and aud:
        return listed(aud)
    found = _member(claims, "aud")
    return found if settings.audiences else f"{found}, azp {shown(client_of(claims))}"


def _dates(claims: Json, settings: Settings, now: float) -> str:
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


def _value_of(name: str) -> Callable[[Json, Settings, float], str]:
    return lambda members, settings, now: _member(members, name)


def _which_of(*names: str) -> Callable[[Json, Settings, float], str]:
    return lambda members, settings, now: ", ".join(name for name in names if name in members) or "none"


def _says(text: str) -> Callable[[Settings, float], str]:
    return lambda settings, now: text


DESCRIPTIONS: Mapping[Callable[..., object], Description] = {
    rules.check_algorithm: Description("alg", lambda settings, now: " or ".join(settings.algorithms), _value_of("alg")),
    rules.check_type: Description("typ", _says("JWT or at+jwt, or none"), _value_of("typ")),
    rules.check_extensions: Description(
        "crit", _says("no crit, b64, zip, cty"), _which_of("crit", "b64", "zip", "cty")
    ),
    rules.check_key_id: Description("kid", _says("the name of a key"), _value_of("kid")),
    rules.check_kind: Description("kind", _says("no ID token, no webhook"), _kind),
    rules.check_subject: Description("caller", _says("a user, or an M2M app"), _caller),
    rules.check_issuer: Description("iss", lambda settings, now: few(settings.issuers, *_OR), _value_of("iss")),
    rules.check_audience: Description("aud", _audience_expected, _audience_found),
    rules.check_times: Description(
        "dates", lambda settings, now: f"{_utc(now)} UTC, give or take {settings.leeway:g} s", _dates
    ),
}
