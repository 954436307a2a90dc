"""One request and its answer, as HTTP/1.1 (RFC 9112) has them. No I/O: bytes are asked for with a function.

Strict where an answer says how long it is, since a part of one must never pass for the whole. What is odd is a
:class:`FetchFailed` that says in which respect, and quotes nothing of what was sent.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple
from urllib.parse import quote, urlsplit

from ..settings import host_in_url
from .exchange import MAX_BODY, MAX_HEAD, FetchFailed, HttpAnswer, encoded, too_large

_HOST = re.compile(r"[A-Za-z0-9._:-]+")
_UNRESERVED = "/?:@!$&'()*+,;=~%"  # RFC 3986 §3.3 and §3.4, and what is percent-encoded already
_PORTS = {"https": 443, "http": 80}
_STATUS = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9]{2})(?: [^\r\n]*)?")
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\x00\r\n]*?)[ \t]*")
_LENGTH = re.compile(r"[0-9]{1,15}")
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\r\n]*)?")

Receive = Callable[[], bytes]
"""Some bytes of an answer; none at its end."""


class Target(NamedTuple):
    """What a URL means: where to connect to, and what to ask for there."""

    secure: bool
    host: str
    port: int
    authority: str
    path: str


def target(url: str) -> Target:
    """What *url* means; :class:`FetchFailed` if that is not plain."""
    try:
        parts = urlsplit(url)
        port, host = parts.port, parts.hostname or ""
    except ValueError:
        raise FetchFailed("the URL cannot be read") from None
    if parts.scheme not in _PORTS or "@" in parts.netloc:
        raise FetchFailed("the URL must be http or https, without a user name and a password")
    if not _HOST.fullmatch(host) or min(url) < " " or "\x7f" in url:
        raise FetchFailed("the URL has no host name that can be looked up")
    default = _PORTS[parts.scheme]
    name = host_in_url(host)
    path = quote(parts.path or "/", safe=_UNRESERVED) + (
        f"?{quote(parts.query, safe=_UNRESERVED)}" if parts.query else ""
    )
    return Target(
        secure=parts.scheme == "https",
        host=host,
        port=default if port is None else port,
        authority=name if port in (None, default) else f"{name}:{port}",
        path=path,
    )


def request(method: str, asked: Target, headers: Mapping[str, str], body: bytes) -> bytes:
    """A request, whole."""
    fields = {"host": asked.authority, **headers}
    if body or method == "POST":
        fields["content-length"] = str(len(body))
    lines = [f"{method} {asked.path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
    if not all(line.isascii() and line.isprintable() for line in lines):
        raise FetchFailed("the request has a header that is not plain text")
    return "\r\n".join([*lines, "", ""]).encode() + body


def answer(receive: Receive) -> HttpAnswer:
    """A whole answer, or :class:`FetchFailed`."""
    source = _Source(receive)
    version, status, headers = _head(source)
    while status < 200:  # RFC 9110 §15.2: of these there may be any number; what they take together is bounded
        version, status, headers = _head(source)
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise encoded()
    source.allowance = MAX_HEAD
    return HttpAnswer(status, headers, _body(source, version, status, headers))


def _head(source: _Source) -> tuple[bytes, int, dict[str, str]]:
    """RFC 9112 §4 and §5."""
    found = _STATUS.fullmatch(source.line(_NOTHING))
    if found is None or found[2] == b"101":  # what follows a 101 is no HTTP, and nobody asked for it
        raise _odd("illegal status line")
    return found[1], int(found[2]), _fields(source)


def _fields(source: _Source) -> dict[str, str]:
    fields: dict[str, str] = {}
    while line := source.line(_NOTHING):
        found = _FIELD.fullmatch(line)
        if found is None:
            raise _odd("illegal header line")
        name, value = found[1].decode("ascii").lower(), found[2].decode("latin-1")
        fields[name] = f"{fields[name]}, {value}" if name in fields else value
    return fields


def _body(source: _Source, version: bytes, status: int, headers: Mapping[str, str]) -> bytes:
    """RFC 9112 §6.3: how long an answer is."""
    coding, length = headers.get("transfer-encoding"), headers.get("content-length")
    if status in (204, 304):
        return b""
    if coding is not None:
        if coding.lower() != "chunked" or version == b"0":
            raise _odd("illegal transfer-encoding")
        return _chunks(source)
    if length is None:
        return source.rest()
    lengths = {each.strip() for each in length.split(",")}  # the same one twice does no harm
    if len(lengths) != 1 or not _LENGTH.fullmatch(only := lengths.pop()):
        raise _odd("illegal content-length")
    return source.exactly(int(only))


def _chunks(source: _Source) -> bytes:
    """RFC 9112 §7.1. Extensions and trailers are read over."""
    body = bytearray()
    while size := _chunk_size(source):
        if len(body) + size > MAX_BODY:
            raise too_large()
        body += source.exactly(size, _IN_CHUNKS)
        if source.line(_IN_CHUNKS):
            raise _odd("illegal chunk")
    while source.line(_IN_CHUNKS):
        pass
    return bytes(body)


def _chunk_size(source: _Source) -> int:
    found = _CHUNK.fullmatch(source.line(_IN_CHUNKS))
    if found is None:
        raise _odd("illegal chunk header")
    return int(found[1], 16)


_NOTHING = "Server disconnected without sending a response."
_SHORT = "peer closed connection without sending complete message body"
_IN_CHUNKS = f"{_SHORT} (incomplete chunked read)"


def _odd(respect: str) -> FetchFailed:
    return FetchFailed(f"RemoteProtocolError: {respect}")


class _Source:
    """What has been received and not yet been read."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._data = bytearray()
        self.allowance = MAX_HEAD
        """How many bytes of lines may still come."""

    def line(self, if_short: str) -> bytes:
        """The next line, without its end; a bare LF ends it as well (RFC 9112 §2.2)."""
        while (end := self._data.find(b"\n", 0, self.allowance)) < 0:
            if len(self._data) >= self.allowance:
                raise _odd(f"more than {MAX_HEAD // 1024} KiB of headers")
            self._more(if_short)
        self.allowance -= end + 1
        return self._take(end + 1).removesuffix(b"\n").removesuffix(b"\r")

    def exactly(self, size: int, if_short: str = "") -> bytes:
        """That many bytes."""
        if size > MAX_BODY:
            raise too_large()
        while len(self._data) < size:
            self._more(if_short or f"{_SHORT} (received {len(self._data)} bytes, expected {size})")
        return self._take(size)

    def rest(self) -> bytes:
        """All that comes until the end of the connection."""
        while data := self._receive():
            self._data += data
            if len(self._data) > MAX_BODY:
                raise too_large()
        return bytes(self._data)

    def _more(self, if_short: str) -> None:
        data = self._receive()
        if not data:
            raise _odd(if_short)
        self._data += data

    def _take(self, size: int) -> bytes:
        taken = bytes(self._data[:size])
        del self._data[:size]
        return taken
