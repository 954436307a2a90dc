"""Reading webhooks: everything that is one of this tenant's, and nothing else."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import Callable
from typing import Any

import pytest
import trio
from helpers import (
    ABSENT,
    AUDIENCE,
    DOMAIN,
    HEADER,
    ISSUER,
    KID,
    M2M,
    NOW,
    USER,
    Issuer,
    Time,
    guard_of,
    jwk,
    key_set,
    mint,
    rsa_key,
    sign,
)
from hypothesis import given
from hypothesis import strategies as st
from webhook_bodies import EVENT, SUSPENDED_USER, USER_ID, body, moment

from kinde_guard import ConfigurationError, InvalidToken, KeysUnavailable, webhooks
from kinde_guard.net.clocks import Clocks
from kinde_guard.webhooks import (
    TYPES,
    AccessRequestCreated,
    CustomerEvent,
    InvalidWebhook,
    OrganizationCreated,
    OrganizationDeleted,
    OrganizationUpdated,
    PermissionDeleted,
    PermissionUpdated,
    RoleDeleted,
    RoleUpdated,
    SubscriberCreated,
    UserAuthenticated,
    UserCreated,
    UserDeleted,
    UserMembership,
    UserUpdated,
    WebhookEvent,
    WebhookReader,
)

HOUR = 3600
Read = Callable[[WebhookReader, bytes], WebhookEvent]


def in_thread(reader: WebhookReader, data: bytes) -> WebhookEvent:
    return reader.read(data)


def in_asyncio(reader: WebhookReader, data: bytes) -> WebhookEvent:
    return asyncio.run(reader.aread(data))


def in_trio(reader: WebhookReader, data: bytes) -> WebhookEvent:
    return trio.run(reader.aread, data)


EVERY_WAY = pytest.mark.parametrize("read", [in_thread, in_asyncio, in_trio])


@pytest.fixture
def reader() -> WebhookReader:
    return reader_of(Issuer())


def reader_of(issuer: Issuer, time: Time | None = None, domain: Any = DOMAIN) -> WebhookReader:
    return WebhookReader(guard=guard_of(issuer, time, domain))


def reason_of(reader: WebhookReader, data: bytes) -> str:
    """Why it is refused; what else is raised is the test's to report."""
    try:
        reader.read(data)
    except InvalidWebhook as refusal:
        return refusal.reason
    return "accepted"


@EVERY_WAY
def test_a_webhook_is_read(reader: WebhookReader, read: Read) -> None:
    event = read(reader, body())
    assert isinstance(event, UserUpdated)
    assert (event.id, event.type, event.source) == (EVENT["event_id"], "user.updated", "admin")
    assert (event.time, event.issuer, event.user_id) == (NOW, ISSUER, USER_ID)
    assert event.user.is_suspended
    assert event.user.email == "ada@example.com"
    assert event.user.organizations == (
        UserMembership("org_590d7f1a86a"),
        UserMembership("org_2", ("admin",), ("read:users",)),
    )


def test_kindes_own_example() -> None:
    """The payload that github.com/kinde-oss/webhook tests its decoder with, at the time that it says."""
    time = Time()
    time.wall = 1_714_549_305.6  # 2024-05-01T07:41:45.6Z
    event = reader_of(Issuer(), time).read(
        body({"timestamp": "2024-05-01T17:41:45.592145+10:00", "event_timestamp": ABSENT})
    )
    assert event.time == pytest.approx(1_714_549_305.592145)


@pytest.mark.parametrize("settings", [{"domain": DOMAIN}, {"variables": [{"KINDE_DOMAIN": DOMAIN}]}])
def test_a_reader_needs_no_guard(settings: Any) -> None:
    """Nor an audience, which is for access tokens."""
    reader = WebhookReader(transport=Issuer().transport, clocks=Time().clocks, **settings)
    assert reader.read(body()).type == "user.updated"


def test_a_reader_reads_the_environment(monkeypatch: pytest.MonkeyPatch, no_settings: None) -> None:
    with pytest.raises(ConfigurationError, match="KINDE_DOMAIN"):
        WebhookReader()
    monkeypatch.setenv("KINDE_DOMAIN", DOMAIN)
    assert WebhookReader(transport=Issuer().transport, clocks=Time().clocks).read(body()).issuer == ISSUER


@pytest.mark.parametrize("more", [{"domain": DOMAIN}, {"clocks": Clocks()}, {"variables": ()}])
def test_a_guard_has_its_settings_already(more: Any) -> None:
    with pytest.raises(ConfigurationError, match="guard= alone"):
        WebhookReader(guard=guard_of(Issuer()), **more)


class TestWhatAnEventSays:
    def test_every_type_of_kindes_is_known(self) -> None:
        """As add-manage-webhooks and Kinde's decoder list them."""
        named = {name for kind in TYPES.values() for name in [kind.__name__]}
        assert len(TYPES) == 27
        assert named <= set(webhooks.__all__)

    @pytest.mark.parametrize(("kind", "data", "found", "expected"), [
        ("user.created", {"user": SUSPENDED_USER}, UserCreated, {"user_id": USER_ID}),
        ("user.deleted", {"user": {"id": USER_ID}}, UserDeleted, {"user_id": USER_ID}),
        ("user.authenticated", {"user": {"id": "kp_1"}}, UserAuthenticated, {"user_id": "kp_1", "ip_address": "::1"}),
        ("organization.created", {"organization": {"code": "org_1", "name": "A", "handle": "a", "external_id": None}},
         OrganizationCreated, {"organization_code": "org_1", "name": "A", "handle": "a", "external_id": None}),
        ("organization.updated", {"organization": {"code": "org_1"}}, OrganizationUpdated, {"name": None}),
        ("organization.deleted", {"organization": {"code": "org_1"}}, OrganizationDeleted,
         {"organization_code": "org_1"}),
        ("role.updated", {"role": {"id": "r1", "key": "admin", "name": "Admin", "description": "", "x": 1}},
         RoleUpdated, {"role_id": "r1", "key": "admin", "name": "Admin", "description": ""}),
        ("role.deleted", {"role": {"id": "r1"}}, RoleDeleted, {"role_id": "r1", "key": None}),
        ("permission.updated", {"permission": {"id": "p1", "key": "a:b"}}, PermissionUpdated, {"key": "a:b"}),
        ("permission.deleted", {"permission": {"id": "p1"}}, PermissionDeleted, {"permission_id": "p1"}),
        ("subscriber.created", {"subscriber": {"user_id": "kp_1", "email": "a@b.c", "id": "s"}}, SubscriberCreated,
         {"user_id": "kp_1", "email": "a@b.c", "first_name": None}),
        ("access_request.created", {"access_request": {"user_id": None, "email": "a@b.c"}}, AccessRequestCreated,
         {"user_id": None, "email": "a@b.c"}),
        ("customer.plan_changed", {"customer": {"id": 1}}, CustomerEvent, {"data": {"customer": {"id": 1}}}),
        ("something.new", {"any": ["thing"]}, WebhookEvent, {"data": {"any": ["thing"]}, "type": "something.new"}),
        ("something.new", ABSENT, WebhookEvent, {"data": {}}),
        ("something.new", None, WebhookEvent, {"data": {}}),
    ])  # fmt: skip
    def test_it_is_typed(self, reader: WebhookReader, kind: str, data: Any, found: type, expected: Any) -> None:
        event = reader.read(body({"type": kind, "data": data, "ip_address": "::1"}))
        assert type(event) is found
        assert {name: getattr(event, name) for name in expected} == expected

    def test_it_is_frozen_and_what_it_says_is_yours(self, reader: WebhookReader) -> None:
        event = reader.read(body())
        with pytest.raises(dataclasses.FrozenInstanceError):
            event.id = "another"  # type: ignore[misc]
        event.data["user"]["is_suspended"] = False
        assert event.data["user"]["is_suspended"] is True

    def test_its_repr_names_nobody(self, reader: WebhookReader) -> None:
        shown = repr(reader.read(body()))
        assert USER_ID in shown
        for text in ("ada", "Ada", "Lovelace"):
            assert text not in shown

    @pytest.mark.parametrize("source", [ABSENT, None, 1, ["admin"]])
    def test_a_source_that_is_not_said(self, reader: WebhookReader, source: Any) -> None:
        assert reader.read(body({"source": source})).source == ""

    @pytest.mark.parametrize("said", [None, ABSENT, "x", {}, [1, "a", None]])
    def test_what_ends_no_token_is_read_leniently(self, reader: WebhookReader, said: Any) -> None:
        user = {"id": USER_ID, "organizations": said, "email": [said] if said is not ABSENT else None}
        event = reader.read(body({"data": {"user": {k: v for k, v in user.items() if v is not ABSENT}}}))
        assert isinstance(event, UserUpdated)
        assert (event.user.organizations, event.user.email, event.user.is_suspended) == ((), None, False)

    @pytest.mark.parametrize(("kind", "data"), [
        ("user.updated", {}), ("user.updated", ABSENT), ("user.updated", {"user": None}),
        ("user.updated", {"user": []}), ("user.updated", {"user": {"id": ""}}), ("user.updated", {"user": {"id": 1}}),
        ("user.updated", {"user": {"id": "kp_1", "is_suspended": "true"}}),
        ("user.updated", {"user": {"id": "kp_1", "is_suspended": 1}}),
        ("user.updated", {"user": {"id": "kp_1", "organizations": [{"code": 1}]}}),
        ("user.deleted", {"user": {}}), ("user.deleted", {"user": "kp_1"}), ("user.deleted", {"id": "kp_1"}),
        ("user.authentication_failed", {"user": {"id": None}}),
        ("organization.deleted", {"organization": {"id": "org_1"}}),
        ("organization.updated", {"organization": {"code": ["org_1"]}}),
        ("role.deleted", {"role": {}}), ("permission.created", {}), ("subscriber.created", {"user": {}}),
        ("access_request.created", {"access_request": "x"}), ("something.new", []), ("something.new", "x"),
        ("customer.plan_changed", 0),
    ])  # fmt: skip
    def test_what_could_end_a_token_is_read_strictly(self, reader: WebhookReader, kind: str, data: Any) -> None:
        """Passed over in silence, a suspension would end nothing: so Kinde is told, and repeats."""
        assert reason_of(reader, body({"type": kind, "data": data})) == "malformed"


class TestTime:
    """T is the earlier of the two times (how old it may be, and how far ahead, goes for both)."""

    @pytest.mark.parametrize(("event_timestamp", "timestamp", "expected"), [
        (moment(NOW - 60), moment(NOW), NOW - 60),
        (moment(NOW), moment(NOW - 60), NOW - 60),
        (ABSENT, moment(NOW - 5), NOW - 5),
        (None, moment(NOW - 5), NOW - 5),
        (moment(NOW - 5), ABSENT, NOW - 5),
        (moment(NOW - 60, hours=10), moment(NOW, hours=-9.5), NOW - 60),
        ("2025-06-29T12:26:40.500Z", "2025-06-29T12:26:41+00:00", NOW + 0.5),
        ("2025-06-29T12:26:40.123456789Z", "2025-06-29T12:26:41Z", NOW + 0.123456),
    ])  # fmt: skip
    def test_the_earlier_one_counts(
        self, reader: WebhookReader, event_timestamp: Any, timestamp: Any, expected: float
    ) -> None:
        event = reader.read(body({"event_timestamp": event_timestamp, "timestamp": timestamp}))
        assert event.time == pytest.approx(expected, abs=1e-6)

    @pytest.mark.parametrize("name", ["timestamp", "event_timestamp"])
    @pytest.mark.parametrize("value", [
        "2025-06-29T12:26:40", "2025-06-29T12:26:40.5", "2025-06-29 12:26:40Z", "2025-06-29", "20250629T122640Z",
        "2025-06-29T12:26Z", "2025-06-29T12:26:40+1000", "2025-06-29T12:26:40+10", "2025-W26-7T12:26:40Z",
        "2025-02-30T12:26:40Z", "2025-06-29T24:26:40Z", "2025-06-29T12:26:60Z", "2025-06-29T12:26:40 +00:00",
        "2025-06-29T12:26:40.Z", "2025-06-29T12:26:40,5Z", "2025-06-29T12:26:40+24:00", "0000-06-29T12:26:40Z",
        "٢٠٢٥-06-29T12:26:40Z", "2025-06-29T12:26:40Z\n", "now", "", int(NOW), NOW, True, [], {},
    ])  # fmt: skip
    def test_what_is_no_time_with_an_offset(self, reader: WebhookReader, name: str, value: Any) -> None:
        assert reason_of(reader, body({name: value})) == "malformed"

    def test_no_time_at_all(self, reader: WebhookReader) -> None:
        assert reason_of(reader, body({"timestamp": ABSENT, "event_timestamp": ABSENT})) == "malformed"

    @pytest.mark.parametrize("name", ["timestamp", "event_timestamp"])
    @pytest.mark.parametrize(("seconds", "reason"), [
        (-36 * HOUR, "accepted"), (-37 * HOUR, "accepted"), (-37 * HOUR - 1, "too_old"), (-38 * HOUR, "too_old"),
        (-10 * 365 * 24 * HOUR, "too_old"),
        (300, "accepted"), (301, "not_yet_valid"), (24 * HOUR, "not_yet_valid"),
    ])  # fmt: skip
    def test_how_old_and_how_far_ahead(self, reader: WebhookReader, name: str, seconds: float, reason: str) -> None:
        """Kinde's last attempt is after 36 hours."""
        assert reason_of(reader, body({name: moment(NOW + seconds)})) == reason

    def test_the_first_and_the_last_moments(self, reader: WebhookReader) -> None:
        assert reason_of(reader, body({"timestamp": "0001-01-01T00:00:00+23:59"})) == "too_old"
        assert reason_of(reader, body({"timestamp": "9999-12-31T23:59:59-23:59"})) == "not_yet_valid"


class TestRefused:
    @pytest.mark.parametrize(("changes", "reason"), [
        ({"iss": ISSUER}, "not_an_event"), ({"iss": None}, "not_an_event"), ({"iss": ""}, "not_an_event"),
        ({"events": {}}, "not_an_event"), ({"events": None}, "not_an_event"),
        ({"event_id": ABSENT}, "not_an_event"), ({"event_id": ""}, "not_an_event"), ({"event_id": 1}, "not_an_event"),
        ({"event_id": None}, "not_an_event"), ({"event_id": "e" * 257}, "not_an_event"),
        ({"event_id": "a b"}, "not_an_event"), ({"event_id": " "}, "not_an_event"),
        ({"type": ABSENT}, "not_an_event"), ({"type": ""}, "not_an_event"), ({"type": ["a.b"]}, "not_an_event"),
        ({"type": "t" * 101}, "not_an_event"),
    ])  # fmt: skip
    def test_what_is_no_event(self, reader: WebhookReader, changes: Any, reason: str) -> None:
        assert reason_of(reader, body(changes)) == reason

    def test_access_tokens_and_others_by_the_same_key(self, reader: WebhookReader) -> None:
        security_event = {"iss": ISSUER, "jti": "1", "iat": int(NOW), "events": {"https://x": {}}, "aud": AUDIENCE}
        for claims in (USER, M2M, security_event, {**EVENT, **USER}):
            assert reason_of(reader, sign(json.dumps(HEADER), json.dumps(claims)).encode()) == "not_an_event"

    @pytest.mark.parametrize(("header", "reason"), [
        ({"alg": "none"}, "unsupported_algorithm"), ({"alg": "HS256"}, "unsupported_algorithm"),
        ({"alg": "RS512"}, "unsupported_algorithm"), ({"alg": ABSENT}, "unsupported_algorithm"),
        ({"typ": "at+jwt"}, "not_an_event"), ({"typ": "secevent+jwt"}, "not_an_event"), ({"typ": None}, "not_an_event"),
        ({"typ": ""}, "not_an_event"), ({"typ": "JWT"}, "accepted"), ({"typ": "jwt"}, "accepted"),
        ({"typ": ABSENT}, "accepted"),
        ({"crit": ["exp"]}, "unsupported_header"), ({"b64": False}, "unsupported_header"),
        ({"zip": "DEF"}, "unsupported_header"), ({"cty": "JWT"}, "unsupported_header"),
        ({"kid": ABSENT}, "malformed"), ({"kid": ""}, "malformed"), ({"kid": 1}, "malformed"),
        ({"kid": "another"}, "unknown_key"), ({"jwk": jwk(), "kid": "another"}, "unknown_key"),
    ])  # fmt: skip
    def test_headers(self, header: Any, reason: str) -> None:
        assert reason_of(reader_of(Issuer()), body(header=header)) == reason

    @pytest.mark.parametrize("data", [
        b"", b"{}", b"a.b.c", b"..", body() + b"\n", b" " + body(), body() + b"=", body().replace(b".", b"..", 1),
        body().rpartition(b".")[0], json.dumps(EVENT).encode(), b"\xff" * 100, b'"' + body() + b'"',
        body()[:-4] + b"+/+/", f"{body().decode()}é".encode(),
        sign(json.dumps(HEADER), '{"event_id":"1","event_id":"2"}').encode(),
        sign(json.dumps(HEADER), "[]").encode(), sign(json.dumps(HEADER), b"\xff{}").encode(),
    ])  # fmt: skip
    def test_what_is_no_compact_jws(self, reader: WebhookReader, data: bytes) -> None:
        assert reason_of(reader, data) == "malformed"

    @EVERY_WAY
    @pytest.mark.parametrize(("data", "reason"), [
        (body(key=rsa_key("another tenant's")), "bad_signature"),
        (body(header={"kid": "another tenant's"}, key=rsa_key("another tenant's")), "unknown_key"),
        (body()[:-8] + b"AAAAAAAA", "bad_signature"),
    ])  # fmt: skip
    def test_another_tenants(self, reader: WebhookReader, read: Read, data: bytes, reason: str) -> None:
        with pytest.raises(InvalidWebhook) as refused:
            read(reader, data)
        assert refused.value.reason == str(refused.value) == reason
        assert refused.value.hint

    def test_a_payload_that_was_changed(self, reader: WebhookReader) -> None:
        header, _, signature = body().split(b".")
        payload = body({"data": {"user": {"id": "kp_another"}}}).split(b".")[1]
        assert reason_of(reader, b".".join([header, payload, signature])) == "bad_signature"

    def test_what_is_refused_for_itself_fetches_nothing(self) -> None:
        issuer = Issuer()
        reader = reader_of(issuer)
        for data in (
            b"x", body({"iss": ISSUER}), body({"timestamp": moment(0)}), body(header={"typ": "at+jwt"}),
            body()[:-1] + b"!",
        ):  # fmt: skip
            reason_of(reader, data)
        assert issuer.fetches == []

    def test_unknown_keys_have_keys_fetched_no_more_often_than_tokens_do(self) -> None:
        issuer = Issuer()
        reader = reader_of(issuer)
        for number in range(20):
            assert reason_of(reader, body(header={"kid": f"{number}"})) == "unknown_key"
            assert reason_of(reader, body(key=rsa_key("another"))) == "bad_signature"
        assert len(issuer.fetches) == 2

    @given(data=st.binary(max_size=200) | st.text(alphabet="eyJ.-_Aa1", max_size=60).map(str.encode))
    def test_anything_else(self, data: bytes) -> None:
        assert reason_of(READER, data) == "malformed"


READER = reader_of(Issuer())


class TestSize:
    def of_size(self, size: int) -> bytes:
        short = body({"data": {"user": {"id": USER_ID}}, "padding": ""})
        room = (size - len(short)) * 3 // 4
        return body({"data": {"user": {"id": USER_ID}}, "padding": "x" * room})

    def test_sixty_four_kibibytes(self, reader: WebhookReader) -> None:
        data = self.of_size(64 * 1024)
        assert 64 * 1024 - 4 < len(data) <= 64 * 1024
        assert reason_of(reader, data) == "accepted"
        assert reason_of(reader, self.of_size(64 * 1024 + 4)) == "too_large"
        assert reason_of(reader, b"x" * (64 * 1024 + 1)) == "too_large"

    def test_somebody_with_many_rights_can_be_suspended_too(self, reader: WebhookReader) -> None:
        """An event may have four times as much in it as a token: it is four times as large."""
        rights = [{"id": f"{number:016}", "key": f"k:{number}"} for number in range(1_000)]
        user = {**SUSPENDED_USER, "organizations": [{"code": "org_1", "permissions": rights, "roles": None}]}
        data = body({"data": {"user": user}})
        assert 48 * 1024 < len(data) < 64 * 1024
        event = reader.read(data)
        assert isinstance(event, UserUpdated)
        assert len(event.user.organizations[0].permissions) == 1_000

    def test_what_holds_still_more_is_malformed(self, reader: WebhookReader) -> None:
        assert reason_of(reader, body({"x": [[]] * 3_000})) == "malformed"
        assert reason_of(reader, sign(json.dumps(HEADER), "[" * 1_000 + "]" * 1_000).encode()) == "malformed"
        nested: Any = "x"
        for _ in range(32):
            nested = [nested]
        assert reason_of(reader, body({"x": nested})) == "malformed"

    def test_a_token_may_not_have_as_much(self) -> None:
        with pytest.raises(InvalidToken, match="malformed"):
            guard_of(Issuer()).verify(mint({"x": [[]] * 600}))


class TestSeveralIssuers:
    """A custom domain beside the kinde.com one: a webhook does not say which of them it is from."""

    DOMAINS = (DOMAIN, "login.acme.com")

    def issuers(self, other: object) -> Issuer:
        return Issuer(others={"login.acme.com": key_set(other)})

    @EVERY_WAY
    def test_the_key_says_it(self, read: Read) -> None:
        other = rsa_key("the custom domain's")
        reader = reader_of(self.issuers(jwk({"kid": "other"}, key=other)), domain=self.DOMAINS)
        assert read(reader, body(header={"kid": "other"}, key=other)).issuer == "https://login.acme.com"
        assert read(reader, body()).issuer == ISSUER

    @EVERY_WAY
    def test_two_keys_of_one_name(self, read: Read) -> None:
        other = rsa_key("the custom domain's")
        reader = reader_of(self.issuers(jwk(key=other)), domain=self.DOMAINS)
        assert read(reader, body(key=other)).issuer == "https://login.acme.com"
        assert read(reader, body()).issuer == ISSUER
        with pytest.raises(InvalidWebhook, match="bad_signature"):
            read(reader, body(key=rsa_key("another tenant's")))

    def test_no_issuers_key(self) -> None:
        reader = reader_of(self.issuers(jwk()), domain=self.DOMAINS)
        assert reason_of(reader, body(header={"kid": "x"})) == "unknown_key"

    @EVERY_WAY
    def test_an_issuer_that_is_down_may_have_signed_it(self, read: Read) -> None:
        issuer = self.issuers(jwk())
        issuer.others = {"login.acme.com": b"down"}
        reader = reader_of(issuer, domain=self.DOMAINS)
        with pytest.raises(KeysUnavailable):
            read(reader, body(header={"kid": "x"}))
        assert read(reader, body()).issuer == ISSUER


@EVERY_WAY
def test_without_keys_nothing_can_be_told(read: Read) -> None:
    issuer, time = Issuer(), Time()
    reader = reader_of(issuer, time)
    issuer.status = 503
    with pytest.raises(KeysUnavailable) as unavailable:
        read(reader, body())
    assert unavailable.value.retry_after >= 1
    issuer.status = 200
    time.passes(60)
    assert read(reader, body()).type == "user.updated"


@EVERY_WAY
def test_the_keys_are_those_of_the_guard(read: Read) -> None:
    issuer = Issuer()
    guard = guard_of(issuer)
    guard.verify(mint())
    read(WebhookReader(guard=guard), body())
    assert len(issuer.fetches) == 1


def test_a_rotated_key(reader: WebhookReader) -> None:
    new = rsa_key("new")
    issuer = Issuer(jwk(), jwk({"kid": "new"}, key=new))
    reader = reader_of(issuer)
    assert reader.read(body()).issuer == reader.read(body(header={"kid": "new"}, key=new)).issuer
    assert KID != "new"


def test_a_webhook_is_no_token() -> None:
    with pytest.raises(InvalidToken) as refused:
        guard_of(Issuer()).verify(body().decode())
    assert refused.value.reason == "wrong_token_type"
