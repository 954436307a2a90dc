"""The local Kinde's webhooks, over real sockets: what is sent, when it is sent again, and all that can be wrong."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
import pytest
from fastapi import FastAPI
from flask import Flask
from helpers import fork
from servers import served
from waiting import LONG, until
from werkzeug.serving import make_server

import kinde_guard.fastapi
import kinde_guard.flask
from kinde_guard import ConfigurationError
from kinde_guard.issuer import WEBHOOK_FAULTS, LocalIssuer, Membership, SigningKey, User, Webhook
from kinde_guard.issuer.webhook_events import TYPES
from kinde_guard.issuer.webhooks import LATER, RETRY_AFTER
from kinde_guard.testing import guard_for
from kinde_guard.webhooks import TYPES as KNOWN
from kinde_guard.webhooks import (
    InvalidWebhook,
    OrganizationDeleted,
    UserCreated,
    UserDeleted,
    UserMembership,
    UserUpdated,
    WebhookEvent,
    WebhookReader,
)

NOW = 1_751_200_000.0
HOUR = 3_600


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


class Receiver:
    """A bare HTTP server that answers as it is told, and notes what it gets."""

    def __init__(self) -> None:
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.statuses: list[int] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:  # as http.server wants it
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.got.append(({name.lower(): value for name, value in self.headers.items()}, body))
                self.send_response(outer.statuses.pop(0) if outer.statuses else 200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook?a=b"

    @property
    def claims(self) -> list[dict[str, Any]]:
        """What was told, read without the package."""
        return [jwt.decode(body, options={"verify_signature": False}) for _, body in self.got]

    @property
    def types(self) -> list[str]:
        return [claims["type"] for claims in self.claims]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    thread = threading.Thread(target=receiver.server.serve_forever, args=(0.01,))
    thread.start()
    yield receiver
    receiver.server.shutdown()
    thread.join()
    receiver.server.server_close()


@pytest.fixture(scope="module")
def key() -> SigningKey:
    return SigningKey.make()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def issuer(key: SigningKey, clock: Clock) -> LocalIssuer:
    return LocalIssuer("http://127.0.0.1:9400", clock=clock, key=key)


@pytest.fixture
def ada(issuer: LocalIssuer) -> User:
    return issuer.registry.users[0]


def sent(issuer: LocalIssuer) -> None:
    assert issuer.flush_webhooks(LONG)


def test_the_form_of_it(issuer: LocalIssuer, receiver: Receiver, ada: User, key: SigningKey) -> None:
    """Kinde's headers; the body is a JWT by the key that signs tokens, and says neither whose it is nor until when."""
    issuer.add_webhook(receiver.url)
    issuer.suspend(ada)
    sent(issuer)
    [(headers, body)] = receiver.got
    assert headers["content-type"] == "application/jwt"
    assert headers["webhook-id"].startswith("wh_")
    claims = jwt.decode(body, key.private.public_key(), algorithms=["RS256"])
    assert jwt.get_unverified_header(body.decode()) == {"alg": "RS256", "kid": key.kid, "typ": "JWT"}
    assert set(claims) == {"data", "event_id", "event_timestamp", "source", "timestamp", "type"}
    assert (claims["type"], claims["source"]) == ("user.updated", "admin")
    assert claims["timestamp"] == claims["event_timestamp"] == "2025-06-29T12:26:40+00:00"
    assert claims["data"]["user"]["id"] == ada.id
    assert claims["data"]["user"]["is_suspended"] is True


ENGINES = "org_8ed648340ea9"
ACTS: dict[str, tuple[Callable[[LocalIssuer, User], object], list[type[WebhookEvent]]]] = {
    "suspend": (lambda issuer, ada: issuer.suspend(ada), [UserUpdated]),
    "restore": (lambda issuer, ada: issuer.restore(ada.id), [UserUpdated]),
    "delete_user": (lambda issuer, ada: issuer.delete_user(ada), [UserDeleted]),
    "set_permissions": (lambda issuer, ada: issuer.set_permissions(ada, ENGINES, ["a:b"]), [UserUpdated]),
    "set_roles": (lambda issuer, ada: issuer.set_roles(ada.id, ENGINES, []), [UserUpdated]),
    "add_user": (lambda issuer, ada: issuer.add_user(User("kp_new", "N", "N", "n@example.com")), [UserCreated]),
    "change": (lambda issuer, ada: issuer.add_user(User(ada.id, "N", "N", "n@example.com")), [UserUpdated]),
    "delete_organization": (lambda issuer, ada: issuer.delete_organization(ENGINES), [OrganizationDeleted]),
    "sign_out_everywhere": (lambda issuer, ada: issuer.sign_out_everywhere(ada), []),
}


@pytest.mark.parametrize("act", ACTS)
def test_each_act_has_kindes_event(issuer: LocalIssuer, receiver: Receiver, ada: User, act: str) -> None:
    issuer.add_webhook(receiver.url)
    do, kinds = ACTS[act]
    do(issuer, ada)
    sent(issuer)
    reader = WebhookReader(guard=guard_for(issuer))
    events = [reader.read(body) for _, body in receiver.got]
    assert [type(event) for event in events] == kinds
    for event in events:
        assert (event.time, event.issuer) == (NOW, issuer.url)
        if isinstance(event, UserUpdated | UserDeleted):
            assert event.user_id == ada.id
        if isinstance(event, OrganizationDeleted):
            assert event.organization_code == ENGINES


def test_what_an_event_of_a_user_says(issuer: LocalIssuer, receiver: Receiver, ada: User) -> None:
    issuer.add_webhook(receiver.url)
    issuer.set_permissions(ada, ENGINES, [])
    issuer.set_roles(ada, ENGINES, ["clerk"])
    issuer.suspend(ada)
    sent(issuer)
    first, _, last = receiver.claims
    assert first["data"]["user"]["organizations"][0]["permissions"] is None  # Kinde's word for none
    event = WebhookReader(guard=guard_for(issuer)).read(receiver.got[-1][1])
    assert isinstance(event, UserUpdated)
    assert event.user.is_suspended
    assert event.user.organizations == (UserMembership(ENGINES, ("clerk",)),)
    assert issuer.registry.user(ada.id) == User(
        ada.id, ada.given_name, ada.family_name, ada.email,
        (Membership(ENGINES, "Analytical Engines", ("clerk",), ()),), ada.feature_flags, is_suspended=True,
    )  # fmt: skip
    assert last["event_id"] != first["event_id"]


def test_who_wants_which(issuer: LocalIssuer, receiver: Receiver, ada: User) -> None:
    every, some = issuer.add_webhook(receiver.url), issuer.add_webhook(receiver.url, ["user.deleted"])
    assert issuer.webhooks.all == (every, some)
    issuer.suspend(ada)
    sent(issuer)
    assert receiver.types == ["user.updated"]
    issuer.delete_user(ada)
    sent(issuer)
    assert receiver.types[1:] == ["user.deleted"] * 2
    assert receiver.claims[1]["event_id"] == receiver.claims[2]["event_id"]
    assert len({headers["webhook-id"] for headers, _ in receiver.got}) == 3
    issuer.remove_webhook(every)
    issuer.delete_organization(ENGINES)
    sent(issuer)
    assert len(receiver.got) == 3


def test_every_type_of_kindes_has_a_sample(issuer: LocalIssuer) -> None:
    """And each is read as what it is."""
    assert set(TYPES) == set(KNOWN)
    reader = WebhookReader(guard=guard_for(issuer))
    for kind in TYPES:
        assert type(reader.read(issuer.webhook_jwt(kind).encode())) is KNOWN[kind]
    assert type(reader.read(issuer.webhook_jwt("something.new").encode())) is WebhookEvent


class TestRetries:
    def test_again_and_again_for_36_hours(
        self, issuer: LocalIssuer, receiver: Receiver, ada: User, clock: Clock
    ) -> None:
        """docs.kinde.com/integrate/webhooks/about-webhooks, by the clock of the issuer."""
        issuer.add_webhook(receiver.url)
        receiver.statuses = [503] * 100
        issuer.suspend(ada)
        sent(issuer)
        assert len(receiver.got) == 2  # the second attempt is made at once
        moments = []
        for wait in (*RETRY_AFTER[1:], LATER, LATER):
            clock.now += wait - 1
            sent(issuer)
            made = len(receiver.got)
            clock.now += 1
            sent(issuer)
            assert len(receiver.got) == made + 1
            moments.append(clock.now - NOW)
        assert moments[-1] <= 36 * HOUR
        clock.now += 10 * LATER
        sent(issuer)
        assert len(receiver.got) == made + 1
        assert issuer.webhooks.waiting == 0
        assert len({headers["webhook-id"] for headers, _ in receiver.got}) == 1
        assert len({body for _, body in receiver.got}) == 1
        assert "given up" in issuer.journal.since()[-1].summary

    @pytest.mark.parametrize("status", [201, 204, 301, 400, 401, 404, 500])
    def test_200_alone_will_do(self, issuer: LocalIssuer, receiver: Receiver, ada: User, status: int) -> None:
        issuer.add_webhook(receiver.url)
        receiver.statuses = [status]
        issuer.suspend(ada)
        sent(issuer)
        assert len(receiver.got) == 2
        assert issuer.webhooks.waiting == 0

    def test_nobody_listens(self, issuer: LocalIssuer, ada: User) -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            issuer.add_webhook(f"http://127.0.0.1:{taken.getsockname()[1]}")
            issuer.suspend(ada)
            sent(issuer)
        assert issuer.webhooks.waiting == 1
        failed = [entry for entry in issuer.journal.since() if entry.kind == "webhook_failed"]
        assert [entry.details["answer"] for entry in failed] == ["ConnectionRefusedError"] * 2

    def test_switched_off_after_72_hours(
        self, issuer: LocalIssuer, receiver: Receiver, ada: User, clock: Clock
    ) -> None:
        issuer.add_webhook(receiver.url)
        receiver.statuses = [500] * 100
        for _ in range(4):
            issuer.suspend(ada)
            sent(issuer)
            clock.now += 25 * HOUR
        sent(issuer)
        assert issuer.webhooks.all == ()
        assert any(entry.kind == "webhook_disabled" for entry in issuer.journal.since())

    def test_one_success_begins_the_72_hours_anew(
        self, issuer: LocalIssuer, receiver: Receiver, ada: User, clock: Clock
    ) -> None:
        webhook = issuer.add_webhook(receiver.url)
        for statuses in ([500, 500], [200], [500, 500]):
            receiver.statuses = statuses
            issuer.suspend(ada)
            sent(issuer)
            clock.now += 40 * HOUR
        assert issuer.webhooks.all == (webhook,)

    def test_a_forked_child_sends_nothing(self, issuer: LocalIssuer, receiver: Receiver, ada: User) -> None:
        issuer.add_webhook(receiver.url)
        receiver.statuses = [500, 500]
        issuer.suspend(ada)
        sent(issuer)
        child = fork()
        if child == 0:
            os._exit(issuer.webhooks.waiting)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert issuer.webhooks.waiting == 1


class TestFaults:
    def reasons(self, issuer: LocalIssuer, receiver: Receiver) -> list[str]:
        reader = WebhookReader(guard=guard_for(issuer))
        found = []
        for _, body in receiver.got:
            try:
                found.append(reader.read(body).type)
            except InvalidWebhook as refused:
                found.append(refused.reason)
        return found

    @pytest.mark.parametrize(("fault", "expected"), [
        (None, ["user.updated"]), ("late", ["user.updated"]), ("twice", ["user.updated"] * 2),
        ("forged", ["bad_signature"]), ("other_tenant", ["unknown_key"]), ("unsigned", ["unsupported_algorithm"]),
    ])  # fmt: skip
    def test_each(
        self, issuer: LocalIssuer, receiver: Receiver, ada: User, fault: str | None, expected: list[str]
    ) -> None:
        issuer.add_webhook(receiver.url)
        issuer.webhook_fault = fault
        issuer.suspend(ada)
        sent(issuer)
        assert self.reasons(issuer, receiver) == expected
        assert issuer.webhook_fault == fault

    def test_late_is_36_hours_old(self, issuer: LocalIssuer, receiver: Receiver, ada: User) -> None:
        issuer.add_webhook(receiver.url)
        issuer.webhook_fault = "late"
        issuer.suspend(ada)
        sent(issuer)
        event = WebhookReader(guard=guard_for(issuer)).read(receiver.got[0][1])
        assert event.time == NOW - 36 * HOUR + 60

    def test_twice_is_one_event_and_one_request(self, issuer: LocalIssuer, receiver: Receiver, ada: User) -> None:
        issuer.add_webhook(receiver.url)
        issuer.webhook_fault = "twice"
        issuer.suspend(ada)
        sent(issuer)
        assert len({(headers["webhook-id"], body) for headers, body in receiver.got}) == 1

    def test_out_of_order(self, issuer: LocalIssuer, receiver: Receiver, ada: User, clock: Clock) -> None:
        issuer.add_webhook(receiver.url)
        issuer.webhook_fault = "out_of_order"
        issuer.suspend(ada)
        sent(issuer)
        assert (receiver.got, issuer.webhooks.waiting) == ([], 1)
        clock.now += 1
        issuer.restore(ada)
        sent(issuer)
        told = [claims["data"]["user"]["is_suspended"] for claims in receiver.claims]
        assert told == [False, True]
        issuer.suspend(ada)
        issuer.webhook_fault = None
        sent(issuer)
        assert len(receiver.got) == 3

    def test_it_is_written_down(self, issuer: LocalIssuer) -> None:
        for name in WEBHOOK_FAULTS:
            issuer.webhook_fault = name
            assert WEBHOOK_FAULTS[name] in issuer.journal.since()[-1].summary
        issuer.webhook_fault = None
        assert issuer.journal.since()[-1].kind == "healed"

    def test_unknown(self, issuer: LocalIssuer) -> None:
        with pytest.raises(ConfigurationError, match="out_of_order"):
            issuer.webhook_fault = "wrong"


class TestRefused:
    @pytest.mark.parametrize("url", [
        "", "x", "ftp://a.example/b", "http://", "http://user:word@a.example/", "http://a.example/a b",
        "http://a.example:99999/", "http://[::1/", "//a.example/b", 1, None, "http://a.example/\r\nX: y", "http://ä.example/",
    ], ids=repr)  # fmt: skip
    def test_urls(self, issuer: LocalIssuer, url: Any) -> None:
        with pytest.raises(ConfigurationError, match="http or https URL"):
            issuer.add_webhook(url)

    @pytest.mark.parametrize(("types", "words"), [("user.deleted", "into a list"), (["user.gone"], "no event type")])
    def test_types(self, issuer: LocalIssuer, types: Any, words: str) -> None:
        with pytest.raises(ConfigurationError, match=words):
            issuer.add_webhook("http://127.0.0.1:1/", types)

    @pytest.mark.parametrize("act", ["suspend", "restore", "delete_user", "sign_out_everywhere"])
    def test_nobody(self, issuer: LocalIssuer, act: str) -> None:
        with pytest.raises(ConfigurationError, match="no user 'kp_nobody'"):
            getattr(issuer, act)("kp_nobody")

    def test_no_member(self, issuer: LocalIssuer, ada: User) -> None:
        with pytest.raises(ConfigurationError, match="not in the organization"):
            issuer.set_permissions(ada, "org_other", [])


def test_nobody_is_told_where_there_is_no_webhook(issuer: LocalIssuer, ada: User) -> None:
    issuer.suspend(ada)
    assert issuer.webhooks.waiting == 0
    assert issuer.flush_webhooks(0)


@contextlib.contextmanager
def served_flask(app: Flask) -> Iterator[str]:
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"127.0.0.1:{server.port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize("framework", ["fastapi", "flask"])
def test_to_an_app_over_sockets(framework: str, key: SigningKey, ada: User) -> None:
    """By the clock of this machine: from the act to what the app does with it."""
    issuer, told = LocalIssuer(key=key), list[WebhookEvent]()
    options: Any = {"guard": guard_for(issuer), "webhooks": "/webhooks/kinde", "on_event": told.append}
    if framework == "fastapi":
        app: Any = FastAPI()
        kinde_guard.fastapi.KindeGuard(app, **options)
    else:
        app = Flask("app")
        kinde_guard.flask.KindeGuard(app, **options)
    with (served if framework == "fastapi" else served_flask)(app) as address:
        issuer.add_webhook(f"http://{address}/webhooks/kinde")
        issuer.suspend(ada)
        until(lambda: told)
        issuer.delete_user(ada)
        sent(issuer)
        assert [type(event) for event in told] == [UserUpdated, UserDeleted]
        for fault in ("forged", "other_tenant", "unsigned"):
            issuer.webhook_fault = fault
            issuer.delete_organization(ENGINES)
            sent(issuer)
        assert len(told) == 2
    assert isinstance(issuer.webhooks.all[0], Webhook)
    assert "400" in json.dumps([entry.as_json() for entry in issuer.journal.since()])
