"""The site in a browser, opened from its folder and without a network, on a desk and on a phone."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

import pytest
from browser import Page, Visitor, expect, violations

from kinde_guard.web import wording

pytest_plugins = ["browser", "built_site"]

MAIN = ("index", "set-up-kinde", "fastapi", "reasons", "settings", "reference/errors")
"""A page of each kind: prose, code, tables, what docstrings say."""
PHONE = (390, 844)
WIDTHS = (1200, 1280, 1366, 1600)
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
SCROLLS_SIDEWAYS = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
PUSHED_OUT = """[...document.querySelectorAll('article, article :is(p, li, dt, pre), .table-wrapper')]
    .filter(each => each.getBoundingClientRect().right > document.documentElement.clientWidth + 1)
    .map(each => each.textContent.slice(0, 40))"""


@pytest.fixture
def page(visitor: Visitor, site: Path) -> Page:
    page = visitor.page()
    page.goto(site.joinpath("index.html").as_uri())
    return page


@pytest.mark.parametrize("name", MAIN)
def test_everybody_can_read_it(visitor: Visitor, site: Path, name: str) -> None:
    """axe finds nothing serious, in light or in dark."""
    page = visitor.page()
    found = {}
    for scheme in SCHEMES:
        page.emulate_media(color_scheme=scheme)
        page.goto(site.joinpath(f"{name}.html").as_uri())
        found[scheme] = violations(page)
    assert found == {"light": [], "dark": []}


def test_a_phone_shows_every_page_in_its_width(visitor: Visitor, site: Path) -> None:
    """Code and tables that are wider scroll by themselves."""
    page = visitor.page(size=PHONE)
    wide = {}
    for path in sorted(site.rglob("*.html")):
        page.goto(path.as_uri(), wait_until="domcontentloaded")
        if page.evaluate(SCROLLS_SIDEWAYS) or page.evaluate(PUSHED_OUT):
            wide[path.name] = page.evaluate(PUSHED_OUT)
    assert wide == {}


def test_a_desk_shows_navigation_text_and_headings_beside_one_another(page: Page, site: Path) -> None:
    page.goto(site.joinpath("operations.html").as_uri())
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 860})
        assert (width, page.evaluate(SCROLLS_SIDEWAYS), page.evaluate(PUSHED_OUT)) == (width, False, [])


def test_the_search_finds_a_reason(page: Page) -> None:
    page.get_by_role("textbox", name="Search").fill("empty_audience")
    page.keyboard.press("Enter")
    expect(page.locator("#search-results")).to_contain_text(re.compile(r"found \d+ pages? matching"))
    page.locator("#search-results").get_by_role("link", name=re.compile("empty_audience")).first.click()
    expect(page.get_by_role("heading", name="empty_audience")).to_be_visible()


def test_each_reason_has_an_address_of_its_own(page: Page, site: Path) -> None:
    """By its own word, so that whoever has the word has the link."""
    page.goto(site.joinpath("reasons.html").as_uri())
    for reason in wording.TEXTS:
        page.evaluate("reason => location.hash = reason", reason)
        assert page.locator("section:has(> :target), section:target").locator("> h3").inner_text().startswith(reason)


def test_from_the_start_to_the_page_that_says_what_to_do(page: Page) -> None:
    """By clicks alone."""
    page.get_by_role("main").get_by_role("link", name="Set up Kinde", exact=True).first.click()
    page.get_by_role("main").get_by_role("link", name="wrong_audience").first.click()
    expect(page.locator(":target")).to_contain_text("Fix:")


def test_the_keyboard_reaches_code_that_is_wider_than_a_phone(visitor: Visitor, site: Path) -> None:
    page = visitor.page(size=PHONE)
    page.goto(site.joinpath("fastapi.html").as_uri())
    code = page.locator("pre").first
    code.focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function("document.activeElement.scrollLeft > 0")
