"""Ways for an issuer to be broken, by name, for the tests of whoever depends on one.

A fault takes the answer that would have been right and spoils it: what it says, or how it goes out
(:data:`~kinde_guard.issuer.messages.Delivery`). A new one is a function and a line in :data:`FAULTS`.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, NamedTuple

from ..errors import ConfigurationError
from . import odd_api_keys, odd_keys
from .endpoints import management
from .messages import Delivery, Request, Response, error_response, json_response
from .tenant import PLACE_NAMES, READ_API_KEYS, ActiveFault, Place, Tenant

OTHER_HOST = "other.kinde.test"
HTML = b"<!doctype html><title>Sign in</title><p>Please sign in to this network first."
_MIB = 1 << 20
_API_KEYS: tuple[Place, ...] = ("verify", "api_keys")
_MOVED = "moved=1"
_GZIP_HEADER = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"


class Option(NamedTuple):
    """An option of a fault is a number from *least* to *most*: a whole one if the *default* is."""

    default: float
    least: float
    most: float


class GoodAnswer(NamedTuple):
    """The answer that would have been right, which a fault spoils, and the *options* that the fault was given."""

    tenant: Tenant
    request: Request
    response: Response
    options: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault is a way for an endpoint to be broken; *spoil* makes the wrong answer of the right one."""

    summary: str
    spoil: Callable[[GoodAnswer], Response]
    options: Mapping[str, Option] = field(default_factory=dict)
    places: tuple[Place, ...] = PLACE_NAMES

    def settled(self, name: str, given: Mapping[str, object]) -> dict[str, float]:
        """Every option, as *given* or by default; raises ``ConfigurationError``."""
        unknown = sorted(set(given) - set(self.options))
        if unknown:
            known = f"it takes {', '.join(self.options)}" if self.options else "it takes no option"
            raise ConfigurationError(f"the fault {name!r} has no option {unknown[0]!r}: {known}")
        return {option: _number(option, given.get(option, of.default), of) for option, of in self.options.items()}


def break_down(tenant: Tenant, name: str, place: Place, options: Mapping[str, float]) -> None:
    """Break *place* in the way *name*, and write it down; ``ConfigurationError`` if it cannot be broken so."""
    if not isinstance(name, str) or name not in FAULTS:
        raise ConfigurationError(f"there is no fault {name!r}: use one of {', '.join(FAULTS)}")
    fault = FAULTS[name]
    if place not in PLACE_NAMES:
        raise ConfigurationError(f"there is no endpoint {place!r} to break: use one of {', '.join(PLACE_NAMES)}")
    if place not in fault.places:
        raise ConfigurationError(f"the fault {name!r} is one of {' and '.join(fault.places)}, not of {place}")
    settled = fault.settled(name, options)
    tenant.put_fault(place, ActiveFault(name, settled))
    tenant.journal.add("broken", f"{place} broken: {fault.summary}", at=place, fault=name, **settled)


def spoilt(tenant: Tenant, place: Place, request: Request, good: Response) -> Response:
    """What becomes of the *good* answer, by the fault that is at work at *place*."""
    fault = tenant.faults.get(place)
    if fault is None:
        return good
    return FAULTS[fault.name].spoil(GoodAnswer(tenant, request, good, fault.options))


def _number(name: str, value: object, option: Option) -> float:
    kind = int if isinstance(option.default, int) else float
    if isinstance(value, bool) or not isinstance(value, kind | int) or not option.least <= value <= option.most:
        word = "a whole number" if kind is int else "a number"
        raise ConfigurationError(f"{name} must be {word} from {option.least} to {option.most}, not {value!r}")
    return value


def _delivered(delivery: Delivery) -> Callable[[GoodAnswer], Response]:
    return lambda good: replace(good.response, delivery=delivery, seconds=good.options.get("seconds", 0.0))


def _status(good: GoodAnswer) -> Response:
    return error_response(int(good.options["status"]), "broken", "The local Kinde was told to answer so.")


def _rate_limited(good: GoodAnswer) -> Response:
    wait = {"retry-after": str(good.options["seconds"])}
    return error_response(429, "too_many_requests", "The local Kinde was told to answer so.", wait)


def _rate_limited_reset(good: GoodAnswer) -> Response:
    """docs.kinde.com/developer-tools/kinde-api/api-rate-limits"""
    reset = {"ratelimit-reset": str(good.options["seconds"])}
    return management.management_error(429, "TOO_MANY_REQUESTS", "The local Kinde was told to answer so.", reset)


def _redirect(address: Callable[[str], str]) -> Callable[[GoodAnswer], Response]:
    """Sends the client on to where the right answer is; *address* makes the URL there of the issuer's."""

    def spoil(good: GoodAnswer) -> Response:
        if good.request.query == _MOVED:
            return good.response
        location = f"{address(good.tenant.url)}{good.request.path}?{_MOVED}"
        return Response(int(good.options["status"]), {"location": location, "content-length": "0"})

    return spoil


def _reworded(spoil: Callable[[bytes], bytes], **headers: str) -> Callable[[GoodAnswer], Response]:
    """The answer with its body as *spoil* makes it, and with *headers* besides."""

    def spoilt(good: GoodAnswer) -> Response:
        body = spoil(good.response.body)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return replace(good.response, body=body).with_headers({"content-length": str(len(body)), **named})

    return spoilt


def _oversized(good: GoodAnswer) -> Response:
    """The answer with white space behind it, so that the size is all that is wrong."""
    return _reworded(lambda body: body + b" " * int(good.options["size"]))(good)


def _oversized_unannounced(good: GoodAnswer) -> Response:
    answer = _oversized(good)
    return replace(answer, headers={name: value for name, value in answer.headers.items() if name != "content-length"})


def _gzip_bomb(good: GoodAnswer) -> Response:
    return _reworded(lambda body: _gzip(body, int(good.options["size"])), content_encoding="gzip")(good)


def _gzip(body: bytes, size: int) -> bytes:
    """*body*, and white space behind it up to *size* and more, as gzip (RFC 1952). A mebibyte is packed once: after a
    full flush its blocks stand for themselves, and can be repeated."""
    packer, blank = zlib.compressobj(wbits=-15), b" " * _MIB
    start, mebibyte = (packer.compress(part) + packer.flush(zlib.Z_FULL_FLUSH) for part in (body, blank))
    times = -(-size // _MIB)
    checksum = zlib.crc32(body)
    for _ in range(times):
        checksum = zlib.crc32(blank, checksum)
    length = (len(body) + times * _MIB) % (1 << 32)
    return _GZIP_HEADER + start + mebibyte * times + packer.flush() + struct.pack("<II", checksum, length)


def _clock_skewed(good: GoodAnswer) -> Response:
    return good.response  # what is wrong is in its date, and in those of tokens: see Tenant.now


def _keys(summary: str, make: Callable[[Tenant], Iterable[object]]) -> Fault:
    return Fault(summary, lambda good: json_response(200, {"keys": list(make(good.tenant))}), places=("keys",))


def _api_keys(summary: str, change: odd_api_keys.Change, *places: Place) -> Fault:
    """A fault of what is said of API keys: errors stay what they are."""

    def spoil(good: GoodAnswer) -> Response:
        if not 200 <= good.response.status < 300:
            return good.response
        changed = change(good.tenant, json.loads(good.response.body))
        body = json.dumps(changed, separators=(",", ":")).encode()
        return replace(good.response, body=body).with_headers({"content-length": str(len(body))})

    return Fault(summary, spoil, places=places)


def _unknown_as_401(good: GoodAnswer) -> Response:
    """One of the ways to read Kinde's documents, which have a 401 and do not say for what."""
    if b'"is_valid":false' not in good.response.body:
        return good.response
    return management.management_error(401, "API_KEY_INVALID", "API key is not valid")


def _many_keys(good: GoodAnswer) -> Response:
    return json_response(200, {"keys": odd_keys.many(good.tenant, int(good.options["count"]))})


_REDIRECTS = {"status": Option(302, 300, 399)}
FAULTS: Mapping[str, Fault] = MappingProxyType(
    {
        "refusing": Fault("hangs up without a word", _delivered("refused")),
        "hanging": Fault(
            "not even a header for so many seconds", _delivered("hanging"), {"seconds": Option(3600.0, 0, 1e6)}
        ),
        "dripping": Fault(
            "headers, then a byte every so many seconds", _delivered("dripping"), {"seconds": Option(1.0, 0, 1e6)}
        ),
        "truncated": Fault("hangs up after half of the body", _delivered("cut")),
        "client_error": Fault("a 4xx status", _status, {"status": Option(404, 400, 499)}),
        "server_error": Fault("a 5xx status", _status, {"status": Option(500, 500, 599)}),
        "rate_limited": Fault("429 with Retry-After", _rate_limited, {"seconds": Option(20, 0, 1_000_000)}),
        "redirect": Fault("moved on the same host", _redirect(lambda url: url), _REDIRECTS),
        "redirect_elsewhere": Fault("moved to another host", _redirect(lambda _: f"https://{OTHER_HOST}"), _REDIRECTS),
        "redirect_to_http": Fault(
            "moved to plain http", _redirect(lambda url: f"http://{url.partition('://')[2]}"), _REDIRECTS
        ),
        "oversized": Fault("white space without end", _oversized, {"size": Option(_MIB, 0, 256 * _MIB)}),
        "oversized_unannounced": Fault(
            "the same without Content-Length", _oversized_unannounced, {"size": Option(_MIB, 0, 256 * _MIB)}
        ),
        "gzip_bomb": Fault(
            "small on the wire, large when unpacked", _gzip_bomb, {"size": Option(64 * _MIB, 0, 1024 * _MIB)}
        ),
        "not_json": Fault("quoted with ' instead of \"", _reworded(lambda body: body.replace(b'"', b"'"))),
        "wrong_shape": Fault("JSON, but a list around it", _reworded(lambda body: b"[" + body + b"]")),
        "html": Fault("a page of the network's, with status 200", _reworded(lambda _: HTML, content_type="text/html")),
        "wrong_content_type": Fault(
            "right, but said to be text", _reworded(lambda body: body, content_type="text/plain")
        ),
        "empty_set": _keys("no key at all", lambda _: ()),
        "unusable_keys": _keys("no key that may be used, each for another reason", odd_keys.unusable),
        "many_keys": Fault(
            "the right keys behind hundreds of others", _many_keys, {"count": Option(500, 1, 2_000)}, ("keys",)
        ),
        "duplicate_kid": _keys("another key has the kid of the one that signs", odd_keys.duplicate_kid),
        "replaced_key": _keys("other key material under the kid of the one that signs", odd_keys.replaced),
        "private_members": _keys("private halves are published too", odd_keys.private),
        "oct_key": _keys("a shared secret is published besides", odd_keys.with_oct),
        "unknown_kty": _keys("a key of a kind nobody knows besides", odd_keys.with_unknown_kty),
        "unknown_crv": _keys("a key on a curve nobody knows besides", odd_keys.with_unknown_crv),
        "rate_limited_reset": Fault(
            "429 with RateLimit-Reset, as Kinde's Management API has it",
            _rate_limited_reset,
            {"seconds": Option(20, 0, 1_000_000)},
            _API_KEYS,
        ),
        "token_refused": Fault(
            "401: the token of whoever asks", lambda _: management.token_refused(), places=_API_KEYS
        ),
        "scope_missing": Fault(
            "403: the token of whoever asks lacks a scope",
            lambda _: management.scope_missing(READ_API_KEYS),
            places=_API_KEYS,
        ),
        "unknown_as_401": Fault("a key that is not good is a 401", _unknown_as_401, places=("verify",)),
        "valid_yet_revoked": _api_keys(
            "is_valid is true, and status revoked", odd_api_keys.valid_yet_revoked, "verify"
        ),
        "is_valid_as_text": _api_keys("is_valid is text", odd_api_keys.is_valid_as_text, "verify"),
        "scopes_as_text": _api_keys("scopes are one text, not a list", odd_api_keys.scopes_as_text, "verify"),
        "no_scopes": _api_keys("scopes are not mentioned", odd_api_keys.no_scopes, "verify"),
        "other_key": _api_keys("the answer for another key that is good", odd_api_keys.other_key, *_API_KEYS),
        "other_tenant": _api_keys("the answer for a key of somebody else's Kinde", odd_api_keys.other_tenant, "verify"),
        "no_api_ids": _api_keys("api_ids is null", odd_api_keys.no_api_ids, "api_keys"),
        "other_api": _api_keys("api_ids names another API", odd_api_keys.other_api, "api_keys"),
        "wrong_tls_name": Fault("a certificate for another name (see LocalIssuer.tls)", _delivered("wrong_tls_name")),
        "clock_skewed": Fault(
            "the clock is wrong: Date, and the dates of tokens", _clock_skewed, {"seconds": Option(3600.0, -1e9, 1e9)}
        ),
    }
)
