"""The value that stands for a verified token. It keeps the payload, and reads an attribute when it is asked for."""

from __future__ import annotations

import json
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn, Protocol, TypeVar, dataclass_transform

from ..errors import AuthError, ConfigurationError, Unavailable
from .claims import (
    Json,
    audience_of,
    client_of,
    flags_of,
    is_m2m,
    issued_at_of,
    org_of,
    permissions_of,
    quoted,
    roles_of,
    scopes_of,
    subject_of,
    token_id_of,
)
from .digests import fingerprint

if TYPE_CHECKING:
    from .caller import Caller

T = TypeVar("T")

_READERS: dict[str, Callable[[Json, bool], object]] = {
    "subject": lambda claims, _: subject_of(claims),
    "client_id": lambda claims, _: client_of(claims),
    "issuer": lambda claims, _: claims["iss"],
    "audience": lambda claims, _: audience_of(claims),
    "scopes": scopes_of,
    "permissions": lambda claims, _: permissions_of(claims),
    "roles": lambda claims, _: roles_of(claims),
    "org_code": lambda claims, _: org_of(claims),
    "is_m2m": lambda claims, _: is_m2m(claims),
    "token_id": lambda claims, _: token_id_of(claims),
    "issued_at": lambda claims, _: issued_at_of(claims),
    "expires_at": lambda claims, _: float(claims["exp"]),
}


class Condition(Protocol):
    """What a token may have to meet: any :class:`kinde_guard.Requirement`."""

    def refusal(self, token: AccessToken) -> AuthError | Unavailable | None:
        """Why *token* does not do, or ``None`` if it does."""


@dataclass_transform(frozen_default=True)
def _frozen(cls: type[T]) -> type[T]:
    """What type checkers alone are told: attributes of *cls* are read, and never assigned to."""
    return cls


@_frozen
class AccessToken:
    """A verified access token. A guard makes it (or ``kinde_guard.testing``), and nobody can change it::

        token = guard.verify(raw)
        token.subject, token.client_id, token.org_code      # who calls, by which app, in which organization
        "read:users" in token.scopes
        token.flag("theme", "light")                         # a feature flag's value
        token.claims["x-hasura-role"]                        # all claims, as a plain dict
        token.require(permission("users:read"))              # or Forbidden: 403

    It keeps the payload, which takes a tenth of the room that the claims take as objects. An attribute is read when you
    ask for it. ``AccessToken()`` raises :class:`~kinde_guard.ConfigurationError`.
    """

    __slots__ = (
        "__weakref__",
        "_claims",
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
    _claims: Json | None
    """The claims, while this is the token made last: as objects they take ten times the room of the payload."""
    subject: str
    """``sub`` of a user, the client id of a machine-to-machine app. Unique per issuer only."""
    client_id: str | None
    """The client id (``azp``) of the app that the token was issued to."""
    issuer: str
    """``iss``: one of the guard's issuers, such as ``https://acme.kinde.com``."""
    audience: tuple[str, ...]
    """``aud``: the APIs that the token is for; empty only where the guard has ``audience=None``."""
    scopes: frozenset[str]
    """The scopes that were *granted*: ``scope`` if it is text, else ``scp``; and the permissions too, where the guard
    has ``permissions_as_scopes=True``."""
    permissions: frozenset[str]
    """Keys of what the caller may do; empty if the token names none."""
    roles: frozenset[str]
    """Keys of the caller's roles."""
    org_code: str | None
    """The organization's code. Unique per issuer only."""
    is_m2m: bool
    """Whether an app calls on its own behalf (client credentials), not for a user."""
    token_id: str | None
    """``jti``, unique for each token."""
    issued_at: float | None
    """Seconds since the epoch; ``None`` if the token does not say."""
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
    def caller(self) -> Caller:
        """Who calls, as a value that outlives the token: for jobs, which must not be given the token itself."""
        from .caller import Caller  # only here: most requests have no use for one

        return Caller(self.subject, self.client_id, self.org_code, self.issuer, self.is_m2m)

    @property
    def claims(self) -> Json:
        """All claims as a plain dict, made anew at each access: yours to change."""
        return json.loads(self._payload.decode())  # type: ignore[no-any-return]

    @property
    def feature_flags(self) -> Json:
        """Keys and values of the feature flags, as a plain dict, made anew at each access."""
        return flags_of(self.claims)

    def flag(self, key: str, default: Any = None) -> Any:
        """The value of the feature flag *key*, or *default* if the token does not have the flag: ``token.flag("theme",
        "light")``."""
        return self.feature_flags.get(key, default)

    def require(self, requirement: Condition) -> None:
        """Refuse the caller unless the token meets *requirement*: ``token.require(permission("users:read"))``.

        Raises :class:`~kinde_guard.InsufficientScope` or :class:`~kinde_guard.Forbidden`, which a framework answers
        with 403.
        """
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
        raise TypeError(
            "an AccessToken cannot be pickled: what was verified here may have expired where it is read; give jobs "
            "token.caller"
        )

    def __repr__(self) -> str:
        return f"<AccessToken of {quoted(self.client_id)} from {self.issuer}, {self.fingerprint}>"

    @classmethod
    def __get_pydantic_core_schema__(cls, source: object, handler: object) -> NoReturn:
        """Refuse pydantic: FastAPI would fill a plain ``token: AccessToken`` from the caller's JSON body."""
        raise ConfigurationError(
            "an AccessToken is never read from a request body nor sent as a response: "
            "write `token: Token` (from kinde_guard.fastapi import Token), and return the fields you mean to publish"
        )


def digest_of(token: AccessToken) -> bytes:
    """The SHA-256 of the token's text, which is no secret, and whole unlike its fingerprint."""
    return token._made_of[1]


def token_of(payload: bytes, digest: bytes, permissions_as_scopes: bool, claims: Json | None = None) -> AccessToken:
    """The token of guards and of ``kinde_guard.testing``: the *claims* in *payload* (JSON) have passed every rule,
    *digest* is the token's SHA-256."""
    global _latest
    token = _new(AccessToken)
    _set_made_of(token, (payload, digest, permissions_as_scopes))
    _set_claims(token, claims)
    before, _latest = _latest(), _ref(token)
    if before is not None:
        _set_claims(before, None)
    return token


def _read(token: AccessToken, name: str) -> Any:
    """What ``__getattr__`` does: of claims that are at hand the one attribute; where they have to be parsed, which is
    dear, all of them at once."""
    if name not in _READERS:
        _no_attribute(name)
    claims, permissions_as_scopes = token._claims, token._made_of[2]
    if claims is not None:
        value = _READERS[name](claims, permissions_as_scopes)
        _set(token, name, value)
        return value
    claims = token.claims
    for each, read in _READERS.items():
        _set(token, each, read(claims, permissions_as_scopes))
    return object.__getattribute__(token, name)


def _no_attribute(name: str) -> NoReturn:
    """For people who come from a library whose tokens have other names."""
    from .spellings import attribute_for  # only here: who writes it as it is spelt here need not load it

    raise AttributeError(f"AccessToken has no attribute {name!r}{attribute_for(name)}")


def _no_dict(token: AccessToken, name: object) -> NoReturn:
    """What ``__getitem__`` does, for people who come from a library whose tokens are dicts of claims."""
    from .spellings import item_for

    raise TypeError(f"an AccessToken is not a dict: {item_for(name, frozenset(_READERS))}")


def _holds_nothing(token: AccessToken, name: object) -> NoReturn:
    """What ``__contains__`` does."""
    raise TypeError(f"an AccessToken is not a dict: write {name!r} in token.claims, or for a scope in token.scopes")


def _no_sequence(token: AccessToken) -> NoReturn:
    """What ``__iter__`` does, for ``dict(token)`` and ``list(token)``."""
    raise TypeError("an AccessToken is not a dict: write token.claims, a plain dict")


# Hung on from outside: in the class, type checkers take it for a promise that whatever name is written exists.
for _name, _value in (
    ("__getattr__", _read),
    ("__getitem__", _no_dict),
    ("__contains__", _holds_nothing),
    ("__iter__", _no_sequence),  # no __len__: it would be called by each `if token`
):
    setattr(AccessToken, _name, _value)
_set, _new, _ref = object.__setattr__, object.__new__, weakref.ref
# The slots' own setters: the quickest way around AccessToken.__setattr__, taken for every token that is verified.
_set_made_of = AccessToken.__dict__["_made_of"].__set__
_set_claims = AccessToken.__dict__["_claims"].__set__
_latest: Callable[[], AccessToken | None] = lambda: None  # noqa: E731
"""The token made last, while it lives: it alone holds its claims, as it is the one most likely asked for them."""
