"""README and pages are true: their code runs, their commands exist, every public name has its place."""

from __future__ import annotations

import json
import logging
import re
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from commands import variables_of_app
from servers import served_issuer
from starlette.testclient import TestClient
from waiting import LONG

from kinde_guard import AuthError, Guard, scope
from kinde_guard.issuer import LocalIssuer
from kinde_guard.m2m import TokenRefused
from kinde_guard.web import wording

ROOT = Path(__file__).parents[1]
README = ROOT.joinpath("README.md").read_text(encoding="utf-8")
PAGES = {path.stem: path.read_text(encoding="utf-8") for path in (ROOT / "README.md", *sorted(ROOT.glob("docs/*.md")))}
PYTHON = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
NOT_RUN = re.compile(r"^```py\n(.*?)^```", re.MULTILINE | re.DOTALL)
ELSEWHERE = {"django": "test_django_page.py", "other-frameworks": "test_other_frameworks.py"}
"""Pages whose code makes up projects, or needs more than is installed here, and the tests that run it."""
BLOCKS = [(page, block) for page, text in PAGES.items() if page not in ELSEWHERE for block in PYTHON.findall(text)]
WEBHOOK = "/webhooks/kinde"


def _named_blocks() -> Iterator[Any]:
    numbers: Counter[str] = Counter()
    for page, block in BLOCKS:
        numbers[page] += 1
        if "from main import app" in block:
            continue  # a file of tests: see test_its_tests_pass
        yield pytest.param(block, id=f"{page} {numbers[page]}")


@pytest.fixture(scope="module")
def issuer() -> Iterator[LocalIssuer]:
    with served_issuer() as issuer:
        yield issuer


@pytest.fixture
def environment(issuer: LocalIssuer, monkeypatch: pytest.MonkeyPatch) -> LocalIssuer:
    for name, value in variables_of_app(issuer).items():
        monkeypatch.setenv(name, value)
    return issuer


@pytest.fixture(autouse=True)
def _logs_as_before() -> Iterator[None]:
    """Some blocks set up logging, for the whole process."""
    loggers = [
        (logger, logger.level, list(logger.handlers)) for logger in (logging.root, logging.getLogger("kinde_guard"))
    ]
    yield
    for logger, level, handlers in loggers:
        logger.setLevel(level)
        logger.handlers[:] = handlers


def run(block: str) -> dict[str, Any]:
    namespace: dict[str, Any] = {"__name__": "readme"}
    exec(compile(block, "README.md", "exec"), namespace)  # that is the test
    return namespace


def statuses(app: Any, path: str, *headers: dict[str, str]) -> list[int]:
    """What *app*, of whatever framework, answers at *path* to each of *headers*."""
    if hasattr(app, "test_client"):
        client = app.test_client()
        return [client.get(path, headers=each).status_code for each in headers]
    with TestClient(app, raise_server_exceptions=False) as client:
        return [client.get(path, headers=each).status_code for each in headers]


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


LINKS = re.compile(r"""\]\(([^)\s]+)|\b(?:src|srcset|href)=["']?([^"'\s>]+)|^\[[^\]]+\]:\s*(\S+)""", re.MULTILINE)


def test_it_shows_the_same_on_a_package_index() -> None:
    """Where there is no file beside it: a link or a picture has an address, or is a heading of the README itself."""
    text = re.sub(r"^```.*?^```$|`[^`\n]*`", "", README, flags=re.MULTILINE | re.DOTALL)
    found = [next(filter(None, groups)) for groups in LINKS.findall(text)]
    assert found
    assert [link for link in found if not link.startswith(("#", "https://"))] == []


@pytest.mark.parametrize("block", list(_named_blocks()))
def test_code_runs(block: str, environment: LocalIssuer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Every block runs as it stands; an app in it refuses a stranger wherever it demands something."""
    monkeypatch.chdir(tmp_path)
    tmp_path.joinpath("keys.json").write_text(json.dumps(environment.jwks()))
    namespace = run(block)
    app = namespace.get("app")
    for path in re.findall(r'^@(?:app|admin)\.get\("(/[^"{]*)"\)', block, re.MULTILINE) if app is not None else []:
        path = f"/admin{path}" if "Blueprint" in block else path
        expected = 200 if "OptionalToken" in block or path == "/healthz" else 401
        assert statuses(app, path, {}) == [expected]


def block_with(text: str) -> str:
    return next(str(block) for _, block in BLOCKS if text in block)


@pytest.mark.parametrize(
    "import_line",
    [
        "kinde_guard.fastapi import KindeGuard, Token, requires_scope",
        "import KindeGuard, current_token",
        "async def users(request):",
    ],
)
def test_apps_let_the_right_callers_in(import_line: str, environment: LocalIssuer) -> None:
    """A caller with the scope is let in, one without it is told what is missing."""
    app = run(block_with(import_line))["app"]
    good, poor = environment.m2m_token(scope="read:users"), environment.m2m_token(scope="write:flags")
    assert statuses(app, "/users", bearer(good), bearer(poor), {}) == [200, 403, 401]


@pytest.mark.usefixtures("no_settings")
def test_its_tests_pass(tmp_path: Path) -> None:
    """The chapter on testing, in files as a reader would write them, without any setting."""
    of_the_first_page = {number: block for number, block in TESTS.items() if WEBHOOK not in block}
    assert passed(tmp_path, BLOCKS[0][1], of_the_first_page) == 8


@pytest.mark.usefixtures("no_settings")
def test_its_test_of_webhooks_passes(tmp_path: Path) -> None:
    of_webhooks = {number: block for number, block in TESTS.items() if WEBHOOK in block}
    assert passed(tmp_path, block_with("def on_event(event: WebhookEvent)"), of_webhooks) == 1


TESTS = {number: block for number, (_, block) in enumerate(BLOCKS) if "from main import app" in block}


def passed(folder: Path, main: str, tests: dict[int, str]) -> int:
    """How many tests of a project with this *main* module pass; none fails."""
    folder.joinpath("main.py").write_text(main, encoding="utf-8")
    for number, block in tests.items():
        folder.joinpath(f"test_{number}.py").write_text(block, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", str(folder)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=LONG)
    assert done.returncode == 0, done.stdout + done.stderr
    [count] = re.findall(r"^(\d+) passed", done.stdout, re.MULTILINE)
    return int(count)


def test_what_is_not_run() -> None:
    """Only what people have *before* they come, for libraries that are not installed here or ask a Kinde of nobody's;
    and the apps of other frameworks, which have tests of their own. It is Python all the same."""
    not_run = {page: NOT_RUN.findall(text) for page, text in PAGES.items() if NOT_RUN.search(text)}
    assert set(not_run) == {"migration", "other-frameworks"}
    assert len(not_run["migration"]) == len(re.findall(r"^Before.*\n\n```py$", PAGES["migration"], re.MULTILINE))
    for blocks in not_run.values():
        for block in blocks:
            compile(block, "before.py", "exec")


@pytest.mark.parametrize("page", list(ELSEWHERE))
def test_code_that_is_run_elsewhere_is(page: str) -> None:
    assert f"docs/{page}.md" in Path(__file__).with_name(ELSEWHERE[page]).read_text(encoding="utf-8")


def test_no_framework(environment: LocalIssuer) -> None:
    handle = run(block_with("def handle(raw)"))["handle"]
    assert handle(environment.m2m_token(scope="read:users")) == environment.app.client_id
    assert handle(environment.m2m_token(scope="")) == "insufficient_scope"
    assert handle(environment.preset("expired")) == "expired"


@pytest.fixture
def no_news_of_revocations(monkeypatch: pytest.MonkeyPatch) -> None:
    """A guard follows revocations by the variable alone, and here nobody answers it."""
    monkeypatch.setenv("KINDE_REVOCATIONS_URL", "redis://127.0.0.1:1/0")


@pytest.mark.usefixtures("no_news_of_revocations")
def test_no_framework_and_no_news_of_revocations(environment: LocalIssuer) -> None:
    """All that cannot be told is caught, not the lack of keys alone."""
    handle = run(block_with("def handle(raw)"))["handle"]
    assert handle(environment.m2m_token(scope="read:users")) == "try again in 1 s"


def test_a_refusal_in_your_own_words(environment: LocalIssuer) -> None:
    with TestClient(run(block_with("refusal.detail"))["app"]) as client:
        reply = client.get("/me", headers=bearer(environment.preset("expired")))
    assert (reply.status_code, reply.json()) == (401, {"sorry": "The access token has expired."})
    assert 'error="invalid_token"' in reply.headers["WWW-Authenticate"]


@pytest.mark.usefixtures("no_news_of_revocations")
def test_cannot_tell_in_your_own_words(environment: LocalIssuer) -> None:
    with TestClient(run(block_with("refusal.detail"))["app"]) as client:
        reply = client.get("/me", headers=bearer(environment.m2m_token()))
    said = {"sorry": "It cannot be told at the moment whether access tokens have been revoked."}
    assert (reply.status_code, reply.json()) == (503, said)


def test_logs_in_json(environment: LocalIssuer, capsys: pytest.CaptureFixture[str]) -> None:
    """A refusal is in them, with all that the page names."""
    run(block_with("class Json(logging.Formatter)"))
    guard = Guard()
    token = guard.verify(environment.m2m_token(scope="read:users"))
    with pytest.raises(AuthError):
        guard.demand(token, scope("write:flags"))
    *_, line = capsys.readouterr().err.splitlines()
    facts = {"reason": "insufficient_scope", "fingerprint": token.fingerprint, "client": environment.app.client_id}
    message = f"refused (insufficient_scope) token {token.fingerprint} of {environment.app.client_id!r}: "
    written = json.loads(line)
    assert written.pop("message").startswith(message)
    assert written == {"level": "INFO", "logger": "kinde_guard", **facts}


def test_m2m(environment: LocalIssuer) -> None:
    """The client's token is one that the API's guard accepts."""
    auth = run(block_with("ClientCredentials()"))["auth"]
    handle = run(block_with("def handle(raw)"))["handle"]
    assert handle(auth.token()) == environment.app.client_id


def test_m2m_without_a_token(environment: LocalIssuer, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is raised comes out of the request that needed the token, and tells what may pass from what does not."""
    users = run(block_with("except TokenRequestFailed as failed"))["users"]
    with environment.broken("server_error", at="token"):
        assert re.fullmatch(r"try again in \d+ s", users())
    monkeypatch.setenv("KINDE_M2M_CLIENT_SECRET", "another")
    users = run(block_with("except TokenRequestFailed as failed"))["users"]
    with pytest.raises(TokenRefused, match="invalid_client"):
        users()


def test_first_screen() -> None:
    """One sentence, the two commands in their very words, and ten lines of code."""
    for command in ("kinde-guard demo", "pytest"):
        assert f"\npip install uv && uv run {command}\n" in README
    first = README.index("```python")
    assert README[:first].count("\n") < 25
    assert len(BLOCKS[0][1].strip().splitlines()) <= 15


def test_every_command_is_named() -> None:
    from typer.main import get_command

    from kinde_guard.cli.app import app

    commands = get_command(app).commands  # type: ignore[attr-defined]  # a group has them
    assert commands
    for name in commands:
        assert f"`kinde-guard {name}`" in README
        assert f"`kinde-guard {name}`" in PAGES["command-line"]


@pytest.mark.parametrize("page", list(PAGES))
def test_pages_that_are_named_exist(page: str) -> None:
    """By a link, or as a file of the folder ``docs``; headings are looked up where the site is built."""
    text = PAGES[page]
    links = [ROOT / "docs" / target for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", text)]
    named = [ROOT / target for target in re.findall(r"`(docs/[\w/.-]+)`", text)]
    assert [path for path in (*links, *named) if not path.exists()] == []


def test_every_extra_and_every_example_is_named() -> None:
    """Each extra has its row, and that of ``[all]`` says what it brings and what not."""
    project = tomllib.loads(ROOT.joinpath("pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    rows = dict(re.findall(r"^\| `\[(\w+)\]` \|.*\| (.*) \|$", PAGES["install"], re.MULTILINE))
    assert set(rows) == set(extras)
    [everything] = extras["all"]
    brought, left_out = (set(re.findall(r"\[(\w+)\]", part)) for part in rows["all"].split("; not "))
    assert brought == set(re.findall(r"\w+", everything.partition("[")[2]))
    assert left_out == set(extras) - brought - {"all"}
    shown = {path.name for path in ROOT.joinpath("examples").iterdir() if path.suffix == ".py" or path.is_dir()}
    named = {Path(path).name for path in re.findall(r"`(examples/[\w/.]+)`", PAGES["install"])}
    assert named == shown - {"screenshots", "__pycache__"}


@pytest.mark.parametrize("extra", ["fastapi", "starlette", "flask", "django", "mcp", "fastmcp"])
def test_the_lowest_version_of_an_extra_is_told(extra: str) -> None:
    project = tomllib.loads(ROOT.joinpath("pyproject.toml").read_text(encoding="utf-8"))["project"]
    version = project["optional-dependencies"][extra][-1].partition(">=")[2]
    [row] = re.findall(rf"^\| `\[{extra}\]` .*$", PAGES["install"], re.MULTILINE)
    assert f" {version} or later" in row


def test_the_readme_is_short() -> None:
    assert len(README.splitlines()) <= 200


def test_client_of_the_readme_is_httpx(environment: LocalIssuer) -> None:
    assert isinstance(run(block_with("ClientCredentials()"))["client"], httpx.Client)


REASONS_PAGE = re.split(r"^### (\w+)$", PAGES["reasons"], flags=re.MULTILINE)[1:]
SAID = dict(zip(REASONS_PAGE[::2], REASONS_PAGE[1::2], strict=True))


def test_every_reason_has_its_place() -> None:
    assert sorted(SAID) == sorted(wording.TEXTS)


@pytest.mark.parametrize("reason", sorted(wording.TEXTS))
def test_a_reason_is_told_as_it_is_answered(reason: str) -> None:
    """The public text, word by word, and what to do. A line that began with `401.` would be the 401st of a list."""
    assert re.match(r"\n\n\*\*(400\.|401\.|403\.|503)\*\* ", SAID[reason])
    assert f"*{wording.TEXTS[reason]}*" in SAID[reason].replace("\n", " ")
    assert "**Fix:**" in SAID[reason]


@pytest.mark.parametrize("page", list(PAGES))
def test_a_link_to_a_reason_is_the_reason(page: str) -> None:
    """As it stands in logs, and as a forge makes its anchor: ``#wrong_audience``, and not ``#wrong-audience``."""
    linked = re.findall(r"reasons\.md#([\w-]+)", PAGES[page])
    assert [anchor for anchor in linked if anchor.replace("-", "_") in wording.TEXTS and "-" in anchor] == []
