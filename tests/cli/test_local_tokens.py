"""What commands ask of a local Kinde that is started: tokens by name; and one in a container."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import anyio
import httpx
import pytest
from servers import served_issuer

from kinde_guard import AuthError, Guard, scope
from kinde_guard.cli import main
from kinde_guard.cli.dev import dev
from kinde_guard.issuer import PRESETS, LocalIssuer

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def kinde() -> Iterator[LocalIssuer]:
    with served_issuer() as issuer:
        yield issuer


@pytest.fixture
def run(no_settings: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*arguments: str, **variables: str) -> tuple[int, str, str]:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        try:
            status = main(arguments)
        except SystemExit as end:
            status = int(end.code or 0)
        return (status, *capsys.readouterr())

    return run


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_can_be_had(run: Run, kinde: LocalIssuer, name: str) -> None:
    """And is refused for what its list says, by a guard of that Kinde."""
    status, out, _ = run("token", "--preset", name, KINDE_DOMAIN=kinde.url)
    assert status == 0
    guard = Guard(kinde.url, audience=kinde.audience, variables=())
    reason = None
    try:
        token = guard.verify(out.strip())
        if name == "no_scope":
            token.require(scope("read:users"))
    except AuthError as refusal:
        reason = refusal.reason
    assert reason == PRESETS[name].reason


def test_the_list(run: Run, kinde: LocalIssuer) -> None:
    _, out, _ = run("token", "--preset", "?", "--domain", kinde.url)
    assert [line.split()[0] for line in out.splitlines()] == list(PRESETS)
    _, out, _ = run("token", "--preset", "?", "--json", "--domain", kinde.url)
    assert {name: each["reason"] for name, each in json.loads(out).items()} == {
        name: each.reason for name, each in PRESETS.items()
    }
    _, out, _ = run("token", "--preset", "user", "--json", "--domain", kinde.url)
    assert json.loads(out)["token_type"] == "Bearer"


@pytest.mark.parametrize(
    ("domain", "name", "status", "said"),
    [
        ("acme.kinde.com", "user", 2, "--preset is for a local Kinde, and https://acme.kinde.com is none"),
        ("http://127.0.0.1:1", "user", 3, "no local Kinde answers at http://127.0.0.1:1"),
        (None, "nobody", 2, "there is no preset 'nobody': use one of m2m, "),
    ],
)
def test_what_cannot_be_had(
    run: Run, kinde: LocalIssuer, domain: str | None, name: str, status: int, said: str
) -> None:
    found, out, err = run("token", "--preset", name, KINDE_DOMAIN=domain or kinde.url)
    assert (found, out) == (status, "")
    assert said in err


def test_tokens_are_given_to_this_machine_alone(kinde: LocalIssuer) -> None:
    """And to no page of another origin."""
    url = f"{kinde.url}/_local/tokens"
    wish: dict[str, Any] = {"json": {"preset": "user"}}
    assert httpx.post(url, **wish).status_code == 200
    for headers in ({"Origin": "https://evil.example"}, {"Host": "evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        assert httpx.post(url, headers=headers, **wish).status_code == 403
    assert httpx.post(url, content=b'{"preset": "user"}', headers={"Content-Type": "text/plain"}).status_code == 400
    assert httpx.post(url, json={"preset": "user", "more": 1}).status_code == 400


def app_of(host: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """What ``kinde-guard dev --host`` gives its server."""
    found: list[Any] = []
    monkeypatch.setattr("kinde_guard.cli.serving.serve", lambda app, sock: found.append(app))
    dev(port=0, host=host)
    return found[0]


def test_in_a_container(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A published port has another sender's address; no page of another origin, and no other host name, gets in."""
    app = app_of("0.0.0.0", monkeypatch)
    said = capsys.readouterr().out
    assert "OPEN, see below" in said
    assert "It listens at 0.0.0.0: whoever can reach port" in said
    assert asked_from("172.17.0.1", app) == 200
    assert asked_from("172.17.0.1", app, Origin="https://evil.example") == 403
    assert asked_from("172.17.0.1", app, Host="kinde.example") == 403


def test_on_a_desk(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    app = app_of("127.0.0.1", monkeypatch)
    assert "for this machine alone" in capsys.readouterr().out
    assert asked_from("127.0.0.1", app) == 200
    assert asked_from("172.17.0.1", app) == 403


def asked_from(address: str, app: Any, **headers: str) -> int:
    """The status for a request from *address*."""

    async def asking() -> int:
        transport = httpx.ASGITransport(app=app, client=(address, 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:9400") as client:
            return (await client.get("/_local/tokens", headers=headers)).status_code

    return anyio.run(asking)
