"""A local Kinde on loopback, its tokens (good ones and ones to be refused), and the bare signature check of each."""

from __future__ import annotations

import base64
import contextlib
import http.server
import json
import secrets
import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256

from kinde_guard import Guard
from kinde_guard.hostile import Hostile, corpus
from kinde_guard.issuer import ABSENT, LocalIssuer, Request, SigningKey

from .measure import Run

SCOPE = "read:users"
USER_TOKEN = 1_400  # characters
KINDS = ("M2M", "user")
_PADDING, _DIGEST = PKCS1v15(), SHA256()
_BAD = (
    "alg_none",
    "bad_signature",
    "empty_audience",
    "expired",
    "hmac_with_public_key",
    "not_yet_valid",
    "tampered",
    "unknown_crit",
    "unknown_key",
    "wrong_audience",
    "wrong_issuer",
)


class Site:
    """An issuer whose keys are at :attr:`jwks_url`, until the ``with`` block ends."""

    def __init__(self) -> None:
        self.issuer = LocalIssuer()
        self.audience = self.issuer.audience
        self._public = self.issuer.key.private.public_key()
        self.closing = contextlib.ExitStack()
        self._minted: dict[str, list[bytes]] = {kind: [] for kind in KINDS}

    def __enter__(self) -> Site:
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _handler(self.issuer))
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        for close in (thread.join, server.server_close, server.shutdown):  # in reverse
            self.closing.callback(close)
        self.base = f"http://127.0.0.1:{server.server_address[1]}"
        self.jwks_url = f"{self.base}/.well-known/jwks"
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.close()

    def guard(self, **settings: Any) -> Guard:
        """A guard of this issuer with its keys loaded."""
        guard = Guard(self.issuer.url, audience=self.audience, jwks_url=self.jwks_url, **settings)
        guard.warm()
        return guard

    def tokens(self, kind: str, count: int) -> list[bytes]:
        """*count* distinct good tokens; minted once, since each takes half a millisecond."""
        minted, mint = self._minted[kind], {"M2M": self.m2m, "user": self.user}[kind]
        while len(minted) < count:
            minted.append(mint())
        return minted[:count]

    def m2m(self) -> bytes:
        """A new token of a machine-to-machine app (Kinde's token-structure-and-claims-for-m2m-applications)."""
        return self.issuer.m2m_token(azp=secrets.token_hex(16)).encode()

    def user(self) -> bytes:
        """A new token of a user, customised to USER_TOKEN characters."""
        short = USER_TOKEN - len(self.issuer.token(user_claims(self.issuer)))
        return self.issuer.token(user_claims(self.issuer, short * 3 // 4)).encode()

    def bad(self) -> Mapping[str, str]:
        """Tokens that whoever verifies for this audience must refuse, by what is wrong with them."""
        never_expires = self.issuer.token(self.issuer.m2m_claims(exp=ABSENT))
        return {"no_exp": never_expires, **{name: self.issuer.preset(name) for name in _BAD}}

    def hostile(self) -> list[str]:
        """The tokens of :mod:`kinde_guard.hostile` that are no good as a JWT of anybody's."""
        cases = corpus(self.issuer, self.audience, None, slack=3_600)  # not valid yet, nor when their turn has come
        return [case.authorization[0].removeprefix("Bearer ") for case in cases if _is_anybodys(case)]

    def bare(self, tokens: Sequence[bytes]) -> Run:
        """The limit: ``cryptography``'s check of the signature and nothing else, every object made beforehand."""
        verify, padding, digest = self._public.verify, _PADDING, _DIGEST
        parts = [signed_parts(token) for token in tokens]

        def run(first: int, count: int) -> float:
            batch = [parts[number % len(parts)] for number in range(first, first + count)]
            began = time.process_time_ns()
            for signature, signed in batch:
                verify(signature, signed, padding, digest)
            return (time.process_time_ns() - began) / count / 1e9

        return run

    def verify_without_rules(self, token: str) -> object:
        """The claims of *token*, if its signature holds under the one key; nothing else is looked at."""
        signature, signed = signed_parts(token.encode())
        self._public.verify(signature, signed, _PADDING, _DIGEST)
        return json.loads(base64.urlsafe_b64decode(signed.rpartition(b".")[2] + b"=="))


def _is_anybodys(case: Hostile) -> bool:
    """Whether it is a token, and refused neither for what Kinde's claims say nor for its key's name: the peers are not
    told of the former, and some were given the one key without its name."""
    if case.error != "invalid_token" or len(case.authorization) != 1 or case.method:
        return False
    return case.reason != "wrong_token_type" and "Kinde" not in case.why and "kid" not in case.name


def user_claims(issuer: LocalIssuer, room: int = 0) -> dict[str, Any]:
    """Claims of a user's token with some of the customisations that Kinde offers; *room* is filled up."""
    return issuer.user_claims(
        permissions=["create:competitions", "read:templates", "update:invoices"],
        roles=["admin"],
        feature_flags={"is_onboarded": True, "theme": "pink", "competitions_limit": 5},
        email="ada@example.com",
        org_name="Acme Inc",
        user_properties={"kp_usr_city": {"v": "x" * room}},
        azp=secrets.token_hex(16),
    )


def signed_parts(token: bytes) -> tuple[bytes, bytes]:
    """The signature and what it signs."""
    signed, _, signature = token.rpartition(b".")
    return base64.urlsafe_b64decode(signature + b"=="), signed


def _handler(issuer: LocalIssuer) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer = issuer.respond(Request("GET", self.path, {}, b"", ""))
            self.send_response(answer.status)
            for name, value in {**dict(answer.headers), "content-length": str(len(answer.body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer.body)

        def log_message(self, *_: object) -> None:
            pass

    return Handler


def quick_issuer() -> LocalIssuer:
    """An issuer that signs with ES256, twenty times as fast as RS256: to fill large caches."""
    return LocalIssuer(key=SigningKey.make("ES256"))


def quick_tokens(issuer: LocalIssuer, count: int, length: int = 847) -> list[bytes]:
    """*count* M2M tokens of *issuer*, made as long as those that are signed with RS256."""
    claims = issuer.m2m_claims()
    short = len(issuer.token(claims))
    claims["pad"] = "x" * max(0, (length - short) * 3 // 4 - len(',"pad":""'))
    return [issuer.token({**claims, "jti": str(uuid.uuid4())}).encode() for _ in range(count)]
