"""The fetch on the standard library, from below: addresses, TLS, who vouches for whom, HTTP/1.1 as servers break it."""

from __future__ import annotations

import errno
import json
import os
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import httpx2
import pytest
from faults import Behaviour, Exchange, Server, answering, hanging, head, nobody, sending, tls_contexts
from helpers import AUDIENCE, jwk, key_set, mint

from kinde_guard import ConfigurationError, Guard
from kinde_guard.m2m import ClientCredentials
from kinde_guard.net import connect, http1, tls
from kinde_guard.net.attempt import Attempt
from kinde_guard.net.exchange import MAX_HEAD
from kinde_guard.net.fetch import MAX_BODY, Fetcher, FetchFailed, HttpAnswer

LONG = 20.0
Contexts = tuple[ssl.SSLContext, ssl.SSLContext]


def send(url: str, fetcher: Fetcher | None = None, **request: Any) -> HttpAnswer:
    fetcher = fetcher or Fetcher(tls=False)
    return fetcher.send(request.pop("method", "GET"), url, Attempt(), **{"headers": {}, **request})


def outcome(behave: Behaviour) -> tuple[int, bytes] | str:
    """Status and body of what is taken for the answer, or why there is none."""
    with Server(behave) as server:
        try:
            answer = send(server.url)
        except FetchFailed as error:
            return str(error)
    return answer.status, answer.body


# What the answer is, and whether it is whole

CHUNKED = head(headers={"transfer-encoding": "chunked"})
SHORT = "RemoteProtocolError: peer closed connection without sending complete message body"
NO_CHUNK = "RemoteProtocolError: illegal chunk header"
NO_STATUS = "RemoteProtocolError: illegal status line"
NO_HEADER = "RemoteProtocolError: illegal header line"
NO_LENGTH = "RemoteProtocolError: illegal content-length"
NO_ANSWER = "RemoteProtocolError: Server disconnected without sending a response."
TOO_MANY = "RemoteProtocolError: more than 64 KiB of headers"


@pytest.mark.parametrize(
    ("sent", "right"),
    [
        pytest.param(head(103) + head() + b"{}", (200, b"{}"), id="early hints"),
        pytest.param(head(100) + head(102) + head(103) + head() + b"{}", (200, b"{}"), id="several before the answer"),
        pytest.param(head(103, {"content-length": "9"}) + head() + b"{}", (200, b"{}"), id="early hints with a length"),
        pytest.param(head(101) + head() + b"{}", NO_STATUS, id="another protocol"),
        pytest.param(b"HTTP/1.0 200 OK\r\n\r\n{}", (200, b"{}"), id="HTTP/1.0, without a length"),
        pytest.param(b"HTTP/1.1 200\r\n\r\n{}", (200, b"{}"), id="no reason phrase"),
        pytest.param(b"HTTP/1.1 200 OK\nA: b\n\n{}", (200, b"{}"), id="lines that end with LF alone"),
        pytest.param(b"HTTP/1.1 200 OK\r\nA:\r\n\r\n{}", (200, b"{}"), id="an empty header"),
        pytest.param(head(204, {"content-length": "9"}), (204, b""), id="204 with a length"),
        pytest.param(head(304, {"content-length": "9"}), (304, b""), id="304 with the length of what it does not send"),
        pytest.param(head(headers={"content-length": "0"}), (200, b""), id="nothing"),
        pytest.param(head(headers={"content-length": "2"}) + b"{}more", (200, b"{}"), id="more than its length"),
        pytest.param(head(headers={"content-length": "2, 2"}) + b"{}", (200, b"{}"), id="its length twice"),
        pytest.param(CHUNKED + b"2;a=b\r\n{}\r\n0\r\nT: x\r\n\r\n", (200, b"{}"), id="extensions and trailers"),
        pytest.param(CHUNKED + b"01 \r\n{\r\n1\r\n}\r\n000\r\n\r\n", (200, b"{}"), id="two chunks"),
        pytest.param(head(headers={f"h{n}": "v" for n in range(150)}) + b"{}", (200, b"{}"), id="150 headers"),
        pytest.param(head(headers={"content-length": "3"}) + b"{}", f"{SHORT} (received 2 bytes, expected 3)", id="1"),
        pytest.param(CHUNKED + b"2\r\n{}\r\n", f"{SHORT} (incomplete chunked read)", id="no last chunk"),
        pytest.param(CHUNKED + b"2\r\n{}\r\n0\r\n", f"{SHORT} (incomplete chunked read)", id="no end of the trailers"),
        pytest.param(CHUNKED + b"2\r\n{}0\r\n\r\n", "RemoteProtocolError: illegal chunk", id="a longer chunk"),
        pytest.param(CHUNKED + b"-2\r\n{}\r\n", NO_CHUNK, id="a negative chunk"),
        pytest.param(CHUNKED + b"0x2\r\n{}\r\n", NO_CHUNK, id="a chunk in another notation"),
        pytest.param(CHUNKED + b"1_0\r\n{}\r\n", NO_CHUNK, id="a number as Python alone reads it"),
        pytest.param(CHUNKED + b"\r\n", NO_CHUNK, id="a chunk without a size"),
        pytest.param(CHUNKED + b"f" * 16 + b"\r\n", NO_CHUNK, id="a chunk of more than there is"),
        pytest.param(CHUNKED + b"fffffff\r\n", "the answer is larger than 512 KiB", id="a chunk that is too large"),
        pytest.param(
            b"HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
            "RemoteProtocolError: illegal transfer-encoding",
            id="chunks in HTTP/1.0, which has none",
        ),
        pytest.param(
            head(headers={"transfer-encoding": "gzip, chunked"}),
            "RemoteProtocolError: illegal transfer-encoding",
            id="packed on the way",
        ),
        *[
            pytest.param(head(headers={"content-length": length}) + b"{}", NO_LENGTH, id=name)
            for name, length in [
                ("two lengths", "2, 3"), ("a negative length", "-2"), ("no number", "two"), ("no length after all", ""),
                ("a number as Python alone reads it, for a length", "1_0"), ("a length of 20 digits", "9" * 20),
            ]
        ],
        pytest.param(b"HTTP/2 200\r\n\r\n{}", NO_STATUS, id="a later version"),
        pytest.param(b"HTTP/1.1 20 OK\r\n\r\n{}", NO_STATUS, id="no status"),
        pytest.param(b"HTTP/1.1 099 OK\r\n\r\n{}", NO_STATUS, id="a status below 100"),
        pytest.param(b"\x15\x03\x01\x00\x02\x02\x0a", NO_STATUS, id="TLS"),
        pytest.param(b"HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n", NO_HEADER, id="a folded header"),
        pytest.param(b"HTTP/1.1 200 OK\r\nA : b\r\n\r\n", NO_HEADER, id="a space before the colon"),
        pytest.param(b"HTTP/1.1 200 OK\r\nA: \x00\r\n\r\n", NO_HEADER, id="a NUL"),
        pytest.param(b"HTTP/1.1 200 OK\r\nA: b", NO_ANSWER, id="half a header"),
        pytest.param(head(headers={"a": "x" * MAX_HEAD}), TOO_MANY, id="a giant header"),
        pytest.param(head(headers={f"h{n}": "v" * 90 for n in range(1000)}), TOO_MANY, id="a thousand headers"),
        pytest.param(head(103) * 5000 + head() + b"{}", TOO_MANY, id="endless early hints"),
        pytest.param(CHUNKED + b"1;" + b"x" * MAX_HEAD + b"\r\n", TOO_MANY, id="an endless extension"),
        pytest.param(CHUNKED + b"0\r\n" + b"T: x\r\n" * 20_000, TOO_MANY, id="endless trailers"),
    ],
)  # fmt: skip
def test_what_is_the_answer_and_whether_it_is_whole(sent: bytes, right: tuple[int, bytes] | str) -> None:
    assert outcome(sending(sent)) == right


def test_a_header_that_comes_twice() -> None:
    with Server(
        sending(b"HTTP/1.1 200 OK\r\nCache-Control: public\r\ncache-control:\tmax-age=60 \r\n\r\n{}")
    ) as server:
        assert send(server.url).headers == {"cache-control": "public, max-age=60"}


def test_early_hints_for_ever() -> None:
    """They are bounded, whatever the time."""

    def behave(exchange: Exchange) -> None:
        while not exchange.server.over.is_set():
            exchange.send(head(103))

    assert outcome(behave) == "RemoteProtocolError: more than 64 KiB of headers"


def test_the_largest_answer_in_chunks() -> None:
    chunk = b"1000\r\n" + b"x" * 0x1000 + b"\r\n"
    assert outcome(sending(CHUNKED + chunk * (MAX_BODY // 0x1000) + b"0\r\n\r\n")) == (200, b"x" * MAX_BODY)


def test_a_large_request_to_a_server_that_reads_slowly() -> None:
    """It does not fit into what the kernel keeps: the rest waits until there is room."""
    body, free = b"x" * 20_000_000, threading.Event()
    received: list[int] = []

    def serve(listener: socket.socket) -> None:
        sock, _ = listener.accept()
        with sock:
            assert free.wait(LONG)
            read = 0
            while read < len(body):
                read += len(sock.recv(1 << 20))
            received.append(read)
            sock.sendall(head() + b"{}")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = threading.Thread(target=serve, args=(listener,))
        server.start()
        timer = threading.Timer(0.3, free.set)
        timer.start()
        assert send(f"http://127.0.0.1:{listener.getsockname()[1]}", method="POST", body=body).body == b"{}"
        server.join(LONG)
    assert received[0] >= len(body)


def test_a_server_that_does_not_want_the_rest() -> None:
    """It goes away in the middle of a request."""

    def serve(listener: socket.socket) -> None:
        sock, _ = listener.accept()
        with sock:
            sock.recv(1)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = threading.Thread(target=serve, args=(listener,))
        server.start()
        with pytest.raises(FetchFailed, match=r"^WriteError: \[Errno"):
            send(f"http://127.0.0.1:{listener.getsockname()[1]}", method="POST", body=b"x" * 20_000_000)
        server.join(LONG)


def test_a_server_that_goes_away() -> None:
    """It resets the connection: which it may do before, while, or after it is asked."""

    def reset(exchange: Exchange) -> None:
        exchange.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
        exchange.sock.close()

    assert outcome(reset) == "ReadError: [Errno 104] Connection reset by peer"


# Odd URLs and requests


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("https://[::1", "the URL cannot be read"),
        ("https://acme.kinde.com:port", "the URL cannot be read"),
        ("https://acme.kinde.com:99999", "the URL cannot be read"),
        ("ftp://acme.kinde.com", "the URL must be http or https, without a user name and a password"),
        ("", "the URL must be http or https, without a user name and a password"),
        ("acme.kinde.com/keys", "the URL must be http or https, without a user name and a password"),
        ("https://anna:s3cr3t@acme.kinde.com", "the URL must be http or https, without a user name and a password"),
        ("https://", "the URL has no host name that can be looked up"),
        ("https:///keys", "the URL has no host name that can be looked up"),
        ("https://ac me.kinde.com", "the URL has no host name that can be looked up"),
        ("https://acmé.kinde.com", "the URL has no host name that can be looked up"),
        ("https://acme.kinde.com/a\r\nX: y", "the URL has no host name that can be looked up"),
        ("https://acme.kinde.com/\x7f", "the URL has no host name that can be looked up"),
        ("http://127.0.0.1:0", "ConnectError: "),
    ],
)
def test_an_odd_url(url: str, words: str) -> None:
    """Fails like any fetch, and does not quote what may be a password."""
    with pytest.raises(FetchFailed) as failed:
        send(url, Fetcher())
    assert str(failed.value).startswith(words)
    assert "s3cr3t" not in str(failed.value)


@pytest.mark.parametrize(
    ("asked", "line"),
    [
        ("", "GET / HTTP/1.1"),
        ("?a=b", "GET /?a=b HTTP/1.1"),
        ("/ä b/%20?ü=c d#fragment", "GET /%C3%A4%20b/%20?%C3%BC=c%20d HTTP/1.1"),
        ("/a/../b;c=d/(e)?f=g/h?i", "GET /a/../b;c=d/(e)?f=g/h?i HTTP/1.1"),
    ],
)
def test_what_is_asked_for(asked: str, line: str) -> None:
    with Server(answering()) as server:
        send(server.url + asked)
        assert server.requests[0].decode().splitlines()[0] == line


@pytest.mark.parametrize(
    ("url", "host", "port", "authority"),
    [
        ("https://acme.kinde.com/keys", "acme.kinde.com", 443, "acme.kinde.com"),
        ("https://ACME.kinde.com:443", "acme.kinde.com", 443, "acme.kinde.com"),
        ("http://localhost:80", "localhost", 80, "localhost"),
        ("https://acme.kinde.com:8443", "acme.kinde.com", 8443, "acme.kinde.com:8443"),
        ("http://[::1]:9400/keys", "::1", 9400, "[::1]:9400"),
    ],
)
def test_where_it_is_asked_for(url: str, host: str, port: int, authority: str) -> None:
    asked = http1.target(url)
    assert (asked.host, asked.port, asked.authority) == (host, port, authority)


def test_a_post_without_a_body_says_so() -> None:
    with Server(answering()) as server:
        send(server.url, method="POST")
    assert b"content-length: 0\r\n" in server.requests[0].lower()


@pytest.mark.parametrize("value", ["a\r\nx: y", "a\nx: y", "a\x00", "ä"])
def test_a_header_that_would_be_two(value: str) -> None:
    with Server(answering()) as server, pytest.raises(FetchFailed, match=r"not plain text"):
        send(server.url, headers={"accept": value})
    assert server.requests == []


# Addresses (RFC 8305)


@contextmanager
def dead(host: str, port: int) -> Iterator[None]:
    """Nobody answers there: the queue of those who wait is full."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with ExitStack() as stack:
        full = stack.enter_context(socket.socket(family))
        full.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        full.bind((host, port))
        full.listen(0)
        for _ in range(2):
            waiting = stack.enter_context(socket.socket(family))
            waiting.setblocking(False)
            waiting.connect_ex((host, port))
        yield


def info(host: str, port: int) -> connect.AddressInfo:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return (family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (host, port))


@contextmanager
def resolving(
    patch: pytest.MonkeyPatch, *hosts: str, alive: Server, dying: tuple[str, ...] = ()
) -> Iterator[list[str]]:
    """Every name has the addresses *hosts*, of which those *dying* do not answer; the names that are looked up."""
    looked_up: list[str] = []

    def getaddrinfo(host: str, port: int, *_: object, **__: object) -> list[connect.AddressInfo]:
        looked_up.append(host)
        return [info(address, port) for address in hosts]

    with ExitStack() as stack:
        for host in dying:
            stack.enter_context(dead(host, alive.port))
        patch.setattr(socket, "getaddrinfo", getaddrinfo)
        yield looked_up


LOOPBACK = ("::1", "127.0.0.1")
FIVE = ("127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.5", "127.0.0.6")
ALONE = pytest.mark.parametrize("dying", [FIVE[:1], FIVE[:3], FIVE, ("::1",)], ids=["one", "three", "five", "IPv6"])


@ALONE
def test_dead_addresses_before_a_live_one_keep_no_keys_away(
    dying: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    with Server(answering(key_set(jwk({"kid": "a"})))) as server:
        url = f"http://localhost:{server.port}"
        guard = Guard(url, audience=AUDIENCE, variables=())
        with resolving(monkeypatch, *dying, "127.0.0.1", alive=server, dying=dying) as looked_up:
            guard.warm()
        assert guard.health()[url].state == "fresh"
        assert looked_up == ["localhost"]


@ALONE
def test_dead_addresses_before_a_live_one_keep_no_token_away(
    dying: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    granted = json.dumps({"access_token": mint({}), "token_type": "bearer", "expires_in": 86_400}).encode()
    with Server(answering(granted)) as server:
        app = ClientCredentials(
            f"http://localhost:{server.port}", client_id="id", client_secret="secret", audience=AUDIENCE
        )
        with resolving(monkeypatch, *dying, "127.0.0.1", alive=server, dying=dying):
            assert app.token()
        assert len(server.requests) == 1


def test_a_live_address_is_not_kept_waiting_for_by_those_that_refuse(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each failure has the next tried at once; and there may be many."""
    with Server(answering()) as server:
        hosts = [f"127.0.1.{number}" for number in range(1, 60)]
        with resolving(monkeypatch, *hosts, "::1", "127.0.0.1", alive=server):
            assert send(f"http://localhost:{server.port}").status == 200


def test_all_addresses_refuse(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, port, **_: [info(each, port) for each in LOOPBACK])
    with nobody() as url, pytest.raises(FetchFailed) as failed:
        send(url)
    assert str(failed.value) == "ConnectError: [Errno 111] Connection refused"


def test_no_address_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is given its time, also the last."""
    monkeypatch.setattr(connect, "CONNECT_TIMEOUT", 0.4)
    with (
        Server(answering()) as server,
        resolving(monkeypatch, *FIVE[:2], alive=server, dying=FIVE[:2]),
        pytest.raises(FetchFailed, match=r"^ConnectTimeout: timed out$"),
    ):
        send(f"http://localhost:{server.port}")
    assert server.requests == []


def test_an_address_that_fails_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """As those of a network do that is not there."""
    connect_ex = socket.socket.connect_ex

    def unreachable(sock: socket.socket, address: Any) -> int:
        return errno.ENETUNREACH if address[0] == "::1" else connect_ex(sock, address)

    monkeypatch.setattr(socket.socket, "connect_ex", unreachable)
    with Server(answering()) as server:
        with resolving(monkeypatch, "::1", "127.0.0.1", alive=server):
            assert send(f"http://localhost:{server.port}").status == 200
        with resolving(monkeypatch, "::1", alive=server), pytest.raises(FetchFailed, match=r"^ConnectError: .*unreach"):
            send(f"http://localhost:{server.port}")


def test_no_address_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [])
    with pytest.raises(FetchFailed, match=r"^ConnectError: the host has no address$"):
        send("http://localhost:1")


def test_a_family_that_this_system_does_not_have(monkeypatch: pytest.MonkeyPatch) -> None:
    odd = (socket.AddressFamily.AF_INET6, socket.SOCK_STREAM, 9999, "", ("::1", 1))
    with Server(answering()) as server:
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [odd, info("127.0.0.1", server.port)])
        assert send(server.url).status == 200
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [odd])
        with pytest.raises(FetchFailed, match=r"^ConnectError: \[Errno"):
            send(server.url)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (socket.gaierror(-2, "Name or service not known"), "ConnectError: [Errno -2] Name or service not known"),
        (UnicodeError("label too long"), "ConnectError: label too long"),
    ],
)
def test_a_name_that_cannot_be_looked_up(error: Exception, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> list[connect.AddressInfo]:
        raise error

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(FetchFailed) as failed:
        send("http://localhost:1")
    assert str(failed.value) == words


def test_families_take_turns() -> None:
    """RFC 8305 §4: a dead family is left after one address, however many it has."""
    hosts = ["::1", "::2", "::3", "127.0.0.1", "127.0.0.2"]
    mixed = connect.interleaved(info(host, 1) for host in hosts)
    assert [address[4][0] for address in mixed] == ["::1", "127.0.0.1", "::2", "127.0.0.2", "::3"]


def test_the_sockets_of_a_race_can_be_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """While none is connected yet; nor is another address tried then."""
    with Server(answering()) as server:
        attempt, looked_up = Attempt(), threading.Event()

        def cut() -> None:
            assert looked_up.wait(LONG)
            attempt.cut()

        cutter = threading.Thread(target=cut)
        cutter.start()
        with resolving(monkeypatch, *FIVE, "127.0.0.1", alive=server, dying=FIVE):
            resolve = socket.getaddrinfo

            def resolved(*args: Any, **named: Any) -> Any:
                looked_up.set()
                return resolve(*args, **named)

            monkeypatch.setattr(socket, "getaddrinfo", resolved)
            with pytest.raises(FetchFailed):
                Fetcher(tls=False).send("GET", f"http://localhost:{server.port}", attempt, headers={})
        cutter.join(LONG)
    assert server.requests == []


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
def test_a_literal_address(host: str) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host.strip("[]"), 0), family=family) as listener:

        def serve() -> None:
            sock, _ = listener.accept()
            with sock:
                sock.recv(65_536)
                sock.sendall(head() + b"{}")

        server = threading.Thread(target=serve)
        server.start()
        assert send(f"http://{host}:{listener.getsockname()[1]}/").body == b"{}"
        server.join(LONG)


# TLS


@pytest.fixture(scope="module")
def contexts(tmp_path_factory: pytest.TempPathFactory) -> Contexts:
    return tls_contexts(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def ca(contexts: Contexts, tmp_path: Path) -> Path:
    """A file with the certificate that the server's is to be judged by."""
    file = tmp_path / "ca.pem"
    file.write_text("\n".join(map(ssl.DER_cert_to_PEM_cert, contexts[1].get_ca_certs(binary_form=True))))
    return file


@pytest.fixture
def trusting(ca: Path, monkeypatch: pytest.MonkeyPatch) -> Fetcher:
    monkeypatch.setenv("SSL_CERT_FILE", str(ca))
    return Fetcher()


def test_over_tls(contexts: Contexts, trusting: Fetcher) -> None:
    """An authority that the environment names; the largest body there may be, in records of any size."""
    assert trusting.authorities is not None
    assert trusting.authorities.said.startswith("SSL_CERT_FILE=")
    with Server(answering(b"x" * MAX_BODY), contexts[0]) as server:
        for _ in range(2):
            assert len(send(server.url, trusting).body) == MAX_BODY
        assert send(server.url, trusting, method="POST", body=b"y" * 300_000).status == 200
    assert server.requests[2].endswith(b"y" * 300_000)


def test_another_name_over_tls(contexts: Contexts, trusting: Fetcher) -> None:
    with Server(answering(), contexts[0]) as server, pytest.raises(FetchFailed, match=r"Hostname mismatch"):
        send(f"https://localhost:{server.port}", trusting)
    assert server.requests == []


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_versions_of_tls(version: ssl.TLSVersion, trusting: Fetcher, tmp_path: Path) -> None:
    context = served(tmp_path, trusting)
    context.minimum_version = context.maximum_version = version
    context.set_alpn_protocols(["h2", "http/1.1"])
    chosen: list[str | None] = []

    def behave(exchange: Exchange) -> None:
        assert isinstance(exchange.sock, ssl.SSLSocket)
        chosen.append(exchange.sock.selected_alpn_protocol())
        answering()(exchange)

    with Server(behave, context) as server:
        assert send(server.url, trusting).status == 200
    assert chosen == ["http/1.1"]


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
def test_a_server_that_knows_old_versions_alone(trusting: Fetcher, tmp_path: Path) -> None:
    context = served(tmp_path, trusting)
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    with Server(answering(), context) as server, pytest.raises(FetchFailed, match=r"ConnectError: \[SSL"):
        send(server.url, trusting)


def served(folder: Path, trusting: Fetcher) -> ssl.SSLContext:
    """A server's context of its own, to be changed, with a certificate that is trusted."""
    context, _ = tls_contexts(folder)
    authorities = tls.Authorities("a test", str(folder / "certificate.pem"))
    trusting._way._context = tls.context(authorities)  # type: ignore[union-attr]  # it is our own
    return context


def test_the_end_of_a_body_has_to_be_said(contexts: Contexts, trusting: Fetcher) -> None:
    """Without a length, a part would pass for the whole: anybody on the way can end a connection (RFC 8446 §6.1)."""

    def behave(exchange: Exchange) -> None:
        assert isinstance(exchange.sock, ssl.SSLSocket)
        exchange.send(head() + b'{"keys"')
        if cleanly:
            exchange.sock.unwrap()

    with Server(behave, contexts[0]) as server:
        cleanly = True
        assert send(server.url, trusting).body == b'{"keys"'
        cleanly = False
        with pytest.raises(FetchFailed, match=r"^ReadError: .*EOF occurred in violation of protocol"):
            send(server.url, trusting)


@pytest.mark.parametrize("sent", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n"], ids=["silence", "plain http"])
def test_a_server_that_speaks_no_tls(sent: bytes, trusting: Fetcher) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            sock, _ = listener.accept()
            with sock:
                sock.recv(65_536)
                sock.sendall(sent)

        server = threading.Thread(target=serve)
        server.start()
        with pytest.raises(FetchFailed, match=r"^ConnectError: "):
            send(f"https://127.0.0.1:{listener.getsockname()[1]}", trusting)
        server.join(LONG)


def test_https_where_it_was_said_that_there_is_none() -> None:
    with Server(answering()) as server, pytest.raises(FetchFailed, match=r"https was not prepared for"):
        send(server.url.replace("http:", "https:"))


# Who vouches


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A system without certificates; where to put some."""
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    monkeypatch.delenv("SSL_CERT_DIR", raising=False)
    paths = ssl.DefaultVerifyPaths(
        "", "", "SSL_CERT_FILE", str(tmp_path / "cert.pem"), "SSL_CERT_DIR", str(tmp_path / "certs")
    )
    monkeypatch.setattr(ssl, "get_default_verify_paths", lambda: paths)
    monkeypatch.setattr(tls, "_DIRECTORIES", ())
    monkeypatch.setattr(tls, "_BUNDLES", ())
    return tmp_path


def test_authorities_are_the_systems_directory_else_its_bundle_else_certifi_s(
    bare: Path, ca: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is found, by looking at the files: not what is said to be there."""
    (bare / "certs").mkdir()
    (bare / "certs" / "README").write_text("no certificate")
    (bare / "certs" / "0123abcd.0").symlink_to("gone")
    (bare / "cert.pem").write_text("no certificate")
    assert tls.authorities().said.startswith("certifi's bundle /")
    (bare / "cert.pem").write_text(ca.read_text())
    assert tls.authorities() == tls.Authorities(f"the system's bundle {bare}/cert.pem", f"{bare}/cert.pem")
    (bare / "certs" / "0123abcd.1").write_text(ca.read_text())
    assert tls.authorities() == tls.Authorities(f"the system's directory {bare}/certs", directory=f"{bare}/certs")
    with monkeypatch.context() as windows:
        windows.setattr(sys, "platform", "win32")
        found = tls.authorities()
    assert found.said.startswith("Windows' store and certifi's bundle /")
    assert found.store
    assert tls.context(found).cert_store_stats()["x509_ca"] > 50


def test_a_system_without_authorities(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tls, "find_spec", lambda name: None)
    with pytest.raises(ConfigurationError, match=r"no certificate authorities are found on this system"):
        Guard("acme.kinde.com", audience=AUDIENCE)
    monkeypatch.setattr(sys, "platform", "win32")
    assert tls.authorities() == tls.Authorities("Windows' store", store=True)


def test_a_directory_of_hashed_names(bare: Path, contexts: Contexts, ca: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Read as needed, in the fetch; the environment's one has no other beside it."""
    (bare / "certs").mkdir()
    hashed = subprocess.run(
        ["openssl", "x509", "-in", str(ca), "-noout", "-subject_hash"], capture_output=True, text=True, check=True
    )
    (bare / "certs" / f"{hashed.stdout.strip()}.0").write_text(ca.read_text())
    with Server(answering(), contexts[0]) as server:
        assert send(server.url, Fetcher()).status == 200
        monkeypatch.setenv("SSL_CERT_DIR", str(bare / "certs"))
        assert send(server.url, Fetcher()).status == 200
        monkeypatch.setenv("SSL_CERT_DIR", os.pathsep.join(["/nowhere", str(bare / "certs")]))
        assert send(server.url, Fetcher()).status == 200


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "SSL_CERT_DIR"])
@pytest.mark.parametrize("value", ["/nowhere", "a file without certificates", "an empty directory", "rubbish"])
def test_authorities_that_cannot_be_used(
    variable: str, value: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Are said when the guard is made; nothing else is trusted in their place."""
    (tmp_path / "a file without certificates").write_text("hello")
    (tmp_path / "an empty directory").mkdir()
    (tmp_path / "rubbish").write_text("-----BEGIN CERTIFICATE-----\nrubbish\n-----END CERTIFICATE-----\n")
    monkeypatch.setenv(variable, str(tmp_path / value))
    with pytest.raises(ConfigurationError, match=variable):
        Guard("acme.kinde.com", audience=AUDIENCE)


def test_an_empty_variable_names_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "")
    monkeypatch.setenv("SSL_CERT_DIR", "")
    assert "SSL_CERT" not in tls.authorities().said


def test_http_alone_needs_no_authorities(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tls, "find_spec", lambda name: None)
    Guard("http://localhost:9400", audience=AUDIENCE)


LOADED = """
import sys
from kinde_guard import Guard
Guard(sys.argv[1], audience="https://api.acme.com", variables=())
print(sorted({name.partition(".")[0] for name in sys.modules} & {"httpx", "httpcore", "h11", "anyio", "certifi"}))
"""


@pytest.mark.parametrize("url", ["https://acme.kinde.com", "http://localhost:9400"])
def test_a_guard_without_a_transport_loads_no_client(url: str) -> None:
    done = subprocess.run([sys.executable, "-c", LOADED, url], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"


# Transports


@pytest.mark.parametrize("library", [httpx, httpx2])
def test_transports_of_httpx_and_of_its_successor(library: Any) -> None:
    with Server(answering(key_set(jwk({"kid": "a"})))) as server, library.HTTPTransport() as transport:
        guard = Guard(server.url, audience=AUDIENCE, transport=transport, variables=())
        guard.warm()
        assert guard.health()[server.url].keys == 1
        server.behave = sending(b"nonsense\r\n\r\n")
        with pytest.raises(FetchFailed, match=r"^RemoteProtocolError: illegal status line$"):
            send(server.url, Fetcher(transport))
    with (
        library.HTTPTransport() as transport,
        nobody() as url,
        pytest.raises(FetchFailed, match=r"^ConnectError: .*refused"),
    ):
        send(url, Fetcher(transport))


def test_a_url_that_a_transport_s_library_cannot_read() -> None:
    with pytest.raises(FetchFailed, match=r"^the URL cannot be read$"):
        send("https://acme.kinde.com:port", Fetcher(httpx.HTTPTransport()))


@pytest.mark.parametrize(
    "make",
    [
        httpx.AsyncHTTPTransport,
        httpx2.AsyncHTTPTransport,
        lambda: httpx.ASGITransport(lambda *_: None),  # type: ignore[arg-type]
    ],
    ids=["httpx", "httpx2", "ASGI"],
)
def test_a_transport_for_async_clients_is_refused_when_the_guard_is_made(make: Callable[[], Any]) -> None:
    with pytest.raises(ConfigurationError, match=r"transport must be .*, not one for async clients"):
        Guard("acme.kinde.com", audience=AUDIENCE, transport=make())
    with pytest.raises(ConfigurationError, match=r"not one for async clients"):
        ClientCredentials("acme.kinde.com", client_id="a", client_secret="b", audience=AUDIENCE, transport=make())


# gevent

GEVENT = """
import sys
if sys.argv[2] == "before":
    from gevent import monkey; monkey.patch_all()
from kinde_guard import Guard
guard = Guard(sys.argv[1], audience="https://api.acme.com", variables=())
if sys.argv[2] == "after":
    from gevent import monkey; monkey.patch_all()
import gevent
ticks = []
def tick():
    while True:
        ticks.append(1)
        gevent.sleep(0.01)
gevent.spawn(tick)
guard.warm()
print(guard.health()[sys.argv[1]].state, len(ticks) > 5)
"""


@pytest.mark.parametrize("patched", ["before", "after"])
def test_under_gevent_a_fetch_holds_up_nobody(patched: str, contexts: Contexts, ca: Path) -> None:
    """Whenever it put its own in place of what blocks."""

    def slow(exchange: Exchange) -> None:
        threading.Event().wait(0.3)
        answering(key_set(jwk({"kid": "a"})))(exchange)

    with Server(slow, contexts[0]) as server:
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", GEVENT, server.url, patched],
            capture_output=True, text=True, timeout=60, env={**os.environ, "SSL_CERT_FILE": str(ca)},
        )  # fmt: skip
    assert done.stdout.split() == ["fresh", "True"], done.stderr


# Time


def test_a_server_that_does_not_answer_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each wait is bounded by itself; what bounds them all is the deadline of the flight."""
    monkeypatch.setattr(connect.Plain.receive, "__defaults__", (0.05,))
    with Server(hanging) as server, pytest.raises(FetchFailed, match=r"^ReadTimeout: timed out$"):
        send(server.url)
