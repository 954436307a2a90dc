"""The console's pages, forms and refusals, in process; what is sent to an API goes over a real socket."""

from __future__ import annotations

import hashlib
import html
import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from servers import served
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.testclient import TestClient
from waiting import LONG

from kinde_guard import Guard
from kinde_guard.cli import dev
from kinde_guard.cli.demo.api import protected_api
from kinde_guard.console import Console, sending
from kinde_guard.console.app import PAGES
from kinde_guard.console.chooser import destination
from kinde_guard.console.explaining import status_of
from kinde_guard.console.forms import MAX_FORM, SentForm
from kinde_guard.console.live import SHOWN
from kinde_guard.errors import ConfigurationError
from kinde_guard.issuer import FAULTS, PRESETS, LocalIssuer, SigningKey
from kinde_guard.issuer.journal import Entry
from kinde_guard.issuer.users import SAMPLE_USERS, Membership, User

URL = "http://127.0.0.1:9400"
KEY = SigningKey.make()
ACTIONS = {path: page for page in PAGES for path in page.actions}
PATHS = [*(page.path for page in PAGES), "/events", "/static/console.css"]
FORM = {"content-type": "application/x-www-form-urlencoded"}


@pytest.fixture
def issuer() -> LocalIssuer:
    return LocalIssuer(URL, key=KEY)


def visitor(app: Any, address: str = "127.0.0.1", **headers: str) -> TestClient:
    return TestClient(app, base_url=URL, client=(address, 50000), headers=headers, follow_redirects=False)


@pytest.fixture
def console(issuer: LocalIssuer) -> TestClient:
    return visitor(Console(issuer))


def stamp(console: TestClient, path: str) -> str:
    """Of the form for *path*, wherever it stands."""
    for shown in (console.get(ACTIONS[path].path), console.post("/mint/preset", data=_minting(console))):
        found = re.search(rf'action="{path}".*?name="stamp" value="(\w+)"', shown.text, re.S)
        if found:
            return found[1]
    raise AssertionError(f"no form for {path}")


def _minting(console: TestClient) -> dict[str, str]:
    found = re.search(r'action="/mint/preset".*?value="(\w+)"', console.get("/").text, re.S)
    assert found is not None
    return {"stamp": found[1], "preset": "m2m"}


def post(console: TestClient, path: str, fields: Mapping[str, Any] | None = None, /, **more: Any) -> Any:
    """As the form does it; a field may have several values. *htmx* is none: it says who sends it."""
    headers = {"hx-request": "true"} if more.pop("htmx", False) else {}
    return console.post(path, data={"stamp": stamp(console, path), **(fields or {}), **more}, headers=headers)


def notice(response: Any) -> str:
    found = re.search(r'id="notice".*?>\s*<p class="\w+"[^>]*>(.*?)</p>', response.text, re.S)
    return html.unescape(found[1]) if found else ""


def token_in(response: Any) -> str:
    found = re.search(r'name="token".*?>(.*?)</textarea>', response.text, re.S)
    assert found is not None
    return html.unescape(found[1])


def claims_in(response: Any) -> dict[str, Any]:
    """The payload as the page shows it."""
    shown = re.findall(r'<pre class="json">(\{.*?\})</pre>', response.text, re.S)[-1]
    return dict(json.loads(html.unescape(re.sub(r" <time.*?</time>|</?b>", "", shown))))


# What a page may do, and who may see it


@pytest.mark.parametrize("path", [page.path for page in PAGES])
def test_a_page_runs_no_script_but_ours_and_is_kept_by_nobody(console: TestClient, path: str) -> None:
    page = console.get(path)
    assert page.status_code == 200
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert page.headers["cache-control"] == "no-store"
    assert page.headers["x-content-type-options"] == "nosniff"
    assert not re.search(r"<script(?![^>]* src=\"/static/)|<style|\sstyle=|\son\w+=|javascript:", page.text)
    assert not re.search(r"(src|href|action)=\"(?!/|#)", page.text)


@pytest.mark.parametrize(("headers", "address"), [
    pytest.param({"host": "console.evil.example"}, "127.0.0.1", id="another name for this machine: DNS rebinding"),
    pytest.param({"host": "127.0.0.1.evil.example"}, "127.0.0.1", id="a name that begins like ours"),
    pytest.param({"host": ""}, "127.0.0.1", id="no name"),
    pytest.param({"origin": "https://evil.example"}, "127.0.0.1", id="a page elsewhere"),
    pytest.param({"origin": "http://127.0.0.1:3000"}, "127.0.0.1", id="another page of this machine"),
    pytest.param({"origin": "null"}, "127.0.0.1", id="a page without an origin"),
    pytest.param({}, "192.0.2.7", id="another machine"),
])  # fmt: skip
def test_nobody_else_is_shown_anything(issuer: LocalIssuer, headers: dict[str, str], address: str) -> None:
    stranger = visitor(Console(issuer), address, **headers)
    assert {path: stranger.get(path).status_code for path in (*PATHS, *ACTIONS)} == dict.fromkeys(
        (*PATHS, *ACTIONS), 403
    )
    assert {path: stranger.post(path).status_code for path in ACTIONS} == dict.fromkeys(ACTIONS, 403)


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_a_form_of_another_site_is_refused(console: TestClient, issuer: LocalIssuer, site: str) -> None:
    """Also with the right stamp, which it cannot know."""
    data = {"stamp": stamp(console, "/keys/rotate"), "how": "hard"}
    answer = console.post("/keys/rotate", data=data, headers={"sec-fetch-site": site})
    assert (answer.status_code, issuer.key) == (403, KEY)


@pytest.mark.parametrize("path", ACTIONS)
def test_every_action_wants_the_stamp_of_its_own_path(issuer: LocalIssuer, path: str) -> None:
    issuer.publish(SigningKey("old", "RS256", KEY.private))
    issuer.add_webhook("http://127.0.0.1:9/")
    issuer.create_api_key()
    console, other = visitor(Console(issuer)), next(each for each in ACTIONS if each != path)
    stamps = ("", "é", stamp(visitor(Console(issuer)), path), stamp(console, other))
    last, state = issuer.journal.last, (issuer.key, issuer.registry.users, issuer.faults, issuer.down)
    fields = {"preset": "m2m", "how": "hard", "down": "yes", "at": "keys", "fault": "hanging", "id": SAMPLE_USERS[0].id}
    for wrong in stamps:
        answer = console.post(path, data={**fields, "stamp": wrong})
        assert answer.status_code == 403
        assert notice(answer).startswith("This page is from an earlier run")
        assert issuer.journal.last == last
        assert (issuer.key, issuer.registry.users, issuer.faults, issuer.down) == state


@pytest.mark.parametrize("path", ACTIONS)
def test_an_action_is_not_done_by_a_link(console: TestClient, path: str) -> None:
    """Who comes by one is led to the page."""
    answer = console.get(path)
    assert (answer.status_code, answer.headers["location"]) == (303, ACTIONS[path].path)


@pytest.mark.parametrize(("body", "headers", "status"), [
    pytest.param(b"stamp=x", {"content-type": "text/plain"}, 422, id="not a form"),
    pytest.param(b"stamp=" + b"x" * MAX_FORM, FORM, 422, id="too large"),
    pytest.param(b"a=%ff", FORM, 422, id="not UTF-8"),
    pytest.param("a=é".encode(), FORM, 422, id="not ASCII"),
    pytest.param(b"&".join([b"a=1"] * 501), FORM, 422, id="too many fields"),
    pytest.param(b"", FORM, 403, id="nothing"),
])  # fmt: skip
def test_a_body_that_is_no_form_of_ours(console: TestClient, body: bytes, headers: dict[str, str], status: int) -> None:
    assert console.post("/mint/preset", content=body, headers=headers).status_code == status


@given(st.binary(max_size=200))
def test_whatever_a_body_says_it_is_a_form_or_refused_in_words(body: bytes) -> None:
    try:
        form = SentForm.read(body)
    except ConfigurationError:
        return
    assert form.text("stamp") == form.text("stamp").strip()


@pytest.mark.parametrize("path", ["/.well-known/jwks", "/oauth2/auth", "/nowhere", "/_local/faults"])
def test_everything_else_is_answered_by_the_local_kinde(console: TestClient, issuer: LocalIssuer, path: str) -> None:
    there = visitor(issuer.asgi).get(path)
    here = console.get(path)
    assert (here.status_code, here.content) == (there.status_code, there.content)


def test_the_console_stays_when_the_local_kinde_is_down(console: TestClient, issuer: LocalIssuer) -> None:
    assert "503" in notice(post(console, "/keys/power", down="yes"))
    assert console.get("/.well-known/jwks").status_code == 503
    assert ">down</a>" in console.get("/").text
    post(console, "/keys/power", down="no")
    assert console.get("/.well-known/jwks").status_code == 200


def test_the_first_page_is_small(console: TestClient) -> None:
    """With all that it loads: less than 100 kB, of which our own style is less than 15."""
    page = console.get("/")
    files = {name: console.get(name) for name in re.findall(r'(?:src|href)="(/static/[^"]+)"', page.text)}
    assert len(files) == 4
    assert all(file.status_code == 200 for file in files.values())
    assert len(page.content) + sum(len(file.content) for file in files.values()) < 100_000
    assert len(files["/static/console.css"].content) < 15_000


def test_files_are_asked_for_anew_and_sent_once(console: TestClient) -> None:
    first = console.get("/static/console.css")
    assert first.headers["content-type"] == "text/css; charset=utf-8"
    assert first.headers["cache-control"] == "no-cache"
    again = console.get("/static/console.css", headers={"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    for name in ("htmx.LICENSE.txt", "..%2fapp.py", "made-up.css", ""):
        assert console.get(f"/static/{name}").status_code == 404


# Tokens


@pytest.mark.parametrize("name", PRESETS)
def test_each_preset_is_explained_as_a_guard_refuses_it(console: TestClient, name: str) -> None:
    reason = PRESETS[name].reason
    page = post(console, "/mint/preset", preset=name)
    assert page.status_code == 200
    assert notice(page).startswith(f"Minted: {PRESETS[name].title}. ")
    if reason is None:
        assert "<b>Let in.</b>" in page.text
    else:
        assert f"<b>Refused: <code>{status_of(reason)} {reason}</code></b>" in page.text
        assert notice(page).endswith(f"A guard refuses it with {status_of(reason)}, {reason}.")


def test_a_token_is_shown_decoded(console: TestClient, issuer: LocalIssuer) -> None:
    page = post(console, "/mint/preset", preset="m2m")
    assert claims_in(page)["azp"] == issuer.app.client_id
    assert Guard(issuer.url, audience=issuer.audience, transport=issuer.transport).verify(token_in(page)).is_m2m
    assert f"Authorization: Bearer {token_in(page)}" in page.text


def test_the_dates_of_a_token_are_shown_as_dates_too(console: TestClient, issuer: LocalIssuer) -> None:
    """Those of the standard, on the outermost level, where they are numbers that can be dates."""
    odd = {"exp": 1_796_152_864, "iat": "1796152864", "nbf": 10**15, "inner": {"exp": 1}, "auth_time": True}
    page = post(console, "/explain", token=issuer.token({**issuer.m2m_claims(), **odd})).text
    payload = page.partition("<h4>Payload</h4>")[2].partition("</pre>")[0]
    assert re.findall(r'&#34;(\w+)&#34;</b>: \d+ <time datetime="(.*?)">(.*?)</time>', payload) == [
        ("exp", "2026-12-01T19:21:04Z", "2026-12-01 19:21:04 UTC")
    ]


def test_htmx_gets_what_has_changed_and_others_the_page(console: TestClient) -> None:
    whole, part = (post(console, "/mint/preset", preset="user", htmx=htmx) for htmx in (False, True))
    assert "<!doctype html>" in whole.text
    assert "<!doctype html>" not in part.text
    assert "Make one by hand" not in part.text
    assert notice(part) == notice(whole)


def by_hand(console: TestClient, issuer: LocalIssuer, **fields: str) -> Any:
    usual = {"kind": "m2m", "app": issuer.app.client_id, "user": SAMPLE_USERS[0].id, "aud": issuer.audience}
    return post(console, "/mint/by-hand", {**usual, **fields})


@pytest.mark.parametrize(("fields", "claims"), [
    ({"kind": "m2m"}, {"scope": "read:users write:flags", "aud": ["https://api.example.com"]}),
    ({"kind": "m2m", "scopes": "a, b", "aud": "", "org": "org_1"}, {"scope": "a b", "aud": [], "org_code": "org_1"}),
    ({"kind": "user"}, {"sub": SAMPLE_USERS[0].id, "permissions": ["read:users", "write:flags"], "exp": 87_400}),
    ({"kind": "user", "org": "org_ba4a2311eb1", "user": SAMPLE_USERS[1].id}, {"permissions": [], "scp": None}),
    ({"kind": "user", "user": SAMPLE_USERS[2].id, "lifetime": "-60"}, {"org_code": None, "exp": 940}),
    ({"claims": '{"tier": "gold", "aud": "x"}', "drop": "scope scp"}, {"tier": "gold", "aud": "x", "scope": None}),
])  # fmt: skip
def test_a_token_by_hand(
    console: TestClient, issuer: LocalIssuer, fields: dict[str, str], claims: dict[str, object]
) -> None:
    """None: not there, or not looked at."""
    issuer.clock = lambda: 1_000
    shown = claims_in(by_hand(console, issuer, **fields))
    assert {name: shown.get(name) for name, value in claims.items() if value is not None} == {
        name: value for name, value in claims.items() if value is not None
    }
    assert ("org_code" in shown) == (claims.get("org_code", "") is not None) or "org_code" not in claims


def test_a_token_with_another_header_and_another_key(console: TestClient, issuer: LocalIssuer) -> None:
    page = by_hand(console, issuer, header='{"typ": "at+jwt", "kid": "made-up"}')
    assert "401 unknown_key" in page.text
    assert "401 unsupported_algorithm" in by_hand(console, issuer, key="none").text
    assert "401 unknown_key" in by_hand(console, issuer, key="stranger").text
    issuer.rotate()
    assert "<b>Let in.</b>" in by_hand(console, issuer, key=KEY.kid).text


@pytest.mark.parametrize(("fields", "words"), [
    ({"kind": "made_up"}, "There is no kind 'made_up'"),
    ({"app": "nobody"}, "There is no such app"),
    ({"kind": "user", "user": "nobody"}, "There is no such person"),
    ({"lifetime": "soon"}, "Lifetime must be a number"),
    ({"lifetime": "NaN"}, "Lifetime must be a number"),
    ({"lifetime": "1e300"}, "Lifetime must be within"),
    ({"lifetime": "[" * 20_000}, "Lifetime must be a number"),
    ({"claims": "{"}, "Claims: this is not JSON"),
    ({"claims": "[]"}, "Claims: this must be a JSON object"),
    ({"claims": "[" * 20_000}, "Claims: this is not JSON"),
    ({"header": '{"typ": "\\ud800"}'}, "Header holds what no token can hold"),
    ({"key": "gone"}, "This key is not published any more"),
    ({"demands": "role:"}, "'role:' lacks a name"),
    ({"audience": "http://127.0.0.1:9400"}, "Audience 'http://127.0.0.1:9400' is the issuer"),
])  # fmt: skip
def test_what_cannot_be_minted_is_said_and_nothing_is_lost(
    console: TestClient, issuer: LocalIssuer, fields: dict[str, str], words: str
) -> None:
    page = by_hand(console, issuer, **{"drop": "what-was-written", **fields})
    assert page.status_code == 422
    assert notice(page).startswith(words)
    assert 'value="what-was-written"' in page.text
    assert not [entry for entry in issuer.journal.since() if "by hand" in entry.summary.lower()]


def blamed(page: Any) -> tuple[str, str]:
    """The name of the field that is marked, and the sentence that stands at it."""
    found = re.search(
        r'name="(\w+)"[^>]* aria-invalid="true" aria-describedby="error".*?id="error">(.*?)</span>', page.text, re.S
    )
    return (found[1], html.unescape(found[2])) if found else ("", "")


@pytest.mark.parametrize(("path", "fields", "field", "words"), [
    ("/mint/by-hand", {"kind": "user", "user": "nobody"}, "user", "There is no such person"),
    ("/mint/by-hand", {"kind": "m2m", "app": "nobody"}, "app", "There is no such app"),
    ("/mint/by-hand", {"kind": "m2m", "lifetime": "soon"}, "lifetime", "Lifetime must be a number"),
    ("/mint/by-hand", {"kind": "m2m", "claims": "{"}, "claims", "Claims: this is not JSON"),
    ("/mint/by-hand", {"kind": "m2m", "header": '{"typ": "\\ud800"}'}, "header", "Header holds what no token can"),
    ("/mint/by-hand", {"kind": "m2m", "key": "gone"}, "key", "This key is not published"),
    ("/explain", {"token": "x", "demands": "role:"}, "demands", "'role:' lacks a name"),
    ("/explain", {"token": "x", "audience": URL}, "audience", f"Audience '{URL}' is the issuer"),
    ("/explain", {"token": ""}, "token", "There is no token here"),
    ("/send", {"token": "x", "url": "http://api.example.com/"}, "url", "The address must be"),
    ("/send", {"token": "x", "url": URL, "method": "CONNECT"}, "method", "The method must be"),
])  # fmt: skip
def test_what_is_wrong_stands_at_its_field(
    console: TestClient, issuer: LocalIssuer, path: str, fields: dict[str, str], field: str, words: str
) -> None:
    """Also where no script runs; for htmx the notice names the field."""
    usual = {"app": issuer.app.client_id} if path == "/mint/by-hand" else {}
    page = post(console, path, {**usual, **fields})
    assert page.status_code == 422
    assert blamed(page)[0] == field
    assert blamed(page)[1].startswith(words)
    assert f'data-field="{field}" data-row="0"' in post(console, path, {**usual, **fields}, htmx=True).text


@pytest.mark.parametrize(("path", "fields", "field", "row"), [
    ("/keys/break", {"at": "keys", "fault": "made_up"}, "fault", 0),
    ("/keys/break", {"at": "moon", "fault": "hanging"}, "at", 0),
    ("/keys/break", {"at": "token", "fault": "empty_set"}, "at", 0),
    ("/keys/break", {"at": "keys", "fault": "truncated", "value": "3"}, "value", 0),
    ("/keys/break", {"at": "keys", "fault": "client_error", "value": "200"}, "value", 0),
    ("/keys/break", {"at": "keys", "fault": "client_error", "value": "many"}, "value", 0),
    ("/people/save", {"email": ""}, "email", 0),
    ("/people/save", {"email": "x", "given_name": "a\nb"}, "given_name", 0),
    ("/people/save", {"email": "x", "feature_flags": "{"}, "feature_flags", 0),
    ("/people/save", {"email": "x", "feature_flags": '{"a": 1.5}'}, "feature_flags", 0),
    ("/people/save", {"email": "x", "org_code": ["org_1", "a b"], "org_name": ["", ""], "roles": ["", ""],
                      "permissions": ["", ""]}, "org_code", 1),
    ("/people/save", {"email": "x", "org_code": ["org_1", "org_1"], "org_name": ["", ""], "roles": ["", ""],
                      "permissions": ["", ""]}, "org_code", 1),
    ("/setup/api", {"audience": ""}, "audience", 0),
    ("/setup/app", {"name": ""}, "name", 0),
    ("/setup/app", {"name": "x", "org_code": "a b"}, "org_code", 0),
    ("/setup/app", {"name": "x", "kind": "front_end", "redirect_uris": "foo"}, "redirect_uris", 0),
    ("/setup/webhook", {"url": "somewhere"}, "url", 0),
    ("/setup/webhook", {"url": "http://127.0.0.1:9/", "types": "user.gone"}, "types", 0),
    ("/api-keys/make", {"name": ""}, "name", 0),
    ("/api-keys/make", {"name": "x", "audience": "nobody"}, "audience", 0),
    ("/api-keys/make", {"name": "x", "audience": "https://api.example.com", "scopes": "made:up"}, "scopes", 0),
    ("/api-keys/make", {"name": "x", "audience": "https://api.example.com", "lifetime": "-1"}, "lifetime", 0),
    ("/api-keys/make", {"name": "x", "audience": "https://api.example.com", "user": "kp_nobody"}, "user", 0),
    ("/api-keys/make", {"name": "x", "audience": "https://api.example.com", "org_code": "a b"}, "org_code", 0),
    ("/api-keys/make", {"name": "x", "user": SAMPLE_USERS[0].id, "org_code": "org_1"}, "org_code", 0),
])  # fmt: skip
def test_every_page_says_what_is_wrong_at_its_field(
    console: TestClient, path: str, fields: dict[str, Any], field: str, row: int
) -> None:
    page = post(console, path, fields)
    assert page.status_code == 422
    assert blamed(page) == (field, notice(page))
    assert page.text.count("aria-invalid") == 1
    assert f'data-field="{field}" data-row="{row}"' in page.text


def test_what_is_wrong_with_one_person_stands_at_no_other(console: TestClient) -> None:
    """Everybody has a field of that name."""
    ada, grace = SAMPLE_USERS[:2]
    page = post(console, "/people/save", id=grace.id, email="").text
    before, _, after = page.partition("aria-invalid")
    assert f'id="email-{grace.id}"' in before[-200:]
    assert f'id="email-{ada.id}"' in before
    assert 'id="email-"' in after


@pytest.mark.parametrize("path", [page.path for page in PAGES])
def test_a_form_has_one_main_button_at_most(console: TestClient, issuer: LocalIssuer, path: str) -> None:
    issuer.add_webhook("http://127.0.0.1:9/")
    issuer.create_api_key()
    issuer.rotate()
    forms = re.findall(r"<form.*?</form>", console.get(path).text, re.S)
    assert forms
    for form in forms:
        assert len(re.findall(r'<button[^>]* class="main"|<button class="main"', form)) <= 1


WORDS_OF_NOBODY = (
    "Its number",
    "Take it back",
    "Add somebody",
    "if not the usual",
    "of a user",
    "Send them so",
    "Break it<",
)


@pytest.mark.parametrize("path", [page.path for page in PAGES])
def test_no_page_says_what_stopped_readers(console: TestClient, path: str) -> None:
    page = console.get(path).text
    assert [words for words in WORDS_OF_NOBODY if words in page] == []


def test_api_keys_are_made_shown_once_and_taken_out_of_use(console: TestClient, issuer: LocalIssuer) -> None:
    asked = {"name": "Nightly <i>", "audience": issuer.audience, "scopes": "read:users", "user": SAMPLE_USERS[0].id}
    page = post(console, "/api-keys/make", asked)
    assert notice(page) == "Nightly <i> is made."
    text = re.search(r'id="made">(k_live_\w+)<', page.text)
    assert text is not None
    (key,) = issuer.api_keys
    assert (key.name, key.scopes, key.user_id) == ("Nightly <i>", ("read:users",), SAMPLE_USERS[0].id)
    listed = console.get("/api-keys").text
    assert text[1] not in listed
    assert "Ada Lovelace" in listed
    assert "<i>" not in listed
    assert text[1] not in json.dumps([entry.as_json() for entry in issuer.journal.since()])
    page = post(console, "/api-keys/rotate", id=key.id)
    assert f'id="made">{text[1]}' not in page.text
    assert 'id="made">k_live_' in page.text
    assert notice(page).startswith("Nightly <i> has a new text.")
    assert notice(post(console, "/api-keys/deactivate", id=key.id)) == "Nightly <i> is inactive."
    assert "Deactivate" not in console.get("/api-keys").text
    stamped = stamp(console, "/api-keys/revoke")
    assert notice(post(console, "/api-keys/revoke", id=key.id)).startswith("Nightly <i> is revoked.")
    assert issuer.api_keys[0].status == "revoked"
    assert "/api-keys/revoke" not in console.get("/api-keys").text
    gone = console.post("/api-keys/revoke", data={"stamp": stamped, "id": "api_key_0"})
    assert (gone.status_code, notice(gone)) == (422, "There is no such API key any more.")


@pytest.mark.parametrize(("kind", "group"), [
    ("verdict", "verdicts"), ("token_refused", "tokens"), ("minted", "tokens"), ("sent", "tokens"),
    ("signed_in", "tokens"),
    ("webhook_failed", "people"), ("suspended", "people"), ("revoked", "people"), ("changed", "people"),
    ("keys_fetched", "keys"), ("rotated", "keys"), ("broken", "keys"), ("api_key_revoked", "api-keys"),
    ("made_up", "all"),
])  # fmt: skip
def test_what_happens_is_listed_by_group(console: TestClient, issuer: LocalIssuer, kind: str, group: str) -> None:
    issuer.journal.add(kind, "see `kinde-guard explain`")
    page = console.get("/").text
    assert re.search(rf'<li class="{group}[^"]*"><time', page)
    assert "see <code>kinde-guard explain</code>" in page


def test_what_is_code_is_shown_as_code(console: TestClient, issuer: LocalIssuer) -> None:
    """In what the page says; no backtick is to be seen."""
    page = post(console, "/mint/preset", preset="id_token").text
    fix = page.partition('<p class="fix">')[2].partition("</p>")[0]
    assert "<code>access_token</code>" in fix
    assert "`" not in fix


def test_the_check_that_fails_comes_first(console: TestClient) -> None:
    """And what fails besides comes second."""
    page = post(console, "/mint/preset", preset="wrong_audience").text
    checks = re.findall(r'<th scope="row">.*?</i> (\w+)', page, re.S)
    assert checks[0] == "aud"
    assert checks[1:3] == ["size", "form"]
    failing = page.partition('<dl class="failing">')[2].partition("</dl>")[0]
    assert re.findall(r"<dd>(.*?)</dd>", failing) == ["aud", "https://other-api.example.com", "https://api.example.com"]
    assert page.index('class="failing"') < page.index('name="token"')


def test_a_title_says_what_a_person_would(console: TestClient) -> None:
    page = post(console, "/mint/preset", preset="user").text
    assert "<h2>User <small>It is for the first person on the page People." in page
    assert "<b>Machine-to-machine app</b> <span>It is for the sample app.</span>" in page
    assert not re.search(r"<(b|h2|span)>(\w+_)+\w+", page)


def test_a_token_of_somebody_who_is_suspended_is_told_so(console: TestClient, issuer: LocalIssuer) -> None:
    token = issuer.user_token(SAMPLE_USERS[0].id)
    said = "Ada Lovelace is suspended. A guard that hears of it"
    assert said not in post(console, "/explain", token=token).text
    issuer.suspend(SAMPLE_USERS[0])
    assert said in post(console, "/explain", token=token).text
    odd = issuer.token({**issuer.m2m_claims(), "sub": ["no text"]})
    assert said not in post(console, "/explain", token=odd).text


def test_a_curl_line_can_be_had_alone(console: TestClient, issuer: LocalIssuer) -> None:
    """The notice stays what it is."""
    asked = {"token": "a.b.c", "method": "POST", "url": "http://127.0.0.1:1/x", "body": "{}"}
    answer = post(console, "/curl", asked, htmx=True)
    assert "curl -gisS http://127.0.0.1:1/x -H &#39;Authorization: Bearer a.b.c&#39; -X POST" in answer.text
    assert 'id="notice"' not in answer.text


def test_htmx_gets_a_problem_alone(console: TestClient) -> None:
    """What was on the page stays as it was."""
    answer = post(console, "/mint/preset", preset="made_up", htmx=True)
    assert (answer.status_code, answer.headers["hx-reswap"]) == (422, "none")
    assert notice(answer).startswith("There is no preset 'made_up'")
    assert "<form" not in answer.text


@pytest.mark.parametrize(("demands", "shown"), [
    ("read:users", "the token meets the requirement"),
    ("scope:read:users, m2m", "the token meets the requirement"),
    ("admin:all", "403 insufficient_scope"),
    ("permission:x", "403 missing_permission"),
    ("role:admin", "403 missing_role"),
    ("org:org_1", "403 wrong_org"),
    ("flag:beta", "403 missing_flag"),
    ("user", "403 wrong_subject"),
    ("m2m", "the token meets the requirement"),
    ("(scope:read:users & machine) | role:admin", "the token meets the requirement"),
    ("scope:admin:all | role:admin", "403 insufficient_scope"),
    ('permission:"view reports"', "403 missing_permission"),
])  # fmt: skip
def test_a_token_is_explained_for_what_a_route_demands(
    console: TestClient, issuer: LocalIssuer, demands: str, shown: str
) -> None:
    page = post(console, "/explain", token=issuer.m2m_token(), audience=issuer.audience, demands=demands)
    assert shown in page.text


def test_a_pasted_token_is_explained_for_another_audience(console: TestClient, issuer: LocalIssuer) -> None:
    token = issuer.m2m_token(audience="https://billing.example.com", scope="")
    assert "401 wrong_audience" in post(console, "/explain", token=token).text
    assert "<b>Let in.</b>" in post(console, "/explain", token=token, audience="https://billing.example.com").text


@pytest.mark.parametrize("text", ["<script>alert(1)</script>", "a.b.c", "eyJhbGciOiJub25lIn0.e30.", "é", "x" * 20_000])
def test_what_is_no_token_is_explained_too(console: TestClient, text: str) -> None:
    page = post(console, "/explain", token=text)
    assert page.status_code == 200
    assert "<b>Refused: <code>401 " in page.text
    assert "<script>alert" not in page.text


def test_what_a_token_says_is_text(console: TestClient, issuer: LocalIssuer) -> None:
    """And never markup."""
    hostile = {"<b onclick=x>": '</pre><script src="//evil.example">', "azp": "<i>", "quote": '"}\\'}
    token = issuer.token({**issuer.m2m_claims(), **hostile})
    page = post(console, "/explain", token=token)
    assert "evil.example" in page.text
    assert not re.search(r"<script src=\"//|<b onclick|<i>\"", page.text)
    assert claims_in(page)["quote"] == '"}\\'


def test_without_a_token_there_is_nothing_to_explain_or_to_send(console: TestClient) -> None:
    for path in ("/explain", "/send"):
        assert notice(post(console, path, token=" ")).startswith("There is no token here")


def test_no_token_and_no_secret_is_written_down(console: TestClient, issuer: LocalIssuer) -> None:
    token = token_in(post(console, "/mint/preset", preset="m2m"))
    by_hand(console, issuer)
    post(console, "/send", token=token, url=f"http://127.0.0.1:1/{token}", method="GET")
    written = json.dumps([entry.as_json() for entry in issuer.journal.since()])
    assert "minted" in written
    assert "sent" in written
    assert token.split(".")[2] not in written
    assert issuer.app.client_secret not in written


@pytest.mark.parametrize(
    "around", ["Bearer {}", "authorization: bearer  {}", '{{"access_token": "{}", "expires_in": 60}}']
)
def test_a_token_is_taken_out_of_what_was_pasted(console: TestClient, issuer: LocalIssuer, around: str) -> None:
    token = issuer.m2m_token()
    page = post(console, "/explain", token=around.format(token))
    assert "<b>Let in.</b>" in page.text
    assert token_in(page) == token


@pytest.mark.parametrize(
    "text", ['{"access_token"', "{}", "[]", '{"a": ' * 9_000, "Bearer", "Bearer two words", "Basic x"]
)
def test_what_holds_no_token_is_explained_as_it_is(console: TestClient, text: str) -> None:
    page = post(console, "/explain", token=text)
    assert "<b>Refused: <code>401 malformed</code></b>" in page.text
    assert notice(page) == "A guard refuses it with 401, malformed."


def test_a_token_of_an_earlier_run_is_told_so(console: TestClient, issuer: LocalIssuer) -> None:
    page = post(console, "/explain", token=issuer.preset("unknown_key"))
    assert "A local Kinde makes new keys at each start." in page.text


def test_whose_token_was_minted_by_hand_is_said(console: TestClient, issuer: LocalIssuer) -> None:
    assert notice(by_hand(console, issuer)).startswith("Minted: By hand, for Sample machine-to-machine app.")
    page = by_hand(console, issuer, kind="user", user=SAMPLE_USERS[1].id)
    assert notice(page).startswith("Minted: By hand, for Grace Hopper.")


def test_a_token_is_called_what_guards_call_it(console: TestClient, issuer: LocalIssuer) -> None:
    """In their logs and verdicts: by its fingerprint."""
    page = post(console, "/mint/preset", preset="m2m")
    called = hashlib.sha256(token_in(page).encode()).hexdigest()[:12]
    assert f"Fingerprint <code>{called}</code>" in page.text
    assert issuer.journal.since()[-1].details["fingerprint"] == called


# Sending


async def _api(request: Request) -> Response:
    """An API that answers by its path, and tells what it was sent."""
    path = request.url.path
    if path == "/moved":
        return RedirectResponse("/users")
    if path == "/large":
        return PlainTextResponse("x" * (sending.MAX_BODY + 1))
    if path == "/packed":
        return Response(b"\x1f\x8b", headers={"content-encoding": "gzip"})
    if path == "/bytes":
        return Response(b"\xff\xfe")
    if path == "/nested":  # a list that is nearly a plain one
        return JSONResponse([*("item" for _ in range(200)), "a[0]"])
    if path == "/odd":
        return PlainTextResponse("", 299)
    sent = {name: request.headers.get(name) for name in ("authorization", "cookie", "content-type")}
    return JSONResponse({**sent, "method": request.method, "body": (await request.body()).decode()})


async def api(scope: Any, receive: Any, send: Any) -> None:
    await (await _api(Request(scope, receive)))(scope, receive, send)


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with served(api, lifespan="off") as host:
        yield f"http://{host}"


def send(console: TestClient, issuer: LocalIssuer, url: str, **fields: str) -> Any:
    return post(console, "/send", {"token": issuer.m2m_token(), "url": url, "method": "GET", **fields})


def test_a_token_is_sent_and_the_answer_shown(console: TestClient, issuer: LocalIssuer, address: str) -> None:
    token = issuer.m2m_token()
    page = send(console, issuer, f"{address}/users", token=token, method="POST", body='{"a": 1}')
    shown = re.search(r'<pre class="json"[^>]*>(\{.*?\})</pre>', page.text, re.S)
    assert shown is not None
    assert json.loads(html.unescape(re.sub(r"</?b>", "", shown[1]))) == {
        "authorization": f"Bearer {token}",
        "cookie": None,
        "content-type": "application/json",
        "method": "POST",
        "body": '{"a": 1}',
    }
    assert notice(page) == "Sent: 200 OK"
    assert f'value="{address}/users"' in post(console, "/mint/preset", preset="user").text, "it is remembered"


@pytest.mark.parametrize(("path", "shown"), [
    ("/moved", "307 Temporary Redirect"),
    ("/large", "These are the first 64 KiB."),
    ("/packed", "The body is packed (gzip): 2 bytes."),
    ("/bytes", "The body is not text: 2 bytes."),
    ("/odd", "<b>299 </b>"),
    ("/nested", '&#34;a[0]&#34;'),
])  # fmt: skip
def test_an_answer_is_shown_as_far_as_it_can_be(
    console: TestClient, issuer: LocalIssuer, address: str, path: str, shown: str
) -> None:
    assert shown in send(console, issuer, address + path).text


@pytest.mark.parametrize("url", [
    "http://api.example.com/users", "https://10.0.0.1/", "http://127.0.0.1.evil.example/", "http://0.0.0.0/", "ftp://127.0.0.1/",
    "http://user:pass@127.0.0.1/", "http://evil.example@127.0.0.1/", "/users", "", "http://[", "file:///etc/passwd", "http://169.254.169.254/",
    "http://xn--localhost/", "http://127.0.0.1:99999/", "http://127.0.0.1:0/", "http://127.999.0.1/",
])  # fmt: skip
def test_a_token_goes_to_this_machine_alone(console: TestClient, issuer: LocalIssuer, url: str) -> None:
    answer = send(console, issuer, url)
    assert answer.status_code == 422
    assert notice(answer).startswith("The address ")


@pytest.mark.parametrize(("fields", "words"), [
    ({"method": "CONNECT"}, "The method must be one of"),
    ({"token": "two words"}, "It is not sent, as it has characters that no token has"),
])  # fmt: skip
def test_what_is_not_sent(
    console: TestClient, issuer: LocalIssuer, address: str, fields: dict[str, str], words: str
) -> None:
    assert notice(send(console, issuer, address, **fields)).startswith(words)


def test_what_an_address_asks_is_not_written_down(console: TestClient, issuer: LocalIssuer) -> None:
    """It may be a key for the API alone."""
    send(console, issuer, "http://127.0.0.1:1/users?api_key=k1")
    assert "http://127.0.0.1:1/users: nobody" in issuer.journal.since(0)[-1].summary
    assert "k1" not in repr(issuer.journal.since(0))


def test_a_curl_line_sends_what_was_typed_and_reads_no_file(console: TestClient, issuer: LocalIssuer) -> None:
    page = send(console, issuer, "http://[::1]:1/flags", method="POST", body="@/etc/passwd")
    line = html.unescape(page.text)
    assert "curl -gisS" in line
    assert "--data-raw @/etc/passwd" in line


def test_an_address_needs_no_scheme(console: TestClient, issuer: LocalIssuer, address: str) -> None:
    page = send(console, issuer, f"{address.removeprefix('http://')}/users")
    assert notice(page) == "Sent: 200 OK"
    assert f'value="{address}/users"' in page.text


def test_https_where_http_is_spoken_is_said(console: TestClient, issuer: LocalIssuer, address: str) -> None:
    page = send(console, issuer, address.replace("http:", "https:"))
    assert "does not speak TLS: try http instead of https" in notice(page)


def test_http_where_it_is_not_spoken_is_said(console: TestClient, issuer: LocalIssuer) -> None:
    issuer.break_down("refusing", "keys")
    with served(issuer.asgi, lifespan="off") as host:
        page = send(console, issuer, f"http://{host}/.well-known/jwks")
    assert notice(page) == "The server hung up, or it does not speak HTTP: if it wants TLS, write https."


def test_another_token_that_is_sent_is_explained_too(console: TestClient, issuer: LocalIssuer, address: str) -> None:
    """What the page says is of the token that is in it; sent again, only the answer is another."""
    token = issuer.preset("expired")
    fields = {"token": token, "last_token": issuer.m2m_token(), "url": address, "method": "GET"}
    page = post(console, "/send", fields, htmx=True)
    assert page.headers["hx-retarget"] == "#result"
    assert "401 expired" in page.text
    again = post(console, "/send", {**fields, "last_token": token}, htmx=True)
    assert "hx-retarget" not in again.headers
    assert "401 expired" not in again.text


@pytest.mark.parametrize(("preset", "said"), [("m2m", True), ("expired", False)])
def test_an_api_that_trusts_somebody_else_is_wondered_at(
    console: TestClient, issuer: LocalIssuer, preset: str, said: bool
) -> None:
    """A guard that has the keys of an earlier run refuses what a guard of this one lets in."""
    earlier = LocalIssuer(URL)
    with served(
        protected_api(Guard(URL, audience=earlier.audience, transport=earlier.transport)), lifespan="off"
    ) as host:
        page = send(console, issuer, f"http://{host}/users", token=issuer.preset(preset))
    assert notice(page).startswith("Sent: 401 Unauthorized")
    assert ("A guard of this Kinde lets the token in." in page.text) is said


def test_where_nobody_answers(console: TestClient, issuer: LocalIssuer) -> None:
    assert "Nobody answers at 127.0.0.1:1: is the API running?" in send(console, issuer, "http://127.0.0.1:1/").text


def test_an_api_that_never_ends_is_not_waited_for(
    console: TestClient, issuer: LocalIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also one that keeps sending: the limit is for the whole answer."""
    monkeypatch.setattr(sending, "TIMEOUT", 0.3)
    issuer.break_down("dripping", "keys", seconds=0.05)
    with served(issuer.asgi, lifespan="off") as host:
        page = send(console, issuer, f"http://{host}/.well-known/jwks")
        assert "The API has not given a whole answer within 0.3 s" in page.text


# Keys, people, apps


def test_keys_are_rotated_softly_hard_and_with_notice(console: TestClient, issuer: LocalIssuer) -> None:
    assert "Older keys stay published." in notice(post(console, "/keys/rotate", how="soft"))
    assert len(issuer.keys) == 2
    assert notice(post(console, "/keys/withdraw", kid=issuer.key.kid)).startswith("This key signs")
    post(console, "/keys/withdraw", kid=KEY.kid)
    assert KEY not in issuer.keys
    post(console, "/keys/rotate", how="next")
    upcoming = issuer.keys[-1]
    assert upcoming is not issuer.key
    assert "No older key" in notice(post(console, "/keys/rotate", how="hard"))
    assert [issuer.key, *issuer.keys] == [upcoming, upcoming]
    assert post(console, "/keys/rotate", how="").status_code == 422


def test_a_key_that_is_not_published_is_not_withdrawn(console: TestClient, issuer: LocalIssuer) -> None:
    issuer.rotate()
    page = post(console, "/keys/withdraw", kid="gone")
    assert (page.status_code, notice(page)) == (422, "No key of that name is published.")
    assert "withdrawn" not in [entry.kind for entry in issuer.journal.since()]


def test_the_key_that_signs_next_is_named_and_made_once(console: TestClient, issuer: LocalIssuer) -> None:
    assert issuer.upcoming is None
    assert "signs next" not in console.get("/keys").text
    page = post(console, "/keys/rotate", how="next")
    upcoming = issuer.upcoming
    assert upcoming is not None
    assert re.search(rf"{upcoming.kid}</code>.*?<td>signs next</td>", page.text)
    assert "is already published" in notice(post(console, "/keys/rotate", how="next"))
    assert issuer.upcoming is upcoming
    post(console, "/keys/rotate", how="soft")
    assert (issuer.key, issuer.upcoming) == (upcoming, None)


def test_what_is_healed_while_it_is_down_is_still_down(console: TestClient, issuer: LocalIssuer) -> None:
    issuer.down = True
    assert notice(post(console, "/keys/heal")) == "No endpoint is broken, but the local Kinde is still down."


def test_endpoints_are_broken_and_healed(console: TestClient, issuer: LocalIssuer) -> None:
    page = post(console, "/keys/break", at="keys", fault="server_error", value="502")
    assert console.get("/.well-known/jwks").status_code == 502
    assert "keys: server error" in page.text
    post(console, "/keys/break", at="token", fault="hanging", value="")
    assert issuer.faults["token"].options == {"seconds": 3600.0}
    post(console, "/keys/heal", at="keys")
    assert list(issuer.faults) == ["token"]
    assert notice(post(console, "/keys/heal")) == "Everything works again."
    assert not issuer.faults


@pytest.mark.parametrize("name", FAULTS)
def test_every_fault_can_be_had(console: TestClient, issuer: LocalIssuer, name: str) -> None:
    assert f'<option value="{name}"' in console.get("/keys").text
    place = FAULTS[name].places[0]
    post(console, "/keys/break", at=place, fault=name)
    assert issuer.faults[place].name == name


@pytest.mark.parametrize(("fields", "words"), [
    ({"at": "keys", "fault": "made_up"}, "There is no fault 'made_up'"),
    ({"at": "moon", "fault": "hanging"}, "There is no endpoint 'moon'"),
    ({"at": "token", "fault": "empty_set"}, "The fault 'empty_set' is one of keys"),
    ({"at": "keys", "fault": "truncated", "value": "3"}, "The fault 'truncated' takes no number"),
    ({"at": "keys", "fault": "client_error", "value": "200"}, "Status must be a whole number from 400 to 499"),
])  # fmt: skip
def test_what_cannot_be_broken(console: TestClient, issuer: LocalIssuer, fields: dict[str, str], words: str) -> None:
    page = post(console, "/keys/break", fields)
    assert (page.status_code, issuer.faults) == (422, {})
    assert notice(page).startswith(words)


PERSON = {
    "given_name": "<i>Mary", "family_name": "Jackson", "email": "mary@example.com", "feature_flags": '{"beta": true}',
    "org_code": ["org_1", ""], "org_name": ["Nasa", "left over"], "roles": ["engineer, lead", ""],
    "permissions": ["read:users", ""],
}  # fmt: skip


def test_people_are_added_changed_and_removed(console: TestClient, issuer: LocalIssuer) -> None:
    page = post(console, "/people/save", PERSON)
    assert notice(page).startswith("<i>Mary Jackson is saved.")
    assert "<i>Mary" not in page.text
    user = issuer.registry.users[-1]
    assert user == User(
        user.id, "<i>Mary", "Jackson", "mary@example.com",
        (Membership("org_1", "Nasa", ("engineer", "lead"), ("read:users",)),), {"beta": True},
    )  # fmt: skip
    post(console, "/people/save", {**PERSON, "id": user.id, "given_name": "Mary", "org_code": ["", ""]})
    assert issuer.registry.users[-1] == User(user.id, "Mary", "Jackson", "mary@example.com", (), {"beta": True})
    post(console, "/people/remove", id=user.id)
    assert issuer.registry.users == SAMPLE_USERS
    assert post(console, "/people/remove", id=user.id).status_code == 422


@pytest.mark.parametrize(("fields", "words"), [
    ({"email": ""}, "An email address must be text"),
    ({"feature_flags": "{"}, "Feature flags: this is not JSON"),
    ({"feature_flags": '{"a": 1.5}'}, "The feature flag 'a' must be"),
    ({"org_code": ["org_1", "org_1"]}, "A person belongs to an organization once"),
    ({"roles": ["one"]}, "The rows of the organizations are incomplete"),
])  # fmt: skip
def test_who_cannot_be_saved(console: TestClient, issuer: LocalIssuer, fields: dict[str, Any], words: str) -> None:
    page = post(console, "/people/save", {**PERSON, **fields})
    assert (page.status_code, issuer.registry.users) == (422, SAMPLE_USERS)
    assert notice(page).startswith(words)


@pytest.mark.parametrize("whose", ["", SAMPLE_USERS[0].id])
def test_a_refused_form_keeps_what_was_typed(console: TestClient, whose: str) -> None:
    """Also where the whole page is shown again."""
    page = post(
        console, "/people/save", {**PERSON, "id": whose, "org_name": ["Nasa", "Esa"], "feature_flags": "{"}
    ).text
    assert page.count("<details open>") == 1
    opened = page.partition("<details open>")[2].partition("</details>")[0]
    for typed in (
        "&lt;i&gt;Mary",
        "Jackson",
        "mary@example.com",
        "org_1",
        "Nasa",
        "Esa",
        "engineer, lead",
        "read:users",
    ):
        assert f'value="{typed}"' in opened
    assert ">{</textarea>" in opened


def test_a_saved_form_is_done_with(console: TestClient, issuer: LocalIssuer) -> None:
    """Whoever was saved is shown; the form for the next one is empty."""
    for htmx in (False, True):
        page = post(console, "/people/save", PERSON, htmx=htmx).text
        assert issuer.registry.users[-1].id in page.partition("<details open>")[2].partition("</details>")[0]
        assert page.count('value="Jackson"') == len(issuer.registry.users) - len(SAMPLE_USERS)


@pytest.mark.parametrize("htmx", [False, True])
def test_somebody_is_suspended_and_restored(console: TestClient, issuer: LocalIssuer, htmx: bool) -> None:
    ada = SAMPLE_USERS[0]
    page = post(console, "/people/suspend", id=ada.id, htmx=htmx)
    assert notice(page).startswith("Ada Lovelace is suspended. Tokens that were issued before stay good")
    assert "suspended</strong>" in page.text
    assert page.text.count("<details open>") == 1
    post(console, "/people/save", {**PERSON, "id": ada.id})  # another name makes nobody good
    (user,) = [user for user in issuer.registry.users if user.id == ada.id]
    assert user.is_suspended
    page = post(console, "/people/suspend", id=ada.id, how="restore", htmx=htmx)
    assert notice(page) == "<i>Mary Jackson may sign in again."
    assert "suspended</strong>" not in page.text
    assert not issuer.registry.users[0].is_suspended


def test_somebody_is_signed_out_everywhere(console: TestClient, issuer: LocalIssuer) -> None:
    page = post(console, "/people/sign-out", id=SAMPLE_USERS[0].id)
    assert notice(page).startswith("Ada Lovelace is signed out everywhere.")
    assert issuer.journal.since()[-1].kind == "signed_out"


@pytest.mark.parametrize("act", ["suspend", "sign-out", "remove"])
def test_nobody_is_there_any_more(console: TestClient, act: str) -> None:
    page = post(console, f"/people/{act}", id="kp_nobody")
    assert (page.status_code, notice(page)) == (422, "There is no such person any more.")


def test_webhooks_are_added_broken_and_removed(console: TestClient, issuer: LocalIssuer) -> None:
    page = post(console, "/setup/webhook", url="http://127.0.0.1:9/hook", types="user.deleted, user.updated")
    assert notice(page) == "http://127.0.0.1:9/hook gets user.deleted, user.updated."
    (webhook,) = issuer.webhooks.all
    assert webhook.types == ("user.deleted", "user.updated")
    assert "http://127.0.0.1:9/hook" in console.get("/setup").text
    assert notice(post(console, "/setup/webhook/break", fault="forged")).startswith(
        "Webhooks: broken from now on (signed with a stranger"
    )
    assert issuer.webhook_fault == "forged"
    assert 'value="forged" selected' in console.get("/setup").text
    assert notice(post(console, "/setup/webhook/break", fault="")) == "Webhooks work again."
    assert post(console, "/setup/webhook/break", fault="guessed").status_code == 422
    other = issuer.add_webhook("http://127.0.0.1:9/other")
    assert notice(post(console, "/setup/webhook/remove", webhook=webhook.id)).endswith("gets no events any more.")
    assert issuer.webhooks.all == (other,)
    assert post(console, "/setup/webhook/remove", webhook=webhook.id).status_code == 422


@pytest.mark.parametrize(("fields", "words"), [
    ({"url": "somewhere"}, "A webhook needs an http or https URL"),
    ({"url": "http://127.0.0.1:9/", "types": "user.gone"}, "Kinde has no event type 'user.gone'"),
])  # fmt: skip
def test_what_is_no_webhook(console: TestClient, issuer: LocalIssuer, fields: dict[str, str], words: str) -> None:
    page = post(console, "/setup/webhook", fields)
    assert (page.status_code, issuer.webhooks.all) == (422, ())
    assert notice(page).startswith(words)
    assert f'value="{fields["url"]}"' in page.text


def test_what_becomes_of_webhooks_is_listed(console: TestClient, issuer: LocalIssuer) -> None:
    issuer.journal.add(
        "webhook_sent", "user.updated to http://a/b", url="http://a/b", answer="200", type="user.updated"
    )
    issuer.journal.add(
        "webhook_failed", "user.deleted to http://a/b: 503, again in 5 s", url="http://a/b", answer="503"
    )
    page = console.get("/people").text
    assert re.search(
        r'<li class="people good"><time.*?webhook sent</b> <span>user.updated to http://a/b</span>', page, re.S
    )
    assert re.search(
        r'<li class="people bad"><time.*?webhook failed</b> <span>user.deleted to .*? again in 5 s</span>', page, re.S
    )


def test_what_is_set_up_otherwise_is_written_down(console: TestClient, issuer: LocalIssuer) -> None:
    post(console, "/people/remove", id=SAMPLE_USERS[2].id)
    post(console, "/setup/api", audience=issuer.audience, scopes="read:users")
    asked = {"app": issuer.app.client_id, "api": issuer.audience}
    post(console, "/setup/authorize", asked, scope="read:users")
    post(console, "/setup/authorize", asked)
    post(console, "/setup/forbid", asked)
    assert [entry.summary for entry in issuer.journal.since() if entry.kind in ("changed", "deleted")] == [
        "Alan Turing is deleted",
        "https://api.example.com has 1 scope",
        "Sample machine-to-machine app may use https://api.example.com, with read:users",
        "Sample machine-to-machine app may use https://api.example.com, with no scope",
        "Sample machine-to-machine app may not use https://api.example.com any more",
    ]


@pytest.mark.parametrize("htmx", [False, True])
def test_an_authorisation_is_taken_back(console: TestClient, issuer: LocalIssuer, htmx: bool) -> None:
    """The app stays in view; there is nothing to take back from who has nothing."""
    app = issuer.front_end_app
    page = post(console, "/setup/forbid", {"app": app.client_id, "api": issuer.audience}, htmx=htmx)
    assert issuer.registry.granted(app, issuer.audience) is None
    assert notice(page).startswith(f"{app.name} may not use {issuer.audience} any more.")
    assert f"<details open><summary><b>{app.name}</b>" in page.text
    assert re.findall(r'aria-label="(Withdraw the .*?)"', page.text) == [
        f"Withdraw the authorisation of {issuer.app.name} for {issuer.audience}"
    ]


def test_apps_and_apis_are_added_and_authorised(console: TestClient, issuer: LocalIssuer) -> None:
    post(console, "/setup/api", audience="https://billing.example.com", scopes="read:bills pay:bills")
    post(console, "/setup/app", kind="m2m", name="Nightly report", org_code="org_1", redirect_uris="")
    app = issuer.registry.apps[-1]
    assert (app.name, app.org_code) == ("Nightly report", "org_1")
    assert issuer.registry.granted(app, "https://billing.example.com") is None
    asked = {"app": app.client_id, "api": "https://billing.example.com"}
    post(console, "/setup/authorize", **asked, scope=["read:bills"])
    assert issuer.registry.granted(app, "https://billing.example.com") == ("read:bills",)
    post(console, "/setup/app", kind="front_end", name="Shop", redirect_uris="https://shop.example.com/back")
    shop = issuer.registry.apps[-1]
    assert (shop.client_secret, shop.redirect_uris) == (None, ("https://shop.example.com/back",))
    page = console.get("/setup").text
    assert f"export KINDE_M2M_CLIENT_SECRET={issuer.app.client_secret}" in page
    assert f"export KINDE_REPORT_VERDICTS_TO={issuer.url}" in page


@pytest.mark.parametrize(("path", "fields", "words"), [
    ("/setup/api", {"audience": ""}, "An audience must be text"),
    ("/setup/app", {"name": ""}, "The app needs a name"),
    ("/setup/app", {"name": "x", "kind": "front_end", "redirect_uris": "https://*.example.com"}, "A redirect URI must"),
    ("/setup/app", {"name": "x", "org_code": "a b"}, "An organization's code must be text without white space"),
    ("/setup/authorize", {"app": "nobody"}, "There is no such app"),
    ("/setup/forbid", {"app": "nobody"}, "There is no such app"),
    ("/setup/forbid", {"api": "https://moon.example.com"}, "There is no such API"),
    ("/setup/authorize", {"api": "https://moon.example.com"}, "There is no such API"),
    ("/setup/authorize", {"scope": "made:up"}, "The API 'https://api.example.com' has no scope"),
])  # fmt: skip
def test_what_cannot_be_set_up(
    console: TestClient, issuer: LocalIssuer, path: str, fields: dict[str, str], words: str
) -> None:
    page = post(console, path, {"app": issuer.app.client_id, "api": issuer.audience, **fields})
    assert page.status_code == 422
    assert notice(page).startswith(words)


def test_a_refused_app_keeps_what_was_typed(console: TestClient) -> None:
    page = post(console, "/setup/app", name="Shop", kind="front_end", redirect_uris="foo").text
    opened = page.partition("<details open><summary><b>Add an app")[2].partition("</details>")[0]
    assert 'value="Shop"' in opened
    assert 'value="foo"' in opened
    assert 'value="front_end" checked' in opened


# What happens


def listed(console: TestClient, since: int) -> tuple[list[str], int]:
    """The summaries that are new, and what to ask for next."""
    answer = console.get(f"/events?since={since}")
    if answer.status_code == 204:
        return [], since
    following = re.search(r"since=(\d+)", answer.text)
    assert following is not None
    return re.findall(r"</b>\s*<span>(.*?)(?: <small>|</span>)", answer.text), int(following[1])


def test_what_happens_is_listed_once_and_newest_first(console: TestClient, issuer: LocalIssuer) -> None:
    console.get("/.well-known/jwks", headers={"user-agent": "<script>alert(1)</script>"})
    issuer.journal.add("verdict", "refused: expired", verdict="refused")
    found, last = listed(console, 0)
    assert found == ["refused: expired", "200"]
    assert listed(console, last) == ([], last)
    issuer.rotate()
    assert len(listed(console, last)[0]) == 1
    page = console.get("/").text
    assert 'class="verdicts bad"' in page
    assert "<script>alert" not in page
    assert page.count("<time") == 3


def line(console: TestClient, entry: Entry) -> tuple[str, ...]:
    """Class, kind, summary and details of the one line after the entries before *entry*."""
    page = console.get(f"/events?since={entry.number - 1}").text
    found = re.search(
        r'<li class="[\w-]+ ?(\w*)"><time.*?<b>(.*?)</b> <span>(.*?)(?: <small>(.*?)</small>)?</span>', page, re.S
    )
    assert found is not None
    return tuple(html.unescape(each or "") for each in found.groups())


@pytest.mark.parametrize(("kind", "summary", "details", "shown"), [
    ("token_issued", "token issued to Shop", {"grant": "x"}, ("good", "token issued", "to Shop", "grant x")),
    ("keys_fetched", "keys fetched: 500", {"answer": "500"}, ("bad", "keys asked for", "500", "")),
    ("verdict", "api (1) cannot tell", {"verdict": "cannot_tell"}, ("bad", "verdict", "api (1) cannot tell", "")),
    ("verdict", "api (1) failed", {"verdict": "keys_failed"}, ("bad", "verdict", "api (1) failed", "")),
    ("verdict", "api (1) refused", {"verdict": "refused", "fingerprint": "0a1b", "hint": "mend it"},
     ("bad", "verdict", "api (1) refused", "mend it · fingerprint 0a1b")),
    ("verdict", f"api (1) verified a token of {SAMPLE_USERS[0].id}",
     {"verdict": "verified", "subject": SAMPLE_USERS[0].id, "client": "somebody"},
     ("good", "verdict", "api (1) verified a token of Ada Lovelace", "client somebody")),
])  # fmt: skip
def test_a_line_says_what_one_needs_to_know(
    console: TestClient, issuer: LocalIssuer, kind: str, summary: str, details: dict[str, str], shown: tuple[str, ...]
) -> None:
    """Once, with names for ids, advice first, and what went wrong in red."""
    assert line(console, issuer.journal.add(kind, summary, **details)) == shown


def test_a_page_that_outlives_its_local_kinde_is_told_so(console: TestClient, issuer: LocalIssuer) -> None:
    """Even if as much has happened since as before."""
    found = re.search(r'hx-get="(/events\?[^"]*)"', console.get("/").text)
    assert found is not None
    asked = html.unescape(found[1])
    assert console.get(asked).status_code == 204
    answer = visitor(Console(issuer)).get(asked)
    assert notice(answer).startswith("This page is from an earlier run of the local Kinde: load it again.")
    assert answer.headers["hx-retarget"] == "#events"


def test_a_list_does_not_grow_for_ever(console: TestClient, issuer: LocalIssuer) -> None:
    for number in range(SHOWN + 2):
        issuer.journal.add("made_up", str(number))
    answer = console.get("/events?since=1")
    assert (answer.headers["hx-retarget"], answer.headers["hx-reswap"]) == ("#events", "innerHTML")
    assert answer.text.count("<time") == SHOWN
    assert "hx-retarget" not in console.get(f"/events?since={SHOWN + 1}").headers


@pytest.mark.parametrize("since", ["9999", "x", "-1", "9" * 100, "٣"])
def test_a_page_of_an_earlier_run_begins_its_list_anew(console: TestClient, issuer: LocalIssuer, since: str) -> None:
    issuer.rotate()
    assert console.get("/events", params={"since": since}).text.count("<time") == 1


# Signing in


def sign_in(console: TestClient, issuer: LocalIssuer, **parameters: str) -> Any:
    usual = {
        "client_id": issuer.front_end_app.client_id, "response_type": "code", "scope": "openid", "state": "s",
        "redirect_uri": "http://127.0.0.1:5173/back", "code_challenge": "a" * 43, "code_challenge_method": "S256",
    }  # fmt: skip
    return console.get("/oauth2/auth", params={**usual, **parameters})


def people(page: Any) -> list[tuple[str, str]]:
    return re.findall(r'name="user" value="(\w+)">\s*<input type="hidden" name="org_code" value="(\w*)"', page.text)


def test_people_are_chosen_on_a_page(console: TestClient, issuer: LocalIssuer) -> None:
    page = sign_in(console, issuer, audience=issuer.audience)
    policy = page.headers["content-security-policy"]
    assert "form-action 'self' http://127.0.0.1:5173;" in policy
    assert "unsafe" not in policy
    ada, grace, alan = (user.id for user in SAMPLE_USERS)
    issuer.suspend(SAMPLE_USERS[2])
    assert SAMPLE_USERS[2].id not in dict(people(sign_in(console, issuer)))
    issuer.restore(SAMPLE_USERS[2])
    assert people(page) == [
        (ada, "org_8ed648340ea9"), (grace, "org_8ed648340ea9"), (grace, "org_ba4a2311eb1"), (alan, ""),
    ]  # fmt: skip
    found = re.search(r'name="sign_in" value="([^"]+)"', page.text)
    assert found is not None
    data = {"sign_in": found[1], "user": grace, "org_code": "org_ba4a2311eb1"}
    answer = console.post("/oauth2/auth", data=data, headers={"origin": URL})
    assert answer.status_code == 303
    assert answer.headers["location"].startswith("http://127.0.0.1:5173/back?")
    assert "code=" in answer.headers["location"]


def test_who_is_hinted_at_comes_first_and_who_is_not_in_the_organization_not_at_all(
    console: TestClient, issuer: LocalIssuer
) -> None:
    _, grace, alan = (user.id for user in SAMPLE_USERS)
    assert people(sign_in(console, issuer, login_hint="alan@example.com"))[0] == (alan, "")
    assert people(sign_in(console, issuer, org_code="org_ba4a2311eb1")) == [(grace, "org_ba4a2311eb1")]


@pytest.mark.parametrize(("uri", "source"), [
    ("https://shop.example.com/back", "https://shop.example.com"),
    ("https://user@shop.example.com:8443/back", "https://shop.example.com:8443"),
    ("http://[::1]:5173/back", "http:"),
    ("com.example.app:/back;script-src", "com.example.app:"),
    ("https://shop.example.com;script-src/back", ""),
    ("https://[/", ""),
])  # fmt: skip
def test_a_redirect_uri_adds_its_origin_to_the_policy_and_nothing_else(uri: str, source: str) -> None:
    assert destination(uri) == source


# Without the extra


WITHOUT_JINJA = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "jinja2":
            raise ModuleNotFoundError("No module named jinja2", name="jinja2")

sys.meta_path.insert(0, Missing())
"""


def test_without_jinja_the_local_kinde_runs_and_says_what_the_console_needs() -> None:
    code = """
from kinde_guard.cli.dev import console, greeting
from kinde_guard.issuer import LocalIssuer
issuer = LocalIssuer("http://127.0.0.1:9400")
print(console(issuer, issuer.asgi))
print(greeting(issuer, has_console=False))
try:
    from kinde_guard.console import Console
except ImportError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_JINJA + code], capture_output=True, text=True, timeout=LONG, check=False
    )
    lines = done.stdout.splitlines()
    assert lines[:3] == [
        "None",
        "A local Kinde: http://127.0.0.1:9400 (for this machine alone; Ctrl-C ends it)",
        "For a console in the browser: pip install 'kinde-guard[dev]'",
    ]
    assert lines[-1] == "kinde_guard.console needs Jinja2 and Starlette: pip install 'kinde-guard[dev]'"


def test_with_it_the_first_line_is_the_link(issuer: LocalIssuer) -> None:
    assert dev.greeting(issuer).startswith("A local Kinde and its console: http://127.0.0.1:9400 ")


def test_verdicts_are_not_listed_in_the_terminal_too(capsys: pytest.CaptureFixture[str]) -> None:
    """Unless one is refused."""
    for path, status in (("/_local/verdicts", 200), ("/_local/verdicts", 400), ("/oauth2/token", 200)):
        dev._list("POST", path, status)
    shown = [text.split("  ", 1)[1] for text in capsys.readouterr().err.splitlines()]
    assert shown == ["400  POST /_local/verdicts", "200  POST /oauth2/token"]


def test_the_whole_of_it_over_a_socket(address: str) -> None:
    """A guarded API refuses what the console mints, and lets in what is good."""
    with served(_Late(), lifespan="off") as host:
        issuer = LocalIssuer(f"http://{host}", key=KEY)
        _Late.app = Console(issuer)
        with served(protected_api(Guard(issuer.url, audience=issuer.audience)), lifespan="off") as guarded:
            console = TestClient(_Late.app, base_url=issuer.url, client=("127.0.0.1", 1))
            token = token_in(post(console, "/mint/preset", preset="m2m"))
            assert "200 OK" in send(console, issuer, f"http://{guarded}/users", token=token).text
            page = send(console, issuer, f"http://{guarded}/users", token=issuer.preset("expired"))
            assert notice(page) == "Sent: 401 Unauthorized: The access token has expired."


class _Late:
    """An app that is known only when its address is."""

    app: Any

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app(scope, receive, send)
