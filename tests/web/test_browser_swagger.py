"""Swagger UI of the FastAPI example, in a browser, against a local Kinde: by pasted token, and by signing in."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from browser import Locator, Page, Request, Visitor, example, expect, fastapi_docs_files
from servers import served_issuer

from kinde_guard.issuer import LocalIssuer

pytest_plugins = ["browser"]


@pytest.fixture(scope="module")
def issuer() -> Iterator[LocalIssuer]:
    with served_issuer() as issuer:
        yield issuer


@pytest.fixture(scope="module")
def api(issuer: LocalIssuer) -> Iterator[str]:
    with example("fastapi_app", issuer) as url:
        yield url


@pytest.fixture
def docs(visitor: Visitor, api: str) -> Page:
    visitor.answers.update(fastapi_docs_files())
    page = visitor.page()
    page.goto(f"{api}/docs")
    return page


BEARER, SIGN_IN = "Kinde\xa0 (http, Bearer)", "KindeSignIn (OAuth2, authorizationCode with PKCE)"


def dialog(page: Page, scheme: str) -> Locator:
    """The part of the Authorize dialog that is for *scheme*."""
    page.locator(".auth-wrapper .authorize").first.click()
    return page.locator(".auth-container", has=page.get_by_role("heading", name=scheme, exact=True))


def authorize(page: Page, part: Locator) -> None:
    """Press the button in that part, and close the dialog when it has done what it should."""
    part.locator("button.authorize").click()
    expect(part.get_by_text("Logout", exact=True)).to_be_visible()
    page.locator(".close-modal").click()


def execute(page: Page, path: str) -> tuple[str, Any]:
    """Status and body of GET *path* by Try it out, Execute."""
    operation = page.locator(".opblock-get").filter(has=page.locator(f'[data-path="{path}"]'))
    operation.locator(".opblock-summary-control").click()
    operation.get_by_role("button", name="Try it out").click()
    operation.get_by_role("button", name="Execute").click()
    answer = operation.locator(".live-responses-table .response")
    return answer.locator(".response-col_status").inner_text().split()[0], json.loads(
        answer.locator(".highlight-code code").first.inner_text()
    )


def test_by_pasted_token(docs: Page, issuer: LocalIssuer) -> None:
    part = dialog(docs, BEARER)
    part.get_by_role("textbox").fill(issuer.m2m_token(scope="read:users"))
    authorize(docs, part)
    status, body = execute(docs, "/me")
    assert (status, body["subject"]) == ("200", issuer.app.client_id)
    assert execute(docs, "/users")[0] == "200"


def test_by_signing_in(docs: Page, visitor: Visitor, issuer: LocalIssuer) -> None:
    """Authorization code with PKCE and the audience, to a token of the user's, which has none of the API's scopes."""
    visitor.expect_error("status of 403")
    sent: list[Request] = []
    docs.context.on("request", lambda request: sent.append(request))
    part = dialog(docs, SIGN_IN)
    expect(part.get_by_label("client_id")).to_have_value(issuer.front_end_app.client_id)
    checked = [box.get_attribute("data-value") for box in part.locator("input:checked").all()]
    assert checked == ["openid", "profile", "email"]
    with docs.expect_popup() as popup:
        authorize(docs, part)
    assert popup.value.is_closed()
    status, body = execute(docs, "/me")
    assert (status, body["subject"]) == ("200", issuer.registry.users[0].id)
    status, body = execute(docs, "/users")
    assert (status, body["error"]) == ("403", "insufficient_scope")

    asked = next(parse_qs(urlsplit(each.url).query) for each in sent if urlsplit(each.url).path == "/oauth2/auth")
    assert (asked["audience"], asked["code_challenge_method"]) == ([issuer.audience], ["S256"])
    assert asked["scope"] == ["openid profile email"]
    form = next(parse_qs(each.post_data or "") for each in sent if urlsplit(each.url).path == "/oauth2/token")
    assert set(form) == {"grant_type", "code", "client_id", "redirect_uri", "code_verifier"}


def test_without_a_token(docs: Page, visitor: Visitor) -> None:
    visitor.expect_error("status of 401")
    assert execute(docs, "/me")[0] == "401"
