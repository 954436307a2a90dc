"""A server on loopback that breaks in all the ways an issuer can; on bare sockets, as some of them are below HTTP."""

from __future__ import annotations

import datetime
import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.hashes import SHA256
from helpers import rsa_key
from waiting import LONG


class Exchange:
    """One connection, once its request has been read."""

    def __init__(self, server: Server, sock: socket.socket, request: bytes) -> None:
        self.server = server
        self.sock = sock
        self.request = request

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def hung_up(self, within: float) -> bool:
        """Whether the client has ended the connection, waiting *within* seconds for it."""
        self.sock.settimeout(within)
        try:
            return self.sock.recv(1) == b""
        except TimeoutError:
            return False
        except OSError:
            return True


Behaviour = Callable[[Exchange], None]


class Server:
    """Does to each request what *behave* says, which can be changed at any time, and keeps what it was sent."""

    def __init__(self, behave: Behaviour, tls: ssl.SSLContext | None = None) -> None:
        self.behave = behave
        self.requests: list[bytes] = []
        self.asked = threading.Event()
        """There has been a request."""
        self.deserted = threading.Event()
        """A client has hung up before its answer was complete."""
        self.over = threading.Event()
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self.port = self._listener.getsockname()[1]
        self.url = f"{'http' if tls is None else 'https'}://127.0.0.1:{self.port}"
        self._threads[0].start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        with suppress(OSError):  # it may have been closed by the test
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(10)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                sock, _ = self._listener.accept()
                thread = threading.Thread(target=self._serve, args=(sock,), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _serve(self, sock: socket.socket) -> None:
        with sock, suppress(OSError):
            sock.settimeout(30)
            if self._tls is not None:
                sock = self._tls.wrap_socket(sock, server_side=True)
            with sock:
                request = _read_request(sock)
                self.requests.append(request)
                self.asked.set()
                try:
                    self.behave(Exchange(self, sock, request))
                except OSError:
                    self.deserted.set()


def _read_request(sock: socket.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        data += _some(sock)
    head, _, body = data.partition(b"\r\n\r\n")
    lengths = [line.split(b":")[1] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    while len(body) < int((lengths or [b"0"])[0]):
        body += _some(sock)
    return head + b"\r\n\r\n" + body


def _some(sock: socket.socket) -> bytes:
    data = sock.recv(65_536)
    if not data:
        raise OSError("the client hung up in the middle of its request")
    return data


def head(status: int = 200, headers: Mapping[str, str] | None = None) -> bytes:
    lines = [f"HTTP/1.1 {status} Whatever", *(f"{name}: {value}" for name, value in (headers or {}).items())]
    return "\r\n".join([*lines, "", ""]).encode()


def answering(body: bytes = b"{}", status: int = 200, headers: Mapping[str, str] | None = None) -> Behaviour:
    """A whole answer, with its length."""
    return sending(head(status, {"content-length": str(len(body)), **(headers or {})}) + body)


def sending(data: bytes) -> Behaviour:
    """These bytes, and the end of the connection."""
    return lambda exchange: exchange.send(data)


def hanging(exchange: Exchange) -> None:
    """Not a byte, until the client gives up."""
    while not exchange.server.over.is_set():
        if exchange.hung_up(0.1):
            exchange.server.deserted.set()
            return


def dripping(data: bytes, *, at_once: bytes = b"", every: float = 1.0) -> Behaviour:
    """*at_once*, and then *data*, a byte a second (it ends long after any caller's patience)."""

    def behave(exchange: Exchange) -> None:
        exchange.send(at_once)
        for number in range(len(data)):
            exchange.send(data[number : number + 1])
            if exchange.server.over.is_set():
                return
            if exchange.hung_up(every):
                exchange.server.deserted.set()
                return

    return behave


def after(event: threading.Event, behave: Behaviour) -> Behaviour:
    """*behave*, but not before *event*."""

    def wait(exchange: Exchange) -> None:
        assert event.wait(LONG)
        behave(exchange)

    return wait


def tunnelling(exchange: Exchange) -> None:
    """A proxy: does what CONNECT (RFC 9110 §9.3.6) asks for."""
    host, _, port = exchange.request.split()[1].decode().rpartition(":")
    with socket.create_connection((host, int(port))) as upstream:
        exchange.send(head(200))
        exchange.sock.settimeout(30)
        back = threading.Thread(target=_pump, args=(upstream, exchange.sock), daemon=True)
        back.start()
        _pump(exchange.sock, upstream)
        back.join(10)


def _pump(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65_536):
            target.sendall(data)
    for sock in (source, target):
        with suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)


@contextmanager
def nobody() -> Iterator[str]:
    """A URL at which nobody listens, nor will: the port is taken."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


def _usage(**allowed: bool) -> x509.KeyUsage:
    names = ["digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement"]
    names += ["key_cert_sign", "crl_sign", "encipher_only", "decipher_only"]
    return x509.KeyUsage(**(dict.fromkeys(names, False) | allowed))


def tls_contexts(folder: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """For a server with a certificate of its own making for 127.0.0.1, and for a client that trusts it."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, rsa_key("TLS").public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(_usage(key_cert_sign=True, digital_signature=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(rsa_key("TLS").public_key()), critical=False)
        .sign(rsa_key("TLS"), SHA256())
    )
    public, private = folder / "certificate.pem", folder / "key.pem"
    public.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        rsa_key("TLS").private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(public, private)
    return server, ssl.create_default_context(cafile=str(public))
