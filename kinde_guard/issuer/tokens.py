"""What Kinde's tokens look like: the claims of each kind, and the compact JWS around them.

The claims come in alphabetical order and without white space, as Kinde's own do.
"""

from __future__ import annotations

import base64
import enum
import json
import secrets
import uuid
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from .keys import SigningKey

Claims = dict[str, Any]
Members = Mapping[str, object]

M2M_LIFETIME = USER_LIFETIME = 86_400
ID_TOKEN_LIFETIME = 3_600
SUBJECT = "kp_5d1c3e7b9a2f4c68b0d4e8f1a3c5b7d9"
ORG_CODE = "org_8ed648340ea9"


class Unset(enum.Enum):
    """An unset value stands where there is none: the member is left out, or the usual value is taken."""

    ABSENT = "absent"
    DEFAULT = "default"

    def __repr__(self) -> str:
        return self.name


_TO_BASE64 = str.maketrans("-_", "+/")

ABSENT: Final = Unset.ABSENT
"""The value of a claim or of a header member that is to be left out. (``None`` is ``null``, something else.)"""

DEFAULT: Final = Unset.DEFAULT


def present(members: Members, drop: Iterable[str] = ()) -> Claims:
    """*members* without those that are :data:`ABSENT` or named in *drop*."""
    dropped = frozenset(drop)
    return {name: value for name, value in members.items() if value is not ABSENT and name not in dropped}


def compact(header: Members | bytes, payload: Members | bytes, key: SigningKey) -> str:
    """A compact JWS (RFC 7515 §7.1) signed by *key*, whatever the header says. Bytes are taken as they are."""
    signing_input = b64url(_serialised(header)) + b"." + b64url(_serialised(payload))
    return (signing_input + b"." + b64url(key.sign(signing_input))).decode("ascii")


def b64url(data: bytes) -> bytes:
    """base64url without padding (RFC 7515 §2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def from_b64url(text: str) -> bytes:
    """The bytes of *text*, read leniently: in base64 too, and with or without padding."""
    # urlsafe_b64decode warns of "+" and "/", from Python 3.15 on and in older ones that were patched.
    return base64.b64decode(text.translate(_TO_BASE64) + "=" * (-len(text) % 4))


def m2m(*, iss: str, azp: str, aud: list[str], scope: str, now: float, lifetime: float) -> Claims:
    """An access token of a machine-to-machine app. It has no ``sub``.

    docs.kinde.com/machine-to-machine-applications/about-m2m/token-structure-and-claims-for-m2m-applications
    """
    return {
        **_dates(now, lifetime),
        "aud": aud,
        "azp": azp,
        "gty": ["client_credentials"],
        "iss": iss,
        "scope": scope,
        "scp": scope.split(" ") if scope else [],
        "v": "2",
    }


def user(*, iss: str, azp: str, sub: str, aud: list[str], scp: object, now: float, lifetime: float) -> Claims:
    """An access token of a user: docs.kinde.com/build/tokens/about-access-tokens."""
    return {**_dates(now, lifetime), "aud": aud, "azp": azp, "iss": iss, "scp": scp, "sub": sub}


def id_token(*, iss: str, azp: str, sub: str, org_codes: list[str], now: float, lifetime: float) -> Claims:
    """An ID token. Its audience is the issuer and the app, never an API."""
    return {
        **_dates(now, lifetime),
        "at_hash": secrets.token_urlsafe(16),
        "aud": [iss, azp],
        "auth_time": int(now),
        "azp": azp,
        "email": "ada@example.com",
        "family_name": "Lovelace",
        "given_name": "Ada",
        "iss": iss,
        "name": "Ada Lovelace",
        "org_codes": org_codes,
        "picture": "https://example.com/ada.png",
        "sub": sub,
        "updated_at": int(now),
    }


def granted(*, permissions: Any, roles: Any, feature_flags: Any) -> Claims:
    """What a user's token says beyond who it is: lists and mappings as Kinde writes them, all else as it is."""
    return {
        "feature_flags": _each_flag(feature_flags) if isinstance(feature_flags, Mapping) else feature_flags,
        "permissions": [permissions] if isinstance(permissions, str) else _listed(permissions),
        "roles": _listed(roles, _role),
    }


def _serialised(members: Members | bytes) -> bytes:
    if isinstance(members, bytes):
        return members
    return json.dumps(members, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def _each_flag(flags: Members) -> Claims:
    """``{"t": …, "v": …}`` for each flag of which only the value is given."""
    letters: dict[type, str] = {bool: "b", int: "i", str: "s"}
    return {
        name: {"t": letters[type(value)], "v": value} if type(value) in letters else value
        for name, value in flags.items()
    }


def _role(value: object) -> object:
    """A role with an id and a name, if *value* is but its key."""
    if not isinstance(value, str):
        return value
    return {"id": str(uuid.uuid5(uuid.NAMESPACE_URL, value)), "key": value, "name": value.replace("_", " ").title()}


def _listed(values: object, write: Callable[[object], object] = lambda value: value) -> object:
    return [write(value) for value in values] if isinstance(values, Iterable) else values


def _dates(now: float, lifetime: float) -> Claims:
    return {"exp": int(now + lifetime), "iat": int(now), "jti": str(uuid.uuid4())}
