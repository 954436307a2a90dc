"""The demo, scene by scene: Kinde's machine-to-machine quick start, and what comes after it.

docs.kinde.com/machine-to-machine-applications/about-m2m/authenticate-with-m2m
"""

from __future__ import annotations

import json
import time
from contextlib import ExitStack

from rich.table import Table
from rich.text import Text

from ...revocation import Revocations
from ..screen import Screen
from .api import WEBHOOKS
from .run import AUDIENCE, OTHER_AUDIENCE, SCOPES, DemoRun, Result


def run_demo(*, as_json: bool = False) -> bool:
    """Run every scene. Whether every answer was the right one. As JSON nothing is shown but the answers, at the end."""
    began = time.monotonic()
    screen = Screen(quiet=as_json)
    with ExitStack() as resources:
        run = DemoRun(screen, resources)
        screen.say("Kinde's machine-to-machine quick start and more. Nothing leaves this machine.")
        screen.say(f"A local Kinde at {run.kinde.url}, and an API at {run.api.base_url}".rstrip("/"))
        # Forgeries come after the rotation: a signature that does not hold may have the keys fetched, and a new key
        # that is met within half a minute of that is not asked for.
        for scene in (registration, good_call, refusals, rotation, forgeries, suspension, outage):
            scene(run)
    wrong = sum(not result.right for result in run.results)
    if as_json:
        print(json.dumps({"right": not wrong, "answers": list(map(_facts, run.results))}, indent=2))
    screen.table(summary(run.results))
    screen.heading(_verdict(len(run.results), wrong, time.monotonic() - began))
    return not wrong


def registration(run: DemoRun) -> None:
    """Steps 1 to 4, which one takes in Kinde's pages."""
    screen, kinde, app = run.screen, run.kinde, run.app
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


def good_call(run: DemoRun) -> None:
    """Steps 5 and 6."""
    run.screen.heading("5  Get a token with client credentials")
    token = run.get_token("Token request")
    run.screen.heading("6  Call the API with it; the API fetches Kinde's keys, once")
    run.call("Good token", "200", token=token)
    run.screen.heading("   And once more: no key is fetched, the API knows them")
    run.call("Good token, other route", "201", "POST /flags", token=token)
    run.screen.heading("   A public path needs no token")
    run.call("No token, public path", "200", "GET /healthz")


def refusals(run: DemoRun) -> None:
    """What is wrong is told to the client in a few fixed words, and to the people who run the API in the log."""
    kinde, app, now = run.kinde, run.app, int(time.time())
    run.screen.heading("Refused: no token")
    run.call("No token", "401")
    run.screen.heading("Refused: expired an hour ago")
    expired = kinde.m2m_token(app, audience=AUDIENCE, iat=now - 90_000, exp=now - 3_600)
    run.call("Expired token", "401 expired", token=expired)
    run.screen.heading("Refused: a token for another API")
    kinde.add_api(OTHER_AUDIENCE)
    kinde.authorize(app, OTHER_AUDIENCE)
    other = run.get_token("Token request, other API", audience=OTHER_AUDIENCE)
    run.call("Token for another API", "401 wrong_audience", token=other)
    run.screen.heading("Refused: a token without the scope that the route demands")
    reader = run.get_token("Token request, one scope", scopes="read:users")
    run.call("Token without the scope", "403 insufficient_scope", "POST /flags", token=reader)
    run.screen.heading("   And where its scope is enough")
    run.call("Token with the scope", "200", token=reader)


def forgeries(run: DemoRun) -> None:
    """Neither of these is signed by Kinde."""
    kinde, app = run.kinde, run.app
    wide = kinde.m2m_claims(app, audience=AUDIENCE)
    run.screen.heading("Refused: forged, signed with another key under the right name")
    forged = kinde.token(wide, header={"kid": kinde.key.kid}, key=kinde.stranger)
    run.call("Forged signature", "401 bad_signature", token=forged)
    run.screen.heading("Refused: forged, a scope written into a good token")
    header, _, signature = kinde.m2m_token(app, audience=AUDIENCE, scope="read:users").split(".")
    widened = f"{header}.{kinde.token(wide).split('.')[1]}.{signature}"
    run.call("Forged scope", "401 bad_signature", "POST /flags", token=widened)


def rotation(run: DemoRun) -> None:
    """Soft: the old key stays published as long as tokens that it signed are about."""
    run.screen.heading("Kinde rotates its keys: the API has never seen the new one, and asks for it")
    old = run.kinde.m2m_token(run.app, audience=AUDIENCE)
    run.kinde.rotate()
    new = run.get_token("Token request, new key")
    run.call("Token of the new key", "200", token=new)
    run.screen.heading("   And the token of the old key")
    run.call("Token of the old key", "200", token=old)
    run.note("Times keys were fetched", "2", str(run.kinde.jwks_fetches))


def suspension(run: DemoRun) -> None:
    """A user is suspended. Kinde's webhook comes to one worker, and both refuse the token, which is good for a day."""
    run.screen.heading("Two workers, one and two, share what is revoked; and a user signs in")
    run.screen.line("shared", "in memory, for both are in this process; a fleet has a Redis")
    revocations = Revocations.in_memory()
    workers = {name: run.serve_api(name, revocations) for name in ("one", "two")}
    user = run.kinde.registry.users[0]
    token = run.kinde.token(run.kinde.user_claims(user.id, audience=AUDIENCE))
    for name, worker in workers.items():
        run.call(f"User's token, worker {name}", "200", "GET /me", token=token, api=worker)
    run.screen.heading(f"{user.name} is suspended in Kinde, which tells worker one by a webhook")
    run.kinde.add_webhook(f"{str(workers['one'].base_url).rstrip('/')}{WEBHOOKS}", ["user.updated"])
    run.kinde.suspend(user)
    run.kinde.flush_webhooks()
    told = run.kinde.journal.since()[-1]
    run.screen.line("Kinde → one", Text(f"POST {WEBHOOKS}", "bold"), f"{told.details['type']} sent: is_suspended")
    for name, worker in workers.items():
        run.call(f"User suspended, worker {name}", "401 revoked", "GET /me", token=token, api=worker)


def outage(run: DemoRun) -> None:
    """Kinde's server stops. The API knows the keys, and goes on; one that starts now cannot tell, and says so."""
    unseen = run.kinde.m2m_token(run.app, audience=AUDIENCE)
    with run.kinde_is_down():
        run.screen.heading("Kinde is down: there are no new tokens")
        run.get_token("Token request, Kinde down", "no answer")
        run.screen.heading("The API knows the keys, and goes on: this token it sees for the first time")
        run.call("New token, Kinde down", "200", token=unseen)
        run.screen.heading("An API that starts now has no keys: it cannot tell, and lets nobody in")
        late = run.serve_api("API 2")
        wait = run.call("New API, Kinde down", "503 keys_unavailable", token=unseen, api=late)
    run.screen.heading("Kinde is back, and as soon as it said the new API has its keys")
    time.sleep(wait)  # as the Retry-After said
    run.call("New API, Kinde back", "200", token=unseen, api=late)


def summary(results: list[Result]) -> Table:
    """What was asked, what the right answer is, and what it was."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for name in ("", "asked", "expected", "seen"):
        table.add_column(name, overflow="fold")
    for result in results:
        mark = Text("✓", "bold green") if result.right else Text("✗ wrong", "bold red")
        table.add_row(mark, result.what, result.expected, Text(result.seen, "" if result.right else "red"))
    return table


def _facts(result: Result) -> dict[str, object]:
    return {"asked": result.what, "expected": result.expected, "seen": result.seen, "right": result.right}


def _verdict(asked: int, wrong: int, seconds: float) -> str:
    if wrong:
        return f"{wrong} of {asked} answers were wrong."
    return f"All {asked} answers were the right ones, in {seconds:.1f} s."
