"""The bench on which tokens are forged: good ones of an issuer, and what it takes to make them wrong in one respect."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any

from ..issuer import ABSENT, LocalIssuer, SigningKey
from ..issuer.tokens import b64url
from .cases import Hostile, invalid

Json = Mapping[str, object]
Values = Iterable[object] | Mapping[str, object]
"""Values, with names of their own if they are a mapping; else a value's name is its JSON."""
Mint = Callable[[Any], str]

OIDC_SCOPES = ("openid", "profile", "email", "offline")


class Forge:
    """Tokens of *issuer* for *audience*, granted *scope*. All are variations of two, so that they share a ``jti``."""

    def __init__(
        self,
        issuer: LocalIssuer,
        audience: str,
        scope: str | None,
        *,
        leeway: float = 30,
        slack: float = 1,
        permissions_as_scopes: bool = False,
        claims: Json | None = None,
    ) -> None:
        """*leeway*: the verifier's, in seconds; *slack*: how far beyond it a token from the future is dated.
        *permissions_as_scopes*: the guard's. *claims*: what good tokens need besides, such as an ``org_code``."""
        self.issuer = issuer
        self.audience = audience
        self.scope = scope
        self.permissions_as_scopes = permissions_as_scopes
        self.now = int(issuer.clock())
        self.leeway = math.ceil(leeway)
        self.past = self.now - self.leeway  # as `exp`: just over, which excludes its own second
        self.future = self.now + self.leeway + math.ceil(slack)
        self.needed = dict(claims or {})
        granted = [] if scope is None else [scope]
        self.m2m = {**issuer.m2m_claims(audience=audience, scope=granted), **self.needed}
        self.user = {**issuer.user_claims(audience=audience, scp=[*OIDC_SCOPES, *granted]), **self.needed}
        self.kid = issuer.key.kid
        self.client = str(self.m2m["azp"])

    @cached_property
    def good(self) -> str:
        """A token that lets an app in."""
        return self.token()

    @cached_property
    def good_user(self) -> str:
        """A token that lets a user in."""
        return self.users()

    @property
    def parts(self) -> tuple[str, str, str]:
        """Header, payload and signature of the good token, encoded."""
        header, payload, signature = self.good.split(".")
        return header, payload, signature

    @property
    def header(self) -> bytes:
        """The good header's JSON."""
        return dumped({"alg": "RS256", "kid": self.kid, "typ": "JWT"})

    @cached_property
    def stranger(self) -> SigningKey:
        """Somebody else's key, under the issuer's kid."""
        return self.renamed(self.issuer.stranger)

    def renamed(self, key: SigningKey, alg: str | None = None) -> SigningKey:
        """*key* under the issuer's kid, and for another algorithm if given."""
        return SigningKey(self.kid, alg or key.alg, key.private)

    def token(self, claims: Json | bytes | None = None, header: Json | bytes | None = None) -> str:
        """An app's token with these changes, truly signed by the issuer. ``ABSENT`` leaves a member out."""
        payload = claims if isinstance(claims, bytes) else {**self.m2m, **(claims or {})}
        return self.issuer.token(payload, header=header)

    def users(self, claims: Json | None = None, header: Json | bytes | None = None) -> str:
        """A user's token with these changes, truly signed by the issuer."""
        return self.issuer.token({**self.user, **(claims or {})}, header=header)

    def forged(self, header: Json | bytes | None = None, *, key: SigningKey | None = None) -> str:
        """An app's token signed by a stranger under the issuer's kid, or by *key* under its own."""
        return self.issuer.token(self.m2m, header=header, key=key or self.stranger)

    def signed(self, header: str, payload: str, *, over: bytes | None = None) -> str:
        """A token of these very segments, truly signed by the issuer: over them, or over something else."""
        signature = self.issuer.key.sign(f"{header}.{payload}".encode("latin-1") if over is None else over)
        return f"{header}.{payload}.{encoded(signature)}"

    def with_text(self, text: str | bytes) -> str:
        """The good claims with *text* as their first member, byte for byte; truly signed."""
        return self.token(_inserted(text, dumped(self.m2m)))

    def with_header_text(self, text: str | bytes) -> str:
        """The good header with *text* as its first member, byte for byte; truly signed."""
        return self.token(header=_inserted(text, self.header))

    def claim(self, name: str) -> Mint:
        """Makes an app's token with another value of this claim."""
        return lambda value: self.token({name: value})

    def users_claim(self, name: str) -> Mint:
        """Makes a user's token with another value of this claim."""
        return lambda value: self.users({name: value})

    def member(self, name: str) -> Mint:
        """Makes an app's token with another value of this member of the header."""
        return lambda value: self.token(header={name: value})

    def each(self, label: str, values: Values, mint: Mint, reason: str, why: str) -> Iterator[Hostile]:
        """An invalid token for each of *values*."""
        for name, value in self.named(values):
            yield invalid(f"{label} {name}", mint(value), reason, why)

    def named(self, values: Values) -> Iterator[tuple[str, object]]:
        """*values* with their names, which are the same whatever the issuer, the audience and the hour."""
        if isinstance(values, Mapping):
            yield from values.items()
            return
        known = [self.issuer.url, self.audience, self.kid, str(self.now + 3_600), *([self.scope] if self.scope else [])]
        for value in values:
            name = "absent" if value is ABSENT else json.dumps(value)
            for text in known:
                name = name.replace(text, "it")
            yield name, value


def encoded(data: bytes) -> str:
    """base64url without padding (RFC 7515 §2)."""
    return b64url(data).decode()


def dumped(value: object) -> bytes:
    """Compact JSON in UTF-8."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def segment(members: Json) -> str:
    """A segment of a token."""
    return encoded(dumped(members))


def _inserted(text: str | bytes, good: bytes) -> bytes:
    return b"{" + (text.encode() if isinstance(text, str) else text) + b"," + good[1:]
