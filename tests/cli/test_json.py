"""``--json`` of every command gives the members that ``docs/command-line.md`` lists, with their types, and no other."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from commands import outcome_of, variables_of_app
from helpers import Outcome
from redis_server import RedisServer
from servers import served_issuer

from kinde_guard import Guard
from kinde_guard.cli.app import COMMANDS
from kinde_guard.issuer import LocalIssuer
from kinde_guard.revocation import Revocations

Run = Callable[..., Outcome]
Members = dict[str, set[str]]

PAGE = Path(__file__).parents[2].joinpath("docs/command-line.md").read_text(encoding="utf-8")
NAMES: dict[type, str] = {
    str: "text",
    bool: "true or false",
    int: "number",
    float: "number",
    dict: "object",
    type(None): "null",
}
AWAY = "http://127.0.0.1:1"
SAMPLE = "kinde_guard.cli.sample:app"


def documented() -> Iterator[tuple[str, Members]]:
    """The tables of the page, each by the two headings above it."""
    command = case = ""
    found: Members = {}
    for line in [*PAGE.partition("\n## JSON\n")[2].splitlines(), "### "]:
        if line.startswith(("### ", "#### ")):
            if found:
                yield f"{command}: {case}", found
            found = {}
            case = line.lstrip("# ") if line.startswith("####") else ""
            command = command if case else line.lstrip("# ")
        elif row := re.match(r"\| `([^`]+)` \| ([^|]+) \|", line):
            found[row[1]] = set(row[2].strip().replace("true or false", "true_or_false").split(" or "))


TABLES = {name.removesuffix(": "): members for name, members in documented()}


def printed(value: Any, members: Members, path: str = "") -> Iterator[tuple[str, str]]:
    """Each member of a document with its type, down to what the page lists."""
    if path and path in members:
        yield path, NAMES[type(value)].replace(" ", "_")
    elif isinstance(value, list):
        for each in value:
            yield from printed(each, members, f"{path}[]")
    elif isinstance(value, dict):
        for name, each in value.items():
            shown = name if any(member.startswith(f"{path}{'.' if path else ''}{name}") for member in members) else "*"
            yield from printed(each, members, f"{path}.{shown}" if path else shown)
    else:
        yield path, NAMES[type(value)].replace(" ", "_")


def assert_as_documented(name: str, *documents: Any) -> None:
    """What was printed are the members of the table *name*: no other, and each of them at least once."""
    members = TABLES[name]
    found = [each for document in documents for each in printed(document, members)]
    assert [each for each in found if each[1] not in members.get(each[0], ())] == []
    assert sorted(members) == sorted({path for path, _ in found})


@pytest.fixture(scope="module")
def kinde() -> Iterator[LocalIssuer]:
    with served_issuer() as issuer:
        yield issuer


@pytest.fixture
def run(
    kinde: LocalIssuer, no_settings: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Run:
    """A command with ``--json`` in this process, with the variables that ``kinde-guard dev`` prints."""
    settings = variables_of_app(kinde)

    def run(*arguments: str, **changes: str) -> Outcome:
        for name, value in (settings | changes).items():
            monkeypatch.setenv(name, value)
        return outcome_of(capsys, *arguments, "--json")

    return run


@pytest.fixture
def in_file(tmp_path: Path) -> Callable[[str], str]:
    """A file with a token."""

    def in_file(token: str) -> str:
        tmp_path.joinpath("token.txt").write_text(token)
        return str(tmp_path / "token.txt")

    return in_file


def document(outcome: Outcome, status: int = 0) -> Any:
    """One document, and nothing besides; nothing on stderr."""
    assert (outcome.status, outcome.err) == (status, ""), outcome
    return json.loads(outcome.out)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_a_table(command: str) -> None:
    assert [name for name in TABLES if name.partition(":")[0] == command]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_takes_it(command: str, run: Run) -> None:
    assert "--json" in run(command, "--help").out


def test_demo(run: Run) -> None:
    found = document(run("demo"))
    assert_as_documented("demo", found)
    assert found["right"] is True


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that ends at once."""
    monkeypatch.setattr("kinde_guard.cli.serving.serve", lambda app, sock: None)


@pytest.mark.usefixtures("served")
def test_dev(run: Run) -> None:
    """In one line, for a program that reads it from a command that goes on."""
    desk, container = run("dev", "--port", "0"), run("dev", "--port", "0", "--host", "0.0.0.0")
    assert_as_documented("dev", document(desk), document(container))
    assert desk.out.count("\n") == 1
    assert document(desk)["variables"]["KINDE_DOMAIN"] == document(desk)["url"]


def test_token(run: Run) -> None:
    assert_as_documented("token: A token", document(run("token")), document(run("token", "--preset", "user")))
    assert_as_documented(
        "token: No token",
        document(run("token", KINDE_M2M_CLIENT_SECRET="another"), 1),
        document(run("token", "--preset", "user", KINDE_DOMAIN=AWAY), 3),
    )
    assert_as_documented("token: An API key", document(run("token", "--api-key")))
    assert_as_documented("token: The list of presets", document(run("token", "--preset", "?")))


def test_verify(run: Run, kinde: LocalIssuer, in_file: Callable[[str], str]) -> None:
    assert_as_documented("verify: A valid token", document(run("verify", in_file(kinde.m2m_token()))))
    refused = run("verify", in_file(kinde.preset("expired")))
    assert_as_documented("verify: A refused token", document(refused, 1))
    of_nobody = kinde.token({**kinde.m2m_claims(), "iss": AWAY})
    unknown = run("verify", in_file(of_nobody), KINDE_DOMAIN=AWAY)
    assert_as_documented("verify: Cannot tell", document(unknown, 3))


def test_explain(run: Run, kinde: LocalIssuer, in_file: Callable[[str], str]) -> None:
    good, bad = run("explain", in_file(kinde.m2m_token())), run("explain", in_file(kinde.preset("expired")))
    assert_as_documented("explain: A token explained", document(good), document(bad, 1))


def test_explain_a_reason(run: Run) -> None:
    assert_as_documented("explain: A reason", document(run("explain", "--reason", "expired")))


def test_doctor(run: Run) -> None:
    assert_as_documented("doctor: What it finds", document(run("doctor")))
    assert_as_documented("doctor: Users for Redis", document(run("doctor", "--acl")))


def test_keys(run: Run, kinde: LocalIssuer, tmp_path: Path) -> None:
    assert_as_documented("keys: The keys", document(run("keys")))
    file = str(tmp_path / "keys.json")
    saved = document(run("keys", "--save", file))
    assert_as_documented("keys: What was saved", saved)
    assert saved["issuers"][0]["keys"] == len(kinde.jwks()["keys"])
    nobody = run("keys", "--save", file, "--domain", AWAY)
    assert_as_documented("keys: No keys", document(nobody, 3))


def test_revoking(run: Run, kinde: LocalIssuer, redis_server: RedisServer, in_file: Callable[[str], str]) -> None:
    settings = {"KINDE_REVOCATIONS_URL": redis_server.url}
    guard = Guard(kinde.url, audience=kinde.audience, revocations=Revocations(redis_server.url), variables=[])
    guard.warm()
    member = document(run("revoke", "--user", "kp_1", "--org", "org_1", "--wait", **settings))
    worker = {"workers": {"applied": [], "missing": ["host:1:x"], "milliseconds": 5_000}}  # where one is frozen
    assert_as_documented("revoke", member, worker)
    app = document(run("revoke", "--client", kinde.app.client_id, **settings))
    assert_as_documented("revocations: revocations list", document(run("revocations", "list", **settings)))
    token = in_file(kinde.m2m_token())
    explained = document(run("revocations", "explain", token, **settings), 1)
    assert_as_documented("revocations: revocations explain", explained)
    assert explained["by"] == [app["revocation"]]
    lifted = document(run("revocations", "lift", app["revocation"]["id"], **settings))
    assert_as_documented("revocations: revocations lift", lifted)
    assert lifted["lifted"] == app["revocation"]
    assert guard.revocations is not None
    guard.revocations.close()


def test_no_redis(run: Run) -> None:
    away = run("revocations", "list", KINDE_REVOCATIONS_URL="redis://127.0.0.1:1/0")
    assert_as_documented("revocations: Redis cannot be asked", document(away, 3))


@pytest.mark.usefixtures("served")
def test_forward_auth(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("grpc", reason="for Envoy: grpcio")
    started = run("forward-auth", "--port", "0"), run("forward-auth", "--port", "0", "--grpc", "0")
    assert_as_documented("forward-auth: The service", *map(document, started))
    wiring = document(run("forward-auth", "--print", "nginx", "--require", "scope:read:users"))
    assert_as_documented("forward-auth: The proxy's configuration", wiring)
    assert wiring["path"] == "/verify/scope=read:users"


def test_routes(run: Run) -> None:
    assert_as_documented("routes", document(run("routes", SAMPLE)))


def test_scopes(run: Run, kinde: LocalIssuer) -> None:
    compared = run("scopes", SAMPLE), run("scopes", SAMPLE, "--add")
    kinde.add_api(kinde.audience, ["read:users", "write:flags"])
    assert_as_documented("scopes: The comparison", document(compared[0], 1), document(compared[1]))
    refused = run("scopes", SAMPLE, "--audience", "https://other.example")
    assert_as_documented("scopes: Kinde refuses, or does not answer", document(refused, 1))


@pytest.mark.parametrize("command", ["verify", "explain", "keys", "forward-auth"])
def test_settings_that_are_wrong_leave_stdout_empty(command: str, run: Run) -> None:
    status, out, err = run(command, KINDE_DOMAIN="null")
    assert (status, out, err.count("\n")) == (2, "", 1)
