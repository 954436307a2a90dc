"""The examples, started for real as their first lines say, and asked good and bad requests over HTTP."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import httpx
import pytest
from commands import variables_of_app
from servers import served_issuer
from waiting import LONG
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from kinde_guard.cli.serving import listen, url_of
from kinde_guard.issuer import LocalIssuer

ROOT = Path(__file__).parents[1]
SERVERS = {
    "fastapi": ["uvicorn", "examples.fastapi_app:app", "--log-level", "warning", "--fd"],
    "starlette": ["uvicorn", "examples.starlette_app:app", "--log-level", "warning", "--fd"],
    "flask": ["gunicorn", "--threads", "8", "examples.flask_app:app", "--log-level", "warning", "--bind"],
    "django": [
        "gunicorn",
        "--threads",
        "8",
        "examples.django_app.wsgi:application",
        "--log-level",
        "warning",
        "--bind",
    ],
    "django over ASGI": ["uvicorn", "examples.django_app.asgi:application", "--log-level", "warning", "--fd"],
}


@pytest.fixture(scope="module")
def issuer() -> Iterator[LocalIssuer]:
    with served_issuer() as issuer:
        yield issuer


def environment(issuer: LocalIssuer) -> dict[str, str]:
    # With a client id the docs of the FastAPI example are public: whoever runs this may have exported one.
    inherited = {name: value for name, value in os.environ.items() if name != "KINDE_CLIENT_ID"}
    return inherited | variables_of_app(issuer)


@contextmanager
def started(name: str, issuer: LocalIssuer) -> Iterator[str]:
    """The example behind its server, on a socket that queues connections before the server is up."""
    sock = listen(0)
    place = f"fd://{sock.fileno()}" if "gunicorn" in SERVERS[name] else str(sock.fileno())
    command = [sys.executable, "-m", *SERVERS[name], place]
    process = subprocess.Popen(command, cwd=ROOT, env=environment(issuer), pass_fds=[sock.fileno()])
    try:
        yield url_of(sock)
    finally:
        process.terminate()
        process.wait(LONG)
        sock.close()


@pytest.fixture(scope="module", params=SERVERS)
def api(request: pytest.FixtureRequest, issuer: LocalIssuer) -> Iterator[httpx.Client]:
    with started(request.param, issuer) as url, httpx.Client(base_url=url, timeout=LONG) as client:
        yield client


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def test_public(api: httpx.Client) -> None:
    assert api.get("/healthz").json() == {"status": "ok"}


@pytest.mark.parametrize("path", ["/me", "/users", "/orgs/org_1/report", "/nowhere", "/docs", "/healthz/", "/HEALTHZ"])
def test_strangers_are_refused_everywhere_else(api: httpx.Client, path: str) -> None:
    answer = api.get(path)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="api"'
    assert answer.headers["Content-Type"] == "application/problem+json"


def test_me(api: httpx.Client, issuer: LocalIssuer) -> None:
    answer = api.get("/me", headers=bearer(issuer.m2m_token(scope="read:users")))
    client_id = issuer.app.client_id
    assert answer.json() == {"subject": client_id, "client_id": client_id, "scopes": ["read:users"]}


def test_users(api: httpx.Client, issuer: LocalIssuer) -> None:
    assert api.get("/users", headers=bearer(issuer.m2m_token(scope="read:users"))).status_code == 200
    refused = api.get("/users", headers=bearer(issuer.m2m_token(scope="write:flags")))
    assert refused.status_code == 403
    assert 'scope="read:users"' in refused.headers["WWW-Authenticate"]


def test_flags(api: httpx.Client, issuer: LocalIssuer) -> None:
    answer = api.post("/flags", headers=bearer(issuer.m2m_token(scope="write:flags")), json={"dark_mode": True})
    assert (answer.status_code, answer.json()) == (201, {"dark_mode": True})


def test_a_stranger_s_body_is_not_read(api: httpx.Client) -> None:
    """Refused for the missing token, not for the JSON that cannot be parsed."""
    assert api.post("/flags", content=b"{", headers={"Content-Type": "application/json"}).status_code == 401


def test_a_stranger_is_refused_before_the_body_is_there(api: httpx.Client, request: pytest.FixtureRequest) -> None:
    if request.node.callspec.params["api"] == "django over ASGI":
        return  # there Django itself waits for the whole body first
    with closing(http.client.HTTPConnection(api.base_url.host, api.base_url.port, timeout=LONG)) as connection:
        connection.putrequest("POST", "/flags")
        connection.putheader("Content-Length", "1000000")
        connection.endheaders(b"only the beginning")
        assert connection.getresponse().status == 401


def test_report(api: httpx.Client, issuer: LocalIssuer) -> None:
    """Only the organization of the token."""
    token = bearer(issuer.m2m_token(org_code="org_1"))
    assert api.get("/orgs/org_1/report", headers=token).json()["org_code"] == "org_1"
    assert api.get("/orgs/org_2/report", headers=token).status_code == 403
    assert api.get("/orgs/org_1/report", headers=bearer(issuer.m2m_token())).status_code == 403


@pytest.mark.parametrize(
    "preset", ["expired", "wrong_audience", "bad_signature", "id_token", "unknown_key", "alg_none"]
)
def test_wrong_tokens(api: httpx.Client, issuer: LocalIssuer, preset: str) -> None:
    answer = api.get("/me", headers=bearer(issuer.preset(preset)))
    assert answer.status_code == 401
    assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]


def test_websocket(api: httpx.Client, issuer: LocalIssuer, request: pytest.FixtureRequest) -> None:
    """Where the framework has them: echoes for a caller, a real 401 for a stranger."""
    url = str(api.base_url).replace("http", "ws") + "/ws"
    if request.node.callspec.params["api"] not in ("fastapi", "starlette"):
        return  # the others have no WebSockets, and no such route
    with connect(url, additional_headers=bearer(issuer.m2m_token())) as socket:
        socket.send("hello")
        assert socket.recv(timeout=LONG) == "hello"
    with pytest.raises(InvalidStatus) as refused, connect(url):
        pass
    assert refused.value.response.status_code == 401
    assert refused.value.response.headers["WWW-Authenticate"] == 'Bearer realm="api"'


def test_m2m_client(api: httpx.Client, issuer: LocalIssuer) -> None:
    """The client calls every route of each example with one token."""
    before = issuer.token_requests
    command = [sys.executable, "examples/m2m_client.py", str(api.base_url).rstrip("/")]
    done = subprocess.run(command, cwd=ROOT, env=environment(issuer), capture_output=True, text=True, timeout=LONG)
    assert (done.returncode, done.stderr) == (0, "")
    assert issuer.token_requests == before + 1
    assert [line.split()[:3] for line in done.stdout.splitlines()] == [
        ["GET", "/healthz", "200"],
        ["GET", "/me", "200"],
        ["GET", "/users", "200"],
        ["POST", "/flags", "201"],
    ]


@pytest.mark.parametrize("name", SERVERS)
def test_wrong_setting(name: str, issuer: LocalIssuer) -> None:
    """Without KINDE_AUDIENCE the server does not start, and says what to set."""
    env = environment(issuer)
    del env["KINDE_AUDIENCE"]
    sock = listen(0)
    place = f"fd://{sock.fileno()}" if "gunicorn" in SERVERS[name] else str(sock.fileno())
    command = [sys.executable, "-m", *SERVERS[name], place]
    done = subprocess.run(
        command, cwd=ROOT, env=env, pass_fds=[sock.fileno()], capture_output=True, text=True, timeout=LONG
    )
    sock.close()
    assert done.returncode != 0
    assert "set the environment variable KINDE_AUDIENCE" in done.stderr
    shown_by_servers = 0 if name in ("fastapi", "starlette") else 1  # which import the app, and show what comes of it
    assert json.dumps(done.stderr).count("Traceback") <= shown_by_servers


@pytest.mark.parametrize("name", ["django", "django over ASGI"])
def test_django_s_other_ways(name: str, issuer: LocalIssuer) -> None:
    """Ninja's route, and that ``manage.py check`` has nothing to say."""
    with started(name, issuer) as url, httpx.Client(base_url=url, timeout=LONG) as client:
        statuses = [
            client.get("/ninja/users", headers=bearer(issuer.m2m_token(scope=scope))).status_code
            for scope in ("read:users", "write:flags")
        ]
        assert [*statuses, client.get("/ninja/users").status_code] == [200, 403, 401]
    env = {**environment(issuer), "DJANGO_SETTINGS_MODULE": "examples.django_app.settings"}
    command = [sys.executable, "-m", "django", "check", "--fail-level", "WARNING"]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=LONG)
    assert (done.returncode, done.stderr) == (0, "")
