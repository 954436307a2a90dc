"""A real browser for tests: Chromium as Debian has it, driven by Playwright. A module that uses it has

    pytest_plugins = ["browser"]

for the fixtures, beside what it imports, and is skipped where there is no Playwright or no Chromium. No page reaches
beyond this machine, and what goes wrong in a page (an error in its console, an exception, a request to elsewhere) fails
the test. (PYTEST_DONT_REWRITE: pytest would warn that it was imported first.)
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from waiting import LONG

from kinde_guard.cli.serving import listen, url_of
from kinde_guard.issuer import LocalIssuer

CHROMIUM = shutil.which("chromium")
try:
    from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
    from playwright.sync_api import (
        Browser,
        ConsoleMessage,
        Locator,
        Page,
        Request,
        Route,
        WebError,
        expect,
        sync_playwright,
    )
except ModuleNotFoundError as missing:
    pytest.skip(f"no browser tests: {missing.name} is not installed", allow_module_level=True)
if CHROMIUM is None:
    pytest.skip(
        "no browser tests: chromium is not installed (Debian: apt-get install chromium)", allow_module_level=True
    )

__all__ = [
    "DESKTOP",
    "PHONE",
    "ROOT",
    "Browser",
    "Locator",
    "Page",
    "Request",
    "Visitor",
    "chromium",
    "example",
    "expect",
    "fastapi_docs_files",
    "launched",
    "violations",
    "visitor",
]

ROOT = Path(__file__).parents[1]
_ARGUMENTS = [
    *(["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []),  # it refuses to run as root with one
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",  # redirects and sockets as well
]
_ELSEWHERE = re.compile(r"^(?!(?:https?|wss?)://(?:127\.0\.0\.1|localhost)(?:[:/]|$)|file:|data:|blob:|about:)")
_TIMEOUT = 1000 * LONG  # ms
DESKTOP = (1280, 800)
PHONE = (360, 740)


class Visitor:
    """Opens pages, and remembers what goes wrong in them and in the windows that they open."""

    def __init__(self, browser: Browser) -> None:
        self.answers: dict[str, Path] = {}
        """URLs elsewhere that are answered after all, and the files they are answered from."""
        self._browser = browser
        self._problems: list[str] = []
        self._expected: dict[str, bool] = {}

    def page(self, *, dark: bool = False, size: tuple[int, int] = DESKTOP) -> Page:
        """An empty page of a browser that has never been anywhere; ``page.context.new_page()`` is one beside it."""
        context = self._browser.new_context(
            locale="en-GB",
            timezone_id="UTC",
            color_scheme="dark" if dark else "light",
            reduced_motion="reduce",
            viewport={"width": size[0], "height": size[1]},
            service_workers="block",
        )
        context.set_default_timeout(_TIMEOUT)
        context.route(_ELSEWHERE, self._answer)
        context.on("request", self._requested)
        context.on("console", self._said)
        context.on("weberror", self._raised)
        return context.new_page()

    def expect_error(self, pattern: str) -> None:
        """Errors that *pattern* is found in are meant, and there must be one: a refused request is one."""
        self._expected.setdefault(pattern, False)

    def close(self) -> None:
        """Close every page, and fail if anything went wrong in one."""
        for context in self._browser.contexts:
            context.close()
        absent = [f"no error like {pattern!r}" for pattern, seen in self._expected.items() if not seen]
        if self._problems or absent:
            pytest.fail("\n".join(["in the browser:", *self._problems, *absent]), pytrace=False)

    def _answer(self, route: Route) -> None:
        path = self.answers.get(route.request.url)
        if path is None:
            route.abort()
        else:
            route.fulfill(path=path)

    def _requested(self, request: Request) -> None:
        if _ELSEWHERE.match(request.url) and request.url not in self.answers:
            self._problem(f"a request to {request.url}")

    def _said(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self._problem(f"{message.text} ({message.location['url']})")

    def _raised(self, error: WebError) -> None:
        self._problem(str(error.error))

    def _problem(self, text: str) -> None:
        expected = [pattern for pattern in self._expected if re.search(pattern, text)]
        self._expected.update(dict.fromkeys(expected, True))
        if not expected:
            self._problems.append(text)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """One browser for a module, and not for longer: it keeps an event loop running in this thread, in which the
    asyncio of other tests could not run theirs."""
    with launched() as browser:
        yield browser


@contextmanager
def launched() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        expect.set_options(timeout=_TIMEOUT)
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=_ARGUMENTS, timeout=_TIMEOUT)
        yield browser
        browser.close()


@pytest.fixture
def visitor(chromium: Browser) -> Iterator[Visitor]:
    """Somebody at the browser, of whom no trace is left."""
    visitor = Visitor(chromium)
    yield visitor
    visitor.close()


def violations(page: Page) -> list[str]:
    """What axe finds on *page* that is serious or critical: the rule, and where it is broken."""
    options = {"resultTypes": ["violations"], "preload": False}  # it would ask for each style sheet again
    found: list[Mapping[str, Any]] = Axe().run(page, options=options).response["violations"]
    return [
        f"{each['id']} ({each['impact']}): {each['help']}: {[node['target'] for node in each['nodes']]}"
        for each in found
        if each["impact"] in ("serious", "critical")
    ]


def fastapi_docs_files() -> dict[str, Path]:
    """For :attr:`Visitor.answers`: what FastAPI's docs page loads from elsewhere."""
    spec = importlib.util.find_spec("fastapi_offline")  # not imported: only its files are wanted
    assert spec is not None
    assert spec.origin is not None
    files = Path(spec.origin).parent / "static"
    cdn = "https://cdn.jsdelivr.net/npm/swagger-ui-dist@5/"
    return {
        f"{cdn}swagger-ui-bundle.js": files / "swagger-ui-bundle.js",
        f"{cdn}swagger-ui.css": files / "swagger-ui.css",
        "https://fastapi.tiangolo.com/img/favicon.png": files / "favicon.png",
    }


@contextmanager
def example(name: str, issuer: LocalIssuer, port: int = 0) -> Iterator[str]:
    """An example behind uvicorn, as its first lines say; gives its URL. The socket queues until the server is up."""
    sock = listen(port)
    command = [sys.executable, "-m", "uvicorn", f"examples.{name}:app", "--log-level", "warning", "--fd"]
    settings = {
        "KINDE_DOMAIN": issuer.url,
        "KINDE_AUDIENCE": issuer.audience,
        "KINDE_CLIENT_ID": issuer.front_end_app.client_id,
    }
    process = subprocess.Popen(
        [*command, str(sock.fileno())], cwd=ROOT, env=os.environ | settings, pass_fds=[sock.fileno()]
    )
    try:
        yield url_of(sock)
    finally:
        process.terminate()
        process.wait(LONG)
        sock.close()
