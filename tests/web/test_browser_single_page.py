"""The single-page example, in a browser, against a local Kinde."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest
from browser import DESKTOP, PHONE, Page, Visitor, example, expect, violations
from servers import served_issuer

from kinde_guard.issuer import LocalIssuer

pytest_plugins = ["browser"]

ME, USERS, FLAGS = "GET /api/me", "GET /api/users", "POST /api/flags"


@pytest.fixture(scope="module")
def issuer() -> Iterator[LocalIssuer]:
    with served_issuer() as issuer:
        yield issuer


@pytest.fixture(scope="module")
def url(issuer: LocalIssuer) -> Iterator[str]:
    with example("single_page_app", issuer) as url:
        yield url


@pytest.fixture
def page(visitor: Visitor, url: str) -> Page:
    page = visitor.page()
    page.goto(url)
    return page


@contextmanager
def nobody_but(issuer: LocalIssuer, *emails: str) -> Iterator[None]:
    """Meanwhile the others are unknown to the issuer."""
    users = issuer.registry.users
    for user in users:
        if user.email not in emails:
            issuer.registry.remove_user(user.id)
    yield
    for user in users:  # in the order in which they were
        issuer.registry.remove_user(user.id)
        issuer.add_user(user)


def sign_in(page: Page, name: str = "Ada Lovelace") -> None:
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_text(f"Signed in as {name}")).to_be_visible()


def call(page: Page, name: str) -> str:
    """The heading of the answer."""
    page.get_by_role("button", name=name).click()
    heading = page.get_by_role("status").get_by_role("heading")
    expect(heading).to_contain_text(f"{name}: ")
    return heading.inner_text().removeprefix(f"{name}: ")


def expect_stranger(page: Page) -> None:
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()
    expect(page.get_by_role("button", name="Sign out")).to_be_hidden()


def test_signing_in_calling_and_signing_out(page: Page, visitor: Visitor, issuer: LocalIssuer) -> None:
    visitor.expect_error("status of 401")
    visitor.expect_error("status of 403")
    expect_stranger(page)
    assert call(page, ME) == "401 Unauthorized"
    sign_in(page)
    expect(page.get_by_role("banner")).to_contain_text("ada@example.com")
    assert call(page, ME) == "200 OK"
    expect(page.get_by_role("status")).to_contain_text(issuer.registry.users[0].id)
    assert call(page, USERS) == "200 OK"
    expect(page.get_by_role("status")).to_contain_text("Grace")
    assert call(page, FLAGS) == "403 Forbidden"
    expect(page.get_by_role("status")).to_contain_text("lacks a scope that this resource needs. It needs: write:flags")
    page.get_by_role("button", name="Sign out").click()
    expect_stranger(page)
    assert call(page, ME) == "401 Unauthorized"
    assert [entry.kind for entry in issuer.journal.since(0)].count("signed_out") == 1


def test_a_permission_that_is_lacking(page: Page, visitor: Visitor, issuer: LocalIssuer) -> None:
    visitor.expect_error("status of 403")
    with nobody_but(issuer, "alan@example.com"):
        sign_in(page, "Alan Turing")
    assert call(page, ME) == "200 OK"
    assert call(page, USERS) == "403 Forbidden"
    expect(page.get_by_role("status")).to_contain_text("lacks a permission that this resource needs.")


def test_what_signing_in_leaves_behind(page: Page, url: str) -> None:
    """No token where another script, or a later visitor, could find it; and no code in the URL."""
    sign_in(page)
    assert page.url == f"{url}/"
    assert page.evaluate("[localStorage.length, sessionStorage.length, document.cookie]") == [0, 0, ""]
    page.reload()
    expect_stranger(page)


def test_by_keyboard_alone(page: Page) -> None:
    expect_stranger(page)
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Sign in")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_text("Signed in as Ada Lovelace")).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Sign out")).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_contain_text("200 OK")


def test_an_answer_that_was_not_asked_for(visitor: Visitor, url: str, issuer: LocalIssuer) -> None:
    """A code of somebody else's, slipped in by a link, is not redeemed (RFC 6749 §10.12)."""
    before = issuer.token_requests
    page = visitor.page()
    page.goto(f"{url}/?code=theirs&state=theirs")
    expect(page.get_by_role("alert")).to_have_text("Signing in failed: that was no answer to a sign-in begun here.")
    expect_stranger(page)
    assert (page.url, issuer.token_requests) == (f"{url}/", before)


def test_another_state(page: Page, url: str, issuer: LocalIssuer) -> None:
    before = issuer.token_requests
    page.evaluate("sessionStorage.setItem('signing in', JSON.stringify({ verifier: 'v', state: 's', nonce: 'n' }))")
    page.goto(f"{url}/?code=theirs&state=theirs")
    expect(page.get_by_role("alert")).to_contain_text("no answer to a sign-in begun here")
    assert issuer.token_requests == before
    assert page.evaluate("sessionStorage.length") == 0


def test_a_refused_sign_in(page: Page, issuer: LocalIssuer, url: str) -> None:
    """The page says why, and lets one try again."""
    with nobody_but(issuer):
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("alert")).to_contain_text("Signing in failed: ")
    assert page.url == f"{url}/"
    sign_in(page)
    expect(page.get_by_role("alert")).to_be_hidden()


def test_calls_at_the_same_time_refresh_once(visitor: Visitor, url: str, issuer: LocalIssuer) -> None:
    """A refresh token that is used twice is a stolen one to the issuer, and signs everybody out."""
    page = visitor.page()
    page.clock.install()
    page.goto(url)
    sign_in(page)
    before = issuer.token_requests
    page.clock.fast_forward("24:00:00")
    page.evaluate("for (const each of document.querySelectorAll('[data-call*=GET]')) each.click()")
    expect(page.get_by_role("status")).to_contain_text("200 OK")
    assert call(page, ME) == "200 OK"
    assert issuer.token_requests == before + 1
    page.clock.fast_forward("24:00:00")
    assert call(page, USERS) == "200 OK"
    assert issuer.token_requests == before + 2


def test_a_refused_refresh(visitor: Visitor, url: str, issuer: LocalIssuer) -> None:
    """Then one is a stranger again, and is told."""
    visitor.expect_error("status of 400")
    page = visitor.page()
    page.clock.install()
    page.goto(url)
    sign_in(page)
    page.clock.fast_forward("24:00:00")
    with nobody_but(issuer, "alan@example.com"):
        page.get_by_role("button", name=ME).click()
        expect(page.get_by_role("alert")).to_contain_text("The call failed: ")
    expect_stranger(page)


@pytest.mark.parametrize(("dark", "size"), [(False, DESKTOP), (True, DESKTOP), (True, PHONE)])
def test_accessible(dark: bool, size: tuple[int, int], visitor: Visitor, url: str) -> None:
    """As a stranger, signed in, with data, with a refusal; and nothing is wider than the screen."""
    visitor.expect_error("status of 403")
    page = visitor.page(dark=dark, size=size)
    page.goto(url)
    expect_stranger(page)
    found = violations(page)
    sign_in(page)
    for name in (ME, FLAGS):
        call(page, name)
        found += violations(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
    assert found == []


def test_content_security_policy(url: str, issuer: LocalIssuer) -> None:
    """Own files, own API and the issuer; nothing inline."""
    policy = httpx.get(url).headers["Content-Security-Policy"]
    directives = dict(each.strip().split(" ", 1) for each in policy.split(";"))
    assert directives["default-src"] == directives["base-uri"] == directives["frame-ancestors"] == "'none'"
    assert directives["script-src"] == directives["style-src"] == "'self'"
    assert directives["connect-src"] == f"'self' {issuer.url}"
    assert "unsafe" not in policy


@pytest.mark.parametrize("path", ["/api/me", "/docs", "/openapi.json", "/single_page_app.js", "/app.js/", "/nowhere"])
def test_nothing_else_is_open(path: str, url: str) -> None:
    assert httpx.get(url + path).status_code == 401
