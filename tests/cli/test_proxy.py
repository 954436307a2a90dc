"""``--proxy``: each command that asks a network can be told the way out of it, and shows no credentials."""

from __future__ import annotations

import base64
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import pytest
from faults import Exchange, Server, answering, nobody
from servers import served_issuer

from kinde_guard.cli import main
from kinde_guard.issuer import LocalIssuer

CREDENTIALS = "someone:hush"


class Outcome(NamedTuple):
    """What a command came to."""

    status: int
    text: str


Run = Callable[..., Outcome]


def forwarding(exchange: Exchange) -> None:
    """What a proxy does with plain http: RFC 9112 §3.2.2, absolute-form."""
    method, _, rest = exchange.request.partition(b" ")
    url, _, rest = rest.partition(b" ")
    parts = urlsplit(url.decode())
    with socket.create_connection((str(parts.hostname), parts.port or 80), 10) as upstream:
        upstream.sendall(method + b" " + parts.path.encode() + b" " + rest)
        while data := upstream.recv(65_536):
            exchange.send(data)


@pytest.fixture(scope="module")
def kinde() -> Iterator[LocalIssuer]:
    with served_issuer() as issuer:
        yield issuer


@pytest.fixture
def run(
    no_settings: None, kinde: LocalIssuer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Run:
    monkeypatch.setenv("KINDE_DOMAIN", kinde.url)
    monkeypatch.setenv("KINDE_AUDIENCE", kinde.audience)
    monkeypatch.setenv("KINDE_M2M_CLIENT_ID", kinde.app.client_id)
    monkeypatch.setenv("KINDE_M2M_CLIENT_SECRET", kinde.app.client_secret)
    monkeypatch.setenv("KINDE_M2M_AUDIENCE", kinde.audience)

    def run(*arguments: str) -> Outcome:
        capsys.readouterr()
        try:
            status = main(arguments)
        except SystemExit as end:
            status = int(end.code or 0)
        return Outcome(status, "".join(capsys.readouterr()))

    return run


@pytest.fixture
def commands(kinde: LocalIssuer, tmp_path: Path) -> dict[str, list[str]]:
    file = tmp_path / "token.txt"
    file.write_text(kinde.m2m_token())
    return {
        "doctor": ["doctor"],
        "verify": ["verify", str(file)],
        "explain": ["explain", str(file)],
        "token": ["token"],
    }


each_command = pytest.mark.parametrize("command", ["doctor", "verify", "explain", "token"])


@each_command
def test_everything_goes_through_the_proxy(
    run: Run, kinde: LocalIssuer, commands: dict[str, list[str]], command: str
) -> None:
    asked = {"doctor": 3, "verify": 1, "explain": 1, "token": 1}[command]  # of doctor's one is a token's
    with Server(forwarding) as proxy:
        done = run(*commands[command], "--proxy", f"http://{CREDENTIALS}@127.0.0.1:{proxy.port}")
    assert done.status == 0
    assert len(proxy.requests) == asked
    wanted = b"proxy-authorization: basic " + base64.b64encode(CREDENTIALS.encode())
    for request in proxy.requests:
        assert request.split()[1].startswith(f"{kinde.url}/".encode())
        assert wanted.lower() in request.lower()
    assert "hush" not in done.text
    assert "someone" not in done.text


@each_command
def test_a_proxy_that_says_no(run: Run, commands: dict[str, list[str]], command: str) -> None:
    """To plain http by an answer of its own; no command shows the credentials."""
    with Server(answering(b"no", 407, {"Proxy-Authenticate": "Basic"})) as proxy:
        done = run(*commands[command], "--proxy", f"http://{CREDENTIALS}@127.0.0.1:{proxy.port}")
    assert done.status == {"doctor": 1, "verify": 3, "explain": 3, "token": 1}[command]
    assert "407" in done.text
    assert "hush" not in done.text


@each_command
def test_a_proxy_that_does_not_answer(
    run: Run, commands: dict[str, list[str]], command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For an issuer that is not this machine: nothing is looked up, but by the proxy."""
    monkeypatch.setenv("KINDE_DOMAIN", "acme.kinde.com")
    if command in ("verify", "explain"):
        Path(commands[command][1]).write_text(LocalIssuer("https://acme.kinde.com").m2m_token())
    with nobody() as url:
        done = run(*commands[command], "--proxy", url.replace("http://", f"http://{CREDENTIALS}@"))
    assert done.status == (1 if command == "doctor" else 3)
    assert "The proxy does not answer: see what --proxy says" in " ".join(done.text.split())
    assert "hush" not in done.text


@pytest.mark.parametrize("proxy", [
    f"ftp://{CREDENTIALS}@proxy:1", f"{CREDENTIALS}@proxy", f"http://{CREDENTIALS}@proxy:x", "", " ", "null",
    '"http://p:1"',
    "${HTTPS_PROXY}", f"http://{CREDENTIALS}@pro xy:1", f"http://{CREDENTIALS}@", "proxy:3128", "http://",
])  # fmt: skip
@each_command
def test_what_is_no_proxy(run: Run, commands: dict[str, list[str]], command: str, proxy: str) -> None:
    """Usage, in one sentence, without what was given."""
    done = run(*commands[command], "--proxy", proxy)
    assert done.status == 2
    assert done.text.startswith("kinde-guard: --proxy ")
    assert "hush" not in done.text
    assert "Traceback" not in done.text


def test_a_socks_proxy_needs_one_more_package(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "socksio", None)
    done = run("doctor", "--proxy", f"socks5://{CREDENTIALS}@127.0.0.1:1")
    assert (done.status, "httpx[socks]" in done.text, "hush" in done.text) == (2, True, False)


@each_command
def test_every_command_tells_of_it(run: Run, command: str) -> None:
    assert "--proxy" in run(command, "--help").text
