"""Forward auth behind real proxies, configured as is printed for them: what a caller writes opens nothing."""

from __future__ import annotations

import hashlib
import http.client
import http.server
import json
import os
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import proxies
import pytest
from servers import clean_environment, served_issuer
from waiting import LONG, running, until

from kinde_guard.cli.forward_auth.printed import Wiring, printed
from kinde_guard.hostile import assert_resists_hostile_tokens
from kinde_guard.issuer import LocalIssuer
from kinde_guard.web.identity_headers import NAMES, other_spellings

PROXIES = ("nginx", "caddy", "traefik", "envoy")
Headers = list[tuple[str, str]]
EMPTY = ("Authorization", "")


class App(http.server.BaseHTTPRequestHandler):
    """Behind the proxy: says that it was reached, where, by which headers, and with which body (its digest)."""

    def do_GET(self) -> None:
        digest = hashlib.sha256(self._body()).hexdigest()
        body = json.dumps({"reached": self.path, "headers": self.headers.items(), "body": digest}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_OPTIONS = do_GET  # noqa: N815  # the standard library's names

    def _body(self) -> bytes:
        if self.headers["Transfer-Encoding"] != "chunked":
            return self.rfile.read(int(self.headers["Content-Length"] or 0))
        pieces = []
        while size := int(self.rfile.readline(), 16):
            pieces.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(pieces)

    def log_message(self, *_: Any) -> None: ...


@contextmanager
def app() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), App)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join(LONG)
        server.server_close()


@contextmanager
def service(issuer: LocalIssuer, *options: str) -> Iterator[tuple[str, Any]]:
    """``kinde-guard forward-auth`` as somebody starts it: its URL, and the process."""
    environment = {**clean_environment(), "KINDE_DOMAIN": issuer.url, "KINDE_AUDIENCE": issuer.audience}
    command = [sys.executable, "-m", "kinde_guard", "forward-auth", "--port", "0", *options]
    with running(command, env=environment) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        greeting = process.stdout.readline()
        assert "this machine alone can reach it" in greeting, process.stderr.read()
        yield re.findall(r"http://127\.0\.0\.1:\d+", greeting)[0], process


def ask(where: str, path: str, *headers: tuple[str, str], method: str = "GET") -> tuple[int, dict[str, str], Any]:
    """As it stands: nothing tidies the path up, and a header may come twice."""
    connection = http.client.HTTPConnection(where, timeout=LONG)
    try:
        connection.putrequest(method, path, skip_accept_encoding=True)
        for name, value in headers:
            connection.putheader(name, value)
        connection.endheaders()
        answer = connection.getresponse()
        text = answer.read().decode()
        body = json.loads(text) if text.startswith("{") else {}
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, body
    finally:
        connection.close()


def post(where: str, body: bytes, chunked: bool, *headers: tuple[str, str]) -> tuple[int, Any]:
    """Status and document of the answer."""
    connection = http.client.HTTPConnection(where, timeout=LONG)
    pieces = (body[start : start + 50_000] for start in range(0, len(body), 50_000))
    try:
        connection.request("POST", "/users", pieces if chunked else body, dict(headers), encode_chunked=chunked)
        answer = connection.getresponse()
        text = answer.read().decode()
        return answer.status, json.loads(text) if answer.status == 200 else {}
    finally:
        connection.close()


def bearer(token: str) -> tuple[str, str]:
    return "Authorization", f"Bearer {token}"


FORGED: Headers = [
    ("X-Original-URI", "/verify/authenticated"),
    ("X-Original-URL", "/healthz"),
    ("X-Forwarded-Uri", "/healthz"),
    ("X-Forwarded-Method", "OPTIONS"),
    ("X-HTTP-Method-Override", "OPTIONS"),
    ("X-Forwarded-Prefix", "/verify/authenticated"),
    ("X-Rewrite-URL", "/healthz"),
]
QUERIES = (
    "?authenticated",
    "?/verify/authenticated",
    "?scope=",
    "?require=authenticated",
    "?%2fverify%2fauthenticated",
)
PATHS = (
    "/x/..;/admin",
    "/x/..%2fadmin",
    "/x/%2e%2e/admin",
    "//admin",
    "/verify/authenticated",
    "/_kinde_guard",
    "/a\\b",
)

TO_ADMIN = (
    "/admin",
    "/x/..;/admin",
    "/x/..%2fadmin",
    "/x/%2e%2e/admin",
    "/x/../admin",
    "/./admin",
    "//admin",
    "/;/admin",
    "/x;/../admin",
    "/\\admin",
    "/x\\..\\admin",
    "/admin;x",
    "/admin%2fx",
    "/%2fadmin",
    "/%61dmin",
    "/%2561dmin",
)
"""What an app may take for a path under ``/admin``, whatever the proxy takes it for."""
AS_ENVOY_READS = {
    "/x/%2e%2e/admin": (200, "/admin"),  # normalize_path
    "/%61dmin": (200, "/admin"),
    "//admin": (200, "/admin"),  # merge_slashes
    "/admin%2fx": (400, None),  # path_with_escaped_slashes_action
}


@pytest.fixture(params=PROXIES)
def proxy(request: pytest.FixtureRequest) -> str:
    proxies.program(request.param)
    if request.param == "envoy":
        pytest.importorskip("kinde_guard.ext_authz", reason="kinde-guard[envoy] is not installed", exc_type=ImportError)
    return str(request.param)


@contextmanager
def everything(
    proxy: str,
    folder: Path,
    requires: str,
    down: bool = False,
    misspelt: bool = False,
    says_who: bool = False,
    before: str = "",
    of_admin: str = "",
) -> Iterator[tuple[str, LocalIssuer, Any]]:
    """A local Kinde, an app, the service, and *proxy* in front of the app: its address, the Kinde, the service.
    *before*: what stands before the printed configuration. *of_admin*: what ``/admin`` requires."""
    grpc = str(proxies.free_port())
    options = ["--grpc", grpc] if proxy == "envoy" else []
    options += ["--identity-headers"] if says_who else []
    with served_issuer() as issuer, app() as behind:
        issuer.down = down
        with service(issuer, *options) as (url, process):
            texts = [
                printed(proxy, Wiring((each,), url, f"127.0.0.1:{grpc}", behind, says_who))
                for each in (requires, of_admin)
                if each
            ]
            text = proxies.stricter_for_admin(proxy, *texts) if of_admin else texts[0]
            text = re.sub("scope([=:])", r"scop\1", text) if misspelt else text
            with proxies.in_front(proxy, before + text, folder) as where:
                yield where, issuer, process


def test_a_proxy_lets_in_whom_it_should(proxy: str, tmp_path: Path) -> None:
    with everything(proxy, tmp_path, "scope:read:users") as (where, issuer, process):
        good, poor = issuer.m2m_token(scope="read:users"), issuer.m2m_token(scope="write:flags")
        until(lambda: ask(where, "/users?x=1", bearer(good))[0] == 200)  # Envoy looks its clusters up first
        assert ask(where, "/users?x=1", bearer(good))[2]["reached"] == "/users?x=1"
        assert ask(where, "/users", bearer(good), method="POST")[0] == 200

        status, headers, body = ask(where, "/users")
        assert (status, headers["www-authenticate"], "reached" in body) == (401, 'Bearer realm="api"', False)
        status, headers, _ = ask(where, "/users", bearer(issuer.preset("expired")))
        assert (status, 'error="invalid_token"' in headers["www-authenticate"]) == (401, True)
        status, headers, _ = ask(where, "/users", bearer(poor))
        assert (status, 'scope="read:users"' in headers["www-authenticate"]) == (403, True)
        assert ask(where, "/users", bearer(good), bearer(good))[0] == 400
        assert ask(where, "/users", ("Authorization", "Bearer"))[0] == 400
        assert ask(where, "/users", method="OPTIONS")[0] == 401

        for token in (None, poor):
            sent = [] if token is None else [bearer(token)]
            wrong = (401,) if token is None else (403,)
            for query in QUERIES:
                assert ask(where, f"/users{query}", *sent)[0] in wrong, query
            for header in FORGED:
                assert ask(where, "/users", *sent, header)[0] in wrong, header
            for path in PATHS:
                status, _, body = ask(where, path, *sent)
                assert status >= 400, path
                assert "reached" not in body, path

        process.kill()
        process.wait(LONG)
        status, _, body = ask(where, "/users", bearer(good))
        assert (status >= 500, "reached" in body) == (True, False)
        if proxy in ("nginx", "envoy"):
            assert status == 503


@pytest.mark.parametrize("chunked", [False, True], ids=["with its length", "in pieces"])
def test_a_body_reaches_the_app_whole(proxy: str, chunked: bool, tmp_path: Path) -> None:
    """If the caller may go on, who is answered otherwise; nginx keeps a large one in a file meanwhile."""
    with everything(proxy, tmp_path, "scope:read:users") as (where, issuer, _):
        good = bearer(issuer.m2m_token(scope="read:users"))
        until(lambda: ask(where, "/users", good)[0] == 200)
        for size in (10, 200_000):
            body = os.urandom(size)
            status, found = post(where, body, chunked, good)
            assert (status, found.get("body")) == (200, hashlib.sha256(body).hexdigest()), size
            assert post(where, body, chunked)[0] == 401, size


def test_no_path_gets_round_a_stricter_route(proxy: str, tmp_path: Path) -> None:
    """Asked by a caller whom the proxy lets in everywhere else."""
    with everything(proxy, tmp_path, "scope:read:users", of_admin="scope:admin") as (where, issuer, _):
        lesser, admin = issuer.m2m_token(scope="read:users"), issuer.m2m_token(scope="read:users admin")
        until(lambda: ask(where, "/users", bearer(lesser))[0] == 200)
        assert ask(where, "/admin", bearer(admin))[0] == 200
        for path in TO_ADMIN:
            status, _, body = ask(where, path, bearer(lesser))
            assert (status in (400, 403), "reached" in body) == (True, False), path
        for path, read in AS_ENVOY_READS.items() if proxy == "envoy" else ():
            status, _, body = ask(where, path, bearer(admin))
            assert (status, body.get("reached")) == read, path


def test_an_app_is_told_who_calls_by_nobody_else(proxy: str, tmp_path: Path) -> None:
    """Whatever an app takes for one of those headers, as WSGI does with underscores, does not come from the caller."""
    forged = [(name, "root") for name in (*NAMES, *(name.lower() for name in NAMES), *other_spellings())]
    before = "underscores_in_headers on;\n" if proxy == "nginx" else ""  # by default it drops half of them by itself
    with everything(proxy, tmp_path, "authenticated", says_who=True, before=before) as (where, issuer, _):
        token = issuer.m2m_token(azp="app_1", scope="read:users")  # has no organization, and no permissions
        until(lambda: ask(where, "/users", bearer(token))[0] == 200)
        _, _, body = ask(where, "/users", bearer(token), *forged)
        read = [(name.upper().replace("-", "_"), value) for name, value in body["headers"]]
        assert sorted((name, value) for name, value in read if name.startswith("X_KINDE") and value) == [
            ("X_KINDE_CLIENT_ID", "app_1"),
            ("X_KINDE_ISSUER", issuer.url),
            ("X_KINDE_SCOPES", "read:users"),
            ("X_KINDE_SUBJECT", "app_1"),
        ]
        assert ask(where, "/users", *forged)[0] == 401


def test_keys_that_cannot_be_had_are_503(proxy: str, tmp_path: Path) -> None:
    with everything(proxy, tmp_path, "authenticated", down=True) as (where, issuer, _):
        token = issuer.m2m_token()
        until(lambda: "retry-after" in ask(where, "/users", bearer(token))[1])  # Envoy looks its clusters up first
        status, headers, body = ask(where, "/users", bearer(token))
        assert (status, int(headers["retry-after"]) > 0, "reached" in body) == (503, True, False)


def test_a_requirement_that_cannot_be_read_lets_nobody_in(proxy: str, tmp_path: Path) -> None:
    with everything(proxy, tmp_path, "scope:read:users", misspelt=True) as (where, issuer, _):
        good = issuer.m2m_token(scope="read:users")
        until(lambda: ask(where, "/users", bearer(good))[0] == 500)
        assert "reached" not in ask(where, "/users", bearer(good))[2]


def test_an_app_resists_hostile_tokens(proxy: str, tmp_path: Path) -> None:
    with everything(proxy, tmp_path, "scope:read:users") as (where, issuer, _):
        good = bearer(issuer.m2m_token(scope="read:users"))
        until(lambda: ask(where, "/users", good)[0] == 200)
        if proxy != "envoy":
            assert_resists_hostile_tokens(f"http://{where}", "/users", issuer=issuer, scope="read:users")
            return
        with pytest.raises(AssertionError) as caught:
            assert_resists_hostile_tokens(f"http://{where}", "/users", issuer=issuer, scope="read:users")
        names = re.findall(r"^\* (.*)$", str(caught.value), re.M)
        assert names == [f"several Authorization headers: {order}" for order in ("good and empty", "empty and good")]
        for headers in ([good, EMPTY], [EMPTY, good]):  # Envoy drops the empty one, and the app gets one as well
            assert [pair for pair in ask(where, "/users", *headers)[2]["headers"] if pair[0] == "authorization"] == [
                ["authorization", good[1]]
            ]


def test_an_nginx_that_knows_no_other_answers(tmp_path: Path) -> None:
    """As that of Kubernetes' ingress-nginx: without the printed part that says what nginx does not."""
    proxies.program("nginx")
    with served_issuer() as issuer, app() as behind, service(issuer, "--statuses", "nginx") as (url, _):
        whole = printed("nginx", Wiring(("scope:read:users",), url, "", behind))
        bare, left_out = re.subn("error_page .*;", "", whole)
        with proxies.in_front("nginx", bare, tmp_path) as where:
            status, headers, _ = ask(where, "/users", ("Authorization", "Bearer"))
            assert (left_out, status, 'error="invalid_request"' in headers["www-authenticate"]) == (2, 401, True)
            assert ask(where, "/users", bearer(issuer.m2m_token(scope="read:users")))[0] == 200


def test_nginx_hands_on_one_challenge(tmp_path: Path) -> None:
    proxies.program("nginx")
    with everything("nginx", tmp_path, "scope:read:users") as (where, issuer, _):
        for token in ("x.y.z", issuer.m2m_token(scope="write:flags")):
            connection = http.client.HTTPConnection(where, timeout=LONG)
            connection.request("GET", "/users", headers=dict([bearer(token)]))
            assert len(connection.getresponse().msg.get_all("WWW-Authenticate", [])) == 1
            connection.close()
