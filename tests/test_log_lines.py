"""Logs, hints and errors are short, however many issuers, audiences, keys and permissions there are."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import suppress

import pytest
from helpers import AUDIENCE, M2M, NOW, USER, Issuer, Time, guard_of, jwk, key_set, mint, reason_of
from waiting import settle

from kinde_guard import AuthError, ConfigurationError, Guard, InvalidToken, permission, role, scope
from kinde_guard.events import log
from kinde_guard.explain import explain
from kinde_guard.keys.jwk import Key
from kinde_guard.settings import Settings
from kinde_guard.web.wording import few, shortened

DOMAINS = [f"tenant-number-{number:03d}.kinde.com" for number in range(400)]
AUDIENCES = [f"https://api-{number:03d}.acme.com" for number in range(400)]
LINE = 1_000


@pytest.fixture(autouse=True)
def _lines(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Nothing that is logged is longer than it may be, or in two lines; at DEBUG too."""
    with caplog.at_level(logging.DEBUG, "kinde_guard"):
        yield
    for line in logged(caplog):
        assert len(line.encode()) <= LINE
        assert "\n" not in line


def logged(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records]


def test_a_foreign_token_among_400_issuers(caplog: pytest.LogCaptureFixture) -> None:
    guard = guard_of(Issuer(), domain=DOMAINS, audience=AUDIENCES)
    assert reason_of(guard, mint({"iss": "https://foreign.kinde.com"})) == "unknown_issuer"
    assert reason_of(guard, mint({"iss": f"https://{DOMAINS[0]}"})) == "wrong_audience"
    [issuers, audiences] = logged(caplog)
    assert f"iss is not https://{DOMAINS[0]}, https://{DOMAINS[1]}, https://{DOMAINS[2]} or 397 more. " in issuers
    assert audiences.endswith(" and 397 more")
    assert len(repr(guard)) < 400
    assert "and 397 more" in repr(guard)


def test_of_three_all_are_named(caplog: pytest.LogCaptureFixture) -> None:
    guard = guard_of(Issuer(), domain=DOMAINS[:3], audience=AUDIENCES[0])
    assert reason_of(guard, mint({"iss": "https://foreign.kinde.com"})) == "unknown_issuer"
    assert f"https://{DOMAINS[0]}, https://{DOMAINS[1]}, https://{DOMAINS[2]}. " in logged(caplog)[0]


def test_an_audience_of_3000_characters() -> None:
    guard = guard_of(Issuer(), audience="https://api.acme.com/" + "x" * 3_000)
    assert reason_of(guard, mint()) == "wrong_audience"
    assert len(repr(guard)) < 400


def test_what_a_token_says_is_not_repeated_at_length() -> None:
    guard = guard_of(Issuer())
    token = guard.verify(mint({"azp": "\u4eba" * 900, "permissions": [f"p{number}" for number in range(300)]}))
    with suppress(AuthError):
        guard.demand(token, scope("x"))
    with suppress(AuthError):
        guard.demand(token, scope(*(f"p{number}" for number in range(300))))


def test_a_demand_for_500_permissions(caplog: pytest.LogCaptureFixture) -> None:
    guard = guard_of(Issuer())
    names = [f"permission-number-{number}" for number in range(500)]
    for demand in (permission(*names), role(*names), scope(*names)):
        for base in (USER, M2M):
            with pytest.raises(AuthError):
                guard.demand(guard.verify(mint(base=base)), demand)
    refusals = [line for line in logged(caplog) if line.startswith("refused")]
    assert len(refusals) == 6
    assert all(" 497 more" in line for line in refusals)


def test_2000_keys_that_come_and_go(caplog: pytest.LogCaptureFixture) -> None:
    """And 2,000 that are of no use: some of them are named."""
    time = Time()
    issuer = Issuer(*(jwk({"kid": f"\u4eba{number:0255d}"}) for number in range(600)), *({} for _ in range(2_000)))
    guard = guard_of(issuer, time)
    guard.warm()
    issuer.body = key_set(jwk(), *(jwk({"kid": f"{number:0256d}", "d": "AQAB"}) for number in range(600)))
    time.passes(600)
    guard.warm()
    settle(guard)
    said = logged(caplog)
    assert any("removed: " in line and " and 597 more" in line for line in said)
    assert any("private part" in line and " and 597 more" in line for line in said)
    assert sum("skipped" in line for line in said) == 22
    assert any(line.endswith("skipped and 1,990 more") for line in said)
    assert max(len(getattr(record, "kids", ())) for record in caplog.records) == 11


def test_whatever_is_logged_is_cut(caplog: pytest.LogCaptureFixture) -> None:
    """Also what nobody has thought of; and what is short is left as it is, for those who go by the template."""
    log.info("a %s of %d", "\u4eba" * 5_000, 1)
    log.info("a %s of %d", "line", 2)
    long, short = caplog.records
    assert long.getMessage().endswith("\u4eba…")
    assert (short.msg, short.args) == ("a %s of %d", ("line", 2))


def test_settings_that_disagree_about_400_domains() -> None:
    variables = {"KINDE_DOMAIN": ",".join(DOMAINS[:200]), "KINDE_ISSUER_URL": ",".join(DOMAINS)}
    with pytest.raises(ConfigurationError, match="and 397 more") as caught:
        Guard(audience=AUDIENCE, variables=[variables])
    assert len(str(caught.value)) < LINE


class NoKeys:
    """Nobody publishes any."""

    offline, drift = True, None

    def find(self, issuer: str, kid: str, alg: str) -> Key:
        raise InvalidToken("unknown_key", "")


def test_explain_names_three_of_400() -> None:
    settings = Settings.load(DOMAINS, audience=AUDIENCES)
    for raw in (mint({"iss": "https://foreign.kinde.com"}), mint({"iss": f"https://{DOMAINS[0]}"})):
        told = explain(raw, settings, NOW, NoKeys())
        texts = [str(value) for check in told.checks for value in (check.expected, check.found)]
        assert any("397 more" in text for text in texts)
        assert max(map(len, [*texts, *(check.fix for check in told.checks)])) < LINE


@pytest.mark.parametrize(("count", "said"), [
    (0, ""), (1, "0"), (3, "0, 1, 2"), (4, "0, 1, 2 and 1 more"), (5_000, "0, 1, 2 and 4,997 more"),
])  # fmt: skip
def test_few(count: int, said: str) -> None:
    assert few([str(number) for number in range(count)]) == said


@pytest.mark.parametrize("text", ["x" * 100, "x" * 99, "\u4eba" * 33, "", "\ud800"], ids=ascii)
def test_what_is_short_enough_is_left_alone(text: str) -> None:
    assert shortened(text, 100) is text


@pytest.mark.parametrize(
    "text", ["x" * 101, "\u4eba" * 34, "\U0001f600" * 500, "\ud800" * 30], ids=lambda text: ascii(text[0])
)
def test_what_is_cut_ends_at_a_character(text: str) -> None:
    cut = shortened(text, 100)
    assert 94 <= len(cut.encode()) <= 100
    assert cut.endswith("…")
