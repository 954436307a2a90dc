"""Any compact JWS that an issuer signs, without the rules of access tokens: a webhook's JWT, say."""

from __future__ import annotations

import json

import pytest
from helpers import HEADER, ISSUER, KID, Issuer, Time, rsa_key, sign

from kinde_guard import InvalidToken
from kinde_guard.keys.signed import MAX_HEADERS, SignedReader
from kinde_guard.keys.store import KeyStore
from kinde_guard.net.fetch import Fetcher
from kinde_guard.tokens.jws import Json

EVENT = {"event_id": "event_1", "type": "user.updated", "data": {"user": {"id": "kp_1"}}}


@pytest.fixture
def store() -> KeyStore:
    issuer = Issuer()
    clocks = Time().clocks
    return KeyStore(
        ISSUER, f"{ISSUER}/.well-known/jwks", algorithms=("RS256",), fetcher=Fetcher(issuer.transport), clocks=clocks,
        retry_after=30, usable_for=86_400,
    )  # fmt: skip


def reader() -> SignedReader:
    return SignedReader(check_alg)


def check_alg(header: Json) -> None:
    if header.get("alg") != "RS256":
        raise InvalidToken("unsupported_algorithm")


def received(raw: str, reader: SignedReader, store: KeyStore) -> Json:
    """As whoever receives webhooks does it."""
    signed = reader.read(raw.encode())
    signed.look_for_key(store, 0)
    reader.check_signature(signed, signed.key or store.get(signed.kid, signed.alg))
    return signed.claims


def test_a_webhook_is_read_and_its_signature_checked(store: KeyStore) -> None:
    assert received(sign(json.dumps(HEADER), json.dumps(EVENT)), reader(), store) == EVENT


def test_a_webhook_that_another_key_has_signed(store: KeyStore) -> None:
    raw = sign(json.dumps(HEADER), json.dumps(EVENT), rsa_key("another"))
    with pytest.raises(InvalidToken) as refused:
        received(raw, reader(), store)
    assert refused.value.reason == "bad_signature"


def test_the_header_is_for_whoever_receives_it_to_judge(store: KeyStore) -> None:
    with pytest.raises(InvalidToken) as refused:
        received(sign(json.dumps({**HEADER, "alg": "none"}), json.dumps(EVENT)), reader(), store)
    assert refused.value.reason == "unsupported_algorithm"


def test_a_header_is_remembered_once_a_signature_over_it_has_held(store: KeyStore) -> None:
    """And not before: strangers would fill the memory, or say what is in it."""
    judged: list[Json] = []
    watched = SignedReader(judged.append)
    bad = sign(json.dumps(HEADER), json.dumps(EVENT), rsa_key("another"))
    for _ in range(2):
        with pytest.raises(InvalidToken):
            received(bad, watched, store)
    assert len(judged) == 2
    for _ in range(2):
        received(sign(json.dumps(HEADER), json.dumps(EVENT)), watched, store)
    assert len(judged) == 3
    assert {header["kid"] for header in judged} == {KID}


def test_headers_that_are_remembered_are_bounded(store: KeyStore) -> None:
    varying = reader()
    for number in range(3 * MAX_HEADERS):
        received(sign(json.dumps({**HEADER, "x": number}), json.dumps(EVENT)), varying, store)
    assert len(varying._headers) <= MAX_HEADERS
