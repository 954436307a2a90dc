"""A guard that is asked at once says what it would say in its own time, or nothing."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable
from typing import Any

import pytest
from helpers import AUDIENCE, DOMAIN, KID, M2M, NOW, Issuer, Time, guard_of, jwk, key_set, mint, rsa_key

from kinde_guard import AccessToken, AuthError, Guard, InvalidToken
from kinde_guard.hostile import corpus
from kinde_guard.issuer import LocalIssuer
from kinde_guard.web import asgi_scope, wsgi_environ


def said(ask: Callable[[Any], AccessToken | None], question: Any) -> tuple[str, str, str]:
    """The verdict in words."""
    try:
        token = ask(question)
    except AuthError as refusal:
        return type(refusal).__name__, refusal.reason, refusal.hint
    return ("nothing" if token is None else "let in"), "", ""


def bearer(raw: str) -> bytes:
    return b"Bearer " + raw.encode()


@pytest.fixture
def issuer() -> Issuer:
    return Issuer()


@pytest.fixture
def guard(issuer: Issuer) -> Guard:
    """One that has let a token in, and so knows the header of the others."""
    guard = guard_of(issuer)
    guard.verify(mint({"jti": "the first"}))
    return guard


class TestWhatIsSaid:
    def test_of_a_new_token(self, guard: Guard) -> None:
        token = guard.authenticate_at_once(bearer(mint()))
        assert isinstance(token, AccessToken)
        assert guard.stats().misses == 2
        assert guard.authenticate_at_once(bearer(mint())) is token is guard.verify(mint())

    def test_of_every_hostile_value_what_is_said_otherwise(self) -> None:
        local = LocalIssuer()
        guard = Guard(local.url, audience=local.audience, transport=local.transport, variables=())
        guard.verify(local.m2m_token())
        heard = 0
        for case in corpus(local, local.audience, None):
            for value in case.authorization:
                once = said(guard.authenticate_at_once, value.encode("latin-1", "replace"))
                heard += once[0] != "nothing"
                assert once in (("nothing", "", ""), said(guard.authenticate, [value])), case.name
        assert heard > 100

    @pytest.mark.parametrize("behind", ["", " ", "\t", " \t "])
    @pytest.mark.parametrize("between", [" ", "   ", "\t", ""])
    @pytest.mark.parametrize("word", ["Bearer", "bearer", "Basic"])
    def test_of_white_space(self, guard: Guard, word: str, between: str, behind: str) -> None:
        value = f"{word}{between}{mint()}{behind}"
        once = said(guard.authenticate_at_once, value.encode())
        assert once in (("nothing", "", ""), said(guard.authenticate, [value]))

    @pytest.mark.parametrize("changed", ["{}~", "{}=", "{}\u00e9", "{} x", "{},{}", "{}.", "{}\n"])
    def test_what_is_wrong_with_the_value_is_said_before_the_token(self, guard: Guard, changed: str) -> None:
        raw = mint({"exp": NOW - 100})
        value = f"Bearer {changed.format(raw, raw)}"
        assert said(guard.authenticate_at_once, value.encode("latin-1")) == said(guard.authenticate, [value])

    def test_nothing_of_a_token_that_is_too_long(self, guard: Guard) -> None:
        assert guard.authenticate_at_once(bearer(mint({"x": "x" * 13_000}))) is None

    def test_nothing_of_a_header_that_no_signature_has_held_over(self, issuer: Issuer) -> None:
        guard = guard_of(issuer)
        guard.warm()
        assert guard.authenticate_at_once(bearer(mint())) is None
        assert guard.stats().misses == 0


class TestKeys:
    def test_one_that_is_not_held_any_more_is_not_waited_for(self) -> None:
        """Nor is such a token read twice again and again: strangers could send as many as they like."""
        time, issuer = Time(), Issuer()
        guard = guard_of(issuer, time)
        guard.verify(mint())
        issuer.body = key_set(jwk({"kid": "new"}, key=rsa_key("another")))
        time.passes(600)
        guard.warm()
        assert guard.authenticate_at_once(bearer(mint({"jti": "late"}))) is None
        assert KID not in str(guard._signed._headers)
        with pytest.raises(InvalidToken, match="unknown_key"):
            guard.verify(mint({"jti": "late"}))

    def test_a_signature_that_does_not_hold_may_be_of_a_new_key(self, guard: Guard, issuer: Issuer) -> None:
        raw = mint(key=rsa_key("another"))
        assert said(guard.authenticate_at_once, bearer(raw))[1] == "bad_signature"
        assert guard.stats().entries == 1


class TestAdapters:
    def test_a_refusal_is_told_of_once(self, guard: Guard, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.INFO, "kinde_guard")
        scope: dict[str, Any] = {"type": "http", "headers": [(b"authorization", bearer(mint({"exp": 1})))]}
        with pytest.raises(InvalidToken, match="expired"):
            asgi_scope.recognise(scope, guard)
        for _ in range(2):
            assert asgi_scope.recognise(scope, guard) is None
            with pytest.raises(InvalidToken, match="expired"):
                asgi_scope.authenticate(scope, guard)
        assert len(caplog.records) == 1

    def test_nothing_is_waited_for_where_the_key_is_held(self, guard: Guard) -> None:
        """No coroutine is needed for a fresh token."""
        scope: dict[str, Any] = {"type": "http", "headers": [(b"authorization", bearer(mint()))]}
        token = asgi_scope.recognise(scope, guard)
        assert token is not None
        assert token is scope["kinde_guard.token"]

    def test_what_a_guard_of_ones_own_has_in_place_of_authenticate_is_asked(self, issuer: Issuer) -> None:
        class Stricter(Guard):
            def verify(self, raw: str) -> AccessToken:
                raise InvalidToken("expired")

        stricter = Stricter(DOMAIN, audience=AUDIENCE, transport=issuer.transport, clocks=Time().clocks)
        Guard.verify(stricter, mint({"jti": "the first"}))
        with pytest.raises(InvalidToken):
            wsgi_environ.authenticate({"HTTP_AUTHORIZATION": f"Bearer {mint()}"}, stricter)

    @pytest.mark.parametrize("changed", ["{}", "{} x"])
    def test_no_frame_of_ours_holds_the_token(self, guard: Guard, changed: str) -> None:
        raw = mint({"exp": 1}, base=M2M)
        with pytest.raises(AuthError) as refused:
            guard.authenticate_at_once(bearer(changed.format(raw)))
        chain = traceback.TracebackException.from_exception(refused.value, capture_locals=True)
        before = chain.__context__.stack if chain.__context__ else ()
        shown = [str(frame.locals) for frame in (*chain.stack, *before) if "kinde_guard/" in frame.filename]
        assert shown
        assert not any(raw[:100] in text for text in shown)
