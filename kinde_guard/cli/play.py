"""The demo, scene by scene: Kinde's machine-to-machine quick start, and what comes after it.

docs.kinde.com/machine-to-machine-applications/about-m2m/authenticate-with-m2m
"""

from __future__ import annotations

import time
from contextlib import ExitStack

from rich.table import Table
from rich.text import Text

from .screen import Screen
from .stage import AUDIENCE, OTHER_AUDIENCE, SCOPES, Result, Stage


def play() -> bool:
    """Play it all. Whether every answer was the right one."""
    began = time.monotonic()
    screen = Screen()
    with ExitStack() as props:
        stage = Stage(screen, props)
        screen.say("Kinde's machine-to-machine quick start and more. Nothing leaves this machine.")
        screen.say(f"A local Kinde at {stage.kinde.url}, and an API at {stage.api.base_url}".rstrip("/"))
        # Forgeries come after the rotation: a signature that does not hold may have the keys fetched, and a new key
        # that is met within half a minute of that is not asked for.
        for scene in (registration, good_call, refusals, rotation, forgeries, outage):
            scene(stage)
    wrong = sum(not result.right for result in stage.results)
    screen.table(summary(stage.results))
    screen.heading(_verdict(len(stage.results), wrong, time.monotonic() - began))
    return not wrong


def registration(stage: Stage) -> None:
    """Steps 1 to 4, which one takes in Kinde's pages."""
    screen, kinde, app = stage.screen, stage.kinde, stage.app
    screen.heading("1  Register a machine-to-machine app   (Kinde: Settings, Applications)")
    screen.line("app", app.name)
    screen.line("client_id", app.client_id)
    screen.line("client_secret", "•" * 8)
    screen.heading("2  Register the API   (Kinde: Settings, APIs)")
    kinde.add_api(AUDIENCE)
    screen.line("audience", AUDIENCE)
    screen.heading("3  Authorise the app for the API   (Kinde: the app, APIs)")
    kinde.authorize(app, AUDIENCE)
    screen.line("authorised", f"{app.name} for {AUDIENCE}")
    screen.heading("4  Add scopes to the API   (Kinde: the API, Scopes)")
    kinde.add_api(AUDIENCE, SCOPES)
    screen.line("scopes", " ".join(SCOPES))


def good_call(stage: Stage) -> None:
    """Steps 5 and 6."""
    stage.screen.heading("5  Get a token with client credentials")
    token = stage.get_token("Token request")
    stage.screen.heading("6  Call the API with it; the API fetches Kinde's keys, once")
    stage.call("Good token", "200", token=token)
    stage.screen.heading("   And once more: no key is fetched, the API knows them")
    stage.call("Good token, other route", "201", "POST /flags", token=token)
    stage.screen.heading("   A public path needs no token")
    stage.call("No token, public path", "200", "GET /healthz")


def refusals(stage: Stage) -> None:
    """What is wrong is told to the client in a few fixed words, and to the people who run the API in the log."""
    kinde, app, now = stage.kinde, stage.app, int(time.time())
    stage.screen.heading("Refused: no token")
    stage.call("No token", "401")
    stage.screen.heading("Refused: expired an hour ago")
    expired = kinde.m2m_token(app, audience=AUDIENCE, iat=now - 90_000, exp=now - 3_600)
    stage.call("Expired token", "401 expired", token=expired)
    stage.screen.heading("Refused: a token for another API")
    kinde.add_api(OTHER_AUDIENCE)
    kinde.authorize(app, OTHER_AUDIENCE)
    other = stage.get_token("Token request, other API", audience=OTHER_AUDIENCE)
    stage.call("Token for another API", "401 wrong_audience", token=other)
    stage.screen.heading("Refused: a token without the scope that the route demands")
    reader = stage.get_token("Token request, one scope", scopes="read:users")
    stage.call("Token without the scope", "403 insufficient_scope", "POST /flags", token=reader)
    stage.screen.heading("   And where its scope is enough")
    stage.call("Token with the scope", "200", token=reader)


def forgeries(stage: Stage) -> None:
    """Neither of these is signed by Kinde."""
    kinde, app = stage.kinde, stage.app
    wide = kinde.m2m_claims(app, audience=AUDIENCE)
    stage.screen.heading("Refused: forged, signed with another key under the right name")
    forged = kinde.token(wide, header={"kid": kinde.key.kid}, key=kinde.stranger)
    stage.call("Forged signature", "401 bad_signature", token=forged)
    stage.screen.heading("Refused: forged, a scope written into a good token")
    header, _, signature = kinde.m2m_token(app, audience=AUDIENCE, scope="read:users").split(".")
    widened = f"{header}.{kinde.token(wide).split('.')[1]}.{signature}"
    stage.call("Forged scope", "401 bad_signature", "POST /flags", token=widened)


def rotation(stage: Stage) -> None:
    """Soft: the old key stays published as long as tokens that it signed are about."""
    stage.screen.heading("Kinde rotates its keys: the API has never seen the new one, and asks for it")
    old = stage.kinde.m2m_token(stage.app, audience=AUDIENCE)
    stage.kinde.rotate()
    new = stage.get_token("Token request, new key")
    stage.call("Token of the new key", "200", token=new)
    stage.screen.heading("   And the token of the old key")
    stage.call("Token of the old key", "200", token=old)
    stage.note("Times keys were fetched", "2", str(stage.kinde.jwks_fetches))


def outage(stage: Stage) -> None:
    """Kinde's server stops. The API knows the keys, and goes on; one that starts now cannot tell, and says so."""
    unseen = stage.kinde.m2m_token(stage.app, audience=AUDIENCE)
    with stage.kinde_is_down():
        stage.screen.heading("Kinde is down: there are no new tokens")
        stage.get_token("Token request, Kinde down", "no answer")
        stage.screen.heading("The API knows the keys, and goes on: this token it sees for the first time")
        stage.call("New token, Kinde down", "200", token=unseen)
        stage.screen.heading("An API that starts now has no keys: it cannot tell, and lets nobody in")
        late = stage.serve_api("API 2")
        stage.call("New API, Kinde down", "503 keys_unavailable", token=unseen, api=late)
    stage.screen.heading("Kinde is back, and a second later the new API has its keys")
    time.sleep(1)  # as the Retry-After said
    stage.call("New API, Kinde back", "200", token=unseen, api=late)


def summary(results: list[Result]) -> Table:
    """What was asked, what the right answer is, and what it was."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for name in ("", "asked", "expected", "seen"):
        table.add_column(name, overflow="fold")
    for result in results:
        mark = Text("✓", "bold green") if result.right else Text("✗ wrong", "bold red")
        table.add_row(mark, result.what, result.expected, Text(result.seen, "" if result.right else "red"))
    return table


def _verdict(asked: int, wrong: int, seconds: float) -> str:
    if wrong:
        return f"{wrong} of {asked} answers were wrong."
    return f"All {asked} answers were the right ones, in {seconds:.1f} s."
