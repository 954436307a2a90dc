"""What the tests stand on: keys and tokens made by hand, an issuer without a socket, clocks that are set.

Tokens are put together here from JSON, base64 and a signature alone, and share no code with the package: a second
opinion on what Kinde sends.
"""

from __future__ import annotations

import base64
import functools
import importlib.metadata
import json
import os
import re
import sys
import threading
import warnings
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import httpx
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256

from kinde_guard import Guard, InvalidToken, KeysUnavailable
from kinde_guard.net.clocks import Clocks

Json = dict[str, Any]

NOW = 1_751_200_000.0
DOMAIN = "acme.kinde.com"
ISSUER = "https://acme.kinde.com"
AUDIENCE = "https://api.acme.com"
CLIENT = "dee7f3c57b3c47e8b96edde2c7ecab7d"
KID = "6d:12:9c:48:bd:f2:3f:3e:dc:dd:f8:3e:42:f6:29:a1"


class _Absent:
    def __repr__(self) -> str:
        return "ABSENT"


ABSENT: Final = _Absent()
"""As a change: the member is left out."""

HEADER: Json = {"alg": "RS256", "kid": KID, "typ": "JWT"}
USER: Json = {
    "aud": [AUDIENCE],
    "azp": CLIENT,
    "exp": int(NOW) + 86_000,
    "feature_flags": {"analytics": {"t": "b", "v": True}, "theme": {"t": "s", "v": "pink"}},
    "iat": int(NOW) - 400,
    "iss": ISSUER,
    "jti": "fbb6bc62-0064-4256-8ea4-8fb9a645b123",
    "org_code": "org_1486622b2cd",
    "permissions": ["create:competitions", "view:stats"],
    "scp": ["openid", "profile", "email", "offline"],
    "sub": "kp_147143d0fa4a46a8ad620c2ca1a6c290",
}
M2M: Json = {
    "aud": [AUDIENCE],
    "azp": CLIENT,
    "exp": int(NOW) + 86_000,
    "gty": ["client_credentials"],
    "iat": int(NOW) - 400,
    "iss": ISSUER,
    "jti": "f95ed3e0-cc4d-40c4-b95a-9971729b0ae5",
    "scope": "read:users write:flags",
    "scp": ["read:users", "write:flags"],
    "v": "2",
}


def older(package: str, version: str) -> bool:
    """Whether *package* is older than *version*: it is one of those that our lower bounds let in, and cannot yet do
    what a test looks at."""
    found, wanted = (re.findall(r"\d+", text)[:3] for text in (importlib.metadata.version(package), version))
    return [*map(int, found)] < [*map(int, wanted)]


@functools.cache
def rsa_key(name: str = "the issuer's", bits: int = 2048) -> rsa.RSAPrivateKey:
    """One key for each *name*, made once a session."""
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


def b64(data: bytes) -> str:
    """base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def b64_int(number: int) -> str:
    """RFC 7518 §2, Base64urlUInt."""
    return b64(number.to_bytes((number.bit_length() + 7) // 8 or 1, "big"))


def changed(base: Mapping[str, Any], changes: Mapping[str, Any] | None) -> Json:
    """*base* with *changes*, without the members that are ABSENT."""
    return {name: value for name, value in {**base, **(changes or {})}.items() if value is not ABSENT}


def sign(header: str | bytes, payload: str | bytes, key: rsa.RSAPrivateKey | None = None) -> str:
    """A compact JWS of these very bytes, signed with RS256 whatever they say."""
    header, payload = (part.encode() if isinstance(part, str) else part for part in (header, payload))
    signing_input = f"{b64(header)}.{b64(payload)}"
    signature = (key or rsa_key()).sign(signing_input.encode(), PKCS1v15(), SHA256())
    return f"{signing_input}.{b64(signature)}"


def mint(
    claims: Mapping[str, Any] | None = None,
    header: Mapping[str, Any] | None = None,
    *,
    base: Mapping[str, Any] = USER,
    key: rsa.RSAPrivateKey | None = None,
) -> str:
    """A good token, but for these changes to its claims and its header."""
    return sign(json.dumps(changed(HEADER, header)), json.dumps(changed(base, claims)), key)


def jwk(changes: Mapping[str, Any] | None = None, *, key: rsa.RSAPrivateKey | None = None) -> Json:
    """The public half of *key* as Kinde publishes it, but for these changes."""
    numbers = (key or rsa_key()).public_key().public_numbers()
    base = {"kty": "RSA", "kid": KID, "use": "sig", "alg": "RS256", "n": b64_int(numbers.n), "e": b64_int(numbers.e)}
    return changed(base, changes)


def key_set(*jwks: object) -> bytes:
    """A JWK Set."""
    return json.dumps({"keys": jwks}).encode()


class Issuer:
    """Publishes these keys (or, by host, those of *others*) over a transport without a socket, and counts fetches."""

    def __init__(self, *jwks: object, others: Mapping[str, bytes] | None = None) -> None:
        self.body = key_set(*(jwks or (jwk(),)))
        self.others = others or {}
        self.status = 200
        self.fetches: list[str] = []
        self.transport = httpx.MockTransport(self._answer)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.fetches.append(str(request.url))
        return httpx.Response(self.status, content=self.others.get(request.url.host, self.body))


class Time:
    """Both clocks: they stand still until they are moved."""

    def __init__(self) -> None:
        self.wall = NOW
        self.monotonic = 1_000.0
        self.clocks = Clocks(wall=lambda: self.wall, monotonic=lambda: self.monotonic)

    def passes(self, seconds: float) -> None:
        self.wall += seconds
        self.monotonic += seconds


def guard_of(issuer: Issuer, time: Time | None = None, domain: Any = DOMAIN, **settings: Any) -> Guard:
    """A guard of *issuer*'s, for AUDIENCE unless *settings* say otherwise; the environment is not read."""
    settings = {"audience": AUDIENCE, "variables": (), **settings}
    return Guard(domain, transport=issuer.transport, clocks=(time or Time()).clocks, **settings)


def reason_of(guard: Guard, raw: str) -> str:
    """Why *guard* refuses *raw*; ``accepted`` if it does not. Anything else that is raised is the test's to report."""
    try:
        guard.verify(raw)
    except InvalidToken as refusal:
        return refusal.reason
    return "accepted"


def verdict(guard: Guard, raw: str) -> str:
    try:
        guard.verify(raw)
    except InvalidToken as refusal:
        return refusal.reason
    except KeysUnavailable as refusal:
        return f"again in {refusal.retry_after} s"
    return "accepted"


async def averdict(guard: Guard, raw: str) -> str:
    try:
        await guard.averify(raw)
    except InvalidToken as refusal:
        return refusal.reason
    except KeysUnavailable as refusal:
        return f"again in {refusal.retry_after} s"
    return "accepted"


class Outcome(NamedTuple):
    """What a command came to."""

    status: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        found = json.loads(self.out)
        assert isinstance(found, dict)
        return found


def fork() -> int:
    """Without the tracer that measures coverage: it has a lock, which another thread may hold in this moment, and the
    child would wait for it for ever."""
    tracer = sys.gettrace()
    sys.settrace(None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # from 3.12 on: "multi-threaded", which is the point
        child = os.fork()
    if child == 0:
        threading.settrace(None)
    else:
        sys.settrace(tracer)
    return child
