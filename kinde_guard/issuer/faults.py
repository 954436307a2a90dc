"""Ways for an issuer to be broken, by name, for the tests of whoever depends on one.

A fault takes the answer that would have been right and spoils it: what it says, or how it goes out
(:data:`~kinde_guard.issuer.messages.Delivery`). A new one is a function and a line in :data:`FAULTS`.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from ..errors import ConfigurationError
from . import odd_keys
from .messages import Delivery, Request, Response, error_response, json_response

if TYPE_CHECKING:
    from .local import LocalIssuer

Place = Literal["keys", "token", "discovery"]
PLACE_NAMES: tuple[Place, ...] = ("keys", "token", "discovery")
OTHER_HOST = "other.kinde.test"
HTML = b"<!doctype html><title>Sign in</title><p>Please sign in to this network first."
_MIB = 1 << 20
_MOVED = "moved=1"
_GZIP_HEADER = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"


class Option(NamedTuple):
    """A number that a fault can be given: a whole one if the *default* is."""

    default: float
    least: float
    most: float


class Case(NamedTuple):
    """What a fault is to spoil: the *good* answer of *issuer* to *request*."""

    issuer: LocalIssuer
    request: Request
    good: Response
    options: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Fault:
    """A way to be broken."""

    summary: str
    spoil: Callable[[Case], Response]
    options: Mapping[str, Option] = field(default_factory=dict)
    places: tuple[Place, ...] = PLACE_NAMES

    def settled(self, name: str, given: Mapping[str, object]) -> dict[str, float]:
        """Every option, as *given* or by default; raises ``ConfigurationError``."""
        unknown = sorted(set(given) - set(self.options))
        if unknown:
            known = f"it takes {', '.join(self.options)}" if self.options else "it takes no option"
            raise ConfigurationError(f"the fault {name!r} has no option {unknown[0]!r}: {known}")
        return {option: _number(option, given.get(option, of.default), of) for option, of in self.options.items()}


@dataclass(frozen=True, slots=True, eq=False)
class Broken:
    """A fault at work, with its options."""

    name: str
    options: Mapping[str, float]


class Breakable:
    """The half of ``LocalIssuer`` that misbehaves."""

    _broken: Mapping[Place, Broken] = MappingProxyType({})  # replaced whole, so readers need no lock

    @property
    def fault(self) -> str | None:
        """What is wrong with the endpoint of the keys: a name in ``FAULTS``, or ``None``. To be assigned to."""
        return self._broken["keys"].name if "keys" in self._broken else None

    @fault.setter
    def fault(self, name: str | None) -> None:
        if name is None:
            self.heal("keys")
        else:
            self.break_down(name)

    @property
    def faults(self) -> Mapping[Place, Broken]:
        """What is wrong now, by endpoint."""
        return self._broken

    def break_down(self, name: str, /, at: Place = "keys", **options: float) -> None:
        """From now on the endpoint *at* is broken in the way *name*; ``ConfigurationError`` if there is no such way.

        The options of each fault are in ``FAULTS``; *seconds* are seconds, *size* is in bytes.
        """
        if not isinstance(name, str) or name not in FAULTS:
            raise ConfigurationError(f"there is no fault {name!r}: use one of {', '.join(FAULTS)}")
        fault = FAULTS[name]
        if at not in PLACE_NAMES:
            raise ConfigurationError(f"there is no endpoint {at!r} to break: use one of {', '.join(PLACE_NAMES)}")
        if at not in fault.places:
            raise ConfigurationError(f"the fault {name!r} is one of {' and '.join(fault.places)}, not of {at}")
        self._broken = {**self._broken, at: Broken(name, fault.settled(name, options))}

    def heal(self, at: Place | None = None) -> None:
        """The endpoint *at*, or everything, is well again. Who hangs there is answered."""
        self._broken = {place: broken for place, broken in self._broken.items() if at not in (None, place)}

    @contextmanager
    def broken(self, name: str, /, at: Place = "keys", **options: float) -> Iterator[None]:
        """:meth:`break_down` for as long as the block runs; afterwards what was before."""
        before = self._broken.get(at)
        self.break_down(name, at, **options)
        try:
            yield
        finally:
            if before is None:
                self.heal(at)
            else:
                self.break_down(before.name, at, **before.options)

    @property
    def skew(self) -> float:
        """By how many seconds the issuer's clock is ahead."""
        skews = [broken.options["seconds"] for broken in self._broken.values() if broken.name == "clock_skewed"]
        return max(skews, key=abs, default=0.0)


def spoilt(issuer: LocalIssuer, place: Place, request: Request, good: Response) -> Response:
    """What becomes of the *good* answer."""
    broken = issuer.faults.get(place)
    if broken is None:
        return good
    return FAULTS[broken.name].spoil(Case(issuer, request, good, broken.options))


def _number(name: str, value: object, option: Option) -> float:
    kind = int if isinstance(option.default, int) else float
    if isinstance(value, bool) or not isinstance(value, kind | int) or not option.least <= value <= option.most:
        word = "a whole number" if kind is int else "a number"
        raise ConfigurationError(f"{name} must be {word} from {option.least} to {option.most}, not {value!r}")
    return value


def _delivered(delivery: Delivery) -> Callable[[Case], Response]:
    return lambda case: replace(case.good, delivery=delivery, seconds=case.options.get("seconds", 0.0))


def _status(case: Case) -> Response:
    return error_response(int(case.options["status"]), "broken", "The local Kinde was told to answer so.")


def _rate_limited(case: Case) -> Response:
    wait = {"retry-after": str(case.options["seconds"])}
    return error_response(429, "too_many_requests", "The local Kinde was told to answer so.", wait)


def _redirect(address: Callable[[str], str]) -> Callable[[Case], Response]:
    """To where the right answer is, by way of *address*, which makes a URL of the issuer's."""

    def spoil(case: Case) -> Response:
        if case.request.query == _MOVED:
            return case.good
        location = f"{address(case.issuer.url)}{case.request.path}?{_MOVED}"
        return Response(int(case.options["status"]), {"location": location, "content-length": "0"})

    return spoil


def _reworded(spoil: Callable[[bytes], bytes], **headers: str) -> Callable[[Case], Response]:
    """The body as *spoil* makes it; *headers* besides."""

    def spoilt(case: Case) -> Response:
        body = spoil(case.good.body)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return replace(case.good, body=body).with_headers({"content-length": str(len(body)), **named})

    return spoilt


def _oversized(case: Case) -> Response:
    """White space, so that the size is all that is wrong."""
    return _reworded(lambda body: body + b" " * int(case.options["size"]))(case)


def _oversized_unannounced(case: Case) -> Response:
    answer = _oversized(case)
    return replace(answer, headers={name: value for name, value in answer.headers.items() if name != "content-length"})


def _gzip_bomb(case: Case) -> Response:
    return _reworded(lambda body: _gzip(body, int(case.options["size"])), content_encoding="gzip")(case)


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


def _clock_skewed(case: Case) -> Response:
    return case.good  # what is wrong is in its date, and in those of tokens: see LocalIssuer.now


def _keys(summary: str, make: Callable[[LocalIssuer], Iterable[object]]) -> Fault:
    return Fault(summary, lambda case: json_response(200, {"keys": list(make(case.issuer))}), places=("keys",))


def _many_keys(case: Case) -> Response:
    return json_response(200, {"keys": odd_keys.many(case.issuer, int(case.options["count"]))})


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
        "empty_set": _keys("no key at all", lambda issuer: ()),
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
        "wrong_tls_name": Fault("a certificate for another name (see LocalIssuer.tls)", _delivered("wrong_tls_name")),
        "clock_skewed": Fault(
            "the clock is wrong: Date, and the dates of tokens", _clock_skewed, {"seconds": Option(3600.0, -1e9, 1e9)}
        ),
    }
)
