"""``kinde-guard dev``, ``token`` and ``verify``: real processes and sockets where a user has them."""

from __future__ import annotations

import asyncio
import inspect
import io
import json
import os
import re
import select
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest
from commands import outcome_of
from helpers import Outcome
from servers import clean_environment, served_issuer
from waiting import LONG

import kinde_guard
from kinde_guard.cli.app import COMMANDS, function_of
from kinde_guard.cli.encoding import always_print
from kinde_guard.cli.screen import Screen
from kinde_guard.cli.serving import listen, reporting, serving, url_of
from kinde_guard.cli.verdict import shown, span
from kinde_guard.issuer import LocalIssuer

CLI = [sys.executable, "-W", "error", "-m", "kinde_guard.cli"]
CLEAN = {
    **clean_environment(),
    "PATH": os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]]),
    "PYTHONUTF8": "1",
}
READ = "read:users"


Run = Callable[..., Outcome]


@pytest.fixture
def run(no_settings: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """A command, in this process, with these variables and no others of ours."""

    def run(*arguments: str, **variables: str) -> Outcome:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        return outcome_of(capsys, *arguments)

    return run


@pytest.fixture(scope="module")
def kinde() -> Iterator[LocalIssuer]:
    """A local Kinde, served on loopback."""
    with served_issuer() as issuer:
        yield issuer


@pytest.fixture
def verify(run: Run, kinde: LocalIssuer, tmp_path: Path) -> Run:
    """``kinde-guard verify`` with the settings of *kinde*, of a token (or another text) in a file."""

    def verify(text: str, *arguments: str) -> Outcome:
        file = tmp_path / "token.txt"
        file.write_text(text + "\n")
        return run("verify", str(file), *arguments, KINDE_DOMAIN=kinde.url, KINDE_AUDIENCE=kinde.audience)

    return verify


class Dev(NamedTuple):
    """``kinde-guard dev`` in a process of its own, and what it printed."""

    process: subprocess.Popen[str]
    greeting: list[str]

    @property
    def environment(self) -> dict[str, str]:
        """What one has after pasting its export lines into a shell."""
        exports = [line.removeprefix("export ").split("=", 1) for line in self.greeting if line.startswith("export ")]
        return {**CLEAN, **dict(exports)}

    def paste(self, line: str, *, stdin: str | None = None) -> Outcome:
        done = subprocess.run(
            line,
            shell=True,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=LONG,
            check=False,
            input=stdin,
        )
        return Outcome(done.returncode, done.stdout, done.stderr)


@pytest.fixture(scope="module")
def dev() -> Iterator[Dev]:
    """Started on a free port, ended by Ctrl-C: cleanly."""
    command = [*CLI, "dev", "--port", "0"]
    with subprocess.Popen(command, env=CLEAN, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        greeting = [process.stdout.readline()]
        while not greeting[-1].startswith("curl "):
            assert greeting[-1], "it ended early"
            greeting.append(process.stdout.readline())
        yield Dev(process, [line.rstrip("\n") for line in greeting])
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=LONG)
    assert process.returncode == 0
    assert err.endswith("\nStopped.\n")
    assert "Traceback" not in err


def test_dev_says_what_to_export(dev: Dev) -> None:
    """The variables of an API and of its client; the domain is the address it is served at, on loopback."""
    ours = {name: value for name, value in dev.environment.items() if name.startswith("KINDE_")}
    assert sorted(ours) == [
        "KINDE_API_IDS",
        "KINDE_AUDIENCE",
        "KINDE_CLIENT_ID",
        "KINDE_DOMAIN",
        "KINDE_M2M_AUDIENCE",
        "KINDE_M2M_CLIENT_ID",
        "KINDE_M2M_CLIENT_SECRET",
        "KINDE_REPORT_VERDICTS_TO",
    ]
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+", ours["KINDE_DOMAIN"])
    assert ours["KINDE_DOMAIN"] in dev.greeting[0]


def test_the_curl_line_of_dev_works_when_pasted(dev: Dev) -> None:
    """It answers with a token, which verify takes as it comes."""
    line = dev.greeting[-1]
    curl, _, url, _, form = shlex.split(line)
    if shutil.which(curl):
        answer = dev.paste(line).out
    else:
        answer = httpx.post(url, content=form, headers={"content-type": "application/x-www-form-urlencoded"}).text
    assert json.loads(answer)["scope"] == "read:users write:flags"
    assert dev.paste("kinde-guard verify --json", stdin=answer).document["verdict"] == "valid"


@pytest.mark.parametrize("command", ["token", "verify"])
def test_the_example_in_the_help_works_when_pasted(dev: Dev, run: Run, command: str) -> None:
    """With the variables of dev, as it says: the claims on stdout, a sentence on stderr."""
    example = re.search(r"Example, with the variables that kinde-guard dev prints:\n +(.*)\n", run(command, "-h").out)
    assert example is not None
    status, out, err = dev.paste(example[1])
    assert status == 0
    assert re.search(r"^scope +read:users\b", out, re.M)
    assert err.startswith("valid: M2M app ")


def test_dev_suggests_to_make_an_api_key_and_look_at_it(dev: Dev) -> None:
    line = next(line for line in dev.greeting if "--api-key" in line)
    status, out, err = dev.paste(line)
    assert (status, err.partition("_")[0]) == (0, "valid: API key api")
    assert re.search(r"^scope +read:users write:flags\b", out, re.M)


def test_dev_suggests_to_get_a_token_and_look_at_it(dev: Dev) -> None:
    """By the pipe that the other commands have in their help."""
    assert "kinde-guard token | kinde-guard verify" in dev.greeting


@pytest.mark.parametrize(("command", "example"), [("dev", "kinde-guard dev --port 9400"), ("demo", "kinde-guard demo")])
def test_the_help_of_what_runs_on_has_an_example_too(run: Run, command: str, example: str) -> None:
    """Word for word."""
    assert f"Example:\n    {example}\n" in run(command, "--help").out


def test_a_port_that_is_taken(run: Run) -> None:
    """Said in words, with what to do."""
    with listen(0) as taken:
        port = taken.getsockname()[1]
        status, out, err = run("dev", "--port", str(port))
    assert (status, out) == (2, "")
    assert err.startswith(f"kinde-guard: port {port} of 127.0.0.1 cannot be used (")
    assert "--port" in err


def test_answers_do_not_wait_for_the_client_to_acknowledge_their_headers() -> None:
    """TCP_NODELAY, on what asyncio accepts there; proxies keep their connections."""

    async def accepted() -> int:
        seen: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        def connected(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            seen.set_result(writer.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            writer.close()

        async with await asyncio.start_server(connected, sock=listen(0)) as server:
            _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            try:
                return await asyncio.wait_for(seen, LONG)
            finally:
                writer.close()
                await writer.wait_closed()

    assert asyncio.run(accepted())


def test_dev_serves_this_machine_alone(dev: Dev) -> None:
    """On another loopback address nobody answers, so it is bound to the one it names."""
    port = httpx.URL(dev.environment["KINDE_DOMAIN"]).port
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.2", port or 0), timeout=LONG).close()


def test_requests_are_listed_with_their_path_still_encoded() -> None:
    """A path cannot write control characters to the terminal."""
    seen: list[tuple[str, str, int]] = []
    with listen(0) as sock:
        issuer = LocalIssuer(url_of(sock))
        with serving(reporting(issuer.asgi, lambda *line: seen.append(line)), sock):
            httpx.get(f"{issuer.url}/%1b%5b2J")
            httpx.get(f"{issuer.url}/.well-known/jwks")
    assert seen == [("GET", "/%1b%5b2J", 404), ("GET", "/.well-known/jwks", 200)]


@pytest.fixture
def m2m(kinde: LocalIssuer) -> dict[str, str]:
    """The variables of the sample app."""
    return {
        "KINDE_DOMAIN": kinde.url,
        "KINDE_M2M_CLIENT_ID": kinde.app.client_id,
        "KINDE_M2M_CLIENT_SECRET": kinde.app.client_secret,
        "KINDE_M2M_AUDIENCE": kinde.audience,
    }


def test_token_writes_the_token_alone(run: Run, m2m: dict[str, str]) -> None:
    """One line on stdout, nothing on stderr."""
    status, out, err = run("token", "--scope", READ, **m2m)
    assert (status, err) == (0, "")
    assert re.fullmatch(r"[\w-]+\.[\w-]+\.[\w-]+\n", out)


def test_token_is_no_fleet_s(run: Run, m2m: dict[str, str]) -> None:
    """Whoever asks for one at the terminal wants to see one of now."""
    status, out, err = run("token", **m2m, KINDE_M2M_SHARED_URL="redis://127.0.0.1:1")
    assert (status, out.count("\n"), err) == (0, 1, "")


def test_token_as_json(run: Run, m2m: dict[str, str], verify: Run) -> None:
    """In the form of a token endpoint's answer, with what verify reads."""
    done = run("token", "--json", **m2m)
    assert done.document["token_type"] == "Bearer"
    assert verify(done.out).status == 0


def test_token_by_options(run: Run, kinde: LocalIssuer, m2m: dict[str, str]) -> None:
    """All but the secret may be given so."""
    arguments = ["--domain", kinde.url, "--client-id", kinde.app.client_id, "--audience", kinde.audience]
    secret = m2m["KINDE_M2M_CLIENT_SECRET"]
    assert run("token", *arguments, "--scope", READ, KINDE_M2M_CLIENT_SECRET=secret).status == 0


def test_token_refused(run: Run, m2m: dict[str, str]) -> None:
    """By Kinde, whose error code is named; the secret is not."""
    status, out, err = run("token", "--scope", "delete:all", **m2m)
    assert (status, out) == (1, "")
    assert err.startswith("no token (invalid_scope): ")
    assert m2m["KINDE_M2M_CLIENT_SECRET"] not in err
    assert run("token", "--scope", "delete:all", "--json", **m2m).document["error"] == "invalid_scope"


def test_token_from_nobody(run: Run, m2m: dict[str, str], unused: str) -> None:
    """Cannot tell."""
    status, out, err = run("token", **{**m2m, "KINDE_DOMAIN": unused})
    assert (status, out) == (3, "")
    assert err.startswith("no token (temporarily_unavailable): ")


def test_token_without_settings(run: Run) -> None:
    """Names the variable, and the option as it is spelled here."""
    status, out, err = run("token", KINDE_M2M_CLIENT_SECRET="made-up")
    assert (status, out) == (2, "")
    assert "KINDE_DOMAIN" in err
    assert "--domain" in err


def test_the_secret_from_stdin(m2m: dict[str, str]) -> None:
    """With --secret-stdin; without it, a pipe is not read, and the sentence says so."""
    secret = m2m.pop("KINDE_M2M_CLIENT_SECRET")

    def piped(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [*CLI, "token", *arguments]
        environment = {**CLEAN, **m2m}
        return subprocess.run(
            command, env=environment, input=f"{secret}\n", capture_output=True, text=True, timeout=LONG, check=False
        )

    read, unread = piped("--secret-stdin"), piped()
    assert (read.returncode, read.stderr) == (0, "")
    assert (unread.returncode, unread.stdout) == (2, "")
    assert "--secret-stdin" in unread.stderr


def test_the_secret_at_a_prompt(m2m: dict[str, str]) -> None:
    """At a terminal, and without an echo."""
    pty = pytest.importorskip("pty", reason="needs a terminal that a test can make")
    secret = m2m.pop("KINDE_M2M_CLIENT_SECRET")
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [*CLI, "token"],
        env={**CLEAN, **m2m},
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stderr is not None
        prompt = process.stderr.read(len("Client secret"))
        os.write(ours, f"{secret}\n".encode())
        out, err = process.communicate(timeout=LONG)
    echo = os.read(ours, 1000) if select.select([ours], [], [], 0)[0] else b""
    os.close(ours)
    os.close(theirs)
    assert (process.returncode, prompt) == (0, "Client secret")
    assert out.count(".") == 2
    assert secret not in err
    assert secret.encode() not in echo


def test_a_good_token(verify: Run, kinde: LocalIssuer) -> None:
    """Its claims on stdout, dates readable; a sentence on stderr."""
    status, out, err = verify(kinde.m2m_token())
    assert status == 0
    assert err.startswith(f"valid: M2M app {kinde.app.client_id}, good for 23 h 59")
    assert re.search(rf"^azp +{kinde.app.client_id} *$", out, re.M)
    assert re.search(r"^exp +\d+  \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC, in 23 h 59 min *$", out, re.M)


def test_a_good_token_of_a_user(verify: Run, kinde: LocalIssuer) -> None:
    """The caller is the user."""
    assert verify(kinde.user_token("kp_1")).err.startswith("valid: user kp_1, ")


@pytest.mark.parametrize("form", ["{}", "Bearer {}", "Authorization: Bearer {}", '{{"access_token": "{}"}}'])
def test_the_forms_a_token_comes_in(verify: Run, kinde: LocalIssuer, form: str) -> None:
    """Alone, as it stands in a header, and in a token endpoint's answer."""
    assert verify(form.format(kinde.m2m_token()), "--json").document["claims"]["azp"] == kinde.app.client_id


@pytest.mark.parametrize("preset", ["expired", "wrong_audience", "empty_audience", "id_token", "tampered", "alg_none"])
def test_a_token_that_is_refused(verify: Run, kinde: LocalIssuer, preset: str) -> None:
    """The reason and the hint, in words and as JSON; exit status 1; the token appears nowhere."""
    token = kinde.preset(preset)
    words, machine = verify(token), verify(token, "--json")
    found = machine.document
    assert (words.status, machine.status, words.out, machine.err) == (1, 1, "", "")
    assert found["verdict"] == "refused"
    assert words.err.startswith(f"refused: {found['reason']}\n{found['detail']}\n")
    assert found["hint"] in words.err
    assert token not in words.err + machine.out


def test_a_hint_is_given(verify: Run, kinde: LocalIssuer) -> None:
    """What to change in Kinde, for the most frequent mistake."""
    assert "\nHint: " in verify(kinde.preset("empty_audience")).err


@pytest.mark.parametrize(
    ("demand", "status"),
    [
        ("scope:read:users", 0),
        ("scope:delete:all", 1),
        ("machine", 0),
        ("m2m", 0),
        ("user", 1),
        ("permission:x", 1),
        ("role:x", 1),
        ("org:org_1", 1),
        ("flag:x", 1),
        ("read:users", 2),
        ("scope:", 2),
        ("machine:x", 2),
        ("m2m:x", 2),
        ("(scope:read:users & machine) | role:admin", 0),
        ("role:admin | user", 1),
        ("scope:read:users & machine | role:admin", 2),
    ],
)
def test_what_a_route_demands(verify: Run, kinde: LocalIssuer, demand: str, status: int) -> None:
    """--require, which verifies a demand on top of the token."""
    assert verify(kinde.m2m_token(), "--require", demand).status == status


def test_demands_add_up(verify: Run, kinde: LocalIssuer) -> None:
    """Each has to be met."""
    token = kinde.m2m_token(scope=READ)
    found = verify(token, "--require", "scope:read:users", "--require", "scope:write:flags", "--json")
    assert (found.status, found.document["reason"]) == (1, "insufficient_scope")


@pytest.fixture
def unused() -> str:
    """The address of nobody."""
    with listen(0) as sock:
        return url_of(sock)


def test_cannot_tell(run: Run, kinde: LocalIssuer, unused: str, tmp_path: Path) -> None:
    """Without keys there is no verdict: exit status 3, and why."""
    file = tmp_path / "token.txt"
    file.write_text(LocalIssuer(unused, key=kinde.key).m2m_token())
    arguments = ["verify", str(file), "--domain", unused, "--audience", kinde.audience]
    words, machine = run(*arguments), run(*arguments, "--json")
    assert (words.status, machine.status, words.out) == (3, 3, "")
    assert words.err.startswith("cannot tell: keys_unavailable\n")
    assert f"No keys from {unused}: ConnectError" in words.err
    assert machine.document["verdict"] == "cannot_tell"
    assert list(machine.document["problems"]) == [unused]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "there is no token in "),
        ('{"error": "invalid_client"}', " has no access_token"),
        ("{", " has no access_token"),
        ("[" * 100_000, "malformed"),
    ],
    ids=["empty", "another answer", "half an answer", "no token at all"],
)
def test_a_file_without_a_token(verify: Run, text: str, sentence: str) -> None:
    """Said in words; only what can be a token is judged."""
    done = verify(text)
    assert done.status == (1 if sentence == "malformed" else 2)
    assert sentence in done.err


def test_a_file_that_is_not_there(run: Run, kinde: LocalIssuer) -> None:
    """Exit status 2; what may be pasted by mistake is not repeated whole."""
    settings = {"KINDE_DOMAIN": kinde.url, "KINDE_AUDIENCE": kinde.audience}
    assert run("verify", "no-such-file", **settings).err == (
        "kinde-guard: cannot read 'no-such-file': No such file or directory\n"
    )
    assert "x" * 50 not in run("verify", "x" * 300, **settings).err


def test_verify_without_settings(run: Run, tmp_path: Path) -> None:
    """Names the variable and the option."""
    status, _, err = run("verify", str(tmp_path), KINDE_DOMAIN="acme.kinde.com")
    assert status == 2
    assert "KINDE_AUDIENCE" in err
    assert "--audience" in err


@pytest.mark.parametrize("before", ["", "--require=", "Bearer "])
@pytest.mark.parametrize("command", ["verify", "token", "demo"])
def test_a_token_on_the_command_line(run: Run, kinde: LocalIssuer, command: str, before: str) -> None:
    """Refused before anything else, with what to do instead, and not repeated."""
    token = kinde.m2m_token()
    status, out, err = run(command, before + token)
    assert (status, out) == (2, "")
    assert "kinde-guard verify < token.txt" in err
    assert token[:40] not in err


@pytest.mark.parametrize("arguments", [["--client-secret", "hush"], ["--secret=hush"], ["--token=hush"]])
def test_a_secret_on_the_command_line(run: Run, arguments: list[str]) -> None:
    """There is no such option, and the sentence says what there is."""
    status, out, err = run("token", *arguments)
    assert (status, out) == (2, "")
    assert "--secret-stdin" in err
    assert "hush" not in err


def test_claims_play_no_tricks_on_the_terminal(verify: Run, kinde: LocalIssuer) -> None:
    """Control characters, markup and emoji names in a claim are text."""
    nasty = "\x1b[2J \x9b2J \u202e [red]x[/red] :flags:"
    done = verify(kinde.token({**kinde.m2m_claims(), "\x1b]0;x": nasty}))
    assert done.status == 0
    assert done.out.isascii()
    assert "\x1b" not in done.out
    assert "[red]x[/red] :flags:" in done.out


@pytest.mark.parametrize(
    ("variables", "coloured"), [({"FORCE_COLOR": "1"}, True), ({"NO_COLOR": "1"}, False), ({}, False)]
)
def test_colours(verify: Run, run: Run, kinde: LocalIssuer, variables: dict[str, str], coloured: bool) -> None:
    """At a terminal, unless NO_COLOR is set."""
    assert run("--version", **variables).status == 0
    assert ("\x1b[1;31m" in verify(kinde.preset("expired")).err) is coloured


def test_a_terminal_that_lacks_a_character(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gets a plainer one; nothing fails for want of an arrow."""
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="ascii", write_through=True))
    always_print()
    Screen().line("client → API", "GET /users …", "☃")
    assert written.getvalue().splitlines() == [b"  client -> API   GET /users ...", b"                 ?"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (-1, "0 s"), (59.9, "59 s"), (3_600, "1 h"), (86_399, "23 h 59 min"), (90_061, "1 d 1 h")],
)
def test_times_are_readable(seconds: float, text: str) -> None:
    """The two largest units."""
    assert span(seconds) == text


def test_only_dates_are_shown_as_dates() -> None:
    """And only where they are numbers."""
    assert shown("exp", 0).startswith("0  1970-01-01 00:00:00 UTC, ")
    assert (shown("exp", True), shown("v", 0), shown("iat", "1")) == ("true", "0", "1")


def test_version(run: Run) -> None:
    """As the package has it."""
    assert run("--version") == (0, f"kinde-guard {kinde_guard.__version__}\n", "")


@pytest.mark.parametrize("option", ["--version", "--help", "--nope", "no_such_command"])
def test_what_runs_no_command_loads_none(option: str) -> None:
    """In a process of its own: a version and a help need no cryptography, no local Kinde, no client and no server."""
    script = (
        "import json, sys; from kinde_guard.cli import main\n"
        f"try: main([{option!r}])\n"
        "except SystemExit: pass\n"
        "print(json.dumps(sorted(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], env=CLEAN, capture_output=True, text=True, timeout=LONG, check=True
    )
    loaded = set(json.loads(done.stderr.splitlines()[-1]))
    assert "kinde_guard.cli.app" in loaded
    needless = {
        "cryptography",
        "jwt",
        "httpx",
        "uvicorn",
        "starlette",
        "jinja2",
        "kinde_guard.issuer",
        "kinde_guard.guard",
    }
    assert not loaded & needless


@pytest.mark.parametrize("name", COMMANDS)
def test_a_summary_is_how_the_help_of_the_command_begins(name: str) -> None:
    """It is written twice, as a docstring cannot be read without loading the module."""
    assert (inspect.getdoc(function_of(name)) or "").partition("\n\n")[0] == COMMANDS[name].summary


def test_python_m_kinde_guard_is_the_command_line() -> None:
    command = [sys.executable, "-W", "error", "-m", "kinde_guard", "--version"]
    done = subprocess.run(command, env=CLEAN, capture_output=True, text=True, timeout=LONG, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"kinde-guard {kinde_guard.__version__}\n", "")


def test_every_command_is_in_the_help(run: Run) -> None:
    """And where to begin."""
    out = run("--help").out
    assert re.findall(r"^  ([\w-]+) ", out.partition("Commands:")[2], re.M)[:-1] == list(COMMANDS)
    assert "Start here: kinde-guard demo" in out


@pytest.mark.parametrize("missing", ["typer", "uvicorn", "starlette"])
def test_without_the_extra(missing: str) -> None:
    """One sentence that says what to install; exit status 2."""
    script = f"import sys; sys.modules[{missing!r}] = None; from kinde_guard.cli import main; sys.exit(main(['demo']))"
    done = subprocess.run(
        [sys.executable, "-c", script], env=CLEAN, capture_output=True, text=True, timeout=LONG, check=False
    )
    sentence = f"kinde-guard: the command line needs {missing}: pip install 'kinde-guard[cli]'\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", sentence)


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("re", ["revocations", "revoke"]),
        ("token --pre", ["--preset"]),
        ("forward-auth --statuses ", ["plain", "nginx"]),
        ("revocations l", ["lift", "list"]),
    ],
)
def test_the_shell_completes(typed: str, offered: list[str]) -> None:
    """Commands and their options, as ``kinde-guard --install-completion`` sets it up; here as bash asks."""
    words = f"kinde-guard {typed}"
    asked = {"_KINDE_GUARD_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
    done = subprocess.run(CLI, env={**CLEAN, **asked}, capture_output=True, text=True, timeout=LONG)
    assert (sorted(done.stdout.split()), done.stderr) == (sorted(offered), "")
