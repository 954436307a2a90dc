"""``kinde-guard revoke`` and ``revocations``: with a real Redis, and workers that follow it."""

from __future__ import annotations

import io
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from commands import outcome_of
from helpers import Outcome
from redis_server import RedisServer
from servers import clean_environment, served_issuer
from waiting import LONG, until

from kinde_guard import Guard, InvalidToken
from kinde_guard.cli.revoking import proof
from kinde_guard.issuer import LocalIssuer
from kinde_guard.revocation import Revocations
from kinde_guard.testing import mint

Run = Callable[..., Outcome]


@pytest.fixture(scope="module")
def kinde() -> Iterator[LocalIssuer]:
    with served_issuer() as issuer:
        yield issuer


@pytest.fixture
def run(
    kinde: LocalIssuer,
    redis_server: RedisServer,
    no_settings: None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Run:
    """A command, in this process, with the settings of an app; *typed* is what is typed."""
    settings = {
        "KINDE_DOMAIN": kinde.url,
        "KINDE_AUDIENCE": kinde.audience,
        "KINDE_REVOCATIONS_URL": redis_server.url,
    }

    def run(*arguments: str, typed: str = "", **changes: str | None) -> Outcome:
        for name, value in (settings | changes).items():
            monkeypatch.delenv(name, raising=False)
            if value is not None:
                monkeypatch.setenv(name, value)
        monkeypatch.setattr(sys, "stdin", io.StringIO(typed))
        return outcome_of(capsys, *arguments)

    return run


class Workers:
    """Guards that follow, as in processes of their own; each with a copy and a thread."""

    def __init__(self, kinde: LocalIssuer, server: RedisServer, count: int) -> None:
        self.guards = [
            Guard(kinde.url, audience=kinde.audience, revocations=Revocations(server.url), variables=[])
            for _ in range(count)
        ]
        for guard in self.guards:
            guard.warm()

    def verdicts(self, token: str) -> list[str]:
        return [verdict_of(guard, token) for guard in self.guards]

    def close(self) -> None:
        for guard in self.guards:
            assert guard.revocations is not None
            guard.revocations.close()


@pytest.fixture
def workers(kinde: LocalIssuer, redis_server: RedisServer) -> Iterator[Callable[[int], Workers]]:
    with ExitStack() as stack:

        def workers(count: int) -> Workers:
            made = Workers(kinde, redis_server, count)
            stack.callback(made.close)
            return made

        yield workers


def verdict_of(guard: Guard, token: str) -> str:
    try:
        guard.verify(token)
    except InvalidToken as refusal:
        return refusal.reason
    return "let in"


def id_in(outcome: Outcome) -> str:
    return str(outcome.document["revocation"]["id"])


def words(value: object) -> str:
    """For the names of tests."""
    return " ".join(value) if isinstance(value, list) else ""


USER: dict[str, Any] = {"subject": "kp_1234", "org_code": "org_1"}


@pytest.mark.parametrize(
    ("arguments", "refused"),
    [
        (["--user", "kp_1234"], True),
        (["--user", "kp_4321"], False),
        (["--user", "kp_1234", "--org", "org_1"], True),
        (["--user", "kp_1234", "--org", "org_2"], False),
        (["--org", "org_1"], True),
        (["--org", "org_2"], False),
        (["--client", "spa"], True),
        (["--client", "other"], False),
        (["--keys"], False),
        (["--user", "kp_1234", "--before", "2026-01-01T00:00:00Z"], False),
    ],
    ids=words,
)
def test_whose_tokens_are_refused(
    run: Run, kinde: LocalIssuer, workers: Callable[[int], Workers], arguments: list[str], refused: bool
) -> None:
    """By every worker; and --wait says when."""
    token = mint(kinde, **USER, client_id="spa")
    fleet = workers(3)
    assert fleet.verdicts(token) == ["let in"] * 3
    done = run("revoke", *arguments, "--reason", "ticket 4711", "--wait", "--json")
    assert (done.status, done.err) == (0, "")
    assert fleet.verdicts(token) == ["revoked" if refused else "let in"] * 3
    assert done.document["revocation"]["reason"] == "ticket 4711"
    assert done.document["revocation"]["by"] == "cli"
    assert len(done.document["workers"]["applied"]) == 3
    assert done.document["workers"]["missing"] == []


def test_what_it_says(run: Run, workers: Callable[[int], Workers]) -> None:
    workers(2)
    status, out, err = run("revoke", "--user", "kp_1234", "--before", "2026-01-01T01:00:00+01:00", "--wait")
    first, second = out.splitlines()
    assert first.startswith("revoked: user kp_1234, issued up to 2026-01-01 00:00:00 UTC (id ")
    assert second.startswith("2 of 2 workers refuse it, ")
    assert second.endswith(" ms")
    assert (status, err) == (0, "")
    assert run("revoke", "--keys").out == "told: every worker fetches the issuer's keys\n"


def test_one_token(run: Run, kinde: LocalIssuer, workers: Callable[[int], Workers], tmp_path: Path) -> None:
    """From a file; never from the command line."""
    token, other = mint(kinde, **USER), mint(kinde, **USER)
    fleet = workers(1)
    (tmp_path / "token.txt").write_text(token)
    done = run("revoke", "--token", str(tmp_path / "token.txt"), "--wait")
    assert done.status == 0, done
    assert fleet.verdicts(token) == ["revoked"]
    assert fleet.verdicts(other) == ["let in"]
    assert token not in done.out + done.err
    refused = run("revoke", "--token", token)
    assert (refused.status, refused.out) == (2, "")
    assert "shell's history" in refused.err
    assert token[:20] not in refused.err


def test_a_token_that_is_refused_anyway(run: Run, kinde: LocalIssuer, tmp_path: Path) -> None:
    (tmp_path / "token.txt").write_text(mint(kinde, preset="expired"))
    done = run("revoke", "--token", str(tmp_path / "token.txt"), "--json")
    assert done.status == 1
    assert done.document["reason"] == "expired"
    assert json.loads(run("revocations", "list", "--json").out) == []


@pytest.mark.parametrize(
    ("typed", "refused"), [("{host}\n", True), ("{host}", True), ("\n", False), ("", False), ("yes\n", False)]
)
def test_everyone_asks_for_the_domain(
    run: Run, kinde: LocalIssuer, workers: Callable[[int], Workers], typed: str, refused: bool
) -> None:
    token = mint(kinde, **USER)
    fleet = workers(1)
    done = run("revoke", "--everyone", "--wait", typed=typed.format(host=kinde.url.removeprefix("http://")))
    assert done.status == (0 if refused else 2), done
    assert fleet.verdicts(token) == ["revoked" if refused else "let in"]
    assert "stays out until that expires" in done.err
    assert ("nothing is revoked" in done.err) is not refused


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "say whose tokens"),
        (["--user", "a", "--client", "b"], "say whose tokens"),
        (["--everyone", "--keys"], "say whose tokens"),
        (["--user", "a", "--before", "yesterday"], "a time such as"),
        (["--user", "a", "--before", "2026-01-01T00:00:00"], "time zone: 2026-01-01T00:00:00Z is in UTC"),
        (["--everyone", "--before", "{future}"], "lies in the future"),
        (["--user", "a", "--before", "{future}"], "lies in the future"),
        (["--keys", "--before", "2026-01-01T00:00:00Z"], "--before goes with"),
        (["--user", ""], "text"),
    ],
    ids=words,
)
def test_what_is_no_revocation(run: Run, arguments: list[str], sentence: str) -> None:
    future = datetime.fromtimestamp(time.time() + 60, UTC).isoformat()
    status, out, err = run("revoke", *(word.format(future=future) for word in arguments))
    assert (status, out) == (2, "")
    assert sentence in err
    assert json.loads(run("revocations", "list", "--json").out) == []


@pytest.mark.parametrize("command", [["revoke", "--user", "a"], ["revocations", "list"], ["revocations", "watch"]])
def test_without_an_address(run: Run, command: list[str]) -> None:
    done = run(*command, KINDE_REVOCATIONS_URL=None)
    assert done.status == 2
    assert "set KINDE_REVOCATIONS_URL" in done.err


@pytest.mark.parametrize(
    "command",
    [
        ["revoke", "--user", "a"],
        ["revoke", "--user", "a", "--wait"],
        ["revocations", "list"],
        ["revocations", "watch"],
        ["revocations", "lift", "x"],
    ],
    ids=words,
)
def test_where_redis_is_away(run: Run, redis_server: RedisServer, command: list[str]) -> None:
    with redis_server.client() as admin:
        admin.config_set("requirepass", "another")
    address = redis_server.url.replace("//", "//:geheim@")
    done = run(*command, KINDE_REVOCATIONS_URL=address)
    assert done.status == 3
    assert done.err.startswith("cannot tell: ")
    assert run(*command, "--json", KINDE_REVOCATIONS_URL=address).document["error"] == "revocations_unavailable"
    assert "geheim" not in done.out + done.err


# Proof


def test_who_does_not_refuse_it_is_named(
    run: Run, kinde: LocalIssuer, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of three processes one is frozen."""
    monkeypatch.setattr(proof.wait, "__defaults__", (2.0,))
    code = (
        "import sys, time\nfrom kinde_guard import Guard\n"
        f"guard = Guard({kinde.url!r}, audience='x'); guard.warm(); print(flush=True); sys.stdin.read()"
    )
    environment = {**clean_environment(), "KINDE_REVOCATIONS_URL": redis_server.url}
    options: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "env": environment}
    with ExitStack() as stack:
        started = [stack.enter_context(subprocess.Popen([sys.executable, "-c", code], **options)) for _ in range(3)]
        for process in started:
            assert process.stdout is not None
            process.stdout.readline()
            stack.callback(process.kill)
        asked = Revocations(redis_server.url).bind((kinde.url,))
        until(lambda: len(asked.reached().applied) == 3)
        started[0].send_signal(signal.SIGSTOP)
        done = run("revoke", "--user", "kp_1234", "--wait")
        assert done.status == 1
        last = done.out.splitlines()[-1]
        assert last.startswith("2 of 3 workers refuse it, ")
        assert f":{started[0].pid}:" in last
        assert "not yet, or gone: " in last


def test_where_nobody_follows(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proof.wait, "__defaults__", (0.05,))
    done = run("revoke", "--user", "kp_1234", "--wait")
    assert done.status == 1
    assert "no worker has reported" in done.out


def test_a_clock_that_is_behind_leaves_no_tokens(
    run: Run, kinde: LocalIssuer, workers: Callable[[int], Workers], monkeypatch: pytest.MonkeyPatch
) -> None:
    """T is by the issuer's clock, as the Date of its answers tells it."""
    from kinde_guard.cli.revoking import store

    monkeypatch.setattr(store, "timed_get", lambda url: type("Answered", (), {"drift": -40.0}))
    done = run("revoke", "--user", "kp_1234", "--json")
    assert done.document["revocation"]["issued_before"] == pytest.approx(time.time() + 40, abs=20)


def test_who_does_not_say_what_time_it_is(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kinde need not be there for it."""
    done = run("revoke", "--user", "kp_1234", KINDE_DOMAIN="http://127.0.0.1:1")
    assert done.status == 0
    assert "does not say what time it is" in done.err


def test_what_no_replica_has_may_be_lost_with_the_primary(run: Run, redis_server: RedisServer) -> None:
    with redis_server.replica() as replica:
        until(lambda: run("revoke", "--user", "kp_1234").err == "")
        replica.hang()
        done = run("revoke", "--user", "kp_4321", "--json")
        assert done.status == 0
        assert "no replica of Redis has confirmed it" in done.err
        assert done.document["revocation"]["value"] == "kp_4321"


# revocations


def test_list(run: Run) -> None:
    assert run("revocations", "list").err == "nothing is revoked\n"
    first = run("revoke", "--user", "kp_1234", "--before", "2026-01-01T00:00:00Z", "--reason", "\x1b[31mred", "--json")
    run("revoke", "--client", "spa", "--json")
    done = run("revocations", "list")
    assert done.status == 0
    assert id_in(first) in done.out
    assert "user kp_1234, issued up to 2026-01-01 00:00:00 UTC" in done.out
    assert "by cli \\u001b[31mred" in done.out
    assert "app spa" in done.out
    listed = json.loads(run("revocations", "list", "--json").out)
    assert [entry["kind"] for entry in listed] == ["subject", "client"]
    assert listed[0] == first.document["revocation"]


def test_explain(run: Run, kinde: LocalIssuer, tmp_path: Path) -> None:
    (tmp_path / "token.txt").write_text(token := mint(kinde, **USER))
    done = run("revocations", "explain", str(tmp_path / "token.txt"))
    assert (done.status, done.out) == (0, "not revoked: none of 0 revocations refuses it\n")
    one = id_in(run("revoke", "--user", "kp_1234", "--reason", "ticket 4711", "--json"))
    two = id_in(run("revoke", "--org", "org_1", "--json"))
    run("revoke", "--user", "kp_4321")
    done = run("revocations", "explain", str(tmp_path / "token.txt"))
    assert done.status == 1
    assert done.out.startswith("revoked, by 2 of 3:\n")
    assert one in done.out
    assert two in done.out
    assert "ticket 4711" in done.out
    assert token not in done.out
    found = run("revocations", "explain", str(tmp_path / "token.txt"), "--json").document
    assert {entry["id"] for entry in found["by"]} == {one, two}


def test_explain_what_is_no_good_token(run: Run, kinde: LocalIssuer, tmp_path: Path) -> None:
    (tmp_path / "token.txt").write_text(mint(kinde, preset="expired"))
    done = run("revocations", "explain", str(tmp_path / "token.txt"), "--json")
    assert (done.status, done.document["reason"]) == (1, "expired")
    (tmp_path / "token.txt").write_text(mint(kinde))
    assert run("revocations", "explain", str(tmp_path / "token.txt"), KINDE_DOMAIN="127.0.0.1:1").status in (1, 3)


def test_lift(run: Run, kinde: LocalIssuer, workers: Callable[[int], Workers]) -> None:
    """A mistake is undone; what is revoked again stays so."""
    token = mint(kinde, **USER)
    fleet = workers(1)
    name = id_in(run("revoke", "--user", "kp_1234", "--wait", "--json"))
    assert fleet.verdicts(token) == ["revoked"]
    done = run("revocations", "lift", name, "--reason", "the wrong one")
    assert done.status == 0
    assert done.out.startswith("lifted: user kp_1234, ")
    until(lambda: fleet.verdicts(token) == ["let in"])
    assert json.loads(run("revocations", "list", "--json").out) == []
    again = run("revocations", "lift", name)
    assert again.status == 2
    assert "no revocation has the id" in again.err
    run("revoke", "--user", "kp_1234", "--wait")
    assert fleet.verdicts(token) == ["revoked"]


@pytest.mark.parametrize(
    "arguments",
    [["list", "x"], ["watch", "x"], ["explain"], ["lift"], ["drop"], []],
    ids=words,
)
def test_what_is_no_command(run: Run, arguments: list[str]) -> None:
    assert run("revocations", *arguments).status == 2


@pytest.mark.parametrize("as_json", [False, True], ids=["words", "json"])
def test_watch(run: Run, kinde: LocalIssuer, redis_server: RedisServer, as_json: bool) -> None:
    """Until Ctrl-C, which is no failure."""
    command = [sys.executable, "-W", "error", "-m", "kinde_guard.cli", "revocations", "watch"]
    environment = {**clean_environment(), "KINDE_REVOCATIONS_URL": redis_server.url, "KINDE_DOMAIN": kinde.url}
    with subprocess.Popen(
        [*command, "--json"] if as_json else command, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, env=environment,
    ) as watching:  # fmt: skip
        assert watching.stdout is not None
        assert watching.stderr is not None
        with redis_server.client() as admin:
            until(lambda: any(each["cmd"] == "xread" for each in admin.client_list()))
        name = id_in(run("revoke", "--user", "kp_1234", "--reason", "seen", "--json"))
        line = watching.stdout.readline()
        if as_json:
            assert json.loads(line)["id"] == name
        else:
            assert line.startswith(f"{name}  user kp_1234, issued up to ")
            assert line.endswith("by cli seen\n")
        watching.send_signal(signal.SIGINT)
        assert watching.wait(LONG) == 0
        assert watching.stderr.read() == "\nStopped.\n"


def test_revoked_tokens_are_no_tokens_to_the_other_commands(run: Run, kinde: LocalIssuer, tmp_path: Path) -> None:
    """verify says what the guard does, and a guard follows where the variable is set."""
    (tmp_path / "token.txt").write_text(mint(kinde, **USER))
    assert run("verify", str(tmp_path / "token.txt")).status == 0
    run("revoke", "--user", "kp_1234")
    done = run("verify", str(tmp_path / "token.txt"), "--json")
    assert (done.status, done.document["reason"]) == (1, "revoked")
