"""Readers of claims, pure: claims in, plain values out. Kinde's claim names live here and nowhere else.

Where Kinde's own pages disagree about a claim, the reading taken here is the one that its real tokens bear out; a
claim of an unexpected type grants nothing and raises nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

Json = dict[str, Any]
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


def token_id_of(claims: Json) -> str | None:
    """``jti`` (RFC 7519 §4.1.7)."""
    return _text(claims.get("jti"))


def issued_at_of(claims: Json) -> float | None:
    """``iat`` (RFC 7519 §4.1.6), in seconds since the epoch; ``None`` if the token does not say."""
    iat = claims.get("iat")
    return None if iat is None else float(iat)


def size_of(payload: bytes, claims: Json, permissions_as_scopes: bool) -> int:
    """About how many bytes a token takes in a cache: *payload*, all that is read out of it, and the objects around it.

    A small one has no room for so many texts that each list would have to be looked at, but for the words of ``scope``.
    """
    length, scope = len(payload), claims.get("scope")
    if type(scope) is str:
        words = scope.count(" ")
        if words <= 20 and length <= 600:
            return 2_000 + 2 * length + 90 * words
    elif length <= 500 and not permissions_as_scopes:
        return 900 + 7 * length
    elif length <= 1_200:
        # Where one text follows another: at C speed, and a few too many. None in JSON that is spaced out.
        texts = payload.count(b'","')
        if 0 < texts <= 30:
            return 1_500 + 2 * length + (160 if permissions_as_scopes else 100) * texts
    return 1_500 + 2 * length + _room_of_texts(claims, permissions_as_scopes)


def quoted(text: str | None) -> str:
    """What a token says, in a log or a ``repr``: on one line, and no longer than ids are."""
    return repr(text if text is None or len(text) <= LONGEST_QUOTED else f"{text[:LONGEST_QUOTED]}…")


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
    words = text.split(" ")
    return _set_of([word for word in words if word] if "" in words else words)


def _set_of(texts: Sequence[str]) -> frozenset[str]:
    """A set that is made of a set has half as many places: it knows how many there will be."""
    return frozenset(texts if len(texts) < 5 else set(texts))


def _room_of_texts(claims: Json, permissions_as_scopes: bool) -> int:
    """The room of the texts that a token's attributes hold, without their characters, and of the sets that they are
    in."""
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
