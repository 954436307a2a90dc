"""``kinde-guard forward-auth``: what it says at start, what it prints, and what it refuses to."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Callable
from typing import Any

import pytest
import yaml
from commands import outcome_of
from helpers import Outcome
from waiting import LONG

from kinde_guard.web.identity_headers import NAMES

Run = Callable[..., Outcome]
ANNOTATION = "nginx.ingress.kubernetes.io/"


@pytest.fixture
def run(no_settings: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """The command, which ends as soon as it would serve."""
    monkeypatch.setenv("KINDE_DOMAIN", "acme.kinde.com")
    monkeypatch.setenv("KINDE_AUDIENCE", "https://api.acme.com")
    monkeypatch.setattr("kinde_guard.cli.serving.serve", lambda app, sock: None)
    return lambda *arguments: outcome_of(capsys, "forward-auth", *arguments)


@pytest.mark.parametrize(
    ("host", "reach"),
    [
        ("127.0.0.1", "this machine alone can reach it"),
        ("0.0.0.0", "whoever can reach this machine can ask it what it says of a token: let the proxy alone reach it"),
    ],
)
def test_it_says_who_can_reach_it(run: Run, host: str, reach: str) -> None:
    status, out, err = run("--port", "0", "--host", host)
    assert (status, err) == (0, "")
    assert re.match(rf"Forward auth at http://{host}:[1-9]\d*/verify/… \((.*); Ctrl-C ends it\)\n", out)
    assert reach in out


@pytest.mark.parametrize(("host", "reach"), [("::1", "this machine alone"), ("::", "let the proxy alone reach it")])
def test_an_ipv6_address_stands_in_brackets(run: Run, host: str, reach: str, ipv6: None) -> None:
    pytest.importorskip("grpc", reason="for Envoy: grpcio")
    out = run("--port", "0", "--grpc", "0", "--host", host).out
    assert re.match(rf"Forward auth at http://\[{host}\]:[1-9]\d*/verify/…", out)
    assert re.search(rf"and for Envoy at \[{host}\]:[1-9]\d* \(gRPC\)", out)
    assert reach in out
    said = json.loads(run("--port", "0", "--grpc", "0", "--host", host, "--json").out)
    assert re.fullmatch(rf"http://\[{host}\]:[1-9]\d*", said["url"])
    assert re.fullmatch(rf"\[{host}\]:[1-9]\d*", said["grpc"])


@pytest.fixture
def ipv6() -> None:
    try:
        with socket.socket(socket.AF_INET6) as tried:
            tried.bind(("::1", 0))
    except OSError as error:
        pytest.skip(f"there is no IPv6 here: {error}")


@pytest.mark.parametrize("json_too", [[], ["--json"]], ids=["in words", "as JSON"])
def test_the_port_for_envoy_is_the_one_that_was_taken(
    run: Run, json_too: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("grpc", reason="for Envoy: grpcio")
    said: list[str] = []

    def serve(app: Any, sock: socket.socket) -> None:
        said.append(capsys.readouterr().out)
        port = re.findall(r"127\.0\.0\.1:(\d+)", said[0])[1]
        socket.create_connection(("127.0.0.1", int(port)), timeout=LONG).close()

    monkeypatch.setattr("kinde_guard.cli.serving.serve", serve)
    assert run("--port", "0", "--grpc", "0", *json_too).status == 0
    assert len(said) == 1


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ["--require", "scope:read:users"],
            "--require belongs to --print: what is required stands in the proxy's configuration",
        ),
        (["--print", "nginx"], "say what is required: --require scope:read:users, or --require authenticated"),
        (
            ["--print", "apache", "--require", "user"],
            "--print takes nginx, caddy, traefik, envoy, ingress, not 'apache'",
        ),
        (["--print", "nginx", "--require", "scope:a | scope:b"], "'scope:a | scope:b' is more than one requirement"),
        (["--print", "nginx", "--require", "scope:a & user"], "'scope:a & user' is more than one requirement"),
        (["--print", "nginx", "--require", 'permission:"a b"'], "is more than one requirement, or has quotes"),
        (["--print", "ingress", "--require", "permission:a/b@c"], "refuses an auth-url with % @ in it"),
        (["--print", "nginx", "--require", "scop:a"], "'scop:a' is none of scope:NAME, permission:KEY"),
    ],
)
def test_what_cannot_be_is_said(run: Run, arguments: list[str], sentence: str) -> None:
    status, out, err = run(*arguments)
    assert (status, out, err.startswith("kinde-guard: ")) == (2, "", True)
    assert sentence in " ".join(err.split())


def test_ingress(run: Run) -> None:
    """Annotations of ingress-nginx's page, External Authentication."""
    wanted = ["--print", "ingress", "--require", "scope:read:users", "--require", "permission:view:report"]
    asked = [*wanted, "--service", "http://guard.auth.svc.cluster.local:9401"]
    url = "http://guard.auth.svc.cluster.local:9401/verify/scope=read:users/permission=view:report"
    plain = run(*asked).out
    assert yaml.safe_load(plain) == {"metadata": {"annotations": {f"{ANNOTATION}auth-url": url}}}
    assert "--statuses nginx" in plain
    told = run(*asked, "--identity-headers").out
    assert yaml.safe_load(told)["metadata"]["annotations"] == {
        f"{ANNOTATION}auth-url": url,
        f"{ANNOTATION}auth-response-headers": ",".join(NAMES),
    }
    assert "--statuses nginx and --identity-headers" in told
    assert "enable-underscores-in-headers" in told
