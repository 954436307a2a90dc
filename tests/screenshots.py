"""Take the pictures of the console anew: ``uv run python tests/screenshots.py``, when the console looks different.

A local Kinde stands on port 9400 and an example API on port 8000, as a reader would start them: both have to be free.
"""

from __future__ import annotations

import os
import re

import httpx
from browser import ROOT, Browser, Page, Visitor, example, expect, launched
from waiting import LONG

from kinde_guard.cli.serving import listen, serving, url_of
from kinde_guard.console import Console
from kinde_guard.issuer import PRESETS, LocalIssuer

PICTURES = ROOT / "examples" / "screenshots"


def main() -> None:
    sock = listen(9400)
    issuer = LocalIssuer(url_of(sock))
    os.environ["KINDE_REPORT_VERDICTS_TO"] = issuer.url
    with serving(Console(issuer), sock), example("fastapi_app", issuer, port=8000) as api, launched() as browser:
        httpx.get(f"{api}/healthz", timeout=LONG)
        take_tokens(browser, issuer, api)
        take_keys_and_faults(browser, issuer)


def take_tokens(browser: Browser, issuer: LocalIssuer, api: str) -> None:
    """In the light: a token that the API refuses, and why."""
    page = Visitor(browser).page(size=(1280, 880))
    page.goto(issuer.url)
    for preset in ("expired", "wrong_audience"):
        page.locator(f'button[name=preset][value="{preset}"]').click()
        expect(page.locator(".verdict h2")).to_have_text(re.compile(f"^{re.escape(PRESETS[preset].title)} "))
        page.get_by_label("Address").fill(f"{api}/users")
        page.get_by_role("button", name="Send").click()
        expect(page.get_by_role("log")).to_contain_text(f"refused GET /users: {PRESETS[preset].reason}")
    take(page, "console-light.png")


def take_keys_and_faults(browser: Browser, issuer: LocalIssuer) -> None:
    """In the dark: keys that were rotated, and an endpoint that is broken."""
    page = Visitor(browser).page(dark=True, size=(1280, 720))
    page.goto(f"{issuer.url}/keys")
    page.get_by_role("button", name="Rotate", exact=True).click()
    expect(page.get_by_role("log")).to_contain_text("signs with another key")
    page.get_by_label("Fault", exact=True).select_option("server_error")
    page.get_by_role("button", name="Break the endpoint").click()
    expect(page.get_by_role("log")).to_contain_text("keys broken")
    expect(page.locator("#state")).to_contain_text("keys: server error")
    take(page, "console-dark.png")


def take(page: Page, name: str) -> None:
    page.screenshot(path=PICTURES / name)
    page.context.close()


if __name__ == "__main__":
    main()
