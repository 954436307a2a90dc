"""The console in a browser, beside a guarded example: what it mints, sends, rotates, breaks and lists."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import pytest
from browser import PHONE, Locator, Page, Visitor, example, expect, violations
from fastapi import FastAPI
from playwright.sync_api import Browser, Response
from waiting import LONG

from kinde_guard import Guard, InvalidToken
from kinde_guard.cli.demo.api import protected_api
from kinde_guard.cli.serving import listen, serving, url_of
from kinde_guard.console import Console, live
from kinde_guard.console.explaining import status_of
from kinde_guard.fastapi import KindeGuard
from kinde_guard.issuer import PRESETS, LocalIssuer
from kinde_guard.revocation import Revocations

pytest_plugins = ["browser"]

SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
PAGES = ("/", "/keys", "/api-keys", "/people", "/setup")


@contextmanager
def local_kinde() -> Iterator[LocalIssuer]:
    """As ``kinde-guard dev`` serves it; guards that are started meanwhile tell their verdicts."""
    sock = listen(0)
    issuer = LocalIssuer(url_of(sock))
    with serving(Console(issuer), sock), pytest.MonkeyPatch.context() as patch:
        patch.setattr(live, "EVERY", "200ms")  # tests are in a greater hurry than people
        patch.setenv("KINDE_REPORT_VERDICTS_TO", issuer.url)
        yield issuer


@contextmanager
def guarded(issuer: LocalIssuer) -> Iterator[str]:
    """An API whose guard has no keys yet."""
    sock = listen(0)
    with serving(protected_api(Guard(issuer.url, audience=issuer.audience)), sock):
        yield url_of(sock)


def started(api: str) -> str:
    """*api*, once it answers: on a busy machine that takes longer than the console waits for an answer."""
    httpx.get(f"{api}/healthz", timeout=LONG)
    return api


@pytest.fixture(scope="module")
def issuer() -> Iterator[LocalIssuer]:
    with local_kinde() as issuer:
        yield issuer


@pytest.fixture(scope="module")
def api(issuer: LocalIssuer) -> Iterator[str]:
    with example("fastapi_app", issuer) as url:
        yield started(url)


@pytest.fixture
def page(visitor: Visitor, issuer: LocalIssuer) -> Page:
    page = visitor.page()
    page.goto(issuer.url)
    return page


def go_to(page: Page, title: str) -> None:
    page.get_by_role("navigation").get_by_role("link", name=title).click()


def mint(page: Page, name: str) -> None:
    page.locator(f'button[name=preset][value="{name}"]').click()
    expect(page.locator(".verdict h2")).to_have_text(re.compile(f"^{re.escape(PRESETS[name].title)} "))


def send(page: Page, url: str) -> Locator:
    """The answer, which is another than the one before."""
    page.get_by_label("Address").fill(url)
    with page.expect_response(re.compile("/send$")):
        page.get_by_role("button", name="Send").click()
    expect(page.get_by_role("status")).to_have_text(re.compile("^Sent: "))
    return page.locator(".answer")


def seen(locator: Locator) -> bool:
    """Whether the middle of it is to be seen: in the window, and under nothing else."""
    return bool(
        locator.evaluate(
            """element => {
                const box = element.getBoundingClientRect();
                const there = document.elementFromPoint(box.left + box.width / 2, box.top + box.height / 2);
                return there !== null && (element.contains(there) || there.contains(element));
            }"""
        )
    )


def happenings(page: Page) -> Locator:
    return page.get_by_role("log")


def test_a_token_is_minted_explained_sent_and_let_in(page: Page, api: str, issuer: LocalIssuer) -> None:
    mint(page, "m2m")
    expect(page.locator(".verdict")).to_contain_text("Let in. Every check of a guard passes.")
    expect(page.locator(".checks tr", has_text="signature")).to_contain_text("it holds")
    expect(page.get_by_label("The token")).to_contain_text(f'"azp": "{issuer.app.client_id}"')
    answer = send(page, f"{api}/users")
    expect(answer).to_contain_text("200 OK")
    expect(answer).to_contain_text("Grace")
    expect(happenings(page)).to_contain_text(f"verified a token of {issuer.app.name} for GET /users")


def test_each_preset_is_refused_for_its_reason(page: Page, api: str) -> None:
    """By the explanation, by the API, and in the words of its guard."""
    explained, answered = {}, {}
    for name, preset in PRESETS.items():
        mint(page, name)
        shown = page.locator(".verdict p").first.inner_text()
        explained[name] = None if shown.startswith("Let in") else shown.split()[2]
        answer = send(page, f"{api}/{'users' if preset.reason == 'insufficient_scope' else 'me'}")
        answered[name] = answer.locator("b").first.inner_text().split()[0]
    assert explained == {name: preset.reason for name, preset in PRESETS.items()}
    assert answered == {
        name: "200" if preset.reason is None else str(status_of(preset.reason)) for name, preset in PRESETS.items()
    }
    for reason in {preset.reason for preset in PRESETS.values() if preset.reason is not None}:
        asked = "/users" if reason == "insufficient_scope" else "/me"
        expect(happenings(page)).to_contain_text(f"refused GET {asked}: {reason}")


@pytest.mark.parametrize("size", [(1280, 860), (1440, 900), (390, 844)])
def test_the_check_that_fails_is_in_view_at_once(
    visitor: Visitor, issuer: LocalIssuer, api: str, size: tuple[int, int]
) -> None:
    """Before anybody scrolls, and also beside the answer of an API."""
    page = visitor.page(size=size)
    page.goto(issuer.url)
    for name in ("wrong_audience", "hmac_with_public_key"):
        mint(page, name)
        assert seen(page.locator(".failing"))
    if size[0] > 1000:
        send(page, f"{api}/users")
        assert seen(page.locator(".failing"))


def test_what_is_wrong_stands_at_its_field(page: Page, visitor: Visitor) -> None:
    """And goes when the field is changed, or when another one is to blame."""
    visitor.expect_error("status of 422")
    page.get_by_text("Make one by hand").click()
    lifetime, claims = page.get_by_label("Lifetime"), page.locator("[name=claims]")
    lifetime.fill("soon")
    page.get_by_role("button", name="Mint by hand").click()
    expect(lifetime).to_have_accessible_description(re.compile("^Lifetime must be a number, not 'soon'"))
    expect(lifetime).to_be_focused()
    lifetime.fill("60")
    expect(page.locator(".error")).to_have_count(0)
    claims.fill("[]")
    page.get_by_role("button", name="Mint by hand").click()
    expect(claims).to_have_accessible_description(re.compile("must be a JSON object"))
    expect(lifetime).not_to_have_attribute("aria-invalid", "true")
    claims.fill("")
    page.get_by_role("button", name="Mint by hand").click()
    expect(page.locator(".verdict")).to_contain_text("Let in.")
    expect(page.locator("[aria-invalid]")).to_have_count(0)


def test_no_old_answer_stands_beside_what_is_new(page: Page, visitor: Visitor, api: str) -> None:
    """Neither beside a changed request or token, nor beside one that could not be sent."""
    visitor.expect_error("status of 422")
    verdict, answer = page.locator(".verdict p").first, page.locator(".answer p").first
    mint(page, "m2m")
    send(page, f"{api}/users")
    expect(answer).to_be_visible()
    page.get_by_label("Address").press("End")
    page.get_by_label("Address").press_sequentially("/1")
    expect(answer).to_be_hidden()
    expect(verdict).to_be_visible()  # it is of the token, which is the same
    send(page, f"{api}/users")
    expect(answer).to_be_visible()
    page.get_by_label("Requirement").fill("admin:all")
    for each in (answer, verdict, page.locator(".checks"), page.locator(".sides pre").last):
        expect(each).to_be_hidden()
    expect(page.get_by_role("status")).to_have_text("This has changed: explain it.")
    page.get_by_role("button", name="Explain").click()
    expect(verdict).to_contain_text("403 insufficient_scope")
    expect(answer).to_have_count(0)
    send(page, f"{api}/me")
    expect(answer).to_be_visible()
    page.evaluate(
        "document.getElementById('url').value = 'http://api.example.com/'"
    )  # a form that no key was pressed in
    page.get_by_role("button", name="Send").click()
    expect(page.get_by_role("status")).to_contain_text("The address must be")
    expect(answer).to_be_hidden()


def test_a_curl_line_follows_the_form(page: Page) -> None:
    mint(page, "m2m")
    page.get_by_text("As a curl line").click()
    page.get_by_label("Address").fill("http://127.0.0.1:1/flags")
    expect(page.locator("#curl")).to_contain_text("curl -gisS http://127.0.0.1:1/flags")
    page.get_by_label("Method").select_option("DELETE")
    expect(page.locator("#curl")).to_contain_text("-X DELETE")


def test_a_pasted_token_is_explained_at_once(page: Page, issuer: LocalIssuer) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.evaluate("token => navigator.clipboard.writeText(token)", issuer.preset("expired"))
    page.get_by_label("Token", exact=True).focus()
    page.keyboard.press("Control+V")
    expect(page.locator(".verdict")).to_contain_text("Refused: 401 expired")


@pytest.mark.parametrize("size", [(1280, 860), PHONE])
def test_what_a_preset_is_can_be_read_to_its_end(visitor: Visitor, issuer: LocalIssuer, size: tuple[int, int]) -> None:
    page = visitor.page(size=size)
    page.goto(issuer.url)
    for name, preset in PRESETS.items():
        expect(page.locator(f"[name=preset][value={name}]")).to_have_accessible_name(f"{preset.title} {preset.summary}")
    cut = "each => each.scrollWidth > each.clientWidth || getComputedStyle(each).textOverflow === 'ellipsis'"
    assert page.locator(".presets :is(b, span)").evaluate_all(f"found => found.filter({cut}).length") == 0


@pytest.mark.parametrize("script", [True, False])
def test_on_a_phone_the_result_stands_above_the_presets(chromium: Browser, issuer: LocalIssuer, script: bool) -> None:
    context = chromium.new_context(
        java_script_enabled=script, viewport={"width": PHONE[0], "height": PHONE[1]}, reduced_motion="reduce"
    )
    page = context.new_page()
    page.goto(issuer.url)
    page.get_by_role("link", name="Mint a token").click()
    page.locator("button[name=preset][value=expired]").click()
    expect(page.locator(".verdict")).to_contain_text("Refused: 401 expired")
    assert seen(page.locator(".verdict"))
    assert seen(page.get_by_label("Token", exact=True))
    page.context.close()


FILLED = """
    [...document.querySelectorAll('main :is(button, summary)')].filter(each =>
        each.checkVisibility() && each.matches('.main') && getComputedStyle(each).backgroundColor === accent())
    .map(each => each.innerText)
"""
ACCENT = """() => {
    const probe = document.body.appendChild(document.createElement('i'));
    probe.style.setProperty('color', 'var(--accent)');
    const color = getComputedStyle(probe).color;
    probe.remove();
    return color;
}"""


def test_each_page_has_one_filled_button(page: Page, issuer: LocalIssuer) -> None:
    """For the main thing on it; what one has to unfold first may have its own."""
    filled = {}
    for path in PAGES:
        page.goto(issuer.url + path)
        filled[path] = page.evaluate(f"(() => {{ const accent = {ACCENT}; return ({FILLED}); }})()")
    page.goto(issuer.url)
    mint(page, "m2m")
    filled["minted"] = page.evaluate(f"(() => {{ const accent = {ACCENT}; return ({FILLED}); }})()")
    assert filled == {
        "/": ["Explain"],
        "/keys": ["Rotate"],
        "/api-keys": ["Make the key"],
        "/people": ["Add a person"],
        "/setup": ["Copy the variables"],
        "minted": ["Send"],
    }


def test_what_happens_can_be_shown_by_group(page: Page, issuer: LocalIssuer) -> None:
    """Also what happens after that."""
    issuer.rotate()
    mint(page, "m2m")
    log = happenings(page)
    expect(log.locator("b", has_text="minted").first).to_be_visible()
    page.get_by_label("Keys and faults").check()
    expect(log.locator("b", has_text="minted").first).to_be_hidden()
    rotated = log.locator("b", has_text="rotated")
    expect(rotated.first).to_be_visible()
    before = rotated.count()
    issuer.rotate()
    expect(rotated).to_have_count(before + 1)
    expect(rotated.first).to_be_visible()
    page.get_by_label("Everything").check()
    expect(log.locator("b", has_text="minted").first).to_be_visible()


def test_an_api_key_is_made_and_copied(page: Page, issuer: LocalIssuer) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    go_to(page, "API keys")
    page.get_by_label("Name").fill("Nightly report")
    page.get_by_role("button", name="Make the key").click()
    expect(page.get_by_role("status")).to_have_text("Nightly report is made.")
    page.get_by_role("button", name="Copy the key").click()
    expect(page.get_by_role("status")).to_have_text("Copied.")
    assert str(page.evaluate("navigator.clipboard.readText()")).startswith("k_live_")
    expect(happenings(page)).to_contain_text(f"an API key for {issuer.audience} is made")
    page.get_by_role("button", name="Revoke Nightly report").click()
    expect(page.get_by_role("status")).to_contain_text("Nightly report is revoked.")


def test_keys_are_rotated_and_broken_while_an_api_runs(visitor: Visitor) -> None:
    with local_kinde() as issuer, example("fastapi_app", issuer) as api:
        page = visitor.page()
        page.goto(issuer.url)
        mint(page, "m2m")
        expect(send(page, f"{started(api)}/users")).to_contain_text("200 OK")
        old = page.get_by_label("Token", exact=True).input_value()

        go_to(page, "Keys and faults")
        page.get_by_role("button", name="Rotate hard").click()
        expect(page.get_by_role("status")).to_contain_text("No older key is published any more.")
        expect(happenings(page)).to_contain_text("rotated")
        go_to(page, "Tokens")
        mint(page, "m2m")
        expect(send(page, f"{api}/users")).to_contain_text("200 OK")
        page.get_by_label("Token", exact=True).fill(old)
        page.get_by_role("button", name="Explain").click()
        expect(page.locator(".verdict")).to_contain_text("401 unknown_key")
        expect(send(page, f"{api}/users")).to_contain_text("401 Unauthorized")
        expect(happenings(page)).to_contain_text("refused GET /users: unknown_key")

        go_to(page, "Keys and faults")
        page.get_by_label("Fault", exact=True).select_option("server_error")
        page.get_by_role("button", name="Break the endpoint").click()
        expect(page.locator("#state")).to_contain_text("keys: server error")
        with guarded(issuer) as cold:
            go_to(page, "Tokens")
            mint(page, "m2m")
            expect(page.locator(".verdict")).to_contain_text("a guard that has none yet answers 503")
            expect(send(page, f"{api}/users")).to_contain_text("200 OK")
            expect(send(page, f"{cold}/users")).to_contain_text("503 Service Unavailable")
            expect(happenings(page)).to_contain_text("could not fetch the keys")

        go_to(page, "Keys and faults")
        page.get_by_role("button", name="Heal everything").click()
        expect(page.locator("#state")).to_contain_text("everything works")
        for kind in ("broken", "healed", "rotated", "keys fetched"):
            expect(happenings(page).locator("b", has_text=kind).first).to_be_visible()
        page.close()  # before there is nobody to ask


def test_a_suspension_is_seen_to_reach_an_api(visitor: Visitor) -> None:
    """By a webhook, which is added on a page; and how many milliseconds later the API's process refuses."""
    with local_kinde() as issuer, listen(0) as sock:
        ada, app = issuer.registry.users[0], FastAPI()
        guard = Guard(issuer.url, audience=issuer.audience, revocations=Revocations.in_memory())
        KindeGuard(app, guard=guard, public=[], webhooks="/webhooks/kinde")
        app.add_api_route("/me", lambda: "served")
        with serving(app, sock):
            page, token = visitor.page(), issuer.user_token(ada.id, iat=int(issuer.clock()) - 60)
            page.goto(f"{issuer.url}/setup")
            page.get_by_text("Add a webhook").click()
            page.get_by_label("Address").fill(f"{url_of(sock)}/webhooks/kinde")
            page.get_by_role("button", name="Add the webhook").click()
            expect(page.get_by_role("status")).to_contain_text("gets every event")
            assert guard.verify(token).subject == ada.id
            go_to(page, "People")
            page.get_by_text("Ada Lovelace").first.click()
            page.get_by_role("button", name="Suspend Ada Lovelace").click()
            expect(page.get_by_role("status")).to_contain_text("Ada Lovelace is suspended.")
            expect(happenings(page)).to_contain_text(re.compile("user.updated to http"))
            expect(happenings(page)).to_contain_text(re.compile(r"refuses what is revoked \(subject\), \d+ ms later"))
            with pytest.raises(InvalidToken, match="revoked"):
                guard.verify(token)
            page.get_by_role("button", name="Restore Ada Lovelace").click()
            expect(page.get_by_role("status")).to_contain_text("may sign in again.")
            page.close()  # before there is nobody to ask


def test_what_others_do_to_the_local_kinde_is_seen_at_once(page: Page, issuer: LocalIssuer) -> None:
    """Without the page being loaded again."""
    expect(page.locator("#state")).to_contain_text("everything works")
    with issuer.broken("hanging", "token"):
        expect(page.locator("#state")).to_contain_text("token: hanging")
        expect(happenings(page)).to_contain_text("token broken")
    expect(page.locator("#state")).to_contain_text("everything works")


def at_the_chooser(page: Page, issuer: LocalIssuer, back: str, **parameters: str) -> None:
    asked = {
        "client_id": issuer.front_end_app.client_id, "response_type": "code", "redirect_uri": back, "state": "s1",
        "scope": "openid profile", "audience": issuer.audience, "code_challenge": "a" * 43,
        "code_challenge_method": "S256",
    }  # fmt: skip
    page.goto(f"{issuer.url}/oauth2/auth?{urlencode({**asked, **parameters})}")
    expect(page.get_by_role("heading")).to_have_text("Sign in to Sample front-end app")


@pytest.mark.parametrize("how", ["by a click", "by the Enter key"])
def test_who_one_is_is_chosen_at_once(page: Page, issuer: LocalIssuer, api: str, how: str) -> None:
    """The answer goes to another origin."""
    at_the_chooser(page, issuer, f"{api}/healthz", login_hint="grace@example.com")
    if how == "by a click":
        page.get_by_role("button", name="Grace Hopper Compilers").click()
    else:
        page.keyboard.press("Enter")  # who was hinted at comes first, and has the focus
    page.wait_for_url(f"{api}/healthz?*")
    answer = parse_qs(urlsplit(page.url).query)
    assert (answer["state"], answer["iss"]) == (["s1"], [issuer.url])
    assert answer["code"]
    page.goto(issuer.url)
    expect(happenings(page)).to_contain_text("signed in")


def test_signing_in_can_be_cancelled(page: Page, issuer: LocalIssuer, api: str) -> None:
    at_the_chooser(page, issuer, f"{api}/healthz")
    page.get_by_role("button", name="Cancel").click()
    page.wait_for_url(f"{api}/healthz?*")
    assert parse_qs(urlsplit(page.url).query)["error"] == ["access_denied"]


def tab_to(page: Page, selector: str) -> None:
    """By Tab alone; on the way the focus is always to be seen."""
    for _ in range(80):
        page.keyboard.press("Tab")
        focused = page.locator(":focus")
        assert focused.evaluate("element => getComputedStyle(element).outlineStyle") != "none"
        if focused.evaluate("(element, selector) => element.matches(selector)", selector):
            return
    raise AssertionError(f"{selector} is not reached")


def test_minting_and_sending_by_keyboard_alone(page: Page, api: str) -> None:
    tab_to(page, ".skip")
    page.keyboard.press("Enter")
    tab_to(page, "[name=preset][value=user]")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_have_text("Minted: User. A guard lets it in.")
    tab_to(page, "#url")
    page.keyboard.type(f"{api}/me")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_have_text("Sent: 200 OK")
    assert page.locator(":focus").get_attribute("id") == "url"
    tab_to(page, "#do-send")


def test_a_token_and_a_curl_line_are_copied(page: Page) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    mint(page, "m2m")
    token = page.get_by_label("Token", exact=True).input_value()
    page.get_by_role("button", name="Copy token").click()
    expect(page.get_by_role("status")).to_have_text("Copied.")
    assert page.evaluate("navigator.clipboard.readText()") == token
    page.get_by_role("button", name="Copy curl").click()
    copied = "navigator.clipboard.readText().then(text => text.startsWith('curl ') && text.includes(token))"
    page.wait_for_function(f"token => {copied}", arg=token)


def test_without_javascript_every_form_works_as_well(chromium: Browser, issuer: LocalIssuer, api: str) -> None:
    page = chromium.new_context(java_script_enabled=False).new_page()
    page.goto(issuer.url)
    page.locator('button[name=preset][value="m2m"]').click()
    expect(page.locator(".verdict")).to_contain_text("Let in.")
    page.get_by_label("Requirement").fill("admin:all")
    page.get_by_role("button", name="Explain").click()
    expect(page.locator(".verdict")).to_contain_text("403 insufficient_scope")
    page.get_by_label("Address").fill(f"{api}/me")
    page.get_by_role("button", name="Send").click()
    expect(page.locator(".answer")).to_contain_text("200 OK")
    expect(page.locator(".verdict")).to_contain_text("403 insufficient_scope")
    expect(page.get_by_role("button", name="Copy token")).to_be_hidden()
    page.context.close()


def test_a_problem_is_said_and_the_page_stays(page: Page, visitor: Visitor) -> None:
    visitor.expect_error("status of 422")
    mint(page, "m2m")
    page.get_by_label("Address").fill("https://api.example.com/users")
    page.get_by_role("button", name="Send").click()
    expect(page.get_by_role("status")).to_contain_text("The address must be an http or https URL of this machine")
    expect(page.locator(".verdict")).to_contain_text("Let in.")


def test_when_nobody_answers_any_more_it_is_said(page: Page, visitor: Visitor) -> None:
    visitor.expect_error("ERR_FAILED|htmx:(afterRequest|sendError)")
    page.route("**/events*", lambda route: route.abort())
    expect(page.get_by_role("status")).to_contain_text("The local Kinde does not answer")
    page.unroute("**/events*")
    expect(page.get_by_role("status")).to_be_empty()


def test_a_page_that_outlives_its_local_kinde_says_so(page: Page) -> None:
    """Also if there was nothing to see of the time between."""
    page.route("**/events*", lambda route: route.continue_(url=re.sub(r"run=\w+", "run=another", route.request.url)))
    expect(page.get_by_role("status")).to_contain_text("This page is from an earlier run of the local Kinde")


def test_a_pasted_token_is_explained_when_it_is_sent(page: Page, issuer: LocalIssuer, api: str) -> None:
    mint(page, "m2m")
    page.get_by_label("Token", exact=True).fill(f"Bearer {issuer.preset('expired')}")
    expect(send(page, f"{api}/me")).to_contain_text("401 Unauthorized")
    expect(page.locator(".verdict")).to_contain_text("Refused: 401 expired")
    assert page.locator(":focus").get_attribute("id") == "do-send"


def test_an_authorisation_is_given_and_taken_back(page: Page, issuer: LocalIssuer) -> None:
    """The app stays unfolded meanwhile."""
    app = issuer.add_app("Nightly report")
    go_to(page, "Setup")
    page.get_by_text(app.name).click()
    page.get_by_role("button", name=f"Authorise {app.name} for {issuer.audience}").click()
    expect(happenings(page)).to_contain_text(f"{app.name} may use {issuer.audience}, with no scope")
    page.get_by_role("button", name=f"Withdraw the authorisation of {app.name} for {issuer.audience}").click()
    expect(page.get_by_role("button", name=f"Authorise {app.name} for {issuer.audience}")).to_be_visible()
    assert issuer.registry.granted(app, issuer.audience) is None


def in_both_schemes(page: Page, name: str) -> dict[str, list[str]]:
    """What axe finds on the page with everything unfolded, by colour scheme."""
    page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
    found: dict[str, list[str]] = {}
    for scheme in SCHEMES:
        page.emulate_media(color_scheme=scheme)
        found[f"{name} {scheme}"] = violations(page)
    return {where: each for where, each in found.items() if each}


def test_no_page_has_a_serious_accessibility_violation(page: Page, issuer: LocalIssuer, api: str) -> None:
    """Neither in dark nor in light."""
    found: dict[str, list[str]] = {}
    with issuer.broken("server_error"):
        for path in PAGES:
            page.goto(issuer.url + path)
            found |= in_both_schemes(page, path)
        page.goto(issuer.url)
        for name in ("m2m", "wrong_audience"):
            mint(page, name)
            send(page, f"{api}/users")
            found |= in_both_schemes(page, name)
    at_the_chooser(page, issuer, f"{api}/healthz")
    assert found | in_both_schemes(page, "chooser") == {}


@pytest.mark.parametrize("size", [PHONE, (320, 640), (640, 430)], ids=["a phone", "320 px", "200 % of 1280 px"])
def test_every_page_is_shown_in_its_width(
    visitor: Visitor, issuer: LocalIssuer, api: str, size: tuple[int, int]
) -> None:
    """WCAG 2.2, 1.4.10: nobody has to scroll sideways."""
    issuer.add_webhook("http://127.0.0.1:9/webhooks/kinde/of/an/api/with/a/long/address")
    issuer.create_api_key("A key with a long name that says what it is for", user=issuer.registry.users[0])
    page = visitor.page(size=size)
    width = "document.documentElement.scrollWidth"
    for path in PAGES:
        page.goto(issuer.url + path)
        page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
        assert (path, page.evaluate(width)) == (path, size[0])
    page.goto(issuer.url)
    mint(page, "user")
    send(page, f"{api}/users")
    assert page.evaluate(width) == size[0]
    at_the_chooser(page, issuer, f"{api}/healthz")
    assert page.evaluate(width) == size[0]
    assert violations(page) == []


def test_the_first_page_weighs_less_than_100_kb(visitor: Visitor) -> None:
    """With all that it loads, where nothing has happened yet."""
    with local_kinde() as issuer:
        page, answers = visitor.page(), list[Response]()
        page.on("response", lambda response: answers.append(response))
        page.goto(issuer.url)
        sizes = {urlsplit(answer.url).path: len(answer.body()) for answer in answers}
        page.close()  # before there is nobody to ask
    assert {"/", "/static/console.css", "/static/console.js", "/static/htmx.min.js"} <= set(sizes)
    assert sum(sizes.values()) < 100_000
