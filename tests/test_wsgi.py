"""The WSGI middleware, in front of an app of no framework."""

from __future__ import annotations

import http.client
import io
import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

import pytest
from helpers import AUDIENCE, CLIENT, DOMAIN, M2M, Issuer, guard_of, jwk, key_set, mint
from waiting import LONG

from kinde_guard import AccessToken, ConfigurationError, Guard, InsufficientScope, Requirement, permission, scope
from kinde_guard.requirements import org_of_route
from kinde_guard.wsgi import GuardMiddleware

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

PREFLIGHT = {"HTTP_ORIGIN": "https://app.example", "HTTP_ACCESS_CONTROL_REQUEST_METHOD": "POST"}


class Unread(io.BytesIO):
    """A body that nobody may read."""

    def read(self, size: int | None = -1, /) -> bytes:
        raise AssertionError("the body was read")


@dataclass
class App:
    """An app that says who called, and remembers what it was asked."""

    asked: list[WSGIEnvironment] = field(default_factory=list)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        self.asked.append(environ)
        token = environ.get("kinde_guard.token")
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [(token.client_id if token else "nobody").encode()]


@dataclass
class Counting:
    """A guard that counts what it verifies."""

    guard: Guard
    verified: int = 0

    def recognise(self, values: list[str]) -> AccessToken | None:
        return None  # so that each look at a token is counted

    def authenticate(self, values: list[str]) -> AccessToken:
        self.verified += 1
        return self.guard.authenticate(values)

    def demand(self, token: AccessToken, requirement: Requirement) -> None:
        self.guard.demand(token, requirement)


@dataclass
class Answer:
    status: str
    headers: dict[str, str]
    body: bytes


def ask(app: WSGIApplication, path: str = "/users", token: str | None = None, **environ: Any) -> Answer:
    """The answer to a request; both sides are held to PEP 3333."""
    environ = {"PATH_INFO": path, "SCRIPT_NAME": "", "QUERY_STRING": "", "wsgi.input": Unread(), **environ}
    if token is not None:
        environ["HTTP_AUTHORIZATION"] = f"Bearer {token}"
    setup_testing_defaults(environ)
    started: list[Any] = []

    def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Callable[[bytes], object]:
        started.extend((status, headers))
        return lambda data: None

    chunks = validator(app)(environ, start_response)
    try:
        body = b"".join(chunks)
    finally:
        chunks.close()  # type: ignore[attr-defined]  # the validator's iterator has one
    return Answer(started[0], dict(started[1]), body)


@pytest.fixture
def app() -> App:
    return App()


def test_no_token(app: App, guard: Guard) -> None:
    """Refused before the app is called and before the body is read, with the challenge and the problem body."""
    answer = ask(GuardMiddleware(app, guard), REQUEST_METHOD="POST", CONTENT_LENGTH="12")
    assert answer.status == "401 Unauthorized"
    assert answer.headers == {
        "WWW-Authenticate": 'Bearer realm="api"',
        "Cache-Control": "no-store",
        "Content-Type": "application/problem+json",
        "Content-Length": str(len(answer.body)),
    }
    assert json.loads(answer.body)["error"] == "missing_token"
    assert app.asked == []


def test_good_token(app: App, guard: Guard) -> None:
    """The app finds the token in the environ."""
    answer = ask(GuardMiddleware(app, guard), token=mint())
    assert (answer.status, answer.body) == ("200 OK", CLIENT.encode())
    assert isinstance(app.asked[0]["kinde_guard.token"], AccessToken)


@pytest.mark.parametrize(
    ("environ", "status", "error"),
    [
        pytest.param({"HTTP_AUTHORIZATION": "Basic YTpi"}, "401 Unauthorized", "missing_token", id="another scheme"),
        pytest.param({"HTTP_AUTHORIZATION": "Bearer"}, "400 Bad Request", "invalid_request", id="no token"),
        pytest.param({"HTTP_AUTHORIZATION": "Bearer a.b.c"}, "401 Unauthorized", "invalid_token", id="no JWS"),
        pytest.param({"HTTP_X_AUTHORIZATION": "good"}, "401 Unauthorized", "missing_token", id="another header"),
        pytest.param({"QUERY_STRING": "good"}, "401 Unauthorized", "missing_token", id="in the query"),
        pytest.param({"HTTP_COOKIE": "good"}, "401 Unauthorized", "missing_token", id="in a cookie"),
    ],
)
def test_refused(app: App, guard: Guard, environ: dict[str, str], status: str, error: str) -> None:
    """Only an Authorization header with one bearer token will do."""
    given = {name: value.replace("good", f"access_token={mint()}") for name, value in environ.items()}
    answer = ask(GuardMiddleware(app, guard), **given)
    assert (answer.status, json.loads(answer.body)["error"]) == (status, error)
    assert app.asked == []


def test_two_headers(app: App, guard: Guard) -> None:
    """A server joins them with a comma, and that is no token, be the first of them as good as it may."""
    answer = ask(GuardMiddleware(app, guard), HTTP_AUTHORIZATION=f"Bearer {mint()},Bearer {mint()}")
    assert answer.status == "400 Bad Request"
    assert app.asked == []


def test_requires(app: App, guard: Guard) -> None:
    """On top of a valid token, a requirement for the whole app."""
    guarded = GuardMiddleware(app, guard, requires=scope("read:users", "delete:users"))
    answer = ask(guarded, token=mint(base=M2M))
    assert answer.status == "403 Forbidden"
    assert answer.headers["WWW-Authenticate"].endswith('scope="read:users delete:users"')
    assert ask(guarded, token=mint({"scope": "read:users delete:users"}, base=M2M)).status == "200 OK"
    assert len(app.asked) == 1


def test_head(app: App, guard: Guard) -> None:
    """A refusal of HEAD has the headers of the refusal of GET, and no body (RFC 9110 §9.3.2)."""
    answer = ask(GuardMiddleware(app, guard), REQUEST_METHOD="HEAD")
    assert answer.body == b""
    assert answer.headers == ask(GuardMiddleware(app, guard)).headers


def test_cannot_tell(app: App) -> None:
    """Without keys it is nobody's fault: 503 and when to come back, and no challenge."""
    issuer = Issuer()
    issuer.status = 500
    answer = ask(GuardMiddleware(app, guard_of(issuer)), token=mint())
    assert answer.status == "503 Service Unavailable"
    assert int(answer.headers["Retry-After"]) >= 1
    assert "WWW-Authenticate" not in answer.headers
    assert app.asked == []


@pytest.mark.parametrize(
    ("method", "headers", "passes"),
    [
        pytest.param("OPTIONS", PREFLIGHT, True, id="all of one"),
        pytest.param("OPTIONS", {**PREFLIGHT, "HTTP_X_HTTP_METHOD": "GET"}, False, id="an override"),
        pytest.param("OPTIONS", {}, False, id="not CORS"),
        pytest.param("OPTIONS", {"HTTP_ORIGIN": "https://app.example"}, False, id="no method asked for"),
        pytest.param("OPTIONS", {"HTTP_ACCESS_CONTROL_REQUEST_METHOD": "POST"}, False, id="no origin"),
        pytest.param("GET", PREFLIGHT, False, id="the headers alone"),
        pytest.param("options", PREFLIGHT, False, id="methods have a case"),
    ],
)
@pytest.mark.filterwarnings("ignore:Unknown REQUEST_METHOD")
def test_preflight(app: App, guard: Guard, method: str, headers: dict[str, str], passes: bool) -> None:
    """Nothing passes for calling itself one, unless the owner of the app says that it answers them all."""
    request = {"REQUEST_METHOD": method, **headers}
    assert ask(GuardMiddleware(app, guard), **request).status == "401 Unauthorized"
    assert ask(GuardMiddleware(app, guard, requires=scope("a")), **request).status == "401 Unauthorized"
    assert app.asked == []
    answer = ask(GuardMiddleware(app, guard, pass_preflights=True), **request)
    assert answer.status == ("200 OK" if passes else "401 Unauthorized")
    assert len(app.asked) == passes


@pytest.mark.parametrize(
    ("path", "is_public"),
    [
        pytest.param("/healthz", True, id="that very path"),
        pytest.param("/healthz/", False, id="a slash more"),
        pytest.param("/Healthz", False, id="another case"),
        pytest.param("/healthz/x", False, id="below an exact path"),
        pytest.param("//healthz", False, id="two slashes in front"),
        pytest.param("healthz", False, id="no slash"),
        pytest.param("/", False, id="the root"),
        pytest.param("/static/app.js", True, id="below"),
        pytest.param("/static/a/b.js", True, id="further below"),
        pytest.param("/static/", True, id="the folder"),
        pytest.param("/static", False, id="not below: its name"),
        pytest.param("/staticfile", False, id="not below: another name"),
        pytest.param("/static/../users", False, id="dots"),
        pytest.param("/static/a/..", False, id="dots at the end"),
        pytest.param("/static/./a", False, id="one dot"),
        pytest.param("/static//a", False, id="two slashes"),
        pytest.param("/static/..\\users", False, id="a backslash"),
        pytest.param("/static/a\x00", False, id="NUL"),
        pytest.param("/static/%2e%2e/users", False, id="a percent sign is left"),
        pytest.param("/static/ä".encode().decode("latin-1"), True, id="UTF-8 below"),
        pytest.param("/ärzte".encode().decode("latin-1"), True, id="UTF-8, that very path"),
        pytest.param("/ärzte", False, id="not UTF-8"),
        pytest.param("/static/\xff", False, id="not UTF-8, below"),
        pytest.param("/static/\N{SNOWMAN}", False, id="not PEP 3333"),
    ],
)
def test_public(app: App, guard: Guard, path: str, is_public: bool) -> None:
    """A public path is that very path, or what lies below; whatever could be read in two ways is not public."""
    guarded = GuardMiddleware(app, guard, public=["/healthz", "/static/*", "/ärzte"])
    list(guarded({"PATH_INFO": path, "REQUEST_METHOD": "GET"}, lambda status, headers, exc_info=None: print))
    assert bool(app.asked) is is_public


def test_mounted(app: App, guard: Guard) -> None:
    """Paths are those of the app, without the prefix that it is mounted under."""
    guarded = GuardMiddleware(app, guard, public=["/healthz"])
    assert ask(guarded, "/healthz", SCRIPT_NAME="/api").status == "200 OK"
    assert ask(guarded, "/api/healthz").status == "401 Unauthorized"
    assert ask(guarded, "/users", SCRIPT_NAME="/healthz").status == "401 Unauthorized"


def test_verified_once(app: App, guard: Guard) -> None:
    """Two layers with one guard verify once."""
    counting: Any = Counting(guard)
    assert ask(GuardMiddleware(GuardMiddleware(app, counting), counting), token=mint()).status == "200 OK"
    assert counting.verified == 1


def test_another_guard(app: App, guard: Guard) -> None:
    """What one guard has verified counts for nothing with another, which verifies for itself."""
    other = guard_of(Issuer(), audience="https://other.acme.com")
    answer = ask(GuardMiddleware(GuardMiddleware(app, other), guard), token=mint())
    assert (answer.status, json.loads(answer.body)["error"]) == ("401 Unauthorized", "invalid_token")
    both = mint({"aud": [AUDIENCE, "https://other.acme.com"]})
    assert ask(GuardMiddleware(GuardMiddleware(app, other), guard), token=both).status == "200 OK"


def test_another_header(app: App, guard: Guard) -> None:
    """An app that asks itself with a copy of the environ and another header is answered for that header."""

    def outer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        return inner({**environ, "HTTP_AUTHORIZATION": "Bearer a.b.c"}, start_response)

    inner = GuardMiddleware(app, guard)
    assert ask(GuardMiddleware(outer, guard), token=mint()).status == "401 Unauthorized"
    assert app.asked == []


def test_a_token_left_in_the_environ(app: App, guard: Guard) -> None:
    """What somebody else has put into the environ lets nobody in."""
    environ: dict[str, Any] = {"kinde_guard.token": guard.verify(mint())}
    assert ask(GuardMiddleware(app, guard), **environ).status == "401 Unauthorized"


def test_the_apps_exceptions(guard: Guard) -> None:
    """What the app raises is the app's, also where it is one of ours."""

    def broken(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        raise InsufficientScope(["a"])

    with pytest.raises(InsufficientScope):
        ask(GuardMiddleware(broken, guard), token=mint())


def test_guard_can_be_replaced(app: App, guard: Guard) -> None:
    """Tests of an app put another guard in the place of its own."""
    guarded = GuardMiddleware(app, guard)
    guarded.guard = guard_of(Issuer(), audience="https://other.acme.com")
    assert ask(guarded, token=mint()).status == "401 Unauthorized"


def test_no_app(guard: Guard) -> None:
    with pytest.raises(ConfigurationError, match="takes a WSGI app first"):
        GuardMiddleware(guard, public=["/healthz"])  # type: ignore[arg-type]


def test_environment(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a guard it makes one from the environment, when it is made and not at the first request."""
    monkeypatch.delenv("KINDE_DOMAIN", raising=False)
    with pytest.raises(ConfigurationError, match="KINDE_DOMAIN"):
        GuardMiddleware(app)
    monkeypatch.setenv("KINDE_DOMAIN", DOMAIN)
    monkeypatch.setenv("KINDE_AUDIENCE", AUDIENCE)
    assert repr(GuardMiddleware(app).guard) == f"<Guard of https://{DOMAIN} for {AUDIENCE}>"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        pytest.param({"public": "/healthz"}, "list of paths", id="one path"),
        pytest.param({"public": ["healthz"]}, "slash", id="no slash"),
        pytest.param({"public": ["/*"]}, "every path public", id="everything"),
        pytest.param({"requires": "read:users"}, "scope", id="text"),
        pytest.param({"requires": [scope("a")]}, "requirement", id="a list"),
        pytest.param({"requires": org_of_route(None, "org") | permission("p")}, "path parameter", id="no route"),
    ],
)
def test_settings_that_are_wrong(app: App, guard: Guard, settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        GuardMiddleware(app, guard, **settings)


SERVED = """
from kinde_guard.wsgi import GuardMiddleware

def app(environ, start_response):
    token = environ.get("kinde_guard.token")
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [(token.client_id if token else "nobody").encode()]

application = GuardMiddleware(app, public=["/healthz"])
"""


class Keys(BaseHTTPRequestHandler):
    """Serves the key set, whatever is asked for."""

    def do_GET(self) -> None:
        body = key_set(jwk())
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Says nothing."""


@pytest.fixture
def issuer_url() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Keys) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def gunicorn(tmp_path: Path, issuer_url: str) -> Iterator[int]:
    """The port of a gunicorn with threads that serves the middleware in front of an app."""
    (tmp_path / "served.py").write_text(SERVED)
    (tmp_path / "gunicorn.conf.py").write_text("control_socket_disable = True")
    command = [sys.executable, "-m", "gunicorn", "--bind", "127.0.0.1:0", "--threads", "4"]
    environ = {**os.environ, "KINDE_DOMAIN": issuer_url, "KINDE_AUDIENCE": AUDIENCE, "PYTHONPATH": os.getcwd()}
    with subprocess.Popen(
        [*command, "served:application"], cwd=tmp_path, env=environ, stderr=subprocess.PIPE, text=True
    ) as server:
        try:
            assert server.stderr is not None
            lines = iter(server.stderr.readline, "")
            port = next(
                found[1] for line in lines if (found := re.search(r"Listening at: http://127\.0\.0\.1:(\d+)", line))
            )
            yield int(port)
        finally:
            server.terminate()


def test_gunicorn(gunicorn: int, issuer_url: str) -> None:
    """Served for real by several threads, against an issuer on a socket: one good call beside many that are refused."""
    claims = {"iss": issuer_url, "iat": int(time.time()), "exp": int(time.time()) + 600}

    def call(path: str, token: str | None = None) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", gunicorn, timeout=LONG)
        connection.request("GET", path, headers={} if token is None else {"Authorization": f"Bearer {token}"})
        answer = connection.getresponse()
        result = answer.status, answer.read()
        connection.close()
        return result

    asked: list[tuple[str, str | None]] = [("/healthz", None), ("/x", None), ("/x", mint(claims)), ("/x", mint())] * 4
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda one: call(*one), asked))
    assert [status for status, _ in answers] == [200, 401, 200, 401] * 4
    assert answers[0][1] == b"nobody"
    assert answers[2][1] == CLIENT.encode()


def test_gunicorn_refuses_before_the_body(gunicorn: int) -> None:
    """A caller without a token is refused while its body is still on its way."""
    connection = http.client.HTTPConnection("127.0.0.1", gunicorn, timeout=LONG)
    connection.putrequest("POST", "/x")
    connection.putheader("Content-Length", "1000000")
    connection.endheaders(b"only the beginning")
    assert connection.getresponse().status == 401
    connection.close()
