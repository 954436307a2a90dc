"""What a verified token says. Kinde's claim names live here and nowhere else.

Where Kinde's own pages disagree about a claim, the reading taken here is the one that its real tokens bear out; a
claim of an unexpected type grants nothing and raises nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal, NoReturn, TypeVar, dataclass_transform

from ..errors import ConfigurationError

if TYPE_CHECKING:
    from ..requirements import Requirement

Json = dict[str, Any]
T = TypeVar("T")
_TEXT, _PLACE = 64, 16
"""Bytes of a short text, without its characters, and of a place in a set, which has up to four for each member."""
LONGEST_QUOTED = 80


def subject_of(claims: Json) -> str | None:
    """Who calls: ``sub`` of a user, else ``azp`` of a machine-to-machine app; ``None`` if the token says neither."""
    if "sub" in claims:
        return _text(claims["sub"])
    return client_of(claims) if is_m2m(claims) else None


def client_of(claims: Json) -> str | None:
    """The client id of the app the token was issued to. Kinde shows ``azp`` as text and as a number."""
    azp = claims.get("azp")
    return str(azp) if type(azp) is int else _text(azp)


def is_m2m(claims: Json) -> bool:
    """Machine to machine: ``gty`` (text or list) names ``client_credentials``, and there is no ``sub``."""
    gty = claims.get("gty")
    granted = gty == "client_credentials" or (type(gty) is list and "client_credentials" in gty)
    return granted and "sub" not in claims


def audience_of(claims: Json) -> tuple[str, ...]:
    """``aud`` as a tuple, whether it is text or a list (RFC 7519 §4.1.3)."""
    aud = claims.get("aud")
    return (aud,) if type(aud) is str else _texts(aud)


def kind_of(claims: Json) -> Literal["access token", "ID token", "event"]:
    """Kinde signs ID tokens and webhooks with the same keys, and with the same ``typ``.

    ID tokens carry ``at_hash`` or ``nonce``, and name the issuer and the client as their audience. A webhook's JWT, or
    a security event token (RFC 8417), is an event; neither lets anyone in.
    """
    if "events" in claims or ("event_id" in claims and "iss" not in claims):
        return "event"
    if "at_hash" in claims or "nonce" in claims:
        return "ID token"
    aud, iss, azp = claims.get("aud"), claims.get("iss"), claims.get("azp")
    audience = aud if type(aud) is list else (aud,)
    client = azp if type(azp) is str or azp is None else str(azp)
    if (iss in audience and iss is not None) or (client in audience and client is not None):
        return "ID token"
    return "access token"


def scopes_of(claims: Json, permissions_as_scopes: bool = False) -> frozenset[str]:
    """What was granted. ``scope``, if it is text, decides, also when empty; else ``scp``, which for users holds the
    OIDC scopes and for apps is often ``[]``; and the permissions, for tenants that hand out API scopes as those."""
    scope = claims.get("scope")
    if type(scope) is str:
        return _split(scope)
    scp = claims.get("scp")
    granted = _split(scp) if type(scp) is str else _set_of(_texts(scp))
    return granted | permissions_of(claims) if permissions_as_scopes else granted


def permissions_of(claims: Json) -> frozenset[str]:
    """Permission keys; ``null``, ``[]`` and absent mean none."""
    return _set_of(_texts(_mapped(claims, "permissions")))


def roles_of(claims: Json) -> frozenset[str]:
    """Role keys. Kinde sends objects with ``key``; token workflows may send plain text."""
    roles = _mapped(claims, "roles")
    if type(roles) is not list:
        return frozenset()
    return _set_of(_texts([role.get("key") if type(role) is dict else role for role in roles]))


def org_of(claims: Json) -> str | None:
    """The organization the caller signed in to, or the app belongs to."""
    return _text(_mapped(claims, "org_code"))


def flags_of(claims: Json) -> Json:
    """Feature flags as key and value. Kinde sends ``{key: {"t": type, "v": value}}``."""
    flags = _mapped(claims, "feature_flags")
    if type(flags) is not dict:
        return {}
    return {key: flag["v"] for key, flag in flags.items() if type(flag) is dict and "v" in flag}


def _mapped(claims: Json, name: str) -> Any:
    """*name*, or its twin where the app's Hasura mapping is on (Kinde then sends ``x-hasura-…`` instead)."""
    value = claims.get(name)
    return claims.get("x-hasura-" + name.replace("_", "-")) if value is None else value


def _text(value: object) -> str | None:
    return value if type(value) is str and value else None


def _texts(values: object) -> tuple[str, ...]:
    return tuple(value for value in values if type(value) is str) if type(values) is list else ()


def _split(text: str) -> frozenset[str]:
    """RFC 6749 §3.3: separated by U+0020 and nothing else."""
    return _set_of([word for word in text.split(" ") if word])


def _set_of(texts: Sequence[str]) -> frozenset[str]:
    """A set that is made of a set has half as many places: it knows how many there will be."""
    return frozenset(texts if len(texts) < 5 else set(texts))


def size_of(payload: bytes, claims: Json, permissions_as_scopes: bool) -> int:
    """About how many bytes a token takes in a cache: *payload*, all that is read out of it, and the objects around it.

    A small one has no room for so many texts that they would have to be counted, but for the words of ``scope``.
    """
    length, scope = len(payload), claims.get("scope")
    if type(scope) is str:
        words = scope.count(" ")
        if words <= 20 and length <= 600:
            return 2_000 + 2 * length + 90 * words
    elif length <= 500 and not permissions_as_scopes:
        return 900 + 7 * length
    return 1_500 + 2 * length + _room_of_texts(claims, permissions_as_scopes)


def _room_of_texts(claims: Json, permissions_as_scopes: bool) -> int:
    """Of those that a token's attributes hold, without their characters, and of the sets that they are in."""
    permissions, roles = (_length(_mapped(claims, name)) for name in ("permissions", "roles"))
    scope = claims.get("scope")
    scopes = _length(scope if type(scope) is str else claims.get("scp"))
    texts = permissions + roles + scopes + _length(claims.get("aud"))
    sets = [permissions, roles, scopes + permissions * permissions_as_scopes]
    return _TEXT * texts + sum(_PLACE << (2 * size).bit_length() for size in sets)


def _length(value: object) -> int:
    if type(value) is str:
        return value.count(" ") + 1
    return len(value) if type(value) is list else 0


def _seconds(value: Any) -> float | None:
    return None if value is None else float(value)


def fingerprint(digest: bytes) -> str:
    """A token in a log: the first 12 hex digits of its SHA-256, enough to find it again, too little to use it."""
    return digest.hex()[:12]


def quoted(text: str | None) -> str:
    """What a token says, in a log or a ``repr``: on one line, and no longer than ids are."""
    return repr(text if text is None or len(text) <= LONGEST_QUOTED else f"{text[:LONGEST_QUOTED]}…")


_READERS: dict[str, Callable[[Json], object]] = {
    "subject": subject_of,
    "client_id": client_of,
    "issuer": lambda claims: claims["iss"],
    "audience": audience_of,
    "permissions": permissions_of,
    "roles": roles_of,
    "org_code": org_of,
    "is_m2m": is_m2m,
    "token_id": lambda claims: _text(claims.get("jti")),
    "issued_at": lambda claims: _seconds(claims.get("iat")),
    "expires_at": lambda claims: _seconds(claims["exp"]),
}


@dataclass_transform(frozen_default=True)
def _frozen(cls: type[T]) -> type[T]:
    """For type checkers alone: attributes of *cls* are read, and never assigned to."""
    return cls


@_frozen
class AccessToken:
    """A verified access token: frozen, and made by a guard (or by ``kinde_guard.testing``) alone.

    It keeps the payload, which takes a tenth of the room that its claims take as objects, and reads it when the first
    attribute is asked for.
    """

    __slots__ = (
        "_made_of",
        "audience",
        "client_id",
        "expires_at",
        "is_m2m",
        "issued_at",
        "issuer",
        "org_code",
        "permissions",
        "roles",
        "scopes",
        "subject",
        "token_id",
    )

    _made_of: tuple[bytes, bytes, bool]
    """The payload, the token's SHA-256, and whether permissions count as scopes. One slot: a token is made of them for
    every token that is verified."""
    subject: str
    """``sub`` of a user, the client id of a machine-to-machine app. Unique per issuer only."""
    client_id: str | None
    """The client id (``azp``) of the app that the token was issued to."""
    issuer: str
    audience: tuple[str, ...]
    scopes: frozenset[str]
    permissions: frozenset[str]
    roles: frozenset[str]
    """Keys of the caller's roles."""
    org_code: str | None
    """The organization's code. Unique per issuer only."""
    is_m2m: bool
    """Whether an app calls on its own behalf (client credentials), not for a user."""
    token_id: str | None
    issued_at: float | None
    """Seconds since the epoch."""
    expires_at: float
    """Seconds since the epoch."""

    def __init__(self) -> None:
        raise ConfigurationError(
            "an AccessToken is made by a guard: use guard.verify(…), or kinde_guard.testing in your tests"
        )

    @property
    def _payload(self) -> bytes:
        return self._made_of[0]

    @property
    def fingerprint(self) -> str:
        """The token's name in logs and events: 12 hex digits, from which the token cannot be found out."""
        return fingerprint(self._made_of[1])

    @property
    def permissions_as_scopes(self) -> bool:
        """Whether ``scopes`` holds the permissions too, by the setting of the guard that verified the token."""
        return self._made_of[2]

    @property
    def claims(self) -> Json:
        """All claims as a plain dict, made anew at each access: yours to change."""
        return json.loads(self._payload.decode())  # type: ignore[no-any-return]

    @property
    def feature_flags(self) -> Json:
        """Keys and values of the feature flags, as a plain dict, made anew at each access."""
        return flags_of(self.claims)

    def flag(self, key: str, default: Any = None) -> Any:
        """The value of feature flag *key*, or *default* where the token has none."""
        return self.feature_flags.get(key, default)

    def require(self, requirement: Requirement) -> None:
        """Raises :class:`~kinde_guard.InsufficientScope` or :class:`~kinde_guard.Forbidden` if it is not met."""
        refusal = requirement.refusal(self)
        if refusal is not None:
            raise refusal

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError("an AccessToken cannot be changed")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError("an AccessToken cannot be changed")

    def __copy__(self) -> AccessToken:
        return self

    def __deepcopy__(self, memo: object) -> AccessToken:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError("an AccessToken cannot be pickled: what was verified here may have expired where it is read")

    def __repr__(self) -> str:
        return f"<AccessToken of {quoted(self.client_id)} from {self.issuer}, {self.fingerprint}>"

    @classmethod
    def __get_pydantic_core_schema__(cls, source: object, handler: object) -> NoReturn:
        """Refuse pydantic: FastAPI would fill a plain ``token: AccessToken`` from the caller's JSON body."""
        raise ConfigurationError(
            "an AccessToken is never read from a request body nor sent as a response: "
            "write `token: Token` (from kinde_guard.fastapi import Token), and return the fields you mean to publish"
        )


def token_of(payload: bytes, digest: bytes, permissions_as_scopes: bool, claims: Json | None = None) -> AccessToken:
    """For guards and ``kinde_guard.testing``: the *claims* in *payload* (JSON) have passed every rule, *digest* is
    the token's SHA-256."""
    global _latest
    token = _new(AccessToken)
    _set_made_of(token, (payload, digest, permissions_as_scopes))
    _latest = token, claims
    return token


_latest: tuple[AccessToken | None, Json | None] = None, None
"""The token made last and its claims, which it is most likely asked for next; of no other token are they kept."""


def _read(token: AccessToken, name: str) -> Any:
    if name != "scopes" and name not in _READERS:
        raise AttributeError(f"AccessToken has no attribute {name!r}")
    latest, claims = _latest
    if latest is not token or claims is None:
        claims = token.claims
    for each, read in _READERS.items():
        _set(token, each, read(claims))
    _set(token, "scopes", scopes_of(claims, token.permissions_as_scopes))
    return object.__getattribute__(token, name)


# Hung on from outside: in the class, type checkers take it for a promise that whatever name is written exists.
AccessToken.__getattr__ = _read  # type: ignore[attr-defined]
_set, _new = object.__setattr__, object.__new__
# The slot's own setter: the quickest way around AccessToken.__setattr__, taken for every token that is verified.
_set_made_of = AccessToken.__dict__["_made_of"].__set__
