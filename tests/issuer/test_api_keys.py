"""The local Kinde's API keys: made, listed, shown, rotated, revoked and verified as Kinde's Management API does it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from helpers import Time

from kinde_guard import ConfigurationError
from kinde_guard.issuer import FAULTS, LocalIssuer, NewApiKey, Request, SigningKey
from kinde_guard.issuer.tenant import Place

KEYS = "/api/v1/api_keys"
VERIFY = f"{KEYS}/verify"
SCOPES = ("create:api_keys", "read:api_keys", "update:api_keys", "delete:api_keys")
BODIES: list[Any] = [{}, [], "x", {"api_key": None}, {"api_key": 5}, {"api_key": ["k_live_1"]}, {"api_key": ""}]


@pytest.fixture(scope="module")
def key() -> SigningKey:
    return SigningKey.make()


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def issuer(key: SigningKey, time: Time) -> LocalIssuer:
    return LocalIssuer(clock=time.clocks.wall, key=key)


@pytest.fixture
def kinde(issuer: LocalIssuer) -> Iterator[httpx.Client]:
    """The Management API, for an app that may do everything with API keys."""
    issuer.authorize(issuer.app, issuer.management_audience)
    with httpx.Client(transport=issuer.transport, base_url=issuer.url, headers=bearer(management(issuer))) as client:
        yield client


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def management(issuer: LocalIssuer, scope: str | None = None, **options: Any) -> str:
    return issuer.m2m_token(**{"audience": issuer.management_audience, "scope": scope, **options})


def verify(kinde: httpx.Client, text: str) -> dict[str, Any]:
    answer = kinde.post(VERIFY, json={"api_key": text})
    assert answer.status_code == 200
    return dict(answer.json())


def code(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["errors"][0]["code"]


def test_a_users_key_is_verified_in_kindes_words(issuer: LocalIssuer, kinde: httpx.Client) -> None:
    user = issuer.registry.users[0]
    made = issuer.create_api_key("Ada's", scopes=["read:users"], user=user)
    assert re.fullmatch(r"k_live_[0-9a-f]{32}", made.key)
    assert re.fullmatch(r"api_key_[0-9a-f]{32}", made.id)
    assert verify(kinde, made.key) == {
        "code": "API_KEY_VERIFIED",
        "message": "API key verified",
        "is_valid": True,
        "key_id": made.id,
        "status": "active",
        "scopes": ["read:users"],
        "org_code": None,
        "user_id": user.id,
        "last_verified_on": "2025-06-29T12:26:40+00",
        "verification_count": 1,
    }
    assert verify(kinde, made.key)["verification_count"] == 2


def test_the_answer_of_verify_does_not_say_for_which_api_the_key_is_and_that_of_the_key_does(
    issuer: LocalIssuer, kinde: httpx.Client
) -> None:
    other = issuer.add_api("https://other.example.com", ["read:users"])
    made = issuer.create_api_key("Other", audience=other.audience, org_code="org_1")
    assert not any(other.id in str(value) for value in verify(kinde, made.key).values())
    shown = kinde.get(f"{KEYS}/{made.id}").json()["api_key"]
    assert shown == {
        "id": made.id,
        "name": "Other",
        "type": "organization",
        "status": "active",
        "key_prefix": "k_live",
        "key_suffix": made.key[-4:],
        "created_on": "2025-06-29T12:26:40+00",
        "last_verified_on": "2025-06-29T12:26:40+00",
        "last_verified_ip": None,
        "created_by": None,
        "api_ids": [other.id],
        "scopes": ["read:users"],
        "verification_count": 1,
        "organization_id": "org_1",
        "user_id": None,
    }


def test_an_api_keeps_its_id_when_it_gets_other_scopes(issuer: LocalIssuer) -> None:
    before = issuer.registry.apis[0]
    assert issuer.add_api(before.audience, ["read:orders"]).id == before.id


def test_what_is_not_good_is_said_to_be_so(issuer: LocalIssuer, kinde: httpx.Client, time: Time) -> None:
    revoked, inactive, over = (issuer.create_api_key(lifetime=lifetime) for lifetime in (None, None, 60))
    issuer.revoke_api_key(revoked.key)
    issuer.deactivate_api_key(inactive.id)
    assert verify(kinde, over.key)["is_valid"] is True
    time.wall += 60
    statuses = {made.key: verify(kinde, made.key) for made in (revoked, inactive, over)}
    assert [answer["is_valid"] for answer in statuses.values()] == [False, False, False]
    assert [answer["status"] for answer in statuses.values()] == ["revoked", "inactive", "inactive"]
    assert verify(kinde, over.key)["expires_on"] == "2025-06-29T12:27:40+00"
    assert [key.verification_count for key in issuer.api_keys] == [0, 0, 1]
    with pytest.raises(ConfigurationError, match="revoked"):
        issuer.rotate_api_key(revoked)
    with pytest.raises(ConfigurationError, match="revoked"):
        issuer.deactivate_api_key(revoked)


@pytest.mark.parametrize("text", ["k_live_" + "0" * 32, "x", "k_live_", "\udcff", "eyJ" * 9_000])
def test_a_key_that_nobody_made(issuer: LocalIssuer, kinde: httpx.Client, text: str) -> None:
    """Another tenant's is one, too."""
    issuer.create_api_key()
    answer = kinde.post(VERIFY, content=json.dumps({"api_key": text}))
    assert (answer.status_code, answer.json()["is_valid"]) == (200, False)
    assert set(answer.json()) == {"code", "message", "is_valid"}


def test_rotated_by_the_management_api(issuer: LocalIssuer, kinde: httpx.Client) -> None:
    """Same id, other text; and the old text opens nothing."""
    old = issuer.create_api_key()
    answer = kinde.put(f"{KEYS}/{old.id}")
    new = answer.json()["api_key"]
    assert (answer.status_code, answer.json()["code"], new["id"]) == (201, "API_KEY_ROTATED", old.id)
    assert verify(kinde, old.key)["is_valid"] is False
    assert verify(kinde, new["key"])["key_id"] == old.id
    assert kinde.get(f"{KEYS}/{old.id}").json()["api_key"]["key_suffix"] == new["key"][-4:]


def test_made_and_revoked_by_the_management_api(issuer: LocalIssuer, kinde: httpx.Client) -> None:
    wish = {"name": "CI", "type": "organization", "org_code": "org_1", "scope_ids": ["read:users"]}
    answer = kinde.post(KEYS, json={**wish, "api_id": issuer.registry.apis[0].id})
    made = answer.json()["api_key"]
    assert (answer.status_code, answer.json()["code"], set(made)) == (201, "API_KEY_CREATED", {"id", "key"})
    assert verify(kinde, made["key"])["org_code"] == "org_1"
    assert kinde.delete(f"{KEYS}/{made['id']}").status_code == 200
    assert verify(kinde, made["key"])["status"] == "revoked"


@pytest.mark.parametrize(
    "changes",
    [
        {"name": None},
        {"name": 5},
        {"type": "robot"},
        {"type": "user"},
        {"type": "user", "user_id": "kp_nobody"},
        {"type": "organization", "user_id": "kp_nobody"},
        {"api_id": "0"},
        {"api_id": None},
        {"scope_ids": "read:users"},
        {"scope_ids": ["admin"]},
        {"scope_ids": [5]},
        {"scope_ids": 5},
    ],
)
def test_what_cannot_be_made(issuer: LocalIssuer, kinde: httpx.Client, changes: dict[str, Any]) -> None:
    wish = {"name": "CI", "type": "environment", "api_id": issuer.registry.apis[0].id, **changes}
    assert code(kinde.post(KEYS, json=wish)) == (400, "INVALID_REQUEST")
    assert issuer.api_keys == ()


@pytest.mark.parametrize("body", BODIES)
def test_verify_needs_a_key(kinde: httpx.Client, body: object) -> None:
    assert code(kinde.post(VERIFY, json=body)) == (400, "INVALID_REQUEST")


def test_the_list_is_filtered_and_comes_in_pages(issuer: LocalIssuer, kinde: httpx.Client) -> None:
    user = issuer.registry.users[0].id
    keys = [issuer.create_api_key(str(number), user=user) for number in range(3)]
    issuer.revoke_api_key(keys[1])
    issuer.create_api_key("org", org_code="org_1")

    def names(**query: str | int) -> tuple[list[str], bool]:
        answer = kinde.get(KEYS, params=query).json()
        return [each["name"] for each in answer["api_keys"]], answer["has_more"]

    assert names() == (["0", "1", "2", "org"], False)
    assert names(page_size=2) == (["0", "1"], True)
    assert names(page_size=2, starting_after=keys[1].id) == (["2", "org"], False)
    assert names(status="revoked") == (["1"], False)
    assert names(key_type="organization") == names(org_code="org_1") == (["org"], False)
    assert names(user_id=user, status="active") == (["0", "2"], False)
    for size in ("0", "501", "x", "٣", "-1"):
        assert code(kinde.get(KEYS, params={"page_size": size})) == (400, "INVALID_REQUEST")
    assert keys[0].key not in kinde.get(KEYS).text


def test_nothing_keeps_the_text_of_a_key(issuer: LocalIssuer, kinde: httpx.Client) -> None:
    made = issuer.create_api_key()
    verify(kinde, made.key)
    kinde.get(f"/oauth2/{made.key}")
    issuer.journal.add("broken", f"somebody wrote {made.key} here")
    told = "".join(str(entry.as_json()) for entry in issuer.journal.since())
    assert made.key not in repr(made) + repr(issuer.api_keys) + told + repr(vars(issuer.api_key_store))
    assert not isinstance(issuer.api_keys[0], NewApiKey)


class TestWhoMay:
    """An app whose token is for the Management API, with the scope; nobody else."""

    CALLS = (
        ("GET", KEYS, "read:api_keys"),
        ("POST", KEYS, "create:api_keys"),
        ("GET", f"{KEYS}/x", "read:api_keys"),
        ("PUT", f"{KEYS}/x", "update:api_keys"),
        ("DELETE", f"{KEYS}/x", "delete:api_keys"),
        ("POST", VERIFY, "read:api_keys"),
    )

    @pytest.fixture
    def anybody(self, issuer: LocalIssuer) -> Iterator[httpx.Client]:
        with httpx.Client(transport=issuer.transport, base_url=issuer.url) as client:
            yield client

    @pytest.mark.parametrize(("method", "path", "scope"), CALLS)
    def test_the_scope_of_each(
        self, issuer: LocalIssuer, anybody: httpx.Client, method: str, path: str, scope: str
    ) -> None:
        others = " ".join([f"{scope}2", *(one for one in SCOPES if one != scope)])
        refused = anybody.request(method, path, headers=bearer(management(issuer, others)), json={})
        assert (refused.status_code, refused.json()) == (
            403,
            {"errors": [{"code": "SCOPE_MISSING", "message": f"Scope missing: {scope}"}]},
        )
        told = anybody.request(method, path, headers=bearer(management(issuer, scope)), json={})
        assert told.status_code not in (401, 403)

    @pytest.mark.parametrize(("method", "path", "scope"), CALLS)
    def test_other_tokens(self, issuer: LocalIssuer, anybody: httpx.Client, method: str, path: str, scope: str) -> None:
        now = int(issuer.now())
        refused = {
            "none": "",
            "of another API": management(issuer, scope, audience=issuer.audience),
            "expired": management(issuer, scope, exp=now),
            "not valid yet": management(issuer, scope, nbf=now + 1),
            "another issuer's": management(issuer, scope, iss="https://other.kinde.test"),
            "forged": issuer.token(
                issuer.m2m_claims(audience=issuer.management_audience, scope=scope), key=issuer.stranger
            ),
            "no token": "x.y",
            "a key": issuer.create_api_key().key,
        }
        for name, token in refused.items():
            answer = anybody.request(method, path, headers=bearer(token) if token else {}, json={})
            assert code(answer) == (401, "TOKEN_INVALID"), name

    def test_the_sample_app_may_verify_and_change_no_key(self, issuer: LocalIssuer, anybody: httpx.Client) -> None:
        app = issuer.app
        form = {"grant_type": "client_credentials", "client_id": app.client_id, "client_secret": app.client_secret}
        answer = anybody.post("/oauth2/token", data={**form, "audience": issuer.management_audience}).json()
        assert answer["scope"] == "read:api_keys read:apis read:api_scopes create:api_scopes"
        made = issuer.create_api_key()
        asked = anybody.post(VERIFY, json={"api_key": made.key}, headers=bearer(answer["access_token"]))
        assert asked.json()["is_valid"] is True

    def test_everybody_where_kindes_openapi_says_so(self, issuer: LocalIssuer, anybody: httpx.Client) -> None:
        made = issuer.create_api_key()
        issuer.public_api_key_verification = True
        assert anybody.post(VERIFY, json={"api_key": made.key}).json()["is_valid"] is True
        assert anybody.get(f"{KEYS}/{made.id}").status_code == 401

    def test_no_page_of_the_web_reads_it(self, anybody: httpx.Client) -> None:
        for method, path, _ in self.CALLS:
            for asked in (method, "OPTIONS"):
                answer = anybody.request(asked, path, headers={"origin": "https://evil.example"})
                assert not any(name.startswith("access-control") for name in answer.headers), (asked, path)


def test_an_id_that_nobody_made(kinde: httpx.Client) -> None:
    """Kinde has one error there, and a list of them elsewhere."""
    for method in ("GET", "PUT", "DELETE"):
        answer = kinde.request(method, f"{KEYS}/api_key_1")
        assert (answer.status_code, answer.json()["errors"]["code"]) == (404, "API_KEY_NOT_FOUND")
    assert kinde.get(f"{KEYS}/").status_code == 404
    assert kinde.get(f"{KEYS}/a/b").status_code == 404
    assert kinde.get(VERIFY).status_code == 405


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"audience": "https://nobody.example"}, "there is no API"),
        ({"audience": "https://local.kinde.test/api"}, "there is no API"),
        ({"scopes": ["admin"]}, "has no scope 'admin'"),
        ({"scopes": "read:users"}, "goes into a list"),
        ({"user": "kp_nobody"}, "there is no user"),
        ({"org_code": "a b"}, "without white space"),
        ({"lifetime": -1}, "seconds"),
        ({"lifetime": True}, "seconds"),
        ({"lifetime": float("nan")}, "seconds"),
        ({"name": "a\nb"}, "one line"),
    ],
)
def test_what_is_no_key_of_this_tenant(issuer: LocalIssuer, options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        issuer.create_api_key(**options)
    assert issuer.api_keys == ()


def test_a_key_that_is_not_known_cannot_be_revoked(issuer: LocalIssuer) -> None:
    for change in (issuer.revoke_api_key, issuer.deactivate_api_key, issuer.rotate_api_key):
        with pytest.raises(ConfigurationError, match="no such API key"):
            change("k_live_" + "0" * 32)


def test_kindes_own_api_is_no_api_of_the_tenants(issuer: LocalIssuer) -> None:
    assert issuer.management_audience == f"{issuer.url}/api"
    assert issuer.management_audience not in {api.audience for api in issuer.registry.apis}
    issuer.add_api(issuer.management_audience, ["read:users"])  # other scopes, as of any other API
    assert (issuer.registry.management.scopes, len(issuer.registry.apis)) == (("read:users",), 1)
    assert issuer.registry.granted(issuer.app, issuer.management_audience) == ()


def test_what_is_asked_is_counted_and_written_down(issuer: LocalIssuer, kinde: httpx.Client) -> None:
    made = issuer.create_api_key()
    verify(kinde, made.key)
    issuer.revoke_api_key(made)
    verify(kinde, made.key)
    with issuer.broken("server_error", "verify"):
        kinde.post(VERIFY, json={"api_key": made.key})
    kinde.get(KEYS)
    assert issuer.api_key_verifications == 3
    found = [entry for entry in issuer.journal.since() if entry.kind.startswith("api_key")]
    assert [(entry.kind.removeprefix("api_key_"), entry.details.get("answer")) for entry in found] == [
        ("created", None), ("verified", "200"), ("revoked", None), ("refused", "200"), ("refused", "500"),
    ]  # fmt: skip


def told(issuer: LocalIssuer, kinde: httpx.Client, made: NewApiKey, place: str) -> httpx.Response:
    if place == "verify":
        return kinde.post(VERIFY, json={"api_key": made.key})
    return kinde.get(f"{KEYS}/{made.id}")


class TestFaults:
    @pytest.mark.parametrize("place", ["verify", "api_keys"])
    @pytest.mark.parametrize(
        ("name", "status", "error"),
        [
            ("token_refused", 401, "TOKEN_INVALID"),
            ("scope_missing", 403, "SCOPE_MISSING"),
            ("rate_limited_reset", 429, "TOO_MANY_REQUESTS"),
        ],
    )
    def test_errors(
        self, issuer: LocalIssuer, kinde: httpx.Client, place: Any, name: str, status: int, error: str
    ) -> None:
        made = issuer.create_api_key()
        with issuer.broken(name, place):
            answer = told(issuer, kinde, made, place)
            assert code(answer) == (status, error)
            assert answer.headers.get("ratelimit-reset") == ("20" if status == 429 else None)
        assert told(issuer, kinde, made, place).status_code == 200

    @pytest.mark.parametrize(
        ("name", "members"),
        [
            ("valid_yet_revoked", {"is_valid": True, "status": "revoked"}),
            ("is_valid_as_text", {"is_valid": "true"}),
            ("scopes_as_text", {"scopes": "read:users write:flags"}),
            ("no_scopes", {"scopes": None}),
        ],
    )
    def test_odd_answers(self, issuer: LocalIssuer, kinde: httpx.Client, name: str, members: dict[str, object]) -> None:
        """One thing is wrong, and nothing else."""
        made = issuer.create_api_key()
        right = verify(kinde, made.key)
        with issuer.broken(name, "verify"):
            odd = verify(kinde, made.key)
        assert {name: odd.get(name) for name in members} == members
        changing = {*members, "verification_count"}
        assert {k: v for k, v in odd.items() if k not in changing} == {
            k: v for k, v in right.items() if k not in changing
        }

    def test_is_valid_as_text_is_not_true_for_a_key_that_is_not_good(
        self, issuer: LocalIssuer, kinde: httpx.Client
    ) -> None:
        with issuer.broken("is_valid_as_text", "verify"):
            assert verify(kinde, "k_live_1")["is_valid"] == "false"

    def test_another_key(self, issuer: LocalIssuer, kinde: httpx.Client) -> None:
        made, other = issuer.create_api_key(), issuer.create_api_key(user=issuer.registry.users[0])
        with issuer.broken("other_key", "verify"):
            assert verify(kinde, made.key)["key_id"] == other.id
            issuer.revoke_api_key(other)
            assert verify(kinde, made.key)["key_id"] not in (made.id, other.id)
        with issuer.broken("other_key", "api_keys"):
            shown = told(issuer, kinde, made, "api_keys").json()["api_key"]
            assert shown["id"] != made.id

    def test_another_tenant(self, issuer: LocalIssuer, kinde: httpx.Client) -> None:
        """What it says is good, and the key is not to be found."""
        made = issuer.create_api_key()
        with issuer.broken("other_tenant", "verify"):
            answer = verify(kinde, made.key)
        assert (answer["is_valid"], answer["key_id"] != made.id) == (True, True)
        assert kinde.get(f"{KEYS}/{answer['key_id']}").status_code == 404

    def test_the_api_is_another_or_not_named(self, issuer: LocalIssuer, kinde: httpx.Client) -> None:
        made = issuer.create_api_key()
        for name, api_ids in (("no_api_ids", None), ("other_api", ["0" * 32])):
            with issuer.broken(name, "api_keys"):
                assert told(issuer, kinde, made, "api_keys").json()["api_key"]["api_ids"] == api_ids
                assert kinde.get(KEYS).status_code == 200  # a list has no key to spoil

    def test_a_key_that_is_not_good_is_a_401(self, issuer: LocalIssuer, kinde: httpx.Client) -> None:
        made = issuer.create_api_key()
        with issuer.broken("unknown_as_401", "verify"):
            assert verify(kinde, made.key)["is_valid"] is True
            issuer.revoke_api_key(made)
            assert code(kinde.post(VERIFY, json={"api_key": made.key})) == (401, "API_KEY_INVALID")

    def test_those_of_the_keys_are_not_to_be_had_here(self, issuer: LocalIssuer) -> None:
        for name, fault in FAULTS.items():
            places: tuple[Place, ...] = ("keys", "verify")
            for place in (one for one in places if one not in fault.places):
                with pytest.raises(ConfigurationError, match="is one of"):
                    issuer.break_down(name, place)

    def test_odd_faults_leave_errors_as_they_are(self, issuer: LocalIssuer, kinde: httpx.Client) -> None:
        with issuer.broken("other_key", "api_keys"):
            assert kinde.get(f"{KEYS}/none").status_code == 404

    @pytest.mark.parametrize("place", ["verify", "api_keys"])
    def test_general_faults_work_here_too(self, issuer: LocalIssuer, kinde: httpx.Client, place: Any) -> None:
        made = issuer.create_api_key()
        with issuer.broken("not_json", place), pytest.raises(json.JSONDecodeError):
            told(issuer, kinde, made, place).json()
        with issuer.broken("hanging", place), pytest.raises(httpx.ReadTimeout):
            told(issuer, kinde, made, place)
        with issuer.broken("server_error", place):
            assert told(issuer, kinde, made, place).status_code == 500


def test_in_process_too(issuer: LocalIssuer) -> None:
    issuer.public_api_key_verification = True
    made = issuer.create_api_key()
    body = f'{{"api_key":"{made.key}"}}'.encode()
    asked = Request("POST", VERIFY, {}, body, client=("127.0.0.1", 5))
    assert issuer.respond(asked).status == 200
    assert issuer.api_keys[0].last_verified_ip == "127.0.0.1"
