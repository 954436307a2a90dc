"""A webhook ends tokens: from the act in Kinde to a 401, over sockets, in one process and in a fleet."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from redis_server import RedisServer
from servers import served
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.testclient import TestClient
from test_webhook_adapters import ADAPTERS, WSGI, Adapter, serving
from waiting import LONG, until
from werkzeug.test import Client

import kinde_guard.fastapi
from kinde_guard.issuer import LocalIssuer, SigningKey, User
from kinde_guard.revocation import Revocations
from kinde_guard.testing import guard_for
from kinde_guard.webhooks import WebhookEvent

PATH = "/webhooks/kinde"
ENGINES = "org_8ed648340ea9"
every_adapter = pytest.mark.parametrize("adapter", ADAPTERS, ids=lambda adapter: adapter.__name__)


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1_751_200_000.0

    def __call__(self) -> float:
        return self.now


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


def asked(address: str, token: str) -> str:
    """``let in``, or why not. One of the apps answers everybody who is let in with 418."""
    answer = httpx.get(f"http://{address}/anything", headers={"Authorization": f"Bearer {token}"}, timeout=LONG)
    return "let in" if answer.status_code in (200, 418) else f"{answer.status_code} {answer.json()['detail']}"


REVOKED = "401 The access token has been revoked."


@every_adapter
class TestOneProcess:
    @pytest.fixture
    def address(self, issuer: LocalIssuer, adapter: Adapter) -> Iterator[str]:
        guard = guard_for(issuer, revocations=Revocations.in_memory())
        with serving(adapter, adapter(guard, public=[], webhooks=PATH)) as address:
            issuer.add_webhook(f"http://{address}{PATH}")
            yield address

    def test_from_suspending_to_401(self, issuer: LocalIssuer, address: str, ada: User, clock: Clock) -> None:
        theirs, others = issuer.user_token(ada.id), issuer.user_token(issuer.registry.users[1].id)
        assert asked(address, theirs) == "let in"
        clock.now += 10
        issuer.suspend(ada)
        assert issuer.flush_webhooks(LONG)
        assert asked(address, theirs) == REVOKED
        assert asked(address, others) == "let in"
        clock.now += 10
        issuer.restore(ada)
        assert issuer.flush_webhooks(LONG)
        assert asked(address, theirs) == REVOKED
        assert asked(address, issuer.user_token(ada.id)) == "let in"

    def test_deleted(self, issuer: LocalIssuer, address: str, ada: User, clock: Clock) -> None:
        theirs, member = issuer.user_token(ada.id), issuer.user_token("kp_another", org_code=ENGINES)
        stranger = issuer.user_token("kp_another", org_code=None)
        clock.now += 10
        issuer.delete_user(ada)
        assert issuer.flush_webhooks(LONG)
        assert (asked(address, theirs), asked(address, member)) == (REVOKED, "let in")
        issuer.delete_organization(ENGINES)
        assert issuer.flush_webhooks(LONG)
        assert (asked(address, member), asked(address, stranger)) == (REVOKED, "let in")

    def test_what_ends_no_token(self, issuer: LocalIssuer, address: str, ada: User, clock: Clock) -> None:
        token = issuer.user_token(ada.id)
        clock.now += 10
        issuer.set_permissions(ada, ENGINES, [])
        issuer.set_roles(ada, ENGINES, [])
        issuer.add_user(User(ada.id, "A", "L", "ada@example.com"))
        issuer.sign_out_everywhere(ada)
        assert issuer.flush_webhooks(LONG)
        assert asked(address, token) == "let in"

    @pytest.mark.parametrize("fault", ["forged", "other_tenant", "unsigned"])
    def test_what_is_not_kindes_ends_no_token(
        self, issuer: LocalIssuer, address: str, ada: User, clock: Clock, fault: str
    ) -> None:
        token = issuer.user_token(ada.id)
        clock.now += 10
        issuer.webhook_fault = fault
        issuer.suspend(ada)
        assert issuer.flush_webhooks(LONG)
        assert asked(address, token) == "let in"

    def test_late_and_twice(self, issuer: LocalIssuer, address: str, ada: User, clock: Clock) -> None:
        """What comes 36 hours after the event touches no newer token; twice is once."""
        old = issuer.user_token(ada.id, lifetime=100 * 3600)
        clock.now += 36 * 3600 - 120
        newer = issuer.user_token(ada.id)
        clock.now += 60
        issuer.webhook_fault = "late"
        issuer.suspend(ada)
        assert issuer.flush_webhooks(LONG)
        assert asked(address, newer) == "let in"
        assert asked(address, old) != "let in"
        issuer.webhook_fault = "twice"
        issuer.suspend(ada)
        assert issuer.flush_webhooks(LONG)
        assert asked(address, newer) == REVOKED

    def test_unordered(self, issuer: LocalIssuer, address: str, ada: User, clock: Clock) -> None:
        """The restoring comes before the suspending that it undoes: what is issued after that lets in all the same."""
        old = issuer.user_token(ada.id)
        issuer.webhook_fault = "out_of_order"
        clock.now += 10
        issuer.suspend(ada)
        clock.now += 10
        issuer.restore(ada)
        assert issuer.flush_webhooks(LONG)
        assert asked(address, old) == REVOKED
        assert asked(address, issuer.user_token(ada.id)) == "let in"


@contextmanager
def fleet(issuer: LocalIssuer, url: str, told: list[WebhookEvent], workers: int = 3) -> Iterator[list[str]]:
    """Workers with a guard each, which share nothing but Redis; gives their addresses."""
    with ExitStack() as stack:
        addresses = []
        for _ in range(workers):
            app = FastAPI()
            app.add_route("/anything", served_to_all)
            guard = guard_for(issuer, revocations=Revocations(url))
            kinde_guard.fastapi.KindeGuard(app, guard=guard, public=[], webhooks=PATH, on_event=told.append)
            addresses.append(stack.enter_context(served(app)))
        yield addresses


async def served_to_all(request: Request) -> Response:
    return PlainTextResponse("served")


class TestFleet:
    """By the clock of this machine: Redis has its own."""

    @pytest.fixture
    def issuer(self, key: SigningKey) -> LocalIssuer:
        return LocalIssuer("http://127.0.0.1:9400", key=key)

    def test_one_worker_is_told_and_all_refuse(self, issuer: LocalIssuer, redis_server: RedisServer, ada: User) -> None:
        told: list[WebhookEvent] = []
        with fleet(issuer, redis_server.url, told) as addresses:
            token = issuer.user_token(ada.id, iat=int(issuer.clock()) - 60)
            assert [asked(address, token) for address in addresses] == ["let in"] * 3
            for address in addresses:  # three webhooks of one tenant's tell each worker of the same event
                issuer.add_webhook(f"http://{address}{PATH}")
            issuer.suspend(ada)
            assert issuer.flush_webhooks(LONG)
            for address in addresses:
                until(lambda address=address: asked(address, token) == REVOKED)  # type: ignore[misc]
        assert [event.type for event in told] == ["user.updated"]  # once for the fleet

    def test_without_redis_kinde_has_to_repeat(self, issuer: LocalIssuer, redis_server: RedisServer, ada: User) -> None:
        told: list[WebhookEvent] = []
        with fleet(issuer, redis_server.url, told, workers=2) as addresses:
            token = issuer.user_token(ada.id, iat=int(issuer.clock()) - 60)
            assert [asked(address, token) for address in addresses] == ["let in"] * 2
            redis_server.kill()
            body = issuer.webhook_jwt("user.deleted").encode()
            answer = httpx.post(f"http://{addresses[0]}{PATH}", content=body, timeout=LONG)
            assert answer.status_code == 503
            assert int(answer.headers["retry-after"]) >= 1
            assert told == []
            redis_server.start()
            until(lambda: httpx.post(f"http://{addresses[0]}{PATH}", content=body, timeout=LONG).status_code == 200)
            for address in addresses:
                until(lambda address=address: asked(address, token) == REVOKED)  # type: ignore[misc]
        assert [event.type for event in told] == ["user.deleted"]


@every_adapter
def test_webhooks_alone_will_do_where_there_are_revocations(issuer: LocalIssuer, adapter: Adapter) -> None:
    app = adapter(guard_for(issuer, revocations=Revocations.in_memory()), webhooks=PATH)
    with ExitStack() as stack:
        client: Any = Client(app) if adapter in WSGI else stack.enter_context(TestClient(app))
        assert client.post(PATH, **{"data" if adapter in WSGI else "content": b"x"}).status_code == 400
