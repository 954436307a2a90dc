"""Entries: what they say, how they are read, and which tokens they are about."""

from __future__ import annotations

import math
from typing import Any

import pytest
from helpers import ABSENT, CLIENT, M2M, NOW, USER, Issuer, guard_of, mint

from kinde_guard import AccessToken
from kinde_guard.revocation.entry import (
    KINDS,
    Kind,
    Unreadable,
    fields_of,
    made,
    marks_of,
    read,
    record_of,
    revocation_of,
)

STREAM = "https://acme.kinde.com"
GOOD = {"kind": "subject", "of": "kp_1", "before": "1751200000.25", "id": "abc", "issuer": STREAM}


def token_of(claims: dict[str, Any] | None = None, base: dict[str, Any] = USER) -> AccessToken:
    return guard_of(Issuer()).verify(mint(claims, base=base))


@pytest.mark.parametrize(("before", "iat", "refused"), [
    (100.0, 100, True), (100.0, 101, False), (100.999, 100, True), (100.999, 101, False), (99.999, 100, False),
])  # fmt: skip
def test_t_keeps_its_fraction_and_its_whole_second_is_refused(before: float, iat: int, refused: bool) -> None:
    """Of what was issued in the second of the revocation nobody knows whether it came before it."""
    assert (iat < made("all", "", before).before) is refused


@pytest.mark.parametrize("kind", KINDS)
def test_an_entry_is_read_as_it_was_written(kind: Kind) -> None:
    value = "" if kind in ("all", "keys") else "it"
    entry = made(kind, value, 12.25, org="org_1" if kind == "member" else "", reason="why  so", by="app")
    assert read(fields_of(entry, STREAM), STREAM, NOW) == entry
    assert revocation_of(kind, entry.about, record_of(entry)) == entry


def test_ids_are_random() -> None:
    assert made("all", "", 1.0).id != made("all", "", 1.0).id


@pytest.mark.parametrize("change", [
    {"kind": "everything"}, {"kind": None}, {"kind": "all"}, {"kind": "keys"}, {"kind": "member"},
    {"issuer": "https://evil.kinde.com"}, {"issuer": None}, {"id": ""}, {"id": None}, {"id": "two words"},
    {"id": "x" * 1_001}, {"of": ""}, {"of": None}, {"of": "x" * 1_001}, {"org": "org_1"},
    {"before": "soon"}, {"before": ""}, {"before": None}, {"before": "inf"}, {"before": "-inf"}, {"before": "nan"},
    {"before": "-1"}, {"before": "1e999"},
])  # fmt: skip
def test_what_means_nothing_is_unreadable(change: dict[str, str | None]) -> None:
    fields = {name: value for name, value in {**GOOD, **change}.items() if value is not None}
    assert read(GOOD, STREAM, NOW).id == "abc"
    with pytest.raises(Unreadable):
        read(fields, STREAM, NOW)


def test_a_time_far_ahead_is_read_as_five_minutes_ahead() -> None:
    assert read({**GOOD, "before": repr(NOW + 10_000)}, STREAM, NOW).issued_before == NOW + 300
    assert read({**GOOD, "before": repr(NOW + 299)}, STREAM, NOW).issued_before == NOW + 299


def test_words_for_people_have_an_end() -> None:
    entry = read({**GOOD, "reason": "why" * 1_000, "by": "some body with a very long name" * 9}, STREAM, NOW)
    assert (len(entry.reason), entry.by) == (200, "some")


def test_the_marks_of_a_token_are_what_its_readers_say() -> None:
    """Not raw claims: they have twins, and types of their own."""
    marks = marks_of(token_of())
    member = (USER["org_code"], USER["sub"])
    assert marks == (USER["jti"], USER["sub"], CLIENT, USER["org_code"], member, USER["iat"])


def test_a_mapped_organization_and_a_numeric_client_are_marks() -> None:
    token = token_of({"org_code": ABSENT, "x-hasura-org-code": "org_9", "azp": 4711})
    assert (token.org_code, token.client_id) == ("org_9", "4711")
    assert marks_of(token)[2:5] == ("4711", "org_9", ("org_9", USER["sub"]))


def test_a_machine_s_subject_is_its_client_id() -> None:
    assert marks_of(token_of(base=M2M)).subject == CLIENT


def test_subjects_that_differ_in_kp_alone_are_one() -> None:
    """2023's tokens have ``kp:``, webhooks ``kp_``."""
    assert marks_of(token_of({"sub": "kp:147143"})).subject == "kp_147143"
    assert made("subject", "kp:147143", 1.0).value == "kp_147143"
    assert read({**GOOD, "of": "kp:147143"}, STREAM, NOW).value == "kp_147143"
    assert made("subject", "kp", 1.0).value == "kp"


def test_without_an_id_a_token_is_known_by_its_digest() -> None:
    without, other = token_of({"jti": ABSENT}), token_of({"jti": ABSENT, "org_code": "org_2"})
    assert marks_of(without).token.startswith("sha256:")
    assert marks_of(without).token != marks_of(other).token
    assert marks_of(token_of({"jti": "x" * 1_001})).token.startswith("sha256:")


def test_without_iat_every_revocation_is_newer() -> None:
    assert marks_of(token_of({"iat": ABSENT})).issued_at == -math.inf


def test_a_member_is_no_text_that_could_be_put_together_otherwise() -> None:
    assert made("member", "c", 1.0, org="a b").about != made("member", "b c", 1.0, org="a").about
