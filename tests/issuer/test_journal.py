"""What a local Kinde writes down for people to read: what it was asked, what was done to it, what guards say."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from helpers import Time, mint
from waiting import LONG

from kinde_guard.cli.serving import listen, serving, url_of
from kinde_guard.issuer import LocalIssuer, Request, SigningKey
from kinde_guard.issuer.journal import Entry, Journal
from kinde_guard.net.verdict_reporter import MAX_LENGTHS

JWKS, DISCOVERY, TOKEN = "/.well-known/jwks", "/.well-known/openid-configuration", "/oauth2/token"
VERDICTS, EVENTS = "/_local/verdicts", "/_local/events"
FORM = {"content-type": "application/x-www-form-urlencoded"}
KEY = SigningKey.make()


@pytest.fixture
def issuer() -> LocalIssuer:
    return LocalIssuer(key=KEY)


@pytest.fixture(scope="module")
def kinde() -> Iterator[LocalIssuer]:
    """Served on loopback."""
    with listen(0) as sock:
        issuer = LocalIssuer(url_of(sock), key=KEY)
        with serving(issuer.asgi, sock):
            yield issuer


@pytest.fixture
def client(kinde: LocalIssuer) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=kinde.url, trust_env=False) as client:
        yield client


def told(journal: Journal, since: int = 0) -> list[tuple[str, str]]:
    return [(entry.kind, entry.summary) for entry in journal.since(since)]


def details(journal: Journal) -> dict[str, Any]:
    """Of the newest entry."""
    return dict(journal.since(journal.last - 1)[0].details)


# The journal


def test_entries_are_numbered_and_dated() -> None:
    time = Time()
    journal = Journal(lambda: time.wall)
    assert (journal.last, journal.since()) == (0, ())
    first = journal.add("rotated", "signs with another key", kid="a")
    time.passes(5)
    second = journal.add("down", "nobody answers any more")
    assert first == Entry(1, time.wall - 5, "rotated", "signs with another key", {"kid": "a"})
    assert (second.number, second.time) == (2, time.wall)
    assert journal.since() == (first, second)
    assert (journal.since(1), journal.since(2), journal.since(99)) == ((second,), (), ())
    assert journal.last == 2


def test_the_oldest_entries_are_forgotten() -> None:
    journal = Journal(lambda: 0.0)
    for number in range(1_500):
        journal.add("verdict", str(number))
    assert [entry.number for entry in journal.since()] == list(range(501, 1_501))
    assert [entry.summary for entry in journal.since(1_498)] == ["1498", "1499"]


def test_threads_may_add_while_others_read() -> None:
    journal, over = Journal(lambda: 0.0), threading.Event()

    def read() -> None:
        while not over.is_set():
            numbers = [entry.number for entry in journal.since()]
            assert numbers == list(range(numbers[0], numbers[0] + len(numbers))) if numbers else True
        read_well.append(True)

    read_well: list[bool] = []
    reader = threading.Thread(target=read)
    reader.start()
    adders = [threading.Thread(target=lambda: [journal.add("up", "") for _ in range(500)]) for _ in range(4)]
    for thread in adders:
        thread.start()
    for thread in adders:
        thread.join(LONG)
    over.set()
    reader.join(LONG)
    assert journal.last == 2_000
    assert read_well == [True]


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ("plain", "plain"),
        ("two\nlines\x1b[31m and a \u202ecolour", "two lines [31m and a  colour"),
        ("x" * 301, "x" * 299 + "…"),
        ("y" * 100_000, "y" * 299 + "…"),
        (f"Bearer {mint()}!", "Bearer (a token)!"),
        (mint().rpartition(".")[0], "(a token)"),
        (["a\n", mint()], ["a ", "(a token)"]),
        (("a",) * 60, ["a"] * 50),
        (7, 7),
        (0.5, 0.5),
        (True, True),
        (None, None),
        (b"bytes", "b'bytes'"),
        ({"a": 1}, ["a"]),
    ],
    ids=lambda value: ascii(value)[:30],
)
def test_what_is_written_down_is_bounded_and_no_token(value: object, kept: object) -> None:
    """It ends up on a page and in JSON."""
    entry = Journal(lambda: 0.0).add("other", str(value), given=value)
    assert entry.details["given"] == kept
    assert len(entry.summary) <= 300
    assert mint().split(".")[1] not in json.dumps(entry.as_json())
    with pytest.raises(TypeError):
        entry.details["given"] = 1  # type: ignore[index]


# What it was asked


@pytest.mark.parametrize(
    ("method", "path", "entry"),
    [
        ("GET", JWKS, ("keys_fetched", "keys fetched: 200")),
        ("HEAD", f"{JWKS}.json", ("keys_fetched", "keys fetched: 200")),
        ("GET", DISCOVERY, ("discovery_fetched", "discovery fetched: 200")),
        ("OPTIONS", JWKS, None),
        ("POST", JWKS, None),
        ("GET", "/", None),
        ("GET", TOKEN, None),
    ],
)
def test_fetches(issuer: LocalIssuer, method: str, path: str, entry: tuple[str, str] | None) -> None:
    issuer.answer(Request(method, path, {"user-agent": "kinde_guard"}))
    assert told(issuer.journal) == ([] if entry is None else [entry])
    if entry is not None:
        assert details(issuer.journal) == {"path": path, "answer": "200", "user_agent": "kinde_guard"}


@pytest.mark.parametrize(
    ("fault", "answer"),
    [
        ("server_error", "500"),
        ("html", "200"),
        ("hanging", "hanging"),
        ("wrong_tls_name", "wrong tls name"),
        ("truncated", "cut"),
    ],
)
def test_a_fetch_from_one_that_is_broken(issuer: LocalIssuer, fault: str, answer: str) -> None:
    """What goes out is written down, not what should have."""
    with issuer.broken(fault):
        issuer.answer(Request("GET", JWKS))
    assert ("keys_fetched", f"keys fetched: {answer}") in told(issuer.journal)


def test_a_fetch_from_one_that_is_down(issuer: LocalIssuer) -> None:
    issuer.down = True
    assert issuer.answer(Request("GET", JWKS)) is None
    assert issuer.answer(Request("POST", TOKEN, FORM, b"grant_type=client_credentials")) is None
    issuer.down = issuer.down
    issuer.down = False
    assert told(issuer.journal) == [
        ("down", "nobody answers any more"),
        ("keys_fetched", "keys fetched: down"),
        ("token_refused", "token refused to an unknown client: down"),
        ("up", "answers again"),
    ]


def request(issuer: LocalIssuer, headers: dict[str, str] | None = None, **form: str) -> Request:
    fields = {"grant_type": "client_credentials", "client_id": issuer.app.client_id, **form}
    return Request("POST", TOKEN, {**FORM, **(headers or {})}, str(httpx.QueryParams(fields)).encode())


def basic(text: str) -> dict[str, str]:
    return {"authorization": f"Basic {base64.b64encode(text.encode()).decode()}"}


def test_a_token_that_was_issued(issuer: LocalIssuer) -> None:
    secret = issuer.app.client_secret
    answer = issuer.answer(request(issuer, client_secret=secret, audience=issuer.audience, scope="read:users"))
    assert answer is not None
    token = json.loads(answer.body)["access_token"]
    assert told(issuer.journal) == [("token_issued", "token issued to Sample machine-to-machine app")]
    assert details(issuer.journal) == {
        "grant": "client_credentials",
        "client_id": issuer.app.client_id,
        "audience": [issuer.audience],
        "scopes": ["read:users"],
        "fingerprint": hashlib.sha256(token.encode()).hexdigest()[:12],
        "answer": "200",
    }
    issuer.answer(request(issuer, basic(f"{issuer.app.client_id}:{secret}"), client_id=""))
    assert details(issuer.journal)["client_id"] == issuer.app.client_id
    assert secret not in repr(issuer.journal.since())


@pytest.mark.parametrize(
    ("form", "headers", "error", "known"),
    [
        ({"client_secret": "Wr0ng"}, {}, "invalid_client", True),
        ({"client_id": "Wr0ng", "client_secret": "x"}, {}, "invalid_client", False),
        ({"client_id": "Wr0ng", "scope": mint()}, {}, "invalid_client", False),
        ({}, basic("Wr0ng:Wr0ng"), "invalid_client", False),
        ({}, {"authorization": "Basic Wr0ng!"}, "invalid_client", True),
        ({}, {"authorization": "Bearer Wr0ng"}, "invalid_client", True),
        ({"grant_type": "password", "password": "Wr0ng"}, {}, "invalid_request", True),
        ({}, {"content-type": "text/plain"}, "invalid_request", True),
        ({"x": "Wr0ng" * 20_000}, {}, "invalid_request", False),
    ],
)
def test_a_token_that_was_refused(
    issuer: LocalIssuer, form: dict[str, str], headers: dict[str, str], error: str, known: bool
) -> None:
    """With the reason, and nothing that might be a secret: of a client that is not known not even its id."""
    issuer.answer(request(issuer, headers, **form))
    name = "Sample machine-to-machine app" if known else "an unknown client"
    assert told(issuer.journal) == [("token_refused", f"token refused to {name}: {error}")]
    found = details(issuer.journal)
    assert found["error"] == error
    assert found.get("client_id") == (issuer.app.client_id if known else None)
    assert found["hint"]
    assert "Wr0ng" not in repr(issuer.journal.since())
    assert mint()[:40] not in repr(issuer.journal.since())


def test_who_is_not_known_says_nothing_to_people(issuer: LocalIssuer) -> None:
    """Every page of the web may post to the token endpoint, and what it says would be read in the console."""
    issuer.answer(request(issuer, client_id="", audience="Call 555-0100", scope="now " * 40))
    assert details(issuer.journal).keys() == {"grant", "answer", "error", "hint"}
    issuer.answer(request(issuer, client_secret="x", audience="https://other.example.com"))
    assert details(issuer.journal)["audience"] == ["https://other.example.com"]


@pytest.mark.parametrize("body", [b"", b"\xff", b"=&=&client_id", b"&".join([b"a=b"] * 200)])
def test_a_token_request_that_nobody_can_read(issuer: LocalIssuer, body: bytes) -> None:
    issuer.answer(Request("POST", TOKEN, FORM, body))
    assert told(issuer.journal) == [("token_refused", "token refused to an unknown client: invalid_request")]


@pytest.mark.parametrize(
    ("fault", "why"),
    [("not_json", "unreadable"), ("wrong_shape", "unreadable"), ("hanging", "hanging"), ("server_error", "broken")],
)
def test_a_token_that_is_lost_on_its_way(issuer: LocalIssuer, fault: str, why: str) -> None:
    """Nobody has got it: it was not issued."""
    issuer.break_down(fault, "token")
    issuer.answer(request(issuer, client_secret=issuer.app.client_secret))
    assert told(issuer.journal)[1:] == [("token_refused", f"token refused to Sample machine-to-machine app: {why}")]


# What was done to it


def test_keys_and_faults(issuer: LocalIssuer) -> None:
    upcoming = issuer.publish_next()
    issuer.publish(SigningKey.make("ES256", kid="weak"))
    issuer.rotate()
    issuer.withdraw("weak")
    issuer.rotate(hard=True)
    issuer.break_down("hanging", "token", seconds=3)
    issuer.fault = "html"
    issuer.heal("discovery")
    issuer.heal()
    assert [(entry.kind, dict(entry.details)) for entry in issuer.journal.since()] == [
        ("published", {"kid": upcoming.kid, "alg": "RS256"}),
        ("published", {"kid": "weak", "alg": "ES256"}),
        ("rotated", {"kid": upcoming.kid, "hard": False}),
        ("withdrawn", {"kid": "weak"}),
        ("rotated", {"kid": issuer.key.kid, "hard": True}),
        ("broken", {"at": "token", "fault": "hanging", "seconds": 3}),
        ("broken", {"at": "keys", "fault": "html"}),
        ("healed", {"at": "token", "fault": "hanging"}),
        ("healed", {"at": "keys", "fault": "html"}),
    ]


def test_what_was_not_done_is_not_written_down(issuer: LocalIssuer) -> None:
    with pytest.raises(ValueError, match="rotate first"):
        issuer.withdraw(issuer.key.kid)
    with pytest.raises(ValueError, match="no fault"):
        issuer.break_down("nonsense")
    issuer.heal()
    assert told(issuer.journal) == []


def test_an_entry_says_when(issuer: LocalIssuer) -> None:
    """By the issuer's clock, which a fault does not put wrong."""
    time = Time()
    issuer = LocalIssuer(key=KEY, clock=lambda: time.wall)
    issuer.break_down("clock_skewed", seconds=3600)
    issuer.rotate()
    assert [entry.time for entry in issuer.journal.since()] == [time.wall] * 2


# Over HTTP


def verdict(**changes: Any) -> dict[str, Any]:
    base = {"process": "uvicorn", "pid": 7, "verdict": "refused", "reason": "expired", "fingerprint": "0123456789ab"}
    return {**base, **changes}


def test_events_over_http(kinde: LocalIssuer, client: httpx.Client) -> None:
    start = kinde.journal.last
    client.get(JWKS)
    client.post(VERDICTS, json=[verdict(times=3)])
    answer = client.get(EVENTS, params={"since": start})
    assert answer.headers["cache-control"] == "no-store"
    found = answer.json()
    assert found["last"] == start + 2
    assert [(event["number"], event["kind"]) for event in found["events"]] == [
        (start + 1, "keys_fetched"),
        (start + 2, "verdict"),
    ]
    assert found["events"][1]["summary"] == "uvicorn (7) refused: expired (3 times)"
    assert found["events"][1]["details"] == verdict(times=3)
    assert abs(found["events"][1]["time"] - kinde.clock()) < 60
    assert client.get(EVENTS, params={"since": start + 2}).json() == {"last": start + 2, "events": []}
    assert len(client.get(EVENTS).json()["events"]) == len(kinde.journal.since())


@pytest.mark.parametrize("since", ["", "-1", "x", "1.0", "٣", "9" * 16])
def test_since_what(client: httpx.Client, since: str) -> None:
    answer = client.get(EVENTS, params={"since": since})
    assert (answer.status_code, answer.json()["error_description"]) == (400, "since must be the number of an entry.")


@pytest.mark.parametrize(
    ("verdict", "words"),
    [
        (verdict(), "refused: expired"),
        (verdict(verdict="verified", subject="kp_1", times=1), "verified a token of kp_1"),
        (verdict(method="GET", path="/users"), "refused GET /users: expired"),
        (
            verdict(verdict="verified", subject="kp_1", times=1, method="GET", path="/me"),
            "verified a token of kp_1 for GET /me",
        ),
        (verdict(verdict="cannot_tell"), "cannot judge, for want of keys"),
        (verdict(verdict="cannot_tell", method="GET", path="/x"), "cannot judge GET /x, for want of keys"),
        (
            verdict(verdict="cannot_tell", reason="revocations_unavailable"),
            "cannot judge, for want of news of revocations",
        ),
        (verdict(verdict="keys_fetched"), "has fetched the keys"),
        (verdict(verdict="keys_failed", hint="it answered 503"), "could not fetch the keys: it answered 503"),
        (verdict(reason="{process.__class__} {0} %s <b>"), "refused: {process.__class__} {0} %s <b>"),
        (verdict(hint=mint()[:300]), "refused: expired"),
    ],
)
def test_verdicts_in_words(kinde: LocalIssuer, client: httpx.Client, verdict: dict[str, Any], words: str) -> None:
    start = kinde.journal.last
    assert client.post(VERDICTS, json=[verdict]).json() == {"noted": 1}
    assert told(kinde.journal, start) == [("verdict", f"uvicorn (7) {words}")]
    assert mint()[:40] not in repr(kinde.journal.since(start))


NO_LIST = "the body must be a JSON list of at most 100 verdicts."


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (verdict(), NO_LIST),
        ("[]", NO_LIST),
        (7, NO_LIST),
        ([verdict()] * 101, NO_LIST),
        ([[]], "a verdict must be an object with process, pid, verdict."),
        ([{}], "a verdict must be an object with process, pid, verdict."),
        ([{"pid": 1, "verdict": "verified"}], "a verdict must be an object with process, pid, verdict."),
        ([verdict(), verdict(verdict="good")], "verdict must be one of verified, refused, cannot_tell, "),
        ([verdict(verdict=["refused"])], "verdict must be text of at most 20 characters."),
        ([verdict(token="x")], "a verdict has process, verdict, "),
        ([verdict(pid="7")], "pid must be a whole number from 1 to 1000000000."),
        ([verdict(pid=True)], "pid must be a whole number from 1 to 1000000000."),
        ([verdict(pid=0)], "pid must be a whole number from 1 to 1000000000."),
        ([verdict(times=1e9)], "times must be a whole number from 1 to 1000000000."),
        ([verdict(times=10**10)], "times must be a whole number from 1 to 1000000000."),
        ([verdict(scopes=["a"])], "scopes must be text of at most 300 characters."),
        ([verdict(hint=None)], "hint must be text of at most 500 characters."),
        *(
            ([verdict(**{name: "x" * (most + 1)})], f"{name} must be text of at most {most} ")
            for name, most in MAX_LENGTHS.items()
        ),
    ],
)
def test_what_is_no_verdict(kinde: LocalIssuer, client: httpx.Client, body: Any, words: str) -> None:
    """All of a list or nothing is written down, and what was sent is not repeated."""
    start = kinde.journal.last
    answer = client.post(VERDICTS, json=body)
    assert answer.status_code == 400
    assert answer.json()["error_description"].startswith(words)
    assert kinde.journal.last == start


@pytest.mark.parametrize(
    ("content", "content_type", "words"),
    [
        ("[]", "text/plain", "the content type must be application/json."),
        ("[", "application/json", NO_LIST),
        ("[" * 50_000, "application/json", NO_LIST),
        ("[" + " " * 70_000 + "]", "application/json", NO_LIST),
    ],
)
def test_what_cannot_be_read(client: httpx.Client, content: str, content_type: str, words: str) -> None:
    answer = client.post(VERDICTS, content=content, headers={"content-type": content_type})
    assert (answer.status_code, answer.json()["error_description"]) == (400, words)


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "evil.example"},
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"host": "evil.example", "origin": "http://evil.example"},
        {"sec-fetch-site": "cross-site"},
    ],
)
@pytest.mark.parametrize(("method", "path"), [("GET", EVENTS), ("POST", VERDICTS)])
def test_who_may(kinde: LocalIssuer, client: httpx.Client, method: str, path: str, headers: dict[str, str]) -> None:
    """This machine, and no page from elsewhere."""
    start = kinde.journal.last
    answer = client.request(method, path, headers=headers, json=[verdict()] if method == "POST" else None)
    assert answer.status_code == 403
    assert "access-control-allow-origin" not in answer.headers
    assert kinde.journal.last == start


def test_no_page_of_another_origin_makes_a_script_of_it(client: httpx.Client) -> None:
    headers = client.get(EVENTS).headers
    assert (headers["x-content-type-options"], headers["cross-origin-resource-policy"]) == ("nosniff", "same-origin")


@pytest.mark.parametrize(("method", "path", "allowed"), [("POST", EVENTS, "GET"), ("GET", VERDICTS, "POST")])
def test_no_other_method(client: httpx.Client, method: str, path: str, allowed: str) -> None:
    answer = client.request(method, path)
    assert (answer.status_code, answer.headers["allow"]) == (405, allowed)
