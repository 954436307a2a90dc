"""The token on the requests of requests and aiohttp: the same rules as on those of httpx, over sockets."""

from __future__ import annotations

import asyncio
import importlib
import io
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

import aiohttp
import pytest
import requests
from aiohttp.abc import AbstractResolver, ResolveResult
from token_endpoint import Clock, Kinde, credentials, refusal, settle
from waiting import LONG, in_thread

from kinde_guard import ConfigurationError
from kinde_guard.m2m import ClientCredentials, RequestsAuth, TokenRefused, aiohttp_middleware, holder

REDIRECTS = (301, 302, 303, 307, 308)
OLD, NEW = "Bearer token-1", "Bearer token-2"

Judge = Callable[["Seen"], tuple[int, dict[str, str]]]


class Seen(NamedTuple):
    """A request as the API received it."""

    path: str
    authorization: str | None
    body: bytes


def welcome(seen: Seen) -> tuple[int, dict[str, str]]:
    return 200, {}


class Api(ThreadingHTTPServer):
    """An API on loopback: keeps what it sees, and answers as *judge* says."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, judge: Judge = welcome) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.judge = judge
        self.seen: list[Seen] = []
        self.endless: threading.Event | None = None
        """While it is not set, the body of a refusal goes on."""

    def handle_error(self, *args: object) -> None:
        """A client that has heard enough has gone."""

    @property
    def tokens(self) -> list[str | None]:
        return [seen.authorization for seen in self.seen]


class Handler(BaseHTTPRequestHandler):
    server: Api
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer(b"")

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length")
        self._answer(self._chunks() if length is None else self.rfile.read(int(length)))

    def _chunks(self) -> bytes:
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _answer(self, body: bytes) -> None:
        seen = Seen(self.path, self.headers["Authorization"], body)
        self.server.seen.append(seen)
        status, headers = self.server.judge(seen)
        endless = self.server.endless if status == 401 else None
        self.send_response(status)
        for name, value in {**headers, "Content-Length": "2" if endless is None else str(10**9)}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(b"{}")
        if endless is not None:
            assert endless.wait(LONG)

    def log_message(self, *args: object) -> None: ...


@pytest.fixture
def serve() -> Iterator[Callable[..., Api]]:
    with ExitStack() as stack:

        def start(judge: Judge = welcome) -> Api:
            api = stack.enter_context(Api(judge))
            thread = in_thread(lambda: api.serve_forever(0.01))
            stack.callback(thread.join)
            stack.callback(api.shutdown)
            return api

        yield start


class ByRequests:
    """A session of requests."""

    failure: type[Exception] = requests.exceptions.RequestException

    def __init__(self, auth: ClientCredentials) -> None:
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.auth = RequestsAuth(auth)

    def __call__(self, method: str, url: str, **options: Any) -> int:
        with self.session as session:
            return session.request(method, url, timeout=LONG, **options).status_code

    def at_once(self, count: int, url: str) -> list[int]:
        with ThreadPoolExecutor(count) as pool:
            return list(pool.map(lambda _: self("GET", url), range(count)))


class ByAiohttp:
    """A session of aiohttp."""

    def __init__(self, auth: ClientCredentials) -> None:
        self.middleware = aiohttp_middleware(auth)

    def session(self) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(middlewares=[self.middleware])

    def __call__(self, method: str, url: str, **options: Any) -> int:
        async def main() -> int:
            async with self.session() as session, session.request(method, url, **options) as response:
                return response.status

        return asyncio.run(main())

    def at_once(self, count: int, url: str) -> list[int]:
        async def get(session: aiohttp.ClientSession) -> int:
            async with session.get(url) as response:
                return response.status

        async def main() -> list[int]:
            async with self.session() as session:
                return list(await asyncio.gather(*(get(session) for _ in range(count))))

        return asyncio.run(main())


Client = ByRequests | ByAiohttp
every_client = pytest.mark.parametrize("client", [ByRequests, ByAiohttp])


@pytest.fixture(autouse=True)
def _no_environment(no_settings: None) -> None:
    """Applications are what each test says."""


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine, too, a token comes in time."""
    monkeypatch.setattr(holder, "TOTAL_TIMEOUT", LONG)
    monkeypatch.setattr(holder, "WAIT", LONG)


def refusing(*tokens: str) -> Judge:
    """401 to these."""
    return lambda seen: (401, {}) if seen.authorization in tokens else (200, {})


def used(kinde: Kinde, clock: Clock, api: Api) -> ClientCredentials:
    """Credentials whose token is old enough to be renewed."""
    auth = credentials(kinde, clock, api=api.url)
    auth.token()
    clock.now += 61
    return auth


def test_one_token_for_both_libraries_and_httpx(serve: Callable[..., Api]) -> None:
    kinde, api = Kinde(), serve()
    auth = credentials(kinde, api=api.url)

    assert [client(auth)("GET", api.url) for client in (ByRequests, ByAiohttp)] == [200, 200]

    assert api.tokens == [f"Bearer {auth.token()}"] * 2
    assert len(kinde.requests) == 1


@every_client
def test_without_a_token_no_request_is_sent(client: type[Client], serve: Callable[..., Api]) -> None:
    api = serve()
    auth = credentials(Kinde(refusal("invalid_client", 401)), api=api.url)

    with pytest.raises(TokenRefused, match="invalid_client"):
        client(auth)("GET", api.url)

    assert api.seen == []


@every_client
@pytest.mark.parametrize("status", REDIRECTS)
def test_a_redirect_to_another_origin_does_not_take_the_token_along(
    client: type[Client], status: int, serve: Callable[..., Api]
) -> None:
    """Another port is another origin. At its own the token goes on."""
    elsewhere = serve()
    to = {"/far": elsewhere.url, "/near": "/"}
    api = serve(lambda seen: (200, {}) if seen.path == "/" else (status, {"Location": to[seen.path]}))
    auth = credentials(api=api.url)

    assert client(auth)("GET", f"{api.url}/far") == client(auth)("GET", f"{api.url}/near") == 200

    assert elsewhere.tokens == [None]
    assert api.tokens == [OLD, OLD, OLD]


def test_nor_where_any_private_origin_may_have_it(serve: Callable[..., Api]) -> None:
    elsewhere = serve()
    api = serve(lambda _: (302, {"Location": elsewhere.url}))

    assert ByRequests(credentials())("GET", api.url) == 200

    assert (api.tokens, elsewhere.tokens) == ([OLD], [None])


@every_client
def test_nor_does_the_other_token(client: type[Client], serve: Callable[..., Api]) -> None:
    """A redirect after the refusal; at one's own origin it is the other token that goes on."""
    elsewhere = serve()
    to = {"/far": elsewhere.url, "/near": "/"}
    api = serve(lambda _: (200, {}))

    def judge(seen: Seen) -> tuple[int, dict[str, str]]:
        if seen.authorization == OLD:
            return 401, {}
        return (302, {"Location": to[seen.path]}) if seen.path in to else (200, {})

    api.judge = judge
    for path, tokens in (("/far", [OLD, NEW]), ("/near", [OLD, NEW, NEW])):
        api.seen.clear()
        assert client(used(Kinde(), Clock(), api))("GET", api.url + path) == 200
        assert api.tokens == tokens
    assert elsewhere.tokens == [None]


class Answering(requests.adapters.HTTPAdapter):
    """A transport without a socket, for ports that a test may not have: a redirect from http to https."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str | None, Any]] = []

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        self.seen.append((request.url, request.headers.get("Authorization")))
        response = requests.Response()
        response.request, response.url, response.raw = request, request.url or "", io.BytesIO()
        response.connection = self
        response.status_code = 302 if response.url.startswith("http:") else 200
        response.headers["Location"] = "https://localhost/users"
        return response


def test_https_at_the_same_host_is_another_origin() -> None:
    """requests keeps the header there, where both ports are the usual ones."""
    auth, adapter = credentials(), Answering()
    with requests.Session() as session:
        session.mount("http://", adapter)
        session.mount("https://", adapter)
        session.get("http://localhost/users", auth=RequestsAuth(auth))

    assert adapter.seen == [("http://localhost/users", OLD), ("https://localhost/users", None)]


@pytest.mark.parametrize("location", ["http://[", "http://127.0.0.1:99999/"])
def test_a_redirect_to_nowhere_takes_nothing_along(location: str, serve: Callable[..., Api]) -> None:
    api = serve(lambda _: (302, {"Location": location}))
    with pytest.raises((ByRequests.failure, ValueError)):
        ByRequests(credentials())("GET", api.url)
    assert api.tokens == [OLD]


@every_client
@pytest.mark.parametrize(("age", "renewed"), [(60, False), (61, True)])
def test_a_refused_token_is_renewed_once(
    client: type[Client], age: int, renewed: bool, serve: Callable[..., Api]
) -> None:
    kinde, clock, api = Kinde(), Clock(), serve(refusing(OLD))
    auth = credentials(kinde, clock, api=api.url)
    auth.token()
    clock.now += age

    assert client(auth)("GET", api.url) == (200 if renewed else 401)

    assert api.tokens == ([OLD, NEW] if renewed else [OLD])
    assert len(kinde.requests) == (2 if renewed else 1)


@every_client
def test_an_api_that_always_says_no_is_asked_twice(client: type[Client], serve: Callable[..., Api]) -> None:
    """And costs no third token: the wait doubles, as with httpx."""
    kinde, clock, api = Kinde(), Clock(), serve(lambda _: (401, {}))
    ask = client(used(kinde, clock, api))

    assert ask("GET", api.url) == 401
    assert api.tokens == [OLD, NEW]
    clock.now += 61
    assert ask("GET", api.url) == 401
    assert (len(api.seen), len(kinde.requests)) == (3, 2)


@every_client
def test_every_rotation_is_met_at_once_after_one_that_was(client: type[Client], serve: Callable[..., Api]) -> None:
    """What helped is noted, so that patience is not used up."""
    kinde, clock, api = Kinde(), Clock(), serve()
    ask = client(used(kinde, clock, api))
    for number in range(1, 6):
        api.judge = refusing(f"Bearer token-{number}")
        assert ask("GET", api.url) == 200
        clock.now += 300

    assert api.tokens[-2:] == ["Bearer token-5", "Bearer token-6"]


@every_client
@pytest.mark.parametrize("status", [400, 403, 500, 503])
def test_other_answers_are_handed_on(client: type[Client], status: int, serve: Callable[..., Api]) -> None:
    api = serve(lambda _: (status, {}))
    assert client(used(Kinde(), Clock(), api))("GET", api.url) == status
    assert len(api.seen) == 1


def chunks() -> Iterator[bytes]:
    yield b"body"


async def _async_chunks() -> Any:
    yield b"body"


BODIES = [
    (ByRequests, "bytes", lambda: {"data": b"body"}, True),
    (ByRequests, "text", lambda: {"data": "body"}, True),
    (ByRequests, "form", lambda: {"data": {"a": "b"}}, True),
    (ByRequests, "json", lambda: {"json": {"a": "b"}}, True),
    (ByRequests, "multipart", lambda: {"files": {"f": b"body"}}, True),
    (ByRequests, "none", dict, True),
    (ByRequests, "generator", lambda: {"data": chunks()}, False),
    (ByRequests, "file", lambda: {"data": io.BytesIO(b"body")}, False),
    (ByAiohttp, "bytes", lambda: {"data": b"body"}, True),
    (ByAiohttp, "text", lambda: {"data": "body"}, True),
    (ByAiohttp, "form", lambda: {"data": {"a": "b"}}, True),
    (ByAiohttp, "json", lambda: {"json": {"a": "b"}}, True),
    (ByAiohttp, "none", dict, True),
    (ByAiohttp, "compressed", lambda: {"data": b"body" * 99, "compress": True}, True),
    (ByAiohttp, "multipart", lambda: {"data": {"f": io.BytesIO(b"body")}}, False),
    (ByAiohttp, "generator", lambda: {"data": _async_chunks()}, False),
    (ByAiohttp, "file", lambda: {"data": io.BytesIO(b"body")}, False),
]


@pytest.mark.parametrize(
    ("client", "body", "again"),
    [pytest.param(client, body, again, id=f"{client.__name__}-{name}") for client, name, body, again in BODIES],
)
def test_only_a_body_in_memory_is_sent_again(
    client: type[Client], body: Callable[[], dict[str, Any]], again: bool, serve: Callable[..., Api]
) -> None:
    """What is left of another would be a truncated request. The other token is for the next one then."""
    api = serve(refusing(OLD))
    auth = used(Kinde(), Clock(), api)

    assert client(auth)("POST", api.url, **body()) == (200 if again else 401)

    assert len(api.seen) == (2 if again else 1)
    assert len({seen.body for seen in api.seen}) == 1
    settle(auth)
    assert auth.token() == "token-2"


@every_client
def test_many_that_are_refused_at_once_cost_one_token(client: type[Client], serve: Callable[..., Api]) -> None:
    """One session, 40 threads or tasks; each request is sent twice at most."""
    kinde, api = Kinde(), serve(refusing(OLD))
    ask = client(used(kinde, Clock(), api))

    assert ask.at_once(40, api.url) == [200] * 40

    assert len(kinde.requests) == 2
    assert api.tokens.count(NEW) == 40
    assert api.tokens.count(OLD) <= 40


@every_client
def test_many_that_are_cold_cost_one_token(client: type[Client], serve: Callable[..., Api]) -> None:
    kinde, api = Kinde(), serve()
    assert client(credentials(kinde, api=api.url)).at_once(40, api.url) == [200] * 40
    assert (len(kinde.requests), api.tokens) == (1, [OLD] * 40)


@every_client
def test_the_body_of_a_refusal_is_not_waited_for(client: type[Client], serve: Callable[..., Api]) -> None:
    api = serve(refusing(OLD))
    api.endless = threading.Event()
    try:
        assert client(used(Kinde(), Clock(), api))("GET", api.url) == 200
    finally:
        api.endless.set()


def test_the_history_of_requests_shows_the_refusal(serve: Callable[..., Api]) -> None:
    api = serve(refusing(OLD))
    with requests.Session() as session:
        response = session.get(api.url, auth=RequestsAuth(used(Kinde(), Clock(), api)))
    assert [answer.status_code for answer in (*response.history, response)] == [401, 200]


ORIGINS = [
    ("https://api.acme.com", "https://api.acme.com/users", True),
    ("https://api.acme.com", "https://API.acme.com:443/users", True),
    ("https://api.acme.com", "https://api.acme.com:8443/users", False),
    ("https://api.acme.com", "http://api.acme.com/users", False),
    ("https://api.acme.com", "https://api.acme.com.evil.example/users", False),
    ("https://api.acme.com", "https://api.acme.com@evil.example/users", False),
    ("https://api.acme.com", "https://evil.example\\@api.acme.com/users", False),
    ("http://localhost:8000", "http://localhost:8000/users", True),
    ("http://[::1]:8000", "http://[::1]:8000/users", True),
    ("http://localhost:8000", "http://127.0.0.1:8000/users", False),
    ("https://xn--bcher-kva.example", "https://bücher.example/users", True),
    (None, "https://api.acme.com/users", True),
    (None, "http://127.0.0.1:8000/users", True),
    (None, "http://api.acme.com/users", False),
    (None, "http://127.0.0.1.evil.example/users", False),
    (None, "http+unix://%2Fvar%2Frun%2Fapi.sock/users", False),
]


@pytest.mark.parametrize(("api", "url", "carried"), ORIGINS)
def test_origins(api: str | None, url: str, carried: bool) -> None:
    """As the library that connects reads the URL: which host that is was asked of it."""
    request = requests.Request("GET", url, auth=RequestsAuth(credentials(api=api))).prepare()
    assert (request.headers.get("Authorization") == OLD) is carried


class Everywhere(AbstractResolver):
    """Every name is this machine."""

    async def resolve(self, host: str, port: int = 0, family: Any = 0) -> list[ResolveResult]:
        return [ResolveResult(hostname=host, host="127.0.0.1", port=port, family=2, proto=0, flags=0)]

    async def close(self) -> None: ...


@pytest.mark.parametrize(
    ("named", "asked", "carried"),
    [("localhost", "localhost", True), ("localhost", "LOCALHOST", True), ("localhost", "api.acme.com", False)],
)
def test_origins_of_aiohttp(named: str, asked: str, carried: bool, serve: Callable[..., Api]) -> None:
    api = serve()
    middleware = aiohttp_middleware(credentials(api=f"http://{named}:{api.server_port}"))

    async def main() -> None:
        connector, url = aiohttp.TCPConnector(resolver=Everywhere()), f"http://{asked}:{api.server_port}/"
        async with aiohttp.ClientSession(connector=connector, middlewares=[middleware]) as session, session.get(url):
            pass

    asyncio.run(main())
    assert api.tokens == [OLD if carried else None]


def test_aiohttp_wants_the_api_named() -> None:
    with pytest.raises(ConfigurationError, match="needs to know which API"):
        aiohttp_middleware(credentials())


def test_no_token_in_a_repr() -> None:
    auth = credentials()
    assert auth.token() not in repr(RequestsAuth(auth))
    assert "acme.kinde.com" in repr(RequestsAuth(auth))


@pytest.mark.parametrize(("library", "name"), [("requests", "RequestsAuth"), ("aiohttp", "aiohttp_middleware")])
def test_a_library_that_is_not_there_is_asked_for(library: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module = f"kinde_guard.m2m.for_{library}"
    monkeypatch.delitem(sys.modules, module, raising=False)
    for loaded in [loaded for loaded in sys.modules if loaded.split(".")[0] == library]:
        monkeypatch.delitem(sys.modules, loaded)
    monkeypatch.setitem(sys.modules, library, None)

    with pytest.raises(ImportError, match=rf"{name} needs {library}.*: pip install"):
        importlib.import_module(module)


def test_neither_library_is_loaded_unasked() -> None:
    script = "import sys, kinde_guard.m2m as m; print(m.ClientCredentials, {'requests', 'aiohttp'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("set()\n")


def test_other_names_are_unknown() -> None:
    m2m = importlib.import_module("kinde_guard.m2m")
    assert {"RequestsAuth", "aiohttp_middleware", "ClientCredentials"} <= set(dir(m2m))
    with pytest.raises(AttributeError, match="has no attribute 'AiohttpAuth'"):
        m2m.AiohttpAuth  # noqa: B018
