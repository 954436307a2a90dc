"""What is fuzzed, and what must hold whatever comes in: a verdict, and never another exception.

A target takes one input. It calls the package through :meth:`Watch.ask`, which lets the expected refusals pass and
notes the CPU time, and it asserts what must be true of whatever was accepted.
"""

from __future__ import annotations

import base64
import json
import math
import time
from array import array
from collections.abc import Callable, Iterator
from typing import Any

from helpers import AUDIENCE, HEADER, ISSUER, M2M, NOW, USER, Issuer, b64, guard_of, jwk, key_set, mint, sign

from kinde_guard import ConfigurationError, InvalidRequest, InvalidToken, KeysUnavailable, MissingToken
from kinde_guard.keys.jwk import UnusableKeySet, read_jwk_set
from kinde_guard.settings import ASYMMETRIC, MAX_LEEWAY, Settings
from kinde_guard.tokens.jws import MAX_TOKEN, decode, read_object, split, to_bytes
from kinde_guard.web.bearer import token_from

Target = Callable[[bytes], None]
Mutate = Callable[[bytes, int], bytes]
GOOD = tuple(mint(base=base) for base in (USER, M2M))
ODD: tuple[Any, ...] = (
    None,
    True,
    0,
    -1,
    1.5,
    10**400,
    math.nan,
    "",
    " ",
    "\ud800",
    "jwt",
    "none",
    "RS256",
    ISSUER,
    AUDIENCE,
    [],
    {},
)
TEXTS = ("acme.kinde.com", ISSUER, "http://127.0.0.1:8080", "http://[::1]", "https://a@b.c", "RS256", AUDIENCE, "\n")


class Watch:
    """CPU times, in nanoseconds, of what was asked."""

    def __init__(self) -> None:
        self.times = array("Q")

    def ask(self, refusals: tuple[type[Exception], ...], call: Callable[..., Any], *args: Any, **named: Any) -> Any:
        """What *call* returns; None if it raises one of *refusals*. Everything else that it raises is a finding."""
        start = time.thread_time_ns()
        try:
            return call(*args, **named)
        except refusals:
            return None
        finally:
            self.times.append(time.thread_time_ns() - start)


def bearer(watch: Watch) -> Target:
    """One token, out of one header that ends in it."""

    def target(data: bytes) -> None:
        values = [part.decode("latin-1") for part in data.split(b"\n\n")] if data else []
        token = watch.ask((MissingToken, InvalidRequest), token_from, values)
        if token is not None:
            assert len(values) == 1
            assert values[0].strip(" \t").endswith(" " + token)
            assert token.isascii()
            assert token.isprintable()
            assert " " not in token

    return target


def jws(watch: Watch) -> Target:
    """Every byte string has one spelling, and what was read can be written out again."""

    def whole(text: str) -> None:
        for segment in split(to_bytes(text))[:3]:
            assert b64(decode(segment)).encode() == segment

    def document(data: bytes) -> None:
        value = read_object(data)
        assert value == json.loads(data)
        assert json.dumps(value, ensure_ascii=False, allow_nan=False).encode()

    def target(data: bytes) -> None:
        watch.ask((InvalidToken,), whole, data.decode("utf-8", "surrogateescape"))
        watch.ask((InvalidToken,), decode, data)
        watch.ask((InvalidToken,), document, data)

    return target


def jwks(watch: Watch) -> Target:
    """Keys that are taken are public, strong, and for algorithms that were allowed."""

    def target(data: bytes) -> None:
        algorithms = ASYMMETRIC if data[-1:] == b"\n" else ("RS256",)
        found = watch.ask((UnusableKeySet,), read_jwk_set, data, algorithms, {})
        for (kid, kty), key in found.keys.items() if found is not None else ():
            assert (kid, kty) == (key.kid, key.kty)
            assert key.algorithms <= set(algorithms)
            assert not hasattr(key.public, "private_numbers")
            assert kty != "RSA" or 2048 <= key.public.key_size <= 8192

    return target


def settings(watch: Watch) -> Target:
    """What is accepted checks something: https, an audience or clients, numbers within their bounds."""

    def target(data: bytes) -> None:
        given = _keywords(data)
        loaded = watch.ask((ConfigurationError,), Settings.load, **given)
        if loaded is not None:
            assert loaded.issuers
            assert all(url.startswith(("https://", "http://")) for url in (*loaded.issuers, *loaded.issuers.values()))
            assert all("@" not in url for url in (*loaded.issuers, *loaded.issuers.values()))
            assert loaded.audiences or loaded.clients
            assert all(text.strip() for text in loaded.audiences | loaded.clients)
            assert set(loaded.algorithms) <= set(ASYMMETRIC)
            assert 0 <= loaded.leeway <= MAX_LEEWAY

    return target


def verify(watch: Watch) -> Target:
    """Of all texts that are not signed by the issuer, none is accepted."""
    guard = guard_of(Issuer())
    guard.warm()

    def target(data: bytes) -> None:
        raw = data.decode("utf-8", "replace")
        if watch.ask((InvalidToken, KeysUnavailable), guard.verify, raw) is not None:
            assert raw in GOOD

    return target


def signed(watch: Watch) -> Target:
    """Of all that the issuer could have signed, what is accepted is for us and in time; one bit changed, none is."""
    guard = guard_of(Issuer())
    guard.warm()

    def target(data: bytes) -> None:
        header, _, payload = data.partition(b"\n")
        raw = sign(header, payload)
        if watch.ask((InvalidToken, KeysUnavailable), guard.verify, raw) is not None:
            claims = json.loads(payload)
            assert json.loads(header)["alg"] == "RS256"
            assert claims["iss"] == ISSUER
            assert AUDIENCE in claims["aud"]
            assert claims["exp"] > NOW - MAX_LEEWAY
            _flip(watch, guard.verify, raw, int.from_bytes(data[-4:]) ^ len(data))

    return target


def changed(watch: Watch) -> Target:
    """A token with one bit changed, while the guard remembers the token itself, is never accepted."""
    guard = guard_of(Issuer())
    for good in GOOD:
        guard.verify(good)

    def target(data: bytes) -> None:
        _flip(watch, guard.verify, GOOD[len(data) % len(GOOD)], int.from_bytes(data[:4]))

    return target


def _flip(watch: Watch, verify: Callable[[str], object], raw: str, number: int) -> None:
    place, bit = divmod(number % (len(raw) * 8), 8)
    other = chr(ord(raw[place]) ^ 1 << bit)
    forged = raw[:place] + other + raw[place + 1 :]
    assert watch.ask((InvalidToken,), verify, forged) is None, f"accepted with bit {bit} of character {place} changed"


def _keywords(data: bytes) -> dict[str, Any]:
    """Arguments of Settings.load, each left out, plausible, odd, or text that the fuzzer wrote."""
    numbers = iter(data)
    names = ("domain", "audience", "clients", "algorithms", "leeway", "jwks_url", "retry_after", "usable_for")
    given = {name: _argument(numbers, data) for name in (*names, "cache_size", "permissions_as_scopes")}
    named = {name: value for name, value in given.items() if value is not ...}
    if next(numbers, 0) & 1:
        variables = ("KINDE_DOMAIN", "KINDE_ISSUER_URL", "KINDE_HOST", "KINDE_AUDIENCE")
        source = {name: _argument(numbers, data) for name in variables}
        named["variables"] = [{name: value for name, value in source.items() if value is not ...}]
    return named


def _argument(numbers: Iterator[int], data: bytes) -> Any:
    kind, detail = next(numbers, 0) % 6, next(numbers, 0)
    text = data[detail % (len(data) + 1) :].decode("utf-8", "replace")
    choices: tuple[Any, ...] = (
        ...,
        ODD[detail % len(ODD)],
        TEXTS[detail % len(TEXTS)],
        text,
        [text, *TEXTS[:1]],
        detail,
    )
    return choices[kind]


TARGETS: dict[str, Callable[[Watch], Target]] = {
    "bearer": bearer,
    "jws": jws,
    "jwks": jwks,
    "settings": settings,
    "verify": verify,
    "signed": signed,
    "changed": changed,
}


def seeds(name: str) -> list[bytes]:
    """What the fuzzer starts from."""
    header, user, m2m = (json.dumps(part).encode() for part in (HEADER, USER, M2M))
    tokens = [raw.encode() for raw in GOOD]
    return {
        "bearer": [b"Bearer " + tokens[1], b"bearer  a.b.c", b"Basic dTpw", b"Bearer a\n\nBearer b"],
        "jws": [*tokens, header, user],
        "jwks": [key_set(jwk()), key_set(jwk(), jwk({"kid": "2", "alg": "PS256"})) + b"\n", key_set(*_CURVES) + b"\n"],
        "settings": [bytes([2, 0, 2, 6]), bytes([2, 1, 0, 0, 2, 6]), bytes([4, 9, 2, 6]) + b"acme.kinde.com"],
        "verify": tokens,
        "signed": [header + b"\n" + user, header + b"\n" + m2m],
        "changed": [b"\0\0\0\0", b"\0\0\1\0\0"],
    }[name]


_CURVES = (
    {"kty": "EC", "kid": "e", "crv": "P-256", "x": b64(bytes(32)), "y": b64(bytes(32))},
    {"kty": "OKP", "kid": "o", "crv": "Ed25519", "x": b64(bytes(31) + b"\1")},
)


def mutator(name: str, mutate: Mutate) -> Callable[[bytes, int, int], bytes]:
    """Changes inside the encoding: random bytes are no base64 and seldom JSON, and would go no deeper."""

    def custom(data: bytes, most: int, seed: int) -> bytes:
        if name in ("verify", "jws") and seed % 4:
            return _inside_token(data, most, seed, mutate)
        if name in ("signed", "jwks") and seed % 4:
            return _inside_json(data, most, seed, mutate)
        return mutate(data, most)

    return custom


def _inside_token(data: bytes, most: int, seed: int, mutate: Mutate) -> bytes:
    parts = data.split(b".")
    place = seed // 4 % len(parts)
    try:
        inside = base64.urlsafe_b64decode(parts[place] + b"==")
    except ValueError:
        return mutate(data, most)
    changed_part = mutate(inside, max(len(inside) + 64, 64)) if seed & 64 else _inside_json(inside, most, seed, mutate)
    parts[place] = b64(changed_part).encode()
    return b".".join(parts)[: min(most, MAX_TOKEN)]


def _inside_json(data: bytes, most: int, seed: int, mutate: Mutate) -> bytes:
    """One member of one JSON line (for a key set, of a key) replaced by something odd, or written by the fuzzer."""
    lines = data.split(b"\n")
    place = seed // 4 % len(lines)
    try:
        document = json.loads(lines[place])
        members = document["keys"][seed // 8 % len(document["keys"])] if "keys" in document else document
        name = list(members)[seed // 16 % len(members)]
        text = mutate(json.dumps(members[name]).encode(), 256).decode("utf-8", "replace")
        members[name] = text if seed & 1024 else ODD[seed // 2048 % len(ODD)]
        lines[place] = json.dumps(document).encode()
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, ZeroDivisionError, RecursionError):
        return mutate(data, most)
    return b"\n".join(lines)[:most]
