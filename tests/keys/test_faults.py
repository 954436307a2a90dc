"""The local issuer, broken in every way it knows: what a guard's callers see of it, over real sockets.

``pytest -s tests/keys/test_faults.py`` prints the table that is expected here as :data:`ROWS`, as it was measured.
"""

from __future__ import annotations

import asyncio
import re
import socket
import threading
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from functools import cache
from itertools import product
from typing import Any, NamedTuple, TypeVar

import httpx
import pytest
import uvicorn
from helpers import NOW, Time, averdict, verdict
from waiting import LONG, patience, patience_is_noted, settle, until

from kinde_guard import ConfigurationError, Guard
from kinde_guard.issuer import FAULTS, LocalIssuer, Request, SigningKey
from kinde_guard.m2m import ClientCredentials, TokenRequestFailed
from kinde_guard.net.fetch import MAX_BODY

JWKS = "/.well-known/jwks"
CLOSED = "(nobody listens)"
AS_SHIPPED = True


class Row(NamedTuple):
    """What a fault comes to, for callers without keys (*cold*) and for those whose keys are due (*warm*)."""

    cold: str
    warm: str
    seconds: float
    """How long the cold ones wait; the warm ones never do."""
    fetches: tuple[int, int]
    """What all callers cost together, cold and warm."""
    health: tuple[str, str]
    """Cold and warm."""
    problem: str | tuple[str, ...] = ""
    """How it begins, or may begin."""
    wait: float = 1
    """Seconds after the healing until all is well."""
    meanwhile: str = "accepted"
    """The first verdict after that wait."""


def fails(problem: str | tuple[str, ...], *, seconds: float = 0, wait: int = 1) -> Row:
    """No keys are to be had. Those that are held go on."""
    return Row(f"again in {wait} s", "accepted", seconds, (1, 1), ("never_loaded", "stale"), problem, wait)


def works() -> Row:
    """There is nothing to notice. Warm, one fetch is the refresh that is due, and one the stranger's."""
    return Row("accepted", "accepted", 0, (1, 2), ("fresh", "fresh"))


def refuses(reason: str) -> Row:
    """To the guard it is a good answer, which it goes by for ten minutes, but for one more look at the keys when the
    first signature does not hold; then the first request asks anew."""
    return Row(reason, reason, 0, (2, 2), ("fresh", "fresh"), wait=600, meanwhile=reason)


ROWS: dict[str, Row] = {
    CLOSED: fails("ConnectError: "),
    "refusing": fails("RemoteProtocolError: Server disconnected without sending a response"),
    "hanging": fails(("TimeoutError: no whole answer within 5 s", "ReadTimeout: timed out"), seconds=5),
    "dripping": fails("TimeoutError: no whole answer within 5 s", seconds=5),
    "truncated": fails("RemoteProtocolError: peer closed connection without sending complete message body"),
    "client_error": fails("the issuer answered 404"),
    "server_error": fails("the issuer answered 500"),
    "rate_limited": fails("the issuer answered 429", wait=20),
    "redirect": fails("the issuer answered 302 (redirects are not followed)"),
    "redirect_elsewhere": fails("the issuer answered 302 (redirects are not followed)"),
    "redirect_to_http": fails("the issuer answered 302 (redirects are not followed)"),
    "oversized": fails("the answer is larger than 512 KiB"),
    "oversized_unannounced": fails("the answer is larger than 512 KiB"),
    "gzip_bomb": fails("the answer has a content-encoding, which was not asked for"),
    "not_json": fails("the answer is not JSON"),
    "wrong_shape": fails("the answer is not a JWK Set: it has no list of keys"),
    "html": fails("the answer is not JSON"),
    "wrong_content_type": works(),
    "empty_set": fails("no usable key in the set"),
    "unusable_keys": fails("no usable key in the set; key 0: its use is not sig; key 1: its key_ops lack verify; "),
    "many_keys": works(),
    "duplicate_kid": fails("no usable key in the set; key 1: another key has the same kid and kty"),
    "replaced_key": refuses("bad_signature"),
    "private_members": fails("no usable key in the set; key 0: its private part is published"),
    "oct_key": works(),
    "unknown_kty": works(),
    "unknown_crv": works(),
    "wrong_tls_name": fails(
        "ConnectError: [SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: IP address mismatch"
    ),
    "clock_skewed": works(),
}


OF_KEYS = [name for name, fault in FAULTS.items() if "keys" in fault.places]

# Of the token endpoint: what its client says, twice.
TOKEN_ROWS: dict[str, str] = {
    name: "a token" if name in ("wrong_content_type", "clock_skewed") else "temporarily_unavailable, again in 1 s"
    for name, fault in FAULTS.items()
    if "token" in fault.places
} | {
    "client_error": "unexpected_answer, again in 1 s",
    "redirect": "unexpected_answer, again in 1 s",
    "redirect_elsewhere": "unexpected_answer, again in 1 s",
    "redirect_to_http": "unexpected_answer, again in 1 s",
    "rate_limited": "too_many_requests, again in 20 s",
}


# The stage


@cache
def key(name: str) -> SigningKey:
    """Making one takes a tenth of a second."""
    return SigningKey.make(kid=name)


class Counting(httpx.HTTPTransport):
    """Counts the fetches that no server could."""

    fetches = 0

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.fetches += 1
        return super().handle_request(request)


@dataclass
class Kinde:
    """A local issuer behind a real server, by clocks that are set."""

    listener: socket.socket
    over_tls: bool = False
    time: Time = field(default_factory=Time)
    answering: int = 0
    """How many requests are being answered."""

    def __post_init__(self) -> None:
        scheme = "https" if self.over_tls else "http"
        self.url = f"{scheme}://127.0.0.1:{self.listener.getsockname()[1]}"
        self.issuer = LocalIssuer(self.url, clock=lambda: self.time.wall, key=key("signs"))
        self.issuer.stranger = key("a stranger's")
        self.transport: Counting | None = None  # the guard's own

    def count_at_the_guard(self) -> None:
        self.transport = Counting(verify=self.issuer.tls.client, trust_env=False)

    @property
    def fetches(self) -> int:
        return self.issuer.jwks_fetches if self.transport is None else self.transport.fetches

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        counted = scope["type"] == "http"
        self.answering += counted
        try:
            await self.issuer.asgi(scope, receive, send)
        finally:
            self.answering -= counted

    def guard(self) -> Guard:
        return Guard(
            self.url,
            audience=self.issuer.audience,
            variables=(),
            clocks=self.time.clocks,
            transport=self.transport,
        )

    @contextmanager
    def served(self) -> Iterator[None]:
        config = uvicorn.Config(
            self,
            log_config=None,
            ws="none",
            date_header=False,  # the issuer sends its own
            timeout_graceful_shutdown=1,
        )
        config.load()
        config.ssl = self.issuer.tls.server if self.over_tls else None
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([self.listener],), daemon=True)
        thread.start()
        try:
            yield  # the socket listens already: who connects early waits in its queue
        finally:
            server.should_exit = True
            thread.join(LONG)
            assert not thread.is_alive()


@contextmanager
def kinde(*, over_tls: bool = False) -> Iterator[Kinde]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        it = Kinde(listener, over_tls)
        with it.served():
            yield it


class Said(NamedTuple):
    verdict: str
    seconds: float
    patience: float
    """For how many seconds they would have waited."""


def ask(guard: Guard, raw: str) -> Said:
    """The verdict of five callers at once, one of them in an event loop, and how long the slowest waited."""

    def timed(call: Callable[[], str]) -> Said:
        started, patience.seconds = time.monotonic(), 0.0
        return Said(call(), time.monotonic() - started, patience.seconds)

    callers: list[Callable[[], str]] = [lambda: verdict(guard, raw)] * 4
    callers.append(lambda: asyncio.run(averdict(guard, raw)))
    with ThreadPoolExecutor(5) as pool:
        verdicts, seconds, most = zip(*pool.map(timed, callers), strict=True)
    return Said(" or ".join(sorted(set(verdicts))), max(seconds), max(most))


# The ordeal


class Scene(NamedTuple):
    """A working issuer, what breaks it and what heals it."""

    kinde: Kinde
    strike: Callable[[], object]
    heal: Callable[[], object]


@contextmanager
def scene(name: str) -> Iterator[Scene]:
    if name == CLOSED:
        with closable() as (it, server):
            it.count_at_the_guard()
            yield Scene(it, server.close, server.open)
    else:
        with kinde(over_tls=name == "wrong_tls_name") as it:
            if it.over_tls:
                it.count_at_the_guard()
            yield Scene(it, lambda: it.issuer.break_down(name), it.issuer.heal)


class Closable:
    """A server whose socket is closed, and opened again at the same port."""

    def __init__(self, it: Kinde) -> None:
        self._kinde = it
        self._serving = ExitStack()
        self._serving.enter_context(it.served())

    def close(self) -> None:
        self._serving.close()
        self._kinde.listener.close()

    def open(self) -> None:
        port = int(self._kinde.url.rpartition(":")[2])
        self._kinde.listener = socket.create_server(("127.0.0.1", port))
        self._serving.enter_context(self._kinde.served())


@contextmanager
def closable() -> Iterator[tuple[Kinde, Closable]]:
    it = Kinde(socket.create_server(("127.0.0.1", 0)))
    server = Closable(it)
    try:
        yield it, server
    finally:
        server.close()


@dataclass(frozen=True)
class Outcome:
    said: Said
    repeated: Said
    """Once the fetch is over, while the wait is on."""
    fetches: int
    health: str
    problem: str
    meanwhile: str
    end: tuple[str, str, str]
    """Verdict, health and problem when all should be well."""
    stranger: Said | None = None
    """With a kid that nobody knows, while the keys that are held are due."""


def cold(name: str) -> Outcome:
    """A guard that has never had keys."""
    with scene(name) as (it, strike, heal):
        guard, raw = it.guard(), it.issuer.m2m_token()
        strike()
        said, repeated = ask(guard, raw), ask(guard, raw)
        settle(guard)
        fetches, health = it.fetches, guard.health()[it.url]
        heal()
        return Outcome(said, repeated, fetches, health.state, health.problem, *healed(name, it, guard, raw))


def warm(name: str) -> Outcome:
    """A guard whose keys are due for a refresh: a stranger's kid starts it."""
    with scene(name) as (it, strike, heal):
        guard, raw, unknown = it.guard(), it.issuer.m2m_token(), it.issuer.preset("unknown_key")
        assert verdict(guard, raw) == "accepted"
        before = it.fetches
        it.time.passes(600)
        strike()
        stranger, said = ask(guard, unknown), ask(guard, raw)
        until(lambda: guard.health()[it.url].state == "fresh" or guard.health()[it.url].problem != "")
        repeated = ask(guard, raw)
        assert ask(guard, unknown).verdict == "unknown_key"
        fetches, health = it.fetches - before, guard.health()[it.url]
        heal()
        end = healed(name, it, guard, raw)
        return Outcome(said, repeated, fetches, health.state, health.problem, *end, stranger)


def healed(name: str, it: Kinde, guard: Guard, raw: str) -> tuple[str, tuple[str, str, str]]:
    it.time.passes(ROWS[name].wait)
    meanwhile = verdict(guard, raw)
    until(lambda: guard.health()[it.url].state == "fresh")
    health = guard.health()[it.url]
    return meanwhile, (verdict(guard, raw), health.state, health.problem)


def credentials(it: Kinde) -> ClientCredentials:
    app, clock = it.issuer.app, lambda: it.time.monotonic
    transport = httpx.HTTPTransport(verify=it.issuer.tls.client, trust_env=False) if it.over_tls else None
    return ClientCredentials(
        it.url,
        client_id=app.client_id,
        client_secret=app.client_secret,
        audience=it.issuer.audience,
        transport=transport,
        clock=clock,
    )


def errand(auth: ClientCredentials) -> str:
    try:
        auth.token()
    except TokenRequestFailed as failed:
        return f"{failed.error}, again in {failed.retry_after} s"
    return "a token"


class Errand(NamedTuple):
    said: list[str]
    seconds: float
    patience: float
    requests: int
    meanwhile: str
    """What a guard of the same issuer says to a token, whose keys are not what is broken."""
    end: str


def token(name: str) -> Errand:
    """A client whose token endpoint is broken."""
    with kinde(over_tls=name == "wrong_tls_name") as it:
        auth, guard, raw = credentials(it), it.guard(), it.issuer.m2m_token()
        it.issuer.break_down(name, at="token")
        started, patience.seconds = time.monotonic(), 0.0
        said = [errand(auth), errand(auth)]
        seconds, most, requests = time.monotonic() - started, patience.seconds, it.issuer.token_requests
        meanwhile = "not asked" if it.over_tls else verdict(guard, raw)
        it.issuer.heal()
        it.time.passes(20)
        return Errand(said, seconds, most, requests, meanwhile, errand(auth))


SLOW = ("hanging", "dripping")
ORDEALS = {"cold": cold, "warm": warm}
K = TypeVar("K")
V = TypeVar("V")
Outcomes = Mapping[tuple[str, str], Future[Outcome]]
Errands = Mapping[str, Future[Errand]]


@pytest.fixture(scope="module", autouse=True)
def pool() -> Iterator[ThreadPoolExecutor]:
    """Slow ordeals go on side by side, and beside the other tests of this file."""
    with patience_is_noted(), ThreadPoolExecutor(10) as it:
        yield it
        it.shutdown(cancel_futures=True)


@pytest.fixture(scope="module", autouse=True)
def outcomes(pool: ThreadPoolExecutor) -> Iterator[Outcomes]:
    seen = Begun(lambda case: pool.submit(ORDEALS[case[1]], case[0]), product(SLOW, ORDEALS))
    yield seen
    print("", *table(seen), sep="\n")


@pytest.fixture(scope="module", autouse=True)
def errands(pool: ThreadPoolExecutor) -> Errands:
    return Begun(lambda name: pool.submit(token, name), SLOW)


class Begun(dict[K, V]):
    """What has been begun: some of it at once, all else when it is asked for."""

    def __init__(self, begin: Callable[[K], V], at_once: Iterable[K]) -> None:
        self._begin = begin
        super().__init__({case: begin(case) for case in at_once})

    def __missing__(self, case: K) -> V:
        return self.setdefault(case, self._begin(case))


def table(outcomes: Outcomes) -> Iterator[str]:
    line = "{:22} {:14} {:14} {:>5} {:>5} {:>8} {:>3} {:>3} {:13} {:6} {}"
    yield line.format("", "cold", "warm", "cold", "warm", "stranger", "", "", "cold", "warm", "")
    yield line.format("fault", "verdict", "", "seconds", "", "", "fetches", "", "health", "", "why")
    for name in ROWS:
        begun = [outcomes.get((name, kind)) for kind in ORDEALS]
        if any(each is None or not each.done() or each.exception() for each in begun):
            continue
        one, two = (outcomes[name, kind].result() for kind in ORDEALS)
        assert two.stranger is not None
        waits = (f"{said.seconds:.2f}" for said in (one.said, two.said, two.stranger))
        seen = (one.said.verdict, two.repeated.verdict, *waits, one.fetches, two.fetches, one.health, two.health)
        yield line.format(name, *seen, one.problem[:60])


# The faults themselves


@pytest.fixture
def issuer() -> LocalIssuer:
    it = LocalIssuer(clock=lambda: NOW, key=key("signs"))
    it.stranger = key("a stranger's")
    return it


def client_of(issuer: LocalIssuer, **options: Any) -> httpx.Client:
    return httpx.Client(transport=issuer.transport, base_url=issuer.url, **options)


@pytest.mark.parametrize("name", OF_KEYS)
def test_without_a_socket_it_comes_to_the_same(issuer: LocalIssuer, name: str) -> None:
    """At once: in process nobody really waits for what is slow."""
    guard = Guard(issuer.url, audience=issuer.audience, variables=(), clocks=Time().clocks, transport=issuer.transport)
    raw = issuer.m2m_token()
    with issuer.broken(name):
        assert verdict(guard, raw) == ROWS[name].cold
        health = guard.health()[issuer.url]
    assert health.state == ROWS[name].health[0]
    assert not health.problem.startswith("TimeoutError")


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("refusing", httpx.ConnectError),
        ("wrong_tls_name", httpx.ConnectError),
        ("hanging", httpx.ReadTimeout),
        ("dripping", httpx.ReadTimeout),
        ("truncated", httpx.RemoteProtocolError),
    ],
)
def test_what_does_not_arrive(issuer: LocalIssuer, name: str, error: type[Exception]) -> None:
    """To httpx's clients it is the error that a network would make of it; to who asks for a response, 503."""
    issuer.fault = name
    with client_of(issuer) as client, pytest.raises(error):
        client.get(JWKS)
    assert issuer.respond(Request("GET", JWKS)).status == 503


STATUSES = [
    ("client_error", 404, {"status": 403}, 403),
    ("server_error", 500, {"status": 503}, 503),
    ("redirect", 302, {"status": 307}, 307),
    ("rate_limited", 429, {"seconds": 7}, 429),
]


@pytest.mark.parametrize(("name", "usual", "options", "told"), STATUSES)
def test_statuses(issuer: LocalIssuer, name: str, usual: int, options: dict[str, int], told: int) -> None:
    with client_of(issuer) as client:
        issuer.break_down(name)
        assert client.get(JWKS).status_code == usual
        issuer.break_down(name, "keys", **options)
        answer = client.get(JWKS)
        assert answer.status_code == told
        assert answer.headers.get("retry-after") == ("7" if name == "rate_limited" else None)


def test_redirects(issuer: LocalIssuer) -> None:
    """Whoever follows one on the same host finds the right keys, so that not following is what the test is about."""
    with client_of(issuer, follow_redirects=True) as client:
        issuer.fault = "redirect"
        assert client.get(JWKS).json() == issuer.jwks()
        assert str(client.get(JWKS).url) == f"{issuer.url}{JWKS}?moved=1"
        issuer.fault = "redirect_elsewhere"
        assert location(issuer) == f"https://other.kinde.test{JWKS}?moved=1"
        issuer.fault = "redirect_to_http"
        assert location(issuer) == f"http://local.kinde.test{JWKS}?moved=1"


def location(issuer: LocalIssuer) -> str:
    return issuer.respond(Request("GET", JWKS)).headers["location"]


def test_sizes(issuer: LocalIssuer) -> None:
    """Size is all that is wrong: whoever takes it all has the right keys."""
    with client_of(issuer) as client:
        issuer.fault = "oversized"
        whole = client.get(JWKS)
        assert len(whole.content) == int(whole.headers["content-length"]) > MAX_BODY
        issuer.fault = "oversized_unannounced"
        unannounced = client.get(JWKS)
        assert len(unannounced.content) > MAX_BODY
        assert "content-length" not in unannounced.headers
        assert whole.json() == unannounced.json() == issuer.jwks()
        issuer.break_down("oversized", size=10)
        assert len(client.get(JWKS).content) == len(issuer.respond(Request("GET", "/.well-known/jwks")).body)


def test_a_gzip_bomb(issuer: LocalIssuer) -> None:
    issuer.break_down("gzip_bomb", size=3_000_000)
    answer = issuer.respond(Request("GET", JWKS))
    assert len(answer.body) < 20_000 < 3_000_000 < len(zlib.decompress(answer.body, wbits=31))
    with client_of(issuer) as client:
        assert client.get(JWKS).json() == issuer.jwks()


def test_other_bodies(issuer: LocalIssuer) -> None:
    with client_of(issuer) as client:
        for name, content_type in (("html", "text/html"), ("wrong_content_type", "text/plain")):
            issuer.fault = name
            assert client.get(JWKS).headers["content-type"] == content_type
        issuer.fault = "wrong_shape"
        assert client.get(JWKS).json() == [issuer.jwks()]
        issuer.fault = "not_json"
        assert client.get(JWKS).text.startswith("{'keys':")


def published(issuer: LocalIssuer, name: str, **options: float) -> list[Any]:
    with issuer.broken(name, "keys", **options), client_of(issuer) as client:
        return list(client.get(JWKS).json()["keys"])


ODD = [("oct_key", "kty", "oct"), ("unknown_kty", "kty", "NEW"), ("unknown_crv", "crv", "BP-256")]


def test_odd_keys(issuer: LocalIssuer) -> None:
    """They are odd in what their name says, and beside the right ones unless those are what is odd."""
    right, kid = issuer.jwks()["keys"][0], issuer.key.kid
    assert published(issuer, "empty_set") == []
    assert [len(set(map(str, published(issuer, "many_keys", **each)))) for each in ({}, {"count": 3})] == [500, 3]
    assert published(issuer, "many_keys")[-1] == right
    assert [jwk["kid"] for jwk in published(issuer, "duplicate_kid")] == [kid, kid]
    assert published(issuer, "replaced_key") == [{**issuer.stranger.public_jwk(), "kid": kid}]
    (burnt,) = published(issuer, "private_members")
    assert {name for name in burnt if name not in right} == {"d", "p", "q", "dp", "dq", "qi"}
    assert {name: burnt[name] for name in right} == right
    for name, member, value in ODD:
        odd, last = published(issuer, name)
        assert (odd[member], last) == (value, right)
    assert right not in published(issuer, "unusable_keys")


class Change(NamedTuple):
    happen: Callable[[], object]
    before: str
    after: str


def test_new_material_under_an_old_kid() -> None:
    """From the next refresh on its tokens are good, and those of the old key are not; and back again."""
    with kinde() as it:
        guard, old = it.guard(), it.issuer.m2m_token()
        new = it.issuer.token(it.issuer.m2m_claims(), header={"kid": it.issuer.key.kid}, key=it.issuer.stranger)
        assert (verdict(guard, old), verdict(guard, new)) == ("accepted", "bad_signature")
        changes: list[Change] = [
            Change(lambda: it.issuer.break_down("replaced_key"), old, new),
            Change(it.issuer.heal, new, old),
        ]
        for happen, before, after in changes:
            happen()
            it.time.passes(600)
            verdict(guard, before)  # starts the refresh
            until(lambda: guard.health()[it.url].state == "fresh")
            assert (verdict(guard, before), verdict(guard, after)) == ("bad_signature", "accepted")


@pytest.mark.parametrize(("seconds", "reason"), [(3600, "not_yet_valid"), (-2 * 86_400, "expired"), (20, "accepted")])
def test_a_clock_that_is_wrong(issuer: LocalIssuer, seconds: float, reason: str) -> None:
    """Tokens are dated by it, and so are answers; a guard goes by its own."""
    guard = Guard(issuer.url, audience=issuer.audience, variables=(), clocks=Time().clocks, transport=issuer.transport)
    with client_of(issuer) as client:
        assert parsedate_to_datetime(client.get(JWKS).headers["date"]).timestamp() == NOW
        with issuer.broken("clock_skewed", seconds=seconds):
            wrong = issuer.m2m_token()
            date = client.get(JWKS).headers["date"]
        assert parsedate_to_datetime(date).timestamp() == NOW + seconds
    assert verdict(guard, wrong) == reason
    assert verdict(guard, issuer.m2m_token()) == "accepted"


def test_the_name_in_the_certificate() -> None:
    """Over TLS it is the name alone that is wrong; without TLS the nearest is to hang up."""
    with kinde(over_tls=True) as it, httpx.Client(base_url=it.url, verify=it.issuer.tls.client) as client:
        assert client.get(JWKS, headers={"connection": "close"}).json() == it.issuer.jwks()
        it.issuer.fault = "wrong_tls_name"
        with pytest.raises(httpx.ConnectError, match="IP address mismatch"):
            client.get(JWKS)
        it.issuer.heal()
        assert client.get(JWKS).status_code == 200
    with kinde() as it, httpx.Client(base_url=it.url, trust_env=False) as client:
        it.issuer.fault = "wrong_tls_name"
        with pytest.raises(httpx.RemoteProtocolError):
            client.get(JWKS)


def test_what_is_made_when_it_is_needed_is_made_once() -> None:
    """The server's thread and the test's may need it at the same time."""
    for name in ("tls", "stranger"):
        issuer, start = LocalIssuer(key=key("signs")), threading.Barrier(4)

        def made(issuer: LocalIssuer = issuer, start: threading.Barrier = start, name: str = name) -> int:
            start.wait(LONG)
            return id(getattr(issuer, name))

        with ThreadPoolExecutor(4) as pool:
            assert len({call.result(LONG) for call in [pool.submit(made) for _ in range(4)]}) == 1


# What is slow, and when it ends


def test_hanging_ends_when_the_client_goes_away() -> None:
    with kinde() as it, httpx.Client(base_url=it.url, trust_env=False, timeout=0.2) as client:
        for name in SLOW:
            it.issuer.break_down(name, seconds=1000)
            with pytest.raises(httpx.ReadTimeout):
                client.get(JWKS)
            until(lambda: it.answering == 0)


def test_hanging_ends_when_the_server_stops() -> None:
    """It is not answered then: not even with 500."""
    with ThreadPoolExecutor(len(SLOW)) as pool:
        errors = list(pool.map(stranded, SLOW))
    assert errors[0].startswith("Server disconnected")
    assert errors[1].startswith("peer closed connection")


def stranded(name: str) -> str:
    """What a client sees that is being kept waiting when the server stops."""
    with ThreadPoolExecutor(1) as pool:
        with kinde() as it:
            it.issuer.break_down(name, seconds=1000)
            waiting = pool.submit(httpx.get, f"{it.url}{JWKS}", trust_env=False, timeout=LONG)
            until(lambda: it.answering == 1)
        assert it.answering == 0
        error = waiting.exception(LONG)
        assert isinstance(error, httpx.RemoteProtocolError)
        return str(error)


def test_hanging_ends_when_the_issuer_is_healed_and_when_its_time_is_up() -> None:
    """Then comes the right answer."""
    with kinde() as it, ThreadPoolExecutor(1) as pool:
        for name in SLOW:
            it.issuer.break_down(name, seconds=1000)
            waiting = pool.submit(httpx.get, f"{it.url}{JWKS}", trust_env=False, timeout=LONG)
            until(lambda: it.answering == 1)
            it.issuer.heal()
            assert waiting.result(LONG).json() == it.issuer.jwks()
        it.issuer.break_down("hanging", seconds=0.2)
        started = time.monotonic()
        assert httpx.get(f"{it.url}{JWKS}", trust_env=False).json() == it.issuer.jwks()
        assert time.monotonic() - started > 0.15
        it.issuer.break_down("dripping", seconds=0)
        assert httpx.get(f"{it.url}{JWKS}", trust_env=False).json() == it.issuer.jwks()


# By code


def test_breaking_and_healing(issuer: LocalIssuer) -> None:
    def states() -> tuple[int, int]:
        discovery = "/.well-known/openid-configuration"
        return issuer.respond(Request("GET", JWKS)).status, issuer.respond(Request("GET", discovery)).status

    assert (issuer.fault, states()) == (None, (200, 200))
    issuer.fault = "server_error"
    assert (issuer.fault, states()) == ("server_error", (500, 200))
    with issuer.broken("client_error"), issuer.broken("client_error", at="discovery", status=410):
        assert (issuer.fault, states()) == ("client_error", (404, 410))
    assert (issuer.fault, states()) == ("server_error", (500, 200))
    issuer.break_down("server_error", at="discovery")
    issuer.fault = None
    assert (issuer.fault, states()) == (None, (200, 500))
    issuer.heal()
    assert (issuer.faults, states()) == ({}, (200, 200))


def test_a_block_that_fails_heals_too(issuer: LocalIssuer) -> None:
    with pytest.raises(KeyError), issuer.broken("html"):
        raise KeyError
    assert issuer.fault is None


def test_attempts_are_counted(issuer: LocalIssuer) -> None:
    with issuer.broken("refusing"):
        issuer.respond(Request("GET", JWKS))
    assert issuer.jwks_fetches == 1


def test_preflights_and_heads(issuer: LocalIssuer) -> None:
    """A fault is one of answers; asking whether one may ask is none. HEAD gets the headers of what GET would get."""
    issuer.fault = "server_error"
    assert issuer.respond(Request("OPTIONS", JWKS)).status == 204
    head, get = (issuer.respond(Request(method, JWKS)) for method in ("HEAD", "GET"))
    assert (head.status, head.headers, head.body) == (get.status, get.headers, b"")
    assert head.headers["access-control-allow-origin"] == "*"


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"name": "nonsense"}, "there is no fault 'nonsense': use one of refusing, hanging, "),
    ({"name": "html", "at": "nowhere"}, "there is no endpoint 'nowhere' to break: use one of keys, token, discovery"),
    ({"name": "empty_set", "at": "token"}, "the fault 'empty_set' is one of keys, not of token"),
    ({"name": "html", "seconds": 1}, "the fault 'html' has no option 'seconds': it takes no option"),
    ({"name": "hanging", "status": 1}, "the fault 'hanging' has no option 'status': it takes seconds"),
    ({"name": "server_error", "status": 404}, "status must be a whole number from 500 to 599, not 404"),
    ({"name": "server_error", "status": 500.0}, "status must be a whole number from 500 to 599, not 500.0"),
    ({"name": "hanging", "seconds": "1"}, "seconds must be a number from 0 to 1000000.0, not '1'"),
    ({"name": "hanging", "seconds": True}, "seconds must be a number from 0 to 1000000.0, not True"),
    ({"name": "hanging", "seconds": float("nan")}, "seconds must be a number from 0 to 1000000.0, not nan"),
]


@pytest.mark.parametrize(("wish", "words"), WRONG)
def test_wishes_that_make_no_sense(issuer: LocalIssuer, wish: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(words)):
        issuer.break_down(wish.pop("name"), **wish)
    assert issuer.faults == {}


# Over HTTP


CONTROL = "/_local/faults"


@pytest.fixture(scope="module")
def served() -> Iterator[Kinde]:
    with kinde() as it:
        yield it


@pytest.fixture
def control(served: Kinde) -> Iterator[httpx.Client]:
    served.issuer.heal()
    with httpx.Client(base_url=served.url, trust_env=False) as client:
        yield client


def test_over_http(served: Kinde, control: httpx.Client) -> None:
    """Broken and healed while it is served; what is broken is not the way to heal it."""
    assert control.get(CONTROL).json() == {
        "faults": {},
        "known": {name: fault.summary for name, fault in FAULTS.items()},
    }
    told = control.post(CONTROL, json={"fault": "client_error", "status": 403})
    assert (told.status_code, told.json()["faults"]) == (200, {"keys": {"fault": "client_error", "status": 403}})
    assert control.get(JWKS).status_code == 403
    served.issuer.down = True
    control.post(CONTROL, json={"fault": "server_error", "at": "token"})
    served.issuer.down = False
    assert control.post("/oauth2/token").status_code == 500
    assert control.post(CONTROL, json={"fault": None}).json()["faults"] == {
        "token": {"fault": "server_error", "status": 500}
    }
    assert control.get(JWKS).status_code == 200
    assert control.delete(CONTROL).json()["faults"] == {}
    assert served.issuer.faults == {}


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"host": "localhost"}, 200),
        ({"host": "[::1]:80"}, 200),
        ({"host": "127.0.0.1:80", "origin": "http://127.0.0.1:80"}, 200),
        ({"host": "evil.example"}, 403),
        ({"host": "127.0.0.1.evil.example"}, 403),
        ({"host": "localhost@evil.example"}, 403),
        ({"host": "[::1"}, 403),
        ({"host": "[::1].evil.example"}, 403),
        ({"host": "evil@localhost"}, 403),
        ({"sec-fetch-site": "none"}, 200),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"host": ""}, 403),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "http://localhost:3000"}, 403),
        ({"origin": "null"}, 403),
        ({"host": "evil.example", "origin": "http://evil.example"}, 403),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_who_may(served: Kinde, control: httpx.Client, headers: dict[str, str], status: int, method: str) -> None:
    """This machine, and no page: neither one from elsewhere nor one whose name has been pointed here."""
    served.issuer.fault = "html"
    body = {"fault": None} if method == "POST" else None
    answer = control.request(method, CONTROL, headers=headers, json=body)
    assert answer.status_code == status
    assert "access-control-allow-origin" not in answer.headers
    assert (served.issuer.fault is None) == (status == 200 and method != "GET")


@pytest.mark.parametrize(("client", "status"), [(("127.0.0.1", 1), 200), (None, 200), (("192.0.2.1", 1), 403)])
def test_from_where(issuer: LocalIssuer, client: tuple[str, int] | None, status: int) -> None:
    """Also where a server listens to more than this machine."""
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": CONTROL, "query_string": b"", "client": client}
    asyncio.run(issuer.asgi({**scope, "headers": [(b"host", b"localhost")]}, receive, send))
    assert sent[0]["status"] == status


@pytest.mark.parametrize(
    ("body", "content_type", "words"),
    [
        ('{"fault": "html"}', "text/plain", "the content type must be application/json."),
        ("{", "application/json", "the body must be a JSON object such as "),
        ("[" * 50_000, "application/json", "the body must be a JSON object such as "),
        ("[]", "application/json", "the body must be a JSON object such as "),
        ('{"at": "keys"}', "application/json", "the body must be a JSON object such as "),
        (
            '{"fault": "html", "x": "' + "x" * 70_000 + '"}',
            "application/json",
            "the body must be a JSON object such as ",
        ),
        ('{"fault": "nonsense"}', "application/json", "there is no fault 'nonsense': "),
        ('{"fault": ["html"]}', "application/json", "there is no fault ['html']: "),
        ('{"fault": "html", "at": ["keys"]}', "application/json", "there is no endpoint ['keys'] to break: "),
        ('{"fault": null, "seconds": 3}', "application/json", "options are a fault's: name it"),
        ('{"fault": "html", "name": "x"}', "application/json", "the fault 'html' has no option 'name'"),
        ('{"fault": "hanging", "seconds": 1e400}', "application/json", "seconds must be a number from 0 to "),
    ],
)
def test_what_cannot_be_understood(
    served: Kinde, control: httpx.Client, body: str, content_type: str, words: str
) -> None:
    answer = control.post(CONTROL, content=body, headers={"content-type": content_type})
    assert answer.status_code == 400
    assert answer.json()["error_description"].startswith(words)
    assert served.issuer.faults == {}


def test_no_other_method(control: httpx.Client) -> None:
    answer = control.put(CONTROL)
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, POST, DELETE")


def test_it_is_for_served_issuers_alone(issuer: LocalIssuer) -> None:
    """In process there is ``break_down``."""
    assert issuer.respond(Request("GET", CONTROL)).status == 404


# What callers see: see ROWS


def test_every_fault_has_a_row() -> None:
    assert set(ROWS) == {CLOSED, *OF_KEYS}


@pytest.mark.parametrize("name", ROWS)
def test_without_keys(outcomes: Outcomes, name: str) -> None:
    """Nobody waits longer than five seconds, all together cost one fetch, and after healing and the wait the first
    request is served."""
    seen, row = outcomes[name, "cold"].result(LONG), ROWS[name]
    assert (seen.said.verdict, seen.repeated.verdict) == (row.cold, row.cold)
    assert seen.said.seconds > row.seconds - 0.1
    assert row.seconds - 0.1 < seen.said.patience <= 5.25
    assert seen.repeated.patience == 0
    assert (seen.fetches, seen.health) == (row.fetches[0], row.health[0])
    assert begins(seen.problem, row.problem)
    assert seen.meanwhile == row.meanwhile
    assert seen.end == ("accepted", "fresh", "")


@pytest.mark.parametrize("name", ROWS)
def test_with_keys_that_are_due(outcomes: Outcomes, name: str) -> None:
    """Nobody whose key is held waits, a stranger waits a second at most, a failure costs all together one fetch, and
    after healing and the wait the keys are fresh."""
    seen, row = outcomes[name, "warm"].result(LONG), ROWS[name]
    assert seen.stranger is not None
    assert seen.stranger.verdict == "unknown_key"
    assert seen.stranger.patience <= 1
    assert (seen.said.verdict, seen.repeated.verdict) == (row.warm, row.warm)
    assert (seen.said.patience, seen.repeated.patience) == (0, 0)
    assert (seen.fetches, seen.health) == (row.fetches[1], row.health[1])
    assert begins(seen.problem, row.problem)
    assert seen.meanwhile == row.meanwhile
    assert seen.end == ("accepted", "fresh", "")


def begins(problem: str, expected: str | tuple[str, ...]) -> bool:
    """An empty problem is none."""
    return problem.startswith(expected) if expected else problem == ""


@pytest.mark.parametrize("name", TOKEN_ROWS)
def test_the_token_endpoint(errands: Errands, name: str) -> None:
    """Broken on request, and by itself. Nobody waits longer than five seconds, a failure costs one request, and after
    the wait there is a token."""
    seen = errands[name].result(LONG)
    assert seen.said == [TOKEN_ROWS[name]] * 2
    assert seen.seconds > (4.9 if name in SLOW else 0)
    assert seen.patience <= 6
    assert (seen.requests, seen.meanwhile) == ((0, "not asked") if name == "wrong_tls_name" else (1, "accepted"))
    assert seen.end == "a token"
