"""What commands ask of a local Kinde that is started: tokens by name; and one in a container."""

from __future__ import annotations

import json
import re
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
from kinde_guard.issuer.tokens import SUBJECT

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


OPTIONS: dict[str, tuple[list[str], dict[str, Any]]] = {
    "the environment's": ([], {"scopes": ["read:users", "write:flags"], "org_code": None, "user_id": None}),
    "a user's": (["--scope", "read:users", "--user", SUBJECT], {"scopes": ["read:users"], "user_id": SUBJECT}),
    "an organization's": (["--org", "org_1"], {"org_code": "org_1", "user_id": None}),
    "one for an hour": (["--lifetime", "3600"], {"is_valid": True}),
    "one that is over": (["--lifetime", "0"], {"is_valid": False}),
}


@pytest.mark.parametrize("kind", OPTIONS)
def test_an_api_key(run: Run, kinde: LocalIssuer, kind: str) -> None:
    """The key alone goes to stdout; the local Kinde knows whose it is."""
    options, found = OPTIONS[kind]
    status, out, err = run("token", "--api-key", *options, KINDE_DOMAIN=kinde.url)
    assert (status, err) == (0, "")
    assert re.fullmatch(r"k_live_[0-9a-f]{32}\n", out)
    answer = verified(kinde, out.strip())
    assert {name: answer.get(name) for name in found} == found


def test_an_api_key_for_another_api(run: Run, kinde: LocalIssuer) -> None:
    other = kinde.add_api("https://other.example.com", ["x:y"])
    _, out, _ = run("token", "--api-key", "--json", "--audience", other.audience, "--domain", kinde.url)
    made = json.loads(out)
    assert (made["type"], made["scopes"]) == ("environment", ["x:y"])
    assert kinde.api_keys[-1].id == made["id"] == verified(kinde, made["key"])["key_id"]
    assert kinde.api_keys[-1].api_id == other.id


def verified(kinde: LocalIssuer, key: str) -> dict[str, Any]:
    token = kinde.m2m_token(audience=kinde.management_audience, scope="read:api_keys")
    headers = {"Authorization": f"Bearer {token}"}
    return dict(httpx.post(f"{kinde.url}/api/v1/api_keys/verify", json={"api_key": key}, headers=headers).json())


@pytest.mark.parametrize(
    ("options", "status", "said"),
    [
        (["--api-key", "--domain", "acme.kinde.com"], 2, "--api-key is for a local Kinde, and https://acme.kinde.com"),
        (["--api-key", "--domain", "http://127.0.0.1:1"], 3, "no local Kinde answers at http://127.0.0.1:1"),
        (["--api-key", "--user", "kp_1"], 2, f"there is no user 'kp_1': use one of {SUBJECT}, "),
        (["--api-key", "--scope", "admin"], 2, "has no scope 'admin': it has read:users write:flags"),
        (["--api-key", "--audience", "x"], 2, "there is no API with the audience 'x'"),
        (["--api-key", "--audience", "x", "--audience", "y"], 2, "an API key is for one API: give one --audience"),
        (["--api-key", "--org", "a b"], 2, "an organization's code must be text without white space"),
        (["--api-key", "--lifetime", "-1"], 2, "'--lifetime'"),
        (["--api-key", "--preset", "user"], 2, "--api-key cannot have --preset"),
        (["--api-key", "--client-id", "x"], 2, "--api-key cannot have --client-id"),
        (["--api-key", "--secret-stdin"], 2, "--api-key cannot have --secret-stdin"),
        (["--user", "kp_1"], 2, "a token cannot have --user"),
        (["--preset", "user", "--org", "org_1"], 2, "a token cannot have --org"),
    ],
)
def test_what_key_cannot_be_had(run: Run, kinde: LocalIssuer, options: list[str], status: int, said: str) -> None:
    before = kinde.api_keys
    found, out, err = run("token", *options, KINDE_DOMAIN=kinde.url)
    assert (found, out, kinde.api_keys) == (status, "", before)
    assert said in err


def test_a_key_on_the_command_line_is_not_repeated(run: Run, kinde: LocalIssuer) -> None:
    """As a token is not: the shell's history has it already."""
    key = kinde.create_api_key().key
    for arguments in (["verify", key], ["explain", f"Bearer {key}"], ["revoke", "--reason", key]):
        status, out, err = run(*arguments, KINDE_DOMAIN=kinde.url)
        assert (status, key in out + err) == (2, False)
        assert "stays in the shell's history" in err


@pytest.mark.parametrize("wish", [[], {"more": 1}, {"user": 5}, {"scopes": "x"}, {"lifetime": "1"}, {"lifetime": True}])
def test_what_is_no_wish_for_a_key(kinde: LocalIssuer, wish: Any) -> None:
    before = kinde.api_keys
    assert httpx.post(f"{kinde.url}/_local/api_keys", json=wish).status_code == 400
    assert kinde.api_keys == before


@pytest.mark.parametrize(
    "headers", [{"Origin": "https://evil.example"}, {"Host": "evil.example"}, {"Sec-Fetch-Site": "cross-site"}]
)
def test_keys_are_made_for_this_machine_alone(kinde: LocalIssuer, headers: dict[str, str]) -> None:
    assert httpx.post(f"{kinde.url}/_local/api_keys", json={}, headers=headers).status_code == 403
    assert httpx.get(f"{kinde.url}/_local/api_keys").status_code == 405


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
