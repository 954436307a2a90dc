"""One bounded exchange, over real sockets of this machine, with a server that breaks in every way."""

from __future__ import annotations

import functools
import gzip
import socket
import ssl
import subprocess
import sys
import threading
import time
import traceback
import tracemalloc
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import httpcore
import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from faults import (
    Behaviour,
    Exchange,
    Server,
    after,
    answering,
    dripping,
    hanging,
    head,
    nobody,
    sending,
    tls_contexts,
    tunnelling,
)
from helpers import ABSENT, b64, jwk, key_set
from waiting import LONG

from kinde_guard.net.attempt import Attempt
from kinde_guard.net.fetch import MAX_BODY, TOTAL_TIMEOUT, Fetcher, FetchFailed, HttpAnswer
from kinde_guard.net.flight import Callback, Flight
from kinde_guard.net.joining import join


@functools.cache
def our_own() -> Fetcher:
    """Made once: it reads the whole list of certificate authorities."""
    return Fetcher()


@functools.cache
def over_httpx() -> Fetcher:
    return Fetcher(httpx.HTTPTransport())


def get(url: str, transport: httpx.BaseTransport | None = None) -> HttpAnswer:
    fetcher = our_own() if transport is None else Fetcher(transport)
    return fetcher.send("GET", url, Attempt(), headers={"accept": "application/json"})


def failure(url: str, transport: httpx.BaseTransport | None = None) -> str:
    with pytest.raises(FetchFailed) as failed:
        get(url, transport)
    return str(failed.value)


Way = Callable[[], Fetcher]
BOTH_WAYS = pytest.mark.parametrize("way", [our_own, over_httpx], ids=["our own", "httpx's"])


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """For a server, and for a client that trusts it."""
    return tls_contexts(tmp_path_factory.mktemp("tls"))


# What is asked, and what is taken for an answer


def test_a_whole_answer() -> None:
    with Server(answering(b'{"keys": []}', headers={"Cache-Control": "max-age=60", "X-Odd": "a"})) as server:
        answer = get(f"{server.url}/.well-known/jwks?x=1")
    assert (answer.status, answer.body) == (200, b'{"keys": []}')
    assert answer.headers == {"content-length": "12", "cache-control": "max-age=60", "x-odd": "a"}


def test_the_request_says_no_more_than_it_must(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No credentials, no cookies, no proxy, whatever the environment holds."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login anna password s3cr3t\n")
    monkeypatch.setenv("NETRC", str(netrc))
    with Server(answering()) as server, nobody() as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy)
        get(f"{server.url}/.well-known/jwks?x=1")
    lines = server.requests[0].decode().lower().splitlines()
    assert lines[0] == "get /.well-known/jwks?x=1 http/1.1"
    assert {line for line in lines[1:] if line} == {
        f"host: 127.0.0.1:{server.port}",
        "accept: application/json",
        "accept-encoding: identity",
        "connection: close",
        "user-agent: kinde_guard",
    }


def test_a_body_is_sent() -> None:
    with Server(answering()) as server:
        our_own().send("POST", server.url, Attempt(), headers={"content-type": "text/plain"}, body=b"grant_type=x")
    request = server.requests[0].lower()
    assert request.startswith(b"post / http/1.1\r\n")
    assert b"content-length: 12\r\n" in request
    assert request.endswith(b"\r\n\r\ngrant_type=x")


@pytest.mark.parametrize("transport", [None, httpx.HTTPTransport()], ids=["our own", "the user's"])
def test_cookies_are_not_kept(transport: httpx.BaseTransport | None) -> None:
    fetcher = Fetcher(transport)
    with Server(answering(headers={"set-cookie": "session=1; Path=/"})) as server:
        for _ in range(2):
            fetcher.send("GET", server.url, Attempt(), headers={})
    assert len(server.requests) == 2
    assert not any(b"cookie" in request.lower() for request in server.requests)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(status: int) -> None:
    """Not even to the same host; it is an answer like any other that is not 200."""
    with Server(answering()) as elsewhere, Server(answering()) as server:
        for target in (f"{elsewhere.url}/", "/other"):
            server.behave = answering(b"", status, {"location": target})
            assert get(server.url).status == status
    assert (len(server.requests), len(elsewhere.requests)) == (2, 0)


@pytest.mark.parametrize("status", [204, 400, 401, 403, 404, 429, 500, 503])
def test_any_status_is_an_answer(status: int) -> None:
    with Server(answering(b"" if status == 204 else b"<html>", status)) as server:
        assert get(server.url).status == status


def test_the_largest_answer_and_one_larger() -> None:
    with Server(answering(b"x" * MAX_BODY)) as server:
        assert len(get(server.url).body) == MAX_BODY == 512 * 1024
        server.behave = answering(b"x" * (MAX_BODY + 1))
        assert failure(server.url) == "the answer is larger than 512 KiB"


def chunked_for_ever(exchange: Exchange) -> None:
    exchange.send(head(headers={"transfer-encoding": "chunked"}))
    for _ in range(1000):  # 32 MiB: not for ever, in case nobody hangs up
        exchange.send(b"8000\r\n" + b"x" * 0x8000 + b"\r\n")


def unbounded(exchange: Exchange) -> None:
    exchange.send(head())
    for _ in range(1000):
        exchange.send(b"x" * 0x8000)


BOMB = gzip.compress(b"0" * 20_000_000)


@pytest.mark.parametrize(
    ("behave", "words"),
    [
        pytest.param(answering(b"x" * 700_000), "the answer is larger than 512 KiB", id="oversized, with its length"),
        pytest.param(unbounded, "the answer is larger than 512 KiB", id="oversized, without a length"),
        pytest.param(chunked_for_ever, "the answer is larger than 512 KiB", id="oversized, in chunks"),
        pytest.param(
            answering(BOMB, headers={"content-encoding": "gzip"}),
            "the answer has a content-encoding, which was not asked for",
            id="gzip bomb",
        ),
        pytest.param(
            answering(b"{}", headers={"content-encoding": "br"}),
            "the answer has a content-encoding, which was not asked for",
            id="encoding of no matter which kind",
        ),
        pytest.param(
            sending(head(headers={"content-length": "1000"}) + b'{"keys"'),
            "RemoteProtocolError: peer closed connection without sending complete message body "
            "(received 7 bytes, expected 1000)",
            id="truncated",
        ),
        pytest.param(
            sending(head(headers={"transfer-encoding": "chunked"}) + b"10\r\n{"),
            "RemoteProtocolError: peer closed connection without sending complete message body "
            "(incomplete chunked read)",
            id="truncated in a chunk",
        ),
        pytest.param(
            sending(b""), "RemoteProtocolError: Server disconnected without sending a response.", id="hangs up"
        ),
        pytest.param(
            sending(b"SSH-2.0-SecretSauce\r\n\r\n"), "RemoteProtocolError: illegal status line", id="another protocol"
        ),
        pytest.param(
            sending(b"HTTP/1.1 200 OK\r\nsecret sauce\r\n\r\n"),
            "RemoteProtocolError: illegal header line",
            id="headers that are none",
        ),
        pytest.param(
            sending(head(headers={"transfer-encoding": "chunked"}) + b"sauce\r\n"),
            "RemoteProtocolError: illegal chunk header",
            id="chunks that are none",
        ),
    ],
)
@BOTH_WAYS
def test_no_whole_answer(behave: Behaviour, words: str, way: Way) -> None:
    """The text says why, and quotes nothing that was sent; memory stays within bounds."""
    with Server(behave) as server:
        fetcher = way()
        tracemalloc.start()
        with pytest.raises(FetchFailed) as failed:
            fetcher.send("GET", server.url, Attempt(), headers={})
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert str(failed.value) == words
    assert "sauce" not in "".join(traceback.format_exception(failed.value)).lower()
    assert peak < 4 * MAX_BODY


def test_an_answer_that_says_it_is_not_encoded_is_taken() -> None:
    with Server(answering(headers={"content-encoding": "Identity"})) as server:
        assert get(server.url).body == b"{}"


def test_nobody_listens() -> None:
    with nobody() as url:
        assert failure(url) == "ConnectError: [Errno 111] Connection refused"


# TLS


def test_over_tls_with_a_ca_of_ones_own(tls: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    with Server(answering(), tls[0]) as server:
        assert get(server.url, httpx.HTTPTransport(verify=tls[1])).body == b"{}"


def test_a_certificate_that_nobody_vouches_for_is_refused(tls: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    with Server(answering(), tls[0]) as server:
        assert failure(server.url).startswith(
            "ConnectError: [SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed"
        )
    assert server.requests == []


def test_a_certificate_for_another_name_is_refused(tls: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    with Server(answering(), tls[0]) as server:
        url = f"https://localhost:{server.port}"
        assert "Hostname mismatch" in failure(url, httpx.HTTPTransport(verify=tls[1]))
    assert server.requests == []


# The user's transport


class Counting(httpx.HTTPTransport):
    """Falsy, as an object with a length can be; counts how often it is closed."""

    closed = 0

    def __len__(self) -> int:
        return 0

    def close(self) -> None:
        self.closed += 1
        super().close()

    def __exit__(self, *_: object) -> None:
        self.close()


def test_the_users_transport_is_used_and_left_open() -> None:
    transport = Counting()
    with Server(answering()) as server:
        assert [get(server.url, transport).status for _ in range(3)] == [200] * 3
    assert transport.closed == 0


def test_a_pool_of_the_users_keeps_no_connection() -> None:
    """Each exchange has its own, so that its socket is known from the beginning, and a forked child shares none."""
    sources: list[object] = []

    def behave(exchange: Exchange) -> None:
        sources.append(exchange.sock.getpeername())
        answering()(exchange)

    with Server(behave) as server, httpx.HTTPTransport() as transport:
        for _ in range(3):
            get(server.url, transport)
        assert transport._pool.connections == []
    assert len(set(sources)) == 3


def test_a_transport_without_a_network() -> None:
    transport = httpx.MockTransport(lambda request: httpx.Response(404, content=request.url.path.encode()))
    assert get("https://acme.kinde.com/path", transport) == HttpAnswer(404, {"content-length": "5"}, b"/path")


def test_a_transport_whose_connections_are_no_sockets() -> None:
    """There is nothing to watch; the future's deadline holds all the same."""
    transport = httpx.HTTPTransport()
    wire = httpcore.MockBackend([head(headers={"content-length": "2"}), b"{}"])
    transport._pool = httpcore.ConnectionPool(network_backend=wire)
    assert get("http://acme.kinde.com", transport).body == b"{}"


def test_what_a_transport_raises_that_is_no_network_error_is_not_hidden() -> None:
    """It is a defect, and no failure of the issuer's."""

    def broken(request: httpx.Request) -> httpx.Response:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        get("https://acme.kinde.com", httpx.MockTransport(broken))


def test_the_text_of_a_failure_is_one_bounded_line() -> None:
    def wordy(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("two\r\nlines " + "x" * 1000)

    def silent(request: httpx.Request) -> httpx.Response:
        raise httpx.ReadTimeout("")

    text = failure("https://acme.kinde.com", httpx.MockTransport(wordy))
    assert text.startswith("ConnectError: two lines xxx")
    assert len(text) < 250
    assert failure("https://acme.kinde.com", httpx.MockTransport(silent)) == "ReadTimeout: no further detail"


# Making a guard loads all that a fetch needs

FIRST_FETCHES = """
import ssl, sys
from kinde_guard import Guard, KeysUnavailable

ca, algorithms, *urls = sys.argv[1:]
transport = None
if ca:
    import httpx
    transport = httpx.HTTPTransport(verify=ssl.create_default_context(cafile=ca))
settings = {"audience": "https://api.acme.com", "algorithms": algorithms.split(), "transport": transport}
guards = [(url, Guard(url, **settings)) for url in urls]
before = set(sys.modules)
for url, guard in guards:
    try:
        guard.warm()
        print(guard.health()[url].keys)
    except KeysUnavailable:
        print(guard.health()[url].problem)
print(sorted(set(sys.modules) - before))
"""


def first_fetches(ca: str, *urls: str, algorithms: str = "RS256 ES256 EdDSA") -> list[str]:
    command = [sys.executable, "-W", "error", "-c", FIRST_FETCHES, ca, algorithms, *urls]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LONG, check=True)
    return done.stdout.splitlines()


def keys_of_all_kinds() -> bytes:
    numbers = ec.generate_private_key(ec.SECP256R1()).public_key().public_numbers()
    x, y = (b64(number.to_bytes(32, "big")) for number in (numbers.x, numbers.y))
    ed = b64(ed25519.Ed25519PrivateKey.generate().public_key().public_bytes_raw())
    return key_set(
        jwk({"alg": ABSENT}),
        {"kty": "EC", "kid": "ec", "crv": "P-256", "x": x, "y": y},
        {"kty": "OKP", "kid": "ed", "crv": "Ed25519", "x": ed},
        {"kty": "oct", "kid": "skipped"},
    )


def test_the_first_fetch_loads_no_module(tls: tuple[ssl.SSLContext, ssl.SSLContext], tmp_path: Path) -> None:
    """Good or bad, http or https: a process that forked in the middle of it could never load that module."""
    ca = tmp_path / "ca.pem"
    ca.write_text("\n".join(map(ssl.DER_cert_to_PEM_cert, tls[1].get_ca_certs(binary_form=True))))
    good = answering(keys_of_all_kinds(), headers={"cache-control": "max-age=60"})
    bad = answering(b"", 429, {"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"})
    with (
        Server(good, tls[0]) as secure,
        Server(good) as plain,
        Server(bad) as busy,
        nobody() as silent,
        ThreadPoolExecutor(2) as pool,
    ):
        with_a_transport = pool.submit(first_fetches, str(ca), secure.url)
        first, *others = first_fetches("", secure.url, f"http://localhost:{plain.port}", busy.url, silent)
        assert with_a_transport.result(LONG) == ["3", "[]"]
    assert "CERTIFICATE_VERIFY_FAILED" in first
    assert others == ["3", "the issuer answered 429", "ConnectError: [Errno 111] Connection refused", "[]"]


@pytest.mark.parametrize(("algorithms", "keys"), [
    ("RS256", 1), ("RS512", 1), ("PS256", 1), ("ES256", 1), ("EdDSA", 1), ("RS256 PS384", 1), ("RS256 ES256", 2),
])  # fmt: skip
def test_nor_does_it_for_one_kind_of_keys_alone(algorithms: str, keys: int) -> None:
    with Server(answering(keys_of_all_kinds())) as plain:
        assert first_fetches("", plain.url, algorithms=algorithms) == [str(keys), "[]"]


# The time it may take. All these cases run side by side, once, and beside the other tests of this file.


@dataclass
class Flown:
    outcome: object
    seconds: float
    thread_ended: bool
    deserted: bool


def fly(fetcher: Fetcher, server: Server, url: str | None = None, patience: float = LONG) -> Flown:
    """One exchange as the key store makes it. *patience*: seconds after its end for what is to end with it."""
    landed: list[object] = []
    ended = threading.Event()

    def work(attempt: Attempt) -> object:
        try:
            return fetcher.send("GET", url or server.url, attempt, headers={})
        finally:
            ended.set()

    def land(outcome: object) -> Callback:
        landed.append(outcome)
        return lambda: None

    flight: Flight[object] = Flight(land, lambda error: error, deadline=TOTAL_TIMEOUT)
    started = time.monotonic()
    join(flight.start(work), LONG)
    seconds = time.monotonic() - started
    return Flown(landed[0], seconds, ended.wait(patience), server.deserted.wait(patience if server.requests else 0))


def at(seconds: float) -> threading.Event:
    event = threading.Event()
    timer = threading.Timer(seconds, event.set)
    timer.daemon = True
    timer.start()
    return event


class Blocking(httpx.BaseTransport):
    """As a look-up of a name does that nobody answers: it knows no time, and has no socket to be cut."""

    def __init__(self, free: threading.Event) -> None:
        self.free = free

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        assert self.free.wait(LONG)
        raise httpx.ConnectError("late")


DRIPPED = dripping(b"x" * 60, at_once=head(headers={"content-length": "60"}))


@pytest.fixture(scope="module", autouse=True)
def flown(tls: tuple[ssl.SSLContext, ssl.SSLContext]) -> Iterator[dict[str, Future[Flown]]]:
    own, trusting, free = our_own(), Fetcher(httpx.HTTPTransport(verify=tls[1])), threading.Event()
    with ExitStack() as stack:

        def served(behave: Behaviour, context: ssl.SSLContext | None = None) -> Server:
            return stack.enter_context(Server(behave, context))

        full = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(2):  # all that fit into its queue: the next is left without an answer
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        mute = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        proxy = served(tunnelling)
        through_proxy = Fetcher(httpx.HTTPTransport(proxy=proxy.url, verify=tls[1]))
        idle = served(answering())

        cases: dict[str, Callable[[], Flown]] = {
            "slow": lambda: fly(own, served(after(at(2.5), answering())), patience=0),
            "hangs before headers": lambda: fly(own, served(hanging)),
            "drips headers": lambda: fly(own, served(dripping(b"X-Y: z\r\n" * 9, at_once=b"HTTP/1.1 200 OK\r\n"))),
            "drips provisional answers": lambda: fly(
                own, served(dripping(b"HTTP/1.1 103 Early\r\n\r\n" * 9, every=0.05))
            ),
            "drips a body": lambda: fly(own, served(DRIPPED)),
            "drips a body without a length": lambda: fly(own, served(dripping(b"x" * 60, at_once=head()))),
            "drips a body over TLS": lambda: fly(trusting, served(DRIPPED, tls[0])),
            "drips a body over TLS through a proxy": lambda: fly(through_proxy, served(DRIPPED, tls[0])),
            "does not accept": lambda: fly(own, idle, f"http://127.0.0.1:{full.getsockname()[1]}"),
            "accepts and says nothing": lambda: fly(own, idle, f"https://127.0.0.1:{mute.getsockname()[1]}"),
            "blocks": lambda: fly(Fetcher(Blocking(free)), idle, patience=0.1),
        }
        with ThreadPoolExecutor(len(cases)) as pool:
            yield {name: pool.submit(case) for name, case in cases.items()}
            free.set()


def test_a_slow_answer_is_taken(flown: dict[str, Future[Flown]]) -> None:
    assert flown["slow"].result(LONG).outcome == HttpAnswer(200, {"content-length": "2"}, b"{}")


@pytest.mark.parametrize(
    "name",
    [
        "drips headers",
        "drips provisional answers",
        "drips a body",
        "drips a body without a length",
        "drips a body over TLS",
        "drips a body over TLS through a proxy",
    ],
)
def test_a_drip_ends_at_five_seconds(flown: dict[str, Future[Flown]], name: str) -> None:
    """For the caller, for the thread, and for the server, which finds the connection shut."""
    result = flown[name].result(LONG)
    assert str(result.outcome) == "no whole answer within 5 s"
    assert result.seconds > 4.9
    assert result.thread_ended
    assert result.deserted


def test_a_server_that_says_nothing_is_given_five_seconds(flown: dict[str, Future[Flown]]) -> None:
    result = flown["hangs before headers"].result(LONG)
    assert str(result.outcome) in ("ReadTimeout: timed out", "no whole answer within 5 s")
    assert result.seconds > 4.9
    assert result.thread_ended
    assert result.deserted


@pytest.mark.parametrize("name", ["does not accept", "accepts and says nothing"])
def test_a_connection_is_given_two_seconds(flown: dict[str, Future[Flown]], name: str) -> None:
    """TLS included."""
    result = flown[name].result(LONG)
    assert str(result.outcome).startswith("ConnectTimeout: ")
    assert result.seconds > 1.9


def test_a_thread_that_cannot_be_reached_holds_up_nobody(flown: dict[str, Future[Flown]]) -> None:
    result = flown["blocks"].result(LONG)
    assert str(result.outcome) == "no whole answer within 5 s"
    assert result.seconds > 4.9
    assert not result.thread_ended
