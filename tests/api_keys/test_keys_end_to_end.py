"""API keys of a local Kinde, at apps on real servers that ask it over real sockets: from making one to its end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from threading import Thread
from typing import Any, Literal, NamedTuple

import httpx
import pytest
from fastapi import FastAPI
from flask import Flask
from helpers import Time
from servers import served, served_issuer
from waiting import LONG
from werkzeug.serving import make_server

import kinde_guard.fastapi
import kinde_guard.flask
from kinde_guard import Guard
from kinde_guard.api_keys import ApiKeys
from kinde_guard.issuer import FAULTS, LocalIssuer
from kinde_guard.m2m import ClientCredentials

Framework = Literal["FastAPI", "Flask"]


@dataclass
class House:
    """A house of two real servers: a local Kinde, and an app whose guard asks it about keys."""

    issuer: LocalIssuer
    time: Time
    url: str
    place: Any
    """What holds the app's guard."""

    def move_in(self) -> None:
        """Another process, as it were: nothing is known of any key."""
        self.issuer.heal()
        auth = ClientCredentials(
            self.issuer.url,
            client_id=self.issuer.app.client_id,
            client_secret=self.issuer.app.client_secret,
            audience=self.issuer.management_audience,
            scopes="read:api_keys",
            shared=False,
        )
        api_keys = ApiKeys(auth, api_ids=self.issuer.registry.own_api(self.issuer.audience).id)
        settings: dict[str, Any] = {"clocks": self.time.clocks, "variables": (), "api_keys": api_keys}
        self.place.guard = Guard(self.issuer.url, audience=self.issuer.audience, **settings)

    def key(self, **options: Any) -> str:
        """A new key for reading users."""
        return self.issuer.create_api_key(**{"scopes": ["read:users"], **options}).key

    def ask(self, key: str) -> httpx.Response:
        """What the app answers to whoever has *key*."""
        headers = {"Authorization": f"Bearer {key}"}
        return httpx.get(f"{self.url}/users", headers=headers, timeout=LONG, trust_env=False)


@contextmanager
def on_fastapi() -> Iterator[tuple[str, Any]]:
    app = FastAPI()
    kinde_guard.fastapi.KindeGuard(app)

    @app.get("/users")
    @kinde_guard.fastapi.requires_scope("read:users")
    async def users(token: kinde_guard.fastapi.Token) -> dict[str, Any]:
        return {"subject": token.subject, "org": token.org_code}

    with served(app, lifespan="off") as address:
        yield f"http://{address}", app.state.kinde_guard


@contextmanager
def on_flask() -> Iterator[tuple[str, Any]]:
    app = Flask("app")
    app.config.update(KINDE_DOMAIN="acme.kinde.com", KINDE_AUDIENCE="https://api.acme.com")
    kinde_guard.flask.KindeGuard(app)

    @app.get("/users")
    @kinde_guard.flask.requires_scope("read:users")
    def users() -> dict[str, Any]:
        token = kinde_guard.flask.current_token
        return {"subject": token.subject, "org": token.org_code}

    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", app.extensions["kinde_guard"]
    finally:
        server.shutdown()
        thread.join(LONG)
        server.server_close()


SERVERS: dict[Framework, Any] = {"FastAPI": on_fastapi, "Flask": on_flask}


@pytest.fixture(scope="module", params=SERVERS)
def shared(request: pytest.FixtureRequest) -> Iterator[House]:
    time = Time()
    with ExitStack() as stack:
        issuer = stack.enter_context(served_issuer(clock=time.clocks.wall))
        url, place = stack.enter_context(SERVERS[request.param]())
        yield House(issuer, time, url, place)


@pytest.fixture
def house(shared: House) -> House:
    shared.move_in()
    return shared


def test_a_key_from_its_making_to_its_end(house: House) -> None:
    """Known for a minute after it is revoked, by the clock that is passed in, and then refused with a reason."""
    key, before = house.key(org_code="org_1"), house.issuer.api_key_verifications
    assert [house.ask(key).status_code for _ in range(3)] == [200, 200, 200]
    assert house.issuer.api_key_verifications - before == 1
    assert house.ask(key).json() == {"subject": house.issuer.api_keys[-1].id, "org": "org_1"}
    house.issuer.revoke_api_key(key)
    house.time.passes(59)
    assert house.ask(key).status_code == 200
    house.time.passes(1)
    refused = house.ask(key)
    assert (refused.status_code, refused.headers["www-authenticate"].split('"')[3]) == (401, "invalid_token")
    assert key not in refused.text + str(refused.headers)


def test_a_users_key(house: House) -> None:
    user = house.issuer.registry.users[0]
    assert house.ask(house.key(user=user)).json() == {"subject": user.id, "org": None}


REFUSED: dict[str, tuple[Callable[[House], str], int]] = {
    "made up": (lambda it: "k_live_" + "0" * 32, 401),
    "revoked": (lambda it: _ended(it, it.issuer.revoke_api_key), 401),
    "inactive": (lambda it: _ended(it, it.issuer.deactivate_api_key), 401),
    "rotated away": (lambda it: _ended(it, it.issuer.rotate_api_key), 401),
    "over": (lambda it: it.key(lifetime=0), 401),
    "without the scope": (lambda it: it.key(scopes=[]), 403),
    "of another API": (
        lambda it: it.key(audience=it.issuer.add_api("https://other.example.com", ["read:users"]).audience),
        401,
    ),
}


def _ended(house: House, end: Callable[[str], object]) -> str:
    key = house.key()
    end(key)
    return key


@pytest.mark.parametrize("kind", REFUSED)
def test_who_is_not_let_in(house: House, kind: str) -> None:
    make, status = REFUSED[kind]
    assert house.ask(make(house)).status_code == status


def test_a_key_that_expires_is_not_known_for_longer(house: House) -> None:
    key = house.key(lifetime=30)
    assert house.ask(key).status_code == 200
    house.time.passes(30)
    assert house.ask(key).status_code == 401


def test_our_own_token_lacks_the_scope(house: House) -> None:
    """It is no fault of the caller's; and a key that is known goes on."""
    issuer, known = house.issuer, house.key()
    assert house.ask(known).status_code == 200
    issuer.authorize(issuer.app, issuer.management_audience, [])
    try:
        house.move_in()
        assert house.ask(house.key()).status_code == 503
    finally:
        issuer.authorize(issuer.app, issuer.management_audience, ["read:api_keys"])


class Verdicts(NamedTuple):
    """What an app answers about a good key, while the verification of keys, and while all else about them is broken."""

    verify: int | None
    api_keys: int | None


AWAY = Verdicts(503, 503)
FINE = Verdicts(200, 200)
VERDICTS: dict[str, Verdicts] = {
    "refusing": AWAY,
    "truncated": AWAY,
    "client_error": Verdicts(503, 401),  # 404 to the id of a key: it has been deleted in between
    "server_error": AWAY,
    "rate_limited": AWAY,
    "rate_limited_reset": AWAY,
    "redirect": AWAY,
    "redirect_elsewhere": AWAY,
    "redirect_to_http": AWAY,
    "oversized": AWAY,
    "oversized_unannounced": AWAY,
    "gzip_bomb": AWAY,
    "not_json": AWAY,
    "wrong_shape": AWAY,
    "html": AWAY,
    "wrong_content_type": FINE,
    "wrong_tls_name": AWAY,  # without TLS it hangs up
    "clock_skewed": FINE,
    "token_refused": AWAY,
    "scope_missing": AWAY,
    "unknown_as_401": Verdicts(200, None),
    "valid_yet_revoked": Verdicts(401, None),
    "is_valid_as_text": Verdicts(503, None),
    "scopes_as_text": Verdicts(503, None),
    "no_scopes": Verdicts(403, None),
    "other_key": AWAY,  # whose text ends otherwise
    "other_tenant": Verdicts(401, None),
    "no_api_ids": Verdicts(None, 503),
    "other_api": Verdicts(None, 401),
}
SLOW = ("hanging", "dripping")  # five seconds each


def test_every_fault_of_keys_is_in_the_table() -> None:
    places = {name: fault.places for name, fault in FAULTS.items()}
    of_keys = {name for name, where in places.items() if {"verify", "api_keys"} & set(where)}
    assert {*VERDICTS, *SLOW} == of_keys
    for name, verdicts in VERDICTS.items():
        assert {place for place in verdicts._fields if getattr(verdicts, place) is not None} == {
            place for place in verdicts._fields if place in places[name]
        }


BREAKS = [
    pytest.param(name, place, status, id=f"{name}-{place}")
    for name, verdicts in VERDICTS.items()
    for place, status in verdicts._asdict().items()
    if status is not None
]


@pytest.mark.parametrize("shared", ["FastAPI"], indirect=True)
@pytest.mark.parametrize(("name", "place", "status"), BREAKS)
def test_each_fault(house: House, name: str, place: Any, status: int) -> None:
    """Whoever cannot be judged is told 503 and when to come again; a key that is known goes on; healed, all is well."""
    key, known = house.key(), house.key()
    assert house.ask(known).status_code == 200
    with house.issuer.broken(name, place):
        answer = house.ask(key)
        assert answer.status_code == status
        assert ("retry-after" in answer.headers) == (status == 503)
        assert house.ask(known).status_code == 200
    house.time.passes(3_601)  # which API a key is for is asked once an hour
    assert house.ask(key).status_code == 200


def test_too_many_requests_is_waited_for(house: House) -> None:
    """As long as Kinde says, and Kinde is not asked meanwhile."""
    with house.issuer.broken("rate_limited_reset", "verify", seconds=40):
        assert house.ask(house.key()).headers["retry-after"] == "40"
    before = house.issuer.api_key_verifications
    assert house.ask(house.key()).status_code == 503
    assert house.issuer.api_key_verifications == before
    house.time.passes(41)
    assert house.ask(house.key()).status_code == 200


def test_a_slow_kinde(house: House) -> None:
    """Who is known is served all the same."""
    known = house.key()
    assert house.ask(known).status_code == 200
    with house.issuer.broken("hanging", "verify"):
        house.time.passes(61)
        assert house.ask(known).status_code == 200


def test_kinde_is_down(house: House) -> None:
    known = house.key()
    assert house.ask(known).status_code == 200
    house.issuer.down = True
    try:
        assert house.ask(house.key()).status_code == 503
        house.time.passes(300)
        assert house.ask(known).status_code == 200
        house.time.passes(301)
        assert house.ask(known).status_code == 503
    finally:
        house.issuer.down = False
    house.time.passes(31)
    assert house.ask(known).status_code == 200
