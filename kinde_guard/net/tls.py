"""TLS (RFC 8446) over a connection that does not block, and the authorities that vouch for its other end.

OpenSSL never touches a socket here: it is given bytes and asked for bytes, in memory. So each of its calls is short,
is made with :data:`forks.steady` in hand, and the waiting for the network is done outside of it.
"""

from __future__ import annotations

import os
import re
import ssl
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from importlib.util import find_spec
from typing import NamedTuple, TypeVar

from ..errors import ConfigurationError
from . import forks
from .connect import Plain
from .exchange import CONNECT_TIMEOUT, TOTAL_TIMEOUT

T = TypeVar("T")
FILE, DIRECTORY = "SSL_CERT_FILE", "SSL_CERT_DIR"
_HASHED = re.compile(r"[0-9a-f]{8}\.\d+")  # as c_rehash names a certificate, so that OpenSSL finds it
_DIRECTORIES = ("/etc/ssl/certs", "/etc/pki/tls/certs", "/etc/pki/ca-trust/extracted/pem/directory-hash")
_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)


class Authorities(NamedTuple):
    """The certificate authorities that are trusted."""

    said: str
    """Where they are, for people."""
    file: str | None = None
    directory: str | None = None
    store: bool = False
    """Those of the system's own store as well (Windows)."""


def authorities() -> Authorities:
    """Those that the environment names, else the system's, else certifi's.

    They are found by looking at the files: a context counts nothing for a directory, and finds nothing wrong with one
    that is not there. A directory of hashed names is read as needed, a bundle (140 certificates) whole: 3 ms against 30
    to 120.
    """
    found = _of_environment() or (_of_windows() if sys.platform == "win32" else _of_system()) or _of_certifi()
    if found is None:
        raise ConfigurationError(
            "no certificate authorities are found on this system, so no issuer can be trusted: install its "
            f"ca-certificates, or certifi, or set {FILE}"
        )
    return found


def context(trusted: Authorities) -> ssl.SSLContext:
    """A TLS context for connections to hosts whose certificates *trusted* vouch for, by name; TLS 1.2 at least."""
    with forks.steady:
        try:
            made = ssl.create_default_context(cafile=trusted.file, capath=trusted.directory)
        except OSError:  # it can be read, and begins like certificates
            raise ConfigurationError(f"these certificates cannot be used: {trusted.said}") from None
        if trusted.store:
            made.load_default_certs()
        made.minimum_version = ssl.TLSVersion.TLSv1_2
        made.set_alpn_protocols(["http/1.1"])
    return made


def _of_environment() -> Authorities | None:
    file, directory = os.environ.get(FILE) or None, os.environ.get(DIRECTORY) or None
    if file is not None and not _is_bundle(file):
        raise ConfigurationError(f"{FILE} must be a file of certificates (PEM), not {file!r}")
    if directory is not None and not any(map(_is_hashed, directory.split(os.pathsep))):
        raise ConfigurationError(f"{DIRECTORY} must be a directory that c_rehash has gone through, not {directory!r}")
    named = [f"{name}={value}" for name, value in ((FILE, file), (DIRECTORY, directory)) if value is not None]
    return Authorities(" and ".join(named), file, directory) if named else None


def _of_system() -> Authorities | None:
    paths = ssl.get_default_verify_paths()
    for directory in _distinct(paths.openssl_capath, paths.capath, *_DIRECTORIES):
        if _is_hashed(directory):
            return Authorities(f"the system's directory {directory}", directory=directory)
    for file in _distinct(paths.openssl_cafile, paths.cafile, *_BUNDLES):
        if _is_bundle(file):
            return Authorities(f"the system's bundle {file}", file)
    return None


def _of_windows() -> Authorities:
    """Windows loads most of its authorities only when one of its own programs asks for them: certifi has them all."""
    found = _of_certifi()
    if found is None:
        return Authorities("Windows' store", store=True)
    return Authorities(f"Windows' store and {found.said}", found.file, store=True)


def _of_certifi() -> Authorities | None:
    spec = find_spec("certifi")  # found, not imported: that would read it all
    file = os.path.join(os.path.dirname(spec.origin), "cacert.pem") if spec is not None and spec.origin else ""
    return Authorities(f"certifi's bundle {file}", file) if _is_bundle(file) else None


def _distinct(*paths: str | None) -> Iterable[str]:
    return dict.fromkeys(path for path in paths if path)


def _is_hashed(directory: str) -> bool:
    with suppress(OSError):
        return any(
            _HASHED.fullmatch(name) and os.access(os.path.join(directory, name), os.R_OK) for name in _names(directory)
        )
    return False


def _names(directory: str) -> Iterator[str]:
    with os.scandir(directory) as entries:
        yield from (entry.name for entry in entries)


def _is_bundle(file: str) -> bool:
    with suppress(OSError), open(file, "rb") as opened:
        return any(b"-----BEGIN " in line and b"CERTIFICATE" in line for line in opened)
    return False


class Secured:
    """A connection with TLS, over a socket that does not block."""

    def __init__(self, plain: Plain, made: ssl.SSLContext, host: str) -> None:
        self._plain = plain
        with forks.steady:
            self._received, self._to_send = ssl.MemoryBIO(), ssl.MemoryBIO()
            self._tls = made.wrap_bio(self._received, self._to_send, server_hostname=host)

    def shake_hands(self) -> None:
        """Shake hands, in two seconds at most; raises ``OSError`` (``ssl.SSLError`` is one) unless the other end is who
        it should be."""
        end = time.monotonic() + CONNECT_TIMEOUT
        self._drive(lambda tls: tls.do_handshake(), lambda: end - time.monotonic())

    def send(self, data: bytes) -> None:
        """All of *data*."""
        self._drive(lambda tls: tls.write(data))

    def receive(self) -> bytes:
        """Some bytes; none at the end, and that has to be said: a connection that just ends may have been cut by
        anybody on the way (RFC 8446 §6.1)."""
        return self._drive(lambda tls: tls.read(65_536))

    def close(self) -> None:
        """End the connection. OpenSSL frees what it holds of it here, and not whenever memory is cleared."""
        with forks.steady:
            del self._tls, self._received, self._to_send
        self._plain.close()

    def _drive(self, step: Callable[[ssl.SSLObject], T], left: Callable[[], float] = lambda: TOTAL_TIMEOUT) -> T:
        """*step*, again and again, until it needs to receive no more."""
        while True:
            found: list[T] = []
            try:
                with forks.steady:
                    found.append(step(self._tls))
            except ssl.SSLWantReadError:
                pass
            except ssl.SSLError:
                with suppress(OSError):
                    self._flush(left())  # the alert that tells the other end why
                raise
            self._flush(left())
            if found:
                return found[0]
            self._fill(left())

    def _flush(self, seconds: float) -> None:
        self._plain.send(self._to_send.read(), seconds)

    def _fill(self, seconds: float) -> None:
        data = self._plain.receive(seconds)
        if data:
            self._received.write(data)
        else:
            self._received.write_eof()
